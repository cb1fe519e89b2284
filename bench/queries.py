"""Ordered tables and queries: Table against ETS, SortedDict and a list of tuples; and how long other threads wait.

As in inprocess.py each side is a process of its own, all pinned to one core, all waiting but the one that runs; the
sides run an operation one after the other, then comes the next operation, and all of it again in every round. The
figure is the median of the rounds, ns for each row (or call). The waits are measured in processes of their own, with
both cores: one thread runs a query over all rows again and again, another does lookups and notes how long each took.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import common

SIDES = ["ets", "sortedcontainers", "tuples", "tsunami"]
OPS = [
    "insert_random", "insert_ascending", "lookup", "next", "walk", "iterate", "irange", "unpack", "select_count_set",
    "select_count_ordered", "select_tenth_set", "select_tenth_ordered", "tab2list_set", "tab2list_ordered",
]  # fmt: skip
ROWS = 1_000_000
WAIT_ROWS = 5_000_000
# What a thread that does lookups is measured beside. The first three are no queries: they tell what the machine and
# CPython make a thread wait for themselves.
CONTROLS = ["nothing", "busy_process", "busy_thread"]
WAITS = [*CONTROLS, "select_count", "select_tenth", "select_count_ordered", "select_tenth_ordered"]
FREE_THREADED = os.environ.get("TSUNAMI_FREE_THREADED")  # a Python without GIL that has this tsunami, to measure waits


def run(quick: bool = False) -> common.Result:
    """Sections `queries` (ns), `memory` (bytes a row) and `waits` (ms)."""
    result = common.Result(
        "queries", common.head(peers=common.versions(["sortedcontainers"]), otp=common.otp_version())
    )
    rows, rounds = (100_000, 2) if quick else (ROWS, 5)
    with tempfile.TemporaryDirectory() as name:
        why = common.compile_erlang("ets_queries", Path(name))
        if why:
            result.absent("ets", why)
        commands = {s: common.python("queries_worker.py", s) for s in SIDES if s != "ets"}
        if not why:
            commands["ets"] = common.erlang(Path(name), "ets_queries:queries()")
        workers = [common.Worker(side, commands[side]) for side in SIDES if side in commands]
        try:
            measure(workers, rows, rounds, result)
        finally:
            for worker in workers:
                worker.end()
    for python in [sys.executable, *([FREE_THREADED] if FREE_THREADED else [])]:
        for what in WAITS:
            wait(python, what, rows if quick else WAIT_ROWS, result)
    return result


def wait(python: str, what: str, rows: int, result: common.Result) -> None:
    told = common.ask([python, *common.python("waits_worker.py", what, rows)[1:]], core=-1)
    if "error" in told:
        result.absent(what, told["error"])
    else:
        result.add("waits", query=what, rows=rows, **told)


def measure(workers: list[common.Worker], rows: int, rounds: int, result: common.Result) -> None:
    series: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for worker in workers:
        worker.figures("fill", rows)
    for op in OPS:
        for _ in range(rounds):
            for worker in filter(lambda w: w.ready, workers):
                if (told := worker.figures(op, rows)) is not None:
                    series[op, worker.side].append((told[0] / told[2], told[1] / told[2]))
    for (op, side), runs in series.items():
        times = [ns for ns, _ in runs]
        result.add(
            "queries", rows=rows, op=op, side=side, ns=median(times), min=min(times), cpu=median(c for _, c in runs),
            rounds=len(runs),
        )  # fmt: skip
    for worker in filter(lambda w: w.ready and w.side in ("ets", "tsunami"), workers):
        told = worker.figures("memory", rows)
        if told is not None:
            result.add("memory", rows=rows, side=worker.side, told_per_row=told[0] / told[2])
