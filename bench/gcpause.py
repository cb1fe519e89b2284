"""The pause of gc.collect() while 5,000,000 rows are alive.

Three fresh processes: one with nothing, one with a dict of tuples, one with a Table. Each is filled, collects once
(which also lets CPython stop tracking tuples of plain integers), and then is timed over seven full collections:
`first` is that first one, `median` and `worst` are of the seven. `build` is how long the filling took, the
collector's own work during it included, with the collector on as it is by default.

Rows: (integer, integer), and (16 characters, [integer]): a tuple that holds a list can never be left out by the
collector.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import common

FULL, QUICK = 5_000_000, 1_000_000
TIMES = 7


def rows_of(kind: str, n: int) -> Iterator[tuple[Any, Any]]:
    if kind == "int":
        return ((i, i + 1) for i in range(1000, n + 1000))
    return ((f"user:{i:011d}", [i]) for i in range(n))


def fill(side: str, kind: str, n: int) -> Any:
    if side == "empty":
        return None
    if side == "dict":
        return {row[0]: row for row in rows_of(kind, n)}
    import tsunami

    table = tsunami.Table("set")
    insert = table.insert
    for row in rows_of(kind, n):
        insert(row)
    return table


def collect_ns() -> int:
    t0 = time.perf_counter_ns()
    gc.collect()
    return time.perf_counter_ns() - t0


def child(side: str, kind: str, n: int) -> None:
    if side == "empty":
        import tsunami  # noqa: F401 - the module's own objects are in both, or in neither
    t0 = time.perf_counter_ns()
    alive = fill(side, kind, n)
    build = time.perf_counter_ns() - t0
    first = collect_ns()
    times = [collect_ns() for _ in range(TIMES)]
    print(
        f"rows={len(alive) if alive is not None else 0} build={build}",
        f"first={first} median={median(times)} worst={max(times)}",
    )


def run(quick: bool = False) -> common.Result:
    """The section is `gc`; times in ms, build in s."""
    result = common.Result("gc", common.head())
    n = QUICK if quick else FULL
    for kind in ("int", "list"):
        for side in ("empty", "dict", "tsunami"):
            a = common.ask(common.python("gcpause.py", side, kind, n))
            if "error" in a:
                result.absent(f"{side},{kind}", a["error"])
                continue
            result.add(
                "gc", side=side, row=kind, rows=a["rows"], first_ms=float(a["first"]) / 1e6,
                median_ms=float(a["median"]) / 1e6, worst_ms=float(a["worst"]) / 1e6, build_s=float(a["build"]) / 1e9,
            )  # fmt: skip
    return result


if __name__ == "__main__":
    child(sys.argv[1], sys.argv[2], int(sys.argv[3]))
