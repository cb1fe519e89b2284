# Where rows live.
#
# A stripe takes its rows from a slab: pages of 1 KiB, each of one size class, in lists that belong to the stripe and
# are guarded by its lock.
# So taking and giving back a row costs no lock of its own and no header: a row of 24 bytes takes 24.4. Pages come from
# the pool, which all
# tables share and which has a lock of its own; it cuts them from chunks of 2 MiB (one huge page). Rows above CLASS_MAX
# words are malloc's.
#
#     page   +------+------+------+------+------+------+----------+---   ---+
#            | class| live | bump | free | next        | prev     | cells ..|      24 bytes, then the cells
#            +------+------+------+------+-------------+----------+---   ---+
#
# What must stay true:
# 1. All pages of a class hang in one ring; those with room stand before those without. The class's head is the first,
#    so taking looks at one page.
# 2. An empty page goes back to the pool, but for the last of its class.
# 3. A cell that was given back heads the page's list of free cells: its first word holds the offset of the next.
# 4. spent is what the stripe holds, to the byte: pages whole, malloc blocks with malloc's own header. idle is what of
#    its pages no row takes up. So spent - idle is what the rows and the stripe's blocks need.
# 5. `held` is what all tables hold together: it changes with whatever is taken from the system or given back, and pages
#    are few. `idle_held` is the sum of idle over the metered slabs, and changes with every row; so slabs are metered
#    only where there is a limit to keep (memory_meter in core.pxi).

cdef extern from "chunk.h" nogil:
    enum:
        CHUNK_BYTES
        SLAB_DEFAULT
    void* chunk_map() noexcept
    void chunk_settled(void* p) noexcept
    void chunk_unmap(void* p) noexcept
    size_t block_bytes(size_t n) noexcept
    void* slots_take(size_t n) noexcept
    void slots_give(void* p, size_t n) noexcept

cdef enum:
    PAGE_BYTES = 1024
    PAGE_HEAD = 24
    CLASSES = 24
    CLASS_MAX = 62          # words; two cells a page

cdef struct page_t:
    uint16_t words          # of a cell
    uint16_t live           # cells in use
    uint16_t bump           # offset of the first cell that was never used
    uint16_t free           # offset of the first cell given back, 0: none
    page_t* next
    page_t* prev

cdef struct slab_t:
    page_t* heads[CLASSES]
    size_t spent
    uint64_t idle           # read without the lock, as a figure
    bint metered            # idle counts in idle_held

cdef struct chunk_t:
    chunk_t* next           # chunks with free pages
    chunk_t* prev
    char* free              # pages given back, linked through their first word
    uint32_t bump           # index of the first page never used
    uint32_t used

cdef struct pool_t:
    ts_lock_t lock
    chunk_t* open           # chunks with room, any order
    size_t chunks

cdef pool_t pool
cdef bint knob_slab = SLAB_DEFAULT
cdef uint64_t held = 0
cdef uint64_t idle_held = 0
cdef uint32_t metering = 0          # new slabs are metered

# words -> class, and back. Exact up to 20 words; above, the sizes that divide a page well.
cdef uint8_t class_of[CLASS_MAX + 1]
cdef uint16_t class_words[CLASSES]

cdef void slab_setup() noexcept:
    cdef size_t w, c = 0
    cdef size_t[4] large = [25, 31, 41, 62]
    for w in range(1, 21):
        class_words[c] = <uint16_t>w
        class_of[w] = <uint8_t>c
        c += 1
    class_of[0] = 0
    for i in range(4):
        class_words[c] = <uint16_t>large[i]
        for w in range((20 if i == 0 else large[i - 1]) + 1, large[i] + 1):
            class_of[w] = <uint8_t>c
        c += 1

slab_setup()


cdef inline void held_add(size_t n) noexcept nogil:
    counter_add(&held, n)

cdef inline void held_sub(size_t n) noexcept nogil:
    counter_add(&held, <uint64_t>0 - n)

cdef inline void slab_idle(slab_t* s, uint64_t n) noexcept nogil:
    """So much more of the pages is idle; modulo 2^64."""
    counter_bump(&s.idle, n)
    if ts_unlikely(s.metered):
        counter_add(&idle_held, n)

cdef void slab_meter(slab_t* s) noexcept nogil:
    """Count this slab in idle_held from now on. Under the stripe's lock."""
    if not s.metered:
        s.metered = True
        counter_add(&idle_held, s.idle)


cdef page_t* pool_take() noexcept nogil:
    cdef chunk_t* c
    cdef char* p
    ts_lock_acquire(&pool.lock)
    c = pool.open
    if c == NULL:
        c = <chunk_t*>chunk_map()
        if c == NULL:
            ts_lock_release(&pool.lock)
            return NULL
        pool.chunks += 1
        c.next = c.prev = NULL
        c.free = NULL
        c.bump = 1          # page 0 is the chunk's head
        c.used = 0
        pool.open = c
    if c.free != NULL:
        p = c.free
        c.free = (<char**>p)[0]
    else:
        p = <char*>c + <size_t>c.bump * PAGE_BYTES
        c.bump += 1
        if c.bump == CHUNK_BYTES // PAGE_BYTES:
            chunk_settled(c)
    c.used += 1
    if c.free == NULL and c.bump == CHUNK_BYTES // PAGE_BYTES:
        pool.open = c.next
        if c.next != NULL:
            c.next.prev = NULL
        c.next = c.prev = NULL
    ts_lock_release(&pool.lock)
    return <page_t*>p


cdef void pool_give(page_t* page) noexcept nogil:
    cdef chunk_t* c = <chunk_t*>(<uintptr_t>page & ~<uintptr_t>(CHUNK_BYTES - 1))
    cdef bint was_full
    ts_lock_acquire(&pool.lock)
    was_full = c.free == NULL and c.bump == CHUNK_BYTES // PAGE_BYTES
    (<char**>page)[0] = c.free
    c.free = <char*>page
    c.used -= 1
    if was_full:
        c.next = pool.open
        c.prev = NULL
        if pool.open != NULL:
            pool.open.prev = c
        pool.open = c
    elif c.used == 0 and (c.next != NULL or c.prev != NULL):    # keep the last one
        if c.prev != NULL:
            c.prev.next = c.next
        else:
            pool.open = c.next
        if c.next != NULL:
            c.next.prev = c.prev
        pool.chunks -= 1
        chunk_unmap(c)
    ts_lock_release(&pool.lock)


cdef inline bint page_full(page_t* p) noexcept nogil:
    return p.free == 0 and p.bump + p.words * 8 > PAGE_BYTES

cdef inline void ring_remove(page_t** head, page_t* p) noexcept nogil:
    if p.next == p:
        head[0] = NULL
        return
    p.next.prev = p.prev
    p.prev.next = p.next
    if head[0] == p:
        head[0] = p.next

cdef inline void ring_insert(page_t** head, page_t* p) noexcept nogil:
    """Behind all others; the caller makes it the head if it is to stand in front."""
    cdef page_t* h = head[0]
    if h == NULL:
        p.next = p.prev = p
        head[0] = p
        return
    p.next = h
    p.prev = h.prev
    h.prev.next = p
    h.prev = p


cdef uint64_t* slab_page(slab_t* s, size_t cls) noexcept nogil:
    """A cell from a fresh page of this class, which becomes the head."""
    cdef page_t* p = pool_take()
    if p == NULL:
        return NULL
    p.words = class_words[cls]
    p.live = 1
    p.bump = PAGE_HEAD + p.words * 8
    p.free = 0
    s.spent += PAGE_BYTES
    held_add(PAGE_BYTES)
    slab_idle(s, PAGE_BYTES - p.words * 8)
    ring_insert(&s.heads[cls], p)
    s.heads[cls] = p
    return <uint64_t*>(<char*>p + PAGE_HEAD)


cdef inline uint64_t* slab_take(slab_t* s, size_t words) noexcept nogil:
    """Room for a row of so many words; NULL without memory. Under the stripe's lock."""
    cdef size_t cls
    cdef page_t* p
    cdef uint64_t* cell
    if words > CLASS_MAX or not knob_slab:
        cell = <uint64_t*>malloc(words * 8)
        if cell != NULL:
            s.spent += block_bytes(words * 8)
            held_add(block_bytes(words * 8))
        return cell
    cls = class_of[words]
    p = s.heads[cls]
    if p == NULL or page_full(p):
        return slab_page(s, cls)
    if p.free != 0:
        cell = <uint64_t*>(<char*>p + p.free)
        p.free = <uint16_t>cell[0]
    else:
        cell = <uint64_t*>(<char*>p + p.bump)
        p.bump += p.words * 8
    p.live += 1
    slab_idle(s, <uint64_t>0 - p.words * 8)
    if page_full(p):
        s.heads[cls] = p.next           # a ring: full pages come to stand behind those with room
    return cell


cdef inline void slab_give(slab_t* s, uint64_t* cell, size_t words) noexcept nogil:
    cdef page_t* p
    cdef size_t cls
    cdef bint was_full
    if words > CLASS_MAX or not knob_slab:
        s.spent -= block_bytes(words * 8)
        held_sub(block_bytes(words * 8))
        free(cell)
        return
    p = <page_t*>(<uintptr_t>cell & ~<uintptr_t>(PAGE_BYTES - 1))
    cls = class_of[words]
    was_full = page_full(p)
    cell[0] = p.free
    p.free = <uint16_t>(<char*>cell - <char*>p)
    p.live -= 1
    if p.live == 0 and p.next != p:
        ring_remove(&s.heads[cls], p)
        s.spent -= PAGE_BYTES
        held_sub(PAGE_BYTES)
        slab_idle(s, <uint64_t>p.words * 8 - PAGE_BYTES)
        pool_give(p)
        return
    slab_idle(s, p.words * 8)
    if was_full:
        ring_remove(&s.heads[cls], p)
        ring_insert(&s.heads[cls], p)
        s.heads[cls] = p


cdef void slab_drop(slab_t* s) noexcept nogil:
    """Give back all pages, whatever is in them. Blocks of malloc's are the caller's to free."""
    cdef page_t* p
    cdef page_t* following
    cdef page_t* last
    slab_idle(s, <uint64_t>0 - s.idle)
    for i in range(CLASSES):
        p = s.heads[i]
        if p == NULL:
            continue
        last = p.prev
        while True:
            following = p.next
            pool_give(p)
            s.spent -= PAGE_BYTES
            held_sub(PAGE_BYTES)
            if p == last:
                break
            p = following
        s.heads[i] = NULL


cdef str slab_check(slab_t* s, size_t rows_expected, bint exact):
    """None, or which invariant is broken. Under the stripe's lock."""
    cdef page_t* p
    cdef size_t live = 0, n, off, idle = 0
    cdef bint seen_full
    for i in range(CLASSES):
        p = s.heads[i]
        if p == NULL:
            continue
        seen_full = False
        while True:
            if p.words != class_words[i]:
                return f"a page of class {i} has cells of {p.words} words"
            n = 0
            off = p.free
            while off != 0:
                n += 1
                if off >= p.bump or n > PAGE_BYTES:
                    return f"a page of class {i}: the list of free cells leaves the used part"
                off = (<uint64_t*>(<char*>p + off))[0]
            if (p.bump - PAGE_HEAD) // (p.words * 8) - n != p.live:
                return f"a page of class {i}: {p.live} live cells, but {(p.bump - PAGE_HEAD) // (p.words * 8)} - {n}"
            if page_full(p):
                seen_full = True
            elif seen_full:
                return f"class {i}: a page with room stands behind a full one"
            live += p.live
            idle += PAGE_BYTES - <size_t>p.live * p.words * 8
            p = p.next
            if p == s.heads[i]:
                break
    if idle != s.idle:
        return f"{idle} bytes of the pages are idle, {s.idle} counted"
    if exact and live != rows_expected:
        return f"{live} live cells for {rows_expected} rows"
    return None
