# Containers with some of their cells exchanged for others: how small values of the keyspace change, without a decoder.
#
# What it is: one function, body_splice, for tuples, lists, maps and rows alike, since their bodies look alike
# (term.pxi). A splice costs one pass over the cells, which are moved by a constant, and two copies of the bodies behind
# them.
#
# What it is not: it knows nothing of maps' order or of lists' tails. Whoever splices keeps the grammar.

cdef inline size_t cell_extent(cell_t c, const char* base) noexcept nogil:
    """Words of the body that belongs to a cell."""
    if cell_is_leaf(c):
        return (cell_length(c) + 7) >> 3
    return header_words((<const uint64_t*>cell_at(c, base))[0]) if cell_is_box(c) else 0


cdef inline uint64_t cell_flags(cell_t c, const char* base) noexcept nogil:
    """What a header says because of this cell below it."""
    if cell_is_box(c):
        return (<const uint64_t*>cell_at(c, base))[0] & FLAGS_BELOW
    if (c & 0xFF) == LOW_OBJECT:
        return HAS_OBJECT
    if (c & 0xFF) == LOW_FLOAT:
        return HAS_NAN if isnan(term_float(c, base)) else 0
    return HAS_MARKS if term_is_text(c) else 0


cdef size_t first_body(const uint64_t* body, size_t i, size_t n) noexcept nogil:
    """Where the bodies of the cells from i on begin, in words from the header."""
    while i < n:
        if (body[1 + i] & 5) == 5:                             # a leaf or a box
            return cell_words(body[1 + i])
        i += 1
    return header_words(body[0])


cdef inline void cells_move(uint64_t* to, const uint64_t* source, size_t n, int64_t words) noexcept nogil:
    """Copy cells whose bodies have moved by so many words."""
    cdef uint64_t by = <uint64_t>(words << OFFSET_SHIFT)
    cdef size_t i
    for i in range(n):
        to[i] = source[i] + (by if (source[i] & 5) == 5 else 0)


cdef int piece_lay(uint64_t* made, size_t i, size_t pos, const piece_t* piece) noexcept nogil:
    """Put a term in as cell i, its body at word `pos`."""
    cdef size_t words = cell_extent(piece.cell, piece.base)
    cdef uint64_t* body = made + pos
    cdef uint64_t header
    made[0] |= cell_flags(piece.cell, piece.base)
    if words == 0:
        made[1 + i] = piece.cell
        return ST_OK
    if pos > OFFSET_MAX:
        return ST_TOO_LARGE
    made[1 + i] = cell_body(cell_low(piece.cell), cell_length(piece.cell), pos)
    if cell_is_leaf(piece.cell):
        body[words - 1] = 0                                    # the padding
        memcpy(body, cell_at(piece.cell, piece.base), cell_length(piece.cell))
    else:
        memcpy(body, cell_at(piece.cell, piece.base), words * 8)
        header = body[0]
        body[0] = (header & ~(EXTENT_MASK | ROW_EXPIRES | ROW_STAMP)) | words
    return ST_OK


cdef int body_splice(
    buf_t* b, const uint64_t* body, size_t i, size_t removed, const piece_t* added, size_t n_added, size_t* at
) noexcept nogil:
    """The container `body` with `removed` cells from i on exchanged for the terms `added`, appended to a buffer, where
    it begins at `at`. Nothing of it may stand in the buffer."""
    cdef size_t n = header_count(body[0]), words = header_words(body[0])
    cdef size_t m = n - removed + n_added, behind = i + removed, k
    cdef size_t cut = first_body(body, i, n), rest = first_body(body, behind, n)
    cdef size_t total = words - n + m - (rest - cut), pos, pad = -b.len & 7
    cdef uint64_t* made
    for k in range(n_added):
        total += cell_extent(added[k].cell, added[k].base)
    if m > OFFSET_MAX or total > EXTENT_MASK - TRAILERS_MAX:
        return ST_TOO_LARGE
    if buf_reserve(b, pad + total * 8) != ST_OK:
        return ST_NO_MEMORY
    at[0] = b.len + pad
    memset(b.data + b.len, 0, pad)
    b.len = at[0] + total * 8
    made = <uint64_t*>(b.data + at[0])
    made[0] = <uint64_t>m << LENGTH_SHIFT | total
    if body[0] & FLAGS_BELOW:
        for k in range(n):
            if k < i or k >= behind:
                made[0] |= cell_flags(body[1 + k], <const char*>body)
    cells_move(made + 1, body + 1, i, <int64_t>m - <int64_t>n)
    pos = 1 + m + (cut - 1 - n)
    memcpy(made + 1 + m, body + 1 + n, (cut - 1 - n) * 8)
    for k in range(n_added):
        if piece_lay(made, i + k, pos, &added[k]) != ST_OK:
            return ST_TOO_LARGE
        pos += cell_extent(added[k].cell, added[k].base)
    if pos + (words - rest) > OFFSET_MAX:
        return ST_TOO_LARGE
    cells_move(made + 1 + i + n_added, body + 1 + behind, n - behind, <int64_t>pos - <int64_t>rest)
    memcpy(made + pos, body + rest, (words - rest) * 8)
    return ST_OK


cdef uint64_t NO_CELLS = 1      # an extent of one word: the header


cdef const uint64_t* body_empty() noexcept nogil:
    """The body of a container that has no cells yet, to be spliced into."""
    return &NO_CELLS


cdef size_t body_count(const uint64_t* body) noexcept nogil:
    return header_count(body[0])


cdef void piece_of_body(piece_t* p, kind_t kind, const uint64_t* body) noexcept nogil:
    """A tuple, list, map or extension of these cells, of which there are some. The body must not move any more."""
    cdef int low = LOW_TUPLE
    if kind == K_LIST:
        low = LOW_LIST
    elif kind == K_MAP:
        low = LOW_MAP
    elif kind == K_EXT:
        low = LOW_EXT
    p.base = <const char*>body
    p.cell = cell_body(low, header_count(body[0]), 0)
