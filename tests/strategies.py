"""Hypothesis strategies for terms of all kinds: `terms()`, `keys()` (hashable, no NaN), `pairs()` of near relatives.

They aim where packing can go wrong, not at what is typical: integers beside powers of two and beside floats, binaries
on both sides of 7 bytes, zero bytes, text beyond ASCII, numbers of two types in one place.
"""

import datetime
import enum
import math
import random
import sys
import zoneinfo
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

from tsunami import Atom, Bits, Fun, ImproperList, Pid, Port, Reference

Strategy = st.SearchStrategy[Any]


class Colour(enum.Enum):
    RED = 1
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Right(enum.Flag):
    READ = 1
    WRITE = 2


# ---- scalars

near_powers: Final[Strategy] = st.builds(
    lambda sign, bits, offset: sign * ((1 << bits) + offset),
    st.sampled_from((1, -1)),
    st.one_of(st.integers(0, 130), st.sampled_from((61, 62, 63, 64, 127, 128, 215, 216, 217, 1023, 1024, 1100, 2000))),
    st.integers(-2, 2),
)
integers: Final[Strategy] = st.one_of(st.integers(-3, 3), st.integers(), near_powers)


def beside_power(sign: int, exponent: int, steps: int) -> float:
    value = math.ldexp(1.0, exponent)
    for _ in range(abs(steps)):
        value = math.nextafter(value, math.inf if steps > 0 else 0.0)
    return sign * value


floats: Final[Strategy] = st.one_of(
    st.sampled_from((0.0, -0.0, 1.0, -1.0, 2.0, 0.5, math.inf, -math.inf, 5e-324, sys.float_info.max, 2.0**53)),
    st.floats(allow_nan=False),
    st.builds(beside_power, st.sampled_from((1, -1)), st.integers(-1074, 1023), st.integers(-2, 2)),
)
numbers: Final[Strategy] = st.one_of(integers, floats)
names: Final[Strategy] = st.one_of(
    st.sampled_from(("", "ok", "a", "b", "aa", "true", "nil", "Z", "é", "zz", "𝔸", "a\0", "a\0b")),
    st.text(max_size=8),
    st.sampled_from(("é" * 255, "𝔸" * 255, "a" * 255)),
)
atoms: Final[Strategy] = names.map(Atom)
texts: Final[Strategy] = st.one_of(st.text(max_size=12), st.text(alphabet="ab\0é", max_size=20))
binaries: Final[Strategy] = st.one_of(
    st.binary(max_size=12), st.binary(min_size=60, max_size=140), st.lists(st.sampled_from((0, 1, 255))).map(bytes)
)


@st.composite
def bit_strings(draw: st.DrawFn) -> Bits:
    data = draw(
        st.one_of(st.binary(min_size=1, max_size=10), st.lists(st.sampled_from((0, 255)), min_size=1).map(bytes))
    )
    return Bits(data, len(data) * 8 - draw(st.integers(1, 7)))


words: Final[Strategy] = st.one_of(st.integers(0, 2), st.integers(0, 2**32 - 1))
# not nonode@nohost, which in a test with Erlang is the emulator itself, and there only small numbers are good
nodes: Final[Strategy] = st.sampled_from(("a@host", "b@host", "a@other")).map(Atom)
pids: Final[Strategy] = st.builds(Pid, nodes, words, words, words)
ports: Final[Strategy] = st.builds(Port, nodes, st.one_of(words, st.integers(0, 2**64 - 1)), words)
references: Final[Strategy] = st.builds(Reference, nodes, words, st.lists(words, min_size=1, max_size=5).map(tuple))
exports: Final[Strategy] = st.builds(Fun, st.just("export"), atoms, atoms, st.integers(0, 255))
opaque: Final[Strategy] = st.one_of(pids, ports, references, exports)

zones: Final[Strategy] = st.one_of(
    st.none(),
    st.just(datetime.UTC),
    st.integers(-86399, 86399).map(lambda seconds: datetime.timezone(datetime.timedelta(seconds=seconds))),
    st.timezone_keys(allow_prefix=False).map(zoneinfo.ZoneInfo),
)
extensions: Final[Strategy] = st.one_of(
    st.datetimes(timezones=zones),
    st.dates(),
    st.times(timezones=zones),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.sampled_from((*Colour, *Level, *Right)),
)


def brief(strategy: Strategy) -> Strategy:
    """The same, with a short repr: Hypothesis spells a strategy out with all that it is made of."""

    @st.composite
    def strategy_of_this_file(draw: st.DrawFn) -> Any:
        return draw(strategy)

    return strategy_of_this_file()


scalars: Final[Strategy] = brief(
    st.one_of(numbers, atoms, st.booleans(), st.none(), texts, binaries, bit_strings(), opaque, extensions)
)


# ---- containers


def local_funs(values: Strategy) -> Strategy:
    return st.builds(
        lambda module, index, uniq, old_uniq, arity, pid, free: Fun(
            "local", module, index, uniq, old_uniq, arity, pid, free
        ),
        atoms,
        st.integers(0, 3),
        st.binary(min_size=16, max_size=16),
        st.integers(-3, 3),
        st.integers(0, 3),
        pids,
        st.lists(values, max_size=3).map(tuple),
    )


def improper_lists(values: Strategy) -> Strategy:
    tails = values.filter(lambda term: not isinstance(term, list))
    return st.builds(ImproperList, st.lists(values, min_size=1, max_size=4), tails)


def spelled(term: Any) -> Any:
    """What a dict key is called, so that one dict has no two keys that are one term, such as "a" and b"a"."""
    return term.encode() if isinstance(term, str) else term


def _keys(leaves: Strategy) -> Strategy:
    return st.recursive(
        leaves,
        lambda inner: brief(
            st.one_of(
                st.lists(inner, max_size=4).map(tuple),
                st.builds(ImproperList, st.lists(inner, min_size=1, max_size=3), inner),
                st.lists(inner, max_size=3, unique_by=spelled_deep).map(frozenset),
            )
        ),
        max_leaves=6,
    )


def spelled_deep(term: Any) -> Any:
    """Like `spelled`, at any depth: =:= keys are equal, and keys that a dict merges are equal too."""
    match term:
        case tuple():
            return ("tuple", tuple(map(spelled_deep, term)))
        case ImproperList():
            return ("improper", tuple(map(spelled_deep, term.items)), spelled_deep(term.tail))
        case frozenset():
            return ("frozenset", frozenset(map(spelled_deep, term)))
        case Fun():
            return ("fun", repr(term.kind), tuple(map(spelled_deep, term.fields[:3])))
    return spelled(term)


hashable: Final[Strategy] = brief(_keys(scalars))


def keys() -> Strategy:
    """Terms that can be the key of a row and of a dict."""
    return hashable


def maps(of_keys: Strategy, values: Strategy) -> Strategy:
    return st.lists(st.tuples(of_keys, values), max_size=4, unique_by=lambda pair: spelled_deep(pair[0])).map(dict)


def containers(of_keys: Strategy, inner: Strategy) -> Strategy:
    return brief(
        st.one_of(
            st.lists(inner, max_size=5),
            st.lists(inner, max_size=5).map(tuple),
            improper_lists(inner),
            maps(of_keys, inner),
            local_funs(inner),
        )
    )


sets: Final[Strategy] = st.lists(hashable, max_size=4, unique_by=spelled_deep).map(set)
anything: Final[Strategy] = brief(
    st.recursive(scalars, lambda inner: st.one_of(containers(hashable, inner), sets), max_leaves=15)
)

# What Erlang has too: no infinities, no extension types.
erlang_scalars: Final[Strategy] = brief(
    st.one_of(
        integers, floats.filter(math.isfinite), atoms, st.booleans(), st.none(), texts, binaries, bit_strings(), opaque
    )
)
erlang_keys: Final[Strategy] = brief(st.one_of(erlang_scalars, st.lists(erlang_scalars, max_size=4).map(tuple)))
erlang_terms: Final[Strategy] = brief(
    st.recursive(erlang_scalars, lambda inner: containers(erlang_keys, inner), max_leaves=15)
)


def terms() -> Strategy:
    """Any term but NaN and reference terms."""
    return anything


def rows() -> Strategy:
    """A row: a tuple of at least one term, whose first could be a key."""
    return st.tuples(hashable, st.lists(terms(), max_size=3).map(tuple)).map(lambda parts: (parts[0], *parts[1]))


# ---- pairs that differ little, or not at all


def converted(term: Any) -> Any:
    """The term with every int that has an equal float turned into it, and text into bytes: == in Erlang's order."""
    match term:
        case bool():
            return term
        case int() if not isinstance(term, enum.Enum) and abs(term) < 2**1000 and int(float(term)) == term:
            return float(term)
        case str() if not isinstance(term, enum.Enum):
            return term.encode()
        case tuple():
            return tuple(map(converted, term))
        case list():
            return list(map(converted, term))
        case dict():
            return {key: converted(value) for key, value in term.items()}
        case ImproperList():
            return ImproperList(tuple(map(converted, term.items)), converted(term.tail))
    return term


def altered(draw: st.DrawFn, term: Any, others: Strategy) -> Any:
    """The term with something small done to it somewhere. (No strategy: its repr would spell the whole term.)"""
    match term:
        case bool() | None:
            return draw(others)
        case enum.Enum():
            return draw(others)
        case int():
            near = term + draw(st.integers(-1, 1))
            return draw(st.sampled_from((near, -term, float(near) if abs(near) < 2**1000 else near)))
        case float():
            near = math.nextafter(term, draw(st.sampled_from((math.inf, -math.inf))))
            return draw(st.sampled_from((near, -term, int(term) if math.isfinite(term) else near)))
        case str():
            return draw(st.sampled_from((term.encode(), term + "\0", term[1:])))
        case bytes():
            return draw(st.sampled_from((term + b"\0", term[1:], Bits(term + b"\x80", len(term) * 8 + 1))))
        case Bits():
            return draw(st.sampled_from((term.data, term.data[:-1], Bits(term.data + b"\0", term.nbits + 8))))
        case list() | tuple() if term:
            i = draw(st.integers(0, len(term) - 1))
            changed = [*term[:i], altered(draw, term[i], others), *term[i + 1 :]]
            return tuple(changed) if isinstance(term, tuple) else changed
        case list():
            return draw(st.sampled_from(((), {}, [[]], 0)))
        case dict() if term:
            key = draw(st.sampled_from(sorted(term, key=repr)))
            return {**term, key: altered(draw, term[key], others)}
        case ImproperList():
            return draw(st.sampled_from((list(term.items), [*term.items, term.tail], ImproperList(term.items, 0))))
    return draw(others)


@st.composite
def pairs(draw: st.DrawFn, of: Strategy = anything) -> tuple[Any, Any]:
    """Two terms: unrelated, the same, equal by value, or one an alteration of the other."""
    a = draw(of)
    kind = draw(st.sampled_from(("other", "same", "converted", "altered", "altered")))
    if kind == "other":
        return a, draw(of)
    if kind == "same":
        return a, a
    return (a, converted(a)) if kind == "converted" else (a, altered(draw, a, of))


# ---- what _generate makes up


def made(generator: Callable[[random.Random], Any]) -> Strategy:
    """What a generator of `_generate` makes, as hypothesis draws it and shrinks it."""
    return brief(st.randoms(use_true_random=False).map(generator))
