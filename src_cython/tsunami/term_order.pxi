# The order-preserving form of a term: memcmp of two forms IS Erlang's term order. Part of term.pxi's floor.
#
# It is what ordered tables keep as keys, and how the keys of maps are put in order. It is not a term: it cannot be read
# back. Where an order does not tell two terms apart (1 and 1.0; "ab" and b"ab"), their forms are equal.
#
#    form = tag byte, then
#      number     exponent and mantissa, see number_form; the tag is the sign
#      atom       text                             reference   node text, creation, words
#      fun local  module text, index, old uniq, number of captured values, those
#      fun export module text, name text, arity    port        node text, creation, id
#      pid        serial, id, node text, creation  tuple       arity (4 bytes, big-endian), the elements
#      map        size (4 bytes, big-endian), the keys in exact form, the values
#      nil        nothing                          list        first element, then the form of the rest
#      bit string text                             extension   name text, payload
#    text = the bytes, 00 written as 00 FF; then 00 r, where r is how many bits of the last byte count
#
# A form ends by itself, so that no form is the beginning of another, and forms stand one behind the other without marks
# between them. The terminator of a text works bit by bit: 00 r sorts before 00 FF and before any byte that is not 00,
# and of two strings with equal bytes the one with fewer bits is the prefix of the other.
#
# The *exact* form, for keys of maps, differs in numbers alone: every integer before every float, -0.0 before 0.0.

from libc.math cimport signbit
from libc.string cimport memchr

cdef enum:
    FORM_NEGATIVE = 0x08
    FORM_ZERO = 0x09
    FORM_POSITIVE = 0x0A
    FORM_EXACT_NEGATIVE = 0x0B     # floats, in exact forms
    FORM_EXACT_MINUS_ZERO = 0x0C
    FORM_EXACT_ZERO = 0x0D
    FORM_EXACT_POSITIVE = 0x0E
    FORM_ATOM = 0x10
    FORM_REF = 0x14
    FORM_FUN_LOCAL = 0x18
    FORM_FUN_EXPORT = 0x19
    FORM_PORT = 0x1C
    FORM_PID = 0x20
    FORM_TUPLE = 0x24
    FORM_MAP = 0x28
    FORM_NIL = 0x2C
    FORM_LIST = 0x30
    FORM_BITS = 0x34
    FORM_EXT = 0x38

    EXPONENT_LOW = 0x10            # two bytes: the exponents below 0
    EXPONENT_ONE = 0x18            # one byte: 0 .. EXPONENT_ONE_MAX
    EXPONENT_ONE_MAX = 0xEF - 0x18
    EXPONENT_FAR = 0xF0            # and five bytes
    EXPONENT_INF = 0xFF

    ORDER_HOME = 16
    SHORT_TEXT = 128


cdef struct form_t:
    # The form of a key, or what a range of keys is bound by. Behind it stand eight bytes more that can be read, zeros.
    const char* p
    size_t n


cdef inline int form_byte(buf_t* out, int byte) noexcept nogil:
    if buf_reserve(out, 1) != ST_OK:
        return ST_NO_MEMORY
    out.data[out.len] = <char>byte
    out.len += 1
    return ST_OK


cdef int form_word(buf_t* out, uint64_t value, int n) noexcept nogil:
    """The low n bytes, big-endian."""
    if buf_reserve(out, n) != ST_OK:
        return ST_NO_MEMORY
    while n:
        n -= 1
        out.data[out.len] = <char>(value >> (8 * n))
        out.len += 1
    return ST_OK


cdef inline char* form_run(char* q, const char* p, size_t n) noexcept nogil:
    """Bytes of a text, at q; behind them. It may write one byte further."""
    cdef size_t i
    for i in range(n):
        q[0] = p[i]
        q[1] = <char>0xFF
        q += 1 + (p[i] == 0)
    return q


cdef int form_short(buf_t* out, const char* p, size_t n, int bits) noexcept nogil:
    """form_text of a short one: eight bytes at a time where none of them is 00."""
    cdef uint64_t low = 0x0101010101010101
    cdef uint64_t v
    cdef char* q
    cdef const char* end = p + n
    if buf_reserve(out, 2 * n + 2) != ST_OK:
        return ST_NO_MEMORY
    q = out.data + out.len
    while end - p >= 8:
        memcpy(&v, p, 8)
        if (v - low) & ~v & low << 7:
            q = form_run(q, p, 8)
        else:
            memcpy(q, &v, 8)
            q += 8
        p += 8
    q = form_run(q, p, <size_t>(end - p))
    q[0] = 0
    q[1] = <char>bits
    out.len = <size_t>(q + 2 - out.data)
    return ST_OK


cdef int form_text(buf_t* out, const char* p, size_t n, int bits) noexcept nogil:
    """Bytes with their terminator; `bits` of the last one count."""
    cdef const char* zero
    cdef size_t run
    if n <= SHORT_TEXT:
        return form_short(out, p, n, bits)
    while n:
        zero = <const char*>memchr(p, 0, n)
        run = zero - p + 1 if zero != NULL else n
        if buf_append(out, p, run) != ST_OK or (zero != NULL and form_byte(out, 0xFF) != ST_OK):
            return ST_NO_MEMORY
        p += run
        n -= run
    return form_word(out, bits, 2)


cdef int form_atom(buf_t* out, cell_t c) noexcept nogil:
    cdef size_t n
    cdef const char* text = atom_text(c, &n)
    return form_text(out, text, n, 8)


# ---- numbers
#
# |x| = 1.m * 2^e. The tag is the sign; then e; then m in groups of 7 bits from the top, each with a bit below it that
# says whether more groups follow; m's trailing zeros are left out. Of two numbers with one mantissa the prefix of the
# other the longer is the greater, which is what the bit below says. All bytes behind the tag are complemented for
# negative numbers.

cdef void form_exponent(buf_t* out, int64_t e, int flip) noexcept nogil:
    """Needs 6 bytes of room."""
    cdef int i
    if e < 0:
        out.data[out.len] = <char>((EXPONENT_LOW + ((e + 2048) >> 8)) ^ flip)
        out.data[out.len + 1] = <char>(((e + 2048) & 0xFF) ^ flip)
        out.len += 2
    elif e <= EXPONENT_ONE_MAX:
        out.data[out.len] = <char>((EXPONENT_ONE + e) ^ flip)
        out.len += 1
    else:
        out.data[out.len] = <char>(EXPONENT_FAR ^ flip)
        for i in range(1, 6):
            out.data[out.len + i] = <char>((e >> (8 * (5 - i))) ^ flip)
        out.len += 6


cdef int form_number(buf_t* out, int tag, int flip, int64_t e, uint64_t mantissa) noexcept nogil:
    """A number whose mantissa, without the leading 1, fits a word; its highest bit is the word's."""
    cdef char* p
    if buf_reserve(out, 1 + 6 + 10) != ST_OK:
        return ST_NO_MEMORY
    out.data[out.len] = <char>tag
    out.len += 1
    form_exponent(out, e, flip)
    p = out.data + out.len
    while True:
        p[0] = <char>((mantissa >> 57 << 1 | (1 if mantissa << 7 else 0)) ^ flip)
        p += 1
        mantissa <<= 7
        if not mantissa:
            break
    out.len = <size_t>(p - out.data)
    return ST_OK


cdef int form_int(buf_t* out, int64_t value) noexcept nogil:
    cdef uint64_t m = 0 - <uint64_t>value if value < 0 else <uint64_t>value
    cdef int e
    if value == 0:
        return form_byte(out, FORM_ZERO)
    e = top_bit(m)
    m = m << (63 - e) << 1
    return form_number(out, FORM_NEGATIVE, 0xFF, e, m) if value < 0 else form_number(out, FORM_POSITIVE, 0, e, m)


cdef int form_zero(buf_t* out, bint exact, bint minus) noexcept nogil:
    if not exact:
        return form_byte(out, FORM_ZERO)
    return form_byte(out, FORM_EXACT_MINUS_ZERO if minus else FORM_EXACT_ZERO)


cdef int form_float(buf_t* out, double value, bint exact) noexcept nogil:
    cdef uint64_t bits, m
    cdef int64_t e
    cdef int tag, flip, top
    cdef bint minus = signbit(value) != 0
    if isnan(value):
        return ST_NOT_STORABLE
    if value == 0.0:
        return form_zero(out, exact, minus)
    if exact:
        tag = FORM_EXACT_NEGATIVE if minus else FORM_EXACT_POSITIVE
    else:
        tag = FORM_NEGATIVE if minus else FORM_POSITIVE
    flip = 0xFF if minus else 0
    memcpy(&bits, &value, 8)
    e = (bits >> 52) & 0x7FF
    m = bits << 12
    if e == 0x7FF:
        return form_word(out, <uint64_t>(tag << 16 | (EXPONENT_INF ^ flip) << 8 | flip), 3)
    if e == 0:                                                 # a subnormal: m is not without its leading 1
        top = top_bit(m)
        return form_number(out, tag, flip, <int64_t>top - 12 - 1074, m << (63 - top) << 1)
    return form_number(out, tag, flip, e - 1023, m)


cdef int form_big(buf_t* out, cell_t c, const char* base) noexcept nogil:
    cdef integer_t v
    cdef size_t e, low = 0, groups, j
    cdef int64_t q
    cdef int flip, bits
    integer_read(&v, c, base)
    flip = 0xFF if v.negative else 0
    e = 8 * (v.n - 1) + top_bit(v.p[v.n - 1])
    while v.p[low] == 0:
        low += 1
    low = 8 * low + top_bit(v.p[low] & -v.p[low])              # the lowest bit that is set
    groups = (e - low + 6) // 7 if e > low else 1
    if buf_reserve(out, 1 + 6 + groups) != ST_OK:
        return ST_NO_MEMORY
    out.data[out.len] = <char>(FORM_NEGATIVE if v.negative else FORM_POSITIVE)
    out.len += 1
    form_exponent(out, e, flip)
    for j in range(groups):
        q = <int64_t>e - 7 * <int64_t>(j + 1)                  # the group's lowest bit
        if q < 0:
            bits = (v.p[0] << -q) & 0x7F
        else:
            bits = v.p[q >> 3] >> (q & 7)
            if (q & 7) > 1:
                bits |= v.p[(q >> 3) + 1] << (8 - (q & 7))
            bits &= 0x7F
        out.data[out.len] = <char>((bits << 1 | (1 if j + 1 < groups else 0)) ^ flip)
        out.len += 1
    return ST_OK


cdef int form_integer(buf_t* out, cell_t c, const char* base) noexcept nogil:
    return form_int(out, term_int(c)) if cell_is_int(c) else form_big(out, c, base)


# ---- the rest of what has no elements

cdef int form_pid(buf_t* out, const cell_t* cells) noexcept nogil:
    cdef int status = form_byte(out, FORM_PID)
    if status == ST_OK:
        status = form_integer(out, cells[2], NULL)
    if status == ST_OK:
        status = form_integer(out, cells[1], NULL)
    if status == ST_OK:
        status = form_atom(out, cells[0])
    return form_integer(out, cells[3], NULL) if status == ST_OK else status


cdef int form_port(buf_t* out, const cell_t* cells) noexcept nogil:
    """The id has 64 bits, so it can have a body."""
    cdef int status = form_byte(out, FORM_PORT)
    if status == ST_OK:
        status = form_atom(out, cells[0])
    if status == ST_OK:
        status = form_integer(out, cells[2], NULL)
    return form_integer(out, cells[1], <const char*>(cells - 1)) if status == ST_OK else status


cdef int form_ref(buf_t* out, const cell_t* cells, size_t n, bint exact) noexcept nogil:
    """The words are one number, its last word the most significant; words that are missing count as 0. The exact form
    ends in how many there are, so that no two references that are not =:= share it."""
    cdef size_t count = n - 2
    cdef int status = form_byte(out, FORM_REF)
    while n > 2 and cells[n - 1] == 0:
        n -= 1
    if status == ST_OK:
        status = form_atom(out, cells[0])
    if status == ST_OK:
        status = form_integer(out, cells[1], NULL)
    if status == ST_OK:
        status = form_byte(out, <int>(n - 2))
    while n > 2 and status == ST_OK:
        n -= 1
        status = form_word(out, <uint64_t>term_int(cells[n]), 4)
    return form_byte(out, <int>count) if exact and status == ST_OK else status


cdef int form_export(buf_t* out, const cell_t* cells) noexcept nogil:
    cdef int status = form_byte(out, FORM_FUN_EXPORT)
    if status == ST_OK:
        status = form_atom(out, cells[1])
    if status == ST_OK:
        status = form_atom(out, cells[2])
    return form_integer(out, cells[3], NULL) if status == ST_OK else status


cdef int form_local(buf_t* out, const cell_t* cells, bint exact) noexcept nogil:
    """Of a local fun what stands before the captured values; those are the elements of its last cell. The exact form
    has the uniq, which decides =:=, in the old uniq's place."""
    cdef int status = form_byte(out, FORM_FUN_LOCAL)
    if status == ST_OK:
        status = form_atom(out, cells[1])
    if status == ST_OK:
        status = form_integer(out, cells[2], NULL)
    if status == ST_OK and exact:
        status = form_leaf(out, cells[FUN_UNIQ], <const char*>(cells - 1), True)
    elif status == ST_OK:
        status = form_integer(out, cells[FUN_OLD_UNIQ], NULL)
    if status == ST_OK:
        status = form_word(out, cell_length(cells[FUN_FREE]) if cell_is_box(cells[FUN_FREE]) else 0, 4)
    return status


cdef int form_leaf(buf_t* out, cell_t c, const char* base, bint exact) noexcept nogil:
    """Any term without elements that could nest."""
    cdef char[8] scratch
    cdef size_t n
    cdef const char* p
    cdef int kind = term_kind(c)
    if kind == K_INT:
        return form_int(out, term_int(c))
    if kind == K_BIG:
        return form_big(out, c, base)
    if kind == K_FLOAT:
        return form_float(out, term_float(c, base), exact)
    if kind == K_ATOM:
        return form_atom(out, c) if form_byte(out, FORM_ATOM) == ST_OK else ST_NO_MEMORY
    if kind == K_BINARY:
        p = term_bytes(c, base, scratch, &n)
        return form_text(out, p, n, 8) if form_byte(out, FORM_BITS) == ST_OK else ST_NO_MEMORY
    if kind == K_BITS:
        p = cell_at(c, base)
        return form_text(out, p + 1, cell_length(c) - 1, p[0]) if form_byte(out, FORM_BITS) == ST_OK else ST_NO_MEMORY
    if kind == K_NIL:
        return form_byte(out, FORM_NIL)
    if kind == K_TUPLE:                                        # the empty one, like the map below
        return form_word(out, <uint64_t>FORM_TUPLE << 32, 5)
    if kind == K_MAP:
        return form_word(out, <uint64_t>FORM_MAP << 32, 5)
    return ST_NOT_STORABLE


# ---- containers

cdef struct order_level_t:
    const uint64_t* body
    size_t next                # steps taken
    size_t count
    int low
    bint exact

cdef struct order_t:
    order_level_t* levels
    size_t depth
    size_t cap
    order_level_t[ORDER_HOME] home


cdef int order_push(order_t* o, const uint64_t* body, int low, bint exact) noexcept nogil:
    cdef order_level_t* more
    if o.depth == o.cap:
        more = <order_level_t*>malloc(o.cap * 2 * sizeof(order_level_t))
        if more == NULL:
            return ST_NO_MEMORY
        memcpy(more, o.levels, o.cap * sizeof(order_level_t))
        if o.levels != o.home:
            free(o.levels)
        o.levels = more
        o.cap *= 2
    o.levels[o.depth].body = body
    o.levels[o.depth].next = 0
    o.levels[o.depth].count = header_count(body[0])
    o.levels[o.depth].low = low
    o.levels[o.depth].exact = exact
    o.depth += 1
    return ST_OK


cdef int order_open(order_t* o, buf_t* out, int low, const uint64_t* body, bint exact) noexcept nogil:
    """Write what stands before a container's elements, and take it up for its elements if it has any to come."""
    cdef const cell_t* cells = body + 1
    cdef size_t n = header_count(body[0])
    cdef int status = ST_OK
    if low == LOW_PID:
        return form_pid(out, cells)
    if low == LOW_PORT:
        return form_port(out, cells)
    if low == LOW_REF:
        return form_ref(out, cells, n, exact)
    if low == LOW_FUN:
        if n != FUN_CELLS:
            return form_export(out, cells)
        status = form_local(out, cells, exact)
        if status != ST_OK or not cell_is_box(cells[FUN_FREE]):
            return status
        # the captured values follow one by one, like those of a tuple whose size has been written
        return order_push(o, <const uint64_t*>cell_at(cells[FUN_FREE], <const char*>body), LOW_TUPLE, exact)
    if low == LOW_TUPLE:
        status = form_word(out, <uint64_t>FORM_TUPLE << 32 | n, 5)
    elif low == LOW_MAP:
        status = form_word(out, <uint64_t>FORM_MAP << 32 | n // 2, 5)
    elif low == LOW_EXT:
        status = form_byte(out, FORM_EXT)
        if status == ST_OK:
            status = form_atom(out, cells[0])
    return order_push(o, body, low, exact) if status == ST_OK else status


cdef int order_step(order_level_t* top, buf_t* out, cell_t* c, bint* exact, bint* done) noexcept nogil:
    """The next element of a container, and in which form it is to be written; done if there is none. Writes what stands
    before it (in lists: each element is the head of a list of its own)."""
    cdef const cell_t* cells = top.body + 1
    cdef size_t i = top.next, n = top.count
    top.next = i + 1
    exact[0] = top.exact
    done[0] = i >= n
    if top.low == LOW_MAP and not done[0]:
        exact[0] = top.exact or i < n // 2
        c[0] = cells[2 * i] if i < n // 2 else cells[2 * (i - n // 2) + 1]
        return ST_OK
    if top.low == LOW_EXT:
        done[0] = i >= 1
        c[0] = cells[1]
        return ST_OK
    if not done[0]:
        c[0] = cells[i]
    if top.low == LOW_LIST:
        return form_byte(out, FORM_NIL if done[0] else FORM_LIST)
    if top.low == LOW_IMPROPER and i + 1 < n:
        return form_byte(out, FORM_LIST)
    return ST_OK


cdef int order_run(order_t* o, buf_t* out) noexcept nogil:
    cdef order_level_t* top
    cdef const uint64_t* body
    cdef cell_t c = 0
    cdef bint exact = False, done = False
    cdef int status
    while o.depth:
        top = &o.levels[o.depth - 1]
        body = top.body
        status = order_step(top, out, &c, &exact, &done)
        if status == ST_OK:
            if done:
                o.depth -= 1
            elif cell_is_box(c):
                status = order_open(o, out, cell_low(c), <const uint64_t*>cell_at(c, <const char*>body), exact)
            else:
                status = form_leaf(out, c, <const char*>body, exact)
        if status != ST_OK:
            return status
    return ST_OK


cdef int term_order_key(cell_t c, const char* base, buf_t* out, bint exact) noexcept nogil:
    """Append the order-preserving form. ST_NOT_STORABLE for NaN and reference terms, anywhere in it."""
    cdef order_t o
    cdef int status
    if not cell_is_box(c):
        return form_leaf(out, c, base, exact)
    o.levels = o.home
    o.depth = 0
    o.cap = ORDER_HOME
    status = order_open(&o, out, cell_low(c), <const uint64_t*>cell_at(c, base), exact)
    if status == ST_OK:
        status = order_run(&o, out)
    if o.levels != o.home:
        free(o.levels)
    return status
