"""Bits of values: SETBIT, GETBIT, BITCOUNT. Bit 0 is the highest bit of the first byte."""

from tsunami_server.arguments import SYNTAX, int64, integer
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.commands.strings import clamp_range
from tsunami_server.keyspace import View, atomically
from tsunami_server.session import Session

BAD_OFFSET = "ERR bit offset is not an integer or out of range"
BAD_BIT = "ERR bit is not an integer or out of range"


def bit_offset(session: Session, data: bytes) -> int:
    offset = int64(data)
    if offset is None or offset < 0 or offset >> 3 >= session.setting("proto-max-bulk-len"):
        raise CommandError(BAD_OFFSET)
    return offset


def bit_of(value: bytes, offset: int) -> int:
    at = offset >> 3
    return value[at] >> (7 - (offset & 7)) & 1 if at < len(value) else 0


@command(
    "SETBIT key offset value:integer", "write denyoom", group="bitmap", since="2.2.0", keys="1 RW access update",
    summary="Set one bit of a value, which grows as needed, and tell what it was.",
)  # fmt: skip
def setbit(session: Session, args: list[bytes]) -> Reply:
    key = args[0]
    offset = bit_offset(session, args[1])
    bit = int64(args[2])
    if bit not in (0, 1):
        raise CommandError(BAD_BIT)

    def step(view: View) -> int:
        old = view.get(key) or b""
        at, mask = offset >> 3, 0x80 >> (offset & 7)
        value = bytearray(old.ljust(at + 1, b"\0"))
        value[at] = value[at] | mask if bit else value[at] & ~mask
        view.put(key, bytes(value), view.deadline(key))
        return bit_of(old, offset)

    old = atomically(session.table, step)
    session.notify("$", "setbit", key)
    return old


@command(
    "GETBIT key offset", "readonly fast", group="bitmap", since="2.2.0", keys="1 RO access",
    summary="One bit of a value; 0 behind its end.",
)  # fmt: skip
def getbit(session: Session, args: list[bytes]) -> Reply:
    offset = bit_offset(session, args[1])
    return bit_of(View(session.table).get(args[0]) or b"", offset)


@command(
    "BITCOUNT key index=[start end index_unit=[BYTE | BIT]]",
    "readonly",
    group="bitmap",
    since="2.6.0",
    keys="1 RO access",
    summary="How many bits are set in a value, or in a part of it.",
    complexity="O(N) in the length of the value",
)
def bitcount(session: Session, args: list[bytes]) -> Reply:
    value = View(session.table).get(args[0])
    if value is None:
        return 0  # before the other arguments are looked at, as in Redis
    if len(args) == 1:
        return int.from_bytes(value, "big").bit_count()
    if len(args) not in (3, 4):
        raise CommandError(SYNTAX)
    start, end = integer(args[1]), integer(args[2])
    if end < start < 0:
        return 0  # before the unit is looked at, as in Redis
    unit = args[3].upper() if len(args) == 4 else b"BYTE"
    if unit not in (b"BYTE", b"BIT"):
        raise CommandError(SYNTAX)
    if unit == b"BYTE":
        span = clamp_range(start, end, len(value))
        return int.from_bytes(value[span.start : span.stop], "big").bit_count()
    return count_bits(value, clamp_range(start, end, len(value) * 8))


def count_bits(value: bytes, span: range) -> int:
    if not span:
        return 0
    first, last = span.start >> 3, (span.stop - 1) >> 3
    bits = int.from_bytes(value[first : last + 1], "big")
    bits >>= 7 - ((span.stop - 1) & 7)
    return (bits & ((1 << len(span)) - 1)).bit_count()
