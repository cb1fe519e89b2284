# Hot commands: what they are run with, how they are found, and how rows become replies. The commands themselves stand
# in hot_keys.pxi and hot_tables.pxi.
#
# What it is: commands over packed rows that run without the GIL and make no Python objects.
#
# What it is not: complete, on purpose. The Python handler of each command (tsunami_server.commands) is what the command
# means; here stands the common path only. A hot command that meets anything out of the ordinary - a wrong number of
# arguments, an option it does not know, a value of another kind, any error - declares itself cold, and the handler
# answers. So an error text exists once, and hot code has no error paths.
#
# What must stay true:
#
# 1. A command that answers H_COLD has changed nothing. What it wrote to the output is taken back by the caller.
# 2. A plane, its scratch buffers and its connections belong to one thread at a time: the loop's.
# 3. Whatever runs under a stripe's lock (a sink, an edit) copies bytes, and calls nothing but memory functions.
# 4. The reply of a hot command and of its handler are the same bytes. The differential tests see to it.

from tsunami._core cimport (
    K_ATOM, K_BIG, K_BINARY, K_FLOAT, K_INT, K_LIST, K_MAP, K_NIL, K_TUPLE,
    RIGHT_READ, RIGHT_WRITE,
    ST_ABSENT, ST_EXISTS, ST_NO_MEMORY, ST_OK, ST_STOP,
    C_HASH, C_LIST, C_SET, C_ZSET,
    K_EXT, K_OBJECT,
    add_float, atom_intern, body_count, body_empty, body_splice, buf_reserve, collection_t,
    ordered_ahead, ordered_extend, ordered_move, ordered_nth, ordered_pull, ordered_rank, ordered_slice,
    piece_of_body, piece_t, table_collection, table_seek,
    atom_text, buf_append, buf_free, buf_init, buf_t, call_close, call_open, call_rest, call_run, call_t, cell_t,
    clock_ms, gate_drop, gate_enter, gate_table,
    kind_t, memory_used, probe_binary, probe_int, probe_t,
    row_add_binary, row_add_int, row_add_term, row_arity, row_begin, row_bytes, row_cell, row_deadline, row_edit_t,
    row_end, row_of_packed, row_sink_t,
    table_allows,
    table_edit, table_erase, table_expire, table_find, table_get, table_is_bag, table_keypos, table_len, table_member,
    table_of, table_peek, table_prefetch, table_prefetch_row, table_put, table_put_many, table_release, table_t,
    table_volatile,
    term_big_decimal, term_bytes, term_cells, term_float, term_int, term_kind, term_length,
    trash_collect, trash_waiting,
)

cdef enum:
    HOT_MAX = 160               # hot commands there can be
    HOT_SLOTS = 256             # of the table of names
    NAME_WORDS = 3              # a name is at most 24 bytes long
    DATABASES = 16
    NAMED_MAX = 64              # a longer table name is looked up each time

cdef struct small_t:
    # Up to what size values with parts are one term: Redis's settings.
    size_t hash_entries
    size_t hash_value
    size_t set_entries
    size_t set_ints
    size_t set_value
    size_t zset_entries
    size_t zset_value
    size_t list_entries
    size_t list_bytes

cdef enum hot_result_t:
    H_DONE = 0                  # the reply is written
    H_COLD = 1                  # nothing has happened: Python is to answer

cdef enum writes_t:             # what a hot command writes
    W_NOTHING = 0
    W_KEY = 1                   # the key that its first argument names
    W_KEYS = 2                  # all arguments are keys
    W_PAIRS = 3                 # every other argument is a key
    W_TABLE = 4                 # a table made with ETS.NEW
    W_OTHERS = 5                # nothing, but it reaches other connections

cdef struct multi_t:
    # A connection's transaction; see conn_multi.pxi.
    bint on                     # between MULTI and EXEC
    bint running                # EXEC is under way
    bint spoiled                # a command was refused: EXEC will be
    bint cold                   # Python has queued a command, or must look at one: EXEC is Python's
    bint writes                 # a command that writes is queued
    bint roams                  # a command is queued that selects another database
    uint32_t count
    out_t requests              # what is queued
    out_t late                  # what was pushed while EXEC ran

cdef struct plane_t:
    # -- the tables behind the databases; the Plane object keeps them alive
    table_t* dbs[DATABASES]
    # -- limits, as in _wire.pyi
    int64_t max_bulk
    size_t max_query
    size_t soft_query
    size_t soft_output
    size_t hard_output
    size_t hard_messages        # of connections that have subscribed to channels
    bint auth_required
    bint hold_writes
    bint hold_all
    bint monitored              # somebody reads along: all commands are Python's
    uint64_t max_memory         # above it commands that need memory are Python's, and all if it evicts; 0: no limit
    bint evicts
    bint denyoom[HOT_MAX]
    bint spreads                # how long commands took is counted in `spread`
    bint reads_cold             # those that only read: somebody wants to hear of what was not found
    bint writes_cold            # commands that write to a keyspace are Python's: somebody wants to hear of all
    interest_t interest         # those that write one of these keys
    int64_t slow_us
    small_t small
    # -- figures
    uint64_t commands           # hot and cold
    uint64_t cold
    uint64_t connections        # ever
    uint64_t bytes_in
    uint64_t bytes_out
    uint64_t hits
    uint64_t misses
    uint64_t calls[HOT_MAX]
    uint64_t nanos[HOT_MAX]
    bint off[HOT_MAX]           # this command is always cold
    uint64_t* spread[HOT_MAX]   # SPREAD counters, once the command has run: how often it took how long
    # -- of the batch under way: how often each command ran
    uint32_t tally[HOT_MAX]
    uint8_t touched[HOT_MAX]
    uint32_t touched_len
    # -- scratch
    buf_t row                   # rows on their way into a table
    buf_t copy                  # rows on their way out
    call_t call                 # of ETS.CALL
    out_t spelled               # a message on its way to many
    # -- messages
    channels_t channels
    size_t patterns             # somebody listens to patterns: PUBLISH is Python's
    bint handing                # commands wait for Python: PUBLISH does not overtake an UNSUBSCRIBE among them
    void* woken                 # connections with messages that are not sent yet: conn_t, by wake_next
    char* shared_in             # what connections without a backlog receive into
    out_t shared_out            # and write to

cdef struct run_t:
    # What a hot command sees.
    plane_t* plane
    input_t* input
    out_t* out
    table_t* db
    int db_index
    void* conn                  # the connection: a conn_t
    uint64_t session            # as whom the connection acts; 0: nobody in particular
    const uint64_t* self_row    # who that is to Erlang: a row of this one term, or NULL
    int resp
    multi_t* multi              # of the connection; NULL: no transaction can begin here
    uint64_t inside             # commands that the last one carried out inside of itself
    const char* ahead           # requests before this place have been looked at: see ahead.pxi
    bint odd                    # a sink met what it cannot spell
    size_t count                # rows a sink has seen
    uint64_t deadline           # what sink_deadline found
    # the named table used last, for the length of a batch
    table_t* named
    size_t name_len
    char name[NAMED_MAX]

ctypedef int (*hot_fn)(run_t* r) noexcept nogil

cdef struct hot_t:
    uint64_t key[NAME_WORDS]    # the name as words
    size_t len
    bint dotted                 # ETS.SOMETHING
    hot_fn run
    uint32_t least              # arguments, the name included
    uint32_t most
    int writes                  # a writes_t
    const char* name            # lower case, as commands are named in INFO

cdef hot_t hot_commands[HOT_MAX]
cdef uint32_t hot_len = 0
cdef uint8_t hot_slots[HOT_SLOTS]   # 0: free, else index + 1


# ---- finding a command by its name

cdef inline uint64_t name_word(const char* p, size_t n) noexcept nogil:
    """Up to 8 bytes of a name, letters in upper case, padded with zeros. Reads 8 bytes, whatever n is (SLACK).

    Bit 5 is what tells a small letter from a capital. Without it a byte that is no letter is never taken for one; a dot
    and a control character fall together, which hot_find looks at.
    """
    cdef uint64_t w
    memcpy(&w, p, 8)
    w &= <uint64_t>0xDFDFDFDFDFDFDFDF
    return w if n >= 8 else w & ((<uint64_t>1 << (8 * n)) - 1)

cdef inline bint name_words(const char* p, size_t n, uint64_t* key) noexcept nogil:
    """The name as words; False if it is too long to be hot."""
    if n > NAME_WORDS * 8:
        return False
    key[0] = name_word(p, n)
    key[1] = name_word(p + 8, n - 8) if n > 8 else 0
    key[2] = name_word(p + 16, n - 16) if n > 16 else 0
    return True

cdef inline uint32_t name_slot(const uint64_t* key) noexcept nogil:
    cdef uint64_t h = (key[0] ^ (key[1] * <uint64_t>0x9E3779B97F4A7C15) ^ (key[2] * <uint64_t>0xC2B2AE3D27D4EB4F))
    return <uint32_t>((h * <uint64_t>0xFF51AFD7ED558CCD) >> 56)

cdef int hot_find(const char* p, size_t n) noexcept nogil:
    """Index of the hot command with this name, in any case; -1 if there is none."""
    cdef uint64_t key[NAME_WORDS]
    cdef uint32_t at
    cdef hot_t* h
    if not name_words(p, n, key):
        return -1
    at = name_slot(key)
    while hot_slots[at] != 0:
        h = &hot_commands[hot_slots[at] - 1]
        if h.key[0] == key[0] and h.key[1] == key[1] and h.key[2] == key[2] and h.len == n:
            return hot_slots[at] - 1 if not h.dotted or p[3] == c'.' else -1
        at = (at + 1) % HOT_SLOTS
    return -1

cdef void hot_add(const char* name, hot_fn run, uint32_t least, uint32_t most, int writes) noexcept:
    """Enter a command; called once for each when the module is made. `most` 0: any number."""
    global hot_len
    cdef hot_t* h = &hot_commands[hot_len]
    cdef char padded[NAME_WORDS * 8 + SLACK]
    cdef size_t n = 0
    cdef uint32_t at
    memset(padded, 0, sizeof(padded))
    while name[n] != 0:
        padded[n] = name[n]
        n += 1
    name_words(padded, n, h.key)
    h.len = n
    h.dotted = n > 4 and name[3] == c'.'
    h.run = run
    h.least = least
    h.most = most if most else ARGS_MAX + 1
    h.writes = writes
    h.name = name
    at = name_slot(h.key)
    while hot_slots[at] != 0:
        at = (at + 1) % HOT_SLOTS
    hot_len += 1
    hot_slots[at] = <uint8_t>hot_len


# ---- arguments

cdef inline char* arg(run_t* r, size_t i) noexcept nogil:
    return input_arg(r.input, i)

cdef inline size_t arg_len(run_t* r, size_t i) noexcept nogil:
    return r.input.args[i].len

cdef inline size_t argc(run_t* r) noexcept nogil:
    return r.input.argc

cdef inline bint arg_is(run_t* r, size_t i, const char* word, size_t n) noexcept nogil:
    """Is the argument this word (given in upper case), in any case?"""
    cdef const char* p = arg(r, i)
    cdef size_t k
    if arg_len(r, i) != n:
        return False
    for k in range(n):
        if (p[k] - 32 if c'a' <= p[k] <= c'z' else p[k]) != word[k]:
            return False
    return True

cdef inline bint arg_int(run_t* r, size_t i, int64_t* value) noexcept nogil:
    return read_int64(arg(r, i), arg_len(r, i), value)

cdef inline int arg_key(run_t* r, size_t i, probe_t* key) noexcept nogil:
    return probe_binary(key, arg(r, i), arg_len(r, i))


# ---- rows out: terms as replies
#
# A term of any depth is written with a stack of its own, which begins on the C stack and goes on in the heap.

cdef enum:
    NEAR_FRAMES = 16

cdef struct frame_t:
    const cell_t* cells
    const char* base
    size_t left

cdef struct frames_t:
    frame_t* at
    size_t depth
    size_t cap
    frame_t near[NEAR_FRAMES]

cdef bint frames_push(frames_t* s, const cell_t* cells, const char* base, size_t n) noexcept nogil:
    cdef frame_t* room
    if s.depth == s.cap:
        room = <frame_t*>malloc(s.cap * 2 * sizeof(frame_t))
        if room == NULL:
            return False
        memcpy(room, s.at, s.depth * sizeof(frame_t))
        if s.at != s.near:
            free(s.at)
        s.at = room
        s.cap *= 2
    s.at[s.depth].cells = cells
    s.at[s.depth].base = base
    s.at[s.depth].left = n
    s.depth += 1
    return True

cdef void out_atom(out_t* o, cell_t c, int resp) noexcept nogil:
    cdef size_t n = 0
    cdef const char* text = atom_text(c, &n)
    if n == 3 and memcmp(text, b"nil", 3) == 0:
        out_null(o, resp)
    elif n == 4 and memcmp(text, b"true", 4) == 0:
        out_bool(o, True, resp)
    elif n == 5 and memcmp(text, b"false", 5) == 0:
        out_bool(o, False, resp)
    else:
        out_line(o, c'+', text, n)

cdef void out_big(out_t* o, cell_t c, const char* base, int resp) noexcept nogil:
    cdef buf_t text
    cdef int64_t small = 0
    buf_init(&text, NULL, 0)
    if term_big_decimal(c, base, &text) != ST_OK:
        o.failed = True
    elif read_int64(text.data, text.len, &small):
        out_head(o, c':', small)        # beyond 63 bits, but not beyond 64
    elif resp >= 3:
        out_line(o, c'(', text.data, text.len)
    else:
        out_bulk(o, text.data, text.len)
    buf_free(&text)

cdef bint out_cell(out_t* o, cell_t c, const char* base, int resp, frames_t* stack) noexcept nogil:
    """Write a term, or its head and push its parts. False if it has no form as a reply (Python will say so)."""
    cdef char scratch[8]
    cdef size_t n = 0
    cdef const char* p
    cdef const cell_t* cells = NULL
    cdef const char* cells_base = NULL
    cdef kind_t kind = term_kind(c)
    if kind == K_INT:
        out_head(o, c':', term_int(c))
    elif kind == K_BINARY:
        p = term_bytes(c, base, scratch, &n)
        out_bulk(o, p, n)
    elif kind == K_ATOM:
        out_atom(o, c, resp)
    elif kind == K_FLOAT:
        out_double(o, term_float(c, base), resp)
    elif kind == K_BIG:
        out_big(o, c, base, resp)
    elif kind == K_NIL:
        out_head(o, c'*', 0)
    elif kind == K_TUPLE or kind == K_LIST or kind == K_MAP:
        n = term_cells(c, base, &cells, &cells_base)
        if kind == K_MAP:
            out_map_head(o, <int64_t>n // 2, resp)
        else:
            out_head(o, c'*', <int64_t>n)
        if n and not frames_push(stack, cells, cells_base, n):
            o.failed = True
    else:
        return False
    return True

cdef bint out_term(out_t* o, cell_t c, const char* base, int resp) noexcept nogil:
    """Write a term of any depth; False as in out_cell, and then what was written is to be taken back."""
    cdef frames_t s
    cdef frame_t* f
    cdef bint good
    s.at = s.near
    s.depth = 0
    s.cap = NEAR_FRAMES
    good = out_cell(o, c, base, resp, &s)
    while good and s.depth > 0:
        f = &s.at[s.depth - 1]
        if f.left == 0:
            s.depth -= 1
            continue
        f.left -= 1
        f.cells += 1
        good = out_cell(o, (f.cells - 1)[0], f.base, resp, &s)
    if s.at != s.near:
        free(s.at)
    return good

cdef bint out_row(out_t* o, const uint64_t* row, int resp) noexcept nogil:
    cdef size_t n = row_arity(row), i
    out_head(o, c'*', <int64_t>n)
    for i in range(n):
        if not out_term(o, row_cell(row, i), <const char*>row, resp):
            return False
    return True

cdef void sink_copy(void* ctx, const uint64_t* row) noexcept nogil:
    """Copy the row, to be spelled when the stripe is free again."""
    cdef run_t* r = <run_t*>ctx
    r.count += 1
    if buf_append(&r.plane.copy, row, row_bytes(row)) != ST_OK:
        r.odd = True

cdef bint out_copied(run_t* r) noexcept nogil:
    """Write what sink_copy has gathered as an array of rows."""
    cdef size_t at = 0, i
    cdef const uint64_t* row
    out_head(r.out, c'*', <int64_t>r.count)
    for i in range(r.count):
        row = <const uint64_t*>(r.plane.copy.data + at)
        if not out_row(r.out, row, r.resp):
            return False
        at += row_bytes(row)
    return not r.odd


# ---- connection commands

cdef int hot_ping(run_t* r) noexcept nogil:
    if argc(r) == 1:
        out_bytes(r.out, b"+PONG\r\n", 7)
    else:
        out_bulk(r.out, arg(r, 1), arg_len(r, 1))
    return H_DONE

cdef int hot_echo(run_t* r) noexcept nogil:
    out_bulk(r.out, arg(r, 1), arg_len(r, 1))
    return H_DONE

cdef int hot_select(run_t* r) noexcept nogil:
    cdef int64_t index = 0
    if not arg_int(r, 1, &index) or not 0 <= index < DATABASES:
        return H_COLD
    r.db_index = <int>index
    r.db = r.plane.dbs[index]
    out_bytes(r.out, b"+OK\r\n", 5)
    return H_DONE

# ---- transactions: what is queued, and EXEC, are the connection's (conn_multi.pxi)

cdef int hot_multi(run_t* r) noexcept nogil:
    if r.multi == NULL or r.multi.on or r.multi.running:
        return H_COLD
    r.multi.on = True
    out_bytes(r.out, b"+OK\r\n", 5)
    return H_DONE

cdef int hot_exec(run_t* r) noexcept nogil:
    return H_COLD                       # outside of a transaction it is an error

cdef void hot_register_multi() noexcept:
    hot_add("multi", hot_multi, 1, 1, W_NOTHING)
    hot_add("exec", hot_exec, 1, 1, W_NOTHING)

cdef void hot_register_connection() noexcept:
    hot_add("ping", hot_ping, 1, 2, W_NOTHING)
    hot_add("echo", hot_echo, 2, 2, W_NOTHING)
    hot_add("select", hot_select, 2, 2, W_NOTHING)
