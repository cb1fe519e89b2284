# Nearest keys, walks in order, and counting. Part of wavl.pxi's floor.
#
# dir: 1 goes up, 0 down. A walk's stack holds the nodes that are still to come and have to be passed on the way back
# up: those at which the path turned against dir. It holds as long as the lock is held.

cdef struct tree_walk_t:
    const tree_t* tree
    int dir
    size_t n
    uint32_t[PATH_MAX] stack


cdef inline int look_beyond(const tree_t* t, look_t* k, uint32_t node, int dir, bint inclusive) noexcept nogil:
    """Where to look for the nearest key in direction dir: towards dir if this node is too far back."""
    cdef int to = look_at(t, k, node)
    if to != EQUAL:
        return to
    to = 1 - dir if inclusive else dir
    look_bound(k, to, k.n)
    return to


cdef void walk_from(const tree_t* t, tree_walk_t* w, const form_t* key, int dir, bint inclusive) noexcept nogil:
    """Begin at the key, or bound, or where that would stand; NULL: at the end from which dir leads away."""
    cdef look_t k
    cdef uint32_t node = t.root
    cdef int to = 1 - dir
    w.tree = t
    w.dir = dir
    w.n = 0
    if key != NULL:
        look_begin(&k, t, key, False)
    while node:
        if key != NULL:
            to = look_beyond(t, &k, node, dir, inclusive)
        if to != dir:
            w.stack[w.n] = node
            w.n += 1
        node = node_hot(t.arena, node).link[to]


cdef inline uint32_t walk_step(tree_walk_t* w) noexcept nogil:
    """The next node, or 0 at the end."""
    cdef const arena_t* a = w.tree.arena
    cdef uint32_t node, child
    if w.n == 0:
        return 0
    w.n -= 1
    node = w.stack[w.n]
    child = node_hot(a, node).link[w.dir]
    while child:
        w.stack[w.n] = child
        w.n += 1
        child = node_hot(a, child).link[1 - w.dir]
    return node


cdef uint32_t tree_seek(const tree_t* t, const form_t* key, int dir, bint inclusive) noexcept nogil:
    """The nearest node in direction dir of the key, or bound; NULL: the first in that direction. 0 if there is none."""
    cdef look_t k
    cdef uint32_t node = t.root, found = 0
    cdef int to = 1 - dir
    if key != NULL:
        look_begin(&k, t, key, False)
    while node:
        if key != NULL:
            to = look_beyond(t, &k, node, dir, inclusive)
        if to != dir:
            found = node
        node = node_hot(t.arena, node).link[to]
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
    t.root = node
    if node:
        size_at(a, node)[0] = count - <uint32_t>done
    return count - done
