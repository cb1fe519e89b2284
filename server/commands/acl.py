"""ACL: users and their rights, while the server runs. Who is what stands in users.py, what rules mean in rules.py.

What it is: the words of ACL's subcommands, the ACL file, and what a change does to connections that are open: those of
a user that is gone are closed; those that have subscribed to what their user may no longer hear are closed; all others
go on under the new rights, from their next command on.
"""

import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tsunami._wire import OK
from tsunami_server.arguments import integer
from tsunami_server.command import (
    HELP,
    CommandError,
    Reply,
    add_help,
    command,
    container,
    printable,
    registry,
    wrong_number,
)
from tsunami_server.files import replace_file
from tsunami_server.rules import CATEGORIES, Selector, unshown
from tsunami_server.session import Host, Session, denied_text, log
from tsunami_server.users import DEFAULT, ChangeError, Entry, User

ADMIN = "admin noscript loading stale"
PLAIN = "noscript loading stale"
NO_FILE = (
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER "
    "command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store "
    "users in the Redis configuration."
)
NOT_SAVED = "ERR There was an error trying to save the ACLs. Please check the server logs for more information"
MAX_BITS: Final = 4096
BAD_BITS = (
    f"ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {MAX_BITS}"
)
LOG_SHOWN: Final = 10

container("ACL", group="server", since="6.0.0", summary="Commands on users and their rights.")


# ---- what a change does to connections


def keep_only_allowed(host: Host, user: User, planned: User) -> None:
    """Close the connections that have subscribed to what their user is about to lose."""
    for session in list(host.shared.sessions.values()):
        if session.user is user and not hears_only_allowed(session, planned):
            close(host, session)


def hears_only_allowed(session: Session, user: User) -> bool:
    """Is everything that the connection has subscribed to allowed by these rights?"""
    heard = session.subscriptions
    plain = all(user.may_use(channel, is_pattern=False) for channel in [*heard.channel, *heard.shard])
    return plain and all(user.may_use(pattern, is_pattern=True) for pattern in heard.pattern)


def close(host: Host, session: Session, asking: Session | None = None) -> None:
    """Close a connection; the one that asks for it hears the answer first."""
    if session is asking:
        session.closing = True
    else:
        host.close_client(session)


def log_out_all(host: Host, gone: Iterable[User], asking: Session | None = None) -> None:
    """End the connections of users that there are no longer: they are nobody from now on."""
    for session in list(host.shared.sessions.values()):
        if any(session.user is user for user in gone):
            session.log_out()
            session.conn.authenticated = False
            close(host, session, asking)


def too_many(word: str) -> CommandError:
    """Redis's words where a subcommand may have a last word more, and has two."""
    return CommandError(f"ERR unknown subcommand or wrong number of arguments for '{word}'. Try ACL HELP.")


# ---- users


@command("ACL SETUSER username [rule] ...", ADMIN, group="server", since="6.0.0",
         summary="Make a user, or change one, by rules.",
         complexity="O(N) in the number of rules")  # fmt: skip
def acl_setuser(session: Session, args: list[bytes]) -> Reply:
    host = session.app
    try:
        planned = host.users.planned(args[0], args[1:])
    except ChangeError as error:
        raise CommandError(f"ERR {error}") from None
    known = host.users.get(args[0])
    if known is not None:
        keep_only_allowed(host, known, planned)
    host.users.put(planned)
    host.users_changed()
    return OK


@command("ACL DELUSER username ...", ADMIN, group="server", since="6.0.0",
         summary="Delete users, and end their connections.",
         complexity="O(N) in the number of connections",
         tips="request_policy:all_nodes response_policy:all_succeeded")  # fmt: skip
def acl_deluser(session: Session, args: list[bytes]) -> Reply:
    if DEFAULT in args:
        raise CommandError("ERR The 'default' user cannot be removed")
    gone = [user for user in map(session.app.users.remove, args) if user is not None]
    log_out_all(session.app, gone, session)
    return len(gone)


class Flags(frozenset[str]):
    """A set as a reply whose members come in the order given."""

    def __new__(cls, members: Iterable[str]) -> "Flags":
        found = tuple(members)
        self = super().__new__(cls, found)
        self.members = found
        return self

    members: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)


def describe_selector(selector: Selector) -> dict[str, object]:
    return {
        "commands": unshown(selector.described_commands()),
        "keys": unshown(selector.described_keys()),
        "channels": unshown(selector.described_channels()),
    }


@command("ACL GETUSER username", ADMIN, group="server", since="6.0.0", summary="What there is to know of a user.",
         complexity="O(N) in the number of rules")  # fmt: skip
def acl_getuser(session: Session, args: list[bytes]) -> Reply:
    user = session.app.users.get(args[0])
    if user is None:
        return None
    return {
        "flags": Flags(user.flags()),
        "passwords": user.passwords,
        **describe_selector(user.root),
        "selectors": [describe_selector(selector) for selector in user.selectors[1:]],
    }


@command("ACL LIST", ADMIN, group="server", since="6.0.0", summary="All users, as lines of an ACL file.",
         complexity="O(N) in the number of users")  # fmt: skip
def acl_list(session: Session, args: list[bytes]) -> Reply:
    return [user.line() for user in session.app.users]


@command("ACL USERS", ADMIN, group="server", since="6.0.0", summary="The names of all users.",
         complexity="O(N) in the number of users")  # fmt: skip
def acl_users(session: Session, args: list[bytes]) -> Reply:
    return [user.name for user in session.app.users]


@command("ACL WHOAMI", PLAIN, group="server", since="6.0.0", summary="The user of this connection.")
def acl_whoami(session: Session, args: list[bytes]) -> Reply:
    return session.user.name


# ---- what may be done


@command("ACL CAT [categoryname]", PLAIN, group="server", since="6.0.0",
         summary="The categories, or the commands of one.",
         complexity="O(1)")  # fmt: skip
def acl_cat(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 1:
        raise too_many("CAT")
    if not args:
        return list(CATEGORIES)
    name = args[0].decode("utf-8", "replace").lower()
    if name not in CATEGORIES:
        raise CommandError(f"ERR Unknown category '{printable(args[0][:128])}'")
    return [record.name for record in registry.everything() if "@" + name in record.categories]


@command("ACL DRYRUN username command [arg] ...", ADMIN, group="server", since="7.0.0",
         summary="Whether a user may make this call, without making it.")  # fmt: skip
def acl_dryrun(session: Session, args: list[bytes]) -> Reply:
    user, argv = session.app.users.get(args[0]), args[1:]
    if user is None:
        raise CommandError(f"ERR User '{printable(args[0])}' not found")
    try:
        record = registry.find(argv)
    except CommandError:
        raise CommandError(f"ERR Command '{printable(argv[0])}' not found") from None
    if not record.accepts(len(argv)):
        raise wrong_number(record.name)
    denied = user.denied(record, argv)
    return OK if denied is None else denied_text(denied, user, verbose=True)


@command("ACL GENPASS [bits:integer]", PLAIN, group="server", since="6.0.0",
         summary="A password of random bits, 256 unless told otherwise, in hexadecimal.")  # fmt: skip
def acl_genpass(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 1:
        raise too_many("GENPASS")
    bits = integer(args[0]) if args else 256
    if not 0 < bits <= MAX_BITS:
        raise CommandError(BAD_BITS)
    return secrets.token_hex((bits + 7) // 8)[: (bits + 3) // 4]


# ---- what was denied


def describe_entry(entry: Entry, now_ms: int) -> dict[str, object]:
    return {
        "count": entry.count,
        "reason": entry.reason,
        "context": entry.context,
        "object": entry.what,
        "username": entry.user,
        "age-seconds": (now_ms - entry.updated_ms) / 1000,
        "client-info": entry.client,
        "entry-id": entry.id,
        "timestamp-created": entry.created_ms,
        "timestamp-last-updated": entry.updated_ms,
    }


@command("ACL LOG operation=[count | RESET]", ADMIN, group="server", since="6.0.0",
         summary="What was denied, the newest first.",
         complexity="O(N) in the number of entries")  # fmt: skip
def acl_log(session: Session, args: list[bytes]) -> Reply:
    entries = session.app.users.log.entries
    if len(args) > 1:
        raise too_many("LOG")
    if args and args[0].lower() == b"reset":
        entries.clear()
        return OK
    count = integer(args[0]) if args else LOG_SHOWN
    now_ms = session.app.now_ms()
    return [describe_entry(entry, now_ms) for entry in list(entries)[: max(count, 0)]]


# ---- the file


def file_of(session: Session) -> Path:
    name = session.app.config.text("aclfile")
    if not name:
        raise CommandError(NO_FILE)
    return Path(name)


def load(host: Host, path: Path, asking: Session | None = None) -> None:
    """Let the users of the file be all users, or, with any mistake in it, change nothing. ChangeError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ChangeError(f"Error loading ACLs, opening file '{path}': {error.strerror}") from None
    users = host.users
    found = users.read(text, str(path))
    for name, planned in found.items():
        known = users.get(name)
        if known is not None:
            keep_only_allowed(host, known, planned)
    gone = users.replace(found)
    log_out_all(host, gone, asking)
    host.users_changed()


def save(host: Host, path: Path) -> None:
    """Write the users to the file: whole, or not at all. OSError."""
    replace_file(path, b"".join(user.line() + b"\n" for user in host.users))


@command("ACL LOAD", ADMIN, group="server", since="6.0.0", summary="Read the ACL file again: all of it, or nothing.",
         complexity="O(N) in the number of users")  # fmt: skip
def acl_load(session: Session, args: list[bytes]) -> Reply:
    try:
        load(session.app, file_of(session), session)
    except ChangeError as error:
        raise CommandError(f"ERR {error}") from None
    return OK


@command("ACL SAVE", ADMIN, group="server", since="6.0.0", summary="Write all users to the ACL file.",
         complexity="O(N) in the number of users",
         tips="request_policy:all_nodes response_policy:all_succeeded")  # fmt: skip
def acl_save(session: Session, args: list[bytes]) -> Reply:
    path = file_of(session)
    try:
        save(session.app, path)
    except OSError as error:
        log.warning("ACL SAVE: %s: %s", path, error.strerror)
        raise CommandError(NOT_SAVED) from None
    return OK


add_help("ACL", group="server", since="6.0.0", summary=HELP)
