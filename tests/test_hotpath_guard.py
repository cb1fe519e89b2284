"""Guards of the hot paths: each against a dict doing the same in the same run, on the same machine, in the same minute.

Not a benchmark (bench/ measures): a guard trips when a path has become ten times slower than it was, because something
in it now allocates, copies, locks or searches that did not before. The bounds are about ten times what was measured
when they were set. Timings of a busy machine vary by a factor, which is why the best of several rounds counts.
"""

import gc
import timeit
from collections.abc import Callable
from threading import Lock
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tsunami import Table

pytestmark = pytest.mark.measures

N = 20_000
Work = Callable[[], object]


@pytest.fixture(scope="module")
def keys() -> list[int]:
    """In an order that has nothing to do with the keys' values."""
    return [(i * 7919) % N for i in range(N)]


@pytest.fixture(scope="module")
def table(keys: list[int]) -> Table:
    table = Table()
    table.insert_many((key, key, "value") for key in keys)
    return table


@pytest.fixture(scope="module")
def plain(keys: list[int]) -> dict[Any, Any]:
    return {key: (key, key, "value") for key in keys}


def each(function: Callable[[Any], object], arguments: list[Any]) -> Work:
    """The work of calling it with each, and dropping what it returns."""

    def work() -> None:
        for argument in arguments:
            function(argument)

    return work


def guard(benchmark: BenchmarkFixture, ours: Work, theirs: Work, bound: float) -> None:
    """Ours may take `bound` times as long as theirs. The collector is off: it is not what is guarded here."""
    was = gc.isenabled()
    gc.disable()
    try:
        theirs()
        reference = min(timeit.repeat(theirs, number=1, repeat=9))
        benchmark.pedantic(ours, rounds=3, warmup_rounds=1)
        best = min(timeit.repeat(ours, number=1, repeat=9))
    finally:
        if was:
            gc.enable()
    benchmark.extra_info["ratio"] = round(best / reference, 2)
    assert best / reference < bound


def test_lookup_is_no_more_than_ten_times_what_it_was(
    benchmark: BenchmarkFixture, table: Table, plain: dict[Any, Any], keys: list[int]
) -> None:
    lookup, get = table.lookup, plain.get
    guard(benchmark, each(lookup, keys), each(get, keys), 50)


def test_a_miss_is_no_more_than_ten_times_what_it_was(
    benchmark: BenchmarkFixture, table: Table, plain: dict[Any, Any], keys: list[int]
) -> None:
    absent = [key + N for key in keys]
    lookup, get = table.lookup, plain.get
    guard(benchmark, each(lookup, absent), each(get, absent), 20)


def test_a_miss_is_no_slower_than_a_hit(benchmark: BenchmarkFixture, table: Table, keys: list[int]) -> None:
    absent = [key + N for key in keys]
    member = table.member
    guard(benchmark, each(member, absent), each(member, keys), 1.5)


def test_insert_is_no_more_than_ten_times_what_it_was(benchmark: BenchmarkFixture, keys: list[int]) -> None:
    table, plain = Table(), {}
    insert = table.insert

    def put() -> None:
        for key in keys:
            plain[key] = (key, key)

    guard(benchmark, each(insert, [(key, key) for key in keys]), put, 15)


def test_update_counter_is_no_more_than_ten_times_what_it_was(benchmark: BenchmarkFixture, keys: list[int]) -> None:
    table = Table()
    table.insert_many((key, 0) for key in keys)
    plain = dict.fromkeys(keys, 0)
    lock = Lock()
    update = table.update_counter

    def increment() -> None:
        for key in keys:
            update(key, 1)

    def add() -> None:
        for key in keys:
            with lock:
                plain[key] += 1

    guard(benchmark, increment, add, 2.5)


def test_lookup_many_is_no_more_than_ten_times_what_it_was(
    benchmark: BenchmarkFixture, table: Table, plain: dict[Any, Any], keys: list[int]
) -> None:
    batches = [keys[at : at + 100] for at in range(0, N, 100)]
    many, get = table.lookup_many, plain.get
    guard(benchmark, each(many, batches), each(get, keys), 50)


def test_text_keys_are_no_more_than_ten_times_what_they_were(benchmark: BenchmarkFixture, keys: list[int]) -> None:
    names = [f"user:{key}" for key in keys]
    table = Table()
    table.insert_many((name, 1) for name in names)
    plain = {name: (name, 1) for name in names}
    lookup, get = table.lookup, plain.get
    guard(benchmark, each(lookup, names), each(get, names), 30)
