"""Bits of values: single ones, counts and searches, operations on whole values, integers of any width. Bit 0 is the
highest bit of the first byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tsunami_server.arguments import SYNTAX, int64, integer
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.commands.strings import clamp_range
from tsunami_server.keyspace import View, atomically
from tsunami_server.session import Session
from tsunami_server.values import Step

BAD_OFFSET = "ERR bit offset is not an integer or out of range"
BAD_BIT = "ERR bit is not an integer or out of range"
BAD_TYPE = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."


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

    def step(view: View) -> tuple[int, bool]:
        old = view.get(key) or b""
        at, mask = offset >> 3, 0x80 >> (offset & 7)
        value = bytearray(old.ljust(at + 1, b"\0"))
        value[at] = value[at] | mask if bit else value[at] & ~mask
        if value != old:
            view.put(key, bytes(value), view.deadline(key))
        return bit_of(old, offset), value != old

    bit_before, changed = atomically(session, step)
    if changed:
        session.notify("$", "setbit", key)
    return bit_before


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


def first_bit(value: bytes, span: range, bit: int) -> int:
    """Where the first such bit stands, or -1."""
    if not span:
        return -1
    first, last = span.start >> 3, (span.stop - 1) >> 3
    whole = b"\xff" if bit == 0 else b"\0"  # bytes in which there is none
    at = first
    while at <= last:
        if at not in (first, last):
            inner = value[at:last]
            skipped = len(inner) - len(inner.lstrip(whole))
            at += skipped
        byte = value[at] if bit else value[at] ^ 0xFF
        low = max(span.start - at * 8, 0)
        high = min(span.stop - at * 8, 8)
        byte &= (0xFF >> low) & ~(0xFF >> high)
        if byte:
            return at * 8 + 8 - byte.bit_length()
        at += 1
    return -1


@command(
    "BITPOS key bit:integer index=[start end_index=[end index_unit=[BYTE | BIT]]]", "readonly", group="bitmap",
    since="2.8.7", keys="1 RO access", summary="Where the first bit that is set, or clear, stands in a value.",
    complexity="O(N) in the length of the value",
)  # fmt: skip
def bitpos(session: Session, args: list[bytes]) -> Reply:
    bit = integer(args[1])
    if bit not in (0, 1):
        raise CommandError("ERR The bit argument must be 1 or 0.")
    if len(args) > 5:
        raise CommandError(SYNTAX)
    unit = args[4].upper() if len(args) == 5 else b"BYTE"
    start = integer(args[2]) if len(args) > 2 else 0
    if unit not in (b"BYTE", b"BIT"):
        raise CommandError(SYNTAX)
    end = integer(args[3]) if len(args) > 3 else -1
    value = View(session.table).get(args[0])
    if value is None:
        return -1 if bit else 0
    if unit == b"BYTE":
        part = clamp_range(start, end, len(value))
        span = range(part.start * 8, part.stop * 8)
    else:
        span = clamp_range(start, end, len(value) * 8)
    found = first_bit(value, span, bit)
    if found < 0 and bit == 0 and len(args) < 4 and span:
        return span.stop  # behind the end there are zeros without end
    return found


OPERATIONS = (b"AND", b"OR", b"XOR", b"NOT")


@command(
    "BITOP operation destkey:key key ...", "write denyoom", group="bitmap", since="2.6.0",
    keys=("2 OW update", "3..-1 RO access"), complexity="O(N) in the length of the longest value",
    summary="Store what a bitwise operation makes of several values, the shorter ones filled with zeros.",
)  # fmt: skip
def bitop(session: Session, args: list[bytes]) -> Reply:
    name, target, *sources = args
    operation = name.upper()
    if operation not in OPERATIONS:
        raise CommandError(SYNTAX)
    if operation == b"NOT" and len(sources) != 1:
        raise CommandError("ERR BITOP NOT must be called with a single source key.")
    with Step(session, target, *sources) as step:
        values = [step.get(key) or b"" for key in sources]
        result = combined(operation, values)
        there = step.exists(target)
        if result:
            step.put(target, result)
        elif there:
            step.erase(target)
    session.notify_stored("$", "set", target, len(result), there)
    return len(result)


def combined(operation: bytes, values: list[bytes]) -> bytes:
    size = max(map(len, values))
    numbers = [int.from_bytes(value.ljust(size, b"\0"), "big") for value in values]
    total = numbers[0]
    for number in numbers[1:]:
        if operation == b"AND":
            total &= number
        elif operation == b"OR":
            total |= number
        else:
            total ^= number
    if operation == b"NOT":
        total ^= (1 << 8 * size) - 1
    return total.to_bytes(size, "big")


# ---- integers of any width


@dataclass(frozen=True, slots=True)
class Field:
    """An integer of so many bits, from a bit on."""

    signed: bool
    bits: int
    offset: int

    @property
    def least(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def most(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    def read(self, value: bytes | bytearray) -> int:
        first, last = self.offset >> 3, (self.offset + self.bits - 1) >> 3
        part = int.from_bytes(value[first : last + 1].ljust(last - first + 1, b"\0"), "big")
        part >>= 7 - ((self.offset + self.bits - 1) & 7)
        return self.wrapped(part)

    def write(self, value: bytearray, number: int) -> None:
        first, last = self.offset >> 3, (self.offset + self.bits - 1) >> 3
        value.extend(bytes(max(last + 1 - len(value), 0)))
        shift = 7 - ((self.offset + self.bits - 1) & 7)
        mask = ((1 << self.bits) - 1) << shift
        part = int.from_bytes(value[first : last + 1], "big")
        part = part & ~mask | (number << shift) & mask
        value[first : last + 1] = part.to_bytes(last - first + 1, "big")

    def wrapped(self, number: int) -> int:
        number &= (1 << self.bits) - 1
        return number - (1 << self.bits) if self.signed and number > self.most else number

    def fitted(self, number: int, overflow: bytes) -> int | None:
        """The number as the field can hold it; None: it cannot, and is not to be made to."""
        if self.least <= number <= self.most:
            return number
        if overflow == b"FAIL":
            return None
        return self.wrapped(number) if overflow == b"WRAP" else max(self.least, min(number, self.most))


@dataclass(frozen=True, slots=True)
class Operation:
    name: bytes  # GET SET INCRBY
    field: Field
    number: int = 0
    overflow: bytes = b"WRAP"


def field_of(session: Session, kind: bytes, where: bytes) -> Field:
    signed = kind[:1] == b"i"
    bits = int64(kind[1:])
    if kind[:1] not in (b"i", b"u") or bits is None or not 1 <= bits <= 63 + signed:
        raise CommandError(BAD_TYPE)
    scale = bits if where[:1] == b"#" else 1
    offset = int64(where.removeprefix(b"#"))
    if offset is None or offset < 0 or (offset * scale + bits - 1) >> 3 >= session.setting("proto-max-bulk-len"):
        raise CommandError(BAD_OFFSET)
    return Field(signed, bits, offset * scale)


def operations_of(session: Session, words: list[bytes]) -> Iterator[Operation]:
    overflow = b"WRAP"
    at = 0
    while at < len(words):
        name, left = words[at].upper(), len(words) - at - 1
        if name == b"GET" and left >= 2:
            yield Operation(name, field_of(session, words[at + 1], words[at + 2]))
            at += 3
        elif name in (b"SET", b"INCRBY") and left >= 3:
            field = field_of(session, words[at + 1], words[at + 2])
            yield Operation(name, field, integer(words[at + 3]), overflow)
            at += 4
        elif name == b"OVERFLOW" and left >= 1:
            overflow = words[at + 1].upper()
            if overflow not in (b"WRAP", b"SAT", b"FAIL"):
                raise CommandError("ERR Invalid OVERFLOW type specified")
            at += 2
        else:
            raise CommandError(SYNTAX)


def bitfield_flags(argv: list[bytes]) -> tuple[str, ...]:
    """Does this call write? Every word that is no GET and no part of one says so."""
    at = 2
    while at < len(argv):
        if argv[at].upper() != b"GET":
            return ("RW", "access", "update")
        at += 3
    return ("RO", "access")


@command(
    "BITFIELD key operation=[GET encoding_offset=(encoding offset) | "
    "write=([OVERFLOW wrap_sat_fail=(WRAP | SAT | FAIL)] write_operation=(SET encoding_offset_value=(encoding offset "
    "value:integer) | INCRBY encoding_offset_increment=(encoding offset increment:integer)))] ...",
    "write denyoom", group="bitmap", since="3.2.0", keys="1 RW access update variable_flags",
    key_flags=bitfield_flags, summary="Read, set and increment integers of any width within a value.",
    complexity="O(1) for each operation",
)  # fmt: skip
def bitfield(session: Session, args: list[bytes]) -> Reply:
    return fields_worked(session, args[0], list(operations_of(session, args[1:])))


@command(
    "BITFIELD_RO key [GET encoding_offset=(encoding offset)] ...", "readonly fast", group="bitmap",
    since="6.0.0", keys="1 RO access", summary="Read integers of any width within a value.",
    complexity="O(1) for each operation",
)  # fmt: skip
def bitfield_ro(session: Session, args: list[bytes]) -> Reply:
    operations = list(operations_of(session, args[1:]))
    if any(operation.name != b"GET" for operation in operations):
        raise CommandError("ERR BITFIELD_RO only supports the GET subcommand")
    return fields_worked(session, args[0], operations)


def fields_worked(session: Session, key: bytes, operations: list[Operation]) -> Reply:
    writes = [operation.field for operation in operations if operation.name != b"GET"]
    replies: list[int | None] = []
    if not writes:
        old = View(session.table).get(key) or b""
        return [operation.field.read(old) for operation in operations]
    changed = False
    with Step(session, key) as step:
        value = bytearray(step.get(key) or b"")
        value.extend(bytes(max(max((f.offset + f.bits + 7) >> 3 for f in writes) - len(value), 0)))
        for operation in operations:
            field = operation.field
            old_number = field.read(value)
            if operation.name == b"GET":
                replies.append(old_number)
                continue
            target = operation.number + (old_number if operation.name == b"INCRBY" else 0)
            new = field.fitted(target, operation.overflow)
            if new is None:
                replies.append(None)
                continue
            field.write(value, new)
            changed = True
            replies.append(new if operation.name == b"INCRBY" else old_number)
        if changed or len(value) > len(step.get(key) or b""):
            step.put(key, bytes(value), step.deadline(key))
    if changed:
        session.notify("$", "setbit", key)
    return replies
