"""CLIENT: who is connected, and what to do about it."""

from collections.abc import Iterable
from typing import cast

from tsunami._wire import OK, Verbatim
from tsunami_server.arguments import SYNTAX, int64, integer, timeout_ms
from tsunami_server.command import HELP, CommandError, Reply, add_help, command, container, printable, wrong_number
from tsunami_server.commands.connection import check_name
from tsunami_server.session import NO_REPLY, Session
from tsunami_server.shared import PauseMode
from tsunami_server.users import User, Users

PLAIN = "noscript loading stale"
ADMIN = "admin noscript loading stale"
# There are neither replicas nor a master; a client of such a type is known by name and never met.
CLIENT_TYPES = {
    b"normal": "normal",
    b"replica": "replica",
    b"slave": "replica",
    b"master": "master",
    b"pubsub": "pubsub",
}

container("CLIENT", group="connection", since="2.4.0", summary="Commands on client connections.")


def flags_of(session: Session) -> str:
    """What a connection is and does, a letter for each, as CLIENT LIST shows it."""
    shared, tracking = session.app.shared, session.tracking
    letters = {
        "O": session.id in shared.monitors,
        "P": session.conn.subscribed,
        "t": tracking is not None,
        "R": tracking is not None and tracking.broken,
        "B": tracking is not None and tracking.bcast,
        "U": session.unix,
        "e": session.no_evict,
        "T": session.no_touch,
        "b": shared.blocking.is_blocked(session),
        "x": session.conn.multi >= 0,
        "d": session.watch_broken,
        "c": session.closing,
    }
    return "".join(letter for letter, holds in letters.items() if holds) or "N"


def describe(session: Session) -> str:
    """One line of CLIENT LIST. What Tsunami has no notion of is 0, and so is what it does not measure."""
    conn, now_ms = session.conn, session.app.now_ms()
    tracking = session.tracking
    fields = {
        "id": session.id,
        "addr": session.peer,
        "laddr": session.local,
        "fd": session.fd,
        "name": session.name.decode(),
        "age": max(now_ms - conn.created_ms, 0) // 1000,
        "idle": max(now_ms - conn.active_ms, 0) // 1000,
        "flags": flags_of(session),
        "db": conn.db,
        "sub": len(session.subscriptions.channel),
        "psub": len(session.subscriptions.pattern),
        "ssub": len(session.subscriptions.shard),
        "multi": conn.multi,
        "qbuf": conn.query_size(),
        "qbuf-free": 0,
        "argv-mem": 0,
        "multi-mem": conn.multi_size,
        "rbs": 0,
        "rbp": 0,
        "obl": 0,
        "oll": 0,
        "omem": conn.output_size(),
        "tot-mem": conn.query_size() + conn.output_size() + conn.multi_size,
        "events": "r",
        "cmd": last_command(session),
        "user": printable(session.user.name),
        "redir": -1 if tracking is None else tracking.redirect,
        "resp": conn.resp,
        "lib-name": session.lib_name.decode(),
        "lib-ver": session.lib_ver.decode(),
        "watch": len(session.watched),
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())


def last_command(session: Session) -> str:
    """With its subcommand, which the connection itself does not know."""
    last = session.conn.last_command.lower()
    full = session.command_name
    return full if full.partition("|")[0] == last else last or "NULL"


def client_type(data: bytes) -> str:
    found = CLIENT_TYPES.get(data.lower())
    if found is None:
        raise CommandError(f"ERR Unknown client type '{data.decode('utf-8', 'replace')}'")
    return found


@command("CLIENT ID", PLAIN, group="connection", since="5.0.0", summary="The id of this connection.")
def client_id(session: Session, args: list[bytes]) -> Reply:
    return session.id


@command("CLIENT INFO", PLAIN, group="connection", since="6.2.0", summary="What CLIENT LIST says of this connection.",
         tips="nondeterministic_output")  # fmt: skip
def client_info(session: Session, args: list[bytes]) -> Reply:
    return Verbatim(describe(session) + "\n")


@command(
    "CLIENT LIST [TYPE (NORMAL | MASTER | REPLICA | PUBSUB)] [ID client-id ...]",
    ADMIN,
    group="connection",
    since="2.4.0",
    summary="One line for each connection.",
    complexity="O(N) in the number of connections",
    tips="nondeterministic_output",
)
def client_list(session: Session, args: list[bytes]) -> Reply:
    sessions: Iterable[Session] = list(session.app.shared.sessions.values())
    option = args[0].upper() if args else b""
    if option == b"TYPE" and len(args) == 2:
        kind = client_type(args[1])
        sessions = [each for each in sessions if each.client_class == kind]
    elif option == b"ID" and len(args) > 1:
        ids = [int64(word) for word in args[1:]]
        if None in ids:
            raise CommandError("ERR Invalid client ID")
        known = session.app.shared.sessions
        sessions = [known[number] for number in cast("list[int]", ids) if number in known]
    elif args:
        raise CommandError(SYNTAX)
    return Verbatim("".join(describe(each) + "\n" for each in sessions))


# ---- names


@command(
    "CLIENT SETNAME connection-name", PLAIN, group="connection", since="2.6.9", summary="Give this connection a name."
)
def client_setname(session: Session, args: list[bytes]) -> Reply:
    check_name(args[0])
    session.name = args[0]
    return OK


@command(
    "CLIENT GETNAME",
    PLAIN,
    group="connection",
    since="2.6.9",
    summary="The name of this connection, null if it has none.",
)
def client_getname(session: Session, args: list[bytes]) -> Reply:
    return session.name or None


@command(
    "CLIENT SETINFO attr=(LIB-NAME libname | LIB-VER libver)", PLAIN, group="connection", since="7.2.0",
    summary="Tell which library this client is.",
)  # fmt: skip
def client_setinfo(session: Session, args: list[bytes]) -> Reply:
    option, value = args[0].lower(), args[1]
    if option not in (b"lib-name", b"lib-ver"):
        raise CommandError(f"ERR Unrecognized option '{args[0].decode('utf-8', 'replace')}'")
    if any(not 33 <= byte <= 126 for byte in value):
        raise CommandError(f"ERR {option.decode()} cannot contain spaces, newlines or special characters.")
    if option == b"lib-name":
        session.lib_name = value
    else:
        session.lib_ver = value
    return OK


# ---- switches


def switch(data: bytes) -> bool:
    word = data.upper()
    if word not in (b"ON", b"OFF"):
        raise CommandError(SYNTAX)
    return word == b"ON"


@command("CLIENT NO-EVICT enabled=(ON | OFF)", ADMIN, group="connection", since="7.0.0",
         summary="Keep this connection when others are closed because of maxmemory-clients.")  # fmt: skip
def client_no_evict(session: Session, args: list[bytes]) -> Reply:
    session.no_evict = switch(args[0])
    return OK


@command("CLIENT NO-TOUCH enabled=(ON | OFF)", PLAIN, group="connection", since="7.2.0",
         summary="Leave no traces: what this connection reads does not count as used, except by TOUCH.")  # fmt: skip
def client_no_touch(session: Session, args: list[bytes]) -> Reply:
    session.no_touch = switch(args[0])
    session.set_cold("no-touch", session.no_touch)
    return OK


@command("CLIENT REPLY (ON | OFF | SKIP)", PLAIN, group="connection", since="3.2.0",
         summary="Whether this connection gets replies; SKIP leaves out the next one.")  # fmt: skip
def client_reply(session: Session, args: list[bytes]) -> Reply:
    match args[0].upper():
        case b"ON":
            session.conn.replies = 1
            return OK
        case b"OFF":
            session.conn.replies = 0
        case b"SKIP":
            if session.conn.replies == 1:  # off stays off
                session.conn.replies = 2
        case _:
            raise CommandError(SYNTAX)
    return NO_REPLY


# ---- pause


@command(
    "CLIENT PAUSE timeout mode=[WRITE | ALL]", ADMIN, group="connection", since="2.9.50",
    summary="Hold back all commands, or all that write, for so many milliseconds.",
)  # fmt: skip
def client_pause(session: Session, args: list[bytes]) -> Reply:
    mode: PauseMode = "all"
    if len(args) > 2:
        raise wrong_number("client|pause")
    if len(args) == 2:
        if args[1].upper() not in (b"WRITE", b"ALL"):
            raise CommandError("ERR CLIENT PAUSE mode must be WRITE or ALL")
        mode = "write" if args[1].upper() == b"WRITE" else "all"
    app = session.app
    app.shared.pause(app.plane, mode, app.now_ms(), timeout_ms(args[0]))
    return OK


@command("CLIENT UNPAUSE", ADMIN, group="connection", since="6.2.0", summary="End CLIENT PAUSE.",
         complexity="O(N) in the number of paused connections")  # fmt: skip
def client_unpause(session: Session, args: list[bytes]) -> Reply:
    session.app.shared.unpause(session.app.plane)
    return OK


# ---- kill


class Filter:
    """Which connections CLIENT KILL means: all conditions together."""

    def __init__(self, words: list[bytes], users: Users) -> None:
        self.users = users
        self.user: User | None = None
        self.id: int | None = None
        self.type: str | None = None
        self.addr: str | None = None
        self.laddr: str | None = None
        self.max_age: int | None = None
        self.skip_me = True
        for at in range(0, len(words), 2):
            if at + 1 == len(words):
                raise CommandError(SYNTAX)
            self._add(words[at].upper(), words[at + 1])

    def _add(self, word: bytes, value: bytes) -> None:
        match word:
            case b"ID":
                self.id = int64(value)
                if self.id is None or self.id < 1:
                    raise CommandError("ERR client-id should be greater than 0")
            case b"TYPE":
                self.type = client_type(value)
            case b"ADDR":
                self.addr = value.decode("utf-8", "replace")
            case b"LADDR":
                self.laddr = value.decode("utf-8", "replace")
            case b"USER":
                self.user = self.users.get(value)
                if self.user is None:
                    raise CommandError(f"ERR No such user '{value.decode('utf-8', 'replace')}'")
            case b"MAXAGE":
                self.max_age = int64(value)
                if self.max_age is None or self.max_age < 1:
                    raise CommandError("ERR maxage is not an integer or out of range")
            case b"SKIPME" if value.lower() in (b"yes", b"no"):
                self.skip_me = value.lower() == b"yes"
            case _:
                raise CommandError(SYNTAX)

    def matches(self, session: Session, asking: Session) -> bool:
        age = (asking.app.now_ms() - session.conn.created_ms) // 1000
        return (
            (self.id is None or self.id == session.id)
            and (self.type is None or self.type == session.client_class)
            and (self.user is None or self.user is session.user)
            and (self.addr is None or self.addr == session.peer)
            and (self.laddr is None or self.laddr == session.local)
            and (self.max_age is None or age >= self.max_age)
            and not (self.skip_me and session is asking)
        )


@command(
    "CLIENT KILL filter=(addr | new-format=(ID client-id | TYPE (NORMAL | MASTER | SLAVE | REPLICA | PUBSUB) | "
    "USER username | ADDR addr | LADDR addr | SKIPME yes/no | MAXAGE maxage:integer) ...)",
    ADMIN,
    group="connection",
    since="2.4.0",
    summary="Close connections: that of an address, or all that fit every filter.",
    complexity="O(N) in the number of connections",
)
def client_kill(session: Session, args: list[bytes]) -> Reply:
    old_form = len(args) == 1
    wanted = Filter([b"ADDR", args[0], b"SKIPME", b"no"] if old_form else args, session.app.users)
    victims = [each for each in session.app.shared.sessions.values() if wanted.matches(each, session)]
    for victim in victims:
        if victim is session:
            session.closing = True  # after the reply
        else:
            session.app.close_client(victim)
    if not old_form:
        return len(victims)
    if not victims:
        raise CommandError("ERR No such client")
    return OK


@command("CLIENT UNBLOCK client-id timeout_error=[TIMEOUT | ERROR]", ADMIN, group="connection", since="5.0.0",
         summary="Wake a connection that waits in a blocking command.")  # fmt: skip
def client_unblock(session: Session, args: list[bytes]) -> Reply:
    number = integer(args[0])
    if len(args) > 2 or (len(args) == 2 and args[1].upper() not in (b"TIMEOUT", b"ERROR")):
        raise CommandError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    shared = session.app.shared
    other = shared.sessions.get(number)
    error = len(args) == 2 and args[1].upper() == b"ERROR"
    return int(other is not None and shared.blocking.unblock(other, error))


add_help("CLIENT", group="connection", since="5.0.0", summary=HELP)
