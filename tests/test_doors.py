"""One script through every door: what a call comes to is the same in Python, over ETS.CALL and over ETS.*.

Scripts (`_script`) of all operations on tables of all types are played through a door and on the model, call by call.
After each script the table that the door led to is sound, and its rows are the model's.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import _generate
import pytest
from _doors import CallDoor, Door, PythonDoor, RespDoor, Unspeakable, door, spoken
from _etf import Caller
from _redis import our_server
from _script import Call, Judge, Player, script, shortest
from _server import Wire
from _support import effort
from model import Model

from tsunami import Atom, Pid

TYPES = ["set", "ordered_set", "bag", "duplicate_bag"]
Opener = Callable[[str, int], AbstractContextManager[Door]]


@pytest.fixture(scope="module", params=["hot", "cold"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(all_cold=request.param == "cold") as server:
        yield server


@pytest.fixture
def python() -> Opener:
    return lambda kind, keypos: door(lambda: PythonDoor(kind, keypos))


@pytest.fixture
def call(server: Any) -> Iterator[Opener]:
    with Caller(("127.0.0.1", server.port), Pid(Atom("a@host"), 1, 0, 1)) as caller:
        yield lambda kind, keypos: door(lambda: CallDoor(caller, kind, keypos))


@pytest.fixture
def resp(server: Any) -> Iterator[Opener]:
    with Wire(("127.0.0.1", server.port)) as wire:
        yield lambda kind, keypos: door(lambda: RespDoor(wire, kind, keypos))


def complaint(opened: Opener, kind: str, keypos: int, calls: list[Call]) -> str:
    """Where the door disagrees with the model for the first time; empty if it does not."""
    with opened(kind, keypos) as there:
        ours, theirs, judge = Player(there), Player(Model(kind, keypos=keypos)), Judge(kind, keypos)
        for number, call in enumerate(calls):
            try:
                actual = ours.play(call)
            except Unspeakable:
                continue
            expected = theirs.play(call)
            if isinstance(there, RespDoor):
                expected = spoken(expected)
            if not judge.alike(number, call, expected, actual):
                return f"call {number}: {call}\n model {expected}\n door  {actual}"
        there.table.check()
    return ""


def check(opened: Opener, kind: str, keypos: int, n: int) -> None:
    rng = random.Random(f"{kind} {keypos}")
    for _ in range(n):
        calls = [*script(_generate.Calls(rng, kind, keypos), rng.choice((10, 40, 80))), ("info", Atom("size"))]
        if complaint(opened, kind, keypos, calls):
            calls = shortest(lambda some: bool(complaint(opened, kind, keypos, some)), calls)
            listed = "\n".join(map(repr, calls))
            raise AssertionError(f"{complaint(opened, kind, keypos, calls)}\n after\n{listed}")


@pytest.mark.parametrize("keypos", [0, 1])
@pytest.mark.parametrize("kind", TYPES)
def test_python_does_what_the_model_does(python: Opener, kind: str, keypos: int) -> None:
    check(python, kind, keypos, effort(60))


@pytest.mark.parametrize("keypos", [0, 1])
@pytest.mark.parametrize("kind", TYPES)
def test_ets_call_does_what_the_model_does(call: Opener, kind: str, keypos: int) -> None:
    check(call, kind, keypos, effort(30))


@pytest.mark.parametrize("keypos", [0, 1])
@pytest.mark.parametrize("kind", TYPES)
def test_ets_commands_do_what_the_model_does(resp: Opener, kind: str, keypos: int) -> None:
    check(resp, kind, keypos, effort(30))
