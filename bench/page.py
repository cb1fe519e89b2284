"""The tables of docs/benchmarks.md from the newest results in bench/results: bench/page.py.

Writes what stands between the two markers of that page, and nothing else of it: the words around the tables are written
by hand. Nothing is measured here; the same results give the same page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import common
import targets
from run import PARTS

PAGE = common.HERE.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
SIDES = ["dict", "dict+lock", "cachetools", "cachebox", "cereggii", "sortedcontainers", "ets", "tsunami"]
OPS = {
    "insert": "insert, new key",
    "insert_nogc": "insert, new key, collector off",
    "replace": "insert over an old row",
    "lookup": "lookup",
    "lookup_element": "lookup_element",
    "miss": "lookup, absent key",
    "member": "member",
    "update_counter": "update_counter",
    "delete": "delete",
    "batch": "lookup in batches of 100, per key",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def number(value: float | str | None, form: str = "{:.0f}") -> str:
    return "-" if value in (None, "-") else form.format(float(value))


def machine(result: common.Result) -> list[str]:
    head = result.head
    return [
        f"{head['date']}, {head['cpu']}, {head['cores']}, {head['memory']}, {head['kernel']}, {head['python']}; "
        f"load {head['load']}. {head.get('peers', '')} OTP {head.get('otp', '-')}.".replace(" .", "."),
        "",
    ]


def the_targets(results: targets.Results) -> list[str]:
    rows = targets.rows(results)
    cells = ([r["target"], r["bound"], r["measured"], r[""].lower(), r["figures"]] for r in rows)
    marked = ([*c[:3], f"**{c[3]}**" if c[3] == "missed" else c[3], c[4]] for c in cells)
    return ["### Targets", "", *table(["what", "target", "measured", "", "figures (ours / theirs)"], marked)]


def inprocess(result: common.Result) -> list[str]:
    lines = ["### In process", "", "ns per operation, median of the rounds, less the empty loop.", ""]
    for rows in (1_000_000, 20_000):
        for keys in ("int", "str"):
            found = [
                [name, *(number(result.value("inprocess", "ns", side=s, op=op, rows=rows, keys=keys)) for s in SIDES)]
                for op, name in OPS.items()
            ]
            lines += [f"{rows:,} rows, {keys} keys:", "", *table(["", *SIDES], found)]
    return lines


def server(result: common.Result) -> list[str]:
    names = ["redis-server", "valkey-server", "tsunami-server"]
    lines = ["### Servers", ""]
    lines += [f"{result.head.get('redis-server', '')}; {result.head.get('valkey-server', '')}.", ""]
    head = ["", "pipeline", *(f"{n}, req/s" for n in names), *(f"{n}, CPU us" for n in names), "limit of ours"]
    commands = list(dict.fromkeys((r["command"], r["pipeline"]) for r in result.rows("server")))

    def row(command: str, pipeline: str) -> list[str]:
        def of(column: str) -> Callable[[str], float | None]:
            return lambda side: result.value("server", column, side=side, command=command, pipeline=pipeline)

        ours = result.rows("server", side="tsunami-server", command=command, pipeline=pipeline)
        return [
            command.upper(), pipeline, *(number(of("rps")(n), "{:,.0f}") for n in names),
            *(number(of("cpu_us")(n), "{:.2f}") for n in names), ours[0]["limit"] if ours else "-",
        ]  # fmt: skip

    return [*lines, *table(head, (row(*c) for c in commands))]


def plain(title: str, words: str, result: common.Result, section: str, skip: Sequence[str] = ()) -> list[str]:
    """A section as it stands."""
    rows = result.rows(section)
    if not rows:
        return []
    names = [n for n in rows[0] if n not in skip]
    return [f"### {title}", "", words, "", *table(names, ([r[n] for n in names] for r in rows))]


def memory(result: common.Result) -> list[str]:
    names = ["dict", "ets", "tsunami"]
    lines = ["### Memory", "", "Bytes per row, as the resident set grows / as the side itself tells.", ""]

    def cell(side: str, kind: str, rows: str) -> str:
        where = {"side": side, "row": kind, "rows": rows}
        rss, told = result.value("memory", "rss_per_row", **where), result.value("memory", "told_per_row", **where)
        return f"{number(rss, '{:.1f}')} / {number(told, '{:.1f}')}"

    points = list(dict.fromkeys(r["rows"] for r in result.rows("memory")))
    shown = [p for p in points if int(p) % 500_000 == 0]
    head = ["rows", *(f"{n}, {k}" for k in ("int", "str") for n in names)]
    body = ([f"{int(p):,}", *(cell(n, k, p) for k in ("int", "str") for n in names)] for p in shown)
    return [*lines, *table(head, body)]


def queries(result: common.Result) -> list[str]:
    sides = ["tuples", "sortedcontainers", "ets", "tsunami"]
    rows = [
        [op, *(number(result.value("queries", "ns", side=s, op=op), "{:.1f}") for s in sides)]
        for op in dict.fromkeys(r["op"] for r in result.rows("queries"))
    ]
    lines = ["### Ordered tables and queries", "", "1,000,000 rows, ns for each row or call.", ""]
    lines += table(["", *sides], rows)
    lines += plain("Memory of an ordered table", "Bytes a row as the table tells.", result, "memory")
    words = "What lookups of one thread take while another searches a table of 5,000,000 rows, ms."
    return lines + plain("Other threads beside a query", words, result, "waits")


def mixes(result: common.Result) -> list[str]:
    """Operations per second, and ours over ETS's."""
    rows = []
    for r in result.rows("mixes", side="tsunami"):
        where = {k: r[k] for k in ("type", "mix", "threads")}
        theirs = result.value("mixes", "per_second", side="ets", **where)
        ours = float(r["per_second"])
        name = r["mix"].replace("_", " ")
        ratio = f"{ours / theirs:.2f}x" if theirs else "-"
        rows.append([r["type"], name, r["threads"], number(theirs, "{:,.0f}"), number(ours, "{:,.0f}"), ratio])
    head = ["table", "mix, %", "threads", "ets, ops/s", "tsunami, ops/s", "ours / theirs"]
    words = f"{result.head['python']} (GIL {result.head['gil']}), ETS in OTP {result.head['otp']}."
    return ["### ETS's throughput mixes", "", words, "", *table(head, rows)]


def values(result: common.Result) -> list[str]:
    """CPU of both, and ours over theirs."""
    rows = []
    for r in result.rows("values", side="tsunami-server"):
        where = {"command": r["command"], "pipeline": r["pipeline"]}
        theirs = result.value("values", "cpu_us", side="redis-server", **where)
        ours = float(r["cpu_us"])
        name = r["command"].replace("_", " ")
        ratio = f"{ours / theirs:.2f}x" if theirs else "-"
        rows.append([name, r["pipeline"], number(theirs, "{:.2f}"), number(ours, "{:.2f}"), ratio])
    head = ["", "pipeline", "redis-server, CPU us", "tsunami-server, CPU us", "ours / theirs"]
    lines = ["### Collections, scripts, messages, transactions", "", *table(head, rows)]
    return lines + plain("Memory of collections", "What the resident set grows by, MB.", result, "value_memory")


def page(results: targets.Results) -> list[str]:
    lines = []
    drawn = (
        ("inprocess", inprocess),
        ("queries", queries),
        ("mixes", mixes),
        ("server", server),
        ("values", values),
    )
    for part, draw in drawn:
        if part in results:
            lines += draw(results[part])
    if fairness := results.get("fairness"):
        words = "What a client waits for its GETs beside others; `times`: p99.9 over that of `alone`."
        lines += plain("Fairness", words, fairness, "fairness")
    if latency := results.get("latency"):
        lines += plain("Latency", "ms, redis-benchmark without pipelining.", latency, "latency")
        words = "By how many ms a coroutine that sleeps 1 ms wakes too late, in the program that serves."
        lines += plain("A coroutine beside the server", words, latency, "ticker")
    if "memory" in results:
        lines += memory(results["memory"])
    if gc := results.get("gc"):
        lines += plain("The collector", "`gc.collect()` with the rows alive, ms; the time to fill, s.", gc, "gc")
    if growth := results.get("growth"):
        words = "us; `worst`: of inserts that were not preempted, `all`: of all, `preempted`: how often it happened."
        lines += plain("The worst insert", words, growth, "growth")
        lines += plain("The worst insert that recurs", "us, in every run at the same rows.", growth, "recurring")
    return lines


def main() -> None:
    results = {p: r for p in PARTS if (r := common.latest(p))}
    newest = max(results.values(), key=lambda r: r.head["date"])
    lines = [*machine(newest), *the_targets(results), *page(results)]
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] or "\n"
    PAGE.write_text(before + "\n".join([BEGIN, "", *lines, END]) + after)
    print(PAGE)


if __name__ == "__main__":
    main()
