# Hot ETS.* commands: tables by name, arguments as terms, rows as replies.
#
# Arguments are read in one of two modes (the others are cold):
#
#     AUTO, no word    the canonical decimal form of an integer is that integer; anything else is text if it is UTF-8,
#     else bytes RAW              bytes, all of them
#
# The word RAW counts as a mode only where enough arguments follow it to do without it: `ETS.LOOKUP t RAW` asks for the
# key "RAW". Where a word could be the name of a mode that is not hot, the command is cold, and Python decides.

cdef enum:
    INT63_DIGITS = 19

cdef struct word_t:
    # An argument read as a term.
    bint number
    bint text
    int64_t value
    const char* data
    size_t len

cdef struct table_call_t:
    table_t* table
    size_t at                   # the first argument behind table and mode
    bint raw


# ---- arguments as terms

cdef bint is_utf8(const char* s, size_t n) noexcept nogil:
    """Strictly: no surrogates, nothing overlong, nothing beyond U+10FFFF."""
    cdef const uint8_t* p = <const uint8_t*>s
    cdef size_t i = 0
    cdef uint64_t eight = 0
    cdef uint8_t c
    cdef size_t more, k
    while i < n:
        if i + 8 <= n:
            memcpy(&eight, p + i, 8)
            if (eight & <uint64_t>0x8080808080808080) == 0:
                i += 8
                continue
        c = p[i]
        if c < 0x80:
            i += 1
            continue
        if 0xC2 <= c <= 0xDF:
            more = 1
        elif 0xE0 <= c <= 0xEF:
            more = 2
        elif 0xF0 <= c <= 0xF4:
            more = 3
        else:
            return False
        if n - i <= more:
            return False
        for k in range(1, more + 1):
            if (p[i + k] & 0xC0) != 0x80:
                return False
        if (c == 0xE0 and p[i + 1] < 0xA0) or (c == 0xED and p[i + 1] > 0x9F) or \
                (c == 0xF0 and p[i + 1] < 0x90) or (c == 0xF4 and p[i + 1] > 0x8F):
            return False
        i += more + 1
    return True

cdef inline bint looks_integer(const char* p, size_t n) noexcept nogil:
    """Canonical decimal form of an integer of any size."""
    cdef size_t i = 1 if n > 1 and p[0] == c'-' else 0
    if n == 0 or (p[i] == c'0' and n > 1):
        return False
    while i < n:
        if <uint8_t>(<uint8_t>p[i] - <uint8_t>c'0') > 9:
            return False
        i += 1
    return True

cdef bint word_read(run_t* r, size_t i, bint raw, word_t* w) noexcept nogil:
    """Read an argument as a term; False for an integer beyond 63 bits."""
    w.data = arg(r, i)
    w.len = arg_len(r, i)
    w.number = w.text = False
    if raw:
        return True
    if looks_integer(w.data, w.len):
        w.number = True
        if not read_int64(w.data, w.len, &w.value):
            return False
        return -(<int64_t>1 << 62) <= w.value < (<int64_t>1 << 62)
    w.text = is_utf8(w.data, w.len)
    return True

cdef inline int word_probe(const word_t* w, probe_t* key, char* scratch) noexcept nogil:
    if w.number:
        probe_int(key, w.value, scratch)
        return ST_OK
    return probe_binary(key, w.data, w.len)

cdef inline int word_add(const word_t* w, buf_t* b, size_t at, size_t i) noexcept nogil:
    if w.number:
        return row_add_int(b, at, i, w.value)
    return row_add_binary(b, at, i, w.data, w.len, w.text)


# ---- which table, which mode

cdef void named_release(run_t* r) noexcept nogil:
    """The batch is over, or Python is about to run, which may rename and delete."""
    if r.named != NULL:
        table_release(r.named)
        r.named = NULL

cdef table_t* named_table(run_t* r, size_t i) noexcept nogil:
    """The table with this name, kept until the batch ends; NULL if there is none."""
    cdef const char* name = arg(r, i)
    cdef size_t n = arg_len(r, i)
    if r.named != NULL and r.name_len == n and memcmp(r.name, name, n) == 0:
        return r.named
    named_release(r)
    r.named = table_find(name, n)
    r.name_len = n if n <= NAMED_MAX else NAMED_MAX + 1
    if n <= NAMED_MAX:
        memcpy(r.name, name, n)
    return r.named

cdef bint table_call(run_t* r, size_t least, int right, table_call_t* c) noexcept nogil:
    """Read table and mode; `least` is the number of arguments without a mode. False: cold, for want of the right
    too."""
    c.raw = False
    c.at = 2
    if argc(r) > least and arg_is(r, 2, b"RAW", 3):
        c.raw = True
        c.at = 3
    elif arg_is(r, 2, b"TERM", 4) or arg_is(r, 2, b"ETF", 3) or arg_is(r, 2, b"ROWS", 4) or arg_is(r, 2, b"AUTO", 4) \
            or arg_is(r, 2, b"RAW", 3):
        return False
    c.table = named_table(r, 1)
    return c.table != NULL and table_allows(c.table, r.session, right) == ST_OK

cdef bint call_key(run_t* r, table_call_t* c, size_t i, probe_t* key, char* scratch) noexcept nogil:
    cdef word_t w
    return word_read(r, i, c.raw, &w) and word_probe(&w, key, scratch) == ST_OK


# ---- reading

cdef bint out_lookup(run_t* r, table_call_t* c, size_t i) noexcept nogil:
    """The rows of a key as an array. False: cold."""
    cdef probe_t key
    cdef char scratch[16]
    cdef int st
    if not call_key(r, c, i, &key, scratch):
        return False
    r.plane.copy.len = 0
    r.count = 0
    st = table_get(c.table, &key, sink_copy, r)
    if st == ST_ABSENT:
        out_head(r.out, c'*', 0)
        return True
    return st == ST_OK and not r.odd and out_copied(r)

cdef int hot_ets_lookup(run_t* r) noexcept nogil:
    cdef table_call_t c
    if not table_call(r, 3, RIGHT_READ, &c) or argc(r) != c.at + 1 or not out_lookup(r, &c, c.at):
        return H_COLD
    return H_DONE

cdef int hot_ets_mlookup(run_t* r) noexcept nogil:
    """Key by key: no snapshot of all of them at one moment."""
    cdef table_call_t c
    cdef size_t i
    if not table_call(r, 3, RIGHT_READ, &c):
        return H_COLD
    out_head(r.out, c'*', <int64_t>(argc(r) - c.at))
    for i in range(c.at, argc(r)):
        if not out_lookup(r, &c, i):
            return H_COLD
    return H_DONE

cdef int hot_ets_member(run_t* r) noexcept nogil:
    cdef table_call_t c
    cdef probe_t key
    cdef char scratch[16]
    cdef int st
    if not table_call(r, 3, RIGHT_READ, &c) or argc(r) != c.at + 1 or not call_key(r, &c, c.at, &key, scratch):
        return H_COLD
    st = table_member(c.table, &key)
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    out_head(r.out, c':', 1 if st == ST_OK else 0)
    return H_DONE

cdef bint out_elements(run_t* r, size_t pos, bint bag) noexcept nogil:
    """Element pos of each row that sink_copy has gathered: of a bag an array, else itself."""
    cdef size_t at = 0, i
    cdef const uint64_t* row
    if bag:
        out_head(r.out, c'*', <int64_t>r.count)
    for i in range(r.count):
        row = <const uint64_t*>(r.plane.copy.data + at)
        if pos >= row_arity(row) or not out_term(r.out, row_cell(row, pos), <const char*>row, r.resp):
            return False
        at += row_bytes(row)
    return True

cdef int hot_ets_lookupelement(run_t* r) noexcept nogil:
    """A missing key is an error or a default: cold."""
    cdef table_call_t c
    cdef probe_t key
    cdef char scratch[16]
    cdef int64_t pos = 0
    if not table_call(r, 4, RIGHT_READ, &c) or argc(r) != c.at + 2 or not arg_int(r, c.at + 1, &pos) or pos < 1:
        return H_COLD
    if not call_key(r, &c, c.at, &key, scratch):
        return H_COLD
    r.plane.copy.len = 0
    r.count = 0
    if table_get(c.table, &key, sink_copy, r) != ST_OK or r.odd:
        return H_COLD
    return H_DONE if out_elements(r, <size_t>pos - 1, table_is_bag(c.table)) else H_COLD


# ---- writing

cdef int build_words(run_t* r, table_call_t* c) noexcept nogil:
    """The arguments from c.at on as one row, in the plane's buffer."""
    cdef buf_t* b = &r.plane.row
    cdef size_t at = 0, i, arity = argc(r) - c.at
    cdef word_t w
    cdef int st
    if arity <= table_keypos(c.table) or arg_is(r, c.at, b"ROWS", 4):
        return ST_STOP
    b.len = 0
    st = row_begin(b, arity, &at)
    for i in range(arity):
        if st != ST_OK:
            return st
        if not word_read(r, c.at + i, c.raw, &w):
            return ST_STOP
        st = word_add(&w, b, at, i)
    return row_end(b, at) if st == ST_OK else st

cdef int hot_ets_insert(run_t* r) noexcept nogil:
    cdef table_call_t c
    if not table_call(r, 3, RIGHT_WRITE, &c) or build_words(r, &c) != ST_OK:
        return H_COLD
    if table_put(c.table, <const uint64_t*>r.plane.row.data, 0) != ST_OK:
        return H_COLD
    out_head(r.out, c':', 1)
    return H_DONE

cdef int hot_ets_insertnew(run_t* r) noexcept nogil:
    cdef table_call_t c
    cdef const uint64_t* row
    cdef int st
    if not table_call(r, 3, RIGHT_WRITE, &c) or build_words(r, &c) != ST_OK:
        return H_COLD
    row = <const uint64_t*>r.plane.row.data
    st = table_put_many(c.table, &row, 1, True)
    if st != ST_OK and st != ST_EXISTS:
        return H_COLD
    out_head(r.out, c':', 1 if st == ST_OK else 0)
    return H_DONE

cdef int hot_ets_delete(run_t* r) noexcept nogil:
    cdef table_call_t c
    cdef probe_t key
    cdef char scratch[16]
    cdef int st
    if not table_call(r, 3, RIGHT_WRITE, &c) or argc(r) != c.at + 1 or not call_key(r, &c, c.at, &key, scratch):
        return H_COLD
    st = table_erase(c.table, &key, NULL, NULL)
    if st != ST_OK and st != ST_ABSENT:
        return H_COLD
    out_head(r.out, c':', 1)
    return H_DONE

cdef int edit_take(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    """Write the row and erase it, unless it has no form as a reply: then it must stay."""
    cdef run_t* r = <run_t*>ctx
    if old == NULL:
        return ST_EXISTS
    out_head(r.out, c'*', 1)
    return ST_ABSENT if out_row(r.out, old, r.resp) else ST_STOP

cdef int hot_ets_take(run_t* r) noexcept nogil:
    cdef table_call_t c
    cdef probe_t key
    cdef char scratch[16]
    cdef int st
    if not table_call(r, 3, RIGHT_WRITE, &c) or argc(r) != c.at + 1 or not call_key(r, &c, c.at, &key, scratch):
        return H_COLD
    if table_is_bag(c.table):
        return H_COLD
    st = table_edit(c.table, &key, edit_take, r)
    if st == ST_EXISTS:
        out_head(r.out, c'*', 0)
    elif st != ST_OK and st != ST_ABSENT:
        return H_COLD
    return H_DONE

cdef struct count_t:
    size_t pos
    int64_t number

cdef int edit_count(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    """Add to one element; all others are copied. Beyond 63 bits Python goes on."""
    cdef count_t* e = <count_t*>ctx
    cdef size_t arity, i, at = 0
    cdef int64_t sum
    cdef int st
    if old == NULL:
        return ST_STOP
    arity = row_arity(old)
    if e.pos >= arity or term_kind(row_cell(old, e.pos)) != K_INT:
        return ST_STOP
    sum = term_int(row_cell(old, e.pos)) + e.number         # 63 bits each: no overflow
    if not -(<int64_t>1 << 62) <= sum < (<int64_t>1 << 62):
        return ST_STOP
    st = row_begin(out, arity, &at)
    for i in range(arity):
        if st != ST_OK:
            return st
        if i == e.pos:
            st = row_add_int(out, at, i, sum)
        else:
            st = row_add_term(out, at, i, row_cell(old, i), <const char*>old)
    if st != ST_OK:
        return st
    e.number = sum
    return row_end(out, at)

cdef int hot_ets_updatecounter(run_t* r) noexcept nogil:
    """One position, one increment, a row that is there."""
    cdef table_call_t c
    cdef count_t e
    cdef probe_t key
    cdef char scratch[16]
    cdef int64_t pos = 0
    if not table_call(r, 5, RIGHT_WRITE, &c) or argc(r) != c.at + 3 or not arg_int(r, c.at + 1, &pos) \
            or not arg_int(r, c.at + 2, &e.number):
        return H_COLD
    if pos < 1 or <size_t>pos - 1 == table_keypos(c.table) or not call_key(r, &c, c.at, &key, scratch):
        return H_COLD
    if not -(<int64_t>1 << 62) <= e.number < (<int64_t>1 << 62):
        return H_COLD
    e.pos = <size_t>pos - 1
    if table_is_bag(c.table) or table_edit(c.table, &key, edit_count, &e) != ST_OK:
        return H_COLD
    out_head(r.out, c':', e.number)
    return H_DONE


cdef void hot_register_tables() noexcept:
    hot_add("ets.lookup", hot_ets_lookup, 3, 4, W_NOTHING)
    hot_add("ets.mlookup", hot_ets_mlookup, 3, 0, W_NOTHING)
    hot_add("ets.member", hot_ets_member, 3, 4, W_NOTHING)
    hot_add("ets.lookupelement", hot_ets_lookupelement, 4, 5, W_NOTHING)
    hot_add("ets.insert", hot_ets_insert, 3, 0, W_TABLE)
    hot_add("ets.insertnew", hot_ets_insertnew, 3, 0, W_TABLE)
    hot_add("ets.delete", hot_ets_delete, 3, 4, W_TABLE)
    hot_add("ets.take", hot_ets_take, 3, 4, W_TABLE)
    hot_add("ets.updatecounter", hot_ets_updatecounter, 5, 6, W_TABLE)
