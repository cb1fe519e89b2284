"""The tree behind ordered tables, by itself: `_core._Tree` against a sorted list, with check() after each step.

What a knob does: `first` is how many nodes a fresh arena has room for, so that it grows often; `piece` is how many
bytes of a key a node shows, so that equal pieces and rows that have to be asked are common.
"""

import math
import random
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from functools import cmp_to_key
from typing import Any

import pytest
from _support import effort
from _termmodel import compare, exact_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from strategies import keys

from tsunami import Atom, BadArgument, _core
from tsunami._core import _Tree

Key = Any
ordered = cmp_to_key(compare)


@pytest.fixture(autouse=True)
def knobs() -> Iterator[None]:
    before = _core._tree_knobs()
    yield
    _core._tree_knobs(**before)


@pytest.fixture(params=[7, 1], ids=["pieces of 7", "pieces of 1"])
def piece(request: pytest.FixtureRequest) -> int:
    _core._tree_knobs(piece=request.param, first=2)
    return int(request.param)


class Model:
    """Rows of a tree in a sorted list."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.rows: list[tuple[Any, ...]] = []

    def place(self, key: Key) -> tuple[int, bool]:
        i = bisect_left(self.keys, ordered(key))
        return i, i < len(self.rows) and compare(self.rows[i][0], key) == 0

    def put(self, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
        i, there = self.place(row[0])
        old = self.rows[i] if there else None
        self.keys[i : i + there] = [ordered(row[0])]
        self.rows[i : i + there] = [row]
        return old

    def take(self, key: Key) -> tuple[Any, ...] | None:
        i, there = self.place(key)
        if not there:
            return None
        del self.keys[i]
        return self.rows.pop(i)

    def walk(self, key: Key, dir: int, inclusive: bool) -> list[tuple[Any, ...]]:
        i, there = self.place(key)
        if dir == 1:
            return self.rows[i + (there and not inclusive) :]
        return self.rows[: i + (there and inclusive)][::-1]


def same(a: Any, b: Any) -> bool:
    """Rows that were stored come back as they were: 1 is not 1.0 here."""
    return exact_equal(a, b)


FEW: Any = st.one_of(
    st.integers(0, 40),
    st.integers(0, 40).map(float),
    st.integers(0, 40).map(lambda i: f"user:000000000000{i:02}"),
    st.integers(0, 40).map(lambda i: (1, i // 7, (i % 7,))),
    st.integers(0, 40).map(lambda i: b"\0" * (i // 5) + b"\1" * (i % 5)),
    st.integers(0, 40).map(lambda i: Atom("a" * i)),
    st.integers(0, 20).map(lambda i: "x" * 150 + "y" * i),
    st.integers(0, 20).map(lambda i: [1] * i),
    keys(),
)


class Machine(RuleBasedStateMachine):
    """All operations on one tree, keys of all types, next to a sorted list."""

    @initialize(piece=st.sampled_from((1, 2, 7)), first=st.sampled_from((2, 3, 16)))
    def begin(self, piece: int, first: int) -> None:
        _core._tree_knobs(piece=piece, first=first)
        self.tree = _Tree()
        self.model = Model()
        self.count = 0

    @rule(key=FEW)
    def put(self, key: Key) -> None:
        self.count += 1
        row = (key, self.count)
        assert same(self.model.put(row), self.tree.put(row))

    @rule(keys=st.lists(st.integers(-50, 50), max_size=30))
    def put_many(self, keys: list[int]) -> None:
        for key in keys:
            self.put(key)

    @rule(key=FEW)
    def take(self, key: Key) -> None:
        assert same(self.model.take(key), self.tree.take(key))

    @rule(data=st.data())
    def take_one_that_is_there(self, data: st.DataObject) -> None:
        if self.model.rows:
            self.take(data.draw(st.sampled_from(self.model.rows))[0])

    @rule(key=FEW, dir=st.sampled_from((0, 1)), inclusive=st.booleans())
    def walk(self, key: Key, dir: int, inclusive: bool) -> None:
        expected = self.model.walk(key, dir, inclusive)
        assert same(expected, self.tree.walk(key, dir, inclusive))
        assert same(expected[0] if expected else None, self.tree.seek(key, dir, inclusive))

    @rule(key=FEW, inclusive=st.booleans(), between=FEW)
    def split_and_join(self, key: Key, inclusive: bool, between: Key) -> None:
        high = self.tree.split(key, inclusive)
        i, there = self.model.place(key)
        border = i + (there and inclusive)
        assert border == len(self.tree)
        assert len(self.model.rows) - border == len(high)
        high.check()
        self.tree.check()
        at, found = self.model.place(between)
        if at == border and not found:
            self.count += 1
            self.tree.join(high, (between, self.count))
            self.model.put((between, self.count))
        else:
            self.tree.join(high)

    @rule(a=FEW, b=FEW, a_open=st.booleans(), b_open=st.booleans())
    def cut(self, a: Key, b: Key, a_open: bool, b_open: bool) -> None:
        if compare(a, b) > 0:
            a, b = b, a
        (i, there), (j, last) = self.model.place(a), self.model.place(b)
        i, j = i + (there and a_open), j + (last and not b_open)
        out = self.tree.cut(a, a_open, b, b_open)
        out.check()
        assert same(self.model.rows[i : max(i, j)], out.walk())
        del self.model.rows[i : max(i, j)]
        del self.model.keys[i : max(i, j)]

    @rule()
    def build_anew(self) -> None:
        self.tree = _Tree()
        self.tree.build(self.model.rows)

    @rule(key=FEW)
    def count_and_find(self, key: Key) -> None:
        i, there = self.model.place(key)
        assert i == self.tree.rank(key)
        assert i + there == self.tree.rank(key, True)
        assert same(self.model.rows[i] if there else None, self.tree.find(key))

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "tree"):
            self.tree.check()
            self.tree.check_arena()
            assert len(self.model.rows) == len(self.tree)
            assert same(self.model.rows, self.tree.walk())
            assert same(self.model.rows[::-1], self.tree.walk(dir=0))


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=effort(40), stateful_step_count=30, deadline=None)


# ---- order of insertion and removal

ORDERS: dict[str, Callable[[int], list[int]]] = {
    "ascending": lambda n: list(range(n)),
    "descending": lambda n: list(range(n))[::-1],
    "from both ends": lambda n: [i // 2 if i % 2 else n - 1 - i // 2 for i in range(n)],
    "from the middle": lambda n: [n // 2 + (i // 2 if i % 2 else -i // 2 - 1) for i in range(n)],
    "bits reversed": lambda n: sorted(range(n), key=lambda i: f"{i:020b}"[::-1]),
    "random": lambda n: random.Random(1).sample(range(n), n),
    "saw": lambda n: [i * 37 % n for i in range(n)] if math.gcd(37, n) == 1 else list(range(n)),
}


@pytest.mark.parametrize("put", ORDERS)
def test_a_tree_that_only_grew_is_an_avl_tree(put: str, piece: int) -> None:
    tree = _Tree()
    n = 1500
    for count, key in enumerate(ORDERS[put](n), 1):
        tree.put((key,))
        if count % 100 == 0:
            tree.check()
        assert tree.height <= 1.4405 * math.log2(count + 2) - 0.3277
    assert [(i,) for i in range(n)] == tree.walk()
    tree.check()
    assert tree.cases["rotations of one update"] <= 2


@pytest.mark.parametrize("take", ORDERS)
@pytest.mark.parametrize("put", ["ascending", "random"])
def test_taking_out_in_any_order_keeps_the_rule_and_the_height(put: str, take: str) -> None:
    tree = _Tree()
    n = 700
    for key in ORDERS[put](n):
        tree.put((key,))
    for left, key in zip(range(n - 1, -1, -1), ORDERS[take](n), strict=True):
        assert (key,) == tree.take(key)
        assert tree.height <= 2 * math.log2(left + 1) + 1
        if left % 25 == 0:
            tree.check()
            tree.check_arena()
    assert tree.height == 0
    assert tree.cases["rotations of one update"] <= 2


def test_an_update_makes_at_most_two_rotations_and_few_on_average(piece: int) -> None:
    rng = random.Random(2)
    tree = _Tree()
    updates = 0
    for _ in range(3):
        for key in rng.sample(range(2000), 1500):
            tree.put((key,))
        for key in rng.sample(range(2000), 1500):
            tree.take(key)
        updates += 3000
        tree.check()
    assert tree.cases["rotations of one update"] == 2
    assert 0 < tree.cases["rotations"] < updates / 2


def test_every_case_of_rebalancing_is_met_by_random_updates(piece: int) -> None:
    rng = random.Random(3)
    tree = _Tree()
    for _ in range(4000):
        key = rng.randrange(400)
        if rng.random() < 0.5:
            tree.put((key,))
        else:
            tree.take(key)
    tree.check()
    never = {"rise even"}  # only where trees are joined
    assert {name for name, times in tree.cases.items() if times == 0} == never


# ---- keys that share their beginning

ALIKE: dict[str, Callable[[int], Key]] = {
    "text": lambda i: f"user:0000000000{i:06}",
    "tuples": lambda i: ("a first element", i),
    "lists": lambda i: [1, 2, 3, i],
    "long": lambda i: "x" * 300 + str(i),
    "prefixes": lambda i: "x" * i,
    "zeros": lambda i: b"\0" * i,
    "groups": lambda i: f"{'customer invoice item address'.split()[i % 4]}:00000000{i:07}",
}


@pytest.mark.parametrize("kind", ALIKE)
def test_keys_that_share_their_beginning_are_told_apart(kind: str, piece: int) -> None:
    make = ALIKE[kind]
    rng = random.Random(4)
    n = 400
    tree, model = _Tree(), Model()
    for i in rng.sample(range(n), n):
        row = (make(i), i)
        assert model.put(row) is tree.put(row)
        if i % 40 == 0:
            tree.check()
    for i in range(0, n, 3):
        assert model.take(make(i)) == tree.take(make(i))
        assert tree.find(make(i)) is None
    tree.check()
    assert model.rows == tree.walk()
    for i in range(n):
        assert tree.find(make(i)) == (None if i % 3 == 0 else (make(i), i))


# rows that a lookup may ask on average: one to confirm a key longer than a piece, and a few where the pieces of the
# upper nodes cannot begin behind what keys of different beginnings share
MAY_ASK = {"text": 0.2, "tuples": 0.2, "lists": 0.2, "long": 12, "prefixes": 12, "zeros": 12, "groups": 5}


@pytest.mark.parametrize("kind", ALIKE)
@pytest.mark.parametrize("how", ["put", "built"])
def test_keys_that_share_their_beginning_are_found_without_asking_rows(kind: str, how: str) -> None:
    make = ALIKE[kind]
    rng = random.Random(12)
    n = 400 if kind in ("prefixes", "zeros") else 3000
    tree = _Tree()
    if how == "built":
        tree.build([(key,) for key in sorted((make(i) for i in range(n)), key=ordered)])
    else:
        for i in rng.sample(range(n), n):
            tree.put((make(i),))
    before = tree.asked
    for _ in range(1000):
        assert tree.find(make(rng.randrange(n))) is not None
    assert (tree.asked - before) / 1000 <= MAY_ASK[kind]


def test_a_prefix_of_forms_is_a_bound_below_all_that_begin_with_it(piece: int) -> None:
    tree = _Tree()
    rows = sorted((f"a{i}" if i < 50 else f"b{i}",) for i in range(100))
    for row in rows:
        tree.put(row)
    form = _core.order_key("a")
    bound = bytearray(form[:2])  # the tag and "a", without the terminator
    assert tree.walk(bound) == rows
    assert tree.rank(bound) == tree.rank(bound, True) == 0
    above = bytearray(form[:2] + b"\xff")
    assert tree.rank(above) == tree.rank(above, True) == 50
    assert tree.walk(above, 0) == rows[:50][::-1]
    assert tree.seek(above, 1) == rows[50]
    assert tree.seek(bytearray(b""), 1) == rows[0]
    assert tree.seek(bytearray(b"\xff" * 9), 0, True) == rows[-1]


def test_a_deep_key_is_compared_without_recursion() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    deeper = [deep]
    tree = _Tree()
    tree.put((deep, 1))
    tree.put((deeper, 2))
    tree.put((deep, 3))
    assert len(tree) == 2
    assert [row[1] for row in tree.walk()] == [3, 2]  # [] < [[]] < [[[]]]


# ---- split, join, cut, build


def made(rng: random.Random, n: int, scar: bool) -> _Tree:
    """A tree of the rows (0,) .. (n - 1,); with a scar many were taken out on the way, so that nodes are 2,2."""
    tree = _Tree()
    for key in rng.sample(range(3 * n if scar else n), 3 * n if scar else n):
        tree.put((key,))
    if scar:
        for key in rng.sample(range(n, 3 * n), 2 * n):
            tree.take(key)
    return tree


@pytest.mark.parametrize("scar", [False, True], ids=["grown", "shrunk"])
def test_split_and_join_at_every_key(scar: bool, piece: int) -> None:
    rng = random.Random(5)
    n = 130
    for at in range(-1, n + 1):
        low = made(rng, n, scar) if at % 10 == 0 or at == -1 else low  # noqa: F821
        inclusive = rng.random() < 0.5
        high = low.split(at, inclusive)
        border = max(at + inclusive, 0)
        assert low.walk() == [(i,) for i in range(min(border, n))]
        assert high.walk() == [(i,) for i in range(border, n)]
        low.check()
        high.check()
        low.check_arena(high)
        low.join(high)
        assert len(high) == 0
        assert low.walk() == [(i,) for i in range(n)]
        low.check()
        low.check_arena()
        assert low.cases["rotations of one update"] <= 3


SIZES = [0, 1, 2, 3, 4, 7, 8, 20, 63, 64, 200, 1000]


@pytest.mark.parametrize("low_size", SIZES)
def test_join_of_any_two_sizes_with_and_without_a_middle(low_size: int, piece: int) -> None:
    rng = random.Random(low_size)
    for high_size in SIZES:
        for middle in (False, True):
            low = _Tree()
            high = low.beside()
            for key in rng.sample(range(low_size), low_size):
                low.put((key,))
            for key in rng.sample(range(high_size), high_size):
                high.put((low_size + 1 + key,))
            ranks = (low.rank_of_root, high.rank_of_root)
            steps = low.steps
            low.join(high, (low_size,) if middle else None)
            taken = low.steps - steps
            assert taken <= abs(ranks[0] - ranks[1]) + 1  # one more where the middle was taken from the lower tree
            if middle:
                assert max(ranks) <= low.rank_of_root <= max(ranks) + 1
            expected = [(i,) for i in range(low_size + 1 + high_size) if middle or i != low_size]
            assert low.walk() == expected
            low.check()
            low.check_arena(high)


def test_the_joins_of_a_split_take_as_many_steps_as_the_root_has_ranks() -> None:
    rng = random.Random(6)
    for scar in (False, True):
        tree = made(rng, 3000, scar)
        for at in rng.sample(range(3000), 200):
            rank, steps = tree.rank_of_root, tree.steps
            high = tree.split(at)
            # two sides; each join may pass one node more than the telescoped difference
            assert tree.steps - steps <= 2 * (rank + 1) + (rank + 1)
            tree.join(high)
        tree.check()


def test_every_case_of_rebalancing_a_join_is_met(piece: int) -> None:
    rng = random.Random(7)
    tree = made(rng, 400, True)
    before = tree.cases
    for at in rng.sample(range(400), 300):
        tree.join(tree.split(at))
    tree.check()
    for name in ("promote", "rise single", "rise double", "rise even"):
        assert tree.cases[name] > before[name], name


def test_trees_that_were_split_go_on_as_trees(piece: int) -> None:
    rng = random.Random(8)
    trees = [made(rng, 600, True)]
    rows = set(range(600))
    borders = [0]
    for at in sorted(rng.sample(range(1, 600), 5)):
        trees.append(trees[-1].split(at))
        borders.append(at)
    for _ in range(600):
        key = rng.randrange(600)
        tree = trees[sum(border <= key for border in borders) - 1]
        if key in rows:
            assert tree.take(key) == (key,)
        else:
            assert tree.put((key,)) is None
        rows ^= {key}
    for tree in trees:
        tree.check()
    trees[0].check_arena(*trees[1:])
    while len(trees) > 1:
        at = rng.randrange(len(trees) - 1)
        trees[at].join(trees.pop(at + 1))
        trees[at].check()
    assert trees[0].walk() == [(key,) for key in sorted(rows)]


@pytest.mark.parametrize("kind", ALIKE)
def test_keys_that_share_their_beginning_survive_splits_and_joins(kind: str, piece: int) -> None:
    make = ALIKE[kind]
    rng = random.Random(9)
    n = 120
    tree, model = _Tree(), Model()
    for i in rng.sample(range(n), n):
        model.put((make(i),))
        tree.put((make(i),))
    tree.put((0,))
    tree.put((b"\xff" * 8,))  # no beginning is common to all
    model.put((0,))
    model.put((b"\xff" * 8,))
    for i in rng.sample(range(n), 40):
        high = tree.split(make(i), rng.random() < 0.5)
        tree.check()
        high.check()
        row = (make(rng.randrange(n)),)
        (tree if not high or compare(row[0], high.at(0)[0]) < 0 else high).put(row)
        tree.join(high)
        tree.check()
    assert model.rows == tree.walk()


@given(
    st.lists(st.integers(0, 60), unique=True),
    st.integers(-1, 61),
    st.integers(-1, 61),
    st.sampled_from(("--", "-+", "+-", "++")),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=effort(200), deadline=None)
def test_a_range_is_cut_out(some: list[int], a: int, b: int, bounds: str, a_open: bool, b_open: bool) -> None:
    tree = _Tree()
    for key in some:
        tree.put((key,))
    low: Any = a if bounds[0] == "+" else ...
    high: Any = b if bounds[1] == "+" else ...
    out = tree.cut(low, a_open, high, b_open)
    inside = {
        key
        for key in some
        if (low is ... or key > a or (key == a and not a_open))
        and (high is ... or key < b or (key == b and not b_open))
    }
    assert out.walk() == [(key,) for key in sorted(inside)]
    assert tree.walk() == [(key,) for key in sorted(set(some) - inside)]
    out.check()
    tree.check()
    tree.check_arena(out)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 100, 1000])
def test_sorted_rows_make_a_tree_of_the_least_height(n: int, piece: int) -> None:
    for kind in ("numbers", *ALIKE):
        make = ALIKE.get(kind, lambda i: i)
        rows = [(key,) for key in sorted((make(i) for i in range(n)), key=ordered)]
        tree = _Tree()
        tree.build(rows)
        tree.check()
        tree.check_arena()
        assert tree.walk() == rows
        assert tree.height == n.bit_length()
        for row in rows[::7]:
            assert tree.take(row[0]) == row
            assert tree.put(row) is None
        tree.check()


@pytest.mark.parametrize("rows", [[(1,), (1.0,)], [(2,), (1,)], [("a",), ("b",), ("b",), ("c",)]])
def test_rows_that_do_not_ascend_are_refused(rows: list[tuple[Any, ...]]) -> None:
    tree = _Tree()
    with pytest.raises(BadArgument, match="ascend"):
        tree.build(rows)
    assert len(tree) == 0
    tree.check_arena()
    assert tree.put((1,)) is None
    tree.check()


def test_several_finds_in_turns_are_finds() -> None:
    rng = random.Random(10)
    tree = _Tree()
    assert tree.find_many([1, 2]) == [None, None]
    for key in rng.sample(range(500), 250):
        tree.put((key,))
    some = [rng.randrange(-5, 505) for _ in range(100)]
    assert tree.find_many(some) == [tree.find(key) for key in some]


def test_a_walk_of_a_large_tree_is_loaded_ahead_and_complete() -> None:
    rng = random.Random(11)
    n = 7000  # 4096 and more of them stay
    tree = _Tree()
    for key in rng.sample(range(n), n):
        tree.put((key,))
    for key in range(0, n, 3):
        tree.take(key)
    rows = [(key,) for key in range(n) if key % 3]
    assert tree.walk() == rows[: len(rows)]
    while len(tree) > 3900:
        tree.take(rows.pop()[0])
    assert tree.walk(dir=0) == rows[::-1]
    assert tree.walk(rows[100][0]) == rows[101:]
    assert tree.walk(rows[100][0], 0, True) == rows[:101][::-1]


@pytest.mark.parametrize("key", [0, 1, -1, 77, -77, 1.5, -0.25, "", "user", "a\0b", b"\0", Atom("ok"), Atom("")])
def test_a_bound_that_is_a_whole_form_or_not_quite_one(key: Key, piece: int) -> None:
    tree = _Tree()
    tree.put((key,))
    form = _core.order_key(key)
    for n in range(len(form)):
        assert tree.rank(bytearray(form[:n]), True) == 0  # the beginning of a form stands before it
        assert tree.seek(bytearray(form[:n]), 1) == (key,)
    assert tree.rank(bytearray(form)) == 0
    assert tree.rank(bytearray(form), True) == 1
    for more in (b"\0", b"\1", b"\xff"):
        assert tree.rank(bytearray(form + more)) == 1
        assert tree.seek(bytearray(form + more), 1, True) is None


def test_the_next_key_is_found_without_asking_the_row_of_this_one() -> None:
    tree = _Tree()
    for i in range(-500, 500):
        tree.put((i,))
    before = tree.asked
    for i in range(-500, 499):
        assert tree.seek(i, 1) == (i + 1,)
        assert tree.seek(i + 1, 0) == (i,)
    assert tree.asked == before


@pytest.mark.parametrize("others", ["none", "takes from the front", "takes the last", "puts between", "cuts", "longer"])
def test_keys_that_come_behind_all_others(others: str, piece: int) -> None:
    """check() compares the path that is remembered with the tree's, and each key is found from the root."""
    tree, model, rng = _Tree(), list[Any](), random.Random(5)
    beside = tree.beside()
    for i in range(0, 6000, 3):
        key = (f"{'user:' * (i // 1000)}", i) if others == "longer" else i
        assert tree.put((key,)) is None
        model.append(key)
        if others == "takes from the front" and i % 2:
            assert tree.take(model[0]) == (model.pop(0),)
        elif others == "takes the last" and i % 7 == 0:
            assert tree.take(model[-1]) == (model.pop(),)
        elif others == "puts between" and i % 9 == 0:
            j = rng.randrange(len(model))
            if (between := model[j] + 1) not in model:
                tree.put((between,))
                model.insert(j + 1, between)
        elif others == "cuts" and i % 300 == 0:
            half = tree.split(model[len(model) // 2])
            half.put((model[-1] + 1,))  # the other tree of the arena has an end, too
            half.check()
            tree.put((model[-1] + 2,))
            tree.check()
            model = [*model[: len(model) // 2], model[-1] + 2]
            beside.put((i,))
            half.fell(10**6)
        if i % 50 == 0:
            tree.check()
            beside.check()
    tree.check()
    assert [row[0] for row in tree.walk()] == model
    assert tree.height <= 1.44 * math.log2(len(model) + 2) or others != "none"


def test_an_arena_takes_back_what_a_felled_tree_had() -> None:
    _core._tree_knobs(first=2)
    tree = _Tree()
    for i in range(1000):
        tree.put((i,))
    left = 1000
    while left:
        left = tree.fell(64)
    assert len(tree) == 0
    tree.check_arena()
    spent = tree.spent
    for i in range(1000):
        tree.put((i,))
    tree.check()
    tree.check_arena()
    assert tree.spent == spent
    assert tree.spent <= 28 * 1024 + 2000  # the nodes; the lists of chunks and the path to the end


def test_a_node_costs_28_bytes() -> None:
    tree = _Tree()
    for i in range((1 << 17) + 1):
        tree.put((i,))
    assert 2 * 28 << 17 <= tree.spent <= (2 * 28 << 17) + 2000
    tree.check_arena()


@given(st.lists(keys(), max_size=30), keys())
@settings(max_examples=effort(100), deadline=None)
def test_seek_and_rank_agree_with_a_sorted_list(some: list[Key], key: Key) -> None:
    tree, model = _Tree(), Model()
    for i, k in enumerate(some):
        tree.put((k, i))
        model.put((k, i))
    i, there = model.place(key)
    assert tree.rank(key) == i
    assert tree.rank(key, True) == i + there
    for dir in (0, 1):
        for inclusive in (False, True):
            expected = model.walk(key, dir, inclusive)
            assert same(expected[0] if expected else None, tree.seek(key, dir, inclusive))


# ---- both ends


class Both:
    """A tree next to a deque: keys come beyond its ends, and go there."""

    def __init__(self, start: int = 0) -> None:
        self.tree = _Tree()
        self.keys: deque[int] = deque()
        self.low = self.high = start

    def put(self, side: int) -> None:
        key = self.high if side else self.low - 1
        assert self.tree.put((key,)) is None
        if side:
            self.high += 1
            self.keys.append(key)
        else:
            self.low -= 1
            self.keys.appendleft(key)

    def take(self, side: int) -> None:
        if not self.keys:
            return
        key = self.keys.pop() if side else self.keys.popleft()
        assert self.tree.take(key) == (key,)
        if side:
            self.high = key
        else:
            self.low = key + 1

    def check(self) -> None:
        self.tree.check()
        self.tree.check_arena()
        assert self.tree.walk() == [(key,) for key in self.keys]
        for side in range(2):
            assert self.tree.seek(dir=1 - side) == ((self.keys[-side],) if self.keys else None)


BOTH: dict[str, Callable[[random.Random, int], tuple[int, int]]] = {
    # at step i of 1800: which side, and how likely something is put there, in percent
    "grows and shrinks on the right": lambda rng, i: (1, 75 if i < 900 else 20),
    "grows and shrinks on the left": lambda rng, i: (0, 75 if i < 900 else 20),
    "queue to the left": lambda rng, i: (1, 100) if i < 500 or rng.random() < 0.5 else (0, 0),
    "queue to the right": lambda rng, i: (0, 100) if i < 500 or rng.random() < 0.5 else (1, 0),
    "both sides": lambda rng, i: (rng.randrange(2), 70 if i // 450 % 2 == 0 else 30),
    "around what is remembered": lambda rng, i: (rng.randrange(2), 100 if i < 256 else 50),
}


@pytest.mark.parametrize("start", [0, 10**6], ids=["through zero", "above zero"])
@pytest.mark.parametrize("way", BOTH)
def test_the_ends_are_remembered_rightly(way: str, start: int, piece: int) -> None:
    rng = random.Random(way)
    both = Both(start)
    for i in range(1800):
        side, growth = BOTH[way](rng, i)
        if rng.random() * 100 < growth:
            both.put(side)
        else:
            both.take(side)
        if i % 23 == 0 or 254 < len(both.keys) < 258:
            both.check()
    both.check()
    while both.keys:
        both.take(rng.randrange(2))
        if len(both.keys) % 23 == 0:
            both.check()


def test_a_large_tree_remembers_the_way_to_both_of_its_ends_and_a_small_one_where_they_are() -> None:
    both = Both()
    both.put(1)
    assert both.tree.ends == ("node", "node")
    while len(both.keys) < 2000:
        both.put(len(both.keys) % 2)
        assert "" not in both.tree.ends
    kept = 0
    for i in range(2000):
        (both.put if i % 4 < 2 else both.take)(i % 2)
        kept += both.tree.ends == ("path", "path")
    assert kept > 1900  # but where the root changed
    assert both.tree.put((0.5,)) is None
    assert both.tree.ends == ("", "")
    both.tree.take(0.5)
    both.check()


def test_a_key_at_the_end_is_replaced_there() -> None:
    both = Both()
    for _ in range(600):
        both.put(1)
    for key in (both.high - 1, both.low, 300):
        assert both.tree.put((key, "new")) == (key,)
        assert both.tree.find(key) == (key, "new")
        both.tree.check()
    assert both.tree.ends[1] == "path"


def test_what_is_split_or_cut_knows_its_own_ends_only() -> None:
    both = Both()
    for _ in range(1200):
        both.put(len(both.keys) % 2)
    for cut in (both.tree.split(200), both.tree.cut(-100, False, 100, False), both.tree.cut(...)):
        cut.check()
        both.tree.check()
        assert cut.seek(dir=0) == cut.walk()[-1]
        assert cut.seek(dir=1) == cut.walk()[0]
