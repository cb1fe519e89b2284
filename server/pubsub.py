"""Messages: who has subscribed to what, and how a message reaches them.

What it is: three registers (channels, patterns, shard channels), each a name and the connections that listen to it;
what each connection has subscribed to; and `publish`, which finds the listeners and hands one message to all of them.

Of channels, the plane knows as well: PUBLISH runs natively as long as nobody listens to a pattern.

What it is not: it knows no command, no socket and no loop. Who delivers is told at the beginning: `deliver` appends one
push to many connections, spelled once for each version of RESP, and has them sent.

What must stay true:

1. A name stands in a register exactly as long as somebody listens to it, and a connection stands there once.
2. A register's entry and the connection's own list say the same; `conn.subscribed` is set while any of its lists has an
   entry. (Redis: CLIENT_PUBSUB. Output limits, CLIENT LIST and the commands that RESP2 allows depend on it.)
3. Messages reach a connection in the order in which they were published: they are appended to its output by whoever
   publishes, on the loop's thread, before the next command runs.
4. A connection that causes a message to itself gets it behind the reply of the command that caused it.
5. Publishing takes time by the listeners and by the number of patterns, never by the number of channels.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from tsunami import _wire
from tsunami_server.glob import compile_glob

Listeners = dict[int, _wire.Conn]  # by the connection's id, in the order in which they came
Deliver = Callable[[list[_wire.Conn], _wire.Push], None]

CHANNEL: Final = "channel"
PATTERN: Final = "pattern"
SHARD: Final = "shard"


class Listener(Protocol):
    """What is asked of a session."""

    conn: _wire.Conn
    subscriptions: "Subscriptions"

    def tell_later(self, push: _wire.Push, /) -> None: ...  # behind the reply of the command that it is in


@dataclass(slots=True)
class Subscriptions:
    """What one connection has subscribed to; dicts for their order."""

    channel: dict[bytes, None] = field(default_factory=dict)
    pattern: dict[bytes, None] = field(default_factory=dict)
    shard: dict[bytes, None] = field(default_factory=dict)

    def of(self, kind: str) -> dict[bytes, None]:
        return self.channel if kind == CHANNEL else self.pattern if kind == PATTERN else self.shard

    def count(self, kind: str) -> int:
        """What replies tell: shard channels by themselves, channels and patterns together."""
        return len(self.shard) if kind == SHARD else len(self.channel) + len(self.pattern)

    def __bool__(self) -> bool:
        return bool(self.channel or self.pattern or self.shard)


class Messages:
    """The three registers of one server.

    >>> from tsunami import keyspace
    >>> plane = _wire.Plane([keyspace(db) for db in range(16)])
    >>> Messages(plane, plane.push_all).publish(b"news", b"hello")
    0
    """

    def __init__(self, plane: _wire.Plane, deliver: Deliver) -> None:
        self.channels: dict[bytes, Listeners] = {}
        self.patterns: dict[bytes, Listeners] = {}
        self.shards: dict[bytes, Listeners] = {}
        self.clients = 0  # connections that have subscribed to anything
        self.acting: Listener | None = None  # whose command runs now: it hears of what it causes afterwards
        self._plane = plane
        self._deliver = deliver

    def register(self, kind: str) -> dict[bytes, Listeners]:
        return self.channels if kind == CHANNEL else self.patterns if kind == PATTERN else self.shards

    # -- who listens

    def subscribe(self, listener: Listener, kind: str, name: bytes) -> None:
        conn, own = listener.conn, listener.subscriptions.of(kind)
        if name in own:
            return
        self.clients += not conn.subscribed
        conn.subscribed = True
        own[name] = None
        self.register(kind).setdefault(name, {})[conn.id] = conn
        if kind == CHANNEL:
            self._plane.listen(conn, name)
        self._plane.patterns = len(self.patterns)

    def unsubscribe(self, listener: Listener, kind: str, name: bytes) -> None:
        conn, register = listener.conn, self.register(kind)
        if name not in listener.subscriptions.of(kind):
            return
        del listener.subscriptions.of(kind)[name]
        listeners = register[name]
        del listeners[conn.id]
        if not listeners:
            del register[name]
        if kind == CHANNEL:
            self._plane.unlisten(conn, name)
        self._plane.patterns = len(self.patterns)
        if not listener.subscriptions:
            conn.subscribed = False
            self.clients -= 1

    def leave(self, listener: Listener) -> None:
        """Undo all of a connection's subscriptions, and tell nobody."""
        for kind in (CHANNEL, PATTERN, SHARD):
            for name in list(listener.subscriptions.of(kind)):
                self.unsubscribe(listener, kind, name)

    # -- messages

    def publish(self, channel: bytes, message: bytes) -> int:
        """To the listeners of the channel, then to those of each pattern that it fits; how many that were."""
        reached = 0
        listeners = self.channels.get(channel)
        if listeners:
            reached = self.send(listeners, _wire.Push([b"message", channel, message]))
        if self.patterns:
            for pattern, listeners in list(self.patterns.items()):
                if compile_glob(pattern)(channel):
                    reached += self.send(listeners, _wire.Push([b"pmessage", pattern, channel, message]))
        return reached

    def publish_shard(self, channel: bytes, message: bytes) -> int:
        listeners = self.shards.get(channel)
        return self.send(listeners, _wire.Push([b"smessage", channel, message])) if listeners else 0

    def send(self, listeners: Listeners, push: _wire.Push) -> int:
        """One push to all of them; how many they are."""
        acting = self.acting
        if acting is not None and acting.conn.id in listeners:
            acting.tell_later(push)
            self._deliver([conn for conn in listeners.values() if conn is not acting.conn], push)
        else:
            self._deliver(list(listeners.values()), push)
        return len(listeners)
