"""Tables against the model: hypothesis makes up sequences of calls, and both must come to the same, step by step.

Every class below is one shape of table: type, keypos, stripes, and knobs that make rare paths common: hashes of few
bits, so that keys collide and the exact order of terms decides; maps that grow early and move slowly; walks in small
chunks.
After every step `check()` holds, and the whole contents, in the order of the walk, are the model's.

What the model cannot say is claimed here beside it:

* a walk or a scan that spans many steps, with anything happening in between, sees each key that stayed exactly once,
  and (a walk in a fixed table) no key twice;
* the slots hold each row exactly once;
* a chase with a cursor through a fixed table, with anything happening in between, sees each row that stayed exactly
  once;
* a cursor that is kept goes on without failing, whatever happened in between (with what, the model says, but for hash
  tables whose rows have become others: new ones may be seen or not).

test_concurrent.py does what a single thread cannot.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import _generate
import model as oracle
import pytest
import strategies
from _matchmodel import Unrepresentable, is_in_ets
from _support import effort
from _tabletools import CONFUSABLE, TYPES, outcome, slots
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model import Exact, Model, ModelCursor, exact_key, shown

from tsunami import END_OF_TABLE, Atom, Table, TsunamiError, _core

# Every example has new tables, and a failure must be found again: all of them place their keys alike.
SPREAD = 0x9E3779B97F4A7C15


def place_in(table: Table) -> Callable[[Any], Any]:
    """Where a key stands in a walk of a hash table: by its hash, and keys of one hash by the exact order of terms."""
    return lambda key: (_core.walk_place(table, _core.exact_hash(key)), Exact(key))


def looks_up_keys(table: Table) -> Callable[[Any], bool]:
    """Does a match spec name several keys, so that its rows come in the keys' order?"""

    def by_key(spec: Any) -> bool:
        try:
            return bool(table.explain(spec)["access"] == "keys")
        except TsunamiError:
            return False

    return by_key


# ---- what is drawn


class Thing:
    """For reference terms."""


THINGS = [Thing() for _ in range(3)]
NEVER_KEYS = [THINGS[0], (1, [THINGS[1]]), float("nan"), {"k": float("nan")}]


class Extra:
    """Stands for one of the keys that were drawn at the start: any terms, and yet the same ones again and again."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"extra[{self.number}]"


KEYS = st.sampled_from([*CONFUSABLE, *range(2, 30), *map(Extra, range(12))])
NUMBERS = st.sampled_from([0, 1, -1, 7, 2**31, 2**62 - 1, 2**62, -(2**62), 2**63, -(2**64), 2**100]) | st.integers()
LEAVES = st.one_of(
    NUMBERS,
    st.floats(),
    st.sampled_from([None, True, Atom("ok"), "", "text", b"text", "x" * 40, b"y" * 700, *THINGS]),
    st.text(max_size=20),
    st.binary(max_size=20),
)
VALUES = st.one_of(
    strategies.terms(),
    st.recursive(
        LEAVES,
        lambda parts: st.one_of(
            st.lists(parts, max_size=3),
            st.lists(parts, max_size=3).map(tuple),
            st.dictionaries(st.sampled_from([1, "k", Atom("k"), (1, 2.5)]), parts, max_size=2),
        ),
        max_leaves=5,
    ),
)
STEPS = st.one_of(
    st.tuples(st.integers(-1, 4), NUMBERS),
    st.tuples(st.integers(-1, 4), NUMBERS, NUMBERS, NUMBERS),
    st.sampled_from([(), (1,), (1, 1, 1), (1, 1.0), (True, 1), (1, 1, 1, None), "ab", None, 1.5, [1], (2**70, 1)]),
)
COUNTS = st.one_of(NUMBERS, STEPS, st.lists(STEPS, max_size=3))
PAIRS = st.one_of(
    st.tuples(st.integers(-1, 4), VALUES),
    st.sampled_from([(), (1,), (1, 2, 3), (1.0, 2), (True, 2), "ab", None, (2**70, 1)]),
)
BOTH = st.tuples(st.booleans(), st.booleans())
RANDOMS = st.randoms(use_true_random=False)
CHUNKED = st.sampled_from(["select", "select_reverse", "match", "match_object"])
NO_ROWS = st.sampled_from([(), 1, None, "ab", [1], {1: 2}, END_OF_TABLE])


class TableMachine(RuleBasedStateMachine):
    kind = "set"
    keypos = 0
    stripes: int | None = None
    knobs: dict[str, int] = {}

    def __init__(self) -> None:
        super().__init__()
        self.old_knobs = _core._knobs(**self.knobs, spread=SPREAD)
        self.table = Table(self.kind, keypos=self.keypos, stripes=self.stripes)  # type: ignore[arg-type]
        place = None if self.kind == "ordered_set" else place_in(self.table)
        self.model = Model(self.kind, keypos=self.keypos, place=place, by_key=looks_up_keys(self.table))
        self.walk: Any = None  # the key where a walk stands; None: there is none
        self.walked: list[Any] = []
        self.scan = 0  # the cursor of a scan; 0: there is none
        self.scanned: list[Any] = []
        self.cursors: list[
            tuple[Any, ModelCursor, int]
        ] = []  # the table's, the model's, model.changes when they were made
        self.chase: Any = None  # a cursor that goes through all rows of the table, fixed for it; None: there is none
        self.chased: Counter[Any] = Counter()
        self.stays: Counter[Any] = Counter()  # the rows that have been there all the time
        self.stayed: dict[str, set[Any]] = {"walk": set(), "scan": set()}  # keys that have been there all the time

    def teardown(self) -> None:
        _core._knobs(**self.old_knobs)

    @initialize(extra=st.lists(strategies.keys(), min_size=1, max_size=12))
    def draw_keys(self, extra: list[Any]) -> None:
        self.extra = extra

    # ---- doing the same to both

    def resolved(self, argument: Any) -> Any:
        if isinstance(argument, list):
            return [self.resolved(part) for part in argument]
        if type(argument) is tuple:
            return tuple(self.resolved(part) for part in argument)
        return self.extra[argument.number % len(self.extra)] if isinstance(argument, Extra) else argument

    def both(self, name: str, *args: Any) -> Any:
        args = self.resolved(args)
        expected = outcome(getattr(self.model, name), *args)
        actual = outcome(getattr(self.table, name), *args)
        assert actual == expected, name
        return actual

    def row(self, data: st.DataObject, keys: st.SearchStrategy[Any] = KEYS) -> tuple[Any, ...]:
        """With its key at keypos, mostly followed by a number (so that there are counters)."""
        key = data.draw(keys)
        before = [data.draw(NUMBERS) for _ in range(self.keypos)]
        after = data.draw(st.one_of(st.just([]), st.lists(NUMBERS, max_size=2), st.lists(VALUES, max_size=3)))
        return (*before, key, *after)

    def numbered(self, number: int, value: Any) -> tuple[Any, ...]:
        return (*[0] * self.keypos, number, value)

    def tried(self, name: str, *args: Any) -> Any:
        """Like `both`, for calls with match specs: nothing is done where the model cannot say what comes out."""
        before = self.model.copy()
        try:
            expected = outcome(getattr(self.model, name), *args)
        except Unrepresentable:
            self.model = before
            return None
        actual = outcome(getattr(self.table, name), *args)
        assert actual == expected, (name, args)
        return actual

    def live(self) -> list[Any]:
        return [rows[0][self.keypos] for rows in self.model.rows.values()]

    # ---- the claims that hold after every step

    @invariant()
    def the_table_is_sound(self) -> None:
        self.table.check()

    @invariant()
    def the_contents_are_the_models(self) -> None:
        assert shown(self.table.tab2list()) == shown(self.model.tab2list())
        assert len(self.table) == len(self.model)
        assert self.table.info("fixed") is (self.model.fixations > 0)

    @invariant()
    def keys_that_went_away_did_not_stay(self) -> None:
        live = {exact_key(key) for key in self.live()}
        for stayed in self.stayed.values():
            stayed &= live
        if self.chase is not None:
            self.stays &= self.identities(self.model.tab2list())

    # ---- writing

    @rule(data=st.data())
    def insert(self, data: st.DataObject) -> None:
        self.both("insert", self.row(data))

    @rule(data=st.data(), n=st.integers(0, 5), new=st.booleans(), bad=st.one_of(st.none(), st.none(), NO_ROWS))
    def insert_a_list(self, data: st.DataObject, n: int, new: bool, bad: Any) -> None:
        rows: list[Any] = [self.row(data) for _ in range(n)]
        if bad is not None:
            rows.insert(data.draw(st.integers(0, n)), bad)
        self.both("insert_new" if new else "insert", rows)

    @rule(bad=NO_ROWS.filter(lambda bad: bad != [1]), new=st.booleans())
    def insert_what_is_no_row(self, bad: Any, new: bool) -> None:
        self.both("insert_new" if new else "insert", bad)

    @rule(key=st.sampled_from(NEVER_KEYS))
    def use_what_cannot_be_a_key(self, key: Any) -> None:
        row = self.numbered(0, 0)[: self.keypos] + (key, 1)
        for name, argument in [
            ("insert", row), ("insert", [self.numbered(2, 2), row]), ("insert_new", row), ("delete_object", row),
            ("lookup", key), ("member", key), ("delete", key), ("take", key), ("next", key), ("get", key),
        ]:  # fmt: skip
            self.both(name, argument)

    @rule(start=st.integers(100, 400), n=st.integers(1, 200), value=st.integers(0, 3))
    def flood(self, start: int, n: int, value: int) -> None:
        self.both("insert_many", [self.numbered(number, value) for number in range(start, start + n)])

    @rule(start=st.integers(100, 600), n=st.integers(1, 500))
    def drain(self, start: int, n: int) -> None:
        for number in range(start, start + n):
            self.table.delete(number)
            self.model.delete(number)

    @rule(key=KEYS, n=st.integers(1, 60), start=st.integers(0, 3))
    def crowd(self, key: Any, n: int, start: int) -> None:
        """Many rows under one key."""
        self.both("insert", [(*[0] * self.keypos, key, number) for number in range(start, start + n)])

    @rule(key=KEYS, start=st.integers(0, 30), n=st.integers(1, 30))
    def thin(self, key: Any, start: int, n: int) -> None:
        for number in range(start, start + n):
            self.both("delete_object", (*[0] * self.keypos, key, number))

    @rule(key=KEYS, name=st.sampled_from(["delete", "take", "__delitem__"]))
    def delete(self, key: Any, name: str) -> None:
        self.both(name, key)

    @rule(data=st.data())
    def delete_a_key_that_is_there(self, data: st.DataObject) -> None:
        live = self.live()
        if live:
            self.both("take", live[data.draw(st.integers(0, len(live) - 1))])

    @rule(data=st.data())
    def delete_object(self, data: st.DataObject) -> None:
        self.both("delete_object", self.row(data))

    @rule(data=st.data(), twist=st.integers(0, 4))
    def delete_an_object_that_is_there_or_nearly(self, data: st.DataObject, twist: int) -> None:
        rows = self.model.tab2list()
        if not rows:
            return
        row = rows[data.draw(st.integers(0, len(rows) - 1))]
        if twist == 0:
            row = (*row, 0)
        elif twist == 1 and len(row) > self.keypos + 1:
            row = (*row[:-1], float(row[-1]) if isinstance(row[-1], bool | int) and abs(row[-1]) < 2**50 else 0)
        self.both("delete_object", row)

    @rule(bad=NO_ROWS)
    def delete_what_is_no_object(self, bad: Any) -> None:
        self.both("delete_object", bad)

    @rule(yes=st.integers(0, 5))
    def delete_all_objects(self, yes: int) -> None:
        if yes == 0:
            self.both("delete_all_objects")

    @rule(data=st.data(), yes=st.integers(0, 5))
    def init_table(self, data: st.DataObject, yes: int) -> None:
        if yes == 0:
            self.both("init_table", [self.row(data) for _ in range(4)])

    @rule(data=st.data(), key=KEYS, what=COUNTS, use_default=st.booleans())
    def update_counter(self, data: st.DataObject, key: Any, what: Any, use_default: bool) -> None:
        default = (self.row(data),) if use_default else ()
        self.both("update_counter", key, what, *default)

    @rule(data=st.data(), key=KEYS, what=st.one_of(PAIRS, st.lists(PAIRS, max_size=3)), use_default=st.booleans())
    def update_element(self, data: st.DataObject, key: Any, what: Any, use_default: bool) -> None:
        default = (self.row(data),) if use_default else ()
        self.both("update_element", key, what, *default)

    @rule(data=st.data(), name=st.sampled_from(["update_counter", "update_element"]), what=COUNTS)
    def update_a_key_that_is_there(self, data: st.DataObject, name: str, what: Any) -> None:
        live = self.live()
        if live:
            self.both(name, live[data.draw(st.integers(0, len(live) - 1))], what)

    @rule(key=KEYS, name=st.sampled_from(["update_counter", "update_element"]), bad=st.sampled_from([1, "ab", [], {}]))
    def update_with_a_bad_default(self, key: Any, name: str, bad: Any) -> None:
        self.both(name, key, [], bad)

    # ---- reading

    @rule(key=KEYS, name=st.sampled_from(["lookup", "member", "get", "__contains__", "__getitem__"]))
    def read(self, key: Any, name: str) -> None:
        self.both(name, key)

    @rule(key=KEYS, position=st.integers(-1, 4) | st.sampled_from([1.0, None, True, 2**70]), default=st.booleans())
    def lookup_element(self, key: Any, position: Any, default: bool) -> None:
        self.both("lookup_element", key, position, *(["default"] if default else []))

    @rule(keys=st.lists(KEYS, max_size=40))
    def read_a_batch(self, keys: list[Any]) -> None:
        self.both("lookup_many", keys)
        self.both("member_many", keys)

    @rule(bad=st.sampled_from(NEVER_KEYS), keys=st.lists(KEYS, max_size=3))
    def read_a_batch_with_a_bad_key(self, bad: Any, keys: list[Any]) -> None:
        self.both("lookup_many", [*keys, bad])
        self.both("member_many", [*keys, bad])

    @rule()
    def enumerate_in_every_way(self) -> None:
        rows = shown(self.model.tab2list())
        assert shown(list(self.table)) == rows
        assert shown(self.table.foldl(lambda row, acc: [*acc, row], [])) == rows
        self.both("foldr", lambda row, acc: [*acc, row], [])
        assert shown(slots(self.table)) == rows
        keys, key = [], self.table.first()
        while key is not END_OF_TABLE:
            keys.append(key)
            key = self.table.next(key)
        assert shown(keys) == shown(self.live())

    # ---- patterns and match specs

    def rows_to_aim_at(self) -> list[Any]:
        """A few that are there, so that heads made of them match."""
        return [row for row in self.model.tab2list()[:200:7] if is_in_ets(row)] or [self.numbered(1, 1)]

    @rule(rng=RANDOMS, name=st.sampled_from(["match", "match_object", "match_delete"]))
    def match(self, rng: random.Random, name: str) -> None:
        self.tried(name, _generate.table_pattern(rng, self.rows_to_aim_at()))

    @rule(rng=RANDOMS, name=st.sampled_from(["select", "select", "select_reverse", "select_count", "select_delete"]))
    def select(self, rng: random.Random, name: str) -> None:
        self.tried(name, _generate.spec(rng, self.rows_to_aim_at()))

    @rule(rng=RANDOMS)
    def select_replace(self, rng: random.Random) -> None:
        self.tried("select_replace", _generate.replacing_spec(rng, self.rows_to_aim_at(), self.keypos))

    @rule(name=st.sampled_from(["select", "select_reverse", "select_count", "select_delete", "select_replace"]))
    def select_by_no_clause(self, name: str) -> None:
        self.tried(name, [])

    @rule(low=st.integers(0, 600), n=st.integers(0, 300), name=st.sampled_from(["select", "select_delete"]))
    def select_numbers(self, low: int, n: int, name: str) -> None:
        key = Atom("$1")
        head = (*[Atom("_")] * self.keypos, key, Atom("_"))
        self.tried(name, [(head, [(Atom(">="), key, low), (Atom("<"), key, low + n)], [True])])

    @rule(rng=RANDOMS, name=CHUNKED, limit=st.integers(1, 5) | st.sampled_from([100, 0, -1, 1.5, True, 2**70]))
    def select_with_a_limit(self, rng: random.Random, name: str, limit: Any) -> None:
        make = _generate.spec if name.startswith("select") else _generate.table_pattern
        self.chunk(name, make(rng, self.rows_to_aim_at()), limit)

    @rule(name=CHUNKED, limit=st.integers(1, 50))
    def select_everything_with_a_limit(self, name: str, limit: int) -> None:
        everything = Atom("_")
        self.chunk(name, [(everything, [], [Atom("$_")])] if name.startswith("select") else everything, limit)

    def chunk(self, name: str, what: Any, limit: Any) -> None:
        try:
            expected = outcome(getattr(self.model, name), what, limit)
        except Unrepresentable:
            return
        if expected[0] == "error" or expected[1] == shown(END_OF_TABLE):
            assert outcome(getattr(self.table, name), what, limit) == expected
        else:
            self.keep_cursors(getattr(self.table, name)(what, limit), getattr(self.model, name)(what, limit))

    def keep_cursors(self, actual: Any, expected: Any) -> None:
        assert shown(actual[0]) == shown(expected[0])
        self.cursors = [*self.cursors[-5:], (actual[1], expected[1], self.model.changes)]

    @precondition(lambda self: self.cursors)
    @rule(data=st.data())
    def select_more(self, data: st.DataObject) -> None:
        """Any cursor of the last few, once or several times."""
        cursor, theirs, changes = self.cursors[data.draw(st.integers(0, len(self.cursors) - 1))]
        actual = END_OF_TABLE if cursor is END_OF_TABLE else self.table.select(cursor)
        try:
            expected = self.model.select_more(theirs)
        except Unrepresentable:
            return
        if cursor is END_OF_TABLE or changes != self.model.changes:
            return  # it was the end when the cursor was made; or rows have moved
        if expected is END_OF_TABLE:
            assert actual is END_OF_TABLE
        else:
            assert actual is not END_OF_TABLE
            self.keep_cursors(actual, expected)

    # ---- a chase

    def identities(self, rows: list[Any]) -> Counter[Any]:
        """What makes a row the same row as before: its key, or in a bag all of it."""
        return Counter(exact_key(row if self.model.bag else row[self.keypos]) for row in rows)

    @precondition(lambda self: self.chase is None)
    @rule(limit=st.integers(1, 30))
    def begin_a_chase(self, limit: int) -> None:
        self.both("safe_fixtable", True)
        self.chased, self.stays = Counter(), self.identities(self.model.tab2list())
        self.chase_on(self.table.select([(Atom("_"), [], [Atom("$_")])], limit))

    @precondition(lambda self: self.chase is not None)
    @rule(chunks=st.integers(1, 10))
    def go_on_with_a_chase(self, chunks: int) -> None:
        for _ in range(chunks):
            if self.chase is not None:
                self.chase_on(END_OF_TABLE if self.chase is END_OF_TABLE else self.table.select(self.chase))

    def chase_on(self, answer: Any) -> None:
        if answer is not END_OF_TABLE:
            rows, self.chase = answer
            self.chased += self.identities(rows)
            return
        self.chase = None
        assert all(self.chased[row] >= count for row, count in self.stays.items()), "a row that stayed was not seen"
        if self.kind != "duplicate_bag":
            assert all(self.chased[row] == 1 for row in self.stays), "a row that stayed was seen twice"
        self.both("safe_fixtable", False)

    # ---- ranges

    def a_bound(self, data: st.DataObject) -> Any:
        """A key, mostly one that is there; no tuple: as a bound that also stands for how longer ones begin."""
        live = self.live()
        here = live and data.draw(st.integers(0, 3))
        key = live[data.draw(st.integers(0, len(live) - 1))] if here else self.resolved(data.draw(KEYS))
        return None if isinstance(key, tuple) else key

    @precondition(lambda self: self.kind == "ordered_set")
    @rule(data=st.data(), down=st.booleans())
    def read_a_range(self, data: st.DataObject, down: bool) -> None:
        low, high = self.a_bound(data), self.a_bound(data)
        for inclusive in [(True, True), (True, False), (False, True), (False, False)]:
            expected = self.model.irange(low, high, inclusive, down)
            assert shown(list(self.table.irange(low, high, inclusive, down))) == shown(expected)
            assert self.table.count_range(low, high, inclusive) == len(expected)
        step = -1 if down else 1
        assert shown(self.table[low:high:step]) == shown(self.model[low:high:step])

    @precondition(lambda self: self.kind == "ordered_set")
    @rule(data=st.data(), inclusive=BOTH, yes=st.integers(0, 3))
    def delete_a_range(self, data: st.DataObject, inclusive: tuple[bool, bool], yes: int) -> None:
        if yes == 0:
            self.both("delete_range", self.a_bound(data), self.a_bound(data), inclusive)

    @precondition(lambda self: self.kind == "ordered_set")
    @rule(start=st.integers(100, 600), n=st.integers(0, 400), slices=st.booleans())
    def delete_a_range_of_numbers(self, start: int, n: int, slices: bool) -> None:
        if slices:
            self.both("__delitem__", slice(start, start + n))
        else:
            self.both("delete_range", start, start + n)

    @precondition(lambda self: self.kind == "ordered_set")
    @rule(data=st.data(), index=st.integers(-50, 50) | st.sampled_from([None, 1.0, 2**70]))
    def ask_for_ranks(self, data: st.DataObject, index: Any) -> None:
        self.both("rank", self.a_bound(data))
        self.both("at", index)

    @precondition(lambda self: self.kind != "ordered_set")
    @rule(key=KEYS)
    def ask_for_what_takes_an_order(self, key: Any) -> None:
        for name, args in [("rank", [key]), ("at", [0]), ("irange", []), ("count_range", []), ("delete_range", [])]:
            self.both(name, *args)

    # ---- the container protocol

    @rule(data=st.data(), key=KEYS)
    def set_item(self, data: st.DataObject, key: Any) -> None:
        row = self.row(data, KEYS | st.just(key))
        self.both("__setitem__", key, row)

    @rule(key=KEYS, bad=NO_ROWS)
    def set_item_to_what_is_no_row(self, key: Any, bad: Any) -> None:
        self.both("__setitem__", key, bad)

    @rule(key=KEYS, default=st.booleans())
    def pop(self, key: Any, default: bool) -> None:
        self.both("pop", key, *(["default"] if default else []))

    @rule()
    def ask_for_its_size(self) -> None:
        assert len(list(self.table)) == len(self.table) == self.table.info("size")
        assert bool(self.table) is (len(self.model) > 0)
        assert f"{len(self.model)}" in repr(self.table) and self.kind in repr(self.table)

    # ---- fixations, walks

    @rule(fix=st.booleans())
    def safe_fixtable(self, fix: bool) -> None:
        own = (self.walk is not None) + (self.chase is not None)
        if fix or self.model.fixations > own:  # a walk under way keeps its own fixation
            self.both("safe_fixtable", fix)

    @rule(key=KEYS, name=st.sampled_from(["next", "prev", "next_lookup", "prev_lookup"]))
    def go_on_from_any_key(self, key: Any, name: str) -> None:
        self.both(name, key)

    @rule(name=st.sampled_from(["first", "last", "first_lookup", "last_lookup"]))
    def begin(self, name: str) -> None:
        self.both(name)

    @precondition(lambda self: self.walk is None)
    @rule()
    def begin_a_walk(self) -> None:
        self.both("safe_fixtable", True)
        self.walk = (self.table.first(),)
        self.walked = []
        self.stayed["walk"] = {exact_key(key) for key in self.live()}

    @precondition(lambda self: self.walk is not None)
    @rule(steps=st.integers(1, 40))
    def walk_on(self, steps: int) -> None:
        for _ in range(steps):
            [key] = self.walk
            if key is END_OF_TABLE:
                seen = [exact_key(key) for key in self.walked]
                assert len(seen) == len(set(seen)), "a key was seen twice"
                assert self.stayed["walk"] <= set(seen), "a key that stayed was not seen"
                self.walk = None
                self.stayed["walk"] = set()
                self.both("safe_fixtable", False)
                return
            self.walked.append(key)
            self.walk = (self.table.next(key),)

    @precondition(lambda self: self.kind != "ordered_set")
    @rule(count=st.integers(1, 60))
    def scan_on(self, count: int) -> None:
        """A scan sees each key that stays once, with no fixation at all. Keys that come and go may be seen or not."""
        if self.scan == 0:
            self.scanned = []
            self.stayed["scan"] = {exact_key(key) for key in self.live()}
        self.scan, rows = _core.scan(self.table, self.scan, count)
        keys = [exact_key(row[self.keypos]) for row in rows]
        self.scanned += [key for at, key in enumerate(keys) if at == 0 or keys[at - 1] != key]
        if self.scan == 0:
            assert len(self.scanned) == len(set(self.scanned)), "a key was seen twice"
            assert self.stayed["scan"] <= set(self.scanned), "a key that stayed was not seen"
            self.stayed["scan"] = set()


# Knobs of which each makes some rare path common; every type that has stripes meets every line.
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "one stripe, keypos 1": {"stripes": 1, "keypos": 1},
    "eight hashes in one stripe": {"stripes": 1, "knobs": {"hash_bits": 3}},
    "few hashes in four stripes": {"stripes": 4, "keypos": 1, "knobs": {"hash_bits": 6, "scan_rows": 2}},
    "slow moves and early growth": {"stripes": 1, "knobs": {"move": 2, "load": 2, "scan_rows": 3, "select_rows": 2}},
    "wide maps of one row each": {"stripes": 4, "knobs": {"load": 1, "map_bits": 3, "scan_rows": 1}},
}

SHAPES_IN_ORDER: dict[str, dict[str, Any]] = {
    "plain": {},
    "keypos 1": {"keypos": 1, "knobs": {"scan_rows": 2}},
    "in pieces": {"knobs": {"scan_rows": 1, "select_rows": 2}},
}

for _kind in TYPES:
    for _shape, _options in (SHAPES_IN_ORDER if _kind == "ordered_set" else SHAPES).items():
        _name = "Machine_" + f"{_kind} {_shape}".replace(" ", "_").replace(",", "")
        _machine = type(_name, (TableMachine,), {"kind": _kind, **_options})
        _case = _machine.TestCase  # type: ignore[attr-defined]
        _case.settings = settings(max_examples=effort(12), stateful_step_count=50)
        globals()["Test" + _name] = type("Test" + _name, (_case,), {})
del _kind, _shape, _options, _name, _machine, _case


# ---- commit, over several tables


class CommitMachine(RuleBasedStateMachine):
    """entry and commit of several tables against the model's. Deadlines are so far away that nothing expires."""

    knobs: dict[str, int] = {"hash_bits": 5}

    def __init__(self) -> None:
        super().__init__()
        self.old_knobs = _core._knobs(**self.knobs, spread=SPREAD)
        shapes = [{"stripes": 1}, {"stripes": 4}, {"keypos": 1}]
        self.tables = [Table("set", **shape) for shape in shapes]  # type: ignore[arg-type]
        self.models = [
            Model("set", keypos=shape.get("keypos", 0), place=place_in(table))
            for shape, table in zip(shapes, self.tables, strict=True)
        ]

    def teardown(self) -> None:
        _core._knobs(**self.old_knobs)

    DEADLINES = st.sampled_from([None, None, 10**13, 10**13 + 1, 10**14])
    FEW = st.sampled_from([1, 1.0, True, "k", b"k", (1, [2])])

    def row(self, which: int, key: Any, value: Any) -> tuple[Any, ...]:
        return (value, key) if which == 2 else (key, value)

    @invariant()
    def tables_are_sound_and_the_models(self) -> None:
        for table, model in zip(self.tables, self.models, strict=True):
            table.check()
            assert shown(table.tab2list()) == shown(model.tab2list())
            for row in model.tab2list():
                key = row[model.keypos]
                assert shown(_core.entry(table, key)) == shown(model.entry(key))

    @rule(which=st.integers(0, 2), key=FEW, value=VALUES)
    def insert(self, which: int, key: Any, value: Any) -> None:
        row = self.row(which, key, value)
        assert outcome(self.tables[which].insert, row) == outcome(self.models[which].insert, row)

    @rule(which=st.integers(0, 2), key=FEW, what=st.tuples(st.integers(0, 1), NUMBERS))
    def update(self, which: int, key: Any, what: Any) -> None:
        table, model = self.tables[which], self.models[which]
        assert outcome(table.update_counter, key, what) == outcome(model.update_counter, key, what)
        assert outcome(table.update_element, key, what) == outcome(model.update_element, key, what)

    @rule(data=st.data(), mistakes=st.integers(0, 3))
    def commit(self, data: st.DataObject, mistakes: int) -> None:
        """Checks are what is there, but for a mistake now and then; puts and erases are of any keys, also the same."""
        ours: list[list[Any]] = [[], [], []]
        theirs: list[list[Any]] = [[], [], []]
        for _ in range(data.draw(st.integers(0, 3))):
            which, key = data.draw(st.integers(0, 2)), data.draw(self.FEW)
            found = self.models[which].entry(key)
            row, deadline = found if found is not None else (None, None)
            if mistakes == 0 and data.draw(st.booleans()):
                other = (row, 10**13 + 5) if row else (None, None)
                row, deadline = data.draw(st.sampled_from([(None, None), (self.row(which, key, 0), None), other]))
            ours[0].append((self.tables[which], key, row, deadline))
            theirs[0].append((self.models[which], key, row, deadline))
        for _ in range(data.draw(st.integers(0, 3))):
            which = data.draw(st.integers(0, 2))
            row, deadline = self.row(which, data.draw(self.FEW), data.draw(VALUES)), data.draw(self.DEADLINES)
            ours[1].append((self.tables[which], row, deadline))
            theirs[1].append((self.models[which], row, deadline))
        for _ in range(data.draw(st.integers(0, 2))):
            which, key = data.draw(st.integers(0, 2)), data.draw(self.FEW)
            ours[2].append((self.tables[which], key))
            theirs[2].append((self.models[which], key))
        assert outcome(_core.commit, *ours) == outcome(oracle.commit, *theirs)

    @rule(data=st.data(), bad=st.sampled_from([(), 1, (THINGS[0], THINGS[0]), (float("nan"), float("nan"))]))
    def commit_a_bad_row(self, data: st.DataObject, bad: Any) -> None:
        good = self.row(0, data.draw(self.FEW), "good")
        with pytest.raises((TsunamiError, TypeError)):
            _core.commit([], [(self.tables[0], good, None), (self.tables[0], bad, None)], [])


class TestCommit(CommitMachine.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=effort(30), stateful_step_count=30)
