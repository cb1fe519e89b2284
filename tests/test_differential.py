"""The same commands to a real redis-server and to ours; replies compared byte for byte, marks included.

What it is: hypothesis makes sequences of commands over few keys (so that they meet), with options combined in all ways,
edge numbers, wrong types of arguments, wrong numbers of them; both servers get the sequence in one packet. Everything
is compared that Redis promises: values, errors to the letter, what is left in the database. Where Redis promises no
order it is sorted away; times may differ by what the clock does meanwhile.

It runs in RESP2 and RESP3, and against ours twice: as it is (hot commands without Python), and with every command
carried out by its Python handler. So the two implementations of a hot command are compared as well.

What it is not: a test of real expiry; deadlines here lie in the past or far away. See test_commands_expiry.py for
those.
"""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, Reply, our_server
from _support import effort
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tsunami

Words = tuple[bytes, ...]

pytestmark = pytest.mark.peer("redis-server")

# ---- what commands are made of

KEYS = [b"a", b"b", b"c", b"", b"k:1", b"\xff\x00\r\n"]
keys = st.sampled_from(KEYS)
INTEGERS = [
    b"0",
    b"1",
    b"-1",
    b"10",
    b"3",
    b"-3",
    b"7",
    b"100",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"4611686018427387904",
    b"-4611686018427387905",
    b"01",
    b"+1",
    b"-0",
    b" 1",
    b"1 ",
    b"1.0",
    b"",
    b"abc",
    b"1e3",
    b"0x10",
    b"--1",
    b"92233720368547758070",
    b"2147483647",
    b"2147483648",
    b"-2147483649",
    b"1\x00",
    b"00",
    b"-",
]
FLOATS = [
    b"0.1",
    b"0.2",
    b"3.0e3",
    b"-1.5",
    b"1e-5",
    b".5",
    b"5.",
    b"1e400",
    b"1e4000",
    b"1e5000",
    b"inf",
    b"-INF",
    b"nan",
    b"infinity",
    b"0x1p3",
    b"1e",
    b"1.2.3",
    b"1e-17",
    b"1e-18",
    b"123456789.123456789",
    b"-0.0",
    b"3.14159265358979323846",
    b"+2.5",
    b"1e-5000",
    b" 1.5",
    b"1_0",
    b"0e99999999999",
    b"1e17",
]
VALUES = [b"v", b"hello world", b"\x00\xff\x80", b"x" * 50, b"True", b"nil", "päron".encode()]

integers = st.sampled_from(INTEGERS) | st.integers(-(1 << 64), 1 << 64).map(lambda n: b"%d" % n)
small = st.integers(-70, 70).map(lambda n: b"%d" % n)
floats = st.sampled_from(FLOATS) | st.floats(-1e12, 1e12).map(lambda x: repr(x).encode()) | small
values = st.one_of(
    st.sampled_from(VALUES), st.sampled_from(INTEGERS), st.sampled_from(FLOATS), small, st.binary(max_size=20)
)
pieces = st.sampled_from(
    [*[b"*"] * 4, b"?", b"[", b"]", b"^", b"-", b"\\", b"a", b"b", b"c", b"k", b":", b"1", b"\xff"]
)
patterns = st.sampled_from(
    [b"*", b"a*", b"[a-c]", b"[^a]", b"[c-a]", b"k:?", b"\\a", b"[a", b"", b"[]", b"[a-]"]
) | st.lists(pieces, max_size=7).map(b"".join)
any_word = st.one_of(
    keys,
    integers,
    values,
    st.sampled_from([b"NX", b"xx", b"GET", b"EX", b"PX", b"KEEPTTL", b"COUNT", b"MATCH", b"BIT", b"DB"]),
)

# Far away or long ago, so that no key expires between the two servers' answers.
seconds = st.sampled_from(
    [
        b"100",
        b"1000",
        b"100000",
        b"0",
        b"-1",
        b"-100",
        b"x",
        b"",
        b"9223372036854775807",
        b"9223372036854775",
        b"9223372036854776",
        b"-9223372036854775807",
        b"-9223372036854775808",
        b"1.5",
    ]
)
moments = st.sampled_from(
    [b"4102444800", b"4102444801", b"1", b"0", b"-1", b"9223372036854775807", b"9223372036854775", b"y"]
)
moments_ms = st.sampled_from(
    [b"4102444800000", b"4102444800999", b"4102444800500", b"1", b"0", b"-5", b"9223372036854775807", b"y"]
)
milliseconds = st.sampled_from(
    [b"100000", b"5000000", b"-1", b"0", b"9223372036854775807", b"-9223372036854775808", b"z"]
)


def case(name: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from([name, name, name.lower(), name.title()])


def words(name: bytes, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Words]:
    """The name, in some case, and parts: each gives a word or a tuple of words."""

    def joined(made: tuple[Any, ...]) -> Words:
        return tuple(word for part in made for word in (part if isinstance(part, tuple) else (part,)))

    return st.tuples(case(name), *parts).map(joined)


def maybe(*options: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Words]:
    """Some of the options, in any order, also the same one twice."""
    one = st.one_of(*options).map(lambda part: part if isinstance(part, tuple) else (part,))
    return st.lists(one, max_size=most).map(lambda parts: tuple(word for part in parts for word in part))


EXPIRIES = (
    st.tuples(case(b"EX"), seconds),
    st.tuples(case(b"PX"), milliseconds),
    st.tuples(case(b"EXAT"), moments),
    st.tuples(case(b"PXAT"), moments_ms),
)
CONDITIONS = maybe(case(b"NX"), case(b"XX"), case(b"GT"), case(b"LT"), st.just(b"FOO"), most=2)
pairs = st.lists(st.tuples(keys, values), min_size=1, max_size=4).map(
    lambda made: tuple(word for pair in made for word in pair)
)
several = st.lists(keys, min_size=1, max_size=4).map(tuple)
offsets = st.sampled_from(
    [
        b"0",
        b"1",
        b"5",
        b"7",
        b"8",
        b"60",
        b"-1",
        b"4294967295",
        b"4294967296",
        b"536870912",
        b"x",
        b"9223372036854775807",
    ]
)
low_offsets = st.sampled_from(
    [b"0", b"1", b"5", b"7", b"8", b"60", b"-1", b"4294967296", b"536870912", b"x", b"9223372036854775807"]
)

COMMANDS: dict[str, st.SearchStrategy[Words]] = {
    "get": words(b"GET", keys),
    "set": words(
        b"SET", keys, values, maybe(*EXPIRIES, case(b"NX"), case(b"XX"), case(b"GET"), case(b"KEEPTTL"), any_word)
    ),
    "setplain": words(b"SET", keys, values),
    "setnumber": words(b"SET", keys, st.one_of(integers, floats)),
    "setnx": words(b"SETNX", keys, values),
    "setex": words(b"SETEX", keys, seconds, values),
    "psetex": words(b"PSETEX", keys, milliseconds, values),
    "getset": words(b"GETSET", keys, values),
    "getdel": words(b"GETDEL", keys),
    "getex": words(b"GETEX", keys, maybe(*EXPIRIES, case(b"PERSIST"), any_word, most=2)),
    "mget": words(b"MGET", several),
    "mset": words(b"MSET", pairs),
    "msetnx": words(b"MSETNX", pairs),
    "msetodd": words(b"MSET", pairs, keys),
    "del": words(b"DEL", several),
    "unlink": words(b"UNLINK", several),
    "exists": words(b"EXISTS", several),
    "touch": words(b"TOUCH", several),
    "type": words(b"TYPE", keys),
    "rename": words(b"RENAME", keys, keys),
    "renamenx": words(b"RENAMENX", keys, keys),
    "copy": words(
        b"COPY",
        keys,
        keys,
        maybe(case(b"REPLACE"), st.tuples(case(b"DB"), st.sampled_from([b"0", b"1", b"16", b"x"])), any_word),
    ),
    "move": words(b"MOVE", keys, st.sampled_from([b"0", b"1", b"16", b"-1", b"x", b"99999999999"])),
    "incr": words(b"INCR", keys),
    "decr": words(b"DECR", keys),
    "incrby": words(b"INCRBY", keys, integers),
    "decrby": words(b"DECRBY", keys, integers),
    "incrbyfloat": words(b"INCRBYFLOAT", keys, floats),
    "append": words(b"APPEND", keys, values),
    "strlen": words(b"STRLEN", keys),
    "getrange": words(b"GETRANGE", keys, small | integers, small | integers),
    "substr": words(b"SUBSTR", keys, small, small),
    "setrange": words(b"SETRANGE", keys, low_offsets, values),
    "setbit": words(
        b"SETBIT",
        keys,
        low_offsets.filter(lambda word: word != b"536870912"),
        st.sampled_from([b"0", b"1", b"2", b"-1", b"x"]),
    ),
    "getbit": words(b"GETBIT", keys, offsets),
    "bitcount": words(b"BITCOUNT", keys),
    "bitcountrange": words(
        b"BITCOUNT",
        keys,
        small | integers,
        small | integers,
        maybe(case(b"BYTE"), case(b"BIT"), st.just(b"FOO"), most=1),
    ),
    "bitcountodd": words(b"BITCOUNT", keys, small),
    "keys": words(b"KEYS", patterns),
    "scan": words(
        b"SCAN",
        st.just(b"0"),
        st.just(b"COUNT"),
        st.just(b"1000"),
        maybe(
            st.tuples(case(b"MATCH"), patterns),
            st.tuples(case(b"TYPE"), st.sampled_from([b"string", b"STRING", b"hash"])),
            most=2,
        ),
    ),
    "scanerrors": words(
        b"SCAN",
        st.sampled_from([b"x", b"-", b"1 ", b" 1", b"99999999999999999999", b"1x"]),
        maybe(st.tuples(case(b"COUNT"), integers), most=1),
    ),
    "scanoptions": words(
        b"SCAN",
        st.just(b"0"),
        st.just(b"COUNT"),
        st.sampled_from([b"0", b"-1", b"x", b""]),
        maybe(case(b"MATCH"), any_word, most=2),
    ),
    "dbsize": words(b"DBSIZE"),
    "flushdb": words(b"FLUSHDB", maybe(case(b"SYNC"), case(b"ASYNC"), st.just(b"FOO"), most=2)),
    "expire": words(b"EXPIRE", keys, seconds, CONDITIONS),
    "pexpire": words(b"PEXPIRE", keys, milliseconds, CONDITIONS),
    "expireat": words(b"EXPIREAT", keys, moments, CONDITIONS),
    "pexpireat": words(b"PEXPIREAT", keys, moments_ms, CONDITIONS),
    "ttl": words(b"TTL", keys),
    "pttl": words(b"PTTL", keys),
    "expiretime": words(b"EXPIRETIME", keys),
    "pexpiretime": words(b"PEXPIRETIME", keys),
    "persist": words(b"PERSIST", keys),
    "select": words(b"SELECT", st.sampled_from([b"0", b"1", b"16", b"-1", b"x", b"", b"99999999999", b"00"])),
    "swapdb": words(
        b"SWAPDB",
        st.sampled_from([b"0", b"1", b"99", b"x"]),
        st.sampled_from([b"0", b"1", b"99", b"x", b"99999999999"]),
    ),
    "echo": words(b"ECHO", values),
    "ping": words(b"PING", maybe(values, most=2)),
    "objectencoding": words(
        b"OBJECT", st.sampled_from([b"REFCOUNT", b"FREQ", b"FOO"]), st.sampled_from([b"nosuchkey"])
    ),
    "wait": words(b"WAIT", st.sampled_from([b"0", b"-1", b"x"]), st.sampled_from([b"0", b"-1", b"x", b"1"])),
    # Only what is UTF-8: Redis shows other bytes as they are, we a replacement character.
    "unknown": words(
        b"NOSUCH",
        st.lists(st.sampled_from([b"y" * 100, b"\0", b"a\0b", b"", *INTEGERS, "é".encode()]), max_size=4).map(tuple),
    ),
}

# Called with any words at all, for their arity and error texts. Not those that end, block or change the connection.
ANY_WORDS = [
    b"GET",
    b"SET",
    b"SETNX",
    b"SETEX",
    b"PSETEX",
    b"GETSET",
    b"GETDEL",
    b"GETEX",
    b"MGET",
    b"MSET",
    b"MSETNX",
    b"DEL",
    b"UNLINK",
    b"EXISTS",
    b"TOUCH",
    b"TYPE",
    b"RENAME",
    b"RENAMENX",
    b"COPY",
    b"INCR",
    b"DECR",
    b"INCRBY",
    b"DECRBY",
    b"INCRBYFLOAT",
    b"APPEND",
    b"STRLEN",
    b"GETRANGE",
    b"SUBSTR",
    b"GETBIT",
    b"BITCOUNT",
    b"DBSIZE",
    b"RANDOMKEY",
    b"FLUSHDB",
    b"FLUSHALL",
    b"MOVE",
    b"EXPIRE",
    b"PEXPIRE",
    b"TTL",
    b"PTTL",
    b"EXPIRETIME",
    b"PEXPIRETIME",
    b"PERSIST",
    b"SELECT",
    b"SWAPDB",
    b"ECHO",
    b"PING",
    b"TIME",
    b"OBJECT",
    b"MEMORY",
    b"CONFIG",
    b"LATENCY",
    b"SLOWLOG",
    b"KEYS",
]
any_call = st.tuples(
    st.sampled_from(ANY_WORDS).flatmap(case),
    st.lists(any_word.filter(lambda w: w.upper() not in (b"EX", b"PX")), max_size=5),
).map(lambda made: (made[0], *made[1]))

call = st.one_of(*COMMANDS.values(), *([any_call] * 4))
calls = st.lists(call, min_size=1, max_size=40)

# ---- comparing


def in_order(reply: Reply) -> Any:
    """Words at every depth sorted: flags are sets."""
    mark, value = reply
    return (mark, sorted((in_order(item) for item in value), key=repr)) if isinstance(value, list) else reply


def same(request: Words, theirs: Reply, ours: Reply) -> bool:
    """Are the two replies what the same server could have said?"""
    name = request[0].upper()
    if theirs == ours:
        return True
    if name == b"KEYS" and theirs[0] == ours[0] == "*":
        return sorted(theirs[1]) == sorted(ours[1])
    if name == b"SCAN" and theirs[0] == ours[0] == "*":
        return theirs[1][0] == ours[1][0] and sorted(theirs[1][1][1]) == sorted(ours[1][1][1])
    if name == b"RANDOMKEY":
        return theirs[0] == ours[0] and (theirs[1] is None) == (ours[1] is None)
    if name in (b"TTL", b"EXPIRETIME") and theirs[0] == ours[0] == ":":
        return theirs[1] > 0 and ours[1] > 0 and abs(theirs[1] - ours[1]) <= 2
    if name in (b"PTTL", b"PEXPIRETIME") and theirs[0] == ours[0] == ":":
        return theirs[1] > 0 and ours[1] > 0 and abs(theirs[1] - ours[1]) <= 2000
    if name in (b"COMMAND", b"CONFIG"):  # sets, and settings in no order
        return in_order(theirs) == in_order(ours)
    return name == b"TIME" and theirs[0] == ours[0] == "*"


LOOK = [*[(b"GET", key) for key in KEYS], *[(b"TTL", key) for key in KEYS], (b"KEYS", b"*"), (b"DBSIZE",)]
AFTERMATH: list[Words] = [(b"SELECT", b"0"), *LOOK, (b"SELECT", b"1"), *LOOK, (b"SELECT", b"0"), (b"FLUSHALL",)]


@pytest.fixture(scope="module", params=["hot", "cold"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(all_cold=request.param == "cold") as server:
        yield server


@pytest.fixture(scope="module", params=[2, 3], ids=["RESP2", "RESP3"])
def clients(request: pytest.FixtureRequest, theirs: int, ours: int) -> Iterator[tuple[Client, Client]]:
    with Client(theirs, request.param) as redis, Client(ours, request.param) as mine:
        yield redis, mine


# Said once, word for word: commands that tell about server and connection, and above all their mistakes.
SAID = """
client | client foo | client id 1 | client kill | client kill 1 | client kill id | client kill id x | client kill id 0
client kill type foo | client kill user nobody | client kill addr x skipme maybe | client kill foo bar
client kill addr 1.2.3.4:5 | client kill id 99999 | client kill skipme yes id 88888 | client kill 1.2.3.4:5
client kill laddr x | client kill type master | client kill type pubsub | client kill type slave | client reply
client reply foo | client reply on | client setname | client setname "a b" | client getname | client setname x
client getname | client setname "" | client getname | client no-evict x | client no-evict on | client no-evict off
client pause x | client pause -1 | client pause 10 foo | client unpause 3 | client unpause | client list type foo
client list type master | client list id | client list id a | client list id 0 | client list foo
client list id 99999 | client help 2 | client unblock x | client unblock 99999 | client unblock 1 foo | config
config get | config set maxmemory | config set foo bar | config set maxmemory abc | config set maxmemory 1 foo bar
config foo | config resetstat 1 | config resetstat | config set maxmemory 0 maxmemory 0 | config get nosuch*
config get save | config get maxmemory appendonly | config set maxmemory 100mb | config get maxmemory
config set maxmemory 0 | config set slowlog-max-len -1 | config set slowlog-log-slower-than x | CONFIG GET DATABASES
hello 4 | hello x | hello 1 | hello 3 foo | hello 3 auth a | hello 3 setname "a b" | hello 3 setname | auth | auth a
auth a b | auth a b c | auth default anything | select x | select 99 | object | object foo | object encoding nokey
object freq nokey | object idletime nokey | object refcount nokey | object refcount | object help x | set s abc
object refcount s | object encoding s | object freq s | object idletime s | set s 12345 | object encoding s | set s 01
object encoding s | set s xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | object encoding s
set s xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | object encoding s | set s 9223372036854775807
object encoding s | set s 9223372036854775808 | object encoding s | type s | type nokey | memory usage
memory usage nokey | memory usage k samples x | memory usage k samples | memory usage k foo 1
memory usage k samples -1 | memory foo | memory stats 1 | memory purge | latency | latency history | latency history x
latency latest | latency reset | latency reset x | latency foo | latency reset command x y | slowlog | slowlog get -2
slowlog get x | slowlog foo | slowlog reset | slowlog len | slowlog get | slowlog get 5 | slowlog get -1
slowlog get 1 2 | slowlog len x | debug | debug set-active-expire 1 | debug object nokey | debug sleep 0 | wait 0 x
wait x 0 | wait 0 -1 | wait 0 0 | wait 1 5 | wait -1 0 | wait | swapdb 0 0 | swapdb a 1 | swapdb 0 b | swapdb 0 99
swapdb -1 0 | swapdb 0 1 | swapdb 0 1 | command foo | command count 1 | command info nosuch | command getkeys
command getkeys get a | command getkeys mset a b c d | command getkeys nosuch x | command getkeys set a
command getkeys ping a | command getkeys get a b | command getkeys memory usage k | command getkeys object encoding k
command getkeysandflags rename a b | command getkeysandflags getex a | command getkeysandflags mset a b c d
command getkeys eval | command list filterby foo bar | command list filterby aclcat nope
command list filterby module x | command list foo | command list filterby pattern get
command list filterby pattern "client|k*" | command docs nosuch | shutdown foo | shutdown nosave save | shutdown abort
shutdown abort nosave | copy a b db x | copy a a | copy a b foo | copy a a db 0 | copy a b db | move a 0 | move a 99
move a x | flushdb foo | flushall async x | flushdb async sync | flushall sync | dbsize 1 | reset 1 | ping a b | echo
time 1 | scan x | scan 0 foo | scan 0 count 0 | scan 0 count x | scan 0 type nope | scan 0 match | scan 0 count | scan
getbit a -1 | getbit a 4294967296 | setbit a 0 2 | setbit a x 1 | setbit a 4294967296 1 | setbit a 5 1 | bitcount a 0
bitcount a x y | bitcount a 0 1 foo | bitcount a 0 -1 bit | get | GeT | info a b c | info nosuch | nosuch
nosuch a b c | foo~bar | config~get x | quit foo bar | append | setrange s 536870911 xx | setrange s 536870912 ""
append nokey "" | exists nokey | strlen nokey | getrange nokey 0 -1 | setrange nokey 5 "" | exists nokey
persist nokey | expire nokey 10 | rename nokey x | renamenx nokey x | randomkey
""".strip()
FIXED = [call.strip() for line in SAID.splitlines() for call in line.split(" | ")]  # ~ stands for a bar


@pytest.mark.parametrize("resp", [2, 3], ids=["RESP2", "RESP3"])
def test_what_redis_says_word_for_word(theirs: int, ours: int, resp: int) -> None:
    wrong = []
    with Client(theirs, resp) as redis, Client(ours, resp) as mine:
        for line in FIXED:
            if line.startswith("quit"):
                continue
            request = tuple(shlex.split(line.replace("~", "|")))
            wanted, got = redis(*request), mine(*request)
            if not same(tuple(word.encode() for word in request), wanted, got):
                wrong.append(f"{line}\n    redis {wanted}\n    ours  {got}")
        redis("FLUSHALL")
        mine("FLUSHALL")
    assert not wrong, "\n".join(wrong)


def compare(clients: tuple[Client, Client], requests: list[Words]) -> None:
    theirs, ours = clients
    everything = [*requests, *AFTERMATH]
    expected, actual = theirs.all(list(everything)), ours.all(list(everything))
    for number, (request, wanted, got) in enumerate(zip(everything, expected, actual, strict=True)):
        assert same(request, wanted, got), (
            f"request {number} {request}: redis {wanted}, ours {got}; before it {everything[:number]}"
        )


@given(requests=calls)
@example(
    requests=[
        (b"SET", b"a", b"1", b"EX", b"100"),
        (b"INCR", b"a"),
        (b"TTL", b"a"),
        (b"SET", b"a", b"2", b"KEEPTTL"),
        (b"TTL", b"a"),
    ]
)
@example(requests=[(b"SET", b"a", b"x", b"PXAT", b"1"), (b"EXISTS", b"a"), (b"DBSIZE",)])
@example(
    requests=[
        (b"SET", b"a", b"0.1"),
        (b"INCRBYFLOAT", b"a", b"0.2"),
        (b"INCRBYFLOAT", b"a", b"1e-17"),
        (b"INCRBYFLOAT", b"a", b"inf"),
    ]
)
def test_replies_are_those_of_redis(clients: tuple[Client, Client], requests: list[Words]) -> None:
    compare(clients, requests)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_replies_as_redis_does(clients: tuple[Client, Client], name: str) -> None:
    """One command many times, on keys that hold all kinds of values."""
    prepared = st.lists(COMMANDS["setnumber"] | COMMANDS["setplain"] | COMMANDS["expire"], max_size=4)

    # 61 commands, four times each: fewer examples, with more requests in each.
    @settings(max_examples=effort(25))
    @given(before=prepared, requests=st.lists(COMMANDS[name], min_size=4, max_size=20))
    def run(before: list[Words], requests: list[Words]) -> None:
        compare(clients, [*before, *requests])

    run()


# ---- what a Python program puts among the keys, of which Redis knows nothing

program_values = st.one_of(
    st.integers(),
    st.sampled_from([1 << 62, -(1 << 62) - 1, (1 << 63) - 1, -(1 << 63), 1 << 63, 10**40]),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.sampled_from([None, True, (), (1, 2), [1], {"a": 1}, tsunami.Atom("ok")]),
)
program_rows = st.one_of(
    st.tuples(keys, program_values),
    st.tuples(keys.filter(lambda key: key.isascii()).map(bytes.decode), program_values),
    st.tuples(keys),
    st.tuples(keys, program_values, program_values),
)


@pytest.mark.parametrize("resp", [2, 3], ids=["RESP2", "RESP3"])
def test_hot_and_cold_agree_on_rows_of_a_program(resp: int) -> None:
    """Native commands and Python handlers, on values that are integers, floats, terms, and rows of other lengths."""
    with our_server() as server, Client(server.port, resp) as client:
        plane, table = server._app.plane, tsunami.keyspace(0)

        @given(rows=st.lists(program_rows, min_size=1, max_size=4), requests=calls)
        def run(rows: list[tuple[Any, ...]], requests: list[Words]) -> None:
            def all_replies() -> list[Reply]:
                client.value("FLUSHALL")
                table.insert(rows)
                return client.all([*requests, *AFTERMATH])

            hot = all_replies()
            for name in plane.hot_names():
                plane.disable(name)
            cold = all_replies()
            for name in plane.hot_names():
                plane.enable(name)
            for request, native, python in zip([*requests, *AFTERMATH], hot, cold, strict=True):
                assert same(request, python, native), f"{request}: native {native}, Python {python}"

        run()
