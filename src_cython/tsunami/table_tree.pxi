# ordered_set: one stripe with one lock, and in it a tree of rows in term order.
#
# The tree (wavl.pxi) knows rows and forms of keys; here it gets a lock, the memory of its rows, and a table's rules.
# Two keys are one key if their forms are equal, that is by value: 1 and 1.0, (1, 2) and (1.0, 2). So a form is made of
# every key before the lock is taken (but that of a small one by next, which seldom needs it), and under the lock
# nothing is asked of a key but bytes. The key that is *stored* is the one that came with the row: inserting replaces
# it, updating keeps it.
#
# Not here: deadlines (a row with one is ST_TABLE_TYPE), graves (next() needs no trace of a deleted key), positions of
# hashes (sweep).
#
#     stripe -> grove -> arena of nodes <- tree, and the trees that were felled and wait to be sawn up
#           \-> slab of rows
#
# What must stay true:
# 1. rows of the stripe counts the tree's rows; special counts those of them, and of the felled trees, that slab_drop
#    alone would not free.
# 2. A felled tree can be seen by nobody. Whoever felled it saws it up, in pieces under the lock; if what is in the
#    stripe is taken out meanwhile, it goes along.
# 3. Every hold of the lock is bounded: O(log n), or SAW rows, or the budget of a scan, or the rows of a call that is
#    atomic.

cdef enum:
    SAW = 512               # rows freed under one hold of the lock


# ---- the stripe's tree

cdef inline stripe_t* ordered_stripe(const table_t* t) noexcept nogil:
    return &t.stripes[0]

cdef grove_t* grove_open(table_t* t, stripe_t* s) noexcept nogil:
    """The stripe's grove, which comes into being with the first row; NULL without memory."""
    cdef grove_t* g = s.grove
    if g != NULL:
        return g
    g = <grove_t*>calloc(1, sizeof(grove_t))
    if g != NULL:
        arena_open(&g.arena)
        tree_open(&g.tree, &g.arena, t.keypos)
        s.grove = g
        held_add(block_bytes(sizeof(grove_t)))
    return g

cdef inline uint32_t grove_find(stripe_t* s, const form_t* form) noexcept nogil:
    """The node of a key, or 0."""
    return tree_find(&s.grove.tree, form) if s.grove != NULL else 0

cdef inline uint32_t grove_end(grove_t* g, int side) noexcept nogil:
    """The last node on a side, or 0. Who asks for it once does so again, or puts rows there: so it is remembered."""
    if g.tree.end[side] == 0:
        g.tree.end[side] = tree_outermost(&g.tree, g.tree.root, side)
    return g.tree.end[side]

cdef inline size_t grove_count(const stripe_t* s) noexcept nogil:
    return tree_count(&s.grove.tree) if s.grove != NULL else 0

cdef int grove_put(table_t* t, stripe_t* s, const form_t* form, uint64_t* made) noexcept nogil:
    """Store a row that was made for this stripe. If that fails it stays the caller's."""
    cdef grove_t* g = grove_open(t, s)
    cdef uint64_t* old = NULL
    cdef int st
    if g == NULL:
        return ST_NO_MEMORY
    st = tree_put(&g.tree, form, made, &old)
    if st != ST_OK:
        return st
    if old != NULL:
        row_drop(t, s, old)
    else:
        counter_bump(&s.rows, 1)
    return ST_OK

cdef int grove_store(
    table_t* t, stripe_t* s, uint32_t node, const form_t* form, const uint64_t* term
) noexcept nogil:
    """Store a copy of a term: in the place of the row at `node`, or as a new key where that is 0."""
    cdef uint64_t* row
    cdef int st
    if node != 0:
        row = row_renew(t, s, node_row(&s.grove.tree, node), term, 0)
        if row == NULL:
            return ST_NO_MEMORY
        node_set_row(&s.grove.tree, node, row)
        return ST_OK
    row = row_make(t, s, term, 0)
    if row == NULL:
        return ST_NO_MEMORY
    st = grove_put(t, s, form, row)
    if st != ST_OK:
        row_drop(t, s, row)
    return st

cdef bint grove_take(table_t* t, stripe_t* s, const form_t* form) noexcept nogil:
    """Erase a key. Was it there?"""
    cdef uint64_t* row = tree_take(&s.grove.tree, form) if s.grove != NULL else NULL
    if row == NULL:
        return False
    counter_bump(&s.rows, <uint64_t>-1)
    row_drop(t, s, row)
    return True

cdef inline void grove_wither(stripe_t* s) noexcept nogil:
    """Where the last row has gone, the nodes' memory goes, too. Not in the middle of a commit, which has counted on
    it."""
    cdef grove_t* g = s.grove
    if g != NULL and g.felled == NULL and tree_count(&g.tree) == 0:
        arena_close(&g.arena)
        held_sub(block_bytes(sizeof(grove_t)))
        free(g)
        s.grove = NULL


# ---- felled trees

cdef struct saw_t:
    table_t* table
    stripe_t* stripe

cdef void saw_row(void* ctx, uint64_t* row) noexcept nogil:
    cdef saw_t* saw = <saw_t*>ctx
    row_drop(saw.table, saw.stripe, row)

cdef void grove_saw(table_t* t) noexcept nogil:
    """Free what has been felled, in pieces."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef saw_t saw
    cdef felled_t* f
    cdef felled_t* done
    cdef bint more = True
    saw.table = t
    saw.stripe = s
    while more:
        done = NULL
        ts_lock_acquire(&s.lock)
        f = s.grove.felled if s.grove != NULL else NULL
        more = f != NULL
        if more and tree_fell(&f.tree, SAW, saw_row, &saw) == 0:
            s.grove.felled = f.next
            done = f
            held_sub(block_bytes(sizeof(felled_t)))
            grove_wither(s)
        if more:
            ts_lock_yield(&s.lock)
        else:
            ts_lock_release(&s.lock)
        free(done)

cdef int ordered_erase_span(table_t* t, const span_t* span, size_t* erased) noexcept nogil:
    """Erase all rows of a range in one step: O(log n) until nobody sees them, then O(rows) in pieces to free them."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef felled_t* f = <felled_t*>calloc(1, sizeof(felled_t))
    cdef int st = ST_OK
    erased[0] = 0
    if f == NULL:
        return ST_NO_MEMORY
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    elif s.grove != NULL:
        tree_open(&f.tree, &s.grove.arena, t.keypos)
        grove_cut(&s.grove.tree, span, &f.tree)
        erased[0] = tree_count(&f.tree)
    if erased[0] != 0:
        counter_bump(&s.rows, <uint64_t>0 - erased[0])
        f.next = s.grove.felled
        s.grove.felled = f
        f = NULL
        held_add(block_bytes(sizeof(felled_t)))
    ts_lock_release(&s.lock)
    free(f)
    if erased[0] != 0:
        grove_saw(t)
    return st


# ---- the method table's functions

cdef int ordered_get(table_t* t, const probe_t* p, row_sink_t sink, void* ctx) noexcept nogil:
    cdef stripe_t* s = ordered_stripe(t)
    cdef formed_t key
    cdef uint32_t node
    cdef int st = form_open(&key, p.cell, p.base)
    if st == ST_OK:
        ts_lock_acquire(&s.lock)
        if ts_unlikely(not s.alive):
            st = ST_GONE
        else:
            node = grove_find(s, &key.form)
            if node == 0:
                st = ST_ABSENT
            else:
                sink(ctx, node_row(&s.grove.tree, node))
        ts_lock_release(&s.lock)
    form_close(&key)
    return st

cdef int ordered_get_many(
    table_t* t, const form_t* keys, size_t n, row_sink_t sink, void* ctx, size_t* counts
) noexcept nogil:
    """The rows of up to SIDE_BY_SIDE keys at one moment; counts: 1 or 0 for each. The searches go down side by side, so
    that they wait for memory together."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef uint32_t[SIDE_BY_SIDE] nodes
    cdef size_t i
    cdef int st = ST_OK
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    else:
        if s.grove != NULL:
            tree_find_many(&s.grove.tree, keys, n, nodes)
        for i in range(n):
            counts[i] = s.grove != NULL and nodes[i] != 0
            if counts[i]:
                sink(ctx, node_row(&s.grove.tree, nodes[i]))
    ts_lock_release(&s.lock)
    return st

cdef void ordered_ahead(table_t* t, const probe_t* keys, size_t n) noexcept nogil:
    """Start loading what a search for each of these keys, up to SIDE_BY_SIDE, will read; they need not be there."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef formed_t[SIDE_BY_SIDE] formed
    cdef form_t[SIDE_BY_SIDE] forms
    cdef uint32_t[SIDE_BY_SIDE] nodes
    cdef size_t i, m = 0
    for i in range(n):
        if form_open(&formed[i], keys[i].cell, keys[i].base) == ST_OK:
            forms[m] = formed[i].form
            m += 1
    ts_lock_acquire(&s.lock)
    if s.grove != NULL:
        tree_find_many(&s.grove.tree, forms, m, nodes)
    ts_lock_release(&s.lock)
    for i in range(n):
        form_close(&formed[i])

cdef void sink_nothing(void* ctx, const uint64_t* row) noexcept nogil:
    pass

cdef int ordered_member(table_t* t, const probe_t* p) noexcept nogil:
    return ordered_get(t, p, sink_nothing, NULL)

cdef int ordered_copy(table_t* t, const probe_t* p, uint64_t* home, size_t room) noexcept nogil:
    cdef stripe_t* s = ordered_stripe(t)
    cdef formed_t key
    cdef uint32_t node
    cdef uint64_t* row
    cdef size_t words, i
    cdef int st = form_open(&key, p.cell, p.base)
    if st == ST_OK:
        ts_lock_acquire(&s.lock)
        if ts_unlikely(not s.alive):
            st = ST_GONE
        else:
            node = grove_find(s, &key.form)
            st = ST_ABSENT
            if node != 0:
                row = node_row(&s.grove.tree, node)
                words = row_words(row)
                st = ST_CONFLICT
                if words <= room and not (row[0] & HAS_OBJECT):
                    for i in range(words):
                        home[i] = row[i]
                    st = ST_OK
        ts_lock_release(&s.lock)
    form_close(&key)
    return st

cdef int ordered_put(table_t* t, const uint64_t* row, uint64_t deadline) noexcept nogil:
    cdef stripe_t* s = ordered_stripe(t)
    cdef formed_t key
    cdef uint64_t* made
    cdef int st
    if deadline != 0:
        return ST_TABLE_TYPE
    st = form_open(&key, row[1 + t.keypos], <const char*>row)
    if st == ST_OK:
        ts_lock_acquire(&s.lock)
        if ts_unlikely(not s.alive):
            st = ST_GONE
        else:
            made = row_make(t, s, row, 0)
            st = grove_put(t, s, &key.form, made) if made != NULL else ST_NO_MEMORY
            if st != ST_OK and made != NULL:
                row_drop(t, s, made)
        ts_lock_release(&s.lock)
    form_close(&key)
    return st

cdef int ordered_take(table_t* t, const probe_t* p, row_sink_t sink, void* ctx) noexcept nogil:
    cdef stripe_t* s = ordered_stripe(t)
    cdef formed_t key
    cdef uint64_t* row
    cdef int st = form_open(&key, p.cell, p.base)
    if st == ST_OK:
        ts_lock_acquire(&s.lock)
        if ts_unlikely(not s.alive):
            st = ST_GONE
        else:
            row = tree_take(&s.grove.tree, &key.form) if s.grove != NULL else NULL
            st = ST_ABSENT
            if row != NULL:
                if sink != NULL:
                    sink(ctx, row)
                counter_bump(&s.rows, <uint64_t>-1)
                row_drop(t, s, row)
                grove_wither(s)
                st = ST_OK
        ts_lock_release(&s.lock)
    form_close(&key)
    return st

cdef int grove_move(
    table_t* t, stripe_t* s, const form_t* from_form, const form_t* form, const uint64_t* term
) noexcept nogil:
    """ordered_move with the lock held. All or nothing."""
    cdef uint64_t* old
    cdef uint64_t* row
    cdef int st = ordered_reserve(t, s, 1)
    if st != ST_OK:
        return st
    old = tree_take(&s.grove.tree, from_form)
    if old == NULL:
        return grove_store(t, s, grove_find(s, form), form, term)
    row = row_renew(t, s, old, term, 0)
    counter_bump(&s.rows, <uint64_t>-1)
    if row != NULL:
        return grove_put(t, s, form, row)                       # cannot fail: there is room
    grove_put(t, s, from_form, old)
    return ST_NO_MEMORY

cdef int ordered_move(table_t* t, const probe_t* from_key, const uint64_t* row) noexcept nogil:
    """The row with the key `from_key` goes, if there is one, and this row comes: in one step, and in the same memory if
    it has that size."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef formed_t gone
    cdef formed_t key
    cdef int st = form_open(&gone, from_key.cell, from_key.base)
    cdef int st_key = form_open(&key, row[1 + t.keypos], <const char*>row)
    st = st if st != ST_OK else st_key
    if st == ST_OK:
        ts_lock_acquire(&s.lock)
        st = grove_move(t, s, &gone.form, &key.form, row) if ts_likely(s.alive) else ST_GONE
        ts_lock_release(&s.lock)
    form_close(&gone)
    form_close(&key)
    return st

cdef int ordered_pull(table_t* t, int side, row_test_t test, void* ctx) noexcept nogil:
    """Take out the last row on a side (0: the first one), without a search, if the test says so. ST_OK ST_ABSENT
    ST_GONE; ST_STOP: the test has said no."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef uint32_t node
    cdef uint64_t* row
    cdef int st = ST_OK
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    else:
        node = grove_end(s.grove, side) if s.grove != NULL else 0
        if node == 0:
            st = ST_ABSENT
        elif not test(ctx, node_row(&s.grove.tree, node)):
            st = ST_STOP
        else:
            row = tree_take_end(&s.grove.tree, side, s.grove.tree.shared)
            counter_bump(&s.rows, <uint64_t>-1)
            row_drop(t, s, row)
            grove_wither(s)
    ts_lock_release(&s.lock)
    return st

cdef int ordered_extend(table_t* t, int side, row_edit_t edit, void* ctx) noexcept nogil:
    """Put in a row that the edit makes of the last one on a side (NULL: there is none); it is meant to go beyond that
    one. ST_OK, ST_GONE, what insert/2 may answer, or what the edit did: then nothing has changed."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef uint64_t[64] home
    cdef uint64_t deadline = 0
    cdef uint32_t node
    cdef buf_t out
    cdef formed_t key
    cdef const uint64_t* row
    cdef int st
    buf_init(&out, <char*>home, sizeof(home))
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    else:
        node = grove_end(s.grove, side) if s.grove != NULL else 0
        st = edit(ctx, node_row(&s.grove.tree, node) if node else NULL, &out, &deadline)
        if st == ST_OK:
            row = <const uint64_t*>out.data
            st = form_open(&key, row[1 + t.keypos], <const char*>row)
            if st == ST_OK:
                st = grove_store(t, s, 0, &key.form, row)
            form_close(&key)
    ts_lock_release(&s.lock)
    buf_free(&out)
    return st

cdef int ordered_erase(table_t* t, const uint64_t* row) noexcept nogil:
    """The row that is this one exactly; one whose key is only equal stays."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef formed_t key
    cdef uint32_t node
    cdef int st = form_open(&key, row[1 + t.keypos], <const char*>row)
    if st == ST_OK:
        ts_lock_acquire(&s.lock)
        if ts_unlikely(not s.alive):
            st = ST_GONE
        else:
            node = grove_find(s, &key.form)
            st = ST_ABSENT
            if node != 0 and row_equal(node_row(&s.grove.tree, node), row):
                grove_take(t, s, &key.form)
                grove_wither(s)
                st = ST_OK
        ts_lock_release(&s.lock)
    form_close(&key)
    return st

cdef int ordered_edit(
    table_t* t, stripe_t* s, const form_t* form, row_edit_t edit, void* ctx, buf_t* out
) noexcept nogil:
    """ordered_update with the lock held."""
    cdef uint32_t node = grove_find(s, form)
    cdef uint64_t deadline = 0
    cdef int st = edit(ctx, node_row(&s.grove.tree, node) if node != 0 else NULL, out, &deadline)
    if st == ST_ABSENT and node != 0:
        grove_take(t, s, form)
        grove_wither(s)
        return ST_OK
    if st != ST_OK:
        return st
    if deadline != 0:
        return ST_TABLE_TYPE
    return grove_store(t, s, node, form, <const uint64_t*>out.data) if out.len > 0 else ST_OK

cdef int ordered_update(table_t* t, const probe_t* p, row_edit_t edit, void* ctx) noexcept nogil:
    cdef stripe_t* s = ordered_stripe(t)
    cdef uint64_t[64] home
    cdef buf_t out
    cdef formed_t key
    cdef int st = form_open(&key, p.cell, p.base)
    buf_init(&out, <char*>home, sizeof(home))
    if st == ST_OK:
        ts_lock_acquire(&s.lock)
        st = ordered_edit(t, s, &key.form, edit, ctx, &out) if ts_likely(s.alive) else ST_GONE
        ts_lock_release(&s.lock)
    buf_free(&out)
    form_close(&key)
    return st

cdef int ordered_bump(table_t* t, const probe_t* p, size_t pos, int64_t by, int64_t* sum) noexcept nogil:
    cdef stripe_t* s = ordered_stripe(t)
    cdef formed_t key
    cdef uint32_t node
    cdef uint64_t* row
    cdef int64_t value
    cdef int st = ST_CONFLICT
    if form_open(&key, p.cell, p.base) == ST_OK:
        ts_lock_acquire(&s.lock)
        node = grove_find(s, &key.form) if ts_likely(s.alive) else 0
        if node != 0:
            row = node_row(&s.grove.tree, node)
            if pos < row_arity(row) and cell_is_int(row[1 + pos]):
                value = term_int(row[1 + pos]) + by         # both fit 63 bits
                if fits_cell(value):
                    row[1 + pos] = cell_int(value)
                    sum[0] = value
                    st = ST_OK
        ts_lock_release(&s.lock)
    form_close(&key)
    return st


# ---- walking

# Who calls next again and again gives back the key that the last call found. So the grove remembers the node, and from
# the second of such steps on the whole way to it, as a walk: then a step needs no search, and loads memory ahead as
# every walk does. All of it holds as long as the tree's `moves` is the same.

cdef inline bint grove_stands(const table_t* t, const grove_t* g, const probe_t* start, int dir) noexcept nogil:
    """Did the last step, in the same direction, find exactly this key?"""
    cdef const uint64_t* row
    cdef cell_t c
    if g.way_node == 0 or g.way_moves != g.tree.moves or g.way_dir != dir:
        return False
    row = node_row(&g.tree, g.way_node)
    c = row[1 + t.keypos]
    if cell_is_int(c) or cell_is_int(start.cell):
        return c == start.cell
    return term_equal(start.cell, start.base, c, <const char*>row)

cdef inline bint form_is_cheap(cell_t c) noexcept nogil:
    """Its form takes no memory, and hardly longer than the lock: so it may be made where it turns out to be needed."""
    return cell_is_int(c) or (c & 0xF) == LOW_INLINE

cdef uint32_t grove_step(table_t* t, grove_t* g, const probe_t* start, formed_t* key, int dir) noexcept nogil:
    """The node next to a key in a direction, or 0."""
    cdef bint stands = grove_stands(t, g, start, dir)
    if stands and g.way_open:
        g.way_node = walk_step(&g.way)
        return g.way_node
    if form_is_cheap(start.cell):
        form_open(key, start.cell, start.base)
    if stands:
        walk_from(&g.tree, &g.way, &key.form, dir, False)
        g.way_node = walk_step(&g.way)
    else:
        g.way_node = tree_seek_key(&g.tree, &key.form, dir)
    g.way_open = stands
    g.way_dir = dir
    g.way_moves = g.tree.moves
    return g.way_node

cdef int ordered_seek(table_t* t, const probe_t* start, int dir, row_sink_t sink, void* ctx) noexcept nogil:
    """Give the sink the row next to `start`, which need not be there; ST_ABSENT at the end. From '$end_of_table' there
    is no step, as in ETS: ST_BADARG."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef formed_t key
    cdef bint formed = start != NULL and not form_is_cheap(start.cell)
    cdef uint32_t node = 0
    cdef int st = ST_OK
    if start != NULL and start.cell == cell_atom(ATOM_END_OF_TABLE):
        return ST_BADARG
    if formed:
        st = form_open(&key, start.cell, start.base)
    if st == ST_OK:
        ts_lock_acquire(&s.lock)
        if ts_unlikely(not s.alive):
            st = ST_GONE
        else:
            if s.grove != NULL and start != NULL:
                node = grove_step(t, s.grove, start, &key, dir)
            elif s.grove != NULL:
                node = grove_end(s.grove, 1 - dir)      # from the end behind, all keys are ahead
            if node == 0:
                st = ST_ABSENT
            else:
                sink(ctx, node_row(&s.grove.tree, node))
        ts_lock_release(&s.lock)
    if formed:
        form_close(&key)
    return st

cdef inline void span_low(const span_t* span, form_t* f) noexcept nogil:
    f.p = span.low
    f.n = span.low_len

cdef inline void span_high(const span_t* span, form_t* f) noexcept nogil:
    f.p = span.high
    f.n = span.high_len

cdef size_t span_start(const tree_t* tree, const span_t* span) noexcept nogil:
    """How many rows lie before the range."""
    cdef form_t f
    if span == NULL or span.low == NULL:
        return 0
    span_low(span, &f)
    return tree_rank(tree, &f, span.low_open)

cdef size_t span_end(const tree_t* tree, const span_t* span) noexcept nogil:
    """How many rows lie before the end of the range."""
    cdef form_t f
    if span == NULL or span.high == NULL:
        return tree_count(tree)
    span_high(span, &f)
    return tree_rank(tree, &f, not span.high_open)

cdef struct run_of_t:
    # Rows next to each other that a visit has given up.
    uint64_t* first
    uint64_t* last
    size_t n

cdef struct tour_t:
    # One hold of the lock by a scan.
    table_t* table
    stripe_t* stripe
    buf_t runs              # of rows to erase, which is done at the end, for nodes must stay while the walk goes on
    buf_t out
    uint64_t* last          # the row visited last
    size_t left             # rows of the range that are still to come

cdef int tour_erase(tour_t* tour, uint64_t* row, bint again) noexcept nogil:
    """Note a row to be erased; again: the one before it is as well."""
    cdef run_of_t* run
    cdef run_of_t fresh
    if again:
        run = <run_of_t*>(tour.runs.data + tour.runs.len) - 1
        run.last = row
        run.n += 1
        return ST_OK
    fresh.first = fresh.last = row
    fresh.n = 1
    return buf_append(&tour.runs, &fresh, sizeof(fresh))

cdef int tour_visit(tour_t* tour, tree_walk_t* w, size_t budget, visit_t visit, void* ctx) noexcept nogil:
    cdef tree_t* tree = &tour.stripe.grove.tree
    cdef bint erasing = False
    cdef uint32_t node
    cdef uint64_t* row
    cdef int verdict, st
    while tour.left > 0 and budget > 0:
        node = walk_step(w)
        row = node_row(tree, node)
        tour.out.len = 0
        verdict = visit(ctx, row, &tour.out)
        if verdict == V_FAIL:
            return ST_STOP
        if verdict == V_ERASE or verdict == V_ERASE_STOP:
            st = tour_erase(tour, row, erasing)
            if st != ST_OK:
                return st
            erasing = True
        else:
            erasing = False
        if verdict == V_REPLACE:
            row = row_renew(tour.table, tour.stripe, row, <const uint64_t*>tour.out.data, 0)
            if row == NULL:
                return ST_NO_MEMORY
            node_set_row(tree, node, row)
        tour.last = row
        tour.left -= 1
        budget -= 1
        if verdict == V_STOP or verdict == V_ERASE_STOP:
            break
    return ST_OK

cdef int tour_prune(tour_t* tour) noexcept nogil:
    """Erase what was noted."""
    cdef table_t* t = tour.table
    cdef stripe_t* s = tour.stripe
    cdef run_of_t* run = <run_of_t*>tour.runs.data
    cdef size_t i
    cdef formed_t first, last
    cdef span_t span
    cdef uint64_t* row
    cdef int st = ST_OK
    for i in range(tour.runs.len // sizeof(run_of_t)):
        st = form_open(&first, run[i].first[1 + t.keypos], <const char*>run[i].first)
        if st == ST_OK and run[i].n == 1:
            grove_take(t, s, &first.form)
        elif st == ST_OK:
            row = run[i].last
            st = form_open(&last, row[1 + t.keypos], <const char*>row)
            if st == ST_OK:
                span_closed(&span, &first.form, &last.form)
                grove_prune(t, s, &span)
            form_close(&last)
        form_close(&first)
        if st != ST_OK:
            break
    return st

cdef inline void span_closed(span_t* span, const form_t* low, const form_t* high) noexcept nogil:
    memset(span, 0, sizeof(span_t))
    span.low = low.p
    span.low_len = low.n
    span.high = high.p
    span.high_len = high.n

cdef void grove_prune(table_t* t, stripe_t* s, const span_t* span) noexcept nogil:
    """Erase the few rows of a range at once."""
    cdef tree_t cut
    cdef saw_t saw
    saw.table = t
    saw.stripe = s
    tree_open(&cut, &s.grove.arena, t.keypos)
    grove_cut(&s.grove.tree, span, &cut)
    counter_bump(&s.rows, <uint64_t>0 - tree_count(&cut))
    tree_fell(&cut, <size_t>-1, saw_row, &saw)

cdef void grove_cut(tree_t* tree, const span_t* span, tree_t* cut) noexcept nogil:
    """Move the rows of a range to a tree of their own."""
    cdef form_t low, high
    cdef form_t* above = NULL
    cdef form_t* below = NULL
    if span.low != NULL:
        span_low(span, &low)
        above = &low
    if span.high != NULL:
        span_high(span, &high)
        below = &high
    tree_cut(tree, above, span.low_open, below, span.high_open, cut)

cdef void tour_begin(tour_t* tour, const span_t* span, const form_t* behind, tree_walk_t* w) noexcept nogil:
    """Walk on from behind a key (NULL: from the beginning of the range), and reckon how far."""
    cdef tree_t* tree = &tour.stripe.grove.tree
    cdef size_t low = span_start(tree, span), high = span_end(tree, span), at
    cdef form_t bound
    cdef const form_t* start = NULL
    cdef bint inclusive = False
    cdef int dir = 0 if span != NULL and span.backwards else 1
    if dir == 1 and low > 0:
        span_low(span, &bound)
        start = &bound
        inclusive = not span.low_open
    elif dir == 0 and high < tree_count(tree):
        span_high(span, &bound)
        start = &bound
        inclusive = not span.high_open
    if behind != NULL:
        at = tree_rank(tree, behind, dir == 1)
        if dir == 1 and at >= low:
            low = at
            start = behind
            inclusive = False
        elif dir == 0 and at <= high:
            high = at
            start = behind
            inclusive = False
    tour.left = high - low if high > low else 0
    walk_from(tree, w, start, dir, inclusive)

cdef int ordered_scan(
    table_t* t, const span_t* span, place_t* at, size_t budget, visit_t visit, void* ctx
) noexcept nogil:
    cdef stripe_t* s = ordered_stripe(t)
    cdef tour_t tour
    cdef tree_walk_t w
    cdef formed_t behind
    cdef probe_t p
    cdef uint64_t[64] home
    cdef bint bounded = at.key.len > 0
    cdef int st = ST_OK, kept
    if at.over:
        return ST_OK
    if bounded:
        place_probe(at, &p)
        st = form_open(&behind, p.cell, p.base)
    tour.table = t
    tour.stripe = s
    tour.last = NULL
    tour.left = 0
    buf_init(&tour.runs, NULL, 0)
    buf_init(&tour.out, <char*>home, sizeof(home))
    if st == ST_OK:
        ts_lock_acquire(&s.lock)
        if ts_unlikely(not s.alive):
            st = ST_GONE
        elif s.grove != NULL:
            tour_begin(&tour, span, &behind.form if bounded else NULL, &w)
            st = tour_visit(&tour, &w, budget, visit, ctx)
            if tour.last != NULL:
                kept = place_move(at, tour.last, t.keypos)
                st = kept if st == ST_OK else st
            kept = tour_prune(&tour)
            st = kept if st == ST_OK else st
            grove_wither(s)
        if tour.left > 0:
            ts_lock_yield(&s.lock)      # the walk will be back at once
        else:
            ts_lock_release(&s.lock)
    if st == ST_OK and tour.left == 0:
        at.over = True
    buf_free(&tour.runs)
    buf_free(&tour.out)
    if bounded:
        form_close(&behind)
    return st

cdef int ordered_sweep(
    table_t* t, uint64_t* cursor, uint64_t end, size_t budget, row_sink_t sink, void* ctx
) noexcept nogil:
    """An ordered table has no positions of hashes."""
    return ST_TABLE_TYPE

cdef int ordered_slot(table_t* t, uint64_t index, row_sink_t sink, void* ctx) noexcept nogil:
    """The index-th row."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef size_t n
    cdef int st = ST_OK
    ts_lock_acquire(&s.lock)
    n = grove_count(s)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    elif index >= n:
        st = ST_ABSENT if index == n else ST_BADARG
    else:
        sink(ctx, node_row(&s.grove.tree, tree_at(&s.grove.tree, index)))
    ts_lock_release(&s.lock)
    return st

cdef int ordered_nth(table_t* t, int64_t k, row_sink_t sink, void* ctx) noexcept nogil:
    """The k-th row; a negative k counts from the end. ST_ABSENT if there are not so many."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef int64_t n
    cdef int st = ST_OK
    ts_lock_acquire(&s.lock)
    n = <int64_t>grove_count(s)
    k = k + n if k < 0 else k
    if ts_unlikely(not s.alive):
        st = ST_GONE
    elif not 0 <= k < n:
        st = ST_ABSENT
    else:
        sink(ctx, node_row(&s.grove.tree, tree_at(&s.grove.tree, <size_t>k)))
    ts_lock_release(&s.lock)
    return st

cdef int ordered_slice(
    table_t* t, int64_t k, size_t n, int dir, row_sink_t sink, void* ctx
) noexcept nogil:
    """Give the sink up to n rows from the k-th on, under one hold of the lock. ST_OK ST_GONE."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef tree_walk_t w
    cdef uint32_t node
    cdef int st = ST_OK
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    elif 0 <= k < <int64_t>grove_count(s):
        walk_at(&s.grove.tree, &w, <size_t>k, dir)
        while n > 0:
            node = walk_step(&w)
            if node == 0:
                break
            sink(ctx, node_row(&s.grove.tree, node))
            n -= 1
    ts_lock_release(&s.lock)
    return st

cdef int ordered_rank(table_t* t, const probe_t* p, size_t* rank) noexcept nogil:
    """How many rows come before this key, which need not be there."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef formed_t key
    cdef int st = form_open(&key, p.cell, p.base)
    rank[0] = 0
    if st == ST_OK:
        ts_lock_acquire(&s.lock)
        if ts_unlikely(not s.alive):
            st = ST_GONE
        elif s.grove != NULL:
            rank[0] = tree_rank(&s.grove.tree, &key.form, False)
        ts_lock_release(&s.lock)
    form_close(&key)
    return st

cdef int table_seek(table_t* t, const probe_t* start, int dir, row_sink_t sink, void* ctx) noexcept nogil:
    return t.methods.seek(t, start, dir, sink, ctx)

cdef int ordered_count(table_t* t, const span_t* span, size_t* before, size_t* within) noexcept nogil:
    """How many rows lie before a range, and how many in it."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef size_t end
    cdef int st = ST_OK
    before[0] = within[0] = 0
    ts_lock_acquire(&s.lock)
    if ts_unlikely(not s.alive):
        st = ST_GONE
    elif s.grove != NULL:
        before[0] = span_start(&s.grove.tree, span)
        end = span_end(&s.grove.tree, span)
        within[0] = end - before[0] if end > before[0] else 0
    ts_lock_release(&s.lock)
    return st


# ---- several rows in one step

cdef struct sapling_t:
    # A row on its way into the tree.
    form_t form
    size_t form_at
    const uint64_t* term
    uint64_t* made
    size_t turn             # of two rows with one key the later one wins

cdef inline int forms_order(const form_t* a, const form_t* b) noexcept nogil:
    cdef int order = memcmp(a.p, b.p, a.n if a.n < b.n else b.n)
    if order != 0:
        return order
    return (a.n > b.n) - (a.n < b.n)

cdef int sapling_order(const void* a, const void* b) noexcept nogil:
    cdef const sapling_t* x = <const sapling_t*>a
    cdef const sapling_t* y = <const sapling_t*>b
    cdef int order = forms_order(&x.form, &y.form)
    if order != 0:
        return order
    return (x.turn > y.turn) - (x.turn < y.turn)

cdef size_t saplings_sort(sapling_t* items, size_t n) noexcept nogil:
    """Put them in ascending order, each key once. Their number then."""
    cdef size_t i = 1, m = 0
    while i < n and forms_order(&items[i - 1].form, &items[i].form) < 0:
        i += 1
    if i >= n:
        return n                # as lists that were written by a program mostly are
    qsort(items, n, sizeof(sapling_t), sapling_order)
    for i in range(n):
        if m > 0 and forms_order(&items[m - 1].form, &items[i].form) == 0:
            m -= 1
        items[m] = items[i]
        m += 1
    return m

cdef int saplings_make(table_t* t, const uint64_t** rows, size_t n, sapling_t* items, buf_t* forms) noexcept nogil:
    cdef size_t i
    cdef int st
    for i in range(n):
        items[i].term = rows[i]
        items[i].made = NULL
        items[i].turn = i
        items[i].form_at = forms.len
        st = form_add(forms, rows[i][1 + t.keypos], <const char*>rows[i], &items[i].form.n)
        if st != ST_OK:
            return st
    for i in range(n):
        items[i].form.p = forms.data + items[i].form_at
    return ST_OK

cdef bint grove_beyond(const stripe_t* s, const form_t* form) noexcept nogil:
    """Does this key come after all that are there?"""
    return s.grove == NULL or tree_seek(&s.grove.tree, form, 1, True) == 0

cdef int grove_append(stripe_t* s, sapling_t* items, size_t n) noexcept nogil:
    """Rows in ascending order that come after all others: a tree of their own, and then one tree with it. O(n)."""
    cdef tree_t more
    cdef uint64_t** rows = <uint64_t**>malloc(n * sizeof(void*))
    cdef size_t i
    cdef int st = ST_NO_MEMORY
    if rows == NULL:
        return st
    for i in range(n):
        rows[i] = items[i].made
    tree_open(&more, &s.grove.arena, s.grove.tree.keypos)
    st = tree_build(&more, rows, n)
    free(rows)
    if st != ST_OK:
        return st
    tree_join(&s.grove.tree, &more)
    counter_bump(&s.rows, n)
    for i in range(n):
        items[i].made = NULL
    return ST_OK

cdef int saplings_plant(table_t* t, stripe_t* s, sapling_t* items, size_t n) noexcept nogil:
    """All or none; the lock is held. What has not been planted is the caller's to drop."""
    cdef size_t i
    cdef int st
    for i in range(n):
        items[i].made = row_make(t, s, items[i].term, 0)
        if items[i].made == NULL:
            return ST_NO_MEMORY
    st = ordered_reserve(t, s, n)
    if st != ST_OK:
        return st
    if n > 1 and grove_beyond(s, &items[0].form):
        return grove_append(s, items, n)
    for i in range(n):
        grove_put(t, s, &items[i].form, items[i].made)         # cannot fail: there is room
        items[i].made = NULL
    return ST_OK

cdef int ordered_put_many(table_t* t, const uint64_t** rows, size_t n, bint only_new) noexcept nogil:
    """Sorted first, so that neighbours follow each other, and rows that come after all others need no search."""
    cdef stripe_t* s = ordered_stripe(t)
    cdef sapling_t* items = <sapling_t*>malloc((n + 1) * sizeof(sapling_t))
    cdef buf_t forms
    cdef size_t i, m = 0
    cdef int st
    if items == NULL:
        return ST_NO_MEMORY
    buf_init(&forms, NULL, 0)
    st = saplings_make(t, rows, n, items, &forms)
    if st == ST_OK:
        m = saplings_sort(items, n)
        ts_lock_acquire(&s.lock)
        if ts_unlikely(not s.alive):
            st = ST_GONE
        elif only_new:
            for i in range(m):
                if grove_find(s, &items[i].form) != 0:
                    st = ST_EXISTS
                    break
        if st == ST_OK:
            st = saplings_plant(t, s, items, m)
            for i in range(m):
                if items[i].made != NULL:
                    row_drop(t, s, items[i].made)
        ts_lock_release(&s.lock)
    free(items)
    buf_free(&forms)
    return st


# ---- with the lock held

cdef uint64_t* ordered_find(table_t* t, stripe_t* s, const probe_t* p, const form_t* form) noexcept nogil:
    cdef uint32_t node = grove_find(s, form)
    return node_row(&s.grove.tree, node) if node != 0 else NULL

cdef int ordered_reserve(table_t* t, stripe_t* s, size_t n) noexcept nogil:
    cdef grove_t* g = grove_open(t, s)
    return tree_reserve(&g.tree, n) if g != NULL else ST_NO_MEMORY

cdef int ordered_place(table_t* t, stripe_t* s, const probe_t* p, const form_t* form, uint64_t* made) noexcept nogil:
    return grove_put(t, s, form, made)

cdef void ordered_remove(table_t* t, stripe_t* s, const probe_t* p, const form_t* form) noexcept nogil:
    grove_take(t, s, form)

cdef void ordered_bury(table_t* t, stripe_t* s, stripe_t* out) noexcept nogil:
    """Nothing: in an ordered table next() needs no key that is there."""

cdef void ordered_thaw(table_t* t, stripe_t* s) noexcept nogil:
    """Nothing, likewise."""

cdef size_t ordered_spent(const stripe_t* s) noexcept nogil:
    cdef felled_t* f
    cdef size_t n
    if s.grove == NULL:
        return 0
    n = block_bytes(sizeof(grove_t)) + s.grove.arena.spent
    f = s.grove.felled
    while f != NULL:
        n += block_bytes(sizeof(felled_t))
        f = f.next
    return n

cdef void ordered_release(table_t* t, stripe_t* s) noexcept nogil:
    """Rows go with the slab's pages; one by one only where they hold more than their room."""
    cdef grove_t* g = s.grove
    cdef felled_t* f
    cdef saw_t saw
    if g == NULL:
        return
    saw.table = t
    saw.stripe = s
    while g.felled != NULL:
        f = g.felled
        g.felled = f.next
        if s.special != 0 or not knob_slab:
            tree_fell(&f.tree, <size_t>-1, saw_row, &saw)
        held_sub(block_bytes(sizeof(felled_t)))
        free(f)
    if s.special != 0 or not knob_slab:
        tree_fell(&g.tree, <size_t>-1, saw_row, &saw)
    arena_close(&g.arena)
    held_sub(block_bytes(sizeof(grove_t)))
    free(g)
    s.grove = NULL


# ---- self-check

cdef str grove_check(tree_t* tree, size_t* special):
    """Count what is special; the rows carry nothing that an ordered table's do not."""
    cdef tree_walk_t w
    cdef size_t i
    cdef uint64_t* row
    walk_from(tree, &w, NULL, 1, False)
    for i in range(tree_count(tree)):
        row = node_row(tree, walk_step(&w))
        special[0] += row_special(row)
        if row[0] & (ROW_EXPIRES | ROW_STAMP):
            return "a row of an ordered table with a deadline or a stamp"
    return None

cdef str ordered_check(table_t* t, stripe_t* s):
    """None, or which invariant is broken. The lock is held."""
    cdef size_t special = 0, rows
    cdef felled_t* f
    cdef str wrong
    if s.grove == NULL:
        return None if s.rows == 0 and s.special == 0 else f"no tree, but {s.rows} rows counted"
    wrong = tree_check(&s.grove.tree)
    if wrong is None:
        wrong = grove_check(&s.grove.tree, &special)
    rows = tree_count(&s.grove.tree)
    if wrong is None and rows != s.rows:
        wrong = f"{rows} rows, {s.rows} counted"
    f = s.grove.felled
    while wrong is None and f != NULL:
        wrong = grove_check(&f.tree, &special)
        rows += tree_count(&f.tree)
        f = f.next
    if wrong is None and special != s.special:
        wrong = f"{special} special rows, {s.special} counted"
    if wrong is None and s.timed != 0:
        wrong = f"{s.timed} rows with a deadline counted in an ordered table"
    if wrong is None:
        wrong = slab_check(&s.slab, rows, s.special == 0 and knob_slab)
    return wrong


cdef methods_t ordered_methods

cdef void ordered_setup(methods_t* m, const char* name) noexcept:
    m.name = name
    m.bag = False
    m.ordered = True
    m.get = ordered_get
    m.member = ordered_member
    m.put = ordered_put
    m.take = ordered_take
    m.erase = ordered_erase
    m.update = ordered_update
    m.seek = ordered_seek
    m.scan = ordered_scan
    m.sweep = ordered_sweep
    m.slot = ordered_slot
    m.put_many = ordered_put_many
    m.copy = ordered_copy
    m.bump = ordered_bump
    m.find = ordered_find
    m.reserve = ordered_reserve
    m.place = ordered_place
    m.remove = ordered_remove
    m.bury = ordered_bury
    m.thaw = ordered_thaw
    m.spent = ordered_spent
    m.check = ordered_check
    m.release = ordered_release

ordered_setup(&ordered_methods, "ordered_set")
