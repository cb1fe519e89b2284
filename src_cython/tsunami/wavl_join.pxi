# Trees joined and split, and made of sorted rows at once. Part of wavl.pxi's floor.
#
# "Just Join" (Blelloch, Ferizovic, Sun, 2016) has this for AVL, red-black and weight-balanced trees and for treaps.
# That it holds for weak AVL trees, too, is argued here; (*) is the rule of wavl.pxi, r(x) the rank of x or of a tree's
# root.
#
# ## Join
#
# Given a tree L, a node m and a tree R, with all keys of L below m's and all of R above: if r(L) and r(R) differ by at
# most 1, m becomes the root above both, with the greater rank + 1, and is 1,1 or 1,2. Otherwise let L be the taller
# (the other case is this one in a mirror). Go down the right spine of L to the first node c with r(c) <= r(R), which
# may be missing, and put m in its place:
#
#         p                p
#        / \              / \
#       A   c     ->     A   m          r(m) = r(R) + 1
#                           / \ 1
#                          c   R
#
# 1. m obeys (*). For p, the last node passed, r(p) > r(R); and r(c) >= r(p) - 2 >= r(R) - 1. So r(c) is r(R) or
#    r(R) - 1, and m is 1,1 or 2,1, the 1-child R on the outer side.
# 2. m is a 1-child or a 0-child of p: r(p) <= r(c) + 2 <= r(R) + 2, and r(p) >= r(R) + 1 = r(m). As a 1-child it obeys
#    (*), and all is done. As a 0-child it stands where an insertion has put a node that was promoted.
# 3. Then `rise` goes up as after an insertion. Its rotations ask that the 0-child x is 1,2. Only m itself may be 1,1
#    (case "even"): that rotation leaves x as 2,1 and perhaps as a 0-child, a promotion leaves p as 1,2. So from the
#    second step on all is as after an insertion, "even" is met at most once, and a join makes at most three rotations.
# 4. The rank of the result is the greater of r(L), r(R), or one more: a promotion, or "even", raises the root by one
#    and only in the last step; the other rotations put a node at the top that has the rank of the old one.
# 5. The way up is the way down, and each step down passes a rank at least: a join costs O(1 + |r(L) - r(R)|).
#
# A join without a middle takes the last node of the lower tree for it: O(log n).
#
# ## Split
#
# Go down to where the key is or would be, then up again. Where the path went right at p, low = join(left subtree of p,
# p, low); where it went left, high = join(high, p, right subtree of p).
#
# For one side, let p(1), p(2), ... be the nodes joined to it, from the bottom; t(i) the rank of the subtree that comes
# with p(i); a(i) the rank of the side after it, and a(0) = t(0) = -1.
#
# 1. t(i) is r(p(i)) - 1 or r(p(i)) - 2, by (*). It never falls: r(p(i)) - 2 >= r(p(i-1)) - 1, as p(i-1) stands below
#    p(i).
# 2. t(i) <= a(i) <= r(p(i)): a join's result is at least the greater rank, and one more at most; by induction
#    a(i-1) <= r(p(i-1)) <= r(p(i)) - 1, and t(i) <= r(p(i)) - 1.
# 3. The join at p(i) costs 1 + |a(i-1) - t(i)|. If a(i-1) is the greater, the difference is at most 1, by 1 and 2.
#    Otherwise it is at most t(i) - t(i-1), and these telescope: all of them together are at most the root's rank + 1.
#
# The path has at most as many nodes as the root has ranks, and one. So a split costs O(r(root)) = O(log n).
#
# A range is cut out by two splits and a join: O(log n), whatever it holds.

cdef struct part_t:
    uint32_t root
    int rank


cdef inline void rank_set(const arena_t* a, uint32_t node, int rank) noexcept nogil:
    cdef hot_t* h = node_hot(a, node)
    h.word = (h.word & ~PARITY) | (PARITY if rank & 1 else 0)


cdef void join_parts(tree_t* t, part_t* low, uint32_t m, part_t* high, part_t* out) noexcept nogil:
    """low, m, high -> out. t's root is used for it; its keys share what the keys of all do."""
    cdef arena_t* a = t.arena
    cdef int dir = LEFT if low.rank < high.rank else RIGHT
    cdef part_t* tall = low if dir == RIGHT else high
    cdef part_t* short = high if dir == RIGHT else low
    cdef hot_t* h = node_hot(a, m)
    cdef uint32_t c = tall.root, child
    cdef int rank = tall.rank
    cdef path_t path
    path.n = path.turns = 0
    while rank > short.rank + (1 if path.n == 0 else 0):
        child = node_hot(a, c).link[dir]
        path_add(&path, c, dir, t.shared)
        rank -= 2 if two_below(a, child, c) else 1
        c = child
    h.link[1 - dir] = c
    h.link[dir] = short.root
    rank = rank if rank > short.rank else short.rank
    rank_set(a, m, rank + 1)
    size_renew(a, m)
    if (h.word & PIECE_OFF) > t.shared:
        piece_renew(t, m, t.shared, t.shared)
    t.root = tall.root
    path_link(t, &path, path.n)[0] = m
    path_count(t, &path, path.n, size_at(a, short.root)[0] + 1)
    rank = tall.rank if path.n else rank
    out.rank = rank + rise(t, &path, path.n, m)
    out.root = t.root
    if ts_unlikely(a.cases != NULL):
        a.cases[CASE_STEPS] += path.n


cdef inline void tree_rooted(tree_t* t, uint32_t root) noexcept nogil:
    """Other nodes than before."""
    t.root = root
    t.end[LEFT] = t.end[RIGHT] = 0
    tree_moved(t)


cdef inline void part_of(const tree_t* t, part_t* part) noexcept nogil:
    part.root = t.root
    part.rank = true_rank(t.arena, t.root)


cdef void join_node(tree_t* low, uint32_t m, tree_t* high) noexcept nogil:
    """Put a node between two trees. low takes all; its prefix is that of all already."""
    cdef part_t[2] parts
    part_of(low, &parts[0])
    part_of(high, &parts[1])
    join_parts(low, &parts[0], m, &parts[1], &parts[0])
    tree_rooted(low, parts[0].root)
    tree_rooted(high, 0)
    piece_renew(low, m, low.shared, low.shared)


cdef uint64_t* tree_pull(tree_t* t, int dir) noexcept nogil:
    """Take out the last row in a direction, of a tree that is not empty."""
    cdef path_t path
    cdef uint32_t node = t.root, child
    path.n = path.turns = 0
    while True:
        child = node_hot(t.arena, node).link[dir]
        if child == 0:
            return unlink(t, &path, node, t.shared)
        path_add(&path, node, dir, t.shared)
        node = child


cdef void tree_join(tree_t* low, tree_t* high) noexcept nogil:
    """All of `high` goes to the upper end of `low`; both have the same arena. O(log n)."""
    cdef uint64_t* row
    cdef uint32_t m
    if high.root == 0:
        return
    prefix_narrow(low, high.prefix, high.shared)
    if low.root == 0:
        tree_rooted(low, high.root)
        tree_rooted(high, 0)
        return
    row = tree_pull(low, RIGHT)
    m = node_take(low.arena)                # the one that was just given back
    node_fill(low, m, row)
    join_node(low, m, high)


cdef int tree_join_row(tree_t* low, const form_t* key, uint64_t* row, tree_t* high) noexcept nogil:
    """The same with a row between, whose key has this form. ST_OK, or what tree_put fails with."""
    cdef uint32_t m
    cdef int st = arena_reserve(low.arena, 1)
    if st != ST_OK:
        return st
    if high.root:
        prefix_narrow(high, key.p, key.n)
        prefix_narrow(low, high.prefix, high.shared)
    else:
        prefix_narrow(low, key.p, key.n)
    m = node_take(low.arena)
    node_fill(low, m, row)
    join_node(low, m, high)
    return ST_OK


cdef void tree_split(tree_t* t, const form_t* bound, bint inclusive, tree_t* high) noexcept nogil:
    """The keys above the bound go to `high`, which is opened for it; the bound's own stays if `inclusive`. O(log n)."""
    cdef arena_t* a = t.arena
    cdef look_t k
    cdef path_t path
    cdef int[PATH_MAX] ranks
    cdef part_t[2] side
    cdef part_t[2] pair
    cdef uint32_t node = t.root, child
    cdef int rank = true_rank(a, node), to
    cdef size_t i
    high[0] = t[0]
    look_begin(&k, t, bound, False)
    path.n = 0
    while node:
        to = look_beyond(t, &k, node, RIGHT, not inclusive)
        ranks[path.n] = rank
        path_add(&path, node, to, 0)
        child = node_hot(a, node).link[to]
        rank -= 2 if two_below(a, child, node) else 1
        node = child
    side[LEFT].root = side[RIGHT].root = 0
    side[LEFT].rank = side[RIGHT].rank = -1
    for i in range(path.n):                 # from the bottom
        node = path.step[path.n - 1 - i].node
        to = path.step[path.n - 1 - i].dir
        child = node_hot(a, node).link[1 - to]
        pair[1 - to].root = child
        pair[1 - to].rank = ranks[path.n - 1 - i] - (2 if two_below(a, child, node) else 1)
        pair[to] = side[1 - to]
        join_parts(t, &pair[LEFT], node, &pair[RIGHT], &side[1 - to])
    tree_rooted(t, side[LEFT].root)
    tree_rooted(high, side[RIGHT].root)


cdef void tree_cut(
    tree_t* t, const form_t* low, bint low_open, const form_t* high, bint high_open, tree_t* out
) noexcept nogil:
    """The keys of a range go to `out`, which is opened for it. NULL: no bound; open: without the bound's own key.
    O(log n)."""
    cdef tree_t rest
    tree_open(&rest, t.arena, t.keypos)
    if high != NULL:
        tree_split(t, high, not high_open, &rest)
    if low != NULL:
        tree_split(t, low, low_open, out)
    else:
        out[0] = t[0]
        tree_rooted(t, 0)
    tree_join(t, &rest)


# ---- sorted rows at once
#
# The tree of n rows has the middle one for its root. With rank floor(log2(n)), that of n = 0 being -1, it obeys the
# rule: its subtrees have floor(n / 2) and floor((n - 1) / 2) rows, hence ranks 1 or 2 below, and 1 has rank 0. Nodes
# are taken in the order of the keys, so that a walk finds neighbours side by side.

cdef struct build_t:
    tree_t* tree
    uint64_t** rows
    uint8_t* common         # bytes that rows i-1 and i share; at both ends, what all do


cdef inline uint8_t least_of(uint8_t a, uint8_t b) noexcept nogil:
    return a if a < b else b


cdef uint32_t build(build_t* b, size_t first, size_t n, uint8_t* least) noexcept nogil:
    """The tree of rows first .. first + n; *least: the smallest of `common` between them. It recurses 32 deep at
    most."""
    cdef size_t middle = first + n // 2
    cdef uint32_t node
    cdef uint32_t[2] child
    cdef uint8_t below, above
    if n == 0:
        least[0] = OFF_MAX
        return 0
    child[LEFT] = build(b, first, middle - first, &below)
    node = node_take(b.tree.arena)
    child[RIGHT] = build(b, middle + 1, first + n - middle - 1, &above)
    if child[LEFT]:
        below = least_of(below, b.common[middle])
    if child[RIGHT]:
        above = least_of(above, b.common[middle + 1])
    least[0] = least_of(below, above)
    node_fill(b.tree, node, b.rows[middle])
    node_hot(b.tree.arena, node).link[LEFT] = child[LEFT]
    node_hot(b.tree.arena, node).link[RIGHT] = child[RIGHT]
    rank_set(b.tree.arena, node, top_bit(n))
    size_at(b.tree.arena, node)[0] = <uint32_t>n
    # what it shares with its bounds
    below = least_of(below, b.common[first])
    above = least_of(above, b.common[first + n])
    piece_renew(b.tree, node, least_of(below, above), above if below < above else below)
    return node


cdef int build_common(build_t* b, size_t n) noexcept nogil:
    """Fill in `common`. ST_BADARG if the keys do not ascend."""
    cdef buf_t[2] form
    cdef size_t i, length, c
    cdef int st = ST_OK
    buf_init(&form[0], NULL, 0)
    buf_init(&form[1], NULL, 0)
    for i in range(n):
        form[i & 1].len = 0
        st = key_form(b.tree, b.rows[i], &form[i & 1])
        if st != ST_OK:
            break
        if i == 0:
            continue
        length = form[0].len if form[0].len < form[1].len else form[1].len
        c = bytes_common(form[0].data, form[1].data, length)
        if c == length or <uint8_t>form[i & 1].data[c] < <uint8_t>form[1 - (i & 1)].data[c]:
            st = ST_BADARG
            break
        b.common[i] = OFF_MAX if c > OFF_MAX else <uint8_t>c
    if st == ST_OK:
        build_prefix(b, n, &form[(n - 1) & 1])
    buf_free(&form[0])
    buf_free(&form[1])
    return st


cdef void build_prefix(build_t* b, size_t n, buf_t* last) noexcept nogil:
    """What all keys share is what any two neighbours share at least."""
    cdef size_t i
    cdef uint8_t shared = OFF_MAX
    prefix_set(b.tree, last.data, last.len)
    for i in range(1, n):
        shared = least_of(shared, b.common[i])
    if n > 1:
        b.tree.shared = shared
    b.common[0] = b.common[n] = <uint8_t>b.tree.shared


cdef int tree_build(tree_t* t, uint64_t** rows, size_t n) noexcept nogil:
    """Fill an empty tree with rows whose keys ascend, in O(n). ST_OK; ST_BADARG if they do not ascend strictly,
    ST_NO_MEMORY, ST_TOO_LARGE: then nothing has changed."""
    cdef build_t b
    cdef uint8_t least
    cdef int st
    if n == 0:
        return ST_OK
    st = arena_reserve(t.arena, n)
    if st != ST_OK:
        return st
    b.tree = t
    b.rows = rows
    b.common = <uint8_t*>malloc(n + 1)
    if b.common == NULL:
        return ST_NO_MEMORY
    st = build_common(&b, n)
    if st == ST_OK:
        tree_rooted(t, build(&b, 0, n, &least))
    free(b.common)
    return st
