"""DUMP and RESTORE: a key's value as bytes, and back. The form is drawn in docs/formats.md.

    payload   form, 1 byte | sections | version, 2 bytes: 1 | CRC, 4 bytes
    section   length, 8 bytes | rows, each as in a table's file

A small value is one row (0, value). A large one is (0, type, meta) and the rows of its table; of a hash with fields
that expire also (deadline, field), and of a sorted set the members with their scores: its order follows from them.

What it is not: Redis's own form. What Redis dumped is refused here, and the other way round.

What must stay true: nothing in a payload is believed. The checksum finds what was damaged; whoever makes a payload with
a right one gets `Bad data format`, or a value that he could have made by commands.
"""

import struct
import zlib
from collections.abc import Callable, Iterator

from tsunami import Row, Table, TsunamiError, _core
from tsunami._core import Collection
from tsunami._wire import OK
from tsunami_server.arguments import SYNTAX, integer
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.keyspace import text_of
from tsunami_server.session import Session
from tsunami_server.values import KINDS, Hash, List, Set, Step, Value, ZSet, kind_of, opened
from tsunami_server.values.hash import deadlines

VERSION = 1
SMALL, LARGE = 0, 1
_LENGTH = struct.Struct(">Q")
_FOOTER = struct.Struct(">HI")
BLOCK = 1 << 20

BUSY = "BUSYKEY Target key name already exists."
WRONG_PAYLOAD = "ERR DUMP payload version or checksum are wrong"
BAD_DATA = "ERR Bad data format"


# ---- value -> payload


def section(rows: Table) -> bytes:
    data = b"".join([block for block, _ in _core.Blocks(rows, BLOCK)])
    return _LENGTH.pack(len(data)) + data


def section_of(*rows: Row) -> bytes:
    table = Table(type="ordered_set")
    table.insert(list(rows))
    return section(table)


def dumped(row: Row) -> bytes:
    """The payload of a key's row. BadType for a reference term that is no Collection."""
    value = row[1] if len(row) == 2 else None
    if type(value) is Collection:
        data = bytes([LARGE]) + section_of((0, value.kind, value.meta)) + section(value.rows)
        data += section_of(*deadlines(value)) if value.kind == Hash.kind else b""
    else:
        data = bytes([SMALL]) + section_of((0, *row[1:]))
    data += VERSION.to_bytes(2, "big")
    return data + zlib.crc32(data).to_bytes(4, "big")


# ---- payload -> value


def sections(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        if len(data) - at < _LENGTH.size:
            raise CommandError(BAD_DATA)
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if size > len(data) - at:
            raise CommandError(BAD_DATA)
        yield data[at : at + size]
        at += size


def loaded(block: bytes) -> Table:
    """The rows of a section, in the order of their keys."""
    table = Table("ordered_set")
    _core.load_block(table, block)
    return table


def checked(payload: bytes) -> bytes:
    """What stands before the footer, if the footer is right."""
    if len(payload) < _FOOTER.size + 1:
        raise CommandError(WRONG_PAYLOAD)
    version, crc = _FOOTER.unpack_from(payload, len(payload) - _FOOTER.size)
    if version > VERSION or zlib.crc32(payload[:-4]) != crc:
        raise CommandError(WRONG_PAYLOAD)
    return payload[: -_FOOTER.size]


def restored(payload: bytes, now_ms: int) -> Value | Row:
    """The value, or for one that is no Value the rest of its row."""
    data = checked(payload)
    try:
        parts = list(sections(data[1:]))
        [head] = loaded(parts[0]).tab2list()
        if data[0] == SMALL and len(parts) == 1:
            return small_value(head)
        if data[0] == LARGE:
            _, kind, meta = head
            return large_value(kind, meta, parts[1:], now_ms)
    except (CommandError, TsunamiError, ValueError, TypeError, LookupError, AttributeError, OverflowError):
        pass  # whatever it is, it is no value
    raise CommandError(BAD_DATA)


def small_value(head: Row) -> Value | Row:
    kind = kind_of(head)
    if kind not in KINDS:
        return head[1:]
    value = opened(head)
    if value.vanishes:
        raise CommandError(BAD_DATA)
    return value


def large_value(kind: object, meta: object, parts: list[bytes], now_ms: int) -> Value:
    rows = loaded(parts[0])
    if kind in MAKERS and isinstance(kind, str):
        value = MAKERS[kind](rows)
        for deadline, field in [] if kind != Hash.kind else loaded(parts[1]).tab2list():
            set_deadline(value, field, deadline, now_ms)
    else:
        value = KINDS[str(kind)].open(Collection(str(kind), rows, None, meta))
    if value.vanishes and kind != Hash.kind:
        raise CommandError(BAD_DATA)
    return value


def hash_of(rows: Table) -> Hash:
    value = Hash()
    value.enlarge()
    for name, text in rows:
        value.set(text_of(name), text_of(text))
    return value


def set_deadline(value: Value, field: object, deadline: object, now_ms: int) -> None:
    assert isinstance(value, Hash)
    name = text_of(field)
    if type(deadline) is not int or name not in value:
        raise CommandError(BAD_DATA)
    if deadline <= now_ms:
        value.remove(name)
    else:
        value.expire(name, deadline)


def set_of(rows: Table) -> Set:
    value = Set()
    value.enlarge()
    for (member,) in rows:
        value.add(text_of(member))
    return value


def zset_of(rows: Table) -> ZSet:
    value = ZSet()
    value.enlarge()
    for member, score in rows:
        if type(score) not in (float, int) or score != score:
            raise CommandError(BAD_DATA)
        value.set(text_of(member), float(score))  # type: ignore[arg-type]
    return value


def list_of(rows: Table) -> List:
    value = List()
    value.enlarge()
    value.push([text_of(element) for _, element in rows], left=False)
    return value


MAKERS: dict[str, Callable[[Table], Value]] = {"hash": hash_of, "set": set_of, "zset": zset_of, "list": list_of}


# ---- the commands


@command(
    "DUMP key", "readonly", group="generic", since="2.6.0", keys="1 RO access", tips="nondeterministic_output",
    summary="A key's value in Tsunami's own form, for RESTORE; null if there is no such key.",
    complexity="O(N) in the size of the value",
)  # fmt: skip
def dump(session: Session, args: list[bytes]) -> Reply:
    with Step(session, args[0]) as step:
        row, _ = step.entry(args[0])
        if row is None:
            return None
        try:
            return dumped(row)
        except TsunamiError as error:
            raise CommandError(f"ERR {error}") from None


class Options:
    def __init__(self, words: list[bytes]) -> None:
        self.replace = self.absolute = False
        self.idle_s: int | None = None
        self.uses: int | None = None
        at = 0
        while at < len(words):
            at += self._take(words[at].upper(), words[at + 1 : at + 2])

    def _take(self, word: bytes, following: list[bytes]) -> int:
        """Note one option; the number of words it took."""
        if word == b"REPLACE":
            self.replace = True
        elif word == b"ABSTTL":
            self.absolute = True
        elif word == b"IDLETIME" and following and self.uses is None:
            self.idle_s = integer(following[0])
            if self.idle_s < 0:
                raise CommandError("ERR Invalid IDLETIME value, must be >= 0")
            return 2
        elif word == b"FREQ" and following and self.idle_s is None:
            self.uses = integer(following[0])
            if not 0 <= self.uses <= 255:
                raise CommandError("ERR Invalid FREQ value, must be >= 0 and <= 255")
            return 2
        else:
            raise CommandError(SYNTAX)
        return 1


@command(
    "RESTORE key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency:integer]",
    "write denyoom", group="generic", since="2.6.0", keys="1 OW update", acl="keyspace dangerous",
    summary="Make a key of what DUMP gave.", complexity="O(N) in the size of the value",
)  # fmt: skip
def restore(session: Session, args: list[bytes]) -> Reply:
    key, word, payload, *words = args
    options = Options(words)
    now_ms = session.app.now_ms()
    with Step(session, key) as step:
        existed = step.exists(key)
        if existed and not options.replace:
            raise CommandError(BUSY)
        ttl = integer(word)
        if ttl < 0:
            raise CommandError("ERR Invalid TTL value, must be >= 0")
        value = restored(payload, now_ms)
        deadline = (ttl if options.absolute else ttl + now_ms) if ttl else None
        late = (deadline is not None and deadline <= now_ms) or (isinstance(value, Value) and value.vanishes)
        if existed:
            step.forget(key)
        if late:
            pass  # all the same as if it had come and gone
        elif isinstance(value, Value):
            step.place(key, value, deadline)
        else:
            step.put_row((key, *value), deadline)
    if late:
        if existed:
            session.notify("g", "del", key)
        return OK
    if words:
        _core.use_set(session.table, key, options.idle_s, options.uses)
    session.app.shared.timed.note(session.conn.db, key, value)
    session.notify("g", "restore", key)
    return OK
