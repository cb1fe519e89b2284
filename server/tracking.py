"""Client-side caching: which connection has read which keys, and telling it that they have changed.

What it is: the table of tracked keys (CLIENT TRACKING ON), the prefixes of those who want to hear of every change there
(BCAST), and the messages that go out: pushes `invalidate [key ...]` in RESP3, messages of the channel
`__redis__:invalidate` to a RESP2 connection that somebody redirects to.

What it is not: it does not know what a change is. Whoever changes keys calls `touched`, and `flushed` when all of them
are gone; dispatch calls `remember` before a command reads.

    key ---> ids of connections that have read it since it was last told        (`keys`)
    prefix -> connections that want to hear of it, and keys changed since the last round     (`prefixes`)

What must stay true:

1. A connection is remembered for its keys before it reads them, and told after they have changed: so between a read and
   the message there is no change that the connection is not told of.
2. Telling a key forgets it: until it is read again nobody is told again.
3. A connection that changes a key itself is told behind its reply (with NOLOOP, never). Redis 7.2 does so. What has
   expired or had to make room was changed by nobody, also if a command met it: everybody is told.
4. Ids, not connections, stand at the keys: one that has gone, or has switched tracking off, is passed over when its key
   is told. Nothing has to be searched when a connection ends.
5. Changes under a prefix are told in rounds, one for each turn of the loop, with all keys of the round in one message.
6. `watch` has been told of each key in `keys`, and of no other: hot commands that write one of them go to Python.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from tsunami import _wire
from tsunami_server.pubsub import Messages

CHANNEL: Final = b"__redis__:invalidate"


@dataclass(slots=True)
class Options:
    """How one connection wants to be told."""

    bcast: bool = False
    optin: bool = False
    optout: bool = False
    noloop: bool = False
    redirect: int = 0  # id of the connection that is told in its place; 0: itself
    caching: bool = False  # CLIENT CACHING came just before
    broken: bool = False  # the connection that was to be told in its place is gone
    prefixes: dict[bytes, None] = field(default_factory=dict)

    @property
    def looks(self) -> bool:
        """Does it matter which command comes next?"""
        return not self.bcast and (self.caching or not self.optin)

    @property
    def remembers(self) -> bool:
        """Are the keys of the command that comes now to be remembered?"""
        return not self.bcast and (self.caching if self.optin else not (self.optout and self.caching))


class Client(Protocol):
    """What is asked of a session."""

    conn: _wire.Conn
    tracking: Options | None

    @property
    def speaks(self) -> int: ...  # the protocol version

    def tell(self, push: _wire.Push, /) -> None: ...  # now; behind its reply, if it is in a command


@dataclass(slots=True)
class Prefix:
    clients: dict[int, Client] = field(default_factory=dict)
    changed: dict[bytes, int] = field(default_factory=dict)  # key -> id of the connection that changed it; 0: nobody


class Tracking:
    """What one server knows of its clients' caches."""

    def __init__(
        self,
        messages: Messages,
        sessions: Mapping[int, Client],
        watch: Callable[[bytes, bool], None],
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        """`messages` knows whose command runs now; `watch(key, on)` is told which keys matter; `soon(call)` calls in
        the loop's next turn.
        """
        self.clients = 0  # that have switched it on
        self.keys: dict[bytes, dict[int, None]] = {}
        self.prefixes: dict[bytes, Prefix] = {}
        self.total_items = 0  # ids at all keys
        self._messages = messages
        self._on: dict[int, Client] = {}
        self._sessions = sessions
        self._watch = watch
        self._soon = soon
        self._round = False  # a round of prefixes is due
        self._by_nobody = False

    @property
    def total_keys(self) -> int:
        return len(self.keys)

    @property
    def total_prefixes(self) -> int:
        return len(self.prefixes)

    @property
    def acting(self) -> int:
        """Id of the connection that changes keys now; 0: nobody does."""
        acting = self._messages.acting
        return 0 if acting is None or self._by_nobody else acting.conn.id

    @contextmanager
    def by_nobody(self) -> Iterator[None]:
        """What changes meanwhile has expired or been evicted, whoever's command has met it."""
        outer, self._by_nobody = self._by_nobody, True
        try:
            yield
        finally:
            self._by_nobody = outer

    @property
    def active(self) -> bool:
        """Does anybody want to hear of changes?"""
        return bool(self.prefixes or self._on)

    # -- switching

    def switch_on(self, client: Client, options: Options) -> None:
        """Begin, or go on with other options. Prefixes are added to those that there are; with BCAST there is one."""
        old = client.tracking
        if old is not None:
            options.prefixes = {**old.prefixes, **options.prefixes}
        if options.bcast:
            options.prefixes = options.prefixes or {b"": None}
            for prefix in options.prefixes:
                self.prefixes.setdefault(prefix, Prefix()).clients[client.conn.id] = client
        client.tracking = options
        client.conn.tracked = options.looks
        self._on[client.conn.id] = client
        self.clients = len(self._on)

    def switch_off(self, client: Client) -> None:
        options, client.tracking = client.tracking, None
        client.conn.tracked = False
        for prefix in options.prefixes if options is not None else ():
            entry = self.prefixes[prefix]
            entry.clients.pop(client.conn.id, None)
            if not entry.clients:
                del self.prefixes[prefix]
        self._on.pop(client.conn.id, None)
        self.clients = len(self._on)

    def cache_next(self, client: Client, on: bool = True) -> None:
        """CLIENT CACHING: the next command is another case than the mode says. It has come: `on` False."""
        if client.tracking is not None:
            client.tracking.caching = on
            client.conn.tracked = client.tracking.looks

    # -- reading

    def remember(self, client: Client, keys: Iterable[bytes], most: int) -> None:
        """This connection is about to read these keys. Of more than `most` keys (0: no limit) the oldest are told."""
        number = client.conn.id
        for key in keys:
            ids = self.keys.get(key)
            if ids is None:
                ids = self.keys[key] = {}
                self._watch(key, True)
            if number not in ids:
                ids[number] = None
                self.total_items += 1
        while most and len(self.keys) > most:
            self._tell_readers(next(iter(self.keys)))

    # -- changes

    def touched(self, key: bytes) -> None:
        """A key has changed, or gone."""
        if self.prefixes:
            self._note(key)
        if key in self.keys:
            self._tell_readers(key)

    def flushed(self) -> None:
        """All keys of a database have gone. Everybody is told once, with null in place of keys, and forgets all."""
        for client in list(self._on.values()):
            self._send(client, None)
        for key in self.keys:
            self._watch(key, False)
        self.keys.clear()
        self.total_items = 0

    def _tell_readers(self, key: bytes) -> None:
        ids = self.keys.pop(key)
        self.total_items -= len(ids)
        self._watch(key, False)
        for number in ids:
            client = self._on.get(number)
            if client is None or client.tracking is None or client.tracking.bcast:
                continue
            if not (client.tracking.noloop and number == self.acting):
                self._send(client, [key])

    # -- prefixes

    def _note(self, key: bytes) -> None:
        for prefix, entry in self.prefixes.items():
            if key.startswith(prefix):
                entry.changed[key] = self.acting
                self._round_is_due()

    def _round_is_due(self) -> None:
        if not self._round:
            self._round = True
            self._soon(self.tell_prefixes)

    def tell_prefixes(self) -> None:
        """A round: everybody who wants to hear of a prefix is told which of its keys have changed since the last."""
        self._round = False
        for prefix in sorted(self.prefixes):
            entry = self.prefixes[prefix]
            changed, entry.changed = entry.changed, {}
            for number, client in list(entry.clients.items()):
                noloop = client.tracking is not None and client.tracking.noloop
                keys = sorted(key for key, writer in changed.items() if not (noloop and writer == number))
                if keys:
                    self._send(client, keys)

    # -- messages

    def _send(self, client: Client, keys: list[bytes] | None) -> None:
        """Tell a connection, or the one that stands in for it. Who can be told in no way is not told."""
        options = client.tracking
        assert options is not None
        target: Client = client
        if options.redirect:
            found = self._sessions.get(options.redirect)
            if found is None:
                self._break(client, options)
                return
            target = found
        if target.speaks >= 3:
            target.tell(_wire.Push([b"invalidate", keys]))
        elif options.redirect and target.conn.subscribed:
            target.tell(_wire.Push([b"message", CHANNEL, keys]))

    def _break(self, client: Client, options: Options) -> None:
        options.broken = True
        if client.speaks >= 3:
            client.tell(_wire.Push([b"tracking-redir-broken", options.redirect]))
