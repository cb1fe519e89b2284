# Nearest keys, walks in order, and counting. Part of wavl.pxi's floor.
#
# dir: 1 goes up, 0 down. A walk's stack holds the nodes that are still to come and have to be passed on the way back
# up: those at which the path turned against dir. It holds as long as the lock is held.

# In a large tree whose rows came in random order, each step would wait for a node, and then for its row. So when a walk
# that has gone some way comes to a subtree of rank AHEAD_RANK, all of it is loaded level by level, the nodes of one
# level at a time, and then their rows: some eight waits for some eighty rows.

cdef enum:
    AHEAD_RANK = 6
    AHEAD_NODES = 128                       # what such a subtree has at most
    AHEAD_AFTER = 16                        # steps; who wants a few rows is not to wait for many
    AHEAD_NEVER = 0xFFFFFFFF                # for small trees, which stay in the cache anyway
    AHEAD_COUNT = 4096

cdef struct tree_walk_t:
    const tree_t* tree
    int dir
    uint32_t wait                           # steps until it loads ahead
    size_t n
    uint32_t[PATH_MAX] stack
    uint8_t[PATH_MAX] rank


cdef inline int look_beyond(const tree_t* t, look_t* k, uint32_t node, int dir, bint inclusive) noexcept nogil:
    """Where to look for the nearest key in direction dir: towards dir if this node is too far back."""
    cdef hot_t* h = node_hot(t.arena, node)
    cdef int to
    ts_prefetch(node_hot(t.arena, h.link[LEFT]))
    ts_prefetch(node_hot(t.arena, h.link[RIGHT]))
    to = look_at(t, k, node)
    if to != EQUAL:
        return to
    to = 1 - dir if inclusive else dir
    look_bound(k, to, k.n)
    return to


cdef void walk_ahead(const tree_walk_t* w, uint32_t node) noexcept nogil:
    """Load a subtree and its rows."""
    cdef const arena_t* a = w.tree.arena
    cdef uint32_t[AHEAD_NODES + 1] near
    cdef size_t n = 1, i = 0
    cdef uint32_t child
    cdef int side
    near[0] = node
    ts_prefetch(row_at(a, node))
    while i < n and n < AHEAD_NODES:
        for side in range(2):
            child = node_hot(a, near[i]).link[side]
            if child:
                ts_prefetch(node_hot(a, child))
                ts_prefetch(row_at(a, child))
                near[n] = child
                n += 1
        i += 1
    for i in range(n):
        ts_prefetch(node_row(w.tree, near[i]))
    if w.n > 1:
        ts_prefetch(node_row(w.tree, w.stack[w.n - 2]))     # that of the node behind this subtree


cdef inline void walk_push(tree_walk_t* w, uint32_t node, int rank, int above) noexcept nogil:
    """`above`: the rank of its parent."""
    w.stack[w.n] = node
    w.rank[w.n] = <uint8_t>rank
    w.n += 1
    if w.wait == 0:
        if rank > AHEAD_RANK:
            ts_prefetch(row_at(w.tree.arena, node))
        elif above > AHEAD_RANK:
            walk_ahead(w, node)


cdef void walk_from(const tree_t* t, tree_walk_t* w, const form_t* key, int dir, bint inclusive) noexcept nogil:
    """Begin at the key, or bound, or where that would stand; NULL: at the end from which dir leads away."""
    cdef look_t k
    cdef uint32_t node = t.root, child
    cdef int to = 1 - dir, rank = 0
    w.tree = t
    w.dir = dir
    w.n = 0
    w.wait = AHEAD_NEVER
    if tree_count(t) > AHEAD_COUNT:
        w.wait = AHEAD_AFTER
        rank = true_rank(t.arena, node)
    if key != NULL:
        look_begin(&k, t, key, False)
    while node:
        if key != NULL:
            to = look_beyond(t, &k, node, dir, inclusive)
        if to != dir:
            walk_push(w, node, rank, 0)
        child = node_hot(t.arena, node).link[to]
        rank -= 2 if two_below(t.arena, child, node) else 1
        node = child


cdef void walk_at(const tree_t* t, tree_walk_t* w, size_t i, int dir) noexcept nogil:
    """Begin at the i-th key, counted from 0; there are so many."""
    cdef uint32_t node = t.root, child
    cdef size_t left
    cdef int to, rank = 0
    w.tree = t
    w.dir = dir
    w.n = 0
    w.wait = AHEAD_NEVER
    if tree_count(t) > AHEAD_COUNT:
        w.wait = AHEAD_AFTER
        rank = true_rank(t.arena, node)
    while node:
        left = size_at(t.arena, node_hot(t.arena, node).link[LEFT])[0]
        to = LEFT if i <= left else RIGHT
        if i == left or to != dir:
            walk_push(w, node, rank, 0)
        if i == left:
            return
        if to == RIGHT:
            i -= left + 1
        child = node_hot(t.arena, node).link[to]
        rank -= 2 if two_below(t.arena, child, node) else 1
        node = child


cdef inline uint32_t walk_step(tree_walk_t* w) noexcept nogil:
    """The next node, or 0 at the end."""
    cdef const arena_t* a = w.tree.arena
    cdef uint32_t node, above, child
    cdef int rank, side
    if w.n == 0:
        return 0
    w.n -= 1
    if w.wait:
        w.wait -= 1
    node = above = w.stack[w.n]
    rank = w.rank[w.n]
    side = w.dir
    while True:
        child = node_hot(a, above).link[side]
        if child == 0:
            return node
        side = 2 if two_below(a, child, above) else 1
        walk_push(w, child, rank - side, rank)
        rank -= side
        side = 1 - w.dir
        above = child


cdef uint32_t tree_seek(const tree_t* t, const form_t* key, int dir, bint inclusive) noexcept nogil:
    """The nearest node in direction dir of the key, or bound; NULL: the first in that direction. 0 if there is none."""
    cdef look_t k
    if key == NULL:
        return t.end[1 - dir] if t.end[1 - dir] else tree_outermost(t, t.root, 1 - dir)
    look_begin(&k, t, key, False)
    return tree_seek_look(t, &k, dir, inclusive)


cdef uint32_t tree_seek_key(const tree_t* t, const form_t* key, int dir) noexcept nogil:
    """The node next to a whole key, which need not be there. 0 if there is none."""
    cdef look_t k
    look_begin(&k, t, key, True)
    return tree_seek_look(t, &k, dir, False)


cdef uint32_t tree_outermost(const tree_t* t, uint32_t node, int dir) noexcept nogil:
    """The last node in a direction, of the subtree of this one; 0 of none."""
    cdef uint32_t found = 0
    while node:
        found = node
        node = node_hot(t.arena, node).link[dir]
    return found


cdef uint32_t tree_seek_look(const tree_t* t, look_t* k, int dir, bint inclusive) noexcept nogil:
    cdef uint32_t node = t.root, found = 0, beyond
    cdef hot_t* h
    cdef int to
    while node:
        h = node_hot(t.arena, node)
        ts_prefetch(node_hot(t.arena, h.link[LEFT]))
        ts_prefetch(node_hot(t.arena, h.link[RIGHT]))
        to = look_at(t, k, node)
        if to == EQUAL:
            if inclusive:
                return node
            beyond = tree_outermost(t, h.link[dir], 1 - dir)
            return beyond if beyond else found
        if to != dir:
            found = node
            ts_prefetch(node_row(t, node))      # on its way while the search goes on
        node = h.link[to]
    return found


cdef size_t tree_rank(const tree_t* t, const form_t* key, bint inclusive) noexcept nogil:
    """How many keys are smaller than this one, or bound; inclusive: or equal."""
    cdef look_t k
    cdef uint32_t node = t.root
    cdef size_t smaller = 0
    cdef hot_t* h
    cdef int to
    look_begin(&k, t, key, False)
    while node:
        h = node_hot(t.arena, node)
        ts_prefetch(size_at(t.arena, h.link[LEFT]))
        to = look_beyond(t, &k, node, RIGHT, not inclusive)
        if to == RIGHT:
            smaller += size_at(t.arena, h.link[0])[0] + 1
        node = h.link[to]
    return smaller


cdef uint32_t tree_at(const tree_t* t, size_t i) noexcept nogil:
    """The node of the i-th key, counted from 0; 0 if there are not so many."""
    cdef uint32_t node = t.root
    cdef size_t left
    cdef hot_t* h
    while node:
        h = node_hot(t.arena, node)
        left = size_at(t.arena, h.link[0])[0]
        if i == left:
            break
        if i < left:
            node = h.link[0]
        else:
            i -= left + 1
            node = h.link[1]
    return node


cdef size_t tree_fell(
    tree_t* t, size_t budget, void (*each)(void* ctx, uint64_t* row) noexcept nogil, void* ctx
) noexcept nogil:
    """Give back up to so many nodes of a tree that nobody looks into any more, in any order, each row to `each`;
    answers how many are left. Left children are rotated away, so no stack is needed; ranks and sizes are not kept."""
    cdef arena_t* a = t.arena
    cdef hot_t* h
    cdef uint32_t node = t.root, left
    cdef uint64_t* row
    cdef size_t done = 0
    cdef uint32_t count = size_at(a, node)[0]
    while node and done < budget:
        h = node_hot(a, node)
        left = h.link[0]
        if left:
            h.link[0] = node_hot(a, left).link[1]
            node_hot(a, left).link[1] = node
            node = left
            continue
        row = node_row(t, node)
        left = h.link[1]
        node_give(a, node)
        node = left
        done += 1
        if each != NULL:
            each(ctx, row)
    tree_rooted(t, node)
    if node:
        size_at(a, node)[0] = count - <uint32_t>done
    return count - done
