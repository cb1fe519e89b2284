"""Commands on sorted sets: Z*, but those that make one out of several (zsets_algebra.py) and those that
take out the first or the last (pops.py).

What a range is, by rank, by score or by member, is told by three small classes with one method: `span`, the ranks that
it means in a given sorted set. All else (ZRANGE, ZCOUNT, ZREMRANGEBY*, ZRANGESTORE and their older names) is done with
ranks.

Replies: a score is a double in RESP3, its shortest text in RESP2; members with scores are pairs in RESP3, and a flat
array in RESP2.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tsunami._wire import NullArray, encode
from tsunami_server.arguments import INT64_MAX, SYNTAX, bound, double, integer, within
from tsunami_server.command import CommandError, Reply, command, wrong_number
from tsunami_server.scanning import ScanOptions, scan_cursor
from tsunami_server.session import Session
from tsunami_server.values import Step, ZSet, read
from tsunami_server.values.zset import Pair

NAN = "ERR resulting score is not a number (NaN)"
BAD_SCORES = "ERR min or max is not a float"
BAD_MEMBERS = "ERR min or max not valid string range item"


def told(session: Session, pairs: list[Pair], with_scores: bool = True) -> Reply:
    """Members, or members with their scores, as this connection has them."""
    if not with_scores:
        return [member for member, _ in pairs]
    return [list(pair) for pair in pairs] if session.conn.resp >= 3 else flat(pairs)


def flat(pairs: list[Pair]) -> list[object]:
    return [part for pair in pairs for part in pair]


# ---- ranges


class Range(Protocol):
    def span(self, zset: ZSet, reverse: bool) -> tuple[int, int]:
        """The ranks it means, from the first to behind the last; empty if the second is no greater.

        By rank: from the end, if `reverse`.
        """


@dataclass(frozen=True, slots=True)
class RankRange:
    start: int
    stop: int  # included

    @classmethod
    def parse(cls, first: bytes, last: bytes) -> "RankRange":
        return cls(integer(first), integer(last))

    def span(self, zset: ZSet, reverse: bool) -> tuple[int, int]:
        length = len(zset)
        start = max(self.start + length, 0) if self.start < 0 else self.start
        stop = min((self.stop + length if self.stop < 0 else self.stop) + 1, length)
        return (length - stop, length - start) if reverse else (start, stop)


@dataclass(frozen=True, slots=True)
class ScoreRange:
    low: float
    high: float
    low_open: bool
    high_open: bool

    @classmethod
    def parse(cls, low: bytes, high: bytes) -> "ScoreRange":
        low_open, high_open = low.startswith(b"("), high.startswith(b"(")
        return cls(bound(low[low_open:], BAD_SCORES), bound(high[high_open:], BAD_SCORES), low_open, high_open)

    def span(self, zset: ZSet, reverse: bool) -> tuple[int, int]:
        start = zset.behind(self.low) if self.low_open else zset.before(self.low)
        return start, zset.before(self.high) if self.high_open else zset.behind(self.high)


@dataclass(frozen=True, slots=True)
class MemberRange:
    """By member: `-`, `+`, `[member` or `(member`. All scores should be the same.

    Where they are not, Redis promises nothing; the first member that is in the range begins it then, and the first
    behind that which is not ends it.
    """

    low: bytes
    high: bytes

    @classmethod
    def parse(cls, low: bytes, high: bytes) -> "MemberRange":
        for word in (low, high):
            if word not in (b"-", b"+") and word[:1] not in (b"[", b"("):
                raise CommandError(BAD_MEMBERS)
        return cls(low, high)

    def span(self, zset: ZSet, reverse: bool) -> tuple[int, int]:
        score = zset.at(0)[1]
        if score != zset.at(len(zset) - 1)[1]:
            return self._span_of_any(zset, reverse)
        return self._place(zset, score, self.low, b"("), self._place(zset, score, self.high, b"[")

    @staticmethod
    def _place(zset: ZSet, score: float, word: bytes, behind: bytes) -> int:
        """How many stand before this end; `behind`: the bracket with which the member itself stands before it, too."""
        if word in (b"-", b"+"):
            return 0 if word == b"-" else len(zset)
        return zset.before(score, word[1:] + b"\0" if word[:1] == behind else word[1:])

    def _span_of_any(self, zset: ZSet, reverse: bool) -> tuple[int, int]:
        length = len(zset)
        members = [member for member, _ in zset.slice(0, length, reverse)]
        begins, goes_on = (self._is_below, self._is_above) if reverse else (self._is_above, self._is_below)
        start = next((rank for rank, member in enumerate(members) if begins(member)), length)
        stop = next((rank for rank in range(start, length) if not goes_on(members[rank])), length)
        return (length - stop, length - start) if reverse else (start, stop)

    def _is_above(self, member: bytes) -> bool:
        return self.low == b"-" or (
            self.low != b"+" and (member > self.low[1:] or (self.low[:1] == b"[" and member == self.low[1:]))
        )

    def _is_below(self, member: bytes) -> bool:
        return self.high == b"+" or (
            self.high != b"-" and (member < self.high[1:] or (self.high[:1] == b"[" and member == self.high[1:]))
        )


RANGES: dict[str, Callable[[bytes, bytes], Range]] = {
    "rank": RankRange.parse, "score": ScoreRange.parse, "lex": MemberRange.parse,
}  # fmt: skip


class RangeQuery:
    """The words of ZRANGE and its kin behind the key."""

    def __init__(self, words: list[bytes], by: str | None, reverse: bool | None, *, store: bool = False) -> None:
        """`by`, `reverse`: where the command's name says so; None: the words may."""
        self.with_scores = False
        self.offset, self.limit = 0, -1
        self._by, self._reverse = by, reverse
        at = 2
        while at < len(words):
            at += self._take(words, at, store)
        by, self.reverse = self._by or "rank", bool(self._reverse)
        if self.limit != -1 and by == "rank":
            raise CommandError(f"{SYNTAX}, LIMIT is only supported in combination with either BYSCORE or BYLEX")
        if self.with_scores and by == "lex":
            raise CommandError(f"{SYNTAX}, WITHSCORES not supported in combination with BYLEX")
        first, last = words[:2]
        if self.reverse and by != "rank":
            first, last = last, first
        self.range = RANGES[by](first, last)

    def _take(self, words: list[bytes], at: int, store: bool) -> int:
        """Note one option; the number of words it took."""
        word = words[at].upper()
        if word == b"WITHSCORES" and not store:
            self.with_scores = True
        elif word == b"LIMIT" and len(words) - at > 2:
            self.offset, self.limit = integer(words[at + 1]), integer(words[at + 2])
            return 3
        elif word == b"REV" and self._reverse is None:
            self._reverse = True
        elif word in (b"BYLEX", b"BYSCORE") and self._by is None:
            self._by = word[2:].lower().decode()
        else:
            raise CommandError(SYNTAX)
        return 1

    def found(self, zset: ZSet) -> list[Pair]:
        start, stop = self.range.span(zset, self.reverse)
        if self.offset < 0 or start >= stop:
            return []
        limit = self.limit if self.limit >= 0 else stop - start
        if self.reverse:
            return zset.slice(max(start, stop - self.offset - limit), stop - self.offset, True)
        return zset.slice(start + self.offset, min(stop, start + self.offset + limit))


def show_range(session: Session, args: list[bytes], by: str | None = None, reverse: bool | None = None) -> Reply:
    key, *words = args
    query = RangeQuery(words, by, reverse)
    with Step(session, key) as step:
        zset = step.value(key, ZSet)
        return [] if zset is None else told(session, query.found(zset), query.with_scores)


@command(
    "ZRANGE key start:string stop:string sortby=[BYSCORE | BYLEX] [REV] [LIMIT offset_count=(offset count)] "
    "[WITHSCORES]", "readonly", hot=True, group="sorted-set", since="1.2.0",
    keys="1 RO access",
    summary="The members of a range, by rank, by score or by member.",
    complexity="O(log(N)+M) for M members",
)  # fmt: skip
def zrange(session: Session, args: list[bytes]) -> Reply:
    return show_range(session, args)


@command(
    "ZREVRANGE key start stop:integer [WITHSCORES]", "readonly", hot=True, group="sorted-set", since="1.2.0",
    keys="1 RO access",
    summary="The members of a range of ranks, from the greatest score down.", complexity="O(log(N)+M) for M members",
    replaced_by="`ZRANGE` with the `REV` argument",
)  # fmt: skip
def zrevrange(session: Session, args: list[bytes]) -> Reply:
    return show_range(session, args, "rank", True)


@command(
    "ZRANGEBYSCORE key min:double max:double [WITHSCORES] [LIMIT offset_count=(offset count)]", "readonly",
    group="sorted-set", since="1.0.5", keys="1 RO access", summary="The members whose scores are in a range.",
    complexity="O(log(N)+M) for M members", replaced_by="`ZRANGE` with the `BYSCORE` argument",
)  # fmt: skip
def zrangebyscore(session: Session, args: list[bytes]) -> Reply:
    return show_range(session, args, "score", False)


@command(
    "ZREVRANGEBYSCORE key max:double min:double [WITHSCORES] [LIMIT offset_count=(offset count)]", "readonly",
    group="sorted-set", since="2.2.0", keys="1 RO access",
    summary="The members whose scores are in a range, from the greatest score down.",
    complexity="O(log(N)+M) for M members", replaced_by="`ZRANGE` with the `REV` and `BYSCORE` arguments",
)  # fmt: skip
def zrevrangebyscore(session: Session, args: list[bytes]) -> Reply:
    return show_range(session, args, "score", True)


@command(
    "ZRANGEBYLEX key min max [LIMIT offset_count=(offset count)]", "readonly", group="sorted-set", since="2.8.9",
    keys="1 RO access", summary="The members between two members, where all scores are the same.",
    complexity="O(log(N)+M) for M members", replaced_by="`ZRANGE` with the `BYLEX` argument",
)  # fmt: skip
def zrangebylex(session: Session, args: list[bytes]) -> Reply:
    return show_range(session, args, "lex", False)


@command(
    "ZREVRANGEBYLEX key max min [LIMIT offset_count=(offset count)]", "readonly", group="sorted-set", since="2.8.9",
    keys="1 RO access", summary="The members between two members, from the last one down.",
    complexity="O(log(N)+M) for M members", replaced_by="`ZRANGE` with the `REV` and `BYLEX` arguments",
)  # fmt: skip
def zrevrangebylex(session: Session, args: list[bytes]) -> Reply:
    return show_range(session, args, "lex", True)


@command(
    "ZRANGESTORE dst:key src:key min max sortby=[BYSCORE | BYLEX] [REV] [LIMIT offset_count=(offset count)]",
    "write denyoom", group="sorted-set", since="6.2.0", keys=("1 OW update", "2 RO access"),
    summary="Store the members of a range as another sorted set, and tell how many they are.",
    complexity="O(log(N)+M) for M members",
)  # fmt: skip
def zrangestore(session: Session, args: list[bytes]) -> Reply:
    target, source, *words = args
    query = RangeQuery(words, None, None, store=True)
    with Step(session, target, source) as step:
        zset = step.value(source, ZSet)
        made = ZSet(None, {} if zset is None else dict(query.found(zset)))
        size, erased = len(made), step.replace(target, made)
    session.notify_stored("z", "zrangestore", target, size, erased)
    return size


def count_range(session: Session, key: bytes, range_: Range) -> int:
    with Step(session, key) as step:
        zset = step.value(key, ZSet)
        if zset is None:
            return 0
        start, stop = range_.span(zset, False)
        return max(stop - start, 0)


@command(
    "ZCOUNT key min:double max:double", "readonly fast", group="sorted-set", since="2.0.0", keys="1 RO access",
    summary="How many members have a score in a range.", complexity="O(log(N))",
)  # fmt: skip
def zcount(session: Session, args: list[bytes]) -> Reply:
    return count_range(session, args[0], ScoreRange.parse(*args[1:]))


@command(
    "ZLEXCOUNT key min max", "readonly fast", group="sorted-set", since="2.8.9", keys="1 RO access",
    summary="How many members stand between two members, where all scores are the same.", complexity="O(log(N))",
)  # fmt: skip
def zlexcount(session: Session, args: list[bytes]) -> Reply:
    return count_range(session, args[0], MemberRange.parse(*args[1:]))


def remove_range(session: Session, key: bytes, range_: Range, event: str) -> int:
    with Step(session, key) as step:
        zset = step.value(key, ZSet)
        if zset is None:
            return 0
        removed = zset.remove_span(*range_.span(zset, False))
    if removed:
        session.notify_taken("z", event, key, zset.vanishes)
    return removed


@command(
    "ZREMRANGEBYRANK key start stop:integer", "write", group="sorted-set", since="2.0.0", keys="1 RW delete",
    summary="Remove the members of a range of ranks, and tell how many they were.",
    complexity="O(log(N)+M) for M members",
)  # fmt: skip
def zremrangebyrank(session: Session, args: list[bytes]) -> Reply:
    return remove_range(session, args[0], RankRange.parse(*args[1:]), "zremrangebyrank")


@command(
    "ZREMRANGEBYSCORE key min:double max:double", "write", group="sorted-set", since="1.2.0", keys="1 RW delete",
    summary="Remove the members whose scores are in a range, and tell how many they were.",
    complexity="O(log(N)+M) for M members",
)  # fmt: skip
def zremrangebyscore(session: Session, args: list[bytes]) -> Reply:
    return remove_range(session, args[0], ScoreRange.parse(*args[1:]), "zremrangebyscore")


@command(
    "ZREMRANGEBYLEX key min max", "write", group="sorted-set", since="2.8.9", keys="1 RW delete",
    summary="Remove the members between two members, and tell how many they were.",
    complexity="O(log(N)+M) for M members",
)  # fmt: skip
def zremrangebylex(session: Session, args: list[bytes]) -> Reply:
    return remove_range(session, args[0], MemberRange.parse(*args[1:]), "zremrangebylex")


# ---- ZADD

ADD_OPTIONS = frozenset((b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"))


class Addition:
    """What ZADD was asked to do, and the outcome."""

    def __init__(self, words: list[bytes]) -> None:
        at = next((at for at, word in enumerate(words) if word.upper() not in ADD_OPTIONS), len(words))
        self.options = {word.upper() for word in words[:at]}
        given = words[at:]
        if not given or len(given) % 2:
            raise CommandError(SYNTAX)
        if self.options >= {b"NX", b"XX"}:
            raise CommandError("ERR XX and NX options at the same time are not compatible")
        if len(self.options & {b"GT", b"LT", b"NX"}) > 1:
            raise CommandError("ERR GT, LT, and/or NX options at the same time are not compatible")
        if b"INCR" in self.options and len(given) > 2:
            raise CommandError("ERR INCR option supports a single increment-element pair")
        self.pairs = [(double(score), member) for score, member in zip(given[::2], given[1::2], strict=True)]
        self.added = self.updated = 0
        self.score: float | None = None  # of the last pair; None: its member was left alone

    def apply(self, zset: ZSet) -> None:
        for score, member in self.pairs:
            self.score = self._put(zset, member, score)

    def _put(self, zset: ZSet, member: bytes, score: float) -> float | None:
        old, options = zset.score(member), self.options
        if old is None:
            if b"XX" in options:
                return None
            self.added += 1
        else:
            if b"NX" in options:
                return None
            if b"INCR" in options:
                score += old
                if score != score:
                    raise CommandError(NAN)
            if (b"LT" in options and score >= old) or (b"GT" in options and score <= old):
                return None
            if score == old:
                return score
            self.updated += 1
        zset.set(member, score)
        return score


def add(session: Session, key: bytes, addition: Addition) -> None:
    with Step(session, key) as step:
        addition.apply(step.change(key, ZSet))
    if addition.added or addition.updated:
        session.notify("z", "zincr" if b"INCR" in addition.options else "zadd", key)


@command(
    "ZADD key condition=[NX | XX] comparison=[GT | LT] change=[CH] increment=[INCR] (score:double member) ...",
    "write denyoom fast", hot=True, group="sorted-set", since="1.2.0", keys="1 RW update",
    summary="Add members with their scores, or change the scores, and tell how many are new.",
    complexity="O(log(N)) for each member",
)  # fmt: skip
def zadd(session: Session, args: list[bytes]) -> Reply:
    addition = Addition(args[1:])
    add(session, args[0], addition)
    if b"INCR" in addition.options:
        return addition.score
    return addition.added + (addition.updated if b"CH" in addition.options else 0)


@command(
    "ZINCRBY key increment:integer member", "write denyoom fast", hot=True, group="sorted-set", since="1.2.0",
    keys="1 RW access update", summary="Add to the score of a member (0 if it is none yet), and tell the new one.",
    complexity="O(log(N))",
)  # fmt: skip
def zincrby(session: Session, args: list[bytes]) -> Reply:
    key, increment, member = args
    addition = Addition([b"INCR", increment, member])
    add(session, key, addition)
    return addition.score


@command(
    "ZREM key member ...", "write fast", group="sorted-set", since="1.2.0", keys="1 RW delete",
    summary="Remove members, and tell how many there were.", complexity="O(M*log(N)) for M members",
)  # fmt: skip
def zrem(session: Session, args: list[bytes]) -> Reply:
    key, *members = args
    with Step(session, key) as step:
        zset = step.value(key, ZSet)
        if zset is None:
            return 0
        removed = sum([zset.remove(member) for member in members])
    if removed:
        session.notify_taken("z", "zrem", key, zset.vanishes)
    return removed


# ---- single members


@command("ZCARD key", "readonly fast", hot=True, group="sorted-set", since="1.2.0", keys="1 RO",
         summary="The number of members.")  # fmt: skip
def zcard(session: Session, args: list[bytes]) -> Reply:
    zset = read(session, args[0], ZSet)
    return 0 if zset is None else len(zset)


@command("ZSCORE key member", "readonly fast", hot=True, group="sorted-set", since="1.2.0", keys="1 RO access",
         summary="The score of a member, or null.")  # fmt: skip
def zscore(session: Session, args: list[bytes]) -> Reply:
    zset = read(session, args[0], ZSet)
    return None if zset is None else zset.score(args[1])


@command("ZMSCORE key member ...", "readonly fast", group="sorted-set", since="6.2.0", keys="1 RO access",
         summary="The scores of several members.", complexity="O(M) for M members")  # fmt: skip
def zmscore(session: Session, args: list[bytes]) -> Reply:
    key, *members = args
    with Step(session, key) as step:
        zset = step.value(key, ZSet)
        return [None if zset is None else zset.score(member) for member in members]


def show_rank(session: Session, args: list[bytes], name: str, reverse: bool) -> Reply:
    if len(args) > 3:
        raise wrong_number(name)
    with_score = len(args) == 3
    if with_score and args[2].upper() != b"WITHSCORE":
        raise CommandError(SYNTAX)
    key, member = args[:2]
    with Step(session, key) as step:
        zset = step.value(key, ZSet)
        score = None if zset is None else zset.score(member)
        if zset is None or score is None:
            return NullArray() if with_score else None
        rank = zset.before(score, member)
        rank = len(zset) - 1 - rank if reverse else rank
        return [rank, score] if with_score else rank


@command("ZRANK key member [WITHSCORE]", "readonly fast", hot=True, group="sorted-set", since="2.0.0",
         keys="1 RO access",
         summary="How many members stand before a member.", complexity="O(log(N))")  # fmt: skip
def zrank(session: Session, args: list[bytes]) -> Reply:
    return show_rank(session, args, "zrank", False)


@command("ZREVRANK key member [WITHSCORE]", "readonly fast", group="sorted-set", since="2.0.0", keys="1 RO access",
         summary="How many members stand behind a member.", complexity="O(log(N))")  # fmt: skip
def zrevrank(session: Session, args: list[bytes]) -> Reply:
    return show_rank(session, args, "zrevrank", True)


# ---- some of them


@command(
    "ZSCAN key cursor:integer [MATCH pattern] [COUNT count:integer]", "readonly", group="sorted-set", since="2.8.0",
    keys="1 RO access", tips="nondeterministic_output",
    summary="Walk over the members: some of them with their scores, and the cursor to go on with.",
    complexity="O(1) a call, O(N) for all",
)  # fmt: skip
def zscan(session: Session, args: list[bytes]) -> Reply:
    cursor = scan_cursor(args[1])
    with Step(session, args[0]) as step:
        zset = step.value(args[0], ZSet)
        if zset is None:
            return [b"0", []]
        options = ScanOptions.parse(args[2:])
        cursor, pairs = zset.scan(cursor, options.count)
    kept = set(options.keep([member for member, _ in pairs]))
    found = [(member, score_text(score)) for member, score in pairs if member in kept]
    return [b"%d" % cursor, [part for pair in found for part in pair]]


def score_text(score: float) -> bytes:
    """A score as a word, also in RESP3."""
    return encode(score, 2).split(b"\r\n")[1]


@command(
    "ZRANDMEMBER key options=[count [WITHSCORES]]", "readonly", group="sorted-set", since="6.2.0", keys="1 RO access",
    summary="A member at random; with a count so many different ones, with a negative one also the same again.",
    complexity="O(M*log(N)) for M members", tips="nondeterministic_output",
)  # fmt: skip
def zrandmember(session: Session, args: list[bytes]) -> Reply:
    key, *options = args
    count = within(options[0], -INT64_MAX, INT64_MAX) if options else 1
    with_scores = len(options) == 2
    if len(options) > 2 or (with_scores and options[1].upper() != b"WITHSCORES"):
        raise CommandError(SYNTAX)
    if with_scores and abs(count) > INT64_MAX // 2:
        raise CommandError("ERR value is out of range")
    with Step(session, key) as step:
        zset = step.value(key, ZSet)
        if zset is None:
            return [] if options else None
        pairs = random_pairs(zset, count)
    return told(session, pairs, with_scores) if options else pairs[0][0]


def random_pairs(zset: ZSet, count: int) -> list[Pair]:
    length = len(zset)
    if count >= length:
        return zset.slice(0, length)
    ranks = random.choices(range(length), k=-count) if count < 0 else random.sample(range(length), count)
    return [zset.at(rank) for rank in ranks]
