"""A server inside a running Python program: it serves the tables of that program.

    with tsunami_server.background(port=0) as server: ...       in a thread of its own, with a loop of its own
    server = await tsunami_server.start(port=0)                 in the loop that runs already, stdlib's or uvloop

What it is not: a second kind of server. Both run the same App; and since tables belong to the process, what a client
writes the program sees in its next statement, and the other way round.

What must stay true: what keeps the server from starting (a port in use, a wrong setting) comes out of the call that
starts it.
"""

import asyncio
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Final

from tsunami_server.app import App, free_selector, new_event_loop
from tsunami_server.config import Config, ConfigError

__all__ = ["Background", "Running", "background", "new_event_loop", "start"]

STOP_MARGIN_S: Final = 5.0


class _Served:
    """Where a server can be reached."""

    def __init__(self, app: App) -> None:
        self._app = app

    @property
    def port(self) -> int:
        """The TCP port; 0 if only TLS or a Unix socket is served."""
        return self._app.tcp_port

    @property
    def tls_port(self) -> int:
        """The TCP port for TLS; 0 if there is none."""
        return self._app.tls_port

    @property
    def address(self) -> tuple[str, int] | str:
        """Host and port, or the path of the Unix socket if there is no TCP."""
        if not self._app.tcp_port:
            return self._app.addresses[0]
        host = self._app.addresses[0].rpartition(":")[0].strip("[]")
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), self._app.tcp_port

    @property
    def url(self) -> str:
        """For redis.from_url() and its like."""
        address = self.address
        if isinstance(address, str):
            return f"unix://{address}"
        host, port = address
        return f"redis://[{host}]:{port}/0" if ":" in host else f"redis://{host}:{port}/0"


class Background(_Served):
    """A server in a thread of its own. Leaving the `with` block, or stop(), ends it."""

    def __init__(self, config: Config) -> None:
        super().__init__(App(config))
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, name="tsunami-server", daemon=True)
        self._thread.start()
        self._loop = self._started.result()

    def stop(self) -> None:
        """Answer what has arrived, close, and wait until that is done. Doing it twice does no harm."""
        if self._thread.is_alive():
            try:
                self._loop.call_soon_threadsafe(self._app.shutdown)
            except RuntimeError:  # the loop has just closed
                pass
            self._thread.join(self._app.config.integer("shutdown-timeout") + STOP_MARGIN_S)

    def __enter__(self) -> "Background":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            loop = self._app.make_loop()
        except BaseException as error:
            self._started.set_exception(error)
            return
        try:
            loop.run_until_complete(self._serve(loop))
        finally:
            loop.close()

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            await self._app.start()
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(loop)
        await self._app.stopped.wait()


class Running(_Served):
    """A server in the program's own loop. `async with`, or `await server.stop()`, ends it."""

    async def stop(self) -> None:
        """Answer what has arrived, and close."""
        self._app.shutdown()
        await self._app.stopped.wait()

    async def wait_stopped(self) -> None:
        """Return when the server has stopped, for example because a client sent SHUTDOWN."""
        await self._app.stopped.wait()

    async def __aenter__(self) -> "Running":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def background(**settings: object) -> Background:
    """Serve this process's tables from a thread of its own.

    Settings are those of the command line, with underscores: port, bind, unixsocket, requirepass, io, ... Port 0 takes
    a free one. OSError if an address cannot be had, ConfigError (a ValueError) for a setting that cannot be.

    >>> import socket, tsunami, tsunami_server
    >>> users = tsunami.new("embedded_users")
    >>> with tsunami_server.background(port=0) as server, socket.create_connection(server.address) as client:
    ...     client.sendall(b"ETS.INSERT embedded_users 1 alice\\r\\n")
    ...     client.recv(100), users.lookup(1)
    (b':1\\r\\n', [(1, 'alice')])
    >>> users.delete()
    True
    """
    return Background(Config.of(settings))


async def start(**settings: object) -> Running:
    """Serve this process's tables from the running loop. Settings and errors as for background().

    Any loop will do, uvloop's too. One that new_event_loop() has made serves its clients in the selector (unless io is
    "asyncio"), which is several times as fast and keeps the program's own coroutines on time:

        asyncio.Runner(loop_factory=tsunami_server.new_event_loop)
    """
    config = Config.of(settings)
    selector = free_selector(asyncio.get_running_loop()) if config.text("io") != "asyncio" else None
    if selector is None and config.text("io") == "native":
        raise ConfigError("io", "the running loop has no native selector: see tsunami_server.new_event_loop")
    app = App(config, selector)
    await app.start()
    return Running(app)
