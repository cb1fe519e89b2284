"""INFO beside redis-server's: the same sections and fields, in forms that clients read; and the figures are real."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, redis_server
from _support import wait_until

import tsunami

# Fields of Redis 7.0 whose notion Tsunami has not, and that nobody was seen to read.
NOT_TOLD = {
    "gcc_version", "atomicvar_api", "process_supervised", "server_name",
    "current_cow_peak", "current_cow_size", "current_cow_size_age", "current_fork_perc", "current_save_keys_processed",
    "current_save_keys_total", "rdb_last_bgsave_time_sec", "rdb_current_bgsave_time_sec", "rdb_saves",
    "rdb_last_cow_size", "rdb_last_load_keys_expired", "rdb_last_load_keys_loaded", "aof_rewrite_scheduled",
    "aof_last_rewrite_time_sec", "aof_current_rewrite_time_sec", "aof_rewrites", "aof_rewrites_consecutive_failures",
    "aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size",
    "used_cpu_sys_main_thread", "used_cpu_user_main_thread",
}  # fmt: skip


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        client.value("FLUSHALL")
        client.value("CONFIG", "RESETSTAT")
        yield client


def sections(client: Client, *words: str) -> dict[str, dict[str, str]]:
    text = client.value("INFO", *words).decode()
    found: dict[str, dict[str, str]] = {}
    for part in text.split("\r\n\r\n"):
        title, *lines = part.strip("\r\n").split("\r\n")
        assert re.fullmatch(r"# \w+", title), part
        found[title[2:]] = dict(line.split(":", 1) for line in lines)
    return found


def test_sections_and_fields_are_those_of_redis(client: Client) -> None:
    client.value("SET", "k", "v", "EX", 100)
    ours = sections(client, "everything")
    with redis_server() as port, Client(port) as redis:
        redis.value("SET", "k", "v", "EX", 100)
        theirs = sections(redis, "everything")
        assert [name for name in ours if name != "Tsunami"] == list(theirs)
        for name, fields in theirs.items():
            if name not in ("Commandstats", "Latencystats", "Errorstats"):
                assert set(fields) - set(ours[name]) - NOT_TOLD == set(), name
        numbers = {
            (name, field) for name, fields in theirs.items() for field, value in fields.items() if value.isdigit()
        }
        for name, field in numbers:
            if field in ours.get(name, {}):
                assert re.fullmatch(r"-?\d+", ours[name][field]), (field, ours[name][field])
        for word in ("server", "memory", "all", "default", "nothing"):
            shared = [name for name in sections_or_none(client, word) if name != "Tsunami"]
            assert shared == sections_or_none(redis, word), word


def sections_or_none(client: Client, word: str) -> list[str]:
    return re.findall(r"^# (\w+)\r$", client.value("INFO", word).decode(), re.MULTILINE)


def test_figures_of_the_keyspace(client: Client) -> None:
    client.all([("SET", f"k{i}", "v") for i in range(10)])
    client.all([("SET", f"t{i}", "v", "PX", 100_000) for i in range(5)])
    client.value("SELECT", 7)
    client.value("SET", "seven", "v")
    found = sections(client, "keyspace")["Keyspace"]
    match = re.fullmatch(r"keys=15,expires=5,avg_ttl=(\d+)", found["db0"])
    assert match and 90_000 < int(match[1]) <= 100_000
    assert found["db7"] == "keys=1,expires=0,avg_ttl=0" and set(found) == {"db0", "db7"}


def test_figures_of_commands_hits_and_bytes(client: Client) -> None:
    client.value("SET", "k", "v")
    client.value("GET", "k")
    client.value("GET", "none")
    client("INCR", "k")
    found = sections(client, "stats")["Stats"]
    assert (found["keyspace_hits"], found["keyspace_misses"]) == ("1", "1")
    assert int(found["total_commands_processed"]) >= 4 and found["total_error_replies"] == "1"
    assert int(found["total_net_input_bytes"]) > 100 and int(found["total_net_output_bytes"]) > 20


def test_rates_are_measured(client: Client) -> None:
    def rates() -> dict[str, str]:
        client.all([("GET", "k")] * 2000)
        return sections(client, "stats")["Stats"]

    wait_until(lambda: int(rates()["instantaneous_ops_per_sec"]) > 1000, "commands are seen in the rate")
    wait_until(lambda: float(rates()["instantaneous_input_kbps"]) > 10, "and bytes in theirs")


def test_clients_are_counted(server: Any, client: Client) -> None:
    before = int(sections(client, "clients")["Clients"]["connected_clients"])
    with Client(server.port) as other:
        other.value("PING")
        assert int(sections(client, "clients")["Clients"]["connected_clients"]) == before + 1
        other.socket.sendall(b"WAIT 1 2000\r\n")
        wait_until(lambda: sections(client, "clients")["Clients"]["blocked_clients"] == "1", "it waits")


def test_the_section_of_our_own(client: Client) -> None:
    table = tsunami.new("info_table")
    table.insert([(i,) for i in range(12)])
    try:
        found = sections(client, "tsunami")["Tsunami"]
        assert int(found["named_tables"]) >= 1 and int(found["table_rows"]) >= 12
        assert int(found["memory_in_use"]) <= int(found["memory_held"])
        assert found["tsunami_version"] == tsunami.__version__
        hot = int(found["hot_calls"])
        client.value("SET", "k", "v")
        assert int(sections(client, "tsunami")["Tsunami"]["hot_calls"]) == hot + 1
    finally:
        table.delete()


def test_the_peak_of_memory_stays(client: Client) -> None:
    client.all([("SET", f"k{i}", "x" * 1000) for i in range(1000)])
    most = int(sections(client, "memory")["Memory"]["used_memory"])
    client.value("FLUSHALL")
    found = sections(client, "memory")["Memory"]
    assert int(found["used_memory"]) < most - 900_000 and int(found["used_memory_peak"]) >= most
    assert 0 < float(found["used_memory_peak_perc"].rstrip("%")) < 90


def test_scripts_are_told(client: Client) -> None:
    client.value("SCRIPT", "FLUSH")
    client.value("EVAL", "return 'some text of a script'", 0)
    client.value("EVAL", "return 2", 0)
    found = sections(client, "memory")["Memory"]
    assert found["number_of_cached_scripts"] == "2" and int(found["used_memory_lua"]) > 10_000
    assert int(found["used_memory_scripts_eval"]) > 0
    client.value("SCRIPT", "FLUSH")
    assert sections(client, "memory")["Memory"]["number_of_cached_scripts"] == "0"
