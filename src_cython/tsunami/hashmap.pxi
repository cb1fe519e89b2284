# One stripe's map: key -> row, or -> group of rows (bags).
#
# Open addressing in hash order. A *slot* is one word; eight slots are a bucket, which is one cache line:
#
#     slot     63                                16 15         4 3      0
#              +----------------------------------+------------+--------+
#              | pointer (48 bits)                | fragment   | d      |        0: empty
#              +----------------------------------+------------+--------+
#     pointer  of the row; with its lowest bit set, of a group_t
#     hash     of the key, spread, its stripe bits shifted out:  | bits: home bucket | 12 bits: fragment | the rest |
#     d        how many buckets behind its home the slot stands; 15 means 15 or more (then the row's key is asked)
#
# A key stands in its home bucket or, where that was full, in the first bucket behind it that had room (cyclically).
# So a lookup, hit or miss, is one cache line and 8 comparisons of 16 bits in nearly all cases, and touches the row only
# to confirm.
#
# Homes are the *top* bits of the hash, so walking the homes from 0 upwards walks the keys in the order of their hashes,
# and this order
# does not depend on the number of buckets. Everything that walks (next, slot, SCAN, continuations) goes by it: see
# map_gather.
#
# What must stay true:
# 1. The used slots of a bucket stand at its front.
# 2. A slot that stands d > 0 behind its home: all buckets from its home up to its own are full, or were left full by
#    later
#    insertions; precisely: no bucket between has an empty slot. (Erasing moves slots forward to keep this, so there are
#    no tombstones.)
# 3. Growing and shrinking are incremental. While `nxt` exists, homes of `cur` below `frontier` have moved to it: a
#    key's hash tells where it is, so a lookup
#    never searches two tables. Each insert and erase moves a few homes.
# 4. At least one slot of a table is empty.
#
# **Spread.** If two tables placed their keys alike, filling one in the order of the other (a copy, a file that is
# read) would fill its homes from the front, one long run of full buckets through which each insertion had to go:
# quadratic. So each table multiplies hashes by an odd number of its own, which keeps different hashes different and
# gives each table an order of its own.
#
# Not here: locks, tables, values. The caller holds the stripe.

cdef extern from "match.h" nogil:
    uint32_t bucket_match(const uint64_t* b, uint64_t tag) noexcept
    uint32_t bucket_slot(uint32_t matches) noexcept
    uint32_t bucket_behind(const uint64_t* b, uint64_t d) noexcept
    void bucket_ahead(const uint64_t* b) noexcept

cdef enum:
    BUCKET = 8

cdef struct group_t:
    uint64_t** rows         # in insertion order; NULL where one was deleted
    uint32_t first          # position of the first row that is there
    uint32_t used           # positions in use, holes included
    uint32_t live
    uint32_t cap
    # The index of a long group, by the hash of the whole row: chains of positions, newest first. Equal rows share a
    # chain, so adding one more of them costs what the first did.
    uint32_t index_bits     # there are 1 << index_bits chains
    uint32_t* heads         # position + 1 of a chain's newest row; NULL: no index
    uint64_t* chain         # by position: upper half of the row's hash | position + 1 of the chain's next

cdef struct side_t:
    uint64_t* slots         # aligned to a cache line
    uint32_t bits           # there are 1 << bits buckets

cdef struct place_hash_t:
    # How a table places hashes.
    uint64_t mask           # a knob: few bits make collisions common
    uint64_t spread         # odd

cdef struct map_t:
    side_t cur
    side_t nxt
    size_t frontier
    size_t count            # keys
    uint32_t stripe_bits
    uint32_t keypos
    place_hash_t place
    size_t spent            # bytes of both sides

cdef struct entry_t:
    uint64_t hash           # local
    uint64_t slot

cdef struct entries_t:
    entry_t* items
    size_t len
    size_t cap
    entry_t home[24]

# Knobs (style: make rare paths common)
cdef uint32_t knob_load_num = 7         # a map grows above num/8 of its slots
cdef uint32_t knob_move = 4             # homes moved by one insert or erase
cdef uint32_t knob_min_bits = 0         # buckets of a fresh map, as a power of two

# The map of a stripe that holds nothing: one empty bucket that all share and nobody writes.
cdef uint64_t[16] _nothing_room
cdef uint64_t* nothing = <uint64_t*>((<uintptr_t>&_nothing_room[0] + 63) & ~<uintptr_t>63)
memset(&_nothing_room[0], 0, sizeof(_nothing_room))


cdef inline uint64_t* slot_pointer(uint64_t slot) noexcept nogil:
    return <uint64_t*>(slot >> 16)

cdef inline bint slot_is_group(uint64_t slot) noexcept nogil:
    return (slot >> 16) & 1

cdef inline group_t* slot_group(uint64_t slot) noexcept nogil:
    return <group_t*>((slot >> 16) & ~<uint64_t>1)

cdef inline uint64_t* slot_row(uint64_t slot) noexcept nogil:
    """The row, or the group's first."""
    cdef group_t* g
    if not slot_is_group(slot):
        return slot_pointer(slot)
    g = slot_group(slot)
    return g.rows[g.first]

cdef inline uint64_t hash_place(const place_hash_t* p, uint64_t hash) noexcept nogil:
    return (hash & p.mask) * p.spread

cdef inline uint64_t map_local(const map_t* m, uint64_t hash) noexcept nogil:
    return hash_place(&m.place, hash) << m.stripe_bits

cdef inline uint64_t map_row_hash(const map_t* m, const uint64_t* row) noexcept nogil:
    return map_local(m, term_hash(row[1 + m.keypos], <const char*>row))

cdef inline size_t side_home(const side_t* s, uint64_t h) noexcept nogil:
    return (h >> 1) >> (63 - s.bits)

cdef inline uint64_t side_tag(const side_t* s, uint64_t h) noexcept nogil:
    return ((h << s.bits) >> 52) << 4

cdef inline size_t side_mask(const side_t* s) noexcept nogil:
    return (<size_t>1 << s.bits) - 1

cdef inline side_t* map_side(map_t* m, uint64_t h) noexcept nogil:
    if m.nxt.slots != NULL and side_home(&m.cur, h) < m.frontier:
        return &m.nxt
    return &m.cur

cdef inline size_t side_bytes(uint32_t bits) noexcept nogil:
    return <size_t>(BUCKET * 8) << bits

cdef int side_open(side_t* s, uint32_t bits) noexcept nogil:
    s.slots = <uint64_t*>slots_take(side_bytes(bits))
    if s.slots == NULL:
        return ST_NO_MEMORY
    s.bits = bits
    held_add(side_bytes(bits))
    return ST_OK

cdef inline size_t side_spent(const side_t* s) noexcept nogil:
    return side_bytes(s.bits) if s.slots != NULL and s.slots != nothing else 0

cdef void side_close(side_t* s) noexcept nogil:
    held_sub(side_spent(s))
    if s.slots != nothing:
        slots_give(s.slots, side_bytes(s.bits))
    s.slots = NULL
    s.bits = 0

cdef void map_open(map_t* m, uint32_t stripe_bits, uint32_t keypos, const place_hash_t* place) noexcept nogil:
    memset(m, 0, sizeof(map_t))
    m.cur.slots = nothing
    m.stripe_bits = stripe_bits
    m.keypos = keypos
    m.place = place[0]

cdef void map_reset(map_t* m) noexcept nogil:
    """Empty: the sides are somebody else's now. The three constants are not written, for prefetches read them without
    the lock."""
    memset(&m.cur, 0, sizeof(side_t))
    memset(&m.nxt, 0, sizeof(side_t))
    m.cur.slots = nothing
    m.frontier = 0
    m.count = 0
    m.spent = 0

cdef void map_assume(map_t* m, const map_t* other) noexcept nogil:
    """Take over the sides of a map with the same constants."""
    m.cur = other.cur
    m.nxt = other.nxt
    m.frontier = other.frontier
    m.count = other.count
    m.spent = other.spent

cdef void map_close(map_t* m) noexcept nogil:
    """Give the slots back; the rows are the caller's."""
    side_close(&m.cur)
    side_close(&m.nxt)
    m.cur.slots = nothing
    m.count = 0
    m.frontier = 0
    m.spent = 0


# ---- finding

cdef inline bint key_equal(const uint64_t* row, size_t keypos, const probe_t* p) noexcept nogil:
    """Is this row's key the probe's? Integers, atoms and binaries are decided here, all else in term_equal."""
    cdef cell_t c = row[1 + keypos]
    cdef cell_t k = p.cell
    if k & 1 == 0:
        return c == k
    if k & 15 == 3:                                                  # inline binary: all but the text mark
        return ((c ^ k) & ~<uint64_t>0x80) == 0
    if k & 0x7F == LOW_BINARY:                                      # the same length, and the same bytes
        if ((c ^ k) & ~<uint64_t>0x3FFFFFF80) != 0:
            return False
        return memcmp(<const char*>row + ((c >> 8) & 0x3FFFFFF) * 8, p.base + ((k >> 8) & 0x3FFFFFF) * 8, k >> 34) == 0
    return term_equal(c, <const char*>row, k, p.base)


cdef inline uint64_t* map_find(map_t* m, const probe_t* p, uint64_t h) noexcept nogil:
    """The slot of this key, or NULL."""
    cdef side_t* s = map_side(m, h)
    cdef size_t mask = side_mask(s)
    cdef size_t home = side_home(s, h)
    cdef uint64_t tag = side_tag(s, h)
    cdef uint64_t* b
    cdef uint64_t slot
    cdef size_t d = 0
    cdef uint32_t found, i
    while True:
        b = s.slots + ((home + d) & mask) * BUCKET
        found = bucket_match(b, tag)
        while found != 0:
            i = bucket_slot(found)
            slot = b[i]
            if slot != 0 and key_equal(slot_row(slot), m.keypos, p):
                return b + i
            found &= found - 1
        if b[BUCKET - 1] == 0 or d == mask:
            return NULL
        d += 1
        if d < 16:
            tag += 1


# ---- changing one side

cdef inline size_t side_distance(const map_t* m, const side_t* s, size_t at, uint64_t slot) noexcept nogil:
    """How many buckets behind its home a slot in bucket `at` stands."""
    cdef size_t d = slot & 15
    if d < 15:
        return d
    return (at - side_home(s, map_row_hash(m, slot_row(slot)))) & side_mask(s)

cdef inline uint64_t* side_add(side_t* s, uint64_t h, uint64_t pointer) noexcept nogil:
    """A slot for a key that is not there. There is an empty one."""
    cdef size_t mask = side_mask(s)
    cdef size_t at = side_home(s, h)
    cdef size_t d = 0
    cdef uint64_t* b
    cdef size_t i
    while True:
        b = s.slots + at * BUCKET
        if b[BUCKET - 1] == 0:
            break
        at = (at + 1) & mask
        d += 1
    i = 0
    while b[i] != 0:
        i += 1
    b[i] = (pointer << 16) | side_tag(s, h) | (d if d < 15 else 15)
    return b + i

cdef void side_remove(const map_t* m, side_t* s, uint64_t* slot) noexcept nogil:
    """Empty this slot, and move others forward so that invariants 1 and 2 hold again."""
    cdef size_t mask = side_mask(s)
    cdef size_t at = <size_t>(slot - s.slots) // BUCKET
    cdef uint64_t* b
    cdef uint64_t* c
    cdef uint64_t moved
    cdef size_t i, j, d, last
    cdef bint found
    b = s.slots + at * BUCKET
    i = <size_t>(slot - b)
    while True:
        # slot i of bucket b is the hole
        if b[BUCKET - 1] == 0:
            last = i
            while last + 1 < BUCKET and b[last + 1] != 0:
                last += 1
            b[i] = b[last]
            b[last] = 0
            return
        b[i] = b[BUCKET - 1]
        b[BUCKET - 1] = 0
        # b was full: whoever passed it may come back, from the nearest bucket that has such a one
        found = False
        j = 1
        while j <= mask:
            c = s.slots + ((at + j) & mask) * BUCKET
            for i in range(BUCKET):
                if c[i] == 0:
                    break
                d = side_distance(m, s, (at + j) & mask, c[i])
                if d >= j:
                    moved = (c[i] & ~<uint64_t>15) | (d - j if d - j < 15 else 15)
                    b[BUCKET - 1] = moved
                    found = True
                    break
            if found:
                break
            if c[BUCKET - 1] == 0:
                return                  # nobody beyond a bucket with room has passed it
            j += 1
        if not found:
            return
        at = (at + j) & mask
        b = c                           # i is the hole there


# ---- growing and shrinking

cdef void map_move(map_t* m) noexcept nogil:
    """Move the home at the frontier from cur to nxt."""
    cdef side_t* s = &m.cur
    cdef size_t mask = side_mask(s)
    cdef size_t at
    cdef size_t d = 0
    cdef size_t i, n
    cdef uint64_t* b
    cdef uint64_t slot
    # the rows of the next home are needed next: start loading them
    b = s.slots + ((m.frontier + 1) & mask) * BUCKET
    for i in range(BUCKET):
        ts_prefetch(<const void*>((b[i] >> 16) & ~<uint64_t>1))
    # Its own bucket goes as a whole. All earlier homes have moved, so the only others who may stand there or have
    # passed it came round
    # the end of the table; and nobody has, where the bucket before has room.
    b = s.slots + m.frontier * BUCKET
    if m.frontier != 0 and (b - 1)[0] == 0:
        n = 0
        while n < BUCKET and b[n] != 0:
            side_add(&m.nxt, map_row_hash(m, slot_row(b[n])), b[n] >> 16)
            b[n] = 0
            n += 1
        d = 1 if n == BUCKET else mask + 1
    while d <= mask:
        at = (m.frontier + d) & mask
        b = s.slots + at * BUCKET
        i = 0
        while i < BUCKET and b[i] != 0:
            slot = b[i]
            if side_distance(m, s, at, slot) == d:
                side_add(&m.nxt, map_row_hash(m, slot_row(slot)), slot >> 16)
                side_remove(m, s, b + i)        # may bring another one to i, also of this home
            else:
                i += 1
        # what came forward into earlier buckets of this home was looked at there or here; a bucket with room ends the
        # run
        if b[BUCKET - 1] == 0:
            break
        d += 1
    m.frontier += 1

cdef void map_turn(map_t* m) noexcept nogil:
    """All homes have moved: nxt becomes cur."""
    m.spent -= side_spent(&m.cur)
    side_close(&m.cur)
    m.cur = m.nxt
    m.nxt.slots = NULL
    m.nxt.bits = 0
    m.frontier = 0

cdef inline void map_advance(map_t* m, size_t homes) noexcept nogil:
    if m.nxt.slots == NULL:
        return
    while homes > 0:
        map_move(m)
        if m.frontier > side_mask(&m.cur):
            map_turn(m)
            return
        homes -= 1

cdef int map_start(map_t* m, uint32_t bits) noexcept nogil:
    """Begin to move to a table of 1 << bits buckets."""
    cdef int st
    if m.cur.slots == nothing:
        st = side_open(&m.cur, bits)
        if st != ST_OK:
            m.cur.slots = nothing
            m.cur.bits = 0
            return st
        m.spent += side_spent(&m.cur)
        return ST_OK
    st = side_open(&m.nxt, bits)
    if st != ST_OK:
        return st
    m.spent += side_spent(&m.nxt)
    m.frontier = 0
    return ST_OK

cdef int map_reserve(map_t* m, size_t more) noexcept nogil:
    """See to it that `more` keys can be added (a few at a time). ST_NO_MEMORY only where there is really no slot
    left."""
    cdef size_t slots
    cdef int st
    if m.cur.slots == nothing:
        st = map_start(m, knob_min_bits)
        if st != ST_OK:
            return st
    map_advance(m, knob_move)
    slots = <size_t>BUCKET << (m.nxt.bits if m.nxt.slots != NULL else m.cur.bits)
    if (m.count + more) * 8 > slots * knob_load_num:
        if m.nxt.slots != NULL:         # grew faster than it moved (shrinking, or a batch)
            while m.nxt.slots != NULL:
                map_advance(m, 1024)
        st = map_start(m, m.cur.bits + 1)
        while st == ST_OK and (m.count + more) * 8 > (<size_t>BUCKET << m.nxt.bits) * knob_load_num:
            while m.nxt.slots != NULL:
                map_advance(m, 1024)
            st = map_start(m, m.cur.bits + 1)
        if st != ST_OK and m.count + more >= (<size_t>BUCKET << m.cur.bits):
            return st
        if m.nxt.slots != NULL:
            # cur must have room meanwhile, too: homes that have not moved still fill
            if m.count + more >= (<size_t>BUCKET << m.cur.bits):
                while m.nxt.slots != NULL:
                    map_advance(m, 1024)
    return ST_OK

cdef inline uint64_t* map_add(map_t* m, uint64_t h, uint64_t pointer) noexcept nogil:
    """Add a key that is not there, after map_reserve."""
    m.count += 1
    return side_add(map_side(m, h), h, pointer)

cdef void map_remove(map_t* m, uint64_t h, uint64_t* slot) noexcept nogil:
    side_remove(m, map_side(m, h), slot)
    m.count -= 1
    if m.nxt.slots != NULL:
        map_advance(m, knob_move)
    elif m.cur.bits > knob_min_bits + 2 and m.count < <size_t>1 << m.cur.bits:      # an eighth
        map_start(m, m.cur.bits - 2)        # without memory it stays as large as it is


# ---- walking

cdef inline int entries_add(entries_t* e, uint64_t hash, uint64_t slot) noexcept nogil:
    cdef entry_t* wider
    if e.len == e.cap:
        wider = <entry_t*>malloc(e.cap * 2 * sizeof(entry_t))
        if wider == NULL:
            return ST_NO_MEMORY
        memcpy(wider, e.items, e.len * sizeof(entry_t))
        if e.items != &e.home[0]:
            free(e.items)
        e.items = wider
        e.cap *= 2
    e.items[e.len].hash = hash
    e.items[e.len].slot = slot
    e.len += 1
    return ST_OK

cdef inline void entries_open(entries_t* e) noexcept nogil:
    e.items = &e.home[0]
    e.len = 0
    e.cap = 24

cdef inline void entries_close(entries_t* e) noexcept nogil:
    if e.items != &e.home[0]:
        free(e.items)
    entries_open(e)

cdef bint term_before(cell_t a, const char* abase, cell_t b, const char* bbase) noexcept nogil:
    """Is a below b in the exact order of terms?"""
    cdef buf_t x
    cdef buf_t y
    cdef int order
    cdef size_t n
    buf_init(&x, NULL, 0)
    buf_init(&y, NULL, 0)
    term_order_key(a, abase, &x, True)
    term_order_key(b, bbase, &y, True)
    n = x.len if x.len < y.len else y.len
    order = memcmp(x.data, y.data, n) if n > 0 else 0
    if order == 0 and x.len < y.len:
        order = -1
    buf_free(&x)
    buf_free(&y)
    return order < 0

cdef bint entry_before(const map_t* m, const entry_t* a, const entry_t* b) noexcept nogil:
    """By hash; different keys of one hash by the exact order of terms."""
    cdef const uint64_t* ra
    cdef const uint64_t* rb
    if a.hash != b.hash:
        return a.hash < b.hash
    ra = slot_row(a.slot)
    rb = slot_row(b.slot)
    return term_before(ra[1 + m.keypos], <const char*>ra, rb[1 + m.keypos], <const char*>rb)

cdef inline uint64_t home_end(map_t* m, side_t* s, size_t home) noexcept nogil:
    """The first hash that a home of this side does not have; 0 for the last one's."""
    cdef uint64_t end = (<uint64_t>(home + 1) << 1) << (63 - s.bits) if home < side_mask(s) else 0
    cdef uint64_t moved
    if s == &m.nxt:
        # While the map shrinks a home of nxt can reach beyond the frontier: what lies there is still in cur.
        moved = (<uint64_t>m.frontier << 1) << (63 - m.cur.bits)
        if end == 0 or end > moved:
            end = moved
    return end

cdef int map_gather(map_t* m, uint64_t from_hash, entries_t* out, uint64_t* following) noexcept nogil:
    """The keys of one home, in order: the home of from_hash or, if that is empty, the next one that is not; only keys
    with hashes from from_hash on.

    *following is where to go on: the first hash of the next home; 0 after the last. `out` may stay empty although
    *following is not 0.
    """
    cdef side_t* s
    cdef size_t home, at, mask, d, i, j
    cdef uint64_t* b
    cdef uint64_t h, end
    cdef entry_t e
    cdef int st
    out.len = 0
    while True:
        s = map_side(m, from_hash)
        mask = side_mask(s)
        home = side_home(s, from_hash)
        end = home_end(m, s, home)
        if s.slots[home * BUCKET] != 0:
            break
        if end == 0:
            following[0] = 0
            return ST_OK
        from_hash = end
    following[0] = end
    b = s.slots + home * BUCKET
    for i in range(BUCKET):
        ts_prefetch(<const void*>((b[i] >> 16) & ~<uint64_t>1))
    d = 0
    while d <= mask:
        at = (home + d) & mask
        b = s.slots + at * BUCKET
        for i in range(BUCKET):
            if b[i] == 0:
                break
            if side_distance(m, s, at, b[i]) == d:
                h = map_row_hash(m, slot_row(b[i]))
                if h >= from_hash:
                    st = entries_add(out, h, b[i])
                    if st != ST_OK:
                        return st
        if b[BUCKET - 1] == 0:
            break
        d += 1
    # insertion sort: there are a handful
    for i in range(1, out.len):
        e = out.items[i]
        j = i
        while j > 0 and entry_before(m, &e, &out.items[j - 1]):
            out.items[j] = out.items[j - 1]
            j -= 1
        out.items[j] = e
    return ST_OK


# ---- walking fast
#
# map_gather asks every key for its hash. A walk over many rows cannot afford that: it takes the keys of a home as
# *words*, in which a slot's fragment stands above its pointer, and sorts those. The home and the fragment are all of a
# hash that order needs, but for the few keys that agree in both: only those are asked.
#
#     word     63        52 51          48 47                                  0
#              +-----------+--------------+-------------------------------------+
#              | fragment  |      0       | pointer, as in a slot               |
#              +-----------+--------------+-------------------------------------+

cdef enum:
    HOME_WORDS = 24
    HOME_AHEAD = 4          # homes whose rows are loaded ahead
    RANKED = 12             # so many words are sorted by counting

cdef struct home_t:
    uint64_t* words         # in order
    uint64_t* loose         # as they were found
    size_t len
    size_t cap              # of each
    uint64_t[2 * HOME_WORDS] room

cdef inline void home_open(home_t* o) noexcept nogil:
    o.words = &o.room[0]
    o.loose = &o.room[HOME_WORDS]
    o.len = 0
    o.cap = HOME_WORDS

cdef inline void home_close(home_t* o) noexcept nogil:
    if o.words != &o.room[0]:
        free(o.words)

cdef inline uint64_t slot_word(uint64_t slot) noexcept nogil:
    return (slot & 0xFFF0) << 48 | slot >> 16

cdef inline uint64_t word_slot(uint64_t word) noexcept nogil:
    """A slot as far as slot_row, slot_group and slot_is_group look at it."""
    return word << 16

cdef int home_widen(home_t* o) noexcept nogil:
    """Room for twice as many, of which the loose ones are taken along."""
    cdef uint64_t* wider = <uint64_t*>malloc(o.cap * 4 * sizeof(uint64_t))
    if wider == NULL:
        return ST_NO_MEMORY
    memcpy(wider + o.cap * 2, o.loose, o.len * sizeof(uint64_t))
    home_close(o)
    o.cap *= 2
    o.words = wider
    o.loose = wider + o.cap
    return ST_OK

cdef bint word_before(const map_t* m, uint64_t a, uint64_t b) noexcept nogil:
    """The order of two words of one home."""
    cdef const uint64_t* ra
    cdef const uint64_t* rb
    cdef uint64_t ha, hb
    if (a ^ b) >> 52 != 0:
        return a < b
    ra = slot_row(word_slot(a))
    rb = slot_row(word_slot(b))
    ha = map_row_hash(m, ra)
    hb = map_row_hash(m, rb)
    if ha != hb:
        return ha < hb
    return term_before(ra[1 + m.keypos], <const char*>ra, rb[1 + m.keypos], <const char*>rb)

cdef inline void home_sort(const map_t* m, home_t* o) noexcept nogil:
    """Put the words in the order of walks."""
    cdef uint64_t word
    cdef size_t i, k, rank, n = o.len
    cdef bint tie = n > RANKED
    if ts_likely(n <= RANKED):
        # Without branches that nobody could foresee: each word goes where the number of smaller ones says.
        for i in range(n):
            word = o.loose[i]
            rank = 0
            for k in range(n):
                rank += o.loose[k] < word
            o.words[rank] = word
        for i in range(1, n):
            tie |= (o.words[i] ^ o.words[i - 1]) >> 52 == 0
    else:
        memcpy(o.words, o.loose, n * sizeof(uint64_t))
    if ts_unlikely(tie):
        home_sort_exactly(m, o)

cdef void home_sort_exactly(const map_t* m, home_t* o) noexcept nogil:
    """Insertion: what comes in is short, or nearly sorted."""
    cdef uint64_t word
    cdef size_t i, k
    for i in range(1, o.len):
        word = o.words[i]
        k = i
        while k > 0 and word_before(m, word, o.words[k - 1]):
            o.words[k] = o.words[k - 1]
            k -= 1
        o.words[k] = word

cdef inline int home_read(map_t* m, side_t* s, size_t home, home_t* out) noexcept nogil:
    """The words of a home, in no order."""
    cdef size_t mask = side_mask(s)
    cdef size_t at = home, d = 0, i
    cdef uint64_t* b = s.slots + home * BUCKET
    cdef uint64_t slot
    cdef uint32_t found
    out.len = 0
    for i in range(BUCKET):
        slot = b[i]
        out.loose[out.len] = slot_word(slot)
        out.len += slot != 0 and slot & 15 == 0
    while b[BUCKET - 1] != 0 and d < mask:
        d += 1
        at = (at + 1) & mask
        b = s.slots + at * BUCKET
        found = bucket_behind(b, d if d < 15 else 15)
        while found != 0:
            slot = b[bucket_slot(found)]
            found &= found - 1
            if d >= 15 and side_distance(m, s, at, slot) != d:
                continue
            if ts_unlikely(out.len == out.cap) and home_widen(out) != ST_OK:
                return ST_NO_MEMORY
            out.loose[out.len] = slot_word(slot)
            out.len += 1
    return ST_OK

cdef int home_from(map_t* m, uint64_t from_hash, home_t* o) noexcept nogil:
    """Drop the words of keys whose hash is below from_hash."""
    cdef size_t i, n = 0
    for i in range(o.len):
        if map_row_hash(m, slot_row(word_slot(o.loose[i]))) >= from_hash:
            o.loose[n] = o.loose[i]
            n += 1
    o.len = n
    return ST_OK

cdef inline int map_home(map_t* m, uint64_t from_hash, home_t* out, uint64_t* following) noexcept nogil:
    """The keys of the home of from_hash, in order, as words; only keys with hashes from from_hash on.

    *following is where to go on: the first hash of the next home; 0 after the last.
    """
    cdef side_t* s = map_side(m, from_hash)
    cdef size_t home = side_home(s, from_hash)
    bucket_ahead(s.slots + ((home + HOME_AHEAD) & side_mask(s)) * BUCKET)
    following[0] = home_end(m, s, home)
    if home_read(m, s, home, out) != ST_OK:
        return ST_NO_MEMORY
    if ts_unlikely(from_hash != (<uint64_t>home << 1) << (63 - s.bits)):
        home_from(m, from_hash, out)
    home_sort(m, out)
    return ST_OK

cdef inline uint64_t* map_slot(map_t* m, uint64_t h, uint64_t word) noexcept nogil:
    """The slot that a word of a key with this hash was made from; it is there."""
    cdef side_t* s = map_side(m, h)
    cdef size_t mask = side_mask(s)
    cdef uint64_t pointer = (word << 16) >> 16
    cdef uint64_t* at = s.slots + side_home(s, h) * BUCKET
    cdef uint64_t* end = s.slots + (mask + 1) * BUCKET
    while at[0] >> 16 != pointer:
        at += 1
        if at == end:
            at = s.slots
    return at


# ---- self-check

cdef str side_check(map_t* m, side_t* s, bint is_cur, size_t* count):
    cdef size_t at, i, d, home, k
    cdef uint64_t slot, h
    cdef uint64_t* b
    cdef probe_t p
    cdef uint64_t* row
    for at in range(side_mask(s) + 1):
        b = s.slots + at * BUCKET
        for i in range(BUCKET):
            slot = b[i]
            if slot == 0:
                continue
            if i > 0 and b[i - 1] == 0:
                return f"bucket {at}: a used slot stands behind an empty one"
            count[0] += 1
            row = slot_row(slot)
            h = map_row_hash(m, row)
            home = side_home(s, h)
            d = (at - home) & side_mask(s)
            if (slot & 15) != (d if d < 15 else 15):
                return f"bucket {at}, slot {i}: stands {d} behind its home, the slot says {slot & 15}"
            if (slot & 0xFFF0) != side_tag(s, h):
                return f"bucket {at}, slot {i}: the fragment is not the hash's"
            for k in range(d):
                if s.slots[((home + k) & side_mask(s)) * BUCKET + BUCKET - 1] == 0:
                    return f"bucket {at}, slot {i}: a bucket between it and its home has room"
            if map_side(m, h) != s:
                return f"bucket {at}, slot {i}: its hash says it is in the other table"
            probe_term(&p, row[1 + m.keypos], <const char*>row)
            if map_local(m, p.hash) != h or map_find(m, &p, h) != b + i:
                return f"bucket {at}, slot {i}: is not found"
    return None

cdef str map_check(map_t* m):
    """None, or which invariant is broken."""
    cdef size_t count = 0
    cdef str wrong
    if m.cur.slots == nothing and (m.nxt.slots != NULL or m.count != 0):
        return "a map without slots has keys"
    wrong = side_check(m, &m.cur, True, &count)
    if wrong is None and m.nxt.slots != NULL:
        wrong = side_check(m, &m.nxt, False, &count)
    if wrong is not None:
        return wrong
    if count != m.count:
        return f"{count} keys in the slots, {m.count} counted"
    if m.spent != side_spent(&m.cur) + side_spent(&m.nxt):
        return "the bytes of the slots are not what was accounted"
    return None
