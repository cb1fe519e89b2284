"""Hashes with fields that expire: which there are, and the sweeping of what is due.

What it is: the list, by database and key, of the hashes that have fields with a deadline, in the order of their next
one. Shared has one (`shared.timed`); the app turns it as it turns the wheels of the databases, and every command that
Python carries out does so first if something is due. So to such a command a hash whose last field has expired is gone
at once; for those that run without Python (EXISTS, TYPE, TTL) and for Python programs, which see the key's row, it is
gone when the app has come by: EXPIRE_EVERY_S (10 ms) later at most, as far as the loop is on time. The fields
themselves are hidden by the engine from the moment on that they are due, for all.

What it is not: the owner of anything. It knows names and times. What the name stands for is looked at when the time has
come: a hash that was deleted, replaced or renamed is simply not found there. Who gives a hash another place notes it.

What must stay true:

1. `_known[place]` is the time at which the place will be looked at; the heap has an entry for it, and may have older
   ones, which count for nothing.
2. `due_ms` is not later than the next deadline of any hash that was noted and is still in its place.
3. The list does not fill with hashes that are gone: each turn looks at as many entries, and a few more, as were made
   since the last one.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from tsunami import Table, _core, keyspace
from tsunami._core import Collection
from tsunami_server.values.hash import Hash, next_deadline, sweep

NEVER = 1 << 63
BUDGET = 2_000  # fields of one hash at once
LOOKED_AT = 8

Place = tuple[int, bytes]
# Told of what was erased: database, key, and whether the whole key is gone.
Expired = Callable[[int, bytes, bool], None]


class TimedFields:
    def __init__(self) -> None:
        self._known: dict[Place, int] = {}
        self._heap: list[tuple[int, Place]] = []
        self._made = 0  # entries since the last turn
        self.on_any: Callable[[], None] = lambda: None  # there are such hashes now, or none any more

    def __len__(self) -> int:
        return len(self._known)

    @property
    def waits(self) -> bool:
        """Is there anything to be looked at some time?"""
        return bool(self._heap)

    @property
    def due_ms(self) -> int:
        return self._heap[0][0] if self._heap else NEVER

    def note(self, db: int, key: bytes, value: object) -> None:
        """There is such a value in this place now, if it is a hash with fields that expire."""
        large = value.large if type(value) is Hash else value
        deadline = next_deadline(large) if type(large) is Collection and large.order is not None else None
        if deadline is not None and large is not None and deadline < self._known.get((db, key), NEVER):
            self._enter((db, key), deadline)

    def swapped(self, first: int, second: int) -> None:
        """Two databases have exchanged their keys."""
        other = {first: second, second: first}
        self._known = {(other.get(db, db), key): at for (db, key), at in self._known.items()}
        self._heap = sorted((at, place) for place, at in self._known.items())

    def turn(self, now_ms: int, expired: Expired) -> bool:
        """Sweep what is due. True: there is more to do, which was too much for once."""
        more, had = False, self.waits
        while not more and self.due_ms <= now_ms:
            at, place = heappop(self._heap)
            if self._known.get(place) == at:
                del self._known[place]
                more = self._sweep(place, now_ms, expired)
        self._forget_some()
        if had and not self.waits:
            self.on_any()
        return more

    def _enter(self, place: Place, at: int) -> None:
        self._known[place] = at
        heappush(self._heap, (at, place))
        self._made += 1
        if len(self._heap) == 1:
            self.on_any()

    def _sweep(self, place: Place, now_ms: int, expired: Expired) -> bool:
        db, key = place
        table = keyspace(db)
        with _core.hold(table, key):
            large = timed_hash(table, key)
            if large is None:
                return False
            erased = sweep(large, now_ms, BUDGET)
            following = next_deadline(large)
            gone = not large.rows
            if gone:
                _core.commit((), (), [(table, key)])
        if not gone and following is not None:
            self._enter(place, following)
        if erased or gone:
            expired(db, key, gone)
        return following is not None and following <= now_ms

    def _forget_some(self) -> None:
        """Look at some of the entries, each in its turn, and drop those in whose place there is no such hash."""
        for _ in range(min(self._made + LOOKED_AT, len(self._known))):
            place, at = next(iter(self._known.items()))
            del self._known[place]
            if timed_hash(keyspace(place[0]), place[1]) is not None:
                self._known[place] = at
        self._made = 0
        if len(self._heap) > 2 * len(self._known) + LOOKED_AT:
            self._heap = sorted((at, place) for place, at in self._known.items())


def timed_hash(table: Table, key: bytes) -> Collection | None:
    """What stands there, if it is a hash with a table of deadlines. The look counts as no use of the key."""
    found = _core.entry(table, key)
    term = found[0][1] if found is not None and len(found[0]) == 2 else None
    return term if type(term) is Collection and term.order is not None and term.kind == Hash.kind else None
