"""One side of the part `mixes`: threads on one table, each going round in its own list of operations.

    <type> <threads> <seconds> <mix>   ->   <operations> <ns>          a mix is insert:50,delete:50

The operations (bound methods and their arguments) are made before the clock starts; the time is looked at every 256 of
them. Key range 1,000,000, every second key there at the beginning. ets_queries.erl does the same.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import tsunami
from tsunami import Atom

RANGE = 1_000_000
PREPARED = 100_000
BETWEEN = 256
Operation = tuple[Callable[[Any], object], Any]

VARIABLE, ANY, ROW, LEAST, BELOW = Atom("$1"), Atom("_"), Atom("$_"), Atom(">="), Atom("<")


def filled(type: str) -> tsunami.Table:
    table = tsunami.Table(type)  # type: ignore[arg-type]
    keys = list(range(0, RANGE, 2))
    random.Random(1).shuffle(keys)
    table.insert_many((k, 1) for k in keys)
    return table


def operations(table: tsunami.Table, mix: str, seed: int) -> list[list[Operation]]:
    """In pieces of BETWEEN."""
    dice = random.Random(seed)
    parts = [(name, int(percent)) for name, percent in (part.split(":") for part in mix.split(","))]
    names = dice.choices([n for n, _ in parts], [p for _, p in parts], k=PREPARED)
    made = [prepared(table, name, dice.randrange(RANGE)) for name in names]
    return [made[i : i + BETWEEN] for i in range(0, PREPARED, BETWEEN)]


def prepared(table: tsunami.Table, name: str, key: int) -> Operation:
    step = table.next

    def steps(k: Any) -> None:
        for _ in range(100):
            k = step(k)
            if k is tsunami.END_OF_TABLE:
                return

    match name:
        case "insert":
            return table.insert, (key, 1)
        case "next100":
            return steps, key
        case "range":
            guards = [(LEAST, VARIABLE, key), (BELOW, VARIABLE, key + 1000)]
            return table.select, [((VARIABLE, ANY), guards, [ROW])]
    return getattr(table, name), key


def go(pieces: list[list[Operation]], barrier: threading.Barrier, seconds: float, counts: list[int], at: int) -> None:
    barrier.wait()
    until = time.perf_counter() + seconds
    n = 0
    while True:
        for piece in pieces:
            for function, arg in piece:
                function(arg)
            n += len(piece)
            if time.perf_counter() >= until:
                counts[at] = n
                return


def mix(type: str, threads: int, seconds: float, parts: str) -> tuple[int, int]:
    table = filled(type)
    counts = [0] * threads
    barrier = threading.Barrier(threads + 1)
    workers = [
        threading.Thread(target=go, args=(operations(table, parts, i), barrier, seconds, counts, i))
        for i in range(threads)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    t0 = time.perf_counter_ns()
    for worker in workers:
        worker.join()
    return sum(counts), time.perf_counter_ns() - t0


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        type, threads, seconds, parts = line.split()
        print(*mix(type, int(threads), float(seconds), parts), flush=True)


if __name__ == "__main__":
    main()
