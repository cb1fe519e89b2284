"""Term order and =:= beside a real Erlang, over a pipe (`_erlang`).

What Erlang says of a pair here must be what `order_key` and `exact_equal` say: of 100,000 pairs made up by chance, of
pairs that hypothesis looks for, and of neighbours that were picked by hand.

Left out: extension types, infinities (Erlang has neither), and for =:= zeros that are floats: before OTP 27 Erlang took
0.0 and -0.0 for the same.
"""

import random
from typing import Any

import _generate
import pytest
from _erlang import Erlang
from _etf import in_erlang
from _support import effort
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import erlang_terms, pairs

from tsunami import Atom, Bits, Fun, ImproperList, Pid, Port, Reference, _core


def has_float_zero(term: Any) -> bool:
    match term:
        case float():
            return term == 0.0
        case tuple() | list():
            return any(map(has_float_zero, term))
        case ImproperList():
            return has_float_zero(term.items) or has_float_zero(term.tail)
        case dict():
            return any(has_float_zero(pair) for pair in term.items())
        case Fun():
            return has_float_zero(term.fields)
    return False


def ours(a: Any, b: Any) -> int:
    x, y = _core.order_key(a), _core.order_key(b)
    return (x > y) - (x < y)


def check(erlang: Erlang, batch: list[tuple[Any, Any]]) -> None:
    for (a, b), (order, exact) in zip(batch, erlang.judge(batch), strict=True):
        assert (a, b, order) == (a, b, ours(a, b))
        if not (has_float_zero(a) or has_float_zero(b)):
            assert (a, b, exact) == (a, b, _core.exact_equal(a, b))


@settings(max_examples=effort(30))
@given(batch=st.lists(pairs(erlang_terms).filter(in_erlang), min_size=20, max_size=30))
def test_order_and_equality_are_erlangs(erlang: Erlang, batch: list[tuple[Any, Any]]) -> None:
    check(erlang, batch)


@pytest.mark.parametrize("seed", range(effort(10)))
def test_order_and_equality_of_ten_thousand_pairs_are_erlangs(erlang: Erlang, seed: int) -> None:
    rng = random.Random(seed)
    check(erlang, [_generate.pair(rng) for _ in range(10_000)])


def test_order_of_hand_picked_neighbours_is_erlangs(erlang: Erlang) -> None:
    node = Atom("a@host")
    ladder: list[Any] = [
        *(-(2**2000), -(2**1023) - 1, -float(2**1023), -1.5, -1, -1.0, -5e-324, -0.0, 0, 5e-324, 1, 1.0),
        *(2**53, 2**53 + 1, 2.0**53, 2**62 - 1, 2**62, 2.0**62, 2**63 - 1, 2.0**63, 2**64, 2**1023, 2.0**1023, 2**2000),
        *(Atom(""), Atom("a"), Atom("b"), Atom("é"), Atom("語"), Atom("𝔸"), True, None),
        *(Reference(node, 1, (1, 2, 3)), Reference(node, 2, (0, 0, 0)), Reference(node, 1, (0, 0, 4))),
        *(Fun("export", node, node, 1), Fun("export", Atom("a"), node, 2)),
        *(Port(node, 1, 2), Port(node, 2, 1), Port(Atom("b@host"), 0, 0)),
        *(Pid(node, 1, 2, 3), Pid(node, 2, 1, 3), Pid(Atom("b@host"), 1, 2, 3), Pid(node, 1, 2, 4)),
        *((), (1,), (1.0,), (0, 0), ((),)),
        *({}, {1: 2}, {1.0: 1}, {1: 2.0}, {2: 1}, {0.5: 1}, {(1.0, 2): 1}, {(1, 3): 1}, {"a": 1, "b": 0}),
        *([], [1], [1.0], [1, 2], ImproperList([1], 2), ImproperList([1], Atom("z")), ImproperList([1], b""), [[]]),
        *(b"", b"\0", b"\0\0", Bits(b"\0", 1), Bits(b"\0", 7), b"\1", Bits(b"\x80", 1), b"\x80", b"\xff\0", b"\xff"),
    ]
    check(erlang, [(a, b) for a in ladder for b in ladder])
