"""Plots of the newest committed results, as SVG: bench/plot.py [--out DIR] [--png].

From the text in bench/results alone; nothing is measured here. The same text gives the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import common
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# One colour for each side, wherever it stands. Ours is the one that is not grey-blue.
COLOURS = {
    "tsunami": "#d1495b",
    "tsunami-server": "#d1495b",
    "tsunami-4k": "#edae49",
    "dict": "#30638e",
    "dict+lock": "#7ba0bf",
    "ets": "#7a5195",
    "redis-server": "#30638e",
    "valkey-server": "#7ba0bf",
    "cachetools": "#b8b8b8",
    "cachebox": "#9a9a9a",
    "cereggii": "#7d7d7d",
    "sortedcontainers": "#5f5f5f",
    "tuples": "#30638e",
    "control": "#c8c8c8",
    "empty": "#c8c8c8",
}
OPS = ["lookup", "miss", "member", "insert", "replace", "update_counter", "delete", "batch"]
OP_NAMES = {
    "insert": "insert\n(new key)",
    "replace": "insert\n(over old row)",
    "batch": "batch of 100\nlookups, per key",
}


def bars(ax: Any, groups: list[str], sides: list[str], value: Any) -> None:
    """Grouped bars; where a side has no figure there is a gap."""
    width = 0.8 / len(sides)
    for j, side in enumerate(sides):
        heights = [value(side, group) for group in groups]
        at = [i - 0.4 + width * (j + 0.5) for i in range(len(groups))]
        drawn = [(x, h) for x, h in zip(at, heights, strict=True) if h is not None]
        if drawn:
            ax.bar([x for x, _ in drawn], [h for _, h in drawn], width, color=COLOURS[side], label=side)
    ax.set_xticks(range(len(groups)))
    ax.spines[["top", "right"]].set_visible(False)


def inprocess(result: common.Result) -> Any:
    sides = ["dict", "dict+lock", "cachebox", "cereggii", "cachetools", "sortedcontainers", "ets", "tsunami"]
    figure, axes = plt.subplots(2, 2, figsize=(15, 9))
    for row, rows in enumerate((20_000, 1_000_000)):
        for column, keys in enumerate(("int", "str")):
            ax = axes[row][column]
            bars(
                ax,
                OPS,
                sides,
                lambda s, op, r=rows, k=keys: result.value("inprocess", "ns", side=s, op=op, rows=r, keys=k),
            )
            tops = [
                result.value("inprocess", "ns", side=s, op=op, rows=rows, keys=keys) for s in sides[:4] for op in OPS
            ]
            ax.set_ylim(0, 1.25 * max((t for t in tops if t), default=1))
            ax.set_xticks(range(len(OPS)), [OP_NAMES.get(op, op) for op in OPS], fontsize=8)
            ax.set_title(f"{rows:,} rows, {keys} keys", loc="left")
            ax.set_ylabel("ns per operation")
    figure.legend(*axes[0][0].get_legend_handles_labels(), ncols=8, frameon=False, loc="outside lower center")
    figure.suptitle("In process, one thread, random order, less the empty loop (bars that leave the picture are cut)")
    return figure


def server(result: common.Result) -> Any:
    sides = ["redis-server", "valkey-server", "tsunami-server"]
    figure, axes = plt.subplots(2, 2, figsize=(13, 8))
    for row, command in enumerate(("get", "set")):
        for column, (what, unit) in enumerate(
            (("rps", "requests per second"), ("cpu_us", "us of server CPU per command"))
        ):
            ax = axes[row][column]
            where = {"command": command}
            bars(
                ax,
                ["1", "16", "64"],
                sides,
                lambda s, p, w=where, c=what: result.value("server", c, side=s, pipeline=p, **w),
            )
            ax.set_xticks(range(3), ["pipeline 1", "pipeline 16", "pipeline 64"])
            ax.set_yscale("log")
            ax.set_ylabel(unit)
            ax.set_title(command.upper(), loc="left")
            for container in ax.containers:
                ax.bar_label(
                    container,
                    fmt=lambda v: f"{v / 1e6:.2f}M" if v > 1e6 else f"{v / 1e3:.0f}k" if v > 1e3 else f"{v:.2f}",
                    fontsize=8,
                )
    axes[0][0].legend(frameon=False, loc="upper left")
    figure.suptitle("redis-benchmark, 50 clients, 1,000,000 keys, 16-byte values; server and client on a core each")
    return figure


def memory(result: common.Result) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.5))
    for ax, kind in zip(axes, ("int", "str"), strict=True):
        for side in ("dict", "ets", "tsunami"):
            points = result.rows("memory", side=side, row=kind)
            ax.plot(
                [int(p["rows"]) / 1e6 for p in points],
                [float(p["rss_per_row"]) for p in points],
                color=COLOURS[side],
                marker=".",
                label=side,
            )
        ax.set_ylim(0)
        ax.set_xlabel("million rows")
        ax.set_ylabel("bytes per row (resident set)")
        ax.set_title({"int": "(integer, integer)", "str": "(16 characters, 16 characters)"}[kind], loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    return figure


def gc(result: common.Result) -> Any:
    figure, ax = plt.subplots(figsize=(8, 4.5))
    kinds = ["int", "list"]
    bars(ax, kinds, ["empty", "dict", "tsunami"], lambda s, k: result.value("gc", "median_ms", side=s, row=k))
    ax.set_xticks(range(2), ["rows of integers", "rows that hold a list"])
    ax.set_yscale("log")
    ax.set_ylabel("ms")
    for container in ax.containers:
        ax.bar_label(container, fmt="%.2f", fontsize=8)
    rows = next((r["rows"] for r in result.rows("gc", side="dict")), "0")
    ax.set_title(f"gc.collect() with {int(rows):,} rows alive", loc="left")
    ax.legend(frameon=False)
    return figure


def queries(result: common.Result) -> Any:
    sides = ["tuples", "sortedcontainers", "ets", "tsunami"]
    calls = ["lookup", "next", "insert_random", "insert_ascending"]
    rows = ["iterate", "select_count_set", "select_count_ordered", "select_tenth_set", "select_tenth_ordered"]
    rows += ["tab2list_set", "tab2list_ordered"]
    figure, axes = plt.subplots(1, 2, figsize=(15, 5), width_ratios=[4, 7])
    for ax, ops, unit in ((axes[0], calls, "ns per call"), (axes[1], rows, "ns per row")):
        bars(ax, ops, sides, lambda s, op: result.value("queries", "ns", side=s, op=op))
        ax.set_xticks(range(len(ops)), [op.replace("_", "\n") for op in ops], fontsize=8)
        ax.set_ylabel(unit)
    axes[0].set_title("an ordered table", loc="left")
    axes[1].set_title("all rows, of a hash table and of an ordered one", loc="left")
    axes[1].legend(frameon=False)
    figure.suptitle("Ordered tables and queries, 1,000,000 rows")
    return figure


def mixes(result: common.Result) -> Any:
    types = ("set", "ordered_set")
    figure, axes = plt.subplots(2, 2, figsize=(14, 8), sharex="col", width_ratios=[3, 5])
    for column, type in enumerate(types):
        names = list(dict.fromkeys(r["mix"] for r in result.rows("mixes", type=type)))
        for row, threads in enumerate((1, 2)):
            ax = axes[row][column]
            where = {"type": type, "threads": threads}
            bars(
                ax,
                names,
                ["ets", "tsunami"],
                lambda s, m, w=where: result.value("mixes", "per_second", side=s, mix=m, **w),
            )
            ax.set_xticks(range(len(names)), [name.replace("_", " ").replace(", ", "\n") for name in names], fontsize=8)
            ax.set_title(f"{type}, {threads} thread{'s' if threads > 1 else ''}", loc="left")
            ax.set_ylabel("operations per second")
    axes[0][0].legend(frameon=False)
    figure.suptitle(
        f"ETS's throughput mixes, key range 1,000,000 (%; {result.head['python']}, GIL {result.head['gil']})"
    )
    return figure


def growth(result: common.Result) -> Any:
    figure, ax = plt.subplots(figsize=(11, 4.5))
    rows = result.sections.get("windows", [])
    for side in ("control", "dict", "tsunami", "tsunami-4k"):
        found = [r for r in rows if side in r]
        if not found:
            continue
        ax.plot(
            [int(r["row"]) / 1e6 for r in found], [float(r[side]) for r in found], color=COLOURS[side], label=side, lw=1
        )
    ax.axhline(1000, color="black", lw=0.7, ls=":")
    ax.set_yscale("log")
    ax.set_xlabel("million rows")
    ax.set_ylabel("us")
    ax.set_title(
        "Worst insert of each 65,536 that has its like in every run (control: the same loop without an insert)",
        loc="left",
        fontsize=10,
    )
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


PLOTS = {
    "inprocess": inprocess,
    "queries": queries,
    "mixes": mixes,
    "server": server,
    "memory": memory,
    "gc": gc,
    "growth": growth,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=common.RESULTS)
    parser.add_argument("--out", type=Path, default=common.HERE / "plots")
    parser.add_argument("--png", action="store_true")
    args = parser.parse_args()
    matplotlib.rcParams.update({"svg.hashsalt": "tsunami", "font.size": 9, "figure.constrained_layout.use": True})
    for part, draw in PLOTS.items():
        result = common.latest(part, args.results)
        if result is None:
            print(f"{part}: no result")
            continue
        figure = draw(result)
        args.out.mkdir(parents=True, exist_ok=True)
        path = args.out / f"{part}.{'png' if args.png else 'svg'}"
        figure.savefig(path, **({"dpi": 80} if args.png else {"metadata": {"Date": None}}))
        plt.close(figure)
        print(path)


if __name__ == "__main__":
    main()
