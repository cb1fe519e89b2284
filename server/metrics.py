"""The server in Prometheus's form: a page of figures, read when it is asked for.

What it is: a collector for the official prometheus_client (the extra `tsunami[metrics]`), and the HTTP server of that
library, in a thread of its own, on `metrics-port`. Nothing here runs between two scrapes, nothing is counted for it:
the figures are those of INFO, of the plane and of the tables.

What it is not: a second door to the data. It listens on the loopback unless `metrics-bind` says otherwise, and answers
GET of any path with the same page.

What must stay true:

1. The figures are read on the event loop's thread, in one go; the library's thread only spells them.
2. Without prometheus_client the server runs as ever; only `metrics-port` cannot be set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import tsunami
from tsunami import Table, _core, keyspace
from tsunami_server.commands.connection import REDIS_VERSION
from tsunami_server.commands.info import resident_bytes, spreads
from tsunami_server.observe import Spread, longest
from tsunami_server.session import Host

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.core import Metric

NOT_INSTALLED = "metrics-port needs the package prometheus_client: pip install tsunami[metrics]"
# Upper ends of the histograms' buckets, in seconds: each about three times the one before.
BOUNDS = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)

OnLoop = Callable[[Callable[[], "list[Metric]"]], "list[Metric]"]  # run something on the loop's thread, and wait for it


class Collector:
    """What prometheus_client asks for the figures."""

    def __init__(self, host: Host, on_loop: OnLoop) -> None:
        self._host = host
        self._on_loop = on_loop

    def collect(self) -> Iterable[Metric]:
        return self._on_loop(lambda: list(figures(self._host)))


def figures(host: Host) -> Iterator[Metric]:
    yield from of_server(host)
    yield from of_memory(host)
    yield from of_commands(host)
    yield from of_databases()
    yield from of_tables()


def of_server(host: Host) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily as Counter
    from prometheus_client.core import GaugeMetricFamily as Gauge
    from prometheus_client.core import InfoMetricFamily as Info

    shared, plane = host.shared, host.plane.counters()
    yield Info(
        "tsunami_server",
        "Which server this is.",
        value={"version": tsunami.__version__, "redis_version": REDIS_VERSION, "port": str(host.tcp_port)},
    )
    yield Gauge("tsunami_start_time_seconds", "When the server was started.", value=host.started_ms / 1000)
    yield Gauge("tsunami_connected_clients", "Connections.", value=len(shared.sessions))
    yield Gauge("tsunami_blocked_clients", "Connections that wait in a command.", value=shared.blocked)
    yield Gauge("tsunami_monitor_clients", "Connections that said MONITOR.", value=len(shared.monitors))
    yield Gauge("tsunami_pubsub_clients", "Connections that listen to messages.", value=shared.messages.clients)
    channels = Gauge("tsunami_pubsub_channels", "What is listened to.", labels=["kind"])
    for kind, listened in (
        ("channel", shared.messages.channels),
        ("pattern", shared.messages.patterns),
        ("shard", shared.messages.shards),
    ):
        channels.add_metric([kind], len(listened))
    yield channels
    yield Gauge("tsunami_tracking_clients", "Connections that cache keys.", value=shared.tracking.clients)
    yield Gauge("tsunami_tracked_keys", "Keys that somebody caches.", value=shared.tracking.total_keys)
    totals = (
        ("connections_received", "Connections accepted.", plane["connections"]),
        ("connections_rejected", "Connections refused.", host.rejected_connections),
        ("commands_processed", "Commands carried out.", plane["commands"]),
        ("cold_commands_processed", "Commands carried out in Python.", plane["cold_commands"]),
        ("received_bytes", "Bytes received.", plane["bytes_in"]),
        ("sent_bytes", "Bytes sent.", plane["bytes_out"]),
        ("keyspace_hits", "Keys looked up and found.", plane["keyspace_hits"] + shared.hits),
        ("keyspace_misses", "Keys looked up in vain.", plane["keyspace_misses"] + shared.misses),
        ("expired_keys", "Keys erased because they were due.", host.expired_keys),
        ("evicted_keys", "Keys erased to make room.", host.memory.evicted),
        ("slow_commands", "Commands that came into SLOWLOG.", shared.slow_seen),
    )
    for name, text, value in totals:
        yield Counter(f"tsunami_{name}", text, value=value)
    errors = Counter("tsunami_error_replies", "Errors replied, by their first word.", labels=["error"])
    for word, count in sorted(shared.errors.items()):
        errors.add_metric([word], count)
    yield errors


def of_memory(host: Host) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily as Gauge

    used, held = _core.memory()
    yield Gauge("tsunami_memory_used_bytes", "What rows and tables need.", value=used)
    yield Gauge("tsunami_memory_held_bytes", "What tables hold, idle room in pages included.", value=held)
    yield Gauge("tsunami_memory_peak_bytes", "The most that was used.", value=host.memory.note_peak())
    yield Gauge("tsunami_memory_limit_bytes", "maxmemory; 0: none.", value=host.memory.limit)
    yield Gauge("tsunami_memory_resident_bytes", "The process as the system sees it.", value=resident_bytes())


def of_commands(host: Host) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily as Counter
    from prometheus_client.core import HistogramMetricFamily as Histogram

    cold, hot = host.shared.commands, host.plane.command_stats()
    calls = Counter("tsunami_command_calls", "Calls of a command.", labels=["command"])
    seconds = Counter("tsunami_command_seconds", "Time spent in a command.", labels=["command"])
    errors = Counter("tsunami_command_errors", "Calls that ended with an error.", labels=["command", "kind"])
    for name in sorted({*cold, *hot}):
        n, usec = hot.get(name, (0, 0))
        if name in cold:
            count = cold[name]
            n, usec = n + count.calls, usec + count.usec
            errors.add_metric([name, "failed"], count.failed)
            errors.add_metric([name, "rejected"], count.rejected)
        calls.add_metric([name], n)
        seconds.add_metric([name], usec / 1e6)
    yield calls
    yield seconds
    yield errors
    took = Histogram("tsunami_command_duration_seconds", "How long calls took.", labels=["command"])
    for name, spread in spreads(host).items():
        took.add_metric([name], buckets(spread), sum(at_s(each) * n for each, n in spread.items()))
    yield took


def at_s(counter: int) -> float:
    return longest(counter) / 1e9


def buckets(spread: Spread) -> list[tuple[str, float]]:
    """Prometheus's: how many took up to so long."""
    times = sorted((at_s(each), n) for each, n in spread.items())
    found, seen = [], 0
    for bound in BOUNDS:
        while times and times[0][0] <= bound:
            seen += times.pop(0)[1]
        found.append((str(bound), float(seen)))
    return [*found, ("+Inf", float(seen + sum(n for _, n in times)))]


def of_databases() -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily as Gauge

    keys = Gauge("tsunami_db_keys", "Keys of a database.", labels=["db"])
    expiring = Gauge("tsunami_db_expiring_keys", "Keys that expire.", labels=["db"])
    size = Gauge("tsunami_db_bytes", "What its rows hold; the tables of large values are not in it.", labels=["db"])
    for db in range(16):
        table = keyspace(db)
        keys.add_metric([str(db)], len(table))
        expiring.add_metric([str(db)], number(table, "volatile"))
        size.add_metric([str(db)], number(table, "memory"))
    yield keys
    yield expiring
    yield size


def of_tables() -> Iterator[Metric]:
    """Of named tables: those without a name are many, and come and go with large values."""
    from prometheus_client.core import GaugeMetricFamily as Gauge

    named = [table for table in _core.all() if table.info("named_table")]
    rows = Gauge("tsunami_table_rows", "Rows of a named table.", labels=["table", "type"])
    size = Gauge("tsunami_table_bytes", "What a named table holds.", labels=["table", "type"])
    for table in named:
        labels = [str(table.name), str(table.info("type"))]
        rows.add_metric(labels, len(table))
        size.add_metric(labels, number(table, "memory"))
    yield rows
    yield size
    yield Gauge("tsunami_tables", "Tables, those of large values included.", value=len(_core.all()))


def number(table: Table, item: str) -> int:
    """A figure of a table; 0 if the table has been deleted meanwhile."""
    found = table.info().get(item, 0)
    return found if isinstance(found, int) else 0


# ---- serving it


class Endpoint:
    """The page on a port. Starting it raises OSError if the address cannot be had."""

    def __init__(self, host: Host, on_loop: OnLoop, address: str, port: int) -> None:
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError:
            raise OSError(NOT_INSTALLED) from None
        registry = CollectorRegistry(auto_describe=False)
        self._server: WSGIServer
        self._thread: threading.Thread
        try:
            # The registry asks a collector for its names when it is entered: then the loop is not free to answer.
            registry.register(_Silent(Collector(host, on_loop)))
            self._server, self._thread = start_http_server(port, address, registry)
        except OSError as error:
            raise OSError(error.errno, f"cannot serve metrics on {address}:{port}: {error.strerror}") from error

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Silent:
    """A collector that does not say beforehand what it collects."""

    def __init__(self, collector: Collector) -> None:
        self.collect = collector.collect

    def describe(self) -> Iterable[Metric]:
        return []
