"""What may be a key, which keys are one key, and what becomes of ugly terms: NaN, objects, huge rows, 100,000 levels.

ETS's exact equality as a hash table shows it. The terms themselves (round trips, order, hashes) have their own tests.
"""

import gc
import math
import sys
from typing import Any

import pytest
from _tabletools import CONFUSABLE, SETS, every_hashed, every_type, fails, float_from_bits
from model import exact_key, shown

from tsunami import Atom, BadArgument, BadType, Table, TsunamiError

DEEP = 100_000


class Thing:
    """Neither a term nor registered: as a value it is a reference term."""


@every_hashed
@pytest.mark.parametrize("stripes", [1, 8])
def test_keys_that_python_confuses_are_kept_apart(kind: str, stripes: int) -> None:
    table = Table(kind, stripes=stripes)
    for number, key in enumerate(CONFUSABLE):
        assert table.insert_new((key, number)) is True, key
        table.check()
    assert len(table) == len(CONFUSABLE)
    for number, key in enumerate(CONFUSABLE):
        assert shown(table.lookup(key)) == shown([(key, number)])
        assert (table.member(key), key in table) == (True, True)
    for number, key in enumerate(CONFUSABLE):
        assert shown(table.take(key)) == shown([(key, number)])
        assert len(table) == len(CONFUSABLE) - number - 1
    table.check()


@every_hashed
def test_one_is_not_true_is_not_one_point_zero(kind: str) -> None:
    table = Table(kind)
    table.insert([(1, "int"), (1.0, "float"), (True, "atom"), (Atom("1"), "name"), ("1", "text")])
    assert table.lookup(1) == [(1, "int")]
    assert repr(table.lookup(1.0)) == "[(1.0, 'float')]"
    assert repr(table.lookup(True)) == "[(True, 'atom')]"
    table.delete(1.0)
    assert table.lookup(1.0) == []
    assert len(table) == 4


@every_hashed
def test_the_two_zeros_are_two_keys(kind: str) -> None:
    table = Table(kind)
    table.insert([(0.0, "plus"), (-0.0, "minus"), (0, "int")])
    assert [repr(table.lookup(key)) for key in (0.0, -0.0, 0)] == [
        "[(0.0, 'plus')]",
        "[(-0.0, 'minus')]",
        "[(0, 'int')]",
    ]
    assert math.copysign(1, table.lookup(-0.0)[0][0]) == -1


@every_type
def test_text_and_bytes_are_one_key_and_each_comes_back_as_what_it_was(kind: str) -> None:
    for text in ("", "ab", "é", "x" * 6, "x" * 7, "x" * 8, "x" * 200):
        table = Table(kind)
        table.insert((text, 1))
        assert table.lookup(text.encode()) == table.lookup(bytearray(text.encode())) == [(text, 1)]
        assert table.lookup(memoryview(text.encode())) == [(text, 1)]
        assert table.insert_new((text.encode(), 2)) is False
        assert table.first() == text and type(table.first()) is str
        table.delete(text.encode())
        table.insert((text.encode(), 2))
        assert type(table.lookup(text)[0][0]) is bytes
        assert len(table) == 1


def test_insert_replaces_the_key_too_so_text_becomes_bytes() -> None:
    table = Table()
    table.insert(("k", 1))
    table.insert((b"k", 2))
    assert table.tab2list() == [(b"k", 2)]


def test_a_bag_takes_text_and_bytes_for_one_element() -> None:
    table = Table("bag")
    table.insert([("k", "v"), (b"k", b"v")])
    assert table.tab2list() == [("k", "v")]


@every_type
@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 15, 16, 17, 63, 64, 255, 256, 1000, 65_536])
def test_keys_of_every_length_are_found_and_their_neighbours_are_not(kind: str, size: int) -> None:
    table = Table(kind)
    key = b"k" * size
    table.insert((key, 1))
    assert table.lookup(key) == [(key, 1)]
    for other in (key + b"k", key + b"\0", key[:-1] + b"l", b"l" + key[1:], key[:-1]):
        if other != key:
            assert table.lookup(other) == []


@every_type
@pytest.mark.parametrize(
    "nan", [float("nan"), -float("nan"), float_from_bits(0x7FF0000000000001)], ids=["nan", "-nan", "signalling"]
)
def test_nan_is_refused_as_a_key_at_any_depth_and_stored_as_a_value(kind: str, nan: float) -> None:
    table = Table(kind)
    for key in (nan, (nan,), (1, [nan]), {"k": nan}, [[[nan]]]):
        calls: list[Any] = [
            lambda key=key: table.insert((key, 1)),
            lambda key=key: table.insert([(1, 1), (key, 1)]),
            lambda key=key: table.insert_new((key, 1)),
            lambda key=key: table.lookup(key),
            lambda key=key: table.member(key),
            lambda key=key: table.delete(key),
            lambda key=key: table.take(key),
            lambda key=key: table.next(key),
        ]
        for call in calls:
            with pytest.raises((BadArgument, BadType), match=r"(?i)nan"):
                call()
    assert len(table) == 0
    table.insert((1, nan, [nan]))
    [(key, value, [inner])] = table.lookup(1)
    assert math.isnan(value) and math.isnan(inner)
    table.check()


@every_type
def test_an_object_is_refused_as_a_key_at_any_depth_and_the_error_names_its_type(kind: str) -> None:
    table = Table(kind)
    thing = Thing()
    for key in (thing, (thing,), [1, (thing,)], {1: thing}, (1, {"k": [thing]})):
        calls: list[Any] = [
            lambda key=key: table.insert((key, 1)),
            lambda key=key: table.insert([(1, 1), (key, 1)]),
            lambda key=key: table.insert_new((key, 1)),
            lambda key=key: table.delete_object((key, 1)),
            lambda key=key: table.lookup(key),
            lambda key=key: table.lookup_many([key]),
            lambda key=key: table.member(key),
            lambda key=key: key in table,
            lambda key=key: table.delete(key),
            lambda key=key: table.take(key),
        ]
        for call in calls:
            with fails(BadType, naming="Thing"):
                call()
    assert len(table) == 0
    table.check()


@every_type
def test_a_row_may_be_its_key_alone_or_very_wide(kind: str) -> None:
    table = Table(kind)
    wide = tuple(range(10_000))
    table.insert([("only",), wide])
    assert (table.lookup("only"), table.lookup(0)) == ([("only",)], [wide])
    last = Table(kind, keypos=9_999)
    last.insert(wide)
    assert last.lookup(9_999) == [wide]
    assert last.lookup_element(9_999, 5_000) == (5_000 if kind in SETS else [5_000])


@every_type
def test_a_row_of_100_megabytes_comes_back_and_its_memory_goes_back(kind: str) -> None:
    table = Table(kind)
    before = table.info("memory")
    big = bytes(range(256)) * (100 * 4096)
    table.insert((1, big, "end"))
    [(key, value, end)] = table.lookup(1)
    assert (key, len(value), value == big, end) == (1, len(big), True, "end")
    assert table.info("memory") >= len(big)
    table.delete(1)
    assert table.info("memory") - before < 10_000
    table.check()


def nest(kind: type, depth: int) -> Any:
    term: Any = 1
    for _ in range(depth):
        term = {"k": term} if kind is dict else kind((term,))
    return term


def depth_of(term: Any) -> int:
    depth = 0
    while not isinstance(term, int):
        term = term["k"] if isinstance(term, dict) else term[0]
        depth += 1
    return depth


def unnest(term: Any) -> None:
    """Take a deep term apart from the outside, so that its own deallocation does not go deep (dicts in particular)."""
    while isinstance(term, (list, dict)) and term:
        term = term.pop() if isinstance(term, list) else term.popitem()[1]


@every_type
@pytest.mark.parametrize("container", [tuple, list, dict])
def test_a_row_nested_100000_deep_is_a_value_and_a_key_like_any_other(kind: str, container: type) -> None:
    table = Table(kind)
    deep, other = nest(container, DEEP), nest(container, DEEP - 1)
    table.insert([(1, deep), (deep, "found"), (other, "neighbour")])
    assert depth_of(table.lookup(1)[0][1]) == DEEP
    assert depth_of(table.lookup(deep)[0][0]) == DEEP
    assert table.lookup_element(deep, 1) in ("found", ["found"])
    assert table.lookup_element(other, 1) in ("neighbour", ["neighbour"])
    assert table.member(nest(container, DEEP - 2)) is False
    table.delete_object((1, deep))
    table.delete(deep)
    assert table.member(deep) is False
    assert len(table) == 1
    table.check()
    unnest(deep)
    unnest(other)


@every_type
def test_a_message_about_a_deep_value_does_not_go_deep(kind: str) -> None:
    table = Table(kind)
    deep = nest(list, DEEP)
    deep_tuple = nest(tuple, DEEP)
    for call in (
        lambda: table.insert(deep),
        lambda: table[(deep_tuple,)],
        lambda: table[deep_tuple],
        lambda: table.lookup_element(deep_tuple, 1),
    ):
        with pytest.raises(TsunamiError):
            call()
    unnest(deep)


@every_type
def test_a_term_that_contains_itself_is_refused(kind: str) -> None:
    table = Table(kind)
    ring: list[Any] = []
    ring.append(ring)
    loop: dict[str, Any] = {}
    loop["k"] = [loop]
    for term in (ring, (ring,), loop):
        with pytest.raises((TsunamiError, RecursionError, MemoryError)):
            table.insert((1, term))
    assert len(table) == 0
    table.check()
    ring.clear()
    loop.clear()


@every_type
def test_text_that_is_no_unicode_scalar_sequence_is_refused_or_comes_back_unchanged(kind: str) -> None:
    table = Table(kind)
    for text in ("\ud800", "a\udfff", "\udc80\udcff"):
        try:
            table.insert((1, text))
        except (TsunamiError, UnicodeEncodeError):
            assert table.lookup(1) == []
        else:
            assert table.lookup(1) == [(1, text)]
            table.delete(1)


@every_type
def test_subclasses_of_builtin_types_are_stored_as_what_they_are_based_on_or_come_back_themselves(kind: str) -> None:
    class Number(int): ...

    class Text(str): ...

    class Pair(tuple): ...  # type: ignore[type-arg]

    table = Table(kind)
    row = (1, Number(5), Text("five"), Pair((1, 2)))
    table.insert(row)
    [found] = table.lookup(1)
    assert found == row
    assert all(type(a) in (type(b), type(b).__base__) for a, b in zip(found, row, strict=True))


@every_type
def test_reading_does_not_keep_the_caller_s_objects(kind: str) -> None:
    table = Table(kind)
    key, value = "key" * 100, ["value" * 100]
    gc.collect()
    before = (sys.getrefcount(key), sys.getrefcount(value), sys.getrefcount(value[0]))
    table.insert((key, value))
    for _ in range(10):
        table.lookup(key)
        table.member(key)
        table.insert((key, value))
    table.lookup_many([key] * 10)
    assert (sys.getrefcount(key), sys.getrefcount(value), sys.getrefcount(value[0])) == before


def test_the_confusable_keys_are_confusable_and_different() -> None:
    assert len({exact_key(key) for key in CONFUSABLE}) == len(CONFUSABLE)
    assert sum(key == 1 for key in CONFUSABLE) == 3
