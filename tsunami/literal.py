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

What this is not: the query language (no variables, no `_`), and not a way to write pids, references, ports, funs or
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
from typing import Final, NoReturn

from tsunami._core import Atom, Bits, Fun, ImproperList, Pid, Port, Reference, TsunamiError

__all__ = ["LiteralError", "format", "int_text", "parse", "to_int"]

# Map keys nested deeper than this are refused: Python hashes a tuple by recursion in C.
MAX_KEY_DEPTH: Final = 400
# Python converts longer decimals in quadratic time only, and by default refuses to.
_CHUNK: Final = 2000


class LiteralError(TsunamiError, ValueError):
    """Text that is no literal. `line` and `column` count from 1; `reason` is the message without the place."""

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


# ---- text to tokens

_SPACE = re.compile(r"(?:\s+|%[^\n]*)*")
_NUMBER = re.compile(r"(-?)([0-9]+)(?:#([0-9A-Za-z]+)|(\.[0-9]+(?:[eE][+-]?[0-9]+)?))?")
_WORD = re.compile(r"[^\W\d]\w*(?:@\w*)*")
_PLAIN = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}
_ESCAPE = re.compile(r"\\(?:x\{([0-9A-Fa-f]{1,8})\}|x([0-9A-Fa-f]{2})|([0-7]{1,3})|\^(.)|([^x]))", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "b": "\b", "f": "\f", "e": "\x1b", "s": " ", "d": "\x7f"}
_MARKS = ("<<", ">>", "=>", "#{", "{", "}", "[", "]", ",", "|", ":")

_VALUE, _MARK, _END = "value", "mark", "end"
_CONSTANTS = {"true": True, "false": False, "nil": None}


class _Scanner:
    """Tokens, one at a time. `at` is where the last one began, `next_at` where the next one is looked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.next_at = 0

    def fail(self, reason: str, at: int | None = None) -> NoReturn:
        raise LiteralError(reason, self.text, self.at if at is None else at)

    def take(self) -> tuple[str, object]:
        """The next token: its kind, and its value or its mark."""
        text = self.text
        space = _SPACE.match(text, self.next_at)
        self.at = at = space.end() if space else self.next_at
        if at == len(text):
            self.next_at = at
            return _END, "the end"
        char = text[at]
        if char.isdecimal() or (char == "-" and text[at + 1 : at + 2].isdecimal()):
            return _VALUE, self._number()
        if char == '"':
            return _VALUE, self._quoted('"')
        if char == "'":
            return _VALUE, self._atom(self._quoted("'"))
        if char == "$":
            return _VALUE, self._character()
        for mark in _MARKS:
            if text.startswith(mark, at):
                self.next_at = at + len(mark)
                return _MARK, mark
        return _VALUE, self._word()

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

    def _character(self) -> int:
        at = self.at + 1
        if at == len(self.text):
            self.fail("a character is missing behind the $")
        if self.text[at] == "\\":
            char, self.next_at = self._escape(at)
            return ord(char)
        self.next_at = at + 1
        return ord(self.text[at])

    def _word(self) -> object:
        match = _WORD.match(self.text, self.at)
        if match is None:
            self.fail(f"nothing begins with {self.text[self.at]!r}")
        self.next_at = match.end()
        word = match.group()
        if word[0] == "_" or word[0].isupper():
            self.fail(f"the variable {word[:40]}: variables stand in queries only")
        return self._atom(word)

    def _atom(self, name: str) -> object:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        try:
            return Atom(name)
        except ValueError as error:
            self.fail(str(error))


# ---- tokens to terms

_CLOSES = {"{": "}", "[": "]", "#{": "}"}


class _Open:
    """A tuple, list or map that has begun and not yet ended."""

    __slots__ = ("at", "depth", "has_tail", "items", "keys", "kind", "tail")

    def __init__(self, kind: str, at: int) -> None:
        self.kind = kind
        self.at = at
        self.items: list[object] = []
        self.keys: list[object] = []  # of a map: one more than items while a value is awaited
        self.depth = 0  # of the deepest element
        self.has_tail = False
        self.tail: object = None

    def add(self, value: object, depth: int) -> None:
        self.depth = max(self.depth, depth)
        if self.kind == "#{" and len(self.keys) == len(self.items):
            self.keys.append(value)
        elif self.has_tail:
            self.tail = value
        else:
            self.items.append(value)

    def expects(self) -> tuple[str, ...]:
        """The marks that may follow now."""
        if self.kind == "#{" and len(self.keys) > len(self.items):
            return ("=>",)
        if self.has_tail:
            return ("]",)
        return (",", "|", "]") if self.kind == "[" else (",", "}")

    def close(self, scanner: _Scanner) -> object:
        if self.kind == "{":
            return tuple(self.items)
        if self.kind == "#{":
            return self._map(scanner)
        if not self.has_tail or (type(self.tail) is list and not self.tail):
            return self.items
        if type(self.tail) is list:
            return self.items + self.tail
        if isinstance(self.tail, ImproperList):
            return ImproperList([*self.items, *self.tail.items], self.tail.tail)
        return ImproperList(self.items, self.tail)

    def _map(self, scanner: _Scanner) -> dict[object, object]:
        made: dict[object, object] = {}
        seen: dict[object, object] = {}
        for key, value in zip(self.keys, self.items, strict=True):
            if type(key) in (list, dict):
                scanner.fail("a list or a map cannot be a map's key in Python", self.at)
            try:
                rival = seen.setdefault(key, key)
                made[key] = value
            except TypeError:
                scanner.fail("this map has a key that Python cannot hash", self.at)
            if rival is not key and format(rival) != format(key):
                scanner.fail(f"the keys {format(rival)[:40]} and {format(key)[:40]} are one key in Python", self.at)
        return made


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
    scanner = _Scanner(text)
    stack: list[_Open] = []
    while True:
        kind, value = scanner.take()
        depth = 0
        if kind == _MARK and value in _CLOSES:
            opened = _Open(str(value), scanner.at)
            stack.append(opened)
            here = scanner.next_at
            if scanner.take() != (_MARK, _CLOSES[opened.kind]):
                scanner.next_at = here  # not empty: read its first element
                continue
            value = stack.pop().close(scanner)
        elif kind == _MARK and value == "<<":
            value = _binary(scanner)
        elif kind != _VALUE:
            before = "at the end" if kind == _END else f"before {value}"
            scanner.fail(f"a term is missing {before}")
        if _fold(scanner, stack, value, depth):
            return stack[0].items[0] if stack else value


def _fold(scanner: _Scanner, stack: list[_Open], value: object, depth: int) -> bool:
    """Put a complete term where it belongs, and close what ends with it. True if the literal is complete: its term is
    left in stack[0].
    """
    while stack:
        top = stack[-1]
        if top.kind == "#{" and len(top.keys) == len(top.items) and depth > MAX_KEY_DEPTH:
            scanner.fail(f"a map's key is nested deeper than {MAX_KEY_DEPTH}", top.at)
        top.add(value, depth)
        kind, mark = scanner.take()
        allowed = top.expects()
        if kind == _END:
            scanner.fail(f"this {top.kind} is never closed", top.at)
        if kind != _MARK or mark not in allowed:
            wanted = " or ".join(allowed)
            scanner.fail(f"{wanted} expected here")
        if mark == "|":
            top.has_tail = True
        if mark != _CLOSES[top.kind]:
            return False
        value, depth = stack.pop().close(scanner), top.depth + 1
    if scanner.take()[0] != _END:
        scanner.fail("the term is complete, but the text goes on")
    done = _Open("{", 0)
    done.items.append(value)
    stack.append(done)
    return True


def _binary(scanner: _Scanner) -> bytes | Bits:
    """The segments up to `>>`. The bits are gathered in a number only while they are no whole bytes."""
    data, loose, loose_bits = bytearray(), 0, 0
    kind, value = scanner.take()
    while (kind, value) != (_MARK, ">>"):
        at = scanner.at
        if kind != _VALUE or type(value) not in (int, str):
            scanner.fail("an integer or text expected here" if kind != _END else "this << is never closed", at)
        kind, mark = scanner.take()
        size = 8
        if (kind, mark) == (_MARK, ":"):
            size = _segment_size(scanner, value)
            kind, mark = scanner.take()
        bits, piece = _segment(scanner, value, size, at)
        loose, loose_bits = _append_bits(data, loose, loose_bits, piece, bits)
        if (kind, mark) == (_MARK, ","):
            kind, value = scanner.take()
            if (kind, value) == (_MARK, ">>"):
                scanner.fail("a segment is missing before >>")
        elif (kind, mark) == (_MARK, ">>"):
            break
        else:
            scanner.fail(", or >> expected here")
    if not loose_bits:
        return bytes(data)
    return Bits(bytes(data) + bytes([loose << (8 - loose_bits)]), len(data) * 8 + loose_bits)


def _segment_size(scanner: _Scanner, value: object) -> int:
    if type(value) is not int:
        scanner.fail("only an integer has a size")
    kind, size = scanner.take()
    if kind != _VALUE or type(size) is not int or not 1 <= size <= 1 << 20:
        scanner.fail("a size from 1 to 1048576 expected here")
    return size


def _segment(scanner: _Scanner, value: object, size: int, at: int) -> tuple[int, bytes | int]:
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


class _Text(str):
    """Text that is ready, among the terms that are still to be spelled."""

    __slots__ = ()


_COMMA, _ARROW, _BAR = _Text(", "), _Text(" => "), _Text(" | ")


def format(term: object) -> str:
    """Spell a term as a literal.

    Shows pids, references, ports, funs and objects of other types, too, but in a form that `parse` refuses.

    >>> format([1.0, True, "a\\"b", b"ab", {}])
    '[1.0, true, "a\\\\"b", <<"ab">>, #{}]'
    """
    out: list[str] = []
    todo: list[object] = [term]
    while todo:
        item = todo.pop()
        if type(item) is _Text:
            out.append(item)
        elif isinstance(item, tuple):
            _spread(todo, "{", item, "}")
        elif type(item) is list:
            _spread(todo, "[", item, "]")
        elif isinstance(item, ImproperList):
            todo += (_Text("]"), item.tail, _BAR)
            _spread(todo, "[", item.items, "")
        elif isinstance(item, dict):
            todo.append(_Text("}"))
            for number, (key, value) in enumerate(reversed(item.items())):
                todo += (_COMMA, value, _ARROW, key) if number else (value, _ARROW, key)
            todo.append(_Text("#{"))
        else:
            out.append(_scalar(item))
    return "".join(out)


def _spread(todo: list[object], opening: str, items: tuple[object, ...] | list[object], closing: str) -> None:
    """Push a sequence, last things first."""
    todo.append(_Text(closing))
    for number, item in enumerate(reversed(items)):
        if number:
            todo.append(_COMMA)
        todo.append(item)
    todo.append(_Text(opening))


def _scalar(term: object) -> str:
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
        case Atom():
            return term.name if _BARE_ATOM.fullmatch(term.name) else _quote(term.name, "'")
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
