# Integers of any size: sum, comparison, decimal text. Part of term.pxi's floor; the grammar stands there.
#
# Not a big-number library: update_counter needs sums and comparisons, replies need text. Sums and comparisons take
# linear time. Decimal text takes quadratic time with a small constant: 0.1 s for 100,000 digits.

cdef extern from *:
    """
    /* hi:lo divided by d, where hi < d: the processor's own division, which the compiler does not dare to use. */
    static inline uint64_t divide_words(uint64_t hi, uint64_t lo, uint64_t d, uint64_t *rest) {
    #if defined(__x86_64__)
        uint64_t q, r;
        __asm__("divq %4" : "=a"(q), "=d"(r) : "a"(lo), "d"(hi), "r"(d) : "cc");
        *rest = r;
        return q;
    #else
        __uint128_t n = (__uint128_t)hi << 64 | lo;
        *rest = (uint64_t)(n % d);
        return (uint64_t)(n / d);
    #endif
    }
    static inline int carry_add(uint64_t a, uint64_t b, int carry, uint64_t *sum) {
        int c = __builtin_add_overflow(a, b, sum);
        return c | __builtin_add_overflow(*sum, (uint64_t)carry, sum);
    }
    static inline int borrow_sub(uint64_t a, uint64_t b, int borrow, uint64_t *difference) {
        int c = __builtin_sub_overflow(a, b, difference);
        return c | __builtin_sub_overflow(*difference, (uint64_t)borrow, difference);
    }
    static inline int top_bit(uint64_t x) { return 63 - __builtin_clzll(x); }
    """
    uint64_t divide_words(uint64_t hi, uint64_t lo, uint64_t d, uint64_t* rest) noexcept nogil
    bint carry_add(uint64_t a, uint64_t b, bint carry, uint64_t* sum) noexcept nogil
    bint borrow_sub(uint64_t a, uint64_t b, bint borrow, uint64_t* difference) noexcept nogil
    int top_bit(uint64_t x) noexcept nogil                     # of x > 0: floor(log2(x))

cdef enum:
    DECIMAL_CHUNK = 19                                         # digits that fit a word

cdef struct integer_t:
    uint64_t small             # the magnitude, where the integer is a cell
    const unsigned char* p     # the magnitude's bytes, lowest first, without leading zeros (NULL: see small)
    size_t n                   # how many they are
    bint negative


cdef void integer_read(integer_t* v, cell_t c, const char* base) noexcept nogil:
    cdef int64_t value
    if cell_is_int(c):
        value = term_int(c)
        v.negative = value < 0
        v.small = 0 - <uint64_t>value if value < 0 else <uint64_t>value
        v.n = (top_bit(v.small) >> 3) + 1 if v.small else 0
        v.p = NULL
    else:
        v.negative = cell_low(c) == LOW_NEGATIVE
        v.p = <const unsigned char*>cell_at(c, base)
        v.n = cell_length(c)
        v.small = 0


cdef inline uint64_t integer_word(const integer_t* v, size_t i) noexcept nogil:
    """Word i of the magnitude, 0 beyond its end."""
    if i * 8 >= v.n:
        return 0
    if v.p == NULL:
        return v.small
    if i * 8 + 8 <= v.n:
        return load64(v.p + i * 8)
    return load_short(v.p + i * 8, v.n - i * 8)


cdef int magnitude_compare(const integer_t* a, const integer_t* b) noexcept nogil:
    cdef size_t i
    cdef uint64_t x, y
    if a.n != b.n:
        return -1 if a.n < b.n else 1
    i = (a.n + 7) >> 3
    while i:
        i -= 1
        x = integer_word(a, i)
        y = integer_word(b, i)
        if x != y:
            return -1 if x < y else 1
    return 0


cdef int int_compare(cell_t a, const char* abase, cell_t b, const char* bbase) noexcept nogil:
    """-1, 0 or 1, of two integers (K_INT or K_BIG)."""
    cdef integer_t x, y
    if cell_is_int(a) and cell_is_int(b):
        return (term_int(a) > term_int(b)) - (term_int(a) < term_int(b))
    integer_read(&x, a, abase)
    integer_read(&y, b, bbase)
    if x.negative != y.negative:
        return -1 if x.negative else 1
    return -magnitude_compare(&x, &y) if x.negative else magnitude_compare(&x, &y)


cdef int integer_close(buf_t* out, size_t at, bint negative, cell_t* result) noexcept nogil:
    """Make an integer of the magnitude whose words have been appended from `at` on."""
    cdef size_t n = out.len - at
    cdef uint64_t word
    while n and out.data[at + n - 1] == 0:
        n -= 1
    if n > LENGTH_MAX:
        return ST_TOO_LARGE
    if n <= 8:
        word = load_short(<const unsigned char*>out.data + at, n) if n < 8 else load64(out.data + at)
        if word <= <uint64_t>INT63_MAX + (1 if negative else 0):
            out.len = at
            result[0] = cell_int(<int64_t>(0 - word) if negative else <int64_t>word)
            return ST_OK
    out.len = at + ((n + 7) & ~<size_t>7)
    result[0] = cell_body(LOW_NEGATIVE if negative else LOW_POSITIVE, n, 0)
    return ST_OK


cdef int int_add(
    cell_t a, const char* abase, cell_t b, const char* bbase, buf_t* out, size_t* at, cell_t* result
) noexcept nogil:
    """a + b, of integers of any size. The sum is *result with the base out.data + *at, where its body is appended if it
    has one. The operands must not stand in `out`."""
    cdef integer_t x, y
    cdef const integer_t* big = &x
    cdef const integer_t* small = &y
    cdef size_t i, n
    cdef uint64_t word
    cdef bint carry = False, subtract
    at[0] = (out.len + 7) & ~<size_t>7
    if cell_is_int(a) and cell_is_int(b) and fits_cell(term_int(a) + term_int(b)):
        result[0] = a + b
        return ST_OK
    integer_read(&x, a, abase)
    integer_read(&y, b, bbase)
    if magnitude_compare(&x, &y) < 0:
        big = &y
        small = &x
    n = (big.n + 7) >> 3
    if buf_reserve(out, (n + 2) * 8) != ST_OK:
        return ST_NO_MEMORY
    memset(out.data + out.len, 0, at[0] - out.len)
    out.len = at[0]
    subtract = big.negative != small.negative
    for i in range(n):
        if subtract:
            carry = borrow_sub(integer_word(big, i), integer_word(small, i), carry, &word)
        else:
            carry = carry_add(integer_word(big, i), integer_word(small, i), carry, &word)
        store64(out.data + out.len, word)
        out.len += 8
    if carry:
        store64(out.data + out.len, 1)
        out.len += 8
    return integer_close(out, at[0], big.negative, result)


cdef int decimal_chunk(buf_t* out, uint64_t value, size_t digits) noexcept nogil:
    """Append `value` with at least `digits` digits."""
    cdef char[24] text
    cdef size_t n = 0
    while value or n < digits:
        n += 1
        text[24 - n] = <char>(48 + value % 10)
        value //= 10
    return buf_append(out, &text[24 - n], n)


cdef int decimal_chunks(const integer_t* v, uint64_t** chunks, size_t* count) noexcept nogil:
    """The magnitude in words of 19 decimal digits, lowest first. The caller frees them."""
    cdef size_t n = (v.n + 7) >> 3, i
    cdef size_t room = n + n // 64 + 2                         # log(2**64) / log(10**19) < 1 + 1/64
    cdef uint64_t* words = <uint64_t*>malloc((n + room) * 8)
    cdef uint64_t rest
    if words == NULL:
        return ST_NO_MEMORY
    chunks[0] = words
    chunks[0][0] = 0
    words += room
    for i in range(n):
        words[i] = integer_word(v, i)
    count[0] = 0
    while n:
        rest = 0
        i = n
        while i:
            i -= 1
            words[i] = divide_words(rest, words[i], <uint64_t>10000000000000000000u, &rest)
        if words[n - 1] == 0:
            n -= 1
        chunks[0][count[0]] = rest
        count[0] += 1
    return ST_OK


cdef int term_big_decimal(cell_t c, const char* base, buf_t* out) noexcept nogil:
    cdef integer_t v
    cdef uint64_t* chunks = NULL
    cdef size_t count = 0, digits = 1
    cdef int status
    integer_read(&v, c, base)
    status = buf_append(out, b"-", 1) if v.negative else ST_OK
    if status != ST_OK:
        return status
    if v.n <= 8:
        return decimal_chunk(out, integer_word(&v, 0), 1)
    status = decimal_chunks(&v, &chunks, &count)
    if status != ST_OK:
        return status
    while count and status == ST_OK:
        count -= 1
        status = decimal_chunk(out, chunks[count], digits)
        digits = DECIMAL_CHUNK
    free(chunks)
    return status
