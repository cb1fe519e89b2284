"""Match specifications, told in plain Python: ets-semantics.md, sections 3 and 4, and nothing that could make it fast.

What it is: the shortest exact description of what a pattern matches and what a match spec makes of a term, of what is a
mistake in one, of every function in guards and bodies, and of `select_replace`'s rule about keys. test_matchmodel.py
holds it against Erlang's own match specs; the engine's are held against it.

What it is not: a compiler. A clause is checked as a whole by walking over it, and evaluated by walking over it again.
It knows no tables. It recurses, so it is for specs of moderate depth.

A spec is a list of tuples (head, guards, body) of terms. Variables are atoms such as Atom("$1").

What must stay true:

1. `check` raises Mistake for exactly the specs that Erlang refuses to compile; `run` may rely on a checked one.
2. `run` gives None or a tuple of one element, so that a result that is `false`, `[]` or 'EXIT' is a result.
3. Failures are raised as `Failed` by functions and end at exactly two places: a guard, or the nearest expression of a
   body around them.
"""

import math
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from _termmodel import any_key, compare, rank

from tsunami import Atom, Bits, ImproperList, Pid, Port, Reference

Bindings = dict[int, Any]

ANY: Final = Atom("_")
OBJECT: Final = Atom("$_")
ALL_VARIABLES: Final = Atom("$$")
CONST: Final = Atom("const")
EXIT: Final = Atom("EXIT")


class Mistake(Exception):
    """In the spec: badarg, before anything is searched."""


class Failed(Exception):
    """In the evaluation of one call."""


class Unrepresentable(Exception):
    """There is no saying: a result that Python has no value for (a map with a list as a key, or with 1 and 1.0), or an
    operation on what ETS has no value for (NaN, infinity, reference terms)."""


def kind(term: Any) -> str:
    """The type of a term: `_termmodel.rank`, and "object" for reference terms."""
    try:
        found = rank(term)
    except TypeError:
        return "object"
    return found if found != "bits" or isinstance(term, str | bytes | bytearray | memoryview | Bits) else "object"


def is_atom(term: Any) -> bool:
    return kind(term) == "atom"


def is_integer(term: Any) -> bool:
    return kind(term) == "number" and isinstance(term, int)


def is_tuple(term: Any) -> bool:
    return kind(term) == "tuple"


def is_proper_list(term: Any) -> bool:
    return kind(term) in ("nil", "list") and not isinstance(term, ImproperList)


def same(a: Any, b: Any) -> bool:
    """=:=, also for reference terms."""
    return bool(any_key(a) == any_key(b))


def head_and_tail(term: Any) -> tuple[Any, Any]:
    """Of a list with at least one element."""
    if isinstance(term, ImproperList):
        rest = term.items[1:]
        return term.items[0], ImproperList(rest, term.tail) if rest else term.tail
    return term[0], term[1:]


def cons(head: Any, tail: Any) -> Any:
    if isinstance(tail, ImproperList):
        return ImproperList((head, *tail.items), tail.tail)
    return [head, *tail] if isinstance(tail, list) else ImproperList((head,), tail)


def variable(term: Any) -> int | None:
    """The number of a variable; None for everything else."""
    if isinstance(term, Atom) and re.fullmatch(r"\$(0|[1-9][0-9]*)", term.name, re.ASCII):
        return int(term.name[1:])
    return None


# ---- patterns


def variables(pattern: Any) -> set[int]:
    """The variables that a pattern binds. Mistake if a map in it has a variable or '_' for a key."""
    match kind(pattern):
        case "atom":
            number = variable(pattern)
            return set() if number is None else {number}
        case "tuple":
            return set().union(*map(variables, pattern))
        case "list":
            head, tail = head_and_tail(pattern)
            return variables(head) | variables(tail)
        case "map":
            if any(key is ANY or variable(key) is not None for key in pattern):
                raise Mistake(f"a variable as a key of a map: {pattern!r}")
            return set().union(*map(variables, pattern.values()))
    return set()


def matches(pattern: Any, term: Any, bound: Bindings) -> bool:
    """Does the term match? Binds variables on the way."""
    if pattern is ANY:
        return True
    number = variable(pattern)
    if number is not None:
        return same(bound.setdefault(number, term), term)
    if kind(pattern) != kind(term):
        return False
    match kind(pattern):
        case "tuple":
            return len(pattern) == len(term) and all(matches(p, t, bound) for p, t in zip(pattern, term, strict=True))
        case "list":
            pairs = zip(head_and_tail(pattern), head_and_tail(term), strict=True)
            return all(matches(p, t, bound) for p, t in pairs)
        case "map":
            return all(
                any(same(key, other) and matches(value, term[other], bound) for other in term)
                for key, value in pattern.items()
            )
    return same(pattern, term)


# ---- functions


def is_number(term: Any) -> bool:
    return kind(term) == "number"


def finite(value: float) -> float:
    if not math.isfinite(value):
        raise Failed
    return value


def order(a: Any, b: Any) -> int:
    """-1, 0 or 1, in the term order."""
    if not (is_in_ets(a) and is_in_ets(b)):
        raise Unrepresentable
    return compare(a, b)


def is_in_ets(term: Any) -> bool:
    match term:
        case float():
            return math.isfinite(term)
        case tuple() | list():
            return all(map(is_in_ets, term))
        case ImproperList():
            return is_in_ets(term.items) and is_in_ets(term.tail)
        case dict():
            return all(map(is_in_ets, term.items()))
    return kind(term) not in ("object", "extension")


def as_float(term: Any) -> float:
    try:
        return finite(float(number(term)))
    except OverflowError:
        raise Failed from None


def number(term: Any) -> Any:
    if not is_number(term):
        raise Failed
    if isinstance(term, float) and not math.isfinite(term):
        raise Unrepresentable
    return term


def integer(term: Any) -> int:
    if not is_integer(term):
        raise Failed
    return int(term)


def boolean(term: Any) -> bool:
    if not isinstance(term, bool):
        raise Failed
    return term


def wants(type: str, term: Any) -> Any:
    if kind(term) != type:
        raise Failed
    return term


def arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def calculate(a: Any, b: Any) -> Any:
        if is_integer(number(a)) and is_integer(number(b)):
            return function(a, b)
        return finite(function(as_float(a), as_float(b)))

    return calculate


def divide(a: Any, b: Any) -> float:
    x, y = as_float(a), as_float(b)
    if y == 0.0:
        raise Failed
    return finite(x / y)


def div(a: Any, b: Any) -> int:
    """Truncates towards zero."""
    x, y = integer(a), integer(b)
    if y == 0:
        raise Failed
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def rem(a: Any, b: Any) -> int:
    return integer(a) - div(a, b) * integer(b)


ASTRONOMICAL: Final = 2**32  # bits. What lies between is a question of memory, which tests do not ask.


def shift_left(a: Any, b: Any) -> int:
    value, by = integer(a), integer(b)
    if by <= 0:
        return value >> min(-by, value.bit_length())
    if value and by > ASTRONOMICAL:
        raise Failed
    return value << by if value else 0


def rounded(towards: Callable[[Fraction], int]) -> Callable[[Any], int]:
    return lambda term: int(term) if is_integer(number(term)) else towards(Fraction(finite(term)))


def half_away_from_zero(value: Fraction) -> int:
    return math.floor(abs(value) + Fraction(1, 2)) * (1 if value >= 0 else -1)


def bits(term: Any) -> int:
    """The length of a bit string in bits."""
    wants("bits", term)
    return term.nbits if isinstance(term, Bits) else 8 * len(term.encode() if isinstance(term, str) else term)


def size(term: Any) -> int:
    return len(term) if is_tuple(term) else bits(term) // 8


def binary_part(term: Any, start: Any, length: Any) -> bytes | str:
    """A part of text is text, if both ends are between characters."""
    data = term.encode() if isinstance(term, str) else term.data if isinstance(term, Bits) else term
    first, last = sorted((integer(start), integer(start) + integer(length)))
    if not 0 <= first <= last <= bits(term) // 8:
        raise Failed
    part = bytes(data[first:last])
    cuts = any(at < len(data) and data[at] & 0xC0 == 0x80 for at in (first, last))
    return part.decode() if isinstance(term, str) and not cuts else part


def binary_part_2(term: Any, place: Any) -> bytes | str:
    if len(wants("tuple", place)) != 2:
        raise Failed
    return binary_part(term, *place)


def element(position: Any, term: Any) -> Any:
    if not 1 <= integer(position) <= len(wants("tuple", term)):
        raise Failed
    return term[position - 1]


def part_of_list(which: int) -> Callable[[Any], Any]:
    return lambda term: head_and_tail(wants("list", term))[which]


def length(term: Any) -> int:
    if not is_proper_list(term):
        raise Failed
    return len(term)


def map_get(key: Any, term: Any) -> Any:
    for other, value in wants("map", term).items():
        if same(key, other):
            return value
    raise Failed


def is_map_key(key: Any, term: Any) -> bool:
    return any(same(key, other) for other in wants("map", term))


def is_record(term: Any, tag: Any, size: Any) -> bool:
    if not is_atom(tag) or not -(2**59) <= integer(size) < 2**59:  # Erlang's small integers
        raise Failed
    return is_tuple(term) and len(term) == size and size > 0 and same(term[0], tag)


def is_function(term: Any, arity: Any) -> bool:
    if integer(arity) < 0:
        raise Failed
    return kind(term) == "fun" and arity == (term.fields[2] if term.kind == "export" else term.fields[4])


def node_of(term: Any) -> Any:
    if not isinstance(term, Pid | Port | Reference):
        raise Failed
    return term.node


def is_kind(*kinds: str) -> Callable[[Any], bool]:
    return lambda term: kind(term) in kinds


def compared(holds: Callable[[int, int], bool]) -> Callable[[Any, Any], bool]:
    return lambda a, b: holds(order(a, b), 0)


FUNCTIONS: Final[dict[tuple[str, int], Callable[..., Any]]] = {
    ("is_atom", 1): is_atom,
    ("is_float", 1): lambda term: is_number(term) and isinstance(term, float),
    ("is_integer", 1): is_integer,
    ("is_list", 1): is_kind("nil", "list"),
    ("is_number", 1): is_number,
    ("is_pid", 1): is_kind("pid"),
    ("is_port", 1): is_kind("port"),
    ("is_reference", 1): is_kind("reference"),
    ("is_tuple", 1): is_tuple,
    ("is_map", 1): is_kind("map"),
    ("is_map_key", 2): is_map_key,
    ("is_binary", 1): lambda term: kind(term) == "bits" and bits(term) % 8 == 0,
    ("is_bitstring", 1): is_kind("bits"),
    ("is_boolean", 1): lambda term: isinstance(term, bool),
    ("is_function", 1): is_kind("fun"),
    ("is_function", 2): is_function,
    ("is_record", 3): is_record,
    ("abs", 1): lambda term: abs(number(term)),
    ("element", 2): element,
    ("hd", 1): part_of_list(0),
    ("tl", 1): part_of_list(1),
    ("length", 1): length,
    ("map_get", 2): map_get,
    ("map_size", 1): lambda term: len(wants("map", term)),
    ("max", 2): lambda a, b: b if order(a, b) < 0 else a,
    ("min", 2): lambda a, b: b if order(a, b) > 0 else a,
    ("node", 1): node_of,
    ("round", 1): rounded(half_away_from_zero),
    ("ceil", 1): rounded(math.ceil),
    ("floor", 1): rounded(math.floor),
    ("trunc", 1): rounded(math.trunc),
    ("float", 1): as_float,
    ("size", 1): size,
    ("bit_size", 1): bits,
    ("byte_size", 1): lambda term: (bits(term) + 7) // 8,
    ("tuple_size", 1): lambda term: len(wants("tuple", term)),
    ("binary_part", 2): binary_part_2,
    ("binary_part", 3): binary_part,
    ("+", 1): number,
    ("-", 1): lambda term: -number(term),
    ("+", 2): arithmetic(operator.add),
    ("-", 2): arithmetic(operator.sub),
    ("*", 2): arithmetic(operator.mul),
    ("/", 2): divide,
    ("div", 2): div,
    ("rem", 2): rem,
    ("band", 2): lambda a, b: integer(a) & integer(b),
    ("bor", 2): lambda a, b: integer(a) | integer(b),
    ("bxor", 2): lambda a, b: integer(a) ^ integer(b),
    ("bnot", 1): lambda a: ~integer(a),
    ("bsl", 2): shift_left,
    ("bsr", 2): lambda a, b: shift_left(a, -integer(b)),
    (">", 2): compared(operator.gt),
    (">=", 2): compared(operator.ge),
    ("<", 2): compared(operator.lt),
    ("=<", 2): compared(operator.le),
    ("==", 2): compared(operator.eq),
    ("/=", 2): compared(operator.ne),
    ("=:=", 2): same,
    ("=/=", 2): lambda a, b: not same(a, b),
    ("not", 1): lambda a: not boolean(a),
    ("xor", 2): lambda a, b: boolean(a) != boolean(b),
}
JUNCTIONS: Final[dict[str, Callable[[list[bool]], bool]]] = {"and": all, "or": any}  # one or more arguments
STOPPING: Final = {"andalso": True, "orelse": False}  # what an argument must be for the next to be looked at
CONTEXT: Final = {"self", "node"}  # calls without arguments


# ---- expressions


def check_expression(expression: Any, bound: set[int]) -> None:
    """Mistake if it is none, or if it has a variable that is not bound."""
    match kind(expression):
        case "atom":
            number = variable(expression)
            if number is not None and number not in bound:
                raise Mistake(f"{expression!r} is not bound")
        case "tuple":
            check_tuple(expression, bound)
        case "list":
            for part in head_and_tail(expression):
                check_expression(part, bound)
        case "map":
            for pair in expression.items():
                for part in pair:
                    check_expression(part, bound)


def check_tuple(expression: Any, bound: set[int]) -> None:
    match expression:
        case (inner,) if is_tuple(inner):
            parts = inner
        case (function, *_) if function is CONST and len(expression) == 2:
            return
        case (Atom(name=name), *parts) if is_call(name, len(parts)):
            pass
        case _:
            raise Mistake(f"{expression!r} is neither a call nor a tuple in double braces")
    for part in parts:
        check_expression(part, bound)


def is_call(name: str, arity: int) -> bool:
    if name in JUNCTIONS or name in STOPPING:
        return arity > 0
    return (name, arity) in FUNCTIONS or (name in CONTEXT and arity == 0)


class Evaluation:
    """Of one clause for one term. In a body a failing call has the value 'EXIT'; in a guard the failure goes up."""

    def __init__(self, term: Any, bound: Bindings, context: dict[str, Any], in_body: bool) -> None:
        self.term = term
        self.bound = bound
        self.context = context
        self.in_body = in_body

    def value(self, expression: Any) -> Any:
        match kind(expression):
            case "atom":
                return self.atom(expression)
            case "tuple":
                return self.tuple(expression)
            case "list":
                head, tail = head_and_tail(expression)
                return cons(self.value(head), self.value(tail))
            case "map":
                return self.map(expression)
        return expression

    def atom(self, expression: Any) -> Any:
        number = variable(expression)
        if number is not None:
            return self.bound[number]
        if expression is OBJECT:
            return self.term
        if expression is ALL_VARIABLES:
            return [value for _, value in sorted(self.bound.items(), key=lambda pair: pair[0])]
        return expression

    def map(self, expression: dict[Any, Any]) -> dict[Any, Any]:
        pairs = [(self.value(key), self.value(value)) for key, value in expression.items()]
        try:
            result = dict(pairs)
        except TypeError:
            raise Unrepresentable from None
        if len(result) < len(pairs):
            raise Unrepresentable
        return result

    def tuple(self, expression: Any) -> Any:
        if is_tuple(expression[0]):
            return tuple(map(self.value, expression[0]))
        if expression[0] is CONST:
            return expression[1]
        try:
            return self.call(expression[0].name, list(expression[1:]))
        except Failed:
            if self.in_body:
                return EXIT
            raise

    def call(self, name: str, arguments: list[Any]) -> Any:
        if name in STOPPING:
            for argument in arguments[:-1]:
                if boolean(self.value(argument)) is not STOPPING[name]:
                    return not STOPPING[name]
            return self.value(arguments[-1])
        values = list(map(self.value, arguments))
        if name in JUNCTIONS:
            return JUNCTIONS[name](list(map(boolean, values)))
        if name in CONTEXT and not values:
            return self.context[name]
        return FUNCTIONS[name, len(values)](*values)


# ---- match specs


def check(spec: Any) -> None:
    """Mistake if it is no match spec. The empty one is none; `select` and its relatives see to it themselves."""
    if not is_proper_list(spec) or not spec:
        raise Mistake(f"{spec!r} is no list of clauses")
    for clause in spec:
        if not is_tuple(clause) or len(clause) != 3:
            raise Mistake(f"{clause!r} is no head, guards and body")
        head, guards, body = clause
        bound = variables(head)
        if not is_proper_list(guards) or not is_proper_list(body) or not body:
            raise Mistake(f"guards and body are lists, and a body is not empty: {clause!r}")
        for expression in (*guards, *body):
            check_expression(expression, bound)


def run(spec: Any, term: Any, context: dict[str, Any] | None = None) -> tuple[Any] | None:
    """What a checked spec makes of a term: a tuple with the result; None if no clause selects it."""
    for head, guards, body in spec:
        bound: Bindings = {}
        if not matches(head, term, bound):
            continue
        evaluation = Evaluation(term, bound, context or {}, in_body=False)
        try:
            if not all(evaluation.value(guard) is True for guard in guards):
                continue
        except Failed:
            continue
        evaluation.in_body = True
        return ([evaluation.value(expression) for expression in body][-1],)
    return None


# ---- select_replace


def keeps_key(spec: Any, keypos: int) -> bool:
    """Is it evident that every result has the key of its object? (keypos counts from 0.)"""
    return all(clause_keeps_key(head, body, keypos) for head, _, body in spec)


def clause_keeps_key(head: Any, body: Any, keypos: int) -> bool:
    if len(body) != 1:
        return False
    if body[0] is OBJECT:
        return True
    if not is_tuple(body[0]):
        return False
    match body[0]:
        case (result,) if is_tuple(result):
            constant = False
        case (function, result) if function is CONST:
            constant = True
        case _:
            return False
    if not is_tuple(head) or not is_tuple(result) or len(head) <= keypos or len(result) <= keypos:
        return False
    key = result[keypos]
    looked_up = (Atom("element"), keypos + 1, OBJECT)
    return same_key(head[keypos], key, constant) or (not constant and same(key, looked_up))


def same_key(pattern: Any, expression: Any, constant: bool) -> bool:
    """Is the expression's value, whatever matches the pattern, evidently what the pattern matched?"""
    match kind(expression):
        case "list":
            if kind(pattern) != "list":
                return False
            pairs = zip(head_and_tail(pattern), head_and_tail(expression), strict=True)
            return all(same_key(p, e, constant) for p, e in pairs)
        case "tuple" if constant:
            return (
                is_tuple(pattern)
                and len(pattern) == len(expression)
                and all(same_key(p, e, constant) for p, e in zip(pattern, expression, strict=True))
            )
        case "tuple":
            match expression:
                case (inner,) if is_tuple(inner) and is_tuple(pattern) and len(inner) == len(pattern):
                    return all(same_key(p, e, False) for p, e in zip(pattern, inner, strict=True))
                case (function, inner) if function is CONST:
                    return same_key(pattern, inner, True)
            return False
        case "map":
            return False
        case "atom" if expression in (ANY, OBJECT, ALL_VARIABLES):
            return False
        case "atom" if constant and variable(expression) is not None:
            return False
    return same(pattern, expression)
