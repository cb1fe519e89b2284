"""Tables in files: tab2file, file2tab, tabfile_info, and reading what Erlang's `ets:tab2file` wrote.

What it is: a copy of one table at rest, to be sent, kept or read again by this or another program. What it is not: a
log or a snapshot. As in ETS a table goes to its file by a walk while it is fixed: every row is whole, every row that
stays from beginning to end is in it exactly once, and others may write meanwhile.

The format (docs/formats.md draws it) is a head, blocks of rows, and an end. Each part carries a checksum that depends
on the head's and on its place, so a part that is damaged, missing, doubled or of another file is found.

What must stay true:

1. `tab2file` writes beside the target and puts the whole file in its place in one step: there is the old file or the
   new one, never a part of one.
2. `file2tab` gives a table its name when the last row and the end have been verified; if anything is wrong, there is no
   table.
3. Nothing in a file is believed before its checksum is right, and nothing that is read is executed.
"""

import hashlib
import json
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from tsunami import _core
from tsunami._core import Atom, BadArgument, BadType, Table, TsunamiError

Progress = Callable[[int, int], object]
"""Called with the rows done and the rows there are (as of the beginning), now and then and at the end."""

MAGIC: Final = b"\x89TSN\r\n\x1a\n"  # spoilt by every transfer that takes the file for text
VERSION: Final = 1
BLOCK_BYTES: Final = 1 << 18
BLOCK_MAX: Final = 1 << 30
META_MAX: Final = 1 << 20

_HEAD = struct.Struct(">8sHHI")  # magic, version, 0, length of the meta data
_BLOCK = struct.Struct(">II")  # length of the payload, rows; a length of 0: the end
_END = struct.Struct(">QQ")  # rows, blocks
_CRC = struct.Struct(">I")

ERLANG_MAGIC: Final = b"\x01\x02\x03\x04"
_ERLANG_STATES = {b"cXM\x0b": "closed", b"\x06\x07\x08\x09": "open"}
_ERLANG_RECORD = struct.Struct(">I4s")
_ERLANG_MARK: Final = b"bWLA"
_ERLANG_SUMMED: Final = 65528  # the length of a record of so many bytes and more has a check behind it

_KEEP: Final = object()


class TableFileError(TsunamiError, ValueError):
    """A file that is no table's: foreign, damaged, cut off, or of a version that is not known here."""


# ---- writing


def tab2file(
    table: Table, path: str | os.PathLike[str], *, sync: bool = False, progress: Progress | None = None
) -> bool:
    """Write a table to a file, in place of the one that is there. Returns True. ETS: tab2file/2,3.

    sync: wait until the file is on the disk. progress: called as progress(rows_done, rows) about four times a megabyte.
    The table is fixed meanwhile; rows that others insert or delete during the call may or may not be in the file.
    BadType if a row holds a reference term; OSError as the system has it. O(n).

    >>> import tempfile, tsunami
    >>> t = tsunami.Table(type="bag")
    >>> t.insert([("k", 1), ("k", 2)])
    True
    >>> path = tempfile.mkdtemp() + "/k.tab"
    >>> tsunami.tab2file(t, path), tsunami.file2tab(path).lookup("k")
    (True, [('k', 1), ('k', 2)])
    """
    target = Path(path)
    with table.fixed(), _replacing(target, sync) as file:
        _write(table, file, progress)
    return True


@contextmanager
def _replacing(target: Path, sync: bool) -> Iterator[BinaryIO]:
    """A file to be written that takes the target's place at the end, unless something goes wrong."""
    beside = target.with_name(f".{target.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
    if sync:
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _write(table: Table, file: BinaryIO, progress: Progress | None) -> None:
    meta = json.dumps(_meta_of(table), ensure_ascii=False, sort_keys=True).encode()
    head = _HEAD.pack(MAGIC, VERSION, 0, len(meta)) + meta
    seed = zlib.crc32(head)
    file.write(head + _CRC.pack(seed))
    expected, rows, blocks = len(table), 0, 0
    for payload, count in _core.Blocks(table, BLOCK_BYTES):
        _write_block(file, seed, blocks, _BLOCK.pack(len(payload), count), payload)
        rows += count
        blocks += 1
        if progress is not None:
            progress(rows, max(rows, expected))
    _write_block(file, seed, blocks, _BLOCK.pack(0, 0), _END.pack(rows, blocks))
    if progress is not None:
        progress(rows, rows)


def _write_block(file: BinaryIO, seed: int, number: int, head: bytes, payload: bytes) -> None:
    file.write(head)
    file.write(payload)
    file.write(_CRC.pack(_block_crc(seed, number, head, payload)))


def _block_crc(seed: int, number: int, head: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(head, zlib.crc32(struct.pack(">Q", number), seed)))


def _meta_of(table: Table) -> dict[str, object]:
    info = table.info()
    assert isinstance(info, dict)
    return {
        "name": info["name"],
        "named_table": info["named_table"],
        "type": table.type,
        "keypos": table.keypos,
        "protection": info["protection"],
        "size": info["size"],
        "created_ms": time.time_ns() // 1_000_000,
    }


# ---- reading


def tabfile_info(path: str | os.PathLike[str]) -> dict[str, object]:
    """What a file says of its table: name, named_table, type, keypos, protection, size, format, version. O(1).

    size is the number of rows when the file was begun. The rows are not looked at. TableFileError if it is no table's
    file. ETS: tabfile_info/1.

    >>> import tempfile, tsunami
    >>> path = tempfile.mkdtemp() + "/t.tab"
    >>> tsunami.tab2file(tsunami.Table("ordered_set", keypos=1), path)
    True
    >>> info = tsunami.tabfile_info(path)
    >>> info["type"], info["keypos"], info["size"], info["format"]
    ('ordered_set', 1, 0, 'tsunami')
    """
    with open(path, "rb") as file:
        return _reader(file, os.fspath(path), verify=True).info


def file2tab(
    path: str | os.PathLike[str],
    *,
    name: object = _KEEP,
    verify: bool = True,
    progress: Progress | None = None,
) -> Table:
    """Make the table that a file holds: Tsunami's, or one that Erlang's `ets:tab2file` wrote. Returns it.

    name: another name for it, or None for an unnamed one; without it, the name that the table had if it was a named
    one. verify: for a file of Erlang's, count the rows and compare its MD5 sum where it has one (Tsunami's own are
    always verified). progress: as for tab2file. The table is public and has no owner.

    TableFileError if the file is foreign, damaged or cut off (there is no table then), TableExists if the name is in
    use, OSError as the system has it. O(n). ETS: file2tab/1,2.
    """
    with open(path, "rb") as file:
        reader = _reader(file, os.fspath(path), verify=verify)
        info = reader.info
        table = Table(info["type"], keypos=_integer(info["keypos"]))  # type: ignore[arg-type]
        chosen = (info["name"] if info["named_table"] else None) if name is _KEEP else name
        try:
            _fill(table, reader, progress)
            if chosen is not None:
                _core.christen(table, chosen)  # type: ignore[arg-type]
        except BaseException:
            table.delete()  # whoever keeps the traceback does not keep half a table
            raise
    return table


def _fill(table: Table, reader: "_Reader", progress: Progress | None) -> None:
    expected = _integer(reader.info["size"])
    for rows in reader.load(table):
        if progress is not None:
            progress(rows, max(rows, expected))
    if progress is not None:
        progress(len(table), len(table))


def _integer(value: object) -> int:
    assert isinstance(value, int)
    return value


class _Reader:
    """A file from its beginning: `info` is what its head says; `load` fills a table and tells how far it is."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.file = file
        self.path = path
        self.info: dict[str, object] = {}

    def load(self, table: Table) -> Iterator[int]:
        raise NotImplementedError

    def error(self, what: str) -> TableFileError:
        return TableFileError(f"{self.path!r}: {what}")

    def take(self, size: int, what: str) -> bytes:
        """Exactly so many bytes."""
        data = self.file.read(size)
        if len(data) != size:
            raise self.error(f"cut off in {what}, after {self.file.tell()} bytes")
        return data


def _reader(file: BinaryIO, path: str, *, verify: bool) -> _Reader:
    start = file.read(8)
    file.seek(0)
    if start == MAGIC:
        return _TsunamiReader(file, path)
    if start[:4] == ERLANG_MAGIC and start[4:] in _ERLANG_STATES:
        return _ErlangReader(file, path, verify=verify)
    if not start:
        raise TableFileError(f"{path!r}: an empty file is no table's")
    if start[1:4] == MAGIC[1:4]:
        raise TableFileError(f"{path!r}: a table's file, but its first bytes are damaged, as by a transfer of text")
    raise TableFileError(f"{path!r}: no table's file: it begins with {start!r}")


class _TsunamiReader(_Reader):
    def __init__(self, file: BinaryIO, path: str) -> None:
        super().__init__(file, path)
        head = self.take(_HEAD.size, "the head")
        _, version, zero, length = _HEAD.unpack(head)
        if version != VERSION:
            raise self.error(f"version {version} of the format; this program reads version {VERSION}")
        if length > META_MAX:
            raise self.error(f"damaged: a head of {length} bytes")
        meta = self.take(length, "the head")
        (crc,) = _CRC.unpack(self.take(_CRC.size, "the head"))
        self.seed = zlib.crc32(head + meta)
        if crc != self.seed or zero != 0:
            raise self.error("damaged: the checksum of the head is wrong")
        self.info = {**json.loads(meta), "format": "tsunami", "version": version}

    def load(self, table: Table) -> Iterator[int]:
        rows = blocks = 0
        while True:
            head = self.take(_BLOCK.size, f"block {blocks + 1}")
            length, count = _BLOCK.unpack(head)
            if length == 0:
                break
            payload = self.block(blocks, head, length)
            _load_block(self, table, payload, count, blocks)
            rows += count
            blocks += 1
            yield rows
        if _END.unpack(self.block(blocks, head, _END.size)) != (rows, blocks):
            raise self.error(f"damaged: {rows} rows in {blocks} blocks are not what its end says")
        if self.file.read(1):
            raise self.error(f"damaged: something follows its end at byte {self.file.tell() - 1}")

    def block(self, number: int, head: bytes, length: int) -> bytes:
        if length > BLOCK_MAX:
            raise self.error(f"damaged: block {number + 1} is said to have {length} bytes")
        payload = self.take(length, f"block {number + 1}")
        (crc,) = _CRC.unpack(self.take(_CRC.size, f"block {number + 1}"))
        if crc != _block_crc(self.seed, number, head, payload):
            raise self.error(f"damaged: the checksum of block {number + 1} is wrong")
        return payload


def _load_block(reader: _Reader, table: Table, payload: bytes, count: int, number: int) -> None:
    try:
        found = _core.load_block(table, payload)
    except (BadArgument, BadType) as error:
        raise reader.error(f"block {number + 1} holds what is no row: {error}") from error
    if found != count:
        raise reader.error(f"damaged: block {number + 1} has {found} rows and says {count}")


# ---- Erlang's files: a log of disk_log's with terms in it: what the table was, its objects, and, if asked for, an end


class _ErlangReader(_Reader):
    """`ets:tab2file`: | 1 2 3 4 | state | then records: | length | "bWLA" | check, if it is long | term |.

    The first term is a tuple of pairs, which is what `ets:info` said; the last is `['$end_of_table', [{count, N},
    {md5, Sum}]]` if the table was written with extended_info. The sum is that of all terms before it, as they stand
    there. The check of a long record is the MD5 sum of its length alone.
    """

    PIECE: Final = 512  # rows inserted at a time

    def __init__(self, file: BinaryIO, path: str, *, verify: bool) -> None:
        super().__init__(file, path)
        self.verify = verify
        self.take(8, "the head")
        first = self.record()
        if first is None:
            raise self.error("cut off: it has no head")
        self.summed = hashlib.md5(first, usedforsecurity=False)
        said = self.term(first)
        if not isinstance(said, tuple | list) or not all(isinstance(p, tuple) and len(p) == 2 for p in said):
            raise self.error("a log of Erlang's, but no table's: its first term is no tuple of pairs")
        items = {str(key): value for key, value in said}
        if not {"type", "keypos", "name"} <= items.keys():
            raise self.error("a log of Erlang's, but no table's: its first term does not tell type, keypos and name")
        self.extended = [str(item) for item in items.get("extended_info", [])]
        self.info = {
            "name": str(items["name"]),
            "named_table": items.get("named_table") is True,
            "type": str(items["type"]),
            "keypos": _integer(items["keypos"]) - 1,
            "protection": str(items.get("protection", "public")),
            "size": items.get("size", 0),
            "extended_info": self.extended,
            "format": "erlang",
            "version": (items.get("major_version", 0), items.get("minor_version", 0)),
        }

    def load(self, table: Table) -> Iterator[int]:
        piece: list[bytes] = []
        end: bytes | None = None
        rows = 0
        while (data := self.record()) is not None:
            if end is not None:  # what we held back was a row after all
                rows += self.put(piece, end)
            end = data
            if len(piece) >= self.PIECE:
                _load_block(self, table, b"".join(piece), len(piece), rows // self.PIECE)
                piece.clear()
                yield rows
        if end is not None and not self.extended and not self.is_end(end):
            rows += self.put(piece, end)
            end = None
        _load_block(self, table, b"".join(piece), len(piece), rows // self.PIECE)
        self.check_end(end, rows)
        yield rows

    def put(self, piece: list[bytes], data: bytes) -> int:
        self.summed.update(data)
        piece.append(struct.pack(">I", len(data) - 1) + data[1:])
        return 1

    def is_end(self, data: bytes) -> bool:
        term = self.term(data)
        return isinstance(term, list) and len(term) == 2 and term[0] == Atom("$end_of_table")

    def check_end(self, end: bytes | None, rows: int) -> None:
        if end is None or not self.is_end(end):
            if self.extended:
                raise self.error("cut off: the end that it was written with is not there")
            return
        term = self.term(end)
        pairs = term[1] if isinstance(term, list) and isinstance(term[1], list) else []
        told = {str(pair[0]): pair[1] for pair in pairs if isinstance(pair, tuple) and len(pair) == 2}
        if self.verify and "count" in told and told["count"] != rows:
            raise self.error(f"damaged: it holds {rows} objects, its end says {told['count']}")
        if self.verify and "md5" in told and told["md5"] != self.summed.digest():
            raise self.error("damaged: the MD5 sum of its objects is wrong")

    def record(self) -> bytes | None:
        """The bytes of the next term; None at the end of the file."""
        head = self.file.read(_ERLANG_RECORD.size)
        if not head:
            return None
        if len(head) != _ERLANG_RECORD.size:
            raise self.error(f"cut off after {self.file.tell()} bytes")
        length, mark = _ERLANG_RECORD.unpack(head)
        if mark != _ERLANG_MARK:
            raise self.error(f"damaged: no record at byte {self.file.tell() - _ERLANG_RECORD.size}")
        if length >= _ERLANG_SUMMED:
            digest = self.take(16, "a record")
            if hashlib.md5(head[:4], usedforsecurity=False).digest() != digest:
                raise self.error(f"damaged: the length before byte {self.file.tell()} is wrong")
        data = self.take(length, "a record")
        if data[:1] != b"\x83":
            raise self.error(f"damaged: no term before byte {self.file.tell()}")
        return data

    def term(self, data: bytes) -> object:
        try:
            return _core.binary_to_term(data)
        except (BadArgument, BadType) as error:
            raise self.error(f"damaged: {error}") from error


_core.register_files(tab2file)
