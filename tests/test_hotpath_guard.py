"""Guards of the hot paths: each against a dict doing the same in the same run, on the same machine, in the same minute.

Not a benchmark (bench/ measures): a guard trips when a path has become ten times slower than it was, because something
in it now allocates, copies, locks or searches that did not before. The bounds are about ten times what was measured
when they were set. Timings of a busy machine vary by a factor, which is why the best of several rounds counts.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tsunami import Table

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


def guard(benchmark: BenchmarkFixture, ours: Work, theirs: Work, bound: float) -> None:
    """Ours may take `bound` times as long as theirs."""
    import timeit

    theirs()
    reference = min(timeit.repeat(theirs, number=1, repeat=7))
    benchmark.pedantic(ours, rounds=7, warmup_rounds=1)
    if benchmark.stats is None:  # --benchmark-disable
        best = min(timeit.repeat(ours, number=1, repeat=7))
    else:
        best = benchmark.stats.stats.min
    benchmark.extra_info["ratio"] = best / reference
    assert best / reference < bound


def test_lookup_is_no_more_than_ten_times_what_it_was(
    benchmark: BenchmarkFixture, table: Table, plain: dict[Any, Any], keys: list[int]
) -> None:
    lookup, get = table.lookup, plain.get
    guard(benchmark, lambda: [lookup(key) for key in keys], lambda: [get(key) for key in keys], 20)


def test_a_miss_is_no_more_than_ten_times_what_it_was(
    benchmark: BenchmarkFixture, table: Table, plain: dict[Any, Any], keys: list[int]
) -> None:
    absent = [key + N for key in keys]
    lookup, get = table.lookup, plain.get
    guard(benchmark, lambda: [lookup(key) for key in absent], lambda: [get(key) for key in absent], 15)


def test_a_miss_is_no_slower_than_a_hit(benchmark: BenchmarkFixture, table: Table, keys: list[int]) -> None:
    absent = [key + N for key in keys]
    member = table.member
    guard(benchmark, lambda: [member(key) for key in absent], lambda: [member(key) for key in keys], 1.5)


def test_insert_is_no_more_than_ten_times_what_it_was(benchmark: BenchmarkFixture, keys: list[int]) -> None:
    table, plain = Table(), {}
    insert = table.insert

    def put() -> None:
        for key in keys:
            plain[key] = (key, key)

    guard(benchmark, lambda: [insert((key, key)) for key in keys], put, 20)


def test_update_counter_is_no_more_than_ten_times_what_it_was(benchmark: BenchmarkFixture, keys: list[int]) -> None:
    table = Table()
    table.insert_many((key, 0) for key in keys)
    plain = dict.fromkeys(keys, 0)
    lock = Lock()
    update = table.update_counter

    def add() -> None:
        for key in keys:
            with lock:
                plain[key] += 1

    guard(benchmark, lambda: [update(key, 1) for key in keys], add, 10)


def test_lookup_many_is_no_more_than_ten_times_what_it_was(
    benchmark: BenchmarkFixture, table: Table, plain: dict[Any, Any], keys: list[int]
) -> None:
    batches = [keys[at : at + 100] for at in range(0, N, 100)]
    many, get = table.lookup_many, plain.get
    guard(benchmark, lambda: [many(batch) for batch in batches], lambda: [get(key) for key in keys], 15)


def test_text_keys_are_no_more_than_ten_times_what_they_were(benchmark: BenchmarkFixture, keys: list[int]) -> None:
    names = [f"user:{key}" for key in keys]
    table = Table()
    table.insert_many((name, 1) for name in names)
    plain = {name: (name, 1) for name in names}
    lookup, get = table.lookup, plain.get
    guard(benchmark, lambda: [lookup(name) for name in names], lambda: [get(name) for name in names], 25)
