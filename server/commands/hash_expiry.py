"""Fields of hashes that expire: HEXPIRE and its kin, HTTL and its kin, HPERSIST (as in Redis 7.4).

Each takes `FIELDS numfields field ...` and answers with a number for each field. A deadline is a moment in ms since
1970. The engine hides a field from the moment it is due; when its hash is swept is told in values/timed.py.
"""

from collections.abc import Callable

from tsunami_server.arguments import INT64_MAX, integer, within
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.commands.expiry import CONDITIONS, allows
from tsunami_server.session import Session
from tsunami_server.values import Hash, Step

LATEST_MS = (1 << 46) - 1  # Redis's limit for fields: the year 4199
NO_FIELD, NO_DEADLINE, NOT_ALLOWED, DONE, DELETED = -2, -1, 0, 1, 2

NO_FIELDS = "ERR Mandatory argument FIELDS is missing or not at the right position"
TOO_FEW = "ERR Parameter `numFields` should be greater than 0"
NOT_POSITIVE = "ERR Number of fields must be a positive integer"
NO_MATCH = "ERR The `numfields` parameter must match the number of arguments"


def fields_of(words: list[bytes], message: str) -> list[bytes]:
    """What stands behind FIELDS numfields."""
    if not words or words[0].upper() != b"FIELDS":
        raise CommandError(NO_FIELDS)
    count = within(words[1] if len(words) > 1 else b"", 1, INT64_MAX, message)
    if count != len(words) - 2:
        raise CommandError(NO_MATCH)
    return words[2:]


def field_deadline(word: bytes, unit: int, base_ms: int, name: str) -> int:
    when = integer(word)
    if when < 0:
        raise CommandError("ERR invalid expire time, must be >= 0")
    if when > LATEST_MS // unit or when * unit > LATEST_MS - base_ms:
        raise CommandError(f"ERR invalid expire time in '{name}' command")
    return when * unit + base_ms


def expire_fields(session: Session, args: list[bytes], name: str, unit: int, relative: bool) -> Reply:
    key, word, *rest = args
    now_ms = session.app.now_ms()
    with Step(session, key) as step:
        value = step.value(key, Hash)  # first of all: a key of another type is an error, whatever else is wrong
        deadline = field_deadline(word, unit, now_ms if relative else 0, name)
        conditions = {rest[0].upper()} if rest and rest[0].upper() in CONDITIONS else set()
        fields = fields_of(rest[len(conditions) :], TOO_FEW)
        if value is None:
            return [NO_FIELD] * len(fields)
        told = [expire_field(value, field, deadline, conditions, now_ms) for field in fields]
        emptied = value.vanishes
    session.app.shared.timed.note(session.conn.db, key, value)
    if DONE in told:
        session.notify("h", "hexpire", key)
    if DELETED in told:
        session.notify_taken("h", "hdel", key, emptied)
    return told


def expire_field(value: Hash, field: bytes, deadline: int, conditions: set[bytes], now_ms: int) -> int:
    if field not in value:
        return NO_FIELD
    if not allows(conditions, value.deadline(field), deadline):
        return NOT_ALLOWED
    if deadline <= now_ms:
        value.remove(field)
        return DELETED
    value.expire(field, deadline)
    return DONE


def define_expire(name: str, argument: str, unit: int, relative: bool, what: str) -> None:
    @command(
        f"{name.upper()} key {argument} condition=[NX | XX | GT | LT] fields=(FIELDS numfields:integer field ...)",
        "write denyoom fast", group="hash", since="7.4.0", keys="1 RW update",
        summary=f"Let fields of a hash expire {what}.", complexity="O(N) in the number of fields given", arity=-6,
    )  # fmt: skip
    def handler(session: Session, args: list[bytes]) -> Reply:
        return expire_fields(session, args, name, unit, relative)


define_expire("hexpire", "seconds", 1000, True, "after so many seconds")
define_expire("hpexpire", "milliseconds", 1, True, "after so many milliseconds")
define_expire("hexpireat", "unix-time-seconds", 1000, False, "at a moment, in seconds since 1970")
define_expire("hpexpireat", "unix-time-milliseconds", 1, False, "at a moment, in milliseconds since 1970")


def define_ttl(name: str, tell: Callable[[int, int], int], what: str, tips: str) -> None:
    @command(
        f"{name.upper()} key fields=(FIELDS numfields:integer field ...)", "readonly fast", group="hash", since="7.4.0",
        keys="1 RO access", tips=tips, complexity="O(N) in the number of fields given", arity=-5,
        summary=f"{what}, for each field; -1 if it does not expire, -2 if there is none.",
    )  # fmt: skip
    def handler(session: Session, args: list[bytes]) -> Reply:
        key, *rest = args
        with Step(session, key) as step:
            value = step.value(key, Hash)
            fields = fields_of(rest, NOT_POSITIVE)
            return [told_deadline(session, value, field, tell) for field in fields]


def told_deadline(session: Session, value: Hash | None, field: bytes, tell: Callable[[int, int], int]) -> int:
    if value is None or field not in value:
        return NO_FIELD
    deadline = value.deadline(field)
    return NO_DEADLINE if deadline is None else tell(deadline, session.app.now_ms())


VARYING = "nondeterministic_output"
define_ttl("httl", lambda at, now: max(at - now + 999, 0) // 1000, "How many seconds a field has left", VARYING)
define_ttl("hpttl", lambda at, now: max(at - now, 0), "How many milliseconds a field has left", VARYING)
define_ttl("hexpiretime", lambda at, _: (at + 999) // 1000, "When a field expires, in seconds since 1970", "")
define_ttl("hpexpiretime", lambda at, _: at, "When a field expires, in milliseconds since 1970", "")


@command(
    "HPERSIST key fields=(FIELDS numfields:integer field ...)", "write fast", group="hash", since="7.4.0",
    keys="1 RW update", complexity="O(N) in the number of fields given", arity=-5,
    summary="Take the expiry of fields away; for each 1 if it had one, -1 if not, -2 if there is no such field.",
)  # fmt: skip
def hpersist(session: Session, args: list[bytes]) -> Reply:
    key, *rest = args
    with Step(session, key) as step:
        value = step.value(key, Hash)
        fields = fields_of(rest, NOT_POSITIVE)
        if value is None:
            return [NO_FIELD] * len(fields)
        told = [persist_field(value, field) for field in fields]
    if DONE in told:
        session.notify("h", "hpersist", key)
    return told


def persist_field(value: Hash, field: bytes) -> int:
    if field not in value:
        return NO_FIELD
    if value.deadline(field) is None:
        return NO_DEADLINE
    value.expire(field, None)
    return DONE
