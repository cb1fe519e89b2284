"""ETS.* over RESP: argument forms, modes, replies and errors, in RESP2 and RESP3, hot and cold.

What the operations do to a table is the model's business (test_machine.py); here it is what goes in and out on the
wire.
"""

import itertools
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from _redis import Client, error, our_server, plain
from _support import effort
from hypothesis import given, settings
from hypothesis import strategies as st

import tsunami
from tsunami import Atom, Bits, ImproperList
from tsunami.literal import format

TYPES = ("set", "ordered_set", "bag", "duplicate_bag")
names = (f"wire_{number}" for number in itertools.count())


@pytest.fixture(scope="module", params=["hot", "cold"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(all_cold=request.param == "cold") as server:
        yield server


@pytest.fixture(scope="module", params=[2, 3], ids=["RESP2", "RESP3"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Client]:
    with Client(server.port, request.param) as client:
        client.resp = request.param  # type: ignore[attr-defined]
        yield client


@pytest.fixture
def new(client: Client) -> Iterator[Any]:
    """Makes tables with ETS.NEW, and drops them in the end."""
    made: list[str] = []

    def make(*options: str | int) -> str:
        made.append(next(names))
        assert client("ETS.NEW", made[-1], *options) == ("$", made[-1].encode())
        return made[-1]

    yield make
    for name in made:
        if tsunami.whereis(name) is not None:
            client.value("ETS.DROP", name)


@pytest.fixture(params=TYPES)
def table(new: Any, request: pytest.FixtureRequest) -> str:
    return str(new("TYPE", request.param))


# ---- tables


def test_new_makes_the_table_that_the_program_sees(client: Client, new: Any) -> None:
    name = new("type", "duplicate_bag", "keypos", "2", "STRIPES", "4", "PUBLIC")
    table = tsunami.whereis(name)
    assert table is not None
    assert (table.type, table.keypos, table.info("stripes")) == ("duplicate_bag", 1, 4)
    assert client.value("ETS.WHEREIS", name) == table.info("id")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("TYPE", "heap"), "BADARG 'heap' is no type of tables; types are set, ordered_set, bag and duplicate_bag"),
        (("TYPE",), "ERR syntax error"),
        (("KEYPOS", "0"), "BADPOS position 0: positions count from 1"),
        (("KEYPOS", "x"), "BADARG 'x' is no position: an integer from 1 on is one"),
        (("FOO",), "ERR syntax error"),
    ],
)
def test_new_refuses_what_it_cannot_make(client: Client, options: tuple[str, ...], message: str) -> None:
    name = next(names)
    assert message == error(client("ETS.NEW", name, *options))
    assert tsunami.whereis(name) is None


def test_a_name_is_given_once(client: Client, new: Any) -> None:
    name = new()
    assert error(client("ETS.NEW", name)).startswith("EXISTS ")
    assert error(client("ETS.RENAME", new(), name)).startswith("EXISTS ")


def test_rename_drop_all_and_whereis(client: Client, new: Any) -> None:
    name, other = new(), next(names)
    number = client.value("ETS.WHEREIS", name)
    assert client("ETS.RENAME", name, other) == ("$", other.encode())
    assert client.value("ETS.WHEREIS", name) is None
    assert client.value("ETS.WHEREIS", other) == number
    assert other.encode() in client.value("ETS.ALL") and name.encode() not in client.value("ETS.ALL")
    assert client("ETS.DROP", other) == (":", 1)
    assert tsunami.whereis(other) is None
    assert error(client("ETS.DROP", other)) == f"NOTABLE no such table '{other}'"


EVERY = [
    ("ETS.INSERT", "k"),
    ("ETS.INSERTNEW", "k"),
    ("ETS.LOOKUP", "k"),
    ("ETS.MLOOKUP", "k"),
    ("ETS.LOOKUPELEMENT", "k", "1"),
    ("ETS.MEMBER", "k"),
    ("ETS.TAKE", "k"),
    ("ETS.DELETE", "k"),
    ("ETS.DELETEOBJECT", "k"),
    ("ETS.CLEAR",),
    ("ETS.DROP",),
    ("ETS.UPDATECOUNTER", "k", "2", "1"),
    ("ETS.UPDATEELEMENT", "k", "2", "1"),
    ("ETS.FIRST",),
    ("ETS.NEXT", "k"),
    ("ETS.LAST",),
    ("ETS.PREV", "k"),
    ("ETS.FIRSTLOOKUP",),
    ("ETS.NEXTLOOKUP", "k"),
    ("ETS.LASTLOOKUP",),
    ("ETS.PREVLOOKUP", "k"),
    ("ETS.SLOT", "0"),
    ("ETS.LEN",),
    ("ETS.RENAME", "x"),
    ("ETS.FIX",),
    ("ETS.UNFIX",),
]


@pytest.mark.parametrize("call", EVERY, ids=lambda call: call[0])
def test_the_table_is_looked_for_first(client: Client, call: tuple[str, ...]) -> None:
    command, *rest = call
    assert error(client(command, "no table", *rest)) == "NOTABLE no such table 'no table'"
    assert error(client(command.lower(), b"\xff", *rest)) == "NOTABLE no such table '\\\\xff'"


@pytest.mark.parametrize("call", [*EVERY, ("ETS.NEW",), ("ETS.INFO",), ("ETS.WHEREIS",)], ids=lambda call: call[0])
def test_too_few_words_are_refused_in_redis_words(client: Client, call: tuple[str, ...]) -> None:
    assert error(client(call[0])) == f"ERR wrong number of arguments for '{call[0].lower()}' command"


def test_info_tells_all_or_one_item(client: Client, new: Any) -> None:
    name = new("KEYPOS", "3", "TYPE", "bag")
    client.value("ETS.INSERT", name, "a", "b", "c")
    found = client.value("ETS.INFO", name)
    if client.resp == 2:  # type: ignore[attr-defined]
        found = dict(zip(found[::2], found[1::2], strict=True))
    assert (found[b"size"], found[b"type"], found[b"keypos"], found[b"name"]) == (1, b"bag", 3, name.encode())
    assert found[b"memory"] == client.value("ETS.INFO", name, "MEMORY") > 0
    assert client.value("ETS.INFO", name, "keypos") == 3
    assert client.value("ETS.INFO", "no table") is None
    assert client.value("ETS.INFO", "no table", "nonsense") is None
    assert error(client("ETS.INFO", name, "nonsense")).startswith("BADARG 'nonsense' is no item of info; items are ")


# ---- rows in and out


def test_words_are_integers_or_text(client: Client, new: Any) -> None:
    name = new()
    words = [
        "1",
        "-7",
        "0",
        "-0",
        "007",
        "+1",
        "1.5",
        " 1",
        "",
        "true",
        "12345678901234567890123",
        "päron",
        b"\xff\x00",
    ]
    assert client("ETS.INSERT", name, *words) == (":", 1)
    row = (1, -7, 0, "-0", "007", "+1", "1.5", " 1", "", "true", 12345678901234567890123, "päron", b"\xff\x00")
    (found,) = tsunami.whereis(name).lookup(1)  # type: ignore[union-attr]
    assert repr(row) == repr(found)


def test_raw_words_are_bytes(client: Client, new: Any) -> None:
    name = new()
    assert client("ETS.INSERT", name, "raw", "1", "x") == (":", 1)
    assert [(b"1", b"x")] == tsunami.whereis(name).lookup(b"1")  # type: ignore[union-attr]
    assert client.value("ETS.LOOKUP", name, "RAW", "1") == [[b"1", b"x"]]
    assert client.value("ETS.LOOKUP", name, "1") == []
    assert client.value("ETS.MEMBER", name, "Raw", "1") == 1


def test_text_of_the_program_and_of_the_wire_are_one_term(client: Client, new: Any) -> None:
    name = new()
    tsunami.whereis(name).insert(("alice", b"bytes", "text"))  # type: ignore[union-attr]
    for mode in ((), ("AUTO",), ("RAW",)):
        assert client.value("ETS.LOOKUP", name, *mode, "alice") == [[b"alice", b"bytes", b"text"]]
    assert client.value("ETS.LOOKUP", name, "TERM", '<<"alice">>') == [[b"alice", b"bytes", b"text"]]


def test_a_needed_word_is_no_mode(client: Client, new: Any) -> None:
    name = new()
    for word in ("TERM", "RAW", "AUTO", "ETF", "ROWS", "DEFAULT"):
        assert client("ETS.INSERT", name, word) == (":", 1), word
        assert client.value("ETS.LOOKUP", name, word) == [[word.encode()]]
        assert client.value("ETS.LOOKUP", name, "AUTO", word) == [[word.encode()]]
        assert client.value("ETS.MEMBER", name, word) == 1
        assert client.value("ETS.LOOKUPELEMENT", name, word, "1") == word.encode()
        assert client.value("ETS.DELETE", name, word) == 1
    assert client.value("ETS.LEN", name) == 0


def test_etf_takes_whole_rows_and_tells_terms_in_etf(client: Client, new: Any) -> None:
    name = new()
    etf, read = tsunami.term_to_binary, tsunami.binary_to_term
    rows = [(1, tsunami.Atom("a"), [1, 2]), (b"key", {b"x": 1.5}), ((2, b"b"), None)]
    assert client.value("ETS.INSERT", name, "ETF", *map(etf, rows)) == 3
    assert client.value("ETS.INSERTNEW", name, "etf", etf(rows[0])) == 0
    for row in rows:
        assert read(client.value("ETS.LOOKUP", name, "ETF", etf(row[0]))) == [row]
        assert client.value("ETS.MEMBER", name, "ETF", etf(row[0])) == 1
        assert read(client.value("ETS.LOOKUPELEMENT", name, "ETF", etf(row[0]), 2)) == row[1]
    assert read(client.value("ETS.MLOOKUP", name, "ETF", etf(1), etf(7))) == [[rows[0]], []]
    assert read(client.value("ETS.LOOKUPELEMENT", name, "ETF", etf(7), 2, "DEFAULT", etf([]))) == []
    assert client.value("ETS.UPDATEELEMENT", name, "ETF", etf(1), 2, etf({})) == 1
    assert client.value("ETS.UPDATECOUNTER", name, "ETF", etf(9), 2, 5, "DEFAULT", etf((0, 1))) == 6
    assert read(client.value("ETS.TAKE", name, "ETF", etf(9))) == [(9, 6)]
    assert read(client.value("ETS.TAKE", name, "ETF", etf(9))) == []
    assert client.value("ETS.DELETEOBJECT", name, "ETF", etf(rows[1])) == 1
    assert client.value("ETS.DELETE", name, "ETF", etf(1)) == 1
    assert client.value("ETS.NEXT", name, "ETF", etf((2, b"b"))) is None
    assert client.value("ETS.LEN", name) == 1


def test_etf_walks_an_ordered_table(client: Client, new: Any) -> None:
    name = new("TYPE", "ORDERED_SET")
    etf, read = tsunami.term_to_binary, tsunami.binary_to_term
    client.value("ETS.INSERT", name, "ETF", *(etf((n, n * n)) for n in range(4)))
    assert read(client.value("ETS.NEXT", name, "ETF", etf(1))) == 2
    assert read(client.value("ETS.PREVLOOKUP", name, "ETF", etf(1))) == (0, [(0, 0)])
    assert read(client.value("ETS.RANGE", name, "ETF", etf(1), etf(2))) == [(1, 1), (2, 4)]
    assert client.value("ETS.RANK", name, "ETF", etf(2.5)) == 3


@pytest.mark.parametrize("word", [b"", b"x", b"\x83", b"\x83h\x02a\x01", b"\x83\xf0\0\0\0\1a", b"\x83a\x01a"])
def test_what_is_no_etf_is_an_error_that_changes_nothing(client: Client, new: Any, word: bytes) -> None:
    name = new()
    assert error(client("ETS.INSERT", name, "ETF", word)).startswith("BADARG ")
    assert error(client("ETS.LOOKUP", name, "ETF", word)).startswith("BADARG ")
    assert error(client("ETS.INSERT", name, "ETF", tsunami.term_to_binary((1,)), word)).startswith("BADARG ")
    assert error(client("ETS.INSERT", name, "ETF", tsunami.term_to_binary([1]))).startswith("BADARG ")
    assert client.value("ETS.LEN", name) == 0


def test_term_rows_are_literals(client: Client, new: Any) -> None:
    name = new()
    rows = ["{1, alice, [a, b]}", '{2, "bob", 1.5}', "{{3, x}, #{k => nil}, true}"]
    assert client("ETS.INSERT", name, "TERM", *rows) == (":", 3)
    table = tsunami.whereis(name)
    assert table is not None
    assert table.lookup((3, Atom("x"))) == [((3, Atom("x")), {Atom("k"): None}, True)]
    assert client.value("ETS.LOOKUPELEMENT", name, "term", "{3,x}", "1") == [3, "x"]
    assert client.value("ETS.TAKE", name, "TERM", "2") == [[2, b"bob", 1.5 if client.resp == 3 else b"1.5"]]  # type: ignore[attr-defined]
    assert client.value("ETS.DELETEOBJECT", name, "TERM", "{1, alice, [a, b]}") == 1
    assert len(table) == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("{1, }", "BADARG line 1, column 5: a term is missing before }"),
        ("[1]", "BADARG '[1]' is no row: a row is a tuple, {...}"),
        ("{X}", "BADARG line 1, column 2: the variable X: variables stand in queries only"),
        (b"{\xff}", "BADARG a term literal must be UTF-8: byte 2 is not"),
    ],
)
def test_a_bad_literal_changes_nothing(client: Client, table: str, word: str | bytes, message: str) -> None:
    assert message == error(client("ETS.INSERT", table, "TERM", "{0}", word))
    assert client.value("ETS.LEN", table) == 0


def test_rows_of_a_width_go_in_together(client: Client, table: str) -> None:
    assert client("ETS.INSERT", table, "ROWS", "2", "a", "1", "b", "2") == (":", 2)
    assert client("ets.insert", table, "raw", "rows", "3", "c", "1", "2", "d", "3", "4") == (":", 2)
    assert sorted(client.value("ETS.MLOOKUP", table, "a", "b", "c", "d")) == [
        [[b"a", 1]],
        [[b"b", 2]],
        [[b"c", b"1", b"2"]],
        [[b"d", b"3", b"4"]],
    ]
    for width, message in (
        ("2", "3 elements are no whole number of rows of 2"),
        ("0", "ROWS needs the number"),
        ("x", "ROWS needs the number"),
    ):
        assert error(client("ETS.INSERT", table, "ROWS", width, "x", "y", "z")).startswith(f"BADARG {message}")
    assert client.value("ETS.LEN", table) == 4


def test_insertnew_takes_all_rows_or_none(client: Client, table: str) -> None:
    assert client("ETS.INSERTNEW", table, "a", "1") == (":", 1)
    assert client("ETS.INSERTNEW", table, "a", "2") == (":", 0)
    assert client("ETS.INSERTNEW", table, "ROWS", "1", "b", "a") == (":", 0)
    assert client("ETS.INSERTNEW", table, "TERM", "{b}", "{c}") == (":", 1)
    assert client.value("ETS.LEN", table) == 3


def test_a_row_without_the_key_is_refused(client: Client, new: Any) -> None:
    name = new("KEYPOS", "2")
    assert error(client("ETS.INSERT", name, "a")).startswith("BADARG the row ('a',) has no element")
    assert error(client("ETS.INSERT", name, "TERM", "{1, 2}", "{1}")).startswith("BADARG ")
    assert client.value("ETS.LEN", name) == 0


def test_lookup_take_delete_member(client: Client, table: str) -> None:
    client.value("ETS.INSERT", table, "k", "1")
    client.value("ETS.INSERT", table, "k", "2")
    one = client.value("ETS.INFO", table, "type") in (b"set", b"ordered_set")
    rows = [[b"k", 2]] if one else [[b"k", 1], [b"k", 2]]
    assert client.value("ETS.LOOKUP", table, "k") == rows
    assert client.value("ETS.MLOOKUP", table, "k", "x", "k") == [rows, [], rows]
    assert client.value("ETS.MLOOKUP", table, "TERM", '"k"', "k") == [rows, []]
    assert client.value("ETS.MEMBER", table, "k") == 1
    assert client.value("ETS.TAKE", table, "k") == rows
    assert client.value("ETS.TAKE", table, "k") == []
    assert client.value("ETS.MEMBER", table, "k") == 0
    assert client.value("ETS.DELETE", table, "k") == 1
    client.value("ETS.INSERT", table, "k", "1")
    assert client.value("ETS.DELETEOBJECT", table, "k", "2") == 1
    assert client.value("ETS.LEN", table) == 1
    assert client.value("ETS.CLEAR", table) == 1
    assert client.value("ETS.LEN", table) == 0


@pytest.mark.parametrize(
    "command", ["ETS.LOOKUP", "ETS.MEMBER", "ETS.DELETE", "ETS.TAKE", "ETS.NEXT", "ETS.PREVLOOKUP"]
)
def test_a_second_key_is_a_syntax_error(client: Client, table: str, command: str) -> None:
    client.value("ETS.INSERT", table, "a")
    assert error(client(command, table, "a", "b")) == "ERR syntax error"
    assert error(client(command, table, "RAW", "a", "b")) == "ERR syntax error"
    assert client.value("ETS.LEN", table) == 1


# ---- terms as replies

REPLIES = [
    # term, RESP2, RESP3
    (1, (":", 1), (":", 1)),
    (-(1 << 63), (":", -(1 << 63)), (":", -(1 << 63))),
    (1 << 62, (":", 1 << 62), (":", 1 << 62)),
    (1 << 63, ("$", b"9223372036854775808"), ("(", "9223372036854775808")),
    (1.5, ("$", b"1.5"), (",", "1.5")),
    (1e300, ("$", b"1e+300"), (",", "1e+300")),
    (True, (":", 1), ("#", "t")),
    (False, (":", 0), ("#", "f")),
    (None, ("$", None), ("_", "")),
    (Atom("ok"), ("+", "ok"), ("+", "ok")),
    (Atom("two\r\nlines"), ("+", "two  lines"), ("+", "two  lines")),
    ("text", ("$", b"text"), ("$", b"text")),
    (b"\xff", ("$", b"\xff"), ("$", b"\xff")),
    ((), ("*", []), ("*", [])),
    ([1, (2,)], ("*", [(":", 1), ("*", [(":", 2)])]), ("*", [(":", 1), ("*", [(":", 2)])])),
    ({"k": 1}, ("*", [("$", b"k"), (":", 1)]), ("%", [(("$", b"k"), (":", 1))])),
    (ImproperList([1], 2), ("$", b"[1 | 2]"), ("$", b"[1 | 2]")),
    (Bits(b"\x20", 3), ("$", b"<<1:3>>"), ("$", b"<<1:3>>")),
    (Decimal("1.50"), ("$", b"1.50"), ("$", b"1.50")),
    (date(2026, 1, 2), ("$", b"2026-01-02"), ("$", b"2026-01-02")),
    (frozenset([Atom("a")]), ("*", [("+", "a")]), ("~", [("+", "a")])),
    (
        {("k", (1, None)): 2},
        ("*", [("*", [("$", b"k"), ("*", [(":", 1), ("$", None)])]), (":", 2)]),
        ("%", [(("*", [("$", b"k"), ("*", [(":", 1), ("_", "")])]), (":", 2))]),
    ),
]


@pytest.mark.parametrize(("term", "resp2", "resp3"), REPLIES, ids=lambda value: repr(value)[:30])
def test_a_term_has_one_form_as_a_reply(client: Client, new: Any, term: object, resp2: object, resp3: object) -> None:
    name = new()
    tsunami.whereis(name).insert(("k", term))  # type: ignore[union-attr]
    expected = resp2 if client.resp == 2 else resp3  # type: ignore[attr-defined]
    assert expected == client("ETS.LOOKUPELEMENT", name, "k", "2")
    assert client("ETS.LOOKUP", name, "k") == ("*", [("*", [("$", b"k"), expected])])


def test_a_large_value_of_the_keyspace_does_not_cross_the_wire_in_a_row(client: Client, new: Any) -> None:
    name = new()
    value = tsunami.Collection("hash", tsunami.Table(stripes=1))
    tsunami.whereis(name).insert(("k", value))  # type: ignore[union-attr]
    told = error(client("ETS.LOOKUP", name, "k"))
    assert told.startswith("BADARG a large hash of 0 elements stands in tables of its own")


def test_an_object_kept_by_reference_does_not_cross_the_wire(client: Client, new: Any) -> None:
    name = new()
    tsunami.whereis(name).insert([("k", object()), ("deep", [{"x": (1, object())}])])  # type: ignore[union-attr]
    told = "BADARG an object of type object is kept by reference and cannot cross the wire"
    assert error(client("ETS.LOOKUP", name, "k")) == error(client("ETS.LOOKUP", name, "deep")) == told
    assert error(client("ETS.MLOOKUP", name, "other", "k")) == told
    assert client.value("ETS.MEMBER", name, "k") == 1


def test_a_row_that_cannot_be_told_is_not_taken(client: Client, table: str) -> None:
    tsunami.whereis(table).insert(("k", object()))  # type: ignore[union-attr]
    assert error(client("ETS.TAKE", table, "k")).startswith("BADARG an object of type object")
    assert client.value("ETS.LEN", table) == 1


def test_a_row_nested_deeply_is_only_a_long_reply(client: Client, new: Any) -> None:
    name, depth = new(), 20_000
    assert client("ETS.INSERT", name, "TERM", "{k, " + "[" * depth + "]" * depth + "}") == (":", 1)
    client.socket.sendall(
        b"*4\r\n$10\r\nETS.LOOKUP\r\n$%d\r\n%s\r\n$4\r\nTERM\r\n$1\r\nk\r\n" % (len(name), name.encode())
    )
    assert client.file.read(len(expected := b"*1\r\n*2\r\n+k\r\n" + b"*1\r\n" * (depth - 1) + b"*0\r\n")) == expected


scalars = st.one_of(
    st.integers(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.booleans(),
    st.none(),
    st.sampled_from([Atom("a"), Atom("b c")]),
    st.floats(allow_nan=False, allow_infinity=False),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple), max_leaves=10
)


@given(st.lists(values, min_size=1, max_size=4).map(tuple))
@settings(max_examples=effort(50))
def test_what_a_literal_inserts_the_program_reads(client: Client, row: tuple[object, ...]) -> None:
    table = tsunami.Table if False else tsunami.new(next(names))
    try:
        assert client("ETS.INSERT", str(table.name), "TERM", format(row)) == (":", 1)
        (found,) = table.lookup(row[0])
        assert repr(row) == repr(found)
        assert client("ETS.MEMBER", str(table.name), "TERM", format(row[0])) == (":", 1)
    finally:
        table.delete()


# ---- updates


def test_updatecounter_adds(client: Client, new: Any) -> None:
    name = new()
    client.value("ETS.INSERT", name, "k", "10", "5")
    assert client("ETS.UPDATECOUNTER", name, "k", "2", "1") == (":", 11)
    assert client("ETS.UPDATECOUNTER", name, "k", "2", "-1", "3", "100") == ("*", [(":", 10), (":", 105)])
    assert client("ETS.UPDATECOUNTER", name, "k", "2", "5", "THRESHOLD", "12", "SET", "0") == (":", 0)
    assert client("ets.updatecounter", name, "RAW", "k", "2", "5", "threshold", "12", "set", "0", "3", "1") == (
        "*",
        [(":", 5), (":", 106)],
    )
    assert client("ETS.UPDATECOUNTER", name, "TERM", '"k"', "2", str(1 << 62))[1] == (1 << 62) + 5
    big = client.value("ETS.UPDATECOUNTER", name, "k", "2", str(1 << 80))
    assert int(big) == (1 << 80) + (1 << 62) + 5


def test_updatecounter_with_a_default_row(client: Client, new: Any) -> None:
    name = new()
    assert client("ETS.UPDATECOUNTER", name, "hits", "2", "1", "DEFAULT", "x", "0", "0") == (":", 1)
    assert client("ETS.UPDATECOUNTER", name, "hits", "2", "1", "DEFAULT", "x", "0", "0") == (":", 2)
    assert client.value("ETS.LOOKUP", name, "hits") == [[b"hits", 2, 0]]
    assert client("ETS.UPDATECOUNTER", name, "TERM", "{a}", "2", "3", "DEFAULT", "{a, 4, rest}") == (":", 7)
    assert client.value("ETS.LOOKUP", name, "TERM", "{a}") == [[["a"], 7, "rest"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no", "2", "1"), "BADKEY "),
        (("k", "1", "1"), "BADPOS position 1 is the key's"),
        (("k", "9", "1"), "BADPOS position 9 is outside the row"),
        (("k", "2", "1", "9", "1"), "BADPOS one of the positions 2, 9 is outside the row"),
        (("k", "0", "1"), "BADPOS position 0: positions count from 1"),
        (("k", "x", "1"), "BADARG 'x' is no position: an integer from 1 on is one"),
        (("k", "2", "1.5"), "BADARG '1.5' is not an integer"),
        (("k", "3", "1"), "BADARG "),
        (("k", "2", "1", "3"), "ERR syntax error"),
        (("k", "2", "1", "THRESHOLD", "3"), "ERR syntax error"),
        (("k", "2", "1", "THRESHOLD", "3", "TO", "4"), "ERR syntax error"),
        (("k", "2", "1", "DEFAULT"), "ERR syntax error"),
    ],
)
def test_updatecounter_errors_change_nothing(client: Client, new: Any, words: tuple[str, ...], message: str) -> None:
    name = new()
    client.value("ETS.INSERT", name, "k", "10", "text")
    assert error(client("ETS.UPDATECOUNTER", name, *words)).startswith(message)
    assert client.value("ETS.LOOKUP", name, "k") == [[b"k", 10, b"text"]]


@pytest.mark.parametrize("position", ["1", "9", "0", "-3"])
def test_updates_look_for_the_row_before_they_look_at_positions(client: Client, new: Any, position: str) -> None:
    name = new()
    assert error(client("ETS.UPDATECOUNTER", name, "k", position, "1")).startswith("BADKEY ")
    assert client("ETS.UPDATEELEMENT", name, "k", position, "x") == (":", 0)
    client("ETS.INSERT", name, "k", "1")
    assert error(client("ETS.UPDATECOUNTER", name, "k", position, "1")).startswith("BADPOS ")
    assert error(client("ETS.UPDATEELEMENT", name, "k", position, "x")).startswith("BADPOS ")


def test_updates_are_for_sets(client: Client, new: Any) -> None:
    name = new("TYPE", "bag")
    client.value("ETS.INSERT", name, "k", "1")
    assert error(client("ETS.UPDATECOUNTER", name, "k", "2", "1")).startswith("BADARG ")
    assert error(client("ETS.UPDATEELEMENT", name, "k", "2", "1")).startswith("BADARG ")


def test_updateelement_sets(client: Client, new: Any) -> None:
    name = new()
    client.value("ETS.INSERT", name, "k", "a", "b")
    assert client("ETS.UPDATEELEMENT", name, "k", "2", "x") == (":", 1)
    assert client("ETS.UPDATEELEMENT", name, "RAW", "k", "2", "7", "3", "8") == (":", 1)
    assert client.value("ETS.LOOKUP", name, "k") == [[b"k", b"7", b"8"]]
    assert client("ETS.UPDATEELEMENT", name, "none", "2", "x") == (":", 0)
    assert client("ETS.UPDATEELEMENT", name, "none", "2", "x", "DEFAULT", "y", "1", "2") == (":", 1)
    assert client.value("ETS.LOOKUP", name, "none") == [[b"none", b"x", 2]]
    assert client("ETS.UPDATEELEMENT", name, "TERM", '"k"', "2", "[a, {b}]") == (":", 1)
    assert client.value("ETS.LOOKUPELEMENT", name, "k", "2") == ["a", ["b"]]
    assert error(client("ETS.UPDATEELEMENT", name, "k", "1", "x")) == "BADPOS position 1 is the key's"
    assert error(client("ETS.UPDATEELEMENT", name, "k", "4", "x")) == "BADPOS position 4 is outside the row"
    assert (
        error(client("ETS.UPDATEELEMENT", name, "k", "2"))
        == "ERR wrong number of arguments for 'ets.updateelement' command"
    )
    assert error(client("ETS.UPDATEELEMENT", name, "k", "2", "x", "3")) == "ERR syntax error"


def test_lookupelement(client: Client, new: Any) -> None:
    name, bag = new(), new("TYPE", "bag")
    client.value("ETS.INSERT", name, "k", "a")
    client.value("ETS.INSERT", bag, "ROWS", "2", "k", "a", "k", "b")
    assert client.value("ETS.LOOKUPELEMENT", name, "k", "2") == b"a"
    assert client.value("ETS.LOOKUPELEMENT", bag, "k", "2") == [b"a", b"b"]
    assert error(client("ETS.LOOKUPELEMENT", name, "no", "2")).startswith("BADKEY ")
    assert client.value("ETS.LOOKUPELEMENT", name, "no", "2", "DEFAULT", "none") == b"none"
    assert client.value("ETS.LOOKUPELEMENT", name, "TERM", "no", "2", "default", "{none}") == ["none"]
    assert error(client("ETS.LOOKUPELEMENT", name, "k", "3")) == "BADPOS position 3 is outside the row"
    assert error(client("ETS.LOOKUPELEMENT", name, "k", "3", "DEFAULT", "x")) == "BADPOS position 3 is outside the row"
    assert error(client("ETS.LOOKUPELEMENT", name, "k", "0")) == "BADPOS position 0: positions count from 1"
    assert error(client("ETS.LOOKUPELEMENT", name, "k", "2", "x")) == "ERR syntax error"


# ---- walks


@pytest.mark.parametrize("first, step", [("FIRST", "NEXT"), ("LAST", "PREV")])
def test_a_walk_meets_every_key_once(client: Client, table: str, first: str, step: str) -> None:
    keys = {b"key %d" % number for number in range(200)}
    for key in keys:
        client.value("ETS.INSERT", table, key, "x")
        client.value("ETS.INSERT", table, key, "y")
    key, seen = client.value(f"ETS.{first}", table), []
    pair = client.value(f"ETS.{first}LOOKUP", table)
    while key is not None:
        assert pair == [key, client.value("ETS.LOOKUP", table, key)]
        seen.append(key)
        pair = client.value(f"ETS.{step}LOOKUP", table, "RAW", key)
        key = client.value(f"ETS.{step}", table, key)
    assert sorted(seen) == sorted(keys)
    assert pair is None


def test_an_empty_table_has_no_ends(client: Client, table: str) -> None:
    for command in ("FIRST", "LAST", "FIRSTLOOKUP", "LASTLOOKUP"):
        assert client.value(f"ETS.{command}", table) is None
    if client.value("ETS.INFO", table, "type") == b"ordered_set":  # asks for no key to be there
        assert client.value("ETS.NEXT", table, "x") is None
    else:
        assert error(client("ETS.NEXT", table, "x")).startswith("BADKEY ")


def test_slots_hold_every_row_once(client: Client, table: str) -> None:
    for number in range(100):
        client.value("ETS.INSERT", table, number)
    seen, slot = [], 0
    while (rows := client.value("ETS.SLOT", table, slot)) is not None:
        seen += [row[0] for row in rows]
        slot += 1
    assert sorted(seen) == list(range(100))
    assert error(client("ETS.SLOT", table, slot + 1)).startswith("BADARG ")
    assert error(client("ETS.SLOT", table, "x")).startswith("BADARG 'x' is no slot")
    assert error(client("ETS.SLOT", table, "-1")).startswith("BADARG ")


def test_a_fixed_table_lets_a_walk_go_on_from_a_deleted_key(client: Client, table: str) -> None:
    for number in range(10):
        client.value("ETS.INSERT", table, number)
    assert client.value("ETS.FIX", table) == 1
    key = client.value("ETS.FIRST", table)
    following = client.value("ETS.NEXT", table, key)
    client.value("ETS.DELETE", table, key)
    assert client.value("ETS.NEXT", table, key) == following
    assert client.value("ETS.UNFIX", table) == 1
    if client.value("ETS.INFO", table, "type") != b"ordered_set":
        assert error(client("ETS.NEXT", table, key)).startswith("BADKEY ")
    assert client.value("ETS.UNFIX", table) == 1  # nothing left to take back, and no error


def test_fixations_end_with_their_connection(server: Any, new: Any) -> None:
    name = new()
    table = tsunami.whereis(name)
    assert table is not None
    with Client(server.port) as other, Client(server.port) as third:
        other.value("ETS.FIX", name)
        other.value("ETS.FIX", name)
        third.value("ETS.UNFIX", name)  # not what this connection has fixed
        assert table.info("fixed")
    from _support import wait_until

    wait_until(lambda: not table.info("fixed"), "the connection's fixations end")


# ---- both doors


def test_what_one_door_writes_the_other_reads_at_once(client: Client, new: Any) -> None:
    name = new()
    table = tsunami.whereis(name)
    assert table is not None
    for number in range(100):
        table.insert((number, "python"))
        assert plain(client("ETS.LOOKUP", name, number)) == [[number, b"python"]]
        client.value("ETS.INSERT", name, number, "wire")
        assert table.lookup(number) == [(number, "wire")]
    assert len(table) == client.value("ETS.LEN", name) == 100


# ---- the two implementations of a hot command


mapped = st.recursive(
    values,
    lambda inner: st.one_of(
        st.dictionaries(st.text(max_size=3) | st.tuples(st.integers(2, 9), st.binary(max_size=2)), inner, max_size=3),
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=2).map(tuple),
    ),
    max_leaves=12,
)
EXTENSIONS = [
    Decimal("1"),
    date(2026, 1, 1),
    frozenset([1]),
    ImproperList([1], 2),
    Bits(b"\x80", 1),
    float("inf"),
    -0.0,
]


@pytest.mark.parametrize("resp", [2, 3], ids=["RESP2", "RESP3"])
@pytest.mark.parametrize("kind", TYPES)
def test_hot_and_cold_replies_are_the_same_bytes(kind: Any, resp: int) -> None:
    """Each request twice: as it is, and with the native implementation switched off."""
    table = tsunami.new(next(names), kind)
    name = str(table.name)
    with our_server() as server, Client(server.port, resp) as client:
        plane = server._app.plane
        commands = [command for command in sorted(plane.hot_names()) if command.startswith("ets.")]

        @given(
            st.lists(mapped | st.sampled_from(EXTENSIONS), max_size=4).map(tuple),
            st.sampled_from([(), ("RAW",), ("AUTO",)]),
        )
        @settings(max_examples=effort(60))
        def run(rest: tuple[object, ...], mode: tuple[str, ...]) -> None:
            row = ("k", 5, *rest)
            requests: list[tuple[Any, ...]] = [
                ("ETS.LOOKUP", name, *mode, "k"),
                ("ETS.MLOOKUP", name, *mode, "k", "none", "k"),
                ("ETS.MEMBER", name, *mode, "k"),
                *[("ETS.LOOKUPELEMENT", name, *mode, "k", position) for position in range(1, len(row) + 2)],
                ("ETS.UPDATECOUNTER", name, *mode, "k", "2", "3"),
                ("ETS.UPDATECOUNTER", name, *mode, "k", "2", str(1 << 62)),
                ("ETS.INSERTNEW", name, *mode, "k", "7"),
                ("ETS.INSERT", name, *mode, "j", "7", "x", b"\xff"),
                ("ETS.TAKE", name, *mode, "k"),
                ("ETS.TAKE", name, *mode, "j"),
                ("ETS.DELETE", name, *mode, "j"),
            ]

            def all_replies() -> list[Any]:
                table.delete_all_objects()
                table.insert(row)
                return client.all(requests)

            hot = all_replies()
            for command in commands:
                plane.disable(command)
            cold = all_replies()
            for command in commands:
                plane.enable(command)
            assert hot == cold

        run()
    table.delete()
