"""Sets of members.

Small: a Python set. Large: a table of rows (member,).

What must stay true:

1. A small set is one that Redis keeps as an intset (all members integers, no more of them than set-max-intset-entries)
   or as a listpack; OBJECT ENCODING tells the two apart by looking at the members.
2. A set that has more members than a listpack may have, and is small all the same, holds integers only. So what is
   added is all that must be looked at, but for the step over that number.
"""

from collections.abc import Iterable, Iterator

from tsunami import Table, _core
from tsunami._core import Collection
from tsunami_server.arguments import int64
from tsunami_server.keyspace import text_of
from tsunami_server.values import choice
from tsunami_server.values.value import MANY, Limit, Value, copied


class Set(Value):
    kind = "set"
    __slots__ = ("_before", "_longest", "_names", "_numbers", "small")

    def __init__(self, large: Collection | None = None, small: set[bytes] | None = None) -> None:
        super().__init__(large)
        self.small: set[bytes] = set() if small is None else small
        self._names: dict[bytes, object] = {}  # members that Python spelled otherwise than as bytes
        self._before = len(self.small)
        self._longest = 0  # length of the longest member that was added since it was opened
        self._numbers = True  # were they all integers?

    @classmethod
    def open(cls, term: object) -> "Set":
        if type(term) is Collection:
            return cls(term)
        assert isinstance(term, (set, frozenset))
        if type(term) is set and all(type(member) is bytes for member in term):
            return cls(None, term)
        opened = cls(None, {text_of(member) for member in term})
        opened._names = {text_of(member): member for member in term if type(member) is not bytes}
        return opened

    @classmethod
    def of(cls, members: Iterable[bytes], limit: Limit) -> "Set":
        """A new one."""
        made = cls()
        for member in members:
            made.add(member)
            if len(made.small) >= MANY:
                made.settle(limit)
        return made

    def __len__(self) -> int:
        return len(self.small) if self.large is None else len(self.large.rows)

    def __contains__(self, member: bytes) -> bool:
        return member in self.small if self.large is None else self.large.rows.member(member)

    def have(self, members: list[bytes]) -> list[bool]:
        """Which of them are in it?"""
        if self.large is None:
            return [member in self.small for member in members]
        return self.large.rows.member_many(members)

    def add(self, member: bytes) -> bool:
        """Is it new?"""
        if self.large is not None:
            new = self.large.rows.insert_new((member,))
        else:
            new = member not in self.small
            if new:
                self.small.add(member)
                self._longest = max(self._longest, len(member))
                self._numbers = self._numbers and int64(member) is not None
        self.dirty = self.dirty or new
        return new

    def remove(self, member: bytes) -> bool:
        """Was it there?"""
        if self.large is not None:
            there = bool(self.large.rows.take(member))
        else:
            there = member in self.small
            self.small.discard(member)
        self.dirty = self.dirty or there
        return there

    # -- all members, or some

    def members(self) -> Iterator[bytes]:
        if self.large is None:
            yield from self.small
        else:
            for row in self.large.rows:
                yield text_of(row[0])

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Some of the members and where to go on; a small set is given whole."""
        if self.large is None:
            return 0, list(self.small)
        cursor, rows = _core.scan(self.large.rows, cursor, count)
        return cursor, [text_of(row[0]) for row in rows]

    def some(self, count: int) -> list[bytes]:
        """So many different members at random, or all that there are."""
        if self.large is None:
            return choice.sample(list(self.small), count)
        return [text_of(row[0]) for row in choice.different_rows(self.large.rows, count)]

    def any(self, count: int) -> list[bytes]:
        """So many members at random, of which the same may come again."""
        if self.large is None:
            return choice.choices(list(self.small), count)
        return [text_of(row[0]) for row in choice.any_rows(self.large.rows, count)]

    # -- small and large

    def settle(self, limit: Limit) -> None:
        if self.large is None and not self._fits(limit):
            self.enlarge()

    def _fits(self, limit: Limit) -> bool:
        size, entries, numbers = len(self.small), limit("set-max-listpack-entries"), limit("set-max-intset-entries")
        as_words = size <= entries and self._longest <= limit("set-max-listpack-value")
        if as_words and (size <= numbers or not self._numbers):
            return True  # whichever of the two it is
        if self._numbers and (self._before > entries or all_numbers(self.small)):
            return size <= numbers
        return as_words

    def enlarge(self) -> Table:
        """Its table, which it gets if it has none yet."""
        if self.large is None:
            rows = Table(stripes=1)
            rows.insert([(self._names.get(member, member),) for member in self.small])
            self.large = Collection(self.kind, rows)
            self.small = set()
            self.dirty = True
        return self.large.rows

    def term(self) -> object:
        if self.large is not None:
            return self.large
        return {self._names.get(member, member) for member in self.small} if self._names else self.small

    def encoding(self, limit: Limit) -> str:
        if self.large is not None:
            return "hashtable"
        return "intset" if all_numbers(self.small) else "listpack"

    def copy(self) -> "Set":
        if self.large is None:
            other = Set(None, set(self.small))
            other._names = dict(self._names)
            return other
        return Set(Collection(self.kind, copied(self.large.rows)))


def all_numbers(members: Iterable[bytes]) -> bool:
    return all(int64(member) is not None for member in members)
