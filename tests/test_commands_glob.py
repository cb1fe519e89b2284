"""Glob patterns: what matches, as Redis's stringmatchlen has it, and how long that takes.

test_differential.py compares KEYS and SCAN with a real redis-server; here the same function is compared with a plain
port of Redis's algorithm, on many more strings than there are keys.
"""

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsunami_server.glob import compile_glob


def string_match(pattern: bytes, string: bytes, ignore_case: bool = False) -> bool:
    """util.c, stringmatchlen(): recursive, and exponential."""
    fold = bytes.lower if ignore_case else bytes
    string = fold(string)
    p = s = 0
    while p < len(pattern) and s < len(string):
        c = pattern[p : p + 1]
        if c == b"*":
            while pattern[p + 1 : p + 2] == b"*":
                p += 1
            if p + 1 == len(pattern):
                return True
            return any(string_match(pattern[p + 1 :], string[at:], ignore_case) for at in range(s, len(string)))
        if c == b"[":
            found, p = class_match(pattern, p + 1, string[s], fold)
            if not found:
                return False
        elif c != b"?":
            if c == b"\\" and p + 1 < len(pattern):
                p += 1
            if fold(pattern[p : p + 1]) != string[s : s + 1]:
                return False
        s += 1
        p += 1
        if s == len(string):
            while pattern[p : p + 1] == b"*":
                p += 1
            break
    return p == len(pattern) and s == len(string)


def char(byte: bytes) -> int:
    return byte[0] - 256 if byte[0] > 127 else byte[0]


def class_match(pattern: bytes, p: int, byte: int, fold: Callable[[bytes], bytes]) -> tuple[bool, int]:
    """Does the class that begins at p hold the byte? And the place of its last character."""
    negated = pattern[p : p + 1] == b"^"
    p += negated
    found = False
    while True:
        if p == len(pattern):
            p -= 1
            break
        if pattern[p] == ord("\\") and p + 1 < len(pattern):
            p += 1
            found |= fold(pattern[p : p + 1])[0] == byte
        elif pattern[p] == ord("]"):
            break
        elif p + 2 < len(pattern) and pattern[p + 1] == ord("-"):
            low, high = (char(fold(end)) for end in sorted((pattern[p : p + 1], pattern[p + 2 : p + 3]), key=char))
            p += 2
            found |= low <= char(bytes([byte])) <= high
        else:
            found |= fold(pattern[p : p + 1])[0] == byte
        p += 1
    return found != negated, p


@pytest.mark.parametrize(
    ("pattern", "string", "matches"),
    [
        (b"*", b"anything", True),
        (b"h?llo", b"hello", True),
        (b"h?llo", b"hllo", False),
        (b"h*llo", b"heeeello", True),
        (b"h[ae]llo", b"hillo", False),
        (b"h[^e]llo", b"hallo", True),
        (b"h[a-b]llo", b"hbllo", True),
        (b"h[b-a]llo", b"hallo", True),
        (b"[a\\]]", b"]", True),
        (b"\\*", b"*", True),
        (b"\\*", b"x", False),
        (b"a\\", b"a\\", True),
        (b"[", b"[", False),
        (b"[^", b"x", True),
        (b"[a", b"a", True),
        (b"", b"", True),
        (b"**", b"", False),
        (b"[\xff-b]", b"a", True),
        (b"[\xff-b]", b"c", False),
        (b"[\x80-\xff]", b"\x90", True),
        (b"a*b*c", b"a\nb\r\nc", True),
        (b"a.c", b"abc", False),
        (b"news.[0-9]*", b"news.2026.01", True),
    ],
)
def test_a_pattern_matches_what_redis_says(pattern: bytes, string: bytes, matches: bool) -> None:
    assert compile_glob(pattern)(string) == matches == string_match(pattern, string)


pieces = st.sampled_from(
    [b"*", b"?", b"[", b"]", b"^", b"-", b"\\", b"a", b"b", b"c", b"A", b"\xff", b"\n",
     b"[a-c]", b"[^b]", b"[\xff-b]", b"[!-b]", b"[a-B]"]
)  # fmt: skip
patterns = st.lists(pieces, max_size=10).map(b"".join)
strings = st.lists(st.sampled_from([b"a", b"b", b"c", b"A", b"]", b"-", b"^", b"\\", b"\xff", b"\n"]), max_size=8).map(
    b"".join
)


@given(patterns, st.lists(strings, min_size=1, max_size=20), st.booleans())
def test_any_pattern_matches_as_redis_matches(pattern: bytes, candidates: list[bytes], ignore_case: bool) -> None:
    matches = compile_glob(pattern, ignore_case)
    for string in candidates:
        assert matches(string) == string_match(pattern, string, ignore_case), string


def test_letters_of_both_cases_match_where_case_is_ignored() -> None:
    matches = compile_glob(b"Max[A-N]*", ignore_case=True)
    assert matches(b"maxmemory") and matches(b"MAXCLIENTS") and not matches(b"maxz")


def test_a_pattern_of_many_stars_does_not_take_for_ever() -> None:
    start = time.monotonic()
    assert not compile_glob(b"a*" * 50 + b"b")(b"a" * 20_000)
    assert not compile_glob(b"*a" * 30 + b"?" * 30 + b"z")(b"a" * 20_000)
    assert compile_glob(b"*" * 1000 + b"[^b]" * 1000)(b"a" * 20_000)
    assert time.monotonic() - start < 10


def test_the_port_above_is_one_of_redis_and_not_of_ours() -> None:
    """Where fnmatch, too, has an opinion on plain patterns, all three agree."""
    for pattern, expression in ((b"a?c*", rb"a.c.*"), (b"[a-c]x", rb"[a-c]x")):
        for string in (b"abc", b"abcd", b"ax", b"dx", b"ac"):
            assert (
                string_match(pattern, string) == bool(re.fullmatch(expression, string)) == compile_glob(pattern)(string)
            )
