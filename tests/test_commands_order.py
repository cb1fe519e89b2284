"""Ordered tables over RESP: walks in order, ETS.RANGE, ETS.RANK, ETS.AT. What they mean, test_ordered.py tells."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, error, our_server

import tsunami

names = (f"wire_ordered_{number}" for number in itertools.count())


@pytest.fixture(scope="module", params=["hot", "cold"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(all_cold=request.param == "cold") as server:
        yield server


@pytest.fixture(scope="module", params=[2, 3], ids=["RESP2", "RESP3"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Client]:
    with Client(server.port, request.param) as client:
        yield client


@pytest.fixture
def table(client: Client) -> Iterator[str]:
    name = next(names)
    client.value("ETS.NEW", name, "TYPE", "ordered_set")
    yield name
    client("ETS.DROP", name)


@pytest.fixture
def numbers(client: Client, table: str) -> str:
    for number in (5, 3, 9, 1, 7):
        client.value("ETS.INSERT", table, number, f"row {number}")
    return table


def keys(rows: list[Any]) -> list[Any]:
    return [row[0] for row in rows]


def test_the_table_is_the_programs_own(client: Client, numbers: str) -> None:
    table = tsunami.whereis(numbers)
    assert table is not None and table.type == "ordered_set"
    assert table.tab2list() == [(n, f"row {n}") for n in (1, 3, 5, 7, 9)]
    assert client.value("ETS.INFO", numbers, "type") == b"ordered_set"


def test_walks_go_in_order_from_keys_that_need_not_be_there(client: Client, numbers: str) -> None:
    assert [client.value(f"ETS.{end}", numbers) for end in ("FIRST", "LAST")] == [1, 9]
    assert [client.value("ETS.NEXT", numbers, key) for key in (1, 2, 9, -100)] == [3, 3, None, 1]
    assert [client.value("ETS.PREV", numbers, key) for key in (1, 2, 9, "text")] == [None, 1, 7, 9]
    assert client.value("ETS.NEXTLOOKUP", numbers, 4) == [5, [[5, b"row 5"]]]
    assert client.value("ETS.PREVLOOKUP", numbers, 4) == [3, [[3, b"row 3"]]]
    assert client.value("ETS.LASTLOOKUP", numbers) == [9, [[9, b"row 9"]]]
    assert client.value("ETS.SLOT", numbers, 2) == [[5, b"row 5"]]


def test_keys_are_equal_by_value(client: Client, numbers: str) -> None:
    for command in ("LOOKUP", "TAKE"):
        assert client.value(f"ETS.{command}", numbers, "TERM", "5.0") == [[5, b"row 5"]]
    assert client.value("ETS.MEMBER", numbers, "TERM", "3.0") == 1
    client.value("ETS.INSERT", numbers, "TERM", "{3.0, 10}")
    assert client.value("ETS.UPDATECOUNTER", numbers, 3, 2, 5) == 15
    assert client.value("ETS.LEN", numbers) == 4
    table = tsunami.whereis(numbers)
    assert table is not None and repr(table.lookup(3)) == "[(3.0, 15)]"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("-", "+"), [1, 3, 5, 7, 9]),
        (("3", "7"), [3, 5, 7]),
        (("2", "8"), [3, 5, 7]),
        (("3", "7", "EXCLMIN"), [5, 7]),
        (("3", "7", "EXCLMAX"), [3, 5]),
        (("3", "7", "exclmax", "exclmin"), [5]),
        (("3", "+", "REV"), [9, 7, 5, 3]),
        (("-", "7", "REV", "LIMIT", "2"), [7, 5]),
        (("-", "+", "LIMIT", "0"), []),
        (("-", "+", "LIMIT", "99"), [1, 3, 5, 7, 9]),
        (("7", "3"), []),
        (("TERM", "2.5", "5.0"), [3, 5]),
        (("RAW", "-", "+"), [1, 3, 5, 7, 9]),
        (("RAW", "1", "+"), []),
    ],
    ids=str,
)
def test_range(client: Client, numbers: str, words: tuple[str, ...], expected: list[int]) -> None:
    assert keys(client.value("ETS.RANGE", numbers, *words)) == expected


def test_a_range_of_many_rows_is_whole(client: Client, table: str) -> None:
    there = tsunami.whereis(table)
    assert there is not None
    there.insert([(n, "x" * (n % 40)) for n in range(3000)])
    assert keys(client.value("ETS.RANGE", table, "10", "2990", "EXCLMAX")) == list(range(10, 2990))
    assert keys(client.value("ETS.RANGE", table, "-", "+", "REV")) == list(reversed(range(3000)))


def test_rank_and_at(client: Client, numbers: str) -> None:
    assert [client.value("ETS.RANK", numbers, key) for key in (0, 1, 2, 9, 10, "x")] == [0, 0, 1, 4, 5, 5]
    assert client.value("ETS.RANK", numbers, "TERM", "{1}") == 5
    assert client.value("ETS.AT", numbers, 0) == [1, b"row 1"]
    assert client.value("ETS.AT", numbers, -1) == [9, b"row 9"]
    assert [client.value("ETS.AT", numbers, index) for index in (5, -6, 2**62)] == [None, None, None]


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("RANGE", ("1", "2", "LIMIT", "-1"), "BADARG '-1' is no number of rows: an integer from 0 on is one"),
        ("RANGE", ("1", "2", "LIMIT", "x"), "BADARG 'x' is no number of rows: an integer from 0 on is one"),
        ("RANGE", ("1", "2", "LIMIT"), "ERR syntax error"),
        ("RANGE", ("1", "2", "3"), "ERR syntax error"),
        ("AT", ("x",), "BADARG 'x' is no index: an integer is one"),
        ("AT", ("1", "2"), "ERR wrong number of arguments for 'ets.at' command"),
        ("RANK", ("1", "2"), "ERR syntax error"),
    ],
)
def test_what_is_wrong_is_told(
    client: Client, numbers: str, command: str, words: tuple[str, ...], message: str
) -> None:
    assert error(client(f"ETS.{command}", numbers, *words)) == message


@pytest.mark.parametrize("words", [("RANGE", "-", "+"), ("RANK", "1"), ("AT", "0")], ids=" ".join)
@pytest.mark.parametrize("kind", ["set", "bag", "duplicate_bag"])
def test_other_tables_have_no_order(client: Client, kind: str, words: tuple[str, ...]) -> None:
    name = next(names)
    client.value("ETS.NEW", name, "TYPE", kind)
    command, *rest = words
    assert error(client(f"ETS.{command}", name, *rest)).endswith(f"is not for a table of type {kind}")
    client.value("ETS.DROP", name)
    assert error(client(f"ETS.{command}", name, *rest)) == f"NOTABLE no such table '{name}'"


def test_a_row_that_cannot_be_told_is_not_taken(client: Client, table: str) -> None:
    there = tsunami.whereis(table)
    assert there is not None
    there.insert((1, object()))
    assert client("ETS.TAKE", table, "1")[0] == "-"
    assert len(there) == 1
