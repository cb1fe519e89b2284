"""ETS.*: the table commands, one for each ETS function that needs neither order nor patterns nor owners; for those see
the files beside this one.

Positions count from 1 here, as in ETS; `tsunami.Table` counts from 0. How the words that stand for terms are read, and
how terms become replies, is told in terms.py.

**Errors** begin with a word that clients can tell them by:

    NOTABLE   there is no table of that name            EXISTS    there is one already
    BADKEY    no row with that key                      BADPOS    no such position, or the key's
    BADARG    anything else that cannot be              TOOLARGE  beyond what a table can hold
    NOACCESS  not yours to do

Making tables, who owns them and what there is to know about them stands in ets_owner.py.

What must stay true: a command that fails has changed nothing; a table is found before anything else is looked at.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Literal

import tsunami
from tsunami import END_OF_TABLE, Row, Table, _core
from tsunami.literal import TextError
from tsunami_server.arguments import SYNTAX, int64
from tsunami_server.command import CommandError, Handler, Reply, command
from tsunami_server.session import ROWS_FREED_AT_ONCE, Session
from tsunami_server.terms import Teller, read_auto, read_etf, read_term, reply_of, take_mode, teller

MODE = "[AUTO | TERM | RAW | ETF]"

# ---- errors, in one place

ERROR_WORDS: tuple[tuple[type[tsunami.TsunamiError], str], ...] = (
    (tsunami.NoSuchTable, "NOTABLE"),
    (tsunami.TableExists, "EXISTS"),
    (tsunami.BadKey, "BADKEY"),
    (tsunami.BadPosition, "BADPOS"),
    (tsunami.TermTooLarge, "TOOLARGE"),
    (tsunami.AccessDenied, "NOACCESS"),
    (tsunami.TsunamiError, "BADARG"),
)


def told(error: tsunami.TsunamiError) -> CommandError:
    word = next(word for kind, word in ERROR_WORDS if isinstance(error, kind))
    message = error.summary if isinstance(error, TextError) else str(error.args[0]) if error.args else "this cannot be"
    return CommandError(f"{word} {message[:300]}")


def bad_argument(message: str) -> CommandError:
    return CommandError(f"BADARG {message}")


def shown(word: bytes) -> str:
    return repr(word[:60].decode("utf-8", "backslashreplace"))


# ---- words


def find_table(word: bytes) -> Table:
    try:
        table = tsunami.whereis(word.decode())
    except UnicodeDecodeError:
        table = None
    if table is None:
        raise CommandError(f"NOTABLE no such table {shown(word)}")
    return table


def any_position(word: bytes) -> int:
    """A position as the engine counts, from 0 on. Whether a row can have it is for whoever looks at the row."""
    number = int64(word)
    if number is None:
        raise bad_argument(f"{shown(word)} is no position: an integer from 1 on is one")
    return number - 1


def position(word: bytes) -> int:
    """A position from 1 on, as one from 0 on."""
    found = any_position(word)
    if found < 0:
        raise CommandError(f"BADPOS position {found + 1}: positions count from 1")
    return found


def integer_word(word: bytes) -> int:
    """An integer of any size."""
    number = read_auto(word)
    if not isinstance(number, int):
        raise bad_argument(f"{shown(word)} is not an integer")
    return number


WHOLE = (read_term, read_etf)  # modes in which a word is a whole row


class Words:
    """The words behind the table's name: the mode first, then one after the other."""

    def __init__(self, words: list[bytes], least: int) -> None:
        self.read, self.words = take_mode(words, least)
        self.tell = teller(self.read)
        self.at = 0

    def __len__(self) -> int:
        return len(self.words) - self.at

    def next(self) -> bytes:
        if not self:
            raise CommandError(SYNTAX)
        self.at += 1
        return self.words[self.at - 1]

    def key(self) -> object:
        return self.read(self.next())

    def take(self, word: bytes) -> bool:
        """Is this word, an option's name, the next one?"""
        if self and self.words[self.at].upper() == word:
            self.at += 1
            return True
        return False

    def end(self) -> None:
        if self:
            raise CommandError(SYNTAX)

    def row(self) -> Row:
        """All the words that are left, as one row: in the modes TERM and ETF one word, else element by element."""
        if self.read in WHOLE:
            row = self.whole_row()
            self.end()
            return row
        words, self.at = self.words[self.at :], len(self.words)
        if not words:
            raise CommandError(SYNTAX)
        return tuple(map(self.read, words))

    def whole_row(self) -> Row:
        word = self.next()
        row = self.read(word)
        if not isinstance(row, tuple):
            raise bad_argument(f"{shown(word)} is no row: a row is a tuple, {{...}}")
        return row

    def rows(self) -> list[Row]:
        """What INSERT takes: one row, `ROWS width` and the elements of several, or in the modes TERM and ETF rows."""
        if self.read in WHOLE:
            rows = [self.whole_row()]
            while self:
                rows.append(self.whole_row())
            return rows
        if len(self) > 2 and self.take(b"ROWS"):
            return self.rows_of(int64(self.next()))
        return [self.row()]

    def rows_of(self, width: int | None) -> list[Row]:
        if width is None or width < 1:
            raise bad_argument("ROWS needs the number of elements in a row, 1 or more")
        elements = tuple(map(self.read, self.words[self.at :]))
        if not elements or len(elements) % width:
            raise bad_argument(f"{len(elements)} elements are no whole number of rows of {width}")
        return [elements[at : at + width] for at in range(0, len(elements), width)]


# ---- handlers

TableHandler = Callable[[Session, Table, list[bytes]], Reply | Awaitable[Reply]]


def with_table(handler: TableHandler, right: Literal["read", "write"] | None) -> Handler:
    """Make a handler of a function that wants the table; its reply is a term or what is made of terms.

    The right is looked at before the handler sees the other words.
    """

    @wraps(handler)
    def run(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
        table = find_table(args[0])
        try:
            if right is not None:
                _core.require(table, right)
            return handler(session, table, args[1:])
        except tsunami.TsunamiError as error:
            raise told(error) from error

    return run


def table_command(
    synopsis: str, flags: str, summary: str, *, complexity: str = "O(1)", hot: bool = False, anyone: bool = False
) -> Callable[[TableHandler], TableHandler]:
    """Register a command whose first word is a table's name.

    It takes the right to write that table, or to read it, as its flags say; with `anyone` none at all.
    """
    right: Literal["read", "write"] = "write" if "write" in flags.split() else "read"
    enter = command(synopsis, flags, group="table", since="0.1.0", summary=summary, complexity=complexity, hot=hot)

    def register(handler: TableHandler) -> TableHandler:
        enter(with_table(handler, None if anyone else right))
        return handler

    return register


def key_and_teller(words: list[bytes]) -> tuple[object, Teller]:
    """The one key that is all there is behind the mode, and how to tell in that mode what is found."""
    reader = Words(words, 1)
    key = reader.key()
    reader.end()
    return key, reader.tell


def key_only(words: list[bytes]) -> object:
    """The key alone, where nothing that is found is told."""
    return key_and_teller(words)[0]


def only_mode(words: list[bytes]) -> Teller:
    """How to tell what is found, where nothing but a mode may stand behind the table."""
    reader = Words(words, 0)
    reader.end()
    return reader.tell


def or_null(reply: object, tell: Teller = reply_of) -> object:
    return None if reply is END_OF_TABLE else tell(reply)


# ---- tables

TYPES = {b"SET": "set", b"ORDERED_SET": "ordered_set", b"BAG": "bag", b"DUPLICATE_BAG": "duplicate_bag"}


def table_type(word: bytes) -> str:
    if word.upper() not in TYPES:
        raise bad_argument(f"{shown(word)} is no type of tables; types are set, ordered_set, bag and duplicate_bag")
    return TYPES[word.upper()]


@table_command(
    "ETS.DROP table",
    "write",
    "Delete a table with all its rows.",
    complexity="O(N) in the number of rows, in the background",
)
def ets_drop(session: Session, table: Table, words: list[bytes]) -> Reply | Awaitable[Reply]:
    if len(table) > ROWS_FREED_AT_ONCE:
        return drop_later(session, table)
    table.delete()
    return 1


async def drop_later(session: Session, table: Table) -> Reply:
    try:
        await session.in_thread(table.delete)
    except tsunami.TsunamiError as error:  # somebody else has deleted it meanwhile
        raise told(error) from error
    return 1


@table_command(
    "ETS.CLEAR table", "write", "Delete all rows of a table, in one step.", complexity="O(N) in the number of rows"
)
def ets_clear(session: Session, table: Table, words: list[bytes]) -> Reply:
    table.delete_all_objects()
    return 1


@table_command("ETS.RENAME table newname", "write", "Give a table another name.")
def ets_rename(session: Session, table: Table, words: list[bytes]) -> Reply:
    try:
        name = words[0].decode()
    except UnicodeDecodeError:
        raise bad_argument(f"{shown(words[0])} is no name: names are UTF-8") from None
    table.rename(name)
    return name


@table_command("ETS.LEN table", "readonly fast", "The number of rows.", anyone=True)
def ets_len(session: Session, table: Table, words: list[bytes]) -> Reply:
    return len(table)


# ---- writing


@table_command(
    f"ETS.INSERT table {MODE} rows=([ROWS width] element ...)", "write fast",
    "Insert a row, or several in one step, and tell how many; rows of the same key are replaced in a set.",
    complexity="O(N) in the number of rows", hot=True,
)  # fmt: skip
def ets_insert(session: Session, table: Table, words: list[bytes]) -> Reply:
    rows = Words(words, 1).rows()
    table.insert(rows)
    return len(rows)


@table_command(
    f"ETS.INSERTNEW table {MODE} rows=([ROWS width] element ...)", "write fast",
    "Insert rows if none of their keys is there: 1, or 0 and nothing has changed.",
    complexity="O(N) in the number of rows", hot=True,
)  # fmt: skip
def ets_insertnew(session: Session, table: Table, words: list[bytes]) -> Reply:
    return int(table.insert_new(Words(words, 1).rows()))


@table_command(f"ETS.DELETE table {MODE} key:string", "write fast", "Delete the rows of a key.", hot=True)
def ets_delete(session: Session, table: Table, words: list[bytes]) -> Reply:
    table.delete(key_only(words))
    return 1


@table_command(f"ETS.DELETEOBJECT table {MODE} element ...", "write fast", "Delete the rows that are exactly this one.")
def ets_deleteobject(session: Session, table: Table, words: list[bytes]) -> Reply:
    table.delete_object(Words(words, 1).row())
    return 1


@table_command(f"ETS.TAKE table {MODE} key:string", "write fast", "Delete the rows of a key, and tell them.", hot=True)
def ets_take(session: Session, table: Table, words: list[bytes]) -> Reply:
    key, tell = key_and_teller(words)
    return (take_from_set if table.type in ("set", "ordered_set") else take_from_bag)(table, key, tell)


def take_from_set(table: Table, key: object, tell: Teller) -> Reply:
    """The reply is made before the row goes: one that cannot be told is not lost."""
    while True:
        found = _core.entry(table, key)
        if found is None:
            return tell([])
        reply = tell([found[0]])
        if _core.commit([(table, key, *found)], [], [(table, key)]):
            return reply


def take_from_bag(table: Table, key: object, tell: Teller) -> Reply:
    tell(table.lookup(key))  # as above, but for rows that another thread adds in just this moment
    return tell(table.take(key))


def default_row(reader: Words) -> Row | None:
    """`DEFAULT` and a row, if that is what the rest is."""
    return reader.row() if reader.take(b"DEFAULT") else None


@table_command(
    f"ETS.UPDATECOUNTER table {MODE} key:string "
    "step=(pos increment:integer [THRESHOLD (threshold:integer SET value:integer)]) ... "
    "[DEFAULT element ...]",
    "write fast",
    "Add to integers in a row, and tell the new value (of several steps: all of them).",
    hot=True,
)
def ets_updatecounter(session: Session, table: Table, words: list[bytes]) -> Reply:
    reader = Words(words, 3)
    key = reader.key()
    steps = [counter_step(reader)]
    while reader and reader.words[reader.at].upper() != b"DEFAULT":
        steps.append(counter_step(reader))
    default = default_row(reader)
    try:
        values = table.update_counter(key, steps, default)
    except tsunami.BadPosition as error:
        raise misplaced(table, steps, error) from error
    assert isinstance(values, list)
    return values[0] if len(values) == 1 else values


def counter_step(reader: Words) -> tuple[int, ...]:
    step = (any_position(reader.next()), integer_word(reader.next()))
    if not reader.take(b"THRESHOLD"):
        return step
    threshold = integer_word(reader.next())
    if not reader.take(b"SET"):
        raise CommandError(SYNTAX)
    return (*step, threshold, integer_word(reader.next()))


@table_command(
    f"ETS.UPDATEELEMENT table {MODE} key:string (pos value) ... [DEFAULT element ...]", "write fast",
    "Set elements of a row; 1, or 0 if there is no row with the key.",
)  # fmt: skip
def ets_updateelement(session: Session, table: Table, words: list[bytes]) -> Reply:
    reader = Words(words, 3)
    key = reader.key()
    pairs = [(any_position(reader.next()), reader.key())]
    while reader and reader.words[reader.at].upper() != b"DEFAULT":
        pairs.append((any_position(reader.next()), reader.key()))
    default = default_row(reader)
    try:
        return int(table.update_element(key, pairs, default))
    except tsunami.BadPosition as error:
        raise misplaced(table, pairs, error) from error


def misplaced(
    table: Table, steps: list[tuple[int, ...]] | list[tuple[int, object]], error: tsunami.BadPosition
) -> CommandError:
    """The engine counts from 0, the client from 1: tell the positions as the client knows them."""
    positions = sorted({int(step[0]) + 1 for step in steps})
    if error.cause == "keypos":
        return CommandError(f"BADPOS position {table.keypos + 1} is the key's")
    if len(positions) == 1 and positions[0] < 1:
        return CommandError(f"BADPOS position {positions[0]}: positions count from 1")
    which = (
        f"position {positions[0]} is"
        if len(positions) == 1
        else f"one of the positions {', '.join(map(str, positions))} is"
    )
    return CommandError(f"BADPOS {which} outside the row")


# ---- reading


@table_command(f"ETS.LOOKUP table {MODE} key:string", "readonly fast", "The rows of a key.", hot=True)
def ets_lookup(session: Session, table: Table, words: list[bytes]) -> Reply:
    key, tell = key_and_teller(words)
    return tell(table.lookup(key))


@table_command(
    f"ETS.MLOOKUP table {MODE} key:string ...", "readonly fast", "The rows of each of several keys.",
    complexity="O(N) in the number of keys", hot=True,
)  # fmt: skip
def ets_mlookup(session: Session, table: Table, words: list[bytes]) -> Reply:
    read, keys = take_mode(words, 1)
    return teller(read)(table.lookup_many([read(key) for key in keys]))


@table_command(
    f"ETS.LOOKUPELEMENT table {MODE} key:string pos [DEFAULT value]", "readonly fast",
    "One element of the row of a key (in a bag: an array, of each row), or the default.", hot=True,
)  # fmt: skip
def ets_lookupelement(session: Session, table: Table, words: list[bytes]) -> Reply:
    reader = Words(words, 2)
    key, word = reader.key(), reader.next()
    at = position(word)
    default = (reader.key(),) if reader.take(b"DEFAULT") else ()
    reader.end()
    try:
        return reader.tell(table.lookup_element(key, at, *default))
    except tsunami.BadPosition as error:
        raise CommandError(f"BADPOS position {at + 1} is outside the row") from error


@table_command(f"ETS.MEMBER table {MODE} key:string", "readonly fast", "Is there a row with this key?", hot=True)
def ets_member(session: Session, table: Table, words: list[bytes]) -> Reply:
    return int(table.member(key_only(words)))


@table_command(
    f"ETS.SLOT table {MODE} slot",
    "readonly",
    "The rows of one slot; going from 0 upwards every row comes once, until null comes.",
)
def ets_slot(session: Session, table: Table, words: list[bytes]) -> Reply:
    reader = Words(words, 1)
    word = reader.next()
    reader.end()
    index = int64(word)
    if index is None:
        raise bad_argument(f"{shown(word)} is no slot: an integer from 0 on is one")
    return or_null(table.slot(index), reader.tell)


# ---- walking


def define_ends(name: str, what: str) -> None:
    @table_command(
        f"ETS.{name} table {MODE}", "readonly fast", f"The {what} key of a walk, or null if the table is empty."
    )
    def end_key(session: Session, table: Table, words: list[bytes]) -> Reply:
        return or_null(table.first() if name == "FIRST" else table.last(), only_mode(words))

    @table_command(
        f"ETS.{name}LOOKUP table {MODE}",
        "readonly fast",
        f"The {what} key of a walk and its rows, or null if the table is empty.",
    )
    def end_lookup(session: Session, table: Table, words: list[bytes]) -> Reply:
        return or_null(table.first_lookup() if name == "FIRST" else table.last_lookup(), only_mode(words))


def define_steps(name: str, what: str) -> None:
    @table_command(
        f"ETS.{name} table {MODE} key:string",
        "readonly fast",
        f"The key {what} this one in a walk, or null at the end.",
    )
    def step_key(session: Session, table: Table, words: list[bytes]) -> Reply:
        key, tell = key_and_teller(words)
        return or_null(table.next(key) if name == "NEXT" else table.prev(key), tell)

    @table_command(
        f"ETS.{name}LOOKUP table {MODE} key:string",
        "readonly fast",
        f"The key {what} this one and its rows, or null at the end.",
    )
    def step_lookup(session: Session, table: Table, words: list[bytes]) -> Reply:
        key, tell = key_and_teller(words)
        return or_null(table.next_lookup(key) if name == "NEXT" else table.prev_lookup(key), tell)


define_ends("FIRST", "first")
define_ends("LAST", "last")
define_steps("NEXT", "after")
define_steps("PREV", "before")
