"""SORT: replies are compared with Redis's in test_differential_collections.py; here are what that cannot see (which
keys a call names, one moment over all keys, events) and the cases whose results are known.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client

import tsunami
from tsunami_server.command import registry


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        client("FLUSHALL")
        yield client
        tsunami.keyspace(0).check()


@pytest.fixture(params=["list", "set", "zset"])
def key(request: pytest.FixtureRequest, client: Client) -> str:
    elements = ["3", "1", "2", "10"]
    words = {"list": ("RPUSH", "k"), "set": ("SADD", "k"), "zset": ("ZADD", "k")}[request.param]
    client(*words, *([w for e in elements for w in ("0", e)] if request.param == "zset" else elements))
    return "k"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "1 2 3 10"), ("DESC", "10 3 2 1"), ("ALPHA", "1 10 2 3"), ("ALPHA DESC", "3 2 10 1"),
        ("LIMIT 1 2", "2 3"), ("LIMIT 0 0", ""), ("LIMIT 9 9", ""), ("LIMIT -1 2", "1 2"), ("LIMIT 2 -1", "3 10"),
        ("BY w_*", "10 3 2 1"), ("BY h_*->n", "2 1 10 3"), ("BY none_*", "1 10 2 3"),
        ("GET w_* GET #", "4 1 3 2 2 3 1 10"),
        ("BY w_* ALPHA", "10 3 2 1"), ("BY w_* DESC", "1 2 3 10"),
    ],
)  # fmt: skip
def test_orders(client: Client, key: str, options: str, expected: str) -> None:
    client("MSET", "w_1", 4, "w_2", 3, "w_3", 2, "w_10", 1)
    client("HSET", "h_2", "n", "-1")
    client("HSET", "h_3", "n", "7")
    for name in ("SORT", "SORT_RO"):
        assert client.value(name, key, *options.split()) == [word.encode() for word in expected.split()]


def test_fields_and_what_is_missing(client: Client, key: str) -> None:
    client("HSET", "h_1", "n", "one", "->", "odd")
    client("SET", "s_1", "text")
    assert client.value("SORT", key, "GET", "h_*->n", "GET", "s_*->n", "GET", "h_*", "LIMIT", 0, 1) == [
        b"one", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize("options", ["BY nosort", "BY nosort DESC", "BY nosort LIMIT 1 2", "BY nosort DESC LIMIT 1 2"])
@pytest.mark.parametrize("size", [10, 1000])
def test_what_has_an_order_keeps_it(client: Client, options: str, size: int) -> None:
    client("RPUSH", "l", *range(size))
    client("ZADD", "z", *[word for n in range(size) for word in (n, n)])
    expected = list(range(size))[:: -1 if "DESC" in options else 1]
    expected = expected[1:3] if "LIMIT" in options else expected
    for name in ("l", "z"):
        assert client.value("SORT", name, *options.split()) == [b"%d" % n for n in expected]


def test_a_result_is_stored_as_a_list(client: Client, key: str) -> None:
    client("SET", "to", "x")
    assert client.value("SORT", key, "STORE", "to") == 4
    assert client.value("LRANGE", "to", 0, -1) == [b"1", b"2", b"3", b"10"]
    assert client.value("SORT", key, "GET", "none_*", "STORE", "to") == 4
    assert client.value("LRANGE", "to", 0, -1) == [b""] * 4
    assert client.value("SORT", "none", "STORE", "to") == 0
    assert client.value("EXISTS", "to") == 0
    assert client.value("SORT", key, "STORE", key) == 4
    assert client.value("TYPE", key) == "list"


def test_a_set_that_is_not_sorted_is_stored_in_order(client: Client) -> None:
    client("SADD", "s", "b", "a", "c")
    client("SORT", "s", "BY", "nosort", "STORE", "to")
    assert client.value("LRANGE", "to", 0, -1) == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("SORT", "l"), "ERR One or more scores can't be converted into double"),
        (("SORT", "l", "LIMIT", "x", "1"), "ERR value is not an integer or out of range"),
        (("SORT", "l", "LIMIT", "1"), "ERR syntax error"),
        (("SORT", "l", "FOO"), "ERR syntax error"),
        (("SORT_RO", "l", "STORE", "x"), "ERR syntax error"),
        (("SORT", "h"), "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ],
)
def test_errors(client: Client, words: tuple[str, ...], text: str) -> None:
    client("RPUSH", "l", "a", "1")
    client("HSET", "h", "a", "1")
    assert client(*words) == ("-", text)


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("SORT k STORE to", [b"k", b"to"]), ("SORT k", [b"k"]), ("SORT k STORE a STORE b", [b"k", b"b"]),
        ("SORT k BY STORE GET STORE", [b"k"]), ("SORT k LIMIT STORE STORE STORE to", [b"k", b"to"]),
        ("SORT_RO k BY w_*", [b"k"]), ("SORT k STORE", [b"k"]),
    ],
)  # fmt: skip
def test_the_keys_that_a_call_names(client: Client, words: str, keys: list[bytes]) -> None:
    argv = words.encode().split()
    assert [key for key, _ in registry.find(argv).find_keys(argv)] == keys
    assert client.value("COMMAND", "GETKEYS", *argv) == keys


def test_events(client: Client, server: Any, key: str) -> None:
    client("CONFIG", "SET", "notify-keyspace-events", "KEA")
    with Client(server.port) as listener:
        listener("PSUBSCRIBE", "__keyspace@0__:to")
        client("SORT", key, "STORE", "to")
        client("SORT", "none", "STORE", "to")
        assert [listener.read()[1][3][1] for _ in range(2)] == [b"sortstore", b"del"]
    client("CONFIG", "SET", "notify-keyspace-events", "")
