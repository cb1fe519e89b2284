"""MEMORY: what a key takes up, and where the process's memory goes.

Two figures are the engine's own, to the byte: what is in use (rows, the slots that lead to them, tables) and what the
tables hold for it (pages with idle room besides). The third is the system's: what the process has resident. Redis's
words for them are allocated, active and resident.
"""

from tsunami import _core, keyspace
from tsunami._core import Collection
from tsunami._wire import OK, Verbatim
from tsunami_server.arguments import SYNTAX, integer
from tsunami_server.command import HELP, CommandError, Reply, add_help, command, container
from tsunami_server.commands.info import STARTUP, resident_bytes
from tsunami_server.session import Session

container("MEMORY", group="server", since="4.0.0", summary="Commands on memory.")
TOLD_BY_ALL = "nondeterministic_output request_policy:all_shards response_policy:special"


@command("MEMORY USAGE key [SAMPLES count]", "readonly", group="server", since="4.0.0", keys="2 RO",
         summary="Bytes that a key takes up with its value, its slot and the tables of a large one included. Exact: "
                 "SAMPLES changes nothing.",
         complexity="O(1)")  # fmt: skip
def memory_usage(session: Session, args: list[bytes]) -> Reply:
    options = args[1:]
    for at in range(0, len(options), 2):
        if options[at].upper() != b"SAMPLES" or at + 1 == len(options) or integer(options[at + 1]) < 0:
            raise CommandError(SYNTAX)
    table = session.table
    size = _core.memory_of(table, args[0])
    if size is None:
        return None
    found = _core.entry(table, args[0])
    value = found[0][1] if found is not None and len(found[0]) == 2 else None
    return size + value.memory() if type(value) is Collection else size


def buffers(session: Session) -> int:
    """Bytes of what connections have sent and what they have not read yet."""
    return sum(each.conn.query_size() + each.conn.output_size() for each in session.app.shared.sessions.values())


def ratio(a: int, b: int) -> float:
    return a / b if b else 0.0


@command("MEMORY STATS", "", group="server", since="4.0.0", summary="Where the memory goes.",
         tips=TOLD_BY_ALL)  # fmt: skip
def memory_stats(session: Session, args: list[bytes]) -> Reply:
    used, held = _core.memory()
    resident, startup, clients = resident_bytes(), STARTUP, buffers(session)
    scripts = session.app.shared.scripts
    sizes = {db: len(keyspace(db)) for db in range(session.setting("databases"))}
    keys = sum(sizes.values())
    peak = session.app.memory.note_peak()
    slots = {f"db.{db}": {"overhead.hashtable.main": 8 * n, "overhead.hashtable.expires": 24 * _volatile(db)}
             for db, n in sizes.items() if n}  # fmt: skip
    overhead = startup + clients + sum(sum(each.values()) for each in slots.values())
    dataset = max(used - overhead, 0)
    return {
        "peak.allocated": peak,
        "total.allocated": used,
        "startup.allocated": startup,
        "replication.backlog": 0,
        "clients.slaves": 0,
        "clients.normal": clients,
        "cluster.links": 0,
        "aof.buffer": 0,
        "lua.caches": scripts.cache_memory if scripts is not None else 0,
        "functions.caches": 0,
        **slots,
        "overhead.total": overhead,
        "keys.count": keys,
        "keys.bytes-per-key": max(used - startup, 0) // keys if keys else 0,
        "dataset.bytes": dataset,
        "dataset.percentage": 100 * ratio(dataset, max(used - startup, 0)),
        "peak.percentage": 100 * ratio(used, peak),
        "allocator.allocated": used,
        "allocator.active": held,
        "allocator.resident": held,
        "allocator-fragmentation.ratio": ratio(held, used),
        "allocator-fragmentation.bytes": held - used,
        "allocator-rss.ratio": 1.0,
        "allocator-rss.bytes": 0,
        "rss-overhead.ratio": ratio(resident, held),
        "rss-overhead.bytes": resident - held,
        "fragmentation": ratio(resident, used),
        "fragmentation.bytes": resident - used,
    }


def _volatile(db: int) -> int:
    count = keyspace(db).info().get("volatile", 0)
    return count if isinstance(count, int) else 0


@command("MEMORY DOCTOR", "", group="server", since="4.0.0", summary="Whether something about memory looks wrong.",
         tips=TOLD_BY_ALL)  # fmt: skip
def memory_doctor(session: Session, args: list[bytes]) -> Reply:
    (used, held), resident, peak = _core.memory(), resident_bytes(), session.app.memory.note_peak()
    clients = buffers(session)
    found = []
    if peak > 1.5 * used and peak > 5 << 20:
        found.append(f"At its peak memory was {peak} bytes, now {used} are in use: what was freed is used again first.")
    if held > 1.4 * used and held - used > 10 << 20:
        found.append(f"Pages of rows hold {held - used} idle bytes: rows of other sizes than today's were deleted.")
    if resident > 256 << 20 and resident > 2 * held:
        found.append(f"The process holds {resident} bytes, its tables {held}: more than half of it is something else.")
    if clients > 10 << 20 and clients > used // 4:
        found.append(f"Connections' buffers take up {clients} bytes: some client does not read what it asks for.")
    limit = session.app.memory.limit
    if limit and used > 0.95 * limit:
        found.append(f"{used} of the {limit} bytes of maxmemory are in use.")
    if not found:
        return Verbatim(f"Nothing found: the tables take up {used} bytes, the process {resident}.\n")
    return Verbatim("".join(f"* {line}\n" for line in found))


@command("MEMORY MALLOC-STATS", "", group="server", since="4.0.0", summary="Refused: the allocator tells no more.",
         tips=TOLD_BY_ALL)  # fmt: skip
def memory_malloc_stats(session: Session, args: list[bytes]) -> Reply:
    return Verbatim("Stats not supported for the current allocator")


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
