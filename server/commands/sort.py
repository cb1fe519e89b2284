"""SORT and SORT_RO: the elements of a list, set or sorted set, in an order of their own or by what other keys hold.

    SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE destination]

A pattern names a key for each element: its first `*` stands for the element. `key->field` means a field of a hash
there. `GET #` is the element itself. A pattern for BY without `*` means: do not sort.

What must stay true:

1. It sees one moment: with patterns that name other keys the whole database is held, else the keys that it names.
2. Elements of equal weight are ordered by their bytes, unless they are compared as texts (ALPHA) of other keys: then
   they keep the order that they came in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from tsunami_server.arguments import SYNTAX, double, int64, integer
from tsunami_server.command import CommandError, Reply, command
from tsunami_server.keyspace import WRONG_TYPE, as_text
from tsunami_server.session import Session
from tsunami_server.values import Hash, List, Set, Step, Value, ZSet, kind_of, opened

NO_NUMBER = "ERR One or more scores can't be converted into double"
SPACES = b" \t\n\v\f\r"
SORTABLE = (List, Set, ZSet)


@dataclass(slots=True)
class Options:
    by: bytes | None = None
    gets: list[bytes] = field(default_factory=list)
    offset: int = 0
    count: int = -1
    descending: bool = False
    as_text: bool = False
    store: bytes | None = None

    @property
    def sorts(self) -> bool:
        """No `*` in BY: leave them in their order."""
        return self.by is None or b"*" in self.by

    @property
    def looks_elsewhere(self) -> bool:
        return (self.by is not None and self.sorts) or any(pattern != b"#" for pattern in self.gets)

    @classmethod
    def parse(cls, session: Session, name: bytes, args: list[bytes]) -> "Options":
        options = cls()
        reads_all = session.may_touch_all([name, *args])
        at = 1
        while at < len(args):
            at += options._take(args[at].upper(), args[at + 1 : at + 3], name == b"SORT", reads_all)
        return options

    def _take(self, word: bytes, following: list[bytes], may_store: bool, reads_all: bool) -> int:
        """Note one option; the number of words it took."""
        if word in (b"ASC", b"DESC"):
            self.descending = word == b"DESC"
            return 1
        if word == b"ALPHA":
            self.as_text = True
            return 1
        if word == b"LIMIT" and len(following) == 2:
            self.offset, self.count = integer(following[0]), integer(following[1])
            return 3
        if not following:
            raise CommandError(SYNTAX)
        if word == b"STORE" and may_store:
            self.store = following[0]
        elif word == b"BY":
            self.by = following[0]
            if self.sorts and not reads_all:
                raise CommandError("ERR BY option of SORT denied due to insufficient ACL permissions.")
        elif word == b"GET":
            if not reads_all:
                raise CommandError("ERR GET option of SORT denied due to insufficient ACL permissions.")
            self.gets.append(following[0])
        else:
            raise CommandError(SYNTAX)
        return 2


# ---- what a pattern stands for


def looked_up(step: Step, pattern: bytes, element: bytes) -> bytes | None:
    """The text that a pattern means for an element; None if there is no such key or field, or it is of another type."""
    if pattern == b"#":
        return element
    before, star, behind = pattern.partition(b"*")
    if not star:
        return None
    behind, arrow, name = behind.partition(b"->")
    if not name:  # an arrow at the end is part of the key
        behind, arrow = behind + arrow, b""
    row, _ = step.entry(before + element + behind)
    kind = kind_of(row)
    if row is None or kind != ("hash" if arrow else "string"):
        return None
    return Hash.open(row[1]).get(name) if arrow else as_text(row[1])


def weight(text: bytes | None) -> float:
    """A text as strtod reads it, all of it; nothing is 0."""
    if not text:
        return 0.0
    number = int64(text)
    return float(number) if number is not None else double(text.lstrip(SPACES), NO_NUMBER)


# ---- the command


def in_order(step: Step, value: Value | None, options: Options, in_script: bool) -> list[bytes]:
    """The elements that are asked for, in order."""
    if value is None:
        return []
    span = window(options, len(value))
    # What is stored, or a script sees, must not depend on the order that a set happens to have.
    settled = type(value) is Set and (options.store is not None or in_script)
    if not options.sorts and not settled:
        return unsorted(value, span, options.descending)
    elements = list(all_of(value))
    if not options.sorts:
        elements.sort(reverse=options.descending)
    elif options.as_text and options.by is None:
        elements.sort(reverse=options.descending)
    elif options.as_text:
        assert options.by is not None
        texts = {element: looked_up(step, options.by, element) for element in elements}
        # no text is below every text
        elements.sort(key=lambda element: (texts[element] is not None, texts[element] or b""),
                      reverse=options.descending)  # fmt: skip
    else:
        by = b"#" if options.by is None else options.by
        weights = {element: weight(looked_up(step, by, element)) for element in elements}
        elements.sort(key=lambda element: (weights[element], element), reverse=options.descending)
    return elements[span.start : span.stop]


def window(options: Options, size: int) -> range:
    start = min(max(options.offset, 0), size)
    return range(start, size if options.count < 0 else min(start + options.count, size))


def all_of(value: Value) -> Sequence[bytes]:
    if type(value) is List:
        return list(value.elements())
    if type(value) is ZSet:
        return [member for member, _ in value.pairs()]
    assert type(value) is Set
    return list(value.members())


def unsorted(value: Value, span: range, descending: bool) -> list[bytes]:
    """In the value's own order, or backwards. Of a long one, only what is asked for is looked at."""
    size = len(value)
    if type(value) is Set:
        return list(islice(value.members(), span.start, span.stop))
    start, stop = (size - span.stop, size - span.start) if descending else (span.start, span.stop)
    if type(value) is ZSet:
        return [member for member, _ in value.slice(start, stop, descending)]
    assert type(value) is List
    found = value.slice(start, stop)
    return found[::-1] if descending else found


def sortable(step: Step, key: bytes) -> Value | None:
    row, _ = step.entry(key)
    if row is None:
        return None
    if kind_of(row) not in [cls.kind for cls in SORTABLE]:
        raise CommandError(WRONG_TYPE)
    return opened(row)


def sort_elements(session: Session, name: bytes, args: list[bytes]) -> Reply:
    options = Options.parse(session, name, args)
    key, target = args[0], options.store
    keys = [] if options.looks_elsewhere else [key, *([target] if target is not None else [])]
    with Step(session, *keys) as step:
        elements = in_order(step, sortable(step, key), options, session.in_script)
        found: list[bytes | None] = (
            [looked_up(step, pattern, element) for element in elements for pattern in options.gets]
            if options.gets
            else list(elements)
        )
        if target is None:
            return found
        result = List(None, [text or b"" for text in found])
        erased = step.replace(target, result)
    session.notify_stored("l", "sortstore", target, len(found), erased)
    return len(found)


COST = "O(N+M*log(M)): elements, elements asked for"
ELSEWHERE = "? RO access"


@command(
    "SORT key [BY by-pattern:pattern] [LIMIT limit=(offset count:integer)] [GET get-pattern:pattern ...] "
    "order=[ASC | DESC] sorting=[ALPHA] [STORE destination]",
    "write denyoom movablekeys", group="generic", since="1.0.0", acl="list set sortedset dangerous",
    keys=("1 RO access", ELSEWHERE, "STORE? OW update"), complexity=COST,
    summary="Sort a list, a set or a sorted set, and give or store what came of it.",
)  # fmt: skip
def sort(session: Session, args: list[bytes]) -> Reply:
    return sort_elements(session, b"SORT", args)


@command(
    "SORT_RO key [BY by-pattern:pattern] [LIMIT limit=(offset count:integer)] [GET get-pattern:pattern ...] "
    "order=[ASC | DESC] sorting=[ALPHA]",
    "readonly movablekeys", group="generic", since="7.0.0", acl="list set sortedset dangerous",
    keys=("1 RO access", ELSEWHERE), complexity=COST,
    summary="Sort a list, a set or a sorted set, and give what came of it.",
)  # fmt: skip
def sort_ro(session: Session, args: list[bytes]) -> Reply:
    return sort_elements(session, b"SORT_RO", args)
