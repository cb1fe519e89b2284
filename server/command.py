"""The command record, and the one registry of commands.

What it is: everything that is known about a command (name, arity, flags, ACL categories, where its keys stand, its
arguments, its documentation, its handler) in one frozen record, made by a decorator beside the handler. Dispatch,
COMMAND and its subcommands, `<container> HELP` and docs/commands.md all read this record; nothing about a command is
written down anywhere else.

What it is not: it does not run commands (session.py does), and it knows no socket, table or clock.

**The synopsis.** A command is introduced by one line, from which its name, arity and argument tree follow:

    SET key value condition=[NX | XX] [GET] expiration=[EX seconds | PX milliseconds | KEEPTTL]
    CLIENT KILL (addr | filter=(ID client-id | TYPE type) ...)

    WORD WORD    the words in capitals at the start are the name (two: container and subcommand)
    key          an argument; its type follows from its name (TYPES below) or is told: `count:integer`
    TOKEN        a word to be typed as it is; followed by an argument or a group it introduces that
    [ ... ]      may be left out
    ( ... )      belongs together
    a | b        one of them
    x ...        once or more often
    name=        before a bracket: the group's name, where the joined names of its parts (`key_value`) will not do

What must stay true:

1. A name is registered once; a subcommand's container is registered before it.
2. A record does not change after registration, but for a container's `subcommands`, which only grow at import.
3. Names are lower case; a subcommand's full name is `container|sub`.
4. The arity is what the synopsis says unless it is told otherwise: the number of words if it is fixed, else minus the
   least number of words (Redis's convention; the name counts).
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Required, TypeAlias, TypedDict, Unpack

if TYPE_CHECKING:
    from tsunami_server.session import Session

Reply: TypeAlias = object
KeyFlags: TypeAlias = Callable[[list[bytes]], tuple[str, ...]]
Handler: TypeAlias = Callable[["Session", list[bytes]], "Reply | Awaitable[Reply]"]


class CommandError(Exception):
    """A user's mistake: its text is the error reply, whose first word tells clients what kind it is.

    `counted`: INFO's error statistics know of it already, since it is what a command inside of this one has answered.
    """

    def __init__(self, text: str, counted: bool = False) -> None:
        super().__init__(text)
        self.counted = counted


def wrong_number(name: str) -> CommandError:
    return CommandError(f"ERR wrong number of arguments for '{name}' command")


NOT_KEY = "not_key"

# ---- the record


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, or a group of them, in the shape in which COMMAND DOCS tells it."""

    name: str
    type: str  # string integer double key pattern unix-time pure-token oneof block
    token: str | None = None
    optional: bool = False
    multiple: bool = False
    key_spec: int | None = None
    arguments: tuple["Argument", ...] = ()


@dataclass(frozen=True, slots=True)
class KeySpec:
    """Keys stand at `first`, first + step, ... up to `last`; negative: from the end. 0 is the command's name.

    `counted`: at `first` stands how many keys there are, and they behind it. `keyword`: they are the first half of all
    that stands behind this word, which is looked for from `first` on. `unknown`: nobody can tell from the words alone,
    but for one key behind the word `token`, if there is one.
    """

    first: int
    last: int
    step: int
    flags: tuple[str, ...]
    counted: bool = False
    unknown: bool = False
    token: bytes = b""
    keyword: str = ""

    def positions(self, argc: int) -> range:
        last = self.last if self.last >= 0 else argc + self.last
        return range(self.first, min(last, argc - 1) + 1, self.step)

    def find(self, argv: Sequence[bytes]) -> range:
        """Where the keys of a call stand. A number of keys that cannot be is none."""
        if self.unknown:
            return self._behind_token(argv)
        if self.keyword:
            return self._behind(argv)
        if not self.counted:
            return self.positions(len(argv))
        word = argv[self.first] if self.first < len(argv) else b""
        count = int(word) if word.isdigit() and len(word) < 10 else 0
        return range(self.first + 1, self.first + 1 + count) if self.first + count < len(argv) else range(0)

    def _behind_token(self, argv: Sequence[bytes]) -> range:
        """The last one counts, as for SORT, whose options (LIMIT BY GET) may have such a word behind them."""
        found, at = range(0), 2
        while self.token and at < len(argv):
            word = argv[at].upper()
            if word == self.token and at + 1 < len(argv):
                found = range(at + 1, at + 2)
            at += {b"LIMIT": 3, b"BY": 2, b"GET": 2, self.token: 2}.get(word, 1)
        return found

    def _behind(self, argv: Sequence[bytes]) -> range:
        wanted = self.keyword.encode()
        at = next((i for i in range(self.first, len(argv)) if argv[i].upper() == wanted), len(argv))
        return range(at + 1, at + 1 + (len(argv) - at - 1) // 2)


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    synopsis: str
    arity: int
    flags: tuple[str, ...]
    categories: tuple[str, ...]
    group: str
    since: str
    summary: str
    complexity: str
    arguments: tuple[Argument, ...]
    key_specs: tuple[KeySpec, ...]
    tips: tuple[str, ...]
    handler: Handler | None  # None: a container that does nothing by itself
    hot: bool
    replaced_by: str | None
    key_flags: KeyFlags | None
    subcommands: dict[str, "Command"] = field(default_factory=dict)
    # What dispatch asks of every call, worked out once.
    is_write: bool = False
    needs_auth: bool = True

    def accepts(self, argc: int) -> bool:
        """Tell whether a call of so many words (the name's included) fits the arity."""
        return argc == self.arity if self.arity >= 0 else argc >= -self.arity

    @property
    def keys(self) -> tuple[int, int, int]:
        """First and last key and the step between them, as one range; zeros if there are none."""
        ranges = [spec for spec in self.key_specs if not (spec.counted or spec.unknown or spec.keyword)]
        return (ranges[0].first, ranges[-1].last, ranges[0].step) if ranges else (0, 0, 0)

    def find_keys(self, argv: list[bytes]) -> list[tuple[bytes, tuple[str, ...]]]:
        """The keys of a call, each with what the command does to it."""
        found = []
        for spec in self.key_specs:
            if NOT_KEY in spec.flags:  # a shard channel: it has a place, for clients of clusters, and is no key
                continue
            flags = self.key_flags(argv) if self.key_flags else spec.flags
            found += [(argv[i], flags) for i in spec.find(argv)]
        return found


# ---- the synopsis, read

TYPES: Mapping[str, str] = {
    **dict.fromkeys(("key", "newkey", "source", "destination"), "key"),
    **dict.fromkeys(
        ("seconds", "milliseconds", "offset", "start", "end", "index", "index1", "index2", "db"), "integer"
    ),
    **dict.fromkeys(("count", "decrement", "destination-db", "cursor", "client-id", "timeout"), "integer"),
    **dict.fromkeys(("numreplicas", "protover", "pos", "width", "keypos", "stripes", "slot"), "integer"),
    **dict.fromkeys(("unix-time-seconds", "unix-time-milliseconds"), "unix-time"),
    "pattern": "pattern",
}

_TOKENS = re.compile(r"\s*(?:([A-Za-z0-9_-]+)=(?=[\[(])|(\.\.\.)|([\[\]()|])|([^\s\[\]()|]+))")


class _Synopsis:
    """A recursive descent over the words of one synopsis; it runs at import only, on our own lines."""

    def __init__(self, text: str, specs: int) -> None:
        """`specs`: how many key specs there are; the last one is of all keys that are left."""
        self.specs = specs
        self.items: list[tuple[str, str]] = []
        for match in _TOKENS.finditer(text):
            group, more, mark, word = match.groups()
            kind = "group" if group else "more" if more else "mark" if mark else "word"
            self.items.append((kind, group or more or mark or word))
        self.at = 0
        self.keys = 0

    def peek(self) -> tuple[str, str]:
        return self.items[self.at] if self.at < len(self.items) else ("end", "")

    def take(self) -> tuple[str, str]:
        item = self.peek()
        self.at += 1
        return item

    def name(self) -> list[str]:
        """The leading words in capitals, at most two."""
        words: list[str] = []
        while len(words) < 2 and self.peek()[0] == "word" and is_token(self.peek()[1]):
            words.append(self.take()[1].lower())
        return words

    def sequence(self) -> list[Argument]:
        found = []
        while self.peek()[0] != "end" and self.peek()[1] not in ("]", ")", "|"):
            found.append(self.argument())
        return found

    def alternatives(self, closing: str) -> list[list[Argument]]:
        options = [self.sequence()]
        while self.peek() == ("mark", "|"):
            self.take()
            options.append(self.sequence())
        if self.take() != ("mark", closing):
            raise SyntaxError(f"{closing} expected in the synopsis {self.items!r}")
        return options

    def argument(self) -> Argument:
        kind, text = self.take()
        if kind == "group":
            return self.bracket(self.take()[1], text)
        if kind == "mark":
            return self.bracket(text, None)
        if not is_token(text):
            return self.repeated(self.plain(text))
        if self.introduces():
            inner = self.argument()
            return _with(inner, token=text)
        return Argument(text.lower(), "pure-token", text)

    def introduces(self) -> bool:
        """Does the token just taken stand before what it introduces?"""
        kind, text = self.peek()
        return kind == "group" or text == "(" or (kind == "word" and not is_token(text))

    def plain(self, text: str) -> Argument:
        name, _, told = text.partition(":")
        kind = told or TYPES.get(name, "string")
        if kind != "key":
            return Argument(name, kind)
        self.keys += 1
        return Argument(name, kind, key_spec=min(self.keys, self.specs or self.keys) - 1)

    def bracket(self, opening: str, name: str | None) -> Argument:
        options = self.alternatives("]" if opening == "[" else ")")
        parts = [group[0] if len(group) == 1 else _block(group) for group in options]
        if len(parts) > 1:
            whole = Argument(name or "_".join(part.name for part in parts), "oneof", arguments=tuple(parts))
        elif name is not None and parts[0].type == "pure-token":
            whole = replace(parts[0], name=name)
        else:
            whole = parts[0] if name is None else _block(options[0], name)
        return self.repeated(_with(whole, optional=True) if opening == "[" else whole)

    def repeated(self, argument: Argument) -> Argument:
        if self.peek()[0] != "more":
            return argument
        self.take()
        return _with(argument, multiple=True)


def is_token(word: str) -> bool:
    return word in ("=", "~", "*") or (word == word.upper() and any(c.isalpha() for c in word))


def _block(parts: Sequence[Argument], name: str | None = None) -> Argument:
    return Argument(name or "_".join(part.name for part in parts), "block", arguments=tuple(parts))


def _with(a: Argument, *, token: str | None = None, optional: bool = False, multiple: bool = False) -> Argument:
    optional, multiple = a.optional or optional, a.multiple or multiple
    return Argument(a.name, a.type, token or a.token, optional, multiple, a.key_spec, a.arguments)


def least_words(argument: Argument) -> int:
    """The least number of words that this argument takes up."""
    if argument.optional:
        return 0
    if argument.type == "pure-token":
        return 1
    inner = [least_words(part) for part in argument.arguments]
    words = min(inner) if argument.type == "oneof" else sum(inner) if inner else 1
    return words + (argument.token is not None)


def is_open(argument: Argument) -> bool:
    """Can this argument take up different numbers of words?"""
    if argument.optional or argument.multiple:
        return True
    inner = argument.arguments
    differ = argument.type == "oneof" and len({least_words(part) for part in inner}) > 1
    return differ or any(is_open(part) for part in inner)


# ---- the registry

# A command's group is also its ACL category, except in these groups.
GROUP_CATEGORY: Mapping[str, str] = {"generic": "keyspace", "server": "", "sorted-set": "sortedset"}
CATEGORY_ORDER = (
    "keyspace", "read", "write", "table", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo",
    "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
)  # fmt: skip


def categories_of(flags: Sequence[str], explicit: Sequence[str]) -> tuple[str, ...]:
    """What a command's flags imply, as in Redis, and what was said besides."""
    found = {category for category in explicit if category}
    found |= {"write"} if "write" in flags else set()
    found |= {"read"} if "readonly" in flags and "scripting" not in found else set()
    found |= {"admin", "dangerous"} if "admin" in flags else set()
    found |= {"blocking"} if "blocking" in flags else set()
    found |= {"fast"} if "fast" in flags else {"slow"}
    return tuple("@" + category for category in CATEGORY_ORDER if category in found)


def parse_key_spec(text: str) -> KeySpec:
    """`1 RO access`, `1..-1 RO`, `1..-1/2 OW update`, `2# RW` (their number stands at 2), `? RO` (nobody knows),
    `STORE? OW` (behind that word), `STREAMS RO` (half of what is behind that word): where keys stand, and what is done
    to them.
    """
    place, *flags = text.split()
    if place.endswith("?"):
        return KeySpec(0, 0, 0, tuple(flags), unknown=True, token=place[:-1].encode())
    if place.endswith("#"):
        return KeySpec(int(place[:-1]), 0, 1, tuple(flags), counted=True)
    if place.isalpha():
        return KeySpec(1, 0, 1, tuple(flags), keyword=place)
    span, _, step = place.partition("/")
    first, _, last = span.partition("..")
    return KeySpec(int(first), int(last or first), int(step or 1), tuple(flags))


class Registry:
    """All commands by name."""

    def __init__(self) -> None:
        self.commands: dict[str, Command] = {}

    def add(self, command: Command) -> None:
        container, _, sub = command.name.partition("|")
        home = self.commands[container].subcommands if sub else self.commands
        name = sub or container
        if name in home:
            raise ValueError(f"the command {command.name!r} is registered twice")
        home[name] = command

    def get(self, name: str) -> Command | None:
        """Look up `get` or `client|kill`, in any case."""
        container, bar, sub = name.lower().partition("|")
        command = self.commands.get(container)
        return command.subcommands.get(sub) if command and bar else command

    def find(self, argv: list[bytes]) -> Command:
        """The command that a call means; CommandError if there is none. Does not look at the number of words."""
        name = argv[0].decode("utf-8", "replace").lower()
        command = self.commands.get(name)
        if command is None:
            raise CommandError(unknown_command(argv))
        partial = bool(command.subcommands) and "help" not in command.subcommands
        if not command.subcommands or (len(argv) < 2 and not partial):
            return command
        sub = command.subcommands.get(argv[1].decode("utf-8", "replace").lower()) if len(argv) > 1 else None
        if sub is None and partial:  # of this command there is no more than some of its subcommands
            raise CommandError(unknown_command(argv))
        if sub is None:
            shown = printable(argv[1][:128])
            raise CommandError(f"ERR unknown subcommand '{shown}'. Try {name.upper()} HELP.")
        return sub

    def everything(self) -> Iterator[Command]:
        """All commands, each container before its subcommands."""
        for command in self.commands.values():
            yield command
            yield from command.subcommands.values()


registry = Registry()


def printable(data: bytes) -> str:
    """What Redis's `%s` makes of it in an error line: all up to a zero byte. The reply writer takes line breaks out."""
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def unknown_command(argv: list[bytes]) -> str:
    """Redis's words; of the arguments no more than about 128 bytes are shown."""
    shown = b""
    for word in argv[1:]:
        if len(shown) >= 128:
            break
        shown += b"'%s' " % word[: 128 - len(shown)].partition(b"\0")[0]
    told = shown.decode("utf-8", "replace")
    return f"ERR unknown command '{printable(argv[0][:128])}', with args beginning with: {told}"


class Facts(TypedDict, total=False):
    """What is said of a command besides its synopsis and flags."""

    group: Required[str]
    since: Required[str]
    summary: Required[str]
    complexity: str  # O(1)
    keys: str | Sequence[str]  # as parse_key_spec reads them
    acl: str  # categories, where they do not follow from group and flags
    tips: str
    arity: int  # where it does not follow from the synopsis
    hot: bool  # there is a native implementation
    replaced_by: str
    key_flags: KeyFlags  # what is done to the keys, where that depends on the call


def command(synopsis: str, flags: str, **facts: Unpack[Facts]) -> Callable[[Handler], Handler]:
    """Register the decorated function as the handler of a command; see the head of this file for `synopsis`."""
    record = make(synopsis, flags, **facts)

    def register(handler: Handler) -> Handler:
        registry.add(replace(record, handler=handler))
        return handler

    return register


def container(synopsis: str, flags: str = "", **facts: Unpack[Facts]) -> None:
    """Register a command that is only the home of its subcommands. `add_help` comes after the last of them.

    Without help it is no command of ours: its other subcommands, and the word alone, are unknown commands.
    """
    facts.setdefault("arity", -2)
    facts.setdefault("acl", "")
    facts.setdefault("complexity", "Depends on subcommand.")
    registry.add(make(synopsis, flags, **facts))


HELP = "Show the subcommands of this command."


def add_help(synopsis: str, **facts: Unpack[Facts]) -> None:
    """Register `<container> HELP`: told by the registry itself."""
    name = synopsis.lower()

    @command(f"{synopsis} HELP", "loading stale", **facts)
    def show_help(session: "Session", args: list[bytes]) -> Reply:
        return help_lines(registry.commands[name])


def help_lines(home: Command) -> list[str]:
    lines = [f"{home.name.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for sub in sorted(home.subcommands.values(), key=lambda sub: (sub.name.endswith("|help"), sub.name)):
        lines += [plain_synopsis(sub).partition(" ")[2], f"    {sub.summary}"]
    return lines


def plain_synopsis(command: Command) -> str:
    """The synopsis as people read it: without types and group names."""
    return re.sub(r"[A-Za-z0-9_-]+=(?=[\[(])|(?<=[a-z0-9]):[a-z-]+", "", command.synopsis)


def make(synopsis: str, flags: str = "", **facts: Unpack[Facts]) -> Command:
    """A record without a handler."""
    keys = facts.get("keys", ())
    specs = tuple(parse_key_spec(text) for text in ([keys] if isinstance(keys, str) else keys))
    reader = _Synopsis(synopsis, len(specs))
    name = reader.name()
    arguments = tuple(reader.sequence())
    words = len(name) + sum(least_words(argument) for argument in arguments)
    derived = -words if any(is_open(argument) for argument in arguments) else words
    flag_list, group = tuple(flags.split()), facts["group"]
    acl = facts.get("acl", GROUP_CATEGORY.get(group, group))
    return Command(
        name="|".join(name),
        synopsis=synopsis,
        arity=facts.get("arity", derived),
        flags=flag_list,
        categories=categories_of(flag_list, acl.split()),
        group=group,
        since=facts["since"],
        summary=facts["summary"],
        complexity=facts.get("complexity", "O(1)"),
        arguments=arguments,
        key_specs=specs,
        tips=tuple(facts.get("tips", "").split()),
        handler=None,
        hot=facts.get("hot", False),
        replaced_by=facts.get("replaced_by"),
        key_flags=facts.get("key_flags"),
        is_write="write" in flag_list,
        needs_auth="no_auth" not in flag_list,
    )
