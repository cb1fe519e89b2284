"""entry and commit, deadlines, swap, random_row: what the server's commands of several steps stand on.

Claims: commit is all or nothing over any number of tables, compares rows exactly and deadlines too; a row past its
deadline is never seen by any function; swap exchanges everything. The time is set by a knob: nothing here waits.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from _support import effort
from _tabletools import alike, every_bag, fails
from hypothesis import given, settings
from hypothesis import strategies as st

from tsunami import BadArgument, BadType, NoSuchTable, Table, _core

commit, entry = _core.commit, _core.entry
NOW = 1_700_000_000_000


class Clock:
    def set(self, ms: int) -> None:
        _core._knobs(clock_ms=ms)


@pytest.fixture
def clock() -> Iterator[Clock]:
    old = _core._knobs(clock_ms=NOW)
    yield Clock()
    _core._knobs(**old)


# ---- entry and commit


def test_entry_is_the_row_and_its_deadline() -> None:
    table = Table()
    assert entry(table, 1) is None
    table.insert((1, "a"))
    assert entry(table, 1) == ((1, "a"), None)


def test_commit_puts_and_erases_when_every_check_holds() -> None:
    a, b = Table(), Table("set", keypos=1)
    a.insert([(1, "a"), (2, "b")])
    b.insert(("x", 1))
    checks = [(a, 1, (1, "a"), None), (a, 3, None, None), (b, 1, ("x", 1), None), (b, 2, None, None)]
    assert commit(checks, [(a, (3, "c"), None), (b, ("y", 2), None), (b, ("z", 1), None)], [(a, 1), (a, 99)]) is True
    assert alike(a.tab2list(), [(2, "b"), (3, "c")])
    assert alike(b.tab2list(), [("z", 1), ("y", 2)])
    a.check()
    b.check()


@pytest.mark.parametrize(
    "wrong",
    [
        (1, (1, "b"), None),
        (1, (1.0, "a"), None),
        (1, (1, "a", 0), None),
        (1, None, None),
        (2, (2, "a"), None),
        (1, (1, "a"), 5),
    ],
    ids=repr,
)
def test_commit_changes_nothing_when_one_check_fails(wrong: Any) -> None:
    a, b = Table(), Table()
    a.insert((1, "a"))
    key, row, deadline = wrong
    checks: list[Any] = [(b, 1, None, None), (a, key, row, deadline), (b, 2, None, None)]
    assert commit(checks, [(a, (9, "new"), None), (b, (9, "new"), None)], [(a, 1)]) is False
    assert (a.tab2list(), b.tab2list()) == ([(1, "a")], [])


def test_commit_compares_rows_exactly() -> None:
    table = Table()
    table.insert((1, 1, 0.0, "text"))
    for other in [(1, 1.0, 0.0, "text"), (1, True, 0.0, "text"), (1, 1, -0.0, "text"), (1, 1, 0, "text")]:
        assert commit([(table, 1, other, None)], [], []) is False
    assert commit([(table, 1, (1, 1, 0.0, b"text"), None)], [], []) is True  # text and bytes are one term


def test_commit_of_nothing_is_true() -> None:
    assert commit([], [], []) is True


def test_commit_refuses_what_is_no_row_and_changes_nothing() -> None:
    table = Table()
    bad_puts: list[Any] = [(), (object(), 1), (float("nan"), 1), 1, None]
    for bad in bad_puts:
        with pytest.raises((BadArgument, BadType)):
            commit([], [(table, (1, "a"), None), (table, bad, None)], [])
        assert len(table) == 0
    with pytest.raises((BadArgument, BadType)):
        commit([(table, object(), None, None)], [(table, (1,), None)], [])
    with pytest.raises(TypeError):
        commit([], [(1, (1,), None)], [])  # type: ignore[list-item]
    assert len(table) == 0


def test_commit_on_a_deleted_table_changes_no_other_table() -> None:
    table, gone = Table(), Table()
    gone.delete()
    for checks, puts, erases in [
        ([(gone, 1, None, None)], [(table, (1,), None)], []),
        ([], [(table, (1,), None), (gone, (1,), None)], []),
        ([], [(table, (1,), None)], [(gone, 1)]),
    ]:
        with fails(NoSuchTable, "id"):
            commit(checks, puts, erases)
        assert len(table) == 0


@every_bag
def test_commit_and_entry_are_for_sets(kind: str) -> None:
    bag = Table(kind)
    with pytest.raises(BadArgument):
        entry(bag, 1)
    with pytest.raises(BadArgument):
        commit([], [(bag, (1,), None)], [])
    assert len(bag) == 0


def test_commit_over_a_thousand_keys() -> None:
    tables = [Table(stripes=4) for _ in range(5)]
    puts = [(tables[key % 5], (key, "v"), None) for key in range(1000)]
    assert commit([(t, key, None, None) for t, (key, _), _ in puts], puts, []) is True
    assert [len(table) for table in tables] == [200] * 5
    assert commit([(t, row[0], row, None) for t, row, _ in puts], [], [(t, row[0]) for t, row, _ in puts]) is True
    assert [len(table) for table in tables] == [0] * 5
    for table in tables:
        table.check()


# ---- deadlines


def test_a_row_keeps_its_deadline_until_it_is_put_again(clock: Clock) -> None:
    table = Table()
    commit([], [(table, (1, 10), NOW + 5)], [])
    assert entry(table, 1) == ((1, 10), NOW + 5)
    assert table.update_counter(1, 1) == 11
    assert table.update_element(1, (1, 12)) is True
    assert entry(table, 1) == ((1, 12), NOW + 5)
    assert commit([(table, 1, (1, 12), NOW + 5)], [(table, (1, 13), NOW + 7)], []) is True
    assert entry(table, 1) == ((1, 13), NOW + 7)
    table.insert((1, 14))
    assert entry(table, 1) == ((1, 14), None)
    table.check()


READS: dict[str, Any] = {
    "lookup": (lambda t: t.lookup(1), []),
    "lookup_many": (lambda t: t.lookup_many([1]), [[]]),
    "lookup_element": (lambda t: t.lookup_element(1, 1, "default"), "default"),
    "member": (lambda t: t.member(1), False),
    "member_many": (lambda t: t.member_many([1]), [False]),
    "in": (lambda t: 1 in t, False),
    "get": (lambda t: t.get(1), None),
    "take": (lambda t: t.take(1), []),
    "pop": (lambda t: t.pop(1, None), None),
    "entry": (lambda t: entry(t, 1), None),
    "first": (lambda t: t.first(), _core.END_OF_TABLE),
    "tab2list": (lambda t: t.tab2list(), []),
    "iter": (lambda t: list(t), []),
    "foldl": (lambda t: t.foldl(lambda row, acc: [row], []), []),
    "scan": (lambda t: _core.scan(t, 0, 100), (0, [])),
    "random_row": (lambda t: _core.random_row(t), None),
    "insert_new": (lambda t: t.insert_new((1, "new")), True),
    "update_element": (lambda t: t.update_element(1, (1, 2)), False),
    "update_counter": (lambda t: t.update_counter(1, 1, (1, 100)), 101),
    "commit": (lambda t: commit([(t, 1, None, None)], [], []), True),
    "memory_of": (lambda t: _core.memory_of(t, 1), None),
}


@pytest.mark.parametrize("function", READS)
def test_a_row_is_not_seen_from_its_deadline_on(clock: Clock, function: str) -> None:
    read, nothing = READS[function]
    table = Table(stripes=1)
    commit([], [(table, (1, 10), NOW + 1000)], [])
    clock.set(NOW + 999)
    assert table.lookup(1) == [(1, 10)]
    clock.set(NOW + 1000)
    assert read(table) == nothing
    table.check()


def test_a_row_put_with_a_deadline_that_has_passed_is_not_there(clock: Clock) -> None:
    table = Table()
    table.insert((1, "old"))
    assert commit([], [(table, (1, "dead"), NOW - 1)], []) is True
    assert (table.lookup(1), table.tab2list()) == ([], [])
    table.check()


def test_expire_erases_what_is_due_within_its_budget_and_tells_how_late_it_is(clock: Clock) -> None:
    table = Table(stripes=2)
    commit([], [(table, (key, "x"), NOW + 10 + key) for key in range(100)], [])
    table.insert([(key, "stays") for key in range(1000, 1100)])
    assert _core.expire(table, NOW) == (0, 0)
    now = NOW + 60
    clock.set(now)
    erased, worst = 0, 0
    while True:
        some, lateness = _core.expire(table, now, 10)
        assert some <= 10
        erased, worst = erased + some, max(worst, lateness)
        if some == 0:
            break
    assert erased == 51
    assert worst == now - (NOW + 10)
    assert len(table) == 200 - erased
    clock.set(NOW + 10**6)
    while _core.expire(table, NOW + 10**6)[0]:
        pass
    assert alike(table.tab2list(), [(key, "stays") for key in range(1000, 1100)])
    assert len(table) == 100
    table.check()


@pytest.mark.parametrize("ahead", [1, 63, 64, 65, 511, 512, 513, 4095, 4096, 10**5, 10**7, 10**8])
def test_deadlines_near_and_far_are_kept(clock: Clock, ahead: int) -> None:
    table = Table(stripes=1)
    commit([], [(table, (1, "x"), NOW + ahead)], [])
    clock.set(NOW + ahead - 1)
    assert _core.expire(table, NOW + ahead - 1)[0] == 0
    assert entry(table, 1) == ((1, "x"), NOW + ahead)
    table.check()
    clock.set(NOW + ahead)
    assert _core.expire(table, NOW + ahead) == (1, 0)
    assert len(table) == 0
    table.check()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("years", [1, 17, 18, 60, 1000])
def test_a_clock_that_leaps_ahead_by_years_holds_nobody_up(clock: Clock, years: int) -> None:
    """A machine without a battery boots in 1970 and is told the time later."""
    table = Table(stripes=1)
    leap = years * 365 * 86_400_000
    commit([], [(table, (1, "soon"), NOW + 1000), (table, (2, "far"), NOW + 2 * leap)], [])
    clock.set(NOW + leap)
    assert _core.expire(table, NOW + leap)[0] == 1
    assert table.tab2list() == [(2, "far")]
    table.check()
    clock.set(NOW + 2 * leap)
    assert _core.expire(table, NOW + 2 * leap) == (1, 0)
    assert len(table) == 0
    table.check()


@given(st.data())
@settings(max_examples=effort(40))
def test_every_row_is_erased_at_its_deadline_however_time_goes(data: st.DataObject) -> None:
    """Deadlines of all magnitudes, set, moved and forgotten, while time goes on in steps of all magnitudes."""
    steps = st.integers(0, 24).flatmap(lambda bits: st.integers(0, 2**bits))
    old = _core._knobs(clock_ms=NOW)
    try:
        table = Table(stripes=1)
        now = NOW
        due: dict[int, int] = {}
        for key in range(data.draw(st.integers(1, 30))):
            match data.draw(st.integers(0, 5)):
                case 0 | 1 | 2:
                    due[key] = now + 1 + data.draw(steps)
                    commit([], [(table, (key, "x"), due[key])], [])
                case 3 if due:
                    moved = data.draw(st.sampled_from(sorted(due)))
                    due[moved] = now + 1 + data.draw(steps)
                    commit([], [(table, (moved, "moved"), due[moved])], [])
                case 4 if due:
                    forgotten = data.draw(st.sampled_from(sorted(due)))
                    del due[forgotten]
                    table.delete(forgotten)
                case _:
                    now += data.draw(steps)
                    _core._knobs(clock_ms=now)
                    while _core.expire(table, now, 3)[0]:
                        pass
                    due = {key: deadline for key, deadline in due.items() if deadline > now}
                    assert len(table) == len(due)
                    assert sorted(row[0] for row in table.tab2list()) == sorted(due)
            table.check()
    finally:
        _core._knobs(**old)


def test_a_row_with_a_deadline_leaves_no_trace_in_the_account(clock: Clock) -> None:
    table = Table(stripes=1)
    fresh = table.info("memory")
    for turn in range(3):
        commit([], [(table, (key, "x" * key), NOW + turn * 10_000 + key) for key in range(300)], [])
        clock.set(NOW + turn * 10_000 + 5000)
        while _core.expire(table, NOW + turn * 10_000 + 5000)[0]:
            pass
        assert len(table) == 0
        table.check()
    table.delete_all_objects()
    assert table.info("memory") == fresh


# ---- swap, random_row


def test_swap_exchanges_the_rows_of_two_keyspaces(clock: Clock) -> None:
    a, b = _core.keyspace(14), _core.keyspace(15)
    a.delete_all_objects()
    b.delete_all_objects()
    try:
        a.insert([(b"a", b"1"), (b"both", b"a")])
        commit([], [(b, (b"b", b"2"), NOW + 50), (b, (b"both", b"b"), None)], [])
        _core.swap(a, b)
        assert alike(a.tab2list(), [(b"b", b"2"), (b"both", b"b")])
        assert alike(b.tab2list(), [(b"a", b"1"), (b"both", b"a")])
        assert entry(a, b"b") == ((b"b", b"2"), NOW + 50)
        a.check()
        b.check()
        clock.set(NOW + 50)
        assert _core.expire(a, NOW + 50) == (1, 0)
        assert _core.expire(b, NOW + 50) == (0, 0)
        _core.swap(a, a)
        assert len(a) == 1
    finally:
        a.delete_all_objects()
        b.delete_all_objects()


def test_a_random_row_is_any_row_and_every_row_has_its_turn() -> None:
    table = Table(stripes=4)
    assert _core.random_row(table) is None
    table.insert([(key, -key) for key in range(20)])
    seen = Counter(_core.random_row(table) for _ in range(4000))
    assert set(seen) == {(key, -key) for key in range(20)}
    table.delete_all_objects()
    table.insert((1, 2))
    assert _core.random_row(table) == (1, 2)


def test_idle_seconds_counts_from_the_last_access_in_a_keyspace(clock: Clock) -> None:
    space = _core.keyspace(13)
    space.delete_all_objects()
    try:
        space.insert((b"k", b"v"))
        clock.set(NOW + 10_000)
        assert _core.idle_seconds(space, b"k") == 10
        assert _core.idle_seconds(space, b"k") == 10  # asking is no access
        space.lookup(b"k")
        assert _core.idle_seconds(space, b"k") == 0
        assert _core.idle_seconds(space, b"absent") is None
    finally:
        space.delete_all_objects()
