"""Streams: entries in the order of their ids, and what a stream remembers of those that are gone.

Small: the tuple `("stream", last id, entries ever added, greatest id deleted, entry, ...)`, where an id is `(ms, seq)`
and an entry `(ms, seq, [field, value, ...])`. Large: a table of type ordered_set of rows `((ms, seq), [field, value,
...])`; the rest stands in the collection's `meta`. A stream may be empty.

What must stay true: ids ascend; `last` is not below any of them; an id is never given twice, also after a deletion.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias, cast

from tsunami import END_OF_TABLE, Table
from tsunami._core import Collection
from tsunami_server.keyspace import text_of
from tsunami_server.values.value import STREAM, Limit, Value, copied

Id: TypeAlias = tuple[int, int]
Entry: TypeAlias = tuple[Id, list[bytes]]

ZERO: Id = (0, 0)
ID_MAX = (1 << 64) - 1
GREATEST: Id = (ID_MAX, ID_MAX)


class Stream(Value):
    kind = "stream"
    __slots__ = ("added", "deleted", "last", "small")

    def __init__(self, large: Collection | None = None) -> None:
        super().__init__(large)
        self.small: list[Entry] = []
        self.last: Id = ZERO
        self.added = 0
        self.deleted: Id = ZERO

    @classmethod
    def open(cls, term: object) -> "Stream":
        if type(term) is Collection:
            opened = cls(term)
            opened.last, opened.added, opened.deleted = term.meta
            return opened
        assert isinstance(term, tuple)
        opened = cls()
        _, opened.last, opened.added, opened.deleted, *entries = term if len(term) > 3 else (STREAM, ZERO, 0, ZERO)
        opened.small = [((ms, seq), [text_of(part) for part in parts]) for ms, seq, parts in entries]
        return opened

    def __len__(self) -> int:
        return len(self.small) if self.large is None else len(self.large.rows)

    @property
    def vanishes(self) -> bool:
        return False

    # -- reading

    def between(self, low: Id, high: Id, count: int | None = None, *, reverse: bool = False) -> list[Entry]:
        """The entries from low to high, both included, the first or (reverse) last `count` of them. O(log n + k)."""
        found: list[Entry] = []
        if low > high or count == 0:
            return found
        if self.large is None:
            entries = [entry for entry in self.small if low <= entry[0] <= high]
            if reverse:
                entries.reverse()
            return entries[:count]
        for id, parts in cast("Iterator[tuple[Id, list[object]]]", self.large.rows.irange(low, high, reverse=reverse)):
            found.append((id, [text_of(part) for part in parts]))
            if len(found) == count:
                break
        return found

    def first(self) -> Id | None:
        if self.large is None:
            return self.small[0][0] if self.small else None
        key = self.large.rows.first()
        return None if key is END_OF_TABLE else cast("Id", key)

    # -- changing

    def add(self, id: Id, parts: list[bytes]) -> None:
        """An id above `last`."""
        if self.large is None:
            self.small.append((id, parts))
        else:
            self.large.rows.insert((id, parts))
        self.last = id
        self.added += 1
        self._changed()

    def remove(self, ids: Iterable[Id]) -> int:
        """How many of them were there."""
        removed = 0
        for id in ids:
            if self._remove(id):
                removed += 1
                self.deleted = max(self.deleted, id)
        if removed:
            self._changed()
        return removed

    def _remove(self, id: Id) -> bool:
        if self.large is not None:
            return bool(self.large.rows.take(id))
        for at, entry in enumerate(self.small):
            if entry[0] == id:
                del self.small[at]
                return True
        return False

    def cut(self, count: int) -> int:
        """Remove the first `count` entries."""
        count = min(count, len(self))
        if count > 0:
            if self.large is None:
                self.deleted = max(self.deleted, self.small[count - 1][0])
                del self.small[:count]
            else:
                last = cast("Id", self.large.rows.at(count - 1)[0])
                self.deleted = max(self.deleted, last)
                self.large.rows.delete_range(None, last)
            self._changed()
        return count

    def below(self, id: Id) -> int:
        """How many entries have a smaller id."""
        if self.large is None:
            return sum(1 for entry in self.small if entry[0] < id)
        return self.large.rows.count_range(None, id, inclusive=(True, False))

    def reset(self, last: Id, added: int | None, deleted: Id | None) -> None:
        """XSETID."""
        self.last = last
        self.added = self.added if added is None else added
        self.deleted = self.deleted if deleted is None else deleted
        self._changed()

    def _changed(self) -> None:
        self.dirty = True
        if self.large is not None:
            self.large.meta = (self.last, self.added, self.deleted)

    # -- forms

    def settle(self, limit: Limit) -> None:
        if self.large is None and not self._fits(limit):
            rows = Table(type="ordered_set")
            rows.insert(self.small)
            self.large = Collection(self.kind, rows, meta=(self.last, self.added, self.deleted))
            self.small = []

    def _fits(self, limit: Limit) -> bool:
        most, longest = limit("stream-node-max-entries"), limit("stream-node-max-bytes")
        size = sum(len(part) for _, parts in self.small for part in parts)
        return (not most or len(self.small) <= most) and (not longest or size <= longest)

    def term(self) -> object:
        if self.large is not None:
            return self.large
        return (STREAM, self.last, self.added, self.deleted, *((*id, parts) for id, parts in self.small))

    def encoding(self, limit: Limit) -> str:
        return "stream"

    def copy(self) -> "Stream":
        large = None if self.large is None else Collection(self.kind, copied(self.large.rows))
        other = Stream(large)
        other.small = list(self.small)
        other.reset(self.last, self.added, self.deleted)
        return other
