# The module's functions: tables by name and number, the keyspaces, several keys in one step, expiry; and the test
# knobs.

def new(
    name, type="set", *, keypos=0, stripes=None, named=True,
    read_concurrency=False, write_concurrency=False, decentralized_counters=None, compressed=False,
):
    """Create a table; with a name it can be found by tsunami.whereis and over the wire, and lives until it is deleted.

    name: a str or Atom, or None for an unnamed table, which lives as long as the object. With named=False the name only
    shows. For the rest see Table. The table is public and nobody owns it; Session.new makes one that is owned.
    read_concurrency, write_concurrency (True, False, "auto"), decentralized_counters and compressed are ETS's options:
    info tells them, and they change nothing. TableExists if the name is in use. ETS: new/2.

    >>> import tsunami
    >>> users = tsunami.new("doc_users", type="set")
    >>> tsunami.whereis("doc_users") is users, users.delete()
    (True, True)
    """
    return table_make(
        name, type, keypos, stripes, named, None, "public", None,
        concurrency_given(read_concurrency, write_concurrency, decentralized_counters, compressed),
    )


def table_with_id(number, /):
    """The table with this id; None if it has been deleted or never was."""
    reference = _tables.get(number)
    table = reference() if reference is not None else None
    return table if table is not None and flag_load(&(<Table>table).t.alive) else None


def id_known(uint64_t number, /):
    """Has there ever been a table with this id?"""
    return table_id_known(number)


def whereis(name, /):
    """The table of this name, the same object every time; None if there is none. ETS: whereis/1.

    >>> import tsunami
    >>> tsunami.whereis("doc_nobody") is None
    True
    """
    return _named.get(name_of(name))


def all():
    """All tables that live, named or not. ETS: all/0.

    >>> import tsunami
    >>> t = tsunami.Table()
    >>> t in tsunami.all()
    True
    """
    return [table for table in live_tables() if flag_load(&(<Table>table).t.alive) and table not in _keyspaces]


def keyspace(db=0, /):
    """The table behind the plain Redis commands of a database, 0 to 15: a set of rows (key, value).

    >>> import tsunami
    >>> tsunami.keyspace(0)
    <tsunami.Table 'keyspace 0' set, 0 rows>
    """
    cdef Table table
    if not is_integer(db):
        raise BadType(f"a database is an integer from 0 to 15, not {shown(db)}")
    if not 0 <= db < 16:
        raise BadArgument(f"{shown(db)} is no database: 0 to 15")
    with _naming:
        if _keyspaces[db] is None:
            table = Table("set")
            table.t.stamped = True
            table_alike(table.t)
            table._name = Atom(f"keyspace {db}")
            _keyspaces[db] = table
    return _keyspaces[db]


cdef table_t* table_of(object table) except NULL:
    return (<Table?>table).t


def entry(Table table not None, key, /):
    """The row with this key and its deadline (ms since 1970, or None); None if there is none."""
    cdef packed_key_t k
    cdef uint64_t[64] home
    cdef rows_t rows
    cdef int st
    cdef uint64_t deadline
    table.may(RIGHT_READ)
    if table.t.methods.bag:
        raise fail(table, ST_TABLE_TYPE, "entry")
    key_open(key, &k)
    rows_open(&rows, table.t, home, 64)
    st = table.t.methods.get(table.t, &k.probe, rows_sink, &rows)
    key_close(&k)
    if st == ST_ABSENT:
        return None
    check(table, st, key)
    deadline = row_deadline(<const uint64_t*>rows.buf.data) if not rows.failed else 0
    return rows_list(table, &rows)[0], (deadline if deadline else None)


cdef class _Ops:
    """Steps of a commit, packed."""
    cdef op_t* ops
    cdef size_t n
    cdef buf_t buf
    cdef list tables
    cdef list starts        # of the rows in buf, or None; the keys are one-element rows before them

    def __cinit__(self):
        self.ops = NULL
        buf_init(&self.buf, NULL, 0)
        self.tables = []
        self.starts = []

    def __dealloc__(self):
        free(self.ops)
        buf_free(&self.buf)

    cdef int add(self, Table table, object key, object row, object deadline) except -1:
        """key None: the row's own."""
        cdef size_t key_at = 0, row_at = 0
        if table is None:
            raise BadType("a table, not None")
        if key is _missing and row is None:
            raise BadArgument("a row is a tuple, not None")
        table.may(RIGHT_WRITE)
        if table.t.methods.bag:
            raise fail(table, ST_TABLE_TYPE, "commit")
        if key is not _missing:
            key_row_pack(key, &self.buf, &key_at)
        if row is not None:
            row_pack(table, row, &self.buf, &row_at)
        self.tables.append(table)
        self.starts.append(
            (key_at if key is not _missing else None, row_at if row is not None else None, deadline or 0)
        )
        return 0

    cdef int ready(self) except -1:
        """The buffer does not move any more: fill in the pointers."""
        cdef size_t i
        cdef Table table
        cdef op_t* op
        self.n = len(self.starts)
        self.ops = <op_t*>calloc(self.n + 1, sizeof(op_t))
        if self.ops == NULL:
            raise MemoryError
        for i in range(self.n):
            table = self.tables[i]
            key_at, row_at, deadline = self.starts[i]
            op = &self.ops[i]
            op.table = table.t
            op.row = <const uint64_t*>(self.buf.data + <size_t>row_at) if row_at is not None else NULL
            op.deadline = deadline
            if key_at is not None:
                row_probe(<const uint64_t*>(self.buf.data + <size_t>key_at), 0, &op.key)
            else:
                row_probe(op.row, table.t.keypos, &op.key)
        return 0

    cdef int release(self) except -1:
        """Give up the references that packing took."""
        for table, (_, row_at, _) in zip(self.tables, self.starts):
            if row_at is not None:
                row_each_object(
                    &(<Table>table).t.objects, <const uint64_t*>(self.buf.data + <size_t>row_at), object_release
                )
        for table in self.tables:
            (<Table>table).settle()
        return 0


def commit(checks, puts, erases, /):
    """All or nothing, isolated, over tables that are no bags: if every check holds, store and erase. Returns whether it
    did.

    checks: (table, key, row or None, deadline or None): the row that must be there.
    puts: (table, row, deadline or None). erases: (table, key).
    """
    cdef _Ops before = _Ops()
    cdef _Ops after = _Ops()
    cdef int st
    try:
        for table, key, row, deadline in checks:
            before.add(table, key, row, deadline)
        for table, row, deadline in puts:
            after.add(table, _missing, row, deadline)
        for table, key in erases:
            after.add(table, key, None, None)
        before.ready()
        after.ready()
        st = ops_commit(before.ops, before.n, after.ops, after.n, False)
    finally:
        before.release()
        after.release()
    if st == ST_CONFLICT:
        return False
    if st != ST_OK:
        raise fail((before.tables + after.tables)[0], st, "commit")
    return True


def walk_place(Table table not None, uint64_t hash, /):
    """Where a key with this exact_hash() stands in a walk of a hash table: for tests."""
    return hash_place(&table.t.place, hash)


def scan(Table table not None, cursor, count, /):
    """About `count` rows from `cursor` on (0: from the start), and the cursor to go on with (0: the end)."""
    cdef uint64_t at = cursor
    cdef list rows = table.scan(&at, count if count > 0 else 1)
    return at, rows


def swap(Table a not None, Table b not None, /):
    """Exchange the rows of two keyspaces in one step."""
    cdef list kept
    cdef dict slots
    cdef int st = table_swap(a.t, b.t)
    if st == ST_OK and a is not b:
        kept = a._objects
        a._objects = b._objects
        b._objects = kept
        slots = a._slots
        a._slots = b._slots
        b._slots = slots
    check(a, st, "swap")


def expire(Table table not None, now_ms, budget=1 << 20, /):
    """Erase what is due at now_ms, at most `budget` rows. Returns how many, and by how many ms the latest of them was
    late."""
    cdef uint64_t late = 0
    cdef uint64_t now = now_ms
    cdef size_t most = budget
    cdef size_t n
    with nogil:
        n = table_expire(table.t, now, most, &late, NULL, NULL)
    table.settle()
    return n, late


def _knobs(**settings):
    """Set test knobs; returns their values before. While other threads are at work only the clock may be set."""
    global knob_load_num, knob_move, knob_min_bits, knob_hash_bits, knob_scan_rows, knob_default_stripes
    global knob_select_rows, knob_spread
    cdef dict before = {
        "slab": knob_slab, "load": knob_load_num, "move": knob_move, "map_bits": knob_min_bits, "clock_ms": knob_clock,
        "hash_bits": knob_hash_bits, "scan_rows": knob_scan_rows, "stripes": knob_default_stripes,
        "select_rows": knob_select_rows, "spread": knob_spread,
    }
    for name in settings:
        if name not in before:
            raise BadArgument(f"{name!r} is no knob: " + " ".join(sorted(before)))
    knobs = dict(before, **settings)
    if (
        not 1 <= knobs["load"] <= 7
        or not 2 <= knobs["move"]
        or not 0 <= knobs["map_bits"] <= 20
        or not 1 <= knobs["scan_rows"]
        or not 2 <= knobs["select_rows"]
    ):
        raise BadArgument(f"{settings!r}: out of range")
    if knobs["slab"] != before["slab"]:
        raise BadArgument("the slab is chosen when the extension is built")
    counter_store(&knob_clock, knobs["clock_ms"])
    if set(settings) == {"clock_ms"}:
        return before
    knob_load_num = knobs["load"]
    knob_move = knobs["move"]
    knob_min_bits = knobs["map_bits"]
    knob_hash_bits = knobs["hash_bits"]
    knob_scan_rows = knobs["scan_rows"]
    knob_select_rows = knobs["select_rows"]
    knob_default_stripes = knobs["stripes"]
    knob_spread = knobs["spread"]
    return before
