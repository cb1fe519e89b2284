"""A program that asks for more than it is allowed, by four libraries; it prints how often each let it.

Several of them run at the same time and share the limits.
"""

import asyncio
import json
import os
import sys
from typing import Any

import flask
from flask_limiter import Limiter
from limits import parse
from limits.aio.strategies import MovingWindowRateLimiter as AsyncMovingWindow
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from slowapi import Limiter as ApiLimiter
from slowapi import _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from together import together

URL = os.environ["TSUNAMI_URL"]
LIMIT = "100 per hour"


def by_limits(strategy: Any, tries: int) -> int:
    limiter = strategy(storage_from_string(URL))
    return sum(limiter.hit(parse(LIMIT), "user", strategy.__name__) for _ in range(tries))


async def by_limits_async(tries: int) -> int:
    limiter = AsyncMovingWindow(storage_from_string("async+" + URL, implementation="redispy"))
    return sum(await asyncio.gather(*[limiter.hit(parse(LIMIT), "async user") for _ in range(tries)]))


def by_flask(tries: int) -> int:
    app = flask.Flask(__name__)
    limiter = Limiter(lambda: "everybody", app=app, storage_uri=URL, strategy="moving-window")

    @app.get("/")
    @limiter.limit(LIMIT)
    def page() -> str:
        return "in"

    browser = app.test_client()
    answers = [browser.get("/").status_code for _ in range(tries)]
    assert set(answers) <= {200, 429}, answers
    return answers.count(200)


def by_slowapi(tries: int) -> int:
    limiter = ApiLimiter(key_func=lambda: "everybody", storage_uri=URL)

    @limiter.limit(LIMIT)
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("in")

    app = Starlette(routes=[Route("/", page)])
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)  # type: ignore[arg-type]

    async def get() -> int:
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "app": app}
        await app({**scope, "client": ("127.0.0.1", 1)}, receive, send)  # type: ignore[arg-type]
        return statuses[0]

    async def all_of_them() -> list[int]:
        return [await get() for _ in range(tries)]

    answers = asyncio.run(all_of_them())
    assert set(answers) <= {200, 429}, answers
    return answers.count(200)


def ask() -> None:
    print(
        json.dumps(
            {
                "limits, fixed window": by_limits(FixedWindowRateLimiter, 30),
                "limits, moving window": by_limits(MovingWindowRateLimiter, 30),
                "limits, sliding window": by_limits(SlidingWindowCounterRateLimiter, 30),
                "limits, moving window, asyncio": asyncio.run(by_limits_async(30)),
                "Flask-Limiter": by_flask(30),
                "slowapi": by_slowapi(30),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(together(ask, int(sys.argv[1])))
