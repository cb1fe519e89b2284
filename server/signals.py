"""What has changed: who watches a key, who waits for one, who else wants to hear of it.

What it is: the one place where every change of a key ends that a command makes (View.commit, the flushes, SWAPDB), and
every key that expires or is evicted. It breaks the watches of those keys at once; keys that blocked clients wait for it
remembers until the command has ended, and then has those clients served (`serve`).

What it is not: a log. Hot commands change keys without Python and tell nobody; so that nothing is missed, a key in
which somebody here is interested is told to the plane, which then leaves commands that write it to Python.

**Watches.** WATCH remembers the row and its deadline as it saw them. A watch is broken when the key is touched,
or when, at EXEC, the row is not what it was: so what threads of the process, or another server over the same tables,
have changed breaks it too, and so does a key that has expired. A key that was not there, or had expired already, and
still is not there, is no change.

What must stay true:

1. Everything here runs on the loop's thread, or inside its selector.
2. A session stands in `_watchers` under exactly the keys in its `watched`, until its watch breaks.
3. The plane's interest in a key counts each of those once, and each key that is waited for once.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from tsunami import Row, Table, _core, _wire, keyspace

if TYPE_CHECKING:
    from tsunami_server.session import Session

Place: TypeAlias = tuple[int, bytes]  # a key of a database
Read: TypeAlias = tuple[Table, bytes, Row | None, int | None]  # what was seen there: see View
DATABASES = 16


class Signals:
    """Who is to be told of which keys."""

    def __init__(self, plane: "_wire.Plane") -> None:
        self._plane = plane
        self._watchers: dict[Place, set[Session]] = {}
        self.waited: Mapping[Place, object] = {}  # keys that blocked clients wait for; the values are blocking.py's
        self.ready: dict[Place, None] = {}  # those among them that were touched, in that order
        self.serve: Callable[[], None] = lambda: None  # serves them; blocking.py's
        self.listeners: list[Callable[[int, bytes], None]] = []  # hear of every key that was touched
        self.flush_listeners: list[Callable[[], None]] = []  # hear that all keys of some database are going

    # -- what changes

    def touched(self, db: int, key: bytes, /) -> None:
        """A key was made, changed, renamed or erased, or its deadline was."""
        spot = (db, key)
        if spot in self._watchers:
            for session in list(self._watchers[spot]):
                self._break(session)
        if spot in self.waited:
            self.ready[spot] = None
        for listener in self.listeners:
            listener(db, key)

    def flushing(self, databases: Iterable[int]) -> None:
        """All keys of these databases are about to go: those that are there are touched, for those who watch them."""
        for db in databases:
            self._break_all(db, keyspace(db))
        for listener in self.flush_listeners:
            listener()

    def swapping(self, first: int, second: int) -> None:
        """The keys of two databases are about to change places. Keys that are in neither are not touched."""
        for here in (first, second):
            for there in (first, second):
                self._break_all(here, keyspace(there))
        for spot in self.waited:
            if spot[0] in (first, second):
                self.ready[spot] = None

    def after_command(self) -> None:
        """A command has ended, with all that it was made of."""
        if self.ready:
            self.serve()

    # -- interest, counted

    def interested(self, key: bytes) -> None:
        self._plane.interest_add(key)

    def bored(self, key: bytes) -> None:
        self._plane.interest_drop(key)

    # -- watches

    def watch(self, session: "Session", db: int, key: bytes) -> None:
        """Break the session's watch when this key changes. Nothing to do if it is broken, or watches the key."""
        spot, table = (db, key), keyspace(db)
        if session.watch_broken or spot in session.watched:
            return
        self.interested(key)
        self._watchers.setdefault(spot, set()).add(session)
        row, deadline = _core.entry(table, key) or (None, None)
        session.watched[spot] = (table, key, row, deadline)
        session.conn.watching = True

    def holds(self, session: "Session") -> bool:
        """Is all that the session watches as it was?"""
        return not session.watch_broken and (not session.watched or unchanged(session.watched.values()))

    def unwatch(self, session: "Session") -> None:
        """Forget what the session watches, and that its watch was broken."""
        if session.watched:
            self._leave(session)
        session.watch_broken = session.conn.watching = False

    def _break(self, session: "Session") -> None:
        self._leave(session)
        session.watch_broken = True

    def _leave(self, session: "Session") -> None:
        for spot in session.watched:
            watchers = self._watchers[spot]
            watchers.discard(session)
            if not watchers:
                del self._watchers[spot]
            self.bored(spot[1])
        session.watched.clear()

    def _break_all(self, db: int, table: Table) -> None:
        """Those who watch a key of this database that is in this table now."""
        for spot, watchers in list(self._watchers.items()):
            if spot[0] == db and spot[1] in table:
                for session in list(watchers):
                    self._break(session)


def unchanged(reads: Iterable[Read]) -> bool:
    """Is all that was read still so? One look at all of it at once."""
    return _core.commit(list(reads), [], [])
