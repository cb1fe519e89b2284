# A tree of rows in the order of their keys: a weak AVL tree (Haeupler, Sen, Tarjan: Rank-Balanced Trees, ACM
# Transactions on Algorithms 11, 2015). Parts of this floor: wavl_arena (nodes), wavl_key (comparing), wavl_walk
# (walking, ranks), wavl_join (split, join, bulk load), wavl_check.
#
# Not here: locks, tables, what a row is beyond its key. The caller holds the lock; rows are his, the tree keeps
# pointers.
#
# ## The rule
#
# Every node has a rank. A missing node has rank -1, a leaf has rank 0, and
#
#     the rank of a node is 1 or 2 more than that of each child.                                                  (*)
#
# A child whose rank is 1 less is called a 1-child, and a node is called by the differences to its children: 1,1 or 1,2
# or 2,2. A leaf is 1,1 (rank 1 with two missing children would be 2,2; it is demoted).
#
# Hence the height is at most the root's rank, and a subtree of rank r has at least 2^(r/2) nodes: no path is longer
# than 2 log2(n). As long as nothing was deleted no node is 2,2, (*) is the rule of AVL trees, and no path is longer
# than 1.44 log2(n + 2). Either way no tree is higher than a red-black tree may be, and an update makes at most two
# rotations.
#
# A node stores its rank's parity only, one bit: with (*) it tells a 1-child from a 2-child. While an update is under
# way one edge may break (*), with a difference of 0 or of 3; which edge that is, and which of the two, the code knows.
# Promoting and demoting by one is a flip of the bit; by two, nothing.
#
# The drawings below show the ranks' differences on the edges. Every case stands there for one side; dir is the side
# (0 left, 1 right), and 1 - dir the other one. There are no parent pointers: an update keeps its path on the C stack.
#
# ## What must stay true
#
# 1. (*), and leaves have rank 0.
# 2. Keys ascend in order, strictly.
# 3. size counts the nodes of the subtree.
# 4. A node's piece holds the bytes of its key's form from the place it names (wavl_key).
# 5. All keys of a tree share the first `shared` bytes of prefix.
# 6. `end` is the first node and the last one, or 0 where that is not known. `moves` is another number, new in the
#    arena, after whatever changes which nodes there are or how they stand; so a path or a walk's stack that was kept
#    holds as long as it is the same.
#
# ## Its two ends
#
# Who fills a tree in order, or uses it as a queue, is always at an end. There a tree remembers the node (whoever came
# to an end has it looked up there first) and, if it is large, the path: its *spine*, left or right. A spine turns but
# one way, so what an update does to it is plain: a rotation takes one node off it or puts one on. The two spines have
# only the root in common, so that an update at one end leaves the other one as it is unless it changes the root.

cdef enum:
    PATH_MAX = 80                           # nodes on a path: 2 log2(2^32), and some
    SIDE_BY_SIDE = 16
    SPINE_LEAST = 256                       # nodes of a tree that remembers the paths to its ends

cdef enum:                                  # the cases drawn below, counted for tests
    CASE_PROMOTE
    CASE_RISE_SINGLE
    CASE_RISE_DOUBLE
    CASE_RISE_EVEN
    CASE_DEMOTE_LEAF
    CASE_DEMOTE
    CASE_DEMOTE_BOTH
    CASE_FALL_SINGLE
    CASE_FALL_LEAF
    CASE_FALL_DOUBLE
    CASE_ROTATIONS
    CASE_ROTATIONS_MAX
    CASE_STEPS
    CASE_ASKED
    CASES

cdef struct turn_t:
    uint32_t node
    uint32_t dir                            # where the path goes on
    uint32_t m                              # bytes that all keys of the node's subtree share, or fewer

cdef struct path_t:
    size_t n
    size_t turns                            # rotations made
    size_t turned                           # at which depth the last one was, of rise if it was single, or of fall
    turn_t[PATH_MAX] step

include "wavl_arena.pxi"
include "wavl_key.pxi"


cdef void tree_open(tree_t* t, arena_t* arena, uint32_t keypos) noexcept nogil:
    t.arena = arena
    t.root = 0
    t.keypos = keypos
    t.shared = 0
    t.end[LEFT] = t.end[RIGHT] = 0
    t.moves = 0


cdef inline size_t tree_count(const tree_t* t) noexcept nogil:
    return size_at(t.arena, t.root)[0]


cdef inline void node_set_row(const tree_t* t, uint32_t node, uint64_t* row) noexcept nogil:
    """Another row in this one's place. Its key must be equal."""
    row_at(t.arena, node)[0] = row


cdef uint32_t tree_find(const tree_t* t, const form_t* key) noexcept nogil:
    """The node with this key, or 0."""
    cdef look_t k
    cdef uint32_t node = t.root
    cdef int dir
    cdef hot_t* h
    look_begin(&k, t, key, True)
    while node:
        h = node_hot(t.arena, node)
        ts_prefetch(node_hot(t.arena, h.link[LEFT]))    # one of them for nothing, but before it is known which
        ts_prefetch(node_hot(t.arena, h.link[RIGHT]))
        dir = look_at(t, &k, node)
        if dir == EQUAL:
            break
        node = h.link[dir]
    return node


cdef enum asking_t:
    ASKS_PIECE = 0
    ASKS_PLACE = 1                          # the row's pointer is on its way
    ASKS_ROW = 2                            # the row is


cdef inline void row_prefetch(const uint64_t* row) noexcept nogil:
    """The beginning of a row, with its key; it may stand across the end of a cache line."""
    ts_prefetch(row)
    ts_prefetch(row + 4)


cdef inline int look_ahead(const tree_t* t, look_t* k, uint32_t node, uint8_t* asking) noexcept nogil:
    """look_at in steps, none of which waits for memory: UNDECIDED as long as there is one more."""
    cdef int dir
    if ts_likely(asking[0] == ASKS_PIECE):
        dir = look_piece(t, k, node)
        if ts_unlikely(dir == UNDECIDED):
            ts_prefetch(row_at(t.arena, node))
            asking[0] = ASKS_PLACE
        return dir
    if asking[0] == ASKS_PLACE:
        row_prefetch(node_row(t, node))
        asking[0] = ASKS_ROW
        return UNDECIDED
    asking[0] = ASKS_PIECE
    return look_row(t, k, node)


cdef void tree_find_many(const tree_t* t, const form_t* keys, size_t n, uint32_t* nodes) noexcept nogil:
    """tree_find of up to SIDE_BY_SIDE keys, taking turns, so that each waits for memory while the others go on. The
    rows found are on their way when it returns, and the sizes of the nodes on the paths."""
    cdef look_t[SIDE_BY_SIDE] k
    cdef uint32_t[SIDE_BY_SIDE] at
    cdef uint8_t[SIDE_BY_SIDE] asking
    cdef size_t i, going = n if t.root else 0
    cdef int dir
    for i in range(n):
        look_begin(&k[i], t, &keys[i], True)
        at[i] = t.root
        nodes[i] = 0
        asking[i] = ASKS_PIECE
    while going:
        going = 0
        for i in range(n):
            if at[i] == 0:
                continue
            dir = look_ahead(t, &k[i], at[i], &asking[i])
            if dir == EQUAL:
                nodes[i] = at[i]
                at[i] = 0
                ts_prefetch(row_at(t.arena, nodes[i]))
                continue
            going += 1
            if ts_unlikely(dir == UNDECIDED):
                continue
            at[i] = node_hot(t.arena, at[i]).link[dir]
            ts_prefetch(node_hot(t.arena, at[i]))
            ts_prefetch(size_at(t.arena, at[i]))
    for i in range(n):
        if nodes[i]:
            row_prefetch(node_row(t, nodes[i]))


# ---- paths

cdef inline void path_add(path_t* path, uint32_t node, uint32_t dir, uint32_t m) noexcept nogil:
    path.step[path.n].node = node
    path.step[path.n].dir = dir
    path.step[path.n].m = m
    path.n += 1


cdef uint32_t path_down(const tree_t* t, look_t* k, path_t* path) noexcept nogil:
    """To the key's node, which is answered and not part of the path, or to where it would stand (0)."""
    cdef uint32_t node = t.root, m
    cdef hot_t* h
    cdef int dir
    path.n = 0
    path.turns = 0
    while node:
        m = k.m
        h = node_hot(t.arena, node)
        ts_prefetch(node_hot(t.arena, h.link[LEFT]))
        ts_prefetch(node_hot(t.arena, h.link[RIGHT]))
        ts_prefetch(size_at(t.arena, node))
        dir = look_at(t, k, node)
        if dir == EQUAL:
            break
        if ts_unlikely(k.asked):
            k.asked = False
            piece_heal(t, node, m, k.common[dir])
        path_add(path, node, dir, m)
        node = h.link[dir]
    return node


cdef void path_end(const tree_t* t, int dir, uint32_t m, path_t* path) noexcept nogil:
    """To beyond the last node in a direction, without a comparison: along a spine, whose nodes have no bound on that
    side, so that no key below them shares more than m with it."""
    cdef const arena_t* a = t.arena
    cdef uint32_t node = t.root
    path.n = 0
    path.turns = 0
    while node:
        path_add(path, node, dir, m)
        node = node_hot(a, node).link[dir]


cdef inline bint path_is_end(const path_t* path, int dir) noexcept nogil:
    """Does it lead to beyond the last node in this direction?"""
    cdef size_t i
    for i in range(path.n):
        if path.step[i].dir != <uint32_t>dir:
            return False
    return True


# ---- the ends

cdef inline int end_side(tree_t* t, look_t* k, bint on) noexcept nogil:
    """Beyond which end that is known does k stand; with `on`: on which end? LEFT or RIGHT, or EQUAL if neither, and
    then k is as it was."""
    cdef uint32_t m = k.m
    cdef int dir = RIGHT, to
    while dir >= LEFT:
        if t.end[dir]:
            to = look_at(t, k, t.end[dir])
            if to == dir and not on:
                if ts_unlikely(k.asked):
                    k.asked = False
                    piece_heal(t, t.end[dir], m, k.common[dir])
                return dir
            k.asked = False
            if to == EQUAL:
                return dir if on else EQUAL
            k.common[to] = k.m = m          # no bound but what all keys share, as it began
        dir -= 1
    return EQUAL


cdef path_t* spine_path(tree_t* t, int dir, uint32_t m, path_t* home) noexcept nogil:
    """path_end, which a large tree remembers: to walk down there is a chain of loads that wait for each other."""
    cdef arena_t* a = t.arena
    cdef path_t* path = a.spine[dir]
    cdef size_t i
    if path == NULL and tree_count(t) >= SPINE_LEAST:
        path = a.spine[dir] = <path_t*>malloc(sizeof(path_t))
        if path != NULL:
            a.spent += block_bytes(sizeof(path_t))
            held_add(block_bytes(sizeof(path_t)))
    if path == NULL:
        path_end(t, dir, m, home)
        return home
    if a.spine_moves[dir] != t.moves:
        path_end(t, dir, m, path)
    elif path.step[0].m != m:
        for i in range(path.n):
            path.step[i].m = m
    a.spine_moves[dir] = 0
    path.turns = 0
    return path


cdef inline void spine_grows(tree_t* t, path_t* path, int dir, uint32_t node) noexcept nogil:
    """A node has been put beyond this path's end. At most it was turned once, which took a node off the spine."""
    cdef size_t i
    if path != t.arena.spine[dir] or path.turns > 1 or path.n + 1 >= PATH_MAX:
        return
    path_add(path, node, dir, path.step[0].m)
    if path.turns == 1:
        path.n -= 1
        for i in range(path.turned, path.n):
            path.step[i].node = path.step[i + 1].node
    t.arena.spine_moves[dir] = t.moves


cdef inline void spine_shrinks(tree_t* t, path_t* path, int dir, uint32_t m) noexcept nogil:
    """The node behind this path, which was the last one in a direction, has been taken out. Its only child, a leaf, has
    come in its place; and where there was a rotation a node from beside the spine has come onto it."""
    cdef size_t i
    cdef uint32_t child
    if path.turns:
        for i in range(path.n, path.turned, -1):
            path.step[i] = path.step[i - 1]
        path.n += 1
        path.step[path.turned].node = path_link(t, path, path.turned)[0]
        path.step[path.turned].dir = dir
        path.step[path.turned].m = m
    child = path_link(t, path, path.n)[0]
    if child:
        path_add(path, child, dir, m)
    t.end[dir] = path.step[path.n - 1].node if path.n else 0
    if path == t.arena.spine[dir] and 0 < path.n < PATH_MAX - 2:
        t.arena.spine_moves[dir] = t.moves


cdef inline void spine_stays(tree_t* t, int dir, uint32_t root, uint64_t moves) noexcept nogil:
    """An update at the other end has begun with this root, and this number of moves."""
    cdef arena_t* a = t.arena
    if a.spine_moves[dir] == moves and t.root == root and moves and a.spine[dir].step[0].m <= t.shared:
        a.spine_moves[dir] = t.moves


cdef inline uint32_t* path_link(tree_t* t, path_t* path, size_t depth) noexcept nogil:
    """What leads to the path's node at this depth, or to what follows its last one."""
    cdef turn_t* above
    if depth == 0:
        return &t.root
    above = &path.step[depth - 1]
    return &node_hot(t.arena, above.node).link[above.dir]


cdef inline void path_count(const tree_t* t, path_t* path, size_t depth, uint32_t more) noexcept nogil:
    """So many nodes more below the first `depth` nodes of the path (fewer, modulo 2^32)."""
    cdef uint32_t** size = t.arena.size     # by itself: the compiler would load it anew after each store
    cdef uint32_t node
    cdef size_t i
    for i in range(depth):
        node = path.step[i].node
        size[node >> NODE_BITS][node & (CHUNK_NODES - 1)] += more


# ---- rotations
#
#            p                    x
#           / \                  / \
#          x   C      ->        A   p
#         / \                      / \
#        A   B                    B   C
#
# The piece of x must not begin behind what is common to the keys of p's subtree, which is now its own. That of p stays
# right; where it does not tell p from x it is written anew, or the keys between them would all have to ask the row.

cdef void piece_apart(const tree_t* t, uint32_t p, uint32_t x, size_t m) noexcept nogil:
    """x has come to stand above p, whose keys share m bytes at least."""
    cdef char[KEY_HOME] home
    cdef buf_t b
    cdef form_t key
    cdef look_t k
    cdef hot_t* h = node_hot(t.arena, p)
    if ((h.word ^ node_hot(t.arena, x).word) & (piece_mask | PIECE_OFF)) != 0 or (h.word & PIECE_OFF) == OFF_MAX:
        return
    buf_init(&b, home, KEY_HOME)
    if key_form(t, node_row(t, p), &b) == ST_OK and form_word(&b, 0, 8) == ST_OK:
        key.p = b.data
        key.n = b.len - 8
        look_begin(&k, t, &key, True)
        look_row(t, &k, x)
        piece_heal(t, p, m if m > k.m else k.m, k.common[LEFT] if k.common[LEFT] > k.common[RIGHT] else k.common[RIGHT])
    buf_free(&b)


cdef uint32_t rotate(tree_t* t, path_t* path, uint32_t* link, int dir, size_t m) noexcept nogil:
    """The child `dir` of the node at the link goes up, in its place. Ranks are the caller's."""
    cdef uint32_t p = link[0]
    cdef hot_t* hp = node_hot(t.arena, p)
    cdef uint32_t x = hp.link[dir]
    cdef hot_t* hx = node_hot(t.arena, x)
    hp.link[dir] = hx.link[1 - dir]
    hx.link[1 - dir] = p
    link[0] = x
    size_at(t.arena, x)[0] = size_at(t.arena, p)[0]
    size_renew(t.arena, p)
    if (hx.word & PIECE_OFF) > m:
        piece_renew(t, x, m, m)
    piece_apart(t, p, x, m)
    path.turns += 1
    return x


cdef uint32_t rotate_double(tree_t* t, path_t* path, uint32_t* link, int dir, size_t m) noexcept nogil:
    r"""The inner grandchild goes up two.

                p                        y
               / \                     /   \
              C   x                   p     x
                 / \        ->       / \   / \
                y   D               C   A B   D
               / \
              A   B                                                        (dir: right)
    """
    rotate(t, path, &node_hot(t.arena, link[0]).link[dir], 1 - dir, m)
    return rotate(t, path, link, dir, m)


# ---- putting in

cdef bint rise(tree_t* t, path_t* path, size_t depth, uint32_t x) noexcept nogil:
    r"""x stands behind the first `depth` nodes of the path, and has a rank that may be its parent's: make (*) true
    again. Answers whether the root's rank has grown.

    Whenever the difference is 0, x is 1,2 with its 1-child on either side; or it is new: a leaf, or the middle of a
    join, whose outer child is a 1-child.

    promote: p is 0,1. Then p is 1,2, and it may be p that has its parent's rank.

              |                |  one less
              p                p
           0 / \ 1    ->    1 / \ 2
            x   C            x   C

    single: p is 0,2, the inner child of x is a 2-child. p is demoted.

              p                x
           0 / \ 2          1 / \ 1
            x   C     ->     A   p
         1 / \ 2              1 / \ 1
          A   B                B   C

    double: p is 0,2, the inner child y of x is a 1-child, the outer one a 2-child. y is promoted, x and p are demoted.
    The differences i, j below y are 1 or 2, not both 2, and become 1 or 2.

              p                   y
           0 / \ 2             1 / \ 1
            x   C             x     p
         2 / \ 1      ->   1 / \   / \ 1
          A   y             A  B1 B2  C
           i / \ j              i  j
           B1   B2

    even: p is 0,2, x is 1,1: only the middle of a join. x is promoted; it may have its parent's rank now, and is 2,1
    with the inner child p: so this happens once.

              p                x
           0 / \ 2          2 / \ 1
            x   C     ->     A   p
         1 / \ 1              1 / \ 2
          A   B                B   C
    """
    cdef arena_t* a = t.arena
    cdef uint32_t p
    cdef uint32_t* link
    cdef turn_t* at
    cdef hot_t* h
    cdef int dir
    while depth:
        at = &path.step[depth - 1]
        p = at.node
        dir = at.dir
        if not two_below(a, x, p):          # the parity of 0, not of 1
            return False
        depth -= 1
        if not two_below(a, node_hot(a, p).link[1 - dir], p):
            case_met(t, CASE_PROMOTE)
            flip(a, p)
            x = p
            continue
        link = path_link(t, path, depth)
        h = node_hot(a, x)
        if two_below(a, h.link[1 - dir], x):
            case_met(t, CASE_RISE_SINGLE)
            rotate(t, path, link, dir, at.m)
            path.turned = depth
            flip(a, p)
            return False
        if two_below(a, h.link[dir], x):
            case_met(t, CASE_RISE_DOUBLE)
            flip(a, h.link[1 - dir])
            rotate_double(t, path, link, dir, at.m)
            flip(a, x)
            flip(a, p)
            return False
        case_met(t, CASE_RISE_EVEN)
        rotate(t, path, link, dir, at.m)
        flip(a, x)
    return True


cdef int tree_reserve(tree_t* t, size_t n) noexcept nogil:
    """So many keys can be put without failing. ST_OK, ST_NO_MEMORY or ST_TOO_LARGE."""
    return arena_reserve(t.arena, n)


cdef inline void node_fill(tree_t* t, uint32_t node, uint64_t* row) noexcept nogil:
    """A leaf."""
    cdef hot_t* h = node_hot(t.arena, node)
    h.word = 0
    h.link[0] = h.link[1] = 0
    row_at(t.arena, node)[0] = row
    size_at(t.arena, node)[0] = 1


cdef int tree_put(tree_t* t, const form_t* key, uint64_t* row, uint64_t** old) noexcept nogil:
    """Put a row in. `key` is the form of its key; *old is the row that had it, which is the caller's again, or NULL.
    ST_OK; ST_NO_MEMORY or ST_TOO_LARGE, and nothing has changed."""
    cdef look_t k
    cdef path_t home
    cdef path_t* path = &home
    cdef uint32_t node, root
    cdef uint64_t moves
    cdef size_t differs
    cdef int side, st
    look_begin(&k, t, key, True)
    side = end_side(t, &k, False)
    if side == EQUAL:
        node = path_down(t, &k, path)
        if node:
            old[0] = node_row(t, node)
            node_set_row(t, node, row)
            return ST_OK
    old[0] = NULL
    st = arena_reserve(t.arena, 1)
    if st != ST_OK:
        return st
    if side != EQUAL:
        path = spine_path(t, side, k.m, &home)
    root = t.root
    moves = t.moves
    node = node_take(t.arena)
    node_fill(t, node, row)
    prefix_narrow(t, key.p, key.n)
    differs = k.common[LEFT] if k.common[LEFT] > k.common[RIGHT] else k.common[RIGHT]
    piece_set(t, node, key.p, piece_place(k.m, differs, key.n))
    path_link(t, path, path.n)[0] = node
    path_count(t, path, path.n, 1)
    tree_moved(t)
    rise(t, path, path.n, node)
    turns_met(t, path)
    if side == EQUAL:
        t.end[LEFT] = node if path_is_end(path, LEFT) else 0
        t.end[RIGHT] = node if path_is_end(path, RIGHT) else 0
        return ST_OK
    t.end[side] = node
    spine_grows(t, path, side, node)
    spine_stays(t, 1 - side, root, moves)
    return ST_OK


cdef inline void tree_moved(tree_t* t) noexcept nogil:
    t.arena.moves += 1
    t.moves = t.arena.moves


cdef inline void turns_met(tree_t* t, path_t* path) noexcept nogil:
    if ts_unlikely(t.arena.cases != NULL):
        t.arena.cases[CASE_ROTATIONS] += path.turns
        if path.turns > t.arena.cases[CASE_ROTATIONS_MAX]:
            t.arena.cases[CASE_ROTATIONS_MAX] = path.turns


# ---- taking out

cdef bint fall_rotate(tree_t* t, path_t* path, size_t depth) noexcept nogil:
    r"""The last case of fall: the path's node p at this depth has a 3-child, and its other child y is a 1-child. False
    if y is 2,2: both were demoted, and nothing was rotated.

    both: y is 2,2. p and y are demoted.

              p                p
           1 / \ 3          1 / \ 2
            y   x     ->     y   x
         2 / \ 2          1 / \ 1
          A   B            A   B

    single: the outer child of y is a 1-child. y is promoted, p demoted; and once more if it is a leaf now.

              p                y
           1 / \ 3          2 / \ 1
            y   x     ->     A   p
         1 / \ j              j / \ 2
          A   B                B   x

    double: the outer child of y is a 2-child, the inner one, v, a 1-child. v is promoted by two, y demoted by one, p by
    two.

              p                   v
           1 / \ 3             2 / \ 2
            y   x             y     p
         2 / \ 1      ->   1 / \   / \ 1
          A   v             A  B1 B2  x
           i / \ j              i  j
           B1   B2
    """
    cdef arena_t* a = t.arena
    cdef turn_t* at = &path.step[depth]
    cdef uint32_t p = at.node
    cdef int to = 1 - at.dir                # where y stands
    cdef uint32_t y = node_hot(a, p).link[to]
    cdef hot_t* h = node_hot(a, y)
    if not two_below(a, h.link[to], y):
        case_met(t, CASE_FALL_SINGLE)
        rotate(t, path, path_link(t, path, depth), to, at.m)
        path.turned = depth
        flip(a, y)
        flip(a, p)
        if is_leaf(a, p):
            case_met(t, CASE_FALL_LEAF)
            flip(a, p)
        return True
    if not two_below(a, h.link[1 - to], y):
        case_met(t, CASE_FALL_DOUBLE)
        rotate_double(t, path, path_link(t, path, depth), to, at.m)
        path.turned = depth
        flip(a, y)
        return True
    case_met(t, CASE_DEMOTE_BOTH)
    flip(a, y)
    flip(a, p)
    return False


cdef void fall(tree_t* t, path_t* path, size_t depth, bint three) noexcept nogil:
    r"""What stands behind the first `depth` nodes of the path has lost one rank; `three`: it is a 3-child now. Make (*)
    true again.

    leaf: p has lost its last child and is 2,2 of rank 1. It is demoted.

              p                |  one more
           2 / \ 2    ->       p
                            1 / \ 1

    demote: p is 3,2. Then p is 2,1, and it may be p that is a 3-child.

              |                |  one more
              p                p
           2 / \ 3    ->    1 / \ 2
            C   x            C   x
    """
    cdef arena_t* a = t.arena
    cdef uint32_t p
    cdef bint two
    while depth:
        depth -= 1
        p = path.step[depth].node
        two = depth > 0 and two_below(a, p, path.step[depth - 1].node)
        if three:
            if two_below(a, node_hot(a, p).link[1 - path.step[depth].dir], p):
                case_met(t, CASE_DEMOTE)
                flip(a, p)
            elif fall_rotate(t, path, depth):
                return
        elif is_leaf(a, p):
            case_met(t, CASE_DEMOTE_LEAF)
            flip(a, p)
        else:
            return
        three = two


cdef uint64_t* unlink(tree_t* t, path_t* path, uint32_t node, size_t m) noexcept nogil:
    """Take out the node behind the path; answers its row. A node with two children gets the row of the next one, which
    is taken out in its place."""
    cdef arena_t* a = t.arena
    cdef uint64_t* row = node_row(t, node)
    cdef uint32_t heir = node, next
    cdef hot_t* h = node_hot(a, node)
    cdef bint three
    if h.link[0] and h.link[1]:
        path_add(path, node, RIGHT, <uint32_t>m)
        heir = h.link[1]
        while True:
            next = node_hot(a, heir).link[0]
            if next == 0:
                break
            path_add(path, heir, LEFT, <uint32_t>m)
            heir = next
        node_set_row(t, node, node_row(t, heir))
        h.word = (h.word & PARITY) | (node_hot(a, heir).word & ~PARITY)
        if (h.word & PIECE_OFF) > m:
            piece_renew(t, node, m, m)
        h = node_hot(a, heir)
    three = path.n > 0 and two_below(a, heir, path.step[path.n - 1].node)
    path_link(t, path, path.n)[0] = h.link[0] | h.link[1]
    path_count(t, path, path.n, <uint32_t>-1)
    if heir == t.end[LEFT]:
        t.end[LEFT] = 0
    if heir == t.end[RIGHT]:
        t.end[RIGHT] = 0
    tree_moved(t)
    node_give(a, heir)
    fall(t, path, path.n, three)
    turns_met(t, path)
    return row


cdef uint64_t* tree_take(tree_t* t, const form_t* key) noexcept nogil:
    """Take out the row with this key, or NULL."""
    cdef look_t k
    cdef path_t path
    cdef uint32_t node
    cdef int side
    look_begin(&k, t, key, True)
    side = end_side(t, &k, True)
    if side != EQUAL:
        return tree_take_end(t, side, k.m)
    node = path_down(t, &k, &path)
    return unlink(t, &path, node, k.m) if node else NULL


cdef uint64_t* tree_take_end(tree_t* t, int dir, uint32_t m) noexcept nogil:
    """Take out the last row in a direction, whose node is known; m: what its key shares with all others, or less."""
    cdef path_t home
    cdef path_t* path = spine_path(t, dir, m, &home)
    cdef uint32_t root = t.root
    cdef uint64_t moves = t.moves
    cdef uint64_t* row
    path.n -= 1
    row = unlink(t, path, t.end[dir], m)
    spine_shrinks(t, path, dir, m)
    spine_stays(t, 1 - dir, root, moves)
    return row


include "wavl_walk.pxi"
include "wavl_join.pxi"
include "wavl_check.pxi"
