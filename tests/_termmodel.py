"""Equality and order of terms, told in plain Python: ets-semantics.md, section 1, and nothing that could make it fast.

Not an account of how the engine packs: it compares numbers as Python does, bit strings as strings of "0" and "1", lists
as what is left of them. What must stay true: `exact_key(a) == exact_key(b)` if and only if a =:= b; `compare` is a
total order over all storable terms but NaN, in which 1 and 1.0 are equal; `compare(a, b, exact=True)` is 0 only if
a =:= b.

It recurses, so it is for terms of moderate depth.
"""

import datetime
import decimal
import enum
import struct
import uuid
from collections.abc import Callable, Iterable
from functools import cmp_to_key
from typing import Any, Final

from tsunami import Atom, Bits, Fun, ImproperList, Pid, Port, Reference

ATOMS: Final = {True: "true", False: "false", None: "nil"}

# The payloads of the extension types that come registered: name, and a term that stands for the object.
MICROSECOND: Final = datetime.timedelta(microseconds=1)


def zone_payload(zone: datetime.tzinfo | None) -> Any:
    if zone is None:
        return None
    key = getattr(zone, "key", None)
    return key if key is not None else zone.utcoffset(None) // MICROSECOND  # type: ignore[operator]


PAYLOADS: Final[dict[type, tuple[str, Callable[[Any], Any]]]] = {
    datetime.datetime: (
        "datetime",
        lambda t: (
            *(t.year, t.month, t.day, t.hour, t.minute, t.second, t.microsecond),
            *(t.fold, zone_payload(t.tzinfo)),
        ),
    ),
    datetime.date: ("date", lambda d: (d.year, d.month, d.day)),
    datetime.time: ("time", lambda t: (t.hour, t.minute, t.second, t.microsecond, t.fold, zone_payload(t.tzinfo))),
    datetime.timedelta: ("timedelta", lambda d: (d.days, d.seconds, d.microseconds)),
    decimal.Decimal: ("decimal", str),
    uuid.UUID: ("uuid", lambda u: u.bytes),
    set: ("set", dict.fromkeys),
    frozenset: ("frozenset", dict.fromkeys),
}


def extension(term: Any) -> tuple[str, Any] | None:
    """Name and payload of an extension term, or None."""
    if isinstance(term, enum.Enum):
        return "enum", (type(term).__module__, type(term).__qualname__, term.name)
    found = PAYLOADS.get(type(term))
    return (found[0], found[1](term)) if found else None


def bit_text(term: Any) -> str:
    """A binary or bit string as text of "0" and "1"."""
    if isinstance(term, Bits):
        return "".join(f"{byte:08b}" for byte in term.data)[: term.nbits]
    data = term.encode() if isinstance(term, str) else bytes(term)
    return "".join(f"{byte:08b}" for byte in data)


# ---- =:=


def float_key(value: float) -> bytes:
    return b"nan" if value != value else struct.pack(">d", value)


def exact_key(term: Any) -> Any:
    """Spell a term so that `==` of two spellings is `=:=` of the terms."""
    found = extension(term)
    if found is not None:
        return ("extension", found[0], exact_key(found[1]))
    match term:
        case None | True | False:
            return ("atom", ATOMS[term])
        case Atom():
            return ("atom", term.name)
        case int():
            return ("int", int(term))
        case float():
            return ("float", float_key(term))
        case str() | bytes() | bytearray() | memoryview() | Bits():
            return ("bits", bit_text(term))
        case tuple():
            return ("tuple", tuple(map(exact_key, term)))
        case list():
            return ("list", tuple(map(exact_key, term)))
        case ImproperList():
            return ("improper", tuple(map(exact_key, term.items)), exact_key(term.tail))
        case dict():
            return ("map", frozenset((exact_key(key), exact_key(value)) for key, value in term.items()))
        case Pid():
            return ("pid", exact_key(term.node), term.id, term.serial, term.creation)
        case Reference():
            return ("reference", exact_key(term.node), term.creation, term.words)
        case Port():
            return ("port", exact_key(term.node), term.id, term.creation)
        case Fun(kind="export"):
            return ("export", exact_key(term.fields))
        case Fun():
            module, index, uniq, _, _, _, free = term.fields
            return ("local", exact_key((module, index, uniq, free)))
    raise TypeError(f"{type(term).__name__} has no packed form")


def exact_equal(a: Any, b: Any) -> bool:
    return bool(exact_key(a) == exact_key(b))


def any_key(term: Any) -> Any:
    """`exact_key` of what may hold reference terms: they are equal if they are one object."""
    match term:
        case tuple() | list():
            return ("tuple" if isinstance(term, tuple) else "list", tuple(map(any_key, term)))
        case ImproperList():
            return ("improper", tuple(map(any_key, term.items)), any_key(term.tail))
        case dict():
            return ("map", frozenset((any_key(key), any_key(value)) for key, value in term.items()))
    try:
        return exact_key(term)
    except TypeError:
        return ("object", id(term))


# ---- order

# number < atom < reference < fun < port < pid < tuple < map < nil < list < bit string < extension
RANKS: Final = ("number", "atom", "reference", "fun", "port", "pid", "tuple", "map", "nil", "list", "bits", "extension")


def rank(term: Any) -> str:
    if extension(term) is not None:
        return "extension"
    match term:
        case None | bool() | Atom():
            return "atom"
        case int() | float():
            return "number"
        case list() if not term:
            return "nil"
        case list() | ImproperList():
            return "list"
        case tuple():
            return "tuple"
        case dict():
            return "map"
        case Reference():
            return "reference"
        case Fun():
            return "fun"
        case Port():
            return "port"
        case Pid():
            return "pid"
    return "bits"


def way(a: Any, b: Any) -> int:
    """-1, 0, 1 for values that Python can compare."""
    return int(a > b) - int(a < b)


def first_difference(orders: Iterable[int]) -> int:
    return next((order for order in orders if order), 0)


def atom_name(term: Any) -> str:
    return term.name if isinstance(term, Atom) else ATOMS[term]


def compare(a: Any, b: Any, exact: bool = False) -> int:
    """-1, 0 or 1: Erlang's term order; with `exact` that of keys of maps, which tells numbers of two types apart."""
    kind = rank(a)
    if kind != rank(b):
        return way(RANKS.index(kind), RANKS.index(rank(b)))
    return COMPARE[kind](a, b, exact)


def compare_numbers(a: Any, b: Any, exact: bool) -> int:
    if exact and isinstance(a, float) != isinstance(b, float):
        return 1 if isinstance(a, float) else -1
    if exact and isinstance(a, float) and a == b == 0.0:
        return way(struct.pack(">d", b), struct.pack(">d", a))  # the sign bit of -0.0 makes it the greater spelling
    return way(a, b)


def compare_atoms(a: Any, b: Any, exact: bool) -> int:
    return way(atom_name(a), atom_name(b))


def compare_references(a: Any, b: Any, exact: bool) -> int:
    def number(reference: Any) -> int:
        return sum(word << 32 * i for i, word in enumerate(reference.words))

    order = compare_atoms(a.node, b.node, exact) or way((a.creation, number(a)), (b.creation, number(b)))
    return order or (way(len(a.words), len(b.words)) if exact else 0)


def compare_funs(a: Any, b: Any, exact: bool) -> int:
    if a.kind != b.kind:
        return -1 if a.kind == "local" else 1
    if a.kind == "export":
        return (
            compare_atoms(a.fields[0], b.fields[0], exact)
            or compare_atoms(a.fields[1], b.fields[1], exact)
            or way(a.fields[2], b.fields[2])
        )
    module, index, uniq, old_uniq, _, _, free = a.fields
    other, other_index, other_uniq, other_old_uniq, _, _, other_free = b.fields
    return (
        compare_atoms(module, other, exact)
        or way(index, other_index)
        or (way(bit_text(uniq), bit_text(other_uniq)) if exact else way(old_uniq, other_old_uniq))
        or way(len(free), len(other_free))
        or first_difference(compare(x, y, exact) for x, y in zip(free, other_free, strict=True))
    )


def compare_ports(a: Any, b: Any, exact: bool) -> int:
    return compare_atoms(a.node, b.node, exact) or way((a.creation, a.id), (b.creation, b.id))


def compare_pids(a: Any, b: Any, exact: bool) -> int:
    return (
        way((a.serial, a.id), (b.serial, b.id)) or compare_atoms(a.node, b.node, exact) or way(a.creation, b.creation)
    )


def compare_tuples(a: Any, b: Any, exact: bool) -> int:
    return way(len(a), len(b)) or first_difference(compare(x, y, exact) for x, y in zip(a, b, strict=True))


def compare_maps(a: Any, b: Any, exact: bool) -> int:
    in_order = cmp_to_key(lambda x, y: compare(x, y, exact=True))
    keys, other_keys = sorted(a, key=in_order), sorted(b, key=in_order)
    return (
        way(len(a), len(b))
        or first_difference(compare(x, y, exact=True) for x, y in zip(keys, other_keys, strict=True))
        or first_difference(compare(a[x], b[y], exact) for x, y in zip(keys, other_keys, strict=True))
    )


def rest(term: Any, n: int) -> Any:
    """What is left of a list behind n elements, as a term."""
    if isinstance(term, list):
        return term[n:]
    return ImproperList(term.items[n:], term.tail) if n < len(term.items) else term.tail


def compare_lists(a: Any, b: Any, exact: bool) -> int:
    items = a if isinstance(a, list) else a.items
    others = b if isinstance(b, list) else b.items
    n = min(len(items), len(others))
    order = first_difference(compare(x, y, exact) for x, y in zip(items, others, strict=False))
    return order or compare(rest(a, n), rest(b, n), exact)


def compare_bits(a: Any, b: Any, exact: bool) -> int:
    return way(bit_text(a), bit_text(b))


def compare_extensions(a: Any, b: Any, exact: bool) -> int:
    x, y = extension(a), extension(b)
    assert x is not None and y is not None
    return way(x[0], y[0]) or compare(x[1], y[1], exact)


COMPARE: Final[dict[str, Callable[[Any, Any, bool], int]]] = {
    "number": compare_numbers,
    "atom": compare_atoms,
    "reference": compare_references,
    "fun": compare_funs,
    "port": compare_ports,
    "pid": compare_pids,
    "tuple": compare_tuples,
    "map": compare_maps,
    "nil": lambda a, b, exact: 0,
    "list": compare_lists,
    "bits": compare_bits,
    "extension": compare_extensions,
}
