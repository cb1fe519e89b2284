"""ETS.*: making tables, who owns them, who has fixed them, and what there is to know about them.

Over RESP a session is a connection, named by its client id (CLIENT ID). A connection that never asks for an owner is
nobody in particular: its tables are PUBLIC and belong to nobody. OWNED, PROTECTED, PRIVATE and HEIR ask for one: then
the table is the connection's. When a connection ends, its tables go to their heirs or are deleted, and what it has
fixed is free.

Who becomes the owner of a table is told by a push, `ETS-TRANSFER [table, giver's client id, data]`, if the connection
speaks RESP3 (RESP2 has no pushes). It comes before the answer to whatever that connection sends after the giver's
command was answered.

What must stay true: a table is found, and the right to it looked at, before anything else is; ETS.INFO, ETS.ALL and
ETS.WHEREIS are for everybody.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import tsunami
from tsunami import Protection, Table
from tsunami_server.arguments import SYNTAX, int64
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.commands.ets import (
    MODE,
    Words,
    bad_argument,
    find_table,
    integer_word,
    position,
    shown,
    table_command,
    table_type,
    told,
)
from tsunami_server.session import Session
from tsunami_server.terms import read_auto, reply_of

PROTECTIONS: Mapping[bytes, Protection] = {word.upper().encode(): word for word in get_args(Protection)}
FLAGS: Mapping[bytes, bool] = {b"TRUE": True, b"FALSE": False}
CONCURRENCY: Mapping[bytes, Mapping[bytes, bool | Literal["auto"]]] = {
    b"READ_CONCURRENCY": FLAGS,
    b"WRITE_CONCURRENCY": {**FLAGS, b"AUTO": "auto"},
    b"DECENTRALIZED_COUNTERS": FLAGS,
}


# ---- making tables


@command(
    "ETS.NEW name [TYPE type=(SET | ORDERED_SET | BAG | DUPLICATE_BAG)] [KEYPOS keypos] [STRIPES stripes] "
    "[protection=(PUBLIC | PROTECTED | PRIVATE)] [OWNED] [HEIR (client-id data)] "
    "[READ_CONCURRENCY read=(TRUE | FALSE)] [WRITE_CONCURRENCY write=(TRUE | FALSE | AUTO)] "
    "[DECENTRALIZED_COUNTERS counters=(TRUE | FALSE)] [COMPRESSED]", "write",
    group="table", since="0.1.0",
    summary="Make a table, and tell its name. OWNED, PROTECTED, PRIVATE and HEIR make it this connection's.",
)  # fmt: skip
def ets_new(session: Session, args: list[bytes]) -> Reply:
    try:
        name = args[0].decode()
    except UnicodeDecodeError:
        raise bad_argument(f"{shown(args[0])} is no name: names are UTF-8") from None
    options, owned = new_options(session, args[1:])
    try:
        if owned:
            session.holder.new(name, **options)  # type: ignore[arg-type]
        else:
            tsunami.new(name, **options)  # type: ignore[arg-type]
    except tsunami.TsunamiError as error:
        raise told(error) from error
    return name


def new_options(session: Session, words: list[bytes]) -> tuple[dict[str, object], bool]:
    """The options, and whether the table is to be owned. Of contradicting options the last one wins."""
    options: dict[str, object] = {}
    owned = False
    reader = Words(words, len(words))
    while reader:
        word = reader.next().upper()
        if word == b"TYPE":
            options["type"] = table_type(reader.next())
        elif word == b"KEYPOS":
            options["keypos"] = position(reader.next())
        elif word == b"STRIPES":
            options["stripes"] = integer_word(reader.next())
        elif word in PROTECTIONS:
            options["protection"] = PROTECTIONS[word]
        elif word == b"OWNED":
            owned = True
        elif word == b"HEIR":
            options["heir"] = heir_words(session, reader)
        elif word == b"COMPRESSED":
            options["compressed"] = True
        elif word in CONCURRENCY:
            options[word.decode().lower()] = choice(reader, word, CONCURRENCY[word])
        else:
            raise CommandError(SYNTAX)
    owned = owned or "heir" in options or options.get("protection", "public") != "public"
    if owned:
        options.setdefault("protection", "public")
    else:
        options.pop("protection", None)
    return options, owned


def choice(reader: Words, name: bytes, values: Mapping[bytes, bool | Literal["auto"]]) -> bool | Literal["auto"]:
    word = reader.next()
    if word.upper() not in values:
        raise bad_argument(f"{shown(word)} is no {name.decode()}; it is {' or '.join(v.decode() for v in values)}")
    return values[word.upper()]


# ---- who owns them


def client_holder(session: Session, word: bytes) -> tsunami.Session | None:
    """Who the client with this id is to the tables; None if there is no such client."""
    number = int64(word)
    if number is None:
        raise bad_argument(f"{shown(word)} is no client id")
    found = session.app.shared.sessions.get(number)
    return found.holder if found is not None else None


def heir_words(session: Session, reader: Words) -> tuple[tsunami.Session, object] | None:
    """`client-id data`. A client that is gone is no heir."""
    heir, data = client_holder(session, reader.next()), read_auto(reader.next())
    return (heir, data) if heir is not None else None


@table_command(
    f"ETS.GIVEAWAY table client-id {MODE} data",
    "write",
    "Make another connection the owner of a table of this one's; it is told so, with the data.",
)
def ets_giveaway(session: Session, table: Table, words: list[bytes]) -> Reply:
    receiver = client_holder(session, words[0])
    if receiver is None:
        raise bad_argument(f"there is no client {shown(words[0])}")
    reader = Words(words[1:], 1)
    data = reader.key()
    reader.end()
    table.give_away(receiver, data)
    return 1


@table_command(
    "ETS.SETOPTS table [protection=(PUBLIC | PROTECTED | PRIVATE)] [heir=(NOHEIR | HEIR (client-id data))]",
    "write",
    "Change the protection or the heir of a table of this connection's; all that is asked for, or nothing.",
)
def ets_setopts(session: Session, table: Table, words: list[bytes]) -> Reply:
    options: dict[str, object] = {}
    reader = Words(words, len(words))
    while reader:
        word = reader.next().upper()
        kind = "protection" if word in PROTECTIONS else "heir"
        if kind in options or (kind == "heir" and word not in (b"HEIR", b"NOHEIR")):
            raise CommandError(SYNTAX)
        if kind == "protection":
            options[kind] = PROTECTIONS[word]
        else:
            options[kind] = heir_words(session, reader) if word == b"HEIR" else None
    table.setopts(**options)  # type: ignore[arg-type]
    return 1


# ---- who has fixed them


@table_command(
    "ETS.FIX table",
    "readonly",
    "Hold a table still for this connection's walk: until ETS.UNFIX no walk misses a row or sees one twice.",
)
def ets_fix(session: Session, table: Table, words: list[bytes]) -> Reply:
    with session.holder.here():
        table.safe_fixtable(True)
    return 1


@table_command("ETS.UNFIX table", "readonly", "Take one ETS.FIX of this connection back, if there is one.")
def ets_unfix(session: Session, table: Table, words: list[bytes]) -> Reply:
    if session.conn.session:  # who is nobody in particular has fixed nothing
        table.safe_fixtable(False)
    return 1


# ---- what there is to know


@command("ETS.ALL", "readonly", group="table", since="0.1.0", summary="The names of all tables.",
         complexity="O(N) in the number of tables")  # fmt: skip
def ets_all(session: Session, args: list[bytes]) -> Reply:
    return sorted(str(table.name) for table in tsunami.all() if table.info("named_table"))


@command(
    "ETS.WHEREIS name",
    "readonly fast",
    group="table",
    since="0.1.0",
    summary="The number that a table keeps under all names; null if there is none.",
)
def ets_whereis(session: Session, args: list[bytes]) -> Reply:
    table = table_or_none(args[0])
    return table.info("id") if table is not None else None


@command(
    "ETS.INFO table [item]",
    "readonly",
    group="table",
    since="0.1.0",
    summary="What there is to know about a table; null if there is none.",
)
def ets_info(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 2:
        raise CommandError(SYNTAX)
    table = table_or_none(args[0])
    if table is None:  # ETS answers undefined for a table that is not there, whatever was asked
        return None
    try:
        if len(args) == 1:
            every = table.info()
            return reply_of({name: item_reply(session, name, value) for name, value in (every or {}).items()}) or None
        item = args[1].decode("utf-8", "backslashreplace").lower()
        return reply_of(item_reply(session, item, table.info(item)))
    except tsunami.TsunamiError as error:
        raise told(error) from error


def table_or_none(name: bytes) -> Table | None:
    try:
        return find_table(name)
    except CommandError:
        return None


def item_reply(session: Session, item: str, value: object) -> object:
    """An item of info as this door tells it: positions from 1 on, sessions by their client ids."""
    name = session.app.shared.holder_name
    if item == "keypos" and isinstance(value, int):
        return value + 1
    if isinstance(value, tsunami.Session):
        return name(value)
    if item.startswith("safe_fixed") and isinstance(value, tuple):
        since, fixers = value
        return since, [(name(holder), count) for holder, count in fixers]
    return value
