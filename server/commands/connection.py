"""Commands on the connection itself: PING ECHO QUIT RESET HELLO AUTH SELECT. CLIENT is in clients.py, ACL in acl.py."""

from tsunami._wire import OK, Simple
from tsunami_server.arguments import database, integer
from tsunami_server.command import CommandError, Reply, command, wrong_number
from tsunami_server.session import Session
from tsunami_server.users import DEFAULT

# Clients choose what they ask for by this number; it names the Redis whose protocol and commands these are.
REDIS_VERSION = "7.4.0"

WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled."
NO_PASSWORD_SET = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
HELLO_NOT_AUTHENTICATED = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time"
)
BAD_NAME = "ERR Client names cannot contain spaces, newlines or special characters."


@command("PING [message]", "fast", group="connection", since="1.0.0", summary="PONG, or the message.", hot=True,
         tips="request_policy:all_shards response_policy:all_succeeded")  # fmt: skip
def ping(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 1:
        raise wrong_number("ping")
    if session.conn.subscribed and session.conn.resp == 2:  # among messages it looks like one
        return [b"pong", args[0] if args else b""]
    return args[0] if args else Simple("PONG")


@command("ECHO message", "loading stale fast", group="connection", since="1.0.0", summary="The message.", hot=True)
def echo(session: Session, args: list[bytes]) -> Reply:
    return args[0]


@command("QUIT", "noscript loading stale fast no_auth allow_busy", group="connection", since="1.0.0", arity=-1,
         summary="Close the connection, once everything before is answered.")  # fmt: skip
def quit_(session: Session, args: list[bytes]) -> Reply:
    session.closing = True
    return OK


@command("RESET", "noscript loading stale fast no_auth allow_busy", group="connection", since="6.2.0",
         summary="Put the connection back to how it was when it was made.")  # fmt: skip
def reset(session: Session, args: list[bytes]) -> Reply:
    session.discard()
    conn = session.conn
    conn.db, conn.resp, conn.replies = 0, 2, 1
    session.log_out()
    session.name = b""
    session.no_evict = session.no_touch = False
    session.stop_listening()
    session.monitor(False)
    return Simple("RESET")


@command("SELECT index", "loading stale fast", group="connection", since="1.0.0",
         summary="Choose the database that the next commands mean.", hot=True)  # fmt: skip
def select(session: Session, args: list[bytes]) -> Reply:
    session.conn.db = database(args[0], session.setting("databases"))
    return OK


# ---- who is there


def log_in(session: Session, word: bytes, user: bytes, password: bytes) -> None:
    """Bind the connection to a user, or refuse, which ACL LOG notes under the word that asked for it."""
    found = session.app.users.authenticated(user, password)
    if found is None:
        session.note_denied("auth", "toplevel", word, user)
        raise CommandError(WRONG_PASSWORD)
    session.log_in(found)


@command(
    "AUTH [username] password",
    "noscript loading stale fast no_auth allow_busy",
    group="connection",
    since="1.0.0",
    summary="Tell the password.",
)
def auth(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 2:
        raise CommandError("ERR syntax error")
    if len(args) == 1 and session.app.users.default.no_password:
        raise CommandError(NO_PASSWORD_SET)
    log_in(session, b"AUTH", args[0] if len(args) == 2 else DEFAULT, args[-1])
    return OK


def check_name(name: bytes) -> None:
    if any(not 33 <= byte <= 126 for byte in name):
        raise CommandError(BAD_NAME)


def hello_options(words: list[bytes]) -> tuple[tuple[bytes, bytes] | None, bytes | None]:
    """User and password, and the connection's name, as far as they are given."""
    login, name, at = None, None, 0
    while at < len(words):
        word, following = words[at].upper(), len(words) - at - 1
        if word == b"AUTH" and following >= 2:
            login = (words[at + 1], words[at + 2])
            at += 3
        elif word == b"SETNAME" and following >= 1:
            name = words[at + 1]
            check_name(name)
            at += 2
        else:
            shown = words[at].decode("utf-8", "replace")
            raise CommandError(f"ERR Syntax error in HELLO option '{shown}'")
    return login, name


@command(
    "HELLO arguments=[protover [AUTH (username password)] [SETNAME clientname]]",
    "noscript loading stale fast no_auth allow_busy",
    group="connection",
    since="6.0.0",
    summary="Choose the protocol version, log in, and hear who the server is.",
)
def hello(session: Session, args: list[bytes]) -> Reply:
    version = None
    if args:
        version = integer(args[0], "ERR Protocol version is not an integer or out of range")
        if version not in (2, 3):
            raise CommandError("NOPROTO unsupported protocol version")
    login, name = hello_options(args[1:])
    conn = session.conn
    if login:
        log_in(session, b"HELLO", *login)
    if not conn.authenticated:
        raise CommandError(HELLO_NOT_AUTHENTICATED)
    if name is not None:
        session.name = name
    if version is not None:
        conn.resp = version
    return {
        "server": "redis",  # whose protocol this is: redis-py's cache works with no other name. INFO tells ours
        "version": REDIS_VERSION,
        "proto": conn.resp,
        "id": session.id,
        "mode": "standalone",
        "role": "master",
        "modules": [],
    }
