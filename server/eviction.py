"""`maxmemory`: what commands may still do when the rows take up as much as they may, and which keys make room.

What it is: the limit, its policies under Redis's names, and the search for the next key to evict: some rows are sampled
(`maxmemory-samples`), the best of them wait in a pool of sixteen for their turn, and the best of the pool goes. So the
key that goes is nearly the one that an exact order would have named, and no order has to be kept.

What it is not: the measure. The engine counts the bytes of all tables of the process (_core.memory): those that rows
and their tables need, to the byte; what is idle in the pages of rows is room for the next ones and does not count.
Buffers of connections and the process's own memory do not count either. Nor does a Python program's own insert wait for
room: commands make it.

What must stay true:

1. While `limit` is 0 nothing here runs but `refuse`, which looks at that; hot commands compare two numbers.
2. Eviction changes keys as commands do: through a View, so that everybody hears of it, and then by `evicted`.
3. It takes a bounded time for each command (`maxmemory-eviction-tenacity`); what is left to do is done in the loop's
   next turns, and meanwhile commands that need memory are let through, as in Redis.
4. Inside of a script nothing is evicted, and memory counts as short if it was when the script began.
"""

import time
from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from tsunami import Table, _core, keyspace
from tsunami_server.command import registry
from tsunami_server.keyspace import View, bytes_of_key

OUT_OF_MEMORY: Final = "OOM command not allowed when used memory > 'maxmemory'."
POOL: Final = 16
DATABASES: Final = 16
RANDOM_TRIES: Final = 8  # samples of a database that may hold keys which are no Redis keys

T = TypeVar("T")
Sample = tuple[object, int, int, int]  # key, seconds idle, counter of use, deadline


@dataclass(frozen=True, slots=True)
class Policy:
    """Which keys may go, and which go first: those with the highest score. No score: any."""

    volatile: bool
    score: Callable[[Sample], int] | None
    counts: bool = False  # the engine is to count how often keys are used


def idle(row: Sample) -> int:
    return row[1]


def rarely_used(row: Sample) -> int:
    return 255 - row[2]


def soon_due(row: Sample) -> int:
    return -row[3]


POLICIES: Final[dict[str, Policy | None]] = {
    "noeviction": None,
    "allkeys-lru": Policy(False, idle),
    "allkeys-lfu": Policy(False, rarely_used, counts=True),
    "allkeys-random": Policy(False, None),
    "volatile-lru": Policy(True, idle),
    "volatile-lfu": Policy(True, rarely_used, counts=True),
    "volatile-random": Policy(True, None),
    "volatile-ttl": Policy(True, soon_due),
}


def turn_us(tenacity: int) -> float:
    """How long evicting may keep a command waiting, in microseconds; the formula is Redis's."""
    if tenacity <= 10:
        return 50.0 * tenacity
    return 500.0 * 1.15 ** (tenacity - 10) if tenacity < 100 else float("inf")


def clients_limit(text: str, maxmemory: int) -> int:
    """`maxmemory-clients` in bytes: it may be a share of maxmemory. 0: no limit."""
    return int(text[:-1]) * maxmemory // 100 if text.endswith("%") else int(text)


def too_large(sizes: Mapping[T, int], limit: int) -> list[T]:
    """Whose buffers must go so that those of the others stay within the limit: the largest first.

    >>> too_large({"a": 10, "b": 70, "c": 30, "d": 0}, 50)
    ['b']
    """
    total, found = sum(sizes.values()), []
    for owner, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if total <= limit:
            break
        total -= size
        found.append(owner)
    return found


class Settings(Protocol):
    def text(self, name: str, /) -> str: ...


class Plane(Protocol):
    def limit_memory(self, limit: int, evicts: bool, denyoom: Iterable[str], /) -> None: ...
    def hot_names(self) -> frozenset[str]: ...


class Memory:
    """The limit of one server, and the evictions that keep it."""

    def __init__(self, plane: Plane) -> None:
        self.limit = 0
        self.policy: Policy | None = None
        self.counts_use = False
        self.evicted_clients = 0
        self.evicted = 0  # keys, since the last CONFIG RESETSTAT
        self.over_since: float | None = None  # when eviction began to lag behind
        self.over_total_s = 0.0
        self.peak = 0
        self.short = False  # there was no room when the command under way began
        self.on_evicted: Callable[[int, bytes], None] = lambda db, key: None
        self.on_took: Callable[[str, float], None] = lambda event, seconds: None  # for LATENCY
        self.later: Callable[[Callable[[], None]], None] = lambda work: None  # in the loop's next turn
        self._plane = plane
        _core.memory_meter(True)  # for good: many ask, and a walk through all tables is long
        self._samples = 5
        self._turn_s = 0.0005
        self._pool: list[tuple[int, int, bytes]] = []  # score, database, key; the best stands last
        self._next_db = 0
        self._running = False  # _go_on will be called

    # ---- figures

    @staticmethod
    def used() -> int:
        """Bytes that the rows of all tables take up."""
        return _core.memory()[0]

    def is_over(self) -> bool:
        return bool(self.limit) and self.used() > self.limit

    def note_peak(self) -> int:
        self.peak = max(self.peak, self.used())
        return self.peak

    def over_ms(self) -> tuple[int, int]:
        """For how long memory has been above the limit: in all, and this time."""
        now = 0.0 if self.over_since is None else time.monotonic() - self.over_since
        return int((self.over_total_s + now) * 1000), int(now * 1000)

    # ---- settings

    def configure(self, settings: Settings) -> None:
        """Bring the settings into force; what is too much is evicted at once."""
        name = settings.text("maxmemory-policy")
        self.limit = int(settings.text("maxmemory"))
        self.policy = POLICIES[name]
        self.counts_use = self.policy is not None and self.policy.counts
        self._samples = int(settings.text("maxmemory-samples"))
        self._turn_s = turn_us(int(settings.text("maxmemory-eviction-tenacity"))) / 1e6
        self._pool.clear()
        _core.use_counting(self.counts_use, int(settings.text("lfu-log-factor")), int(settings.text("lfu-decay-time")))
        hot = self._plane.hot_names()
        denied = [each.name for each in registry.everything() if "denyoom" in each.flags and each.name in hot]
        self._plane.limit_memory(self.limit, self.policy is not None, denied)
        if self.is_over():
            self.make_room()

    # ---- what dispatch asks

    def refuse(self, needs_memory: bool) -> str | None:
        """Make room, if there is none. Why a command is not carried out all the same, or None."""
        self.short = self.is_over() and not self.make_room()
        return self.refuse_inside(needs_memory)

    def refuse_inside(self, needs_memory: bool) -> str | None:
        """The same inside of a script: as it was when that began."""
        return OUT_OF_MEMORY if self.limit and self.short and needs_memory else None

    # ---- making room

    def make_room(self) -> bool:
        """Evict until memory is below the limit or the time is up. False: nothing is left that could be evicted."""
        if self.policy is None:
            return False
        start = time.monotonic()
        if self.over_since is None:
            self.over_since = start
        gone, found = 0, True
        while self.is_over() and (found := self._evict_one(self.policy)):
            gone += 1
            if gone % 16 == 0 and time.monotonic() - start > self._turn_s:
                self._go_on_later()
                break
        took = time.monotonic() - start
        self.on_took("eviction-cycle", took)
        if found and not self._running:
            self.over_total_s += time.monotonic() - self.over_since
            self.over_since = None
        return found

    def _go_on_later(self) -> None:
        if not self._running:
            self._running = True
            self.later(self._go_on)

    def _go_on(self) -> None:
        self._running = False
        if self.is_over():
            self.make_room()
        elif self.over_since is not None:
            self.over_total_s += time.monotonic() - self.over_since
            self.over_since = None

    def _evict_one(self, policy: Policy) -> bool:
        """Evict the next key; False if there is none."""
        while (chosen := self._any(policy) if policy.score is None else self._best(policy)) is not None:
            db, key = chosen
            if erase(keyspace(db), key):
                self.evicted += 1
                self.on_evicted(db, key)
                return True
        return False

    def _any(self, policy: Policy) -> tuple[int, bytes] | None:
        """Some key, of one database after the other."""
        for _ in range(DATABASES):
            db = self._next_db
            self._next_db = (db + 1) % DATABASES
            for _ in range(RANDOM_TRIES if len(keyspace(db)) else 0):
                for key, *_ in _core.sample(keyspace(db), 1, policy.volatile):
                    name = bytes_of_key(key)
                    if name is not None:
                        return db, name
        return None

    def _best(self, policy: Policy) -> tuple[int, bytes] | None:
        """The best of the pool, after new samples have been put into it. It may be gone meanwhile."""
        for db in range(DATABASES):
            if len(keyspace(db)):
                self._fill(db, policy)
        if not self._pool:
            return None
        _, db, key = self._pool.pop()
        return db, key

    def _fill(self, db: int, policy: Policy) -> None:
        assert policy.score is not None
        for row in _core.sample(keyspace(db), self._samples, policy.volatile):
            key = bytes_of_key(row[0])
            if key is None:
                continue
            score = policy.score(row)
            if len(self._pool) >= POOL and score <= self._pool[0][0]:
                continue
            if any(other == key and home == db for _, home, other in self._pool):
                continue
            insort(self._pool, (score, db, key))
            if len(self._pool) > POOL:
                del self._pool[0]


def erase(table: Table, key: bytes) -> bool:
    """Delete a key as a command would; False if it is not there. Whoever calls this tells of it."""
    while True:
        view = View(table)
        if not view.exists(key):
            return False
        view.erase(key)
        if view.commit():
            return True
