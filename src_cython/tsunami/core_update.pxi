# update_counter and update_element: their edits, which run under the lock of the key's stripe, and the reading of what
# they are asked for.

# ---- update_counter

cdef struct step_t:
    int status              # ST_OK, or ST_BADARG: not a step at all
    int64_t pos
    bint bounded
    size_t args             # where the row (increment, threshold, value) starts in the arguments
    cell_t value            # after this step
    buf_t body
    size_t at

cdef struct counter_t:
    table_t* table
    const probe_t* key
    step_t* steps
    size_t n
    const char* args
    bint has_default
    const uint64_t* initial     # the default row; NULL if there is none or it is too short for the key
    buf_t culprit               # the element that is no integer, as a row
    int error
    size_t bad              # the step that failed

cdef inline const char* step_base(const step_t* s) noexcept nogil:
    return s.body.data + s.at if s.body.data != NULL else NULL

cdef int counter_step(counter_t* c, size_t k, const uint64_t* row, int64_t earlier) noexcept nogil:
    """Reckon one step from the row as it was, or from the earlier step for this position."""
    cdef step_t* s = &c.steps[k]
    cdef const uint64_t* args = <const uint64_t*>(c.args + s.args)
    cdef cell_t element
    cdef const char* base = <const char*>row
    cdef int st
    if s.status != ST_OK:
        return s.status
    if s.pos == <int64_t>c.table.keypos:
        return ST_KEYPOS
    if s.pos < 0 or s.pos >= <int64_t>row_arity(row):
        return ST_POSITION
    element = row[1 + s.pos]
    if term_kind(element) != K_INT and term_kind(element) != K_BIG:
        return ST_NOT_INTEGER
    if earlier >= 0:
        element = c.steps[earlier].value
        base = step_base(&c.steps[earlier])
    st = int_add(element, base, args[1], <const char*>args, &s.body, &s.at, &s.value)
    if st != ST_OK or not s.bounded:
        return st
    # Zero counts as not negative.
    if int_compare(args[1], <const char*>args, 0, NULL) >= 0:
        if int_compare(s.value, step_base(s), args[2], <const char*>args) <= 0:
            return ST_OK
    elif int_compare(s.value, step_base(s), args[2], <const char*>args) >= 0:
        return ST_OK
    s.body.len = 0
    s.at = 0
    s.value = args[3]
    if args[3] & 1:
        st = buf_append(&s.body, cell_at(args[3], <const char*>args), (cell_length(args[3]) + 7) & ~<size_t>7)
        s.value = args[3] & ~OFFSET_MASK
    return st

cdef int row_with_key(const uint64_t* initial, const probe_t* key, size_t keypos, buf_t* out) noexcept nogil:
    """The default row with the key in its place, at the start of out."""
    cdef size_t at = 0, i
    cdef int st = row_begin(out, row_arity(initial), &at)
    for i in range(row_arity(initial)):
        if st != ST_OK:
            return st
        if i == keypos:
            st = row_add_term(out, at, i, key.cell, key.base)
        else:
            st = row_add_term(out, at, i, initial[1 + i], <const char*>initial)
    return row_end(out, at) if st == ST_OK else st

cdef int row_alone(cell_t c, const char* base, buf_t* out) noexcept nogil:
    """A row of this one element, at the start of out, for a message; without memory, or for a reference term, none."""
    cdef size_t at = 0
    if (c & 0xFF) == LOW_OBJECT or (cell_is_box(c) and (<const uint64_t*>cell_at(c, base))[0] & HAS_OBJECT):
        return ST_OK
    if row_begin(out, 1, &at) != ST_OK or row_add_term(out, at, 0, c, base) != ST_OK or row_end(out, at) != ST_OK:
        buf_free(out)
    return ST_OK

cdef int counter_edit(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef counter_t* c = <counter_t*>ctx
    cdef const uint64_t* row = old
    cdef int64_t* latest = NULL         # by position: the last step for it
    cdef buf_t fresh
    cdef size_t k, i, at = 0
    cdef bint immediate = True
    cdef int st = ST_OK
    cdef int64_t one
    buf_init(&fresh, NULL, 0)
    if old == NULL:
        if c.initial == NULL:
            c.error = ST_BAD_DEFAULT if c.has_default else ST_ABSENT
            return ST_STOP
        st = row_with_key(c.initial, c.key, c.table.keypos, &fresh)
        row = <const uint64_t*>fresh.data
    if st == ST_OK and c.n > 1:
        latest = <int64_t*>malloc(row_arity(row) * sizeof(int64_t))
        if latest == NULL:
            st = ST_NO_MEMORY
        else:
            for i in range(row_arity(row)):
                latest[i] = -1
    k = 0
    while st == ST_OK and k < c.n:
        one = -1
        if latest != NULL and c.steps[k].status == ST_OK and 0 <= c.steps[k].pos < <int64_t>row_arity(row):
            one = latest[c.steps[k].pos]
        st = counter_step(c, k, row, one)
        if st != ST_OK:
            c.error = st
            c.bad = k
            if st == ST_NOT_INTEGER:
                row_alone(row[1 + c.steps[k].pos], <const char*>row, &c.culprit)
            st = ST_STOP
            break
        if latest != NULL:
            latest[c.steps[k].pos] = <int64_t>k
        if (c.steps[k].value | row[1 + c.steps[k].pos]) & 1:
            immediate = False
        k += 1
    if st == ST_OK:
        if old != NULL and immediate:
            # Words for words: nobody can see a row while its stripe is held.
            for k in range(c.n):
                (<uint64_t*>old)[1 + c.steps[k].pos] = c.steps[k].value
        else:
            st = row_begin(out, row_arity(row), &at)
            for i in range(row_arity(row)):
                if st != ST_OK:
                    break
                if latest != NULL:
                    one = latest[i]
                else:
                    one = 0 if c.n == 1 and c.steps[0].pos == <int64_t>i else -1
                if one >= 0:
                    st = row_add_term(out, at, i, c.steps[one].value, step_base(&c.steps[one]))
                else:
                    st = row_add_term(out, at, i, row[1 + i], <const char*>row)
            if st == ST_OK:
                st = row_end(out, at)
    if st != ST_OK and st != ST_STOP:
        c.error = st
        st = ST_STOP
    free(latest)
    buf_free(&fresh)
    return st

cdef bint is_integer(object x):
    return isinstance(x, int) and not isinstance(x, bool)

cdef int step_read(Table table, object what, step_t* s, buf_t* args) except -1:
    """Read one step of Python's; what is no step gets a status, for the error comes only when its turn has come."""
    cdef Py_ssize_t n
    cdef object given
    s.status = ST_BADTYPE
    s.bounded = False
    buf_init(&s.body, NULL, 0)
    s.at = 0
    if not PyTuple_Check(what):
        return 0
    s.status = ST_BADARG
    n = len(what)
    if n != 2 and n != 4:
        return 0
    for given in what:
        if not is_integer(given):
            return 0
    try:
        s.pos = what[0]
    except OverflowError:
        s.pos = -1
    s.bounded = n == 4
    pack_values(table, (int(what[1]), int(what[2]), int(what[3])) if n == 4 else (int(what[1]),), args, &s.args)
    s.status = ST_OK
    return 0


# ---- update_element

cdef struct element_t:
    table_t* table
    const probe_t* key
    const uint64_t* values      # a row: the values in order, or NULL
    int64_t* positions          # by value; status below 0: no pair
    int* statuses
    size_t n
    bint has_default
    const uint64_t* initial
    int error
    size_t bad

cdef int element_edit(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef element_t* e = <element_t*>ctx
    cdef const uint64_t* row = old
    cdef buf_t fresh
    cdef int64_t* latest = NULL
    cdef size_t k, i, at = 0
    cdef int st = ST_OK
    buf_init(&fresh, NULL, 0)
    if old == NULL:
        if e.initial == NULL:
            e.error = ST_BAD_DEFAULT if e.has_default else ST_ABSENT
            return ST_STOP
        st = row_with_key(e.initial, e.key, e.table.keypos, &fresh)
        row = <const uint64_t*>fresh.data
    if st == ST_OK:
        latest = <int64_t*>malloc(row_arity(row) * sizeof(int64_t))
        st = ST_OK if latest != NULL else ST_NO_MEMORY
    if st == ST_OK:
        for i in range(row_arity(row)):
            latest[i] = -1
        for k in range(e.n):
            st = e.statuses[k]
            if st == ST_OK and e.positions[k] == <int64_t>e.table.keypos:
                st = ST_KEYPOS
            if st == ST_OK and not 0 <= e.positions[k] < <int64_t>row_arity(row):
                st = ST_POSITION
            if st != ST_OK:
                e.bad = k
                break
            latest[e.positions[k]] = <int64_t>k
    if st == ST_OK:
        st = row_begin(out, row_arity(row), &at)
        for i in range(row_arity(row)):
            if st != ST_OK:
                break
            if latest[i] >= 0:
                st = row_add_term(out, at, i, e.values[1 + latest[i]], <const char*>e.values)
            else:
                st = row_add_term(out, at, i, row[1 + i], <const char*>row)
        if st == ST_OK:
            st = row_end(out, at)
    free(latest)
    buf_free(&fresh)
    if st != ST_OK:
        e.error = st
        return ST_STOP
    return ST_OK
