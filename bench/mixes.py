"""ETS's own throughput benchmark (ets_SUITE: throughput_benchmark), in ETS and in Table, at one and two threads.

Both cores are free for either side. A point is one mix on one type of table with one number of threads: the sides run
it in turn, twice; the better of the two counts, as operations per second. ETS's tables have write_concurrency auto and
read_concurrency; processes there, threads here, which share a GIL unless the Python has none.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import common

MIXES = {
    "insert 50, delete 50": "insert:50,delete:50",
    "insert 10, delete 10, lookup 80": "insert:10,delete:10,lookup:80",
    "insert 1, delete 1, lookup 98": "insert:1,delete:1,lookup:98",
    "insert 10, delete 10, lookup 40, 100 x next 40": "insert:10,delete:10,lookup:40,next100:40",
    "insert 10, delete 10, lookup 79, select of 1000 keys 1": "insert:10,delete:10,lookup:79,range:1",
}
RANGE_MIXES = list(MIXES)[3:]


def run(quick: bool = False) -> common.Result:
    """The section is `mixes`: operations per second."""
    gil = "off" if not getattr(sys, "_is_gil_enabled", lambda: True)() else "on"
    result = common.Result("mixes", common.head(otp=common.otp_version(), gil=gil))
    with tempfile.TemporaryDirectory() as name:
        why = common.compile_erlang("ets_queries", Path(name))
        if why:
            result.absent("ets", why)
        commands = {"tsunami": common.python("mixes_worker.py")}
        if not why:
            commands = {"ets": common.erlang(Path(name), "ets_queries:mixes()", 2), **commands}
        workers = [common.Worker(side, command, core=-1) for side, command in commands.items()]
        try:
            for type in ("set", "ordered_set"):
                for mix in MIXES:
                    if type == "ordered_set" or mix not in RANGE_MIXES:
                        for threads in (1, 2):
                            _point(workers, type, mix, threads, 0.3 if quick else 1.0, result)
        finally:
            for worker in workers:
                worker.end()
    return result


def _point(
    workers: list[common.Worker], type: str, mix: str, threads: int, seconds: float, result: common.Result
) -> None:
    best: dict[str, float] = {}
    for _ in range(2):
        for worker in workers:
            told = worker.figures(type, threads, seconds, MIXES[mix])
            if told is not None:
                best[worker.side] = max(best.get(worker.side, 0.0), told[0] / told[1] * 1e9)
    for side, rate in best.items():
        result.add("mixes", type=type, mix=mix, threads=threads, side=side, per_second=round(rate))
