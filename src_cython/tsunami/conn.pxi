# One connection's conversation: bytes in, bytes out. And the Plane, which all connections share.
#
# What it is: the loop that reads requests, runs hot ones, and stops at what needs Python; and the buffers on both
# sides.
#
# What it is not: it knows no socket, no loop and no clock but the one that measures its budget. Who moves the bytes
# (dataplane.pxi, or any transport that can feed() and take_output()) decides when to read and when to close.
#
#       NEED_DATA  everything is answered              -> read
#       COLD       a cold command stands first         -> command(), write() its reply, done()
#       FULL       output stands above the soft mark   -> send, then run() again
#       BUDGET     the time is up, input waits         -> run() again, after others had their turn
#       CLOSING    nothing more will be read           -> send what is left, then close
#
# What must stay true:
#
# 1. Replies stand in the order of the requests: nothing is run while a cold command is unanswered.
# 2. A connection without unanswered input and unsent output has no buffers: ten thousand idle connections cost a few
#    hundred bytes each. While its bytes are in the plane's shared buffer (`borrowed`), the connection is inside one
#    call; what is left is moved to a buffer of its own before that call returns.
# 3. Output that is unsent: out.data[sent..len).
# 4. A connection whose peer is gone is deaf: it has no output. What had arrived before is carried out all the same.

include "conn_multi.pxi"    # transactions
include "direct.pxi"        # cold commands, the short way
include "script.pxi"        # scripts and their calls

cdef extern from *:
    """
    #include <time.h>
    static inline uint64_t ts_now_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    static inline uint32_t ts_log2(uint64_t n) { return 63 - (uint32_t)__builtin_clzll(n | 1); }
    """
    uint64_t ts_now_ns() noexcept nogil
    uint32_t ts_log2(uint64_t n) noexcept nogil

cdef enum state_t:
    S_NEED_DATA = 0
    S_COLD = 1
    S_FULL = 2
    S_CLOSING = 3
    S_BUDGET = 4

cdef enum:
    SHARED_BYTES = 64 * 1024    # of the plane's shared buffers, and the size up to which an idle buffer is kept
    SCRATCH_BYTES = 1024 * 1024     # up to which the plane's scratch buffers are kept
    CLOCK_EVERY = 32            # commands between two looks at the clock
    LONG_ARGS = 64              # a command with more arguments is timed by itself: only those can be slow
    SLOW_KEPT = 128
    SPREAD_BITS = 5             # of a time that its counter tells: 3 % is told exactly
    SPREAD = 36 << 5            # counters: up to 2^40 ns

NEED_DATA = S_NEED_DATA
COLD = S_COLD
FULL = S_FULL
CLOSING = S_CLOSING
BUDGET = S_BUDGET

cdef struct slow_t:
    uint64_t conn
    uint64_t us
    out_t request               # as it came, in RESP

cdef struct slow_log_t:
    slow_t at[SLOW_KEPT]
    uint32_t len

cdef struct conn_t:
    plane_t* plane
    slow_log_t* slow
    input_t input
    out_t out
    size_t sent
    uint64_t id
    uint64_t session            # tsunami.Session.id, once the connection needed one; 0: nobody in particular
    const uint64_t* self_row    # who that is to Erlang; the Conn keeps it
    uint64_t created_ms
    uint64_t active_ms
    int db
    int resp
    int outside                 # the version of RESP that the client speaks, while a script has its own in resp; else 0
    int replies                 # CLIENT REPLY: 0 off, 1 on, 2 skip the next
    int last_hot                # index of the last command if it was hot, else -1
    bint authenticated
    bint all_cold
    bint subscribed             # to channels: RESP2 allows few commands then, and output has limits of its own
    bint tracked                # what it reads is noted: Python does that
    bint overrun                # it was closed because it had too much unread output
    bint watching               # it watches keys: EXEC is Python's
    multi_t multi
    void* owner                 # the Conn
    bint closing
    bint cold                   # a cold command stands first
    bint borrowed               # input.data is the plane's
    bint deaf                   # nobody will read the replies
    bint hungry                 # all that has come is answered, but for a request that is incomplete
    # -- of the selector that has adopted the connection
    int fd
    bint readable               # as far as is known: edges are remembered here
    bint writable
    bint ending                 # the end of the stream is announced: what recv says is all there is
    bint ended                  # the peer sends no more: it has been received up to its end
    bint gone                   # the socket is broken
    bint queued
    conn_t* next
    conn_t* prev
    bint woken                  # it stands in the plane's list of those with messages to send
    conn_t* wake_next


# ---- buffers

cdef inline size_t conn_unsent(const conn_t* c) noexcept nogil:
    return c.out.len - c.sent

cdef bint conn_room(conn_t* c, size_t more) noexcept nogil:
    """Room for `more` bytes behind what has come, in a buffer of the connection's own."""
    cdef input_t* q = &c.input
    cdef size_t have = q.end - q.start, cap
    cdef char* data
    if q.cap - q.end >= more:
        return True
    if q.start >= have and q.cap - have >= more:        # moving costs no more than what was read has brought
        memmove(q.data, q.data + q.start, have)
    else:
        cap = q.cap * 2 if q.cap > 2048 else 4096
        if cap < have + more:
            cap = have + more
        data = <char*>realloc(q.data, cap + SLACK) if q.start == 0 else <char*>malloc(cap + SLACK)
        if data == NULL:
            return False
        if q.start != 0:
            memcpy(data, q.data + q.start, have)
            free(q.data)
        q.data = data
        q.cap = cap
    q.start = 0
    q.end = have
    return True

cdef void conn_settle(conn_t* c) noexcept nogil:
    """After a run: what is left of the input gets a buffer of its own, what is empty gives its buffer back."""
    cdef input_t* q = &c.input
    cdef size_t have = q.end - q.start
    cdef size_t missing
    cdef char* data
    if have == 0:
        if not c.borrowed:
            free(q.data)
        q.data = NULL
        q.cap = q.start = q.end = 0
    elif c.borrowed:
        missing = input_missing(q)
        data = <char*>malloc((have + missing if missing else have + 1024) + SLACK)
        if data == NULL:
            c.closing = True
            q.start = q.end
        else:
            memcpy(data, q.data + q.start, have)
            q.data = data
            q.cap = have + missing if missing else have + 1024
            q.start = 0
            q.end = have
    c.borrowed = False

cdef void conn_borrow(conn_t* c) noexcept nogil:
    """Receive into the plane's buffer: only for a connection without input, until conn_settle."""
    c.input.data = c.plane.shared_in
    c.input.cap = SHARED_BYTES
    c.input.start = c.input.end = 0
    c.borrowed = True

cdef void conn_sent(conn_t* c, size_t n) noexcept nogil:
    c.sent += n
    if c.sent == c.out.len:
        c.sent = c.out.len = 0
        free(c.out.data)
        c.out.data = NULL
        c.out.cap = 0

cdef void conn_pack(conn_t* c) noexcept nogil:
    """Before more output is appended: drop what has been sent, if that is the larger part."""
    if c.sent > c.out.len // 2:
        memmove(c.out.data, c.out.data + c.sent, conn_unsent(c))
        c.out.len -= c.sent
        c.sent = 0

cdef inline void conn_hush(conn_t* c) noexcept nogil:
    """The output of a deaf connection is forgotten."""
    if ts_unlikely(c.deaf) and conn_unsent(c):
        conn_sent(c, conn_unsent(c))

cdef void conn_clear(conn_t* c) noexcept nogil:
    """Forget all input and output; nothing more will be read."""
    c.closing = True
    c.cold = False
    conn_sent(c, conn_unsent(c))
    c.input.start = c.input.end
    c.input.pos = c.input.seen = 0
    c.input.argc = 0
    c.input.left = 0
    c.input.bulk = -1
    if c.input.data != NULL and not c.borrowed:
        conn_settle(c)

cdef void conn_limit(conn_t* c) noexcept nogil:
    """Close what has more unsent output than it may have, or has lost a reply for want of memory."""
    cdef size_t limit = c.plane.hard_messages if c.subscribed else c.plane.hard_output
    if c.out.failed or (limit and conn_unsent(c) > limit):
        c.overrun = True
        conn_clear(c)


# ---- running

cdef void slow_note(conn_t* c, const input_t* q, uint64_t us) noexcept nogil:
    cdef slow_log_t* log = c.slow
    cdef slow_t* s
    cdef size_t i
    if log.len == SLOW_KEPT:
        return
    s = &log.at[log.len]
    memset(s, 0, sizeof(slow_t))
    s.conn = c.id
    s.us = us
    out_head(&s.request, c'*', q.argc)
    for i in range(q.argc):
        out_bulk(&s.request, input_arg(q, i), q.args[i].len)
    log.len += 1

cdef inline int conn_speaks(const conn_t* c) noexcept nogil:
    """The version of RESP in which the client is told things."""
    return c.outside if c.outside else c.resp

cdef inline int conn_try(conn_t* c, run_t* r) noexcept nogil:
    """Run the request that stands in r.input. The command's index, and it is still to be counted; -1: it is cold."""
    cdef plane_t* p = c.plane
    cdef const input_t* q = r.input
    cdef hot_t* h
    cdef size_t before = r.out.len
    cdef int index = hot_find(input_arg(q, 0), q.args[0].len)
    if index < 0 or p.off[index] or c.tracked:
        return -1
    if ts_unlikely(p.max_memory != 0 and (p.evicts or p.denyoom[index]) and memory_used() > p.max_memory):
        return -1
    h = &hot_commands[index]
    if ts_unlikely(p.reads_cold) and not h.writes:
        return -1
    if q.argc < h.least or q.argc > h.most or (h.writes and p.hold_writes):
        return -1
    if h.writes and ts_unlikely(p.writes_cold or p.interest.len != 0) and hot_is_heard(p, h, q):
        return -1
    r.odd = False
    if h.run(r) != H_DONE:
        r.out.len = before
        return -1
    return index

cdef inline bint conn_hot(conn_t* c, run_t* r) noexcept nogil:
    """The same, and count it as one command of a batch. False: it is cold."""
    cdef plane_t* p = c.plane
    cdef uint64_t start = 0
    cdef int index
    if ts_unlikely(r.input.argc > LONG_ARGS):
        start = ts_now_ns()
    index = conn_try(c, r)
    if index < 0:
        return False
    if ts_unlikely(start != 0 and p.slow_us >= 0):
        start = (ts_now_ns() - start) // 1000
        if <int64_t>start >= p.slow_us:
            slow_note(c, r.input, start)
    if p.tally[index] == 0:
        p.touched[p.touched_len] = <uint8_t>index
        p.touched_len += 1
    p.tally[index] += 1
    c.last_hot = index
    return True

cdef bint hot_is_heard(const plane_t* p, const hot_t* h, const input_t* q) noexcept nogil:
    """Does somebody want to hear of what this command writes?"""
    cdef probe_t key
    cdef size_t i = 1
    cdef size_t step = 2 if h.writes == W_PAIRS else 1
    cdef size_t end = 2 if h.writes == W_KEY else q.argc
    if h.writes == W_NOTHING or h.writes > W_PAIRS:
        return False
    if p.writes_cold:
        return True
    while i < end:
        if probe_binary(&key, input_arg(q, i), q.args[i].len) != ST_OK or interest_has(&p.interest, key.hash):
            return True
        i += step
    return False

cdef inline void conn_mute(conn_t* c, out_t* o, size_t before) noexcept nogil:
    """What has just been written, from `before` on, is a reply: take it back if CLIENT REPLY says so."""
    if ts_unlikely(c.replies != 1):
        o.len = before
        if c.replies == 2:
            c.replies = 1

cdef inline void conn_runs(conn_t* c, run_t* r, input_t* q, out_t* o) noexcept nogil:
    """What hot commands of this connection see."""
    r.plane = c.plane
    r.input = q
    r.out = o
    r.db_index = c.db
    r.db = c.plane.dbs[c.db]
    r.conn = c
    r.session = c.session
    r.self_row = c.self_row
    r.resp = c.resp
    r.multi = &c.multi
    r.inside = 0
    r.ahead = NULL
    r.named = NULL

cdef inline void scratch_trim(buf_t* b) noexcept nogil:
    """One enormous row does not keep its room."""
    if ts_unlikely(b.cap > SCRATCH_BYTES):
        buf_free(b)

cdef inline uint32_t spread_at(uint64_t ns) noexcept nogil:
    """The counter of a time: its leading bits, after all those of fewer bits."""
    cdef uint32_t e = ts_log2(ns)
    if e < SPREAD_BITS:
        return <uint32_t>ns
    if e >= 40:
        return SPREAD - 1
    return ((e - SPREAD_BITS + 1) << SPREAD_BITS) + (<uint32_t>(ns >> (e - SPREAD_BITS)) & ((1 << SPREAD_BITS) - 1))


def spread_of(uint64_t ns, /):
    """Which counter of Plane.command_spreads() a time belongs to."""
    return spread_at(ns)


cdef void plane_spread(plane_t* p, uint32_t index, uint64_t each, uint32_t n) noexcept nogil:
    """A command took `each` ns, n times."""
    if p.spread[index] == NULL:
        p.spread[index] = <uint64_t*>calloc(SPREAD, sizeof(uint64_t))
        if p.spread[index] == NULL:
            return
    p.spread[index][spread_at(each)] += n

cdef void plane_account(plane_t* p, uint64_t nanos, uint64_t total) noexcept nogil:
    """Spread the time of a batch over the commands that ran in it. Where none did, what is touched belongs to a batch
    that still runs: a transaction's, of which a script has just called a cold command.
    """
    cdef uint32_t i, k
    if total == 0:
        return
    for i in range(p.touched_len):
        k = p.touched[i]
        if p.spreads:
            plane_spread(p, k, nanos // total, p.tally[k])
        p.calls[k] += p.tally[k]
        p.nanos[k] += nanos * p.tally[k] // total
        p.tally[k] = 0
    p.touched_len = 0
    p.commands += total
    scratch_trim(&p.row)
    scratch_trim(&p.copy)

cdef void plane_count(plane_t* p, uint32_t index, uint64_t nanos) noexcept nogil:
    """Count one command by itself, inside of whatever runs."""
    if p.spreads:
        plane_spread(p, index, nanos, 1)
    p.calls[index] += 1
    p.nanos[index] += nanos
    p.commands += 1
    scratch_trim(&p.row)
    scratch_trim(&p.copy)

cdef void conn_refuse(conn_t* c, out_t* o, int st) noexcept nogil:
    """What came is no RESP: say so, and end."""
    cdef char text[96]
    cdef size_t n = parse_error_text(&c.input, st, text + 4)
    memcpy(text, b"ERR ", 4)
    if c.replies == 1:
        out_line(o, c'-', text, n + 4)
    c.closing = True

cdef inline bint conn_only_cold(const conn_t* c) noexcept nogil:
    """A threshold of less than a millisecond wants each command timed by itself."""
    return (c.all_cold or not c.authenticated or c.plane.hold_all or c.plane.monitored
            or (c.subscribed and c.resp == 2) or 0 <= c.plane.slow_us < 1000)

cdef int conn_run(conn_t* c, out_t* o, uint64_t until) noexcept nogil:
    """Answer what has come, into `o`, until a state is reached that is not ours to leave. `until`: ts_now_ns()."""
    cdef run_t r
    cdef bounds_t bounds
    cdef bint only_cold = conn_only_cold(c)
    cdef size_t sent = c.sent if o == &c.out else 0
    cdef uint64_t start, n = 0
    cdef size_t ahead = 0       # requests that have been loaded ahead
    cdef size_t before
    cdef bint far               # the keyspace does not fit the caches
    cdef int st, state
    if c.closing:
        return S_CLOSING
    if c.cold:
        return S_COLD
    start = ts_now_ns()
    bounds.bulk = c.plane.max_bulk
    bounds.stranger = not c.authenticated
    conn_runs(c, &r, &c.input, o)
    far = not only_cold and table_len(r.db) > AHEAD_ROWS
    while True:
        if far and n == ahead and c.input.pos == 0:
            ahead += ahead_load(&c.input, r.db)     # at least one
        if ts_unlikely(o.len - sent > c.plane.soft_output):
            state = S_FULL
            break
        st = input_next(&c.input, &bounds)
        if st != P_READY:
            state = S_NEED_DATA
            if st != P_MORE:
                conn_refuse(c, o, st)
                state = S_CLOSING
            elif input_size(&c.input) + c.multi.requests.len > c.plane.max_query:
                c.closing = True
                state = S_CLOSING
            break
        before = o.len
        if only_cold or not (conn_queued(c, &r) if ts_unlikely(c.multi.on) else conn_hot(c, &r)):
            c.cold = True
            state = S_COLD
            break
        conn_mute(c, o, before)
        n += 1 + r.inside
        if (n % CLOCK_EVERY == 0 or c.input.argc > LONG_ARGS or r.inside) and ts_now_ns() >= until:
            input_drop(&c.input)
            state = S_BUDGET
            break
        r.inside = 0
        input_drop(&c.input)
    c.db = r.db_index
    c.hungry = state == S_NEED_DATA
    if n:
        plane_account(c.plane, ts_now_ns() - start, n)
    elif state == S_COLD:               # it may have turned out so: then it has used the scratch buffers
        scratch_trim(&c.plane.row)
        scratch_trim(&c.plane.copy)
    named_release(&r)
    call_rest(&c.plane.call)
    return state


# ---- the Plane

def now_ms():
    """Give the time by the clock that deadlines are measured with: ms since 1970."""
    return clock_ms()


@cython.final
cdef class Plane:
    """What all connections of one server share: the tables behind the databases, limits, counters, the hot commands."""

    cdef plane_t p
    cdef slow_log_t slow
    cdef uint64_t ids
    cdef list keyspaces
    cdef bytearray room
    cdef object room_view
    # -- of commands that Python carries out: see direct.pxi
    cdef public dict direct         # name as it was written -> Direct, or the same of its subcommands
    cdef public Calls calls         # of scripts; None until there are any
    cdef public dict ready          # keys that were touched and are waited for (tsunami_server.signals)
    cdef public object messages     # knows whose command runs (tsunami_server.pubsub)
    cdef public bint attentive      # every command is looked at: somebody wants to hear of what is due
    cdef public int64_t note_us     # commands that took so long are told to the session; -1: none

    def __cinit__(self):
        memset(&self.p, 0, sizeof(plane_t))
        memset(&self.slow, 0, sizeof(slow_log_t))
        buf_init(&self.p.row, NULL, 0)
        buf_init(&self.p.copy, NULL, 0)
        call_open(&self.p.call)
        self.direct = {}
        self.ready = {}
        self.note_us = -1

    def __init__(self, list keyspaces not None):
        if len(keyspaces) != DATABASES:
            raise ValueError(f"{len(keyspaces)} keyspaces: there are {DATABASES}")
        self.keyspaces = list(keyspaces)
        for i in range(DATABASES):
            self.p.dbs[i] = table_of(self.keyspaces[i])
        self.p.max_bulk = 512 * 1024 * 1024
        self.p.max_query = 1024 * 1024 * 1024
        self.p.soft_query = 64 * 1024 * 1024
        self.p.soft_output = 1024 * 1024
        self.p.slow_us = 10_000
        self.p.spreads = True
        self.room = bytearray(SHARED_BYTES)
        self.room_view = memoryview(self.room)
        self.p.shared_in = <char*>malloc(SHARED_BYTES + SLACK)
        if self.p.shared_in == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef uint32_t i
        buf_free(&self.p.row)
        buf_free(&self.p.copy)
        call_close(&self.p.call)
        for i in range(HOT_MAX):
            free(self.p.spread[i])
        interest_close(&self.p.interest)
        free(self.p.shared_in)
        free(self.p.shared_out.data)
        free(self.p.spelled.data)
        channels_close(&self.p.channels)
        for i in range(self.slow.len):
            free(self.slow.at[i].request.data)

    @property
    def max_bulk(self):
        return self.p.max_bulk

    @max_bulk.setter
    def max_bulk(self, int64_t value):
        self.p.max_bulk = value

    @property
    def max_query(self):
        return self.p.max_query

    @max_query.setter
    def max_query(self, size_t value):
        self.p.max_query = value

    @property
    def soft_query(self):
        return self.p.soft_query

    @soft_query.setter
    def soft_query(self, size_t value):
        self.p.soft_query = value

    @property
    def soft_output(self):
        return self.p.soft_output

    @soft_output.setter
    def soft_output(self, size_t value):
        self.p.soft_output = value

    @property
    def hard_output(self):
        return self.p.hard_output

    @hard_output.setter
    def hard_output(self, size_t value):
        self.p.hard_output = value

    @property
    def hard_messages(self):
        return self.p.hard_messages

    @hard_messages.setter
    def hard_messages(self, size_t value):
        self.p.hard_messages = value

    @property
    def reads_cold(self):
        return self.p.reads_cold

    @reads_cold.setter
    def reads_cold(self, bint value):
        self.p.reads_cold = value

    @property
    def auth_required(self):
        return self.p.auth_required

    @auth_required.setter
    def auth_required(self, bint value):
        self.p.auth_required = value

    @property
    def hold_writes(self):
        return self.p.hold_writes

    @hold_writes.setter
    def hold_writes(self, bint value):
        self.p.hold_writes = value

    @property
    def hold_all(self):
        return self.p.hold_all

    @hold_all.setter
    def hold_all(self, bint value):
        self.p.hold_all = value

    def set_small(self, **limits):
        """Up to what size values with parts are one term: the fields of small_t, by name."""
        cdef small_t* s = &self.p.small
        s.hash_entries = limits["hash_entries"]
        s.hash_value = limits["hash_value"]
        s.set_entries = limits["set_entries"]
        s.set_ints = limits["set_ints"]
        s.set_value = limits["set_value"]
        s.zset_entries = limits["zset_entries"]
        s.zset_value = limits["zset_value"]
        s.list_entries = limits["list_entries"]
        s.list_bytes = limits["list_bytes"]

    @property
    def monitored(self):
        """Are all commands Python's, because somebody reads along?"""
        return self.p.monitored

    @monitored.setter
    def monitored(self, bint value):
        self.p.monitored = value

    @property
    def spreads(self):
        """Is counted how often hot commands took how long?"""
        return self.p.spreads

    @spreads.setter
    def spreads(self, bint value):
        self.p.spreads = value

    def limit_memory(self, uint64_t limit, bint evicts, denyoom, /):
        """Above `limit` bytes (0: none) leave to Python the commands of these names, or all if it evicts then."""
        memset(self.p.denyoom, 0, sizeof(self.p.denyoom))
        for name in denyoom:
            self.p.denyoom[self._index(name)] = True
        self.p.evicts = evicts
        self.p.max_memory = limit

    @property
    def writes_cold(self):
        return self.p.writes_cold

    @writes_cold.setter
    def writes_cold(self, bint value):
        self.p.writes_cold = value

    def interest_add(self, bytes key not None, /):
        """Bring commands that write this key, in any database, to Python, until it has been dropped as often."""
        if not interest_add(&self.p.interest, self._hash_of(key)):
            raise MemoryError

    def interest_drop(self, bytes key not None, /):
        """Undo one interest_add. KeyError if there was none."""
        if not interest_drop(&self.p.interest, self._hash_of(key)):
            raise KeyError(key)

    def interest_count(self):
        """Give the number of different keys that are of interest."""
        return self.p.interest.len

    cdef uint64_t _hash_of(self, bytes key) except? 0:
        cdef bytes padded = key + bytes(SLACK)
        cdef probe_t probe
        if probe_binary(&probe, PyBytes_AS_STRING(padded), <size_t>PyBytes_GET_SIZE(key)) != ST_OK:
            raise ValueError(f"a key of {len(key)} bytes")
        return probe.hash

    @property
    def slow_us(self):
        return self.p.slow_us

    @slow_us.setter
    def slow_us(self, int64_t value):
        self.p.slow_us = value

    def disable(self, str name not None):
        """Make this command cold from now on. KeyError if no hot command has this name."""
        self.p.off[self._index(name)] = True

    def enable(self, str name not None):
        """Undo disable."""
        self.p.off[self._index(name)] = False

    def _index(self, str name):
        cdef bytes text = name.encode()
        cdef bytes padded = text + bytes(SLACK)
        cdef int index = hot_find(PyBytes_AS_STRING(padded), <size_t>PyBytes_GET_SIZE(text))
        if index < 0:
            raise KeyError(name)
        return index

    def expire(self, uint64_t now_ms, size_t budget=20_000, list keys=None, /):
        """Erase what is due in the databases, about budget rows, and append the keys to `keys`: (database, key).

        Gives: rows erased; by how many ms the latest was late; rows with a deadline that are left.
        """
        cdef int i
        cdef size_t erased = 0
        cdef uint64_t late = 0, latest = 0, left = 0
        cdef buf_t rows
        cdef row_sink_t sink = NULL
        if keys is not None:
            sink = expired_key
        buf_init(&rows, NULL, 0)
        try:
            for i in range(DATABASES):
                if table_volatile(self.p.dbs[i]) == 0:
                    continue
                if erased < budget:
                    late = 0
                    rows.len = 0
                    erased += table_expire(self.p.dbs[i], now_ms, budget - erased, &late, sink, &rows)
                    latest = late if late > latest else latest
                    if rows.len:
                        expired_keys(keys, i, &rows)
                left += table_volatile(self.p.dbs[i])
        finally:
            buf_free(&rows)
        return erased, latest, left

    @property
    def patterns(self):
        return self.p.patterns

    @patterns.setter
    def patterns(self, size_t value):
        self.p.patterns = value

    def listen(self, Conn conn not None, bytes channel not None, /):
        """From now on PUBLISH to this channel reaches the connection, which must unlisten before it goes."""
        cdef uint64_t hash = 0
        cdef channel_t* ch
        if not self._channel_hash(channel, &hash):
            return
        ch = channel_open(&self.p.channels, hash, PyBytes_AS_STRING(channel), <size_t>PyBytes_GET_SIZE(channel))
        if ch == NULL:
            raise MemoryError
        if not channel_enter(ch, &conn.c if conn.c.fd >= 0 else NULL):
            channel_shut(&self.p.channels, ch)
            raise MemoryError

    def unlisten(self, Conn conn not None, bytes channel not None, /):
        """Undo listen. KeyError if nobody listens to it."""
        cdef uint64_t hash = 0
        cdef channel_t* ch
        if not self._channel_hash(channel, &hash):
            return
        ch = channel_find(&self.p.channels, hash, PyBytes_AS_STRING(channel), <size_t>PyBytes_GET_SIZE(channel))
        if ch == NULL:
            raise KeyError(channel)
        channel_leave(&self.p.channels, ch, &conn.c)

    cdef bint _channel_hash(self, bytes channel, uint64_t* hash) except -1:
        """False: too long to be a key, so that PUBLISH is Python's."""
        cdef bytes padded = channel + bytes(SLACK)
        cdef probe_t probe
        if probe_binary(&probe, PyBytes_AS_STRING(padded), <size_t>PyBytes_GET_SIZE(channel)) != ST_OK:
            return False
        hash[0] = probe.hash
        return True

    def push_all(self, list conns not None, Push push not None, /):
        """Append a message to the output of each connection, spelled once for each version of RESP.

        It is on them who send to send it: see NativeSelector.push_all.
        """
        fan_out(conns, push)

    def hot_names(self):
        """Give the names, in lower case, of the commands that have a native implementation."""
        return frozenset([hot_commands[i].name.decode() for i in range(hot_len)])

    def counters(self):
        """Give the figures since the last reset_stats, by name."""
        return {
            "commands": self.p.commands,
            "cold_commands": self.p.cold,
            "connections": self.p.connections,
            "bytes_in": self.p.bytes_in,
            "bytes_out": self.p.bytes_out,
            "keyspace_hits": self.p.hits,
            "keyspace_misses": self.p.misses,
        }

    def command_stats(self):
        """Give for each hot command that has run: calls, and microseconds in which all of them ran."""
        return {
            hot_commands[i].name.decode(): (self.p.calls[i], self.p.nanos[i] // 1000)
            for i in range(hot_len)
            if self.p.calls[i]
        }

    def command_spreads(self):
        """Give for each hot command how often it took how long: {counter: calls}.

        Counter n stands for n ns up to 31, and from there on for times of one length in bits with the same five bits
        behind the first: see spread_at. The time of a batch is spread over the commands that ran in it.
        """
        found = {}
        for i in range(hot_len):
            if self.p.spread[i] != NULL:
                found[hot_commands[i].name.decode()] = {
                    at: self.p.spread[i][at] for at in range(SPREAD) if self.p.spread[i][at]
                }
        return found

    def reset_spreads(self, names=None, /):
        """Forget how long these commands took, or all."""
        for i in range(hot_len):
            if self.p.spread[i] != NULL and (names is None or hot_commands[i].name.decode() in names):
                memset(self.p.spread[i], 0, SPREAD * sizeof(uint64_t))

    def reset_stats(self):
        """Begin to count anew."""
        self.p.commands = self.p.cold = self.p.connections = self.p.bytes_in = self.p.bytes_out = 0
        self.p.hits = self.p.misses = 0
        memset(self.p.calls, 0, sizeof(self.p.calls))
        memset(self.p.nanos, 0, sizeof(self.p.nanos))

    def take_slow(self):
        """Give the hot commands that took slow_us or longer since the last call: (connection's id, us, argv)."""
        cdef uint32_t i
        cdef slow_t* s
        cdef list found = []
        for i in range(self.slow.len):
            s = &self.slow.at[i]
            if not s.request.failed:
                request = PyBytes_FromStringAndSize(s.request.data, <Py_ssize_t>s.request.len)
                found.append((s.conn, s.us, parse(request)[0][0]))
            free(s.request.data)
        self.slow.len = 0
        return found


# ---- to many connections, and from many rows

cdef void expired_key(void* ctx, const uint64_t* row) noexcept nogil:
    """Note the key of a row that is due: its length and its bytes. What is no binary is no key of Redis's."""
    cdef buf_t* keys = <buf_t*>ctx
    cdef char scratch[8]
    cdef size_t n = 0
    cdef const char* p
    cdef size_t before = keys.len
    if term_kind(row_cell(row, 0)) != K_BINARY:
        return
    p = term_bytes(row_cell(row, 0), <const char*>row, scratch, &n)
    if buf_append(keys, &n, sizeof(size_t)) != ST_OK or buf_append(keys, p, n) != ST_OK:
        keys.len = before               # no memory: the row goes all the same, untold

cdef int expired_keys(list keys, int db, const buf_t* noted) except -1:
    cdef size_t at = 0, n = 0
    while at < noted.len:
        memcpy(&n, noted.data + at, sizeof(size_t))
        at += sizeof(size_t)
        keys.append((db, PyBytes_FromStringAndSize(noted.data + at, <Py_ssize_t>n)))
        at += n
    return 0

cdef int fan_out(list conns, Push push) except -1:
    """Append a message to the output of each; see Plane.push_all."""
    cdef out_t spelled[2]               # in RESP2 and RESP3, each when it is first needed
    cdef out_t* o
    cdef conn_t* c
    memset(spelled, 0, sizeof(spelled))
    try:
        for item in conns:
            c = &(<Conn?>item).c
            if c.closing or c.deaf:
                continue
            o = &spelled[conn_speaks(c) - 2]
            if o.len == 0:
                out_reply(o, push, conn_speaks(c))
                if o.failed:
                    raise MemoryError
            if c.multi.running:
                out_bytes(&c.multi.late, o.data, o.len)
                continue
            conn_pack(c)
            out_bytes(&c.out, o.data, o.len)
            conn_limit(c)
    finally:
        free(spelled[0].data)
        free(spelled[1].data)
    return 0


# ---- the Conn

@cython.final
cdef class Conn:
    """One connection's protocol state: bytes in, bytes out. Knows nothing of sockets.

    >>> from tsunami import keyspace
    >>> conn = Conn(Plane([keyspace(i) for i in range(16)]))
    >>> conn.feed(b"PING\\r\\nHELLO 3\\r\\n")
    >>> conn.run() == COLD, conn.command(), conn.take_output()
    (True, [b'HELLO', b'3'], b'+PONG\\r\\n')
    """

    cdef conn_t c
    cdef Plane plane
    cdef bytes cold_word         # the name of the last command, if it was a cold one
    cdef public bint behind      # something is to be done behind the reply that comes next
    cdef object identity_        # a Packed
    cdef public object inner     # carries out one command of a transaction: argv -> reply
    cdef public object after     # a transaction in which it took part has ended

    def __cinit__(self, Plane plane not None):
        memset(&self.c, 0, sizeof(conn_t))
        input_init(&self.c.input)
        self.plane = plane
        plane.ids += 1
        plane.p.connections += 1
        self.c.owner = <void*>self
        self.c.plane = &plane.p
        self.c.slow = &plane.slow
        self.c.id = plane.ids
        self.c.resp = 2
        self.c.replies = 1
        self.c.last_hot = -1
        self.c.authenticated = not plane.p.auth_required
        self.c.created_ms = self.c.active_ms = clock_ms()
        self.c.fd = -1
        self.c.hungry = True
        self.cold_word = b""

    def __dealloc__(self):
        free(self.c.input.data)
        input_free(&self.c.input)
        multi_forget(&self.c.multi)
        free(self.c.out.data)

    @property
    def id(self):
        return self.c.id

    @property
    def session(self):
        """The number of the session as which commands run; 0: nobody in particular."""
        return self.c.session

    @session.setter
    def session(self, uint64_t value):
        self.c.session = value

    @property
    def identity(self):
        """Who the session is to Erlang: a tsunami._core.Packed, or None."""
        return self.identity_

    @identity.setter
    def identity(self, value):
        self.c.self_row = row_of_packed(value) if value is not None else NULL
        self.identity_ = value

    @property
    def db(self):
        return self.c.db

    @db.setter
    def db(self, int value):
        if not 0 <= value < DATABASES:
            raise ValueError(f"db {value}: there are {DATABASES}")
        self.c.db = value

    @property
    def resp(self):
        return self.c.resp

    @resp.setter
    def resp(self, int value):
        if value != 2 and value != 3:
            raise ValueError(f"resp {value}: it is 2 or 3")
        self.c.resp = value

    @property
    def speaks(self):
        """The version of RESP that the client speaks: another than `resp` while a script of its own has that."""
        return conn_speaks(&self.c)

    @property
    def authenticated(self):
        return self.c.authenticated

    @authenticated.setter
    def authenticated(self, bint value):
        self.c.authenticated = value

    @property
    def all_cold(self):
        return self.c.all_cold

    @all_cold.setter
    def all_cold(self, bint value):
        self.c.all_cold = value

    @property
    def subscribed(self):
        return self.c.subscribed

    @subscribed.setter
    def subscribed(self, bint value):
        self.c.subscribed = value

    @property
    def tracked(self):
        return self.c.tracked

    @tracked.setter
    def tracked(self, bint value):
        self.c.tracked = value

    @property
    def overrun(self):
        """Was it closed because more output waited than may?"""
        return self.c.overrun

    @property
    def replies(self):
        return self.c.replies

    @replies.setter
    def replies(self, int value):
        if not 0 <= value <= 2:
            raise ValueError(f"replies {value}: 0 off, 1 on, 2 skip the next")
        self.c.replies = value

    @property
    def hungry(self):
        """Is all that has come answered, but for a request that is incomplete?"""
        return self.c.hungry

    @property
    def last_command(self):
        if self.c.last_hot >= 0:
            return hot_commands[self.c.last_hot].name.decode()
        return self.cold_word[:64].decode("latin-1").lower()

    @property
    def created_ms(self):
        return self.c.created_ms

    @property
    def active_ms(self):
        return self.c.active_ms

    def feed(self, data, /):
        """Append what has been received."""
        cdef const uint8_t[::1] view
        if len(data) == 0:
            return
        view = data
        self._received(<const char*>&view[0], <size_t>view.shape[0])

    cdef int _received(self, const char* data, size_t n) except -1:
        cdef size_t missing = input_missing(&self.c.input)
        if self.c.closing:
            return 0
        if not conn_room(&self.c, n if n > missing else missing):
            raise MemoryError
        self.c.hungry = False
        memcpy(self.c.input.data + self.c.input.end, data, n)
        self.c.input.end += n
        self.c.plane.bytes_in += n
        self.c.active_ms = clock_ms()
        return 0

    def get_buffer(self, int sizehint, /):
        """Give a buffer to receive into.

        All connections of the plane share it: buffer_updated() must come before the next get_buffer().
        """
        return self.plane.room_view

    def buffer_updated(self, size_t nbytes, /):
        """Append the first nbytes of what get_buffer() gave."""
        if nbytes > SHARED_BYTES:
            raise ValueError(f"{nbytes} bytes: the buffer has {SHARED_BYTES}")
        self._received(self.plane.room, nbytes)

    def run(self, uint64_t budget_us=1000, /):
        """Answer what has come, for about budget_us microseconds; see the states above."""
        return self.go_on(ts_now_ns() + budget_us * 1000)

    cdef int go_on(self, uint64_t until) except -1:
        cdef int state
        conn_pack(&self.c)
        state = conn_run(&self.c, &self.c.out, until)
        conn_hush(&self.c)
        conn_settle(&self.c)
        conn_limit(&self.c)
        if trash_waiting():
            trash_collect()
        return S_CLOSING if self.c.closing else state

    def command(self):
        """Give the cold command that stands first, its name included."""
        cdef list argv
        if not self.c.cold:
            raise RuntimeError("no cold command stands first: run() has not answered COLD")
        argv = input_argv(&self.c.input)
        self.met(argv[0])
        return argv

    cdef void met(self, bytes word) noexcept:
        """The cold command that stands first has this name."""
        self.cold_word = word
        self.c.last_hot = -1

    def done(self):
        """The cold command is answered: go on behind it."""
        if not self.c.cold:
            return                      # the connection was cleared meanwhile
        self.c.cold = False
        self.c.active_ms = clock_ms()   # a command that took long was no idleness
        self.c.plane.commands += 1
        self.c.plane.cold += 1
        input_drop(&self.c.input)
        conn_settle(&self.c)

    def answer(self, session, uint64_t budget_us=1000, /):
        """Answer the cold command that stands first, and what is behind it, for about budget_us microseconds.

        The session carries out what does not go the short way (direct.pxi). Gives the state that was reached, COLD if
        the time is over; or what has to be awaited: the reply to the command that stands first.
        """
        return answer_cold(self, session, budget_us)

    def write(self, reply, /):
        """Append a reply, in its version of RESP, unless CLIENT REPLY forbids it. TypeError: as encode()."""
        if type(reply) is Raw and not (<Raw>reply).data:
            return
        if self.is_mute():
            return
        self._append(reply, self.c.resp)

    cdef int spelled(self, const out_t* reply) except -1:
        """As write, of what is RESP already."""
        if self.is_mute() or self.c.closing or self.c.deaf:
            return 0
        conn_pack(&self.c)
        out_bytes(&self.c.out, reply.data, reply.len)
        conn_limit(&self.c)
        return 0

    cdef bint is_mute(self) noexcept:
        """Does CLIENT REPLY take back the reply that comes now?"""
        cdef bint mute = self.c.replies != 1
        if self.c.replies == 2:
            self.c.replies = 1
        return mute

    def push(self, Push reply not None, int resp=0, /):
        """Append a message that no request asked for, in this version of RESP (0: the connection's).

        It comes after all that has been written, and before all that will be: replies are written as a whole, and this
        runs on the same thread as they.
        """
        if resp == 0:
            resp = conn_speaks(&self.c)
        if self.c.multi.running and not self.c.closing and not self.c.deaf:
            out_reply(&self.c.multi.late, reply, resp)      # behind the reply of EXEC
        else:
            self._append(reply, resp)

    # -- transactions: what Python does of them

    @property
    def multi(self):
        """The number of commands that are queued; -1: there is no transaction."""
        return self.c.multi.count if self.c.multi.on else -1

    @property
    def multi_size(self):
        """Bytes that the queue takes."""
        return self.c.multi.requests.cap

    @property
    def multi_writes(self):
        """Is a command queued that writes?"""
        return self.c.multi.writes

    @property
    def spoiled(self):
        """Was a command refused since MULTI?"""
        return self.c.multi.spoiled

    @spoiled.setter
    def spoiled(self, bint value):
        self.c.multi.spoiled = value

    @property
    def watching(self):
        return self.c.watching

    @watching.setter
    def watching(self, bint value):
        self.c.watching = value

    def begin(self):
        """MULTI: queue what comes."""
        self.c.multi.on = True

    def queue(self, bint writes, /):
        """Queue the command that stands first; only if nothing was refused, since EXEC would never run it."""
        if not self.c.cold:
            raise RuntimeError("no command stands first")
        if self.c.multi.spoiled:
            return
        if not multi_keep(&self.c.multi, &self.c.input):
            raise MemoryError
        self.c.multi.cold = True
        self.c.multi.writes = self.c.multi.writes or writes

    def queued(self):
        """Give the commands that are queued."""
        cdef input_t q
        cdef size_t at = 0
        cdef list found = []
        while at < self.c.multi.requests.len:
            at = multi_read(&self.c.multi, at, &q)
            found.append(input_argv(&q))
        return found

    def forget(self):
        """DISCARD: there is no transaction any more."""
        multi_forget(&self.c.multi)

    def exec(self):
        """Run what is queued, and write the array of the replies. The transaction ends."""
        cdef uint64_t start = ts_now_ns()
        cdef uint64_t n = self.c.multi.count
        conn_pack(&self.c)
        if not conn_exec(&self.c, &self.c.out, conn_only_cold(&self.c), NULL):
            raise MemoryError
        if self.c.plane.touched_len:
            plane_account(self.c.plane, ts_now_ns() - start, n)
        conn_hush(&self.c)
        conn_limit(&self.c)

    cdef int _append(self, reply, int resp) except -1:
        if self.c.closing or self.c.deaf:
            return 0
        conn_pack(&self.c)
        out_reply(&self.c.out, reply, resp)
        conn_limit(&self.c)
        return 0

    def close(self):
        """Read nothing more: the next state is CLOSING, after what is still unsent."""
        self.c.closing = True

    def deafen(self):
        """Nobody will read the replies: what has arrived is still carried out, and nothing is written."""
        self.c.deaf = True
        conn_hush(&self.c)

    def take_output(self, Py_ssize_t limit=-1, /):
        """Give what is to be sent, at most `limit` bytes of it, and forget it."""
        cdef size_t n = conn_unsent(&self.c)
        cdef bytes data
        if limit >= 0 and n > <size_t>limit:
            n = <size_t>limit
        if n == 0:
            return b""
        data = PyBytes_FromStringAndSize(self.c.out.data + self.c.sent, <Py_ssize_t>n)
        conn_sent(&self.c, n)
        self.c.plane.bytes_out += n
        return data

    def output_size(self):
        """Bytes that wait to be sent."""
        return conn_unsent(&self.c)

    def query_size(self):
        """Bytes that wait to be read as requests."""
        return input_size(&self.c.input)
