"""Lists and sorted sets: the same commands to a real redis-server and to ours, replies compared mark for mark.

As test_differential.py does it for strings and keys. The settings that say when a value becomes large are so low that
both forms are met, and the passage from one to the other; sets are there as operands of ZUNION and its kin, strings as
values of the wrong type.

What it is not: a test of how numbers are spelled, which differs between Redis 7.0 and 7.2: scores here are those that
all spell alike. See test_commands_zsets.py. Nor of commands that wait.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, Reply, our_server, redis_server
from _support import effort
from hypothesis import given, settings
from hypothesis import strategies as st
from test_differential import Words, case, maybe, words

pytestmark = pytest.mark.peer("redis-server")

SMALL = {
    "zset-max-listpack-entries": 4, "zset-max-listpack-value": 8, "list-max-listpack-size": 4,
}  # fmt: skip

KEYS = [b"a", b"b", b"c", b"\x00\xff"]
keys = st.sampled_from([*KEYS, b"a", b"a", b"string"])
MEMBERS = [b"a", b"b", b"c", b"d", b"e", b"f", b"", b"\x00\xff", b"12", b"longer than eight"]
members = st.sampled_from(MEMBERS)
some_members = st.lists(members, min_size=1, max_size=6).map(tuple)
NUMBERS = [b"0", b"1", b"-1", b"2", b"-2", b"3", b"-4", b"7"]
NUMBERS += [b"10", b"-100", b"9223372036854775807", b"x", b"", b"2.5"]
numbers = st.sampled_from(NUMBERS)
indices = st.sampled_from(NUMBERS[:8])
counts = st.sampled_from([b"0", b"1", b"2", b"3", b"-1", b"-2", b"10", b"x", b"", b"-9223372036854775808"])
SCORES = [b"0", b"1", b"1", b"2", b"2.5", b"-3", b"1e3", b"inf", b"-inf", b"0x10", b".5", b"+4"]
scores = st.sampled_from([*SCORES, *SCORES, b"nan", b"", b"x", b" 1", b"1e999", b"1_0"])
score_ends = st.sampled_from(
    [*SCORES, b"(1", b"(2", b"(-inf", b"(inf", b"-inf", b"+inf", b"(", b"", b"nan", b"x", b"((1", b" 1", b"1e999"]
)
member_ends = st.sampled_from([b"-", b"+", b"[a", b"(a", b"[c", b"(c", b"(", b"[", b"a", b"", b"--", b"[zzz", b"[12"])
options = st.sampled_from([b"WITHSCORES", b"LIMIT", b"COUNT", b"FOO"])
any_word = st.one_of(keys, numbers, score_ends, member_ends, options)
limit = st.tuples(case(b"LIMIT"), indices, indices)
badly = st.tuples(case(b"LIMIT"), numbers)
counted_keys = st.lists(st.sampled_from([*KEYS, b"set", b"big", b"string", b"none"]), min_size=1, max_size=3).map(
    lambda some: (b"%d" % len(some), *some)
) | st.tuples(st.sampled_from([b"0", b"-1", b"3", b"x", b"9999999999"]), keys)
weights = st.tuples(case(b"WEIGHTS"), st.lists(scores, min_size=1, max_size=3)).map(lambda made: (made[0], *made[1]))
aggregate = st.tuples(case(b"AGGREGATE"), st.sampled_from([b"SUM", b"min", b"MAX", b"avg"]))
weighed = maybe(weights, aggregate, case(b"WITHSCORES"), st.just(b"FOO"))
pairs = st.lists(st.tuples(scores, members), min_size=1, max_size=4).map(
    lambda made: tuple(word for pair in made for word in pair)
)
good_pairs = st.lists(st.tuples(st.sampled_from(SCORES[:8]), members), min_size=1, max_size=6).map(
    lambda made: tuple(word for pair in made for word in pair)
)
same_scores = st.lists(members, min_size=1, max_size=6).map(
    lambda made: tuple(word for member in made for word in (b"1", member))
)
condition = maybe(case(b"NX"), case(b"XX"), case(b"GT"), case(b"LT"), case(b"CH"), case(b"INCR"), most=3)
range_options = maybe(
    case(b"BYSCORE"), case(b"REV"), case(b"WITHSCORES"), limit, case(b"BYLEX"), badly, st.just(b"FOO"), most=4
)
ends = st.sampled_from([b"LEFT", b"RIGHT", b"left", b"Right"]) | st.just(b"UP")
extremes = st.sampled_from([b"MIN", b"MAX", b"min"]) | st.just(b"MED")
count_option = maybe(st.tuples(case(b"COUNT"), counts), most=1) | st.just((b"COUNT",)) | st.just((b"FOO", b"1"))

ZSETS: list[st.SearchStrategy[Words]] = [
    words(b"ZADD", keys, condition, pairs),
    words(b"ZADD", keys, good_pairs),
    words(b"ZADD", keys, same_scores),
    words(b"ZADD", keys, good_pairs),
    words(b"ZADD", keys, members, pairs),
    words(b"ZINCRBY", keys, scores, members),
    words(b"ZREM", keys, some_members),
    words(b"ZCARD", keys),
    words(b"ZSCORE", keys, members),
    words(b"ZMSCORE", keys, some_members),
    words(b"ZRANK", keys, members),
    words(b"ZREVRANK", keys, members),
    words(b"ZCOUNT", keys, score_ends, score_ends),
    words(b"ZRANGE", keys, indices, indices, maybe(case(b"REV"), case(b"WITHSCORES"), most=2)),
    words(b"ZRANGE", keys, any_word, any_word, range_options),
    words(b"ZRANGE", keys, score_ends, score_ends, case(b"BYSCORE"), range_options),
    words(b"ZREVRANGE", keys, indices, indices, range_options),
    words(b"ZRANGEBYSCORE", keys, score_ends, score_ends, range_options),
    words(b"ZREVRANGEBYSCORE", keys, score_ends, score_ends, maybe(case(b"WITHSCORES"), limit)),
    words(b"ZRANGESTORE", keys, keys, indices, indices, range_options),
    words(b"ZRANGESTORE", keys, keys, score_ends, score_ends, case(b"BYSCORE"), range_options),
    words(b"ZREMRANGEBYRANK", keys, numbers, numbers),
    words(b"ZREMRANGEBYSCORE", keys, score_ends, score_ends),
    words(b"ZPOPMIN", keys, maybe(counts, most=2)),
    words(b"ZPOPMAX", keys, maybe(counts, most=2)),
    words(b"ZMPOP", counted_keys, extremes, count_option),
    words(b"ZUNION", counted_keys, weighed),
    words(b"ZINTER", counted_keys, weighed),
    words(b"ZDIFF", counted_keys, maybe(case(b"WITHSCORES"), any_word, most=1)),
    words(b"ZUNIONSTORE", keys, counted_keys, weighed),
    words(b"ZINTERSTORE", keys, counted_keys, weighed),
    words(b"ZDIFFSTORE", keys, counted_keys, maybe(weights, most=1)),
    words(b"ZINTERCARD", counted_keys, maybe(st.tuples(case(b"LIMIT"), counts), most=1)),
    words(b"ZSCAN", keys, st.sampled_from([b"0", b"x"]), maybe(st.tuples(case(b"MATCH"), members), any_word, most=2)),
    words(b"ZRANDMEMBER", keys, maybe(counts, case(b"WITHSCORES"), most=2)),
]

# Where scores differ Redis promises nothing of ranges by member, so these have sorted sets of their own.
lex_keys = st.sampled_from([b"lex", b"lex:large"])
LEX: list[st.SearchStrategy[Words]] = [
    words(b"ZADD", lex_keys, same_scores),
    words(b"ZREM", lex_keys, some_members),
    words(b"ZLEXCOUNT", lex_keys, member_ends, member_ends),
    words(b"ZRANGEBYLEX", lex_keys, member_ends, member_ends, maybe(limit, badly, most=1)),
    words(b"ZREVRANGEBYLEX", lex_keys, member_ends, member_ends, maybe(limit, case(b"WITHSCORES"), most=1)),
    words(b"ZRANGE", lex_keys, member_ends, member_ends, case(b"BYLEX"), maybe(case(b"REV"), limit, case(b"BYLEX"))),
    words(b"ZRANGESTORE", lex_keys, lex_keys, member_ends, member_ends, case(b"BYLEX")),
    words(b"ZREMRANGEBYLEX", lex_keys, member_ends, member_ends),
]

rank_option = st.tuples(case(b"RANK"), counts.filter(lambda word: len(word) < 9))  # the smallest: an error since 7.2
lpos_options = [st.tuples(case(word), counts) for word in (b"COUNT", b"MAXLEN")]
LISTS: list[st.SearchStrategy[Words]] = [
    words(b"RPUSH", keys, some_members),
    words(b"LPUSH", keys, some_members),
    words(b"RPUSH", keys, some_members),
    words(b"LPUSHX", keys, some_members),
    words(b"RPUSHX", keys, some_members),
    words(b"LPOP", keys, maybe(counts, most=2)),
    words(b"RPOP", keys, maybe(counts, most=1)),
    words(b"LLEN", keys),
    words(b"LRANGE", keys, numbers, numbers),
    words(b"LRANGE", keys, indices, indices),
    words(b"LINDEX", keys, numbers),
    words(b"LSET", keys, numbers, members),
    words(b"LSET", keys, indices, members),
    words(b"LINSERT", keys, st.sampled_from([b"BEFORE", b"after", b"AFTER", b"ON"]), members, members),
    words(b"LREM", keys, counts, members),
    words(b"LTRIM", keys, numbers, numbers),
    words(b"LPOS", keys, members, maybe(rank_option, *lpos_options)),
    words(b"LPOS", keys, members, maybe(any_word, most=2)),
    words(b"LMOVE", keys, keys, ends, ends),
    words(b"RPOPLPUSH", keys, keys),
    words(b"LMPOP", counted_keys, ends, count_option),
]  # fmt: skip

OTHERS: list[st.SearchStrategy[Words]] = [
    words(b"DEL", keys),
    words(b"TYPE", keys),
    words(b"RENAME", keys, keys),
    words(b"COPY", keys, keys, maybe(st.just(b"REPLACE"), most=1)),
    words(b"EXPIRE", keys, st.just(b"1000")),
    words(b"TTL", keys),
]
NAMES = [b"ZADD", b"ZRANGE", b"ZUNION", b"ZINTERCARD", b"ZMPOP", b"LMPOP", b"LPUSH", b"LPOS", b"LINSERT", b"LREM"]
any_call = st.tuples(st.sampled_from(NAMES), st.lists(any_word, max_size=5)).map(lambda made: (made[0], *made[1]))

BEFORE: list[Words] = [
    (b"SET", b"string", b"x"),
    (b"SADD", b"set", b"a", b"b", b"12", b"zzz"),
    (b"ZADD", b"big", *[word for n in range(10) for word in (b"%d" % (n // 2), b"abcdefghij"[n : n + 1])]),
]
LOOK: list[Words] = [
    *[(b"TYPE", key) for key in [*KEYS, b"lex"]],
    *[(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES") for key in [*KEYS, b"lex", b"lex:large"]],
    *[(b"LRANGE", key, b"0", b"-1") for key in KEYS],
    *[(b"LLEN", key) for key in KEYS],
    (b"DBSIZE",),
]
AFTER: list[Words] = [*LOOK, (b"FLUSHALL",)]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[int, int]]:
    flags = [part for name, value in SMALL.items() for part in (f"--{name}", str(value))]
    with redis_server(*flags) as port, our_server() as server:
        with Client(server.port) as client:
            for name, value in SMALL.items():
                assert client("CONFIG", "SET", name, value) == ("+", "OK")
        yield port, server.port


@pytest.fixture(scope="module", params=[2, 3], ids=["RESP2", "RESP3"])
def clients(request: pytest.FixtureRequest, servers: tuple[int, int]) -> Iterator[tuple[Client, Client]]:
    with Client(servers[0], request.param) as theirs, Client(servers[1], request.param) as ours:
        yield theirs, ours


def same(request: Words, theirs: Reply, ours: Reply) -> bool:
    name = request[0].upper()
    if name == b"ZRANDMEMBER":  # which ones is a matter of chance
        return theirs == ours or (theirs[0] == ours[0] and shape(theirs[1]) == shape(ours[1]))
    if name == b"ZSCAN" and theirs[0] == ours[0] == "*":
        return sorted_pairs(theirs) == sorted_pairs(ours)
    if name == b"TTL" and theirs[0] == ours[0] == ":":
        return abs(theirs[1] - ours[1]) <= 2
    return theirs == ours


def shape(value: Any) -> Any:
    return [shape(item[1]) for item in value] if isinstance(value, list) else type(value)


def sorted_pairs(reply: Reply) -> Any:
    cursor, (_, flat) = reply[1]
    return cursor, sorted(zip(flat[::2], flat[1::2], strict=True))


def compare(clients: tuple[Client, Client], requests: list[Words]) -> None:
    everything = [*BEFORE, *requests, *AFTER]
    expected, actual = (client.all(list(everything)) for client in clients)
    for number, (request, wanted, got) in enumerate(zip(everything, expected, actual, strict=True)):
        assert same(request, wanted, got), (
            f"request {number} {request}: redis {wanted}, ours {got}; before it {everything[:number]}"
        )


@given(requests=st.lists(st.one_of(*ZSETS, *OTHERS, any_call), min_size=1, max_size=40))
@settings(max_examples=effort(150))
def test_sorted_sets_are_those_of_redis(clients: tuple[Client, Client], requests: list[Words]) -> None:
    compare(clients, requests)


@given(requests=st.lists(st.one_of(*LEX), min_size=1, max_size=40))
@settings(max_examples=effort(75))
def test_ranges_by_member_are_those_of_redis(clients: tuple[Client, Client], requests: list[Words]) -> None:
    compare(clients, [(b"ZADD", b"lex:large", *[w for n in MEMBERS for w in (b"1", n)]), *requests])


@given(requests=st.lists(st.one_of(*LISTS, *OTHERS, any_call), min_size=1, max_size=40))
@settings(max_examples=effort(150))
def test_lists_are_those_of_redis(clients: tuple[Client, Client], requests: list[Words]) -> None:
    compare(clients, requests)
