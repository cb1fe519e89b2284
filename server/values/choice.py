"""Rows of a hash table chosen at random, each with the same chance.

What it is: what SPOP, SRANDMEMBER and HRANDFIELD need of a large value.

What it is not: `_core.random_row`. That takes the row that follows a random hash, so a row is the likelier the wider
the gap before it, and gaps between random hashes differ by orders of magnitude. It is right where any row will do.

**How.** A table's slots are equal ranges of hashes (`Table.slot`), about as many as there are rows: the map grows and
shrinks with them. A slot is taken at random and accepted with a chance of (rows in it) / bound, and then one of its
rows: so every row has the same chance, 1 / (slots x bound), and about `bound / (rows / slots)` slots are looked at,
which is a constant however the hashes lie. The bound is six standard deviations above the mean; a fuller slot, which
one would have to wait for longer than the machine lasts, counts as full.

What must stay true: nobody else changes the table meanwhile (a Step holds its key).
"""

import random
from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from tsunami import Row, Table

T = TypeVar("T")

# So many slots without a hit: most of what is in the table has expired and is not swept yet, so that its slots are
# emptier than its size says.
PATIENCE = 1_000
# Above this share of the rows all are listed: one walk is cheaper than so many tries.
SHARE = 8


def slots_of(table: Table) -> int:
    """How many slots a hash table of one stripe has: a power of two. They are equal ranges of hashes."""
    count = 1
    while count < len(table):
        count *= 2
    while count > 1 and not has_slot(table, count // 2):
        count //= 2
    while has_slot(table, count):
        count *= 2
    return count


def has_slot(table: Table, index: int) -> bool:
    try:
        return isinstance(table.slot(index), list)
    except ValueError:  # behind the end
        return False


def random_rows(table: Table) -> Iterator[Row]:
    """Rows at random, one after the other and any number of them; the same may come again. Ends if there is none."""
    slots = slots_of(table)
    mean = len(table) / slots
    bound = mean + 6 * mean**0.5 + 6
    misses = 0
    while misses < PATIENCE:
        rows = table.slot(random.randrange(slots))
        assert isinstance(rows, list)
        misses += 1
        if random.random() * bound < len(rows):
            misses = 0
            yield random.choice(rows)
    rows = table.tab2list()
    while rows:
        yield random.choice(rows)


def different_rows(table: Table, count: int) -> list[Row]:
    """So many different rows at random, or all of them if there are not so many. O(count), also where that is all."""
    chosen: dict[object, Row] = {}
    if 0 < count * SHARE < len(table):
        for row in islice(random_rows(table), 4 * count + PATIENCE):
            chosen[row[0]] = row
            if len(chosen) == count:
                return list(chosen.values())
    rows = table.tab2list() if count else []
    return random.sample(rows, min(count, len(rows)))


def any_rows(table: Table, count: int) -> list[Row]:
    """So many rows at random, of which the same may come again; none if the table is empty."""
    if count * SHARE >= len(table):
        rows = table.tab2list()
        return random.choices(rows, k=count) if rows else []
    return list(islice(random_rows(table), count))


def sample(parts: list[T], count: int) -> list[T]:
    """So many different ones of a list, or all of them in an order of their own."""
    return random.sample(parts, min(count, len(parts)))


def choices(parts: list[T], count: int) -> list[T]:
    return random.choices(parts, k=count) if parts else []
