"""What scripts need of Python besides commands: pure functions of numbers and bytes.

What it is: the functions behind the libraries bit, struct and cmsgpack, the spelling of numbers, and one change to
compiled scripts.

What must stay true:

1. None of them raises for what a script can pass: an exception would be seen by Lua as an object.
2. None of them keeps what it was given.
"""

import struct
from typing import Final

from tsunami import _wire

EXACT: Final = 1 << 52  # as far as Redis writes a number of Lua's as an integer
SHIFT: Final = 6755399441055744.0  # 2**52 + 2**51: added to a float, brings its integer part to the low bits
OP_CALL: Final = 28
OP_TAILCALL: Final = 29


def spell(number: float, argument: bool = False) -> bytes:
    """A number as Redis writes it: an integer without a point, anything else as short as it can be."""
    if argument and number == number and abs(number) <= EXACT and int(number) == number:
        return b"%d" % number
    return _wire.encode(float(number), 3)[1:-2]


# ---- bit


def to_bit(number: float) -> int:
    """The number modulo 2**32, unsigned; rounded to even, and what is too large as LuaBitOp has it."""
    return int(struct.unpack("<I", struct.pack("<d", float(number) + SHIFT)[:4])[0])


def signed(bits: int) -> int:
    bits &= 0xFFFFFFFF
    return bits - (1 << 32) if bits >> 31 else bits


def number_of(value: object) -> float:
    """An argument as Lua would convert it."""
    if isinstance(value, int | float):
        return value
    try:
        text = bytes(value).strip().lower()  # type: ignore[call-overload]
        return float(int(text, 16)) if b"0x" in text[:3] else float(text)
    except (TypeError, ValueError):
        return 0


def bit(name: bytes, *values: object) -> int | bytes:
    first, *rest = [to_bit(number_of(value)) for value in values]
    match name:
        case b"tobit":
            return signed(first)
        case b"bnot":
            return signed(~first)
        case b"bswap":
            return signed(int.from_bytes(first.to_bytes(4, "little"), "big"))
        case b"tohex":
            return to_hex(first, signed(rest[0]) if rest else 8)
        case b"band" | b"bor" | b"bxor":
            for other in rest:
                first = first & other if name == b"band" else first | other if name == b"bor" else first ^ other
            return signed(first)
    by = rest[0] & 31
    match name:
        case b"lshift":
            return signed(first << by)
        case b"rshift":
            return signed(first >> by)
        case b"arshift":
            return signed(signed(first) >> by)
        case b"rol":
            return signed(first << by | first >> (32 - by))
        case _:  # ror
            return signed(first >> by | first << (32 - by))


def to_hex(bits: int, digits: int) -> bytes:
    """The lowest `digits` digits, in capitals if that is negative."""
    text = b"%08X" % bits if digits < 0 else b"%08x" % bits
    count = min(abs(digits), 8)
    return text[8 - count :]


# ---- floating point numbers as bytes


def pack_number(number: float, size: int, big: bool) -> bytes:
    order = ">" if big else "<"
    try:
        return struct.pack(order + ("f" if size == 4 else "d"), number)
    except OverflowError:
        return struct.pack(order + "f", float("inf") if number > 0 else float("-inf"))


def unpack_number(data: bytes, big: bool) -> float:
    return float(struct.unpack((">" if big else "<") + ("f" if len(data) == 4 else "d"), data)[0])


def pack_float(number: float) -> bytes:
    """MessagePack: as float if that loses nothing, else as double."""
    try:
        short = struct.pack(">f", number)
        if struct.unpack(">f", short)[0] == number:
            return b"\xca" + short
    except OverflowError:
        pass
    return b"\xcb" + struct.pack(">d", number)


def unpack_float(data: bytes) -> float:
    return unpack_number(data, True)


# ---- compiled scripts


def untail(code: bytes) -> bytes:
    """Make the tail calls of a script's main function ordinary ones, in the form that string.dump gives.

    `return redis.call(...)` would otherwise leave no trace of the line that an error is to name. A tail call and a call
    whose results are all returned differ in nothing else, and the main function cannot call itself: no stack grows.
    """
    size_of_size = code[8]
    at = 12
    at += size_of_size + int.from_bytes(code[at : at + size_of_size], "little") + 12
    count = int.from_bytes(code[at : at + 4], "little")
    changed = bytearray(code)
    for place in range(at + 4, at + 4 + 4 * count, 4):
        if changed[place] & 0x3F == OP_TAILCALL:
            changed[place] = changed[place] & 0xC0 | OP_CALL
    return bytes(changed)
