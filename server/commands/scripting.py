"""Scripts: EVAL EVALSHA EVAL_RO EVALSHA_RO SCRIPT."""

from tsunami._wire import OK
from tsunami_server.arguments import NOT_INTEGER, int64
from tsunami_server.command import HELP, CommandError, Reply, add_help, command, container
from tsunami_server.commands.connection import REDIS_VERSION
from tsunami_server.scripting.scripts import Scripts
from tsunami_server.session import Session

FLAGS = "noscript stale skip_monitor no_mandatory_keys movablekeys"
READ_ONLY = "readonly " + FLAGS
COST = "Depends on the script that is executed."


def scripts_of(session: Session) -> Scripts:
    """The server's scripts; made when they are first asked for."""
    shared = session.app.shared
    if shared.scripts is None:
        shared.scripts = Scripts(REDIS_VERSION)
        session.app.plane.calls = shared.scripts.caller
    return shared.scripts


def key_count(args: list[bytes]) -> int:
    """How many of the words behind the second are keys."""
    count = int64(args[1])
    if count is None:
        raise CommandError(NOT_INTEGER)
    if count > len(args) - 2:
        raise CommandError("ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise CommandError("ERR Number of keys can't be negative")
    return count


@command("EVAL script numkeys:integer [key ...] [arg ...]", FLAGS, group="scripting", since="2.6.0",
         keys="2# RW access update", summary="Run a script.", complexity=COST)  # fmt: skip
def eval_(session: Session, args: list[bytes]) -> Reply:
    keys, scripts = key_count(args), scripts_of(session)
    return scripts.run(session, scripts.load(args[0]), keys, args)


@command("EVALSHA sha1 numkeys:integer [key ...] [arg ...]", FLAGS, group="scripting", since="2.6.0",
         keys="2# RW access update", summary="Run a script that the server knows.", complexity=COST)  # fmt: skip
def evalsha(session: Session, args: list[bytes]) -> Reply:
    keys, scripts = key_count(args), scripts_of(session)
    return scripts.run(session, scripts.find(args[0]), keys, args)


@command("EVAL_RO script numkeys:integer [key ...] [arg ...]", READ_ONLY, group="scripting", since="7.0.0",
         keys="2# RO access", summary="Run a script that may not write.", complexity=COST)  # fmt: skip
def eval_ro(session: Session, args: list[bytes]) -> Reply:
    keys, scripts = key_count(args), scripts_of(session)
    return scripts.run(session, scripts.load(args[0]), keys, args, True)


@command("EVALSHA_RO sha1 numkeys:integer [key ...] [arg ...]", READ_ONLY, group="scripting", since="7.0.0",
         keys="2# RO access", summary="Run a script that the server knows and that may not write.",
         complexity=COST)  # fmt: skip
def evalsha_ro(session: Session, args: list[bytes]) -> Reply:
    keys, scripts = key_count(args), scripts_of(session)
    return scripts.run(session, scripts.find(args[0]), keys, args, True)


# ---- SCRIPT

container("SCRIPT", group="scripting", since="2.6.0", summary="The scripts that the server knows.")


@command("SCRIPT LOAD script", "noscript stale", group="scripting", since="2.6.0",
         summary="Make a script known; its SHA-1, by which EVALSHA runs it.",
         complexity="O(N) with N being the length in bytes of the script body.",
         tips="request_policy:all_nodes response_policy:all_succeeded")  # fmt: skip
def script_load(session: Session, args: list[bytes]) -> Reply:
    return scripts_of(session).load(args[0]).sha.encode()


@command("SCRIPT EXISTS sha1 ...", "noscript", group="scripting", since="2.6.0",
         summary="Which of these scripts the server knows.", complexity="O(N) in the number of scripts",
         tips="request_policy:all_shards response_policy:agg_logical_and")  # fmt: skip
def script_exists(session: Session, args: list[bytes]) -> Reply:
    scripts = scripts_of(session)
    return [int(scripts.knows(sha)) for sha in args]


@command("SCRIPT FLUSH async=[ASYNC | SYNC]", "noscript", group="scripting", since="2.6.0",
         summary="Forget all scripts.", complexity="O(N) in the number of scripts",
         tips="request_policy:all_nodes response_policy:all_succeeded")  # fmt: skip
def script_flush(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 1 or (args and args[0].upper() not in (b"ASYNC", b"SYNC")):
        raise CommandError("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
    scripts_of(session).flush()
    return OK


@command("SCRIPT KILL", "noscript allow_busy", group="scripting", since="2.6.0",
         summary="End the script that runs, if it has written nothing yet.",
         tips="request_policy:all_shards response_policy:one_succeeded")  # fmt: skip
def script_kill(session: Session, args: list[bytes]) -> Reply:
    scripts_of(session).kill()
    return OK


@command("SCRIPT DEBUG mode=(YES | SYNC | NO)", "noscript", group="scripting", since="3.2.0",
         summary="There is no debugger of scripts: NO is accepted, anything else refused.")  # fmt: skip
def script_debug(session: Session, args: list[bytes]) -> Reply:
    mode = args[0].upper()
    if mode == b"NO":
        return OK
    if mode in (b"YES", b"SYNC"):
        raise CommandError("ERR there is no debugger of scripts here; SCRIPT DEBUG NO is all that can be said")
    raise CommandError("ERR Use SCRIPT DEBUG YES/SYNC/NO")


add_help("SCRIPT", group="scripting", since="5.0.0", summary=HELP)


# ---- functions
# There are none, and no commands for them but this one: emptying nothing is what Redis's own tests begin with.

container("FUNCTION", group="scripting", since="7.0.0", summary="Not there, but for FLUSH: see the page on Redis.")


@command(
    "FUNCTION FLUSH async=[ASYNC | SYNC]", "noscript write", group="scripting", since="7.0.0",
    summary="Delete all functions, of which there are none.", complexity="O(1)",
    tips="request_policy:all_shards response_policy:all_succeeded",
)  # fmt: skip
def function_flush(session: Session, args: list[bytes]) -> Reply:
    if args and args[0].upper() not in (b"ASYNC", b"SYNC"):
        raise CommandError("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
    return OK
