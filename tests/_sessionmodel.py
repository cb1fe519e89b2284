"""Who may do what to a table, and what becomes of it: ets-semantics.md, 2.8 and 5, in plain Python.

What it is: several tables and the parties that use them. A party is a session, or nobody in particular (NOBODY), who
owns nothing, outlives everybody, and may do what anyone may. What a call does to the rows is `model`'s; here is whether
it may be made at all, and what happens to tables when sessions end.

What it is not: an account of contexts, threads or messages' ways. A message is in the inbox as soon as it is sent.

What must stay true:

1. A table that has an owner is owned by a party that lives.
2. `holders` counts fixations by party; the sum of the counts is the table's model's `fixations`.
3. The order of checks: the table is there; the caller may; then the other arguments.
"""

from collections import Counter
from typing import Any, Final

from model import Model

from tsunami import AccessDenied, BadArgument, NoSuchTable, TableExists

READS: Final = frozenset(
    ("lookup", "member", "lookup_element", "tab2list", "first", "last", "next", "prev", "first_lookup", "last_lookup",
     "next_lookup", "prev_lookup", "foldl", "foldr", "safe_fixtable", "select", "select_reverse", "select_count",
     "match", "match_object", "select_more", "lookup_many", "member_many", "get", "__getitem__", "__contains__")
)  # fmt: skip


class Party:
    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.inbox: list[tuple[Any, ...]] = []

    def __repr__(self) -> str:
        return self.name


NOBODY: Final = Party("nobody")


class Owned:
    """A table and its standing."""

    def __init__(self, model: Model, name: str | None, owner: Party | None, protection: str) -> None:
        self.model = model
        self.name = name
        self.owner = owner
        self.protection = protection
        self.heir: tuple[Party, Any] | None = None
        self.holders: Counter[Party] = Counter()


class World:
    def __init__(self) -> None:
        self.names: dict[str, Owned] = {}
        self.tables: list[Owned] = []

    # ---- tables

    def new(self, table: Owned, heir: tuple[Party, Any] | None) -> None:
        if table.name is not None and table.name in self.names:
            raise TableExists(f"{table.name!r} is in use", cause="already_exists")
        table.heir = heir if heir is not None and heir[0].alive else None
        self.tables.append(table)
        if table.name is not None:
            self.names[table.name] = table

    def may(self, party: Party, table: Owned, right: str) -> None:
        """The table is there, and the party has the right: "read", "write" or "own"."""
        if table.model.dropped:
            raise NoSuchTable("the table has been deleted", cause="id")
        free = {"public": ("read", "write"), "protected": ("read",), "private": ()}[table.protection]
        if right not in free and party is not table.owner:
            cause = "not_owner" if right == "own" and table.protection == "public" else "access"
            raise AccessDenied(f"{party} may not {right} it", cause=cause)

    def call(self, party: Party, table: Owned, name: str, *args: Any) -> Any:
        """A call that is about rows."""
        self.may(party, table, "read" if name in READS else "write")
        return getattr(table.model, name)(*args)

    def fix(self, party: Party, table: Owned, fix: bool) -> bool:
        self.may(party, table, "read")
        if not fix and not table.holders[party]:
            return True
        table.holders[party] += 1 if fix else -1
        return table.model.safe_fixtable(fix)

    def rename(self, party: Party, table: Owned, name: str) -> None:
        self.may(party, table, "write")
        if table.name is None:
            return
        if name in self.names:
            raise TableExists(f"{name!r} is in use", cause="already_exists")
        del self.names[table.name]
        table.name = name
        self.names[name] = table

    def delete(self, party: Party, table: Owned) -> bool:
        self.may(party, table, "write")
        self._vanish(table)
        return True

    def _vanish(self, table: Owned) -> None:
        table.model.drop()
        table.holders.clear()
        self.tables.remove(table)
        if table.name is not None:
            del self.names[table.name]

    # ---- owners

    def _hand(self, table: Owned, to: Party, data: Any) -> None:
        to.inbox.append((table, table.owner, data))
        table.owner = to

    def give_away(self, party: Party, table: Owned, to: Party, data: Any) -> bool:
        self.may(party, table, "write")
        if not to.alive:
            raise BadArgument(f"{to} has ended")
        self.may(party, table, "own")
        if to is party:
            raise BadArgument(f"{to} owns it already", cause="owner")
        self._hand(table, to, data)
        return True

    def setopts(self, party: Party, table: Owned, **options: Any) -> bool:
        self.may(party, table, "write")
        try:
            self.may(party, table, "own")
        except AccessDenied:
            raise AccessDenied("only its owner sets its options") from None
        if "protection" in options:
            table.protection = options["protection"]
        if "heir" in options:
            heir = options["heir"]
            table.heir = heir if heir is not None and heir[0].alive else None
        return True

    def heir(self, table: Owned) -> Party | None:
        """info(heir)."""
        return table.heir[0] if table.heir is not None and table.heir[0].alive else None

    def end(self, party: Party) -> None:
        """Fixations are undone; tables go to their heirs or vanish."""
        party.alive = False
        for table in list(self.tables):
            while table.holders[party]:
                table.holders[party] -= 1
                table.model.safe_fixtable(False)
            if table.owner is party:
                if table.heir is not None and table.heir[0].alive:
                    self._hand(table, *table.heir)
                else:
                    self._vanish(table)
