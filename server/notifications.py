"""Keyspace notifications: what happens to keys, as messages of two kinds of channels.

    __keyspace@0__:mykey    set          class K: what happened to this key
    __keyevent@0__:set      mykey        class E: to which key this happened

What it is: the classes that are switched on (`notify-keyspace-events`), and `notify`, which publishes.

What it is not: it does not watch anything. Commands say what they have done, with Redis's names for it.

What must stay true:

1. With nothing switched on, `on` is empty and `notify` returns at once; hot commands run natively then.
2. While events of keys are switched on, every command that writes runs in Python (`writes_cold`), and while misses are,
   every command that reads (`reads_cold`): so none is forgotten.
3. An event is published after the change, before the reply of the command that caused it is sent.
"""

from typing import Final

from tsunami_server.pubsub import Messages

CHANNEL_KINDS: Final = frozenset("KE")
OF_A: Final = "g$lshzxetd"


class Notifications:
    """Which events are published, and how.

    >>> from tsunami import _wire, keyspace
    >>> plane = _wire.Plane([keyspace(db) for db in range(16)])
    >>> notifications = Notifications(Messages(plane, plane.push_all))
    >>> notifications.configure("Ex")
    >>> notifications.wants("x"), notifications.wants("g")
    (True, False)
    """

    def __init__(self, messages: Messages) -> None:
        self.on: frozenset[str] = frozenset()  # the letters, A spelled out; empty if there is no channel for any
        self._messages = messages

    def configure(self, letters: str) -> None:
        """The setting's text. Events without K or E, or K and E without events, are nothing."""
        found = frozenset(letters.replace("A", OF_A))
        self.on = found if found & CHANNEL_KINDS and found - CHANNEL_KINDS else frozenset()

    def wants(self, kind: str) -> bool:
        return kind in self.on

    @property
    def of_writes(self) -> bool:
        """Are there events of commands that write? Of every class: some of them look for a key first, and miss it."""
        return bool(self.on)

    def notify(self, kind: str, event: str, key: bytes, db: int) -> None:
        on = self.on
        if kind not in on:
            return
        name = event.encode()
        if "K" in on:
            self._messages.publish(b"__keyspace@%d__:%b" % (db, key), name)
        if "E" in on:
            self._messages.publish(b"__keyevent@%d__:%b" % (db, name), key)
