# Packed terms: what they look like, how to read them, =:= and hash, and how a row is put together. The order-preserving
# form stands in term_order.pxi, the arithmetic of integers of any size in term_integer.pxi, both included at the end.
#
# What a packed term is not: a Python object (codec.pxi goes between the two), or a format for disk or wire (atoms are
# numbers of this process, and the bytes are little-endian).
#
# ## The grammar
#
# A term is one *cell* of 8 bytes and, for some, a *body*, which stands in the container that the cell is in.
#
#     63                34 33             8 7    4 3   0
#    +--------------------+----------------+------+-----+
#    |                 value of 63 bits, signed       |0|   integer
#    +---------------------------+---------+------+-----+
#    |        index in the intern table    |   0    | 1 |   atom           index in bits 32..63, bits 8..31 are 0
#    +------------------------------------+-+-----+-----+
#    |  7 bytes, in order, unused ones 0  |t| len | 3   |   binary of 0..7 bytes: ALWAYS inline    t: text mark (bit 7)
#    +--------------------+---------------+-+-----+-----+
#    |  length in bytes   | offset, words |t| kind| 5   |   leaf: float, integer beyond 63 bits, binary, bit string
#    +--------------------+---------------+-------+-----+
#    |  number of cells   | offset, words | kind  | 7   |   container: tuple, list, map, extension, pid, ...
#    +--------------------+---------------+-------+-----+
#    |                  0                 | kind  | 9   |   empty list, empty tuple, empty map
#    +---------------------------+--------+-------+-----+
#    |   index in an object registry  |   0       | 0xB |   reference term  index in bits 32..63
#    +---------------------------+--------+-------+-----+
#
# An offset counts words from the header of the container that the cell is in. The cell 0 is the integer 0; a cell that
# is no integer is never 0.
#
# Leaf bodies are padded with zero bytes to whole words:
#     float           the 8 bytes of the double; every NaN is 7ff8000000000000
#     big integer     the magnitude, little-endian, without leading zero bytes; only what does not fit 63 bits
#     binary          its bytes, 8 or more
#     bit string      one byte: how many bits of the last byte count (1..7); then the data, bits that do not count 0
#
# A container's body:
#
#     63                34 33   29 28                0
#    +--------------------+-------+-------------------+
#    |  number of cells   | flags | extent in words   |   header. The extent counts all of it, header included
#    +--------------------+-------+-------------------+
#    |  cells ...                                     |
#    +------------------------------------------------+
#    |  the bodies of those cells that have one, in the order of the cells, depth first, without gaps
#    +------------------------------------------------+
#
# so a body is contiguous and can be moved. The cells are, of a
#     tuple, list     the elements                improper list   the elements (one at least), then the tail (no list)
#     map             k1 v1 k2 v2 ..., the keys ascending in exact order (that of term_order_key with exact=True)
#     extension       name (atom), payload        pid             node (atom), id, serial, creation
#     port            node (atom), id, creation   reference       node (atom), creation, word 0, word 1, ...
#     fun, exported   'export', module, name, arity
#     fun, local      'local', module, index, uniq (binary), old uniq, arity + 256 * (old index - index modulo 2^32),
#                     pid, list of captured values
#
# A *row* is the body of a tuple. A row that is stored may have trailers behind its term, which its extent counts and
# its term does not: flag EXPIRES means three words {deadline in ms, next, pprev} at the very end, flag STAMP one word
# before those.
#
# ## What must stay true
#
# 1. Canonical: terms that are =:= have the same bytes, but for what the flag HAS_MARKS announces: text marks of
#    binaries, and of local funs the old uniq, the arity and the pid (whose body is always five words). Where neither of
#    two terms has the flag, memcmp decides equality.
# 2. A header's flags say of everything below it, at any depth: HAS_MARKS; HAS_OBJECT, a reference term; HAS_NAN.
# 3. A body starts at most 2^26-1 words behind its container's header, a leaf has less than 2^30 bytes, and an extent
#    leaves room for the trailers.
# 4. Nothing here recurses: a walk keeps its own stack (walk_t), which starts on the C stack and continues on the heap.
#
# Thread safety: a packed term is never changed once it is built. The intern table of atoms has a lock; reading an
# atom's text takes none, because entries never move or change.

from libc.math cimport isnan
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t
from libc.stdio cimport fprintf, stderr
from libc.stdlib cimport abort, calloc

cdef extern from "hash.h" nogil:
    ctypedef struct hash_run_t:
        pass
    uint64_t load64(const void* p) noexcept
    void store64(void* p, uint64_t v) noexcept
    uint64_t load_short(const unsigned char* p, size_t n) noexcept
    void hash_seed(uint64_t seed) noexcept
    uint64_t hash_cell(uint64_t word) noexcept
    uint64_t hash_bytes(const void* p, size_t n, uint64_t salt) noexcept
    void run_begin(hash_run_t* r, uint64_t salt) noexcept
    void run_word(hash_run_t* r, uint64_t word) noexcept
    void run_words(hash_run_t* r, const uint64_t* p, size_t n) noexcept
    uint64_t run_end(hash_run_t* r) noexcept

cdef extern from *:
    """
    /* The low byte of a cell says all of its form. Bit 7 of binaries is the text mark. */
    #define LOW_ATOM      0x01
    #define LOW_INLINE    0x03
    #define LOW_FLOAT     0x05
    #define LOW_POSITIVE  0x15
    #define LOW_NEGATIVE  0x25
    #define LOW_BINARY    0x35
    #define LOW_BITS      0x45
    #define LOW_TUPLE     0x07
    #define LOW_LIST      0x17
    #define LOW_IMPROPER  0x27
    #define LOW_MAP       0x37
    #define LOW_EXT       0x47
    #define LOW_PID       0x57
    #define LOW_REF       0x67
    #define LOW_PORT      0x77
    #define LOW_FUN       0x87
    #define LOW_NIL       0x09
    #define LOW_NO_TUPLE  0x19
    #define LOW_NO_MAP    0x29
    #define LOW_OBJECT    0x0B

    #define TEXT_MARK     ((uint64_t)0x80)
    #define OFFSET_SHIFT  8
    #define OFFSET_MAX    ((uint64_t)0x3FFFFFF)
    #define OFFSET_MASK   (OFFSET_MAX << OFFSET_SHIFT)
    #define LENGTH_SHIFT  34
    #define LENGTH_MAX    ((uint64_t)0x3FFFFFFF)
    #define EXTENT_MASK   ((uint64_t)0x1FFFFFFF)
    #define HAS_MARKS     ((uint64_t)1 << 29)
    #define HAS_OBJECT    ((uint64_t)1 << 30)
    #define HAS_NAN       ((uint64_t)1 << 31)
    #define ROW_EXPIRES   ((uint64_t)1 << 32)
    #define ROW_STAMP     ((uint64_t)1 << 33)
    #define FLAGS_BELOW   (HAS_MARKS | HAS_OBJECT | HAS_NAN)
    #define TRAILERS_MAX  4
    #define INT63_MAX     (INT64_MAX >> 1)
    #define INT63_MIN     (INT64_MIN >> 1)
    #define NAN_BITS      0x7ff8000000000000u

    _Static_assert(sizeof(void *) == 8 && sizeof(double) == 8, "packed terms need 64-bit pointers and IEEE doubles");
    _Static_assert((OFFSET_MASK >> OFFSET_SHIFT) == OFFSET_MAX && OFFSET_SHIFT + 26 == LENGTH_SHIFT,
                   "cell: the offset ends where the length begins");
    _Static_assert((LENGTH_MAX << LENGTH_SHIFT) >> LENGTH_SHIFT == LENGTH_MAX, "cell: the length has 30 bits");
    _Static_assert((ROW_STAMP << 1) == (uint64_t)1 << LENGTH_SHIFT && HAS_MARKS == EXTENT_MASK + 1,
                   "header: extent, five flags, count");
    _Static_assert((LOW_INLINE | 7 << 4 | TEXT_MARK) <= 0xFF && (LOW_FUN >> 4) == 8,
                   "the low byte holds form and kind");
    _Static_assert(OFFSET_MAX + LENGTH_MAX / 8 + 2 + TRAILERS_MAX < EXTENT_MASK,
                   "an extent holds the last leaf and the trailers");
    """
    enum:
        LOW_ATOM, LOW_INLINE, LOW_FLOAT, LOW_POSITIVE, LOW_NEGATIVE, LOW_BINARY, LOW_BITS
        LOW_TUPLE, LOW_LIST, LOW_IMPROPER, LOW_MAP, LOW_EXT, LOW_PID, LOW_REF, LOW_PORT, LOW_FUN
        LOW_NIL, LOW_NO_TUPLE, LOW_NO_MAP, LOW_OBJECT
    const uint64_t TEXT_MARK, OFFSET_MASK, OFFSET_MAX, LENGTH_MAX, NAN_BITS
    const uint64_t EXTENT_MASK, HAS_MARKS, HAS_OBJECT, HAS_NAN, FLAGS_BELOW, ROW_EXPIRES, ROW_STAMP
    const int OFFSET_SHIFT, LENGTH_SHIFT, TRAILERS_MAX
    const int64_t INT63_MAX, INT63_MIN


# ---- cells

cdef inline cell_t cell_int(int64_t value) noexcept nogil:
    """The cell of an integer that fits 63 bits."""
    return <cell_t>value << 1


cdef inline bint fits_cell(int64_t value) noexcept nogil:
    return INT63_MIN <= value <= INT63_MAX


cdef inline cell_t cell_inline(const char* p, size_t n, bint text) noexcept nogil:
    """The cell of a binary of at most 7 bytes."""
    return load_short(<const unsigned char*>p, n) << 8 | <cell_t>n << 4 | LOW_INLINE | (TEXT_MARK if text else 0)


cdef inline cell_t cell_body(int low, size_t length, size_t words) noexcept nogil:
    """The cell of a leaf of `length` bytes or a container of `length` cells, its body `words` behind the header."""
    return <cell_t>length << LENGTH_SHIFT | <cell_t>words << OFFSET_SHIFT | <cell_t>low


cdef inline int cell_low(cell_t c) noexcept nogil:
    return <int>(c & 0xFF)


cdef inline bint cell_is_int(cell_t c) noexcept nogil:
    return not (c & 1)


cdef inline bint cell_is_leaf(cell_t c) noexcept nogil:
    return (c & 0xF) == 5


cdef inline bint cell_is_box(cell_t c) noexcept nogil:
    """Is it a container with a body?"""
    return (c & 0xF) == 7


cdef inline size_t cell_length(cell_t c) noexcept nogil:
    return c >> LENGTH_SHIFT


cdef inline size_t cell_words(cell_t c) noexcept nogil:
    """Words from the container's header to the body."""
    return (c & OFFSET_MASK) >> OFFSET_SHIFT


cdef inline const char* cell_at(cell_t c, const char* base) noexcept nogil:
    """Where the body stands."""
    return base + cell_words(c) * 8


cdef inline cell_t cell_plain(cell_t c) noexcept nogil:
    """The cell without the text mark, if it is one that can have it."""
    if (c & 0x8F) == (TEXT_MARK | LOW_INLINE) or (c & 0xFF) == (TEXT_MARK | LOW_BINARY):
        return c & ~TEXT_MARK
    return c


cdef inline size_t header_extent(uint64_t header) noexcept nogil:
    return header & EXTENT_MASK


cdef inline size_t header_count(uint64_t header) noexcept nogil:
    return header >> LENGTH_SHIFT


cdef inline size_t header_trailers(uint64_t header) noexcept nogil:
    return (3 if header & ROW_EXPIRES else 0) + (1 if header & ROW_STAMP else 0)


cdef inline size_t header_words(uint64_t header) noexcept nogil:
    """Words of the term alone."""
    return header_extent(header) - header_trailers(header)


# ---- reading a term

cdef kind_t[256] KIND_OF_LOW


cdef int fill_kinds() noexcept nogil:
    """Spell the low bytes out. Even ones are integers; what the grammar does not name stays one, never looked up."""
    cdef int i
    for i in range(256):
        KIND_OF_LOW[i] = K_INT
    for i in range(16):
        KIND_OF_LOW[LOW_INLINE | i << 4] = K_BINARY
    KIND_OF_LOW[LOW_ATOM] = K_ATOM
    KIND_OF_LOW[LOW_FLOAT] = K_FLOAT
    KIND_OF_LOW[LOW_POSITIVE] = K_BIG
    KIND_OF_LOW[LOW_NEGATIVE] = K_BIG
    KIND_OF_LOW[LOW_BINARY] = K_BINARY
    KIND_OF_LOW[LOW_BINARY | TEXT_MARK] = K_BINARY
    KIND_OF_LOW[LOW_BITS] = K_BITS
    KIND_OF_LOW[LOW_TUPLE] = K_TUPLE
    KIND_OF_LOW[LOW_LIST] = K_LIST
    KIND_OF_LOW[LOW_IMPROPER] = K_IMPROPER
    KIND_OF_LOW[LOW_MAP] = K_MAP
    KIND_OF_LOW[LOW_EXT] = K_EXT
    KIND_OF_LOW[LOW_PID] = K_PID
    KIND_OF_LOW[LOW_REF] = K_REF
    KIND_OF_LOW[LOW_PORT] = K_PORT
    KIND_OF_LOW[LOW_FUN] = K_FUN
    KIND_OF_LOW[LOW_NIL] = K_NIL
    KIND_OF_LOW[LOW_NO_TUPLE] = K_TUPLE
    KIND_OF_LOW[LOW_NO_MAP] = K_MAP
    KIND_OF_LOW[LOW_OBJECT] = K_OBJECT
    return 0


cdef kind_t term_kind(cell_t c) noexcept nogil:
    return KIND_OF_LOW[c & 0xFF]


cdef int64_t term_int(cell_t c) noexcept nogil:
    return <int64_t>c >> 1


cdef double term_float(cell_t c, const char* base) noexcept nogil:
    cdef double d
    memcpy(&d, cell_at(c, base), 8)
    return d


cdef bint term_is_text(cell_t c) noexcept nogil:
    return (c & 0x8F) == (TEXT_MARK | LOW_INLINE) or (c & 0xFF) == (TEXT_MARK | LOW_BINARY)


cdef const char* term_bytes(cell_t c, const char* base, char* scratch, size_t* n) noexcept nogil:
    if (c & 0xF) == LOW_INLINE:
        n[0] = (c >> 4) & 7
        store64(scratch, c >> 8)
        return scratch
    n[0] = cell_length(c)
    return cell_at(c, base)


cdef size_t term_length(cell_t c) noexcept nogil:
    return (c >> 4) & 7 if (c & 0xF) == LOW_INLINE else cell_length(c)


cdef size_t term_cells(cell_t c, const char* base, const cell_t** cells, const char** cells_base) noexcept nogil:
    if not cell_is_box(c):
        cells[0] = NULL
        cells_base[0] = base
        return 0
    cells_base[0] = cell_at(c, base)
    cells[0] = <const cell_t*>(cells_base[0] + 8)
    return cell_length(c)


# ---- a walk through a container's body, depth first, in pieces
#
# Each step answers one piece, in the order in which the pieces stand: a header with its cells, or a leaf's body.

cdef struct level_t:
    uint32_t at                # words from the root's header to this container's
    uint32_t next              # its next cell to be looked at
    uint32_t low               # low byte of its cell

cdef enum:
    WALK_HOME = 24

cdef struct walk_t:
    const uint64_t* root
    level_t* levels            # home, or on the heap
    size_t depth
    size_t cap
    # the piece: its place and length in words, and of what it is the cells (0: a leaf's body)
    size_t at
    size_t words
    int low
    bint pid_of_fun            # these are the cells of the pid in a local fun
    level_t[WALK_HOME] home


cdef void walk_begin(walk_t* w, const uint64_t* root, int low) noexcept nogil:
    w.root = root
    w.levels = w.home
    w.cap = WALK_HOME
    w.depth = 1
    w.levels[0].at = 0
    w.levels[0].next = 0
    w.levels[0].low = low
    w.at = 0
    w.words = 1 + header_count(root[0])
    w.low = low
    w.pid_of_fun = False


cdef void walk_end(walk_t* w) noexcept nogil:
    if w.levels != w.home:
        free(w.levels)


cdef level_t* walk_room(level_t* levels, level_t* home, size_t* cap) noexcept nogil:
    """Twice the room for levels. Without memory a walk cannot go on and has no way to say so: the process ends, as it
    does in Erlang."""
    cdef size_t bytes = cap[0] * sizeof(level_t)
    cdef level_t* more = <level_t*>malloc(bytes * 2)
    if more == NULL:
        fprintf(stderr, b"tsunami: out of memory in a walk %zu levels deep\n", cap[0])
        abort()
    memcpy(more, levels, bytes)
    if levels != home:
        free(levels)
    cap[0] *= 2
    return more


cdef bint walk_next(walk_t* w) noexcept nogil:
    """Go on to the next piece (walk_begin stands on the first). False at the end."""
    cdef level_t* top
    cdef const uint64_t* body
    cdef size_t i, n
    cdef cell_t c
    while w.depth:
        top = &w.levels[w.depth - 1]
        body = w.root + top.at
        n = header_count(body[0])
        i = top.next
        while i < n and (body[1 + i] & 0xD) != 5:       # neither leaf (5) nor container (7)
            i += 1
        if i == n:
            w.depth -= 1
            continue
        c = body[1 + i]
        top.next = <uint32_t>(i + 1)
        w.at = top.at + cell_words(c)
        if cell_is_leaf(c):
            w.words = (cell_length(c) + 7) >> 3
            w.low = 0
            return True
        w.words = 1 + cell_length(c)
        w.low = cell_low(c)
        w.pid_of_fun = top.low == LOW_FUN and w.low == LOW_PID and i == FUN_PID and n == FUN_CELLS
        if w.depth == w.cap:
            w.levels = walk_room(w.levels, w.home, &w.cap)
        top = &w.levels[w.depth]
        top.at = <uint32_t>w.at
        top.next = 0
        top.low = w.low
        w.depth += 1
        return True
    return False


# Places in a local fun, and those of its cells that do not count for =:=.
cdef enum:
    FUN_UNIQ = 3
    FUN_OLD_UNIQ = 4
    FUN_ARITY = 5
    FUN_PID = 6
    FUN_FREE = 7
    FUN_CELLS = 8


cdef inline bint cell_counts(const walk_t* w, size_t i, size_t count) noexcept nogil:
    """Does cell i of the piece count for =:= and hash?"""
    if w.pid_of_fun:
        return False
    return not (w.low == LOW_FUN and count == FUN_CELLS and (i == FUN_OLD_UNIQ or i == FUN_ARITY))


# ---- =:=

cdef bint marked_equal(const uint64_t* a, const uint64_t* b, int low) noexcept nogil:
    """=:= of two bodies of the same kind, count and extent, cell by cell. As long as all was equal, what comes next
    stands at the same place in both."""
    cdef walk_t w
    cdef size_t i, count
    cdef bint equal = True, more = True
    walk_begin(&w, a, low)
    while equal and more:
        if w.low == 0:
            equal = memcmp(a + w.at, b + w.at, w.words * 8) == 0
        else:
            count = w.words - 1
            if w.at:
                equal = not ((a[w.at] ^ b[w.at]) & ~HAS_MARKS)
            for i in range(count):
                if cell_plain(a[w.at + 1 + i]) != cell_plain(b[w.at + 1 + i]) and cell_counts(&w, i, count):
                    equal = False
                    break
        more = walk_next(&w) if equal else False
    walk_end(&w)
    return equal


cdef bint body_equal(const uint64_t* a, const uint64_t* b, int low) noexcept nogil:
    """=:= of two containers' bodies of the same kind. Trailers do not count."""
    cdef uint64_t ha = a[0], hb = b[0]
    cdef size_t words = header_words(ha)
    if a == b:
        return True
    if header_count(ha) != header_count(hb) or words != header_words(hb):
        return False
    if memcmp(a + 1, b + 1, (words - 1) * 8) == 0:
        return True
    return marked_equal(a, b, low) if (ha | hb) & HAS_MARKS else False


cdef inline bint row_equal(const uint64_t* a, const uint64_t* b) noexcept nogil:
    """=:= of two rows. Trailers do not count."""
    return body_equal(a, b, LOW_TUPLE)


cdef bint term_equal(cell_t a, const char* abase, cell_t b, const char* bbase) noexcept nogil:
    a = cell_plain(a)
    b = cell_plain(b)
    if (a & 0xD) != 5:
        return a == b
    if (a ^ b) & ~OFFSET_MASK:
        return False
    if cell_is_leaf(a):
        return memcmp(cell_at(a, abase), cell_at(b, bbase), cell_length(a)) == 0
    return body_equal(<const uint64_t*>cell_at(a, abase), <const uint64_t*>cell_at(b, bbase), cell_low(a))


# ---- hash
#
# Of a container: its kind and count, then all words of its body behind the header, with marks and what else does not
# count taken out. A body without marks is taken as it stands; one with marks must come to the same words.

cdef void marked_hash(hash_run_t* run, const uint64_t* root, int low) noexcept nogil:
    cdef walk_t w
    cdef size_t i, count
    cdef bint more = True
    walk_begin(&w, root, low)
    while more:
        if w.low == 0:
            run_words(run, root + w.at, w.words)
        else:
            count = w.words - 1
            if w.at:
                run_word(run, root[w.at] & ~HAS_MARKS)
            for i in range(count):
                run_word(run, cell_plain(root[w.at + 1 + i]) if cell_counts(&w, i, count) else 0)
        more = walk_next(&w)
    walk_end(&w)


cdef uint64_t body_hash(const uint64_t* body, int low) noexcept nogil:
    cdef uint64_t header = body[0]
    cdef hash_run_t run
    run_begin(&run, <uint64_t>header_count(header) << 8 | <uint64_t>low)
    if header & HAS_MARKS:
        marked_hash(&run, body, low)
    else:
        run_words(&run, body + 1, header_words(header) - 1)
    return run_end(&run)


cdef uint64_t term_hash(cell_t c, const char* base) noexcept nogil:
    c = cell_plain(c)
    if (c & 0xD) != 5:
        return hash_cell(c)
    if cell_is_leaf(c):
        return hash_bytes(cell_at(c, base), cell_length(c), cell_low(c))
    return body_hash(<const uint64_t*>cell_at(c, base), cell_low(c))


# ---- a key on its way to a table

cdef void probe_int(probe_t* p, int64_t value, char* scratch) noexcept nogil:
    if fits_cell(value):
        p.cell = cell_int(value)
        p.base = NULL
        p.hash = hash_cell(p.cell)
        return
    store64(scratch, 0 - <uint64_t>value if value < 0 else <uint64_t>value)
    p.cell = cell_body(LOW_NEGATIVE if value < 0 else LOW_POSITIVE, 8, 0)
    p.base = scratch
    p.hash = hash_bytes(scratch, 8, cell_low(p.cell))


cdef int probe_binary(probe_t* p, const char* data, size_t n) noexcept nogil:
    if n <= 7:
        p.cell = cell_inline(data, n, False)
        p.base = NULL
        p.hash = hash_cell(p.cell)
        return ST_OK
    if n > LENGTH_MAX:
        return ST_TOO_LARGE
    p.cell = cell_body(LOW_BINARY, n, 0)
    p.base = data
    p.hash = hash_bytes(data, n, LOW_BINARY)
    return ST_OK


cdef void probe_term(probe_t* p, cell_t cell, const char* base) noexcept nogil:
    p.cell = cell
    p.base = base
    p.hash = term_hash(cell, base)


# ---- rows

cdef size_t row_arity(const uint64_t* row) noexcept nogil:
    return header_count(row[0])


cdef size_t row_bytes(const uint64_t* row) noexcept nogil:
    return header_words(row[0]) * 8


cdef cell_t row_cell(const uint64_t* row, size_t i) noexcept nogil:
    return row[1 + i]


cdef uint64_t row_deadline(const uint64_t* row) noexcept nogil:
    return row[header_extent(row[0]) - 3] if row[0] & ROW_EXPIRES else 0


cdef uint32_t row_stamp(const uint64_t* row) noexcept nogil:
    return <uint32_t>row[header_words(row[0])] if row[0] & ROW_STAMP else 0


# ---- building. Everything below writes behind `len` of a buffer in which the container at byte `at` is still open.

cdef int open_body(buf_t* b, size_t count, size_t* at) noexcept nogil:
    """Append a header and `count` cells, all 0. The header's extent stays 0 until close_body."""
    cdef size_t pad = -b.len & 7
    cdef size_t bytes = (1 + count) * 8
    if count > OFFSET_MAX:
        return ST_TOO_LARGE
    if buf_reserve(b, pad + bytes) != ST_OK:
        return ST_NO_MEMORY
    memset(b.data + b.len, 0, pad + bytes)
    at[0] = b.len + pad
    (<uint64_t*>(b.data + at[0]))[0] = <uint64_t>count << LENGTH_SHIFT
    b.len += pad + bytes
    return ST_OK


cdef int close_body(buf_t* b, size_t at) noexcept nogil:
    """Everything that belongs to the container has been appended: write its extent."""
    cdef size_t words = (b.len - at) >> 3
    if words > EXTENT_MASK - TRAILERS_MAX:
        return ST_TOO_LARGE
    (<uint64_t*>(b.data + at))[0] |= words
    return ST_OK


cdef inline void set_cell(buf_t* b, size_t at, size_t i, cell_t c) noexcept nogil:
    (<cell_t*>(b.data + at))[1 + i] = c


cdef inline void set_flags(buf_t* b, size_t at, uint64_t flags) noexcept nogil:
    (<uint64_t*>(b.data + at))[0] |= flags


cdef char* grow_leaf(buf_t* b, size_t at, size_t i, int low, size_t n) noexcept nogil:
    """Make cell i a leaf of n > 0 bytes, for which leaf_status was ST_OK, and append its body; answers where to write
    the bytes, NULL if there is no memory."""
    cdef size_t words = (b.len - at) >> 3
    cdef size_t bytes = (n + 7) & ~<size_t>7
    cdef char* body
    if buf_reserve(b, bytes) != ST_OK:
        return NULL
    body = b.data + b.len
    store64(body + bytes - 8, 0)                               # the padding
    b.len += bytes
    set_cell(b, at, i, cell_body(low, n, words))
    return body


cdef inline int leaf_status(buf_t* b, size_t at, size_t n) noexcept nogil:
    if n > LENGTH_MAX or (b.len - at) >> 3 > OFFSET_MAX:
        return ST_TOO_LARGE
    return ST_OK


cdef int add_leaf(buf_t* b, size_t at, size_t i, int low, const char* p, size_t n) noexcept nogil:
    cdef int status = leaf_status(b, at, n)
    cdef char* body
    if status != ST_OK:
        return status
    body = grow_leaf(b, at, i, low, n)
    if body == NULL:
        return ST_NO_MEMORY
    memcpy(body, p, n)
    return ST_OK


cdef int add_float(buf_t* b, size_t at, size_t i, double value) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    if isnan(value):
        bits = NAN_BITS
        set_flags(b, at, HAS_NAN)
    return add_leaf(b, at, i, LOW_FLOAT, <const char*>&bits, 8)


cdef int row_begin(buf_t* b, size_t arity, size_t* at) noexcept nogil:
    return open_body(b, arity, at)


cdef int row_add_int(buf_t* b, size_t at, size_t i, int64_t value) noexcept nogil:
    cdef probe_t p
    cdef char[8] scratch
    if fits_cell(value):
        set_cell(b, at, i, cell_int(value))
        return ST_OK
    probe_int(&p, value, scratch)
    return add_leaf(b, at, i, cell_low(p.cell), scratch, 8)


cdef int row_add_binary(buf_t* b, size_t at, size_t i, const char* p, size_t n, bint text) noexcept nogil:
    if text:
        set_flags(b, at, HAS_MARKS)
    if n <= 7:
        set_cell(b, at, i, cell_inline(p, n, text))
        return ST_OK
    return add_leaf(b, at, i, LOW_BINARY | (<int>TEXT_MARK if text else 0), p, n)


cdef int row_add_term(buf_t* b, size_t at, size_t i, cell_t c, const char* base) noexcept nogil:
    """Copy a whole term in. It must not stand in the buffer itself."""
    if term_is_text(c):
        set_flags(b, at, HAS_MARKS)
    elif (c & 0xFF) == LOW_FLOAT:
        return add_float(b, at, i, term_float(c, base))
    elif (c & 0xFF) == LOW_OBJECT:
        set_flags(b, at, HAS_OBJECT)
    if cell_is_leaf(c):
        return add_leaf(b, at, i, cell_low(c), cell_at(c, base), cell_length(c))
    if cell_is_box(c):
        return add_box(b, at, i, c, <const uint64_t*>cell_at(c, base))
    set_cell(b, at, i, c)
    return ST_OK


cdef int add_box(buf_t* b, size_t at, size_t i, cell_t c, const uint64_t* body) noexcept nogil:
    """Copy a container in, without its trailers."""
    cdef uint64_t header = body[0]
    cdef size_t offset = (b.len - at) >> 3, words = header_words(header)
    if offset > OFFSET_MAX or offset + words > EXTENT_MASK - TRAILERS_MAX:
        return ST_TOO_LARGE
    if buf_reserve(b, words * 8) != ST_OK:
        return ST_NO_MEMORY
    memcpy(b.data + b.len, body, words * 8)
    (<uint64_t*>(b.data + b.len))[0] = (header & ~(EXTENT_MASK | ROW_EXPIRES | ROW_STAMP)) | words
    b.len += words * 8
    set_flags(b, at, header & FLAGS_BELOW)
    set_cell(b, at, i, cell_body(cell_low(c), cell_length(c), offset))
    return ST_OK


cdef int row_end(buf_t* b, size_t at) noexcept nogil:
    return close_body(b, at)


# ---- atoms
#
# The intern table: append-only. An atom is its number; entries stand in chunks that never move, so whoever has a cell
# reads its text without the lock: the cell came to him through something that orders memory (a stripe's lock, the GIL),
# behind the entry's writing. The lock guards the index from text to number, and appending.

cdef enum:
    ATOMS_MAX = 1 << 24
    ATOM_CHUNK = 4096
    ATOM_CHUNKS = 4096         # ATOMS_MAX / ATOM_CHUNK
    ATOM_CODE_POINTS = 255     # Erlang's limit

cdef struct atom_t:
    const char* text           # UTF-8, and a NUL behind it
    uint32_t n
    uint32_t code_points
    uint64_t hash
    void* object               # the Python object, made when first asked for (codec.pxi); under the GIL or the lock

cdef struct atoms_t:
    ts_lock_t lock
    uint32_t count
    uint32_t* index            # open addressing: number + 1, or 0
    uint32_t mask              # slots - 1
    atom_t* chunks[ATOM_CHUNKS]

cdef atoms_t ATOMS

cdef enum:
    ATOM_TRUE = 0
    ATOM_FALSE = 1
    ATOM_NIL = 2
    ATOM_EXPORT = 3
    ATOM_LOCAL = 4
    ATOM_END_OF_TABLE = 5


cdef inline cell_t cell_atom(uint32_t number) noexcept nogil:
    return <cell_t>number << 32 | LOW_ATOM


cdef inline atom_t* atom_entry(cell_t c) noexcept nogil:
    cdef uint32_t number = <uint32_t>(c >> 32)
    return &ATOMS.chunks[number // ATOM_CHUNK][number % ATOM_CHUNK]


cdef const char* atom_text(cell_t c, size_t* n) noexcept nogil:
    cdef atom_t* entry = atom_entry(c)
    n[0] = entry.n
    return entry.text


cdef Py_ssize_t utf8_code_points(const unsigned char* p, size_t n) noexcept nogil:
    """How many code points p[0..n) spells, or -1 if it is not UTF-8 (surrogates and overlong forms are not)."""
    cdef size_t i = 0, k, more
    cdef Py_ssize_t count = 0
    cdef uint32_t c
    while i < n:
        c = p[i]
        if c < 0x80:
            more = 0
        elif 0xC2 <= c < 0xE0:
            more, c = 1, c & 0x1F
        elif 0xE0 <= c < 0xF0:
            more, c = 2, c & 0x0F
        elif 0xF0 <= c < 0xF5:
            more, c = 3, c & 0x07
        else:
            return -1
        if more > n - i - 1:
            return -1
        for k in range(1, more + 1):
            if p[i + k] & 0xC0 != 0x80:
                return -1
            c = c << 6 | (p[i + k] & 0x3F)
        if more == 2 and (c < 0x800 or 0xD800 <= c < 0xE000) or more == 3 and not 0x10000 <= c < 0x110000:
            return -1
        i += 1 + more
        count += 1
    return count


cdef uint32_t* atoms_find(const char* text, size_t n, uint64_t h) noexcept nogil:
    """The slot of the index where the text stands or would stand. Under the lock."""
    cdef uint32_t i = <uint32_t>h & ATOMS.mask
    cdef atom_t* entry
    while ATOMS.index[i]:
        entry = atom_entry(cell_atom(ATOMS.index[i] - 1))
        if entry.hash == h and entry.n == n and memcmp(entry.text, text, n) == 0:
            break
        i = (i + 1) & ATOMS.mask
    return &ATOMS.index[i]


cdef int atoms_widen() noexcept nogil:
    """Twice the index, so that at most half of it is in use. Under the lock."""
    cdef uint32_t slots = (ATOMS.mask + 1) * 2 if ATOMS.index != NULL else 1024
    cdef uint32_t* old = ATOMS.index
    cdef uint32_t* index = <uint32_t*>calloc(slots, sizeof(uint32_t))
    cdef uint32_t number, i
    if index == NULL:
        return ST_NO_MEMORY
    for number in range(ATOMS.count):
        i = <uint32_t>atom_entry(cell_atom(number)).hash & (slots - 1)
        while index[i]:
            i = (i + 1) & (slots - 1)
        index[i] = number + 1
    ATOMS.index = index
    ATOMS.mask = slots - 1
    free(old)
    return ST_OK


cdef cell_t atoms_append(const char* text, size_t n, uint64_t h, uint32_t points) noexcept nogil:
    """A new entry, not yet in the index. 0 if there is no room. Under the lock."""
    cdef uint32_t number = ATOMS.count
    cdef atom_t* entry
    cdef char* copy
    if number == ATOMS_MAX:
        return 0
    if ATOMS.chunks[number // ATOM_CHUNK] == NULL:
        ATOMS.chunks[number // ATOM_CHUNK] = <atom_t*>calloc(ATOM_CHUNK, sizeof(atom_t))
    copy = <char*>malloc(n + 1)
    if ATOMS.chunks[number // ATOM_CHUNK] == NULL or copy == NULL:
        free(copy)
        return 0
    if n:
        memcpy(copy, text, n)
    copy[n] = 0
    entry = atom_entry(cell_atom(number))
    entry.text = copy
    entry.n = <uint32_t>n
    entry.code_points = points
    entry.hash = h
    ATOMS.count = number + 1
    return cell_atom(number)


cdef cell_t atom_intern(const char* text, size_t n) noexcept nogil:
    cdef Py_ssize_t points = utf8_code_points(<const unsigned char*>text, n) if n <= 4 * ATOM_CODE_POINTS else -1
    cdef uint64_t h
    cdef uint32_t* slot
    cdef cell_t c = 0
    if points < 0 or points > ATOM_CODE_POINTS:
        return 0
    h = hash_bytes(text, n, LOW_ATOM)
    ts_lock_acquire(&ATOMS.lock)
    if ATOMS.count * 2 < ATOMS.mask or atoms_widen() == ST_OK:
        slot = atoms_find(text, n, h)
        if slot[0]:
            c = cell_atom(slot[0] - 1)
        else:
            c = atoms_append(text, n, h, <uint32_t>points)
            if c:
                slot[0] = ATOMS.count
    ts_lock_release(&ATOMS.lock)
    return c


cdef int term_reseed(uint64_t seed) noexcept nogil:
    """Another seed, for tests: as long as no table has rows. ST_OK or ST_NO_MEMORY (then the atoms are lost)."""
    cdef uint32_t number
    cdef atom_t* entry
    ts_lock_acquire(&ATOMS.lock)
    hash_seed(seed)
    for number in range(ATOMS.count):
        entry = atom_entry(cell_atom(number))
        entry.hash = hash_bytes(entry.text, entry.n, LOW_ATOM)
    cdef int status = atoms_widen()                            # builds the index anew
    ts_lock_release(&ATOMS.lock)
    return status


cdef int term_init(uint64_t seed) noexcept nogil:
    """Once, when the module starts. False if the first atoms came out other than the enum says."""
    hash_seed(seed)
    fill_kinds()
    return (
        atom_intern(b"true", 4) == cell_atom(ATOM_TRUE)
        and atom_intern(b"false", 5) == cell_atom(ATOM_FALSE)
        and atom_intern(b"nil", 3) == cell_atom(ATOM_NIL)
        and atom_intern(b"export", 6) == cell_atom(ATOM_EXPORT)
        and atom_intern(b"local", 5) == cell_atom(ATOM_LOCAL)
        and atom_intern(b"$end_of_table", 13) == cell_atom(ATOM_END_OF_TABLE)
    )


include "term_integer.pxi"
include "term_order.pxi"
include "term_compare.pxi"
include "term_splice.pxi"
