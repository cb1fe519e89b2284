"""COMMAND: the registry, told to clients. redis-cli's hints and completion are made of COMMAND DOCS."""

from collections.abc import Iterator

from tsunami._wire import Simple
from tsunami_server.arguments import SYNTAX
from tsunami_server.command import (
    HELP,
    NOT_KEY,
    Argument,
    Command,
    CommandError,
    KeySpec,
    Reply,
    add_help,
    command,
    registry,
)
from tsunami_server.glob import compile_glob
from tsunami_server.session import Session

FLAGS = "loading stale"


class InOrder(frozenset[Simple]):
    """A set that is told in the order in which its members were given: RESP2 clients compare lists."""

    def __new__(cls, words: tuple[Simple, ...]) -> "InOrder":
        told = super().__new__(cls, words)
        told.words = words
        return told

    words: tuple[Simple, ...]

    def __iter__(self) -> Iterator[Simple]:
        return iter(self.words)


def simple_set(words: tuple[str, ...]) -> InOrder:
    return InOrder(tuple(Simple(word) for word in dict.fromkeys(words)))


# ---- COMMAND INFO


def describe(record: Command) -> list[object]:
    first, last, step = record.keys
    return [
        record.name,
        record.arity,
        simple_set(record.flags),
        first,
        last,
        step,
        simple_set(record.categories),
        frozenset(record.tips),
        [describe_keys(spec) for spec in record.key_specs],
        [describe(sub) for sub in record.subcommands.values()],
    ]


def describe_keys(spec: KeySpec) -> dict[str, object]:
    if spec.unknown:
        nobody_knows = {"type": "unknown", "spec": dict[str, object]()}
        return {"flags": simple_set(spec.flags), "begin_search": nobody_knows, "find_keys": nobody_knows}
    if spec.keyword:
        return {
            "flags": simple_set(spec.flags),
            "begin_search": {"type": "keyword", "spec": {"keyword": spec.keyword, "startfrom": spec.first}},
            "find_keys": {"type": "range", "spec": {"lastkey": -1, "keystep": 1, "limit": 2}},
        }
    last = spec.last if spec.last < 0 else spec.last - spec.first
    span = {"type": "range", "spec": {"lastkey": last, "keystep": spec.step, "limit": 0}}
    counted = {"type": "keynum", "spec": {"keynumidx": 0, "firstkey": 1, "keystep": spec.step}}
    return {
        "flags": simple_set(spec.flags),
        "begin_search": {"type": "index", "spec": {"index": spec.first}},
        "find_keys": counted if spec.counted else span,
    }


def find(name: bytes) -> Command | None:
    return registry.get(name.decode("utf-8", "replace"))


@command(
    "COMMAND",
    FLAGS,
    group="server",
    since="2.8.13",
    arity=-1,
    acl="connection",
    summary="What every command takes and does.",
    complexity="O(N) in the number of commands",
    tips="nondeterministic_output_order",
)
def command_all(session: Session, args: list[bytes]) -> Reply:
    return [describe(record) for record in registry.commands.values()]


@command("COMMAND INFO [command-name ...]", FLAGS, group="server", since="2.8.13", acl="connection",
         summary="What some commands take and do; null for one that does not exist.",
         complexity="O(N) in the number of commands", tips="nondeterministic_output_order")  # fmt: skip
def command_info(session: Session, args: list[bytes]) -> Reply:
    if not args:
        return command_all(session, args)
    return [describe(record) if (record := find(name)) else None for name in args]


@command("COMMAND COUNT", FLAGS, group="server", since="2.8.13", acl="connection", summary="The number of commands.")
def command_count(session: Session, args: list[bytes]) -> Reply:
    return len(registry.commands)


@command(
    "COMMAND LIST [FILTERBY filterby=(MODULE module-name | ACLCAT category | PATTERN pattern)]",
    FLAGS,
    group="server",
    since="7.0.0",
    acl="connection",
    summary="The names of the commands.",
    complexity="O(N) in the number of commands",
    tips="nondeterministic_output_order",
)
def command_list(session: Session, args: list[bytes]) -> Reply:
    records = list(registry.everything())
    if not args:
        return [record.name for record in records]
    if len(args) != 3 or args[0].upper() != b"FILTERBY":
        raise CommandError(SYNTAX)
    match args[1].upper():
        case b"MODULE":
            return []
        case b"ACLCAT":
            category = "@" + args[2].decode("utf-8", "replace").lower()
            return [record.name for record in records if category in record.categories]
        case b"PATTERN":
            matches = compile_glob(args[2], ignore_case=True)
            return [record.name for record in records if matches(record.name.encode())]
    raise CommandError(SYNTAX)


# ---- COMMAND DOCS


def docs(record: Command) -> dict[str, object]:
    told: dict[str, object] = {
        "summary": record.summary,
        "since": record.since,
        "group": record.group,
        "complexity": record.complexity,
    }
    if record.replaced_by:
        told["doc_flags"] = frozenset([Simple("deprecated")])
        told["replaced_by"] = record.replaced_by
    if record.arguments:
        told["arguments"] = [argument_docs(argument) for argument in record.arguments]
    if record.subcommands:
        told["subcommands"] = {sub.name: docs(sub) for sub in record.subcommands.values()}
    return told


def argument_docs(argument: Argument) -> dict[str, object]:
    told: dict[str, object] = {"name": argument.name, "type": argument.type}
    if argument.key_spec is not None:
        told["key_spec_index"] = argument.key_spec
    if argument.token is not None:
        told["token"] = argument.token
    flags = [word for word, is_so in (("optional", argument.optional), ("multiple", argument.multiple)) if is_so]
    if flags:
        told["flags"] = frozenset(Simple(word) for word in flags)
    if argument.arguments:
        told["arguments"] = [argument_docs(inner) for inner in argument.arguments]
    return told


@command("COMMAND DOCS [command-name ...]", FLAGS, group="server", since="7.0.0", acl="connection",
         summary="The documentation of commands, as clients show it.",
         complexity="O(N) in the number of commands", tips="nondeterministic_output_order")  # fmt: skip
def command_docs(session: Session, args: list[bytes]) -> Reply:
    found = [find(name) for name in args] if args else list(registry.commands.values())
    return {record.name: docs(record) for record in found if record}


# ---- COMMAND GETKEYS


def keys_of(argv: list[bytes]) -> list[tuple[bytes, tuple[str, ...]]]:
    try:
        record = registry.find(argv)
    except CommandError:
        raise CommandError("ERR Invalid command specified") from None
    if all(NOT_KEY in spec.flags for spec in record.key_specs):
        raise CommandError("ERR The command has no key arguments")
    if not record.accepts(len(argv)):
        raise CommandError("ERR Invalid number of arguments specified for command")
    found = record.find_keys(argv)
    if not found and "no_mandatory_keys" not in record.flags:
        raise CommandError("ERR Invalid arguments specified for command")
    return found


@command("COMMAND GETKEYS command (arg) ...", FLAGS, group="server", since="2.8.13", arity=-4, acl="connection",
         summary="The keys among the words of a call.", complexity="O(N) in the number of words")  # fmt: skip
def command_getkeys(session: Session, args: list[bytes]) -> Reply:
    return [key for key, _ in keys_of(args)]


@command("COMMAND GETKEYSANDFLAGS command (arg) ...", FLAGS, group="server", since="7.0.0", arity=-4, acl="connection",
         summary="The keys among the words of a call, and what the command does to each.",
         complexity="O(N) in the number of words")  # fmt: skip
def command_getkeysandflags(session: Session, args: list[bytes]) -> Reply:
    return [[key, simple_set(flags)] for key, flags in keys_of(args)]


add_help("COMMAND", group="server", since="5.0.0", summary=HELP, acl="connection")
