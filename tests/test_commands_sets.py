"""Sets over RESP: replies are compared with Redis's in test_differential_collections.py; here are the two forms as
Python sees them, when one becomes the other, what is chosen at random, how much work is done, and events.
"""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client

import tsunami
from tsunami._core import Collection


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Client]:
    with Client(server.port, request.param) as client:
        client("FLUSHALL")
        yield client
        tsunami.keyspace(0).check()


def fill(client: Client, key: str, n: int, name: str = "m{}") -> None:
    client("SADD", key, *[name.format(i) for i in range(n)])


# ---- two forms


def test_a_small_set_is_a_set_to_python(client: Client) -> None:
    client("SADD", "s", "a", "b", "1")
    assert tsunami.keyspace(0).lookup("s") == [(b"s", {b"a", b"b", b"1"})]


def test_a_large_set_is_a_collection_to_python(client: Client) -> None:
    fill(client, "s", 1000)
    value = tsunami.keyspace(0)["s"][1]
    assert type(value) is Collection
    assert value.copy() == {b"m%d" % i for i in range(1000)}


def test_a_set_of_python_is_a_set(client: Client) -> None:
    tsunami.keyspace(0).insert([("s", {"a", 7}), ("f", frozenset({b"x"}))])
    assert client.value("SISMEMBER", "s", "7") == 1
    assert client.value("SADD", "s", "a", "b") == 1
    assert tsunami.keyspace(0)["s"][1] == {"a", 7, b"b"}
    assert client.value("SADD", "f", "x", "y") == 1


@pytest.mark.parametrize(
    ("members", "encoding"),
    [
        (["1", "2"], "intset"), (["1", "a"], "listpack"), (["1", "01"], "listpack"), (["x" * 64], "listpack"),
        (["x" * 65], "hashtable"),
        ([str(i) for i in range(512)], "intset"), ([str(i) for i in range(513)], "hashtable"),
        ([f"m{i}" for i in range(128)], "listpack"), ([f"m{i}" for i in range(129)], "hashtable"),
        ([*[str(i) for i in range(128)], "a"], "hashtable"), (["a", *[str(i) for i in range(128)]], "hashtable"),
        ([*[str(i) for i in range(127)], "a"], "listpack"),
    ],
    ids=lambda value: f"{len(value)}-{value[-1][:4]}" if isinstance(value, list) else value,
)  # fmt: skip
@pytest.mark.parametrize("at_once", [True, False])
def test_encodings_are_by_redis_rules(client: Client, members: list[str], encoding: str, at_once: bool) -> None:
    if at_once:
        client("SADD", "s", *members)
    else:
        client.all([("SADD", "s", member) for member in members])
    assert client.value("OBJECT", "ENCODING", "s") == encoding.encode()
    assert client.value("SCARD", "s") == len(members)
    assert (type(tsunami.keyspace(0)["s"][1]) is Collection) == (encoding == "hashtable")


def test_a_large_set_stays_large(client: Client) -> None:
    fill(client, "s", 200)
    client("SREM", "s", *[f"m{i}" for i in range(199)])
    assert client.value("OBJECT", "ENCODING", "s") == b"hashtable"
    assert client.value("SMEMBERS", "s") == [b"m199"]


def test_a_walk_gives_every_member_once(client: Client) -> None:
    fill(client, "s", 5000)
    cursor, found = "0", []
    while True:
        cursor, some = client.value("SSCAN", "s", cursor, "COUNT", 100)
        found += some
        if cursor == b"0":
            break
    assert (len(found), len(set(found))) == (5000, 5000)


# ---- random members


@pytest.mark.parametrize("n", [10, 700])
@pytest.mark.parametrize("command", [("SRANDMEMBER", "s", "-{}"), ("SRANDMEMBER", "s", "{}")])
def test_random_members_are_uniform(client: Client, n: int, command: tuple[str, ...]) -> None:
    """Chi-square: 5 standard deviations from what is to be expected, in both forms."""
    fill(client, "s", n)
    words = tuple(word.format(n // 10) for word in command)
    drawn: Counter[bytes] = Counter()
    for reply in client.all([words] * 400):
        drawn.update(word for _, word in reply[1])
    mean = drawn.total() / n
    chi = sum((drawn[b"m%d" % i] - mean) ** 2 / mean for i in range(n))
    assert abs(chi - (n - 1)) < 5 * (2 * (n - 1)) ** 0.5


def test_popping_takes_each_member_once_and_the_key_with_the_last(client: Client) -> None:
    fill(client, "s", 3000)
    popped: list[bytes] = []
    while got := client.value("SPOP", "s", 170):
        popped += got
    assert (len(popped), len(set(popped))) == (3000, 3000)
    assert client.value("EXISTS", "s") == 0


def test_popping_one_by_one_takes_no_longer_when_little_is_left(client: Client) -> None:
    fill(client, "s", 50_000)
    client("SPOP", "s", 49_500)
    start = time.monotonic()
    assert len({reply[1] for reply in client.all([("SPOP", "s")] * 500)}) == 500
    assert time.monotonic() - start < 2
    assert client.value("SPOP", "s") is None


def test_random_counts(client: Client) -> None:
    fill(client, "s", 1000)
    for count, got in ((0, 0), (5, 5), (400, 400), (5000, 1000)):
        found = client.value("SRANDMEMBER", "s", count)
        assert (len(found), len(set(found))) == (got, got)
    assert len(client.value("SRANDMEMBER", "s", -5000)) == 5000
    assert client("SPOP", "s", -1) == ("-", "ERR value is out of range, must be positive")


# ---- several sets


@pytest.mark.parametrize(("first", "second"), [(3, 5), (3, 3000), (3000, 3), (2000, 3000)])
def test_both_forms_meet(client: Client, first: int, second: int) -> None:
    fill(client, "a", first)
    fill(client, "b", second)
    one, other = ({b"m%d" % i for i in range(n)} for n in (first, second))
    for command, expected in (("SINTER", one & other), ("SUNION", one | other), ("SDIFF", one - other)):
        assert set(client.value(command, "a", "b")) == expected
        assert client.value(f"{command}STORE", "to", "a", "b") == len(expected)
        assert set(client.value("SMEMBERS", "to")) == expected
        assert (type(tsunami.keyspace(0).get("to", (0, 0))[1]) is Collection) == (len(expected) > 128)


def test_a_result_replaces_whatever_was_there(client: Client) -> None:
    fill(client, "a", 3)
    client("SET", "to", "text")
    client("EXPIRE", "to", 100)
    assert client.value("SUNIONSTORE", "to", "a") == 3
    assert client.value("TTL", "to") == -1
    assert client.value("SINTERSTORE", "to", "a", "none") == 0
    assert client.value("EXISTS", "to") == 0


def test_a_set_may_be_stored_into_itself(client: Client) -> None:
    fill(client, "a", 1000)
    assert client.value("SDIFFSTORE", "a", "a", "none") == 1000
    client("SADD", "b", "m1", "m2")
    assert client.value("SINTERSTORE", "a", "a", "b") == 2
    assert set(client.value("SMEMBERS", "a")) == {b"m1", b"m2"}


def test_an_intersection_costs_no_more_than_its_smallest_set(client: Client) -> None:
    fill(client, "large", 100_000)
    client("SADD", "small", "m1", "none")
    start = time.monotonic()
    client.all([("SINTER", "large", "small")] * 200)
    assert client.value("SINTERCARD", "2", "large", "small") == 1
    assert time.monotonic() - start < 1


def test_counting_stops_at_the_limit(client: Client) -> None:
    fill(client, "a", 3000)
    fill(client, "b", 3000)
    assert client.value("SINTERCARD", 2, "a", "b") == 3000
    assert client.value("SINTERCARD", 2, "a", "b", "LIMIT", 10) == 10
    assert client.value("SINTERCARD", 2, "a", "b", "LIMIT", 0) == 3000


def test_events(client: Client, server: Any) -> None:
    client("CONFIG", "SET", "notify-keyspace-events", "KEA")
    with Client(server.port) as listener:
        listener("PSUBSCRIBE", "__keyevent@0__:*")
        client.all([
            ("SADD", "s", "a", "b", "c", "d"), ("SADD", "s", "a"), ("SREM", "s", "a"), ("SREM", "s", "a"),
            ("SMOVE", "s", "t", "b"), ("SPOP", "t"), ("SINTERSTORE", "u", "s"), ("SUNIONSTORE", "u", "s"),
            ("SDIFFSTORE", "u", "s"), ("SDIFFSTORE", "u", "s", "s"), ("SPOP", "s", "9"),
        ])  # fmt: skip
        expected = [
            ("sadd", "s"), ("srem", "s"), ("srem", "s"), ("sadd", "t"), ("spop", "t"), ("del", "t"),
            ("sinterstore", "u"), ("sunionstore", "u"), ("sdiffstore", "u"), ("del", "u"), ("spop", "s"), ("del", "s"),
        ]  # fmt: skip
        heard = [listener.read()[1] for _ in expected]
        assert [(told[2][1].decode().rpartition(":")[2], told[3][1].decode()) for told in heard] == expected
    client("CONFIG", "SET", "notify-keyspace-events", "")
