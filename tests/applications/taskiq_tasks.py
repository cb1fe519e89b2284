"""taskiq's broker of lists, with results."""

import os

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

URL = os.environ["TSUNAMI_URL"]
results: RedisAsyncResultBackend[int] = RedisAsyncResultBackend(redis_url=URL, result_ex_time=100)
broker = ListQueueBroker(url=URL).with_result_backend(results)


@broker.task
async def add(x: int, y: int) -> int:
    return x + y


@broker.task
async def fails() -> None:
    raise ValueError("on purpose")
