"""State machines at the doors: hypothesis makes up calls, which go through a door to a table of ours and to the model.

There is one for each door (Python, ETS.CALL, ETS.* over RESP) and each type of table. Calls are all operations,
patterns and match specs, cursors that are kept and used again, tables that are fixed; what comes out is the model's,
and errors are the same by their cause (over ETS.*: by their word). After every step the table behind the door is sound,
and holds the model's rows.

test_doors.py plays longer scripts, which are made up beforehand; here a failure is shrunk step by step, and what comes
next depends on what has been found. test_machine.py knows what only Python can do.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import _generate
import pytest
from _doors import CallDoor, Door, PythonDoor, RespDoor, Unspeakable, door, spoken
from _etf import Caller
from _matchmodel import Unrepresentable
from _redis import our_server
from _script import Call, Judge, Player
from _server import Wire
from _support import effort
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model import Model

from tsunami import Atom, Pid

TYPES = ["set", "ordered_set", "bag", "duplicate_bag"]
Opener = Callable[[str, int], AbstractContextManager[Door]]

RANDOMS = st.randoms(use_true_random=False)
KEYS = st.sampled_from(_generate.KEYS)
NUMBERS = st.sampled_from(_generate.NUMBERS)
POSITIONS = st.integers(-1, 4)
VALUES = NUMBERS | KEYS
STEPS = st.one_of(
    st.tuples(POSITIONS, st.integers(-3, 3)),
    st.tuples(POSITIONS, NUMBERS),
    st.tuples(POSITIONS, st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 9)),
    st.tuples(POSITIONS, NUMBERS, NUMBERS, NUMBERS),
    st.sampled_from(_generate.BAD_STEPS),
)
COUNTS = st.integers(-3, 3) | STEPS | st.lists(STEPS, max_size=3)
PAIRS = st.tuples(POSITIONS, VALUES) | st.sampled_from(_generate.BAD_STEPS)
LIMITED = st.sampled_from(["select", "select_reverse", "match", "match_object"])
LIMITS = st.sampled_from([1, 1, 2, 3, 5, 1000, 0, -1, 1.0, Atom("a")])


class DoorMachine(RuleBasedStateMachine):
    opened: ClassVar[Opener]
    kind: ClassVar[str]

    @initialize(keypos=st.integers(0, 1))
    def open(self, keypos: int) -> None:
        self.stack = contextlib.ExitStack()
        self.keypos = keypos
        self.there = self.stack.enter_context(type(self).opened(self.kind, keypos))
        self.ours = Player(self.there)
        self.theirs = Player(Model(self.kind, keypos=keypos))
        self.judge = Judge(self.kind, keypos)
        self.number = 0

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    def both(self, *call: Any) -> None:
        """Do the same to both. Nothing is done where the model cannot say what comes out, or the door has no words."""
        before = self.theirs.table.copy(), dict(self.theirs.cursors)
        try:
            expected = self.theirs.play(call)
            actual = self.ours.play(call)
        except (Unrepresentable, Unspeakable):
            self.theirs.table, self.theirs.cursors = before
            return
        if isinstance(self.there, RespDoor):
            expected = spoken(expected)
        self.number += 1
        assert self.judge.alike(self.number, call, expected, actual), f"{call}\n model {expected}\n door  {actual}"

    def rows(self) -> list[Any]:
        """Some that may be there, for patterns to be made of."""
        rows: list[Any] = self.theirs.table.tab2list()
        return rows or [(1,) * (self.keypos + 2)]

    def row(self, data: st.DataObject) -> tuple[Any, ...]:
        before = [data.draw(NUMBERS) for _ in range(self.keypos)]
        return (*before, data.draw(KEYS), *data.draw(st.lists(VALUES, max_size=2)))

    @invariant()
    def the_table_is_sound_and_the_contents_are_the_models(self) -> None:
        if not hasattr(self, "there"):
            return
        self.there.table.check()
        call: Call = ("tab2list",)
        within = Player(self.there.table).play(call)
        assert self.judge.alike(self.number, call, self.theirs.play(call), within)
        assert len(self.there.table) == len(self.theirs.table)

    # ---- writing

    @rule(data=st.data(), new=st.booleans())
    def insert(self, data: st.DataObject, new: bool) -> None:
        self.both("insert_new" if new else "insert", self.row(data))

    @rule(
        data=st.data(), n=st.integers(0, 6), new=st.booleans(), bad=st.sampled_from([None, None, *_generate.BAD_ROWS])
    )
    def insert_a_list(self, data: st.DataObject, n: int, new: bool, bad: Any) -> None:
        rows: list[Any] = [self.row(data) for _ in range(n)]
        if bad is not None:
            rows.insert(data.draw(st.integers(0, n)), bad)
        self.both("insert_new" if new else "insert", rows)

    @rule(bad=st.sampled_from(_generate.BAD_ROWS), name=st.sampled_from(["insert", "insert_new"]))
    def insert_what_is_no_row(self, bad: Any, name: str) -> None:
        self.both(name, bad)

    @rule(name=st.sampled_from(["delete", "take"]), key=KEYS)
    def delete(self, name: str, key: Any) -> None:
        self.both(name, key)

    @rule(data=st.data(), floats=st.booleans())
    def delete_an_object_that_is_there_or_nearly(self, data: st.DataObject, floats: bool) -> None:
        row = data.draw(st.sampled_from(self.rows()))
        if floats:
            row = tuple(float(part) if type(part) is int and abs(part) < 2**50 else part for part in row)
        self.both("delete_object", row)

    @rule(bad=st.sampled_from(_generate.BAD_ROWS[:-1]))
    def delete_what_is_no_object(self, bad: Any) -> None:
        self.both("delete_object", bad)

    @rule(yes=st.integers(0, 4))
    def delete_all_objects(self, yes: int) -> None:
        if yes == 4:
            self.both("delete_all_objects")

    @rule(
        data=st.data(), key=KEYS, what=st.integers(-3, 3) | STEPS | st.lists(STEPS, max_size=3), default=st.booleans()
    )
    def update_counter(self, data: st.DataObject, key: Any, what: Any, default: bool) -> None:
        self.both("update_counter", key, what, *([(*self.row(data), 0)] if default else []))

    @rule(data=st.data(), key=KEYS, what=PAIRS | st.lists(PAIRS, max_size=3))
    def update_element(self, data: st.DataObject, key: Any, what: Any) -> None:
        self.both("update_element", key, what)

    @rule(data=st.data(), counter=st.booleans(), position=POSITIONS, by=st.integers(-3, 3))
    def update_a_key_that_is_there(self, data: st.DataObject, counter: bool, position: int, by: int) -> None:
        key = data.draw(st.sampled_from(self.rows()))[self.keypos]
        self.both("update_counter" if counter else "update_element", key, (position, by))

    # ---- reading

    @rule(name=st.sampled_from(["lookup", "member"]), key=KEYS)
    def read(self, name: str, key: Any) -> None:
        self.both(name, key)

    @rule(key=KEYS, position=POSITIONS, default=st.booleans())
    def lookup_element(self, key: Any, position: int, default: bool) -> None:
        self.both("lookup_element", key, position, *(["default"] if default else []))

    @rule(name=st.sampled_from(["first", "last", "tab2list"]))
    def read_the_ends_or_all(self, name: str) -> None:
        self.both(name)

    @rule(name=st.sampled_from(["next", "prev"]), key=KEYS | st.just(Atom("$end_of_table")))
    def walk(self, name: str, key: Any) -> None:
        self.both(name, key)

    @precondition(lambda self: self.kind == "ordered_set")
    @rule(index=st.integers(-1, 12))
    def slot(self, index: int) -> None:
        self.both("slot", index)

    @rule()
    def count(self) -> None:
        self.both("info", Atom("size"))

    @rule(on=st.booleans())
    def safe_fixtable(self, on: bool) -> None:
        self.both("safe_fixtable", on)

    # ---- patterns and match specs

    @rule(rng=RANDOMS, name=st.sampled_from(["match", "match_object", "match_delete"]))
    def match(self, rng: Any, name: str) -> None:
        self.both(name, _generate.table_pattern(rng, self.rows()))

    @rule(rng=RANDOMS, name=st.sampled_from(["select", "select_reverse", "select_count", "select_delete"]))
    def select(self, rng: Any, name: str) -> None:
        self.both(name, _generate.spec(rng, self.rows()))

    @rule(rng=RANDOMS)
    def select_replace(self, rng: Any) -> None:
        self.both("select_replace", _generate.replacing_spec(rng, self.rows(), self.keypos))

    @rule(rng=RANDOMS, name=LIMITED, limit=LIMITS, how=st.sampled_from(["chunk", "drain"]))
    def select_in_chunks(self, rng: Any, name: str, limit: Any, how: str) -> None:
        make = _generate.table_pattern if name.startswith("match") else _generate.spec
        what = make(rng, self.rows())
        self.both(*(("chunk", self.number + 1) if how == "chunk" else ("drain",)), name, what, limit)

    @precondition(lambda self: self.theirs.cursors)
    @rule(data=st.data())
    def go_on_with_a_cursor(self, data: st.DataObject) -> None:
        """With any that was ever given, be it an old one."""
        self.both("more", data.draw(st.sampled_from(sorted(self.theirs.cursors))), self.number + 1)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with our_server() as server:
        yield server


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Iterator[Opener]:
    if request.param == "python":
        yield lambda kind, keypos: door(lambda: PythonDoor(kind, keypos))
        return
    address = ("127.0.0.1", request.getfixturevalue("server").port)
    if request.param == "call":
        with Caller(address, Pid(Atom("a@host"), 1, 0, 1)) as caller:
            yield lambda kind, keypos: door(lambda: CallDoor(caller, kind, keypos))
    else:
        with Wire(address) as wire:
            yield lambda kind, keypos: door(lambda: RespDoor(wire, kind, keypos))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("opened", ["python", "call", "resp"], indirect=True)
def test_every_door_does_what_the_model_does(opened: Opener, kind: str) -> None:
    machine = type("Machine", (DoorMachine,), {"opened": staticmethod(opened), "kind": kind})
    run_state_machine_as_test(machine, settings=settings(max_examples=effort(15)))
