"""Random sequences of the commands on values with parts, to a real redis-server and to ours; replies compared.

What it is: as test_differential.py, for hashes, sets, sorted sets, lists and streams. Both servers get small limits
(CONFIG SET), so that values outgrow their compact form after a few commands, and a sequence meets both forms. Commands
come in families, a dictionary of strategies each (FAMILIES); keys are shared by all families, so that types meet, and
generic commands (RENAME, COPY, SORT, DUMP ...) stand beside them.

What is compared: every reply, byte for byte and mark for mark, in RESP2 and RESP3, and what is left in all keys in the
end. Where Redis promises no order (RULES), replies are sorted first; what is chosen at random is compared in its shape,
and taken back so that both databases stay the same.

What it is not: a test of commands that Redis 7.0 does not have (HEXPIRE), of blocking, or of real expiry.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _redis import Client, Reply, our_server, redis_server
from _support import effort
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tsunami

Words = tuple[bytes, ...]

pytestmark = pytest.mark.peer("redis-server")

# So small that both forms of a value are met.
LIMITS = {
    "hash-max-listpack-entries": "4", "hash-max-listpack-value": "12",
    "set-max-intset-entries": "4", "zset-max-listpack-entries": "4", "zset-max-listpack-value": "12",
    "list-max-listpack-size": "4",
}  # fmt: skip
OURS_ONLY = {"set-max-listpack-entries": "4", "set-max-listpack-value": "12"}  # Redis 7.0 has no such sets

# ---- what commands are made of

KEYS = [b"k1", b"k2", b"k3", b"k4", b"none"]
keys = st.sampled_from(KEYS)
PARTS = [b"a", b"b", b"c", b"d", b"e", b"f", b"", b"1", b"2", b"3", b"10", b"-5", b"007", b"x" * 13, b"\xff\x00"]
parts = st.sampled_from(PARTS)
NUMBERS = [b"0", b"1", b"-1", b"2", b"3", b"5", b"-3", b"100", b"9223372036854775807", b"-9223372036854775808", b"x",
           b"", b"1.5", b" 1", b"01"]  # fmt: skip
numbers = st.sampled_from(NUMBERS)
cursors = st.sampled_from([b"0", b"x", b"1x", b"", b"-", b"99999999999999999999"])
FLOATS = [b"0.1", b"1.5", b"-2", b"1e3", b"inf", b"-inf", b"nan", b"x", b"", b"1e400", b"3.0", b" 1"]
floats = st.sampled_from(FLOATS)
counts = st.sampled_from([b"0", b"1", b"2", b"3", b"100", b"-1", b"-4", b"x", b"-9223372036854775808"])
patterns = st.sampled_from([b"*", b"[a-c]", b"1*", b"?", b"x*", b"none", b""])


def case(name: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from([name, name, name, name.lower()])


def words(name: bytes, *made_of: st.SearchStrategy[Any]) -> st.SearchStrategy[Words]:
    """The name, in some case, and parts: each gives a word or a tuple of words."""

    def joined(made: tuple[Any, ...]) -> Words:
        return tuple(word for part in made for word in (part if isinstance(part, tuple) else (part,)))

    return st.tuples(case(name), *made_of).map(joined)


def some(one: st.SearchStrategy[Any], least: int = 1, most: int = 4) -> st.SearchStrategy[Words]:
    """Several of them, one after the other."""

    def joined(made: list[Any]) -> Words:
        return tuple(word for part in made for word in (part if isinstance(part, tuple) else (part,)))

    return st.lists(one, min_size=least, max_size=most).map(joined)


def maybe(*options: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[Words]:
    return some(st.one_of(*options), 0, most)


any_words = some(st.one_of(keys, parts, numbers), 0, 5)

HASHES: dict[str, st.SearchStrategy[Words]] = {
    "hset": words(b"HSET", keys, some(st.tuples(parts, parts))),
    "hset-odd": words(b"HSET", keys, parts, parts, parts),
    "hmset": words(b"HMSET", keys, some(st.tuples(parts, parts))),
    "hsetnx": words(b"HSETNX", keys, parts, parts),
    "hget": words(b"HGET", keys, parts),
    "hmget": words(b"HMGET", keys, some(parts)),
    "hgetall": words(b"HGETALL", keys),
    "hkeys": words(b"HKEYS", keys),
    "hvals": words(b"HVALS", keys),
    "hlen": words(b"HLEN", keys),
    "hexists": words(b"HEXISTS", keys, parts),
    "hstrlen": words(b"HSTRLEN", keys, parts),
    "hdel": words(b"HDEL", keys, some(parts)),
    "hincrby": words(b"HINCRBY", keys, parts, numbers),
    "hincrbyfloat": words(b"HINCRBYFLOAT", keys, parts, floats),
    "hrandfield": words(b"HRANDFIELD", keys),
    "hrandfield-count": words(b"HRANDFIELD", keys, counts, maybe(case(b"WITHVALUES"), parts, most=2)),
    "hscan": words(b"HSCAN", keys, st.just(b"0"), st.just(b"COUNT"), st.just(b"100"),
                   maybe(st.tuples(case(b"MATCH"), patterns), most=1)),
    "hscan-odd": words(b"HSCAN", keys, cursors, maybe(st.tuples(case(b"COUNT"), numbers), parts)),
}  # fmt: skip
SETS: dict[str, st.SearchStrategy[Words]] = {
    "sadd": words(b"SADD", keys, some(parts)),
    "sadd-numbers": words(b"SADD", keys, some(st.integers(0, 9).map(lambda n: b"%d" % n))),
    "srem": words(b"SREM", keys, some(parts)),
    "sismember": words(b"SISMEMBER", keys, parts),
    "smismember": words(b"SMISMEMBER", keys, some(parts)),
    "smembers": words(b"SMEMBERS", keys),
    "scard": words(b"SCARD", keys),
    "smove": words(b"SMOVE", keys, keys, parts),
    "spop": words(b"SPOP", keys),
    "spop-count": words(b"SPOP", keys, counts, maybe(parts, most=1)),
    "srandmember": words(b"SRANDMEMBER", keys),
    "srandmember-count": words(b"SRANDMEMBER", keys, counts, maybe(parts, most=1)),
    "sinter": words(b"SINTER", some(keys)),
    "sunion": words(b"SUNION", some(keys)),
    "sdiff": words(b"SDIFF", some(keys)),
    "sinterstore": words(b"SINTERSTORE", keys, some(keys)),
    "sunionstore": words(b"SUNIONSTORE", keys, some(keys)),
    "sdiffstore": words(b"SDIFFSTORE", keys, some(keys)),
    "sintercard": words(b"SINTERCARD", numbers, some(keys, 1, 3), maybe(st.tuples(case(b"LIMIT"), numbers), most=2)),
    "sintercard-2": words(b"SINTERCARD", st.just(b"2"), keys, keys, maybe(st.tuples(case(b"LIMIT"), numbers), most=1)),
    "sscan": words(b"SSCAN", keys, st.just(b"0"), st.just(b"COUNT"), st.just(b"100"),
                   maybe(st.tuples(case(b"MATCH"), patterns), most=1)),
    "sscan-odd": words(b"SSCAN", keys, cursors, maybe(st.tuples(case(b"COUNT"), numbers), parts)),
}  # fmt: skip
PATTERNS = [b"nosort", b"w_*", b"w_*", b"h_*->a", b"*", b"#", b"w_*->"]
SORTING: dict[str, st.SearchStrategy[Words]] = {
    "rpush": words(b"RPUSH", keys, some(parts | numbers)),
    "rpush-numbers": words(b"RPUSH", keys, some(st.sampled_from([b"3", b"1", b"2", b"10", b"-1", b"1.5"]))),
    "zadd": words(b"ZADD", keys, some(st.tuples(st.sampled_from([b"1", b"2", b"-1.5", b"inf"]), parts))),
    "zadd-numbers": words(b"ZADD", keys, some(st.tuples(st.sampled_from([b"1", b"2"]), st.sampled_from([b"5", b"9"])))),
    "sadd-numbers": SETS["sadd-numbers"],
    "weights": words(b"MSET", st.just((b"w_1", b"5", b"w_2", b"3", b"w_3", b"x", b"w_a")), parts),
    "fields": words(b"HSET", st.sampled_from([b"w_1", b"h_1", b"h_2"]), some(st.tuples(parts, parts))),
    **{
        f"sort-{kind}": words(name, keys, maybe(
            case(b"ASC"), case(b"DESC"), case(b"ALPHA"), case(b"ALPHA"), st.tuples(case(b"LIMIT"), numbers, numbers),
            st.tuples(case(b"BY"), st.sampled_from([b"nosort", b"#"] if kind == "store" else PATTERNS)),
            st.tuples(case(b"GET"), st.sampled_from([b"#", b"w_*", b"h_*->a", b"none", b"h_*->", b"*"])),
            *([st.tuples(case(b"STORE"), keys)] if kind == "store" else []), most=4))
        for kind, name in (("plain", b"SORT"), ("store", b"SORT"), ("ro", b"SORT_RO"))
    },
}  # fmt: skip
GENERIC: dict[str, st.SearchStrategy[Words]] = {
    "set": words(b"SET", keys, parts),
    "get": words(b"GET", keys),
    "append": words(b"APPEND", keys, parts),
    "incr": words(b"INCR", keys),
    "del": words(b"DEL", some(keys, 1, 2)),
    "unlink": words(b"UNLINK", keys),
    "exists": words(b"EXISTS", some(keys)),
    "type": words(b"TYPE", keys),
    "rename": words(b"RENAME", keys, keys),
    "renamenx": words(b"RENAMENX", keys, keys),
    "copy": words(b"COPY", keys, keys, maybe(case(b"REPLACE"), most=1)),
    "expire": words(b"EXPIRE", keys, st.sampled_from([b"10000", b"-1"])),
    "persist": words(b"PERSIST", keys),
    "expiretime": words(b"EXPIREAT", keys, st.just(b"4102444800")),
    "pexpiretime": words(b"PEXPIRETIME", keys),
    "scan": words(b"SCAN", st.just(b"0"), st.just(b"COUNT"), st.just(b"1000"), st.just(b"TYPE"),
                  st.sampled_from([b"hash", b"SET", b"list", b"zset", b"string", b"stream", b"no"])),
    "randomkey": words(b"RANDOMKEY"),
    "touch": words(b"TOUCH", some(keys)),
    "dbsize": words(b"DBSIZE"),
}  # fmt: skip
FAMILIES: dict[str, dict[str, st.SearchStrategy[Words]]] = {
    "hashes": HASHES,
    "sets": SETS,
    "sorting": SORTING,
    "generic": GENERIC,
}

# Called with any words at all, for their arity and error texts.
ANY_WORDS = sorted({name.split("-")[0].upper().encode() for family in (HASHES, SETS) for name in family})

# ---- comparing

Rule = Callable[[Reply], Any]


def unordered(reply: Reply) -> Any:
    """The parts of an array, a set or a map in an order that is ours."""
    mark, value = reply
    return (mark, sorted(value, key=repr)) if isinstance(value, list) else reply


def pairs(reply: Reply) -> Any:
    """A flat array of fields and values, by field."""
    mark, value = reply
    if mark != "*" or value is None or (value and value[0][0] == "*"):
        return unordered(reply)
    return mark, sorted(zip(value[::2], value[1::2], strict=True), key=repr)


def scanned(reply: Reply) -> Any:
    return (reply[0], [reply[1][0], unordered(reply[1][1])]) if reply[0] == "*" else reply


def scanned_pairs(reply: Reply) -> Any:
    return (reply[0], [reply[1][0], pairs(reply[1][1])]) if reply[0] == "*" else reply


def shape(reply: Reply) -> Any:
    """Of what was chosen at random: how much, and of which kind."""
    mark, value = reply
    if isinstance(value, list):
        return mark, len(value), [shape(part)[0] for part in value]
    return (mark, value is None) if mark in "$_" else reply


def about(reply: Reply) -> Any:
    return reply[0], reply[1] // 10_000 if isinstance(reply[1], int) else reply[1]


RULES: dict[bytes, Rule] = {
    **dict.fromkeys((b"HKEYS", b"HVALS", b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"KEYS"), unordered),
    **dict.fromkeys((b"SCAN", b"SSCAN"), scanned),
    **dict.fromkeys((b"HRANDFIELD", b"SRANDMEMBER", b"SPOP", b"RANDOMKEY"), shape),
    b"HGETALL": pairs,
    b"HSCAN": scanned_pairs,
    b"PEXPIRETIME": about,
}
# What is in a key, by its type.
LOOK: dict[str, Words] = {
    "hash": (b"HGETALL",), "set": (b"SMEMBERS",), "string": (b"GET",), "list": (b"LRANGE", b"0", b"-1"),
    "zset": (b"ZRANGE", b"0", b"-1", b"WITHSCORES"),
}  # fmt: skip


def spelled(request: Words, reply: Reply) -> Any:
    if request[0].upper().startswith(b"SORT"):
        return sorted_reply(request, reply)
    return RULES.get(request[0].upper(), lambda same: same)(reply)


def sorted_reply(request: Words, reply: Reply) -> Any:
    """What is not sorted, or weighs the same as a text, comes in the order of a set, which is nobody's."""
    options = [word.upper() for word in request[2:]]
    if b"BY" not in options or (b"*" in request[options.index(b"BY") + 3] and b"ALPHA" not in options):
        return reply
    return shape(reply) if {b"LIMIT", b"GET", b"STORE"} & set(options) else unordered(reply)


def random_effect(request: Words, theirs: Reply, ours: Reply) -> tuple[list[Words], list[Words]]:
    """What makes the two databases equal again after each has chosen for itself: what ours took goes back in, and what
    Redis took goes out.
    """
    if request[0].upper() != b"SPOP" or theirs[0] == "-":
        return [], []

    def taken(reply: Reply) -> list[bytes]:
        return [part[1] for part in reply[1]] if isinstance(reply[1], list) else [reply[1]]

    if taken(theirs) in ([], [None]):
        return [], []
    key = request[1]
    return [(b"SADD", key, *taken(theirs))], [(b"SADD", key, *taken(ours))]


def run(redis: Client, ours: Client, requests: list[Words]) -> None:
    told: list[str] = []
    for request in requests:
        their_reply, our_reply = redis(*request), ours(*request)
        told.append(f"{b' '.join(request)!r}: {their_reply!r}")
        assert spelled(request, our_reply) == spelled(request, their_reply), "\n".join(told[-12:])
        back_there, back_here = random_effect(request, their_reply, our_reply)
        redis.all(list(back_there))
        ours.all(list(back_here))
    compare_keys(redis, ours, told)
    for key in KEYS:
        payload = ours.value("DUMP", key)
        if payload is not None:
            assert ours("RESTORE", key, 0, payload, "REPLACE") == ("+", "OK")
    compare_keys(redis, ours, [*told, "DUMP and RESTORE of all keys"])


def compare_keys(redis: Client, ours: Client, told: list[str]) -> None:
    """What is left in all keys."""
    for key in KEYS:
        kind = redis("TYPE", key)
        assert ours("TYPE", key) == kind, (key, told)
        look = LOOK.get(kind[1])
        if look is not None:
            request = (look[0], key, *look[1:])
            assert spelled(request, ours(*request)) == spelled(request, redis(*request)), (key, told)


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    with redis_server() as port, Client(port) as client:
        for name, value in LIMITS.items():
            assert client("CONFIG", "SET", name, value) == ("+", "OK")
        yield port


@pytest.fixture(scope="module")
def our_port() -> Iterator[int]:
    with our_server() as server, Client(server.port) as client:
        for name, value in {**LIMITS, **OURS_ONLY}.items():
            assert client("CONFIG", "SET", name, value) == ("+", "OK")
        yield server.port


@pytest.fixture(scope="module", params=[2, 3], ids=["RESP2", "RESP3"])
def clients(request: pytest.FixtureRequest, redis_port: int, our_port: int) -> Iterator[tuple[Client, Client]]:
    with Client(redis_port, request.param) as redis, Client(our_port, request.param) as ours:
        yield redis, ours


def call_of(family: str) -> st.SearchStrategy[Words]:
    """A call of the family; now and then one of a key's, or of another family."""
    others = [call for name, calls in FAMILIES.items() if name != family for call in calls.values()]
    mine = list(FAMILIES[family].values())
    any_call = st.tuples(st.sampled_from(ANY_WORDS), any_words).map(lambda made: (made[0], *made[1]))
    return st.integers(0, 9).flatmap(lambda n: st.one_of(mine) if n < 7 else st.one_of(others) if n < 9 else any_call)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_replies_are_those_of_redis(clients: tuple[Client, Client], family: str) -> None:
    redis, ours = clients

    @settings(max_examples=effort(60), deadline=None)
    @given(st.lists(call_of(family), min_size=1, max_size=30))
    @example([(b"SADD", b"k1", b"1", b"2"), (b"SMEMBERS", b"k1"), (b"SPOP", b"k1", b"5"), (b"EXISTS", b"k1")])
    def check(requests: list[Words]) -> None:
        redis("FLUSHALL")
        ours("FLUSHALL")
        run(redis, ours, requests)
        tsunami.keyspace(0).check()

    check()
