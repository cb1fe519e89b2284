"""LCS: the longest common subsequence of two values.

The table of lengths of all pairs of prefixes, and the way back through it: O(N*M) time and memory, as in Redis, which
is why long ones are worked out in a thread.
"""

from array import array
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass

from tsunami_server.arguments import SYNTAX, integer
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.keyspace import View
from tsunami_server.session import Session

NO_STRINGS = "ERR The specified keys must contain string values"
LONG = 300_000  # pairs of bytes that take some 20 ms
MOST = 1 << 30  # pairs; Redis refuses where it cannot have the memory


@dataclass(frozen=True, slots=True)
class Match:
    """A run of equal bytes: where it ends in both values, and how long it is."""

    end_a: int
    end_b: int
    length: int

    def told(self, *, with_length: bool) -> list[Reply]:
        spans: list[Reply] = [[end - self.length + 1, end] for end in (self.end_a, self.end_b)]
        return [*spans, self.length] if with_length else spans


def lengths(a: bytes, b: bytes) -> "list[array[int]]":
    """Of each prefix of a (row) and of b (column)."""
    above = array("I", bytes(4 * (len(b) + 1)))
    rows = [above]
    for byte in a:
        row = array("I", above)
        best = diagonal = 0
        for at, other in enumerate(b, 1):
            up = above[at]
            best = diagonal + 1 if byte == other else up if up > best else best
            row[at] = best
            diagonal = up
        rows.append(row)
        above = row
    return rows


def matches(a: bytes, b: bytes, rows: "list[array[int]]") -> Iterator[Match]:
    """The runs of one longest common subsequence, the last one first: the way that Redis takes."""
    i, j, run = len(a), len(b), 0
    end = (0, 0)
    while i > 0 and j > 0:
        if a[i - 1] == b[j - 1]:
            if run == 0:
                end = (i - 1, j - 1)
            run += 1
            i, j = i - 1, j - 1
            if i > 0 and j > 0 and a[i - 1] == b[j - 1]:
                continue
            yield Match(*end, run)
            run = 0
        elif rows[i - 1][j] > rows[i][j - 1]:
            i -= 1
        else:
            j -= 1


@dataclass(frozen=True, slots=True)
class Wanted:
    length: bool
    index: bool
    with_length: bool
    least: int

    def of(self, a: bytes, b: bytes) -> Reply:
        rows = lengths(a, b)
        total = rows[-1][-1]
        if self.length:
            return total
        found = list(matches(a, b, rows))
        if not self.index:
            return b"".join(a[match.end_a - match.length + 1 : match.end_a + 1] for match in reversed(found))
        told = [match.told(with_length=self.with_length) for match in found if match.length >= self.least]
        return {b"matches": told, b"len": total}


def wanted_of(words: list[bytes]) -> Wanted:
    length = index = with_length = False
    least, at = 0, 0
    while at < len(words):
        word = words[at].upper()
        if word == b"LEN":
            length = True
        elif word == b"IDX":
            index = True
        elif word == b"WITHMATCHLEN":
            with_length = True
        elif word == b"MINMATCHLEN" and at + 1 < len(words):
            at += 1
            least = max(integer(words[at]), 0)
        else:
            raise CommandError(SYNTAX)
        at += 1
    if length and index:
        raise CommandError("ERR If you want both the length and indexes, please just use IDX.")
    return Wanted(length, index, with_length, least)


@command(
    "LCS key1:key key2:key [LEN] [IDX] [MINMATCHLEN len:integer] [WITHMATCHLEN]", "readonly", group="string",
    since="7.0.0", keys="1..2 RO access", summary="The longest common subsequence of two values, or where it stands.",
    complexity="O(N*M) in the lengths of the values",
)  # fmt: skip
def lcs(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    view = View(session.table)
    try:
        a, b = (view.get(key) or b"" for key in args[:2])
    except CommandError:
        raise CommandError(NO_STRINGS) from None
    wanted = wanted_of(args[2:])
    if len(a) * len(b) > MOST:
        raise CommandError("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
    if len(a) * len(b) <= LONG:
        return wanted.of(a, b)
    return session.in_thread(wanted.of, a, b)
