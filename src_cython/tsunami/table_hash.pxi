# set, bag and duplicate_bag: an array of stripes, each with a map from key to row, or to a group of rows.
#
# The stripe is the top bits of the key's hash, the map's order goes by the bits below, so the whole table has one
# order: that of the hashes. Every walk goes by it.
#
# What must stay true:
# 1. rows, timed and special of a stripe count its rows, those with a deadline, and what slab_drop alone would not free.
# 2. A key with several rows has a group in its slot, one with one row that row (or a group of one). A group has at
#    least one row.
# 3. In a bag no two rows of a group are equal. The rows of a group stand in the order of their insertion.
# 4. A key that is in graves is not in the map. graves exist only while the table is fixed.
# 5. While the table is fixed or a walk needs it (group_still), the rows of a group keep their positions: holes stay
#    open, and a group that has shrunk to one row stays a group. So a walk in pieces meets every row that stays once.
# 6. A row whose deadline has passed is never shown. Writers who meet one erase it; the wheel erases the others.

cdef enum:
    GROUP_INDEXED = 16      # groups longer than this have an index


# ---- loading ahead

cdef inline void stripe_prefetch(const stripe_t* s, uint64_t hash) noexcept nogil:
    """Start loading a key's bucket, before the lock is taken: that takes about as long as a fifth of the load.

    Reads without the lock what a resize may change meanwhile: only an address to load comes of it, and loading ahead
    from any address is harmless.
    """
    cdef const map_t* m = &s.map
    cdef uint64_t h = map_local(m, hash)
    cdef uint32_t bits = hint_load_u32(&m.cur.bits)
    cdef uint64_t slots = hint_load(&m.cur.slots)
    cdef uint64_t nxt = hint_load(&m.nxt.slots)
    if nxt != 0 and (h >> 1) >> (63 - bits) < hint_load(&m.frontier):
        bits = hint_load_u32(&m.nxt.bits)
        slots = nxt
    ts_prefetch(<const uint64_t*>slots + ((h >> 1) >> (63 - bits)) * BUCKET)

# ---- groups

cdef void* stripe_block(stripe_t* s, size_t n) noexcept nogil:
    cdef void* p = calloc(1, n)
    if p != NULL:
        s.slab.spent += block_bytes(n)
        held_add(block_bytes(n))
    return p

cdef void stripe_unblock(stripe_t* s, void* p, size_t n) noexcept nogil:
    if p != NULL:
        s.slab.spent -= block_bytes(n)
        held_sub(block_bytes(n))
        free(p)

cdef inline uint64_t row_hash(const uint64_t* row) noexcept nogil:
    """Of the row as a whole; the upper half only."""
    return term_hash(row_as_cell(row), <const char*>row) & ~<uint64_t>0xFFFFFFFF

cdef inline uint32_t group_chain(const group_t* g, uint64_t hash) noexcept nogil:
    return <uint32_t>((hash >> 32) & ((<uint64_t>1 << g.index_bits) - 1))

cdef void group_index_add(group_t* g, uint64_t hash, uint32_t position) noexcept nogil:
    cdef uint32_t* head = &g.heads[group_chain(g, hash)]
    g.chain[position] = hash | head[0]
    head[0] = position + 1

cdef void group_index_close(stripe_t* s, group_t* g) noexcept nogil:
    stripe_unblock(s, g.heads, <size_t>4 << g.index_bits)
    stripe_unblock(s, g.chain, g.cap * sizeof(uint64_t))
    g.heads = NULL
    g.chain = NULL

cdef inline bint group_still(const table_t* t) noexcept nogil:
    """Must the rows of groups keep their positions? Who begins a walk says so before it takes its first lock, so
    whoever takes the lock after it sees it."""
    return counter_load(&t.fixed) != 0 or counter_load(&t.steady) != 0

cdef int group_index_open(stripe_t* s, group_t* g) noexcept nogil:
    """Make the index of a group that has none."""
    cdef uint32_t bits = bits_for(g.cap)
    cdef uint32_t i
    g.heads = <uint32_t*>stripe_block(s, <size_t>4 << bits)
    g.chain = <uint64_t*>stripe_block(s, g.cap * sizeof(uint64_t))
    g.index_bits = bits
    if g.heads == NULL or g.chain == NULL:
        group_index_close(s, g)
        return ST_NO_MEMORY
    for i in range(g.used):
        if g.rows[i] != NULL:
            group_index_add(g, row_hash(g.rows[i]), i)
    return ST_OK

cdef int group_resize(stripe_t* s, group_t* g, uint32_t cap, bint still) noexcept nogil:
    """A new array of this capacity, with the holes closed unless the rows must stand still, and an index where it
    pays."""
    cdef uint64_t** rows = <uint64_t**>stripe_block(s, cap * sizeof(void*))
    cdef group_t before = g[0]
    cdef uint32_t i, n = 0
    if rows == NULL:
        return ST_NO_MEMORY
    for i in range(g.used):
        if g.rows[i] != NULL or still:
            rows[n] = g.rows[i]
            n += 1
    g.rows = rows
    g.first = g.first if still else 0
    g.used = n
    g.cap = cap
    g.heads = NULL
    g.chain = NULL
    if cap > GROUP_INDEXED and group_index_open(s, g) != ST_OK:
        stripe_unblock(s, rows, cap * sizeof(void*))
        g[0] = before
        return ST_NO_MEMORY
    group_index_close(s, &before)
    stripe_unblock(s, before.rows, before.cap * sizeof(void*))
    return ST_OK

cdef group_t* group_open(stripe_t* s) noexcept nogil:
    cdef group_t* g = <group_t*>stripe_block(s, sizeof(group_t))
    if g == NULL:
        return NULL
    if group_resize(s, g, 4, False) != ST_OK:
        stripe_unblock(s, g, sizeof(group_t))
        return NULL
    s.special += 1
    return g

cdef void group_close(stripe_t* s, group_t* g) noexcept nogil:
    group_index_close(s, g)
    stripe_unblock(s, g.rows, g.cap * sizeof(void*))
    stripe_unblock(s, g, sizeof(group_t))
    s.special -= 1

cdef int group_add(stripe_t* s, group_t* g, uint64_t* row, bint still) noexcept nogil:
    cdef uint32_t cap = g.cap if g.live <= g.cap // 2 and not still else g.cap * 2
    if g.used == g.cap and group_resize(s, g, cap, still) != ST_OK:
        return ST_NO_MEMORY
    g.rows[g.used] = row
    if g.heads != NULL:
        group_index_add(g, row_hash(row), g.used)
    g.used += 1
    g.live += 1
    return ST_OK

cdef int64_t group_find(const group_t* g, const uint64_t* row) noexcept nogil:
    """The position of a row equal to this one, or -1. A chain may lead over holes: walks that erase leave them in."""
    cdef uint64_t hash
    cdef uint32_t i
    if g.heads == NULL:
        for i in range(g.used):
            if g.rows[i] != NULL and row_equal(g.rows[i], row):
                return i
        return -1
    hash = row_hash(row)
    i = g.heads[group_chain(g, hash)]
    while i != 0:
        if g.chain[i - 1] & ~<uint64_t>0xFFFFFFFF == hash and g.rows[i - 1] != NULL and row_equal(g.rows[i - 1], row):
            return i - 1
        i = <uint32_t>g.chain[i - 1]
    return -1


# ---- keys

cdef inline uint64_t* find_live(table_t* t, stripe_t* s, const probe_t* p, uint64_t h) noexcept nogil:
    """The key's slot, or NULL; for readers, who change nothing."""
    cdef uint64_t* slot = map_find(&s.map, p, h)
    if slot != NULL and not slot_is_group(slot[0]) and row_expired(slot_pointer(slot[0])):
        return NULL
    return slot

cdef int grave_add(table_t* t, stripe_t* s, const uint64_t* row) noexcept nogil:
    """Keep a copy of a row whose only element is a key, unless that key is kept already."""
    cdef probe_t p
    cdef uint64_t* copy
    cdef int st
    row_probe(row, 0, &p)
    if s.graves == NULL:
        s.graves = <map_t*>stripe_block(s, sizeof(map_t))
        if s.graves == NULL:
            return ST_NO_MEMORY
        map_open(s.graves, t.stripe_bits, 0, &t.place)
    if map_find(s.graves, &p, map_local(s.graves, p.hash)) != NULL:
        return ST_OK
    st = map_reserve(s.graves, 1)
    if st != ST_OK:
        return st
    copy = slab_take(&s.slab, row_words(row))
    if copy == NULL:
        return ST_NO_MEMORY
    memcpy(copy, row, row_words(row) * 8)
    map_add(s.graves, map_local(s.graves, p.hash), <uint64_t>copy)
    return ST_OK

cdef int grave_dig_key(table_t* t, stripe_t* s, cell_t key, const char* base) noexcept nogil:
    """Remember that this key was deleted while the table is fixed. Without memory it is forgotten, and next() of it
    fails."""
    cdef buf_t b
    cdef uint64_t[32] home
    cdef size_t at = 0
    cdef int st
    buf_init(&b, <char*>home, sizeof(home))
    st = row_begin(&b, 1, &at)
    if st == ST_OK:
        st = row_add_term(&b, at, 0, key, base)
    if st == ST_OK:
        st = row_end(&b, at)
    if st == ST_OK:
        st = grave_add(t, s, <const uint64_t*>(b.data + at))
    buf_free(&b)
    return st

cdef int grave_dig(table_t* t, stripe_t* s, const uint64_t* row) noexcept nogil:
    """Likewise this row's key."""
    return grave_dig_key(t, s, row[1 + t.keypos], <const char*>row)

cdef void grave_open(stripe_t* s, const probe_t* p) noexcept nogil:
    """The key is back."""
    cdef uint64_t h
    cdef uint64_t* slot
    cdef uint64_t* row
    if s.graves == NULL:
        return
    h = map_local(s.graves, p.hash)
    slot = map_find(s.graves, p, h)
    if slot != NULL:
        row = slot_pointer(slot[0])
        map_remove(s.graves, h, slot)
        slab_give(&s.slab, row, row_words(row))

ctypedef void (*slot_visit_t)(table_t* t, stripe_t* s, uint64_t slot) noexcept nogil

cdef void side_each(side_t* side, slot_visit_t visit, table_t* t, stripe_t* s) noexcept nogil:
    cdef size_t i
    if side.slots == NULL or side.slots == nothing:
        return
    for i in range((<size_t>BUCKET) << side.bits):
        if side.slots[i] != 0:
            visit(t, s, side.slots[i])

cdef void slot_drop(table_t* t, stripe_t* s, uint64_t slot) noexcept nogil:
    """Free what the slot holds."""
    cdef group_t* g
    cdef uint32_t i
    if not slot_is_group(slot):
        row_drop(t, s, slot_pointer(slot))
        return
    g = slot_group(slot)
    for i in range(g.used):
        if g.rows[i] != NULL:
            row_drop(t, s, g.rows[i])
    group_close(s, g)

cdef void slot_bury(table_t* t, stripe_t* s, uint64_t slot) noexcept nogil:
    grave_dig(t, s, slot_row(slot))

cdef void grave_drop(table_t* t, stripe_t* s, uint64_t slot) noexcept nogil:
    cdef uint64_t* row = slot_pointer(slot)
    slab_give(&s.slab, row, row_words(row))

cdef void graves_close(table_t* t, stripe_t* s) noexcept nogil:
    if s.graves == NULL:
        return
    side_each(&s.graves.cur, grave_drop, t, s)
    side_each(&s.graves.nxt, grave_drop, t, s)
    map_close(s.graves)
    stripe_unblock(s, s.graves, sizeof(map_t))
    s.graves = NULL

cdef inline size_t slot_rows(uint64_t slot) noexcept nogil:
    return slot_group(slot).live if slot_is_group(slot) else 1

cdef void key_erase(table_t* t, stripe_t* s, uint64_t h, uint64_t* slot) noexcept nogil:
    """Erase a key and all its rows."""
    cdef uint64_t held = slot[0]
    if counter_load(&t.fixed) != 0:
        grave_dig(t, s, slot_row(held))
    map_remove(&s.map, h, slot)
    counter_bump(&s.rows, <uint64_t>0 - slot_rows(held))
    slot_drop(t, s, held)

cdef inline uint64_t* find_for_write(table_t* t, stripe_t* s, const probe_t* p, uint64_t h) noexcept nogil:
    """The key's slot, or NULL; a row whose time has come is erased at once."""
    cdef uint64_t* slot = map_find(&s.map, p, h)
    if slot != NULL and not slot_is_group(slot[0]) and row_expired(slot_pointer(slot[0])):
        key_erase(t, s, h, slot)
        return NULL
    return slot

cdef inline void slot_set(uint64_t* slot, const void* pointer) noexcept nogil:
    slot[0] = (<uint64_t>pointer << 16) | (slot[0] & 0xFFFF)

cdef inline int key_add(table_t* t, stripe_t* s, const probe_t* p, uint64_t h, uint64_t* row) noexcept nogil:
    """Add a key that is not there with its first row."""
    cdef int st = map_reserve(&s.map, 1)
    if st != ST_OK:
        return st
    map_add(&s.map, h, <uint64_t>row)
    counter_bump(&s.rows, 1)
    if s.graves != NULL:
        grave_open(s, p)
    return ST_OK


# ---- placing a row. The stripe is held.

cdef inline int set_store(
    table_t* t, stripe_t* s, const probe_t* p, uint64_t h, uint64_t* slot, const uint64_t* term, uint64_t deadline
) noexcept nogil:
    """Store a row in a set: in place of the one in `slot`, or as a new key where that is NULL."""
    cdef uint64_t* row
    cdef int st
    if slot != NULL:
        row = row_renew(t, s, slot_pointer(slot[0]), term, deadline)
        if row == NULL:
            return ST_NO_MEMORY
        slot_set(slot, row)
        return ST_OK
    row = row_make(t, s, term, deadline)
    if row == NULL:
        return ST_NO_MEMORY
    st = key_add(t, s, p, h, row)
    if st != ST_OK:
        row_drop(t, s, row)
    return st

cdef int bag_store(table_t* t, stripe_t* s, const probe_t* p, uint64_t h, const uint64_t* term) noexcept nogil:
    """Add a row to its key's others; in a bag only if none of them equals it."""
    cdef uint64_t* slot = map_find(&s.map, p, h)
    cdef uint64_t* row
    cdef group_t* g
    cdef int st
    cdef bint unique = t.methods == &bag_methods
    if slot != NULL and unique:
        if slot_is_group(slot[0]):
            if group_find(slot_group(slot[0]), term) >= 0:
                return ST_OK
        elif row_equal(slot_pointer(slot[0]), term):
            return ST_OK
    row = row_make(t, s, term, 0)
    if row == NULL:
        return ST_NO_MEMORY
    if slot == NULL:
        st = key_add(t, s, p, h, row)
    elif slot_is_group(slot[0]):
        st = group_add(s, slot_group(slot[0]), row, group_still(t))
        if st == ST_OK:
            counter_bump(&s.rows, 1)
    else:
        g = group_open(s)
        st = ST_OK if g != NULL else ST_NO_MEMORY
        if st == ST_OK:
            group_add(s, g, slot_pointer(slot[0]), False)
            group_add(s, g, row, False)
            slot_set(slot, <void*>(<uint64_t>g | 1))
            counter_bump(&s.rows, 1)
    if st != ST_OK:
        row_drop(t, s, row)
    return st


# ---- the method table's functions

cdef inline void sink_slot(uint64_t slot, row_sink_t sink, void* ctx) noexcept nogil:
    cdef group_t* g
    cdef uint32_t i
    if not slot_is_group(slot):
        sink(ctx, slot_pointer(slot))
        return
    g = slot_group(slot)
    for i in range(g.used):
        if g.rows[i] != NULL:
            sink(ctx, g.rows[i])

cdef int hash_get(table_t* t, const probe_t* p, row_sink_t sink, void* ctx) noexcept nogil:
    return hash_read(t, p, sink, ctx, t.stamped)

cdef inline int hash_read(
    table_t* t, const probe_t* p, row_sink_t sink, void* ctx, bint touch
) noexcept nogil:
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef uint64_t* slot
    cdef uint64_t* row
    cdef int st = ST_ABSENT
    stripe_prefetch(s, p.hash)
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    else:
        slot = find_live(t, s, p, map_local(&s.map, p.hash))
        if slot != NULL:
            if touch:
                row = slot_row(slot[0])
                row_touch(row)
            sink_slot(slot[0], sink, ctx)
            st = ST_OK
    ts_lock_release(&s.lock)
    return st

cdef int table_peek(table_t* t, const probe_t* key, row_sink_t sink, void* ctx) noexcept nogil:
    """As table_get, but it does not count as a use of the row."""
    if t.stamped:
        return hash_read(t, key, sink, ctx, False)
    return t.methods.get(t, key, sink, ctx)

cdef int hash_copy(table_t* t, const probe_t* p, uint64_t* home, size_t room) noexcept nogil:
    """Copy a key's only row to `home`. ST_CONFLICT where it has several, or one that needs more care (long, with a
    reference
    term): take the general way then."""
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef uint64_t* slot
    cdef uint64_t* row
    cdef size_t words, i
    cdef int st = ST_ABSENT
    stripe_prefetch(s, p.hash)
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    else:
        slot = map_find(&s.map, p, map_local(&s.map, p.hash))
        if slot != NULL:
            st = ST_CONFLICT
            if not slot_is_group(slot[0]):
                row = slot_pointer(slot[0])
                words = row_words(row)
                if words <= room and not (row[0] & (HAS_OBJECT | ROW_EXPIRES | ROW_STAMP)):
                    for i in range(words):
                        home[i] = row[i]
                    st = ST_OK
    ts_lock_release(&s.lock)
    return st

cdef int hash_member(table_t* t, const probe_t* p) noexcept nogil:
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef int st
    stripe_prefetch(s, p.hash)
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    else:
        st = ST_OK if find_live(t, s, p, map_local(&s.map, p.hash)) != NULL else ST_ABSENT
    ts_lock_release(&s.lock)
    return st

cdef int set_put(table_t* t, const uint64_t* row, uint64_t deadline) noexcept nogil:
    cdef probe_t p
    cdef stripe_t* s
    cdef uint64_t h
    cdef uint64_t* slot
    cdef int st
    row_probe(row, t.keypos, &p)
    s = table_stripe(t, p.hash)
    stripe_prefetch(s, p.hash)
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    else:
        h = map_local(&s.map, p.hash)
        slot = map_find(&s.map, &p, h)
        if ts_unlikely(flag_load(&knob_use) != 0) and slot != NULL and t.stamped:
            row_touch(slot_pointer(slot[0]))
        st = set_store(t, s, &p, h, slot, row, deadline)
    ts_lock_release(&s.lock)
    return st

cdef int bag_put(table_t* t, const uint64_t* row, uint64_t deadline) noexcept nogil:
    cdef probe_t p
    cdef stripe_t* s
    cdef int st
    if deadline != 0:
        return ST_TABLE_TYPE
    row_probe(row, t.keypos, &p)
    s = table_stripe(t, p.hash)
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    else:
        st = bag_store(t, s, &p, map_local(&s.map, p.hash), row)
    ts_lock_release(&s.lock)
    return st

cdef int hash_take(table_t* t, const probe_t* p, row_sink_t sink, void* ctx) noexcept nogil:
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef uint64_t h
    cdef uint64_t* slot
    cdef int st = ST_ABSENT
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    else:
        h = map_local(&s.map, p.hash)
        slot = find_for_write(t, s, p, h)
        if slot != NULL:
            if sink != NULL:
                sink_slot(slot[0], sink, ctx)
            key_erase(t, s, h, slot)
            st = ST_OK
    ts_lock_release(&s.lock)
    return st

cdef void group_take_out(table_t* t, stripe_t* s, group_t* g, uint32_t position) noexcept nogil:
    row_drop(t, s, g.rows[position])
    g.rows[position] = NULL
    g.live -= 1
    counter_bump(&s.rows, <uint64_t>-1)

cdef int group_erase(table_t* t, stripe_t* s, group_t* g, const uint64_t* row) noexcept nogil:
    """Erase all rows of a group that equal this one, in one pass over those that could."""
    cdef uint32_t before = g.live
    cdef uint32_t i, at, link = 0       # position + 1 of the last row of the chain that stays
    cdef uint64_t hash
    if g.heads == NULL:
        for i in range(g.used):
            if g.rows[i] != NULL and row_equal(g.rows[i], row):
                group_take_out(t, s, g, i)
    else:
        hash = row_hash(row)
        i = g.heads[group_chain(g, hash)]
        while i != 0:
            at = i
            i = <uint32_t>g.chain[at - 1]
            if g.rows[at - 1] == NULL or (
                g.chain[at - 1] & ~<uint64_t>0xFFFFFFFF == hash and row_equal(g.rows[at - 1], row)
            ):
                if g.rows[at - 1] != NULL:
                    group_take_out(t, s, g, at - 1)
                if link == 0:
                    g.heads[group_chain(g, hash)] = i
                else:
                    g.chain[link - 1] = (g.chain[link - 1] & ~<uint64_t>0xFFFFFFFF) | i
            else:
                link = at
    return ST_OK if g.live != before else ST_ABSENT

cdef int hash_erase(table_t* t, const uint64_t* row) noexcept nogil:
    cdef probe_t p
    cdef stripe_t* s
    cdef uint64_t h
    cdef uint64_t* slot
    cdef group_t* g
    cdef int st = ST_ABSENT
    row_probe(row, t.keypos, &p)
    s = table_stripe(t, p.hash)
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        ts_lock_release(&s.lock)
        return ST_GONE
    h = map_local(&s.map, p.hash)
    slot = find_for_write(t, s, &p, h)
    if slot == NULL:
        pass
    elif not slot_is_group(slot[0]):
        if row_equal(slot_pointer(slot[0]), row):
            key_erase(t, s, h, slot)
            st = ST_OK
    else:
        g = slot_group(slot[0])
        if g.heads == NULL and g.used > GROUP_INDEXED:
            group_index_open(s, g)      # a walk has replaced rows; without memory it takes longer
        st = group_erase(t, s, g, row)
        if st == ST_OK:
            group_settle(t, s, h, slot, row[1 + t.keypos], <const char*>row)
    ts_lock_release(&s.lock)
    return st

cdef void group_settle(
    table_t* t, stripe_t* s, uint64_t h, uint64_t* slot, cell_t key, const char* base
) noexcept nogil:
    """After rows of a group have been erased: what is to become of the rest. `key` does not stand in any of them."""
    cdef group_t* g = slot_group(slot[0])
    cdef uint64_t* last
    if g.live == 0:
        if counter_load(&t.fixed) != 0:
            grave_dig_key(t, s, key, base)
        map_remove(&s.map, h, slot)
        group_close(s, g)
        return
    while g.rows[g.first] == NULL:
        g.first += 1
    if group_still(t):
        return
    if g.live == 1:
        last = g.rows[g.first]
        slot_set(slot, last)
        group_close(s, g)
    elif g.used > 8 and g.live < g.used // 2:
        group_resize(s, g, <uint32_t>1 << bits_for(g.live + 1), False)      # without memory the holes stay

cdef int set_update(table_t* t, const probe_t* p, row_edit_t edit, void* ctx) noexcept nogil:
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef uint64_t[64] home
    cdef buf_t out
    cdef uint64_t h, deadline = 0, before
    cdef uint64_t* slot
    cdef uint64_t* old = NULL
    cdef int st
    buf_init(&out, <char*>home, sizeof(home))
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    else:
        h = map_local(&s.map, p.hash)
        slot = find_for_write(t, s, p, h)
        if slot != NULL:
            old = slot_pointer(slot[0])
            deadline = row_deadline(old)
            if t.stamped:
                row_touch(old)
        before = deadline
        st = edit(ctx, old, &out, &deadline)
        if st == ST_OK:
            if out.len > 0:
                st = set_store(t, s, p, h, slot, <const uint64_t*>out.data, deadline)
            elif old != NULL and deadline != before:
                st = set_store(t, s, p, h, slot, old, deadline)
        elif st == ST_ABSENT and slot != NULL:
            key_erase(t, s, h, slot)
            st = ST_OK
    ts_lock_release(&s.lock)
    buf_free(&out)
    return st

cdef int set_bump(table_t* t, const probe_t* p, size_t pos, int64_t by, int64_t* sum) noexcept nogil:
    """Add to an integer of a set's row where before and after fit a cell. ST_CONFLICT: nothing was done, take the
    general way."""
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef uint64_t* slot
    cdef uint64_t* row
    cdef int64_t value
    cdef int st = ST_CONFLICT
    stripe_prefetch(s, p.hash)
    ts_lock_acquire(&s.lock)
    if ts_likely(s.alive):
        slot = map_find(&s.map, p, map_local(&s.map, p.hash))
        if slot != NULL and not slot_is_group(slot[0]):
            row = slot_pointer(slot[0])
            if not (row[0] & (ROW_EXPIRES | ROW_STAMP)) and pos < row_arity(row) and cell_is_int(row[1 + pos]):
                value = term_int(row[1 + pos]) + by         # both fit 63 bits
                if fits_cell(value):
                    row[1 + pos] = cell_int(value)
                    sum[0] = value
                    st = ST_OK
    ts_lock_release(&s.lock)
    return st

cdef int bag_update(table_t* t, const probe_t* p, row_edit_t edit, void* ctx) noexcept nogil:
    return ST_TABLE_TYPE

cdef int bag_bump(table_t* t, const probe_t* p, size_t pos, int64_t by, int64_t* sum) noexcept nogil:
    return ST_CONFLICT

cdef inline bint probe_before(const map_t* m, const probe_t* p, uint64_t h, const entry_t* e) noexcept nogil:
    """Does the entry come after the probe in the order of walks?"""
    cdef const uint64_t* row
    if e.hash != h:
        return h < e.hash
    row = slot_row(e.slot)
    return not key_equal(row, m.keypos, p) and term_before(p.cell, p.base, row[1 + m.keypos], <const char*>row)

cdef inline uint64_t table_global(const table_t* t, size_t stripe, uint64_t local) noexcept nogil:
    """The hash position, table-wide, of a position in a stripe."""
    if t.stripe_bits == 0:
        return local
    return (<uint64_t>stripe << (64 - t.stripe_bits)) | (local >> t.stripe_bits)

cdef int hash_seek(table_t* t, const probe_t* after, int dir, row_sink_t sink, void* ctx) noexcept nogil:
    """Give the sink the rows of the first key, or of the one after `after`. ST_ABSENT at the end; ST_BADARG if `after`
    is not there. There is one order only, so both directions are the same."""
    cdef size_t i = 0, k
    cdef uint64_t h = 0, start = 0
    cdef stripe_t* s
    cdef entries_t found
    cdef int st = ST_ABSENT
    cdef bint bounded = after != NULL
    entries_open(&found)
    if bounded:
        i = <size_t>(table_stripe(t, after.hash) - t.stripes)
    while st == ST_ABSENT and i < table_stripes(t):
        s = &t.stripes[i]
        ts_lock_acquire(&s.lock)
        if not s.alive:
            st = ST_GONE
        else:
            if bounded:
                h = map_local(&s.map, after.hash)
                start = h
                if find_live(t, s, after, h) == NULL and (s.graves == NULL or map_find(s.graves, after, h) == NULL):
                    st = ST_BADARG
            while st == ST_ABSENT:
                if map_gather(&s.map, start, &found, &start) != ST_OK:
                    st = ST_NO_MEMORY
                    break
                for k in range(found.len):
                    if bounded and not probe_before(&s.map, after, h, &found.items[k]):
                        continue
                    if not slot_is_group(found.items[k].slot) and row_expired(slot_pointer(found.items[k].slot)):
                        continue
                    sink_slot(found.items[k].slot, sink, ctx)
                    st = ST_OK
                    break
                if start == 0:
                    break
        ts_lock_release(&s.lock)
        bounded = False
        start = 0
        i += 1
    entries_close(&found)
    return st

cdef int hash_sweep(
    table_t* t, uint64_t* cursor, uint64_t end, size_t budget, row_sink_t sink, void* ctx
) noexcept nogil:
    """Give the sink about `budget` rows from the hash position *cursor on, and before `end` (0: to the end of the
    table).

    *cursor becomes the position to go on from, 0 at the end. Holds one stripe at a time. ST_OK, ST_GONE, ST_NO_MEMORY.
    """
    cdef size_t i, k, given = 0
    cdef uint64_t local, at
    cdef stripe_t* s
    cdef entries_t found
    cdef int st = ST_OK
    entries_open(&found)
    while st == ST_OK and given < budget:
        i = (cursor[0] >> 1) >> (63 - t.stripe_bits)
        local = cursor[0] << t.stripe_bits
        s = &t.stripes[i]
        ts_lock_acquire(&s.lock)
        if not s.alive:
            st = ST_GONE
        while st == ST_OK:
            if map_gather(&s.map, local, &found, &local) != ST_OK:
                st = ST_NO_MEMORY
                break
            if local != 0:
                at = table_global(t, i, local)
            else:
                at = (<uint64_t>(i + 1) << 1) << (63 - t.stripe_bits) if i + 1 < table_stripes(t) else 0
            for k in range(found.len):
                if end != 0 and table_global(t, i, found.items[k].hash) >= end:
                    at = 0
                    break
                if not slot_is_group(found.items[k].slot) and row_expired(slot_pointer(found.items[k].slot)):
                    continue
                given += slot_rows(found.items[k].slot)
                sink_slot(found.items[k].slot, sink, ctx)
            if end != 0 and at >= end:
                at = 0
            cursor[0] = at
            if at == 0 or local == 0 or given >= budget:
                break
        ts_lock_release(&s.lock)
        if cursor[0] == 0:
            break
    entries_close(&found)
    return st


include "table_hash_scan.pxi"


cdef methods_t set_methods
cdef methods_t bag_methods
cdef methods_t duplicate_bag_methods

cdef void hash_methods(methods_t* m, const char* name, bint bag) noexcept:
    m.name = name
    m.bag = bag
    m.get = hash_get
    m.member = hash_member
    m.put = bag_put if bag else set_put
    m.take = hash_take
    m.erase = hash_erase
    m.update = bag_update if bag else set_update
    m.seek = hash_seek
    m.scan = hash_scan
    m.sweep = hash_sweep
    m.slot = hash_slot
    m.copy = hash_copy
    m.bump = bag_bump if bag else set_bump
    m.find = hash_find
    m.reserve = hash_reserve
    m.place = bag_place if bag else set_place
    m.remove = hash_remove
    m.bury = hash_bury
    m.thaw = graves_close
    m.spent = hash_spent
    m.check = hash_check
    m.release = hash_release

hash_methods(&set_methods, "set", False)
hash_methods(&bag_methods, "bag", True)
hash_methods(&duplicate_bag_methods, "duplicate_bag", True)


# ---- with the stripe held

cdef uint64_t* hash_find(table_t* t, stripe_t* s, const probe_t* p, const form_t* form) noexcept nogil:
    cdef uint64_t* slot = find_live(t, s, p, map_local(&s.map, p.hash))
    return slot_row(slot[0]) if slot != NULL else NULL

cdef int hash_reserve(table_t* t, stripe_t* s, size_t n) noexcept nogil:
    """One at a time is what a map can promise; see ops_prepare."""
    return map_reserve(&s.map, 1)

cdef int set_place(table_t* t, stripe_t* s, const probe_t* p, const form_t* form, uint64_t* made) noexcept nogil:
    cdef uint64_t h = map_local(&s.map, p.hash)
    cdef uint64_t* slot = map_find(&s.map, p, h)
    cdef uint64_t* old
    if slot == NULL:
        return key_add(t, s, p, h, made)
    old = slot_pointer(slot[0])
    slot_set(slot, made)
    row_drop(t, s, old)
    return ST_OK

cdef int bag_place(table_t* t, stripe_t* s, const probe_t* p, const form_t* form, uint64_t* made) noexcept nogil:
    """A bag may have the row already, so it copies."""
    cdef int st = bag_store(t, s, p, map_local(&s.map, p.hash), made)
    if st == ST_OK:
        row_drop(t, s, made)
    return st

cdef void hash_remove(table_t* t, stripe_t* s, const probe_t* p, const form_t* form) noexcept nogil:
    cdef uint64_t h = map_local(&s.map, p.hash)
    cdef uint64_t* slot = map_find(&s.map, p, h)
    if slot != NULL:
        key_erase(t, s, h, slot)

cdef void hash_release(table_t* t, stripe_t* s) noexcept nogil:
    if s.special != 0 or not knob_slab:
        side_each(&s.map.cur, slot_drop, t, s)
        side_each(&s.map.nxt, slot_drop, t, s)
    graves_close(t, s)
    map_close(&s.map)

cdef void hash_bury(table_t* t, stripe_t* s, stripe_t* out) noexcept nogil:
    """The keys are deleted while the table is fixed: next() of them goes on."""
    side_each(&out.map.cur, slot_bury, t, s)
    side_each(&out.map.nxt, slot_bury, t, s)
    if out.graves != NULL:
        side_each(&out.graves.cur, grave_redig, t, s)
        side_each(&out.graves.nxt, grave_redig, t, s)

cdef void grave_redig(table_t* t, stripe_t* s, uint64_t slot) noexcept nogil:
    grave_add(t, s, slot_pointer(slot))

cdef size_t hash_spent(const stripe_t* s) noexcept nogil:
    return s.map.spent + (s.graves.spent if s.graves != NULL else 0)


# ---- slots, and loading ahead

cdef int hash_slot(table_t* t, uint64_t index, row_sink_t sink, void* ctx) noexcept nogil:
    """The rows of a slot. ST_ABSENT just behind the last slot, ST_BADARG beyond."""
    cdef uint64_t bits = counter_load(&t.slot_bits) if counter_load(&t.fixed) != 0 else slot_bits_now(t)
    cdef uint64_t cursor, end
    cdef int st = ST_OK
    if index == <uint64_t>1 << bits:
        return ST_ABSENT
    if index > <uint64_t>1 << bits:
        return ST_BADARG
    cursor = (index << 1) << (63 - bits)
    end = ((index + 1) << 1) << (63 - bits) if index + 1 < <uint64_t>1 << bits else 0
    while st == ST_OK:
        st = hash_sweep(t, &cursor, end, knob_scan_rows, sink, ctx)
        if cursor == 0:
            break
    return st

cdef void table_prefetch(table_t* t, const probe_t* p) noexcept nogil:
    """Start loading the bucket of a key."""
    if t.methods.ordered:
        return
    stripe_prefetch(table_stripe(t, p.hash), p.hash)


cdef void table_prefetch_row(table_t* t, const probe_t* p) noexcept nogil:
    """Start loading the row that a lookup of this key will compare. The bucket should be there already."""
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef uint64_t h = map_local(&s.map, p.hash)
    cdef side_t* side
    cdef uint64_t* b
    cdef uint64_t tag
    cdef size_t i
    ts_lock_acquire(&s.lock)
    side = map_side(&s.map, h)
    b = side.slots + side_home(side, h) * BUCKET
    tag = side_tag(side, h)
    for i in range(BUCKET):
        if (b[i] & 0xFFFF) == tag:
            ts_prefetch(<const void*>((b[i] >> 16) & ~<uint64_t>1))
            break
    ts_lock_release(&s.lock)


# ---- self-check

cdef str hash_check(table_t* t, stripe_t* s):
    """None, or which invariant is broken. The stripe is held."""
    cdef str wrong = map_check(&s.map)
    cdef entries_t found
    cdef uint64_t start = 0, slot
    cdef size_t k, rows = 0, timed = 0, special = 0, keys = 0, graves = 0
    cdef uint32_t i
    cdef group_t* g
    cdef bint first = True
    cdef uint64_t last_hash = 0
    if wrong is None and s.graves != NULL:
        wrong = map_check(s.graves)
        graves = s.graves.count
        if counter_load(&t.fixed) == 0:
            wrong = "the table is not fixed, but keeps dead keys"
    if wrong is not None:
        return wrong
    entries_open(&found)
    while wrong is None:
        map_gather(&s.map, start, &found, &start)
        for k in range(found.len):
            slot = found.items[k].slot
            keys += 1
            if not first and found.items[k].hash < last_hash:
                wrong = "a walk does not go in the order of the hashes"
            last_hash = found.items[k].hash
            first = False
            rows += slot_rows(slot)
            if not slot_is_group(slot):
                special += row_special(slot_pointer(slot))
                timed += (slot_pointer(slot)[0] & ROW_EXPIRES) != 0
                continue
            g = slot_group(slot)
            special += 1
            if not t.methods.bag:
                wrong = "a set has a group"
            if g.live < 1:
                wrong = "a group without rows"
            if g.rows[g.first] == NULL:
                wrong = "a group's first row is not there"
            for i in range(g.used):
                if g.rows[i] == NULL:
                    continue
                special += row_special(g.rows[i])
                if t.methods == &bag_methods and group_find(g, g.rows[i]) != i:
                    wrong = "two equal rows in a bag, or the index of a group is wrong"
        if start == 0:
            break
    entries_close(&found)
    if wrong is None and keys != s.map.count:
        wrong = f"a walk meets {keys} keys of {s.map.count}"
    if wrong is None and rows != s.rows:
        wrong = f"{rows} rows, {s.rows} counted"
    if wrong is None and timed != s.timed:
        wrong = f"{timed} rows with a deadline, {s.timed} counted"
    if wrong is None and special != s.special:
        wrong = f"{special} special rows and groups, {s.special} counted"
    if wrong is None and s.wheel != NULL:
        wrong = wheel_check(s.wheel)
        if wrong is None and s.wheel.count != timed:
            wrong = f"{s.wheel.count} rows hang in the wheel, {timed} have a deadline"
    if wrong is None:
        wrong = slab_check(&s.slab, rows + graves, s.special == 0 and knob_slab)
    return wrong
