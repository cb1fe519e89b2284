"""ETS, the model and Tsunami side by side: random sequences of calls, and all three must come to the same.

The scripts are `_script`'s: every operation of a table, keys that are easily confused, good arguments and bad
ones, cursors that are kept and used again. Erlang runs them on a table of its own; results, errors and their causes are
compared exactly. So an oracle that is wrong is found here as well, before it makes wrong tables right.

Left out, by name:

* where Erlang is older than 27: functions that it has not (`first_lookup` and its like, `lookup_element/4`,
  `update_element/4`) or not in match specs (`test_matchmodel.LEFT_OUT`); 0.0 and -0.0; maps in the key of a head; the
  causes of CAUSES_LEFT_OUT; lists of rows with one key, which older ones insert from the tail to the head; specs of
  several clauses with floats in the keys of their heads, whose ranges it gets wrong in ordered tables;
* `update_counter/4` that fails in a fixed table, where Erlang then knows the default's key as that of a deleted row;
* defaults too short to hold a key, which end an OTP 25 by abort();
* the size of a bag where Erlang is older: it counts wrong when a key comes back in a fixed one;
* the order of rows in tables that have none (those of one key have one where only that key is looked at), and so what
  is in one chunk of theirs; `next` and `prev` of theirs are compared by whether they fail.
"""

import random
import re
from collections.abc import Callable
from typing import Any, Final

import _generate
import pytest
from _doors import PythonDoor, from_one
from _erlang import Erlang, erlangs_zeros, items
from _script import Call, Judge, Player, script, shortest
from _support import effort
from _termmodel import exact_key
from model import Model
from strategies import converted
from test_matchmodel import LEFT_OUT, maps_in_a_key

from tsunami import Atom

TYPES: Final = ("set", "ordered_set", "bag", "duplicate_bag")
CAUSES_LEFT_OUT: Final = frozenset({"update_element"})


# ---- the same call in Erlang's words


def erlangs_call(call: tuple[Any, ...]) -> Any:
    match call:
        case ("chunk", number, name, *args):
            return (Atom("chunk"), number, Atom(name), args)
        case ("more", start, to):
            return (Atom("more"), start, to)
        case ("drain", name, *args):
            return (Atom("drain"), Atom(name), args)
        case (name, *args):
            return (Atom(name), from_one(name, args))
    raise AssertionError(call)


def told(answer: Any) -> Any:
    """Erlang's answer in the form of a player's."""
    match items(answer):
        case (("atom", "ok"), value):
            return ("ok", value)
        case (("atom", "error"), ("atom", "badarg"), ("atom", cause)):
            return ("error", cause)
    return answer


# ---- what an Erlang before 27 does otherwise


def spoils_an_old_erlang(call: Call, keypos: int) -> bool:
    """Is it one of those that the head of this file leaves out?"""
    for argument in call[1:]:
        if maps_in_a_key(argument, keypos) or maps_in_a_key([(argument,)], keypos) or floats_in_keys(argument, keypos):
            return True
    return repeats_a_key(call, keypos)


def floats_in_keys(spec: Any, keypos: int) -> bool:
    """In a spec of several clauses."""
    if not isinstance(spec, list) or len(spec) < 2:
        return False
    heads = [clause[0] for clause in spec if isinstance(clause, tuple) and clause]
    keys = [head[keypos] for head in heads if isinstance(head, tuple) and len(head) > keypos]
    return any(re.search(r"\d\.\d|\de", repr(key)) for key in keys)


def repeats_a_key(call: Call, keypos: int) -> bool:
    """Does it insert a list with two rows of one key?"""
    if not call[0].startswith("insert") or not isinstance(call[1], list):
        return False
    keys = [exact_key(converted(row[keypos])) for row in call[1] if isinstance(row, tuple) and len(row) > keypos]
    return len(set(keys)) < len(keys)


def fits(kind: str, keypos: int, release: int) -> Callable[[Call, Model], bool]:
    """Does Erlang do with this call what it should?"""

    def judged(call: Call, model: Model) -> bool:
        if release >= 27:
            return True
        leaves_a_ghost = len(call) == 4 and call[0] == "update_counter" and model.fixations > 0
        return not spoils_an_old_erlang(call, keypos) and not leaves_a_ghost

    return judged


# ---- side by side


def complaint(erlang: Erlang, kind: str, keypos: int, calls: list[Call]) -> str:
    """Where somebody disagrees with Erlang for the first time; empty if nobody does."""
    answers = items(erlang.ask("script", (Atom(kind), keypos + 1, list(map(erlangs_call, calls)))))
    table = PythonDoor(kind, keypos)
    parties = {"model": Player(Model(kind, keypos=keypos)), "table": Player(table)}
    judges = {name: Judge(kind, keypos) for name in parties}
    for number, (call, answer) in enumerate(zip(calls, map(told, answers), strict=True)):
        for name, player in parties.items():
            outcome = player.play(call)
            if erlang.release < 27 and call[0] in CAUSES_LEFT_OUT and answer[0] == outcome[0] == "error":
                continue
            if not judges[name].alike(number, call, answer, outcome):
                return f"call {number}: {call}\n Erlang {answer}\n {name}  {outcome}"
    table.table.check()
    return ""


@pytest.mark.parametrize("keypos", [0, 1])
@pytest.mark.parametrize("kind", TYPES)
def test_calls_come_to_what_they_come_to_in_erlang(erlang: Erlang, kind: str, keypos: int) -> None:
    rng = random.Random(f"{kind} {keypos}")
    left_out = LEFT_OUT if erlang.release < 26 else frozenset()
    with erlangs_zeros(erlang):
        for _ in range(effort(60)):
            generator = _generate.Calls(rng, kind, keypos, left_out=left_out)
            calls = script(generator, rng.choice((10, 40, 80)), fits(kind, keypos, erlang.release))
            if not (erlang.release < 27 and kind.endswith("bag") and ("safe_fixtable", True) in calls):
                calls.append(("info", Atom("size")))
            if complaint(erlang, kind, keypos, calls):
                calls = shortest(lambda some: bool(complaint(erlang, kind, keypos, some)), calls)
                listed = "\n".join(map(repr, calls))
                raise AssertionError(f"{complaint(erlang, kind, keypos, calls)}\n after\n{listed}")
