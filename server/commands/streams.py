"""Streams, without consumer groups: XADD, XRANGE, XREAD and their kin.

An id is `ms-seq`, two integers of 64 bits. Trimming that is only approximate (`~`) removes whole nodes of
stream-node-max-entries, as Redis's does: so the same calls leave the same entries.
"""

from collections.abc import Awaitable
from dataclasses import dataclass

from tsunami._wire import OK, NullArray
from tsunami_server.arguments import SYNTAX, integer, timeout_ms
from tsunami_server.blocking import NOT_YET
from tsunami_server.command import HELP, CommandError, Reply, add_help, command, container, wrong_number
from tsunami_server.session import Session
from tsunami_server.values import Step, Stream, read
from tsunami_server.values.stream import GREATEST, ID_MAX, ZERO, Entry, Id

BAD_ID = "ERR Invalid stream ID specified as stream command argument"
TOO_SMALL = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
EXHAUSTED = "ERR The stream has exhausted the last possible ID, unable to add more items"
NO_SUCH_KEY = "ERR no such key"
ONLY_FOR_GROUPS = (
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
)
UNBALANCED = "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."
LIMIT_NODES = 100  # nodes that an approximate trim without LIMIT removes at most


# ---- ids


def half(word: bytes) -> int:
    """One of an id's two numbers: plain digits, 64 bits without a sign."""
    if not word.isdigit() or len(word) > 20 or int(word) > ID_MAX:
        raise CommandError(BAD_ID)
    return int(word)


def id_of(word: bytes, missing: int = 0) -> Id:
    """`ms-seq`, or `ms` alone, whose seq is the one that is `missing`."""
    ms, dash, seq = word.partition(b"-")
    return half(ms), half(seq) if dash else missing


def spelled(id: Id) -> bytes:
    return b"%d-%d" % id


def following(id: Id) -> Id | None:
    """The next id there can be."""
    ms, seq = id
    if seq < ID_MAX:
        return ms, seq + 1
    return (ms + 1, 0) if ms < ID_MAX else None


def preceding(id: Id) -> Id | None:
    ms, seq = id
    if seq > 0:
        return ms, seq - 1
    return (ms - 1, ID_MAX) if ms > 0 else None


def told(entries: list[Entry]) -> list[Reply]:
    return [[spelled(id), list(parts)] for id, parts in entries]


# ---- trimming


@dataclass(frozen=True, slots=True)
class Trim:
    """How much of a stream is to stay."""

    length: int | None  # MAXLEN
    least: Id | None  # MINID
    approximate: bool
    limit: int | None

    def apply(self, session: Session, stream: Stream) -> int:
        """Remove what is too much; how many entries that were."""
        surplus = len(stream) - self.length if self.length is not None else stream.below(self.least or ZERO)
        if surplus <= 0:
            return 0
        node = session.setting("stream-node-max-entries")
        limit = self.limit
        if self.approximate:
            if limit is None:
                limit = LIMIT_NODES * node
            if limit:
                surplus = min(surplus, limit)
            if node:
                surplus = whole_nodes(stream, surplus, node)
        return stream.cut(surplus)


def whole_nodes(stream: Stream, surplus: int, node: int) -> int:
    """How many of the first entries make up whole nodes, if each has held `node` entries from the first one ever on."""
    if surplus == len(stream):
        return surplus
    first = node - (stream.added - len(stream)) % node
    return 0 if surplus < first else surplus - (surplus - first) % node


def check_new_id(word: bytes) -> None:
    """Is it one that XADD can take: an id, `*` or `ms-*`?"""
    ms, _, seq = word.partition(b"-")
    if seq == b"*":
        half(ms)
    elif word != b"*":
        id_of(word)


class Options:
    """What stands before the id of XADD, or behind the key of XTRIM."""

    def __init__(self, words: list[bytes], *, adding: bool) -> None:
        self.make = True
        self._kind: bytes | None = None
        self._approximate = False
        self._threshold = b""
        self._limit: int | None = None
        self.taken = 0  # words
        while self.taken < len(words):
            if not self._take(words[self.taken :], adding):
                check_new_id(words[self.taken])
                break
        if self._limit is not None and self._kind is None:
            raise CommandError("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
        if not adding and self._kind is None:
            raise CommandError("ERR syntax error, XTRIM called without an option to trim the stream")
        if self._limit is not None and not self._approximate:
            raise CommandError("ERR syntax error, LIMIT cannot be used without the special ~ option")

    def _take(self, words: list[bytes], adding: bool) -> bool:
        word = words[0].upper()
        if word in (b"MAXLEN", b"MINID") and len(words) > 1:
            if self._kind is not None:
                raise CommandError("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
            self._kind = word
            mark = words[1] in (b"=", b"~") and len(words) > 2
            self._approximate = mark and words[1] == b"~"
            self._threshold = words[2] if mark else words[1]
            self._check()
            self.taken += 3 if mark else 2
        elif word == b"LIMIT" and len(words) > 1:
            self._limit = integer(words[1])
            if self._limit < 0:
                raise CommandError("ERR The LIMIT argument must be >= 0.")
            self.taken += 2
        elif adding and word == b"NOMKSTREAM":
            self.make = False
            self.taken += 1
        elif adding:
            return False
        else:
            raise CommandError(SYNTAX)
        return True

    def _check(self) -> None:
        if self._kind == b"MAXLEN":
            if integer(self._threshold) < 0:
                raise CommandError("ERR The MAXLEN argument must be >= 0.")
        else:
            id_of(self._threshold)

    @property
    def trim(self) -> Trim | None:
        if self._kind is None:
            return None
        if self._kind == b"MAXLEN":
            return Trim(integer(self._threshold), None, self._approximate, self._limit)
        return Trim(None, id_of(self._threshold), self._approximate, self._limit)


# ---- writing


def next_id(session: Session, stream: Stream, word: bytes) -> Id:
    """The id that XADD means by `*`, `ms-*` or an id."""
    ms, _, seq = word.partition(b"-")
    if word == b"*":
        now = session.app.now_ms()
        if now > stream.last[0]:
            return now, 0
        after = following(stream.last)
        if after is None:
            raise CommandError(EXHAUSTED)
        return after
    if seq == b"*":
        return next_of(stream, half(ms))
    id = id_of(word)
    if stream.last == GREATEST:
        raise CommandError(EXHAUSTED)
    if id <= stream.last:
        raise CommandError(TOO_SMALL)
    return id


def next_of(stream: Stream, ms: int) -> Id:
    """The next id in a given millisecond."""
    if stream.last == GREATEST:
        raise CommandError(EXHAUSTED)
    if ms < stream.last[0] or (ms == stream.last[0] and stream.last[1] == ID_MAX):
        raise CommandError(TOO_SMALL)
    if ms > stream.last[0]:
        return ms, 0
    return ms, stream.last[1] + 1


@command(
    "XADD key [NOMKSTREAM] trim=[strategy=(MAXLEN | MINID) operator=[equal=(=) | approximately=(~)] threshold "
    "[LIMIT count]] id_or_auto=(auto_id=(*) | id) (field value) ...",
    "write denyoom fast", group="stream", since="5.0.0", keys="1 RW update", arity=-5,
    summary="Add an entry to the end of a stream, and tell its id.", tips="nondeterministic_output",
    complexity="O(log N), and O(M) for M entries that are trimmed",
)  # fmt: skip
def xadd(session: Session, args: list[bytes]) -> Reply:
    key = args[0]
    options = Options(args[1:], adding=True)
    words = args[1 + options.taken :]
    if len(words) < 3 or len(words) % 2 == 0:
        raise wrong_number("xadd")
    if words[0] in (b"0", b"0-0"):
        raise CommandError("ERR The ID specified in XADD must be greater than 0-0")
    trimmed = 0
    with Step(session, key) as step:
        stream = step.value(key, Stream)
        if stream is None:
            if not options.make:
                return None
            stream = step.change(key, Stream)
        id = next_id(session, stream, words[0])
        stream.add(id, words[1:])
        if options.trim is not None:
            trimmed = options.trim.apply(session, stream)
    session.notify("t", "xadd", key)
    if trimmed:
        session.notify("t", "xtrim", key)
    return spelled(id)


@command(
    "XTRIM key trim=(strategy=(MAXLEN | MINID) operator=[equal=(=) | approximately=(~)] threshold [LIMIT count])",
    "write", group="stream",
    since="5.0.0", keys="1 RW delete", tips="nondeterministic_output",
    summary="Remove the oldest entries of a stream, so that no more than so many, or none below an id, stay.",
    complexity="O(log N + M) for M entries that are trimmed",
)  # fmt: skip
def xtrim(session: Session, args: list[bytes]) -> Reply:
    key = args[0]
    trim = Options(args[1:], adding=False).trim
    assert trim is not None
    with Step(session, key) as step:
        stream = step.value(key, Stream)
        removed = trim.apply(session, stream) if stream is not None else 0
    if removed:
        session.notify("t", "xtrim", key)
    return removed


@command(
    "XDEL key id ...", "write fast", group="stream", since="5.0.0", keys="1 RW delete",
    summary="Remove entries by their ids, and tell how many were there.", complexity="O(log N) for each id",
)  # fmt: skip
def xdel(session: Session, args: list[bytes]) -> Reply:
    key = args[0]
    with Step(session, key) as step:
        stream = step.value(key, Stream)
        if stream is None:
            return 0
        removed = stream.remove([id_of(word) for word in args[1:]])
    if removed:
        session.notify("t", "xdel", key)
    return removed


@command(
    "XSETID key last-id [ENTRIESADDED entries_added:integer] [MAXDELETEDID max_deleted_entry_id]",
    "write denyoom fast", group="stream", since="5.0.0", keys="1 RW update",
    summary="Set the last id of a stream, below which no entry can be added any more.", complexity="O(1)",
)  # fmt: skip
def xsetid(session: Session, args: list[bytes]) -> Reply:
    key, last = args[0], id_of(args[1])
    added: int | None = None
    deleted: Id | None = None
    words = args[2:]
    for at in range(0, len(words), 2):
        name, value = words[at].upper(), words[at + 1 : at + 2]
        if name == b"ENTRIESADDED" and value:
            added = integer(value[0])
            if added < 0:
                raise CommandError("ERR entries_added must be positive")
        elif name == b"MAXDELETEDID" and value:
            deleted = id_of(value[0])
            if last < deleted:
                raise CommandError("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
        else:
            raise CommandError(SYNTAX)
    with Step(session, key) as step:
        stream = step.value(key, Stream)
        if stream is None:
            raise CommandError(NO_SUCH_KEY)
        newest = stream.between(ZERO, GREATEST, 1, reverse=True)
        if newest and last < newest[0][0]:
            raise CommandError("ERR The ID specified in XSETID is smaller than the target stream top item")
        if added is not None and added < len(stream):
            raise CommandError("ERR The entries_added specified in XSETID is smaller than the target stream length")
        stream.reset(last, added, deleted)
    session.notify("t", "xsetid", key)
    return OK


# ---- reading


@command("XLEN key", "readonly fast", group="stream", since="5.0.0", keys="1 RO", summary="The number of entries.",
         complexity="O(1)")  # fmt: skip
def xlen(session: Session, args: list[bytes]) -> Reply:
    stream = read(session, args[0], Stream)
    return 0 if stream is None else len(stream)


def bound(word: bytes, *, low: bool) -> Id:
    """One end of a range: `-`, `+`, an id, or `(` and an id that is itself left out."""
    if word == b"-":
        return ZERO
    if word == b"+":
        return GREATEST
    id = id_of(word.removeprefix(b"("), 0 if low else ID_MAX)
    if not word.startswith(b"("):
        return id
    inner = following(id) if low else preceding(id)
    if inner is None:
        raise CommandError(f"ERR invalid {'start' if low else 'end'} ID for the interval")
    return inner


def ranged(session: Session, args: list[bytes], *, reverse: bool) -> Reply:
    key, first, second, *options = args
    low = bound(second if reverse else first, low=True)
    high = bound(first if reverse else second, low=False)
    count: int | None = None
    for at in range(0, len(options), 2):
        if options[at].upper() != b"COUNT" or at + 1 == len(options):
            raise CommandError(SYNTAX)
        count = max(integer(options[at + 1]), 0)
    stream = read(session, key, Stream)
    if stream is None:
        return []
    return NullArray() if count == 0 else told(stream.between(low, high, count, reverse=reverse))


@command(
    "XRANGE key start:string end:string [COUNT count]", "readonly", group="stream", since="5.0.0", keys="1 RO access",
    summary="The entries between two ids, the oldest first.", complexity="O(log N + M) for M entries",
)  # fmt: skip
def xrange_(session: Session, args: list[bytes]) -> Reply:
    return ranged(session, args, reverse=False)


@command(
    "XREVRANGE key end:string start:string [COUNT count]", "readonly", group="stream", since="5.0.0",
    keys="1 RO access", summary="The entries between two ids, the newest first.",
    complexity="O(log N + M) for M entries",
)  # fmt: skip
def xrevrange(session: Session, args: list[bytes]) -> Reply:
    return ranged(session, args, reverse=True)


@command(
    "XREAD [COUNT count] [BLOCK milliseconds] STREAMS streams=(key ... id ...)", "readonly blocking movablekeys",
    group="stream", since="5.0.0", keys="STREAMS RO access", arity=-4, acl="stream blocking",
    summary="The entries of several streams behind the ids that are known; waits for some, if told to.",
    complexity="O(log N + M) for M entries of each stream",
)  # fmt: skip
def xread(session: Session, args: list[bytes]) -> Reply | Awaitable[Reply]:
    count: int | None = None
    patience: int | None = None
    at = 0
    while True:
        word = args[at].upper() if at < len(args) else b""
        if word == b"STREAMS" and at + 1 < len(args):
            break
        if at + 1 >= len(args) or word not in (b"COUNT", b"BLOCK"):
            raise CommandError(SYNTAX)
        if word == b"COUNT":
            count = max(integer(args[at + 1]), 0) or None
        elif session.in_script:
            raise CommandError("ERR xread command is not allowed with BLOCK option from scripts")
        else:
            patience = timeout_ms(args[at + 1])
        at += 2
    words = args[at + 1 :]
    if len(words) % 2:
        raise CommandError(UNBALANCED)
    keys, wanted = words[: len(words) // 2], words[len(words) // 2 :]
    known = {key: behind(session, key, word) for key, word in zip(keys, wanted, strict=True)}

    def attempt() -> Reply:
        found: dict[bytes, list[Reply]] = {}
        for key in keys:
            entries = news(session, key, known[key], count)
            if entries:
                found[key] = told(entries)
        if not found:
            return NOT_YET
        return found if session.conn.resp >= 3 else [[key, entries] for key, entries in found.items()]

    if patience is None:
        reply = attempt()
        return NullArray() if reply is NOT_YET else reply
    return session.block_on(keys, attempt, patience / 1000, NullArray())


LAST_ENTRY = None  # `+`: whatever the last entry is, it is news


def behind(session: Session, key: bytes, word: bytes) -> Id | None:
    """The last id that is known; `$`: all that there are now."""
    stream = read(session, key, Stream)  # what is no stream is told before the id is looked at
    if word == b"$":
        return ZERO if stream is None else stream.last
    if word == b"+":
        return LAST_ENTRY
    if word == b">":
        raise CommandError(ONLY_FOR_GROUPS)
    return id_of(word)


def news(session: Session, key: bytes, known: Id | None, count: int | None) -> list[Entry]:
    try:
        stream = read(session, key, Stream)
    except CommandError:
        if not session.serving:
            raise
        stream = None  # who waits for a stream is not told that the key became something else
    if stream is None:
        return []
    if known is LAST_ENTRY:
        return stream.between(ZERO, GREATEST, 1, reverse=True)
    after = following(known)
    return [] if after is None else stream.between(after, GREATEST, count)


# ---- XINFO

container("XINFO", group="stream", since="5.0.0", summary="What a stream knows of itself.")


@command(
    "XINFO STREAM key [FULL full=([COUNT count])]", "readonly", group="stream", since="5.0.0", keys="2 RO access",
    summary="Length, ids and ends of a stream; FULL: its entries too.", complexity="O(1), O(N) with FULL",
)  # fmt: skip
def xinfo_stream(session: Session, args: list[bytes]) -> Reply:
    full = len(args) > 1
    count = 10
    if full and (args[1].upper() != b"FULL" or len(args) not in (2, 4)):
        raise CommandError(SYNTAX)
    if len(args) == 4:
        if args[2].upper() != b"COUNT":
            raise CommandError(SYNTAX)
        count = max(integer(args[3]), 0)
    stream = read(session, args[0], Stream)
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    node = session.setting("stream-node-max-entries") or len(stream) or 1
    facts: dict[Reply, Reply] = {
        b"length": len(stream),
        b"radix-tree-keys": -(-len(stream) // node),
        b"radix-tree-nodes": -(-len(stream) // node) + 1,
        b"last-generated-id": spelled(stream.last),
        b"max-deleted-entry-id": spelled(stream.deleted),
        b"entries-added": stream.added,
        b"recorded-first-entry-id": spelled(stream.first() or ZERO),
    }
    if full:
        facts[b"entries"] = told(stream.between(ZERO, GREATEST, count or None))
        facts[b"groups"] = []
    else:
        facts[b"groups"] = 0
        ends = [stream.between(ZERO, GREATEST, 1, reverse=reverse) for reverse in (False, True)]
        for name, entries in zip((b"first-entry", b"last-entry"), ends, strict=True):
            facts[name] = told(entries)[0] if entries else None
    return facts


add_help("XINFO", group="stream", since="5.0.0", summary=HELP)
