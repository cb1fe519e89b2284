"""INFO: the server in lines of `name:value`, with the names that clients and redis-cli --stat read.

A field whose notion Tsunami has not (replicas, RDB files, eviction) is told with the value that a server has on which
it is not used, and only if some client reads it. The section `tsunami` has what Redis has no field for.
"""

import os
import platform
import resource
import sys
from collections.abc import Callable

import tsunami
from tsunami import Table, _core, keyspace
from tsunami._wire import Verbatim
from tsunami_server.command import Reply, command
from tsunami_server.commands.connection import REDIS_VERSION
from tsunami_server.session import Session

Lines = dict[str, object]
PAGE = resource.getpagesize()
RUN_ID = os.urandom(20).hex()
PEAK = {"bytes": 0}


def tables_of(session: Session) -> list[Table]:
    """The named tables and those behind the databases, each once."""
    databases = [keyspace(db) for db in range(session.setting("databases"))]
    return list({id(table): table for table in [*_core.all(), *databases]}.values())


def dataset_bytes(session: Session) -> int:
    total = 0
    for table in tables_of(session):
        size = table.info("memory")
        total += size if isinstance(size, int) else 0
    return total


def resident_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * PAGE
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def human(size: float) -> str:
    if size < 1024:
        return f"{size:.0f}B"
    for unit in "KMG":
        size /= 1024
        if size < 1024 or unit == "G":
            break
    return f"{size:.2f}{unit}"


# ---- sections


def server(session: Session) -> Lines:
    app, now_ms = session.app, session.app.now_ms()
    uptime = (now_ms - app.started_ms) // 1000
    return {
        "redis_version": REDIS_VERSION,
        "tsunami_version": tsunami.__version__,
        "server_name": "tsunami",
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_mode": "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64 if sys.maxsize > 1 << 32 else 32,
        "python_version": platform.python_version(),
        "process_id": os.getpid(),
        "run_id": RUN_ID,
        "tcp_port": app.tcp_port,
        "server_time_usec": app.now_us(),
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime // 86400,
        "hz": app.config.text("hz"),
        "config_file": "",
    }


def clients(session: Session) -> Lines:
    shared = session.app.shared
    return {
        "connected_clients": len(shared.sessions),
        "cluster_connections": 0,
        "maxclients": session.app.config.text("maxclients"),
        "client_recent_max_input_buffer": max((each.conn.query_size() for each in shared.sessions.values()), default=0),
        "client_recent_max_output_buffer": max(
            (each.conn.output_size() for each in shared.sessions.values()), default=0
        ),
        "blocked_clients": shared.blocked,
        "tracking_clients": shared.tracking.clients,
        "pubsub_clients": shared.messages.clients,
        "clients_in_timeout_table": 0,
    }


def memory(session: Session) -> Lines:
    used, resident = dataset_bytes(session), resident_bytes()
    PEAK["bytes"] = max(PEAK["bytes"], used)
    config = session.app.config
    limit = int(config.text("maxmemory"))
    return {
        "used_memory": used,
        "used_memory_human": human(used),
        "used_memory_rss": resident,
        "used_memory_rss_human": human(resident),
        "used_memory_peak": PEAK["bytes"],
        "used_memory_peak_human": human(PEAK["bytes"]),
        "used_memory_dataset": used,
        "used_memory_lua": 0,
        "maxmemory": limit,
        "maxmemory_human": human(limit),
        "maxmemory_policy": config.text("maxmemory-policy"),
        "mem_fragmentation_ratio": f"{resident / used:.2f}" if used else "0.00",
        "mem_allocator": "tsunami",
        "lazyfree_pending_objects": 0,
    }


def persistence(session: Session) -> Lines:
    return {
        "loading": 0,
        "async_loading": 0,
        "rdb_changes_since_last_save": 0,
        "rdb_bgsave_in_progress": 0,
        "rdb_last_save_time": session.app.started_ms // 1000,
        "rdb_last_bgsave_status": "ok",
        "aof_enabled": 0,
        "aof_rewrite_in_progress": 0,
        "aof_last_bgrewrite_status": "ok",
        "aof_last_write_status": "ok",
    }


def stats(session: Session) -> Lines:
    app, counters = session.app, session.app.plane.counters()
    shared = app.shared
    commands = counters.get("commands", 0)
    return {
        "total_connections_received": counters.get("connections", 0),
        "total_commands_processed": commands,
        "instantaneous_ops_per_sec": shared.rate_now(commands, app.now_ms()),
        "total_net_input_bytes": counters.get("bytes_in", 0),
        "total_net_output_bytes": counters.get("bytes_out", 0),
        "rejected_connections": app.rejected_connections,
        "expired_keys": app.expired_keys,
        "evicted_keys": 0,
        "evicted_clients": 0,
        "keyspace_hits": counters.get("keyspace_hits", 0) + shared.hits,
        "keyspace_misses": counters.get("keyspace_misses", 0) + shared.misses,
        "pubsub_channels": len(shared.messages.channels),
        "pubsub_patterns": len(shared.messages.patterns),
        "pubsubshard_channels": len(shared.messages.shards),
        "latest_fork_usec": 0,
        "total_forks": 0,
        "tracking_total_keys": shared.tracking.total_keys,
        "tracking_total_items": shared.tracking.total_items,
        "tracking_total_prefixes": shared.tracking.total_prefixes,
        "total_error_replies": sum(shared.errors.values()),
        "client_output_buffer_limit_disconnections": shared.overruns,
    }


def replication(session: Session) -> Lines:
    return {
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        "master_replid": RUN_ID,
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
    }


def cpu(session: Session) -> Lines:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "used_cpu_sys": f"{own.ru_stime:.6f}",
        "used_cpu_user": f"{own.ru_utime:.6f}",
        "used_cpu_sys_children": f"{children.ru_stime:.6f}",
        "used_cpu_user_children": f"{children.ru_utime:.6f}",
    }


def modules(session: Session) -> Lines:
    return {}


def commandstats(session: Session) -> Lines:
    """Cold calls from the sessions, hot ones from the plane; a command can have both."""
    hot = session.app.plane.command_stats()
    cold = session.app.shared.commands
    lines: Lines = {}
    for name in sorted({*cold, *hot}):
        calls, usec = hot.get(name, (0, 0))
        rejected = failed = 0
        if name in cold:
            count = cold[name]
            calls, usec, rejected, failed = calls + count.calls, usec + count.usec, count.rejected, count.failed
        each = usec / calls if calls else 0.0
        lines[f"cmdstat_{name}"] = (
            f"calls={calls},usec={usec},usec_per_call={each:.2f},rejected_calls={rejected},failed_calls={failed}"
        )
    return lines


def errorstats(session: Session) -> Lines:
    return {f"errorstat_{word}": f"count={count}" for word, count in sorted(session.app.shared.errors.items())}


def cluster(session: Session) -> Lines:
    return {"cluster_enabled": 0}


def keyspace_section(session: Session) -> Lines:
    lines: Lines = {}
    for db in range(session.setting("databases")):
        table = keyspace(db)
        if len(table):
            expiring = table.info().get("volatile", 0)
            lines[f"db{db}"] = f"keys={len(table)},expires={expiring},avg_ttl=0"
    return lines


def tsunami_section(session: Session) -> Lines:
    app = session.app
    named = _core.all()
    return {
        "tsunami_version": tsunami.__version__,
        "tables": len(named),
        "table_rows": sum(len(table) for table in named),
        "expired_rows": app.expired_keys,
        "expire_late_max_ms": app.expire_late_ms,
        "active_expire": int(app.active_expire),
    }


SECTIONS: dict[str, Callable[[Session], Lines]] = {
    "Server": server,
    "Clients": clients,
    "Memory": memory,
    "Persistence": persistence,
    "Stats": stats,
    "Replication": replication,
    "CPU": cpu,
    "Modules": modules,
    "Commandstats": commandstats,
    "Errorstats": errorstats,
    "Cluster": cluster,
    "Keyspace": keyspace_section,
    "Tsunami": tsunami_section,
}
DEFAULT = {name.lower() for name in SECTIONS} - {"commandstats"}
EVERYTHING = {name.lower() for name in SECTIONS}


def wanted_sections(args: list[bytes]) -> set[str]:
    wanted: set[str] = set()
    for word in args:
        name = word.decode("utf-8", "replace").lower()
        wanted |= EVERYTHING if name in ("all", "everything") else DEFAULT if name == "default" else {name}
    return wanted if args else DEFAULT


@command("INFO [section ...]", "loading stale", group="server", since="1.0.0", acl="dangerous",
         summary="The server in numbers: all common sections, some by name, `all` or `everything`.",
         tips="nondeterministic_output request_policy:all_shards response_policy:special")  # fmt: skip
def info(session: Session, args: list[bytes]) -> Reply:
    wanted = wanted_sections(args)
    sections = []
    for title, lines_of in SECTIONS.items():
        if title.lower() in wanted:
            lines = [f"{name}:{value}\r\n" for name, value in lines_of(session).items()]
            sections.append(f"# {title}\r\n" + "".join(lines))
    return Verbatim("\r\n".join(sections))
