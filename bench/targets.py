"""The targets against what was measured: a ratio, and met or missed.

A target is a row of data: what it is called, how it is computed from a result, its bound. It reads the text results
of the parts, so it can be made again from committed ones, and says `-` for what was not measured.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import common

Results = Mapping[str, common.Result]


@dataclass(frozen=True)
class Target:
    what: str
    measured: Callable[[Results], float | None]
    bound: float
    most: bool = True  # else: at least
    unit: str = "x"
    note: Callable[[Results], str] = lambda _: ""


Figure = Callable[[Results], float | None]


def ns(side: str, op: str, rows: int, keys: str) -> Figure:
    """Of the part `inprocess`."""
    return lambda r: _part(r, "inprocess", "inprocess", "ns", side=side, op=op, rows=rows, keys=keys)


def query_ns(side: str, op: str) -> Figure:
    """Of the part `queries`."""
    return lambda r: _part(r, "queries", "queries", "ns", side=side, op=op)


def over(ours: Figure, theirs: Figure) -> Figure:
    return lambda r: ratio(ours(r), theirs(r))


def ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


LARGE, SMALL = 1_000_000, 20_000


def figures(ours: Figure, theirs: Figure, unit: str, digits: int) -> Callable[[Results], str]:
    def note(r: Results) -> str:
        x, y = ours(r), theirs(r)
        return f"{x:.{digits}f} / {y:.{digits}f} {unit}" if x is not None and y is not None else ""

    return note


def compared(what: str, ours: Figure, theirs: Figure, bound: float, unit: str = "ns", digits: int = 0) -> Target:
    return Target(what, over(ours, theirs), bound, note=figures(ours, theirs, unit, digits))


def _inprocess() -> list[Target]:
    found = []
    for keys in ("int", "str"):
        for what, op, side, rows, bound in (
            ("lookup, 1M, against dict.get", "lookup", "dict", LARGE, 0.85),
            ("lookup, 20k, against dict.get", "lookup", "dict", SMALL, 1.7),
            ("insert of new keys, 1M, against d[k] = (k, v)", "insert", "dict", LARGE, 0.9),
            ("insert of new keys, 1M, against d[k] = (k, v), collector off", "insert_nogc", "dict", LARGE, 0.9),
            ("insert over old rows, 1M, against d[k] = (k, v)", "replace", "dict", LARGE, 0.9),
            ("update_counter, 1M, against with lock: d[k] += 1", "update_counter", "dict+lock", LARGE, 0.5),
            ("update_counter, 20k, against with lock: d[k] += 1", "update_counter", "dict+lock", SMALL, 0.5),
        ):
            ours = ns("tsunami", op, rows, keys)
            found.append(compared(f"{what} ({keys})", ours, ns(side, op, rows, keys), bound))
        for rows, size in ((LARGE, "1M"), (SMALL, "20k")):
            for what, op, base, bound in (
                ("a miss against a hit", "miss", "lookup", 1.0),
                ("batches of 100 keys against single lookups", "batch", "lookup", 0.6),
            ):
                ours, theirs = (ns("tsunami", x, rows, keys) for x in (op, base))
                found.append(compared(f"{what}, {size} ({keys})", ours, theirs, bound))
            for op in ("lookup", "miss", "insert", "replace", "update_counter", "delete"):
                ours, theirs = (ns(side, op, rows, keys) for side in ("tsunami", "ets"))
                found.append(compared(f"{op} against ETS, {size} ({keys})", ours, theirs, 0.9))
    return found


def _part(results: Results, part: str, section: str, column: str, **where: object) -> float | None:
    found = results.get(part)
    return found.value(section, column, **where) if found else None


def bytes_per_row(column: str) -> Callable[[Results], float | None]:
    return lambda r: _part(r, "memory", "memory", column, side="tsunami", row="int", rows=LARGE)


def pause(row: str) -> Callable[[Results], float | None]:
    def measured(r: Results) -> float | None:
        ours = _part(r, "gc", "gc", "median_ms", side="tsunami", row=row)
        empty = _part(r, "gc", "gc", "median_ms", side="empty", row=row)
        return ours - empty if ours is not None and empty is not None else None

    return measured


def worst_insert(section: str, column: str) -> Callable[[Results], float | None]:
    def measured(r: Results) -> float | None:
        part = r.get("growth")
        rows = part.rows(section, side="tsunami") if part else []
        return max(float(x[column]) for x in rows) / 1000 if rows else None

    return measured


def _state() -> list[Target]:
    return [
        Target("bytes per (int, int) row, 1M, told", bytes_per_row("told_per_row"), 44, unit=""),
        Target("bytes per (int, int) row, 1M, resident set", bytes_per_row("rss_per_row"), 44, unit=""),
        Target("gc.collect() with rows alive, more than empty, ms", pause("int"), 1.0, unit=""),
        Target("worst insert while growing, recurring, ms", worst_insert("recurring", "worst_us"), 1.0, unit=""),
        Target("worst insert while growing, not preempted, ms", worst_insert("growth", "worst"), 1.0, unit=""),
    ]


def server(column: str, command: str, pipeline: int) -> Callable[[Results], float | None]:
    def measured(r: Results) -> float | None:
        ours = _part(r, "server", "server", column, side="tsunami-server", command=command, pipeline=pipeline)
        theirs = _part(r, "server", "server", column, side="redis-server", command=command, pipeline=pipeline)
        return ratio(ours, theirs)

    return measured


def _server_note(column: str, command: str, pipeline: int, unit: str) -> Callable[[Results], str]:
    def note(r: Results) -> str:
        part = r.get("server")
        if part is None:
            return ""
        ours = part.rows("server", side="tsunami-server", command=command, pipeline=pipeline)
        theirs = part.rows("server", side="redis-server", command=command, pipeline=pipeline)
        if not ours or not theirs:
            return ""
        limited = ", the client is the limit" if column == "rps" and ours[0]["limit"] == "client" else ""
        return f"{float(ours[0][column]):g} / {float(theirs[0][column]):g} {unit}{limited}"

    return note


def _server() -> list[Target]:
    found = []
    for pipeline, cpu, rps in ((1, 0.9, 1.0), (16, 0.6, 1.5), (64, 0.42, 2.5)):
        for command in ("get", "set"):
            name = f"{command.upper()} at pipeline {pipeline}, against redis-server"
            found += [
                Target(f"CPU per {name}", server("cpu_us", command, pipeline), cpu,
                       note=_server_note("cpu_us", command, pipeline, "us")),
                Target(f"throughput, {name}", server("rps", command, pipeline), rps, most=False,
                       note=_server_note("rps", command, pipeline, "/s")),
            ]  # fmt: skip
    return found


def ticker(r: Results) -> float | None:
    return _part(r, "latency", "ticker", "p99_ms", loop="native", load="pipeline_64")


def longest_wait(gil: str) -> Figure:
    def measured(r: Results) -> float | None:
        rows = r["queries"].rows("waits", gil=gil) if "queries" in r else []
        queries = [float(x["max_ms"]) for x in rows if x["query"].startswith("select")]
        return max(queries) if queries else None

    return measured


def control_note(gil: str) -> Callable[[Results], str]:
    """The same thread's longest wait where there is no query."""

    def note(r: Results) -> str:
        rows = r["queries"].rows("waits", gil=gil, query="busy_process") if "queries" in r else []
        return f"beside a busy process without a query {rows[0]['max_ms']} ms" if rows else ""

    return note


def _queries() -> list[Target]:
    found = [
        compared(f"{what}, 1M", query_ns("tsunami", op), query_ns(side, their_op or op), bound, digits=1)
        for what, op, side, their_op, bound in (
            ("ordered lookup, random keys, against ETS", "lookup", "ets", None, 0.75),
            ("ordered insert, random order, against ETS", "insert_random", "ets", None, 1.3),
            ("ordered insert, ascending, against SortedDict", "insert_ascending", "sortedcontainers", None, 0.4),
            ("next(key), random keys, against ETS", "next", "ets", None, 0.7),
            ("next(key), a walk from first to last, against ETS", "walk", "ets", None, 0.7),
            ("iterating an ordered table, per row, against walking a list of tuples", "iterate", "tuples", None, 1.5),
            ("irange, per row, against walking a list of tuples", "irange", "tuples", "iterate", 1.5),
            ("select_count, set, against ETS", "select_count_set", "ets", None, 0.15),
            ("select_count, set, against a list comprehension", "select_count_set", "tuples", None, 0.5),
            ("select_count, ordered_set, against ETS", "select_count_ordered", "ets", None, 0.6),
            ("select of 10 %, set, against ETS", "select_tenth_set", "ets", None, 0.5),
            ("select of 10 %, ordered_set, against ETS", "select_tenth_ordered", "ets", None, 0.5),
            ("tab2list, set, against ETS", "tab2list_set", "ets", None, 0.6),
            ("tab2list, ordered_set, against ETS", "tab2list_ordered", "ets", None, 0.6),
        )
    ]
    told = Target(
        "bytes per (int, int) row, ordered_set, 1M, told",
        lambda r: _part(r, "queries", "memory", "told_per_row", side="tsunami"), 56, unit="",
    )  # fmt: skip
    waits = [
        Target(f"other threads' longest wait beside a query of 5M rows{how}, ms", longest_wait(gil), 5.0, unit="",
               note=control_note(gil))
        for gil, how in (("on", ""), ("off", ", without the GIL"))
    ]  # fmt: skip
    return [*found, told, *waits]


def value_us(side: str, command: str, pipeline: int) -> Figure:
    """Of the part `values`."""
    return lambda r: _part(r, "values", "values", "cpu_us", side=side, command=command, pipeline=pipeline)


def value_mb(side: str, what: str) -> Figure:
    return lambda r: _part(r, "values", "value_memory", "mb", side=side, what=what)


def fair(beside: str) -> Figure:
    return lambda r: _part(r, "fairness", "fairness", "times", side="tsunami-server", beside=beside)


def fair_note(beside: str) -> Callable[[Results], str]:
    def note(r: Results) -> str:
        theirs = _part(r, "fairness", "fairness", "times", side="redis-server", beside=beside)
        return f"redis-server itself {theirs:.2f}x" if theirs is not None else ""

    return note


VALUE_COMMANDS = (
    "HSET", "HSET,_small", "HGET", "HGETALL(10)", "LPUSH", "RPOP", "LRANGE(100)", "SADD", "SISMEMBER", "ZADD",
    "ZRANGE(100)", "ZRANGE(100),_large", "ZRANK", "PUBLISH_to_50", "MULTI_10_SET_EXEC", "EVALSHA_return_1",
    "EVALSHA_lock_release",
)  # fmt: skip


def _values() -> list[Target]:
    found = []
    for command in VALUE_COMMANDS:
        ours, theirs = value_us("tsunami-server", command, 16), value_us("redis-server", command, 16)
        name = command.replace("_", " ")
        bound = 2.0 if "EVALSHA" in command else 0.8
        found.append(compared(f"CPU per {name} at pipeline 16, against redis-server", ours, theirs, bound, "us", 2))
    for what in ("100,000_hashes_of_5_fields", "one_sorted_set_of_1,000,000"):
        ours, theirs = value_mb("tsunami-server", what), value_mb("redis-server", what)
        name = what.replace("_", " ")
        found.append(compared(f"memory of {name}, against redis-server", ours, theirs, 1.0, "MB", 2))
    for beside, name in (("pipeline", "a 100 MB pipeline"), ("slow", "a slow reader"), ("both", "both")):
        found.append(Target(f"p99.9 of GET beside {name}, against alone", fair(beside), 2.0, note=fair_note(beside)))
    return found


TARGETS = [
    *_inprocess(),
    *_queries(),
    *_state(),
    *_server(),
    *_values(),
    Target("a 1 ms asyncio ticker under full load, late at p99, ms", ticker, 2.0, unit=""),
]


def judge(target: Target, got: float | None, results: Results) -> str:
    """Met or missed; a throughput that is short where the client had no time left says nothing of the server."""
    if got is None:
        return "not measured"
    if (operator.le if target.most else operator.ge)(round(got, 3), target.bound):
        return "met"
    return "client's limit" if "client is the limit" in target.note(results) else "missed"


def rows(results: Results) -> list[common.Row]:
    """One row for each target."""
    table = []
    for target in TARGETS:
        got = target.measured(results)
        verdict = judge(target, got, results)
        table.append({
            "target": target.what,
            "bound": f"{'<=' if target.most else '>='} {target.bound:g}{target.unit}",
            "measured": "-" if got is None else f"{got:.2f}{target.unit}",
            "": verdict.upper() if verdict == "missed" else verdict,
            "figures": target.note(results),
        })  # fmt: skip
    return table
