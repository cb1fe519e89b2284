# What a program can want, read from its spec: keys, a span of keys, or all rows; and whether results keep their key.
# Part of match.pxi's floor.
#
# All of it is a question of speed only: what program_access names is a superset of what the program selects, and the
# program decides on each row. So whatever is not understood here counts as "all".
#
#     key position of the head            further               hash table        ordered table
#     constant                                                  that key          that key
#     variable                            K =:= C, K == C       that key (*)      that key
#     variable                            K < C, K >= C, ...    all               span
#     tuple or list, constants in front                         all               span: the keys that begin so
#     not there, or the head is no tuple                        nothing           nothing
#     else                                                      all               all
#
#     (*) with == only if there are no numbers in C: 1 == 1.0 are two keys of a hash table
#
# Guards count if they must hold for the clause: those of the list, and the arguments of 'and' and 'andalso'. Several
# clauses: the keys of all; or, if one of them has a span, the span from the lowest bound to the highest.
#
# A *bound* is an order form (term_order.pxi) or the beginning of one. FF is behind all forms that begin so, because no
# form has an FF where an element begins.

cdef enum:
    PREFIX_DEPTH = 8           # how deep a key pattern is looked into for constants in front

cdef struct access_t:
    int kind
    val_t* keys                # ACCESS_KEYS: different ones, ascending; they stand in the program's spec
    size_t n
    # ACCESS_SPAN: bounds of forms, each with 8 readable zero bytes behind; no bound where it is not set
    buf_t low
    buf_t high
    bint has_low
    bint has_high
    bint low_open              # the bound itself is outside
    bint high_open

cdef struct reach_t:           # of one clause
    int kind                   # ACCESS_KEYS: one
    val_t key
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

cdef void reach_open(reach_t* r) noexcept nogil:
    memset(r, 0, sizeof(reach_t))
    r.kind = ACCESS_ALL


cdef void reach_close(reach_t* r) noexcept nogil:
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


cdef int reach_compare(
    reach_t* r, const function_t* f, const cell_t* args, const char* base, cell_t variable, bint ordered
) noexcept nogil:
    """A comparison, if it is one of the key with a constant."""
    cdef val_t value
    cdef uint64_t set_ = f.set
    if args[0] == variable and constant_value(args[1], base, &value):
        pass
    elif args[1] == variable and constant_value(args[0], base, &value):
        set_ = set_turned(set_)
    else:
        return ST_OK
    if f.form == F_SAME or (f.form == F_ORDER and set_ == ORDER_EVEN and (ordered or order_is_exact(&value))):
        if r.kind != ACCESS_KEYS and keyable(&value):
            r.kind = ACCESS_KEYS
            r.key = value
        return ST_OK
    if f.form != F_ORDER or not ordered or set_ == (ORDER_LESS | ORDER_MORE):
        return ST_OK
    return reach_bound(r, set_, &value)


cdef int reach_guards(reach_t* r, const clause_t* clause, cell_t variable, bint ordered) noexcept nogil:
    """All guards that must hold. The stack holds what is left of 'and's."""
    cdef compiler_t m                                          # for its vectors
    cdef pat_t pat
    cdef const function_t* f
    cdef const cell_t* cells
    cdef const char* inner
    cdef size_t n, i
    cdef bint known
    cdef int status = ST_OK
    compiler_open(&m, NULL)
    for i in range(clause.nguards):
        pat_push(&m, clause.guards[i], clause.guards_base, 0, 0)
    while m.pats.n and m.status == ST_OK and status == ST_OK:
        m.pats.n -= 1
        pat = (<pat_t*>m.pats.data)[m.pats.n]
        if (pat.c & 0xFF) != LOW_TUPLE or is_tuple_form(pat.c, pat.base):
            continue
        n = term_cells(pat.c, pat.base, &cells, &inner)
        f = function_find(cells[0], n - 1, &known)
        if f == NULL:
            continue
        if f.form == F_AND or f.form == F_ANDALSO:
            for i in range(1, n):
                pat_push(&m, cells[i], inner, 0, 0)
        elif f.form == F_ORDER or f.form == F_SAME:
            status = reach_compare(r, f, cells + 1, inner, variable, ordered)
    if m.status != ST_OK:
        status = m.status
    compiler_close(&m)
    return status


# ---- clauses together

cdef int reach_clause(reach_t* r, const clause_t* clause, size_t keypos, bint ordered) noexcept nogil:
    cdef val_t key
    cdef int status = ST_OK
    if not head_key(clause, keypos, &key):
        r.kind = ACCESS_ALL if is_variable(clause.head) or clause.head == NAMED[NAMED_ANY] else ACCESS_NOTHING
        return ST_OK
    if pattern_bound(key.c, key.base):
        r.kind = ACCESS_KEYS if keyable(&key) else ACCESS_NOTHING
        r.key = key
        return ST_OK
    if is_variable(key.c):
        status = reach_guards(r, clause, key.c, ordered)
    elif ordered:
        status = reach_prefix(r, &key)
    if status == ST_OK and r.kind == ACCESS_SPAN and r.has_low and r.has_high:
        if span_empty(&r.low, r.low_open, &r.high, r.high_open):
            r.kind = ACCESS_NOTHING
    return status


cdef int reach_point(reach_t* r) noexcept nogil:
    """One key as a span."""
    cdef buf_t form
    cdef int status
    buf_init(&form, NULL, 0)
    r.has_low = r.has_high = False
    status = term_order_key(r.key.c, r.key.base, &form, False)
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


cdef int access_clauses(
    const program_t* p, size_t keypos, bint ordered, access_t* a, val_t* pairs, bint* spans
) noexcept nogil:
    """Gather the keys of all clauses, as pairs of themselves, and for ordered tables the span around them all."""
    cdef clause_t clause
    cdef reach_t r
    cdef size_t i
    cdef bint first = True
    cdef int status = ST_OK
    for i in range(program_clauses(p)):
        program_clause(p, i, &clause)
        reach_open(&r)
        status = reach_clause(&r, &clause, keypos, ordered)
        if status == ST_OK and r.kind == ACCESS_ALL:
            a.kind = ACCESS_ALL
            status = ST_STOP
        elif status == ST_OK and r.kind != ACCESS_NOTHING:
            if r.kind == ACCESS_KEYS:
                pairs[2 * a.n] = pairs[2 * a.n + 1] = r.key
                a.n += 1
                status = reach_point(&r) if ordered else ST_OK
            else:
                spans[0] = True
            if ordered and status == ST_OK:
                status = access_widen(a, &r, first)
                first = False
        reach_close(&r)
        if status != ST_OK:
            return status
    return ST_OK


cdef int program_access(const program_t* p, size_t keypos, bint ordered, access_t* a) noexcept nogil:
    """Which rows the program can select. ST_OK or ST_NO_MEMORY; access_close in either case."""
    cdef val_t* pairs
    cdef size_t i
    cdef bint spans = False
    cdef int status
    memset(a, 0, sizeof(access_t))
    pairs = <val_t*>malloc(program_clauses(p) * 2 * sizeof(val_t))
    if pairs == NULL:
        return ST_NO_MEMORY
    status = access_clauses(p, keypos, ordered, a, pairs, &spans)
    if status == ST_OK and spans:
        a.kind = ACCESS_SPAN if a.has_low or a.has_high else ACCESS_ALL
    elif status == ST_OK and a.n:
        a.kind = ACCESS_KEYS
        sort_pairs(pairs, a.n, not ordered)
        a.n = unique_pairs(pairs, a.n, not ordered)
        for i in range(a.n):
            pairs[i] = pairs[2 * i]
        a.keys = pairs
        pairs = NULL
    free(pairs)
    if a.kind != ACCESS_KEYS:
        a.n = 0
    return ST_OK if status == ST_STOP else status


cdef void access_close(access_t* a) noexcept nogil:
    free(a.keys)
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


cdef bint is_element_of_row(const val_t* v, size_t keypos) noexcept nogil:
    """{element, KeyPos, '$_'}"""
    cdef const cell_t* cells
    cdef const char* base
    if (v.c & 0xFF) != LOW_TUPLE or cell_length(v.c) != 3:
        return False
    term_cells(v.c, v.base, &cells, &base)
    return (
        cells[0] == NAMED[NAMED_ELEMENT] and cells[1] == cell_int(<int64_t>keypos + 1) and cells[2] == NAMED[NAMED_ROW])


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
    return same_key(&head, &body, literal) or (not literal and is_element_of_row(&body, keypos))


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
