"""RESP on the hot path: parser, reply writer, hot commands, connections, and the selector that runs them.

Import from `tsunami_server`, not from here.
"""

import selectors
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Self, final

from _typeshed import FileDescriptorLike
from typing_extensions import disjoint_base

from tsunami import Table
from tsunami._core import Packed

# ---- reply values: what a cold command returns. Also: None (null), bool, int, float, bytes (bulk), str (bulk, UTF-8),
# list / tuple (array), dict (map), set / frozenset (set).
@final
class Simple:      # +OK
    def __init__(self, text: str) -> None: ...
    @property
    def text(self) -> str: ...
@final
class Error:       # -ERR ...
    def __init__(self, text: str) -> None: ...
    @property
    def text(self) -> str: ...
@final
class Verbatim:    # =txt: in RESP3, bulk in RESP2
    def __init__(self, text: str, format: str = "txt") -> None: ...
    @property
    def text(self) -> str: ...
    @property
    def format(self) -> str: ...
@final
class Push:        # > in RESP3, array in RESP2
    def __init__(self, items: list[object]) -> None: ...
    @property
    def items(self) -> list[object]: ...
@final
class NullArray:   # *-1 in RESP2, _ in RESP3
    ...
@final
class Raw:         # bytes that are already RESP
    def __init__(self, data: bytes) -> None: ...
    @property
    def data(self) -> bytes: ...

OK: Final[Simple]

# TypeError for what has no reply form; deep replies do not recurse
def encode(reply: object, resp: int = 2, /) -> bytes: ...
# requests in data, and bytes used; ProtocolError. For tests.
def parse(data: bytes, /) -> tuple[list[list[bytes]], int]: ...

# str() is Redis's text: "Protocol error: invalid bulk length"
class ProtocolError(ValueError): ...

def now_ms() -> int: ...          # ms since 1970, by the clock of deadlines
def clock_ns() -> int: ...        # the clock by which commands are timed
def spread_of(ns: int, /) -> int: ...   # the counter of a time, as in Plane.command_spreads()

# states of Conn.run()
NEED_DATA: Final[int]     # everything is answered
COLD: Final[int]          # a cold command stands first: command() it, write() its reply, done()
FULL: Final[int]          # the reader is slow: output stands above the soft mark; run again when it has drained
CLOSING: Final[int]       # write what is left, then close (protocol error, output limit, QUIT)
BUDGET: Final[int]        # the budget is used up; more input waits: run again

@final
class Account:
    """What was counted of one command that Python carries out."""

    calls: int
    nanos: int
    rejected: int
    failed: int
    @property
    def usec(self) -> int: ...
    @property
    def spread(self) -> dict[int, int]: ...                     # counter -> calls, as Plane.command_spreads
    def add(self, nanos: int, spreads: bool, /) -> None: ...    # one call; spreads: count also how long it took

@final
class Direct:
    """A command that Conn.answer may take straight to its handler."""

    def __init__(
        self, command: object, handler: Callable[..., object], name: str, arity: int, account: Account
    ) -> None: ...

@final
class Script:
    """A script that is known; see script.pxi."""

    def __init__(self, sha: str, number: int, size: int, flags: frozenset[str] | None) -> None: ...
    @property
    def sha(self) -> str: ...
    @property
    def number(self) -> int: ...        # in sandbox.lua
    @property
    def size(self) -> int: ...
    @property
    def flags(self) -> frozenset[str] | None: ...       # of its first line; None: that has none
    @property
    def read_only(self) -> bool: ...
    @property
    def allow_oom(self) -> bool: ...

@disjoint_base
class Calls:
    """Runs of scripts, one at a time, and redis.call: natively, or else by `cold`."""

    wrote: bool                   # the script that runs has called something that writes
    strange: bool                 # `ended` is called at the end of the run in any case
    def __init__(self, reply_most: int) -> None: ...
    @property
    def known(self) -> dict[bytes, Script]: ...                 # by SHA-1, in lower case
    @property
    def session(self) -> object: ...                            # whose script runs; None
    @property
    def script(self) -> Script | None: ...                      # that runs
    @property
    def read_only(self) -> bool: ...
    @property
    def started_ns(self) -> int: ...                            # when the script began, by clock_ns()
    # lupa's library, a coroutine as tostring() shows it; False: Lua's functions are not to be seen there
    def open(self, library: str, thread: bytes, /) -> bool: ...
    def admit(self, name: str, writes: bool, /) -> None: ...    # this hot command may be called natively
    def close(self) -> None: ...                                # the Lua state is given up
    def be_alone(self, wide: bool = False, /) -> None: ...      # no other thread, until the script ends
    def run(
        self, session: object, conn: Conn, script: Script, keys: int, args: list[bytes], read_only: bool, /
    ) -> Raw: ...
    def call(self, *words: object) -> bytes: ...
    def cold(self, words: tuple[object, ...], /) -> bytes: ...
    def broken(self, error: Exception, /) -> bytes: ...         # instead of an exception
    # the error of a run, by its text, source (None: it was returned), line, and whether it has been counted
    def ended(
        self, session: object, script: Script, problem: tuple[bytes, bytes | None, int, bool] | None, /
    ) -> Exception | None: ...

@final
class Plane:
    """What all connections share: the tables behind the databases, limits, counters, and which commands are hot."""

    def __init__(self, keyspaces: list[Table]) -> None: ...
    # -- what Conn.answer looks at; the app keeps these
    direct: dict[bytes, object]   # name as it was written -> Direct, or a dict of its subcommands
    calls: Calls | None           # of scripts
    ready: dict[tuple[int, bytes], None]    # touched, and somebody waits
    messages: object              # its `acting` is whose command runs
    attentive: bool               # every command goes through Session.execute
    note_us: int                  # what took so long is told to Session.note_slow; -1: nothing
    max_bulk: int                 # proto-max-bulk-len
    max_query: int                # client-query-buffer-limit
    soft_output: int              # above it a connection's commands wait
    hard_output: int              # above it the connection is closed (0: never)
    hard_messages: int            # the same for those that have subscribed to channels
    reads_cold: bool              # every command that only reads goes to Python
    soft_query: int               # while output stands above soft_output, so much input is still received
    auth_required: bool           # new connections start unauthenticated
    hold_writes: bool             # CLIENT PAUSE WRITE: every command that may write goes cold
    hold_all: bool                # CLIENT PAUSE ALL / MONITOR: every command goes cold
    monitored: bool               # MONITOR: all commands are cold
    spreads: bool                 # count how often hot commands took how long
    writes_cold: bool             # commands that write to a keyspace go cold: somebody wants to hear of all of them
    # those that write this key do, until it has been dropped as often as added
    def interest_add(self, key: bytes, /) -> None: ...
    def interest_drop(self, key: bytes, /) -> None: ...         # KeyError
    def interest_count(self) -> int: ...
    slow_us: int                  # SLOWLOG threshold for hot commands; -1: none
    def set_small(self, **limits: int) -> None: ...
    def disable(self, name: str) -> None: ...       # this command is always cold; KeyError if it is not hot
    def enable(self, name: str) -> None: ...
    # rows erased, worst lateness in ms, rows with a deadline left; (database, key) of each is appended to keys
    def expire(
        self, now_ms: int, budget: int = ..., keys: list[tuple[int, bytes]] | None = ..., /
    ) -> tuple[int, int, int]: ...
    patterns: int                 # somebody listens to patterns: PUBLISH is cold
    # PUBLISH to this channel reaches the connection, until unlisten, which must come before it goes
    def listen(self, conn: Conn, channel: bytes, /) -> None: ...
    def unlisten(self, conn: Conn, channel: bytes, /) -> None: ...      # KeyError
    # a message to many, spelled once for each version of RESP; whoever serves them has to send it
    def push_all(self, conns: list[Conn], push: Push, /) -> None: ...
    def hot_names(self) -> frozenset[str]: ...      # commands with a native implementation, lower case
    # hot commands of slow_us or more since the last call: conn id, us, argv
    def take_slow(self) -> list[tuple[int, int, list[bytes]]]: ...
    # commands, connections, bytes_in, bytes_out, keyspace_hits, keyspace_misses, ...
    def counters(self) -> dict[str, int]: ...
    def command_stats(self) -> dict[str, tuple[int, int]]: ...  # hot commands: name -> (calls, microseconds)
    def command_spreads(self) -> dict[str, dict[int, int]]: ...  # hot commands: name -> {counter of a time: calls}
    def reset_spreads(self, names: Collection[str] | None = ..., /) -> None: ...
    def limit_memory(self, limit: int, evicts: bool, denyoom: Iterable[str], /) -> None: ...  # bytes; 0: none
    def reset_stats(self) -> None: ...

@final
class Conn:
    """One connection's protocol state: bytes in, bytes out. Knows nothing of sockets."""

    def __new__(cls, plane: Plane) -> Self: ...
    @property
    def id(self) -> int: ...
    session: int                  # id of the tsunami.Session as which commands run; 0: nobody in particular
    identity: Packed | None       # who its session is to Erlang
    db: int                       # SELECT
    resp: int                     # 2 or 3
    @property
    def speaks(self) -> int: ...  # the client's RESP version: another than `resp` while a script of its own has that
    authenticated: bool           # hot commands run only if so
    all_cold: bool                # MULTI, MONITOR, SUBSCRIBE ...: every command goes to Python
    subscribed: bool              # to channels: few commands in RESP2 (all are cold), and output limits of its own
    tracked: bool                 # what it reads is to be noted: every command is cold
    @property
    def overrun(self) -> bool: ...                              # closed because of too much unread output
    replies: int                  # CLIENT REPLY: 1 on, 0 off, 2 skip the next
    @property
    # all that has come is answered, but for an incomplete request
    def hungry(self) -> bool: ...
    @property
    def last_command(self) -> str: ...
    @property
    def created_ms(self) -> int: ...
    @property
    def active_ms(self) -> int: ...                             # of the last input
    def feed(self, data: bytes | bytearray | memoryview, /) -> None: ...
    # for BufferedProtocol; shared by all connections of the plane
    def get_buffer(self, sizehint: int, /) -> memoryview: ...
    def buffer_updated(self, nbytes: int, /) -> None: ...
    def run(self, budget_us: int = ..., /) -> int: ...          # parse and run until one of the states above
    def command(self) -> list[bytes]: ...                       # the cold command that stands first
    behind: bool                                                # something is to be done behind the next reply
    # command(), carry out, write(), done() and run(), again and again: the state, or what has to be awaited for a reply
    def answer(self, session: object, budget_us: int = ..., /) -> object: ...
    def write(self, reply: object, /) -> None: ...              # encode in this connection's RESP version and append
    def push(self, reply: Push, resp: int = 0, /) -> None: ...   # resp 0: the connection's
    def done(self) -> None: ...                                 # the cold command is answered; go on behind it
    # -- transactions. Hot commands are queued and run without Python as long as nothing stands against it
    inner: Callable[[list[bytes]], object] | None               # carries out a cold command of EXEC: argv -> reply
    after: Callable[[], object] | None                          # called when such an EXEC has ended without Python
    watching: bool                                              # EXEC always comes to Python
    spoiled: bool                                               # a command was refused: EXEC comes to Python
    @property
    def multi(self) -> int: ...                                 # commands queued; -1: no transaction
    @property
    def multi_size(self) -> int: ...                            # bytes of the queue
    @property
    def multi_writes(self) -> bool: ...                         # a command that writes is queued
    def begin(self) -> None: ...                                # MULTI
    def queue(self, writes: bool, /) -> None: ...               # the command that stands first
    def queued(self) -> list[list[bytes]]: ...
    def forget(self) -> None: ...                               # DISCARD
    def exec(self) -> None: ...                                 # run all, write the array of the replies
    def close(self) -> None: ...                                # read nothing more; CLOSING once the output is sent
    def deafen(self) -> None: ...                               # nobody will read the replies
    def take_output(self, limit: int = ..., /) -> bytes: ...
    def output_size(self) -> int: ...
    def query_size(self) -> int: ...

@disjoint_base
class _Selector:
    def __new__(cls, plane: Plane) -> Self: ...
    @property
    def plane(self) -> Plane: ...
    @property
    def signal(self) -> int: ...
    # from now on select() reads, runs and writes this socket
    def adopt(self, fd: int, conn: Conn) -> None: ...
    def drop(self, fd: int) -> None: ...                        # forget it; the caller closes
    # after done(), write() or close() from Python: run and flush at the next select
    def resume(self, fd: int) -> None: ...
    # Plane.push_all, sent at the next select(); gives those that are not served here
    def push_all(self, conns: list[Conn], push: Push, /) -> list[Conn]: ...
    # (fd, COLD): to be answered; (fd, CLOSING): the peer is gone or all is written
    def take(self) -> list[tuple[int, int]]: ...
    def register(self, fileobj: FileDescriptorLike, events: int, data: object = None) -> selectors.SelectorKey: ...
    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey: ...
    def modify(self, fileobj: FileDescriptorLike, events: int, data: object = None) -> selectors.SelectorKey: ...
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]: ...
    def get_key(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey: ...
    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]: ...
    def close(self) -> None: ...
    def fileno(self) -> int: ...

class NativeSelector(_Selector, selectors.BaseSelector):
    """epoll for asyncio that serves its client sockets itself. Linux only; see dataplane.pxi.

    `signal` is a descriptor to be watched with loop.add_reader(): its callback runs when take() has something to give.
    """
