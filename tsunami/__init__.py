"""Erlang's ETS for Python: tables that threads share, in process, and over RESP by way of `tsunami_server`.

A table holds rows; a row is a tuple of terms, and the element at `keypos` is its key. What goes in is copied in, what
comes out is copied out: changing a list after it was inserted changes nothing in the table.

>>> import tsunami
>>> users = tsunami.new("users", type="set")
>>> users.insert([(1, "alice", 30), (2, "bob", 25)])      # all rows or none, and nobody sees half of them
True
>>> users.lookup(1)
[(1, 'alice', 30)]
>>> users.update_counter(1, (2, +1))                        # atomic, whoever else writes
31
>>> users[2]
(2, 'bob', 25)
>>> 3 in users, len(users)
(False, 2)
>>> tsunami.whereis("users") is users
True
>>> users.delete()
True

This file only gathers the public names; the engine behind them is `tsunami._core`. Positions count from 0 here, and
from 1 over RESP, as ETS has them. Every error is a `TsunamiError`, and also the builtin that one would expect.
"""

from typing import Literal, TypeAlias

from tsunami._core import (
    END_OF_TABLE,
    AccessDenied,
    Atom,
    BadArgument,
    BadKey,
    BadPosition,
    BadType,
    Bits,
    Collection,
    Cursor,
    Fun,
    ImproperList,
    MatchSpec,
    NoSuchTable,
    Pid,
    Port,
    Reference,
    Session,
    Table,
    TableExists,
    TermTooLarge,
    TsunamiError,
    all,
    binary_to_term,
    current_session,
    is_compiled_ms,
    keyspace,
    match_spec_compile,
    match_spec_run,
    new,
    register_term,
    repair_continuation,
    session,
    term_to_binary,
    whereis,
)
from tsunami.listing import i
from tsunami.matchspec import query, row, where
from tsunami.persistence import TableFileError, file2tab, tab2file, tabfile_info
from tsunami.querytext import QueryError

__version__ = "0.1.0"

Row: TypeAlias = tuple[object, ...]
TableType: TypeAlias = Literal["set", "ordered_set", "bag", "duplicate_bag"]
Protection: TypeAlias = Literal["public", "protected", "private"]

__all__ = [
    # tables
    "Table",
    "new",
    "whereis",
    "all",
    "i",
    "keyspace",
    "tab2file",
    "file2tab",
    "tabfile_info",
    "END_OF_TABLE",
    "Row",
    "TableType",
    # queries
    "query",
    "row",
    "where",
    "MatchSpec",
    "match_spec_compile",
    "match_spec_run",
    "is_compiled_ms",
    "Collection",
    "Cursor",
    "repair_continuation",
    # who owns them
    "session",
    "Session",
    "current_session",
    "Protection",
    # terms that Python has no type for, and your own
    "Atom",
    "Bits",
    "ImproperList",
    "Pid",
    "Reference",
    "Port",
    "Fun",
    "register_term",
    "term_to_binary",
    "binary_to_term",
    # errors
    "TsunamiError",
    "NoSuchTable",
    "TableExists",
    "BadKey",
    "BadPosition",
    "BadArgument",
    "BadType",
    "TermTooLarge",
    "AccessDenied",
    "QueryError",
    "TableFileError",
    "__version__",
]
