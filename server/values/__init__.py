"""Values of keys that have parts: hashes, sets, sorted sets, lists, streams.

What it is: one class for each type of value (hash.py, set.py, zset.py, list.py, stream.py), all of them a `Value`
(value.py), and `Step` (step.py), in which commands open and change them.

What it is not: commands. Nothing here knows an option, a reply or an error text but WRONGTYPE.

**Two forms.** A small value is one packed term in its key's row, so that Python sees `("user:1", {"name": "alice"})`. A
large one is a `Collection` in the row: tables of the engine's own. A value becomes large when it outgrows the settings
that Redis has for its own compact encodings, and stays so; OBJECT ENCODING tells which it is, in Redis's words.

    type     small: what Python sees                                large: the rows of its tables
    hash     dict of field -> value                                 (field, value)
    set      set of members                                         (member,)
    zset     list of (member, score), in order                      (member, score) and (sort key,)
    list     list of elements                                       (position, element)
    stream   tuple, see stream.py                                   ((ms, seq), fields)

Fields, members and elements are bytes; what a Python program put there as text or numbers reads as bytes, and stays
what it was until it is replaced. An empty value does not exist: its key goes (streams excepted).
"""

from tsunami import Row
from tsunami_server.values.hash import Hash
from tsunami_server.values.list import List
from tsunami_server.values.set import Set
from tsunami_server.values.step import Step, one_moment, read
from tsunami_server.values.stream import Stream
from tsunami_server.values.value import Value, kind_of
from tsunami_server.values.zset import ZSet

KINDS: dict[str, type[Value]] = {cls.kind: cls for cls in (Hash, List, Set, Stream, ZSet)}


def opened(row: Row) -> Value:
    """The value in a row that holds one with parts, of whatever type. KeyError for any other row."""
    return KINDS[kind_of(row)].open(row[1])


__all__ = ["KINDS", "Hash", "List", "Set", "Step", "Stream", "Value", "ZSet", "kind_of", "one_moment", "opened", "read"]
