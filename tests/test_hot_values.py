"""Native commands over values with parts, against their own Python handlers: the same bytes for the same calls.

Two servers get the same scripts. One runs hot commands natively; the other times every command by itself
(slowlog-log-slower-than 0), which makes all of them Python's. What is compared are whole conversations, byte for byte,
in both versions of RESP, with limits so small that values cross from one term to tables of their own, and with the
ordinary ones. Against Redis itself both are held by test_differential_collections.py.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator

import pytest
from _server import Process, Wire, request, tsunami_server

import tsunami
from tsunami import _wire
from tsunami._core import Collection
from tsunami_server.values.list import room

SMALL = {
    "hash-max-listpack-entries": 3,
    "hash-max-listpack-value": 12,
    "set-max-listpack-entries": 3,
    "set-max-intset-entries": 5,
    "zset-max-listpack-entries": 3,
    "list-max-listpack-size": 3,
}
Word = bytes | str | int
Script = Callable[[random.Random, str], list[Word]]


def part(r: random.Random) -> bytes:
    return r.choice(
        [b"a", b"bb", b"", b"\0\xff", b"member-%d" % r.randrange(20), b"%d" % r.randrange(30), b"x" * r.randrange(60)]
    )


def parts(r: random.Random, most: int) -> list[Word]:
    return [part(r) for _ in range(r.randint(1, most))]


def score(r: random.Random) -> str:
    return str(r.choice([0, -0.0, 1, -1, 2.5, 1e15, 0.1, 3, r.randrange(50), r.randrange(1000) / 8]))


def index(r: random.Random) -> int:
    return r.randrange(-7, 8)


def hash_command(r: random.Random, key: str) -> list[Word]:
    pairs: list[Word] = [part(r) for _ in range(2 * r.randint(1, 3))]
    return r.choice(
        [["HSET", key, *pairs], ["HMSET", key, *pairs], ["HGET", key, part(r)], ["HMGET", key, *parts(r, 3)],
         ["HGETALL", key], ["HLEN", key], ["HEXISTS", key, part(r)], ["HDEL", key, *parts(r, 4)], ["HSET", key, "odd"]]
    )  # fmt: skip


def set_command(r: random.Random, key: str) -> list[Word]:
    return r.choice(
        [["SADD", key, *parts(r, 3)], ["SADD", key, r.randrange(40)], ["SREM", key, *parts(r, 4)], ["SCARD", key],
         ["SISMEMBER", key, part(r)], ["SMEMBERS", key]]
    )  # fmt: skip


def zset_command(r: random.Random, key: str) -> list[Word]:
    return r.choice(
        [["ZADD", key, score(r), part(r)], ["ZADD", key, score(r), part(r), score(r), part(r)],
         ["ZINCRBY", key, score(r), part(r)], ["ZSCORE", key, part(r)], ["ZRANK", key, part(r)], ["ZCARD", key],
         ["ZRANGE", key, index(r), index(r)], ["ZRANGE", key, 0, -1, "WITHSCORES"],
         ["ZREVRANGE", key, index(r), index(r), "withscores"], ["ZADD", key, "inf", part(r)],
         ["ZINCRBY", key, "-inf", part(r)], ["ZADD", key, "nan", part(r)], ["ZREM", key, *parts(r, 3)]]
    )  # fmt: skip


def list_command(r: random.Random, key: str) -> list[Word]:
    return r.choice(
        [["LPUSH", key, *parts(r, 3)], ["RPUSH", key, *parts(r, 3)], ["RPUSH", key, *([b"many"] * 20)],
         ["LPUSHX", key, part(r)], ["RPUSHX", key, part(r)], ["LPOP", key], ["RPOP", key], ["LPOP", key],
         ["RPOP", key], ["LPOP", key, 3], ["LLEN", key], ["LRANGE", key, index(r), index(r)], ["LINDEX", key, index(r)],
         ["LTRIM", key, 0, 4]]
    )  # fmt: skip


def any_command(r: random.Random, key: str) -> list[Word]:
    family = r.choice([hash_command, set_command, zset_command, list_command])
    return r.choice([family(r, key), ["DEL", key], ["TYPE", key], ["SET", key, part(r)], ["EXISTS", key]])


FAMILIES: dict[str, Script] = {
    "hash": hash_command,
    "set": set_command,
    "zset": zset_command,
    "list": list_command,
    "mixed": any_command,
}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Process, Process]]:
    with tsunami_server() as native, tsunami_server("--slowlog-log-slower-than", "0") as python:
        yield native, python


def calls(wire: Wire) -> dict[str, int]:
    text = wire("INFO", "tsunami")
    assert isinstance(text, bytes)
    lines = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
    return {name: int(lines[name]) for name in ("hot_calls", "cold_calls")}


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("small", [True, False], ids=["tables", "terms"])
@pytest.mark.parametrize("family", FAMILIES)
def test_native_commands_answer_as_their_handlers(
    servers: tuple[Process, Process], family: str, small: bool, resp: int
) -> None:
    r = random.Random(f"{family} {small} {resp}")
    native, python = (server.wire() for server in servers)
    with native, python:
        for wire in (native, python):
            wire("FLUSHALL")
            for name, value in SMALL.items():
                wire("CONFIG", "SET", name, value if small else 100)
            wire("HELLO", resp)
        before = calls(native)
        for at in range(1500):
            key = f"{family}:{r.randrange(3)}"
            words = FAMILIES[family](r, key) if r.random() > 0.003 else ["DEL", key]
            ours, theirs = native(*words), python(*words)
            assert same(words[0], ours, theirs), f"{at}: {words}: {ours!r}, by its handler {theirs!r}"
        after = calls(native)
        hot = after["hot_calls"] - before["hot_calls"]
        assert hot > 500, "nearly nothing ran natively"
        for n in range(3):
            key = f"{family}:{n}"
            assert native("OBJECT", "ENCODING", key) == python("OBJECT", "ENCODING", key)


def same(command: Word, ours: object, theirs: object) -> bool:
    """Large hashes and sets have an order of their process. Errors are objects that are never equal."""
    if isinstance(ours, list) and isinstance(theirs, list) and command in ("HGETALL", "SMEMBERS"):
        step = 2 if command == "HGETALL" else 1
        return sorted(groups(ours, step)) == sorted(groups(theirs, step))
    return ours == theirs or (isinstance(ours, Exception) and str(ours) == str(theirs))


def groups(items: list[bytes], size: int) -> list[list[bytes]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


# ---- what only Python can have put there


@pytest.fixture
def conn() -> Iterator[_wire.Conn]:
    keyspaces = [tsunami.keyspace(i) for i in range(16)]
    for table in keyspaces:
        table.delete_all_objects()
    plane = _wire.Plane(keyspaces)
    limits = ("hash_entries", "hash_value", "set_entries", "set_ints", "set_value", "zset_entries", "zset_value")
    plane.set_small(**dict.fromkeys((*limits, "list_entries", "list_bytes"), 100))
    yield _wire.Conn(plane)
    for table in keyspaces:
        table.check()
        table.delete_all_objects()


def natively(conn: _wire.Conn, words: list[bytes]) -> bytes | None:
    """The reply of the native implementation; None if it left the command to Python."""
    conn.feed(request(*words))
    cold = conn.run() == _wire.COLD
    if cold:
        assert conn.command() == words
        conn.done()
        conn.run()
    reply = conn.take_output()
    assert not (cold and reply)
    return None if cold else reply


def test_values_that_python_made_keep_what_is_not_touched(conn: _wire.Conn) -> None:
    table = tsunami.keyspace(0)
    table.insert(("user:1", {"name": "alice", "age": 30}))
    assert natively(conn, [b"HGET", b"user:1", b"age"]) == b"$2\r\n30\r\n"
    assert natively(conn, [b"HSET", b"user:1", b"city", b"Oslo in Norway"]) == b":1\r\n"
    assert table.lookup("user:1") == [("user:1", {"name": "alice", "age": 30, b"city": b"Oslo in Norway"})]
    assert natively(conn, [b"HDEL", b"user:1", b"age", b"city"]) == b":2\r\n"
    assert table.lookup("user:1") == [("user:1", {"name": "alice"})]
    assert natively(conn, [b"HDEL", b"user:1", b"name"]) == b":1\r\n"
    assert table.lookup("user:1") == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1: 2}, [b"HGET", b"k", b"1"]),
        ({"a": (1, 2)}, [b"HGET", b"k", b"a"]),
        ({}, [b"HLEN", b"k"]),
        ([("m", 1.0, 2.0)], [b"ZSCORE", b"k", b"m"]),
        ([("m", "x")], [b"ZSCORE", b"k", b"m"]),
        ([("bob", 7), ("al", 3.5)], [b"ZRANGE", b"k", b"0", b"-1"]),
        ([("b", 1.0), ("a", 1.0)], [b"ZRANK", b"k", b"a"]),
        ([("a", 1.0), ("a", 1.0)], [b"ZCARD", b"k"]),
        ([("a", 1.0), "b"], [b"ZCARD", b"k"]),
        ([("m", 1.0), "x"], [b"ZRANGE", b"k", b"0", b"-1"]),
        ({1, 2}, [b"SISMEMBER", b"k", b"1"]),
        (frozenset({"a"}), [b"SCARD", b"k"]),
        ([None], [b"LINDEX", b"k", b"0"]),
        ("text", [b"LPUSH", b"k", b"x"]),
        (("stream",), [b"HSET", b"k", b"a", b"b"]),
        (object(), [b"SADD", b"k", b"a"]),
    ],
)  # fmt: skip
def test_what_is_odd_is_left_to_python_and_as_it_was(conn: _wire.Conn, value: object, words: list[bytes]) -> None:
    table = tsunami.keyspace(0)
    table.insert(("k", value))
    assert natively(conn, words) is None
    assert table.lookup("k") == [("k", value)]


def test_deadlines_stay(conn: _wire.Conn) -> None:
    assert natively(conn, [b"RPUSH", b"l", b"a"]) == b":1\r\n"
    assert natively(conn, [b"EXPIRE", b"l", b"100"]) == b":1\r\n"
    assert natively(conn, [b"RPUSH", b"l", b"b" * 50]) == b":2\r\n"
    assert natively(conn, [b"TTL", b"l"]) == b":100\r\n"
    assert natively(conn, [b"LPOP", b"l"]) == b"$1\r\na\r\n"
    assert natively(conn, [b"TTL", b"l"]) == b":100\r\n"


def test_a_limit_is_left_to_python(conn: _wire.Conn) -> None:
    words = [b"SADD", b"s", *(b"m%d" % i for i in range(101))]
    assert natively(conn, words) is None
    assert natively(conn, words[:-1]) == b":100\r\n"
    assert natively(conn, [b"SADD", b"s", b"m5"]) == b":0\r\n"
    assert natively(conn, [b"SADD", b"s", b"new"]) is None
    assert natively(conn, [b"SCARD", b"s"]) == b":100\r\n"
    assert natively(conn, [b"HSET", b"h", b"f", b"x" * 101]) is None
    assert natively(conn, [b"EXISTS", b"h"]) == b":0\r\n"


@pytest.mark.parametrize("push", [b"RPUSH", b"LPUSH"])
@pytest.mark.parametrize("short", [0, 5, 7, 8, 40])
def test_the_bytes_of_a_small_list_have_a_limit(conn: _wire.Conn, push: bytes, short: int) -> None:
    rest = 100 - (short + 2) - 2  # each takes two more than it is long
    assert natively(conn, [push, b"l", b"x" * short]) == b":1\r\n"
    assert natively(conn, [push, b"l", b"y" * (rest + 1)]) is None
    assert natively(conn, [b"LLEN", b"l"]) == b":1\r\n"
    assert natively(conn, [push, b"l", b"y" * rest]) == b":2\r\n"
    assert natively(conn, [push, b"l", b""]) is None
    assert natively(conn, [b"LLEN", b"l"]) == b":2\r\n"
    assert type(tsunami.keyspace(0).lookup("l")[0][1]) is list


@pytest.mark.parametrize("most", [-1, -2, 0, 3, 100])
def test_a_list_outgrows_one_term_where_its_handler_says_so(servers: tuple[Process, Process], most: int) -> None:
    """And up to there it is native."""
    count, size = room(most)
    native, python = (server.wire() for server in servers)
    with native, python:
        for wire in (native, python):
            wire("FLUSHALL")
            wire("CONFIG", "SET", "list-max-listpack-size", most)
        before = calls(native)
        for n in range(1, 5):
            element = b"x" * (size // 4 - 2 + (n == 4))
            assert native("RPUSH", "bytes", element) == python("RPUSH", "bytes", element) == n
            expected = b"listpack" if n <= min(count, 3) else b"quicklist"
            assert native("OBJECT", "ENCODING", "bytes") == python("OBJECT", "ENCODING", "bytes") == expected
        assert calls(native)["hot_calls"] - before["hot_calls"] >= 3  # all but the one that is too much


@pytest.fixture
def jobs(conn: _wire.Conn) -> Collection:
    """A large list of the numbers 0 to 999."""
    rows = tsunami.Table("ordered_set")
    rows.insert([(n << 20, b"%d" % n) for n in range(1000)])
    large = Collection("list", rows)
    tsunami.keyspace(0).insert(("jobs", large))
    return large


def test_a_large_list_grows_and_shrinks_at_both_ends(conn: _wire.Conn, jobs: Collection) -> None:
    expected = deque(b"%d" % n for n in range(1000))
    r = random.Random(5)
    for n in range(3000):
        left, elements = r.random() < 0.5, [b"%d" % (n + i) for i in range(r.randint(1, 3))]
        if n % 1000 < 400:
            expected.extendleft(elements) if left else expected.extend(elements)
            reply = natively(conn, [b"LPUSH" if left else b"RPUSH", b"jobs", *elements])
            assert reply == b":%d\r\n" % len(expected)
        else:
            element = expected.popleft() if left else expected.pop()
            assert natively(conn, [b"LPOP" if left else b"RPOP", b"jobs"]) == b"$%d\r\n%b\r\n" % (len(element), element)
        if n % 100 == 0:
            jobs.rows.check()
            assert jobs.copy() == list(expected)
    while expected:
        assert natively(conn, [b"LPOP", b"jobs"]) == b"$%d\r\n%b\r\n" % (len(expected[0]), expected.popleft())
    assert natively(conn, [b"EXISTS", b"jobs"]) == b":0\r\n"
    assert natively(conn, [b"LPOP", b"jobs"]) == b"$-1\r\n"


@pytest.mark.parametrize("row", [("a", b"x"), (1 << 61, b"x"), (1 << 70, b"x"), (2.0**40, b"x")])
def test_positions_that_are_not_its_own_leave_a_push_to_python(
    conn: _wire.Conn, jobs: Collection, row: tuple[object, bytes]
) -> None:
    jobs.rows.insert(row)
    assert natively(conn, [b"RPUSH", b"jobs", b"y", b"z"]) is None
    assert len(jobs) == 1001
    assert natively(conn, [b"LPUSH", b"jobs", b"y", b"z"]) == b":1003\r\n"
    assert natively(conn, [b"RPOP", b"jobs"]) == b"$1\r\nx\r\n"


def test_many_elements_cross_the_limit_of_positions_together(conn: _wire.Conn, jobs: Collection) -> None:
    """Either all of a command's elements are put there natively, or none."""
    jobs.rows.insert(((1 << 60) - (1 << 20), b"last"))
    assert natively(conn, [b"RPUSH", b"jobs", b"a", b"b", b"c"]) == b":1004\r\n"
    assert natively(conn, [b"RPUSH", b"jobs", b"d", b"e"]) is None
    assert jobs.copy()[-4:] == [b"last", b"a", b"b", b"c"]


def test_an_element_that_is_no_text_is_not_taken_out_natively(conn: _wire.Conn, jobs: Collection) -> None:
    jobs.rows.insert((1 << 40, (1, 2)))
    assert natively(conn, [b"RPOP", b"jobs"]) is None
    assert len(jobs) == 1001
    assert natively(conn, [b"LPOP", b"jobs"]) == b"$1\r\n0\r\n"


def test_a_list_without_rows_is_left_to_python(conn: _wire.Conn) -> None:
    rows = tsunami.Table("ordered_set")
    tsunami.keyspace(0).insert(("odd", Collection("list", rows)))
    for words in ([b"RPUSH", b"odd", b"x"], [b"LPOP", b"odd"]):
        assert natively(conn, words) is None
    rows.check()


def test_a_collection_has_the_tables_that_its_commands_rely_on() -> None:
    plain, ordered, behind = tsunami.Table(), tsunami.Table("ordered_set"), tsunami.Table(keypos=1)
    for kind, rows, order in [
        ("list", plain, None), ("stream", plain, None), ("hash", ordered, None), ("set", ordered, None),
        ("zset", plain, None), ("zset", ordered, ordered), ("zset", plain, plain), ("hash", plain, plain),
        ("set", plain, ordered), ("list", ordered, ordered), ("hash", behind, None),
        ("hash", tsunami.keyspace(1), None),
    ]:  # fmt: skip
        with pytest.raises(tsunami.BadArgument, match=f"of a {kind} this is"):
            Collection(kind, rows, order)
    with pytest.raises(TypeError):
        Collection.__new__(Collection)
    assert len(Collection("hash", plain, ordered)) == len(Collection("zset", plain, ordered)) == 0
