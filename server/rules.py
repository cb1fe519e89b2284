"""What a user may do, as the rules of ACL SETUSER say it: selectors, and the language they are written in.

    +get -@dangerous +config|get +select|0     commands, categories, subcommands, a command with one first argument
    ~app:* %R~logs:* allkeys                   keys, by patterns, for reading (R), writing (W) or both
    &news:* allchannels                        channels, by patterns

What it is: Selector, one set of such rights. A call is allowed if a single selector allows all of it; what two of them
allow together is not enough. `denied` says what of a call is not allowed.

What it is not: a user (users.py has passwords, several selectors, names); it knows no session and no clock.

**Tables.** The table that an ETS.* command names is a key to the ACL: the same patterns that open keys open tables, for
reading if the command only reads, else for writing. `ETS.CALL` names its table inside of Erlang terms, where no pattern
can be held against it, and ETS.ALL tells of all tables: both want the right to every key.

What must stay true:

1. Rules are applied in the order given; a rule that cannot be raises RuleError and has changed nothing.
2. `described` is a list of rules that makes an equal selector, whatever order made this one.
3. Commands that need no authentication (AUTH, HELLO, QUIT, RESET) are always allowed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

from tsunami_server.command import NOT_KEY, Command, printable, registry
from tsunami_server.glob import compile_glob

READ: Final = 1
WRITE: Final = 2
BOTH: Final = READ | WRITE
EVERYTHING: Final = b"*"

# In the order in which ACL CAT tells them.
CATEGORIES: Final = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
    "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting", "table",
)  # fmt: skip

Kind = Literal["command", "key", "channel"]
# Of several selectors' reasons the one that came furthest is told.
HOW_FAR: Final[dict[Kind, int]] = {"command": 1, "key": 2, "channel": 3}

# What a key spec's flags ask for. Without any of them (EXISTS) a pattern for either will do.
RIGHTS_OF_FLAG: Final = {"access": READ, "insert": WRITE, "delete": WRITE, "update": WRITE}

# Where the channels of a command stand (from, to), and whether they are patterns, which must be allowed literally.
CHANNELS: Final[dict[str, tuple[int, int | None, bool]]] = {
    "publish": (1, 2, False),
    "spublish": (1, 2, False),
    "subscribe": (1, None, False),
    "ssubscribe": (1, None, False),
    "psubscribe": (1, None, True),
}

# Of the commands on tables: those that name none, and those that reach tables which they do not name.
NO_TABLE: Final = ("ets.hello", "ets.bye", "ets.time")
ANY_TABLE: Final = ("ets.call", "ets.all")
RENAME: Final = "ets.rename"

SPACES: Final = b" \t\n\v\f\r\0"

UNKNOWN: Final = "Unknown command or category name in ACL"
SYNTAX: Final = "Syntax error"
TOO_MANY_KEYS: Final = (
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. "
    "Try 'resetkeys' to start with an empty list of patterns"
)
TOO_MANY_CHANNELS: Final = (
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. "
    "Try 'resetchannels' to start with an empty list of channels"
)
NO_FIRST_ARGUMENT: Final = "Allowing first-arg of a subcommand is not supported"


class RuleError(ValueError):
    """A rule that cannot be: Redis's words for why."""


class OpenSelectorError(RuleError):
    """A selector that begins and does not end: `start` is its first rule."""

    def __init__(self, start: bytes) -> None:
        super().__init__(f"Unmatched parenthesis in acl selector starting at '{printable(start)}'.")
        self.start = start


@dataclass(frozen=True, slots=True)
class Denied:
    """What of a call is not allowed: the command's full name, a key, or a channel; `at`: its place among its kind."""

    kind: Kind
    what: bytes
    at: int = 0

    @property
    def rank(self) -> tuple[int, int]:
        return HOW_FAR[self.kind], self.at


# ---- commands


@cache
def bit_of(name: str) -> int:
    """The bit of a command, by its full name, in a selector's set of commands."""
    return 1 << next(at for at, command in enumerate(registry.everything()) if command.name == name)


@cache
def bits_of_category(name: str) -> int:
    """The commands of a category. A container that is in it brings all its subcommands."""
    bits = 0
    for command in registry.everything():
        if "@" + name in command.categories:
            bits |= with_subcommands(command)
    return bits


def with_subcommands(command: Command) -> int:
    bits = bit_of(command.name)
    for sub in command.subcommands.values():
        bits |= bit_of(sub.name)
    return bits


def look_up(name: bytes) -> Command:
    found = registry.get(name.decode("utf-8", "replace"))
    if found is None:
        raise RuleError(UNKNOWN)
    return found


def has_spaces(text: bytes) -> bool:
    return any(byte in SPACES for byte in text)


# ---- what a call touches


def touched_keys(command: Command, argv: list[bytes]) -> list[tuple[bytes, int]]:
    """The keys of a call, and the tables, with what must be allowed on each."""
    if command.group == "table":
        names = [] if command.name in NO_TABLE else argv[1:3] if command.name == RENAME else argv[1:2]
        return [(name, WRITE if command.is_write else READ) for name in names]
    return [(key, rights_of(flags)) for key, flags in command.find_keys(argv)]


@cache
def rights_of(flags: tuple[str, ...]) -> int:
    rights = 0
    for flag in flags:
        rights |= RIGHTS_OF_FLAG.get(flag, 0)
    return rights


@cache
def only_key(name: str) -> tuple[int, int] | None:
    """Of a command that has one key, always in the same place: the place, and what must be allowed there.

    Most commands are such, and most calls; finding keys in general takes several times as long.
    """
    command = registry.get(name)
    assert command is not None
    specs = command.key_specs
    if command.group == "table" or len(specs) != 1 or command.key_flags is not None or NOT_KEY in specs[0].flags:
        return None
    fixed = specs[0].find([b""] * 9) == specs[0].find([b""] * 10) == range(specs[0].first, specs[0].first + 1)
    return (specs[0].first, rights_of(specs[0].flags)) if fixed else None


def touched_channels(command: Command, argv: list[bytes]) -> tuple[list[bytes], bool]:
    """The channels of a call, and whether they are patterns."""
    first, last, patterns = CHANNELS[command.name]
    return argv[first:last], patterns


# ---- patterns


@dataclass(slots=True)
class KeyPattern:
    rights: int
    pattern: bytes
    matches: Callable[[bytes], bool]

    def __str__(self) -> str:
        return {BOTH: "~", READ: "%R~", WRITE: "%W~"}[self.rights] + shown(self.pattern)


def key_pattern(rule: bytes) -> KeyPattern:
    """Read `~pattern` or `%RW~pattern`."""
    if rule[:1] == b"~":
        return KeyPattern(BOTH, rule[1:], compile_glob(rule[1:]))
    letters, tilde, pattern = rule[1:].partition(b"~")
    wanted = letters.upper()
    if not tilde or wanted not in (b"R", b"W", b"RW", b"WR"):
        raise RuleError(SYNTAX)
    rights = (READ if b"R" in wanted else 0) | (WRITE if b"W" in wanted else 0)
    return KeyPattern(rights, pattern, compile_glob(pattern))


def shown(data: bytes) -> str:
    """Bytes as text that becomes the same bytes again."""
    return data.decode("utf-8", "surrogateescape")


def unshown(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# ---- commands of Redis that there are not

# Rules on them are kept and change nothing, so that users and ACL files made for Redis can be had as they are
# (redis-py allows every user CLUSTER). docs/redis.md says why the commands are missing.
NOT_HERE: Final = frozenset(
    """
    asking bgrewriteaof bgsave cluster failover fcall fcall_ro geoadd geodist geohash geopos georadius georadius_ro
    georadiusbymember georadiusbymember_ro geosearch geosearchstore lastsave migrate module pfadd pfcount pfdebug
    pfmerge pfselftest psync readonly readwrite replconf replicaof restore-asking role save slaveof sync xack xautoclaim
    xclaim xgroup xpending xreadgroup
    """.split()
)
PARTLY_HERE: Final = {"function": frozenset("delete dump kill list load restore stats help".split()),
                      "xinfo": frozenset(("consumers", "groups"))}  # fmt: skip


def is_not_here(name: bytes) -> bool:
    """Is this a command of Redis, or a subcommand, that there is not?"""
    home, _, sub = name.decode("utf-8", "replace").lower().partition("|")
    if home in ("cluster", "module", "xgroup"):
        return True
    return (home in NOT_HERE and not sub) or sub in PARTLY_HERE.get(home, ())


# ---- selectors


@dataclass(slots=True)
class Selector:
    """One set of rights. A new one allows nothing, but all channels if `all_channels` says so."""

    all_channels: bool = False
    all_keys: bool = False
    all_commands: bool = False  # and nothing taken away since
    future_commands: bool = False  # began with +@all: described so
    commands: int = 0  # bits
    first_args: dict[str, list[bytes]] = field(default_factory=dict)  # of commands that are not allowed otherwise
    rules: list[str] = field(default_factory=list)  # on commands, as given, without those that later ones cover
    keys: list[KeyPattern] = field(default_factory=list)
    channels: dict[bytes, Callable[[bytes], bool]] = field(default_factory=dict)  # pattern -> matcher

    @property
    def is_free(self) -> bool:
        """Everything is allowed."""
        return self.all_commands and self.all_keys and self.all_channels

    def copy(self) -> "Selector":
        return Selector(
            self.all_channels, self.all_keys, self.all_commands, self.future_commands, self.commands,
            {name: list(args) for name, args in self.first_args.items()}, list(self.rules),
            [KeyPattern(key.rights, key.pattern, key.matches) for key in self.keys], dict(self.channels),
        )  # fmt: skip

    # -- rules

    def apply(self, rule: bytes) -> None:
        """Apply one rule. RuleError."""
        whole = WORDS.get(rule.lower())
        if whole is not None:
            whole(self)
        elif rule[:1] in (b"~", b"%"):
            self._add_keys(rule)
        elif rule[:1] == b"&":
            self._add_channels(rule[1:])
        elif rule[:2] in (b"+@", b"-@"):
            self._category(rule[2:].decode("utf-8", "replace").lower(), rule[:1] == b"+")
        elif rule[:1] in (b"+", b"-") and is_not_here(rule[1:]):
            self._note(shown(rule[1:].lower()), rule[:1] == b"+")
        elif rule[:1] == b"+" and b"|" in rule:
            self._allow_sub(rule[1:])
        elif rule[:1] in (b"+", b"-"):
            command = look_up(rule[1:])
            self._set(with_subcommands(command), rule[:1] == b"+")
            self._forget_first_args(command)
            self._note(command.name, rule[:1] == b"+")
        else:
            raise RuleError(SYNTAX)

    def _add_keys(self, rule: bytes) -> None:
        if self.all_keys:
            raise RuleError(TOO_MANY_KEYS)
        new = key_pattern(rule)
        if has_spaces(new.pattern):
            raise RuleError(SYNTAX)
        for key in self.keys:
            if key.pattern == new.pattern:
                key.rights |= new.rights
                return
        self.keys.append(new)

    def _add_channels(self, pattern: bytes) -> None:
        if self.all_channels:
            raise RuleError(TOO_MANY_CHANNELS)
        if has_spaces(pattern):
            raise RuleError(SYNTAX)
        self.channels[pattern] = compile_glob(pattern)

    def _category(self, name: str, allow: bool) -> None:
        if name not in CATEGORIES:
            raise RuleError(UNKNOWN)
        bits = bits_of_category(name)
        self._set(bits, allow)
        for named in [named for named in self.first_args if bits & bit_of(named)]:
            del self.first_args[named]
        self._note("@" + name, allow)

    def _allow_sub(self, name: bytes) -> None:
        """`config|get`: a subcommand; `select|0`: a command with this first argument."""
        home, _, sub = name.rpartition(b"|")
        command = look_up(home)
        if "|" in command.name:
            raise RuleError(NO_FIRST_ARGUMENT)
        if not sub:
            raise RuleError(SYNTAX)
        if command.subcommands:
            self._set(self._bit_of_sub(command, name), True)
        elif not any(sub.lower() == known.lower() for known in self.first_args.get(command.name, ())):
            self.first_args.setdefault(command.name, []).append(sub)
        self._note(name.decode("utf-8", "surrogateescape").lower(), True)

    @staticmethod
    def _bit_of_sub(home: Command, name: bytes) -> int:
        """To Redis the words behind DEBUG are no subcommands, so any is taken; one that there is not allows nothing."""
        try:
            return bit_of(look_up(name).name)
        except RuleError:
            if home.name != "debug":
                raise
            return 0

    def _set(self, bits: int, allow: bool) -> None:
        if allow:
            self.commands |= bits
        else:
            self.commands &= ~bits
            self.all_commands = False

    def _forget_first_args(self, command: Command) -> None:
        self.first_args.pop(command.name, None)

    def _note(self, name: str, allow: bool) -> None:
        """Remember a rule on commands, and forget those that it makes void: on the same name, or on a part of it."""
        self.rules = [rule for rule in self.rules if rule[1:] != name and not rule[1:].startswith(name + "|")]
        self.rules.append(("+" if allow else "-") + name)

    def allow_all_commands(self) -> None:
        self.all_commands = self.future_commands = True
        self.commands = -1
        self.rules, self.first_args = [], {}

    def allow_no_commands(self) -> None:
        self.all_commands = self.future_commands = False
        self.commands = 0
        self.rules, self.first_args = [], {}

    def allow_all_keys(self) -> None:
        self.all_keys, self.keys = True, []

    def reset_keys(self) -> None:
        self.all_keys, self.keys = False, []

    def allow_all_channels(self) -> None:
        self.all_channels, self.channels = True, {}

    def reset_channels(self) -> None:
        self.all_channels, self.channels = False, {}

    # -- told

    def described_commands(self) -> str:
        return " ".join(["+@all" if self.future_commands else "-@all", *self.rules])

    def described_keys(self) -> str:
        return "~*" if self.all_keys else " ".join(map(str, self.keys))

    def described_channels(self) -> str:
        return "&*" if self.all_channels else " ".join("&" + shown(pattern) for pattern in self.channels)

    def described(self) -> str:
        """All of it, as rules that make this selector out of a new one."""
        channels = self.described_channels()
        parts = [self.described_keys(), channels if self.all_channels else f"resetchannels {channels}".rstrip()]
        return " ".join(filter(None, [*parts, self.described_commands()]))

    # -- asked

    def denied(self, command: Command, argv: list[bytes]) -> Denied | None:
        """What of this call is not allowed; None: nothing."""
        if not self.may_run(command, argv):
            return Denied("command", command.name.encode())
        if not self.all_keys and (command.key_specs or command.group == "table"):
            denied = self._denied_key(command, argv)
            if denied is not None:
                return denied
        if not self.all_channels and command.name in CHANNELS:
            channels, patterns = touched_channels(command, argv)
            for at, channel in enumerate(channels):
                if not self.may_use(channel, patterns):
                    return Denied("channel", channel, at)
        return None

    def _denied_key(self, command: Command, argv: list[bytes]) -> Denied | None:
        if command.name in ANY_TABLE:
            free = self.may_touch_all(WRITE if command.is_write else READ)
            return None if free else Denied("key", EVERYTHING)
        single = only_key(command.name)
        if single is not None:
            at, rights = single
            return None if self.may_touch(argv[at], rights) else Denied("key", argv[at])
        for at, (key, rights) in enumerate(touched_keys(command, argv)):
            if not self.may_touch(key, rights):
                return Denied("key", key, at)
        return None

    def may_run(self, command: Command, argv: list[bytes]) -> bool:
        if self.all_commands or not command.needs_auth or self.commands & bit_of(command.name):
            return True
        args = self.first_args.get(command.name)
        return args is not None and len(argv) > 1 and any(argv[1].lower() == arg.lower() for arg in args)

    def may_touch(self, key: bytes, rights: int) -> bool:
        for each in self.keys:  # a loop of its own: it runs for every key of every call
            if each.rights & rights == rights and each.matches(key):
                return True
        return self.all_keys

    def may_touch_all(self, rights: int) -> bool:
        """Is there a right to every key, whatever its name?"""
        return self.all_keys or any(each.pattern == EVERYTHING and each.rights & rights == rights for each in self.keys)

    def may_use(self, channel: bytes, is_pattern: bool) -> bool:
        """A channel must match; a pattern must be allowed itself, since it may stand for more than what it matches."""
        if self.all_channels:
            return True
        if is_pattern:
            return channel in self.channels
        return any(matches(channel) for matches in self.channels.values())


WORDS: Final[dict[bytes, Callable[[Selector], None]]] = {
    b"allcommands": Selector.allow_all_commands,
    b"+@all": Selector.allow_all_commands,
    b"nocommands": Selector.allow_no_commands,
    b"-@all": Selector.allow_no_commands,
    b"allkeys": Selector.allow_all_keys,
    b"~*": Selector.allow_all_keys,
    b"resetkeys": Selector.reset_keys,
    b"allchannels": Selector.allow_all_channels,
    b"&*": Selector.allow_all_channels,
    b"resetchannels": Selector.reset_channels,
}


def first_denied(selectors: Sequence[Selector], command: Command, argv: list[bytes]) -> Denied | None:
    """None if one of the selectors allows the call; else the reason of the one that came furthest."""
    worst: Denied | None = None
    for selector in selectors:
        denied = selector.denied(command, argv)
        if denied is None:
            return None
        if worst is None or denied.rank > worst.rank:
            worst = denied
    return worst


def merged(rules: Sequence[bytes]) -> Iterator[bytes]:
    """Rules with each selector as one word, from `(` to `)`. OpenSelectorError for one that is left open.

    A second `(` before the `)` begins anew, as in Redis: what came before it is not part of any selector.
    """
    opened: list[bytes] = []
    for rule in rules:
        if rule[:1] == b"(" and rule[-1:] != b")":
            opened = []
        opened.append(rule)
        if opened[0][:1] == b"(" and rule[-1:] != b")":
            continue
        yield b" ".join(opened)
        opened = []
    if opened:
        raise OpenSelectorError(opened[0])
