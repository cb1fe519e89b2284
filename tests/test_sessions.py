"""Who may do what to a table, and what becomes of it: sessions, owners, heirs, gifts, fixations.

The rules are ets-semantics' 2.8, 5 and 6; each test is over every table type where the type could matter. Nobody in
particular (calls outside of any session) is one of the parties throughout.
"""

from collections.abc import Callable, Iterator

import pytest

import tsunami
from tsunami import Session, Table, TableType, TsunamiError

TYPES: tuple[TableType, ...] = ("set", "bag", "duplicate_bag")

READS: dict[str, Callable[[Table], object]] = {
    "lookup": lambda t: t.lookup(1),
    "lookup_many": lambda t: t.lookup_many([1]),
    "lookup_many of an iterator": lambda t: t.lookup_many(iter([1])),
    "lookup_element": lambda t: t.lookup_element(1, 0),
    "member": lambda t: t.member(1),
    "member_many": lambda t: t.member_many([1]),
    "in": lambda t: 1 in t,
    "getitem": lambda t: t[1],
    "get": lambda t: t.get(1),
    "first": lambda t: t.first(),
    "last": lambda t: t.last(),
    "next": lambda t: t.next(1),
    "prev": lambda t: t.prev(1),
    "first_lookup": lambda t: t.first_lookup(),
    "last_lookup": lambda t: t.last_lookup(),
    "next_lookup": lambda t: t.next_lookup(1),
    "prev_lookup": lambda t: t.prev_lookup(1),
    "slot": lambda t: t.slot(0),
    "tab2list": lambda t: t.tab2list(),
    "iter": lambda t: list(t),
    "foldl": lambda t: t.foldl(lambda row, acc: acc, 0),
    "foldr": lambda t: t.foldr(lambda row, acc: acc, 0),
    "safe_fixtable": lambda t: t.safe_fixtable(True) and t.safe_fixtable(False),
    "fixed": lambda t: t.fixed().__enter__(),
}
WRITES: dict[str, Callable[[Table], object]] = {
    "insert": lambda t: t.insert((1, 1)),
    "insert of a list": lambda t: t.insert([(1, 1)]),
    "insert of nothing": lambda t: t.insert([]),
    "insert_new": lambda t: t.insert_new((7, 1)),
    "insert_many": lambda t: t.insert_many([(1, 1)]),
    "init_table": lambda t: t.init_table([]),
    "setitem": lambda t: t.__setitem__(1, (1, 5)),
    "take": lambda t: t.take(1),
    "pop": lambda t: t.pop(1),
    "delitem": lambda t: t.__delitem__(1),
    "delete of a key": lambda t: t.delete(1),
    "delete_object": lambda t: t.delete_object((1, 1)),
    "delete_all_objects": lambda t: t.delete_all_objects(),
    "rename": lambda t: t.rename("test_sessions_renamed"),
    "delete": lambda t: t.delete(),
}
SET_WRITES: dict[str, Callable[[Table], object]] = {
    "update_counter": lambda t: t.update_counter(1, 1),
    "update_counter of a list": lambda t: t.update_counter(1, [(1, 1)]),
    "update_element": lambda t: t.update_element(1, (1, 5)),
}
ANYONE: dict[str, Callable[[Table], object]] = {
    "info": lambda t: t.info(),
    "info of an item": lambda t: t.info("size"),
    "len": lambda t: len(t),
    "name": lambda t: t.name,
    "repr": lambda t: repr(t),
    "all": lambda t: t in tsunami.all(),
}
NONSENSE: dict[str, Callable[[Table], object]] = {
    "insert": lambda t: t.insert("nonsense"),  # type: ignore[arg-type]
    "lookup_element": lambda t: t.lookup_element(1, "nonsense"),  # type: ignore[arg-type]
    "slot": lambda t: t.slot(-1),
    "safe_fixtable": lambda t: t.safe_fixtable("nonsense"),  # type: ignore[arg-type]
    "rename": lambda t: t.rename(1),  # type: ignore[arg-type]
    "update_counter": lambda t: t.update_counter(1, "nonsense"),
    "update_element": lambda t: t.update_element(1, "nonsense"),
    "give_away": lambda t: t.give_away("nonsense"),  # type: ignore[arg-type]
    "setopts": lambda t: t.setopts(protection="nonsense"),  # type: ignore[arg-type]
    "lookup of what is no key": lambda t: t.lookup(float("nan")),
}


@pytest.fixture(params=TYPES)
def kind(request: pytest.FixtureRequest) -> TableType:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def owner() -> Iterator[Session]:
    session = tsunami.session()
    yield session
    session.end()


@pytest.fixture
def other() -> Iterator[Session]:
    session = tsunami.session()
    yield session
    session.end()


def cause_of(act: Callable[[], object]) -> str | None:
    with pytest.raises(TsunamiError) as caught:
        act()
    return caught.value.cause


# ---- rights


@pytest.mark.parametrize("protection", ["public", "protected"])
@pytest.mark.parametrize("read", READS)
def test_anyone_reads_what_is_not_private(kind: TableType, owner: Session, protection: str, read: str) -> None:
    table = owner.new(type=kind, protection=protection)  # type: ignore[arg-type]
    with owner.here():
        table.insert((1, 1))
    READS[read](table)


@pytest.mark.parametrize("read", READS)
def test_only_the_owner_reads_a_private_table(kind: TableType, owner: Session, other: Session, read: str) -> None:
    table = owner.new(type=kind, protection="private")
    with owner.here():
        table.insert((1, 1))
        READS[read](table)
    assert cause_of(lambda: READS[read](table)) == "access"
    with other.here():
        assert cause_of(lambda: READS[read](table)) == "access"


@pytest.mark.parametrize("write", [*WRITES, *SET_WRITES])
@pytest.mark.parametrize("protection", ["protected", "private"])
def test_only_the_owner_writes_what_is_not_public(
    kind: TableType, owner: Session, other: Session, protection: str, write: str
) -> None:
    if write in SET_WRITES and kind != "set":
        pytest.skip("for sets only")
    table = owner.new(type=kind, protection=protection)  # type: ignore[arg-type]
    with owner.here():
        table.insert((1, 1))
    act = (WRITES | SET_WRITES)[write]
    assert cause_of(lambda: act(table)) == "access"
    with other.here():
        assert cause_of(lambda: act(table)) == "access"
    with owner.here():
        assert table.tab2list() == [(1, 1)]  # a call that fails has changed nothing
        act(table)


@pytest.mark.parametrize("what", ANYONE)
def test_anyone_asks_about_a_private_table(kind: TableType, owner: Session, what: str) -> None:
    assert ANYONE[what](owner.new("test_sessions_asked", kind, protection="private")) is not None


@pytest.mark.parametrize("call", NONSENSE)
def test_access_is_looked_at_before_other_arguments(owner: Session, call: str) -> None:
    table = owner.new(protection="private")
    assert cause_of(lambda: NONSENSE[call](table)) == "access"


@pytest.mark.parametrize("call", NONSENSE)
def test_existence_is_looked_at_before_access(owner: Session, call: str) -> None:
    table = owner.new(protection="private")
    with owner.here():
        table.delete()
    assert cause_of(lambda: NONSENSE[call](table)) == "id"


def test_a_refusal_is_a_permission_error_that_names_the_table(owner: Session) -> None:
    table = owner.new("test_sessions_named", protection="private")
    with pytest.raises(PermissionError, match=r"test_sessions_named.*private"):
        table.lookup(1)


def test_rights_are_those_of_the_moment_of_the_call(owner: Session) -> None:
    table = owner.new(protection="public")
    table.insert([(n,) for n in range(5000)])
    walk = iter(table)
    next(walk)
    with owner.here():
        table.setopts(protection="private")
    with pytest.raises(tsunami.AccessDenied):
        list(walk)
