# Is a tree what wavl.pxi promises? Part of its floor; for tests.

cdef struct checked_t:
    uint32_t node
    bint above              # it is open, its left subtree done


cdef int true_rank(const arena_t* a, uint32_t node) noexcept nogil:
    """The rank, by adding up differences down the left side."""
    cdef int rank = -1
    cdef uint32_t child
    while node:
        child = node_hot(a, node).link[0]
        rank += 2 if two_below(a, child, node) else 1
        node = child
    return rank


cdef size_t true_height(const tree_t* t) noexcept nogil:
    """Nodes on the longest path."""
    cdef checked_t[PATH_MAX] stack
    cdef size_t n = 0, most = 0
    cdef uint32_t node = t.root
    while node or n:
        while node:
            stack[n].node = node
            stack[n].above = False
            n += 1
            node = node_hot(t.arena, node).link[0]
        if n > most:
            most = n
        while n and stack[n - 1].above:
            n -= 1
        if n:
            stack[n - 1].above = True
            node = node_hot(t.arena, stack[n - 1].node).link[1]
    return most


cdef str node_check(const tree_t* t, uint32_t node, bytes form, bytes before):
    cdef arena_t* a = t.arena
    cdef hot_t* h = node_hot(a, node)
    cdef int rank = true_rank(a, node), i, difference
    cdef size_t off = h.word & PIECE_OFF
    cdef bytes piece
    for i in range(2):
        difference = rank - true_rank(a, h.link[i])
        if (difference == 2) != two_below(a, h.link[i], node) or not 1 <= difference <= 2:
            return f"rank {rank}, child {i}: {difference} below"
    if is_leaf(a, node) and rank != 0:
        return f"a leaf of rank {rank}"
    if size_at(a, node)[0] != size_at(a, h.link[0])[0] + size_at(a, h.link[1])[0] + 1:
        return "the size is not the sum of the children's and 1"
    if before is not None and before >= form:
        return "the key is not greater than the one before"
    if off <= OFF_MAX:
        piece = (form[off : off + knob_piece] + bytes(7))[:7]
        if int.from_bytes(piece, "big") << 8 & piece_mask != h.word & piece_mask:
            return f"the piece is not the key's from byte {off} on"
    if form[: t.shared] != t.prefix[: t.shared]:
        return f"the key does not begin with the {t.shared} bytes that all share"
    return None


cdef str nodes_check(const tree_t* t):
    """Each node, in order, and that its key is found from the root."""
    cdef tree_walk_t w
    cdef uint32_t node
    cdef buf_t b
    cdef form_t key
    cdef size_t count = 0
    cdef bytes form, before = None
    cdef str wrong
    buf_init(&b, NULL, 0)
    walk_from(t, &w, NULL, 1, False)
    try:
        while True:
            node = walk_step(&w)
            if node == 0:
                break
            b.len = 0
            if key_form(t, node_row(t, node), &b) != ST_OK or form_word(&b, 0, 8) != ST_OK:
                raise MemoryError
            form = b.data[: b.len - 8]
            wrong = node_check(t, node, form, before)
            if wrong is not None:
                return f"node {node}, at {count}: {wrong}"
            key.p = b.data
            key.n = b.len - 8
            if tree_find(t, &key) != node:
                return f"node {node}, at {count}: its key is not found"
            if tree_seek(t, &key, 1, True) != node or tree_at(t, count) != node:
                return f"node {node}, at {count}: seek or at do not find it"
            if tree_rank(t, &key, False) != count or tree_rank(t, &key, True) != count + 1:
                return f"node {node}, at {count}: its key has another rank"
            before = form
            count += 1
    finally:
        buf_free(&b)
    return None if count == tree_count(t) else f"{count} nodes in order, {tree_count(t)} counted"


cdef str tree_check(const tree_t* t):
    """None, or which of wavl.pxi's promises is broken, and where."""
    cdef int dir
    if parity(t.arena, 0) == 0 or not is_leaf(t.arena, 0) or size_at(t.arena, 0)[0] != 0:
        return "node 0 was written to"
    for dir in range(2):
        if t.end[dir] != 0 and t.end[dir] != tree_outermost(t, t.root, dir):
            return f"node {t.end[dir]} is remembered for end {dir}, and is not the last there"
        if t.arena.spine[dir] != NULL and t.moves and t.arena.spine_moves[dir] == t.moves and not spine_holds(t, dir):
            return f"spine {dir}, which is remembered, is not the tree's"
    return nodes_check(t)


cdef bint spine_holds(const tree_t* t, int dir) noexcept nogil:
    cdef const path_t* spine = t.arena.spine[dir]
    cdef uint32_t node = t.root
    cdef size_t i
    for i in range(spine.n):
        if spine.step[i].node != node or spine.step[i].dir != <uint32_t>dir or spine.step[i].m > t.shared:
            return False
        node = node_hot(t.arena, node).link[dir]
    return node == 0


cdef str arena_check(const arena_t* a, size_t in_use):
    """None, or which promise of wavl_arena.pxi is broken; `in_use`: the nodes of all its trees."""
    cdef size_t spare = 0, chunks = arena_chunks(a)
    cdef uint32_t node = a.free
    while node and spare <= a.spare:
        spare += 1
        node = node_hot(a, node).link[0]
    if spare != a.spare:
        return f"{spare} nodes were given back, {a.spare} counted"
    if a.bump - 1 - spare != in_use:
        return f"{a.bump - 1 - spare} nodes are given out, {in_use} are in trees"
    spare = 3 * block_bytes(a.table_cap * sizeof(void*)) if a.table_cap else 0
    spare += block_bytes(sizeof(path_t)) * ((a.spine[0] != NULL) + (a.spine[1] != NULL))
    if a.spent != spare + (a.cap * NODE_BYTES if chunks else 0):
        return "the bytes of the nodes are not what was accounted"
    return None
