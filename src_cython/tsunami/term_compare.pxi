# Two terms beside each other: Erlang's order (`<`, `==`) without building forms. Part of term.pxi's floor.
#
# term_order_key makes a form of one term, to be kept and compared many times; term_compare is for two terms that meet
# once, as they do in a guard. It stops at the first difference, allocates nothing as long as they are not nested deep,
# and cannot fail: it is total over all terms. Where forms exist both agree; what has no form stands so:
#
#     NaN              behind all other numbers, and equal to itself
#     reference terms  behind everything, by slot
#
# *Exact* comparison is for keys of maps: integers before floats, -0.0 before 0.0, and local funs by their uniq.
#
# What must stay true: integers and floats are compared without rounding either; nothing recurses (compare_t keeps its
# own stack, which starts on the C stack).

cdef extern from *:
    """
    /* number < atom < reference < fun < port < pid < tuple < map < nil < list < bit string < extension < object,
       by kind_t. */
    static const unsigned char RANK_OF_KIND[17] = {0, 0, 0, 1, 10, 10, 6, 9, 9, 8, 7, 11, 5, 2, 4, 3, 12};
    """
    const unsigned char[17] RANK_OF_KIND

cdef enum:
    RANK_NUMBER = 0
    RANK_ATOM = 1
    RANK_TUPLE = 6
    RANK_MAP = 7
    RANK_NIL = 8
    RANK_LIST = 9
    RANK_BITS = 10
    RANK_OBJECT = 12
    COMPARE_HOME = 16
    # of forms without elements: two atoms of 255 characters, each byte of which may be escaped, and a few integers
    COMPARE_FORM = 6144

cdef struct compare_level_t:
    const uint64_t* a
    const uint64_t* b
    size_t next                # steps taken
    int low                    # how to step: LOW_TUPLE, LOW_LIST, LOW_MAP
    bint a_improper
    bint b_improper
    bint exact

cdef struct compare_t:
    compare_level_t* levels    # home, or on the heap
    size_t depth
    size_t cap
    compare_level_t[COMPARE_HOME] home


# ---- numbers

cdef int double_compare(double a, double b) noexcept nogil:
    """NaN is behind all others."""
    if a < b:
        return -1
    if a > b:
        return 1
    if a == b:
        return 0
    return <int>(isnan(a) != 0) - <int>(isnan(b) != 0)


cdef int small_float_compare(int64_t value, double d) noexcept nogil:
    """A cell's integer against a float that is a number."""
    cdef int64_t whole
    if d >= 4611686018427387904.0:                             # 2^62: beyond all cells
        return -1
    if d < -4611686018427387904.0:
        return 1
    whole = <int64_t>d
    if value != whole:
        return -1 if value < whole else 1
    return double_compare(<double>whole, d)                    # exact: whole came out of d


cdef int big_float_compare(const integer_t* v, double d) noexcept nogil:
    """The magnitude of an integer beyond 63 bits against a float >= 2^62, both taken as positive."""
    cdef uint64_t bits, mantissa, x, y
    cdef int64_t shift, at
    cdef size_t i, length
    memcpy(&bits, &d, 8)
    if bits >> 52 & 0x7FF == 0x7FF:
        return -1
    mantissa = (bits & 0xFFFFFFFFFFFFFu) | (<uint64_t>1 << 52)
    shift = <int64_t>(bits >> 52 & 0x7FF) - 1075               # |d| = mantissa << shift, and shift > 0
    length = 8 * (v.n - 1) + top_bit(v.p[v.n - 1]) + 1
    if length != <size_t>(53 + shift):
        return -1 if length < <size_t>(53 + shift) else 1
    i = (v.n + 7) >> 3
    while i:
        i -= 1
        at = shift - 64 * <int64_t>i
        if at <= -64 or at >= 64:
            y = 0
        else:
            y = mantissa << at if at >= 0 else mantissa >> -at
        x = integer_word(v, i)
        if x != y:
            return -1 if x < y else 1
    return 0


cdef int int_float_compare(cell_t a, const char* abase, double d) noexcept nogil:
    """An integer of any size against a float, exactly."""
    cdef integer_t v
    if isnan(d):
        return -1
    if cell_is_int(a):
        return small_float_compare(term_int(a), d)
    integer_read(&v, a, abase)
    if v.negative:
        return -big_float_compare(&v, -d) if d <= -4611686018427387904.0 else -1
    return big_float_compare(&v, d) if d >= 4611686018427387904.0 else 1


cdef int number_compare(cell_t a, const char* abase, cell_t b, const char* bbase, bint exact) noexcept nogil:
    cdef bint a_float = (a & 0xFF) == LOW_FLOAT, b_float = (b & 0xFF) == LOW_FLOAT
    cdef double x, y
    cdef int order
    if not a_float and not b_float:
        return int_compare(a, abase, b, bbase)
    if a_float and b_float:
        x = term_float(a, abase)
        y = term_float(b, bbase)
        order = double_compare(x, y)
        if order == 0 and exact:
            return (signbit(y) != 0) - (signbit(x) != 0)
        return order
    if exact:
        return 1 if a_float else -1
    if b_float:
        return int_float_compare(a, abase, term_float(b, bbase))
    return -int_float_compare(b, bbase, term_float(a, abase))


# ---- what has no elements

cdef int bytes_compare(const char* a, size_t an, const char* b, size_t bn) noexcept nogil:
    """Of equal beginnings 0."""
    cdef int order = memcmp(a, b, an if an < bn else bn)
    return (order > 0) - (order < 0)


cdef int atom_compare(cell_t a, cell_t b) noexcept nogil:
    cdef size_t an, bn
    cdef const char* x
    cdef const char* y
    cdef int order
    if a == b:
        return 0
    x = atom_text(a, &an)
    y = atom_text(b, &bn)
    order = bytes_compare(x, an, y, bn)
    return order if order else (an > bn) - (an < bn)


cdef const char* bits_read(cell_t c, const char* base, char* scratch, size_t* n, size_t* bits) noexcept nogil:
    """The bytes of a binary or bit string, how many they are, and how many bits count. scratch: 8 bytes."""
    cdef const char* p
    if (c & 0xFF) != LOW_BITS:
        p = term_bytes(c, base, scratch, n)
        bits[0] = n[0] * 8
        return p
    p = cell_at(c, base)
    n[0] = cell_length(c) - 1
    bits[0] = n[0] * 8 - 8 + <size_t>p[0]
    return p + 1


cdef int bits_compare(cell_t a, const char* abase, cell_t b, const char* bbase) noexcept nogil:
    """Bits that do not count are 0, so bytes compare like bits, and of equal beginnings the shorter is smaller."""
    cdef char[8] ascratch
    cdef char[8] bscratch
    cdef size_t an, bn, abits, bbits
    cdef const char* x = bits_read(a, abase, ascratch, &an, &abits)
    cdef const char* y = bits_read(b, bbase, bscratch, &bn, &bbits)
    cdef int order = bytes_compare(x, an, y, bn)
    return order if order else (abits > bbits) - (abits < bbits)


cdef void opaque_form(buf_t* out, int low, const cell_t* cells, size_t n, bint exact) noexcept nogil:
    """What stands before the elements of a pid, port, reference or fun. The room is enough for it."""
    if low == LOW_PID:
        form_pid(out, cells)
    elif low == LOW_PORT:
        form_port(out, cells)
    elif low == LOW_REF:
        form_ref(out, cells, n, exact)
    elif n == FUN_CELLS:
        form_local(out, cells, exact)
    else:
        form_export(out, cells)


cdef int opaque_compare(cell_t a, const uint64_t* x, cell_t b, const uint64_t* y, bint exact) noexcept nogil:
    """Two pids, ports, references or funs, but for the captured values of funs."""
    cdef char[COMPARE_FORM] ahome
    cdef char[COMPARE_FORM] bhome
    cdef buf_t abuf, bbuf
    cdef int order
    buf_init(&abuf, ahome, sizeof(ahome))
    buf_init(&bbuf, bhome, sizeof(bhome))
    opaque_form(&abuf, cell_low(a), x + 1, cell_length(a), exact)
    opaque_form(&bbuf, cell_low(b), y + 1, cell_length(b), exact)
    order = bytes_compare(abuf.data, abuf.len, bbuf.data, bbuf.len)
    buf_free(&abuf)
    buf_free(&bbuf)
    return order


# ---- containers

cdef void compare_push(compare_t* w, const uint64_t* a, const uint64_t* b, int low, bint exact) noexcept nogil:
    cdef compare_level_t* top
    cdef compare_level_t* more
    if w.depth == w.cap:
        more = <compare_level_t*>malloc(w.cap * 2 * sizeof(compare_level_t))
        if more == NULL:
            fprintf(stderr, b"tsunami: out of memory in a comparison %zu levels deep\n", w.cap)
            abort()
        memcpy(more, w.levels, w.cap * sizeof(compare_level_t))
        if w.levels != w.home:
            free(w.levels)
        w.levels = more
        w.cap *= 2
    top = &w.levels[w.depth]
    top.a = a
    top.b = b
    top.next = 0
    top.low = low
    top.a_improper = top.b_improper = False
    top.exact = exact
    w.depth += 1


cdef inline size_t sized(cell_t c) noexcept nogil:
    """Cells of a tuple or map, empty ones included."""
    return cell_length(c) if cell_is_box(c) else 0


cdef int compare_boxes(
    compare_t* w, cell_t a, const uint64_t* x, cell_t b, const uint64_t* y, bint exact
) noexcept nogil:
    """Two containers of one rank that have bodies. 0: equal so far, and what is left has been taken up."""
    cdef int low = cell_low(a), order
    if x == y and a == b:
        return 0
    if low == LOW_TUPLE or low == LOW_MAP or low == LOW_EXT:
        compare_push(w, x, y, LOW_MAP if low == LOW_MAP else LOW_TUPLE, exact)
        return 0
    if low == LOW_LIST or low == LOW_IMPROPER:
        compare_push(w, x, y, LOW_LIST, exact)
        w.levels[w.depth - 1].a_improper = low == LOW_IMPROPER
        w.levels[w.depth - 1].b_improper = cell_low(b) == LOW_IMPROPER
        return 0
    order = opaque_compare(a, x, b, y, exact)
    if order or low != LOW_FUN or cell_length(a) != FUN_CELLS or not cell_is_box(x[1 + FUN_FREE]):
        return order
    compare_push(
        w, <const uint64_t*>cell_at(x[1 + FUN_FREE], <const char*>x),
        <const uint64_t*>cell_at(y[1 + FUN_FREE], <const char*>y), LOW_TUPLE, exact)
    return 0


cdef int compare_pair(
    compare_t* w, cell_t a, const char* abase, cell_t b, const char* bbase, bint exact
) noexcept nogil:
    """-1 or 1; or 0: equal so far, and what is left has been taken up."""
    cdef int rank = RANK_OF_KIND[<int>term_kind(a)], other = RANK_OF_KIND[<int>term_kind(b)]
    if rank != other:
        return -1 if rank < other else 1
    if rank == RANK_NUMBER:
        return number_compare(a, abase, b, bbase, exact)
    if rank == RANK_ATOM:
        return atom_compare(a, b)
    if rank == RANK_BITS:
        return bits_compare(a, abase, b, bbase)
    if rank == RANK_OBJECT:
        return (a > b) - (a < b)
    if rank == RANK_TUPLE or rank == RANK_MAP:
        if sized(a) != sized(b):
            return -1 if sized(a) < sized(b) else 1
    if not cell_is_box(a):
        return 0                                               # nil; empty tuples and maps
    return compare_boxes(
        w, a, <const uint64_t*>cell_at(a, abase), b, <const uint64_t*>cell_at(b, bbase), exact)


cdef int compare_lists(compare_t* w, compare_level_t* top) noexcept nogil:
    """The next elements of two lists, or how they end. A tail is never a list."""
    cdef size_t an = header_count(top.a[0]) - top.a_improper, bn = header_count(top.b[0]) - top.b_improper
    cdef size_t i = top.next
    cdef const uint64_t* x = top.a
    cdef const uint64_t* y = top.b
    cdef cell_t atail = x[1 + an] if top.a_improper else LOW_NIL, btail = y[1 + bn] if top.b_improper else LOW_NIL
    cdef bint exact = top.exact
    if i < an and i < bn:
        top.next = i + 1
        return compare_pair(w, x[1 + i], <const char*>x, y[1 + i], <const char*>y, exact)
    w.depth -= 1
    if an == bn:
        return compare_pair(w, atail, <const char*>x, btail, <const char*>y, exact)
    if an < bn:
        return -1 if RANK_OF_KIND[<int>term_kind(atail)] < RANK_LIST else 1
    return 1 if RANK_OF_KIND[<int>term_kind(btail)] < RANK_LIST else -1


cdef int compare_step(compare_t* w) noexcept nogil:
    """One step of the containers on top."""
    cdef compare_level_t* top = &w.levels[w.depth - 1]
    cdef size_t n = header_count(top.a[0]), i = top.next
    cdef const uint64_t* x = top.a
    cdef const uint64_t* y = top.b
    cdef bint exact = top.exact
    if top.low == LOW_LIST:
        return compare_lists(w, top)
    if i == n:
        w.depth -= 1
        return 0
    top.next = i + 1
    if top.low == LOW_MAP:                                     # all keys, then all values
        exact = exact or i < n // 2
        i = 2 * i if i < n // 2 else 2 * (i - n // 2) + 1
    return compare_pair(w, x[1 + i], <const char*>x, y[1 + i], <const char*>y, exact)


cdef int compare_as(cell_t a, const char* abase, cell_t b, const char* bbase, bint exact) noexcept nogil:
    cdef compare_t w
    cdef int order
    w.levels = w.home
    w.cap = COMPARE_HOME
    w.depth = 0
    order = compare_pair(&w, a, abase, b, bbase, exact)
    while order == 0 and w.depth:
        order = compare_step(&w)
    if w.levels != w.home:
        free(w.levels)
    return order


cdef inline int term_compare(cell_t a, const char* abase, cell_t b, const char* bbase) noexcept nogil:
    """-1, 0 or 1: Erlang's order of any two terms. 0 is `==`."""
    if not ((a | b) & 1):                                      # two small integers: as their cells
        return (<int64_t>a > <int64_t>b) - (<int64_t>a < <int64_t>b)
    return compare_as(a, abase, b, bbase, False)


cdef int term_compare_exact(cell_t a, const char* abase, cell_t b, const char* bbase) noexcept nogil:
    """-1, 0 or 1: the order of keys in a map. 0 is `=:=`."""
    return compare_as(a, abase, b, bbase, True)
