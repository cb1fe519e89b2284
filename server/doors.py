"""Where the server listens: sockets that are open, out of the settings bind, port, tls-port and unixsocket.

What it is: opening them, and nothing else. Who accepts at them is the transports' business (transport.py); when which
of them are open is the app's.

What must stay true: a function that raises has left nothing open. OSError says which address could not be had.
"""

import os
import socket
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["port", "tls-port", "unixsocket"]  # by the setting that it comes from
EVERYWHERE: Final = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Door:
    """One listening socket; `address` as the log tells it."""

    kind: Kind
    sock: socket.socket
    address: str
    port: int = 0


def door_of(sock: socket.socket, kind: Kind) -> Door:
    name = sock.getsockname()
    if isinstance(name, str):
        return Door("unixsocket", sock, name)
    host, port = name[:2]
    text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Door(kind, sock, text + (" (TLS)" if kind == "tls-port" else ""), port)


def open_tcp(kind: Kind, bind: str, port: int, backlog: int) -> list[Door]:
    """One socket for each address; with port 0 the first takes a free port and the others take the same."""
    opened: list[Door] = []
    for word in bind.split():
        for host in EVERYWHERE if word.lstrip("-") == "*" else (word.lstrip("-"),):
            try:
                opened.append(door_of(listening(host, port, backlog), kind))
            except OSError as error:
                if (word.startswith("-") or word == "*") and opened:
                    continue
                shut(opened)
                raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
            port = port or opened[0].port
    return opened


def open_unix(path: str, permissions: int, backlog: int) -> Door:
    remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        if permissions:
            os.chmod(path, permissions)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {path}: {error.strerror or error}") from error
    return Door("unixsocket", sock, path)


def shut(doors: Iterable[Door]) -> None:
    for door in doors:
        door.sock.close()


def listening(host: str, port: int, backlog: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, proto, _, address = found[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def remove_stale(path: str) -> None:
    """Remove a socket that a server has left behind; one that somebody still listens on stays."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            os.unlink(path)
