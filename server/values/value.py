"""What all values with parts have in common, and how the term in a row tells its type."""

from collections.abc import Callable
from itertools import islice
from typing import ClassVar, Final, Self, TypeAlias

from tsunami import Row, Table
from tsunami._core import Collection

Limit: TypeAlias = Callable[[str], int]  # the number that a setting of the server has
MANY: Final = 1024  # rows that are put into a table at once


class Value:
    """A value that a `Step` has opened: a subclass for each type.

    A subclass keeps its parts in `small` (Python's own containers) or, once they have outgrown it, in `large`. Whatever
    changes it sets `dirty`. Before it is stored, `settle` makes it large if the settings say so.
    """

    kind: ClassVar[str]  # what TYPE answers
    __slots__ = ("dirty", "large")

    def __init__(self, large: Collection | None = None) -> None:
        self.large = large
        self.dirty = False

    @classmethod
    def open(cls, term: object) -> Self:
        """From what stands in the row, which is of this kind."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def settle(self, limit: Limit) -> None:
        """Become large if it is too large for one term."""
        raise NotImplementedError

    def term(self) -> object:
        """What is to stand in the row."""
        raise NotImplementedError

    def encoding(self, limit: Limit) -> str:
        """What OBJECT ENCODING answers."""
        raise NotImplementedError

    def copy(self) -> "Value":
        """One of its own with the same parts, for COPY."""
        raise NotImplementedError

    @property
    def vanishes(self) -> bool:
        """Is it nothing any more, so that its key goes?"""
        return len(self) == 0


def kind_of(row: Row | None) -> str:
    """What TYPE answers: Redis's types, `none`, or Tsunami's own `term` for what is none of them."""
    if row is None:
        return "none"
    return kind_of_term(row[1]) if len(row) == 2 else "term"


def kind_of_term(term: object) -> str:
    kind = type(term)
    if kind in (bytes, str, int, float):
        return "string"
    if kind is Collection:
        return term.kind  # type: ignore[attr-defined,no-any-return]
    if kind is dict:
        return "hash"
    if kind in (set, frozenset):
        return "set"
    if kind is list:
        return "zset" if term and type(term[0]) is tuple else "list"  # type: ignore[index]
    return "stream" if kind is tuple and term[:1] == (STREAM,) else "term"  # type: ignore[index]


STREAM = "stream"  # a small stream is a tuple that begins with this word


def copied(table: Table) -> Table:
    """Another table with the same rows, for a copy of a large value. Deadlines of rows are not copied. O(n)."""
    copy = Table(table.type, stripes=1)
    rows = iter(table)
    while some := list(islice(rows, MANY)):
        copy.insert(some)
    return copy
