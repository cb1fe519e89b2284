"""A real redis-server for comparison, and a client that keeps replies as they came.

What it is: `redis_server()` starts Debian's redis-server on a free port without any file; `Client` speaks RESP2 or
RESP3 and returns each reply as a pair (mark, value), so that `+OK` and `$2 OK`, `:1` and `#t` stay different.

What it is not: a client library. It knows nothing but requests and replies, and waits ten seconds at most for each.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from _server import redis_server as redis_process

import tsunami
import tsunami_server

Reply = tuple[str, Any]
TIMEOUT = 10.0


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[int]:
    """The port of a redis-server that ends with the block."""
    with redis_process("--enable-debug-command", "local", *options) as process:
        yield process.port


def encode(words: tuple[bytes | str | int, ...]) -> bytes:
    data = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(data) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in data)


class Client:
    """One connection."""

    def __init__(self, port: int, resp: int = 2) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.file = self.socket.makefile("rb")
        if resp == 3:
            assert self("HELLO", "3")[0] == "%"

    def __call__(self, *words: bytes | str | int) -> Reply:
        return self.all([words])[0]

    def send(self, *words: bytes | str | int) -> None:
        """Say something, and leave what comes back to `read`."""
        self.socket.sendall(encode(words))

    def all(self, requests: list[tuple[bytes | str | int, ...]]) -> list[Reply]:
        """Several requests in one packet, and their replies."""
        self.socket.sendall(b"".join(map(encode, requests)))
        return [self.read() for _ in requests]

    def value(self, *words: bytes | str | int) -> Any:
        """The reply as plain Python; an error fails."""
        reply = self(*words)
        assert reply[0] != "-", reply
        return plain(reply)

    def read(self) -> Reply:
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the server has closed the connection")
        mark, rest = chr(line[0]), line[1:-2]
        if mark in "$=!":
            size = int(rest)
            return (mark, None) if size < 0 else (mark, self.file.read(size + 2)[:-2])
        if mark in "*~>":
            size = int(rest)
            return (mark, None) if size < 0 else (mark, [self.read() for _ in range(size)])
        if mark == "%":
            return mark, [(self.read(), self.read()) for _ in range(int(rest))]
        return (mark, int(rest)) if mark == ":" else (mark, rest.decode("utf-8", "surrogateescape"))

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def error(reply: Reply) -> str:
    """The text of a reply that must be an error."""
    assert reply[0] == "-", reply
    return str(reply[1])


def plain(reply: Reply) -> Any:
    """A reply without its marks: null is None, maps are dicts."""
    mark, value = reply
    if mark == "_" or value is None:
        return None
    if mark == "#":
        return value == "t"
    if mark == ",":
        return float(value)
    if mark == "(":
        return int(value)
    if mark == "=":
        return value[4:]
    if mark == "%":
        return {plain(key): plain(item) for key, item in value}
    return [plain(item) for item in value] if isinstance(value, list) else value


@contextlib.contextmanager
def our_server(*, all_cold: bool = False, **settings: Any) -> Iterator[Any]:
    """Our server in a thread of this process, for as long as the block. `all_cold`: Python handlers carry out
    everything. Its databases are this process's keyspaces: they begin empty, whatever other tests have left there.
    """
    for db in range(16):
        tsunami.keyspace(db).delete_all_objects()
    with tsunami_server.background(port=0, **settings) as server:
        for name in server._app.plane.hot_names() if all_cold else ():
            server._app.plane.disable(name)
        yield server
