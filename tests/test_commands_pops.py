"""Commands that wait for something to take: which they take, from where, and what they do when it is something else.

How waiting itself ends (time, CLIENT UNBLOCK, the order of clients) is tested in test_blocking.py.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, Reply, encode
from _support import wait_until


@pytest.fixture
def clients(server: Any) -> Iterator[tuple[Client, Client]]:
    with Client(server.port) as waiting, Client(server.port) as other:
        yield waiting, other
        other("FLUSHALL")


def wait(clients: tuple[Client, Client], *words: bytes | str | int) -> None:
    """Send a command that waits, and see that it does."""
    waiting, other = clients
    waiting.socket.sendall(encode(words))
    wait_until(lambda: b"blocked_clients:1" in other.value("INFO", "clients"), "it waits")


BULK_A = ("$", b"a")


@pytest.mark.parametrize(
    ("call", "then", "reply", "left"),
    [
        (("BLPOP", "q", "l", 0), ("RPUSH", "l", "a", "b"), ("*", [("$", b"l"), BULK_A]), ["b"]),
        (("BRPOP", "q", "l", 0), ("RPUSH", "l", "b", "a"), ("*", [("$", b"l"), BULK_A]), ["b"]),
        (("BLMPOP", 0, 2, "q", "l", "LEFT", "COUNT", 5), ("RPUSH", "l", "a"), ("*", [("$", b"l"), ("*", [BULK_A])]),
         []),
        (("BLMOVE", "q", "l", "LEFT", "RIGHT", 0), ("RPUSH", "q", "a"), BULK_A, ["a"]),
        (("BRPOPLPUSH", "q", "l", 0), ("RPUSH", "q", "b", "a"), BULK_A, ["a"]),
        (("BZPOPMIN", "z", 0), ("ZADD", "z", 2, "b", 1, "a"), ("*", [("$", b"z"), BULK_A, ("$", b"1")]), []),
        (("BZPOPMAX", "z", 0), ("ZADD", "z", 0, "b", 1, "a"), ("*", [("$", b"z"), BULK_A, ("$", b"1")]), []),
        (
            ("BZMPOP", 0, 1, "z", "MIN", "COUNT", 5), ("ZADD", "z", 1, "a"),
            ("*", [("$", b"z"), ("*", [("*", [BULK_A, ("$", b"1")])])]), [],
        ),
    ],
)  # fmt: skip
def test_a_client_that_waits_gets_what_comes(
    clients: tuple[Client, Client], call: tuple[Any, ...], then: tuple[Any, ...], reply: Reply, left: list[str]
) -> None:
    wait(clients, *call)
    waiting, other = clients
    assert other(*then)[0] == ":"
    assert waiting.read() == reply
    assert other.value("LRANGE", "l", 0, -1) == [element.encode() for element in left]


@pytest.mark.parametrize(
    ("call", "empty"),
    [
        (("BLPOP", "q", 0.01), ("*", None)), (("BRPOP", "q", 0.01), ("*", None)),
        (("BZPOPMIN", "q", 0.01), ("*", None)),
        (("BLMPOP", 0.01, 1, "q", "LEFT"), ("*", None)), (("BZMPOP", 0.01, 1, "q", "MAX"), ("*", None)),
        (("BLMOVE", "q", "l", "LEFT", "LEFT", 0.01), ("$", None)), (("BRPOPLPUSH", "q", "l", 0.01), ("$", None)),
    ],
)  # fmt: skip
def test_in_vain(clients: tuple[Client, Client], call: tuple[Any, ...], empty: Reply) -> None:
    waiting, _ = clients
    assert waiting(*[str(word) for word in call]) == empty
    assert waiting("MULTI") == ("+", "OK")
    assert waiting(*[0 if word == 0.01 else word for word in call]) == ("+", "QUEUED")
    assert waiting("EXEC") == ("*", [empty]), "in a transaction nothing waits"


def test_what_is_no_list_meanwhile_is_not_there(clients: tuple[Client, Client]) -> None:
    wait(clients, "BLPOP", "a", "l", 0)
    waiting, other = clients
    other("SET", "a", "text")
    other("ZADD", "l", 1, "x")
    other("DEL", "l")
    other("RPUSH", "l", "found")
    assert waiting.read() == ("*", [("$", b"l"), ("$", b"found")])
    assert waiting("BLPOP", "a", 0)[1].startswith("WRONGTYPE"), "but at first it is a mistake"


def test_a_target_of_another_type_is_told_when_something_comes(clients: tuple[Client, Client]) -> None:
    waiting, other = clients
    other("SET", "text", "x")
    wait(clients, "BLMOVE", "l", "text", "LEFT", "LEFT", 0)
    other("RPUSH", "l", "a")
    mark, said = waiting.read()
    assert (mark, said.split()[0]) == ("-", "WRONGTYPE")
    assert other.value("LRANGE", "l", 0, -1) == [b"a"]


def test_an_element_may_be_handed_on(server: Any, clients: tuple[Client, Client]) -> None:
    waiting, other = clients
    wait(clients, "BLPOP", "second", 0)
    with Client(server.port) as mover:
        mover.socket.sendall(encode(("BLMOVE", "first", "second", "LEFT", "LEFT", 0)))
        wait_until(lambda: b"blocked_clients:2" in other.value("INFO", "clients"), "both wait")
        other("RPUSH", "first", "x")
        assert mover.read() == ("$", b"x")
        assert waiting.read() == ("*", [("$", b"second"), ("$", b"x")])
        assert other.value("EXISTS", "first", "second") == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("BLPOP", "a", "x"), "ERR timeout is not a float or out of range"),
        (("BLPOP", "a", "-1"), "ERR timeout is negative"),
        (("BLMOVE", "a", "b", "UP", "LEFT", "x"), "ERR syntax error"),
        (("BLMPOP", "x", "0", "a", "LEFT"), "ERR timeout is not a float or out of range"),
        (("BLMPOP", "0", "0", "a", "LEFT"), "ERR numkeys should be greater than 0"),
        (("BZMPOP", "0", "1", "a", "MIN", "COUNT", "0"), "ERR count should be greater than 0"),
        (("BZMPOP", "0", "2", "a", "MIN"), "ERR syntax error"),
    ],
)  # fmt: skip
def test_mistakes(clients: tuple[Client, Client], call: tuple[str, ...], said: str) -> None:
    assert clients[0](*call) == ("-", said)
