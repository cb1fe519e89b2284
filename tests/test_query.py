"""Queries: what each form means as a match spec, where a mistake is, that every match spec comes back from its text,
and that Erlang reads the same operators and clauses in the same way.
"""

import random
import re
import subprocess
import time
from typing import Any, Final

import _generate as generate
import pytest
from _matchmodel import Mistake, check
from _support import effort, peer
from hypothesis import given
from hypothesis import strategies as st

import tsunami
from tsunami import Atom, ImproperList
from tsunami.literal import parse
from tsunami.querytext import (
    BINARY,
    FUNCTIONS,
    PREFIX,
    RESERVED,
    QueryError,
    read_pattern,
    read_query,
    write_query,
)


def spec(text: str) -> Any:
    """A match spec as a term literal, as Erlang people write it."""
    return parse(text)


def same(left: object, right: object) -> bool:
    """Equal, and of equal Python types at every depth."""
    return repr(left) == repr(right) and left == right


# ---- what is meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        # clauses
        ("{Id, Name}", "[{{'$1', '$2'}, [], ['$_']}]"),
        ("{Id, Name} -> Id", "[{{'$1', '$2'}, [], ['$1']}]"),
        ("{Id, _} when Id > 1", "[{{'$1', '_'}, [{'>', '$1', 1}], ['$_']}]"),
        ("{Id, Age} when Age > 28, Id < 3 -> Id", "[{{'$1', '$2'}, [{'>', '$2', 28}, {'<', '$1', 3}], ['$1']}]"),
        ("{A} -> A, true", "[{{'$1'}, [], ['$1', true]}]"),
        ("{A} -> 1; {_, B} -> B; _", "[{{'$1'}, [], [1]}, {{'_', '$1'}, [], ['$1']}, {'_', [], ['$_']}]"),
        ("_", "[{'_', [], ['$_']}]"),
        ("X -> X", "[{'$1', [], ['$1']}]"),
        ("Row = {A, _} when A -> Row", "[{{'$1', '_'}, ['$1'], ['$_']}]"),
        ("Row = {'$2'} -> {Row, '$2'}", "[{{'$2'}, [], [{{'$_', '$2'}}]}]"),
        ("ok", "[{ok, [], ['$_']}]"),
        # heads
        ("{B, A, B}", "[{{'$1', '$2', '$1'}, [], ['$_']}]"),
        ("{'$3', '$1'} -> '$3'", "[{{'$3', '$1'}, [], ['$3']}]"),
        ("{'_', _, '$x', '$01', '$_', '$$'}", "[{{'_', '_', '$x', '$01', '$_', '$$'}, [], ['$_']}]"),
        ("{[A, b | T], #{k => A, {1, '$1'} => #{}}}",
         "[{{['$1', b | '$2'], #{k => '$1', {1, '$1'} => #{}}}, [], ['$_']}]"),
        ('{"text", <<1, 2:3>>, -1, 1.5, 16#ff, $a}', '[{{"text", <<1, 2:3>>, -1, 1.5, 255, 97}, [], [\'$_\']}]'),
        ("{_Id, _Id}", "[{{'$1', '$1'}, [], ['$_']}]"),
        ("{'and', 'when'} -> 'or'", "[{{'and', 'when'}, [], ['or']}]"),
        # expressions
        ("{A} -> {A, b}", "[{{'$1'}, [], [{{'$1', b}}]}]"),
        ("{A} -> {}", "[{{'$1'}, [], [{{}}]}]"),
        ("{A} -> {{A}}", "[{{'$1'}, [], [{{ {{'$1'}} }}]}]"),
        ("{A} -> [A, [] | A]", "[{{'$1'}, [], [['$1', [] | '$1']]}]"),
        ("{A} -> [A | [b | [c | A]]], [A | [b] == [c | [d]]], {[1 | [2]], -[1 | [2]]}",
         "[{{'$1'}, [], [['$1', b, c | '$1'], ['$1' | {'==', [b], [c, d]}], {{[1, 2], {'-', [1, 2]}}}]}]"),
        ("{A} -> #{A => {A}, a => 1}", "[{{'$1'}, [], [#{'$1' => {{'$1'}}, a => 1}]}]"),
        ("{A} -> const({a, '$1', [b]})", "[{{'$1'}, [], [{const, {a, '$1', [b]}}]}]"),
        ("{A} -> const (1)", "[{{'$1'}, [], [{const, 1}]}]"),
        ("{A} -> 'const'", "[{{'$1'}, [], [const]}]"),
        ("{A} -> $_, '$_', $$, '$$', '_'", "[{{'$1'}, [], ['$_', '$_', '$$', '$$', '_']}]"),
        ("{A} -> self(), node(), node(A)", "[{{'$1'}, [], [{self}, {node}, {node, '$1'}]}]"),
        ("{A} -> element(1, A), is_record(A, a, 2)", "[{{'$1'}, [], [{element, 1, '$1'}, {is_record, '$1', a, 2}]}]"),
        ("{A} -> 'and'(A), 'and'(A, A, A), '+'(A, 1)",
         "[{{'$1'}, [], [{'and', '$1'}, {'and', '$1', '$1', '$1'}, {'+', '$1', 1}]}]"),
        ("{A} -> -1, - 1, -(1), -A", "[{{'$1'}, [], [-1, {'-', 1}, {'-', 1}, {'-', '$1'}]}]"),
        ("{A} -> +A, not A, bnot A", "[{{'$1'}, [], [{'+', '$1'}, {'not', '$1'}, {'bnot', '$1'}]}]"),
        ("{A} -> A-1, A - -1, A -1", "[{{'$1'}, [], [{'-', '$1', 1}, {'-', '$1', -1}, {'-', '$1', 1}]}]"),
        ("{A} -> - - A, not not A", "[{{'$1'}, [], [{'-', {'-', '$1'}}, {'not', {'not', '$1'}}]}]"),
        ("{A} -> (((A)))", "[{{'$1'}, [], ['$1']}]"),
        # space and comments
        (" \n{A}->A;{B}->B ", "[{{'$1'}, [], ['$1']}, {{'$1'}, [], ['$1']}]"),
        ("{A, % one\n B} %% head\n when % guards\n A %% {\n, A -> % body\nA", "[{{'$1', '$2'}, ['$1', '$1'], ['$1']}]"),
    ],
)  # fmt: skip
def test_a_query_means_its_match_spec(text: str, meant: str) -> None:
    assert same(read_query(text), spec(meant))


@pytest.mark.parametrize(
    ("text", "bracketed"),
    [
        ("A + B * C", "A + (B * C)"),
        ("A - B - C", "(A - B) - C"),
        ("A div B * C rem A", "((A div B) * C) rem A"),
        ("A + B bsl C bor A", "((A + B) bsl C) bor A"),
        ("A or B and C", "A or (B and C)"),
        ("A xor B or C", "(A xor B) or C"),
        ("A orelse B orelse C", "A orelse (B orelse C)"),
        ("A andalso B andalso C", "A andalso (B andalso C)"),
        ("A andalso B orelse C andalso A", "(A andalso B) orelse (C andalso A)"),
        ("A < B andalso C =/= A", "(A < B) andalso (C =/= A)"),
        ("A > 1 and B", "A > (1 and B)"),
        ("not A and B", "(not A) and B"),
        ("not A == B", "(not A) == B"),
        ("- A * B", "(- A) * B"),
        ("A * - B + C", "(A * (- B)) + C"),
        ("bnot A band B", "(bnot A) band B"),
        ("A == B + C", "A == (B + C)"),
        ("-A < -1", "(-A) < (-1)"),
    ],
)
def test_operators_bind_as_in_erlang(text: str, bracketed: str) -> None:
    assert same(read_query(f"{{A, B, C}} -> {text}"), read_query(f"{{A, B, C}} -> {bracketed}"))


def test_the_result_of_clauses_without_one_can_be_told() -> None:
    assert read_query("{A} when A > 1; {B} -> B", True) == spec(
        "[{{'$1'}, [{'>', '$1', 1}], [true]}, {{'$1'}, [], ['$1']}]"
    )


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_can_be_called_by_its_name(name: str) -> None:
    for count in range(6):
        called = f"{{A}} -> '{name}'({', '.join('A' * count)})"
        if count in FUNCTIONS[name]:
            assert read_query(called) == [((Atom("$1"),), [], [(Atom(name), *[Atom("$1")] * count)])]
        else:
            with pytest.raises(QueryError, match=re.escape(f"{name} takes")):
                read_query(called)


# ---- patterns


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{Id, _, Age}", "{'$1', '_', '$2'}"),
        ("{'$2', '$1'}", "{'$2', '$1'}"),
        ("_", "'_'"),
        ("X", "'$1'"),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_a_pattern_is_a_head_alone(text: str, meant: str) -> None:
    assert same(read_pattern(text), parse(meant))


def test_a_pattern_has_no_guards() -> None:
    with pytest.raises(QueryError, match="line 1, column 5: a pattern is a head alone: when cannot stand here"):
        read_pattern("{A} when A > 1")


# ---- where the mistake is

CHAINED = (
    "a second comparison, {}: comparisons do not chain, and and, or, xor bind tighter than they do; use a comma, "
    "andalso, orelse, or parentheses"
)


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("", 1, 1, "a term is missing at the end"),
        ("{A};", 1, 5, "a term is missing at the end"),
        ("{A} when", 1, 9, "a term is missing at the end"),
        ("{A} when -> A", 1, 10, "a term is missing before ->"),
        ("{A} -> ", 1, 8, "a term is missing at the end"),
        ("{A} -> A,", 1, 10, "a term is missing at the end"),
        ("{A} -> ()", 1, 9, "a term is missing before )"),
        ("{A} -> {A,}", 1, 11, "a term is missing before }"),
        ("{A} when A > -> A", 1, 14, "a term is missing before ->"),
        ("{A} -> (A", 1, 8, "this ( is never closed"),
        ("{A} ->\n  {A, [A", 2, 7, "this [ is never closed"),
        ("{A", 1, 1, "this { is never closed"),
        ("{A} -> A)", 1, 9, "an operator or , or ; expected here"),
        ("{A} -> A B", 1, 10, "an operator or , or ; expected here"),
        ("{A} when A B", 1, 12, "an operator or , or -> or ; expected here"),
        ("{A} -> [A | 1, 2]", 1, 14, "an operator or ] expected here"),
        ("{A} -> #{A}", 1, 11, "an operator or => expected here"),
        ("{A} -> element(1, A]", 1, 20, "an operator or , or ) expected here"),
        ("{A} -> (A, A)", 1, 10, "an operator or ) expected here"),
        ("{A} B", 1, 5, "when or -> or ; expected here"),
        ("{A} -> X(1)", 1, 8, "the head has no variable X, only A"),
        ("{A} -> 1(2)", 1, 9, "an operator or , or ; expected here"),
        # variables
        ("{A, B} when C > 1", 1, 13, "the head has no variable C, only A and B"),
        ("_ -> A", 1, 6, "the head has no variable A"),
        ("{A}; {B} -> A", 1, 13, "the head has no variable A, only B"),
        ("{A} -> '$1'", 1, 8, "the head has no variable '$1', only A"),
        ("{'$2'} -> '$1'", 1, 11, "the head has no variable '$1', only $2"),
        ("{A, '$1'}", 1, 5, "the variable '$1' in a head that has named ones: names or numbers, not both"),
        ("{'$1', A}", 1, 8, "the variable A in a head that has numbered ones: names or numbers, not both"),
        ("{A} -> _", 1, 8, "_ stands in heads only; the atom is written '_'"),
        ("{A} -> const({A})", 1, 15, "A: there are no variables in const(...)"),
        ("{A} -> const(1, 2)", 1, 15, ") expected here: const takes one literal"),
        ("A = {A}", 1, 7, "A is the name of the whole row, and cannot stand in it"),
        ("#{X => 1}", 1, 3, "X in the key of a map: keys in heads are constants"),
        ("{#{{a, [X]} => 1}}", 1, 9, "X in the key of a map: keys in heads are constants"),
        ("#{_ => 1}", 1, 3, "_ in the key of a map: keys in heads are constants"),
        ("#{'$1' => 1}", 1, 3, "'$1' as the key of a map: keys in heads are constants"),
        ("{$1}", 1, 2, "the variable is written '$1', the character 49"),
        ("{$_}", 1, 2, "$_ stands in guards and bodies only"),
        # functions and operators
        ("{A} when foo(A)", 1, 10, "there is no function foo in queries"),
        ("{A} when elemant(1, A)", 1, 10, "there is no function elemant in queries; element is one"),
        ("{A} -> element(A)", 1, 8, "element takes 2 arguments, not 1"),
        ("{A} -> 'or'()", 1, 8, "or takes one or more arguments, not 0"),
        ("{A} -> is_function()", 1, 8, "is_function takes 1 or 2 arguments, not 0"),
        ("{A, B} when A > 1 and B > 2", 1, 25, CHAINED.format(">")),
        ("{A} when 1 < A =< 2", 1, 16, CHAINED.format("=<")),
        ("{A} -> {and, A}", 1, 9, "and is an operator; the atom is written 'and'"),
        ("{div}", 1, 2, "div is an operator; the atom is written 'div'"),
        ("{A} when A <= 3", 1, 12, "<= is no operator here; write =<"),
        ("{A} when A != 3", 1, 12, "!= is no operator here; write /= or =/="),
        ("{A} when A = 3", 1, 12, "= is no operator here; write == or =:="),
        ("{A} when A && A", 1, 12, "&& is no operator here; write andalso"),
        ("{A} when A || A", 1, 12, "|| is no operator here; write orelse"),
        ("{A} when A // 2", 1, 12, "// is no operator here; write div"),
        ("{A} when A % 2 == 1", 1, 12,
         "% is no operator here; write rem, and behind a term a comment begins with %%"),
        ("{A} when A ++ A", 1, 12, "an operator or , or -> or ; expected here"),
        ("{A} when (A > 1; A < 0)", 1, 16,
         "an operator or ) expected here: alternatives within a guard are joined by orelse"),
        ("{A} when A > 1; A < 0 -> A", 1, 19,
         "< in a head; alternatives within a guard are joined by orelse, not by ;"),
        ("{A} -> #{1 => A, 1.0 => A}", 1, 8, "the keys 1 and 1.0 are one key in Python"),
        ("{A} -> #{[A] => A}", 1, 8, "a list or a map cannot be a map's key in Python"),
    ],
)  # fmt: skip
def test_an_error_names_its_place(text: str, line: int, column: int, reason: str) -> None:
    with pytest.raises(QueryError) as caught:
        read_query(text)
    error = caught.value
    assert (line, column, reason) == (error.line, error.column, error.reason)
    assert error.summary == f"line {line}, column {column}: {reason}"


def test_an_error_points_at_the_character() -> None:
    with pytest.raises(QueryError) as caught:
        read_query("{Id, Age}\n  when Agee > 28")
    assert str(caught.value).split("\n") == [
        "line 2, column 8: the head has no variable Agee, only Id and Age",
        "      when Agee > 28",
        " " * 11 + "^",
    ]


def test_an_error_is_a_bad_argument() -> None:
    assert issubclass(tsunami.QueryError, tsunami.BadArgument) and tsunami.QueryError is QueryError


# ---- match specs to text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{Id, Name, Age} when Age > 28 -> {Id, Name}", "{V1, V2, V3} when V3 > 28 -> {V1, V2}"),
        ("{A, _} -> $_", "{V1, _}"),
        ("{'$1', '$2'} -> '$2'", "{V1, V2} -> V2"),
        ("{'$2', '$1'} -> '$2'", "{'$2', '$1'} -> '$2'"),
        ("{'$0'}", "{'$0'}"),
        ("{A} -> (A + 1) * 2, A + 1 * 2", "{V1} -> (V1 + 1) * 2, V1 + 1 * 2"),
        ("{A} -> A - (1 - 2), (A - 1) - 2", "{V1} -> V1 - (1 - 2), V1 - 1 - 2"),
        ("{A} -> (A orelse A) orelse A, A orelse (A orelse A)",
         "{V1} -> (V1 orelse V1) orelse V1, V1 orelse V1 orelse V1"),
        ("{A} -> (A > 1) == (A < 2)", "{V1} -> (V1 > 1) == (V1 < 2)"),
        ("{A} -> not (A > 1), (not A) > 1", "{V1} -> not (V1 > 1), not V1 > 1"),
        ("{A} -> -(5), -(-5), - - A, -(A + 1), -abs(A)", "{V1} -> -(5), -(-5), -(-V1), -(V1 + 1), -(abs(V1))"),
        ("{A} -> -5 - -5", "{V1} -> -5 - -5"),
        ("{A} -> 'and'(A, A, A), 'or'(A), 'not'(A)", "{V1} -> 'and'(V1, V1, V1), 'or'(V1), not V1"),
        ("{'when', and_then} -> 'div', 'not'", "{'when', and_then} -> 'div', 'not'"),
        ("{#{{'$1', 'and'} => '$1'}}", "{#{{'$1', 'and'} => V1}}"),
        ("{A} -> const('$1'), const('or'), const({'_', #{'xor' => 1}})",
         "{V1} -> const('$1'), const('or'), const({'_', #{'xor' => 1}})"),
        ("{A}; {B} when true", "{V1}; {V1} when true"),
    ],
)  # fmt: skip
def test_a_match_spec_has_one_text(text: str, written: str) -> None:
    clauses = read_query(text)
    assert written == write_query(clauses)
    assert same(clauses, read_query(written))


@pytest.mark.parametrize(
    "clause",
    [
        ("_", [], [()]),
        ("_", [], [(1, 2)]),
        ("_", [(("a",), ("b",))], [1]),
        ("_", Atom("x"), [1]),
        ("_", []),
    ],
    ids=["the empty tuple", "a plain tuple", "no name", "no list", "two parts"],
)
def test_what_is_no_match_spec_has_no_text(clause: Any) -> None:
    with pytest.raises(tsunami.BadArgument):
        write_query([clause])


names = st.sampled_from(["ok", "a", "Upper", "an atom", "_x", "$x", "$01", "$", "const", "self", *RESERVED])
atoms = names.map(Atom)
constants = st.one_of(
    st.integers(-3, 10**20), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none(),
    st.text(max_size=4), st.binary(max_size=4), atoms,
)  # fmt: skip
special = st.sampled_from(["_", "$_", "$$", "$0", "$1", "$7"]).map(Atom)
constant_keys = st.one_of(st.integers(2, 9), st.text(max_size=3), atoms, st.tuples(st.one_of(special, atoms)))


def improper(items: list[object], tail: object) -> object:
    return items if isinstance(tail, (list, ImproperList)) else ImproperList(items, tail)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(keys, inner, max_size=2),
            st.builds(improper, st.lists(inner, min_size=1, max_size=2), inner),
        ),
        max_leaves=8,
    )


literals = nested(st.one_of(constants, special), st.one_of(constant_keys, special))


def calls(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def call(name: str) -> st.SearchStrategy[Any]:
        counts = st.sampled_from(FUNCTIONS[name][:4])
        return counts.flatmap(lambda n: st.tuples(st.just(Atom(name)), *[inner] * n))

    operators = sorted({*BINARY, *PREFIX})
    return st.one_of(st.sampled_from(operators).flatmap(call), st.sampled_from(sorted(FUNCTIONS)).flatmap(call))


def expressions(variables: list[Atom]) -> st.SearchStrategy[Any]:
    leaves = [constants, st.sampled_from(["$_", "$$", "_"]).map(Atom), st.tuples(st.just(Atom("const")), literals)]
    if variables:
        leaves += [st.sampled_from(variables)] * 2
    keys = st.one_of(st.integers(2, 9), st.text(max_size=3), *([st.sampled_from(variables)] if variables else []))
    return st.recursive(
        st.one_of(leaves),
        lambda inner: st.one_of(
            calls(inner),
            calls(inner),
            st.lists(inner, max_size=3).map(lambda items: (tuple(items),)),
            st.lists(inner, max_size=3),
            st.dictionaries(keys, inner, max_size=2),
            st.builds(improper, st.lists(inner, min_size=1, max_size=2), inner),
        ),
        max_leaves=10,
    )


def variables(pattern: Any) -> set[str]:
    """The names of a head's variables. (A program of its own: what the writer does is under test.)"""
    match pattern:
        case Atom():
            return {pattern.name} if re.fullmatch(r"\$(0|[1-9]\d*)", pattern.name) else set()
        case tuple() | list():
            return set().union(*map(variables, pattern))
        case ImproperList():
            return variables(pattern.items) | variables(pattern.tail)
        case dict():
            return variables(list(pattern.values()))
    return set()


@st.composite
def clauses(draw: st.DrawFn) -> Any:
    """A valid clause. Its variables are numbered as names would be, or as it comes."""
    numbers = draw(st.one_of(st.just([1, 2, 3]), st.lists(st.sampled_from([0, 1, 2, 5, 10**8]), min_size=1)))
    available = st.sampled_from([Atom(f"${number}") for number in numbers])
    head = draw(nested(st.one_of(constants, st.just(Atom("_")), available, available), constant_keys))
    expression = expressions([Atom(name) for name in sorted(variables(head))])
    return head, draw(st.lists(expression, max_size=3)), draw(st.lists(expression, min_size=1, max_size=3))


@given(st.lists(clauses(), min_size=1, max_size=3))
def test_every_match_spec_comes_back_from_its_text(match_spec: Any) -> None:
    assert same(match_spec, read_query(write_query(match_spec)))


def test_the_match_specs_of_the_model_come_back_too() -> None:
    """Made from rows, so that they look like what people write; what has a mistake or no literal is left out."""
    seen = 0
    for seed in range(effort(1500)):
        rng = random.Random(seed)
        match_spec = generate.spec(rng, [generate.row(rng) for _ in range(3)])
        try:
            check(match_spec)
            text = write_query(match_spec)
        except (Mistake, tsunami.BadArgument):
            continue
        if not re.search(r"#[A-Z]", text):  # a pid or the like
            assert same(match_spec, read_query(text)), seed
            seen += 1
    assert seen > effort(500)


def test_what_can_be_read_is_a_valid_match_spec() -> None:
    """Half of the texts are broken; whatever is read the model of match specs accepts."""
    seen = 0
    for seed in range(effort(1500)):
        rng = random.Random(seed)
        match_spec = generate.spec(rng, [generate.row(rng) for _ in range(3)])
        try:
            text = write_query(match_spec)
        except tsunami.BadArgument:
            continue
        if rng.random() < 0.5:
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice(["", "1", "V1", "(", ", ", "_", " and ", "'$1'"]) + text[at + 1 :]
        try:
            found = read_query(text)
        except QueryError:
            continue
        check(found)
        seen += 1
    assert seen > effort(500)


@given(
    st.lists(
        st.sampled_from(
            [*"{}[]()#<>=|,;:\"'\\$%-+*/_1 ABa", " when ", " -> ", " and ", "not ", "element(", "const(", "#{", "=>"]
        ),
        max_size=20,
    ).map("".join)
)  # fmt: skip
def test_any_text_is_a_query_or_a_query_error(text: str) -> None:
    try:
        found = read_query(text)
    except QueryError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert 1 <= error.column <= len(text) + 1
    else:
        assert same(found, read_query(write_query(found)))


# ---- size

DEPTH: Final = 20_000


@pytest.mark.parametrize(
    ("opening", "closing", "token"),
    [
        ("[", "]", "["), ("{", "}", "{"), ("#{a => ", "}", "#{a => "), ("abs(", ")", "abs("), ("[1 | ", "]", "1"),
        ("not ", "", "not "), ("-", "", "-"), ("1 + ", "", " + "), ("", " * 2", " * 2"), ("A or (", ")", " or ("),
        ("A andalso ", "", "andalso"), ("(", ")", ""),
    ],
    ids=["list", "tuple", "map", "call", "tail", "not", "minus", "sum", "product", "or", "andalso", "bracket"],
)  # fmt: skip
def test_depth_costs_no_stack(opening: str, closing: str, token: str) -> None:
    text = write_query(read_query("A -> " + opening * DEPTH + "A" + closing * DEPTH))
    assert text.startswith("V1 -> ")
    assert not token or DEPTH - 1 <= text.count(token) <= DEPTH + 2
    assert (text == write_query(read_query(text))) is True  # no diff of such texts


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ("{", "}"), ("#{a => ", "}")], ids=["list", "tuple", "map"]
)
def test_deep_heads_and_constants_cost_no_stack(opening: str, closing: str) -> None:
    deep = opening * DEPTH + "{}" + closing * DEPTH
    text = f"{deep} -> const({deep})"
    assert (text == write_query(read_query(text))) is True  # no diff of such texts


def test_a_deep_key_of_a_map_is_refused() -> None:
    for deep in ("1 + " * DEPTH + "A", "(" + "{" * DEPTH + "}" * DEPTH + ")", f"const({'{' * DEPTH}{'}' * DEPTH})"):
        with pytest.raises(QueryError, match="a map's key is nested deeper than 400"):
            read_query(f"{{A}} -> #{{{deep} => 1}}")


def test_time_grows_with_the_text_and_not_faster() -> None:
    def took(text: str) -> float:
        start = time.process_time()
        write_query(read_query(text))
        return time.process_time() - start

    for piece in ("A + 1 * 2 > 3, ", "{A, [A | b]}, ", "'and'(A, true, (A)), ", "not -A, "):
        small, large = ("{A} when " + piece * n + "A" for n in (1_000, 10_000))
        assert took(large) < 40 * max(min(took(small) for _ in range(3)), 1e-3)


# ---- beside Erlang, whose ets:fun2ms makes match specs of funs

PROGRAM: Final = """
    Tell = fun(Text) ->
        {ok, Tokens, _} = erl_scan:string("fun(" ++ Text ++ " end."),
        {ok, [{_, _, {clauses, Clauses}}]} = erl_parse:parse_exprs(Tokens),
        io:format("~w~n", [ms_transform:transform_from_shell(ets, Clauses, [])])
    end,
    {ok, Lines} = file:read_file(os:getenv("QUERIES")),
    [Tell(binary_to_list(Line)) || Line <- binary:split(Lines, <<"\\n">>, [global]), Line =/= <<>>],
    halt().
"""


def random_expression(rng: random.Random, depth: int) -> str:
    """In Erlang's words. Operators have a variable on one side at least, as Erlang folds constants."""
    roll = rng.random()
    variable = rng.choice(["A", "B", "C", "R"])
    if depth == 0 or roll < 0.15:
        return variable
    inner = random_expression(rng, depth - 1)
    if roll < 0.7:
        operator = rng.choice(sorted(set(BINARY)))
        left, right = rng.sample([inner, variable], 2)
        left, right = (f"({side})" if rng.random() < 0.4 else side for side in (left, right))
        return f"{left} {operator} {right}"
    if roll < 0.8:
        return f"{rng.choice(['not', 'bnot', '-', '+'])} {inner}"
    forms = ["element(1, {})", "abs({})", "{{{}, b, self()}}", "[{}, 1 | A]", "#{{k => {}, v => {{}}}}", "({})"]
    return rng.choice(forms).format(inner)


def random_clause(rng: random.Random) -> tuple[str, str]:
    """A clause of a query, and the same clause of a fun."""
    head = rng.choice(["{A, B, _, C}", "{C, [A | B], x}", "{#{k := A}, B, C, B}"])
    guards = ", ".join(random_expression(rng, 3) for _ in range(rng.randint(0, 2)))
    body = ", ".join(random_expression(rng, 3) for _ in range(rng.randint(1, 2)))
    when = f" when {guards}" if guards else ""
    return f"R = {head.replace(':=', '=>')}{when} -> {body}", f"R = {head}){when} -> {body}"


def test_erlang_reads_the_same_clauses(tmp_path: Any) -> None:
    """Comparisons that chain are refused by both; all else must become the same match spec."""
    erl = peer("erl")
    rng = random.Random(20)
    texts = []
    while len(texts) < effort(400):
        query, fun = random_clause(rng)
        try:
            texts.append((fun, read_query(query)))
        except QueryError as error:
            assert "comparisons do not chain" in error.reason
    file = tmp_path / "queries"
    file.write_text("\n".join(fun for fun, _ in texts))
    done = subprocess.run(
        [erl, "-noshell", "-eval", PROGRAM], env={"QUERIES": str(file), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(told) == len(texts), done.stdout[-500:] + done.stderr
    for (fun, ours), theirs in zip(texts, told, strict=True):
        assert same(ours, parse(theirs)), fun


def test_erlang_refuses_chained_comparisons_too() -> None:
    erl = peer("erl")
    program = """
        {ok, Tokens, _} = erl_scan:string("A > 1 and B > 2."), {error, _} = erl_parse:parse_exprs(Tokens), halt(7).
    """
    assert subprocess.run([erl, "-noshell", "-eval", program], timeout=60).returncode == 7
