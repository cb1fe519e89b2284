"""`make bench`: run the parts, print their tables, write them as text, and end with the targets.

    bench/run.py                       everything, about twelve minutes; text to bench/results, plots to bench/plots
    bench/run.py --quick               everything in small, about a minute and a half; nothing is written
    bench/run.py server latency        these parts only
    bench/run.py targets               the targets from the newest results, nothing is measured
    bench/run.py --out DIR             write there (with --quick too)

Figures of a machine that does something else at the same time are worth little: the head of each result says what its
load was at the start. Where it cannot be had quiet, `sudo nice -n -20 bench/run.py` helps. Plots: bench/plot.py.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import common
import targets

# Part -> module. The order is that of a full run.
PARTS = {
    "inprocess": "inprocess",
    "queries": "queries",
    "mixes": "mixes",
    "server": "server",
    "values": "values",
    "fairness": "fairness",
    "latency": "latency",
    "memory": "memory",
    "gc": "gcpause",
    "growth": "growth",
}


def main() -> None:
    args = parse()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {common.DRIVER})
    out = args.out or (None if args.quick else common.RESULTS)
    results = {p: r for p in PARTS if (r := common.latest(p, out or common.RESULTS)) is not None and not args.quick}
    for part in [p for p in PARTS if p in args.parts]:
        began = time.monotonic()
        print(f"\n== {part}", flush=True)
        result = importlib.import_module(PARTS[part]).run(args.quick)
        results[part] = result
        show(result)
        path = f", {common.write(result, out)}" if out else ""
        print(f"-- {part}: {time.monotonic() - began:.0f} s{path}", flush=True)
    if out and set(args.parts) & set(PARTS):
        subprocess.run(
            [sys.executable, common.HERE / "plot.py", "--results", out, "--out", out.parent / "plots"], check=False
        )
    print("\n== targets\n")
    print("\n".join(lines(targets.rows(results))))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure tsunami beside what people use today.")
    parser.add_argument("parts", nargs="*", help=f"which of {', '.join(PARTS)} (all); or only: targets")
    parser.add_argument("--quick", action="store_true", help="in small; results are printed, not written")
    parser.add_argument("--out", type=Path, help="where results are written (bench/results)")
    args = parser.parse_args()
    if unknown := set(args.parts) - {*PARTS, "targets"}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    args.parts = args.parts or list(PARTS)
    return args


def show(result: common.Result) -> None:
    for key, value in result.head.items():
        print(f"# {key}: {value}")
    for name, rows in result.sections.items():
        print(f"\n[{name}]")
        print("\n".join(common.columns(rows)))


def lines(rows: list[common.Row]) -> list[str]:
    """The table of targets; its cells hold blanks."""
    names = list(rows[0])
    table = [names, *([r[n] for n in names] for r in rows)]
    widths = [max(len(r[i]) for r in table) for i in range(len(names))]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in table]


if __name__ == "__main__":
    main()
