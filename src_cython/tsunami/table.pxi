# The table: what all types have in common.
#
# A table is its options, an array of stripes, and a pointer to the method table of its type. It knows nothing of Python
# objects except that some rows hold
# slots of the object registry below, whose pointers it keeps but never looks at.
#
# Who frees what: a table_t lives while its reference count is above 0 (the Table object has one, every table_find
# another). `alive` ends when the table is deleted:
# each operation reads its stripe's copy of it under the stripe's lock, so nobody finds a half deleted table.
#
# Lock order: stripes by (table id, index), through lock_all or lock_set only; then the objects' lock; then the pool's.
# Names have a lock of their own, under which
# no other is taken.

cdef struct objects_t:
    # Reference terms: a row holds a slot number, the Table object holds the objects, by slot, in a list that the
    # collector sees. A slot is counted: by
    # every stored row it stands in, and by whoever has a copy of such a row or builds one. So an object lives until no
    # row and no reader
    # needs it; and the last one who lets go needs no GIL: the slot goes to the trash, which the next one who holds the
    # GIL empties.
    ts_lock_t lock
    uint32_t* refs          # by slot
    collection_t** large    # by slot: what the engine itself knows of the object; NULL: nothing
    uint32_t* free          # a stack of slots without object
    uint32_t* trash         # slots with an object that nobody needs
    uint32_t used           # slots ever given out
    uint32_t cap
    uint32_t free_len
    uint32_t trash_len
    size_t spent

cdef struct felled_t:
    # A tree that was cut out of a grove's: nobody finds its rows any more, and they wait to be freed.
    tree_t tree
    felled_t* next

cdef struct grove_t:
    arena_t arena
    tree_t tree
    felled_t* felled
    # Where next and prev went last: see grove_step.
    tree_walk_t way
    uint64_t way_moves      # the tree's moves then
    uint32_t way_node       # what they found; 0: nothing
    int way_dir
    bint way_open           # `way` stands there, too

cdef struct stripe_t:
    ts_lock_t lock
    uint32_t alive
    # -- from here on swapped as a whole by table_swap; guarded by lock
    map_t map
    slab_t slab
    uint64_t rows           # read without the lock, as a figure
    uint64_t timed          # rows with a deadline; likewise
    uint64_t special        # rows that the pages alone do not free: groups, malloc blocks, rows with objects
    wheel_t* wheel
    map_t* graves           # while the table is fixed: one-element rows with the keys that were deleted
    grove_t* grove          # ordered tables: the tree; NULL until there is a row

# ---- walking

cdef enum verdict_t:
    # What a visit function says of the row it was given.
    V_NEXT = 0              # keep the row, go on
    V_STOP = 1              # keep it, and stop behind it
    V_ERASE = 2             # erase it, go on
    V_REPLACE = 3           # `out` holds a row with an equal key: put that in its place, go on
    V_FAIL = 4              # stop before this row; scan answers ST_STOP
    V_ERASE_STOP = 5        # erase it, and stop behind it

# Called under the stripe's lock for one row after the other: copy out what you need, call nothing that can wait. `out`
# comes in empty.
ctypedef int (*visit_t)(void* ctx, const uint64_t* row, buf_t* out) noexcept nogil

cdef struct span_t:
    # A range of keys, by their order-preserving forms; only ordered tables look at it. A bound is compared as bytes, so
    # it may also be what several forms begin with. `high_open` and `low_open` leave the key that equals the bound out.
    const char* low         # NULL: no bound
    size_t low_len
    bint low_open
    const char* high
    size_t high_len
    bint high_open
    bint backwards

cdef struct place_t:
    # Where a walk stands: behind the row it visited last. It holds no lock and no pointer into the table, so it can be
    # kept, copied, and used any number of times.
    buf_t key               # a one-element row: the key visited last; empty: nothing yet
    int64_t seen            # bags: how many positions of that key's group are done, holes included; -1: the whole key
    uint64_t start          # hash tables, while there is no key: the hash position below which all is done
    bint over               # the walk has come to its end

cdef struct methods_t:
    # What a table type is. Named as in docs/architecture.md; all are called without the stripe's lock and take it
    # themselves.
    const char* name
    bint bag
    bint ordered
    int (*get)(table_t* t, const probe_t* key, row_sink_t sink, void* ctx) noexcept nogil
    int (*member)(table_t* t, const probe_t* key) noexcept nogil
    int (*put)(table_t* t, const uint64_t* row, uint64_t deadline) noexcept nogil
    int (*take)(table_t* t, const probe_t* key, row_sink_t sink, void* ctx) noexcept nogil
    int (*erase)(table_t* t, const uint64_t* row) noexcept nogil                       # delete_object
    int (*update)(table_t* t, const probe_t* key, row_edit_t edit, void* ctx) noexcept nogil
    # The rows of the key next to `start` in direction dir (1 up, 0 down); NULL: of the first or last key.
    int (*seek)(table_t* t, const probe_t* start, int dir, row_sink_t sink, void* ctx) noexcept nogil
    # Visit at most `budget` rows behind `at`, which moves, under one hold of a lock. It may return earlier: the caller
    # goes on until at.over. ST_OK, ST_STOP (V_FAIL), ST_GONE, ST_NO_MEMORY.
    int (*scan)(
        table_t* t, const span_t* span, place_t* at, size_t budget, visit_t visit, void* ctx
    ) noexcept nogil
    # Hash tables: the same by the position of hashes, for SCAN's cursors and for slots.
    int (*sweep)(table_t* t, uint64_t* cursor, uint64_t end, size_t budget, row_sink_t sink, void* ctx) noexcept nogil
    # The rows of a slot: ST_ABSENT just behind the last slot, ST_BADARG beyond.
    int (*slot)(table_t* t, uint64_t index, row_sink_t sink, void* ctx) noexcept nogil
    # Several rows in one step; NULL where ops_commit is as good.
    int (*put_many)(table_t* t, const uint64_t** rows, size_t n, bint only_new) noexcept nogil
    # -- ways that are short: ST_CONFLICT where they do not lead, and nothing was done
    # Copy a key's only row to `home`, if it has room for it.
    int (*copy)(table_t* t, const probe_t* key, uint64_t* home, size_t room) noexcept nogil
    # Add to an integer of a key's row.
    int (*bump)(table_t* t, const probe_t* key, size_t pos, int64_t by, int64_t* sum) noexcept nogil
    # -- what follows is called with the stripe held; a key comes with its form where the type is ordered
    # The row that lives under a key, or NULL; of a bag its first one.
    uint64_t* (*find)(table_t* t, stripe_t* s, const probe_t* key, const form_t* form) noexcept nogil
    # Room for n keys more, so that as many calls of place do not fail.
    int (*reserve)(table_t* t, stripe_t* s, size_t n) noexcept nogil
    # Store a row that row_make made; if it fails, that stays the caller's.
    int (*place)(table_t* t, stripe_t* s, const probe_t* key, const form_t* form, uint64_t* made) noexcept nogil
    # Erase a key, if it is there.
    void (*remove)(table_t* t, stripe_t* s, const probe_t* key, const form_t* form) noexcept nogil
    # The table is fixed and what is in `out` has just been taken out: remember its keys.
    void (*bury)(table_t* t, stripe_t* s, stripe_t* out) noexcept nogil
    # The last fixation has gone.
    void (*thaw)(table_t* t, stripe_t* s) noexcept nogil
    # Bytes besides the slab's.
    size_t (*spent)(const stripe_t* s) noexcept nogil
    # None, or which invariant is broken.
    str (*check)(table_t* t, stripe_t* s)
    # -- and this one without: free what was taken out of a stripe, but for its slab
    void (*release)(table_t* t, stripe_t* s) noexcept nogil

cdef struct table_t:
    uint64_t id
    uint64_t refs
    const methods_t* methods
    stripe_t* stripes
    uint32_t stripe_bits
    uint32_t keypos
    uint32_t alive          # ends under names.lock; a stripe has its own, under its lock
    uint32_t protection     # PUBLIC, PROTECTED, PRIVATE (session.pxi)
    uint64_t owner          # the session's number; 0: nobody
    bint stamped            # rows carry the time of their last access
    uint64_t fixed          # fixations in force
    uint64_t steady         # walks in pieces under way that need the groups of a bag to keep their positions
    place_hash_t place
    uint64_t slot_bits      # the numbering of slots, frozen while fixed
    objects_t objects
    # the registry of names, guarded by names.lock
    char* name
    size_t name_len
    table_t* by_name
    # the registry of numbers, guarded by names.lock
    table_t* by_id
    bint enlisted

cdef enum:
    STRIPES_MAX_BITS = 16
    NAME_BUCKETS = 1024

cdef struct names_t:
    ts_lock_t lock
    table_t* buckets[NAME_BUCKETS]

cdef names_t names
cdef uint32_t trash_waits = 0           # some table has trash; for those who let rows go without the GIL
cdef uint64_t table_ids = 0
cdef uint64_t knob_clock = 0            # ms: the time, for tests of deadlines; 0: the clock
cdef uint64_t knob_spread = 0           # 0: each new table has one of its own (hashmap.pxi)
cdef uint32_t knob_hash_bits = 64       # significant bits of the hashes of new tables
cdef uint32_t knob_scan_rows = 512      # rows copied out under one hold of a stripe
cdef uint32_t knob_default_stripes = 0

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_REALTIME
    int clock_gettime(int which, timespec* ts) noexcept

cdef extern from *:
    """
    #include <time.h>
    #ifdef CLOCK_REALTIME_COARSE
    #define TS_CLOCK_STAMP CLOCK_REALTIME_COARSE
    #else
    #define TS_CLOCK_STAMP CLOCK_REALTIME
    #endif
    """
    int TS_CLOCK_STAMP

cdef uint64_t clock_ms() noexcept nogil:
    cdef timespec ts
    cdef uint64_t knob = counter_load(&knob_clock)
    if knob != 0:
        return knob
    clock_gettime(CLOCK_REALTIME, &ts)
    return <uint64_t>ts.tv_sec * 1000 + <uint64_t>ts.tv_nsec // 1000000

cdef inline uint32_t clock_stamp() noexcept nogil:
    cdef timespec ts
    cdef uint64_t knob = counter_load(&knob_clock)
    if knob != 0:
        return <uint32_t>(knob // 1000)
    clock_gettime(TS_CLOCK_STAMP, &ts)
    return <uint32_t>ts.tv_sec


# ---- stored rows: the term, then | stamp | deadline next pprev |, each only where its flag is set

cdef inline size_t row_words(const uint64_t* row) noexcept nogil:
    """Of the whole allocation."""
    return row[0] & EXTENT_MASK

cdef inline uint64_t* row_stamp_word(uint64_t* row) noexcept nogil:
    return row + header_words(row[0])

# The stamp word: the time of the last access in s, and above it how often the row was used of late, as Redis counts it:
#
#      63        48         40        32                          0
#     | minutes    | 0      | counter  | seconds since 1970        |
#
# The counter grows by chance, the more slowly the higher it stands (1 / ((counter - 5) * factor + 1)), and loses one
# for each `decay` minutes since `minutes`, the time when that was last looked at. Where nobody asks for it it is not
# kept.

cdef enum:
    USE_FRESH = 5               # the counter of a new row: it is not the first to be evicted

cdef uint32_t knob_quiet = 0            # accesses leave no stamps: a client that must not touch what it looks at
cdef uint32_t knob_use = 0              # the counters are kept
cdef uint64_t knob_use_factor = 10
cdef uint64_t knob_use_decay = 1        # minutes; 0: the counters do not fall
cdef uint64_t dice = 0x9E3779B97F4A7C15u

cdef inline uint32_t use_minutes() noexcept nogil:
    return (clock_stamp() // 60) & 0xFFFF

cdef inline uint32_t use_fresh() noexcept nogil:
    return use_minutes() << 16 | USE_FRESH if ts_unlikely(flag_load(&knob_use) != 0) else 0

cdef inline uint32_t row_use(uint64_t* row) noexcept nogil:
    return <uint32_t>(row_stamp_word(row)[0] >> 32)

cdef uint32_t use_decayed(uint32_t use) noexcept nogil:
    """The counter as it stands now."""
    cdef uint32_t counter = use & 0xFF
    cdef uint64_t decay = counter_load(&knob_use_decay)
    cdef uint64_t fall = ((use_minutes() - (use >> 16)) & 0xFFFF) // decay if decay else 0
    return counter - <uint32_t>fall if fall < counter else 0

cdef uint32_t use_again(uint32_t use) noexcept nogil:
    """After one more access."""
    cdef uint32_t counter = use_decayed(use)
    cdef uint64_t odds = 1, chance
    if counter > USE_FRESH:
        odds += (counter - USE_FRESH) * counter_load(&knob_use_factor)
    chance = counter_load(&dice)
    chance ^= chance << 13
    chance ^= chance >> 7
    chance ^= chance << 17
    counter_store(&dice, chance)
    if counter < 255 and (chance >> 11) % odds == 0:
        counter += 1
    return use_minutes() << 16 | counter

cdef void row_touch_odd(uint64_t* row) noexcept nogil:
    cdef uint64_t* word = row_stamp_word(row)
    if flag_load(&knob_quiet):
        return
    word[0] = clock_stamp() | <uint64_t>use_again(<uint32_t>(word[0] >> 32)) << 32

cdef inline void row_touch(uint64_t* row) noexcept nogil:
    """A stamped row is read or about to be written."""
    if ts_unlikely(flag_load(&knob_use) | flag_load(&knob_quiet)):
        row_touch_odd(row)
    else:
        (<uint32_t*>row_stamp_word(row))[0] = clock_stamp()

cdef inline void row_use_keep(uint64_t* row, uint32_t use) noexcept nogil:
    """The row has taken another's place."""
    (<uint32_t*>row_stamp_word(row))[1] = use

cdef inline bint row_expired(const uint64_t* row) noexcept nogil:
    return ts_unlikely((row[0] & ROW_EXPIRES) != 0) and timer_deadline(row) <= clock_ms()

cdef inline cell_t row_as_cell(const uint64_t* row) noexcept nogil:
    """The row as a tuple term whose base is the row."""
    return LOW_TUPLE | (<uint64_t>row_arity(row) << 34)

cdef inline void row_probe(const uint64_t* row, size_t keypos, probe_t* p) noexcept nogil:
    probe_term(p, row[1 + keypos], <const char*>row)


# ---- forms of keys

cdef struct formed_t:
    # A key's order-preserving form, with storage of its own for short ones.
    form_t form
    buf_t buf
    uint64_t[16] home

cdef inline int form_add(buf_t* b, cell_t cell, const char* base, size_t* n) noexcept nogil:
    """Append a form, and behind it the eight zero bytes that readers may load. *n: its length without them."""
    cdef size_t at = b.len
    cdef uint64_t zeros = 0
    cdef int st = term_order_key(cell, base, b, False)
    n[0] = b.len - at
    return buf_append(b, &zeros, 8) if st == ST_OK else st

cdef inline int form_open(formed_t* f, cell_t cell, const char* base) noexcept nogil:
    """ST_OK, ST_NO_MEMORY, ST_NOT_STORABLE. To be closed in any case."""
    cdef int st
    buf_init(&f.buf, <char*>f.home, sizeof(f.home))
    st = form_add(&f.buf, cell, base, &f.form.n)
    f.form.p = f.buf.data
    return st

cdef inline void form_close(formed_t* f) noexcept nogil:
    if ts_unlikely(f.buf.data != <char*>f.home):
        buf_free(&f.buf)


# ---- places

cdef void place_open(place_t* p) noexcept nogil:
    """Before the first row."""
    buf_init(&p.key, NULL, 0)
    p.seen = -1
    p.start = 0
    p.over = False

cdef void place_close(place_t* p) noexcept nogil:
    buf_free(&p.key)

cdef int place_copy(place_t* p, const place_t* other) noexcept nogil:
    """Open p where the other stands. ST_OK or ST_NO_MEMORY; either way p is open."""
    place_open(p)
    p.seen = other.seen
    p.start = other.start
    p.over = other.over
    return buf_append(&p.key, other.key.data, other.key.len)

cdef int place_move(place_t* p, const uint64_t* row, size_t keypos) noexcept nogil:
    """Behind all rows with this row's key. Without memory it stays where it was."""
    cdef buf_t key
    cdef size_t at = 0
    cdef int st
    if p.key.data != NULL and place_holds(p, row, keypos):
        p.seen = -1
        return ST_OK
    buf_init(&key, NULL, 0)
    st = row_begin(&key, 1, &at)
    if st == ST_OK:
        st = row_add_term(&key, at, 0, row[1 + keypos], <const char*>row)
    if st == ST_OK:
        st = row_end(&key, at)
    if st != ST_OK:
        buf_free(&key)
        return st
    buf_free(&p.key)
    p.key = key
    p.seen = -1
    return ST_OK

cdef inline bint place_holds(const place_t* p, const uint64_t* row, size_t keypos) noexcept nogil:
    """Does it stand at this row's key?"""
    cdef const uint64_t* key = <const uint64_t*>p.key.data
    return p.key.len > 0 and term_equal(key[1], <const char*>key, row[1 + keypos], <const char*>row)

cdef inline void place_probe(const place_t* p, probe_t* key) noexcept nogil:
    """The key it stands at; it has to have one."""
    row_probe(<const uint64_t*>p.key.data, 0, key)


# ---- the object registry

ctypedef void (*object_visit_t)(objects_t* o, uint32_t slot) noexcept nogil

cdef void row_each_object(objects_t* o, const uint64_t* row, object_visit_t visit) noexcept nogil:
    """Call visit for every reference term in a row."""
    cdef walk_t w
    cdef size_t i
    cdef const uint64_t* body
    if not row[0] & HAS_OBJECT:
        return
    walk_begin(&w, row, LOW_TUPLE)
    while True:
        if w.low != 0 and row[w.at] & HAS_OBJECT:
            body = row + w.at
            for i in range(1, w.words):
                if (body[i] & 0xFF) == LOW_OBJECT:
                    visit(o, <uint32_t>(body[i] >> 32))
        if not walk_next(&w):
            break
    walk_end(&w)

cdef void object_retain(objects_t* o, uint32_t slot) noexcept nogil:
    ts_lock_acquire(&o.lock)
    o.refs[slot] += 1
    ts_lock_release(&o.lock)

cdef void object_release(objects_t* o, uint32_t slot) noexcept nogil:
    cdef bint last
    ts_lock_acquire(&o.lock)
    o.refs[slot] -= 1
    last = o.refs[slot] == 0
    if last:
        o.trash[o.trash_len] = slot             # as long as refs: there is room for all
        counter_trash(o, o.trash_len + 1)
        flag_store(&trash_waits, 1)
    ts_lock_release(&o.lock)

cdef inline void counter_trash(objects_t* o, uint32_t n) noexcept nogil:
    flag_store(&o.trash_len, n)                 # read without the lock by those who ask whether there is any

cdef int objects_widen(objects_t* o) noexcept nogil:
    """Room for more slots. The lock is held."""
    cdef uint32_t cap = o.cap * 2 if o.cap else 16
    cdef uint32_t* room = <uint32_t*>calloc(<size_t>cap * 3, sizeof(uint32_t))
    cdef collection_t** large = <collection_t**>calloc(cap, sizeof(collection_t*))
    cdef size_t spent
    if room == NULL or large == NULL:
        free(room)
        free(large)
        return ST_NO_MEMORY
    if o.refs != NULL:
        memcpy(room, o.refs, o.cap * sizeof(uint32_t))
        memcpy(room + cap, o.free, o.cap * sizeof(uint32_t))
        memcpy(room + 2 * <size_t>cap, o.trash, o.cap * sizeof(uint32_t))
        memcpy(large, o.large, o.cap * sizeof(collection_t*))
        free(o.refs)
        free(o.large)
    o.refs = room
    o.large = large
    o.free = room + cap
    o.trash = room + 2 * <size_t>cap
    o.cap = cap
    spent = block_bytes(<size_t>cap * 3 * sizeof(uint32_t)) + block_bytes(<size_t>cap * sizeof(collection_t*))
    held_add(spent - o.spent)
    o.spent = spent
    return ST_OK

cdef int object_take(objects_t* o, uint32_t* slot) noexcept nogil:
    """A slot with one reference, the caller's."""
    cdef int st = ST_OK
    ts_lock_acquire(&o.lock)
    if o.free_len > 0:
        o.free_len -= 1
        slot[0] = o.free[o.free_len]
    else:
        if o.used == o.cap:
            st = objects_widen(o)
        if st == ST_OK:
            slot[0] = o.used
            o.used += 1
    if st == ST_OK:
        o.refs[slot[0]] = 1
        o.large[slot[0]] = NULL
    ts_lock_release(&o.lock)
    return st

cdef void object_known(objects_t* o, uint32_t slot, collection_t* large) noexcept nogil:
    """The object in a slot that the caller holds is a collection."""
    ts_lock_acquire(&o.lock)
    o.large[slot] = large
    ts_lock_release(&o.lock)

cdef collection_t* table_collection(table_t* t, cell_t c) noexcept nogil:
    """What a cell of a row of this table stands for, if that is a collection, else NULL. Lives as long as the row."""
    cdef collection_t* large
    if (c & 0xFF) != LOW_OBJECT:
        return NULL
    ts_lock_acquire(&t.objects.lock)
    large = t.objects.large[<uint32_t>(c >> 32)]
    ts_lock_release(&t.objects.lock)
    return large

cdef bint object_revive(objects_t* o, uint32_t slot) noexcept nogil:
    """One reference more, unless the last one has gone already."""
    cdef bint live
    ts_lock_acquire(&o.lock)
    live = o.refs[slot] != 0
    if live:
        o.refs[slot] += 1
    ts_lock_release(&o.lock)
    return live

cdef bint object_discard(objects_t* o, uint32_t* slot) noexcept nogil:
    """Take a slot out of the trash. The caller drops its object and then calls object_vacate."""
    cdef bint some
    ts_lock_acquire(&o.lock)
    some = o.trash_len > 0
    if some:
        counter_trash(o, o.trash_len - 1)
        slot[0] = o.trash[o.trash_len]
    ts_lock_release(&o.lock)
    return some

cdef void object_vacate(objects_t* o, uint32_t slot) noexcept nogil:
    ts_lock_acquire(&o.lock)
    o.free[o.free_len] = slot
    o.free_len += 1
    if o.free_len == o.used:            # the last one: begin anew
        free(o.refs)
        free(o.large)
        o.refs = o.free = o.trash = NULL
        o.large = NULL
        o.used = o.cap = o.free_len = 0
        held_sub(o.spent)
        o.spent = 0
    ts_lock_release(&o.lock)


# ---- life of a table

cdef uint32_t bits_for(size_t n) noexcept nogil:
    cdef uint32_t b = 0
    while (<size_t>1 << b) < n:
        b += 1
    return b

cdef void stripe_open(table_t* t, stripe_t* s) noexcept nogil:
    """Empty, everything but the lock and alive."""
    map_open(&s.map, t.stripe_bits, t.keypos, &t.place)
    stripe_reset(s)

cdef void stripe_reset(stripe_t* s) noexcept nogil:
    """Empty again: somebody else has taken what was in it. What is constant is not written, for it is read without the
    lock."""
    map_reset(&s.map)
    memset(&s.slab, 0, sizeof(slab_t))
    s.slab.metered = flag_load(&metering) != 0
    counter_store(&s.rows, 0)
    counter_store(&s.timed, 0)
    s.special = 0
    s.wheel = NULL
    s.graves = NULL
    s.grove = NULL

cdef void stripe_assume(stripe_t* s, const stripe_t* other) noexcept nogil:
    """Take over what is in another stripe of the same shape: everything but the lock and alive."""
    map_assume(&s.map, &other.map)
    s.slab = other.slab
    counter_store(&s.rows, other.rows)
    counter_store(&s.timed, other.timed)
    s.special = other.special
    s.wheel = other.wheel
    s.graves = other.graves
    s.grove = other.grove

cdef inline size_t table_struct_bytes(const table_t* t) noexcept nogil:
    return block_bytes(sizeof(table_t)) + block_bytes(table_stripes(t) * sizeof(stripe_t))

cdef table_t* table_open(const methods_t* methods, uint32_t keypos, uint32_t stripe_bits) noexcept nogil:
    cdef table_t* t = <table_t*>calloc(1, sizeof(table_t))
    cdef size_t i
    if t == NULL:
        return NULL
    t.stripes = <stripe_t*>calloc(<size_t>1 << stripe_bits, sizeof(stripe_t))
    if t.stripes == NULL:
        free(t)
        return NULL
    t.id = counter_add(&table_ids, 1) + 1
    t.refs = 1
    t.methods = methods
    t.keypos = keypos
    t.stripe_bits = stripe_bits
    held_add(table_struct_bytes(t))
    t.alive = 1
    t.place.mask = ~<uint64_t>0 if knob_hash_bits >= 64 else ~(~<uint64_t>0 >> knob_hash_bits)
    t.place.spread = (knob_spread or hash_cell(t.id)) | 1
    for i in range(<size_t>1 << stripe_bits):
        t.stripes[i].alive = 1
        stripe_open(t, &t.stripes[i])
    return t

cdef void table_alike(table_t* t) noexcept nogil:
    """Place keys as all tables do of which this was said: these can be swapped. Before anybody knows the table."""
    cdef size_t i
    t.place.spread = 1
    for i in range(table_stripes(t)):
        stripe_open(t, &t.stripes[i])

cdef void table_retain(table_t* t) noexcept nogil:
    refs_take(&t.refs)

cdef void table_release(table_t* t) noexcept nogil:
    if refs_drop(&t.refs):
        table_drop(t)
        held_sub(table_struct_bytes(t) + t.objects.spent)
        free(t.objects.refs)
        free(t.objects.large)
        free(t.stripes)
        free(t.name)
        free(t)

cdef inline size_t table_stripes(const table_t* t) noexcept nogil:
    return <size_t>1 << t.stripe_bits

cdef inline stripe_t* table_stripe(const table_t* t, uint64_t hash) noexcept nogil:
    return &t.stripes[(hash_place(&t.place, hash) >> 1) >> (63 - t.stripe_bits)]

cdef void lock_all(table_t* t) noexcept nogil:
    cdef size_t i = 0, n = table_stripes(t)
    while i < n:
        if ts_lock_acquire_ungated(&t.stripes[i].lock):
            i += 1
            continue
        stripes_free(t, i)              # nobody waits for a gate while holding a lock
        ts_gate_wait(&t.stripes[i].lock)
        i = 0

cdef void lock_both(table_t* a, table_t* b) noexcept nogil:
    """Two whole tables, a's id the smaller."""
    cdef size_t i = 0, n = table_stripes(b)
    lock_all(a)
    while i < n:
        if ts_lock_acquire_ungated(&b.stripes[i].lock):
            i += 1
            continue
        stripes_free(b, i)
        unlock_all(a)
        ts_gate_wait(&b.stripes[i].lock)
        lock_all(a)
        i = 0

cdef void stripes_free(table_t* t, size_t n) noexcept nogil:
    """Let go of the first n stripes."""
    cdef size_t i
    for i in range(n):
        ts_lock_release(&t.stripes[i].lock)

cdef void unlock_all(table_t* t) noexcept nogil:
    stripes_free(t, table_stripes(t))

cdef struct lockee_t:
    uint64_t table_id
    size_t index
    stripe_t* stripe

cdef int lockee_order(const void* a, const void* b) noexcept nogil:
    cdef const lockee_t* x = <const lockee_t*>a
    cdef const lockee_t* y = <const lockee_t*>b
    if x.table_id != y.table_id:
        return -1 if x.table_id < y.table_id else 1
    if x.index != y.index:
        return -1 if x.index < y.index else 1
    return 0

cdef size_t lock_set(lockee_t* set, size_t n) noexcept nogil:
    """Sort, drop what stands twice, take all. The new length."""
    cdef size_t i, m = 0
    if n > 1:
        qsort(set, n, sizeof(lockee_t), lockee_order)
    for i in range(n):
        if m == 0 or set[i].stripe != set[m - 1].stripe:
            set[m] = set[i]
            m += 1
    i = 0
    while i < m:
        if ts_lock_acquire_ungated(&set[i].stripe.lock):
            i += 1
            continue
        unlock_set(set, i)              # nobody waits for a gate while holding a lock
        ts_gate_wait(&set[i].stripe.lock)
        i = 0
    return m

cdef void unlock_set(lockee_t* set, size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        ts_lock_release(&set[i].stripe.lock)


# ---- what the wire calls, and figures

cdef int table_get(table_t* t, const probe_t* key, row_sink_t sink, void* ctx) noexcept nogil:
    return t.methods.get(t, key, sink, ctx)

cdef int table_member(table_t* t, const probe_t* key) noexcept nogil:
    return t.methods.member(t, key)

cdef int table_put(table_t* t, const uint64_t* row, uint64_t deadline) noexcept nogil:
    if row_arity(row) <= t.keypos:
        return ST_BADARG
    return t.methods.put(t, row, deadline)

cdef int table_erase(table_t* t, const probe_t* key, row_sink_t sink, void* ctx) noexcept nogil:
    return t.methods.take(t, key, sink, ctx)

cdef int table_edit(table_t* t, const probe_t* key, row_edit_t edit, void* ctx) noexcept nogil:
    return t.methods.update(t, key, edit, ctx)

cdef size_t table_len(table_t* t) noexcept nogil:
    cdef size_t i
    cdef uint64_t n = 0
    for i in range(table_stripes(t)):
        n += counter_load(&t.stripes[i].rows)
    return n

cdef uint64_t table_volatile(table_t* t) noexcept nogil:
    cdef size_t i
    cdef uint64_t n = 0
    for i in range(table_stripes(t)):
        n += counter_load(&t.stripes[i].timed)
    return n

cdef size_t table_keypos(table_t* t) noexcept nogil:
    return t.keypos

cdef bint table_is_bag(table_t* t) noexcept nogil:
    return t.methods.bag


# ---- names

cdef size_t name_bucket(const char* name, size_t n) noexcept nogil:
    cdef uint64_t h = 1469598103934665603u          # FNV-1a: names are few and ours
    cdef size_t i
    for i in range(n):
        h = (h ^ <uint8_t>name[i]) * 1099511628211u
    return (h ^ (h >> 32)) & (NAME_BUCKETS - 1)

cdef table_t* table_find(const char* name, size_t n) noexcept nogil:
    cdef table_t* t
    ts_lock_acquire(&names.lock)
    t = names.buckets[name_bucket(name, n)]
    while t != NULL and not (t.name_len == n and memcmp(t.name, name, n) == 0):
        t = t.by_name
    if t != NULL:
        refs_take(&t.refs)
    ts_lock_release(&names.lock)
    return t

cdef void names_unlink(table_t* t) noexcept nogil:
    """The lock is held."""
    cdef table_t** at
    if t.name == NULL:
        return
    at = &names.buckets[name_bucket(t.name, t.name_len)]
    while at[0] != NULL and at[0] != t:
        at = &at[0].by_name
    if at[0] == t:
        at[0] = t.by_name
    t.by_name = NULL

cdef int table_retire(table_t* t) noexcept nogil:
    """Begin to delete the table: its name is free, and nobody begins anything with it. ST_GONE if that has happened
    before."""
    cdef int st = ST_GONE
    ts_lock_acquire(&names.lock)
    if t.alive:
        flag_store(&t.alive, 0)
        names_unlink(t)
        ids_unlink(t)
        st = ST_OK
    ts_lock_release(&names.lock)
    return st

cdef int table_name(table_t* t, const char* name, size_t n) noexcept nogil:
    """Give the table this name in place of the one it has; NULL takes it away. ST_EXISTS if another table has it, or
    this one."""
    cdef char* copy = NULL
    cdef table_t* other
    cdef table_t** at
    if name != NULL:
        copy = <char*>malloc(n + 1)
        if copy == NULL:
            return ST_NO_MEMORY
        memcpy(copy, name, n)
        copy[n] = 0
    ts_lock_acquire(&names.lock)
    if not t.alive:
        ts_lock_release(&names.lock)
        free(copy)
        return ST_GONE
    if name != NULL:
        at = &names.buckets[name_bucket(name, n)]
        other = at[0]
        while other != NULL and not (other.name_len == n and memcmp(other.name, name, n) == 0):
            other = other.by_name
        if other != NULL:
            ts_lock_release(&names.lock)
            free(copy)
            return ST_EXISTS
    names_unlink(t)
    free(t.name)
    t.name = copy
    t.name_len = n if copy != NULL else 0
    if copy != NULL:
        at = &names.buckets[name_bucket(name, n)]
        t.by_name = at[0]
        at[0] = t
    ts_lock_release(&names.lock)
    return ST_OK

include "session.pxi"
