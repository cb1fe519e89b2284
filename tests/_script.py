"""Scripts: random sequences of calls that several parties carry out side by side, and what must be the same about them.

What it is: `script` makes up calls (`_generate.Calls`) that refer to what is in the table and to cursors that there
are; a `Player` has a party carry them out (a model, a table, a door to one: whatever has a table's methods); a `Judge`
says what of two outcomes is promised to be the same; `shortest` leaves away what a failure does not take.

What it is not: the semantics. Those are the model's, or Erlang's.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import _generate
from _erlang import items
from _matchmodel import Unrepresentable, variables
from _termmodel import exact_key
from model import Model

from tsunami import END_OF_TABLE, TsunamiError

Call = tuple[Any, ...]

END: Final = exact_key(END_OF_TABLE)
TRUE: Final = exact_key(True)


class Player:
    """Does the calls of a script, one after the other, and keeps cursors under their numbers."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.cursors: dict[int, Any] = {}

    def play(self, call: tuple[Any, ...]) -> Any:
        """What it comes to: ("ok", the value spelled) or ("error", the cause)."""
        try:
            return ("ok", exact_key(self.done(call)))
        except TsunamiError as error:
            return ("error", error.cause or "none")

    def done(self, call: tuple[Any, ...]) -> Any:
        match call:
            case ("chunk", number, name, *args):
                return self.chunk(number, getattr(self.table, name)(*args))
            case ("more", start, to):
                cursor = self.cursors.get(start, END_OF_TABLE)
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


def has_a_bound_key(call: tuple[Any, ...], keypos: int) -> bool:
    """Is only one key looked at, so that its rows come in their order?"""
    heads = [call[1]] if call[0].startswith("match") else [clause[0] for clause in call[1]]
    return len(heads) == 1 and isinstance(heads[0], tuple) and len(heads[0]) > keypos and is_constant(heads[0][keypos])


def is_constant(pattern: Any) -> bool:
    return not variables(pattern) and "Atom('_')" not in repr(pattern)


class Judge:
    """Says of two outcomes of one call whether they are the same in all that is promised."""

    def __init__(self, kind: str, keypos: int) -> None:
        self.ordered = kind == "ordered_set"
        self.bag = kind in ("bag", "duplicate_bag")
        self.keypos = keypos
        self.ended: set[int] = set()  # cursors of which one party knew that nothing followed, at that time

    def alike(self, number: int, call: tuple[Any, ...], a: Any, b: Any) -> bool:
        if a[0] == "error" or b[0] == "error":
            return bool(a == b)
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


# ---- making and shortening them


def script(
    calls: _generate.Calls, n: int, fits: Callable[[Call, Model], bool] = lambda call, model: True
) -> list[Call]:
    """About n calls, of which each `fits` the table as it is when it comes."""
    player = Player(Model(calls.kind, keypos=calls.keypos))
    made: list[Call] = []
    while len(made) < n:
        call = calls.call(player.table.tab2list())
        if call[0] == "more":
            call = ("more", calls.rng.choice(list(player.cursors)), len(made)) if player.cursors else ("tab2list",)
        elif call[0] == "chunk":
            call = ("chunk", len(made), *call[1:])
        elif call[0] == "slot" and calls.kind != "ordered_set":
            continue
        if not fits(call, player.table):
            continue
        before = player.table.copy()
        try:
            player.play(call)
            made.append(call)
        except Unrepresentable:
            player.table = before
    return [*made, ("tab2list",)]


def shortest(fails: Callable[[list[Any]], bool], calls: list[Any]) -> list[Any]:
    """The calls without those that it takes not."""
    at = len(calls)
    while at > 0:
        at -= 1
        without = [*calls[:at], *calls[at + 1 :]]
        if fails(without):
            calls = without
    return calls
