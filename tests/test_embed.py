"""A server inside this process: two doors, one house."""

import asyncio
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import uvloop
from _server import IO_KINDS, Wire, request
from _support import wait_until

import tsunami
import tsunami_server
from tsunami import _wire
from tsunami_server import ConfigError


@pytest.fixture(autouse=True)
def empty_keyspace() -> Iterator[None]:
    tsunami.keyspace(0).delete_all_objects()
    yield
    tsunami.keyspace(0).delete_all_objects()


@pytest.fixture(params=IO_KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[tsunami_server.Background]:
    with tsunami_server.background(port=0, io=request.param) as background:
        yield background


@pytest.fixture
def wire(server: tsunami_server.Background) -> Iterator[Wire]:
    with Wire(server.address) as client:
        yield client


# ---- one house


def test_each_door_sees_what_went_in_by_the_other_in_the_next_statement(wire: Wire) -> None:
    users = tsunami.new("embed_users")
    try:
        for i in range(200):
            assert wire("ETS.INSERT", "embed_users", i, f"name {i}") == 1
            assert users.lookup(i) == [(i, f"name {i}")]
            users.insert((i, "changed", 1.5))
            assert wire("ETS.LOOKUP", "embed_users", i) == [[i, b"changed", b"1.5"]]
            assert wire("ETS.DELETE", "embed_users", i) == 1
            assert i not in users
    finally:
        users.delete()


def test_a_table_made_at_either_door_is_found_at_the_other(wire: Wire) -> None:
    assert wire("ETS.NEW", "embed_made", "TYPE", "bag") == b"embed_made"
    made = tsunami.whereis("embed_made")
    assert made is not None and made.type == "bag"
    made.insert([(1, "a"), (1, "b")])
    assert wire("ETS.LOOKUP", "embed_made", 1) == [[1, b"a"], [1, b"b"]]
    made.delete()
    assert isinstance(wire("ETS.LOOKUP", "embed_made", 1), Exception)
    assert tsunami.whereis("embed_made") is None


def test_the_keyspace_is_a_table_of_bytes(wire: Wire) -> None:
    space = tsunami.keyspace(0)
    assert wire("SET", "key", "value") == b"OK"
    assert space.lookup(b"key") == [(b"key", b"value")] == space.lookup("key")
    space.insert(("text", "é"))
    assert wire("GET", "text") == "é".encode()
    space.insert((b"number", 41))
    assert wire("GET", "number") == b"41"
    assert wire("INCR", "number") == 42
    assert space.lookup(b"number") == [(b"number", b"42")]
    assert len(space) == wire("DBSIZE") == 3


def test_a_row_that_is_no_string_is_of_the_wrong_type_for_strings(wire: Wire) -> None:
    tsunami.keyspace(0).insert((b"odd", [1, 2]))
    tsunami.keyspace(0).insert((b"wide", b"a", b"b"))
    for key in ("odd", "wide"):
        assert str(wire("GET", key)).startswith("WRONGTYPE ")
        assert str(wire("INCR", key)).startswith("WRONGTYPE ")
        assert str(wire("APPEND", key, "x")).startswith("WRONGTYPE ")
        assert wire("EXISTS", key) == 1
        assert wire("DEL", key) == 1


def test_rows_of_every_kind_come_out_typed(wire: Wire) -> None:
    table = tsunami.new("embed_kinds")
    deep: Any = ()
    for _ in range(1000):
        deep = (deep,)
    row = (1, -(2**62), 2**80, 1.5, "text", b"\xff", tsunami.Atom("ok"), True, False, None, [1, [2]], (), {"a": 1}, [])
    table.insert(row)
    table.insert(("deep", deep))
    try:
        assert wire("HELLO", "3")
        wire.send(request("ETS.LOOKUP", "embed_kinds", 1))
        data = _wire.encode([[1, -(2**62), 2**80, 1.5, b"text", b"\xff", _wire.Simple("ok"), True, False, None]], 3)
        data = (
            data.replace(b"*10", b"*14") + _wire.encode([1, [2]], 3) + b"*0\r\n" + _wire.encode({"a": 1}, 3) + b"*0\r\n"
        )
        assert wire.received(len(data)) == data
        wire.send(request("ETS.LOOKUPELEMENT", "embed_kinds", "deep", 2))
        data = b"*1\r\n" * 1000 + b"*0\r\n"
        assert wire.received(len(data)) == data
    finally:
        table.delete()


def test_what_cannot_cross_the_wire_stays_and_says_so(wire: Wire) -> None:
    table = tsunami.new("embed_object")
    table.insert((1, object()))
    try:
        for command in ("ETS.LOOKUP", "ETS.TAKE"):
            answer = wire(command, "embed_object", 1)
            assert isinstance(answer, Exception) and "object" in str(answer)
        assert 1 in table
        assert wire("PING") == b"PONG"
    finally:
        table.delete()


@pytest.mark.threads
def test_threads_and_clients_count_together_without_losing_one(server: tsunami_server.Background) -> None:
    counts = tsunami.new("embed_counts")
    counts.insert(("n", 0))
    n, workers = 2000, 3
    start = threading.Barrier(2 * workers)
    failures: list[BaseException] = []

    def in_process() -> None:
        start.wait(20)
        for _ in range(n):
            counts.update_counter("n", (1, 1))

    def over_the_wire() -> None:
        with Wire(server.address) as wire:
            start.wait(20)
            wire.send(request("ETS.UPDATECOUNTER", "embed_counts", "n", 2, 1) * n)
            wire.replies(n)

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in [in_process, over_the_wire] * workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures and not any(thread.is_alive() for thread in threads)
    assert counts.lookup_element("n", 1) == 2 * workers * n
    counts.delete()


def test_the_server_goes_on_while_the_program_computes(wire: Wire) -> None:
    """The loop has a thread of its own; a program that never waits delays it by the interpreter's switches only."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        for i in range(50):
            assert wire("SET", "k", i) == b"OK"
    finally:
        stop.set()
        thread.join()


# ---- where it can be reached


def test_redis_py_connects_by_url(server: tsunami_server.Background) -> None:
    with redis.Redis.from_url(server.url) as client:
        assert client.set("a", 1) and client.get("a") == b"1"
        assert client.pipeline(transaction=False).incr("a").get("a").execute() == [2, b"2"]


def test_address_port_and_url_agree(server: tsunami_server.Background) -> None:
    assert server.address == ("127.0.0.1", server.port)
    assert server.url == f"redis://127.0.0.1:{server.port}/0"
    assert server.port > 0


@pytest.mark.parametrize("io", IO_KINDS)
def test_a_unix_socket_can_be_the_only_door(io: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "s")
        with tsunami_server.background(bind="", unixsocket=path, io=io) as server:
            assert (server.port, server.address, server.url) == (0, path, f"unix://{path}")
            with Wire(path) as wire:
                assert wire("PING") == b"PONG"


def test_a_socket_that_a_dead_server_left_is_replaced_and_a_living_one_is_not() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "s")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
        with tsunami_server.background(bind="", unixsocket=path):
            with pytest.raises(OSError, match="cannot listen on"):
                tsunami_server.background(bind="", unixsocket=path)
            with Wire(path) as wire:
                assert wire("PING") == b"PONG"


# ---- starting and stopping


def test_a_port_in_use_comes_out_of_the_call_and_leaves_nothing_behind() -> None:
    with tsunami_server.background(port=0) as first:
        threads = threading.active_count()
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{first.port}: Address already in use"):
            tsunami_server.background(port=first.port)
        wait_until(lambda: threading.active_count() == threads, "the thread has ended")


def test_a_wrong_setting_comes_out_of_the_call() -> None:
    with pytest.raises(ConfigError, match="port: argument must be between"):
        tsunami_server.background(port=-1)
    with pytest.raises(ConfigError, match="no such setting"):
        tsunami_server.background(prot=1)


def test_nothing_to_listen_on_is_an_error() -> None:
    with pytest.raises(OSError, match="nothing to listen on"):
        tsunami_server.background(bind="")


def test_stop_closes_connections_and_the_port_and_may_be_called_twice() -> None:
    server = tsunami_server.background(port=0)
    with Wire(server.address) as wire:
        assert wire("PING") == b"PONG"
        server.stop()
        assert wire.rest() == b""
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address, 5)
    assert not any(thread.name == "tsunami-server" for thread in threading.enumerate())


def test_servers_can_be_started_again_and_side_by_side() -> None:
    for _ in range(3):
        with tsunami_server.background(port=0) as one, tsunami_server.background(port=0) as two:
            with Wire(one.address) as a, Wire(two.address) as b:
                assert a("SET", "shared", "x") == b"OK"
                assert b("GET", "shared") == b"x"


def test_a_client_may_stop_it() -> None:
    server = tsunami_server.background(port=0)
    with Wire(server.address) as wire:
        wire.send(request("SHUTDOWN", "NOSAVE"))
        assert wire.rest() == b""
    wait_until(lambda: not any(t.name == "tsunami-server" for t in threading.enumerate()), "the server has stopped")
    server.stop()


def test_no_descriptor_is_left_after_many_servers() -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    with tsunami_server.background(port=0):
        pass
    before = len(list(Path("/proc/self/fd").iterdir()))
    for io in IO_KINDS * 3:
        with tsunami_server.background(port=0, io=io) as server, Wire(server.address) as wire:
            assert wire("PING") == b"PONG"
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


# ---- in the program's own loop

Runner = Callable[[Coroutine[Any, Any, None]], None]


def on_stdlib(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def on_uvloop(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def on_native(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=tsunami_server.new_event_loop) as runner:
        runner.run(main)


@pytest.fixture(params=[on_stdlib, on_uvloop, on_native])
def run(request: pytest.FixtureRequest) -> Runner:
    runner: Runner = request.param
    return runner


def test_start_serves_from_the_running_loop(run: Runner) -> None:
    async def main() -> None:
        async with await tsunami_server.start(port=0) as server:
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(request("SET", "a", "1") + request("CLIENT", "ID") + request("GET", "a"))
            assert await reader.readline() == b"+OK\r\n"
            assert tsunami.keyspace(0).lookup("a") == [(b"a", b"1")]
            assert (await reader.readline())[:1] == b":"
            assert await reader.readexactly(7) == b"$1\r\n1\r\n"
            writer.close()

    run(main())


def test_start_moves_megabytes_and_deep_pipelines(run: Runner) -> None:
    async def main() -> None:
        async with await tsunami_server.start(port=0) as server:
            reader, writer = await asyncio.open_connection(*server.address)
            value = b"x" * (8 << 20)
            writer.write(request("SET", "big", value) + request("GET", "big"))
            assert await reader.readexactly(5) == b"+OK\r\n"
            assert await reader.readexactly(len(value) + 12) == b"$%d\r\n%b\r\n" % (len(value), value)
            writer.write(request("INCR", "n") * 50_000)
            lines = [await reader.readline() for _ in range(50_000)]
            assert lines[-1] == b":50000\r\n"
            writer.close()

    run(main())


def test_start_says_what_is_wrong(run: Runner) -> None:
    async def main() -> None:
        async with await tsunami_server.start(port=0) as server:
            with pytest.raises(OSError, match="Address already in use"):
                await tsunami_server.start(port=server.port)
            with pytest.raises(ConfigError):
                await tsunami_server.start(no_such_setting=1)

    run(main())


def test_wait_stopped_returns_when_a_client_has_stopped_the_server(run: Runner) -> None:
    async def main() -> None:
        server = await tsunami_server.start(port=0)
        waiting = asyncio.ensure_future(server.wait_stopped())
        _, writer = await asyncio.open_connection(*server.address)
        writer.write(request("PING"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        writer.write(request("SHUTDOWN", "NOSAVE"))
        await asyncio.wait_for(waiting, 5)
        writer.close()

    run(main())


def test_stop_ends_connections_and_answers_what_is_under_way(run: Runner) -> None:
    async def main() -> None:
        server = await tsunami_server.start(port=0)
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(request("DEBUG", "SLEEP", "0.2") + request("PING"))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await server.stop()
        assert time.monotonic() - began > 0.1
        assert await reader.read() == b"+OK\r\n+PONG\r\n"
        writer.close()
        await server.stop()

    run(main())


def test_servers_in_one_loop_one_after_the_other_and_side_by_side(run: Runner) -> None:
    """A native selector serves one of them at a time; the others use asyncio's transports."""

    async def talk(server: tsunami_server.Running) -> None:
        assert not isinstance(server.address, str)
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(request("INCR", "n") + request("CLIENT", "GETNAME"))
        assert (await reader.readexactly(9)).endswith(b"$-1\r\n")
        writer.close()

    async def main() -> None:
        for _ in range(2):
            async with await tsunami_server.start(port=0) as one, await tsunami_server.start(port=0) as two:
                for server in (one, two, one):
                    await talk(server)

    run(main())
    assert tsunami.keyspace(0).lookup("n") == [(b"n", b"6")]


def test_a_native_server_in_an_ordinary_loop_is_a_wrong_setting() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="new_event_loop"):
            await tsunami_server.start(port=0, io="native")

    asyncio.run(main())


def test_the_program_and_its_server_share_the_loop(run: Runner) -> None:
    """A client in the same loop, many of them, beside a ticker."""

    async def client(address: tuple[str, int], k: int) -> None:
        reader, writer = await asyncio.open_connection(*address)
        for i in range(100):
            writer.write(request("INCR", f"c{k}"))
            assert await reader.readline() == b":%d\r\n" % (i + 1)
        writer.close()

    async def main() -> None:
        async with await tsunami_server.start(port=0) as server:
            assert not isinstance(server.address, str)
            await asyncio.wait_for(asyncio.gather(*(client(server.address, k) for k in range(20))), 60)

    run(main())


@pytest.mark.parametrize("io", IO_KINDS)
def test_cold_commands_wait_for_their_turn_and_are_answered_once(
    io: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards against two turns for one command: more words came while the next turn was waiting."""
    from tsunami_server import transport

    monkeypatch.setattr(transport, "TURN_US", 0)  # each command ends its turn
    with tsunami_server.background(port=0, io=io) as server, Wire(server.address) as wire:
        for n in range(400):
            wire.send(request("CLIENT", "SETNAME", f"name{n}") + request("CLIENT", "GETNAME") * 2)
        assert wire.replies(1200) == [reply for n in range(400) for reply in (b"OK", *[b"name%d" % n] * 2)]
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
