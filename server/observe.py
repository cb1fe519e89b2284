"""How a server is watched: times of commands counted by how long they were, MONITOR's lines, words that stay secret.

What it is: small forms without state of the server's: a Spread of times, and what is told of it (percentiles, powers of
two); how a command is spelled for those who read along.

What it is not: SLOWLOG and LATENCY's samples (shared.py), the hot path's counters (Plane.command_spreads: the same
counters, so that both can be added up).

**A spread.** Counter n stands for n ns up to 31. From there on a time is told by its length in bits and the five bits
behind its first: 3 % of it, at least.

    ns       0 .. 31 | 32 33 .. 63 | 64 66 .. 126 | 128 132 .. | ...
    counter  0 .. 31 | 32 33 .. 63 | 64 65 .. 95  | 96 97  ..  | ...
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from tsunami_server.command import Command

Spread: TypeAlias = Counter[int]

BITS: Final = 5  # as SPREAD_BITS in conn.pxi
LINE: Final = 1024  # ns: the first of the times that LATENCY HISTOGRAM counts up to
REDACTED: Final = b"(redacted)"


def longest(at: int) -> int:
    """The longest time, in ns, that a counter stands for."""
    if at < 1 << BITS:
        return at
    e = (at >> BITS) + BITS - 1
    return (((1 << BITS) + (at & ((1 << BITS) - 1)) + 1) << (e - BITS)) - 1


def percentile(spread: Mapping[int, int], percent: float) -> int:
    """The time, in ns, within which so many of a hundred were over; 0 if there were none."""
    wanted = max(1, int(percent / 100 * sum(spread.values()) + 0.5))
    for at in sorted(spread):
        wanted -= spread[at]
        if wanted <= 0:
            return longest(at)
    return 0


def cumulated(spread: Mapping[int, int]) -> dict[int, int]:
    """How many were over within 1, 2, 4, 8, 16, 33, 66 ... microseconds: where that becomes more."""
    told: dict[int, int] = {}
    left, seen, bound = sorted(spread), 0, LINE
    while left:
        before = seen
        while left and longest(left[0]) <= bound + (bound >> 7):
            seen += spread[left.pop(0)]
        if seen != before:
            told[(bound + (bound >> 7) - 1) // 1000] = seen
        bound <<= 1
    return told


# ---- words that stay secret


def without_passwords(command: Command, argv: Sequence[bytes]) -> list[bytes]:
    """The words of a call as logs may show them."""
    words = list(argv)
    if command.name == "auth":
        return [words[0], *[REDACTED] * (len(words) - 1)]
    if command.name == "hello":
        for at, word in enumerate(words):
            if word.lower() == b"auth":
                words[at + 1 : at + 3] = [REDACTED] * len(words[at + 1 : at + 3])
        return words
    if command.name == "config|set":
        secret = (b"requirepass", b"masterauth", b"masteruser", b"tls-key-file-pass", b"tls-client-key-file-pass")
        return [REDACTED if at and words[at - 1].lower() in secret else word for at, word in enumerate(words)]
    if command.name in ("acl|setuser", "acl|getuser", "acl|deluser"):  # also whom it is about, as in Redis
        return [REDACTED if at > 1 else word for at, word in enumerate(words)]
    return words


# ---- MONITOR


def quoted(word: bytes) -> bytes:
    """A word as Redis prints it: in quotation marks, everything that is not printable escaped."""
    return b'"%b"' % b"".join(_SPELLED[byte] for byte in word)


_SPELLED: Final = [
    {7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 13: b"\\r", 34: b'\\"', 92: b"\\\\"}.get(
        byte, bytes([byte]) if 32 <= byte < 127 else b"\\x%02x" % byte
    )
    for byte in range(256)
]


def monitor_line(db: int, where: bytes, argv: Sequence[bytes], now_us: int) -> bytes:
    """What a client that said MONITOR is sent of a command.

    >>> monitor_line(0, b"127.0.0.1:5000", [b"set", b"k", b"a b"], 1500000)
    b'+1.500000 [0 127.0.0.1:5000] "set" "k" "a b"\\r\\n'
    """
    seconds, us = divmod(now_us, 1_000_000)
    return b"+%d.%06d [%d %b] %b\r\n" % (seconds, us, db, where, b" ".join(map(quoted, argv)))
