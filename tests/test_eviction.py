"""maxmemory: what is refused, what is evicted, and that memory stays where it should."""

import gc
import random
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, our_server, plain
from _support import wait_until

from tsunami import _core, keyspace
from tsunami_server.eviction import POLICIES, clients_limit, too_large, turn_us

OOM = ("-", "OOM command not allowed when used memory > 'maxmemory'.")
BASE_S = 1_800_000_000
ROOM = 200_000  # bytes above the empty databases


@pytest.fixture(scope="module", params=["hot", "cold"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(all_cold=request.param == "cold") as server:
        yield server


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    gc.collect()  # tables that other tests have left behind count as well
    with Client(server.port) as client:
        client.value("FLUSHALL")
        yield client
        client.value(
            "CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "noeviction", "maxmemory-samples", 5,
            "maxmemory-eviction-tenacity", 10,
        )  # fmt: skip
        client.value("FLUSHALL")
        _core._knobs(clock_ms=0)


def used(client: Client) -> int:
    return int(info(client, "memory")["used_memory"])


def info(client: Client, section: str) -> dict[str, str]:
    lines = client.value("INFO", section).decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def limit(client: Client, policy: str, room: int = ROOM, **settings: Any) -> int:
    most = used(client) + room
    pairs = [word for name, value in settings.items() for word in (name.replace("_", "-"), value)]
    client.value("CONFIG", "SET", "maxmemory", most, "maxmemory-policy", policy, *pairs)
    return most


def flood(client: Client, n: int, prefix: str, ttl: int = 0, size: int = 100) -> list[Any]:
    end = ("EX", ttl) if ttl else ()
    return client.all([("SET", f"{prefix}:{i}", "x" * size, *end) for i in range(n)])


# ---- noeviction


def test_without_eviction_commands_that_need_memory_are_refused(client: Client) -> None:
    most = limit(client, "noeviction")
    replies = flood(client, 4000, "k")
    assert replies[0] == ("+", "OK") and replies[-1] == OOM
    stored = sum(reply == ("+", "OK") for reply in replies)
    assert stored == client.value("DBSIZE") < 4000
    assert most < used(client) < most + 8192  # the row that went beyond it, and what its map grew by
    for words in (
        ("APPEND", "k:0", "x"),
        ("INCR", "n"),
        ("MSET", "a", 1),
        ("SETRANGE", "k:0", 1, "x"),
        ("COPY", "k:0", "z"),
    ):
        assert client(*words) == OOM
    assert plain(client("GET", "k:0")) == b"x" * 100
    assert client("EXPIRE", "k:0", 100) == (":", 1)
    assert client("DEL", *[f"k:{i}" for i in range(200)]) == (":", 200)
    assert client("SET", "k:0", "x") == ("+", "OK")


def test_refused_commands_are_counted_as_such(client: Client) -> None:
    limit(client, "noeviction", room=-1)
    client.value("CONFIG", "RESETSTAT")
    assert client("SET", "k", "x") == OOM
    assert info(client, "errorstats")["errorstat_OOM"] == "count=1"
    assert "rejected_calls=1,failed_calls=0" in info(client, "commandstats")["cmdstat_set"]


def test_a_transaction_is_refused_as_a_whole(client: Client) -> None:
    limit(client, "noeviction", room=-1)
    assert client("MULTI") == ("+", "OK")
    assert client("SET", "k", "x") == OOM
    assert client("EXEC")[1].startswith("EXECABORT")
    assert client("EXISTS", "k") == (":", 0)


def test_scripts_may_read_but_not_write(client: Client) -> None:
    client.value("SET", "k", "v")
    limit(client, "noeviction", room=-1)
    assert client("EVAL", "return redis.call('GET', KEYS[1])", 1, "k") == ("$", b"v")
    refused = client("EVAL", "return redis.call('SET', KEYS[1], 'x')", 1, "k")
    assert refused[0] == "-" and refused[1].startswith("OOM command not allowed when used memory > 'maxmemory'")
    assert client("EVAL", "return redis.call('DEL', KEYS[1])", 1, "k") == (":", 1)


# ---- eviction


@pytest.mark.parametrize("policy", [name for name in POLICIES if name.startswith("allkeys")])
def test_memory_stays_below_the_limit_while_more_is_written(client: Client, policy: str) -> None:
    most = limit(client, policy, maxmemory_eviction_tenacity=100)
    rng = random.Random(3)
    for _ in range(20):
        requests = [("SET", f"k{rng.randrange(10**6)}", "x" * rng.choice((1, 20, 100, 1000))) for _ in range(200)]
        assert set(client.all(requests)) == {("+", "OK")}
        client.value("PING")
        client.value("GET", "nothing")  # whatever comes next makes room for the last one
        assert _core.memory()[0] <= most
    assert 100 < client.value("DBSIZE") < 4000
    assert int(info(client, "stats")["evicted_keys"]) > 1000


@pytest.mark.parametrize("policy", [name for name in POLICIES if name.startswith("volatile")])
def test_only_keys_with_an_expiry_are_evicted_where_the_policy_says_so(client: Client, policy: str) -> None:
    limit(client, policy, maxmemory_eviction_tenacity=100)
    flood(client, 100, "stays")
    flood(client, 4000, "goes", ttl=1000)
    assert client.value("EXISTS", *[f"stays:{i}" for i in range(100)]) == 100
    assert 100 < client.value("DBSIZE") < 3000


@pytest.mark.parametrize("policy", [name for name in POLICIES if name.startswith("volatile")])
def test_with_nothing_to_evict_memory_is_short(client: Client, policy: str) -> None:
    limit(client, policy)
    replies = flood(client, 4000, "k")
    assert replies[-1] == OOM
    assert sum(reply == ("+", "OK") for reply in replies) == client.value("DBSIZE")
    assert client.value("EXISTS", "k:0") == 1


def test_keys_of_all_databases_make_room(client: Client) -> None:
    limit(client, "allkeys-random", maxmemory_eviction_tenacity=100)
    client.value("SELECT", 3)
    flood(client, 600, "three")
    before = client.value("DBSIZE")
    client.value("SELECT", 0)
    flood(client, 2000, "zero")
    client.value("SELECT", 3)
    assert client.value("DBSIZE") < before


def test_lru_evicts_what_was_not_used_for_long(client: Client) -> None:
    _core._knobs(clock_ms=BASE_S * 1000)
    flood(client, 1000, "old")
    _core._knobs(clock_ms=(BASE_S + 100) * 1000)
    client.all([("GET", f"old:{i}") for i in range(500)])
    limit(client, "allkeys-lru", room=-60_000, maxmemory_samples=10, maxmemory_eviction_tenacity=100)
    wait_until(lambda: _core.memory()[0] <= int(client.value("CONFIG", "GET", "maxmemory")[1]), "evicted")
    used_ones = client.value("EXISTS", *[f"old:{i}" for i in range(500)])
    others = client.value("EXISTS", *[f"old:{i}" for i in range(500, 1000)])
    assert used_ones > 490 and others < 300


def test_lfu_evicts_what_is_used_rarely(client: Client) -> None:
    client.value("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    flood(client, 1000, "k")
    for _ in range(60):
        client.all([("GET", f"k:{i}") for i in range(300)])
    assert client.value("OBJECT", "FREQ", "k:0") > client.value("OBJECT", "FREQ", "k:999") == 5
    limit(client, "allkeys-lfu", room=-60_000, maxmemory_samples=10, maxmemory_eviction_tenacity=100)
    often = client.value("EXISTS", *[f"k:{i}" for i in range(300)])
    assert often > 290 and client.value("DBSIZE") < 850


def test_ttl_evicts_what_is_due_soon(client: Client) -> None:
    flood(client, 500, "soon", ttl=1000)
    flood(client, 500, "late", ttl=100_000)
    limit(client, "volatile-ttl", room=-40_000, maxmemory_samples=10, maxmemory_eviction_tenacity=100)
    soon = client.value("EXISTS", *[f"soon:{i}" for i in range(500)])
    late = client.value("EXISTS", *[f"late:{i}" for i in range(500)])
    assert late > 480 and soon < 400


def test_config_set_maxmemory_evicts_at_once(client: Client) -> None:
    flood(client, 2000, "k")
    before = client.value("DBSIZE")
    client.value("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    most = _core.memory()[0] - 100_000
    client.value("CONFIG", "SET", "maxmemory", most)
    wait_until(lambda: _core.memory()[0] <= most, "memory is below the limit without another command")
    assert 0 < client.value("DBSIZE") < before


def test_an_evicted_key_is_told(server: Any, client: Client) -> None:
    client.value("CONFIG", "SET", "notify-keyspace-events", "Ee")
    try:
        with Client(server.port) as listener:
            listener.value("PSUBSCRIBE", "__key*__:*")
            flood(client, 200, "k")
            limit(client, "allkeys-random", room=-10_000, maxmemory_eviction_tenacity=100)
            kind, _, channel, key = plain(listener.read())
            assert (kind, channel) == (b"pmessage", b"__keyevent@0__:evicted")
            assert client.value("EXISTS", key) == 0
    finally:
        client.value("CONFIG", "SET", "notify-keyspace-events", "")


def test_freq_and_idletime_answer_under_their_policies_only(client: Client) -> None:
    client.value("SET", "k", "v")
    assert client.value("OBJECT", "IDLETIME", "k") == 0
    assert client("OBJECT", "FREQ", "k")[1].startswith("ERR An LFU maxmemory policy is not selected")
    client.value("CONFIG", "SET", "maxmemory-policy", "volatile-lfu")
    client.value("SET", "new", "v")
    assert client.value("OBJECT", "FREQ", "new") == 5
    assert client("OBJECT", "IDLETIME", "k")[1].startswith("ERR An LFU maxmemory policy is selected")
    assert client("OBJECT", "IDLETIME", "none")[1] is None and client("OBJECT", "FREQ", "none")[1] is None


def test_no_touch_leaves_no_traces(client: Client) -> None:
    _core._knobs(clock_ms=BASE_S * 1000)
    client.value("SET", "k", "v")
    _core._knobs(clock_ms=(BASE_S + 50) * 1000)
    client.value("CLIENT", "NO-TOUCH", "ON")
    assert client.value("GET", "k") == b"v" and client.value("OBJECT", "IDLETIME", "k") == 50
    assert client.value("MEMORY", "USAGE", "k") > 0 and client.value("OBJECT", "IDLETIME", "k") == 50
    client.value("TOUCH", "k")
    assert client.value("OBJECT", "IDLETIME", "k") == 0
    client.value("CLIENT", "NO-TOUCH", "OFF")
    _core._knobs(clock_ms=(BASE_S + 90) * 1000)
    client.value("GET", "k")
    assert client.value("OBJECT", "IDLETIME", "k") == 0


def test_used_memory_is_the_engines_figure(client: Client) -> None:
    client.value("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    flood(client, 100, "k", size=3000)
    at_first = used(client)
    size = client.value("MEMORY", "USAGE", "k:0")
    client.value("DEL", "k:0")
    assert at_first - used(client) == size - 8  # its slot in the map stays
    found = info(client, "memory")
    assert int(found["allocator_allocated"]) == int(found["used_memory"]) <= int(found["allocator_active"])
    assert int(found["used_memory_peak"]) >= at_first


def test_keys_of_a_program_that_are_no_redis_keys_stay(client: Client) -> None:
    keyspace(0).insert([(i, "x" * 100) for i in range(500)])
    limit(client, "allkeys-lru", room=20_000, maxmemory_eviction_tenacity=100)
    flood(client, 1000, "k")
    assert sum(isinstance(key, int) for key, _ in keyspace(0).tab2list()) == 500


def test_the_time_for_evictions_grows_with_tenacity() -> None:
    assert (turn_us(0), turn_us(10), turn_us(100)) == (0, 500, float("inf"))
    assert 500 < turn_us(50) < turn_us(99) < float("inf")


def test_asking_about_a_key_is_no_use_of_it(client: Client) -> None:
    _core._knobs(clock_ms=BASE_S * 1000)
    client.value("SET", "k", "v", "EX", 10_000)
    _core._knobs(clock_ms=(BASE_S + 50) * 1000)
    for words in (("EXISTS", "k"), ("TYPE", "k"), ("TTL", "k"), ("PTTL", "k"), ("EXPIRETIME", "k"), ("KEYS", "*"),
                  ("SCAN", 0), ("OBJECT", "ENCODING", "k"), ("MEMORY", "USAGE", "k"), ("DEBUG", "OBJECT", "k"),
                  ):  # fmt: skip
        client.value(*words)
        assert client.value("OBJECT", "IDLETIME", "k") == 50, words
    assert client.value("TOUCH", "k") == 1 and client.value("OBJECT", "IDLETIME", "k") == 0
    for words in (("GET", "k"), ("STRLEN", "k"), ("MGET", "k"), ("APPEND", "k", "x"), ("SET", "k", "y", "KEEPTTL")):
        _core._knobs(clock_ms=(BASE_S + 100) * 1000)
        client.value(*words)
        assert client.value("OBJECT", "IDLETIME", "k") == 0, words
        assert _core.use_set(keyspace(0), b"k", 50, None)


# ---- maxmemory-clients


def test_connections_with_the_largest_buffers_are_closed(server: Any, client: Client) -> None:
    client.value("SET", "large", "x" * 1_000_000)
    client.value("CONFIG", "RESETSTAT")
    with Client(server.port) as greedy, Client(server.port) as kept, Client(server.port) as modest:
        kept.value("CLIENT", "NO-EVICT", "on")
        for each in (greedy, kept):
            each.socket.sendall(b"GET large\r\n" * 40)  # and the replies are not read
        modest.value("PING")
        client.value("CONFIG", "SET", "maxmemory-clients", 200_000)
        try:
            wait_until(lambda: int(info(client, "stats")["evicted_clients"]) == 1, "the largest is closed")
            assert modest("PING") == ("+", "PONG")
            for _ in range(40):
                assert len(plain(kept.read())) == 1_000_000
        finally:
            client.value("CONFIG", "SET", "maxmemory-clients", 0)


def test_a_share_of_maxmemory_for_connections() -> None:
    assert (clients_limit("0", 1000), clients_limit("5%", 1000), clients_limit("70", 0)) == (0, 50, 70)
    assert too_large({1: 10, 2: 20, 3: 30}, 60) == [] and too_large({1: 10, 2: 20, 3: 30}, 15) == [3, 2]
