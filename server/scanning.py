"""What SCAN, HSCAN, SSCAN and ZSCAN have in common: the cursor and the options."""

import re
from dataclasses import dataclass
from typing import Self

from tsunami_server.arguments import SYNTAX, integer
from tsunami_server.command import CommandError
from tsunami_server.glob import compile_glob, is_everything

_CURSOR = re.compile(rb"(?:[+-]?[0-9]+)?")
MAX_COUNT = 1 << 16  # more at once are given in several steps


def scan_cursor(data: bytes) -> int:
    """strtoul: a sign is allowed, and an empty word is 0."""
    if not _CURSOR.fullmatch(data) or len(data) > 20 or abs(int(data or b"0")) >= 1 << 64:
        raise CommandError("ERR invalid cursor")
    return int(data or b"0") % (1 << 64)


@dataclass(slots=True)
class ScanOptions:
    count: int = 10
    pattern: bytes = b"*"
    kind: str | None = None
    values: bool = True

    @classmethod
    def parse(cls, words: list[bytes], *, kinds: bool = False, fields: bool = False) -> Self:
        """MATCH and COUNT; with `kinds` TYPE, too; NOVALUES means something for fields only."""
        options = cls()
        at = 0
        while at < len(words):
            at += options._take(words[at].upper(), words[at + 1 : at + 2], kinds, fields)
        return options

    def _take(self, word: bytes, following: list[bytes], kinds: bool, fields: bool) -> int:
        """Note one option; the number of words it took."""
        if word == b"NOVALUES" and not kinds:
            if not fields:
                raise CommandError("ERR NOVALUES option can only be used in HSCAN")
            self.values = False
            return 1
        if word == b"COUNT" and following:
            count = integer(following[0])
            if count < 1:
                raise CommandError(SYNTAX)
            self.count = min(count, MAX_COUNT)
        elif word == b"MATCH" and following:
            self.pattern = following[0]
        elif word == b"TYPE" and kinds and following:
            self.kind = following[0].lower().decode("utf-8", "replace")
        else:
            raise CommandError(SYNTAX)
        return 2

    def keep(self, names: list[bytes]) -> list[bytes]:
        """Those that match."""
        if is_everything(self.pattern):
            return names
        matches = compile_glob(self.pattern)
        return [name for name in names if matches(name)]
