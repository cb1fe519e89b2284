"""Values with parts: opened and stored by a Step, small and large, as both doors see them."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from tsunami import Row, Table, _wire, keyspace
from tsunami._core import Collection
from tsunami_server.command import CommandError
from tsunami_server.shared import Shared
from tsunami_server.signals import Signals
from tsunami_server.values import Hash, List, Set, Step, Stream, Value, ZSet, kind_of, read

LIMITS = {"hash-max-listpack-entries": 4, "hash-max-listpack-value": 8}


class Sessionlike:
    """What a Step asks of a session."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.app = SimpleNamespace(shared=Shared(Signals(_wire.Plane([keyspace(i) for i in range(16)]))))
        self.changes = self.app.shared.signals

    def setting(self, name: str) -> int:
        return LIMITS[name]


@pytest.fixture
def session() -> Iterator[Sessionlike]:
    table = keyspace(0)
    table.delete_all_objects()
    yield Sessionlike(table)
    table.delete_all_objects()
    table.check()


def put(session: Sessionlike, key: bytes, **fields: str) -> None:
    with Step(session, key) as step:  # type: ignore[arg-type]
        value = step.change(key, Hash)
        for field, text in fields.items():
            value.set(field.encode(), text.encode())


def test_a_small_value_is_a_term_in_the_row(session: Sessionlike) -> None:
    put(session, b"h", a="1", b="2")
    put(session, b"h", b="3")
    assert session.table.lookup("h") == [(b"h", {b"a": b"1", b"b": b"3"})]


def test_it_grows_into_tables_and_stays_there(session: Sessionlike) -> None:
    put(session, b"h", a="1", b="2", c="3", d="4")
    assert type(session.table["h"][1]) is dict
    put(session, b"h", e="5")
    large = session.table["h"][1]
    assert type(large) is Collection
    assert large.copy() == {b"a": b"1", b"b": b"2", b"c": b"3", b"d": b"4", b"e": b"5"}
    with Step(session, b"h") as step:  # type: ignore[arg-type]
        value = step.change(b"h", Hash)
        assert value.remove(b"a")
        assert not value.remove(b"a")
    assert session.table["h"][1] is large
    assert len(large) == 4


def test_a_long_part_makes_it_large(session: Sessionlike) -> None:
    put(session, b"h", a="12345678")
    assert type(session.table["h"][1]) is dict
    put(session, b"h", b="123456789")
    assert type(session.table["h"][1]) is Collection


def test_an_empty_value_takes_its_key_along(session: Sessionlike) -> None:
    put(session, b"h", a="1")
    with Step(session, b"h") as step:  # type: ignore[arg-type]
        step.change(b"h", Hash).remove(b"a")
    assert session.table.lookup("h") == []
    with Step(session, b"h") as step:  # type: ignore[arg-type]
        step.change(b"h", Hash)
    assert session.table.lookup("h") == []


def test_what_raises_stores_nothing(session: Sessionlike) -> None:
    put(session, b"h", a="1")
    with pytest.raises(ZeroDivisionError), Step(session, b"h") as step:  # type: ignore[arg-type]
        step.change(b"h", Hash).set(b"a", b"2")
        1 / 0
    assert session.table["h"][1] == {b"a": b"1"}


def test_what_python_wrote_stays_what_it_was(session: Sessionlike) -> None:
    session.table.insert(("user:1", {"name": "alice", "age": 30}))
    value = read(session, b"user:1", Hash)  # type: ignore[arg-type]
    assert value is not None
    assert (value.get(b"name"), value.get(b"age"), value.get(b"x")) == (b"alice", b"30", None)
    put(session, b"user:1", city="Oslo")
    [(_, seen)] = session.table.lookup("user:1")
    assert seen == {"name": "alice", "age": 30, b"city": b"Oslo"}


def test_the_wrong_kind_is_refused(session: Sessionlike) -> None:
    session.table.insert([("s", "text"), ("l", ["a"])])
    for key in (b"s", b"l"):
        with pytest.raises(CommandError, match="WRONGTYPE"):
            read(session, key, Hash)  # type: ignore[arg-type]
        with pytest.raises(CommandError, match="WRONGTYPE"), Step(session, key) as step:  # type: ignore[arg-type]
            step.change(key, Hash)
    assert session.table["s"] == ("s", "text")


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (None, "none"), (("k", b"x"), "string"), (("k", 5), "string"), (("k", {}), "hash"), (("k", {1}), "set"),
        (("k", [b"a"]), "list"), (("k", [(b"a", 1.0)]), "zset"), (("k", ("stream",)), "stream"),
        (("k", ("x",)), "term"),
        (("k", 1, 2), "term"), (("k",), "term"), (("k", None), "term"),
    ],
)  # fmt: skip
def test_kinds(row: tuple[object, ...] | None, kind: str) -> None:
    assert kind_of(row) == kind


# ---- the rows of large values


def large_hash() -> Value:
    value = Hash()
    value.enlarge()
    for at in range(3000):
        value.set(b"%d" % at, b"x")
    value.expire(b"7", _wire.now_ms() + 100_000)
    return value


def large_set() -> Value:
    value = Set()
    value.enlarge()
    for at in range(3000):
        value.add(b"%d" % at)
    return value


def large_zset() -> Value:
    value = ZSet()
    value.enlarge()
    for at in range(3000):
        value.set(b"%d" % at, -0.0 if at == 5 else at % 100 / 3)
    return value


def large_list() -> Value:
    value = List()
    value.enlarge()
    value.push([b"%d" % at for at in range(3000)], left=False)
    return value


def large_stream() -> Value:
    value = Stream()
    for at in range(1, 3000):
        value.add((at, 0), [b"field", b"value"])
    value.settle(lambda name: 1)
    value.remove([(2999, 0)])
    return value


def rows_of(value: Value) -> tuple[object, list[Row], list[Row]]:
    large = value.large
    assert large is not None
    return large.meta, sorted(large.rows.tab2list()), [] if large.order is None else large.order.tab2list()


@pytest.mark.parametrize("make", [large_hash, large_set, large_zset, large_list, large_stream])
def test_a_copy_has_the_same_rows_in_tables_of_its_own(make: Callable[[], Value]) -> None:
    value = make()
    copy, before = value.copy(), rows_of(value)
    assert rows_of(copy) == before
    assert len(copy) == len(value)
    assert value.large is not None
    assert copy.large is not None
    copy.large.rows.check()
    value.large.rows.delete_all_objects()
    if value.large.order is not None:
        value.large.order.delete_all_objects()
    assert rows_of(copy) == before


def test_a_copied_hash_keeps_the_deadlines_of_its_fields() -> None:
    value = large_hash()
    assert isinstance(value, Hash)
    copy = value.copy()
    assert copy.deadline(b"7") == value.deadline(b"7") is not None
    assert copy.deadline(b"8") is None
