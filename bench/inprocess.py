"""In process: Table against the dict, the caches and the ETS that people use today, one operation at a time.

Every side lives in a process of its own (worker.py; ets_bench.erl for ETS), all pinned to one core, all waiting but
the one that runs. For each size and kind of keys, and for each operation in turn, the sides run one after the other:
A B C, then the next operation; all of it again in every round. The figure is the median of the rounds, less the
median of the empty loop of that side; `raw` is the median with the loop in it, `min` the best round (less the loop).
"""

from __future__ import annotations

import array
import random
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import common

SIDES = ["dict", "dict+lock", "cachetools", "cachebox", "cereggii", "sortedcontainers", "ets", "tsunami"]
# In the order in which a table lives. `loop` is what is taken off the others.
OPS = [
    "loop", "insert_nogc", "insert", "replace", "lookup", "get", "lookup_element", "miss", "member", "contains",
    "update_counter", "batch", "batch_replace", "delete",
]  # fmt: skip
SMALL, LARGE = 20_000, 1_000_000
ORDERS = 4
Series = dict[tuple[str, int, str, str], list[tuple[float, float]]]


class Worker(common.Worker):
    """One side's process."""

    def __init__(self, side: str, build: Path) -> None:
        command = common.erlang(build, "ets_bench:main()") if side == "ets" else common.python("worker.py", side)
        super().__init__(side, command)

    def measure(self, op: str, rows: int, kind: str, path: Path) -> tuple[float, float] | None:
        """ns and CPU ns per operation, or None where the side does not know it."""
        told = self.figures(op, rows, kind, path)
        return (told[0] / told[2], told[1] / told[2]) if told is not None else None


def write_orders(directory: Path, rows: int) -> list[Path]:
    """Files of positions in random order, every position once in each `rows` of them."""
    shuffle = random.Random(rows).shuffle
    paths = []
    for i in range(ORDERS):
        positions: array.array[int] = array.array("i")
        for _ in range(max(1, 10 * SMALL // rows)):
            order = list(range(rows))
            shuffle(order)
            positions.extend(order)
        paths.append(directory / f"order-{rows}-{i}")
        paths[-1].write_bytes(positions.tobytes())
    return paths


# Sides far from the targets: there to be seen, not to be compared by, and not worth five rounds at the large size.
_FAR = {"cachetools", "cachebox", "cereggii", "sortedcontainers"}


def rounds_of(side: str, rows: int, quick: bool) -> int:
    if quick:
        return (1 if side in _FAR else 2) if rows == SMALL else int(side not in _FAR)
    if rows == SMALL:
        return 5
    return 1 if side in _FAR else 3


def measure(workers: list[Worker], quick: bool, scratch: Path) -> Series:
    """All rounds of all sizes and kinds of keys; a quick run leaves out the large size of str keys."""
    series: Series = defaultdict(list)
    for rows in (SMALL, LARGE):
        orders = write_orders(scratch, rows)
        for kind in ("int", "str"):
            if quick and rows == LARGE and kind == "str":
                continue
            for round_ in range(max(rounds_of(w.side, rows, quick) for w in workers)):
                present = [w for w in workers if round_ < rounds_of(w.side, rows, quick)]
                _round(present, rows, kind, orders, round_, series)
            for worker in filter(lambda w: w.ready, workers):
                worker.tell("forget", 0, "-", "-")
    return series


def _round(workers: list[Worker], rows: int, kind: str, orders: list[Path], round_: int, series: Series) -> None:
    for i, op in enumerate(OPS):
        for worker in workers:
            got = worker.measure(op, rows, kind, orders[(i + round_) % ORDERS])
            if got is not None:
                series[worker.side, rows, kind, op].append(got)


def run(quick: bool = False) -> common.Result:
    """Measure all sides; the section is `inprocess`."""
    packages = ["cachetools", "cachebox", "cereggii", "sortedcontainers"]
    result = common.Result("inprocess", common.head(peers=common.versions(packages), otp=common.otp_version()))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        why = common.compile_erlang("ets_bench", scratch)
        if why:
            result.absent("ets", why)
        workers = [Worker(side, scratch) for side in SIDES if side != "ets" or not why]
        try:
            series = measure(workers, quick, scratch)
            for worker in workers:
                if not worker.ready:
                    result.absent(worker.side, worker.reason)
        finally:
            for worker in workers:
                worker.end()
    tell(series, result)
    return result


def tell(series: Series, result: common.Result) -> None:
    """Medians less the loop, one row for each series."""
    order = {op: i for i, op in enumerate(OPS)}
    for (side, rows, kind, op), runs in sorted(series.items(), key=lambda i: (i[0][1], i[0][2], order[i[0][3]])):
        # A batch's loop goes round once for 100 keys: nothing to take off.
        loop = median(ns for ns, _ in series[side, rows, kind, "loop"]) if not op.startswith("batch") else 0.0
        off = 0.0 if op == "loop" else loop
        times = [ns for ns, _ in runs]
        result.add(
            "inprocess", rows=rows, keys=kind, op=op, side=side, ns=median(times) - off, min=min(times) - off,
            raw=median(times), cpu=median(c for _, c in runs), rounds=len(runs),
        )  # fmt: skip
