"""Rows go in, are found and go out again: insert, insert_new, lookup, lookup_element, member, take and the deletes.

Each test is named as the claim it makes; together they are ETS's rules for these functions by example. What random
sequences of calls come to is test_machine.py's business; what may be a key, test_table_keys.py's.
"""

from collections import namedtuple
from typing import Any

import pytest
from _tabletools import alike, every_bag, every_hashed, every_type, fails

import tsunami
from tsunami import Atom, BadArgument, BadKey, BadPosition, BadType, Table

# ---- insert


@every_type
def test_insert_stores_a_row_when_the_key_is_new(kind: str) -> None:
    table = Table(kind)
    assert table.insert((1, "alice", 30)) is True
    assert table.lookup(1) == [(1, "alice", 30)]
    assert len(table) == 1


def test_insert_replaces_the_row_when_the_key_is_there() -> None:
    table = Table()
    table.insert((1, "a", "long enough to be stored apart"))
    table.insert((1,))
    assert table.tab2list() == [(1,)]


def test_insert_lets_the_last_row_win_when_a_list_names_a_key_twice() -> None:
    table = Table()
    assert table.insert([(1, "first"), (2, "other"), (1, "last")]) is True
    assert (table.lookup(1), len(table)) == ([(1, "last")], 2)


def test_insert_adds_no_equal_row_to_a_bag_and_the_old_one_keeps_its_place() -> None:
    table = Table("bag")
    table.insert([("k", 1), ("k", 2)])
    table.insert(("k", 1))
    assert table.lookup("k") == [("k", 1), ("k", 2)]


def test_insert_keeps_rows_apart_in_a_bag_when_only_the_type_of_a_number_differs() -> None:
    table = Table("bag")
    table.insert([("k", 1), ("k", 1.0), ("k", True), ("k", 0.0), ("k", -0.0)])
    assert [repr(row[1]) for row in table.lookup("k")] == ["1", "1.0", "True", "0.0", "-0.0"]


def test_insert_always_adds_to_a_duplicate_bag() -> None:
    table = Table("duplicate_bag")
    table.insert([("k", 1), ("k", 2), ("k", 1)])
    table.insert(("k", 1))
    assert table.lookup("k") == [("k", 1), ("k", 2), ("k", 1), ("k", 1)]


@every_bag
def test_a_row_that_is_deleted_and_inserted_again_goes_to_the_end(kind: str) -> None:
    for fix in (False, True):
        table = Table(kind)
        table.insert([("k", 1), ("k", 2), ("k", 3)])
        table.safe_fixtable(fix)
        table.delete_object(("k", 1))
        table.insert(("k", 1))
        assert table.lookup("k") == [("k", 2), ("k", 3), ("k", 1)]


@every_bag
def test_rows_of_one_key_keep_the_order_of_their_insertion_among_thousands_of_other_keys(kind: str) -> None:
    table = Table(kind, stripes=1)
    for turn in range(5):
        table.insert([(key, turn) for key in range(2000)])  # growth happens in between
    assert all(table.lookup(key) == [(key, turn) for turn in range(5)] for key in range(2000))
    table.check()


@every_type
def test_insert_takes_the_rows_of_any_iterable_as_one_list(kind: str) -> None:
    table = Table(kind)
    assert table.insert((n, n) for n in range(100)) is True
    assert table.insert_new(iter([(1, 1), (1000, 0)])) is False
    assert table.insert_new({(2000,): None}.keys()) is True
    copy = Table(kind)
    copy.insert(table)
    assert sorted(copy.tab2list()) == sorted(table.tab2list()) and len(copy) == 101
    with fails(BadType):
        table.insert(row for row in [(3000,), "no row"])
    with pytest.raises(ZeroDivisionError):
        table.insert((n, 1 // (n - 4002)) for n in range(4000, 4010))
    assert len(table) == 101 and not table.member(3000) and not table.member(4000)


@every_type
def test_insert_of_an_empty_list_is_true(kind: str) -> None:
    table = Table(kind)
    assert (table.insert([]), table.insert_new([]), len(table)) == (True, True, 0)


@every_type
@pytest.mark.parametrize("function", ["insert", "insert_new"])
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ((), BadArgument),
        ([()], BadArgument),
        ([(1, 1), ()], BadArgument),
        (42, BadType),
        (None, BadType),
        ("ab", BadType),
        (Atom("a"), BadType),
        ({1: 2}, BadType),
        ([1], BadType),
        ([(1, 1), "ab"], BadType),
        ([(1, 1), [2, 2]], BadType),
        ([[(1, 1)]], BadType),
    ],
)
def test_insert_refuses_what_is_no_row_and_changes_nothing(kind: str, function: str, bad: Any, error: Any) -> None:
    table = Table(kind)
    table.insert((0, "stays"))
    with fails(error):
        getattr(table, function)(bad)
    assert table.tab2list() == [(0, "stays")]
    table.check()


@every_type
@pytest.mark.parametrize("function", ["insert", "insert_new", "delete_object"])
def test_a_row_must_reach_to_the_key(kind: str, function: str) -> None:
    table = Table(kind, keypos=2)
    with fails(BadArgument, naming="(1, 2)"):
        getattr(table, function)((1, 2))
    if function != "delete_object":
        with fails(BadArgument):
            getattr(table, function)([(1, 2, 3), (1, 2)])
    assert len(table) == 0
    assert table.insert((1, 2, "key")) is True
    assert table.lookup("key") == [(1, 2, "key")]


@every_type
def test_a_message_names_the_value_that_was_wrong(kind: str) -> None:
    table = Table(kind)
    with fails(BadType, naming="42"):
        table.insert(42)  # type: ignore[call-overload]
    with fails(BadType, naming="'no row'"):
        table.insert([(1, 2), "no row"])  # type: ignore[list-item]


@every_type
def test_an_error_message_stays_short_when_the_value_is_huge(kind: str) -> None:
    table = Table(kind)
    with pytest.raises(BadType) as info:
        table.insert("x" * 10_000_000)  # type: ignore[call-overload]
    assert len(str(info.value)) < 10_000


@every_type
def test_a_named_tuple_is_a_row(kind: str) -> None:
    user = namedtuple("user", "id name")
    table = Table(kind)
    table.insert(user(1, "alice"))
    assert table.lookup(1) == [(1, "alice")]


@every_type
def test_what_is_stored_is_a_copy(kind: str) -> None:
    inner: list[Any] = [1]
    text = bytearray(b"abc")
    table = Table(kind)
    table.insert((1, inner, {"k": inner}, text))
    inner.append(2)
    text[0] = 0
    assert table.lookup(1) == [(1, [1], {"k": [1]}, b"abc")]
    table.lookup(1)[0][1].append(3)
    assert table.lookup(1) == [(1, [1], {"k": [1]}, b"abc")]


# ---- insert_new


@every_type
def test_insert_new_inserts_nothing_when_any_key_is_there(kind: str) -> None:
    table = Table(kind)
    table.insert(("k", 1))
    assert table.insert_new(("k", 2)) is False
    assert table.insert_new([("new", 1), ("k", 2), ("newer", 1)]) is False
    assert table.tab2list() == [("k", 1)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("set", [("a", 1)]),
        ("bag", [("a", 1), ("a", 2)]),
        ("duplicate_bag", [("a", 1), ("a", 2), ("a", 1)]),
    ],
)
def test_insert_new_counts_only_the_state_before_the_call(kind: str, expected: list[Any]) -> None:
    table = Table(kind)  # type: ignore[arg-type]
    assert table.insert_new([("a", 1), ("a", 2), ("a", 1)]) is True
    assert table.lookup("a") == expected


@every_type
def test_insert_new_counts_a_key_as_absent_when_it_was_deleted_in_a_fixed_table(kind: str) -> None:
    table = Table(kind)
    table.insert((1, "old"))
    with table.fixed():
        table.delete(1)
        assert table.insert_new((1, "new")) is True
        assert table.lookup(1) == [(1, "new")]


@every_type
def test_insert_new_looks_at_every_row_before_it_says_no(kind: str) -> None:
    table = Table(kind)
    table.insert((1,))
    with fails(BadType):
        table.insert_new([(1,), "no row"])  # type: ignore[list-item]


# ---- reading


@every_type
def test_lookup_and_member_of_an_absent_key_are_empty_and_false(kind: str) -> None:
    table = Table(kind)
    assert (table.lookup(1), table.member(1)) == ([], False)
    table.insert((1,))
    assert (table.lookup(2), table.member(2)) == ([], False)
    assert table.member(1) is True


def test_lookup_element_is_the_element_of_the_row() -> None:
    table = Table()
    table.insert((1, "alice", [30]))
    assert [table.lookup_element(1, pos) for pos in range(3)] == [1, "alice", [30]]


@every_bag
def test_lookup_element_is_the_list_of_the_elements_in_a_bag(kind: str) -> None:
    table = Table(kind)
    table.insert([("k", 3, "c"), ("k", 1, "a"), ("k", 2, "b")])
    assert table.lookup_element("k", 1) == [3, 1, 2]
    table.delete_object(("k", 3, "c"))
    table.delete_object(("k", 1, "a"))
    assert table.lookup_element("k", 1) == [2]


@every_type
def test_lookup_element_refuses_a_position_below_0_even_when_the_key_is_absent(kind: str) -> None:
    table = Table(kind)
    with fails(BadPosition, naming="-1"):
        table.lookup_element("absent", -1)
    with fails(BadPosition):
        table.lookup_element("absent", -1, "default")
    for bad in (1.0, "1", None, Atom("a"), True):
        with fails(BadType):
            table.lookup_element("absent", bad)  # type: ignore[arg-type]


@every_type
def test_lookup_element_says_badkey_when_the_key_is_absent_wherever_the_position_is(kind: str) -> None:
    table = Table(kind)
    for pos in (0, 1, 2**70):
        with fails(BadKey, "badkey", naming="'absent'"):
            table.lookup_element("absent", pos)
        assert table.lookup_element("absent", pos, "default") == "default"
    assert table.lookup_element("absent", 0, None) is None


@every_type
def test_lookup_element_refuses_a_position_beyond_the_row_with_a_default_too(kind: str) -> None:
    table = Table(kind)
    table.insert((1, 2))
    for pos in (2, 3, 2**70):
        with fails(BadPosition):
            table.lookup_element(1, pos)
        with fails(BadPosition):
            table.lookup_element(1, pos, "default")


@every_bag
def test_lookup_element_fails_when_any_row_of_the_key_is_too_short(kind: str) -> None:
    table = Table(kind)
    table.insert([(1, 2, 3), (1,), (1, 2)])
    assert table.lookup_element(1, 0) == [1, 1, 1]
    for pos in (1, 2):
        with fails(BadPosition):
            table.lookup_element(1, pos)


@every_bag
def test_lookup_element_gives_the_bare_default_in_a_bag(kind: str) -> None:
    assert Table(kind).lookup_element(1, 1, "default") == "default"


@every_type
def test_the_default_of_lookup_element_is_the_same_object(kind: str) -> None:
    marker = object()
    assert Table(kind).lookup_element(1, 1, marker) is marker


@every_type
def test_take_returns_the_rows_and_deletes_them(kind: str) -> None:
    table = Table(kind)
    table.insert([(1, "a"), (2, "b")])
    assert table.take(1) == [(1, "a")]
    assert table.take(1) == []
    assert table.tab2list() == [(2, "b")]


@every_bag
def test_take_returns_the_rows_of_a_key_oldest_first(kind: str) -> None:
    table = Table(kind)
    table.insert([(1, "z"), (1, "a"), (2, "other"), (1, "m")])
    assert table.take(1) == [(1, "z"), (1, "a"), (1, "m")]
    assert table.tab2list() == [(2, "other")]


@every_type
def test_tab2list_has_every_row_once(kind: str) -> None:
    table = Table(kind)
    rows = [(key, str(key)) for key in range(1000)]
    table.insert(rows)
    assert alike(table.tab2list(), rows)


# ---- deleting


@every_type
def test_the_deletes_are_true_whether_there_was_anything_or_not(kind: str) -> None:
    table = Table(kind)
    for _ in range(2):
        assert table.delete(1) is True
        assert table.delete_object((1, 2)) is True
        assert table.delete_all_objects() is True
        table.insert((1, 2))
    assert table.delete() is True


@every_hashed
def test_delete_takes_all_rows_of_the_key_and_no_other(kind: str) -> None:
    table = Table(kind)
    table.insert([(1, "a"), (1, "b"), (1.0, "float"), (True, "atom")])
    table.delete(1)
    assert alike(table.tab2list(), [(1.0, "float"), (True, "atom")])


@every_type
def test_delete_object_compares_the_whole_row_exactly(kind: str) -> None:
    table = Table(kind)
    table.insert((1.0, "x", (1,)))
    for other in [
        (1, "x", (1,)),
        (1.0, "x", (1.0,)),
        (1.0, "x"),
        (1.0, "x", (1,), 1),
        (1.0, "y", (1,)),
        (1.0, "x", [1]),
    ]:
        table.delete_object(other)
        assert table.tab2list() == [(1.0, "x", (1,))]
    table.delete_object((1.0, b"x", (1,)))  # text and bytes are one term
    assert table.tab2list() == []


def test_delete_object_deletes_all_copies_in_a_duplicate_bag() -> None:
    table = Table("duplicate_bag")
    table.insert([(1, "a"), (1, "b"), (1, "a"), (1, "c"), (1, "a")])
    table.delete_object((1, "a"))
    assert table.lookup(1) == [(1, "b"), (1, "c")]


@every_type
@pytest.mark.parametrize(
    ("bad", "error"), [((), BadArgument), ([1], BadType), (1, BadType), (None, BadType), ("a", BadType)]
)
def test_delete_object_wants_a_row(kind: str, bad: Any, error: Any) -> None:
    with fails(error):
        Table(kind).delete_object(bad)


@every_type
def test_delete_all_objects_leaves_a_table_that_can_be_used(kind: str) -> None:
    table = Table(kind)
    for turn in range(3):
        table.insert([(key, turn) for key in range(3000)])
        table.delete_all_objects()
        table.check()
        assert (len(table), table.tab2list(), table.lookup(1)) == (0, [], [])


@every_type
def test_every_call_says_id_when_the_table_has_been_deleted_whatever_else_is_wrong(kind: str) -> None:
    table = Table(kind)
    table.insert((1, 2))
    table.delete()
    bad: Any = object()
    calls: list[Any] = [
        lambda: table.insert(bad),
        lambda: table.insert((1, 2)),
        lambda: table.insert_new(bad),
        lambda: table.insert_many([bad]),
        lambda: table.init_table([bad]),
        lambda: table.lookup(1),
        lambda: table.lookup(bad),
        lambda: table.lookup_many([1]),
        lambda: table.lookup_element(1, bad),
        lambda: table.lookup_element(1, -1, None),
        lambda: table.member(1),
        lambda: table.member_many([1]),
        lambda: table.take(1),
        lambda: table.delete(1),
        lambda: table.delete(),
        lambda: table.delete_object(bad),
        lambda: table.delete_all_objects(),
        lambda: table.update_counter(1, bad),
        lambda: table.update_counter(1, 1, bad),
        lambda: table.update_element(1, bad),
        lambda: table.update_element(1, (0, 0), bad),
        lambda: table.first(),
        lambda: table.last(),
        lambda: table.next(1),
        lambda: table.prev(1),
        lambda: table.first_lookup(),
        lambda: table.last_lookup(),
        lambda: table.next_lookup(1),
        lambda: table.prev_lookup(1),
        lambda: table.slot(0),
        lambda: table.slot(bad),
        lambda: table.tab2list(),
        lambda: table.foldl(lambda row, acc: acc, 0),
        lambda: table.foldr(lambda row, acc: acc, 0),
        lambda: table.safe_fixtable(True),
        lambda: table.safe_fixtable(bad),
        lambda: table.fixed().__enter__(),
        lambda: table.rename("new"),
        lambda: len(table),
        lambda: list(table),
        lambda: 1 in table,
        lambda: table[1],
        lambda: table.get(1),
        lambda: table.pop(1, None),
        lambda: table.__setitem__(1, (1, 2)),
        lambda: table.__delitem__(1),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(tsunami.TsunamiError) as info:
            call()
        assert (number, type(info.value), info.value.cause) == (number, tsunami.NoSuchTable, "id")
