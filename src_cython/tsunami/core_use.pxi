# What rows need and when somebody asked for them last: for OBJECT and MEMORY, and for those who have to choose which
# row is to go when memory is short (tsunami_server.eviction).

def idle_seconds(Table table not None, key, /):
    """Seconds since the last access to a key of a keyspace, to the second; None if it is not there."""
    cdef packed_key_t k
    cdef uint64_t word = 0
    cdef int st
    table.live()
    key_open(key, &k)
    st = stamp_peek(table.t, &k.probe, &word)
    key_close(&k)
    if st == ST_ABSENT:
        return None
    check(table, st, key)
    return max(0, <int64_t>clock_stamp() - <int64_t><uint32_t>word)


cdef int stamp_peek(table_t* t, const probe_t* p, uint64_t* word) noexcept nogil:
    """The stamp word, without being an access."""
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef uint64_t* slot
    cdef uint64_t* row
    cdef int st = ST_ABSENT
    ts_lock_acquire(&s.lock)
    slot = find_live(t, s, p, map_local(&s.map, p.hash))
    if slot != NULL:
        row = slot_row(slot[0])
        word[0] = row_stamp_word(row)[0] if row[0] & ROW_STAMP else 0
        st = ST_OK
    ts_lock_release(&s.lock)
    return st


def memory_of(Table table not None, key, /):
    """Bytes that a key's rows take, its slot included; None if it is not there."""
    cdef packed_key_t k
    cdef size_t n = 0
    cdef int st
    table.live()
    key_open(key, &k)
    st = memory_peek(table.t, &k.probe, &n)
    key_close(&k)
    if st == ST_ABSENT:
        return None
    check(table, st, key)
    return n


cdef int memory_peek(table_t* t, const probe_t* p, size_t* n) noexcept nogil:
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef uint64_t* slot
    cdef group_t* g
    cdef uint32_t i
    cdef int st = ST_ABSENT
    ts_lock_acquire(&s.lock)
    slot = find_live(t, s, p, map_local(&s.map, p.hash))
    if slot != NULL:
        n[0] = sizeof(uint64_t)
        if slot_is_group(slot[0]):
            g = slot_group(slot[0])
            n[0] += block_bytes(sizeof(group_t)) + block_bytes(g.cap * sizeof(void*))
            if g.heads != NULL:
                n[0] += block_bytes(<size_t>4 << g.index_bits) + block_bytes(g.cap * sizeof(uint64_t))
            for i in range(g.used):
                if g.rows[i] != NULL:
                    n[0] += row_spent(g.rows[i])
        else:
            n[0] += row_spent(slot_pointer(slot[0]))
        st = ST_OK
    ts_lock_release(&s.lock)
    return st

cdef size_t row_spent(uint64_t* row) noexcept nogil:
    cdef size_t words = row_words(row)
    if words > CLASS_MAX or not knob_slab:
        return block_bytes(words * 8)
    return <size_t>class_words[class_of[words]] * 8


# ---- memory as a limit, and who is to go

cdef uint64_t memory_used() noexcept nogil:
    """Bytes that the rows of all tables need, and the tables themselves: what is held without what is idle in pages.

    Exact while the slabs are metered.
    """
    cdef uint64_t idle = counter_load(&idle_held)
    return counter_load(&held) - idle


def memory_meter(bint on, /):
    """Keep memory() cheap to ask, at the price of one atomic addition for each row stored or erased.

    Turning it off is for new tables only.
    """
    flag_store(&metering, 1 if on else 0)
    if on:
        for table in live_tables():
            table_meter((<Table>table).t)


def memory():
    """Bytes in use by all tables of the process, and bytes that they hold: the pages of rows have idle room besides.

    The first is what a limit of memory means: what tables would hold if their pages were full.
    """
    cdef uint64_t used = memory_used()
    cdef uint64_t idle = 0
    if not flag_load(&metering):
        for table in live_tables():
            idle += table_idle((<Table>table).t)
        used = counter_load(&held) - idle
    return used, counter_load(&held)


def use_counting(bint on, uint64_t factor=10, uint64_t decay_minutes=1, /):
    """Count how often rows of keyspaces are used; see table.pxi for the counter."""
    counter_store(&knob_use_factor, factor)
    counter_store(&knob_use_decay, decay_minutes)
    flag_store(&knob_use, 1 if on else 0)


def quiet(bint on, /):
    """Let accesses leave no traces, neither the time nor a count, until this is called with False."""
    flag_store(&knob_quiet, 1 if on else 0)


cdef struct sampled_t:
    buf_t buf
    size_t n
    size_t want
    size_t met
    size_t keypos
    bint timed              # only rows with a deadline
    bint failed

cdef void sample_sink(void* ctx, const uint64_t* row) noexcept nogil:
    """Copy the key, and behind it the stamp word and the deadline."""
    cdef sampled_t* s = <sampled_t*>ctx
    cdef uint64_t figures[2]
    cdef size_t at = 0
    cdef int st
    s.met += 1
    if s.n == s.want or s.failed or (s.timed and not row[0] & ROW_EXPIRES):
        return
    figures[0] = row_stamp_word(<uint64_t*>row)[0] if row[0] & ROW_STAMP else 0
    figures[1] = row_deadline(row)
    st = row_begin(&s.buf, 1, &at)
    if st == ST_OK:
        st = row_add_term(&s.buf, at, 0, row_cell(row, s.keypos), <const char*>row)
    if st == ST_OK:
        st = row_end(&s.buf, at)
    if st == ST_OK:
        st = buf_append(&s.buf, figures, sizeof(figures))
    s.failed = st != ST_OK
    s.n += not s.failed

cdef void sample_timed(table_t* t, size_t first, sampled_t* s) noexcept nogil:
    """Rows with a deadline where they are few: out of the wheels, from the stripe `first` on."""
    cdef size_t i, k, at
    cdef stripe_t* stripe
    cdef uint64_t* row
    for i in range(table_stripes(t)):
        if s.n == s.want:
            return
        stripe = &t.stripes[(first + i) & (table_stripes(t) - 1)]
        if counter_load(&stripe.timed) == 0:
            continue
        ts_lock_acquire(&stripe.lock)
        for k in range(WHEEL_LEVELS * 64):
            at = (k + first) % (WHEEL_LEVELS * 64)
            row = stripe.wheel.slots[at >> 6][at & 63] if stripe.wheel != NULL else NULL
            while row != NULL and s.n < s.want:
                if not row_expired(row):
                    sample_sink(s, row)
                row = timer_next(row)[0]
        ts_lock_release(&stripe.lock)


def sample(Table table not None, size_t count, bint timed, /):
    """About `count` rows from somewhere, without touching them: (key, idle seconds, use counter, deadline or 0).

    `timed`: only rows that have a deadline. Fewer, where there are fewer.
    """
    cdef sampled_t s
    cdef uint64_t at = _random.getrandbits(64)
    cdef uint64_t random = at
    cdef size_t i, tries
    cdef uint64_t* figures
    cdef const uint64_t* row
    cdef list out = []
    cdef int st = ST_OK
    table.live()
    if table.t.methods.ordered or table.t.methods.bag:
        raise fail(table, ST_TABLE_TYPE, "sample")
    buf_init(&s.buf, NULL, 0)
    s.n = s.met = 0
    s.want = count
    s.keypos = table.t.keypos
    s.timed = timed
    s.failed = False
    with nogil:
        tries = 0
        while s.n < s.want and tries < 16 and st == ST_OK and not s.failed:
            st = table.t.methods.sweep(table.t, &at, 0, count - s.n, sample_sink, &s)
            tries += 1
            if at == 0 and tries < 8:
                tries = 8           # round the end, once
            elif at == 0:
                break
        if s.n == 0 and timed and st == ST_OK:
            sample_timed(table.t, random & (table_stripes(table.t) - 1), &s)
    i = 0
    try:
        while i < s.buf.len and not s.failed:
            row = <const uint64_t*>(s.buf.data + i)
            i += row_bytes(row)
            figures = <uint64_t*>(s.buf.data + i)
            i += 16
            if len(out) < <Py_ssize_t>s.n and not row[0] & HAS_OBJECT:
                out.append((
                    decode_cell(row_cell(row, 0), <const char*>row, <void*>table),
                    max(0, <int64_t>clock_stamp() - <int64_t><uint32_t>figures[0]),
                    use_decayed(<uint32_t>(figures[0] >> 32)),
                    figures[1],
                ))
    finally:
        buf_free(&s.buf)
    if s.failed:
        raise MemoryError
    check(table, st, "sample")
    return out


def use_of(Table table not None, key, /):
    """How often a key of a keyspace was used of late, by Redis's logarithmic counter; None if it is not there."""
    cdef packed_key_t k
    cdef uint64_t word = 0
    cdef int st
    table.live()
    key_open(key, &k)
    st = stamp_peek(table.t, &k.probe, &word)
    key_close(&k)
    if st == ST_ABSENT:
        return None
    check(table, st, key)
    return use_decayed(<uint32_t>(word >> 32))


def use_set(Table table not None, key, idle_s, counter, /):
    """Say when a key of a keyspace was used last and how often (None: leave it); whether it is there. For RESTORE."""
    cdef packed_key_t k
    cdef stripe_t* s
    cdef uint64_t* slot
    cdef uint64_t* word
    cdef uint64_t idle = idle_s or 0
    cdef uint64_t uses = counter or 0
    cdef bint found = False
    table.live()
    key_open(key, &k)
    s = table_stripe(table.t, k.probe.hash)
    ts_lock_acquire(&s.lock)
    slot = find_live(table.t, s, &k.probe, map_local(&s.map, k.probe.hash))
    if slot != NULL and table.t.stamped:
        found = True
        word = row_stamp_word(slot_row(slot[0]))
        if idle_s is not None:
            (<uint32_t*>word)[0] = clock_stamp() - <uint32_t>idle
        if counter is not None:
            (<uint32_t*>word)[1] = use_minutes() << 16 | (<uint32_t>uses & 0xFF)
    ts_lock_release(&s.lock)
    key_close(&k)
    return found


def random_row(Table table not None, /):
    """Some row, or None if the table is empty."""
    cdef uint64_t at = _random.getrandbits(64)
    cdef list rows
    table.live()
    if len(table) == 0:
        return None
    rows = table.scan(&at, 1)
    while not rows and at != 0:
        rows = table.scan(&at, 1)
    if not rows:
        at = 0
        rows = table.scan(&at, 1)
        while not rows and at != 0:
            rows = table.scan(&at, 1)
    return _random.choice(rows) if rows else None
