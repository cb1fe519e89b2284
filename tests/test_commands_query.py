"""ETS.SELECT and its relatives over RESP: what goes in and comes out, cursors as words, errors, and that long ones
leave the loop to others.

What queries mean is test_query.py's business, and what they select the engine's.
"""

import base64
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, error

import tsunami
from tsunami import Atom

names = (f"query_{number}" for number in itertools.count())
PEOPLE = [(1, "alice", 30), (2, "bob", 25), (3, "carol", 41)]


@pytest.fixture(scope="module", params=[2, 3], ids=["RESP2", "RESP3"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Client]:
    with Client(server.port, request.param) as client:
        yield client


@pytest.fixture(params=["set", "bag", "duplicate_bag"])
def table(request: pytest.FixtureRequest) -> Iterator[tsunami.Table]:
    made = tsunami.new(next(names), type=request.param)
    made.insert(PEOPLE)
    yield made
    made.delete()


@pytest.fixture
def large() -> Iterator[tsunami.Table]:
    """More rows than are looked at on the loop."""
    made = tsunami.new(next(names))
    made.insert_many((n, n % 10) for n in range(5000))
    yield made
    made.delete()


# ---- queries and patterns


@pytest.mark.parametrize(
    ("words", "results"),
    [
        (("SELECT", "{Id, _, Age} when Age > 28 -> {Id, Age}"), [[1, 30], [3, 41]]),
        (("SELECT", "TERM", "[{{'$1', '_', '$2'}, [{'>', '$2', 28}], [{{'$1', '$2'}}]}]"), [[1, 30], [3, 41]]),
        (("select", "term", "[{{2, '$1', '_'}, [], ['$1']}]"), [b"bob"]),
        (("SELECT", "AUTO", "{2, Name, _} -> Name"), [b"bob"]),
        (("SELECT", "{2, _, _}"), [[2, b"bob", 25]]),
        (("SELECT", "{9, _, _}"), []),
        (("SELECT", "TERM", "[]"), []),
        (("SELECTREVERSE", "{Id, _, _} when Id < 3 -> Id"), [1, 2]),
        (("MATCH", "{Id, _, Age}"), [[1, 30], [2, 25], [3, 41]]),
        (("MATCH", "TERM", "{'$2', '_', '$1'}"), [[25, 2], [30, 1], [41, 3]]),
        (("MATCH", "{2, bob, _}"), []),
        (("MATCH", '{2, "bob", _}'), [[]]),
        (("MATCHOBJECT", "{_, \"bob\", Age}"), [[2, b"bob", 25]]),
        (("MATCHOBJECT", "TERM", "{'_', <<\"bob\">>, '_'}"), [[2, b"bob", 25]]),
    ],
)  # fmt: skip
def test_results_are_an_array(client: Client, table: tsunami.Table, words: tuple[str, ...], results: Any) -> None:
    name, *rest = words
    assert sorted(client.value(f"ETS.{name}", str(table.name), *rest)) == results


@pytest.mark.parametrize(
    ("words", "number", "left"),
    [
        (("SELECTCOUNT", "{_, _, Age} when Age > 28"), 2, PEOPLE),
        (("SELECTCOUNT", "{_, _, Age} -> Age > 28"), 2, PEOPLE),
        (("SELECTCOUNT", "{_, _, Age} -> Age"), 0, PEOPLE),
        (("SELECTCOUNT", "TERM", "[{{'_', '_', '$1'}, [{'>', '$1', 28}], [true]}]"), 2, PEOPLE),
        (("SELECTCOUNT", "TERM", "[{'_', [], ['$_']}]"), 0, PEOPLE),
        (("SELECTCOUNT", "TERM", "[]"), 0, PEOPLE),
        (("SELECTDELETE", "{_, _, Age} when Age > 28"), 2, PEOPLE[1:2]),
        (("MATCHDELETE", "{2, _, _}"), 1, [PEOPLE[0], PEOPLE[2]]),
        (("MATCHDELETE", "TERM", "{'_', '_', 1}"), 1, PEOPLE),
    ],
)
def test_counts_are_numbers(
    client: Client, table: tsunami.Table, words: tuple[str, ...], number: int, left: list[Any]
) -> None:
    name, *rest = words
    assert client(f"ETS.{name}", str(table.name), *rest) == (":", number)
    assert sorted(table.tab2list()) == left


def test_replace_tells_how_many(client: Client) -> None:
    table = tsunami.new(next(names))
    table.insert(PEOPLE)
    assert client("ETS.SELECTREPLACE", str(table.name), "{Id, _, Age} when Age > 28 -> {Id, Age + 1}") == (":", 2)
    assert sorted(table.tab2list()) == [(1, 31), (2, "bob", 25), (3, 42)]
    table.delete()


def test_explain_tells_the_way_and_the_number_of_rows(client: Client, table: tsunami.Table) -> None:
    plan = client.value("ETS.EXPLAIN", str(table.name), "{2, Name, _} -> Name")
    if isinstance(plan, list):  # RESP2
        plan = dict(zip(plan[::2], plan[1::2], strict=True))
    assert plan[b"access"] == b"key" and plan[b"key"] == 2
    assert plan == {key.encode(): value.encode() if isinstance(value, str) else value
                    for key, value in table.explain("{2, Name, _}").items()}  # fmt: skip


# ---- pages


def pages(client: Client, *words: str | int) -> Iterator[list[Any]]:
    """The pages of a command that has a LIMIT, by its cursors."""
    cursor, found = client.value(*words)
    yield found
    while cursor is not None:
        cursor, found = client.value(*words, "CURSOR", cursor)
        yield found


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("command", "query", "whole"),
    [
        ("ETS.SELECT", "{Id, _, _} -> Id", [1, 2, 3]),
        ("ETS.SELECTREVERSE", "{Id, _, _} -> Id", [1, 2, 3]),
        ("ETS.MATCH", "{Id, _, _}", [[1], [2], [3]]),
        ("ETS.MATCHOBJECT", "{_, _, 25}", [[2, b"bob", 25]]),
        ("ETS.SELECT", "{Id, _, _} when Id > 7", []),
    ],
)
def test_pages_have_every_result_once(
    client: Client, table: tsunami.Table, command: str, query: str, whole: list[Any], limit: int
) -> None:
    found = list(pages(client, command, str(table.name), query, "LIMIT", limit))
    assert sorted(itertools.chain(*found)) == whole
    assert all(len(page) == limit for page in found[:-1]) and len(found[-1]) <= limit


def test_pages_of_a_large_table(client: Client, large: tsunami.Table) -> None:
    found = list(pages(client, "ETS.SELECT", str(large.name), "{N, 3} -> N", "LIMIT", 120))
    assert sorted(itertools.chain(*found)) == list(range(3, 5000, 10))
    assert [len(page) for page in found[:4]] == [120] * 4


def test_a_cursor_is_a_word_that_can_be_kept_and_used_again(client: Client, server: Any, table: tsunami.Table) -> None:
    words = ("ETS.SELECT", str(table.name), "{Id, _, _} -> Id")
    cursor, first = client.value(*words, "LIMIT", 2)
    assert (
        cursor.isascii()
        and len(cursor.split()) == 1
        and set(cursor) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    )
    rest = client.value(*words, "CURSOR", cursor)
    assert sorted(first + rest[1]) == [1, 2, 3]
    with Client(server.port) as other:
        assert other.value(*words, "CURSOR", cursor, "LIMIT", 2) == rest
    table.rename(next(names))
    table.insert((4, "dave", 1))
    table.delete(first[-1])
    _, later = client.value("ETS.SELECT", str(table.name), words[2], "LIMIT", 10, "CURSOR", cursor)
    assert set(rest[1]) <= set(later) and len(later) == len(set(later))


def test_a_limit_can_be_changed_on_the_way(client: Client, large: tsunami.Table) -> None:
    words = ("ETS.SELECT", str(large.name), "{N, _} -> N")
    cursor, first = client.value(*words, "LIMIT", 10)
    cursor, second = client.value(*words, "CURSOR", cursor)
    cursor, third = client.value(*words, "LIMIT", 10_000, "CURSOR", cursor)
    assert (len(first), len(second), cursor) == (10, 10, None)
    assert sorted(first + second + third) == list(range(5000))


def test_a_cursor_is_refused_where_it_does_not_belong(client: Client, table: tsunami.Table) -> None:
    query = "{Id, _, _} -> Id"
    cursor, _ = client.value("ETS.SELECT", str(table.name), query, "LIMIT", 1)
    other = tsunami.new(next(names))
    raw = base64.urlsafe_b64decode(cursor + b"=" * (-len(cursor) % 4))
    changed = [raw[:-1] + bytes([raw[-1] ^ 1]), bytes([raw[0] ^ 1]) + raw[1:], raw[:-1], raw + b"\0", raw[:12], b""]
    wrong = [
        ("ETS.SELECT", str(other.name), query, cursor),
        ("ETS.SELECT", str(table.name), query + " ", cursor),
        ("ETS.SELECTREVERSE", str(table.name), query, cursor),
        ("ETS.MATCH", str(table.name), "{Id, _, _}", cursor),
        *(("ETS.SELECT", str(table.name), query, base64.urlsafe_b64encode(data)) for data in changed),
        *(("ETS.SELECT", str(table.name), query, word) for word in (b"0", b"*", b"\xff\xfe", b"a" * 1000, "é")),
    ]
    for words in wrong:
        message = error(client(*words[:3], "CURSOR", words[3]))
        assert message.startswith("BADARG ") and "is no cursor that this server gave" in message, words
    assert client.value("ETS.SELECT", str(table.name), query, "CURSOR", cursor)
    other.delete()


def test_a_cursor_of_a_table_that_was_made_anew_is_refused(client: Client) -> None:
    name = next(names)
    table = tsunami.new(name)
    table.insert(PEOPLE)
    cursor, _ = client.value("ETS.SELECT", name, "{_, _, _}", "LIMIT", 1)
    table.delete()
    assert error(client("ETS.SELECT", name, "{_, _, _}", "CURSOR", cursor)).startswith("NOTABLE ")
    tsunami.new(name).insert(PEOPLE)
    assert "is no cursor" in error(client("ETS.SELECT", name, "{_, _, _}", "CURSOR", cursor))
    tsunami.whereis(name).delete()  # type: ignore[union-attr]


# ---- errors

COMMANDS = [
    ("ETS.SELECT", "{_}"), ("ETS.SELECTREVERSE", "{_}"), ("ETS.SELECTCOUNT", "{_}"), ("ETS.SELECTDELETE", "{_}"),
    ("ETS.SELECTREPLACE", "{_}"), ("ETS.MATCH", "{_}"), ("ETS.MATCHOBJECT", "{_}"), ("ETS.MATCHDELETE", "{_}"),
    ("ETS.EXPLAIN", "{_}"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "word"), COMMANDS)
def test_the_table_comes_first(client: Client, name: str, word: str) -> None:
    assert error(client(name, "no_such_table", word)).startswith("NOTABLE ")
    assert error(client(name, "no_such_table", "{", "NONSENSE")).startswith(("NOTABLE ", "ERR wrong number"))
    assert error(client(name, "no_such_table")).startswith("ERR wrong number of arguments")


@pytest.mark.parametrize(("name", "word"), COMMANDS)
def test_mistakes_are_told_with_their_place(client: Client, table: tsunami.Table, name: str, word: str) -> None:
    if (name, table.type) == ("ETS.SELECTREPLACE", "bag"):
        pytest.skip("that a bag cannot be replaced in is told first")
    assert error(client(name, str(table.name), "{A, &}")) == "BADARG line 1, column 5: nothing begins with '&'"
    assert error(client(name, str(table.name), "TERM", "{")).startswith("BADARG line 1, column 2: ")
    assert error(client(name, str(table.name), b"{\xff}")) == "BADARG a query must be UTF-8: byte 2 is not"
    assert error(client(name, str(table.name), "RAW", "{_}")).startswith("BADARG ")
    assert error(client(name, str(table.name), word, "NONSENSE")).startswith(("ERR syntax error", "ERR wrong number"))
    assert sorted(table.tab2list()) == PEOPLE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ETS.SELECT", "{A} when B"), "BADARG line 1, column 10: the head has no variable B, only A"),
        (("ETS.SELECT", "{A}\n when\n\tfoo(A)"), "BADARG line 3, column 2: there is no function foo in queries"),
        (("ETS.SELECT", "TERM", "ok"), "BADARG a match spec is a list of clauses {Head, Guards, Body}"),
        (("ETS.SELECT", "TERM", "[{'_', [{foo}], [true]}]"), "BADARG ..."),
        (("ETS.SELECT", "{_}", "LIMIT", "0"), "BADARG '0' is no limit: an integer from 1 on is one"),
        (("ETS.SELECT", "{_}", "LIMIT", "x"), "BADARG 'x' is no limit: an integer from 1 on is one"),
        (("ETS.SELECT", "{_}", "LIMIT", str(1 << 62)), "BADARG ..."),
        (("ETS.SELECT", "{_}", "LIMIT"), "ERR syntax error"),
        (("ETS.SELECT", "{_}", "CURSOR"), "ERR syntax error"),
        (("ETS.SELECT", "{_}", "LIMIT", "1", "LIMIT", "2"), "ERR syntax error"),
        (("ETS.MATCH", "{A} when A"), "BADARG line 1, column 5: a pattern is a head alone: when cannot stand here"),
        (("ETS.MATCH", "TERM", "#{'$1' => 1}"), "BADARG ..."),
        (("ETS.SELECTCOUNT", "{_}", "LIMIT", "1"), "ERR wrong number of arguments for 'ets.selectcount' command"),
        (("ETS.SELECTREPLACE", "{A, B, C} -> {B, A, C}"), "BADARG ..."),
    ],
)
def test_what_cannot_be_is_refused(client: Client, table: tsunami.Table, words: tuple[str, ...], message: str) -> None:
    told = error(client(words[0], str(table.name), *words[1:]))
    if words[0] == "ETS.SELECTCOUNT":  # its table may be any number of words
        assert told in (message, "ERR syntax error")
    else:
        assert told.startswith("BADARG ") if message == "BADARG ..." else told == message
    assert sorted(table.tab2list()) == PEOPLE


# ---- large tables


def test_a_mistake_in_a_long_query_is_told_too(client: Client, large: tsunami.Table) -> None:
    spec = "{N, M} -> {N, element(M + 1, {a})}"  # the body fails, the select does not
    assert len(client.value("ETS.SELECT", str(large.name), spec)) == 5000
    bag = tsunami.new(next(names), type="bag")
    bag.insert_many((n,) for n in range(5000))
    assert error(client("ETS.SELECTREPLACE", str(bag.name), "{A} -> {A}")).startswith("BADARG ")
    bag.delete()


def test_a_long_query_leaves_the_loop_to_others(server: Any) -> None:
    table = tsunami.new(next(names))
    table.insert_many((n, "x" * 20, n % 7) for n in range(300_000))
    waits: list[float] = []
    done = threading.Event()

    def ask() -> None:
        with Client(server.port) as other:
            while not done.is_set():
                start = time.perf_counter()
                assert other.value("ECHO", "still there") == b"still there"
                waits.append(time.perf_counter() - start)
                time.sleep(0.002)

    asking = threading.Thread(target=ask)
    with Client(server.port) as client:
        client.socket.settimeout(60)
        asking.start()
        start = time.perf_counter()
        query = "{N, X, M} when element(1, {N}) + length([N, X, M | []]) * 2 > M * (N + 1) - 1 -> N"
        count = client.value("ETS.SELECTCOUNT", str(table.name), query + " > -1")
        took = time.perf_counter() - start
        done.set()
    asking.join(20)
    assert count == table.select_count(query + " > -1") > 0
    assert len(waits) > 3 and max(waits) < max(took / 2, 0.05), (took, max(waits))
    table.delete()


def test_a_connection_gets_its_replies_in_order(client: Client, large: tsunami.Table) -> None:
    """A reply that comes out of a thread is waited for."""
    name = str(large.name)
    replies = client.all([("ETS.SELECTCOUNT", name, "{_, 3}"), ("ECHO", "a"), ("ETS.SELECTCOUNT", name, "{_, 4}")])
    assert [value for _, value in replies] == [500, b"a", 500]


def test_rights_hold_for_queries(server: Any) -> None:
    name = next(names)
    with Client(server.port) as owner, Client(server.port) as other:
        owner.value("ETS.NEW", name, "PROTECTED")
        owner.value("ETS.INSERT", name, "ROWS", 2, *itertools.chain(*((n, n) for n in range(3000))))
        assert len(other.value("ETS.SELECT", name, "{_, _}")) == 3000
        for command in ("ETS.SELECTDELETE", "ETS.SELECTREPLACE", "ETS.MATCHDELETE"):
            assert error(other(command, name, "{A, _}")).startswith("NOACCESS ")
        assert owner.value("ETS.SELECTDELETE", name, "{A, _} when A >= 1000") == 2000


def test_the_commands_are_those_of_ets() -> None:
    """What the bindings of MATCH are in terms of SELECT."""
    table = tsunami.Table()
    table.insert(PEOPLE)
    pattern = (Atom("$2"), Atom("$1"), Atom("_"))
    assert sorted(table.match(pattern)) == sorted(table.select([(pattern, [], [Atom("$$")])]))


def test_tab2list_tells_all_rows_in_every_mode(client: Client, table: tsunami.Table) -> None:
    name = table.name
    assert name is not None
    assert client("ETS.TAB2LIST", name) == client("ETS.SELECT", name, "Row")
    assert tsunami.binary_to_term(client.value("ETS.TAB2LIST", name, "ETF")) == tsunami.binary_to_term(
        tsunami.term_to_binary(table.tab2list())
    )
    assert error(client("ETS.TAB2LIST", name, "nonsense")) == "ERR syntax error"
    assert error(client("ETS.TAB2LIST", "query_nothing")).startswith("NOTABLE ")
