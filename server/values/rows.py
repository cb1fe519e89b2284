"""The rows of a large value's table: all of them, and another table with the same rows.

What it is not: `keyspace.walk`, which finds every row that stays, whatever others do between two of its steps. What
stands here is for tables that nobody else changes meanwhile (a Step holds their key).

**Not in the order of hashes.** A hash table is walked in the order of its rows' hashes, and its slots stand in the same
order. So rows that are put into another table as they come out of a walk all go to one run of slots at its front, and
each of them has to find the end of the run: n rows cost O(n^2). `scattered` takes them from all over the table instead.
"""

from collections.abc import Iterator
from itertools import islice

from tsunami import Row, Table

MANY = 1024  # rows that are put into a table at once
GOLDEN = 0.6180339887498949  # multiples of it, without their whole part, are spread evenly, however many they are


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


def scattered(table: Table) -> Iterator[Row]:
    """All rows of a hash table of one stripe, in an order in which another one is well filled."""
    count = slots_of(table)
    stride = int(count * GOLDEN) | 1  # odd, so that every slot has its turn
    for turn in range(count):
        rows = table.slot(turn * stride % count)
        assert isinstance(rows, list)
        yield from rows


def copied(table: Table) -> Table:
    """Another table with the same rows, for a copy of a value. Deadlines of rows are not copied."""
    copy = Table(table.type, stripes=1)
    rows = iter(table) if table.type == "ordered_set" else scattered(table)
    while some := list(islice(rows, MANY)):
        copy.insert(some)
    return copy
