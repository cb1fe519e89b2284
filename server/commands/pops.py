"""Commands that take elements from an end of a list, or the first or last members of a sorted set, and those that move
an element from one list to another; each also in a form that waits until there is something to take.

A command that waits is a function that tries (`attempt`): it is called at once, and again whenever one of the keys has
changed, in the order in which the clients came (blocking.py).
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tsunami._wire import NullArray
from tsunami_server.arguments import INT64_MAX, SYNTAX, positive, timeout_s, within
from tsunami_server.blocking import NOT_YET
from tsunami_server.command import CommandError, Reply, command, wrong_number
from tsunami_server.commands.zsets import told
from tsunami_server.session import Session
from tsunami_server.values import List, Step, Value, ZSet, kind_of
from tsunami_server.values.zset import Pair

V = TypeVar("V", bound=Value)
T = TypeVar("T")

# ---- taking from one key


def found_there(session: Session, step: Step, key: bytes, cls: type[V]) -> V | None:
    """The value to take from. CommandError: WRONGTYPE; for a client that has waited a key of another type is none."""
    if session.serving and kind_of(step.entry(key)[0]) != cls.kind:
        return None
    return step.value(key, cls)


def take(
    session: Session, key: bytes, cls: type[V], taking: Callable[[V], list[T]], kind: str, event: str
) -> list[T] | None:
    """What `taking` takes from the value of a key; None if there is no such key."""
    with Step(session, key) as step:
        value = found_there(session, step, key, cls)
        if value is None:
            return None
        taken = taking(value)
    if taken:
        session.notify_taken(kind, event, key, value.vanishes)
    return taken


def take_elements(session: Session, key: bytes, count: int, left: bool) -> list[bytes] | None:
    return take(session, key, List, lambda value: value.pop(count, left), "l", "lpop" if left else "rpop")


def take_pairs(session: Session, key: bytes, count: int, least: bool) -> list[Pair] | None:
    return take(session, key, ZSet, lambda value: value.pop(count, least), "z", "zpopmin" if least else "zpopmax")


def pop_elements(session: Session, args: list[bytes], left: bool, name: str) -> Reply:
    if len(args) > 2:
        raise wrong_number(name)
    if len(args) == 1:
        taken = take_elements(session, args[0], 1, left)
        return taken[0] if taken else None
    taken = take_elements(session, args[0], positive(args[1]), left)
    return NullArray() if taken is None else taken


@command("LPOP key [count]", "write fast", hot=True, group="list", since="1.0.0", keys="1 RW access delete",
         summary="Take the first element of a list, or the first ones.", complexity="O(N) for N elements")  # fmt: skip
def lpop(session: Session, args: list[bytes]) -> Reply:
    return pop_elements(session, args, True, "lpop")


@command("RPOP key [count]", "write fast", hot=True, group="list", since="1.0.0", keys="1 RW access delete",
         summary="Take the last element of a list, or the last ones.", complexity="O(N) for N elements")  # fmt: skip
def rpop(session: Session, args: list[bytes]) -> Reply:
    return pop_elements(session, args, False, "rpop")


def pop_members(session: Session, args: list[bytes], least: bool) -> Reply:
    """Pairs are flat in RESP2, and everywhere if no number was asked for."""
    if len(args) > 2:
        raise CommandError(SYNTAX)
    count = positive(args[1]) if len(args) == 2 else 1
    pairs = take_pairs(session, args[0], count, least) or []
    return told(session, pairs) if len(args) == 2 else [part for pair in pairs for part in pair]


@command(
    "ZPOPMIN key [count]", "write fast", group="sorted-set", since="5.0.0", keys="1 RW access delete",
    summary="Take the members with the smallest scores.", complexity="O(M*log(N)) for M members",
)  # fmt: skip
def zpopmin(session: Session, args: list[bytes]) -> Reply:
    return pop_members(session, args, True)


@command(
    "ZPOPMAX key [count]", "write fast", group="sorted-set", since="5.0.0", keys="1 RW access delete",
    summary="Take the members with the greatest scores.", complexity="O(M*log(N)) for M members",
)  # fmt: skip
def zpopmax(session: Session, args: list[bytes]) -> Reply:
    return pop_members(session, args, False)


# ---- taking from the first of several keys that has something

ENDS = {b"LEFT": True, b"RIGHT": False}
EXTREMES = {b"MIN": True, b"MAX": False}


def side(word: bytes, sides: dict[bytes, bool]) -> bool:
    found = sides.get(word.upper())
    if found is None:
        raise CommandError(SYNTAX)
    return found


class PopFrom:
    """`numkeys key ... where [COUNT count]`"""

    def __init__(self, words: list[bytes], sides: dict[bytes, bool]) -> None:
        number = within(words[0], 1, INT64_MAX, "ERR numkeys should be greater than 0")
        if number + 1 >= len(words):
            raise CommandError(SYNTAX)
        self.keys = words[1 : 1 + number]
        self.side = side(words[1 + number], sides)
        self.count = 1
        options = words[2 + number :]
        if options:
            if len(options) != 2 or options[0].upper() != b"COUNT":
                raise self._mistake(options)
            self.count = self._count(options[1])

    @staticmethod
    def _count(word: bytes) -> int:
        return within(word, 1, INT64_MAX, "ERR count should be greater than 0")

    def _mistake(self, options: list[bytes]) -> CommandError:
        """Redis reads the first COUNT before it stumbles over what follows."""
        if options[0].upper() == b"COUNT" and len(options) > 1:
            self._count(options[1])
        return CommandError(SYNTAX)


def pop_first_elements(session: Session, asked: PopFrom) -> Reply | None:
    for key in asked.keys:
        taken = take_elements(session, key, asked.count, asked.side)
        if taken:
            return [key, taken]
    return None


def pop_first_pairs(session: Session, asked: PopFrom) -> Reply | None:
    for key in asked.keys:
        pairs = take_pairs(session, key, asked.count, asked.side)
        if pairs:
            return [key, [list(pair) for pair in pairs]]
    return None


@command(
    "LMPOP numkeys:integer key ... where=(LEFT | RIGHT) [COUNT count]", "write movablekeys", group="list",
    since="7.0.0", keys="1# RW access delete", summary="Take elements from the first of several lists that has any.",
    complexity="O(N+M) for N keys and M elements",
)  # fmt: skip
def lmpop(session: Session, args: list[bytes]) -> Reply:
    return pop_first_elements(session, PopFrom(args, ENDS)) or NullArray()


@command(
    "ZMPOP numkeys:integer key ... where=(MIN | MAX) [COUNT count]", "write movablekeys", group="sorted-set",
    since="7.0.0", keys="1# RW access delete",
    summary="Take members from the first of several sorted sets that has one.",
    complexity="O(K)+O(M*log(N)) for K keys and M members",
)  # fmt: skip
def zmpop(session: Session, args: list[bytes]) -> Reply:
    return pop_first_pairs(session, PopFrom(args, EXTREMES)) or NullArray()


# ---- from one list to another


def move_element(session: Session, source: bytes, target: bytes, from_left: bool, to_left: bool) -> bytes | None:
    """The element, None if there is none to be moved."""
    with Step(session, source, target) as step:
        here = found_there(session, step, source, List)
        if here is None:
            return None
        there = step.change(target, List)
        [element] = here.pop(1, from_left)
        there.push([element], to_left)
    session.notify("l", "lpush" if to_left else "rpush", target)
    session.notify_taken("l", "lpop" if from_left else "rpop", source, here.vanishes)
    return element


@command(
    "LMOVE source destination wherefrom=(LEFT | RIGHT) whereto=(LEFT | RIGHT)", "write denyoom", group="list",
    since="6.2.0", keys=("1 RW access delete", "2 RW insert"),
    summary="Take an element from an end of a list and put it to an end of another, or of the same.",
)  # fmt: skip
def lmove(session: Session, args: list[bytes]) -> Reply:
    source, target, *ends = args
    from_left, to_left = (side(word, ENDS) for word in ends)
    return move_element(session, source, target, from_left, to_left)


@command(
    "RPOPLPUSH source destination", "write denyoom", group="list", since="1.2.0",
    keys=("1 RW access delete", "2 RW insert"), replaced_by="`LMOVE` with the `RIGHT` and `LEFT` arguments",
    summary="Take the last element of a list and put it before the first one of another, or of the same.",
)  # fmt: skip
def rpoplpush(session: Session, args: list[bytes]) -> Reply:
    return move_element(session, args[0], args[1], False, True)


# ---- waiting for something to take


def wait_for(
    session: Session, keys: list[bytes], limit_s: float, attempt: Callable[[], Reply | None], empty: Reply
) -> Reply | Awaitable[Reply]:
    """What `attempt` gives, as soon as that is not None; `empty` when the time is over."""

    def tried() -> Reply:
        found = attempt()
        return NOT_YET if found is None else found

    return session.block_on(keys, tried, limit_s, empty)


def blocking_pop(session: Session, args: list[bytes], left: bool) -> Reply | Awaitable[Reply]:
    *keys, timeout = args

    def attempt() -> Reply | None:
        for key in keys:
            taken = take_elements(session, key, 1, left)
            if taken:
                return [key, taken[0]]
        return None

    return wait_for(session, keys, timeout_s(timeout), attempt, NullArray())


@command(
    "BLPOP key ... timeout:double", "write noscript blocking", group="list", since="2.0.0",
    keys="1..-2 RW access delete",
    summary="Take the first element of the first of several lists that has any, or wait for one.",
    complexity="O(N) for N keys",
)  # fmt: skip
def blpop(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    return blocking_pop(session, args, True)


@command(
    "BRPOP key ... timeout:double", "write noscript blocking", group="list", since="2.0.0",
    keys="1..-2 RW access delete",
    summary="Take the last element of the first of several lists that has any, or wait for one.",
    complexity="O(N) for N keys",
)  # fmt: skip
def brpop(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    return blocking_pop(session, args, False)


def blocking_member(session: Session, args: list[bytes], least: bool) -> Reply | Awaitable[Reply]:
    *keys, timeout = args

    def attempt() -> Reply | None:
        for key in keys:
            pairs = take_pairs(session, key, 1, least)
            if pairs:
                return [key, *pairs[0]]
        return None

    return wait_for(session, keys, timeout_s(timeout), attempt, NullArray())


@command(
    "BZPOPMIN key ... timeout:double", "write noscript blocking fast", group="sorted-set", since="5.0.0",
    keys="1..-2 RW access delete", summary="Take the member with the smallest score of the first of several sorted "
    "sets that has one, or wait for one.", complexity="O(log(N))",
)  # fmt: skip
def bzpopmin(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    return blocking_member(session, args, True)


@command(
    "BZPOPMAX key ... timeout:double", "write noscript blocking fast", group="sorted-set", since="5.0.0",
    keys="1..-2 RW access delete", summary="Take the member with the greatest score of the first of several sorted "
    "sets that has one, or wait for one.", complexity="O(log(N))",
)  # fmt: skip
def bzpopmax(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    return blocking_member(session, args, False)


@command(
    "BLMPOP timeout:double numkeys:integer key ... where=(LEFT | RIGHT) [COUNT count]", "write blocking movablekeys",
    group="list", since="7.0.0", keys="2# RW access delete",
    summary="Take elements from the first of several lists that has any, or wait for one.",
    complexity="O(N+M) for N keys and M elements",
)  # fmt: skip
def blmpop(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    limit_s, asked = timeout_s(args[0]), PopFrom(args[1:], ENDS)
    return wait_for(session, asked.keys, limit_s, lambda: pop_first_elements(session, asked), NullArray())


@command(
    "BZMPOP timeout:double numkeys:integer key ... where=(MIN | MAX) [COUNT count]", "write blocking movablekeys",
    group="sorted-set", since="7.0.0", keys="2# RW access delete",
    summary="Take members from the first of several sorted sets that has one, or wait for one.",
    complexity="O(K)+O(M*log(N)) for K keys and M members",
)  # fmt: skip
def bzmpop(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    limit_s, asked = timeout_s(args[0]), PopFrom(args[1:], EXTREMES)
    return wait_for(session, asked.keys, limit_s, lambda: pop_first_pairs(session, asked), NullArray())


@command(
    "BLMOVE source destination wherefrom=(LEFT | RIGHT) whereto=(LEFT | RIGHT) timeout:double",
    "write denyoom noscript blocking", group="list", since="6.2.0", keys=("1 RW access delete", "2 RW insert"),
    summary="Take an element from an end of a list and put it to an end of another, or wait for one.",
)  # fmt: skip
def blmove(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    source, target, *ends, timeout = args
    from_left, to_left = (side(word, ENDS) for word in ends)
    limit_s = timeout_s(timeout)
    return wait_for(session, [source], limit_s, lambda: move_element(session, source, target, from_left, to_left), None)


@command(
    "BRPOPLPUSH source destination timeout:double", "write denyoom noscript blocking", group="list", since="2.2.0",
    keys=("1 RW access delete", "2 RW insert"), replaced_by="`BLMOVE` with the `RIGHT` and `LEFT` arguments",
    summary="Take the last element of a list and put it before the first one of another, or wait for one.",
)  # fmt: skip
def brpoplpush(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    source, target, timeout = args
    limit_s = timeout_s(timeout)
    return wait_for(session, [source], limit_s, lambda: move_element(session, source, target, False, True), None)
