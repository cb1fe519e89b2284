"""ETS.CALL, ETS.HELLO, ETS.TIME, ETS.BYE: Erlang's processes at the tables (ets-call-contract.md).

What it is: who a connection is to Erlang, the functions of ETS that work on tables as wholes and on their owners, and
the way to all others, which the engine carries out without Python (tsunami._core.call; on the hot path it has been
asked already, and what comes here is an error, long, or Python's own).

What it is not: a second implementation. The functions below only translate: arguments to those of tsunami.Table and
tsunami.Session, results and exceptions to Erlang's.

What must stay true:

1. The table argument is judged first: type, existence, access, then the others. A call that fails has changed nothing.
2. An identity stands for the connection that said hello with it last, as long as that lives. What a table remembers
   is the session, not the identity.
3. A term that a call only passes on (a gift, an heir's data) is never unpacked.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

import tsunami
from tsunami import Atom, Pid, Reference, Table, _core, _wire
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.session import ROWS_FREED_AT_ONCE, Session

UNDEFINED: Final = Atom("undefined")
NONE: Final = Atom("none")
AUTO: Final = Atom("auto")
EMULATOR: Final = Atom("nonode@nohost")
BADARG: Final = "BADARG"
MALFORMED: Final = "ERR the arguments are no list in Erlang's external term format"


def bad(cause: str = "") -> CommandError:
    return CommandError(f"{BADARG} {cause}" if cause else BADARG)


def told(error: Exception) -> CommandError:
    """The error line of an exception: the one place for that."""
    if isinstance(error, tsunami.TermTooLarge):
        return CommandError("SYSTEM_LIMIT")
    if isinstance(error, tsunami.TsunamiError):
        return bad(error.cause or "")
    return CommandError(f"ERR {type(error).__name__}")


# ---- who is who


def say_hello(session: Session, identity: object) -> None:
    """From now on this term stands for the connection."""
    identities = session.app.shared.identities
    forget(session)
    session.holder.identity = identity
    session.identity = tsunami.term_to_binary(identity)
    identities[session.identity] = session
    session.conn.identity = _core.pack(identity)
    session.spell_transfer = erlang_transfer


def forget(session: Session) -> None:
    identities = session.app.shared.identities
    if identities.get(session.identity) is session:
        del identities[session.identity]


def identity_of(holder: tsunami.Session | None) -> object:
    """Who a session is to Erlang: what it said, or a pid of our own."""
    if holder is not None and holder.identity is not None:
        return holder.identity
    return _core.session_pid(holder)


def process(session: Session, identity: object) -> tsunami.Session | None:
    """The session that lives under an identity, None if it is dead. BADARG for what is no pid."""
    if not isinstance(identity, Pid):
        raise bad()
    found = session.app.shared.identities.get(tsunami.term_to_binary(identity))
    holder = found.holder if found is not None else _core.pid_session(identity)
    return holder if holder is not None and holder.alive else None


def table_term(table: Table) -> object:
    """What new/2 returned: the name of a named table, else the reference."""
    return Atom(str(table.name)) if table.info("named_table") else _core.table_reference(table)


def erlang_transfer(
    session: Session, table: Table, giver: tsunami.Session | None, data: _core.Packed
) -> _wire.Push | None:
    message = (Atom("ETS-TRANSFER"), table_term(table), identity_of(giver), data)
    return _wire.Push([b"ETS-TRANSFER", tsunami.term_to_binary(message)])


@command(
    "ETS.HELLO identity", "fast", group="table", since="0.1.0",
    summary="Tell who this connection is to Erlang: a pid in the external term format.",
)  # fmt: skip
def ets_hello(session: Session, args: list[bytes]) -> Reply:
    try:
        identity = tsunami.binary_to_term(args[0])
        say_hello(session, identity)
    except tsunami.TsunamiError as error:
        raise CommandError(f"ERR an identity is a term in Erlang's external term format: {error}") from None
    return _wire.Simple("OK")


@command(
    "ETS.BYE", "fast", group="table", since="0.1.0",
    summary="End the connection: when the answer comes its tables have gone to their heirs or are deleted.",
)  # fmt: skip
def ets_bye(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    ending = session.end_holder()
    if ending is not None:
        return goodbye(session, ending)
    session.closing = True
    return _wire.Simple("OK")


async def goodbye(session: Session, ending: Awaitable[None]) -> Reply:
    await ending
    session.closing = True
    return _wire.Simple("OK")


@command(
    "ETS.TIME", "readonly fast", group="table", since="0.1.0",
    summary="The clocks that fixations are told by, in the external term format: {Monotonic, {Mega, Secs, Micro}}.",
)  # fmt: skip
def ets_time(session: Session, args: list[bytes]) -> Reply:
    micros = time.time_ns() // 1000
    wall = (micros // 10**12, micros // 10**6 % 10**6, micros % 10**6)
    return tsunami.term_to_binary((time.monotonic_ns(), wall))


# ---- tables as arguments


def number_of(reference: Reference) -> int:
    """The number behind a reference of ours; BADARG (type) for any other."""
    number = _core.reference_number(reference)
    if not number:
        raise bad("type")
    return number


def is_atom(term: object) -> bool:
    return isinstance(term, Atom) or term is True or term is False or term is None


def atom_name(term: object) -> str:
    """The text of an atom; Python has its own values for three of them, which Atom(text) gives, too."""
    return term.name if isinstance(term, Atom) else {True: "true", False: "false", None: "nil"}[term]  # type: ignore[index]


def find(term: object) -> Table | None:
    """The table of a name or reference, None if there is none; BADARG (type) for anything else."""
    if is_atom(term):
        return tsunami.whereis(atom_name(term))
    if isinstance(term, Reference):
        return _core.table_with_id(number_of(term))
    raise bad("type")


def find_for(term: object, right: Literal["read", "write"]) -> Table:
    table = find(term)
    if table is None:
        raise bad("id")
    _core.require(table, right)
    return table


# ---- options

TYPES: Final = ("set", "ordered_set", "bag", "duplicate_bag")
PROTECTIONS: Final = ("public", "protected", "private")


def new_options(session: Session, options: object) -> dict[str, Any]:
    """Of contradicting options the last one wins."""
    if not isinstance(options, list):
        raise bad()
    found: dict[str, Any] = {"named": False}
    for option in options:
        match option:
            case Atom() if option.name in TYPES:
                found["type"] = option.name
            case Atom() if option.name in PROTECTIONS:
                found["protection"] = option.name
            case Atom() if option.name == "named_table":
                found["named"] = True
            case Atom() if option.name == "compressed":
                found["compressed"] = True
            case (Atom() as name, bool() as value) if name.name in ("read_concurrency", "decentralized_counters"):
                found[name.name] = value
            case (Atom() as name, value) if name.name == "write_concurrency" and (
                isinstance(value, bool) or value is AUTO
            ):
                found[name.name] = value if isinstance(value, bool) else "auto"
            case (Atom() as name, int() as value) if name.name == "keypos" and not isinstance(value, bool):
                if value < 1:
                    raise bad()
                found["keypos"] = value - 1
            case _:
                found["heir"] = heir_option(session, option)
    return found


def heir_option(session: Session, option: object) -> tuple[tsunami.Session, object] | None:
    """{heir, Pid, Data} or {heir, none}; a dead heir is none."""
    match option:
        case (Atom() as name, who) if name.name == "heir" and who is NONE:
            return None
        case (Atom() as name, who, data) if name.name == "heir":
            holder = process(session, who)
            return (holder, data) if holder is not None else None
    raise bad()


# ---- the functions that are Python's


def call_all(session: Session) -> object:
    return [table_term(table) for table in tsunami.all()]


def call_new(session: Session, name: object, options: object) -> object:
    if not is_atom(name):
        raise bad()
    found = new_options(session, options)
    table = session.holder.new(atom_name(name), **found)
    return name if found["named"] else _core.table_reference(table)


def call_delete(session: Session, term: object) -> object:
    find_for(term, "write").delete()
    return True


def call_rename(session: Session, term: object, name: object) -> object:
    table = find_for(term, "write")
    if not is_atom(name):
        raise bad()
    try:
        table.rename(atom_name(name))
    except tsunami.TableExists:
        raise bad() from None
    return name if table.info("named_table") else _core.table_reference(table)


def call_whereis(session: Session, name: object) -> object:
    if not is_atom(name):
        raise bad()
    table = find(name)
    return _core.table_reference(table) if table is not None else UNDEFINED


def call_safe_fixtable(session: Session, term: object, fix: object) -> object:
    table = find_for(term, "read")
    if not isinstance(fix, bool):
        raise bad()
    table.safe_fixtable(fix)
    return True


def call_give_away(session: Session, term: object, receiver: object, gift: object) -> object:
    table = find_for(term, "write")
    holder = process(session, receiver)
    if holder is None:
        raise bad()
    table.give_away(holder, gift)
    return True


def call_setopts(session: Session, term: object, options: object) -> object:
    table = find_for(term, "write")
    found: dict[str, Any] = {}
    for option in options if isinstance(options, list) else [options]:
        match option:
            case (Atom() as name, Atom() as value) if name.name == "protection" and value.name in PROTECTIONS:
                kind, what = "protection", value.name
            case _:
                kind, what = "heir", heir_option(session, option)  # type: ignore[assignment]
        if kind in found:
            raise bad()
        found[kind] = what
    table.setopts(**found)
    return True


# ---- info

INFO: Final = (
    *("id", "decentralized_counters", "read_concurrency", "write_concurrency", "compressed", "memory", "owner"),
    *("heir", "name", "size", "node", "named_table", "type", "keypos", "protection"),
)
INFO_ASKED: Final = ("fixed", "safe_fixed", "safe_fixed_monotonic_time", "stats", "binary")


def fixers(told: Any) -> object:
    if told is False:
        return False
    since, who = told
    return since, [(identity_of(holder), count) for holder, count in who]


INFO_SPELLED: Final[Mapping[str, Callable[[Table, Any], object]]] = {
    "id": lambda table, _: _core.table_reference(table),
    "name": lambda table, name: Atom(name if name is not None else "table"),
    "type": lambda table, name: Atom(name),
    "protection": lambda table, name: Atom(name),
    "keypos": lambda table, keypos: keypos + 1,
    "memory": lambda table, size: max(1, size // 8),  # in words, as ETS has it
    "owner": lambda table, holder: identity_of(holder),
    "heir": lambda table, holder: identity_of(holder) if holder is not None else NONE,
    "node": lambda table, _: EMULATOR,
    "write_concurrency": lambda table, value: AUTO if value == "auto" else value,
    "safe_fixed": lambda table, told: fixers(told),
    "safe_fixed_monotonic_time": lambda table, told: fixers(told),
}


def info_item(table: Table, item: str) -> object:
    told = table.info(item)
    spell = INFO_SPELLED.get(item)
    return spell(table, told) if spell else told


def call_info(session: Session, term: object) -> object:
    table = find(term)
    if table is None or table.info() is None:
        return UNDEFINED
    return [(Atom(item), info_item(table, item)) for item in INFO]


def call_info_item(session: Session, term: object, item: object) -> object:
    table = find(term)
    if table is None or table.info() is None:
        return UNDEFINED
    if not isinstance(item, Atom) or item.name not in (*INFO, *INFO_ASKED):
        raise bad()
    return info_item(table, item.name)


FUNCTIONS: Final[Mapping[tuple[str, int], Callable[..., object]]] = {
    ("all", 0): call_all,
    ("delete", 1): call_delete,
    ("give_away", 3): call_give_away,
    ("info", 1): call_info,
    ("info", 2): call_info_item,
    ("new", 2): call_new,
    ("rename", 2): call_rename,
    ("safe_fixtable", 2): call_safe_fixtable,
    ("setopts", 2): call_setopts,
    ("whereis", 1): call_whereis,
}


# ---- the command


@command(
    "ETS.CALL function arguments", "write", group="table", since="0.1.0", hot=True,
    summary="Call a function of ETS: the list of the arguments and the result are in Erlang's external term format.",
    complexity="Depends on the function.",
)  # fmt: skip
def ets_call(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    name = args[0].decode("latin-1")
    done = _core.call(name, args[1], session.conn.session, session.conn.identity, False)
    if done is None:
        return call_here(session, name, args[1])
    if done is False:
        return call_later(session, name, args[1])
    return answer(done)


async def call_later(session: Session, name: str, data: bytes) -> Reply:
    """A long call runs in a thread: all other connections go on."""
    done = await session.in_thread(_core.call, name, data, session.conn.session, session.conn.identity, True)
    if done is not None:
        return answer(done)
    said = call_here(session, name, data)
    return await said if isinstance(said, Awaitable) else said


def answer(done: Any) -> Reply:
    good, said = done
    if not good:
        raise CommandError(said)
    assert isinstance(said, bytes)
    return said


def many_rows(table: Table | None) -> bool:
    return table is not None and len(table) > ROWS_FREED_AT_ONCE


async def delete_later(session: Session, term: object) -> Reply:
    """Freeing the rows of a large table is long: it is done in a thread."""
    try:
        return tsunami.term_to_binary(await session.in_thread(_core.act, session.holder, call_delete, session, term))
    except (tsunami.TsunamiError, MemoryError) as error:
        raise told(error) from None


def call_here(session: Session, name: str, data: bytes) -> Reply | Awaitable[Reply]:
    arguments = _core.call_arguments(data)
    if arguments is None:
        raise CommandError(MALFORMED)
    function = FUNCTIONS.get((name, len(arguments)))
    if function is None:
        raise CommandError("UNDEF")
    if function is call_delete and isinstance(arguments[0], Atom | Reference) and many_rows(find(arguments[0])):
        return delete_later(session, arguments[0])
    try:
        return tsunami.term_to_binary(_core.act(session.holder, function, session, *arguments))
    except (tsunami.TsunamiError, MemoryError) as error:
        raise told(error) from None
