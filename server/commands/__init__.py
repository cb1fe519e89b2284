"""What each command means, one file a group. Importing this package fills the registry.

A handler takes the session and the words behind the command's name, and returns the reply (or an awaitable of it). It
computes and returns; it never writes to a socket. A user's mistake is a CommandError.
"""

from tsunami_server.commands import (
    bits,
    clients,
    configuration,
    connection,
    ets,
    ets_call,
    ets_order,
    ets_owner,
    ets_query,
    expiry,
    info,
    introspection,
    keys,
    latency,
    lists,
    memory,
    monitor,
    pops,
    pubsub,
    server,
    strings,
    tracking,
    zsets,
    zsets_algebra,
)

__all__ = [
    "bits",
    "clients",
    "configuration",
    "connection",
    "ets",
    "ets_call",
    "ets_order",
    "ets_owner",
    "ets_query",
    "expiry",
    "info",
    "introspection",
    "keys",
    "latency",
    "lists",
    "memory",
    "monitor",
    "pops",
    "pubsub",
    "server",
    "strings",
    "tracking",
    "zsets",
    "zsets_algebra",
]
