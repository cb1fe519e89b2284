"""Sorted sets: members, each with a score, in the order of the scores; equal scores in the order of the members' bytes.

Small: a list of pairs (member, score), in order. Large: two tables, rows (member, score), and an ordered_set of rows
(sort key,), whose ranks make every range a matter of O(log n). Whole scores stand in those rows as integers, which take
less room (`kept`); what comes out of here are floats.

**Sort keys.** The score's eight bytes, changed so that they order as numbers do, then the member. So a score alone is
the key before all of its members, and the next larger eight bytes the one behind them. -0 stands where 0 does: a score
of 0 that was read out of a sort key is looked up in the other table.

**Places.** All ranges, by score, by member or by rank, are spans of ranks, from `before(bound)` to another one; what is
done with a span (`slice`, `remove_span`) does not know where it came from.

What must stay true:

1. A member stands in both tables or in neither, with the same score.
2. No score is NaN.
3. `_ordered`, if it is there, is what `small` holds now.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from math import copysign
from typing import TypeAlias

from tsunami import Table, _core
from tsunami._core import Collection
from tsunami_server.command import CommandError
from tsunami_server.keyspace import WRONG_TYPE, text_of
from tsunami_server.values.value import Limit, Value, copied

Pair: TypeAlias = tuple[bytes, float]

_WHOLE = 1 << 53  # the whole numbers that doubles can tell apart
_SIGN = 1 << 63
_ALL = (1 << 64) - 1


class ZSet(Value):
    kind = "zset"
    __slots__ = ("_names", "_ordered", "small")

    def __init__(self, large: Collection | None = None, small: dict[bytes, float] | None = None) -> None:
        super().__init__(large)
        self.small: dict[bytes, float] = {} if small is None else small
        self._ordered: list[tuple[float, bytes]] | None = None
        self._names: dict[bytes, object] = {}  # members that Python spelled otherwise than as bytes

    @classmethod
    def open(cls, term: object) -> "ZSet":
        if type(term) is Collection:
            return cls(term)
        assert isinstance(term, list)
        opened = cls()
        try:
            for member, score in term:
                opened.small[text_of(member)] = number = float(score)
                if type(member) is not bytes:
                    opened._names[text_of(member)] = member
                if number != number or type(score) not in (float, int):
                    raise CommandError(WRONG_TYPE)
        except (TypeError, ValueError, OverflowError):  # no pairs, or no numbers
            raise CommandError(WRONG_TYPE) from None
        return opened

    # -- members

    def __len__(self) -> int:
        return len(self.small) if self.large is None else len(self.large.rows)

    def score(self, member: bytes) -> float | None:
        if self.large is None:
            return self.small.get(member)
        rows = self.large.rows.lookup(member)
        return float(rows[0][1]) if rows else None  # type: ignore[arg-type]

    def set(self, member: bytes, score: float) -> None:
        """Give a member, new or not, this score."""
        self.dirty = True
        if self.large is None:
            self.small[member] = score or 0.0  # no -0, as in Redis's small ones
            self._ordered = None
            return
        old = self.score(member)
        if old is not None:
            self.large.order.delete(sort_key(old, member))
        self.large.rows.insert((member, kept(score)))
        self.large.order.insert((sort_key(score, member),))

    def remove(self, member: bytes) -> bool:
        """Was it there?"""
        if self.large is None:
            there = self.small.pop(member, None) is not None
            self._ordered = None
        else:
            rows = self.large.rows.take(member)
            there = bool(rows)
            if there:
                self.large.order.delete(sort_key(rows[0][1], member))  # type: ignore[arg-type]
        self.dirty = self.dirty or there
        return there

    # -- ranks

    @property
    def ordered(self) -> list[tuple[float, bytes]]:
        """A small one, in order."""
        if self._ordered is None:
            self._ordered = sorted([(score, member) for member, score in self.small.items()])
        return self._ordered

    def rank(self, member: bytes) -> int | None:
        """How many stand before it; None if it is no member."""
        score = self.score(member)
        return None if score is None else self.before(score, member)

    def before(self, score: float, member: bytes = b"") -> int:
        """How many stand before this score and member, whether or not they are there."""
        if self.large is None:
            return bisect_left(self.ordered, (score, member))
        return self.large.order.count_range(None, sort_key(score, member), (True, False))

    def behind(self, score: float) -> int:
        """How many have this score or a smaller one."""
        if self.large is None:
            return bisect_left(self.ordered, True, key=lambda pair: pair[0] > score)
        return self.large.order.count_range(None, _next_form(score), (True, False))

    def slice(self, start: int, stop: int, reverse: bool = False) -> list[Pair]:
        """Those of these ranks, 0 <= start <= stop <= len; `reverse`: the last one first. O(log n + k)."""
        if start >= stop:
            return []
        if self.large is None:
            part = self.ordered[start:stop]
            return [(member, score) for score, member in (reversed(part) if reverse else part)]
        return [self._pair(row[0]) for row in self._rows(start, stop, reverse)]  # type: ignore[arg-type]

    def at(self, rank: int) -> Pair:
        """0 <= rank < len"""
        if self.large is None:
            score, member = self.ordered[rank]
            return member, score
        return self._pair(self.large.order.at(rank)[0])  # type: ignore[arg-type]

    def _rows(self, start: int, stop: int, reverse: bool) -> Iterator[tuple[object, ...]]:
        assert self.large is not None
        order = self.large.order
        if reverse:
            return islice(order.irange(None, order.at(stop - 1)[0], reverse=True), stop - start)
        return islice(order.irange(order.at(start)[0], None), stop - start)

    def _pair(self, key: bytes) -> Pair:
        score, member = score_of(key), key[8:]
        if score == 0:  # or -0
            assert self.large is not None
            score = float(self.large.rows.lookup_element(member, 1))  # type: ignore[arg-type]
        return member, score

    def remove_span(self, start: int, stop: int) -> int:
        """Take out those of these ranks; how many there were."""
        if start >= stop:
            return 0
        self.dirty = True
        if self.large is None:
            for _, member in self.ordered[start:stop]:
                del self.small[member]
            self._ordered = None
            return stop - start
        order = self.large.order
        first, last = order.at(start)[0], order.at(stop - 1)[0]
        for row in self._rows(start, stop, False):
            self.large.rows.delete(row[0][8:])  # type: ignore[index]
        return order.delete_range(first, last)

    def pop(self, count: int, least: bool) -> list[Pair]:
        """So many with the smallest or the greatest scores, or all there are; in the order in which they come off."""
        length = len(self)
        count = min(count, length)
        start = 0 if least else length - count
        found = self.slice(start, start + count, reverse=not least)
        self.remove_span(start, start + count)
        return found

    # -- all of them

    def pairs(self) -> Iterator[Pair]:
        """All of them, in no order."""
        if self.large is None:
            yield from self.small.items()
        else:
            for row in self.large.rows:
                yield text_of(row[0]), float(row[1])  # type: ignore[arg-type]

    def scan(self, cursor: int, count: int) -> tuple[int, list[Pair]]:
        """Some of them and where to go on; a small one is given whole."""
        if self.large is None:
            return 0, self.slice(0, len(self))
        cursor, rows = _core.scan(self.large.rows, cursor, count)
        return cursor, [(text_of(row[0]), float(row[1])) for row in rows]  # type: ignore[arg-type]

    # -- forms

    def settle(self, limit: Limit) -> None:
        if self.large is None and not self._fits(limit):
            self.enlarge()

    def _fits(self, limit: Limit) -> bool:
        longest = limit("zset-max-listpack-value")
        return len(self.small) <= limit("zset-max-listpack-entries") and all(
            len(member) <= longest for member in self.small
        )

    def enlarge(self) -> None:
        rows, order = Table(stripes=1), Table("ordered_set")
        rows.insert([(self._names.get(member, member), kept(score)) for member, score in self.small.items()])
        order.insert([(sort_key(score, member),) for score, member in self.ordered])
        self.large = Collection(self.kind, rows, order)
        self.small = {}
        self._ordered = None
        self.dirty = True

    def term(self) -> object:
        if self.large is not None:
            return self.large
        return [(self._names.get(member, member), score or 0.0) for score, member in self.ordered]

    def encoding(self, limit: Limit) -> str:
        return "listpack" if self.large is None else "skiplist"

    def copy(self) -> "ZSet":
        if self.large is None:
            other = ZSet(None, dict(self.small))
            other._names = dict(self._names)
            return other
        return ZSet(Collection(self.kind, copied(self.large.rows), copied(self.large.order)))


# ---- scores


def kept(score: float) -> float:
    """As it stands in the rows of a large one: a whole number as an int, which takes less room there; -0 is none."""
    score = float(score)
    whole = score.is_integer() and abs(score) <= _WHOLE and (score != 0 or copysign(1, score) == 1)
    return int(score) if whole else score


# ---- sort keys


def _form(score: float) -> int:
    """A number of 64 bits that orders as the scores do."""
    bits: int = struct.unpack(">Q", struct.pack(">d", score or 0.0))[0]
    return bits ^ _ALL if bits & _SIGN else bits | _SIGN


def sort_key(score: float, member: bytes) -> bytes:
    return _form(score).to_bytes(8, "big") + member


def _next_form(score: float) -> bytes:
    """Behind all members of this score, before those of the next one. There is room behind infinity."""
    return (_form(score) + 1).to_bytes(8, "big")


def score_of(key: bytes) -> float:
    form = int.from_bytes(key[:8], "big")
    bits = form ^ _SIGN if form & _SIGN else form ^ _ALL
    score: float = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
    return score
