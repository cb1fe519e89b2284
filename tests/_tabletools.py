"""What the tests of tables share: the types, how an outcome is told, and keys that are easily confused.

Not fixtures (those belong to a conftest) and not the semantics (those are model.py's).
"""

import contextlib
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from model import shown

import tsunami
from tsunami import Atom, BadArgument, BadType, TsunamiError

HASHED = ("set", "bag", "duplicate_bag")
SETS = ("set", "ordered_set")  # a key has one row
BAGS = ("bag", "duplicate_bag")
TYPES = (*SETS, *BAGS)
every_type = pytest.mark.parametrize("kind", TYPES)
every_hashed = pytest.mark.parametrize("kind", HASHED)
every_bag = pytest.mark.parametrize("kind", BAGS)


@contextlib.contextmanager
def fails(error: type[TsunamiError], cause: str | None = None, *, naming: str = "") -> Iterator[None]:
    """The block raises exactly this class with exactly this cause, and its message holds `naming`."""
    with pytest.raises(TsunamiError) as info:
        yield
    assert (type(info.value), info.value.cause) == (error, cause), str(info.value)
    assert naming in str(info.value)


def outcome(call: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """What a call came to, in a form that compares. Whether a wrong argument is one by type or by value is left out:
    the model is about semantics, and the examples in test_table*.py are exact about classes."""
    try:
        return ("value", shown(call(*args)))
    except (BadType, BadArgument) as error:
        return ("error", "BadArgument", error.cause)
    except TsunamiError as error:
        return ("error", type(error).__name__, error.cause)


def walked(table: tsunami.Table) -> list[Any]:
    """The keys, by first and next."""
    keys, key = [], table.first()
    while key is not tsunami.END_OF_TABLE:
        keys.append(key)
        key = table.next(key)
    return keys


def slots(table: tsunami.Table) -> list[Any]:
    """The rows, by slot from 0 on."""
    rows: list[Any] = []
    index = 0
    while (found := table.slot(index)) is not tsunami.END_OF_TABLE:
        rows += found
        index += 1
    return rows


def alike(a: list[Any], b: list[Any]) -> bool:
    """The same rows, in whatever order."""
    return sorted(map(repr, map(shown, a))) == sorted(map(repr, map(shown, b)))


class Crew:
    """Threads that start together and must end in time; the first failure of any of them is raised by `join`.

    >>> crew = Crew()
    >>> crew.add(print, "here")
    >>> crew.run()
    here
    """

    def __init__(self, limit: float = 60.0) -> None:
        self.limit = limit
        self.stop = threading.Event()  # members that loop look at it; set by the first failure as well
        self.members: list[threading.Thread] = []
        self.failures: list[BaseException] = []
        self.jobs: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def add(self, job: Callable[..., object], *args: Any) -> None:
        self.jobs.append((job, args))

    def start(self) -> None:
        gate = threading.Barrier(len(self.jobs))
        for job, args in self.jobs:
            member = threading.Thread(target=self._live, args=(gate, job, args), daemon=True)
            self.members.append(member)
            member.start()

    def _live(self, gate: threading.Barrier, job: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            gate.wait(self.limit)
            job(*args)
        except BaseException as failure:
            self.failures.append(failure)
            self.stop.set()

    def join(self) -> None:
        end = time.monotonic() + self.limit
        for member in self.members:
            member.join(max(0.0, end - time.monotonic()))
        assert not any(member.is_alive() for member in self.members), f"a thread has not ended in {self.limit} s"
        if self.failures:
            raise self.failures[0]

    def run(self) -> None:
        self.start()
        self.join()


def float_from_bits(bits: int) -> float:
    return struct.unpack(">d", bits.to_bytes(8, "big"))[0]


# Keys of which no two are one key, though Python's == says so of some.
CONFUSABLE: list[Any] = [
    0, 0.0, -0.0, False, None, "", (), [], {}, Atom(""), Atom("nil0"),
    1, 1.0, True, "1", (1,), (1.0,), (True,), [1], [1.0], {1: 1}, {1: 1.0}, {1.0: 1}, Atom("1"),
    -1, -1.0, 2**53, float(2**53), 2**53 + 1, 2**62, -(2**62), 2**62 - 1, 2**63, 2**64, -(2**63), 2**200, 2.0**200,
    5e-324, float("inf"), float("-inf"), float_from_bits(0x3FF0000000000001),
    "a", Atom("a"), "a\0", "\0", "\0\0", (0,), ((),), ([],), [()], [[]], ["a"], ("a",), {"a": 1}, {"a": {}}, (None,),
    "true", Atom("TRUE"), (False,), "\u00e9", "e\u0301", "x" * 6, "x" * 7, "x" * 8, "x" * 15, "x" * 16, "x" * 100,
    b"\xff", b"\xff\0", (1, 2), (1, (2,)), ((1,), 2), ((1, 2),), [1, 2], [(1, 2)], {1: 2}, {(1, 2): [1, 2]},
    ("k", 1, ["a", {"b": None}]),
]  # fmt: skip
