# ETS.CALL: the functions of ETS over arguments and results in Erlang's external term format.
#
# What it is: the functions that work on rows, from bytes to bytes: the list of the arguments becomes one packed term, a
# tuple in it *is* a row (a body can be moved), and results are written from the copies that the engine gives. No Python
# objects, no GIL. What it means is ets-call-contract.md's and ets-semantics.md's.
#
# What it is not: the functions that work on tables as wholes and on processes (new, rename, info, give_away, ...):
# those are Python's, in tsunami_server.commands.ets_call. Match specs stand in
# call_query.pxi. Nor RESP: an error is a line without its dash.
#
#     call_run:   decode -> find the function by name and arity -> table: type, existence, access -> function -> encode
#
# A table's reference names it by its number, under a node of our own; a third word that only this process can know
# tells a reference that we have given out from one that somebody has made up.
#
#     {node tsunami@nohost, creation: random, words: number & 0x3FFFF, number >> 18, check(number)}
#
# What must stay true:
#
# 1. The table argument is judged before all others, and every argument before anything is changed.
# 2. A call that has failed has changed nothing.
# 3. CALL_COLD and CALL_LONG have changed nothing either: the function is Python's, or would run too long for somebody
#    who has others to serve; such a one asks again in a thread of its own, with `patient`.
# 4. A call_t belongs to one thread. Its table is kept from call to call until call_rest, so that a pipeline of calls
#    looks it up once; whatever could rename or delete tables in the same thread comes after a call_rest.

cdef enum:
    CALL_DONE = 0              # c.out holds the result, or c.error the error line
    CALL_COLD = 1              # not a function that is done here
    CALL_LONG = 2              # it would run too long here
    CALL_AGAIN = 300           # a function's status: it would run too long here
    CALL_SLOTS = 256
    CALL_MAX = 80
    CALL_LONG_ARGS = 1 << 18   # bytes of arguments, and rows of a table, from which on a call is not for the loop
    CALL_LONG_ROWS = 2000
    CALL_KEPT = 1 << 20        # buffers up to this size are kept from call to call

cdef uint32_t call_creation = <uint32_t>int.from_bytes(__import__("os").urandom(4), "little") | 1
cdef cell_t call_node = atom_cell("tsunami@nohost")

ctypedef int (*call_fn)(call_t* c) noexcept nogil

cdef struct call_entry_t:
    const char* name
    size_t len
    size_t arity
    int right                  # what it takes to call it; -1: it has no table
    bint walks                 # takes time in proportion to the table
    call_fn run

cdef call_entry_t call_functions[CALL_MAX]
cdef uint32_t call_count = 0
cdef uint8_t call_slots[CALL_SLOTS]


# ---- tables and their references

cdef inline uint32_t call_check(uint64_t number) noexcept nogil:
    return <uint32_t>hash_cell(cell_int(<int64_t>(number ^ <uint64_t>call_creation << 20)))


cdef int call_reference(buf_t* b, uint64_t number, size_t* at) noexcept nogil:
    """A table's reference, as the only cell of a row."""
    cdef size_t ref = 0
    cdef int st = open_body(b, 1, at)
    if st == ST_OK:
        st = open_body(b, 5, &ref)
    if st != ST_OK:
        return st
    set_cell(b, at[0], 0, cell_body(LOW_REF, 5, (ref - at[0]) >> 3))
    set_cell(b, ref, 0, call_node)
    set_cell(b, ref, 1, cell_int(call_creation))
    set_cell(b, ref, 2, cell_int(number & 0x3FFFF))
    set_cell(b, ref, 3, cell_int(number >> 18))
    set_cell(b, ref, 4, cell_int(call_check(number)))
    close_body(b, ref)
    return close_body(b, at[0])


cdef uint64_t call_number(cell_t c, const char* base) noexcept nogil:
    """The number of the table whose reference this is, whether or not it still exists; 0 if it never was one."""
    cdef const cell_t* cells
    cdef uint64_t number
    if cell_is_int(c) or cell_low(c) != LOW_REF or cell_length(c) != 5:
        return 0
    cells = <const cell_t*>(cell_at(c, base) + 8)
    if cells[0] != call_node or cells[1] != cell_int(call_creation):
        return 0
    number = <uint64_t>term_int(cells[3]) << 18 | <uint64_t>term_int(cells[2])
    if not table_id_known(number) or cells[4] != cell_int(call_check(number)):
        return 0
    return number


cdef void call_rest(call_t* c) noexcept nogil:
    """Let the table go: what comes next may rename and delete."""
    if c.table != NULL:
        table_release(c.table)
        c.table = NULL
    c.named = 0


cdef int call_find(call_t* c, cell_t what) noexcept nogil:
    """Look a table up, by name or number. An error line if there is none."""
    cdef size_t n = 0
    cdef const char* text
    cdef uint64_t number
    call_rest(c)
    if cell_low(what) == LOW_ATOM:
        text = atom_text(what, &n)
        c.table = table_find(text, n)
        c.named = what
    else:
        number = call_number(what, c.base)
        if number == 0:
            return call_fail(c, b"BADARG type")
        c.table = table_by_id(number)
        c.named = cell_int(<int64_t>number)
    return ST_OK if c.table != NULL else call_fail(c, b"BADARG id")


cdef int call_table(call_t* c, int right) noexcept nogil:
    """The first argument: a table, which is there, and to which the session may do this."""
    cdef cell_t what = c.cells[0]
    cdef bint kept
    cdef int st
    if not cell_is_int(what) and cell_low(what) == LOW_ATOM:
        kept = c.table != NULL and c.named == what
    elif not cell_is_int(what) and cell_low(what) == LOW_REF:
        kept = c.table != NULL and c.named == cell_int(<int64_t>call_number(what, c.base))
    else:
        return call_fail(c, b"BADARG type")
    if kept and not flag_load(&c.table.alive):
        kept = False
    if not kept:
        st = call_find(c, what)
        if st != ST_OK:
            return st
    st = table_allows(c.table, c.session, right)
    if st == ST_OK:
        return ST_OK
    return call_fail(c, b"BADARG id" if st == ST_GONE else b"BADARG access")


# ---- answers

cdef inline int call_fail(call_t* c, const char* line) noexcept nogil:
    c.error = line
    return ST_STOP


cdef int call_status(call_t* c, int st) noexcept nogil:
    """The error line of a status; ST_OK stays ST_OK."""
    if st == ST_OK:
        return ST_OK
    if st == ST_STOP and c.error != NULL:
        return ST_STOP
    if st == ST_GONE:
        return call_fail(c, b"BADARG id")
    if st == ST_ACCESS:
        return call_fail(c, b"BADARG access")
    if st == ST_ABSENT:
        return call_fail(c, b"BADARG badkey")
    if st == ST_KEYPOS:
        return call_fail(c, b"BADARG keypos")
    if st == ST_POSITION:
        return call_fail(c, b"BADARG position")
    if st == ST_TABLE_TYPE:
        return call_fail(c, b"BADARG table_type")
    if st == ST_DEEP or st == ST_TOO_LARGE:
        return call_fail(c, b"SYSTEM_LIMIT")
    if st == ST_NO_MEMORY:
        return call_fail(c, b"ERR out of memory")
    if st == ST_NO_FORM:
        return call_fail(c, b"ERR the result holds a term that has no form in Erlang's external term format")
    return call_fail(c, b"BADARG")


cdef int call_answer(call_t* c, cell_t cell, const char* base) noexcept nogil:
    c.out.len = 0
    return etf_write(cell, base, &c.out, 0)


cdef inline int call_bool(call_t* c, bint value) noexcept nogil:
    c.out.len = 0
    if value:
        return buf_append(&c.out, b"\x83w\x04true", 7)
    return buf_append(&c.out, b"\x83w\x05false", 8)


cdef inline int call_end(call_t* c) noexcept nogil:
    return call_answer(c, cell_atom(ATOM_END_OF_TABLE), NULL)


cdef inline bint call_is_list(cell_t c) noexcept nogil:
    return not cell_is_int(c) and (cell_low(c) == LOW_LIST or cell_low(c) == LOW_NIL)


cdef inline bint call_is_tuple(cell_t c) noexcept nogil:
    return not cell_is_int(c) and (cell_low(c) == LOW_TUPLE or cell_low(c) == LOW_NO_TUPLE)


cdef inline bint call_is_integer(cell_t c) noexcept nogil:
    return cell_is_int(c) or cell_low(c) == LOW_POSITIVE or cell_low(c) == LOW_NEGATIVE


cdef inline const uint64_t* call_row(cell_t c, const char* base) noexcept nogil:
    """The row that a tuple is; NULL for anything else, and for the empty tuple, which reaches to no key."""
    if cell_is_int(c) or cell_low(c) != LOW_TUPLE:
        return NULL
    return <const uint64_t*>cell_at(c, base)


# ---- rows on their way out: copied under the lock, written behind it

cdef void call_copy(void* ctx, const uint64_t* row) noexcept nogil:
    cdef call_t* c = <call_t*>ctx
    c.found += 1
    if buf_append(&c.rows, row, row_bytes(row)) != ST_OK:
        c.failed = True


cdef void call_copy_first(void* ctx, const uint64_t* row) noexcept nogil:
    if (<call_t*>ctx).found == 0:
        call_copy(ctx, row)


cdef inline void call_empty(call_t* c) noexcept nogil:
    c.rows.len = 0
    c.found = 0
    c.failed = False


cdef int call_put_rows(call_t* c) noexcept nogil:
    """Append the rows that were copied as a list."""
    cdef size_t at = 0, i
    cdef const uint64_t* row
    cdef int st
    if c.failed:
        return ST_NO_MEMORY
    if c.found == 0:
        return put_byte(&c.out, T_NIL)
    st = put_head(&c.out, T_LIST, c.found)
    for i in range(c.found):
        if st != ST_OK:
            return st
        row = <const uint64_t*>(c.rows.data + at)
        st = etf_encode(row_as_cell(row), <const char*>row, &c.out, 0)
        at += row_bytes(row)
    return put_byte(&c.out, T_NIL) if st == ST_OK else st


cdef int call_rows(call_t* c) noexcept nogil:
    """Answer them."""
    c.out.len = 0
    cdef int st = put_byte(&c.out, ETF_VERSION)
    return call_put_rows(c) if st == ST_OK else st


cdef inline void call_probe(call_t* c, size_t i, probe_t* key) noexcept nogil:
    probe_term(key, c.cells[i], c.base)


# ---- writing

cdef int call_given_rows(call_t* c, const uint64_t*** rows, size_t* n) noexcept nogil:
    """The second argument as rows: a tuple, or a proper list of tuples, else ST_BADARG. The caller frees."""
    cdef cell_t what = c.cells[1]
    cdef const cell_t* cells = &what
    cdef const char* base = c.base
    cdef size_t i
    n[0] = 1
    if call_is_list(what):
        n[0] = term_cells(what, c.base, &cells, &base)
    rows[0] = <const uint64_t**>malloc((n[0] + 1) * sizeof(void*))
    if rows[0] == NULL:
        return ST_NO_MEMORY
    for i in range(n[0]):
        rows[0][i] = call_row(cells[i], base)
        if rows[0][i] == NULL or row_arity(rows[0][i]) <= c.table.keypos:
            return ST_BADARG
    return ST_OK


cdef int call_insert(call_t* c) noexcept nogil:
    cdef const uint64_t** rows = NULL
    cdef const uint64_t* row = call_row(c.cells[1], c.base)
    cdef size_t n = 0
    cdef int st
    if row != NULL:
        st = table_put(c.table, row, 0)
    else:
        st = call_given_rows(c, &rows, &n)
        if st == ST_OK and n:
            st = table_put_many(c.table, rows, n, False)
        free(rows)
    return call_bool(c, True) if st == ST_OK else st


cdef int call_insert_new(call_t* c) noexcept nogil:
    cdef const uint64_t** rows = NULL
    cdef size_t n = 0
    cdef int st = call_given_rows(c, &rows, &n)
    if st == ST_OK and n:
        st = table_put_many(c.table, rows, n, True)
    free(rows)
    if st != ST_OK and st != ST_EXISTS:
        return st
    return call_bool(c, st == ST_OK)


cdef int call_delete(call_t* c) noexcept nogil:
    cdef probe_t key
    cdef int st
    call_probe(c, 1, &key)
    st = table_erase(c.table, &key, NULL, NULL)
    return call_bool(c, True) if st == ST_OK or st == ST_ABSENT else st


cdef int call_delete_object(call_t* c) noexcept nogil:
    cdef const uint64_t* row = call_row(c.cells[1], c.base)
    cdef int st
    if row == NULL or row_arity(row) <= c.table.keypos:
        return ST_BADARG
    st = c.table.methods.erase(c.table, row)
    return call_bool(c, True) if st == ST_OK or st == ST_ABSENT else st


cdef int call_delete_all_objects(call_t* c) noexcept nogil:
    cdef int st = table_clear(c.table)
    return call_bool(c, True) if st == ST_OK else st


cdef int call_take(call_t* c) noexcept nogil:
    """A row that cannot be told is not lost: it goes back, unless its key has come back meanwhile."""
    cdef const uint64_t** rows
    cdef probe_t key
    cdef size_t at = 0, i
    cdef int st
    call_empty(c)
    call_probe(c, 1, &key)
    st = table_erase(c.table, &key, call_copy, c)
    if st != ST_OK and st != ST_ABSENT:
        return st
    st = call_rows(c)
    if st == ST_OK or c.failed:
        return st
    rows = <const uint64_t**>malloc((c.found + 1) * sizeof(void*))
    if rows != NULL:
        for i in range(c.found):
            rows[i] = <const uint64_t*>(c.rows.data + at)
            at += row_bytes(rows[i])
        table_put_many(c.table, rows, c.found, True)
        free(rows)
    return st


# ---- update_counter, update_element

cdef inline int64_t call_position(cell_t c) noexcept nogil:
    """A position from 1 on as one from 0 on; negative where no row can have it. `c` is an integer."""
    return term_int(c) - 1 if cell_is_int(c) else -1


cdef int call_step(call_t* c, cell_t what, const char* base, step_t* s, buf_t* args) noexcept nogil:
    """Read one step of update_counter. What is none gets a status: its error comes only when its turn has come."""
    cdef const cell_t* cells = NULL
    cdef const char* inner = NULL
    cdef size_t n, i, at = 0
    cdef int st
    s.status = ST_BADARG
    s.bounded = False
    s.at = 0
    if not call_is_tuple(what):
        return ST_OK
    n = term_cells(what, base, &cells, &inner)
    if n != 2 and n != 4:
        return ST_OK
    for i in range(n):
        if not call_is_integer(cells[i]):
            return ST_OK
    s.pos = call_position(cells[0])
    s.bounded = n == 4
    st = row_begin(args, n - 1, &at)
    for i in range(1, n):
        if st == ST_OK:
            st = row_add_term(args, at, i - 1, cells[i], inner)
    if st == ST_OK:
        st = row_end(args, at)
    s.args = at
    s.status = ST_OK
    return st


cdef int call_short_step(call_t* c, cell_t what, step_t* s, buf_t* args) noexcept nogil:
    """An increment for the element behind the key."""
    cdef size_t at = 0
    cdef int st = row_begin(args, 1, &at)
    if st == ST_OK:
        st = row_add_term(args, at, 0, what, c.base)
    if st == ST_OK:
        st = row_end(args, at)
    s.status = ST_OK
    s.bounded = False
    s.at = 0
    s.args = at
    s.pos = <int64_t>c.table.keypos + 1
    return st


cdef int call_default(call_t* c, size_t i, bint* has, const uint64_t** initial) noexcept nogil:
    """The default row, if the call has one."""
    has[0] = c.n > i
    initial[0] = NULL
    if not has[0]:
        return ST_OK
    if not call_is_tuple(c.cells[i]):
        return ST_BADARG
    initial[0] = call_row(c.cells[i], c.base)
    if initial[0] != NULL and row_arity(initial[0]) <= c.table.keypos:
        initial[0] = NULL
    return ST_OK


cdef int call_put_values(call_t* c, const step_t* steps, size_t n, bint single) noexcept nogil:
    cdef size_t i
    cdef int st
    c.out.len = 0
    st = put_byte(&c.out, ETF_VERSION)
    if st == ST_OK and single:
        return etf_encode(steps[0].value, step_base(&steps[0]), &c.out, 0)
    if st == ST_OK and n:
        st = put_head(&c.out, T_LIST, n)
    for i in range(n):
        if st == ST_OK:
            st = etf_encode(steps[i].value, step_base(&steps[i]), &c.out, 0)
    return put_byte(&c.out, T_NIL) if st == ST_OK else st


cdef int call_update_counter(call_t* c) noexcept nogil:
    cdef counter_t e
    cdef probe_t key
    cdef step_t one
    cdef step_t* steps = &one
    cdef buf_t args
    cdef uint64_t[16] home
    cdef cell_t what = c.cells[2]
    cdef const cell_t* cells = &what
    cdef const char* base = c.base
    cdef size_t n = 1, bad = 0, i
    cdef int64_t sum = 0
    cdef bint single = cell_is_int(what) or not (call_is_list(what) or cell_low(what) == LOW_IMPROPER)
    cdef int st
    st = call_default(c, 3, &e.has_default, &e.initial)
    if st != ST_OK:
        return st
    if c.table.methods.bag:
        return ST_TABLE_TYPE
    call_probe(c, 1, &key)
    if cell_is_int(what) and c.n == 3:
        st = c.table.methods.bump(c.table, &key, c.table.keypos + 1, term_int(what), &sum)
        if st == ST_OK:
            return call_answer(c, cell_int(sum), NULL)
        if st == ST_GONE:
            return st
    buf_init(&args, <char*>home, sizeof(home))
    buf_init(&e.culprit, NULL, 0)
    if not single:
        n = term_cells(what, c.base, &cells, &base)             # the tail of an improper one is no step, and the last
        steps = <step_t*>calloc(n + 1, sizeof(step_t))
        if steps == NULL:
            return ST_NO_MEMORY
    st = ST_OK
    for i in range(n):
        buf_init(&steps[i].body, NULL, 0)
        if st == ST_OK:
            if single and call_is_integer(what):
                st = call_short_step(c, what, &steps[i], &args)
            else:
                st = call_step(c, cells[i], base, &steps[i], &args)
    if not single and cell_low(what) == LOW_IMPROPER:
        steps[n - 1].status = ST_BADARG
    if st == ST_OK:
        e.table = c.table
        e.key = &key
        e.steps = steps
        e.n = n
        e.args = args.data
        e.error = ST_OK
        e.bad = 0
        st = c.table.methods.update(c.table, &key, counter_edit, &e)
        if st == ST_STOP:
            st = e.error
    if st == ST_OK:
        st = call_put_values(c, steps, n, single)
    for i in range(n):
        buf_free(&steps[i].body)
    if steps != &one:
        free(steps)
    buf_free(&args)
    buf_free(&e.culprit)
    return st


cdef int call_pairs(
    cell_t what, const char* base, element_t* e, buf_t* values, size_t* at
) noexcept nogil:
    """Read what update_element is to do: positions and statuses, and the values as one row."""
    cdef const cell_t* cells = &what
    cdef const char* inner = base
    cdef const cell_t* pair = NULL
    cdef const char* pair_base = NULL
    cdef bint improper = not cell_is_int(what) and cell_low(what) == LOW_IMPROPER
    cdef size_t n = 1, i
    cdef int st = ST_OK
    if improper or call_is_list(what):
        n = term_cells(what, base, &cells, &inner)
    e.n = n
    e.positions = <int64_t*>calloc(n + 1, sizeof(int64_t))
    e.statuses = <int*>calloc(n + 1, sizeof(int))
    if e.positions == NULL or e.statuses == NULL:
        return ST_NO_MEMORY
    if n:
        st = row_begin(values, n, at)
    for i in range(n):
        if st != ST_OK:
            return st
        e.statuses[i] = ST_BADARG
        if not call_is_tuple(cells[i]) or (improper and i == n - 1):
            continue
        if term_cells(cells[i], inner, &pair, &pair_base) != 2 or not call_is_integer(pair[0]):
            continue
        e.statuses[i] = ST_OK
        e.positions[i] = call_position(pair[0])
        st = row_add_term(values, at[0], i, pair[1], pair_base)
    if n and st == ST_OK:
        st = row_end(values, at[0])
    return st


cdef int call_update_element(call_t* c) noexcept nogil:
    cdef element_t e
    cdef probe_t key
    cdef buf_t values
    cdef uint64_t[32] home
    cdef size_t at = 0
    cdef int st
    st = call_default(c, 3, &e.has_default, &e.initial)
    if st != ST_OK:
        return st
    if c.table.methods.bag:
        return ST_BADARG
    call_probe(c, 1, &key)
    buf_init(&values, <char*>home, sizeof(home))
    e.positions = NULL
    e.statuses = NULL
    e.table = c.table
    e.key = &key
    e.error = ST_OK
    e.bad = 0
    st = call_pairs(c.cells[2], c.base, &e, &values, &at)
    if st == ST_OK:
        e.values = <const uint64_t*>(values.data + at)
        st = c.table.methods.update(c.table, &key, element_edit, &e)
        if st == ST_STOP:
            st = e.error
    free(e.positions)
    free(e.statuses)
    buf_free(&values)
    if st == ST_ABSENT:
        return call_bool(c, False)
    return call_bool(c, True) if st == ST_OK else st


# ---- reading

cdef int call_lookup(call_t* c) noexcept nogil:
    cdef probe_t key
    cdef int st
    call_empty(c)
    call_probe(c, 1, &key)
    st = table_get(c.table, &key, call_copy, c)
    return call_rows(c) if st == ST_OK or st == ST_ABSENT else st


cdef int call_member(call_t* c) noexcept nogil:
    cdef probe_t key
    cdef int st
    call_probe(c, 1, &key)
    st = table_member(c.table, &key)
    if st != ST_OK and st != ST_ABSENT:
        return st
    return call_bool(c, st == ST_OK)


cdef int call_lookup_element(call_t* c) noexcept nogil:
    """The element, of a bag the list of the elements of all rows; with a default too."""
    cdef cell_t where = c.cells[2]
    cdef const uint64_t* row
    cdef probe_t key
    cdef size_t at = 0, i, pos
    cdef int st
    if not call_is_integer(where) or (term_int(where) < 1 if cell_is_int(where) else cell_low(where) == LOW_NEGATIVE):
        return ST_BADARG
    pos = <size_t>(term_int(where) - 1) if cell_is_int(where) else <size_t>INT64_MAX
    call_empty(c)
    call_probe(c, 1, &key)
    st = table_get(c.table, &key, call_copy, c)
    if st == ST_ABSENT and c.n == 4:
        return call_answer(c, c.cells[3], c.base)
    if st != ST_OK or c.failed:
        return ST_NO_MEMORY if c.failed else st
    c.out.len = 0
    st = put_byte(&c.out, ETF_VERSION)
    if st == ST_OK and c.table.methods.bag:
        st = put_head(&c.out, T_LIST, c.found)
    for i in range(c.found):
        row = <const uint64_t*>(c.rows.data + at)
        if st == ST_OK and pos >= row_arity(row):
            st = ST_BADARG
        if st == ST_OK:
            st = etf_encode(row_cell(row, pos), <const char*>row, &c.out, 0)
        at += row_bytes(row)
    if st == ST_OK and c.table.methods.bag:
        st = put_byte(&c.out, T_NIL)
    return st


cdef int call_walk(call_t* c, bint bounded, int dir, bint with_rows) noexcept nogil:
    """first, last, next and prev, and their _lookups."""
    cdef probe_t key
    cdef const uint64_t* row
    cdef int st
    call_empty(c)
    if bounded:
        call_probe(c, 1, &key)
        if c.table.methods.ordered and c.cells[1] == cell_atom(ATOM_END_OF_TABLE):
            return ST_BADARG
    st = c.table.methods.seek(
        c.table, &key if bounded else NULL, dir, call_copy if with_rows else call_copy_first, c)
    if st == ST_ABSENT:
        return call_end(c)
    if st != ST_OK or c.failed:
        return ST_NO_MEMORY if c.failed else st
    row = <const uint64_t*>c.rows.data
    if not with_rows:
        return call_answer(c, row_cell(row, c.table.keypos), <const char*>row)
    c.out.len = 0
    st = buf_append(&c.out, b"\x83h\x02", 3)
    if st == ST_OK:
        st = etf_encode(row_cell(row, c.table.keypos), <const char*>row, &c.out, 0)
    return call_put_rows(c) if st == ST_OK else st


cdef int call_first(call_t* c) noexcept nogil:
    return call_walk(c, False, 1, False)


cdef int call_last(call_t* c) noexcept nogil:
    return call_walk(c, False, 0, False)


cdef int call_next(call_t* c) noexcept nogil:
    return call_walk(c, True, 1, False)


cdef int call_prev(call_t* c) noexcept nogil:
    return call_walk(c, True, 0, False)


cdef int call_first_lookup(call_t* c) noexcept nogil:
    return call_walk(c, False, 1, True)


cdef int call_last_lookup(call_t* c) noexcept nogil:
    return call_walk(c, False, 0, True)


cdef int call_next_lookup(call_t* c) noexcept nogil:
    return call_walk(c, True, 1, True)


cdef int call_prev_lookup(call_t* c) noexcept nogil:
    return call_walk(c, True, 0, True)


cdef int call_slot(call_t* c) noexcept nogil:
    cdef int st
    if not cell_is_int(c.cells[1]) or term_int(c.cells[1]) < 0:
        return ST_BADARG
    call_empty(c)
    st = c.table.methods.slot(c.table, <uint64_t>term_int(c.cells[1]), call_copy, c)
    if st == ST_ABSENT:
        return call_end(c)
    return call_rows(c) if st == ST_OK else st


cdef int call_see(void* ctx, const uint64_t* row, buf_t* out) noexcept nogil:
    """tab2list's visit."""
    call_copy(ctx, row)
    return V_STOP if (<call_t*>ctx).failed else V_NEXT


cdef int call_tab2list(call_t* c) noexcept nogil:
    """The rows of one piece after the other are written as they come; how many they were is written at the end."""
    cdef place_t at
    cdef uint64_t cursor = 0
    cdef size_t n = 0, i, where
    cdef const uint64_t* row
    cdef bint over = False
    cdef int st = ST_OK
    c.out.len = 0
    if buf_append(&c.out, b"\x83l\0\0\0\0", 6) != ST_OK:
        return ST_NO_MEMORY
    place_open(&at)
    while st == ST_OK and not over:
        call_empty(c)
        if c.table.methods.ordered:
            st = c.table.methods.scan(c.table, NULL, &at, knob_scan_rows, call_see, c)
            over = at.over
        else:
            st = c.table.methods.sweep(c.table, &cursor, 0, knob_scan_rows, call_copy, c)
            over = cursor == 0
        where = 0
        for i in range(c.found):
            row = <const uint64_t*>(c.rows.data + where)
            if st == ST_OK:
                st = etf_encode(row_as_cell(row), <const char*>row, &c.out, 0)
            where += row_bytes(row)
        n += c.found
        if st == ST_OK and c.failed:
            st = ST_NO_MEMORY
    place_close(&at)
    if st == ST_OK and n >> 32:
        st = ST_TOO_LARGE
    if st != ST_OK:
        return st
    if n == 0:
        c.out.len = 1
    else:
        etf_put32(c.out.data + 2, <uint32_t>n)
    return put_byte(&c.out, T_NIL)


# ---- functions by name and arity

cdef inline uint32_t call_hash(const char* name, size_t n, size_t arity) noexcept nogil:
    """Of names that are few and ours."""
    cdef uint32_t h = 2166136261u
    cdef size_t i
    for i in range(n):
        h = (h ^ <uint8_t>name[i]) * 16777619
    return ((h ^ (<uint32_t>arity + 1) * 40503) >> 7) & (CALL_SLOTS - 1)


cdef call_entry_t* call_function(const char* name, size_t n, size_t arity) noexcept nogil:
    cdef uint32_t at = call_hash(name, n, arity)
    cdef call_entry_t* f
    while call_slots[at]:
        f = &call_functions[call_slots[at] - 1]
        if f.len == n and f.arity == arity and memcmp(f.name, name, n) == 0:
            return f
        at = (at + 1) & (CALL_SLOTS - 1)
    return NULL


cdef int call_add(const char* name, size_t arity, int right, call_fn run, bint walks) except -1:
    """Enter a function; once for each, when the module is made."""
    global call_count
    cdef call_entry_t* f = &call_functions[call_count]
    cdef uint32_t at
    if call_count == CALL_MAX:
        raise SystemError("CALL_MAX is too small")
    f.name = name
    f.len = 0
    while name[f.len]:
        f.len += 1
    f.arity = arity
    f.right = right
    f.walks = walks
    f.run = run
    at = call_hash(name, f.len, arity)
    while call_slots[at]:
        at = (at + 1) & (CALL_SLOTS - 1)
    call_count += 1
    call_slots[at] = <uint8_t>call_count
    return 0


# ---- one call

cdef void call_open(call_t* c) noexcept nogil:
    memset(c, 0, sizeof(call_t))
    buf_init(&c.args, NULL, 0)
    buf_init(&c.rows, NULL, 0)
    buf_init(&c.out, NULL, 0)


cdef void call_close(call_t* c) noexcept nogil:
    call_rest(c)
    buf_free(&c.args)
    buf_free(&c.rows)
    buf_free(&c.out)


cdef inline void call_trim(buf_t* b) noexcept nogil:
    if b.cap > CALL_KEPT:
        buf_free(b)
    b.len = 0


cdef int call_decode(call_t* c, const char* args, size_t n) noexcept nogil:
    """The list of the arguments, decoded. ST_BADARG if it is none."""
    cdef size_t at = 0
    cdef cell_t list
    cdef int st
    c.args.len = 0
    st = etf_read(args, n, &c.args, &at, 0)
    if st != ST_OK:
        return st
    list = row_cell(<const uint64_t*>(c.args.data + at), 0)
    if not call_is_list(list):
        return ST_BADARG
    c.n = term_cells(list, c.args.data + at, &c.cells, &c.base)
    return ST_OK


cdef int call_run(call_t* c, const char* name, size_t name_len, const char* args, size_t args_len) noexcept nogil:
    """Carry out one call. CALL_DONE, CALL_COLD, or, unless the caller is patient, CALL_LONG."""
    cdef call_entry_t* f
    cdef int st
    c.error = NULL
    call_trim(&c.args)
    call_trim(&c.rows)
    call_trim(&c.out)
    if not c.patient and args_len > CALL_LONG_ARGS:
        return CALL_LONG
    st = call_decode(c, args, args_len)
    if st == ST_COMPRESSED:
        return CALL_COLD
    if st != ST_OK:
        if st == ST_BADARG:
            call_fail(c, b"ERR the arguments are no list in Erlang's external term format")
        else:
            call_status(c, st)
        return CALL_DONE
    f = call_function(name, name_len, c.n)
    if f == NULL:
        return CALL_COLD
    if f.right >= 0:
        if call_table(c, f.right) != ST_OK:
            return CALL_DONE
        if f.walks and not c.patient and table_len(c.table) > CALL_LONG_ROWS:
            return CALL_LONG
    st = f.run(c)
    if st == CALL_AGAIN:
        return CALL_LONG
    call_status(c, st)
    return CALL_DONE


call_add(b"delete", 2, RIGHT_WRITE, call_delete, False)
call_add(b"delete_all_objects", 1, RIGHT_WRITE, call_delete_all_objects, True)
call_add(b"delete_object", 2, RIGHT_WRITE, call_delete_object, False)
call_add(b"first", 1, RIGHT_READ, call_first, False)
call_add(b"first_lookup", 1, RIGHT_READ, call_first_lookup, False)
call_add(b"insert", 2, RIGHT_WRITE, call_insert, False)
call_add(b"insert_new", 2, RIGHT_WRITE, call_insert_new, False)
call_add(b"last", 1, RIGHT_READ, call_last, False)
call_add(b"last_lookup", 1, RIGHT_READ, call_last_lookup, False)
call_add(b"lookup", 2, RIGHT_READ, call_lookup, False)
call_add(b"lookup_element", 3, RIGHT_READ, call_lookup_element, False)
call_add(b"lookup_element", 4, RIGHT_READ, call_lookup_element, False)
call_add(b"member", 2, RIGHT_READ, call_member, False)
call_add(b"next", 2, RIGHT_READ, call_next, False)
call_add(b"next_lookup", 2, RIGHT_READ, call_next_lookup, False)
call_add(b"prev", 2, RIGHT_READ, call_prev, False)
call_add(b"prev_lookup", 2, RIGHT_READ, call_prev_lookup, False)
call_add(b"slot", 2, RIGHT_READ, call_slot, False)
call_add(b"tab2list", 1, RIGHT_READ, call_tab2list, True)
call_add(b"take", 2, RIGHT_WRITE, call_take, False)
call_add(b"update_counter", 3, RIGHT_WRITE, call_update_counter, False)
call_add(b"update_counter", 4, RIGHT_WRITE, call_update_counter, False)
call_add(b"update_element", 3, RIGHT_WRITE, call_update_element, False)
call_add(b"update_element", 4, RIGHT_WRITE, call_update_element, False)


include "call_query.pxi"

call_add_queries()


# ---- what Python sees

def call(str function, bytes arguments, uint64_t session, Packed identity, bint patient, /):
    """Carry out one of the functions that are done here, as this session; the GIL is free meanwhile.

    Gives (True, result in the external term format), (False, the error line), None if the function with that many
    arguments is not one of them, or, unless patient, False if it would take long: nothing has happened then.
    """
    cdef call_t c
    cdef bytes name = function.encode()
    cdef const char* p = name
    cdef const char* args
    cdef size_t name_len = len(name), args_len
    cdef int st
    if arguments[:2] == b"\x83P":
        try:
            arguments = etf_inflated(arguments)
        except BadArgument:
            return False, "ERR the arguments are no list in Erlang's external term format"
    args = arguments
    args_len = len(arguments)
    call_open(&c)
    c.session = session
    c.patient = patient
    try:
        if identity is not None:
            c.self_row = packed_row(identity)
        with nogil:
            st = call_run(&c, p, name_len, args, args_len)
        if st != CALL_DONE:
            return None if st == CALL_COLD else False
        if c.error != NULL:
            return False, (<bytes>c.error).decode()
        return True, PyBytes_FromStringAndSize(c.out.data, c.out.len)
    finally:
        call_close(&c)


def call_arguments(bytes data not None, /):
    """The list of a call's arguments, for a function of Python's. None if the bytes are no list.

    Lists and tuples are opened three levels deep, with the list of the arguments; what lies deeper, and maps, which a
    dict would not always hold, come as Packed.
    """
    cdef packed_t packed
    cdef const uint64_t* row
    if data[:2] == b"\x83P":
        try:
            data = etf_inflated(data)
        except BadArgument:
            return None
    buf_init(&packed.buffer, packed.home, sizeof(packed.home))
    try:
        if etf_read(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &packed.buffer, &packed.at, 0) != ST_OK:
            return None
        row = <const uint64_t*>(packed.buffer.data + packed.at)
        given = shallow_term(row_cell(row, 0), <const char*>row, 3)
        return given if isinstance(given, list) else None
    finally:
        buf_free(&packed.buffer)


cdef object shallow_term(cell_t c, const char* base, int levels):
    """A term, its containers opened so many levels deep."""
    cdef const cell_t* cells = NULL
    cdef const char* inner = NULL
    cdef size_t n, i
    cdef int low = cell_low(c)
    if not cell_is_box(c) or low == LOW_PID or low == LOW_REF or low == LOW_PORT:
        return decode_cell(c, base, NULL)
    if levels == 0 or (low != LOW_TUPLE and low != LOW_LIST):
        return packed_of(c, base)
    n = term_cells(c, base, &cells, &inner)
    parts = [shallow_term(cells[i], inner, levels - 1) for i in range(n)]
    return parts if low == LOW_LIST else tuple(parts)


def table_reference(Table table not None, /):
    """The reference by which Erlang knows a table."""
    cdef packed_t packed
    cdef const uint64_t* row
    buf_init(&packed.buffer, packed.home, sizeof(packed.home))
    try:
        if call_reference(&packed.buffer, table.t.id, &packed.at) != ST_OK:
            raise MemoryError
        row = <const uint64_t*>(packed.buffer.data + packed.at)
        return decode_cell(row_cell(row, 0), <const char*>row, NULL)
    finally:
        buf_free(&packed.buffer)


def reference_number(Reference reference not None, /):
    """The number of the table, be it deleted, whose reference this is; 0 if it is none of ours."""
    cdef packed_t packed
    cdef const uint64_t* row
    buf_init(&packed.buffer, packed.home, sizeof(packed.home))
    try:
        pack_alone(reference, &packed)
        row = <const uint64_t*>(packed.buffer.data + packed.at)
        return call_number(row_cell(row, 0), <const char*>row)
    finally:
        buf_free(&packed.buffer)


def session_pid(Session session, /):
    """Who a session is to Erlang that has not said so: a pid of a node of our own. None is <node.0.0>."""
    cdef uint64_t number = session.number if session is not None else 0
    return Pid.__new__(
        Pid, atom_object(call_node), number & 0x0FFFFFFF, (number >> 28) & 0xFFFFFFFF, call_creation)


def pid_session(Pid pid not None, /):
    """The session that lives and has this session_pid, or None."""
    if pid.node is not atom_object(call_node) or pid.creation != call_creation:
        return None
    return _sessions.get(pid.id | <uint64_t>pid.serial << 28)


def next_transfer(Session session not None, /):
    """What session.receive(0) gives, with the data as it is kept: (table, from, Packed); None if nothing waits."""
    cdef tuple message = None
    with _rights:
        if session.inbox:
            message = session.inbox.popleft()
    if message is None:
        return None
    return message[0], message[1], packed_whole(message[2])


cdef const uint64_t* row_of_packed(object term) except NULL:
    return packed_row(<Packed?>term)
