"""Hashes: fields and their values.

Small: a dict; as in every map of a row, its fields come in the engine's order, not in theirs. Large: a table of rows
(field, value), in which a field that expires is a row with a deadline; a hash with such a field is always large.

**Fields that expire.** The engine hides a row from the moment it is due, so nothing here asks whether a field has
expired. But the number of rows counts those that are due and not swept yet, and somebody must know when the last field
goes. So a hash that ever had a field with a deadline has a second table, `order`: an ordered_set of rows
((deadline, field),). It tells in O(log n) how many rows are hidden, and when the next one will be (timed.py sweeps it).

What must stay true:

1. `order` has a row for each field with a deadline, until it is swept. Rows in it whose field has another deadline, or
   none, do no harm: they are dropped when their time comes.
2. A field that is set has no deadline, unless it is told to keep it.
"""

from collections.abc import Iterator

from tsunami import Row, Table, _core, _wire
from tsunami._core import Collection
from tsunami_server.keyspace import text_of
from tsunami_server.values import choice
from tsunami_server.values.value import Limit, Value, copied


class Hash(Value):
    kind = "hash"
    __slots__ = ("_longest", "_names", "small")

    def __init__(self, large: Collection | None = None, small: dict[bytes, object] | None = None) -> None:
        super().__init__(large)
        self.small: dict[bytes, object] = {} if small is None else small
        self._names: dict[bytes, object] = {}  # fields that Python spelled otherwise than as bytes
        self._longest = 0  # length of the longest part that was set since it was opened

    @classmethod
    def open(cls, term: object) -> "Hash":
        if type(term) is Collection:
            return cls(term)
        assert isinstance(term, dict)
        if all(type(field) is bytes for field in term):
            return cls(None, term)
        opened = cls(None, {text_of(field): value for field, value in term.items()})
        opened._names = {text_of(field): field for field in term if type(field) is not bytes}
        return opened

    def __len__(self) -> int:
        """Fields that are there now."""
        if self.large is None:
            return len(self.small)
        order = self.large.order
        return len(self.large.rows) - (0 if order is None else due(order, _wire.now_ms()))

    def __contains__(self, field: bytes) -> bool:
        return field in self.small if self.large is None else self.large.rows.member(field)

    def get(self, field: bytes) -> bytes | None:
        if self.large is None:
            value = self.small.get(field)
            return None if value is None else text_of(value)
        rows = self.large.rows.lookup(field)
        return text_of(rows[0][1]) if rows else None

    def set(self, field: bytes, value: bytes, *, keep_deadline: bool = False) -> bool:
        """Is the field new?"""
        self.dirty = True
        if self.large is None:
            self._longest = max(self._longest, len(field), len(value))
            new = field not in self.small
            self.small[field] = value
            return new
        deadline = self.deadline(field)
        if deadline is not None:
            if keep_deadline:
                _core.commit((), [(self.large.rows, (field, value), deadline)], ())
                return False
            self._unlist(field, deadline)
        new = not self.large.rows.member(field)
        self.large.rows.insert((field, value))
        return new

    def remove(self, field: bytes) -> bool:
        """Was it there?"""
        if self.large is None:
            there = self.small.pop(field, None) is not None
        else:
            deadline = self.deadline(field)
            if deadline is not None:
                self._unlist(field, deadline)
            there = bool(self.large.rows.take(field))
        self.dirty = self.dirty or there
        return there

    # -- fields that expire

    def deadline(self, field: bytes) -> int | None:
        """When the field expires, in ms since 1970; None if it does not, or is not there."""
        if self.large is None or self.large.order is None:
            return None
        found = _core.entry(self.large.rows, field)
        return None if found is None else found[1]

    def expire(self, field: bytes, deadline: int | None) -> None:
        """Give a field that is there another deadline, or none."""
        rows = self.enlarge()
        before = self.deadline(field)
        if before is not None:
            self._unlist(field, before)
        [row] = rows.lookup(field)
        _core.commit((), [(rows, row, deadline)], ())
        if deadline is not None:
            self._order().insert(((deadline, field),))
        self.dirty = True

    def next_deadline(self) -> int | None:
        """When the next field expires, as far as is known: never later than that."""
        return None if self.large is None else next_deadline(self.large)

    def _order(self) -> Table:
        assert self.large is not None
        if self.large.order is None:
            self.large = Collection(self.kind, self.large.rows, Table(type="ordered_set"))
        return self.large.order

    def _unlist(self, field: bytes, deadline: int) -> None:
        assert self.large is not None
        self.large.order.delete((deadline, field))

    # -- all fields, or some

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        if self.large is None:
            for field, value in self.small.items():
                yield field, text_of(value)
        else:
            for row in self.large.rows:
                yield text_of(row[0]), text_of(row[1])

    def scan(self, cursor: int, count: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Some of the fields and where to go on; a small hash is given whole."""
        if self.large is None:
            return 0, list(self.items())
        cursor, rows = _core.scan(self.large.rows, cursor, count)
        return cursor, pairs(rows)

    def some(self, count: int) -> list[tuple[bytes, bytes]]:
        """So many different fields at random, or all that there are."""
        if self.large is None:
            return choice.sample(list(self.items()), count)
        return pairs(choice.different_rows(self.large.rows, count))

    def any(self, count: int) -> list[tuple[bytes, bytes]]:
        """So many fields at random, of which the same may come again."""
        if self.large is None:
            return choice.choices(list(self.items()), count)
        return pairs(choice.any_rows(self.large.rows, count))

    # -- small and large

    def settle(self, limit: Limit) -> None:
        if self.large is None and (
            len(self.small) > limit("hash-max-listpack-entries") or self._longest > limit("hash-max-listpack-value")
        ):
            self.enlarge()

    def enlarge(self) -> Table:
        """Its table, which it gets if it has none yet."""
        if self.large is None:
            rows = Table(stripes=1)
            rows.insert([(self._names.get(field, field), value) for field, value in self.small.items()])
            self.large = Collection(self.kind, rows)
            self.small = {}
            self.dirty = True
        return self.large.rows

    def term(self) -> object:
        if self.large is not None:
            return self.large
        if not self._names:
            return self.small
        return {self._names.get(field, field): value for field, value in self.small.items()}

    def encoding(self, limit: Limit) -> str:
        return "listpack" if self.large is None else "hashtable"

    def copy(self) -> "Hash":
        if self.large is None:
            other = Hash(None, dict(self.small))
            other._names = dict(self._names)
            return other
        copy = Hash(Collection(self.kind, copied(self.large.rows)))
        for deadline, field in deadlines(self.large):
            if self.deadline(field) == deadline:
                copy.expire(field, deadline)
        return copy


def pairs(rows: list[Row]) -> list[tuple[bytes, bytes]]:
    return [(text_of(row[0]), text_of(row[1])) for row in rows]


# ---- the table of deadlines


def due(order: Table, now_ms: int) -> int:
    """How many fields are hidden, and not swept yet. O(log n)."""
    return order.count_range(None, (now_ms + 1, 0)) if order else 0


def deadline_of(row: Row) -> tuple[int, bytes]:
    """What a row of `order` says: until when, and which field."""
    key: tuple[int, bytes] = row[0]  # type: ignore[assignment]
    return key


def deadlines(large: Collection) -> list[tuple[int, bytes]]:
    return [deadline_of(row) for row in large.order.tab2list()] if large.order else []


def next_deadline(large: Collection) -> int | None:
    return deadline_of(large.order.at(0))[0] if large.order else None


def sweep(large: Collection, now_ms: int, budget: int) -> int:
    """Erase fields that are due, about `budget` of them (more where many are due in the same ms), and tell how many."""
    waiting = due(large.order, now_ms)
    if waiting > budget:
        now_ms, _ = deadline_of(large.order.at(budget - 1))
    erased, _ = _core.expire(large.rows, now_ms)
    large.order.delete_range(None, (now_ms + 1, 0))
    return erased
