"""Walks: first, next and their lookups, slot, tab2list, folds, iteration, cursors; and what fixing a table promises.

ETS's rules by example. A walk goes in hash order, which no test here takes for granted: what is claimed is that every
way to enumerate a table gives every row once, that they agree, and what changes do to a walk under way.
"""

import itertools
from typing import Any

import pytest
from _tabletools import BAGS, CONFUSABLE, alike, every_hashed, every_type, fails, slots, walked
from model import exact_key

import tsunami
from tsunami import END_OF_TABLE, Atom, BadArgument, BadKey, BadType, Table, _core


def filled(kind: str, keys: int = 100, **options: Any) -> Table:
    table = Table(kind, **options)  # type: ignore[arg-type]
    table.insert([(key, turn) for turn in range(2) for key in range(keys)])
    return table


# ---- every way to enumerate a table


@every_type
def test_an_empty_table_ends_at_once(kind: str) -> None:
    table = Table(kind)
    assert END_OF_TABLE is Atom("$end_of_table")
    assert [table.first(), table.last(), table.first_lookup(), table.last_lookup()] == [END_OF_TABLE] * 4
    assert (list(table), table.tab2list(), slots(table)) == ([], [], [])


@every_type
@pytest.mark.parametrize("stripes", [1, 2, 8, None])
@pytest.mark.parametrize("keys", [1, 2, 7, 100, 3000])
def test_every_enumeration_gives_every_row_once(kind: str, stripes: int | None, keys: int) -> None:
    table = filled(kind, keys, stripes=stripes)
    rows = table.tab2list()
    expected = [(key, turn) for key in range(keys) for turn in ((0, 1) if kind in BAGS else (1,))]
    assert alike(rows, expected)
    assert list(table) == rows
    assert alike(slots(table), rows)
    assert table.foldl(lambda row, acc: [*acc, row], []) == rows if keys <= 100 else True
    assert sorted(walked(table)) == list(range(keys))
    assert [row[0] for row in rows if row[1] == 1] == walked(table)


@every_hashed
def test_a_walk_goes_over_keys_that_are_easily_confused(kind: str) -> None:
    table = Table(kind)
    table.insert([(key,) for key in CONFUSABLE])
    assert len(table) == len(CONFUSABLE)
    assert sorted(map(repr, map(exact_key, walked(table)))) == sorted(map(repr, map(exact_key, CONFUSABLE)))


@every_hashed
def test_last_is_first_and_prev_is_next(kind: str) -> None:
    table = filled(kind)
    assert table.last() == table.first()
    assert table.last_lookup() == table.first_lookup()
    for key in range(100):
        assert table.prev(key) == table.next(key)
        assert table.prev_lookup(key) == table.next_lookup(key)


@every_type
def test_the_lookups_give_the_key_with_all_its_rows(kind: str) -> None:
    table = filled(kind)
    key = table.first()
    assert table.first_lookup() == (key, table.lookup(key))
    for key in range(100):
        following = table.next(key)
        expected: Any = following if following is END_OF_TABLE else (following, table.lookup(following))
        assert table.next_lookup(key) == expected


@every_hashed
@pytest.mark.parametrize("function", ["next", "prev", "next_lookup", "prev_lookup"])
def test_next_fails_when_the_key_is_not_there(kind: str, function: str) -> None:
    table = filled(kind)
    for absent in (100, 1.0, True, "1", END_OF_TABLE):
        for fix in (False, True):
            table.safe_fixtable(fix)
            with pytest.raises(BadKey, match=r"100|1\.0|True|'1'|end_of_table"):
                getattr(table, function)(absent)


@every_type
def test_slots_end_and_one_index_further_is_an_error(kind: str) -> None:
    table = filled(kind)
    index = 0
    while table.slot(index) is not END_OF_TABLE:
        index += 1
    with fails(BadArgument):
        table.slot(index + 1)
    for bad in (-1, 2**31, 2**63, 2**64, -(2**64)):
        with fails(BadArgument):
            table.slot(bad)
    for wrong in (1.0, "1", None, True):
        with fails(BadType):
            table.slot(wrong)  # type: ignore[arg-type]


@every_type
def test_the_rows_of_a_key_stay_together_in_every_enumeration(kind: str) -> None:
    table = Table(kind)
    table.insert([(key, turn) for turn in range(10) for key in range(50)])
    for rows in (table.tab2list(), slots(table), list(table)):
        keys = [row[0] for row in rows]
        assert [key for i, key in enumerate(keys) if i == 0 or keys[i - 1] != key] == walked(table)
        if kind in BAGS:
            assert all([turn for k, turn in rows if k == key] == list(range(10)) for key in range(50))


@every_type
def test_folds_take_the_row_and_what_has_come_so_far(kind: str) -> None:
    table = filled(kind, 10)
    rows = table.tab2list()
    assert table.foldl(lambda row, acc: acc + [row], []) == rows
    assert alike(table.foldr(lambda row, acc: acc + [row], []), rows)
    assert table.foldl(lambda row, acc: acc + row[1], 0) == sum(row[1] for row in rows)
    marker = object()
    assert Table(kind).foldl(lambda row, acc: None, marker) is marker


@pytest.mark.parametrize("kind", ["bag", "duplicate_bag"])
def test_foldr_has_the_rows_of_a_key_youngest_first(kind: str) -> None:
    table = Table(kind)  # type: ignore[arg-type]
    table.insert([("a", 1), ("a", 2), ("a", 3)])
    assert table.foldl(lambda row, acc: [*acc, row[1]], []) == [1, 2, 3]
    assert table.foldr(lambda row, acc: [*acc, row[1]], []) == [3, 2, 1]


@every_type
def test_an_exception_in_a_fold_comes_out_and_leaves_the_table_unfixed(kind: str) -> None:
    table = filled(kind)

    def stumble(row: Any, acc: Any) -> Any:
        raise ZeroDivisionError

    for fold in (table.foldl, table.foldr):
        with pytest.raises(ZeroDivisionError):
            fold(stumble, None)
    assert table.info("fixed") is False
    table.check()


@every_type
def test_a_fold_may_change_the_table_and_each_row_that_stays_is_seen_once(kind: str) -> None:
    table = filled(kind, 500)

    def meddle(row: Any, acc: list[Any]) -> list[Any]:
        if row[0] < 500:
            table.delete((row[0] * 7) % 250)  # the keys from 250 on stay
            table.insert([(row[0] - 1000, n) for n in range(3)])
        return [*acc, row]

    seen = table.foldl(meddle, [])
    stayed = [row for row in seen if 250 <= row[0] < 500]
    assert alike(stayed, [(key, turn) for key in range(250, 500) for turn in ((0, 1) if kind in BAGS else (1,))])
    table.check()


@every_type
def test_an_iteration_survives_changes_and_sees_each_row_that_stays_once(kind: str) -> None:
    table = filled(kind, 2000, stripes=2)
    seen = []
    for count, row in enumerate(table):
        seen.append(row)
        if count % 10 == 0:
            table.delete(count % 1000)
            key = 10_000 if kind != "ordered_set" else -1_000_000  # there what comes behind is met: there is no end
            table.insert([(key + count * 20 + n, 0) for n in range(20)])  # growth while the iterator stands
    stayed = [row for row in seen if 1000 <= row[0] < 2000]
    assert alike(stayed, [(key, turn) for key in range(1000, 2000) for turn in ((0, 1) if kind in BAGS else (1,))])
    assert len({exact_key(row) for row in seen}) == len(seen)


@every_type
def test_an_iterator_that_is_dropped_half_way_leaves_nothing_behind(kind: str) -> None:
    table = filled(kind)
    iterator = iter(table)
    next(iterator)
    del iterator
    assert table.info("fixed") is False
    table.check()


@every_type
def test_an_iteration_ends_with_an_error_when_the_table_is_deleted(kind: str) -> None:
    table = filled(kind, 5000)
    iterator = iter(table)
    next(iterator)
    table.delete()
    with fails(tsunami.NoSuchTable, "id"):
        for _ in iterator:
            pass


# ---- fixed tables


@every_type
def test_next_of_a_deleted_key_goes_on_from_its_old_place_while_the_table_is_fixed(kind: str) -> None:
    table = filled(kind)
    order = walked(table)
    with table.fixed():
        for here, there in itertools.pairwise(order):
            table.delete(here)
            assert table.next(here) == there
            assert (table.lookup(here), table.member(here), here in table.tab2list()) == ([], False, False)
        table.delete(order[-1])
        assert [table.next(key) for key in order] == [END_OF_TABLE] * len(order)
        assert (table.first(), len(table), table.tab2list()) == (END_OF_TABLE, 0, [])
    for key in order:
        if kind == "ordered_set":  # asks for no key to be there
            assert table.next(key) is END_OF_TABLE
        else:
            with pytest.raises(BadKey):
                table.next(key)
    table.check()


@every_type
@pytest.mark.parametrize("how", ["delete", "take", "delete_object", "delete_all_objects", "pop", "init_table"])
def test_next_knows_a_deleted_key_however_it_was_deleted(kind: str, how: str) -> None:
    table = Table(kind)
    table.insert([(key, "x") for key in range(50)])
    key, *_, _end = walked(table)
    following = table.next(key)
    erase: dict[str, Any] = {
        "delete": lambda: table.delete(key),
        "take": lambda: table.take(key),
        "delete_object": lambda: table.delete_object((key, "x")),
        "delete_all_objects": table.delete_all_objects,
        "pop": lambda: table.pop(key),
        "init_table": lambda: table.init_table([]),
    }
    with table.fixed():
        erase[how]()
        assert table.next(key) == (END_OF_TABLE if how in ("delete_all_objects", "init_table") else following)
    table.check()


@every_hashed
def test_a_key_that_was_deleted_before_the_table_was_fixed_is_unknown_to_next(kind: str) -> None:
    table = filled(kind)
    table.delete(1)
    with table.fixed(), pytest.raises(BadKey):
        table.next(1)


@every_type
def test_a_key_that_comes_back_comes_back_at_its_old_place(kind: str) -> None:
    table = Table(kind)
    table.insert([("a",), ("b",)])
    a, b = walked(table)
    with table.fixed():
        table.delete(b)
        assert table.next(a) is END_OF_TABLE
        table.insert((b,))
        assert (table.next(a), table.next(b)) == (b, END_OF_TABLE)
        table.delete(a)
        table.insert((a,))
        assert walked(table) == [a, b]


@every_type
def test_a_walk_in_a_fixed_table_sees_each_row_that_stays_once_and_no_key_twice(kind: str) -> None:
    table = filled(kind, 1000, stripes=4)
    seen: list[Any] = []
    with table.fixed():
        key = table.first()
        while key is not END_OF_TABLE:
            seen.append(key)
            if 0 <= key < 1000:
                doomed = key // 2  # behind us or before us, as it happens; those from 500 on stay
                table.delete(doomed)
                table.insert((doomed, "again"))
                table.delete(seen[len(seen) // 2]) if seen[len(seen) // 2] < 500 else None
                table.insert((-5000 - key, "new"))
            key = table.next(key)
    assert len(seen) == len(set(seen))
    assert set(range(500, 1000)) <= set(seen)
    table.check()


@every_hashed
def test_fixations_are_counted_and_unfixing_an_unfixed_table_is_true(kind: str) -> None:
    table = filled(kind)
    assert table.safe_fixtable(False) is True
    key = table.first()
    following = table.next(key)
    table.safe_fixtable(True)
    table.safe_fixtable(True)
    table.delete(key)
    table.safe_fixtable(False)
    assert (table.next(key), table.info("fixed")) == (following, True)
    table.safe_fixtable(False)
    assert table.info("fixed") is False
    with pytest.raises(BadKey):
        table.next(key)


@every_hashed
@pytest.mark.parametrize("stripes", [1, 4])
def test_slots_of_a_fixed_table_stay_what_they_are_while_it_grows_and_shrinks(kind: str, stripes: int) -> None:
    table = filled(kind, 300, stripes=stripes)
    rows: list[Any] = []
    with table.fixed():
        index = 0
        while (found := table.slot(index)) is not END_OF_TABLE:
            rows += found
            if index < 20:
                table.insert([(1000 + index * 300 + n, 0) for n in range(300)])
            elif index < 40:
                for n in range(300):
                    table.delete(1000 + (index - 20) * 300 + n)
            index += 1
    stayed = [row for row in rows if row[0] < 300]
    assert alike(stayed, [(key, turn) for key in range(300) for turn in ((0, 1) if kind in BAGS else (1,))])
    assert len({exact_key(row) for row in rows}) == len(rows)


@every_type
@pytest.mark.parametrize("bad", [1, 0, None, "true", Atom("a")])
def test_safe_fixtable_wants_a_boolean(kind: str, bad: Any) -> None:
    with fails(BadType):
        Table(kind).safe_fixtable(bad)


@every_type
def test_fixed_unfixes_when_an_exception_leaves_the_block_and_may_be_nested(kind: str) -> None:
    table = filled(kind)
    with pytest.raises(ZeroDivisionError):
        with table.fixed() as same:
            assert same is table
            with table.fixed():
                pass
            assert table.info("fixed") is True
            raise ZeroDivisionError
    assert table.info("fixed") is False


@every_type
def test_a_fixed_table_can_be_deleted(kind: str) -> None:
    table = filled(kind)
    table.safe_fixtable(True)
    assert table.delete() is True
    other = filled(kind)
    with other.fixed():
        other.delete()
    with fails(tsunami.NoSuchTable, "id"):
        other.first()


# ---- scan


def scanned(table: Table, count: int) -> list[Any]:
    rows: list[Any] = []
    cursor = 0
    while True:
        cursor, some = _core.scan(table, cursor, count)
        rows += some
        if cursor == 0:
            return rows


@every_hashed
@pytest.mark.parametrize("count", [1, 3, 10, 1000, 10**9])
def test_scan_gives_every_row_once(kind: str, count: int) -> None:
    table = filled(kind, 500, stripes=4)
    assert alike(scanned(table, count), table.tab2list())
    assert scanned(Table(kind), count) == []


@every_hashed
def test_scan_sees_each_row_that_stays_once_while_the_table_grows_and_shrinks(kind: str) -> None:
    table = filled(kind, 300, stripes=2)
    rows: list[Any] = []
    cursor, turn = 0, 0
    while True:
        cursor, some = _core.scan(table, cursor, 5)
        rows += some
        if cursor == 0:
            break
        turn += 1
        table.insert([(1000 + turn * 100 + n, 0) for n in range(100)])
        if turn % 3 == 0:
            for key in range(1000, 1000 + turn * 100):
                table.delete(key)
    stayed = [row for row in rows if row[0] < 300]
    assert alike(stayed, [(key, turn) for key in range(300) for turn in ((0, 1) if kind in BAGS else (1,))])
    table.check()


@every_hashed
def test_a_cursor_outlives_the_rows_it_stood_at(kind: str) -> None:
    table = filled(kind, 100)
    cursor, _some = _core.scan(table, 0, 10)
    assert cursor != 0
    for row in table.tab2list():
        table.delete(row[0])
    assert scanned(table, 10) == []
    assert _core.scan(table, cursor, 10) == (0, [])


def test_a_scan_returns_about_as_many_rows_as_were_asked_for() -> None:
    table = Table()
    table.insert([(key,) for key in range(10_000)])
    cursor, calls = 0, 0
    while True:
        cursor, some = _core.scan(table, cursor, 100)
        calls += 1
        assert len(some) <= 200
        if cursor == 0:
            break
    assert calls <= 300
