"""Commands on lists: L* and R*, but those that take from an end, with or without waiting (pops.py)."""

from collections.abc import Iterator
from itertools import islice

from tsunami._wire import OK
from tsunami_server.arguments import INT64_MAX, SYNTAX, integer, positive, within
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.commands.keys import NO_SUCH_KEY
from tsunami_server.session import Session
from tsunami_server.values import List, Step, read

RANK_ZERO = (
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from "
    "the end of the list"
)

# ---- adding to an end


def push(session: Session, args: list[bytes], left: bool, only_old: bool = False) -> Reply:
    key, *elements = args
    with Step(session, key) as step:
        found = step.value(key, List) if only_old else step.change(key, List)
        if found is None:
            return 0
        found.push(elements, left)
        length = len(found)
    session.notify("l", "lpush" if left else "rpush", key)
    return length


@command(
    "LPUSH key element ...", "write denyoom fast", hot=True, group="list", since="1.0.0", keys="1 RW insert",
    summary="Put elements before the first one of a list, one after the other, and tell its length.",
    complexity="O(N) for N elements",
)  # fmt: skip
def lpush(session: Session, args: list[bytes]) -> Reply:
    return push(session, args, True)


@command(
    "RPUSH key element ...", "write denyoom fast", hot=True, group="list", since="1.0.0", keys="1 RW insert",
    summary="Put elements behind the last one of a list, and tell its length.", complexity="O(N) for N elements",
)  # fmt: skip
def rpush(session: Session, args: list[bytes]) -> Reply:
    return push(session, args, False)


@command(
    "LPUSHX key element ...", "write denyoom fast", hot=True, group="list", since="2.2.0", keys="1 RW insert",
    summary="Put elements before the first one of a list, if there is such a list.", complexity="O(N) for N elements",
)  # fmt: skip
def lpushx(session: Session, args: list[bytes]) -> Reply:
    return push(session, args, True, only_old=True)


@command(
    "RPUSHX key element ...", "write denyoom fast", hot=True, group="list", since="2.2.0", keys="1 RW insert",
    summary="Put elements behind the last one of a list, if there is such a list.", complexity="O(N) for N elements",
)  # fmt: skip
def rpushx(session: Session, args: list[bytes]) -> Reply:
    return push(session, args, False, only_old=True)


# ---- by rank


@command("LLEN key", "readonly fast", hot=True, group="list", since="1.0.0", keys="1 RO",
         summary="The number of elements.")  # fmt: skip
def llen(session: Session, args: list[bytes]) -> Reply:
    found = read(session, args[0], List)
    return 0 if found is None else len(found)


def span_of(start: int, stop: int, length: int) -> tuple[int, int]:
    """The ranks from start to stop, which is included; negative ones count from the end. Empty: start >= stop."""
    start = max(start + length, 0) if start < 0 else start
    return start, min((stop + length if stop < 0 else stop) + 1, length)


@command(
    "LRANGE key start stop:integer", "readonly", hot=True, group="list", since="1.0.0", keys="1 RO access",
    summary="A part of a list, both ends included; negative ranks count from the end.",
    complexity="O(log(N)+M) for M elements",
)  # fmt: skip
def lrange(session: Session, args: list[bytes]) -> Reply:
    key, start, stop = args[0], integer(args[1]), integer(args[2])
    with Step(session, key) as step:
        found = step.value(key, List)
        return [] if found is None else found.slice(*span_of(start, stop, len(found)))


def rank_of(index: int, length: int) -> int | None:
    index = index + length if index < 0 else index
    return index if 0 <= index < length else None


@command("LINDEX key index", "readonly", hot=True, group="list", since="1.0.0", keys="1 RO access",
         summary="The element of a rank, negative from the end, or null.", complexity="O(log(N))")  # fmt: skip
def lindex(session: Session, args: list[bytes]) -> Reply:
    key = args[0]
    with Step(session, key) as step:
        found = step.value(key, List)
        if found is None:
            return None
        rank = rank_of(integer(args[1]), len(found))
        return None if rank is None else found.index(rank)


@command("LSET key index element", "write denyoom", group="list", since="1.0.0", keys="1 RW update",
         summary="Replace the element of a rank.", complexity="O(log(N))")  # fmt: skip
def lset(session: Session, args: list[bytes]) -> Reply:
    key, index, element = args
    with Step(session, key) as step:
        found = step.value(key, List)
        if found is None:
            raise CommandError(NO_SUCH_KEY)
        rank = rank_of(integer(index), len(found))
        if rank is None:
            raise CommandError("ERR index out of range")
        found.set(rank, element)
    session.notify("l", "lset", key)
    return OK


@command(
    "LTRIM key start stop:integer", "write", group="list", since="1.0.0", keys="1 RW delete",
    summary="Keep only a part of a list.", complexity="O(log(N)+M) for M elements that go",
)  # fmt: skip
def ltrim(session: Session, args: list[bytes]) -> Reply:
    key, start, stop = args[0], integer(args[1]), integer(args[2])
    with Step(session, key) as step:
        found = step.value(key, List)
        if found is None:
            return OK
        first, last = span_of(start, stop, len(found))
        found.remove_span(max(first, last), len(found))
        found.remove_span(0, min(first, len(found)))
    session.notify_taken("l", "ltrim", key, found.vanishes)
    return OK


# ---- by element


@command(
    "LINSERT key where=(BEFORE | AFTER) pivot element", "write denyoom", group="list", since="2.2.0",
    keys="1 RW insert", summary="Insert an element beside the first one that is equal to another, and tell the length.",
    complexity="O(N)",
)  # fmt: skip
def linsert(session: Session, args: list[bytes]) -> Reply:
    key, where, pivot, element = args
    if where.upper() not in (b"BEFORE", b"AFTER"):
        raise CommandError(SYNTAX)
    with Step(session, key) as step:
        found = step.value(key, List)
        if found is None:
            return 0
        rank = next((rank for rank, other in enumerate(found.elements()) if other == pivot), None)
        if rank is None:
            return -1
        found.insert(rank + (where.upper() == b"AFTER"), element)
        length = len(found)
    session.notify("l", "linsert", key)
    return length


@command(
    "LREM key count element", "write", group="list", since="1.0.0", keys="1 RW delete",
    summary="Remove elements that are equal to one: all (0), so many from the beginning, or (negative) from the end.",
    complexity="O(N+M*log(N)) for M elements that go",
)  # fmt: skip
def lrem(session: Session, args: list[bytes]) -> Reply:
    key, count, element = args[0], integer(args[1]), args[2]
    with Step(session, key) as step:
        found = step.value(key, List)
        if found is None:
            return 0
        ranks = sorted(islice(ranks_of(found, element, reverse=count < 0), min(abs(count), len(found)) or None))
        found.remove(ranks)
    if ranks:
        session.notify_taken("l", "lrem", key, found.vanishes)
    return len(ranks)


def ranks_of(found: List, element: bytes, *, reverse: bool, most: int = 0) -> Iterator[int]:
    """Where a list has this element, looking at no more than so many elements (0: at all)."""
    last = len(found) - 1
    elements = islice(found.elements(last if reverse else 0, reverse), most or None)
    return (last - at if reverse else at for at, other in enumerate(elements) if other == element)


class Search:
    """The options of LPOS."""

    def __init__(self, words: list[bytes]) -> None:
        self.rank, self.count, self.most = 1, -1, 0
        for at in range(0, len(words), 2):
            if at + 1 == len(words):
                raise CommandError(SYNTAX)
            self._take(words[at].upper(), words[at + 1])

    def _take(self, word: bytes, value: bytes) -> None:
        if word == b"RANK":
            self.rank = within(value, -INT64_MAX, INT64_MAX)
            if not self.rank:
                raise CommandError(RANK_ZERO)
        elif word == b"COUNT":
            self.count = positive(value, "ERR COUNT can't be negative")
        elif word == b"MAXLEN":
            self.most = positive(value, "ERR MAXLEN can't be negative")
        else:
            raise CommandError(SYNTAX)


@command(
    "LPOS key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]", "readonly", group="list",
    since="6.0.6", keys="1 RO access", summary="The rank of the first element that is equal to one, or of several.",
    complexity="O(N)",
)  # fmt: skip
def lpos(session: Session, args: list[bytes]) -> Reply:
    key, element, *words = args
    search = Search(words)
    several = search.count >= 0
    with Step(session, key) as step:
        found = step.value(key, List)
        if found is None:
            return [] if several else None
        skipped = min(abs(search.rank) - 1, len(found))
        ranks = islice(
            ranks_of(found, element, reverse=search.rank < 0, most=min(search.most, len(found))), skipped, None
        )
        return list(islice(ranks, search.count or None)) if several else next(ranks, None)
