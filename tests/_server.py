"""Servers to talk to, ours and Redis's, as processes of their own, and a client that shows the bytes.

Not fixtures, no tests. Every server listens on a free port of the loopback and ends with its `with` block.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from _support import end, free_port, peer, wait_until

IO_KINDS = ["native", "asyncio"] if sys.platform == "linux" else ["asyncio"]


class Wire:
    """A socket, and a parser for what comes back. hiredis's Reader is an implementation of RESP that is not ours."""

    def __init__(self, address: tuple[str, int] | str, *, timeout: float = 30.0, receive_buffer: int = 0) -> None:
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        if not isinstance(address, str):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        import hiredis  # here: tests of threads also run where there is none

        self.reader = hiredis.Reader(notEnoughData=Wire)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Close without a farewell: the other side gets a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reply(self) -> object:
        """The next reply; errors are hiredis.ReplyError objects. EOFError if the server has closed."""
        while (answer := self.reader.gets()) is Wire:
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError("the server closed the connection")
            self.reader.feed(data)
        return answer

    def replies(self, n: int) -> list[object]:
        return [self.reply() for _ in range(n)]

    def __call__(self, *words: bytes | str | int) -> object:
        """Send one command and give its reply."""
        self.send(request(*words))
        return self.reply()

    def received(self, n: int) -> bytes:
        """Exactly n bytes, unparsed."""
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError(f"only {data!r} came")
            data += more
        return data

    def rest(self) -> bytes:
        """All that still comes until the server closes, unparsed. A reset counts as closed."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while more := self.sock.recv(1 << 16):
                data += more
        return data

    def is_closed(self) -> bool:
        """Has the server closed the connection? What still comes is thrown away."""
        self.sock.settimeout(0.001)
        try:
            return self.sock.recv(1 << 16) == b""
        except (TimeoutError, BlockingIOError):
            return False
        except OSError:
            return True


def clients_of(wire: Wire) -> int:
    """How many connections the server has."""
    listing = wire("CLIENT", "LIST")
    assert isinstance(listing, bytes)
    return len(listing.splitlines())


def request(*words: bytes | str | int) -> bytes:
    """A command as clients send it."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


class Process:
    """A server process that is ready to be talked to."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", address: tuple[str, int], log: list[str] | None = None
    ) -> None:
        self.process = process
        self.address = address
        self.log = log or []

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return self.address[1]

    def wire(self, **options: float) -> Wire:
        return Wire(self.address, **options)  # type: ignore[arg-type]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 20.0) -> int:
        """The exit status."""
        return self.process.wait(seconds)

    def memory(self) -> int:
        """Resident bytes (Linux)."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def tsunami_server(*flags: str, port: int = 0) -> Iterator[Process]:
    """A tsunami-server process, on a free port."""
    command = [sys.executable, "-m", "tsunami_server", "--port", str(port), *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    log: list[str] = []
    ready = threading.Event()
    found: list[tuple[str, int]] = []

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            log.append(line.decode().rstrip())
            words = log[-1].split(" on 127.0.0.1:")
            if "ready" in log[-1] and len(words) == 2 and not found:
                found.append(("127.0.0.1", int(words[1])))
                ready.set()
        ready.set()  # it has ended

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(30) and found, "\n".join(["tsunami-server did not start:", *log])
        yield Process(process, found[0], log)
    finally:
        assert end(process, 20), "\n".join(["tsunami-server did not end:", *log])
        reader.join(5)
        assert process.stderr is not None
        process.stderr.close()


@contextlib.contextmanager
def redis_server(*flags: str) -> Iterator[Process]:
    """A redis-server process, on a free port, that keeps nothing on disk. Skips the test where there is none."""
    program = peer("redis-server")
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", directory]
        process = subprocess.Popen(
            [program, *where, "--save", "", "--appendonly", "no", *flags], stdout=subprocess.DEVNULL
        )
        try:
            wait_until(lambda: answers(port) or process.poll() is not None, "redis-server answers")
            assert process.poll() is None, "redis-server did not start"
            yield Process(process, ("127.0.0.1", port))
        finally:
            process.terminate()
            process.wait(20)


def answers(port: int) -> bool:
    try:
        with Wire(("127.0.0.1", port), timeout=2) as wire:
            return wire("PING") == b"PONG"
    except OSError:
        return False
