# Hot commands over values with parts: hashes, sets, sorted sets, lists.
#
# A value is what its key's row holds (tsunami_server.values tells the forms): one packed term while it is small, a
# collection_t with tables of its own when it is large. Both are read and changed under the lock of the key's stripe, so
# a command is atomic whatever it touches; a collection's own locks come behind that one and are never taken before it.
#
# A small value changes by splicing: its term is copied with some cells exchanged for others, and so is the row. A large
# one changes in place, and the row stays.
#
# What is cold here, besides everything odd: making a small value large, whatever names options, and walks of more
# than SLICE_MAX rows.
#
# What must stay true:
#
# 1. Small forms are those of the Python classes, cell by cell: a map's keys ascend, a sorted set is a list of
#    {member, score} in order.
# 2. An empty value takes its key along.
# 3. Limits are looked at before anything changes.

cdef extern from "<stdlib.h>" nogil:
    double strtod(const char* text, char** end) noexcept

cdef extern from * nogil:
    uint64_t __builtin_bswap64(uint64_t v) noexcept

cdef enum:
    SMALL = 0
    LARGE = 1
    OTHER = 2
    SLICE_MAX = 1024
    PIECES_NEAR = 16
    SCORE_BYTES = 8
    SCORE_DIGITS = 15
    NEAR_MEMBER = 64            # bytes of a member that is worth looking ahead for

cdef int64_t LIST_STRIDE = 1 << 20      # between two positions of a large list

cdef int64_t POSITION_MAX = 1 << 60     # beyond, positions are Python's
cdef double SCORE_WHOLE = 9007199254740992.0    # 2^53: the whole numbers that doubles can tell apart
cdef cell_t SET_NAME = atom_intern(b"set", 3)
cdef cell_t NIL_ATOM = atom_intern(b"nil", 3)

cdef struct seen_t:
    # The value in a row.
    const uint64_t* body        # small: the container whose cells are the parts
    size_t n                    # its cells
    collection_t* large

cdef struct value_t:
    # One command over one value.
    run_t* r
    int kind                    # c_kind_t
    size_t from_arg             # the first argument that is a part
    const char* part            # the part at hand
    size_t len
    int64_t count               # what was added, removed, found
    int64_t start
    int64_t stop
    int dir
    bint flag                   # WITHSCORES; INCR
    double score
    double old_score
    bint found
    buf_t a                     # small values on their way
    buf_t b


cdef struct near_t:
    # Sort keys whose places in the order will be looked for, see zset_ahead.
    size_t n
    double score
    bint found
    probe_t[AHEAD] probes
    char[AHEAD][SCORE_BYTES + NEAR_MEMBER] keys


# ---- reading values

cdef inline const uint64_t* box_body(cell_t c, const char* base, size_t* n) noexcept nogil:
    """A container's body and the number of its cells."""
    cdef const cell_t* cells = NULL
    cdef const char* cells_base = NULL
    n[0] = term_cells(c, base, &cells, &cells_base)
    return <const uint64_t*>cells_base

cdef int value_see(run_t* r, const uint64_t* row, int kind, seen_t* s) noexcept nogil:
    """SMALL, LARGE, or OTHER: of another type, or nothing that these commands know."""
    cdef cell_t c
    cdef kind_t k
    if row_arity(row) != 2:
        return OTHER
    c = row_cell(row, 1)
    k = term_kind(c)
    if k == K_OBJECT:
        s.large = table_collection(r.db, c)
        return LARGE if s.large != NULL and s.large.kind == kind else OTHER
    s.large = NULL
    if k == K_MAP and kind == C_HASH:
        s.body = box_body(c, <const char*>row, &s.n)
        return SMALL if s.n and binaries(s.body, s.n, 2) else OTHER
    if k == K_LIST and (kind == C_LIST or kind == C_ZSET):
        s.body = box_body(c, <const char*>row, &s.n)
        if kind == C_ZSET:
            return SMALL if zset_sound(s.body) else OTHER
        return SMALL if term_kind(s.body[1]) != K_TUPLE else OTHER
    if k == K_EXT and kind == C_SET:
        s.body = box_body(c, <const char*>row, &s.n)
        if s.body[1] != SET_NAME or term_kind(s.body[2]) != K_MAP:
            return OTHER
        s.body = box_body(s.body[2], <const char*>s.body, &s.n)
        return SMALL if s.n and binaries(s.body, s.n, 2) else OTHER
    return OTHER

cdef bint zset_sound(const uint64_t* body) noexcept nogil:
    """Are these the pairs of a sorted set, in order? A Python program may have put there what it likes."""
    cdef const uint64_t* pair
    cdef const char* before = NULL
    cdef char scratch[2][8]
    cdef size_t i, n = 0, have = 0
    cdef double least = 0, score = 0
    for i in range(body_count(body)):
        pair = entry_of(body, i)
        if pair == NULL or not number_cell(pair[2], <const char*>pair, &score) or score != score:
            return False
        if i and (score < least or (score == least and bytes_order(pair[1], pair, before, n) <= 0)):
            return False
        least = score
        before = term_bytes(pair[1], <const char*>pair, scratch[i & 1], &have)
        n = have
    return True

cdef inline bint binaries(const uint64_t* body, size_t n, size_t step) noexcept nogil:
    """Are the keys of a map binaries? They ascend, so the first and the last one tell."""
    return term_kind(body[1]) == K_BINARY and term_kind(body[1 + n - step]) == K_BINARY

cdef inline int bytes_order(cell_t c, const uint64_t* body, const char* p, size_t n) noexcept nogil:
    """How the binary in a cell stands to these bytes: below 0, 0, above 0."""
    cdef char scratch[8]
    cdef size_t have = 0
    cdef const char* q = term_bytes(c, <const char*>body, scratch, &have)
    cdef int order = memcmp(q, p, have if have < n else n)
    return order if order != 0 else (have > n) - (have < n)

cdef bint map_find(const uint64_t* body, size_t n, const char* p, size_t len, size_t* at) noexcept nogil:
    """The cell of a key in a map's body, or where it would stand."""
    cdef size_t low = 0, high = n // 2, middle
    cdef int order
    while low < high:
        middle = (low + high) // 2
        order = bytes_order(body[1 + 2 * middle], body, p, len)
        if order == 0:
            at[0] = 2 * middle
            return True
        if order < 0:
            low = middle + 1
        else:
            high = middle
    at[0] = 2 * low
    return False

cdef bint out_part(out_t* o, cell_t c, const char* base) noexcept nogil:
    """A field, value, member or element as a bulk; False if it has no such form."""
    cdef char scratch[8]
    cdef size_t n = 0
    cdef const char* p
    cdef kind_t kind = term_kind(c)
    if ts_likely(kind == K_BINARY):
        p = term_bytes(c, base, scratch, &n)
        out_bulk(o, p, n)
        return True
    if kind == K_INT:
        out_int_bulk(o, term_int(c))
        return True
    return False

cdef void sink_part(void* ctx, const uint64_t* row) noexcept nogil:
    """Write the last element of a row of a large hash or list."""
    cdef value_t* v = <value_t*>ctx
    v.found = True
    if not out_part(v.r.out, row_cell(row, row_arity(row) - 1), <const char*>row):
        v.r.odd = True

cdef inline void value_begin(value_t* v, run_t* r, int kind) noexcept nogil:
    memset(v, 0, sizeof(value_t))
    v.r = r
    v.kind = kind
    buf_init(&v.a, NULL, 0)
    buf_init(&v.b, NULL, 0)

cdef inline void value_end(value_t* v) noexcept nogil:
    buf_free(&v.a)
    buf_free(&v.b)

cdef int value_read(value_t* v, row_sink_t sink) noexcept nogil:
    """Look the key up, and count a hit or a miss. ST_OK, ST_ABSENT, or what makes the command cold."""
    cdef probe_t key
    cdef run_t* r = v.r
    cdef int st = arg_key(r, 1, &key)
    if st != ST_OK:
        return st
    st = table_get(r.db, &key, sink, v)
    if st == ST_OK:
        r.plane.hits += 1
    elif st == ST_ABSENT:
        r.plane.misses += 1
    return ST_STOP if r.odd else st

cdef inline void value_part(value_t* v, size_t i) noexcept nogil:
    v.part = arg(v.r, i)
    v.len = arg_len(v.r, i)


cdef void large_ahead(run_t* r, collection_t* large) noexcept nogil:
    """Start loading the rows of the fields or members that the request at hand and the next ones of its kind name."""
    cdef ahead_t[AHEAD] words
    cdef probe_t[AHEAD] probes
    ahead_parts(r, large.rows, 2, words, probes)


# ---- changing small values

cdef int piece_of_part(piece_t* piece, const char* p, size_t n) noexcept nogil:
    cdef probe_t probe
    cdef int st = probe_binary(&probe, p, n)
    piece.cell = probe.cell
    piece.base = probe.base
    return st

cdef inline void buf_swap(buf_t* a, buf_t* b) noexcept nogil:
    cdef buf_t kept = a[0]
    a[0] = b[0]
    b[0] = kept

cdef int value_splice(
    value_t* v, const uint64_t** body, size_t i, size_t removed, const piece_t* added, size_t n
) noexcept nogil:
    """The next state of a small value: in v.a, which body points to afterwards."""
    cdef size_t at = 0
    cdef int st
    v.b.len = 0
    st = body_splice(&v.b, body[0], i, removed, added, n, &at)
    if st == ST_OK:
        buf_swap(&v.a, &v.b)
        body[0] = <const uint64_t*>(v.a.data + at)
    return st

cdef int value_row(value_t* v, const uint64_t* old, buf_t* out, piece_t* piece) noexcept nogil:
    """The row with a new value: from the old one, or with the key that the command names."""
    cdef size_t at = 0
    cdef int st
    if old != NULL:
        return body_splice(out, old, 1, 1, piece, 1, &at)
    st = row_begin(out, 2, &at)
    if st == ST_OK:
        st = row_add_binary(out, at, 0, arg(v.r, 1), arg_len(v.r, 1), False)
    if st == ST_OK:
        st = row_add_term(out, at, 1, piece.cell, piece.base)
    return row_end(out, at) if st == ST_OK else st

cdef int value_store(value_t* v, const uint64_t* old, const uint64_t* body, kind_t kind, buf_t* out) noexcept nogil:
    """End an edit: the row with this container as its value; ST_ABSENT, so that the key goes, if it has no cells."""
    cdef piece_t piece
    if body_count(body) == 0:
        return ST_ABSENT
    piece_of_body(&piece, kind, body)
    return value_row(v, old, out, &piece)

cdef int value_edit(value_t* v, row_edit_t edit) noexcept nogil:
    cdef probe_t key
    cdef int st = arg_key(v.r, 1, &key)
    if st == ST_OK:
        st = table_edit(v.r.db, &key, edit, v)
    return st

cdef int value_answer(value_t* v, row_edit_t edit) noexcept nogil:
    """Run an edit whose reply is v.count."""
    cdef int st = value_edit(v, edit)
    value_end(v)
    if st != ST_OK and st != ST_EXISTS and st != ST_ABSENT:
        return H_COLD
    out_head(v.r.out, c':', v.count)
    return H_DONE


# ---- hashes

cdef void sink_hget(void* ctx, const uint64_t* row) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef seen_t s
    cdef size_t at = 0
    cdef probe_t field
    cdef int form = value_see(v.r, row, C_HASH, &s)
    if form == SMALL:
        if map_find(s.body, s.n, v.part, v.len, &at):
            v.found = True
            if not out_part(v.r.out, s.body[2 + at], <const char*>s.body):
                v.r.odd = True
    elif form == OTHER or probe_binary(&field, v.part, v.len) != ST_OK:
        v.r.odd = True
    else:
        large_ahead(v.r, s.large)
        table_get(s.large.rows, &field, sink_part, v)

cdef int hot_hget(run_t* r) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, C_HASH)
    value_part(&v, 2)
    st = value_read(&v, sink_hget)
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    if not v.found:
        out_null(r.out, r.resp)
    return H_DONE

cdef void sink_hmget(void* ctx, const uint64_t* row) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef size_t i
    for i in range(2, argc(v.r)):
        value_part(v, i)
        v.found = False
        sink_hget(ctx, row)
        if not v.found:
            out_null(v.r.out, v.r.resp)

cdef int hot_hmget(run_t* r) noexcept nogil:
    cdef value_t v
    cdef size_t i
    cdef int st
    value_begin(&v, r, C_HASH)
    out_head(r.out, c'*', <int64_t>argc(r) - 2)
    st = value_read(&v, sink_hmget)
    if st == ST_ABSENT:
        for i in range(2, argc(r)):
            out_null(r.out, r.resp)
        return H_DONE
    return H_DONE if st == ST_OK else H_COLD

cdef void sink_hgetall(void* ctx, const uint64_t* row) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef seen_t s
    cdef size_t i
    if value_see(v.r, row, C_HASH, &s) != SMALL:
        v.r.odd = True          # a large one is walked in pieces
        return
    out_map_head(v.r.out, <int64_t>s.n // 2, v.r.resp)
    for i in range(s.n):
        if not out_part(v.r.out, s.body[1 + i], <const char*>s.body):
            v.r.odd = True

cdef int hot_hgetall(run_t* r) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, C_HASH)
    st = value_read(&v, sink_hgetall)
    if st == ST_ABSENT:
        out_map_head(r.out, 0, r.resp)
    elif st != ST_OK:
        return H_COLD
    return H_DONE

cdef void sink_has(void* ctx, const uint64_t* row) noexcept nogil:
    """Is v.part a field of the hash, a member of the set?"""
    cdef value_t* v = <value_t*>ctx
    cdef seen_t s
    cdef size_t at = 0
    cdef probe_t part
    cdef int form = value_see(v.r, row, v.kind, &s)
    if form == SMALL:
        v.count = map_find(s.body, s.n, v.part, v.len, &at)
    elif form == OTHER or probe_binary(&part, v.part, v.len) != ST_OK:
        v.r.odd = True
    else:
        large_ahead(v.r, s.large)
        v.count = table_member(s.large.rows, &part) == ST_OK

cdef int value_has(run_t* r, int kind) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, kind)
    value_part(&v, 2)
    st = value_read(&v, sink_has)
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    out_head(r.out, c':', v.count)
    return H_DONE

cdef int hot_hexists(run_t* r) noexcept nogil:
    return value_has(r, C_HASH)

cdef int hot_sismember(run_t* r) noexcept nogil:
    return value_has(r, C_SET)

cdef void sink_count(void* ctx, const uint64_t* row) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef seen_t s
    cdef int form = value_see(v.r, row, v.kind, &s)
    if form == SMALL:
        v.count = <int64_t>(s.n // 2 if v.kind == C_HASH or v.kind == C_SET else s.n)
    elif form == OTHER or (v.kind == C_HASH and s.large.order != NULL):
        v.r.odd = True
    else:
        v.count = <int64_t>table_len(s.large.rows)

cdef int value_count(run_t* r, int kind) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, kind)
    st = value_read(&v, sink_count)
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    out_head(r.out, c':', v.count)
    return H_DONE

cdef int hot_hlen(run_t* r) noexcept nogil:
    return value_count(r, C_HASH)

cdef int hot_scard(run_t* r) noexcept nogil:
    return value_count(r, C_SET)

cdef int hot_zcard(run_t* r) noexcept nogil:
    return value_count(r, C_ZSET)

cdef int hot_llen(run_t* r) noexcept nogil:
    return value_count(r, C_LIST)

cdef int edit_field(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    """A field of a large hash: v.from_arg is where it stands."""
    cdef value_t* v = <value_t*>ctx
    cdef size_t at = 0
    if old == NULL:
        v.count += 1
    deadline[0] = 0
    return pair_build(out, v.part, v.len, arg(v.r, v.from_arg + 1), arg_len(v.r, v.from_arg + 1), &at)

cdef int edit_hset(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef run_t* r = v.r
    cdef seen_t s
    cdef const uint64_t* body = body_empty()
    cdef size_t i, at = 0
    cdef piece_t pair[2]
    cdef probe_t field
    cdef int st = ST_OK
    if old != NULL:
        st = value_see(r, old, C_HASH, &s)
        if st == OTHER:
            return ST_STOP
        if st == LARGE:
            if s.large.order != NULL:
                return ST_STOP          # fields that expire: Python keeps account of them
            large_ahead(r, s.large)
            for i in range(2, argc(r), 2):
                v.from_arg = i
                value_part(v, i)
                st = probe_binary(&field, v.part, v.len)
                if st == ST_OK:
                    st = table_edit(s.large.rows, &field, edit_field, v)
                if st != ST_OK:
                    return st
            return ST_OK
        body = s.body
    if argc(r) // 2 - 1 > r.plane.small.hash_entries:
        return ST_STOP                  # before each of them is spliced in
    for i in range(2, argc(r)):
        if arg_len(r, i) > r.plane.small.hash_value:
            return ST_STOP
    for i in range(2, argc(r), 2):
        value_part(v, i)
        st = piece_of_part(&pair[1], arg(r, i + 1), arg_len(r, i + 1))
        if st == ST_OK and map_find(body, body_count(body), v.part, v.len, &at):
            st = value_splice(v, &body, at + 1, 1, &pair[1], 1)
        elif st == ST_OK:
            st = piece_of_part(&pair[0], v.part, v.len)
            if st == ST_OK:
                st = value_splice(v, &body, at, 0, pair, 2)
            v.count += 1
        if st != ST_OK:
            return st
    if body_count(body) // 2 > r.plane.small.hash_entries:
        return ST_STOP
    return value_store(v, old, body, K_MAP, out)

cdef int hot_hset(run_t* r) noexcept nogil:
    cdef value_t v
    if argc(r) % 2:
        return H_COLD
    value_begin(&v, r, C_HASH)
    return value_answer(&v, edit_hset)

cdef int hot_hmset(run_t* r) noexcept nogil:
    cdef size_t before = r.out.len
    if hot_hset(r) != H_DONE:
        return H_COLD
    r.out.len = before
    out_bytes(r.out, b"+OK\r\n", 5)
    return H_DONE


# ---- what hashes and sets have in common: taking parts away

cdef int edit_remove(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    """HDEL and SREM."""
    cdef value_t* v = <value_t*>ctx
    cdef seen_t s
    cdef const uint64_t* body
    cdef size_t i, at = 0
    cdef probe_t part
    cdef int form
    if old == NULL:
        return ST_EXISTS
    form = value_see(v.r, old, v.kind, &s)
    if form == OTHER or (form == LARGE and s.large.order != NULL):
        return ST_STOP
    if form == LARGE:
        for i in range(2, argc(v.r)):
            if probe_binary(&part, arg(v.r, i), arg_len(v.r, i)) == ST_OK:
                v.count += table_erase(s.large.rows, &part, NULL, NULL) == ST_OK
        return ST_ABSENT if table_len(s.large.rows) == 0 else ST_OK
    body = s.body
    for i in range(2, argc(v.r)):
        if map_find(body, body_count(body), arg(v.r, i), arg_len(v.r, i), &at):
            if value_splice(v, &body, at, 2, NULL, 0) != ST_OK:
                return ST_NO_MEMORY
            v.count += 1
    if v.count == 0:
        return ST_EXISTS
    return value_store(v, old, body, K_MAP, out) if v.kind == C_HASH else set_store(v, old, body, out)

cdef int hot_hdel(run_t* r) noexcept nogil:
    cdef value_t v
    value_begin(&v, r, C_HASH)
    return value_answer(&v, edit_remove)

cdef int hot_srem(run_t* r) noexcept nogil:
    cdef value_t v
    value_begin(&v, r, C_SET)
    return value_answer(&v, edit_remove)


# ---- sets

cdef int set_store(value_t* v, const uint64_t* old, const uint64_t* body, buf_t* out) noexcept nogil:
    """The row with a set of these members: an extension term around the map."""
    cdef piece_t piece
    cdef size_t at = 0
    cdef int st
    if body_count(body) == 0:
        return ST_ABSENT
    piece_of_body(&piece, K_MAP, body)
    v.b.len = 0
    st = row_begin(&v.b, 2, &at)
    if st == ST_OK:
        st = row_add_term(&v.b, at, 0, SET_NAME, NULL)
    if st == ST_OK:
        st = row_add_term(&v.b, at, 1, piece.cell, piece.base)
    if st == ST_OK:
        st = row_end(&v.b, at)
    if st != ST_OK:
        return st
    piece_of_body(&piece, K_EXT, <const uint64_t*>(v.b.data + at))
    return value_row(v, old, out, &piece)

cdef bint all_integers(const uint64_t* body) noexcept nogil:
    """Is every key of this map the canonical text of an integer?"""
    cdef char scratch[8]
    cdef size_t i, n = 0
    cdef int64_t value = 0
    cdef const char* p
    for i in range(0, body_count(body), 2):
        if term_kind(body[1 + i]) != K_BINARY:
            return False
        p = term_bytes(body[1 + i], <const char*>body, scratch, &n)
        if not read_int64(p, n, &value):
            return False
    return True

cdef bint set_fits(const plane_t* p, const uint64_t* body) noexcept nogil:
    cdef size_t n = body_count(body) // 2
    return n <= p.small.set_entries or (n <= p.small.set_ints and all_integers(body))

cdef int edit_member(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    """A member of a large set."""
    cdef value_t* v = <value_t*>ctx
    cdef size_t at = 0
    cdef int st
    if old != NULL:
        return ST_EXISTS
    v.count += 1
    st = row_begin(out, 1, &at)
    if st == ST_OK:
        st = row_add_binary(out, at, 0, v.part, v.len, False)
    return row_end(out, at) if st == ST_OK else st

cdef int edit_sadd(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef run_t* r = v.r
    cdef seen_t s
    cdef const uint64_t* body = body_empty()
    cdef size_t i, at = 0
    cdef piece_t pair[2]
    cdef probe_t member
    cdef int st = ST_OK
    if old != NULL:
        st = value_see(r, old, C_SET, &s)
        if st == OTHER:
            return ST_STOP
        if st == LARGE:
            large_ahead(r, s.large)
            for i in range(2, argc(r)):
                value_part(v, i)
                st = probe_binary(&member, v.part, v.len)
                if st == ST_OK:
                    st = table_edit(s.large.rows, &member, edit_member, v)
                if st != ST_OK and st != ST_EXISTS:
                    return st
            return ST_OK
        body = s.body
    if argc(r) - 2 > r.plane.small.set_entries and argc(r) - 2 > r.plane.small.set_ints:
        return ST_STOP
    pair[1].cell = NIL_ATOM
    pair[1].base = NULL
    for i in range(2, argc(r)):
        value_part(v, i)
        if v.len > r.plane.small.set_value:
            return ST_STOP
        if map_find(body, body_count(body), v.part, v.len, &at):
            continue
        st = piece_of_part(&pair[0], v.part, v.len)
        if st == ST_OK:
            st = value_splice(v, &body, at, 0, pair, 2)
        if st != ST_OK:
            return st
        v.count += 1
    if v.count == 0:
        return ST_EXISTS
    if not set_fits(r.plane, body):
        return ST_STOP
    return set_store(v, old, body, out)

cdef int hot_sadd(run_t* r) noexcept nogil:
    cdef value_t v
    value_begin(&v, r, C_SET)
    return value_answer(&v, edit_sadd)

cdef void sink_smembers(void* ctx, const uint64_t* row) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef seen_t s
    cdef size_t i
    if value_see(v.r, row, C_SET, &s) != SMALL:
        v.r.odd = True
        return
    out_head(v.r.out, c'~' if v.r.resp >= 3 else c'*', <int64_t>s.n // 2)
    for i in range(0, s.n, 2):
        if not out_part(v.r.out, s.body[1 + i], <const char*>s.body):
            v.r.odd = True

cdef int hot_smembers(run_t* r) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, C_SET)
    st = value_read(&v, sink_smembers)
    if st == ST_ABSENT:
        out_head(r.out, c'~' if r.resp >= 3 else c'*', 0)
    elif st != ST_OK:
        return H_COLD
    return H_DONE


# ---- lists

cdef inline void slice_clamp(value_t* v, int64_t n) noexcept nogil:
    """Redis's start and stop, both included, as first position and number."""
    if v.start < 0:
        v.start += n
    if v.stop < 0:
        v.stop += n
    if v.start < 0:
        v.start = 0
    if v.stop >= n:
        v.stop = n - 1
    v.count = v.stop - v.start + 1 if v.start <= v.stop else 0

cdef void sink_lrange(void* ctx, const uint64_t* row) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef seen_t s
    cdef int64_t i
    cdef int form = value_see(v.r, row, C_LIST, &s)
    if form == OTHER:
        v.r.odd = True
        return
    slice_clamp(v, <int64_t>(s.n if form == SMALL else table_len(s.large.rows)))
    if form == LARGE and v.count > SLICE_MAX:
        v.r.odd = True
        return
    out_head(v.r.out, c'*', v.count)
    if form == LARGE:
        if v.count:
            ordered_slice(s.large.rows, v.start, <size_t>v.count, 1, sink_part, v)
        return
    for i in range(v.count):
        if not out_part(v.r.out, s.body[1 + v.start + i], <const char*>s.body):
            v.r.odd = True

cdef int hot_lrange(run_t* r) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, C_LIST)
    if not (arg_int(r, 2, &v.start) and arg_int(r, 3, &v.stop)):
        return H_COLD
    st = value_read(&v, sink_lrange)
    if st == ST_ABSENT:
        out_head(r.out, c'*', 0)
    elif st != ST_OK:
        return H_COLD
    return H_DONE

cdef void sink_lindex(void* ctx, const uint64_t* row) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef seen_t s
    cdef int64_t i
    cdef int form = value_see(v.r, row, C_LIST, &s)
    if form == OTHER:
        v.r.odd = True
    elif form == LARGE:
        ordered_nth(s.large.rows, v.start, sink_part, v)
    else:
        i = v.start + <int64_t>s.n if v.start < 0 else v.start
        if 0 <= i < <int64_t>s.n:
            v.found = True
            if not out_part(v.r.out, s.body[1 + i], <const char*>s.body):
                v.r.odd = True

cdef int hot_lindex(run_t* r) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, C_LIST)
    if not arg_int(r, 2, &v.start):
        return H_COLD
    st = value_read(&v, sink_lindex)
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    if not v.found:
        out_null(r.out, r.resp)
    return H_DONE

cdef bint row_position(const uint64_t* row, int64_t* at) noexcept nogil:
    """Where a row of a large list stands. False: Python knows better."""
    if term_kind(row_cell(row, 0)) != K_INT:
        return False
    at[0] = term_int(row_cell(row, 0))
    return -POSITION_MAX <= at[0] <= POSITION_MAX

cdef int edit_beyond(void* ctx, const uint64_t* last, buf_t* out, uint64_t* deadline) noexcept nogil:
    """Beyond the row at the end of a large list: one with the argument v.from_arg. Only the first is ever refused."""
    cdef value_t* v = <value_t*>ctx
    cdef size_t at = 0
    cdef int st
    if v.from_arg == 2 and (last == NULL or not row_position(last, &v.start)):
        return ST_STOP
    v.start += -LIST_STRIDE if v.dir else LIST_STRIDE
    st = row_begin(out, 2, &at)
    if st == ST_OK:
        st = row_add_int(out, at, 0, v.start)
    if st == ST_OK:
        st = row_add_binary(out, at, 1, arg(v.r, v.from_arg), arg_len(v.r, v.from_arg), False)
    return row_end(out, at) if st == ST_OK else st

cdef int list_push(value_t* v, table_t* rows) noexcept nogil:
    """Push all elements to one end of a large list; dir 1: the head."""
    cdef int st = ST_OK
    v.from_arg = 2
    while st == ST_OK and v.from_arg < argc(v.r):
        st = ordered_extend(rows, 1 - v.dir, edit_beyond, v)
        v.from_arg += 1
    v.count = <int64_t>table_len(rows)
    return st

cdef bint list_fits(const plane_t* p, const uint64_t* body) noexcept nogil:
    """As values/list.py has it: at most so many elements, and so many bytes of them."""
    cdef size_t i, n = body_count(body), total = 0
    if n > p.small.list_entries:
        return False
    for i in range(n):
        if term_kind(body[1 + i]) != K_BINARY:
            return False
        total += term_length(body[1 + i]) + 2
    return total <= p.small.list_bytes

cdef int edit_push(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef run_t* r = v.r
    cdef seen_t s
    cdef const uint64_t* body = body_empty()
    cdef piece_t near[PIECES_NEAR]
    cdef piece_t* pieces = near
    cdef size_t n = argc(r) - 2, i
    cdef int st = ST_OK
    if old == NULL and v.flag:
        return ST_EXISTS        # LPUSHX
    if old != NULL:
        st = value_see(r, old, C_LIST, &s)
        if st == OTHER:
            return ST_STOP
        if st == LARGE:
            return list_push(v, s.large.rows)
        body = s.body
    if n > PIECES_NEAR:
        pieces = <piece_t*>malloc(n * sizeof(piece_t))
        if pieces == NULL:
            return ST_NO_MEMORY
    st = ST_OK
    for i in range(n):
        if st == ST_OK:
            st = piece_of_part(&pieces[n - 1 - i if v.dir else i], arg(r, i + 2), arg_len(r, i + 2))
    if st == ST_OK:
        st = value_splice(v, &body, 0 if v.dir else body_count(body), 0, pieces, n)
    if pieces != near:
        free(pieces)
    if st != ST_OK:
        return st
    if not list_fits(r.plane, body):
        return ST_STOP
    v.count = <int64_t>body_count(body)
    return value_store(v, old, body, K_LIST, out)

cdef int list_grow(run_t* r, int dir, bint only_old) noexcept nogil:
    cdef value_t v
    value_begin(&v, r, C_LIST)
    v.dir = dir
    v.flag = only_old
    return value_answer(&v, edit_push)

cdef int hot_lpush(run_t* r) noexcept nogil:
    return list_grow(r, 1, False)

cdef int hot_rpush(run_t* r) noexcept nogil:
    return list_grow(r, 0, False)

cdef int hot_lpushx(run_t* r) noexcept nogil:
    return list_grow(r, 1, True)

cdef int hot_rpushx(run_t* r) noexcept nogil:
    return list_grow(r, 0, True)

cdef bint test_end(void* ctx, const uint64_t* row) noexcept nogil:
    """The row at the end of a large list: tell its element."""
    sink_part(ctx, row)
    return not (<value_t*>ctx).r.odd

cdef int edit_pop(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef seen_t s
    cdef const uint64_t* body
    cdef size_t i
    cdef int form
    if old == NULL:
        return ST_EXISTS
    form = value_see(v.r, old, C_LIST, &s)
    if form == OTHER:
        return ST_STOP
    if form == LARGE:
        if ordered_pull(s.large.rows, 1 - v.dir, test_end, v) != ST_OK:
            return ST_STOP
        return ST_ABSENT if table_len(s.large.rows) == 0 else ST_OK
    body = s.body
    i = 0 if v.dir else s.n - 1
    v.found = True
    if not out_part(v.r.out, body[1 + i], <const char*>body):
        return ST_STOP
    if value_splice(v, &body, i, 1, NULL, 0) != ST_OK:
        return ST_NO_MEMORY
    return value_store(v, old, body, K_LIST, out)

cdef int list_pop(run_t* r, int dir) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, C_LIST)
    v.dir = dir
    st = value_edit(&v, edit_pop)
    value_end(&v)
    if st != ST_OK and st != ST_EXISTS:
        return H_COLD
    if not v.found:
        out_null(r.out, r.resp)
    return H_DONE

cdef int hot_lpop(run_t* r) noexcept nogil:
    return list_pop(r, 1)

cdef int hot_rpop(run_t* r) noexcept nogil:
    return list_pop(r, 0)


# ---- sorted sets

cdef inline bint read_digits(const char* p, size_t n, double* score) noexcept nogil:
    """A number of so few digits and nothing else that a double is exactly it; not -0, which is one, too."""
    cdef bint negative = n > 0 and p[0] == c'-'
    cdef int64_t whole = 0
    cdef size_t i = 1 if negative else 0
    if not i < n <= SCORE_DIGITS:
        return False
    for i in range(i, n):
        if not c'0' <= p[i] <= c'9':
            return False
        whole = whole * 10 + (p[i] - c'0')
    score[0] = <double>(-whole if negative else whole)
    return whole != 0 or not negative

cdef bint read_score(const char* p, size_t n, double* score) noexcept nogil:
    """A number in plain decimal notation; whatever else Redis takes for one is Python's to read."""
    cdef char text[48]
    cdef char* end = NULL
    cdef size_t i
    if read_digits(p, n, score):
        return True
    if not 0 < n < sizeof(text):
        return False
    for i in range(n):
        if not (c'0' <= p[i] <= c'9' or p[i] == c'.' or p[i] == c'-'):
            return False
    memcpy(text, p, n)
    text[n] = 0
    score[0] = strtod(text, &end)
    return end == text + n

cdef inline void score_key(double score, char* key) noexcept nogil:
    """Eight bytes that order as the numbers do."""
    cdef uint64_t bits = 0
    if score == 0:
        score = 0               # also of -0.0
    memcpy(&bits, &score, 8)
    bits = __builtin_bswap64(~bits if bits >> 63 else bits | <uint64_t>1 << 63)
    memcpy(key, &bits, 8)

cdef inline double key_score(const char* key) noexcept nogil:
    cdef uint64_t bits = 0
    cdef double score = 0
    memcpy(&bits, key, 8)
    bits = __builtin_bswap64(bits)
    bits = bits & ~(<uint64_t>1 << 63) if bits >> 63 else ~bits
    memcpy(&score, &bits, 8)
    return score

cdef bint number_cell(cell_t c, const char* base, double* score) noexcept nogil:
    if term_kind(c) == K_FLOAT:
        score[0] = term_float(c, base)
        return True
    if term_kind(c) == K_INT:
        score[0] = <double>term_int(c)
        return True
    return False

cdef inline const uint64_t* entry_of(const uint64_t* body, size_t i) noexcept nogil:
    """The {member, score} in a cell of a small sorted set; NULL if it is no pair."""
    cdef size_t n = 0
    cdef const uint64_t* pair
    if term_kind(body[1 + i]) != K_TUPLE:
        return NULL
    pair = box_body(body[1 + i], <const char*>body, &n)
    return pair if n == 2 and term_kind(pair[1]) == K_BINARY else NULL

cdef bint entry_find(value_t* v, const uint64_t* body, size_t* at) noexcept nogil:
    """Where v.part stands in a small sorted set, and its score in v.old_score. v.r.odd: it holds what is not ours."""
    cdef const uint64_t* pair
    cdef size_t i
    for i in range(body_count(body)):
        pair = entry_of(body, i)
        if pair == NULL:
            v.r.odd = True
            return False
        if bytes_order(pair[1], pair, v.part, v.len) == 0:
            at[0] = i
            if not number_cell(pair[2], <const char*>pair, &v.old_score):
                v.r.odd = True
            return True
    return False

cdef size_t entry_place(value_t* v, const uint64_t* body) noexcept nogil:
    """Where v.part with v.score belongs: behind all that is smaller."""
    cdef size_t low = 0, high = body_count(body), middle
    cdef const uint64_t* pair
    cdef double score = 0
    while low < high:
        middle = (low + high) // 2
        pair = entry_of(body, middle)
        if pair == NULL or not number_cell(pair[2], <const char*>pair, &score):
            v.r.odd = True
            return 0
        if score < v.score or (score == v.score and bytes_order(pair[1], pair, v.part, v.len) < 0):
            low = middle + 1
        else:
            high = middle
    return low

cdef void sink_member_score(void* ctx, const uint64_t* row) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    v.found = True
    if not number_cell(row_cell(row, 1), <const char*>row, &v.old_score):
        v.r.odd = True

cdef void sink_zscore(void* ctx, const uint64_t* row) noexcept nogil:
    """The score of v.part, and whether it is there."""
    cdef value_t* v = <value_t*>ctx
    cdef seen_t s
    cdef size_t at = 0
    cdef probe_t member
    cdef int form = value_see(v.r, row, C_ZSET, &s)
    if form == SMALL:
        v.found = entry_find(v, s.body, &at)
        v.count = <int64_t>at
        return
    if form == OTHER or probe_binary(&member, v.part, v.len) != ST_OK:
        v.r.odd = True
        return
    zset_ahead(v.r, s.large, 2, v.flag)
    table_get(s.large.rows, &member, sink_member_score, v)
    if v.found and v.flag and not order_rank(v, s.large.order):
        v.r.odd = True

cdef void sink_score_of(void* ctx, const uint64_t* row) noexcept nogil:
    cdef near_t* at = <near_t*>ctx
    at.found = number_cell(row_cell(row, 1), <const char*>row, &at.score)

cdef void near_key(near_t* at, double score, const ahead_t* words, size_t i) noexcept nogil:
    """One sort key more, of the word i with this score."""
    cdef char* key = at.keys[at.n]
    score_key(score, key)
    memcpy(key + SCORE_BYTES, words.p[i], words.n[i])
    at.n += probe_binary(&at.probes[at.n], key, SCORE_BYTES + words.n[i]) == ST_OK

cdef void zset_ahead(run_t* r, collection_t* large, size_t at, bint ordered) noexcept nogil:
    """Start loading what the request at hand and the next ones of its kind will read of a large sorted set: the rows of
    the members, each the word `at` of its request; if `ordered`, what leads to their places in the order, too, and to
    those which they will have by the scores that stand before them (at 3: ZADD)."""
    cdef ahead_t[AHEAD] words
    cdef probe_t[AHEAD] probes
    cdef near_t near
    cdef double score = 0
    cdef size_t n = ahead_parts(r, large.rows, at, words, probes)
    cdef size_t i
    if not ordered:
        return
    near.n = 0
    for i in range(n):
        if words[i].n[at] > NEAR_MEMBER:
            continue
        near.found = False
        table_get(large.rows, &probes[i], sink_score_of, &near)
        if near.found:
            near_key(&near, near.score, &words[i], at)
        if at == 3 and read_score(words[i].p[2], words[i].n[2], &score):
            near_key(&near, score, &words[i], at)
        if near.n + 2 > AHEAD:
            ordered_ahead(large.order, near.probes, near.n)
            near.n = 0
    ordered_ahead(large.order, near.probes, near.n)

cdef bint order_rank(value_t* v, table_t* order) noexcept nogil:
    """Position of v.part with v.old_score, in v.count."""
    cdef probe_t key
    cdef size_t rank = 0
    cdef bint good
    v.a.len = 0
    if buf_reserve(&v.a, SCORE_BYTES + v.len) != ST_OK:
        return False
    score_key(v.old_score, v.a.data)
    memcpy(v.a.data + SCORE_BYTES, v.part, v.len)
    good = probe_binary(&key, v.a.data, SCORE_BYTES + v.len) == ST_OK and ordered_rank(order, &key, &rank) == ST_OK
    v.count = <int64_t>rank
    return good

cdef int hot_zscore(run_t* r) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, C_ZSET)
    value_part(&v, 2)
    st = value_read(&v, sink_zscore)
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    if v.found:
        out_double(r.out, v.old_score, r.resp)
    else:
        out_null(r.out, r.resp)
    return H_DONE

cdef int hot_zrank(run_t* r) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, C_ZSET)
    value_part(&v, 2)
    v.flag = True
    st = value_read(&v, sink_zscore)
    value_end(&v)
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    if v.found:
        out_head(r.out, c':', v.count)
    else:
        out_null(r.out, r.resp)
    return H_DONE

cdef inline void out_entry(value_t* v, const char* member, size_t n, double score) noexcept nogil:
    if v.flag and v.r.resp >= 3:
        out_head(v.r.out, c'*', 2)
    out_bulk(v.r.out, member, n)
    if v.flag:
        out_double(v.r.out, score, v.r.resp)

cdef void sink_order(void* ctx, const uint64_t* row) noexcept nogil:
    """A row of a large sorted set's order: score and member are in its key."""
    cdef value_t* v = <value_t*>ctx
    cdef char scratch[8]
    cdef size_t n = 0
    cdef const char* p = term_bytes(row_cell(row, 0), <const char*>row, scratch, &n)
    cdef double score
    if not v.flag:
        out_bulk(v.r.out, p + SCORE_BYTES, n - SCORE_BYTES)
        return
    score = key_score(p)
    if score == 0:
        v.r.odd = True          # 0 or -0: only the rows know
    out_entry(v, p + SCORE_BYTES, n - SCORE_BYTES, score)

cdef void sink_zrange(void* ctx, const uint64_t* row) noexcept nogil:
    cdef value_t* v = <value_t*>ctx
    cdef char scratch[8]
    cdef seen_t s
    cdef const uint64_t* pair
    cdef const char* p
    cdef double score = 0
    cdef size_t n = 0
    cdef int64_t i, size
    cdef int form = value_see(v.r, row, C_ZSET, &s)
    if form == OTHER:
        v.r.odd = True
        return
    size = <int64_t>(s.n if form == SMALL else table_len(s.large.rows))
    slice_clamp(v, size)
    if form == LARGE and v.count > SLICE_MAX:
        v.r.odd = True
        return
    out_head(v.r.out, c'*', v.count * 2 if v.flag and v.r.resp < 3 else v.count)
    if form == LARGE:
        if v.count:
            i = v.start if v.dir else size - 1 - v.start
            ordered_slice(s.large.order, i, <size_t>v.count, v.dir, sink_order, v)
        return
    for i in range(v.start, v.start + v.count):
        pair = entry_of(s.body, <size_t>(i if v.dir else size - 1 - i))
        if pair == NULL or not number_cell(pair[2], <const char*>pair, &score):
            v.r.odd = True
            return
        p = term_bytes(pair[1], <const char*>pair, scratch, &n)
        out_entry(v, p, n, score)

cdef int zset_range(run_t* r, int dir) noexcept nogil:
    cdef value_t v
    cdef int st
    value_begin(&v, r, C_ZSET)
    v.dir = dir
    if not (arg_int(r, 2, &v.start) and arg_int(r, 3, &v.stop)):
        return H_COLD
    if argc(r) == 5:
        if not arg_is(r, 4, b"WITHSCORES", 10):
            return H_COLD
        v.flag = True
    st = value_read(&v, sink_zrange)
    if st == ST_ABSENT:
        out_head(r.out, c'*', 0)
    elif st != ST_OK:
        return H_COLD
    return H_DONE

cdef int hot_zrange(run_t* r) noexcept nogil:
    return zset_range(r, 1)

cdef int hot_zrevrange(run_t* r) noexcept nogil:
    return zset_range(r, 0)

cdef int add_score(buf_t* b, size_t at, size_t i, double score) noexcept nogil:
    """A score in a row of a large sorted set: whole numbers as integers, which have no body. -0 is none."""
    cdef uint64_t bits = 0
    memcpy(&bits, &score, 8)
    if -SCORE_WHOLE <= score <= SCORE_WHOLE and score == <double><int64_t>score and bits != <uint64_t>1 << 63:
        return row_add_int(b, at, i, <int64_t>score)
    return add_float(b, at, i, score)

cdef int edit_score(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    """A member of a large sorted set."""
    cdef value_t* v = <value_t*>ctx
    cdef size_t at = 0
    cdef int st
    v.found = old != NULL
    if old != NULL:
        sink_member_score(v, old)
        if v.r.odd:
            return ST_STOP
        if v.flag:
            v.score += v.old_score
            if v.score != v.score:
                return ST_STOP
        if v.score == v.old_score:
            return ST_EXISTS
    st = row_begin(out, 2, &at)
    if st == ST_OK:
        st = row_add_binary(out, at, 0, v.part, v.len, False)
    if st == ST_OK:
        st = add_score(out, at, 1, v.score)
    return row_end(out, at) if st == ST_OK else st

cdef int order_move(value_t* v, table_t* order) noexcept nogil:
    """The sort key of v.part: from v.old_score, if it was found, to v.score."""
    cdef probe_t key
    cdef char* text
    cdef size_t at = 0, n = SCORE_BYTES + v.len
    cdef int st
    v.a.len = 0
    if buf_reserve(&v.a, 2 * n) != ST_OK:
        return ST_NO_MEMORY
    text = v.a.data + n
    score_key(v.score, text)
    memcpy(text + SCORE_BYTES, v.part, v.len)
    v.b.len = 0
    st = row_begin(&v.b, 1, &at)
    if st == ST_OK:
        st = row_add_binary(&v.b, at, 0, text, n, False)
    if st == ST_OK:
        st = row_end(&v.b, at)
    if st != ST_OK:
        return st
    if not v.found:
        return table_put(order, <const uint64_t*>(v.b.data + at), 0)
    score_key(v.old_score, v.a.data)
    memcpy(v.a.data + SCORE_BYTES, v.part, v.len)
    st = probe_binary(&key, v.a.data, n)
    return ordered_move(order, &key, <const uint64_t*>(v.b.data + at)) if st == ST_OK else st

cdef int zadd_large(value_t* v, collection_t* large) noexcept nogil:
    cdef probe_t member
    cdef int st = probe_binary(&member, v.part, v.len)
    if st != ST_OK:
        return st
    st = table_edit(large.rows, &member, edit_score, v)
    if st == ST_EXISTS:
        return ST_OK
    if st == ST_OK:
        v.count += not v.found
        st = order_move(v, large.order)
    return st

cdef int zadd_small(value_t* v, const uint64_t** body) noexcept nogil:
    cdef piece_t piece
    cdef buf_t pair
    cdef uint64_t home[16]
    cdef size_t at = 0, begin = 0
    cdef int st
    v.found = entry_find(v, body[0], &at)
    if v.r.odd:
        return ST_STOP
    if v.found:
        if v.flag:
            v.score += v.old_score
            if v.score != v.score:
                return ST_STOP
        if v.score == v.old_score:
            return ST_OK
        st = value_splice(v, body, at, 1, NULL, 0)
        if st != ST_OK:
            return st
    at = entry_place(v, body[0])
    if v.r.odd:
        return ST_STOP
    buf_init(&pair, <char*>home, sizeof(home))
    st = row_begin(&pair, 2, &begin)
    if st == ST_OK:
        st = row_add_binary(&pair, begin, 0, v.part, v.len, False)
    if st == ST_OK:
        st = add_float(&pair, begin, 1, v.score if v.score != 0 else 0)     # no -0.0, as in Redis's listpacks
    if st == ST_OK:
        st = row_end(&pair, begin)
    if st == ST_OK:
        piece_of_body(&piece, K_TUPLE, <const uint64_t*>(pair.data + begin))
        st = value_splice(v, body, at, 0, &piece, 1)
    buf_free(&pair)
    v.count += not v.found
    return st

cdef int edit_zadd(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    """ZADD without options, and ZINCRBY (v.flag)."""
    cdef value_t* v = <value_t*>ctx
    cdef run_t* r = v.r
    cdef seen_t s
    cdef const uint64_t* body = body_empty()
    cdef size_t i
    cdef int form = SMALL, st = ST_OK
    if old != NULL:
        form = value_see(r, old, C_ZSET, &s)
        if form == OTHER:
            return ST_STOP
        if form == SMALL:
            body = s.body
    if form == SMALL and argc(r) // 2 - 1 > r.plane.small.zset_entries:
        return ST_STOP
    for i in range(2, argc(r), 2):
        if form == SMALL and arg_len(r, i + 1) > r.plane.small.zset_value:
            return ST_STOP
    if form == LARGE:
        zset_ahead(r, s.large, 3, True)
    for i in range(2, argc(r), 2):
        read_score(arg(r, i), arg_len(r, i), &v.score)
        value_part(v, i + 1)
        st = zadd_large(v, s.large) if form == LARGE else zadd_small(v, &body)
        if st != ST_OK:
            return st
    if form == LARGE:
        return ST_OK
    if body_count(body) > r.plane.small.zset_entries:
        return ST_STOP
    if old != NULL and body == s.body:
        return ST_EXISTS
    return value_store(v, old, body, K_LIST, out)

cdef bint scores_read(run_t* r) noexcept nogil:
    cdef double score = 0
    cdef size_t i
    if argc(r) % 2:
        return False
    for i in range(2, argc(r), 2):
        if not read_score(arg(r, i), arg_len(r, i), &score):
            return False
    return True

cdef int hot_zadd(run_t* r) noexcept nogil:
    cdef value_t v
    if not scores_read(r):
        return H_COLD
    value_begin(&v, r, C_ZSET)
    return value_answer(&v, edit_zadd)

cdef int hot_zincrby(run_t* r) noexcept nogil:
    cdef value_t v
    cdef int st
    if not scores_read(r):
        return H_COLD
    value_begin(&v, r, C_ZSET)
    v.flag = True
    st = value_edit(&v, edit_zadd)
    value_end(&v)
    if st != ST_OK and st != ST_EXISTS:
        return H_COLD
    out_double(r.out, v.score, r.resp)
    return H_DONE


cdef void hot_register_values() noexcept:
    hot_add("hget", hot_hget, 3, 3, False)
    hot_add("hmget", hot_hmget, 3, 0, False)
    hot_add("hgetall", hot_hgetall, 2, 2, False)
    hot_add("hexists", hot_hexists, 3, 3, False)
    hot_add("hlen", hot_hlen, 2, 2, False)
    hot_add("hset", hot_hset, 4, 0, True)
    hot_add("hmset", hot_hmset, 4, 0, True)
    hot_add("hdel", hot_hdel, 3, 0, True)
    hot_add("sadd", hot_sadd, 3, 0, True)
    hot_add("srem", hot_srem, 3, 0, True)
    hot_add("sismember", hot_sismember, 3, 3, False)
    hot_add("scard", hot_scard, 2, 2, False)
    hot_add("smembers", hot_smembers, 2, 2, False)
    hot_add("lpush", hot_lpush, 3, 0, True)
    hot_add("rpush", hot_rpush, 3, 0, True)
    hot_add("lpushx", hot_lpushx, 3, 0, True)
    hot_add("rpushx", hot_rpushx, 3, 0, True)
    hot_add("lpop", hot_lpop, 2, 2, True)
    hot_add("rpop", hot_rpop, 2, 2, True)
    hot_add("llen", hot_llen, 2, 2, False)
    hot_add("lrange", hot_lrange, 4, 4, False)
    hot_add("lindex", hot_lindex, 3, 3, False)
    hot_add("zadd", hot_zadd, 4, 0, True)
    hot_add("zincrby", hot_zincrby, 4, 4, True)
    hot_add("zscore", hot_zscore, 3, 3, False)
    hot_add("zrank", hot_zrank, 3, 3, False)
    hot_add("zcard", hot_zcard, 2, 2, False)
    hot_add("zrange", hot_zrange, 4, 5, False)
    hot_add("zrevrange", hot_zrevrange, 4, 5, False)
