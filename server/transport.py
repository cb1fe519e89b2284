"""Sockets and tsunami._wire.Conn: two ways to move the bytes between them.

    NativeTransport    the loop's selector serves the sockets itself (tsunami._wire.NativeSelector); only cold commands
                       come here
    StreamTransport    asyncio's own transports, through BufferedProtocol: any loop, uvloop included, and platforms
                       without epoll
    TlsTransport       beside either of them, for the TLS port: asyncio decrypts, the rest is as with StreamTransport

What it is: accepting, answering cold commands one after the other, closing.

What it is not: it knows no command. A session is handed to tsunami._wire, which carries out its commands; here only the
end of a connection is told to it, and a reply that came later is written for it.

What must stay true:

1. While a cold command is unanswered nothing behind it is run; everybody else goes on.
2. Every session that was opened is closed, exactly once, whatever ends its connection; then its awaited command is
   cancelled.
3. Both ways answer the same bytes with the same bytes. The tests run over both.
4. serve_busy() is called in the middle of a command: of the client that is `engaged` in it nothing is run, nobody is
   closed, and nothing is awaited. NativeTransport lets new clients in meanwhile; StreamTransport, whose sockets are
   asyncio's, serves those that are there, and not those that are encrypted.
"""

import array
import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import select
import socket
import ssl
import termios
import weakref
from collections import deque
from collections.abc import Awaitable
from typing import Final, Protocol, cast

from tsunami import _core, _wire
from tsunami_server.session import Session

log = logging.getLogger("tsunami")

ACCEPT_AT_ONCE: Final = 64
ACCEPT_PAUSE_S: Final = 0.5  # after the process ran out of descriptors
TURN_US: Final = 1000  # of one client's cold commands, before the loop goes on
HANDSHAKE_S: Final = 10.0  # in which a client must have done its part of TLS's handshake
GREETINGS: Final = 1024  # handshakes at the same time
READ_BYTES: Final = 64 * 1024
WRITE_BYTES: Final = 256 * 1024  # given to asyncio's transports at once
PEER_ENDED: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
PLATFORM_KEEPALIVE: Final = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))


class Host(Protocol):
    """What a transport asks of the app."""

    plane: _wire.Plane

    def refusal(self, peer: str, unix: bool, /) -> _wire.Error | None: ...  # why this peer is not served
    def opened(self, client: "Client", /) -> Session: ...
    def closed(self, client: "Client", /) -> None: ...
    @property
    def keepalive_s(self) -> int: ...


class Transport(Protocol):
    def listen(self, sock: socket.socket, /) -> Awaitable[None]: ...
    def leave(self, sock: socket.socket, /) -> None: ...
    def stop_listening(self) -> None: ...
    def serve_busy(self) -> None: ...  # in the middle of a command that takes long: answer what has arrived
    def busy_over(self) -> None: ...


class Client:
    """One connection: answers its cold commands. A subclass for each transport moves the bytes."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop, peer: str, local: str, unix: bool, fd: int) -> None:
        self.host = host
        self.loop = loop
        self.conn = _wire.Conn(host.plane)
        self.peer = peer
        self.local = local
        self.unix = unix
        self.fd = fd
        self.ended = False
        self.task: asyncio.Task[None] | None = None
        self.turn_waits = False  # cold commands are to go on in the loop's next round
        self.engaged = False  # a command of this client is being carried out
        self.session = host.opened(self)

    # -- what the app asks

    def quiet(self) -> bool:
        """All that has arrived is answered, and the answers are sent."""
        return self.task is None and self.conn.hungry and self.unsent() == 0 and unread(self.fd) == 0

    def is_abandoned(self) -> bool:
        """Has the peer closed its side? While a command is awaited nothing is read, so that nobody else would tell."""
        if self.fd < 0 or self.ended:
            return True
        look = select.poll()
        look.register(self.fd, PEER_ENDED)
        return bool(look.poll(0))

    def unsent(self) -> int:
        return self.conn.output_size()

    def end(self) -> None:
        """Close the connection now; what was not sent is lost."""
        if self.ended:
            return
        self.ended = True
        self.conn.close()
        if self.task is not None:
            self.task.cancel()
        self._close()
        self.session.closed()
        self.host.closed(self)

    def flush(self) -> None:
        """Send what has been written outside of an answer, and go on reading."""
        raise NotImplementedError

    def send(self) -> None:
        """Send what has been pushed. Runs nothing: whoever pushes may be in the middle of another client's command."""
        raise NotImplementedError

    def half_close(self) -> None:
        """Tell the peer that nothing more will come."""
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError

    # -- cold commands

    def _answer(self) -> int:
        """Answer cold commands, the first of which has been met, until another state is reached or the turn is over.

        The result is that state; COLD if the turn ended before the next one or while one is awaited.
        """
        self.turn_waits = False  # whoever comes first takes the turn: new data may, before next_turn does
        if self.ended or self.engaged:
            return _wire.COLD
        self.engaged = True
        try:
            met = _core.act(None, self.conn.answer, self.session, TURN_US)
        finally:
            self.engaged = False
        if type(met) is not int:
            self.task = self.loop.create_task(self._answer_later(cast("Awaitable[object]", met)))
            return _wire.COLD
        if met == _wire.COLD and not self.ended:
            self.turn_waits = True
            self.loop.call_soon(self.next_turn)
        return met

    async def _answer_later(self, awaited: Awaitable[object]) -> None:
        reply = await awaited
        self.task = None
        if not self.ended:
            self._reply(reply)
            self.flush()

    def next_turn(self) -> None:
        if self.turn_waits and not self.ended and not self.engaged:
            self._answered(self._answer())

    def _answered(self, state: int) -> None:
        """Cold commands are done for now: send, and go on as the state demands."""
        raise NotImplementedError

    def _reply(self, reply: object) -> None:
        try:
            self.conn.write(reply)
        except Exception as error:
            self.conn.write(self.session.unwritable(error))
        self.session.replied()
        self.conn.done()
        if self.session.closing:
            self.conn.close()


# ---- the native selector


class NativeClient(Client):
    def __init__(self, transport: "NativeTransport", sock: socket.socket, peer: str, local: str, unix: bool) -> None:
        self.sock = sock
        self.transport = transport
        super().__init__(transport.host, transport.loop, peer, local, unix, sock.fileno())

    def flush(self) -> None:
        if not self.ended:
            self.transport.selector.resume(self.fd)

    def send(self) -> None:
        self.flush()  # the selector runs what there is to run when all commands at hand are done

    def half_close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def handed(self, state: int) -> None:
        if state == _wire.COLD:
            self._answered(self._answer())
        else:
            self.end()

    def _answered(self, state: int) -> None:
        self.flush()  # the selector does the rest, whatever the state

    def _close(self) -> None:
        self.transport.clients.pop(self.fd, None)
        with contextlib.suppress(KeyError):  # it was never adopted
            self.transport.selector.drop(self.fd)
        self.sock.close()


class Acceptor:
    """Listens and accepts; a subclass says what becomes of a connection."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self.host = host
        self.loop = loop
        self.listeners: list[socket.socket] = []

    async def listen(self, sock: socket.socket, /) -> None:
        self.listeners.append(sock)
        self.loop.add_reader(sock.fileno(), self._accept, sock)

    def leave(self, sock: socket.socket, /) -> None:
        """Accept no more at this one, and close it."""
        self.listeners.remove(sock)
        self.loop.remove_reader(sock.fileno())
        sock.close()

    def stop_listening(self) -> None:
        for sock in list(self.listeners):
            self.leave(sock)

    def _open(self, sock: socket.socket, address: object, unix: bool) -> None:
        """Serve a connection. OSError: it is gone already."""
        raise NotImplementedError

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPT_AT_ONCE):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._accept_failed(listener, error)
                return
            sock.setblocking(False)
            try:
                self._open(sock, address, listener.family == getattr(socket, "AF_UNIX", None))
            except OSError:
                sock.close()

    def _accept_failed(self, listener: socket.socket, error: OSError) -> None:
        if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            raise error
        log.error("cannot accept connections: %s", error)
        self.loop.remove_reader(listener.fileno())
        self.loop.call_later(ACCEPT_PAUSE_S, self._accept_again, listener)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener in self.listeners:
            self.loop.add_reader(listener.fileno(), self._accept, listener)


class NativeTransport(Acceptor):
    """Accepts here; the selector reads, runs and writes, and hands over what needs Python."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop, selector: _wire.NativeSelector) -> None:
        super().__init__(host, loop)
        self.selector = selector
        self.clients: dict[int, NativeClient] = {}
        self.taken: deque[tuple[int, int]] = deque()  # from the selector, to be handed to clients
        self.kept: list[tuple[int, int]] = []  # until a command that takes long is over
        loop.add_reader(selector.signal, self._handed)

    def close(self) -> None:
        self.stop_listening()
        self.loop.remove_reader(self.selector.signal)

    def _handed(self) -> None:
        self.taken.extend(self.selector.take())
        while self.taken:
            fd, state = self.taken.popleft()
            client = self.clients.get(fd)
            if client is not None:
                client.handed(state)

    def serve_busy(self) -> None:
        """A round of the selector. What is asyncio's comes again in the loop's next; but new clients come in now."""
        for key, _ in self.selector.select(0):
            for listener in [sock for sock in self.listeners if sock.fileno() == key.fd]:
                self._accept(listener)
        self.taken.extend(self.selector.take())
        for _ in range(len(self.taken)):
            fd, state = self.taken.popleft()
            client = self.clients.get(fd)
            if client is None:
                continue
            if state != _wire.COLD or client.engaged:
                self.kept.append((fd, state))
            else:
                client.handed(state)
        for client in list(self.clients.values()):
            client.next_turn()

    def busy_over(self) -> None:
        kept, self.kept = self.kept, []
        self.taken.extend((fd, state) for fd, state in kept if state != _wire.COLD)
        self._handed()

    def _open(self, sock: socket.socket, address: object, unix: bool) -> None:
        peer, local = names(address, sock.getsockname(), unix)
        refusal = self.host.refusal(peer, unix)
        if refusal is not None:
            with contextlib.suppress(OSError):
                sock.send(_wire.encode(refusal))
            sock.close()
            return
        if not unix:
            prepare(sock, self.host.keepalive_s)
        client = NativeClient(self, sock, peer, local, unix)
        self.clients[client.fd] = client
        try:
            self.selector.adopt(client.fd, client.conn)
        except OSError:
            client.end()
            raise


# ---- asyncio's transports


class StreamClient(Client, asyncio.BufferedProtocol):
    """Made when the connection is; `transport` is asyncio's."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, unix: bool) -> None:
        self.transport = transport
        self.choked = False  # asyncio holds more than WRITE_BYTES
        self.paused = False  # we have stopped reading
        self.peer_ended = False
        self.lost = False  # there is no connection any more
        self.scheduled = False
        sock = transport.get_extra_info("socket")
        self.encrypted = transport.get_extra_info("ssl_object") is not None
        if not unix:
            prepare(sock, host.keepalive_s)
        address, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        transport.set_write_buffer_limits(high=WRITE_BYTES)
        super().__init__(host, loop, *names(address, own, unix), unix, sock.fileno() if sock is not None else -1)

    # -- asyncio calls

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.conn.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self.conn.buffer_updated(nbytes)
        self._go_on()

    def eof_received(self) -> bool:
        self.peer_ended = True
        self._go_on()
        return not self.encrypted  # what has been asked is still answered; TLS has no half-closed connections

    def pause_writing(self) -> None:
        self.choked = True

    def resume_writing(self) -> None:
        self.choked = False
        self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        """What has arrived is carried out, although nobody reads the replies."""
        self.lost, self.choked = True, False
        self.conn.deafen()
        self._go_on()

    # -- reading and writing

    def unsent(self) -> int:
        return self.conn.output_size() + self.transport.get_write_buffer_size()

    def flush(self) -> None:
        self._go_on()

    def send(self) -> None:
        if not self.ended:
            self._send()
            if self.conn.overrun:
                self.loop.call_soon(self.end)

    def half_close(self) -> None:
        if self.transport.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                self.transport.write_eof()

    def _close(self) -> None:
        self.transport.abort()

    def _go_on(self) -> None:
        """Run what has come, unless a command is being answered."""
        self.scheduled = False
        if self.ended:
            return
        if self.task is not None:
            self._send()
            self._pause(self.conn.query_size() > self.host.plane.soft_query)
            return
        state = self.conn.run(TURN_US)
        if state == _wire.COLD:
            state = self._answer()
        self._answered(state)

    def take_in(self) -> None:
        """Read, run and write past asyncio, which has no turn now."""
        if self.ended or self.lost or self.task is not None or self.engaged or self.paused or self.encrypted:
            return
        try:
            data = os.read(self.fd, READ_BYTES)
        except OSError:
            return
        if data:  # else the peer has ended: asyncio will see that, too
            self.conn.feed(data)
            state = self.conn.run(TURN_US)
            if state == _wire.COLD:
                state = self._answer()
            self._write_past()
            self._answered(state)

    def _write_past(self) -> None:
        if self.transport.get_write_buffer_size() == 0 and self.conn.output_size():
            data = self.conn.take_output()
            try:
                sent = os.write(self.fd, data)
            except OSError:
                sent = 0
            if sent < len(data):
                self.transport.write(data[sent:])

    def _answered(self, state: int) -> None:
        if self.ended:
            return
        self._send()
        if state == _wire.CLOSING or (state == _wire.NEED_DATA and (self.peer_ended or self.lost)):
            if self.lost:
                self.end()
            elif self.conn.output_size() == 0:
                self.transport.close()  # after what asyncio still holds
            return
        slow = state == _wire.FULL and self.choked
        if state in (_wire.BUDGET, _wire.FULL) and not slow and not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self._go_on)
        self._pause(slow and self.conn.query_size() > self.host.plane.soft_query)

    def _send(self) -> None:
        """Give asyncio what it takes: a little more than the socket does. The rest stays under the marks."""
        while not self.choked and self.conn.output_size():
            self.transport.write(self.conn.take_output(WRITE_BYTES))

    def _pause(self, pause: bool) -> None:
        if pause != self.paused and not self.transport.is_closing():
            self.paused = pause
            if pause:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()


class _Entrance(asyncio.Protocol):
    """What asyncio makes before there is a connection: lets the client in, or says why not."""

    def __init__(
        self,
        host: Host,
        loop: asyncio.AbstractEventLoop,
        unix: bool,
        clients: "weakref.WeakSet[StreamClient] | None" = None,
    ) -> None:
        """`clients`: where to add who comes in."""
        self.host = host
        self.loop = loop
        self.unix = unix
        self.clients = clients

    def connection_made(self, base: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, base)  # uvloop's have its methods, and another base class
        peer, _ = names(transport.get_extra_info("peername"), transport.get_extra_info("sockname"), self.unix)
        refusal = self.host.refusal(peer, self.unix)
        if refusal is not None:
            transport.write(_wire.encode(refusal))
            transport.close()
            return
        client = StreamClient(self.host, self.loop, transport, self.unix)
        if self.clients is not None:
            self.clients.add(client)
        transport.set_protocol(client)


class StreamTransport:
    """Serves through asyncio's servers and transports."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self.host = host
        self.loop = loop
        self.servers: dict[socket.socket, asyncio.AbstractServer] = {}
        self.clients: weakref.WeakSet[StreamClient] = weakref.WeakSet()

    async def listen(self, sock: socket.socket, /) -> None:
        unix = sock.family == getattr(socket, "AF_UNIX", None)
        make = self.loop.create_unix_server if unix else self.loop.create_server
        self.servers[sock] = await make(lambda: _Entrance(self.host, self.loop, unix, self.clients), sock=sock)

    def leave(self, sock: socket.socket, /) -> None:
        """Accept no more at this one, and close it."""
        self.servers.pop(sock).close()

    def serve_busy(self) -> None:
        for client in list(self.clients):
            client.next_turn()
            client.take_in()

    def busy_over(self) -> None:
        pass  # asyncio comes back to all sockets by itself

    def stop_listening(self) -> None:
        for sock in list(self.servers):
            self.leave(sock)

    def close(self) -> None:
        self.stop_listening()


class TlsTransport(Acceptor):
    """Accepts on the TLS port. Each connection gets the context that is in force when it comes."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext) -> None:
        super().__init__(host, loop)
        self.context = context
        self.greeting: set[asyncio.Task[None]] = set()  # connections whose handshake is under way

    def close(self) -> None:
        self.stop_listening()
        for task in list(self.greeting):
            task.cancel()

    def _open(self, sock: socket.socket, address: object, unix: bool) -> None:
        if len(self.greeting) >= GREETINGS:  # so many strangers who say nothing are nobody's clients
            sock.close()
            return
        task = self.loop.create_task(self._greet(sock, address_text(address)))
        self.greeting.add(task)
        task.add_done_callback(self.greeting.discard)

    async def _greet(self, sock: socket.socket, peer: str) -> None:
        entrance = _Entrance(self.host, self.loop, unix=False)
        try:
            await self.loop.connect_accepted_socket(
                lambda: entrance, sock, ssl=self.context, ssl_handshake_timeout=HANDSHAKE_S
            )
        except (OSError, asyncio.CancelledError) as error:  # ssl.SSLError is an OSError
            log.info("TLS handshake with %s failed: %s", peer, error)
            sock.close()


# ---- sockets


def prepare(sock: socket.socket | None, keepalive_s: int) -> None:
    """Send at once, and notice that a silent peer is gone. A socket that knows no such option is served without."""
    if sock is None:
        return
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if keepalive_s:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if PLATFORM_KEEPALIVE is not None:
                sock.setsockopt(socket.IPPROTO_TCP, PLATFORM_KEEPALIVE, keepalive_s)
            if hasattr(socket, "TCP_KEEPINTVL"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, keepalive_s // 3))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def unread(fd: int) -> int:
    """Bytes that have arrived at a socket and were not received yet; 0 if the system does not tell."""
    count = array.array("i", [0])
    with contextlib.suppress(OSError, ValueError):
        fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def names(peer: object, local: object, unix: bool) -> tuple[str, str]:
    """Both ends as CLIENT LIST shows them."""
    if unix:
        path = local if isinstance(local, str) else ""
        return f"{path}:0", f"{path}:0"
    return address_text(peer), address_text(local)


def address_text(address: object) -> str:
    if not isinstance(address, tuple) or len(address) < 2:
        return "?:0"
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(peer: str) -> bool:
    return peer.startswith(("127.", "[::1]", "[::ffff:127."))
