"""ETS, the model and Tsunami side by side: random sequences of calls, and all three must come to the same.

`_generate.call` makes up the calls: every operation of a table, keys that are easily confused, good arguments and bad
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
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import _generate
import pytest
from _erlang import Erlang, erlangs_zeros, items
from _matchmodel import Unrepresentable, variables
from _support import effort
from _termmodel import exact_key
from model import Model
from strategies import converted
from test_matchmodel import LEFT_OUT, maps_in_a_key

from tsunami import END_OF_TABLE, Atom, TsunamiError

TYPES: Final = ("set", "ordered_set", "bag", "duplicate_bag")
CAUSES_LEFT_OUT: Final = frozenset({"update_element"})
END: Final = exact_key(END_OF_TABLE)
TRUE: Final = exact_key(True)


# ---- the same call in Erlang's words


def from_one(step: Any) -> Any:
    """A step or pair with its position counted from 1."""
    if isinstance(step, tuple) and step and isinstance(step[0], int):
        return (step[0] + 1, *step[1:])
    return step


def erlangs_call(call: tuple[Any, ...]) -> Any:
    match call:
        case ("chunk", number, name, *args):
            return (Atom("chunk"), number, Atom(name), args)
        case ("more", start, to):
            return (Atom("more"), start, to)
        case ("drain", name, *args):
            return (Atom("drain"), Atom(name), args)
        case ("lookup_element", key, position):
            return (Atom("lookup_element"), [key, position + 1])
        case ("update_counter" | "update_element" as name, key, what, *default):
            return (
                Atom(name),
                [key, list(map(from_one, what)) if isinstance(what, list) else from_one(what), *default],
            )
        case (name, *args):
            return (Atom(name), args)
    raise AssertionError(call)


# ---- the same call of a model or a table


class Player:
    """Does the calls of a script, one after the other, and keeps cursors under their numbers."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.cursors: dict[int, Any] = {}

    def play(self, call: tuple[Any, ...]) -> Any:
        """What it comes to: spelled, in the form of Erlang's answer."""
        try:
            return ("ok", exact_key(self.done(call)))
        except TsunamiError as error:
            return ("error", error.cause or "none")

    def done(self, call: tuple[Any, ...]) -> Any:
        match call:
            case ("chunk", number, name, *args):
                return self.chunk(number, getattr(self.table, name)(*args))
            case ("more", start, to):
                cursor = self.cursors[start]
                return self.chunk(to, END_OF_TABLE if cursor is END_OF_TABLE else self.more(cursor))
            case ("drain", name, *args):
                chunks, answer = [], getattr(self.table, name)(*args)
                while answer is not END_OF_TABLE:
                    chunks.append(answer[0])
                    answer = END_OF_TABLE if answer[1] is END_OF_TABLE else self.more(answer[1])
                return chunks
            case ("info", _):
                return len(self.table)
            case (name, *args):
                return getattr(self.table, name)(*args)

    def more(self, cursor: Any) -> Any:
        return self.table.select_more(cursor)

    def chunk(self, number: int, answer: Any) -> Any:
        self.cursors[number] = answer if answer is END_OF_TABLE else answer[1]
        return answer if answer is END_OF_TABLE else (answer[0], answer[1] is END_OF_TABLE)


# ---- comparing


def told(answer: Any) -> Any:
    """Erlang's answer in the form of a player's."""
    match items(answer):
        case (("atom", "ok"), value):
            return ("ok", value)
        case (("atom", "error"), ("atom", "badarg"), ("atom", cause)):
            return ("error", cause)
    return answer


def has_a_bound_key(call: tuple[Any, ...], keypos: int) -> bool:
    """Is only one key looked at, so that its rows come in their order?"""
    heads = [call[1]] if call[0].startswith("match") else [clause[0] for clause in call[1]]
    return len(heads) == 1 and isinstance(heads[0], tuple) and len(heads[0]) > keypos and is_constant(heads[0][keypos])


def is_constant(pattern: Any) -> bool:
    return not variables(pattern) and "Atom('_')" not in repr(pattern)


class Judge:
    """Says of two outcomes of one call whether they are the same in all that is promised."""

    def __init__(self, kind: str, keypos: int, release: int) -> None:
        self.release = release
        self.ordered = kind == "ordered_set"
        self.bag = kind in ("bag", "duplicate_bag")
        self.keypos = keypos
        self.ended: set[int] = set()  # cursors of which one party knew that nothing followed, at that time

    def alike(self, number: int, call: tuple[Any, ...], a: Any, b: Any) -> bool:
        if a[0] == "error" or b[0] == "error":
            return bool(a == b or (a[0] == b[0] and self.release < 27 and call[0] in CAUSES_LEFT_OUT))
        if call[0] in ("chunk", "more"):
            return self.alike_chunks(number, call, a[1], b[1])
        return bool(self.promised(call, a[1]) == self.promised(call, b[1]))

    def alike_chunks(self, number: int, call: tuple[Any, ...], a: Any, b: Any) -> bool:
        from_the_end = call[0] == "more" and call[1] in self.ended
        if from_the_end or TRUE in (a[1][-1], b[1][-1]):
            self.ended.add(number)
        if from_the_end or (not self.ordered and call[0] == "more"):
            return True
        if END in (a, b):
            return bool(a == b)
        return not self.ordered or bool(items(a)[0] == items(b)[0])

    def promised(self, call: tuple[Any, ...], value: Any) -> Any:
        if self.ordered:
            return value
        match call[0]:
            case "match" | "match_object" | "select" if self.bag and has_a_bound_key(call, self.keypos):
                return value
            case "tab2list" | "match" | "match_object" | "select" | "select_reverse":
                return Counter(items(value))
            case "drain":
                return Counter(row for chunk in items(value) for row in items(chunk))
            case "first" | "last":
                return value == END
            case "next" | "prev":
                return None
        return value


def spoils_an_old_erlang(call: tuple[Any, ...], keypos: int) -> bool:
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


def repeats_a_key(call: tuple[Any, ...], keypos: int) -> bool:
    """Does it insert a list with two rows of one key?"""
    if not call[0].startswith("insert") or not isinstance(call[1], list):
        return False
    keys = [exact_key(converted(row[keypos])) for row in call[1] if isinstance(row, tuple) and len(row) > keypos]
    return len(set(keys)) < len(keys)


def script(rng: random.Random, kind: str, keypos: int, n: int, release: int) -> list[tuple[Any, ...]]:
    """Calls that refer to what is in the table, and to cursors that there are."""
    model = Model(kind, keypos=keypos)
    player = Player(model)
    calls: list[tuple[Any, ...]] = []
    while len(calls) < n:
        number = len(calls)
        call = _generate.call(rng, kind, keypos, player.table.tab2list(), LEFT_OUT if release < 26 else frozenset())
        if call[0] == "more":
            call = ("more", rng.choice(list(player.cursors)), number) if player.cursors else ("tab2list",)
        elif call[0] == "chunk":
            call = ("chunk", number, *call[1:])
        elif call[0] == "slot" and kind != "ordered_set":
            continue
        if release < 27 and spoils_an_old_erlang(call, keypos):
            continue
        before = player.table.copy()
        try:
            outcome = player.play(call)
        except Unrepresentable:
            player.table = before
            continue
        if outcome[0] == "error" and len(call) == 4 and call[0] == "update_counter" and before.fixations:
            continue
        calls.append(call)
    miscounted = release < 27 and kind.endswith("bag") and ("safe_fixtable", True) in calls
    size = [] if miscounted else [("info", Atom("size"))]
    return [*calls, ("tab2list",), *size]


def complaint(erlang: Erlang, kind: str, keypos: int, calls: list[tuple[Any, ...]]) -> str:
    """Where somebody disagrees with Erlang for the first time; empty if nobody does."""
    answers = items(erlang.ask("script", (Atom(kind), keypos + 1, list(map(erlangs_call, calls)))))
    parties = {"model": Player(Model(kind, keypos=keypos))}
    judges = {name: Judge(kind, keypos, erlang.release) for name in parties}
    for number, (call, answer) in enumerate(zip(calls, answers, strict=True)):
        for name, player in parties.items():
            outcome = player.play(call)
            if not judges[name].alike(number, call, told(answer), outcome):
                return f"call {number}: {call}\n Erlang {told(answer)}\n {name}  {outcome}"
    return ""


def shortest(fails: Callable[[list[Any]], bool], calls: list[Any]) -> list[Any]:
    """The calls without those that it takes not."""
    at = len(calls)
    while at > 0:
        at -= 1
        without = [*calls[:at], *calls[at + 1 :]]
        if fails(without):
            calls = without
    return calls


@pytest.mark.parametrize("keypos", [0, 1])
@pytest.mark.parametrize("kind", TYPES)
def test_calls_come_to_what_they_come_to_in_erlang(erlang: Erlang, kind: str, keypos: int) -> None:
    rng = random.Random(f"{kind} {keypos}")
    with erlangs_zeros(erlang):
        for _ in range(effort(60)):
            calls = script(rng, kind, keypos, rng.choice((10, 40, 80)), erlang.release)
            if complaint(erlang, kind, keypos, calls):
                calls = shortest(lambda some: bool(complaint(erlang, kind, keypos, some)), calls)
                listed = "\n".join(map(repr, calls))
                raise AssertionError(f"{complaint(erlang, kind, keypos, calls)}\n after\n{listed}")
