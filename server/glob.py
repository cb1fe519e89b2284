"""Redis's glob patterns (`stringmatchlen`), for KEYS, SCAN, CONFIG GET and COMMAND LIST.

`*` any bytes, `?` one byte, `[abc]` `[^abc]` `[a-z]` classes, `\\x` the byte x itself. A class that is not closed ends
with the pattern; a range may be written backwards; `[]` matches nothing and `[^]` any byte.

What it is not: fnmatch. And it is not exponential, whatever the pattern: each part between two stars is taken where it
first fits and never given back (an atomic group), which is right for globs because everything between stars has a fixed
length.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeAlias

Fold: TypeAlias = Callable[[bytes], bytes]  # what becomes of bytes before they are compared


@lru_cache(maxsize=256)
def compile_glob(pattern: bytes, ignore_case: bool = False) -> Callable[[bytes], bool]:
    """Make a function that tells whether a byte string matches the pattern as a whole."""
    fold: Fold = bytes.lower if ignore_case else bytes
    first, *rest = _parts(pattern, fold)
    text = b"".join(first)
    if rest:
        *middle, last = rest
        text += b"".join(b"(?>.*?%s)" % b"".join(part) for part in middle if part) + b".*" + b"".join(last)
    match = re.compile(text, re.DOTALL).fullmatch
    # Redis looks at no pattern once the string is used up: the empty string matches the empty pattern only.
    return lambda string: match(fold(string)) is not None if string else not pattern


def is_everything(pattern: bytes) -> bool:
    return pattern == b"*"


def _parts(pattern: bytes, fold: Fold) -> Iterator[list[bytes]]:
    """The pieces between the stars, each as a list of regular expressions for one byte."""
    part: list[bytes] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        at += 1
        if byte == b"*":
            yield part
            part = []
        elif byte == b"?":
            part.append(b".")
        elif byte == b"[":
            expression, at = _byte_class(pattern, at, fold)
            part.append(expression)
        else:
            if byte == b"\\" and at < len(pattern):
                byte = pattern[at : at + 1]
                at += 1
            part.append(re.escape(fold(byte)))
    yield part


def _byte_class(pattern: bytes, at: int, fold: Fold) -> tuple[bytes, int]:
    """Read what stands behind a `[`; the expression for it, and where the pattern goes on."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    members: set[int] = set()
    while at < len(pattern):
        byte = pattern[at]
        if byte == ord("\\") and at + 1 < len(pattern):
            members.update(fold(pattern[at + 1 : at + 2]))
            at += 2
        elif byte == ord("]"):
            at += 1
            break
        elif at + 2 < len(pattern) and pattern[at + 1] == ord("-"):
            ends = sorted((pattern[at : at + 1], pattern[at + 2 : at + 3]), key=signed)
            low, high = (signed(fold(end)) for end in ends)  # in this order: [a-B] is [B-a] and then empty
            members.update(value & 0xFF for value in range(low, high + 1))
            at += 3
        else:
            members.update(fold(pattern[at : at + 1]))
            at += 1
    if not members:
        return (b"." if negated else b"(?!)"), at
    return b"[%s%s]" % (b"^" if negated else b"", b"".join(b"\\x%02x" % m for m in sorted(members))), at


def signed(byte: bytes) -> int:
    """A byte as C's char, by which Redis compares: what is above 127 stands below 0."""
    return int.from_bytes(byte, signed=True)
