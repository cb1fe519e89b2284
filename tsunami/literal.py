"""Term literals: text to term, and term to text.

Literals follow Erlang, with text in double quotes as in Elixir:

    42  -7  16#ff  $a          integers (any size; any base from 2 to 36; a character's number)
    1.5  -1.5e3                floats: digits on both sides of the dot
    ok  'an atom'  true nil    atoms; `true`, `false` and `nil` are True, False and None
    "text"                     text (str)
    <<1,2,255>> <<"abc">>      binaries (bytes); <<5:3>> a bit string; text in a binary is its UTF-8
    {1, "alice"}  {}           tuples
    [a, b]  [a | b]            lists, also improper ones
    #{name => "x"}             maps
    % to the end of the line   comments

Escapes in text, atoms and characters are Erlang's: \\n \\r \\t \\v \\b \\f \\e \\s \\d, \\x41, \\x{263A}, \\101, \\^A,
and any other character as itself.

>>> from tsunami.literal import format, parse
>>> parse('{1, "alice", [a, b | c]}')
(1, 'alice', ImproperList([Atom('a'), Atom('b')], Atom('c')))
>>> format((1, b"\\xff", {"x": None}))
'{1, <<255>>, #{"x" => nil}}'

What this is not: the query language (no variables, no `_`; tsunami/querytext.py builds it on the scanner, the reader of
terms and the speller of this file), and not a way to write pids, references, ports, funs or
terms of a program's own types: `format` shows them (`#Pid<...>`), and `parse` refuses what it shows. The same holds for
infinite floats and NaN.

What must stay true:

1. `parse(format(term))` is the term again, the types of numbers and text included, for every term that has a literal.
2. Neither function recurses: depth costs heap, never stack. Both take time in proportion to the text, save huge
   integers.
3. Every error says where: line and column of the first character that cannot stand there, counted from 1.
"""

import math
import re
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final, NoReturn

from tsunami._core import Atom, Bits, Fun, ImproperList, Pid, Port, Reference, TsunamiError

__all__ = ["LiteralError", "TextError", "format", "int_text", "parse", "to_int"]

# Map keys nested deeper than this are refused: Python hashes a tuple by recursion in C.
MAX_KEY_DEPTH: Final = 400
# Python converts longer decimals in quadratic time only, and by default refuses to.
_CHUNK: Final = 2000


class TextError(TsunamiError, ValueError):
    """A mistake at one place of a text. `line` and `column` count from 1; `reason` is the message without the place,
    `summary` the message in one line.
    """

    def __init__(self, reason: str, text: str, at: int) -> None:
        self.reason = reason
        self.line = text.count("\n", 0, at) + 1
        start = text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        self.column = at - start + 1
        self.summary = f"line {self.line}, column {self.column}: {reason}"
        shown_from = max(start, at - 40)
        shown = text[shown_from : end if end >= 0 else len(text)][:80].replace("\t", " ")
        super().__init__(f"{self.summary}\n    {shown}\n    {' ' * (at - shown_from)}^")


class LiteralError(TextError):
    """Text that is no literal."""


# ---- text to tokens

_SPACE = re.compile(r"(?:\s+|%[^\n]*)*")
_NUMBER = re.compile(r"(-?)([0-9]+)(?:#([0-9A-Za-z]+)|(\.[0-9]+(?:[eE][+-]?[0-9]+)?))?")
_WORD = re.compile(r"[^\W\d]\w*(?:@\w*)*")
_PLAIN = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}
_ESCAPE = re.compile(r"\\(?:x\{([0-9A-Fa-f]{1,8})\}|x([0-9A-Fa-f]{2})|([0-7]{1,3})|\^(.)|([^x]))", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "b": "\b", "f": "\f", "e": "\x1b", "s": " ", "d": "\x7f"}

VALUE, MARK, END = "value", "mark", "end"
_CONSTANTS = {"true": True, "false": False, "nil": None}


NO_KEY, A_KEY, INSIDE_A_KEY = 0, 1, 2


class Scanner:
    """Tokens, one at a time. `at` is where the last one began, `next_at` where the next one is looked for. `key` says
    how the next term stands to the maps that are open: outside of all keys, a whole key, or a part of one.
    """

    Error: ClassVar[type[TextError]] = LiteralError
    marks: ClassVar[tuple[str, ...]] = ("<<", ">>", "=>", "#{", "{", "}", "[", "]", ",", "|", ":")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.next_at = 0
        self.key = NO_KEY

    def fail(self, reason: str, at: int | None = None) -> NoReturn:
        raise self.Error(reason, self.text, self.at if at is None else at)

    def skip_space(self) -> int:
        """To the beginning of the next token, and tell where that is."""
        space = _SPACE.match(self.text, self.next_at)
        self.at = self.next_at = space.end() if space else self.next_at
        return self.at

    def take(self) -> tuple[str, object]:
        """The next token: its kind, and its value or its mark."""
        text, at = self.text, self.skip_space()
        if at == len(text):
            return END, "the end"
        char = text[at]
        if char.isdecimal() or (char == "-" and text[at + 1 : at + 2].isdecimal()):
            return VALUE, self._number()
        if char == '"':
            return VALUE, self._quoted('"')
        if char == "'":
            return VALUE, self.quoted_atom(self._quoted("'"))
        if char == "$":
            return VALUE, self.character()
        for mark in self.marks:
            if text.startswith(mark, at):
                self.next_at = at + len(mark)
                return MARK, mark
        return self.word()

    def _number(self) -> int | float:
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            self.fail("a number in other than the digits 0 to 9")
        self.next_at = match.end()
        sign, digits, based, fraction = match.groups()
        if self.text[self.next_at : self.next_at + 1].isalnum() or self.text.startswith(("_", "#"), self.next_at):
            self.fail("a number goes on here with what cannot belong to it", self.next_at)
        if fraction:
            return self._float(match.group())
        if based is None:
            return to_int(sign + digits)
        base = int(digits) if len(digits) <= 2 else 0
        if not 2 <= base <= 36:
            self.fail(f"the base {digits[:20]} is not between 2 and 36")
        try:
            return int(sign + based, base)
        except ValueError:
            self.fail(f"{based[:20]!r} is no number to the base {base}", match.start(3))

    def _float(self, spelled: str) -> float:
        value = float(spelled)
        if math.isinf(value):
            self.fail("a float of this size cannot be stored")
        return value

    def _quoted(self, quote: str) -> str:
        """What stands between two quotes, escapes read."""
        text, parts, at = self.text, list[str](), self.at + 1
        plain = _PLAIN[quote]
        while True:
            match = plain.match(text, at)
            assert match is not None
            parts.append(match.group())
            at = match.end()
            if at == len(text):
                self.fail(f"this {quote} is never closed")
            if text[at] == quote:
                self.next_at = at + 1
                return "".join(parts)
            char, at = self._escape(at)
            parts.append(char)

    def _escape(self, at: int) -> tuple[str, int]:
        match = _ESCAPE.match(self.text, at)
        if match is None:
            self.fail("no escape", at)
        braced, two, octal, control, single = match.groups()
        if single is not None:
            return _LETTERS.get(single, single), match.end()
        if control is not None:
            return chr(ord(control) & 31), match.end()
        code = int(octal, 8) if octal is not None else int(braced or two, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            self.fail("no character has this number", at)
        return chr(code), match.end()

    def character(self) -> object:
        """What begins with a dollar sign: the number of the character behind it."""
        at = self.at + 1
        if at == len(self.text):
            self.fail("a character is missing behind the $")
        if self.text[at] == "\\":
            char, self.next_at = self._escape(at)
            return ord(char)
        self.next_at = at + 1
        return ord(self.text[at])

    def word(self) -> tuple[str, object]:
        """An atom without quotes, or what else is a word."""
        match = _WORD.match(self.text, self.at)
        if match is None:
            self.fail(f"nothing begins with {self.text[self.at]!r}")
        self.next_at = match.end()
        word = match.group()
        if word[0] == "_" or word[0].isupper():
            return VALUE, self.variable(word)
        return self.bare_word(word)

    def bare_word(self, word: str) -> tuple[str, object]:
        return VALUE, self.atom(word)

    def variable(self, name: str) -> object:
        self.fail(f"the variable {name[:40]}: variables stand in queries only")

    def quoted_atom(self, name: str) -> object:
        return self.atom(name)

    def atom(self, name: str) -> object:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        try:
            return Atom(name)
        except ValueError as error:
            self.fail(str(error))


# ---- tokens to terms

CLOSES = {"{": "}", "[": "]", "#{": "}"}


class _Joined:
    """A list with a tail, while it may become the tail of another: [1 | [2 | [3 | ...]]] takes no quadratic time."""

    __slots__ = ("end", "items")

    def __init__(self, tail: object) -> None:
        self.items: deque[object] = deque()
        self.end: object = []
        if isinstance(tail, list):
            self.items += tail
        elif isinstance(tail, ImproperList):
            self.items += tail.items
            self.end = tail.tail
        else:
            self.end = tail


def settled(term: object) -> object:
    """A term that is no tail, as what it will be."""
    if not isinstance(term, _Joined):
        return term
    return list(term.items) if type(term.end) is list else ImproperList(term.items, term.end)


class Open:
    """A tuple, list or map that has begun and not yet ended."""

    __slots__ = ("at", "has_tail", "items", "key", "keys", "kind", "tail")

    def __init__(self, kind: str, at: int, key: int = NO_KEY) -> None:
        self.kind = kind
        self.at = at
        self.key = INSIDE_A_KEY if key else NO_KEY  # of all its elements; a map's own keys have A_KEY
        self.items: list[object] = []
        self.keys: list[object] = []  # of a map: one more than items while a value is awaited
        self.has_tail = False
        self.tail: object = None

    def add(self, value: object) -> None:
        if self.kind == "#{" and len(self.keys) == len(self.items):
            self.keys.append(value)
        elif self.has_tail:
            self.tail = value
        else:
            self.items.append(value)

    def next_key(self) -> int:
        """How the next element stands to the keys of maps."""
        return self.key or (A_KEY if self.kind == "#{" and len(self.keys) == len(self.items) else NO_KEY)

    def expects(self) -> tuple[str, ...]:
        """The marks that may follow now."""
        if self.kind == "#{" and len(self.keys) > len(self.items):
            return ("=>",)
        if self.has_tail:
            return ("]",)
        return (",", "|", "]") if self.kind == "[" else (",", "}")

    def close(self, scanner: Scanner) -> object:
        """The term. If it has a tail it is to be settled, but where it is a tail itself."""
        if self.kind == "{":
            return tuple(self.items)
        if self.kind == "#{":
            return self._map(scanner)
        if not self.has_tail:
            return self.items
        joined = self.tail if isinstance(self.tail, _Joined) else _Joined(self.tail)
        joined.items.extendleft(reversed(self.items))
        return joined

    def _map(self, scanner: Scanner) -> dict[object, object]:
        made: dict[object, object] = {}
        seen: dict[object, object] = {}
        for key, value in zip(self.keys, self.items, strict=True):
            if type(key) in (list, dict):
                scanner.fail("a list or a map cannot be a map's key in Python", self.at)
            if _is_deep(key):
                scanner.fail(f"a map's key is nested deeper than {MAX_KEY_DEPTH}", self.at)
            try:
                rival = seen.setdefault(key, key)
                made[key] = value
            except TypeError:
                scanner.fail("this map has a key that Python cannot hash", self.at)
            if rival is not key and format(rival) != format(key):
                scanner.fail(f"the keys {format(rival)[:40]} and {format(key)[:40]} are one key in Python", self.at)
        return made


def _is_deep(key: object) -> bool:
    """Is a key nested too deep to be hashed?"""
    level = [key]
    for _ in range(MAX_KEY_DEPTH + 1):
        within: list[object] = []
        for term in level:
            if isinstance(term, (tuple, list)):
                within += term
            elif isinstance(term, ImproperList):
                within += (*term.items, term.tail)
        if not within:
            return False
        level = within
    return True


def parse(text: str) -> object:
    """Read one literal, the whole text.

    LiteralError, a ValueError, names the place of the first mistake.

    >>> parse("#{name => <<1, 2:4>>}")
    {Atom('name'): Bits(b'\\x01 ', 12)}
    >>> parse("{1, }")
    Traceback (most recent call last):
    tsunami.literal.LiteralError: line 1, column 5: a term is missing before }
        {1, }
            ^
    """
    scanner = Scanner(text)
    term = read_term(scanner)
    if scanner.take()[0] != END:
        scanner.fail("the term is complete, but the text goes on")
    return term


def read_term(scanner: Scanner) -> object:
    """Read one term, and nothing of what stands behind it."""
    stack: list[Open] = []
    while True:
        scanner.key = stack[-1].next_key() if stack else NO_KEY
        kind, value = scanner.take()
        if kind == MARK and value in CLOSES:
            opened = Open(str(value), scanner.at, scanner.key)
            stack.append(opened)
            here, scanner.key = scanner.next_at, opened.next_key()
            if scanner.take() != (MARK, CLOSES[opened.kind]):
                scanner.next_at = here  # not empty: read its first element
                continue
            value = stack.pop().close(scanner)
        elif kind == MARK and value == "<<":
            value = read_binary(scanner)
        elif kind != VALUE:
            term_missing(scanner, kind, value)
        while stack:
            top = stack[-1]
            top.add(value)
            if not _closed(scanner, top):
                break
            value = stack.pop().close(scanner)
            if not (stack and stack[-1].has_tail):
                value = settled(value)
        else:
            scanner.key = NO_KEY
            return value


def term_missing(scanner: Scanner, kind: str, value: object) -> NoReturn:
    scanner.fail(f"a term is missing {'at the end' if kind == END else f'before {value}'}")


def _closed(scanner: Scanner, top: Open) -> bool:
    """Read the mark behind an element. Does it close the whole?"""
    kind, mark = scanner.take()
    allowed = top.expects()
    if kind == END:
        scanner.fail(f"this {top.kind} is never closed", top.at)
    if kind != MARK or mark not in allowed:
        scanner.fail(f"{' or '.join(allowed)} expected here")
    if mark == "|":
        top.has_tail = True
    return mark == CLOSES[top.kind]


def read_binary(scanner: Scanner) -> bytes | Bits:
    """The segments up to `>>`. The bits are gathered in a number only while they are no whole bytes."""
    data, loose, loose_bits = bytearray(), 0, 0
    kind, value = scanner.take()
    while (kind, value) != (MARK, ">>"):
        at = scanner.at
        if kind != VALUE or type(value) not in (int, str):
            scanner.fail("an integer or text expected here" if kind != END else "this << is never closed", at)
        kind, mark = scanner.take()
        size = 8
        if (kind, mark) == (MARK, ":"):
            size = _segment_size(scanner, value)
            kind, mark = scanner.take()
        bits, piece = _segment(scanner, value, size, at)
        loose, loose_bits = _append_bits(data, loose, loose_bits, piece, bits)
        if (kind, mark) == (MARK, ","):
            kind, value = scanner.take()
            if (kind, value) == (MARK, ">>"):
                scanner.fail("a segment is missing before >>")
        elif (kind, mark) == (MARK, ">>"):
            break
        else:
            scanner.fail(", or >> expected here")
    if not loose_bits:
        return bytes(data)
    return Bits(bytes(data) + bytes([loose << (8 - loose_bits)]), len(data) * 8 + loose_bits)


def _segment_size(scanner: Scanner, value: object) -> int:
    if type(value) is not int:
        scanner.fail("only an integer has a size")
    kind, size = scanner.take()
    if kind != VALUE or type(size) is not int or not 1 <= size <= 1 << 20:
        scanner.fail("a size from 1 to 1048576 expected here")
    return size


def _segment(scanner: Scanner, value: object, size: int, at: int) -> tuple[int, bytes | int]:
    """Number of bits, and the bits: bytes for text, a number for an integer."""
    if isinstance(value, str):
        encoded = value.encode()
        return len(encoded) * 8, encoded
    assert isinstance(value, int)
    if not -(1 << (size - 1)) <= value < 1 << size:
        scanner.fail(f"this integer does not fit into {size} bits", at)
    return size, value & ((1 << size) - 1)


def _append_bits(data: bytearray, loose: int, loose_bits: int, piece: bytes | int, bits: int) -> tuple[int, int]:
    if not loose_bits:
        if isinstance(piece, bytes):
            data += piece
            return 0, 0
        if bits == 8:
            data.append(piece)
            return 0, 0
    number = int.from_bytes(piece, "big") if isinstance(piece, bytes) else piece
    total = loose_bits + bits
    number |= loose << bits
    rest = total % 8
    data += (number >> rest).to_bytes(total // 8, "big")
    return number & ((1 << rest) - 1), rest


# ---- integers of any size


def to_int(digits: str) -> int:
    """Decimal text of any length, by halves: Python itself refuses more than some thousand digits."""
    if len(digits) <= _CHUNK:
        return int(digits)
    if digits[0] == "-":
        return -to_int(digits[1:])
    low = len(digits) // 2
    scale: int = 10**low
    return to_int(digits[:-low]) * scale + to_int(digits[-low:])


def int_text(value: int) -> str:
    if value < 0:
        return "-" + int_text(-value)
    if value.bit_length() <= _CHUNK * 3:
        return str(value)
    low = value.bit_length() * 3 // 20  # about half of its digits
    high, rest = divmod(value, 10**low)
    return int_text(high) + int_text(rest).rjust(low, "0")


# ---- terms to text

_BARE_ATOM = re.compile(r"[a-z][A-Za-z0-9_@]*")
_SPECIAL = {
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\b": "\\b",
    "\f": "\\f",
    "\x1b": "\\e",
    "\x7f": "\\d",
    "\\": "\\\\",
}
_TO_ESCAPE = {quote: re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\\{quote}]") for quote in ('"', "'")}
_PRINTABLE = re.compile(rb"[ -~]+")


class Ready(str):
    """Text that is ready, among the terms that are still to be spelled."""

    __slots__ = ()


COMMA, ARROW, BAR = Ready(", "), Ready(" => "), Ready(" | ")


def format(term: object) -> str:
    """Spell a term as a literal.

    Shows pids, references, ports, funs and objects of other types, too, but in a form that `parse` refuses.

    >>> format([1.0, True, "a\\"b", b"ab", {}])
    '[1.0, true, "a\\\\"b", <<"ab">>, #{}]'
    """
    return spell(term, atom_text)


def spell(term: object, atom: Callable[[Atom], str], key_atom: Callable[[Atom], str] | None = None) -> str:
    """Spell a term, its atoms as `atom` says; those in the keys of maps as `key_atom` says."""
    out: list[str] = []
    todo: list[object] = [term]
    while todo:
        item = todo.pop()
        if type(item) is Ready:
            out.append(item)
        elif isinstance(item, Atom):
            out.append(atom(item))
        elif isinstance(item, tuple):
            spread(todo, "{", item, "}")
        elif type(item) is list:
            spread(todo, "[", item, "]")
        elif isinstance(item, ImproperList):
            todo += (Ready("]"), item.tail, BAR)
            spread(todo, "[", item.items, "")
        elif isinstance(item, dict):
            todo.append(Ready("}"))
            for number, (key, value) in enumerate(reversed(item.items())):
                todo += (COMMA, value, ARROW) if number else (value, ARROW)
                todo.append(Ready(spell(key, key_atom or atom)))  # no deeper: there are no maps in keys
            todo.append(Ready("#{"))
        else:
            out.append(scalar_text(item))
    return "".join(out)


def spread(todo: list[object], opening: str, items: tuple[object, ...] | list[object], closing: str) -> None:
    """Push a sequence, last things first."""
    todo.append(Ready(closing))
    for number, item in enumerate(reversed(items)):
        if number:
            todo.append(COMMA)
        todo.append(item)
    todo.append(Ready(opening))


def atom_text(atom: Atom) -> str:
    return atom.name if _BARE_ATOM.fullmatch(atom.name) else quoted(atom.name)


def quoted(name: str) -> str:
    return _quote(name, "'")


def scalar_text(term: object) -> str:
    """What is no atom, no list, no tuple and no map."""
    match term:
        case None:
            return "nil"
        case bool():
            return "true" if term else "false"
        case int():
            return int_text(int(term))
        case float():
            return _float_text(term)
        case str():
            return _quote(term, '"')
        case bytes() | bytearray() | memoryview():
            return _binary_text(bytes(term))
        case Bits():
            whole, rest = divmod(term.nbits, 8)
            last = [f"{term.data[whole] >> (8 - rest)}:{rest}"] if rest else []
            return f"<<{','.join([str(byte) for byte in term.data[:whole]] + last)}>>"
    return _opaque(term)


def _float_text(value: float) -> str:
    if not math.isfinite(value):
        return f"#Float<{value}>"
    mantissa, _, exponent = repr(value).partition("e")
    mantissa = mantissa if "." in mantissa else mantissa + ".0"
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def _quote(text: str, quote: str) -> str:
    escaped = _TO_ESCAPE[quote].sub(lambda match: _SPECIAL.get(match.group()) or _escaped(match.group(), quote), text)
    return f"{quote}{escaped}{quote}"


def _escaped(char: str, quote: str) -> str:
    return f"\\{char}" if char == quote else f"\\x{{{ord(char):X}}}"


def _binary_text(data: bytes) -> str:
    if _PRINTABLE.fullmatch(data):
        return f"<<{_quote(data.decode('ascii'), chr(34))}>>"
    return f"<<{','.join(map(str, data))}>>"


def _opaque(term: object) -> str:
    """What has no literal, shown all the same."""
    match term:
        case Pid():
            return f"#Pid<{term.node.name}.{term.id}.{term.serial}.{term.creation}>"
        case Reference():
            return f"#Ref<{'.'.join(map(str, (term.node.name, term.creation, *term.words)))}>"
        case Port():
            return f"#Port<{term.node.name}.{term.id}.{term.creation}>"
        case Fun():
            return f"#Fun<{term.kind}>"
    return f"#{type(term).__qualname__}<{term}>"
