"""Sessions against their model: owners, heirs, gifts, protection, fixations, names, and sessions that end.

A few sessions and nobody in particular use a few tables of all types. After every step each table's owner, heir,
protection, name, fixations, contents and inbox are the model's (`_sessionmodel`); tables that have gone answer as such.
"""

from typing import Any

from _sessionmodel import NOBODY, Owned, Party, World
from _support import effort
from _tabletools import outcome
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from model import Model, shown

import tsunami
from tsunami import Session, Table, TsunamiError

NAMES = ["machine_sessions_a", "machine_sessions_b", "machine_sessions_c"]
PROTECTIONS = st.sampled_from(["public", "protected", "private"])
KINDS = st.sampled_from(["set", "ordered_set", "bag", "duplicate_bag"])
PARTIES = st.integers(0, 3)
TABLES = st.integers(0, 5)
KEYS = st.integers(0, 4)
CALLS = st.one_of(
    st.tuples(st.just("insert"), st.tuples(KEYS, st.integers(0, 2))),
    st.tuples(st.sampled_from(["lookup", "member", "delete", "take", "next", "next_lookup"]), KEYS),
    st.tuples(st.sampled_from(["tab2list", "first", "delete_all_objects"])),
    st.tuples(st.just("insert"), st.sampled_from([1, "nonsense", ()])),
    st.tuples(st.just("lookup_element"), KEYS, st.integers(-1, 2)),
)


class SessionsMachine(RuleBasedStateMachine):
    """Sessions that have ended are replaced by new ones, so that there are always three that live."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.parties: list[tuple[Party, Session | None]] = [(NOBODY, None), *[self.joined(n) for n in range(3)]]
        self.gone: list[tuple[Party, Session]] = []
        self.count = 3
        self.pairs: list[tuple[Owned, Table]] = []

    def joined(self, number: int) -> tuple[Party, Session]:
        return Party(f"session {number}"), tsunami.session()

    def teardown(self) -> None:
        for _, session in self.parties:
            if session is not None:
                session.end()
        for _, table in self.pairs:
            try:
                table.delete()
            except TsunamiError:
                pass

    # ---- doing the same to both

    def as_party(self, session: Session | None, call: Any, *args: Any, **options: Any) -> Any:
        if session is None:
            return call(*args, **options)
        with session.here():
            return call(*args, **options)

    def pair(self, number: int) -> tuple[Owned, Table] | None:
        return self.pairs[number % len(self.pairs)] if self.pairs else None

    def party(self, number: int) -> tuple[Party, Session | None]:
        return self.parties[number]

    def session_like(self, number: int) -> tuple[Party, Session]:
        """One of the three that live, or of those that have ended."""
        chosen = [*self.parties[1:], *self.gone[-2:]]
        return chosen[number % len(chosen)]  # type: ignore[return-value]

    def same(self, theirs: Any, ours: Any) -> None:
        assert outcome(ours) == outcome(theirs)

    # ---- what holds after every step

    @invariant()
    def tables_stand_as_in_the_model(self) -> None:
        session_of = dict([*self.parties, *self.gone])
        for owned, table in self.pairs:
            if owned.model.dropped:
                assert table.info() is None
                self.same(lambda: owned.model.lookup(1), lambda: table.lookup(1))  # noqa: B023
                continue
            table.check()
            assert table.info("owner") is (session_of[owned.owner] if owned.owner else None)
            heir = self.world.heir(owned)
            assert table.info("heir") is (session_of[heir] if heir else None)
            assert table.info("protection") == owned.protection
            assert table.info("fixed") is (owned.model.fixations > 0)
            fixed = table.info("safe_fixed")
            holders = {session_of[party]: count for party, count in owned.holders.items() if count}
            assert (dict(fixed[1]) if fixed else {}) == holders  # type: ignore[index]
            assert len(table) == len(owned.model)
            if owned.name is not None:
                assert table.name == owned.name
            owner = session_of[owned.owner] if owned.owner else None
            rows = self.as_party(owner, table.tab2list)
            assert sorted(map(repr, rows)) == sorted(map(repr, owned.model.tab2list()))

    @invariant()
    def names_are_the_models(self) -> None:
        tables = dict(self.pairs)
        for name in NAMES:
            found = self.world.names.get(name)
            assert tsunami.whereis(name) is (tables[found] if found else None)

    @invariant()
    def sessions_are_as_in_the_model(self) -> None:
        tables = dict(self.pairs)
        for party, session in [*self.parties[1:], *self.gone]:
            assert session is not None and session.alive is party.alive
            mine = [tables[owned] for owned in self.world.tables if owned.owner is party]
            assert sorted(map(id, session.tables())) == sorted(map(id, mine))
            assert session.pending == len(party.inbox)

    # ---- tables

    @rule(
        party=PARTIES, kind=KINDS, name=st.sampled_from([*NAMES, None]), protection=PROTECTIONS, heir=st.integers(-2, 4)
    )
    def new(self, party: int, kind: Any, name: str | None, protection: str, heir: int) -> None:
        if len(self.pairs) >= 12:
            return
        who, session = self.party(party)
        heirs = self.session_like(heir) if heir >= 0 else None
        made: list[Table] = []
        if session is None:
            owned = Owned(Model(kind), name, None, "public")
            heirs = None
        else:
            owned = Owned(Model(kind), name, who, protection)

        def theirs() -> None:
            self.world.new(owned, (heirs[0], "data") if heirs else None)

        def ours() -> None:
            if session is None:
                made.append(tsunami.new(name, type=kind))
            else:
                heir = (heirs[1], "data") if heirs else None
                made.append(session.new(name, type=kind, protection=protection, heir=heir))  # type: ignore[arg-type]

        self.same(theirs, ours)
        if made:
            self.pairs.append((owned, made[0]))

    @rule(party=PARTIES, table=TABLES, call=CALLS)
    def call(self, party: int, table: int, call: tuple[Any, ...]) -> None:
        who, session = self.party(party)
        if pair := self.pair(table):
            owned, real = pair
            name, *args = call
            actual = outcome(self.as_party, session, getattr(real, name), *args)
            expected = outcome(self.world.call, who, owned, name, *args)
            if name in ("first", "next", "next_lookup", "tab2list") and expected[0] == "value":
                assert actual[0] == "value"  # the order of a walk is nobody's promise
            else:
                assert actual == expected

    @rule(party=PARTIES, table=TABLES, fix=st.booleans())
    def fix(self, party: int, table: int, fix: bool) -> None:
        who, session = self.party(party)
        if pair := self.pair(table):
            owned, real = pair
            self.same(lambda: self.world.fix(who, owned, fix), lambda: self.as_party(session, real.safe_fixtable, fix))

    @rule(party=PARTIES, table=TABLES, name=st.sampled_from(NAMES))
    def rename(self, party: int, table: int, name: str) -> None:
        who, session = self.party(party)
        pair = self.pair(table)
        if pair and pair[0].name is not None:
            owned, real = pair

            def ours() -> None:
                self.as_party(session, real.rename, name)

            self.same(lambda: self.world.rename(who, owned, name), ours)

    @rule(party=PARTIES, table=TABLES, yes=st.integers(0, 3))
    def delete(self, party: int, table: int, yes: int) -> None:
        who, session = self.party(party)
        pair = self.pair(table)
        if pair and yes == 0:
            owned, real = pair
            self.same(lambda: self.world.delete(who, owned), lambda: self.as_party(session, real.delete))

    # ---- owners

    @rule(party=PARTIES, table=TABLES, to=st.integers(0, 4), data=st.sampled_from(["gift", (1, [2.5]), None]))
    def give_away(self, party: int, table: int, to: int, data: Any) -> None:
        who, session = self.party(party)
        if pair := self.pair(table):
            owned, real = pair
            receiver, their_session = self.session_like(to)
            self.same(
                lambda: self.world.give_away(who, owned, receiver, data),
                lambda: self.as_party(session, real.give_away, their_session, data),
            )

    @rule(party=PARTIES, table=TABLES, protection=st.one_of(st.none(), PROTECTIONS), heir=st.integers(-2, 4))
    def setopts(self, party: int, table: int, protection: str | None, heir: int) -> None:
        who, session = self.party(party)
        if pair := self.pair(table):
            owned, real = pair
            theirs: dict[str, Any] = {"protection": protection} if protection else {}
            ours: dict[str, Any] = dict(theirs)
            if heir >= -1:
                chosen = self.session_like(heir) if heir >= 0 else None
                theirs["heir"] = (chosen[0], heir) if chosen else None
                ours["heir"] = (chosen[1], heir) if chosen else None
            self.same(
                lambda: self.world.setopts(who, owned, **theirs),
                lambda: self.as_party(session, real.setopts, **ours),
            )

    @rule(party=PARTIES)
    def receive(self, party: int) -> None:
        who, session = self.party(party)
        if session is None:
            return
        message = session.receive(timeout=0)
        assert (message is not None) == bool(who.inbox)
        if message is not None:
            owned, giver, data = who.inbox.pop(0)
            session_of = dict([*self.parties, *self.gone])
            table = next(table for other, table in self.pairs if other is owned)
            assert message[:2] == ("ETS-TRANSFER", table) and message[2] is session_of.get(giver)
            assert shown(message[3]) == shown(data)

    @rule(party=st.integers(1, 3), yes=st.integers(0, 2))
    def end(self, party: int, yes: int) -> None:
        if yes:
            return
        who, session = self.party(party)
        assert session is not None
        self.world.end(who)
        session.end()
        self.gone.append((who, session))
        self.count += 1
        self.parties[party] = self.joined(self.count)


class TestSessions(SessionsMachine.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=effort(80), stateful_step_count=50)
