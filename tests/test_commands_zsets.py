"""Sorted sets: what the comparison with redis-server (test_differential_ordered.py) cannot tell.

How scores are spelled, which is Redis 7.2's way; both forms of a value and the passage between them; what a Python
program sees and may put there; events; the options that 7.0 does not have; that nothing is quadratic.
"""

import math
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from _redis import Client, our_server
from _support import seconds
from hypothesis import given
from hypothesis import strategies as st

from tsunami import keyspace
from tsunami._core import Collection
from tsunami_server.values import ZSet
from tsunami_server.values.zset import score_of, sort_key


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        yield client
        client("CONFIG", "SET", "zset-max-listpack-entries", 128)
        client("FLUSHALL")


@pytest.fixture
def cold() -> Iterator[Client]:
    """Of a server in which Python carries everything out: values that a Python program has made it looks at whole."""
    with our_server(all_cold=True) as server, Client(server.port) as client:
        yield client
        client("FLUSHALL")


@pytest.fixture
def resp3(server: Any) -> Iterator[Client]:
    with Client(server.port, 3) as client:
        yield client


def row(key: str) -> Any:
    return keyspace(0)[key][1]


# ---- forms


def test_a_small_one_is_a_list_of_pairs_in_order(client: Client) -> None:
    client("ZADD", "z", 3, "c", 1, "a", 2, "b")
    assert row("z") == [(b"a", 1.0), (b"b", 2.0), (b"c", 3.0)]
    assert client.value("OBJECT", "ENCODING", "z") == b"listpack"


@pytest.mark.parametrize("call", [("ZADD", "z", 5, "e"), ("ZADD", "z", 1, "x" * 65), ("ZINCRBY", "z", 1, "e")])
def test_one_that_outgrows_the_settings_is_large_and_stays_so(client: Client, call: tuple[str, ...]) -> None:
    client("CONFIG", "SET", "zset-max-listpack-entries", 4)
    client("ZADD", "z", 1, "a", 2, "b", 3, "c", 4, "d")
    assert type(row("z")) is list
    client(*call)
    large = row("z")
    assert type(large) is Collection
    assert len(large.rows) == len(large.order) == 5
    assert client.value("OBJECT", "ENCODING", "z") == b"skiplist"
    assert client.value("ZREMRANGEBYRANK", "z", 0, 3) == 4
    assert row("z") is large
    assert client.value("ZREMRANGEBYRANK", "z", 0, 0) == 1
    assert client.value("EXISTS", "z") == 0


def test_what_python_put_there_is_a_sorted_set(cold: Client) -> None:
    keyspace(0).insert(("board", [("bob", 7), ("al", 3.5)]))
    assert cold.value("TYPE", "board") == "zset"
    assert cold.value("ZRANGE", "board", 0, -1, "WITHSCORES") == [b"al", b"3.5", b"bob", b"7"]
    assert cold.value("ZINCRBY", "board", 1, "al") == b"4.5"
    assert row("board") == [("al", 4.5), ("bob", 7.0)]
    cold("CONFIG", "SET", "zset-max-listpack-entries", 2)
    assert cold.value("ZADD", "board", 5, "eve") == 1
    assert cold.value("ZRANGE", "board", 0, -1) == [b"al", b"eve", b"bob"]
    assert cold.value("ZREM", "board", "bob") == 1
    assert row("board").copy() == [("al", 4.5), (b"eve", 5.0)]


@pytest.mark.parametrize(
    "value", [[("a", "1")], [("a", math.nan)], [("a", 1), "b"], [("a",)], [("a", 1), (None, 2)], [("a", 10**400)]]
)
def test_what_is_no_sorted_set_is_of_the_wrong_type(cold: Client, value: Any) -> None:
    keyspace(0).insert(("k", value))
    for call in (("ZRANGE", "k", 0, -1), ("ZADD", "k", 1, "x"), ("ZCARD", "k")):
        mark, text = cold(*call)
        assert (mark, text.split()[0]) == ("-", "WRONGTYPE")
    assert repr(row("k")) == repr(value)


KEPT = [0.0, -0.0, 1.0, -7.0, 2.5, 1e15, 2.0**53, -(2.0**53), 2.0**53 + 2, 1e300, math.inf, -math.inf]


@pytest.mark.parametrize("how", ["native", "python", "enlarged"])
def test_whole_scores_are_integers_in_the_rows_of_a_large_one_and_nowhere_else(
    client: Client, resp3: Client, how: str
) -> None:
    client("CONFIG", "SET", "zset-max-listpack-entries", 128 if how == "enlarged" else 0)
    client("ZADD", "z", 1, "first")
    members = {f"member:{i}": score for i, score in enumerate(KEPT)}
    for name, score in members.items():
        text = format(score, ".17g") if math.isinf(score) or how != "native" else format(score, ".1f")
        client("ZADD", "z", *(["CH"] if how == "python" else []), text, name)
    if how == "enlarged":
        members = {name: score or 0.0 for name, score in members.items()}  # no -0 in a small one
        client("CONFIG", "SET", "zset-max-listpack-entries", 0)
        client("ZADD", "z", 2, "last")
    rows = dict(row("z").rows.tab2list())
    for name, score in members.items():
        held = rows[name.encode()]
        assert type(held) is (int if abs(score) <= 2**53 and score.is_integer() and str(score) != "-0.0" else float)
        assert str(float(held)) == str(score)
    assert {type(score) for _, score in row("z").copy()} == {float}
    large = ZSet(row("z"))
    found = [*large.pairs(), *large.scan(0, 1000)[1], *large.slice(0, len(large)), ("", large.score(b"first"))]
    assert {type(score) for _, score in found} == {float}
    names = list(members)
    assert [str(score) for score in resp3.value("ZMSCORE", "z", *names)] == [str(score) for score in members.values()]
    assert resp3.value("ZPOPMAX", "z") == [names[KEPT.index(math.inf)].encode(), math.inf]


def test_a_score_may_become_whole_and_cease_to_be(client: Client) -> None:
    client("CONFIG", "SET", "zset-max-listpack-entries", 0)
    client("ZADD", "z", 1, "a", 2, "a longer member, which stands behind the cells")
    for name in ("a", "a longer member, which stands behind the cells"):
        for score in (3, 3.5, 4, -0.5, 0, 2**53):
            assert client.value("ZADD", "z", score, name) == 0
            assert float(client.value("ZSCORE", "z", name)) == score
            assert client.value("ZREVRANGEBYSCORE", "z", score, score)[0 if name > "a" else -1] == name.encode()
    row("z").rows.check()
    row("z").order.check()


def test_a_score_of_minus_zero_is_kept_where_redis_keeps_it(client: Client) -> None:
    client("ZADD", "z", "-0", "a")
    assert client.value("ZSCORE", "z", "a") == b"0"
    client("CONFIG", "SET", "zset-max-listpack-entries", 0)
    client("ZADD", "y", 0, "z", "-1", "b")
    client("ZADD", "y", "-0", "a")
    assert client.value("ZRANGE", "y", 0, -1, "WITHSCORES") == [b"b", b"-1", b"a", b"-0", b"z", b"0"]
    assert client.value("ZRANGEBYSCORE", "y", 0, "-0") == [b"a", b"z"]
    assert client.value("ZCOUNT", "y", "(-0", "inf") == 0
    assert client.value("ZPOPMIN", "y", 2) == [b"b", b"-1", b"a", b"-0"]


# ---- sort keys

scores = st.floats(allow_nan=False)


@given(a=st.tuples(scores, st.binary(max_size=4)), b=st.tuples(scores, st.binary(max_size=4)))
def test_sort_keys_order_as_scores_and_members_do(a: tuple[float, bytes], b: tuple[float, bytes]) -> None:
    assert (sort_key(*a) < sort_key(*b)) == (a < b)
    assert (sort_key(*a) == sort_key(*b)) == (a == b)


@given(score=scores)
def test_a_score_comes_back_out_of_its_sort_key(score: float) -> None:
    assert score_of(sort_key(score, b"x")) == score


pairs = st.dictionaries(st.binary(max_size=2), st.sampled_from([-math.inf, -1.5, -0.0, 0.0, 1.0, 2.0, math.inf]))
changes = st.lists(st.tuples(st.sampled_from(["set", "remove", "span", "pop"]), st.binary(max_size=2), scores))


@given(start=pairs, changes=changes)
def test_both_forms_are_the_same_to_those_who_ask(
    start: dict[bytes, float], changes: list[tuple[str, bytes, float]]
) -> None:
    small, large = ZSet(None, dict(start)), ZSet(None, dict(start))
    large.enlarge()
    for what, member, score in changes:
        answers = []
        for zset in (small, large):
            if what == "set":
                zset.set(member, score or 0.0)
                answers.append(None)
            elif what == "remove":
                answers.append(zset.remove(member))
            elif what == "pop":
                answers.append(zset.pop(len(member), score > 0))
            else:
                answers.append(zset.remove_span(min(len(member), len(zset)), min(3, len(zset))))
        assert answers[0] == answers[1]
        assert len(small) == len(large)
        everything = small.slice(0, len(small))
        assert everything == large.slice(0, len(large))
        assert everything[::-1] == large.slice(0, len(large), True) == small.slice(0, len(small), True)
        assert sorted(large.pairs()) == sorted(everything)
        for other, number in [*everything, (member, score)]:
            assert small.rank(other) == large.rank(other)
            assert small.before(number, other) == large.before(number, other)
            assert small.behind(number) == large.behind(number)
    assert large.large is not None
    large.large.rows.check()
    assert large.large.order is not None
    large.large.order.check()


# ---- replies


def test_scores_are_doubles_in_resp3_and_pairs_stand_together(client: Client, resp3: Client) -> None:
    client("ZADD", "z", 1, "a", 2.5, "b")
    assert resp3("ZSCORE", "z", "b") == (",", "2.5")
    assert client("ZSCORE", "z", "b") == ("$", b"2.5")
    nested = ("*", [("*", [("$", b"a"), (",", "1")]), ("*", [("$", b"b"), (",", "2.5")])])
    flat = ("*", [("$", b"a"), ("$", b"1"), ("$", b"b"), ("$", b"2.5")])
    for call in (
        ("ZRANGE", "z", 0, -1, "WITHSCORES"), ("ZUNION", 1, "z", "WITHSCORES"), ("ZINTER", 1, "z", "WITHSCORES"),
        ("ZDIFF", 1, "z", "WITHSCORES"), ("ZRANGEBYSCORE", "z", "-inf", "inf", "WITHSCORES"),
    ):  # fmt: skip
        assert resp3(*call) == nested
        assert client(*call) == flat
    assert resp3("ZSCAN", "z", 0) == ("*", [("$", b"0"), flat])
    assert resp3("ZMPOP", 1, "z", "MIN", "COUNT", 5) == ("*", [("$", b"z"), nested])
    client("ZADD", "z", 1, "a", 2.5, "b")
    assert resp3("ZPOPMIN", "z") == ("*", [("$", b"a"), (",", "1")])
    assert resp3("ZPOPMAX", "z", 1) == ("*", [("*", [("$", b"b"), (",", "2.5")])])
    assert resp3("ZADD", "z", "XX", "INCR", 1, "q") == ("_", "")
    assert client("ZADD", "z", "XX", "INCR", 1, "q") == ("$", None)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("0.1", "0.1"), ("3.0", "3"), ("1e3", "1000"), ("inf", "inf"), ("-INFINITY", "-inf"), ("0x10", "16"),
        ("0.30000000000000004", "0.30000000000000004"), ("1e15", "1000000000000000"), ("1e16", "1e+16"),
        ("4503599627370496", "4503599627370496"), ("9007199254740993", "9007199254740992"),
        ("1234567890123456789", "1234567890123456800"), ("1e21", "1e+21"), ("1.5e300", "1.5e+300"),
        ("0.00001", "0.00001"), ("0.000015", "0.000015"), ("0.0000015", "1.5e-6"), ("1e-7", "1e-7"),
        ("1.5e-9", "1.5e-9"),
        ("-123.456", "-123.456"), ("1e5", "100000"), ("123456.789e3", "123456789"), ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("12345678901234567890123", "12345678901234568000000"),
        ("1234567890123456789012345", "1.2345678901234568e+24"),
        ("12345.678901234", "1.2345678901234e+4"), ("1700000000.123456", "1700000000.123456"), ("0.001", "0.001"),
        ("-0.00012345678", "-1.2345678e-4"),
    ],
)  # fmt: skip
def test_a_score_is_spelled_as_redis_7_2_spells_it(client: Client, resp3: Client, given: str, shown: str) -> None:
    client("ZADD", "z", given, "a")
    assert client("ZSCORE", "z", "a") == ("$", shown.encode())
    assert resp3("ZSCORE", "z", "a") == (",", shown)
    assert client.value("ZSCAN", "z", 0) == [b"0", [b"a", shown.encode()]]


def test_rank_with_score(client: Client, resp3: Client) -> None:
    client("ZADD", "z", 1, "a", 2, "b")
    assert client("ZRANK", "z", "b", "withscore") == ("*", [(":", 1), ("$", b"2")])
    assert resp3("ZREVRANK", "z", "b", "WITHSCORE") == ("*", [(":", 0), (",", "2")])
    assert client("ZRANK", "z", "q", "WITHSCORE") == client("ZRANK", "nokey", "q", "WITHSCORE") == ("*", None)
    assert client("ZRANK", "z", "q") == ("$", None)
    assert resp3("ZRANK", "z", "q", "WITHSCORE") == ("_", "")
    assert client("ZRANK", "z", "a", "FOO") == ("-", "ERR syntax error")
    assert client("ZRANK", "z", "a", "WITHSCORE", "x") == ("-", "ERR wrong number of arguments for 'zrank' command")


@pytest.mark.parametrize("limit", [128, 2], ids=["small", "large"])
def test_a_range_by_member_where_scores_differ(client: Client, limit: int) -> None:
    client("CONFIG", "SET", "zset-max-listpack-entries", limit)
    client("ZADD", "z", 1, "a", 2, "b", 3, "c", 4, "d")
    assert client.value("ZRANGEBYLEX", "z", "[f", "[g") == []
    assert client.value("ZRANGEBYLEX", "z", "[c", "+") == [b"c", b"d"]
    assert client.value("ZREVRANGEBYLEX", "z", "(c", "-") == [b"b", b"a"]
    assert client.value("ZRANGESTORE", "y", "z", "[f", "[g", "BYLEX") == 0
    assert client.value("ZLEXCOUNT", "z", "-", "+") == 4
    client("ZADD", "z", 0, "x")  # x a b c d
    assert client.value("ZRANGEBYLEX", "z", "[b", "[c") == []
    assert client.value("ZREVRANGEBYLEX", "z", "[c", "[b") == [b"c", b"b"]
    assert client.value("ZREMRANGEBYLEX", "z", "(a", "+") == 5


def test_a_walk_meets_every_member_once(client: Client) -> None:
    client("ZADD", "z", *[word for n in range(1000) for word in (n, f"m{n}")])
    found, cursor = [], b"0"
    while True:
        cursor, some = client.value("ZSCAN", "z", cursor, "COUNT", 50)
        found += some[::2]
        if cursor == b"0":
            break
    assert sorted(found) == sorted(b"m%d" % n for n in range(1000))
    assert (
        client.value("ZSCAN", "z", 0, "COUNT", 5000, "MATCH", "m99?")[1][::2].sort()
        == [b"m%d" % n for n in range(990, 1000)].sort()
    )


def test_members_at_random_are_members_each_as_likely(client: Client) -> None:
    client("CONFIG", "SET", "zset-max-listpack-entries", 4)
    for count in (4, 40):
        client("DEL", "z")
        client("ZADD", "z", *[word for n in range(count) for word in (n, n)])
        some = client.value("ZRANDMEMBER", "z", count // 2)
        assert len(set(some)) == len(some) == count // 2
        many = client.value("ZRANDMEMBER", "z", -2000)
        assert len(many) == 2000
        assert all(many.count(b"%d" % n) > 2000 / count / 4 for n in range(count))
    assert client("ZRANDMEMBER", "z", "-9223372036854775808") == (
        "-", "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    )  # fmt: skip
    assert client("ZRANDMEMBER", "z", "-9223372036854775807", "WITHSCORES") == ("-", "ERR value is out of range")


# ---- events


def events(server: Any, calls: list[tuple[Any, ...]]) -> list[str]:
    """What is told of the key z while the calls are made: `event`, in order."""
    with Client(server.port) as client, Client(server.port) as listener:
        client("CONFIG", "SET", "notify-keyspace-events", "Kgzl")
        listener("SUBSCRIBE", "__keyspace@0__:z")
        for call in calls:
            assert client(*call)[0] != "-"
        client("PUBLISH", "__keyspace@0__:z", "end")
        told: list[str] = []
        while "end" not in told:
            _, (*_, (_, event)) = listener.read()
            told.append(event.decode())
        client("CONFIG", "SET", "notify-keyspace-events", "")
        return told[:-1]


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        ([("ZADD", "z", 1, "a"), ("ZADD", "z", 1, "a"), ("ZADD", "z", 2, "a")], ["zadd", "zadd"]),
        ([("ZINCRBY", "z", 1, "a"), ("ZADD", "z", "INCR", 1, "a")], ["zincr", "zincr"]),
        ([("ZADD", "z", 1, "a", 2, "b"), ("ZREM", "z", "b", "q"), ("ZREM", "z", "a")], ["zadd", "zrem", "zrem", "del"]),
        ([("ZADD", "z", 1, "a"), ("ZREMRANGEBYSCORE", "z", 0, 9)], ["zadd", "zremrangebyscore", "del"]),
        ([("ZADD", "z", 1, "a"), ("ZREMRANGEBYRANK", "z", 0, 9)], ["zadd", "zremrangebyrank", "del"]),
        ([("ZADD", "z", 1, "a"), ("ZREMRANGEBYLEX", "z", "-", "+")], ["zadd", "zremrangebylex", "del"]),
        ([("ZADD", "z", 1, "a", 2, "b"), ("ZPOPMIN", "z"), ("ZPOPMAX", "z")], ["zadd", "zpopmin", "zpopmax", "del"]),
        ([("ZADD", "q", 1, "a"), ("ZRANGESTORE", "z", "q", 0, -1), ("ZRANGESTORE", "z", "q", 5, 6)],
         ["zrangestore", "del"]),
        ([("ZUNIONSTORE", "z", 1, "q"), ("ZINTERSTORE", "z", 1, "q"), ("ZDIFFSTORE", "z", 1, "q"),
          ("ZDIFFSTORE", "z", 1, "nokey"), ("ZDIFFSTORE", "z", 1, "nokey")],
         ["zunionstore", "zinterstore", "zdiffstore", "del"]),
    ],
)  # fmt: skip
def test_events(server: Any, client: Client, calls: list[tuple[Any, ...]], told: list[str]) -> None:
    client("ZADD", "q", 1, "a")
    assert events(server, calls) == told


# ---- nothing is quadratic


def test_ranks_and_ranges_cost_the_same_in_a_large_one(client: Client) -> None:
    numbers = list(range(100_000))
    random.Random(5).shuffle(numbers)
    for at in range(0, len(numbers), 10_000):
        client("ZADD", "large", *[word for n in numbers[at : at + 10_000] for word in (n, n)])
    client("ZADD", "little", *[word for n in range(1000) for word in (n, n)])
    calls: list[tuple[Any, ...]] = [
        ("ZRANK", "{key}", 500), ("ZCOUNT", "{key}", 10, 900), ("ZRANGE", "{key}", 500, 510), ("ZSCORE", "{key}", 7),
        ("ZRANGEBYSCORE", "{key}", 500, "inf", "LIMIT", 100, 10), ("ZADD", "{key}", 0.5, "x"), ("ZREM", "{key}", "x"),
        ("ZREVRANGE", "{key}", 0, 5), ("ZRANDMEMBER", "{key}", 3),
    ]  # fmt: skip
    for call in calls:
        requests = {key: [tuple(str(word).format(key=key) for word in call)] * 200 for key in ("large", "little")}
        took = {key: seconds(partial(client.all, requests[key])) for key in requests}
        assert took["large"] < 6 * took["little"] + 0.01, call
