"""How long a thread's lookups take while another thread runs a query over the whole table: waits_worker.py QUERY ROWS.

The lookups go to the table that is searched, each noted with its time; those of 2 s without a query are told beside
those of at least 3 s (and three queries) with it. ms. Rows that a query has found are dropped a thousand at a time,
between queries. Instead of a query: `nothing`, a process that computes (`busy_process`), a thread that computes in
Python (`busy_thread`): what a thread waits there is no doing of a table's.

max_held_ms is the longest wait less what the kernel says the thread was ready meanwhile and had no processor: time it
slept, for the GIL or at a lock.
"""

from __future__ import annotations

import array
import multiprocessing
import os
import random
import sys
import threading
import time
from collections.abc import Callable

import tsunami


def filled(type: str, rows: int) -> tsunami.Table:
    table = tsunami.Table(type)  # type: ignore[arg-type]
    keys = list(range(rows))
    random.Random(7).shuffle(keys)
    table.insert_many((k, k * 7919 % rows) for k in keys)
    return table


LONG = 0.001  # s; of a wait that is looked into


class Accounts:
    """What the kernel says of the thread that makes this."""

    def __init__(self) -> None:
        try:
            self.file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        except OSError:
            self.file = -1

    def ready(self) -> float:
        """Seconds that it was ready and had no processor, all in all; 0 where the kernel does not say."""
        return int(os.pread(self.file, 64, 0).split()[1]) / 1e9 if self.file >= 0 else 0.0

    def close(self) -> None:
        if self.file >= 0:
            os.close(self.file)


def note(
    table: tsunami.Table, rows: int, stop: threading.Event, found: array.array[float], held: array.array[float]
) -> None:
    lookup, clock, key, accounts = table.lookup, time.perf_counter, 1, Accounts()
    before = accounts.ready()
    while not stop.is_set():
        key = (key * 48271 + 11) % rows
        t0 = clock()
        lookup(key)
        took = clock() - t0
        found.append(took)
        if took > LONG:
            after = accounts.ready()
            held.append(max(0.0, took - (after - before)))
            before = after
        elif len(found) % 64 == 0:
            before = accounts.ready()
    accounts.close()


def timed(
    table: tsunami.Table, rows: int, work: threading.Thread | None, seconds: float, held: array.array[float]
) -> list[float]:
    found = array.array("d")  # a list of millions would hold the collector up, and it everybody else
    stop = threading.Event()
    noter = threading.Thread(target=note, args=(table, rows, stop, found, held))
    noter.start()
    if work is not None:
        work.start()
        work.join()
    else:
        time.sleep(seconds)
    stop.set()
    noter.join()
    return sorted(found)


def compute() -> None:
    for _ in range(10_000):
        pass


def compute_forever() -> None:
    while True:
        compute()


def work_of(what: str, table: tsunami.Table, rows: int) -> Callable[[], object]:
    """What the other thread does again and again."""
    if what in ("nothing", "busy_process"):
        return lambda: time.sleep(0.1)
    if what == "busy_thread":
        return compute
    least = rows // 2 if "count" in what else rows - rows // 10 - 1
    run = table.select_count if "count" in what else table.select
    return lambda: run(f"{{_, V}} when V > {least}")


def main() -> None:
    what, rows = sys.argv[1], int(sys.argv[2])
    table = filled("ordered_set" if what.endswith("ordered") else "set", rows)
    work, times, held = work_of(what, table, rows), array.array("d"), array.array("d", [0.0])

    def others() -> None:
        until = time.perf_counter() + 3
        while time.perf_counter() < until or len(times) < 3:
            t0 = time.perf_counter()
            found = work()
            times.append(time.perf_counter() - t0)
            while isinstance(found, list) and found:  # dropped at once they would hold the others up, not the query
                del found[-1000:]
                time.sleep(0)

    alone = timed(table, rows, None, 2.0, array.array("d"))
    other = multiprocessing.get_context("spawn").Process(target=compute_forever) if what == "busy_process" else None
    if other is not None:
        other.start()
        time.sleep(1)
    try:
        beside = timed(table, rows, threading.Thread(target=others), 3.0, held)
    finally:
        if other is not None:
            other.kill()
    gil = "off" if not getattr(sys, "_is_gil_enabled", lambda: True)() else "on"
    print(
        f"gil={gil} once_ms={min(times) * 1e3:.0f} lookups={len(beside)} alone_max_ms={alone[-1] * 1e3:.3f} "
        f"p99_ms={beside[int(len(beside) * 0.99)] * 1e3:.3f} p9999_ms={beside[int(len(beside) * 0.9999)] * 1e3:.3f} "
        f"max_ms={beside[-1] * 1e3:.3f} max_held_ms={max(held) * 1e3:.3f}"
    )


if __name__ == "__main__":
    main()
