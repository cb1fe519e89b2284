# What a program can want, read from its spec: keys, a span of keys, or all rows; and whether results keep their key.
# Part of match.pxi's floor.
#
# All of it is a question of speed only: what program_access names is a superset of what the program selects, and the
# program decides on each row. So whatever is not understood here counts as "all".
#
#     key position of the head            further               hash table        ordered table
#     constant                                                  that key          that key
#     anything (**)                       K =:= C, K == C       that key (*)      that key
#     anything (**)                       K < C, K >= C, ...    all               span
#     tuple or list, constants in front                         all               span: the keys that begin so
#     not there, or the head is no tuple                        nothing           nothing
#     else                                                      all               all
#
#     (*) of a hash table 1 == 1.0 are two keys, so == with a number is both; with numbers deeper in C it is all
#     (**) K is the head's variable at the key position, or {element, KeyPos, '$_'}
#
# Guards count if they must hold for the clause: those of the list, and the arguments of 'and' and 'andalso'. An 'or' or
# 'orelse' of equalities gives the keys of all of them. Several clauses: the keys of all; or, if one of them has a span,
# the span from the lowest bound to the highest.
#
# A *bound* is an order form (term_order.pxi) or the beginning of one. FF is behind all forms that begin so, because no
# form has an FF where an element begins.

cdef enum:
    PREFIX_DEPTH = 8           # how deep a key pattern is looked into for constants in front

cdef struct access_t:
    int kind
    val_t* keys                # ACCESS_KEYS: different ones, ascending; they stand in the program's spec or in heap
    size_t n
    heap_t heap
    # ACCESS_SPAN: bounds of forms, each with 8 readable zero bytes behind; no bound where it is not set
    buf_t low
    buf_t high
    bint has_low
    bint has_high
    bint low_open              # the bound itself is outside
    bint high_open

cdef struct reach_t:           # of one clause
    int kind
    buf_t keys                 # of ACCESS_KEYS: val_t
    heap_t* heap               # where keys stand that the spec does not have
    val_t variable             # how guards call the key: the cell of a variable, or of nothing
    val_t row                  # and the row, beside '$_'
    size_t keypos
    bint ordered
    buf_t low
    buf_t high
    bint has_low
    bint has_high
    bint low_open
    bint high_open

cdef struct clause_t:
    cell_t head
    const char* base
    const cell_t* guards
    size_t nguards
    const char* guards_base
    const cell_t* body
    size_t nbody
    const char* body_base


cdef size_t program_clauses(const program_t* p) noexcept nogil:
    return cell_length(p.spec[1]) if p.kind == SPEC else 1


cdef void program_clause(const program_t* p, size_t i, clause_t* clause) noexcept nogil:
    """Take a clause apart. It compiled, so it has its shape. A pattern is a head alone."""
    cdef const cell_t* cells
    cdef const char* base
    memset(clause, 0, sizeof(clause_t))
    clause.head = p.spec[1]
    clause.base = <const char*>p.spec
    if p.kind != SPEC:
        return
    term_cells(p.spec[1], <const char*>p.spec, &cells, &base)
    term_cells(cells[i], base, &cells, &base)
    clause.head = cells[0]
    clause.base = base
    clause.nguards = term_cells(cells[1], base, &clause.guards, &clause.guards_base)
    clause.nbody = term_cells(cells[2], base, &clause.body, &clause.body_base)


cdef bint head_key(const clause_t* clause, size_t keypos, val_t* key) noexcept nogil:
    """The head's key element. False if it has none."""
    cdef const cell_t* cells
    if (clause.head & 0xFF) != LOW_TUPLE or cell_length(clause.head) <= keypos:
        return False
    term_cells(clause.head, clause.base, &cells, &key.base)
    key.c = cells[keypos]
    return True


cdef bint pattern_bound(cell_t c, const char* base) noexcept nogil:
    """No variables, no '_' and no maps in it."""
    cdef walk_t w
    cdef const cell_t* cells
    cdef bint bound = True, more = True
    cdef size_t i
    if not head_opens(c):
        return cell_plain_in_head(c)
    walk_begin(&w, <const uint64_t*>cell_at(c, base), cell_low(c))
    while more and bound:
        cells = w.root + w.at + 1
        bound = w.low != LOW_MAP
        for i in range(w.words - 1 if w.low and bound else 0):
            if not cell_plain_in_head(cells[i]):
                bound = False
                break
        more = walk_next(&w) if bound else False
    walk_end(&w)
    return bound


# ---- spans

cdef void reach_open(reach_t* r, heap_t* heap, size_t keypos, bint ordered) noexcept nogil:
    memset(r, 0, sizeof(reach_t))
    r.kind = ACCESS_ALL
    r.heap = heap
    r.keypos = keypos
    r.ordered = ordered


cdef void reach_close(reach_t* r) noexcept nogil:
    buf_free(&r.keys)
    buf_free(&r.low)
    buf_free(&r.high)


cdef int bound_compare(const buf_t* a, bint a_open, const buf_t* b, bint b_open, int dir_) noexcept nogil:
    """Two lower (dir 1) or upper (dir -1) bounds: is a inside of b (1), outside (-1), or the same?"""
    cdef int order = bytes_compare(a.data, a.len, b.data, b.len)
    if order == 0:
        order = (a.len > b.len) - (a.len < b.len)
    if order:
        return order * dir_
    return <int>a_open - <int>b_open


cdef int bound_set(buf_t* bound, bint* is_set, bint* is_open, const buf_t* form, bint open_) noexcept nogil:
    cdef uint64_t zero = 0
    bound.len = 0
    is_set[0] = True
    is_open[0] = open_
    if buf_append(bound, form.data, form.len) != ST_OK or buf_append(bound, &zero, 8) != ST_OK:
        return ST_NO_MEMORY
    bound.len -= 8
    return ST_OK


cdef int narrow(reach_t* r, const buf_t* form, int dir_, bint open_) noexcept nogil:
    """One more lower (dir 1) or upper (-1) bound, which must hold too."""
    if dir_ > 0:
        if r.has_low and bound_compare(form, open_, &r.low, r.low_open, 1) <= 0:
            return ST_OK
        return bound_set(&r.low, &r.has_low, &r.low_open, form, open_)
    if r.has_high and bound_compare(form, open_, &r.high, r.high_open, -1) <= 0:
        return ST_OK
    return bound_set(&r.high, &r.has_high, &r.high_open, form, open_)


cdef bint span_empty(const buf_t* low, bint low_open, const buf_t* high, bint high_open) noexcept nogil:
    cdef int order = bytes_compare(low.data, low.len, high.data, high.len)
    if order == 0:
        order = (low.len > high.len) - (low.len < high.len)
    return order > 0 or order == 0 and (low_open or high_open)


# ---- a key pattern with constants in front

cdef int prefix_form(cell_t c, const char* base, buf_t* out) noexcept nogil:
    """What the forms of all keys that match begin with."""
    cdef const cell_t* cells
    cdef const char* inner
    cdef size_t depth, i, n
    cdef int status = ST_OK, low
    for depth in range(PREFIX_DEPTH):
        low = cell_low(c)
        if low != LOW_TUPLE and low != LOW_LIST and low != LOW_IMPROPER:
            return ST_OK
        n = term_cells(c, base, &cells, &inner)
        if low == LOW_TUPLE:
            status = form_word(out, <uint64_t>FORM_TUPLE << 32 | n, 5)
        i = 0
        while status == ST_OK and i < n:
            if low == LOW_LIST or (low == LOW_IMPROPER and i + 1 < n):
                status = form_byte(out, FORM_LIST)
            if status != ST_OK or not pattern_bound(cells[i], inner):
                break
            status = term_order_key(cells[i], inner, out, False)
            i += 1
        if status != ST_OK or i == n:
            return status
        c = cells[i]
        base = inner
    return ST_OK


cdef int reach_prefix(reach_t* r, const val_t* key) noexcept nogil:
    cdef buf_t form
    cdef int status
    buf_init(&form, NULL, 0)
    status = prefix_form(key.c, key.base, &form)
    if status == ST_NOT_STORABLE:                              # NaN, an object: no key has it
        r.kind = ACCESS_NOTHING
        status = ST_OK
    elif status == ST_OK and form.len:
        r.kind = ACCESS_SPAN
        status = narrow(r, &form, 1, False)
        if status == ST_OK:
            status = form_byte(&form, 0xFF)
        if status == ST_OK:
            status = narrow(r, &form, -1, True)
    buf_free(&form)
    return status


# ---- guards on the key

cdef int reach_bound(reach_t* r, uint64_t set_, const val_t* value) noexcept nogil:
    """key < value, and the like."""
    cdef buf_t form
    cdef int status
    buf_init(&form, NULL, 0)
    status = term_order_key(value.c, value.base, &form, False)
    if status == ST_OK:
        if r.kind == ACCESS_ALL:
            r.kind = ACCESS_SPAN
        status = narrow(r, &form, 1 if set_ & ORDER_MORE else -1, not set_ & ORDER_EVEN)
    elif status == ST_NOT_STORABLE:
        status = ST_OK
    buf_free(&form)
    return status


cdef bint is_element_of(const val_t* v, size_t keypos, cell_t row) noexcept nogil:
    """{element, KeyPos, Row}"""
    cdef const cell_t* cells
    cdef const char* base
    if (v.c & 0xFF) != LOW_TUPLE or cell_length(v.c) != 3:
        return False
    term_cells(v.c, v.base, &cells, &base)
    return (
        cells[0] == NAMED[NAMED_ELEMENT] and cells[1] == cell_int(<int64_t>keypos + 1)
        and (cells[2] == NAMED[NAMED_ROW] or cells[2] == row))


cdef bint is_key(const reach_t* r, cell_t c, const char* base) noexcept nogil:
    """Is the expression the row's key?"""
    cdef val_t v
    v.c = c
    v.base = base
    return (c == r.variable.c and is_variable(c)) or is_element_of(&v, r.keypos, r.row.c)


cdef bint key_against(
    const reach_t* r, const function_t* f, const cell_t* args, const char* base, uint64_t* set_, val_t* value
) noexcept nogil:
    """Is it a comparison of the key with a constant? With which orders, the key on the left."""
    set_[0] = ORDER_EVEN if f.form == F_SAME else f.set
    if is_key(r, args[0], base) and constant_value(args[1], base, value):
        return True
    if is_key(r, args[1], base) and constant_value(args[0], base, value):
        set_[0] = set_turned(set_[0])
        return True
    return False


cdef int reach_key(reach_t* r, const val_t* value) noexcept nogil:
    return buf_append(&r.keys, value, sizeof(val_t)) if keyable(value) else ST_OK


cdef int reach_twins(reach_t* r, const val_t* value) noexcept nogil:
    """The keys of a hash table that are == to a number."""
    cdef val_t other
    cdef double d = 0.0
    cdef int status = reach_key(r, value)
    if status != ST_OK or val_double(value, &d) != ST_OK or not isfinite(d):
        return status
    status = whole_integer(r.heap, d, &other) if trunc(d) == d else ST_OK
    if status == ST_OK and trunc(d) == d and number_compare(other.c, other.base, value.c, value.base, False) == 0:
        status = reach_key(r, &other)
        if status == ST_OK:
            status = give_float(r.heap, &other, d)
        if status == ST_OK:
            status = reach_key(r, &other)
    if status == ST_OK and d == 0.0:
        status = give_float(r.heap, &other, -d)
        if status == ST_OK:
            status = reach_key(r, &other)
    return status


cdef int reach_equal(reach_t* r, const function_t* f, const val_t* value, bint* known) noexcept nogil:
    """The keys that are =:= or == to a constant; known: they are all."""
    known[0] = True
    if f.form == F_SAME or r.ordered or order_is_exact(value):
        return reach_key(r, value)
    if val_is_number(value):
        return reach_twins(r, value)
    known[0] = False
    return ST_OK


cdef int reach_compare(reach_t* r, const function_t* f, const cell_t* args, const char* base) noexcept nogil:
    """A comparison, if it is one of the key with a constant."""
    cdef val_t value
    cdef uint64_t set_
    cdef bint known = False
    cdef int status
    if r.kind == ACCESS_KEYS or not key_against(r, f, args, base, &set_, &value):
        return ST_OK
    if set_ == ORDER_EVEN:
        status = reach_equal(r, f, &value, &known)
        if status == ST_OK and known:
            r.kind = ACCESS_KEYS
        return status
    return reach_bound(r, set_, &value) if r.ordered and set_ != (ORDER_LESS | ORDER_MORE) else ST_OK


cdef int reach_either(reach_t* r, const cell_t* args, size_t n, const char* base) noexcept nogil:
    """An 'or', if all its arguments are equalities of the key with constants."""
    cdef const function_t* f
    cdef const cell_t* cells
    cdef const char* inner
    cdef val_t value
    cdef uint64_t set_
    cdef size_t i
    cdef bint known = r.kind != ACCESS_KEYS
    cdef int status = ST_OK
    for i in range(n):
        if not known or status != ST_OK:
            break
        known = False
        if (args[i] & 0xFF) != LOW_TUPLE or cell_length(args[i]) != 3:
            break
        term_cells(args[i], base, &cells, &inner)
        f = function_find(cells[0], 2, &known)
        known = f != NULL and (f.form == F_SAME or f.form == F_ORDER) and key_against(
            r, f, cells + 1, inner, &set_, &value) and set_ == ORDER_EVEN
        if known:
            status = reach_equal(r, f, &value, &known)
    if known and status == ST_OK:
        r.kind = ACCESS_KEYS
    elif r.kind != ACCESS_KEYS:
        r.keys.len = 0
    return status


cdef int reach_guard(reach_t* r, compiler_t* m, const pat_t* guard) noexcept nogil:
    """One guard that must hold. The arguments of an 'and' are pushed as such."""
    cdef const function_t* f
    cdef const cell_t* cells
    cdef const char* inner
    cdef size_t n, i
    cdef bint known
    if (guard.c & 0xFF) != LOW_TUPLE or is_tuple_form(guard.c, guard.base):
        return ST_OK
    n = term_cells(guard.c, guard.base, &cells, &inner)
    f = function_find(cells[0], n - 1, &known)
    if f == NULL:
        return ST_OK
    if f.form == F_AND or f.form == F_ANDALSO:
        for i in range(1, n):
            pat_push(m, cells[i], inner, 0, 0)
    elif f.form == F_OR or f.form == F_ORELSE:
        return reach_either(r, cells + 1, n - 1, inner)
    elif f.form == F_ORDER or f.form == F_SAME:
        return reach_compare(r, f, cells + 1, inner)
    return ST_OK


cdef int reach_guards(reach_t* r, const clause_t* clause) noexcept nogil:
    """All guards that must hold. The stack holds what is left of 'and's."""
    cdef compiler_t m                                          # for its vectors
    cdef pat_t guard
    cdef size_t i
    cdef int status = ST_OK
    compiler_open(&m, NULL)
    for i in range(clause.nguards):
        pat_push(&m, clause.guards[i], clause.guards_base, 0, 0)
    while m.pats.n and m.status == ST_OK and status == ST_OK:
        m.pats.n -= 1
        guard = (<pat_t*>m.pats.data)[m.pats.n]
        status = reach_guard(r, &m, &guard)
    if m.status != ST_OK:
        status = m.status
    compiler_close(&m)
    return status


# ---- clauses together

cdef int reach_clause(reach_t* r, const clause_t* clause) noexcept nogil:
    cdef val_t key
    cdef int status
    r.variable.c = r.row.c = NAMED[NAMED_ANY]                  # no variable, and no expression for the row
    if not head_key(clause, r.keypos, &key):
        if not is_variable(clause.head) and clause.head != NAMED[NAMED_ANY]:
            r.kind = ACCESS_NOTHING
            return ST_OK
        r.row.c = clause.head if is_variable(clause.head) else NAMED[NAMED_ROW]
    elif pattern_bound(key.c, key.base):
        r.kind = ACCESS_KEYS if keyable(&key) else ACCESS_NOTHING
        return reach_key(r, &key)
    else:
        r.variable.c = key.c
        r.row.c = NAMED[NAMED_ROW]
    status = reach_guards(r, clause)
    if status == ST_OK and r.ordered and r.kind != ACCESS_KEYS and r.variable.c != NAMED[NAMED_ANY]:
        status = reach_prefix(r, &key)
    if status == ST_OK and r.kind == ACCESS_SPAN and r.has_low and r.has_high:
        if span_empty(&r.low, r.low_open, &r.high, r.high_open):
            r.kind = ACCESS_NOTHING
    return status


cdef int reach_point(reach_t* r, const val_t* key) noexcept nogil:
    """One key as a span."""
    cdef buf_t form
    cdef int status
    buf_init(&form, NULL, 0)
    r.has_low = r.has_high = False
    status = term_order_key(key.c, key.base, &form, False)
    if status == ST_OK:
        status = narrow(r, &form, 1, False)
    if status == ST_OK:
        status = narrow(r, &form, -1, False)
    buf_free(&form)
    return status


cdef int access_widen(access_t* a, reach_t* r, bint first) noexcept nogil:
    """The span from the lower of two lower bounds to the higher of two upper ones."""
    cdef int status = ST_OK
    if first or (a.has_low and r.has_low and bound_compare(&r.low, r.low_open, &a.low, a.low_open, 1) < 0):
        a.has_low = r.has_low
        if r.has_low:
            status = bound_set(&a.low, &a.has_low, &a.low_open, &r.low, r.low_open)
    elif not r.has_low:
        a.has_low = False
    if status != ST_OK:
        return status
    if first or (a.has_high and r.has_high and bound_compare(&r.high, r.high_open, &a.high, a.high_open, -1) < 0):
        a.has_high = r.has_high
        if r.has_high:
            status = bound_set(&a.high, &a.has_high, &a.high_open, &r.high, r.high_open)
    elif not r.has_high:
        a.has_high = False
    return status


cdef int access_add(access_t* a, reach_t* r, buf_t* keys, bint* spans, bint* first) noexcept nogil:
    """What one clause reaches: its keys, and for ordered tables the span around them, or its span."""
    cdef const val_t* key = <const val_t*>r.keys.data
    cdef size_t n = r.keys.len // sizeof(val_t) if r.kind == ACCESS_KEYS else 0, i
    cdef int status = ST_OK
    for i in range(n):
        status = buf_append(keys, key + i, sizeof(val_t))      # as pairs of themselves, for sort_pairs
        if status == ST_OK:
            status = buf_append(keys, key + i, sizeof(val_t))
        if status == ST_OK and r.ordered:
            status = reach_point(r, key + i)
            if status == ST_OK:
                status = access_widen(a, r, first[0])
                first[0] = False
        if status != ST_OK:
            return status
    if r.kind == ACCESS_SPAN:
        spans[0] = True
        status = access_widen(a, r, first[0])
        first[0] = False
    return status


cdef int access_clauses(
    const program_t* p, size_t keypos, bint ordered, access_t* a, buf_t* keys, bint* spans
) noexcept nogil:
    """All clauses. ST_STOP: one of them may want any row."""
    cdef clause_t clause
    cdef reach_t r
    cdef size_t i
    cdef bint first = True
    cdef int status
    for i in range(program_clauses(p)):
        program_clause(p, i, &clause)
        reach_open(&r, &a.heap, keypos, ordered)
        status = reach_clause(&r, &clause)
        if status == ST_OK:
            status = ST_STOP if r.kind == ACCESS_ALL else access_add(a, &r, keys, spans, &first)
        reach_close(&r)
        if status != ST_OK:
            return status
    return ST_OK


cdef void access_keys(access_t* a, buf_t* keys, bint ordered) noexcept nogil:
    """Different keys, ascending."""
    cdef val_t* pairs = <val_t*>keys.data
    cdef size_t i
    a.kind = ACCESS_KEYS
    a.n = keys.len // (2 * sizeof(val_t))
    sort_pairs(pairs, a.n, not ordered)
    a.n = unique_pairs(pairs, a.n, not ordered)
    for i in range(a.n):
        pairs[i] = pairs[2 * i]
    a.keys = pairs
    keys.data = NULL                                           # it is the access's now


cdef int program_access(const program_t* p, size_t keypos, bint ordered, access_t* a) noexcept nogil:
    """Which rows the program can select. ST_OK or ST_NO_MEMORY; access_close in either case."""
    cdef buf_t keys
    cdef bint spans = False
    cdef int status
    memset(a, 0, sizeof(access_t))
    heap_open(&a.heap)
    buf_init(&keys, NULL, 0)
    status = access_clauses(p, keypos, ordered, a, &keys, &spans)
    if status == ST_STOP:
        a.kind = ACCESS_ALL
        status = ST_OK
    elif status == ST_OK and spans:
        a.kind = ACCESS_SPAN if a.has_low or a.has_high else ACCESS_ALL
    elif status == ST_OK and keys.len:
        access_keys(a, &keys, ordered)
    free(keys.data)
    return status


cdef void access_close(access_t* a) noexcept nogil:
    free(a.keys)
    heap_close(&a.heap)
    buf_free(&a.low)
    buf_free(&a.high)
    a.keys = NULL
    a.n = 0


# ---- select_replace: does the result have the row's key?

cdef struct same_t:            # a piece of the head's key beside one of the result's
    val_t head
    val_t body
    bint literal               # inside of {const, ...}


cdef bint same_leaf(const val_t* head, const val_t* body, bint literal) noexcept nogil:
    """Of terms that are not taken apart."""
    if head.c == NAMED[NAMED_ANY] or head.c == NAMED[NAMED_ROW] or head.c == NAMED[NAMED_VARS]:
        return False
    if literal and is_variable(head.c):
        return False
    if val_kind(head) == K_MAP or val_kind(body) == K_MAP:
        return False
    return term_equal(head.c, head.base, body.c, body.base)


cdef bint same_open(compiler_t* m, const val_t* head, const val_t* body, bint literal) noexcept nogil:
    """Two containers of the same kind and size: their elements have to be the same."""
    cdef const cell_t* x
    cdef const cell_t* y
    cdef const char* xbase
    cdef const char* ybase
    cdef size_t n = term_cells(head.c, head.base, &x, &xbase), i
    cdef same_t* s
    if (head.c ^ body.c) & ~OFFSET_MASK:
        return False
    term_cells(body.c, body.base, &y, &ybase)
    for i in range(n):
        s = <same_t*>vector_push(m, &m.pats, sizeof(same_t))
        if s == NULL:
            return False
        s.head.c = x[i]
        s.head.base = xbase
        s.body.c = y[i]
        s.body.base = ybase
        s.literal = literal
    return True


cdef bint same_step(compiler_t* m, same_t s) noexcept nogil:
    cdef int low
    if not s.literal and val_kind(&s.body) == K_TUPLE:
        if is_const_form(s.body.c, s.body.base):
            s.body.c = second_cell(s.body.c, s.body.base, &s.body.base)
            s.literal = True
        elif is_tuple_form(s.body.c, s.body.base):
            s.body.c = first_cell(s.body.c, s.body.base, &s.body.base)
        else:
            return False                                       # a call
    low = cell_low(s.body.c)
    if low == LOW_TUPLE or low == LOW_LIST or low == LOW_IMPROPER:
        return same_open(m, &s.head, &s.body, s.literal)
    return same_leaf(&s.head, &s.body, s.literal)


cdef bint same_key(const val_t* head, const val_t* body, bint literal) noexcept nogil:
    """Does the expression evidently construct what the pattern has matched?"""
    cdef compiler_t m                                          # for its vectors
    cdef same_t s
    cdef bint same = True
    s.head = head[0]
    s.body = body[0]
    s.literal = literal
    compiler_open(&m, NULL)
    same = same_step(&m, s)
    while same and m.pats.n:
        m.pats.n -= 1
        s = (<same_t*>m.pats.data)[m.pats.n]
        same = same_step(&m, s)
    compiler_close(&m)
    return same


cdef bint clause_keeps_key(const clause_t* clause, size_t keypos) noexcept nogil:
    cdef val_t head, body
    cdef const cell_t* cells
    cdef bint literal
    if clause.nbody != 1:
        return False
    body.c = clause.body[0]
    body.base = clause.body_base
    if body.c == NAMED[NAMED_ROW]:
        return True
    if not head_key(clause, keypos, &head):
        return False
    literal = is_const_form(body.c, body.base)
    if literal:
        body.c = second_cell(body.c, body.base, &body.base)
    elif is_tuple_form(body.c, body.base):
        body.c = first_cell(body.c, body.base, &body.base)
    else:
        return False
    if (body.c & 0xFF) != LOW_TUPLE or cell_length(body.c) <= keypos:
        return False
    term_cells(body.c, body.base, &cells, &body.base)
    body.c = cells[keypos]
    return same_key(&head, &body, literal) or (not literal and is_element_of(&body, keypos, NAMED[NAMED_ROW]))


cdef bint program_keeps_key(const program_t* p, size_t keypos) noexcept nogil:
    """Is it evident from the spec alone that each result is a row with the key of the row it comes from?
    (ets-semantics 4.4, keypos from 0.)"""
    cdef clause_t clause
    cdef size_t i
    if p.kind != SPEC:
        return p.kind == PATTERN_OBJECT
    for i in range(program_clauses(p)):
        program_clause(p, i, &clause)
        if not clause_keeps_key(&clause, keypos):
            return False
    return True
