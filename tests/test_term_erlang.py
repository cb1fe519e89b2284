"""Term order and =:= beside a real Erlang, over a pipe.

The terms go over in the external term format, written by a small encoder of this file's own; Erlang answers for each
pair how the two compare and whether they are =:=. What Erlang says here must be what `order_key` and `exact_equal` say.

Left out: extension types, infinities (Erlang has neither), and for =:= zeros that are floats: before OTP 27 Erlang took
0.0 and -0.0 for the same.
"""

import math
import shutil
import struct
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import erlang_terms, pairs

from tsunami import Atom, Bits, Fun, ImproperList, Pid, Port, Reference, _core

# Reads frames of 4 bytes of length and a list of binaries, each a pair; answers two bytes for each: the order + 1 (9:
# it cannot be read), and =:=.
PROGRAM: Final = """
    Port = open_port({fd, 0, 1}, [binary, {packet, 4}, eof]),
    Judge = fun(Data) ->
        try binary_to_term(Data) of
            {A, B} ->
                Order = if A == B -> 1; A < B -> 0; true -> 2 end,
                Exact = if A =:= B -> 1; true -> 0 end,
                <<Order, Exact>>
        catch
            _:_ -> <<9, 0>>
        end
    end,
    Loop = fun Loop() ->
        receive
            {Port, {data, Data}} ->
                port_command(Port, [Judge(Pair) || Pair <- binary_to_term(Data)]),
                Loop();
            {Port, eof} -> halt()
        end
    end,
    Loop().
"""


# ---- the external term format


def etf_atom(name: str) -> bytes:
    text = name.encode()
    return struct.pack(">BH", 118, len(text)) + text


def etf_int(value: int) -> bytes:
    if 0 <= value < 256:
        return struct.pack(">BB", 97, value)
    if -(2**31) <= value < 2**31:
        return struct.pack(">Bi", 98, value)
    magnitude = abs(value).to_bytes((abs(value).bit_length() + 7) // 8, "little")
    return struct.pack(">BIB", 111, len(magnitude), value < 0) + magnitude


def etf_list(items: Any, tail: bytes) -> bytes:
    return struct.pack(">BI", 108, len(items)) + b"".join(map(etf, items)) + tail if items else tail


def etf_fun(fun: Fun) -> bytes:
    if fun.kind == "export":
        return b"\x71" + b"".join(map(etf, fun.fields))
    module, index, uniq, old_uniq, arity, pid, free = fun.fields
    body = struct.pack(">B16sII", arity, uniq, index, len(free))  # type: ignore[arg-type]
    body += b"".join(map(etf, (module, index, old_uniq, pid, *free)))  # type: ignore[misc]
    return struct.pack(">BI", 112, len(body) + 4) + body


def etf(term: Any) -> bytes:
    match term:
        case None | bool():
            return etf_atom({True: "true", False: "false", None: "nil"}[term])
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
            return struct.pack(">BI", 105, len(term)) + b"".join(map(etf, term))
        case list():
            return etf_list(term, b"\x6a")
        case ImproperList():
            return etf_list(term.items, etf(term.tail))
        case dict():
            return struct.pack(">BI", 116, len(term)) + b"".join(etf(key) + etf(term[key]) for key in term)
        case Pid():
            return b"\x58" + etf(term.node) + struct.pack(">III", term.id, term.serial, term.creation)
        case Port():
            return b"\x78" + etf(term.node) + struct.pack(">QI", term.id, term.creation)
        case Reference():
            head = struct.pack(">BH", 90, len(term.words)) + etf(term.node)
            return head + struct.pack(f">I{len(term.words)}I", term.creation, *term.words)
        case Fun():
            return etf_fun(term)
    raise TypeError(type(term).__name__)


def finite(term: Any) -> bool:
    """Is there no infinity in it?"""
    match term:
        case float():
            return math.isfinite(term)
        case tuple() | list():
            return all(map(finite, term))
        case ImproperList():
            return finite(term.items) and finite(term.tail)
        case dict():
            return all(finite(pair) for pair in term.items())
        case Fun():
            return finite(term.fields)
    return True


def has_float_zero(term: Any) -> bool:
    match term:
        case float():
            return term == 0.0
        case tuple() | list():
            return any(map(has_float_zero, term))
        case ImproperList():
            return has_float_zero(term.items) or has_float_zero(term.tail)
        case dict():
            return any(has_float_zero(pair) for pair in term.items())
        case Fun():
            return has_float_zero(term.fields)
    return False


# ---- Erlang


class Erlang:
    """An emulator that compares terms."""

    def __init__(self, program: str) -> None:
        arguments = [program, "-noinput", "-boot", "no_dot_erlang", "-eval", PROGRAM]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def judge(self, batch: list[tuple[Any, Any]]) -> list[tuple[int, bool]]:
        """How the two of each pair compare (-1, 0, 1), and whether they are =:=."""
        assert self.process.stdin is not None and self.process.stdout is not None
        data = b"\x83" + etf([b"\x83" + etf(pair) for pair in batch])
        self.process.stdin.write(struct.pack(">I", len(data)) + data)
        self.process.stdin.flush()
        (size,) = struct.unpack(">I", self.process.stdout.read(4))
        answer = self.process.stdout.read(size)
        assert size == 2 * len(batch)
        for pair, order in zip(batch, answer[::2], strict=True):
            assert order != 9, f"Erlang cannot read {pair!r}"
        return [(answer[i] - 1, answer[i + 1] == 1) for i in range(0, size, 2)]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)


@pytest.fixture(scope="module")
def erlang() -> Iterator[Erlang]:
    program = shutil.which("erl")
    if program is None:
        pytest.fail("erl is not installed: this test has no meaning without it (tools/need peers)", pytrace=False)
    emulator = Erlang(program)
    yield emulator
    emulator.close()


def ours(a: Any, b: Any) -> int:
    x, y = _core.order_key(a), _core.order_key(b)
    return (x > y) - (x < y)


def check(erlang: Erlang, batch: list[tuple[Any, Any]]) -> None:
    for (a, b), (order, exact) in zip(batch, erlang.judge(batch), strict=True):
        assert (a, b, order) == (a, b, ours(a, b))
        if not (has_float_zero(a) or has_float_zero(b)):
            assert (a, b, exact) == (a, b, _core.exact_equal(a, b))


@given(batch=st.lists(pairs(erlang_terms).filter(finite), min_size=20, max_size=30))
def test_order_and_equality_are_erlangs(erlang: Erlang, batch: list[tuple[Any, Any]]) -> None:
    check(erlang, batch)


def test_order_of_hand_picked_neighbours_is_erlangs(erlang: Erlang) -> None:
    node = Atom("a@host")
    ladder: list[Any] = [
        *(-(2**2000), -(2**1023) - 1, -float(2**1023), -1.5, -1, -1.0, -5e-324, -0.0, 0, 5e-324, 1, 1.0),
        *(2**53, 2**53 + 1, 2.0**53, 2**62 - 1, 2**62, 2.0**62, 2**63 - 1, 2.0**63, 2**64, 2**1023, 2.0**1023, 2**2000),
        *(Atom(""), Atom("a"), Atom("b"), Atom("é"), Atom("語"), Atom("𝔸"), True, None),
        *(Reference(node, 1, (1, 2, 3)), Reference(node, 2, (0, 0, 0)), Reference(node, 1, (0, 0, 4))),
        *(Fun("export", node, node, 1), Fun("export", Atom("a"), node, 2)),
        *(Port(node, 1, 2), Port(node, 2, 1), Port(Atom("b@host"), 0, 0)),
        *(Pid(node, 1, 2, 3), Pid(node, 2, 1, 3), Pid(Atom("b@host"), 1, 2, 3), Pid(node, 1, 2, 4)),
        *((), (1,), (1.0,), (0, 0), ((),)),
        *({}, {1: 2}, {1.0: 1}, {1: 2.0}, {2: 1}, {0.5: 1}, {(1.0, 2): 1}, {(1, 3): 1}, {"a": 1, "b": 0}),
        *([], [1], [1.0], [1, 2], ImproperList([1], 2), ImproperList([1], Atom("z")), ImproperList([1], b""), [[]]),
        *(b"", b"\0", b"\0\0", Bits(b"\0", 1), Bits(b"\0", 7), b"\1", Bits(b"\x80", 1), b"\x80", b"\xff\0", b"\xff"),
    ]
    check(erlang, [(a, b) for a in ladder for b in ladder])
