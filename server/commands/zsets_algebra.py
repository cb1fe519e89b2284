"""Commands that make one sorted set out of several, or out of sets (whose members are scored 1): union, intersection
and difference.

Each step holds the keys of all of them, and of the target. What is NaN on the way (0 times infinity, infinity less
infinity) is 0.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from tsunami_server.arguments import SYNTAX, double, integer, positive
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.commands.zsets import told
from tsunami_server.session import Session
from tsunami_server.values import Set, Step, ZSet, kind_of
from tsunami_server.values.zset import Pair


class Scored(Protocol):
    """What can be put together."""

    def __len__(self) -> int: ...
    def score(self, member: bytes, /) -> float | None: ...
    def pairs(self) -> Iterator[Pair]: ...


class ScoredSet:
    """A set, each member scored 1."""

    def __init__(self, members: Set) -> None:
        self._members = members

    def __len__(self) -> int:
        return len(self._members)

    def score(self, member: bytes) -> float | None:
        return 1.0 if member in self._members else None

    def pairs(self) -> Iterator[Pair]:
        return ((member, 1.0) for member in self._members.members())


NOTHING: Scored = ZSet()


def open_scored(step: Step, key: bytes) -> Scored:
    """The value of a key; nothing, if there is none. CommandError: WRONGTYPE."""
    kind = kind_of(step.entry(key)[0])
    if kind == "set":
        members = step.value(key, Set)
        assert members is not None
        return ScoredSet(members)
    return step.value(key, ZSet) or NOTHING


# ---- what is asked for


def plus(a: float, b: float) -> float:
    total = a + b
    return total if total == total else 0.0


AGGREGATES: dict[bytes, Callable[[float, float], float]] = {
    b"SUM": plus,
    b"MIN": lambda a, b: b if b < a else a,
    b"MAX": lambda a, b: b if b > a else a,
}


class Question:
    """`numkeys key ... [WEIGHTS ...] [AGGREGATE ...] [WITHSCORES]`, or LIMIT."""

    def __init__(self, words: list[bytes], name: str) -> None:
        count = integer(words[0])
        if count < 1:
            raise CommandError(f"ERR at least 1 input key is needed for '{name}' command")
        if count > len(words) - 1:
            raise CommandError(SYNTAX)
        self.keys = words[1 : 1 + count]
        self.options = words[1 + count :]
        self.weights = [1.0] * count
        self.aggregate = AGGREGATES[b"SUM"]
        self.with_scores = False
        self.limit = 0

    def parse(self, allowed: frozenset[bytes]) -> None:
        """Read the options, which Redis does after it has looked at the keys."""
        at = 0
        while at < len(self.options):
            word = self.options[at].upper()
            if word not in allowed:
                raise CommandError(SYNTAX)
            at += self._take(word, self.options[at + 1 :])

    def _take(self, word: bytes, following: list[bytes]) -> int:
        """Note one option; the number of words it took."""
        count = len(self.keys)
        if word == b"WITHSCORES":
            self.with_scores = True
            return 1
        if len(following) < (count if word == b"WEIGHTS" else 1):
            raise CommandError(SYNTAX)
        if word == b"WEIGHTS":
            self.weights = [double(weight, "ERR weight value is not a float") for weight in following[:count]]
            return 1 + count
        if word == b"AGGREGATE":
            if following[0].upper() not in AGGREGATES:
                raise CommandError(SYNTAX)
            self.aggregate = AGGREGATES[following[0].upper()]
        else:
            self.limit = positive(following[0], "ERR LIMIT can't be negative")
        return 2


SHOWN, COUNTED = b"WITHSCORES", b"LIMIT"
WEIGHED = frozenset((b"WEIGHTS", b"AGGREGATE"))


def weigh(score: float, weight: float) -> float:
    product = score * weight
    return product if product == product else 0.0


# ---- the three of them


def union(question: Question, sources: list[Scored]) -> dict[bytes, float]:
    made: dict[bytes, float] = {}
    for source, weight in in_order_of_size(question, sources):
        for member, score in source.pairs():
            score = weigh(score, weight)
            old = made.get(member)
            made[member] = score if old is None else question.aggregate(old, score)
    return made


def intersection(question: Question, sources: list[Scored]) -> dict[bytes, float]:
    (smallest, weight), *others = in_order_of_size(question, sources)
    made: dict[bytes, float] = {}
    for member, score in smallest.pairs():
        total = weigh(score, weight)
        for source, by in others:
            value = source.score(member)
            if value is None:
                break
            total = question.aggregate(total, value * by)
        else:
            made[member] = total
            if len(made) == question.limit:  # 0: no limit
                break
    return made


def difference(question: Question, sources: list[Scored]) -> dict[bytes, float]:
    first, *others = sources
    made = dict(first.pairs())
    for source in others:
        if len(source) <= len(made):
            for member, _ in source.pairs():
                made.pop(member, None)
        else:
            made = {member: score for member, score in made.items() if source.score(member) is None}
    return made


def in_order_of_size(question: Question, sources: list[Scored]) -> list[tuple[Scored, float]]:
    return sorted(zip(sources, question.weights, strict=True), key=lambda pair: len(pair[0]))


Rule = Callable[[Question, list[Scored]], dict[bytes, float]]


def combine(step: Step, question: Question, rule: Rule, allowed: frozenset[bytes]) -> ZSet:
    sources = [open_scored(step, key) for key in question.keys]
    question.parse(allowed)
    return ZSet(None, rule(question, sources))


def show(session: Session, args: list[bytes], rule: Rule, name: str, options: frozenset[bytes] = WEIGHED) -> Reply:
    question = Question(args, name)
    with Step(session, *question.keys) as step:
        made = combine(step, question, rule, options | {SHOWN})
    return told(session, made.slice(0, len(made)), question.with_scores)


def store(session: Session, args: list[bytes], rule: Rule, name: str, options: frozenset[bytes] = WEIGHED) -> Reply:
    target, *words = args
    question = Question(words, name)
    with Step(session, target, *question.keys) as step:
        made = combine(step, question, rule, options)
        size, erased = len(made), step.replace(target, made)
    session.notify_stored("z", name, target, size, erased)
    return size


OPTIONS = "[WEIGHTS weight:integer ...] [AGGREGATE aggregate=(SUM | MIN | MAX)]"


@command(
    f"ZUNION numkeys:integer key ... {OPTIONS} [WITHSCORES]", "readonly movablekeys", group="sorted-set",
    since="6.2.0", keys="1# RO access", summary="The members of several sorted sets, with their scores together.",
    complexity="O(N)+O(M*log(M)) for M members out of N",
)  # fmt: skip
def zunion(session: Session, args: list[bytes]) -> Reply:
    return show(session, args, union, "zunion")


@command(
    f"ZUNIONSTORE destination numkeys:integer key ... {OPTIONS}", "write denyoom movablekeys", group="sorted-set",
    since="2.0.0", keys=("1 OW update", "2# RO access"), summary="Store the union of sorted sets, and tell its size.",
    complexity="O(N)+O(M*log(M)) for M members out of N",
)  # fmt: skip
def zunionstore(session: Session, args: list[bytes]) -> Reply:
    return store(session, args, union, "zunionstore")


@command(
    f"ZINTER numkeys:integer key ... {OPTIONS} [WITHSCORES]", "readonly movablekeys", group="sorted-set",
    since="6.2.0", keys="1# RO access",
    summary="The members that all of several sorted sets have, with their scores together.",
    complexity="O(N*K)+O(M*log(M)) for the smallest of K with N members, M of them found",
)  # fmt: skip
def zinter(session: Session, args: list[bytes]) -> Reply:
    return show(session, args, intersection, "zinter")


@command(
    f"ZINTERSTORE destination numkeys:integer key ... {OPTIONS}", "write denyoom movablekeys", group="sorted-set",
    since="2.0.0", keys=("1 OW update", "2# RO access"),
    summary="Store the intersection of sorted sets, and tell its size.",
    complexity="O(N*K)+O(M*log(M)) for the smallest of K with N members, M of them found",
)  # fmt: skip
def zinterstore(session: Session, args: list[bytes]) -> Reply:
    return store(session, args, intersection, "zinterstore")


@command(
    "ZINTERCARD numkeys:integer key ... [LIMIT limit:integer]", "readonly movablekeys", group="sorted-set",
    since="7.0.0", keys="1# RO access", summary="How many members all of several sorted sets have, up to a limit.",
    complexity="O(N*K) for the smallest of K with N members",
)  # fmt: skip
def zintercard(session: Session, args: list[bytes]) -> Reply:
    question = Question(args, "zintercard")
    with Step(session, *question.keys) as step:
        return len(combine(step, question, intersection, frozenset((COUNTED,))))


@command(
    "ZDIFF numkeys:integer key ... [WITHSCORES]", "readonly movablekeys", group="sorted-set", since="6.2.0",
    keys="1# RO access", summary="The members of the first sorted set that none of the others has.",
    complexity="O(N+M*log(M)) for N members of all of them, M of them found",
)  # fmt: skip
def zdiff(session: Session, args: list[bytes]) -> Reply:
    return show(session, args, difference, "zdiff", frozenset())


@command(
    "ZDIFFSTORE destination numkeys:integer key ...", "write denyoom movablekeys", group="sorted-set", since="6.2.0",
    keys=("1 OW update", "2# RO access"), summary="Store the difference of sorted sets, and tell its size.",
    complexity="O(N+M*log(M)) for N members of all of them, M of them found",
)  # fmt: skip
def zdiffstore(session: Session, args: list[bytes]) -> Reply:
    return store(session, args, difference, "zdiffstore", frozenset())
