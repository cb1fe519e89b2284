# What is done to a table as a whole, or to several keys in one step, whatever the types of the tables.
#
# It goes by the method table only: by those of its functions that work on a stripe that is held. It is not where a row
# finds its place; that is the floors' above.
#
# What must stay true:
# 1. Stripes are taken by lock_all and lock_set only; two whole tables in the order of their ids.
# 2. A commit takes all memory that it needs before it changes anything.
# 3. What is freed in bulk is taken out under the lock, and freed when the lock has been let go.


# ---- the whole table

cdef void stripe_free(table_t* t, stripe_t* s) noexcept nogil:
    """Free what was taken out of a stripe. No lock is needed: nobody else knows of it."""
    t.methods.release(t, s)
    slab_drop(&s.slab)
    if s.wheel != NULL:
        held_sub(block_bytes(sizeof(wheel_t)))
        free(s.wheel)

cdef int stripes_empty(table_t* t, bint dead) noexcept nogil:
    """Empty the table in one step; with `dead`, for ever."""
    cdef size_t n = table_stripes(t)
    cdef size_t i
    cdef stripe_t* out = <stripe_t*>calloc(n, sizeof(stripe_t))
    cdef int st = ST_OK
    if out == NULL:
        return ST_NO_MEMORY
    lock_all(t)
    if not t.stripes[0].alive:
        st = ST_GONE
    for i in range(n):
        stripe_open(t, &out[i])
        stripe_assume(&out[i], &t.stripes[i])
        stripe_reset(&t.stripes[i])
        if dead:
            t.stripes[i].alive = 0
        elif counter_load(&t.fixed) != 0:
            t.methods.bury(t, &t.stripes[i], &out[i])
    unlock_all(t)
    for i in range(n):
        stripe_free(t, &out[i])
    free(out)
    return st

cdef int table_clear(table_t* t) noexcept nogil:
    return stripes_empty(t, False)

cdef int table_drop(table_t* t) noexcept nogil:
    """Delete the table: it is empty and refuses everything from now on. ST_GONE if it was deleted before."""
    cdef int st = table_retire(t)
    return stripes_empty(t, True) if st == ST_OK else st

cdef size_t table_memory(table_t* t) noexcept nogil:
    """Bytes: the structs, the slots, the pages and blocks of rows."""
    cdef size_t i, n
    n = block_bytes(sizeof(table_t)) + block_bytes(table_stripes(t) * sizeof(stripe_t)) + t.objects.spent
    for i in range(table_stripes(t)):
        ts_lock_acquire(&t.stripes[i].lock)
        n += t.stripes[i].slab.spent + t.methods.spent(&t.stripes[i])
        ts_lock_release(&t.stripes[i].lock)
    return n

cdef uint64_t table_idle(table_t* t) noexcept nogil:
    """Bytes of the pages that no row takes up, as a figure."""
    cdef size_t i
    cdef uint64_t n = 0
    for i in range(table_stripes(t)):
        n += counter_load(&t.stripes[i].slab.idle)
    return n

cdef void table_meter(table_t* t) noexcept nogil:
    """Count what is idle in `idle_held` from now on."""
    cdef size_t i
    for i in range(table_stripes(t)):
        ts_lock_acquire(&t.stripes[i].lock)
        slab_meter(&t.stripes[i].slab)
        ts_lock_release(&t.stripes[i].lock)

cdef uint32_t slot_bits_now(table_t* t) noexcept nogil:
    """As many slots as there are about four rows each: a slot is a range of hashes."""
    return bits_for(table_len(t) // 4 + 1)

cdef void table_fix(table_t* t, bint on) noexcept nogil:
    """One fixation more or less (never below none). The last one to go lets the dead keys go."""
    cdef size_t i
    lock_all(t)
    if on:
        if t.fixed == 0:
            counter_store(&t.slot_bits, slot_bits_now(t))
        counter_bump(&t.fixed, 1)
    elif t.fixed > 0:
        counter_bump(&t.fixed, <uint64_t>-1)
        if t.fixed == 0:
            for i in range(table_stripes(t)):
                t.methods.thaw(t, &t.stripes[i])
    unlock_all(t)

cdef size_t table_expire(
    table_t* t, uint64_t now, size_t budget, uint64_t* lateness, row_sink_t sink, void* ctx
) noexcept nogil:
    """Erase about `budget` rows that are due, and show each to `sink` (if not NULL) before it goes."""
    cdef size_t i, erased = 0
    cdef stripe_t* s
    cdef uint64_t* row
    cdef probe_t p
    for i in range(table_stripes(t)):
        s = &t.stripes[i]
        if counter_load(&s.timed) == 0:
            continue
        ts_lock_acquire(&s.lock)
        while s.wheel != NULL and erased < budget:
            wheel_turn(s.wheel, now)
            row = s.wheel.due
            if row == NULL:
                break
            if now > timer_deadline(row) and now - timer_deadline(row) > lateness[0]:
                lateness[0] = now - timer_deadline(row)
            row_probe(row, t.keypos, &p)
            if sink != NULL:
                sink(ctx, row)
            t.methods.remove(t, s, &p, NULL)
            erased += 1
        ts_lock_release(&s.lock)
        if erased >= budget:
            break
    return erased


# ---- several keys at once

cdef struct op_t:
    # One step of a commit, or one row of an atomic insert.
    table_t* table
    probe_t key
    const uint64_t* row     # to be there or to be stored; NULL: no row, or erase
    uint64_t deadline
    uint64_t* made
    size_t form_at          # ordered tables: where the key's form begins
    form_t form

cdef inline void op_lockee(const op_t* op, lockee_t* l) noexcept nogil:
    l.table_id = op.table.id
    l.stripe = table_stripe(op.table, op.key.hash)
    l.index = <size_t>(l.stripe - op.table.stripes)

cdef inline stripe_t* op_stripe(const op_t* op) noexcept nogil:
    return table_stripe(op.table, op.key.hash)

cdef int ops_form(op_t* ops, size_t n, buf_t* forms) noexcept nogil:
    """Append the forms of the keys of ordered tables."""
    cdef size_t i
    cdef int st
    for i in range(n):
        if not ops[i].table.methods.ordered:
            continue
        if ops[i].deadline != 0:
            return ST_TABLE_TYPE
        ops[i].form_at = forms.len
        st = form_add(forms, ops[i].key.cell, ops[i].key.base, &ops[i].form.n)
        if st != ST_OK:
            return st
    return ST_OK

cdef void ops_formed(op_t* ops, size_t n, const buf_t* forms) noexcept nogil:
    """The forms do not move any more."""
    cdef size_t i
    for i in range(n):
        if ops[i].table.methods.ordered:
            ops[i].form.p = forms.data + ops[i].form_at

cdef int ops_prepare(op_t* ops, size_t n) noexcept nogil:
    """Take the memory for all rows to be stored, before anything is changed: after this nothing fails for want of it
    but a map's last slot. The stripes are held."""
    cdef size_t i
    for i in range(n):
        ops[i].made = NULL
    for i in range(n):
        if ops[i].row == NULL:
            continue
        ops[i].made = row_make(ops[i].table, op_stripe(&ops[i]), ops[i].row, ops[i].deadline)
        if ops[i].made == NULL or ops[i].table.methods.reserve(ops[i].table, op_stripe(&ops[i]), n) != ST_OK:
            ops_forget(ops, n)
            return ST_NO_MEMORY
    return ST_OK

cdef void ops_forget(op_t* ops, size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        if ops[i].made != NULL:
            row_drop(ops[i].table, op_stripe(&ops[i]), ops[i].made)
            ops[i].made = NULL

cdef int op_apply(op_t* op) noexcept nogil:
    """Store the row that was made, or erase the key."""
    cdef table_t* t = op.table
    cdef int st
    if op.made == NULL:
        t.methods.remove(t, op_stripe(op), &op.key, &op.form)
        return ST_OK
    st = t.methods.place(t, op_stripe(op), &op.key, &op.form, op.made)
    if st == ST_OK:
        op.made = NULL
    return st

cdef bint op_holds(const op_t* op) noexcept nogil:
    """Is the key's row what it is expected to be?"""
    cdef uint64_t* row = op.table.methods.find(op.table, op_stripe(op), &op.key, &op.form)
    if row == NULL or op.row == NULL:
        return row == NULL and op.row == NULL
    return row_equal(row, op.row) and row_deadline(row) == op.deadline

cdef int ops_check(op_t* checks, size_t n_checks, op_t* steps, size_t n_steps, bint only_new) noexcept nogil:
    """May the steps be taken? The stripes are held."""
    cdef size_t i
    for i in range(n_checks):
        if not op_holds(&checks[i]):
            return ST_CONFLICT
    if only_new:
        for i in range(n_steps):
            if steps[i].table.methods.find(steps[i].table, op_stripe(&steps[i]), &steps[i].key, &steps[i].form) != NULL:
                return ST_EXISTS
    return ST_OK

cdef int ops_commit(op_t* checks, size_t n_checks, op_t* steps, size_t n_steps, bint only_new) noexcept nogil:
    """All or nothing, isolated: if every check holds, take every step, in order. ST_CONFLICT if one does not.

    With only_new the steps' keys must be absent before the first one (ST_EXISTS).
    """
    cdef size_t n = n_checks + n_steps
    cdef lockee_t* set
    cdef buf_t forms
    cdef size_t i, held
    cdef int st
    buf_init(&forms, NULL, 0)
    st = ops_form(checks, n_checks, &forms)
    if st == ST_OK:
        st = ops_form(steps, n_steps, &forms)
    set = <lockee_t*>malloc((n + 1) * sizeof(lockee_t)) if st == ST_OK else NULL
    if set == NULL:
        buf_free(&forms)
        return st if st != ST_OK else ST_NO_MEMORY
    ops_formed(checks, n_checks, &forms)
    ops_formed(steps, n_steps, &forms)
    for i in range(n_checks):
        op_lockee(&checks[i], &set[i])
    for i in range(n_steps):
        op_lockee(&steps[i], &set[n_checks + i])
    held = lock_set(set, n)
    for i in range(held):
        if not set[i].stripe.alive:
            st = ST_GONE
    if st == ST_OK:
        st = ops_check(checks, n_checks, steps, n_steps, only_new)
    if st == ST_OK:
        st = ops_prepare(steps, n_steps)
        if st == ST_OK:
            for i in range(n_steps):
                st = op_apply(&steps[i])
                if st != ST_OK:
                    break
            ops_forget(steps, n_steps)
    unlock_set(set, held)
    free(set)
    buf_free(&forms)
    return st

cdef int table_put_many(table_t* t, const uint64_t** rows, size_t n, bint only_new) noexcept nogil:
    cdef op_t* steps
    cdef size_t i
    cdef int st
    for i in range(n):
        if row_arity(rows[i]) <= t.keypos:
            return ST_BADARG
    if n == 1 and not only_new:
        return t.methods.put(t, rows[0], 0)
    if t.methods.put_many != NULL:
        return t.methods.put_many(t, rows, n, only_new)
    steps = <op_t*>malloc((n + 1) * sizeof(op_t))
    if steps == NULL:
        return ST_NO_MEMORY
    for i in range(n):
        steps[i].table = t
        row_probe(rows[i], t.keypos, &steps[i].key)
        steps[i].row = rows[i]
        steps[i].deadline = 0
    st = ops_commit(NULL, 0, steps, n, only_new)
    free(steps)
    return st

cdef int table_swap(table_t* a, table_t* b) noexcept nogil:
    """Exchange the rows of two tables of one shape."""
    cdef stripe_t kept
    cdef size_t i
    cdef table_t* first = a if a.id < b.id else b
    cdef table_t* second = b if a.id < b.id else a
    if a == b:
        return ST_OK
    if (a.methods != b.methods or a.stripe_bits != b.stripe_bits or a.keypos != b.keypos
            or a.place.mask != b.place.mask or a.place.spread != b.place.spread):
        return ST_TABLE_TYPE
    lock_both(first, second)
    if not (a.stripes[0].alive and b.stripes[0].alive):
        unlock_all(second)
        unlock_all(first)
        return ST_GONE
    # Reference terms: slots are the registry's, so that goes along.
    ts_lock_acquire(&first.objects.lock)
    ts_lock_acquire(&second.objects.lock)
    objects_swap(&a.objects, &b.objects)
    ts_lock_release(&second.objects.lock)
    ts_lock_release(&first.objects.lock)
    for i in range(table_stripes(a)):
        stripe_assume(&kept, &a.stripes[i])
        stripe_assume(&a.stripes[i], &b.stripes[i])
        stripe_assume(&b.stripes[i], &kept)
    unlock_all(second)
    unlock_all(first)
    return ST_OK

cdef void objects_swap(objects_t* a, objects_t* b) noexcept nogil:
    cdef objects_t kept
    objects_assume(&kept, a)
    objects_assume(a, b)
    objects_assume(b, &kept)

cdef void objects_assume(objects_t* o, const objects_t* other) noexcept nogil:
    """Everything but the lock."""
    o.refs = other.refs
    o.large = other.large
    o.free = other.free
    o.trash = other.trash
    o.used = other.used
    o.cap = other.cap
    o.free_len = other.free_len
    flag_store(&o.trash_len, other.trash_len)       # which is looked at without the lock
    o.spent = other.spent
