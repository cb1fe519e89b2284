"""RESP on the hot path: parser, reply writer, hot commands, connections, and the selector that runs them.

Import from `tsunami_server`, not from here.
"""

import selectors
from collections.abc import Callable
from typing import Final, final

from tsunami import Table

# ---- reply values: what a cold command returns. Also: None (null), bool, int, float, bytes (bulk), str (bulk, UTF-8),
# list / tuple (array), dict (map), set / frozenset (set).
@final
class Simple:      # +OK
    def __init__(self, text: str) -> None: ...
@final
class Error:       # -ERR ...
    def __init__(self, text: str) -> None: ...
@final
class Verbatim:    # =txt: in RESP3, bulk in RESP2
    def __init__(self, text: str, format: str = "txt") -> None: ...
@final
class Push:        # > in RESP3, array in RESP2
    def __init__(self, items: list[object]) -> None: ...
@final
class NullArray:   # *-1 in RESP2, _ in RESP3
    ...
@final
class Raw:         # bytes that are already RESP
    def __init__(self, data: bytes) -> None: ...

OK: Final[Simple]

def encode(reply: object, resp: int = 2, /) -> bytes: ...      # TypeError for what has no reply form; deep replies do not recurse
def parse(data: bytes, /) -> tuple[list[list[bytes]], int]: ... # requests in data, and bytes used; ProtocolError. For tests.

class ProtocolError(ValueError): ...                            # str() is Redis's text: "Protocol error: invalid bulk length"

# states of Conn.run()
NEED_DATA: Final[int]     # everything is answered
COLD: Final[int]          # a cold command stands first: command() it, write() its reply, done()
FULL: Final[int]          # the reader is slow: output stands above the soft mark; run again when it has drained
CLOSING: Final[int]       # write what is left, then close (protocol error, output limit, QUIT)
BUDGET: Final[int]        # the budget is used up; more input waits: run again

@final
class Plane:
    """What all connections share: the tables behind the databases, limits, counters, and which commands are hot."""

    def __init__(self, keyspaces: list[Table]) -> None: ...
    max_bulk: int                 # proto-max-bulk-len
    max_query: int                # client-query-buffer-limit
    soft_output: int              # above it a connection's commands wait
    hard_output: int              # above it the connection is closed (0: never)
    auth_required: bool           # new connections start unauthenticated
    hold_writes: bool             # CLIENT PAUSE WRITE: every command that may write goes cold
    hold_all: bool                # CLIENT PAUSE ALL / MONITOR: every command goes cold
    slow_us: int                  # SLOWLOG threshold for hot commands; -1: none
    def disable(self, name: str) -> None: ...       # this command is always cold
    def counters(self) -> dict[str, int]: ...       # commands, connections, bytes_in, bytes_out, keyspace_hits, keyspace_misses, ...
    def command_stats(self) -> dict[str, tuple[int, int]]: ...  # hot commands: name -> (calls, microseconds)
    def reset_stats(self) -> None: ...

@final
class Conn:
    """One connection's protocol state: bytes in, bytes out. Knows nothing of sockets."""

    def __init__(self, plane: Plane) -> None: ...
    id: Final[int]
    db: int                       # SELECT
    resp: int                     # 2 or 3
    authenticated: bool           # hot commands run only if so
    all_cold: bool                # MULTI, MONITOR, SUBSCRIBE ...: every command goes to Python
    replies: int                  # CLIENT REPLY: 1 on, 0 off, 2 skip the next
    last_command: str
    created_ms: int
    active_ms: int                # of the last input
    def feed(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def get_buffer(self, sizehint: int, /) -> memoryview: ...   # for BufferedProtocol
    def buffer_updated(self, nbytes: int, /) -> None: ...
    def run(self, budget_us: int = ..., /) -> int: ...          # parse and run until one of the states above
    def command(self) -> list[bytes]: ...                       # the cold command that stands first
    def write(self, reply: object, /) -> None: ...              # encode in this connection's RESP version and append
    def push(self, reply: Push, /) -> None: ...                 # the same, not subject to CLIENT REPLY
    def done(self) -> None: ...                                 # the cold command is answered; go on behind it
    def take_output(self, limit: int = ..., /) -> bytes: ...
    def output_size(self) -> int: ...
    def query_size(self) -> int: ...

class NativeSelector(selectors.BaseSelector):
    """epoll for asyncio that serves its client sockets itself. Linux only; see dataplane.pxi."""

    def __init__(self, plane: Plane) -> None: ...
    def adopt(self, fd: int, conn: Conn) -> None: ...           # from now on select() reads, runs and writes this socket
    def drop(self, fd: int) -> None: ...                        # forget it; the caller closes
    def resume(self, fd: int) -> None: ...                      # after done() or write() from Python: run and flush on the next select
    def set_callback(self, callback: Callable[[list[tuple[int, int]]], None]) -> None: ...
        # called on the loop (never inside select) with (fd, state): COLD to be answered, CLOSING finished (the peer is gone or all is written)
