"""What a table weighs: `info("memory")` is exact, goes back to where it was, at most 44 bytes per (int, int) row.

Not about leaks of the process (test_memory.py): here the table's own account is what is looked at. `check()` compares
that account with what the stripes really hold.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _tabletools import SETS, TYPES, every_hashed, every_type

from tsunami import END_OF_TABLE, Table, _core

Fill = Callable[[Table], object]

FILLS: dict[str, Fill] = {
    "small ints": lambda t: t.insert([(key, key) for key in range(5000)]),
    "text": lambda t: t.insert([(f"key:{key}", "v" * (key % 300)) for key in range(3000)]),
    "nested": lambda t: t.insert([((key, [key]), {"k": [key, {"l": (key,)}]}) for key in range(1000)]),
    "large": lambda t: t.insert([(key, b"x" * 100_000) for key in range(20)]),
    "objects": lambda t: t.insert([(key, object()) for key in range(1000)]),
    "one key": lambda t: t.insert([("k", key) for key in range(3000)]),
    "counters": lambda t: [t.insert([(key, 2**62 + key) for key in range(500)])],
}


def memory(table: Table) -> int:
    value = table.info("memory")
    assert isinstance(value, int)
    return value


@every_type
@pytest.mark.parametrize("stripes", [1, 4, None])
@pytest.mark.parametrize("fill", FILLS)
def test_memory_after_clear_is_that_of_a_fresh_table(kind: str, stripes: int | None, fill: str) -> None:
    table = Table(kind, stripes=stripes)  # type: ignore[arg-type]
    fresh = memory(table)
    assert fresh == memory(Table(kind, stripes=stripes))  # type: ignore[arg-type]
    for _ in range(3):
        FILLS[fill](table)
        assert memory(table) > fresh
        table.check()
        table.delete_all_objects()
        assert memory(table) == fresh
        table.check()


@every_type
@pytest.mark.parametrize("fill", FILLS)
def test_memory_is_the_same_for_the_same_history(kind: str, fill: str) -> None:
    old = _core._knobs(spread=1)  # tables of one order: how full each stripe is depends on it
    try:
        a, b = Table(kind, stripes=4), Table(kind, stripes=4)
    finally:
        _core._knobs(**old)
    FILLS[fill](a)
    FILLS[fill](b)
    assert memory(a) == memory(b)


@every_type
@pytest.mark.parametrize("fill", FILLS)
def test_memory_goes_back_when_rows_are_deleted_one_by_one(kind: str, fill: str) -> None:
    table = Table(kind, stripes=1)
    fresh = memory(table)
    FILLS[fill](table)
    full = memory(table)
    for key in [row[0] for row in table.tab2list()]:
        table.delete(key)
    table.check()
    # A stripe keeps the last page of each size, and a map of a few buckets.
    assert memory(table) - fresh <= min(full - fresh, 40_000)


@every_type
def test_memory_does_not_creep_when_rows_come_and_go(kind: str) -> None:
    table = Table(kind, stripes=2)

    def cycle() -> None:
        for key in range(3000):
            table.insert((key, "v" * (key % 100)))
        for key in range(3000):
            table.take(key)

    cycle()
    cycle()
    settled = memory(table)
    for _ in range(5):
        cycle()
    assert memory(table) <= settled
    table.check()


@every_type
def test_memory_grows_with_the_rows_and_never_shrinks_by_an_insert_beyond_a_finished_growth(kind: str) -> None:
    table = Table(kind, stripes=1)
    rows = 0
    floor = memory(table)
    for _ in range(200):
        table.insert([(rows + n, rows + n) for n in range(50)])
        rows += 50
        assert memory(table) >= floor + rows * 24  # header, key, value: three words at the least
    table.check()


@every_hashed
def test_a_fixed_table_remembers_dead_keys_only_while_it_is_fixed(kind: str) -> None:
    table = Table(kind, stripes=2)
    table.insert((0, 0))
    table.delete(0)
    before = memory(table)
    with table.fixed():
        table.insert([((key, "some text"), "v" * 100) for key in range(2000)])
        for key in range(2000):
            table.delete((key, "some text"))
        table.check()
        assert memory(table) - before > 2000 * 24
    table.check()
    assert memory(table) - before < 50_000
    table.delete_all_objects()
    assert memory(table) == memory(Table(kind, stripes=2))


@every_type
def test_a_fixed_table_remembers_a_dead_key_once(kind: str) -> None:
    table = Table(kind, stripes=1)
    with table.fixed():

        def cycle() -> None:
            for key in range(100):
                table.insert([(key, 1), (key, 2)])
                table.delete(key)

        cycle()
        settled = memory(table)
        for _ in range(50):
            cycle()
        assert memory(table) <= settled
        table.check()


@every_hashed
def test_clearing_a_fixed_table_keeps_its_keys_in_mind_and_nothing_else(kind: str) -> None:
    table = Table(kind, stripes=2)
    fresh = memory(table)
    table.safe_fixtable(True)
    table.insert([(key, "v" * 1000) for key in range(1000)])
    table.delete_all_objects()
    table.check()
    assert table.next(500) is END_OF_TABLE
    assert memory(table) - fresh < 150_000
    table.delete_all_objects()  # dead keys are moved, not lost
    assert table.next(500) is END_OF_TABLE
    table.check()
    table.safe_fixtable(False)
    assert memory(table) - fresh < 20_000
    table.delete_all_objects()
    assert memory(table) == fresh


@pytest.mark.measures
@pytest.mark.parametrize("rows", [100_000, 1_000_000])
@pytest.mark.parametrize("stripes", [1, None])
def test_an_int_int_row_takes_at_most_44_bytes_all_included(rows: int, stripes: int | None) -> None:
    table = Table(stripes=stripes)
    empty = memory(table)
    table.insert_many((key, key) for key in range(rows))
    assert (memory(table) - empty) / rows <= 44
    assert len(table) == rows


@every_type
def test_a_failing_call_costs_no_memory(kind: str) -> None:
    table = Table(kind, stripes=1)
    table.insert([(key, key) for key in range(100)])
    before = memory(table)
    bad: Any = [(key, "x" * 1000) for key in range(1000)] + [()]
    for _ in range(10):
        for call in (table.insert, table.insert_new):
            with pytest.raises(ValueError):
                call(bad)
        assert table.insert_new([(10_000, "x" * 1000), (1, 1)]) is False
    assert memory(table) == before
    table.check()


def test_memory_of_a_row_is_its_share_of_the_table() -> None:
    table = Table(stripes=1)
    assert _core.memory_of(table, 1) is None
    table.insert([(1, 1), (2, "x" * 1000), (3, b"x" * 1_000_000)])
    small, middle, large = (_core.memory_of(table, key) for key in (1, 2, 3))
    assert small is not None and middle is not None and large is not None
    assert 24 <= small <= 64
    assert 1000 <= middle - small + 24 <= 1200
    assert 1_000_000 <= large <= 1_010_000


@every_type
def test_the_account_is_exact_after_every_kind_of_change(kind: str) -> None:
    table = Table(kind, stripes=1)
    sizes = [
        0,
        1,
        5,
        7,
        8,
        9,
        15,
        16,
        17,
        40,
        120,
        121,
        122,
        200,
        248,
        249,
        320,
        330,
        480,
        490,
        500,
        1000,
        5000,
        140_000,
    ]
    for size in sizes:
        table.insert((1, "x" * size))
        table.insert((2, b"y" * size, object()))
        if kind in SETS:
            table.update_element(1, (1, "z" * size))
            table.update_counter("n", 2**size % 2**200, ("n", 0))
        table.check()
    for key in (1, 2, "n"):
        table.delete(key)
        table.check()
    assert len(table) == 0


# ---- no memory

OUT_OF_MEMORY = """
import resource, sys, tsunami
from pathlib import Path

kind, act = sys.argv[1:3]
table = tsunami.Table(kind, stripes=2)
anchors = [(key, "anchor") for key in range(-100, 0)]
table.insert(anchors)
small, large = [(key, key) for key in range(200_000)] * 3, b"x" * 1_000_000
room = int(Path("/proc/self/statm").read_text().split()[0]) * 4096 + 60_000_000
resource.setrlimit(resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
n = 0
try:
    while n < 10_000_000:
        if act == "large rows":
            table.insert((n, large))
        elif act == "small rows":
            table.insert((n, n, n, n))
        elif act == "one key":
            table.insert(("k", n, n, n))
        elif act == "a list of large rows":
            table.insert([(key, large) for key in range(100)])
        elif act == "a list of small rows":
            table.insert_new(small)
        elif act == "an update":
            table.update_element(-1, [(1, large * n)])
        n += 1
except MemoryError:
    print("MemoryError")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
table.check()
if act.endswith("rows") or act == "one key":
    assert len(table) == 100 + (0 if "list" in act else n), "half of a call was done"
    assert all(table.lookup(row[0]) == [row] for row in anchors)
    assert not n or table.member("k" if act == "one key" else n - 1)
    assert not table.member(n)
table.delete_all_objects()
table.insert(small)
table.check()
"""


@pytest.mark.measures
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("kind", "act"),
    [
        *((kind, act) for kind in TYPES for act in ("large rows", "a list of large rows", "a list of small rows")),
        ("set", "small rows"),
        ("set", "an update"),
        ("bag", "one key"),
        ("duplicate_bag", "one key"),
    ],
)
def test_a_call_without_memory_raises_and_changes_nothing(kind: str, act: str) -> None:
    command = [sys.executable, "-c", OUT_OF_MEMORY, kind, act]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "MemoryError\n", "")
