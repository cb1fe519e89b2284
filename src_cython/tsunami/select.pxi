# Running a program over a table: select and its relatives, and what sums rows up without copying them out.
#
# What it is: between a match program, which knows one row, and a table's walk, which knows none: which rows to look at
# (access paths), what to do with each (the actions), and how long to hold a lock (one piece of a walk at a time).
#
# What it is not: the meaning of match specs (match.pxi), the order of walks (the tables'), or Python (core_query.pxi).
#
#     select_open     a program for a table: the access path is chosen
#     select_step     run the action over the rows behind a place, until the limit, or the end
#     select_close
#
# What must stay true:
# 1. Between two pieces no lock is held. A piece is knob_select_rows rows and RESULT_BYTES of results at most.
# 2. Results are copies, and hold their reference terms: results_t counts them until results_clear.
# 3. A step stops exactly behind the row that made the last result, so the next one goes on exactly there.
# 4. An access path names more rows than the program wants, never less: the program decides on each.
# 5. While a step walks a bag, groups keep their positions (t.steady): each row that stays is met once.

cdef enum action_t:
    ACT_COLLECT = 0         # the results
    ACT_COUNT = 1           # how many results are exactly true
    ACT_DELETE = 2          # delete those rows
    ACT_REPLACE = 3         # put the result in the row's place
    ACT_COUNT_ALL = 4       # how many results there are
    ACT_DELETE_ALL = 5      # delete every row that is selected
    ACT_FOLD = 6            # sum up: fold_t

cdef enum:
    RESULT_BYTES = 1 << 18  # of results under one hold of a lock

cdef uint32_t knob_select_rows = 1024       # rows visited under one hold of a lock


# ---- results: one-element rows, one behind the other

cdef struct results_t:
    buf_t buf
    size_t n
    objects_t* objects      # the registry of the reference terms in them

cdef void results_open(results_t* r, table_t* t) noexcept nogil:
    buf_init(&r.buf, NULL, 0)
    r.n = 0
    r.objects = &t.objects

cdef int results_add(results_t* r, cell_t c, const char* base) noexcept nogil:
    """Append a copy of a term. ST_OK, ST_NO_MEMORY, ST_TOO_LARGE."""
    cdef size_t before = r.buf.len, at = 0
    cdef const uint64_t* row
    cdef int st = row_begin(&r.buf, 1, &at)
    if st == ST_OK:
        st = row_add_term(&r.buf, at, 0, c, base)
    if st == ST_OK:
        st = row_end(&r.buf, at)
    if st != ST_OK:
        r.buf.len = before
        return st
    row = <const uint64_t*>(r.buf.data + at)
    if row[0] & HAS_OBJECT:
        row_each_object(r.objects, row, object_retain)
    r.n += 1
    return ST_OK

cdef void results_clear(results_t* r) noexcept nogil:
    cdef size_t at = 0, i
    cdef const uint64_t* row
    for i in range(r.n):
        row = <const uint64_t*>(r.buf.data + at)
        if row[0] & HAS_OBJECT:
            row_each_object(r.objects, row, object_release)
        at += row_words(row) * 8
    r.n = 0
    r.buf.len = 0

cdef void results_close(results_t* r) noexcept nogil:
    results_clear(r)
    buf_free(&r.buf)


# ---- a run

cdef struct glance_t:
    # What can be said of most rows at a glance, where the program begins with one clause's head of a fixed size and a
    # comparison of an element with a small integer: no comparison of other terms, and no run of the program.
    bint usable
    uint64_t shape          # of the row as a cell
    uint32_t element
    int64_t least           # as cells, which have the order of their integers
    int64_t most
    int result              # of rows within; R_VALUE: run the program

cdef struct select_t:
    table_t* table
    const program_t* program
    glance_t glance
    run_t run
    access_t access
    int action
    bint backwards
    size_t left             # results that may still come in this step
    uint64_t count          # results of all steps
    results_t* out
    size_t hold_end         # bytes of results at which this hold of the lock ends
    size_t pause            # bytes of results at which a step ends early: not at the limit, and not over
    void* fold              # fold_t
    int status              # why a visit failed

cdef inline bint leads_nowhere(const program_t* p, const instr_t* op) noexcept nogil:
    """Is a row that this test refuses not selected?"""
    return (op + op.fail).code == OP_NO

cdef void glance_open(glance_t* g, const program_t* p) noexcept nogil:
    cdef const instr_t* head = p.ops
    cdef const instr_t* test = p.ops + 1
    cdef int64_t than
    g.usable = False
    if p.nops < 4 or head.code != OP_BOX or head.a != REG_ROW or head.b != SELF or not leads_nowhere(p, head):
        return
    if test.a != head.dst or test.b == SELF or not leads_nowhere(p, test):
        return
    than = <int64_t>test.imm
    g.shape = head.imm
    g.element = test.b
    g.least = INT64_MIN
    g.most = INT64_MAX
    if test.code == OP_IF_MORE:
        g.least = than + 1
    elif test.code == OP_IF_NOT_LESS:
        g.least = than
    elif test.code == OP_IF_LESS and than > INT64_MIN:
        g.most = than - 1
    elif test.code == OP_IF_NOT_MORE:
        g.most = than
    else:
        return
    g.usable = True
    g.result = R_VALUE
    if p.ops[2].code == OP_RET_TRUE:
        g.result = R_TRUE
    elif p.ops[2].code == OP_RET_ROW:
        g.result = R_ROW

cdef inline int select_look(select_t* s, const uint64_t* row) noexcept nogil:
    """Run the program on a row, unless a glance is enough. A run_result_t."""
    cdef const glance_t* g = &s.glance
    cdef cell_t c
    if g.usable:
        if (row_as_cell(row) & ~OFFSET_MASK) != g.shape:
            return R_NO
        c = row[1 + g.element]
        if cell_is_int(c):
            if not g.least <= <int64_t>c <= g.most:
                return R_NO
            if g.result != R_VALUE:
                return g.result
    return program_run(&s.run, s.program, row_as_cell(row), <const char*>row)

cdef int select_open(select_t* s, table_t* t, const program_t* p, int action) noexcept nogil:
    """ST_OK or ST_NO_MEMORY; to be closed in either case."""
    run_open(&s.run)
    s.table = t
    s.program = p
    s.action = action
    s.backwards = False
    s.count = 0
    s.out = NULL
    s.pause = <size_t>-1
    s.fold = NULL
    s.status = ST_OK
    glance_open(&s.glance, p)
    return program_access(p, t.keypos, t.methods.ordered, &s.access)

cdef void select_close(select_t* s) noexcept nogil:
    access_close(&s.access)
    run_close(&s.run)

cdef inline bint select_goes_on(const select_t* s, const place_t* at) noexcept nogil:
    return not at.over and s.left > 0 and (s.out == NULL or s.out.buf.len < s.pause)

cdef inline int select_fail(select_t* s, int status) noexcept nogil:
    s.status = status
    return V_FAIL

cdef inline int select_value(select_t* s, const uint64_t* row) noexcept nogil:
    """Run the program on a row; the result stands in run.cell and run.base, whatever it is. A run_result_t."""
    cdef int r = select_look(s, row)
    if r == R_ROW:
        s.run.cell = row_as_cell(row)
        s.run.base = <const char*>row
    elif r == R_TRUE:
        s.run.cell = cell_atom(ATOM_TRUE)
        s.run.base = NULL
    return r

cdef int visit_collect(void* ctx, const uint64_t* row, buf_t* out) noexcept nogil:
    cdef select_t* s = <select_t*>ctx
    cdef int r = select_value(s, row)
    cdef int st
    if r == R_NO:
        return V_NEXT
    if r == R_NO_MEMORY:
        return select_fail(s, ST_NO_MEMORY)
    st = results_add(s.out, s.run.cell, s.run.base)
    if st != ST_OK:
        return select_fail(s, st)
    s.count += 1
    s.left -= 1
    return V_STOP if s.left == 0 or s.out.buf.len >= s.hold_end else V_NEXT

cdef int visit_count(void* ctx, const uint64_t* row, buf_t* out) noexcept nogil:
    cdef select_t* s = <select_t*>ctx
    cdef int r = select_look(s, row)
    if r == R_TRUE:
        s.count += 1
    elif r == R_NO_MEMORY:
        return select_fail(s, ST_NO_MEMORY)
    return V_NEXT

cdef int visit_count_all(void* ctx, const uint64_t* row, buf_t* out) noexcept nogil:
    cdef select_t* s = <select_t*>ctx
    cdef int r = select_look(s, row)
    if r == R_NO_MEMORY:
        return select_fail(s, ST_NO_MEMORY)
    s.count += r != R_NO
    return V_NEXT

cdef int visit_delete(void* ctx, const uint64_t* row, buf_t* out) noexcept nogil:
    cdef select_t* s = <select_t*>ctx
    cdef int r = select_look(s, row)
    if r == R_NO_MEMORY:
        return select_fail(s, ST_NO_MEMORY)
    if r == R_TRUE or (r != R_NO and s.action == ACT_DELETE_ALL):
        s.count += 1
        return V_ERASE
    return V_NEXT

cdef int visit_replace(void* ctx, const uint64_t* row, buf_t* out) noexcept nogil:
    """The spec has been looked at: its results are rows with the row's key (program_keeps_key)."""
    cdef select_t* s = <select_t*>ctx
    cdef const uint64_t* body
    cdef size_t keypos = s.table.keypos
    cdef size_t words
    cdef int r = select_value(s, row)
    if r == R_NO:
        return V_NEXT
    if r == R_NO_MEMORY:
        return select_fail(s, ST_NO_MEMORY)
    s.count += 1
    if r == R_ROW:
        return V_NEXT
    if (s.run.cell & 0xFF) != LOW_TUPLE or cell_length(s.run.cell) <= keypos:
        return select_fail(s, ST_SPEC)
    body = <const uint64_t*>cell_at(s.run.cell, s.run.base)
    if not term_equal(body[1 + keypos], <const char*>body, row[1 + keypos], <const char*>row):
        return select_fail(s, ST_SPEC)
    words = header_words(body[0])
    if buf_append(out, body, words * 8) != ST_OK:
        return select_fail(s, ST_NO_MEMORY)
    (<uint64_t*>out.data)[0] = (body[0] & ~(EXTENT_MASK | ROW_EXPIRES | ROW_STAMP)) | words
    return V_REPLACE

cdef visit_t select_visit(const select_t* s) noexcept nogil:
    if s.action == ACT_COLLECT:
        return visit_collect
    if s.action == ACT_COUNT:
        return visit_count
    if s.action == ACT_COUNT_ALL:
        return visit_count_all
    if s.action == ACT_REPLACE:
        return visit_replace
    if s.action == ACT_FOLD:
        return visit_fold
    return visit_delete


# ---- access paths

cdef int place_at(place_t* at, const val_t* key) noexcept nogil:
    """Behind all rows of this key."""
    cdef buf_t copy
    cdef size_t start = 0
    cdef int st
    buf_init(&copy, NULL, 0)
    st = row_begin(&copy, 1, &start)
    if st == ST_OK:
        st = row_add_term(&copy, start, 0, key.c, key.base)
    if st == ST_OK:
        st = row_end(&copy, start)
    if st != ST_OK:
        buf_free(&copy)
        return st
    buf_free(&at.key)
    at.key = copy
    at.seen = -1
    return ST_OK

cdef size_t keys_resume(const select_t* s, const place_t* at) noexcept nogil:
    """At which of the keys, counted in the direction of the walk, to go on."""
    cdef const uint64_t* row = <const uint64_t*>at.key.data
    cdef const val_t* key
    cdef size_t i = 0
    cdef int order
    if at.key.len == 0:
        return 0
    while i < s.access.n:
        key = &s.access.keys[s.access.n - 1 - i if s.backwards else i]
        order = compare_as(row[1], <const char*>row, key.c, key.base, not s.table.methods.ordered)
        if s.backwards:
            order = -order
        if order < 0 or (order == 0 and at.seen >= 0):
            break
        i += 1
    return i

cdef int span_of_key(const val_t* key, buf_t* form, span_t* span, bint backwards) noexcept nogil:
    cdef int st
    form.len = 0
    st = term_order_key(key.c, key.base, form, False)
    if st == ST_OK:
        st = buf_reserve(form, 8)
    if st != ST_OK:
        return st
    memset(form.data + form.len, 0, 8)
    span.low = span.high = form.data
    span.low_len = span.high_len = form.len
    span.low_open = span.high_open = False
    span.backwards = backwards
    return ST_OK

cdef int select_key(select_t* s, const val_t* key, place_t* at, buf_t* form) noexcept nogil:
    """Visit the rows of one key, those behind `at`, until at.over, or the limit."""
    cdef span_t span
    cdef probe_t p
    cdef int st = ST_OK
    if s.table.methods.ordered:
        st = span_of_key(key, form, &span, s.backwards)
    else:
        probe_term(&p, key.c, key.base)
    while st == ST_OK and select_goes_on(s, at):
        if s.out != NULL:
            s.hold_end = s.out.buf.len + RESULT_BYTES
        if s.table.methods.ordered:
            st = s.table.methods.scan(s.table, &span, at, 2, select_visit(s), s)
            at.over |= s.left == 0          # there is one row at most
        else:
            st = hash_scan_key(s.table, &p, at, knob_select_rows, select_visit(s), s)
    return st

cdef inline bint place_within(const place_t* at, const val_t* key) noexcept nogil:
    """Does it stand among the rows of this key?"""
    cdef const uint64_t* row = <const uint64_t*>at.key.data
    return at.seen >= 0 and term_equal(row[1], <const char*>row, key.c, key.base)

cdef int select_keys(select_t* s, place_t* at) noexcept nogil:
    """One key after the other, in term order, or backwards."""
    cdef size_t i = keys_resume(s, at)
    cdef const val_t* key
    cdef buf_t form
    cdef int st = ST_OK
    buf_init(&form, NULL, 0)
    while st == ST_OK and i < s.access.n and select_goes_on(s, at):
        key = &s.access.keys[s.access.n - 1 - i if s.backwards else i]
        if at.key.len > 0 and not place_within(at, key):
            at.key.len = 0                  # it stands behind another key
        st = select_key(s, key, at, &form)
        if st == ST_STOP and at.key.len == 0 and i > 0:
            place_at(at, &s.access.keys[s.access.n - i if s.backwards else i - 1])
        if st == ST_OK and at.over:
            i += 1
            at.over = False
            st = place_at(at, key)
    if st == ST_OK:
        at.over = i == s.access.n
    buf_free(&form)
    return st

cdef void access_span(const access_t* a, bint backwards, span_t* span) noexcept nogil:
    memset(span, 0, sizeof(span_t))
    span.backwards = backwards
    if a.kind != ACCESS_SPAN:
        return
    if a.has_low:
        span.low = a.low.data
        span.low_len = a.low.len
        span.low_open = a.low_open
    if a.has_high:
        span.high = a.high.data
        span.high_len = a.high.len
        span.high_open = a.high_open

cdef int select_walk(select_t* s, place_t* at) noexcept nogil:
    cdef span_t span
    cdef visit_t visit = select_visit(s)
    cdef int st = ST_OK
    access_span(&s.access, s.backwards, &span)
    while st == ST_OK and select_goes_on(s, at):
        if s.out != NULL:
            s.hold_end = s.out.buf.len + RESULT_BYTES
        st = s.table.methods.scan(s.table, &span, at, knob_select_rows, visit, s)
    return st

cdef int select_step(select_t* s, place_t* at, size_t limit) noexcept nogil:
    """Act on the rows behind `at`, which moves, until there are `limit` results, or s.pause bytes of them, or no more
    rows (at.over)."""
    cdef bint bag = s.table.methods.bag
    cdef int st
    s.left = limit
    if not flag_load(&s.table.alive):
        return ST_GONE
    if at.over:
        return ST_OK
    if s.access.kind == ACCESS_NOTHING:
        at.over = True
        return ST_OK
    if bag:
        counter_add(&s.table.steady, 1)
    if s.access.kind == ACCESS_KEYS:
        st = select_keys(s, at)
    else:
        st = select_walk(s, at)
    if bag:
        counter_add(&s.table.steady, <uint64_t>-1)
    return s.status if st == ST_STOP else st

cdef int select_run(
    table_t* t, const program_t* p, int action, size_t limit, place_t* at, bint backwards, results_t* out,
    uint64_t* count
) noexcept nogil:
    """One step from a place, for who has no more to say. *count: how many rows were results, were counted, deleted or
    replaced."""
    cdef select_t s
    cdef int st = select_open(&s, t, p, action)
    s.backwards = backwards
    s.out = out
    if st == ST_OK:
        st = select_step(&s, at, limit)
    count[0] = s.count
    select_close(&s)
    return st


# ---- a place as a term, for cursors that leave the process

cdef int place_write(const place_t* p, buf_t* out, size_t* at) noexcept nogil:
    """A row (key or nil, has a key, positions seen, hash position as two integers)."""
    cdef const uint64_t* key = <const uint64_t*>p.key.data
    cdef int st = row_begin(out, 5, at)
    if st == ST_OK:
        if p.key.len > 0:
            st = row_add_term(out, at[0], 0, key[1], <const char*>key)
        else:
            st = row_add_term(out, at[0], 0, cell_atom(ATOM_NIL), NULL)
    if st == ST_OK:
        st = row_add_int(out, at[0], 1, p.key.len > 0)
    if st == ST_OK:
        st = row_add_int(out, at[0], 2, p.seen)
    if st == ST_OK:
        st = row_add_int(out, at[0], 3, <int64_t>(p.start >> 32))
    if st == ST_OK:
        st = row_add_int(out, at[0], 4, <int64_t>((p.start << 32) >> 32))
    return row_end(out, at[0]) if st == ST_OK else st

cdef int place_read(place_t* p, const uint64_t* row) noexcept nogil:
    """Open a place from such a row. ST_BADARG if it is none; the place is open either way."""
    cdef size_t i
    cdef val_t key
    place_open(p)
    if row_arity(row) != 5:
        return ST_BADARG
    for i in range(1, 5):
        if not cell_is_int(row[1 + i]):
            return ST_BADARG
    if not 0 <= term_int(row[2]) <= 1 or term_int(row[3]) < -1:
        return ST_BADARG
    if <uint64_t>term_int(row[4]) >> 32 != 0 or <uint64_t>term_int(row[5]) >> 32 != 0:
        return ST_BADARG
    p.start = <uint64_t>term_int(row[4]) << 32 | <uint64_t>term_int(row[5])
    if term_int(row[2]):
        key.c = row[1]
        key.base = <const char*>row
        if place_at(p, &key) != ST_OK:
            return ST_NO_MEMORY
        p.seen = term_int(row[3])
    return ST_OK

include "select_fold.pxi"
