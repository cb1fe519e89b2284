"""Client-side caching: CLIENT TRACKING, CLIENT CACHING, CLIENT TRACKINGINFO, CLIENT GETREDIR. See tracking.py."""

from collections.abc import Iterable

from tsunami._wire import OK
from tsunami_server.arguments import SYNTAX, integer
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.session import Session
from tsunami_server.tracking import Options

PLAIN = "noscript loading stale"

NEEDS_MODE = (
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
)
TWO_REDIRECTS = "ERR A client can only redirect to a single other client"
NO_SUCH_CLIENT = "ERR The client ID you want redirect to does not exist"
PREFIX_ALONE = "ERR PREFIX option requires BCAST mode to be enabled"
OTHER_MODE = "before disabling tracking for this client, and then re-enabling it with a different mode."
NOT_DISJOINT = "Prefixes for a single client must not overlap."


def options_of(session: Session, words: list[bytes]) -> tuple[Options, list[bytes]]:
    """What stands behind ON or OFF, and the prefixes there, checked for their form only."""
    options, given, at = Options(), list[bytes](), 0
    while at < len(words):
        word, more = words[at].upper(), at + 1 < len(words)
        if word == b"REDIRECT" and more:
            at += 1
            if options.redirect:
                raise CommandError(TWO_REDIRECTS)
            options.redirect = integer(words[at])
            if options.redirect not in session.app.shared.sessions:
                raise CommandError(NO_SUCH_CLIENT)
        elif word == b"PREFIX" and more:
            at += 1
            given.append(words[at])
        elif word == b"BCAST":
            options.bcast = True
        elif word == b"OPTIN":
            options.optin = True
        elif word == b"OPTOUT":
            options.optout = True
        elif word == b"NOLOOP":
            options.noloop = True
        else:
            raise CommandError(SYNTAX)
        at += 1
    return options, given


def check_disjoint(prefix: bytes, others: Iterable[bytes], what: str) -> None:
    for other in others:
        if prefix.startswith(other) or other.startswith(prefix):
            shown, with_ = (each.decode("utf-8", "replace") for each in (prefix, other))
            raise CommandError(f"ERR Prefix '{shown}' overlaps with {what} '{with_}'. {NOT_DISJOINT}")


def check_compatible(new: Options, prefixes: list[bytes], old: Options | None) -> None:
    """Options among themselves, and with those in force."""
    if prefixes and not new.bcast:
        raise CommandError(PREFIX_ALONE)
    if old is not None and old.bcast != new.bcast:
        raise CommandError(f"ERR You can't switch BCAST mode on/off {OTHER_MODE}")
    if new.bcast and (new.optin or new.optout):
        raise CommandError("ERR OPTIN and OPTOUT are not compatible with BCAST")
    if new.optin and new.optout:
        raise CommandError("ERR You can't specify both OPTIN mode and OPTOUT mode")
    if old is not None and ((new.optin and old.optout) or (new.optout and old.optin)):
        raise CommandError(f"ERR You can't switch OPTIN/OPTOUT mode {OTHER_MODE}")
    for at, prefix in enumerate(prefixes):
        check_disjoint(prefix, old.prefixes if old is not None else (), "an existing prefix")
        check_disjoint(prefix, prefixes[at + 1 :], "another provided prefix")


@command(
    "CLIENT TRACKING status=(ON | OFF) [REDIRECT client-id] [PREFIX prefix] ... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
    PLAIN, group="connection", since="6.0.0", arity=-3,
    summary="Hear of changes to keys that this connection has read, or that begin with a prefix.",
)  # fmt: skip
def client_tracking(session: Session, args: list[bytes]) -> Reply:
    options, prefixes = options_of(session, args[1:])
    tracking = session.app.shared.tracking
    match args[0].upper():
        case b"ON":
            check_compatible(options, prefixes, session.tracking)
            options.prefixes = dict.fromkeys(prefixes)
            tracking.switch_on(session, options)
        case b"OFF":
            tracking.switch_off(session)
        case _:
            raise CommandError(SYNTAX)
    session.app.watch_changes()
    return OK


@command(
    "CLIENT CACHING mode=(YES | NO)", PLAIN, group="connection", since="6.0.0",
    summary="Whether the keys of the next command are remembered, in the modes OPTIN and OPTOUT.",
)  # fmt: skip
def client_caching(session: Session, args: list[bytes]) -> Reply:
    options = session.tracking
    if options is None:
        raise CommandError(NEEDS_MODE)
    match args[0].upper():
        case b"YES" if not options.optin:
            raise CommandError("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
        case b"NO" if not options.optout:
            raise CommandError("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
        case b"YES" | b"NO":
            session.app.shared.tracking.cache_next(session)
            return OK
    raise CommandError(SYNTAX)


@command(
    "CLIENT TRACKINGINFO", PLAIN, group="connection", since="6.2.0",
    summary="How this connection hears of changes: flags, redirection and prefixes.",
)  # fmt: skip
def client_trackinginfo(session: Session, args: list[bytes]) -> Reply:
    options = session.tracking
    if options is None:
        return told(session, ["off"], -1, [])
    flags = ["on"]
    flags += ["bcast"] if options.bcast else []
    flags += ["optin"] if options.optin else []
    flags += ["caching-yes"] if options.optin and options.caching else []
    flags += ["optout"] if options.optout else []
    flags += ["caching-no"] if options.optout and options.caching else []
    flags += ["noloop"] if options.noloop else []
    flags += ["broken_redirect"] if options.broken else []
    return told(session, flags, options.redirect, sorted(options.prefixes))


def told(session: Session, flags: list[str], redirect: int, prefixes: list[bytes]) -> Reply:
    """RESP3 has sets; in RESP2 the flags come in Redis's order."""
    return {"flags": set(flags) if session.conn.resp >= 3 else flags, "redirect": redirect, "prefixes": prefixes}


@command(
    "CLIENT GETREDIR", PLAIN, group="connection", since="6.0.0",
    summary="The connection that is told of changes in place of this one; 0: itself, -1: not tracking.",
)  # fmt: skip
def client_getredir(session: Session, args: list[bytes]) -> Reply:
    return -1 if session.tracking is None else session.tracking.redirect
