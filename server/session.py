"""One client: argv in, reply out.

What it is: the state of one conversation (name, database, protocol version, what CLIENT LIST shows) and the dispatch of
cold commands: look the command up, check the number of words, authentication and CLIENT PAUSE, call the handler, count.

What it is not: it owns no socket and reads no clock but the app's. It writes nothing: a reply is returned, or an
awaitable of one, and the app writes it. RESP itself, and the commands that run without Python, are tsunami._wire's.

What must stay true:

1. `execute` never raises for what a client sent: a CommandError is its reply; anything else is logged, answered with
   `ERR internal error`, and leaves the connection open.
2. Every call is counted exactly once, as called or as rejected, also when it was answered later.
3. Database, protocol version and authentication live in `conn`, where hot commands see them; everything else lives
   here.
"""

import logging
import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import Protocol

from tsunami import Table, TsunamiError, _wire, keyspace
from tsunami_server.command import Command, CommandError, Reply, registry, wrong_number
from tsunami_server.shared import Shared

log = logging.getLogger("tsunami")

DEFAULT_USER = b"default"
NO_REPLY = _wire.Raw(b"")


class Settings(Protocol):
    """What a session asks of the configuration. Names are Redis's, in lower case; values are the text that CONFIG GET
    shows.
    """

    def names(self) -> Iterable[str]: ...
    def text(self, name: str, /) -> str: ...
    def set_many(self, pairs: Mapping[str, str], /) -> None: ...  # all or nothing; ConfigError


class Host(Protocol):
    """What a session asks of the app that it belongs to."""

    shared: Shared
    plane: _wire.Plane
    active_expire: bool

    @property
    def config(self) -> Settings: ...
    @property
    def tcp_port(self) -> int: ...
    @property
    def started_ms(self) -> int: ...
    @property
    def expired_keys(self) -> int: ...
    @property
    def expire_late_ms(self) -> int: ...
    def now_ms(self) -> int: ...
    def now_us(self) -> int: ...
    def close_client(self, session: "Session", /) -> None: ...
    def shutdown(self) -> None: ...


class Session:
    """The state of one connection, and `execute`."""

    def __init__(self, app: Host, conn: _wire.Conn, peer: str, local: str) -> None:
        self.app = app
        self.conn = conn
        self.peer = peer
        self.local = local
        self.fd = -1
        self.unix = False
        self.name = b""
        self.lib_name = b""
        self.lib_ver = b""
        self.no_evict = False
        self.no_touch = False
        self.closing = False  # close after the reply is written
        self.command_name = ""  # of the last cold command, as CLIENT LIST shows it
        self.fixed: list[Table] = []  # ETS.FIX of this connection, one entry for each
        self._closed = app.shared.event()
        app.shared.sessions[conn.id] = self

    # -- what handlers use

    @property
    def id(self) -> int:
        return self.conn.id

    @property
    def table(self) -> Table:
        """The table behind the selected database."""
        return keyspace(self.conn.db)

    def setting(self, name: str) -> int:
        return int(self.app.config.text(name))

    @property
    def is_local(self) -> bool:
        return self.unix or self.peer.startswith(("127.", "[::1]", "::1"))

    # -- dispatch

    def execute(self, argv: list[bytes]) -> Reply | Awaitable[Reply]:
        """Carry out one command. The reply may have to be awaited; the connection's next command waits for it."""
        try:
            command = registry.find(argv)
        except CommandError as error:
            return self._refused(None, str(error))
        self.command_name = command.name
        if not command.accepts(len(argv)):
            return self._refused(command, str(wrong_number(command.name)))
        if command.needs_auth and not self.conn.authenticated:
            return self._refused(command, "NOAUTH Authentication required.")
        if self.app.shared.holds(command.is_write):
            return self._execute_later(command, argv)
        return self._call(command, argv)

    def closed(self) -> None:
        """The connection has ended: undo what was only for its time."""
        self.app.shared.sessions.pop(self.conn.id, None)
        for table in self.fixed:
            try:
                table.safe_fixtable(False)
            except TsunamiError:
                pass  # the table has been deleted, and its fixation with it
        self.fixed.clear()
        self._closed.set()

    async def wait_closed(self) -> None:
        await self._closed.wait()

    async def _execute_later(self, command: Command, argv: list[bytes]) -> Reply:
        shared = self.app.shared
        shared.blocked += 1
        try:
            while shared.holds(command.is_write):
                await shared.wait_unpaused()
        finally:
            shared.blocked -= 1
        reply = self._call(command, argv)
        return await reply if isinstance(reply, Awaitable) else reply

    def _call(self, command: Command, argv: list[bytes]) -> Reply | Awaitable[Reply]:
        assert command.handler is not None  # a container alone has an arity of two words at least
        start = time.perf_counter_ns()
        args = argv[2:] if "|" in command.name else argv[1:]
        try:
            reply = command.handler(self, args)
        except Exception as error:
            return self._fail(command, argv, start, error)
        if isinstance(reply, Awaitable):
            return self._call_later(command, argv, start, reply)
        self._count(command, argv, start)
        return reply

    async def _call_later(self, command: Command, argv: list[bytes], start: int, later: Awaitable[Reply]) -> Reply:
        try:
            reply = await later
        except Exception as error:
            return self._fail(command, argv, start, error)
        self._count(command, argv, start)
        return reply

    # -- accounts

    def _fail(self, command: Command, argv: list[bytes], start: int, error: Exception) -> _wire.Error:
        """The one place where an exception becomes an error reply."""
        text = str(error)
        if not isinstance(error, CommandError):
            log.error("%s failed unexpectedly", command.name, exc_info=error)
            text = f"ERR internal error: {type(error).__name__}"
        self._count(command, argv, start)
        self.app.shared.commands[command.name].failed += 1
        self.app.shared.count_error(text)
        return _wire.Error(text)

    def _refused(self, command: Command | None, text: str) -> _wire.Error:
        if command is not None:
            self.app.shared.commands[command.name].rejected += 1
        self.app.shared.count_error(text)
        return _wire.Error(text)

    def _count(self, command: Command, argv: list[bytes], start: int) -> None:
        usec = (time.perf_counter_ns() - start) // 1000
        count = self.app.shared.commands[command.name]
        count.calls += 1
        count.usec += usec
        self._note_slow(command, argv, usec)

    def _note_slow(self, command: Command, argv: list[bytes], usec: int) -> None:
        """SLOWLOG and LATENCY. AUTH and HELLO are not for the log, nor is any other password."""
        app = self.app
        threshold = self.setting("slowlog-log-slower-than")
        if 0 <= threshold <= usec and command.needs_auth:
            app.shared.note_slow(
                without_passwords(command, argv), usec, app.now_ms(), self, self.setting("slowlog-max-len")
            )
        threshold_ms = self.setting("latency-monitor-threshold")
        if 0 < threshold_ms <= usec // 1000:
            app.shared.note_latency("command", app.now_ms(), usec // 1000)


def without_passwords(command: Command, argv: list[bytes]) -> list[bytes]:
    """The words of CONFIG SET requirepass, but not the password."""
    if command.name != "config|set":
        return argv
    return [b"(redacted)" if argv[at - 1].lower() == b"requirepass" else word for at, word in enumerate(argv)]
