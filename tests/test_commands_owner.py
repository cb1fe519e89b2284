"""Owners, heirs, gifts and fixations over RESP: a connection is a session.

Everything runs over both transports. What the rules are is test_sessions' business; here it is that connections are
parties to them, what the words and replies are, and when messages come.
"""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import pytest
from _redis import Client, our_server
from _server import IO_KINDS, Process, Wire, request, tsunami_server
from _support import wait_until

import tsunami
import tsunami_server as tsunami_server_in_process
from tsunami import Table

names = (f"owned_{number}" for number in itertools.count())


@pytest.fixture(scope="module", params=IO_KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Process]:
    with tsunami_server("--io", request.param) as server:
        yield server


class Person(Wire):
    """A connection that knows its client id; with RESP3 hears what is pushed to it."""

    def __init__(self, server: Process, resp: int = 3) -> None:
        super().__init__(server.address)
        self("HELLO", resp)
        number = self("CLIENT", "ID")
        assert isinstance(number, int)
        self.id = number

    def new(self, *options: str | int) -> str:
        name = next(names)
        assert self("ETS.NEW", name, *options) == name.encode()
        return name

    def info(self, table: str, item: str) -> object:
        return self("ETS.INFO", table, item)

    def why(self, *words: str | int) -> str:
        """The first word of the error."""
        answer = self(*words)
        assert isinstance(answer, Exception), answer
        return str(answer).split(" ")[0]

    def pushed(self) -> object:
        """The push that stands before the reply to a PING: it must be there."""
        self.send(request("PING"))
        message = self.reply()
        assert self.reply() == b"PONG", message
        return message

    def misses(self, other: "Person") -> bool:
        """Is the other's connection gone, as CLIENT LIST has it?"""
        return f"id={other.id} " not in str(self("CLIENT", "LIST"))

    def hears_nothing(self) -> bool:
        return self("PING") == b"PONG"


Meet = Callable[..., Person]


@pytest.fixture
def meet(server: Process) -> Iterator[Meet]:
    known: list[Person] = []

    def come(resp: int = 3) -> Person:
        known.append(Person(server, resp))
        return known[-1]

    yield come
    for person in known:
        person.close()


def gone(person: Person, table: str) -> bool:
    return person("ETS.WHEREIS", table) is None


# ---- rights


def test_a_table_is_public_and_nobodys_unless_an_owner_is_asked_for(meet: Meet) -> None:
    a, b = meet(), meet()
    table = a.new()
    assert (a.info(table, "protection"), a.info(table, "owner")) == (b"public", None)
    assert b("ETS.INSERT", table, "k", "v") == 1
    a.close()
    assert b("ETS.LOOKUP", table, "k") == [[b"k", b"v"]]
    assert b("ETS.DROP", table) == 1


@pytest.mark.parametrize(
    ("options", "protection"),
    [
        (("OWNED",), b"public"),
        (("PUBLIC", "OWNED"), b"public"),
        (("PROTECTED",), b"protected"),
        (("PRIVATE",), b"private"),
        (("private", "owned", "protected"), b"protected"),
    ],
)
def test_an_owned_table_tells_its_owner(meet: Meet, options: tuple[str, ...], protection: bytes) -> None:
    a, b = meet(), meet()
    table = a.new(*options)
    assert (b.info(table, "protection"), b.info(table, "owner")) == (protection, a.id)


READS = {
    "ETS.LOOKUP": ("k",),
    "ETS.MLOOKUP": ("k",),
    "ETS.MEMBER": ("k",),
    "ETS.LOOKUPELEMENT": ("k", 1),
    "ETS.FIRST": (),
    "ETS.LAST": (),
    "ETS.NEXT": ("k",),
    "ETS.PREV": ("k",),
    "ETS.FIRSTLOOKUP": (),
    "ETS.SLOT": (0,),
    "ETS.FIX": (),
    "ETS.UNFIX": (),
}
WRITES = {
    "ETS.INSERT": ("k", 1),
    "ETS.INSERTNEW": ("other", 1),
    "ETS.UPDATECOUNTER": ("k", 2, 1),
    "ETS.UPDATEELEMENT": ("k", 2, "x"),
    "ETS.TAKE": ("k",),
    "ETS.DELETE": ("k",),
    "ETS.DELETEOBJECT": ("k", 1),
    "ETS.CLEAR": (),
    "ETS.RENAME": ("another",),
    "ETS.SETOPTS": ("PUBLIC",),
    "ETS.DROP": (),
}
ODD = {  # what would be a mistake if the right were there
    "ETS.LOOKUPELEMENT": ("k", "no position"),
    "ETS.SLOT": ("no slot",),
    "ETS.INSERT": ("ROWS", "x", "y"),
    "ETS.UPDATECOUNTER": ("k", 0, "x"),
    "ETS.GIVEAWAY": (999999, "nobody"),
    "ETS.SETOPTS": ("FOO",),
}


@pytest.mark.parametrize("command", [*READS, *WRITES])
def test_a_private_table_is_its_owners_alone(meet: Meet, command: str) -> None:
    a, b = meet(), meet()
    table = a.new("PRIVATE")
    assert a("ETS.INSERT", table, "k", 1) == 1
    arguments = (READS | WRITES)[command]
    assert b.why(command, table, *arguments) == "NOACCESS"
    b("ETS.NEW", next(names), "OWNED")  # to be somebody helps no more than to be nobody
    assert b.why(command, table, *arguments) == "NOACCESS"
    assert a("ETS.LOOKUP", table, "k") == [[b"k", 1]]
    assert not isinstance(a(command, table, *arguments), Exception)


@pytest.mark.parametrize("command", [*READS, *WRITES])
def test_a_protected_table_is_read_by_all_and_written_by_its_owner(meet: Meet, command: str) -> None:
    a, b = meet(), meet()
    table = a.new("PROTECTED")
    assert a("ETS.INSERT", table, "k", 1) == 1
    if command in WRITES:
        assert b.why(command, table, *WRITES[command]) == "NOACCESS"
    else:
        assert not isinstance(b(command, table, *READS[command]), Exception)


@pytest.mark.parametrize("command", ODD)
def test_the_right_is_looked_at_before_other_arguments(meet: Meet, command: str) -> None:
    a, b = meet(), meet()
    table = a.new("PRIVATE")
    assert b.why(command, table, *ODD[command]) == "NOACCESS"
    assert a.why(command, table, *ODD[command]) != "NOACCESS"


def test_anyone_may_ask_about_any_table(meet: Meet) -> None:
    a, b = meet(), meet()
    table = a.new("PRIVATE")
    a("ETS.INSERT", table, "k", 1)
    assert table.encode() in b("ETS.ALL")  # type: ignore[operator]
    assert b("ETS.WHEREIS", table) == a("ETS.WHEREIS", table)
    assert b("ETS.LEN", table) == 1
    assert b.info(table, "owner") == a.id


# ---- ends


@pytest.mark.parametrize("end", ["close", "reset", "QUIT", "CLIENT KILL"])
def test_an_owned_table_ends_with_its_connection(meet: Meet, end: str) -> None:
    a, b = meet(), meet()
    table, fixed = a.new("PRIVATE"), b.new()
    assert a("ETS.FIX", fixed) == 1
    if end == "close":
        a.close()
    elif end == "reset":
        a.reset()
    elif end == "QUIT":
        a("QUIT")
    else:
        b("CLIENT", "KILL", "ID", a.id)
    wait_until(lambda: gone(b, table), "the table is deleted")
    assert b.info(fixed, "fixed") is False
    assert b("ETS.NEW", table) == table.encode()
    assert b("ETS.DROP", table) == 1


def test_requests_that_came_before_the_end_are_carried_out(meet: Meet) -> None:
    a, b = meet(), meet()
    table, public = next(names), b.new()
    a.send(request("ETS.NEW", table, "HEIR", b.id, "x") + request("ETS.INSERT", public, "k", 1))
    a.close()
    assert b.reply() == [b"ETS-TRANSFER", [table.encode(), a.id, b"x"]]
    assert b("ETS.LEN", public) == 1


@pytest.mark.skipif("native" not in IO_KINDS, reason="asyncio gives up what it has not read")
@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("cold", [False, True])
def test_nobody_reading_the_replies_changes_nothing(end: str, cold: bool) -> None:
    """A client that leaves without reading megabytes of replies: the last of its requests is carried out, too.

    They are few enough bytes to have arrived when it leaves; what is still on its way is lost with the connection.
    """
    with tsunami_server("--io", "native") as server, contextlib.closing(Person(server)) as b:
        table, done = b.new(), b.new()
        for n in range(100):
            b("ETS.INSERT", table, n, "x" * (20_000 if cold else 1000))
        for _ in range(5):
            a = Person(server)
            many = request("ETS.FIRSTLOOKUP", table) if cold else request("ETS.MLOOKUP", table, *range(100))
            a.send(
                many * (500 if cold else 40)
                + request("ETS.INSERT", done, a.id)
                + request("ETS.NEW", f"left {a.id}", "HEIR", b.id, 1)
            )
            getattr(a, end)()
            assert b.reply() == [b"ETS-TRANSFER", [f"left {a.id}".encode(), a.id, 1]]
            assert b("ETS.MEMBER", done, a.id) == 1
            wait_until(partial(b.misses, a), "it is forgotten")


@pytest.mark.parametrize("end", ["close", "reset"])
def test_an_heir_gets_the_table_and_is_told_once(meet: Meet, end: str) -> None:
    a, heir = meet(), meet()
    table = a.new("PRIVATE", "HEIR", heir.id, "a word")
    a("ETS.INSERT", table, "k", 1)
    assert a.info(table, "heir") == heir.id
    getattr(a, end)()
    assert heir.reply() == [b"ETS-TRANSFER", [table.encode(), a.id, b"a word"]]
    assert heir.info(table, "owner") == heir.id
    assert heir.info(table, "heir") == heir.id  # of itself, which means nothing until the table moves on
    assert heir("ETS.LOOKUP", table, "k") == [[b"k", 1]]
    assert heir.hears_nothing()


def test_an_heir_that_has_gone_inherits_nothing(meet: Meet) -> None:
    a, heir, other = meet(), meet(), meet()
    table = a.new("PRIVATE", "HEIR", heir.id, "x")
    heir.close()
    wait_until(lambda: other.info(table, "heir") is None, "the heir is gone")
    a.close()
    wait_until(lambda: gone(other, table), "the table is deleted")


def test_an_unknown_heir_is_none_and_an_odd_one_a_mistake(meet: Meet) -> None:
    a = meet()
    table = a.new("HEIR", 999999, "x")
    assert (a.info(table, "heir"), a.info(table, "owner")) == (None, a.id)
    assert a.why("ETS.NEW", next(names), "HEIR", "nobody", "x") == "BADARG"
    assert a.why("ETS.NEW", next(names), "HEIR", "1") == "ERR"


def test_to_be_ones_own_heir_means_nothing(meet: Meet) -> None:
    a, b = meet(), meet()
    table = a.new("HEIR", a.id, "x")
    a.close()
    wait_until(lambda: gone(b, table), "the table is deleted")


# ---- gifts


def test_a_gift_is_told_before_anything_asked_later(meet: Meet) -> None:
    a, b = meet(), meet()
    for _ in range(50):
        table = a.new("PRIVATE")
        a("ETS.INSERT", table, "k", 1)
        assert a("ETS.GIVEAWAY", table, b.id, 5) == 1
        assert b.pushed() == [b"ETS-TRANSFER", [table.encode(), a.id, 5]]
        assert a.why("ETS.LOOKUP", table, "k") == "NOACCESS"  # the giver has lost it at once
        assert b("ETS.LOOKUP", table, "k") == [[b"k", 1]]


def test_a_push_never_stands_inside_a_reply(meet: Meet) -> None:
    a, b = meet(), meet()
    table = b.new()
    for n in range(300):
        b("ETS.INSERT", table, n, "x" * 1000)
    keys = range(300)
    gifts = [a.new("OWNED") for _ in range(40)]
    b.send(b"".join(request("ETS.MLOOKUP", table, *keys) for _ in range(40)))  # b reads none of it yet
    for gift in gifts:
        assert a("ETS.GIVEAWAY", gift, b.id, "x") == 1
    heard: list[str] = []
    answers = 0
    while len(heard) < 40 or answers < 40:
        message = b.reply()
        assert isinstance(message, list), message
        if message[0] == b"ETS-TRANSFER":
            heard.append(message[1][0].decode())
        else:
            answers += 1
            assert len(message) == 300 and all(rows[0][1] == b"x" * 1000 for rows in message)
    assert heard == gifts


def test_a_gift_in_its_modes(meet: Meet) -> None:
    a, b = meet(), meet()
    for words, data in ((("5",), 5), (("RAW", "5"), b"5"), (("TERM", "{a, [1]}"), [b"a", [1]]), (("TERM",), b"TERM")):
        table = a.new("OWNED")
        assert a("ETS.GIVEAWAY", table, b.id, *words) == 1
        assert b.pushed() == [b"ETS-TRANSFER", [table.encode(), a.id, data]]


def test_who_may_give_what_to_whom(meet: Meet) -> None:
    a, b, c = meet(), meet(), meet()
    public, protected = a.new("OWNED"), a.new("PROTECTED")
    assert a.why("ETS.GIVEAWAY", public, 999999, "x") == "BADARG"
    assert a.why("ETS.GIVEAWAY", public, "nobody", "x") == "BADARG"
    assert a.why("ETS.GIVEAWAY", public, a.id, "x") == "BADARG"
    assert b.why("ETS.GIVEAWAY", public, c.id, "x") == "NOACCESS"
    assert b.why("ETS.GIVEAWAY", protected, c.id, "x") == "NOACCESS"
    assert b.why("ETS.GIVEAWAY", "no table", c.id, "x") == "NOTABLE"
    assert (b.info(public, "owner"), b.info(protected, "owner")) == (a.id, a.id)
    assert c.hears_nothing()


def test_a_gift_moves_on_to_the_heir_that_the_giver_chose(meet: Meet) -> None:
    a, b, heir = meet(), meet(), meet()
    table = a.new("HEIR", heir.id, "inherit")
    a("ETS.GIVEAWAY", table, b.id, "gift")
    b.close()
    assert heir.reply() == [b"ETS-TRANSFER", [table.encode(), b.id, b"inherit"]]


def test_after_a_rename_the_message_has_the_new_name(meet: Meet) -> None:
    a, b = meet(), meet()
    table, name = a.new("OWNED"), next(names)
    a("ETS.RENAME", table, name)
    a("ETS.GIVEAWAY", name, b.id, "x")
    assert b.pushed() == [b"ETS-TRANSFER", [name.encode(), a.id, b"x"]]


def test_a_client_of_resp2_owns_without_being_told(meet: Meet) -> None:
    a, b = meet(), meet(2)
    table = a.new("PRIVATE")
    a("ETS.GIVEAWAY", table, b.id, "x")
    assert b("PING") == b"PONG"
    assert b("ETS.INSERT", table, "k", 1) == 1


def test_a_message_passes_client_reply_off(meet: Meet) -> None:
    a, b = meet(), meet()
    b.send(request("CLIENT", "REPLY", "OFF") + request("SET", f"off {b.id}", 1))
    wait_until(lambda: a("EXISTS", f"off {b.id}") == 1, "b is deaf")
    table = a.new("OWNED")
    a("ETS.GIVEAWAY", table, b.id, "x")
    assert b.reply() == [b"ETS-TRANSFER", [table.encode(), a.id, b"x"]]


# ---- options


def test_setopts_changes_all_or_nothing(meet: Meet) -> None:
    a, b = meet(), meet()
    table = a.new("PRIVATE")
    assert a("ETS.SETOPTS", table, "PUBLIC", "HEIR", b.id, "x") == 1
    assert (b.info(table, "protection"), b.info(table, "heir")) == (b"public", b.id)
    assert a.why("ETS.SETOPTS", table, "PRIVATE", "PUBLIC") == "ERR"
    assert a.why("ETS.SETOPTS", table, "PRIVATE", "HEIR", "nobody", "x") == "BADARG"
    assert a.why("ETS.SETOPTS", table, "NOHEIR", "HEIR", b.id, "x") == "ERR"
    assert (b.info(table, "protection"), b.info(table, "heir")) == (b"public", b.id)
    assert a("ETS.SETOPTS", table, "NOHEIR") == 1
    assert b.info(table, "heir") is None
    assert b.why("ETS.SETOPTS", table, "PRIVATE") == "NOACCESS"
    assert a("ETS.SETOPTS", table) == 1


def test_info_echoes_the_options(meet: Meet) -> None:
    a = meet()
    table = a.new("WRITE_CONCURRENCY", "auto", "READ_CONCURRENCY", "TRUE", "COMPRESSED")
    items = ("write_concurrency", "read_concurrency", "decentralized_counters", "compressed")
    assert [a.info(table, item) for item in items] == [b"auto", True, True, True]
    assert [a.info(a.new("PRIVATE", "WRITE_CONCURRENCY", "TRUE"), item) for item in items] == [False] * 4
    assert a.why("ETS.NEW", next(names), "READ_CONCURRENCY", "AUTO") == "BADARG"


# ---- fixations


def test_fixations_are_counted_for_each_connection(meet: Meet) -> None:
    a, b = meet(), meet()
    table = a.new()
    assert a.info(table, "safe_fixed") is False
    assert b("ETS.UNFIX", table) == 1  # of nobody in particular, and of nothing
    assert a("ETS.FIX", table) == a("ETS.FIX", table) == b("ETS.FIX", table) == 1
    since, fixers = cast(tuple[list[int], list[list[int]]], a.info(table, "safe_fixed"))
    seconds, micros = divmod(since[0] * 10**12 + since[1] * 10**6 + since[2], 10**6)
    now = a("TIME")
    assert (seconds, micros) <= (int(now[0]), int(now[1]))  # type: ignore[index]
    assert sorted(fixers) == sorted([[a.id, 2], [b.id, 1]])
    assert a.info(table, "safe_fixed_monotonic_time")[1] == fixers  # type: ignore[index]
    b("ETS.UNFIX", table), b("ETS.UNFIX", table)
    assert a.info(table, "safe_fixed")[1] == [[a.id, 2]]  # type: ignore[index]
    a.close()
    wait_until(lambda: b.info(table, "fixed") is False, "the fixations are gone")


def test_a_walk_goes_on_after_another_connection_deletes(meet: Meet) -> None:
    a, b = meet(), meet()
    table = a.new()
    for n in range(20):
        a("ETS.INSERT", table, n)
    a("ETS.FIX", table)
    key, seen = a("ETS.FIRST", table), []
    while key is not None:
        seen.append(key)
        b("ETS.DELETE", table, key)  # type: ignore[arg-type]
        key = a("ETS.NEXT", table, key)  # type: ignore[arg-type]
    assert sorted(seen) == list(range(20))  # type: ignore[type-var]
    a("ETS.UNFIX", table)
    assert a.why("ETS.NEXT", table, seen[0]) == "BADKEY"  # type: ignore[arg-type]


# ---- strangers


@pytest.mark.parametrize("line", [b"POST / HTTP/1.1\r\n", b"Host: localhost\r\n", b"post\r\n", request("HOST:", "x")])
def test_http_is_refused_before_what_follows_is_taken_for_commands(meet: Meet, line: bytes) -> None:
    a, b = meet(), meet()
    name = next(names)
    a.send(line + request("ETS.NEW", name))
    assert a.rest() == b""
    assert gone(b, name)


def test_http_is_refused_without_a_password_and_is_logged_once_a_minute() -> None:
    with tsunami_server("--requirepass", "secret") as server:
        for _ in range(3):
            with server.wire() as wire:
                wire.send(b"POST /x HTTP/1.1\r\nHost: y\r\n\r\n")
                assert wire.rest() == b""
        wait_until(lambda: any("SECURITY ATTACK" in line for line in server.log), "it is logged")
        assert sum("Possible SECURITY ATTACK detected." in line for line in server.log) == 1


def test_info_counts_refused_connections() -> None:
    with tsunami_server("--maxclients", "1") as server, server.wire() as first:
        assert b"rejected_connections:0\r\n" in first("INFO", "stats")  # type: ignore[operator]
        with server.wire() as second:
            assert second.rest().startswith(b"-ERR max number of clients")
        assert b"rejected_connections:1\r\n" in first("INFO", "stats")  # type: ignore[operator]


# ---- the server inside a program


def test_a_program_and_a_connection_give_tables_to_each_other() -> None:
    with tsunami_server_in_process.background(port=0) as running, tsunami.session() as ours:
        with Wire(running.address) as wire:
            assert isinstance(wire("HELLO", 3), (dict, list))
            assert wire("ETS.NEW", "owned_by_wire", "PRIVATE") == b"owned_by_wire"
            table = tsunami.whereis("owned_by_wire")
            assert table is not None
            theirs = table.info("owner")
            assert isinstance(theirs, tsunami.Session)
            with pytest.raises(tsunami.AccessDenied):
                table.lookup(1)
            with ours.here():
                mine = ours.new("owned_by_program", protection="private", heir=(theirs, 0))
                mine.insert((1, "x"))
                mine.give_away(theirs, {"n": 1})
            assert wire.reply() == [b"ETS-TRANSFER", [b"owned_by_program", f"session:{ours.id}".encode(), {b"n": 1}]]
            assert wire("ETS.LOOKUP", "owned_by_program", 1) == [[1, b"x"]]
            wire("ETS.NEW", "left_to_program", "OWNED")
            with theirs.here():
                cast(Table, tsunami.whereis("left_to_program")).setopts(heir=(ours, "yours"))
        message = ours.receive(20)
        assert message is not None
        assert (message[1].name, message[2] is theirs, message[3]) == ("left_to_program", True, "yours")
        wait_until(lambda: not theirs.alive, "the connection is over")
        wait_until(lambda: tsunami.whereis("owned_by_wire") is None, "the connection's table is deleted")


def test_a_session_around_the_server_is_not_its_connections() -> None:
    """The loop's callbacks inherit the context in which they were made; commands do not run in it."""
    with tsunami.session() as ours:
        table = ours.new("owned_around", protection="private")
        table.insert((1,))

        async def main() -> object:
            server = await tsunami_server_in_process.start(port=0)
            try:
                return await asyncio.to_thread(ask, server.address)
            finally:
                await server.stop()

        def ask(address: tuple[str, int] | str) -> object:
            with Wire(address) as wire:
                return [wire("ETS.LOOKUP", "owned_around", 1), wire("ETS.FIRST", "owned_around")]

        assert all("NOACCESS" in str(answer) for answer in cast(list[object], asyncio.run(main())))


# ---- large tables


class Mourner:
    """Stands in a row, and tells in which thread that was freed."""

    def __init__(self, threads: list[str]) -> None:
        self.threads = threads

    def __del__(self) -> None:
        self.threads.append(threading.current_thread().name)


def say_bye(client: Client, name: str) -> None:
    assert client("ETS.BYE") == ("+", "OK")


def hang_up(client: Client, name: str) -> None:
    client.close()


def drop(client: Client, name: str) -> None:
    assert client("ETS.DROP", name) == (":", 1)


def freed_in(end: Callable[[Client, str], None], rows: int) -> str:
    """In which thread a row of a table of so many was freed, whose end came like this."""
    with our_server() as server:
        client = Client(server.port)
        name = f"large_{rows}_{end.__name__}"
        client("ETS.NEW", name, "PUBLIC", "OWNED")
        table = tsunami.whereis(name)
        assert table is not None
        threads: list[str] = []
        table.insert([(i, i) for i in range(rows)])
        table.insert((-1, Mourner(threads)))
        end(client, name)
        wait_until(lambda: threads, "the row is freed")
        assert tsunami.whereis(name) is None
        if end is not hang_up:
            client.close()
        return threads[0]


@pytest.mark.parametrize("end", [say_bye, hang_up, drop])
def test_the_loop_does_not_free_many_rows(end: Callable[[Client, str], None]) -> None:
    # Not each time: the loop drops such objects now and then, also those that the other thread has just let go.
    assert any(freed_in(end, 20_000).startswith("asyncio_") for _ in range(5))
    assert not freed_in(end, 100).startswith("asyncio_")
