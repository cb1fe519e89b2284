"""Ordered tables and queries: Table against ETS, SortedDict and a list of tuples; and how long other threads wait.

As in inprocess.py each side is a process of its own, all pinned to one core, all waiting but the one that runs; the
sides run an operation one after the other, then comes the next operation, and all of it again in every round. The
figure is the median of the rounds, ns for each row (or call). The waits are measured in processes of their own, with
both cores: one thread runs a query over all rows again and again, another does lookups and notes how long each took.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import common
from inprocess import otp_version

SIDES = ["ets", "sortedcontainers", "tuples", "tsunami"]
OPS = [
    "insert_random", "insert_ascending", "lookup", "next", "walk", "iterate", "irange", "unpack", "select_count_set",
    "select_count_ordered", "select_tenth_set", "select_tenth_ordered", "tab2list_set", "tab2list_ordered",
]  # fmt: skip
ROWS = 1_000_000
WAIT_ROWS = 5_000_000
WAITS = ["select_count", "select_tenth", "select_count_ordered", "select_tenth_ordered"]


class Worker:
    """The driver's end of one side's process."""

    def __init__(self, side: str, command: list[str], core: int = common.SUBJECT) -> None:
        self.side = side
        self.process = common.start(command, core, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ready = self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, *words: object) -> list[int] | None:
        """Three figures, or None where the side does not know the operation, or has died."""
        assert self.process.stdin is not None
        try:
            print(*words, file=self.process.stdin, flush=True)
            answer = self.line().split()
        except BrokenPipeError:
            answer = []
        self.ready = self.ready and bool(answer)
        return list(map(int, answer)) if answer and answer[0] != "no" else None

    def end(self) -> None:
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def compile_erlang(name: str, build: Path) -> str:
    """Compile a module of this directory; the reason if that cannot be done, else empty."""
    try:
        done = subprocess.run(["erlc", "-o", build, common.HERE / f"{name}.erl"], capture_output=True, text=True)
    except OSError:
        return "Erlang (erlc) is not installed"
    return done.stdout.strip()


def erlang(build: Path, call: str, schedulers: int = 1) -> list[str]:
    many = f"{schedulers}:{schedulers}"
    return ["erl", "+S", many, "+sbwt", "none", "-noshell", "-pa", str(build), "-eval", f"{call}."]


def run(quick: bool = False) -> common.Result:
    """Sections `queries` (ns), `memory` (bytes a row) and `waits` (ms)."""
    result = common.Result("queries", common.head(peers=common.versions(["sortedcontainers"]), otp=otp_version()))
    rows, rounds = (100_000, 2) if quick else (ROWS, 5)
    with tempfile.TemporaryDirectory() as name:
        why = compile_erlang("ets_queries", Path(name))
        if why:
            result.absent("ets", why)
        commands = {s: common.python("queries_worker.py", s) for s in SIDES if s != "ets"}
        if not why:
            commands["ets"] = erlang(Path(name), "ets_queries:queries()")
        workers = [Worker(side, commands[side]) for side in SIDES if side in commands]
        try:
            measure(workers, rows, rounds, result)
        finally:
            for worker in workers:
                worker.end()
    for what in WAITS:
        told = common.ask(common.python("waits_worker.py", what, rows if quick else WAIT_ROWS), core=-1)
        if "error" in told:
            result.absent(what, told["error"])
        else:
            result.add("waits", query=what, rows=rows if quick else WAIT_ROWS, **told)
    return result


def measure(workers: list[Worker], rows: int, rounds: int, result: common.Result) -> None:
    series: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for worker in workers:
        worker.tell("fill", rows)
    for op in OPS:
        for _ in range(rounds):
            for worker in filter(lambda w: w.ready, workers):
                if (told := worker.tell(op, rows)) is not None:
                    series[op, worker.side].append((told[0] / told[2], told[1] / told[2]))
    for (op, side), runs in series.items():
        times = [ns for ns, _ in runs]
        result.add(
            "queries", rows=rows, op=op, side=side, ns=median(times), min=min(times), cpu=median(c for _, c in runs),
            rounds=len(runs),
        )  # fmt: skip
    for worker in filter(lambda w: w.ready and w.side in ("ets", "tsunami"), workers):
        told = worker.tell("memory", rows)
        if told is not None:
            result.add("memory", rows=rows, side=worker.side, told_per_row=told[0] / told[2])
