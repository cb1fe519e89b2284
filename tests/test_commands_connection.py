"""Connections over RESP: HELLO, AUTH, RESET, QUIT, and CLIENT with all it can do to others.

The error texts are compared with redis-server's in test_differential.py; here it is what the commands do.
"""

import hashlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, our_server
from _support import wait_until


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        yield client


def described(line: bytes) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.decode().strip().split(" "))


def others(client: Client) -> dict[str, dict[str, str]]:
    return {each["id"]: each for each in map(described, client.value("CLIENT", "LIST").splitlines())}


def is_open(client: Client) -> bool:
    client.socket.settimeout(10)
    try:
        return client("PING") == ("+", "PONG")
    except (EOFError, OSError):
        return False


# ---- HELLO, AUTH


def test_hello_tells_who_is_there(client: Client) -> None:
    found = client.value("HELLO")
    told = dict(zip(found[::2], found[1::2], strict=True))
    assert told == {
        b"server": b"redis",
        b"version": b"7.4.0",
        b"proto": 2,
        b"id": client.value("CLIENT", "ID"),
        b"mode": b"standalone",
        b"role": b"master",
        b"modules": [],
    }


def test_hello_changes_the_protocol_and_back(client: Client) -> None:
    mark, told = client("HELLO", "3", "SETNAME", "me")
    assert mark == "%" and (("$", b"proto"), (":", 3)) in told
    assert client("GET", "hello:none") == ("_", "")
    assert client("CLIENT", "GETNAME") == ("$", b"me")
    assert client("HELLO", "9")[0] == "-"
    assert client("GET", "hello:none") == ("_", "")  # a refused HELLO changes nothing
    assert client("HELLO", "2")[0] == "*"
    assert client("GET", "hello:none") == ("$", None)


def test_a_hello_with_a_bad_option_changes_nothing(client: Client) -> None:
    assert client("HELLO", "3", "SETNAME", "a b")[0] == "-"
    assert client("HELLO", "3", "FOO")[0] == "-"
    assert client("GET", "hello:none") == ("$", None)
    assert client("CLIENT", "GETNAME") == ("$", None)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Any]:
    with our_server(requirepass="secret") as server:
        yield server


def test_nothing_but_logging_in_works_without_the_password(guarded: Any) -> None:
    with Client(guarded.port) as client:
        for request in (
            ("GET", "a"),
            ("PING",),
            ("SET", "a", "b"),
            ("ETS.ALL",),
            ("CLIENT", "ID"),
            ("COMMAND",),
            ("SHUTDOWN",),
        ):
            assert client(*request) == ("-", "NOAUTH Authentication required."), request
        assert client("HELLO", "3")[1].startswith("NOAUTH HELLO must be called with the client already authenticated")
        assert client("AUTH", "wrong") == ("-", "WRONGPASS invalid username-password pair or user is disabled.")
        assert client("AUTH", "other", "secret")[1].startswith("WRONGPASS")
        assert client("HELLO", "3", "AUTH", "default", "wrong")[1].startswith("WRONGPASS")
        assert client("PING")[0] == "-"
        assert client("AUTH", "secret") == ("+", "OK")
        assert client("PING") == ("+", "PONG")
        assert client("RESET") == ("+", "RESET")
        assert client("PING")[0] == "-"
        assert client("HELLO", "3", "AUTH", "default", "secret")[0] == "%"
        assert client("GET", "none") == ("_", "")
        assert client("QUIT") == ("+", "OK")


def test_a_password_can_be_set_and_taken_away(server: Any, client: Client) -> None:
    client.value("CONFIG", "SET", "requirepass", "later")
    try:
        assert client("PING") == ("+", "PONG")  # who is in stays in
        with Client(server.port) as other:
            assert other("PING")[0] == "-"
            assert other("AUTH", "default", "later") == ("+", "OK")
    finally:
        client.value("CONFIG", "SET", "requirepass", "")
    with Client(server.port) as other:
        assert other("PING") == ("+", "PONG")


# ---- QUIT, RESET, REPLY


def test_quit_answers_what_came_before_and_closes(server: Any) -> None:
    with Client(server.port) as client:
        assert client.all([("PING",), ("QUIT",), ("SET", "after:quit", "1")][:2]) == [("+", "PONG"), ("+", "OK")]
        assert client.file.read() == b""
    with Client(server.port) as client:
        client.socket.sendall(b"QUIT\r\nSET after:quit 1\r\n")
        assert client.file.read() == b"+OK\r\n"
    with Client(server.port) as client:
        assert client.value("EXISTS", "after:quit") == 0


def test_reset_puts_the_connection_back(client: Client) -> None:
    client.value("HELLO", "3", "SETNAME", "x")
    client.value("SELECT", "3")
    assert client("RESET") == ("+", "RESET")
    state = described(client.value("CLIENT", "INFO"))
    assert (state["db"], state["resp"], state["name"]) == ("0", "2", "")


def test_reply_off_and_on(client: Client) -> None:
    client.socket.sendall(
        b"CLIENT REPLY OFF\r\nSET reply:a 1\r\nGET reply:a\r\nNOSUCH\r\nCLIENT REPLY ON\r\nGET reply:a\r\n"
    )
    assert client.read() == ("+", "OK")
    assert client.read() == ("$", b"1")


def test_reply_skip_leaves_out_one(client: Client) -> None:
    client.socket.sendall(
        b"CLIENT REPLY SKIP\r\nSET reply:b 1\r\nGET reply:b\r\nCLIENT REPLY SKIP\r\nDBSIZE\r\nPING\r\n"
    )
    assert client.read() == ("$", b"1")
    assert client.read() == ("+", "PONG")


# ---- who is there


def test_client_list_shows_every_connection(server: Any, client: Client) -> None:
    with Client(server.port, 3) as other:
        other.value("CLIENT", "SETNAME", "somebody")
        other.value("CLIENT", "SETINFO", "lib-name", "mylib")
        other.value("CLIENT", "SETINFO", "LIB-VER", "1.2.3")
        other.value("SELECT", "5")
        other.value("CLIENT", "NO-EVICT", "on")
        number = str(other.value("CLIENT", "ID"))
        seen = others(client)[number]
        host, port = other.socket.getsockname()
        assert seen["addr"] == f"{host}:{port}" and seen["laddr"] == f"127.0.0.1:{server.port}"
        assert (seen["name"], seen["lib-name"], seen["lib-ver"], seen["db"], seen["resp"]) == (
            "somebody",
            "mylib",
            "1.2.3",
            "5",
            "3",
        )
        assert (seen["user"], seen["flags"], seen["cmd"]) == ("default", "e", "client|id")
        assert {"id", "fd", "age", "idle", "sub", "psub", "multi", "qbuf", "omem", "tot-mem", "events", "redir"} <= set(
            seen
        )
        assert list(others(client)) == sorted(others(client), key=int)
        assert [described(client.value("CLIENT", "LIST", "ID", number))] == [seen]
        assert client("CLIENT", "SETINFO", "lib-name", "a b")[0] == "-"
        assert other("CLIENT", "LIST")[1].startswith(b"txt:id=")
    wait_until(lambda: number not in others(client), "a closed connection leaves the list")


def test_client_info_is_its_own_line(client: Client) -> None:
    own = described(client.value("CLIENT", "INFO"))
    assert own["id"] == str(client.value("CLIENT", "ID"))
    assert own["cmd"] == "client|info"


# ---- kill


@pytest.mark.parametrize("how", ["ID", "ADDR", "LADDR", "old form", "MAXAGE", "TYPE and USER"])
def test_kill_closes_the_others_that_fit(server: Any, client: Client, how: str) -> None:
    with Client(server.port) as victim, Client(server.port) as bystander:
        number, address = str(victim.value("CLIENT", "ID")), "{}:{}".format(*victim.socket.getsockname())
        bystander.value("PING")
        if how == "ID":
            assert client.value("CLIENT", "KILL", "ID", number) == 1
        elif how == "ADDR":
            assert client.value("CLIENT", "KILL", "addr", address, "USER", "default") == 1
        elif how == "old form":
            assert client("CLIENT", "KILL", address) == ("+", "OK")
        elif how == "MAXAGE":
            assert client.value("CLIENT", "KILL", "ID", number, "MAXAGE", "1000") == 0
            assert is_open(victim)
            wait_until(lambda: int(others(client)[number]["age"]) >= 1, "the connection is a second old")
            assert client.value("CLIENT", "KILL", "ID", number, "MAXAGE", "1") == 1
        else:
            filters = ("LADDR", f"127.0.0.1:{server.port}") if how == "LADDR" else ("TYPE", "normal", "USER", "default")
            assert client.value("CLIENT", "KILL", *filters) >= 2
            assert not is_open(bystander)
        assert not is_open(victim)
        assert is_open(client)
        wait_until(lambda: number not in others(client), "the killed connection leaves the list")


def test_kill_of_oneself_is_answered_first(server: Any) -> None:
    with Client(server.port) as client:
        number = client.value("CLIENT", "ID")
        assert client.value("CLIENT", "KILL", "ID", number) == 0  # SKIPME is the rule
        assert client("CLIENT", "KILL", "ID", number, "SKIPME", "no") == (":", 1)
        assert client.file.read() == b""


# ---- pause


def elapsed(act: Any) -> float:
    start = time.monotonic()
    act()
    return time.monotonic() - start


def test_pause_holds_writes_back_until_it_ends(server: Any, client: Client) -> None:
    with Client(server.port) as other:
        other.value("DEL", "pause:a")
        client.value("CLIENT", "PAUSE", "400", "WRITE")
        start = time.monotonic()
        other.socket.sendall(b"SET pause:a 1\r\nGET pause:a\r\n")
        assert client("GET", "pause:a") == ("$", None)  # reads go on, and nothing was written
        assert client("PING") == ("+", "PONG")
        assert other.read() == ("+", "OK")
        assert 0.3 < time.monotonic() - start < 5
        assert other.read() == ("$", b"1")  # in order


def test_unpause_ends_a_pause_at_once(server: Any, client: Client) -> None:
    with Client(server.port) as other:
        client.value("CLIENT", "PAUSE", "60000", "WRITE")
        other.socket.sendall(b"SET pause:b 1\r\n")
        wait_until(lambda: b"blocked_clients:1" in client.value("INFO", "clients"), "the write waits")
        client.value("CLIENT", "UNPAUSE")
        assert other.read() == ("+", "OK")
        assert client("SET", "pause:b", "2") == ("+", "OK")


def test_pause_all_holds_everything_back(server: Any, client: Client) -> None:
    with Client(server.port) as other:
        assert (
            0.15
            < elapsed(lambda: client.all([("CLIENT", "PAUSE", "200"), ("PING",), ("GET", "x"), ("CLIENT", "ID")]))
            < 5
        )
        assert other("PING") == ("+", "PONG")


def test_a_pause_is_made_longer_never_shorter(server: Any, client: Client) -> None:
    client.value("CLIENT", "PAUSE", "400", "WRITE")
    client.value("CLIENT", "PAUSE", "1", "WRITE")
    assert elapsed(lambda: client.value("SET", "pause:c", "1")) > 0.3


def test_a_client_that_goes_during_a_pause_does_no_harm(server: Any, client: Client) -> None:
    client.value("CLIENT", "PAUSE", "60000", "WRITE")
    with socket.create_connection(("127.0.0.1", server.port)) as gone:
        gone.sendall(b"SET pause:d 1\r\n")
        wait_until(lambda: b"blocked_clients:1" in client.value("INFO", "clients"), "the write waits")
    client.value("CLIENT", "UNPAUSE")
    assert client("SET", "pause:e", "1") == ("+", "OK")
    wait_until(lambda: b"blocked_clients:0" in client.value("INFO", "clients"), "nobody waits")


SCRIPT_THAT_READS = "#!lua flags=no-writes\nreturn 1"


@pytest.mark.parametrize(
    ("argv", "held"),
    [
        (("EVAL", "return 1", 0), True),
        (("EVAL", "#!lua\nreturn 1", 0), True),
        (("EVAL", SCRIPT_THAT_READS, 0), False),
        (("EVAL", "#!lua flags=allow-oom,no-writes\nreturn 1", 0), False),
        (("EVAL_RO", "return 1", 0), False),
        (("EVALSHA", hashlib.sha1(SCRIPT_THAT_READS.encode()).hexdigest(), 0), False),
        (("EVALSHA", hashlib.sha1(b"return 1").hexdigest(), 0), True),
        (("PUBLISH", "channel", "1"), True),
        (("SPUBLISH", "channel", "1"), True),
        (("PUBSUB", "NUMPAT"), False),
    ],
)
def test_a_pause_of_writes_holds_what_may_write(server: Any, argv: tuple[Any, ...], held: bool) -> None:
    with Client(server.port) as other, Client(server.port) as client, Client(server.port) as in_multi:
        for text in ("return 1", SCRIPT_THAT_READS):
            client.value("SCRIPT", "LOAD", text)
        in_multi.value("MULTI")
        in_multi.value(*argv)
        other.value("CLIENT", "PAUSE", "60000", "WRITE")
        client.send(*argv)
        in_multi.send("EXEC")
        time.sleep(0.1)
        assert b"\r\nblocked_clients:%d\r\n" % (2 * held) in other.value("INFO", "clients")
        other.value("CLIENT", "UNPAUSE")
        assert client.read()[0] == ":"
        assert in_multi.read()[0] == "*"
