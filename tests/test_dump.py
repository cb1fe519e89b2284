"""DUMP and RESTORE: what goes out comes back, whatever it is; what is none of ours, damaged or forged is refused."""

import struct
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client
from hypothesis import given
from hypothesis import strategies as st

import tsunami
from tsunami_server.command import CommandError
from tsunami_server.commands import dump

FAR = 4_102_444_800_000


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        client("FLUSHALL")
        yield client
        tsunami.keyspace(0).check()


LOOKS = {
    "string": ("GET",), "hash": ("HGETALL",), "set": ("SMEMBERS",), "list": ("LRANGE", 0, -1),
    "zset": ("ZRANGE", 0, -1, "WITHSCORES"),
}  # fmt: skip


def content(client: Client, key: str) -> Any:
    kind = client.value("TYPE", key)
    name, *rest = LOOKS[kind]
    found = client.value(name, key, *rest)
    return kind, client.value("OBJECT", "ENCODING", key), sorted(found) if kind in ("set", "hash") else found


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("kind", ["string", "hash", "set", "zset", "list"])
def test_every_value_comes_back(client: Client, kind: str, size: int) -> None:
    words: dict[str, tuple[Any, ...]] = {
        "string": ("SET", "k", b"\x00\xff" * size),
        "hash": ("HSET", "k", *[w for i in range(size) for w in (b"f%d\xff" % i, b"v%d" % i)]),
        "set": ("SADD", "k", *[b"m%d\xff" % i for i in range(size)]),
        "zset": ("ZADD", "k", *[w for i in range(size) for w in ((b"inf", b"-inf", b"0.1", b"7")[i % 4], b"m%d" % i)]),
        "list": ("RPUSH", "k", *[b"e%d" % (i % 7) for i in range(size)]),
    }  # fmt: skip
    client(*words[kind])
    before = content(client, "k")
    payload = client.value("DUMP", "k")
    assert client("RESTORE", "copy", 0, payload) == ("+", "OK")
    assert content(client, "copy") == before
    client("DEL", "k")
    assert client("RESTORE", "k", 0, payload) == ("+", "OK")
    assert content(client, "k") == before  # the payloads may differ: each table has its rows in an order of its own


def test_scores_come_back_exactly(client: Client) -> None:
    scores = [b"0.1", b"5e-324", b"1.7976931348623157e+308", b"-0.30000000000000004"]
    client("ZADD", "z", *[w for i, score in enumerate(scores) for w in (score, b"m%d" % i)])
    client("RESTORE", "copy", 0, client.value("DUMP", "z"))
    assert [client.value("ZSCORE", "copy", f"m{i}") for i in range(4)] == [
        client.value("ZSCORE", "z", f"m{i}") for i in range(4)
    ]


def test_deadlines_of_fields_come_back(client: Client) -> None:
    client("HSET", "h", "a", "1", "b", "2", "c", "3")
    client("HPEXPIREAT", "h", FAR, "FIELDS", 1, "a")
    client("HPEXPIRE", "h", 50, "FIELDS", 1, "b")
    payload = client.value("DUMP", "h")
    client("RESTORE", "copy", 0, payload)
    assert client.value("HPEXPIRETIME", "copy", "FIELDS", 3, "a", "b", "c")[0::2] == [FAR, -1]
    time.sleep(0.06)
    assert client.value("HLEN", "copy") == 2
    client("RESTORE", "late", 0, payload)
    assert sorted(client.value("HKEYS", "late")) == [b"a", b"c"]


def test_a_hash_whose_fields_have_all_expired_is_not_restored(client: Client) -> None:
    client("HSET", "h", "a", "1")
    client("HPEXPIRE", "h", 20, "FIELDS", 1, "a")
    payload = client.value("DUMP", "h")
    time.sleep(0.03)
    assert client("RESTORE", "late", 0, payload) == ("+", "OK")
    assert client.value("EXISTS", "late") == 0


def test_what_python_put_there_comes_back_as_it_was(client: Client) -> None:
    values = [{"name": "alice", "tags": ["a", (1, 2.5)]}, {"a", 7}, ["x"], 5, (1, "two", None), "text"]
    tsunami.keyspace(0).insert([(f"k{i}", value) for i, value in enumerate(values)])
    for i, value in enumerate(values):
        assert client("RESTORE", f"copy{i}", 0, client.value("DUMP", f"k{i}")) == ("+", "OK")
        assert tsunami.keyspace(0).lookup(f"copy{i}") == [(f"copy{i}".encode(), value)]


def test_what_cannot_leave_the_process_says_so(client: Client) -> None:
    tsunami.keyspace(0).insert(("k", object()))
    mark, text = client("DUMP", "k")
    assert mark == "-"
    assert "reference term" in text


def test_options(client: Client) -> None:
    client("SET", "k", "v")
    payload = client.value("DUMP", "k")
    assert client("RESTORE", "k", 0, payload) == ("-", "BUSYKEY Target key name already exists.")
    assert client("RESTORE", "k", 5000, payload, "REPLACE") == ("+", "OK")
    assert 0 < client.value("PTTL", "k") <= 5000
    assert client("RESTORE", "k", FAR, payload, "REPLACE", "ABSTTL") == ("+", "OK")
    assert client.value("PEXPIRETIME", "k") == FAR
    assert client("RESTORE", "k", 1, payload, "REPLACE", "ABSTTL") == ("+", "OK")
    assert client.value("EXISTS", "k") == 0
    assert client("RESTORE", "k", 0, payload, "IDLETIME", 1000) == ("+", "OK")
    assert 1000 <= client.value("OBJECT", "IDLETIME", "k") <= 1002
    client("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    assert client("RESTORE", "k", 0, payload, "replace", "FREQ", 100) == ("+", "OK")
    assert 95 <= client.value("OBJECT", "FREQ", "k") <= 100
    client("CONFIG", "SET", "maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("-1",), "ERR Invalid TTL value, must be >= 0"), (("x",), "ERR value is not an integer or out of range"),
        (("0", "FOO"), "ERR syntax error"), (("0", "IDLETIME"), "ERR syntax error"),
        (("0", "IDLETIME", "-1"), "ERR Invalid IDLETIME value, must be >= 0"),
        (("0", "FREQ", "256"), "ERR Invalid FREQ value, must be >= 0 and <= 255"),
        (("0", "FREQ", "1", "IDLETIME", "1"), "ERR syntax error"),
    ],
)  # fmt: skip
def test_errors(client: Client, words: tuple[str, ...], text: str) -> None:
    client("SET", "k", "v")
    ttl, *options = words
    assert client("RESTORE", "new", ttl, client.value("DUMP", "k"), *options) == ("-", text)


def test_there_is_nothing_to_dump(client: Client) -> None:
    assert client.value("DUMP", "none") is None


def test_every_damaged_byte_is_found(client: Client) -> None:
    client("HSET", "h", "a", "1")
    payload = client.value("DUMP", "h")
    for at in range(len(payload)):
        broken = payload[:at] + bytes([payload[at] ^ 0x20]) + payload[at + 1 :]
        assert client("RESTORE", "new", 0, broken) == ("-", "ERR DUMP payload version or checksum are wrong")
    for broken in (b"", payload[:-1], payload + b"x", b"\x00\x03foo\x0a\x00\x8d\x50\x4e\x86\x8c\x5c\xd0\x9b"):
        assert client("RESTORE", "new", 0, broken) == ("-", "ERR DUMP payload version or checksum are wrong")


def forged(data: bytes, version: int = dump.VERSION) -> bytes:
    data += struct.pack(">H", version)
    return data + struct.pack(">I", zlib.crc32(data))


def test_a_later_version_is_refused(client: Client) -> None:
    assert client("RESTORE", "k", 0, forged(b"\0", 2)) == ("-", "ERR DUMP payload version or checksum are wrong")


def large(kind: object, rows: list[tuple[object, ...]], *more: list[tuple[object, ...]]) -> bytes:
    parts = [dump.section_of((0, kind, None)), dump.section_of(*rows), *[dump.section_of(*some) for some in more]]
    return forged(b"\1" + b"".join(parts))


@pytest.mark.parametrize(
    "payload",
    [
        forged(b"\0"), forged(b"\7"), forged(b"\0" + b"\xff" * 20), forged(b"\1" + struct.pack(">Q", 1 << 40)),
        forged(b"\0" + dump.section_of((0, {}))), forged(b"\0" + dump.section_of((0, []))),
        forged(b"\0" + dump.section_of((0, [(b"a", "x")]))), forged(b"\0" + dump.section_of((0, {(1, 2): b"x"}))),
        large("nosuch", [(b"a",)]), large(5, [(b"a",)]), large("set", []), large("set", [(b"a", b"b")]),
        large("set", [((1, 2),)]), large("zset", [(b"a", b"x")]), large("zset", [(b"a", True)]),
        large("zset", [(b"a", 10**400)]),
        large("hash", [(b"a", b"b")]), large("hash", [(b"a", b"b")], [(b"x", b"a")]),
        large("hash", [(b"a", b"b")], [(FAR, b"c")]), large("hash", [(b"a", (1,))], []), large("list", [(1,)]),
        large("list", [(1, (2,))]), large([1], [(b"a",)]), large("set", [(b"a",)])[:-6] + forged(b"")[-6:],
    ],
)  # fmt: skip
def test_a_forged_payload_is_refused(client: Client, payload: bytes) -> None:
    mark, text = client("RESTORE", "k", 0, payload)
    assert (mark, text) in (("-", "ERR Bad data format"), ("-", "ERR DUMP payload version or checksum are wrong"))
    assert client.value("EXISTS", "k") == 0


@given(st.binary(max_size=80), st.integers(0, 1))
def test_no_bytes_break_the_reader(data: bytes, form: int) -> None:
    try:
        dump.restored(forged(bytes([form]) + data), 0)
    except CommandError as error:
        assert str(error) == "ERR Bad data format"
