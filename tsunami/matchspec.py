"""Match specs out of Python expressions: `row[2] > 28` is a condition on rows, not a bool.

    from tsunami import row, where

    t.select(row[2] > 28, fields=(row[0], row[1]))                   # of the rows for which it holds, these fields
    t.select(where(row[2] > 28, row[1] != "bob").select(row[0]))     # the same, ready to be kept and passed on
    t.select(where(row[2] > 28).select("old") | where().select("young"))      # clauses: the first that holds

`row` stands for the row, `row[i]` for its element i, from 0 on; a row that is too short does not fail, it does not fit.
Operators and methods of what comes out build further expressions:

    == != < <= > >=       by value, between all types, as terms are ordered; x.exactly(y) tells 1 from 1.0
    + - * / abs()         arithmetic;  x.div(y) and x.rem(y) round towards zero, unlike Python's // and %
    & | ~ ^               and, or, not, xor. They bind tighter than comparisons: (row[1] > 2) & (row[1] < 5)
    << >> band bor ...    on bits:  row[1] << 2, row[1].band(7)
    x[0], x["name"]       element 0 of a tuple; what a map has at "name"
    x.is_atom() ...       every function of match specs has a method of its own name
    x.one_of(values), x.between(low, high)

Why the clauses look as they do: the number of elements is not known, so the head is `'_'` and row[i] is
`{element, i + 1, '$_'}`. The engine takes that at the key's position for the key, as in a head. Conditions joined
by & become guards of their own, in which the engine looks for keys and ranges.

What must stay true:

1. An expression never has a truth value: `if`, `and`, `or`, `not`, `in` and chained comparisons are errors that name
   the remedy. Nothing that Python does with an expression silently drops a part of it.
2. A constant is a constant, whatever it looks like: Atom("$1") and tuples are quoted.
3. Nothing recurses over a term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NoReturn

from tsunami._core import Atom, BadArgument, BadType, ImproperList, MatchSpec
from tsunami.querytext import (
    ALL_BINDINGS,
    ANYTHING,
    CONST,
    VARIABLE,
    WHOLE_ROW,
    Clause,
    expression_text,
    read_query,
    write_query,
)

__all__ = ["Expression", "Query", "query", "row", "where"]

_ANDALSO: Final = Atom("andalso")


def _one(name: str) -> Callable[[Expression], Expression]:
    """A method for a function of one argument."""

    def call(self: Expression) -> Expression:
        return _call(name, self)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The function {name}, of this."
    return call


def _two(name: str) -> Callable[[Expression, object], Expression]:
    """A method for a function of two arguments, whose first is the expression itself."""

    def call(self: Expression, other: object) -> Expression:
        return _call(name, self, other)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The function {name}, of this and another."
    return call


class Expression:
    """A part of a match spec: `row`, an element of it, or what is made of those. `term` is it as a match spec has it.

    >>> from tsunami import row
    >>> (row[2] > 28) & ~row[1].is_atom()
    <element(3, '$_') > 28 andalso not is_atom(element(2, '$_'))>
    """

    __slots__ = ("term",)

    def __init__(self, term: object) -> None:
        self.term = term

    def __repr__(self) -> str:
        return f"<{expression_text(self.term)}>"

    def __match_spec__(self, result: object = WHOLE_ROW, fields: object = None) -> list[Clause]:
        return where(self).__match_spec__(result, fields)

    # -- comparisons: a result is no bool, whatever object.__eq__ says

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return _call("==", self, other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return _call("/=", self, other)

    def __lt__(self, other: object) -> Expression:
        return _call("<", self, other)

    def __le__(self, other: object) -> Expression:
        return _call("=<", self, other)

    def __gt__(self, other: object) -> Expression:
        return _call(">", self, other)

    def __ge__(self, other: object) -> Expression:
        return _call(">=", self, other)

    def exactly(self, other: object) -> Expression:
        """Equal, and of the same type of numbers: 1 is not 1.0."""
        return _call("=:=", self, other)

    def one_of(self, values: Iterable[object]) -> Expression:
        """Is it equal to one of these?"""
        tests = [_call("==", self, value).term for value in values]
        return Expression((Atom("orelse"), *tests) if tests else False)

    def between(self, low: object, high: object) -> Expression:
        """Is it between these, both included?"""
        return (self >= low) & (self <= high)

    # -- and, or, not

    def __and__(self, other: object) -> Expression:
        return _call("andalso", self, other)

    def __rand__(self, other: object) -> Expression:
        return _call("andalso", other, self)

    def __or__(self, other: object) -> Expression:
        return _call("orelse", self, other)

    def __ror__(self, other: object) -> Expression:
        return _call("orelse", other, self)

    def __xor__(self, other: object) -> Expression:
        return _call("xor", self, other)

    def __rxor__(self, other: object) -> Expression:
        return _call("xor", other, self)

    def __invert__(self) -> Expression:
        return _call("not", self)

    # -- arithmetic

    def __add__(self, other: object) -> Expression:
        return _call("+", self, other)

    def __radd__(self, other: object) -> Expression:
        return _call("+", other, self)

    def __sub__(self, other: object) -> Expression:
        return _call("-", self, other)

    def __rsub__(self, other: object) -> Expression:
        return _call("-", other, self)

    def __mul__(self, other: object) -> Expression:
        return _call("*", self, other)

    def __rmul__(self, other: object) -> Expression:
        return _call("*", other, self)

    def __truediv__(self, other: object) -> Expression:
        return _call("/", self, other)

    def __rtruediv__(self, other: object) -> Expression:
        return _call("/", other, self)

    def __lshift__(self, other: object) -> Expression:
        return _call("bsl", self, other)

    def __rlshift__(self, other: object) -> Expression:
        return _call("bsl", other, self)

    def __rshift__(self, other: object) -> Expression:
        return _call("bsr", self, other)

    def __rrshift__(self, other: object) -> Expression:
        return _call("bsr", other, self)

    def __neg__(self) -> Expression:
        return _call("-", self)

    def __pos__(self) -> Expression:
        return _call("+", self)

    def __abs__(self) -> Expression:
        return _call("abs", self)

    # -- what is inside

    def __getitem__(self, key: object) -> Expression:
        if isinstance(key, bool) or isinstance(key, (slice, float)):
            raise BadType(f"{key!r} is no position of a tuple and no key of a map; for any key write .map_get(key)")
        if not isinstance(key, int):
            return self.map_get(key)
        if key < 0:
            raise BadArgument(f"position {key}: positions count from 0 on; the end of a row or a tuple is not known")
        return Expression((Atom("element"), key + 1, self.term))

    def map_get(self, key: object) -> Expression:
        """What a map has at this key."""
        return _call("map_get", key, self)

    def is_map_key(self, key: object) -> Expression:
        """Has a map this key?"""
        return _call("is_map_key", key, self)

    def binary_part(self, start: object, length: object) -> Expression:
        """Some of the bytes of a binary."""
        return _call("binary_part", self, start, length)

    def is_function(self, arity: object = None) -> Expression:
        """Is it a fun, and of this arity?"""
        return _call("is_function", self) if arity is None else _call("is_function", self, arity)

    def is_record(self, tag: object, size: object) -> Expression:
        """Is it a tuple of this size, whose first element is this atom?"""
        return _call("is_record", self, tag, size)

    # -- what Python would do silently, and wrongly

    def __bool__(self) -> bool:
        raise BadType(
            "an expression of a row has no truth value: write & for and, | for or, ~ for not, with brackets around"
            " comparisons, as in (row[1] > 2) & (row[1] < 5); that is also what 2 < row[1] < 5 is written as;"
            " for in, max and min write .one_of(values), .max(y), .min(y)"
        )

    def __iter__(self) -> Iterator[object]:
        raise BadType("an expression of a row cannot be gone through: how many elements there are is not known yet")

    def __contains__(self, item: object) -> bool:
        raise BadType("in asks Python, not the rows: write expression.one_of(values), or map.is_map_key(key)")

    def __len__(self) -> int:
        raise BadType("len() asks Python, not the rows: write .length() of a list, .size(), .map_size()")

    def __round__(self, digits: int | None = None) -> NoReturn:
        raise BadType("Python's round() goes to even numbers: .round() goes away from zero, as queries do")

    def __floordiv__(self, other: object) -> NoReturn:
        raise BadType("// rounds down in Python: write .div(y), which rounds towards zero, as queries do")

    def __mod__(self, other: object) -> NoReturn:
        raise BadType("% has the divisor's sign in Python: write .rem(y), which has the dividend's, as queries do")

    __rfloordiv__ = __floordiv__
    __rmod__ = __mod__

    def __pow__(self, other: object) -> NoReturn:
        raise BadType("queries have no power function")

    __rpow__ = __pow__

    # -- the functions that have one argument, or two in this order

    is_atom, is_boolean = _one("is_atom"), _one("is_boolean")
    is_binary, is_bitstring = _one("is_binary"), _one("is_bitstring")
    is_float, is_integer, is_number = _one("is_float"), _one("is_integer"), _one("is_number")
    is_list, is_map, is_tuple = _one("is_list"), _one("is_map"), _one("is_tuple")
    is_pid, is_port, is_reference, node = _one("is_pid"), _one("is_port"), _one("is_reference"), _one("node")
    abs, float, round, trunc = _one("abs"), _one("float"), _one("round"), _one("trunc")
    ceil, floor = _one("ceil"), _one("floor")
    size, bit_size, byte_size = _one("size"), _one("bit_size"), _one("byte_size")
    length, hd, tl = _one("length"), _one("hd"), _one("tl")
    map_size, tuple_size = _one("map_size"), _one("tuple_size")
    max, min = _two("max"), _two("min")
    div, rem = _two("div"), _two("rem")  # towards zero
    band, bor, bxor, bnot = _two("band"), _two("bor"), _two("bxor"), _one("bnot")


class _Row(Expression):
    """The row itself."""

    __slots__ = ()

    def __getitem__(self, key: object) -> Expression:
        if not isinstance(key, int):
            raise BadType(f"{key!r} is no position: a row is a tuple, and its elements are row[0], row[1], ...")
        return super().__getitem__(key)


row: Final[Expression] = _Row(WHOLE_ROW)


class Query:
    """Clauses: conditions, and what is selected where they hold. Made by `where`; `|` puts clauses behind others, and
    of a row's clauses the first that holds is the one.

    >>> from tsunami import row, where
    >>> where(row[2] > 28, row[1] != "bob").select(row[0], row[1])
    <_ when element(3, '$_') > 28, element(2, '$_') /= "bob" -> {element(1, '$_'), element(2, '$_')}>
    """

    __slots__ = ("_clauses",)

    def __init__(self, clauses: Iterable[tuple[list[object], list[object]]]) -> None:
        self._clauses = tuple(clauses)  # guards, and a body or nothing yet

    def select(self, *fields: object) -> Query:
        """Tell what is selected: one expression, or several as a tuple; for the clauses that have nothing yet."""
        if not fields:
            raise BadArgument("select() of nothing: for the whole row leave it out, or write select(row)")
        if all(body for _, body in self._clauses):
            raise BadArgument("all clauses of this query have their fields already")
        body = [term_of(fields[0] if len(fields) == 1 else fields)]
        return Query((guards, old or body) for guards, old in self._clauses)

    def __or__(self, other: object) -> Query:
        if isinstance(other, Expression):
            other = where(other)
        if not isinstance(other, Query):
            return NotImplemented
        return Query((*self._clauses, *other._clauses))

    def __bool__(self) -> bool:
        raise BadType("a query has no truth value: ask t.select_count(query); queries are joined by |")

    def __repr__(self) -> str:
        return f"<{write_query(self.__match_spec__())}>"

    def __match_spec__(self, result: object = WHOLE_ROW, fields: object = None) -> list[Clause]:
        """The match spec. `fields`: what is selected; `result`: the body where nothing is."""
        if fields is None:
            return [(ANYTHING, guards, body or [result]) for guards, body in self._clauses]
        if any(body for _, body in self._clauses):
            raise BadArgument("fields= for a query that has its fields already")
        body = [term_of(fields)]
        return [(ANYTHING, guards, body) for guards, _ in self._clauses]


def where(*conditions: Expression) -> Query:
    """A query for the rows for which all conditions hold; without any: for all rows.

    >>> from tsunami import row, where
    >>> where((row[1] > 1) & (row[1] < 5), ~row[0].is_atom())
    <_ when element(2, '$_') > 1, element(2, '$_') < 5, not is_atom(element(1, '$_'))>
    >>> t = tsunami.Table()
    >>> t.insert([(1, "alice", 30), (2, "bob", 25)])
    True
    >>> t.select(where(row[2] > 28).select(row[1]))
    ['alice']
    """
    guards: list[object] = []
    for condition in conditions:
        if not isinstance(condition, Expression):
            raise BadType(f"{condition!r:.60} is no condition: a condition is made of row, as in row[2] > 28")
        guards += _conjuncts(condition.term)
    return Query([(guards, [])])


def query(text: str) -> MatchSpec:
    """The match spec of a query: checked and compiled, to be used again and again. `str` of it is its text.

    >>> import tsunami
    >>> spec = tsunami.query("{Id, Name, Age} when Age > 28 -> {Id, Name}")
    >>> spec.clauses
    [((Atom('$1'), Atom('$2'), Atom('$3')), [(Atom('>'), Atom('$3'), 28)], [((Atom('$1'), Atom('$2')),)])]
    >>> str(spec)
    '{V1, V2, V3} when V3 > 28 -> {V1, V2}'
    """
    return MatchSpec(read_query(text))


def _conjuncts(term: object) -> list[object]:
    """The parts of a condition that is an and, from left to right."""
    found: list[object] = []
    todo = [term]
    while todo:
        term = todo.pop()
        if isinstance(term, tuple) and len(term) == 3 and term[0] is _ANDALSO:
            todo += (term[2], term[1])
        else:
            found.append(term)
    return found


# ---- Python values as expressions


def _call(name: str, *arguments: object) -> Expression:
    return Expression((Atom(name), *map(term_of, arguments)))


def term_of(value: object) -> object:
    """An expression for a value: itself if it is one, a constant, or a container of both."""
    if isinstance(value, Expression):
        return value.term
    if not isinstance(value, _CONTAINERS):
        return _constant(value)
    if not _holds_expression(value):
        return (CONST, value)
    return _container(value)


_CONTAINERS: Final = (tuple, list, dict, ImproperList)


def _constant(value: object) -> object:
    """Anything as a constant; as a key of a map a tuple, too."""
    special = isinstance(value, Atom) and (value in (WHOLE_ROW, ALL_BINDINGS) or VARIABLE.fullmatch(value.name))
    return (CONST, value) if special or isinstance(value, (tuple, ImproperList)) else value


def _inside(value: object) -> list[object]:
    match value:
        case ImproperList():
            return [*value.items, value.tail]
        case dict():
            return list(value.values())
        case tuple() | list():
            return list(value)
    return []


def _holds_expression(value: object) -> bool:
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, Expression):
            return True
        todo += _inside(item)
    return False


def _container(value: object) -> object:
    """A container with expressions in it. Outer ones are met first, so inner ones are ready first when going back."""
    home: list[object] = [value]
    todo: list[tuple[list[object], int]] = [(home, 0)]
    found: list[tuple[list[object], int, list[object]]] = []
    while todo:
        place, at = todo.pop()
        item = place[at]
        if isinstance(item, _CONTAINERS):
            parts = _inside(item)
            found.append((place, at, parts))
            todo += ((parts, number) for number in range(len(parts)))
        else:
            place[at] = term_of(item)
    for place, at, parts in reversed(found):
        match place[at]:
            case tuple():
                place[at] = (tuple(parts),)
            case ImproperList():
                place[at] = ImproperList(parts[:-1], parts[-1])
            case dict() as pairs:
                place[at] = dict(zip(map(_constant, pairs), parts, strict=True))
            case _:
                place[at] = parts
    return home[0]
