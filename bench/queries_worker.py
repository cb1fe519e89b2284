"""One side of the part `queries`: a process that holds a hash table and an ordered one and runs what it is told.

    <op> <rows>   ->   <ns> <cpu ns> <operations>     or     no <reason>

Rows are (K, V): K from 0 on, V = K * 7919 % rows, inserted in random order; ets_queries.erl does the same. Objects are
made before the clock starts and fresh for each operation; results are dropped with the clock stopped.
"""

from __future__ import annotations

import collections
import gc
import random
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

VALUE = 1_000_000
Work = tuple[int, Callable[[], object]]


def shuffled(n: int) -> list[int]:
    keys = list(range(n))
    random.Random(n).shuffle(keys)
    return keys


def run_all(function: Callable[[Any], object], args: Iterable[Any]) -> None:
    for arg in args:
        function(arg)


def walk_through(rows: Iterable[object]) -> None:
    for _row in rows:
        pass


class Tsunami:
    """Both tables are ours."""

    def fill(self, rows: int) -> None:
        import tsunami

        self.set = tsunami.Table("set")
        self.ordered = tsunami.Table("ordered_set")
        for k in shuffled(rows):
            self.set.insert((k, k * 7919 % rows))
            self.ordered.insert((k, k * 7919 % rows))

    def work(self, op: str, rows: int) -> Work | None:
        import tsunami

        if op in ("insert_random", "insert_ascending"):
            fresh = tsunami.Table("ordered_set")
            made = [(k, VALUE) for k in (shuffled(rows) if op == "insert_random" else range(rows))]
            return rows, lambda: run_all(fresh.insert, made)
        if op in ("lookup", "next"):
            keys = shuffled(rows)
            return rows, lambda: run_all(getattr(self.ordered, op), keys)
        plain: dict[str, Callable[[], object]] = {
            "walk": self.walk,
            "iterate": lambda: walk_through(self.ordered),
            "irange": lambda: walk_through(self.ordered.irange(rows // 4, 3 * rows // 4)),
            "select_count_set": lambda: self.set.select_count(f"{{_, V}} when V > {rows // 2}"),
            "select_count_ordered": lambda: self.ordered.select_count(f"{{_, V}} when V > {rows // 2}"),
            "select_tenth_set": lambda: self.set.select(f"{{_, V}} when V > {rows - rows // 10 - 1}"),
            "select_tenth_ordered": lambda: self.ordered.select(f"{{_, V}} when V > {rows - rows // 10 - 1}"),
            "tab2list_set": self.set.tab2list,
            "tab2list_ordered": self.ordered.tab2list,
        }
        return (rows // 2 + 1 if op == "irange" else rows, plain[op]) if op in plain else None

    def walk(self) -> None:
        import tsunami

        step, key, end = self.ordered.next, self.ordered.first(), tsunami.END_OF_TABLE
        while key is not end:
            key = step(key)

    def memory(self) -> int:
        return int(self.ordered.info("memory"))  # type: ignore[call-overload]


class Sorted:
    """sortedcontainers' SortedDict: key -> row."""

    def fill(self, rows: int) -> None:
        import sortedcontainers

        self.ordered = sortedcontainers.SortedDict({k: (k, k * 7919 % rows) for k in shuffled(rows)})

    def work(self, op: str, rows: int) -> Work | None:
        import sortedcontainers

        if op in ("insert_random", "insert_ascending"):
            fresh = sortedcontainers.SortedDict()
            made = [(k, (k, VALUE)) for k in (shuffled(rows) if op == "insert_random" else range(rows))]

            def insert() -> None:
                for k, row in made:
                    fresh[k] = row

            return rows, insert
        if op == "lookup":
            keys = shuffled(rows)
            return rows, lambda: run_all(self.ordered.get, keys)
        if op == "next":
            keys, d = shuffled(rows), self.ordered
            return rows, lambda: run_all(lambda k: next(d.irange(k, inclusive=(False, True)), None), keys)
        if op == "iterate":
            return rows, lambda: walk_through(self.ordered.values())
        if op == "tab2list_ordered":
            return rows, lambda: list(self.ordered.values())
        return None

    def memory(self) -> int:
        return 0


class Tuples:
    """A list of tuples, filtered in Python; in key order, its tuples made in random order as the rows of the tables."""

    def fill(self, rows: int) -> None:
        self.rows = sorted((k, k * 7919 % rows) for k in shuffled(rows))

    def work(self, op: str, rows: int) -> Work | None:
        table, half, most = self.rows, rows // 2, rows - rows // 10 - 1
        plain: dict[str, Callable[[], object]] = {
            "iterate": lambda: walk_through(table),
            "unpack": lambda: collections.deque((k for k, _v in table), 0),
            "select_count_set": lambda: len([1 for _k, v in table if v > half]),
            "select_count_ordered": lambda: len([1 for _k, v in table if v > half]),
            "select_tenth_set": lambda: [row for row in table if row[1] > most],
            "select_tenth_ordered": lambda: [row for row in table if row[1] > most],
            "tab2list_ordered": lambda: list(table),
        }
        return (rows, plain[op]) if op in plain else None

    def memory(self) -> int:
        return 0


def main() -> None:
    side = {"tsunami": Tsunami, "sortedcontainers": Sorted, "tuples": Tuples}[sys.argv[1]]()
    print("ready", flush=True)
    for line in sys.stdin:
        op, rows = line.split()
        if op == "fill":
            side.fill(int(rows))
            print(0, 0, rows, flush=True)
        elif op == "memory":
            print(side.memory(), 0, rows, flush=True)
        elif (work := side.work(op, int(rows))) is None:
            print("no such operation", flush=True)
        else:
            print(*timed(*work), flush=True)


def timed(n: int, function: Callable[[], object]) -> tuple[int, int, int]:
    gc.collect()
    c0, t0 = time.process_time_ns(), time.perf_counter_ns()
    kept = function()
    t1, c1 = time.perf_counter_ns(), time.process_time_ns()
    del kept
    return t1 - t0, c1 - c0, n


if __name__ == "__main__":
    main()
