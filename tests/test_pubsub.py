"""Messages: the same conversations with a real redis-server and with ours, in RESP2 and RESP3, over both transports;
what Redis 7.2 does otherwise than Debian's 7.0; and what slow listeners cost.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from _redis import Client, Reply, our_server
from _server import IO_KINDS, tsunami_server
from _support import wait_until

Step = tuple[
    str, tuple[Any, ...] | None, int
]  # who, what it says (None: nothing), how many replies and messages follow


@pytest.fixture(scope="module", params=IO_KINDS)
def ours(request: pytest.FixtureRequest) -> Iterator[int]:
    with our_server(io=request.param) as server:
        yield server.port


def converse(port: int, resp: int, steps: list[Step]) -> list[tuple[str, Reply]]:
    """What everybody hears, in order."""
    heard: list[tuple[str, Reply]] = []
    with contextlib.ExitStack() as stack:
        people = {name: stack.enter_context(Client(port, resp)) for name in dict.fromkeys(who for who, _, _ in steps)}
        for who, words, n in steps:
            client = people[who]
            if words is not None:
                client.send(*words)
            heard += [(who, client.read()) for _ in range(n)]
        for who, client in people.items():  # nothing else has come
            client.send("PING" if resp == 2 else "ECHO", *(() if resp == 2 else ("end",)))
            heard.append((who, client.read()))
    return heard


def say(who: str, *words: str | int, n: int = 1) -> Step:
    return who, words, n


def hear(who: str, n: int = 1) -> Step:
    return who, None, n


CONVERSATIONS: dict[str, list[Step]] = {
    "subscribing": [
        say("a", "SUBSCRIBE", "x", "y", "x", n=3), say("a", "SUBSCRIBE", "z"), say("a", "PSUBSCRIBE", "p*", "x", n=2),
        say("a", "SSUBSCRIBE", "s", "t", n=2), say("a", "UNSUBSCRIBE", "x", "none", n=2),
        say("a", "PUNSUBSCRIBE", "p*"),
        say("a", "SUNSUBSCRIBE", "t"), say("a", "SUNSUBSCRIBE"), say("a", "SUNSUBSCRIBE"),
    ],
    "leaving": [
        say("a", "UNSUBSCRIBE"), say("a", "PUNSUBSCRIBE"), say("a", "UNSUBSCRIBE", "x", "y", n=2),
        say("a", "SUBSCRIBE", "x"),
        say("a", "UNSUBSCRIBE"), say("a", "GET", "k"),
    ],
    "publishing": [
        say("a", "SUBSCRIBE", "x"), say("b", "PSUBSCRIBE", "x*"), say("c", "SSUBSCRIBE", "x"),
        say("d", "PUBLISH", "x", "1"),
        hear("a"), hear("b"), say("d", "PUBLISH", "xy", ""), hear("b"), say("d", "PUBLISH", "other", "3"),
        say("d", "SPUBLISH", "x", "4"), hear("c"), say("d", "SPUBLISH", "none", "5"),
        say("a", "PSUBSCRIBE", "?"), say("d", "PUBLISH", "x", "6"), hear("a", 2), hear("b"),
    ],
    "patterns": [
        say("a", "PSUBSCRIBE", "h?llo[a-c]", r"\*", "", n=3), say("b", "PUBLISH", "hellob", "m"), hear("a"),
        say("b", "PUBLISH", "hellod", "m"), say("b", "PUBLISH", "", "m"), hear("a"), say("c", "PSUBSCRIBE", "*"),
        say("b", "PUBLISH", "*", "m"), hear("a"), hear("c"), say("b", "PUBLISH", "", "m"), hear("a"), hear("c", 0),
    ],
    "telling": [
        say("a", "SUBSCRIBE", "x", n=1), say("b", "SUBSCRIBE", "x"), say("b", "PSUBSCRIBE", "q*"),
        say("a", "PSUBSCRIBE", "q*"),
        say("a", "SSUBSCRIBE", "sh"),
        say("c", "PUBSUB", "CHANNELS"), say("c", "PUBSUB", "CHANNELS", "y*"), say("c", "PUBSUB", "NUMSUB"),
        say("c", "PUBSUB", "NUMSUB", "x", "y", "sh"), say("c", "PUBSUB", "NUMPAT"), say("c", "PUBSUB", "SHARDCHANNELS"),
        say("c", "PUBSUB", "SHARDCHANNELS", "x"), say("c", "PUBSUB", "SHARDNUMSUB", "sh", "x"),
        say("c", "PUBSUB", "SHARDNUMSUB"), say("c", "PUBSUB", "CHANNELS", "a", "b"), say("c", "PUBSUB", "NUMPAT", "x"),
        say("c", "PUBSUB", "NOTHING"), say("c", "PUBSUB"), say("c", "SUBSCRIBE"), say("c", "PUBLISH", "x"),
        say("c", "PUBSUB", "SHARDCHANNELS", "a", "b"),
    ],
    "while subscribed": [
        say("a", "SUBSCRIBE", "x"), say("a", "PING"), say("a", "PING", "text"), say("a", "GET", "k"),
        say("a", "CLIENT", "ID", "x"),
        say("a", "NOTHING"), say("a", "SET", "k"), say("a", "PUBLISH", "y", "m"), say("a", "UNSUBSCRIBE"),
        say("a", "PING"),
    ],
    "transactions": [
        say("a", "SUBSCRIBE", "x"), say("b", "MULTI"), say("b", "PUBLISH", "x", "1"), say("b", "SET", "k", "v"),
        say("b", "PUBLISH", "x", "2"), say("b", "SPUBLISH", "x", "3"), say("b", "EXEC"), hear("a", 2),
        say("b", "MULTI"), say("b", "SSUBSCRIBE", "s"), say("b", "EXEC"), say("a", "UNSUBSCRIBE"),
    ],
    "reset": [
        say("a", "SUBSCRIBE", "x", "y", n=2), say("a", "PSUBSCRIBE", "z"), say("a", "RESET"), say("a", "GET", "none"),
        say("b", "PUBLISH", "x", "m"), say("b", "PUBSUB", "NUMPAT"),
    ],
    "binary": [
        say("a", "SUBSCRIBE", "\r\n\0x"), say("b", "PUBLISH", "\r\n\0x", "\0\r\n"), hear("a"),
    ],
    "silent": [
        say("a", "CLIENT", "REPLY", "OFF", n=0), say("a", "SUBSCRIBE", "x"), say("b", "PUBLISH", "x", "m"), hear("a"),
        say("a", "UNSUBSCRIBE"), say("a", "CLIENT", "REPLY", "ON"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_is_the_same_as_with_redis(theirs: int, ours: int, name: str, resp: int) -> None:
    steps = CONVERSATIONS[name]
    for port in (ours, theirs):
        with Client(port) as client:
            client.value("FLUSHALL")  # what another conversation has left
    assert converse(ours, resp, steps) == converse(theirs, resp, steps)


def test_a_message_to_oneself_comes_behind_the_reply(ours: int) -> None:
    """Redis 7.2; 7.0 wrote it before the reply."""
    with Client(ours, 3) as client:
        client("SUBSCRIBE", "x")
        client("PSUBSCRIBE", "*")
        assert client.all([("PUBLISH", "x", "1"), ("PUBLISH", "x", "2")]) == [
            (":", 2),
            (">", [("$", b"message"), ("$", b"x"), ("$", b"1")]),
        ]
        assert [client.read()[0] for _ in range(4)] == [">", ":", ">", ">"]


def test_messages_keep_the_order_in_which_they_were_published(ours: int) -> None:
    n = 2000
    with Client(ours) as listener, Client(ours) as first, Client(ours) as second:
        listener("SUBSCRIBE", "x")
        for at in range(0, n, 100):
            for client, who in ((first, "1"), (second, "2")):
                client.all([("PUBLISH", "x", f"{who} {i}") for i in range(at, at + 100)])
        heard = [listener.read()[1][2][1] for _ in range(2 * n)]
    for who in (b"1", b"2"):
        assert [int(m.split()[1]) for m in heard if m.startswith(who)] == list(range(n))


def test_publish_does_not_overtake_what_was_sent_before_it(ours: int) -> None:
    """UNSUBSCRIBE is Python's and PUBLISH is not: what came first is done first all the same."""
    with Client(ours) as listener, Client(ours) as publisher:
        for _ in range(300):
            listener("SUBSCRIBE", "order")
            listener.send("UNSUBSCRIBE")
            assert publisher.value("PUBLISH", "order", "m") == 0
            listener.read()


def test_whoever_leaves_is_forgotten(ours: int) -> None:
    with Client(ours) as other:
        listener = Client(ours)
        listener.send("SUBSCRIBE", "gone", "x")
        listener.read()
        listener("PSUBSCRIBE", "gone*")
        assert other.value("PUBLISH", "gone", "m") == 2
        listener.close()
        wait_until(lambda: other.value("PUBLISH", "gone", "m") == 0, "the server notices")
        assert other.value("PUBSUB", "CHANNELS", "gone") == []
        assert other.value("PUBSUB", "NUMPAT") == 0


def test_client_list_and_kill_know_listeners(ours: int) -> None:
    with Client(ours) as client, Client(ours) as listener, Client(ours, 3) as third:
        listener.send("SUBSCRIBE", "x", "y")
        listener.read()
        listener.read()
        listener("PSUBSCRIBE", "z*")
        third("SSUBSCRIBE", "s")
        lines = [line.split() for line in client.value("CLIENT", "LIST", "TYPE", "pubsub").decode().splitlines()]
        shown = [[word for word in line if word.split("=")[0] in ("flags", "sub", "psub", "ssub")] for line in lines]
        assert shown == [["flags=P", "sub=2", "psub=1", "ssub=0"], ["flags=P", "sub=0", "psub=0", "ssub=1"]]
        info = client.value("INFO", "stats").decode()
        assert "pubsub_channels:2\r\npubsub_patterns:1\r\npubsubshard_channels:1\r\n" in info
        assert len(client.value("CLIENT", "LIST", "TYPE", "normal").splitlines()) == 1
        assert client.value("CLIENT", "KILL", "TYPE", "pubsub") == 2
        with pytest.raises(EOFError):
            listener.read()
        assert client.value("PUBSUB", "CHANNELS") == []


# ---- those who do not read


def swamp(publisher: Client, size: int, most: int, ended: Any) -> int:
    """Publish until `ended`; how many bytes that took."""
    sent = 0
    message = b"x" * size
    while sent < most and not ended():
        publisher.all([("PUBLISH", "x", message)] * 16)
        sent += 16 * size
    return sent


def listeners(client: Client) -> int:
    return int(client.value("PUBSUB", "NUMSUB", "x")[1])


@pytest.mark.parametrize("io", IO_KINDS)
@pytest.mark.parametrize("resp", [2, 3])
def test_a_listener_who_does_not_read_is_cut_off_at_the_hard_limit(io: str, resp: int) -> None:
    mb = 1 << 20
    with tsunami_server("--io", io, "--client-output-buffer-limit", "pubsub 8mb 0 0") as server:
        with Client(server.port) as publisher, Client(server.port, resp) as slow, Client(server.port, resp) as quick:
            slow("SUBSCRIBE", "x")
            before = server.memory()
            sent = swamp(publisher, 64 * 1024, 200 * mb, lambda: listeners(publisher) == 0)
            assert 8 * mb <= sent < 40 * mb  # the kernel's buffers take some
            assert server.memory() - before < 48 * mb
            quick("SUBSCRIBE", "x")
            assert publisher.value("PUBLISH", "x", "m") == 1
            assert quick.read()[1][2] == ("$", b"m")
            assert "client_output_buffer_limit_disconnections:1\r\n" in publisher.value("INFO", "stats").decode()
        wait_until(lambda: any("its output limit" in line for line in server.log), "the line in the log")


@pytest.mark.parametrize("io", IO_KINDS)
def test_a_listener_above_the_soft_limit_for_too_long_is_cut_off(io: str) -> None:
    mb = 1 << 20
    with tsunami_server("--io", io, "--client-output-buffer-limit", "pubsub 0 1mb 1") as server:
        with Client(server.port) as publisher, Client(server.port) as slow, Client(server.port) as plain:
            slow("SUBSCRIBE", "x")
            swamp(publisher, 64 * 1024, 24 * mb, lambda: False)
            assert listeners(publisher) == 1
            start = time.monotonic()
            wait_until(lambda: listeners(publisher) == 0, "the slow listener is cut off", 10)
            assert 0.5 < time.monotonic() - start < 4
            assert plain.value("PING") == "PONG"


def test_the_limits_are_those_of_what_a_connection_is_now() -> None:
    """After UNSUBSCRIBE the limits of normal clients hold: none."""
    with our_server(**{"client-output-buffer-limit": "normal 0 0 0 pubsub 1mb 0 0"}) as server:
        with Client(server.port) as client, Client(server.port) as other:
            other.value("SET", "long", b"x" * (2 << 20))
            client("SUBSCRIBE", "x")
            client("UNSUBSCRIBE", "x")
            assert len(client.value("GET", "long")) == 2 << 20
            client("SUBSCRIBE", "x")
            other.value("PUBLISH", "x", b"y" * (2 << 20))
            with pytest.raises((EOFError, OSError)):
                client.read()


# ---- real clients


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_listens(ours: int, protocol: int) -> None:
    with redis.Redis(port=ours, protocol=protocol) as client:
        listener = client.pubsub()
        heard: list[Any] = []
        listener.subscribe("news", other=heard.append)
        listener.psubscribe("n*")
        wait_until(lambda: client.pubsub_numpat() == 1, "it has subscribed")
        assert client.publish("news", "hello") == 2
        assert client.publish("other", b"called") == 1
        got: list[Any] = []

        def gather() -> bool:
            message = listener.get_message(timeout=0.1)
            if message is not None and message["type"] in ("message", "pmessage"):
                got.append((message["type"], message["channel"], message["data"]))
            return len(got) == 2 and len(heard) == 1

        wait_until(gather, "messages come")
        assert got == [("message", b"news", b"hello"), ("pmessage", b"news", b"hello")]
        assert heard[0]["data"] == b"called"
        listener.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_listens_with_asyncio(ours: int, protocol: int) -> None:
    async def listen() -> list[Any]:
        async with redis.asyncio.Redis(port=ours, protocol=protocol) as client, client.pubsub() as listener:
            await listener.subscribe("news")
            while (await listener.get_message(timeout=5))["type"] != "subscribe":
                pass
            for i in range(3):
                assert await client.publish("news", str(i)) == 1
            return [(await listener.get_message(timeout=5))["data"] for _ in range(3)]

    assert asyncio.run(listen()) == [b"0", b"1", b"2"]
