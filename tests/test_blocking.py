"""Clients that wait for keys: who is served when, how waiting ends, and that nothing is left behind.

The command that waits here is one of this file, over string keys: TAKE key ... timeout takes the first value that there
is. So what all blocking commands share is tested without any of them.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, encode, our_server, redis_server
from _support import wait_until

from tsunami._wire import NullArray
from tsunami_server.arguments import timeout_s
from tsunami_server.blocking import NOT_YET
from tsunami_server.command import CommandError, Reply, command, registry
from tsunami_server.keyspace import View, atomically
from tsunami_server.session import Session


def take(session: Session, args: list[bytes]) -> Reply:
    """The first key that there is, and its value; a value `boom` is an error, and `later` is not taken."""
    keys, limit = args[:-1], timeout_s(args[-1])

    def step(view: View) -> Reply:
        for key in keys:
            value = view.get(key)
            if value == b"boom":
                raise CommandError("ERR boom")
            if value is not None and value != b"later":
                view.erase(key)
                return [key, value]
        return NOT_YET

    return session.block_on(keys, lambda: atomically(session, step), limit, NullArray())


@pytest.fixture(scope="module", autouse=True)
def take_command() -> Iterator[None]:
    """The command, for the time of this file."""
    register = command(
        "TAKE key ... timeout:double", "write", group="string", since="1.0.0", summary="", keys="1..-2 RW"
    )
    register(take)
    try:
        yield
    finally:
        del registry.commands["take"]


@pytest.fixture(scope="module", params=["native", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(io=request.param) as server:
        yield server


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    wait_until(lambda: not server._app.clients, "the last test's connections are gone")
    with Client(server.port) as client:
        client.value("FLUSHALL")
        yield client
    assert not server._app.shared.signals.ready


@pytest.fixture
def a(server: Any, client: Client) -> Iterator[Client]:
    with Client(server.port) as one:
        yield one


@pytest.fixture
def b(server: Any, client: Client) -> Iterator[Client]:
    with Client(server.port) as one:
        yield one


def blocked(server: Any) -> int:
    return int(server._app.shared.blocked)


def send(server: Any, client: Client, *requests: tuple[str | int, ...]) -> None:
    """Send what will wait, and return when it does."""
    before = blocked(server)
    client.socket.sendall(b"".join(map(encode, requests)))
    wait_until(lambda: blocked(server) == before + 1, "it waits")


def left_over(server: Any) -> tuple[int, int, int]:
    """Clients that wait, keys that are waited for, keys that are of interest."""
    return blocked(server), server._app.shared.blocking.keys, server._app.plane.interest_count()


VALUE = ("*", [("$", b"x"), ("$", b"1")])
EMPTY = ("*", None)


# ---- served


def test_what_is_there_is_answered_at_once(client: Client) -> None:
    client.value("SET", "x", "1")
    assert client("TAKE", "y", "x", 0) == VALUE
    assert client("EXISTS", "x") == (":", 0)


@pytest.mark.parametrize(
    "write", ["SET x 1", "SETRANGE x 0 1", "APPEND x 1", "INCR x", "MSET y 1 x 1", "SETEX x 100 1"]
)
def test_a_write_serves_who_waits_natively_or_not(server: Any, client: Client, a: Client, write: str) -> None:
    send(server, a, ("TAKE", "x", 0))
    client.value(*write.split())
    assert a.read() == VALUE
    assert client.value("EXISTS", "x") == 0
    assert left_over(server) == (0, 0, 0)


@pytest.mark.parametrize("how", ["RENAME", "COPY", "MOVE", "SWAPDB", "EXEC"])
def test_a_key_that_comes_by_any_way_serves(server: Any, client: Client, a: Client, how: str) -> None:
    send(server, a, ("TAKE", "x", 0))
    if how in ("RENAME", "COPY"):
        client.all([("SET", "y", "1"), (how, "y", "x")])
    elif how == "EXEC":
        client.all([("MULTI",), ("SET", "x", "1"), ("EXEC",)])
    else:
        client.all([("SELECT", 1), ("SET", "x", "1"), ("MOVE", "x", 0) if how == "MOVE" else ("SWAPDB", 0, 1)])
    assert a.read() == VALUE


def test_who_came_first_is_served_first(server: Any, client: Client) -> None:
    waiting = [Client(server.port) for _ in range(5)]
    try:
        for each in waiting:
            send(server, each, ("TAKE", "x", "y", 0))
        for number, each in enumerate(waiting):
            client.value("SET", "x" if number % 2 else "y", number)
            assert each.read()[1][1] == ("$", b"%d" % number)
    finally:
        for each in waiting:
            each.close()


def test_who_is_served_is_served_before_the_next_command(server: Any, client: Client, a: Client) -> None:
    send(server, a, ("TAKE", "x", 0))
    assert client.all([("SET", "x", "1"), ("EXISTS", "x"), ("SET", "x", "2"), ("GET", "x")]) == [
        ("+", "OK"), (":", 0), ("+", "OK"), ("$", b"2")]  # fmt: skip
    assert a.read() == VALUE


def test_a_transaction_serves_when_all_of_it_is_done(server: Any, client: Client, a: Client) -> None:
    send(server, a, ("TAKE", "x", 0))
    client.all([("MULTI",), ("SET", "x", "1"), ("DEL", "x"), ("EXEC",)])
    assert blocked(server) == 1
    replies = client.all([("MULTI",), ("SET", "x", "0"), ("SET", "x", "1"), ("GET", "x"), ("EXEC",), ("EXISTS", "x")])
    assert replies[-2:] == [("*", [("+", "OK"), ("+", "OK"), ("$", b"1")]), (":", 0)]
    assert a.read() == VALUE


def test_the_keys_of_an_attempt_are_looked_at_in_its_order(server: Any, client: Client, a: Client) -> None:
    send(server, a, ("TAKE", "x", "y", 0))
    client.all([("MULTI",), ("SET", "y", "2"), ("SET", "x", "1"), ("EXEC",)])
    assert a.read() == VALUE
    assert client.value("GET", "y") == b"2"


def test_a_key_of_another_database_serves_nobody(server: Any, client: Client, a: Client) -> None:
    send(server, a, ("SELECT", 1), ("TAKE", "x", 0))
    assert a.read() == ("+", "OK")
    client.value("SET", "x", "0")
    assert blocked(server) == 1
    client.all([("SELECT", 1), ("SET", "x", "1")])
    assert a.read() == VALUE


def test_an_attempt_that_is_not_satisfied_waits_on_and_holds_nobody_up(
    server: Any, client: Client, a: Client, b: Client
) -> None:
    send(server, a, ("TAKE", "x", 0))
    client.value("SET", "x", "later")
    assert blocked(server) == 1
    client.value("SET", "x", "1")
    assert a.read() == VALUE


def test_an_error_of_a_later_attempt_is_the_reply(server: Any, client: Client, a: Client) -> None:
    send(server, a, ("TAKE", "x", 0))
    client.value("SET", "x", "boom")
    assert a.read() == ("-", "ERR boom")
    assert left_over(server) == (0, 0, 0)
    assert a("PING") == ("+", "PONG")


def test_what_is_pipelined_behind_waits(server: Any, client: Client, a: Client) -> None:
    send(server, a, ("TAKE", "x", 0), ("SET", "y", "behind"), ("GET", "y"))
    assert client.value("EXISTS", "y") == 0
    client.value("SET", "x", "1")
    assert [a.read() for _ in range(3)] == [VALUE, ("+", "OK"), ("$", b"behind")]


# ---- ended in another way


def test_time_runs_out(server: Any, client: Client, a: Client) -> None:
    start = time.monotonic()
    assert a("TAKE", "x", "0.05") == EMPTY
    assert 0.04 < time.monotonic() - start < 2
    assert left_over(server) == (0, 0, 0)


def test_inside_of_a_transaction_nothing_waits(client: Client, server: Any) -> None:
    replies = client.all([("MULTI",), ("TAKE", "x", 0), ("WAIT", 1, 0), ("SET", "x", "1"), ("TAKE", "x", 0), ("EXEC",)])
    assert replies[-1] == ("*", [EMPTY, (":", 0), ("+", "OK"), VALUE])
    assert left_over(server) == (0, 0, 0)


def test_client_unblock_ends_waiting(server: Any, client: Client, a: Client) -> None:
    number = a.value("CLIENT", "ID")
    assert client.value("CLIENT", "UNBLOCK", number) == 0
    send(server, a, ("TAKE", "x", "y", "x", 0))
    assert " flags=b " in client.value("CLIENT", "LIST", "ID", number).decode()
    assert client.value("CLIENT", "UNBLOCK", number) == 1
    assert a.read() == EMPTY
    send(server, a, ("TAKE", "x", 0))
    assert client.value("CLIENT", "UNBLOCK", number, "ERROR") == 1
    assert a.read() == ("-", "UNBLOCKED client unblocked via CLIENT UNBLOCK")
    send(server, a, ("WAIT", 1, 0))
    assert client.value("CLIENT", "UNBLOCK", number, "TIMEOUT") == 1
    assert a.read() == (":", 0)
    assert client.value("CLIENT", "UNBLOCK", number) == 0
    assert left_over(server) == (0, 0, 0)


@pytest.mark.parametrize("end", ["close", "kill", "kill at once"])
def test_a_connection_that_ends_leaves_nothing(server: Any, client: Client, a: Client, b: Client, end: str) -> None:
    number = a.value("CLIENT", "ID")
    send(server, a, ("TAKE", "x", "y", 0), ("SET", "z", "never"))
    send(server, b, ("TAKE", "x", 0))
    if end == "close":
        a.socket.shutdown(2)
    elif end == "kill":
        assert client.value("CLIENT", "KILL", "ID", number) == 1
    else:  # it is served, and gone before it is told
        client.all([("MULTI",), ("SET", "y", "1"), ("CLIENT", "KILL", "ID", number), ("EXEC",)])
    wait_until(lambda: blocked(server) == 1, "it is gone")
    client.value("SET", "x", "1")
    assert b.read() == VALUE
    assert client.value("EXISTS", "z") == 0
    assert left_over(server) == (0, 0, 0)


def test_info_tells_who_waits(server: Any, client: Client, a: Client) -> None:
    send(server, a, ("TAKE", "x", "y", 0))
    found = client.value("INFO", "clients").decode()
    assert "blocked_clients:1\r\n" in found and "total_blocking_keys:2\r\n" in found


def test_the_time_of_waiting_is_not_the_commands(server: Any, client: Client, a: Client) -> None:
    client.value("CONFIG", "RESETSTAT")
    client.value("SLOWLOG", "RESET")
    assert a("TAKE", "x", "0.1") == EMPTY
    (line,) = [line for line in client.value("INFO", "commandstats").decode().split() if "cmdstat_take" in line]
    assert int(line.split("usec=")[1].split(",")[0]) < 50_000
    assert client.value("SLOWLOG", "LEN") == 0


# ---- many


def test_a_queue_of_work_loses_nothing_and_gives_nothing_twice(server: Any, client: Client) -> None:
    """Workers take from two keys while others put there, and some workers give up again and again."""
    jobs, taken, lock, done = 300, [], threading.Lock(), threading.Event()

    def work(patience: str) -> None:
        with Client(server.port) as mine:
            while not done.is_set():
                reply = mine("TAKE", "p", "q", patience)
                if reply != EMPTY:
                    with lock:
                        taken.append(int(reply[1][1][1]))

    workers = [threading.Thread(target=work, args=(patience,)) for patience in ("0.3", "0.3", "0.005", "0.01")]
    for worker in workers:
        worker.start()
    for number in range(jobs):
        while client("SETNX", "pq"[number % 2], number) == (":", 0):
            time.sleep(0.0005)
    wait_until(lambda: len(taken) == jobs, "all is taken")
    done.set()
    for worker in workers:
        worker.join(20)
        assert not worker.is_alive()
    assert sorted(taken) == list(range(jobs))
    assert left_over(server) == (0, 0, 0)


# ---- words


@pytest.mark.peer("redis-server")
def test_timeouts_are_read_as_redis_does(client: Client) -> None:
    with redis_server() as port, Client(port) as redis:
        for word in ("x", "-1", "-0.1", "", "nan", "-inf", "0x", "1 ", "-1e400", " 1", "1_0"):
            expected = redis("BLPOP", "list", word)
            assert expected[0] == "-" and client("TAKE", "list", word) == expected, word
        for word in ("0.001", "1e-3", "0x0.01p0", "+0.001", ".001"):
            assert redis("BLPOP", "list", word)[1] is None and client("TAKE", "list", word) == EMPTY, word
    for word in ("1e400", "inf", "1e18"):  # 7.0 says that these are negative
        assert client("TAKE", "list", word) == ("-", "ERR timeout is out of range"), word


@pytest.mark.parametrize("io", ["native", "asyncio"])
def test_a_server_that_stops_does_not_wait_for_those_who_wait(io: str) -> None:
    """Nobody is left who could serve them; the grace period is for replies under way."""
    with our_server(io=io, shutdown_timeout=60) as server, Client(server.port) as waiting, Client(server.port) as other:
        waiting.send("BLPOP", "never", 0)
        wait_until(lambda: other.value("INFO", "clients").find(b"blocked_clients:1") > 0, "the client waits")
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < 10
        with pytest.raises((EOFError, ConnectionError)):
            waiting.read()
