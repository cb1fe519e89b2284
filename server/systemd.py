"""systemd: sockets that it has opened for us, and telling it how we are (sd_listen_fds(3), sd_notify(3)).

What it is: two small protocols over the environment. Where systemd did not start the process both do nothing.

What must stay true: the variables are taken out of the environment, so that no process that we start believes that they
are meant for it.
"""

import contextlib
import os
import socket
from collections.abc import MutableMapping
from typing import Final

FIRST_FD: Final = 3
TLS_NAME: Final = "tls"  # FileDescriptorName= of a socket that TLS is spoken on


def take_sockets(environ: MutableMapping[str, str], pid: int) -> tuple[list[socket.socket], list[socket.socket]]:
    """The listening sockets that were passed to this process: in the clear, and those named `tls`."""
    count, names = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_FDNAMES", "").split(":")
    if environ.pop("LISTEN_PID", "") != str(pid) or not count.isdecimal():
        return [], []
    plain: list[socket.socket] = []
    encrypted: list[socket.socket] = []
    for at in range(int(count)):
        os.set_inheritable(FIRST_FD + at, False)
        sock = socket.socket(fileno=FIRST_FD + at)
        sock.setblocking(False)
        named_tls = at < len(names) and names[at] == TLS_NAME
        (encrypted if named_tls else plain).append(sock)
    return plain, encrypted


class Notifier:
    """Tells systemd of the service's state, if it has asked to be told."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        self.address = "\0" + address[1:] if address.startswith("@") else address

    def __call__(self, *lines: str) -> None:
        """Send `READY=1` and the like. It is news, not a duty: what cannot be sent is not."""
        if not self.address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto("\n".join(lines).encode(), self.address)
