"""Table type against table type: where their rules say the same, the same calls must come to the same.

No model has a say here. The pairs, and what the calls are held to:

* set and ordered_set, with keys of which no two are equal by value: everything but the order of a walk, and `next` and
  `prev` of keys that are not there;
* bag and duplicate_bag, as long as no row comes twice: everything but `select_replace`;
* set and bag, as long as no key comes twice: everything but updates, `select_replace` and `lookup_element`.
"""

import random
from collections.abc import Callable
from typing import Any, Final

import _generate
import pytest
from _doors import PythonDoor, door
from _script import Call, Judge, Player, script, shortest
from _support import effort
from _termmodel import any_key
from model import Model

from tsunami import Table, _core

Fits = Callable[[Call, Model], bool]
DIRECTIONS: Final = ("next", "prev", "first", "last", "slot")


def rows_of(call: Call) -> list[Any]:
    """The rows that a call inserts."""
    if not call[0].startswith("insert"):
        return []
    rows = call[1] if isinstance(call[1], list) else [call[1]]
    return [row for row in rows if isinstance(row, tuple)]


def is_for_both_sets(call: Call, model: Model) -> bool:
    return call[0] not in DIRECTIONS


def is_for_both_bags(call: Call, model: Model) -> bool:
    rows = [any_key(row) for row in rows_of(call)]
    return call[0] != "select_replace" and len({*rows, *map(any_key, model.tab2list())}) == len(rows) + len(model)


def is_for_set_and_bag(call: Call, model: Model) -> bool:
    if call[0] in ("update_counter", "update_element", "select_replace", "lookup_element"):
        return False
    keys = [any_key(row[model.keypos]) for row in rows_of(call) if len(row) > model.keypos]
    there = [any_key(row[model.keypos]) for row in model.tab2list()] if call[0] == "insert" else []
    return len({*keys, *there}) == len(keys) + len(there)


def complaint(kinds: tuple[str, str], keypos: int, calls: list[Call]) -> str:
    """Where the two types differ for the first time; empty if they do not."""
    with door(lambda: PythonDoor(kinds[0], keypos)) as a, door(lambda: PythonDoor(kinds[1], keypos)) as b:
        one, other, judge = Player(a), Player(b), Judge("set", keypos)
        for number, call in enumerate(calls):
            outcomes = one.play(call), other.play(call)
            if not judge.alike(number, call, *outcomes):
                return f"call {number}: {call}\n {kinds[0]} {outcomes[0]}\n {kinds[1]} {outcomes[1]}"
        a.table.check()
        b.table.check()
    return ""


@pytest.mark.parametrize("keypos", [0, 1])
@pytest.mark.parametrize(
    ("kinds", "fits"),
    [
        (("set", "ordered_set"), is_for_both_sets),
        (("bag", "duplicate_bag"), is_for_both_bags),
        (("set", "bag"), is_for_set_and_bag),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_types_agree(kinds: tuple[str, str], fits: Fits, keypos: int) -> None:
    rng = random.Random(f"{kinds} {keypos}")
    for _ in range(effort(40)):
        generator = _generate.Calls(rng, kinds[0], keypos, keys=_generate.DISTINCT_KEYS)
        calls = script(generator, rng.choice((10, 40, 80)), fits)
        if complaint(kinds, keypos, calls):
            calls = shortest(lambda some: bool(complaint(kinds, keypos, some)), calls)
            listed = "\n".join(map(repr, calls))
            raise AssertionError(f"{complaint(kinds, keypos, calls)}\n after\n{listed}")


@pytest.mark.parametrize("seed", range(effort(5)))
def test_an_ordered_set_is_a_set_in_order(seed: int) -> None:
    rng = random.Random(seed)
    keys = {_core.order_key(key): key for _ in range(300) for key in [_generate.term(rng)]}
    rows = [(key, number) for number, key in enumerate(keys.values())]
    rng.shuffle(rows)
    plain, ordered = Table("set"), Table("ordered_set")
    plain.insert(rows)
    ordered.insert(rows)
    in_order = sorted(plain.tab2list(), key=lambda row: _core.order_key(row[0]))
    assert ordered.tab2list() == in_order
    assert list(reversed(ordered)) == in_order[::-1]  # type: ignore[call-overload]
