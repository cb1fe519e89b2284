"""Redis's keys, values and deadlines, told in terms of tables.

A database is a table of type set (`tsunami.keyspace(n)`) whose rows are `(key, value)`. A key's deadline belongs to its
row, and the engine hides a row from the moment it is due: nothing here ever asks whether a key has expired.

**One verb.** A command that touches keys is a function of a `View`, and `atomically` runs it: what it read is
remembered, what it wants to write is collected, and at the end both go to the engine in one step, which stores
everything if everything that was read is still so, and nothing otherwise; then the function runs again. So a function
of a view may read and write any number of keys in any number of databases, sees one moment of all of them, and must do
nothing else that cannot be done twice.

What must stay true:

1. A function that only reads one key needs no commit; one that reads several gets one (without it MGET could see half
   of an MSET).
2. A read after a write in the same view sees what was there before it: commands read first and write then.
3. Every key that was written or erased is told to Signals once it is done, and only then.
4. Values are bytes. What a Python program put there as text comes out as UTF-8, an int as its decimal text, a float as
   `repr` has it; any other term is a value of the wrong type. Keys that are no binaries are invisible to Redis's
   commands.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from tsunami import Row, Table, _core, keyspace
from tsunami.literal import int_text
from tsunami_server.command import CommandError

T = TypeVar("T")

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


class Changes(Protocol):
    """Hears of every key that was written or erased: signals.Signals."""

    def touched(self, db: int, key: bytes, /) -> None: ...


class Client(Protocol):
    """For whom a step is carried out: session.Session."""

    @property
    def table(self) -> Table: ...
    @property
    def changes(self) -> Changes: ...


class View:
    """One attempt at an atomic step over keyspaces. `table` is the database that the session has selected."""

    __slots__ = ("_changes", "_erases", "_puts", "_reads", "_touched", "table")

    def __init__(self, table: Table, changes: Changes | None = None) -> None:
        """`changes` hears of what is written; only who reads may leave it out."""
        self.table = table
        self._changes = changes
        self._reads: dict[tuple[int, bytes], tuple[Table, bytes, Row | None, int | None]] = {}
        self._puts: dict[tuple[int, bytes], tuple[Table, Row, int | None]] = {}
        self._erases: dict[tuple[int, bytes], tuple[Table, bytes]] = {}
        self._touched: list[tuple[Table, bytes]] = []

    # -- reading

    def entry(self, key: bytes, table: Table | None = None) -> tuple[Row | None, int | None]:
        """The row (None: there is none) and its deadline in ms since 1970 (None: it has none)."""
        table = self.table if table is None else table
        at = (id(table), key)
        seen = self._reads.get(at)
        if seen is None:
            row, deadline = _core.entry(table, key) or (None, None)
            seen = self._reads[at] = (table, key, row, deadline)
        return seen[2], seen[3]

    def exists(self, key: bytes, table: Table | None = None) -> bool:
        return self.entry(key, table)[0] is not None

    def get(self, key: bytes) -> bytes | None:
        """The value, None if there is no such key; CommandError if it is no value for a string command."""
        row = self.entry(key)[0]
        return None if row is None else value_of(row)

    def deadline(self, key: bytes) -> int | None:
        return self.entry(key)[1]

    # -- writing

    def put(self, key: bytes, value: bytes, deadline: int | None = None) -> None:
        """Store a value; without a deadline the key lives until it is deleted."""
        self.put_row((key, value), deadline)

    def put_row(self, row: Row, deadline: int | None, table: Table | None = None) -> None:
        table = self.table if table is None else table
        key = bytes_of_key(row[0])
        assert key is not None
        self._erases.pop((id(table), key), None)
        self._puts[id(table), key] = (table, row, deadline)

    def erase(self, key: bytes, table: Table | None = None) -> None:
        table = self.table if table is None else table
        self._puts.pop((id(table), key), None)
        self._erases[id(table), key] = (table, key)

    def keep_until(self, key: bytes, deadline: int | None) -> None:
        """Change a key's deadline and nothing else. The key must have been read."""
        row = self.entry(key)[0]
        assert row is not None
        self.put_row(row, deadline)

    def touch(self, key: bytes, table: Table | None = None) -> None:
        """The key's value has changed, although its row has not."""
        self._touched.append((self.table if table is None else table, key))

    # -- the end

    def commit(self) -> bool:
        """Make it so. False: something that was read has changed; nothing was written."""
        if not self._puts and not self._erases and len(self._reads) <= 1:
            done = True
        else:
            done = _core.commit(list(self._reads.values()), list(self._puts.values()), list(self._erases.values()))
        if done and self._changes is not None:
            self._tell(self._changes)
        return done

    def _tell(self, changes: Changes) -> None:
        for table, key in self._touched:
            changes.touched(db_of(table), key)
        for (_, key), put in self._puts.items():
            changes.touched(db_of(put[0]), key)
        for at, (table, key) in self._erases.items():
            if at not in self._reads or self._reads[at][2] is not None:  # what was not there has not changed
                changes.touched(db_of(table), key)


def atomically(client: Client, step: Callable[[View], T]) -> T:
    """Run `step` until what it read still holds when what it wrote is stored. Each failure means that somebody else got
    on.
    """
    table, changes = client.table, client.changes
    while True:
        view = View(table, changes)
        result = step(view)
        if view.commit():
            return result


_NUMBERS: dict[int, int] = {}  # of the databases, by the identity of their tables, which live as long as the process


def db_of(table: Table) -> int:
    """The number of a database."""
    if not _NUMBERS:
        _NUMBERS.update((id(keyspace(db)), db) for db in range(16))
    return _NUMBERS[id(table)]


# ---- rows as Redis sees them


def bytes_of_key(term: object) -> bytes | None:
    """A key as Redis spells it, or None if it is no binary and so out of reach."""
    if type(term) is bytes:
        return term
    return term.encode("utf-8", "surrogatepass") if type(term) is str else None


def value_of(row: Row) -> bytes:
    """What GET answers. CommandError: WRONGTYPE."""
    return text_of(row[1] if len(row) == 2 else None)


def text_of(term: object) -> bytes:
    """A value, field, member or element as Redis sees it. CommandError: WRONGTYPE."""
    if type(term) is bytes:
        return term
    text = as_text(term)
    if text is None:
        raise CommandError(WRONG_TYPE)
    return text


def as_text(value: object) -> bytes | None:
    """The bytes that a term of a Python program counts as, or None."""
    if type(value) is bytes:
        return value
    if type(value) is str:
        return value.encode("utf-8", "surrogatepass")
    if type(value) is int:
        return int_text(value).encode()
    return repr(value).encode() if type(value) is float else None


def walk(table: Table, count: int = 1024) -> Iterator[list[Row]]:
    """All rows, some at a time; a row that stays is seen exactly once, whatever happens between two steps."""
    cursor = 0
    while True:
        cursor, rows = _core.scan(table, cursor, count)
        yield rows
        if not cursor:
            return
