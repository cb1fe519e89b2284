"""The builder: what an expression of `row` is as a match spec, what it selects, and that Python's own readings of it
(truth, containment, length, rounding) are refused with a remedy.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
from _matchmodel import check, run
from hypothesis import given
from hypothesis import strategies as st

import tsunami
from tsunami import Atom, BadArgument, BadType, ImproperList, row, where
from tsunami.matchspec import Expression, term_of
from tsunami.querytext import FUNCTIONS, read_query


def guards(condition: Any) -> Any:
    """The guards of a condition, as a match spec has them."""
    ((_, found, _),) = where(condition).__match_spec__()
    return found


def guard(text: str) -> Any:
    """The guards that a query has."""
    return read_query(f"_ when {text}")[0][1]


# ---- what is meant


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (row[2] > 28, "element(3, $_) > 28"),
        (row[0] == 1, "element(1, $_) == 1"),
        (row[0] != 1, "element(1, $_) /= 1"),
        (row[0] < 1, "element(1, $_) < 1"),
        (row[0] <= 1, "element(1, $_) =< 1"),
        (row[0] >= 1, "element(1, $_) >= 1"),
        (1 < row[0], "element(1, $_) > 1"),
        (row[0].exactly(1), "element(1, $_) =:= 1"),
        (row == (1, 2), "$_ == const({1, 2})"),
        ((row[0] > 1) & (row[0] < 3), "element(1, $_) > 1, element(1, $_) < 3"),
        (row[0].between(1, 3), "element(1, $_) >= 1, element(1, $_) =< 3"),
        ((row[0] > 1) | (row[0] < 3), "element(1, $_) > 1 orelse element(1, $_) < 3"),
        ((row[0] & row[1]) & (row[2] & row[3]), "element(1, $_), element(2, $_), element(3, $_), element(4, $_)"),
        (~(row[0] & row[1]), "not (element(1, $_) andalso element(2, $_))"),
        (row[0] ^ True, "element(1, $_) xor true"),
        (True | row[0], "true orelse element(1, $_)"),
        (row[0].one_of([1, "a"]), "'orelse'(element(1, $_) == 1, element(1, $_) == \"a\")"),
        (row[0].one_of([]), "false"),
        (row[0][1]["x"] == 1, 'map_get("x", element(2, element(1, $_))) == 1'),
        (row[1].map_get(3) == 1, "map_get(3, element(2, $_)) == 1"),
        (row[1].is_map_key(Atom("k")), "is_map_key(k, element(2, $_))"),
        (row[1].is_record(Atom("k"), 3), "is_record(element(2, $_), k, 3)"),
        (row[1].is_function(), "is_function(element(2, $_))"),
        (row[1].is_function(1), "is_function(element(2, $_), 1)"),
        (row[1].binary_part(0, 2) == "ab", 'binary_part(element(2, $_), 0, 2) == "ab"'),
        (row[1] == Atom("$1"), "element(2, $_) == const('$1')"),
        (row[1] == Atom("_"), "element(2, $_) == '_'"),
        (row[1] == None, "element(2, $_) == nil"),  # noqa: E711
        (row[1] == [1, (2,)], "element(2, $_) == const([1, {2}])"),
        (row[1] == ("a", row[2]), 'element(2, $_) == {"a", element(3, $_)}'),
        (row[1] == [row[2], Atom("$_")], "element(2, $_) == [element(3, $_), const('$_')]"),
        (row[1] == {"k": row[2], ("t",): 1}, 'element(2, $_) == #{"k" => element(3, $_), const({"t"}) => 1}'),
        (row[1] == ImproperList([row[2]], (1, row[3])), "element(2, $_) == [element(3, $_) | {1, element(4, $_)}]"),
    ],
)
def test_a_condition_means_its_guards(condition: Any, text: str) -> None:
    assert repr(guard(text)) == repr(guards(condition))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (row[0] + 1, "element(1, $_) + 1"),
        (1 + row[0], "1 + element(1, $_)"),
        (row[0] - 1, "element(1, $_) - 1"),
        (1 - row[0], "1 - element(1, $_)"),
        (row[0] * 2, "element(1, $_) * 2"),
        (2 * row[0], "2 * element(1, $_)"),
        (row[0] / 2, "element(1, $_) / 2"),
        (2 / row[0], "2 / element(1, $_)"),
        (row[0] << 2, "element(1, $_) bsl 2"),
        (2 << row[0], "2 bsl element(1, $_)"),
        (row[0] >> 2, "element(1, $_) bsr 2"),
        (2 >> row[0], "2 bsr element(1, $_)"),
        (-row[0], "-element(1, $_)"),
        (+row[0], "+element(1, $_)"),
        (abs(row[0]), "abs(element(1, $_))"),
        (row[0].div(2).rem(3), "element(1, $_) div 2 rem 3"),
        (row[0].band(1).bor(2).bxor(4).bnot(), "bnot (element(1, $_) band 1 bor 2 bxor 4)"),
        (row[0].max(row[1]).min(3), "min(max(element(1, $_), element(2, $_)), 3)"),
        (row, "$_"),
    ],
)
def test_a_value_means_its_expression(value: Any, text: str) -> None:
    assert repr(guard(text)[0]) == repr(value.term)


# The rest have other names: operators, and these two, which are of no expression.
OPERATORS = {
    "+", "-", "*", "/", "==", "/=", "=<", "<", ">=", ">", "=:=", "=/=", "bsl", "bsr", "and", "or", "xor", "not",
    "andalso", "orelse", "element", "self",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - OPERATORS))
def test_every_function_has_a_method(name: str) -> None:
    arguments = {"binary_part": [0, 1], "is_record": [Atom("a"), 2]}.get(name, [7] * (min(FUNCTIONS[name]) - 1))
    if name == "node":
        arguments = []
    called = getattr(row[0], name)(*arguments)
    assert isinstance(called, Expression)
    assert isinstance(called.term, tuple) and called.term[0] is Atom(name)
    check([("_", [], [called.term])])
    assert getattr(Expression, name).__doc__


def test_fields_are_a_tuple_a_list_a_map_or_one() -> None:
    def body(*fields: Any) -> Any:
        return where().select(*fields).__match_spec__()[0][2]

    assert body(row[0]) == read_query("_ -> element(1, $_)")[0][2]
    assert body(row[0], row[1]) == body((row[0], row[1])) == read_query("_ -> {element(1, $_), element(2, $_)}")[0][2]
    assert body((row[0],)) == read_query("_ -> {element(1, $_)}")[0][2]
    assert body([row[0], 1]) == read_query("_ -> [element(1, $_), 1]")[0][2]
    assert body({"id": row[0]}) == read_query('_ -> #{"id" => element(1, $_)}')[0][2]
    assert body(True) == [True]
    assert body(("a", 1)) == [(Atom("const"), ("a", 1))]


def test_clauses_stand_one_behind_the_other() -> None:
    query = where(row[1] > 28).select("old") | where(row[1] > 18) | row[1].is_atom()
    assert query.__match_spec__(True) == read_query(
        '_ when element(2, $_) > 28 -> "old"; _ when element(2, $_) > 18; _ when is_atom(element(2, $_))', True
    )
    later = query.select(row[0])
    assert [body for _, _, body in later.__match_spec__()] == [["old"], [row[0].term], [row[0].term]]


def test_fields_can_be_told_to_select_itself() -> None:
    spec = (row[1] > 1).__match_spec__(Atom("$_"), (row[0], row[1]))
    assert spec == where(row[1] > 1).select(row[0], row[1]).__match_spec__()
    with pytest.raises(BadArgument, match="fields= for a query that has its fields already"):
        where(row[1] > 1).select(row[0]).__match_spec__(Atom("$_"), row[1])


def test_expressions_and_queries_show_what_they_are() -> None:
    assert repr(row[0] > 1) == "<element(1, '$_') > 1>"
    assert repr(where(row[0] > 1)) == "<_ when element(1, '$_') > 1>"


# ---- what is refused, and what to do


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        (lambda: 1 < row[1] < 3, r"no truth value: write & for and"),
        (lambda: row[1] > 1 and row[2], r"no truth value"),
        (lambda: row[1] > 1 or row[2], r"no truth value"),
        (lambda: not row[1], r"no truth value"),
        (lambda: bool(row), r"no truth value"),
        (lambda: row[1] > 2 & row[2] < 3, r"no truth value.*brackets around comparisons"),
        (lambda: row[1] in (1, 2), r"\.one_of\(values\)"),
        (lambda: max(row[1], 2), r"\.max\(y\)"),
        (lambda: 1 in row[1], r"one_of\(values\), or map\.is_map_key"),
        (lambda: len(row[1]), r"\.length\(\)"),
        (lambda: list(row), r"cannot be gone through"),
        (lambda: row[1] // 2, r"\.div\(y\)"),
        (lambda: 2 // row[1], r"\.div\(y\)"),
        (lambda: row[1] % 2, r"\.rem\(y\)"),
        (lambda: row[1] ** 2, "no power"),
        (lambda: round(row[1]), r"\.round\(\)"),
        (lambda: row["name"], r"row\[0\], row\[1\]"),
        (lambda: row[1:2], "is no position"),
        (lambda: row[1][1:2], r"\.map_get\(key\)"),
        (lambda: row[True], "True is no position"),
        (lambda: where(True), "True is no condition"),
        (lambda: where(row[1].is_atom), "is no condition"),
        (lambda: bool(where()), "select_count"),
        (lambda: {row[1]: 2}, "unhashable"),
        (lambda: math.floor(row[1]), "real number|__float__"),
    ],
)
def test_what_python_would_misread_is_a_type_error(wrong: Callable[[], object], remedy: str) -> None:
    with pytest.raises(TypeError, match=remedy) as caught:
        wrong()
    assert isinstance(caught.value, BadType) or remedy in ("unhashable", "real number|__float__")


def test_positions_count_from_the_front() -> None:
    with pytest.raises(BadArgument, match="position -1: positions count from 0"):
        row[-1]


def test_nothing_is_selected_twice() -> None:
    with pytest.raises(BadArgument, match=r"select\(\) of nothing"):
        where().select()
    with pytest.raises(BadArgument, match="have their fields already"):
        where().select(row[0]).select(row[1])


# ---- what is selected


def selected(query: Any, rows: list[Any]) -> list[Any]:
    """What the model of match specs says."""
    spec = query.__match_spec__()
    check(spec)
    return [found[0] for one in rows if (found := run(spec, one)) is not None]


ROWS = [(1, "alice", 30), (2, "bob", 25), (3, "carol", 41), (4,)]


def test_short_rows_do_not_fit() -> None:
    assert selected(row[2] > 0, ROWS) == ROWS[:3]
    assert selected((row[2] > 40) | (row[0] == 4), ROWS) == [ROWS[2]]  # as in every guard, a failure is the whole one's
    assert selected((row.size() < 3) | (row[2] > 40), ROWS) == ROWS[2:]


numbers = st.integers(-3, 3)


@given(st.lists(st.tuples(numbers, numbers)), numbers, numbers)
def test_conditions_select_what_python_selects(rows: list[tuple[int, int]], a: int, b: int) -> None:
    assert selected((row[0] > a) & (row[1] <= b), rows) == [r for r in rows if r[0] > a and r[1] <= b]
    assert selected((row[0] == a) | ~(row[1] < b), rows) == [r for r in rows if r[0] == a or not r[1] < b]
    assert selected(row[0].between(a, b), rows) == [r for r in rows if a <= r[0] <= b]
    assert selected(row[0].one_of([a, b]), rows) == [r for r in rows if r[0] in (a, b)]
    assert selected(where((row[0] + a) * 2 > b).select(-row[1], b - row[0]), rows) == [
        (-r[1], b - r[0]) for r in rows if (r[0] + a) * 2 > b
    ]


TYPES = ("set", "bag", "duplicate_bag")


@pytest.mark.parametrize("type", TYPES)
def test_a_table_takes_conditions_queries_and_texts(type: Any) -> None:
    table = tsunami.Table(type)
    table.insert(ROWS)
    assert table.select(row[0] == 2) == [ROWS[1]]
    assert sorted(table.select(row[2] > 28, fields=(row[0], row[1]))) == [(1, "alice"), (3, "carol")]
    assert sorted(table.select(where(row[2] > 28).select(row[0]))) == [1, 3]
    assert sorted(table.select(tsunami.query("{Id, _, Age} when Age > 28 -> Id"))) == [1, 3]
    assert (table.select_count(row[2] > 28), table.select_count(where(row[2] > 28))) == (2, 2)
    assert table.select_count(where(row[2] > 28).select(row)) == 0  # a row is not true
    found, cursor = table.select(where(row[2] > 28).select(row[0]), 1)
    assert sorted(found + table.select(cursor)[0]) == [1, 3]
    assert table.select_delete(row[2] > 28) == 2 and sorted(table.tab2list()) == [ROWS[1], ROWS[3]]
    with pytest.raises(BadArgument, match="fields="):
        table.select("{_}", fields=(row[0],))


@pytest.mark.parametrize("type", TYPES)
def test_a_condition_on_the_key_looks_the_key_up(type: Any) -> None:
    table = tsunami.Table(type, keypos=1)
    table.insert((n, f"k{n}") for n in range(100))
    assert table.explain(row[1] == "k7")["rows"] == 1
    assert table.explain((row[1] == "k7") & (row[0] > 3))["rows"] == 1
    assert table.explain(row[1].one_of(["k7", "k8", "none"]))["access"] == "keys"
    assert table.explain(row[0] == 7)["rows"] == 100
    assert table.select(row[1].one_of(["k7"])) == [(7, "k7")]


def test_text_made_of_a_query_reads_back() -> None:
    query = tsunami.query("{Id, _, Age} when Age > 28 -> {Id, Age}; {X} -> X")
    assert str(query) == "{V1, _, V2} when V2 > 28 -> {V1, V2}; {V1} -> V1"
    assert tsunami.query(str(query)) == query == tsunami.MatchSpec(query.clauses)


def test_depth_costs_no_stack() -> None:
    deep: Any = row[0]
    condition, sums = row[0] > 0, row[0]
    for _ in range(100_000):
        deep = [deep]
        condition = condition & True
        sums = sums + 1
    assert len(where(condition).__match_spec__()[0][1]) == 100_001
    assert repr(sums).count("+") == 100_000
    term: Any = term_of((deep, 1))
    assert type(term) is tuple and len(term) == 1
    constant: Any = 0
    for _ in range(100_000):
        constant = (constant,)
    assert term_of(constant)[0] is Atom("const")  # type: ignore[index]


def test_the_names_are_of_the_package() -> None:
    assert tsunami.row is row and tsunami.where is where
