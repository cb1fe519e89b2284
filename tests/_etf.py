"""Erlang's external term format in plain Python, a client of `ets-call-contract.md`, and a real Erlang to ask.

What it is: an encoder, a decoder and a client that share no code with the engine, only its classes for what Python has
no type for (Atom, Pid, ...). Text goes out as a binary, and binaries come in as bytes.

What it is not: fast, or safe: it recurses, and believes what it reads. Deep and malformed terms are made byte by byte
in the tests that want them.
"""

import math
import socket
import struct
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

from _server import request
from _support import peer

from tsunami import Atom, Bits, Fun, ImproperList, Pid, Port, Reference

VERSION: Final = b"\x83"
ATOM_OF: Final = {True: "true", False: "false", None: "nil"}

# ---- writing


def encode(term: Any) -> bytes:
    """A term with its leading 131."""
    return VERSION + etf(term)


def etf_atom(name: str) -> bytes:
    text = name.encode()
    return struct.pack(">BB", 119, len(text)) + text if len(text) < 256 else struct.pack(">BH", 118, len(text)) + text


def etf_int(value: int) -> bytes:
    if 0 <= value < 256:
        return struct.pack(">BB", 97, value)
    if -(2**31) <= value < 2**31:
        return struct.pack(">Bi", 98, value)
    magnitude = abs(value).to_bytes((abs(value).bit_length() + 7) // 8, "little")
    if len(magnitude) < 256:
        return struct.pack(">BBB", 110, len(magnitude), value < 0) + magnitude
    return struct.pack(">BIB", 111, len(magnitude), value < 0) + magnitude


def etf_list(items: Sequence[Any], tail: bytes) -> bytes:
    return struct.pack(">BI", 108, len(items)) + b"".join(map(etf, items)) + tail if items else tail


def is_string(items: Sequence[Any]) -> bool:
    return 0 < len(items) < 65536 and all(type(item) is int and 0 <= item < 256 for item in items)


def etf_fun(fun: Fun) -> bytes:
    if fun.kind == "export":
        return b"\x71" + b"".join(map(etf, fun.fields))
    module, index, uniq, old_uniq, arity, pid, free, *old_index = fun.fields
    body = struct.pack(">B16sII", arity, uniq, index, len(free))  # type: ignore[arg-type]
    head = (module, *(old_index or [index]), old_uniq, pid)
    body += b"".join(map(etf, (*head, *free)))  # type: ignore[misc]
    return struct.pack(">BI", 112, len(body) + 4) + body


def etf(term: Any) -> bytes:
    """A term without its leading 131, as Erlang writes it (but for the order of a map's keys)."""
    match term:
        case None | bool():
            return etf_atom(ATOM_OF[term])
        case Atom():
            return etf_atom(term.name)
        case int():
            return etf_int(term)
        case float():
            return struct.pack(">Bd", 70, term)
        case str():
            return etf(term.encode())
        case bytes():
            return struct.pack(">BI", 109, len(term)) + term
        case Bits():
            return struct.pack(">BIB", 77, len(term.data), term.nbits % 8) + term.data
        case tuple():
            head = struct.pack(">BB", 104, len(term)) if len(term) < 256 else struct.pack(">BI", 105, len(term))
            return head + b"".join(map(etf, term))
        case list():
            if is_string(term):
                return struct.pack(">BH", 107, len(term)) + bytes(term)
            return etf_list(term, b"\x6a")
        case ImproperList():
            return etf_list(term.items, etf(term.tail))
        case dict():
            return struct.pack(">BI", 116, len(term)) + b"".join(etf(key) + etf(term[key]) for key in term)
        case Pid():
            return b"\x58" + etf(term.node) + struct.pack(">III", term.id, term.serial, term.creation)
        case Port():
            if term.id < 1 << 28:
                return b"\x59" + etf(term.node) + struct.pack(">II", term.id, term.creation)
            return b"\x78" + etf(term.node) + struct.pack(">QI", term.id, term.creation)
        case Reference():
            head = struct.pack(">BH", 90, len(term.words)) + etf(term.node)
            return head + struct.pack(f">I{len(term.words)}I", term.creation, *term.words)
        case Fun():
            return etf_fun(term)
    raise TypeError(type(term).__name__)


# ---- reading


def decode(data: bytes) -> Any:
    """A term with its leading 131: nothing may stand behind it."""
    assert data[:1] == VERSION, data[:16]
    term, at = _Reader(data).term(1)
    assert at == len(data), f"{len(data) - at} bytes behind the term"
    return term


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def unpack(self, form: str, at: int) -> tuple[Any, ...]:
        return (*struct.unpack_from(form, self.data, at), at + struct.calcsize(form))

    def bytes(self, at: int, n: int) -> tuple[Any, int]:
        assert at + n <= len(self.data)
        return self.data[at : at + n], at + n

    def terms(self, at: int, n: int) -> tuple[list[Any], int]:
        found = []
        for _ in range(n):
            term, at = self.term(at)
            found.append(term)
        return found, at

    def big(self, at: int, n: int) -> tuple[Any, int]:
        value = int.from_bytes(self.data[at + 1 : at + 1 + n], "little")
        return -value if self.data[at] else value, at + 1 + n

    def list(self, at: int, n: int) -> tuple[Any, int]:
        items, at = self.terms(at, n)
        tail, at = self.term(at)
        if isinstance(tail, list):
            return items + tail, at
        return ImproperList(items, tail), at

    def map(self, at: int, n: int) -> tuple[Any, int]:
        flat, at = self.terms(at, 2 * n)
        made = dict(zip(flat[::2], flat[1::2], strict=True))
        assert len(made) == n, "two keys of a map are one"
        return made, at

    def fun(self, at: int) -> tuple[Any, int]:
        start = at
        size, arity, uniq, index, n, at = self.unpack(">IB16sII", at)
        (module, old_index, old_uniq, pid), at = self.terms(at, 4)
        free, at = self.terms(at, n)
        assert at == start + size
        return Fun("local", module, index, uniq, old_uniq, arity, pid, tuple(free), old_index), at

    def term(self, at: int) -> tuple[Any, int]:
        tag = self.data[at]
        at += 1
        match tag:
            case 97:
                return self.data[at], at + 1
            case 98:
                return self.unpack(">i", at)  # type: ignore[return-value]
            case 110:
                return self.big(at + 1, self.data[at])
            case 111:
                n, at = self.unpack(">I", at)
                return self.big(at, n)
            case 70:
                return self.unpack(">d", at)  # type: ignore[return-value]
            case 119 | 118:
                n, at = self.unpack(">B" if tag == 119 else ">H", at)
                text, at = self.bytes(at, n)
                return Atom(text.decode()), at
            case 104 | 105:
                n, at = self.unpack(">B" if tag == 104 else ">I", at)
                items, at = self.terms(at, n)
                return tuple(items), at
            case 106:
                return [], at
            case 107:
                n, at = self.unpack(">H", at)
                data, at = self.bytes(at, n)
                return list(data), at
            case 108:
                n, at = self.unpack(">I", at)
                return self.list(at, n)
            case 109:
                n, at = self.unpack(">I", at)
                return self.bytes(at, n)
            case 77:
                n, bits, at = self.unpack(">IB", at)
                data, at = self.bytes(at, n)
                return (data if bits == 8 else Bits(data, 8 * n - 8 + bits)), at
            case 116:
                n, at = self.unpack(">I", at)
                return self.map(at, n)
            case 88:
                node, at = self.term(at)
                *numbers, at = self.unpack(">III", at)
                return Pid(node, *numbers), at
            case 120 | 89:
                node, at = self.term(at)
                number, creation, at = self.unpack(">QI" if tag == 120 else ">II", at)
                return Port(node, number, creation), at
            case 90:
                n, at = self.unpack(">H", at)
                node, at = self.term(at)
                creation, *words, at = self.unpack(f">I{n}I", at)
                return Reference(node, creation, tuple(words)), at
            case 113:
                fields, at = self.terms(at, 3)
                return Fun("export", *fields), at
            case 112:
                return self.fun(at)
        raise AssertionError(f"tag {tag} at {at - 1}")


# ---- what Erlang does not have


def in_erlang(term: Any) -> bool:
    """Can Erlang have it? It has no infinities."""
    match term:
        case float():
            return math.isfinite(term)
        case tuple() | list():
            return all(map(in_erlang, term))
        case ImproperList():
            return in_erlang(term.items) and in_erlang(term.tail)
        case dict():
            return all(in_erlang(pair) for pair in term.items())
        case Fun():
            return in_erlang(term.fields)
    return True


# ---- a real Erlang

# Frames of 4 bytes of length both ways. The program's function gets a binary and answers iodata.
LOOP: Final = """
    Port = open_port({{fd, 0, 1}}, [binary, {{packet, 4}}, eof]),
    Answer = {function},
    Loop = fun Loop() ->
        receive
            {{Port, {{data, Data}}}} -> port_command(Port, Answer(Data)), Loop();
            {{Port, eof}} -> halt()
        end
    end,
    Loop().
"""


class Erlang:
    """An emulator that answers frames by a function, given as Erlang text."""

    def __init__(self, function: str) -> None:
        arguments = [peer("erl"), "-noinput", "-boot", "no_dot_erlang", "-eval", LOOP.format(function=function)]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, data: bytes) -> bytes:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(struct.pack(">I", len(data)) + data)
        self.process.stdin.flush()
        size = self.process.stdout.read(4)
        assert len(size) == 4, "the emulator has ended"
        return self.process.stdout.read(*struct.unpack(">I", size))

    def close(self) -> None:
        self.process.communicate(timeout=20)


# ---- a client of the contract


class CallError(Exception):
    """An error reply: its class, and its cause or ""."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.kind, _, self.cause = line.partition(" ")


class Caller:
    """One connection that says hello and calls functions. Terms are as above."""

    def __init__(self, address: tuple[str, int], identity: Any = None, *, timeout: float = 20.0) -> None:
        self.sock = socket.create_connection(address, timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        self.pushes: list[Any] = []
        self.identity = identity
        if identity is not None:
            assert self.request(b"ETS.HELLO", encode(identity)) == "OK"

    def __enter__(self) -> "Caller":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        self.sock.close()

    def send(self, *words: bytes) -> None:
        self.sock.sendall(request(*words))

    def reply(self) -> Any:
        """The next reply: str for a line, bytes for a bulk; errors are raised, pushes are kept."""
        while True:
            line = self.file.readline()
            if not line.endswith(b"\r\n"):
                raise EOFError("the server closed the connection")
            mark, rest = line[:1], line[1:-2]
            if mark == b">":
                self.push(int(rest))
            elif mark == b"+":
                return rest.decode()
            elif mark == b"$":
                return self.file.read(int(rest) + 2)[:-2]
            elif mark == b"-":
                raise CallError(rest.decode())
            else:
                raise AssertionError(line)

    def push(self, n: int) -> None:
        parts = []
        for _ in range(n):
            line = self.file.readline()
            assert line[:1] == b"$", line
            parts.append(self.file.read(int(line[1:-2]) + 2)[:-2])
        assert n == 2 and parts[0] == b"ETS-TRANSFER", parts
        self.pushes.append(decode(parts[1]))

    def request(self, *words: bytes) -> Any:
        self.send(*words)
        return self.reply()

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the contract; CallError if it fails."""
        return decode(self.call_raw(function, encode(list(arguments))))

    def call_raw(self, function: str, arguments: bytes) -> bytes:
        answer = self.request(b"ETS.CALL", function.encode(), arguments)
        assert isinstance(answer, bytes)
        return answer

    def received(self) -> list[Any]:
        """The transfers that have come by now: whatever was sent before a PING is answered is there."""
        assert self.request(b"PING") == "PONG"
        found, self.pushes = self.pushes, []
        return found
