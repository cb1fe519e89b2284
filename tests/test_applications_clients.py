"""Other clients than redis-py (which has test_clients.py): valkey-py, valkey-glide and coredis, as programs use them.

Every client does the same errands, written once: strings, hashes, sets, sorted sets, lists, a transaction, a script, a
message. What differs is how each spells it.
"""

import asyncio
import threading
from typing import Any

import pytest
from _applications import server, url
from _server import Process

# What the libraries say of themselves and of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SCRIPT = "redis.call('INCRBY', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])"


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_valkey_py(server: Process, url: str, protocol: int) -> None:
    import valkey

    with valkey.Valkey(port=server.port, protocol=protocol, decode_responses=True) as client:
        assert client.set("a", "1", ex=100) and client.get("a") == "1" and 95 <= client.ttl("a") <= 100
        assert client.hset("h", mapping={"f": "1", "g": "2"}) == 2 and client.hgetall("h") == {"f": "1", "g": "2"}
        assert client.sadd("s", "x", "y") == 2 and set(client.smembers("s")) == {"x", "y"}
        assert client.zadd("z", {"ann": 2, "bob": 1}) == 2
        ranks = [["bob", 1.0], ["ann", 2.0]]
        assert [list(pair) for pair in client.zrange("z", 0, -1, withscores=True)] == ranks
        assert client.rpush("l", "x", "y", "z") == 3 and client.lrange("l", 1, -1) == ["y", "z"]
        with client.pipeline() as pipe:
            pipe.watch("a")
            pipe.multi()
            pipe.incr("a").get("a")
            assert pipe.execute() == [2, "2"]
            pipe.watch("a")
            client.set("a", "5")
            pipe.multi()
            pipe.incr("a")
            with pytest.raises(valkey.WatchError):
                pipe.execute()
        assert client.register_script(SCRIPT)(keys=["a"], args=[10]) == "15"
        with client.pubsub(ignore_subscribe_messages=True) as heard:
            heard.subscribe("news")
            heard.get_message(timeout=5)
            assert client.publish("news", "hello") == 1
            message = heard.get_message(timeout=5)
            assert message is not None and message["data"] == "hello"
        with client.lock("resource", timeout=5):
            assert client.exists("resource") == 1


def test_valkey_py_asyncio(server: Process, url: str, protocol: int) -> None:
    import valkey.asyncio

    async def work() -> None:
        async with valkey.asyncio.Valkey(port=server.port, protocol=protocol, decode_responses=True) as client:
            assert await client.set("a", "1") and await client.incr("a") == 2
            assert await asyncio.gather(*[client.incr("n") for _ in range(50)]) and await client.get("n") == "50"
            async with client.pipeline(transaction=True) as pipe:
                assert await pipe.hset("h", "f", "1").hgetall("h").execute() == [1, {"f": "1"}]
            async with client.pubsub() as heard:
                await heard.psubscribe("n*")
                assert await client.publish("news", "hello") in (0, 1)
                messages = [await heard.get_message(timeout=5)]
                await client.publish("news", "again")
                messages.append(await heard.get_message(timeout=5))
                assert messages[0]["type"] == "psubscribe" and messages[1]["type"] == "pmessage"

    asyncio.run(asyncio.wait_for(work(), 30))


def test_valkey_glide(server: Process, url: str, protocol: int) -> None:
    import glide

    kind = {2: glide.ProtocolVersion.RESP2, 3: glide.ProtocolVersion.RESP3}[protocol]

    async def work() -> None:
        heard: list[Any] = []
        arrived = threading.Event()

        def hear(message: Any, _: Any) -> None:
            heard.append((message.channel, message.message))
            arrived.set()

        addresses = [glide.NodeAddress("127.0.0.1", server.port)]
        settings = {"addresses": addresses, "protocol": kind, "request_timeout": 10_000, "client_name": "slider"}
        client = await glide.GlideClient.create(glide.GlideClientConfiguration(**settings))
        expiry = glide.ExpirySet(glide.ExpiryType.SEC, 100)
        assert await client.set("a", "1", expiry=expiry) == "OK" and await client.get("a") == b"1"
        assert 95 <= await client.ttl("a") <= 100 and await client.client_getname() == b"slider"
        assert await client.hset("h", {"f": "1"}) == 1 and await client.hgetall("h") == {b"f": b"1"}
        assert await client.sadd("s", ["x", "y"]) == 2 and await client.smembers("s") == {b"x", b"y"}
        assert await client.zadd("z", {"ann": 2.0, "bob": 1.0}) == 2
        ranks = {b"bob": 1.0, b"ann": 2.0}
        assert await client.zrange_withscores("z", glide.RangeByIndex(0, -1)) == ranks
        assert await client.rpush("l", ["x", "y"]) == 2 and await client.lrange("l", 0, -1) == [b"x", b"y"]
        batch = glide.Batch(is_atomic=True)
        batch.incr("a")
        batch.get("a")
        assert await client.exec(batch, raise_on_error=True) == [2, b"2"]
        assert await client.invoke_script(glide.Script(SCRIPT), keys=["a"], args=["10"]) == b"12"
        found = await asyncio.gather(*[client.incr("n") for _ in range(100)])
        assert sorted(found) == list(range(1, 101))
        if protocol == 3:
            mode = glide.GlideClientConfiguration.PubSubChannelModes.Exact
            wanted = glide.GlideClientConfiguration.PubSubSubscriptions({mode: {"news"}}, hear, None)
            listening = await glide.GlideClient.create(
                glide.GlideClientConfiguration(**settings, pubsub_subscriptions=wanted)
            )
            assert await client.publish("hello", "news") == 1
            assert await asyncio.to_thread(arrived.wait, 10) and heard == [(b"news", b"hello")]
            await listening.close()
        await client.close()

    asyncio.run(asyncio.wait_for(work(), 60))


def test_coredis(server: Process, url: str) -> None:
    import coredis

    async def work() -> None:
        client = coredis.Redis(port=server.port, decode_responses=True)
        async with client:
            assert await client.set("a", "1", ex=100) and await client.get("a") == "1"
            assert await client.hset("h", {"f": "1"}) == 1 and await client.hgetall("h") == {"f": "1"}
            assert await client.sadd("s", ["x", "y"]) == 2 and await client.smembers("s") == {"x", "y"}
            assert await client.zadd("z", {"ann": 2, "bob": 1}) == 2
            found = await client.zrange("z", 0, -1, withscores=True)
            assert [(pair.member, pair.score) for pair in found] == [("bob", 1.0), ("ann", 2.0)]
            assert await client.rpush("l", ["x", "y"]) == 2 and await client.lrange("l", 0, -1) == ["x", "y"]
            async with client.pipeline(transaction=True) as pipe:
                replies = [pipe.incr("a"), pipe.get("a")]
            assert [await reply for reply in replies] == [2, "2"]
            assert await client.register_script(SCRIPT)(["a"], [10]) == "12"
            async with client.pubsub(ignore_subscribe_messages=True, channels=["news"]) as heard:
                while await client.publish("news", "hello") == 0:
                    await asyncio.sleep(0.01)
                message = await heard.get_message(timeout=5)
                while message is None:  # that it is subscribed, which is ignored
                    message = await heard.get_message(timeout=5)
                assert message["data"] == "hello"

    asyncio.run(asyncio.wait_for(work(), 30))
