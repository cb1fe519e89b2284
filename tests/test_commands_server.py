"""Commands on the server: INFO, CONFIG, COMMAND, SLOWLOG, LATENCY, MEMORY, OBJECT, DEBUG, TIME, and errors nobody
foresaw.
"""

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _redis import Client, encode, our_server, plain, redis_server
from _support import wait_until

import tsunami
import tsunami_server.commands
from tsunami import Atom
from tsunami_server.command import registry
from tsunami_server.docs import page

assert tsunami_server.commands


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Client]:
    with Client(server.port, request.param) as client:
        client.value("FLUSHALL")
        yield client


def info(client: Client, *sections: str) -> dict[str, str]:
    lines = client.value("INFO", *sections).decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def titles(client: Client, *sections: str) -> list[str]:
    return re.findall(r"^# (\w+)\r$", client.value("INFO", *sections).decode(), re.MULTILINE)


# ---- INFO


def test_info_has_what_clients_read(client: Client) -> None:
    found = info(client)
    assert found["redis_version"] == "7.4.0" and found["tsunami_version"] == tsunami.__version__
    assert (found["arch_bits"], found["redis_mode"], found["role"], found["loading"], found["cluster_enabled"]) == (
        "64",
        "standalone",
        "master",
        "0",
        "0",
    )
    assert found["maxmemory_policy"] == "noeviction" and found["blocked_clients"] == "0"
    for name in (
        "used_memory",
        "connected_clients",
        "total_commands_processed",
        "total_connections_received",
        "used_memory_rss",
        "process_id",
    ):
        assert int(found[name]) > 0, name
    assert {
        "instantaneous_ops_per_sec",
        "keyspace_hits",
        "keyspace_misses",
        "expired_keys",
        "evicted_keys",
        "used_cpu_user",
        "connected_slaves",
        "rdb_last_save_time",
        "aof_enabled",
        "maxmemory",
        "mem_fragmentation_ratio",
        "used_memory_human",
        "tcp_port",
    } <= set(found)


def test_info_gives_the_sections_asked_for(client: Client) -> None:
    everyday = [
        "Server",
        "Clients",
        "Memory",
        "Persistence",
        "Stats",
        "Replication",
        "CPU",
        "Modules",
        "Errorstats",
        "Cluster",
        "Keyspace",
        "Tsunami",
    ]
    assert titles(client) == titles(client, "default") == everyday
    assert (
        titles(client, "everything")
        == titles(client, "ALL")
        == [
            *everyday[:8],
            "Commandstats",
            "Errorstats",
            "Latencystats",
            *everyday[9:],
        ]
    )
    assert titles(client, "replication") == ["Replication"]
    assert titles(client, "keyspace", "SERVER") == ["Server", "Keyspace"]
    assert titles(client, "nosuch") == []


def test_info_counts_keys_and_expiries(client: Client) -> None:
    client.value("MSET", "a", "1", "b", "2", "c", "3")
    client.value("EXPIRE", "a", "1000")
    client.value("SELECT", "7")
    client.value("SET", "x", "1")
    found = info(client, "keyspace")
    assert found["db0"].startswith("keys=3,expires=1,") and found["db7"].startswith("keys=1,expires=0,")
    assert set(found) == {"db0", "db7"}


def test_info_counts_commands_hits_and_errors(client: Client) -> None:
    client.value("CONFIG", "RESETSTAT")
    client.value("SET", "k", "1")
    for key in ("k", "k", "none"):
        client.value("GET", key)
    client("GET")
    client("INCR", "k", "too", "many")
    client("ECHO", "x")
    client("OBJECT", "ENCODING", "k")
    assert client("NOSUCH")[0] == "-"
    client.value("SET", "text", "x")
    assert client("INCR", "text")[0] == "-"
    stats = info(client, "commandstats")
    assert stats["cmdstat_get"].startswith("calls=3,") and "rejected_calls=1,failed_calls=0" in stats["cmdstat_get"]
    assert stats["cmdstat_object|encoding"].startswith("calls=1,")
    assert "rejected_calls=1,failed_calls=1" in stats["cmdstat_incr"]
    found = info(client)
    assert (found["keyspace_hits"], found["keyspace_misses"]) == ("2", "1")
    assert (found["total_error_replies"], found["errorstat_ERR"]) == ("4", "count=4")


def test_info_tsunami_section_tells_of_tables_and_lateness(client: Client) -> None:
    before = info(client, "tsunami")
    table = tsunami.new("info_section")
    table.insert([(1,), (2,), (3,)])
    try:
        after = info(client, "tsunami")
        assert int(after["tables"]) == int(before["tables"]) + 1
        assert int(after["table_rows"]) == int(before["table_rows"]) + 3
        assert int(after["expire_late_max_ms"]) >= 0 and after["active_expire"] == "1"
    finally:
        table.delete()


def test_used_memory_follows_the_data(client: Client) -> None:
    before = int(info(client, "memory")["used_memory"])
    client.value("SET", "big", b"x" * 1_000_000)
    assert 1_000_000 <= int(info(client, "memory")["used_memory"]) - before < 1_500_000


# ---- CONFIG


def test_config_get_takes_names_and_patterns(client: Client) -> None:
    def got(*words: str) -> dict[bytes, bytes]:
        reply = client("CONFIG", "GET", *words)
        found = plain(reply)
        return found if reply[0] == "%" else dict(zip(found[::2], found[1::2], strict=True))

    assert got("save") == {b"save": b""}
    assert got("appendonly", "max?emory", "MaxMemory-Policy") == {
        b"appendonly": b"no",
        b"maxmemory": b"0",
        b"MaxMemory-Policy": b"noeviction",
    }
    assert {b"maxmemory", b"maxmemory-policy", b"maxclients"} <= set(got("MAX*"))
    assert got("nosuch") == {}
    assert len(got("*")) > 15


def test_config_set_changes_all_or_nothing(client: Client) -> None:
    before = client.value("CONFIG", "GET", "slowlog-max-len", "timeout")
    assert client("CONFIG", "SET", "slowlog-max-len", "77", "timeout", "nonsense")[0] == "-"
    assert client.value("CONFIG", "GET", "slowlog-max-len", "timeout") == before
    assert client("CONFIG", "SET", "slowlog-max-len", "77", "timeout", "0") == ("+", "OK")
    assert b"77" in (
        found.values() if isinstance(found := client.value("CONFIG", "GET", "slowlog-max-len"), dict) else found
    )
    client.value("CONFIG", "SET", "slowlog-max-len", "128")


def test_a_value_that_is_no_text_is_refused(client: Client) -> None:
    mark, text = client("CONFIG", "SET", "requirepass", b"\xff")
    assert (mark, text) == (
        "-",
        "ERR CONFIG SET failed (possibly related to argument 'requirepass') - argument must be UTF-8",
    )
    assert client("CONFIG", "GET", b"\xff")[1] == []


def test_what_is_fixed_cannot_be_set(client: Client) -> None:
    mark, text = client("CONFIG", "SET", "unixsocket", "3")
    assert (
        mark == "-"
        and text == "ERR CONFIG SET failed (possibly related to argument 'unixsocket') - can't set immutable config"
    )


# ---- SLOWLOG, LATENCY


def sleeps(client: Client, count: str) -> list[Any]:
    """The entries of DEBUG SLEEP: on a busy machine anything can be slow."""
    return [entry for entry in client.value("SLOWLOG", "GET", count) if entry[3][:2] == [b"DEBUG", b"SLEEP"]]


def test_slowlog_keeps_what_was_slow(client: Client) -> None:
    client.value("CONFIG", "SET", "slowlog-log-slower-than", "20000")
    client.value("SLOWLOG", "RESET")
    client.value("CLIENT", "SETNAME", "slow")
    client.value("DEBUG", "SLEEP", "0.03")
    client.value("PING")
    ((number, at, usec, argv, peer, name),) = sleeps(client, "10")
    assert argv == [b"DEBUG", b"SLEEP", b"0.03"] and usec >= 30_000 and abs(at - time.time()) < 60
    assert (peer.decode(), name) == ("{}:{}".format(*client.socket.getsockname()), b"slow")
    assert client.value("SLOWLOG", "LEN") >= 1
    client.value("DEBUG", "SLEEP", "0.03")
    (second, first) = (entry[0] for entry in sleeps(client, "-1"))
    assert first == number < second
    client.value("CONFIG", "SET", "slowlog-max-len", "1")
    assert client.value("SLOWLOG", "LEN") == 1
    client.value("CONFIG", "SET", "slowlog-max-len", "128", "slowlog-log-slower-than", "10000")
    assert client("SLOWLOG", "RESET") == ("+", "OK")
    assert sleeps(client, "-1") == []


def test_slowlog_shortens_what_is_long_and_hides_passwords(client: Client) -> None:
    client.value("CONFIG", "SET", "slowlog-log-slower-than", "0")
    client.value("SLOWLOG", "RESET")
    client.value("OBJECT", "ENCODING", b"k" * 500)
    client.all([("AUTH", "default", "secret"), ("COMMAND", "INFO", *["get"] * 50)])
    client.all([("CONFIG", "SET", "requirepass", "secret"), ("CONFIG", "SET", "RequirePass", "")])
    client.value("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    logged = [entry[3] for entry in client.value("SLOWLOG", "GET", "-1")]
    assert [b"OBJECT", b"ENCODING", b"k" * 128 + b"... (372 more bytes)"] in logged
    assert [b"COMMAND", b"INFO", *[b"get"] * 29, b"... (21 more arguments)"] in logged
    assert not any(b"secret" in argv for argv in logged)
    assert [b"CONFIG", b"SET", b"requirepass", b"(redacted)"] in logged
    client.value("SLOWLOG", "RESET")


def test_slowlog_sees_hot_commands_too(client: Client) -> None:
    client.value("CONFIG", "SET", "slowlog-log-slower-than", "0")
    client.value("SLOWLOG", "RESET")
    client.value("GET", "hot")
    assert [b"GET", b"hot"] in [entry[3] for entry in client.value("SLOWLOG", "GET", "-1")]
    client.value("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    client.value("SLOWLOG", "RESET")


def test_slowlog_keeps_a_hot_command_of_a_client_that_has_gone(server: Any, client: Client) -> None:
    client.value("CONFIG", "SET", "slowlog-log-slower-than", "1000")  # below that all commands run in Python
    client.value("SLOWLOG", "RESET")
    with Client(server.port) as other:
        other.value("MSET", *range(100_000))
    time.sleep(0.25)  # so that the app, which looks ten times a second, comes by first
    assert [b"MSET", b"0"] in [entry[3][:2] for entry in client.value("SLOWLOG", "GET", "-1")]
    client.value("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    client.value("SLOWLOG", "RESET")
    client.value("FLUSHALL")


def test_latency_samples_what_is_above_the_threshold(client: Client) -> None:
    client.value("LATENCY", "RESET")
    client.value("DEBUG", "SLEEP", "0.02")
    assert client.value("LATENCY", "LATEST") == []
    client.value("CONFIG", "SET", "latency-monitor-threshold", "10")
    client.value("DEBUG", "SLEEP", "0.02")
    client.value("CONFIG", "SET", "latency-monitor-threshold", "0")
    ((event, _, latest, worst),) = client.value("LATENCY", "LATEST")
    assert event == b"command" and 10 <= latest <= worst and worst >= 20
    assert max(took for _, took in client.value("LATENCY", "HISTORY", "command")) == worst
    assert client.value("LATENCY", "RESET", "command", "other") == 1
    assert client.value("LATENCY", "HISTORY", "command") == []


# ---- OBJECT, MEMORY, DEBUG


def test_object_idletime_counts_from_the_last_access(client: Client) -> None:
    client.value("SET", "k", "v")
    assert client.value("OBJECT", "IDLETIME", "k") <= 1  # the clock may just have gone from one second to the next
    wait_until(lambda: client.value("OBJECT", "IDLETIME", "k") >= 3, "the key is idle")
    client.value("GET", "k")
    assert client.value("OBJECT", "IDLETIME", "k") <= 1


def test_memory_usage_follows_the_value(client: Client) -> None:
    client.value("SET", "small", "x")
    client.value("SET", "large", b"x" * 100_000)
    small, large = client.value("MEMORY", "USAGE", "small"), client.value("MEMORY", "USAGE", "large", "SAMPLES", "0")
    assert 0 < small < 1000 and 100_000 < large < 200_000
    assert client.value("MEMORY", "USAGE", "none") is None


def test_memory_stats_and_doctor(client: Client) -> None:
    client.value("SET", "k", "x" * 5000)
    found = client.value("MEMORY", "STATS")
    told = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
    assert told[b"dataset.bytes"] > 5000 and told[b"keys.count"] == 1
    assert b"tables" in client.value("MEMORY", "DOCTOR")


def test_debug_object_is_one_line_that_tools_read(client: Client) -> None:
    client.value("SET", "k", "12345")
    mark, text = client("DEBUG", "OBJECT", "k")
    assert mark == "+" and re.fullmatch(
        r"Value at:\S+ refcount:1 encoding:int serializedlength:5 lru:\d+ lru_seconds_idle:\d+", text
    )


def test_debug_sleep_lets_others_go_on(server: Any, client: Client) -> None:
    with Client(server.port) as other:
        client.socket.sendall(b"DEBUG SLEEP 0.5\r\nPING\r\n")
        start = time.monotonic()
        assert other("PING") == ("+", "PONG")
        assert time.monotonic() - start < 0.4
        assert client.read() == ("+", "OK")
        assert time.monotonic() - start >= 0.4
        assert client.read() == ("+", "PONG")


@pytest.mark.peer("redis-server")
@pytest.mark.parametrize("error", ["LOADING fake message", "ERR two\r\nlines", "", "x"])
def test_debug_error_answers_what_it_is_told(client: Client, error: str) -> None:
    with redis_server() as port, Client(port) as real:
        assert client("DEBUG", "ERROR", error) == real("DEBUG", "ERROR", error) == ("-", error.replace("\r\n", "  "))
    assert b"errorstat_LOADING" not in client.value("INFO", "errorstats")


def test_debug_is_refused_where_it_is_switched_off() -> None:
    with our_server(enable_debug_command="no") as server, Client(server.port) as client:
        assert client("DEBUG", "SLEEP", "0")[1].startswith("ERR DEBUG command not allowed.")


def test_wait_takes_its_time(client: Client) -> None:
    start = time.monotonic()
    assert client.all([("WAIT", "1", "100"), ("PING",)]) == [(":", 0), ("+", "PONG")]
    assert time.monotonic() - start >= 0.1


def test_time_is_the_time(client: Client) -> None:
    seconds, micros = map(int, client.value("TIME"))
    assert abs(seconds + micros / 1e6 - time.time()) < 5 and 0 <= micros < 1_000_000


# ---- values of a Python program among Redis's keys


def test_values_of_a_program_read_as_strings_where_they_can(client: Client) -> None:
    table = tsunami.keyspace(0)
    for key, value, seen in (
        ("text", "é", "é".encode()),
        ("int", -12, b"-12"),
        ("float", 1.5, b"1.5"),
        ("bytes", b"\xff", b"\xff"),
    ):
        table.insert((key, value))
        assert client("GET", key) == ("$", seen)
        assert client("STRLEN", key) == (":", len(seen))
        assert client("TYPE", key) == ("+", "string")
    table.insert(("huge", 10**5000))
    assert client("STRLEN", "huge") == (":", 5001)
    assert client("INCR", "int") == (":", -11)
    assert table.lookup("int") == [(b"int", b"-11")]
    assert client("INCRBYFLOAT", "float", "1") == ("$", b"2.5")


@pytest.mark.parametrize("value", [Atom("ok"), True, None, (1, 2), object()], ids=lambda value: type(value).__name__)
def test_other_values_of_a_program_are_of_the_wrong_type(client: Client, value: object) -> None:
    wrong = ("-", "WRONGTYPE Operation against a key holding the wrong kind of value")
    tsunami.keyspace(0).insert(("term", value))
    assert client("GET", "term") == wrong
    assert client("APPEND", "term", "x") == wrong
    assert client("SET", "term", "x", "GET") == wrong
    assert client.value("MGET", "term") == [None]
    assert client("TYPE", "term") == ("+", "term")
    assert client.value("OBJECT", "ENCODING", "term") == b"term"
    assert client("EXPIRE", "term", "100") == (":", 1)
    assert client("RENAME", "term", "other") == ("+", "OK")
    assert 90 < client.value("TTL", "other") <= 100
    assert client.value("SCAN", "0", "COUNT", "100", "TYPE", "term") == [b"0", [b"other"]]
    assert client("SET", "other", "x") == ("+", "OK")
    assert client("GET", "other") == ("$", b"x")


def test_keys_that_are_no_text_are_out_of_reach(client: Client) -> None:
    tsunami.keyspace(0).insert([(1, "int"), ((1, 2), "tuple"), ("text", "x")])
    assert client.value("KEYS", "*") == [b"text"]
    assert client.value("GET", "1") is None
    assert client.value("RANDOMKEY") == b"text"
    assert client.value("DBSIZE") == 3


# ---- many keys


def test_keys_and_scan_of_many_keys(server: Any, client: Client) -> None:
    """More than KEYS walks in one go: others are served meanwhile, and every key that stays is told once."""
    keys = [b"many:%d" % number for number in range(30_000)]
    for at in range(0, len(keys), 1000):
        client.value("MSET", *[word for key in keys[at : at + 1000] for word in (key, b"v")])
    assert sorted(client.value("KEYS", "*")) == sorted(keys)
    assert client.value("KEYS", "many:2999?") == client.value("KEYS", "many:2999[0-9]") != []
    with Client(server.port) as other:
        client.socket.sendall(b"KEYS many:*\r\n")
        changes = [("DEL", "many:1"), *[("SET", f"new:{number}", "v") for number in range(100)]]
        other.all(list(changes))
        found = {value for _, value in client.read()[1]}
        assert set(keys) - found <= {b"many:1"} and found <= set(keys)
    cursor, seen = b"0", list[bytes]()
    while True:
        cursor, some = client.value("SCAN", cursor, "COUNT", "777", "MATCH", "many:*")
        seen += some
        if cursor == b"0":
            break
    assert sorted(seen) == sorted(set(keys) - {b"many:1"})


# ---- the end


@pytest.mark.parametrize("words", [(), ("NOSAVE",), ("nosave", "now", "FORCE")])
def test_shutdown_answers_what_came_before_and_stops(words: tuple[str, ...]) -> None:
    with our_server() as server:
        port = server.port
        with Client(port) as client, Client(port) as other:
            assert other("PING") == ("+", "PONG")
            client.socket.sendall(encode(("SET", "last", "word")) + encode(("SHUTDOWN", *words)))
            assert client.file.read() == b"+OK\r\n"
            assert other.file.read() == b""

        def refused() -> bool:
            try:
                Client(port).close()
            except OSError:
                return True
            return False

        wait_until(refused, "nobody listens any more")
    assert tsunami.keyspace(0).lookup("last") == [(b"last", b"word")]


def test_shutdown_refuses_to_save_to_nowhere(client: Client) -> None:
    assert client("SHUTDOWN", "SAVE")[1].startswith("ERR there is nothing that could be saved to")
    assert client("PING") == ("+", "PONG")


# ---- mistakes of our own


def test_an_unforeseen_error_leaves_the_connection_open(
    server: Any, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    name, record = "echo", registry.commands["echo"]

    def broken(session: object, args: list[bytes]) -> object:
        raise ZeroDivisionError("not foreseen")

    server._app.plane.disable(name)
    object.__setattr__(record, "handler", (original := record.handler) and broken)
    try:
        with caplog.at_level(logging.CRITICAL + 1):
            assert client("ECHO", "x") == ("-", "ERR internal error: ZeroDivisionError")
    finally:
        object.__setattr__(record, "handler", original)
        server._app.plane.enable(name)
    assert client("ECHO", "x") == ("$", b"x")


# ---- the registry, told


def test_command_count_list_and_info_agree(client: Client) -> None:
    listed = {name.decode() for name in client.value("COMMAND", "LIST")}
    assert listed == {record.name for record in registry.everything()}
    assert client.value("COMMAND", "COUNT") == len(registry.commands) == len(client.value("COMMAND"))
    assert len(client.value("COMMAND", "INFO")) == len(registry.commands)


def test_command_list_filters(client: Client) -> None:
    def listed(*words: str) -> set[str]:
        return {name.decode() for name in client.value("COMMAND", "LIST", "FILTERBY", *words)}

    assert listed("PATTERN", "ets.lookup*") == {"ets.lookup", "ets.lookupelement"}
    assert listed("ACLCAT", "bitmap") == {
        "setbit", "getbit", "bitcount", "bitpos", "bitop", "bitfield", "bitfield_ro",
    }  # fmt: skip
    assert {"config|set", "shutdown"} <= listed("aclcat", "DANGEROUS")
    assert listed("MODULE", "any") == set()


def test_command_docs_tells_what_it_is_asked(client: Client) -> None:
    def names(*words: str) -> list[str]:
        found = client.value("COMMAND", "DOCS", *words)
        return [name.decode() for name in (found if isinstance(found, dict) else found[::2])]

    assert names("get", "nosuch", "ETS.LOOKUP") == ["get", "ets.lookup"]
    assert names() == list(registry.commands)


@pytest.mark.parametrize(
    "name", sorted(record.name for record in registry.commands.values() if "help" in record.subcommands)
)
def test_help_of_every_container(client: Client, name: str) -> None:
    lines = [line.decode() for line in client.value(name, "HELP")]
    assert lines[0] == f"{name.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    assert lines[-2:] == ["HELP", "    Show the subcommands of this command."]
    assert client(name, "nosuch") == ("-", f"ERR unknown subcommand 'nosuch'. Try {name.upper()} HELP.")


def test_hot_commands_are_marked_hot(server: Any) -> None:
    assert server._app.plane.hot_names() == {record.name for record in registry.everything() if record.hot}


def test_the_page_of_commands_is_current() -> None:
    shown = (Path(__file__).parent.parent / "docs" / "commands.md").read_text()
    assert shown == page(), "run make docs"
