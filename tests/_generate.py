"""Terms, rows, patterns, match specs and calls, made up with a `random.Random`.

What it is: generators that are cheap enough for hundreds of thousands of terms, and that hypothesis can drive all the
same (`strategies.made(generator)`), which then shrinks what they make.

What it is not: even. The pool of scalars is small and its members are easily confused (1, 1.0, true; "a", a), so that
patterns match, keys collide and comparisons come out equal often; heads are made from rows by forgetting parts of them;
guards and bodies mostly give functions what they want. One spec in eight holds a mistake.
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from _matchmodel import CONST, FUNCTIONS, variables

from tsunami import Atom, Bits, Fun, ImproperList, Pid, Port, Reference

NODE: Final = Atom("a@host")
SCALARS: Final[list[Any]] = [
    0, 1, -1, 2, 3, 1.0, -1.0, 2.0, 0.5, -2.5, 2**53, 2.0**53, 2**53 + 1, 2**62, -(2**70), 1e300,
    Atom("a"), Atom("b"), Atom("_a"), Atom("$01"), Atom("$x"), True, False, None, "", "a", "b", b"\xff", b"\0", "ab",
    (), [], {}, Bits(b"\x80", 1), Bits(b"a\x80", 9),
]  # fmt: skip
ZEROS: Final[list[Any]] = [0.0, -0.0]
OPAQUE: Final[list[Any]] = [
    Pid(NODE, 1, 2, 3), Pid(NODE, 2, 1, 3), Port(NODE, 1, 2), Reference(NODE, 1, (1, 2, 3)),
    Fun("export", Atom("lists"), Atom("map"), 2), Fun("export", Atom("lists"), Atom("map"), 3),
]  # fmt: skip
MAP_KEYS: Final[list[Any]] = [1, 2.5, Atom("a"), "a", (1,), (Atom("$1"),), (1.0, Atom("_"))]


def one_in(rng: random.Random, n: int) -> bool:
    return rng.randrange(n) == 0


def scalar(rng: random.Random) -> Any:
    return rng.choice(OPAQUE if one_in(rng, 12) else SCALARS)


def term(rng: random.Random, depth: int = 2) -> Any:
    if depth == 0 or rng.randrange(5) < 3:
        return scalar(rng)
    parts = [term(rng, depth - 1) for _ in range(rng.randrange(4))]
    match rng.randrange(6):
        case 0 | 1:
            return parts
        case 2 if parts:
            return improper(parts, scalar(rng))
        case 3:
            return mapping(rng, parts)
    return tuple(parts)


def improper(items: Sequence[Any], tail: Any) -> Any:
    return [*items, *tail] if isinstance(tail, list) else ImproperList(items, tail)


def mapping(rng: random.Random, values: list[Any]) -> dict[Any, Any]:
    return dict(zip(rng.sample(MAP_KEYS, len(values)), values, strict=True))


def row(rng: random.Random, key: Callable[[random.Random], Any] = term, keypos: int = 0) -> tuple[Any, ...]:
    parts = [term(rng) for _ in range(keypos + rng.randrange(4))]
    parts.insert(keypos, key(rng))
    return tuple(parts)


# ---- pairs


def near(rng: random.Random, of: Any) -> Any:
    """Something that differs from a scalar by little, or only by its type."""
    match of:
        case bool() | None:
            return rng.choice((True, False, None, Atom("tru"), Atom("nim")))
        case int():
            moved = of + rng.choice((-1, 0, 1))
            return float(moved) if abs(moved) < 2**1000 and rng.randrange(2) else moved
        case float():
            moved = math.nextafter(of, rng.choice((math.inf, -math.inf, of)))
            return rng.choice((moved, int(moved), -moved)) if math.isfinite(moved) else of
        case str() | bytes():
            data = of.encode() if isinstance(of, str) else of
            return rng.choice((data + b"\0", data[:-1], data, Bits(data + b"\x80", 8 * len(data) + 1)))
    return scalar(rng)


def number(rng: random.Random) -> Any:
    """Beside a power of two, as an integer or a float."""
    exponent = rng.choice((rng.randrange(70), rng.choice((53, 54, 62, 63, 64, 128, 216, 1000, 1023, 1024, 2000))))
    value = rng.choice((1, -1)) * ((1 << exponent) + rng.randrange(-2, 3))
    if exponent < 1000 and rng.randrange(2):
        return rng.choice((float(value), 1.0 / value if value else -0.0, 0.0))
    return value


def altered(rng: random.Random, of: Any) -> Any:
    """The term with something small done to it somewhere; or not."""
    match of:
        case tuple() | list() if of and rng.randrange(5):
            at = rng.randrange(len(of))
            parts = [*of[:at], altered(rng, of[at]), *of[at + 1 :]]
            return tuple(parts) if isinstance(of, tuple) else parts
        case list() if of:
            return rng.choice((of[:-1], improper(of, 0), [*of, of[0]]))
        case tuple() if of:
            return rng.choice((of[:-1], (*of, of[0]), list(of)))
        case dict() if of:
            key = rng.choice(list(of))
            return {**of, key: altered(rng, of[key])}
        case ImproperList():
            return improper(of.items, altered(rng, of.tail))
    return near(rng, of)


def pair(rng: random.Random) -> tuple[Any, Any]:
    """Two terms, of which one mostly is the other with something small done to it."""
    a = number(rng) if one_in(rng, 4) else rng.choice(ZEROS) if one_in(rng, 40) else term(rng)
    for _ in range(rng.randrange(2)):
        a = (a, term(rng, 1)) if rng.randrange(2) else [term(rng, 1), a]
    return a, altered(rng, a) if rng.randrange(4) else term(rng)


# ---- patterns


def a_variable(rng: random.Random) -> Atom:
    return Atom(rng.choice(("$1", "$2", "$1", "$3", "$0", "$10")))


def anything(rng: random.Random) -> Atom:
    return Atom("_") if one_in(rng, 3) else a_variable(rng)


def pattern(rng: random.Random, of: Any, forget: int = 3) -> Any:
    """A pattern that matches `of`, or nearly: one part in `forget` is forgotten, some others are altered."""
    if one_in(rng, forget):
        return anything(rng)
    if one_in(rng, 20):
        return scalar(rng)
    match of:
        case tuple():
            return tuple(pattern(rng, part, forget + 1) for part in of)
        case list():
            parts = [pattern(rng, part, forget + 1) for part in of]
            return parts if rng.randrange(4) else improper(parts[:-1], anything(rng)) if len(parts) > 1 else parts
        case ImproperList():
            return improper([pattern(rng, part, forget + 1) for part in of.items], pattern(rng, of.tail, forget + 1))
        case dict():
            return {key: pattern(rng, value) for key, value in of.items() if rng.randrange(4)}
        case int() if not isinstance(of, bool) and one_in(rng, 8) and abs(of) < 2**60:
            return float(of)
    return of


def head(rng: random.Random, rows: Sequence[Any]) -> Any:
    if one_in(rng, 12):
        return anything(rng)
    of = rng.choice(rows)
    if isinstance(of, tuple) and one_in(rng, 3):
        return tuple(anything(rng) if rng.randrange(4) else part for part in of)
    return pattern(rng, of, 4)


# ---- expressions

BOOLEANS: Final = [name for name in FUNCTIONS if name[0].startswith("is_") or name[0] in ("<", ">", "=<", ">=")] + [
    ("==", 2), ("/=", 2), ("=:=", 2), ("=/=", 2), ("not", 1), ("xor", 2), ("and", 2), ("or", 2), ("andalso", 2),
    ("orelse", 2), ("andalso", 1), ("and", 1), ("or", 3), ("andalso", 3), ("orelse", 3),
]  # fmt: skip
ARITHMETIC: Final = [
    ("+", 2), ("-", 2), ("*", 2), ("/", 2), ("div", 2), ("rem", 2), ("band", 2), ("bor", 2), ("bxor", 2), ("bsl", 2),
    ("bsr", 2), ("abs", 1), ("-", 1), ("+", 1), ("bnot", 1), ("round", 1), ("trunc", 1), ("ceil", 1), ("floor", 1),
    ("float", 1),
]  # fmt: skip
EVERY_CALL: Final = [*FUNCTIONS, *BOOLEANS, *ARITHMETIC]


class Expressions:
    """Makes expressions over some variables, of functions that may be called: all but "name/arity" or, in a body,
    "name/arity in a body" that is left out."""

    def __init__(
        self, rng: random.Random, bound: set[int], left_out: frozenset[str] = frozenset(), where: str = ""
    ) -> None:
        self.rng = rng
        self.leaves: list[Any] = [Atom(f"${number}") for number in sorted(bound)]
        self.calls, self.booleans, self.arithmetic = (
            [(f, n) for f, n in calls if not {f"{f}/{n}", f"{f}/{n}{where}"} & left_out]
            for calls in (EVERY_CALL, BOOLEANS, ARITHMETIC)
        )

    def constant(self) -> Any:
        value = term(self.rng, 1)
        return (CONST, value) if isinstance(value, tuple) or one_in(self.rng, 3) else value

    def leaf(self) -> Any:
        if self.leaves and self.rng.randrange(3):
            return self.rng.choice(self.leaves)
        if one_in(self.rng, 8):
            return self.rng.choice((Atom("$_"), Atom("$$"), Atom("_"), Atom("foo")))
        return self.constant()

    def call(self, calls: Sequence[tuple[str, int]], depth: int) -> Any:
        name, arity = self.rng.choice(calls)
        match name:
            case "not" | "xor" | "and" | "or" | "andalso" | "orelse":
                arguments = [self.boolean(depth - 1) for _ in range(arity)]
            case "bsl" | "bsr":
                arguments = [self.numeric(depth - 1), self.rng.choice((0, 1, -1, 5, 70, -70, 2**40, -(2**70)))]
            case _ if (name, arity) in ARITHMETIC:
                arguments = [self.numeric(depth - 1) for _ in range(arity)]
            case "<" | ">" | "=<" | ">=" | "==" | "/=" | "=:=" | "=/=" if self.rng.randrange(3):
                arguments = [self.leaf(), self.leaf()]
            case "element":
                arguments = [self.rng.randrange(5), self.rng.choice((Atom("$_"), self.expression(depth - 1)))]
            case "is_record":
                arguments = [Atom("$_"), self.rng.choice((Atom("a"), self.leaf())), self.rng.choice((1, 2, 3, 1.0))]
            case "binary_part":
                place = [self.rng.randrange(-1, 4), self.rng.randrange(-2, 3)]
                arguments = [self.rng.choice(("ab", b"\0\1\2", self.leaf())), *place]
                if arity == 2:
                    arguments = [arguments[0], ((*place,),)]
            case "is_function":
                arguments = [self.rng.choice((self.leaf(), *OPAQUE)), *[2] * (arity - 1)]
            case "map_get" | "is_map_key":
                key = self.rng.choice(MAP_KEYS)
                arguments = [(CONST, key), self.rng.choice(({Atom("a"): 1, 1: 2}, self.leaf()))]
            case _:
                arguments = [self.expression(depth - 1) for _ in range(arity)]
        return (Atom(name), *arguments)

    def boolean(self, depth: int) -> Any:
        if depth <= 0 or one_in(self.rng, 6):
            return self.rng.choice((True, True, False, self.leaf()))
        return self.call(self.booleans, depth)

    def numeric(self, depth: int) -> Any:
        if depth <= 0 or self.rng.randrange(2):
            return self.rng.choice((self.leaf(), self.leaf(), self.rng.randrange(-3, 9), 2.5))
        return self.call(self.arithmetic, depth)

    def expression(self, depth: int) -> Any:
        if depth <= 0 or one_in(self.rng, 3):
            return self.leaf()
        match self.rng.randrange(8):
            case 0:
                return [self.expression(depth - 1) for _ in range(self.rng.randrange(3))]
            case 1:
                return (tuple(self.expression(depth - 1) for _ in range(self.rng.randrange(4))),)
            case 2:
                return mapping(self.rng, [self.expression(depth - 1) for _ in range(self.rng.randrange(3))])
            case 3:
                return improper([self.expression(depth - 1)], self.leaf())
        return self.call(self.calls, depth)


# ---- match specs


def clause(rng: random.Random, rows: Sequence[Any], left_out: frozenset[str] = frozenset()) -> Any:
    made = head(rng, rows)
    expressions = Expressions(rng, variables(made), left_out)
    guards = [expressions.boolean(2) for _ in range(rng.choice((0, 0, 1, 1, 2)))]
    expressions = Expressions(rng, variables(made), left_out, " in a body")
    body = [expressions.expression(3) for _ in range(rng.choice((1, 1, 1, 2)))]
    match rng.randrange(6):
        case 0:
            body = [rng.choice((Atom("$_"), Atom("$$")))]
        case 1:
            body = [True]
        case 2:
            body = [expressions.boolean(2)]
    return (made, guards, body)


COMPARISONS: Final = ("<", ">", "=<", ">=", "==", "=:=", "/=", "=/=")


def comparison(rng: random.Random, side: Any, values: Sequence[Any]) -> Any:
    """Of one side with a constant."""
    value = near(rng, rng.choice(values)) if one_in(rng, 4) else rng.choice(values)
    other = (CONST, value) if isinstance(value, tuple) or one_in(rng, 4) else value
    sides = (side, other) if rng.randrange(4) else (other, side)
    return (Atom(rng.choice(COMPARISONS)), *sides)


def bounding_clause(rng: random.Random, rows: Sequence[Any]) -> Any:
    """One whose guards say between what an element lies, which may be the key."""
    row = rng.choice([row for row in rows if isinstance(row, tuple) and row] or [(1,)])
    at = min(rng.choice((0, 0, 1, 2)), len(row) - 1)
    values = [other[at] for other in rows if isinstance(other, tuple) and len(other) > at]
    if one_in(rng, 4):
        made: Any = Atom("_")
        side: Any = (Atom("element"), at + 1, Atom("$_"))
    else:
        made = tuple(Atom(f"${i}") if i == at or rng.randrange(2) else Atom("_") for i in range(len(row)))
        side = Atom(f"${at}")
    guards = [comparison(rng, side, values) for _ in range(rng.choice((1, 2, 2, 3)))]
    if one_in(rng, 3):
        guards = [(Atom(rng.choice(("andalso", "and", "orelse", "or"))), *guards)]
    return (made, guards, [rng.choice((Atom("$_"), True, side))])


MISTAKES: Final[list[Any]] = [
    (), (Atom("foo"),), (Atom("is_atom"),), (Atom("is_record"), 1, Atom("t")), (1,), ((1,), 2), ([1],), (True,),
    (CONST, 1, 2), (CONST,), (Atom("and"),), (Atom("or"),), (Atom("andalso"),), (Atom("orelse"),), (Atom("xor"), True),
    (Atom("caller"),), (Atom("message"), 1), (Atom("get_tcw"),), (Atom("is_seq_trace"),), (Atom("process_dump"),),
    Atom("$7"), [Atom("$7")], ((Atom("$7"),),), {1: Atom("$7")}, (Atom("hd"), ()), improper([1], Atom("$7")),
    (Atom("+"), 1, 2, 3), (Atom("$1"), 1), (Atom("node"), 1, 2), (Atom("self"), 1), {1: ()}, {Atom("$7"): 1},
]  # fmt: skip
BAD_HEADS: Final[list[Any]] = [
    ({Atom("_"): 1},), ({Atom("$1"): 1},), [{1: {Atom("$1"): 1}}], ({2: 1, Atom("$0"): Atom("_")}, 1),
]  # fmt: skip


def spoiled(rng: random.Random, spec: list[Any]) -> Any:
    """A spec with a mistake in it."""
    at = rng.randrange(len(spec))
    made, guards, body = spec[at]
    match rng.randrange(10):
        case 0:
            changed: Any = (rng.choice(BAD_HEADS), [], [1])
        case 1 | 2 | 3:
            changed = (made, [*guards, rng.choice(MISTAKES)], body)
        case 4 | 5:
            changed = (made, guards, [rng.choice(MISTAKES), *body])
        case 6:
            changed = (made, guards, rng.choice(([], Atom("foo"), improper([1], 2), (1,))))
        case 7:
            changed = (made, rng.choice((True, improper([True], 2), (True,))), body)
        case 8:
            changed = rng.choice(((made, guards), 1, [made, guards, body], (made, guards, body, 1), ()))
        case _:
            return rng.choice((improper([*spec], 1), tuple(spec), spec[0], Atom("foo"), 1))
    return [*spec[:at], changed, *spec[at + 1 :]]


def spec(rng: random.Random, rows: Sequence[Any], left_out: frozenset[str] = frozenset()) -> Any:
    """A match spec, mostly a good one, for such rows."""
    made = [clause(rng, rows, left_out) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if one_in(rng, 4):
        made = [bounding_clause(rng, rows), *made[2:]]
    return spoiled(rng, made) if one_in(rng, 8) else made


# ---- specs for select_replace


def kept(rng: random.Random, part: Any, constant: bool = False) -> Any:
    """An expression whose value is what matched the pattern `part`, evidently; or nearly."""
    if one_in(rng, 14):
        return rng.choice((Atom("$1"), 1, 1.0, Atom("_"), (CONST, 1), ()))
    match part:
        case tuple() if constant:
            return tuple(kept(rng, inner, True) for inner in part)
        case tuple() if one_in(rng, 4):
            return (CONST, kept(rng, part, True))
        case tuple():
            return (tuple(kept(rng, inner) for inner in part),)
        case list():
            return [kept(rng, inner, constant) for inner in part]
        case ImproperList():
            return improper([kept(rng, inner, constant) for inner in part.items], kept(rng, part.tail, constant))
    return (CONST, part) if not constant and one_in(rng, 5) else part


def replacing_clause(rng: random.Random, rows: Sequence[Any], keypos: int, left_out: frozenset[str]) -> Any:
    made = head(rng, rows)
    expressions = Expressions(rng, variables(made), left_out)
    guards = [expressions.boolean(2)] if one_in(rng, 3) else []
    expressions = Expressions(rng, variables(made), left_out, " in a body")
    if not isinstance(made, tuple) or len(made) <= keypos or one_in(rng, 6):
        return (made, guards, [rng.choice((Atom("$_"), Atom("$1"), Atom("$$"), expressions.expression(2)))])
    others = [expressions.expression(2) for _ in range(keypos + rng.randrange(3))]
    if one_in(rng, 8):
        constant = [term(rng, 1) for _ in others]
        constant.insert(keypos, kept(rng, made[keypos], True))
        return (made, guards, [(CONST, tuple(constant))])
    looked_up = (Atom("element"), keypos + (1 if rng.randrange(4) else 2), Atom("$_"))
    others.insert(keypos, looked_up if one_in(rng, 3) else kept(rng, made[keypos]))
    body = [(tuple(others),)]
    return (made, guards, [*body, *body] if one_in(rng, 20) else body)


def replacing_spec(
    rng: random.Random, rows: Sequence[Any], keypos: int = 0, left_out: frozenset[str] = frozenset()
) -> Any:
    """A match spec for select_replace, mostly one that keeps the key."""
    made = [replacing_clause(rng, rows, keypos, left_out) for _ in range(rng.choice((1, 1, 2)))]
    return spoiled(rng, made) if one_in(rng, 20) else made


# ---- calls of a table

KEYS: Final[list[Any]] = [
    1, 1.0, 2, 2.0, 3, -1, "a", Atom("a"), "b", (1, 2), (1.0, 2), (1, "a"), (1, (2, 3)), [1], [1.0], (), True, 2**53,
    2.0**53, 2**53 + 1, {Atom("a"): 1}, {Atom("a"): 1.0}, {1: 1}, {1.0: 1}, Bits(b"\x80", 1),
]  # fmt: skip
BAD_ROWS: Final[list[Any]] = [(), 1, "ab", [1], Atom("a"), {1: 2}, improper([(1, 2)], (1, 2))]
NUMBERS: Final[list[Any]] = [0, 1, -1, 5, 2**62, -(2**70), 1.5, "text", Atom("x")]
BAD_STEPS: Final[list[Any]] = [(), (1,), (1, 1, 1), 1.5, "ab", (1.0, 2), (Atom("a"), 1)]


DISTINCT_KEYS: Final[list[Any]] = [
    1, 2, 3, -1, 4.5, -0.5, "a", Atom("a"), "b", (1, 2), (1, "a"), (1, (2, 3)), [1], [], (), True, 2**53, 2**53 + 1,
    1e300, {Atom("a"): 1}, {1: 1}, {1.0: 1}, Bits(b"\x80", 1),
]  # of which no two are one key in a table of any type  # fmt: skip


class Calls:
    """Makes calls of a table as Tsunami has it: the name of the method, and its arguments, positions from 0 on.

    Calls of three kinds have other names: ("chunk", name, *arguments) keeps the cursor that comes, ("more",) goes on
    with one, ("drain", name, *arguments) goes on to the end.
    """

    def __init__(
        self,
        rng: random.Random,
        kind: str,
        keypos: int,
        *,
        keys: Sequence[Any] = KEYS,
        left_out: frozenset[str] = frozenset(),
    ) -> None:
        self.rng = rng
        self.kind = kind
        self.keypos = keypos
        self.keys = keys
        self.left_out = left_out

    def key(self) -> Any:
        return self.rng.choice(self.keys)

    def row(self) -> tuple[Any, ...]:
        """With mostly numbers, so that there are counters."""
        length = self.keypos + self.rng.randrange(3)
        kinds = (self.rng.randrange(-2, 3), self.rng.choice(NUMBERS), self.key())
        values = [self.rng.choice(kinds) for _ in range(length)]
        return (*values[: self.keypos], self.key(), *values[self.keypos :])

    def batch(self) -> Any:
        if self.rng.randrange(3):
            return self.row()
        rows: list[Any] = [self.row() for _ in range(self.rng.randrange(5))]
        if one_in(self.rng, 5):
            rows.insert(self.rng.randrange(len(rows) + 1), self.rng.choice(BAD_ROWS))
        return rows if self.rng.randrange(8) else self.rng.choice(BAD_ROWS)

    def step(self) -> Any:
        """Of update_counter."""
        match self.rng.randrange(6):
            case 0:
                return self.rng.choice(BAD_STEPS)
            case 1:
                return (self.rng.randrange(-1, 5), *(self.rng.choice(NUMBERS) for _ in range(3)))
            case 2 | 3:
                return (self.rng.randrange(3), *(self.rng.randrange(-2, 3) for _ in range(2)), self.rng.randrange(100))
        return (self.rng.randrange(-1, 5), self.rng.choice((self.rng.randrange(-3, 4), self.rng.choice(NUMBERS))))

    def pair(self) -> Any:
        """Of update_element."""
        if one_in(self.rng, 6):
            return self.rng.choice(BAD_STEPS)
        return (self.rng.randrange(-1, 5), self.rng.choice(NUMBERS))

    def one_or_more(self, make: Callable[[], Any]) -> Any:
        return make() if self.rng.randrange(2) else [make() for _ in range(self.rng.randrange(4))]

    def limited(self, rows: Sequence[Any]) -> tuple[Any, ...]:
        name = self.rng.choice(("select", "select_reverse", "match", "match_object"))
        limit = self.rng.choice((1, 1, 2, 2, 3, 5, 1000, 0, -1, 1.0, Atom("a")))
        if name.startswith("match"):
            return name, table_pattern(self.rng, rows), limit
        return name, spec(self.rng, rows, self.left_out), limit

    def call(self, rows: Sequence[Any]) -> tuple[Any, ...]:
        """One call. `rows` are such as may be in the table."""
        rng = self.rng
        rows = rows or [self.row()]
        match rng.randrange(22):
            case 0 | 1 | 2:
                return (rng.choice(("insert", "insert", "insert_new")), self.batch())
            case 3 | 4:
                return (rng.choice(("lookup", "member", "take", "delete", "delete")), self.key())
            case 5:
                row = rng.choice(rows)
                near = tuple(float(part) if isinstance(part, int) and one_in(rng, 4) else part for part in row)
                return ("delete_object", rng.choice((near, row, rng.choice(BAD_ROWS[:-1]))))
            case 6:
                return ("lookup_element", self.key(), rng.randrange(-1, 4))
            case 7 | 8:
                what = rng.randrange(-3, 4) if one_in(rng, 5) else self.one_or_more(self.step)
                return ("update_counter", self.key(), what)
            case 9:
                default = 1 if one_in(rng, 8) else (*self.row(), 0)
                return ("update_counter", self.key(), self.one_or_more(self.step), default)
            case 10:
                return ("update_element", self.key(), self.one_or_more(self.pair))
            case 11:
                return ("safe_fixtable", bool(rng.randrange(2)))
            case 12:
                key = self.key() if rng.randrange(8) else Atom("$end_of_table")
                return (rng.choice(("next", "prev")), key)
            case 13:
                return rng.choice((("first",), ("last",), ("tab2list",), ("slot", rng.randrange(-1, 8))))
            case 14:
                return (rng.choice(("match", "match_object", "match_delete")), table_pattern(rng, rows))
            case 15 if one_in(rng, 4):
                return ("delete_all_objects",)
            case 16:
                return ("select_delete", spec(rng, rows, self.left_out) if rng.randrange(8) else [])
            case 17:
                replacing = replacing_spec(rng, rows, self.keypos, self.left_out)
                return ("select_replace", replacing if rng.randrange(8) else [])
            case 18 | 19:
                return (rng.choice(("drain", "chunk")), *self.limited(rows))
            case 20:
                return ("more",)
        name = rng.choice(("select", "select", "select_reverse", "select_count"))
        return (name, spec(rng, rows, self.left_out) if rng.randrange(15) else [])


def table_pattern(rng: random.Random, rows: Sequence[Any]) -> Any:
    """Not as a str, which would be the text of one."""
    made = rng.choice(BAD_HEADS + [Atom("a"), [1], b"a"]) if one_in(rng, 15) else head(rng, rows)
    return made.encode() if isinstance(made, str) else made
