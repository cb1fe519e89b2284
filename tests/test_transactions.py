"""MULTI EXEC DISCARD WATCH UNWATCH: what Redis does, reply for reply, and that nobody comes in between.

Stories of several connections are told to a real redis-server and to ours, and every reply must be the same; ours tells
them natively, with Python handlers only, and over asyncio's transports. What Redis has no counterpart for (threads of
the process that write at the same time) is tested by itself.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _redis import Client, Reply, encode, our_server
from _support import wait_until

import tsunami

Told = tuple[str, ...]  # the connection's name, then the words

KINDS: dict[str, dict[str, Any]] = {
    "native": {},
    "handlers": {"all_cold": True},
    "asyncio": {"io": "asyncio"},
}


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(**KINDS[request.param], **{"enable-debug-command": "yes"}) as server:
        yield server


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def resp(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        client.value("FLUSHALL")
        yield client


def told(port: int, resp: int, story: list[Told]) -> list[Reply]:
    """The replies of a server to a story, after it was emptied."""
    with contextlib.ExitStack() as stack:
        clients: dict[str, Client] = {}
        stack.enter_context(Client(port))("FLUSHALL")
        replies = []
        for name, *words in story:
            if name == "sleep":
                time.sleep(float(words[0]))
                continue
            if name not in clients:
                clients[name] = stack.enter_context(Client(port, resp))
            replies.append(clients[name](*words))
        return replies


def story(text: str) -> list[Told]:
    """`a: WATCH x / MULTI | b: SET x 1 | a: EXEC`: who says what."""
    turns = [turn.strip().split(": ", 1) for turn in text.split("|")]
    return [(name, *words.split()) for name, said in turns for words in said.split("/")]


STORIES = {
    "all goes well": "a: MULTI / SET x 1 / INCR x / GET x / PING / ECHO hi / MGET x y / EXEC / GET x",
    "nothing queued": "a: MULTI / EXEC / EXEC",
    "unknown command": "a: MULTI / SET x 1 / NOSUCH thing / SET x 2 / EXEC / GET x / PING",
    "unknown subcommand": "a: MULTI / CLIENT NOSUCH / EXEC / PING",
    "wrong number of words": "a: MULTI / SET x / SET x 2 / EXEC / GET x",
    "wrong number of words of a cold one": "a: MULTI / SETRANGE x / SET x 2 / EXEC / GET x",
    "EXEC with words": "a: MULTI / SET x 1 / EXEC now / GET x / EXEC",
    "DISCARD with words": "a: MULTI / DISCARD now / EXEC / EXEC",
    "nested": "a: MULTI / MULTI / SET x 1 / EXEC / GET x",
    "WATCH inside": "a: MULTI / WATCH x / SET x 1 / EXEC / GET x",
    "WATCH inside, wrong number": "a: MULTI / WATCH / EXEC",
    "UNWATCH inside": "a: WATCH x / MULTI / UNWATCH / SET x 1 / EXEC / GET x",
    "without MULTI": "a: EXEC / DISCARD / UNWATCH / EXEC one / PING",
    "discarded": "a: SET x 0 / MULTI / SET x 1 / SETRANGE x 3 y / DISCARD / GET x / EXEC",
    "errors while it runs": "a: MULTI / SET x abc / INCR x / SET x 1 EX 0 / SET y 2 / GETRANGE x a b / EXEC",
    "an odd option": "a: MULTI / SET x 1 PXAT 1 / GET x / SET y 1 XX / EXEC",
    "another database": "a: MULTI / SELECT 3 / SET x 3 / SELECT 0 / GET x / EXEC / GET x / SELECT 3 / GET x",
    "stays in another database": "a: MULTI / SELECT 3 / EXEC / SET y 1 / SELECT 0 / GET y",
    "SELECT fails": "a: MULTI / SELECT 99 / SET x 1 / EXEC / GET x",
    "cold ones": "a: MULTI / SETRANGE x 2 y / GET x / RENAME x z / RENAME x z / EXEC / GET z",
    "RESET": "a: WATCH x / MULTI / SET x 1 / RESET / GET x / EXEC",
    "SHUTDOWN is not allowed": "a: MULTI / SHUTDOWN / EXEC",
    "CONFIG SET fails": "a: MULTI / SET x 1 / CONFIG SET maxmemory bla / EXEC",
    "WAIT": "a: MULTI / WAIT 1 0 / EXEC",
    "watched, unchanged": "a: WATCH x y / MULTI / SET x 1 / EXEC",
    "watched, changed": "a: SET x 30 / WATCH x | b: SET x 40 | a: MULTI / PING / EXEC / MULTI / PING / EXEC",
    "watched, changed to the same": "a: SET x 30 / WATCH x | b: SET x 30 | a: MULTI / PING / EXEC",
    "watched, changed and back": "a: SET x 1 / WATCH x | b: INCR x / DECR x | a: MULTI / PING / EXEC",
    "watched, made and deleted": "a: WATCH x | b: SET x 1 / DEL x | a: MULTI / PING / EXEC",
    "watched, changed by itself": "a: WATCH x / SET x 1 / MULTI / PING / EXEC",
    "one of many": "a: SET x 1 / WATCH a b x k z | b: APPEND x 2 | a: MULTI / PING / EXEC",
    "another key": "a: WATCH x | b: SET y 1 | a: MULTI / PING / EXEC",
    "another database's key": "a: SELECT 5 / SET x 1 / WATCH x / SELECT 1 / SET x 2 / SELECT 5 / MULTI / PING / EXEC",
    "MSET": "a: WATCH x | b: MSET y 1 x 2 | a: MULTI / PING / EXEC",
    "DEL of several": "a: MSET x 1 y 2 / WATCH x | b: DEL y x | a: MULTI / PING / EXEC",
    "DEL of what is not there": "a: WATCH x | b: DEL x / UNLINK x / GETDEL x | a: MULTI / PING / EXEC",
    "writes without effect": "a: SET x 1 / WATCH x | b: SETNX x 2 / PERSIST x / MSETNX x 2 | a: MULTI / PING / EXEC",
    "SETBIT": "a: SET x 1 / WATCH x | b: SETBIT x 4 1 | a: MULTI / PING / EXEC",
    "reads": "a: SET x 1 / WATCH x | b: GET x / STRLEN x / GETEX x / TTL x | a: MULTI / PING / EXEC",
    "RENAME to": "a: SET y 1 / WATCH x | b: RENAME y x | a: MULTI / PING / EXEC",
    "RENAME from": "a: SET x 1 / WATCH x | b: RENAME x y | a: MULTI / PING / EXEC",
    "MOVE from": "a: SET x 1 / WATCH x | b: MOVE x 2 | a: MULTI / PING / EXEC",
    "COPY to": "a: SET y 1 / WATCH x | b: COPY y x | a: MULTI / PING / EXEC",
    "COPY from": "a: SET x 1 / WATCH x | b: COPY x y | a: MULTI / PING / EXEC",
    "EXPIRE": "a: SET x 1 / WATCH x | b: EXPIRE x 100 | a: MULTI / PING / EXEC",
    "EXPIRE in the past": "a: SET x 1 / WATCH x | b: EXPIRE x -1 | a: MULTI / PING / EXEC",
    "GETEX": "a: SET x 1 / WATCH x | b: GETEX x EX 100 | a: MULTI / PING / EXEC",
    "PERSIST": "a: SET x 1 EX 100 / WATCH x | b: PERSIST x | a: MULTI / PING / EXEC",
    "SETBIT without effect": "a: SET x 1 / WATCH x | b: SETBIT x 3 1 | a: MULTI / PING / EXEC",
    "expired": "a: SET x 1 PX 30 / WATCH x | sleep: 0.1 | a: MULTI / PING / EXEC",
    "expired before": "a: SET x 1 PX 1 | sleep: 0.05 | a: WATCH x / MULTI / PING / EXEC",
    "FLUSHALL": "a: SET x 1 / WATCH x | b: FLUSHALL | a: MULTI / PING / EXEC",
    "FLUSHALL of nothing": "a: WATCH x | b: FLUSHALL | a: MULTI / PING / EXEC",
    "FLUSHDB": "a: SET x 1 / WATCH x | b: FLUSHDB | a: MULTI / PING / EXEC",
    "FLUSHDB of another": "a: SET x 1 / WATCH x | b: SELECT 1 / FLUSHDB | a: MULTI / PING / EXEC",
    "SWAPDB takes it away": "a: SET x 1 / WATCH x | b: SWAPDB 0 1 | a: MULTI / PING / EXEC",
    "SWAPDB brings it": "a: SELECT 1 / SET x 1 / SELECT 0 / WATCH x | b: SWAPDB 1 0 | a: MULTI / PING / EXEC",
    "SWAPDB brings the same": "a: SET x 1 / SELECT 1 / SET x 1 / WATCH x | b: SWAPDB 1 0 | a: MULTI / PING / EXEC",
    "SWAPDB of others": "a: SET x 1 / WATCH x | b: SWAPDB 2 1 | a: MULTI / PING / EXEC",
    "UNWATCH": "a: SET x 1 / WATCH x | b: SET x 2 | a: UNWATCH / MULTI / PING / EXEC",
    "DISCARD unwatches": "a: WATCH x | b: SET x 2 | a: MULTI / DISCARD | b: SET x 3 | a: MULTI / INCR x / EXEC",
    "refused and broken": "a: WATCH x | b: SET x 2 | a: MULTI / NOSUCH / EXEC / MULTI / PING / EXEC",
    "two who watch": "a: WATCH x | c: WATCH x | b: SET x 1 | a: MULTI / PING / EXEC | c: MULTI / PING / EXEC",
    "the first wins": "a: WATCH x / MULTI | b: WATCH x / MULTI | a: INCR x | b: INCR x | a: EXEC | b: EXEC / GET x",
    "changed by a transaction": "a: WATCH x | b: MULTI / SET x 1 | a: MULTI / PING | b: EXEC | a: EXEC",
    "changed by one that is discarded": "a: WATCH x | b: MULTI / SET x 1 | a: MULTI / PING | b: DISCARD | a: EXEC",
    "watched twice": "a: WATCH x x / WATCH x / UNWATCH | b: SET x 1 | a: MULTI / PING / EXEC",
}  # fmt: skip


@pytest.mark.peer("redis-server")
@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_answered_as_by_redis(server: Any, theirs: int, resp: int, name: str) -> None:
    lines = story(STORIES[name])
    assert told(theirs, resp, lines) == told(server.port, resp, lines)


@pytest.mark.peer("redis-server")
def test_random_stories_are_answered_as_by_redis(server: Any, theirs: int) -> None:
    """Three clients, few keys, no deadlines: all that can meet meets."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    words = [
        "MULTI", "MULTI", "EXEC", "EXEC", "DISCARD", "WATCH x", "WATCH y z", "UNWATCH", "SET x 1", "INCR y", "GET x",
        "DEL x", "SETRANGE z 1 q", "MSET x 1 y 2", "APPEND z 1", "SET x", "NOSUCH", "RENAME x y", "FLUSHDB", "SELECT 1",
        "SELECT 0", "SWAPDB 0 1", "PERSIST x", "EXPIRE y 100", "GETDEL z", "INCR z", "MGET x y z", "PING",
    ]  # fmt: skip
    for _ in range(12):
        lines = story(" | ".join(f"{rng.choice('abc')}: {rng.choice(words)}" for _ in range(60)))
        assert told(theirs, 2, lines) == told(server.port, 2, lines)


# ---- in one packet, and in pieces


def test_a_transaction_in_one_packet_is_answered_in_order(client: Client) -> None:
    requests = [("SET", "x", "1"), ("MULTI",), *[("INCR", "x")] * 5, ("EXEC",), ("GET", "x"), ("EXEC",)]
    replies = client.all(requests)
    assert replies[1:7] == [("+", "OK"), *[("+", "QUEUED")] * 5]
    assert replies[7] == ("*", [(":", n) for n in range(2, 7)])
    assert replies[8:] == [("$", b"6"), ("-", "ERR EXEC without MULTI")]


def test_a_script_in_a_transaction_may_call_what_is_cold(client: Client) -> None:
    """Behind hot commands of the same transaction, whose time is still to be accounted for."""
    requests = [("MULTI",), ("STRLEN", "a"), ("EVAL", "return redis.call('LCS', 'a', 'b')", 0), ("EXEC",)]
    assert client.all(requests)[3] == ("*", [(":", 0), ("$", b"")])
    assert client("STRLEN", "a") == (":", 0)


def test_a_queued_command_is_what_was_sent_whatever_its_form(client: Client) -> None:
    """Inline commands and large values lie in the queue as they came."""
    big = b"v" * 100_000
    client.socket.sendall(b"MULTI\r\nset 'a key' \"x\\x41y\"\r\n" + encode(("SET", "big", big)) + b"get 'a key'\r\n")
    client.socket.sendall(encode(("GET", "big")) + b"exec\r\n")
    replies = [client.read() for _ in range(6)]
    assert replies[:5] == [("+", "OK"), *[("+", "QUEUED")] * 4]
    assert replies[5] == ("*", [("+", "OK"), ("+", "OK"), ("$", b"xAy"), ("$", big)])


def test_thousands_of_commands_are_queued(client: Client) -> None:
    n = 5000
    replies = client.all([("MULTI",), *[("INCR", f"k{i % 10}") for i in range(n)], ("EXEC",)])
    assert replies[-1] == ("*", [(":", i // 10 + 1) for i in range(n)])


def test_a_transaction_ends_with_its_connection(server: Any, client: Client) -> None:
    with Client(server.port) as other:
        other.all([("WATCH", "w"), ("MULTI",), ("SET", "x", "1")])
        assert server._app.plane.interest_count() == 1
    wait_until(lambda: len(server._app.clients) == 1, "the connection is gone")
    assert server._app.plane.interest_count() == 0
    assert client.value("GET", "x") is None


def test_quit_in_a_transaction_ends_the_connection(server: Any, client: Client) -> None:
    with Client(server.port) as other:
        assert other.all([("MULTI",), ("SET", "x", "1"), ("QUIT",)])[-1] == ("+", "OK")
        with pytest.raises(EOFError):
            other.read()
    assert client.value("GET", "x") is None


def test_what_is_queued_counts_towards_the_query_buffer(server: Any, client: Client) -> None:
    was = client.value("CONFIG", "GET", "client-query-buffer-limit")[1]
    client.value("CONFIG", "SET", "client-query-buffer-limit", 1 << 20)
    try:
        with Client(server.port) as other, pytest.raises((EOFError, ConnectionError)):
            other("MULTI")
            for _ in range(40):
                other("SET", "x", b"v" * 100_000)
    finally:
        client.value("CONFIG", "SET", "client-query-buffer-limit", was)


# ---- CLIENT


def fields(client: Client) -> dict[str, str]:
    return dict(part.split("=", 1) for part in client.value("CLIENT", "INFO").decode().split())


def test_client_list_tells_of_transactions(server: Any, client: Client) -> None:
    client.all([("WATCH", "x", "y"), ("MULTI",), ("SET", "x", "1"), ("SETRANGE", "x", "1", "y")])
    with Client(server.port) as other:
        (line,) = [line for line in other.value("CLIENT", "LIST").decode().splitlines() if "multi=2" in line]
        shown = dict(part.split("=", 1) for part in line.split())
        assert (shown["flags"], shown["watch"]) == ("x", "2") and int(shown["multi-mem"]) > 0
        other.value("SET", "y", "1")
        assert " flags=xd " in other.value("CLIENT", "LIST").decode()
    client.value("DISCARD")
    assert (fields(client)["multi"], fields(client)["flags"], fields(client)["watch"]) == ("-1", "N", "0")


@pytest.mark.parametrize("queue", [["SET x 1", "GET x"], ["SETRANGE x 0 1", "GET x"]], ids=["hot", "cold"])
def test_client_reply_decides_as_in_redis(server: Any, theirs: int, queue: list[str]) -> None:
    """The bytes of whole conversations: what OFF, SKIP and ON leave of a transaction."""
    queued = "".join(f"{line}\r\n" for line in queue)
    for text in (
        f"CLIENT REPLY OFF\r\nMULTI\r\n{queued}EXEC\r\nCLIENT REPLY ON\r\nGET x\r\n",
        f"MULTI\r\n{queued}CLIENT REPLY SKIP\r\nEXEC\r\nPING\r\nECHO end\r\n",
        f"CLIENT REPLY SKIP\r\nMULTI\r\n{queued}EXEC\r\nECHO end\r\n",
        f"MULTI\r\n{queued}CLIENT REPLY OFF\r\n{queued}EXEC\r\nPING\r\nCLIENT REPLY ON\r\nECHO end\r\n",
        f"MULTI\r\n{queued}CLIENT REPLY OFF\r\n{queued}CLIENT REPLY ON\r\n{queued}EXEC\r\nECHO end\r\n",
        f"MULTI\r\n{queued}\r\nCLIENT REPLY SKIP\r\nDISCARD\r\nECHO end\r\n",
    ):
        assert conversation(theirs, text) == conversation(server.port, text), text


def conversation(port: int, text: str) -> bytes:
    with Client(port) as client:
        client("FLUSHALL")
        client.socket.sendall(text.encode() + b"QUIT\r\n")
        return bytes(client.file.read())


def test_every_command_of_a_transaction_is_counted(client: Client) -> None:
    client.value("CONFIG", "RESETSTAT")
    client.all([("MULTI",), ("SET", "x", "1"), ("INCR", "x"), ("INCR", "x"), ("SETRANGE", "x", "0", "5"), ("EXEC",)])
    found = client.value("INFO", "commandstats").decode()
    for name, calls in (("multi", 1), ("set", 1), ("incr", 2), ("setrange", 1), ("exec", 1)):
        assert f"cmdstat_{name}:calls={calls}," in found, found
    client.value("CONFIG", "RESETSTAT")
    client.all([("MULTI",), ("SET", "x", "1"), ("INCR", "x"), ("INCR", "x"), ("EXEC",)])
    found = client.value("INFO", "commandstats").decode()
    for name, calls in (("multi", 1), ("set", 1), ("incr", 2), ("exec", 1)):
        assert f"cmdstat_{name}:calls={calls}," in found, found


def test_a_pause_of_writes_holds_back_a_transaction_that_writes(server: Any, client: Client) -> None:
    with Client(server.port) as other:
        for queue, waits in ((("GET", "x"), False), (("SET", "x", "1"), True), (("SETRANGE", "x", "0", "1"), True)):
            other.all([("MULTI",), queue])
            client.value("CLIENT", "PAUSE", 150, "WRITE")
            start = time.monotonic()
            other.value("EXEC")
            assert (time.monotonic() - start > 0.1) == waits
            client.value("CLIENT", "UNPAUSE")


@pytest.mark.peer("redis-server")
@pytest.mark.parametrize("queue", ["GET x", "SET x 1", "SETRANGE x 0 1", "PING"])
def test_what_needs_memory_above_the_limit_is_refused_as_by_redis(server: Any, theirs: int, queue: str) -> None:
    def answers(port: int) -> list[Reply]:
        with Client(port) as one, Client(port) as other:
            other("FLUSHALL")
            replies = [one("MULTI"), one(*queue.split()), other("CONFIG", "SET", "maxmemory", 1)]
            try:
                replies += [one("EXEC"), one("MULTI"), one(*queue.split()), one("DISCARD")]
                replies += [one("MULTI"), one("PING"), one("EXEC")]
            finally:
                other("CONFIG", "SET", "maxmemory", 0)
            return [*replies, one("MULTI"), one("PING"), one("EXEC"), one("DEL", "x")]

    assert answers(theirs) == answers(server.port)


def test_debug_sleep_in_a_transaction_lets_time_pass(client: Client) -> None:
    replies = client.all(
        [("MULTI",), ("SET", "x", "1", "PX", "20"), ("DEBUG", "SLEEP", "0.06"), ("GET", "x"), ("EXEC",)]
    )
    assert replies[-1] == ("*", [("+", "OK"), ("+", "OK"), ("$", None)])


# ---- with tables of Tsunami's own, and with threads


def test_ets_commands_can_be_queued(client: Client) -> None:
    client.all([("ETS.DROP", "tx")])
    client.value("ETS.NEW", "tx")
    count = ("ETS.UPDATECOUNTER", "tx", "k", "2", "5")
    replies = client.all([("MULTI",), ("ETS.INSERT", "tx", "k", "1"), ("ETS.LOOKUP", "tx", "k"), count, ("EXEC",)])
    assert replies[1:4] == [("+", "QUEUED")] * 3
    assert replies[4][0] == "*" and replies[4][1][2] == (":", 6)
    client.value("ETS.DROP", "tx")


WRITERS: dict[str, Callable[[tsunami.Table], object]] = {
    "insert": lambda table: table.insert((b"x", b"2")),
    "insert of the same": lambda table: table.insert((b"x", b"1")) and table.insert((b"x", b"3")),
    "delete": lambda table: table.delete(b"x"),
    "deadline": lambda table: tsunami._core.commit([], [(table, (b"x", b"1"), 1 << 45)], []),
}


@pytest.mark.parametrize("how", WRITERS)
def test_a_writer_in_the_process_breaks_a_watch(client: Client, how: str) -> None:
    client.all([("SET", "x", "1"), ("WATCH", "x"), ("MULTI",), ("SET", "y", "1")])
    WRITERS[how](tsunami.keyspace(0))
    assert client("EXEC") == ("*", None)
    assert client.value("GET", "y") is None
    client.all([("SET", "x", "1"), ("WATCH", "x"), ("MULTI",), ("SET", "y", "1")])
    tsunami.keyspace(0).insert((b"z", b"2"))
    assert client("EXEC") == ("*", [("+", "OK")])


def test_nobody_sees_a_part_of_a_transaction_or_comes_in_between(server: Any, client: Client) -> None:
    """Threads of the process write and read two keys while transactions do: sums stay, and both keys stay the same."""
    table, seconds = tsunami.keyspace(0), 1.5
    end, start = time.monotonic() + seconds, threading.Barrier(5)
    wrong: list[object] = []
    transfers = [0, 0]

    def read() -> None:
        start.wait()
        while time.monotonic() < end:
            with tsunami._core.hold(table, b"one", b"two"):
                seen = table[b"one"][1], table[b"two"][1]
            if seen[0] != seen[1]:
                wrong.append(seen)

    def write(me: int) -> None:
        start.wait()
        while time.monotonic() < end:
            with tsunami._core.hold(table, b"one", b"two"):
                n = int(table[b"one"][1]) + 1
                table.insert([(b"one", b"%d" % n), (b"two", b"%d" % n)])
            transfers[me] += 1

    def transact(queue: list[tuple[str, ...]], counts: list[int]) -> None:
        with Client(server.port) as mine:
            start.wait()
            while time.monotonic() < end:
                for _ in range(20):
                    reply = mine.all([("MULTI",), *queue, ("EXEC",)])[-1]
                    if reply[1][0] != reply[1][1]:
                        wrong.append(reply)
                    counts.append(1)

    client.all([("SET", "one", "0"), ("SET", "two", "0")])
    hot: list[int] = []
    cold: list[int] = []
    work = [
        threading.Thread(target=read),
        threading.Thread(target=write, args=(0,)),
        threading.Thread(target=write, args=(1,)),
        threading.Thread(target=transact, args=([("INCR", "one"), ("INCR", "two")], hot)),
        threading.Thread(target=transact, args=([("INCR", "one"), ("INCR", "two"), ("TIME",)], cold)),
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join(30)
        assert not thread.is_alive()
    assert not wrong, wrong[:5]
    assert min(transfers) > 0 and hot and cold
    total = sum(transfers) + len(hot) + len(cold)
    assert client.all([("GET", "one"), ("GET", "two")]) == [("$", b"%d" % total)] * 2


def test_optimistic_increments_of_clients_and_threads_lose_nothing(server: Any, client: Client) -> None:
    """The recipe of WATCH, by two connections, against a thread that increments the same key natively and in Python."""
    client.value("SET", "n", "0")
    rounds, lost = 150, [0]

    def optimistic() -> None:
        with Client(server.port) as mine:
            done = 0
            while done < rounds:
                n = int(mine.all([("WATCH", "n"), ("GET", "n")])[1][1])
                if mine.all([("MULTI",), ("SET", "n", n + 1), ("EXEC",)])[-1] == ("*", None):
                    lost[0] += 1
                else:
                    done += 1

    def native() -> None:
        with Client(server.port) as mine:
            for _ in range(rounds):
                mine.value("INCR", "n")

    def in_process() -> None:
        table = tsunami.keyspace(0)
        for _ in range(rounds):
            with tsunami._core.hold(table, b"n"):
                table.insert((b"n", b"%d" % (int(table[b"n"][1]) + 1)))
            time.sleep(0.0005)

    work = [threading.Thread(target=each) for each in (optimistic, optimistic, native, in_process)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join(30)
        assert not thread.is_alive()
    assert client.value("GET", "n") == b"%d" % (4 * rounds)
    assert lost[0] > 0, "nothing met: the test proves nothing"
    assert server._app.plane.interest_count() == 0


def test_interest_in_keys_is_counted_and_ends(server: Any, client: Client) -> None:
    """Many keys, watched by several clients and let go in another order: the plane's set is what it should be."""
    plane = server._app.plane
    names = [f"key:{i}" for i in range(500)]
    with Client(server.port) as one, Client(server.port) as two:
        one.value("WATCH", *names)
        two.value("WATCH", *names[250:], *names[:50])
        assert plane.interest_count() == 500
        one.value("UNWATCH")
        assert plane.interest_count() == 300
        two.value("MULTI")
        client.value("SET", "key:100", "x")  # nobody's any more
        assert two("EXEC") == ("*", [])
        assert plane.interest_count() == 0
    with pytest.raises(KeyError):
        plane.interest_drop(b"key:1")
