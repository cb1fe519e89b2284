"""Commands on the server and on what keys are made of: TIME WAIT SHUTDOWN OBJECT MEMORY DEBUG LATENCY SLOWLOG."""

import re
from collections import deque

from tsunami import _core
from tsunami._wire import OK, Simple, Verbatim
from tsunami_server.arguments import NOT_FLOAT, SYNTAX, int64, integer, timeout_ms
from tsunami_server.command import HELP, CommandError, Reply, add_help, command, container
from tsunami_server.commands.info import dataset_bytes, resident_bytes
from tsunami_server.keyspace import View, as_text
from tsunami_server.session import NO_REPLY, Session
from tsunami_server.shared import SlowEntry
from tsunami_server.values import KINDS, kind_of, opened

ADMIN = "admin noscript loading stale"


@command(
    "TIME",
    "loading stale fast",
    group="server",
    since="2.6.0",
    summary="The time: seconds since 1970, and microseconds.",
    tips="nondeterministic_output",
)
def time_(session: Session, args: list[bytes]) -> Reply:
    usec = session.app.now_us()
    return [b"%d" % (usec // 1_000_000), b"%d" % (usec % 1_000_000)]


@command("WAIT numreplicas timeout", "noscript", group="generic", since="3.0.0", acl="connection",
         summary="Wait for replicas; there are none, so this answers 0, at once or when the time is over.",
         tips="request_policy:all_shards response_policy:agg_min")  # fmt: skip
def wait(session: Session, args: list[bytes]) -> Reply:
    replicas, limit_ms = integer(args[0]), timeout_ms(args[1])
    return 0 if replicas <= 0 or not session.may_block else wait_in_vain(session, limit_ms)


async def wait_in_vain(session: Session, limit_ms: int) -> int:
    session.app.shared.blocked += 1
    try:
        if limit_ms:
            await session.app.shared.sleep(limit_ms / 1000)
        else:
            await session.wait_closed()
    finally:
        session.app.shared.blocked -= 1
    return 0


@command(
    "SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
    "admin noscript loading stale no_multi allow_busy",
    group="server",
    since="1.0.0",
    summary="Stop the server: what has been received is answered, then connections are closed.",
)
def shutdown(session: Session, args: list[bytes]) -> Reply:
    words = [word.upper() for word in args]
    if not set(words) <= {b"NOSAVE", b"SAVE", b"NOW", b"FORCE", b"ABORT"} or {b"NOSAVE", b"SAVE"} <= set(words):
        raise CommandError(SYNTAX)
    if b"ABORT" in words:
        raise CommandError("ERR No shutdown in progress." if len(words) == 1 else SYNTAX)
    if b"SAVE" in words:
        raise CommandError(
            "ERR there is nothing that could be saved to: tables live in memory only. Use SHUTDOWN NOSAVE"
        )
    session.app.shutdown()
    return NO_REPLY


# ---- OBJECT

container("OBJECT", group="generic", since="2.2.3", summary="What a key's value is like inside.")


def encoding_of(value: bytes | None) -> str:
    """Redis's names, by Redis's rules for a value that has just been set."""
    if value is None:
        return "term"
    if len(value) <= 20 and int64(value) is not None:
        return "int"
    return "embstr" if len(value) <= 44 else "raw"


def stored(session: Session, key: bytes) -> tuple[bytes | None] | None:
    """The value's bytes (None if it is no string), or None if there is no such key."""
    row, _ = View(session.table).entry(key)
    return None if row is None else (as_text(row[1]) if len(row) == 2 else None,)


@command("OBJECT ENCODING key", "readonly", group="generic", since="2.2.3", keys="2 RO", tips="nondeterministic_output",
         summary="How a value is stored, in Redis's words.")  # fmt: skip
def object_encoding(session: Session, args: list[bytes]) -> Reply:
    row, _ = View(session.table).entry(args[0])
    if row is not None and kind_of(row) in KINDS:
        return opened(row).encoding(session.setting).encode()
    found = stored(session, args[0])
    return None if found is None else encoding_of(found[0])


@command("OBJECT IDLETIME key", "readonly", group="generic", since="2.2.3", keys="2 RO", tips="nondeterministic_output",
         summary="Seconds since a key was last read or written.")  # fmt: skip
def object_idletime(session: Session, args: list[bytes]) -> Reply:
    return _core.idle_seconds(session.table, args[0])


@command("OBJECT FREQ key", "readonly", group="generic", since="4.0.0", keys="2 RO", tips="nondeterministic_output",
         summary="Refused: how often keys are used is not counted.")  # fmt: skip
def object_freq(session: Session, args: list[bytes]) -> Reply:
    if stored(session, args[0]) is None:
        return None
    raise CommandError(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
        "between policies at runtime LRU and LFU data will take some time to adjust."
    )


@command("OBJECT REFCOUNT key", "readonly", group="generic", since="2.2.3", keys="2 RO", tips="nondeterministic_output",
         summary="Always 1: a table shares no values.")  # fmt: skip
def object_refcount(session: Session, args: list[bytes]) -> Reply:
    return None if stored(session, args[0]) is None else 1


add_help("OBJECT", group="generic", since="6.2.0", summary=HELP)

# ---- MEMORY

container("MEMORY", group="server", since="4.0.0", summary="Commands on memory.")


@command("MEMORY USAGE key [SAMPLES count]", "readonly", group="server", since="4.0.0", keys="2 RO",
         summary="Bytes that a key takes up with its value, its share of the table included.")  # fmt: skip
def memory_usage(session: Session, args: list[bytes]) -> Reply:
    options = args[1:]
    for at in range(0, len(options), 2):
        if options[at].upper() != b"SAMPLES" or at + 1 == len(options):
            raise CommandError(SYNTAX)
        if integer(options[at + 1]) < 0:
            raise CommandError(SYNTAX)
    return _core.memory_of(session.table, args[0])


@command("MEMORY STATS", "", group="server", since="4.0.0", summary="Where the memory goes.",
         tips="nondeterministic_output request_policy:all_shards response_policy:special")  # fmt: skip
def memory_stats(session: Session, args: list[bytes]) -> Reply:
    data, keys = dataset_bytes(session), sum(len(table) for table in _core.all()) + len(session.table)
    resident = resident_bytes()
    return {
        "peak.allocated": resident,
        "total.allocated": data,
        "clients.normal": sum(
            each.conn.query_size() + each.conn.output_size() for each in session.app.shared.sessions.values()
        ),
        "overhead.total": max(resident - data, 0),
        "keys.count": keys,
        "keys.bytes-per-key": data // keys if keys else 0,
        "dataset.bytes": data,
        "dataset.percentage": 100.0 * data / resident if resident else 0.0,
        "allocator.resident": resident,
    }


@command("MEMORY DOCTOR", "", group="server", since="4.0.0", summary="Whether something about memory looks wrong.",
         tips="nondeterministic_output request_policy:all_shards response_policy:special")  # fmt: skip
def memory_doctor(session: Session, args: list[bytes]) -> Reply:
    data, resident = dataset_bytes(session), resident_bytes()
    if resident > 256 << 20 and resident > 2 * data:
        return Verbatim(
            f"The process holds {resident} bytes, its tables {data}: more than half of it is something else.\n"
        )
    return Verbatim(f"Nothing found: the tables take up {data} bytes, the process {resident}.\n")


@command(
    "MEMORY PURGE",
    "",
    group="server",
    since="4.0.0",
    summary="Does nothing: memory that tables give back is used again.",
    tips="request_policy:all_shards response_policy:all_succeeded",
)
def memory_purge(session: Session, args: list[bytes]) -> Reply:
    return OK


add_help("MEMORY", group="server", since="4.0.0", summary=HELP)

# ---- DEBUG

container("DEBUG", group="server", since="1.0.0", flags=ADMIN, summary="Commands for tests and tools.")
NOT_ALLOWED = (
    'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local '
    "connection, otherwise you need to set this option in the configuration file, and then restart the server."
)


def check_debug(session: Session) -> None:
    allowed = session.app.config.text("enable-debug-command")
    if allowed != "yes" and not (allowed == "local" and session.is_local):
        raise CommandError(NOT_ALLOWED)


@command("DEBUG SLEEP seconds:double", ADMIN, group="server", since="1.0.0",
         summary="Answer after so many seconds. Other connections are served meanwhile.")  # fmt: skip
def debug_sleep(session: Session, args: list[bytes]) -> Reply:
    check_debug(session)
    if not re.fullmatch(rb"[0-9]+(\.[0-9]*)?|\.[0-9]+", args[0]):
        raise CommandError(NOT_FLOAT)
    return sleep(session, float(args[0]))


async def sleep(session: Session, seconds: float) -> Reply:
    await session.sleep(seconds)
    return OK


@command(
    "DEBUG OBJECT key", ADMIN, group="server", since="1.0.0", keys="2 RO", summary="One line on how a value is stored."
)
def debug_object(session: Session, args: list[bytes]) -> Reply:
    check_debug(session)
    idle = _core.idle_seconds(session.table, args[0]) or 0  # before the look at the value, which is an access
    found = stored(session, args[0])
    if found is None:
        raise CommandError("ERR no such key")
    size = len(found[0]) if found[0] is not None else _core.memory_of(session.table, args[0]) or 0
    lru = (session.app.now_ms() // 1000 - idle) & 0xFFFFFF
    return Simple(
        f"Value at:0x0 refcount:1 encoding:{encoding_of(found[0])} serializedlength:{size} "
        f"lru:{lru} lru_seconds_idle:{idle}"
    )


@command("DEBUG SET-ACTIVE-EXPIRE value:integer", ADMIN, group="server", since="2.8.0",
         summary="Whether keys that are due are swept by themselves (1) or only hidden (0).")  # fmt: skip
def debug_set_active_expire(session: Session, args: list[bytes]) -> Reply:
    check_debug(session)
    if args[0] not in (b"0", b"1"):
        raise CommandError(SYNTAX)
    session.app.active_expire = args[0] == b"1"
    return OK


add_help("DEBUG", group="server", since="1.0.0", summary=HELP)

# ---- LATENCY

container(
    "LATENCY",
    group="server",
    since="2.8.13",
    summary="Commands on slow events (see the setting latency-monitor-threshold).",
)
TOLD_BY_ALL = "nondeterministic_output request_policy:all_nodes response_policy:special"


@command(
    "LATENCY LATEST",
    ADMIN,
    group="server",
    since="2.8.13",
    summary="The last and the worst sample of each event.",
    tips=TOLD_BY_ALL,
)
def latency_latest(session: Session, args: list[bytes]) -> Reply:
    events = session.app.shared.latency
    return [[name, *samples[-1], max(took for _, took in samples)] for name, samples in sorted(events.items())]


@command(
    "LATENCY HISTORY event",
    ADMIN,
    group="server",
    since="2.8.13",
    summary="The samples of an event: when, and how many ms.",
    tips=TOLD_BY_ALL,
)
def latency_history(session: Session, args: list[bytes]) -> Reply:
    samples = session.app.shared.latency.get(args[0].decode("utf-8", "replace"), ())
    return [list(sample) for sample in samples]


@command(
    "LATENCY RESET [event ...]",
    ADMIN,
    group="server",
    since="2.8.13",
    summary="Forget the samples of some events, or of all.",
    tips="request_policy:all_nodes response_policy:all_succeeded",
)
def latency_reset(session: Session, args: list[bytes]) -> Reply:
    events = session.app.shared.latency
    names = [word.decode("utf-8", "replace") for word in args] or list(events)
    return sum(events.pop(name, None) is not None for name in names)


add_help("LATENCY", group="server", since="2.8.13", summary=HELP)

# ---- SLOWLOG

container("SLOWLOG", group="server", since="2.2.12", summary="Commands on the log of slow commands.")


def gathered(session: Session) -> deque[SlowEntry]:
    """The log, with what the plane has noted of hot commands since it was last looked at."""
    shared, keep = session.app.shared, session.setting("slowlog-max-len")
    for conn_id, usec, argv in session.app.plane.take_slow():
        shared.note_slow(argv, usec, session.app.now_ms(), shared.sessions.get(conn_id), keep)
    return shared.slow


@command(
    "SLOWLOG GET [count]",
    "admin loading stale",
    group="server",
    since="2.2.12",
    summary="The newest entries (10; -1: all).",
    complexity="O(N) in the number of entries told",
    tips="request_policy:all_nodes nondeterministic_output",
)
def slowlog_get(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 1:
        raise CommandError("ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.")
    count: int | None = int64(args[0]) if args else 10
    if count is None or count < -1:
        raise CommandError("ERR count should be greater than or equal to -1")
    entries = list(gathered(session))
    chosen = entries if count == -1 else entries[:count]
    return [[each.id, each.time_s, each.usec, each.argv, each.peer, each.client] for each in chosen]


@command("SLOWLOG LEN", "admin loading stale", group="server", since="2.2.12", summary="The number of entries.",
         tips="request_policy:all_nodes response_policy:agg_sum nondeterministic_output")  # fmt: skip
def slowlog_len(session: Session, args: list[bytes]) -> Reply:
    return len(gathered(session))


@command(
    "SLOWLOG RESET",
    "admin loading stale",
    group="server",
    since="2.2.12",
    summary="Forget all entries.",
    complexity="O(N) in the number of entries",
    tips="request_policy:all_nodes response_policy:all_succeeded",
)
def slowlog_reset(session: Session, args: list[bytes]) -> Reply:
    gathered(session).clear()
    return OK


add_help("SLOWLOG", group="server", since="6.2.0", summary=HELP)
