"""Commands on keys, whatever they hold: DEL, EXISTS, RENAME, COPY, KEYS, SCAN, and whole databases.

A walk over many keys (KEYS, SCAN) is not one moment: a key that stays is told exactly once, one that comes or goes
meanwhile may or may not be.
"""

from tsunami import Row, Table, _core, keyspace
from tsunami._core import Collection
from tsunami._wire import OK, Simple
from tsunami_server.arguments import SYNTAX, database, int64
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.keyspace import View, atomically, bytes_of_key, walk
from tsunami_server.scanning import ScanOptions, scan_cursor
from tsunami_server.session import Session
from tsunami_server.values import kind_of, opened

NO_SUCH_KEY = "ERR no such key"
SAME_OBJECT = "ERR source and destination objects are the same"
# KEYS on a table of more rows than this lets others run between its steps.
LONG_WALK = 20_000


def databases(session: Session) -> int:
    return session.setting("databases")


# ---- some keys


def delete_all(session: Session, keys: list[bytes]) -> int:
    def step(view: View) -> list[bytes]:
        there = [key for key in dict.fromkeys(keys) if view.exists(key)]
        for key in there:
            view.erase(key)
        return there

    there = atomically(session, step)
    for key in there:
        session.notify("g", "del", key)
    return len(there)


@command(
    "DEL key ...", "write", group="generic", since="1.0.0", keys="1..-1 RM delete", hot=True,
    summary="Delete keys, all in one step, and tell how many there were.", complexity="O(N) in the number of keys",
    tips="request_policy:multi_shard response_policy:agg_sum",
)  # fmt: skip
def del_(session: Session, args: list[bytes]) -> Reply:
    return delete_all(session, args)


@command(
    "UNLINK key ...", "write fast", group="generic", since="4.0.0", keys="1..-1 RM delete", hot=True,
    summary="Delete keys; the same as DEL here.", complexity="O(N) in the number of keys",
    tips="request_policy:multi_shard response_policy:agg_sum",
)  # fmt: skip
def unlink(session: Session, args: list[bytes]) -> Reply:
    return delete_all(session, args)


def count_existing(session: Session, keys: list[bytes]) -> int:
    return atomically(session, lambda view: sum([view.exists(key) for key in keys]))


@command(
    "EXISTS key ...", "readonly fast", group="generic", since="1.0.0", keys="1..-1 RO", hot=True,
    summary="How many of the keys exist; a key that is named twice counts twice.",
    complexity="O(N) in the number of keys", tips="request_policy:multi_shard response_policy:agg_sum",
)  # fmt: skip
def exists(session: Session, args: list[bytes]) -> Reply:
    found = count_existing(session, args)
    session.app.shared.hits += found
    session.app.shared.misses += len(args) - found
    return found


@command(
    "TOUCH key ...", "readonly fast", hot=True, group="generic", since="3.2.1", keys="1..-1 RO",
    summary="Note an access to keys, and tell how many of them exist.", complexity="O(N) in the number of keys",
    tips="request_policy:multi_shard response_policy:agg_sum",
)  # fmt: skip
def touch(session: Session, args: list[bytes]) -> Reply:
    return count_existing(session, args)


@command(
    "TYPE key", "readonly fast", group="generic", since="1.0.0", keys="1 RO", hot=True,
    summary="What a key holds: `string`, `none`, or `term` for a value of a Python program that is no string.",
)  # fmt: skip
def type_(session: Session, args: list[bytes]) -> Reply:
    return Simple(kind_of(View(session.table).entry(args[0])[0]))


# ---- renaming and copying


def note_fields(session: Session, key: bytes, db: int) -> None:
    """A key has come to this place: if it is a hash with fields that expire, they are to be swept here."""
    found = _core.entry(keyspace(db), key)
    session.app.shared.timed.note(db, key, found[0][1] if found is not None and len(found[0]) == 2 else None)


def rename_step(view: View, source: bytes, target: bytes, *, only_new: bool) -> int:
    row, deadline = view.entry(source)
    if row is None:
        raise CommandError(NO_SUCH_KEY)
    if only_new and view.exists(target):
        return 0
    if source != target:
        view.erase(source)
        view.put_row((target, *row[1:]), deadline)
    return 1


@command(
    "RENAME key newkey", "write", group="generic", since="1.0.0", keys=("1 RW access delete", "2 OW update"),
    summary="Give a key another name, and what expiry it has; the key of that name is replaced.",
)  # fmt: skip
def rename(session: Session, args: list[bytes]) -> Reply:
    atomically(session, lambda view: rename_step(view, args[0], args[1], only_new=False))
    note_fields(session, args[1], session.conn.db)
    tell_renamed(session, args)
    return OK


def tell_renamed(session: Session, args: list[bytes]) -> None:
    if args[0] != args[1]:
        session.notify("n", "new", args[1])
        session.notify("g", "rename_from", args[0])
        session.notify("g", "rename_to", args[1])


@command(
    "RENAMENX key newkey", "write fast", group="generic", since="1.0.0", keys=("1 RW access delete", "2 OW insert"),
    summary="Give a key another name if no key has it.",
)  # fmt: skip
def renamenx(session: Session, args: list[bytes]) -> Reply:
    done = atomically(session, lambda view: rename_step(view, args[0], args[1], only_new=True))
    if done:
        note_fields(session, args[1], session.conn.db)
        tell_renamed(session, args)
    return done


def copy_step(view: View, source: bytes, target: bytes, home: Table, *, replace: bool, move: bool) -> int:
    row, deadline = view.entry(source)
    if row is None or (view.exists(target, home) and not replace):
        return 0
    if not move and len(row) == 2 and type(row[1]) is Collection:
        row = (target, opened(row).copy().term())
    view.put_row((target, *row[1:]), deadline, home)
    if move:
        view.erase(source)
    return 1


@command(
    "COPY source destination [DB destination-db] [REPLACE]", "write denyoom", group="generic", since="6.2.0",
    keys=("1 RO access", "2 OW update"), summary="Copy a key with its value and expiry, also to another database.",
)  # fmt: skip
def copy(session: Session, args: list[bytes]) -> Reply:
    source, target, *options = args
    db, replace, at = session.conn.db, False, 0
    while at < len(options):
        word = options[at].upper()
        if word == b"REPLACE":
            replace = True
        elif word == b"DB" and at + 1 < len(options):
            at += 1
            db = database(options[at], databases(session))
        else:
            raise CommandError(SYNTAX)
        at += 1
    if db == session.conn.db and source == target:
        raise CommandError(SAME_OBJECT)
    home = keyspace(db)
    done = atomically(session, lambda view: copy_step(view, source, target, home, replace=replace, move=False))
    if done:
        note_fields(session, target, db)
        session.notify("n", "new", target, db)
        session.notify("g", "copy_to", target, db)
    return done


@command(
    "MOVE key db", "write fast", group="generic", since="1.0.0", keys="1 RW access update",
    summary="Move a key to another database, unless that has the key already.",
)  # fmt: skip
def move(session: Session, args: list[bytes]) -> Reply:
    db = database(args[1], databases(session))
    if db == session.conn.db:
        raise CommandError(SAME_OBJECT)
    home = keyspace(db)
    done = atomically(session, lambda view: copy_step(view, args[0], args[0], home, replace=False, move=True))
    if done:
        note_fields(session, args[0], db)
        session.notify("n", "new", args[0], db)
        session.notify("g", "move_from", args[0])
        session.notify("g", "move_to", args[0], db)
    return done


# ---- all keys


@command(
    "KEYS pattern", "readonly", group="generic", since="1.0.0", acl="keyspace dangerous",
    summary="All keys that match a glob pattern.", complexity="O(N) in the number of keys in the database",
    tips="request_policy:all_shards nondeterministic_output_order",
)  # fmt: skip
def keys(session: Session, args: list[bytes]) -> Reply:
    if len(session.table) > LONG_WALK:
        return keys_in_steps(session, args[0])
    return [key for rows in walk(session.table) for key in matching(rows, args[0])]


async def keys_in_steps(session: Session, pattern: bytes) -> Reply:
    found: list[bytes] = []
    for rows in walk(session.table):
        found += matching(rows, pattern)
        await session.sleep(0)
    return found


def names_of(rows: list[Row]) -> list[bytes]:
    return [key for key in (bytes_of_key(row[0]) for row in rows) if key is not None]


def matching(rows: list[Row], pattern: bytes) -> list[bytes]:
    return ScanOptions(pattern=pattern).keep(names_of(rows))


@command(
    "SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]", "readonly", group="generic", since="2.8.0",
    summary="Walk over the keys: some of them, and the cursor to go on with (0 to begin, 0 at the end).",
    complexity="O(1) a call, O(N) for all", tips="nondeterministic_output request_policy:special",
)  # fmt: skip
def scan(session: Session, args: list[bytes]) -> Reply:
    cursor = scan_cursor(args[0])
    options = ScanOptions.parse(args[1:], kinds=True)
    cursor, rows = _core.scan(session.table, cursor, options.count)
    if options.kind is not None:
        rows = [row for row in rows if kind_of(row) == options.kind]
    return [b"%d" % cursor, options.keep(names_of(rows))]


@command(
    "RANDOMKEY", "readonly", group="generic", since="1.0.0", summary="Any one of the keys, or null if there is none.",
    tips="request_policy:all_shards nondeterministic_output",
)  # fmt: skip
def randomkey(session: Session, args: list[bytes]) -> Reply:
    for _ in range(100):  # a table of a Python program's keys may hold few that can be named here
        row = _core.random_row(session.table)
        key = None if row is None else bytes_of_key(row[0])
        if row is None or key is not None:
            return key
    return next((key for rows in walk(session.table) for key in matching(rows, b"*")), None)


@command(
    "DBSIZE",
    "readonly fast",
    group="server",
    since="1.0.0",
    acl="keyspace",
    summary="The number of keys in the database.",
    tips="request_policy:all_shards response_policy:agg_sum",
)
def dbsize(session: Session, args: list[bytes]) -> Reply:
    return len(session.table)


def check_flush_options(args: list[bytes]) -> None:
    if len(args) > 1 or (args and args[0].upper() not in (b"SYNC", b"ASYNC")):
        raise CommandError(SYNTAX)


@command(
    "FLUSHDB async=[ASYNC | SYNC]", "write", group="server", since="1.0.0", acl="keyspace dangerous",
    summary="Delete all keys of the database, in one step.", complexity="O(N) in the number of keys",
    tips="request_policy:all_shards response_policy:all_succeeded",
)  # fmt: skip
def flushdb(session: Session, args: list[bytes]) -> Reply:
    check_flush_options(args)
    session.changes.flushing([session.conn.db])
    session.table.delete_all_objects()
    return OK


@command(
    "FLUSHALL async=[ASYNC | SYNC]", "write", group="server", since="1.0.0", acl="keyspace dangerous",
    summary="Delete all keys of all databases. Tables made with ETS.NEW stay.", complexity="O(N) in the number of keys",
    tips="request_policy:all_shards response_policy:all_succeeded",
)  # fmt: skip
def flushall(session: Session, args: list[bytes]) -> Reply:
    check_flush_options(args)
    session.changes.flushing(range(databases(session)))
    for db in range(databases(session)):
        keyspace(db).delete_all_objects()
    return OK


@command(
    "SWAPDB index1 index2", "write fast", group="server", since="4.0.0", acl="keyspace dangerous",
    summary="Exchange the keys of two databases, in one step.", complexity="O(1)",
)  # fmt: skip
def swapdb(session: Session, args: list[bytes]) -> Reply:
    first, second = (int64(word) for word in args)
    for index, name in ((first, "first"), (second, "second")):
        if index is None or not -(1 << 31) <= index < 1 << 31:
            raise CommandError(f"ERR invalid {name} DB index")
    assert first is not None and second is not None
    if not (0 <= first < databases(session) and 0 <= second < databases(session)):
        raise CommandError("ERR DB index is out of range")
    if first != second:
        session.changes.swapping(first, second)
        _core.swap(keyspace(first), keyspace(second))
        session.app.shared.timed.swapped(first, second)
    return OK
