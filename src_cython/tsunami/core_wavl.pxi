# A tree by itself, for tests: no table, no locks. Not part of the module's API.

@cython.final
cdef class _Arena:
    """Where the nodes of a _Tree and of what was split from it live."""
    cdef arena_t arena
    cdef uint64_t[CASES] cases
    cdef size_t in_use

    def __cinit__(self):
        memset(self.cases, 0, sizeof(self.cases))
        arena_open(&self.arena)
        self.arena.cases = self.cases

    def __dealloc__(self):
        arena_close(&self.arena)


cdef void tree_row_free(void* ctx, uint64_t* row) noexcept nogil:
    free(row)


cdef uint64_t* tree_row_copy(tuple row) except NULL:
    cdef buf_t b
    cdef size_t at = 0
    cdef uint64_t* copy
    buf_init(&b, NULL, 0)
    try:
        encode_row(row, &b, &at, NULL)
        copy = <uint64_t*>malloc(b.len - at)
        if copy == NULL:
            raise MemoryError
        memcpy(copy, b.data + at, b.len - at)
    finally:
        buf_free(&b)
    return copy


@cython.final
cdef class _Tree:
    """A tree of rows, for tests: keypos counts from 1. A bound is a key, or the bytes of a form or of its beginning as
    `bytearray`."""
    cdef tree_t tree
    cdef _Arena home
    cdef buf_t scratch
    cdef buf_t bytes
    cdef form_t form

    def __cinit__(self, size_t keypos=1, _Arena home=None):
        self.home = _Arena() if home is None else home
        buf_init(&self.scratch, NULL, 0)
        buf_init(&self.bytes, NULL, 0)
        tree_open(&self.tree, &self.home.arena, keypos - 1)

    def __dealloc__(self):
        if self.home is not None:
            tree_fell(&self.tree, <size_t>-1, tree_row_free, NULL)
        buf_free(&self.scratch)
        buf_free(&self.bytes)

    cdef const form_t* key(self, object key) except NULL:
        """The form of a key; it holds until the next call."""
        cdef probe_t p
        self.bytes.len = self.scratch.len = 0
        if type(key) is bytearray:
            data = <bytes>bytes(key)
            if buf_append(&self.bytes, <const char*>data, len(data)) != ST_OK:
                raise MemoryError
        else:
            encode_key(key, &p, &self.scratch)
            if term_order_key(p.cell, p.base, &self.bytes, False) != ST_OK:
                raise MemoryError
        self.form.n = self.bytes.len
        if form_word(&self.bytes, 0, 8) != ST_OK:
            raise MemoryError
        self.form.p = self.bytes.data
        return &self.form

    cdef tuple row(self, uint64_t* row):
        return decode_row(row, NULL)

    cdef tuple node(self, uint32_t node):
        return None if node == 0 else self.row(node_row(&self.tree, node))

    def __len__(self):
        return tree_count(&self.tree)

    def put(self, tuple row not None):
        """Store a row; the one it replaced, or None."""
        cdef const form_t* key = self.key(row[self.tree.keypos])
        cdef uint64_t* copy = tree_row_copy(row)
        cdef uint64_t* old
        cdef int st = tree_put(&self.tree, key, copy, &old)
        if st != ST_OK:
            free(copy)
            raise MemoryError
        if old == NULL:
            return None
        result = self.row(old)
        free(old)
        return result

    def take(self, key):
        cdef uint64_t* row = tree_take(&self.tree, self.key(key))
        if row == NULL:
            return None
        result = self.row(row)
        free(row)
        return result

    def find(self, key):
        return self.node(tree_find(&self.tree, self.key(key)))

    def seek(self, key=..., int dir=1, bint inclusive=False):
        """The nearest row in a direction, 1 up or 0 down; without a key: the first."""
        cdef const form_t* from_ = NULL if key is ... else self.key(key)
        return self.node(tree_seek(&self.tree, from_, dir, inclusive))

    def walk(self, key=..., int dir=1, bint inclusive=False):
        cdef tree_walk_t w
        cdef uint32_t node
        cdef list out = []
        walk_from(&self.tree, &w, NULL if key is ... else self.key(key), dir, inclusive)
        while True:
            node = walk_step(&w)
            if node == 0:
                return out
            out.append(self.node(node))

    def rank(self, key, bint inclusive=False):
        return tree_rank(&self.tree, self.key(key), inclusive)

    def at(self, size_t i):
        return self.node(tree_at(&self.tree, i))

    def fell(self, size_t budget):
        """Free up to so many rows of a tree that must not be used otherwise any more; how many are left."""
        return tree_fell(&self.tree, budget, tree_row_free, NULL)

    def check(self):
        """Raise AssertionError if an invariant is broken."""
        cdef str wrong = tree_check(&self.tree)
        if wrong is not None:
            raise AssertionError(wrong)

    def check_arena(self, *others):
        """As check, of the arena; `others`: the other trees in it."""
        cdef str wrong = arena_check(&self.home.arena, len(self) + sum(map(len, others)))
        if wrong is not None:
            raise AssertionError(wrong)

    @property
    def height(self):
        return true_height(&self.tree)

    @property
    def spent(self):
        return self.home.arena.spent

    @property
    def cases(self):
        """How often each case of rebalancing was met in this arena, and the rotations made."""
        return {name: self.home.cases[i] for i, name in enumerate((
            "promote", "rise single", "rise double", "rise even", "demote leaf", "demote", "demote both",
            "fall single", "fall leaf", "fall double", "rotations", "rotations of one update",
        ))}


def _tree_knobs(**settings):
    """Set the trees' knobs (first: nodes of a fresh arena; piece: bytes of a piece); returns their values before."""
    global knob_arena_first, knob_piece, piece_mask
    before = {"first": knob_arena_first, "piece": knob_piece}
    for name in settings:
        if name not in before:
            raise BadArgument(f"{name!r} is no knob: " + " ".join(before))
    knobs = dict(before, **settings)
    if not 2 <= knobs["first"] <= CHUNK_NODES or not 1 <= knobs["piece"] <= 7:
        raise BadArgument(f"{settings!r}: out of range")
    knob_arena_first = knobs["first"]
    knob_piece = knobs["piece"]
    piece_mask = ~<uint64_t>0 << (64 - 8 * knob_piece)
    return before
