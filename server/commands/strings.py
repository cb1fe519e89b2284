"""Commands on values: GET, SET and their kin, counters, and parts of strings.

Each command is a step of `atomically` (keyspace.py): it reads, then writes, and sees one moment. Bits are in bits.py,
deadlines by themselves in expiry.py.
"""

from fractions import Fraction

from tsunami._wire import OK
from tsunami_server.arguments import (
    INT64_MAX,
    INT64_MIN,
    NOT_INTEGER,
    SYNTAX,
    Infinite,
    expiry_ms,
    format_long_double,
    int64,
    integer,
    long_double,
    round_long_double,
)
from tsunami_server.command import CommandError, Reply, command, wrong_number
from tsunami_server.keyspace import View, atomically
from tsunami_server.session import Session

TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"

# ---- SET and GETEX: their options

# option -> (ms in its unit, relative to now)
EXPIRY_UNITS = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}


class Options:
    """What stands behind the key (and the value): conditions, GET, and one way to say until when."""

    def __init__(self, words: list[bytes], allowed: frozenset[bytes]) -> None:
        self.condition: bytes | None = None  # NX or XX
        self.get = False
        self.until: bytes | None = None  # EX PX EXAT PXAT KEEPTTL PERSIST
        self.amount = b""
        at = 0
        while at < len(words):
            at += self._take(words[at].upper(), words[at + 1 : at + 2], allowed)

    def _take(self, word: bytes, following: list[bytes], allowed: frozenset[bytes]) -> int:
        """Note one option; the number of words it took. The same option may come twice (the last one counts), its
        rivals not.
        """
        if word not in allowed:
            raise CommandError(SYNTAX)
        if word == b"GET":
            self.get = True
        elif word in (b"NX", b"XX"):
            if self.condition not in (None, word):
                raise CommandError(SYNTAX)
            self.condition = word
        else:
            if self.until not in (None, word):
                raise CommandError(SYNTAX)
            self.until = word
            if word in EXPIRY_UNITS:
                if not following:
                    raise CommandError(SYNTAX)
                self.amount = following[0]
                return 2
        return 1

    def deadline(self, now_ms: int, name: str) -> int | None:
        """The deadline that was asked for, None if none was."""
        if self.until not in EXPIRY_UNITS:
            return None
        assert self.until is not None
        unit, relative = EXPIRY_UNITS[self.until]
        return expiry_ms(self.amount, unit, now_ms, relative, name)


SET_OPTIONS = frozenset(EXPIRY_UNITS) | {b"NX", b"XX", b"GET", b"KEEPTTL"}
GETEX_OPTIONS = frozenset(EXPIRY_UNITS) | {b"PERSIST"}


def put_until(view: View, now_ms: int, key: bytes, value: bytes, deadline: int | None) -> None:
    """Store, or erase if the deadline has passed already: an expired key is never there."""
    if deadline is not None and deadline <= now_ms:
        view.erase(key)
    else:
        view.put(key, value, deadline)


def set_key_flags(argv: list[bytes]) -> tuple[str, ...]:
    wants_old = any(word.upper() == b"GET" for word in argv[3:])
    return ("RW", "access", "update") if wants_old else ("OW", "update")


@command(
    "SET key value condition=[NX | XX] [GET] "
    "expiration=[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
    "write denyoom",
    group="string",
    since="1.0.0",
    summary="Set a key to a value, whatever it held before.",
    keys="1 RW access update variable_flags",
    key_flags=set_key_flags,
    hot=True,
)
def set_(session: Session, args: list[bytes]) -> Reply:
    key, value = args[:2]
    options = Options(args[2:], SET_OPTIONS)
    now_ms = session.app.now_ms()
    deadline = options.deadline(now_ms, "set")

    stored = False

    def step(view: View) -> Reply:
        nonlocal stored
        stored = False
        old = view.get(key) if options.get else None
        if options.condition and view.exists(key) != (options.condition == b"XX"):
            return old
        stored = True
        if options.until == b"KEEPTTL":
            view.put(key, value, view.deadline(key))
        else:
            put_until(view, now_ms, key, value, deadline)
        return old if options.get else OK

    reply = atomically(session, step)
    if stored:
        tell_set(session, key, deadline, now_ms)
    return reply


def tell_set(session: Session, key: bytes, deadline: int | None, now_ms: int) -> None:
    session.notify("$", "set", key)
    if deadline is not None:
        session.notify("g", "expire", key)
        if deadline <= now_ms:  # it was never there
            session.notify("x", "expired", key)


@command(
    "SETNX key value", "write denyoom fast", group="string", hot=True, since="1.0.0", keys="1 OW insert",
    summary="Set a key to a value if the key does not exist.",
)  # fmt: skip
def setnx(session: Session, args: list[bytes]) -> Reply:
    return set_all_if_none(session, [(args[0], args[1])])


def set_with_expiry(session: Session, args: list[bytes], unit: int, name: str) -> Reply:
    now_ms = session.app.now_ms()
    deadline = expiry_ms(args[1], unit, now_ms, True, name)
    atomically(session, lambda view: put_until(view, now_ms, args[0], args[2], deadline))
    tell_set(session, args[0], deadline, now_ms)
    return OK


@command(
    "SETEX key seconds value", "write denyoom", group="string", hot=True, since="2.0.0", keys="1 OW update",
    summary="Set a key to a value that expires after so many seconds.",
)  # fmt: skip
def setex(session: Session, args: list[bytes]) -> Reply:
    return set_with_expiry(session, args, 1000, "setex")


@command(
    "PSETEX key milliseconds value", "write denyoom", group="string", hot=True, since="2.6.0", keys="1 OW update",
    summary="Set a key to a value that expires after so many milliseconds.",
)  # fmt: skip
def psetex(session: Session, args: list[bytes]) -> Reply:
    return set_with_expiry(session, args, 1, "psetex")


@command(
    "MSET (key value) ...", "write denyoom", group="string", since="1.0.1", keys="1..-1/2 OW update", hot=True,
    summary="Set several keys, all in one step.", complexity="O(N) in the number of keys",
    tips="request_policy:multi_shard response_policy:all_succeeded",
)  # fmt: skip
def mset(session: Session, args: list[bytes]) -> Reply:
    pairs = pairs_of(args, "mset")

    def step(view: View) -> None:
        for key, value in pairs:
            view.put(key, value)

    atomically(session, step)
    for key, _ in pairs:
        session.notify("$", "set", key)
    return OK


@command(
    "MSETNX (key value) ...", "write denyoom", group="string", since="1.0.1", keys="1..-1/2 OW insert",
    summary="Set several keys, all in one step, if none of them exists.", complexity="O(N) in the number of keys",
    tips="request_policy:multi_shard response_policy:agg_min",
)  # fmt: skip
def msetnx(session: Session, args: list[bytes]) -> Reply:
    return set_all_if_none(session, pairs_of(args, "msetnx"))


def pairs_of(args: list[bytes], name: str) -> list[tuple[bytes, bytes]]:
    if len(args) % 2:
        raise wrong_number(name)
    return list(zip(args[::2], args[1::2], strict=True))


def set_all_if_none(session: Session, pairs: list[tuple[bytes, bytes]]) -> Reply:
    def step(view: View) -> int:
        there = [view.exists(key) for key, _ in pairs]  # all of them are read, so that all are checked
        if any(there):
            return 0
        for key, value in pairs:
            view.put(key, value)
        return 1

    done = atomically(session, step)
    for key, _ in pairs if done else ():
        session.notify("$", "set", key)
    return done


# ---- reading


def counted(session: Session, found: int, missed: int) -> None:
    session.app.shared.hits += found
    session.app.shared.misses += missed


@command(
    "GET key", "readonly fast", group="string", since="1.0.0", keys="1 RO access", hot=True,
    summary="The value of a key.",
)  # fmt: skip
def get(session: Session, args: list[bytes]) -> Reply:
    value = View(session.table).get(args[0])
    counted(session, value is not None, value is None)
    return value


@command(
    "MGET key ...", "readonly fast", group="string", since="1.0.0", keys="1..-1 RO access", hot=True,
    summary="The values of several keys; null for those that do not exist or hold no string.",
    complexity="O(N) in the number of keys", tips="request_policy:multi_shard",
)  # fmt: skip
def mget(session: Session, args: list[bytes]) -> Reply:
    def value(view: View, key: bytes) -> bytes | None:
        try:
            return view.get(key)
        except CommandError:
            return None

    values = atomically(session, lambda view: [value(view, key) for key in args])
    missed = values.count(None)
    counted(session, len(values) - missed, missed)
    return values


@command(
    "GETSET key value", "write denyoom fast", group="string", hot=True, since="1.0.0", keys="1 RW access update",
    summary="Set a key to a value, and tell the value it had.", replaced_by="`SET` with the `!GET` argument",
)  # fmt: skip
def getset(session: Session, args: list[bytes]) -> Reply:
    def step(view: View) -> Reply:
        old = view.get(args[0])
        view.put(args[0], args[1])
        return old

    old = atomically(session, step)
    session.notify("$", "set", args[0])
    return old


@command(
    "GETDEL key", "write fast", group="string", hot=True, since="6.2.0", keys="1 RW access delete",
    summary="The value of a key, which is deleted.",
)  # fmt: skip
def getdel(session: Session, args: list[bytes]) -> Reply:
    def step(view: View) -> Reply:
        old = view.get(args[0])
        if old is not None:
            view.erase(args[0])
        return old

    old = atomically(session, step)
    if old is not None:
        session.notify("g", "del", args[0])
    return old


@command(
    "GETEX key "
    "expiration=[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
    "write fast", group="string", since="6.2.0", keys="1 RW access update", hot=True,
    summary="The value of a key, whose expiry is changed or taken away.",
)  # fmt: skip
def getex(session: Session, args: list[bytes]) -> Reply:
    key = args[0]
    options = Options(args[1:], GETEX_OPTIONS)
    now_ms = session.app.now_ms()

    event = ""

    def step(view: View) -> Reply:
        nonlocal event
        event = ""
        value = view.get(key)
        if value is None:
            return None
        deadline = options.deadline(now_ms, "getex")
        if options.until == b"PERSIST":
            if view.deadline(key) is not None:
                event = "persist"
                view.keep_until(key, None)
        elif deadline is not None and deadline <= now_ms:
            event = "del"
            view.erase(key)
        elif deadline is not None:
            event = "expire"
            view.keep_until(key, deadline)
        return value

    value = atomically(session, step)
    if event:
        session.notify("g", event, key)
    return value


# ---- counters


@command(
    "INCR key", "write denyoom fast", group="string", since="1.0.0", keys="1 RW access update", hot=True,
    summary="Add one to the integer that a key holds (0 if there is no such key).",
)  # fmt: skip
def incr(session: Session, args: list[bytes]) -> Reply:
    return add(session, args[0], 1)


@command(
    "DECR key", "write denyoom fast", group="string", since="1.0.0", keys="1 RW access update", hot=True,
    summary="Subtract one from the integer that a key holds (0 if there is no such key).",
)  # fmt: skip
def decr(session: Session, args: list[bytes]) -> Reply:
    return add(session, args[0], -1)


@command(
    "INCRBY key increment:integer",
    "write denyoom fast",
    group="string",
    since="1.0.0",
    keys="1 RW access update",
    hot=True,
    summary="Add to the integer that a key holds (0 if there is no such key).",
)
def incrby(session: Session, args: list[bytes]) -> Reply:
    return add(session, args[0], integer(args[1]))


@command(
    "DECRBY key decrement", "write denyoom fast", group="string", since="1.0.0", keys="1 RW access update", hot=True,
    summary="Subtract from the integer that a key holds (0 if there is no such key).",
)  # fmt: skip
def decrby(session: Session, args: list[bytes]) -> Reply:
    decrement = integer(args[1])
    if decrement == INT64_MIN:
        raise CommandError("ERR decrement would overflow")
    return add(session, args[0], -decrement)


def add(session: Session, key: bytes, increment: int) -> int:
    def step(view: View) -> int:
        old = view.get(key)
        number = 0 if old is None else int64(old)
        if number is None:
            raise CommandError(NOT_INTEGER)
        total = number + increment
        if not INT64_MIN <= total <= INT64_MAX:
            raise CommandError("ERR increment or decrement would overflow")
        view.put(key, b"%d" % total, view.deadline(key))
        return total

    total = atomically(session, step)
    session.notify("$", "incrby", key)
    return total


@command(
    "INCRBYFLOAT key increment:double", "write denyoom fast", group="string", since="2.6.0", keys="1 RW access update",
    summary="Add to the number that a key holds (0 if there is no such key).",
)  # fmt: skip
def incrbyfloat(session: Session, args: list[bytes]) -> Reply:
    key, increment = args

    def step(view: View) -> bytes:
        old = view.get(key)
        total = format_long_double(sum_of(b"0" if old is None else old, increment))
        view.put(key, total, view.deadline(key))
        return total

    total = atomically(session, step)
    session.notify("$", "incrbyfloat", key)
    return total


def sum_of(a: bytes, b: bytes) -> Fraction:
    """The sum as a long double has it. An infinite operand is a float, but no sum; it must not hide that the other is
    no float.
    """
    operands, infinite = [], False
    for data in (a, b):
        try:
            operands.append(long_double(data))
        except Infinite:
            infinite = True
    try:
        if infinite:
            raise Infinite
        return round_long_double(operands[0] + operands[1])
    except Infinite:
        raise CommandError("ERR increment would produce NaN or Infinity") from None


# ---- parts of strings


def check_length(session: Session, size: int) -> None:
    if size > session.setting("proto-max-bulk-len"):
        raise CommandError(TOO_LONG)


@command(
    "APPEND key value", "write denyoom fast", group="string", hot=True, since="2.0.0", keys="1 RW insert",
    summary="Add to the end of a value (the empty one if there is no such key), and tell its length.",
)  # fmt: skip
def append(session: Session, args: list[bytes]) -> Reply:
    def step(view: View) -> int:
        whole = (view.get(args[0]) or b"") + args[1]
        check_length(session, len(whole))
        view.put(args[0], whole, view.deadline(args[0]))
        return len(whole)

    length = atomically(session, step)
    session.notify("$", "append", args[0])
    return length


@command(
    "STRLEN key", "readonly fast", group="string", since="2.2.0", keys="1 RO", hot=True,
    summary="The length of a value in bytes.",
)  # fmt: skip
def strlen(session: Session, args: list[bytes]) -> Reply:
    return len(View(session.table).get(args[0]) or b"")


@command(
    "GETRANGE key start end", "readonly", group="string", since="2.4.0", keys="1 RO access",
    summary="A part of a value, both ends included; negative positions count from the end.",
    complexity="O(N) in the length of the part",
)  # fmt: skip
def getrange(session: Session, args: list[bytes]) -> Reply:
    start, end = integer(args[1]), integer(args[2])
    value = View(session.table).get(args[0]) or b""
    span = clamp_range(start, end, len(value))
    return value[span.start : span.stop]


@command(
    "SUBSTR key start end", "readonly", group="string", since="1.0.0", keys="1 RO access",
    summary="A part of a value; the old name of GETRANGE.", replaced_by="`GETRANGE`",
    complexity="O(N) in the length of the part",
)  # fmt: skip
def substr(session: Session, args: list[bytes]) -> Reply:
    return getrange(session, args)


def clamp_range(start: int, end: int, length: int) -> range:
    """The positions that Redis means by start and end, both included, of something so long."""
    if start < 0 and end < 0 and start > end:
        return range(0)
    start = max(start + length, 0) if start < 0 else start
    end = max(end + length, 0) if end < 0 else end
    return range(start, min(end, length - 1) + 1) if length and start <= min(end, length - 1) else range(0)


@command(
    "SETRANGE key offset value", "write denyoom", group="string", since="2.2.0", keys="1 RW update",
    summary="Write over a part of a value from an offset on; zero bytes fill what lies between.",
    complexity="O(N) in the length of the value",
)  # fmt: skip
def setrange(session: Session, args: list[bytes]) -> Reply:
    key, part = args[0], args[2]
    offset = integer(args[1])
    if offset < 0:
        raise CommandError("ERR offset is out of range")

    def step(view: View) -> int:
        old = view.get(key) or b""
        if not part:
            return len(old)
        check_length(session, offset + len(part))
        whole = old[:offset].ljust(offset, b"\0") + part + old[offset + len(part) :]
        view.put(key, whole, view.deadline(key))
        return len(whole)

    length = atomically(session, step)
    if part:
        session.notify("$", "setrange", key)
    return length
