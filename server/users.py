"""Users: names, passwords, rights; all users of a server; the log of what was denied; users as lines of a file.

What it is: what ACL, AUTH and every session ask. A connection is bound to its User; a changed user is changed in place,
so that the change is in force with the next command of every connection that is bound to it.

What it is not: it knows no socket, no session, no file, and no clock: the time is told. What rules mean stands in
rules.py, commands in commands/acl.py.

What must stay true:

1. A password is kept as its SHA-256 only, and compared in constant time. (The setting requirepass is the one exception,
   since CONFIG GET must show it; nothing is compared with that text.)
2. There is always a user `default`, and it is always the same object.
3. `change` applies all rules or none.
4. `User.described` is a line from which the same user can be made again.
"""

import hashlib
import hmac
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from tsunami_server.command import Command, printable
from tsunami_server.rules import (
    READ,
    Denied,
    Kind,
    OpenSelectorError,
    RuleError,
    Selector,
    first_denied,
    has_spaces,
    merged,
    shown,
    unshown,
)

DEFAULT: Final = b"default"
HASH_LENGTH: Final = 64
HEX: Final = frozenset(b"0123456789abcdef")

BAD_HASH: Final = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
NO_SUCH_PASSWORD: Final = "The password you are trying to remove from the user does not exist"
BAD_NAME: Final = "Usernames can't contain spaces or null characters"
UNDO: Final = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"

Context = Literal["toplevel", "multi", "lua"]
Reason = Kind | Literal["auth"]

LOG_GROUP_MS: Final = 60_000  # what is denied again within this time is counted with the first
LOG_LOOK: Final = 10  # entries that are looked at for it


def digest(password: bytes) -> bytes:
    return hashlib.sha256(password).hexdigest().encode()


def read_hash(text: bytes) -> bytes:
    if len(text) != HASH_LENGTH or not HEX.issuperset(text):
        raise RuleError(BAD_HASH)
    return text


class User:
    """One user. A new one is switched off, and may nothing (but use all channels, if `all_channels` says so)."""

    def __init__(self, name: bytes, *, all_channels: bool = False) -> None:
        self.name = name
        self.enabled = False
        self.no_password = False
        self.sanitize = True
        self.passwords: list[bytes] = []  # SHA-256, in hexadecimal
        self.channels_by_default = all_channels
        self.selectors = [Selector(all_channels)]  # the root first
        self.is_free = False  # everything is allowed: no command need be looked at

    @property
    def root(self) -> Selector:
        return self.selectors[0]

    def copy(self) -> "User":
        twin = User(self.name, all_channels=self.channels_by_default)
        twin.become(self)
        return twin

    def become(self, other: "User") -> None:
        """Take over all that the other has, but for the name."""
        self.enabled, self.no_password, self.sanitize = other.enabled, other.no_password, other.sanitize
        self.passwords = list(other.passwords)
        self.selectors = [selector.copy() for selector in other.selectors]
        self._changed()

    def _changed(self) -> None:
        self.is_free = any(selector.is_free for selector in self.selectors)

    # -- passwords

    def accepts(self, password: bytes) -> bool:
        """Is this user switched on, and this one of the passwords? Takes as long whichever is wrong."""
        given, found = digest(password), False
        for known in self.passwords:
            found |= hmac.compare_digest(given, known)
        return self.enabled and (self.no_password or found)

    @property
    def needs_password(self) -> bool:
        return not self.no_password or not self.enabled

    # -- rules

    def apply(self, rule: bytes) -> None:
        """Apply one rule, of which a selector is one. RuleError."""
        word = rule.lower()
        if not rule:
            return
        if word in (b"on", b"off"):
            self.enabled = word == b"on"
        elif word in (b"sanitize-payload", b"skip-sanitize-payload"):
            self.sanitize = word == b"sanitize-payload"
        elif word in (b"nopass", b"resetpass"):
            self.no_password, self.passwords = word == b"nopass", []
        elif rule[:1] in (b">", b"#"):
            self._add_password(digest(rule[1:]) if rule[:1] == b">" else read_hash(rule[1:]))
        elif rule[:1] in (b"<", b"!"):
            self._remove_password(digest(rule[1:]) if rule[:1] == b"<" else read_hash(rule[1:]))
        elif rule[:1] == b"(" and rule[-1:] == b")":
            self._add_selector(rule[1:-1].split(b" "))
        elif word == b"clearselectors":
            del self.selectors[1:]
        elif word == b"reset":
            self._reset()
        else:
            self.root.apply(rule)
        self._changed()

    def _add_password(self, known: bytes) -> None:
        self.no_password = False
        if known not in self.passwords:
            self.passwords.append(known)

    def _remove_password(self, known: bytes) -> None:
        if known not in self.passwords:
            raise RuleError(NO_SUCH_PASSWORD)
        self.passwords.remove(known)

    def _add_selector(self, rules: Iterable[bytes]) -> None:
        selector = Selector(self.channels_by_default)
        for rule in filter(None, rules):
            selector.apply(rule)
        self.selectors.append(selector)

    def _reset(self) -> None:
        self.enabled, self.no_password, self.sanitize = False, False, True
        self.passwords = []
        self.selectors = [Selector(self.channels_by_default)]

    # -- told

    def flags(self) -> list[str]:
        return [
            "on" if self.enabled else "off",
            *(["nopass"] if self.no_password else []),
            "sanitize-payload" if self.sanitize else "skip-sanitize-payload",
        ]

    def described(self) -> str:
        """The rules that make this user out of a new one."""
        passwords = ["#" + known.decode() for known in self.passwords]
        selectors = [f"({selector.described()})" for selector in self.selectors[1:]]
        return " ".join([*self.flags(), *passwords, self.root.described(), *selectors])

    def line(self) -> bytes:
        """The same as ACL LIST shows it, and as it stands in a file."""
        return unshown(f"user {shown(self.name)} {self.described()}")

    # -- asked

    def denied(self, command: Command, argv: list[bytes]) -> Denied | None:
        """What of a call is not allowed; None: nothing."""
        if self.is_free:
            return None
        return first_denied(self.selectors, command, argv)

    def may_touch_all(self, command: Command, argv: list[bytes], rights: int = READ) -> bool:
        """Does a selector that allows this call allow every key besides? SORT's patterns ask for it."""
        if self.is_free:
            return True
        return any(
            selector.may_touch_all(rights) and selector.denied(command, argv) is None for selector in self.selectors
        )

    def may_touch(self, key: bytes, rights: int) -> bool:
        """Whether some selector allows this key, whatever the command."""
        return any(selector.may_touch(key, rights) for selector in self.selectors)

    def may_use(self, channel: bytes, *, is_pattern: bool) -> bool:
        return any(selector.may_use(channel, is_pattern) for selector in self.selectors)


# ---- what was denied


@dataclass(slots=True)
class Entry:
    """What ACL LOG shows of one kind of denial."""

    id: int
    reason: Reason
    context: Context
    what: bytes
    user: bytes
    client: str
    created_ms: int
    updated_ms: int
    count: int = 1

    def is_like(self, other: "Entry") -> bool:
        same = (self.reason, self.context, self.what, self.user) == (
            other.reason,
            other.context,
            other.what,
            other.user,
        )
        return same and abs(self.updated_ms - other.updated_ms) <= LOG_GROUP_MS


@dataclass(slots=True)
class AccessLog:
    """Denials, the newest first; the same again within a minute is counted, not noted anew."""

    entries: deque[Entry] = field(default_factory=deque)
    noted: int = 0
    denied: dict[Reason, int] = field(default_factory=dict)  # how often, since the server has started

    def note(
        self, reason: Reason, context: Context, what: bytes, user: bytes, client: str, now_ms: int, keep: int
    ) -> None:
        self.denied[reason] = self.denied.get(reason, 0) + 1
        new = Entry(self.noted, reason, context, what, user, client, now_ms, now_ms)
        for entry in list(self.entries)[:LOG_LOOK]:
            if entry.is_like(new):
                self.entries.remove(entry)
                entry.count, entry.updated_ms, entry.client = entry.count + 1, now_ms, client
                self.entries.appendleft(entry)
                break
        else:
            self.noted += 1
            self.entries.appendleft(new)
        self.trim(keep)

    def trim(self, keep: int) -> None:
        while len(self.entries) > keep:
            self.entries.pop()


# ---- all of them


class Users:
    """The users of one server, by name, and the log of what was denied to them."""

    def __init__(self) -> None:
        self.all_channels = False  # acl-pubsub-default: may new users use all channels?
        self.log = AccessLog()
        self.default = default_user()
        self._by_name = {DEFAULT: self.default}

    def __iter__(self) -> Iterator[User]:
        """In the order of their names."""
        return iter([self._by_name[name] for name in sorted(self._by_name)])

    def get(self, name: bytes) -> User | None:
        return self._by_name.get(name)

    def authenticated(self, name: bytes, password: bytes) -> User | None:
        """The user of this name, if that is the password."""
        user = self._by_name.get(name)
        if user is None:
            digest(password)  # as long as for one that there is
            return None
        return user if user.accepts(password) else None

    def set_default_password(self, password: bytes) -> None:
        """What requirepass means: the one password of the default user; empty: none is needed."""
        self.default.apply(b"resetpass")
        self.default.apply(b">" + password if password else b"nopass")

    def planned(self, name: bytes, rules: Sequence[bytes]) -> User:
        """What the user would be with these rules applied; nothing is changed yet. ChangeError."""
        if has_spaces(name):
            raise ChangeError(BAD_NAME)
        known = self._by_name.get(name)
        user = known.copy() if known is not None else User(name, all_channels=self.all_channels)
        user.channels_by_default = self.all_channels
        try:
            words = list(merged(rules))
        except OpenSelectorError as error:
            raise ChangeError(str(error)) from None
        for rule in words:
            try:
                user.apply(rule)
            except RuleError as error:
                raise ChangeError(f"Error in ACL SETUSER modifier '{printable(rule)}': {error}") from None
        return user

    def put(self, user: User) -> User:
        """Let the user of this name be as this one: the object that stays."""
        known = self._by_name.setdefault(user.name, user)
        if known is not user:
            known.become(user)
        return known

    def change(self, name: bytes, rules: Sequence[bytes]) -> User:
        """Make or change a user: all rules or none. ChangeError."""
        return self.put(self.planned(name, rules))

    def remove(self, name: bytes) -> User | None:
        return self._by_name.pop(name, None) if name != DEFAULT else None

    # -- as a file

    def replace(self, users: "dict[bytes, User]") -> list[User]:
        """Let these be all users, and the default one as it begins if it is not among them. Those that are gone."""
        gone = [user for name, user in self._by_name.items() if name not in users and name != DEFAULT]
        for user in gone:
            del self._by_name[user.name]
        for user in users.values():
            self.put(user)
        if DEFAULT not in users:
            self.default.become(default_user())
        return gone

    def read(self, text: bytes, source: str) -> "dict[bytes, User]":
        """The users that lines tell of. ChangeError with every mistake, each with the source's name and its line."""
        found: dict[bytes, User] = {}
        mistakes: list[str] = []
        for number, line in enumerate(text.split(b"\n"), 1):
            words = line.strip(b" \t\r\n").split()
            if words:
                self._read_line(words, f"{source}:{number}", number, found, mistakes)
        if mistakes:
            raise ChangeError(" ".join([*mistakes, UNDO]))
        return found

    def _read_line(
        self, words: list[bytes], place: str, number: int, found: "dict[bytes, User]", mistakes: list[str]
    ) -> None:
        if words[0] != b"user" or len(words) < 2:
            mistakes.append(f"{place} should start with user keyword followed by the username.")
            return
        name = words[1]
        if has_spaces(name):
            mistakes.append(f"{place}: username '{printable(name)}' contains invalid characters.")
            return
        if name in found:
            mistakes.append(f"WARNING: Duplicate user '{printable(name)}' found on line {number}.")
            return
        user = found[name] = User(name, all_channels=self.all_channels)
        try:
            rules = list(merged(words[2:]))
        except OpenSelectorError:
            mistakes.append(f"{place}: Unmatched parenthesis in selector definition.")
            return
        mistakes += rule_mistakes(user, rules, place)


class ChangeError(ValueError):
    """A change of users that cannot be: the words for the client."""


def default_user() -> User:
    """The user that every connection begins as: everything is allowed, without a password."""
    user = User(DEFAULT)
    for rule in (b"+@all", b"~*", b"&*", b"on", b"nopass"):
        user.apply(rule)
    return user


def rule_mistakes(user: User, rules: Iterable[bytes], place: str) -> list[str]:
    """Apply the rules of a line. Every unknown command is told; of other mistakes the first, which may cause the
    rest, and without the rule, which may be a password.
    """
    mistakes: list[str] = []
    unclear = False
    for rule in rules:
        try:
            user.apply(rule)
        except RuleError as error:
            if rule[:1] in (b"+", b"-"):
                mistakes.append(f"{place}: Error in applying operation '{printable(rule)}': {error}.")
            elif not unclear:
                unclear = True
                mistakes.append(f"{place}: {error}.")
    return mistakes
