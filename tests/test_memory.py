"""No leaks: the process weighs the same after the thousandth call as after the hundredth, however the call ends.

Not the table's own account (test_table_memory.py): here it is the process that is weighed, by its resident pages, by
Python's own blocks (`sys.getallocatedblocks`), and by the objects that the collector knows. Every operation is run on a
table that comes back to where it was; a kilobyte a call that leaked, or one Python object in four calls, would show.
"""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _support import effort
from _tabletools import every_type

import tsunami
from tsunami import Table, TsunamiError, _core

STATM = Path("/proc/self/statm")
TURNS = 400
Act = Callable[[Table], object]


def resident() -> int:
    return int(STATM.read_text().split()[1]) * 4096


class Thing:
    pass


BAD: Any = object()
TEXT = "x" * 300
NESTED = ("k", [1, {"a": (2.5, TEXT)}], 2**100)

ACTS: dict[str, Act] = {
    "insert": lambda t: t.insert((1, TEXT)),
    "insert a list": lambda t: t.insert([(key, TEXT) for key in range(30)]),
    "insert objects": lambda t: t.insert([(key, Thing(), [Thing()]) for key in range(10)]),
    "insert nested": lambda t: t.insert([(key, NESTED) for key in range(10)]),
    "insert nested keys": lambda t: t.insert([((key, NESTED), 1) for key in range(10)]),
    "insert wide": lambda t: t.insert(tuple(range(500))),
    "insert huge": lambda t: t.insert((1, b"x" * 200_000)),
    "insert fails": lambda t: t.insert([(1, TEXT, Thing()), (2, NESTED), BAD]),
    "insert fails in the key": lambda t: t.insert([(1, TEXT), ((NESTED, BAD), 2)]),
    "insert nan": lambda t: t.insert((float("nan"), TEXT)),
    "insert_new": lambda t: t.insert_new([(1, TEXT), (2, Thing())]),
    "insert_new says no": lambda t: (t.insert((2,)), t.insert_new([(1, TEXT, Thing()), (2, NESTED)])),
    "insert_many": lambda t: t.insert_many((key, TEXT) for key in range(50)),
    "insert_many fails": lambda t: t.insert_many([(1, TEXT), (2, Thing()), BAD]),
    "lookup": lambda t: (t.insert((1, NESTED, Thing())), [t.lookup(1) for _ in range(20)]),
    "lookup fails": lambda t: t.lookup((NESTED, BAD)),
    "lookup_many": lambda t: (t.insert((1, NESTED)), t.lookup_many([1, 2, NESTED] * 10)),
    "lookup_many fails": lambda t: (t.insert((1, NESTED)), t.lookup_many([1, 1, 1, BAD])),
    "lookup_element": lambda t: (t.insert((1, NESTED)), [t.lookup_element(1, 1) for _ in range(20)]),
    "lookup_element fails": lambda t: t.lookup_element(NESTED, 7),
    "member": lambda t: [t.member(NESTED) for _ in range(20)],
    "member_many": lambda t: t.member_many([NESTED, 1, TEXT] * 10),
    "take": lambda t: (t.insert((NESTED, Thing())), t.take(NESTED)),
    "delete_object": lambda t: (t.insert((1, NESTED)), t.delete_object((1, NESTED))),
    "update_counter": lambda t: t.update_counter(1, [(1, 2**70), (1, -(2**70))], (1, 2**65)),
    "update_counter fails": lambda t: t.update_counter(1, [(1, 2**70), (2, 1)], (1, 2**65, NESTED)),
    "update_element": lambda t: (t.insert((1, 2, 3)), t.update_element(1, [(1, NESTED), (2, Thing())])),
    "update_element fails": lambda t: (t.insert((1, 2, 3)), t.update_element(1, [(1, NESTED), (2, Thing()), (9, 1)])),
    "init_table": lambda t: t.init_table((key, NESTED) for key in range(10)),
    "first and next": lambda t: (t.insert([(NESTED,), (TEXT,)]), t.next(t.first()), t.first_lookup()),
    "next fails": lambda t: t.next(NESTED),
    "slot": lambda t: (t.insert([(NESTED,), (TEXT,)]), t.slot(0)),
    "slot fails": lambda t: t.slot(-1),
    "tab2list": lambda t: (t.insert([(NESTED, Thing())]), t.tab2list()),
    "iterate half way": lambda t: (t.insert([(key, NESTED) for key in range(20)]), next(iter(t))),
    "fold": lambda t: (t.insert([(NESTED, Thing())]), t.foldl(lambda row, acc: row, None)),
    "fold fails": lambda t: (t.insert([(NESTED, Thing())]), t.foldr(lambda row, acc: t.lookup(BAD), None)),
    "graves": lambda t: (
        t.insert([((key, NESTED), 1) for key in range(10)]),
        t.safe_fixtable(True),
        [t.delete((key, NESTED)) for key in range(10)],
        t.safe_fixtable(False),
    ),
    "scan": lambda t: (t.insert([(key, NESTED) for key in range(20)]), _core.scan(t, 0, 5)),
    "commit": lambda t: (
        _core.commit([(t, 1, None, None)], [(t, (1, NESTED), 10**13), (t, (2, Thing()), None)], [(t, 3)]),
        _core.entry(t, 1),
    ),
    "commit says no": lambda t: _core.commit([(t, 1, (1, NESTED), None)], [(t, (1, NESTED), None)], []),
    "commit fails": lambda t: _core.commit([(t, 1, (1, NESTED), None)], [(t, (1, Thing()), None), (t, BAD, None)], []),
    "setitem": lambda t: t.__setitem__(1, (1, NESTED)),
    "setitem fails": lambda t: t.__setitem__(2, (1, NESTED)),
    "getitem fails": lambda t: t[NESTED],
    "pop": lambda t: (t.insert((1, Thing())), t.pop(1), t.pop(NESTED, None)),
    "info": lambda t: (t.info(), t.info("size")),
    "info fails": lambda t: t.info("colour"),
    "repr": lambda t: repr(t),
    "a new table": lambda t: Table("bag", stripes=2).insert([(key, NESTED, Thing()) for key in range(10)]),
    "a new table that is deleted": lambda t: [(x.insert((1, Thing())), x.delete()) for x in [Table()]],
    "a table in a cycle": lambda t: [x.insert((1, x)) for x in [Table(stripes=1)]],
    "a table that fails": lambda t: Table("heap"),  # type: ignore[arg-type]
    "a named table": lambda t: [x.delete() for x in [tsunami.new("test_memory")]],
    "a name in use": lambda t: [(_named(), x.delete()) for x in [tsunami.new("test_memory")]],
    "rename": lambda t: [(x.rename("test_memory 2"), x.delete()) for x in [tsunami.new("test_memory")]],
    "whereis": lambda t: tsunami.whereis("nobody"),
}


def _named() -> None:
    try:
        tsunami.new("test_memory")
    except TsunamiError:
        return


def attempt(act: Act, table: Table) -> None:
    try:
        act(table)
    except TsunamiError:
        pass
    table.delete_all_objects()


@pytest.mark.measures
@pytest.mark.skipif(not STATM.exists(), reason="needs /proc")
@every_type
@pytest.mark.parametrize("name", ACTS)
def test_a_call_leaves_nothing_behind(kind: str, name: str) -> None:
    act = ACTS[name]
    table = Table(kind, stripes=2)
    turns = effort(TURNS)
    for _ in range(turns):  # whatever is made once is made now
        attempt(act, table)
    gc.collect()
    memory, blocks, objects = resident(), sys.getallocatedblocks(), len(gc.get_objects())
    for _ in range(turns):
        attempt(act, table)
    gc.collect()
    assert len(gc.get_objects()) - objects < 50
    assert sys.getallocatedblocks() - blocks < turns // 4, "Python objects are left behind"
    assert resident() - memory < max(300_000, turns * 500), "memory is left behind"


@pytest.mark.measures
@pytest.mark.skipif(not STATM.exists(), reason="needs /proc")
@every_type
def test_a_table_s_memory_goes_back_to_the_process_when_it_goes(kind: str) -> None:
    def once() -> None:
        table = Table(kind)
        table.insert_many((key, "x" * 50) for key in range(100_000))

    once()
    gc.collect()
    before = resident()
    for _ in range(5):
        once()
    gc.collect()
    assert resident() - before < 10_000_000


@pytest.mark.measures
@pytest.mark.skipif(not STATM.exists(), reason="needs /proc")
@every_type
def test_clearing_a_table_gives_its_pages_to_the_next_one(kind: str) -> None:
    tables = [Table(kind) for _ in range(4)]

    def turn(table: Table) -> None:
        table.insert_many((key, key) for key in range(100_000))
        table.delete_all_objects()

    turn(tables[0])
    before = resident()
    for table in tables:
        turn(table)
    assert resident() - before < 8_000_000


@every_type
def test_atoms_are_kept_once(kind: str) -> None:
    table = Table(kind)
    atoms = [tsunami.Atom(f"test_memory {n}") for n in range(100)]
    blocks = sys.getallocatedblocks()
    for _ in range(20):
        for atom in atoms:
            table.insert((atom, atom))
            assert table.lookup(atom)[0][1] is atom
        table.delete_all_objects()
        assert all(tsunami.Atom(f"test_memory {n}") is atoms[n] for n in range(100))
    assert sys.getallocatedblocks() - blocks < 200
