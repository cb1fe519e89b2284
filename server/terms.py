"""Arguments of ETS commands to terms, and terms to replies.

Four modes say how the words that stand for terms are read; a command's words may begin with the mode's name (in any
case):

    AUTO   (unless told otherwise) the canonical decimal form of an integer is that integer (any size); all else is text
    TERM   a term literal: `{1, "alice", [a, b]}`
    RAW    bytes, whatever they look like
    ETF    terms in Erlang's external term format; what the reply tells of terms is then one bulk in it, too

A program whose keys come from elsewhere should always name the mode: `ETS.LOOKUP t AUTO TERM x` is an error, not a
surprise.

Replies use RESP3's own types, and their RESP2 equivalents: integers, doubles, booleans and null (the atoms true, false,
nil), maps, arrays for tuples and XX
What must stay true: nothing here recurses over a term; a row nested 100,000 deep is only a long reply.
"""

import re
from collections.abc import Callable

from tsunami import Atom, BadType, Bits, Collection, Fun, ImproperList, Pid, Port, Reference, TsunamiError, _core
from tsunami._wire import Simple
from tsunami.literal import LiteralError, format, parse, to_int
from tsunami_server.command import CommandError

Reader = Callable[[bytes], object]
Teller = Callable[[object], object]

_CANONICAL = re.compile(rb"0|-?[1-9][0-9]*")


def read_auto(data: bytes) -> object:
    """An integer in its canonical form, else text; bytes that are no UTF-8 stay bytes."""
    if _CANONICAL.fullmatch(data):
        return to_int(data.decode())
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def read_term(data: bytes) -> object:
    try:
        return parse(data.decode())
    except UnicodeDecodeError as error:
        raise CommandError(f"BADARG a term literal must be UTF-8: byte {error.start + 1} is not") from None
    except LiteralError as error:
        raise CommandError(f"BADARG {error.summary}") from None


def read_raw(data: bytes) -> object:
    return data


def read_etf(data: bytes) -> object:
    try:
        return _core.binary_to_term(data)
    except TsunamiError as error:
        raise CommandError(f"BADARG {error}") from None


MODES: dict[bytes, Reader] = {b"AUTO": read_auto, b"TERM": read_term, b"RAW": read_raw, b"ETF": read_etf}


def take_mode(words: list[bytes], least: int) -> tuple[Reader, list[bytes]]:
    """The mode that the words begin with, and the words behind it. `least` words must be left: a word that is needed is
    no mode.
    """
    if len(words) > least:
        name = words[0].upper()
        if name in MODES:
            return MODES[name], words[1:]
    return read_auto, words


# ---- replies


def teller(read: Reader) -> Teller:
    """How terms are told in the mode in which they are read."""
    return etf_of if read is read_etf else reply_of


def etf_of(term: object) -> bytes:
    try:
        return _core.term_to_binary(term)
    except TsunamiError as error:
        raise CommandError(f"BADARG {error}") from None


def reply_of(term: object) -> object:
    """A term as a reply value."""
    home: list[object] = [term]
    todo: list[tuple[object, list[object] | dict[object, object], object]] = [(term, home, 0)]
    while todo:
        item, where, at = todo.pop()
        if isinstance(item, (list, tuple)):
            made: list[object] = [None] * len(item)
            todo += [(inner, made, i) for i, inner in enumerate(item) if needs_work(inner, made, i)]
            where[at] = made  # type: ignore[call-overload]
        elif isinstance(item, dict):
            pairs: dict[object, object] = {}
            for key, value in item.items():
                name = scalar_reply(key)
                pairs[name] = None
                todo.append((value, pairs, name))
            where[at] = pairs  # type: ignore[call-overload]
        else:
            where[at] = scalar_reply(item)  # type: ignore[call-overload]
    return home[0]


_LITERALS = (ImproperList, Bits, Pid, Reference, Port, Fun)
_AS_THEY_ARE = (int, str, bytes, float, bool, type(None))


def needs_work(item: object, made: list[object], at: int) -> bool:
    """Place what is a reply value by itself at once; True for all else."""
    if type(item) in _AS_THEY_ARE:
        made[at] = item
        return False
    return True


def scalar_reply(term: object) -> object:
    """A term that is no list, no map and no tuple but as a part of a map's key or of a set."""
    if type(term) in _AS_THEY_ARE:
        return term
    if isinstance(term, Atom):
        return Simple(term.name)
    if isinstance(term, tuple):
        return tuple(map(scalar_reply, term))  # Python hashes keys by recursion, so they are not deep
    if isinstance(term, (set, frozenset)):
        return frozenset(map(scalar_reply, term))
    if isinstance(term, _LITERALS):
        return format(term)
    return extension_reply(term)


def extension_reply(term: object) -> str:
    """A term of a registered type is told as Python prints it; an object that is only kept by reference not at all."""
    try:
        _core.exact_hash(term)
    except BadType:
        name = type(term).__qualname__
        if isinstance(term, Collection):
            raise CommandError(
                f"BADARG a large {term.kind} of {len(term)} elements stands in tables of its own and cannot cross the "
                "wire in a row: read it by the commands on its type"
            ) from None
        raise CommandError(f"BADARG an object of type {name} is kept by reference and cannot cross the wire") from None
    return str(term)
