# What sums rows up: sum, least, greatest, count by group, and the rows with the k greatest values. Part of select.pxi's
# floor.
#
# The value is the result of the program: the body of the query. Grouped, the result is {Group, Value} (for a count the
# group alone), and there is one tally for each group, groups being apart if they are not =:=.
#
# What must stay true:
# 1. Integers are summed exactly, whatever their size: in a machine word as long as that holds them, then as big ones.
#    Floats are summed with compensation (Neumaier), apart from the integers: so the sum does not depend on where they
#    stand among each other.
# 2. Nothing here grows by more than one value under a lock: tables of groups, and the heap, are widened between two
#    pieces of the walk (fold_tend), and a visit that finds no room ends the piece first.
# 3. What is kept of rows is copied, and counts as a holder of its reference terms.

cdef enum fold_kind_t:
    FOLD_COUNT = 0
    FOLD_SUM = 1
    FOLD_MIN = 2
    FOLD_MAX = 3
    FOLD_TOP = 4            # the k greatest
    FOLD_BOTTOM = 5         # the k least

cdef struct tally_t:
    buf_t group             # a one-element row; empty: all rows are one group
    uint64_t hash
    uint64_t n              # values
    uint64_t floats         # of them
    int64_t small           # integers: a part of the sum that fits a cell
    cell_t big              # and the rest
    size_t big_at
    buf_t big_body
    double sum              # floats
    double lost             # what rounding has taken off it
    buf_t best              # a one-element row

cdef struct top_t:
    buf_t kept              # a row of the value and the row
    uint64_t turn           # the how manieth it was: of equal ones the first stays

cdef struct fold_t:
    int kind
    bint grouped
    objects_t* objects
    tally_t all
    tally_t** groups        # by hash, open addressing; more than half of them empty
    size_t mask             # slots - 1
    size_t ngroups
    top_t* top              # a heap: the one to go first on top
    size_t ntop
    size_t topcap
    size_t k
    uint64_t turns
    buf_t culprit           # a one-element row: the value that is of no use

cdef int keep_pair(buf_t* b, objects_t* o, const val_t* a, const val_t* c) noexcept nogil:
    """Put a row of one or two terms in the place of what is in b. A status; then b is as it was."""
    cdef buf_t fresh
    cdef size_t at = 0
    cdef int st
    buf_init(&fresh, NULL, 0)
    st = row_begin(&fresh, 2 if c != NULL else 1, &at)
    if st == ST_OK:
        st = row_add_term(&fresh, at, 0, a.c, a.base)
    if st == ST_OK and c != NULL:
        st = row_add_term(&fresh, at, 1, c.c, c.base)
    if st == ST_OK:
        st = row_end(&fresh, at)
    if st != ST_OK:
        buf_free(&fresh)
        return st
    row_each_object(o, <const uint64_t*>fresh.data, object_retain)
    keep_drop(b, o)
    b[0] = fresh
    return ST_OK

cdef void keep_drop(buf_t* b, objects_t* o) noexcept nogil:
    if b.len > 0:
        row_each_object(o, <const uint64_t*>b.data, object_release)
    buf_free(b)

cdef void tally_close(tally_t* a, objects_t* o) noexcept nogil:
    keep_drop(&a.group, o)
    keep_drop(&a.best, o)
    buf_free(&a.big_body)

cdef void fold_open(fold_t* f, table_t* t, int kind, bint grouped, size_t k) noexcept nogil:
    memset(f, 0, sizeof(fold_t))
    f.kind = kind
    f.grouped = grouped
    f.objects = &t.objects
    f.k = k

cdef void fold_close(fold_t* f) noexcept nogil:
    cdef size_t i
    tally_close(&f.all, f.objects)
    if f.groups != NULL:
        for i in range(f.mask + 1):
            if f.groups[i] != NULL:
                tally_close(f.groups[i], f.objects)
                free(f.groups[i])
    free(f.groups)
    for i in range(f.ntop):
        keep_drop(&f.top[i].kept, f.objects)
    free(f.top)
    keep_drop(&f.culprit, f.objects)


# ---- sums

cdef int big_add(tally_t* a, cell_t c, const char* base) noexcept nogil:
    cdef buf_t fresh
    cdef size_t at = 0
    cdef cell_t sum = 0
    cdef int st
    buf_init(&fresh, NULL, 0)
    st = int_add(a.big, a.big_body.data + a.big_at if a.big_body.data != NULL else NULL, c, base, &fresh, &at, &sum)
    if st != ST_OK:
        buf_free(&fresh)
        return st
    buf_free(&a.big_body)
    a.big_body = fresh
    a.big_at = at
    a.big = sum
    return ST_OK

cdef void float_add(tally_t* a, double x) noexcept nogil:
    cdef double sum = a.sum + x
    if (a.sum if a.sum >= 0 else -a.sum) >= (x if x >= 0 else -x):
        a.lost += (a.sum - sum) + x
    else:
        a.lost += (x - sum) + a.sum
    a.sum = sum
    a.floats += 1

cdef int tally_sum(tally_t* a, const val_t* v) noexcept nogil:
    cdef int kind = term_kind(v.c)
    cdef int64_t sum
    cdef int st
    if kind == K_INT:
        sum = a.small + term_int(v.c)           # both have 63 bits
        if fits_cell(sum):
            a.small = sum
            return ST_OK
        st = big_add(a, cell_int(a.small), NULL)
        if st == ST_OK:
            a.small = term_int(v.c)
        return st
    if kind == K_BIG:
        return big_add(a, v.c, v.base)
    if kind == K_FLOAT:
        float_add(a, term_float(v.c, v.base))
        return ST_OK
    return ST_NOT_INTEGER

cdef int tally_best(fold_t* f, tally_t* a, const val_t* v) noexcept nogil:
    cdef const uint64_t* best = <const uint64_t*>a.best.data
    cdef int order
    if a.best.len > 0:
        order = compare_as(v.c, v.base, best[1], <const char*>best, False)
        if not (order < 0 if f.kind == FOLD_MIN else order > 0):
            return ST_OK
    return keep_pair(&a.best, f.objects, v, NULL)


# ---- groups

cdef inline tally_t** group_slot(fold_t* f, const val_t* group, uint64_t hash) noexcept nogil:
    cdef size_t i = <size_t>hash & f.mask
    cdef const uint64_t* row
    while f.groups[i] != NULL:
        if f.groups[i].hash == hash:
            row = <const uint64_t*>f.groups[i].group.data
            if term_equal(row[1], <const char*>row, group.c, group.base):
                break
        i = (i + 1) & f.mask
    return &f.groups[i]

cdef int group_tally(fold_t* f, const val_t* group, tally_t** out) noexcept nogil:
    """The tally of a group, a new one if need be. There is room."""
    cdef uint64_t hash = term_hash(group.c, group.base)
    cdef tally_t** slot = group_slot(f, group, hash)
    cdef tally_t* fresh
    cdef int st
    if slot[0] == NULL:
        fresh = <tally_t*>calloc(1, sizeof(tally_t))
        if fresh == NULL:
            return ST_NO_MEMORY
        st = keep_pair(&fresh.group, f.objects, group, NULL)
        if st != ST_OK:
            free(fresh)
            return st
        fresh.hash = hash
        slot[0] = fresh
        f.ngroups += 1
    out[0] = slot[0]
    return ST_OK

cdef int groups_widen(fold_t* f) noexcept nogil:
    cdef size_t cap = (f.mask + 1) * 4 if f.groups != NULL else 4096
    cdef tally_t** before = f.groups
    cdef tally_t** wider = <tally_t**>calloc(cap, sizeof(void*))
    cdef size_t i, k, n = f.mask + 1 if before != NULL else 0
    if wider == NULL:
        return ST_NO_MEMORY
    for i in range(n):
        if before[i] != NULL:
            k = <size_t>before[i].hash & (cap - 1)
            while wider[k] != NULL:
                k = (k + 1) & (cap - 1)
            wider[k] = before[i]
    free(before)
    f.groups = wider
    f.mask = cap - 1
    return ST_OK


# ---- the k greatest or least

cdef bint top_before(const fold_t* f, const top_t* a, const top_t* b) noexcept nogil:
    """Has a to go before b?"""
    cdef const uint64_t* ra = <const uint64_t*>a.kept.data
    cdef const uint64_t* rb = <const uint64_t*>b.kept.data
    cdef int order = compare_as(ra[1], <const char*>ra, rb[1], <const char*>rb, False)
    if order == 0:
        return a.turn > b.turn
    return order > 0 if f.kind == FOLD_BOTTOM else order < 0

cdef void top_sink(fold_t* f, size_t i, size_t n) noexcept nogil:
    """Let the one at i find its place among those below it."""
    cdef top_t moved = f.top[i]
    cdef size_t child
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and top_before(f, &f.top[child + 1], &f.top[child]):
            child += 1
        if not top_before(f, &f.top[child], &moved):
            break
        f.top[i] = f.top[child]
        i = child
    f.top[i] = moved

cdef void top_rise(fold_t* f, size_t i) noexcept nogil:
    cdef top_t moved = f.top[i]
    while i > 0 and top_before(f, &moved, &f.top[(i - 1) // 2]):
        f.top[i] = f.top[(i - 1) // 2]
        i = (i - 1) // 2
    f.top[i] = moved

cdef int top_add(fold_t* f, const val_t* v, const uint64_t* row) noexcept nogil:
    cdef val_t whole
    cdef const uint64_t* worst
    cdef int order, st
    f.turns += 1
    whole.c = row_as_cell(row)
    whole.base = <const char*>row
    if f.ntop < f.k:
        memset(&f.top[f.ntop], 0, sizeof(top_t))
        st = keep_pair(&f.top[f.ntop].kept, f.objects, v, &whole)
        if st != ST_OK:
            return st
        f.top[f.ntop].turn = f.turns
        f.ntop += 1
        top_rise(f, f.ntop - 1)
        return ST_OK
    worst = <const uint64_t*>f.top[0].kept.data
    order = compare_as(v.c, v.base, worst[1], <const char*>worst, False)
    if not (order < 0 if f.kind == FOLD_BOTTOM else order > 0):
        return ST_OK
    st = keep_pair(&f.top[0].kept, f.objects, v, &whole)
    if st == ST_OK:
        f.top[0].turn = f.turns
        top_sink(f, 0, f.ntop)
    return st

cdef void top_sort(fold_t* f) noexcept nogil:
    """After the walk: the best first."""
    cdef size_t n = f.ntop
    cdef top_t worst
    while n > 1:
        n -= 1
        worst = f.top[0]
        f.top[0] = f.top[n]
        f.top[n] = worst
        top_sink(f, 0, n)


# ---- the action

cdef bint fold_full(const fold_t* f) noexcept nogil:
    """Would one value more need room that is not there?"""
    if f.grouped:
        return f.groups == NULL or f.ngroups * 2 > f.mask
    if f.kind >= FOLD_TOP:
        return f.ntop < f.k and f.ntop == f.topcap
    return False

cdef int fold_tend(fold_t* f) noexcept nogil:
    """Make room. No lock is held."""
    cdef top_t* wider
    cdef size_t cap
    if not fold_full(f):
        return ST_OK
    if f.grouped:
        return groups_widen(f)
    cap = f.topcap * 2 + 256
    wider = <top_t*>realloc(f.top, cap * sizeof(top_t))
    if wider == NULL:
        return ST_NO_MEMORY
    f.top = wider
    f.topcap = cap
    return ST_OK

cdef int fold_add(fold_t* f, const val_t* result, const uint64_t* row) noexcept nogil:
    cdef tally_t* a = &f.all
    cdef val_t v = result[0]
    cdef val_t group
    cdef const uint64_t* body
    cdef int st = ST_OK
    if f.kind >= FOLD_TOP:
        return top_add(f, &v, row)
    if f.grouped:
        group = v
        if f.kind != FOLD_COUNT:
            if (v.c & 0xFF) != LOW_TUPLE or cell_length(v.c) != 2:
                return ST_BADARG
            body = <const uint64_t*>cell_at(v.c, v.base)
            group.c = body[1]
            v.c = body[2]
            group.base = v.base = <const char*>body
        st = group_tally(f, &group, &a)
    if st == ST_OK and f.kind == FOLD_SUM:
        st = tally_sum(a, &v)
    elif st == ST_OK and f.kind != FOLD_COUNT:
        st = tally_best(f, a, &v)
    if st == ST_OK:
        a.n += 1
    return st

cdef int visit_fold(void* ctx, const uint64_t* row, buf_t* out) noexcept nogil:
    cdef select_t* s = <select_t*>ctx
    cdef fold_t* f = <fold_t*>s.fold
    cdef val_t v
    cdef int r, st
    r = select_value(s, row)
    if r == R_NO:
        return V_NEXT
    if r == R_NO_MEMORY:
        return select_fail(s, ST_NO_MEMORY)
    if fold_full(f):
        return select_fail(s, ST_CONFLICT)      # this row again, when there is room
    v.c = s.run.cell
    v.base = s.run.base
    st = fold_add(f, &v, row)
    if st == ST_NOT_INTEGER or st == ST_BADARG:
        keep_pair(&f.culprit, f.objects, &v, NULL)
    if st != ST_OK:
        return select_fail(s, st)
    s.count += 1
    return V_NEXT

cdef int fold_run(select_t* s, place_t* at) noexcept nogil:
    """Sum up all rows behind a place."""
    cdef int st = ST_OK
    while st == ST_OK and not at.over:
        st = fold_tend(<fold_t*>s.fold)
        if st == ST_OK:
            st = select_step(s, at, <size_t>-1)
            if st == ST_CONFLICT:
                s.status = ST_OK
                st = ST_OK
    if st == ST_OK and (<fold_t*>s.fold).kind >= FOLD_TOP:
        top_sort(<fold_t*>s.fold)
    return st
