"""Commands on hashes: HSET, HGET and their kin, counters in fields, random fields, HSCAN.

Fields that expire are in hash_expiry.py. What a hash is, small and large, is in values/hash.py.
"""

from tsunami._wire import OK
from tsunami_server.arguments import (
    INT64_MAX,
    INT64_MIN,
    SYNTAX,
    Infinite,
    format_long_double,
    int64,
    integer,
    long_double,
    round_long_double,
    within,
)
from tsunami_server.command import CommandError, Reply, command, wrong_number
from tsunami_server.scanning import ScanOptions, scan_cursor
from tsunami_server.session import Session
from tsunami_server.values import Hash, Step, one_moment, read

NOT_INTEGER_IN_HASH = "ERR hash value is not an integer"
NOT_FLOAT_IN_HASH = "ERR hash value is not a float"
OUT_OF_RANGE = "ERR value is out of range"
UNORDERED = "nondeterministic_output_order"
MOST_CHOSEN = 1 << 27  # what a client may ask for with a negative count; Redis would try, and never end


# ---- writing


def set_fields(session: Session, args: list[bytes], name: str) -> int:
    key, *rest = args
    if len(rest) % 2:
        raise wrong_number(name)
    with Step(session, key) as step:
        value = step.change(key, Hash)
        new = sum([value.set(field, text) for field, text in zip(rest[::2], rest[1::2], strict=True)])
    session.notify("h", "hset", key)
    return new


@command(
    "HSET key (field value) ...", "write denyoom fast", hot=True, group="hash", since="2.0.0", keys="1 RW update",
    summary="Set fields of a hash, and tell how many of them are new.", complexity="O(N) in the number of fields given",
)  # fmt: skip
def hset(session: Session, args: list[bytes]) -> Reply:
    return set_fields(session, args, "hset")


@command(
    "HMSET key (field value) ...", "write denyoom fast", hot=True, group="hash", since="2.0.0", keys="1 RW update",
    summary="Set fields of a hash.", complexity="O(N) in the number of fields given",
    replaced_by="`HSET` with multiple field-value pairs",
)  # fmt: skip
def hmset(session: Session, args: list[bytes]) -> Reply:
    set_fields(session, args, "hmset")
    return OK


@command(
    "HSETNX key field value", "write denyoom fast", group="hash", since="2.0.0", keys="1 RW insert",
    summary="Set a field of a hash if it does not exist; 1 if it was set.",
)  # fmt: skip
def hsetnx(session: Session, args: list[bytes]) -> Reply:
    key, field, text = args
    with Step(session, key) as step:
        value = step.change(key, Hash)
        if field in value:
            return 0
        value.set(field, text)
    session.notify("h", "hset", key)
    return 1


@command(
    "HDEL key field ...", "write fast", hot=True, group="hash", since="2.0.0", keys="1 RW delete",
    summary="Delete fields of a hash, and tell how many there were; the key goes with its last field.",
    complexity="O(N) in the number of fields given",
)  # fmt: skip
def hdel(session: Session, args: list[bytes]) -> Reply:
    key, *fields = args
    with Step(session, key) as step:
        value = step.value(key, Hash)
        if value is None:
            return 0
        gone = sum([value.remove(field) for field in fields])
        emptied = value.vanishes
    if gone:
        session.notify_taken("h", "hdel", key, emptied)
    return gone


# ---- counters


@command(
    "HINCRBY key field increment:integer", "write denyoom fast", group="hash", since="2.0.0",
    keys="1 RW access update", summary="Add to the integer in a field (0 if there is no such field).",
)  # fmt: skip
def hincrby(session: Session, args: list[bytes]) -> Reply:
    key, field, increment = args[0], args[1], integer(args[2])
    with Step(session, key) as step:
        value = step.change(key, Hash)
        old = value.get(field)
        number = 0 if old is None else int64(old)
        if number is None:
            raise CommandError(NOT_INTEGER_IN_HASH)
        total = number + increment
        if not INT64_MIN <= total <= INT64_MAX:
            raise CommandError("ERR increment or decrement would overflow")
        value.set(field, b"%d" % total, keep_deadline=True)
    session.notify("h", "hincrby", key)
    return total


@command(
    "HINCRBYFLOAT key field increment:double", "write denyoom fast", group="hash", since="2.6.0",
    keys="1 RW access update", summary="Add to the number in a field (0 if there is no such field).",
)  # fmt: skip
def hincrbyfloat(session: Session, args: list[bytes]) -> Reply:
    key, field = args[:2]
    try:
        increment = long_double(args[2])
    except Infinite:
        raise CommandError("ERR value is NaN or Infinity") from None
    with Step(session, key) as step:
        value = step.change(key, Hash)
        old = value.get(field)
        try:
            total = round_long_double(increment + (long_double(old) if old is not None else 0))
        except Infinite:
            raise CommandError("ERR increment would produce NaN or Infinity") from None
        except CommandError:
            raise CommandError(NOT_FLOAT_IN_HASH) from None
        text = format_long_double(total)
        value.set(field, text, keep_deadline=True)
    session.notify("h", "hincrbyfloat", key)
    return text


# ---- reading


@command(
    "HGET key field", "readonly fast", hot=True, group="hash", since="2.0.0", keys="1 RO access",
    summary="The value of a field; null if there is none.",
)  # fmt: skip
def hget(session: Session, args: list[bytes]) -> Reply:
    value = read(session, args[0], Hash)
    return None if value is None else value.get(args[1])


@command(
    "HMGET key field ...", "readonly fast", hot=True, group="hash", since="2.0.0", keys="1 RO access",
    summary="The values of several fields; null for those that do not exist.",
    complexity="O(N) in the number of fields given",
)  # fmt: skip
def hmget(session: Session, args: list[bytes]) -> Reply:
    key, *fields = args
    return one_moment(session, key, Hash, lambda value: [value.get(field) for field in fields], [None] * len(fields))


@command(
    "HGETALL key", "readonly", hot=True, group="hash", since="2.0.0", keys="1 RO access", tips=UNORDERED,
    summary="All fields and their values.", complexity="O(N) in the number of fields",
)  # fmt: skip
def hgetall(session: Session, args: list[bytes]) -> Reply:
    return one_moment(session, args[0], Hash, lambda value: dict(value.items()), {})


@command(
    "HKEYS key", "readonly", group="hash", since="2.0.0", keys="1 RO access", tips=UNORDERED,
    summary="All fields.", complexity="O(N) in the number of fields",
)  # fmt: skip
def hkeys(session: Session, args: list[bytes]) -> Reply:
    return one_moment(session, args[0], Hash, lambda value: [field for field, _ in value.items()], [])


@command(
    "HVALS key", "readonly", group="hash", since="2.0.0", keys="1 RO access", tips=UNORDERED,
    summary="The values of all fields.", complexity="O(N) in the number of fields",
)  # fmt: skip
def hvals(session: Session, args: list[bytes]) -> Reply:
    return one_moment(session, args[0], Hash, lambda value: [text for _, text in value.items()], [])


@command(
    "HLEN key", "readonly fast", hot=True, group="hash", since="2.0.0", keys="1 RO", summary="The number of fields."
)
def hlen(session: Session, args: list[bytes]) -> Reply:
    return len(read(session, args[0], Hash) or ())


@command(
    "HEXISTS key field", "readonly fast", hot=True, group="hash", since="2.0.0", keys="1 RO",
    summary="Tell whether a hash has a field: 1 or 0.",
)  # fmt: skip
def hexists(session: Session, args: list[bytes]) -> Reply:
    return int(args[1] in (read(session, args[0], Hash) or ()))


@command(
    "HSTRLEN key field", "readonly fast", group="hash", since="3.2.0", keys="1 RO",
    summary="The length of a field's value in bytes; 0 if there is none.",
)  # fmt: skip
def hstrlen(session: Session, args: list[bytes]) -> Reply:
    value = read(session, args[0], Hash)
    return 0 if value is None else len(value.get(args[1]) or b"")


# ---- some fields


def chosen(word: bytes) -> int:
    """How many to choose: a negative number allows the same one again."""
    count = within(word, -INT64_MAX, INT64_MAX)
    if count < -MOST_CHOSEN:
        raise CommandError(OUT_OF_RANGE)
    return count


@command(
    "HRANDFIELD key options=[count:integer [WITHVALUES]]", "readonly", group="hash", since="6.2.0", keys="1 RO access",
    tips="nondeterministic_output", complexity="O(N) in the number of fields asked for",
    summary="Random fields: one, or so many different ones, or with a negative count also the same ones again.",
)  # fmt: skip
def hrandfield(session: Session, args: list[bytes]) -> Reply:
    key, *options = args
    if not options:
        return one_moment(session, key, Hash, lambda value: next((field for field, _ in value.any(1)), None), None)
    count, with_values = chosen(options[0]), len(options) == 2
    if len(options) > 2 or (with_values and options[1].upper() != b"WITHVALUES"):
        raise CommandError(SYNTAX)
    if with_values and count > INT64_MAX // 2:
        raise CommandError(OUT_OF_RANGE)

    def tell(value: Hash) -> Reply:
        found = value.some(count) if count >= 0 else value.any(-count)
        if not with_values:
            return [field for field, _ in found]
        return found if session.conn.resp >= 3 else [part for pair in found for part in pair]

    return one_moment(session, key, Hash, tell, [])


@command(
    "HSCAN key cursor:integer [MATCH pattern] [COUNT count:integer] [NOVALUES]", "readonly", group="hash",
    since="2.8.0", keys="1 RO access", tips="nondeterministic_output",
    summary="Walk over the fields: some of them with their values, and the cursor to go on with.",
    complexity="O(1) a call, O(N) for all",
)  # fmt: skip
def hscan(session: Session, args: list[bytes]) -> Reply:
    cursor = scan_cursor(args[1])
    value = read(session, args[0], Hash)
    if value is None:
        return [b"0", []]
    options = ScanOptions.parse(args[2:], fields=True)
    cursor, found = value.scan(cursor, options.count)
    kept = set(options.keep([field for field, _ in found]))
    found = [pair for pair in found if pair[0] in kept]
    return [b"%d" % cursor, [part for pair in found for part in (pair if options.values else pair[:1])]]
