"""The page for Prometheus, read with the parser of its own library."""

import socket
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, our_server
from _support import free_port
from prometheus_client.parser import text_string_to_metric_families

import tsunami
import tsunami_server
from tsunami import _core
from tsunami_server.metrics import BOUNDS

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module", params=["native", "asyncio"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Any, int]]:
    port = free_port()
    with our_server(metrics_port=port, io=request.param) as server:
        yield server, port


@pytest.fixture
def client(served: tuple[Any, int]) -> Iterator[Client]:
    with Client(served[0].port) as client:
        client.value("FLUSHALL")
        client.value("CONFIG", "RESETSTAT")
        yield client


def scrape(port: int) -> Figures:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.status == 200
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_commands_are_told_with_calls_seconds_and_errors(served: tuple[Any, int], client: Client) -> None:
    for _ in range(10):
        client.value("SET", "k", "v")
    client.value("LPUSH", "list", "x") if client("COMMAND", "INFO", "lpush")[1][0][1] else None
    client("GET")  # the wrong number of words
    client("INCR", "k")  # no number
    client("CONFIG", "GET", "save")
    found = scrape(served[1])
    of = lambda name, **labels: found[name, tuple(sorted(labels.items()))]  # noqa: E731
    assert of("tsunami_command_calls_total", command="set") == 10
    assert of("tsunami_command_calls_total", command="config|get") == 1
    assert 0 < of("tsunami_command_seconds_total", command="set") < 1
    assert of("tsunami_command_errors_total", command="get", kind="rejected") == 1
    assert of("tsunami_command_errors_total", command="incr", kind="failed") == 1
    assert of("tsunami_error_replies_total", error="ERR") == 2
    assert of("tsunami_command_duration_seconds_count", command="set") == 10
    assert of("tsunami_command_duration_seconds_bucket", command="set", le="+Inf") == 10
    counts = [of("tsunami_command_duration_seconds_bucket", command="set", le=str(bound)) for bound in BOUNDS]
    assert counts == sorted(counts) and counts[-1] == 10


def test_databases_memory_hits_and_clients_are_told(served: tuple[Any, int], client: Client) -> None:
    client.value("SET", "k", "x" * 5000)
    client.value("SET", "t", "x", "EX", 1000)
    client.value("GET", "k")
    client.value("GET", "nothing")
    found = scrape(served[1])
    assert found["tsunami_db_keys", (("db", "0"),)] == 2 and found["tsunami_db_expiring_keys", (("db", "0"),)] == 1
    assert found["tsunami_db_keys", (("db", "1"),)] == 0
    assert found["tsunami_db_bytes", (("db", "0"),)] > 5000
    assert found["tsunami_keyspace_hits_total", ()] == 1 and found["tsunami_keyspace_misses_total", ()] == 1
    assert found["tsunami_connected_clients", ()] == 1 and found["tsunami_blocked_clients", ()] == 0
    used, held = _core.memory()
    assert (found["tsunami_memory_used_bytes", ()], found["tsunami_memory_held_bytes", ()]) == (used, held)
    assert found["tsunami_memory_resident_bytes", ()] > 1 << 20
    for name in ("evicted_keys", "expired_keys", "commands_processed", "received_bytes", "sent_bytes"):
        assert (f"tsunami_{name}_total", ()) in found


def test_named_tables_are_told(served: tuple[Any, int], client: Client) -> None:
    table = tsunami.new("metrics_table", type="ordered_set")
    table.insert([(i, "x") for i in range(7)])
    try:
        labels = (("table", "metrics_table"), ("type", "ordered_set"))
        found = scrape(served[1])
        assert found["tsunami_table_rows", labels] == 7
        assert found["tsunami_table_bytes", labels] == table.info("memory")
    finally:
        table.delete()
    assert ("tsunami_table_rows", labels) not in scrape(served[1])


def test_scrapes_at_the_same_time_as_commands(served: tuple[Any, int], client: Client) -> None:
    failures: list[BaseException] = []

    def scrapes() -> None:
        try:
            for _ in range(5):
                scrape(served[1])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=scrapes) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(300):
        client.all([("SET", f"k{i}", "v"), ("CONFIG", "GET", "port"), (f"NOSUCH{i}",)])
    for thread in threads:
        thread.join(20)
    assert not failures


def test_the_page_is_served_on_the_loopback_and_ends_with_the_server() -> None:
    port = free_port()
    with our_server(metrics_port=port) as server:
        assert server._app.metrics is not None and server._app.metrics.port == port
        assert server._app.metrics._server.server_address[0] == "127.0.0.1"
        scrape(port)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2)


def test_a_port_in_use_keeps_the_server_from_starting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match=r"cannot serve metrics on 127\.0\.0\.1:"):
            tsunami_server.background(port=0, metrics_port=taken.getsockname()[1])


def test_without_the_port_nothing_is_served() -> None:
    with our_server() as server:
        assert server._app.metrics is None
