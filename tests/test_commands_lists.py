"""Lists: what the comparison with redis-server (test_differential_ordered.py) cannot tell.

Both forms of a value and the passage between them; what a Python program sees and may put there; events; positions that
have run out of room; that nothing is quadratic.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from _redis import Client
from _support import seconds
from hypothesis import given
from hypothesis import strategies as st

from tsunami import keyspace
from tsunami._core import Collection
from tsunami_server.values import List
from tsunami_server.values.list import STRIDE, fits


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        yield client
        client("CONFIG", "SET", "list-max-listpack-size", -2)
        client("FLUSHALL")


def row(key: str) -> Any:
    return keyspace(0)[key][1]


# ---- forms


def test_a_small_one_is_a_list(client: Client) -> None:
    client("RPUSH", "l", "b", "c")
    client("LPUSH", "l", "a")
    assert row("l") == [b"a", b"b", b"c"]
    assert client.value("OBJECT", "ENCODING", "l") == b"listpack"


@pytest.mark.parametrize(
    "call",
    [
        ("RPUSH", "l", "e"), ("LPUSH", "l", "e"), ("LINSERT", "l", "BEFORE", "b", "e"),
        ("LMOVE", "q", "l", "LEFT", "LEFT"),
    ],
)  # fmt: skip
def test_one_that_outgrows_the_settings_is_large_and_stays_so(client: Client, call: tuple[str, ...]) -> None:
    client("CONFIG", "SET", "list-max-listpack-size", 4)
    client("RPUSH", "l", "a", "b", "c", "d")
    client("RPUSH", "q", "x")
    assert type(row("l")) is list
    client(*call)
    large = row("l")
    assert type(large) is Collection
    assert len(large) == 5
    assert client.value("OBJECT", "ENCODING", "l") == b"quicklist"
    assert client("LTRIM", "l", 1, 1) == ("+", "OK")
    assert row("l") is large
    client("LPOP", "l")
    assert client.value("EXISTS", "l") == 0


@pytest.mark.parametrize(
    ("lengths", "most", "so"),
    [
        ([1] * 4, 4, True), ([1] * 5, 4, False), ([8190], 1, True), ([8191], 1, False),
        ([4094] * 2, 5, True), ([4094, 4095], 5, False), ([4094], -1, True), ([4095], -1, False),
        ([1] * 1365, -1, True), ([1] * 1366, -1, False), ([8190], -2, True), ([8191], -2, False), ([65534], -5, True),
        ([65535], -5, False), ([65534], -9, True), ([], 0, True), ([0], 0, True), ([0] * 2, 0, False),
    ],
)  # fmt: skip
def test_what_fits_into_one_term(lengths: list[int], most: int, so: bool) -> None:
    assert fits([b"x" * length for length in lengths], most) == so


def test_what_python_put_there_is_a_list(client: Client) -> None:
    keyspace(0).insert(("jobs", ["one", 2, 3.5]))
    assert client.value("TYPE", "jobs") == "list"
    assert client.value("LRANGE", "jobs", 0, -1) == [b"one", b"2", b"3.5"]
    assert client.value("LPOS", "jobs", "2") == 1
    client("RPUSH", "jobs", "x")
    assert row("jobs") == ["one", 2, 3.5, b"x"]
    client("CONFIG", "SET", "list-max-listpack-size", 2)
    client("RPUSH", "jobs", "y")
    assert row("jobs").copy() == ["one", 2, 3.5, b"x", b"y"]
    assert client.value("LREM", "jobs", 0, "2") == 1
    assert client.value("LRANGE", "jobs", 0, -1) == [b"one", b"3.5", b"x", b"y"]


def test_a_list_of_something_else_is_of_the_wrong_type(client: Client) -> None:
    keyspace(0).insert(("k", ["a", None]))
    for call in (("LRANGE", "k", 0, -1), ("RPUSH", "k", "x"), ("LINDEX", "k", 1), ("LPOP", "k", 2)):
        mark, text = client(*call)
        assert (mark, text.split()[0]) == ("-", "WRONGTYPE")
    assert row("k") == ["a", None]


# ---- a list against Python's

elements = st.sampled_from([b"a", b"b", b"", b"\xff\x00", b"12"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.lists(elements, min_size=1, max_size=5), st.booleans()),
        st.tuples(st.just("pop"), st.integers(0, 4), st.booleans()),
        st.tuples(st.just("insert"), st.integers(0, 40), elements),
        st.tuples(st.just("set"), st.integers(0, 40), elements),
        st.tuples(st.just("cut"), st.integers(0, 40), st.integers(0, 3)),
        st.tuples(st.just("remove"), st.just(0), elements),
    ),
    max_size=30,
)


def carry_out(value: List, model: list[bytes], what: str, a: Any, b: Any) -> None:
    """One step, on a list and on Python's."""
    at = a % (len(model) + 1) if type(a) is int else 0
    if what == "push":
        value.push(a, b)
        model[:] = [*reversed(a), *model] if b else [*model, *a]
    elif what == "pop":
        expected = model[:a] if b else model[::-1][:a]
        assert value.pop(a, b) == expected
        model[:] = model[a:] if b else model[: max(len(model) - a, 0)]
    elif what == "insert":
        value.insert(at, b)
        model.insert(at, b)
    elif what == "set" and at < len(model):
        value.set(at, b)
        model[at] = b
    elif what == "cut":
        end = min(at + b, len(model))
        value.remove_span(at, end)
        del model[at:end]
    elif what == "remove":
        value.remove([rank for rank, element in enumerate(model) if element == b])
        model[:] = [element for element in model if element != b]


@given(start=st.lists(elements, max_size=20), steps=steps, large=st.booleans())
def test_a_list_is_a_list(start: list[bytes], steps: list[tuple[str, Any, Any]], large: bool) -> None:
    value, model = List(None, list(start)), list(start)
    if large:
        value.enlarge()
    for step in steps:
        carry_out(value, model, *step)
        assert len(value) == len(model)
        assert list(value.elements()) == model
        if model:
            middle = len(model) // 2
            assert list(value.elements(middle, reverse=True)) == model[middle::-1]
            assert value.slice(middle, len(model)) == model[middle:]
            assert value.index(middle) == model[middle]


# ---- a gap that is full


@pytest.mark.parametrize("where", [0, 1, 500, 999, 1000])
def test_insertions_at_one_place_find_room_without_moving_everything(where: int) -> None:
    value, model = List(None, [b"%d" % n for n in range(1000)]), [b"%d" % n for n in range(1000)]
    value.enlarge()
    assert value.large is not None
    for n in range(2000):
        value.insert(where, b"n%d" % n)
        model.insert(where, b"n%d" % n)
    assert list(value.elements()) == model
    positions = [row[0] for row in value.large.rows]
    assert positions == sorted(set(positions))
    moved = sum(position % STRIDE != 0 for position in positions)
    assert moved < 2500, "the surroundings of the place, not the whole list"
    value.large.rows.check()


# ---- events


def events(server: Any, calls: list[tuple[Any, ...]]) -> list[str]:
    """What is told of all keys while the calls are made: `event key`, in order."""
    with Client(server.port) as client, Client(server.port) as listener:
        client("CONFIG", "SET", "notify-keyspace-events", "Kgzl")
        listener("PSUBSCRIBE", "__keyspace@0__:*")
        for call in calls:
            assert client(*call)[0] != "-"
        client("PUBLISH", "__keyspace@0__:q", "end")
        told: list[str] = []
        while "end q" not in told:
            _, (*_, (_, channel), (_, event)) = listener.read()
            told.append(f"{event.decode()} {channel.decode().partition(':')[2]}")
        client("CONFIG", "SET", "notify-keyspace-events", "")
        return told[:-1]


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        ([("RPUSH", "l", "a", "b"), ("LPUSH", "l", "c"), ("LPUSHX", "l", "d"), ("RPUSHX", "nokey", "d")],
         ["rpush l", "lpush l", "lpush l"]),
        ([("RPUSH", "l", "a", "b"), ("LPOP", "l"), ("RPOP", "l", 5), ("RPOP", "l")],
         ["rpush l", "lpop l", "rpop l", "del l"]),
        ([("RPUSH", "l", "a", "b"), ("LPOP", "l", 0), ("LSET", "l", 0, "x"), ("LINSERT", "l", "AFTER", "x", "y")],
         ["rpush l", "lset l", "linsert l"]),
        ([("RPUSH", "l", "a", "b"), ("LINSERT", "l", "AFTER", "q", "y"), ("LREM", "l", 0, "q"), ("LREM", "l", 0, "a")],
         ["rpush l", "lrem l"]),
        ([("RPUSH", "l", "a"), ("LREM", "l", 0, "a")], ["rpush l", "lrem l", "del l"]),
        ([("RPUSH", "l", "a"), ("LTRIM", "l", 0, -1), ("LTRIM", "l", 5, 9)],
         ["rpush l", "ltrim l", "ltrim l", "del l"]),
        ([("RPUSH", "l", "a"), ("RPOPLPUSH", "l", "m")], ["rpush l", "lpush m", "rpop l", "del l"]),
        ([("RPUSH", "l", "a", "b"), ("LMOVE", "l", "l", "LEFT", "RIGHT")], ["rpush l", "rpush l", "lpop l"]),
        ([("RPUSH", "l", "a", "b"), ("LMPOP", 2, "nokey", "l", "RIGHT", "COUNT", 9)], ["rpush l", "rpop l", "del l"]),
    ],
)  # fmt: skip
def test_events(server: Any, client: Client, calls: list[tuple[Any, ...]], told: list[str]) -> None:
    assert events(server, calls) == told


def test_a_list_that_goes_round_keeps_its_deadline(client: Client) -> None:
    client("RPUSH", "l", "only")
    client("EXPIRE", "l", 1000)
    assert client.value("RPOPLPUSH", "l", "l") == b"only"
    assert client.value("TTL", "l") > 900


# ---- nothing is quadratic


def test_ends_and_ranks_cost_the_same_in_a_large_one(client: Client) -> None:
    for key, size in (("large", 100_000), ("little", 2000)):
        client("CONFIG", "SET", "list-max-listpack-size", 100)
        for at in range(0, size, 10_000):
            client("RPUSH", key, *range(at, min(at + 10_000, size)))
    for call in (
        ("LPUSH", "{key}", "x"), ("RPOP", "{key}"), ("LINDEX", "{key}", 1500), ("LINDEX", "{key}", -700),
        ("LRANGE", "{key}", 900, 910), ("LSET", "{key}", 1000, "y"), ("LINSERT", "{key}", "AFTER", 5, 5),
        ("LTRIM", "{key}", 1, -1), ("RPOPLPUSH", "{key}", "{key}"), ("LPOP", "{key}", 2), ("LPUSH", "{key}", 1, 2, 3),
    ):  # fmt: skip
        requests = {key: [tuple(str(word).format(key=key) for word in call)] * 200 for key in ("large", "little")}
        took = {key: seconds(partial(client.all, requests[key])) for key in requests}
        assert took["large"] < 6 * took["little"] + 0.01, call
