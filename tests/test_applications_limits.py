"""Rate limits and locks of real libraries: what they promise holds although many processes ask at the same time.

The limit is the sum over all processes: exactly as many are let in as the limit says, neither one more nor one less. A
lock is tried by what goes wrong without it: several processes read a number and write one more.
"""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis
import redis_lock
from _applications import output, server, url
from _server import Process, tsunami_server
from limits import parse
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from pottery import AIORedlock, Redlock, ReleaseUnlockedLock

# What the libraries say of themselves and of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PROGRAMS = 8


def test_limits_hold_under_eight_programs(url: str) -> None:
    allowed = [json.loads(line) for line in output("limited.py", str(PROGRAMS), url=url).splitlines()]
    total = {name: sum(each[name] for each in allowed) for name in allowed[0]}
    assert len(allowed) == PROGRAMS and len(total) == 6 and total == dict.fromkeys(total, 100), allowed


@pytest.mark.measures
@pytest.mark.parametrize("strategy", [FixedWindowRateLimiter, MovingWindowRateLimiter])
def test_a_limit_lets_in_again_after_its_time(url: str, strategy: type[MovingWindowRateLimiter]) -> None:
    limiter, two = strategy(storage_from_string(url)), parse("2 per second")
    begin = time.monotonic()
    first = [limiter.hit(two, "user") for _ in range(3)]
    assert first == [True, True, False] or time.monotonic() - begin > 0.9
    assert limiter.get_window_stats(two, "user").remaining == 0
    time.sleep(1.1)
    assert limiter.test(two, "user") and limiter.hit(two, "user")
    limiter.clear(two, "user")
    assert limiter.get_window_stats(two, "user").remaining == 2


# ---- locks


def test_numbers_counted_under_locks_by_eight_programs_are_right(url: str) -> None:
    output("counting.py", str(PROGRAMS), url=url)
    with redis.Redis.from_url(url) as client:
        assert client.mget("by redis-py", "by python-redis-lock") == [b"80", b"80"]
        assert client.exists("lock of redis-py", "lock:lock") == 0


def test_a_lock_of_redis_py_is_its_holder_s(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        held, wanted = client.lock("resource", timeout=10), client.lock("resource", timeout=10, blocking=False)
        assert held.acquire() and not wanted.acquire() and held.locked() and held.owned()
        assert held.extend(20) and 25 <= client.ttl("resource") <= 30 and held.reacquire()
        client.set("resource", "stolen")
        with pytest.raises(redis.exceptions.LockNotOwnedError):
            held.release()
        client.delete("resource")
        assert wanted.acquire()
        wanted.release()
        short = client.lock("resource", timeout=0.05)
        assert short.acquire()
        time.sleep(0.1)
        assert wanted.acquire()
        with pytest.raises(redis.exceptions.LockError):
            short.release()


def test_python_redis_lock_wakes_who_waits(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        held = redis_lock.Lock(client, "resource", expire=10, auto_renewal=True)
        assert held.acquire()
        got = threading.Event()

        def wait() -> None:
            if redis_lock.Lock(client, "resource", expire=30).acquire(timeout=20):
                got.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.2)
        held.release()
        assert got.wait(10)
        waiting.join(10)
        with pytest.raises(redis_lock.NotAcquired):
            held.release()
        redis_lock.reset_all(client)
        assert not redis_lock.Lock(client, "resource").locked()


# ---- one lock of several servers


@pytest.fixture
def masters() -> Iterator[tuple[list[Process], list[redis.Redis]]]:
    with ExitStack() as stack:
        servers = [stack.enter_context(tsunami_server()) for _ in range(3)]
        yield servers, [stack.enter_context(redis.Redis(port=each.port, socket_timeout=5)) for each in servers]


def test_a_redlock_over_three_servers(masters: tuple[list[Process], list[redis.Redis]]) -> None:
    servers, clients = masters
    everybody = set(clients)
    lock = Redlock(key="printer", masters=everybody, auto_release_time=10)
    other = Redlock(key="printer", masters=everybody, auto_release_time=10)
    assert lock.acquire() and 8 < lock.locked() <= 10
    assert not other.acquire(blocking=False)
    assert sum(client.exists("redlock:printer") for client in clients) >= 2
    lock.extend()
    lock.release()
    assert other.acquire(timeout=5)
    other.release()

    # Threads take turns: never two inside.
    inside, most, turns = [0], [0], [0]

    def work() -> None:
        for _ in range(3):
            with Redlock(key="printer", masters=everybody, auto_release_time=20):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.002)
                inside[0] -= 1
                turns[0] += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] and turns == [12]

    # One of three may be away; with two away there is no majority.
    servers[0].terminate()
    servers[0].wait()
    assert lock.acquire(timeout=10)
    lock.release()
    servers[1].terminate()
    servers[1].wait()
    assert not lock.acquire(blocking=False)


def test_a_redlock_of_asyncio(masters: tuple[list[Process], list[redis.Redis]]) -> None:
    servers, _ = masters

    async def work() -> None:
        clients = {redis.asyncio.Redis(port=each.port) for each in servers}
        lock = AIORedlock(key="printer", masters=clients, auto_release_time=10)
        other = AIORedlock(key="printer", masters=clients, auto_release_time=10)
        assert await lock.acquire() and not await other.acquire(blocking=False)
        await lock.release()
        with pytest.raises(ReleaseUnlockedLock):
            await lock.release()
        for client in clients:
            await client.aclose()

    asyncio.run(asyncio.wait_for(work(), 60))
