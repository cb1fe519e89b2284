# Erlang's arithmetic on terms: integers of any size and floats. Part of match.pxi's floor.
#
# Each function takes operands as val_t, gives its result as val_t, and answers ST_OK, ST_BADARG (the operation fails
# in Erlang's sense: badarith, badarg, system_limit) or ST_NO_MEMORY. Results that are no cells stand in the heap_t.
#
# What must stay true:
# 1. Integers never overflow; floats never become infinite or NaN: such a result is a failure.
# 2. Where integers and floats meet in + - * both become floats, and it fails if the integer is too big for one; `/`
#    always does so. An integer becomes the nearest float, ties to even.
# 3. Nobody waits long: an integer result has at most INT_BITS_MAX bits, as Erlang has a limit, and beyond
#    KARATSUBA_WORDS a product takes n^1.6. Division is the schoolbook's: at most half a second at that limit.
#
# Magnitudes are arrays of words, lowest first ("limbs"), in the heap, so that a result needs no copy.

from libc.math cimport ceil, fabs, floor, isfinite, ldexp, round, trunc

cdef extern from *:
    """
    /* a * b + c + *carry: the low word; the high one goes to *carry. It cannot overflow. */
    static inline uint64_t mul_add(uint64_t a, uint64_t b, uint64_t c, uint64_t *carry) {
        unsigned __int128 p = (unsigned __int128)a * b + c + *carry;
        *carry = (uint64_t)(p >> 64);
        return (uint64_t)p;
    }
    static inline int mul_small(int64_t a, int64_t b, int64_t *p) { return __builtin_mul_overflow(a, b, p); }
    """
    uint64_t mul_add(uint64_t a, uint64_t b, uint64_t c, uint64_t* carry) noexcept nogil
    bint mul_small(int64_t a, int64_t b, int64_t* p) noexcept nogil

cdef enum:
    INT_BITS_MAX = 1 << 22
    KARATSUBA_WORDS = 40
    BIT_AND = 0
    BIT_OR = 1
    BIT_XOR = 2


# ---- the heap: memory that lasts until the next run

cdef struct val_t:
    cell_t c
    const char* base           # as everywhere: the cell's offset counts from here

cdef struct heap_chunk_t:
    heap_chunk_t* older
    size_t bytes               # behind this head

cdef struct heap_t:
    char* at
    char* end
    heap_chunk_t* chunk             # the newest, which is the largest
    size_t taken               # bytes of all chunks

cdef enum:
    HEAP_FIRST = 4096
    HEAP_MAX = 1 << 28         # what one run may take in all: beyond it an expression fails


cdef void heap_open(heap_t* h) noexcept nogil:
    h.at = h.end = NULL
    h.chunk = NULL
    h.taken = 0


cdef inline char* heap_chunk_data(heap_chunk_t* c) noexcept nogil:
    return <char*>c + sizeof(heap_chunk_t)


cdef void heap_drop(heap_t* h, heap_chunk_t* until) noexcept nogil:
    cdef heap_chunk_t* older
    while h.chunk != until:
        older = h.chunk.older
        h.taken -= h.chunk.bytes
        free(h.chunk)
        h.chunk = older


cdef void heap_close(heap_t* h) noexcept nogil:
    heap_drop(h, NULL)
    h.at = h.end = NULL


cdef void heap_reset(heap_t* h) noexcept nogil:
    """All is free again. One chunk is kept, if it is not unusually large."""
    cdef heap_chunk_t* newest = h.chunk
    if newest == NULL:
        return
    h.chunk = newest.older
    h.taken -= newest.bytes
    heap_drop(h, NULL)
    if newest.bytes > (1 << 20):
        free(newest)
        h.at = h.end = NULL
        return
    newest.older = NULL
    h.chunk = newest
    h.taken = newest.bytes
    h.at = heap_chunk_data(newest)
    h.end = h.at + newest.bytes


cdef int heap_grow(heap_t* h, size_t bytes) noexcept nogil:
    cdef size_t size = h.chunk.bytes * 2 if h.chunk != NULL else HEAP_FIRST
    cdef heap_chunk_t* more
    if size > (1 << 20):
        size = 1 << 20
    if size < bytes:
        size = bytes
    if bytes > HEAP_MAX or h.taken > HEAP_MAX - bytes:
        return ST_BADARG
    more = <heap_chunk_t*>malloc(sizeof(heap_chunk_t) + size)
    if more == NULL:
        return ST_NO_MEMORY
    more.older = h.chunk
    more.bytes = size
    h.chunk = more
    h.taken += size
    h.at = heap_chunk_data(more)
    h.end = h.at + size
    return ST_OK


cdef inline int heap_take(heap_t* h, size_t words, uint64_t** out) noexcept nogil:
    """Room for so many words, not cleared. ST_BADARG beyond the limit."""
    cdef int status
    if <size_t>(h.end - h.at) < words * 8:
        status = heap_grow(h, words * 8)
        if status != ST_OK:
            return status
    out[0] = <uint64_t*>h.at
    h.at += words * 8
    return ST_OK


cdef inline void heap_give_back(heap_t* h, uint64_t* behind) noexcept nogil:
    """Cut off what was taken last, from `behind` on."""
    h.at = <char*>behind


# ---- results

cdef inline int give_cell(val_t* out, cell_t c) noexcept nogil:
    out.c = c
    out.base = NULL
    return ST_OK


cdef inline int give_bool(val_t* out, bint value) noexcept nogil:
    return give_cell(out, cell_atom(ATOM_TRUE if value else ATOM_FALSE))


cdef int give_limbs(val_t* out, uint64_t* limbs, size_t n, bint negative) noexcept nogil:
    """An integer out of its magnitude, which stands in the heap; leading zeros do no harm."""
    while n and limbs[n - 1] == 0:
        n -= 1
    if n == 0:
        return give_cell(out, cell_int(0))
    if n == 1 and limbs[0] <= <uint64_t>INT63_MAX + (1 if negative else 0):
        return give_cell(out, cell_int(<int64_t>(0 - limbs[0]) if negative else <int64_t>limbs[0]))
    if n > INT_BITS_MAX // 64:
        return ST_BADARG
    out.c = cell_body(LOW_NEGATIVE if negative else LOW_POSITIVE, 8 * n - (63 - top_bit(limbs[n - 1])) // 8, 0)
    out.base = <const char*>limbs
    return ST_OK


cdef int give_int(heap_t* h, val_t* out, int64_t value) noexcept nogil:
    cdef uint64_t* limbs = NULL
    cdef int status
    if fits_cell(value):
        return give_cell(out, cell_int(value))
    status = heap_take(h, 1, &limbs)
    if status != ST_OK:
        return status
    limbs[0] = 0 - <uint64_t>value if value < 0 else <uint64_t>value
    return give_limbs(out, limbs, 1, value < 0)


cdef int give_float(heap_t* h, val_t* out, double value) noexcept nogil:
    """Fails where the value is none of Erlang's."""
    cdef uint64_t* body = NULL
    cdef int status
    if not isfinite(value):
        return ST_BADARG
    status = heap_take(h, 1, &body)
    if status == ST_OK:
        memcpy(body, &value, 8)
        out.c = cell_body(LOW_FLOAT, 8, 0)
        out.base = <const char*>body
    return status


# ---- operands

cdef inline bint val_is_integer(const val_t* v) noexcept nogil:
    return cell_is_int(v.c) or (v.c & 0xFF) == LOW_POSITIVE or (v.c & 0xFF) == LOW_NEGATIVE


cdef inline bint val_is_float(const val_t* v) noexcept nogil:
    return (v.c & 0xFF) == LOW_FLOAT


cdef inline bint val_is_number(const val_t* v) noexcept nogil:
    return val_is_integer(v) or val_is_float(v)


cdef inline bint val_is_cell(const val_t* v) noexcept nogil:
    return not (v.c & 1)


cdef size_t integer_words(const integer_t* v) noexcept nogil:
    return (v.n + 7) >> 3


cdef int big_double(const integer_t* v, double* out) noexcept nogil:
    """The nearest float of a magnitude of more than 64 bits, or of none at all."""
    cdef size_t n = integer_words(v), i
    cdef uint64_t top, below
    cdef int shift
    if n > 17:                                                 # 2^1024 has 17 words
        return ST_BADARG
    top = integer_word(v, n - 1)
    shift = 63 - top_bit(top)
    below = 0
    if n > 1:
        below = integer_word(v, n - 2)
        if shift:
            top = top << shift | below >> (64 - shift)
            below <<= shift
        for i in range(n - 2):
            below |= integer_word(v, i)
    else:
        top <<= shift
    # 64 bits, the lowest of which also says whether anything follows: rounding them is rounding the whole
    out[0] = ldexp(<double>(top | (1 if below else 0)), 64 * <int>(n - 1) - shift)
    return ST_OK if isfinite(out[0]) else ST_BADARG


cdef int val_double(const val_t* v, double* out) noexcept nogil:
    """A number as a float. Fails for what is no number, and for integers too big."""
    cdef integer_t big
    cdef int status
    if val_is_cell(v):
        out[0] = <double>term_int(v.c)
        return ST_OK
    if val_is_float(v):
        out[0] = term_float(v.c, v.base)
        return ST_OK
    if not val_is_integer(v):
        return ST_BADARG
    integer_read(&big, v.c, v.base)
    status = big_double(&big, out)
    if big.negative:
        out[0] = -out[0]
    return status


cdef int float_pair(const val_t* a, const val_t* b, double* x, double* y) noexcept nogil:
    if val_double(a, x) != ST_OK or val_double(b, y) != ST_OK:
        return ST_BADARG
    return ST_OK


cdef int limbs_of(heap_t* h, const integer_t* v, uint64_t** limbs, size_t* n) noexcept nogil:
    """The magnitude as words of our own."""
    cdef size_t i
    cdef int status
    n[0] = integer_words(v)
    status = heap_take(h, n[0] + 1, limbs)
    if status == ST_OK:
        for i in range(n[0]):
            limbs[0][i] = integer_word(v, i)
        limbs[0][n[0]] = 0
    return status


# ---- sums

cdef int add_magnitudes(heap_t* h, const integer_t* x, const integer_t* y, bint subtract, val_t* out) noexcept nogil:
    """x + y, or x - y with |y| <= |x|; with x's sign."""
    cdef size_t n = integer_words(x), i
    cdef uint64_t* limbs = NULL
    cdef bint carry = False
    cdef int status
    if n > INT_BITS_MAX // 64:
        return ST_BADARG
    status = heap_take(h, n + 1, &limbs)
    if status != ST_OK:
        return status
    if subtract:
        for i in range(n):
            carry = borrow_sub(integer_word(x, i), integer_word(y, i), carry, &limbs[i])
    else:
        for i in range(n):
            carry = carry_add(integer_word(x, i), integer_word(y, i), carry, &limbs[i])
    limbs[n] = 1 if carry and not subtract else 0
    return give_limbs(out, limbs, n + 1, x.negative)


cdef int int_sum(heap_t* h, const val_t* a, const val_t* b, bint subtract, val_t* out) noexcept nogil:
    cdef integer_t x, y
    cdef int64_t p, q
    if val_is_cell(a) and val_is_cell(b):
        p = term_int(a.c)
        q = term_int(b.c)
        return give_int(h, out, p - q if subtract else p + q)
    integer_read(&x, a.c, a.base)
    integer_read(&y, b.c, b.base)
    if subtract:
        y.negative = not y.negative
    if magnitude_compare(&x, &y) < 0:
        return add_magnitudes(h, &y, &x, x.negative != y.negative, out)
    return add_magnitudes(h, &x, &y, x.negative != y.negative, out)


cdef int arith_add(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    cdef double x, y
    if val_is_integer(a) and val_is_integer(b):
        return int_sum(h, a, b, False, out)
    return give_float(h, out, x + y) if float_pair(a, b, &x, &y) == ST_OK else ST_BADARG


cdef int arith_sub(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    cdef double x, y
    if val_is_integer(a) and val_is_integer(b):
        return int_sum(h, a, b, True, out)
    return give_float(h, out, x - y) if float_pair(a, b, &x, &y) == ST_OK else ST_BADARG


cdef int arith_neg(heap_t* h, const val_t* a, val_t* out) noexcept nogil:
    """-X of a float turns its sign, of 0.0 too."""
    cdef val_t zero
    if val_is_float(a):
        return give_float(h, out, -term_float(a.c, a.base))
    if not val_is_integer(a):
        return ST_BADARG
    give_cell(&zero, cell_int(0))
    return int_sum(h, &zero, a, True, out)


cdef int arith_abs(heap_t* h, const val_t* a, val_t* out) noexcept nogil:
    cdef integer_t v
    if val_is_float(a):
        return give_float(h, out, fabs(term_float(a.c, a.base)))
    if not val_is_integer(a):
        return ST_BADARG
    integer_read(&v, a.c, a.base)
    if v.negative:
        return arith_neg(h, a, out)
    out[0] = a[0]
    return ST_OK


# ---- products

cdef void school_mul(const uint64_t* a, size_t an, const uint64_t* b, size_t bn, uint64_t* out) noexcept nogil:
    """out[0 .. an+bn) = a * b."""
    cdef size_t i, j
    cdef uint64_t carry
    memset(out, 0, (an + bn) * 8)
    for i in range(an):
        carry = 0
        for j in range(bn):
            out[i + j] = mul_add(a[i], b[j], out[i + j], &carry)
        out[i + bn] = carry


cdef uint64_t limbs_add(uint64_t* out, size_t n, const uint64_t* a, size_t an) noexcept nogil:
    """out[0..n) += a[0..an), an <= n. The carry."""
    cdef size_t i
    cdef bint carry = False
    for i in range(an):
        carry = carry_add(out[i], a[i], carry, &out[i])
    for i in range(an, n):
        if not carry:
            break
        carry = carry_add(out[i], 0, carry, &out[i])
    return carry


cdef void limbs_sub(uint64_t* out, size_t n, const uint64_t* a, size_t an) noexcept nogil:
    """out[0..n) -= a[0..an), which is not greater."""
    cdef size_t i
    cdef bint borrow = False
    for i in range(an):
        borrow = borrow_sub(out[i], a[i], borrow, &out[i])
    for i in range(an, n):
        if not borrow:
            break
        borrow = borrow_sub(out[i], 0, borrow, &out[i])


cdef void karatsuba(const uint64_t* a, const uint64_t* b, size_t n, uint64_t* out, uint64_t* scratch) noexcept nogil:
    """out[0..2n) = a[0..n) * b[0..n), with 6n + 512 words of scratch. It recurses log2(n) deep: n is at most 2^16.

        a = a1 * B + a0, b = b1 * B + b0:   a * b = a1*b1 * B^2 + ((a1+a0)*(b1+b0) - a1*b1 - a0*b0) * B + a0*b0
    """
    cdef size_t low, high, m
    cdef uint64_t* x
    cdef uint64_t* y
    cdef uint64_t* p
    if n < KARATSUBA_WORDS:
        school_mul(a, n, b, n, out)
        return
    low = n // 2
    high = n - low                                             # high >= low: the sums fit high + 1 words
    m = high + 1
    x = scratch
    y = x + m
    p = y + m
    scratch = p + 2 * m
    karatsuba(a, b, low, out, scratch)
    karatsuba(a + low, b + low, high, out + 2 * low, scratch)
    memcpy(x, a + low, high * 8)
    x[high] = 0
    limbs_add(x, m, a, low)
    memcpy(y, b + low, high * 8)
    y[high] = 0
    limbs_add(y, m, b, low)
    karatsuba(x, y, m, p, scratch)
    limbs_sub(p, 2 * m, out, 2 * low)
    limbs_sub(p, 2 * m, out + 2 * low, 2 * high)
    m = 2 * n - low if 2 * m > 2 * n - low else 2 * m          # what is left of p's top is 0
    limbs_add(out + low, 2 * n - low, p, m)


cdef int limbs_mul(
    heap_t* h, const uint64_t* a, size_t an, const uint64_t* b, size_t bn, uint64_t** product
) noexcept nogil:
    """A product of an + bn words, an >= bn: pieces of the longer one, each as long as the shorter one."""
    cdef size_t i, take
    cdef uint64_t* out = NULL
    cdef uint64_t* part = NULL
    cdef int status = heap_take(h, an + bn, &out)
    product[0] = out
    if status != ST_OK:
        return status
    if bn < KARATSUBA_WORDS:
        school_mul(a, an, b, bn, out)
        return ST_OK
    status = heap_take(h, 2 * bn + 6 * bn + 512, &part)
    if status != ST_OK:
        return status
    memset(out, 0, (an + bn) * 8)
    i = 0
    while i < an:
        take = an - i if an - i < bn else bn
        if take == bn:
            karatsuba(a + i, b, bn, part, part + 2 * bn)
        else:
            school_mul(b, bn, a + i, take, part)
        limbs_add(out + i, an + bn - i, part, take + bn)
        i += take
    heap_give_back(h, part)
    return ST_OK


cdef int int_mul(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    cdef integer_t x, y
    cdef uint64_t* p = NULL
    cdef uint64_t* q = NULL
    cdef uint64_t* product = NULL
    cdef size_t n = 0, m = 0
    cdef int64_t small
    cdef int status
    if val_is_cell(a) and val_is_cell(b) and not mul_small(term_int(a.c), term_int(b.c), &small):
        return give_int(h, out, small)
    integer_read(&x, a.c, a.base)
    integer_read(&y, b.c, b.base)
    if x.n == 0 or y.n == 0:
        return give_cell(out, cell_int(0))
    if integer_words(&x) + integer_words(&y) > INT_BITS_MAX // 64 + 1:
        return ST_BADARG
    status = limbs_of(h, &x, &p, &n)
    if status == ST_OK:
        status = limbs_of(h, &y, &q, &m)
    if status == ST_OK:
        status = limbs_mul(h, p, n, q, m, &product) if n >= m else limbs_mul(h, q, m, p, n, &product)
    return give_limbs(out, product, n + m, x.negative != y.negative) if status == ST_OK else status


cdef int arith_mul(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    cdef double x, y
    if val_is_integer(a) and val_is_integer(b):
        return int_mul(h, a, b, out)
    return give_float(h, out, x * y) if float_pair(a, b, &x, &y) == ST_OK else ST_BADARG


cdef int arith_fdiv(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    """`/`"""
    cdef double x, y
    if float_pair(a, b, &x, &y) != ST_OK or y == 0.0:
        return ST_BADARG
    return give_float(h, out, x / y)


# ---- quotients

cdef void shift_left(uint64_t* p, size_t n, int by) noexcept nogil:
    """By 0..63 bits; the top word has room."""
    cdef size_t i = n
    if by == 0:
        return
    while i > 1:
        i -= 1
        p[i] = p[i] << by | p[i - 1] >> (64 - by)
    p[0] <<= by


cdef void shift_right(uint64_t* p, size_t n, int by) noexcept nogil:
    cdef size_t i
    if by == 0:
        return
    for i in range(n - 1):
        p[i] = p[i] >> by | p[i + 1] << (64 - by)
    p[n - 1] >>= by


cdef uint64_t sub_times(uint64_t* u, const uint64_t* v, size_t n, uint64_t q) noexcept nogil:
    """u[0..n) -= v[0..n) * q. What is to be taken from u[n]."""
    cdef size_t i
    cdef uint64_t carry = 0, low
    cdef bint borrow = False
    for i in range(n):
        low = mul_add(v[i], q, 0, &carry)
        borrow = borrow_sub(u[i], low, borrow, &u[i])
    return carry + (1 if borrow else 0)


cdef uint64_t quotient_guess(uint64_t high, uint64_t middle, uint64_t low, uint64_t v1, uint64_t v0) noexcept nogil:
    """Knuth's q^: at most one too large. v1 has its highest bit set, and high <= v1."""
    cdef uint64_t q, rest = 0, carry, product
    if high == v1:
        q = ~<uint64_t>0
        rest = middle + v1
        if rest < v1:                                          # the rest has outgrown a word: q is good
            return q
    else:
        q = divide_words(high, middle, v1, &rest)
    while True:
        carry = 0
        product = mul_add(q, v0, 0, &carry)
        if carry < rest or (carry == rest and product <= low):
            return q
        q -= 1
        rest += v1
        if rest < v1:
            return q


cdef void long_division(uint64_t* u, size_t un, const uint64_t* v, size_t n, uint64_t* q) noexcept nogil:
    """Algorithm D of Knuth's TAOCP 4.3.1: q[0..un-n) = u div v, and u becomes the rest. v has n >= 2 words, the highest
    bit set; u has un > n words, the top one less than v's."""
    cdef size_t j = un - n
    cdef uint64_t guess, taken, top
    while j:
        j -= 1
        guess = quotient_guess(u[j + n], u[j + n - 1], u[j + n - 2], v[n - 1], v[n - 2])
        taken = sub_times(u + j, v, n, guess)
        top = u[j + n]
        u[j + n] = top - taken
        if top < taken:                                        # one too many: give it back
            guess -= 1
            u[j + n] += limbs_add(u + j, n, v, n)
        q[j] = guess


cdef int big_division(
    heap_t* h, const integer_t* x, const integer_t* y, uint64_t** q, size_t* qn, uint64_t** r, size_t* rn
) noexcept nogil:
    """|x| = |y| * q + r, with |x| >= |y| > 0."""
    cdef uint64_t* u = NULL
    cdef uint64_t* v = NULL
    cdef uint64_t rest = 0
    cdef size_t un = 0, n = 0, i
    cdef int shift, status
    status = limbs_of(h, x, &u, &un)                           # with one word of room above
    if status == ST_OK:
        status = limbs_of(h, y, &v, &n)
    if status == ST_OK:
        status = heap_take(h, un + 1, q)
    if status != ST_OK:
        return status
    r[0] = u
    rn[0] = n
    qn[0] = un
    if n == 1:
        i = un
        while i:
            i -= 1
            q[0][i] = divide_words(rest, u[i], v[0], &rest)
        u[0] = rest
        return ST_OK
    shift = 63 - top_bit(v[n - 1])
    shift_left(v, n, shift)
    shift_left(u, un + 1, shift)
    long_division(u, un + 1, v, n, q[0])
    qn[0] = un + 1 - n
    shift_right(u, n, shift)
    return ST_OK


cdef int int_divide(heap_t* h, const val_t* a, const val_t* b, bint want_rest, val_t* out) noexcept nogil:
    cdef integer_t x, y
    cdef uint64_t* q = NULL
    cdef uint64_t* r = NULL
    cdef size_t qn = 0, rn = 0
    cdef int64_t p, d
    cdef int status
    if not val_is_integer(a) or not val_is_integer(b) or b.c == cell_int(0):
        return ST_BADARG
    if val_is_cell(a) and val_is_cell(b):
        p = term_int(a.c)
        d = term_int(b.c)
        return give_int(h, out, p % d if want_rest else p // d)    # C's: towards zero
    integer_read(&x, a.c, a.base)
    integer_read(&y, b.c, b.base)
    if magnitude_compare(&x, &y) < 0:
        if not want_rest:
            return give_cell(out, cell_int(0))
        out[0] = a[0]
        return ST_OK
    if integer_words(&x) > INT_BITS_MAX // 64:
        return ST_BADARG
    status = big_division(h, &x, &y, &q, &qn, &r, &rn)
    if status != ST_OK:
        return status
    if want_rest:
        return give_limbs(out, r, rn, x.negative)
    return give_limbs(out, q, qn, x.negative != y.negative)


cdef int arith_div(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    return int_divide(h, a, b, False, out)


cdef int arith_rem(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    return int_divide(h, a, b, True, out)


# ---- bits: as if integers were two's complement without end

cdef inline uint64_t twos_word(const integer_t* v, size_t i, bint* borrow) noexcept nogil:
    """Word i of the two's complement; to be asked for in order. -m is ~(m - 1)."""
    cdef uint64_t word = integer_word(v, i)
    if not v.negative:
        return word
    borrow[0] = borrow_sub(word, 0, borrow[0], &word)
    return ~word


cdef inline uint64_t bit_op(int op, uint64_t a, uint64_t b) noexcept nogil:
    if op == BIT_AND:
        return a & b
    return a | b if op == BIT_OR else a ^ b


cdef int int_bits(heap_t* h, int op, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    cdef integer_t x, y
    cdef uint64_t* limbs = NULL
    cdef size_t n, i
    cdef bint xborrow = True, yborrow = True, carry = True, negative
    cdef int status
    if not val_is_integer(a) or not val_is_integer(b):
        return ST_BADARG
    if val_is_cell(a) and val_is_cell(b):
        return give_cell(out, bit_op(op, a.c, b.c))
    integer_read(&x, a.c, a.base)
    integer_read(&y, b.c, b.base)
    negative = bit_op(op, x.negative, y.negative)
    n = 1 + (integer_words(&x) if x.n > y.n else integer_words(&y))
    if n > INT_BITS_MAX // 64 + 1:
        return ST_BADARG
    status = heap_take(h, n, &limbs)
    if status != ST_OK:
        return status
    for i in range(n):
        limbs[i] = bit_op(op, twos_word(&x, i, &xborrow), twos_word(&y, i, &yborrow))
        if negative:                                           # back to a magnitude: ~w + 1
            carry = carry_add(~limbs[i], 0, carry, &limbs[i])
    return give_limbs(out, limbs, n, negative)


cdef int arith_band(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    return int_bits(h, BIT_AND, a, b, out)


cdef int arith_bor(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    return int_bits(h, BIT_OR, a, b, out)


cdef int arith_bxor(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    return int_bits(h, BIT_XOR, a, b, out)


cdef int arith_bnot(heap_t* h, const val_t* a, val_t* out) noexcept nogil:
    """-X - 1"""
    cdef val_t minus
    if not val_is_integer(a):
        return ST_BADARG
    give_cell(&minus, cell_int(-1))
    return int_sum(h, &minus, a, True, out)


cdef int shift_up(heap_t* h, const integer_t* x, size_t by, val_t* out) noexcept nogil:
    cdef size_t n = integer_words(x), words = by >> 6, i
    cdef uint64_t* limbs = NULL
    cdef int status
    if x.n == 0:
        return give_cell(out, cell_int(0))
    if n * 64 + by > INT_BITS_MAX + 64:                        # exactly: give_limbs
        return ST_BADARG
    status = heap_take(h, n + words + 1, &limbs)
    if status != ST_OK:
        return status
    memset(limbs, 0, words * 8)
    for i in range(n):
        limbs[words + i] = integer_word(x, i)
    limbs[words + n] = 0
    shift_left(limbs + words, n + 1, by & 63)
    return give_limbs(out, limbs, n + words + 1, x.negative)


cdef int shift_down(heap_t* h, const integer_t* x, size_t by, val_t* out) noexcept nogil:
    """Rounds down: of negative numbers what is lost counts."""
    cdef size_t n = integer_words(x), words = by >> 6, i
    cdef uint64_t* limbs = NULL
    cdef uint64_t one = 1, lost = 0
    cdef int status
    if words >= n:
        return give_cell(out, cell_int(-1 if x.negative else 0))
    status = heap_take(h, n - words + 1, &limbs)
    if status != ST_OK:
        return status
    for i in range(words):
        lost |= integer_word(x, i)
    for i in range(n - words):
        limbs[i] = integer_word(x, words + i)
    limbs[n - words] = 0
    if by & 63:
        lost |= limbs[0] << (64 - (by & 63))
    shift_right(limbs, n - words + 1, by & 63)
    if x.negative and lost:
        limbs_add(limbs, n - words + 1, &one, 1)
    return give_limbs(out, limbs, n - words + 1, x.negative)


cdef int int_shift(heap_t* h, const val_t* a, const val_t* b, bint left, val_t* out) noexcept nogil:
    cdef integer_t x, by
    cdef uint64_t far = ~<uint64_t>0 >> 8                      # astronomic: more than all limits
    if not val_is_integer(a) or not val_is_integer(b):
        return ST_BADARG
    integer_read(&x, a.c, a.base)
    integer_read(&by, b.c, b.base)
    if by.n < 8 and integer_word(&by, 0) < far:
        far = integer_word(&by, 0)
    if left != by.negative:
        return shift_up(h, &x, far, out)
    return shift_down(h, &x, far, out)


cdef int arith_bsl(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    return int_shift(h, a, b, True, out)


cdef int arith_bsr(heap_t* h, const val_t* a, const val_t* b, val_t* out) noexcept nogil:
    return int_shift(h, a, b, False, out)


# ---- between floats and integers

cdef int whole_integer(heap_t* h, double d, val_t* out) noexcept nogil:
    """A float without a fraction as the integer that it is."""
    cdef uint64_t bits, mantissa
    cdef uint64_t* limbs = NULL
    cdef size_t shift, n
    cdef int status
    if not isfinite(d):
        return ST_BADARG
    if -4611686018427387904.0 <= d < 4611686018427387904.0:    # 2^62
        return give_cell(out, cell_int(<int64_t>d))
    memcpy(&bits, &d, 8)
    mantissa = (bits & 0xFFFFFFFFFFFFFu) | (<uint64_t>1 << 52)
    shift = (bits >> 52 & 0x7FF) - 1075
    n = shift // 64
    status = heap_take(h, n + 2, &limbs)
    if status != ST_OK:
        return status
    memset(limbs, 0, (n + 2) * 8)
    limbs[n] = mantissa
    shift_left(limbs + n, 2, shift & 63)
    return give_limbs(out, limbs, n + 2, d < 0)


ctypedef double (*rounding_t)(double) noexcept nogil


cdef int arith_whole(heap_t* h, const val_t* a, rounding_t rounding, val_t* out) noexcept nogil:
    """round, trunc, ceil, floor."""
    if val_is_integer(a):
        out[0] = a[0]
        return ST_OK
    if not val_is_float(a):
        return ST_BADARG
    return whole_integer(h, rounding(term_float(a.c, a.base)), out)


cdef int arith_float(heap_t* h, const val_t* a, val_t* out) noexcept nogil:
    cdef double d
    if val_is_float(a):
        out[0] = a[0]
        return ST_OK
    return give_float(h, out, d) if val_double(a, &d) == ST_OK else ST_BADARG
