"""Caches and sessions of real libraries, with our server in Redis's place.

Each library does its own job through its own interface: what is stored is read back, what expires is gone, what is
counted is counted. What the library sends to do so is its own affair; where it matters that the *server* did it, a
plain client looks at the keys.
"""

import asyncio
import http.server
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from _applications import server, url
from _server import Process

# What the libraries say of themselves and of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        yield client


# ---- Django

DJANGO = {
    "Django's own": {"BACKEND": "django.core.cache.backends.redis.RedisCache"},
    "django-redis": {"BACKEND": "django_redis.cache.RedisCache"},
}


@pytest.fixture(params=DJANGO)
def django_cache(request: pytest.FixtureRequest, url: str) -> Iterator[Any]:
    from django.conf import settings
    from django.core.cache import CacheHandler

    if not settings.configured:
        settings.configure()
    handler = CacheHandler({"default": {**DJANGO[request.param], "LOCATION": url, "KEY_PREFIX": "site", "TIMEOUT": 60}})
    yield handler["default"]
    handler["default"].close()


def test_the_cache_of_django(django_cache: Any, client: redis.Redis) -> None:
    cache = django_cache
    value = {"name": "Zoë", "tags": {"a", "b"}, "when": timedelta(hours=1)}
    cache.set("page", value)
    assert cache.get("page") == value and cache.get("other", "default") == "default"
    (key,) = client.keys("site:*")
    assert 55 <= client.ttl(key) <= 60
    assert cache.add("page", 1) is False and cache.add("once", 1, timeout=30) is True
    assert cache.incr("once", 41) == 42 and cache.decr("once") == 41
    with pytest.raises(ValueError):
        cache.incr("nothing")
    assert "once" in cache and cache.touch("once", None) is True
    assert client.ttl(client.keys("site:*:once")[0]) == -1
    assert cache.get_or_set("computed", lambda: "late", 20) == "late" and cache.has_key("computed")
    assert not cache.set_many({f"k{n}": n for n in range(20)}, timeout=20)
    assert cache.get_many([f"k{n}" for n in range(0, 25, 5)]) == {"k0": 0, "k5": 5, "k10": 10, "k15": 15}
    cache.delete_many([f"k{n}" for n in range(10)])
    assert len(cache.get_many([f"k{n}" for n in range(20)])) == 10
    assert cache.delete("page") is True and cache.delete("page") is False
    cache.set("short", "x", timeout=1)
    cache.set("dead", "x", timeout=0)
    assert cache.get("dead") is None
    cache.set("versioned", "old", version=1)
    cache.incr_version("versioned")
    assert cache.get("versioned", version=2) == "old" and cache.get("versioned", version=1) is None
    time.sleep(1.05)
    assert cache.get("short") is None
    cache.clear()
    assert client.dbsize() == 0


def test_what_django_redis_adds(url: str, client: redis.Redis) -> None:
    from django.conf import settings
    from django.core.cache import CacheHandler

    if not settings.configured:
        settings.configure()
    cache: Any = CacheHandler({"default": {**DJANGO["django-redis"], "LOCATION": url}})["default"]
    cache.set("a:1", 1, timeout=None)
    cache.set("a:2", 2, timeout=100)
    assert cache.ttl("a:1") is None and 95 <= cache.ttl("a:2") <= 100 and cache.ttl("none") == 0
    assert cache.pttl("a:2") > 95_000 and cache.persist("a:2") is True and cache.ttl("a:2") is None
    assert cache.expire("a:2", timeout=50) is True and cache.pexpire("a:2", timeout=40_000) is True
    assert sorted(cache.keys("a:*")) == ["a:1", "a:2"] and sorted(cache.iter_keys("a:*")) == ["a:1", "a:2"]
    assert cache.delete_pattern("a:*") == 2 and client.dbsize() == 0
    assert cache.set("nx", 1, nx=True) is True and not cache.set("nx", 2, nx=True)
    with cache.lock("resource", timeout=10):
        assert client.exists(cache.make_key("resource")) == 1
        assert cache.lock("resource", timeout=10, blocking_timeout=0.05).acquire() is False
    assert client.exists(cache.make_key("resource")) == 0
    cache.sadd("set", "x", "y")
    assert (
        cache.smembers("set") == {"x", "y"} and cache.scard("set") == 2 and cache.smismember("set", "x", "z") == [1, 0]
    )
    assert cache.hset("hash", "f", {"v": 1}) == 1 and cache.hkeys("hash") == ["f"] and cache.hexists("hash", "f")
    cache.zadd("ranks", {"ann": 3.5, "bob": 1})
    assert (
        cache.zrange("ranks", 0, -1, withscores=True) == [("bob", 1.0), ("ann", 3.5)]
        and cache.zrank("ranks", "ann") == 1
    )
    cache.close()


# ---- Flask


def test_sessions_of_flask(url: str, client: redis.Redis) -> None:
    import flask
    from flask_session import Session

    app = flask.Flask(__name__)
    with redis.Redis.from_url(url) as store:
        app.config.update(
            SESSION_TYPE="redis", SESSION_REDIS=store, SECRET_KEY="x", PERMANENT_SESSION_LIFETIME=timedelta(seconds=90)
        )
        Session(app)

        @app.post("/visits")
        def visit() -> str:
            flask.session["visits"] = flask.session.get("visits", 0) + 1
            return str(flask.session["visits"])

        @app.post("/logout")
        def logout() -> str:
            flask.session.clear()
            return ""

        ann, bob = app.test_client(), app.test_client()
        assert [ann.post("/visits").text for _ in range(3)] == ["1", "2", "3"]
        assert bob.post("/visits").text == "1"
        keys = client.keys("session:*")
        assert len(keys) == 2 and all(85 <= client.ttl(key) <= 90 for key in keys)
        ann.post("/logout")
        assert len(client.keys("session:*")) == 1
        assert ann.post("/visits").text == "1" and bob.post("/visits").text == "2"


def test_the_cache_of_flask(url: str, client: redis.Redis) -> None:
    import flask
    from flask_caching import Cache

    app = flask.Flask(__name__)
    cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": url, "CACHE_DEFAULT_TIMEOUT": 60})
    calls: list[object] = []

    @app.get("/page")
    @cache.cached(timeout=50)
    def page() -> str:
        calls.append("page")
        return f"made {len(calls)}"

    @cache.memoize()
    def square(number: int) -> int:
        calls.append(number)
        return number * number

    browser = app.test_client()
    assert browser.get("/page").text == browser.get("/page").text == "made 1"
    with app.app_context():
        assert [square(3), square(4), square(3)] == [9, 16, 9] and calls == ["page", 3, 4]
        cache.delete_memoized(square, 3)
        assert [square(3), square(4)] == [9, 16] and calls == ["page", 3, 4, 3]
        assert cache.set_many({"a": 1, "b": [2]}) and cache.get_many("a", "b", "c") == [1, [2], None]
        assert cache.add("a", 5) is False
        assert cache.delete_many("a", "b") and not cache.has("a")
        cache.clear()
    assert client.dbsize() == 0
    assert browser.get("/page").text == "made 5"


# ---- caches of asyncio


def test_aiocache(server: Process, client: redis.Redis) -> None:
    from aiocache import RedisCache, cached
    from aiocache.lock import OptimisticLock, OptimisticLockError, RedLock
    from aiocache.serializers import JsonSerializer

    async def work() -> None:
        async with RedisCache(
            endpoint="127.0.0.1", port=server.port, serializer=JsonSerializer(), namespace="n"
        ) as cache:
            assert await cache.set("k", {"a": 1}, ttl=50) and await cache.get("k") == {"a": 1}
            assert 45 <= client.ttl(client.keys("n*k")[0]) <= 50
            with pytest.raises(ValueError):
                await cache.add("k", 2)
            assert await cache.multi_set([("x", 1), ("y", 2)], ttl=30)
            assert await cache.multi_get(["x", "y", "z"]) == [1, 2, None]
            assert await cache.exists("x") and await cache.expire("x", 10) and await cache.delete("x") == 1
            order: list[str] = []

            async def one(name: str) -> None:
                async with RedLock(cache, "shared", lease=5):
                    order.append(name)
                    if await cache.get("made") is None:
                        await asyncio.sleep(0.05)
                        await cache.set("made", name)

            await asyncio.gather(one("first"), one("second"))
            assert await cache.get("made") == order[0]
            async with OptimisticLock(cache, "k") as lock:
                await lock.cas("new")
            assert await cache.get("k") == "new"
            with pytest.raises(OptimisticLockError):
                async with OptimisticLock(cache, "k") as lock:
                    await cache.set("k", "in between")
                    await lock.cas("lost")
            await cache.clear(namespace="n")
        calls: list[int] = []

        @cached(ttl=20, cache=RedisCache, endpoint="127.0.0.1", port=server.port, serializer=JsonSerializer())
        async def slow(number: int) -> int:
            calls.append(number)
            return number + 1

        assert [await slow(1), await slow(1), await slow(2)] == [2, 2, 3] and calls == [1, 2]
        await slow.cache.close()

    asyncio.run(asyncio.wait_for(work(), 30))


def test_cashews(url: str, client: redis.Redis) -> None:
    from cashews import Cache

    async def work() -> None:
        cache = Cache()
        cache.setup(url, client_side=False, secret="salt")
        calls: list[int] = []

        @cache(ttl="30s", key="square:{number}", tags=["squares"])
        async def square(number: int) -> int:
            calls.append(number)
            return number * number

        assert [await square(3), await square(3), await square(4)] == [9, 9, 16] and calls == [3, 4]
        await cache.delete_tags("squares")
        assert await square(3) == 9 and calls == [3, 4, 3]
        assert await cache.incr("hits") == 1 and await cache.incr("hits", 4) == 5
        await cache.set("a:1", "x", expire=40)
        assert 35 <= await cache.get_expire("a:1") <= 40 and await cache.exists("a:1")
        await cache.set_many({"a:2": 2, "a:3": 3})
        assert await cache.get_many("a:2", "a:3", "a:4", default=0) == (2, 3, 0)
        assert sorted([key async for key in cache.scan("a:*")]) == ["a:1", "a:2", "a:3"]
        await cache.delete_match("a:*")
        assert await cache.get("a:1") is None
        async with cache.lock("alone", expire="5s"):
            assert await cache.is_locked("alone")
        assert not await cache.is_locked("alone")
        assert await cache.slice_incr("window", 0, 100, 2, 10) == 1
        await cache.close()

    asyncio.run(asyncio.wait_for(work(), 30))


# ---- others


def test_dogpile_cache(server: Process, url: str, client: redis.Redis) -> None:
    from dogpile.cache import make_region
    from dogpile.cache.api import NO_VALUE

    region = make_region().configure(
        "dogpile.cache.redis",
        expiration_time=1,
        arguments={"url": url, "redis_expiration_time": 60, "distributed_lock": True, "thread_local_lock": False},
    )
    made: list[int] = []

    def make() -> int:
        time.sleep(0.05)
        made.append(len(made))
        return len(made)

    # Eight threads want a value that nobody has: the lock on the server lets one of them make it.
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(region.get_or_create("value", make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert made == [0] and got == [1] * 8
    assert 55 <= client.ttl("value") <= 60
    region.set_multi({"a": 1, "b": {"c": 2}})
    assert region.get_multi(["a", "b", "none"]) == [1, {"c": 2}, NO_VALUE]
    region.delete_multi(["a", "b"])
    assert region.get("a") is NO_VALUE

    @region.cache_on_arguments()
    def double(number: int) -> int:
        made.append(number)
        return number * 2

    assert [double(21), double(21)] == [42, 42] and made == [0, 21]
    double.invalidate(21)
    assert double(21) == 42 and made == [0, 21, 21]


class Counting(http.server.BaseHTTPRequestHandler):
    """A page that says how often it was asked for."""

    served = 0

    def do_GET(self) -> None:
        type(self).served += 1
        body = f"{self.path} {self.served}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_requests_cache(server: Process, url: str) -> None:
    from requests_cache import CachedSession, RedisCache

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counting) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        page = f"http://127.0.0.1:{site.server_port}"
        backend = RedisCache("http", connection=redis.Redis(port=server.port))
        with CachedSession(backend=backend, expire_after=60) as session:
            first, second = session.get(f"{page}/a"), session.get(f"{page}/a")
            assert (first.text, second.text) == ("/a 1", "/a 1") and second.from_cache
            assert session.get(f"{page}/b").text == "/b 2"
            assert len(session.cache.responses) == 2 and f"{page}/a" in session.cache.urls()
            session.cache.delete(urls=[f"{page}/a"])
            assert session.get(f"{page}/a").text == "/a 3"
            session.cache.clear()
            assert len(session.cache.responses) == 0
        site.shutdown()


def test_cachelib(server: Process, url: str) -> None:
    from cachelib import RedisCache

    cache = RedisCache(host="127.0.0.1", port=server.port, default_timeout=60, key_prefix="c:")
    assert cache.set("a", [1, 2]) and cache.get("a") == [1, 2] and cache.add("a", 3) is False
    assert cache.inc("n", 5) == 5 and cache.dec("n", 2) == 3
    assert cache.set_many({"x": 1, "y": 2}) == ["x", "y"] and cache.get_dict("x", "y", "z") == {
        "x": 1,
        "y": 2,
        "z": None,
    }
    assert cache.delete("a") and not cache.has("a") and cache.clear() and not cache.has("x")


def test_a_cache_on_the_client_s_side_sees_no_stale_value(server: Process, url: str) -> None:
    """redis-py's: what it has read it does not ask for again, until the server says that it has changed."""
    from redis.cache import CacheConfig

    with (
        redis.Redis(port=server.port, protocol=3, cache_config=CacheConfig(), decode_responses=True) as cached,
        redis.Redis(port=server.port, decode_responses=True) as other,
    ):
        other.mset({"a": "1", "b": "1"})
        reads = other.info("commandstats")["cmdstat_get"]["calls"] if "cmdstat_get" in other.info("commandstats") else 0
        assert [cached.get("a") for _ in range(50)] == ["1"] * 50
        assert other.info("commandstats")["cmdstat_get"]["calls"] == reads + 1
        for number in range(50):
            other.set("a", number)
            assert cached.get("a") == str(number)
        other.hset("h", "f", "1")
        assert cached.hgetall("h") == {"f": "1"}
        other.hset("h", "f", "2")
        assert cached.hgetall("h") == {"f": "2"}
        other.flushall()
        assert cached.get("a") is None
