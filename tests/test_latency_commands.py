"""LATENCY, LATENCYSTATS and COMMANDSTATS: how long commands took."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client
from _support import wait_until

from tsunami._wire import spread_of
from tsunami_server.observe import BITS, Spread, cumulated, longest, monitor_line, percentile, quoted

LAST = (36 << BITS) - 1  # the counter of all that takes longer than 2^40 ns: SPREAD in conn.pxi


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Client]:
    with Client(server.port, request.param) as client:
        client.value("FLUSHALL")
        client.value("CONFIG", "RESETSTAT")
        client.value("LATENCY", "RESET")
        yield client
        client.value(
            "CONFIG", "SET", "latency-tracking", "yes", "latency-tracking-info-percentiles", "50 99 99.9",
            "latency-monitor-threshold", 0,
        )  # fmt: skip


def section(client: Client, name: str) -> dict[str, str]:
    lines = client.value("INFO", name).decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def as_dict(found: Any) -> dict[Any, Any]:
    if isinstance(found, dict):
        return found
    return dict(zip(found[::2], found[1::2], strict=True))


# ---- spreads


def test_every_time_has_its_counter_and_none_is_told_shorter_than_it_was() -> None:
    at = -1
    for ns in [*range(5000), *[(1 << e) + d for e in range(13, 39) for d in (-1, 0, 1, 1 << (e - 2))]]:
        counter = spread_of(ns)
        assert ns <= longest(counter) <= ns * 1.04
        at = max(at, counter)
    assert [spread_of(ns) for ns in range(3000)] == sorted(spread_of(ns) for ns in range(3000))
    assert {spread_of(longest(counter)) == counter for counter in range(LAST)} == {True}
    assert spread_of(1 << 60) == LAST


def test_the_plane_counts_with_the_same_counters(server: Any, client: Client) -> None:
    client.all([("PING",)] * 100)
    spread = server._app.plane.command_spreads()["ping"]
    assert sum(spread.values()) == 100
    calls, usec = server._app.plane.command_stats()["ping"]
    assert calls == 100
    assert sum(longest(at) * n for at, n in spread.items()) / 1000 <= (usec + 1) * 1.1 + 5


def test_percentiles() -> None:
    spread = Spread({spread_of(1000): 98, spread_of(50_000): 1, spread_of(10**6): 1})
    assert [round(percentile(spread, p), -2) for p in (0, 50, 98)] == [1000, 1000, 1000]
    assert 50_000 <= percentile(spread, 99) <= 52_000 and 10**6 <= percentile(spread, 100) <= 1.04 * 10**6
    assert percentile(Spread(), 50) == 0


def test_cumulated_counts_rise_at_redis_s_powers_of_two() -> None:
    spread = Spread({spread_of(900): 3, spread_of(1500): 2, spread_of(30_000): 1, spread_of(60_000): 4})
    assert cumulated(spread) == {1: 3, 2: 5, 33: 6, 66: 10}
    assert cumulated(Spread()) == {}


def test_words_are_quoted_as_redis_prints_them() -> None:
    assert quoted(b'a"b\\\x00\x07\x08\x09\x0a\x0d\x7f\xff~') == rb'"a\"b\\\x00\a\b\t\n\r\x7f\xff~"'
    assert monitor_line(9, b"lua", [b"x"], 7) == b'+0.000007 [9 lua] "x"\r\n'


# ---- LATENCY HISTOGRAM


def test_histogram_of_hot_and_cold_calls(client: Client) -> None:
    for _ in range(20):
        client.value("SET", "k", "v")
    client.value("CONFIG", "GET", "save")
    client.value("CLIENT", "ID")
    found = as_dict(client.value("LATENCY", "HISTOGRAM", "set", "config", "nosuch", "get"))
    assert set(found) == {b"set", b"config|get", b"config|resetstat"} or set(found) == {b"set", b"config|get"}
    told = as_dict(found[b"set"])
    assert told[b"calls"] == 20
    histogram = as_dict(told[b"histogram_usec"])
    counts = [histogram[key] for key in sorted(histogram)]
    assert counts == sorted(set(counts)) and counts[-1] == 20
    everything = as_dict(client.value("LATENCY", "HISTOGRAM"))
    assert {b"set", b"config|get", b"client|id"} <= set(everything) and b"get" not in everything


def test_a_slow_call_stands_in_its_power_of_two(client: Client) -> None:
    client.value("DEBUG", "SLEEP", "0.05")
    told = as_dict(as_dict(client.value("LATENCY", "HISTOGRAM", "debug|sleep"))[b"debug|sleep"])
    assert told[b"calls"] == 1
    ((bound, count),) = as_dict(told[b"histogram_usec"]).items()
    assert count == 1 and 66_000 <= bound <= 1_100_000


def test_tracking_can_be_switched_off(client: Client) -> None:
    client.value("CONFIG", "SET", "latency-tracking", "no")
    client.value("CONFIG", "RESETSTAT")
    client.value("SET", "k", "v")
    client.value("ECHO", "x")
    assert as_dict(client.value("LATENCY", "HISTOGRAM")) == {}
    assert section(client, "latencystats") == {}


def test_resetstat_forgets(client: Client) -> None:
    client.value("SET", "k", "v")
    assert "latency_percentiles_usec_set" in section(client, "latencystats")
    client.value("CONFIG", "RESETSTAT")
    assert "latency_percentiles_usec_set" not in section(client, "latencystats")
    assert "cmdstat_set" not in section(client, "commandstats")


# ---- INFO latencystats and commandstats


def test_latencystats_have_redis_s_form(client: Client) -> None:
    client.all([("SET", "k", "v")] * 10)
    found = section(client, "latencystats")["latency_percentiles_usec_set"]
    match = re.fullmatch(r"p50=(\d+\.\d{3}),p99=(\d+\.\d{3}),p99\.9=(\d+\.\d{3})", found)
    assert match and 0 < float(match[1]) <= float(match[2]) <= float(match[3]) < 10**6
    client.value("CONFIG", "SET", "latency-tracking-info-percentiles", "0 25.5 100")
    assert re.fullmatch(
        r"p0=\d+\.\d{3},p25\.5=\d+\.\d{3},p100=\d+\.\d{3}",
        section(client, "latencystats")["latency_percentiles_usec_set"],
    )
    client.value("CONFIG", "SET", "latency-tracking-info-percentiles", "")
    assert section(client, "latencystats") == {}


def test_commandstats_count_failures_and_refusals(client: Client) -> None:
    client.value("SET", "k", "v")
    client("INCR", "k")
    client("GET")
    found = section(client, "commandstats")
    assert re.fullmatch(
        r"calls=1,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=0,failed_calls=1", found["cmdstat_incr"]
    )
    assert found["cmdstat_get"].endswith("calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0")
    assert section(client, "errorstats") == {"errorstat_ERR": "count=2"}


# ---- events


def test_fast_and_other_commands_are_events_of_their_own(client: Client) -> None:
    client.value("CONFIG", "SET", "latency-monitor-threshold", 20)
    client.value("DEBUG", "SLEEP", "0.03")
    ((event, at, last, worst),) = client.value("LATENCY", "LATEST")
    assert event == b"command" and 30 <= last == worst < 5000 and at > 1_700_000_000
    assert client.value("LATENCY", "HISTORY", "command") == [[at, last]]
    assert client.value("LATENCY", "HISTORY", "fast-command") == []
    drawn = client.value("LATENCY", "GRAPH", "command").decode()
    assert drawn.startswith(f"command - high {worst} ms, low {worst} ms (all time high {worst} ms)\n")
    assert client("LATENCY", "GRAPH", "nothing") == ("-", "ERR No samples available for event 'nothing'")
    assert "command: 1 latency spikes" in client.value("LATENCY", "DOCTOR").decode()
    assert client.value("LATENCY", "RESET", "command") == 1
    assert client.value("LATENCY", "LATEST") == []


def test_doctor_says_when_nothing_is_watched(client: Client) -> None:
    assert b"latency-monitor-threshold is 0" in client.value("LATENCY", "DOCTOR")
    client.value("CONFIG", "SET", "latency-monitor-threshold", 10_000)
    assert b"nothing to worry about" in client.value("LATENCY", "DOCTOR")


def test_evicting_for_long_is_an_event(client: Client) -> None:
    client.all([("SET", f"k{i}", "x" * 50) for i in range(5000)])
    client.value("CONFIG", "SET", "latency-monitor-threshold", 1, "maxmemory-eviction-tenacity", 100)
    client.value("CONFIG", "SET", "maxmemory", 1, "maxmemory-policy", "allkeys-random")
    try:
        wait_until(
            lambda: b"eviction-cycle" in [event for event, *_ in client.value("LATENCY", "LATEST")], "it is noted"
        )
        assert client.value("DBSIZE") == 0
    finally:
        client.value(
            "CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "noeviction", "maxmemory-eviction-tenacity", 10
        )


def test_erasing_for_long_what_is_due_is_an_event(server: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._app, "expire_fields", lambda: bool(time.sleep(0.02)))  # as if there were very many
    client.value("CONFIG", "SET", "latency-monitor-threshold", 10)
    wait_until(lambda: b"expire-cycle" in [event for event, *_ in client.value("LATENCY", "LATEST")], "it is noted")


# ---- SLOWLOG


def test_slowlog_shortens_long_calls_as_redis_does(client: Client) -> None:
    client.value("CONFIG", "SET", "slowlog-log-slower-than", 0)
    try:
        client.value("SLOWLOG", "RESET")
        client.value("SADD", "set", *[str(i) for i in range(40)]) if known(client, "sadd") else client.value(
            "MGET", *[str(i) for i in range(41)]
        )
        client.value("SET", "k", "x" * 200)
        newest, before, *_ = client.value("SLOWLOG", "GET", 2)
        assert newest[3] == [b"SET", b"k", b"x" * 128 + b"... (72 more bytes)"]
        assert len(before[3]) == 32 and before[3][-1] == b"... (11 more arguments)"
        assert newest[0] == before[0] + 1 and newest[4].startswith(b"127.0.0.1:") and newest[5] == b""
        client.value("CLIENT", "SETNAME", "me")
        client.value("ECHO", "x")
        assert client.value("SLOWLOG", "GET", 1)[0][5] == b"me"
    finally:
        client.value("CONFIG", "SET", "slowlog-log-slower-than", 10_000)


def known(client: Client, name: str) -> bool:
    return client.value("COMMAND", "INFO", name)[0] is not None
