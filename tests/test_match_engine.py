"""The engine's match specs beside the model's (`_matchmodel`, which test_matchmodel.py holds against Erlang's).

Specs and rows are `_generate`'s. For each: what is a mistake; what comes out of each row, as Python shows it; whether a
spec evidently keeps keys; and that the access path of a spec, keys or a range, misses no row that the spec selects.

Left out: `binary_part` of text, which may come back as bytes; arithmetic with infinities, which ETS does not know.
"""

import random
from typing import Any, Final

import _generate
import _matchmodel
import pytest
from _matchmodel import Mistake, Unrepresentable, same
from _support import effort
from _termmodel import compare, exact_key
from hypothesis import given
from model import shown
from strategies import made
from test_matchmodel import CALLS, arguments

from tsunami import Atom, TsunamiError, _core

OK: Final = Atom("ok")
ERROR: Final = Atom("error")
KEYPOSITIONS: Final = (0, 1)


def question(rng: random.Random) -> tuple[Any, list[Any]]:
    keypos = rng.randrange(2)
    rows: list[Any] = [_generate.row(rng, keypos=keypos) for _ in range(6)]
    spec = _generate.spec(rng, rows) if rng.randrange(3) else _generate.replacing_spec(rng, rows, keypos)
    return spec, rows


def is_spec(spec: Any) -> bool:
    try:
        _matchmodel.check(spec)
    except Mistake:
        return False
    return True


def check_results(spec: Any, terms: list[Any]) -> None:
    for term in terms:
        try:
            result = _matchmodel.run(spec, term)
        except Unrepresentable:
            with pytest.raises(TsunamiError, match="map"):
                _core.match_spec_test(term, spec)
            continue
        actual = _core.match_spec_test(term, spec)
        expected = (OK, result[0] if result else False, [], [])
        spelled = exact_key if "binary_part" in repr(spec) else shown
        assert (spec, term, spelled(actual)) == (spec, term, spelled(expected))


def check_access(spec: Any, rows: list[Any], keypos: int, ordered: bool) -> None:
    access = _core._spec_access(spec, keypos, ordered)
    for row in rows:
        if len(row) > keypos and is_selected(spec, row):
            assert is_looked_at(access, row[keypos], ordered), (spec, row, access)


def is_selected(spec: Any, row: Any) -> bool:
    try:
        return _matchmodel.run(spec, row) is not None
    except Unrepresentable:
        return True


def is_looked_at(access: Any, key: Any, ordered: bool) -> bool:
    if isinstance(access, str):
        return access == "all"
    if isinstance(access, list):
        return any(compare(key, other) == 0 if ordered else same(key, other) for other in access)
    low, low_open, high, high_open = access
    form = _core.order_key(key)
    return (low is None or form > low or (form == low and not low_open)) and (
        high is None or form < high or (form == high and not high_open)
    )


def check(spec: Any, rows: list[Any]) -> None:
    if not is_spec(spec):
        for term in (rows[0], 1):
            verdict = _core.match_spec_test(term, spec)
            assert (spec, verdict[0]) == (spec, ERROR)
        return
    check_results(spec, [*rows, rows[0][0]])
    for keypos in KEYPOSITIONS:
        assert (spec, _core._spec_keeps_key(spec, keypos)) == (spec, _matchmodel.keeps_key(spec, keypos))
        for ordered in (False, True):
            check_access(spec, rows, keypos, ordered)


@pytest.mark.parametrize("seed", range(effort(4)))
def test_specs_come_to_what_the_model_says(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(1500):
        check(*question(rng))


@given(question=made(question))
def test_specs_come_to_what_the_model_says_in_small(question: Any) -> None:
    """The same once more, so that what is found is shrunk."""
    check(*question)


@pytest.mark.parametrize(("function", "arity"), CALLS, ids=[f"{name}/{arity}" for name, arity in CALLS])
def test_functions_come_to_what_the_model_says(function: str, arity: int) -> None:
    names = [Atom(f"${number}") for number in range(1, arity + 1)]
    spec = [(tuple(names), [], [(Atom(function), *names)])]
    for row in arguments(function, arity, random.Random(f"{function}/{arity}")):
        expected = _matchmodel.run(spec, row)
        assert expected is not None
        actual = _core.match_spec_test(row, spec)[1]
        assert (row, exact_key(actual)) == (row, exact_key(expected[0]))


def test_every_mistake_is_one() -> None:
    """Each mistake of the list, in the places where an expression may stand."""
    for mistake in _generate.MISTAKES:
        for part in (mistake, [1, mistake], ((1, mistake),), {1: mistake}, (Atom("andalso"), False, mistake)):
            for spec in ([(Atom("_"), [True, part], [1])], [(Atom("_"), [], [part])]):
                assert (part, _core.match_spec_test((1,), spec)[0]) == (part, ERROR)
    for head in _generate.BAD_HEADS:
        assert (head, _core.match_spec_test((1,), [(head, [], [1])])[0]) == (head, ERROR)
