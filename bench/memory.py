"""Memory per row, all included: what a process grows by, divided by its rows.

A fresh process fills one table, ascending keys, whose key and value objects are dropped at once where the side copies
(Tsunami, ETS) and kept where it keeps them (a dict of tuples). `rss` is the growth of the resident set since before
the table was made, so it includes what allocators hold back; `told` is the side's own account: `info("memory")`,
ETS's `info(T, memory)` plus nothing else, the dict's and its objects' `getsizeof`. Sampled while the table grows,
since a hash map's bytes per row go up and down as it grows; the target is judged at 1,000,000 rows, the worst point
is told too.

Rows: `int`: (integer, integer); `str`: (16 characters, 16 characters).
"""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import common

STEP = 250_000
FULL, QUICK = 4_000_000, 1_000_000
BASE = 10_000_000_000


def rows_of(kind: str, start: int, stop: int) -> Iterator[tuple[Any, Any]]:
    """Rows of fresh objects. No integer is one that CPython keeps ready."""
    if kind == "int":
        return ((i, i + BASE) for i in range(start + 1000, stop + 1000))
    return ((f"user:{BASE + i}", f"name:{BASE + i}") for i in range(start, stop))


def dict_side() -> tuple[Callable[[Iterator[tuple[Any, Any]]], None], Callable[[], int]]:
    table: dict[Any, tuple[Any, Any]] = {}

    def fill(rows: Iterator[tuple[Any, Any]]) -> None:
        for row in rows:
            table[row[0]] = row

    def told() -> int:
        objects = sum(sys.getsizeof(r) + sys.getsizeof(r[0]) + sys.getsizeof(r[1]) for r in table.values())
        return (
            sys.getsizeof(table) + objects + 16 * len(table)
        )  # getsizeof leaves out the collector's header of a tuple

    return fill, told


def tsunami_side() -> tuple[Callable[[Iterator[tuple[Any, Any]]], None], Callable[[], int]]:
    import tsunami

    table = tsunami.Table("set")

    def fill(rows: Iterator[tuple[Any, Any]]) -> None:
        insert = table.insert
        for row in rows:
            insert(row)

    def told() -> int:
        return int(table.info("memory"))  # type: ignore[call-overload]

    return fill, told


def child(side: str, kind: str, rows: int) -> None:
    """Print rows:rss:told at each step, on one line."""
    fill, told = {"dict": dict_side, "tsunami": tsunami_side}[side]()
    fill(rows_of(kind, 0, 1000))
    gc.collect()
    base = common.rss()
    points = []
    for start in range(0, rows, STEP):
        fill(rows_of(kind, start, start + STEP))
        gc.collect()
        points.append(f"{start + STEP}={common.rss() - base}:{told()}")
    print(*points)


def run(quick: bool = False) -> common.Result:
    """Bytes per row over the number of rows; the section is `memory`."""
    result = common.Result("memory", common.head(otp=common.otp_version()))
    rows = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as name:
        why = common.compile_erlang("ets_bench", Path(name))
        if why:
            result.absent("ets", why)
        for side in ("dict", "tsunami", *(() if why else ("ets",))):
            for kind in ("int", "str"):
                if side == "ets":
                    answer = common.ask(common.erlang(Path(name), f"ets_bench:memory({kind},{rows},{STEP})"))
                else:
                    answer = common.ask(common.python("memory.py", side, kind, rows))
                tell(result, side, kind, answer)
    return result


def tell(result: common.Result, side: str, kind: str, answer: Any) -> None:
    if "error" in answer:
        result.absent(f"{side},{kind}", answer["error"])
        return
    for rows, figures in answer.items():
        rss, told = map(int, figures.split(":"))
        n = int(rows)
        result.add("memory", side=side, row=kind, rows=n, rss_per_row=rss / n, told_per_row=told / n)


if __name__ == "__main__":
    child(sys.argv[1], sys.argv[2], int(sys.argv[3]))
