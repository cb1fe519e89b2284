"""The oracle: what a table does, told in plain Python, with nothing that could make it fast.

What it is: the shortest complete description of ETS's semantics as Tsunami offers them (positions from 0 on, errors by
class and `cause`). `tests/test_machine.py` runs every table type against it, step by step.

What it is not: an account of how the engine does anything. It knows no stripes, no packed terms and no locks, and since
every method runs alone, "atomic" needs no words here. It does not say what a walk's order is either; that is `place`:

* `place(key)` is where a key stands in a walk, as something that sorts. Two keys with equal places are one key.
  A hash table's place is exact (`1` and `1.0` stand apart); an ordered table's is the term order, in which they
  stand in one place.

What a match spec makes of a row is `_matchmodel`'s; whose table it is, and who may do what, is `_sessionmodel`'s.

What must stay true:

1. `rows` has no empty list: a key is there if and only if it has rows.
2. The rows of one key stand in the order of their insertion, oldest first; a set has exactly one.
3. A place in `ghosts` has no rows: it was deleted while the table was fixed. No ghosts in a table that is not fixed.
4. Each row has a serial number, ascending in the order of insertion. A row that takes another's place, or that is an
   update of it, has the other's. So a cursor in the middle of a key's rows is a number.
5. A call that raises has changed nothing: every method checks first and changes then.
"""

import copy
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import _matchmodel
import _termmodel
from _matchmodel import ALL_VARIABLES, OBJECT
from _termmodel import any_key as exact_key
from sortedcontainers import SortedDict

from tsunami import END_OF_TABLE, BadArgument, BadKey, BadPosition, BadType, ImproperList, NoSuchTable

Row = tuple[Any, ...]


@functools.total_ordering
class Ordered:
    """A key as a place in an ordered table: the term order, in which 1 and 1.0 are one."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ordered) and _termmodel.compare(self.key, other.key) == 0

    def __hash__(self) -> int:
        kind = _termmodel.rank(self.key)
        return hash(self.key if kind == "number" else kind)  # Python's numbers are equal, and hash, by value

    def __lt__(self, other: "Ordered") -> bool:
        if type(self.key) is type(other.key) is int:  # the same, sooner
            return bool(self.key < other.key)
        return _termmodel.compare(self.key, other.key) < 0


class Exact:
    """A key as a place in a walk: the exact order of terms, in which no two are equal."""

    def __init__(self, key: Any) -> None:
        self.key = key
        self.spelled = exact_key(key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exact) and self.spelled == other.spelled

    def __hash__(self) -> int:
        return hash(self.spelled)

    def __lt__(self, other: "Exact") -> bool:
        return _termmodel.compare(self.key, other.key, exact=True) < 0


def shown(term: Any) -> Any:
    """Spell a term so that `==` means: a Python program could not tell the two apart (text and bytes differ here)."""
    match term:
        case tuple() | list():
            return (type(term).__name__, tuple(map(shown, term)))
        case dict():
            return ("dict", tuple(sorted(((shown(k), shown(v)) for k, v in term.items()), key=repr)))
        case bool() | None | int() | str() | bytes():
            return (type(term).__name__, term)
        case bytearray() | memoryview():
            return ("bytes", bytes(term))
    return exact_key(term)


def copied(term: Any) -> Any:
    """Copy what can change; a reference term stays the object it is."""
    match term:
        case tuple():
            return tuple(map(copied, term))
        case list():
            return list(map(copied, term))
        case dict():
            return {copied(k): copied(v) for k, v in term.items()}
        case bytearray() | memoryview():
            return bytes(term)
    return term


def check_key(term: Any) -> None:
    """A key holds no NaN and no reference term, at any depth."""
    match term:
        case float() if math.isnan(term):
            raise BadArgument(f"NaN cannot be a key: {term!r}")
        case tuple() | list():
            for part in term:
                check_key(part)
        case ImproperList():
            check_key((term.items, term.tail))
        case dict():
            for pair in term.items():
                check_key(pair)
        case _ if exact_key(term)[0] == "object":
            raise BadType(f"{type(term).__name__} cannot be a key")


def is_integer(term: Any) -> bool:
    return isinstance(term, int) and not isinstance(term, bool)


@dataclass(frozen=True)
class ModelCursor:
    """Where a select with a limit goes on: behind the row with this serial number, at this place."""

    what: "Select"
    limit: int
    place: Any
    serial: int


@dataclass(frozen=True)
class Select:
    spec: Any
    backwards: bool = False


class Model:
    """One table."""

    def __init__(
        self,
        type: str = "set",
        *,
        keypos: int = 0,
        place: Callable[[Any], Any] | None = None,
        by_key: Callable[[Any], bool] = lambda spec: False,
    ) -> None:
        self.type = type
        self.keypos = keypos
        self.bag = type in ("bag", "duplicate_bag")
        self.ordered = type == "ordered_set"
        self.place = place or (Ordered if self.ordered else Exact)
        self.by_key = by_key
        self.rows: SortedDict[Any, list[Row]] = SortedDict()
        self.serials: dict[Any, list[int]] = {}
        self.count = itertools.count()
        self.deadlines: dict[Any, int] = {}
        self.ghosts: set[Any] = set()
        self.fixations = 0
        self.changes = 0  # of which rows there are, without an order: so often a cursor may have come to miss new ones
        self.dropped = False

    # ---- the steps of which everything is made

    def _alive(self) -> None:
        if self.dropped:
            raise NoSuchTable("the table has been deleted", cause="id")

    def _place(self, key: Any) -> Any:
        check_key(key)
        return self.place(key)

    def _place_of(self, row: Row) -> Any:
        return self.place(row[self.keypos])

    def _check_row(self, row: Any) -> None:
        if not isinstance(row, tuple):
            raise BadType(f"a row is a tuple, not {row!r}")
        if len(row) <= self.keypos:
            raise BadArgument(f"{row!r} has no element {self.keypos}, the key's")
        check_key(row[self.keypos])

    def _batch(self, rows: Any) -> list[Row]:
        batch = rows if isinstance(rows, list) else [rows]
        for row in batch:
            self._check_row(row)
        return batch

    def _find(self, key: Any) -> list[Row]:
        return self.rows.get(self._place(key), [])

    def _put(self, row: Row) -> None:
        place, row = self._place_of(row), copied(row)
        there = self.rows.get(place, [])
        if self.type == "bag" and exact_key(row) in map(exact_key, there):
            return  # it keeps its place
        before = self.serials.get(place, [])
        self.changes += not self.ordered
        self.rows[place] = [*there, row] if self.bag else [row]
        self.serials[place] = [*before, next(self.count)] if self.bag else before or [next(self.count)]
        self.deadlines.pop(place, None)
        self.ghosts.discard(place)

    def _erase(self, place: Any, unwanted: Callable[[Row], bool] = lambda row: True) -> None:
        """Of what stands at `place`."""
        self.changes += not self.ordered
        held = zip(self.rows.get(place, []), self.serials.get(place, []), strict=True)
        left = [(row, serial) for row, serial in held if not unwanted(row)]
        if left:
            self.rows[place], self.serials[place] = map(list, zip(*left, strict=True))
        elif self.rows.pop(place, None):
            del self.serials[place]
            self.deadlines.pop(place, None)
            if self.fixations:
                self.ghosts.add(place)

    # ---- writing

    def insert(self, rows: Any) -> bool:
        self._alive()
        for row in self._batch(rows):
            self._put(row)
        return True

    def insert_new(self, rows: Any) -> bool:
        self._alive()
        batch = self._batch(rows)
        if any(
            self._place_of(row) in self.rows for row in batch
        ):  # the state before the call: the list may repeat a key
            return False
        for row in batch:
            self._put(row)
        return True

    def delete(self, key: Any) -> bool:
        self._alive()
        self._erase(self._place(key))
        return True

    def delete_object(self, row: Row) -> bool:
        self._alive()
        self._check_row(row)
        place, unwanted = self._place_of(row), exact_key(row)
        self._erase(place, lambda other: bool(exact_key(other) == unwanted))
        return True

    def delete_all_objects(self) -> bool:
        self._alive()
        for place in list(self.rows):
            self._erase(place)
        return True

    def take(self, key: Any) -> list[Row]:
        rows = self.lookup(key)
        self.delete(key)
        return rows

    def drop(self) -> bool:
        """delete/1: the table itself."""
        self._alive()
        self.rows.clear()
        self.serials.clear()
        self.dropped = True
        return True

    def _start(self, key: Any, default: Any) -> Row | None:
        """The row that an update starts from: the stored one, or the default with its key element replaced."""
        for row in self._find(key):
            return row
        if default is None:
            return None
        if len(default) <= self.keypos:
            raise BadArgument(f"the default {default!r} has no element {self.keypos}, the key's")
        return (*default[: self.keypos], key, *default[self.keypos + 1 :])

    def _store(self, row: Row) -> None:
        """Put an updated row in the old one's place; its deadline stays, and so does the stored key."""
        place = self._place_of(row)
        self.rows[place] = [copied(row)]
        if place not in self.serials:
            self.serials[place] = [next(self.count)]
            self.changes += not self.ordered
        self.ghosts.discard(place)

    def _check_position(self, position: int, row: Row) -> None:
        if position == self.keypos:
            raise BadPosition(f"position {position} is the key's", cause="keypos")
        if not 0 <= position < len(row):
            raise BadPosition(f"no position {position} in {row!r}", cause="position")

    def update_counter(self, key: Any, what: Any, default: Any = None) -> Any:
        self._alive()
        if default is not None and not isinstance(default, tuple):
            raise BadType(f"the default is a row, not {default!r}")
        if self.bag:
            raise BadArgument(f"a {self.type} has no counters", cause="table_type")
        row = self._start(key, default)
        if row is None:
            raise BadKey(f"no row with the key {key!r}", cause="badkey")
        steps = [(self.keypos + 1, what)] if is_integer(what) else what if isinstance(what, list) else [what]
        for step in steps:
            self._check_counter_step(step, row)
        new, results = list(row), []
        for position, increment, *limit in steps:
            value = new[position] + increment
            if limit and (value > limit[0] if increment >= 0 else value < limit[0]):
                value = limit[1]
            new[position] = value
            results.append(value)
        self._store(tuple(new))
        return results if isinstance(what, list) else results[0]

    def _check_counter_step(self, step: Any, row: Row) -> None:
        if not isinstance(step, tuple):
            raise BadType(f"a step is a tuple, not {step!r}")
        if len(step) not in (2, 4):
            raise BadArgument(f"a step has two or four elements, not {step!r}")
        if not all(map(is_integer, step)):
            raise BadType(f"a step holds integers only: {step!r}")
        self._check_position(step[0], row)
        if not is_integer(row[step[0]]):
            raise BadArgument(f"{row[step[0]]!r} is no integer")

    def update_element(self, key: Any, what: Any, default: Any = None) -> bool:
        self._alive()
        if default is not None and not isinstance(default, tuple):
            raise BadType(f"the default is a row, not {default!r}")
        if self.bag:
            raise BadArgument(f"a {self.type} has no single row to update")
        row = self._start(key, default)
        if row is None:
            return False
        pairs = what if isinstance(what, list) else [what]
        for pair in pairs:
            if not isinstance(pair, tuple):
                raise BadType(f"not a position and a value: {pair!r}")
            if len(pair) != 2:
                raise BadArgument(f"not a position and a value: {pair!r}")
            if not is_integer(pair[0]):
                raise BadType(f"a position is an integer, not {pair[0]!r}")
            self._check_position(pair[0], row)
        new = list(row)
        for position, value in pairs:
            new[position] = value
        self._store(tuple(new))
        return True

    # ---- reading

    def lookup(self, key: Any) -> list[Row]:
        self._alive()
        return copied(self._find(key))

    def member(self, key: Any) -> bool:
        self._alive()
        return bool(self._find(key))

    def lookup_element(self, key: Any, position: Any, *default: Any) -> Any:
        self._alive()
        if not is_integer(position):
            raise BadType(f"a position is an integer, not {position!r}")
        if position < 0:
            raise BadPosition(f"no position {position}")
        rows = self._find(key)
        if not rows:
            if default:
                return default[0]
            raise BadKey(f"no row with the key {key!r}", cause="badkey")
        if any(len(row) <= position for row in rows):
            raise BadPosition(f"no position {position} in {rows!r}")
        elements = [copied(row[position]) for row in rows]
        return elements if self.bag else elements[0]

    def tab2list(self) -> list[Row]:
        self._alive()
        return copied([row for rows in self.rows.values() for row in rows])

    def foldl(self, function: Callable[[Row, Any], Any], acc: Any) -> Any:
        for row in self.tab2list():
            acc = function(row, acc)
        return acc

    def foldr(self, function: Callable[[Row, Any], Any], acc: Any) -> Any:
        """The rows of one key youngest first; keys descending, or as foldl has them where there is no direction."""
        self._alive()
        for rows in list(reversed(self.rows.values()) if self.ordered else self.rows.values()):
            for row in copied(rows[::-1]):
                acc = function(row, acc)
        return acc

    def slot(self, index: Any) -> Any:
        """Of an ordered table; where the slots of others lie is nobody's business."""
        self._alive()
        if not is_integer(index) or not 0 <= index <= len(self.rows):
            raise BadArgument(f"no slot {index!r}")
        return copied(self.rows.values()[index]) if index < len(self.rows) else END_OF_TABLE

    # ---- walking

    def _key_at(self, index: int) -> Any:
        at_end = not 0 <= index < len(self.rows)
        return END_OF_TABLE if at_end else copied(self.rows.values()[index][0][self.keypos])

    def first(self) -> Any:
        self._alive()
        return self._key_at(0)

    def last(self) -> Any:
        self._alive()
        return self._key_at(len(self.rows) - 1 if self.ordered else 0)

    def next(self, key: Any) -> Any:
        self._alive()
        return self._key_at(self.rows.bisect_right(self._place_to_go_on_from(key)))

    def prev(self, key: Any) -> Any:
        self._alive()
        place = self._place_to_go_on_from(key)
        return self._key_at(self.rows.bisect_left(place) - 1 if self.ordered else self.rows.bisect_right(place))

    def _place_to_go_on_from(self, key: Any) -> Any:
        place = self._place(key)
        there = key is not END_OF_TABLE if self.ordered else place in self.rows or place in self.ghosts
        if not there:
            raise BadKey(f"no row with the key {key!r}")
        return place

    def first_lookup(self) -> Any:
        return self._with_rows(self.first())

    def last_lookup(self) -> Any:
        return self._with_rows(self.last())

    def next_lookup(self, key: Any) -> Any:
        return self._with_rows(self.next(key))

    def prev_lookup(self, key: Any) -> Any:
        return self._with_rows(self.prev(key))

    def _with_rows(self, key: Any) -> Any:
        return key if key is END_OF_TABLE else (key, self.lookup(key))

    def safe_fixtable(self, fix: Any) -> bool:
        self._alive()
        if not isinstance(fix, bool):
            raise BadType(f"True or False, not {fix!r}")
        self.fixations = max(0, self.fixations + (1 if fix else -1))
        if not self.fixations:
            self.ghosts.clear()
        return True

    # ---- ranges of an ordered table; None is no bound

    def _places(self, minimum: Any, maximum: Any, inclusive: tuple[bool, bool], reverse: bool = False) -> list[Any]:
        self._alive()
        if not self.ordered:
            raise BadArgument(f"a {self.type} has no order", cause="table_type")
        bounds = [None if bound is None else self._place(bound) for bound in (minimum, maximum)]
        return list(self.rows.irange(*bounds, inclusive, reverse))

    def irange(
        self,
        minimum: Any = None,
        maximum: Any = None,
        inclusive: tuple[bool, bool] = (True, True),
        reverse: bool = False,
    ) -> list[Row]:
        return copied([self.rows[place][0] for place in self._places(minimum, maximum, inclusive, reverse)])

    def count_range(self, minimum: Any = None, maximum: Any = None, inclusive: tuple[bool, bool] = (True, True)) -> int:
        return len(self._places(minimum, maximum, inclusive))

    def delete_range(
        self, minimum: Any = None, maximum: Any = None, inclusive: tuple[bool, bool] = (True, True)
    ) -> int:
        places = self._places(minimum, maximum, inclusive)
        for place in places:
            self._erase(place)
        return len(places)

    def rank(self, key: Any) -> int:
        self._places(None, None, (True, True))
        return self.rows.bisect_left(self._place(key))

    def at(self, index: Any) -> Row:
        places = self._places(None, None, (True, True))
        if not is_integer(index):
            raise BadType(f"an index is an integer, not {index!r}")
        if not -len(places) <= index < len(places):
            raise BadPosition(f"there is no row {index}", cause="position")
        return copied(self.rows[places[index]][0])

    # ---- match and select (without a limit: the list of all results; with one: results and a cursor)

    def select(self, spec: Any, limit: Any = None) -> Any:
        return self._first_chunk(Select(spec), limit)

    def select_reverse(self, spec: Any, limit: Any = None) -> Any:
        return self._first_chunk(Select(spec, backwards=True), limit)

    def match(self, pattern: Any, limit: Any = None) -> Any:
        return self.select([(pattern, [], [ALL_VARIABLES])], limit)

    def match_object(self, pattern: Any, limit: Any = None) -> Any:
        return self.select([(pattern, [], [OBJECT])], limit)

    def select_more(self, cursor: ModelCursor) -> Any:
        self._alive()
        return self._chunk(cursor.what, cursor.limit, cursor)

    def select_count(self, spec: Any) -> int:
        self._check_spec(spec)
        return sum(result is True for *_, (result,) in self._results(Select(spec)))

    def select_delete(self, spec: Any) -> int:
        self._check_spec(spec)
        chosen = [(place, serial) for place, serial, result in self._results(Select(spec)) if result[0] is True]
        for place, serial in chosen:
            row = self.rows[place][self.serials[place].index(serial)]
            self._erase(place, lambda other, row=row: other is row)  # type: ignore[misc]
        return len(chosen)

    def match_delete(self, pattern: Any) -> bool:
        self.select_delete([(pattern, [], [True])])
        return True

    def select_replace(self, spec: Any) -> int:
        self._alive()
        if self.type == "bag":
            raise BadArgument("the rows of a bag are not replaced", cause="table_type")
        self._check_spec(spec)
        if not _matchmodel.keeps_key(spec, self.keypos):
            raise BadArgument(f"{spec!r} may change a key")
        chosen = list(self._results(Select(spec)))
        for place, serial, (row,) in chosen:
            self.rows[place][self.serials[place].index(serial)] = copied(row)
        return len(chosen)

    def _check_spec(self, spec: Any) -> None:
        self._alive()
        if spec == [] and isinstance(spec, list):
            return
        try:
            _matchmodel.check(spec)
        except _matchmodel.Mistake as mistake:
            raise BadArgument(str(mistake)) from None

    def _results(self, what: Select, behind: ModelCursor | None = None) -> Iterator[tuple[Any, int, tuple[Any]]]:
        """Place, serial number and result of every row that is selected, in the order of the walk: a hash table's own,
        or that of the keys that the match spec names."""
        by_key = not self.ordered and self.by_key(what.spec)
        backwards = what.backwards and (self.ordered or by_key)
        stands: Callable[[Any], Any] = (lambda place: place[1]) if by_key else (lambda place: place)
        for place in sorted(self.rows, key=stands, reverse=backwards):
            here = stands(place)
            if behind is not None and (here > stands(behind.place) if backwards else here < stands(behind.place)):
                continue
            for row, serial in list(zip(self.rows[place], self.serials[place], strict=True)):
                if behind is not None and place == behind.place and (not self.bag or serial <= behind.serial):
                    continue
                result = _matchmodel.run(what.spec, row)
                if result is not None:
                    yield place, serial, copied(result)

    def _first_chunk(self, what: Select, limit: Any) -> Any:
        self._check_spec(what.spec)
        if limit is None:
            return [result for *_, (result,) in self._results(what)]
        if not is_integer(limit) or not 1 <= limit < 2**59:
            raise BadArgument(f"a limit is a positive integer, not {limit!r}")
        return self._chunk(what, limit)

    def _chunk(self, what: Select, limit: int, behind: ModelCursor | None = None) -> Any:
        chosen = list(itertools.islice(self._results(what, behind), limit))
        if not chosen:
            return END_OF_TABLE
        place, serial, _ = chosen[-1]
        return [result for *_, (result,) in chosen], ModelCursor(what, limit, place, serial)

    # ---- batches, and the container protocol

    def insert_many(self, rows: Iterable[Row]) -> int:
        return sum(self.insert(row) for row in rows)

    def lookup_many(self, keys: Iterable[Any]) -> list[list[Row]]:
        return [self.lookup(key) for key in keys]

    def member_many(self, keys: Iterable[Any]) -> list[bool]:
        return [self.member(key) for key in keys]

    def init_table(self, rows: Iterable[Row]) -> bool:
        self.delete_all_objects()
        self.insert_many(rows)
        return True

    def __len__(self) -> int:
        return len(self.tab2list())

    def _got(self, rows: list[Row]) -> Any:
        return rows if self.bag else rows[0]

    def get(self, key: Any, default: Any = None) -> Any:
        return self._got(rows) if (rows := self.lookup(key)) else default

    def pop(self, key: Any, *default: Any) -> Any:
        rows = self.take(key)
        if not rows and not default:
            raise BadKey(f"no row with the key {key!r}", cause="badkey")
        return self._got(rows) if rows else default[0]

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            down = key.step == -1
            bounds = (key.stop, key.start, (False, True)) if down else (key.start, key.stop, (True, False))
            return self.irange(*bounds, reverse=down)
        if not self.member(key):
            raise BadKey(f"no row with the key {key!r}", cause="badkey")
        return self.get(key)

    def __setitem__(self, key: Any, row: Row) -> None:
        self._alive()
        self._check_row(row)
        if self._place(key) != self._place_of(row):
            raise BadArgument(f"{row!r} does not carry the key {key!r}")
        self.insert(row)

    def __delitem__(self, key: Any) -> None:
        if isinstance(key, slice):
            self.delete_range(key.start, key.stop, (True, False))
        else:
            self.pop(key)

    def __contains__(self, key: Any) -> bool:
        return self.member(key)

    # ---- for commands of several steps

    def entry(self, key: Any) -> tuple[Row, int | None] | None:
        rows = self.lookup(key)
        return (rows[0], self.deadlines.get(self._place(key))) if rows else None

    def copy(self) -> "Model":
        other = copy.copy(self)
        other.rows, other.deadlines, other.ghosts = self.rows.copy(), dict(self.deadlines), set(self.ghosts)
        other.serials = dict(self.serials)
        return other


def commit(
    checks: Sequence[tuple[Model, Any, Row | None, int | None]],
    puts: Sequence[tuple[Model, Row, int | None]],
    erases: Sequence[tuple[Model, Any]],
) -> bool:
    """If every key is as its check says, put and erase; otherwise change nothing and answer False."""
    for table, key, row, deadline in checks:
        found = table.entry(key)
        if (found is None) != (row is None):
            return False
        if found is not None and (exact_key(found[0]), found[1]) != (exact_key(row), deadline):
            return False
    for table, row, deadline in puts:
        table.insert(row)
        if deadline is not None:
            table.deadlines[table._place_of(row)] = deadline
    for table, key in erases:
        table.delete(key)
    return True
