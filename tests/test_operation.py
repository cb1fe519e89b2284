"""How the server lives with its surroundings: logs as text and as JSON, a log file that is moved away, systemd's
sockets and news, SIGHUP.
"""

import contextlib
import datetime
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _certs import Authority
from _server import Wire
from _support import free_port, wait_until
from test_tls import peer_name

from tsunami_server.systemd import Notifier, take_sockets

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and Unix sockets")


@contextlib.contextmanager
def process(*words: str, fds: tuple[int, ...] = (), **environ: str) -> Iterator["subprocess.Popen[str]"]:
    """A tsunami-server with a pipe for its log. With `fds` they become 3, 4, ..., as systemd passes sockets."""
    command = [sys.executable, "-m", "tsunami_server", *words]
    if fds:
        # The parking numbers are above those that the shell redirects to.
        redirections = " ".join(f"{3 + at}<&{fd}" for at, fd in enumerate(fds))
        script = f'export LISTEN_PID=$$ LISTEN_FDS={len(fds)}; exec "$@" {redirections}'
        command = ["bash", "-c", script, "bash", *command]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, pass_fds=fds, env={**os.environ, **environ})
    try:
        yield running
    finally:
        running.terminate()
        running.communicate(timeout=20)
        assert running.returncode == 0


def lines(running: "subprocess.Popen[str]", until: str) -> list[str]:
    """The log up to a line that holds this text."""
    assert running.stderr is not None
    found = []
    for line in running.stderr:
        found.append(line.rstrip("\n"))
        if until in line:
            return found
    raise AssertionError(f"{until!r} was not logged: {found}")


def serves(port: int) -> bool:
    try:
        with Wire(("127.0.0.1", port), timeout=5) as wire:
            return wire("PING") == b"PONG"
    except OSError:
        return False


# ---- logs


def test_a_log_of_json_has_an_object_in_each_line() -> None:
    port = free_port()
    with process("--port", str(port), "--log-format", "json") as running:
        (ready,) = [json.loads(line) for line in lines(running, "ready") if "ready" in line]
        assert ready["message"] == f"ready to accept connections on 127.0.0.1:{port}"
        assert ready["level"] == "INFO" and ready["address"] == f"127.0.0.1:{port}"
        assert abs(datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(ready["time"])).seconds < 60
        running.terminate()
        rest = running.communicate(timeout=20)[0] or ""
        assert all(json.loads(line) for line in rest.splitlines())


def test_a_log_of_text_has_time_and_level() -> None:
    with process("--port", str(free_port())) as running:
        line = lines(running, "ready")[-1]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO ready to accept connections on \S+", line)


def test_an_error_is_logged_with_its_trace_in_one_line(tmp_path: Path) -> None:
    program = "import logging, tsunami_server.logs as logs; logs.configure('json', '', 'notice')\n"
    program += "try: 1 / 0\nexcept Exception: logging.getLogger('tsunami').exception('it \\N{bullet} failed')"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30).stderr
    (line,) = shown.splitlines()
    assert json.loads(line)["message"] == "it \N{BULLET} failed"
    assert "ZeroDivisionError" in json.loads(line)["exc_info"]


def test_a_log_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path, port = tmp_path / "server.log", free_port()
    with process("--port", str(port), "--logfile", str(path)) as running:
        wait_until(lambda: path.exists() and "ready" in path.read_text(), "the log says ready")
        path.rename(tmp_path / "old.log")
        running.send_signal(signal.SIGHUP)
        wait_until(lambda: path.exists() and "reloaded" in path.read_text(), "a new log")
        assert "ready" not in path.read_text()


def test_a_log_file_that_cannot_be_opened_is_a_wrong_setting() -> None:
    words = [sys.executable, "-m", "tsunami_server", "--logfile", "/nowhere/x.log"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert ended.stderr.endswith("--logfile: /nowhere/x.log: No such file or directory\n")


# ---- systemd


def test_sockets_that_systemd_has_opened_are_served(tmp_path: Path) -> None:
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix, contextlib.ExitStack() as stack:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        parked = tuple(os.dup2(sock.fileno(), 40 + at) for at, sock in enumerate((tcp, unix)))
        stack.callback(lambda: [os.close(fd) for fd in parked])
        with process("--port", str(free_port()), fds=parked) as running:
            told = lines(running, str(tmp_path / "s"))
            port = tcp.getsockname()[1]
            assert told[-2].endswith(f"ready to accept connections on 127.0.0.1:{port}")
            assert serves(port)
            with Wire(str(tmp_path / "s")) as wire:
                assert wire("SET", "k", "v") == b"OK"
                assert wire("CONFIG", "GET", "port")
            assert len(told) == 2  # nothing else is listened on


def test_sockets_for_another_process_are_left_alone() -> None:
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x"}
    assert take_sockets(environ, os.getpid()) == ([], [])
    assert environ == {}
    assert take_sockets({}, os.getpid()) == ([], [])


def test_systemd_hears_when_the_server_is_ready_reloads_and_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as news:
        news.bind(str(tmp_path / "notify"))
        news.settimeout(20)
        port = free_port()
        with process("--port", str(port), NOTIFY_SOCKET=str(tmp_path / "notify")) as running:
            ready, status = news.recv(4096).splitlines()
            assert ready == b"READY=1" and status.startswith(f"STATUS=serving on 127.0.0.1:{port}".encode())
            assert serves(port)
            running.send_signal(signal.SIGHUP)
            reloading = news.recv(4096).splitlines()
            assert reloading[0] == b"RELOADING=1" and reloading[1].startswith(b"MONOTONIC_USEC=")
            assert news.recv(4096) == b"READY=1"
        assert news.recv(4096) == b"STOPPING=1"


def test_news_that_nobody_takes_do_no_harm(tmp_path: Path) -> None:
    Notifier({})("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")})("READY=1")
    environ = {"NOTIFY_SOCKET": "@abstract"}
    assert Notifier(environ).address == "\0abstract" and environ == {}


# ---- SIGHUP


def test_sighup_reads_users_and_certificates_again_and_keeps_them_if_there_is_a_mistake(tmp_path: Path) -> None:
    authority, users = Authority(tmp_path, "ca"), tmp_path / "users.acl"
    first, second = authority.pair("first"), authority.pair("second")
    shown = authority.pair("shown")
    shutil.copy(first.cert, shown.cert)
    shutil.copy(first.key, shown.key)
    users.write_text("user default on nopass +@all ~* &*\n")
    port, tls_port = free_port(), free_port()
    words = ["--port", port, "--tls-port", tls_port, "--tls-cert-file", shown.cert, "--tls-key-file", shown.key]
    words += ["--tls-auth-clients", "no", "--aclfile", users]

    class Server:
        def __init__(self) -> None:
            self.tls_port = tls_port

    with process(*map(str, words)) as running, contextlib.ExitStack() as stack:
        lines(running, "(TLS)")
        wire = stack.enter_context(Wire(("127.0.0.1", port)))
        assert wire("ACL", "USERS") == [b"default"]
        assert peer_name(Server(), {"ca": authority.cert}) == "first"
        shutil.copy(second.cert, shown.cert)
        shutil.copy(second.key, shown.key)
        users.write_text("user default on nopass +@all ~* &*\nuser alice on nopass +get\n")
        running.send_signal(signal.SIGHUP)
        lines(running, "reloaded")
        assert wire("ACL", "USERS") == [b"alice", b"default"]
        assert peer_name(Server(), {"ca": authority.cert}) == "second"
        users.write_text("user default on nopass +@all ~* &*\nuser bob on +nope\n")
        running.send_signal(signal.SIGHUP)
        assert ":2: Error in applying operation '+nope'" in lines(running, "not reloaded")[-1]
        assert wire("ACL", "USERS") == [b"alice", b"default"]
