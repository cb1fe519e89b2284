# Erlang's external term format (ETF), both ways: bytes <-> packed terms, without Python objects and without the GIL.
#
# What it is: every tag that OTP 25 to 27 write, the older ones on reading, and two private tags for files of our own
# (ETF_FILE), which keep what Erlang has no word for: the text mark, extension terms, NaN.
#
# What it is not: the distribution protocol (no atom cache, no fragments), and not zlib: a compressed term (tag 80) is
# told by ST_COMPRESSED, and whoever holds the GIL unpacks it (etf_inflated). No table is known here, so a reference is
# a reference: what table it names is call.pxi's to say.
#
#     131 <term>          atom   119 n8 utf8 | 118 n16 utf8 | 100 n16 latin-1 | 115 n8 latin-1
#     term =              integer 97 u8 | 98 i32 | 110 n8 sign magnitude | 111 n32 sign magnitude   float 70 | 99 (text)
#       tuple 104 n8 terms | 105 n32 terms     list 108 n32 terms tail | 107 n16 bytes | 106
#       map 116 n32 pairs
#       binary 109 n32 bytes                    bit string 77 n32 bits8 bytes
#       pid 88 node u32 u32 u32 | 103 .. u8     port 120 node u64 u32 | 89 node u32 u32 | 102 .. u8
#       reference 90 n16 node u32 words | 114 n16 node u8 words | 101 node u32 u8
#       fun 113 module name arity | 112 size u8 uniq[16] u32 n32 module index uniq pid terms
#     ETF_FILE only:      text 240 n32 utf8     extension 241 atom term
#
# ## Reading
#
# One pass, cells written as they come: ETF has the elements in the order in which the grammar wants the bodies. Two
# things it tells too late. That a list is improper, or goes on in its tail, it tells behind the elements: the first
# such list stops the pass, a look over the whole term counts the cells of all its lists (list_counts), and the pass
# begins anew, once. And maps come in any order: a map whose keys are not ascending is put in order when it is closed.
#
# ## What must stay true
#
# 1. Nothing is believed: a count is held against the bytes that are left before room is made for it, so a term takes
#    at most a constant times the memory of its bytes, and only the bytes p[0..n) are read.
# 2. Nothing recurses, whatever the depth. A key of a map is nested at most ETF_KEY_DEPTH deep (codec.pxi's
#    invariant 4).
# 3. The work is bounded: putting maps in order moves at most ETF_MOVES times the term's size (ST_DEEP beyond).
# 4. Equal terms are written alike, and as Erlang writes them where it has a choice: so what is opaque (pids, ports,
#    references, funs) goes out in the very bytes in which it came in. Only maps are in our order.

from libc.math cimport isinf
from libc.stdlib cimport strtod
from libc.string cimport strchr

cdef enum:
    ETF_VERSION = 131
    ETF_FILE = 1               # flag: the private tags, and NaN
    ETF_HOME = 12              # levels on the C stack
    ETF_KEY_DEPTH = 4096
    ETF_MOVES = 64
    ETF_PORT_SHORT = 0x0FFFFFFF    # ports above have the tag 120, as in Erlang
    ETF_AGAIN = 200            # a list is not what it seemed: count, and begin anew
    ETF_STRING_MAX = 0xFFFF

cdef enum etf_tag_t:
    T_FLOAT = 70
    T_BITS = 77
    T_COMPRESSED = 80
    T_NEW_PID = 88
    T_NEW_PORT = 89
    T_NEWER_REF = 90
    T_BYTE = 97
    T_INT = 98
    T_FLOAT_TEXT = 99
    T_ATOM_LATIN = 100
    T_REF = 101
    T_PORT = 102
    T_PID = 103
    T_TUPLE8 = 104
    T_TUPLE32 = 105
    T_NIL = 106
    T_STRING = 107
    T_LIST = 108
    T_BINARY = 109
    T_BIG8 = 110
    T_BIG32 = 111
    T_FUN = 112
    T_EXPORT = 113
    T_NEW_REF = 114
    T_ATOM8_LATIN = 115
    T_MAP = 116
    T_ATOM16 = 118
    T_ATOM8 = 119
    T_PORT64 = 120
    T_TEXT = 240
    T_EXT = 241

cdef extern from *:
    """
    static inline uint32_t etf_u16(const char *p) {
        const unsigned char *q = (const unsigned char *)p;
        return (uint32_t)q[0] << 8 | q[1];
    }
    static inline uint32_t etf_u32(const char *p) {
        uint32_t v;
        memcpy(&v, p, 4);
        return __builtin_bswap32(v);
    }
    static inline uint64_t etf_u64(const char *p) {
        uint64_t v;
        memcpy(&v, p, 8);
        return __builtin_bswap64(v);
    }
    static inline void etf_put16(char *p, uint32_t v) { p[0] = (char)(v >> 8); p[1] = (char)v; }
    static inline void etf_put32(char *p, uint32_t v) { v = __builtin_bswap32(v); memcpy(p, &v, 4); }
    static inline void etf_put64(char *p, uint64_t v) { v = __builtin_bswap64(v); memcpy(p, &v, 8); }
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "packed terms are little-endian");
    """
    uint32_t etf_u16(const char* p) noexcept nogil
    uint32_t etf_u32(const char* p) noexcept nogil
    uint64_t etf_u64(const char* p) noexcept nogil
    void etf_put16(char* p, uint32_t v) noexcept nogil
    void etf_put32(char* p, uint32_t v) noexcept nogil
    void etf_put64(char* p, uint64_t v) noexcept nogil


# ---- reading

cdef struct etf_level_t:
    # A container that is being read.
    size_t at                  # its body in the buffer, in bytes
    size_t next                # its next cell
    size_t stop                # the cell before which the elements that were announced end
    size_t count               # all its cells
    const char* fun_end        # of the captured values of a fun: where its size says that it ends
    uint32_t low
    uint16_t in_key            # how deep it stands in a key of a map; 0: in none
    bint tail                  # a list whose tail is still to be read

cdef struct etf_reader_t:
    const char* start
    const char* p
    const char* end
    buf_t* out
    int flags
    size_t moved               # bytes that maps put in order have moved
    uint64_t* counts           # by LIST: cells << 1 | improper; NULL as long as all lists were plain
    size_t lists               # LISTs met
    etf_level_t* levels
    size_t depth
    size_t cap
    etf_level_t[ETF_HOME] home


cdef inline size_t etf_left(const etf_reader_t* r) noexcept nogil:
    return <size_t>(r.end - r.p)


cdef int etf_open(etf_reader_t* r, int low, size_t count, bint tail) noexcept nogil:
    """Open a container of so many cells in the next cell of the one on top. The caller has held the count against the
    bytes that are left."""
    cdef etf_level_t* top = &r.levels[r.depth - 1]
    cdef etf_level_t* more
    cdef size_t at = 0, words, in_key = top.in_key
    cdef int status = open_body(r.out, count, &at)
    if status != ST_OK:
        return status
    words = (at - top.at) >> 3
    if words > OFFSET_MAX:
        return ST_TOO_LARGE
    set_cell(r.out, top.at, top.next, cell_body(low, count, words))
    if in_key or (top.low == LOW_MAP and top.next % 2 == 0):
        in_key += 1
        if in_key > ETF_KEY_DEPTH:
            return ST_DEEP
    top.next += 1
    if r.depth == r.cap:
        more = <etf_level_t*>malloc(r.cap * 2 * sizeof(etf_level_t))
        if more == NULL:
            return ST_NO_MEMORY
        memcpy(more, r.levels, r.cap * sizeof(etf_level_t))
        if r.levels != r.home:
            free(r.levels)
        r.levels = more
        r.cap *= 2
    top = &r.levels[r.depth]
    r.depth += 1
    top.at = at
    top.next = 0
    top.stop = top.count = count
    top.fun_end = NULL
    top.low = low
    top.in_key = <uint16_t>in_key
    top.tail = tail
    return ST_OK


cdef inline int etf_cell(etf_reader_t* r, cell_t c) noexcept nogil:
    """The next cell of the container on top is one without a body."""
    cdef etf_level_t* top = &r.levels[r.depth - 1]
    set_cell(r.out, top.at, top.next, c)
    top.next += 1
    return ST_OK


cdef inline int etf_leaf(etf_reader_t* r, int low, const char* p, size_t n) noexcept nogil:
    cdef etf_level_t* top = &r.levels[r.depth - 1]
    top.next += 1
    return add_leaf(r.out, top.at, top.next - 1, low, p, n)


cdef int etf_atom(etf_reader_t* r, int tag, cell_t* c) noexcept nogil:
    """An atom whose tag has been read."""
    cdef size_t n, i, m = 0
    cdef size_t head = 1 if tag == T_ATOM8 or tag == T_ATOM8_LATIN else 2
    cdef char[2 * ATOM_CODE_POINTS] wide
    cdef unsigned char byte
    if etf_left(r) < head:
        return ST_BADARG
    n = <unsigned char>r.p[0] if head == 1 else etf_u16(r.p)
    r.p += head
    if etf_left(r) < n or n > 4 * ATOM_CODE_POINTS:
        return ST_BADARG
    if tag == T_ATOM8 or tag == T_ATOM16:
        c[0] = atom_intern(r.p, n)
    elif n > ATOM_CODE_POINTS:
        return ST_BADARG
    else:
        for i in range(n):
            byte = <unsigned char>r.p[i]
            if byte >= 0x80:
                wide[m] = <char>(0xC0 | byte >> 6)
                m += 1
                byte = 0x80 | (byte & 0x3F)
            wide[m] = <char>byte
            m += 1
        c[0] = atom_intern(wide, m)
    r.p += n
    return ST_OK if c[0] else ST_BADARG


cdef inline bint is_atom_tag(int tag) noexcept nogil:
    return tag == T_ATOM8 or tag == T_ATOM16 or tag == T_ATOM_LATIN or tag == T_ATOM8_LATIN


cdef int etf_node(etf_reader_t* r, cell_t* c) noexcept nogil:
    """An atom, its tag included."""
    cdef int tag
    if etf_left(r) < 1:
        return ST_BADARG
    tag = <unsigned char>r.p[0]
    r.p += 1
    return etf_atom(r, tag, c) if is_atom_tag(tag) else ST_BADARG


cdef int etf_big(etf_reader_t* r, size_t n) noexcept nogil:
    """A sign and n bytes of magnitude, of which the highest may be 0."""
    cdef const unsigned char* p = <const unsigned char*>r.p + 1
    cdef bint negative
    cdef uint64_t word
    if etf_left(r) < n + 1:
        return ST_BADARG
    negative = r.p[0] != 0
    r.p += n + 1
    while n and p[n - 1] == 0:
        n -= 1
    if n <= 8:
        word = 0
        memcpy(&word, p, n)
        if word <= <uint64_t>INT63_MAX + (1 if negative else 0):
            return etf_cell(r, cell_int(<int64_t>(0 - word) if negative else <int64_t>word))
    return etf_leaf(r, LOW_NEGATIVE if negative else LOW_POSITIVE, <const char*>p, n)


cdef int etf_float(etf_reader_t* r, double value) noexcept nogil:
    cdef etf_level_t* top = &r.levels[r.depth - 1]
    if (isnan(value) or isinf(value)) and not r.flags & ETF_FILE:
        return ST_BADARG
    top.next += 1
    return add_float(r.out, top.at, top.next - 1, value)


cdef int etf_float_text(etf_reader_t* r) noexcept nogil:
    """The old form of floats: 31 bytes of what printf's %.20e writes, filled up with zero bytes."""
    cdef char[32] text
    cdef char* stop = NULL
    cdef size_t i, n = 0
    cdef double value
    if etf_left(r) < 31:
        return ST_BADARG
    memcpy(text, r.p, 31)
    text[31] = 0
    while text[n]:
        if not (strchr(b"0123456789+-.eE ", text[n]) != NULL):
            return ST_BADARG
        n += 1
    for i in range(n, 31):
        if text[i]:
            return ST_BADARG
    value = strtod(text, &stop)
    if n == 0 or stop != &text[n]:
        return ST_BADARG
    r.p += 31
    return etf_float(r, value)


cdef int etf_bits(etf_reader_t* r) noexcept nogil:
    cdef etf_level_t* top = &r.levels[r.depth - 1]
    cdef size_t n, bits
    cdef char* body
    cdef int status
    if etf_left(r) < 5:
        return ST_BADARG
    n = etf_u32(r.p)
    bits = <unsigned char>r.p[4]
    r.p += 5
    if etf_left(r) < n or bits > 8 or (bits == 0) != (n == 0):
        return ST_BADARG
    top.next += 1
    if bits == 0 or bits == 8:
        status = row_add_binary(r.out, top.at, top.next - 1, r.p, n, False)
    else:
        status = leaf_status(r.out, top.at, n + 1)
        if status != ST_OK:
            return status
        body = grow_leaf(r.out, top.at, top.next - 1, LOW_BITS, n + 1)
        if body == NULL:
            return ST_NO_MEMORY
        body[0] = <char>bits
        memcpy(body + 1, r.p, n)
        body[n] &= <char>(0xFF00 >> bits)
    r.p += n
    return status


cdef int etf_binary(etf_reader_t* r, bint text) noexcept nogil:
    cdef etf_level_t* top = &r.levels[r.depth - 1]
    cdef size_t n
    if etf_left(r) < 4:
        return ST_BADARG
    n = etf_u32(r.p)
    r.p += 4
    if etf_left(r) < n:
        return ST_BADARG
    r.p += n
    top.next += 1
    return row_add_binary(r.out, top.at, top.next - 1, r.p - n, n, text)


cdef int etf_string(etf_reader_t* r, etf_level_t* top) noexcept nogil:
    """Bytes as the next cells of a list that is open. There is room."""
    cdef size_t n = etf_u16(r.p), i
    for i in range(n):
        set_cell(r.out, top.at, top.next + i, cell_int(<unsigned char>r.p[2 + i]))
    top.next += n
    r.p += 2 + n
    return ST_OK


cdef int etf_string_open(etf_reader_t* r) noexcept nogil:
    cdef size_t n
    cdef int status
    if etf_left(r) < 2:
        return ST_BADARG
    n = etf_u16(r.p)
    if etf_left(r) < 2 + n:
        return ST_BADARG
    if n == 0:
        r.p += 2
        return etf_cell(r, LOW_NIL)
    status = etf_open(r, LOW_LIST, n, False)
    return etf_string(r, &r.levels[r.depth - 1]) if status == ST_OK else status


cdef int etf_pid_body(etf_reader_t* r, int tag) noexcept nogil:
    cdef cell_t node = 0
    cdef size_t at, i, tail = 12 if tag == T_NEW_PID else 9
    cdef int status = etf_node(r, &node)
    if status != ST_OK:
        return status
    if etf_left(r) < tail:
        return ST_BADARG
    status = etf_open(r, LOW_PID, 4, False)
    if status != ST_OK:
        return status
    r.levels[r.depth - 1].next = 4
    at = r.levels[r.depth - 1].at
    set_cell(r.out, at, 0, node)
    for i in range(2):
        set_cell(r.out, at, 1 + i, cell_int(etf_u32(r.p + 4 * i)))
    set_cell(r.out, at, 3, cell_int(etf_u32(r.p + 8) if tag == T_NEW_PID else <unsigned char>r.p[8]))
    r.p += tail
    return ST_OK


cdef int etf_port_body(etf_reader_t* r, int tag) noexcept nogil:
    cdef cell_t node = 0
    cdef size_t at, tail = 12 if tag == T_PORT64 else 8 if tag == T_NEW_PORT else 5
    cdef uint64_t number
    cdef int status = etf_node(r, &node)
    if status != ST_OK:
        return status
    if etf_left(r) < tail:
        return ST_BADARG
    status = etf_open(r, LOW_PORT, 3, False)
    if status != ST_OK:
        return status
    r.levels[r.depth - 1].next = 3
    at = r.levels[r.depth - 1].at
    set_cell(r.out, at, 0, node)
    number = etf_u64(r.p) if tag == T_PORT64 else etf_u32(r.p)
    r.p += tail
    set_cell(r.out, at, 2, cell_int(<unsigned char>(r.p - 1)[0] if tag == T_PORT else etf_u32(r.p - 4)))
    if number <= <uint64_t>INT63_MAX:
        set_cell(r.out, at, 1, cell_int(<int64_t>number))
        return ST_OK
    return add_leaf(r.out, at, 1, LOW_POSITIVE, <const char*>&number, 8)


cdef int etf_ref_body(etf_reader_t* r, int tag) noexcept nogil:
    """References with one word (101) and with several (114, 90)."""
    cdef cell_t node = 0
    cdef size_t at, i, n = 1, creation = 4 if tag == T_NEWER_REF else 1
    cdef const char* words
    cdef int status
    if tag != T_REF:
        if etf_left(r) < 2:
            return ST_BADARG
        n = etf_u16(r.p)
        r.p += 2
    status = etf_node(r, &node)
    if status != ST_OK:
        return status
    if n == 0 or n > 255 or etf_left(r) < creation + 4 * n:
        return ST_BADARG
    status = etf_open(r, LOW_REF, 2 + n, False)
    if status != ST_OK:
        return status
    r.levels[r.depth - 1].next = 2 + n
    at = r.levels[r.depth - 1].at
    set_cell(r.out, at, 0, node)
    words = r.p if tag == T_REF else r.p + creation
    if tag == T_NEWER_REF:
        set_cell(r.out, at, 1, cell_int(etf_u32(r.p)))
    else:
        set_cell(r.out, at, 1, cell_int(<unsigned char>(r.p[4] if tag == T_REF else r.p[0])))
    for i in range(n):
        set_cell(r.out, at, 2 + i, cell_int(etf_u32(words + 4 * i)))
    r.p += creation + 4 * n
    return ST_OK


cdef int etf_export_body(etf_reader_t* r) noexcept nogil:
    cdef cell_t module = 0, name = 0
    cdef size_t at
    cdef int status = etf_node(r, &module)
    if status == ST_OK:
        status = etf_node(r, &name)
    if status != ST_OK:
        return status
    if etf_left(r) < 2 or <unsigned char>r.p[0] != T_BYTE:
        return ST_BADARG
    status = etf_open(r, LOW_FUN, 4, False)
    if status != ST_OK:
        return status
    r.levels[r.depth - 1].next = 4
    at = r.levels[r.depth - 1].at
    set_cell(r.out, at, 0, cell_atom(ATOM_EXPORT))
    set_cell(r.out, at, 1, module)
    set_cell(r.out, at, 2, name)
    set_cell(r.out, at, 3, cell_int(<unsigned char>r.p[1]))
    r.p += 2
    return ST_OK


cdef int etf_number(etf_reader_t* r, int64_t low, int64_t high, int64_t* value) noexcept nogil:
    """An integer of a fun's head: one of at most 8 bytes, between low and high."""
    cdef int tag
    cdef size_t n
    cdef uint64_t word = 0
    if etf_left(r) < 2:
        return ST_BADARG
    tag = <unsigned char>r.p[0]
    if tag == T_BYTE:
        value[0] = <unsigned char>r.p[1]
        r.p += 2
    elif tag == T_INT and etf_left(r) >= 5:
        value[0] = <int32_t>etf_u32(r.p + 1)
        r.p += 5
    elif tag == T_BIG8:
        n = <unsigned char>r.p[1]
        if n > 7 or etf_left(r) < 3 + n:
            return ST_BADARG
        memcpy(&word, r.p + 3, n)
        value[0] = -<int64_t>word if r.p[2] else <int64_t>word
        r.p += 3 + n
    else:
        return ST_BADARG
    return ST_OK if low <= value[0] <= high else ST_BADARG


cdef int etf_fun(etf_reader_t* r) noexcept nogil:
    """A local fun up to its captured values, which are left as a list to be read."""
    cdef const char* head = r.p
    cdef const char* end
    cdef cell_t module = 0
    cdef int64_t old_index = 0, old_uniq = 0
    cdef size_t at, captured
    cdef int status, tag
    if etf_left(r) < 29:
        return ST_BADARG
    if etf_left(r) < etf_u32(head) or etf_u32(head) < 29:
        return ST_BADARG
    end = head + etf_u32(head)
    captured = etf_u32(head + 25)
    r.p += 29
    status = etf_node(r, &module)
    if status == ST_OK:
        status = etf_number(r, 0, 0xFFFFFFFF, &old_index)
    if status == ST_OK:
        status = etf_number(r, -<int64_t>0x80000000, 0xFFFFFFFF, &old_uniq)
    if status == ST_OK:
        status = etf_open(r, LOW_FUN, FUN_CELLS, False)
    if status != ST_OK:
        return status
    r.levels[r.depth - 1].fun_end = end
    at = r.levels[r.depth - 1].at
    set_flags(r.out, at, HAS_MARKS)
    set_cell(r.out, at, 0, cell_atom(ATOM_LOCAL))
    set_cell(r.out, at, 1, module)
    set_cell(r.out, at, 2, cell_int(etf_u32(head + 21)))
    set_cell(r.out, at, FUN_OLD_UNIQ, cell_int(old_uniq))
    set_cell(r.out, at, FUN_ARITY, fun_arity_cell(<unsigned char>head[4], etf_u32(head + 21), <uint32_t>old_index))
    status = add_leaf(r.out, at, FUN_UNIQ, LOW_BINARY, head + 5, 16)
    if status != ST_OK:
        return status
    if etf_left(r) < 1:
        return ST_BADARG
    tag = <unsigned char>r.p[0]
    r.p += 1
    if tag != T_NEW_PID and tag != T_PID:
        return ST_BADARG
    r.levels[r.depth - 1].next = FUN_PID
    status = etf_pid_body(r, tag)
    if status == ST_OK:
        status = etf_close(r)
    if status != ST_OK:
        return status
    if captured > etf_left(r):
        return ST_BADARG
    if captured == 0:
        return etf_cell(r, LOW_NIL)
    return etf_open(r, LOW_LIST, captured, False)


cdef inline cell_t fun_arity_cell(uint32_t arity, uint32_t index, uint32_t old_index) noexcept nogil:
    """Erlang knows a second index, as a rule the same as the first: how far it is away stands above the arity."""
    return cell_int(<int64_t>arity | <int64_t><uint32_t>(old_index - index) << 8)


cdef int etf_list(etf_reader_t* r) noexcept nogil:
    cdef size_t n
    cdef uint64_t known
    if etf_left(r) < 4:
        return ST_BADARG
    n = etf_u32(r.p)
    r.p += 4
    if n == 0:
        return ST_OK                                           # what follows is the tail: it is the term
    if n >= etf_left(r):                                       # the tail takes a byte, too
        return ST_BADARG
    if r.counts == NULL:
        return etf_open(r, LOW_LIST, n, True)
    known = r.counts[r.lists]
    r.lists += 1
    cdef int status = etf_open(r, LOW_IMPROPER if known & 1 else LOW_LIST, known >> 1, True)
    if status == ST_OK:
        r.levels[r.depth - 1].stop = n
    return status


cdef int etf_tail(etf_reader_t* r) noexcept nogil:
    """The announced elements of a list are there: read on in its tail."""
    cdef etf_level_t* top = &r.levels[r.depth - 1]
    cdef int tag
    if etf_left(r) < 1:
        return ST_BADARG
    tag = <unsigned char>r.p[0]
    if tag == T_NIL:
        r.p += 1
        top.tail = False
        return ST_OK
    if r.counts == NULL:
        return ETF_AGAIN
    if tag == T_LIST:
        top.stop += etf_u32(r.p + 1)
        r.p += 5
        return ST_OK
    top.tail = False
    if tag == T_STRING:
        r.p += 1
        return etf_string(r, top)
    top.stop += 1                                              # the tail is the last cell
    return ST_OK


cdef int etf_map_order(etf_reader_t* r, etf_level_t* top) noexcept nogil:
    """A map's cells are all there: put them in the order of the keys. ST_BADARG if two keys are one."""
    cdef size_t n = top.count // 2, i, bytes = r.out.len - top.at, head = (1 + top.count) * 8
    cdef map_key_t[8] few
    cdef map_key_t* keys = few
    cdef uint64_t[64] home                                     # words: a copy of the body stands in it, too
    cdef buf_t forms
    cdef bint sorted = True
    cdef int status
    if n > 8:
        keys = <map_key_t*>malloc(n * sizeof(map_key_t))
        if keys == NULL:
            return ST_NO_MEMORY
    buf_init(&forms, <char*>home, sizeof(home))
    status = sort_keys(keys, n, <const cell_t*>(r.out.data + top.at + 8), &forms)
    for i in range(1, n):
        if status == ST_OK and compare_keys(&keys[i - 1], &keys[i]) == 0:
            status = ST_BADARG
    for i in range(n):
        sorted = sorted and keys[i].item == i
    if status == ST_OK and not sorted:
        r.moved += bytes
        if r.moved > (<size_t>1 << 24) + ETF_MOVES * <size_t>(r.end - r.start):
            status = ST_DEEP
    if status == ST_OK and not sorted:
        forms.len = 0
        status = buf_append(&forms, r.out.data + top.at, bytes)
        r.out.len = top.at + head
        for i in range(n):
            if status == ST_OK:
                status = row_add_term(r.out, top.at, 2 * i, keys[i].cell, forms.data)
            if status == ST_OK:
                status = row_add_term(
                    r.out, top.at, 2 * i + 1, (<cell_t*>forms.data)[2 + 2 * keys[i].item], forms.data)
    if keys != few:
        free(keys)
    buf_free(&forms)
    return status


cdef int etf_close(etf_reader_t* r) noexcept nogil:
    """The container on top has all its cells."""
    cdef etf_level_t* top = &r.levels[r.depth - 1]
    cdef int status = ST_OK
    cdef uint64_t flags
    if top.low == LOW_MAP and top.count > 2:
        status = etf_map_order(r, top)
    if top.fun_end != NULL and top.fun_end != r.p:
        return ST_BADARG
    if status == ST_OK:
        status = close_body(r.out, top.at)
    if status != ST_OK:
        return status
    flags = (<uint64_t*>(r.out.data + top.at))[0] & FLAGS_BELOW
    r.depth -= 1
    if r.depth:
        set_flags(r.out, r.levels[r.depth - 1].at, flags)
    return ST_OK


cdef int etf_counted(etf_reader_t* r, int tag) noexcept nogil:
    """Tuples and maps."""
    cdef size_t n, head = 1 if tag == T_TUPLE8 else 4
    if etf_left(r) < head:
        return ST_BADARG
    n = <unsigned char>r.p[0] if head == 1 else etf_u32(r.p)
    r.p += head
    if tag == T_MAP:
        n *= 2
    if n > etf_left(r):
        return ST_BADARG
    if n == 0:
        return etf_cell(r, LOW_NO_MAP if tag == T_MAP else LOW_NO_TUPLE)
    return etf_open(r, LOW_MAP if tag == T_MAP else LOW_TUPLE, n, False)


cdef int etf_ext(etf_reader_t* r) noexcept nogil:
    """An extension term's name; the payload is left to be read."""
    cdef cell_t name = 0
    cdef int status = etf_node(r, &name)
    if status == ST_OK:
        status = etf_open(r, LOW_EXT, 2, False)
    return etf_cell(r, name) if status == ST_OK else status


cdef int etf_rare(etf_reader_t* r, int tag) noexcept nogil:
    """The tags that etf_value leaves."""
    cdef int status
    cdef cell_t c = 0
    cdef size_t left = etf_left(r)
    if tag == T_BIG8:
        if left < 1:
            return ST_BADARG
        r.p += 1
        return etf_big(r, <unsigned char>(r.p - 1)[0])
    if tag == T_BIG32:
        if left < 4:
            return ST_BADARG
        r.p += 4
        return etf_big(r, etf_u32(r.p - 4))
    if tag == T_ATOM_LATIN or tag == T_ATOM8_LATIN:
        status = etf_atom(r, tag, &c)
        return etf_cell(r, c) if status == ST_OK else status
    if tag == T_NEW_PID or tag == T_PID:
        return etf_pid_body(r, tag)
    if tag == T_NEW_PORT or tag == T_PORT64 or tag == T_PORT:
        return etf_port_body(r, tag)
    if tag == T_NEWER_REF or tag == T_NEW_REF or tag == T_REF:
        return etf_ref_body(r, tag)
    if tag == T_BITS:
        return etf_bits(r)
    if tag == T_EXPORT:
        return etf_export_body(r)
    if tag == T_FUN:
        return etf_fun(r)
    if tag == T_FLOAT_TEXT:
        return etf_float_text(r)
    if tag == T_TEXT and r.flags & ETF_FILE:
        return etf_binary(r, True)
    if tag == T_EXT and r.flags & ETF_FILE:
        return etf_ext(r)
    if tag == T_COMPRESSED and r.p - 1 == r.start:
        return ST_COMPRESSED
    return ST_BADARG


cdef inline int etf_value(etf_reader_t* r) noexcept nogil:
    """Read a term into the next cell of the container on top, or open it there."""
    cdef int tag, status
    cdef cell_t c = 0
    cdef double value
    cdef uint64_t bits
    if r.p == r.end:
        return ST_BADARG
    tag = <unsigned char>r.p[0]
    r.p += 1
    if tag == T_BYTE:
        if etf_left(r) < 1:
            return ST_BADARG
        r.p += 1
        return etf_cell(r, cell_int(<unsigned char>(r.p - 1)[0]))
    if tag == T_INT:
        if etf_left(r) < 4:
            return ST_BADARG
        r.p += 4
        return etf_cell(r, cell_int(<int32_t>etf_u32(r.p - 4)))
    if tag == T_ATOM8 or tag == T_ATOM16:
        status = etf_atom(r, tag, &c)
        return etf_cell(r, c) if status == ST_OK else status
    if tag == T_TUPLE8 or tag == T_TUPLE32 or tag == T_MAP:
        return etf_counted(r, tag)
    if tag == T_BINARY:
        return etf_binary(r, False)
    if tag == T_LIST:
        return etf_list(r)
    if tag == T_NIL:
        return etf_cell(r, LOW_NIL)
    if tag == T_STRING:
        return etf_string_open(r)
    if tag == T_FLOAT:
        if etf_left(r) < 8:
            return ST_BADARG
        bits = etf_u64(r.p)
        r.p += 8
        memcpy(&value, &bits, 8)
        return etf_float(r, value)
    return etf_rare(r, tag)


cdef int etf_pass(etf_reader_t* r, size_t* at) noexcept nogil:
    """Read the one term that p[0..n) holds, as the only cell of a row."""
    cdef etf_level_t* top
    cdef int status = open_body(r.out, 1, at)
    r.p = r.start
    r.lists = 0
    r.moved = 0
    r.depth = 1
    memset(&r.levels[0], 0, sizeof(etf_level_t))
    r.levels[0].at = at[0]
    r.levels[0].stop = r.levels[0].count = 1
    r.levels[0].low = LOW_TUPLE
    while status == ST_OK and r.depth:
        top = &r.levels[r.depth - 1]
        if top.next < top.stop:
            status = etf_value(r)
        elif top.tail:
            status = etf_tail(r)
        elif top.next == top.count:
            status = etf_close(r)
        else:
            status = ST_BADARG
    if status == ST_OK and r.p != r.end:
        return ST_BADARG                                       # something stands behind the term
    return status


# ---- looking over a term before it is read
#
# Only the lengths matter, and they are held against the bytes that are left: what list_counts lets through can still be
# malformed, which the second pass finds.

cdef struct list_level_t:
    uint64_t left              # terms to come
    size_t list                # 1 + index in counts; 0: no list

cdef struct lister_t:
    buf_t counts
    buf_t levels
    size_t n


cdef int lister_push(lister_t* s, uint64_t left, size_t list) noexcept nogil:
    cdef list_level_t level
    level.left = left
    level.list = list
    return buf_append(&s.levels, &level, sizeof(level))


cdef int skip_atom(const char** p, const char* end) noexcept nogil:
    cdef size_t left = <size_t>(end - p[0]), n
    cdef int tag
    if left < 3:
        if left < 2 or p[0][1] != 0:                           # '' with a length of one byte
            return ST_BADARG
    tag = <unsigned char>p[0][0]
    if not is_atom_tag(tag):
        return ST_BADARG
    if tag == T_ATOM8 or tag == T_ATOM8_LATIN:
        n = 2 + <unsigned char>p[0][1]
    else:
        n = 3 + etf_u16(p[0] + 1)
    if n > left:
        return ST_BADARG
    p[0] += n
    return ST_OK


cdef int lister_list(lister_t* s, uint64_t n, size_t list) noexcept nogil:
    """A LIST of n elements: one of its own, or (list > 0) one that goes on in the tail of that one."""
    if list == 0:
        s.n += 1
        list = s.n
        n <<= 1
        if buf_append(&s.counts, &n, 8) != ST_OK:
            return ST_NO_MEMORY
        n >>= 1
    else:
        (<uint64_t*>s.counts.data)[list - 1] += n << 1
    return lister_push(s, n, list)


cdef int skip_fixed(int tag, const char** p, const char* end) noexcept nogil:
    """Behind a term without elements whose tag has been read."""
    cdef size_t left = <size_t>(end - p[0]), n = 0
    cdef int status
    if tag == T_NEW_PID or tag == T_PID or tag == T_NEW_PORT or tag == T_PORT64 or tag == T_PORT or tag == T_REF:
        status = skip_atom(p, end)
        if status != ST_OK:
            return status
        left = <size_t>(end - p[0])
        n = 12 if tag == T_NEW_PID or tag == T_PORT64 else 9 if tag == T_PID else 8 if tag == T_NEW_PORT else 5
    elif tag == T_NEWER_REF or tag == T_NEW_REF:
        if left < 2:
            return ST_BADARG
        n = 4 * etf_u16(p[0]) + (4 if tag == T_NEWER_REF else 1)
        p[0] += 2
        status = skip_atom(p, end)
        if status != ST_OK:
            return status
        left = <size_t>(end - p[0])
    elif tag == T_BYTE:
        n = 1
    elif tag == T_INT:
        n = 4
    elif tag == T_FLOAT:
        n = 8
    elif tag == T_FLOAT_TEXT:
        n = 31
    elif tag == T_EXPORT:
        status = skip_atom(p, end)
        if status == ST_OK:
            status = skip_atom(p, end)
        if status != ST_OK:
            return status
        left = <size_t>(end - p[0])
        n = 2
    elif tag == T_BIG8:
        n = 2 + <size_t><unsigned char>p[0][0] if left else 1
    elif tag == T_STRING:
        n = 2 + etf_u16(p[0]) if left >= 2 else 2
    elif tag == T_BINARY or tag == T_TEXT:
        n = 4 + <size_t>etf_u32(p[0]) if left >= 4 else 4
    elif tag == T_BITS or tag == T_BIG32:
        n = 5 + <size_t>etf_u32(p[0]) if left >= 4 else 5
    elif tag != T_NIL:
        return ST_BADARG
    if n > left:
        return ST_BADARG
    p[0] += n
    return ST_OK


cdef int lister_value(lister_t* s, const char** p, const char* end, bint as_tail, size_t list) noexcept nogil:
    """Skip a term, or take it up for its elements. `list` is the list whose tail it is, 0 if it is no tail."""
    cdef size_t left = <size_t>(end - p[0])
    cdef uint64_t n
    cdef int tag, status
    if left < 1:
        return ST_BADARG
    tag = <unsigned char>p[0][0]
    if is_atom_tag(tag):
        return skip_atom(p, end)
    p[0] += 1
    left -= 1
    if tag == T_TUPLE8 or tag == T_TUPLE32 or tag == T_MAP or tag == T_LIST:
        if left < 4 and (tag != T_TUPLE8 or left < 1):
            return ST_BADARG
        n = <unsigned char>p[0][0] if tag == T_TUPLE8 else etf_u32(p[0])
        p[0] += 1 if tag == T_TUPLE8 else 4
        if n * (2 if tag == T_MAP else 1) > left:
            return ST_BADARG
        if tag != T_LIST:
            return lister_push(s, 2 * n if tag == T_MAP else n, 0)
        if n == 0 and not as_tail:
            return lister_push(s, 1, 0)                        # its tail is the term
        return lister_list(s, n, list)
    if tag == T_FUN:
        if left < 29:
            return ST_BADARG
        n = etf_u32(p[0] + 25)
        p[0] += 29
        if n > left:
            return ST_BADARG
        return lister_push(s, 4 + n, 0)
    if tag == T_EXT:
        status = skip_atom(p, end)
        return lister_push(s, 1, 0) if status == ST_OK else status
    return skip_fixed(tag, p, end)


cdef int lister_tail(lister_t* s, const char** p, const char* end, size_t list) noexcept nogil:
    """Look at the tail of a list whose elements are done."""
    cdef int tag
    if p[0] == end:
        return ST_BADARG
    tag = <unsigned char>p[0][0]
    if tag == T_NIL:
        p[0] += 1
        return ST_OK
    if tag == T_LIST:
        return lister_value(s, p, end, True, list)
    if tag == T_STRING:
        if end - p[0] < 3:
            return ST_BADARG
        (<uint64_t*>s.counts.data)[list - 1] += <uint64_t>etf_u16(p[0] + 1) << 1
    else:
        (<uint64_t*>s.counts.data)[list - 1] += 3              # one cell more, and improper
    return lister_value(s, p, end, False, 0)


cdef int list_counts(const char* p, const char* end, uint64_t** counts) noexcept nogil:
    """The cells of every LIST that is no tail, in the order in which they begin: cells << 1 | improper."""
    cdef lister_t s
    cdef list_level_t* top
    cdef size_t list
    cdef int status
    buf_init(&s.counts, NULL, 0)
    buf_init(&s.levels, NULL, 0)
    s.n = 0
    status = lister_push(&s, 1, 0)
    while status == ST_OK and s.levels.len:
        top = <list_level_t*>(s.levels.data + s.levels.len) - 1
        if top.left:
            top.left -= 1
            status = lister_value(&s, &p, end, False, 0)
            continue
        list = top.list
        s.levels.len -= sizeof(list_level_t)
        if list:
            status = lister_tail(&s, &p, end, list)
    buf_free(&s.levels)
    counts[0] = <uint64_t*>s.counts.data
    return status


# ---- reading, as others call it

cdef int etf_decode(const char* p, size_t n, buf_t* out, size_t* at, int flags) noexcept nogil:
    """Read a term without its leading 131: p[0..n), all of it. It becomes a row of one element at out.data + *at.
    ST_BADARG: malformed. ST_COMPRESSED: see etf_inflated. ST_DEEP: nested too deep in a key, or too much to put in
    order. ST_TOO_LARGE, ST_NO_MEMORY. After a failure the buffer holds garbage behind its old len."""
    cdef etf_reader_t r
    cdef size_t before = out.len
    cdef int status
    r.start = p
    r.end = p + n
    r.out = out
    r.flags = flags
    r.counts = NULL
    r.levels = r.home
    r.cap = ETF_HOME
    status = etf_pass(&r, at)
    if status == ETF_AGAIN:
        out.len = before
        status = list_counts(p, p + n, &r.counts)
        if status == ST_OK:
            status = etf_pass(&r, at)
    free(r.counts)
    if r.levels != r.home:
        free(r.levels)
    return status


cdef int etf_read(const char* p, size_t n, buf_t* out, size_t* at, int flags) noexcept nogil:
    """etf_decode of a term with its leading 131."""
    if n < 2 or <unsigned char>p[0] != ETF_VERSION:
        return ST_BADARG
    return etf_decode(p + 1, n - 1, out, at, flags)


# ---- writing

cdef struct etf_write_t:
    const cell_t* cells
    const char* base
    size_t left
    size_t fun_at              # of the captured values of a fun: where its size is to be written, in bytes; else 0
    bint nil                   # a proper list: NIL follows the last element

cdef struct etf_writer_t:
    buf_t* out
    int flags
    etf_write_t* levels
    size_t depth
    size_t cap
    etf_write_t[ETF_HOME] home


cdef int etf_descend(
    etf_writer_t* w, const cell_t* cells, const char* base, size_t n, bint nil, size_t fun_at
) noexcept nogil:
    cdef etf_write_t* more
    if w.depth == w.cap:
        more = <etf_write_t*>malloc(w.cap * 2 * sizeof(etf_write_t))
        if more == NULL:
            return ST_NO_MEMORY
        memcpy(more, w.levels, w.cap * sizeof(etf_write_t))
        if w.levels != w.home:
            free(w.levels)
        w.levels = more
        w.cap *= 2
    w.levels[w.depth].cells = cells
    w.levels[w.depth].base = base
    w.levels[w.depth].left = n
    w.levels[w.depth].nil = nil
    w.levels[w.depth].fun_at = fun_at
    w.depth += 1
    return ST_OK


cdef inline char* etf_room(buf_t* out, size_t n) noexcept nogil:
    """n bytes at the end, to be written; NULL without memory."""
    if buf_reserve(out, n) != ST_OK:
        return NULL
    out.len += n
    return out.data + out.len - n


cdef int put_byte(buf_t* out, int byte) noexcept nogil:
    cdef char* q = etf_room(out, 1)
    if q == NULL:
        return ST_NO_MEMORY
    q[0] = <char>byte
    return ST_OK


cdef int put_head(buf_t* out, int tag, size_t n) noexcept nogil:
    """A tag and a length of four bytes."""
    cdef char* q = etf_room(out, 5)
    if q == NULL:
        return ST_NO_MEMORY
    q[0] = <char>tag
    etf_put32(q + 1, <uint32_t>n)
    return ST_OK


cdef int put_word(buf_t* out, uint64_t value) noexcept nogil:
    cdef char* q = etf_room(out, 4)
    if q == NULL:
        return ST_NO_MEMORY
    etf_put32(q, <uint32_t>value)
    return ST_OK


cdef int put_atom(buf_t* out, cell_t c) noexcept nogil:
    cdef size_t n = 0
    cdef const char* text = atom_text(c, &n)
    cdef size_t head = 2 if n <= 255 else 3
    cdef char* q = etf_room(out, head + n)
    if q == NULL:
        return ST_NO_MEMORY
    if n <= 255:
        q[0] = <char>T_ATOM8
        q[1] = <char>n
    else:
        q[0] = <char>T_ATOM16
        etf_put16(q + 1, <uint32_t>n)
    memcpy(q + head, text, n)
    return ST_OK


cdef int put_magnitude(buf_t* out, const char* p, size_t n, bint negative) noexcept nogil:
    cdef size_t head = 3 if n <= 255 else 6
    cdef char* q = etf_room(out, head + n)
    if q == NULL:
        return ST_NO_MEMORY
    if n <= 255:
        q[0] = <char>T_BIG8
        q[1] = <char>n
    else:
        q[0] = <char>T_BIG32
        etf_put32(q + 1, <uint32_t>n)
    q[head - 1] = 1 if negative else 0
    memcpy(q + head, p, n)
    return ST_OK


cdef int put_int(buf_t* out, int64_t value) noexcept nogil:
    cdef uint64_t m
    cdef char* q
    if 0 <= value <= 255:
        q = etf_room(out, 2)
        if q == NULL:
            return ST_NO_MEMORY
        q[0] = <char>T_BYTE
        q[1] = <char>value
        return ST_OK
    if -<int64_t>0x80000000 <= value <= 0x7FFFFFFF:
        return put_head(out, T_INT, <size_t><uint32_t>value)
    m = 0 - <uint64_t>value if value < 0 else <uint64_t>value
    return put_magnitude(out, <const char*>&m, (top_bit(m) >> 3) + 1, value < 0)


cdef int put_float(buf_t* out, double value, int flags) noexcept nogil:
    cdef uint64_t bits
    cdef char* q
    if (isnan(value) or isinf(value)) and not flags & ETF_FILE:
        return ST_NO_FORM
    q = etf_room(out, 9)
    if q == NULL:
        return ST_NO_MEMORY
    memcpy(&bits, &value, 8)
    q[0] = <char>T_FLOAT
    etf_put64(q + 1, bits)
    return ST_OK


cdef int put_bits(buf_t* out, const char* body, size_t n) noexcept nogil:
    """A bit string's body: how many bits of the last byte count, then n - 1 bytes."""
    cdef int status = put_head(out, T_BITS, n - 1)
    if status == ST_OK:
        status = put_byte(out, body[0])
    return buf_append(out, body + 1, n - 1) if status == ST_OK else status


cdef int put_scalar(etf_writer_t* w, cell_t c, const char* base) noexcept nogil:
    """Any term without cells."""
    cdef char[8] scratch
    cdef size_t n = 0
    cdef const char* p
    cdef int low, status
    if cell_is_int(c):
        return put_int(w.out, term_int(c))
    low = cell_low(c)
    if low == LOW_ATOM:
        return put_atom(w.out, c)
    if (low & 0xF) == LOW_INLINE or (low & 0x7F) == LOW_BINARY:
        p = term_bytes(c, base, scratch, &n)
        status = put_head(w.out, T_TEXT if w.flags & ETF_FILE and term_is_text(c) else T_BINARY, n)
        return buf_append(w.out, p, n) if status == ST_OK else status
    if low == LOW_FLOAT:
        return put_float(w.out, term_float(c, base), w.flags)
    if low == LOW_NIL:
        return put_byte(w.out, T_NIL)
    if low == LOW_POSITIVE or low == LOW_NEGATIVE:
        return put_magnitude(w.out, cell_at(c, base), cell_length(c), low == LOW_NEGATIVE)
    if low == LOW_BITS:
        return put_bits(w.out, cell_at(c, base), cell_length(c))
    if low == LOW_NO_MAP:
        return put_head(w.out, T_MAP, 0)
    if low == LOW_NO_TUPLE:
        status = put_byte(w.out, T_TUPLE8)
        return put_byte(w.out, 0) if status == ST_OK else status
    return ST_NO_FORM


cdef bint is_string(const cell_t* cells, size_t n) noexcept nogil:
    """Are they all bytes, and few enough for a STRING?"""
    cdef size_t i
    if n > ETF_STRING_MAX:
        return False
    for i in range(n):
        if cells[i] & ~<cell_t>0x1FE:                          # the cells of 0..255
            return False
    return True


cdef int put_string(buf_t* out, const cell_t* cells, size_t n) noexcept nogil:
    cdef size_t i
    cdef char* q = etf_room(out, 3 + n)
    if q == NULL:
        return ST_NO_MEMORY
    q[0] = <char>T_STRING
    etf_put16(q + 1, <uint32_t>n)
    for i in range(n):
        q[3 + i] = <char>(cells[i] >> 1)
    return ST_OK


cdef int put_pid(buf_t* out, const cell_t* cells) noexcept nogil:
    cdef int status = put_byte(out, T_NEW_PID)
    cdef size_t i
    if status == ST_OK:
        status = put_atom(out, cells[0])
    for i in range(1, 4):
        if status == ST_OK:
            status = put_word(out, term_int(cells[i]))
    return status


cdef int put_port(buf_t* out, const cell_t* cells) noexcept nogil:
    cdef uint64_t number
    cdef bint short_
    cdef char* q
    cdef int status
    if cell_is_int(cells[1]):
        number = <uint64_t>term_int(cells[1])
    else:
        number = load64(cell_at(cells[1], <const char*>(cells - 1)))
    short_ = number <= ETF_PORT_SHORT
    status = put_byte(out, T_NEW_PORT if short_ else T_PORT64)
    if status == ST_OK:
        status = put_atom(out, cells[0])
    if status != ST_OK:
        return status
    if short_:
        status = put_word(out, number)
    else:
        q = etf_room(out, 8)
        if q == NULL:
            return ST_NO_MEMORY
        etf_put64(q, number)
    return put_word(out, term_int(cells[2])) if status == ST_OK else status


cdef int put_ref(buf_t* out, const cell_t* cells, size_t n) noexcept nogil:
    cdef char* q = etf_room(out, 3)
    cdef size_t i
    cdef int status
    if q == NULL:
        return ST_NO_MEMORY
    q[0] = <char>T_NEWER_REF
    etf_put16(q + 1, <uint32_t>(n - 2))
    status = put_atom(out, cells[0])
    for i in range(1, n):
        if status == ST_OK:
            status = put_word(out, term_int(cells[i]))
    return status


cdef int put_export(buf_t* out, const cell_t* cells) noexcept nogil:
    cdef int status = put_byte(out, T_EXPORT)
    if status == ST_OK:
        status = put_atom(out, cells[1])
    if status == ST_OK:
        status = put_atom(out, cells[2])
    return put_int(out, term_int(cells[3])) if status == ST_OK else status


cdef int put_fun(etf_writer_t* w, const cell_t* cells) noexcept nogil:
    """A local fun; the captured values follow."""
    cdef const char* base = <const char*>(cells - 1)
    cdef buf_t* out = w.out
    cdef size_t at = out.len + 1, n = 0
    cdef const cell_t* free_cells = NULL
    cdef const char* free_base = NULL
    cdef uint64_t arity = <uint64_t>term_int(cells[FUN_ARITY])
    cdef uint32_t index = <uint32_t>term_int(cells[2])
    cdef char* q
    cdef int status
    if cell_low(cells[FUN_UNIQ]) != LOW_BINARY or cell_length(cells[FUN_UNIQ]) != 16:
        return ST_NO_FORM                                      # made in Python, of something else than 16 bytes
    n = term_cells(cells[FUN_FREE], base, &free_cells, &free_base)
    q = etf_room(out, 30)
    if q == NULL:
        return ST_NO_MEMORY
    q[0] = <char>T_FUN
    q[5] = <char>(arity & 0xFF)
    memcpy(q + 6, cell_at(cells[FUN_UNIQ], base), 16)
    etf_put32(q + 22, index)
    etf_put32(q + 26, <uint32_t>n)
    status = put_atom(out, cells[1])
    if status == ST_OK:
        status = put_int(out, <uint32_t>(index + <uint32_t>(arity >> 8)))
    if status == ST_OK:
        status = put_int(out, term_int(cells[FUN_OLD_UNIQ]))
    if status == ST_OK:
        status = put_pid(out, <const cell_t*>(cell_at(cells[FUN_PID], base) + 8))
    return etf_descend(w, free_cells, free_base, n, False, at) if status == ST_OK else status


cdef int put_box(etf_writer_t* w, cell_t c, const uint64_t* body) noexcept nogil:
    """A container's head; its cells are taken up."""
    cdef const cell_t* cells = body + 1
    cdef size_t n = header_count(body[0])
    cdef int low = cell_low(c), status = ST_OK
    cdef char* q
    if low == LOW_TUPLE:
        if n > 255:
            status = put_head(w.out, T_TUPLE32, n)
        else:
            q = etf_room(w.out, 2)
            if q == NULL:
                return ST_NO_MEMORY
            q[0] = <char>T_TUPLE8
            q[1] = <char>n
    elif low == LOW_LIST:
        if is_string(cells, n):
            return put_string(w.out, cells, n)
        status = put_head(w.out, T_LIST, n)
    elif low == LOW_IMPROPER:
        status = put_head(w.out, T_LIST, n - 1)
    elif low == LOW_MAP:
        status = put_head(w.out, T_MAP, n // 2)
    elif low == LOW_PID:
        return put_pid(w.out, cells)
    elif low == LOW_PORT:
        return put_port(w.out, cells)
    elif low == LOW_REF:
        return put_ref(w.out, cells, n)
    elif low == LOW_FUN:
        return put_fun(w, cells) if n == FUN_CELLS else put_export(w.out, cells)
    elif not w.flags & ETF_FILE:
        return ST_NO_FORM
    else:
        status = put_byte(w.out, T_EXT)
    return etf_descend(w, cells, <const char*>body, n, low == LOW_LIST, 0) if status == ST_OK else status


cdef int etf_put(etf_writer_t* w, cell_t c, const char* base) noexcept nogil:
    if cell_is_box(c):
        return put_box(w, c, <const uint64_t*>cell_at(c, base))
    return put_scalar(w, c, base)


cdef int etf_encode(cell_t c, const char* base, buf_t* out, int flags) noexcept nogil:
    """Append a term, without the leading 131. ST_NO_FORM for what Erlang has no word for (etf_culprit tells what it
    was): extension and reference terms, NaN and the infinities, without ETF_FILE; with it, reference terms alone.
    ST_NO_MEMORY."""
    cdef etf_writer_t w
    cdef etf_write_t* top
    cdef int status
    w.out = out
    w.flags = flags
    w.levels = w.home
    w.depth = 0
    w.cap = ETF_HOME
    status = etf_put(&w, c, base)
    while status == ST_OK and w.depth:
        top = &w.levels[w.depth - 1]
        if top.left:
            top.left -= 1
            top.cells += 1
            status = etf_put(&w, (top.cells - 1)[0], top.base)
            continue
        if top.nil:
            status = put_byte(out, T_NIL)
        if top.fun_at:
            etf_put32(out.data + top.fun_at, <uint32_t>(out.len - top.fun_at))
        w.depth -= 1
    if w.levels != w.home:
        free(w.levels)
    return status


cdef int etf_write(cell_t c, const char* base, buf_t* out, int flags) noexcept nogil:
    """etf_encode with the leading 131."""
    cdef int status = put_byte(out, ETF_VERSION)
    return etf_encode(c, base, out, flags) if status == ST_OK else status


# ---- what Python sees

cdef str etf_culprit(cell_t c, const char* base):
    """What it was in a term that etf_encode had no form for, in words."""
    cdef walk_t w
    cdef const uint64_t* root
    cdef size_t i
    cdef str found = None
    if not cell_is_box(c):
        return culprit_of(c, base)
    root = <const uint64_t*>cell_at(c, base)
    walk_begin(&w, root, cell_low(c))
    while found is None:
        if w.low == LOW_EXT:
            found = f"a term of the extension type {shown(str(atom_object(root[w.at + 1])))}"
        elif w.low == LOW_FUN and w.words == 1 + FUN_CELLS and cell_length(root[w.at + 1 + FUN_UNIQ]) != 16:
            found = "a fun whose uniq is not 16 bytes long"
        elif w.low:
            for i in range(1, w.words):
                found = found or culprit_of(root[w.at + i], <const char*>(root + w.at))
        if not walk_next(&w):
            break
    walk_end(&w)
    return found


cdef str culprit_of(cell_t c, const char* base):
    cdef double value
    if cell_low(c) == LOW_OBJECT:
        return "an object kept by reference"
    if not cell_is_int(c) and cell_low(c) == LOW_FLOAT:
        value = term_float(c, base)
        if isnan(value) or isinf(value):
            return f"the float {value}"
    return None


cdef object etf_fail(int status, cell_t c, const char* base):
    """The exception for what writing a term came to."""
    if status == ST_NO_MEMORY:
        return MemoryError("no memory for the term in Erlang's external format")
    return BadArgument(f"{etf_culprit(c, base) or 'something'} has no form in Erlang's external term format")


def term_to_binary(term, /):
    """Give a term in Erlang's external term format. BadArgument for what Erlang has no word for.

    Text goes out as a binary. Erlang: term_to_binary/1 with {minor_version, 2}.

    >>> import tsunami
    >>> tsunami.term_to_binary((1, "ab", [2.0]))
    b'\\x83h\\x03a\\x01m\\x00\\x00\\x00\\x02abl\\x00\\x00\\x00\\x01F@\\x00\\x00\\x00\\x00\\x00\\x00\\x00j'
    """
    cdef packed_t packed
    cdef buf_t out
    cdef const uint64_t* row
    cdef int status
    buf_init(&packed.buffer, packed.home, sizeof(packed.home))
    buf_init(&out, NULL, 0)
    try:
        pack_alone(term, &packed)
        row = <const uint64_t*>(packed.buffer.data + packed.at)
        status = etf_write(row_cell(row, 0), <const char*>row, &out, 0)
        if status != ST_OK:
            raise etf_fail(status, row_cell(row, 0), <const char*>row)
        return PyBytes_FromStringAndSize(out.data, out.len)
    finally:
        buf_free(&out)
        buf_free(&packed.buffer)


def binary_to_term(data, /):
    """Make a term of its external format, also of a compressed one. BadArgument if it is malformed.

    Binaries come back as bytes. Erlang: binary_to_term/1.

    >>> import tsunami
    >>> tsunami.binary_to_term(b"\\x83k\\x00\\x02ab")
    [97, 98]
    """
    cdef packed_t packed
    cdef bytes given
    cdef const uint64_t* row
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise BadType(f"a term's external format is bytes, not {type(data).__name__}")
    given = bytes(data)
    buf_init(&packed.buffer, packed.home, sizeof(packed.home))
    try:
        etf_pack(given, &packed.buffer, &packed.at)
        row = <const uint64_t*>(packed.buffer.data + packed.at)
        return decode_cell(row_cell(row, 0), <const char*>row, NULL)
    finally:
        buf_free(&packed.buffer)


cdef int etf_pack(bytes data, buf_t* out, size_t* at) except -1:
    """etf_read, of compressed terms too; an exception for each failure."""
    cdef size_t before = out.len
    cdef int status = etf_read(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), out, at, 0)
    if status == ST_COMPRESSED:
        data = etf_inflated(data)
        out.len = before
        status = etf_read(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), out, at, 0)
    if status == ST_OK:
        return 0
    if status == ST_NO_MEMORY or status == ST_TOO_LARGE:
        return pack_error(status)
    if status == ST_DEEP:
        raise TermTooLarge(f"a key of a map is nested at most {ETF_KEY_DEPTH} deep, and deep maps have ordered keys")
    raise BadArgument(f"these bytes are no term in Erlang's external format: {shown(data[:64])}")


cdef bytes etf_inflated(bytes data):
    """A compressed term (131, 80, size, zlib) as a plain one. Not a byte more than it announces is unpacked, and it may
    announce 1 GiB at most."""
    import zlib
    cdef bytes plain
    cdef size_t size
    if PyBytes_GET_SIZE(data) < 6:
        raise BadArgument(f"these bytes are no compressed term: {shown(data)}")
    size = etf_u32(PyBytes_AS_STRING(data) + 2)
    if size > LENGTH_MAX:
        raise TermTooLarge(f"a compressed term announces {size} bytes; 1 GiB is the most")
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(data[6:], size + 1)
    except zlib.error as error:
        raise BadArgument(f"these bytes are no compressed term: {error}") from None
    if <size_t>len(plain) != size or not unpacker.eof or unpacker.unused_data or plain[:1] == b"P":
        raise BadArgument(f"a compressed term announces {size} bytes and has {len(plain)}")
    return b"\x83" + plain
