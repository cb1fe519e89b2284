"""Commands on the server and on what keys are made of: TIME WAIT SHUTDOWN OBJECT DEBUG."""

import re

import tsunami
from tsunami import _core
from tsunami._wire import OK, Raw, Simple, Verbatim
from tsunami_server.arguments import NOT_FLOAT, SYNTAX, int64, integer, timeout_ms
from tsunami_server.blocking import NOT_YET
from tsunami_server.command import HELP, CommandError, Reply, add_help, command, container
from tsunami_server.commands.connection import REDIS_VERSION
from tsunami_server.keyspace import View, as_text
from tsunami_server.session import BUSY, NO_REPLY, Session
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
    return 0 if replicas <= 0 else session.block_on([], lambda: NOT_YET, limit_ms / 1000, 0)


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
    shared = session.app.shared
    if shared.busy and b"NOSAVE" not in words:
        raise CommandError(BUSY)
    if shared.scripts is not None:
        shared.scripts.stop()
    session.app.shutdown()
    return NO_REPLY


WAVE = """
            .-~~-.
        .-~       ~-.
     .-~     .-~-.   )
  .-~      (    _/  /
_/__________\\______\\____
"""


@command("LOLWUT [VERSION version:integer]", "readonly fast", group="server", since="5.0.0",
         summary="A drawing, and which version this is.")  # fmt: skip
def lolwut(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 1 and args[0].upper() == b"VERSION":
        integer(args[1])  # what else is asked of a drawing (sizes, as a rule) is no concern of this one
    return Verbatim(f"{WAVE}\nTsunami {tsunami.__version__}, Redis ver. {REDIS_VERSION}\n")


# ---- OBJECT

SWITCHING = (
    "Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
)
USE_COUNTED = f"ERR An LFU maxmemory policy is selected, idle time not tracked. {SWITCHING}"
USE_NOT_COUNTED = f"ERR An LFU maxmemory policy is not selected, access frequency not tracked. {SWITCHING}"

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
    idle = _core.idle_seconds(session.table, args[0])
    if idle is not None and session.app.memory.counts_use:
        raise CommandError(USE_COUNTED)
    return idle


@command("OBJECT FREQ key", "readonly", group="generic", since="4.0.0", keys="2 RO", tips="nondeterministic_output",
         summary="How often a key was used of late, by a logarithmic counter: under an LFU policy.")  # fmt: skip
def object_freq(session: Session, args: list[bytes]) -> Reply:
    uses = _core.use_of(session.table, args[0])
    if uses is not None and not session.app.memory.counts_use:
        raise CommandError(USE_NOT_COUNTED)
    return uses


@command("OBJECT REFCOUNT key", "readonly", group="generic", since="2.2.3", keys="2 RO", tips="nondeterministic_output",
         summary="Always 1: a table shares no values.")  # fmt: skip
def object_refcount(session: Session, args: list[bytes]) -> Reply:
    return None if stored(session, args[0]) is None else 1


add_help("OBJECT", group="generic", since="6.2.0", summary=HELP)

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


@command("DEBUG ERROR message", ADMIN, group="server", since="2.8.0", summary="Answer with this error.")
def debug_error(session: Session, args: list[bytes]) -> Reply:
    """For tests of clients: the error is no failure of anything here, and is not counted as one."""
    check_debug(session)
    return Raw(b"-%b\r\n" % args[0].translate(bytes.maketrans(b"\r\n", b"  ")))


@command("DEBUG SET-ACTIVE-EXPIRE value:integer", ADMIN, group="server", since="2.8.0",
         summary="Whether keys that are due are swept by themselves (1) or only hidden (0).")  # fmt: skip
def debug_set_active_expire(session: Session, args: list[bytes]) -> Reply:
    check_debug(session)
    if args[0] not in (b"0", b"1"):
        raise CommandError(SYNTAX)
    session.app.active_expire = args[0] == b"1"
    session.app.watch_changes()
    return OK


add_help("DEBUG", group="server", since="1.0.0", summary=HELP)
