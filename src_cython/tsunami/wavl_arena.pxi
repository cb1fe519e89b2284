# Where the nodes of trees live. Part of wavl.pxi's floor.
#
# An arena is a table's: all trees of the table take their nodes from it, so that trees are split and joined without
# copying. A node is a number, 0 is none. Its parts stand in three arrays, by who reads them:
#
#     hot    16 bytes   | piece of the key, 7 bytes | parity of the rank, 1 bit | where the piece begins | link | link |
#     row     8 bytes   | pointer of the row |         read when a key is found, or when pieces do not decide
#     size    4 bytes   | nodes in the subtree |       read by updates, rank and at
#
# so a descent reads 16 bytes a level, four nodes share a cache line, and a node costs 28 bytes.
#
# What must stay true:
# 1. Node 0 is given to nobody and never written: links 0, size 0, parity 1, which is that of rank -1.
# 2. A node's number stays its own until it is given back; its address does, too, once the first chunk is full (it
#    starts small and doubles; the chunks behind it come whole).
# 3. Nodes given back are linked through link[0]; `spare` counts them.
# 4. spent is what the arena holds, to the byte.
# 5. Each state of each tree of the arena has a number of its own, `moves`. (A copied tree_t is the same state, and one
#    of the two is given up or emptied.)
#
# Not here: locks. The caller holds the one of the tree.

cdef enum:
    NODE_BITS = 17                          # nodes of a whole chunk: 2 MiB of hot parts, one huge page
    CHUNK_NODES = 1 << NODE_BITS
    CHUNKS_MAX = 1 << (32 - NODE_BITS)
    NODE_BYTES = 28

cdef extern from "wavl.h" nogil:
    ctypedef struct hot_t:
        uint64_t word
        uint32_t[2] link
    const uint64_t PIECE_OFF, PARITY
    uint64_t piece_load(const char* p) noexcept
    uint32_t piece_common(uint64_t x) noexcept
    size_t bytes_common(const char* a, const char* b, size_t n) noexcept

cdef struct arena_t:
    hot_t** hot             # by chunk
    uint64_t*** row
    uint32_t** size
    uint64_t* cases         # how often each case of rebalancing was met, for tests; NULL
    size_t cap              # nodes there is room for, node 0 included
    size_t bump             # the first that was never given out
    size_t spare
    uint32_t free           # the first of those given back
    uint32_t table_cap      # chunks there is room for in the three arrays above
    size_t spent
    uint64_t moves          # the last number that was given to a tree's moves
    path_t* spine[2]                # the paths beyond the ends of one tree, that with these moves; NULL until used
    uint64_t[2] spine_moves         # 0: of none

cdef uint32_t knob_arena_first = 16         # nodes in a fresh arena's first chunk, node 0 included

# The arena that holds nothing: node 0 alone, shared by all.
cdef hot_t _none_hot
cdef uint64_t* _none_row
cdef uint32_t _none_size
cdef hot_t* _none_hots = &_none_hot
cdef uint64_t** _none_rows = &_none_row
cdef uint32_t* _none_sizes = &_none_size

_none_hot.word = PARITY
_none_hot.link[0] = 0
_none_hot.link[1] = 0
_none_row = NULL
_none_size = 0


cdef void arena_open(arena_t* a) noexcept nogil:
    memset(a, 0, sizeof(arena_t))
    a.hot = &_none_hots
    a.row = &_none_rows
    a.size = &_none_sizes
    a.cap = a.bump = 1


cdef inline size_t arena_chunks(const arena_t* a) noexcept nogil:
    """Chunks that are the arena's own."""
    return (a.cap + CHUNK_NODES - 1) >> NODE_BITS if a.cap > 1 else 0


cdef inline size_t cold_bytes(size_t nodes) noexcept nogil:
    return nodes * (sizeof(void*) + sizeof(uint32_t))


cdef void chunk_give(arena_t* a, size_t i) noexcept nogil:
    """Free the arrays of one chunk."""
    cdef size_t nodes = a.cap if a.cap < CHUNK_NODES else <size_t>CHUNK_NODES
    if nodes == CHUNK_NODES:
        chunk_unmap(a.hot[i])
    else:
        slots_give(a.hot[i], nodes * sizeof(hot_t))
    slots_give(a.row[i], cold_bytes(nodes))
    a.spent -= nodes * NODE_BYTES
    held_sub(nodes * NODE_BYTES)


cdef void arena_close(arena_t* a) noexcept nogil:
    """Give everything back; all trees of the arena are gone with it. It is as if just opened."""
    cdef size_t i
    cdef uint64_t* cases = a.cases
    for i in range(2):
        if a.spine[i] != NULL:
            held_sub(block_bytes(sizeof(path_t)))
            free(a.spine[i])
    for i in range(arena_chunks(a)):
        chunk_give(a, i)
    if a.table_cap:
        held_sub(3 * block_bytes(a.table_cap * sizeof(void*)))
        free(a.hot)
        free(a.row)
        free(a.size)
    arena_open(a)
    a.cases = cases


cdef int arena_widen(arena_t* a) noexcept nogil:
    """Room for one chunk more in the arrays of chunks."""
    cdef size_t chunks = arena_chunks(a)
    cdef size_t cap = a.table_cap * 2 if a.table_cap else 8
    cdef hot_t** hot
    cdef uint64_t*** row
    cdef uint32_t** size
    if chunks < a.table_cap:
        return ST_OK
    hot = <hot_t**>malloc(cap * sizeof(void*))
    row = <uint64_t***>malloc(cap * sizeof(void*))
    size = <uint32_t**>malloc(cap * sizeof(void*))
    if hot == NULL or row == NULL or size == NULL:
        free(hot)
        free(row)
        free(size)
        return ST_NO_MEMORY
    if chunks:
        memcpy(hot, a.hot, chunks * sizeof(void*))
        memcpy(row, a.row, chunks * sizeof(void*))
        memcpy(size, a.size, chunks * sizeof(void*))
    if a.table_cap:
        free(a.hot)
        free(a.row)
        free(a.size)
        a.spent -= 3 * block_bytes(a.table_cap * sizeof(void*))
        held_sub(3 * block_bytes(a.table_cap * sizeof(void*)))
    elif chunks == 0:
        hot[0] = &_none_hot         # node 0 can be read throughout
        row[0] = &_none_row
        size[0] = &_none_size
    a.hot = hot
    a.row = row
    a.size = size
    a.table_cap = <uint32_t>cap
    a.spent += 3 * block_bytes(cap * sizeof(void*))
    held_add(3 * block_bytes(cap * sizeof(void*)))
    return ST_OK


cdef int chunk_take(arena_t* a, size_t i, size_t nodes) noexcept nogil:
    """Arrays for so many nodes as chunk i; what stood in a smaller chunk i is carried over."""
    cdef size_t old = a.cap if i == 0 else 0
    cdef hot_t* hot
    cdef char* cold
    if nodes == CHUNK_NODES:
        hot = <hot_t*>chunk_map()
    else:
        hot = <hot_t*>slots_take(nodes * sizeof(hot_t))
    if hot == NULL:
        return ST_NO_MEMORY
    cold = <char*>slots_take(cold_bytes(nodes))
    if cold == NULL:
        if nodes == CHUNK_NODES:
            chunk_unmap(hot)
        else:
            slots_give(hot, nodes * sizeof(hot_t))
        return ST_NO_MEMORY
    if old:
        memcpy(hot, a.hot[0], old * sizeof(hot_t))
        memcpy(cold, a.row[0], old * sizeof(void*))
        memcpy(cold + nodes * sizeof(void*), a.size[0], old * sizeof(uint32_t))
    if old > 1:
        chunk_give(a, 0)
    a.hot[i] = hot
    a.row[i] = <uint64_t**>cold
    a.size[i] = <uint32_t*>(cold + nodes * sizeof(void*))
    a.spent += nodes * NODE_BYTES
    held_add(nodes * NODE_BYTES)
    return ST_OK


cdef int arena_grow(arena_t* a) noexcept nogil:
    """Room for more nodes. ST_TOO_LARGE at 2^32 of them."""
    cdef size_t chunks = arena_chunks(a), nodes
    cdef int st
    if chunks == CHUNKS_MAX:
        return ST_TOO_LARGE
    if a.cap < CHUNK_NODES:
        st = arena_widen(a) if chunks == 0 else ST_OK
        nodes = a.cap * 2 if a.cap > 1 else knob_arena_first
        if nodes > CHUNK_NODES:
            nodes = CHUNK_NODES
        if st == ST_OK:
            st = chunk_take(a, 0, nodes)
        if st == ST_OK:
            a.cap = nodes
        return st
    st = arena_widen(a)
    if st == ST_OK:
        st = chunk_take(a, chunks, CHUNK_NODES)
    if st == ST_OK:
        chunk_settled(a.hot[chunks - 1])
        a.cap += CHUNK_NODES
    return st


cdef inline int arena_reserve(arena_t* a, size_t n) noexcept nogil:
    """So many more nodes can be taken. ST_OK, ST_NO_MEMORY or ST_TOO_LARGE; then nothing has changed but the room."""
    cdef int st
    while ts_unlikely(a.spare + (a.cap - a.bump) < n):
        st = arena_grow(a)
        if st != ST_OK:
            return st
    return ST_OK


# ---- nodes

cdef inline hot_t* node_hot(const arena_t* a, uint32_t node) noexcept nogil:
    return &a.hot[node >> NODE_BITS][node & (CHUNK_NODES - 1)]

cdef inline uint64_t** row_at(const arena_t* a, uint32_t node) noexcept nogil:
    return &a.row[node >> NODE_BITS][node & (CHUNK_NODES - 1)]

cdef inline uint32_t* size_at(const arena_t* a, uint32_t node) noexcept nogil:
    return &a.size[node >> NODE_BITS][node & (CHUNK_NODES - 1)]

cdef inline uint64_t parity(const arena_t* a, uint32_t node) noexcept nogil:
    """Of the node's rank: PARITY if it is odd."""
    return node_hot(a, node).word & PARITY

cdef inline bint two_below(const arena_t* a, uint32_t child, uint32_t p) noexcept nogil:
    """Is the child's rank two below its parent's, and not one?"""
    return parity(a, child) == parity(a, p)

cdef inline void flip(const arena_t* a, uint32_t node) noexcept nogil:
    """Promote or demote by one."""
    node_hot(a, node).word ^= PARITY

cdef inline bint is_leaf(const arena_t* a, uint32_t node) noexcept nogil:
    cdef hot_t* h = node_hot(a, node)
    return (h.link[0] | h.link[1]) == 0

cdef inline void size_renew(const arena_t* a, uint32_t node) noexcept nogil:
    cdef hot_t* h = node_hot(a, node)
    size_at(a, node)[0] = size_at(a, h.link[0])[0] + size_at(a, h.link[1])[0] + 1


cdef inline uint32_t node_take(arena_t* a) noexcept nogil:
    """A node that nobody has, after arena_reserve. Its parts hold garbage."""
    cdef uint32_t node = a.free
    if node:
        a.free = node_hot(a, node).link[0]
        a.spare -= 1
        return node
    node = <uint32_t>a.bump
    a.bump += 1
    return node


cdef inline void node_give(arena_t* a, uint32_t node) noexcept nogil:
    node_hot(a, node).link[0] = a.free
    a.free = node
    a.spare += 1
