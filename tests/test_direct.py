"""Commands that tsunami._wire takes straight to their handlers (direct.pxi): everything is as on the long way.

A command goes the short way from its second call on, if nothing stands against it; so each claim here is about calls
that come again, before and after something that may stand against them.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, our_server
from _server import IO_KINDS
from _support import wait_until

import tsunami
from tsunami import _wire


@pytest.fixture(params=IO_KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(io=request.param) as server:
        yield server


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        yield client


def stat(client: Client, name: str) -> dict[str, str]:
    """INFO's line of a command."""
    text = client("INFO", "commandstats")[1].decode()
    line = next((line for line in text.splitlines() if line.startswith(f"cmdstat_{name}:")), ":")
    return dict(pair.split("=") for pair in line.partition(":")[2].split(",") if pair)


def test_the_short_way_is_taken(server: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client("TIME"), client("CLIENT", "ID")
    session = next(iter(server._app.shared.sessions.values()))
    long: list[bytes] = []
    monkeypatch.setattr(session, "execute", lambda argv: long.append(argv[0]))
    assert client("TIME")[0] == "*"
    assert client("CLIENT", "ID")[0] == ":"
    assert client("time") == ("$", None)  # a spelling that was not met
    assert long == [b"time"]


def test_every_call_is_counted_on_both_ways(client: Client) -> None:
    for _ in range(10):
        client("TIME")
    assert stat(client, "time")["calls"] == "10"
    client("CONFIG", "RESETSTAT")
    assert stat(client, "config|resetstat")["calls"] == "1"
    assert stat(client, "time") == {}
    for _ in range(3):
        client("TIME")
    assert stat(client, "time")["calls"] == "3"
    assert client("LATENCY", "HISTOGRAM", "time")[1][0] == ("$", b"time")


def test_errors_are_told_and_counted(client: Client) -> None:
    for n in range(1, 4):
        assert client("EVALSHA", "x", "0") == ("-", "NOSCRIPT No matching script. Please use EVAL.")
        assert client("TIME", "x") == ("-", "ERR wrong number of arguments for 'time' command")
        assert stat(client, "evalsha")["failed_calls"] == str(n)
        assert stat(client, "time")["rejected_calls"] == str(n)
    assert b"errorstat_NOSCRIPT:count=3" in client("INFO", "errorstats")[1]


def test_a_handler_that_fails_does_not_end_the_connection(
    server: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("TIME")
    monkeypatch.setattr(server._app, "now_us", lambda: 1 / 0)
    for _ in range(2):
        assert client("TIME") == ("-", "ERR internal error: ZeroDivisionError")
    monkeypatch.setattr(server._app, "now_us", lambda: 0)
    assert client("TIME") == ("*", [("$", b"0"), ("$", b"0")])


def test_what_stands_against_a_command_does_so_in_the_middle(server: Any, client: Client) -> None:
    client("TIME"), client("TIME")
    assert client("MULTI") == ("+", "OK")
    assert client("TIME") == ("+", "QUEUED")
    assert client("EXEC")[1][0][0] == "*"
    client("ACL", "SETUSER", "default", "-time")
    assert client("TIME") == ("-", "NOPERM User default has no permissions to run the 'time' command")
    client("ACL", "SETUSER", "default", "+time")
    assert client("TIME")[0] == "*"
    client("SUBSCRIBE", "c")
    assert client("TIME")[1].startswith("ERR Can't execute 'time'")
    client("UNSUBSCRIBE", "c")
    assert client("TIME")[0] == "*"
    client("CLIENT", "PAUSE", "200", "ALL")
    began = time.monotonic()
    assert client("TIME")[0] == "*"
    assert time.monotonic() - began > 0.1


def test_memory_monitors_and_slowlog_look_at_every_call(server: Any, client: Client) -> None:
    client("SORT", "l", "STORE", "m"), client("SORT", "l", "STORE", "m")
    client("SET", "k", "v"), client("CONFIG", "SET", "maxmemory", "1")
    assert client("SORT", "l", "STORE", "m")[1].startswith("OOM ")
    client("CONFIG", "SET", "maxmemory", "0")
    client("TIME"), client("TIME")
    client("CONFIG", "SET", "slowlog-log-slower-than", "0")
    client("SLOWLOG", "RESET")
    client("TIME"), client("TIME")
    client("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    logged = [entry[1][3][1][0][1] for entry in client("SLOWLOG", "GET", "10")[1]]
    assert logged.count(b"TIME") == 2
    with Client(server.port) as reader:
        assert reader("MONITOR") == ("+", "OK")
        client("TIME")
        assert reader.read()[1].endswith('"TIME"')


def test_what_has_to_be_awaited_is(client: Client) -> None:
    for n in range(1, 4):
        began = time.monotonic()
        waited, after = client.all([("WAIT", "1", "30"), ("TIME",)])
        assert (waited, after[0]) == ((":", 0), "*")
        assert time.monotonic() - began > 0.025
        assert stat(client, "wait")["calls"] == str(n)


def test_quit_ends_the_connection_and_what_is_behind_it_is_not_carried_out(server: Any, client: Client) -> None:
    for _ in range(2):
        with Client(server.port) as other:
            other.send("QUIT")
            other.send("SET", "never", "x")
            assert other.read() == ("+", "OK")
            wait_until(lambda: len(server._app.shared.sessions) == 1, "the connection is closed")
    assert client("EXISTS", "never") == (":", 0)


# ---- scripts


def test_a_script_is_alone_from_its_first_call_on(client: Client) -> None:
    """Also with a database that it selects."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for db in (0, 5):
                tsunami.keyspace(db).insert((b"n", str(time.monotonic_ns()).encode()))

    writer = threading.Thread(target=write)
    writer.start()
    script = (
        "if ARGV[1] == '5' then redis.call('select', 5) end local seen = redis.call('get', 'n') "
        "for i = 1, 3000 do if redis.call('get', 'n') ~= seen then return 'changed' end end return 'alone'"
    )
    try:
        for _ in range(5):
            assert client("EVAL", script, "0", "0") == ("$", b"alone")
            assert client("EVAL", script, "0", "5") == ("$", b"alone")
    finally:
        stop.set()
        writer.join()


def test_words_of_scripts_are_what_they_are(client: Client) -> None:
    """Numbers, large words and many of them go another way than a few short ones."""
    client("EVAL", "redis.call('set', 'k', 'v') return redis.call('get', 'k')", "0")
    for lua, expected in (
        ("redis.call('set', 'k', 12) return redis.call('get', 'k')", ("$", b"12")),
        ("redis.call('set', 'k', -4503599627370496) return redis.call('get', 'k')", ("$", b"-4503599627370496")),
        ("redis.call('set', 'k', 9007199254740993) return redis.call('get', 'k')", ("$", b"9007199254740992")),
        ("redis.call('set', 'k', 1.5) return redis.call('get', 'k')", ("$", b"1.5")),
        ("redis.call('set', 'k', string.rep('x', 5000)) return #redis.call('get', 'k')", (":", 5000)),
        ("return #redis.call('mget', unpack({'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k'}))", (":", 10)),
        ("return redis.call('get', 'none')", ("$", None)),
        (
            "return redis.pcall('get', {}).err",
            ("$", b"ERR Lua redis lib command arguments must be strings or integers"),
        ),
        ("return redis.call('strlen', 'k')", (":", 5000)),
        ("return redis.call('set', 'k', '')", ("+", "OK")),
        ("return redis.call('get', 'k')", ("$", b"")),
    ):
        assert client("EVAL", lua, "0") == expected, lua


def test_an_account_counts_calls_and_times() -> None:
    account = _wire.Account()
    account.add(1500, True)
    account.add(1500, True)
    account.add(10, False)
    assert (account.calls, account.nanos, account.usec) == (3, 3010, 3)
    assert sum(account.spread.values()) == 2
