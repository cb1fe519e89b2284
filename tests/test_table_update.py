"""update_counter and update_element: what they do, in which order they check, and that failing changes nothing.

ETS's rules by example, positions counted from 0. Both are for tables of type set; what a bag says stands here too.
"""

from typing import Any

import pytest
from _tabletools import every_bag, fails

from tsunami import Atom, BadArgument, BadKey, BadPosition, BadType, Table


def table_of(*rows: tuple[Any, ...], keypos: int = 0) -> Table:
    table = Table("set", keypos=keypos)
    table.insert(list(rows))
    return table


# ---- update_counter: what it does


def test_update_counter_with_an_increment_adds_to_the_element_behind_the_key() -> None:
    assert table_of((1, 10)).update_counter(1, 5) == 15
    table = table_of(("x", 1, 10), keypos=1)
    assert table.update_counter(1, -11) == -1
    assert table.lookup(1) == [("x", 1, -1)]


def test_update_counter_with_a_position_adds_there_also_in_front_of_the_key() -> None:
    table = table_of((10, 1, 20), keypos=1)
    assert (table.update_counter(1, (0, 1)), table.update_counter(1, (2, 2))) == (11, 22)
    assert table.tab2list() == [(11, 1, 22)]


def test_update_counter_with_a_list_gives_the_value_after_each_step() -> None:
    table = table_of((1, 10, 0))
    assert table.update_counter(1, [(1, 1), (1, 1), (2, 5)]) == [11, 12, 5]
    assert table.update_counter(1, [(1, 1)]) == [13]
    assert table.lookup(1) == [(1, 13, 5)]


def test_update_counter_with_an_empty_list_gives_an_empty_list_if_the_key_exists() -> None:
    table = table_of((1, 10))
    assert table.update_counter(1, []) == []
    with fails(BadKey, "badkey"):
        table.update_counter(2, [])
    assert table.update_counter(2, [], (0, "no counter")) == []
    assert table.lookup(2) == [(2, "no counter")]


@pytest.mark.parametrize(
    ("start", "increment", "threshold", "expected"),
    [
        (10, 1, 10, "set"),
        (10, 1, 11, 11),  # a sum equal to the threshold stays
        (10, 1, 12, 11),
        (10, 0, 9, "set"),  # zero counts as not negative
        (10, 0, 10, 10),
        (10, 0, 11, 10),
        (10, -1, 10, "set"),
        (10, -1, 9, 9),
        (10, -1, 8, 9),
        (-5, 1, -4, -4),
        (-5, 1, -5, "set"),
        (2**62, 2**62, 2**63, 2**63),
        (2**62, 2**62, 2**63 - 1, "set"),
        (0, -(2**70), -(2**70), -(2**70)),
        (0, -(2**70), 1 - 2**70, "set"),
    ],
)
def test_update_counter_with_a_threshold(start: int, increment: int, threshold: int, expected: Any) -> None:
    for wrapped in (-7, 2**80):
        table = table_of((1, start))
        value = wrapped if expected == "set" else expected
        assert table.update_counter(1, (1, increment, threshold, wrapped)) == value
        assert table.lookup(1) == [(1, value)]


def test_update_counter_steps_see_the_set_value_of_the_steps_before() -> None:
    assert table_of((1, 10)).update_counter(1, [(1, 1, 10, 0), (1, 1), (1, -5, 0, 100)]) == [0, 1, 100]


@pytest.mark.parametrize("edge", [2**30, 2**31, 2**59, 2**60, 2**61, 2**62, 2**63, 2**64, 2**127, 2**128, 10**40])
@pytest.mark.parametrize("sign", [1, -1])
def test_update_counter_never_overflows(edge: int, sign: int) -> None:
    table = table_of((1, sign * (edge - 2)))
    for turn in range(-1, 4):
        assert table.update_counter(1, sign) == sign * (edge + turn)
        assert table.lookup(1) == [(1, sign * (edge + turn))]
    assert table.update_counter(1, -sign * (edge + 3)) == 0
    assert table.lookup(1) == [(1, 0)]
    table.check()


def test_update_counter_leaves_the_stored_key_as_it_is() -> None:
    table = table_of((b"k", 1))
    assert table.update_counter("k", 1) == 2  # text and bytes are one key
    assert table.tab2list() == [(b"k", 2)]


def test_update_counter_leaves_the_other_elements_as_they_are() -> None:
    rest = ("text" * 100, [1, {"a": 2.5}], None, Atom("a"), 2**100)
    table = table_of((1, 1, *rest))
    for _ in range(3):
        table.update_counter(1, 2**70)
    assert table.lookup(1) == [(1, 1 + 3 * 2**70, *rest)]


# ---- update_counter: the default


def test_update_counter_inserts_the_default_with_the_key_as_given() -> None:
    table = Table("set", keypos=1)
    assert table.update_counter("new", (2, 3), ("x", "ignored", 10)) == 13
    assert table.tab2list() == [("x", "new", 13)]
    assert table.update_counter("new", (2, 3), ("y", "ignored", 99)) == 16
    assert table.tab2list() == [("x", "new", 16)]


@pytest.mark.parametrize(
    ("what", "error", "cause"),
    [
        ((1, 1), BadArgument, None),  # the default's element is no integer
        ((5, 1), BadPosition, "position"),
        ((0, 1), BadPosition, "keypos"),
        ([(2, 1), (1, 1)], BadArgument, None),
        ("nonsense", BadType, None),
    ],
)
def test_update_counter_inserts_no_default_when_the_update_fails(what: Any, error: Any, cause: str | None) -> None:
    table = Table()
    with fails(error, cause):
        table.update_counter(1, what, (0, "text", 0))
    assert (len(table), table.member(1)) == (0, False)
    table.check()


@pytest.mark.parametrize("bad", [[], 1, "row", {}, False, Atom("a"), [(0, 0)]])
def test_a_default_must_be_a_tuple_even_if_the_key_exists(bad: Any) -> None:
    table = table_of((1, 1))
    for key in (1, 2):
        with fails(BadType):
            table.update_counter(key, 1, bad)
        with fails(BadType):
            table.update_element(key, (1, 1), bad)
    assert table.tab2list() == [(1, 1)]


def test_a_default_that_is_too_short_for_the_key_fails_only_when_it_is_needed() -> None:
    table = table_of(("x", 1, 5), keypos=1)
    assert table.update_counter(1, 1, ()) == 6
    assert table.update_element(1, (2, 0), ("x",)) is True
    for short in ((), ("x",)):
        with pytest.raises((BadArgument, BadPosition)):
            table.update_counter(2, 1, short)
        with pytest.raises((BadArgument, BadPosition)):
            table.update_element(2, (2, 1), short)
    assert len(table) == 1


# ---- update_counter: the order of its checks


@every_bag
def test_update_counter_is_not_for_bags_whatever_else_is_wrong(kind: str) -> None:
    table = Table(kind)
    table.insert((1, 1))
    for key, what in [(1, 1), (2, 1), (1, "nonsense"), (2, [])]:
        with fails(BadArgument, "table_type", naming=kind):
            table.update_counter(key, what)
    with fails(BadType):  # the default is looked at before the type of the table
        table.update_counter(1, 1, "no row")  # type: ignore[arg-type]
    assert table.lookup(1) == [(1, 1)]


@pytest.mark.parametrize("what", [1, (1, 1), "nonsense", None, (0, 1), (99, 1), [], [None], 1.5])
def test_update_counter_says_badkey_when_the_key_is_absent_whatever_the_rest_is(what: Any) -> None:
    with fails(BadKey, "badkey", naming="'absent'"):
        Table().update_counter("absent", what)


NO_CAUSE: list[Any] = [
    None, "1", 1.0, True, {}, Atom("a"), [1], [(1, 1), 1], [None], [(1, 1), "ab"],
    (), (1,), (1, 1, 1), (1, 1, 1, 1, 1), [()], [(1, 1), (1, 1, 1)], [[1, 1]],
    (1, 1.0), (1.0, 1), (1, True), (True, 1), (1, "1"), ("1", 1), (1, 1, 1.0, 1), (1, 1, 1, 1.0), (1, 1, None, 1),
    (1, None), (0, "foo"), (99, "foo"), (0, 1.0), (99, 1, 1, "foo"), (-1, None),
    (2, 1), (3, 1), (4, 1), [(1, 1), (2, 1)], (2, 1, 1, 1),
    (2, 0), [(1, 1), (2, 1), (99, 1)],
]  # fmt: skip


@pytest.mark.parametrize("what", NO_CAUSE, ids=repr)
def test_update_counter_refuses_what_is_no_step_without_a_cause_and_changes_nothing(what: Any) -> None:
    table = table_of((1, 10, "text", 1.0, True))
    with pytest.raises((BadArgument, BadType)) as info:
        table.update_counter(1, what)
    assert info.value.cause is None
    assert table.lookup(1) == [(1, 10, "text", 1.0, True)]
    table.check()


@pytest.mark.parametrize(
    ("what", "cause"),
    [
        ((0, 1), "keypos"),
        ((2, 1), "position"),
        ((-1, 1), "position"),
        ((2**31, 1), "position"),
        ((2**64, 1), "position"),
        ((-(2**64), 1), "position"),
        ((0, 1, 1, 1), "keypos"),
        ((9, 1, 1, 1), "position"),
        ([(1, 1), (0, 1)], "keypos"),
        ([(1, 1), (9, 1)], "position"),
        ([(0, 1), (9, 1)], "keypos"),  # steps are looked at from left to right
        ([(9, 1), (0, 1)], "position"),
        ([(9, 1), "nonsense"], "position"),
    ],
)
def test_update_counter_says_keypos_or_position_and_changes_nothing(what: Any, cause: str) -> None:
    table = table_of((1, 10))
    with fails(BadPosition, cause):
        table.update_counter(1, what)
    assert table.lookup(1) == [(1, 10)]


def test_update_counter_looks_at_each_element_as_it_was_before_the_call() -> None:
    table = table_of((1, 10, "text"))
    with fails(BadArgument, naming="'text'"):
        table.update_counter(1, [(1, 1), (2, 1), (0, 1)])


# ---- update_element


def test_update_element_sets_the_elements_from_left_to_right() -> None:
    table = table_of((1, "a", "b"))
    assert table.update_element(1, (1, "A")) is True
    assert table.lookup(1) == [(1, "A", "b")]
    assert table.update_element(1, [(2, "x"), (1, None), (2, ["last", "wins"])]) is True
    assert table.lookup(1) == [(1, None, ["last", "wins"])]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 15, 16, 100, 5000, 100_000])
def test_update_element_takes_values_of_any_size(size: int) -> None:
    table = table_of((1, "short", 3))
    for value in ("y" * size, b"z" * size, 5, [0] * size, "short"):
        assert table.update_element(1, (1, value)) is True
        assert table.lookup(1) == [(1, value, 3)]
    table.check()


def test_update_element_copies_the_value() -> None:
    value = [1]
    table = table_of((1, 0))
    table.update_element(1, (1, value))
    value.append(2)
    assert table.lookup(1) == [(1, [1])]


@pytest.mark.parametrize("what", [(1, 1), (0, 1), (99, 1), "foo", None, [], [None], [(1,)]])
def test_update_element_is_false_when_the_key_is_absent_whatever_the_rest_is(what: Any) -> None:
    table = table_of((1, 1))
    assert table.update_element("absent", what) is False
    assert table.tab2list() == [(1, 1)]


def test_update_element_with_an_empty_list_says_whether_the_key_exists() -> None:
    table = table_of((1, 1))
    assert (table.update_element(1, []), table.update_element(2, [])) == (True, False)
    assert table.update_element(2, [], ("any", "default")) is True
    assert table.lookup(2) == [(2, "default")]


def test_update_element_inserts_the_default_with_the_key_as_given() -> None:
    table = Table("set", keypos=1)
    assert table.update_element("new", [(0, "x"), (2, "z")], (1, 2, 3)) is True
    assert table.tab2list() == [("x", "new", "z")]
    assert table.update_element("new", (0, "y"), (7, 7, 7, 7)) is True
    assert table.tab2list() == [("y", "new", "z")]


@pytest.mark.parametrize(
    ("what", "error", "cause"),
    [
        ((0, 1), BadPosition, "keypos"),  # even if the value is the same key
        ((2, 1), BadPosition, "position"),
        ((-1, 1), BadPosition, "position"),
        ((2**64, 1), BadPosition, "position"),
        ([(1, 2), (0, 1)], BadPosition, "keypos"),
        ([(1, 2), (2, 1)], BadPosition, "position"),
        ([(2, 1), (0, 1)], BadPosition, "position"),
        ([(0, 1), None], BadPosition, "keypos"),
    ],
)
def test_update_element_says_keypos_or_position_and_changes_nothing(what: Any, error: Any, cause: str) -> None:
    for default in (None, ("any", "default")):
        table = table_of((1, 10))
        with fails(error, cause):
            table.update_element(1, what, default)
        assert table.lookup(1) == [(1, 10)]
        if default:
            with fails(error, cause):
                table.update_element(2, what, default)
            assert len(table) == 1


@pytest.mark.parametrize(
    "what", [None, 1, "ab", (), (1,), (1, 2, 3), (1.0, 2), ("1", 2), (True, 2), [1], [(1, 2), None], [(1, 2), (1,)]]
)
def test_update_element_refuses_what_is_no_pair_without_a_cause(what: Any) -> None:
    table = table_of((1, 10))
    with pytest.raises((BadArgument, BadType)) as info:
        table.update_element(1, what)
    assert info.value.cause is None
    assert table.lookup(1) == [(1, 10)]


@every_bag
def test_update_element_is_not_for_bags(kind: str) -> None:
    table = Table(kind)
    table.insert((1, 1))
    for key, what in [(1, (1, 2)), (2, (1, 2)), (1, "nonsense"), (2, [])]:
        with fails(BadArgument, naming=kind):
            table.update_element(key, what)
        with fails(BadArgument, naming=kind):
            table.update_element(key, what, (1, 1))
    with fails(BadType):
        table.update_element(1, (1, 1), "no row")  # type: ignore[arg-type]
