"""Hashes: fields and their values.

Small: a dict, in the order in which the fields came. Large: a table of rows (field, value), in which a field that
expires is a row with a deadline; a hash with such a field is always large.
"""

from collections.abc import Iterator

from tsunami import Table, _core
from tsunami._core import Collection
from tsunami_server.keyspace import walk
from tsunami_server.values.value import Limit, Value, text_of


class Hash(Value):
    kind = "hash"
    __slots__ = ("_names", "small")

    def __init__(self, large: Collection | None = None, small: dict[bytes, object] | None = None) -> None:
        super().__init__(large)
        self.small: dict[bytes, object] = {} if small is None else small
        self._names: dict[bytes, object] = {}  # fields that Python spelled otherwise than as bytes

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
        return len(self.small) if self.large is None else len(self.large.rows)

    def __contains__(self, field: bytes) -> bool:
        return field in self.small if self.large is None else self.large.rows.member(field)

    def get(self, field: bytes) -> bytes | None:
        if self.large is None:
            value = self.small.get(field)
            return None if value is None else text_of(value)
        rows = self.large.rows.lookup(field)
        return text_of(rows[0][1]) if rows else None

    def set(self, field: bytes, value: bytes) -> bool:
        """Is the field new?"""
        self.dirty = True
        if self.large is None:
            new = field not in self.small
            self.small[field] = value
            return new
        new = not self.large.rows.member(field)
        self.large.rows.insert((field, value))
        return new

    def remove(self, field: bytes) -> bool:
        """Was it there?"""
        if self.large is None:
            there = self.small.pop(field, None) is not None
        else:
            there = bool(self.large.rows.take(field))
        self.dirty = self.dirty or there
        return there

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        if self.large is None:
            for field, value in self.small.items():
                yield field, text_of(value)
        else:
            for rows in walk(self.large.rows):
                for row in rows:
                    yield text_of(row[0]), text_of(row[1])

    def scan(self, cursor: int, count: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Some of the fields and where to go on; a small hash is given whole."""
        if self.large is None:
            return 0, list(self.items())
        cursor, rows = _core.scan(self.large.rows, cursor, count)
        return cursor, [(text_of(row[0]), text_of(row[1])) for row in rows]

    def settle(self, limit: Limit) -> None:
        if self.large is None and not self._fits(limit):
            self.enlarge()

    def _fits(self, limit: Limit) -> bool:
        longest = limit("hash-max-listpack-value")
        return len(self.small) <= limit("hash-max-listpack-entries") and all(
            len(field) <= longest and len(text_of(value)) <= longest for field, value in self.small.items()
        )

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
            return Hash(None, dict(self.small))
        rows = Table(stripes=1)
        for some in walk(self.large.rows):
            rows.insert(some)
        return Hash(Collection(self.kind, rows))
