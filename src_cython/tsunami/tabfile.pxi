# Rows on their way to a file and back, a block at a time: what tsunami/persistence.py does not leave to Python.
#
# What it is not: a file, or its format; it knows neither heads nor checksums. A block is rows one behind the other,
#
#     | length, 4 bytes, big-endian | the row, a tuple, in the external term format, with the two tags for files |
#
# so a file outlives the process, its atoms' numbers and this layout of memory.
#
# What must stay true:
# 1. A row is spelled out under its stripe's or tree's lock, at most BLOCK_ROWS of them under one hold.
# 2. What is read is a tuple that reaches to the table's key, with a key that can be one; else nothing is stored.

cdef enum:
    BLOCK_ROWS = 256

cdef struct spell_t:
    buf_t out
    size_t rows
    size_t most             # bytes: then the block is full
    int error


cdef int spell_row(void* ctx, const uint64_t* row, buf_t* replacement) noexcept nogil:
    """A visit: append the row to the block."""
    cdef spell_t* b = <spell_t*>ctx
    cdef size_t at = b.out.len
    b.error = buf_reserve(&b.out, 4)
    if b.error == ST_OK:
        b.out.len += 4
        b.error = etf_encode(row_as_cell(row), <const char*>row, &b.out, ETF_FILE)
    if b.error != ST_OK:
        b.out.len = at
        return V_FAIL
    etf_put32(b.out.data + at, <uint32_t>(b.out.len - at - 4))
    b.rows += 1
    return V_STOP if b.out.len >= b.most else V_NEXT


@cython.final
cdef class Blocks:
    """The blocks of a table, (bytes, number of rows) each, of about so many bytes."""
    cdef Table table
    cdef place_t place
    cdef size_t most

    def __cinit__(self, Table table not None, size_t most, /):
        self.table = table
        self.most = most
        place_open(&self.place)

    def __dealloc__(self):
        place_close(&self.place)

    def __iter__(self):
        return self

    def __next__(self):
        cdef spell_t b
        cdef int st = ST_OK
        buf_init(&b.out, NULL, 0)
        b.rows = 0
        b.most = self.most
        b.error = ST_OK
        with nogil:
            while st == ST_OK and not self.place.over and b.out.len < b.most:
                st = self.table.t.methods.scan(self.table.t, NULL, &self.place, BLOCK_ROWS, spell_row, &b)
        try:
            if b.error == ST_NO_FORM:
                raise BadType(
                    f"{self.table.label()} holds a reference term, which cannot be saved: {unsaved(self.table)}")
            check(self.table, b.error if st == ST_STOP else st, "a row")
            if b.rows == 0:
                raise StopIteration
            return b.out.data[:b.out.len], b.rows
        finally:
            buf_free(&b.out)


cdef str unsaved(Table table):
    """The first row that cannot be saved, for an error."""
    for row in table:
        try:
            pack(row)
        except BadType:
            return f"the row {row!r:.200}"
    return "its row is gone by now"


cdef int read_row(table_t* t, const char* p, size_t n, buf_t* scratch, const uint64_t** row) noexcept nogil:
    """One row of a block, checked as one that is inserted is."""
    cdef size_t at = 0
    cdef cell_t c
    cdef buf_t form
    cdef int st
    scratch.len = 0
    st = etf_decode(p, n, scratch, &at, ETF_FILE)
    if st != ST_OK:
        return st
    c = (<const uint64_t*>(scratch.data + at))[1]
    if (c & 0xFF) != LOW_TUPLE or cell_length(c) <= t.keypos:
        return ST_BADARG
    row[0] = <const uint64_t*>cell_at(c, scratch.data + at)
    if row[0][0] & HAS_NAN:
        buf_init(&form, NULL, 0)
        st = term_order_key(row[0][1 + t.keypos], <const char*>row[0], &form, True)
        buf_free(&form)
    return st


def load_block(Table table not None, const unsigned char[::1] block, /):
    """Insert the rows of a block. Returns their number. BadArgument for what is no block; rows before it may be in."""
    cdef const char* p = <const char*>&block[0] if len(block) else NULL
    cdef size_t left = len(block), n, rows = 0
    cdef const uint64_t* row = NULL
    cdef buf_t scratch
    cdef int st = ST_OK
    buf_init(&scratch, NULL, 0)
    with nogil:
        while left and st == ST_OK:
            n = etf_u32(p) if left >= 4 else 0
            if left < 4 or n > left - 4:
                st = ST_BADARG
                break
            st = read_row(table.t, p + 4, n, &scratch, &row)
            if st == ST_OK:
                st = table.t.methods.put(table.t, row, 0)
            if st == ST_OK:
                rows += 1
                p += 4 + n
                left -= 4 + n
    buf_free(&scratch)
    if st == ST_BADARG or st == ST_NOT_STORABLE:
        raise BadArgument(f"what stands {len(block) - left} bytes from the beginning is no row for {table.label()}")
    check(table, st, "a row")
    return rows


def christen(Table table not None, name, /):
    """Let an unnamed table be found under this name: when its rows are there. TableExists if the name is in use."""
    table.take_name(name_of(name))


def register_files(tab2file, /):
    """What Table.tab2file calls: it lies above."""
    global _files
    _files = tab2file
