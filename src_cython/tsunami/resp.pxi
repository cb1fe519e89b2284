# RESP: requests out of bytes, replies into bytes.
#
# What it is: a parser for what clients send (arrays of bulks, and inline commands) and a writer for every reply of
# RESP2 and RESP3. Neither knows a socket, a table or a command; both are plain structs and `nogil` functions, except
# that replies which come as Python objects are encoded here too.
#
# ## The parser
#
#     data                start            start+pos          end             cap
#      |  requests done    |  args so far  |  not yet read    |  free          |
#      +-------------------+---------------+------------------+----------------+
#
# It can stop at any byte and go on when more has come: `left` (bulks that this request still misses), `bulk` (the
# length of the bulk that stands at pos, once its length line has been read) and `seen` (how far a line's end has been
# looked for) are all its state. "Not yet" is a value: P_MORE.
#
# What must stay true:
#
# 1. No byte is looked at twice in search of a line's end, and the bytes of a bulk are not looked at at all: a bulk of n
#    bytes that comes in any number of pieces costs O(n). Once its length is known the room for it is made
#    (input_missing) and the bytes are received where they will be used.
# 2. Arguments are offsets from `start`, so the buffer may move while a request is incomplete.
# 3. What a stream of bytes means does not depend on how it is cut: each limit is a limit of what was sent, not of what
#    has arrived so far. (Redis accepts a line of more than 64 KiB if it comes in one piece.)
# 4. Behind the buffer's `cap` bytes stand SLACK more, so that a word can be loaded from where an argument begins.
# 5. A line ends with CR LF and a bulk is followed by CR LF; anything else is an error, never a guess where the next
#    request begins.
#
# ## The writer
#
# Appends to out_t. If memory runs out, `failed` is set, the rest is dropped, and whoever owns the connection closes it:
# a reply is never half there. Replies nest to any depth: nothing here recurses.

from libc.math cimport fabs, isinf, isnan
from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport atoi, calloc, free, malloc, realloc, strtod
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize

cdef extern from "atomics.h" nogil:
    bint ts_likely(bint x) noexcept
    bint ts_unlikely(bint x) noexcept

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object o, int* overflow) except? -1

cdef enum:
    LINE_MAX_BYTES = 64 * 1024          # an inline command, or the line that holds a count
    ARGS_MAX = 1024 * 1024              # arguments of one request
    STRANGER_ARGS = 10                  # what a client may send before it has authenticated
    STRANGER_BULK = 16384
    FEW_ARGS = 8
    SLACK = 8                           # bytes behind a buffer that may be read, and mean nothing

cdef enum parse_t:
    P_READY = 0                         # a request is complete: its arguments are args[0..argc)
    P_MORE = 1
    P_BAD_COUNT = 2                     # from here on: the connection is lost
    P_BAD_BULK = 3
    P_NO_DOLLAR = 4
    P_LONG_INLINE = 5
    P_LONG_COUNT = 6
    P_LONG_BULK = 7
    P_QUOTES = 8
    P_STRANGER_COUNT = 9
    P_STRANGER_BULK = 10
    P_NO_END = 11
    P_NO_MEMORY = 12

cdef struct span_t:
    size_t at                           # from start
    size_t len

cdef struct input_t:
    char* data
    size_t cap
    size_t start                        # where the request that is being read begins
    size_t end                          # behind the last byte that has come
    size_t pos                          # from start: the next byte to read
    size_t seen                         # from start: a line's end has been looked for up to here
    int64_t left                        # bulks that are still to come; 0: no request has begun
    int64_t bulk                        # the length of the bulk at pos; -1: its length line is still to be read
    span_t* args
    uint32_t argc
    uint32_t args_cap
    uint8_t wrong                       # the byte that stood where P_NO_DOLLAR missed one
    span_t few[FEW_ARGS]

cdef struct bounds_t:
    int64_t bulk                        # proto-max-bulk-len
    bint stranger                       # the client has not authenticated


# ---- numbers

cdef bint read_int64(const char* p, size_t n, int64_t* value) noexcept nogil:
    """The canonical decimal form of a 64-bit integer and nothing else: no plus, no space, no leading zero, no -0."""
    cdef bint negative = n > 0 and p[0] == c'-'
    cdef uint64_t v = 0
    cdef uint8_t digit
    cdef size_t i = 1 if negative else 0
    if n - i == 0 or n - i > 19:
        return False
    if p[i] == c'0':
        value[0] = 0
        return n == 1
    while i < n:
        digit = <uint8_t>(<uint8_t>p[i] - <uint8_t>c'0')
        if digit > 9:
            return False
        v = v * 10 + digit              # 19 digits fit 64 bits without a sign
        i += 1
    if negative:
        if v > <uint64_t>1 << 63:
            return False
        value[0] = <int64_t>(0 - v)
        return True
    value[0] = <int64_t>v
    return v <= <uint64_t>INT64_MAX

cdef size_t spell_int64(int64_t value, char* out) noexcept nogil:
    """Decimal form into out (20 bytes or more); its length."""
    cdef char digits[20]
    cdef uint64_t v = <uint64_t>value
    cdef size_t n = 0, at = 0
    if value < 0:
        v = 0 - v
        out[0] = c'-'
        at = 1
    while True:
        digits[n] = <char>(c'0' + <int>(v % 10))
        v //= 10
        n += 1
        if v == 0:
            break
    while n > 0:
        n -= 1
        out[at] = digits[n]
        at += 1
    return at

cdef size_t spell_double(double value, char* out) noexcept nogil:
    """The shortest decimal form that reads back as value, into out (32 bytes or more); its length. Needs no GIL.

    As Redis 7.2 spells it: a whole number of up to 2**52 as an integer; else the least digits there are, in one of
    the three layouts of lay_digits.
    """
    cdef char[32] spelled
    cdef char[20] digits
    cdef int n, i
    cdef size_t at = 0
    if isnan(value):
        memcpy(out, "nan", 3)
        return 3
    if isinf(value):
        memcpy(out, "inf" if value > 0 else "-inf", 4)
        return 3 if value > 0 else 4
    if fabs(value) <= 4503599627370496.0 and <double><int64_t>value == value and (value != 0 or not signbit(value)):
        return spell_int64(<int64_t>value, out)
    if signbit(value):
        out[0] = c'-'
        at = 1
        if value == 0:
            out[1] = c'0'
            return 2
    # 15 digits always come back unchanged, but those of subnormal numbers, which have fewer.
    for n in range(15 if fabs(value) >= 2.3e-308 else 1, 18):
        snprintf(spelled, 32, "%.*e", n - 1, fabs(value))
        if strtod(spelled, NULL) == fabs(value):
            break
    digits[0] = spelled[0]
    for i in range(1, n):
        digits[i] = spelled[i + 1]      # behind the decimal point, whatever a program's locale makes of it
    i = atoi(&spelled[n + 2 if n > 1 else 2])
    while n > 1 and digits[n - 1] == c'0':
        n -= 1
    return at + lay_digits(digits, n, i, &out[at])

cdef size_t lay_digits(const char* digits, int n, int exponent, char* out) noexcept nogil:
    """The n digits of a number that is d.ddd times 10**exponent, laid out; their length.

        1230000         up to 7 zeros more than digits
        12.34  0.0123   up to 6 places behind the point, or numbers between 0.001 and 10000
        1.234e+25       all others
    """
    cdef int last = exponent - n + 1    # the exponent of the last digit
    cdef size_t at
    if last >= 0 and exponent < n + 7:
        memcpy(out, digits, n)
        memset(out + n, c'0', last)
        return n + last
    if last < 0 and (last > -7 or -4 < exponent < 4):
        if exponent >= 0:
            memcpy(out, digits, exponent + 1)
            out[exponent + 1] = c'.'
            memcpy(out + exponent + 2, digits + exponent + 1, -last)
            return n + 1
        out[0] = c'0'
        out[1] = c'.'
        memset(out + 2, c'0', -exponent - 1)
        memcpy(out + 1 - exponent, digits, n)
        return n + 1 - exponent
    out[0] = digits[0]
    at = 1
    if n > 1:
        out[1] = c'.'
        memcpy(out + 2, digits + 1, n - 1)
        at = n + 1
    out[at] = c'e'
    out[at + 1] = c'-' if exponent < 0 else c'+'
    return at + 2 + spell_int64(-exponent if exponent < 0 else exponent, out + at + 2)

cdef extern from "<math.h>" nogil:
    bint signbit(double x) noexcept


# ---- reading

cdef void input_init(input_t* q) noexcept nogil:
    memset(q, 0, sizeof(input_t))
    q.args = q.few
    q.args_cap = FEW_ARGS
    q.bulk = -1

cdef void input_free(input_t* q) noexcept nogil:
    if q.args != q.few:
        free(q.args)
    q.args = q.few
    q.args_cap = FEW_ARGS

cdef inline size_t input_size(const input_t* q) noexcept nogil:
    """Bytes that wait: of the request that stands first, and behind it."""
    return q.end - q.start

cdef inline size_t input_missing(const input_t* q) noexcept nogil:
    """How many bytes more the bulk that is being read needs; 0 if none is."""
    cdef size_t have = q.end - q.start - q.pos
    if q.bulk < 0 or have >= <size_t>q.bulk + 2:
        return 0
    return <size_t>q.bulk + 2 - have

cdef inline char* input_arg(const input_t* q, size_t i) noexcept nogil:
    return q.data + q.start + q.args[i].at

cdef inline void input_drop(input_t* q) noexcept nogil:
    """The request that stood first is done."""
    q.start += q.pos
    q.pos = q.seen = 0
    q.argc = 0
    if ts_unlikely(q.args_cap > 1024):  # one enormous request does not keep its room
        input_free(q)

cdef int input_add(input_t* q, size_t at, size_t n) noexcept nogil:
    cdef span_t* room
    if ts_unlikely(q.argc == q.args_cap):
        room = <span_t*>malloc(<size_t>q.args_cap * 2 * sizeof(span_t)) if q.args == q.few else \
            <span_t*>realloc(q.args, <size_t>q.args_cap * 2 * sizeof(span_t))
        if room == NULL:
            return P_NO_MEMORY
        if q.args == q.few:
            memcpy(room, q.few, sizeof(q.few))
        q.args = room
        q.args_cap *= 2
    q.args[q.argc].at = at
    q.args[q.argc].len = n
    q.argc += 1
    return P_READY

cdef int input_line(input_t* q, char stop, parse_t too_long, size_t* n) noexcept nogil:
    """The bytes from pos up to `stop`: n. P_MORE if it has not come; too_long if it cannot come within the limit."""
    cdef const char* line = q.data + q.start
    cdef size_t limit = q.pos + LINE_MAX_BYTES + 1
    cdef size_t have = q.end - q.start
    cdef const char* hit
    if q.seen < q.pos:
        q.seen = q.pos
    if have > limit:
        have = limit
    hit = <const char*>memchr(line + q.seen, stop, have - q.seen) if have > q.seen else NULL
    if hit == NULL:
        q.seen = have
        return too_long if have == limit else P_MORE
    n[0] = <size_t>(hit - line) - q.pos
    q.seen = q.pos + n[0]
    return P_READY

cdef int input_count(input_t* q, parse_t too_long, parse_t wrong, int64_t* value) noexcept nogil:
    """Read the line at pos, a type byte and a number, and go behind it."""
    cdef const char* p = q.data + q.start + q.pos
    cdef size_t have = q.end - q.start - q.pos
    cdef size_t n = 1
    cdef int64_t v = 0
    cdef int st
    # Nearly always: one digit, or up to nine, and the whole line is there.
    if have >= 4 and p[2] == c'\r' and p[3] == c'\n' and <uint8_t>(<uint8_t>p[1] - <uint8_t>c'0') <= 9:
        value[0] = p[1] - c'0'
        q.pos += 4
        return P_READY
    if have > 11:
        while <uint8_t>(<uint8_t>p[n] - <uint8_t>c'0') <= 9 and n < 10:
            v = v * 10 + (p[n] - c'0')
            n += 1
        if n > 1 and p[n] == c'\r' and p[n + 1] == c'\n' and (p[1] != c'0' or n == 2):
            value[0] = v
            q.pos += n + 2
            return P_READY
    st = input_line(q, c'\r', too_long, &n)
    if st != P_READY:
        return st
    if q.pos + n + 1 == q.end - q.start:
        return P_MORE                   # its LF is still to come
    if p[n + 1] != c'\n' or not read_int64(p + 1, n - 1, value):
        return wrong
    q.pos += n + 2
    return P_READY

cdef inline bint is_space(char c) noexcept nogil:
    return c == c' ' or (c >= c'\t' and c <= c'\r')

cdef inline int hex_digit(char c) noexcept nogil:
    if c'0' <= c <= c'9':
        return c - c'0'
    if c'a' <= c <= c'f':
        return c - c'a' + 10
    if c'A' <= c <= c'F':
        return c - c'A' + 10
    return -1

cdef inline char unescaped(char c) noexcept nogil:
    if c == c'n':
        return c'\n'
    if c == c'r':
        return c'\r'
    if c == c't':
        return c'\t'
    if c == c'b':
        return c'\b'
    if c == c'a':
        return c'\a'
    return c

cdef int inline_word(const char* line, size_t n, size_t* at, char* out, size_t* wrote) noexcept nogil:
    """One word of an inline command, from *at on, without quotes and escapes, to `out`, which may be the same bytes."""
    cdef size_t i = at[0], w = 0
    cdef char quote = 0
    cdef char c
    while i < n:
        c = line[i]
        if quote == 0:
            if c == c' ' or c == c'\t' or c == c'\r':
                break                   # fewer than is_space: sdssplitargs has it so
            if c == c'"' or c == c"'":
                quote = c
                i += 1
                continue
        elif c == quote:
            if i + 1 < n and not is_space(line[i + 1]):
                return P_QUOTES         # a closing quote must end its word
            quote = 0
            i += 1
            break
        elif c == c'\\' and quote == c'"' and i + 3 < n and line[i + 1] == c'x' \
                and hex_digit(line[i + 2]) >= 0 and hex_digit(line[i + 3]) >= 0:
            c = <char>(hex_digit(line[i + 2]) * 16 + hex_digit(line[i + 3]))
            i += 3
        elif c == c'\\' and quote == c'"' and i + 1 < n:
            c = unescaped(line[i + 1])
            i += 1
        elif c == c'\\' and quote == c"'" and i + 1 < n and line[i + 1] == c"'":
            c = c"'"
            i += 1
        out[w] = c
        w += 1
        i += 1
    if quote != 0:
        return P_QUOTES
    at[0] = i
    wrote[0] = w
    return P_READY

cdef int input_inline(input_t* q) noexcept nogil:
    """A line of words, quoted as sdssplitargs has it. Words are unquoted in place: they only become shorter."""
    cdef size_t n = 0, i = 0, word, wrote = 0
    cdef char* line
    cdef const char* zero
    cdef int st = input_line(q, c'\n', P_LONG_INLINE, &n)
    if st != P_READY:
        return st
    line = q.data + q.start + q.pos
    q.pos += n + 1
    if n and line[n - 1] == c'\r':
        n -= 1
    zero = <const char*>memchr(line, 0, n)
    if zero != NULL:                    # as in Redis, for which the line is a C string
        n = <size_t>(zero - line)
    while True:
        while i < n and is_space(line[i]):
            i += 1
        if i == n:
            return P_READY
        word = i
        st = inline_word(line, n, &i, line + word, &wrote)
        if st == P_READY:
            st = input_add(q, <size_t>(line + word - (q.data + q.start)), wrote)
        if st != P_READY:
            return st

cdef int input_bulk(input_t* q, const bounds_t* bounds) noexcept nogil:
    """The bulk at pos, its length line included. Only the length line is looked at."""
    cdef size_t have
    cdef const char* p
    cdef int st
    if q.bulk < 0:
        if q.start + q.pos == q.end:
            return P_MORE
        if q.data[q.start + q.pos] != c'$':
            q.wrong = <uint8_t>q.data[q.start + q.pos]
            return P_NO_DOLLAR
        st = input_count(q, P_LONG_BULK, P_BAD_BULK, &q.bulk)
        if st != P_READY:
            q.bulk = -1
            return st
        if q.bulk < 0 or q.bulk > bounds.bulk:
            q.bulk = -1
            return P_BAD_BULK
        if bounds.stranger and q.bulk > STRANGER_BULK:
            q.bulk = -1
            return P_STRANGER_BULK
    have = q.end - q.start - q.pos
    if have < <size_t>q.bulk + 2:
        return P_MORE
    p = q.data + q.start + q.pos + q.bulk
    if ts_unlikely(p[0] != c'\r' or p[1] != c'\n'):
        return P_NO_END
    st = input_add(q, q.pos, <size_t>q.bulk)
    q.pos += <size_t>q.bulk + 2
    q.bulk = -1
    q.left -= 1
    return st

cdef int input_next(input_t* q, const bounds_t* bounds) noexcept nogil:
    """Read on until a request is complete; those without arguments are skipped. After P_READY: use it, input_drop."""
    cdef int st
    cdef int64_t count = 0
    while True:
        if q.left == 0:
            if q.start == q.end:
                q.start = q.end = 0
                return P_MORE
            if ts_likely(q.data[q.start] == c'*'):
                st = input_count(q, P_LONG_COUNT, P_BAD_COUNT, &count)
                if st != P_READY:
                    return st
                if count > ARGS_MAX:
                    return P_BAD_COUNT
                if bounds.stranger and count > STRANGER_ARGS:
                    return P_STRANGER_COUNT
                q.left = count if count > 0 else 0
            else:
                st = input_inline(q)
                if st != P_READY:
                    return st
                if q.argc:
                    return P_READY
        while q.left > 0:
            st = input_bulk(q, bounds)
            if st != P_READY:
                return st
        if q.argc:
            return P_READY
        input_drop(q)

cdef const char* parse_error(int st) noexcept nogil:
    """What Redis says. P_NO_DOLLAR's text goes on with the wrong byte."""
    if st == P_BAD_COUNT:
        return "Protocol error: invalid multibulk length"
    if st == P_BAD_BULK:
        return "Protocol error: invalid bulk length"
    if st == P_NO_DOLLAR:
        return "Protocol error: expected '$', got '%c'"
    if st == P_LONG_INLINE:
        return "Protocol error: too big inline request"
    if st == P_LONG_COUNT:
        return "Protocol error: too big mbulk count string"
    if st == P_LONG_BULK:
        return "Protocol error: too big bulk count string"
    if st == P_QUOTES:
        return "Protocol error: unbalanced quotes in request"
    if st == P_STRANGER_COUNT:
        return "Protocol error: unauthenticated multibulk length"
    if st == P_STRANGER_BULK:
        return "Protocol error: unauthenticated bulk length"
    if st == P_NO_END:
        return "Protocol error: expected CRLF behind a bulk"
    return "Protocol error: out of memory"

cdef size_t parse_error_text(const input_t* q, int st, char* out) noexcept nogil:
    """The text into out (80 bytes or more); its length."""
    cdef uint8_t wrong = q.wrong
    if wrong < 32 or wrong > 126:       # keeps the reply one line of text
        wrong = c' '
    return <size_t>snprintf(out, 80, parse_error(st), <int>wrong)


# ---- writing

cdef struct out_t:
    char* data
    size_t len
    size_t cap
    bint failed                         # memory ran out: what is here is worth nothing

cdef bint out_grow(out_t* o, size_t more) noexcept nogil:
    cdef size_t cap = o.cap * 2 if o.cap > 2048 else 4096
    cdef char* data
    if cap < o.len + more:
        cap = o.len + more
    data = <char*>realloc(o.data, cap) if not o.failed else NULL
    if data == NULL:
        o.failed = True
        return False
    o.data = data
    o.cap = cap
    return True

cdef inline bint out_room(out_t* o, size_t more) noexcept nogil:
    return ts_likely(o.cap - o.len >= more) or out_grow(o, more)

cdef inline void out_bytes(out_t* o, const void* p, size_t n) noexcept nogil:
    if out_room(o, n):
        memcpy(o.data + o.len, p, n)
        o.len += n

cdef inline void out_head(out_t* o, char mark, int64_t n) noexcept nogil:
    """`mark`, a number, CR LF: integers, and the heads of all that has a length."""
    cdef char* p
    if not out_room(o, 24):
        return
    p = o.data + o.len
    p[0] = mark
    if 0 <= n < 10:                     # most of them
        p[1] = <char>(c'0' + n)
        p[2] = c'\r'
        p[3] = c'\n'
        o.len += 4
        return
    if 10 <= n < 100:
        p[1] = <char>(c'0' + n // 10)
        p[2] = <char>(c'0' + n % 10)
        p[3] = c'\r'
        p[4] = c'\n'
        o.len += 5
        return
    n = <int64_t>spell_int64(n, p + 1)
    p[n + 1] = c'\r'
    p[n + 2] = c'\n'
    o.len += <size_t>n + 3

cdef inline void out_bulk(out_t* o, const char* data, size_t n) noexcept nogil:
    cdef char* p
    if not out_room(o, n + 32):
        return
    out_head(o, c'$', <int64_t>n)
    p = o.data + o.len
    memcpy(p, data, n)
    p[n] = c'\r'
    p[n + 1] = c'\n'
    o.len += n + 2

cdef inline void out_null(out_t* o, int resp) noexcept nogil:
    if resp >= 3:
        out_bytes(o, b"_\r\n", 3)
    else:
        out_bytes(o, b"$-1\r\n", 5)

cdef void out_bool(out_t* o, bint value, int resp) noexcept nogil:
    if resp >= 3:
        out_bytes(o, b"#t\r\n" if value else b"#f\r\n", 4)
    else:
        out_head(o, c':', 1 if value else 0)

cdef void out_int_bulk(out_t* o, int64_t value) noexcept nogil:
    cdef char text[24]
    out_bulk(o, text, spell_int64(value, text))

cdef void out_double(out_t* o, double value, int resp) noexcept nogil:
    cdef char text[40]
    cdef size_t n = spell_double(value, text + 1)
    if resp < 3:
        out_bulk(o, text + 1, n)
        return
    text[0] = c','
    text[n + 1] = c'\r'
    text[n + 2] = c'\n'
    out_bytes(o, text, n + 3)

cdef void out_map_head(out_t* o, int64_t pairs, int resp) noexcept nogil:
    if resp >= 3:
        out_head(o, c'%', pairs)
    else:
        out_head(o, c'*', pairs * 2)

cdef void out_line(out_t* o, char mark, const char* text, size_t n) noexcept nogil:
    """A simple string or an error: what would end the line early becomes a space."""
    cdef size_t i, at
    if not out_room(o, n + 3):
        return
    at = o.len + 1
    o.data[o.len] = mark
    for i in range(n):
        o.data[at + i] = c' ' if text[i] == c'\r' or text[i] == c'\n' else text[i]
    o.data[at + n] = c'\r'
    o.data[at + n + 1] = c'\n'
    o.len += n + 3

cdef void out_verbatim(out_t* o, const char* fmt, const char* text, size_t n, int resp) noexcept nogil:
    if resp < 3:
        out_bulk(o, text, n)
        return
    out_head(o, c'=', <int64_t>n + 4)
    out_bytes(o, fmt, 3)
    out_bytes(o, b":", 1)
    out_bytes(o, text, n)
    out_bytes(o, b"\r\n", 2)


# ---- reply values

@cython.final
cdef class Simple:
    """A simple string: +OK."""

    cdef readonly str text

    def __init__(self, str text not None):
        self.text = text

    def __repr__(self):
        return f"Simple({self.text!r})"

    def __eq__(self, other):
        return isinstance(other, Simple) and (<Simple>other).text == self.text

    def __hash__(self):
        return hash((Simple, self.text))


@cython.final
cdef class Error:
    """An error: its first word is the code, as in Error("ERR syntax error")."""

    cdef readonly str text

    def __init__(self, str text not None):
        self.text = text

    def __repr__(self):
        return f"Error({self.text!r})"

    def __eq__(self, other):
        return isinstance(other, Error) and (<Error>other).text == self.text

    def __hash__(self):
        return hash((Error, self.text))


@cython.final
cdef class Verbatim:
    """Text for people to read; `format` is three letters: txt, mkd."""

    cdef readonly str text
    cdef readonly str format

    def __init__(self, str text not None, str format not None="txt"):
        if len(format.encode()) != 3:
            raise ValueError(f"format {format!r}: it has three letters")
        self.text = text
        self.format = format

    def __repr__(self):
        return f"Verbatim({self.text!r}, {self.format!r})"

    def __eq__(self, other):
        return (isinstance(other, Verbatim) and (<Verbatim>other).text == self.text
                and (<Verbatim>other).format == self.format)

    def __hash__(self):
        return hash((Verbatim, self.text, self.format))


@cython.final
cdef class Push:
    """A message that no request asked for."""

    cdef readonly list items

    def __init__(self, list items not None):
        self.items = items

    def __repr__(self):
        return f"Push({self.items!r})"

    def __eq__(self, other):
        return isinstance(other, Push) and (<Push>other).items == self.items

    __hash__ = None


@cython.final
cdef class NullArray:
    """The null of commands that otherwise answer with an array."""

    def __repr__(self):
        return "NullArray()"

    def __eq__(self, other):
        return isinstance(other, NullArray)

    def __hash__(self):
        return hash(NullArray)


@cython.final
cdef class Raw:
    """Bytes that are RESP already; Raw(b"") is no reply at all."""

    cdef readonly bytes data

    def __init__(self, bytes data not None):
        self.data = data

    def __repr__(self):
        return f"Raw({self.data!r})"

    def __eq__(self, other):
        return isinstance(other, Raw) and (<Raw>other).data == self.data

    def __hash__(self):
        return hash((Raw, self.data))


OK = Simple("OK")
cdef Simple reply_ok = OK


cdef int out_str(out_t* o, str text) except -1:
    cdef Py_ssize_t n = 0
    cdef const char* p = PyUnicode_AsUTF8AndSize(text, &n)
    out_bulk(o, p, <size_t>n)
    return 0


cdef int out_text_line(out_t* o, char mark, str text) except -1:
    cdef Py_ssize_t n = 0
    cdef const char* p = PyUnicode_AsUTF8AndSize(text, &n)
    out_line(o, mark, p, <size_t>n)
    return 0


cdef int out_pyint(out_t* o, object value, int resp) except -1:
    """An int of any size: beyond 64 bits a big number, which RESP2 gets as a bulk."""
    cdef int overflow = 0
    cdef long long small = PyLong_AsLongLongAndOverflow(value, &overflow)
    cdef bytes text
    if not overflow:
        out_head(o, c':', small)
        return 0
    text = decimal_text(value)
    if resp >= 3:
        out_line(o, c'(', PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text))
    else:
        out_bulk(o, PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text))
    return 0


cdef bytes decimal_text(object value):
    """str() refuses integers of more than some thousand digits; a reply has no such limit."""
    cdef object n = abs(value)
    cdef list parts = []
    cdef object chunk = 10 ** 4000
    if n < chunk:
        return b"%d" % value
    while n >= chunk:
        n, part = divmod(n, chunk)
        parts.append(b"%04000d" % part)
    parts.append(b"%d" % n)
    if value < 0:
        parts.append(b"-")
    parts.reverse()
    return b"".join(parts)


cdef int out_buffer(out_t* o, object value) except -1:
    cdef const uint8_t[::1] view = memoryview(value).cast("B") if len(value) else None
    if view is None:
        out_bulk(o, b"", 0)
    else:
        out_bulk(o, <const char*>&view[0], <size_t>view.shape[0])
    return 0


cdef object out_object(out_t* o, object value, int resp):
    """Write a reply that has no parts; of one that has, write the head and give an iterator over the parts."""
    cdef type kind = type(value)
    if kind is bytes:
        out_bulk(o, PyBytes_AS_STRING(value), <size_t>PyBytes_GET_SIZE(value))
    elif value is None:
        out_null(o, resp)
    elif kind is bool:
        out_bool(o, value, resp)
    elif kind is int:
        out_pyint(o, value, resp)
    elif kind is str:
        out_str(o, value)
    elif kind is Simple:
        out_text_line(o, c'+', (<Simple>value).text)
    elif kind is Error:
        out_text_line(o, c'-', (<Error>value).text)
    elif kind is list or kind is tuple:
        out_head(o, c'*', len(value))
        return iter(value)
    elif kind is dict:
        out_map_head(o, len(value), resp)
        return iter([part for pair in (<dict>value).items() for part in pair])
    elif kind is Raw:
        out_bytes(o, PyBytes_AS_STRING((<Raw>value).data), <size_t>PyBytes_GET_SIZE((<Raw>value).data))
    else:
        return out_rare(o, value, resp)
    return None


cdef object out_rare(out_t* o, object value, int resp):
    """What replies are seldom made of, and what is of a subclass."""
    cdef bytes text
    if isinstance(value, float):
        out_double(o, value, resp)
    elif isinstance(value, NullArray):
        out_bytes(o, b"_\r\n" if resp >= 3 else b"*-1\r\n", 3 if resp >= 3 else 5)
    elif isinstance(value, Verbatim):
        text = (<Verbatim>value).text.encode()
        out_verbatim(o, (<Verbatim>value).format.encode(), PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text),
                     resp)
    elif isinstance(value, Push):
        out_head(o, c'>' if resp >= 3 else c'*', len((<Push>value).items))
        return iter((<Push>value).items)
    elif isinstance(value, (set, frozenset)):
        out_head(o, c'~' if resp >= 3 else c'*', len(value))
        return iter(value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        out_buffer(o, value)
    elif isinstance(value, str):
        out_str(o, str(value))
    elif isinstance(value, int):
        out_pyint(o, int(value), resp)
    elif isinstance(value, (list, tuple)):
        out_head(o, c'*', len(value))
        return iter(value)
    elif isinstance(value, dict):
        return out_object(o, dict(value), resp)
    else:
        raise TypeError(f"{type(value).__name__} {value!r:.80} has no form as a reply")
    return None


cdef int out_reply(out_t* o, object reply, int resp) except -1:
    """Write any reply, or nothing: after an exception `o` is as it was before."""
    cdef size_t before = o.len
    cdef list stack = []
    cdef object parts, part
    try:
        parts = out_object(o, reply, resp)
        while parts is not None:
            for part in parts:
                part = out_object(o, part, resp)
                if part is not None:
                    stack.append(parts)
                    parts = part
                    break
            else:
                parts = stack.pop() if stack else None
    except BaseException:
        o.len = before
        raise
    return 0


def encode(reply, int resp=2, /):
    """Give the bytes of a reply in RESP2 or RESP3. TypeError for what has no form there; depth does not matter.

    >>> encode([1, b"two", None, {"pi": 3.5}], 3)
    b'*4\\r\\n:1\\r\\n$3\\r\\ntwo\\r\\n_\\r\\n%1\\r\\n$2\\r\\npi\\r\\n,3.5\\r\\n'
    """
    cdef out_t o
    if resp != 2 and resp != 3:
        raise ValueError(f"resp is 2 or 3, not {resp}")
    memset(&o, 0, sizeof(o))
    try:
        out_reply(&o, reply, resp)
        if o.failed:
            raise MemoryError
        return PyBytes_FromStringAndSize(o.data, <Py_ssize_t>o.len)
    finally:
        free(o.data)


# ---- requests, for tests

class ProtocolError(ValueError):
    """What a client sent is no RESP. str() is what it is told: "Protocol error: invalid bulk length"."""


cdef list input_argv(const input_t* q):
    cdef size_t i
    return [PyBytes_FromStringAndSize(input_arg(q, i), <Py_ssize_t>q.args[i].len) for i in range(q.argc)]


def parse(bytes data not None, /):
    """Give the requests that stand in data, and how many bytes they take. ProtocolError for what is none.

    >>> parse(b"*2\\r\\n$4\\r\\nECHO\\r\\n$2\\r\\nhi\\r\\nPING\\r\\n*1\\r\\n$4\\r\\nQU")
    ([[b'ECHO', b'hi'], [b'PING']], 28)
    """
    cdef input_t q
    cdef bounds_t bounds
    cdef char text[80]
    cdef int st
    cdef size_t n = <size_t>len(data)
    cdef list requests = []
    bounds.bulk = 512 * 1024 * 1024
    bounds.stranger = False
    input_init(&q)
    q.data = <char*>malloc(n + SLACK)   # a copy: inline commands are unquoted in place
    if q.data == NULL:
        raise MemoryError
    memcpy(q.data, PyBytes_AS_STRING(data), n)
    q.end = n
    try:
        while True:
            st = input_next(&q, &bounds)
            if st != P_READY:
                break
            requests.append(input_argv(&q))
            input_drop(&q)
        if st != P_MORE:
            raise ProtocolError(text[:parse_error_text(&q, st, text)].decode())
        return requests, q.start if q.end else n
    finally:
        free(q.data)
        input_free(&q)
