"""How long a thread's lookups take while another thread runs a query over the whole table: waits_worker.py QUERY ROWS.

The lookups go to the table that is searched, each noted with its time; those of 2 s without a query are told beside
those of at least 3 s (and three queries) with it. ms. Rows that a query has found are dropped a thousand at a time,
between queries.
"""

from __future__ import annotations

import array
import random
import sys
import threading
import time

import tsunami


def filled(type: str, rows: int) -> tsunami.Table:
    table = tsunami.Table(type)  # type: ignore[arg-type]
    keys = list(range(rows))
    random.Random(7).shuffle(keys)
    table.insert_many((k, k * 7919 % rows) for k in keys)
    return table


def note(table: tsunami.Table, rows: int, stop: threading.Event, found: array.array[float]) -> None:
    lookup, clock, key = table.lookup, time.perf_counter, 1
    while not stop.is_set():
        key = (key * 48271 + 11) % rows
        t0 = clock()
        lookup(key)
        found.append(clock() - t0)


def timed(table: tsunami.Table, rows: int, work: threading.Thread | None, seconds: float) -> list[float]:
    found = array.array("d")  # a list of millions would hold the collector up, and it everybody else
    stop = threading.Event()
    noter = threading.Thread(target=note, args=(table, rows, stop, found))
    noter.start()
    if work is not None:
        work.start()
        work.join()
    else:
        time.sleep(seconds)
    stop.set()
    noter.join()
    return sorted(found)


def main() -> None:
    what, rows = sys.argv[1], int(sys.argv[2])
    table = filled("ordered_set" if what.endswith("ordered") else "set", rows)
    least = rows // 2 if "count" in what else rows - rows // 10 - 1
    run = table.select_count if "count" in what else table.select
    times: list[float] = []

    def queries() -> None:
        until = time.perf_counter() + 3
        while time.perf_counter() < until or len(times) < 3:
            t0 = time.perf_counter()
            found = run(f"{{_, V}} when V > {least}")
            times.append(time.perf_counter() - t0)
            while isinstance(found, list) and found:  # dropped at once they would hold the others up, not the query
                del found[-1000:]
                time.sleep(0)

    alone = timed(table, rows, None, 2.0)
    beside = timed(table, rows, threading.Thread(target=queries), 3.0)
    gil = "off" if not getattr(sys, "_is_gil_enabled", lambda: True)() else "on"
    print(
        f"gil={gil} query_ms={min(times) * 1e3:.0f} lookups={len(beside)} alone_max_ms={alone[-1] * 1e3:.3f} "
        f"p99_ms={beside[int(len(beside) * 0.99)] * 1e3:.3f} p9999_ms={beside[int(len(beside) * 0.9999)] * 1e3:.3f} "
        f"max_ms={beside[-1] * 1e3:.3f}"
    )


if __name__ == "__main__":
    main()
