"""An atomic step over keys whose values have parts.

    with Step(session, key) as step:
        fields = step.change(key, Hash)       # the value, or a new one; WRONGTYPE
        fields.set(b"name", b"alice")
        session.notify("h", "hset", key)

Inside, the calling thread alone has the keys (the gate): it may read, compute and write as often as it likes. What was
changed is stored at the end, keys of values that have become empty are erased, and all of it is told to whoever
watches or waits (Signals). If the body raises, nothing of it is stored; so look first, and change then. A large value
changes in place: after its first change a body must not raise.

For commands that only read one key there is `read`, which holds nothing.
"""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from tsunami import Row, Table, _core
from tsunami_server.command import CommandError, Reply
from tsunami_server.keyspace import WRONG_TYPE, View
from tsunami_server.values.value import Value, kind_of

if TYPE_CHECKING:
    from tsunami_server.session import Session

V = TypeVar("V", bound=Value)


class Step(View):
    """A View that holds its keys, and knows values with parts."""

    __slots__ = ("_gate", "_opened", "_session")

    def __init__(self, session: "Session", *keys: bytes, table: Table | None = None) -> None:
        """`table`: whose keys they are, if not the selected database's. Without keys: all of its keys."""
        super().__init__(session.table, session.changes)
        self._session = session
        self._gate = _core.hold(self.table if table is None else table, *keys)
        self._opened: dict[tuple[int, bytes], tuple[Value, Table, bytes, int | None, object]] = {}

    def __enter__(self) -> "Step":
        self._gate.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for value, table, key, deadline, before in self._opened.values():
                    if value.dirty:
                        self._store(value, table, key, deadline, before)
                self._reads.clear()  # nobody else could have changed what was read
                self.commit()
        finally:
            self._gate.__exit__(kind, error, trace)

    # -- opening values

    def value(self, key: bytes, cls: type[V], table: Table | None = None) -> V | None:
        """The key's value, to be read or changed; None if there is no such key. CommandError: WRONGTYPE."""
        table = self.table if table is None else table
        at = (id(table), key)
        opened = self._opened.get(at)
        if opened is not None:
            return expect(opened[0], cls)
        row, deadline = self.entry(key, table)
        if row is None:
            return None
        value = open_row(row, cls)
        self._opened[at] = (value, table, key, deadline, row[1])
        return value

    def change(self, key: bytes, cls: type[V], table: Table | None = None) -> V:
        """The same, but a new empty one if there is no such key. It is stored only if it is changed."""
        value = self.value(key, cls, table)
        if value is None:
            value = cls()
            self.place(key, value, None, table)
            value.dirty = False
        return value

    def place(self, key: bytes, value: Value, deadline: int | None = None, table: Table | None = None) -> None:
        """Put a value in the place of whatever the key holds, even of another type."""
        table = self.table if table is None else table
        value.dirty = True
        self._opened[id(table), key] = (value, table, key, deadline, None)

    def replace(self, key: bytes, value: Value) -> bool:
        """Put a result in the place of whatever the key holds; an empty one erases it. Was it erased?"""
        if not value.vanishes:
            self.place(key, value)
            return False
        erased = self.exists(key)
        if erased:
            self.forget(key)
        return erased

    def forget(self, key: bytes, table: Table | None = None) -> None:
        """Erase the key, whatever was opened or placed there."""
        self._opened.pop((id(self.table if table is None else table), key), None)
        self.erase(key, table)

    # -- the end

    def _store(self, value: Value, table: Table, key: bytes, deadline: int | None, before: object) -> None:
        if value.vanishes:
            if self.exists(key, table):
                self.erase(key, table)
            return
        value.settle(self._session.setting)
        if value.large is not None and value.large is before:
            self.touch(key, table)  # the row is what it was
        else:
            self.put_row((key, value.term()), deadline, table)


def expect(value: Value, cls: type[V]) -> V:
    if not isinstance(value, cls):
        raise CommandError(WRONG_TYPE)
    return value


def open_row(row: Row, cls: type[V]) -> V:
    if kind_of(row) != cls.kind:
        raise CommandError(WRONG_TYPE)
    return cls.open(row[1])


def read(session: "Session", key: bytes, cls: type[V], table: Table | None = None) -> V | None:
    """The value of one key, only to be read: O(parts) if it is small, O(1) if it is large. CommandError: WRONGTYPE.

    Counts as a hit or a miss.
    """
    found = _core.entry(session.table if table is None else table, key)
    shared = session.app.shared
    shared.hits += found is not None
    shared.misses += found is None
    return None if found is None else open_row(found[0], cls)


def one_moment(session: "Session", key: bytes, cls: type[V], tell: Callable[[V], Reply], empty: Reply) -> Reply:
    """What `tell` makes of the value as it is at one moment; `empty` if there is none."""
    value = read(session, key, cls)
    if value is None:
        return empty
    if value.large is None:
        return tell(value)
    with Step(session, key) as step:
        value = step.value(key, cls)
        return empty if value is None else tell(value)
