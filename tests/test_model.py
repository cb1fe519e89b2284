"""The model beside the real thing: random sequences of calls, of the model and of a real ETS.

An oracle that is wrong makes wrong tables right. So the model itself is held against ETS: hypothesis makes up a
sequence of calls, the model says what each comes to, and Erlang, at the other end of a pipe, does the same to a table
of its own and names every step that came to something else.

Left out, because older Erlangs than 27 differ or lack them: the floats 0.0 and -0.0, functions with a default but
update_counter, and causes of anything but update_counter. The order of walks is nobody's promise; what is compared is
whether `next` fails.
"""

import math
from typing import Any

from _erlang import Erlang
from _tabletools import CONFUSABLE, TYPES
from hypothesis import given
from hypothesis import strategies as st
from model import Model

from tsunami import Atom, TsunamiError


def in_every_erlang(term: Any) -> bool:
    match term:
        case float():
            return math.isfinite(term) and term != 0.0
        case tuple() | list():
            return all(map(in_every_erlang, term))
        case dict():
            return all(in_every_erlang(pair) for pair in term.items())
    return True


KEYS = st.sampled_from([key for key in CONFUSABLE if in_every_erlang(key)][::3] + [1, 1.0, 2, "k"])
NUMBERS = st.sampled_from([0, 1, -1, 5, 2**62, -(2**70), 1.5, "text", Atom("x")])
SMALL = st.integers(-3, 3)
ROWS = st.tuples(KEYS, KEYS | SMALL, st.lists(NUMBERS | SMALL, max_size=2).map(tuple)).map(lambda r: (*r[:2], *r[2]))
BAD = st.sampled_from([(), (1,), 1, "ab", [1], Atom("a")])
NO_TUPLES = st.sampled_from([1, "ab", [1], Atom("a")])  # as a default; one that is too short ends an OTP 25 by abort()
LISTS = st.lists(st.one_of(ROWS, ROWS, ROWS, ROWS, BAD), max_size=4)
STEPS = st.one_of(
    st.tuples(st.integers(-1, 4), NUMBERS),
    st.tuples(st.integers(-1, 4), NUMBERS, NUMBERS, NUMBERS),
    st.tuples(st.integers(1, 3), SMALL, SMALL, SMALL),
    st.sampled_from([(), (1,), (1, 1, 1), 1.5, "ab", (1.0, 2)]),
)
UNITS = st.integers(-1, 1)
CLOSE = st.tuples(st.integers(0, 2), UNITS, UNITS, st.just(99))  # thresholds that are just met, or just not
PAIRS = st.one_of(st.tuples(st.integers(-1, 4), NUMBERS), st.sampled_from([(), (1,), (1, 2, 3), "ab", (1.5, 2)]))
CALLS = st.one_of(
    st.tuples(st.sampled_from(["insert", "insert_new"]), st.one_of(ROWS, LISTS, BAD)),
    st.tuples(st.just("insert"), ROWS),
    st.tuples(st.sampled_from(["lookup", "member", "take", "delete", "next"]), KEYS),
    st.tuples(st.just("delete_object"), st.one_of(ROWS, BAD)),
    st.tuples(st.just("lookup_element"), KEYS, st.integers(-1, 4)),
    st.tuples(st.just("update_counter"), KEYS, st.one_of(STEPS, SMALL, st.lists(STEPS, max_size=3))),
    st.tuples(st.just("update_counter"), KEYS, st.one_of(STEPS, SMALL), st.one_of(ROWS, NO_TUPLES)),
    st.tuples(st.just("update_counter"), KEYS, CLOSE, st.tuples(UNITS, UNITS, UNITS)),
    st.tuples(st.just("update_element"), KEYS, st.one_of(PAIRS, st.lists(PAIRS, max_size=3))),
    st.tuples(st.just("safe_fixtable"), st.booleans()),
    st.tuples(st.sampled_from(["tab2list", "tab2list", "delete_all_objects"])),
)


def from_one(step: Any) -> Any:
    """A step or pair with its position counted from 1."""
    if isinstance(step, tuple) and step and isinstance(step[0], int):
        return (step[0] + 1, *step[1:])
    return step


def erlangs_arguments(name: str, *args: Any) -> list[Any]:
    match name:
        case "lookup_element":
            return [args[0], args[1] + 1]
        case "update_counter" | "update_element":
            what = list(map(from_one, args[1])) if isinstance(args[1], list) else from_one(args[1])
            return [args[0], what, *args[2:]]
    return list(args)


def expected(model: Model, name: str, *args: Any) -> tuple[Any, ...]:
    try:
        value = getattr(model, name)(*args)
    except TsunamiError as error:
        cause = (error.cause or "none") if name == "update_counter" else "any"
        return (Atom("error"), Atom(cause))
    return (Atom("ok"), True if name == "next" else value)


@given(kind=st.sampled_from(TYPES), keypos=st.integers(0, 1), calls=st.lists(CALLS, max_size=40))
def test_the_model_is_right_about_ets(
    erlang: Erlang,
    kind: str,
    keypos: int,
    calls: list[tuple[Any, ...]],
) -> None:
    model = Model(kind, keypos=keypos)
    steps = [(Atom(name), erlangs_arguments(name, *args), expected(model, name, *args)) for name, *args in calls]
    steps.append((Atom("tab2list"), [], (Atom("ok"), model.tab2list())))
    steps.append((Atom("info"), [Atom("size")], (Atom("ok"), len(model))))
    assert erlang.answer("steps", (Atom(kind), keypos + 1, steps))[6:].decode() == ""
