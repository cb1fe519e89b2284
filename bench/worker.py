"""One side of the in-process part: a process that holds one kind of table and runs one operation when told to.

Started by inprocess.py, which talks to every side in turn over stdin and stdout, so that all sides are measured within
the same second of the machine's life. One line in, one line out:

    <op> <rows> <int|str> <file of positions>   ->   <ns> <cpu ns> <operations>     or     no <reason>

What must stay true:

1. Each loop is `for k in keys: f(k)` with f bound beforehand, or the statement that a user of that side would write.
   `loop` is the same loop around nothing; inprocess.py takes its time off and reports it.
2. Keys are fresh objects: made anew, untimed, for each operation, in random order, the same order for every side. So
   a dict compares keys by value and hashes each str, as it does for keys that come from a request. Nothing is warmed
   by an earlier round's objects.
3. Values are integers above 256: an integer that CPython keeps ready would cost nothing to copy out.
4. The collector is on, as in users' programs, except for `insert_nogc` (which is `insert` without it), and has run just
   before the clock starts.

Keys: int 0..rows-1, or str of 16 characters; absent ones are of the same form, rows..2*rows-1. Where a table has 20,000
rows an operation goes ten times over them (insert and delete: ten tables), so that a timing is never below 10 ms.
"""

from __future__ import annotations

import array
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

VALUE = 1_000_000
BATCH = 100
Key = int | str
Keys = list[Any]


def read_keys(path: str, kind: str, shift: int = 0) -> Keys:
    """Fresh key objects for the positions in a file."""
    positions: array.array[int] = array.array("i")
    with open(path, "rb") as f:
        positions.frombytes(f.read())
    if kind == "int":
        return [p + shift for p in positions]
    base = 10_000_000_000 + shift
    return [f"user:{base + p}" for p in positions]


class Side:
    """A side: how to make a table, and a loop for each operation it knows."""

    def make(self, rows: int) -> Any:
        raise NotImplementedError

    # Each takes (table, keys) and runs over all keys.
    loops: dict[str, Callable[[Any, Keys], None]] = {}


def empty_loop(_: Any, keys: Keys) -> None:
    for _k in keys:
        pass


def set_item(table: Any, keys: Keys) -> None:
    v = VALUE
    for k in keys:
        table[k] = (k, v)


def get(table: Any, keys: Keys) -> None:
    f = table.get
    for k in keys:
        f(k)


def contains(table: Any, keys: Keys) -> None:
    for k in keys:
        k in table  # noqa: B015


def del_item(table: Any, keys: Keys) -> None:
    for k in keys:
        del table[k]


def get_chunks(table: Any, chunks: Keys) -> None:
    f = table.get
    for chunk in chunks:
        [f(k) for k in chunk]


MAPPING = {
    "insert": set_item,
    "replace": set_item,
    "lookup": get,
    "miss": get,
    "member": contains,
    "delete": del_item,
}


class Dict(Side):
    """The builtin; counters are a second dict of plain integers, which is what a user would have."""

    loops = MAPPING | {"batch": get_chunks}

    def make(self, rows: int) -> Any:
        return {}


class Locked:
    """A dict and the lock that guards it."""

    def __init__(self) -> None:
        self.rows: dict[Key, tuple[Key, int]] = {}
        self.counters: dict[Key, int] = {}
        self.lock = threading.Lock()


def locked_insert(t: Locked, keys: Keys) -> None:
    d, lock, v = t.rows, t.lock, VALUE
    for k in keys:
        with lock:
            d[k] = (k, v)


def locked_get(t: Locked, keys: Keys) -> None:
    d, lock = t.rows, t.lock
    for k in keys:
        with lock:
            d.get(k)


def locked_member(t: Locked, keys: Keys) -> None:
    d, lock = t.rows, t.lock
    for k in keys:
        with lock:
            k in d  # noqa: B015


def locked_delete(t: Locked, keys: Keys) -> None:
    d, lock = t.rows, t.lock
    for k in keys:
        with lock:
            del d[k]


def locked_count(t: Locked, keys: Keys) -> None:
    d, lock = t.counters, t.lock
    for k in keys:
        with lock:
            d[k] += 1


class DictLock(Side):
    loops = {
        "insert": locked_insert,
        "replace": locked_insert,
        "lookup": locked_get,
        "miss": locked_get,
        "member": locked_member,
        "delete": locked_delete,
        "update_counter": locked_count,
    }

    def make(self, rows: int) -> Any:
        return Locked()


class CacheTools(Side):
    loops = MAPPING

    def make(self, rows: int) -> Any:
        import cachetools

        return cachetools.LRUCache(maxsize=2 * rows)


class CacheBox(Side):
    loops = MAPPING

    def make(self, rows: int) -> Any:
        import cachebox

        return cachebox.LRUCache(2 * rows)


def cereggii_chunks(table: Any, chunks: Keys) -> None:
    f = table.batch_getitem
    for chunk in chunks:
        f(dict.fromkeys(chunk))  # the batch is a dict, which it fills


class Cereggii(Side):
    loops = {op: f for op, f in MAPPING.items() if op != "member"} | {"batch": cereggii_chunks}  # it has no `in`

    def make(self, rows: int) -> Any:
        import cereggii

        return cereggii.AtomicDict()


class Sorted(Side):
    loops = MAPPING

    def make(self, rows: int) -> Any:
        import sortedcontainers

        return sortedcontainers.SortedDict()


def insert(table: Any, keys: Keys) -> None:
    f, v = table.insert, VALUE
    for k in keys:
        f((k, v))


def lookup(table: Any, keys: Keys) -> None:
    f = table.lookup
    for k in keys:
        f(k)


def lookup_element(table: Any, keys: Keys) -> None:
    f = table.lookup_element
    for k in keys:
        f(k, 1)


def member(table: Any, keys: Keys) -> None:
    f = table.member
    for k in keys:
        f(k)


def update_counter(table: Any, keys: Keys) -> None:
    f = table.update_counter
    for k in keys:
        f(k, 1)


def delete(table: Any, keys: Keys) -> None:
    f = table.delete
    for k in keys:
        f(k)


def lookup_chunks(table: Any, chunks: Keys) -> None:
    f = table.lookup_many
    for chunk in chunks:
        f(chunk)


def insert_chunks(table: Any, chunks: Keys) -> None:
    f, v = table.insert_many, VALUE
    for chunk in chunks:
        f([(k, v) for k in chunk])


class Tsunami(Side):
    loops = {
        "insert": insert,
        "replace": insert,
        "lookup": lookup,
        "get": get,
        "lookup_element": lookup_element,
        "miss": lookup,
        "member": member,
        "contains": contains,
        "update_counter": update_counter,
        "delete": delete,
        "batch": lookup_chunks,
        "batch_replace": insert_chunks,
    }

    def make(self, rows: int) -> Any:
        import tsunami

        return tsunami.Table("set")


SIDES: dict[str, type[Side]] = {
    "dict": Dict,
    "dict+lock": DictLock,
    "cachetools": CacheTools,
    "cachebox": CacheBox,
    "cereggii": Cereggii,
    "sortedcontainers": Sorted,
    "tsunami": Tsunami,
}


class Runner:
    """The tables of one side between operations: as many as `insert` needed, of which the others use the first."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.tables: list[Any] = []
        self.born = ""

    def run(self, op: str, rows: int, kind: str, path: str) -> tuple[int, int, int]:
        """Run one operation over all keys of the file; ns, CPU ns, and how many operations that were."""
        keys = read_keys(path, kind, rows if op == "miss" else 0)
        base = op.removesuffix("_nogc")
        f = empty_loop if op == "loop" else self.side.loops[base]
        if base == "insert":
            self.tables = []
            self.tables = [self.side.make(rows) for _ in range(len(keys) // rows)]
        work = list(self.split(op, base, rows, keys))
        if base == "insert":
            self.born = path
        if base == "update_counter" and isinstance(self.tables[0], Locked):
            # In the order of the insert: in that of the keys that count, each entry would stand behind the last one.
            self.tables[0].counters = dict.fromkeys(read_keys(self.born, kind)[:rows], VALUE)
        del keys
        return (*self.time(f, work, collector=not op.endswith("_nogc")), sum(len(k) for _, k in work) * self.per(op))

    def split(self, op: str, base: str, rows: int, keys: Keys) -> Iterator[tuple[Any, Keys]]:
        """Which table runs which keys: one table each for insert and delete, else all on the first."""
        if base in ("insert", "delete"):
            for i, table in enumerate(self.tables):
                yield table, keys[i * rows : (i + 1) * rows]
        elif op.startswith("batch"):
            yield self.tables[0], [keys[i : i + BATCH] for i in range(0, len(keys), BATCH)]
        else:
            yield self.tables[0] if self.tables else None, keys

    @staticmethod
    def per(op: str) -> int:
        return BATCH if op.startswith("batch") else 1

    @staticmethod
    def time(f: Callable[[Any, Keys], None], work: Sequence[tuple[Any, Keys]], collector: bool) -> tuple[int, int]:
        gc.collect()
        if not collector:
            gc.disable()
        c0, t0 = time.process_time_ns(), time.perf_counter_ns()
        for table, keys in work:
            f(table, keys)
        t1, c1 = time.perf_counter_ns(), time.process_time_ns()
        gc.enable()
        return t1 - t0, c1 - c0


def main() -> None:
    side = SIDES[sys.argv[1]]()
    try:
        side.make(1)
    except Exception as e:
        print("no", " ".join(f"{type(e).__name__}: {e}".split()), flush=True)
        return
    print("ready", flush=True)
    runner = Runner(side)
    for line in sys.stdin:
        op, rows, kind, path = line.split()
        if op == "forget":
            runner.tables = []
            gc.collect()
            print("ok", flush=True)
        elif op != "loop" and op.removesuffix("_nogc") not in side.loops:
            print("no such operation", flush=True)
        else:
            print(*runner.run(op, int(rows), kind, path), flush=True)


if __name__ == "__main__":
    main()
