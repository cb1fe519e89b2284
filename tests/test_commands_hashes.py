"""Hashes over RESP: what Redis 7.0 has is compared with it in test_differential_collections.py; here is what it has
not (fields that expire, NOVALUES), what can only be counted (random fields), both forms as Python sees them, events.
"""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client
from _support import wait_until

import tsunami
from tsunami._core import Collection

FAR = 4_102_444_800  # the year 2100


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Client]:
    with Client(server.port, request.param) as client:
        client("FLUSHALL")
        yield client
        tsunami.keyspace(0).check()


def many(client: Client, n: int = 1000, key: str = "h") -> None:
    client("HSET", key, *[word for i in range(n) for word in (f"f{i}", i)])


# ---- two forms


def test_a_small_hash_is_a_dict_to_python(client: Client) -> None:
    client("HSET", "user:1", "name", "alice", "age", "30")
    assert tsunami.keyspace(0).lookup("user:1") == [(b"user:1", {b"name": b"alice", b"age": b"30"})]
    assert client.value("OBJECT", "ENCODING", "user:1") == b"listpack"


def test_a_large_hash_is_a_collection_to_python(client: Client) -> None:
    many(client)
    [(_, value)] = tsunami.keyspace(0).lookup("h")
    assert type(value) is Collection
    assert value.copy() == {b"f%d" % i: b"%d" % i for i in range(1000)}
    assert client.value("OBJECT", "ENCODING", "h") == b"hashtable"
    assert client.value("HLEN", "h") == 1000


def test_a_dict_of_python_is_a_hash(client: Client) -> None:
    tsunami.keyspace(0).insert(("h", {"name": "alice", "age": 30}))
    assert client.value("HGET", "h", "name") == b"alice"
    assert client.value("HINCRBY", "h", "age", 1) == 31
    assert tsunami.keyspace(0)["h"][1] == {"name": "alice", "age": b"31"}


def test_a_walk_gives_every_field_once(client: Client) -> None:
    many(client, 5000)
    cursor, found = "0", []
    while True:
        cursor, some = client.value("HSCAN", "h", cursor, "COUNT", 100)
        found += some[::2]
        if cursor == b"0":
            break
    assert len(found) == 5000
    assert len(set(found)) == 5000


@pytest.mark.parametrize("n", [3, 1000])
def test_a_scan_without_values(client: Client, n: int) -> None:
    many(client, n)
    _, found = client.value("HSCAN", "h", 0, "COUNT", 10_000, "NOVALUES")
    assert sorted(found) == sorted(b"f%d" % i for i in range(n))
    assert client("SSCAN", "nosuch", 0, "NOVALUES") == ("*", [("$", b"0"), ("*", [])])
    client("SADD", "s", "a")
    assert client("SSCAN", "s", 0, "NOVALUES") == ("-", "ERR NOVALUES option can only be used in HSCAN")


# ---- random fields


@pytest.mark.parametrize("n", [10, 700])
def test_random_fields_are_uniform(client: Client, n: int) -> None:
    """Chi-square over 40 draws a field: 5 standard deviations from what is to be expected. Both forms."""
    many(client, n)
    drawn: Counter[bytes] = Counter()
    for _ in range(20):  # few at once, so that the tables' own choice is made
        for reply in client.all([("HRANDFIELD", "h", -(n // 10))] * 20):
            drawn.update(word for _, word in reply[1])
    mean = drawn.total() / n
    chi = sum((drawn[b"f%d" % i] - mean) ** 2 / mean for i in range(n))
    assert abs(chi - (n - 1)) < 5 * (2 * (n - 1)) ** 0.5


@pytest.mark.parametrize(("count", "got"), [(5, 5), (999, 999), (2000, 1000), (0, 0)])
def test_a_count_gives_different_fields(client: Client, count: int, got: int) -> None:
    many(client)
    found = client.value("HRANDFIELD", "h", count)
    assert len(found) == got
    assert len(set(found)) == got


def test_fields_are_chosen_from_what_is_left_of_a_large_hash(client: Client) -> None:
    many(client, 20_000)
    client("HDEL", "h", *[f"f{i}" for i in range(20_000) if i not in (7, 9999)])
    start = time.monotonic()
    assert {reply[1] for reply in client.all([("HRANDFIELD", "h")] * 200)} == {b"f7", b"f9999"}
    assert time.monotonic() - start < 2


def test_pairs_come_as_the_version_has_them(client: Client) -> None:
    client("HSET", "h", "a", "1")
    told = client("HRANDFIELD", "h", 1, "WITHVALUES")
    pair = [("$", b"a"), ("$", b"1")]
    assert told == ("*", pair) or told == ("*", [("*", pair)])
    assert client("HRANDFIELD", "h", -9223372036854775807)[0] == "-"


# ---- fields that expire


def expiring(client: Client, *fields: str, ms: int = 60) -> None:
    assert client.value("HPEXPIRE", "h", ms, "FIELDS", len(fields), *fields) == [1] * len(fields)


def test_a_deadline_is_told_in_all_its_forms(client: Client) -> None:
    client("HSET", "h", "a", "1", "b", "2")
    assert client.value("HEXPIREAT", "h", FAR, "FIELDS", "2", "a", "none") == [1, -2]
    assert client.value("HEXPIRETIME", "h", "FIELDS", "3", "a", "b", "none") == [FAR, -1, -2]
    assert client.value("HPEXPIRETIME", "h", "FIELDS", "1", "a") == [FAR * 1000]
    [left] = client.value("HPTTL", "h", "FIELDS", "1", "a")
    [seconds] = client.value("HTTL", "h", "FIELDS", "1", "a")
    assert abs(left / 1000 + time.time() - FAR) < 2
    assert abs(seconds - left / 1000) < 2
    assert client.value("OBJECT", "ENCODING", "h") == b"hashtable"
    assert client.value("HPERSIST", "h", "FIELDS", "3", "a", "b", "none") == [1, -1, -2]
    assert client.value("HTTL", "h", "FIELDS", "1", "a") == [-1]


@pytest.mark.parametrize("command", ["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME", "HPERSIST"])
def test_a_key_that_is_not_there_has_no_fields(client: Client, command: str) -> None:
    assert client.value(command, "h", "FIELDS", "2", "a", "b") == [-2, -2]


def test_expiry_of_a_key_that_is_not_there(client: Client) -> None:
    assert client.value("HEXPIRE", "h", "10", "FIELDS", "2", "a", "b") == [-2, -2]
    assert client.value("EXISTS", "h") == 0


@pytest.mark.parametrize(
    ("condition", "before", "told"),
    [
        ("NX", None, 1), ("NX", FAR, 0), ("XX", None, 0), ("XX", FAR, 1), ("GT", None, 0), ("GT", FAR - 1, 1),
        ("GT", FAR, 0), ("LT", None, 1), ("LT", FAR + 1, 1), ("LT", FAR, 0), ("nx", FAR, 0),
    ],
)  # fmt: skip
def test_conditions(client: Client, condition: str, before: int | None, told: int) -> None:
    client("HSET", "h", "a", "1")
    if before is not None:
        client("HEXPIREAT", "h", before, "FIELDS", "1", "a")
    assert client.value("HEXPIREAT", "h", FAR, condition, "FIELDS", "1", "a") == [told]


def test_what_is_past_is_deleted(client: Client) -> None:
    client("HSET", "h", "a", "1", "b", "2")
    assert client.value("HEXPIRE", "h", "0", "FIELDS", "1", "a") == [2]
    assert client.value("HGETALL", "h") in ({b"b": b"2"}, [b"b", b"2"])
    assert client.value("HPEXPIREAT", "h", "1", "FIELDS", "1", "b") == [2]
    assert client.value("EXISTS", "h") == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("HEXPIRE", "h", "x", "FIELDS", "1", "a"), "ERR value is not an integer or out of range"),
        (("HEXPIRE", "h", "-1", "FIELDS", "1", "a"), "ERR invalid expire time, must be >= 0"),
        (("HEXPIRE", "h", "70368744178", "FIELDS", "1", "a"), "ERR invalid expire time in 'hexpire' command"),
        (("HPEXPIREAT", "h", "70368744177664", "FIELDS", "1", "a"), "ERR invalid expire time in 'hpexpireat' command"),
        (("HPEXPIRE", "h", "70368744177663", "FIELDS", "1", "a"), "ERR invalid expire time in 'hpexpire' command"),
        (("HEXPIRE", "h", "1", "FOO", "FIELDS", "1", "a"),
         "ERR Mandatory argument FIELDS is missing or not at the right position"),
        (("HTTL", "h", "FOO", "1", "a"), "ERR Mandatory argument FIELDS is missing or not at the right position"),
        (("HEXPIRE", "h", "1", "FIELDS", "0", "a"), "ERR Parameter `numFields` should be greater than 0"),
        (("HEXPIRE", "h", "1", "FIELDS", "x", "a"), "ERR Parameter `numFields` should be greater than 0"),
        (("HTTL", "h", "FIELDS", "0", "a"), "ERR Number of fields must be a positive integer"),
        (("HPERSIST", "h", "FIELDS", "x", "a"), "ERR Number of fields must be a positive integer"),
        (("HEXPIRE", "h", "1", "FIELDS", "2", "a"), "ERR The `numfields` parameter must match the number of arguments"),
        (("HTTL", "h", "FIELDS", "1", "a", "b"), "ERR The `numfields` parameter must match the number of arguments"),
        (("HEXPIRE", "h", "1", "FIELDS", "1"), "ERR wrong number of arguments for 'hexpire' command"),
        (("HEXPIRE", "s", "x", "FIELDS", "1", "a"),
         "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_redis_words(client: Client, words: tuple[str, ...], text: str) -> None:
    client("HSET", "h", "a", "1")
    client("SET", "s", "x")
    assert client(*words) == ("-", text)
    assert client.value("HTTL", "h", "FIELDS", "1", "a") == [-1]


def test_a_field_that_is_due_is_gone_at_once(client: Client) -> None:
    client("HSET", "h", "a", "1", "b", "2", "c", "3")
    expiring(client, "a", "b", ms=30)
    time.sleep(0.031)
    assert client.value("HLEN", "h") == 1
    assert client.value("HMGET", "h", "a", "b", "c") == [None, None, b"3"]
    assert client.value("HEXISTS", "h", "a") == 0
    assert client.value("HKEYS", "h") == [b"c"]


def test_the_number_of_fields_is_right_before_they_are_swept(client: Client, server: Any) -> None:
    many(client, 600)
    client("HSET", "h", "last", "x")
    server._app.active_expire = False
    try:
        expiring(client, *[f"f{i}" for i in range(600)], ms=40)
        time.sleep(0.041)
        value = tsunami.keyspace(0)["h"][1]
        assert (len(value), value.copy()) == (601, {b"last": b"x"})
        assert client.value("HLEN", "h") == 1
        assert len(value) == 1  # the command has swept
    finally:
        server._app.active_expire = True


@pytest.mark.parametrize("ask", [("TYPE", "h"), ("EXISTS", "h"), ("DBSIZE",), ("KEYS", "*"), ("SCAN", 0), ("TTL", "h")])
def test_a_hash_whose_last_field_has_expired_is_gone(client: Client, ask: tuple[str | int, ...]) -> None:
    empty = client(*ask)
    client("HSET", "h", "a", "1", "b", "2")
    expiring(client, "a", ms=20)
    expiring(client, "b", ms=40)
    assert client(*ask) != empty
    wait_until(lambda: client(*ask) == empty, "the key is gone", 0.5)
    assert tsunami.keyspace(0).lookup("h") == []


def test_python_sees_it_gone_without_any_command(client: Client) -> None:
    client("HSET", "h", "a", "1")
    expiring(client, "a", ms=20)
    wait_until(lambda: "h" not in tsunami.keyspace(0), "the row is gone", 0.5)


def test_setting_a_field_takes_its_deadline_away(client: Client) -> None:
    client("HSET", "h", "a", "1", "b", "1", "c", "1", "d", "1.5")
    expiring(client, "a", "b", "c", "d", ms=50)
    client("HSET", "h", "a", "2")
    assert client.value("HINCRBY", "h", "c", "1") == 2
    assert client.value("HINCRBYFLOAT", "h", "d", "1") == b"2.5"
    assert client.value("HTTL", "h", "FIELDS", "1", "a") == [-1]
    assert [left >= 0 for left in client.value("HPTTL", "h", "FIELDS", "3", "b", "c", "d")] == [True] * 3
    time.sleep(0.051)
    assert client.value("HKEYS", "h") == [b"a"]


def test_deadlines_that_were_replaced_are_forgotten(client: Client) -> None:
    client("HSET", "h", "a", "1", "b", "2")
    for _ in range(50):
        client("HEXPIRE", "h", "1000", "FIELDS", "1", "a")
        client("HPEXPIRE", "h", "5000000", "FIELDS", "1", "a")
        client("HSET", "h", "a", "1")
    client("HEXPIRE", "h", "1000", "FIELDS", "1", "b")
    client("HDEL", "h", "b")
    assert len(tsunami.keyspace(0)["h"][1].order) == 0


@pytest.mark.parametrize("how", ["RENAME", "COPY", "MOVE", "SWAPDB"])
def test_deadlines_go_where_the_hash_goes(client: Client, how: str) -> None:
    client("HSET", "h", "a", "1", "b", "2")
    expiring(client, "a", ms=80)
    words = {"RENAME": ("RENAME", "h", "g"), "COPY": ("COPY", "h", "g"), "MOVE": ("MOVE", "h", "1"),
             "SWAPDB": ("SWAPDB", "0", "1")}[how]  # fmt: skip
    client(*words)
    if how == "COPY":
        client("DEL", "h")
    key, db = ("g", 0) if how in ("RENAME", "COPY") else ("h", 1)
    client("SELECT", db)
    assert client.value("HLEN", key) == 2
    client("HDEL", key, "b")
    wait_until(lambda: key not in tsunami.keyspace(db), "the key is gone in its new place", 0.5)
    client("SELECT", 0)


def test_hashes_that_are_gone_are_forgotten(client: Client, server: Any) -> None:
    timed = server._app.shared.timed
    for _ in range(40):
        client.all([("HSET", f"h{i}", "a", "1") for i in range(50)])
        client.all([("HEXPIRE", f"h{i}", "100000", "FIELDS", "1", "a") for i in range(50)])
        client("FLUSHDB")
    wait_until(lambda: len(timed) < 10, "the list empties", 5)
    assert len(timed._heap) < 50


def test_events(client: Client, server: Any) -> None:
    client("CONFIG", "SET", "notify-keyspace-events", "KEA")
    with Client(server.port) as listener:
        listener("PSUBSCRIBE", "__keyspace@0__:h")
        requests: list[tuple[str | int, ...]] = [
            ("HSET", "h", "a", "1", "b", "2", "c", "3"), ("HINCRBY", "h", "a", "1"), ("HINCRBYFLOAT", "h", "a", "1"),
            ("HSETNX", "h", "a", "1"), ("HSETNX", "h", "d", "1"), ("HDEL", "h", "none"), ("HDEL", "h", "d"),
            ("HEXPIRE", "h", "100", "FIELDS", "1", "a"), ("HPERSIST", "h", "FIELDS", "1", "a"),
            ("HEXPIRE", "h", "0", "FIELDS", "1", "a"), ("HPEXPIRE", "h", "10", "FIELDS", "1", "b"),
        ]  # fmt: skip
        client.all(requests)
        expected = ["hset", "hincrby", "hincrbyfloat", "hset", "hdel", "hexpire", "hpersist", "hdel", "hexpire",
                    "hexpired"]  # fmt: skip
        assert [listener.read()[1][3][1].decode() for _ in expected] == expected
        client("HDEL", "h", "c")
        assert [listener.read()[1][3][1] for _ in range(2)] == [b"hdel", b"del"]
        client("HSET", "h", "a", "1")
        client("HPEXPIRE", "h", "10", "FIELDS", "1", "a")
        assert [listener.read()[1][3][1] for _ in range(4)] == [b"hset", b"hexpire", b"hexpired", b"del"]
    client("CONFIG", "SET", "notify-keyspace-events", "")
