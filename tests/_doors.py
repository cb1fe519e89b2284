"""Doors to a table: the methods of `tsunami.Table`, whatever is behind them.

What it is: one class for each way to a table of ours, all with the same methods (positions from 0 on, errors as
`TsunamiError` with a cause), so that the same script can be played through each: Python, `ETS.CALL`, `ETS.*` over RESP.

What it is not: a client library. It makes tables of its own, and knows no names but theirs.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import hiredis
from _etf import Caller, CallError
from _server import Wire

import tsunami
from tsunami import END_OF_TABLE, Atom, Table, TsunamiError

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


class Unspeakable(Exception):
    """A call that this door has no words for."""


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


# What ETS.* calls the causes of errors; all others are BADARG, or an ERR of the reader of words.
WORDS: Final = {"badkey": "BADKEY", "keypos": "BADPOS", "position": "BADPOS", "id": "NOTABLE", "access": "NOACCESS"}


def spoken(outcome: tuple[str, Any]) -> tuple[str, Any]:
    """An outcome (`_script.Player`) as ETS.* tells it: its word for a cause."""
    kind, value = outcome
    return (kind, WORDS.get(value, "BADARG")) if kind == "error" else outcome


class RespDoor(Door):
    """ETS.* in the mode ETF. Its errors have words of their own, which stand where the causes of others stand."""

    COMMANDS: Final = {
        "delete_object": "DELETEOBJECT", "update_counter": "UPDATECOUNTER", "update_element": "UPDATEELEMENT",
        "lookup_element": "LOOKUPELEMENT", "insert_new": "INSERTNEW", "delete_all_objects": "CLEAR",
    }  # fmt: skip

    FINER: Final = {("NEXT", "BADKEY"), ("PREV", "BADKEY"), ("LOOKUPELEMENT", "BADPOS")}  # where ETS has no cause

    def __init__(self, wire: Wire, kind: str, keypos: int) -> None:
        self.wire = wire
        self.name = f"doors_{next(numbers)}"
        wire("ETS.NEW", self.name, "TYPE", kind.upper(), "KEYPOS", keypos + 1)
        table = tsunami.whereis(self.name)
        assert table is not None
        self.table = table

    def send(self, command: str, *words: Any) -> Any:
        reply = self.wire(f"ETS.{command}", self.name, *words)
        if isinstance(reply, hiredis.ReplyError):
            word = str(reply).partition(" ")[0]
            if word == "ERR" or (command, word) in self.FINER:
                word = "BADARG"
            raise TsunamiError(str(reply), cause=word)
        return reply

    def call(self, name: str, *args: Any) -> Any:
        command = self.COMMANDS.get(name, name.upper().replace("_", ""))
        match name, args:
            case "insert" | "insert_new", [rows]:
                rows = rows if isinstance(rows, list) else [rows]
                return bool(self.send(command, "ETF", *map(etf, rows))) if rows else True
            case "delete_all_objects", []:
                return bool(self.send(command))
            case "safe_fixtable", [on]:
                return bool(self.send("FIX" if on else "UNFIX"))
            case "lookup_element", [key, position, *default]:
                more = ["DEFAULT", etf(default[0])] if default else []
                return term(self.send(command, "ETF", etf(key), position + 1, *more))
            case "update_counter" | "update_element", [key, what, *default]:
                return self.update(command, key, what, default)
            case "select" | "select_reverse" | "match" | "match_object", [spec, limit]:
                return self.page(self.send(command, "ETF", etf(spec), "LIMIT", limit), command, spec)
            case "select_more", [(command, spec, cursor)]:
                return self.page(self.send(command, "ETF", etf(spec), "CURSOR", cursor), command, spec)
            case "slot", [index]:
                return term(self.send(command, "ETF", index))
        reply = self.send(command, "ETF", *map(etf, args))
        if isinstance(reply, int) and name not in ("select_count", "select_delete", "select_replace"):
            return bool(reply)
        return reply if isinstance(reply, int) else term(reply)

    def update(self, command: str, key: Any, what: Any, default: Sequence[Any]) -> Any:
        counter = command == "UPDATECOUNTER"
        if counter and is_integer(what):
            what = (self.table.keypos + 1, what)
        steps = what if isinstance(what, list) else [what]
        if not steps or not all(isinstance(s, tuple) and len(s) in ((2, 4) if counter else (2,)) for s in steps):
            raise Unspeakable
        if not all(is_integer(part) for step in steps for part in (step if counter else step[:1])):
            raise Unspeakable  # an error of the reader of words, which comes before anybody looks at the table
        if counter:
            words = self.counted(steps)
        else:
            words = [word for at, value in steps for word in (at + 1, etf(value))]
        reply = self.send(command, "ETF", etf(key), *words, *(["DEFAULT", etf(default[0])] if default else []))
        if not counter:
            return bool(reply)
        numbers = list(map(int, reply if isinstance(reply, list) else [reply]))  # RESP2 tells large ones as text
        return numbers if isinstance(what, list) else numbers[0]

    @staticmethod
    def counted(steps: list[Any]) -> list[Any]:
        words: list[Any] = []
        for position, by, *bound in steps:
            words += [position + 1, by]
            if bound:
                words += ["THRESHOLD", bound[0], "SET", bound[1]]
        return words

    def page(self, reply: Any, command: str, spec: Any) -> Any:
        cursor, results = reply[0], term(reply[1])
        if cursor is None and not results:
            return END_OF_TABLE
        return results, END_OF_TABLE if cursor is None else (command, spec, cursor)

    def __len__(self) -> int:
        return int(self.send("LEN"))


def etf(value: Any) -> bytes:
    return tsunami.term_to_binary(value)


def term(reply: Any) -> Any:
    return END_OF_TABLE if reply is None else tsunami.binary_to_term(reply)


@contextlib.contextmanager
def door(make: Callable[[], Door]) -> Iterator[Door]:
    """A door to a new table, which vanishes with the block."""
    made = make()
    try:
        yield made
    finally:
        made.close()
