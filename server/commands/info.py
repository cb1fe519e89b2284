"""INFO: the server in lines of `name:value`, with the names that clients and redis-cli --stat read.

A field whose notion Tsunami has not (replicas, RDB files) is told with the value that a server has on which it is not
used, and only if some client reads it. The section `tsunami` has what Redis has no field for.

Memory is told by the engine's own figures: used_memory is what rows and tables need, to the byte (what maxmemory is
compared with); allocator_active what the tables hold for it; used_memory_rss the process as the system sees it.
"""

import os
import platform
import resource
import sys
import zlib
from collections.abc import Callable

import tsunami
from tsunami import Table, _core, keyspace
from tsunami._wire import Verbatim
from tsunami_server.command import Reply, command, registry
from tsunami_server.commands.connection import REDIS_VERSION
from tsunami_server.observe import Spread, percentile
from tsunami_server.session import Host, Session

Lines = dict[str, object]
PAGE = resource.getpagesize()
RUN_ID = os.urandom(20).hex()
EXECUTABLE = sys.executable


STARTUP: int = 16 * int(Table().info("memory"))  # type: ignore[call-overload]  # bytes: the empty databases


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


def total_system_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * PAGE
    except (ValueError, OSError):
        return 0


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
        "redis_build_id": f"{zlib.crc32(tsunami.__version__.encode()):016x}",
        "redis_mode": "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64 if sys.maxsize > 1 << 32 else 32,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "epoll" if sys.platform == "linux" else "kqueue",
        "python_version": platform.python_version(),
        "process_id": os.getpid(),
        "process_supervised": "systemd" if "NOTIFY_SOCKET" in os.environ else "no",
        "run_id": RUN_ID,
        "tcp_port": app.tcp_port,
        "server_time_usec": app.now_us(),
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime // 86400,
        "hz": app.config.text("hz"),
        "configured_hz": app.config.text("hz"),
        "lru_clock": now_ms // 1000 & 0xFFFFFF,
        "executable": EXECUTABLE,
        "config_file": app.config.file or "",
        "io_threads_active": 0,
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
        "total_blocking_keys": shared.blocking.keys,
        "total_blocking_keys_on_nokey": 0,
    }


def memory(session: Session) -> Lines:
    (used, held), resident = _core.memory(), resident_bytes()
    peak, startup, total = session.app.memory.note_peak(), STARTUP, total_system_bytes()
    buffers = sum(each.conn.query_size() + each.conn.output_size() for each in session.app.shared.sessions.values())
    config = session.app.config
    limit = int(config.text("maxmemory"))
    dataset = max(used - startup, 0)
    scripts = session.app.shared.scripts
    lua, cache = (scripts.lua_memory, scripts.cache_memory) if scripts is not None else (0, 0)
    return {
        "used_memory": used,
        "used_memory_human": human(used),
        "used_memory_rss": resident,
        "used_memory_rss_human": human(resident),
        "used_memory_peak": peak,
        "used_memory_peak_human": human(peak),
        "used_memory_peak_perc": f"{100 * used / peak if peak else 0:.2f}%",
        "used_memory_overhead": startup,
        "used_memory_startup": startup,
        "used_memory_dataset": dataset,
        "used_memory_dataset_perc": f"{100 * dataset / (used - startup) if used > startup else 0:.2f}%",
        "allocator_allocated": used,
        "allocator_active": held,
        "allocator_resident": held,
        "total_system_memory": total,
        "total_system_memory_human": human(total),
        "used_memory_lua": lua,
        "used_memory_vm_eval": lua,
        "used_memory_lua_human": human(lua),
        "used_memory_scripts_eval": cache,
        "number_of_cached_scripts": scripts.cached if scripts is not None else 0,
        "number_of_functions": 0,
        "number_of_libraries": 0,
        "used_memory_vm_functions": 0,
        "used_memory_vm_total": lua,
        "used_memory_vm_total_human": human(lua),
        "used_memory_functions": 0,
        "used_memory_scripts": cache,
        "used_memory_scripts_human": human(cache),
        "maxmemory": limit,
        "maxmemory_human": human(limit),
        "maxmemory_policy": config.text("maxmemory-policy"),
        "allocator_frag_ratio": f"{held / used if used else 0:.2f}",
        "allocator_frag_bytes": held - used,
        "allocator_rss_ratio": "1.00",
        "allocator_rss_bytes": 0,
        "rss_overhead_ratio": f"{resident / held if held else 0:.2f}",
        "rss_overhead_bytes": resident - held,
        "mem_fragmentation_ratio": f"{resident / used if used else 0:.2f}",
        "mem_fragmentation_bytes": resident - used,
        "mem_not_counted_for_evict": 0,
        "mem_replication_backlog": 0,
        "mem_total_replication_buffers": 0,
        "mem_clients_slaves": 0,
        "mem_clients_normal": buffers,
        "mem_cluster_links": 0,
        "mem_aof_buffer": 0,
        "mem_allocator": "tsunami",
        "active_defrag_running": 0,
        "lazyfree_pending_objects": 0,
        "lazyfreed_objects": 0,
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
    shared, limits = app.shared, app.memory
    commands, received, sent = (counters[name] for name in ("commands", "bytes_in", "bytes_out"))
    rates = shared.rates_now((commands, received, sent), app.now_ms())
    over, over_now = limits.over_ms()
    return {
        "total_connections_received": counters["connections"],
        "total_commands_processed": commands,
        "instantaneous_ops_per_sec": int(rates[0]),
        "total_net_input_bytes": received,
        "total_net_output_bytes": sent,
        "total_net_repl_input_bytes": 0,
        "total_net_repl_output_bytes": 0,
        "instantaneous_input_kbps": f"{rates[1] / 1024:.2f}",
        "instantaneous_output_kbps": f"{rates[2] / 1024:.2f}",
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": app.rejected_connections,
        "sync_full": 0,
        "sync_partial_ok": 0,
        "sync_partial_err": 0,
        "expired_keys": app.expired_keys,
        "expired_stale_perc": "0.00",
        "expired_time_cap_reached_count": 0,
        "expire_cycle_cpu_milliseconds": 0,
        "evicted_keys": limits.evicted,
        "evicted_clients": limits.evicted_clients,
        "total_eviction_exceeded_time": over,
        "current_eviction_exceeded_time": over_now,
        "keyspace_hits": counters["keyspace_hits"] + shared.hits,
        "keyspace_misses": counters["keyspace_misses"] + shared.misses,
        "pubsub_channels": len(shared.messages.channels),
        "pubsub_patterns": len(shared.messages.patterns),
        "pubsubshard_channels": len(shared.messages.shards),
        "latest_fork_usec": 0,
        "total_forks": 0,
        "migrate_cached_sockets": 0,
        "slave_expires_tracked_keys": 0,
        "active_defrag_hits": 0,
        "active_defrag_misses": 0,
        "active_defrag_key_hits": 0,
        "active_defrag_key_misses": 0,
        "total_active_defrag_time": 0,
        "current_active_defrag_time": 0,
        "tracking_total_keys": shared.tracking.total_keys,
        "tracking_total_items": shared.tracking.total_items,
        "tracking_total_prefixes": shared.tracking.total_prefixes,
        "unexpected_error_replies": 0,
        "total_error_replies": sum(shared.errors.values()),
        "dump_payload_sanitizations": 0,
        "total_reads_processed": commands,  # nobody counts those of sockets; there are no more of them
        "total_writes_processed": commands,
        "io_threaded_reads_processed": 0,
        "io_threaded_writes_processed": 0,
        "reply_buffer_shrinks": 0,
        "reply_buffer_expands": 0,
        "client_output_buffer_limit_disconnections": shared.overruns,
        "acl_access_denied_auth": app.users.log.denied.get("auth", 0),
        "acl_access_denied_cmd": app.users.log.denied.get("command", 0),
        "acl_access_denied_key": app.users.log.denied.get("key", 0),
        "acl_access_denied_channel": app.users.log.denied.get("channel", 0),
    }


def replication(session: Session) -> Lines:
    return {
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        "master_replid": RUN_ID,
        "master_replid2": "0" * 40,
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": 0,
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
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
        if calls or rejected or failed:
            each = usec / calls if calls else 0.0
            lines[f"cmdstat_{name}"] = (
                f"calls={calls},usec={usec},usec_per_call={each:.2f},rejected_calls={rejected},failed_calls={failed}"
            )
    return lines


def latencystats(session: Session) -> Lines:
    wanted = session.app.config.text("latency-tracking-info-percentiles").split()
    if not wanted or session.app.config.text("latency-tracking") == "no":
        return {}
    return {
        f"latency_percentiles_usec_{name}": ",".join(
            f"p{percent}={percentile(spread, float(percent)) / 1000:.3f}" for percent in wanted
        )
        for name, spread in spreads(session.app).items()
    }


def spreads(host: Host) -> dict[str, Spread]:
    """How long the calls of each command took, hot and cold ones."""
    found = {name: Spread(spread) for name, spread in host.plane.command_spreads().items()}
    for name, count in host.shared.commands.items():
        if count.spread:
            found[name] = found.get(name, Spread()) + Spread(count.spread)
    return {name: spread for name, spread in sorted(found.items()) if spread}


def errorstats(session: Session) -> Lines:
    return {f"errorstat_{word}": f"count={count}" for word, count in sorted(session.app.shared.errors.items())}


def cluster(session: Session) -> Lines:
    return {"cluster_enabled": 0}


def keyspace_section(session: Session) -> Lines:
    lines: Lines = {}
    now_ms = session.app.now_ms()
    for db in range(session.setting("databases")):
        table = keyspace(db)
        if len(table):
            expiring = table.info().get("volatile", 0)
            left = [max(deadline - now_ms, 0) for *_, deadline in _core.sample(table, TTL_SAMPLES, True)]
            ttl = sum(left) // len(left) if left else 0
            lines[f"db{db}"] = f"keys={len(table)},expires={expiring},avg_ttl={ttl}"
    return lines


TTL_SAMPLES = 16  # keys that avg_ttl is the mean of; Redis estimates it likewise


def tsunami_section(session: Session) -> Lines:
    app = session.app
    tables = _core.all()
    named = [table for table in tables if table.info("named_table")]
    used, held = _core.memory()
    counters = app.plane.counters()
    return {
        "tsunami_version": tsunami.__version__,
        "tables": len(tables),
        "named_tables": len(named),
        "table_rows": sum(len(table) for table in named),
        "memory_in_use": used,
        "memory_held": held,
        "stripes_per_keyspace": keyspace(0).info().get("stripes", 0),
        "hot_commands": len(app.plane.hot_names()),
        "hot_calls": counters["commands"] - counters["cold_commands"],
        "cold_calls": counters["cold_commands"],
        "registered_commands": len(registry.commands),
        "expired_rows": app.expired_keys,
        "expire_late_max_ms": app.expire_late_ms,
        "active_expire": int(app.active_expire),
        "monitors": len(app.shared.monitors),
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
    "Latencystats": latencystats,
    "Cluster": cluster,
    "Keyspace": keyspace_section,
    "Tsunami": tsunami_section,
}
EVERYTHING = {name.lower() for name in SECTIONS}
DEFAULT = EVERYTHING - {"commandstats", "latencystats"}


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
    if session.app.active_expire:
        session.app.sweep()  # keys that are due are counted as expired, not as keys
    sections = []
    for title, lines_of in SECTIONS.items():
        if title.lower() in wanted:
            lines = [f"{name}:{value}\r\n" for name, value in lines_of(session).items()]
            sections.append(f"# {title}\r\n" + "".join(lines))
    return Verbatim("\r\n".join(sections))
