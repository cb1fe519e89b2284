# Rows of a stripe: made, renewed, dropped. What stores them, a hash map or a tree, is the business of the floors above.
#
# All of it happens with the stripe held. A stored row is a copy of a term with the trailers that its table and its
# deadline call for; its room comes from the stripe's slab.
#
# What must stay true:
# 1. timed counts the stripe's rows with a deadline, each of which hangs in the wheel.
# 2. special counts what slab_drop alone would not free: rows with reference terms, rows in blocks of malloc's, and what
#    a floor above adds of its own.

cdef inline bint row_special(const uint64_t* row) noexcept nogil:
    return row_words(row) > CLASS_MAX or (row[0] & HAS_OBJECT) != 0 or not knob_slab

cdef void row_time(stripe_t* s, uint64_t* row) noexcept nogil:
    """Hang a row with a deadline into the wheel, which is there."""
    wheel_add(s.wheel, row, clock_ms())
    counter_bump(&s.timed, 1)

cdef inline void row_fill(
    table_t* t, stripe_t* s, uint64_t* row, size_t words, const uint64_t* term, size_t term_words, uint64_t deadline
) noexcept nogil:
    cdef uint64_t head
    memcpy(row, term, term_words * 8)
    head = (term[0] & ~(EXTENT_MASK | ROW_EXPIRES | ROW_STAMP)) | words
    if t.stamped:
        head |= ROW_STAMP
        row[term_words] = clock_stamp() | <uint64_t>use_fresh() << 32
    if deadline != 0:
        head |= ROW_EXPIRES
        row[words - 3] = deadline
    row[0] = head
    if row_special(row):
        s.special += 1
        row_each_object(&t.objects, row, object_retain)
    if deadline != 0:
        row_time(s, row)

cdef inline int stripe_wheel(stripe_t* s) noexcept nogil:
    if s.wheel == NULL:
        s.wheel = <wheel_t*>calloc(1, sizeof(wheel_t))
        if s.wheel == NULL:
            return ST_NO_MEMORY
        s.slab.spent += block_bytes(sizeof(wheel_t))
        held_add(block_bytes(sizeof(wheel_t)))
    return ST_OK

cdef uint64_t* row_make(table_t* t, stripe_t* s, const uint64_t* term, uint64_t deadline) noexcept nogil:
    """A stored row: a copy of the term with the trailers that this table and deadline call for. NULL without memory."""
    cdef size_t term_words = row_bytes(term) // 8
    cdef size_t words = term_words + (1 if t.stamped else 0) + (TRAILER_WORDS if deadline != 0 else 0)
    cdef uint64_t* row
    if deadline != 0 and stripe_wheel(s) != ST_OK:
        return NULL
    row = slab_take(&s.slab, words)
    if row != NULL:
        row_fill(t, s, row, words, term, term_words, deadline)
    return row

cdef inline void row_empty(table_t* t, stripe_t* s, uint64_t* row) noexcept nogil:
    """Undo what row_fill did besides filling."""
    if row[0] & ROW_EXPIRES:
        wheel_remove(s.wheel, row)
        counter_bump(&s.timed, <uint64_t>-1)
    if row_special(row):
        s.special -= 1
        row_each_object(&t.objects, row, object_release)

cdef inline void row_drop(table_t* t, stripe_t* s, uint64_t* row) noexcept nogil:
    row_empty(t, s, row)
    slab_give(&s.slab, row, row_words(row))

cdef inline uint64_t* row_renew(
    table_t* t, stripe_t* s, uint64_t* old, const uint64_t* term, uint64_t deadline
) noexcept nogil:
    """Put a row in an old one's place: in its very room if that fits, else in a new one, and the old one is gone. Where
    it stands now; NULL without memory, and nothing has changed."""
    cdef size_t term_words = row_bytes(term) // 8
    cdef size_t words = term_words + (1 if t.stamped else 0) + (TRAILER_WORDS if deadline != 0 else 0)
    cdef uint64_t* row
    cdef uint32_t use = row_use(old) if t.stamped else 0
    if words == row_words(old) and not ((old[0] | term[0]) & (HAS_OBJECT | ROW_EXPIRES)) and deadline == 0:
        if row_special(old):
            s.special -= 1
        row_fill(t, s, old, words, term, term_words, 0)
        row = old
    else:
        row = row_make(t, s, term, deadline)
        if row != NULL:
            row_drop(t, s, old)
    if t.stamped and row != NULL:
        row_use_keep(row, use)
    return row
