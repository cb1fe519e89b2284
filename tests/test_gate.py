"""The gate: one thread alone with some keys, or whole tables, for as long as it likes; and nobody stuck for it."""

import threading
import time
from collections.abc import Callable

import pytest

import tsunami
from tsunami import Table, _core

pytestmark = pytest.mark.threads


class Waiter:
    """Runs something in a thread of its own, and knows whether it has come back."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.result: object = None
        self.back = threading.Event()

        def run() -> None:
            self.result = work()
            self.back.set()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def waits(self) -> bool:
        return not self.back.wait(0.05)

    def done(self) -> object:
        assert self.back.wait(10), "still waiting at a gate that is open"
        self.thread.join()
        return self.result


OPERATIONS: dict[str, Callable[[Table], object]] = {
    "insert": lambda t: t.insert(("k", 2)),
    "insert_list": lambda t: t.insert([("a", 1), ("k", 2), ("z", 3)]),
    "insert_new": lambda t: t.insert_new(("k", 2)),
    "lookup": lambda t: t.lookup("k"),
    "member": lambda t: t.member("k"),
    "take": lambda t: t.take("k"),
    "delete": lambda t: t.delete("k"),
    "update_counter": lambda t: t.update_counter("k", (1, 1)),
    "update_element": lambda t: t.update_element("k", (1, 7)),
    "delete_all": lambda t: t.delete_all_objects(),
    "tab2list": lambda t: t.tab2list(),
    "select": lambda t: t.select("{K, V} -> V"),
    "select_delete": lambda t: t.select_delete("{K, V}"),
    "next": lambda t: t.next(t.first()),
    "commit": lambda t: _core.commit([(t, "k", ("k", 1), None)], [(t, ("k", 2), None)], []),
}


@pytest.mark.parametrize("type_", ["set", "bag", "ordered_set"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_everybody_else_waits_and_sees_the_whole(type_: str, operation: str) -> None:
    if type_ == "bag" and operation in ("update_counter", "update_element", "commit"):
        pytest.skip("not for bags")
    t = Table(type=type_)
    t.insert(("k", 1))
    with _core.hold(t, "k"):
        waiter = Waiter(lambda: OPERATIONS[operation](t))
        assert waiter.waits()
        t.delete("k")
        t.insert(("k", 1))
        assert t.lookup("k") == [("k", 1)]
    waiter.done()
    t.check()


def test_other_keys_do_not_wait() -> None:
    t = Table(stripes=64)
    t.insert((i, 0) for i in range(1000))
    with _core.hold(t, 1):
        free = Waiter(lambda: sum(1 for i in range(1000) if i == 2 and t.lookup(i)))
        # keys 1 and 2 may share a stripe with one chance in 64; the walk over all of them certainly meets the gate
        whole = Waiter(lambda: len(t.tab2list()))
        assert whole.waits()
    assert whole.done() == 1000
    free.done()


def test_holds_nest_and_open_with_the_outermost() -> None:
    a, b = Table(), Table()
    with _core.hold(a):
        with _core.hold(b, 1):
            b.insert((1, 1))
        with _core.hold(a, 5):
            a.insert((5, 5))
        waiter = Waiter(lambda: b.lookup(1))
        assert waiter.waits()
    assert waiter.done() == [(1, 1)]


def test_one_holder_at_a_time_whatever_it_holds() -> None:
    a, b = Table(), Table()

    def second() -> None:
        with _core.hold(b):
            b.insert((1, 2))

    with _core.hold(a):
        waiter = Waiter(second)
        assert waiter.waits()
        assert b.lookup(1) == []
    waiter.done()
    assert b.lookup(1) == [(1, 2)]


def test_a_failing_body_opens_the_gate() -> None:
    t = Table()
    with pytest.raises(ZeroDivisionError), _core.hold(t):
        1 / 0
    assert Waiter(lambda: t.insert((1,))).done() is True


def test_a_hold_ends_in_the_thread_in_which_it_began() -> None:
    t = Table()
    held = _core.hold(t, "k")
    held.__enter__()
    refused: list[str] = []

    def end() -> None:
        try:
            held.__exit__(None, None, None)
        except RuntimeError as error:
            refused.append(str(error))

    other = threading.Thread(target=end)
    other.start()
    other.join()
    assert refused == ["hold: it ends in the thread in which it began"]
    waiter = Waiter(lambda: t.lookup("k"))
    assert waiter.waits()  # and nothing was opened
    held.__exit__(None, None, None)
    assert waiter.done() == []


def test_what_cannot_be_held_leaves_nothing_gated() -> None:
    t = Table()
    with pytest.raises(TypeError), _core.hold(t, 1, object()):
        pass
    assert Waiter(lambda: t.insert((1,))).done() is True
    t.delete()
    with pytest.raises(tsunami.TsunamiError), _core.hold(t, 1):
        pass


def test_nobody_waits_for_the_gate_while_holding_a_lock() -> None:
    """Somebody who needs several stripes comes while some are gated; then the holder gates the rest."""
    t = Table(stripes=16)
    with _core.hold(t, "k"):
        waiters = [
            Waiter(lambda: t.insert([(i, "whole") for i in ["k", *range(100)]])),
            Waiter(lambda: t.delete_all_objects()),
            Waiter(lambda: _core.commit([], [(t, (i, 1), None) for i in ["k", *range(50)]], [])),
        ]
        assert all(waiter.waits() for waiter in waiters)
        with _core.hold(t):
            t.insert([(i, "mine") for i in range(100)])
            assert len(t) == 100
    for waiter in waiters:
        waiter.done()
    t.check()


def test_sums_stay_whole_under_contention() -> None:
    """Holders move amounts in two steps; writers use single operations; readers under the gate always see one sum."""
    t = Table(stripes=4)
    accounts = list(range(20))
    t.insert((i, 100) for i in accounts)
    until = time.monotonic() + 1.0
    wrong: list[int] = []

    def move(seed: int) -> None:
        while time.monotonic() < until:
            a, b = accounts[seed % 20], accounts[(seed * 7 + 3) % 20]
            seed += 1
            if a == b:
                continue
            with _core.hold(t, a, b):
                t.update_counter(a, (1, -1))
                t.update_counter(b, (1, 1))

    def touch() -> None:
        while time.monotonic() < until:
            t.insert([("other", 0), ("others", 0)])
            t.take("other")
            t.delete("others")
            for i in accounts:
                t.update_counter(i, (1, 0))

    t.delete("other")
    threads = [threading.Thread(target=f, args=a) for f, a in ((move, (1,)), (move, (5,)), (touch, ()))]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        with _core.hold(t):
            numbers = [row[1] for row in t.tab2list() if isinstance(row[0], int)]
        if sum(numbers) != 2000:
            wrong.append(sum(numbers))
    for thread in threads:
        thread.join()
    assert not wrong
    t.check()
