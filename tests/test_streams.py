"""Streams beside redis-server, waiting for entries, and streams as Python sees them."""

import random
import threading
from collections.abc import Iterator

import pytest
from _server import Process, Wire, redis_server, tsunami_server
from _support import wait_until

from tsunami_server.values import Stream
from tsunami_server.values.stream import GREATEST, ZERO

Word = bytes | str | int


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Process, Process]]:
    with tsunami_server() as ours, redis_server() as theirs:
        yield ours, theirs


@pytest.fixture
def pair(servers: tuple[Process, Process]) -> Iterator[tuple[Wire, Wire]]:
    with servers[0].wire() as ours, servers[1].wire() as theirs:
        for wire in (ours, theirs):
            wire("FLUSHALL")
        yield ours, theirs


def same(pair: tuple[Wire, Wire], *words: Word) -> object:
    ours, theirs = (wire(*words) for wire in pair)
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        assert str(ours) == str(theirs), words
    assert ours == theirs or isinstance(ours, Exception), words
    return ours


def id_of(r: random.Random) -> str:
    return r.choice([f"{r.randrange(30)}-{r.randrange(4)}", str(r.randrange(30)), "-", "+", f"({r.randrange(30)}-1"])


def command(r: random.Random, key: str, at: int) -> list[Word]:
    trim: list[Word] = r.choice(
        [[], [], ["MAXLEN", r.randrange(20)], ["MAXLEN", "=", 7], ["MAXLEN", "~", r.randrange(30)],
         ["MINID", r.randrange(30)], ["MINID", "~", f"{at}-0"], ["MAXLEN", "~", 5, "LIMIT", r.randrange(12)],
         ["MAXLEN", 5, "LIMIT", 3], ["MAXLEN", -1]]
    )  # fmt: skip
    new = r.choice([f"{at}-*", f"{at}-{at % 5 + 1}", str(at), f"{r.randrange(at + 1)}-1", "0-0", "x-1", "0-*"])
    return r.choice(
        [["XADD", key, *trim, new, "f", at], ["XADD", key, new, "a", "1", "b", "2"], ["XADD", key, new, "odd"],
         ["XADD", key, "NOMKSTREAM", new, "f", "v"], ["XLEN", key], ["XRANGE", key, id_of(r), id_of(r)],
         ["XREVRANGE", key, id_of(r), id_of(r), "COUNT", r.randrange(-1, 5)], ["XRANGE", key, "-", "+"],
         ["XDEL", key, f"{r.randrange(at + 1)}-*".replace("*", str(r.randrange(4)))], ["XDEL", key, "1-1", "5-1"],
         ["XTRIM", key, *(trim or ["MAXLEN", 10])], ["XREAD", "COUNT", 2, "STREAMS", key, f"{r.randrange(at + 1)}-0"],
         ["XREAD", "STREAMS", key, "other", "0", "$"], ["XREAD", "STREAMS", key], ["XSETID", key, f"{at}-9"],
         ["XSETID", key, f"{at}-9", "ENTRIESADDED", 40, "MAXDELETEDID", "2-1"], ["EXISTS", key], ["TYPE", key],
         ["XINFO", "STREAM", key, "FULL", "COUNT", 2]]
    )  # fmt: skip


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("node", [3, 100], ids=["tables", "terms"])
def test_replies_are_those_of_redis(pair: tuple[Wire, Wire], node: int, resp: int) -> None:
    r = random.Random(node * 10 + resp)
    for wire in pair:
        wire("HELLO", resp)
        wire("CONFIG", "SET", "stream-node-max-entries", node)
    for at in range(1, 700):
        words = command(r, f"s{r.randrange(2)}", at // 4 + 1)
        if words[0] == "XINFO":  # 7.0 counts its radix tree's nodes otherwise
            ours, theirs = (wire(*words) for wire in pair)
            assert isinstance(ours, Exception) == isinstance(theirs, Exception)
        elif any(word == "~" for word in words):
            for wire in pair:  # which whole nodes there are depends on what was deleted from their middle
                wire("DEL", words[1])
        else:
            same(pair, *words)


def test_whole_nodes_are_trimmed_as_by_redis(pair: tuple[Wire, Wire]) -> None:
    for wire in pair:
        wire("CONFIG", "SET", "stream-node-max-entries", 10)
    for at in range(1, 200):
        same(pair, "XADD", "s", "MAXLEN", "~", 55, at, "f", at)
        same(pair, "XLEN", "s")
    for words in (["MAXLEN", 47], ["MAXLEN", "~", 30], ["MAXLEN", "~", 5, "LIMIT", 15], ["MINID", "~", "190"]):
        same(pair, "XTRIM", "s", *words)
        same(pair, "XLEN", "s")


def test_an_id_is_never_given_twice(pair: tuple[Wire, Wire]) -> None:
    top = (1 << 64) - 1
    for words in (
        ["XADD", "s", "5-5", "a", "b"], ["XDEL", "s", "5-5"], ["XLEN", "s"], ["XADD", "s", "5-5", "a", "b"],
        ["XADD", "s", "5-*", "a", "b"], ["XADD", "s", f"5-{top}", "a", "b"],
        ["XADD", "s", f"{top}-{top}", "a", "b"], ["XADD", "s", "*", "a", "b"], ["XADD", "s", f"{top}-*", "a", "b"],
        ["XADD", "s", f"{top + 1}-0", "a", "b"], ["XRANGE", "s", f"({top}-{top}", "+"], ["XRANGE", "s", "-", "(0-0"],
        ["XADD", "s", "-1-1", "a", "b"], ["XADD", "s", "1-1-1", "a", "b"], ["XADD", "s", "", "a", "b"],
    ):  # fmt: skip
        same(pair, *words)


# ---- waiting


def test_who_waits_gets_what_is_added(servers: tuple[Process, Process]) -> None:
    with servers[0].wire() as reader, servers[0].wire() as writer:
        writer("FLUSHALL")
        writer("XADD", "s", "1-1", "old", "1")
        reader.send(b"XREAD BLOCK 0 STREAMS s t $ $\r\n")
        wait_until(lambda: b"blocked_clients:1" in bytes(writer("INFO", "clients")), "the reader waits")  # type: ignore[arg-type]
        writer("XADD", "t", "2-1", "new", "2")
        assert reader.reply() == [[b"t", [[b"2-1", [b"new", b"2"]]]]]
        assert reader("XREAD", "BLOCK", 10, "STREAMS", "s", "$") is None
        assert reader("XREAD", "BLOCK", 0, "STREAMS", "s", "0") == [[b"s", [[b"1-1", [b"old", b"1"]]]]]
        assert "negative" in str(reader("XREAD", "BLOCK", -1, "STREAMS", "s", "0"))


def test_who_waits_is_not_woken_by_another_type(servers: tuple[Process, Process]) -> None:
    with servers[0].wire() as reader, servers[0].wire() as writer:
        writer("FLUSHALL")
        reader.send(b"XREAD BLOCK 20000 STREAMS s $\r\n")
        wait_until(lambda: b"blocked_clients:1" in bytes(writer("INFO", "clients")), "the reader waits")  # type: ignore[arg-type]
        writer("LPUSH", "s", "no stream")
        writer("DEL", "s")
        writer("XADD", "s", "7-1", "a", "b")
        assert reader.reply() == [[b"s", [[b"7-1", [b"a", b"b"]]]]]


def test_many_writers_and_a_reader_that_misses_nothing(servers: tuple[Process, Process]) -> None:
    with servers[0].wire() as reader:
        reader("FLUSHALL")

        def write() -> None:
            with servers[0].wire() as wire:
                for n in range(100):
                    wire("XADD", "s", "*", "n", n)

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        seen: list[bytes] = []
        while len(seen) < 400:
            news = reader("XREAD", "BLOCK", 10_000, "STREAMS", "s", seen[-1] if seen else "0")
            assert isinstance(news, list)
            seen += [entry[0] for entry in news[0][1]]
        for thread in threads:
            thread.join()
        assert len(set(seen)) == 400


# ---- the value


def test_a_copy_is_one_of_its_own() -> None:
    for limit in (2, 100):
        stream = Stream()
        for n in range(1, 6):
            stream.add((n, 0), [b"f", b"%d" % n])
        stream.settle(lambda name, limit=limit: limit if "entries" in name else 1000)  # type: ignore[misc]
        copied = stream.copy()
        stream.cut(3)
        stream.add((9, 9), [b"x", b"y"])
        assert [entry[0] for entry in copied.between(ZERO, GREATEST)] == [(n, 0) for n in range(1, 6)]
        assert (copied.last, copied.added, copied.deleted) == ((5, 0), 5, ZERO)
        assert (stream.last, stream.added, stream.deleted, stream.first()) == ((9, 9), 6, (3, 0), (4, 0))
        again = Stream.open(stream.term())
        assert again.between(ZERO, GREATEST) == stream.between(ZERO, GREATEST)
        assert (again.last, again.added, again.deleted) == (stream.last, stream.added, stream.deleted)
