"""ETS.*: queries, over RESP: SELECT and its relatives, MATCH and its, and EXPLAIN.

A query is one word: its text (tsunami/querytext.py), or behind TERM or ETF a match spec as a term. A pattern is the
text of a head (`{Id, _, Age}`), or behind TERM or ETF a term. Behind ETF the results come in ETF, too.

**Pages.** With LIMIT the reply is an array of two: a cursor, null at the end, and at most so many results. The next
page is the same command with CURSOR; LIMIT may be left out or changed. A cursor is a word that says where the walk
stands, and nothing else; the server keeps nothing for it. So it can be kept, used again, and used on any connection,
and costs nothing when it is forgotten. It is sealed with a key of this process's own over the command, the table
(whatever its name) and the query: anything else is refused.

**The loop.** What looks at more than INLINE_ROWS rows runs in a thread of its own, where the engine lets others in all
the while; the connection waits for its reply and all others go on.

What this is not: it does not know what a query means, nor how one is run.

What must stay true: a command that fails has changed nothing; no loop over rows runs on the event loop.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import tsunami
from tsunami import END_OF_TABLE, Atom, Table, _core
from tsunami.querytext import read_pattern
from tsunami_server.arguments import SYNTAX, int64
from tsunami_server.command import CommandError, Reply
from tsunami_server.commands.ets import MODE, Words, bad_argument, only_mode, shown, table_command, told
from tsunami_server.session import Session
from tsunami_server.terms import read_auto, read_raw, reply_of

INLINE_ROWS: Final = 1000
ROWS: Final = "O(N) in the number of rows looked at: one with a key, some with a range of keys, else all"
PAGED: Final = "[LIMIT count] [CURSOR cursor:string]"

Spec: TypeAlias = "str | list[Any] | tsunami.MatchSpec"

WHOLE_ROW: Final = Atom("$_")
BINDINGS: Final = Atom("$$")

# ---- words


def query_word(reader: Words) -> Spec:
    """A query: text, or a match spec."""
    word = reader.next()
    if reader.read is read_raw:
        raise bad_argument("a query is text, or behind TERM or ETF a match spec; RAW is neither")
    return text_of(word) if reader.read is read_auto else compiled(reader.read(word))


def compiled(clauses: object) -> Spec:
    """A match spec is compiled once, here; the empty one selects nothing and cannot be."""
    if not isinstance(clauses, list):
        raise bad_argument("a match spec is a list of clauses {Head, Guards, Body}")
    return tsunami.MatchSpec(clauses) if clauses else clauses


def pattern_word(reader: Words) -> object:
    """A pattern as a term."""
    word = reader.next()
    if reader.read is read_raw:
        raise bad_argument("a pattern is text, or behind TERM or ETF a term; RAW is neither")
    return read_pattern(text_of(word)) if reader.read is read_auto else reader.read(word)


def text_of(word: bytes) -> str:
    try:
        return word.decode()
    except UnicodeDecodeError as error:
        raise bad_argument(f"a query must be UTF-8: byte {error.start + 1} is not") from None


def page_words(reader: Words) -> tuple[int | None, bytes | None]:
    """LIMIT and CURSOR."""
    limit, cursor = None, None
    while reader:
        if limit is None and reader.take(b"LIMIT"):
            limit = limit_word(reader.next())
        elif cursor is None and reader.take(b"CURSOR"):
            cursor = reader.next()
        else:
            raise CommandError(SYNTAX)
    return limit, cursor


def limit_word(word: bytes) -> int:
    number = int64(word)
    if number is None or number < 1:
        raise bad_argument(f"{shown(word)} is no limit: an integer from 1 on is one")
    return number


# ---- cursors as words

_SEAL_KEY: Final = secrets.token_bytes(32)
_SEAL_BYTES: Final = 12


def seal(data: bytes, about: bytes) -> bytes:
    return hashlib.blake2b(data + about, digest_size=_SEAL_BYTES, key=_SEAL_KEY).digest()


def cursor_to_word(cursor: tsunami.Cursor, about: bytes) -> str:
    try:
        data = tsunami.term_to_binary(_core.cursor_state(cursor))
    except tsunami.TsunamiError as error:
        raise bad_argument(f"the walk stands at a key that no cursor can tell: {error.args[0]}") from None
    return base64.urlsafe_b64encode(seal(data, about) + data).rstrip(b"=").decode()


def cursor_of_word(word: bytes, about: bytes) -> tuple[bool, int, object]:
    """What `_core.cursor_state` said: backwards, limit, place."""
    try:
        sealed = base64.b64decode(word + b"=" * (-len(word) % 4), b"-_", validate=True)
    except binascii.Error:
        sealed = b""
    data = sealed[_SEAL_BYTES:]
    if not secrets.compare_digest(sealed[:_SEAL_BYTES], seal(data, about)):
        raise bad_argument(f"{shown(word)} is no cursor that this server gave for this command, table and query")
    state = tsunami.binary_to_term(data)
    assert isinstance(state, tuple)
    return state


# ---- running

Work = Callable[[], Reply]


def answer(session: Session, table: Table, spec: Spec, work: Work) -> Reply | Awaitable[Reply]:
    """Do the work for a spec: here and now if it is little, else in a thread."""
    if len(table) <= INLINE_ROWS:
        return work()
    return work() if table.explain(spec)["rows"] <= INLINE_ROWS else _later(session, work)


async def _later(session: Session, work: Work) -> Reply:
    try:
        return await session.in_thread(work)
    except tsunami.TsunamiError as error:
        raise told(error) from error


def select(session: Session, table: Table, reader: Words, name: str, spec: Spec) -> Reply | Awaitable[Reply]:
    """The results of a spec, all or a page; `name` is the command's."""
    limit, word = page_words(reader)
    about = b"\0".join([name.encode(), str(table.info("id")).encode(), reader.words[0]])
    run = table.select_reverse if name == "SELECTREVERSE" else table.select

    def everything() -> Reply:
        return reader.tell(run(spec))

    def page() -> Reply:
        if word is None:
            found = run(spec, limit)
        else:
            backwards, before, place = cursor_of_word(word, about)
            found = run(_core.cursor_make(table, spec, (backwards, limit or before, place)))
        if not isinstance(found, tuple):
            return [None, reader.tell([])]
        results, cursor = found
        return [cursor_to_word(cursor, about) if cursor is not END_OF_TABLE else None, reader.tell(results)]

    return answer(session, table, spec, everything if limit is None and word is None else page)


# ---- commands


def define_select(name: str, summary: str) -> None:
    @table_command(f"ETS.{name} table [TERM | ETF] query {PAGED}", "readonly", summary, complexity=ROWS)
    def select_rows(session: Session, table: Table, words: list[bytes]) -> Reply | Awaitable[Reply]:
        reader = Words(words, 1)
        return select(session, table, reader, name, query_word(reader))


define_select("SELECT", "The results of a query; with LIMIT a cursor (null at the end) and so many results.")
define_select("SELECTREVERSE", "ETS.SELECT, backwards through an ordered_set.")


def define_number(name: str, flags: str, summary: str) -> None:
    method = {"SELECTCOUNT": "select_count", "SELECTDELETE": "select_delete", "SELECTREPLACE": "select_replace"}[name]

    @table_command(f"ETS.{name} table [TERM | ETF] query", flags, summary, complexity=ROWS)
    def select_number(session: Session, table: Table, words: list[bytes]) -> Reply | Awaitable[Reply]:
        reader = Words(words, 1)
        spec = query_word(reader)
        reader.end()
        return answer(session, table, spec, lambda: getattr(table, method)(spec))


define_number("SELECTCOUNT", "readonly", "How many rows a query holds for (whose result, if it has one, is true).")
define_number("SELECTDELETE", "write", "Delete the rows that a query holds for (whose result is true); how many.")
define_number(
    "SELECTREPLACE", "write", "Replace the rows of a query by its results, which must evidently keep the key; how many."
)


def define_match(name: str, result: Atom, summary: str) -> None:
    @table_command(f"ETS.{name} table [TERM | ETF] pattern:string {PAGED}", "readonly", summary, complexity=ROWS)
    def match_rows(session: Session, table: Table, words: list[bytes]) -> Reply | Awaitable[Reply]:
        reader = Words(words, 1)
        return select(session, table, reader, name, compiled([(pattern_word(reader), [], [result])]))


define_match("MATCH", BINDINGS, "For each row that matches the values of the pattern's variables, in their order.")
define_match("MATCHOBJECT", WHOLE_ROW, "The rows that match a pattern.")


@table_command("ETS.MATCHDELETE table [TERM | ETF] pattern:string", "write", "Delete the rows that match a pattern.",
               complexity=ROWS)  # fmt: skip
def ets_matchdelete(session: Session, table: Table, words: list[bytes]) -> Reply | Awaitable[Reply]:
    reader = Words(words, 1)
    pattern = pattern_word(reader)
    reader.end()
    return answer(session, table, compiled([(pattern, [], [True])]), lambda: int(table.match_delete(pattern)))


@table_command(f"ETS.TAB2LIST table {MODE}", "readonly", "All rows; in an ordered_set in the order of their keys.",
               complexity="O(N) in the number of rows")  # fmt: skip
def ets_tab2list(session: Session, table: Table, words: list[bytes]) -> Reply | Awaitable[Reply]:
    tell = only_mode(words)

    def everything() -> Reply:
        return tell(table.tab2list())

    return everything() if len(table) <= INLINE_ROWS else _later(session, everything)


@table_command("ETS.EXPLAIN table [TERM | ETF] query", "readonly",
               "How ETS.SELECT would find the rows of a query, and how many it would look at.")  # fmt: skip
def ets_explain(session: Session, table: Table, words: list[bytes]) -> Reply:
    reader = Words(words, 1)
    spec = query_word(reader)
    reader.end()
    return reply_of(table.explain(spec))
