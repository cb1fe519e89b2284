"""Who may do what to a table, and what becomes of it: sessions, owners, heirs, gifts, fixations.

The rules are ets-semantics' 2.8, 5 and 6; each test is over every table type where the type could matter. Nobody in
particular (calls outside of any session) is one of the parties throughout.
"""

import asyncio
import contextlib
import itertools
import pickle
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from _support import effort, wait_until

import tsunami
from tsunami import Session, Table, TableType, TsunamiError

TYPES: tuple[TableType, ...] = ("set", "ordered_set", "bag", "duplicate_bag")

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
    "select": lambda t: t.select("{A, B} -> A"),
    "select with a limit": lambda t: t.select("{A, B} -> A", 1),
    "select_reverse": lambda t: t.select_reverse("{A, B} -> A"),
    "select_count": lambda t: t.select_count("{A, B} -> true"),
    "iselect": lambda t: list(t.iselect("{A, B} -> A")),
    "match": lambda t: t.match("{A, B}"),
    "match_object": lambda t: t.match_object("{A, B}"),
    "explain": lambda t: t.explain("{A, B} -> A"),
    "count": lambda t: t.count("{A, B}"),
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
    "match_delete": lambda t: t.match_delete("{_, _}"),
    "select_delete": lambda t: t.select_delete("{_, _} -> true"),
    "rename": lambda t: t.rename("test_sessions_renamed"),
    "delete": lambda t: t.delete(),
}
ORDERED_READS: dict[str, Callable[[Table], object]] = {
    "irange": lambda t: list(t.irange(0, 5)),
    "slice": lambda t: list(t[0:5]),
    "reversed": lambda t: list(reversed(t)),
    "rank": lambda t: t.rank(1),
    "at": lambda t: t.at(0),
    "count_range": lambda t: t.count_range(0, 5),
}
ORDERED_WRITES: dict[str, Callable[[Table], object]] = {
    "delete_range": lambda t: t.delete_range(0, 5),
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


def fits(kind: TableType, call: str) -> None:
    """Skip what this type has not."""
    if call in SET_WRITES and "bag" in kind:
        pytest.skip("for sets only")
    if call in ORDERED_READS | ORDERED_WRITES and kind != "ordered_set":
        pytest.skip("for ordered sets only")


# ---- rights


@pytest.mark.parametrize("protection", ["public", "protected"])
@pytest.mark.parametrize("read", [*READS, *ORDERED_READS])
def test_anyone_reads_what_is_not_private(kind: TableType, owner: Session, protection: str, read: str) -> None:
    fits(kind, read)
    table = owner.new(type=kind, protection=protection)  # type: ignore[arg-type]
    with owner.here():
        table.insert((1, 1))
    (READS | ORDERED_READS)[read](table)


@pytest.mark.parametrize("read", [*READS, *ORDERED_READS])
def test_only_the_owner_reads_a_private_table(kind: TableType, owner: Session, other: Session, read: str) -> None:
    fits(kind, read)
    table, act = owner.new(type=kind, protection="private"), (READS | ORDERED_READS)[read]
    with owner.here():
        table.insert((1, 1))
        act(table)
    assert cause_of(lambda: act(table)) == "access"
    with other.here():
        assert cause_of(lambda: act(table)) == "access"


@pytest.mark.parametrize("write", [*WRITES, *SET_WRITES, *ORDERED_WRITES])
@pytest.mark.parametrize("protection", ["protected", "private"])
def test_only_the_owner_writes_what_is_not_public(
    kind: TableType, owner: Session, other: Session, protection: str, write: str
) -> None:
    fits(kind, write)
    table = owner.new(type=kind, protection=protection)  # type: ignore[arg-type]
    with owner.here():
        table.insert((1, 1))
    act = (WRITES | SET_WRITES | ORDERED_WRITES)[write]
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


# ---- new, and what info says


def test_a_table_of_no_session_is_public_and_nobodys(kind: TableType, other: Session) -> None:
    for table in (Table(kind), tsunami.new(None, kind)):
        assert (table.info("protection"), table.info("owner"), table.info("heir")) == ("public", None, None)
        with other.here():
            table.insert((1, 1))
    with other:  # not even in a session's context, unless the session is asked
        assert tsunami.new(None, kind).info("owner") is None


def test_a_table_of_a_session_is_protected_and_its_own(kind: TableType, owner: Session, other: Session) -> None:
    table = owner.new(type=kind, heir=(other, "data"), keypos=1, stripes=2)
    assert (table.info("protection"), table.info("owner"), table.info("heir")) == ("protected", owner, other)
    assert (table.type, table.keypos, table.info("stripes")) == (kind, 1, 1 if kind == "ordered_set" else 2)
    assert owner.tables() == [table]


def test_a_name_that_only_shows(owner: Session) -> None:
    table = owner.new("test_sessions_shown", named=False)
    assert (table.name, table.info("named_table")) == ("test_sessions_shown", False)
    assert tsunami.whereis("test_sessions_shown") is None
    tsunami.new("test_sessions_shown").delete()
    assert tsunami.new("test_sessions_shown", named=False).name == "test_sessions_shown"


def test_a_name_in_use_makes_no_table(owner: Session) -> None:
    table = owner.new("test_sessions_taken")
    before = len(tsunami.all())
    assert cause_of(lambda: owner.new("test_sessions_taken")) == "already_exists"
    assert (owner.tables(), len(tsunami.all())) == ([table], before)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"protection": "secret"}, ValueError),
        ({"protection": None}, TypeError),
        ({"heir": "nobody"}, TypeError),
        ({"heir": ("nobody", 1)}, TypeError),
        ({"read_concurrency": "auto"}, ValueError),
        ({"write_concurrency": 1}, ValueError),
        ({"decentralized_counters": "yes"}, ValueError),
        ({"compressed": None}, ValueError),
        ({"type": "heap"}, ValueError),
    ],
)
def test_odd_options_make_no_table(owner: Session, options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        owner.new("test_sessions_odd", **options)  # type: ignore[arg-type]
    assert isinstance(caught.value, TsunamiError)
    assert tsunami.whereis("test_sessions_odd") is None and owner.tables() == []


CONCURRENCY = ("read_concurrency", "write_concurrency", "decentralized_counters", "compressed")


@pytest.mark.parametrize(
    ("options", "echo"),
    [
        ({}, (False, False, False, False)),
        ({"read_concurrency": True, "compressed": True}, (True, False, False, True)),
        ({"write_concurrency": True}, (False, True, False, False)),
        ({"write_concurrency": "auto"}, (False, "auto", True, False)),
        ({"write_concurrency": "auto", "decentralized_counters": False}, (False, "auto", False, False)),
        ({"write_concurrency": True, "decentralized_counters": True}, (False, True, True, False)),
        ({"decentralized_counters": True}, (False, False, False, False)),
    ],
)
def test_info_echoes_the_options(kind: TableType, owner: Session, options: dict[str, Any], echo: object) -> None:
    if kind == "ordered_set" and options == {"write_concurrency": True}:
        echo = (False, True, True, False)  # counters are decentralized unless one says no
    table = owner.new(type=kind, **options)
    assert tuple(table.info(item) for item in CONCURRENCY) == echo
    assert tuple(tsunami.new(None, kind, **options).info(item) for item in CONCURRENCY) == echo
    private = owner.new(type=kind, protection="private", **options)
    hidden = (False, False, False, options.get("compressed", False))
    assert tuple(private.info(item) for item in CONCURRENCY) == hidden


def test_info_has_every_item_of_ets(owner: Session) -> None:
    table = owner.new("test_sessions_info")
    told = table.info()
    assert {*CONCURRENCY, "id", "name", "type", "keypos", "size", "memory", "owner", "heir", "protection"} < told.keys()
    assert {"named_table", "node"} < told.keys()
    assert (told["node"], told["named_table"]) == ("nonode@nohost", True)
    assert all(table.info(item) == value for item, value in told.items())
    asked = {item: table.info(item) for item in ("safe_fixed", "safe_fixed_monotonic_time", "stats", "binary")}
    assert asked == {"safe_fixed": False, "safe_fixed_monotonic_time": False, "stats": False, "binary": []}
    with pytest.raises(tsunami.BadArgument, match="no item of info"):
        table.info("nonsense")
    with owner.here():
        table.delete()
    assert [table.info(), table.info("nonsense")] == [None, None]


# ---- rename, whereis, delete


def test_rename_by_the_rules(owner: Session, other: Session) -> None:
    table, second = owner.new("test_sessions_a"), owner.new("test_sessions_b")
    with owner.here():
        assert cause_of(lambda: table.rename("test_sessions_b")) == "already_exists"
        assert cause_of(lambda: table.rename("test_sessions_a")) == "already_exists"  # its own name is in use, too
        assert table.rename("test_sessions_c") is table
        assert second.rename("test_sessions_a") is second
    assert tsunami.whereis("test_sessions_a") is second and tsunami.whereis("test_sessions_b") is None
    unnamed = owner.new()
    with owner.here():
        assert unnamed.rename("test_sessions_c") is unnamed  # only what info says changes
    assert (unnamed.name, tsunami.whereis("test_sessions_c")) == ("test_sessions_c", table)


def test_delete_of_a_fixed_table_frees_its_name(owner: Session, other: Session) -> None:
    table = owner.new("test_sessions_fixed", protection="public")
    with other.here():
        table.safe_fixtable(True)
    with table.fixed():
        table.delete()
        assert tsunami.whereis("test_sessions_fixed") is None
        owner.new("test_sessions_fixed")
    assert table not in owner.tables()
    with other.here():
        assert cause_of(lambda: table.safe_fixtable(False)) == "id"


# ---- gifts


def test_a_gift_makes_the_receiver_the_owner(kind: TableType, owner: Session, other: Session) -> None:
    table = owner.new(type=kind, protection="private", heir=(owner, "heir's"))
    with owner.here(), table.fixed():
        table.insert((1, 1))
        assert table.give_away(other, {"gift": [1]}) is True
        assert cause_of(lambda: table.lookup(1)) == "access"  # the giver has lost it at once
        assert (table.info("owner"), table.info("heir"), table.info("fixed")) == (other, owner, True)
    assert (owner.tables(), other.tables()) == ([], [table])
    assert other.receive(0) == ("ETS-TRANSFER", table, owner, {"gift": [1]})
    assert (other.receive(0), owner.receive(0)) == (None, None)
    assert table.info("fixed") is False
    with other.here():
        assert table.lookup(1) == [(1, 1)]


def test_a_gift_is_copied(owner: Session, other: Session) -> None:
    table, gift = owner.new(), [1, [2]]
    with owner.here():
        table.give_away(other, gift)
    gift[1] = "changed"
    message = other.receive(0)
    assert message is not None and message[3] == [1, [2]]


def test_a_gift_that_no_table_could_hold_is_refused(owner: Session, other: Session) -> None:
    table = owner.new()
    with owner.here(), pytest.raises(TypeError):
        table.give_away(other, object())
    assert (table.info("owner"), other.pending) == (owner, 0)


def test_the_order_of_the_checks_of_give_away(owner: Session, other: Session) -> None:
    ended = tsunami.session()
    ended.end()
    public, protected = owner.new(protection="public"), owner.new()
    with other.here():
        assert cause_of(lambda: protected.give_away(ended)) == "access"
        assert cause_of(lambda: public.give_away(ended)) is None
        assert cause_of(lambda: public.give_away("nobody")) is None  # type: ignore[arg-type]
        assert cause_of(lambda: public.give_away(other)) == "not_owner"
        assert cause_of(lambda: public.give_away(owner)) == "not_owner"
    assert cause_of(lambda: public.give_away(owner)) == "not_owner"  # nobody in particular is nobody's owner
    assert cause_of(lambda: tsunami.new(None).give_away(owner)) == "not_owner"
    with owner.here():
        assert cause_of(lambda: public.give_away(owner)) == "owner"
    assert public.info("owner") is owner and (owner.pending, other.pending) == (0, 0)


# ---- heirs


def test_an_heir_inherits_and_stays_entered(kind: TableType, other: Session) -> None:
    with tsunami.session() as owner:
        table = owner.new("test_sessions_left", kind, protection="private", heir=(other, ["data"]))
        table.insert((1, 1))
    assert other.receive(0) == ("ETS-TRANSFER", table, owner, ["data"])
    assert (table.info("owner"), table.info("heir"), other.tables()) == (other, other, [table])
    assert tsunami.whereis("test_sessions_left") is table
    other.end()  # its own heir, which means nothing
    assert table.info() is None and tsunami.whereis("test_sessions_left") is None


def test_an_heir_of_itself_inherits_after_a_gift(owner: Session, other: Session) -> None:
    table = owner.new(heir=(owner, "back"))
    with owner.here():
        table.give_away(other)
    other.end()
    assert table.info("owner") is owner
    assert owner.receive(0) == ("ETS-TRANSFER", table, other, "back")


def test_a_dead_heir_is_none_and_inherits_nothing(owner: Session, other: Session) -> None:
    table = owner.new(heir=(other, "data"))
    other.end()
    assert table.info("heir") is None
    assert owner.new(heir=(other, "data")).info("heir") is None
    owner.end()
    assert table.info() is None


def test_without_an_heir_everything_goes(owner: Session) -> None:
    tables = [owner.new(f"test_sessions_{n}") for n in range(5)]
    tables[0].fixed().__enter__()
    owner.end()
    owner.end()
    assert not owner.alive and owner.tables() == []
    assert [table.info() for table in tables] == [None] * 5
    assert cause_of(lambda: owner.new()) is None  # it owns nothing any more
    assert cause_of(lambda: tables[0].lookup(1)) == "id"


def test_the_message_is_there_before_the_end_can_be_seen(other: Session) -> None:
    owner = tsunami.session()
    owner.new(heir=(other, 1))
    seen: list[tuple[bool, int]] = []
    other.on_transfer = lambda session: seen.append((owner.alive, session.pending))
    owner.end()
    assert seen == [(True, 1)]


# ---- setopts


def test_setopts_by_the_rules(owner: Session, other: Session) -> None:
    table = owner.new(protection="public")
    with other.here():
        assert cause_of(lambda: table.setopts(protection="private")) is None
        assert table.info("protection") == "public"
    with owner.here():
        assert table.setopts() is True
        assert table.setopts(protection="protected", heir=(other, 5)) is True
        with pytest.raises(TypeError):
            table.setopts(protection="private", heir="nobody")  # type: ignore[arg-type]
        with pytest.raises(ValueError):
            table.setopts(protection="secret", heir=None)  # type: ignore[arg-type]
        assert (table.info("protection"), table.info("heir")) == ("protected", other)  # all or nothing
        assert table.setopts(heir=None) is True
        assert table.info("heir") is None
    with other.here():
        assert cause_of(lambda: table.setopts(protection="public")) == "access"


# ---- fixations


def test_fixations_are_counted_for_each_session(kind: TableType, owner: Session, other: Session) -> None:
    table = owner.new(type=kind, protection="public")
    before = time.time_ns() // 1000, time.monotonic_ns()
    for session in (owner, owner, other):
        with session.here():
            table.safe_fixtable(True)
    after = time.time_ns() // 1000, time.monotonic_ns()
    (mega, seconds, micros), fixers = cast(Any, table.info("safe_fixed"))
    monotonic, same = cast(Any, table.info("safe_fixed_monotonic_time"))
    assert before[0] <= mega * 10**12 + seconds * 10**6 + micros <= after[0]
    assert before[1] <= monotonic <= after[1]
    assert fixers == same == [(owner, 2), (other, 1)]
    table.safe_fixtable(False)  # nobody in particular has none
    with other.here():
        table.safe_fixtable(False)
        assert table.safe_fixtable(False) is True
    assert cast(Any, table.info("safe_fixed"))[1] == [(owner, 2)]
    owner_still = table.info("safe_fixed_monotonic_time")
    table.safe_fixtable(True)
    assert cast(Any, table.info("safe_fixed"))[1] == [(owner, 2), (None, 1)]
    assert cast(Any, table.info("safe_fixed_monotonic_time"))[0] == cast(Any, owner_still)[0]
    with owner.here():
        table.give_away(other)
    assert cast(Any, table.info("safe_fixed"))[1] == [(owner, 2), (None, 1)]  # they stay with who made them
    owner.end()
    assert cast(Any, table.info("safe_fixed"))[1] == [(None, 1)]
    table.safe_fixtable(False)
    assert (table.info("safe_fixed"), table.info("fixed")) == (False, False)


def test_the_end_of_a_session_lets_deleted_keys_go(kind: TableType) -> None:
    table = Table(kind)
    table.insert([(1,), (2,), (3,)])
    with tsunami.session():
        table.safe_fixtable(True)
        first = table.first()
        table.delete(first)
        table.next(first)
    if kind == "ordered_set":  # where walks go by order, and need no key that stays
        assert table.next(first) == 2
    else:
        with pytest.raises(tsunami.BadKey):
            table.next(first)


def test_a_fixation_is_undone_for_whom_it_was_made(owner: Session) -> None:
    table = Table()
    with table.fixed():
        with owner.here(), table.fixed():
            assert cast(Any, table.info("safe_fixed"))[1] == [(None, 1), (owner, 1)]
        assert cast(Any, table.info("safe_fixed"))[1] == [(None, 1)]
    fixed = table.fixed()
    with owner.here():
        fixed.__enter__()
    fixed.__exit__(None, None, None)
    assert table.info("safe_fixed") is False


def test_a_session_that_has_ended_fixes_nothing(owner: Session) -> None:
    table = Table()
    with owner.here():
        owner.end()
        with pytest.raises(tsunami.BadArgument, match="ended"):
            table.safe_fixtable(True)
    assert table.info("fixed") is False


# ---- contexts


def test_a_context_is_of_its_thread_and_ends_with_its_block() -> None:
    seen: list[Session | None] = []

    def look() -> None:
        seen.append(tsunami.current_session())
        with session.here():
            seen.append(tsunami.current_session())
        seen.append(tsunami.current_session())

    with tsunami.session() as session:
        run([look])
        with session.here(), tsunami.session() as inner:
            assert tsunami.current_session() is inner
        assert tsunami.current_session() is session and not inner.alive
        with pytest.raises(tsunami.BadArgument):
            session.__enter__()
    assert seen == [None, session, None]
    assert tsunami.current_session() is None and not session.alive
    with pytest.raises(tsunami.BadArgument):
        session.__enter__()


def test_tasks_have_the_session_in_which_they_are_made() -> None:
    async def write(table: Table, n: int) -> None:
        await asyncio.sleep(0)
        table.insert((n,))

    async def main() -> None:
        with tsunami.session() as a:
            table = a.new(protection="private")
            mine = asyncio.create_task(write(table, 1))
            with tsunami.session():
                theirs = asyncio.create_task(write(table, 2))
            await mine
            with pytest.raises(tsunami.AccessDenied):
                await theirs
            assert table.tab2list() == [(1,)]

    asyncio.run(main())


def test_the_session_ends_also_after_an_error() -> None:
    with pytest.raises(KeyError), tsunami.session() as session:
        table = session.new()
        raise KeyError("on purpose")
    assert not session.alive and table.info() is None


def test_a_session_cannot_be_pickled(owner: Session) -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(owner)


# ---- messages


def test_receive_waits_for_a_message_or_the_end(owner: Session, other: Session) -> None:
    table = owner.new()
    heard: list[object] = []
    waiting = threading.Thread(target=lambda: heard.extend([other.receive(20), other.receive(20)]))
    waiting.start()
    with owner.here():
        table.give_away(other, 1)
    wait_until(lambda: len(other.tables()) == 1 and other.pending == 0, "the message is received")
    other.end()
    waiting.join(20)
    assert heard == [("ETS-TRANSFER", table, owner, 1), None]
    began = time.monotonic()
    assert owner.receive(0.02) is None
    assert time.monotonic() - began >= 0.02


def test_messages_come_in_order(owner: Session, other: Session) -> None:
    tables = [owner.new() for _ in range(10)]
    with owner.here():
        for n, table in enumerate(tables):
            table.give_away(other, n)
    assert other.pending == 10
    assert [cast(Any, other.receive(0))[3] for _ in tables] == list(range(10))


def test_an_error_in_a_callback_is_not_the_givers(
    owner: Session, other: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(session: Session) -> None:
        raise RuntimeError("on purpose")

    other.on_transfer = fail
    table = owner.new()
    ignored: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: ignored.append(told.exc_value))
    with owner.here():
        table.give_away(other)
    assert table.info("owner") is other
    assert [str(error) for error in ignored] == ["on purpose"]


# ---- many at once


def run(works: list[Callable[[], object]], seconds: float = 60.0) -> None:
    """Run each in a thread, from one start on; the first error is raised here."""
    start, errors = threading.Barrier(len(works)), []

    def worker(work: Callable[[], object]) -> None:
        try:
            start.wait(seconds)
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=worker, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), "it hangs"
    if errors:
        raise errors[0]


def test_a_named_table_comes_and_goes_while_others_look_it_up(kind: TableType) -> None:
    """A call sees either a table or none, and never one that is half made: these are protected from the start."""
    over = threading.Event()
    found = 0

    def make() -> None:
        with tsunami.session() as session:
            for n in itertools.count():
                table = session.new("test_sessions_loop", kind, keypos=1)
                table.insert(("row", n))
                table.delete()
                if n >= effort(300) and found:  # on a busy machine the others may come late
                    break
        over.set()

    def look() -> None:
        nonlocal found
        while not over.is_set():
            table = tsunami.whereis("test_sessions_loop")
            if table is None:
                continue
            found += 1
            assert table.info("protection") in ("protected", None)
            assert table.keypos == 1
            try:
                assert all(row[0] == "row" for row in table.tab2list())
                with pytest.raises(tsunami.AccessDenied):
                    table.insert(("other", 1))
            except tsunami.NoSuchTable:
                pass

    run([make, look, look])
    assert found > 0 and tsunami.whereis("test_sessions_loop") is None


def test_a_table_seen_in_the_list_of_all_has_its_owner_already() -> None:
    over = threading.Event()

    def make() -> None:
        with tsunami.session() as session:
            for _ in range(effort(400)):
                session.new(protection="private", keypos=3)
        over.set()

    def look() -> None:
        while not over.is_set():
            for table in tsunami.all():
                if table.keypos == 3:
                    with pytest.raises((tsunami.AccessDenied, tsunami.NoSuchTable)):
                        table.first()

    run([make, look])


def test_gifts_go_round_while_their_owners_end() -> None:
    """Every table has exactly one owner, which lives, or is gone; and who owns one has been told."""
    rounds, made = effort(30), []
    seed = random.randrange(1 << 30)
    print("seed", seed)

    def play(rng: random.Random, sessions: list[Session]) -> None:
        for _ in range(rounds):
            session = tsunami.session()
            sessions.append(session)
            with session.here():
                for _ in range(4):
                    heir = rng.choice(sessions)
                    made.append(session.new(protection="private", heir=(heir, 1)))
                    with contextlib.suppress(TsunamiError):
                        made[-1].safe_fixtable(True)
                        made[-1].give_away(rng.choice(sessions), 2)
            if len(sessions) > 6:
                ended = sessions.pop(rng.randrange(len(sessions)))
                ended.end()

    sessions: list[Session] = []
    run([lambda n=n: play(random.Random(seed + n), sessions) for n in range(3)])  # type: ignore[misc]
    held = [table for session in sessions if session.alive for table in session.tables()]
    assert len(held) == len(set(map(id, held)))
    for table in made:
        owner = cast(Session | None, table.info("owner"))
        assert (table.info() is None) if owner is None else (owner.alive and table in owner.tables()), table
    for session in sessions:
        session.end()
    assert all(table.info() is None for table in made)


def test_fixations_from_many_threads_are_all_undone(kind: TableType) -> None:
    table = Table(kind)
    table.insert([(n,) for n in range(100)])

    def fix() -> None:
        for _ in range(effort(50)):
            with tsunami.session():
                table.safe_fixtable(True)
                table.safe_fixtable(True)
                table.safe_fixtable(False)
                with table.fixed():
                    table.next(table.first())

    run([fix, fix, fix])
    assert (table.info("fixed"), table.info("safe_fixed")) == (False, False)
    table.check()


def test_a_table_that_is_deleted_while_others_use_it(kind: TableType) -> None:
    for _ in range(effort(20)):
        with tsunami.session() as session:
            table = session.new(type=kind, protection="public")

            def use(table: Table = table) -> None:
                with pytest.raises(tsunami.NoSuchTable), tsunami.session():
                    for n in itertools.count():
                        with table.fixed():
                            table.insert((n, "x"))
                            table.lookup(n)
                            list(itertools.islice(table, 3))

            run([use, use, lambda table=table: threading.Timer(0.002, table.delete).start()])  # type: ignore[misc]
        assert table.info() is None
