"""Sockets: what the native selector and asyncio's transports do with bytes, slow readers, and clients that go away.

Every test runs over both transports, against a server process of each kind, except where it is about one of them.
No test sleeps and hopes: each waits for a condition.
"""

import asyncio
import contextlib
import os
import random
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from _server import IO_KINDS, Process, Wire, clients_of, request, tsunami_server
from _support import effort, peer, wait_until
from hypothesis import given
from hypothesis import strategies as st

from tsunami import _wire, keyspace

KB, MB = 1024, 1024 * 1024
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, or needs epoll")


@pytest.fixture(scope="module", params=IO_KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Process]:
    with tsunami_server("--io", request.param) as process:
        yield process


@pytest.fixture
def wire(server: Process) -> Iterator[Wire]:
    with server.wire() as client:
        assert client("FLUSHALL") == b"OK"
        yield client


# ---- bytes in any pieces


def test_a_request_in_single_bytes_is_answered_when_it_is_whole(wire: Wire) -> None:
    data = request("SET", "key", "v\r\nalue")
    for i in range(len(data)):
        wire.send(data[i : i + 1])
    assert wire.reply() == b"OK"
    assert wire("GET", "key") == b"v\r\nalue"


def test_half_a_request_harms_nobody_and_can_be_finished_later(server: Process, wire: Wire) -> None:
    with server.wire() as half:
        half.send(request("SET", "half", "x" * 100)[:-50])
        assert wire("SET", "other", "1") == b"OK"
        assert wire("GET", "half") is None
        half.send(request("SET", "half", "x" * 100)[-50:])
        assert half.reply() == b"OK"
    assert wire("GET", "half") == b"x" * 100


def test_inline_commands_and_arrays_may_follow_each_other(wire: Wire) -> None:
    wire.send(b"PING\r\n" + request("ECHO", "a") + b'\r\nECHO "b c"\n' + request("PING"))
    assert wire.replies(4) == [b"PONG", b"a", b"b c", b"PONG"]


def test_hot_and_cold_commands_answer_in_order(wire: Wire) -> None:
    """CLIENT ID is carried out in Python, PING is not."""
    rounds = 500
    wire.send(
        (request("CLIENT", "ID") + request("PING") + request("ECHO", "x") + request("CLIENT", "GETNAME")) * rounds
    )
    replies = wire.replies(4 * rounds)
    assert replies == [replies[0], b"PONG", b"x", None] * rounds


def test_a_cold_command_that_takes_its_time_holds_up_its_own_connection_only(server: Process, wire: Wire) -> None:
    with server.wire() as sleeper:
        sleeper.send(request("DEBUG", "SLEEP", "0.3") + request("SET", "after", "1"))
        began = time.monotonic()
        assert wire("GET", "after") is None
        assert time.monotonic() - began < 0.25
        assert sleeper.replies(2) == [b"OK", b"OK"]
    assert wire("GET", "after") == b"1"


@given(
    commands=st.lists(
        st.lists(st.binary(max_size=40), min_size=2, max_size=2).map(lambda words: (b"SET", *words))
        | st.binary(max_size=40).map(lambda key: (b"GET", key))
        | st.binary(max_size=5000).map(lambda text: (b"ECHO", text))
        | st.just((b"CLIENT", b"GETNAME")),
        max_size=30,
    ),
    seed=st.integers(0, 1 << 32),
)
def test_a_pipeline_means_the_same_however_it_is_cut(
    server: Process, commands: list[tuple[bytes, ...]], seed: int
) -> None:
    data = b"".join(request(*words) for words in commands)
    model: dict[bytes, bytes] = {}
    expected: list[object] = []
    for words in commands:
        if words[0] == b"SET":
            model[words[1]] = words[2]
        answer = {b"SET": b"OK", b"GET": model.get(words[1]), b"ECHO": words[1], b"CLIENT": None}[words[0]]
        expected.append(answer)
    dice = random.Random(seed)
    with server.wire() as client:
        assert client("FLUSHALL") == b"OK"
        while data:
            n = dice.choice([1, 2, 7, 100, 5000, 1 << 20])
            client.send(data[:n])
            data = data[n:]
        assert client.replies(len(expected)) == expected


# ---- much of everything


def test_bulks_of_many_megabytes_come_and_go(wire: Wire) -> None:
    value = os.urandom(MB) * 24
    assert wire("SET", "big", value) == b"OK"
    assert wire("STRLEN", "big") == len(value)
    assert wire("GET", "big") == value
    assert wire("APPEND", "big", b"!") == len(value) + 1
    assert wire("PING") == b"PONG"


def test_a_pipeline_a_hundred_thousand_deep_is_answered_in_full(wire: Wire) -> None:
    """All of it is sent before the first reply is read, as redis-py does it: replies pile up above the soft mark."""
    n = 100_000
    wire.send(request("SET", "key", "x" * 100))
    wire.send(b"".join(request("GET", "key") if i % 2 else request("ECHO", i) for i in range(n)))
    assert wire.reply() == b"OK"
    for i in range(n):
        assert wire.reply() == (b"x" * 100 if i % 2 else str(i).encode())
    assert wire("PING") == b"PONG"


def test_many_connections_are_served_side_by_side(server: Process) -> None:
    wires = [server.wire() for _ in range(200)]
    for round_number in range(3):
        for i, client in enumerate(wires):
            client.send(request("SET", f"k{i}", f"{i}.{round_number}") + request("GET", f"k{i}"))
        for i, client in enumerate(wires):
            assert client.replies(2) == [b"OK", f"{i}.{round_number}".encode()]
    for client in wires:
        client.close()


@linux_only
def test_idle_connections_have_no_buffers(server: Process) -> None:
    wires = [server.wire() for _ in range(300)]
    for client in wires:
        assert client("ECHO", "x" * 50_000) == b"x" * 50_000
    info = wires[0]("CLIENT", "LIST")
    assert isinstance(info, bytes)
    for line in info.decode().splitlines()[1:]:
        fields = dict(part.split("=", 1) for part in line.split())
        assert (fields["qbuf"], fields["omem"]) == ("0", "0")
    for client in wires:
        client.close()


# ---- slow readers


@linux_only
@pytest.mark.parametrize("io", IO_KINDS)
def test_a_reader_that_does_not_read_costs_bounded_memory_and_gets_everything_in_the_end(io: str) -> None:
    n, size = 3000, 100 * KB  # 300 MB of replies for 100 kB of requests
    with tsunami_server("--io", io) as server, server.wire() as other, server.wire(receive_buffer=16 * KB) as slow:
        value = b"x" * size
        assert other("SET", "key", value) == b"OK"
        before = server.memory()
        slow.send(request("GET", "key") * n)
        wait_until(lambda: output_of(other, slow) > MB, "the output stands above the soft mark")
        for _ in range(100):  # while it does, others are served
            assert other("PING") == b"PONG"
        assert output_of(other, slow) < 4 * MB
        assert server.memory() - before < 64 * MB
        for _ in range(n):
            assert slow.reply() == value
        assert slow("PING") == b"PONG"


@linux_only
@pytest.mark.parametrize("io", IO_KINDS)
def test_what_a_slow_reader_sends_meanwhile_is_answered_in_the_end(io: str) -> None:
    """Its requests wait behind unread output, while others use the buffers that all share."""
    with tsunami_server("--io", io) as server, server.wire() as other, server.wire(receive_buffer=16 * KB) as slow:
        value = b"x" * (16 * MB)
        assert other("SET", "key", value) == b"OK"
        slow.send(request("GET", "key"))
        wait_until(lambda: output_of(other, slow) > MB, "the output stands above the soft mark")
        for i in range(200):
            slow.send(request("ECHO", f"slow {i}")[: None if i % 2 else 9])
            slow.send(b"" if i % 2 else request("ECHO", f"slow {i}")[9:])
            assert other("ECHO", f"other {i}" * 100) == f"other {i}".encode() * 100
        assert slow.reply() == value
        assert slow.replies(200) == [f"slow {i}".encode() for i in range(200)]


def output_of(asking: Wire, asked: Wire) -> int:
    """Unsent output of a connection, as CLIENT LIST shows it."""
    listing = asking("CLIENT", "LIST")
    assert isinstance(listing, bytes)
    host, port = asked.sock.getsockname()[:2]
    for line in listing.decode().splitlines():
        fields = dict(part.split("=", 1) for part in line.split())
        if fields["addr"] == f"{host}:{port}":
            return int(fields["omem"])
    raise AssertionError("the connection is gone")


# ---- clients that go away


def test_a_client_that_goes_in_mid_command_harms_nobody(server: Process, wire: Wire) -> None:
    before = clients_of(wire)
    for cut in (1, 5, 20, 60):
        gone = server.wire()
        gone.send(request("SET", "never", "x" * 100)[:cut])
        gone.reset()
    wait_until(lambda: clients_of(wire) == before, "the server notices")
    assert wire("GET", "never") is None


def test_a_client_that_goes_in_mid_pipeline_has_done_a_prefix_of_it(server: Process, wire: Wire) -> None:
    """What was carried out is a prefix of the pipeline: nothing is left out, nothing comes twice."""
    before, n = clients_of(wire), 20_000
    gone = server.wire()
    gone.send(b"".join(request("APPEND", "log", f"{i}.") for i in range(n)))
    gone.reset()
    wait_until(lambda: clients_of(wire) == before, "the server notices")
    log = wire("GET", "log") or b""
    assert isinstance(log, bytes)
    done = log.count(b".")
    assert log == b"".join(b"%d." % i for i in range(done))


def test_a_client_that_goes_in_mid_reply_harms_nobody(server: Process, wire: Wire) -> None:
    before = clients_of(wire)
    assert wire("SET", "big", b"x" * (8 * MB)) == b"OK"
    for _ in range(10):
        gone = server.wire()
        gone.send(request("GET", "big"))
        gone.received(1000)
        gone.reset()
    wait_until(lambda: clients_of(wire) == before, "the server notices")
    assert wire("STRLEN", "big") == 8 * MB


def test_a_client_that_goes_while_a_cold_command_runs_is_forgotten(server: Process, wire: Wire) -> None:
    before = clients_of(wire)
    gone = server.wire()
    gone.send(request("DEBUG", "SLEEP", "0.2") + request("SET", "late", "1"))
    gone.reset()
    wait_until(lambda: clients_of(wire) == before, "the server notices")
    assert wire("PING") == b"PONG"


def test_what_was_sent_before_the_client_closed_its_side_is_answered(server: Process) -> None:
    """printf ... | nc: the requests, then the end of the stream, and only then are replies read."""
    with server.wire() as client:
        client.send(request("SET", "k", "v") + request("CLIENT", "GETNAME") + request("GET", "k"))
        client.sock.shutdown(socket.SHUT_WR)
        assert client.rest() == b"+OK\r\n$-1\r\n$1\r\nv\r\n"


def test_quit_answers_and_closes_and_nothing_behind_it_runs(server: Process, wire: Wire) -> None:
    with server.wire() as client:
        client.send(request("SET", "q", "1") + request("QUIT") + request("SET", "q", "2"))
        assert client.rest() == b"+OK\r\n+OK\r\n"
    assert wire("GET", "q") == b"1"


def test_a_protocol_error_is_told_and_ends_only_this_connection(server: Process, wire: Wire) -> None:
    with server.wire() as client:
        client.send(request("SET", "p", "1") + b"*1\r\n!bad\r\n" + request("SET", "p", "2"))
        assert client.rest() == b"+OK\r\n-ERR Protocol error: expected '$', got '!'\r\n"
    assert wire("GET", "p") == b"1"


def test_a_killed_client_is_closed(server: Process, wire: Wire) -> None:
    with server.wire() as victim:
        number = victim("CLIENT", "ID")
        assert isinstance(number, int)
        assert wire("CLIENT", "KILL", "ID", number) == 1
        assert victim.rest() == b""
    assert wire("CLIENT", "KILL", "ID", number) == 0


def test_clients_that_come_and_go_at_random_leave_nothing_behind(server: Process, wire: Wire) -> None:
    before = clients_of(wire)
    dice = random.Random(7)
    data = request("SET", "r", "1") + request("CLIENT", "ID") + request("ECHO", "x" * 3000)
    for _ in range(effort(300)):
        client = server.wire()
        client.send((data * 3)[: dice.randrange(3 * len(data))])
        if dice.random() < 0.5:
            client.reset()
        else:
            client.close()
    wait_until(lambda: clients_of(wire) == before, "all are forgotten")


# ---- stopping


@pytest.mark.parametrize("io", IO_KINDS)
def test_sigterm_loses_nothing_that_was_acknowledged_and_answers_what_has_arrived(io: str) -> None:
    with tsunami_server("--io", io) as server:
        with server.wire() as early:
            n = 20_000
            early.send(b"".join(request("SET", f"k{i}", i) for i in range(n)))
            assert early.replies(1) == [b"OK"]  # it has begun
            server.terminate()
            assert count_to_the_end(early) == n - 1
        assert server.wait() == 0
        assert "stopped" in server.log[-1]


@pytest.mark.parametrize("io", IO_KINDS)
def test_sigterm_under_load_keeps_the_acknowledged_prefix_of_every_client(io: str) -> None:
    """Clients that go on and on: each gets replies up to some request, all of them carried out, then the end."""
    with tsunami_server("--io", io) as server:
        wires = [server.wire() for _ in range(8)]
        acknowledged = [0] * len(wires)

        def load(k: int) -> None:
            try:
                while True:
                    assert wires[k]("INCR", f"c{k}") == acknowledged[k] + 1
                    acknowledged[k] += 1
            except (EOFError, ConnectionResetError, BrokenPipeError):
                pass

        threads = [threading.Thread(target=load, args=(k,)) for k in range(len(wires))]
        for thread in threads:
            thread.start()
        wait_until(lambda: min(acknowledged) > 100, "all are at work")
        began = time.monotonic()
        server.terminate()
        assert server.wait() == 0
        assert time.monotonic() - began < 5
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        for client in wires:
            client.close()


def count_to_the_end(wire: Wire) -> int:
    """How many OKs still come until the server closes."""
    count = 0
    with contextlib.suppress(EOFError):
        while wire.reply() == b"OK":
            count += 1
    return count


@pytest.mark.parametrize("io", IO_KINDS)
def test_sigterm_waits_for_an_answer_under_way_and_takes_no_new_connections(io: str) -> None:
    with tsunami_server("--io", io) as server:
        with server.wire() as client:
            client.send(request("DEBUG", "SLEEP", "0.5") + request("ECHO", "done"))
            with server.wire() as other:
                wait_until(lambda: b"cmd=debug" in as_bytes(other("CLIENT", "LIST")), "it sleeps")
            server.terminate()
            wait_until(lambda: refuses(server.address), "nobody listens any more")
            assert client.rest() == b"+OK\r\n$4\r\ndone\r\n"
        assert server.wait() == 0


def as_bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 1).close()
        return False
    except ConnectionRefusedError:
        return True


@pytest.mark.parametrize("io", IO_KINDS)
def test_a_reader_that_never_reads_delays_the_stop_by_the_grace_period_only(io: str) -> None:
    with tsunami_server("--io", io, "--shutdown-timeout", "1") as server:
        with server.wire(receive_buffer=16 * KB) as stuck, server.wire() as other:
            assert other("SET", "key", b"x" * MB) == b"OK"
            stuck.send(request("GET", "key") * 50)
            wait_until(lambda: output_of(other, stuck) > 0, "it is stuck")
            began = time.monotonic()
            server.terminate()
            assert server.wait() == 0
            assert 0.9 < time.monotonic() - began < 10


# ---- Unix sockets, ports, command line


@pytest.mark.parametrize("io", IO_KINDS)
def test_a_unix_socket_is_served_beside_tcp_and_removed_at_the_end(io: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "s")
        with tsunami_server("--io", io, "--unixsocket", path, "--unixsocketperm", "700") as server:
            assert os.stat(path).st_mode & 0o777 == 0o700
            with Wire(path) as unix, server.wire() as tcp:
                assert unix("SET", "u", "1") == b"OK"
                assert tcp("GET", "u") == b"1"
        assert not os.path.exists(path)


def run_server(*flags: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tsunami_server", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_port_in_use_is_exit_status_1_and_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_server("--port", str(port))
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ended.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--port", "x"], "--port: argument couldn't be parsed into an integer"),
        (["--port", "70000"], "--port: argument must be between 0 and 65535 inclusive"),
        (["--io", "magic"], "--io: argument(s) must be one of the following: auto, native, asyncio"),
        (["--no-such-flag", "1"], "unrecognized arguments: --no-such-flag"),
        (["missing.toml"], "missing.toml: No such file or directory"),
        (["one.toml", "two.toml"], "unrecognized arguments: two.toml"),
    ],
)
def test_a_wrong_command_line_is_exit_status_2_and_says_so(flags: list[str], says: str) -> None:
    ended = run_server(*flags)
    assert (ended.returncode, says in ended.stderr) == (2, True), ended.stderr


def test_version_and_help_are_told() -> None:
    assert run_server("--version").stdout.startswith("tsunami-server ")
    assert "--maxclients VALUE" in run_server("--help").stdout


def test_values_may_be_several_words_and_begin_with_a_hyphen() -> None:
    with tsunami_server(
        "--bind", "127.0.0.1", "-::1", "--save", "", "--log-level", "warning", "--loglevel=notice"
    ) as server:
        with server.wire() as wire:
            assert wire("CONFIG", "GET", "bind") == [b"bind", b"127.0.0.1 -::1"]


# ---- the selector as asyncio's


class Served:
    """A loop with a native selector in this process, for tests that look inside."""

    def __init__(self) -> None:
        self.plane = _wire.Plane([keyspace(db) for db in range(16)])
        self.selector = _wire.NativeSelector(self.plane)

    def adopt(self) -> tuple[Wire, _wire.Conn, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        conn = _wire.Conn(self.plane)
        self.selector.adopt(ours.fileno(), conn)
        wire = Wire.__new__(Wire)
        wire.sock = theirs
        return wire, conn, ours


@pytest.fixture
def served() -> Iterator[Served]:
    result = Served()
    yield result
    result.selector.close()


@linux_only
def test_select_reports_asyncios_descriptors_and_serves_ours(served: Served) -> None:
    wire, _, ours = served.adopt()
    a, b = socket.socketpair()
    key = served.selector.register(a, selectors.EVENT_READ, "data")
    assert served.selector.get_key(a) == key and served.selector.get_map()[a] == key
    wire.send(b"PING\r\n")
    assert served.selector.select(0.01) == []
    assert wire.received(7) == b"+PONG\r\n"
    b.send(b"x")
    wire.send(b"ECHO hi\r\n")
    assert served.selector.select(5) == [(key, selectors.EVENT_READ)]
    served.selector.select(0)
    assert wire.received(8) == b"$2\r\nhi\r\n"
    key = served.selector.modify(a, selectors.EVENT_READ | selectors.EVENT_WRITE, "more")
    assert served.selector.select(5) == [(key, selectors.EVENT_READ | selectors.EVENT_WRITE)]
    assert served.selector.unregister(a) == key
    with pytest.raises(KeyError):
        served.selector.unregister(a)
    for sock in (a, b, ours):
        sock.close()
    wire.close()


@linux_only
def test_select_hands_over_what_needs_python_through_its_signal(served: Served) -> None:
    wire, conn, ours = served.adopt()
    fd = ours.fileno()
    signal_key = served.selector.register(served.selector.signal, selectors.EVENT_READ, None)
    wire.send(b"PING\r\nNOSUCH a\r\nPING\r\n")
    assert served.selector.select(5) == [(signal_key, selectors.EVENT_READ)]
    assert served.selector.take() == [(fd, _wire.COLD)]
    assert served.selector.take() == []
    assert conn.command() == [b"NOSUCH", b"a"]
    assert served.selector.select(0) == []  # it waits; nothing spins
    conn.write(_wire.Error("ERR x"))
    conn.done()
    served.selector.resume(fd)
    assert served.selector.select(0.01) == []
    assert wire.received(22) == b"+PONG\r\n-ERR x\r\n+PONG\r\n"
    wire.close()
    assert served.selector.select(5) == [(signal_key, selectors.EVENT_READ)]
    assert served.selector.take() == [(fd, _wire.CLOSING)]
    served.selector.drop(fd)
    with pytest.raises(KeyError):
        served.selector.drop(fd)
    ours.close()


@linux_only
def test_a_dropped_client_is_out_of_every_list(served: Served) -> None:
    """Drop while it is queued, and while it has been handed over."""
    wire, conn, ours = served.adopt()
    served.selector.resume(ours.fileno())
    served.selector.drop(ours.fileno())
    assert served.selector.select(0) == []
    served.selector.adopt(ours.fileno(), conn)
    wire.send(b"NOSUCH\r\n")
    served.selector.select(0.05)
    served.selector.drop(ours.fileno())
    assert served.selector.take() == []
    ours.close()
    wire.close()


@linux_only
def test_a_selector_refuses_what_it_cannot_serve(served: Served) -> None:
    wire, _, ours = served.adopt()
    with pytest.raises(KeyError):
        served.selector.adopt(ours.fileno(), _wire.Conn(served.plane))
    with pytest.raises(KeyError):
        served.selector.register(ours, selectors.EVENT_READ)
    with pytest.raises(ValueError, match="another plane"):
        served.selector.adopt(wire.sock.fileno(), _wire.Conn(Served().plane))
    with pytest.raises(ValueError, match="Invalid events"):
        served.selector.register(wire.sock, 0)
    with pytest.raises(OSError, match="Operation not permitted"):
        with tempfile.TemporaryFile() as file:
            served.selector.register(file, selectors.EVENT_READ)
    ours.close()
    wire.close()


@linux_only
def test_timeouts_are_kept_to_less_than_a_millisecond(served: Served) -> None:
    took = []
    for _ in range(30):
        began = time.perf_counter()
        assert served.selector.select(0.0005) == []
        took.append(time.perf_counter() - began)
    assert min(took) >= 0.0005
    assert sorted(took)[len(took) // 2] < 0.0015


@linux_only
def test_the_loop_runs_what_asyncio_runs() -> None:
    """Streams, subprocesses, signals of other threads, executors and timers, on a loop with our selector."""
    plane = _wire.Plane([keyspace(db) for db in range(16)])
    loop = asyncio.SelectorEventLoop(_wire.NativeSelector(plane))

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def everything() -> list[object]:
        results: list[object] = []
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(b"hello\n")
        results.append(await reader.readline())
        writer.close()
        server.close()
        results.append(await asyncio.get_running_loop().run_in_executor(None, lambda: "executor"))
        waiting = asyncio.get_running_loop().create_future()
        threading.Timer(0.01, lambda: loop.call_soon_threadsafe(waiting.set_result, "thread")).start()
        results.append(await asyncio.wait_for(waiting, 10))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        return results

    try:
        assert loop.run_until_complete(everything()) == [b"hello\n", "executor", "thread"]
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


# ---- coroutines under load

WINDOW_S = 0.5
WINDOWS = 10


def waited_for_a_processor() -> float:
    """Milliseconds for which this thread was ready to run and other processes had the processors."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e6


@linux_only
def test_a_ticker_of_one_millisecond_is_on_time_under_full_load() -> None:
    """Fifty connections pipeline 64 deep at a loop on which a coroutine wants to run each millisecond: p99 is below 2.

    What other processes take away is subtracted: it is not our doing. One of several windows must keep the bound.
    """
    windows = lateness_under_load()
    for window in windows:
        late, own = sorted(each[0] for each in window), sorted(each[1] for each in window)
        at = int(len(window) * 0.99)
        print(f"{len(window)} ticks, p99 {late[at]:.2f} ms late, our part {own[at]:.2f}; median {late[at // 2]:.2f} ms")
    assert min(map(len, windows)) > 10
    assert p99_own(windows[-1]) < 2


def p99_own(window: list[tuple[float, float]]) -> float:
    return sorted(own for _, own in window)[int(len(window) * 0.99)]


def lateness_under_load() -> list[list[tuple[float, float]]]:
    """By how many ms each tick was late, and how much of it by our doing: in windows, until one keeps the bound."""
    from tsunami_server.app import App
    from tsunami_server.config import Config

    app = App(Config({"port": "0", "bind": "127.0.0.1"}))
    loop = app.make_loop()
    windows: list[list[tuple[float, float]]] = []

    async def window() -> list[tuple[float, float]]:
        found = []
        end = loop.time() + WINDOW_S
        waited = waited_for_a_processor()
        while (began := loop.time()) < end:
            await asyncio.sleep(0.001)
            late = (loop.time() - began - 0.001) * 1000
            before, waited = waited, waited_for_a_processor()
            found.append((late, max(0.0, late - (waited - before))))
        return found

    async def run() -> None:
        await app.start()
        load = ["-p", str(app.tcp_port), "-P", "64", "-c", "50", "-n", "100000000", "-t", "set,get"]
        process = await asyncio.create_subprocess_exec(
            peer("redis-benchmark"), *load, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while len(windows) < WINDOWS:
                before = app.plane.counters()["commands"]
                late = await window()
                if app.plane.counters()["commands"] - before < 10_000:
                    continue  # the load has not begun
                windows.append(late)
                if p99_own(late) < 2:
                    return
        finally:
            process.kill()
            await process.wait()
            await app.stop()

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    return windows


# ---- real clients


@pytest.mark.parametrize("pipeline", ["1", "16"])
def test_redis_benchmark_runs(server: Process, pipeline: str) -> None:
    command = [peer("redis-benchmark"), "-p", str(server.port), "-n", "5000", "-P", pipeline, "-q"]
    ended = subprocess.run([*command, "-t", "ping,set,get,incr,mset"], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0
    for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"):
        assert f"{name}: " in ended.stdout.replace("\r", "\n"), ended.stdout
    assert "rror" not in ended.stdout + ended.stderr


# ---- which names are hot


@linux_only
def test_command_names_are_known_in_any_case_and_only_as_they_are(served: Served) -> None:
    for wrong in ("ge", "gett", "ets\x0elookup", "ETS.LOOKUPP", "G\x05T", "get\0", "\x07et", "x" * 24, "x" * 25, ""):
        conn = _wire.Conn(served.plane)
        conn.feed(request(wrong, "a"))
        assert conn.run() == _wire.COLD and conn.command()[0] == wrong.encode()
    conn = _wire.Conn(served.plane)
    conn.feed(request("pInG") + request("GeT", "no such key"))
    assert (conn.run(), conn.take_output()) == (_wire.NEED_DATA, b"+PONG\r\n$-1\r\n")
    with pytest.raises(KeyError):
        served.plane.disable("no such command")
    served.plane.disable("GET")
    conn.feed(request("get", "a"))
    assert conn.run() == _wire.COLD


# ---- slow commands, statistics


def test_a_slow_hot_command_gets_into_the_slowlog(wire: Wire) -> None:
    assert wire("CONFIG", "SET", "slowlog-log-slower-than", "1000") == b"OK"
    try:
        assert wire("SLOWLOG", "RESET") == b"OK"
        keys = [f"k{i}" for i in range(100_000)]  # 10 ns for each would be enough
        assert wire("EXISTS", *keys) == 0
        wait_until(lambda: took_us(wire, b"EXISTS", b"k0") >= 1000, "it is noted")
    finally:
        assert wire("CONFIG", "SET", "slowlog-log-slower-than", "10000") == b"OK"


def took_us(wire: Wire, *start: bytes) -> int:
    """Microseconds of the SLOWLOG's entry of a command that starts so; -1 if there is none."""
    entries = wire("SLOWLOG", "GET", "-1")
    assert isinstance(entries, list)
    return max((int(entry[2]) for entry in entries if entry[3][: len(start)] == [*start]), default=-1)


def test_below_a_millisecond_every_command_is_timed_by_itself(wire: Wire) -> None:
    assert wire("CONFIG", "SET", "slowlog-log-slower-than", "0") == b"OK"
    try:
        assert wire("SLOWLOG", "RESET") == b"OK"
        assert wire("GET", "a") is None
        entries = wire("SLOWLOG", "GET")
        assert isinstance(entries, list)
        assert [entry[3] for entry in entries] == [[b"GET", b"a"], [b"SLOWLOG", b"RESET"]]
    finally:
        assert wire("CONFIG", "SET", "slowlog-log-slower-than", "10000") == b"OK"


def test_hot_commands_hits_misses_and_bytes_are_counted() -> None:
    plane = _wire.Plane([keyspace(db) for db in range(16)])
    conn = _wire.Conn(plane)
    sent = request("SET", "counted", "1") + request("GET", "counted") * 3 + request("GET", "no such key") * 2
    conn.feed(sent + request("DEL", "counted"))
    assert conn.run() == _wire.NEED_DATA
    replies = conn.take_output()
    counters = plane.counters()
    assert counters["commands"] == 7 and counters["cold_commands"] == 0
    assert (counters["keyspace_hits"], counters["keyspace_misses"]) == (3, 2)
    assert (counters["bytes_in"], counters["bytes_out"]) == (len(sent) + len(request("DEL", "counted")), len(replies))
    assert {name: calls for name, (calls, _) in plane.command_stats().items()} == {"set": 1, "get": 5, "del": 1}
    plane.reset_stats()
    assert not any(plane.counters().values()) and plane.command_stats() == {}
