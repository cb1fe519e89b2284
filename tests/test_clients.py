"""redis-py against our server: sync and asyncio, RESP2 and RESP3, as programs use it.

What a client library sends by itself (HELLO, CLIENT SETINFO, SELECT ...) is answered as it expects, and what it makes
of our replies is what it makes of Redis's.
"""

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from _redis import our_server
from redis.backoff import NoBackoff
from redis.retry import Retry

import tsunami
from tsunami_server.command import registry


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def client(server: Any, protocol: int) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, protocol=protocol, decode_responses=True) as client:
        client.flushall()
        yield client


# ---- sync


def test_connecting_tells_the_library_and_the_name(server: Any, protocol: int) -> None:
    with redis.Redis(port=server.port, protocol=protocol, client_name="web-1", db=2) as client:
        assert client.ping() is True
        own = client.client_info()
        assert (own["name"], own["db"], own["lib-name"], own["resp"]) == ("web-1", 2, "redis-py", str(protocol))
        assert own["lib-ver"] == redis.__version__
        assert client.client_getname() in ("web-1", b"web-1")
        assert any(each["name"] == "web-1" for each in client.client_list())


def test_strings(client: redis.Redis) -> None:
    assert client.set("a", "1") is True
    assert client.set("a", "2", nx=True) is None
    assert client.set("a", "2", xx=True, get=True) == "1"
    assert client.get("a") == "2" and client.get("none") is None
    assert client.mset({"b": "x", "c": "y"}) is True
    assert client.mget("a", "b", "none") == ["2", "x", None]
    assert client.msetnx({"b": "1", "d": "1"}) is False
    assert client.incr("n") == 1 and client.incrby("n", 9) == 10 and client.decr("n", 3) == 7
    assert client.incrbyfloat("f", 0.1) == pytest.approx(0.1) and client.incrbyfloat("f", 0.2) == pytest.approx(0.3)
    assert client.append("b", "yz") == 3 and client.strlen("b") == 3
    assert client.getrange("b", 1, -1) == "yz" and client.setrange("b", 1, "__") == 3
    assert client.setbit("bits", 7, 1) == 0 and client.getbit("bits", 7) == 1 and client.bitcount("bits") == 1
    assert client.getset("a", "3") == "2" and client.getdel("a") == "3" and client.exists("a") == 0
    assert client.setnx("a", "1") is True
    assert client.type("a") == "string" and client.type("none") == "none"
    assert client.delete("a", "b", "none") == 2 and client.unlink("c") == 1


def test_expiry(client: redis.Redis) -> None:
    client.set("a", "1", ex=datetime.timedelta(seconds=100))
    assert 95 <= client.ttl("a") <= 100 and 95_000 <= client.pttl("a") <= 100_000
    assert client.persist("a") is True and client.ttl("a") == -1 and client.ttl("none") == -2
    assert client.expire("a", 50) is True and client.expire("a", 10, gt=True) is False
    assert client.expireat("a", datetime.datetime(2100, 1, 1)) is True
    assert client.expiretime("a") == int(datetime.datetime(2100, 1, 1).timestamp())
    assert client.getex("a", persist=True) == "1" and client.ttl("a") == -1
    assert client.psetex("p", 100_000, "v") is True


def test_keys(client: redis.Redis) -> None:
    client.mset({f"key:{number}": number for number in range(500)})
    assert client.dbsize() == 500
    assert set(client.scan_iter(match="key:1*", count=50)) == {
        key for key in client.keys("*") if key.startswith("key:1")
    }
    assert len(set(client.scan_iter(_type="string"))) == 500 and list(client.scan_iter(_type="hash")) == []
    assert client.randomkey().startswith("key:")
    assert client.rename("key:1", "renamed") is True and client.renamenx("renamed", "key:2") is False
    assert client.copy("renamed", "copied") is True and client.copy("renamed", "copied") is False
    assert client.move("copied", 9) is True and client.swapdb(0, 9) is True and client.keys("*") == ["copied"]
    assert client.object("encoding", "copied") == "int"
    assert client.flushdb() is True and client.dbsize() == 0


def test_errors_become_the_exceptions_of_the_library(client: redis.Redis) -> None:
    client.set("text", "x")
    with pytest.raises(redis.ResponseError, match=r"^value is not an integer or out of range$"):
        client.incr("text")
    with pytest.raises(redis.ResponseError, match=r"^unknown command 'NOSUCH'"):
        client.execute_command("NOSUCH")
    with pytest.raises(redis.ResponseError, match=r"^NOTABLE no such table 'x'$"):
        client.execute_command("ETS.LEN", "x")
    assert client.ping() is True


def test_wrong_passwords(server: Any, protocol: int) -> None:
    once = Retry(NoBackoff(), 0)
    with our_server(requirepass="secret") as guarded:
        with redis.Redis(port=guarded.port, protocol=protocol, password="secret") as client:
            assert client.ping() is True
        with redis.Redis(port=guarded.port, protocol=protocol, username="default", password="secret") as client:
            assert client.ping() is True
        for password in ("wrong", None):
            with redis.Redis(port=guarded.port, protocol=protocol, password=password, retry=once) as client:
                with pytest.raises(redis.AuthenticationError):
                    client.ping()


def test_a_pipeline_is_answered_in_order(client: redis.Redis) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(1000):
        pipeline.set(f"k{number}", number).get(f"k{number}").incr(f"k{number}")
    pipeline.incr("text" if client.set("text", "x") else "")
    replies = pipeline.execute(raise_on_error=False)
    assert replies[:-1] == [part for number in range(1000) for part in (True, str(number), number + 1)]
    assert isinstance(replies[-1], redis.ResponseError)


def test_administration(client: redis.Redis) -> None:
    found = client.info()
    assert (
        found["redis_version"] == "7.4.0"
        and found["role"] == "master"
        and found["arch_bits"] == 64
        and found["loading"] == 0
    )
    assert client.info("keyspace") == {}
    assert client.config_get("maxmemory*")["maxmemory-policy"] == "noeviction"
    assert client.config_set("slowlog-max-len", 64) is True and client.config_get("slowlog-max-len") == {
        "slowlog-max-len": "64"
    }
    assert client.config_resetstat() is True
    seconds, micros = client.time()
    assert abs(seconds + micros / 1e6 - datetime.datetime.now().timestamp()) < 5
    assert client.echo("x") == "x" and client.slowlog_len() >= 0 and isinstance(client.slowlog_get(), list)
    assert client.command_count() == len(registry.commands)
    get = client.command()["get"]
    assert get["name"] == "get" and get["arity"] == 2 and get["first_key_pos"] == 1 and "readonly" in get["flags"]
    assert client.command_getkeys("SET", "a", "b") == ["a"]
    assert client.client_id() > 0 and client.client_kill_filter(_id=10**9) == 0
    assert client.memory_usage("none") is None and client.wait(0, 10) == 0
    assert client.latency_latest() == [] and client.client_pause(1, all=False) is True
    assert client.client_unpause() == "OK"
    assert client.set("after", "pause") is True


def test_tables_through_a_redis_client(client: redis.Redis, protocol: int) -> None:
    call = client.execute_command
    assert call("ETS.NEW", "users_py", "TYPE", "set") == "users_py"
    try:
        assert call("ETS.INSERT", "users_py", 1, "alice", 30) == 1
        assert call("ETS.INSERT", "users_py", "TERM", '{2, "bob", #{admin => true}}') == 1
        assert call("ETS.LOOKUP", "users_py", 1) == [[1, "alice", 30]]
        expected = {"admin": True} if protocol == 3 else ["admin", 1]
        assert call("ETS.LOOKUPELEMENT", "users_py", 2, 3) == expected
        assert call("ETS.UPDATECOUNTER", "users_py", 1, 3, 1) == 31
        assert tsunami.whereis("users_py").lookup(1) == [(1, "alice", 31)]  # type: ignore[union-attr]
    finally:
        call("ETS.DROP", "users_py")


def test_a_pool_of_connections_used_by_threads(server: Any, protocol: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with redis.Redis(port=server.port, protocol=protocol, max_connections=8) as client, ThreadPoolExecutor(8) as pool:
        client.delete("hits")
        totals = list(pool.map(lambda _: client.incr("hits"), range(400)))
        assert sorted(totals) == list(range(1, 401))


# ---- asyncio


def run(server: Any, protocol: int, work: Callable[[Any], Awaitable[None]]) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis(port=server.port, protocol=protocol, decode_responses=True) as client:
            await client.flushall()
            await asyncio.wait_for(work(client), 60)

    asyncio.run(main())


def test_asyncio_commands(server: Any, protocol: int) -> None:
    async def work(client: Any) -> None:
        assert await client.set("a", "1", ex=100)
        assert await client.get("a") == "1"
        assert 95 <= await client.ttl("a") <= 100
        assert await client.mget("a", "none") == ["1", None]
        assert {key async for key in client.scan_iter()} == {"a"}
        with pytest.raises(redis.ResponseError, match="not an integer"):
            await client.incrby("a", "x")
        async with client.pipeline(transaction=False) as pipeline:
            assert await pipeline.incr("n").incr("n").get("n").execute() == [1, 2, "2"]

    run(server, protocol, work)


def test_asyncio_many_at_once(server: Any, protocol: int) -> None:
    async def work(client: Any) -> None:
        totals = await asyncio.gather(*(client.incr("n") for _ in range(80)))
        assert sorted(totals) == list(range(1, 81))

    run(server, protocol, work)


def test_asyncio_server_and_client_in_one_loop(protocol: int) -> None:
    import tsunami_server

    async def main() -> None:
        server = await tsunami_server.start(port=0)
        try:
            async with redis.asyncio.Redis(port=server.port, protocol=protocol) as client:
                await client.set("one:loop", "x")
                assert tsunami.keyspace(0).lookup("one:loop") == [(b"one:loop", b"x")]
        finally:
            await server.stop()

    asyncio.run(asyncio.wait_for(main(), 60))
