"""ordered_set: one order, keys equal by value, ranges, ranks; and walks among writers.

What every type does is tested over every type (test_table*.py); what is particular to order stands here. Python's own
sorted lists are the oracle, through `order_key`, whose agreement with Erlang's order has its own tests.
"""

import bisect
import random
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from _tabletools import CONFUSABLE, Crew, every_bag, every_hashed, fails, walked
from hypothesis import given, settings
from hypothesis import strategies as st
from model import shown
from strategies import keys as any_key

import tsunami
from tsunami import END_OF_TABLE, Atom, BadArgument, BadKey, BadPosition, BadType, NoSuchTable, Row, Table, _core
from tsunami._core import order_key


def ordered(rows: Any = (), **options: Any) -> Table:
    table = Table("ordered_set", **options)
    table.insert(list(rows))
    return table


def told(value: object) -> str:
    """Exactly, types of numbers included."""
    return repr(shown(value))


# ---- one key, by value


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (0.0, -0.0),
        (0, -0.0),
        ((1, 2), (1.0, 2)),
        ([1, [2.0]], [1.0, [2]]),
        ({"a": 1}, {"a": 1.0}),
        (2**70, float(2**70)),
        ("ab", b"ab"),
    ],
    ids=repr,
)
def test_keys_that_are_equal_by_value_are_one_key(a: Any, b: Any) -> None:
    for stored, given_ in ((a, b), (b, a)):
        table = ordered([(stored, "x", 5)])
        assert told(table.lookup(given_)) == told([(stored, "x", 5)])
        assert (table.member(given_), given_ in table) == (True, True)
        assert told(table.lookup_many([given_])) == told([[(stored, "x", 5)]])
        assert table.lookup_element(given_, 1) == "x"
        assert table.insert_new((given_, "y")) is False
        assert table.insert_new([("other",), (given_, "y")]) is False
        assert told(table[given_]) == told((stored, "x", 5))
        assert (table.next(given_), table.prev(given_)) == (END_OF_TABLE, END_OF_TABLE)
        assert told(table.take(given_)) == told([(stored, "x", 5)])
        assert len(table) == 0


def test_keys_of_maps_are_exact_even_here() -> None:
    table = ordered([({1: "a"}, 1), ({1.0: "a"}, 2)])
    assert len(table) == 2
    assert table.lookup({1: "a"}) == [({1: "a"}, 1)]


def test_insert_replaces_the_key_too() -> None:
    table = ordered([(1, "a")])
    table.insert((1.0, "b"))
    assert told(table.tab2list()) == told([(1.0, "b")])
    table.insert([(1, "c"), (True, "d")])
    assert told(table.lookup(1.0)) == told([(1, "c")])
    table[1.0] = (1, "e")  # the key that is given and that of the row are one
    assert told(table.tab2list()) == told([(1, "e"), (True, "d")])


def test_the_last_of_several_rows_with_one_key_in_a_list_wins() -> None:
    for rows in ([(1, "a"), (1.0, "b")], [(9,), (1.0, "a"), (5,), (1, "b"), (0,), (1.0, "c")]):
        table = ordered(rows)
        assert told(table.lookup(1)) == told([rows[-1] if rows[-1][0] == 1 else None])
        assert told(Table("ordered_set").insert_new(rows)) == told(True)
        table.check()


def test_updates_keep_the_stored_key() -> None:
    table = ordered([(1.0, 10, "x")])
    assert table.update_counter(1, 5) == 15
    assert table.update_counter(1, (1, 2**70)) == 2**70 + 15
    assert table.update_counter(1, [(1, 1), (1, 1)]) == [2**70 + 16, 2**70 + 17]
    assert table.update_element(1, (2, "y")) is True
    assert told(table.tab2list()) == told([(1.0, 2**70 + 17, "y")])


def test_a_default_row_takes_the_key_that_was_given() -> None:
    table = ordered()
    assert table.update_counter(1.0, (1, 2), (1, 5)) == 7
    assert table.update_element(2, (1, "x"), (2.0, "y")) is True
    assert told(table.tab2list()) == told([(1.0, 7), (2, "x")])
    assert table.update_counter(1, 1, (99, 99)) == 8
    assert told(table.first()) == told(1.0)


def test_delete_object_compares_exactly() -> None:
    table = ordered([(1.0, "x")])
    table.delete_object((1, "x"))
    assert len(table) == 1
    table.delete_object((1.0, "x"))
    assert len(table) == 0
    table.check()


def test_a_commit_over_tables_of_both_kinds_is_all_or_nothing() -> None:
    a, b = ordered([(1, "a")]), Table()
    b.insert(("k", 1))
    assert _core.commit([(a, 1.0, (1, "a"), None), (b, "k", ("k", 1), None)], [(a, (2, "b"), None)], [(b, "k")])
    assert (a.tab2list(), len(b)) == ([(1, "a"), (2, "b")], 0)
    assert not _core.commit([(a, 1, (1.0, "a"), None)], [(b, ("k", 2), None)], [(a, 2)])  # rows compare exactly
    assert (a.tab2list(), len(b)) == ([(1, "a"), (2, "b")], 0)
    assert _core.commit([], [(a, (3,), None), (a, (2.0, "new"), None)], [(a, 1), (a, 3), (a, "absent")])
    assert told(a.tab2list()) == told([(2.0, "new")])
    a.check()


def test_rows_of_ordered_tables_have_no_deadline() -> None:
    table = ordered([(1, "a")])
    with fails(BadArgument, "table_type"):
        _core.commit([], [(table, (2,), 10**15)], [])
    assert len(table) == 1


# ---- order


def test_walks_go_in_term_order_over_ugly_keys() -> None:
    by_form = {order_key(key): key for key in CONFUSABLE}
    table = ordered([(key,) for key in CONFUSABLE])
    expected = [by_form[form] for form in sorted(by_form)]
    assert len(table) == len(expected)
    assert told(walked(table)) == told(expected)
    assert told([row[0] for row in table]) == told(expected)
    assert told([row[0] for row in reversed(table)]) == told(expected[::-1])
    assert told([table.at(k)[0] for k in range(len(table))]) == told(expected)
    assert told([table.slot(k) for k in range(len(table))]) == told([[(key,)] for key in expected])
    for place, key in enumerate(expected):
        assert table.rank(key) == place
        before = expected[place - 1] if place else END_OF_TABLE
        assert told(table.prev(key)) == told(before)
    table.check()


def test_the_types_stand_in_erlangs_order() -> None:
    keys: list[Any] = [
        -(2**80), -1.5, 0, 2**53, 2.0**53 + 2, float("inf"), Atom(""), Atom("Z"), Atom("a"), True,
        tsunami.Reference(Atom("n@h"), 1, (1, 2, 3)), tsunami.Pid(Atom("n@h"), 1, 0, 1),
        (), (0,), (0, 0), {}, {1: 2}, [], [0], [0, 0], "", b"\0", "a", "ab", tsunami.Bits(b"\xff", 7),
    ]  # fmt: skip
    table = ordered([(key,) for key in sorted(keys, key=lambda key: random.Random(repr(key)).random())])
    assert told([row[0] for row in table.tab2list()]) == told(keys)


def test_next_and_prev_want_no_key_that_is_there() -> None:
    table = ordered([(1, "a"), (2, "b")])
    assert (table.first(), table.last()) == (1, 2)
    assert (table.first_lookup(), table.last_lookup()) == ((1, [(1, "a")]), (2, [(2, "b")]))
    assert (table.next(1), table.next(1.0), table.next(1.5), table.next(-5)) == (2, 2, 2, 1)
    assert (table.prev(2), table.prev(2.0), table.prev(1.5), table.prev(99)) == (1, 1, 1, 2)
    assert (table.next(2), table.prev(1), table.next("text"), table.prev("text")) == (
        END_OF_TABLE,
        END_OF_TABLE,
        END_OF_TABLE,
        2,
    )
    assert (table.next_lookup(1), table.prev_lookup(None)) == ((2, [(2, "b")]), (2, [(2, "b")]))
    assert (table.next_lookup(2), table.prev_lookup(1)) == (END_OF_TABLE, END_OF_TABLE)


@pytest.mark.parametrize("make", [lambda i: i, lambda i: f"a key of some length: {i:06}", lambda i: (i // 10, str(i))])
def test_a_walk_by_next_and_prev_among_changes(make: Callable[[int], Any]) -> None:
    """A table remembers where the last step led, and goes on from there: not over changes, nor for another key."""
    rng = random.Random(3)
    table = ordered((make(i), i) for i in range(0, 6000, 2))
    keys = [make(i) for i in range(0, 6000, 2)]
    at, steps = keys[0], {"next": table.next, "prev": table.prev}
    for _ in range(6000):
        way = "next" if rng.random() < 0.97 else "prev"
        i = bisect.bisect_right(keys, at) if way == "next" else bisect.bisect_left(keys, at) - 1
        expected = keys[i] if 0 <= i < len(keys) else END_OF_TABLE
        assert steps[way](at) == expected
        at = rng.choice(keys) if expected is END_OF_TABLE or rng.random() < 0.02 else expected
        change = rng.random()
        if change < 0.02:
            new = make(rng.randrange(6000))
            if table.insert_new((new, 0)):
                bisect.insort(keys, new)
        elif change < 0.04:
            table.delete(gone := rng.choice(keys))
            keys.remove(gone)
        elif change < 0.06:
            table.insert((rng.choice(keys), "another row, longer than the one before"))
        elif change < 0.065:
            low, high = sorted(rng.sample(keys, 2))[:1] * 2
            keys = [k for k in keys if not low <= k <= high]
            table.delete_range(low, high)
    table.check()


def test_the_step_from_an_equal_key_is_the_same_step() -> None:
    table = ordered([(1,), (2.0,), (3,), (4,)])
    assert [table.next(1), table.next(2), table.next(3.0), table.next(3), table.next(2.0)] == [2.0, 3, 4, 4, 3]
    assert told(table.next(1.0)) == told(2.0)
    assert table.next(4) is table.next(4.0) is END_OF_TABLE


def test_an_iterator_outlives_what_it_iterates_over_and_holds_its_objects() -> None:
    class Kept:
        pass

    table = Table("ordered_set")
    kept = Kept()
    seen = weakref.ref(kept)
    table.insert([(i, kept) for i in range(100)])
    del kept
    rows = iter(table)
    assert next(rows)[1] is seen()
    table.delete_all_objects()
    assert next(rows) == (1, seen())
    assert seen() is not None
    del rows
    assert seen() is None


@pytest.mark.parametrize("function", ["next", "prev", "next_lookup", "prev_lookup"])
@pytest.mark.parametrize("rows", [[], [(1,)], [(END_OF_TABLE,), (1,)]], ids=len)
def test_no_step_leads_from_the_end_of_the_table(function: str, rows: list[Row]) -> None:
    table = ordered(rows)
    with pytest.raises(BadKey, match="end_of_table"):
        getattr(table, function)(END_OF_TABLE)


def test_a_key_of_100_000_levels_has_its_place() -> None:
    deep: Any = ()
    for _ in range(100_000):
        deep = (deep,)
    table = ordered([(1,), (deep, "deep"), ("z",)])
    assert table.lookup_element(deep, 1) == "deep"
    assert (table.rank(deep), table.prev(deep), table.next(deep)) == (1, 1, "z")
    table.delete(deep)
    assert len(table) == 2


@pytest.mark.parametrize("length", [1, 6, 7, 8, 16, 120, 130, 200, 5000])
def test_keys_with_long_common_beginnings_are_told_apart(length: int) -> None:
    chance = random.Random(length)
    head = "x" * length
    keys = [head + str(n) for n in range(300)] + [(head, n) for n in range(300)] + [head, head + "\0", head + "\0\0"]
    chance.shuffle(keys)
    table = ordered()
    for turn, key in enumerate(keys):
        table.insert((key, turn))
    table.check()
    assert [row[0] for row in table] == sorted(keys, key=order_key)
    for turn, key in enumerate(keys):
        assert table.lookup(key) == [(key, turn)]
        assert table.lookup_many([key, head + "-"]) == [[(key, turn)], []]
    chance.shuffle(keys)
    for key in keys:
        assert table.take(key) != []
    table.check()


def test_nan_and_objects_are_no_keys_and_no_bounds() -> None:
    table = ordered([(1,)])
    for bad, error in ((float("nan"), BadArgument), ((1, float("nan")), BadArgument), (object(), BadType)):
        for call in (
            lambda bad=bad: table.insert((bad,)),
            lambda bad=bad: table.lookup(bad),
            lambda bad=bad: table.next(bad),
            lambda bad=bad: table.rank(bad),
            lambda bad=bad: table.irange(bad, None),
            lambda bad=bad: table.count_range(None, bad),
            lambda bad=bad: table[bad:],
        ):
            with fails(error):
                call()
    assert len(table) == 1


# ---- ranges


BOUNDS = st.one_of(st.none(), st.integers(-2, 22), st.floats(-2, 22), st.sampled_from([(), "", Atom("a"), [1]]))


@given(
    keys=st.lists(
        st.one_of(st.integers(0, 20), st.sampled_from([(), (1,), "", "a", Atom("a"), []])), unique_by=order_key
    ),
    low=BOUNDS,
    high=BOUNDS,
    inclusive=st.tuples(st.booleans(), st.booleans()),
    rows=st.integers(1, 4),
)
def test_a_range_is_what_lies_between_its_bounds(
    keys: list[Any], low: Any, high: Any, inclusive: tuple[bool, bool], rows: int
) -> None:
    def within(key: Any) -> bool:
        form = order_key(key)
        above = low is None or form > order_key(low) or (inclusive[0] and form == order_key(low))
        return above and (high is None or form < order_key(high) or (inclusive[1] and form == order_key(high)))

    table = ordered([(key,) for key in keys])
    expected = sorted(((key,) for key in keys if within(key)), key=lambda row: order_key(row[0]))
    before = _core._knobs(scan_rows=rows)
    try:
        assert list(table.irange(low, high, inclusive)) == expected
        assert list(table.irange(low, high, inclusive, reverse=True)) == expected[::-1]
    finally:
        _core._knobs(**before)
    assert table.count_range(low, high, inclusive) == len(expected)
    if low is not None:
        assert table.rank(low) == sum(order_key(key) < order_key(low) for key in keys)
    left = [row for row in table if row not in expected]
    assert table.delete_range(low, high, inclusive) == len(expected)
    assert table.tab2list() == left
    table.check()


def test_irange_without_arguments_is_the_whole_table_in_order() -> None:
    table = ordered([(n,) for n in range(3000)])
    assert list(table.irange()) == [(n,) for n in range(3000)]
    assert list(table.irange(reverse=True)) == [(n,) for n in reversed(range(3000))]
    assert list(table.irange(5, 3)) == list(table.irange(3, 3, (True, False))) == []
    assert list(table.irange(3, 3)) == [(3,)]


def test_a_slice_goes_from_its_start_to_before_its_stop() -> None:
    table = ordered([(n,) for n in range(10)])
    assert table[3:6] == [(3,), (4,), (5,)]
    assert table[2.5:4.5] == [(3,), (4,)]
    assert table[:2] == [(0,), (1,)]
    assert table[8:] == [(8,), (9,)]
    assert table[6:3:-1] == [(6,), (5,), (4,)]
    assert table[:7:-1] == [(9,), (8,)]
    assert table[::-1] == table.tab2list()[::-1]
    assert (table[5:5], table[6:3], table[3:6:-1]) == ([], [], [])
    for step in (0, 2, -2, "x"):
        with fails(BadArgument, naming=repr(step)):
            table[1:2:step]
    with fails(BadType):
        table[1:2] = [(1,)]  # type: ignore[index,assignment]


def test_a_slice_can_be_deleted() -> None:
    table = ordered([(n,) for n in range(10)])
    del table[3:6]
    assert [row[0] for row in table] == [0, 1, 2, 6, 7, 8, 9]
    del table[8:6:-1]  # 8 and 7
    assert [row[0] for row in table] == [0, 1, 2, 6, 9]
    del table[:]
    assert len(table) == 0
    table.check()


def test_at_counts_from_both_ends_and_refuses_what_is_not_there() -> None:
    table = ordered([(n,) for n in range(5)])
    assert [table.at(k) for k in range(-5, 5)] == [(n,) for n in (*range(5), *range(5))]
    for beyond in (5, -6, 2**70, -(2**70)):
        with fails(BadPosition, "position", naming=str(beyond)):
            table.at(beyond)
    for wrong in (1.0, "1", None, True):
        with fails(BadType):
            table.at(wrong)  # type: ignore[arg-type]
    with fails(BadPosition, "position"):
        ordered().at(0)


@pytest.mark.parametrize("inclusive", [True, (True,), (True, True, True), None, "ab"])
def test_inclusive_is_a_pair(inclusive: Any) -> None:
    table = ordered([(1,)])
    for call in (table.irange, table.count_range, table.delete_range):
        with fails(BadType, naming=repr(inclusive)):
            call(1, 2, inclusive)
    assert len(table) == 1


def calls_in_order(table: Any) -> tuple[Callable[[], Any], ...]:
    """One of each that only ordered tables have."""
    return (
        table.irange,
        table.count_range,
        table.delete_range,
        lambda: table.rank(1),
        lambda: table.at(0),
        lambda: table[1:2],
    )


@every_hashed
def test_only_ordered_tables_have_an_order(kind: str) -> None:
    table: Any = Table(kind)
    table.insert((1,))
    for call in (
        *calls_in_order(table),
        lambda: reversed(table),
        lambda: table.__delitem__(slice(1, 2)),
    ):
        with fails(BadArgument, "table_type", naming=kind):
            call()
    assert len(table) == 1


def test_an_ordered_table_has_no_cursors_that_are_numbers() -> None:
    with fails(BadArgument, "table_type"):
        _core.scan(ordered([(1,)]), 0, 10)


def test_everything_fails_on_a_deleted_table() -> None:
    table = ordered([(n,) for n in range(100)])
    rows = table.irange(3)
    next(rows)
    table.delete()
    for call in (
        *calls_in_order(table),
        lambda: list(rows),
        lambda: list(table),
    ):
        with fails(NoSuchTable, "id"):
            call()


# ---- rows in one go


@given(st.lists(st.tuples(any_key(), st.integers()), max_size=60), st.lists(any_key(), max_size=5))
@settings(max_examples=60)
def test_a_list_is_inserted_as_its_rows_would_be_one_by_one(rows: list[Row], there: list[Any]) -> None:
    one, many, batch, fresh = (ordered([(key, "old") for key in there]) for _ in range(4))
    for row in rows:
        one.insert(row)
    many.insert(rows)
    batch.insert_many(iter(rows))
    expected = told(one.tab2list())
    assert (told(many.tab2list()), told(batch.tab2list())) == (expected, expected)
    taken = {order_key(key) for key in there} & {order_key(row[0]) for row in rows}
    assert fresh.insert_new(rows) is not bool(taken)
    assert told(fresh.tab2list()) == (told(ordered([(key, "old") for key in there]).tab2list()) if taken else expected)
    for table in (one, many, batch, fresh):
        table.check()


@pytest.mark.parametrize("size", [1, 2, 3, 63, 64, 65, 127, 128, 129, 1000, 5000])
def test_rows_in_ascending_order_are_appended(size: int) -> None:
    rows = [(n, -n) for n in range(size)]
    for fill in ("insert", "insert_many", "init_table", "insert_new"):
        table = ordered([(-5, "before")])
        getattr(table, fill)(rows)
        assert table.tab2list() == ([] if fill == "init_table" else [(-5, "before")]) + rows
        table.check()
        table.insert([(n + 0.5,) for n in range(size)])
        table.check()
        assert len(table) == 2 * size + (fill != "init_table")


def test_a_list_that_cannot_be_inserted_leaves_the_table_as_it_was() -> None:
    table = ordered([(1, "a")])
    for bad in ([(2,), (float("nan"),)], [(2,), 3], [(2,), (object(),)], [(0,), ()]):
        with pytest.raises(tsunami.TsunamiError):
            table.insert(bad)  # type: ignore[arg-type]
    assert table.tab2list() == [(1, "a")]


# ---- memory


def test_memory_goes_back_with_the_last_row() -> None:
    fresh = ordered().info("memory")
    for empty in (
        lambda t: t.delete_all_objects(),
        lambda t: [t.delete(row[0]) for row in t],
        lambda t: t.delete_range(),
        lambda t: [t.take(t.first()) for _ in range(len(t))],
        lambda t: [t.delete_object(row) for row in t],
    ):
        table = ordered([(n, "x" * (n % 50)) for n in range(2000)])
        assert table.info("memory") > 2000 * 40
        empty(table)
        table.check()
        left = table.info("memory")
        assert isinstance(left, int) and isinstance(fresh, int)
        assert left - fresh <= 24 * 1024  # a page of each size of rows, which a stripe keeps
        table.insert((1, "a"))
        assert table.tab2list() == [(1, "a")]
        table.check()


@pytest.mark.measures
def test_a_row_of_two_integers_takes_at_most_56_bytes() -> None:
    n = 1_000_000
    keys = list(range(n))
    random.Random(1).shuffle(keys)
    table = ordered()
    table.insert_many((key, key) for key in keys)
    memory = table.info("memory")
    assert isinstance(memory, int)
    assert memory / n <= 56


def test_objects_are_released_by_range_deletes_and_clears() -> None:
    class Thing:
        pass

    for empty in (lambda t: t.delete_range(), lambda t: t.delete_all_objects(), lambda t: t.delete()):
        things = [Thing() for _ in range(600)]
        gone = [weakref.ref(thing) for thing in things]
        table = ordered([(n, thing) for n, thing in enumerate(things)])
        del things
        table.check()
        empty(table)
        assert [ref() for ref in gone if ref() is not None] == []


# ---- others write


def test_an_iteration_never_misses_what_stays_and_never_fails() -> None:
    table = ordered([(n, "stays") for n in range(0, 4000, 2)])
    crew = Crew()

    def write(me: int) -> None:
        chance = random.Random(me)
        while not crew.stop.is_set():
            odd = chance.randrange(2000) * 2 + 1
            match chance.randrange(5):
                case 0 | 1:
                    table.insert((odd, me))
                case 2:
                    table.delete(odd)
                case 3:
                    low = odd - 0.9
                    table.delete_range(low, odd + 0.9)  # holds an odd key only
                case 4:
                    table.insert([(odd + n * 2, me) for n in range(5)])

    def walk(backwards: bool) -> None:
        for _ in range(25):
            keys = [row[0] for row in table.irange(reverse=backwards)]
            assert keys == sorted(set(keys), reverse=backwards)
            assert [key for key in keys if key % 2 == 0 and key < 4000] == sorted(range(0, 4000, 2), reverse=backwards)
        crew.stop.set()

    def ask() -> None:
        chance = random.Random(7)
        while not crew.stop.is_set():
            key = chance.randrange(2000) * 2
            assert table.lookup(key) == [(key, "stays")]
            assert key // 2 <= table.rank(key) <= key
            following = table.next(key)
            assert key == 3998 or key < following <= key + 2  # type: ignore[operator]
            assert table.lookup_many([key, key]) == [[(key, "stays")]] * 2
            assert table.count_range(key, key + 2) in (1, 2, 3)

    crew.add(write, 1)
    crew.add(write, 2)
    crew.add(walk, False)
    crew.add(walk, True)
    crew.add(ask)
    crew.run()
    table.check()


def test_a_range_delete_is_one_moment() -> None:
    """A range is there or not; while it is being freed the table may be cleared, filled and checked."""
    table = ordered()
    crew = Crew()
    rows = [(n, "x" * (n % 300)) for n in range(1500)]

    def fill_and_cut() -> None:
        for _ in range(40):
            table.insert(rows)
            table.delete_range(100, 1399)
        crew.stop.set()

    def look() -> None:
        while not crew.stop.is_set():
            assert table.count_range(100, 1399) in (0, 1300)
            table.check()

    def clear() -> None:
        while not crew.stop.is_set():
            table.delete_all_objects()

    crew.add(fill_and_cut)
    crew.add(look)
    crew.add(clear)
    crew.run()
    table.check()
    table.delete_range()
    table.check()
    assert len(table) == 0


def test_lists_are_isolated() -> None:
    table = ordered([(n, 0) for n in range(20)])
    crew = Crew()

    def write() -> None:
        for generation in range(1, 1500):
            table.insert([(n, generation) for n in range(20)])
        crew.stop.set()

    def read() -> None:
        while not crew.stop.is_set():
            rows = table.lookup_many(list(range(16)))  # one hold of the lock
            assert len({row[0][1] for row in rows}) == 1

    crew.add(write)
    crew.add(read)
    crew.run()


def test_random_histories_agree_with_a_sorted_list() -> None:
    for seed in range(30):
        chance = random.Random(seed)
        table, keys = ordered(), list[float]()
        for _ in range(300):
            key: Any = chance.choice((chance.randrange(60), float(chance.randrange(60)), chance.randrange(60) + 0.5))
            match chance.randrange(8):
                case 0 | 1 | 2:
                    table.insert((key,))
                    if key not in keys:
                        bisect.insort(keys, key)
                case 3:
                    table.delete(key)
                    if key in keys:
                        keys.remove(key)
                case 4:
                    low, high = sorted((key, chance.randrange(60)))
                    doomed = [k for k in keys if low <= k < high]
                    assert table.delete_range(low, high, (True, False)) == len(doomed)
                    keys = [k for k in keys if k not in doomed]
                case 5:
                    assert table.rank(key) == bisect.bisect_left(keys, key)
                case 6:
                    assert table.count_range(key, key + 10) == bisect.bisect_right(keys, key + 10) - bisect.bisect_left(
                        keys, key
                    )
                case 7 if keys:
                    k = chance.randrange(len(keys))
                    assert table.at(k)[0] == keys[k]
            table.check()
        assert [row[0] for row in table] == keys


@every_bag
def test_bags_refuse_commits_with_ordered_tables(kind: str) -> None:
    table = ordered([(1,)])
    with fails(BadArgument, "table_type"):
        _core.commit([], [(Table(kind), (1,), None), (table, (2,), None)], [])
    assert len(table) == 1


# ---- bounds that are shorter than the keys


@given(
    keys=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from("ab")), min_size=1),
    low=st.lists(st.integers(0, 6), max_size=2).map(tuple),
    high=st.lists(st.integers(0, 6), max_size=2).map(tuple),
)
def test_a_shorter_tuple_bounds_keys_of_one_size_as_python_compares(
    keys: set[tuple[int, int, str]], low: tuple[int, ...], high: tuple[int, ...]
) -> None:
    table = Table("ordered_set")
    table.insert([(key,) for key in keys])
    wanted = [(key,) for key in sorted(keys) if low <= key <= high]
    assert list(table.irange(low, high)) == wanted
    assert table[low:high] == wanted
    assert table.count_range(low, high) == len(wanted)
    assert table.rank(low) == sum(key < low for key in keys)
    assert table.delete_range(low, high) == len(wanted)
    assert [row[0] for row in table] == sorted(key for key in keys if not low <= key <= high)


def test_a_shorter_tuple_is_a_term_like_others_where_keys_have_several_sizes() -> None:
    table = Table("ordered_set")
    table.insert([((1,),), ((1, 2),), ((3, 4),)])
    assert list(table.irange((2,), None)) == [((1, 2),), ((3, 4),)]
    assert list(table.irange(None, (2,))) == [((1,),)]
    table.insert(("text",))
    assert table.count_range((1, 0), (9,)) == 0


@pytest.mark.parametrize(("name", "step"), [("next", 1), ("prev", -1)])
def test_a_walk_by_next_and_prev_sees_what_has_just_changed(name: str, step: int) -> None:
    """After some steps the table remembers the way to where the last one ended; then something changes right there."""
    t = Table("ordered_set")
    t.insert([(i, i) for i in range(0, 4000, 4)])
    walk = getattr(t, name)
    at = 0 if step == 1 else 3996
    for _ in range(150):
        for _ in range(3):
            at = walk(at)
        t.insert((at + step, 0))
        assert walk(at) == at + step
        assert walk(at + step) == at + 4 * step
        assert walk(at + 4 * step) == at + 8 * step
        t.delete(at + 12 * step)
        assert walk(at + 8 * step) == at + 16 * step
        t.insert((at + 12 * step, 0))
        t.delete(at + step)
    t.check()
