"""The command registry: what COMMAND tells is what Redis tells of the same commands, and what the synopses say."""

from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, our_server, redis_server

import tsunami_server.commands
from tsunami_server.command import (
    Argument,
    Command,
    CommandError,
    Registry,
    help_lines,
    is_open,
    least_words,
    make,
    parse_key_spec,
    registry,
)

assert tsunami_server.commands

OF_REDIS = sorted(record.name for record in registry.everything() if record.group != "table")
# Ours only, or told differently on purpose: Redis 7.0 has no such subcommand, or takes less.
NEWER = {
    "client|no-touch",
    "client|setinfo",
    "hexpire",
    "hexpireat",
    "hexpiretime",
    "hpersist",
    "hpexpire",
    "hpexpireat",
    "hpexpiretime",
    "hpttl",
    "httl",
    "zrank",
    "zrevrank",
}
NOT_DOCUMENTED_IN_REDIS = {"debug"} | {
    f"debug|{sub}" for sub in ("error", "help", "object", "set-active-expire", "sleep")
}
OTHER_ARGUMENTS = {
    "client|kill",  # MAXAGE, and addresses are told as one word
    "client|list",  # Redis wraps the ids in a block
    "command|getkeys",  # Redis documents none
    "command|getkeysandflags",
    "hscan",  # NOVALUES, of 7.4
    "sort",  # by-pattern and get-pattern, as 7.2 has them
    "sort_ro",
}


@pytest.fixture(scope="module")
def redis() -> Iterator[Client]:
    with redis_server() as port, Client(port) as client:
        yield client


def text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return [text(item) for item in value] if isinstance(value, list) else value


def flat_map(items: list[Any]) -> dict[str, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def redis_info(redis: Client, name: str) -> list[Any]:
    return text(redis.value("COMMAND", "INFO", name))[0]


def redis_docs(redis: Client, name: str) -> dict[str, Any]:
    """The documentation of a command or subcommand."""
    container, _, sub = name.partition("|")
    (_, found) = text(redis.value("COMMAND", "DOCS", container))
    told = flat_map(found)
    return flat_map(flat_map(told["subcommands"])[name]) if sub else told


# ---- against Redis


@pytest.mark.parametrize("name", [name for name in OF_REDIS if name not in NEWER | NOT_DOCUMENTED_IN_REDIS])
def test_command_info_is_that_of_redis(redis: Client, name: str) -> None:
    record = registry.get(name)
    theirs = redis_info(redis, name)
    assert record is not None
    told = (record.name, record.arity, *record.keys)
    assert tuple(theirs[index] for index in (0, 1, 3, 4, 5)) == told
    assert set(theirs[2]) == set(record.flags)
    assert set(theirs[6]) == set(record.categories)
    assert [flat_map(spec)["flags"] for spec in theirs[8]] == [list(spec.flags) for spec in record.key_specs]
    assert [flat_map(flat_map(flat_map(spec)["find_keys"])["spec"]) for spec in theirs[8]] == [
        {}
        if spec.unknown
        else {"keynumidx": 0, "firstkey": 1, "keystep": spec.step}
        if spec.counted
        else {"lastkey": -1, "keystep": 1, "limit": 2}
        if spec.keyword
        else {"lastkey": spec.last - spec.first if spec.last > 0 else spec.last, "keystep": spec.step, "limit": 0}
        for spec in record.key_specs
    ]


def redis_argument(items: list[Any]) -> dict[str, Any]:
    told = flat_map(items)
    kept = {name: told[name] for name in ("name", "type", "token", "key_spec_index") if name in told}
    kept["flags"] = set(told.get("flags", [])) & {"optional", "multiple"}
    kept["arguments"] = [redis_argument(inner) for inner in told.get("arguments", [])]
    return kept


def our_argument(argument: Argument) -> dict[str, Any]:
    told: dict[str, Any] = {"name": argument.name, "type": argument.type}
    if argument.token is not None:
        told["token"] = argument.token
    if argument.key_spec is not None:
        told["key_spec_index"] = argument.key_spec
    flags = (("optional", argument.optional), ("multiple", argument.multiple))
    told["flags"] = {flag for flag, is_so in flags if is_so}
    told["arguments"] = [our_argument(inner) for inner in argument.arguments]
    return told


@pytest.mark.parametrize(
    "name", [name for name in OF_REDIS if name not in NEWER | NOT_DOCUMENTED_IN_REDIS | OTHER_ARGUMENTS]
)
def test_the_arguments_told_are_those_of_redis(redis: Client, name: str) -> None:
    record = registry.get(name)
    assert record is not None
    theirs = redis_docs(redis, name)
    assert [redis_argument(items) for items in theirs.get("arguments", [])] == [
        our_argument(a) for a in record.arguments
    ]
    assert theirs["group"] == record.group
    assert theirs["since"] == record.since


# ---- the records themselves


@pytest.mark.parametrize("record", list(registry.everything()), ids=lambda record: record.name)
def test_every_record_is_whole(record: Command) -> None:
    assert record.summary.endswith((".", "?")) and record.summary[0].isupper()
    assert record.complexity
    assert record.handler is not None or record.subcommands
    assert not ({"write", "readonly"} <= set(record.flags))


def test_a_name_is_registered_once() -> None:
    mine = Registry()
    record = make("ONCE key", group="string", since="1.0.0", summary="Once.")
    mine.add(record)
    with pytest.raises(ValueError, match="'once' is registered twice"):
        mine.add(record)


def synopsis(line: str) -> Command:
    return make(line, group="string", since="1.0.0", summary="Summary.")


@pytest.mark.parametrize(
    ("line", "name", "arity"),
    [
        ("GET key", "get", 2),
        ("TIME", "time", 1),
        ("PING [message]", "ping", -1),
        ("MGET key ...", "mget", -2),
        ("MSET (key value) ...", "mset", -3),
        ("CLIENT KILL filter=(addr | new-format=(ID client-id | TYPE (NORMAL | PUBSUB)) ...)", "client|kill", -3),
        ("ETS.NEW name [TYPE type=(SET | BAG)]", "ets.new", -2),
        ("CONFIG SET (parameter value) ...", "config|set", -4),
        ("AUTH [username] password", "auth", -2),
        ("CLIENT REPLY (ON | OFF | SKIP)", "client|reply", 3),
    ],
)
def test_name_and_arity_follow_from_the_synopsis(line: str, name: str, arity: int) -> None:
    record = synopsis(line)
    assert (record.name, record.arity) == (name, arity)
    for argument in record.arguments:
        assert least_words(argument) >= (0 if is_open(argument) else 1)


def test_a_synopsis_is_read_as_a_tree() -> None:
    (key, value, condition, expiration) = synopsis("SET key value how=[NX | XX] [EX seconds | KEEPTTL]").arguments
    assert key == Argument("key", "key", key_spec=0)
    assert value == Argument("value", "string")
    assert condition == Argument(
        "how",
        "oneof",
        optional=True,
        arguments=(Argument("nx", "pure-token", "NX"), Argument("xx", "pure-token", "XX")),
    )
    assert (expiration.name, [inner.token for inner in expiration.arguments]) == ("seconds_keepttl", ["EX", "KEEPTTL"])


@pytest.mark.parametrize(
    ("text", "argc", "positions"),
    [("1 RO", 2, [1]), ("1..-1 RM", 4, [1, 2, 3]), ("1..-1/2 OW", 5, [1, 3]), ("2 RO", 3, [2]), ("1..-1 RO", 1, [])],
)
def test_key_positions(text: str, argc: int, positions: list[int]) -> None:
    assert list(parse_key_spec(text).positions(argc)) == positions


@pytest.mark.parametrize(
    ("call", "positions"),
    [
        ("Z 2 a b WEIGHTS", [2, 3]), ("Z 1 a", [2]), ("Z 0 a", []), ("Z 3 a b", []), ("Z", []), ("Z -1 a", []),
        ("Z x a", []), ("Z 99999999999999999999 a", []),
    ],
)  # fmt: skip
def test_key_positions_behind_their_number(call: str, positions: list[int]) -> None:
    assert list(parse_key_spec("1# RO").find(call.encode().split())) == positions


def test_help_tells_every_subcommand_once() -> None:
    client = registry.commands["client"]
    lines = help_lines(client)
    assert lines[0].startswith("CLIENT <subcommand>")
    assert [line.split()[0].lower() for line in lines[1::2]] == sorted(
        (sub.name.partition("|")[2] for sub in client.subcommands.values()), key=lambda name: (name == "help", name)
    )


@pytest.mark.parametrize("words", [["FUNCTION"], ["FUNCTION", "LOAD", "x"], ["FUNCTION", "HELP"], ["function", "list"]])
def test_of_functions_there_is_flush_alone(words: list[str]) -> None:
    argv = [word.encode() for word in words]
    with pytest.raises(CommandError, match=r"ERR unknown command '(?i:FUNCTION)', with args beginning with: "):
        registry.find(argv)
    assert registry.find([b"FUNCTION", b"FLUSH"]).name == "function|flush"


@pytest.mark.peer("redis-server")
@pytest.mark.parametrize(
    "call", [("SET", "k", "v"), ("SET", "k", "v", "GET"), ("DEL", "a", "b"), ("LMOVE", "a", "b", "LEFT", "LEFT")]
)
def test_what_is_done_to_keys_is_told_in_the_order_of_redis(call: tuple[str, ...]) -> None:
    with redis_server() as port, our_server() as server, Client(port) as real, Client(server.port) as ours:
        assert real("COMMAND", "GETKEYSANDFLAGS", *call) == ours("COMMAND", "GETKEYSANDFLAGS", *call)
