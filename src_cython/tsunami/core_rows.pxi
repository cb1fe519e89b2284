# What goes in and out: copies of rows that the engine gives and Python objects are made of, what Python gives packed
# for the engine; and the exception for a status.
#
# What it is not: the codec, which knows single terms. Here are rows, batches and keys of a table.

# ---- copies of rows on their way out

cdef struct rows_t:
    buf_t buf
    objects_t* objects
    size_t n
    bint failed             # no memory for a copy

cdef inline void rows_open(rows_t* r, table_t* t, uint64_t* home, size_t words) noexcept nogil:
    buf_init(&r.buf, <char*>home, words * 8)
    r.objects = &t.objects
    r.n = 0
    r.failed = False

cdef void rows_sink(void* ctx, const uint64_t* row) noexcept nogil:
    cdef rows_t* r = <rows_t*>ctx
    if buf_append(&r.buf, row, row_words(row) * 8) != ST_OK:
        r.failed = True
        return
    r.n += 1
    if row[0] & HAS_OBJECT:
        row_each_object(r.objects, row, object_retain)

cdef struct first_t:
    # The key of the first row that came: as a cell if that is all of it, else with its row.
    rows_t rows
    size_t keypos
    cell_t cell
    bint plain

cdef void first_sink(void* ctx, const uint64_t* row) noexcept nogil:
    cdef first_t* f = <first_t*>ctx
    cdef cell_t c = row[1 + f.keypos]
    if f.plain or f.rows.n != 0:
        return
    if cell_is_int(c) or (c & 0xF) == LOW_INLINE:
        f.cell = c
        f.plain = True
    else:
        rows_sink(&f.rows, row)

cdef object first_key(Table table, first_t* f):
    """Closes."""
    cdef const uint64_t* row
    if f.plain:
        return decode_cell(f.cell, NULL, NULL)
    try:
        if f.rows.failed:
            raise MemoryError
        row = <const uint64_t*>f.rows.buf.data
        return decode_cell(row[1 + f.keypos], <const char*>row, NULL)       # no key holds an object by reference
    finally:
        rows_close(&f.rows)
        table.settle()

cdef inline void rows_clear(rows_t* r) noexcept nogil:
    cdef size_t at = 0
    cdef const uint64_t* row
    cdef size_t i
    for i in range(r.n):
        row = <const uint64_t*>(r.buf.data + at)
        if row[0] & HAS_OBJECT:
            row_each_object(r.objects, row, object_release)
        at += row_words(row) * 8
    r.n = 0
    r.buf.len = 0

cdef inline void rows_close(rows_t* r) noexcept nogil:
    if r.n:
        rows_clear(r)
    buf_free(&r.buf)

cdef int rows_put_back(table_t* t, rows_t* r) noexcept nogil:
    """Insert the copies again, if their key is still absent."""
    cdef const uint64_t** rows = <const uint64_t**>malloc((r.n + 1) * sizeof(void*))
    cdef size_t i, at = 0
    cdef int st
    if rows == NULL:
        return ST_NO_MEMORY
    for i in range(r.n):
        rows[i] = <const uint64_t*>(r.buf.data + at)
        at += row_words(rows[i]) * 8
    st = table_put_many(t, rows, r.n, True)
    free(rows)
    return st

cdef list rows_list(Table table, rows_t* r):
    """The rows as tuples. Closes."""
    cdef list out
    try:
        out = rows_decode(table, r)
    finally:
        rows_close(r)
    table.settle()          # a row that was let go while it was read left its objects to us
    return out

cdef list rows_decode(Table table, rows_t* r):
    """The rows as tuples. Decoders of extension terms run here, and may raise."""
    cdef list out
    cdef object item
    if ts_unlikely(r.failed):
        raise MemoryError
    if r.n == 1:
        item = decode_row(<const uint64_t*>r.buf.data, <void*>table)
        out = PyList_New(1)
        Py_INCREF(item)
        PyList_SET_ITEM(out, 0, item)
        return out
    out = []                # never half built: the collector shows lists to whoever asks
    rows_append(table, r, out)
    return out

cdef int rows_append(Table table, rows_t* r, list out) except -1:
    """rows_decode to the end of a list."""
    cdef size_t at = 0, i
    cdef const uint64_t* row
    if ts_unlikely(r.failed):
        raise MemoryError
    for i in range(r.n):
        row = <const uint64_t*>(r.buf.data + at)
        PyList_Append(out, decode_row(row, <void*>table))
        at += row_words(row) * 8
    return 0


# ---- what Python gives, packed

cdef struct batch_t:
    # Rows one behind the other in a buffer, and where each starts.
    buf_t buf
    size_t* starts
    size_t n
    size_t cap
    objects_t* objects

cdef void batch_close(batch_t* b) noexcept:
    cdef size_t i
    cdef const uint64_t* row
    for i in range(b.n):
        row = <const uint64_t*>(b.buf.data + b.starts[i])
        if row[0] & HAS_OBJECT:
            row_each_object(b.objects, row, object_release)
    free(b.starts)
    b.starts = NULL
    b.n = 0
    buf_free(&b.buf)

cdef inline int row_pack(Table table, object row, buf_t* buf, size_t* at) except -1:
    """Pack a row behind what is in buf; it must be a tuple that reaches to the key, with a key that can be one."""
    cdef pack_ctx_t ctx
    if not PyTuple_Check(row):
        raise BadType(f"a row is a tuple, not {shown(row)}")
    if <size_t>PyTuple_GET_SIZE(row) <= table.t.keypos:
        raise BadArgument(f"the row {shown(row)} has no element {table.t.keypos}, where the key of this table stands")
    ctx.allow_objects = True
    ctx.keypos = <Py_ssize_t>table.t.keypos
    ctx.owner = <void*>table
    return encode_row(row, buf, at, &ctx)

cdef inline int pack_values(Table table, tuple values, buf_t* buf, size_t* at) except -1:
    """Pack a tuple of which no element is a key."""
    cdef pack_ctx_t ctx
    ctx.allow_objects = True
    ctx.keypos = -1
    ctx.owner = <void*>table
    return encode_row(values, buf, at, &ctx)

cdef struct packed_key_t:
    probe_t probe
    buf_t scratch
    uint64_t[8] home

cdef int key_open_packed(object key, packed_key_t* k) except -1:
    try:
        return encode_key(key, &k.probe, &k.scratch)
    except BaseException:
        buf_free(&k.scratch)
        raise

cdef inline int key_open(object key, packed_key_t* k) except -1:
    """A probe for a key. `key` has to outlive it. What fails leaves nothing to close."""
    buf_init(&k.scratch, <char*>k.home, sizeof(k.home))
    if PyLong_CheckExact(key) or PyUnicode_CheckExact(key) or PyBytes_CheckExact(key):
        return encode_key(key, &k.probe, &k.scratch)
    return key_open_packed(key, k)

cdef inline void key_close(packed_key_t* k) noexcept nogil:
    if ts_unlikely(k.scratch.data != <char*>k.home):
        buf_free(&k.scratch)

cdef int batch_add(Table table, batch_t* b, object row) except -1:
    cdef size_t at = 0
    cdef size_t* wider
    if b.n == b.cap:
        wider = <size_t*>realloc(b.starts, (b.cap * 2 + 8) * sizeof(size_t))
        if wider == NULL:
            raise MemoryError
        b.starts = wider
        b.cap = b.cap * 2 + 8
    row_pack(table, row, &b.buf, &at)
    b.starts[b.n] = at
    b.n += 1
    return 0

cdef tuple rows_given(object rows):
    """The rows of a list or another iterable, standing still."""
    if not isinstance(rows, (list, str, bytes, bytearray, memoryview, dict)):
        try:
            return tuple(rows)
        except TypeError:
            if hasattr(type(rows), "__iter__"):
                raise           # an error of its own
    if isinstance(rows, list):
        return tuple(rows)
    raise BadType(f"a row (tuple) or a list of rows, not {shown(rows)}")

cdef inline void batch_open(batch_t* b, Table table) noexcept:
    buf_init(&b.buf, NULL, 0)
    b.starts = NULL
    b.n = b.cap = 0
    b.objects = &table.t.objects

cdef enum:
    ST_BADTYPE = 100
    ST_BAD_DEFAULT = 101

cdef object fail(Table table, int st, object what):
    """The exception for a status: the one place where they are made."""
    if st == ST_NO_MEMORY:
        return MemoryError()
    if st == ST_GONE:
        return NoSuchTable(f"{table.label()} has been deleted", cause="id")
    if st == ST_ABSENT:
        return BadKey(f"{table.label()} has no row with the key {shown(what)}", cause="badkey")
    if st == ST_ACCESS:
        return AccessDenied(f"{table.label()} is {table.info('protection')}: not for this session", cause="access")
    if st == ST_NOT_OWNER:
        return AccessDenied(f"{table.label()} is not this session's", cause="not_owner")
    if st == ST_OWNER:
        return BadArgument(f"{shown(what)} owns {table.label()} already", cause="owner")
    if st == ST_EXISTS:
        return TableExists(f"there is a table {what!r} already", cause="already_exists")
    if st == ST_TOO_LARGE:
        return TermTooLarge(f"{shown(what)} is beyond the limits of the packed form")
    if st == ST_KEYPOS:
        return BadPosition(f"position {shown(what)} is the key's", cause="keypos")
    if st == ST_POSITION:
        return BadPosition(f"position {shown(what)} is outside the row", cause="position")
    if st == ST_TABLE_TYPE:
        return BadArgument(f"{what} is not for a table of type {table.type}", cause="table_type")
    if st == ST_NOT_INTEGER:
        return BadArgument(f"the element {shown(what)} is no integer")
    if st == ST_BADTYPE:
        return BadType(
            f"{shown(what)} is no step: an increment, (pos, increment), or (pos, increment, threshold, value)"
        )
    return BadArgument(f"{shown(what)} cannot stand here")

cdef inline int check(Table table, int st, object what) except -1:
    if ts_unlikely(st != ST_OK):
        raise fail(table, st, what)
    return 0
