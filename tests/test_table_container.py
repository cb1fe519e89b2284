"""A table as a Python collection of rows: [], in, len, iter, bool, get, pop; and the batch calls.

Claims: the protocol says nothing that the table's own functions do not say, and a batch is its single calls in order.
"""

from typing import Any

import pytest
from _tabletools import CONFUSABLE, SETS, alike, every_bag, every_type, fails
from model import shown

import tsunami
from tsunami import BadArgument, BadKey, BadType, NoSuchTable, Table


@every_type
def test_len_counts_rows_and_iteration_gives_them(kind: str) -> None:
    table = Table(kind)
    table.insert([(1, "a"), (1, "b"), (2, "c")])
    assert len(table) == len(list(table)) == table.info("size") == (2 if kind in SETS else 3)
    assert alike(list(table), table.tab2list())


@every_type
def test_in_asks_for_a_key_and_not_for_a_row(kind: str) -> None:
    table = Table(kind)
    table.insert((1, "a"))
    assert (1 in table, (1, "a") in table, True in table) == (True, False, False)
    assert (1.0 in table) == (kind == "ordered_set")


@every_type
def test_an_empty_table_is_false_and_another_one_true(kind: str) -> None:
    table = Table(kind)
    assert not table
    table.insert((None,))
    assert table


def test_subscription_gives_the_row_of_a_set() -> None:
    table = Table()
    table.insert((1, "a"))
    assert table[1] == (1, "a")


@every_bag
def test_subscription_gives_the_list_of_rows_of_a_bag(kind: str) -> None:
    table = Table(kind)
    table.insert([(1, "b"), (1, "a")])
    assert table[1] == [(1, "b"), (1, "a")]
    assert table.get(1) == [(1, "b"), (1, "a")]
    assert table.pop(1) == [(1, "b"), (1, "a")]
    assert len(table) == 0


@every_type
def test_a_missing_key_is_badkey_for_getting_and_deleting_and_popping(kind: str) -> None:
    table = Table(kind)
    with fails(BadKey, "badkey", naming="'absent'"):
        table["absent"]
    with fails(BadKey, "badkey", naming="'absent'"):
        del table["absent"]
    with fails(BadKey, "badkey", naming="'absent'"):
        table.pop("absent")


@every_type
def test_get_and_pop_give_the_default_itself(kind: str) -> None:
    table = Table(kind)
    marker = object()
    assert (table.get(1), table.get(1, marker), table.pop(1, marker), table.pop(1, None)) == (
        None,
        marker,
        marker,
        None,
    )


def test_assignment_stores_the_row_and_replaces_the_old_one() -> None:
    table = Table("set", keypos=1)
    table["k"] = ("a", "k")
    table["k"] = ("b", "k", 2)
    assert table.tab2list() == [("b", "k", 2)]


@every_type
def test_assignment_wants_a_row_that_carries_the_key(kind: str) -> None:
    table = Table(kind)
    equal = [(1, (1.0, "x"))] if kind != "ordered_set" else []  # there they are one key
    for key, row in [(1, (2, "x")), (1, (True, "x")), ("1", (1,)), ((1,), (1,)), *equal]:
        with fails(BadArgument, naming=repr(key)):
            table[key] = row
    with fails(BadArgument):
        table[1] = ()
    for bad in (1, "ab", [1], None, [(1, 1)]):
        with fails(BadType):
            table[1] = bad  # type: ignore[assignment]
    assert len(table) == 0
    table["k"] = (b"k", 1)  # text and bytes are one key
    assert table.lookup("k") == [(b"k", 1)]


@every_bag
def test_assignment_adds_a_row_to_a_bag_as_insert_does(kind: str) -> None:
    table = Table(kind)
    table[1] = (1, "x")
    table[1] = (1, "y")
    table[1] = (1, "x")
    assert table[1] == [(1, "x"), (1, "y")] + ([(1, "x")] if kind == "duplicate_bag" else [])


@every_type
def test_deletion_deletes_every_row_of_the_key(kind: str) -> None:
    table = Table(kind)
    table.insert([(1, "a"), (1, "b"), (2, "c")])
    del table[1]
    assert table.tab2list() == [(2, "c")]


@every_type
def test_tables_have_no_order_among_them(kind: str) -> None:
    table: Any = Table(kind)
    with pytest.raises(TypeError):
        table < table


# ---- batches


@every_type
def test_lookup_many_is_lookup_of_each_in_order(kind: str) -> None:
    table = Table(kind)
    table.insert([(key, turn) for turn in range(2) for key in CONFUSABLE])
    keys = [*CONFUSABLE, "absent", *reversed(CONFUSABLE), 1, 1, 1]
    assert shown(table.lookup_many(keys)) == shown([table.lookup(key) for key in keys])
    assert shown(table.lookup_many(iter(keys))) == shown([table.lookup(key) for key in keys])
    assert table.member_many(keys) == [table.member(key) for key in keys]
    assert (table.lookup_many([]), table.member_many([])) == ([], [])


@every_type
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 100, 1000, 5000])
def test_batches_of_any_size(kind: str, size: int) -> None:
    table = Table(kind)
    rows = [(key, str(key) * 3) for key in range(size)]
    assert table.insert_many(rows) == size
    assert table.lookup_many(range(size)) == [[row] for row in rows]
    assert table.member_many(range(-1, size + 1)) == [False] + [True] * size + [False]
    assert len(table) == size
    table.check()


@every_type
@pytest.mark.parametrize("make", [list, tuple, iter, set, dict.fromkeys, lambda keys: (key for key in keys)])
def test_batches_take_any_iterable(kind: str, make: Any) -> None:
    table = Table(kind)
    assert table.insert_many(make([(1, "a"), (2, "b")])) == 2
    assert alike([row for rows in table.lookup_many(make([1, 2])) for row in rows], [(1, "a"), (2, "b")])
    assert table.member_many(make([1, 2])) == [True, True]


@every_type
def test_insert_many_counts_the_rows_it_was_given(kind: str) -> None:
    table = Table(kind)
    assert table.insert_many([(1, "a"), (1, "a"), (1, "b")]) == 3
    assert len(table) == {"set": 1, "ordered_set": 1, "bag": 2, "duplicate_bag": 3}[kind]
    assert table.insert_many([]) == 0


@every_type
def test_a_batch_wants_an_iterable_of_the_right_things(kind: str) -> None:
    table: Any = Table(kind)
    for call in (table.insert_many, table.lookup_many, table.member_many, table.init_table):
        for bad in (None, 1, 1.5):
            with pytest.raises(TypeError):
                call(bad)
    for bad_rows in ([1], ["ab"], [(1,), [2]], [None]):
        with fails(BadType):
            table.insert_many(bad_rows)
    with fails(BadArgument):
        table.insert_many([()])
    table.check()


@every_type
def test_an_exception_of_the_iterable_comes_out_of_the_batch(kind: str) -> None:
    table = Table(kind)

    def stumbling() -> Any:
        yield (1, "a")
        raise ZeroDivisionError

    for call in (table.insert_many, table.lookup_many, table.member_many, table.init_table):
        with pytest.raises(ZeroDivisionError):
            call(stumbling())
    assert len(table) in (0, 1)
    table.check()


@every_type
def test_an_iterable_may_use_the_table_that_reads_it(kind: str) -> None:
    table = Table(kind)

    def meddling() -> Any:
        for key in range(300):
            yield (key, 0)
            table.delete(key // 2)
            table.insert((1000 + key, 0))

    assert table.insert_many(meddling()) == 300
    table.check()
    table.lookup_many(key for key in range(300) if table.delete(key))
    table.check()
    assert not any(table.member_many(range(300)))


class Sabotage:
    """Its encoder, which runs while a row is being packed, does something."""

    act = staticmethod(lambda: None)


tsunami.register_term(Sabotage, "tests.sabotage", lambda it: it.act() and None, lambda payload: payload)


@every_type
@pytest.mark.parametrize("what", ["the list", "the table's rows", "the table"])
def test_an_encoder_that_changes_things_under_the_insert_does_no_harm(kind: str, what: str) -> None:
    table = Table(kind)
    table.insert([(key, "old") for key in range(200)])
    inner: list[Any] = ["inner"] * 100
    rows: list[Any] = [(key, "x" * 100, inner) for key in range(100)]
    bomb = Sabotage()
    acts: dict[str, Any] = {
        "the list": lambda: (rows.clear(), inner.clear()),
        "the table's rows": lambda: (table.delete_all_objects(), table.insert([(key, "new") for key in range(500)])),
        "the table": table.delete,
    }
    bomb.act = acts[what]  # type: ignore[method-assign]
    rows[50] = (50, bomb, inner)
    try:
        table.insert(rows)
    except NoSuchTable:
        assert what == "the table"
    else:
        assert table.lookup(0)[-1][:2] == (0, "x" * 100)
        table.check()


@every_type
def test_init_table_replaces_what_was_there(kind: str) -> None:
    table = Table(kind)
    table.insert([(1, "old"), (2, "old")])
    assert table.init_table((key, "new") for key in (2, 3)) is True
    assert alike(table.tab2list(), [(2, "new"), (3, "new")])
    assert table.init_table([]) is True
    assert len(table) == 0
