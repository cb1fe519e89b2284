"""The parser and the reply writer, without sockets.

Every case is fed whole, byte by byte, and with trailing data; whatever is fed, however it is cut, means the same. The
oracle for requests is a second parser, written for clarity alone; for replies, the parsers of hiredis and redis-py.
"""

import math
import re
from collections.abc import Callable

import hiredis
import pytest
from _server import request
from hypothesis import example, given
from hypothesis import strategies as st

from tsunami import _wire, keyspace
from tsunami._wire import (
    CLOSING,
    COLD,
    NEED_DATA,
    OK,
    Conn,
    Error,
    NullArray,
    Plane,
    ProtocolError,
    Push,
    Raw,
    Simple,
    Verbatim,
    encode,
    parse,
)

KB = 1024
TRAILING = b"*1\r\n$4\r\nPIN"


def cold_plane() -> Plane:
    """A plane on which every command comes to us."""
    plane = Plane([keyspace(db) for db in range(16)])
    plane.hold_all = True
    return plane


def fed(pieces: list[bytes], plane: Plane | None = None) -> tuple[list[list[bytes]], str]:
    """What a connection makes of bytes that come in these pieces: requests, and the error that ended it or ""."""
    conn = Conn(plane or cold_plane())
    requests = []
    for piece in pieces:
        conn.feed(piece)
        while (state := conn.run()) == COLD:
            requests.append(conn.command())
            conn.done()
        if state == CLOSING:
            return requests, conn.take_output().decode().removeprefix("-ERR ").removesuffix("\r\n")
        assert state == NEED_DATA
    return requests, ""


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# ---- requests, case by case

GOOD: list[tuple[bytes, list[list[bytes]]]] = [
    (b"*1\r\n$4\r\nPING\r\n", [[b"PING"]]),
    (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", [[b"ECHO", b""]]),
    (b"*2\r\n$3\r\nGET\r\n$5\r\na\r\nb\0\r\n", [[b"GET", b"a\r\nb\0"]]),
    (b"*1\r\n$10\r\n0123456789\r\n", [[b"0123456789"]]),
    (b"*11\r\n" + b"$1\r\nx\r\n" * 11, [[b"x"] * 11]),
    (b"*100\r\n" + b"$1\r\nx\r\n" * 100, [[b"x"] * 100]),
    (b"*2000\r\n" + b"$1\r\nx\r\n" * 2000, [[b"x"] * 2000]),
    (b"*0\r\n*1\r\n$1\r\na\r\n", [[b"a"]]),
    (b"*-1\r\n*1\r\n$1\r\na\r\n", [[b"a"]]),
    (b"*-123456\r\n", []),
    (b"*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n", [[b"a"], [b"b"]]),
    # inline
    (b"PING\r\n", [[b"PING"]]),
    (b"PING\n", [[b"PING"]]),
    (b"\r\n\n  \r\n PING \t x \r\n", [[b"PING", b"x"]]),
    (b"set \"a b\" 'c d'\r\n", [[b"set", b"a b", b"c d"]]),
    (rb'x "\x41\n\r\t\b\a\q\"\\" ' + b"\n", [[b"x", b'A\n\r\t\b\aq"\\']]),
    (rb'x "\xg1\x4"' + b"\n", [[b"x", b"xg1x4"]]),
    (b"x 'it\\'s' '\\n'\n", [[b"x", b"it's", b"\\n"]]),
    (b"x \"\" ''\r\n", [[b"x", b"", b""]]),
    (b"ab\"cd\" e'f'\r\n", [[b"abcd", b"ef"]]),
    (b"a\vb\fc d\r\n", [[b"a\vb\fc", b"d"]]),
    (b"before\0after\r\nPING\r\n", [[b"before"], [b"PING"]]),
    (b"x" * (64 * KB) + b"\n", [[b"x" * (64 * KB)]]),
    (b"PING\r\n*1\r\n$1\r\na\r\nPING\r\n", [[b"PING"], [b"a"], [b"PING"]]),
    (b"$3\r\n*1\r\n$1\r\na\r\n", [[b"$3"], [b"a"]]),
]

BAD: list[tuple[bytes, str]] = [
    (b"*abc\r\n", "Protocol error: invalid multibulk length"),
    (b"*\r\n", "Protocol error: invalid multibulk length"),
    (b"*01\r\n", "Protocol error: invalid multibulk length"),
    (b"*+1\r\n", "Protocol error: invalid multibulk length"),
    (b"*-0\r\n", "Protocol error: invalid multibulk length"),
    (b"* 1\r\n", "Protocol error: invalid multibulk length"),
    (b"*1\rx", "Protocol error: invalid multibulk length"),
    (b"*1048577\r\n", "Protocol error: invalid multibulk length"),
    (b"*99999999999999999999\r\n", "Protocol error: invalid multibulk length"),
    (b"*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"),
    (b"*1\r\nPING\r\n", "Protocol error: expected '$', got 'P'"),
    (b"*1\r\n\xff", "Protocol error: expected '$', got ' '"),
    (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
    (b"*1\r\n$x\r\n", "Protocol error: invalid bulk length"),
    (b"*1\r\n$\r\n", "Protocol error: invalid bulk length"),
    (b"*1\r\n$007\r\n", "Protocol error: invalid bulk length"),
    (b"*1\r\n$536870913\r\n", "Protocol error: invalid bulk length"),
    (b"*1\r\n$9223372036854775808\r\n", "Protocol error: invalid bulk length"),
    (b"*1\r\n$3\r\nabcXY", "Protocol error: expected CRLF behind a bulk"),
    (b'x "a\r\n', "Protocol error: unbalanced quotes in request"),
    (b"x 'a\r\n", "Protocol error: unbalanced quotes in request"),
    (b'x "a"b\r\n', "Protocol error: unbalanced quotes in request"),
    (b"x 'a'b\r\n", "Protocol error: unbalanced quotes in request"),
    (b'x "a\\\r\n', "Protocol error: unbalanced quotes in request"),
    (b"x" * (64 * KB + 1), "Protocol error: too big inline request"),
    (b"x" * (64 * KB + 1) + b"\n", "Protocol error: too big inline request"),
    (b"*" + b"1" * (64 * KB), "Protocol error: too big mbulk count string"),
    (b"*1\r\n$" + b"1" * (64 * KB), "Protocol error: too big bulk count string"),
]


@pytest.mark.parametrize(("data", "expected"), GOOD, ids=lambda case: repr(case)[:40])
def test_a_request_is_read_whole_bytewise_and_with_trailing_data(data: bytes, expected: list[list[bytes]]) -> None:
    assert fed([data]) == (expected, "")
    assert fed(bytewise(data)) == (expected, "")
    assert fed([data + TRAILING]) == (expected, "")
    assert parse(data) == (expected, len(data))
    assert parse(data + TRAILING)[0] == expected


@pytest.mark.parametrize(("data", "text"), BAD, ids=lambda case: repr(case)[:40])
def test_what_is_no_request_is_refused_whole_bytewise_and_with_trailing_data(data: bytes, text: str) -> None:
    good = b"*1\r\n$4\r\nPING\r\n"
    assert fed([good + data]) == ([[b"PING"]], text)
    assert fed([good, *bytewise(data)]) == ([[b"PING"]], text)
    assert fed([good + data + good]) == ([[b"PING"]], text)
    with pytest.raises(ProtocolError, match=re.escape(text)):
        parse(good + data)


@pytest.mark.parametrize(("data", "expected"), GOOD[:4] + GOOD[12:18], ids=lambda case: repr(case)[:40])
def test_a_request_cut_short_is_not_yet_a_request(data: bytes, expected: list[list[bytes]]) -> None:
    for cut in range(len(data)):
        requests, used = parse(data[:cut])
        assert requests == expected[: len(requests)] and used <= cut
        assert parse(data[used:])[0] == expected[len(requests) :]


def test_parse_tells_how_many_bytes_the_requests_take() -> None:
    assert parse(b"") == ([], 0)
    assert parse(b"PING\r\n*2\r\n$3\r\nGET") == ([[b"PING"]], 6)
    assert parse(b"\r\n\r\nPI") == ([], 4)


# ---- requests, any bytes


def reference(data: bytes) -> tuple[list[list[bytes]], str]:
    """What a stream of bytes means: as GOOD and BAD, without regard to speed."""
    requests: list[list[bytes]] = []
    at = 0

    def line(end: bytes, too_long: str) -> bytes | None:
        nonlocal at
        stop = data.find(end, at)
        if (len(data) if stop < 0 else stop) - at > 64 * KB:
            raise ProtocolError(too_long)
        if stop < 0 or (end == b"\r" and stop + 1 == len(data)):
            return None
        text, at = data[at:stop], stop + 1
        return text

    def count(wrong: str, too_long: str) -> int | None:
        nonlocal at
        text = line(b"\r", too_long)
        if text is None:
            return None
        if data[at : at + 1] != b"\n" or not re.fullmatch(rb"0|-?[1-9][0-9]{0,17}", text[1:]):
            raise ProtocolError(wrong)
        at += 1
        return int(text[1:])

    try:
        while at < len(data):
            if data[at : at + 1] != b"*":
                text = line(b"\n", "too big inline request")
                if text is None:
                    return requests, ""
                words = split(text.removesuffix(b"\r").split(b"\0")[0])
                if words:
                    requests.append(words)
                continue
            n = count("invalid multibulk length", "too big mbulk count string")
            if n is None:
                return requests, ""
            if n > 1024 * KB:
                raise ProtocolError("invalid multibulk length")
            argv = []
            for _ in range(n):
                if at == len(data):
                    return requests, ""
                if data[at : at + 1] != b"$":
                    got = chr(data[at]) if 32 <= data[at] <= 126 else " "
                    raise ProtocolError(f"expected '$', got '{got}'")
                size = count("invalid bulk length", "too big bulk count string")
                if size is None:
                    return requests, ""
                if not 0 <= size <= 512 * KB * KB:
                    raise ProtocolError("invalid bulk length")
                if len(data) < at + size + 2:
                    return requests, ""
                if data[at + size : at + size + 2] != b"\r\n":
                    raise ProtocolError("expected CRLF behind a bulk")
                argv.append(data[at : at + size])
                at += size + 2
            if argv:
                requests.append(argv)
    except ProtocolError as error:
        return requests, f"Protocol error: {error}"
    return requests, ""


ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
DOUBLE = re.compile(rb'"((?:\\x[0-9a-fA-F]{2}|\\[^\0]|[^"\\])*)"(?=\s|$)', re.S)
SINGLE = re.compile(rb"'((?:\\'|[^'])*?)'(?=\s|$)", re.S)
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.S)


def split(text: bytes) -> list[bytes]:
    """sdssplitargs, by regular expressions."""
    words = []
    while text := text.lstrip(b" \t\n\v\f\r"):
        word = re.match(rb"[^ \t\r\n\"']*", text).group()  # type: ignore[union-attr]
        text = text[len(word) :]
        if text[:1] in (b'"', b"'"):
            match = (DOUBLE if text[:1] == b'"' else SINGLE).match(text)
            if match is None:
                raise ProtocolError("unbalanced quotes in request")
            body = match.group(1)
            if text[:1] == b'"':
                word += ESCAPE.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else ESCAPES.get(m[2], m[2]), body)
            else:
                word += body.replace(b"\\'", b"'")
            text = text[match.end() :]
        words.append(word)
    return words


# Bytes that look like RESP often enough to reach everything: whole requests, their fragments, and anything.
FRAGMENTS = st.sampled_from(
    [b"*1\r\n", b"*2\r\n", b"*0\r\n", b"*-1\r\n", b"$1\r\n", b"$3\r\n", b"$0\r\n", b"$-1\r\n", b"*", b"$", b"\r", b"\n"]
    + [b"\r\n", b"abc\r\n", b"a\r\n", b'"a b"', b"'x y'", b'"', b"'", b"\\x4", b"\\", b" ", b"PING", b"\0", b"1", b"0"]
)
STREAMS = st.lists(
    st.one_of(
        FRAGMENTS,
        st.binary(max_size=8),
        st.lists(st.binary(max_size=30), min_size=1, max_size=5).map(lambda words: request(*words)),
    ),
    max_size=20,
).map(b"".join)


@given(STREAMS, st.data())
@example(b"x\r\n", None)
def test_any_bytes_mean_the_same_however_they_are_cut(data: bytes, draw: st.DataObject | None) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6))) if draw else []
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    expected = reference(data)
    assert fed([data]) == expected
    assert fed(pieces) == expected
    assert fed(bytewise(data)) == expected


@given(st.lists(st.lists(st.binary(max_size=200), min_size=1, max_size=20), max_size=20))
def test_whatever_clients_send_in_arrays_arrives(requests: list[list[bytes]]) -> None:
    data = b"".join(request(*argv) for argv in requests)
    assert parse(data) == (requests, len(data))
    assert fed(bytewise(data)) == (requests, "")


# ---- limits


def test_the_longest_bulk_is_a_setting() -> None:
    plane = cold_plane()
    plane.max_bulk = 10
    assert fed([request("x" * 10)], plane) == ([[b"x" * 10]], "")
    assert fed([request("x" * 11)], plane) == ([], "Protocol error: invalid bulk length")


def test_strangers_may_send_little_until_they_authenticate() -> None:
    plane = cold_plane()
    plane.auth_required = True
    assert fed([request(*"x" * 10)], plane) == ([[b"x"] * 10], "")
    assert fed([request(*"x" * 11)], plane) == ([], "Protocol error: unauthenticated multibulk length")
    assert fed([request("x" * 16384)], plane) == ([[b"x" * 16384]], "")
    assert fed([request("x" * 16385)], plane) == ([], "Protocol error: unauthenticated bulk length")
    conn = Conn(plane)
    conn.authenticated = True
    conn.feed(request("x" * 16385))
    assert conn.run() == COLD


def test_a_request_beyond_the_query_limit_ends_the_connection_without_a_word() -> None:
    plane = cold_plane()
    plane.max_query = 1000
    assert fed([b"*1\r\n$2000\r\n" + b"x" * 900], plane) == ([], "")
    conn = Conn(plane)
    conn.feed(b"*1\r\n$2000\r\n" + b"x" * 1000)
    assert (conn.run(), conn.take_output()) == (CLOSING, b"")


def test_requests_that_wait_behind_a_cold_one_are_no_overlong_request() -> None:
    plane = cold_plane()
    plane.max_query = 1000
    assert fed([request("PING") * 500], plane) == ([[b"PING"]] * 500, "")


def test_a_million_arguments_can_be_sent_and_their_room_is_given_back() -> None:
    words = [b"x"] * (1024 * KB)
    data = request(*words)
    assert parse(data) == ([words], len(data))


def test_a_long_bulk_in_small_pieces_arrives_in_time_proportional_to_its_length() -> None:
    """Sixteen thousand pieces: work that grew with the square would move half a terabyte."""
    size = 64 * KB * KB
    conn = Conn(cold_plane())
    piece = b"x" * 4096
    conn.feed(b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % size)
    for _ in range(size // len(piece)):
        assert conn.run() == NEED_DATA
        conn.feed(piece)
    conn.feed(b"\r\n")
    assert conn.run() == COLD
    assert conn.command()[1] == b"x" * size
    conn.done()
    assert conn.query_size() == 0


# ---- replies

REPLIES: list[tuple[object, bytes, bytes]] = [
    (None, b"$-1\r\n", b"_\r\n"),
    (True, b":1\r\n", b"#t\r\n"),
    (False, b":0\r\n", b"#f\r\n"),
    (0, b":0\r\n", b":0\r\n"),
    (-1, b":-1\r\n", b":-1\r\n"),
    (10, b":10\r\n", b":10\r\n"),
    (2**63 - 1, b":9223372036854775807\r\n", b":9223372036854775807\r\n"),
    (-(2**63), b":-9223372036854775808\r\n", b":-9223372036854775808\r\n"),
    (2**63, b"$19\r\n9223372036854775808\r\n", b"(9223372036854775808\r\n"),
    (b"", b"$0\r\n\r\n", b"$0\r\n\r\n"),
    (b"a\r\nb", b"$4\r\na\r\nb\r\n", b"$4\r\na\r\nb\r\n"),
    (bytearray(b"xy"), b"$2\r\nxy\r\n", b"$2\r\nxy\r\n"),
    (memoryview(b""), b"$0\r\n\r\n", b"$0\r\n\r\n"),
    ("é", b"$2\r\n\xc3\xa9\r\n", b"$2\r\n\xc3\xa9\r\n"),
    (OK, b"+OK\r\n", b"+OK\r\n"),
    (Simple("a\r\nb"), b"+a  b\r\n", b"+a  b\r\n"),
    (Error("ERR no"), b"-ERR no\r\n", b"-ERR no\r\n"),
    (Error("ERR a\nb"), b"-ERR a b\r\n", b"-ERR a b\r\n"),
    (Verbatim("hi"), b"$2\r\nhi\r\n", b"=6\r\ntxt:hi\r\n"),
    (Verbatim("hi", "mkd"), b"$2\r\nhi\r\n", b"=6\r\nmkd:hi\r\n"),
    (NullArray(), b"*-1\r\n", b"_\r\n"),
    (Raw(b":7\r\n"), b":7\r\n", b":7\r\n"),
    ([], b"*0\r\n", b"*0\r\n"),
    ((), b"*0\r\n", b"*0\r\n"),
    ([1, [b"a", ()]], b"*2\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n", b"*2\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n"),
    ({}, b"*0\r\n", b"%0\r\n"),
    ({"a": [1]}, b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", b"%1\r\n$1\r\na\r\n*1\r\n:1\r\n"),
    ({1}, b"*1\r\n:1\r\n", b"~1\r\n:1\r\n"),
    (frozenset(), b"*0\r\n", b"~0\r\n"),
    (Push([b"message", 1]), b"*2\r\n$7\r\nmessage\r\n:1\r\n", b">2\r\n$7\r\nmessage\r\n:1\r\n"),
    (3.0, b"$1\r\n3\r\n", b",3\r\n"),
    (-0.0, b"$2\r\n-0\r\n", b",-0\r\n"),
    (0.1, b"$3\r\n0.1\r\n", b",0.1\r\n"),
    (1e21, b"$5\r\n1e+21\r\n", b",1e+21\r\n"),
    (5e-324, b"$6\r\n5e-324\r\n", b",5e-324\r\n"),
    (math.inf, b"$3\r\ninf\r\n", b",inf\r\n"),
    (-math.inf, b"$4\r\n-inf\r\n", b",-inf\r\n"),
    (math.nan, b"$3\r\nnan\r\n", b",nan\r\n"),
]


@pytest.mark.parametrize(("reply", "resp2", "resp3"), REPLIES, ids=range(len(REPLIES)))
def test_a_reply_has_its_form_in_both_versions(reply: object, resp2: bytes, resp3: bytes) -> None:
    assert encode(reply) == encode(reply, 2) == resp2
    assert encode(reply, 3) == resp3


def test_a_reply_of_a_foreign_type_is_a_type_error_and_leaves_nothing_behind() -> None:
    conn = Conn(cold_plane())
    for wrong in (object(), [1, [object()]], {"a": 1j}):
        with pytest.raises(TypeError, match="has no form as a reply"):
            encode(wrong)
        with pytest.raises(TypeError):
            conn.write(wrong)
    assert conn.take_output() == b""


def test_the_version_of_resp_is_2_or_3() -> None:
    with pytest.raises(ValueError, match="2 or 3"):
        encode(1, 4)


def test_subclasses_are_what_they_derive_from() -> None:
    class Rows(list[int]): ...

    class Text(str): ...

    class Number(int): ...

    assert encode([Rows([1]), Text("a"), Number(7)]) == encode([[1], "a", 7])


@pytest.mark.parametrize("resp", [2, 3])
def test_depth_does_not_matter(resp: int) -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert encode(deep, resp) == b"*1\r\n" * 100_000 + b":1\r\n"
    while isinstance(deep, list):  # taken apart gently: a deep structure's own end is no subject here
        deep = deep.pop()


def test_an_integer_of_ten_thousand_digits_is_a_reply() -> None:
    value = 10**10_000 + 7
    assert encode(value, 3) == b"(1" + b"0" * 9_999 + b"7\r\n"
    assert encode(-value, 3) == b"(-1" + b"0" * 9_999 + b"7\r\n"


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.binary(max_size=20), st.text(max_size=20), st.floats(allow_nan=False)
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.integers(-(2**63), 2**63 - 1), st.binary()), inner, max_size=4),
    ),
    max_leaves=20,
)


def as_read(value: object) -> object:
    """What a client library makes of our RESP3: text as bytes."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return [as_read(part) for part in value]
    if isinstance(value, dict):
        return {as_read(key): as_read(part) for key, part in value.items()}
    return value


def read_hiredis(data: bytes) -> object:
    reader = hiredis.Reader()
    reader.feed(data)
    value = reader.gets()
    assert not reader.has_data()
    return value


def read_redis_py(data: bytes) -> object:
    """redis-py's own parser, without hiredis."""
    import asyncio

    from redis._parsers import _AsyncRESP3Parser

    async def read() -> object:
        parser = _AsyncRESP3Parser(socket_read_size=65536)
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        parser._stream = stream
        parser._connected = True
        parser.encoder = type("Encoder", (), {"decode": staticmethod(lambda value: value)})()
        return await parser.read_response(disable_decoding=True)

    return asyncio.run(read())


@pytest.mark.parametrize("read", [read_hiredis, read_redis_py])
@given(value=NESTED)
def test_clients_read_back_what_was_written(read: Callable[[bytes], object], value: object) -> None:
    assert same(read(encode(value, 3)), as_read(value))


def same(a: object, b: object) -> bool:
    """Equal, and of equal types all the way down: 1 is not True and not 1.0; but 1.0 may come back as the double 1."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if type(b) is int and not -(2**63) <= b < 2**63:  # a big number: hiredis gives its digits
        return int(a) == b  # type: ignore[call-overload, no-any-return]
    return type(a) is type(b) and a == b


@given(st.floats())
def test_a_double_reads_back_as_itself_and_is_as_short_as_can_be(value: float) -> None:
    text = encode(value, 3)[1:-2].decode()
    assert math.isnan(float(text)) if math.isnan(value) else float(text) == value
    if math.isfinite(value):
        digits = re.sub(r"e.*|[-.]", "", text).strip("0")
        assert len(digits) <= len(re.sub(r"e.*|[-.]", "", repr(value)).strip("0")) + (
            math.frexp(value)[0] in (0.5, -0.5)
        )


# ---- replies, as a connection writes them


def test_client_reply_off_and_skip_silence_hot_and_cold_commands() -> None:
    plane = Plane([keyspace(db) for db in range(16)])
    conn = Conn(plane)
    conn.replies = 2
    conn.write(Raw(b""))  # CLIENT REPLY SKIP's own reply, which is none
    conn.feed(request("PING") + request("ECHO", "a"))
    assert (conn.run(), conn.take_output()) == (NEED_DATA, b"$1\r\na\r\n")
    conn.replies = 0
    conn.feed(request("PING") + request("NO-SUCH-COMMAND"))
    assert conn.run() == COLD
    conn.write(Error("ERR unknown"))
    conn.push(Push([b"note"]))
    conn.done()
    assert (conn.run(), conn.take_output()) == (NEED_DATA, encode(Push([b"note"])))
    conn.replies = 1
    conn.feed(request("PING"))
    assert (conn.run(), conn.take_output()) == (NEED_DATA, b"+PONG\r\n")


def test_output_can_be_taken_piece_by_piece() -> None:
    conn = Conn(cold_plane())
    conn.write(b"0123456789")
    conn.write(1)
    assert conn.output_size() == 21
    assert (conn.take_output(5), conn.take_output(0), conn.take_output(), conn.take_output()) == (
        b"$10\r\n",
        b"",
        b"0123456789\r\n:1\r\n",
        b"",
    )


def test_command_without_a_cold_command_is_a_mistake_of_the_caller() -> None:
    conn = Conn(cold_plane())
    with pytest.raises(RuntimeError, match="no cold command"):
        conn.command()
    assert _wire.NEED_DATA == conn.run()
