"""Real expiry: keys that go by themselves, promptly, and are never seen afterwards. Time is the machine's; tests wait
for conditions.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, our_server
from _support import wait_until

import tsunami

LATENESS_MS = 50  # the bound that is promised for the sweep
EARLIEST_S = 0.054  # 60 ms, less what a clock of whole milliseconds that ticks every 4 may lag behind


@pytest.fixture(params=["hot", "cold"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Client]:
    names = server._app.plane.hot_names() if request.param == "cold" else ()
    for name in names:
        server._app.plane.disable(name)
    with Client(server.port) as client:
        client.value("FLUSHALL")
        yield client
    for name in names:
        server._app.plane.enable(name)


@pytest.mark.parametrize(
    "request_",
    [
        ("SET", "k", "v", "PX", "60"),
        ("PSETEX", "k", "60", "v"),
        ("PEXPIRE", "kept", "60"),
        ("GETEX", "kept", "PX", "60"),
    ],
    ids=lambda words: words[0],
)
def test_a_key_is_gone_when_its_time_is_over(client: Client, request_: tuple[str, ...]) -> None:
    client.value("SET", "kept", "v")
    key = request_[1]
    start = time.time()
    client.value(*request_)
    assert client.value("GET", key) == b"v" or time.time() - start > EARLIEST_S
    wait_until(lambda: client.value("GET", key) is None, "the key expires")
    assert time.time() - start > EARLIEST_S
    assert client.value("TTL", key) == client.value("PTTL", key) == client.value("EXPIRETIME", key) == -2
    assert client.all([("EXISTS", key), ("TYPE", key), ("STRLEN", key), ("PERSIST", key), ("DEL", key)]) == [
        (":", 0), ("+", "none"), (":", 0), (":", 0), (":", 0)
    ]  # fmt: skip


def test_an_expired_key_is_never_seen_even_if_nothing_sweeps(client: Client) -> None:
    client.value("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    try:
        client.value("SET", "k", "10", "PX", "30")
        client.value("SET", "stays", "1")
        deadline = client.value("PEXPIRETIME", "k")
        wait_until(lambda: int(time.time() * 1000) > deadline + 20, "its time is over")
        assert client.value("KEYS", "*") == [b"stays"]
        assert client.value("SCAN", "0", "COUNT", "1000") == [b"0", [b"stays"]]
        assert client.value("RANDOMKEY") == b"stays"
        assert client.value("MGET", "k", "stays") == [None, b"1"]
        assert client("RENAME", "k", "other") == ("-", "ERR no such key")
        assert client.value("COPY", "k", "other") == 0
        assert client.value("SETNX", "k", "new") == 1
        assert client.value("TTL", "k") == -1
        client.value("SET", "n", "10", "PX", "30")
        deadline = client.value("PEXPIRETIME", "n")
        wait_until(lambda: int(time.time() * 1000) > deadline + 20, "its time is over")
        assert client.value("INCR", "n") == 1
        assert tsunami.keyspace(0).lookup("n") == [(b"n", b"1")]
    finally:
        client.value("DEBUG", "SET-ACTIVE-EXPIRE", "1")


def test_the_sweep_takes_keys_away_that_nobody_asks_for(client: Client) -> None:
    before = expired_keys(client)
    client.all([("SET", f"k{number}", "v", "PX", "40") for number in range(500)])
    client.value("SET", "stays", "v")
    wait_until(lambda: client.value("DBSIZE") == 1, "the sweep")
    assert expired_keys(client) - before == 500
    assert client.value("KEYS", "*") == [b"stays"]


def expired_keys(client: Client) -> int:
    lines = client.value("INFO", "stats").decode().splitlines()
    return int(next(line for line in lines if line.startswith("expired_keys:")).partition(":")[2])


@pytest.mark.slow
def test_the_sweep_is_prompt() -> None:
    """The bound, and the metric for it in INFO. What the machine stalls everybody is not counted."""
    with our_server() as server, Client(server.port) as client:
        client.value("FLUSHALL")
        for at in range(20):
            client.all([("SET", f"k{at}:{number}", "v", "PX", str(20 + 37 * at)) for number in range(50)])
        stall_ms, end = 0.0, time.monotonic() + 30
        while client.value("DBSIZE"):
            assert time.monotonic() < end, "the sweep does not come"
            start = time.monotonic()
            time.sleep(0.002)
            client.value("PING")
            stall_ms = max(stall_ms, (time.monotonic() - start) * 1000 - 2)
        lines = client.value("INFO", "tsunami").decode().splitlines()
        worst = int(next(line for line in lines if line.startswith("expire_late_max_ms:")).partition(":")[2])
        assert 0 <= worst <= LATENESS_MS + stall_ms


def test_ttl_is_kept_where_redis_keeps_it(client: Client) -> None:
    keeping = [
        ("APPEND", "k", "x"),
        ("SETRANGE", "k", "0", "y"),
        ("SETBIT", "k", "1", "1"),
        ("SET", "k", "5", "KEEPTTL"),
        ("INCR", "k"),
        ("INCRBYFLOAT", "k", "1"),
        ("GETEX", "k"),
        ("TOUCH", "k"),
        ("RENAME", "k", "k"),
    ]
    client.value("SET", "k", "1", "EX", "100")
    for words in keeping:
        client.value(*words)
        assert 90 <= client.value("TTL", "k") <= 100, words
    for words in (
        ("SET", "k", "1"),
        ("GETSET", "k", "1"),
        ("MSET", "k", "1"),
        ("PERSIST", "k"),
        ("GETEX", "k", "PERSIST"),
    ):
        client.value("EXPIRE", "k", "100")
        client.value(*words)
        assert client.value("TTL", "k") == -1, words


@pytest.mark.threads
def test_readers_see_a_key_or_its_absence_and_never_come_back(server: Any) -> None:
    """Several connections look at keys that expire all the time: once gone, a generation stays gone."""
    failures: list[str] = []
    stop = threading.Event()

    def look(number: int) -> None:
        with Client(server.port) as client:
            newest = -1
            while not stop.is_set():
                value = client.value("GET", "generation")
                if value is not None:
                    if int(value) < newest:
                        failures.append(f"{int(value)} after {newest}")
                    newest = max(newest, int(value))

    readers = [threading.Thread(target=look, args=(number,)) for number in range(3)]
    for reader in readers:
        reader.start()
    with Client(server.port) as writer:
        for generation in range(150):
            writer.value("SET", "generation", generation, "PX", "3")
            if generation % 3 == 0:
                wait_until(lambda: writer.value("EXISTS", "generation") == 0, "it expires")
    stop.set()
    for reader in readers:
        reader.join(10)
    assert not failures


def test_while_clients_are_paused_nothing_expires(server: Any) -> None:
    def expired(client: Any) -> int:
        return int(client.value("INFO", "stats").split(b"\r\nexpired_keys:")[1].split(b"\r\n")[0])

    with Client(server.port) as client:
        client.value("FLUSHALL")  # what others have left might expire, too
        before = expired(client)
        client.all([("MULTI",), ("SET", "due", "1", "PX", "5"), ("CLIENT", "PAUSE", "60000", "WRITE"), ("EXEC",)])
        time.sleep(0.15)
        assert client.value("GET", "due") is None
        assert expired(client) == before
        client.value("CLIENT", "UNPAUSE")
        assert expired(client) == before + 1
