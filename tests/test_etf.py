"""Erlang's external term format: what is written, what is read, what is refused.

The independent side is _etf.py's encoder and decoder, and a real Erlang.
"""

import datetime
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

import pytest
from _etf import Erlang, decode, encode, etf, in_erlang
from _support import effort
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import erlang_terms

from tsunami import (
    Atom,
    BadArgument,
    BadType,
    Bits,
    Fun,
    ImproperList,
    Pid,
    Port,
    Reference,
    TermTooLarge,
    TsunamiError,
    _core,
    binary_to_term,
    term_to_binary,
)

NODE: Final = Atom("a@host")
PID: Final = Pid(NODE, 1, 2, 3)

# One of each, and what lies at the edges of tags and of cells.
SAMPLES: Final[list[Any]] = [
    *(0, 255, 256, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1),
    *(2**61, 2**62 - 1, 2**62, -(2**62), -(2**62) - 1, 2**64, -(2**64), 2**2039, 2**2040, -(2**5000)),
    *(0.0, -0.0, 1.0, 1e308, 5e-324),
    *(True, False, None, Atom(""), Atom("ok"), Atom("é"), Atom("a" * 255), Atom("é" * 255), Atom("𝔸" * 255)),
    *(b"", b"1234567", b"12345678", b"\0" * 300, Bits(b"\x80", 1), Bits(b"1234567\xfe", 63)),
    *((), ((),), (1, (2, (3,))), (0,) * 255, (0,) * 256),
    *([], [[]], [0], [0, 255], [0, 256], [0, -1], [1.0], list(range(256)) * 256, [7] * 65535, [7] * 65536),
    *(ImproperList([1], 2), ImproperList([[1], ImproperList([2], b"t")], ()), ImproperList([1, 2], Atom("x"))),
    *({}, {1: 2}, {Atom("z"): 1, Atom("a"): [2]}, {2**70: {b"": {}}, (1, 2): 3, b"k": 4, 5: 6}),
    *(PID, Pid(Atom("é"), 0, 2**32 - 1, 2**32 - 1)),
    *(Port(NODE, 0, 0), Port(NODE, 2**28 - 1, 1), Port(NODE, 2**28, 1), Port(NODE, 2**62, 1), Port(NODE, 2**64 - 1, 1)),
    *(Reference(NODE, 1, (5,)), Reference(NODE, 2**32 - 1, (1, 2, 3, 4, 2**32 - 1))),
    Fun("export", Atom("m"), Atom("f"), 255),
    Fun("local", Atom("m"), 1, b"u" * 16, -5, 2, PID, ()),
    Fun("local", Atom("m"), 1, b"u" * 16, 2**32 - 1, 2, PID, (1, [2], b"x", {3: 4})),
    Fun("local", Atom("m"), 7, b"u" * 16, 0, 2, PID, (1,), 3),
    Fun("local", Atom("m"), 0, b"u" * 16, 0, 255, PID, (1,), 2**32 - 1),
    [Fun("local", Atom("m"), 1, b"u" * 16, 0, 2, PID, (Fun("local", Atom("n"), 2, b"v" * 16, 0, 0, PID, ()),))],
]


def has_map(term: Any) -> bool:
    match term:
        case dict():
            return True
        case tuple() | list():
            return any(map(has_map, term))
        case ImproperList():
            return has_map(term.items) or has_map(term.tail)
        case Fun():
            return has_map(term.fields)
    return False


# ---- both ways


@pytest.mark.parametrize("term", SAMPLES, ids=lambda term: repr(term)[:30])
def test_every_kind_of_term_survives_and_is_written_as_erlang_writes_it(term: Any) -> None:
    written = term_to_binary(term)
    assert repr(term) == repr(binary_to_term(encode(term))) or has_map(term)
    assert term == binary_to_term(encode(term)) == decode(written)
    if not has_map(term):
        assert encode(term) == written


def test_text_goes_out_as_a_binary_and_comes_back_as_bytes() -> None:
    assert term_to_binary("é") == encode("é".encode())
    assert binary_to_term(term_to_binary(["text", "a longer text"])) == [b"text", b"a longer text"]


@given(term=erlang_terms.filter(in_erlang))
def test_what_one_codec_writes_the_other_reads(term: Any) -> None:
    assert _core.exact_equal(term, decode(term_to_binary(term)))
    assert _core.exact_equal(term, binary_to_term(encode(term)))


def test_maps_are_read_in_any_order_of_their_keys() -> None:
    keys = [b"long enough", Atom("z"), 3, Atom("a"), 1, (2, (1,)), 2.5]
    pairs = [etf(key) + etf([i, (key,)]) for i, key in enumerate(keys)]
    forwards = b"\x83t" + struct.pack(">I", len(keys)) + b"".join(pairs)
    backwards = b"\x83t" + struct.pack(">I", len(keys)) + b"".join(reversed(pairs))
    assert dict(zip(keys, ([i, (key,)] for i, key in enumerate(keys)), strict=True)) == binary_to_term(forwards)
    assert term_to_binary(binary_to_term(forwards)) == term_to_binary(binary_to_term(backwards))


def test_a_list_and_a_string_of_the_same_bytes_are_one_term() -> None:
    as_list = b"\x83l\0\0\0\2a\x01a\x02j"
    as_string = b"\x83k\0\2\x01\x02"
    assert _core.exact_equal(binary_to_term(as_list), binary_to_term(as_string))
    assert [1, 2] == binary_to_term(as_list) == binary_to_term(as_string)


@pytest.mark.parametrize(
    "written, term",
    [
        (b"l\0\0\0\1a\1l\0\0\0\1a\2j", [1, 2]),  # a tail that is a list goes on
        (b"l\0\0\0\1a\1k\0\2\2\3", [1, 2, 3]),
        (b"l\0\0\0\1a\1k\0\0", [1]),
        (b"l\0\0\0\1a\1l\0\0\0\1a\2a\3", ImproperList([1, 2], 3)),
        (b"l\0\0\0\1a\1l\0\0\0\0l\0\0\0\1a\2l\0\0\0\0a\3", ImproperList([1, 2], 3)),
        (b"l\0\0\0\1l\0\0\0\1a\1a\2l\0\0\0\1l\0\0\0\1a\3a\4j", [ImproperList([1], 2), ImproperList([3], 4)]),
        (b"l\0\0\0\0a\5", 5),  # no element at all: the tail is the term, as Erlang has it
        (b"l\0\0\0\0j", []),
        (b"l\0\0\0\0l\0\0\0\1a\1a\2", ImproperList([1], 2)),
        (b"h\2l\0\0\0\1a\1a\2l\0\0\0\2a\1a\2j", (ImproperList([1], 2), [1, 2])),
        (b"k\0\0", []),
        (b"h\0", ()),
        (b"i\0\0\0\0", ()),
        (b"i\0\0\0\1a\1", (1,)),
        (b"n\1\0\5", 5),  # bigs that are none
        (b"n\1\1\5", -5),
        (b"n\0\0", 0),
        (b"n\0\1", 0),
        (b"n\x0a\0\1\0\0\0\0\0\0\0\0\0", 1),
        (b"o\0\0\0\x09\1\1\0\0\0\0\0\0\0\1", -(2**64) - 1),
        (b"d\0\2ok", Atom("ok")),
        (b"s\1\xe9", Atom("é")),
        (b"d\0\1\xff", Atom("ÿ")),
        (b"v\0\2ok", Atom("ok")),
        (b"c" + b"1.50000000000000000000e+00".ljust(31, b"\0"), 1.5),
        (b"M\0\0\0\1\x08\xff", b"\xff"),
        (b"M\0\0\0\0\0", b""),
        (b"M\0\0\0\1\3\xff", Bits(b"\xe0", 3)),
        (b"g" + etf(NODE) + struct.pack(">IIB", 1, 2, 3), PID),
        (b"f" + etf(NODE) + struct.pack(">IB", 4, 1), Port(NODE, 4, 1)),
        (b"e" + etf(NODE) + struct.pack(">IB", 4, 1), Reference(NODE, 1, (4,))),
        (b"r\0\2" + etf(NODE) + struct.pack(">BII", 1, 4, 5), Reference(NODE, 1, (4, 5))),
        (b"x" + etf(NODE) + struct.pack(">QI", 4, 1), Port(NODE, 4, 1)),
    ],
)
def test_other_spellings_and_older_tags_are_read(written: bytes, term: Any) -> None:
    assert repr(term) == repr(binary_to_term(b"\x83" + written))


# ---- deep and large


DEPTH: Final = 200_000


def deep_funs() -> bytes:
    """A fun that has captured a fun that has captured ..."""
    head = etf(Fun("local", Atom("m"), 1, b"u" * 16, 2, 3, PID, (0,)))[5:-2]
    level = len(head) + 5
    return b"".join(b"p" + struct.pack(">I", (DEPTH - i) * level) + head for i in range(DEPTH)) + b"j"


@pytest.mark.parametrize(
    "written",
    [
        b"h\1" * DEPTH + b"j",
        b"l\0\0\0\1" * DEPTH + b"j" + b"j" * DEPTH,
        b"l\0\0\0\1" * DEPTH + b"j" + b"w\1a" * DEPTH,
        b"t\0\0\0\1a\1" * DEPTH + b"j",
        b"t\0\0\0\2w\1aa\1w\1b" * DEPTH + b"j",
        deep_funs(),
    ],
    ids=["tuples", "lists", "improper", "maps", "maps of two", "funs"],
)
def test_terms_200_000_deep_survive(written: bytes) -> None:
    assert term_to_binary(binary_to_term(b"\x83" + written)) == b"\x83" + written


def test_a_list_that_goes_on_in_200_000_tails_is_one_list() -> None:
    assert [300] * DEPTH == binary_to_term(b"\x83" + b"l\0\0\0\1b\0\0\1\x2c" * DEPTH + b"j")


def test_deep_maps_whose_keys_stand_in_no_order_are_put_in_order_or_refused() -> None:
    written = b"t\0\0\0\2w\1ba\1w\1a"
    ordered = b"t\0\0\0\2w\1a" + b"t\0\0\0\2w\1ajw\1ba\1" + b"w\1ba\1"
    assert term_to_binary(binary_to_term(b"\x83" + written * 2 + b"j")) == b"\x83" + ordered
    assert term_to_binary(binary_to_term(b"\x83" + written * 500 + b"j")).count(b"w\1a") == 500
    with pytest.raises(TermTooLarge):
        binary_to_term(b"\x83" + written * DEPTH + b"j")


@pytest.mark.parametrize(
    "term", [b"x" * (64 << 20), [300] * (4 << 20), 1 << (8 << 20)], ids=["binary", "list", "integer"]
)
def test_terms_of_many_megabytes_survive(term: Any) -> None:
    assert term == binary_to_term(term_to_binary(term))


def test_a_deep_key_of_a_map_is_refused() -> None:
    assert {0: 1} == binary_to_term(b"\x83t\0\0\0\1a\0a\1")
    with pytest.raises(TermTooLarge, match="key of a map"):
        binary_to_term(b"\x83t\0\0\0\1" + b"h\1" * 100_000 + b"ja\1")


# ---- what is refused

MALFORMED: Final = [
    b"",
    b"\x83",
    b"\x82a\1",
    b"\x83a",
    b"\x83b\0\0\0",
    b"\x83a\1a",
    b"\x83h\2a\1",
    b"\x83h\xff",
    b"\x83i\xff\xff\xff\xff",
    b"\x83l\xff\xff\xff\xffa\1j",
    b"\x83l\0\0\0\1a\1",
    b"\x83l\0\0\0\2a\1j",
    b"\x83l\0\0\0\1a\1l\0\0\0\2a\1j",
    b"\x83l\0\0\0\1a\1l\xff\xff\xff\xffa\1j",
    b"\x83l\0\0\0\1a\1k\xff\xffa",
    b"\x83k\0\3ab",
    b"\x83m\0\0\0\2a",
    b"\x83m\xff\xff\xff\xffa",
    b"\x83M\0\0\0\1\x09a",
    b"\x83M\0\0\0\1\0a",
    b"\x83M\0\0\0\0\1",
    b"\x83t\0\0\0\1a\1",
    b"\x83t\xff\xff\xff\xffa\1",
    b"\x83t\0\0\0\2a\1a\2a\1a\3",  # one key twice
    b"\x83t\0\0\0\2w\1aa\2s\1aa\3",
    b"\x83t\0\0\0\2k\0\1aa\2l\0\0\0\1a\x61ja\3",
    b"\x83w\2\xff\xfe",  # no UTF-8
    b"\x83w\3\xed\xa0\x80",
    b"\x83w\2\xc0\x80",
    b"\x83v\1\0" + b"a" * 256,
    b"\x83d\1\0" + b"a" * 256,
    b"\x83v\xff\xffa",
    b"\x83F\x7f\xf0\0\0\0\0\0\0",  # an infinity
    b"\x83F\x7f\xf8\0\0\0\0\0\0",
    b"\x83c" + b"nan".ljust(31, b"\0"),
    b"\x83c" + b"1.5x".ljust(31, b"\0"),
    b"\x83c" + b"0x10".ljust(31, b"\0"),
    b"\x83c" + bytes(31),
    b"\x83n\5\0\1",
    b"\x83o\xff\xff\xff\xff\0\1",
    b"\x83Xa\1" + bytes(12),
    b"\x83X" + etf(NODE) + bytes(11),
    b"\x83Z\0\0" + etf(NODE) + bytes(4),
    b"\x83Z\xff\xff" + etf(NODE) + bytes(40),
    b"\x83q" + etf(NODE) * 2 + b"b\0\0\0\1",
    b"\x83p\0\0\0\4" + bytes(40),
    b"\x83p\0\0\0\x1e" + bytes(26),
    b"\x83\xf0\0\0\0\1a",  # the private tags of our files
    b"\x83\xf1w\1aa\1",
    b"\x83P\0\0",
    b"\x83P\0\0\0\2" + b"no zlib",
    b"\x83P\0\0\0\1" + zlib.compress(b"a\1"),
    b"\x83P\0\0\0\3" + zlib.compress(b"a\1"),
    b"\x83P\0\0\0\2" + zlib.compress(b"a\1") + b"x",
    b"\x83h\1P\0\0\0\2" + zlib.compress(b"a\1"),
    b"\x83P\0\0\0\x0e" + zlib.compress(b"P\0\0\0\2" + zlib.compress(b"a\1")),
]


@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: repr(data[:20]))
def test_what_is_no_term_is_refused(data: bytes) -> None:
    with pytest.raises(BadArgument):
        binary_to_term(data)


def test_a_fun_whose_size_lies_is_refused() -> None:
    data = bytearray(encode(Fun("local", Atom("m"), 1, b"u" * 16, 2, 3, PID, (1, 2))))
    data[5] += 1
    with pytest.raises(BadArgument):
        binary_to_term(bytes(data))
    with pytest.raises(BadArgument):
        binary_to_term(bytes(data) + b"a\1")


@given(term=erlang_terms.filter(in_erlang), data=st.data())
def test_a_term_cut_short_is_refused(term: Any, data: st.DataObject) -> None:
    whole = encode(term)
    with pytest.raises(BadArgument):
        binary_to_term(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(BadArgument):
        binary_to_term(whole + b"j")


@given(term=erlang_terms.filter(in_erlang), data=st.data())
def test_bytes_changed_at_random_are_read_or_refused(term: Any, data: st.DataObject) -> None:
    damaged = bytearray(encode([term]))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(1, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    read_or_refuse(bytes(damaged))


TAGS: Final = bytes((70, 77, 80, 88, 89, 90, *range(97, 117), 118, 119, 120, 240, 241))


@given(data=st.lists(st.one_of(st.sampled_from(TAGS), st.integers(0, 4), st.just(255)), max_size=60).map(bytes))
@example(data=b"l\0\0\0\1l\0\0\0\0l\0\0\0\1jjj")
def test_bytes_made_of_tags_are_read_or_refused(data: bytes) -> None:
    read_or_refuse(b"\x83" + data)


def read_or_refuse(data: bytes) -> None:
    """Whatever is read is a term: it survives being written and read again."""
    try:
        term = binary_to_term(data)
    except TsunamiError:
        return
    again = binary_to_term(term_to_binary(term))
    assert _core.exact_equal(term, again)


def test_a_compressed_term_is_read_within_bounds() -> None:
    plain = encode([b"x" * 100_000])[1:]
    compressed = b"\x83P" + struct.pack(">I", len(plain)) + zlib.compress(plain)
    assert [b"x" * 100_000] == binary_to_term(compressed)
    bomb = b"\x83P" + struct.pack(">I", 10) + zlib.compress(plain)
    with pytest.raises(BadArgument, match="announces 10 bytes"):
        binary_to_term(bomb)
    with pytest.raises(TermTooLarge, match="announces"):
        binary_to_term(b"\x83P\xff\xff\xff\xff" + zlib.compress(plain))


@pytest.mark.parametrize(
    "term, named",
    [
        (datetime.date(2020, 1, 1), "'date'"),
        ([1, {2: (datetime.timedelta(1),)}], "'timedelta'"),
        (float("inf"), "inf"),
        ((1, [float("nan")]), "nan"),
        (Fun("local", Atom("m"), 1, b"short", 2, 3, PID, ()), "uniq"),
    ],
)
def test_what_erlang_has_no_word_for_is_named_in_the_error(term: Any, named: str) -> None:
    with pytest.raises(BadArgument, match=named):
        term_to_binary(term)


def test_arguments_of_a_wrong_type_are_named() -> None:
    with pytest.raises(BadType, match="str"):
        binary_to_term("text")  # type: ignore[arg-type]
    with pytest.raises(BadType, match="object"):
        term_to_binary(object())


# ---- a real Erlang

# Answers what Erlang itself writes, and whether it was the same term: it reads our bytes and those of the other codec.
ECHO: Final = """
    fun(Data) ->
        Pairs = binary_to_term(Data),
        term_to_binary([try
            Ours = binary_to_term(A), Theirs = binary_to_term(B),
            {Ours =:= Theirs, term_to_binary(Ours, [{minor_version, 2}])}
        catch _:_ -> unreadable end || {A, B} <- Pairs], [{minor_version, 2}])
    end
"""


@pytest.fixture(scope="module")
def erlang() -> Iterator[Erlang]:
    emulator = Erlang(ECHO)
    yield emulator
    emulator.close()


@settings(max_examples=effort(40))
@given(batch=st.lists(erlang_terms.filter(in_erlang), min_size=20, max_size=40))
def test_erlang_reads_what_we_write_and_we_read_what_it_writes(erlang: Erlang, batch: list[Any]) -> None:
    answer = decode(erlang.ask(encode([(term_to_binary(term), encode(term)) for term in batch])))
    for term, said in zip(batch, answer, strict=True):
        assert isinstance(said, tuple), f"Erlang cannot read {term!r}"
        same, written = said
        assert (term, True) == (term, same)
        assert _core.exact_equal(term, binary_to_term(written))
        if not has_map(term):
            assert written == term_to_binary(term)
