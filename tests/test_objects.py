"""Reference terms: objects that are no terms, as values. They stay the same object, and live as long as their rows.

Not about what may be a key (test_table_keys.py). The dangerous part stands at the end: cycles through tables, objects
whose finalizers use the very table that drops them, and threads that drop each other's objects.
"""

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import redis
from _support import wait_until
from _tabletools import Crew, every_type

import tsunami
import tsunami_server
from tsunami import Table, _core


class Thing:
    def __init__(self, name: object = None) -> None:
        self.name = name
        self.other: Any = None


def gone(*refs: weakref.ref[Any]) -> bool:
    """Without the collector's help: tests call it only where a cycle is the point."""
    return all(ref() is None for ref in refs)


# ---- the same object, kept alive


@every_type
def test_the_same_object_comes_back_wherever_it_stands(kind: str) -> None:
    thing = Thing()
    table = Table(kind)
    table.insert((1, thing, [thing], {"k": (thing,)}))
    [(_, a, [b], c)] = table.lookup(1)
    assert a is thing and b is thing and c["k"][0] is thing
    assert table.tab2list()[0][1] is thing
    assert next(iter(table))[1] is thing
    assert table.foldl(lambda row, acc: row[1], None) is thing
    assert table.lookup_many([1])[0][0][1] is thing
    assert table.take(1)[0][1] is thing


@every_type
@pytest.mark.parametrize(
    "value", [print, Thing, sys, lambda: 1, 3j, range(3), object(), Exception("x"), NotImplemented, Ellipsis]
)
def test_anything_that_is_no_term_is_a_reference_term(kind: str, value: Any) -> None:
    table = Table(kind)
    table.insert((1, value))
    assert table.lookup(1)[0][1] is value
    table.check()


@every_type
def test_an_object_lives_as_long_as_its_row(kind: str) -> None:
    table = Table(kind)
    thing = Thing("kept")
    ref = weakref.ref(thing)
    table.insert((1, thing))
    del thing
    gc.collect()
    found = ref()
    assert found is not None and found.name == "kept"
    assert table.lookup(1)[0][1] is found


@every_type
def test_rows_with_equal_objects_are_equal_and_with_others_not(kind: str) -> None:
    a, b = Thing(), Thing()
    table = Table(kind)
    table.insert([(1, a), (1, a), (1, b)])
    assert len(table) == {"set": 1, "ordered_set": 1, "bag": 2, "duplicate_bag": 3}[kind]
    table.delete_object((1, Thing()))
    assert len(table) == {"set": 1, "ordered_set": 1, "bag": 2, "duplicate_bag": 3}[kind]
    table.delete_object((1, b))
    assert [row[1] is a for row in table.lookup(1)] == [True] * {"bag": 1, "duplicate_bag": 2}.get(kind, 0)


# ---- released in time

RELEASES: dict[str, Callable[[Table], object]] = {
    "delete": lambda t: t.delete(1),
    "take": lambda t: t.take(1) and None,
    "pop": lambda t: t.pop(1) and None,
    "clear": lambda t: t.delete_all_objects(),
    "drop": lambda t: t.delete(),
    "init_table": lambda t: t.init_table([]),
    "del": lambda t: t.__delitem__(1),
}
OVERWRITES: dict[str, Callable[[Table], object]] = {
    "insert": lambda t: t.insert((1, "other")),
    "insert a list": lambda t: t.insert([(1, "other"), (2, "other")]),
    "insert_many": lambda t: t.insert_many([(1, "other")]),
    "update_element": lambda t: t.update_element(1, [(1, "other"), (2, "other")]),
    "setitem": lambda t: t.__setitem__(1, (1, "other")),
}


@every_type
@pytest.mark.parametrize("how", RELEASES)
def test_an_object_is_released_when_its_row_is_deleted(kind: str, how: str) -> None:
    table = Table(kind)
    thing, inner = Thing(), Thing()
    refs = weakref.ref(thing), weakref.ref(inner)
    table.insert((1, thing, {"k": [inner]}))
    del thing, inner
    assert not gone(*refs)
    RELEASES[how](table)
    assert gone(*refs)


@pytest.mark.parametrize("how", OVERWRITES)
def test_an_object_is_released_when_its_row_is_overwritten(how: str) -> None:
    table = Table()
    thing, inner = Thing(), Thing()
    refs = weakref.ref(thing), weakref.ref(inner)
    table.insert((1, thing, {"k": [inner]}))
    del thing, inner
    OVERWRITES[how](table)
    assert gone(*refs)
    table.check()


@every_type
def test_an_object_is_released_with_the_table(kind: str) -> None:
    table = Table(kind)
    thing = Thing()
    ref = weakref.ref(thing)
    table.insert((1, thing))
    del thing, table
    assert gone(ref)


@every_type
def test_an_object_stays_while_another_row_holds_it(kind: str) -> None:
    table = Table(kind)
    thing = Thing()
    ref = weakref.ref(thing)
    table.insert([(1, thing), (2, [thing])])
    del thing
    table.delete(1)
    assert not gone(ref)
    assert table.lookup(2)[0][1][0] is ref()
    table.delete(2)
    assert gone(ref)


@every_type
def test_an_object_that_was_read_outlives_its_row(kind: str) -> None:
    table = Table(kind)
    table.insert((1, Thing("read")))
    [(_, thing)] = table.lookup(1)
    table.delete(1)
    gc.collect()
    assert thing.name == "read"
    ref = weakref.ref(thing)
    del thing
    assert gone(ref)


@every_type
def test_a_call_that_fails_or_changes_nothing_keeps_no_object(kind: str) -> None:
    table = Table(kind)
    table.insert((1, "there"))
    thing = Thing()
    calls: list[Any] = [
        lambda: table.insert([(2, thing), ()]),
        lambda: table.insert([(2, thing), (thing, 2)]),
        lambda: table.insert_new([(2, thing), (1, thing)]),
        lambda: table.update_element(99, (1, thing)),
        lambda: table.update_element(1, [(1, thing), (99, 1)]),
        lambda: table.update_counter(1, (9, 1), (1, thing)),
        lambda: table.update_counter(5, (1, 1), (1, thing)),
        lambda: table.lookup(thing),
        lambda: table.delete_object((1, thing)),
        lambda: table.lookup_element(99, 1, thing) and None,
    ]
    before = sys.getrefcount(thing)
    for call in calls:
        try:
            call()
        except (TypeError, ValueError, LookupError):
            pass
        assert sys.getrefcount(thing) == before
    assert table.tab2list() == [(1, "there")]
    table.check()


def test_an_equal_row_that_a_bag_does_not_add_keeps_no_object() -> None:
    table = Table("bag")
    thing = Thing()
    table.insert((1, thing))
    before = sys.getrefcount(thing)
    for _ in range(10):
        table.insert((1, thing))
    assert sys.getrefcount(thing) == before


class Moody:
    """Registered; its decoder fails."""


class Refusal(Exception):
    pass


def refuse(payload: object) -> Moody:
    raise Refusal


tsunami.register_term(Moody, "tests.moody", lambda moody: "mood", refuse)

READS: dict[str, Callable[[Table], object]] = {
    "lookup": lambda t: t.lookup(1),
    "lookup_many": lambda t: t.lookup_many([2, 1, 2]),
    "lookup_element": lambda t: t.lookup_element(1, 2),
    "getitem": lambda t: t[1],
    "tab2list": lambda t: t.tab2list(),
    "iterate": lambda t: list(t),
    "slots": lambda t: t.slot(0),
    "first_lookup": lambda t: (t.first_lookup(), t.next_lookup(t.first())),
    "foldl": lambda t: t.foldl(lambda row, acc: acc, None),
    "foldr": lambda t: t.foldr(lambda row, acc: acc, None),
    "scan": lambda t: _core.scan(t, 0, 10),
}


@every_type
@pytest.mark.parametrize("how", READS)
def test_a_decoder_that_fails_comes_out_and_keeps_nothing(kind: str, how: str) -> None:
    if (kind, how) == ("ordered_set", "scan"):
        pytest.skip("an ordered table has no cursors that are numbers")
    table = Table(kind, stripes=1)
    thing = Thing()
    table.insert([(1, thing, Moody()), (2, thing)])
    before = sys.getrefcount(thing)
    for _ in range(20):
        with pytest.raises(Refusal):
            READS[how](table)
    assert sys.getrefcount(thing) == before
    assert table.info("fixed") is False
    assert len(table) == 2
    table.check()


@every_type
@pytest.mark.parametrize("name", ["take", "pop"])
def test_a_row_that_cannot_be_decoded_is_not_lost_by_taking_it(kind: str, name: str) -> None:
    table = Table(kind)
    thing = Thing()
    table.insert([(1, thing, Moody()), (2, thing)])
    before = sys.getrefcount(thing)
    for _ in range(3):
        with pytest.raises(Refusal):
            getattr(table, name)(1)
        assert (table.member(1), len(table)) == (True, 2)
    assert sys.getrefcount(thing) == before
    table.check()
    table.delete(1)
    assert len(table) == 1


def test_reference_counts_are_exact_over_many_rows_and_overwrites() -> None:
    table = Table()
    thing = Thing()
    before = sys.getrefcount(thing)
    for turn in range(5):
        table.insert([(key, thing, [thing] * (key % 3)) for key in range(500)])
        table.insert_many((key, thing) for key in range(250, 750))
        for key in range(0, 750, 3):
            table.take(key)
        for key in range(1, 750, 3):
            table.update_element(key, (1, [thing, turn]))
        table.check()
    table.delete_all_objects()
    assert sys.getrefcount(thing) == before


# ---- the cycle collector


@every_type
def test_a_cycle_through_a_table_is_collected(kind: str) -> None:
    table = Table(kind)
    thing = Thing()
    thing.other = table
    refs = weakref.ref(thing), weakref.ref(table)
    table.insert((1, [{"k": thing}]))
    del thing, table
    gc.collect()
    assert gone(*refs)


@every_type
def test_a_table_that_holds_itself_is_collected(kind: str) -> None:
    table = Table(kind)
    ref = weakref.ref(table)
    table.insert((1, table))
    del table
    gc.collect()
    assert gone(ref)


def test_a_cycle_through_two_tables_is_collected_and_one_that_is_held_is_not() -> None:
    a, b = Table(), Table("bag")
    a.insert((1, b, Thing()))
    b.insert((1, a, Thing()))
    refs = weakref.ref(a), weakref.ref(b)
    gc.collect()
    assert a.lookup_element(1, 1) is b
    del b
    gc.collect()
    assert not gone(refs[1])
    assert a.lookup_element(1, 1).lookup_element(1, 1) == [a]
    del a
    gc.collect()
    assert gone(*refs)


def test_the_collector_does_not_take_what_somebody_else_still_holds() -> None:
    table, thing = Table(), Thing()
    thing.other = table
    table.insert((1, thing))
    del table
    gc.collect()
    assert thing.other.lookup_element(1, 1) is thing


def test_a_subclass_with_attributes_takes_part_in_cycles() -> None:
    class Owner(Table):
        me: Any

    owner = Owner()
    owner.me = owner
    owner.insert((1, owner))
    ref = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone(ref)


def test_the_collector_walks_objects_and_not_rows() -> None:
    table = Table()
    gc.collect()
    before = len(gc.get_objects())
    table.insert([(key, [key], {"k": (key,)}) for key in range(10_000)])
    gc.collect()
    assert len(gc.get_objects()) - before < 1000


# ---- finalizers


class Meddler:
    """On its end it uses the table in every way."""

    ended = 0

    def __init__(self, table: Table, key: int) -> None:
        self.table = table
        self.key = key

    def __del__(self) -> None:
        Meddler.ended += 1
        table = self.table
        if table.info() is None:
            return
        table.lookup(self.key)
        table.insert((self.key + 100_000, "from a finalizer"))
        table.delete(self.key + 1)
        table.tab2list()
        table.check()


@every_type
@pytest.mark.parametrize("how", ["delete", "insert", "take", "clear", "drop", "init_table", "iterate"])
def test_a_finalizer_may_use_the_table_that_drops_its_object(kind: str, how: str) -> None:
    table = Table(kind, stripes=1)
    Meddler.ended = 0
    n = 50
    table.insert([(key, Meddler(table, key), "x" * key) for key in range(n)])
    acts: dict[str, Callable[[], object]] = {
        "delete": lambda: [table.delete(key) for key in range(n)],
        "insert": lambda: [(table.delete(key), table.insert([(key, "new") for key in range(n)])) for key in range(n)],
        "take": lambda: [table.take(key) for key in range(n)],
        "clear": table.delete_all_objects,
        "drop": table.delete,
        "init_table": lambda: table.init_table((key, "new") for key in range(n)),
        "iterate": lambda: [table.delete(row[0]) for row in table],
    }
    acts[how]()
    gc.collect()
    if how != "drop":
        for _ in range(3):
            table.lookup(0)
        for key in range(n):
            table.delete(key)
        gc.collect()
        assert Meddler.ended == n
        table.check()
    else:
        assert Meddler.ended == n


@every_type
def test_a_finalizer_may_delete_the_table(kind: str) -> None:
    class Last:
        def __init__(self, table: Table) -> None:
            self.table = table

        def __del__(self) -> None:
            self.table.delete()

    table = Table(kind)
    table.insert([(1, Last(table)), (2, "other")])
    table.delete(1)
    gc.collect()
    assert table.info() is None


@every_type
def test_a_finalizer_that_revives_its_object_finds_it_whole(kind: str) -> None:
    saved: list[Any] = []

    class Phoenix:
        name = "phoenix"

        def __del__(self) -> None:
            saved.append(self)

    table = Table(kind)
    table.insert((1, Phoenix()))
    table.delete(1)
    assert [bird.name for bird in saved] == ["phoenix"]
    table.insert((2, saved[0]))
    assert table.lookup(2)[0][1] is saved[0]
    saved.clear()
    table.delete(2)


@every_type
def test_a_finalizer_may_go_on_with_the_very_iterator_that_drops_its_object(kind: str) -> None:
    """An iterator holds a piece of the rows. When it fetches the next one, the old one's rows may end, and run code."""
    old = _core._knobs(scan_rows=1)
    try:
        table = Table(kind, stripes=1)
        ended = []

        class Greedy:
            def __del__(self) -> None:
                ended.append(next(iterator, None))

        table.insert([(key, Greedy(), key) for key in range(300)])
        iterator = iter(table)
        seen = []
        for row in iterator:
            seen.append(row[0])
            table.delete(row[0])
            del row
        assert len(seen) + sum(row is not None for row in ended) <= 300
        assert len(set(seen)) == len(seen)
        ended.clear()
    finally:
        _core._knobs(**old)


def test_a_chain_of_objects_each_held_by_its_own_table_is_dropped_without_going_deep() -> None:
    inner: Any = None
    for _ in range(20_000):
        table = Table(stripes=1)
        table.insert((1, inner))
        inner = table
    del table
    del inner


# ---- threads


@every_type
@pytest.mark.threads
def test_objects_dropped_by_other_threads_are_released_once(kind: str) -> None:
    table = Table(kind, stripes=2)
    made: list[weakref.ref[Thing]] = []
    lock = threading.Lock()

    def work(me: int) -> None:
        for turn in range(600):
            thing = Thing((me, turn))
            with lock:
                made.append(weakref.ref(thing))
            table.insert((turn % 7, thing, [thing]))
            del thing
            for row in table.lookup((turn + 3) % 7):
                assert isinstance(row[1].name, tuple) and row[2][0] is row[1]
            if turn % 3 == me % 3:
                for row in table.take(turn % 7):
                    assert row[2][0] is row[1]
            row = None

    crew = Crew()
    for me in range(4):
        crew.add(work, me)
    crew.run()
    table.check()
    table.delete_all_objects()
    gc.collect()
    assert gone(*made)


@pytest.mark.threads
def test_the_collector_runs_while_threads_change_a_table_full_of_cycles() -> None:
    table = Table(stripes=2)

    def work(me: int) -> None:
        for turn in range(400):
            thing = Thing()
            thing.other = [table, thing]
            table.insert((turn % 11, thing))
            table.take((turn * 7 + me) % 11)

    def collect() -> None:
        for _ in range(30):
            gc.collect()

    crew = Crew()
    for me in range(3):
        crew.add(work, me)
    crew.add(collect)
    crew.run()
    table.check()


def test_an_object_is_released_when_a_client_deletes_its_row() -> None:
    """Hot commands let rows go without the GIL: the reference is dropped by the loop, right after the batch."""
    table = _core.new("objects that clients delete")
    thing = Thing()
    ref = weakref.ref(thing)
    table.insert([(1, thing), (2, thing)])
    del thing
    try:
        with tsunami_server.background(port=0) as server, redis.Redis(*server.address) as client:
            client.execute_command("ETS.DELETE", "objects that clients delete", "1")
            assert ref() is not None
            client.execute_command("ETS.DELETE", "objects that clients delete", "2")
            wait_until(lambda: ref() is None, "the object to go")
    finally:
        table.delete()
