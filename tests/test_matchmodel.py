"""The model of match specs beside Erlang's own: what it calls a mistake, what matches, what comes out.

An oracle that is wrong makes wrong engines right. So `_matchmodel` is held against `ets:match_spec_compile/1` and
`ets:match_spec_run/2` of a real Erlang, with specs and rows made up by `_generate`; and every function of guards and
bodies against Erlang's, with arguments of all kinds, through a match spec where this Erlang knows the function in one,
and by applying it where it does not.

Left out:

* 0.0 beside -0.0 where Erlang is older than 27 (see `_erlang.erlangs_zeros`), and `abs(-0.0)`, which changed with it;
* functions that a match spec of an older Erlang does not know (LEFT_OUT; their values are compared all the same), and
  bodies that make it unsound;
* `self` and `node` without arguments, which say something about the asker;
* maps in the key of a head where a table is searched: Erlang before 27 takes such a key for a bound one;
* results that Python has no value for (`Unrepresentable`);
* quotients and sums for which an integer above 2**53 that lies half way between two floats must become a float.
"""

import contextlib
import random
from collections import Counter
from typing import Any, Final

import _generate
import _matchmodel
import pytest
from _erlang import Erlang, erlangs_zeros, items
from _matchmodel import FUNCTIONS, Mistake, Unrepresentable
from _support import effort
from _termmodel import exact_key
from hypothesis import given
from strategies import converted, made

from tsunami import Atom, Bits

# In match specs since OTP 26; and what an OTP 25 spoils its memory with if an argument but the last is no boolean.
LEFT_OUT: Final = frozenset(
    ("is_bitstring/1", "is_boolean/1", "is_function/2", "max/2", "min/2", "ceil/1", "floor/1", "tuple_size/1")
    + tuple(f"{name}/{arity} in a body" for name in ("andalso", "orelse") for arity in (2, 3))
)


def left_out(erlang: Erlang) -> frozenset[str]:
    return LEFT_OUT if erlang.release < 26 else frozenset()


def outcome(spec: Any, terms: list[Any]) -> Any:
    """What the model says, spelled like Erlang's answer; None where there is no saying."""
    try:
        _matchmodel.check(spec)
        results = [_matchmodel.run(spec, term) for term in terms]
    except Mistake:
        return exact_key((Atom("error"), Atom("badarg")))
    except Unrepresentable:
        return None
    return exact_key((Atom("ok"), [list(result or ()) for result in results]))


def check(erlang: Erlang, batch: list[tuple[Any, list[Any]]]) -> None:
    answers = items(erlang.ask("results", batch))
    with erlangs_zeros(erlang):
        wrong = [
            (spec, terms, answer, expected)
            for (spec, terms), answer in zip(batch, answers, strict=True)
            if (expected := outcome(spec, terms)) is not None and expected != answer
        ]
    if wrong:
        spec, terms, answer, expected = min(wrong, key=lambda case: len(repr(case)))
        raise AssertionError(
            f"{len(wrong)} wrong\n spec   {spec}\n terms  {terms}\n Erlang {answer}\n model  {expected}"
        )


def question(rng: random.Random, without: frozenset[str]) -> tuple[Any, list[Any]]:
    rows: list[Any] = [_generate.row(rng) for _ in range(6)]
    spec = _generate.spec(rng, rows, without)
    return spec, [*rows, _generate.term(rng)]


@pytest.mark.parametrize("seed", range(effort(4)))
def test_results_are_erlangs(erlang: Erlang, seed: int) -> None:
    rng = random.Random(seed)
    without = left_out(erlang)
    check(erlang, [question(rng, without) for _ in range(1500)])


@given(question=made(lambda rng: question(rng, LEFT_OUT)))
def test_results_are_erlangs_in_small(erlang: Erlang, question: Any) -> None:
    """The same once more, so that what is found is shrunk."""
    check(erlang, [question])


@pytest.mark.parametrize("mistake", _generate.MISTAKES, ids=repr)
def test_every_mistake_is_one(erlang: Erlang, mistake: Any) -> None:
    """In a guard, in a body, and inside of other expressions."""
    wrong = [mistake, [1, mistake], ((1, mistake),), {1: mistake}, (Atom("andalso"), False, mistake)]
    specs = [[(Atom("_"), [True, part], [1])] for part in wrong] + [[(Atom("_"), [], [part])] for part in wrong]
    check(erlang, [(spec, []) for spec in specs])
    for spec in specs:
        with pytest.raises(Mistake):
            _matchmodel.check(spec)


@pytest.mark.parametrize("head", _generate.BAD_HEADS, ids=repr)
def test_a_variable_is_no_key_of_a_map(erlang: Erlang, head: Any) -> None:
    spec = [((1,), [], [1]), (head, [], [1])]
    check(erlang, [(spec, [])])
    with pytest.raises(Mistake):
        _matchmodel.check(spec)


# ---- select_replace


def replaced(kind: str, keypos: int, rows: list[Any], spec: Any) -> Any:
    """What select_replace leaves of rows of which no two have one key; None where there is no saying."""
    try:
        _matchmodel.check(spec)
        if not _matchmodel.keeps_key(spec, keypos):
            raise Mistake(f"{spec!r} may change a key")
        results = [_matchmodel.run(spec, row) for row in rows]
    except Mistake:
        return exact_key((Atom("error"), Atom("badarg")))
    except Unrepresentable:
        return None
    left = [result[0] if result else row for row, result in zip(rows, results, strict=True)]
    count = sum(result is not None for result in results)
    return ("ok", count, Counter(map(exact_key, left)))


def told(answer: Any) -> Any:
    match items(answer):
        case (("atom", "ok"), ("int", count), rows):
            return ("ok", count, Counter(items(rows)))
    return answer


def maps_in_a_key(spec: Any, keypos: int) -> bool:
    """Does a head of a good spec have one?"""
    heads = [clause[0] for clause in spec if isinstance(clause, tuple) and clause] if isinstance(spec, list) else []
    return any("{" in repr(head[keypos]) for head in heads if isinstance(head, tuple) and len(head) > keypos)


@pytest.mark.parametrize("kind", ["set", "ordered_set", "duplicate_bag"])
@pytest.mark.parametrize("keypos", [0, 1])
def test_the_rule_about_keys_is_erlangs(erlang: Erlang, kind: str, keypos: int) -> None:
    rng = random.Random(f"{kind} {keypos}")
    without = left_out(erlang)
    good = 0
    batch = []
    for _ in range(effort(600)):
        rows = [_generate.row(rng, keypos=keypos) for _ in range(6)]
        rows = list({exact_key(converted(row[keypos])): row for row in rows}.values())
        batch.append((Atom(kind), keypos + 1, rows, _generate.replacing_spec(rng, rows, keypos, without)))
    with erlangs_zeros(erlang):
        for (_, _, rows, spec), answer in zip(batch, items(erlang.ask("replace", batch)), strict=True):
            expected = replaced(kind, keypos, rows, spec)
            if expected is not None and not (erlang.release < 27 and maps_in_a_key(spec, keypos)):
                assert (spec, rows, told(answer)) == (spec, rows, expected)
                good += expected[0] == "ok"
    assert good > len(batch) // 4, "the generator makes too few that keep the key"


# ---- functions

NUMBERS: Final[list[Any]] = [
    0, 1, -1, 2, -2, 3, 7, -7, 10, 63, 64, 2**53, 2**53 + 1, 2**59, -(2**59), 2**60, 2**62, -(2**62), 2**63, -(2**63),
    2**64, -(2**64), 2**64 + 1, 2**127 - 1, 10**30, -(10**30), 2**1023, 2**1024, -(2**1024), 2**2000, 0.5, -0.5, 1.0,
    -1.0, 1.5, 2.5, -2.5, 3.5, 0.49999999999999994, -0.49999999999999994, 4503599627370497.5, 2.0**53, 1e22, -1e22,
    5e-324, 1e-300, 1e300, -1e300, 1.7976931348623157e308, 0.0, -0.0,
]  # fmt: skip
OTHERS: Final[list[Any]] = [
    *_generate.SCALARS, *_generate.OPAQUE, (1,), (Atom("a"),), (Atom("a"), 2), (1.0, 2), (2, 1), (0, 2),
    (-1, 1), [1], [1, 2],
    _generate.improper([1], 2), _generate.improper([1, 2], Atom("a")), {1: 2}, {Atom("a"): 1, 2.5: [1]}, {1.0: 2},
    "abc", b"\0\1\2", _generate.improper([[]], 0), [[]], ((),), {(1, 2): {}}, 2**40, 2**70, -(2**70),
]  # fmt: skip
SHIFTS: Final = [0, 1, -1, 5, -5, 64, 100, -100, 2**40, -(2**40), 2**70, -(2**70), 1.0, Atom("a")]


def arguments(function: str, arity: int, rng: random.Random) -> list[tuple[Any, ...]]:
    """Many of all kinds, biased to what the function is about."""
    if function in ("bsl", "bsr"):
        return [(number, by) for number in [*NUMBERS, Atom("a")] for by in SHIFTS]
    if function in ("and", "or", "andalso", "orelse", "xor", "not"):
        pool: list[Any] = [True, False, True, False, Atom("a"), 1, None]
        return list({exact_key(row): row for _ in range(300) if (row := tuple(rng.choices(pool, k=arity)))}.values())
    pool = [*NUMBERS, *OTHERS]
    if arity == 1:
        return [(term,) for term in pool]
    if function in ("+", "-", "*", "/", "div", "rem", "band", "bor", "bxor", "max", "min"):
        pairs = [(a, b) for a in NUMBERS for b in NUMBERS]
        return rng.sample(pairs, effort(800)) + [(rng.choice(pool), rng.choice(pool)) for _ in range(100)]
    if function.startswith("binary_part"):
        pool = ["abc", b"\0\1\2", Atom("a"), *[term for term in pool if isinstance(term, Bits)]]
        places = [(a, b) for a in (-1, 0, 1, 2, 3, 4, 2**70) for b in (-3, -1, 0, 1, 2, 3, 2**70)] + [(0, Atom("a"))]
        return [(data, place) if arity == 2 else (data, *place) for data in pool for place in places]
    if function == "is_record":
        return [(term, tag, n) for term in OTHERS for tag in (Atom("a"), True, 1) for n in (0, 1, 2, -1, 2**70, 1.0)]
    if function == "is_function":
        return [(term, n) for term in OTHERS for n in (0, 2, 3, -1, 2**70, 2.0, Atom("a"))]
    if function == "element":
        return [(n, term) for term in OTHERS for n in (0, 1, 2, 3, -1, 1.0, 2**70)]
    if function in ("map_get", "is_map_key"):
        return [(key, term) for term in OTHERS for key in (1, 1.0, 2.5, Atom("a"), "a", (1, 2), (1.0, 2))]
    return [(rng.choice(pool), rng.choice(pool)) for _ in range(effort(1500))]


def loses_a_tie(term: Any) -> bool:
    """Does it take more than one rounding to see which float this integer becomes?"""
    return isinstance(term, int) and abs(term) > 2**64 and term % (1 << (term.bit_length() - 54)) != 0


ZEROS_ARE_COMPARED: Final = ("=:=", "=/=", "is_map_key", "map_get")
CALLS: Final = [
    *FUNCTIONS,
    *[(name, n) for name in (*_matchmodel.JUNCTIONS, *_matchmodel.STOPPING) for n in (1, 2, 3)],
]


every_call = pytest.mark.parametrize(("function", "arity"), CALLS, ids=[f"{name}/{arity}" for name, arity in CALLS])


def rows_to_ask(function: str, arity: int) -> list[tuple[Any, ...]]:
    """Arguments for which this Erlang's word counts."""
    rng = random.Random(f"{function}/{arity}")
    batch = [row for row in arguments(function, arity, rng) if not any(map(loses_a_tie, row))]
    return [row for row in batch if function != "abs" or exact_key(row[0]) != exact_key(-0.0)]


@every_call
def test_functions_are_erlangs(erlang: Erlang, function: str, arity: int) -> None:
    """Also the sign of zero."""
    batch = rows_to_ask(function, arity)
    names = [Atom(f"${number}") for number in range(1, arity + 1)]
    spec = [(tuple(names), [], [(Atom(function), *names)])]
    answers = erlang.ask("call", [(Atom(function), list(row)) for row in batch])
    for row, answer in zip(batch, items(answers), strict=True):
        by_spec, applied = items(answer)
        known = by_spec if by_spec != exact_key(Atom("none")) else applied
        if by_spec == exact_key(Atom("none")):
            assert erlang.release < 26 and f"{function}/{arity}" in LEFT_OUT
        with erlangs_zeros(erlang) if function in ZEROS_ARE_COMPARED else contextlib.nullcontext():
            [value] = _matchmodel.run(spec, row)  # type: ignore[misc]
        expected = value if value is Atom("EXIT") else (Atom("ok"), value)
        assert (function, row, exact_key(expected)) == (function, row, known)
