# A collection: a value of the keyspace that is too large for one packed term, backed by tables of its own.
#
# What it is: what stands in the key's row, as a reference term: which type of value it is, and its tables. It goes
# with the row; whoever holds it keeps the tables alive.
#
# What it is not: the meaning of the value's commands (tsunami_server.values), or a copy: Python that looks a key up
# gets the collection itself, and `copy()` for what is in it now.
#
# What the tables hold:
#
#     hash     rows: (field, value)          a field that expires is a row with a deadline. Then there is an order, too:
#                                            ((deadline, field),), an ordered_set that tells which of them is due next
#     set      rows: (member,)
#     zset     rows: (member, score)         order: (sort key,), an ordered_set; the key is the score's 8 bytes in an
#                                            order-preserving form, then the member: so scores order as numbers, equal
#                                            ones by their members' bytes. In the rows a whole score is an integer,
#                                            which takes eight bytes less, or a float; -0.0 is a float
#     list     rows: (position, element), an ordered_set
#     stream   rows: ((ms, seq), fields), an ordered_set; `meta` is the rest of what a stream knows


@cython.final
cdef class Collection:
    """A large value of a keyspace: its type as Redis calls it, and the tables that hold it.

    It is what stands in the row of a key whose value has outgrown one term: look, but leave the writing to the
    commands, which know what the tables promise each other. `len` counts rows; fields of a hash that have just expired
    are counted until they are swept, a few milliseconds later, although nobody sees them any more.

    >>> from tsunami import Table
    >>> rows = Table(stripes=1)
    >>> rows.insert([("name", "alice"), ("age", 30)])
    True
    >>> Collection("hash", rows)
    <tsunami.Collection hash, 2 elements>
    >>> sorted(Collection("hash", rows).copy().items())
    [('age', 30), ('name', 'alice')]
    """

    cdef collection_t inside
    cdef readonly str kind
    cdef readonly Table rows
    cdef readonly Table order
    cdef public object meta

    def __cinit__(self, str kind not None, Table rows not None, Table order=None, meta=None):
        if kind not in _kinds:
            raise BadArgument(f"{kind!r} is no type of collection: {', '.join(_kinds)}")
        part_fits(kind, "rows", rows, "ordered_set" if kind in ("list", "stream") else "set")
        if order is not None or kind == "zset":
            part_fits(kind, "order", order, "ordered_set" if kind in ("hash", "zset") else None)
        self.inside.kind = _kinds.index(kind)
        self.inside.rows = rows.t
        self.inside.order = order.t if order is not None else NULL
        self.kind = kind
        self.rows = rows
        self.order = order
        self.meta = meta

    def __len__(self):
        return len(self.rows)

    def __repr__(self):
        return f"<tsunami.Collection {self.kind}, {len(self.rows)} elements>"

    def memory(self):
        """Bytes that the tables take. O(1)."""
        return sum([t.info("memory") for t in (self.rows, self.order) if t is not None])

    def copy(self):
        """Give what is in it now, as Python's own type: dict, set, or a list; of a sorted set pairs (member, score).

        O(n) time and memory.
        """
        rows = self.rows.tab2list()
        if self.kind == "hash":
            return dict(rows)
        if self.kind == "set":
            return {row[0] for row in rows}
        if self.kind == "zset":
            return sorted([(member, float(score)) for member, score in rows], key=_score_then_member)
        if self.kind == "list":
            return [row[1] for row in rows]
        return rows


cdef int part_fits(str kind, str name, Table table, str type) except -1:
    """Commands rely on the tables' types, and lock them while they hold a keyspace. type None: there is to be none."""
    if type is None or table is None or table.type != type or table.keypos != 0 or table.t.stamped:
        wanted = "nothing" if type is None else f"a table of type {type!r}, its keys in front, and no keyspace"
        raise BadArgument(f"{name}={table!r}: of a {kind} this is {wanted}")
    return 0


_kinds = ("hash", "set", "zset", "list", "stream")      # the order of c_kind_t

cdef collection_t* collection_inside(object x) noexcept:
    return &(<Collection>x).inside


def _score_then_member(row):
    member, score = row
    return score, member.encode("utf-8", "surrogatepass") if type(member) is str else member
