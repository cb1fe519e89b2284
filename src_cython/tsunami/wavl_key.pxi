# How a tree compares keys without reading them. Part of wavl.pxi's floor.
#
# Keys compare as their forms do (term_order.pxi), byte by byte. A node has seven bytes of its key's form, its *piece*,
# and the number of the byte they begin at. A form counts as followed by zeros here; no form is the beginning of
# another, so that changes no comparison of two forms.
#
# While a key k goes down, the last node it was found smaller than and the last it was found greater than are its
# *bounds*. Every key of the subtree ahead stands between them, and so does k; hence all of them share with k the first
#
#     m = min(bytes that k and the upper bound share, bytes that k and the lower bound share)
#
# bytes. Where a node's piece begins at m or before, nothing that differs stands before the piece: if it differs from
# k's bytes at that place, this decides, and says how many bytes k and the new bound share. If it does not differ and k
# ends within it, the keys are equal. Only what is left asks the row: a piece that begins behind m, or keys that share
# all of it and more. Where no bound is on one side, m is what the whole tree shares: `prefix` of the tree.
#
# So a piece at any place is right; a better place is only faster. A node that is put in gets its piece from m on, or
# from further in front if it still holds the three bytes that first tell the node from its bounds. Moving about in
# rotations changes a node's bounds: the node that goes up gets its piece anew if it begins behind its new m, and a node
# whose row was asked by an update gets it anew if that helps. Deleting and splitting leave that for later.
#
# A *bound* given from outside (of a range) is any bytes: it may be the beginning of forms, which are all greater then.
# With it, equal pieces mean equal keys only where its end shows that it is a whole form.

cdef enum:
    OFF_MAX = 126                           # the last place a piece can begin at
    OFF_NONE = 127                          # this node has no piece
    LEFT = 0
    RIGHT = 1
    EQUAL = 2
    UNDECIDED = 3
    KEY_HOME = 512
    LONG_KEY = 144                          # bytes of a form that hold every piece

cdef uint32_t knob_piece = 7                # bytes of a piece that are looked at
cdef uint64_t piece_mask = ~<uint64_t>0xFF

cdef struct tree_t:
    arena_t* arena
    uint32_t root
    uint32_t keypos
    uint32_t shared                         # bytes that all keys share, of prefix
    uint32_t[2] end                         # the first and the last node, where they are known; or 0
    uint64_t moves                          # another one whenever nodes have come, gone, or changed places
    char[OFF_MAX + 2] prefix

cdef struct look_t:
    const char* p
    size_t n
    uint64_t piece                          # of k, from off
    uint32_t off
    uint32_t m
    uint32_t[2] common                      # bytes shared with the upper [LEFT] and the lower [RIGHT] bound
    uint32_t most                           # what m may come to
    bint form                               # k is a form, not a bound
    bint asked                              # the last answer came from the row


cdef inline void case_met(const tree_t* t, int which) noexcept nogil:
    if ts_unlikely(t.arena.cases != NULL):
        t.arena.cases[which] += 1


cdef inline uint64_t* node_row(const tree_t* t, uint32_t node) noexcept nogil:
    return row_at(t.arena, node)[0]


cdef bint form_is_whole(const char* p, size_t n) noexcept nogil:
    """Is this bound the form of a scalar key, as most are? False also means: not known."""
    cdef uint8_t tag = <uint8_t>p[0], flip
    cdef size_t i
    if n < 3:
        return n == 1 and tag == FORM_ZERO
    if tag == FORM_BITS or tag == FORM_ATOM:            # 00 is followed by FF inside of a text
        return p[n - 2] == 0 and 1 <= p[n - 1] <= 8
    if tag != FORM_POSITIVE and tag != FORM_NEGATIVE:
        return False
    flip = 0xFF if tag == FORM_NEGATIVE else 0
    if not EXPONENT_ONE <= <uint8_t>(p[1] ^ flip) < EXPONENT_FAR:
        return False
    for i in range(2, n):                               # the lowest bit says whether more follow
        if ((p[i] ^ flip) & 1) != (i + 1 < n):
            return False
    return True


cdef inline void look_begin(look_t* k, const tree_t* t, const form_t* key, bint form) noexcept nogil:
    k.p = key.p
    k.n = key.n
    k.off = 0
    k.piece = piece_load(key.p)
    k.most = OFF_MAX if key.n > OFF_MAX else <uint32_t>key.n
    k.m = <uint32_t>bytes_common(key.p, t.prefix, t.shared if t.shared < key.n else key.n)
    k.common[LEFT] = k.common[RIGHT] = k.m
    k.form = form or form_is_whole(key.p, key.n)
    k.asked = False


cdef inline void look_bound(look_t* k, int dir, size_t common) noexcept nogil:
    """k goes `dir` at a node with which it shares so many bytes."""
    k.common[dir] = k.most if common > k.most else <uint32_t>common
    k.m = k.common[LEFT] if k.common[LEFT] < k.common[RIGHT] else k.common[RIGHT]


cdef inline int look_piece(const tree_t* t, look_t* k, uint32_t node) noexcept nogil:
    """Where k goes at this node, LEFT, RIGHT, or EQUAL; UNDECIDED if its row has to be asked."""
    cdef uint64_t word = node_hot(t.arena, node).word
    cdef uint32_t off = <uint32_t>(word & PIECE_OFF)
    cdef uint64_t x
    cdef int dir
    if ts_likely(off <= k.m):
        if ts_unlikely(off != k.off):
            k.off = off
            k.piece = piece_load(k.p + off)
        x = (k.piece ^ word) & piece_mask
        if ts_likely(x != 0):
            dir = k.piece > word
            look_bound(k, dir, off + piece_common(x))
            return dir
        if off + knob_piece >= k.n and k.form:
            return EQUAL
    return UNDECIDED


cdef inline int look_at(const tree_t* t, look_t* k, uint32_t node) noexcept nogil:
    """Where k goes at this node: LEFT, RIGHT, or EQUAL."""
    cdef int dir = look_piece(t, k, node)
    return dir if ts_likely(dir != UNDECIDED) else look_row(t, k, node)


# ---- asking the row

cdef int text_compare(look_t* k, const char* p, size_t n, size_t* common) noexcept nogil:
    """k against the form of a binary, which is not written down for it: it may be long."""
    cdef size_t at = 1, c
    cdef const char* zero
    cdef char[2] end = [0, 8]
    common[0] = 0
    if k.n == 0 or k.p[0] != <char>FORM_BITS:
        return k.n > 0 and <uint8_t>k.p[0] > FORM_BITS
    while True:
        c = bytes_common(k.p + at, p, n if n < k.n - at else k.n - at)
        zero = <const char*>memchr(p, 0, c) if c else NULL
        if zero == NULL:
            break
        c = zero - p + 1                    # a zero byte, written as 00 FF
        at += c
        p += c
        n -= c
        common[0] = at
        if at == k.n or k.p[at] != <char>0xFF:
            return LEFT
        at += 1
    at += c
    if c == n:
        p = end
        c = bytes_common(k.p + at, p, 2 if 2 < k.n - at else k.n - at)
        at += c
        if c == 2:
            common[0] = at
            return EQUAL if at == k.n else RIGHT
    common[0] = at
    return at < k.n and <uint8_t>k.p[at] > <uint8_t>p[c]


cdef int key_form(const tree_t* t, const uint64_t* row, buf_t* out) noexcept nogil:
    return term_order_key(row[1 + t.keypos], <const char*>row, out, False)


cdef int form_compare(const tree_t* t, look_t* k, const uint64_t* row, size_t* common) noexcept nogil:
    """k against the form of any key. Without memory for the form there is no answer: the process ends, as in a walk."""
    cdef char[KEY_HOME] home
    cdef buf_t b
    cdef size_t c
    cdef int dir
    buf_init(&b, home, KEY_HOME)
    if key_form(t, row, &b) != ST_OK:
        fprintf(stderr, b"tsunami: out of memory in a comparison of keys\n")
        abort()
    c = bytes_common(k.p, b.data, k.n if k.n < b.len else b.len)
    if c == k.n:
        dir = EQUAL if c == b.len else LEFT
    else:
        dir = RIGHT if c == b.len else <uint8_t>k.p[c] > <uint8_t>b.data[c]
    buf_free(&b)
    common[0] = c
    return dir


cdef int look_row(const tree_t* t, look_t* k, uint32_t node) noexcept nogil:
    cdef const uint64_t* row = node_row(t, node)
    cdef cell_t c = row[1 + t.keypos]
    cdef char[8] scratch
    cdef const char* p
    cdef size_t n, common
    cdef int dir
    k.asked = True
    case_met(t, CASE_ASKED)
    if term_kind(c) == K_BINARY:
        p = term_bytes(c, <const char*>row, scratch, &n)
        dir = text_compare(k, p, n, &common)
    else:
        dir = form_compare(t, k, row, &common)
    if dir != EQUAL:
        look_bound(k, dir, common)
    return dir


# ---- pieces

cdef inline uint32_t piece_place(size_t m, size_t differs, size_t n) noexcept nogil:
    """Where the piece of a form of n bytes should begin that is told from others by its byte `differs`: at m at the
    latest, but as far in front as it holds that byte and two more, or all that is left of the form. In front there are
    more nodes with the same place, and fewer are put behind their m by a rotation."""
    cdef size_t off = differs + 3 if differs + 3 < n else n
    off = off - knob_piece if off > knob_piece else 0
    if off > m:
        off = m
    return <uint32_t>off if off <= OFF_MAX else <uint32_t>OFF_NONE


cdef inline void piece_set(const tree_t* t, uint32_t node, const char* form, uint32_t off) noexcept nogil:
    """`form` has eight readable zeros behind it. The parity stays."""
    cdef hot_t* h = node_hot(t.arena, node)
    cdef uint64_t piece = piece_load(form + off) & piece_mask if off != OFF_NONE else 0
    h.word = piece | (h.word & PARITY) | off


cdef void piece_renew(const tree_t* t, uint32_t node, size_t m, size_t differs) noexcept nogil:
    """Write the piece from the key. Without memory for its form the node stays without."""
    cdef char[KEY_HOME] home
    cdef char[8] scratch
    cdef const uint64_t* row = node_row(t, node)
    cdef cell_t c = row[1 + t.keypos]
    cdef const char* p
    cdef size_t n
    cdef buf_t b
    cdef int st
    buf_init(&b, home, KEY_HOME)
    if term_kind(c) == K_BINARY and cell_is_leaf(c) and cell_length(c) > LONG_KEY:
        p = term_bytes(c, <const char*>row, scratch, &n)        # its beginning will do
        st = form_byte(&b, FORM_BITS)
        if st == ST_OK:
            st = form_text(&b, p, LONG_KEY, 8)
    else:
        st = key_form(t, row, &b)
    n = b.len
    if st == ST_OK:
        st = form_word(&b, 0, 8)
    if st == ST_OK:
        piece_set(t, node, b.data, piece_place(m, differs, n))
    else:
        piece_set(t, node, NULL, OFF_NONE)
    buf_free(&b)


cdef void piece_heal(const tree_t* t, uint32_t node, size_t m, size_t common) noexcept nogil:
    """The row was asked because the piece begins behind m, or k shares all of it: a better place, if there is one."""
    cdef uint32_t off = <uint32_t>(node_hot(t.arena, node).word & PIECE_OFF)
    if off > m or (off < m and off + knob_piece < common + 3):
        piece_renew(t, node, m, common)


cdef inline void prefix_set(tree_t* t, const char* p, size_t n) noexcept nogil:
    t.shared = OFF_MAX if n > OFF_MAX else <uint32_t>n
    memcpy(t.prefix, p, t.shared)


cdef inline void prefix_narrow(tree_t* t, const char* p, size_t n) noexcept nogil:
    """Some key is to come in that begins so, or all keys of another tree do."""
    if t.root == 0:
        prefix_set(t, p, n)
    else:
        t.shared = <uint32_t>bytes_common(p, t.prefix, t.shared if t.shared < n else n)
