"""Match specs on terms: what patterns match, what guards and bodies come to, how they fail, what a mistake is, which
rows a program says it can want, and that nothing in a spec can bring the engine down.

The tables are ets-semantics.md 3 and 4, line by line; the model (`_matchmodel`) judges what is made up. What a real
Erlang says is test_match_erlang.py's subject, queries over tables are select's.
"""

import math
import operator
import random
from collections.abc import Callable
from typing import Any, Final

import _generate
import _matchmodel
import pytest
from _matchmodel import Mistake, Unrepresentable
from _support import effort
from _termmodel import exact_key
from hypothesis import given
from hypothesis import strategies as st
from strategies import made, pairs, terms

from tsunami import Atom, BadArgument, Bits, Fun, ImproperList, Pid, Port, Reference, TermTooLarge, _core

A, B, K, M, N, T = (Atom(name) for name in ("a", "b", "k", "m", "n", "t"))
ANY, ROW, VARS, CONST, EXIT = (Atom(name) for name in ("_", "$_", "$$", "const", "EXIT"))
V0, V1, V2, V3 = (Atom(f"${number}") for number in range(4))
NODE: Final = Atom("a@host")
PID, PORT, REF = Pid(NODE, 1, 2, 3), Port(NODE, 1, 2), Reference(NODE, 1, (1, 2, 3))
EXPORT: Final = Fun("export", Atom("lists"), Atom("map"), 2)
LOCAL: Final = Fun("local", Atom("m"), 1, b"\0" * 16, 2, 3, PID, (4,))
DEEP: Final = 100_000


def call(name: str, *arguments: Any) -> tuple[Any, ...]:
    return (Atom(name), *arguments)


def run(spec: Any, term: Any) -> Any:
    """None, or a tuple of the result."""
    return _core._spec_run(term, spec)


def value(expression: Any, term: Any = (1, 2)) -> Any:
    """What an expression of a body comes to, for the row '$_' = {'$1', '$2'}."""
    [result] = run([((V1, V2), [], [expression])], term)
    return result


def holds(guard: Any, term: Any = (1, 2)) -> bool:
    return run([((V1, V2), [guard], [True])], term) == (True,)


def same(a: Any, b: Any) -> bool:
    return exact_key(a) == exact_key(b)


# ---- heads


@pytest.mark.parametrize(
    ("pattern", "term", "bindings"),
    [
        (ANY, (1, 2), []),
        (V1, (1, 2), [(1, 2)]),
        ((), (), []),
        ((), (1,), None),
        ((V3, V1, V2), (A, B, K), [B, K, A]),
        ((V1, V1), (1, 1), [1]),
        ((V1, V1), (1, 1.0), None),
        ((V1, V1), ("a", b"a"), ["a"]),
        ((V1, V1), ([1, {2: 3}], [1, {2: 3}]), [[1, {2: 3}]]),
        ((V1, (V2, V1)), (1, (2, 1)), [1, 2]),
        ((V1, (V2, V1)), (1, (2, 3)), None),
        ((Atom("$10"), Atom("$9"), V0), (A, B, K), [K, B, A]),
        ((Atom("$100000000"),), (1,), [1]),
        ((Atom("$99999999999999999999"), Atom("$9999999999999999999")), (1, 2), [2, 1]),
        ((Atom("$01"),), (1,), None),
        ((Atom("$01"),), (Atom("$01"),), []),
        ((Atom("$"),), (Atom("$"),), []),
        ((Atom("$1a"),), (1,), None),
        ((ROW,), (1,), None),
        ((ROW, VARS), (ROW, VARS), []),
        ((1,), (1.0,), None),
        ((1,), (True,), None),
        ((0.0,), (-0.0,), None),
        ((-0.0,), (-0.0,), []),
        (("abc",), (b"abc",), []),
        (("a long enough text",), (b"a long enough text",), []),
        (("a long enough text",), (b"a long enough texT",), None),
        ((2**100,), (2**100,), []),
        ((2**100,), (-(2**100),), None),
        ((Bits(b"\x80", 1),), (b"\x80",), None),
        ((1, ANY), (1, 2, 3), None),
        (([],), ([],), []),
        (([],), ([1],), None),
        (([V1, V2],), ([1, 2],), [1, 2]),
        (([V1, V2],), ([1, 2, 3],), None),
        (([V1],), (ImproperList([1], 2),), None),
        ((ImproperList([A], V1),), ([A, B, [K]],), [[B, [K]]]),
        ((ImproperList([A], V1),), ([A],), [[]]),
        ((ImproperList([A], V1),), (ImproperList([A], B),), [B]),
        ((ImproperList([A], V1),), (ImproperList([A, "text to move"], 1.5),), [ImproperList(["text to move"], 1.5)]),
        ((ImproperList([A], V1),), ([],), None),
        ((ImproperList([A, B], ANY),), ([A],), None),
        ((ImproperList([A, B], ANY),), ([A, B, K],), []),
        ((ImproperList([A], B),), (ImproperList([A], B),), []),
        ((ImproperList([V1], (V2,)),), (ImproperList([A], (B,)),), [A, B]),
        ((ImproperList([V1], (V2,)),), ([A, (B,)],), None),
        ((ImproperList([V1], V1),), ([[B], B],), [[B]]),
        ((ImproperList([V1], V1),), ([B, B],), None),
        (({},), ({},), []),
        (({},), ({1: 2},), []),
        (({},), ([],), None),
        (({A: V1},), ({A: 1, B: 2},), [1]),
        (({A: V1},), ({B: 2},), None),
        (({A: {}},), ({A: {B: 1}},), []),
        (({A: {B: V1}, B: [V2]},), ({A: {B: (1,)}, B: [2]},), [(1,), 2]),
        (({1: ANY},), ({1.0: 2},), None),
        (({(V1,): 1},), ({(V1,): 1},), []),
        (({(V1,): 1},), ({(2,): 1},), None),
        ((PID, REF, PORT, EXPORT, LOCAL), (PID, REF, PORT, EXPORT, LOCAL), []),
        (A, A, []),
        (A, (A,), None),
        ([1, V1], [1, 2], [2]),
        (b"\1\2\3", b"\1\2\3", []),
    ],
)
def test_patterns_match_as_they_should(pattern: Any, term: Any, bindings: Any) -> None:
    found = _core._pattern_run(term, pattern, True)
    assert same(found, None if bindings is None else (bindings,))
    whole = _core._pattern_run(term, pattern, False)
    assert same(whole, None if bindings is None else (term,))


def test_a_map_pattern_finds_its_keys_in_maps_of_any_size() -> None:
    for size in (1, 2, 3, 10, 100, 1000):
        big = {key: -i for i, key in enumerate([*range(size // 2), *(f"key {i}" for i in range(size - size // 2))])}
        for key in big:
            assert _core._pattern_run((big,), ({key: V1},), True) == ([big[key]],)
        assert _core._pattern_run((big,), ({1.0: V1},), True) is None


def test_what_a_tail_leaves_behind_is_canonical() -> None:
    """Flags of what was cut off must not stay: =:= and hash go by the bytes."""
    cases = [
        ["text", 1, b"x" * 20],
        [1, 2, "a text that is marked"],
        [(1, "a"), 2.5, (3,)],
        ["a", ImproperList([b"b"], 2)],
    ]
    for case in cases:
        [[tail]] = [_core._pattern_run((case,), (ImproperList([ANY], V1),), True)][0]
        assert tail == case[1:]
        assert run([((V1, V2), [call("=:=", call("tl", V1), V2)], [1])], (case, case[1:])) == (1,)
        assert run([((V1, V2), [call("is_map_key", call("tl", V1), V2)], [1])], (case, {tuple(case): 1})) is None


# ---- expressions


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (V1, 1),
        (ROW, (1, 2)),
        (VARS, [1, 2]),
        ((CONST, (V1, ANY)), (V1, ANY)),
        ((CONST, ((V1,),)), ((V1,),)),
        (((V1, V2),), (1, 2)),
        (((),), ()),
        (((((),), V1),), ((), 1)),
        (((((V2,),), [V1, ROW]),), ((2,), [1, (1, 2)])),
        ([V1, [V2, VARS]], [1, [2, [1, 2]]]),
        (ImproperList([V1], V2), ImproperList([1], 2)),
        (ImproperList([A], VARS), [A, 1, 2]),
        (ImproperList([V1], ((V2,),)), ImproperList([1], (2,))),
        (ImproperList([A], (CONST, ImproperList(["text"], 1.5))), ImproperList([A, "text"], 1.5)),
        ([1, "two", 3.5], [1, "two", 3.5]),
        ({V1: V2, A: [V1]}, {1: 2, A: [1]}),
        ({((V1,),): 1}, {(1,): 1}),
        ({V1: 1, call("-", V2, 1): 1}, {1: 1}),
        ({}, {}),
        (ANY, ANY),
        (A, A),
        ("text", "text"),
        (PID, PID),
        (call("max", 1, 1.0), 1),
        (call("max", 1.0, 1), 1.0),
        (call("min", 1, 1.0), 1),
        (call("min", A, 2), 2),
        (call("element", 2, ROW), 2),
        (call("tl", [1]), []),
        (call("tl", ImproperList([1], 2)), 2),
        (call("size", (CONST, (1, 2, 3))), 3),
        (call("size", Bits(b"a\x80", 9)), 1),
        (call("byte_size", Bits(b"a\x80", 9)), 2),
        (call("bit_size", Bits(b"a\x80", 9)), 9),
        (call("size", "é"), 2),
        (call("tuple_size", ROW), 2),
        (call("is_binary", Bits(b"a\x80", 9)), False),
        (call("is_bitstring", Bits(b"a\x80", 9)), True),
        (call("is_boolean", True), True),
        (call("is_boolean", A), False),
        (call("is_function", (CONST, EXPORT)), True),
        (call("is_function", (CONST, EXPORT), 2), True),
        (call("is_function", (CONST, LOCAL), 3), True),
        (call("is_function", (CONST, LOCAL), 2**70), False),
        (call("is_function", A, 1), False),
        (call("is_record", (CONST, (T, 1)), T, 2), True),
        (call("is_record", (CONST, (T, 1)), T, call("+", 1, 1)), True),
        (call("is_record", (CONST, (T, 1)), T, -2), False),
        (call("is_record", A, T, 1), False),
        (call("node", (CONST, PID)), NODE),
        (call("node", (CONST, PORT)), NODE),
        (call("node", (CONST, REF)), NODE),
        (call("node"), Atom("nonode@nohost")),
        (call("is_pid", call("self")), True),
        (call("binary_part", "hello", 1, 3), "ell"),
        (call("binary_part", "hello", 5, -2), "lo"),
        (call("binary_part", "hello", (CONST, (0, 2))), "he"),
        (call("binary_part", "a long text, longer than 7", 2, 20), "long text, longer th"),
        (call("binary_part", "é", 0, 1), b"\xc3"),
        (call("binary_part", Bits(b"ab\x80", 17), 1, 1), b"b"),
        (call("div", -7, 2), -3),
        (call("rem", -7, 2), -1),
        (call("rem", 7, -2), 1),
        (call("/", 7, 2), 3.5),
        (call("/", 4, 2), 2.0),
        (call("round", 2.5), 3),
        (call("round", -2.5), -3),
        (call("round", 0.49999999999999994), 0),
        (call("trunc", -2.7), -2),
        (call("ceil", -2.7), -2),
        (call("floor", -2.7), -3),
        (call("round", 1e22), 10**22),
        (call("trunc", 1e300), int(1e300)),
        (call("floor", -1e300), int(-1e300)),
        (call("round", 2**100), 2**100),
        (call("float", 2**53 + 1), 2.0**53),
        (call("float", 2**64 + 2**11 + 1), float(2**64 + 2**12)),
        (call("abs", -(2**62)), 2**62),
        (call("abs", -0.0), 0.0),
        (call("-", 0.0), -0.0),
        (call("-", 0, 0.0), 0.0),
        (call("+", V1), 1),
        (call("bsl", 1, 100), 2**100),
        (call("bsl", 1, -1), 0),
        (call("bsr", -5, 1), -3),
        (call("bsr", -5, 2**70), -1),
        (call("bsr", 5, 2**70), 0),
        (call("bsl", 0, 2**70), 0),
        (call("bsr", 1, -3), 8),
        (call("bnot", 5), -6),
        (call("band", -(2**70), 2**80 - 1), 2**80 - 2**70),
        (call("and", True, True, False), False),
        (call("or", False), False),
        (call("xor", True, False), True),
        (call("not", False), True),
        (call("andalso", True, A), A),
        (call("andalso", False, call("hd", [])), False),
        (call("orelse", False, A), A),
        (call("orelse", True, call("hd", [])), True),
        (call("andalso", A), A),
        (call("==", 1, 1.0), True),
        (call("=:=", 1, 1.0), False),
        (call("=/=", 0.0, -0.0), True),
        (call("==", {A: 1}, {A: 1.0}), True),
        (call("==", {1: A}, {1.0: A}), False),
        (call("<", {2: A}, {0.5: A}), True),
        (call(">", 2**53 + 1, 2.0**53), True),
        (call(">", 2**2000, 1.7e308), True),
        (call("<", ImproperList([1], 2), [1]), True),
        (call("<", (CONST, (9,)), (CONST, (1, 2))), True),
        (call("<", Atom("zz"), Atom("ä")), True),
        (call("map_get", A, {A: V2}), 2),
        (call("is_map_key", B, {A: 1}), False),
        (call("map_size", {A: V1, B: 1}), 2),
        (call("length", VARS), 2),
    ],
)  # fmt: skip
def test_expressions_come_to_what_erlang_says(expression: Any, expected: Any) -> None:
    got = value(expression)
    assert same(got, expected)
    assert type(got) is type(expected)
    assert same(value(((expression,),)), (expected,))
    assert holds(expression) is (expected is True)


FAILING: Final = [
    call("hd", []), call("hd", A), call("tl", []), call("length", ImproperList([1], 2)), call("length", A),
    call("element", 0, ROW), call("element", 3, ROW), call("element", 1.0, ROW), call("element", 2**70, ROW),
    call("map_get", B, {A: 1}), call("map_get", A, 1), call("is_map_key", A, 1), call("map_size", A), call("size", 1),
    call("byte_size", A), call("bit_size", (CONST, ())), call("tuple_size", []), call("node", A), call("abs", A),
    call("+", 1, A), call("+", A), call("-", A), call("-", "1"), call("*", [], 1), call("/", 1, 0), call("/", 1, 0.0),
    call("/", 2**2000, 2**2000), call("/", 1e308, 1e-308), call("*", 1e200, 1e200), call("+", 2**1024, 1.0),
    call("div", 1, 0), call("rem", 1, 0), call("div", 1.0, 1), call("rem", 1, 1.0), call("band", 1, 1.0),
    call("bor", A, 1), call("bnot", 1.0), call("bsl", 1, 2**70), call("bsl", 1, 10**9), call("bsr", -1, -(2**70)),
    call("bsl", 1, 1.0), call("float", 2**1024), call("float", A), call("round", A), call("ceil", "1"),
    call("not", A), call("and", False, A), call("or", True, A), call("and", A), call("xor", True, 1),
    call("andalso", A, True), call("orelse", 1, True), call("andalso", True, A, True),
    call("is_record", A, 1, 1), call("is_record", A, T, T), call("is_record", A, T, 1.0),
    call("is_function", A, -1), call("is_function", A, A), call("is_function", A, -(2**70)),
    call("binary_part", "abc", 1, 3), call("binary_part", "abc", 0, -1), call("binary_part", "abc", -1, 1),
    call("binary_part", A, 0, 0), call("binary_part", "abc", 2**70, 0), call("binary_part", "abc", 1),
    call("binary_part", Bits(b"ab\x80", 17), 0, 3), call("binary_part", "abc", 0.0, 1),
]  # fmt: skip


@pytest.mark.parametrize("failing", FAILING, ids=repr)
def test_a_failure_is_exit_in_a_body_and_false_in_a_guard(failing: Any) -> None:
    assert value(failing) is EXIT
    assert value(((V1, failing, V2),)) == (1, EXIT, 2)
    assert value([failing]) == [EXIT]
    assert value({A: failing}) == {A: EXIT}
    assert value(call("is_atom", failing)) is True
    assert value(call("orelse", False, failing)) is EXIT
    for guard in (
        failing, call("or", True, failing), call("or", call("==", failing, 1), True), call("orelse", failing, True),
        call("not", call("not", call("is_atom", failing))), call("==", ((failing,),), ((failing,),)),
        call("is_atom", failing), call("is_list", [failing]), call("is_map", {A: failing}),
        call("==", call("hd", [failing]), EXIT),
    ):  # fmt: skip
        assert not holds(guard)
    assert run([(ANY, [failing], [1]), (ANY, [call("orelse", True, failing)], [2])], (1, 2)) == (2,)


@pytest.mark.parametrize("guard", [1, A, "true", False, None, [], (CONST, 1), ((True,),), V1, ROW, VARS], ids=repr)
def test_a_guard_holds_only_if_it_is_exactly_true(guard: Any) -> None:
    assert not holds(guard)


def test_the_first_clause_that_holds_decides() -> None:
    spec = [((V1, V2), [call(">", V1, 5)], [A]), ((V1, V1), [], [B]), ((ANY, 2), [True, True], [K])]
    assert [run(spec, row) for row in ((6, 6), (1, 1), (1, 2), (1, 3), (A, A), ())] == [
        (A,),
        (B,),
        (K,),
        None,
        (A,),
        None,
    ]


def test_the_last_expression_of_a_body_is_the_result() -> None:
    assert run([(V0, [], [call("hd", []), V0, False])], 1) == (False,)


def test_a_row_comes_back_as_it_is() -> None:
    row = (1, "text", {A: [b"bytes", 2.5]}, 2**70, ImproperList([1], 2), None)
    assert run([(ANY, [], [ROW])], row) == (row,)
    assert run([(V1, [], [V1])], row) == (row,)
    assert run([(V1, [], [((V1, ROW),)])], row) == ((row, row),)
    assert type(value(V2, (1, "text"))) is str


# ---- comparisons with a constant, in all the ways the compiler has for them


@pytest.mark.parametrize(
    "constant",
    [0, 5, -1, 5.0, 4.5, 2**62, -(2**70), A, "b", "a text of some length", [], (), {}, (5,), [5], Bits(b"\x80", 1)],
)
def test_comparisons_are_the_same_however_they_are_written(constant: Any) -> None:
    operators: dict[str, Callable[[int], bool]] = {
        "<": lambda o: o < 0, "=<": lambda o: o <= 0, ">": lambda o: o > 0, ">=": lambda o: o >= 0,
        "==": lambda o: o == 0, "/=": lambda o: o != 0,
    }  # fmt: skip
    others: list[Any] = [
        constant, 4, 5, 6, 5.0, 4.5, 2**62, 2.0**62, -(2**70), A, B, "b", b"b", "a text of some length", [], (), {},
        (5,), (5.0,), [5], [5.0], {1: 2}, None, Bits(b"\x80", 1), PID,
    ]  # fmt: skip
    fixed = (CONST, constant)
    for other in others:
        order = _core.compare(other, constant)
        for name, right in operators.items():
            turned = {"<": ">", "=<": ">=", ">": "<", ">=": "=<"}.get(name, name)
            for guard in (
                call(name, V1, fixed), call(turned, fixed, V1), call(name, call("element", 1, ROW), fixed),
                call(name, call("hd", [V1]), fixed), call("orelse", False, call(name, V1, fixed)),
                call("and", call(name, V1, fixed), True), call("not", call("not", call(name, V1, fixed))),
                call(name, V1, V2),
            ):  # fmt: skip
                assert (other, guard, holds(guard, (other, constant))) == (other, guard, right(order))
        exact = _core.exact_equal(other, constant)
        for guard in (
            call("=:=", V1, fixed),
            call("=:=", fixed, V1),
            call("=:=", V1, V2),
            call("orelse", call("=:=", V1, V2)),
        ):
            assert (other, guard, holds(guard, (other, constant))) == (other, guard, exact)
        for guard in (call("=/=", V1, fixed), call("=/=", V2, V1), call("not", call("=:=", V1, fixed))):
            assert (other, guard, holds(guard, (other, constant))) == (other, guard, not exact)


def test_an_element_of_a_row_that_is_too_short_fails() -> None:
    spec = [(ANY, [call(">", call("element", 2, ROW), 5), call("<", call("element", 3, ROW), 9)], [True])]
    rows: list[Any] = [(1, 6, 8), (1, 6, 9), (1, 5, 8), (1, 6), (1,), (), [1, 6, 8], 7]
    assert [run(spec, row) for row in rows] == [(True,), *[None] * 7]
    spec = [((V1, V2), [call("==", call("element", 3, ROW), 1)], [True]), (ANY, [], [A])]
    assert run(spec, (1, 2)) == (A,)


def test_simple_guards_are_one_instruction_each() -> None:
    """The bench depends on it: head, one test for each guard, the result, and the end."""
    for guards in (
        [call(">", V2, 10)], [call("=<", 10, V2), call("<", V2, 20)], [call("is_atom", V2)],
        [call("and", call(">=", V2, 1), call("/=", V2, 5))], [call("==", V2, A)], [call("=:=", V2, "text")],
        [call("==", call("element", 2, ROW), 1)],
    ):  # fmt: skip
        tests = 2 if len(guards) == 2 or guards[0][0] is Atom("and") else 1
        assert len(_core._spec_codes([((ANY, V2), guards, [True])])) == 1 + tests + 2


# ---- mistakes


@pytest.mark.parametrize("mistake", _generate.MISTAKES, ids=repr)
def test_a_mistake_is_one_wherever_it_stands(mistake: Any) -> None:
    wrong = [
        mistake,
        [1, mistake],
        ((1, mistake),),
        {1: mistake},
        call("andalso", False, mistake),
        call("is_atom", [mistake]),
    ]
    for part in wrong:
        for spec in (
            [(ANY, [part], [1])], [(ANY, [], [part])], [(ANY, [], [part, 1])], [(ANY, [False, part], [1])],
            [(ANY, [], [1]), ((), [], [part])],
        ):  # fmt: skip
            with pytest.raises(BadArgument):
                run(spec, ())
            tag, mistakes = _core.match_spec_test((), spec)
            assert tag is Atom("error")
            assert all(kind is Atom("error") and text for kind, text in mistakes)


@pytest.mark.parametrize(
    "spec",
    [
        [], (), A, 1, [A], [(1, [])], [(1, [], [1], 1)], [[1, [], [1]]], [(1, A, [1])], [(1, [], A)], [(1, [], [])],
        [(1, ImproperList([True], 1), [1])], [(1, [], ImproperList([1], 1))], ImproperList([(1, [], [1])], 1),
        *[[(head, [], [1])] for head in _generate.BAD_HEADS],
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_spec_is_a_mistake(spec: Any) -> None:
    assert _core.test_ms((), spec)[0] is Atom("error")


def test_mistakes_are_all_told() -> None:
    spec = [(V1, [call("hd", 1, 2), call("foo"), Atom("$5")], [call("bar")])]
    assert [text for _, text in _core.test_ms(1, spec)[1]] == [
        "Function hd/2 does_not_exist.",
        "Function foo/0 does_not_exist.",
        "Variable $5 is unbound.",
        "Function bar/0 does_not_exist.",
    ]
    many = [(ANY, [call("foo")] * 1000, [1])]
    assert len(_core.test_ms(1, many)[1]) == 32


def test_a_message_is_never_long() -> None:
    for part in (
        (1, "x" * 10**6),
        (1, list(range(10**5))),
        (1, *range(1000)),
        (2**100000,),
        (1, nested(DEEP, lambda x: (x,))),
    ):
        [(_, text)] = _core.test_ms(1, [(ANY, [], [part])])[1]
        assert len(text) < 500 and text.endswith("(tuples are written {{ ... }}).")


# ---- deep and large specs


def nested(depth: int, wrap: Callable[[Any], Any], inner: Any = A) -> Any:
    for _ in range(depth):
        inner = wrap(inner)
    return inner


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: (x,), lambda x: [x], lambda x: {A: x}, lambda x: ImproperList([1], (x,)), lambda x: (1, x, 2),
        lambda x: ImproperList([(x,)], ANY),
    ],
    ids=["tuple", "list", "map", "tail", "middle", "open list"],
)  # fmt: skip
def test_heads_may_be_deep(wrap: Callable[[Any], Any]) -> None:
    open_list = wrap(A) == ImproperList([(A,)], ANY)
    term = nested(DEEP, (lambda x: [(x,), 5]) if open_list else wrap, 7)
    assert _core._pattern_run(term, nested(DEEP, wrap, V1), True) == ([7],)
    assert _core._pattern_run(nested(DEEP, wrap, 7), nested(DEEP, wrap, 8), True) is None


@pytest.mark.parametrize(
    ("wrap", "expected"),
    [
        (lambda x: call("not", x), True),
        (lambda x: call("and", x, True), True),
        (lambda x: call("and", True, x), True),
        (lambda x: call("or", x), True),
        (lambda x: call("andalso", x, True), True),
        (lambda x: call("andalso", True, x), True),
        (lambda x: call("orelse", False, x), True),
        (lambda x: call("hd", [x]), True),
        (lambda x: call("element", 1, ((x,),)), True),
        (lambda x: call("max", x, 0), True),
        (lambda x: call("hd", ImproperList([x], 1)), True),
    ],
)
def test_expressions_may_be_deep(wrap: Callable[[Any], Any], expected: Any) -> None:
    deep = nested(DEEP, wrap, V1)
    assert run([((V1,), [], [deep])], (True,)) == (expected,)
    assert run([((V1,), [deep], [1])], (True,)) == (1,)


@pytest.mark.parametrize(
    ("wrap", "plain"),
    [
        (lambda x: ((x,),), lambda x: (x,)),
        (lambda x: [x], lambda x: [x]),
        (lambda x: ((A, [x]),), lambda x: (A, [x])),
        (lambda x: [A, "text", ((x, 2.5),)], lambda x: [A, "text", (x, 2.5)]),
    ],
)
def test_built_values_may_be_deep(wrap: Callable[[Any], Any], plain: Callable[[Any], Any]) -> None:
    [result] = run([((V1,), [], [nested(DEEP, wrap, V1)])], (True,))
    assert _core.exact_equal(result, nested(DEEP, plain, True))


def test_values_that_are_built_again_and_again_end_at_the_limit() -> None:
    """A map is built of its values' copies, so a deep one outgrows what one run may take; it fails, and so on."""
    [result] = run([((V1,), [], [nested(20_000, lambda x: {A: x}, V1)])], (True,))
    assert result is EXIT


def test_constants_may_be_deep() -> None:
    deep = nested(DEEP, lambda x: (x,))
    assert _core.exact_equal(run([(ANY, [], [(CONST, deep)])], 1)[0], deep)
    assert run([((V1,), [call("==", V1, (CONST, deep))], [1])], (deep,)) == (1,)
    assert run([((V1,), [call("<", V1, (CONST, (deep,)))], [1])], (deep,)) == (1,)


def test_a_spec_may_be_large() -> None:
    many = [Atom(f"${i}") for i in range(20_000)]
    row = tuple(range(20_000))
    assert run([(tuple(many), [], [VARS])], row) == (list(row),)
    assert run([(tuple(many), [], [[*many, *many]])], row) == ([*row, *row],)
    assert run([((i,), [], [i + 1]) for i in range(20_000)], (19_999,)) == (20_000,)
    assert run([((V1,), [call("or", *[call("==", V1, i) for i in range(20_000)])], [1])], (19_999,)) == (1,)
    assert run([((V1,), [], [{((V1, i),): i for i in range(5000)}])], (A,)) == ({(A, i): i for i in range(5000)},)


def test_what_would_need_too_much_memory_fails() -> None:
    huge = call("bsl", 1, 2**22 - 2)
    assert value(call(">", huge, 1)) is True
    assert value(call("bsl", 1, 2**22)) is EXIT
    assert value(call("*", huge, huge)) is EXIT
    big = (CONST, "x" * (1 << 26))
    assert value(call("size", ((V1, big, big, big, big, big),))) is EXIT
    assert value(call("size", ((V1, big),))) == 2


# ---- made up


@pytest.mark.parametrize("seed", range(effort(3)))
def test_results_are_the_models(seed: int) -> None:
    rng = random.Random(f"match {seed}")
    for _ in range(800):
        rows: list[Any] = [_generate.row(rng) for _ in range(6)]
        spec = _generate.spec(rng, rows)
        for term in [*rows, _generate.term(rng)]:
            judge(spec, term)


def judge(spec: Any, term: Any) -> None:
    try:
        _matchmodel.check(spec)
        expected = _matchmodel.run(spec, term)
    except Mistake:
        with pytest.raises(BadArgument):
            run(spec, term)
        return
    except Unrepresentable:
        return
    assert (spec, term, exact_key(run(spec, term))) == (spec, term, exact_key(expected))


@given(spec=terms(), term=terms())
def test_no_term_crashes_the_compiler(spec: Any, term: Any) -> None:
    for candidate in (spec, [(spec, [], [1])], [(ANY, [spec], [1])], [(ANY, [], [spec])], [spec]):
        try:
            assert _core.match_spec_test(term, candidate)[0] in (Atom("ok"), Atom("error"))
            _core._spec_access(candidate, 0, True)
            _core._spec_keeps_key(candidate, 0)
        except (BadArgument, TypeError, TermTooLarge):
            pass  # a term that has no packed form
    try:
        _core._pattern_run(term, spec, True)
    except (BadArgument, TypeError):
        pass


@given(pair=pairs(terms()))
def test_compare_is_the_order_of_forms(pair: tuple[Any, Any]) -> None:
    a, b = pair
    try:
        x, y = _core.order_key(a), _core.order_key(b)
    except (BadArgument, TypeError):
        return
    assert _core.compare(a, b) == (x > y) - (x < y)
    assert (_core.compare(a, b, True) == 0) == _core.exact_equal(a, b)


@given(key=st.lists(made(lambda rng: _generate.term(rng)), min_size=2, max_size=6))
def test_exact_order_is_that_of_a_maps_keys(key: list[Any]) -> None:
    for a in key:
        for b in key:
            assert _core.compare(a, b, True) == -_core.compare(b, a, True)
            for c in key:
                if _core.compare(a, b, True) <= 0 and _core.compare(b, c, True) <= 0:
                    assert _core.compare(a, c, True) <= 0


def test_nan_is_behind_all_numbers_and_in_front_of_atoms() -> None:
    for exact in (False, True):
        assert _core.compare(math.nan, math.nan, exact) == 0
        assert _core.compare(math.inf, math.nan, exact) == -1
        assert _core.compare(math.nan, A, exact) == -1
    assert _core.compare(2**100, math.nan) == -1
    assert holds(call("is_float", V1), (math.nan, 1))
    assert value(call("+", V1, 1.0), (math.nan, 1)) is EXIT
    assert value(call("round", V1), (math.inf, 1)) is EXIT
    assert value({V1: 1}, (math.nan, 1)) is EXIT
    assert value({((V1,),): 1}, (math.nan, 1)) is EXIT


# ---- arithmetic

SIZES: Final = [1, 30, 61, 62, 63, 64, 65, 100, 127, 128, 129, 192, 1000, 2559, 2560, 2561, 6000, 20_000]


def numbers(rng: random.Random) -> int:
    bits = rng.choice(SIZES)
    shape = rng.randrange(4)
    magnitude = {
        0: lambda: rng.getrandbits(bits), 1: lambda: (1 << bits) - 1, 2: lambda: 1 << bits,
        3: lambda: (rng.getrandbits(bits) >> bits // 2) << bits // 2,
    }[shape]()  # fmt: skip
    return magnitude if rng.randrange(2) else -magnitude


def truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


INTEGER_OPERATORS: Final[dict[str, Callable[[int, int], int]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "band": operator.and_, "bor": operator.or_,
    "bxor": operator.xor, "div": truncated, "rem": lambda a, b: a - b * truncated(a, b),
}  # fmt: skip


@pytest.mark.parametrize("name", INTEGER_OPERATORS)
def test_integers_of_any_size_are_counted_exactly(name: str) -> None:
    rng = random.Random(name)
    for _ in range(effort(400)):
        a, b = numbers(rng), numbers(rng)
        if b or name not in ("div", "rem"):
            assert value(call(name, V1, V2), (a, b)) == INTEGER_OPERATORS[name](a, b)


def test_division_gives_back_what_it_guessed_too_high() -> None:
    """Quotients of words just below 2**64 are where Knuth's guess is wrong."""
    word = 2**64
    for high in (word // 2, word // 2 + 1, word - 1):
        for low in (0, 1, word - 1):
            divisor = high * word + low
            for quotient in (1, word - 1, word, word * word - 1):
                for rest in (0, 1, divisor - 1):
                    assert value(call("div", V1, V2), (divisor * quotient + rest, divisor)) == quotient
                    assert value(call("rem", V1, V2), (divisor * quotient + rest, divisor)) == rest


def test_shifts_round_down() -> None:
    rng = random.Random(1)
    for _ in range(effort(400)):
        a, by = numbers(rng), rng.choice((0, 1, 2, 31, 63, 64, 65, 127, 128, 1000, 30_000))
        assert value(call("bsr", V1, V2), (a, by)) == a >> by
        assert value(call("bsl", V1, V2), (a, -by)) == a >> by
        assert value(call("bsl", V1, V2), (a, by)) == a << by
        assert value(call("bnot", V1), (a, 0)) == ~a


def test_integers_become_the_nearest_float() -> None:
    rng = random.Random(2)
    for _ in range(effort(2000)):
        bits = rng.choice((54, 60, 62, 63, 64, 65, 70, 128, 500, 1000, 1023))
        a = rng.choice((1, -1)) * (
            (rng.getrandbits(53) << max(0, bits - 53)) + rng.choice((0, 1, -1, 1 << max(0, bits - 54)))
        )
        assert value(call("float", V1), (a, 0)) == float(a)
        assert value(call("+", V1, 0.0), (a, 0)) == float(a)
        exact = int(float(a))
        assert _core.compare(a, float(a)) == (a > exact) - (a < exact)
        assert _core.compare(float(a), a) == (exact > a) - (exact < a)


def test_products_are_bounded() -> None:
    limit = 2**22
    a = (1 << (limit // 2)) - 1
    assert value(call("*", V1, V1), (a, 0)) == a * a
    assert value(call("*", V1, 2), (1 << (limit - 1), 0)) is EXIT
    assert value(call("+", V1, V1), (1 << (limit - 1), 0)) is EXIT
    assert value(call("-", V1, V1), (1 << (limit + 100), 0)) in (EXIT, 0)


# ---- which rows


def reaches(access: Any, key: Any, ordered: bool) -> bool:
    match access:
        case "all" | "nothing":
            return access == "all"  # type: ignore[no-any-return]
        case list():
            same_key = (lambda k: _core.compare(k, key) == 0) if ordered else (lambda k: _core.exact_equal(k, key))
            return any(map(same_key, access))
    low, low_open, high, high_open = access
    form = _core.order_key(key)
    above = low is None or (form > low if low_open else form >= low)
    return above and (high is None or (form < high if high_open else form <= high))


FORM: Final = _core.order_key


@pytest.mark.parametrize(
    ("spec", "hashed", "ordered"),
    [
        ([((1, V1), [], [1])], [1], [1]),
        ([((ANY, V1), [], [1])], "all", "all"),
        ([(ANY, [], [1])], "all", "all"),
        ([(V1, [], [1])], "all", "all"),
        ([(A, [], [1])], "nothing", "nothing"),
        ([((), [], [1])], "nothing", "nothing"),
        ([((2, V1), [], [1]), ((1, V1), [], [1]), ((2, ANY), [], [2])], [1, 2], [1, 2]),
        ([((1, V1), [], [1]), ((1.0, V1), [], [1])], [1, 1.0], [1]),
        ([((1, V1), [], [1]), ((V2, V1), [], [1])], "all", "all"),
        ([(({},), [], [1])], "all", "all"),
        ([((({}, A),), [], [1])], "all", (FORM(({}, {}))[:5], False, FORM(({}, {}))[:5] + b"\xff", True)),
        ([(((1500, A, V1), ANY), [], [1])], "all",
         (FORM((1500, A, 1))[:-3], False, FORM((1500, A, 1))[:-3] + b"\xff", True)),
        ([((V1,), [call(">=", V1, 10), call("<", V1, 20)], [1])], "all", (FORM(10), False, FORM(20), True)),
        ([((V1,), [call("andalso", call("=<", 10, V1), call(">", 20, V1))], [1])], "all",
         (FORM(10), False, FORM(20), True)),
        ([((V1,), [call("and", call(">", V1, 10), call(">", V1, 12.5), call(">=", V1, 11))], [1])], "all",
         (FORM(12.5), True, None, False)),
        ([((V1,), [call(">", V1, 10), call("<", V1, 10)], [1])], "all", "nothing"),
        ([((V1,), [call("or", call(">", V1, 10), call("<", V1, 5))], [1])], "all", "all"),
        ([((V1,), [call("not", call(">", V1, 10))], [1])], "all", "all"),
        ([((V1,), [call("/=", V1, 10)], [1])], "all", "all"),
        ([((V1,), [call("=:=", V1, 10)], [1])], [10], [10]),
        ([((V1,), [call("==", 10, V1)], [1])], [10, 10.0], [10]),
        ([((V1,), [call("==", 0.0, V1)], [1])], [0, -0.0, 0.0], [0.0]),
        ([((V1,), [call("==", V1, 1.5)], [1])], [1.5], [1.5]),
        ([((V1,), [call("==", V1, 2**53 + 1)], [1])], [2**53 + 1], [2**53 + 1]),
        ([((V1,), [call("==", V1, 2**70)], [1])], [2**70, 2.0**70], [2**70]),
        ([((V1,), [call("==", V1, "text")], [1])], ["text"], ["text"]),
        ([((V1,), [call("==", V1, (CONST, (1,)))], [1])], "all", [(1,)]),
        ([((V1,), [call("==", V1, ((1,),))], [1])], "all", [(1,)]),
        ([((V1, V2), [call("==", V2, 1)], [1])], "all", "all"),
        ([((V1,), [call("orelse", call("=:=", V1, 3), call("=:=", 1, V1), call("=:=", V1, 3))], [1])], [1, 3], [1, 3]),
        ([((V1,), [call("orelse", call("=:=", V1, 3), call(">", V1, 1))], [1])], "all", "all"),
        ([((V1,), [call("or", call("=:=", V1, 3), call("hd", V1))], [1])], "all", "all"),
        ([(ANY, [call("==", call("element", 1, ROW), A)], [1])], [A], [A]),
        ([(ANY, [call("<", call("element", 1, ROW), 7)], [1])], "all", (None, False, FORM(7), True)),
        ([(ANY, [call("<", call("element", 2, ROW), 7)], [1])], "all", "all"),
        ([(V1, [call("=:=", call("element", 1, V1), 7)], [1])], [7], [7]),
        ([((V1,), [call(">", V1, 5)], [1]), ((2,), [], [1])], "all", (FORM(2), False, None, False)),
        ([((V1,), [call("<", V1, 5)], [1]), ((V1,), [call("<", V1, 7), call(">", V1, 5)], [1])], "all",
         (None, False, FORM(7), True)),
        ([((V1,), [call(">", V1, math.nan)], [1])], "all", "all"),
        ([((math.nan,), [], [1])], "nothing", "nothing"),
        ([((ANY,), [call("==", ANY, 1)], [1])], "all", "all"),
    ],
)  # fmt: skip
def test_access_paths(spec: Any, hashed: Any, ordered: Any) -> None:
    for kind, expected in ((False, hashed), (True, ordered)):
        assert exact_key_or(_core._spec_access(spec, 0, kind)) == exact_key_or(expected)


def exact_key_or(access: Any) -> Any:
    return [exact_key(key) for key in access] if isinstance(access, list) else access


@pytest.mark.parametrize("ordered", [False, True])
def test_what_a_program_selects_is_within_its_access_path(ordered: bool) -> None:
    rng = random.Random(f"access {ordered}")
    narrow = 0
    for _ in range(effort(1500)):
        keypos = rng.randrange(2)
        rows: list[Any] = [_generate.row(rng, keypos=keypos) for _ in range(6)]
        spec = guarded(rng, rows, keypos) if rng.randrange(2) else _generate.spec(rng, rows)
        access = None if _core.test_ms((), spec)[0] is Atom("error") else _core._spec_access(spec, keypos, ordered)
        if access is None:
            continue
        narrow += access != "all"
        for row in rows:
            if run(spec, row) is not None:
                assert (spec, row, access, reaches(access, row[keypos], ordered)) == (spec, row, access, True)
    assert narrow > 200


def guarded(rng: random.Random, rows: list[Any], keypos: int) -> Any:
    """A spec with comparisons of the key."""
    key = rng.choice((V1, call("element", keypos + 1, ROW)))
    head: Any = ANY if key is not V1 else tuple(V1 if i == keypos else ANY for i in range(len(rows[0])))

    def comparison() -> Any:
        constant = (CONST, rng.choice(rows)[keypos])
        sides = (key, constant) if rng.randrange(2) else (constant, key)
        return call(rng.choice(("<", ">", "=<", ">=", "==", "=:=", "/=")), *sides)

    def guard() -> Any:
        parts = [comparison() for _ in range(rng.randrange(1, 4))]
        return rng.choice(
            (parts[0], call("and", *parts), call("andalso", *parts), call("orelse", *parts), call("or", *parts))
        )

    return [(head, [guard() for _ in range(rng.randrange(1, 3))], [ROW]) for _ in range(rng.choice((1, 1, 2)))]


# ---- keys that are kept


@pytest.mark.parametrize(
    ("head", "body", "kept"),
    [
        ((V1, V2), [ROW], True),
        (ANY, [ROW], True),
        ((V1, V2), [((V1, 1),)], True),
        ((V1, V2), [((V2, 1),)], False),
        ((V1, V2), [((V1,),)], True),
        ((V1, V2), [((call("element", 1, ROW), 1),)], True),
        ((V1, V2), [((call("element", 2, ROW), 1),)], False),
        ((V1, V2), [ROW, ROW], False),
        (V1, [V1], False),
        ((V1, V2), [((call("+", V1, 0), 1),)], False),
        ((1, V2), [((1, 1),)], True),
        ((1, V2), [((1.0, 1),)], False),
        ((1, V2), [(CONST, (1, V2))], True),
        ((V1, V2), [(CONST, (V1, 1))], False),
        ((1, V2), [(((CONST, 1), 1),)], True),
        (((V1, A), V2), [((((V1, A),), 1),)], True),
        (((V1, A), V2), [(((CONST, (V1, A)), 1),)], False),
        (((1, A), V2), [(((CONST, (1, A)), 1),)], True),
        (((1, A), V2), [(((1, A), 1),)], None),
        (([V1, 1], V2), [(([V1, 1], 1),)], True),
        ((ImproperList([V1], V2),), [((ImproperList([V1], V2), 1),)], True),
        ((ANY, V2), [((ANY, 1),)], False),
        (({},), [(({},),)], False),
        ((([{}],),), [(([{}],),)], False),
        (((),), [((((),),),)], True),
        ((ROW,), [((ROW,),)], False),
        ((V1, V2), [((), 1)], None),
        ((V1,), [((),)], False),
        (A, [((A,),)], False),
    ],
)
def test_the_rule_about_keys(head: Any, body: Any, kept: bool | None) -> None:
    if kept is None:
        assert _core.test_ms((), [(head, [], body)])[0] is Atom("error")
    else:
        assert _core._spec_keeps_key([(head, [], body)], 0) is kept
        assert _core._spec_keeps_key([(ANY, [], [ROW]), (head, [], body)], 0) is kept


@pytest.mark.parametrize("keypos", [0, 1])
def test_the_rule_about_keys_is_the_models(keypos: int) -> None:
    rng = random.Random(f"keeps {keypos}")
    kept = 0
    for _ in range(effort(1500)):
        rows: list[Any] = [_generate.row(rng, keypos=keypos) for _ in range(4)]
        spec = _generate.replacing_spec(rng, rows, keypos)
        if _core.test_ms((), spec)[0] is not Atom("error"):
            kept += _core._spec_keeps_key(spec, keypos)
            assert (spec, _core._spec_keeps_key(spec, keypos)) == (spec, _matchmodel.keeps_key(spec, keypos))
    assert kept > 100


def test_keys_may_be_deep() -> None:
    head = nested(DEEP, lambda x: (x,), V1)
    body = nested(DEEP, lambda x: ((x,),), V1)
    assert _core._spec_keeps_key([((head,), [], [((body,),)])], 0) is True
    assert _core._spec_keeps_key([((head,), [], [((((body,),),),)])], 0) is False
    assert _core._spec_access([((head,), [], [1])], 0, True)[0].startswith(FORM(((1,),))[:5])
