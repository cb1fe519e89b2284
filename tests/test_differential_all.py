"""All families of commands in one sequence, to a real redis-server and to ours: replies and what is left compared.

What it is: the strategies of test_differential.py (strings, keys, deadlines), test_differential_collections.py (hashes,
sets, SORT), test_differential_ordered.py (sorted sets, lists), and here those of streams, bits, transactions and
scripts, over the same few keys. So a sequence meets every type under every command, a value that another family has
replaced, renamed or moved away, a transaction that was queued before its key changed its type, and every command
called by a script. Each sequence goes to both servers in one packet; afterwards both databases are compared key by
key: type, contents, deadline.

How: RESP2 and RESP3, limits as they are and so small that values outgrow their compact form, and once with everything
carried out by Python's handlers (a slow log of every command makes them so).

What is compared: as in those files. Replies without an order are sorted; scans are always asked for everything at once;
what was chosen at random must be of the same shape in both, and ours must be in the value it was chosen from.

What it is not: a test of what differs from server to server or from 7.0 to 7.2 (`is_comparable` says what stays out),
of blocking, of messages, or of real expiry.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import test_differential as strings
import test_differential_collections as collections
import test_differential_ordered as ordered
from _redis import Client, Reply, our_server, redis_server
from _support import effort
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_differential import Words, case, maybe, words

import tsunami

pytestmark = pytest.mark.peer("redis-server")

# ---- settings

ORDINARY = {
    "hash-max-listpack-entries": "128", "hash-max-listpack-value": "64", "set-max-intset-entries": "512",
    "zset-max-listpack-entries": "128", "zset-max-listpack-value": "64", "list-max-listpack-size": "-2",
    "stream-node-max-entries": "100",
}  # fmt: skip
TINY = {**collections.LIMITS, "stream-node-max-entries": "3"}
OURS_ONLY = dict.fromkeys(collections.OURS_ONLY)  # Redis 7.0 has no compact sets of texts
SLOWER_THAN = "slowlog-log-slower-than"

# ---- the families of the other files, over the same keys

# Two files name their keys otherwise; their own names would keep the types apart.
SHARED = dict(zip(collections.KEYS, [b"a", b"b", b"c", b"k:1", b"none"], strict=True))
KEYS = [b"a", b"a", b"b", b"b", b"c", b"none"]
keys = st.sampled_from(KEYS)


def shared(call: st.SearchStrategy[Words]) -> st.SearchStrategy[Words]:
    return call.map(lambda request: tuple(SHARED.get(word, word) for word in request))


RANDOM: dict[bytes, Words] = {  # chooses at random: what shows all there was to choose from
    b"HRANDFIELD": (b"HGETALL",), b"SRANDMEMBER": (b"SMEMBERS",), b"RANDOMKEY": (b"KEYS", b"*"),
    b"ZRANDMEMBER": (b"ZRANGE", b"0", b"-1", b"WITHSCORES"),
}  # fmt: skip
SCANS = (b"SCAN", b"HSCAN", b"SSCAN", b"ZSCAN")
# About the server, or the connection (each in the tests of its own), or taken at random: the databases would part.
LEFT_OUT = {"objectencoding", "wait", "spop", "spop-count", "select", "swapdb"}


def whole(request: Words) -> Words:
    """A scan for everything at once: of part of a table nobody promises which."""
    return (*request, b"COUNT", b"1000") if request[0].upper() in SCANS else request


def family(*made_of: dict[str, st.SearchStrategy[Words]]) -> st.SearchStrategy[Words]:
    calls = [shared(call) for made in made_of for name, call in made.items() if name not in LEFT_OUT]
    return st.one_of(calls).map(whole)


STRINGS = family(strings.COMMANDS)
HASHES = family(collections.HASHES)
SETS = st.one_of(family(collections.SETS), words(b"SPOP", keys, st.just(b"1000")))  # all: nothing to choose
SORTING = family(collections.SORTING)
KEYSPACE = st.one_of(
    family(collections.GENERIC),
    words(b"COPY", keys, keys, case(b"DB"), st.sampled_from([b"0", b"1"]), maybe(case(b"REPLACE"), most=1)),
    words(b"MOVE", keys, st.sampled_from([b"0", b"1"])),
    words(b"SELECT", st.sampled_from([b"0", b"0", b"1"])),
    words(b"SWAPDB", st.sampled_from([b"0", b"1"]), st.sampled_from([b"0", b"1"])),
)
ZSETS = st.one_of(ordered.ZSETS).map(whole)
LISTS = st.one_of(ordered.LISTS)

# ---- streams, bits

# Numbers by the clock (*) would be different ones.
new_ids = st.one_of(
    st.tuples(st.integers(0, 12), st.integers(0, 3)).map(lambda made: b"%d-%d" % made),
    st.integers(1, 40).map(lambda n: b"%d" % n),
    st.integers(1, 40).map(lambda n: b"%d-*" % n),
    st.sampled_from([b"x", b"", b"1-x", b"18446744073709551615-1", b"-1", b"0-0", b"1-1-1"]),
)
ids = st.one_of(new_ids.filter(lambda word: b"*" not in word), st.sampled_from([b"-", b"+", b"(3-1", b"$", b"("]))
entry_fields = st.lists(collections.parts, min_size=1, max_size=5).map(tuple)
good_fields = st.sampled_from([(b"f", b"v"), (b"f", b"v", b"g", b"w"), (b"a", b"")])
# Exactly (=): how far `~` trims depends on nodes that deletions have left behind.
trims = st.one_of(
    st.tuples(case(b"MAXLEN"), st.sampled_from([b"0", b"1", b"3", b"-1", b"x"])),
    st.tuples(case(b"MAXLEN"), st.just(b"="), st.sampled_from([b"2", b"5"])),
    st.tuples(case(b"MINID"), ids),
    st.tuples(case(b"MAXLEN"), st.just(b"2"), case(b"LIMIT"), st.sampled_from([b"1", b"x"])),
)
stream_count = maybe(st.tuples(case(b"COUNT"), st.sampled_from([b"0", b"1", b"2", b"-1", b"x"])), most=1)
STREAMS = st.one_of(
    words(b"XADD", keys, st.integers(1, 40).map(lambda n: b"%d-*" % n), good_fields),
    words(b"XADD", keys, st.integers(1, 40).map(lambda n: b"%d-*" % n), good_fields),
    words(b"XADD", keys, maybe(trims, case(b"NOMKSTREAM"), most=2), new_ids, good_fields | entry_fields),
    words(b"XLEN", keys),
    words(b"XRANGE", keys, ids, ids, stream_count),
    words(b"XRANGE", keys, st.just(b"-"), st.just(b"+"), stream_count),
    words(b"XREVRANGE", keys, ids, ids, stream_count),
    words(b"XDEL", keys, st.lists(ids, min_size=1, max_size=3).map(tuple)),
    words(b"XTRIM", keys, trims),
    words(b"XREAD", stream_count, case(b"STREAMS"), keys, ids),
    words(b"XREAD", case(b"STREAMS"), keys, keys, ids, ids),
    words(b"XSETID", keys, ids),
    words(b"XSETID", keys, ids, case(b"ENTRIESADDED"), collections.numbers, case(b"MAXDELETEDID"), ids),
)

kinds = st.sampled_from([b"u8", b"i8", b"u1", b"i64", b"u63", b"u64", b"i0", b"x", b"u5"])
bit_offsets = st.sampled_from([b"0", b"1", b"#1", b"#0", b"9", b"-1", b"x", b"100"])
bit_numbers = st.sampled_from([b"0", b"1", b"-1", b"255", b"300", b"-129", b"x"])
bit_acts = st.one_of(
    st.tuples(case(b"GET"), kinds, bit_offsets),
    st.tuples(case(b"SET"), kinds, bit_offsets, bit_numbers),
    st.tuples(case(b"INCRBY"), kinds, bit_offsets, bit_numbers),
    st.tuples(case(b"OVERFLOW"), st.sampled_from([b"WRAP", b"sat", b"FAIL", b"FOO"])),
)
BITS = st.one_of(
    words(b"BITFIELD", keys, maybe(bit_acts, most=4)),
    words(b"BITFIELD_RO", keys, maybe(bit_acts, most=2)),
    words(b"BITOP", st.sampled_from([b"AND", b"or", b"XOR", b"NOT", b"FOO"]), keys, collections.some(keys, 1, 3)),
    words(b"BITPOS", keys, st.sampled_from([b"0", b"1", b"2"]),
          maybe(strings.small, strings.small, case(b"BIT"), case(b"BYTE"), most=3)),
    words(b"LCS", keys, keys, maybe(case(b"LEN"), case(b"IDX"), case(b"WITHMATCHLEN"),
                                    st.tuples(case(b"MINMATCHLEN"), st.sampled_from([b"0", b"1", b"x"])), most=3)),
)  # fmt: skip

# ---- any command with any words, scripts, transactions

# Without those that make as much as they are asked for (SETRANGE, SRANDMEMBER -1000000000), and about the server.
ANY_NAMES = sorted(
    {*strings.ANY_WORDS, *collections.ANY_WORDS, *ordered.NAMES, b"SORT", b"XRANGE", b"XLEN", b"XTRIM", b"XDEL",
     b"BITOP", b"BITPOS", b"LMOVE", b"LCS", b"ZRANGESTORE", b"ZUNIONSTORE", b"LSET", b"EVAL", b"EVALSHA", b"WATCH",
     b"MULTI"}
    - {b"SPOP", b"SRANDMEMBER", b"HRANDFIELD", b"RANDOMKEY", *SCANS, b"CONFIG", b"LATENCY", b"SLOWLOG", b"MEMORY",
       b"OBJECT", b"MULTI", b"TIME"}
)  # fmt: skip
any_words = st.one_of(keys, keys, strings.any_word, collections.parts, ordered.any_word)
ANY = st.tuples(st.sampled_from(ANY_NAMES), st.lists(any_words, max_size=5)).map(lambda made: (made[0], *made[1]))

FAMILIES = {
    "strings": STRINGS, "hashes": HASHES, "sets": SETS, "sorting": SORTING, "keyspace": KEYSPACE, "zsets": ZSETS,
    "lists": LISTS, "streams": STREAMS, "bits": BITS, "any": ANY,
}  # fmt: skip


def is_comparable(request: Words) -> bool:
    """Can the reply, and what the command does, be compared with Redis 7.0's at all?"""
    name, rest = request[0].upper(), [word.upper() for word in request[1:]]
    if name == b"XREAD":  # "+", the last entry, is of 7.4
        return b"+" not in rest
    if name == b"BITPOS":  # of a key that is not there 7.0 does not look at the other words
        return len(rest) < 3
    # Bytes that are not UTF-8 in an error's text: Redis shows them, we a replacement character.
    return not (name in (b"EVAL", b"EVALSHA") and b"\xff" in b"".join(rest))


plain_call = st.one_of(*FAMILIES.values()).filter(is_comparable)

PCALL = b"return redis.pcall(unpack(ARGV))"
FORWARDS = [PCALL, PCALL, b"return redis.call(unpack(ARGV))", b"redis.setresp(3); return redis.pcall(unpack(ARGV))"]
# A few that do something with what they get. What a hash or a set is made of has no order: they are not for these.
SCRIPTS = [
    b"return {redis.call('TYPE', KEYS[1]), redis.call('EXISTS', KEYS[1], KEYS[2])}",
    b"redis.call('SET', KEYS[1], ARGV[1]); return redis.call('APPEND', KEYS[1], ARGV[2])",
    b"local n = redis.pcall('LLEN', KEYS[1]); if type(n) == 'table' then return n.err end; return n + 1",
    b"redis.call('RPUSH', KEYS[1], ARGV[1]); redis.call('RPUSH', KEYS[1], ARGV[2]); return redis.call('LLEN', KEYS[1])",
    b"redis.call('ZADD', KEYS[1], 1, ARGV[1]); return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')",
    b"redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]); return redis.call('HGET', KEYS[1], ARGV[1])",
    b"redis.call('INCR', KEYS[1]); return redis.call('INCR', KEYS[2])",
    b"redis.call('XADD', KEYS[1], '50-*', 'f', ARGV[1]); return redis.call('XLEN', KEYS[1])",
    b"redis.call('RENAME', KEYS[1], KEYS[2]); return redis.status_reply(redis.call('TYPE', KEYS[2]).ok)",
    b"return redis.pcall('SINTERSTORE', KEYS[1], KEYS[2], KEYS[2])",
]  # fmt: skip
forwarded = st.tuples(
    st.sampled_from([b"EVAL", b"EVAL", b"eval", b"EVAL_RO"]), st.sampled_from(FORWARDS), plain_call
).map(lambda made: (made[0], made[1], b"0", *made[2]))
SCRIPTED = st.one_of(
    forwarded,
    words(b"EVAL", st.sampled_from(SCRIPTS), st.just(b"2"), keys, keys, collections.parts, collections.parts),
)

call = st.integers(0, 9).flatmap(lambda n: plain_call if n < 8 else SCRIPTED)
queued = st.one_of(call, call, call, call, st.sampled_from([(b"MULTI",), (b"WATCH", b"a"), (b"UNWATCH",), (b"GET",)]))
transaction = st.tuples(
    st.lists(words(b"WATCH", collections.some(keys, 1, 3)), max_size=1),
    st.lists(call, max_size=2),
    st.just([(b"MULTI",)]),
    st.lists(queued, max_size=5),
    st.sampled_from([[(b"EXEC",)], [(b"EXEC",)], [(b"EXEC",)], [(b"DISCARD",)]]),
).map(lambda made: [request for some in made for request in some])
stray = st.sampled_from([[(b"EXEC",)], [(b"DISCARD",)], [(b"UNWATCH",)], [(b"WATCH",)], [(b"WATCH", b"a", b"b")]])
act = st.integers(0, 19).flatmap(
    lambda n: call.map(lambda made: [made]) if n < 16 else transaction if n < 19 else stray
)
sequences = st.lists(act, min_size=1, max_size=40).map(lambda acts: [request for some in acts for request in some])


# ---- comparing


def told_alike(theirs: Reply, ours: Reply) -> bool:
    """Two errors that quote bytes which are no UTF-8: Redis shows them, we a replacement character."""
    if theirs[0] != "-" or ours[0] != "-":
        return False
    shown = str(theirs[1]).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return shown == ours[1]


def alike(request: Words, theirs: Reply, ours: Reply) -> bool:
    """Could both replies be the same server's?"""
    name = request[0].upper()
    if theirs == ours or told_alike(theirs, ours):
        return True
    if name in (b"EVAL", b"EVAL_RO") and request[1] in FORWARDS:
        return len(request) > 3 and alike(request[3:], theirs, ours)
    if name == b"SPOP":  # of all there are
        return strings.in_order(theirs) == strings.in_order(ours)
    return (
        strings.same(request, theirs, ours)
        or ordered.same(request, theirs, ours)
        or bool(collections.spelled(request, theirs) == collections.spelled(request, ours))
    )


def answered(requests: list[Words], theirs: list[Reply], ours: list[Reply]) -> Iterator[tuple[Words, Reply, Reply]]:
    """Each request with its two replies; after an EXEC also those that were queued, with theirs."""
    queue: list[Words] | None = None
    for request, wanted, got in zip(requests, theirs, ours, strict=True):
        name = request[0].upper()
        if queue is not None and wanted == ("+", "QUEUED"):
            queue.append(request)
        if name == b"EXEC" and wanted[0] == got[0] == "*" and wanted[1] and got[1] and queue is not None:
            assert len(wanted[1]) == len(got[1]) == len(queue), (request, wanted, got)
            yield from zip(queue, wanted[1], got[1], strict=True)
        else:
            yield request, wanted, got
        if name == b"MULTI" and wanted == ("+", "OK"):
            queue = []
        elif name in (b"EXEC", b"DISCARD"):
            queue = None


def words_in(reply: Reply) -> set[Any]:
    """All that are no arrays, at any depth."""
    mark, value = reply
    if mark == "%":
        return {word for pair in value for part in pair for word in words_in(part)}
    return {word for part in value for word in words_in(part)} if isinstance(value, list) else {value}


def all_there_was(request: Words) -> Words | None:
    """What shows all that a command at random has chosen from."""
    look = RANDOM.get(request[0].upper())
    return (look[0], *request[1:2], *look[1:]) if look and len(request) <= 4 else None


def with_looks(requests: list[Words]) -> list[Words]:
    """After what chooses at random, what it chose from."""
    return [part for request in requests for part in (request, all_there_was(request)) if part is not None]


def compare(clients: tuple[Client, Client], requests: list[Words]) -> None:
    everything = with_looks(requests)
    theirs, ours = (client.all(list(everything)) for client in clients)
    before: tuple[Words, Reply] | None = None
    for number, (request, wanted, got) in enumerate(answered(everything, theirs, ours)):
        assert alike(request, wanted, got), f"{number} {request}: redis {wanted}, ours {got}; of {everything}"
        if before is not None and all_there_was(before[0]) == request and before[1][0] in "*$~":
            is_in = words_in(before[1]) <= words_in(got) | {None}
            assert is_in, f"{before} has what is not in {got}; of {everything}"
        before = request, got
    compare_databases(clients, requests)


CONTENTS: dict[str, Words] = {**collections.LOOK, "stream": (b"XRANGE", b"-", b"+")}


def compare_databases(clients: tuple[Client, Client], requests: list[Words]) -> None:
    """All keys of both databases: types, contents, deadlines. Leaves the first one selected."""
    for database in (b"1", b"0"):
        for client in clients:
            client("SELECT", database)
        theirs, ours = (sorted(client.value("KEYS", "*")) for client in clients)
        assert theirs == ours, f"keys of {database!r}: redis {theirs}, ours {ours}; after {requests}"
        kinds = clients[0].all([(b"TYPE", key) for key in theirs])
        looks: list[Words] = [(b"DBSIZE",)]
        for key, (_, kind) in zip(theirs, kinds, strict=True):
            name, *rest = CONTENTS[kind]
            looks += [(b"TYPE", key), (b"PEXPIRETIME", key), (name, key, *rest)]
        told = zip(looks, *(client.all(list(looks)) for client in clients), strict=True)
        for look, wanted, got in told:
            assert alike(look, wanted, got), f"{look} of {database!r}: redis {wanted}, ours {got}; after {requests}"


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    with redis_server() as port, our_server() as server:
        yield port, server.port


@pytest.mark.parametrize("is_hot", [True, False], ids=["native", "python"])
@pytest.mark.parametrize("limits", [ORDINARY, TINY], ids=["ordinary", "tiny"])
@pytest.mark.parametrize("resp", [2, 3], ids=["RESP2", "RESP3"])
def test_all_families_reply_and_leave_what_redis_does(
    ports: tuple[int, int], resp: int, limits: dict[str, str], is_hot: bool
) -> None:
    with Client(ports[0], resp) as theirs, Client(ports[1], resp) as ours:
        for client in (theirs, ours):
            for name, value in limits.items():
                assert client("CONFIG", "SET", name, value) == ("+", "OK")
        for name in OURS_ONLY:
            ours.value("CONFIG", "SET", name, "4" if limits is TINY else "128")
        ours.value("CONFIG", "SET", SLOWER_THAN, "-1" if is_hot else "0")

        @settings(max_examples=effort(40 if is_hot else 15), deadline=None)
        @given(sequences)
        @example([(b"SADD", b"a", b"1"), (b"MULTI",), (b"GET", b"a"), (b"SPOP", b"a", b"1000"), (b"EXEC",)])
        @example([(b"WATCH", b"a"), (b"XADD", b"a", b"1-1", b"f", b"v"), (b"MULTI",), (b"XLEN", b"a"), (b"EXEC",)])
        @example(
            [(b"MULTI",), (b"STRLEN", b"a"), (b"EVAL", PCALL, b"0", b"LCS", b"a", b"b"), (b"EXEC",)]
        )  # once a crash
        def run(requests: list[Words]) -> None:
            for client in (theirs, ours):
                client.all([(b"DISCARD",), (b"UNWATCH",), (b"FLUSHALL",), (b"SELECT", b"0")])
            compare((theirs, ours), requests)
            for database in (0, 1):
                tsunami.keyspace(database).check()

        run()
