"""Deadlines: EXPIRE and its kin, TTL and its kin, PERSIST.

A deadline is a moment, in ms since 1970; what a client says or hears in seconds or relative to now is worked out here.
The engine takes care of what is due: an expired key is never seen, whether it has been swept already or not.
"""

from collections.abc import Callable

from tsunami_server.arguments import INT64_MAX, INT64_MIN, integer
from tsunami_server.command import CommandError, Reply, command, printable
from tsunami_server.keyspace import View, atomically
from tsunami_server.session import Session

CONDITIONS = (b"NX", b"XX", b"GT", b"LT")


def conditions_of(words: list[bytes]) -> set[bytes]:
    found = set()
    for word in words:
        if word.upper() not in CONDITIONS:
            raise CommandError(f"ERR Unsupported option {printable(word)}")
        found.add(word.upper())
    if b"NX" in found and len(found) > 1:
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if b"GT" in found and b"LT" in found:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    return found


def allows(conditions: set[bytes], old: int | None, new: int) -> bool:
    """May the deadline change from old to new? None is no deadline, which lies behind every other."""
    return not (
        (b"NX" in conditions and old is not None)
        or (b"XX" in conditions and old is None)
        or (b"GT" in conditions and (old is None or new <= old))
        or (b"LT" in conditions and old is not None and new >= old)
    )


def expire_at(session: Session, args: list[bytes], name: str, unit: int, relative: bool) -> int:
    key = args[0]
    conditions = conditions_of(args[2:])
    when = integer(args[1])
    now_ms = session.app.now_ms()
    base = now_ms if relative else 0
    if abs(when) > max(INT64_MAX // unit, -INT64_MIN if unit == 1 else 0) or when * unit > INT64_MAX - base:
        raise CommandError(f"ERR invalid expire time in '{name}' command")
    deadline = when * unit + base

    def step(view: View) -> int:
        if not view.exists(key) or not allows(conditions, view.deadline(key), deadline):
            return 0
        if deadline <= now_ms:
            view.erase(key)
        else:
            view.keep_until(key, deadline)
        return 1

    done = atomically(session, step)
    if done:
        session.notify("g", "del" if deadline <= now_ms else "expire", key)
    return done


def define_expire(name: str, argument: str, unit: int, relative: bool, since: str, what: str) -> None:
    @command(
        f"{name.upper()} key {argument} condition=[NX | XX | GT | LT]", "write fast", group="generic", since=since,
        keys="1 RW update", summary=f"Let a key expire {what}.", hot=True,
    )  # fmt: skip
    def handler(session: Session, args: list[bytes]) -> Reply:
        return expire_at(session, args, name, unit, relative)


define_expire("expire", "seconds", 1000, True, "1.0.0", "after so many seconds")
define_expire("pexpire", "milliseconds", 1, True, "2.6.0", "after so many milliseconds")
define_expire("expireat", "unix-time-seconds", 1000, False, "1.2.0", "at a moment, in seconds since 1970")
define_expire("pexpireat", "unix-time-milliseconds", 1, False, "2.6.0", "at a moment, in milliseconds since 1970")


def define_ttl(name: str, tell: Callable[[int, int], int], since: str, what: str, tips: str) -> None:
    @command(
        f"{name.upper()} key", "readonly fast", group="generic", since=since, keys="1 RO access", tips=tips, hot=True,
        summary=f"{what}; -1 if the key does not expire, -2 if there is none.",
    )  # fmt: skip
    def handler(session: Session, args: list[bytes]) -> Reply:
        row, deadline = View(session.table).entry(args[0])
        if row is None:
            return -2
        return -1 if deadline is None else tell(deadline, session.app.now_ms())


def left(deadline: int, now_ms: int) -> int:
    return max(deadline - now_ms, 0)


VARYING = "nondeterministic_output"
define_ttl("ttl", lambda at, now: (left(at, now) + 500) // 1000, "1.0.0", "How many seconds a key has left", VARYING)
define_ttl("pttl", left, "2.6.0", "How many milliseconds a key has left", VARYING)
define_ttl("expiretime", lambda at, _: (at + 500) // 1000, "7.0.0", "When a key expires, in seconds since 1970", "")
define_ttl("pexpiretime", lambda at, _: at, "7.0.0", "When a key expires, in milliseconds since 1970", "")


@command(
    "PERSIST key", "write fast", group="generic", since="2.2.0", keys="1 RW update", hot=True,
    summary="Take a key's expiry away; 1 if it had one.",
)  # fmt: skip
def persist(session: Session, args: list[bytes]) -> Reply:
    def step(view: View) -> int:
        if view.deadline(args[0]) is None:
            return 0
        view.keep_until(args[0], None)
        return 1

    done = atomically(session, step)
    if done:
        session.notify("g", "persist", args[0])
    return done
