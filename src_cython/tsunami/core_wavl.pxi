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

    cdef const form_t* start(self, object key) except? NULL:
        """The same for a walk: NULL, which is the end that lies behind, for `...`."""
        if key is ...:
            return NULL
        return self.key(key)

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
        return self.node(tree_seek(&self.tree, self.start(key), dir, inclusive))

    def walk(self, key=..., int dir=1, bint inclusive=False):
        cdef tree_walk_t w
        cdef uint32_t node
        cdef list out = []
        walk_from(&self.tree, &w, self.start(key), dir, inclusive)
        while True:
            node = walk_step(&w)
            if node == 0:
                return out
            out.append(self.node(node))

    def rank(self, key, bint inclusive=False):
        return tree_rank(&self.tree, self.key(key), inclusive)

    def at(self, size_t i):
        return self.node(tree_at(&self.tree, i))

    def find_many(self, list some not None):
        """find of several keys."""
        cdef form_t[SIDE_BY_SIDE] forms
        cdef uint32_t[SIDE_BY_SIDE] nodes
        cdef size_t i, j
        cdef list out = [], held
        for i in range(0, len(some), SIDE_BY_SIDE):
            held = []
            for j, key in enumerate(some[i : i + SIDE_BY_SIDE]):
                self.key(key)
                form = <bytes>self.form.p[: self.form.n] + bytes(8)
                held.append(form)
                forms[j].p = <const char*>form
                forms[j].n = len(form) - 8
            tree_find_many(&self.tree, forms, len(held), nodes)
            for j in range(len(held)):
                out.append(self.node(nodes[j]))
        return out

    def build(self, list rows not None):
        """Fill the empty tree with rows whose keys ascend. BadArgument if they do not."""
        cdef size_t n = len(rows), i = 0
        cdef uint64_t** copies = <uint64_t**>calloc(n + 1, sizeof(void*))
        cdef int st = ST_NO_MEMORY
        if tree_count(&self.tree) != 0:
            raise BadArgument("only an empty tree can be built")
        if copies == NULL:
            raise MemoryError
        try:
            for i in range(n):
                copies[i] = tree_row_copy(rows[i])
            st = tree_build(&self.tree, copies, n)
        finally:
            if st != ST_OK:
                for i in range(n):
                    free(copies[i])
            free(copies)
        if st == ST_BADARG:
            raise BadArgument("the keys do not ascend")
        if st != ST_OK:
            raise MemoryError

    def split(self, key, bint inclusive=False):
        """Keep the keys below a bound (inclusive: or equal to it); the others as a new tree."""
        cdef _Tree high = _Tree(self.tree.keypos + 1, self.home)
        tree_split(&self.tree, self.key(key), inclusive, &high.tree)
        return high

    def join(self, _Tree high not None, tuple row=None):
        """Take all rows of another tree, which come behind this one's; `row` stands between, if it is given."""
        cdef uint64_t* copy
        if self.home is not high.home:
            raise BadArgument("the trees are not of one arena")
        if row is None:
            tree_join(&self.tree, &high.tree)
            return
        copy = tree_row_copy(row)
        if tree_join_row(&self.tree, self.key(row[self.tree.keypos]), copy, &high.tree) != ST_OK:
            free(copy)
            raise MemoryError

    def cut(self, low=..., bint low_open=False, high=..., bint high_open=False):
        """Take a range out, as a new tree."""
        cdef _Tree out = _Tree(self.tree.keypos + 1, self.home)
        cdef form_t a, b
        cdef bytes held_low, held_high
        if low is not ...:
            self.key(low)
            held_low = <bytes>self.form.p[: self.form.n] + bytes(8)
            a.p = held_low
            a.n = self.form.n
        if high is not ...:
            self.key(high)
            held_high = <bytes>self.form.p[: self.form.n] + bytes(8)
            b.p = held_high
            b.n = self.form.n
        tree_cut(
            &self.tree, NULL if low is ... else &a, low_open, NULL if high is ... else &b, high_open, &out.tree
        )
        return out

    def beside(self):
        """An empty tree in the same arena."""
        return _Tree(self.tree.keypos + 1, self.home)

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
    def ends(self):
        """What is known of the first and the last node: nothing, the "node", or the "path" that leads beyond it."""
        cdef int side
        return tuple([
            "" if self.tree.end[side] == 0
            else "path" if self.tree.moves and self.home.arena.spine_moves[side] == self.tree.moves
            else "node"
            for side in range(2)
        ])

    @property
    def height(self):
        return true_height(&self.tree)

    @property
    def rank_of_root(self):
        return true_rank(&self.home.arena, self.tree.root)

    @property
    def steps(self):
        """Nodes that joins have passed on their way down, in this arena."""
        return self.home.cases[CASE_STEPS]

    @property
    def asked(self):
        """How often a piece did not decide and the row was asked, in this arena."""
        return self.home.cases[CASE_ASKED]

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
