"""The engine's match specs beside Erlang's own: thousands of made-up specs on made-up terms, every function of guards
and bodies with arguments of all kinds, and the words for mistakes.

The specs go over the pipe as terms (`_erlang`), ours run in the engine through `_core.test_ms`. Where Erlang cannot be
asked the model stands in, which is held against Erlang in test_matchmodel.py.

This Erlang may be older than the one that ets-semantics.md describes. Where they differ the semantics decide, and the
test says so:

* before 27, 0.0 and -0.0 are one term (there the model has the last word), and `abs(-0.0)` is -0.0;
* before 26, match specs do not know ceil, floor, max, min, tuple_size, is_bitstring, is_boolean and is_function/2
  (LEFT_OUT): their values are compared with what the functions themselves give;
* an integer that lies half way between two floats, or so near to it that the first rounding hides which side it is on,
  becomes the nearest float here (`loses_a_tie`).
"""

import contextlib
import random
from typing import Any, Final

import _generate
import _matchmodel
import pytest
from _erlang import Erlang, items
from _support import effort
from _termmodel import exact_key
from hypothesis import given
from strategies import made
from test_matchmodel import LEFT_OUT, ZEROS_ARE_COMPARED, every_call, left_out, question, rows_to_ask

from tsunami import Atom, _core

OK: Final = Atom("ok")
ERROR: Final = Atom("error")
MARK: Final = Atom("selected")


def result_of(spec: Any, term: Any) -> Any:
    """(), or a tuple of the result, spelled as Erlang spells its answer."""
    return _core._spec_run(term, spec)


def outcome(spec: Any, terms: list[Any]) -> Any:
    try:
        results = [result_of(spec, term) for term in terms]
    except ValueError:
        return exact_key((ERROR, Atom("badarg")))
    return exact_key((OK, [list(result or ()) for result in results]))


def of_the_model(spec: Any, terms: list[Any]) -> Any:
    """The model's word, for specs in which an older Erlang takes 0.0 for -0.0."""
    try:
        _matchmodel.check(spec)
        return exact_key((OK, [list(_matchmodel.run(spec, term) or ()) for term in terms]))
    except _matchmodel.Mistake:
        return exact_key((ERROR, Atom("badarg")))
    except _matchmodel.Unrepresentable:
        return None


def check(erlang: Erlang, batch: list[tuple[Any, list[Any]]]) -> None:
    wrong = []
    for (spec, terms), answer in zip(batch, items(erlang.ask("results", batch)), strict=True):
        ours = outcome(spec, terms)
        if ours != answer and (erlang.release >= 27 or ours != of_the_model(spec, terms)):
            wrong.append((spec, terms, answer, ours))
    if wrong:
        spec, terms, answer, ours = min(wrong, key=lambda case: len(repr(case)))
        raise AssertionError(f"{len(wrong)} wrong\n spec   {spec}\n terms  {terms}\n Erlang {answer}\n ours   {ours}")


@pytest.mark.parametrize("seed", range(effort(4)))
def test_results_are_erlangs(erlang: Erlang, seed: int) -> None:
    rng = random.Random(f"engine {seed}")
    without = left_out(erlang)
    check(erlang, [question(rng, without) for _ in range(1500)])


@given(question=made(lambda rng: question(rng, LEFT_OUT)))
def test_results_are_erlangs_in_small(erlang: Erlang, question: Any) -> None:
    """The same once more, so that what is found is shrunk."""
    check(erlang, [question])


@every_call
def test_functions_are_erlangs(erlang: Erlang, function: str, arity: int) -> None:
    """With variables, with constants, as the only guard; also the sign of zero."""
    batch = rows_to_ask(function, arity)
    names = [Atom(f"${number}") for number in range(1, arity + 1)]
    call = (Atom(function), *names)
    answers = erlang.ask("call", [(Atom(function), list(row)) for row in batch])
    for row, answer in zip(batch, items(answers), strict=True):
        by_spec, applied = items(answer)
        known = by_spec if by_spec != exact_key(Atom("none")) else applied
        [value] = result_of([(tuple(names), [], [call])], row)
        ours = exact_key(Atom("EXIT") if value is Atom("EXIT") else (OK, value))
        if ours != known and function in ZEROS_ARE_COMPARED and erlang.release < 27:
            [model] = _matchmodel.run([(tuple(names), [], [call])], row)  # type: ignore[misc]
            known = exact_key((OK, model))
        assert (function, row, ours) == (function, row, known)
        with contextlib.suppress(_matchmodel.Unrepresentable):
            constant = (Atom(function), *((Atom("const"), term) for term in row))
            assert exact_key(result_of([(Atom("_"), [], [constant])], row)) == exact_key((value,))
            selected = result_of([(tuple(names), [call], [MARK])], row)
            assert (function, row, selected) == (function, row, (MARK,) if value is True else None)
            selected = result_of([(Atom("_"), [constant], [MARK])], row)
            assert (function, row, selected) == (function, row, (MARK,) if value is True else None)


def words(answer: Any) -> list[str]:
    """Erlang's texts, which come as binaries, spelled bit by bit. It looks at some subterms twice."""
    texts = ("".join(chr(int(bits[i : i + 8], 2)) for i in range(0, len(bits), 8)) for _, bits in items(answer))
    return list(dict.fromkeys(texts))


@pytest.mark.parametrize("mistake", _generate.MISTAKES, ids=repr)
def test_mistakes_have_erlangs_words(erlang: Erlang, mistake: Any) -> None:
    specs = [[(Atom("_"), [mistake], [1])], [(Atom("_"), [], [mistake])], [(Atom("_"), [mistake, (1, 2)], [(3,)])]]
    for spec, answer in zip(specs, items(erlang.ask("mistakes", specs)), strict=True):
        tag, mistakes = _core.test_ms((), spec)
        assert tag is ERROR
        ours = [text for _, text in mistakes]
        assert ours == words(answer)


@pytest.mark.parametrize(
    "spec",
    [
        Atom("foo"), [], [Atom("foo")], [(1, [])], [(1, 1, [1])], [(1, [], 1)], [(1, [], [])],
        [(1, _generate.improper([True], 1), [1])], [(1, [], _generate.improper([1], 1))],
        _generate.improper([(1, [], [1])], 1),
        [({Atom("$1"): 1}, [], [1])], [({Atom("_"): 1}, [], [1])],
    ],
    ids=repr,
)  # fmt: skip
def test_misshapen_specs_have_erlangs_words(erlang: Erlang, spec: Any) -> None:
    [answer] = items(erlang.ask("mistakes", [spec]))
    assert _core.test_ms((), spec) == (ERROR, [(ERROR, text) for text in words(answer)])
