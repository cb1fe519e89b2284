"""MONITOR: what those who read along are sent."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, our_server, redis_server
from _support import wait_until


@pytest.fixture(scope="module", params=["native", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(io=request.param) as server:
        yield server


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        client.value("FLUSHALL")
        yield client


def lines(monitor: Client, n: int) -> list[str]:
    """What came, without time and address."""
    found = []
    for _ in range(n):
        mark, text = monitor.read()
        match = re.fullmatch(r"\d+\.\d{6} \[(\d+) (127\.0\.0\.1:\d+|lua|unix:\S*)\] (.*)", text)
        assert mark == "+" and match, text
        found.append(f"{match[1]} {'lua ' if match[2] == 'lua' else ''}{match[3]}")
    return found


SCRIPT: list[tuple[bytes | str | int, ...]] = [
    ("SET", "key", "value"),
    ("get", "key"),
    ("SET", b'\x00\x07\t\n\r"\\\xff', "a b"),
    ("SELECT", 3),
    ("EXISTS", "key"),
    ("GET",),  # refused: not shown
    ("NOSUCHCOMMAND", "x"),  # nor is this
    ("INCR", "key"),
    ("APPEND", "key", "more"),
    ("INCR", "key"),  # an error of the command itself is
    ("CONFIG", "GET", "save"),  # administrators' commands are not
    ("AUTH", "user", "secret"),
    ("HELLO", "2", "SETNAME", "me"),
    ("PING",),
]


def told(port: int) -> list[str]:
    with Client(port) as monitor, Client(port) as client:
        assert monitor("MONITOR") == ("+", "OK")
        client.all(SCRIPT)
        client.value("PING", "end")
        found = []
        while not found or not found[-1].endswith('"PING" "end"'):
            found += lines(monitor, 1)
        return found


def test_what_is_shown_is_what_redis_shows(server: Any) -> None:
    ours = told(server.port)
    with redis_server() as port:
        assert ours == told(port)
    assert ours[0] == '0 "SET" "key" "value"'
    assert any(line.endswith('"AUTH" "(redacted)" "(redacted)"') for line in ours)


def test_hot_commands_are_hot_again_when_nobody_reads_along(server: Any, client: Client) -> None:
    plane = server._app.plane
    with Client(server.port) as monitor:
        monitor.value("MONITOR")
        client.value("SET", "k", "v")
        assert lines(monitor, 1) == ['0 "SET" "k" "v"']
        assert plane.monitored and "flags=O" in client.value("CLIENT", "LIST").decode()
    wait_until(lambda: not plane.monitored, "nobody reads along")
    before = plane.counters()["cold_commands"]
    client.value("SET", "k", "v")
    assert plane.counters()["cold_commands"] == before


def test_reset_ends_it(server: Any, client: Client) -> None:
    with Client(server.port) as monitor:
        monitor.value("MONITOR")
        monitor.value("RESET")
        client.value("SET", "k", "v")
        assert monitor("PING", "still there") == ("$", b"still there")
    assert not server._app.shared.monitors


def test_several_readers_see_the_same(server: Any, client: Client) -> None:
    with Client(server.port) as one, Client(server.port, 3) as two:
        one.value("MONITOR")
        two.value("MONITOR")
        client.all([("SET", f"k{i}", "v") for i in range(50)])
        assert lines(one, 50) == lines(two, 50) == [f'0 "SET" "k{i}" "v"' for i in range(50)]


def test_a_transaction_is_shown_in_its_order(server: Any, client: Client) -> None:
    def run(port: int) -> list[str]:
        with Client(port) as monitor, Client(port) as other:
            monitor.value("MONITOR")
            other.all([("MULTI",), ("SET", "k", "v"), ("GET", "k"), ("EXEC",), ("PING", "end")])
            return lines(monitor, 5)

    with redis_server() as port:
        assert run(server.port) == run(port)


def test_commands_of_scripts_are_shown_behind_the_script(server: Any, client: Client) -> None:
    def run(port: int) -> list[str]:
        with Client(port) as monitor, Client(port) as other:
            monitor.value("MONITOR")
            other.value("EVAL", "redis.call('set', KEYS[1], ARGV[1])", 1, "k", "v")
            other.value("PING", "end")
            return lines(monitor, 3)

    with redis_server() as port:
        assert run(server.port) == run(port)
