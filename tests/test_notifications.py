"""Keyspace notifications: the same commands with a real redis-server and with ours, and what is heard of them.

After each command the one who listens is sent a mark; what came before it is what the command has caused.
"""

import time
from typing import Any

import pytest
from _redis import Client, our_server
from _server import tsunami_server

FAR = int(time.time()) + 100_000
PAST = 1_000_000_000
Words = tuple[Any, ...]


def heard(port: int, classes: str, commands: list[Words]) -> list[tuple[Words, Any, list[tuple[bytes, bytes]]]]:
    """Each command, its reply, and its events: (channel, message)."""
    story = []
    with Client(port) as client, Client(port) as listener:
        client.value("FLUSHALL")
        client.value("SELECT", "0")
        client.value("CONFIG", "SET", "notify-keyspace-events", classes)
        listener("PSUBSCRIBE", "*")
        for words in commands:
            reply = client(*words)
            client.value("PUBLISH", "end", "")
            events = []
            while (message := [item[1] for item in listener.read()[1]])[2] != b"end":
                events.append((message[2], message[3]))
            story.append((words, reply, events))
        client.value("CONFIG", "SET", "notify-keyspace-events", "")
    return story


STRINGS: list[Words] = [
    ("SET", "k", "v"), ("SET", "k", "v", "EX", "100"), ("SET", "k", "v", "KEEPTTL"), ("SET", "k", "v", "NX"),
    ("SET", "new", "v", "XX"), ("SET", "k", "w", "GET"), ("SETNX", "k", "v"), ("SETNX", "n", "v"),
    ("SETEX", "k", "100", "v"), ("PSETEX", "k", "100000", "v"), ("MSET", "a", "1", "b", "2", "a", "3"),
    ("MSETNX", "a", "1", "c", "2"), ("MSETNX", "c", "1", "d", "2"), ("GETSET", "k", "v"), ("GETDEL", "k"),
    ("GETDEL", "k"), ("SET", "k", "v"), ("GETEX", "k"), ("GETEX", "k", "EX", "100"), ("GETEX", "k", "PERSIST"),
    ("GETEX", "k", "PERSIST"), ("GETEX", "k", "EXAT", PAST), ("GETEX", "k", "EX", "100"), ("INCR", "i"),
    ("INCRBY", "i", "5"), ("DECR", "i"), ("DECRBY", "i", "2"), ("INCRBYFLOAT", "i", "1.5"), ("INCR", "i"),
    ("APPEND", "t", "x"), ("APPEND", "t", ""), ("SETRANGE", "t", "3", "abc"), ("SETRANGE", "t", "0", ""),
    ("SETRANGE", "none", "0", ""), ("SETBIT", "bits", "7", "1"), ("GET", "k"),
    ("SET", "q", "1", "GET"), ("MGET", "a", "none"),
    ("STRLEN", "t"), ("GETRANGE", "t", "0", "1"),
]  # fmt: skip
KEYS: list[Words] = [
    ("MSET", "a", "1", "b", "2", "c", "3"), ("DEL", "a", "none", "a", "b"), ("UNLINK", "c", "c"), ("SET", "k", "v"),
    ("EXPIRE", "k", "100"), ("EXPIRE", "k", "200", "NX"), ("PEXPIRE", "k", "100000"), ("EXPIREAT", "k", FAR),
    ("PEXPIREAT", "k", FAR * 1000), ("EXPIRE", "none", "100"), ("PERSIST", "k"), ("PERSIST", "k"),
    ("PERSIST", "none"), ("EXPIRE", "k", "-1"), ("SET", "k", "v"), ("EXPIREAT", "k", PAST), ("SET", "k", "v"),
    ("RENAME", "k", "l"), ("RENAME", "none", "l"), ("RENAME", "l", "l"), ("SET", "m", "1"), ("RENAME", "l", "m"),
    ("RENAMENX", "m", "k"), ("SET", "m", "1"), ("RENAMENX", "k", "m"), ("COPY", "k", "copy"), ("COPY", "k", "copy"),
    ("COPY", "k", "copy", "REPLACE"), ("COPY", "k", "k", "DB", "3"), ("COPY", "none", "l"), ("MOVE", "k", "2"),
    ("MOVE", "none", "2"), ("SET", "k", "x"), ("MOVE", "k", "2"), ("SELECT", "2"), ("DEL", "k"), ("TYPE", "k"),
    ("EXISTS", "k", "m"), ("TTL", "k"), ("TOUCH", "k"), ("FLUSHDB",), ("SELECT", "0"), ("FLUSHALL",),
]  # fmt: skip
HASHES: list[Words] = [
    ("HSET", "h", "a", "1", "b", "2"), ("HSET", "h", "a", "1"), ("HMSET", "h", "c", "3"), ("HSETNX", "h", "a", "1"),
    ("HSETNX", "h", "d", "1"), ("HINCRBY", "h", "a", "1"), ("HINCRBYFLOAT", "h", "a", "1.5"), ("HDEL", "h", "none"),
    ("HDEL", "h", "a", "b"), ("HDEL", "h", "c", "d"), ("HDEL", "h", "c"), ("HGET", "h", "a"), ("HGETALL", "h"),
    ("HLEN", "h"), ("HSET", "h", "f", "v"), ("RENAME", "h", "i"), ("COPY", "i", "h"), ("DEL", "h", "i"),
]  # fmt: skip
SETS: list[Words] = [
    ("SADD", "s", "1", "2", "3"), ("SADD", "s", "1"), ("SREM", "s", "none"), ("SREM", "s", "1"),
    ("SADD", "t", "2", "9"), ("SMOVE", "s", "t", "3"), ("SMOVE", "s", "t", "none"), ("SMOVE", "s", "new", "2"),
    ("SADD", "s", "a", "b"), ("SINTERSTORE", "d", "s", "t"), ("SUNIONSTORE", "d", "s", "t"),
    ("SINTERSTORE", "d", "s", "t"), ("SDIFFSTORE", "d", "s", "t"), ("SADD", "one", "x"), ("SPOP", "one"),
    ("SADD", "one", "x"), ("SPOP", "one", "5"), ("SPOP", "none"), ("SREM", "s", "a", "b"), ("SMEMBERS", "none"),
    ("SCARD", "t"),
]  # fmt: skip
ZSETS: list[Words] = [
    ("ZADD", "z", "1", "a", "2", "b"), ("ZADD", "z", "1", "a"), ("ZADD", "z", "XX", "5", "none"),
    ("ZADD", "z", "INCR", "2", "a"), ("ZINCRBY", "z", "1", "a"), ("ZREM", "z", "none"), ("ZREM", "z", "a"),
    ("ZREM", "z", "b"), ("ZADD", "z", "1", "a", "2", "b"), ("ZPOPMIN", "z"), ("ZPOPMAX", "z"), ("ZPOPMIN", "z"),
    ("ZADD", "z", "1", "a", "2", "b", "3", "c", "4", "d"), ("ZREMRANGEBYSCORE", "z", "1", "1"),
    ("ZREMRANGEBYRANK", "z", "0", "0"), ("ZREMRANGEBYSCORE", "z", "9", "9"), ("ZUNIONSTORE", "u", "1", "z"),
    ("ZINTERSTORE", "u", "2", "z", "none"), ("ZDIFFSTORE", "u", "1", "z"), ("ZRANGESTORE", "r", "z", "0", "-1"),
    ("ZRANGESTORE", "r", "z", "5", "6"), ("ZMPOP", "1", "z", "MIN"), ("ZREMRANGEBYLEX", "z", "-", "+"),
    ("ZSCORE", "z", "a"), ("ZINTERSTORE", "none", "1", "z"),
]  # fmt: skip
LISTS: list[Words] = [
    ("RPUSH", "l", "a", "b", "c"), ("LPUSH", "l", "x"), ("LPUSHX", "none", "x"), ("RPUSHX", "l", "y"),
    ("LSET", "l", "0", "z"), ("LINSERT", "l", "BEFORE", "z", "w"), ("LINSERT", "l", "BEFORE", "none", "w"),
    ("LREM", "l", "0", "none"), ("LREM", "l", "0", "w"), ("LTRIM", "l", "0", "3"), ("LPOP", "l"), ("RPOP", "l"),
    ("LPOP", "l", "0"), ("RPOPLPUSH", "l", "m"), ("RPOPLPUSH", "none", "m"), ("LMOVE", "m", "l", "LEFT", "RIGHT"),
    ("LMPOP", "1", "l", "LEFT"), ("LPOP", "l", "9"), ("RPUSH", "l", "a"), ("LTRIM", "l", "5", "6"),
    ("RPUSH", "l", "a"), ("LREM", "l", "0", "a"), ("LLEN", "l"),
]  # fmt: skip
RESULTS: list[Words] = [
    ("RPUSH", "l", "2", "1"), ("SORT", "l", "STORE", "r"), ("SORT", "none", "STORE", "r"),
    ("SORT", "none", "STORE", "r"),
    ("SET", "a", "x"), ("BITOP", "NOT", "b", "a"), ("BITOP", "OR", "b", "none"), ("BITOP", "OR", "b", "none"),
    ("SET", "b", "x"), ("SORT", "l", "STORE", "b"), ("SORT", "b", "STORE", "b"), ("SETBIT", "a", "1", "0"),
    ("SETBIT", "a", "1", "0"), ("BITFIELD", "a", "SET", "u8", "0", "1"), ("BITFIELD", "n", "GET", "u8", "0"),
]  # fmt: skip
STREAMS: list[Words] = [
    ("XADD", "s", "1-1", "f", "v"), ("XADD", "s", "2-1", "f", "v"), ("XADD", "s", "MAXLEN", "1", "3-1", "f", "v"),
    ("XADD", "none", "NOMKSTREAM", "1-1", "f", "v"), ("XDEL", "s", "9-9"), ("XDEL", "s", "3-1"),
    ("XADD", "s", "4-1", "f", "v"), ("XTRIM", "s", "MAXLEN", "5"), ("XTRIM", "s", "MAXLEN", "0"),
    ("XSETID", "s", "9-9"), ("DEL", "s"),
]  # fmt: skip
COMMANDS = {
    "strings": STRINGS, "keys": KEYS, "hashes": HASHES, "sets": SETS, "zsets": ZSETS, "lists": LISTS,
    "results": RESULTS, "streams": STREAMS,
}  # fmt: skip


@pytest.mark.parametrize("classes", ["KEA", "Kg", "E$", "KEAn", "KEAnm", "Em", "Kn"])
@pytest.mark.parametrize("group", COMMANDS)
def test_events_are_those_of_redis(theirs: int, ours: int, classes: str, group: str) -> None:
    commands = COMMANDS[group]
    for mine, redis_ in zip(heard(ours, classes, commands), heard(theirs, classes, commands), strict=True):
        assert mine == redis_


@pytest.mark.parametrize(
    "text", ["", "A", "KEA", "KE", "Kg$", "mKE", "xeE", "KEglshz$xetd", "KEglshz$xet", "Ak", "nK", "q"]
)
def test_the_setting_reads_as_in_redis(theirs: int, ours: int, text: str) -> None:
    def told(port: int) -> list[Any]:
        with Client(port) as client:
            client.value("CONFIG", "SET", "notify-keyspace-events", "")
            reply = client("CONFIG", "SET", "notify-keyspace-events", text)
            return [reply, client("CONFIG", "GET", "notify-keyspace-events")]

    assert told(ours) == told(theirs)


def events(listener: Client, n: int) -> list[tuple[bytes, bytes]]:
    return [(message[1][2][1], message[1][3][1]) for message in (listener.read() for _ in range(n))]


@pytest.mark.parametrize("active", [True, False], ids=["swept", "met"])
def test_a_key_that_expires_is_told_once(active: bool) -> None:
    """When it is swept, or when a command meets it; never before it is due. In a process of its own: others here serve
    the same databases, and sweep.
    """
    with tsunami_server() as server, Client(server.port) as client, Client(server.port) as listener:
        client.value("CONFIG", "SET", "notify-keyspace-events", "Ex")
        client.value("DEBUG", "SET-ACTIVE-EXPIRE", int(active))
        listener("PSUBSCRIBE", "*")
        begun = time.time()
        client.value("SET", "k", "v", "PX", "60")
        client.value("MSET", "other", "v", "third", "v")
        client.value("PEXPIRE", "third", "70")
        if not active:
            time.sleep(0.2)
            assert client.value("MGET", "k", "third") == [None, None]
        told = sorted(events(listener, 2))
        assert told == [(b"__keyevent@0__:expired", b"k"), (b"__keyevent@0__:expired", b"third")]
        assert time.time() - begun > 0.054
        client.value("GET", "k")
        client.value("PUBLISH", "end", "")
        assert events(listener, 1) == [(b"end", b"")]


def test_the_expired_event_comes_before_what_the_command_does() -> None:
    with tsunami_server() as server, Client(server.port) as client, Client(server.port) as listener:
        client.value("CONFIG", "SET", "notify-keyspace-events", "EA")
        client.value("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        listener("PSUBSCRIBE", "*")
        client.value("SET", "k", "v", "PX", "20")
        time.sleep(0.1)
        client.value("SET", "k", "w")
        kinds = [channel.rpartition(b":")[2] for channel, _ in events(listener, 4)]
        assert kinds == [b"set", b"expire", b"expired", b"set"]


def test_hot_commands_are_told_and_run_natively_again_afterwards() -> None:
    with our_server() as server, Client(server.port) as client, Client(server.port, 3) as listener:
        listener("SUBSCRIBE", "__keyevent@0__:set")
        cold = server._app.plane.counters()["cold_commands"]
        client.all([("SET", "k", "v")] * 100)
        assert server._app.plane.counters()["cold_commands"] == cold
        client.value("CONFIG", "SET", "notify-keyspace-events", "E$")
        client.all([("SET", "k", "v")] * 100)
        assert [listener.read()[1][2] for _ in range(100)] == [("$", b"k")] * 100
        client.value("CONFIG", "SET", "notify-keyspace-events", "")
        cold = server._app.plane.counters()["cold_commands"]
        client.all([("SET", "k", "v")] * 100)
        assert server._app.plane.counters()["cold_commands"] == cold


def test_a_listener_hears_of_its_own_changes_behind_the_reply() -> None:
    with our_server() as server, Client(server.port, 3) as client:
        client.value("CONFIG", "SET", "notify-keyspace-events", "E$")
        client("SUBSCRIBE", "__keyevent@0__:set")
        assert client("SET", "k", "v") == ("+", "OK")
        assert client.read() == (">", [("$", b"message"), ("$", b"__keyevent@0__:set"), ("$", b"k")])
