"""Tables in files: round trips, files that are spoilt in every way, and files that Erlang wrote."""

import json
import os
import random
import struct
import subprocess
import zlib
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from _support import peer
from hypothesis import given
from hypothesis import strategies as st
from strategies import rows as any_rows

import tsunami
from tsunami import (
    Atom,
    BadType,
    Bits,
    Collection,
    ImproperList,
    Pid,
    Reference,
    Table,
    TableExists,
    TableFileError,
    file2tab,
    tab2file,
    tabfile_info,
)

TYPES = ["set", "ordered_set", "bag", "duplicate_bag"]

UGLY = [
    1, -1, 2**63, -(2**64), 2**2000, 0.0, -0.0, 1e308, 5e-324, True, False, None, Atom("ok"), Atom(""), Atom("späß"),
    "", "short", "long enough to stand apart", "ü" * 50, b"", b"short", b"\x00\xff" * 40, Bits(b"\xa0", 3), (), (1,),
    ((),) * 3, [], [1, 2], list(range(300)), list(range(256)) * 2, ImproperList([1], 2), {}, {"a": [1]},
    {1: 2, "b": {}}, Pid(Atom("n@h"), 1, 2, 3), Reference(Atom("n@h"), 1, (1, 2, 3)),
    datetime(2026, 11, 21, tzinfo=UTC), date(2026, 11, 21), Decimal("1.50"), UUID(int=7), frozenset({1, 2}),
    float("inf"),
]  # fmt: skip


def told(table: Table) -> list[str]:
    """The rows: those of an ordered table in their order, those of one key in a bag in theirs."""
    rows = list(table) if table.type == "ordered_set" else sorted(table, key=lambda row: repr(row[table.keypos]))
    return list(map(repr, rows))


def same(a: Table, b: Table) -> None:
    """The same rows of one type, text marks and all; where a key has several, in the same order."""
    b.check()
    assert (a.type, a.keypos, len(a)) == (b.type, b.keypos, len(b))
    assert told(a) == told(b)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.tab"


# ---- there and back


@pytest.mark.parametrize("type", TYPES)
def test_every_term_comes_back_as_it_was_for_every_type(type: str, path: Path) -> None:
    table = Table(type, keypos=1)  # type: ignore[arg-type]
    table.insert([(value, number) for number, value in enumerate(UGLY)])
    assert tab2file(table, path) is True
    same(table, file2tab(path))


@pytest.mark.parametrize("type", TYPES)
def test_terms_as_keys_come_back(type: str, path: Path) -> None:
    table = Table(type)  # type: ignore[arg-type]
    table.insert([(value,) for value in UGLY])
    tab2file(table, path)
    same(table, file2tab(path))


@pytest.mark.parametrize("type", TYPES)
def test_an_empty_table_comes_back(type: str, path: Path) -> None:
    tab2file(Table(type, keypos=3), path)  # type: ignore[arg-type]
    same(Table(type, keypos=3), file2tab(path))  # type: ignore[arg-type]


@given(rows=st.lists(any_rows(), max_size=20), type=st.sampled_from(TYPES))
def test_any_rows_come_back(
    rows: list[tuple[object, ...]], type: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tab"
    table = Table(type)  # type: ignore[arg-type]
    for row in rows:
        try:
            table.insert(row)
        except (BadType, tsunami.BadArgument):
            continue  # no key, or no row
    tab2file(table, path)
    same(table, file2tab(path))


@pytest.mark.parametrize("type", TYPES)
def test_many_blocks_come_back_and_progress_is_told(type: str, path: Path) -> None:
    table = Table(type)  # type: ignore[arg-type]
    table.insert_many((n, "x" * (n % 50)) for n in range(40_000))
    for write in (True, False):
        told: list[tuple[int, int]] = []
        progress = lambda done, all: told.append((done, all))  # noqa: B023, E731
        again = (tab2file(table, path, progress=progress), table)[1] if write else file2tab(path, progress=progress)
        assert len(told) > 3
        assert told == sorted(told) and told[-1] == (40_000, 40_000)
        same(table, again)


def test_rows_of_one_key_keep_their_order(path: Path) -> None:
    table = Table("duplicate_bag")
    rows = [("k", random.Random(n).randrange(10)) for n in range(5000)]
    table.insert(rows)
    tab2file(table, path)
    assert file2tab(path).lookup("k") == rows


def test_a_deep_term_comes_back(path: Path) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    table = Table()
    table.insert((1, deep))
    tab2file(table, path)
    again = file2tab(path).lookup_element(1, 1)
    for _ in range(100_000):
        assert isinstance(again, list)
        [again] = again
    assert again == []


def test_a_reference_term_cannot_be_saved_and_the_old_file_stays(path: Path) -> None:
    table = Table()
    table.insert((1, "fine"))
    tab2file(table, path)
    before = path.read_bytes()
    table.insert((2, Collection("set", Table(stripes=1))))
    with pytest.raises(BadType, match=r"reference term.*: the row \(2, <tsunami.Collection set, 0 elements>\)"):
        tab2file(table, path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name], "nothing is left beside it"


def test_a_directory_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tab2file(Table(), tmp_path / "no" / "where.tab")
    with pytest.raises(FileNotFoundError):
        file2tab(tmp_path / "nothing.tab")


def test_sync_writes_the_same_file(path: Path) -> None:
    table = Table()
    table.insert((1, 2))
    tab2file(table, path, sync=True)
    same(table, file2tab(path))


def test_a_deleted_table_cannot_be_written(path: Path) -> None:
    table = Table()
    table.delete()
    with pytest.raises(tsunami.NoSuchTable):
        tab2file(table, path)
    assert not path.exists()


# ---- names


def test_a_named_table_comes_back_under_its_name_or_another_or_none(path: Path) -> None:
    table = tsunami.new("tabfile_named")
    table.insert((1, 2))
    tab2file(table, path)
    with pytest.raises(TableExists):
        file2tab(path)
    assert tsunami.whereis("tabfile_named") is table
    other = file2tab(path, name="tabfile_other")
    assert tsunami.whereis("tabfile_other") is other and other.name == "tabfile_other"
    assert file2tab(path, name=None).name is None
    table.delete()
    again = file2tab(path)
    assert tsunami.whereis("tabfile_named") is again
    again.delete()
    other.delete()


def test_the_name_appears_only_when_all_is_read(path: Path) -> None:
    table = tsunami.new("tabfile_late", type="ordered_set")
    table.insert_many((n, "x" * 20) for n in range(20_000))
    tab2file(table, path)
    table.delete()
    seen = []
    loaded = file2tab(path, progress=lambda done, all: seen.append(tsunami.whereis("tabfile_late")))
    assert len(seen) > 1 and set(seen) == {None}
    assert tsunami.whereis("tabfile_late") is loaded
    loaded.delete()


def test_info_tells_the_head(path: Path) -> None:
    table = tsunami.new("tabfile_info", type="bag", keypos=2)
    table.insert([(1, 2, 3), (1, 2, 4)])
    tab2file(table, path)
    info = tabfile_info(path)
    assert info | {"created_ms": 0} == {
        "name": "tabfile_info", "named_table": True, "type": "bag", "keypos": 2, "protection": "public", "size": 2,
        "created_ms": 0, "format": "tsunami", "version": 1,
    }  # fmt: skip
    table.delete()


# ---- spoilt files


def saved(path: Path, rows: int = 3000) -> bytes:
    table = tsunami.new("tabfile_spoilt")
    table.insert_many((n, f"value {n}") for n in range(rows))
    tab2file(table, path)
    table.delete()
    return path.read_bytes()


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    before = set(map(id, tsunami.all()))
    with pytest.raises(TableFileError) as found:
        file2tab(path)
    assert str(path) in str(found.value)
    assert tsunami.whereis("tabfile_spoilt") is None
    assert set(map(id, tsunami.all())) <= before, "no half loaded table stays"
    return str(found.value)


def test_a_file_that_is_cut_anywhere_is_refused(path: Path) -> None:
    data = saved(path, 20)
    for length in range(len(data)):
        assert "cut off" in refused(path, data[:length]) or length < 8


def test_a_changed_bit_anywhere_is_refused(path: Path) -> None:
    data = saved(path, 20)
    for at in range(len(data)):
        refused(path, data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])


def blocks_of(data: bytes) -> tuple[bytes, list[bytes]]:
    """Head, and the blocks with the end."""
    at = 16 + struct.unpack_from(">I", data, 12)[0] + 4
    head, blocks = data[:at], []
    while at < len(data):
        length = struct.unpack_from(">I", data, at)[0] or 16
        blocks.append(data[at : at + 12 + length])
        at += 12 + length
    return head, blocks


def test_blocks_that_are_missing_doubled_or_swapped_are_refused(path: Path) -> None:
    head, blocks = blocks_of(saved(path, 60_000))
    assert len(blocks) > 3
    for wrong in (blocks[1:], blocks[:1] + blocks, [blocks[1], blocks[0], *blocks[2:]], blocks[:-2] + blocks[-1:]):
        assert "checksum" in refused(path, head + b"".join(wrong))
    assert "cut off" in refused(path, head + b"".join(blocks[:-1]))
    assert "follows its end" in refused(path, head + b"".join(blocks) + b"x")


def test_a_block_of_another_file_is_refused(path: Path) -> None:
    head, blocks = blocks_of(saved(path, 5000))
    other = tsunami.new("tabfile_spoilt", keypos=1)
    other.insert_many((0, n) for n in range(5000))
    tab2file(other, path)
    other.delete()
    _, foreign = blocks_of(path.read_bytes())
    assert "checksum" in refused(path, head + b"".join([foreign[0], *blocks[1:]]))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\x00" * 100, "no table's file"),
        (b"id,name\n1,alice\n", "no table's file"),
        (b"\x7fELF" + bytes(100), "no table's file"),
        (b"\x09TSN\n\x1a\n" + bytes(100), "transfer of text"),
        (b"\x01\x02\x03\x04cXM\x0b", "no head"),
        (b"\x01\x02\x03\x04cXM\x0b\x00\x00\x00\x05bWLA\x83", "cut off"),
        (b"\x01\x02\x03\x04cXM\x0b\x00\x00\x00\x03bWLA\x83a\x01", "no table's"),
    ],
)  # fmt: skip
def test_foreign_files_are_refused(path: Path, data: bytes, said: str) -> None:
    assert said in refused(path, data)
    with pytest.raises(TableFileError):
        tabfile_info(path)


def rebuilt(meta: dict[str, object], payload: bytes, rows: int, *, version: int = 1) -> bytes:
    """A file with right checksums around whatever it holds."""
    text = json.dumps(meta).encode()
    head = struct.pack(">8sHHI", b"\x89TSN\r\n\x1a\n", version, 0, len(text)) + text
    seed = zlib.crc32(head)
    out = head + struct.pack(">I", seed)
    for number, (prefix, body) in enumerate(
        [(struct.pack(">II", len(payload), rows), payload), (bytes(8), struct.pack(">QQ", rows, 1))]
    ):
        crc = zlib.crc32(body, zlib.crc32(prefix, zlib.crc32(struct.pack(">Q", number), seed)))
        out += prefix + body + struct.pack(">I", crc)
    return out


META: dict[str, object] = {
    "name": None, "named_table": False, "type": "set", "keypos": 0, "protection": "public", "size": 1,
}  # fmt: skip


def row_of(etf: bytes) -> bytes:
    return struct.pack(">I", len(etf)) + etf


def test_what_our_own_writer_would_write_is_what_the_format_says(path: Path) -> None:
    path.write_bytes(rebuilt(META, row_of(b"h\x02a\x01a\x02"), 1))
    assert list(file2tab(path)) == [(1, 2)]


@pytest.mark.parametrize(
    "payload",
    [
        row_of(b"a\x01"),  # no tuple
        row_of(b"h\x00"),  # too short for a key
        row_of(b"h\x01"),  # cut off inside
        row_of(b"h\x01a\x01a\x01"),  # something behind it
        row_of(b"h\x01F\x7f\xf8" + bytes(6)),  # NaN as a key
        row_of(b"h\x01\xff"),  # no tag
        b"\xff\xff\xff\xff",
        b"\x00",
    ],
)
def test_right_checksums_around_what_is_no_row_do_not_help(path: Path, payload: bytes) -> None:
    assert "no row" in refused(path, rebuilt(META, payload, 1))


def test_wrong_numbers_of_rows_and_unknown_versions_are_refused(path: Path) -> None:
    assert "says 2" in refused(path, rebuilt(META, row_of(b"h\x01a\x01"), 2))
    assert "version 2" in refused(path, rebuilt(META, row_of(b"h\x01a\x01"), 1, version=2))


def test_writers_beside_it_lose_no_row_that_stays(path: Path) -> None:
    """While the file is written others insert and delete: rows that are there all the time are in it once."""
    import threading

    for type in TYPES:
        table = Table(type)  # type: ignore[arg-type]
        table.insert_many((n, "stays") for n in range(0, 30_000, 2))
        stop = threading.Event()

        def disturb(table: Table = table, stop: threading.Event = stop) -> None:
            dice = random.Random(1)
            while not stop.is_set():
                n = dice.randrange(15_000) * 2 + 1
                table.insert((n, "comes"))
                table.delete(dice.randrange(15_000) * 2 + 1)

        other = threading.Thread(target=disturb)
        other.start()
        try:
            tab2file(table, path)
        finally:
            stop.set()
            other.join()
        found = Counter(row[0] for row in file2tab(path) if row[1] == "stays")
        assert len(found) == 15_000 and set(found.values()) == {1}


# ---- files of Erlang's

ERLANG = """
Objects = [{I, [I, a, <<I>>], #{i => I}} || I <- lists:seq(1, 300)] ++ [{big, binary:copy(<<"A">>, 70000)}],
Dir = os:getenv("TSUNAMI_TMP") ++ "/",
[begin
    T = ets:new(Name, [Type, Protection, {keypos, KeyPos} | [named_table || Named]]),
    true = ets:insert(T, [case KeyPos of 1 -> O; 2 -> list_to_tuple([x | tuple_to_list(O)]) end || O <- Objects]),
    ok = ets:tab2file(T, Dir ++ atom_to_list(Name), Options)
 end || {Name, Type, Protection, KeyPos, Named, Options} <- [
    {plain, set, protected, 1, true, []},
    {counted, bag, public, 1, false, [{extended_info, [object_count]}]},
    {summed, ordered_set, private, 2, true, [{extended_info, [md5sum]}]},
    {both, duplicate_bag, public, 1, false, [{extended_info, [object_count, md5sum]}, {sync, true}]},
    {compressed, set, public, 1, false, []}]],
E = ets:new(empty, [set]), ok = ets:tab2file(E, Dir ++ "empty", [{extended_info, [md5sum]}]),
F = ets:new(empty, [set]), ok = ets:tab2file(F, Dir ++ "bare"),
halt().
"""


@pytest.fixture(scope="module")
def erlangs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("erlang")
    done = subprocess.run(
        [peer("erl"), "-noshell", "-eval", ERLANG], env={**os.environ, "TSUNAMI_TMP": str(directory)},
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.mark.peer("erl")
@pytest.mark.parametrize(
    ("name", "type", "keypos", "named", "extended"),
    [
        ("plain", "set", 0, True, []),
        ("counted", "bag", 0, False, ["object_count"]),
        ("summed", "ordered_set", 1, True, ["md5sum"]),
        ("both", "duplicate_bag", 0, False, ["object_count", "md5sum"]),
    ],
)
def test_a_file_of_erlangs_is_read(
    erlangs: Path, name: str, type: str, keypos: int, named: bool, extended: list[str]
) -> None:
    info = tabfile_info(erlangs / name)
    assert (info["type"], info["keypos"], info["size"], info["format"]) == (type, keypos, 301, "erlang")
    assert (info["named_table"], info["extended_info"]) == (named, extended)
    table = file2tab(erlangs / name)
    table.check()
    assert (table.type, table.keypos, table.name, len(table)) == (type, keypos, name if named else None, 301)
    row = (7, [7, Atom("a"), b"\x07"], {Atom("i"): 7})
    assert table.lookup(7) == [row if keypos == 0 else (Atom("x"), *row)]
    assert table.lookup_element(Atom("big"), keypos + 1) in (b"A" * 70_000, [b"A" * 70_000])
    if named:
        table.delete()


@pytest.mark.peer("erl")
@pytest.mark.parametrize("name", ["empty", "bare"])
def test_an_empty_table_of_erlangs_is_read(erlangs: Path, name: str) -> None:
    assert len(file2tab(erlangs / name)) == 0


@pytest.mark.peer("erl")
def test_a_file_of_erlangs_that_is_spoilt_is_refused(erlangs: Path, path: Path) -> None:
    data = (erlangs / "both").read_bytes()
    head = 4 + 4 + 8 + struct.unpack_from(">I", data, 8)[0]
    first = head + 8 + struct.unpack_from(">I", data, head)[0]
    assert "object" in refused(path, data[:head] + data[first:])  # an object is missing
    assert "MD5" in refused(path, data.replace(b"A" * 1000, b"B" + b"A" * 999, 1))
    for length in (*range(0, head, 7), len(data) - 1, len(data) - 20, len(data) // 2, len(data) - 200):
        refused(path, data[:length])
    byte = data.index(b"\x00\x01i", head) if b"\x00\x01i" in data[head:] else head + 20
    spoilt = data[:byte] + bytes([data[byte] ^ 0x40]) + data[byte + 1 :]
    path.write_bytes(spoilt)
    with pytest.raises(TableFileError):
        file2tab(path)
