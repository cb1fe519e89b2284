"""LATENCY and SLOWLOG: which commands were slow, and how long all of them took.

Slow hot commands are noted by the plane, and come into the log when it is looked at. Events are samples of what took
longer than `latency-monitor-threshold`: one a second, the worst of it.
"""

import time
from collections import deque
from collections.abc import Sequence

from tsunami._wire import OK, Verbatim
from tsunami_server.arguments import int64
from tsunami_server.command import HELP, CommandError, Reply, add_help, command, container, registry
from tsunami_server.commands.info import spreads
from tsunami_server.observe import cumulated
from tsunami_server.session import Session
from tsunami_server.shared import SlowEntry

ADMIN = "admin noscript loading stale"

# ---- LATENCY

container(
    "LATENCY",
    group="server",
    since="2.8.13",
    summary="Commands on slow events (see the setting latency-monitor-threshold).",
)
TOLD_BY_ALL = "nondeterministic_output request_policy:all_nodes response_policy:special"


@command(
    "LATENCY LATEST",
    ADMIN,
    group="server",
    since="2.8.13",
    summary="The last and the worst sample of each event.",
    tips=TOLD_BY_ALL,
)
def latency_latest(session: Session, args: list[bytes]) -> Reply:
    events = session.app.shared.latency
    return [[name, *samples[-1], max(took for _, took in samples)] for name, samples in sorted(events.items())]


@command(
    "LATENCY HISTORY event",
    ADMIN,
    group="server",
    since="2.8.13",
    summary="The samples of an event: when, and how many ms.",
    tips=TOLD_BY_ALL,
)
def latency_history(session: Session, args: list[bytes]) -> Reply:
    samples = session.app.shared.latency.get(args[0].decode("utf-8", "replace"), ())
    return [list(sample) for sample in samples]


@command(
    "LATENCY RESET [event ...]",
    ADMIN,
    group="server",
    since="2.8.13",
    summary="Forget the samples of some events, or of all.",
    tips="request_policy:all_nodes response_policy:all_succeeded",
)
def latency_reset(session: Session, args: list[bytes]) -> Reply:
    events = session.app.shared.latency
    names = [word.decode("utf-8", "replace") for word in args] or list(events)
    return sum(events.pop(name, None) is not None for name in names)


# ---- LATENCY HISTOGRAM


@command("LATENCY HISTOGRAM [command ...]", ADMIN, group="server", since="7.0.0",
         summary="How many calls took up to 1, 2, 4 ... microseconds, of some commands or of all.",
         complexity="O(N) in the number of commands", tips=TOLD_BY_ALL)  # fmt: skip
def latency_histogram(session: Session, args: list[bytes]) -> Reply:
    known = spreads(session.app)
    return {
        name: {"calls": known[name].total(), "histogram_usec": cumulated(known[name])}
        for name in (known if not args else dict.fromkeys(each for word in args for each in named(word)))
        if name in known
    }


def named(word: bytes) -> list[str]:
    """The commands that a word means: of a container, its subcommands."""
    found = registry.get(word.decode("utf-8", "replace"))
    if found is None:
        return []
    return [found.name, *(sub.name for sub in found.subcommands.values())]


# ---- LATENCY GRAPH and DOCTOR


@command("LATENCY GRAPH event", ADMIN, group="server", since="2.8.13",
         summary="The samples of an event, drawn.", tips=TOLD_BY_ALL)  # fmt: skip
def latency_graph(session: Session, args: list[bytes]) -> Reply:
    event = args[0].decode("utf-8", "replace")
    samples = session.app.shared.latency.get(event)
    if not samples:
        raise CommandError(f"ERR No samples available for event '{event}'")
    values = [took for _, took in samples]
    now_s = session.app.now_ms() // 1000
    lines = [
        f"{event} - high {max(values)} ms, low {min(values)} ms (all time high {max(values)} ms)",
        "-" * 80,
        *drawn(values, [ago(now_s - second) for second, _ in samples]),
    ]
    return Verbatim("\n".join(lines) + "\n")


def ago(seconds: int) -> str:
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) // unit}{name}"
    return f"{seconds // 86400}d"


ROWS = 4
MARKS = "_o#"  # low, middle and high within a row


def drawn(values: Sequence[int], labels: Sequence[str]) -> list[str]:
    """One column a value, four rows with three steps each, and below them the labels, downwards."""
    low, span = min(values), max(max(values) - min(values), 1)
    steps = [(value - low) * (ROWS * len(MARKS) - 1) // span for value in values]
    lines = []
    for row in reversed(range(ROWS)):
        marks = [
            MARKS[step % len(MARKS)] if step // len(MARKS) == row else "|" if step // len(MARKS) > row else " "
            for step in steps
        ]
        lines.append("".join(marks).rstrip())
    lines.append("")
    for at in range(max(map(len, labels))):
        lines.append("".join(label[at] if at < len(label) else " " for label in labels).rstrip())
    return lines


@command("LATENCY DOCTOR", ADMIN, group="server", since="2.8.13",
         summary="What the samples say, in sentences.", tips=TOLD_BY_ALL)  # fmt: skip
def latency_doctor(session: Session, args: list[bytes]) -> Reply:
    events = {name: samples for name, samples in session.app.shared.latency.items() if samples}
    if not events and not session.setting("latency-monitor-threshold"):
        return Verbatim(
            "Nothing is watched: latency-monitor-threshold is 0. CONFIG SET latency-monitor-threshold <milliseconds> "
            "begins it.\n"
        )
    if not events:
        return Verbatim("No event has taken longer than latency-monitor-threshold. There is nothing to worry about.\n")
    lines = [f"{len(events)} kinds of events took longer than latency-monitor-threshold:", ""]
    for at, (name, samples) in enumerate(sorted(events.items()), 1):
        took = [ms for _, ms in samples]
        mean = sum(took) / len(took)
        deviation = sum(abs(ms - mean) for ms in took) / len(took)
        lines.append(
            f"{at}. {name}: {len(took)} latency spikes (average {mean:.0f}ms, mean deviation {deviation:.0f}ms, "
            f"worst {max(took)}ms, the last {ago(int(time.time()) - samples[-1][0])} ago)."
        )
    lines += ["", *(advice for name, advice in ADVICE.items() if name in events)]
    return Verbatim("\n".join(lines) + "\n")


ADVICE = {
    "command": "- command: SLOWLOG GET shows what was asked. Long walks (KEYS, SORT, large ranges) make others wait.",
    "fast-command": "- fast-command: commands that take constant time were slow: the machine has other work, or swaps.",
    "eviction-cycle": "- eviction-cycle: maxmemory is too small for what is written, or its tenacity too great.",
    "expire-cycle": "- expire-cycle: very many keys expire at the same moment. Spread their deadlines.",
}

add_help("LATENCY", group="server", since="2.8.13", summary=HELP)

# ---- SLOWLOG

container("SLOWLOG", group="server", since="2.2.12", summary="Commands on the log of slow commands.")


def gathered(session: Session) -> deque[SlowEntry]:
    """The log, with the hot commands of just now."""
    app = session.app
    app.shared.take_slow(app.plane, app.now_ms(), session.setting("slowlog-max-len"))
    return app.shared.slow


@command(
    "SLOWLOG GET [count]",
    "admin loading stale",
    group="server",
    since="2.2.12",
    summary="The newest entries (10; -1: all).",
    complexity="O(N) in the number of entries told",
    tips="request_policy:all_nodes nondeterministic_output",
)
def slowlog_get(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 1:
        raise CommandError("ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.")
    count: int | None = int64(args[0]) if args else 10
    if count is None or count < -1:
        raise CommandError("ERR count should be greater than or equal to -1")
    entries = list(gathered(session))
    chosen = entries if count == -1 else entries[:count]
    return [[each.id, each.time_s, each.usec, each.argv, each.peer, each.client] for each in chosen]


@command("SLOWLOG LEN", "admin loading stale", group="server", since="2.2.12", summary="The number of entries.",
         tips="request_policy:all_nodes response_policy:agg_sum nondeterministic_output")  # fmt: skip
def slowlog_len(session: Session, args: list[bytes]) -> Reply:
    return len(gathered(session))


@command(
    "SLOWLOG RESET",
    "admin loading stale",
    group="server",
    since="2.2.12",
    summary="Forget all entries.",
    complexity="O(N) in the number of entries",
    tips="request_policy:all_nodes response_policy:all_succeeded",
)
def slowlog_reset(session: Session, args: list[bytes]) -> Reply:
    gathered(session).clear()
    return OK


add_help("SLOWLOG", group="server", since="6.2.0", summary=HELP)
