"""LCS beside redis-server: the same subsequence, the same places, in both versions of RESP."""

import random
from collections.abc import Iterator

import pytest
from _server import Process, redis_server, tsunami_server


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Process, Process]]:
    with tsunami_server() as ours, redis_server() as theirs:
        yield ours, theirs


OPTIONS: list[list[str]] = [
    [], ["LEN"], ["IDX"], ["IDX", "WITHMATCHLEN"], ["idx", "MINMATCHLEN", "2"], ["LEN", "IDX"], ["MINMATCHLEN", "x"],
    ["MINMATCHLEN", "-3", "IDX"], ["FOO"], ["MINMATCHLEN"],
]  # fmt: skip


@pytest.mark.parametrize("resp", [2, 3])
def test_it_answers_as_redis_does(servers: tuple[Process, Process], resp: int) -> None:
    r = random.Random(resp)
    with servers[0].wire() as ours, servers[1].wire() as theirs:
        for wire in (ours, theirs):
            wire("HELLO", resp)
            wire("RPUSH", "list", "x")
        for size in [0, 1, 2, 5, 8, 30, 30, 30, 200, 900]:
            a, b = (bytes(r.choice(b"acgt\0") for _ in range(r.randint(size // 2, size))) for _ in range(2))
            for wire in (ours, theirs):
                wire("MSET", "a", a, "b", b)
            for options in OPTIONS:
                for pair in (["a", "b"], ["a", "missing"], ["a", "list"]):
                    mine, real = ours("LCS", *pair, *options), theirs("LCS", *pair, *options)
                    assert str(mine) == str(real), (a, b, pair, options)


def test_others_are_served_meanwhile(servers: tuple[Process, Process]) -> None:
    with servers[0].wire() as busy, servers[0].wire() as other:
        busy("MSET", "a", b"ab" * 1500, "b", b"ba" * 1500)
        busy.send(b"LCS a b LEN\r\n")
        assert other("PING") == b"PONG"
        assert busy.reply() == 2999
