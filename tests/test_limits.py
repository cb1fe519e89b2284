"""Each limit of the server, at its edge: one below is served, one above is refused, and others never notice.

What is a limit of the parser alone is tested in test_resp.py as well, without a server.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from _server import IO_KINDS, Process, Wire, clients_of, request, tsunami_server
from _support import wait_until

import tsunami

MB = 1024 * 1024


@pytest.fixture(scope="module", params=IO_KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Process]:
    with tsunami_server(
        "--io", request.param, "--proto-max-bulk-len", "1mb", "--client-query-buffer-limit", "2mb"
    ) as process:
        yield process


@pytest.fixture
def wire(server: Process) -> Iterator[Wire]:
    with server.wire() as client:
        assert client("FLUSHALL") == b"OK"
        yield client
        assert client("PING") == b"PONG"  # whatever happened to others


def setting(wire: Wire, name: str) -> bytes:
    answer = wire("CONFIG", "GET", name)
    assert isinstance(answer, list) and isinstance(answer[1], bytes)
    return answer[1]


# ---- of one request


def test_a_bulk_of_proto_max_bulk_len_is_taken_and_one_byte_more_is_not(server: Process, wire: Wire) -> None:
    assert wire("SET", "k", b"x" * MB) == b"OK"
    with server.wire() as other:
        other.send(request("SET", "k", b"x" * (MB + 1))[:1000])
        assert other.rest() == b"-ERR Protocol error: invalid bulk length\r\n"


def test_a_request_longer_than_the_query_mark_is_received_all_the_same(wire: Wire) -> None:
    """The mark holds back what comes behind unread replies, and nothing else."""
    try:
        assert wire("CONFIG", "SET", "client-query-mark", "16384") == b"OK"
        assert wire("ECHO", b"x" * MB) == b"x" * MB
        wire.send(request("SET", "k", b"x" * 30_000) * 50 + request("CLIENT", "GETNAME") + request("PING") * 5000)
        assert wire.replies(50 + 1 + 5000) == [b"OK"] * 50 + [None] + [b"PONG"] * 5000
    finally:
        assert wire("CONFIG", "SET", "client-query-mark", "64mb") == b"OK"


def test_proto_max_bulk_len_can_be_changed_while_the_server_runs(wire: Wire) -> None:
    try:
        assert wire("CONFIG", "SET", "proto-max-bulk-len", "2mb") == b"OK"
        assert wire("ECHO", b"x" * (MB + 1)) == b"x" * (MB + 1)
    finally:
        assert wire("CONFIG", "SET", "proto-max-bulk-len", "1mb") == b"OK"


def test_a_string_does_not_grow_beyond_proto_max_bulk_len(wire: Wire) -> None:
    assert wire("SET", "k", b"x" * MB) == b"OK"
    assert "string exceeds maximum allowed size" in str(wire("APPEND", "k", "y"))
    assert wire("STRLEN", "k") == MB


def test_an_unfinished_request_beyond_the_query_limit_ends_its_connection(server: Process, wire: Wire) -> None:
    with server.wire() as other:
        other.send(b"*4\r\n" + b"$900000\r\n%b\r\n" % (b"x" * 900_000) * 2)
        other.send(b"$900000\r\n")
        with pytest.raises(OSError):
            for _ in range(100):
                other.send(b"x" * 100_000)
    with server.wire() as other:  # many requests of the same length in all are no such thing
        other.send(request("SET", "k", "x" * 1000) * 4000)
        assert other.replies(4000) == [b"OK"] * 4000


def test_an_inline_command_has_at_most_64_kilobytes(server: Process, wire: Wire) -> None:
    with server.wire() as other:
        word = "x" * (64 * 1024 - 5)
        other.send(f"ECHO {word}\n".encode())
        assert other.reply() == word.encode()
        other.send(b"x" * (64 * 1024 + 1))
        assert other.rest() == b"-ERR Protocol error: too big inline request\r\n"


def test_a_request_has_at_most_a_million_arguments(server: Process, wire: Wire) -> None:
    with server.wire() as other:
        other.send(b"*1048577\r\n")
        assert other.rest() == b"-ERR Protocol error: invalid multibulk length\r\n"


# ---- of one connection


@pytest.mark.parametrize("io", IO_KINDS)
def test_a_reader_above_the_hard_output_limit_is_closed(io: str) -> None:
    with tsunami_server("--io", io, "--client-output-buffer-limit", "normal", "3mb", "0", "0") as server:
        with server.wire() as wire, server.wire(receive_buffer=16384) as slow:
            assert wire("SET", "k", b"x" * (16 * MB)) == b"OK"
            slow.send(request("GET", "k"))
            wait_until(lambda: clients_of(wire) == 1, "the slow reader is closed")
            assert wire("PING") == b"PONG"


@pytest.mark.parametrize("io", IO_KINDS)
def test_a_reader_above_the_soft_output_limit_for_its_seconds_is_closed(io: str) -> None:
    with tsunami_server("--io", io, "--client-output-buffer-limit", "normal", "0", "100kb", "1") as server:
        with server.wire() as wire, server.wire(receive_buffer=16384) as slow:
            assert wire("SET", "k", b"x" * (16 * MB)) == b"OK"
            began = time.monotonic()
            slow.send(request("GET", "k"))
            wait_until(lambda: clients_of(wire) == 1, "the slow reader is closed")
            assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize("io", IO_KINDS)
def test_an_idle_connection_is_closed_after_timeout_and_a_busy_one_is_not(io: str) -> None:
    with tsunami_server("--io", io, "--timeout", "1") as server:
        with server.wire() as wire, server.wire() as idle, server.wire() as sleeper:
            began = time.monotonic()
            sleeper.send(request("DEBUG", "SLEEP", "2"))
            wait_until(lambda: wire("PING") == b"PONG" and idle.is_closed(), "the idle connection is closed")
            assert 0.9 < time.monotonic() - began < 10
            assert wire("PING") == b"PONG"
            assert sleeper.reply() == b"OK"


# ---- of all connections


@pytest.mark.parametrize("io", IO_KINDS)
def test_connections_beyond_maxclients_are_told_so_until_one_leaves(io: str) -> None:
    with tsunami_server("--io", io, "--maxclients", "3") as server:
        wires = [server.wire() for _ in range(3)]
        for wire in wires:
            assert wire("PING") == b"PONG"
        with server.wire() as refused:
            assert refused.rest() == b"-ERR max number of clients reached\r\n"
        wires.pop().close()
        wait_until(lambda: clients_of(wires[0]) == 2, "the server notices")
        with server.wire() as welcome:
            assert welcome("PING") == b"PONG"
        assert wires[0]("CONFIG", "SET", "maxclients", "100") == b"OK"
        more = [server.wire() for _ in range(20)]
        for wire in more:
            assert wire("PING") == b"PONG"
        for wire in [*wires, *more]:
            wire.close()


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
@pytest.mark.parametrize("io", IO_KINDS)
def test_a_server_out_of_descriptors_goes_on_and_accepts_again_later(io: str) -> None:
    import resource

    with tsunami_server("--io", io) as server, server.wire() as first:
        assert first("PING") == b"PONG"
        used = len(os.listdir(f"/proc/{server.pid}/fd"))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 3, used + 100))
        crowd = [server.wire() for _ in range(10)]  # the kernel lets them in; the server has no descriptors for all
        served = [wire for wire in crowd[:2] if wire("PING") == b"PONG"]
        assert len(served) == 2
        assert first("PING") == b"PONG"
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 100, used + 100))
        for wire in crowd:
            assert wire("PING") == b"PONG"
            wire.close()


def test_maxclients_shrinks_to_what_the_system_allows_and_says_so() -> None:
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); "
    code += "from tsunami_server.__main__ import main; sys.exit(main(['--port', '0', '--bind', '127.0.0.1']))"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "maxclients is 68: the limit of open files, 100, allows no more" in line
    finally:
        process.terminate()
        process.communicate(timeout=20)


# ---- who may come in


@pytest.mark.parametrize("io", IO_KINDS)
def test_strangers_may_do_nothing_but_authenticate(io: str) -> None:
    with tsunami_server("--io", io, "--requirepass", "secret") as server:
        with server.wire() as wire:
            assert str(wire("GET", "k")) == "NOAUTH Authentication required."
            assert str(wire("PING")) == "NOAUTH Authentication required."
            assert str(wire("AUTH", "wrong")).startswith("WRONGPASS ")
            assert str(wire("GET", "k")) == "NOAUTH Authentication required."
            assert wire("AUTH", "secret") == b"OK"
            assert wire("SET", "k", "v") == b"OK"
            with server.wire() as other:
                other.send(b"*1\r\n$16385\r\n")
                assert other.rest() == b"-ERR Protocol error: unauthenticated bulk length\r\n"
            assert wire("CONFIG", "SET", "requirepass", "") == b"OK"
        with server.wire() as wire:
            assert wire("GET", "k") == b"v"


def own_address() -> str:
    """An address of this machine that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            address = str(probe.getsockname()[0])
        except OSError:
            address = "127.0.0.1"
    if address.startswith("127."):
        pytest.skip("this machine has no address but the loopback's")
    return address


@pytest.mark.parametrize("io", IO_KINDS)
def test_without_a_password_other_machines_are_refused(io: str) -> None:
    address = own_address()
    with tsunami_server("--io", io, "--bind", "127.0.0.1", address) as server:
        outside = (address, server.port)
        with Wire(outside) as refused:
            assert refused.rest().startswith(b"-DENIED Tsunami is running in protected mode")
        with server.wire() as wire:
            assert wire("CONFIG", "SET", "protected-mode", "no") == b"OK"
            with Wire(outside) as welcome:
                assert welcome("PING") == b"PONG"
            assert wire("CONFIG", "SET", "protected-mode", "yes", "requirepass", "x") == b"OK"
        with Wire(outside) as stranger:
            assert str(stranger("PING")) == "NOAUTH Authentication required."


def test_by_default_only_the_loopback_is_listened_on(server: Process) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((own_address(), server.port), 5)


# ---- settings


def test_settings_that_cannot_change_say_so_and_change_nothing(wire: Wire) -> None:
    before = setting(wire, "maxclients")
    answer = str(wire("CONFIG", "SET", "maxclients", "7", "tcp-backlog", "1"))
    assert answer == "ERR CONFIG SET failed (possibly related to argument 'tcp-backlog') - can't set immutable config"
    assert setting(wire, "maxclients") == before


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("proto-max-bulk-len", "x", "argument must be a memory value"),
        ("proto-max-bulk-len", "1", f"argument must be between {MB} and {(1 << 30) - 1} inclusive"),
        ("maxclients", "many", "argument couldn't be parsed into an integer"),
        ("maxclients", "0", "argument must be between 1 and 4294967295 inclusive"),
        ("protected-mode", "maybe", "argument must be 'yes' or 'no'"),
        ("loglevel", "loud", "argument(s) must be one of the following: debug, verbose, notice, warning"),
        ("client-output-buffer-limit", "normal 1", "Wrong number of arguments in buffer limit configuration."),
        ("client-output-buffer-limit", "odd 0 0 0", "Invalid client class specified in buffer limit configuration."),
        (
            "client-output-buffer-limit",
            "normal x 0 0",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
    ],
)
def test_a_setting_of_a_wrong_form_is_refused_with_redis_words(wire: Wire, name: str, value: str, reason: str) -> None:
    answer = str(wire("CONFIG", "SET", name, value))
    assert answer == f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"


@pytest.mark.parametrize(
    ("written", "shown"), [("64kb", 65536), ("64k", 64000), ("1mb", MB), ("1M", 10**6), ("5000b", 5000)]
)
def test_memory_values_have_redis_units(wire: Wire, written: str, shown: int) -> None:
    before = setting(wire, "client-output-mark")
    try:
        assert wire("CONFIG", "SET", "client-output-mark", written) == b"OK"
        assert setting(wire, "client-output-mark") == str(shown).encode()
    finally:
        wire("CONFIG", "SET", "client-output-mark", before)


# ---- deadlines


@pytest.mark.parametrize("io", IO_KINDS)
def test_rows_are_erased_promptly_though_nobody_asks_for_them(io: str) -> None:
    """20,000 rows that end at about the same time are gone soon after, and INFO counts them."""
    n = 20_000
    with tsunami_server("--io", io) as server, server.wire() as wire:
        wire.send(b"".join(request("SET", f"k{i}", i, "PX", 300 + i % 100) for i in range(n)))
        assert wire.replies(n) == [b"OK"] * n
        wait_until(lambda: wire("DBSIZE") == 0, "all are erased")
        info = wire("INFO", "stats")
        assert isinstance(info, bytes) and b"expired_keys:%d\r\n" % n in info


@pytest.mark.parametrize("io", IO_KINDS)
def test_an_expired_key_is_never_seen(io: str) -> None:
    with tsunami_server("--io", io) as server, server.wire() as wire:
        for _ in range(50):
            wire.send(request("SET", "k", "v", "PX", 2) + request("PTTL", "k"))
            assert wire.reply() == b"OK"
            left = wire.reply()
            assert isinstance(left, int)
            deadline = time.monotonic() + 0.003
            while time.monotonic() < deadline:
                pass
            assert wire("GET", "k") is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("io", IO_KINDS)
def test_memory_shrinks_after_an_enormous_request(io: str) -> None:
    with tsunami_server("--io", io) as server, server.wire() as wire:
        assert wire("PING") == b"PONG"
        before = server.memory()
        value = b"x" * (100 * MB)
        assert wire("SET", "k", value) == b"OK"
        assert wire("GET", "k") == value
        assert wire("ETS.NEW", "t") == b"t"
        assert wire("ETS.INSERT", "t", "1", value) == 1
        assert wire("ETS.LOOKUP", "t", "1") == [[1, value]]
        assert wire("DEL", "k") == wire("ETS.DROP", "t") == 1
        wait_until(lambda: server.memory() - before < 20 * MB, "it is given back")


def test_no_string_is_allowed_that_is_longer_than_a_term_can_be(wire: Wire) -> None:
    """Python's strings can be longer than the engine's terms: whatever the setting allows must be storable."""
    longest = (1 << 30) - 1
    assert "argument must be between" in str(wire("CONFIG", "SET", "proto-max-bulk-len", str(longest + 1)))
    with pytest.raises(tsunami.TermTooLarge):
        tsunami.Table().insert((b"k", bytes(longest + 1)))
