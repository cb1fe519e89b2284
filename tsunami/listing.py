"""Tables as a listing for people: what `tsunami.i()`, `tsunami tables` and `tsunami top` print.

     id  name   type  size  mem      owner
    ---  -----  ----  ----  -------  ---------
      7  users  set   1000  61.2 kB  session:3

It knows neither sockets nor how the figures were come by: a `TableLine` is filled from `Table.info` here, and from
ETS.INFO in cli.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from tsunami import _core

Order = Literal["name", "size", "mem", "id"]
ORDERS: tuple[str, ...] = get_args(Order)
HEADS = ("id", "name", "type", "size", "mem", "owner")
LEFT = (False, True, True, False, False, True)  # which columns are flush left: words are, numbers are not


@dataclass(frozen=True, slots=True)
class TableLine:
    """One table's figures."""

    id: int
    name: str
    type: str
    size: int
    memory: int  # bytes
    owner: str

    def cells(self) -> tuple[str, ...]:
        return str(self.id), self.name, self.type, str(self.size), in_bytes(self.memory), self.owner


def in_bytes(n: int) -> str:
    """A number of bytes in three or four characters and a unit.

    >>> in_bytes(999), in_bytes(61_210), in_bytes(5_000_000_000)
    ('999 B', '61.2 kB', '5.0 GB')
    """
    if n < 1000:
        return f"{n} B"
    value, unit = n / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 999.95:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"


def ordered(lines: Iterable[TableLine], by: str = "name") -> list[TableLine]:
    """By name or id upwards, by size or memory downwards."""
    if by == "size":
        return sorted(lines, key=lambda line: (-line.size, line.name, line.id))
    if by == "mem":
        return sorted(lines, key=lambda line: (-line.memory, line.name, line.id))
    if by == "id":
        return sorted(lines, key=lambda line: line.id)
    return sorted(lines, key=lambda line: (line.name, line.id))


def listing(lines: Iterable[TableLine]) -> str:
    """The lines under their heads, in columns, as they come.

    >>> print(listing([TableLine(7, "users", "set", 1000, 61210, "-")]))
    id  name   type  size      mem  owner
    --  -----  ----  ----  -------  -----
     7  users  set   1000  61.2 kB  -
    """
    rows = [line.cells() for line in lines]
    widths = [max(map(len, column)) for column in zip(HEADS, *rows, strict=True)]
    rows = [HEADS, tuple("-" * width for width in widths), *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, LEFT, strict=True)
        ).rstrip()
        for row in rows
    )


def line_of(table: _core.Table) -> TableLine | None:
    """The figures of a table of this process; None if it has been deleted."""
    told = table.info()
    if not told:
        return None
    owner = told["owner"]
    return TableLine(
        id=int(str(told["id"])),
        name=str(told["name"] or "-"),
        type=str(told["type"]),
        size=int(str(told["size"])),
        memory=int(str(told["memory"])),
        owner=f"session:{owner.id}" if isinstance(owner, _core.Session) else "-",
    )


def i(order: Order = "name") -> None:
    """Print a list of all tables of this process: id, name, type, size, memory in bytes, owner.

    order: "name", "size", "mem" or "id". ETS: i/0.
    """
    if order not in ORDERS:
        raise _core.BadArgument(f"order={order!r}: one of {', '.join(map(repr, ORDERS))}")
    print(listing(ordered((line for table in _core.all() if (line := line_of(table)) is not None), order)))
