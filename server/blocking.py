"""Clients that wait for a key: BLPOP and its kin, XREAD BLOCK, WAIT.

What it is: a command that finds nothing to do yet leaves an *attempt*, a function that carries it out or answers
NOT_YET, under each of the keys that may change that. When one of them was touched, and the command that did so has
ended with all that it was made of (EXEC, a script), attempts are made in the order in which their clients came; the
first answer is the reply.

What it is not: a queue of its own for each type. It knows nothing of lists or streams: an attempt looks at its keys in
the order of its own arguments, pops what it pops, and may touch further keys, which are served in turn.

What must stay true:

1. A client waits for one thing at a time: it stands in the queue of each of its keys, or in none.
2. However its waiting ends (served, out of time, CLIENT UNBLOCK, its connection gone) it is in no queue afterwards, and
   no key is kept interesting for it.
3. Nobody overtakes: between the end of the command that touched a key and the last attempt on it nothing else runs.
4. For a peer that has closed its side nothing is taken, as far as that can be known.
5. An attempt is made as the session whose it is: its database, its rights to tables.
"""

import asyncio
import enum
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Final, Literal

from tsunami import _core, keyspace
from tsunami_server.command import CommandError, Reply
from tsunami_server.signals import Place, Signals

if TYPE_CHECKING:
    from tsunami_server.session import Session
    from tsunami_server.shared import Shared


class NotYet(enum.Enum):
    """What an attempt answers that has found nothing to do yet."""

    NOT_YET = "not yet"


NOT_YET: Final = NotYet.NOT_YET
Attempt = Callable[[], Reply | Literal[NotYet.NOT_YET]]

UNBLOCKED: Final = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
LONGEST_S: Final = 10 * 365 * 86400.0  # a loop's timers reach no further, and nobody will see the end of it


class Waiter:
    """One client that waits."""

    __slots__ = ("attempt", "empty", "future", "places", "session", "since_ns", "timer")

    def __init__(self, session: "Session", places: list[Place], attempt: Attempt, empty: Reply) -> None:
        self.session = session
        self.places = places
        self.attempt = attempt
        self.empty = empty
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None
        self.since_ns = time.perf_counter_ns()


class Blocking:
    """All clients of a server that wait."""

    def __init__(self, shared: "Shared") -> None:
        self._shared = shared
        self._signals: Signals = shared.signals
        self._queues: dict[Place, dict[Waiter, None]] = {}  # in the order of arrival
        self._waiters: dict[int, Waiter] = {}  # by the ids of the sessions
        self._serving = False
        self._signals.waited = self._queues
        self._signals.serve = self.serve

    def block(
        self, session: "Session", keys: list[bytes], attempt: Attempt, timeout_s: float, empty: Reply
    ) -> Coroutine[object, None, Reply]:
        """Have a session wait from now on; what is returned is its reply, to be awaited. timeout_s 0: for ever."""
        places = [(session.conn.db, key) for key in dict.fromkeys(keys)]
        waiter = Waiter(session, places, attempt, empty)
        for place in places:
            self._queues.setdefault(place, {})[waiter] = None
            self._signals.interested(place[1])
        if timeout_s:
            loop = asyncio.get_running_loop()
            waiter.timer = loop.call_later(min(timeout_s, LONGEST_S), self._finish, waiter, empty)
        self._waiters[session.id] = waiter
        self._shared.blocked += 1
        return self._reply(waiter)

    def is_blocked(self, session: "Session") -> bool:
        return session.id in self._waiters

    def unblock(self, session: "Session", error: bool) -> bool:
        """CLIENT UNBLOCK: as if the time were over, or with an error. False: the session does not wait."""
        waiter = self._waiters.get(session.id)
        if waiter is None:
            return False
        self._finish(waiter, CommandError(UNBLOCKED) if error else waiter.empty)
        return True

    def forget(self, session: "Session") -> None:
        """The connection has ended."""
        waiter = self._waiters.get(session.id)
        if waiter is not None:
            self._leave(waiter)
            waiter.future.cancel()

    def serve(self) -> None:
        """Make attempts for all keys that were touched, and for those that the attempts touch."""
        if self._serving:
            return
        self._serving = True
        try:
            while self._signals.ready:
                place = next(iter(self._signals.ready))
                del self._signals.ready[place]
                self._serve_key(place)
        finally:
            self._serving = False

    @property
    def keys(self) -> int:
        """How many keys are waited for."""
        return len(self._queues)

    def end_abandoned(self) -> None:
        """Close the connections whose peers have given up waiting. Asked from time to time."""
        for waiter in list(self._waiters.values()):
            self._ended(waiter)

    # -- one client

    def _serve_key(self, place: Place) -> None:
        table = keyspace(place[0])
        for waiter in list(self._queues.get(place, ())):
            if place[1] not in table:
                return  # the others wait on
            if not waiter.future.done() and not self._ended(waiter):
                self._try(waiter)

    @staticmethod
    def _ended(waiter: Waiter) -> bool:
        """Has the peer closed its side? Then nothing is taken for it, and the connection ends."""
        app, session = waiter.session.app, waiter.session
        gone = app.is_abandoned(session)
        if gone:
            app.close_client(session)
        return gone

    def _try(self, waiter: Waiter) -> None:
        session, messages = waiter.session, self._shared.messages
        outer, messages.acting = messages.acting, session
        session.serving = True
        try:
            reply = _core.act(session.current_holder, waiter.attempt)
        except Exception as error:  # becomes the reply, where all exceptions do
            self._finish(waiter, error)
        else:
            if reply is not NOT_YET:
                self._finish(waiter, reply)
        finally:
            session.serving = False
            messages.acting = outer

    def _finish(self, waiter: Waiter, reply: Reply | Exception) -> None:
        self._leave(waiter)
        if waiter.future.done():
            return
        waiter.session.idle_ns = time.perf_counter_ns() - waiter.since_ns
        if isinstance(reply, Exception):
            waiter.future.set_exception(reply)
        else:
            waiter.future.set_result(reply)

    def _leave(self, waiter: Waiter) -> None:
        """Out of all queues, once."""
        if self._waiters.get(waiter.session.id) is not waiter:
            return
        del self._waiters[waiter.session.id]
        self._shared.blocked -= 1
        if waiter.timer is not None:
            waiter.timer.cancel()
        for place in waiter.places:
            queue = self._queues[place]
            del queue[waiter]
            if not queue:
                del self._queues[place]
            self._signals.bored(place[1])

    async def _reply(self, waiter: Waiter) -> Reply:
        try:
            return await waiter.future
        finally:
            self._leave(waiter)  # if the task was cancelled
