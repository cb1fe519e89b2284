# ETS.CALL: match specs and patterns. Part of call.pxi's floor.
#
# What it is: select, match and their relatives over packed specs: a spec is compiled, run by select.pxi, and the
# results are written as they come. A compiled match spec and a continuation are terms that hold all there is to know,
# so nothing of them stays in the server:
#
#     compiled       {'$tsunami_match_spec', kind, spec or pattern}
#     continuation   ordered_set   {table, limit, what, place, compiled}
#                    else          {table, {limit, what}, place, compiled}
#     what           1: backwards; 0: not              place   see place_write
#
# What must stay true: whatever of these comes in may have been made up by somebody: each part is looked at before it is
# used, and a compiled spec is compiled again.

cdef cell_t call_compiled = atom_cell("$tsunami_match_spec")

cdef enum:
    CALL_ROUND = 4096          # results that are written at once


# ---- specs

cdef int call_program(call_t* c, cell_t spec, const char* base, int kind, program_t** p) noexcept nogil:
    """Compile; ST_BADARG for a mistake."""
    cdef int st = program_compile(spec, base, kind, p, NULL)
    return ST_BADARG if st == ST_SPEC else st


cdef int call_recompile(call_t* c, cell_t term, const char* base, program_t** p) noexcept nogil:
    """The program of a compiled match spec; ST_BADARG for any other term."""
    cdef const cell_t* cells = NULL
    cdef const char* inner = NULL
    if not call_is_tuple(term) or term_cells(term, base, &cells, &inner) != 3 or cells[0] != call_compiled:
        return ST_BADARG
    if not cell_is_int(cells[1]) or not SPEC <= term_int(cells[1]) <= PATTERN_OBJECT:
        return ST_BADARG
    return call_program(c, cells[2], inner, <int>term_int(cells[1]), p)


cdef int call_put_compiled(buf_t* out, int kind, cell_t spec, const char* base) noexcept nogil:
    cdef int st = buf_append(out, b"h\x03", 2)
    if st == ST_OK:
        st = put_atom(out, call_compiled)
    if st == ST_OK:
        st = put_int(out, kind)
    return etf_encode(spec, base, out, 0) if st == ST_OK else st


cdef void call_runner(call_t* c, run_t* run) noexcept nogil:
    """{self} and {node} are those of the calling connection."""
    cdef cell_t who
    if c.self_row == NULL:
        return
    who = row_cell(c.self_row, 0)
    run.self_pid.c = who
    run.self_pid.base = <const char*>c.self_row
    if cell_is_box(who) and cell_low(who) == LOW_PID:
        run.node.c = (<const cell_t*>(cell_at(who, <const char*>c.self_row) + 8))[0]
        run.node.base = NULL


# ---- results

cdef int call_put_results(call_t* c, results_t* r) noexcept nogil:
    cdef size_t at = 0, i
    cdef const uint64_t* row
    cdef int st = ST_OK
    for i in range(r.n):
        row = <const uint64_t*>(r.buf.data + at)
        if st == ST_OK:
            st = etf_encode(row_cell(row, 0), <const char*>row, &c.out, 0)
        at += row_words(row) * 8
    return st


cdef int call_list_open(call_t* c, const char* before, size_t n, size_t* at) noexcept nogil:
    """Begin a list whose length is not known yet, behind some bytes."""
    c.out.len = 0
    if buf_append(&c.out, before, n) != ST_OK:
        return ST_NO_MEMORY
    at[0] = c.out.len
    return put_head(&c.out, T_LIST, 0)


cdef int call_list_close(call_t* c, size_t at, size_t n) noexcept nogil:
    if n >> 32:
        return ST_TOO_LARGE
    if n == 0:
        c.out.len = at
    else:
        etf_put32(c.out.data + at + 1, <uint32_t>n)
    return put_byte(&c.out, T_NIL)


cdef inline bint call_too_long(call_t* c, const select_t* s) noexcept nogil:
    """Would it go over a large table, and has the caller others to serve?"""
    return (
        not c.patient and s.access.kind != ACCESS_KEYS and s.access.kind != ACCESS_NOTHING
        and table_len(c.table) > CALL_LONG_ROWS)


cdef int call_everything(call_t* c, select_t* s, size_t* n) noexcept nogil:
    """All results, as a list."""
    cdef results_t r
    cdef place_t at
    cdef size_t where = 0
    cdef int st = call_list_open(c, b"\x83", 1, &where)
    n[0] = 0
    place_open(&at)
    results_open(&r, c.table)
    s.out = &r
    while st == ST_OK and not at.over:
        st = select_step(s, &at, CALL_ROUND)
        n[0] += r.n
        if st == ST_OK:
            st = call_put_results(c, &r)
        results_clear(&r)
    results_close(&r)
    place_close(&at)
    return call_list_close(c, where, n[0]) if st == ST_OK else st


cdef int call_put_continuation(
    call_t* c, const place_t* at, size_t limit, bint backwards, const program_t* p
) noexcept nogil:
    cdef buf_t b
    cdef uint64_t[32] home
    cdef size_t where = 0
    cdef const uint64_t* row
    cdef cell_t spec = 0
    cdef const char* base = NULL
    cdef bint ordered = c.table.methods.ordered
    cdef int st
    if at.over:
        return put_atom(&c.out, cell_atom(ATOM_END_OF_TABLE))
    buf_init(&b, <char*>home, sizeof(home))
    st = buf_append(&c.out, b"h\x05" if ordered else b"h\x04", 2)
    if st == ST_OK:
        st = call_reference(&b, c.table.id, &where)
    row = <const uint64_t*>(b.data + where)
    if st == ST_OK:
        st = etf_encode(row_cell(row, 0), <const char*>row, &c.out, 0)
    if st == ST_OK and not ordered:
        st = buf_append(&c.out, b"h\x02", 2)
    if st == ST_OK:
        st = put_int(&c.out, <int64_t>limit)
    if st == ST_OK:
        st = put_int(&c.out, 1 if backwards else 0)
    b.len = 0
    if st == ST_OK:
        st = place_write(at, &b, &where)
    row = <const uint64_t*>(b.data + where)
    if st == ST_OK:
        st = etf_encode(row_as_cell(row), <const char*>row, &c.out, 0)
    program_spec(p, &spec, &base)
    if st == ST_OK:
        st = call_put_compiled(&c.out, p.kind, spec, base)
    buf_free(&b)
    return st


cdef int call_page(call_t* c, select_t* s, place_t* at, size_t limit) noexcept nogil:
    """At most `limit` results behind a place, and what leads to the others."""
    cdef results_t r
    cdef size_t where = 0, n = 0
    cdef int st = call_list_open(c, b"\x83h\x02", 3, &where)
    results_open(&r, c.table)
    s.out = &r
    while st == ST_OK and not at.over and n < limit:
        st = select_step(s, at, limit - n if limit - n < CALL_ROUND else CALL_ROUND)
        n += r.n
        if st == ST_OK:
            st = call_put_results(c, &r)
        results_clear(&r)
    results_close(&r)
    if st == ST_OK and n == 0:
        return call_end(c)
    if st == ST_OK:
        st = call_list_close(c, where, n)
    return call_put_continuation(c, at, limit, s.backwards, s.program) if st == ST_OK else st


# ---- select, match

cdef int call_collect(call_t* c, int kind, bint backwards) noexcept nogil:
    """Results of a spec or pattern, all of them, or with a limit."""
    cdef program_t* p = NULL
    cdef select_t s
    cdef place_t at
    cdef size_t n = 0
    cdef bint paged = c.n == 3
    cdef int st
    if paged and (not cell_is_int(c.cells[2]) or term_int(c.cells[2]) < 1):
        return ST_BADARG
    if kind == SPEC and c.cells[1] == LOW_NIL:
        return call_end(c) if paged else call_answer(c, LOW_NIL, NULL)
    st = call_program(c, c.cells[1], c.base, kind, &p)
    if st != ST_OK:
        return st
    st = select_open(&s, c.table, p, ACT_COLLECT)
    s.backwards = backwards and c.table.methods.ordered
    call_runner(c, &s.run)
    if st == ST_OK and call_too_long(c, &s):
        st = CALL_AGAIN
    if st == ST_OK and not paged:
        st = call_everything(c, &s, &n)
    elif st == ST_OK:
        place_open(&at)
        st = call_page(c, &s, &at, <size_t>term_int(c.cells[2]))
        place_close(&at)
    select_close(&s)
    program_release(p)
    return st


cdef int call_select(call_t* c) noexcept nogil:
    return call_collect(c, SPEC, False)


cdef int call_select_reverse(call_t* c) noexcept nogil:
    return call_collect(c, SPEC, True)


cdef int call_match(call_t* c) noexcept nogil:
    return call_collect(c, PATTERN_BINDINGS, False)


cdef int call_match_object(call_t* c) noexcept nogil:
    return call_collect(c, PATTERN_OBJECT, False)


cdef int call_acting(call_t* c, int kind, int action, uint64_t* count) noexcept nogil:
    """Run an action over the whole table; how many rows it met."""
    cdef program_t* p = NULL
    cdef select_t s
    cdef place_t at
    cdef int st
    count[0] = 0
    if kind == SPEC and c.cells[1] == LOW_NIL:
        return ST_OK
    st = call_program(c, c.cells[1], c.base, kind, &p)
    if st != ST_OK:
        return st
    if action == ACT_REPLACE and not program_keeps_key(p, c.table.keypos):
        program_release(p)
        return ST_BADARG
    st = select_open(&s, c.table, p, action)
    call_runner(c, &s.run)
    if st == ST_OK and call_too_long(c, &s):
        st = CALL_AGAIN
    place_open(&at)
    while st == ST_OK and not at.over:
        st = select_step(&s, &at, <size_t>-1)
    count[0] = s.count
    place_close(&at)
    select_close(&s)
    program_release(p)
    return ST_BADARG if st == ST_SPEC else st


cdef int call_counting(call_t* c, int action) noexcept nogil:
    cdef uint64_t count = 0
    cdef int st = call_acting(c, SPEC, action, &count)
    return call_answer(c, cell_int(<int64_t>count), NULL) if st == ST_OK else st


cdef int call_select_count(call_t* c) noexcept nogil:
    return call_counting(c, ACT_COUNT)


cdef int call_select_delete(call_t* c) noexcept nogil:
    return call_counting(c, ACT_DELETE)


cdef int call_select_replace(call_t* c) noexcept nogil:
    if c.table.methods == &bag_methods:
        return ST_TABLE_TYPE
    return call_counting(c, ACT_REPLACE)


cdef int call_match_delete(call_t* c) noexcept nogil:
    cdef uint64_t count = 0
    cdef int st = call_acting(c, PATTERN_OBJECT, ACT_DELETE_ALL, &count)
    return call_bool(c, True) if st == ST_OK else st


# ---- continuations

cdef int call_go_on(call_t* c) noexcept nogil:
    """select/1 and its like: the continuation knows what it does."""
    cdef cell_t term = c.cells[0]
    cdef const cell_t* cells = NULL
    cdef const cell_t* how = NULL
    cdef const char* base = NULL
    cdef const char* how_base = NULL
    cdef program_t* p = NULL
    cdef const uint64_t* row
    cdef select_t s
    cdef place_t at
    cdef size_t n
    cdef int st
    if term == cell_atom(ATOM_END_OF_TABLE):
        return call_end(c)
    if not call_is_tuple(term):
        return ST_BADARG
    n = term_cells(term, c.base, &cells, &base)
    if n != 4 and n != 5:
        return ST_BADARG
    if n == 5:
        how = cells + 1
    elif not call_is_tuple(cells[1]) or term_cells(cells[1], base, &how, &how_base) != 2:
        return ST_BADARG
    if not cell_is_int(how[0]) or term_int(how[0]) < 1 or (how[1] != cell_int(0) and how[1] != cell_int(1)):
        return ST_BADARG
    row = call_row(cells[n - 2], base)
    if row == NULL or cell_is_int(cells[0]) or cell_low(cells[0]) != LOW_REF:
        return ST_BADARG
    # the table is the continuation's first element: judged like any other table argument
    c.cells = cells
    c.base = base
    st = call_table(c, RIGHT_READ)
    if st != ST_OK:
        return st
    if c.table.methods.ordered != (n == 5):
        return ST_BADARG
    st = call_recompile(c, cells[n - 1], base, &p)
    if st != ST_OK:
        return st
    st = place_read(&at, row)
    if st == ST_OK:
        st = select_open(&s, c.table, p, ACT_COLLECT)
        s.backwards = how[1] == cell_int(1) and c.table.methods.ordered
        call_runner(c, &s.run)
        if st == ST_OK and call_too_long(c, &s):
            st = CALL_AGAIN
        if st == ST_OK:
            st = call_page(c, &s, &at, <size_t>term_int(how[0]))
        select_close(&s)
    place_close(&at)
    program_release(p)
    return st


cdef int call_repair_continuation(call_t* c) noexcept nogil:
    """The continuation with its compiled spec in its place again; unchanged if it is intact."""
    cdef cell_t term = c.cells[0]
    cdef const cell_t* cells = NULL
    cdef const char* base = NULL
    cdef program_t* p = NULL
    cdef size_t n, place, i
    cdef int st
    if term == cell_atom(ATOM_END_OF_TABLE):
        return call_end(c)
    if not call_is_tuple(term):
        return ST_BADARG
    n = term_cells(term, c.base, &cells, &base)
    if n < 4 or n > 255:
        return ST_BADARG
    place = 4 if n >= 5 else 3
    st = call_recompile(c, cells[place], base, &p)
    program_release(p)
    if st == ST_OK:
        return call_answer(c, term, c.base)
    if st != ST_BADARG:
        return st
    p = NULL
    st = call_program(c, c.cells[1], c.base, SPEC, &p)
    program_release(p)
    if st != ST_OK:
        return st
    c.out.len = 0
    st = buf_append(&c.out, b"\x83h", 2)
    if st == ST_OK:
        st = put_byte(&c.out, <int>n)
    for i in range(n):
        if st == ST_OK and i == place:
            st = call_put_compiled(&c.out, SPEC, c.cells[1], c.base)
        elif st == ST_OK:
            st = etf_encode(cells[i], base, &c.out, 0)
    return st


# ---- specs without tables

cdef int call_match_spec_compile(call_t* c) noexcept nogil:
    cdef program_t* p = NULL
    cdef int st = call_program(c, c.cells[0], c.base, SPEC, &p)
    program_release(p)
    if st != ST_OK:
        return st
    c.out.len = 0
    st = put_byte(&c.out, ETF_VERSION)
    return call_put_compiled(&c.out, SPEC, c.cells[0], c.base) if st == ST_OK else st


cdef int call_is_compiled_ms(call_t* c) noexcept nogil:
    cdef program_t* p = NULL
    cdef int st = call_recompile(c, c.cells[0], c.base, &p)
    program_release(p)
    return st if st == ST_NO_MEMORY else call_bool(c, st == ST_OK)


cdef int call_match_spec_run(call_t* c) noexcept nogil:
    """The results for the elements of a list, which need not be rows."""
    cdef program_t* p = NULL
    cdef run_t run
    cdef const cell_t* cells = NULL
    cdef const char* base = NULL
    cdef size_t n, i, found = 0, where = 0
    cdef int result, st
    if not call_is_list(c.cells[0]):
        return ST_BADARG
    st = call_recompile(c, c.cells[1], c.base, &p)
    if st != ST_OK:
        return st
    n = term_cells(c.cells[0], c.base, &cells, &base)
    run_open(&run)
    call_runner(c, &run)
    st = call_list_open(c, b"\x83", 1, &where)
    for i in range(n):
        if st != ST_OK:
            break
        result = program_run(&run, p, cells[i], base)
        if result == R_NO_MEMORY:
            st = ST_NO_MEMORY
        elif result != R_NO:
            found += 1
            st = call_put_result(c, &run, result, cells[i], base)
    run_close(&run)
    program_release(p)
    return call_list_close(c, where, found) if st == ST_OK else st


cdef int call_put_result(call_t* c, const run_t* run, int result, cell_t term, const char* base) noexcept nogil:
    if result == R_TRUE:
        return put_atom(&c.out, cell_atom(ATOM_TRUE))
    if result == R_ROW:
        return etf_encode(term, base, &c.out, 0)
    return etf_encode(run.cell, run.base, &c.out, 0)


cdef int call_put_text(buf_t* out, const char* p, size_t n) noexcept nogil:
    """UTF-8 as the list of its characters."""
    cdef size_t i = 0, k, more
    cdef uint32_t code
    cdef Py_ssize_t points = utf8_code_points(<const unsigned char*>p, n)
    cdef int st
    if points <= 0:
        return put_byte(out, T_NIL)
    st = put_head(out, T_LIST, points)
    while i < n and st == ST_OK:
        code = <unsigned char>p[i]
        more = 0 if code < 0x80 else 1 if code < 0xE0 else 2 if code < 0xF0 else 3
        if more:
            code &= 0x3F >> more
        for k in range(1, more + 1):
            code = code << 6 | (<unsigned char>p[i + k] & 0x3F)
        st = put_int(out, code)
        i += 1 + more
    return put_byte(out, T_NIL) if st == ST_OK else st


cdef int call_put_mistakes(call_t* c, const buf_t* why) noexcept nogil:
    """{error, [{error, Text}, ...]}: a text for each line."""
    cdef size_t at = 0, end, n = 0, where
    cdef int st
    c.out.len = 0
    st = buf_append(&c.out, b"\x83h\x02w\x05error", 10)
    where = c.out.len
    if st == ST_OK:
        st = put_head(&c.out, T_LIST, 0)
    while st == ST_OK and (at < why.len or n == 0):
        end = at
        while end < why.len and why.data[end] != c"\n":
            end += 1
        st = buf_append(&c.out, b"h\x02w\x05error", 9)
        if st == ST_OK and end > at:
            st = call_put_text(&c.out, why.data + at, end - at)
        elif st == ST_OK:
            st = call_put_text(&c.out, b"the match spec has no clause", 28)
        at = end + 1
        n += 1
    return call_list_close(c, where, n) if st == ST_OK else st


cdef int call_try(call_t* c, bint details) noexcept nogil:
    """match_spec_test and test_ms: a spec on one term; mistakes are told, not failed for."""
    cdef program_t* p = NULL
    cdef run_t run
    cdef buf_t why
    cdef int result, st
    buf_init(&why, NULL, 0)
    st = program_compile(c.cells[1], c.base, SPEC, &p, &why)
    if st == ST_SPEC:
        st = call_put_mistakes(c, &why)
    elif st == ST_OK:
        run_open(&run)
        call_runner(c, &run)
        result = program_run(&run, p, c.cells[0], c.base)
        c.out.len = 0
        if result == R_NO_MEMORY:
            st = ST_NO_MEMORY
        else:
            st = buf_append(&c.out, b"\x83h\x04w\x02ok" if details else b"\x83h\x02w\x02ok", 7)
        if st == ST_OK and result == R_NO:
            st = put_atom(&c.out, cell_atom(ATOM_FALSE))
        elif st == ST_OK:
            st = call_put_result(c, &run, result, c.cells[0], c.base)
        if st == ST_OK and details:
            st = buf_append(&c.out, b"jj", 2)
        run_close(&run)
    program_release(p)
    buf_free(&why)
    return st


cdef cell_t call_of_tables = atom_cell("table")


cdef int call_match_spec_test(call_t* c) noexcept nogil:
    return call_try(c, True) if c.cells[2] == call_of_tables else ST_BADARG


cdef int call_test_ms(call_t* c) noexcept nogil:
    return call_try(c, False)


cdef int call_add_queries() except -1:
    for arity in range(2, 4):
        call_add(b"select", arity, RIGHT_READ, call_select, False)
        call_add(b"select_reverse", arity, RIGHT_READ, call_select_reverse, False)
        call_add(b"match", arity, RIGHT_READ, call_match, False)
        call_add(b"match_object", arity, RIGHT_READ, call_match_object, False)
    call_add(b"select", 1, -1, call_go_on, False)
    call_add(b"select_reverse", 1, -1, call_go_on, False)
    call_add(b"match", 1, -1, call_go_on, False)
    call_add(b"match_object", 1, -1, call_go_on, False)
    call_add(b"match_delete", 2, RIGHT_WRITE, call_match_delete, False)
    call_add(b"select_count", 2, RIGHT_READ, call_select_count, False)
    call_add(b"select_delete", 2, RIGHT_WRITE, call_select_delete, False)
    call_add(b"select_replace", 2, RIGHT_WRITE, call_select_replace, False)
    call_add(b"repair_continuation", 2, -1, call_repair_continuation, False)
    call_add(b"match_spec_compile", 1, -1, call_match_spec_compile, False)
    call_add(b"is_compiled_ms", 1, -1, call_is_compiled_ms, False)
    call_add(b"match_spec_run", 2, -1, call_match_spec_run, False)
    call_add(b"match_spec_test", 3, -1, call_match_spec_test, False)
    call_add(b"test_ms", 2, -1, call_test_ms, False)
    return 0
