# hash_scan: visit the rows of a hash table in the order of their hashes, in pieces. Part of table_hash.pxi's floor.
#
# What it is not: a sweep by hash positions for others to number (hash_sweep: SCAN, slots), or a place for knowing what
# a visit is for (select.pxi).
#
# A piece takes one stripe, goes from home to home, and leaves its place. Where a home is done the place is the hash of
# the next one; otherwise it is the key, and the position in the key's group, *before* the row that comes next. Either
# says the same whatever has happened to the map meanwhile: homes split, merge and move, hashes do not.
#
# What must stay true:
# 1. Between two rows `at` says nothing: it is written when the lock is about to go, and then it stands before
#    everything that has not been visited, and behind everything that has.
# 2. The words of a home are taken once. Erasing moves slots, and may make the map move homes, but no rows: so the words
#    stay good for rows and groups, and a slot is found again through map_slot.
# 3. A lock is held for at most `budget` rows, and for a bounded number of homes and holes where there are no rows.
# 4. `seen` counts positions, so a walk over long groups needs them to stay (group_still): fix the table, or count as
#    t.steady while it lasts.

cdef struct scan_t:
    table_t* t
    stripe_t* s
    place_t* at
    visit_t visit
    void* ctx
    buf_t out               # where a visit puts the row to replace its own by
    size_t left             # rows that may still be visited in this piece
    int64_t effort          # homes and holes that may still be passed
    bint placed             # `at` has been written

cdef enum:
    SCAN_EFFORT = 8         # homes or holes that count as a row

cdef int scan_place(scan_t* w, const uint64_t* row, int64_t position) noexcept nogil:
    """Leave the place before this row."""
    cdef int st = place_move(w.at, row, w.t.keypos)
    if st == ST_OK:
        w.at.seen = position
        w.placed = True
    return st

cdef inline void scan_place_hash(scan_t* w, size_t stripe, uint64_t following) noexcept nogil:
    """Leave the place before a home of this stripe; 0: behind its last one."""
    w.at.key.len = 0
    w.at.seen = -1
    w.placed = True
    if following != 0:
        w.at.start = table_global(w.t, stripe, following)
    elif stripe + 1 < table_stripes(w.t):
        w.at.start = (<uint64_t>(stripe + 1) << 1) << (63 - w.t.stripe_bits)
    else:
        w.at.start = 0
        w.at.over = True

cdef int scan_verdict(scan_t* w, uint64_t word, uint64_t* row, int verdict) noexcept nogil:
    """Do what a visit has said of a key's only row."""
    cdef uint64_t h
    cdef uint64_t* slot
    cdef int st = ST_OK
    if verdict == V_FAIL:
        st = scan_place(w, row, 0)
        return st if st != ST_OK else ST_STOP
    if verdict == V_STOP or verdict == V_ERASE_STOP:
        w.left = 0
    if verdict == V_STOP:
        return ST_OK
    h = map_row_hash(&w.s.map, row)
    slot = map_slot(&w.s.map, h, word)
    if verdict == V_REPLACE:
        st = set_store(w.t, w.s, NULL, h, slot, <const uint64_t*>w.out.data, row_deadline(row))
        w.out.len = 0
        if st != ST_OK:
            scan_place(w, row, 0)
    else:
        key_erase(w.t, w.s, h, slot)
    return st

cdef int group_replace(scan_t* w, group_t* g, uint32_t i) noexcept nogil:
    """Put the row of `out` in the place of another one of a group."""
    cdef uint64_t* fresh = row_make(w.t, w.s, <const uint64_t*>w.out.data, 0)
    w.out.len = 0
    if fresh == NULL:
        return ST_NO_MEMORY
    group_index_close(w.s, g)       # made anew when it is needed: taking one row out of it could mean passing them all
    row_drop(w.t, w.s, g.rows[i])
    g.rows[i] = fresh
    return ST_OK

cdef int scan_group(scan_t* w, uint64_t word, int64_t position) noexcept nogil:
    """Visit the rows of a group, from this position on."""
    cdef group_t* g = slot_group(word_slot(word))
    cdef uint32_t i = g.first if position < g.first else <uint32_t>position
    cdef uint64_t h = 0
    cdef uint64_t* row
    cdef place_t key            # the key outlives its rows
    cdef int st = ST_OK
    cdef int verdict
    cdef const uint64_t* kept
    place_open(&key)
    while st == ST_OK and i < g.used:
        row = g.rows[i]
        if i + HOME_AHEAD * 2 < g.used:
            ts_prefetch(g.rows[i + HOME_AHEAD * 2])
        if row == NULL:
            i += 1
            w.effort -= 1
            continue
        if w.left == 0 or w.effort < 0:
            w.left = 0
            st = scan_place(w, row, i)
            break
        w.left -= 1
        verdict = w.visit(w.ctx, row, &w.out)
        if verdict == V_FAIL:
            st = scan_place(w, row, i)
            if st == ST_OK:
                st = ST_STOP
            break
        if verdict == V_STOP or verdict == V_ERASE_STOP:
            w.left = 0
        if verdict == V_REPLACE:
            st = group_replace(w, g, i)
            if st != ST_OK:
                scan_place(w, row, i)
                break
        elif verdict == V_ERASE or verdict == V_ERASE_STOP:
            if key.key.len == 0:
                h = map_row_hash(&w.s.map, row)
                st = place_move(&key, row, w.t.keypos)
                if st != ST_OK:
                    scan_place(w, row, i)
                    break
            group_take_out(w.t, w.s, g, i)
        i += 1
    if key.key.len != 0:
        kept = <const uint64_t*>key.key.data
        group_settle(w.t, w.s, h, map_slot(&w.s.map, h, word), kept[1], <const char*>kept)
    place_close(&key)
    return st

cdef size_t scan_resume(scan_t* w, const home_t* found, const probe_t* p, uint64_t h, int64_t* position) noexcept nogil:
    """How many of a home's words lie behind the place; and of the first that does not, how many positions."""
    cdef map_t* m = &w.s.map
    cdef const uint64_t* row
    cdef size_t k = 0
    position[0] = 0
    while k < found.len:
        row = slot_row(word_slot(found.words[k]))
        if map_row_hash(m, row) != h:
            break
        if key_equal(row, m.keypos, p):
            if w.at.seen >= 0:
                position[0] = w.at.seen
                break
        elif term_before(p.cell, p.base, row[1 + m.keypos], <const char*>row):
            break
        k += 1
    return k

cdef inline int scan_home(scan_t* w, const home_t* found, size_t k, int64_t position) noexcept nogil:
    """Visit the rows of a home's words from k on."""
    cdef uint64_t word
    cdef uint64_t* row
    cdef int verdict, st
    while k < found.len:
        word = found.words[k]
        if ts_unlikely(slot_is_group(word_slot(word))):
            st = scan_group(w, word, position)
            if st != ST_OK or w.placed:
                return st
        else:
            row = slot_pointer(word_slot(word))
            if not row_expired(row) and position <= 0:
                if w.left == 0:
                    return scan_place(w, row, 0)
                w.left -= 1
                verdict = w.visit(w.ctx, row, &w.out)
                if verdict != V_NEXT:
                    st = scan_verdict(w, word, row, verdict)
                    if st != ST_OK:
                        return st
        position = 0
        k += 1
    return ST_OK

cdef void scan_open(
    scan_t* w, table_t* t, place_t* at, size_t budget, visit_t visit, void* ctx, uint64_t* room, size_t bytes
) noexcept nogil:
    w.t = t
    w.at = at
    w.visit = visit
    w.ctx = ctx
    w.left = budget
    w.effort = <int64_t>budget * SCAN_EFFORT + SCAN_EFFORT
    w.placed = False
    buf_init(&w.out, <char*>room, bytes)

cdef int hash_scan(
    table_t* t, const span_t* span, place_t* at, size_t budget, visit_t visit, void* ctx
) noexcept nogil:
    """Visit at most `budget` rows behind `at`, in the order of their hashes, whatever `span` says. One stripe is held;
    at its end the piece ends."""
    cdef scan_t w
    cdef home_t found
    cdef probe_t p
    cdef uint64_t[64] room
    cdef uint64_t local
    cdef size_t i, k = 0
    cdef int64_t position = 0
    cdef int st = ST_OK
    cdef bint resume = at.key.len > 0
    if at.over:
        return ST_OK
    memset(&p, 0, sizeof(p))
    scan_open(&w, t, at, budget, visit, ctx, room, sizeof(room))
    home_open(&found)
    if resume:
        place_probe(at, &p)
        w.s = table_stripe(t, p.hash)
        i = <size_t>(w.s - t.stripes)
        local = map_local(&w.s.map, p.hash)
    else:
        i = (at.start >> 1) >> (63 - t.stripe_bits)
        w.s = &t.stripes[i]
        local = at.start << t.stripe_bits
    ts_lock_acquire(&w.s.lock)
    if not w.s.alive:
        st = ST_GONE
    while st == ST_OK and not w.placed:
        w.effort -= 1
        st = map_home(&w.s.map, local, &found, &local)
        if st != ST_OK:
            break
        if ts_unlikely(resume):
            k = scan_resume(&w, &found, &p, map_local(&w.s.map, p.hash), &position)
            resume = False
        st = scan_home(&w, &found, k, position)
        k = 0
        position = 0
        if st == ST_OK and not w.placed and (local == 0 or w.left == 0 or w.effort < 0):
            scan_place_hash(&w, i, local)
    if w.placed and (at.key.len > 0 or local != 0):
        ts_lock_yield(&w.s.lock)
    else:
        ts_lock_release(&w.s.lock)
    buf_free(&w.out)
    home_close(&found)
    return st

cdef int hash_scan_key(
    table_t* t, const probe_t* p, place_t* at, size_t budget, visit_t visit, void* ctx
) noexcept nogil:
    """Visit at most `budget` rows of this key; those behind `at` if that stands at the key. at.over: there are no
    more."""
    cdef scan_t w
    cdef home_t found
    cdef uint64_t[64] room
    cdef uint64_t* slot
    cdef int64_t position = 0
    cdef int st = ST_OK
    if at.key.len > 0:
        if at.seen < 0:
            at.over = True
            return ST_OK
        position = at.seen
    scan_open(&w, t, at, budget, visit, ctx, room, sizeof(room))
    home_open(&found)
    w.s = table_stripe(t, p.hash)
    ts_lock_acquire(&w.s.lock)
    if not w.s.alive:
        st = ST_GONE
    else:
        slot = map_find(&w.s.map, p, map_local(&w.s.map, p.hash))
        if slot != NULL:
            found.words[0] = slot_word(slot[0])
            found.len = 1
            st = scan_home(&w, &found, 0, position)
        if st == ST_OK and not w.placed:
            at.over = True
    ts_lock_yield(&w.s.lock)
    buf_free(&w.out)
    return st
