"""What the engine tells of memory and use: bytes in use by all tables, samples of rows, LFU counters.

Eviction, which is made of these, is in test_eviction.py.
"""

import gc
import random
from collections.abc import Iterator

import pytest

import tsunami
from tsunami import Table, _core, _wire, keyspace

BASE_MS = 1_800_000_000_000


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    told_by_tables()  # the keyspaces are made
    yield
    _core._knobs(clock_ms=0)
    _core.use_counting(False)
    _core.quiet(False)
    _core.memory_meter(False)
    for db in range(16):
        keyspace(db).delete_all_objects()


def told_by_tables() -> int:
    """Bytes that the tables themselves say they hold."""
    gc.collect()
    tables = [*_core.all(), *(keyspace(db) for db in range(16))]
    return sum(int(table.info("memory")) for table in tables)  # type: ignore[call-overload]


def churn(table: Table, rounds: int, seed: int) -> None:
    """Rows of all sizes come and go: pages, blocks, growing maps, deadlines, objects."""
    rng = random.Random(seed)
    bag = table.info("type") in ("bag", "duplicate_bag")
    for i in range(rounds):
        key = rng.randrange(300)
        if rng.random() < 0.35:
            table.delete(key)
        else:
            value: object = object() if rng.random() < 0.05 else "x" * rng.choice((0, 5, 40, 200, 700, 5000))
            table.insert((key, value, i if bag and rng.random() < 0.5 else 0))


@pytest.mark.parametrize("kind", ["set", "ordered_set", "bag", "duplicate_bag"])
@pytest.mark.parametrize("metered_first", [False, True])
def test_bytes_in_use_are_what_the_tables_say(kind: str, metered_first: bool) -> None:
    if metered_first:
        _core.memory_meter(True)
    table = Table(kind)
    churn(table, 2000, 1)
    _core.memory_meter(True)
    churn(table, 2000, 2)
    used, held = _core.memory()
    assert held == told_by_tables()
    _core.memory_meter(False)  # now it is asked by a walk, not by the counter
    assert _core.memory() == (used, held)
    table.delete_all_objects()
    assert _core.memory()[1] == told_by_tables()
    churn(table, 500, 3)
    with table.fixed():
        churn(table, 500, 4)
        assert _core.memory()[1] == told_by_tables()
    table.delete()
    del table
    assert _core.memory()[1] == told_by_tables()


def test_a_row_counts_with_exactly_what_it_takes() -> None:
    _core.memory_meter(True)
    table = keyspace(0)
    for i in range(64):  # maps and pages there
        table.insert((b"warm:%d" % i, b"x" * 20))
    before = _core.memory()[0]
    table.insert((b"warm:0", b"x" * 2000))
    grown = _core.memory()[0] - before
    size = _core.memory_of(table, b"warm:0")
    other = _core.memory_of(table, b"warm:1")
    assert size is not None and other is not None
    assert grown == size - other
    table.delete(b"warm:0")
    assert _core.memory()[0] == before - other + 8  # its slot in the map stays: that is no row


def test_samples_touch_nothing_and_tell_what_is_asked() -> None:
    _core._knobs(clock_ms=BASE_MS)
    table = keyspace(1)
    for i in range(200):
        table.insert((b"k%d" % i, b"v"))
    _core.commit([], [(table, (b"timed", b"v"), BASE_MS + 60_000)], [])
    _core._knobs(clock_ms=BASE_MS + 30_000)
    found = _core.sample(table, 10, False)
    assert len(found) == 10
    assert {idle for _, idle, _, _ in found} == {30}
    assert _core.idle_seconds(table, b"k0") == 30
    assert _core.sample(table, 10, True) == [(b"timed", 30, 0, BASE_MS + 60_000)]
    assert _core.sample(keyspace(2), 10, False) == []


def test_samples_come_from_everywhere() -> None:
    table = keyspace(1)
    for i in range(1000):
        table.insert((i, b"v"))
    seen = {key for _ in range(2000) for key, *_ in _core.sample(table, 5, False)}
    assert len(seen) > 950


def test_few_rows_with_a_deadline_are_found_among_many_without() -> None:
    table = keyspace(1)
    table.insert([(i, b"v") for i in range(20_000)])
    deadline = _wire.now_ms() + 10**7
    _core.commit([], [(table, (b"t%d" % i, b"v"), deadline + i) for i in range(5)], [])
    seen = {key for _ in range(300) for key, *_ in _core.sample(table, 5, True)}
    assert seen == {b"t%d" % i for i in range(5)}


def test_use_counters_grow_with_use_and_fall_with_time() -> None:
    _core._knobs(clock_ms=BASE_MS)
    _core.use_counting(True, 10, 1)
    table = keyspace(1)
    table.insert([(b"often", b"v"), (b"once", b"v")])
    assert _core.use_of(table, b"once") == 5 and _core.use_of(table, b"none") is None
    for _ in range(2000):
        table.lookup(b"often")
    often = _core.use_of(table, b"often")
    assert often is not None and 12 <= often <= 40  # Redis: 1000 hits bring about 18 with factor 10
    _core._knobs(clock_ms=BASE_MS + 4 * 60_000)
    assert _core.use_of(table, b"often") == often - 4 and _core.use_of(table, b"once") == 1
    table.insert((b"often", b"another"))  # a row that replaces another is used as much as that
    assert _core.use_of(table, b"often") in (often - 4, often - 3)


def test_a_quiet_access_leaves_no_trace() -> None:
    _core._knobs(clock_ms=BASE_MS)
    table = keyspace(1)
    table.insert((b"k", b"v"))
    _core._knobs(clock_ms=BASE_MS + 50_000)
    _core.quiet(True)
    assert table.lookup(b"k") == [(b"k", b"v")]
    assert _core.idle_seconds(table, b"k") == 50
    _core.quiet(False)
    table.lookup(b"k")
    assert _core.idle_seconds(table, b"k") == 0


def test_use_can_be_set() -> None:
    _core.use_counting(True)
    table = keyspace(1)
    table.insert((b"k", b"v"))
    assert _core.use_set(table, b"k", 100, 77)
    assert _core.idle_seconds(table, b"k") == 100 and _core.use_of(table, b"k") == 77
    assert not _core.use_set(table, b"none", 1, 1)


def test_samples_of_other_types_are_refused() -> None:
    with pytest.raises(tsunami.TsunamiError):
        _core.sample(Table("ordered_set"), 1, False)
