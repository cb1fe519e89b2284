"""ETS.*: what only ordered tables can do, ranges of keys, ranks and indexes. Tables of other types refuse.

Bounds are keys, read in the command's mode, and need not be in the table; `-` and `+` stand for no bound at all. (The
text "-" itself, as a bound, is written in the mode TERM: '"-"'.) Indexes count from 0, and from -1 down from the end.

What must stay true: a range is streamed out of the table, so LIMIT makes it cheap; the reply of a range is no snapshot,
but has every row that stayed, in order.
"""

from itertools import islice

from tsunami import BadPosition, Table
from tsunami_server.arguments import SYNTAX, int64
from tsunami_server.command import CommandError, Reply
from tsunami_server.commands.ets import MODE, Words, bad_argument, key_only, shown, table_command
from tsunami_server.session import Session
from tsunami_server.terms import reply_of

NO_BOUND = (b"-", b"+")


@table_command(
    f"ETS.RANGE table {MODE} min:string max:string [REV] [LIMIT count] [EXCLMIN] [EXCLMAX]", "readonly",
    "The rows of an ordered_set between two keys, in order; - and + are no bounds.",
    complexity="O(log N + M) with M rows told",
)  # fmt: skip
def ets_range(session: Session, table: Table, words: list[bytes]) -> Reply:
    reader = Words(words, 2)
    low, high = bound(reader), bound(reader)
    reverse, limit, inclusive = range_options(reader)
    rows = table.irange(low, high, inclusive, reverse)
    return reader.tell(list(islice(rows, limit)))


def bound(reader: Words) -> object:
    """A key; None where there is no bound. (So the atom nil is no bound, either.)"""
    if reader and reader.words[reader.at] in NO_BOUND:
        reader.next()
        return None
    return reader.key()


def range_options(reader: Words) -> tuple[bool, int | None, tuple[bool, bool]]:
    reverse, limit, above, below = False, None, False, False
    while reader:
        if reader.take(b"REV"):
            reverse = True
        elif reader.take(b"EXCLMIN"):
            above = True
        elif reader.take(b"EXCLMAX"):
            below = True
        elif reader.take(b"LIMIT"):
            limit = count(reader.next())
        else:
            raise CommandError(SYNTAX)
    return reverse, limit, (not above, not below)


def count(word: bytes) -> int:
    number = int64(word)
    if number is None or number < 0:
        raise bad_argument(f"{shown(word)} is no number of rows: an integer from 0 on is one")
    return number


@table_command(
    f"ETS.RANK table {MODE} key:string", "readonly fast",
    "How many keys of an ordered_set are smaller than this one, which need not be there.", complexity="O(log N)",
)  # fmt: skip
def ets_rank(session: Session, table: Table, words: list[bytes]) -> Reply:
    return table.rank(key_only(words))


@table_command(
    "ETS.AT table index", "readonly fast",
    "The row of an ordered_set at an index from 0 on, or from -1 down from the end; null if there are not so many.",
    complexity="O(log N)",
)  # fmt: skip
def ets_at(session: Session, table: Table, words: list[bytes]) -> Reply:
    index = int64(words[0])
    if index is None:
        raise bad_argument(f"{shown(words[0])} is no index: an integer is one")
    try:
        return reply_of(table.at(index))
    except BadPosition:
        return None
