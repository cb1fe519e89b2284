"""docs/commands.md, made from the registry: `python -m tsunami_server.docs` writes it, `--check` tells whether it is
current, `--print` shows it.

What it is not: hand-written. Whatever the page says of a command stands in its record.
"""

import argparse
import sys
from itertools import groupby
from pathlib import Path

import tsunami_server.commands
from tsunami_server.command import Command, plain_synopsis, registry

assert tsunami_server.commands  # imported for what it does: it fills the registry

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"

TITLES = {
    "table": "Tables: `ETS.*`",
    "string": "Keyspace: strings",
    "bitmap": "Keyspace: bits",
    "hash": "Keyspace: hashes",
    "set": "Keyspace: sets",
    "list": "Keyspace: lists",
    "sorted-set": "Keyspace: sorted sets",
    "stream": "Keyspace: streams",
    "generic": "Keyspace: keys",
    "pubsub": "Messages",
    "scripting": "Scripts",
    "transactions": "Transactions",
    "connection": "Connections",
    "server": "Server",
}

HEAD = """\
# Commands

Made from the command registry by `python -m tsunami_server.docs`; do not edit.

Words in capitals are typed as they are, in any case. `[ ... ]` may be left out, `a | b` is one of them, `...` means
once or more often. A command marked *hot* runs without Python and without the GIL in its common forms.

## How ETS commands read their words

Words that stand for terms (keys, elements, values) are read in a mode, which may be named before them:

- `AUTO`, or nothing: a word is an integer if it is the canonical decimal form of one (`42`, `-7`; not `007`, `+1`,
  `1.5`), else text; bytes that are not UTF-8 stay bytes.
- `TERM`: a term literal: `42`, `-1.5e3`, `ok`, `'an atom'`, `"text"`, `<<1,2,255>>`, `{1, "alice"}`, `[a, b | Tail]`,
  `#{name => "x"}`, `true`, `nil`. `ETS.INSERT`, `ETS.INSERTNEW` and `ETS.DELETEOBJECT`, and what follows `DEFAULT` in
  an update, take whole rows: `{1, "alice", [a, b]}`.
- `RAW`: bytes.
- `ETF`: Erlang's external term format, whole rows where `TERM` takes them. What the reply tells of terms comes in it,
  too, as one bulk: the list of rows of `ETS.LOOKUP`, the key of `ETS.NEXT`. Numbers, `1` and `0`, and null stay what
  they are. Terms pass through Python's types: a map whose keys are one key to Python (`1` and `1.0`) is refused.
  `ETS.CALL` has no such limit.

A word that is needed is no mode: `ETS.LOOKUP t RAW` asks for the key `RAW`. Programs whose keys come from elsewhere
should always name the mode.

Replies use RESP3's types and their RESP2 equivalents: integers (big ones as big numbers, in RESP2 as bulk strings),
doubles, booleans, null for `nil`, arrays for tuples and lists, maps, sets, bulk strings for text and bytes, simple
strings for atoms. A term that RESP has no form for comes as its literal, one of a registered type (Decimal, datetime
...) as Python prints it, and an object kept by reference is an error. Positions count from 1.

| an error begins with | when |
|---|---|
| `NOTABLE` | there is no table of that name |
| `EXISTS` | there is one already |
| `BADKEY` | no row has that key |
| `BADPOS` | the row has no such position, or it is the key's |
| `BADARG` | an argument is not what it must be |
| `TOOLARGE` | a term is beyond what a table can hold |
| `NOACCESS` | the table is not yours to change |
| `ERR`, `WRONGTYPE`, `NOAUTH`, `WRONGPASS`, `NOPROTO` | as in Redis |

The plain commands are Redis's: their replies and errors are compared with a real redis-server's in
`tests/test_differential.py`.
"""


def page() -> str:
    """The whole page."""
    records = sorted(registry.everything(), key=lambda record: (list(TITLES).index(record.group), record.name))
    sections = [HEAD]
    for group, members in groupby(records, key=lambda record: record.group):
        sections.append(f"## {TITLES[group]}\n\n" + "\n".join(entry(record) for record in members if record.handler))
    return "\n".join(sections)


def entry(record: Command) -> str:
    marks = [word for word, is_so in (("*hot*", record.hot), ("writes", record.is_write)) if is_so]
    notes = [record.complexity, *marks, f"since {'Tsunami' if record.group == 'table' else 'Redis'} {record.since}"]
    if record.replaced_by:
        notes.append(f"better: {record.replaced_by}")
    return f"- `{plain_synopsis(record)}`<br>\n  {record.summary} ({'; '.join(notes)})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tsunami_server.docs", description="Write docs/commands.md from the command registry."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is not current")
    parser.add_argument("--print", action="store_true", help="write nothing; show the page")
    options = parser.parse_args(arguments)
    text = page()
    if options.print:
        sys.stdout.write(text)
    elif options.check:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.stderr.write(f"{PAGE} is not what the registry says: run python -m tsunami_server.docs\n")
            return 1
    else:
        PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
