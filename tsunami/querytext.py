"""Queries: the text form of match specs, read and written.

    {Id, Name, Age} when Age > 28, Name =/= "bob" -> {Id, Name}; {Id, _, _} -> Id

A query is one or more clauses with `;` between them; a clause is `Head when Guards -> Body`, of which `when Guards` and
`-> Body` may be left out. A match spec is a list of tuples (head, guards, body); this is how one becomes the other:

    text                        match spec
    ----                        ----------
    Name in a head              '$1', '$2', ... in the order in which the names come first in that head
    '$7' in a head              '$7' (a head has names or numbers, not both)
    _   in a head               '_'
    Row = Head                  Head, and Row in guards and body is '$_'
    Guard, Guard                two guards: both must be true
    a + b, not a                {'+', a, b}, {'not', a}
    f(a, b)                     {f, a, b}; the name may be an operator in quotes: 'and'(a, b, c)
    {a, b}                      {{a, b}}
    [a | b], #{a => b}          the same
    const(Literal)              {const, Literal}
    $_ or '$_', $$ or '$$'      '$_', '$$'
    -> a, b                     the body [a, b], whose value is b's
    no ->                       the body ['$_'] (for counting and deleting: [true])

>>> from tsunami.querytext import read_query, write_query
>>> read_query("{Id, _, Age} when Age > 28 -> {Id}")
[((Atom('$1'), Atom('_'), Atom('$2')), [(Atom('>'), Atom('$2'), 28)], [((Atom('$1'),),)])]
>>> write_query(_)
'{V1, _, V2} when V2 > 28 -> {V1}'

Precedence is Erlang's, so `and`, `or` and `xor` bind tighter than comparisons, and comparisons do not chain; both are
told by the error. Literals are those of literal.py; only the operators and `when` must be quoted to be atoms, `$` and a
digit is refused (the character or the variable?), and behind a term `%` begins no comment (it looks like a remainder),
but `%%` does.

What this is not: it does not run queries, and does not know what a function does; only which functions there are.

What must stay true:

1. `read_query(write_query(clauses)) == clauses` for every valid match spec of terms that have a literal, the numbers of
   variables and the types of terms included.
2. What `read_query` lets through is a valid match spec.
3. Nothing recurses over a term, a bracket or an operator: depth costs heap, never stack.
4. Every error says where: line and column of the first character that cannot stand there.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final, TypeAlias

from tsunami._core import Atom, BadArgument, ImproperList, _register_query
from tsunami.literal import (
    A_KEY,
    ARROW,
    BAR,
    CLOSES,
    COMMA,
    END,
    MARK,
    VALUE,
    Open,
    Ready,
    Scanner,
    TextError,
    atom_text,
    quoted,
    read_binary,
    read_term,
    scalar_text,
    settled,
    spell,
    spread,
    term_missing,
)

__all__ = ["FUNCTIONS", "Clause", "QueryError", "read_pattern", "read_query", "write_query"]

Clause: TypeAlias = tuple[object, list[object], list[object]]

ANYTHING: Final = Atom("_")
WHOLE_ROW: Final = Atom("$_")
ALL_BINDINGS: Final = Atom("$$")
CONST: Final = Atom("const")
VARIABLE: Final = re.compile(r"\$(0|[1-9][0-9]*)")


class QueryError(TextError, BadArgument):
    """Text that is no query. `line` and `column` count from 1; `reason` is the message without the place.

    >>> tsunami.query("{Id, Age} when Agee > 28")
    Traceback (most recent call last):
    tsunami.QueryError: line 1, column 16: the head has no variable Agee, only Id and Age
        {Id, Age} when Agee > 28
                       ^
    """


QueryError.__module__ = "tsunami"

# ---- operators and functions

# Erlang's table: what binds tighter has a greater number.
BINARY: Final[dict[str, int]] = {
    "orelse": 150,
    "andalso": 160,
    **dict.fromkeys(("==", "/=", "=<", "<", ">=", ">", "=:=", "=/="), 200),
    **dict.fromkeys(("+", "-", "bor", "bxor", "bsl", "bsr", "or", "xor"), 400),
    **dict.fromkeys(("*", "/", "div", "rem", "band", "and"), 500),
}
COMPARISON: Final = 200
PREFIX_BINDS: Final = 600
PREFIX: Final = ("+", "-", "not", "bnot")
RIGHT: Final = (150, 160)
RESERVED: Final = frozenset(name for name in (*BINARY, *PREFIX, "when") if name.isalpha())

ANY_NUMBER: Final = range(1, 1 << 30)
# Every function of match specs, and the numbers of arguments it may have.
FUNCTIONS: Final[dict[str, Sequence[int]]] = {
    **dict.fromkeys(BINARY, (2,)),
    **dict.fromkeys(("+", "-"), (1, 2)),
    **dict.fromkeys(("not", "bnot"), (1,)),
    **dict.fromkeys(("and", "or", "andalso", "orelse"), ANY_NUMBER),
    **dict.fromkeys(("is_atom", "is_binary", "is_bitstring", "is_boolean", "is_float", "is_integer", "is_list"), (1,)),
    **dict.fromkeys(("is_map", "is_number", "is_pid", "is_port", "is_reference", "is_tuple"), (1,)),
    **dict.fromkeys(("abs", "ceil", "float", "floor", "round", "trunc"), (1,)),
    **dict.fromkeys(("bit_size", "byte_size", "hd", "length", "map_size", "size", "tl", "tuple_size"), (1,)),
    **dict.fromkeys(("element", "is_map_key", "map_get", "max", "min"), (2,)),
    "is_function": (1, 2),
    "is_record": (3,),
    "binary_part": (2, 3),
    "node": (0, 1),
    "self": (0,),
}

# What people of other languages write, and what is meant.
FOREIGN: Final = {
    "<=": "=<",
    "!=": "/= or =/=",
    "=": "== or =:=",
    "&&": "andalso",
    "&": "andalso",
    "||": "orelse",
    "//": "div",
    "%": "rem, and behind a term a comment begins with %%",
}

# ---- text to tokens

_SPACE = re.compile(r"(?:\s+|%%[^\n]*)*")
_NEXT = re.compile(r"=:=|=/=|==|/=|=<|>=|=>|->|<<|>>|\+\+|--|<=|!=|&&|\|\||//|[-+*/<>,;|()\]}=&%]|[^\W\d]\w*")
_CALL = re.compile(r"\s*\(")
OPERATOR = "operator"
_IN_HEAD, _IN_CLAUSE, _IN_CONSTANT = "head", "clause", "constant"


class _QueryScanner(Scanner):
    """The tokens of queries. Knows the variables of the clause that is being read."""

    Error = QueryError
    marks: ClassVar[tuple[str, ...]] = (*Scanner.marks, "(", ")", ";", "->", "-", "+")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.begin_clause()

    def begin_clause(self) -> None:
        self.place = _IN_HEAD
        self.named: dict[str, object] = {}
        self.numbered: set[str] = set()

    def take_operator(self) -> tuple[str, str]:
        """The next token, where a term has just ended."""
        space = _SPACE.match(self.text, self.next_at)
        self.at = self.next_at = space.end() if space else self.next_at
        if self.at == len(self.text):
            return END, "the end"
        found = _NEXT.match(self.text, self.at)
        if found is None:
            return MARK, self.text[self.at]
        self.next_at = found.end()
        return (OPERATOR if found.group() in BINARY else MARK), found.group()

    def expected(self, wanted: Iterable[str], found: str) -> None:
        """Fail: none of what could stand here does."""
        if found in FOREIGN:
            self.fail(f"{found} is no operator here; write {FOREIGN[found]}")
        hint = ": alternatives within a guard are joined by orelse" if found == ";" else ""
        self.fail(f"{' or '.join(wanted)} expected here{hint}")

    # -- names

    def variable(self, name: str) -> object:
        if self.place == _IN_CONSTANT:
            self.fail(f"{name[:40]}: there are no variables in const(...)")
        if self.place == _IN_HEAD:
            return self._head_variable(name)
        if name == "_":
            self.fail("_ stands in heads only; the atom is written '_'")
        if name not in self.named:
            self.fail(f"the head has no variable {name[:40]}{self._known()}")
        return self.named[name]

    def _head_variable(self, name: str) -> object:
        if self.key:
            self.fail(f"{name[:40]} in the key of a map: keys in heads are constants")
        if name == "_":
            return ANYTHING
        if self.numbered:
            self.fail(f"the variable {name[:40]} in a head that has numbered ones: names or numbers, not both")
        return self.named.setdefault(name, Atom(f"${len(self.named) + 1}"))

    def _known(self) -> str:
        names = sorted(self.numbered) or list(self.named)
        return f", only {' and '.join(names)}" if names else ""

    def quoted_atom(self, name: str) -> object:
        if self.place == _IN_HEAD and self.key == A_KEY and (name == "_" or VARIABLE.fullmatch(name)):
            self.fail(f"'{name[:40]}' as the key of a map: keys in heads are constants")
        if VARIABLE.fullmatch(name) and self.place != _IN_CONSTANT and not (self.place == _IN_HEAD and self.key):
            self._numbered_variable(name)
        return self.atom(name)

    def _numbered_variable(self, name: str) -> None:
        if self.place != _IN_HEAD and name not in self.numbered:
            self.fail(f"the head has no variable '{name[:40]}'{self._known()}")
        if self.named and self.place == _IN_HEAD:
            self.fail(f"the variable '{name[:40]}' in a head that has named ones: names or numbers, not both")
        self.numbered.add(name)

    def character(self) -> object:
        char = self.text[self.at + 1 : self.at + 2]
        if char in ("_", "$"):
            if self.place != _IN_CLAUSE:
                self.fail(f"${char} stands in guards and bodies only")
            self.next_at = self.at + 2
            return WHOLE_ROW if char == "_" else ALL_BINDINGS
        if char.isdecimal():
            self.fail(f"the variable is written '${char}', the character {ord(char)}")
        return super().character()

    def bare_word(self, word: str) -> tuple[str, object]:
        if word == "when" or (word in PREFIX and self.place == _IN_CLAUSE):
            return MARK, word
        if word in RESERVED:
            self.fail(f"{word} is an operator; the atom is written '{word}'")
        return super().bare_word(word)


# ---- tokens to clauses


def read_query(text: str, result: object = WHOLE_ROW) -> list[Clause]:
    """Read a query. `result` is the result of the clauses that have no `->`.

    QueryError names the place of the first mistake.
    """
    scanner = _QueryScanner(text)
    clauses = []
    end = ";"
    while end == ";":
        clause, end = _clause(scanner, result)
        clauses.append(clause)
    return clauses


def read_pattern(text: str) -> object:
    """Read a head alone: a pattern, with its variables numbered in the order in which they come first.

    >>> from tsunami.querytext import read_pattern
    >>> read_pattern("{Id, _, {Id, Age}}")
    (Atom('$1'), Atom('_'), (Atom('$1'), Atom('$2')))
    """
    scanner = _QueryScanner(text)
    pattern = read_term(scanner)
    kind, mark = scanner.take_operator()
    if kind != END:
        scanner.fail(f"a pattern is a head alone: {mark} cannot stand here")
    return pattern


def _clause(scanner: _QueryScanner, result: object) -> tuple[Clause, str]:
    """One clause, and what stands behind it: `;`, or nothing."""
    scanner.begin_clause()
    head = read_term(scanner)
    kind, mark = scanner.take_operator()
    if mark == "=" and list(scanner.named.values()) == [head]:
        whole = dict.fromkeys(scanner.named, WHOLE_ROW)
        scanner.named.clear()
        head = read_term(scanner)
        for name in whole.keys() & scanner.named.keys():
            scanner.fail(f"{name[:40]} is the name of the whole row, and cannot stand in it")
        scanner.named |= whole
        kind, mark = scanner.take_operator()
    scanner.place = _IN_CLAUSE
    guards, body = list[object](), [result]
    if mark == "when":
        guards, kind, mark = _expressions(scanner, ("->", ";"))
    if mark == "->":
        body, kind, mark = _expressions(scanner, (";",))
    if kind != END and mark != ";":
        if kind == OPERATOR:
            scanner.fail(f"{mark} in a head; alternatives within a guard are joined by orelse, not by ;")
        scanner.expected(("when", "->", ";"), mark)
    return (head, guards, body), mark


class _Level(Open):
    """A bracket of an expression that has begun and not yet ended, with the operators that wait for their operands.

    Its element that is being read is `operands` and `operators`: 1 + 2 * is [1, 2] and [+, *].
    """

    __slots__ = ("name", "operands", "operators")

    def __init__(self, kind: str, at: int, name: Atom | None = None) -> None:
        super().__init__(kind, at)
        self.name = name
        self.operands: list[object] = []
        self.operators: list[tuple[Atom, int]] = []  # each with how tight it binds

    @property
    def closing(self) -> str:
        return CLOSES.get(self.kind, ")")

    def expects(self) -> tuple[str, ...]:
        if self.kind == "(":
            return (")",) if self.name is None else (",", ")")
        return super().expects()

    def operator(self, scanner: _QueryScanner, spelled: str) -> None:
        """An operator with two operands, whose first is complete."""
        binds = BINARY[spelled]
        self.apply(binds + (binds in RIGHT))
        if binds == COMPARISON and self.operators and self.operators[-1][1] == COMPARISON:
            scanner.fail(
                f"a second comparison, {spelled}: comparisons do not chain, and and, or, xor bind tighter than they"
                " do; use a comma, andalso, orelse, or parentheses"
            )
        self.operators.append((Atom(spelled), binds))

    def apply(self, least: int) -> None:
        """Apply the operators that bind at least so tight; comparisons wait for one another, to be refused."""
        while self.operators and self.operators[-1][1] >= least:
            name, binds = self.operators[-1]
            if binds == least == COMPARISON:
                return
            self.operators.pop()
            last = settled(self.operands.pop())
            call = (name, last) if binds == PREFIX_BINDS else (name, settled(self.operands.pop()), last)
            self.operands.append(call)

    def finish(self) -> None:
        """The element is complete."""
        self.apply(0)
        self.add(self.operands.pop())

    def close(self, scanner: Scanner) -> object:
        """What the bracket is, as an expression."""
        if self.kind == "{":
            return (tuple(self.items),)
        if self.kind != "(":
            return super().close(scanner)
        if self.name is None:
            return self.items[0]
        arities = FUNCTIONS[self.name.name]
        if len(self.items) not in arities:
            takes = "one or more" if arities is ANY_NUMBER else " or ".join(map(str, arities))
            scanner.fail(f"{self.name} takes {takes} arguments, not {len(self.items)}", self.at)
        return (self.name, *self.items)


def _expressions(scanner: _QueryScanner, ends: tuple[str, ...]) -> tuple[list[object], str, str]:
    """Expressions with commas between them, up to one of `ends` or the end of the text, and which."""
    stack = [_Level("", scanner.at)]
    while True:
        _operand(scanner, stack)
        while True:  # a term is complete: what follows?
            level = stack[-1]
            kind, mark = scanner.take_operator()
            if kind == OPERATOR:
                level.operator(scanner, mark)
                break
            level.finish()
            if len(stack) == 1:
                if kind == END or mark in ends:
                    return level.items, kind, mark
                if mark != ",":
                    scanner.expected(("an operator", ",", *ends), mark)
                break
            if not _closes(scanner, level, kind, mark):
                break
            stack.pop()
            value = level.close(scanner)
            stack[-1].operands.append(value if stack[-1].has_tail else settled(value))


def _closes(scanner: _QueryScanner, level: _Level, kind: str, mark: str) -> bool:
    """Does the mark behind an element close the bracket?"""
    allowed = level.expects()
    if kind == END:
        scanner.fail(f"this {level.kind} is never closed", level.at)
    if mark not in allowed:
        scanner.expected(("an operator", *allowed), mark)
    if mark == "|":
        level.has_tail = True
    return mark == level.closing


def _operand(scanner: _QueryScanner, stack: list[_Level]) -> None:
    """Read up to the end of the first term: operators before it, brackets that open before it."""
    while True:
        level = stack[-1]
        kind, value = scanner.take()
        if kind == MARK and value in PREFIX:
            level.operators.append((Atom(str(value)), PREFIX_BINDS))
            continue
        if kind == VALUE and isinstance(value, Atom) and _CALL.match(scanner.text, scanner.next_at):
            value, opened = _call(scanner, value)
        elif kind == VALUE:
            opened = None
        elif value == "<<":
            value, opened = read_binary(scanner), None
        elif value == "(":
            opened = _Level("(", scanner.at)
        elif value in CLOSES:
            opened = _Level(str(value), scanner.at)
        else:
            term_missing(scanner, kind, value)
        if opened is not None:
            if not _is_empty(scanner, opened):
                stack.append(opened)
                continue
            value = opened.close(scanner)
        level.operands.append(value)
        return


def _call(scanner: _QueryScanner, name: Atom) -> tuple[object, _Level | None]:
    """What a name and a bracket begin: a call, or the whole of const(...)."""
    at = scanner.at
    scanner.take()
    if name is CONST:
        return _constant(scanner), None
    if name.name not in FUNCTIONS:
        near = difflib.get_close_matches(name.name, FUNCTIONS, n=1, cutoff=0.8)
        hint = f"; {near[0]} is one" if near else ""
        scanner.fail(f"there is no function {name.name[:40]} in queries{hint}", at)
    return None, _Level("(", at, name)


def _constant(scanner: _QueryScanner) -> object:
    scanner.place = _IN_CONSTANT
    value = read_term(scanner)
    scanner.place = _IN_CLAUSE
    if scanner.take() != (MARK, ")"):
        scanner.fail(") expected here: const takes one literal")
    return (CONST, value)


def _is_empty(scanner: _QueryScanner, opened: _Level) -> bool:
    """Does the bracket close at once? If so, behind its end."""
    here = scanner.next_at
    if scanner.take() == (MARK, opened.closing) and (opened.kind != "(" or opened.name is not None):
        return True
    scanner.next_at = here
    return False


# ---- clauses to text


def write_query(clauses: object) -> str:
    """The text of a match spec, which reads back as the same clauses.

    Variables are called V1, V2, ... if these are the numbers that reading will give them, else '$3', '$1', ... What has
    no literal (pids, terms of a program's own types) is shown in a form that cannot be read back.
    """
    if not isinstance(clauses, list):
        raise BadArgument(f"a match spec is a list of clauses, not {clauses!r:.60}")
    return "; ".join(map(_clause_text, clauses))


def expression_text(expression: object) -> str:
    """The text of one expression of a guard or a body, its variables by their numbers."""
    return _list_text([expression], {})


def _clause_text(clause: object) -> str:
    if not isinstance(clause, tuple) or len(clause) != 3:
        raise BadArgument(f"a clause is a tuple (head, guards, body), not {clause!r:.60}")
    head, guards, body = clause
    names = _names(head)
    names[ANYTHING] = "_"
    text = spell(head, lambda atom: names.get(atom) or _constant_text(atom), _constant_text)
    del names[ANYTHING]  # in guards and bodies it is an atom
    if guards:
        text += f" when {_list_text(guards, names)}"
    if body != [WHOLE_ROW]:
        text += f" -> {_list_text(body, names)}"
    return text


def _names(head: object) -> dict[Atom, str]:
    """What to call the variables of a head."""
    found = list(dict.fromkeys(_variables(head)))
    if [atom.name for atom in found] == [f"${number}" for number in range(1, len(found) + 1)]:
        return {atom: f"V{atom.name[1:]}" for atom in found}
    return {atom: quoted(atom.name) for atom in found}


def _variables(head: object) -> Iterator[Atom]:
    """The variables of a head, from left to right."""
    todo = [head]
    while todo:
        match todo.pop():
            case Atom() as atom:
                if VARIABLE.fullmatch(atom.name):
                    yield atom
            case tuple() | list() as items:
                todo += reversed(items)
            case ImproperList() as improper:
                todo += (improper.tail, *reversed(improper.items))
            case dict() as pairs:
                todo += reversed(pairs.values())


def _constant_text(atom: Atom) -> str:
    return quoted(atom.name) if atom.name in RESERVED else atom_text(atom)


class _Part:
    """A part of an expression that is still to be written, and how tight what surrounds it binds."""

    __slots__ = ("around", "term")

    def __init__(self, term: object, around: int = 0) -> None:
        self.term = term
        self.around = around


_OPEN, _CLOSE, _END_LIST, _END_TUPLE = Ready("("), Ready(")"), Ready("]"), Ready("}")


def _list_text(expressions: object, names: dict[Atom, str]) -> str:
    """Expressions with commas between them."""
    if not isinstance(expressions, (list, tuple)):
        raise BadArgument(f"guards and bodies are lists, not {expressions!r:.60}")
    out: list[str] = []
    todo: list[object] = []
    spread(todo, "", [_Part(expression) for expression in expressions], "")
    while todo:
        item = todo.pop()
        if isinstance(item, _Part):
            _expand(todo, item.term, item.around, names)
        else:
            out.append(str(item))
    return "".join(out)


def _expand(todo: list[object], term: object, around: int, names: dict[Atom, str]) -> None:
    """Push the parts of one expression, last things first."""
    if isinstance(term, tuple):
        _expand_call(todo, term, around)
    elif isinstance(term, list):
        spread(todo, "[", list(map(_Part, term)), "]")
    elif isinstance(term, ImproperList):
        todo += (_END_LIST, _Part(term.tail), BAR)
        spread(todo, "[", list(map(_Part, term.items)), "")
    elif isinstance(term, dict):
        todo.append(_END_TUPLE)
        for number, (key, value) in enumerate(reversed(term.items())):
            todo += (COMMA, _Part(value), ARROW, _Part(key)) if number else (_Part(value), ARROW, _Part(key))
        todo.append(Ready("#{"))
    elif isinstance(term, Atom):
        todo.append(Ready(names.get(term) or _constant_text(term)))
    else:
        todo.append(Ready(scalar_text(term)))


def _expand_call(todo: list[object], term: tuple[object, ...], around: int) -> None:
    match term:
        case (tuple() as elements,):
            spread(todo, "{", list(map(_Part, elements)), "}")
        case (Atom(name="const"), value):
            todo.append(Ready(f"const({spell(value, _constant_text)})"))
        case (Atom(name=name), left, right) if name in BINARY:
            binds = BINARY[name]
            to_left = _Part(left, binds + (binds in RIGHT or binds == COMPARISON))
            to_right = _Part(right, binds + (binds not in RIGHT))
            parts = (to_right, Ready(f" {name} "), to_left)
            todo += (_CLOSE, *parts, _OPEN) if binds < around else parts
        case (Atom(name=name), operand) if name in PREFIX:
            is_bare = name.isalpha() or isinstance(operand, (Atom, list, dict))
            word = Ready(f"{name} " if name.isalpha() else name)
            todo += (_Part(operand, PREFIX_BINDS), word) if is_bare else (_CLOSE, _Part(operand), _OPEN, word)
        case (Atom() as function, *arguments):
            todo.append(_CLOSE)
            spread(todo, f"{_constant_text(function)}(", list(map(_Part, arguments)), "")
        case _:
            raise BadArgument(f"no expression of a match spec: {spell(term, atom_text)[:60]}")


_register_query(read_query, write_query, read_pattern)  # where a table takes a query, it takes its text
