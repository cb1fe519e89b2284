"""The worst single insert while a table grows to 10,000,000 rows.

Each insert is timed by itself with perf_counter_ns, in a fresh process. The machine disturbs such a measurement: a
process that is taken off its core for a millisecond finds it in one of its samples. Three things tell the table's
pauses from those:

1. Once per 64 inserts the process asks the kernel how often it has been preempted (getrusage, ru_nivcsw). Slow
   samples of a batch in which it was are counted apart, as `preempted`.
2. The same loop without an insert runs too (`control`): its worst sample is what the machine alone does.
3. Each side runs several times over the same keys. What a structure does, it does at the same row each time;
   `recurring` is the worst sample that has its like in every run within the same 65,536 inserts (the largest over
   these windows of the least over the runs of the window's worst). That is the figure without noise; `worst` is the
   one with it.

`tsunami-4k` is the table in a process that has told the kernel to give it no huge pages: the first touch of a huge page
clears all of it, and in a virtual machine whose host has not backed it yet that takes milliseconds.

The clock's own cost is in every sample (the control's median shows it). Keys ascend, rows are (integer, integer).
"""

from __future__ import annotations

import array
import ctypes
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import common

FULL, QUICK = 10_000_000, 1_000_000
RUNS = 2
BATCH = 64
WINDOW = 65_536
# The slowest inserts are listed one by one in the section `slow` (of the last run), as far as they are slower than
# this.
SLOW_NS = 500_000
LISTED = 40

SMALL_PAGES = "tsunami-4k"
PR_SET_THP_DISABLE = 41
SIDES = ("control", "dict", "tsunami", *((SMALL_PAGES,) if sys.platform == "linux" else ()))


def inserter(side: str) -> Callable[[Any], Any]:
    """f(row) that inserts it."""
    if side == "control":
        return lambda row: None
    if side == "dict":
        table: dict[Any, Any] = {}

        def put(row: Any) -> None:
            table[row[0]] = row

        return put
    import tsunami

    if side == SMALL_PAGES:
        ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    return tsunami.Table("set").insert


def measure(put: Callable[[Any], Any], n: int) -> tuple[array.array[int], set[int]]:
    """ns of each insert, and the numbers of the batches in which the process was preempted."""
    times = array.array("q", bytes(8 * n))
    preempted = set()
    clock, usage, me = time.perf_counter_ns, resource.getrusage, resource.RUSAGE_SELF
    switches = usage(me).ru_nivcsw
    for start in range(0, n, BATCH):
        for i in range(start, min(start + BATCH, n)):
            row = (i, i + 1)
            t0 = clock()
            put(row)
            times[i] = clock() - t0
        now = usage(me).ru_nivcsw
        if now != switches:
            switches = now
            preempted.add(start // BATCH)
    return times, preempted


def child(side: str, n: int) -> None:
    import numpy  # comes with matplotlib; not before the clock has stopped

    samples, preempted = measure(inserter(side), n)
    times = numpy.frombuffer(samples, dtype=numpy.int64)
    taken = numpy.isin(numpy.arange(n) // BATCH, sorted(preempted))
    clean = numpy.sort(times[~taken])
    p50, p99, p9999 = (int(clean[int(p * len(clean))]) for p in (0.5, 0.99, 0.9999))
    windows = ",".join(str(times[w : w + WINDOW].max()) for w in range(0, n, WINDOW))
    slowest = numpy.argsort(times)[: -LISTED - 1 : -1]
    slow = ",".join(f"{i}:{times[i]}:{int(taken[i])}" for i in slowest if times[i] > SLOW_NS) or "-"
    print(
        f"p50={p50} p99={p99} p9999={p9999} worst={clean[-1]} all={times.max()} preempted={len(preempted)}",
        f"windows={windows} slow={slow}",
    )


def run(quick: bool = False) -> common.Result:
    """Sections, in us: `growth` (a row per run), `recurring`, `windows` (by window), `slow` (of the last run)."""
    result = common.Result("growth", common.head())
    n, runs = (QUICK, 2) if quick else (FULL, RUNS)
    windows: dict[str, list[list[int]]] = {}
    for r in range(runs):
        for side in SIDES:
            a = common.ask(common.python("growth.py", side, n), timeout=600)
            if "error" in a:
                result.absent(side, a["error"])
                continue
            us = {k: float(a[k]) / 1e3 for k in ("p50", "p99", "p9999", "worst", "all")}
            result.add("growth", side=side, rows=n, run=r, **us, preempted=a["preempted"])
            windows.setdefault(side, []).append([int(w) for w in a["windows"].split(",")])
            if r == runs - 1 and a["slow"] != "-":
                for sample in a["slow"].split(","):
                    i, ns, taken = sample.split(":")
                    result.add("slow", side=side, row=i, us=float(ns) / 1e3, preempted=taken)
    tell_windows(result, windows, n)
    return result


def tell_windows(result: common.Result, windows: dict[str, list[list[int]]], n: int) -> None:
    """The worst insert of each window that has its like in every run, and the worst of those."""
    lasting = {side: [ns / 1e3 for ns in map(min, zip(*of, strict=True))] for side, of in windows.items()}
    for side, worst in lasting.items():
        result.add("recurring", side=side, rows=n, runs=len(windows[side]), worst_us=max(worst))
    for i, worst in enumerate(zip(*lasting.values(), strict=True)):
        result.add("windows", row=i * WINDOW, **dict(zip(lasting, worst, strict=True)))


if __name__ == "__main__":
    child(sys.argv[1], int(sys.argv[2]))
