"""Doors to a table: the methods of `tsunami.Table`, whatever is behind them.

What it is: one class for each way to a table of ours, all with the same methods (positions from 0 on, errors as
`TsunamiError` with a cause), so that the same script can be played through each: Python, `ETS.CALL`, `ETS.*` over RESP.

What it is not: a client library. It makes tables of its own, and knows no names but theirs.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from _etf import Caller, CallError

import tsunami
from tsunami import Atom, Table, TsunamiError

numbers = itertools.count()


def from_one(name: str, args: Sequence[Any]) -> list[Any]:
    """The arguments of a method with positions counted from 1."""

    def step(given: Any) -> Any:
        return (given[0] + 1, *given[1:]) if isinstance(given, tuple) and given and is_integer(given[0]) else given

    match name, args:
        case "lookup_element", [key, position, *default]:
            return [key, position + 1, *default]
        case "update_counter" | "update_element", [key, what, *default]:
            return [key, list(map(step, what)) if isinstance(what, list) else step(what), *default]
    return list(args)


def is_integer(term: Any) -> bool:
    return isinstance(term, int) and not isinstance(term, bool)


class Door:
    """A table, by name. Methods that are not here are those of the table, with the arguments as they come."""

    table: Table  # the same, from within: for check()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args: self.call(name, *args)

    def __len__(self) -> int:
        raise NotImplementedError

    def call(self, name: str, *args: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.table.delete()


class PythonDoor(Door):
    def __init__(self, kind: Any, keypos: int) -> None:
        self.table = Table(kind, keypos=keypos)

    def call(self, name: str, *args: Any) -> Any:
        return self.table.select(*args) if name == "select_more" else getattr(self.table, name)(*args)

    def __len__(self) -> int:
        return len(self.table)


class CallDoor(Door):
    """ETS.CALL: everything in Erlang's external term format."""

    def __init__(self, caller: Caller, kind: str, keypos: int) -> None:
        self.caller = caller
        name = f"doors_{next(numbers)}"
        options = [Atom(kind), Atom("public"), Atom("named_table"), (Atom("keypos"), keypos + 1)]
        self.tab = caller.call("new", Atom(name), options)
        table = tsunami.whereis(name)
        assert table is not None
        self.table = table

    def call(self, name: str, *args: Any) -> Any:
        try:
            if name == "select_more":
                return self.caller.call("select", *args)
            return self.caller.call(name, self.tab, *from_one(name, args))
        except CallError as error:
            assert error.kind == "BADARG", error
            raise TsunamiError(str(error), cause=error.cause or None) from None

    def __len__(self) -> int:
        return int(self.call("info", Atom("size")))


@contextlib.contextmanager
def door(make: Callable[[], Door]) -> Iterator[Door]:
    """A door to a new table, which vanishes with the block."""
    made = make()
    try:
        yield made
    finally:
        made.close()
