"""The configuration file and the environment: what they say, which of them counts, what is wrong with them, and what
CONFIG REWRITE makes of the file.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _redis import Client, our_server, redis_server
from _server import IO_KINDS, tsunami_server
from _support import free_port, wait_until
from hypothesis import given
from hypothesis import strategies as st

import tsunami_server as embedded
from tsunami_server.__main__ import gathered
from tsunami_server.config import SETTINGS, Config, ConfigError
from tsunami_server.configfile import FileError, from_environment, read, rewritten, understood

OK = ("+", "OK")
HERE = Path("x.toml")
FAILED = "ERR CONFIG SET failed (possibly related to argument '{}') - "


def told(text: str) -> dict[str, str]:
    return understood(text, HERE).settings


@contextlib.contextmanager
def serving(path: Path, **settings: Any) -> Iterator[Client]:
    """A server that has read this file, and a client."""
    config, _ = gathered({"port": "0", **settings}, {}, str(path))
    server = embedded.embed.Background(config)
    with server, Client(server.port) as client:
        yield client


# ---- reading


def test_values_of_toml_are_settings() -> None:
    text = """
    port = 7000
    bind = ["127.0.0.1", "::1"]
    maxmemory = "2gb"
    protected-mode = false
    latency-tracking = true
    unixsocketperm = "700"
    lua_time_limit = 100
    client-output-buffer-limit = ["normal 0 0 0", "pubsub 1mb 1mb 5"]
    """
    assert told(text) == {
        "port": "7000",
        "bind": "127.0.0.1 ::1",
        "maxmemory": str(2 << 30),
        "protected-mode": "no",
        "latency-tracking": "yes",
        "unixsocketperm": "700",
        "busy-reply-threshold": "100",
        "client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 1048576 1048576 5",
    }


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("prot = 1", "x.toml: prot: there is no such setting; is port meant?"),
        ("maxmemry = 1", "x.toml: maxmemry: there is no such setting; is maxmemory meant?"),
        ("zzzzzz = 1", "x.toml: zzzzzz: there is no such setting"),
        ("port = 'abc'", "x.toml: port: argument couldn't be parsed into an integer"),
        ("port = 70000", "x.toml: port: argument must be between 0 and 65535 inclusive"),
        ("port = 1.5", "x.toml: port: argument couldn't be parsed into an integer"),
        ("port = 2026-01-01", "x.toml: port: 2026-01-01 is neither a string nor a number, a boolean or a list"),
        ("bind = [['a']]", "x.toml: bind: a list must be one of strings or numbers"),
        ("[tls]\nport = 1", "x.toml: tls: there is no such setting"),
        ("[port]\nx = 1", "x.toml: port: a setting is no table"),
        (
            "lua-time-limit = 1\nbusy-reply-threshold = 2",
            "x.toml: busy-reply-threshold: busy-reply-threshold is set twice",
        ),
        ("port 6379", "x.toml: this is no TOML: Expected '=' after a key in a key/value pair (at line 1, column 6)"),
        ("users = 1", "x.toml: users: this must be a table, [users], of rules by names"),
        ("[users]\na = 1", "x.toml: users.a: rules are a string, or a list of strings"),
    ],
)
def test_a_mistake_is_told_with_file_and_key(text: str, mistake: str) -> None:
    with pytest.raises(FileError) as caught:
        told(text)
    assert str(caught.value).startswith(mistake)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "latin").write_bytes(b"# \xe9")
    with pytest.raises(FileError, match="it is no UTF-8 \\(byte 2\\)"):
        read(tmp_path / "latin")


def test_variables_of_the_environment_are_settings() -> None:
    found, slips = from_environment(
        {
            "TSUNAMI_PORT": "7001",
            "TSUNAMI_MAXMEMORY_POLICY": "allkeys-lru",
            "TSUNAMI_OPT": "-O1",
            "TSUNAMI_REQUIREPAS": "x",
            "PORT": "1",
        }
    )
    assert found == {"port": "7001", "maxmemory-policy": "allkeys-lru"}
    assert slips == ["TSUNAMI_REQUIREPAS is no setting; is TSUNAMI_REQUIREPASS meant?"]
    with pytest.raises(ConfigError, match="TSUNAMI_PORT: argument couldn't be parsed"):
        from_environment({"TSUNAMI_PORT": "x"})


def test_a_flag_comes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text("maxclients = 1\ntimeout = 1\nhz = 11\n")
    config, _ = gathered({"maxclients": "3"}, {"TSUNAMI_MAXCLIENTS": "2", "TSUNAMI_TIMEOUT": "2"}, str(path))
    assert [config.text(name) for name in ("maxclients", "timeout", "hz", "port")] == ["3", "2", "11", "6379"]


# ---- a process


def run(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tsunami_server", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, **environ})


def test_check_config_says_what_is_wrong_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text("port = 7000\n[users]\nalice = 'on +get'\n")
    good = run(str(path), "--check-config", TSUNAMI_PROT="1")
    assert (good.returncode, good.stdout) == (0, f"the configuration is good: {path}\n")
    assert "TSUNAMI_PROT is no setting; is TSUNAMI_PORT meant?" in good.stderr
    cases = {
        "port = 7000\n[users]\nalice = 'on +nope'\n": "users.alice: Error in ACL SETUSER modifier '+nope'",
        "tls-port = 7001\n": "tls-cert-file: a server with a tls-port needs a certificate",
        "prot = 1\n": "prot: there is no such setting; is port meant?",
        "aclfile = '/nowhere'\n": "aclfile: Error loading ACLs, opening file '/nowhere': No such file",
        "aclfile = '/nowhere'\n[users]\na = 'on'": "aclfile: users are declared in the configuration file",
    }
    for text, mistake in cases.items():
        path.write_text(text)
        bad = run("--config", str(path), "--check-config")
        assert bad.returncode == 2 and mistake in bad.stderr, bad.stderr
    assert run("--check-config", "--port", "x").stderr.endswith("--port: argument couldn't be parsed into an integer\n")
    assert run("--check-config", "a.toml", "--config", "b.toml").returncode == 2


def test_a_server_takes_file_environment_and_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.toml"
    path.write_text("maxclients = 100\ntimeout = 100\nhz = 20\nrequirepass = 'pw'\n[users]\nalice = 'on >a ~* +@all'\n")
    monkeypatch.setenv("TSUNAMI_TIMEOUT", "200")
    monkeypatch.setenv("TSUNAMI_CONFIG", str(path))
    with tsunami_server("--hz", "30") as server, server.wire() as wire:
        assert str(wire("PING")) == "NOAUTH Authentication required."
        assert wire("AUTH", "alice", "a") == b"OK" and wire("AUTH", "pw") == b"OK"
        assert wire("CONFIG", "GET", "hz", "timeout", "maxclients") == [
            b"hz", b"30", b"timeout", b"200", b"maxclients", b"100",
        ]  # fmt: skip


# ---- CONFIG REWRITE


FILE = """\
# How we run it.
port = 7000  # behind the balancer

maxmemory = "1gb"   # all there is
bind = [
    "127.0.0.1",  # here
    "::1",
]
latency-tracking = true
hz = 10
lua-time-limit = 5000

[users]
# Who reads.
alice = "on sanitize-payload ~a* resetchannels -@all +get"
bob = 'on nopass ~b*'
"""


def test_rewrite_keeps_comments_order_and_spelling_of_what_has_not_changed() -> None:
    config = Config({**told(FILE), "timeout": "5", "requirepass": "007", "hz": "20", "latency-tracking": "no"})
    config.set_many({"lua-time-limit": "1"})
    users = {"alice": "on sanitize-payload ~a* resetchannels -@all +get", "carol": "off sanitize-payload"}
    assert (
        rewritten(FILE, HERE, config.all(), users)
        == """\
# How we run it.
port = 7000  # behind the balancer

maxmemory = "1gb"   # all there is
bind = [
    "127.0.0.1",  # here
    "::1",
]
latency-tracking = false
hz = 20
lua-time-limit = 1

# Added by CONFIG REWRITE
requirepass = "007"
timeout = 5

[users]
# Who reads.
alice = "on sanitize-payload ~a* resetchannels -@all +get"
carol = "off sanitize-payload"
"""
    )


def test_rewriting_what_has_not_changed_changes_nothing() -> None:
    read_users = understood(FILE, HERE).users
    assert rewritten(FILE, HERE, Config(told(FILE)).all(), read_users) == FILE
    assert rewritten("", HERE, Config().all(), {}) == ""


VALUES = {
    "port": st.integers(0, 65535).map(str),
    "requirepass": st.text(st.characters(blacklist_categories=["Cs"]), max_size=20),
    "protected-mode": st.sampled_from(["yes", "no"]),
    "tls-auth-clients": st.sampled_from(["yes", "no", "optional"]),
    "maxmemory": st.integers(0, 1 << 40).map(str),
    "bind": st.sampled_from(["", "127.0.0.1", "* -::1"]),
    "logfile": st.sampled_from(["", "a'b\"c\\d", "[users]", "# x"]),
    "slowlog-log-slower-than": st.integers(-1, 1 << 60).map(str),
}
SETS = st.fixed_dictionaries({}, optional=VALUES)
NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters=" "), min_size=1, max_size=8)
USERS = st.dictionaries(NAMES, st.sampled_from(["on", "on >x ~* +@all", "off (~a +get)"]), max_size=3)


@given(st.lists(st.tuples(SETS, USERS), min_size=2, max_size=4))
def test_what_was_rewritten_reads_as_it_was(steps: list[tuple[dict[str, str], dict[str, str]]]) -> None:
    text = ""
    for settings, users in steps:
        config = Config(settings)
        text = rewritten(text, HERE, config.all(), users)
        again = understood(text, HERE)
        assert Config(again.settings).all() == config.all()
        assert again.users == users


def test_rewrite_over_the_wire_and_a_start_from_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text("# mine\nhz = 10\n")
    path.chmod(0o640)
    with serving(path) as client:
        assert client("CONFIG", "SET", "hz", "20", "maxclients", "50", "notify-keyspace-events", "KEA") == OK
        assert client("ACL", "SETUSER", "alice", "on", ">pw", "~a*", "+get", "(~b* +set)") == OK
        assert client("CONFIG", "REWRITE") == OK
        assert f"config_file:{path}\r\n".encode() in client.value("INFO", "server")
    assert path.read_text().startswith("# mine\nhz = 20\n")
    assert ">pw" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.toml"]
    assert set(tomllib.loads(path.read_text())["users"]) == {"alice"}
    with serving(path) as client:
        assert client.value("CONFIG", "GET", "hz", "maxclients") == [b"hz", b"20", b"maxclients", b"50"]
        assert client("AUTH", "alice", "pw") == OK
        assert client("GET", "a1") == ("$", None)
        assert client("SET", "b1", "x") == OK
        assert client("GET", "b1") == ("-", "NOPERM No permissions to access a key")


def test_rewrite_without_a_file_or_into_nothing_is_an_error(tmp_path: Path) -> None:
    with our_server() as server, Client(server.port) as client:
        assert client("CONFIG", "REWRITE") == ("-", "ERR The server is running without a config file")
    home = tmp_path / "home"
    home.mkdir()
    path = home / "t.toml"
    path.write_text("hz = 10\n")
    with serving(path) as client:
        client("ACL", "SETUSER", b"\xff")
        assert client("CONFIG", "REWRITE")[1].startswith("ERR Rewriting config file: ")
        client("ACL", "DELUSER", b"\xff")
        path.write_text("hz = \n")
        assert "this is no TOML" in client("CONFIG", "REWRITE")[1]
        assert path.read_text() == "hz = \n"
        path.unlink()
        home.rmdir()
        assert client("CONFIG", "REWRITE") == ("-", "ERR Rewriting config file: No such file or directory")


def test_users_of_an_acl_file_are_not_written_to_the_configuration(tmp_path: Path) -> None:
    path, users = tmp_path / "t.toml", tmp_path / "u.acl"
    users.write_text("user alice on nopass +@all ~*\n")
    path.write_text(f"port = 0\naclfile = '{users}'\n")
    with serving(path) as client:
        assert client("CONFIG", "REWRITE") == OK
        assert path.read_text() == f"port = 0\naclfile = '{users}'\n"


# ---- CONFIG GET and SET beside Redis


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Client, Client]]:
    with redis_server() as port, our_server() as server, Client(port) as theirs, Client(server.port) as ours:
        yield theirs, ours


BOTH = sorted(
    set(SETTINGS)
    - {
        "port",
        "bind",
        "unixsocketperm",
        "io",
        "log-format",
        "client-output-mark",
        "client-query-mark",
        "shutdown-timeout",
    }
    - {
        "enable-debug-command",
        "databases",
        "set-max-listpack-entries",
        "set-max-listpack-value",
        "tls-protocols",
        "logfile",
    }
)


def test_defaults_are_those_of_redis(pair: tuple[Client, Client]) -> None:
    theirs, ours = pair
    differ = {}
    for name in BOTH:
        wanted, got = theirs.value("CONFIG", "GET", name), ours.value("CONFIG", "GET", name)
        if wanted and wanted != got:
            differ[name] = (wanted, got)
    assert differ == {}


@pytest.mark.parametrize(
    "value", ["-1", "0", "1", "64", "101", "1kb", "2mb", "x", "", "yes", "no", "5%", "1.5", "99999999999999999999"]
)
def test_values_are_taken_and_refused_as_by_redis(pair: tuple[Client, Client], value: str) -> None:
    theirs, ours = pair
    settable = [
        name for name in BOTH if SETTINGS[name].mutable and not name.startswith(("tls-", "maxmemory", "client-q"))
    ]
    for name in [*settable, "maxmemory-samples", "maxmemory-policy", "maxmemory-clients"]:
        if name == "maxmemory-clients" and len(value) > 19:
            continue  # Redis takes it, and shows 1%
        if name in (
            "maxclients",
            "proto-max-bulk-len",
            "timeout",
            "requirepass",
            "loglevel",
            "hz",
            "active-expire-effort",
            "repl-backlog-size",
        ):
            continue
        before = theirs("CONFIG", "GET", name)[1]
        if not before:
            continue
        wanted, got = theirs("CONFIG", "SET", name, value), ours("CONFIG", "SET", name, value)
        assert got == wanted, (name, value)
        assert ours("CONFIG", "GET", name) == theirs("CONFIG", "GET", name), (name, value)
        for client in pair:
            client("CONFIG", "SET", name, before[1][1])


@pytest.mark.parametrize(
    "words",
    [
        call.split()
        for call in """
    GET hash-max-*; GET *ziplist*; GET lua-time-limit; GET HZ maxclients; GET nope; GET; SET hz; SET hz 1 timeout; SET;
    SET nope 1; SET hz 1 hz 2; SET hash-max-ziplist-entries 100; GET hash-max-listpack-entries;
    SET hash-max-listpack-entries 512 timeout x; GET hash-max-listpack-entries; SET notify-keyspace-events KEA;
    GET notify-keyspace-events; SET notify-keyspace-events q; RESETSTAT x; NOPE""".split(";")
    ],
)
def test_config_answers_as_redis_does(pair: tuple[Client, Client], words: list[str]) -> None:
    theirs, ours = pair
    wanted, got = theirs("CONFIG", *words), ours("CONFIG", *words)
    if wanted[0] == "*":
        keys = {item[1] for item in wanted[1][::2]}
        pairs = list(zip(got[1][::2], got[1][1::2], strict=True))
        got_pairs = sorted((key, value) for key, value in pairs if key[1] in keys)
        assert got_pairs == sorted(zip(wanted[1][::2], wanted[1][1::2], strict=True))
    else:
        assert got == wanted


def test_the_same_setting_by_both_names_is_set_twice(pair: tuple[Client, Client]) -> None:
    reply = pair[1]("CONFIG", "SET", "hash-max-listpack-entries", "1", "hash-max-ziplist-entries", "2")
    assert reply[0] in "+-"  # Redis takes it, and so do we: the last one counts
    assert pair[1].value("CONFIG", "GET", "hash-max-listpack-entries") == [b"hash-max-listpack-entries", b"2"]
    pair[1]("CONFIG", "SET", "hash-max-listpack-entries", "512")


def test_config_set_is_all_or_nothing(pair: tuple[Client, Client]) -> None:
    ours = pair[1]
    before = ours.value("CONFIG", "GET", "*")
    assert ours("CONFIG", "SET", "timeout", "7", "hz", "7", "unixsocket", "1", "maxclients", "7")[0] == "-"
    assert ours("CONFIG", "SET", "timeout", "7", "loglevel", "loud")[0] == "-"
    assert ours.value("CONFIG", "GET", "*") == before


# ---- ports that change while the server runs


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5):
        return True
    return False


@pytest.mark.parametrize("io", IO_KINDS)
def test_the_port_can_change_and_who_is_connected_stays(io: str) -> None:
    with our_server(io=io) as server, Client(server.port) as client:
        old, new = server.port, free_port()
        assert client("CONFIG", "SET", "port", new) == OK
        wait_until(lambda: is_open(new), "the new port is open")
        with Client(new) as other:
            assert other("PING") == ("+", "PONG")
        assert not is_open(old)
        assert client("PING") == ("+", "PONG")
        assert server.port == new
        assert client("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2") == OK
        wait_until(lambda: is_open(new, "127.0.0.2"), "the second address is open")
        assert is_open(new)


@pytest.mark.parametrize("io", IO_KINDS)
def test_a_port_or_an_address_that_cannot_be_had_changes_nothing(io: str) -> None:
    with our_server(io=io) as server, Client(server.port) as client, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        before = client.value("CONFIG", "GET", "*")
        reply = client("CONFIG", "SET", "hz", "50", "port", taken.getsockname()[1], "maxclients", "77")
        assert reply == ("-", FAILED.format("port") + "Unable to listen on this port. Check server logs.")
        reply = client("CONFIG", "SET", "bind", "192.0.2.1")
        assert reply == ("-", FAILED.format("bind") + "Failed to bind to specified addresses.")
        assert client.value("CONFIG", "GET", "*") == before
        wait_until(lambda: is_open(server.port), "the old port is open")


def test_what_cannot_change_says_so_before_it_says_what_is_wrong() -> None:
    with our_server() as server, Client(server.port) as client:
        for name, value in (("daemonize", "yes"), ("databases", "x"), ("unixsocket", "/tmp/x"), ("io", "asyncio")):
            assert client("CONFIG", "SET", name, value) == ("-", FAILED.format(name) + "can't set immutable config")
        assert client("CONFIG", "SET", "databases", "16") == OK
