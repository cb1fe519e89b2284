# Hot commands over the keyspace: strings, counters, deadlines.
#
# A keyspace is a table of type set with rows (key, value), both binaries. A value that is an integer reads as its
# decimal text; a row of another shape, which only Python can have put there, makes the command cold.
#
# Reading is table_get with a sink. Writing without looking is table_put. Whatever looks first and writes then is one
# edit, under the stripe's lock: edit_t carries what it needs to know and what came of it.

cdef enum:
    SET_NX = 1
    SET_XX = 2
    SET_GET = 4
    SET_KEEPTTL = 8
    SET_TIMED = 16
    EXPIRE_NX = 1
    EXPIRE_XX = 2
    EXPIRE_GT = 4
    EXPIRE_LT = 8

cdef struct edit_t:
    run_t* r
    const char* key
    size_t key_len
    const char* text            # a value
    size_t text_len
    int64_t number              # an increment; afterwards the sum, or a length
    uint64_t deadline
    int flags
    bint missed                 # there was no row


# ---- values

cdef bint out_value(out_t* o, const uint64_t* row) noexcept nogil:
    """The string that a row of the keyspace holds, as a bulk; False if it is none."""
    cdef char scratch[8]
    cdef size_t n = 0
    cdef const char* p
    cdef cell_t c
    cdef kind_t kind
    if row_arity(row) != 2:
        return False
    c = row_cell(row, 1)
    kind = term_kind(c)
    if ts_likely(kind == K_BINARY):
        p = term_bytes(c, <const char*>row, scratch, &n)
        out_bulk(o, p, n)
        return True
    if kind == K_INT:
        out_int_bulk(o, term_int(c))
        return True
    return False

cdef const char* row_text(const uint64_t* row, char* scratch, size_t* n) noexcept nogil:
    """The string itself, in scratch (24 bytes) or in the row; NULL if it is none."""
    cdef cell_t c
    cdef kind_t kind
    if row_arity(row) != 2:
        return NULL
    c = row_cell(row, 1)
    kind = term_kind(c)
    if kind == K_BINARY:
        return term_bytes(c, <const char*>row, scratch, n)
    if kind == K_INT:
        n[0] = spell_int64(term_int(c), scratch)
        return scratch
    return NULL

cdef void sink_value(void* ctx, const uint64_t* row) noexcept nogil:
    cdef run_t* r = <run_t*>ctx
    if not out_value(r.out, row):
        r.odd = True

cdef void sink_length(void* ctx, const uint64_t* row) noexcept nogil:
    cdef run_t* r = <run_t*>ctx
    cdef char scratch[24]
    if row_text(row, scratch, &r.count) == NULL:
        r.odd = True

cdef void sink_deadline(void* ctx, const uint64_t* row) noexcept nogil:
    cdef run_t* r = <run_t*>ctx
    r.deadline = row_deadline(row)

cdef inline int read_key(run_t* r, size_t i, row_sink_t sink) noexcept nogil:
    return look_up(r, i, sink, True)

cdef inline int peek_key(run_t* r, size_t i, row_sink_t sink) noexcept nogil:
    """As read_key, for commands that ask about a key and do not use it."""
    return look_up(r, i, sink, False)

cdef inline int look_up(run_t* r, size_t i, row_sink_t sink, bint touch) noexcept nogil:
    """Look a key up for reading, and count a hit or a miss. ST_OK, ST_ABSENT, or what makes the command cold."""
    cdef probe_t key
    cdef int st = arg_key(r, i, &key)
    if st != ST_OK:
        return st
    st = table_get(r.db, &key, sink, r) if touch else table_peek(r.db, &key, sink, r)
    if st == ST_OK:
        r.plane.hits += 1
    elif st == ST_ABSENT:
        r.plane.misses += 1
    if r.odd:
        return ST_STOP
    return st

cdef inline int pair_build(
    buf_t* b, const char* key, size_t key_len, const char* text, size_t n, size_t* at
) noexcept nogil:
    """A row (key, value) behind what the buffer holds."""
    cdef int st = row_begin(b, 2, at)
    if st == ST_OK:
        st = row_add_binary(b, at[0], 0, key, key_len, False)
    if st == ST_OK:
        st = row_add_binary(b, at[0], 1, text, n, False)
    if st == ST_OK:
        st = row_end(b, at[0])
    return st

cdef int put_pair(run_t* r, size_t key, size_t value, uint64_t deadline) noexcept nogil:
    cdef buf_t* b = &r.plane.row
    cdef size_t at = 0
    cdef int st
    b.len = 0
    st = pair_build(b, arg(r, key), arg_len(r, key), arg(r, value), arg_len(r, value), &at)
    if st == ST_OK:
        st = table_put(r.db, <const uint64_t*>b.data, deadline)
    return st

cdef int edit_key(edit_t* e, run_t* r, size_t i, row_edit_t edit) noexcept nogil:
    cdef probe_t key
    cdef int st = arg_key(r, i, &key)
    e.r = r
    e.key = arg(r, i)
    e.key_len = arg_len(r, i)
    if st == ST_OK:
        st = table_edit(r.db, &key, edit, e)
    return st


# ---- reading

cdef int hot_get(run_t* r) noexcept nogil:
    cdef int st = read_key(r, 1, sink_value)
    if st == ST_OK:
        return H_DONE
    if st != ST_ABSENT:
        return H_COLD
    out_null(r.out, r.resp)
    return H_DONE

cdef int hot_mget(run_t* r) noexcept nogil:
    """Key by key: unlike Redis's, this is no snapshot of all the keys at one moment."""
    cdef size_t i, before
    cdef int st
    out_head(r.out, c'*', <int64_t>argc(r) - 1)
    for i in range(1, argc(r)):
        before = r.out.len
        st = read_key(r, i, sink_value)
        if st == ST_OK:
            continue
        if st != ST_ABSENT:
            return H_COLD
        r.out.len = before
        out_null(r.out, r.resp)
    return H_DONE

cdef int hot_strlen(run_t* r) noexcept nogil:
    cdef int st = read_key(r, 1, sink_length)
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    out_head(r.out, c':', <int64_t>r.count if st == ST_OK else 0)
    return H_DONE

cdef void sink_type(void* ctx, const uint64_t* row) noexcept nogil:
    cdef run_t* r = <run_t*>ctx
    cdef char scratch[24]
    cdef size_t n = 0
    if row_text(row, scratch, &n) == NULL:
        r.odd = True

cdef int hot_type(run_t* r) noexcept nogil:
    cdef int st = peek_key(r, 1, sink_type)
    if st == ST_OK:
        out_bytes(r.out, b"+string\r\n", 9)
    elif st == ST_ABSENT:
        out_bytes(r.out, b"+none\r\n", 7)
    else:
        return H_COLD
    return H_DONE

cdef void sink_nothing(void* ctx, const uint64_t* row) noexcept nogil:
    pass

cdef inline int count_keys(run_t* r, bint touch) noexcept nogil:
    """How many of the keys are there, one named twice counted twice."""
    cdef size_t i
    cdef int64_t found = 0
    cdef int st
    for i in range(1, argc(r)):
        st = look_up(r, i, sink_nothing, touch)
        if st == ST_OK:
            found += 1
        elif st != ST_ABSENT:
            return H_COLD
    out_head(r.out, c':', found)
    return H_DONE

cdef int hot_exists(run_t* r) noexcept nogil:
    return count_keys(r, False)

cdef int hot_touch(run_t* r) noexcept nogil:
    return count_keys(r, True)

cdef int read_deadline(run_t* r, int64_t* deadline) noexcept nogil:
    """-2 if there is no such key, -1 if it stays for ever, else the deadline."""
    cdef int st
    r.deadline = 0
    st = peek_key(r, 1, sink_deadline)
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    deadline[0] = -2 if st == ST_ABSENT else -1 if r.deadline == 0 else <int64_t>r.deadline
    return H_DONE

cdef int out_time(run_t* r, bint relative, bint seconds) noexcept nogil:
    cdef int64_t t = 0
    if read_deadline(r, &t) != H_DONE:
        return H_COLD
    if t >= 0:
        if relative:
            t -= <int64_t>clock_ms()
            if t < 0:
                t = 0
        if seconds:
            t = (t + 500) // 1000
    out_head(r.out, c':', t)
    return H_DONE

cdef int hot_ttl(run_t* r) noexcept nogil:
    return out_time(r, True, True)

cdef int hot_pttl(run_t* r) noexcept nogil:
    return out_time(r, True, False)

cdef int hot_expiretime(run_t* r) noexcept nogil:
    return out_time(r, False, True)

cdef int hot_pexpiretime(run_t* r) noexcept nogil:
    return out_time(r, False, False)


# ---- writing

cdef bint deadline_of(run_t* r, size_t i, int64_t unit, bint relative, uint64_t* deadline) noexcept nogil:
    """A deadline from an argument that must be positive and lie in the future; False: let Python look at it."""
    cdef int64_t v = 0
    cdef int64_t now = <int64_t>clock_ms()
    if not arg_int(r, i, &v) or v <= 0 or v > (INT64_MAX - now) // unit:
        return False
    v = v * unit + (now if relative else 0)
    deadline[0] = <uint64_t>v
    return v > now

cdef bint time_option(run_t* r, size_t i, int64_t* unit, bint* relative) noexcept nogil:
    """EX PX EXAT PXAT: four forms of a deadline."""
    if arg_is(r, i, b"EX", 2):
        unit[0] = 1000
        relative[0] = True
    elif arg_is(r, i, b"PX", 2):
        unit[0] = 1
        relative[0] = True
    elif arg_is(r, i, b"EXAT", 4):
        unit[0] = 1000
        relative[0] = False
    elif arg_is(r, i, b"PXAT", 4):
        unit[0] = 1
        relative[0] = False
    else:
        return False
    return True

cdef bint set_options(run_t* r, edit_t* e) noexcept nogil:
    """False for what is wrong or contradicts itself: Python says what it is."""
    cdef size_t i = 3
    cdef int64_t unit = 0
    cdef bint relative = False
    while i < argc(r):
        if arg_is(r, i, b"NX", 2):
            e.flags |= SET_NX
        elif arg_is(r, i, b"XX", 2):
            e.flags |= SET_XX
        elif arg_is(r, i, b"GET", 3):
            e.flags |= SET_GET
        elif arg_is(r, i, b"KEEPTTL", 7):
            e.flags |= SET_KEEPTTL
        elif i + 1 < argc(r) and not e.flags & SET_TIMED and time_option(r, i, &unit, &relative):
            e.flags |= SET_TIMED
            i += 1
            if not deadline_of(r, i, unit, relative, &e.deadline):
                return False
        else:
            return False
        i += 1
    return not (e.flags & SET_NX and e.flags & SET_XX) and not (e.flags & SET_KEEPTTL and e.flags & SET_TIMED)

cdef int edit_set(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef edit_t* e = <edit_t*>ctx
    cdef size_t at = 0
    e.missed = old == NULL
    if e.flags & SET_GET:
        if old == NULL:
            out_null(e.r.out, e.r.resp)
        elif not out_value(e.r.out, old):
            e.r.odd = True
            return ST_STOP
    if (e.flags & SET_NX and old != NULL) or (e.flags & SET_XX and old == NULL):
        return ST_EXISTS
    if not e.flags & SET_KEEPTTL:
        deadline[0] = e.deadline
    return pair_build(out, e.key, e.key_len, e.text, e.text_len, &at)

cdef int set_edited(run_t* r, edit_t* e, size_t value) noexcept nogil:
    e.text = arg(r, value)
    e.text_len = arg_len(r, value)
    return edit_key(e, r, 1, edit_set)

cdef int hot_set(run_t* r) noexcept nogil:
    cdef edit_t e
    cdef int st
    memset(&e, 0, sizeof(e))
    if argc(r) > 3:
        if not set_options(r, &e):
            return H_COLD
    if (e.flags & ~SET_TIMED) == 0:
        if put_pair(r, 1, 2, e.deadline) != ST_OK:
            return H_COLD
        out_bytes(r.out, b"+OK\r\n", 5)
        return H_DONE
    st = set_edited(r, &e, 2)
    if st != ST_OK and st != ST_EXISTS:
        return H_COLD
    if e.flags & SET_GET:
        return H_DONE                   # the edit has written the old value
    if st == ST_OK:
        out_bytes(r.out, b"+OK\r\n", 5)
    else:
        out_null(r.out, r.resp)
    return H_DONE

cdef int hot_setnx(run_t* r) noexcept nogil:
    cdef edit_t e
    cdef int st
    memset(&e, 0, sizeof(e))
    e.flags = SET_NX
    st = set_edited(r, &e, 2)
    if st != ST_OK and st != ST_EXISTS:
        return H_COLD
    out_head(r.out, c':', 1 if st == ST_OK else 0)
    return H_DONE

cdef int hot_getset(run_t* r) noexcept nogil:
    cdef edit_t e
    memset(&e, 0, sizeof(e))
    e.flags = SET_GET
    return H_DONE if set_edited(r, &e, 2) == ST_OK else H_COLD

cdef int set_for(run_t* r, int64_t unit) noexcept nogil:
    cdef uint64_t deadline = 0
    if not deadline_of(r, 2, unit, True, &deadline) or put_pair(r, 1, 3, deadline) != ST_OK:
        return H_COLD
    out_bytes(r.out, b"+OK\r\n", 5)
    return H_DONE

cdef int hot_setex(run_t* r) noexcept nogil:
    return set_for(r, 1000)

cdef int hot_psetex(run_t* r) noexcept nogil:
    return set_for(r, 1)

cdef int hot_mset(run_t* r) noexcept nogil:
    """All pairs at once: nobody sees some of them."""
    cdef buf_t* b = &r.plane.row
    cdef size_t pairs = (argc(r) - 1) // 2, i, at = 0
    cdef const uint64_t** rows
    cdef int st = ST_OK
    if argc(r) % 2 == 0:
        return H_COLD
    rows = <const uint64_t**>malloc(pairs * sizeof(void*))
    if rows == NULL:
        return H_COLD
    b.len = 0
    for i in range(pairs):
        st = pair_build(b, arg(r, 2 * i + 1), arg_len(r, 2 * i + 1), arg(r, 2 * i + 2), arg_len(r, 2 * i + 2), &at)
        if st != ST_OK:
            break
        rows[i] = <const uint64_t*>at   # an offset for now: the buffer may still move
    if st == ST_OK:
        for i in range(pairs):
            rows[i] = <const uint64_t*>(b.data + <size_t>rows[i])
        st = table_put_many(r.db, rows, pairs, False)
    free(rows)
    if st != ST_OK:
        return H_COLD
    out_bytes(r.out, b"+OK\r\n", 5)
    return H_DONE

cdef int hot_del(run_t* r) noexcept nogil:
    """DEL and UNLINK. One key after the other, each atomic by itself."""
    cdef size_t i
    cdef int64_t erased = 0
    cdef probe_t key
    for i in range(1, argc(r)):
        if arg_key(r, i, &key) == ST_OK and table_erase(r.db, &key, NULL, NULL) == ST_OK:
            erased += 1
    out_head(r.out, c':', erased)
    return H_DONE

cdef int edit_getdel(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef edit_t* e = <edit_t*>ctx
    if old == NULL:
        e.missed = True
        return ST_EXISTS
    if not out_value(e.r.out, old):
        return ST_STOP
    return ST_ABSENT

cdef int edit_getex(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef edit_t* e = <edit_t*>ctx
    if old == NULL:
        e.missed = True
        return ST_EXISTS
    if not out_value(e.r.out, old):
        return ST_STOP
    deadline[0] = e.deadline
    return ST_OK

cdef int got(run_t* r, edit_t* e, int st) noexcept nogil:
    """The edit has written the value, or there was none."""
    if e.missed:
        r.plane.misses += 1
        out_null(r.out, r.resp)
        return H_DONE
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    r.plane.hits += 1
    return H_DONE

cdef int hot_getdel(run_t* r) noexcept nogil:
    cdef edit_t e
    memset(&e, 0, sizeof(e))
    return got(r, &e, edit_key(&e, r, 1, edit_getdel))

cdef int hot_getex(run_t* r) noexcept nogil:
    cdef edit_t e
    cdef int64_t unit = 0
    cdef bint relative = False
    if argc(r) == 2:
        return hot_get(r)
    memset(&e, 0, sizeof(e))
    if argc(r) == 4:
        if not time_option(r, 2, &unit, &relative) or not deadline_of(r, 3, unit, relative, &e.deadline):
            return H_COLD
    elif argc(r) != 3 or not arg_is(r, 2, b"PERSIST", 7):
        return H_COLD
    return got(r, &e, edit_key(&e, r, 1, edit_getex))


# ---- counters

cdef int edit_add(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef edit_t* e = <edit_t*>ctx
    cdef char scratch[24]
    cdef const char* p
    cdef size_t n = 0, at = 0
    cdef int64_t v = 0
    if old != NULL:
        p = row_text(old, scratch, &n)
        if p == NULL or not read_int64(p, n, &v):
            return ST_STOP
    if (e.number > 0 and v > INT64_MAX - e.number) or (e.number < 0 and v < INT64_MIN - e.number):
        return ST_STOP
    e.number += v
    return pair_build(out, e.key, e.key_len, scratch, spell_int64(e.number, scratch), &at)

cdef int add_to(run_t* r, int64_t number) noexcept nogil:
    cdef edit_t e
    memset(&e, 0, sizeof(e))
    e.number = number
    if edit_key(&e, r, 1, edit_add) != ST_OK:
        return H_COLD
    out_head(r.out, c':', e.number)
    return H_DONE

cdef int hot_incr(run_t* r) noexcept nogil:
    return add_to(r, 1)

cdef int hot_decr(run_t* r) noexcept nogil:
    return add_to(r, -1)

cdef int hot_incrby(run_t* r) noexcept nogil:
    cdef int64_t v = 0
    return add_to(r, v) if arg_int(r, 2, &v) else H_COLD

cdef int hot_decrby(run_t* r) noexcept nogil:
    cdef int64_t v = 0
    return add_to(r, -v) if arg_int(r, 2, &v) and v != INT64_MIN else H_COLD

cdef int edit_append(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef edit_t* e = <edit_t*>ctx
    cdef char scratch[24]
    cdef buf_t joined
    cdef const char* p
    cdef size_t n = 0, at = 0
    cdef int st
    if old == NULL:
        e.number = <int64_t>e.text_len
        return pair_build(out, e.key, e.key_len, e.text, e.text_len, &at)
    p = row_text(old, scratch, &n)
    if p == NULL or <int64_t>(n + e.text_len) > e.r.plane.max_bulk:
        return ST_STOP
    e.number = <int64_t>(n + e.text_len)
    buf_init(&joined, NULL, 0)
    st = buf_append(&joined, p, n)
    if st == ST_OK:
        st = buf_append(&joined, e.text, e.text_len)
    if st == ST_OK:
        st = pair_build(out, e.key, e.key_len, joined.data, joined.len, &at)
    buf_free(&joined)
    return st

cdef int hot_append(run_t* r) noexcept nogil:
    cdef edit_t e
    memset(&e, 0, sizeof(e))
    e.text = arg(r, 2)
    e.text_len = arg_len(r, 2)
    if edit_key(&e, r, 1, edit_append) != ST_OK:
        return H_COLD
    out_head(r.out, c':', e.number)
    return H_DONE


# ---- deadlines

cdef int edit_expire(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    """`number` is the new deadline; one that has passed erases the key."""
    cdef edit_t* e = <edit_t*>ctx
    cdef uint64_t now = deadline[0]
    if old == NULL:
        return ST_EXISTS
    if (e.flags & EXPIRE_NX and now != 0) or (e.flags & EXPIRE_XX and now == 0):
        return ST_EXISTS
    if e.flags & EXPIRE_GT and (now == 0 or e.number <= <int64_t>now):
        return ST_EXISTS
    if e.flags & EXPIRE_LT and now != 0 and e.number >= <int64_t>now:
        return ST_EXISTS
    if e.number <= <int64_t>clock_ms():
        return ST_ABSENT
    deadline[0] = <uint64_t>e.number
    return ST_OK

cdef int expire_at(run_t* r, int64_t unit, bint relative) noexcept nogil:
    cdef edit_t e
    cdef int64_t now = <int64_t>clock_ms() if relative else 0
    cdef int st
    memset(&e, 0, sizeof(e))
    if not arg_int(r, 2, &e.number) or e.number > (INT64_MAX - now) // unit or e.number < INT64_MIN // unit:
        return H_COLD
    e.number = e.number * unit + now
    if argc(r) == 4:
        if arg_is(r, 3, b"NX", 2):
            e.flags = EXPIRE_NX
        elif arg_is(r, 3, b"XX", 2):
            e.flags = EXPIRE_XX
        elif arg_is(r, 3, b"GT", 2):
            e.flags = EXPIRE_GT
        elif arg_is(r, 3, b"LT", 2):
            e.flags = EXPIRE_LT
        else:
            return H_COLD
    st = edit_key(&e, r, 1, edit_expire)
    if st != ST_OK and st != ST_ABSENT and st != ST_EXISTS:
        return H_COLD
    out_head(r.out, c':', 0 if st == ST_EXISTS else 1)
    return H_DONE

cdef int hot_expire(run_t* r) noexcept nogil:
    return expire_at(r, 1000, True)

cdef int hot_pexpire(run_t* r) noexcept nogil:
    return expire_at(r, 1, True)

cdef int hot_expireat(run_t* r) noexcept nogil:
    return expire_at(r, 1000, False)

cdef int hot_pexpireat(run_t* r) noexcept nogil:
    return expire_at(r, 1, False)

cdef int edit_persist(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    if old == NULL or deadline[0] == 0:
        return ST_EXISTS
    deadline[0] = 0
    return ST_OK

cdef int hot_persist(run_t* r) noexcept nogil:
    cdef edit_t e
    cdef int st
    memset(&e, 0, sizeof(e))
    st = edit_key(&e, r, 1, edit_persist)
    if st != ST_OK and st != ST_EXISTS:
        return H_COLD
    out_head(r.out, c':', 1 if st == ST_OK else 0)
    return H_DONE


cdef void hot_register_keys() noexcept:
    hot_add("get", hot_get, 2, 2, W_NOTHING)
    hot_add("mget", hot_mget, 2, 0, W_NOTHING)
    hot_add("strlen", hot_strlen, 2, 2, W_NOTHING)
    hot_add("type", hot_type, 2, 2, W_NOTHING)
    hot_add("exists", hot_exists, 2, 0, W_NOTHING)
    hot_add("touch", hot_touch, 2, 0, W_NOTHING)
    hot_add("ttl", hot_ttl, 2, 2, W_NOTHING)
    hot_add("pttl", hot_pttl, 2, 2, W_NOTHING)
    hot_add("expiretime", hot_expiretime, 2, 2, W_NOTHING)
    hot_add("pexpiretime", hot_pexpiretime, 2, 2, W_NOTHING)
    hot_add("set", hot_set, 3, 9, W_KEY)
    hot_add("setnx", hot_setnx, 3, 3, W_KEY)
    hot_add("getset", hot_getset, 3, 3, W_KEY)
    hot_add("setex", hot_setex, 4, 4, W_KEY)
    hot_add("psetex", hot_psetex, 4, 4, W_KEY)
    hot_add("mset", hot_mset, 3, 0, W_PAIRS)
    hot_add("del", hot_del, 2, 0, W_KEYS)
    hot_add("unlink", hot_del, 2, 0, W_KEYS)
    hot_add("getdel", hot_getdel, 2, 2, W_KEY)
    hot_add("getex", hot_getex, 2, 4, W_KEY)
    hot_add("incr", hot_incr, 2, 2, W_KEY)
    hot_add("decr", hot_decr, 2, 2, W_KEY)
    hot_add("incrby", hot_incrby, 3, 3, W_KEY)
    hot_add("decrby", hot_decrby, 3, 3, W_KEY)
    hot_add("append", hot_append, 3, 3, W_KEY)
    hot_add("expire", hot_expire, 3, 4, W_KEY)
    hot_add("pexpire", hot_pexpire, 3, 4, W_KEY)
    hot_add("expireat", hot_expireat, 3, 4, W_KEY)
    hot_add("pexpireat", hot_pexpireat, 3, 4, W_KEY)
    hot_add("persist", hot_persist, 2, 2, W_KEY)
