"""The `tsunami` console script: small things about a server that is already running. `tsunami-server` starts one.

It is a client like any other: a socket, RESP2, the standard library, nothing of the engine. It does not replace
redis-cli, which speaks to a Tsunami server as it does to Redis. A verb is one `Verb` in VERBS, known nowhere else.
"""

import argparse
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from tsunami import __version__
from tsunami.listing import ORDERS, TableLine, in_bytes, listing, ordered

DEFAULT_URL = "redis://127.0.0.1:6379"

Reply = str | bytes | int | None | list["Reply"]


class ReplyError(Exception):
    """The server answered with an error; the text is the server's."""


class Client:
    """One connection: a request, then its reply. For a handful of commands, not for load."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        """Connect to redis://[[user]:password@]host[:port][/db] or unix:///path.

        OSError: nobody listens there. ValueError: that is no URL. ReplyError: the server wants another password.
        """
        parts = urlsplit(url)
        if parts.scheme == "redis":
            self._socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout)
        elif parts.scheme == "unix":
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(timeout)
            self._socket.connect(parts.path)
        else:
            raise ValueError(f"{url!r}: it must begin with redis:// or unix://")
        self._replies = self._socket.makefile("rb")
        if parts.password is not None:
            user = [unquote(parts.username)] if parts.username else []
            self.call("AUTH", *user, unquote(parts.password))
        if parts.scheme == "redis" and parts.path.strip("/"):
            self.call("SELECT", parts.path.strip("/"))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._replies.close()
        self._socket.close()

    def call(self, *words: str) -> Reply:
        """Send one command and return its reply; ReplyError if that is an error."""
        encoded = [word.encode() for word in words]
        request = b"".join([b"*%d\r\n" % len(encoded), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)])
        self._socket.sendall(request)
        return self._reply()

    def _reply(self) -> Reply:
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest.decode()
            case b"-":
                raise ReplyError(rest.decode())
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._bulk(int(rest))
            case b"*":
                return None if rest == b"-1" else [self._reply() for _ in range(int(rest))]
        raise ConnectionError(f"not RESP: {line!r}")

    def _bulk(self, size: int) -> bytes:
        data = self._replies.read(size + 2)
        if len(data) != size + 2:
            raise ConnectionError("the server closed the connection")
        return data[:-2]


@dataclass(frozen=True)
class Verb:
    """One subcommand: what it is called, what it does in a line, its arguments, and the function that does it."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None


def connects(parser: argparse.ArgumentParser) -> None:
    """The arguments of every verb that speaks to a server."""
    parser.add_argument(
        "--url", default=DEFAULT_URL, help="redis://[[user]:password@]host[:port][/db] or unix:///path (%(default)s)"
    )


def version(_: argparse.Namespace) -> int:
    """Print the version of this installation."""
    print(f"tsunami {__version__}")
    return 0


def info_arguments(parser: argparse.ArgumentParser) -> None:
    connects(parser)
    parser.add_argument("section", nargs="*", help="server, clients, memory, ...; all of them if none is given")


def info(options: argparse.Namespace) -> int:
    """Print what INFO answers."""
    with Client(options.url) as client:
        text = client.call("INFO", *options.section)
    assert isinstance(text, bytes), "INFO answers a bulk string"
    print(text.decode(errors="replace").replace("\r\n", "\n").rstrip())
    return 0


def tables_arguments(parser: argparse.ArgumentParser) -> None:
    connects(parser)
    parser.add_argument("--sort", choices=ORDERS, default="name", help="the order of the lines (%(default)s)")


def table_lines(client: Client) -> list[TableLine]:
    """The figures of all named tables. One that is deleted meanwhile is left out."""
    lines = []
    names = client.call("ETS.ALL")
    assert isinstance(names, list), "ETS.ALL answers an array"
    for name in map(text, names):
        told = client.call("ETS.INFO", name)
        if isinstance(told, list):
            item = dict(zip(map(text, told[::2]), told[1::2], strict=True))
            owner = item["owner"]
            lines.append(
                TableLine(
                    id=number(item["id"]),
                    name=name,
                    type=text(item["type"]),
                    size=number(item["size"]),
                    memory=number(item["memory"]),
                    owner="-" if owner is None else f"client:{owner}" if isinstance(owner, int) else text(owner),
                )
            )
    return lines


def text(reply: Reply) -> str:
    """A string, bulk or simple."""
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)


def number(reply: Reply) -> int:
    assert isinstance(reply, int), reply
    return reply


def tables(options: argparse.Namespace) -> int:
    """Print the tables of a server."""
    with Client(options.url) as client:
        print(listing(ordered(table_lines(client), options.sort)))
    return 0


def top_arguments(parser: argparse.ArgumentParser) -> None:
    tables_arguments(parser)
    parser.add_argument("-i", "--interval", type=float, default=1.0, help="seconds between two looks (%(default)s)")
    parser.add_argument("-n", "--count", type=int, default=0, help="how many looks; without it, until ^C")
    parser.add_argument("--once", action="store_const", const=1, dest="count", help="the same as -n 1")


def head_line(client: Client, url: str, lines: Sequence[TableLine]) -> str:
    """The server in one line."""
    told = dict(line.split(":", 1) for line in text(client.call("INFO")).splitlines() if ":" in line)
    where = url.rpartition("@")[2].removeprefix("redis://")
    rows, memory = sum(line.size for line in lines), sum(line.memory for line in lines)
    return (
        f"{where}  up {told['uptime_in_seconds']} s, {told['connected_clients']} clients, "
        f"{told['instantaneous_ops_per_sec']} commands/s; {len(lines)} tables, {rows} rows, {in_bytes(memory)}"
    )


def top(options: argparse.Namespace) -> int:
    """Print the tables of a server again and again."""
    clear = "\x1b[H\x1b[2J" if sys.stdout.isatty() else ""
    looks = 0
    with Client(options.url) as client, contextlib.suppress(KeyboardInterrupt):
        while True:
            lines = ordered(table_lines(client), options.sort)
            print(clear + head_line(client, options.url, lines) + "\n\n" + listing(lines), flush=True)
            looks += 1
            if looks == options.count:
                break
            time.sleep(max(options.interval, 0.01))
            if not clear:
                print()
    return 0


VERBS = (
    Verb("version", "print the version", version),
    Verb("info", "print the statistics of a running server", info, info_arguments),
    Verb("tables", "print the tables of a running server", tables, tables_arguments),
    Verb("top", "watch the tables of a running server", top, top_arguments),
)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(
        prog="tsunami", description="Ask a running Tsunami server. To start one: tsunami-server."
    )
    verbs = whole.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in VERBS:
        part = verbs.add_parser(verb.name, help=verb.help, description=verb.help.capitalize() + ".")
        verb.arguments(part)
        part.set_defaults(run=verb.run)
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `tsunami` command; 0 if all went well, 1 if the server could not be reached or said no, 2 for misuse."""
    options = parser().parse_args(argv)
    try:
        return int(options.run(options))
    except BrokenPipeError:  # the reader of our output has had enough
        return 0
    except (OSError, ReplyError, ValueError) as error:
        print(f"tsunami: {getattr(options, 'url', '')}: {error}".replace(" : ", " "), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
