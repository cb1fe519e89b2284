"""redis-cli and redis-benchmark, run for real against our server."""

import csv
import json
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, our_server
from _support import peer, wait_until

pytestmark = pytest.mark.peer("redis-cli")
LIMIT = 30.0


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        client.value("FLUSHALL")
        yield client


def cli(server: Any, *words: str, text: str | bytes = b"", check: bool = True) -> str:
    """Run redis-cli; what it printed."""
    data = text.encode() if isinstance(text, str) else text
    done = subprocess.run(
        [peer("redis-cli"), "-p", str(server.port), *words], input=data, capture_output=True, timeout=LIMIT
    )
    output = done.stdout.decode("utf-8", "replace")
    assert not check or done.returncode == 0, (output, done.stderr)
    return output


# ---- one command, many commands


def test_one_command(server: Any, client: Client) -> None:
    assert cli(server, "SET", "greeting", "hello") == "OK\n"
    assert cli(server, "GET", "greeting") == "hello\n"
    assert cli(server, "--no-raw", "GET", "none") == "(nil)\n"
    assert cli(server, "--no-raw", "INCR", "n") == "(integer) 1\n"
    assert cli(server, "-n", "3", "SET", "three", "x") == "OK\n"
    assert client.value("DBSIZE") == 2


def test_commands_from_a_file(server: Any, client: Client) -> None:
    lines = [
        "ETS.NEW cli_users",
        "ETS.INSERT cli_users 1 alice 30",
        "ETS.INSERT cli_users TERM '{2, \"bob\", [a, b]}'",
        "ETS.LOOKUP cli_users 1",
        "ETS.LOOKUP cli_users 2",
        "ETS.UPDATECOUNTER cli_users 1 3 12",
        "ETS.DROP cli_users",
        "NOSUCH",
        "ECHO done",
    ]
    output = cli(server, "--no-raw", text="\n".join(lines) + "\n").splitlines()
    assert output == [
        '"cli_users"',
        "(integer) 1",
        "(integer) 1",
        "1) 1) (integer) 1",
        '   2) "alice"',
        "   3) (integer) 30",
        "1) 1) (integer) 2",
        '   2) "bob"',
        "   3) 1) a",
        "      2) b",
        "(integer) 42",
        "(integer) 1",
        "(error) ERR unknown command 'NOSUCH', with args beginning with: ",
        '"done"',
    ]


def test_an_error_is_an_exit_status_where_asked(server: Any, client: Client) -> None:
    client.value("SET", "text", "x")
    assert "not an integer" in cli(server, "INCR", "text", check=False)
    done = subprocess.run(
        [peer("redis-cli"), "-p", str(server.port), "-e", "INCR", "text"], capture_output=True, timeout=LIMIT
    )
    assert done.returncode == 1


def test_a_value_from_standard_input(server: Any, client: Client) -> None:
    data = bytes(range(256)) * 100
    assert cli(server, "-x", "SET", "blob", text=data) == "OK\n"
    assert client.value("GET", "blob") == data


def test_mass_insertion(server: Any, client: Client) -> None:
    data = b"".join(
        b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nv\r\n" % (len(key), key)
        for key in (b"pipe:%d" % number for number in range(20_000))
    )
    output = cli(server, "--pipe", text=data)
    assert "errors: 0, replies: 20000" in output
    assert client.value("DBSIZE") == 20_000


def test_mass_insertion_counts_errors(server: Any, client: Client) -> None:
    done = cli(server, "--pipe", text="SET a x\r\nINCR a\r\nSET b 1\r\n", check=False)
    assert "errors: 1, replies: 3" in done


# ---- RESP3, JSON


def test_resp3_and_json(server: Any, client: Client) -> None:
    client.value("ETS.NEW", "cli_json")
    client.value("ETS.INSERT", "cli_json", "TERM", '{1, #{name => "alice", tags => [true, nil, 1.5]}}')
    try:
        assert (
            cli(server, "-3", "--no-raw", "ETS.LOOKUPELEMENT", "cli_json", "1", "2").splitlines()[0]
            == '1# name => "alice"'
        )
        assert json.loads(cli(server, "--json", "ETS.LOOKUP", "cli_json", "1")) == [
            [1, {"name": "alice", "tags": [True, None, 1.5]}]
        ]
        assert json.loads(cli(server, "--json", "HELLO"))["server"] == "redis"
        assert json.loads(cli(server, "--json", "GET", "none")) is None
    finally:
        client.value("ETS.DROP", "cli_json")


def test_the_password_option() -> None:
    with our_server(requirepass="secret") as server:
        assert "NOAUTH" in cli(server, "PING", check=False)
        assert cli(server, "--no-auth-warning", "-a", "secret", "PING") == "PONG\n"
        assert cli(server, "--no-auth-warning", "--user", "default", "--pass", "secret", "-3", "PING") == "PONG\n"


# ---- its tools


def test_scan_finds_every_key_once(server: Any, client: Client) -> None:
    keys = {f"scan:{number}" for number in range(3000)}
    client.all([("SET", key, "v") for key in keys])
    client.value("SET", "other", "v")
    assert sorted(cli(server, "--scan", "--pattern", "scan:*").split()) == sorted(keys)
    assert sorted(cli(server, "--scan").split()) == sorted({*keys, "other"})


@pytest.mark.parametrize("option", ["--bigkeys", "--memkeys"])
def test_big_keys(server: Any, client: Client, option: str) -> None:
    client.all([("SET", f"k{number}", "v" * number) for number in range(1, 1000, 9)])
    client.value("SET", "large", "v" * 100_000)
    output = cli(server, option)
    assert re.search(r"""Biggest string found '"large"' has \d+ bytes""", output)
    assert "112 strings with" in output


OF_EACH_TYPE = {
    "list": ("RPUSH", "items"),
    "hash": ("HSET", "fields"),
    "set": ("SADD", "members"),
    "zset": ("ZADD", "members"),
    "stream": ("XADD", "entries"),
}


@pytest.mark.parametrize("option", ["--bigkeys", "--memkeys"])
def test_big_keys_of_every_type(server: Any, client: Client, option: str) -> None:
    names = {"list": "RPUSH", "hash": "HSET", "set": "SADD", "zset": "ZADD", "stream": "XADD"}
    known = {kind: unit for kind, (word, unit) in OF_EACH_TYPE.items() if client.value("COMMAND", "INFO", word)[0]}
    for kind in known:
        for name, n in (("small", 3), ("large", 700)):
            words = {
                "hash": [("HSET", f"{kind}:{name}", f"f{i}", "v") for i in range(n)],
                "zset": [("ZADD", f"{kind}:{name}", i, f"m{i}") for i in range(n)],
                "stream": [("XADD", f"{kind}:{name}", "*", "f", "v") for i in range(n)],
            }.get(kind, [(names[kind], f"{kind}:{name}", f"e{i}") for i in range(n)])
            client.all(words)
    output = cli(server, option)
    assert f"Sampled {2 * len(known)} keys in the keyspace!" in output
    for kind, unit in known.items():
        size = r"\d+ bytes" if option == "--memkeys" else f"700 {unit}"
        assert re.search(rf"""Biggest +{kind} found '"{kind}:large"' has {size}""", output), output


def test_hot_keys_by_their_counters(server: Any, client: Client) -> None:
    client.value("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    try:
        client.all([("SET", f"k{i}", "v") for i in range(50)])
        client.all([("GET", "k7")] * 3000)
        output = cli(server, "--hotkeys")
        assert re.search(r"""hot key found with counter: \d+\tkeyname: "k7\"""", output), output
    finally:
        client.value("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_latency_history_and_distribution(server: Any) -> None:
    words = [peer("redis-cli"), "-p", str(server.port)]
    assert "seconds range" in stopped([*words, "--latency-history", "-i", "1"], LIMIT, "seconds range")
    assert "from 1 to 9     milliseconds" in stopped([*words, "--latency-dist", "-i", "1"], LIMIT, "Q")


def test_an_lru_test_runs_within_maxmemory(server: Any, client: Client) -> None:
    used = int(re.search(r"used_memory:(\d+)", client.value("INFO", "memory").decode())[1])  # type: ignore[index]
    client.value("CONFIG", "SET", "maxmemory", used + 1_000_000, "maxmemory-policy", "allkeys-lru")
    try:
        text = stopped([peer("redis-cli"), "-p", str(server.port), "--lru-test", "10000"], LIMIT, "Hits:")
        assert re.search(r"\d+ Gets/sec \| Hits: \d+", text)
    finally:
        client.value("CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "noeviction")


def test_monitor_shows_commands(server: Any, client: Client) -> None:
    words = [peer("redis-cli"), "-p", str(server.port), "MONITOR"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"OK\n"
        client.value("SET", "k", "a b")
        assert process.stdout.readline().endswith(b'"SET" "k" "a b"\n')
        process.terminate()


def stopped(words: list[str], seconds: float, until: str) -> str:
    """Run at a terminal until it has printed this, then end it: not by SIGINT, which redis-cli catches."""
    ours, its = pty.openpty()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=its, stderr=its) as process:
        output, end = b"", time.monotonic() + seconds
        while until.encode() not in output and time.monotonic() < end:
            if select.select([ours], [], [], 0.1)[0]:
                output += os.read(ours, 65536)
        process.terminate()
        process.wait(10)
    os.close(ours)
    os.close(its)
    text = output.decode("utf-8", "replace")
    assert until in text, text
    return text


def test_stat_prints_figures(server: Any, client: Client) -> None:
    client.all([("SET", f"k{number}", "v") for number in range(123)])
    text = stopped([peer("redis-cli"), "-p", str(server.port), "--stat", "-i", "0.05"], LIMIT, "(+")
    line = next(line for line in text.splitlines() if line.startswith("123 "))
    keys, memory, clients, blocked, requests, *_ = line.split()
    assert (
        (keys, blocked) == ("123", "0")
        and int(clients) >= 2
        and int(requests) > 0
        and re.match(r"[\d.]+[BKMG]", memory)
    )


def test_latency_measures(server: Any) -> None:
    text = cli(server, "--latency", "-i", "1", "--raw")
    low, high, average, samples = text.split()[:4]
    assert int(low) <= float(average) <= int(high) and int(samples) > 10


# ---- at a terminal


class Terminal:
    """redis-cli at a terminal of its own."""

    def __init__(self, port: int) -> None:
        self.process, self.fd = pty.fork()
        if self.process == 0:
            os.environ.update(TERM="xterm", COLUMNS="200", HOME="/nonexistent")
            os.execvp("redis-cli", ["redis-cli", "-p", str(port)])
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.seen = ""

    def type(self, text: str) -> None:
        self.seen = ""
        os.write(self.fd, text.encode())

    def wait_for(self, text: str) -> None:
        def there() -> bool:
            while select.select([self.fd], [], [], 0.02)[0]:
                self.seen += os.read(self.fd, 65536).decode("utf-8", "replace")
            return text in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self.seen)

        try:
            wait_until(there, text, LIMIT)
        except AssertionError as error:
            raise AssertionError(f"{text!r} is not in {self.seen!r}") from error

    def close(self) -> None:
        os.close(self.fd)
        os.waitpid(self.process, 0)


@pytest.fixture
def terminal(server: Any) -> Iterator[Terminal]:
    peer("redis-cli")
    terminal = Terminal(server.port)
    try:
        terminal.wait_for(f"127.0.0.1:{server.port}>")
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("ETS.LOOKUP ", "table [AUTO|TERM|RAW|ETF] key"),
        ("ets.new ", "name [TYPE SET|ORDERED_SET|BAG|DUPLICATE_BAG] [KEYPOS keypos] [STRIPES stripes]"),
        (
            "set ",
            "key value [NX|XX] [GET] "
            "[EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
        ),
        ("client pause ", "timeout [WRITE|ALL]"),
        ("mset ", "key value [key value ...]"),
    ],
)
def test_hints_are_those_of_our_registry(terminal: Terminal, typed: str, hint: str) -> None:
    terminal.type(typed)
    terminal.wait_for(hint)


def test_completion_knows_our_commands(terminal: Terminal) -> None:
    terminal.type("ETS.LOOKUPE\t")
    terminal.wait_for("ETS.LOOKUPELEMENT")


def test_help_tells_what_our_registry_tells(terminal: Terminal) -> None:
    terminal.type("help ETS.TAKE\r")
    terminal.wait_for("summary: Delete the rows of a key, and tell them.")
    terminal.type("help @table\r")
    terminal.wait_for("ETS.FIRSTLOOKUP table")


# ---- redis-benchmark


@pytest.mark.parametrize("pipeline", [1, 16])
@pytest.mark.parametrize("options", [[], ["-3"]], ids=["RESP2", "RESP3"])
def test_benchmark_runs(server: Any, client: Client, pipeline: int, options: list[str]) -> None:
    words = [
        peer("redis-benchmark"),
        "-p",
        str(server.port),
        "-t",
        "ping,set,get,incr,mset",
        "-n",
        "4000",
        "-c",
        "10",
        "-P",
        str(pipeline),
        "-r",
        "1000",
        "--csv",
        *options,
    ]
    done = subprocess.run(words, capture_output=True, timeout=120, text=True)
    assert done.returncode == 0 and "ERR" not in done.stdout + done.stderr, done.stderr
    figures = {row[0]: float(row[1]) for row in csv.reader(done.stdout.splitlines()[1:])}
    assert list(figures) == ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]
    assert all(per_second > 0 for per_second in figures.values())
    assert 0 < client.value("DBSIZE") <= 3000
