# What only ordered tables can do, for Table's methods: ranges, ranks, positions. And the walk that every type has.
#
# A range of keys is packed once, as forms. A walk through it is a place and some rows that were copied out;
# between two rows no lock is held and nothing is fixed, and whatever others do meanwhile, it meets each row that stays
# exactly once, in order. Tables of the other types refuse all of this with the cause table_type.

cdef enum:
    PIECE_FIRST = 16        # rows of a walk's first piece: who looks at one row only should not pay for many
    PIECE_GROWS = 4         # each piece is so many times as long as the one before, up to knob_scan_rows


@cython.final
cdef class _Span:
    """A range of keys, packed."""
    cdef span_t span
    cdef buf_t low
    cdef buf_t high

    def __cinit__(self):
        buf_init(&self.low, NULL, 0)
        buf_init(&self.high, NULL, 0)

    def __dealloc__(self):
        buf_free(&self.low)
        buf_free(&self.high)

    cdef int set_low(self, object key, bint inclusive) except -1:
        self.span.low_len = key_form_pack(key, &self.low)
        self.span.low = self.low.data
        self.span.low_open = not inclusive
        return 0

    cdef int set_high(self, object key, bint inclusive) except -1:
        self.span.high_len = key_form_pack(key, &self.high)
        self.span.high = self.high.data
        self.span.high_open = not inclusive
        return 0


cdef size_t key_form_pack(object key, buf_t* out) except? <size_t>-1:
    """The length of the key's form, which is appended with the zeros behind it."""
    cdef packed_key_t k
    cdef size_t n = 0
    cdef int st
    key_open(key, &k)
    st = form_add(out, k.probe.cell, k.probe.base, &n)
    key_close(&k)
    if st == ST_NOT_STORABLE:
        raise BadArgument(f"{shown(key)} cannot be a key")
    if st != ST_OK:
        raise MemoryError
    return n

cdef int only_ordered(Table table, str what) except -1:
    if not table.t.methods.ordered:
        raise fail(table, ST_TABLE_TYPE, what)
    return 0

cdef void width_sink(void* ctx, const uint64_t* row) noexcept nogil:
    """The size of the tuple that is the row's key; 0 if it is none."""
    cdef size_t* width = <size_t*>ctx
    cdef cell_t key = row[1 + width[1]]
    width[0] = cell_length(key) if (key & 0xFF) == LOW_TUPLE else 0

cdef size_t keys_width(Table table) noexcept nogil:
    """The size of the tuples if all keys are tuples of one size, else 0. Tuples stand in the order of their sizes, so
    the first key and the last one tell."""
    cdef size_t[2] first
    cdef size_t[2] last
    first[0] = last[0] = 0
    first[1] = last[1] = table.t.keypos
    table.t.methods.seek(table.t, NULL, 1, width_sink, first)
    table.t.methods.seek(table.t, NULL, 0, width_sink, last)
    return first[0] if first[0] == last[0] else 0

cdef void bound_widen(object key, size_t width, buf_t* form) noexcept:
    """A tuple that is shorter than the keys, all of one size, stands for how they begin, as in Python: its form says
    their size, so it is the beginning of the forms of the keys that begin with it, and sorts before them. In term order
    it would stand before all of them, and as a bound be of no use."""
    if isinstance(key, tuple) and <size_t>len(key) < width:
        etf_put32(form.data + 1, <uint32_t>width)

cdef _Span span_of(Table table, object minimum, object maximum, object inclusive, bint backwards):
    """The range from minimum to maximum; None is no bound."""
    cdef _Span span = _Span()
    cdef size_t width = keys_width(table) if isinstance(minimum, tuple) or isinstance(maximum, tuple) else 0
    if not isinstance(inclusive, tuple) or len(inclusive) != 2:
        raise BadType(f"inclusive={shown(inclusive)}: a pair of booleans, for the minimum and for the maximum")
    span.span.backwards = backwards
    if minimum is not None:
        span.set_low(minimum, inclusive[0])
        bound_widen(minimum, width, &span.low)
    if maximum is not None:
        span.set_high(maximum, inclusive[1])
        bound_widen(maximum, width, &span.high)
    return span

cdef _Span span_of_slice(Table table, object given):
    """a:b is from a to before b; a:b:-1 from a down to before b."""
    if given.step is None or (is_integer(given.step) and given.step == 1):
        return span_of(table, given.start, given.stop, (True, False), False)
    if is_integer(given.step) and given.step == -1:
        return span_of(table, given.stop, given.start, (False, True), True)
    raise BadArgument(f"a slice of keys has the step 1 or -1, not {shown(given.step)}")


# ---- walks

cdef int rows_visit(void* ctx, const uint64_t* row, buf_t* out) noexcept nogil:
    rows_sink(ctx, row)
    return V_FAIL if (<rows_t*>ctx).failed else V_NEXT

cdef int walk_piece(Table table, const span_t* span, place_t* at, size_t budget, rows_t* rows) except -1:
    """Copies of about so many rows behind `at`, which moves. `rows` is empty, and stays so where it raises."""
    cdef int st
    if budget > PIECE_FIRST:
        with nogil:
            st = table.t.methods.scan(table.t, span, at, budget, rows_visit, rows)
    else:
        st = table.t.methods.scan(table.t, span, at, budget, rows_visit, rows)
    if st != ST_OK:
        rows_clear(rows)
        raise fail(table, ST_NO_MEMORY if st == ST_STOP else st, None)
    return 0


cdef list walk_list(Table table, _Span span):
    """All rows of a range, or of the table."""
    cdef place_t at
    cdef rows_t rows
    cdef list out = []
    place_open(&at)
    rows_open(&rows, table.t, NULL, 0)
    counter_add(&table.t.steady, 1)
    c_untrack(<PyObject*>out)           # the collector would go through all that is in it, again and again
    try:
        while not at.over:
            walk_piece(table, &span.span if span is not None else NULL, &at, knob_select_rows, &rows)
            rows_append(table, &rows, out)
            rows_clear(&rows)
    finally:
        c_track(<PyObject*>out)
        counter_add(&table.t.steady, <uint64_t>-1)
        rows_close(&rows)
        place_close(&at)
        table.settle()                  # a row that was let go meanwhile left its objects to us
    return out


@cython.final
@cython.no_gc_clear         # its rows need their table to the end
cdef class _Piece:
    """Rows of a walk that were copied out and wait to be made tuples, one at a time: one that is dropped before the
    next is made leaves its memory to that, which is still in the cache."""
    cdef Table table
    cdef rows_t rows

    def __cinit__(self, Table table not None):
        self.table = table
        rows_open(&self.rows, table.t, NULL, 0)

    def __dealloc__(self):
        rows_close(&self.rows)
        if self.table is not None:
            self.table.settle()


@cython.final
cdef class _Walk:
    """An iterator over the rows of a range, in pieces: it never fails because of what others do, and meets each row
    that stays exactly once."""
    cdef Table table
    cdef _Span span             # None: the whole table
    cdef place_t place
    cdef uint64_t turn          # pieces fetched
    cdef size_t budget
    cdef _Piece piece
    cdef size_t at              # in the piece's bytes

    def __cinit__(self):
        place_open(&self.place)
        self.budget = PIECE_FIRST

    def __dealloc__(self):
        place_close(&self.place)

    def __iter__(self):
        return self

    def __next__(self):
        cdef _Piece piece
        cdef const uint64_t* row
        while True:
            with cython.critical_section(self):
                piece = self.piece      # which stays while its row is read, whoever calls us from there
                row = NULL
                if self.at < piece.rows.buf.len:
                    row = <const uint64_t*>(piece.rows.buf.data + self.at)
                    self.at += row_words(row) * 8
                elif self.place.over:
                    raise StopIteration
            if row != NULL:
                return decode_row(row, <void*>self.table)
            self.fetch()

    cdef int fetch(self) except -1:
        """The next piece. If another thread has got on meanwhile, its piece is the one to go on with."""
        cdef place_t place
        cdef uint64_t turn = 0
        cdef size_t budget = 0
        cdef _Piece piece = _Piece(self.table)
        cdef int st = ST_OK
        cdef bint needed
        place_open(&place)
        with cython.critical_section(self):
            needed = self.at >= self.piece.rows.buf.len
            if needed:
                turn = self.turn
                budget = self.budget
                st = place_copy(&place, &self.place)
        if not needed:
            return 0
        try:
            if st != ST_OK:
                raise MemoryError
            self.table.may(RIGHT_READ)
            walk_piece(self.table, &self.span.span if self.span is not None else NULL, &place, budget, &piece.rows)
            with cython.critical_section(self):
                if self.turn == turn:
                    self.piece, piece = piece, self.piece
                    self.at = 0
                    self.turn += 1
                    self.budget = min(self.budget * PIECE_GROWS, <size_t>knob_scan_rows)
                    place_swap(&place, &self.place)
        finally:
            place_close(&place)
        del piece               # its objects may have finalizers, which may call us
        return 0

cdef inline void place_swap(place_t* a, place_t* b) noexcept nogil:
    cdef place_t kept = a[0]
    a[0] = b[0]
    b[0] = kept

cdef _Walk walk_of(Table table, _Span span):
    cdef _Walk walk = _Walk()
    walk.table = table
    walk.span = span
    walk.piece = _Piece(table)
    return walk


# ---- ranks and positions

cdef object table_irange(Table table, object minimum, object maximum, object inclusive, object reverse):
    table.may(RIGHT_READ)
    only_ordered(table, "irange")
    return walk_of(table, span_of(table, minimum, maximum, inclusive, bool(reverse)))

cdef object table_slice(Table table, object given):
    table.may(RIGHT_READ)
    only_ordered(table, "a slice")
    return walk_list(table, span_of_slice(table, given))

cdef size_t table_rank(Table table, object key) except? <size_t>-1:
    cdef _Span span = _Span()
    cdef size_t before = 0, within = 0
    table.may(RIGHT_READ)
    only_ordered(table, "rank")
    span.set_low(key, True)
    bound_widen(key, keys_width(table) if isinstance(key, tuple) else 0, &span.low)
    check(table, ordered_count(table.t, &span.span, &before, &within), key)
    return before

cdef size_t table_count_range(Table table, object minimum, object maximum, object inclusive) except? <size_t>-1:
    cdef _Span span
    cdef size_t before = 0, within = 0
    table.may(RIGHT_READ)
    only_ordered(table, "count_range")
    span = span_of(table, minimum, maximum, inclusive, False)
    check(table, ordered_count(table.t, &span.span, &before, &within), None)
    return within

cdef size_t table_delete_span(Table table, _Span span) except? <size_t>-1:
    cdef size_t erased = 0
    cdef int st
    with nogil:
        st = ordered_erase_span(table.t, &span.span, &erased)
    table.settle()
    check(table, st, None)
    return erased

cdef size_t table_delete_range(Table table, object minimum, object maximum, object inclusive) except? <size_t>-1:
    table.may(RIGHT_WRITE)
    only_ordered(table, "delete_range")
    return table_delete_span(table, span_of(table, minimum, maximum, inclusive, False))

cdef int table_delete_slice(Table table, object given) except -1:
    table.may(RIGHT_WRITE)
    only_ordered(table, "a slice")
    table_delete_span(table, span_of_slice(table, given))
    return 0

cdef object table_at(Table table, object k):
    cdef uint64_t[64] home
    cdef rows_t rows
    cdef int64_t index
    cdef int st
    table.may(RIGHT_READ)
    only_ordered(table, "at")
    if not is_integer(k):
        raise BadType(f"an index is an integer, not {shown(k)}")
    index = k if -(1 << 62) < k < 1 << 62 else 1 << 62
    rows_open(&rows, table.t, home, 64)
    st = ordered_nth(table.t, index, rows_sink, &rows)
    if st == ST_ABSENT:
        raise BadPosition(f"{table.label()} has no row {shown(k)}: it has {table_len(table.t)} rows", cause="position")
    check(table, st, k)
    return rows_list(table, &rows)[0]

cdef bint keys_equal(Table table, object a, object b) except -1:
    """Are they one key of this table?"""
    return order_key(a) == order_key(b) if table.t.methods.ordered else exact_equal(a, b)


# ---- many keys at once

cdef int lookup_ordered(Table table, PyObject** keys, size_t n, list out, size_t base) except -1:
    """lookup of up to SIDE_BY_SIDE keys under one hold of the lock; the lists go to out[base] and on."""
    cdef packed_key_t[SIDE_BY_SIDE] packed
    cdef formed_t[SIDE_BY_SIDE] formed
    cdef form_t[SIDE_BY_SIDE] forms
    cdef size_t[SIDE_BY_SIDE] counts
    cdef uint64_t[256] home
    cdef rows_t rows
    cdef list found = []
    cdef size_t ready = 0, i
    cdef int st = ST_OK
    rows_open(&rows, table.t, home, 256)
    try:
        while ready < n and st == ST_OK:
            key_open(<object>keys[ready], &packed[ready])
            st = form_open(&formed[ready], packed[ready].probe.cell, packed[ready].probe.base)
            forms[ready] = formed[ready].form
            ready += 1
        if st == ST_OK:
            st = ordered_get_many(table.t, forms, n, rows_sink, &rows, counts)
    finally:
        for i in range(ready):
            form_close(&formed[i])
            key_close(&packed[i])
    if st != ST_OK:
        rows_close(&rows)
        raise fail(table, st, "lookup_many")
    rows_lists(table, &rows, counts, n, found)
    for i in range(n):
        c_list_set(<PyObject*>out, base + i, list_share(found[i]))
    return 0
