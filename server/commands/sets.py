"""Commands on sets: members, random members, and SINTER, SUNION, SDIFF with their kin.

A command over several keys holds all of them, so what it reads is one moment. An intersection goes through the smallest
set and asks the others; a difference goes through the first and asks the others, or through all of them where that is
less. What a set is, small and large, is in values/set.py.
"""

from collections.abc import Callable, Iterable, Iterator

from tsunami_server.arguments import INT64_MAX, SYNTAX, positive, within
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.commands.hashes import UNORDERED, chosen
from tsunami_server.scanning import ScanOptions, scan_cursor
from tsunami_server.session import Session
from tsunami_server.values import Set, Step, one_moment, read

VARYING = "nondeterministic_output"


# ---- members


@command(
    "SADD key member ...", "write denyoom fast", hot=True, group="set", since="1.0.0", keys="1 RW insert",
    summary="Add members to a set, and tell how many of them are new.",
    complexity="O(N) in the number of members given",
)  # fmt: skip
def sadd(session: Session, args: list[bytes]) -> Reply:
    key, *members = args
    with Step(session, key) as step:
        value = step.change(key, Set)
        new = sum([value.add(member) for member in members])
    if new:
        session.notify("s", "sadd", key)
    return new


@command(
    "SREM key member ...", "write fast", hot=True, group="set", since="1.0.0", keys="1 RW delete",
    summary="Remove members from a set, and tell how many there were; the key goes with its last member.",
    complexity="O(N) in the number of members given",
)  # fmt: skip
def srem(session: Session, args: list[bytes]) -> Reply:
    key, *members = args
    with Step(session, key) as step:
        value = step.value(key, Set)
        if value is None:
            return 0
        gone = sum([value.remove(member) for member in members])
        emptied = value.vanishes
    if gone:
        session.notify_taken("s", "srem", key, emptied)
    return gone


@command(
    "SISMEMBER key member", "readonly fast", hot=True, group="set", since="1.0.0", keys="1 RO",
    summary="Tell whether a set has a member: 1 or 0.",
)  # fmt: skip
def sismember(session: Session, args: list[bytes]) -> Reply:
    return int(args[1] in (read(session, args[0], Set) or ()))


@command(
    "SMISMEMBER key member ...", "readonly fast", group="set", since="6.2.0", keys="1 RO access",
    summary="Tell of each member whether the set has it: 1 or 0.", complexity="O(N) in the number of members given",
)  # fmt: skip
def smismember(session: Session, args: list[bytes]) -> Reply:
    key, *members = args
    nobody = [0] * len(members)
    return one_moment(session, key, Set, lambda value: [int(there) for there in value.have(members)], nobody)


@command(
    "SMEMBERS key", "readonly", hot=True, group="set", since="1.0.0", keys="1 RO access", tips=UNORDERED,
    summary="All members of a set.", complexity="O(N) in the number of members",
)  # fmt: skip
def smembers(session: Session, args: list[bytes]) -> Reply:
    return one_moment(session, args[0], Set, lambda value: set(value.members()), set())


@command(
    "SCARD key",
    "readonly fast",
    hot=True,
    group="set",
    since="1.0.0",
    keys="1 RO",
    summary="The number of members of a set.",
)
def scard(session: Session, args: list[bytes]) -> Reply:
    return len(read(session, args[0], Set) or ())


@command(
    "SMOVE source destination member", "write fast", group="set", since="1.0.0",
    keys=("1 RW access delete", "2 RW insert"), summary="Move a member from one set to another; 1 if it was there.",
)  # fmt: skip
def smove(session: Session, args: list[bytes]) -> Reply:
    source, target, member = args
    with Step(session, source, target) as step:
        here = step.value(source, Set)
        if here is None:
            return 0
        there = step.value(target, Set)
        if source == target:
            return int(member in here)
        if not here.remove(member):
            return 0
        there = step.change(target, Set) if there is None else there
        added = there.add(member)
        emptied = here.vanishes
    session.notify_taken("s", "srem", source, emptied)
    if added:
        session.notify("s", "sadd", target)
    return 1


@command(
    "SSCAN key cursor:integer [MATCH pattern] [COUNT count:integer]", "readonly", group="set", since="2.8.0",
    keys="1 RO access", tips=VARYING, complexity="O(1) a call, O(N) for all",
    summary="Walk over the members: some of them, and the cursor to go on with.",
)  # fmt: skip
def sscan(session: Session, args: list[bytes]) -> Reply:
    cursor = scan_cursor(args[1])
    value = read(session, args[0], Set)
    if value is None:
        return [b"0", []]
    options = ScanOptions.parse(args[2:])
    cursor, members = value.scan(cursor, options.count)
    return [b"%d" % cursor, options.keep(members)]


# ---- random members


@command(
    "SRANDMEMBER key [count:integer]", "readonly", group="set", since="1.0.0", keys="1 RO access", tips=VARYING,
    summary="Random members: one, or so many different ones, or with a negative count also the same ones again.",
    complexity="O(N) in the number of members asked for",
)  # fmt: skip
def srandmember(session: Session, args: list[bytes]) -> Reply:
    key, *options = args
    if not options:
        return one_moment(session, key, Set, lambda value: next(iter(value.any(1)), None), None)
    if len(options) > 1:
        raise CommandError(SYNTAX)
    count = chosen(options[0])
    return one_moment(session, key, Set, lambda value: value.some(count) if count >= 0 else value.any(-count), [])


@command(
    "SPOP key [count:integer]", "write fast", group="set", since="1.0.0", keys="1 RW access delete", tips=VARYING,
    summary="Remove random members, one or so many, and give them.",
    complexity="O(N) in the number of members asked for",
)  # fmt: skip
def spop(session: Session, args: list[bytes]) -> Reply:
    key, *options = args
    if len(options) > 1:
        raise CommandError(SYNTAX)
    count = positive(options[0]) if options else 1
    with Step(session, key) as step:
        value = step.value(key, Set)
        if value is None or not count:
            return set() if options else None
        taken = value.some(count)
        if len(taken) == len(value):
            step.forget(key)
            emptied = True
        else:
            emptied = False
            for member in taken:
                value.remove(member)
    session.notify_taken("s", "spop", key, emptied)
    return set(taken) if options else taken[0]


# ---- several sets


def intersection(sets: list[Set | None]) -> Iterator[bytes]:
    """The members that all have, through the smallest."""
    present = [value for value in sets if value is not None]
    if len(present) < len(sets):
        return
    present.sort(key=len)
    smallest, *others = present
    for member in smallest.members():
        if all(member in other for other in others):
            yield member


def union(sets: list[Set | None]) -> set[bytes]:
    return {member for value in sets if value is not None for member in value.members()}


def difference(sets: list[Set | None]) -> set[bytes]:
    """The members of the first that no other has."""
    first, *others = sets
    if first is None:
        return set()
    rest = [other for other in others if other is not None]
    if len(first) * len(rest) <= sum(map(len, rest)) + len(first):
        return {member for member in first.members() if not any(member in other for other in rest)}
    left = set(first.members())
    for other in rest:
        left.difference_update(other.members())
    return left


Operation = Callable[[list[Set | None]], Iterable[bytes]]


def combined(session: Session, keys: list[bytes], operation: Operation) -> Reply:
    with Step(session, *keys) as step:
        return set(operation([step.value(key, Set) for key in keys]))


def stored(session: Session, args: list[bytes], operation: Operation, event: str) -> int:
    target, *keys = args
    with Step(session, *args) as step:
        sets = [step.value(key, Set) for key in keys]
        result = Set.of(operation(sets), session.setting)
        size, erased = len(result), step.replace(target, result)
    session.notify_stored("s", event, target, size, erased)
    return size


def define_pair(name: str, operation: Operation, what: str, complexity: str, target: str) -> None:
    """The command, and the one that stores what it gives."""

    @command(f"{name} key ...", "readonly", group="set", since="1.0.0", keys="1..-1 RO access", tips=UNORDERED,
             summary=f"{what}.", complexity=complexity)  # fmt: skip
    def give(session: Session, args: list[bytes]) -> Reply:
        return combined(session, args, operation)

    @command(f"{name}STORE destination key ...", "write denyoom", group="set", since="1.0.0",
             keys=(target, "2..-1 RO access"), complexity=complexity,
             summary=f"{what}, stored as a set in another key, and their number.")  # fmt: skip
    def store(session: Session, args: list[bytes]) -> Reply:
        return stored(session, args, operation, f"{name.lower()}store")


define_pair("SINTER", intersection, "The members that all of the sets have", "O(N*M): members of the smallest, sets",
            "1 RW update")  # fmt: skip
define_pair("SUNION", union, "The members that any of the sets has", "O(N) in the number of all members", "1 OW update")
define_pair("SDIFF", difference, "The members of the first set that none of the others has",
            "O(N) in the number of all members", "1 OW update")  # fmt: skip


@command(
    "SINTERCARD numkeys:integer key ... [LIMIT limit:integer]", "readonly movablekeys", group="set", since="7.0.0",
    keys="1# RO access", complexity="O(N*M): members of the smallest set, sets",
    summary="How many members all of the sets have; it stops counting at the limit.",
)  # fmt: skip
def sintercard(session: Session, args: list[bytes]) -> Reply:
    numkeys = within(args[0], 1, INT64_MAX, "ERR numkeys should be greater than 0")
    if numkeys > len(args) - 1:
        raise CommandError("ERR Number of keys can't be greater than number of args")
    keys, options = args[1 : numkeys + 1], args[numkeys + 1 :]
    limit = 0
    for at in range(0, len(options), 2):
        if options[at].upper() != b"LIMIT" or at + 1 == len(options):
            raise CommandError(SYNTAX)
        limit = positive(options[at + 1], "ERR LIMIT can't be negative")
    with Step(session, *keys) as step:
        count = 0
        for _ in intersection([step.value(key, Set) for key in keys]):
            count += 1
            if count == limit:
                break
        return count
