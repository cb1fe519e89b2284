"""What the sessions of one server share: who is connected, what was counted, SLOWLOG, LATENCY and CLIENT PAUSE; and
one of each thing that knows more than one session: signals, clients that wait, messages, tracking, scripts.

What it is not: settings (config.py), users (they are the app's), or counters of the hot path (they live in
tsunami._wire.Plane).

What must stay true:

1. Everything here is touched on the event loop only.
2. `sessions` holds exactly the sessions that have been made and not yet closed, by the id of their connection; and
   `holders` those among them that own, inherit or fix tables, by the id of their tsunami.Session.
3. While `paused` is set the plane holds the same commands back, so that no hot command slips through; when the time is
   over both end together.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from tsunami import _wire
from tsunami_server.values.timed import TimedFields

if TYPE_CHECKING:
    import tsunami
    from tsunami_server.blocking import Blocking
    from tsunami_server.notifications import Notifications
    from tsunami_server.pubsub import Messages
    from tsunami_server.scripting.scripts import Scripts
    from tsunami_server.session import Session
    from tsunami_server.signals import Signals
    from tsunami_server.tracking import Tracking

PauseMode = Literal["write", "all"]
T = TypeVar("T")
LATENCY_SAMPLES = 160
SLOWLOG_MAX_ARGUMENTS = 32
SLOWLOG_MAX_STRING = 128


@dataclass(frozen=True, slots=True)
class SlowEntry:
    id: int
    time_s: int
    usec: int
    argv: list[bytes]
    peer: str
    client: bytes


@dataclass(slots=True)
class Shared:
    signals: "Signals"
    sessions: "dict[int, Session]" = field(default_factory=dict)
    holders: "dict[int, Session]" = field(default_factory=dict)  # those that are somebody to the tables, by that id
    identities: "dict[bytes, Session]" = field(default_factory=dict)  # those that said ETS.HELLO, by what they said
    blocking: "Blocking" = field(init=False)  # these four are the app's to make
    messages: "Messages" = field(init=False)
    notifications: "Notifications" = field(init=False)
    tracking: "Tracking" = field(init=False)
    writes_cold_for: set[str] = field(default_factory=set)  # why commands that write do not run natively
    overruns: int = 0  # connections closed because they did not read
    commands: dict[str, _wire.Account] = field(default_factory=lambda: defaultdict(_wire.Account))
    errors: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    hits: int = 0
    misses: int = 0
    slow: deque[SlowEntry] = field(default_factory=deque)
    slow_seen: int = 0
    latency: dict[str, deque[tuple[int, int]]] = field(default_factory=dict)
    paused: PauseMode | None = None
    pause_until_ms: int = 0
    blocked: int = 0  # clients that wait, for keys or for the end of a pause
    monitors: "dict[int, Session]" = field(default_factory=dict)  # those that said MONITOR
    timed: TimedFields = field(default_factory=TimedFields)  # hashes with fields that expire
    scripts: "Scripts | None" = None  # made when the first script is asked for
    busy: bool = False  # a script has run for too long: only commands that are allowed then are carried out
    attack_s: float = float("-inf")  # when an attack was last logged
    # what INFO calls instantaneous: figures and time of the last measurement, and what came of it
    rate_mark: tuple[tuple[int, ...], int] = ((0, 0, 0), 0)
    rates: tuple[float, ...] = (0.0, 0.0, 0.0)
    _wake: asyncio.Event | None = None
    _timer: asyncio.TimerHandle | None = None

    # -- who is who to the tables

    def holder_name(self, holder: "tsunami.Session | None") -> int | str | None:
        """The client id of a connection; of a session of Python's, its number; of nobody, None."""
        if holder is None:
            return None
        session = self.holders.get(holder.id)
        return session.id if session is not None else f"session:{holder.id}"

    def may_log_attack(self, now_s: float) -> bool:
        """Was none logged for a minute? Then this one is."""
        due = now_s - self.attack_s > 60
        if due:
            self.attack_s = now_s
        return due

    def set_writes_cold(self, plane: "_wire.Plane", reason: str, on: bool) -> None:
        """Bring every command that writes to Python, as long as there is any reason for it."""
        if on:
            self.writes_cold_for.add(reason)
        else:
            self.writes_cold_for.discard(reason)
        plane.writes_cold = bool(self.writes_cold_for)

    # -- statistics

    def reset_stats(self) -> None:
        self.commands.clear()
        self.errors.clear()
        self.hits = self.misses = 0

    def count_error(self, text: str) -> None:
        self.errors[text.split(" ", 1)[0].lstrip("-") or "ERR"] += 1

    def rates_now(self, totals: tuple[int, ...], now_ms: int) -> tuple[float, ...]:
        """By how much these figures grow in a second; looked at no more than ten times a second."""
        seen, at_ms = self.rate_mark
        if now_ms - at_ms >= 100:
            if at_ms:
                self.rates = tuple(
                    max(0, total - before) * 1000 / (now_ms - at_ms) for total, before in zip(totals, seen, strict=True)
                )
            self.rate_mark = (totals, now_ms)
        return self.rates

    def note_slow(self, argv: list[bytes], usec: int, now_ms: int, session: "Session | None", keep: int) -> None:
        """Log a slow command of a session (None: it is gone), and forget the oldest beyond `keep`."""
        shown = [clipped(word) for word in argv[:SLOWLOG_MAX_ARGUMENTS]]
        if len(argv) > SLOWLOG_MAX_ARGUMENTS:
            shown[-1] = b"... (%d more arguments)" % (len(argv) - SLOWLOG_MAX_ARGUMENTS + 1)
        peer, name = (session.peer, session.name) if session else ("", b"")
        self.slow.appendleft(SlowEntry(self.slow_seen, now_ms // 1000, usec, shown, peer, name))
        self.slow_seen += 1
        self.trim_slow(keep)

    def take_slow(self, plane: "_wire.Plane", now_ms: int, keep: int) -> None:
        """Log what the plane has noted of slow hot commands since it was last asked."""
        for conn_id, usec, argv in plane.take_slow():
            self.note_slow(argv, usec, now_ms, self.sessions.get(conn_id), keep)

    def trim_slow(self, keep: int) -> None:
        while len(self.slow) > keep:
            self.slow.pop()

    def note_latency(self, event: str, now_ms: int, took_ms: int) -> None:
        """Keep the worst sample of each second."""
        samples = self.latency.setdefault(event, deque(maxlen=LATENCY_SAMPLES))
        second = now_ms // 1000
        if samples and samples[-1][0] == second:
            samples[-1] = (second, max(samples[-1][1], took_ms))
        else:
            samples.append((second, took_ms))

    # -- CLIENT PAUSE

    def pause(self, plane: "_wire.Plane", mode: PauseMode, now_ms: int, for_ms: int) -> None:
        """Hold commands back. A pause under way can become longer and stricter by this, never less."""
        if self.paused is not None:
            mode = "all" if "all" in (mode, self.paused) else "write"
        self.pause_until_ms = max(now_ms + for_ms, self.pause_until_ms if self.paused else 0)
        self.paused = mode
        plane.hold_writes = True
        plane.hold_all = mode == "all"
        self._wake = self._wake or asyncio.Event()
        if self._timer is not None:
            self._timer.cancel()
        left_s = (self.pause_until_ms - now_ms) / 1000
        self._timer = asyncio.get_running_loop().call_later(left_s, self.unpause, plane)

    def unpause(self, plane: "_wire.Plane") -> None:
        self.paused = None
        plane.hold_writes = plane.hold_all = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    def holds(self, is_write: bool) -> bool:
        return self.paused is not None and (is_write or self.paused == "all")

    # -- time, which only this file and the app may wait for

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)

    @staticmethod
    async def in_thread(function: Callable[..., T], *args: object) -> T:
        """For what takes long: everybody else goes on meanwhile. It runs as the caller's session."""
        return await asyncio.to_thread(function, *args)

    @staticmethod
    def aside(function: Callable[[], T]) -> asyncio.Future[T]:
        """Like in_thread, but it begins whether or not anybody waits for its end."""
        return asyncio.get_running_loop().run_in_executor(None, function)

    async def wait_unpaused(self) -> None:
        if self._wake is not None:
            await self._wake.wait()


def clipped(word: bytes) -> bytes:
    more = len(word) - SLOWLOG_MAX_STRING
    return word if more <= 0 else word[:SLOWLOG_MAX_STRING] + b"... (%d more bytes)" % more
