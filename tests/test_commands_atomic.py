"""Commands of several keys, and read-modify-writes, are one step: also beside threads of the program that write to the
same tables.

Every test runs with the handlers in Python (`atomically`) and with the native ones.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from _redis import Client, our_server
from _support import effort

import tsunami
from tsunami import _core
from tsunami_server.command import CommandError
from tsunami_server.keyspace import View, atomically, value_of
from tsunami_server.values import kind_of

pytestmark = pytest.mark.threads


@dataclass(frozen=True)
class Nobody:
    """In whose name a test writes: no connection, and nobody hears of it."""

    table: tsunami.Table

    @property
    def changes(self) -> "Nobody":
        return self

    def touched(self, db: int, key: bytes) -> None: ...


@pytest.fixture(params=["hot", "cold"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(all_cold=request.param == "cold") as server:
        for db in range(16):
            tsunami.keyspace(db).delete_all_objects()
        yield server


def together(*jobs: Callable[[], None]) -> None:
    """Run the jobs at once, from one start; the first error is raised."""
    barrier = threading.Barrier(len(jobs))
    errors: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            barrier.wait(20)
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a job hangs"
    if errors:
        raise errors[0]


def test_increments_from_all_sides_add_up(server: Any) -> None:
    table, rounds = tsunami.keyspace(0), effort(300)
    table.insert((b"n", b"0"))

    def over_the_wire(words: tuple[str, ...]) -> Callable[[], None]:
        def job() -> None:
            with Client(server.port) as client:
                for _ in range(rounds):
                    client.value(*words)

        return job

    def in_process() -> None:
        for _ in range(rounds):
            atomically(Nobody(table), lambda view: view.put(b"n", b"%d" % (int(view.get(b"n") or 0) + 100)))

    together(over_the_wire(("INCR", "n")), over_the_wire(("INCRBY", "n", "10")), in_process)
    assert value_of(table.lookup(b"n")[0]) == b"%d" % (rounds * 111)


def test_appends_from_all_sides_all_arrive(server: Any) -> None:
    table, rounds = tsunami.keyspace(0), effort(200)

    def over_the_wire(letter: str) -> Callable[[], None]:
        def job() -> None:
            with Client(server.port) as client:
                for _ in range(rounds):
                    client.value("APPEND", "log", letter)

        return job

    def in_process() -> None:
        for _ in range(rounds):
            atomically(Nobody(table), lambda view: view.put(b"log", (view.get(b"log") or b"") + b"c"))

    together(over_the_wire("a"), over_the_wire("b"), in_process)
    log = value_of(table.lookup(b"log")[0])
    assert [log.count(letter) for letter in (b"a", b"b", b"c")] == [rounds] * 3


def test_moves_between_databases_lose_and_double_nothing(server: Any) -> None:
    """A token is moved, renamed and swapped about by several connections; there is always exactly one."""
    rounds = effort(150)
    tsunami.keyspace(0).insert((b"token", b"1"))

    def mover(*calls: tuple[str, ...]) -> Callable[[], None]:
        def job() -> None:
            with Client(server.port) as client:
                for number in range(rounds):
                    client(*calls[number % len(calls)])

        return job

    together(
        mover(("SELECT", "0"), ("MOVE", "token", "1"), ("SELECT", "1"), ("MOVE", "token", "0")),
        mover(("RENAME", "token", "other"), ("RENAMENX", "other", "token")),
        mover(("SWAPDB", "0", "1"), ("SELECT", "1")),
    )
    keys = [row[0] for db in (0, 1) for row in tsunami.keyspace(db)]
    assert keys in ([b"token"], [b"other"])


def test_mget_sees_all_of_an_mset_or_nothing_of_it(server: Any) -> None:
    """The rows that a program inserts in one step are seen in one moment by the handler. (Native MGET goes key by key:
    cold only.)
    """
    server._app.plane.disable("mget")
    table, rounds, keys = tsunami.keyspace(0), effort(200), [b"m%d" % number for number in range(8)]
    table.insert([(key, b"0") for key in keys])
    done = threading.Event()

    def write() -> None:
        for generation in range(rounds):
            table.insert([(key, b"%d" % generation) for key in keys])
        done.set()

    def read() -> None:
        with Client(server.port) as client:
            while not done.is_set():
                assert len(set(client.value("MGET", *keys))) == 1

    together(write, read, read)


# ---- the verb itself


@pytest.fixture
def table() -> tsunami.Table:
    table = tsunami.keyspace(15)
    table.delete_all_objects()
    return table


def test_a_step_runs_again_if_what_it_read_has_changed(table: tsunami.Table) -> None:
    table.insert((b"k", b"1"))
    runs = []

    def step(view: View) -> bytes | None:
        seen = view.get(b"k")
        runs.append(seen)
        if len(runs) == 1:
            table.insert((b"k", b"2"))  # somebody else
        view.put(b"k", (seen or b"") + b"!")
        return seen

    assert atomically(Nobody(table), step) == b"2"
    assert runs == [b"1", b"2"]
    assert table.lookup(b"k") == [(b"k", b"2!")]


def test_a_step_runs_again_if_only_the_deadline_has_changed(table: tsunami.Table) -> None:
    later = 4_102_444_800_000
    table.insert((b"k", b"1"))
    runs = []

    def step(view: View) -> None:
        runs.append(view.deadline(b"k"))
        if len(runs) == 1:
            _core.commit([], [(table, (b"k", b"1"), later)], [])
        view.put(b"k", b"2", view.deadline(b"k"))

    atomically(Nobody(table), step)
    assert runs == [None, later]
    assert _core.entry(table, b"k") == ((b"k", b"2"), later)


def test_a_step_that_fails_changes_nothing(table: tsunami.Table) -> None:
    def step(view: View) -> None:
        view.put(b"k", b"1")
        raise CommandError("ERR no")

    with pytest.raises(CommandError):
        atomically(Nobody(table), step)
    assert len(table) == 0


def test_the_last_word_on_a_key_counts(table: tsunami.Table) -> None:
    def step(view: View) -> None:
        view.put(b"a", b"1")
        view.erase(b"a")
        view.erase(b"b")
        view.put(b"b", b"1")
        view.put(b"b", b"2")

    atomically(Nobody(table), step)
    assert list(table) == [(b"b", b"2")]


def test_a_view_of_one_key_commits_without_asking(table: tsunami.Table) -> None:
    table.insert((b"k", b"1"))
    view = View(table)
    assert view.get(b"k") == b"1"
    table.insert((b"k", b"2"))
    assert view.commit()
    several = View(table)
    assert (several.get(b"k"), several.get(b"none")) == (b"2", None)
    table.insert((b"none", b"3"))
    assert not several.commit()


def test_rows_of_other_shapes_are_no_strings() -> None:
    assert [kind_of(row) for row in (None, (b"k", b"v"), (b"k",), (b"k", 1, 2), (b"k", ()))] == [
        "none",
        "string",
        "term",
        "term",
        "term",
    ]
