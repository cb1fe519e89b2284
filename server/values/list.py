"""Lists of elements, with two ends.

Small: a list. Large: a table of type ordered_set of rows (position, element). Positions are integers that say nothing
but the order; new ends are a STRIDE away from the old ones, and what is inserted between two elements stands in the
middle of their gap. Everything that has a number, LINDEX or LRANGE, goes by rank: `at`, and a walk from there.

**A gap that is full.** Then the elements around it are given new positions, evenly: those of the smallest surroundings
that have enough room, where a wider one must have more of it for each. So an insertion costs O(log n) on the average of
many, also if all of them go to the same place.

What must stay true: positions go up from element to element, and are integers (of any size).
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice

from tsunami import Table
from tsunami._core import Collection
from tsunami_server.keyspace import text_of
from tsunami_server.values.value import Limit, Value, copied

STRIDE = 1 << 20
SURROUNDINGS = 16  # elements that are moved at first, when a gap is full
PACK_BYTES = (4096, 8192, 16384, 32768, 65536)  # list-max-listpack-size -1 to -5
PACK_SAFE = 8192  # and what a limit in elements allows


class List(Value):
    kind = "list"
    __slots__ = ("small",)

    def __init__(self, large: Collection | None = None, small: list[object] | None = None) -> None:
        super().__init__(large)
        self.small: list[object] = [] if small is None else small

    @classmethod
    def open(cls, term: object) -> "List":
        if type(term) is Collection:
            return cls(term)
        assert isinstance(term, list)
        for element in term:
            if type(element) is not bytes:
                text_of(element)
        return cls(None, term)

    def __len__(self) -> int:
        return len(self.small) if self.large is None else len(self.large.rows)

    # -- ends. `left` is the end that is meant.

    def push(self, elements: Iterable[bytes], left: bool) -> None:
        """One after the other, to the same end."""
        self.dirty = True
        if self.large is None:
            if left:
                self.small[:0] = reversed(list(elements))
            else:
                self.small.extend(elements)
            return
        rows, step = self.large.rows, -STRIDE if left else STRIDE
        at = self._position(0 if left else -1) if len(rows) else 0
        rows.insert([(at + n * step, element) for n, element in enumerate(elements, 1)])

    def pop(self, count: int, left: bool) -> list[bytes]:
        """So many from one end, or all there are; in the order in which they come off."""
        length = len(self)
        count = min(count, length)
        start = 0 if left else length - count
        found = self.slice(start, start + count)
        self.remove_span(start, start + count)
        return found if left else found[::-1]

    # -- ranks

    def index(self, rank: int) -> bytes:
        """0 <= rank < len"""
        return text_of(self.small[rank] if self.large is None else self.large.rows.at(rank)[1])

    def set(self, rank: int, element: bytes) -> None:
        self.dirty = True
        if self.large is None:
            self.small[rank] = element
        else:
            self.large.rows.insert((self._position(rank), element))

    def slice(self, start: int, stop: int) -> list[bytes]:
        """Those of these ranks, 0 <= start <= stop <= len. O(log n + k)."""
        if start >= stop:
            return []
        return list(islice(self.elements(start), stop - start))

    def elements(self, start: int = 0, reverse: bool = False) -> Iterator[bytes]:
        """Those from a rank on, to the end; `reverse`: from there back to the beginning."""
        if self.large is None:
            part = self.small[start::-1] if reverse else islice(self.small, start, None)
            return map(text_of, part)
        if not len(self.large.rows):
            return iter(())
        at = self._position(start)
        rows = self.large.rows.irange(None, at, reverse=True) if reverse else self.large.rows.irange(at, None)
        return (text_of(row[1]) for row in rows)

    def remove_span(self, start: int, stop: int) -> None:
        """Take out those of these ranks."""
        if start >= stop:
            return
        self.dirty = True
        if self.large is None:
            del self.small[start:stop]
        else:
            self.large.rows.delete_range(self._position(start), self._position(stop - 1))

    def remove(self, ranks: list[int]) -> None:
        """Take out the elements of these ranks, which go up."""
        self.dirty = self.dirty or bool(ranks)
        if self.large is None:
            gone = set(ranks)
            self.small[:] = [element for rank, element in enumerate(self.small) if rank not in gone]
        else:
            for position in [self._position(rank) for rank in ranks]:
                self.large.rows.delete(position)

    def insert(self, rank: int, element: bytes) -> None:
        """Before the element of this rank; 0 <= rank <= len."""
        self.dirty = True
        if self.large is None:
            self.small.insert(rank, element)
        elif rank in (0, len(self)):
            self.push([element], rank == 0)
        else:
            self.large.rows.insert((self._gap(rank), element))

    def _position(self, rank: int) -> int:
        assert self.large is not None
        position = self.large.rows.at(rank)[0]
        assert isinstance(position, int)
        return position

    def _gap(self, rank: int) -> int:
        """A free position between the elements of rank - 1 and rank."""
        low, high = self._position(rank - 1), self._position(rank)
        if high - low < 2:
            self._spread(rank)
            low, high = self._position(rank - 1), self._position(rank)
        return (low + high) // 2

    def _spread(self, rank: int) -> None:
        """Make gaps around a rank. Nothing stands beyond the ends, so the whole list always has enough room."""
        assert self.large is not None
        rows, length, reach = self.large.rows, len(self), SURROUNDINGS
        while True:
            start, stop = max(rank - reach, 0), min(rank + reach, length)
            elements = self._elements_as_they_are(start, stop)
            low = self._position(start - 1) if start else None
            high = self._position(stop) if stop < length else None
            if low is None or high is None or (high - low) // (len(elements) + 1) >= reach:
                break
            reach *= 2
        positions = evenly(low, high, self._position(start), len(elements))
        rows.delete_range(self._position(start), self._position(stop - 1))
        rows.insert(list(zip(positions, elements, strict=True)))

    def _elements_as_they_are(self, start: int, stop: int) -> list[object]:
        assert self.large is not None
        return [row[1] for row in islice(self.large.rows.irange(self._position(start), None), stop - start)]

    # -- forms

    def settle(self, limit: Limit) -> None:
        if self.large is None and not fits(self.small, limit("list-max-listpack-size")):
            self.enlarge()

    def enlarge(self) -> None:
        rows = Table("ordered_set")
        rows.insert([(rank * STRIDE, element) for rank, element in enumerate(self.small)])
        self.large = Collection(self.kind, rows)
        self.small = []
        self.dirty = True

    def term(self) -> object:
        return self.small if self.large is None else self.large

    def encoding(self, limit: Limit) -> str:
        return "listpack" if self.large is None else "quicklist"

    def copy(self) -> "List":
        if self.large is None:
            return List(None, list(self.small))
        return List(Collection(self.kind, copied(self.large.rows)))


def evenly(low: int | None, high: int | None, near: int, count: int) -> Iterable[int]:
    """`count` positions between two others; where there is no other, a STRIDE from each other."""
    if low is not None and high is not None:
        step = (high - low) // (count + 1)
        return range(low + step, low + step * (count + 1), step)
    if low is None and high is not None:
        return range(high - STRIDE * count, high, STRIDE)
    first = near if low is None else low + STRIDE
    return range(first, first + STRIDE * count, STRIDE)


# ---- how much fits into one term


def room(most: int) -> tuple[int, int]:
    """How many elements and how many bytes list-max-listpack-size allows: so many elements, one at least, as long as
    they take no more than PACK_SAFE bytes; or (negative) so many bytes. Native commands go by it, too.

    >>> room(128), room(0), room(-1) == (sys.maxsize, 4096), room(-9) == room(-5)
    ((128, 8192), (1, 8192), True, True)
    """
    if most >= 0:
        return max(most, 1), PACK_SAFE
    return sys.maxsize, PACK_BYTES[min(-most, len(PACK_BYTES)) - 1]


def fits(elements: list[object], most: int) -> bool:
    """Is a list within list-max-listpack-size, where each element takes two bytes more than it is long?"""
    count, size = room(most)
    if len(elements) > count or 2 * len(elements) > size:
        return False
    return sum([len(text_of(element)) + 2 for element in elements]) <= size
