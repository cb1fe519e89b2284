"""CONFIG: settings while the server runs. The settings themselves are in config.py."""

from tsunami._wire import OK
from tsunami_server.arguments import SYNTAX
from tsunami_server.command import HELP, CommandError, Reply, add_help, command, container
from tsunami_server.configfile import rewritten
from tsunami_server.files import replace_file
from tsunami_server.glob import compile_glob
from tsunami_server.session import Session, log
from tsunami_server.users import DEFAULT, default_user

ADMIN = "admin noscript loading stale"

container("CONFIG", group="server", since="2.0.0", summary="Commands on the server's settings.")


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def value_of(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise failed(name, "argument must be UTF-8") from None


@command("CONFIG GET parameter=(parameter) ...", ADMIN, group="server", since="2.0.0",
         summary="Settings by name or glob pattern.", complexity="O(N) in the number of patterns")  # fmt: skip
def config_get(session: Session, args: list[bytes]) -> Reply:
    config = session.app.config
    names = sorted(config.names())
    found: dict[str, str] = {}
    for word in args:
        matches = compile_glob(word, ignore_case=True)
        plain = not set(word) & set(b"*?[")
        for name in filter(lambda name: matches(name.encode()), names):
            found[text_of(word) if plain else name] = config.text(name)  # a plain name comes back as it was typed
    return found


@command("CONFIG SET (parameter value) ...", ADMIN, group="server", since="2.0.0",
         summary="Change settings, all of them or none.", complexity="O(N) in the number of settings",
         tips="request_policy:all_nodes response_policy:all_succeeded")  # fmt: skip
def config_set(session: Session, args: list[bytes]) -> Reply:
    if len(args) % 2:
        raise CommandError(SYNTAX)
    known = set(session.app.config.names())
    pairs: dict[str, str] = {}
    for word, value in zip(args[::2], args[1::2], strict=True):
        name = text_of(word).lower()
        if name not in known:
            raise CommandError(f"ERR Unknown option or number of arguments for CONFIG SET - '{text_of(word)}'")
        if name in pairs:
            raise failed(name, "duplicate parameter")
        pairs[name] = value_of(name, value)
    try:
        session.app.config.set_many(pairs)
    except ValueError as error:  # config.ConfigError
        raise failed(getattr(error, "name", ""), getattr(error, "reason", str(error))) from error
    session.app.shared.trim_slow(session.setting("slowlog-max-len"))
    return OK


def failed(name: str, reason: str) -> CommandError:
    return CommandError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")


@command("CONFIG RESETSTAT", ADMIN, group="server", since="2.0.0", summary="Set what INFO counts back to zero.",
         tips="request_policy:all_nodes response_policy:all_succeeded")  # fmt: skip
def config_resetstat(session: Session, args: list[bytes]) -> Reply:
    session.app.shared.reset_stats()
    session.app.plane.direct.clear()  # the accounts are new ones from now on
    session.app.plane.reset_stats()
    session.app.plane.reset_spreads()
    session.app.memory.evicted = session.app.memory.evicted_clients = 0
    return OK


@command(
    "CONFIG REWRITE",
    ADMIN,
    group="server",
    since="2.8.0",
    summary="Write the settings and users in force to the configuration file; comments and order stay.",
    tips="request_policy:all_nodes response_policy:all_succeeded",
)
def config_rewrite(session: Session, args: list[bytes]) -> Reply:
    config = session.app.config
    if config.file is None:
        raise CommandError("ERR The server is running without a config file")
    try:
        users = None if config.text("aclfile") else told_users(session)
        text = rewritten(config.file.read_text("utf-8"), config.file, config.all(), users)
        replace_file(config.file, text.encode())
    except (OSError, ValueError) as error:  # FileError, and names that are no UTF-8
        log.warning("CONFIG REWRITE failed: %s", error)
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandError(f"ERR Rewriting config file: {reason}") from None
    return OK


def told_users(session: Session) -> dict[str, str]:
    """The users as the file tells them: the default one only if it is not as requirepass alone makes it."""
    plain = default_user()
    if password := session.app.config.text("requirepass"):
        plain.apply(b"resetpass")
        plain.apply(b">" + password.encode())
    return {
        user.name.decode(): user.described()
        for user in session.app.users
        if user.name != DEFAULT or user.described() != plain.described()
    }


add_help("CONFIG", group="server", since="5.0.0", summary=HELP)
