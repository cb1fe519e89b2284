"""Transactions: MULTI EXEC DISCARD WATCH UNWATCH.

The queue and its run are the connection's (tsunami._wire.Conn), which for hot commands needs nobody else: the handlers
of MULTI and EXEC here stand for what is out of the ordinary. What is watched is kept by Signals.

A transaction runs under the gate, which EXEC takes over whole databases: the selected one, those that are watched, and
those that a queued command names. So nobody, no other connection and no thread of the process, sees a part of it or
comes between the look at what was watched and the first command. Tables made with ETS.NEW are not databases: ETS.*
in a transaction are in one step with it for other connections, which wait until EXEC has ended; for threads of the
process each of them is a step of its own.
"""

from contextlib import ExitStack

from tsunami import Table, _core, keyspace
from tsunami._wire import OK, NullArray
from tsunami_server.arguments import int64
from tsunami_server.command import CommandError, Reply, command, registry
from tsunami_server.session import NO_REPLY, Session

PLAIN = "noscript loading stale fast allow_busy"
PREVIOUS_ERRORS = "EXECABORT Transaction discarded because of previous errors."

# What may reach any database.
EVERYWHERE = frozenset(("flushall", "swapdb", "eval", "evalsha", "eval_ro", "evalsha_ro"))


@command("MULTI", PLAIN, group="transactions", since="1.2.0", acl="transaction", hot=True,
         summary="Begin a transaction: commands are queued until EXEC.")  # fmt: skip
def multi(session: Session, args: list[bytes]) -> Reply:
    if session.conn.multi >= 0:
        raise CommandError("ERR MULTI calls can not be nested")
    session.conn.begin()
    return OK


@command("DISCARD", PLAIN, group="transactions", since="2.0.0", acl="transaction",
         summary="End a transaction without carrying it out; nothing is watched any more.",
         complexity="O(N) in the number of queued commands")  # fmt: skip
def discard(session: Session, args: list[bytes]) -> Reply:
    if session.conn.multi < 0:
        raise CommandError("ERR DISCARD without MULTI")
    session.discard()
    return OK


@command("EXEC", "noscript loading stale skip_slowlog", group="transactions", since="1.2.0", acl="transaction",
         hot=True, summary="Carry out what is queued, in one step; null if something that is watched has changed.",
         complexity="Depends on the commands in the transaction")  # fmt: skip
def exec_(session: Session, args: list[bytes]) -> Reply:
    conn = session.conn
    if conn.multi < 0:
        raise CommandError("ERR EXEC without MULTI")
    if conn.spoiled:
        session.discard()
        raise CommandError(PREVIOUS_ERRORS)
    with ExitStack() as stack:
        for table in tables_of(session, conn.queued()):
            stack.enter_context(_core.hold(table))
        if not session.changes.holds(session):
            session.discard()
            return NullArray()
        session.changes.unwatch(session)
        conn.exec()
    return NO_REPLY  # it is written


def tables_of(session: Session, queued: list[list[bytes]]) -> list[Table]:
    """All that a transaction is about to look at or change, as far as it can be told from its words."""
    found = {session.conn.db} | {db for db, _ in session.watched}
    for argv in queued:
        command = registry.find(argv)
        if command.name in EVERYWHERE:
            found.update(range(session.setting("databases")))
        elif command.name == "select":
            found.update(databases_among(argv[1:]))
        elif command.name in ("move", "copy"):
            found.update(databases_among(argv[2:]))
    return [keyspace(db) for db in sorted(found)]


def databases_among(words: list[bytes]) -> list[int]:
    """The words that can be the number of a database."""
    numbers = [int64(word) for word in words]
    return [number for number in numbers if number is not None and 0 <= number < 16]


@command("WATCH key ...", PLAIN, group="transactions", since="2.2.0", acl="transaction", keys="1..-1 RO",
         summary="Have EXEC do nothing if one of these keys changes before it.",
         complexity="O(1) for every key")  # fmt: skip
def watch(session: Session, args: list[bytes]) -> Reply:
    if session.conn.multi >= 0:
        raise CommandError("ERR WATCH inside MULTI is not allowed")
    for key in args:
        session.changes.watch(session, session.conn.db, key)
    return OK


@command("UNWATCH", PLAIN, group="transactions", since="2.2.0", acl="transaction",
         summary="Watch nothing any more.")  # fmt: skip
def unwatch(session: Session, args: list[bytes]) -> Reply:
    session.changes.unwatch(session)
    return OK
