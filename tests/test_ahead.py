"""Pipelines over large values: what is loaded ahead of the requests changes nothing but the time they take.

The requests come many in a packet, and packets end anywhere, so that the quick eye of ahead.pxi meets requests that are
odd, incomplete, or not what the first one of their kind was. Replies and tables are compared with a model: a dict, and
its members in order. Values are above the size from which rows are loaded ahead.
"""

import math
import random
from collections.abc import Iterator

import pytest
from _server import request
from test_hot_values import natively

import tsunami
from tsunami import Table, _core, _wire
from tsunami._core import Collection
from tsunami_server.values.zset import sort_key

LARGE = 5000  # above AHEAD_PARTS
PREFIX = b"the same beginning of all members, longer than any piece of a key: "


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


def member(r: random.Random) -> bytes:
    """Of few kinds: those that are there, with beginnings in common, and zeros; of any length."""
    i = r.randrange(LARGE)
    return r.choice(
        [b"m%d" % i, b"member:%012d" % i, PREFIX + b"%d" % i, b"\0" * (i % 9), b"\0\xff%d\0" % i, b"", b"z" * (i % 200)]
    )


class Model:
    """A sorted set, and the replies of commands over it, in RESP2."""

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}

    def order(self) -> list[tuple[float, bytes]]:
        return sorted((score, name) for name, score in self.scores.items())

    def zadd(self, score: float, name: bytes) -> bytes:
        new = name not in self.scores
        if new or self.scores[name] != score:  # an equal score stays as it is: 0 for -0
            self.scores[name] = score
        return b":%d\r\n" % new

    def zscore(self, name: bytes) -> bytes:
        return bulk(spelled(self.scores[name])) if name in self.scores else b"$-1\r\n"

    def zrank(self, name: bytes) -> bytes:
        if name not in self.scores:
            return b"$-1\r\n"
        place = (self.scores[name], name)
        return b":%d\r\n" % sum((score, other) < place for other, score in self.scores.items())

    def zincrby(self, by: float, name: bytes) -> bytes:
        self.zadd(self.scores.get(name, 0.0) + by, name)
        return self.zscore(name)


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


def spelled(score: float) -> bytes:
    return b"%d" % score if score == int(score) and math.copysign(1, score) * (score or 1) > 0 else b"%.17g" % score


def large_zset(model: Model) -> Collection:
    rows, order = Table(stripes=1), Table("ordered_set")
    rows.insert(list(model.scores.items()))
    order.insert([(sort_key(score, name),) for name, score in model.scores.items()])
    zset = Collection("zset", rows, order)
    tsunami.keyspace(0).insert(("z", zset))
    return zset


def check_zset(zset: Collection, model: Model) -> None:
    zset.rows.check()
    zset.order.check()
    assert dict(zset.rows.tab2list()) == model.scores
    assert [row[0] for row in zset.order.tab2list()] == [sort_key(*pair) for pair in model.order()]


def requests(r: random.Random, model: Model, n: int) -> Iterator[tuple[bytes, bytes]]:
    """Requests and their replies. Scores of ties, of halves, and of -0."""
    while n:
        kind = r.choice(["ZADD", "ZRANK", "ZSCORE", "ZINCRBY", "two", "other", "runs"])
        for _ in range(min(n, r.choice([1, 1, 2, 5, 20]))):
            n -= 1
            name, score = member(r), r.choice([0.0, -0.0, 1.0, 2.0, -3.0, 0.5, float(r.randrange(-LARGE, LARGE))])
            text = str(int(score)) if score == int(score) and score else str(score)
            if kind == "ZADD" or (kind == "runs" and r.random() < 0.5):
                yield request("ZADD", "z", text, name), model.zadd(score, name)
            elif kind == "two":
                other = member(r)
                added = model.zadd(score, name) == b":1\r\n"
                added += model.zadd(1.0, other) == b":1\r\n"
                yield request("ZADD", "z", text, name, "1", other), b":%d\r\n" % added
            elif kind == "ZRANK":
                yield request("ZRANK", "z", name), model.zrank(name)
            elif kind == "ZINCRBY":
                yield request("ZINCRBY", "z", "2", name), model.zincrby(2.0, name)
            elif kind == "other":
                yield request("ZRANK", r.choice(["y", "zz", ""]), name), b"$-1\r\n"
            else:
                yield request("ZSCORE", "z", name), model.zscore(name)


@pytest.mark.parametrize("seed", range(4))
def test_a_pipeline_over_a_large_sorted_set_answers_as_its_requests_would_alone(conn: _wire.Conn, seed: int) -> None:
    r = random.Random(seed)
    model = Model()
    while len(model.scores) < LARGE:
        model.scores[member(r)] = float(r.randrange(LARGE // 10))
    zset = large_zset(model)
    for _ in range(12):
        pairs = list(requests(r, model, 60))
        data = b"".join(sent for sent, _ in pairs)
        cuts = sorted(r.randrange(len(data)) for _ in range(r.choice([0, 1, 5])))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            conn.feed(data[start:end])
            assert conn.run(10**9) == _wire.NEED_DATA
        assert conn.take_output() == b"".join(reply for _, reply in pairs)
        check_zset(zset, model)


def test_a_large_value_may_go_in_the_middle_of_a_pipeline(conn: _wire.Conn) -> None:
    model = Model()
    model.scores = {b"m%d" % i: float(i) for i in range(LARGE)}
    zset = large_zset(model)
    same = [request("ZADD", "z", "7", f"m{i}") for i in range(4)]
    conn.feed(b"".join([*same, request("DEL", "z"), *same, request("ZRANK", "z", "m2"), request("ZCARD", "z")]))
    assert conn.run(10**9) == _wire.NEED_DATA
    assert conn.take_output() == b":0\r\n" * 4 + b":1\r\n" + b":1\r\n" * 4 + b":2\r\n" + b":4\r\n"
    assert tsunami.keyspace(0).lookup("z") == [(b"z", [(b"m%d" % i, 7.0) for i in range(4)])]
    model.scores.update({b"m%d" % i: 7.0 for i in range(4)})
    check_zset(zset, model)


def test_one_that_has_expired_is_not_met_again(conn: _wire.Conn) -> None:
    model = Model()
    model.scores = {b"m%d" % i: float(i) for i in range(LARGE)}
    large_zset(model)
    ranks = [request("ZRANK", "z", f"m{i}") for i in range(3)]
    conn.feed(b"".join([*ranks, request("PEXPIREAT", "z", "1"), *ranks]))
    assert conn.run(10**9) == _wire.NEED_DATA
    assert conn.take_output() == b":0\r\n:1\r\n:2\r\n" + b":1\r\n" + b"$-1\r\n" * 3


@pytest.mark.parametrize("kind", ["hash", "set"])
def test_pipelines_over_large_hashes_and_sets(conn: _wire.Conn, kind: str) -> None:
    r = random.Random(kind)
    held = {b"part:%d" % i: b"value %d" % i for i in range(LARGE)}
    rows = Table(stripes=1)
    rows.insert(list(held.items()) if kind == "hash" else [(name,) for name in held])
    tsunami.keyspace(0).insert(("k", Collection(kind, rows)))
    sent, replies = [], []
    for _ in range(600):
        name = b"part:%d" % r.randrange(2 * LARGE)
        if r.random() < 0.3:
            sent.append(request("HSET", "k", name, "new") if kind == "hash" else request("SADD", "k", name))
            replies.append(b":%d\r\n" % (name not in held))
            held[name] = b"new"
        elif kind == "set" or r.random() < 0.3:
            sent.append(request("HEXISTS" if kind == "hash" else "SISMEMBER", "k", name))
            replies.append(b":%d\r\n" % (name in held))
        else:
            sent.append(request("HGET", "k", name))
            replies.append(bulk(held[name]) if name in held else b"$-1\r\n")
    conn.feed(b"".join(sent))
    assert conn.run(10**9) == _wire.NEED_DATA
    assert conn.take_output() == b"".join(replies)
    assert {row[0] for row in rows.tab2list()} == set(held)


# ---- a score that changes moves its row


def test_a_score_that_changes_takes_no_memory(conn: _wire.Conn) -> None:
    """The row in the order moves in the room it has: pages of rows stay as they are."""
    model = Model()
    model.scores = {b"member:%06d" % i: float(i) for i in range(LARGE)}
    zset = large_zset(model)
    before = zset.order.info("memory"), zset.order.info("size")
    r = random.Random(7)
    for _ in range(2000):
        score, name = float(r.randrange(LARGE)), b"member:%06d" % r.randrange(LARGE)
        model.zadd(score, name)
        assert natively(conn, [b"ZADD", b"z", b"%d" % score, name]) == b":0\r\n"
    check_zset(zset, model)
    assert (zset.order.info("memory"), zset.order.info("size")) == before


def test_a_member_whose_row_in_the_order_is_missing_gets_one(conn: _wire.Conn) -> None:
    """A Python program may have taken it away."""
    model = Model()
    model.scores = {b"member:%06d" % i: 1.0 for i in range(200)}
    zset = large_zset(model)
    zset.order.delete(sort_key(1.0, b"member:000007"))
    assert natively(conn, [b"ZADD", b"z", b"5", b"member:000007"]) == b":0\r\n"
    model.scores[b"member:000007"] = 5.0
    check_zset(zset, model)
    zset.order.insert((sort_key(9.0, b"member:000008"),))  # or put one there
    assert natively(conn, [b"ZADD", b"z", b"9", b"member:000008"]) == b":0\r\n"
    model.scores[b"member:000008"] = 9.0
    check_zset(zset, model)


# ---- scores as text

SCORES = [
    "0", "-0", "-0.0", "00012", "-00012", "999999999999999", "-999999999999999", "9007199254740993",
    "9999999999999999", "123456789012345678901234567890", "1.", ".5", "-.5", "0.1", "-17", "7",
]  # fmt: skip


@pytest.mark.parametrize("text", SCORES)
@pytest.mark.parametrize("large", [True, False], ids=["large", "small"])
def test_a_score_is_read_to_the_last_bit(conn: _wire.Conn, text: str, large: bool) -> None:
    model = Model()
    if large:
        model.scores = {b"m%d" % i: 0.25 for i in range(200)}
        large_zset(model)
    assert natively(conn, [b"ZADD", b"z", text.encode(), b"new"]) == b":1\r\n"
    found = tsunami.keyspace(0).lookup_element("z", 1)
    score = dict(found.copy() if isinstance(found, Collection) else found)[b"new"]  # type: ignore[arg-type]
    assert score == float(text)
    assert math.copysign(1, score) == (math.copysign(1, float(text)) if large or score else 1)  # no -0 in small ones


@pytest.mark.parametrize("text", ["", "-", "--1", "1-", "1-1", "1.1.1", "1e5", "+1", "inf", "nan", "0x10", "1 ", "١"])
def test_what_is_no_plain_number_is_left_to_python(conn: _wire.Conn, text: str) -> None:
    assert natively(conn, [b"ZADD", b"z", text.encode(), b"new"]) is None
    assert tsunami.keyspace(0).lookup("z") == []


def test_lengths_of_any_number_of_digits_are_spelled(conn: _wire.Conn) -> None:
    model = Model()
    lengths = [*range(102), 999, 1000, 1001, 12345]
    model.scores = {b"x" * n: float(n) for n in lengths}
    large_zset(model)
    want = b"".join(bulk(b"x" * n) for n in lengths)
    assert natively(conn, [b"ZRANGE", b"z", b"0", b"-1"]) == b"*%d\r\n" % len(lengths) + want


# ---- forms of keys


@pytest.mark.parametrize("n", [*range(26), 127, 128, 129, 130, 300])
def test_the_form_of_a_text_writes_zeros_apart(n: int) -> None:
    r = random.Random(n)
    texts = [b"a" * n, b"\0" * n, *(bytes(r.choice([0, 0, 1, 255]) for _ in range(n)) for _ in range(40))]
    for at in range(min(n, 20)):
        texts.append(b"b" * at + b"\0" + b"b" * (n - at - 1))
    for text in texts:
        assert _core.order_key(text) == b"\x34" + text.replace(b"\0", b"\0\xff") + b"\0\x08"
