# Running a program, and the functions of guards and bodies. Part of match.pxi's floor, where programs are drawn.
#
# What a run may rely on: the program was verified, so registers and jumps are in range; constants are in the registers
# from run_prepare on. What it must not: change anything but registers and its heap; call anything that can wait.

# ---- runners

cdef uint64_t* NOBODY = NULL                                   # a row with the pid that {self} is where nobody is known


cdef void run_open(run_t* r) noexcept nogil:
    r.program = NULL
    r.regs = NULL
    r.cap = 0
    r.levels = NULL
    r.levels_cap = 0
    heap_open(&r.heap)
    r.self_pid.c = NOBODY[1]
    r.self_pid.base = <const char*>NOBODY
    r.node.c = NAMED[NAMED_NODE]
    r.node.base = NULL
    r.cell = 0
    r.base = NULL


cdef void run_close(run_t* r) noexcept nogil:
    program_release(r.program)
    free(r.regs)
    free(r.levels)
    heap_close(&r.heap)
    r.program = NULL
    r.regs = NULL
    r.levels = NULL
    r.cap = r.levels_cap = 0


cdef int run_prepare(run_t* r, const program_t* p) noexcept nogil:
    """Make the runner ready for another program: room, and its constants in their registers."""
    cdef size_t need = p.nregs + p.nconsts
    cdef val_t* regs
    cdef build_level_t* levels
    if need > r.cap:
        regs = <val_t*>realloc(r.regs, need * sizeof(val_t))
        if regs == NULL:
            return ST_NO_MEMORY
        r.regs = regs
        r.cap = need
    if p.nest > r.levels_cap:
        levels = <build_level_t*>realloc(r.levels, p.nest * sizeof(build_level_t))
        if levels == NULL:
            return ST_NO_MEMORY
        r.levels = levels
        r.levels_cap = p.nest
    memset(r.regs, 0, p.nregs * sizeof(val_t))
    if p.nconsts:
        memcpy(r.regs + p.nregs, p.consts, p.nconsts * sizeof(val_t))
    program_retain(p)
    program_release(r.program)
    r.program = p
    return ST_OK


# ---- building

cdef inline size_t val_words(const val_t* v) noexcept nogil:
    """Words of the body."""
    if cell_is_leaf(v.c):
        return (cell_length(v.c) + 7) >> 3
    if cell_is_box(v.c):
        return header_words((<const uint64_t*>cell_at(v.c, v.base))[0])
    return 0


cdef void put_val(uint64_t* body, size_t i, const val_t* v, uint64_t** at) noexcept nogil:
    """Make cell i of the body that is being written, and append what it points to at *at."""
    cdef const char* p
    cdef uint64_t header
    cdef size_t words
    cdef cell_t c = v.c
    if (c & 0xD) != 5:
        if term_is_text(c):
            body[0] |= HAS_MARKS
        elif (c & 0xFF) == LOW_OBJECT:
            body[0] |= HAS_OBJECT
        body[1 + i] = c
        return
    p = cell_at(c, v.base)
    words = val_words(v)
    body[1 + i] = cell_body(cell_low(c), cell_length(c), at[0] - body)
    if cell_is_leaf(c):
        at[0][words - 1] = 0                                   # the padding
        memcpy(at[0], p, cell_length(c))
        if term_is_text(c):
            body[0] |= HAS_MARKS
        elif (c & 0xFF) == LOW_FLOAT and isnan(term_float(c, v.base)):
            body[0] |= HAS_NAN
    else:
        header = (<const uint64_t*>p)[0]
        memcpy(at[0], p, words * 8)
        at[0][0] = (header & ~(EXTENT_MASK | ROW_EXPIRES | ROW_STAMP)) | words
        body[0] |= header & FLAGS_BELOW
    at[0] += words


cdef int container_take(heap_t* h, size_t count, size_t words, uint64_t** body) noexcept nogil:
    """Room for a container of `count` cells and `words` in all; its header without extent. Too large ones fail."""
    cdef int status
    if words > OFFSET_MAX:
        return ST_BADARG
    status = heap_take(h, words, body)
    if status == ST_OK:
        body[0][0] = <uint64_t>count << LENGTH_SHIFT
    return status


cdef inline void give_body(val_t* out, int low, size_t count, const uint64_t* body) noexcept nogil:
    out.c = cell_body(low, count, 0)
    out.base = <const char*>body


# -- lists with a tail that comes out only now: [a, b | T]

cdef inline size_t tail_cells(const val_t* tail) noexcept nogil:
    if (tail.c & 0xFF) == LOW_NIL:
        return 0
    if (tail.c & 0xFF) == LOW_LIST or (tail.c & 0xFF) == LOW_IMPROPER:
        return cell_length(tail.c)
    return 1


cdef inline bint val_is_list_box(const val_t* v) noexcept nogil:
    return (v.c & 0xFF) == LOW_LIST or (v.c & 0xFF) == LOW_IMPROPER


cdef inline size_t tail_words(const val_t* tail) noexcept nogil:
    """Words of the bodies behind the tail's cells."""
    return val_words(tail) - 1 - cell_length(tail.c) if val_is_list_box(tail) else val_words(tail)


cdef inline int tail_low(const val_t* tail) noexcept nogil:
    return LOW_LIST if (tail.c & 0xFF) == LOW_NIL or (tail.c & 0xFF) == LOW_LIST else LOW_IMPROPER


cdef void move_cells(uint64_t* body, size_t i, const uint64_t* cells, size_t n, int64_t words) noexcept nogil:
    """Copy cells whose bodies stand by `words` further from the new header than from the old one."""
    cdef size_t j
    cdef cell_t c
    for j in range(n):
        c = cells[j]
        if (c & 0xD) == 5:
            c += <cell_t>words << OFFSET_SHIFT
        body[1 + i + j] = c


cdef void put_tail(uint64_t* body, size_t i, const val_t* tail, uint64_t** at) noexcept nogil:
    """The cells from i on are those of the tail."""
    cdef const uint64_t* old
    cdef size_t n, words
    if (tail.c & 0xFF) == LOW_NIL:
        return
    if not val_is_list_box(tail):
        put_val(body, i, tail, at)
        return
    old = <const uint64_t*>cell_at(tail.c, tail.base)
    n = cell_length(tail.c)
    words = tail_words(tail)
    move_cells(body, i, old + 1, n, (at[0] - body) - <int64_t>(1 + n))
    memcpy(at[0], old + 1 + n, words * 8)
    body[0] |= old[0] & FLAGS_BELOW
    at[0] += words


# -- tuples and lists out of tokens

cdef int build_size(const run_t* r, const token_t* tokens, size_t n, size_t* words) noexcept nogil:
    cdef size_t i, sum = 0
    for i in range(n):
        if tokens[i].low == 0:
            sum += val_words(&r.regs[tokens[i].n])
        else:
            sum += 1 + tokens[i].n
            if tokens[i].tail != SELF:
                sum += tail_cells(&r.regs[tokens[i].tail]) + tail_words(&r.regs[tokens[i].tail])
        if sum > OFFSET_MAX:
            return ST_BADARG
    words[0] = sum
    return ST_OK


cdef size_t build_close(run_t* r, size_t depth, uint64_t** at) noexcept nogil:
    """Close the levels that are complete; how many are left."""
    cdef build_level_t* top
    while depth:
        top = &r.levels[depth - 1]
        if top.next < top.count:
            break
        if top.tail != SELF:
            put_tail(top.body, top.count, &r.regs[top.tail], at)
        top.body[0] |= <uint64_t>(at[0] - top.body)
        depth -= 1
        if depth:
            r.levels[depth - 1].body[0] |= top.body[0] & FLAGS_BELOW
    return depth


cdef void build_open(run_t* r, size_t depth, const token_t* token, uint64_t** at, val_t* cell) noexcept nogil:
    """Write the header of a container, and make its cell in the one around it, or `cell`."""
    cdef build_level_t* top = &r.levels[depth]
    cdef build_level_t* around
    cdef size_t count = token.n
    cdef int low = token.low
    if token.tail != SELF:
        count += tail_cells(&r.regs[token.tail])
        low = tail_low(&r.regs[token.tail])
    top.body = at[0]
    top.body[0] = <uint64_t>count << LENGTH_SHIFT
    top.next = 0
    top.count = token.n
    top.tail = token.tail
    at[0] += 1 + count
    if depth == 0:
        give_body(cell, low, count, top.body)
        return
    around = &r.levels[depth - 1]
    around.body[1 + around.next] = cell_body(low, count, top.body - around.body)
    around.next += 1


cdef int run_build(run_t* r, const token_t* tokens, size_t n, val_t* out) noexcept nogil:
    """A tuple or list, whatever containers stand in it, in one go: once over the tokens for the size, once to write."""
    cdef uint64_t* at = NULL
    cdef build_level_t* top
    cdef size_t words = 0, depth = 0, i
    cdef int status = build_size(r, tokens, n, &words)
    if status == ST_OK:
        status = heap_take(&r.heap, words, &at)
    if status != ST_OK:
        return status
    for i in range(n):
        if tokens[i].low:
            build_open(r, depth, &tokens[i], &at, out)
            depth += 1
        else:
            top = &r.levels[depth - 1]
            put_val(top.body, top.next, &r.regs[tokens[i].n], &at)
            top.next += 1
        depth = build_close(r, depth, &at)
    return ST_OK


# -- maps

cdef bint keyable(const val_t* v) noexcept nogil:
    """Neither NaN nor a reference term can be a key, nor anything with one in it."""
    if cell_is_box(v.c):
        return not (<const uint64_t*>cell_at(v.c, v.base))[0] & (HAS_NAN | HAS_OBJECT)
    if (v.c & 0xFF) == LOW_FLOAT:
        return not isnan(term_float(v.c, v.base))
    return (v.c & 0xFF) != LOW_OBJECT


cdef inline int key_compare(const val_t* a, const val_t* b, bint exact) noexcept nogil:
    return compare_as(a.c, a.base, b.c, b.base, exact)


cdef void pair_swap(val_t* a, val_t* b) noexcept nogil:
    cdef val_t[2] c
    memcpy(c, a, sizeof(c))
    memcpy(a, b, sizeof(c))
    memcpy(b, c, sizeof(c))


cdef void sift_down(val_t* pairs, size_t i, size_t n, bint exact) noexcept nogil:
    cdef size_t child
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and key_compare(&pairs[2 * child], &pairs[2 * child + 2], exact) < 0:
            child += 1
        if key_compare(&pairs[2 * i], &pairs[2 * child], exact) >= 0:
            return
        pair_swap(&pairs[2 * i], &pairs[2 * child])
        i = child


cdef void sort_pairs(val_t* pairs, size_t n, bint exact) noexcept nogil:
    """Keys and values, by key: a heap sort, which needs neither recursion nor room. In exact order or in term order."""
    cdef size_t i = n // 2
    while i:
        i -= 1
        sift_down(pairs, i, n, exact)
    i = n
    while i > 1:
        i -= 1
        pair_swap(pairs, &pairs[2 * i])
        sift_down(pairs, 0, i, exact)


cdef size_t unique_pairs(val_t* pairs, size_t n, bint exact) noexcept nogil:
    """Of equal keys the last one in the array stays. How many are left."""
    cdef size_t i, kept = 0
    for i in range(n):
        if kept and key_compare(&pairs[2 * kept - 2], &pairs[2 * i], exact) == 0:
            kept -= 1
        memcpy(&pairs[2 * kept], &pairs[2 * i], 2 * sizeof(val_t))
        kept += 1
    return kept


cdef int run_map(run_t* r, const token_t* tokens, size_t n, val_t* out) noexcept nogil:
    cdef uint64_t* room = NULL
    cdef uint64_t* body = NULL
    cdef uint64_t* at
    cdef val_t* pairs
    cdef size_t i, words = 1
    cdef int status = heap_take(&r.heap, n * sizeof(val_t) // 8, &room)
    if status != ST_OK:
        return status
    pairs = <val_t*>room
    for i in range(n):
        pairs[i] = r.regs[tokens[i].n]
        if i % 2 == 0 and not keyable(&pairs[i]):
            return ST_BADARG
    sort_pairs(pairs, n // 2, True)
    n = 2 * unique_pairs(pairs, n // 2, True)
    for i in range(n):
        words += 1 + val_words(&pairs[i])
    status = container_take(&r.heap, n, words, &body)
    if status != ST_OK:
        return status
    at = body + 1 + n
    for i in range(n):
        put_val(body, i, &pairs[i], &at)
    body[0] |= words
    give_body(out, LOW_MAP, n, body)
    return ST_OK


# ---- parts of terms

cdef int list_rest(heap_t* h, const val_t* list_, size_t from_, val_t* out) noexcept nogil:
    """The list without its first elements, of which it has at least so many."""
    cdef const uint64_t* old = <const uint64_t*>cell_at(list_.c, list_.base)
    cdef size_t n = cell_length(list_.c), first, last, i, words
    cdef uint64_t* body = NULL
    cdef bint improper = (list_.c & 0xFF) == LOW_IMPROPER
    cdef int status
    if from_ == n:
        return give_cell(out, LOW_NIL)
    if improper and from_ == n - 1:
        out.c = old[n]
        out.base = <const char*>old
        return ST_OK
    last = header_words(old[0])
    first = last                                               # where the first body that stays begins
    for i in range(from_, n):
        if (old[1 + i] & 0xD) == 5:
            first = cell_words(old[1 + i])
            break
    n -= from_
    words = 1 + n + last - first
    status = container_take(h, n, words, &body)
    if status != ST_OK:
        return status
    move_cells(body, 0, old + 1 + from_, n, <int64_t>(1 + n) - <int64_t>first)
    memcpy(body + 1 + n, old + first, (last - first) * 8)
    body[0] |= (old[0] & FLAGS_BELOW) | words
    give_body(out, LOW_IMPROPER if improper else LOW_LIST, n, body)
    rest_flags(body)
    return ST_OK


cdef void rest_flags(uint64_t* body) noexcept nogil:
    """What went away may have been all that the flags announced. They must be exact, or canonical bytes are not."""
    cdef uint64_t flags = 0, c
    cdef size_t i
    if not body[0] & FLAGS_BELOW:
        return
    for i in range(header_count(body[0])):
        c = body[1 + i]
        if cell_is_box(c):
            flags |= body[cell_words(c)] & FLAGS_BELOW
        elif term_is_text(c):
            flags |= HAS_MARKS
        elif (c & 0xFF) == LOW_OBJECT:
            flags |= HAS_OBJECT
        elif (c & 0xFF) == LOW_FLOAT and isnan(term_float(c, <const char*>body)):
            flags |= HAS_NAN
    body[0] = (body[0] & ~FLAGS_BELOW) | flags


cdef bint map_value(const val_t* map_, const val_t* key, val_t* out) noexcept nogil:
    """The value of a key, of a map with a body. By halves: the keys are in exact order."""
    cdef const cell_t* cells
    cdef const char* base
    cdef size_t low = 0, high = term_cells(map_.c, map_.base, &cells, &base) // 2, i
    cdef int order
    while low < high:
        i = (low + high) // 2
        order = term_compare_exact(cells[2 * i], base, key.c, key.base)
        if order == 0:
            out.c = cells[2 * i + 1]
            out.base = base
            return True
        if order < 0:
            low = i + 1
        else:
            high = i
    return False


# ---- functions. Each has its row in the table at the end.

cdef inline int val_kind(const val_t* v) noexcept nogil:
    return KIND_OF_LOW[v.c & 0xFF]


cdef int fn_abs(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_abs(&r.heap, a, out)


cdef int fn_element(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    cdef int64_t i
    if not val_is_cell(a) or (b.c & 0xFF) != LOW_TUPLE:
        return ST_BADARG
    i = term_int(a.c)
    if i < 1 or <uint64_t>i > cell_length(b.c):
        return ST_BADARG
    out.base = cell_at(b.c, b.base)
    out.c = (<const cell_t*>out.base)[i]
    return ST_OK


cdef int fn_hd(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    if not val_is_list_box(a):
        return ST_BADARG
    out.base = cell_at(a.c, a.base)
    out.c = (<const cell_t*>out.base)[1]
    return ST_OK


cdef int fn_tl(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return list_rest(&r.heap, a, 1, out) if val_is_list_box(a) else ST_BADARG


cdef int fn_length(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    if (a.c & 0xFF) == LOW_LIST:
        return give_cell(out, cell_int(cell_length(a.c)))
    return give_cell(out, cell_int(0)) if (a.c & 0xFF) == LOW_NIL else ST_BADARG


cdef int fn_map_get(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return ST_OK if val_kind(b) == K_MAP and map_value(b, a, out) else ST_BADARG


cdef int fn_is_map_key(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    cdef val_t value
    return give_bool(out, map_value(b, a, &value)) if val_kind(b) == K_MAP else ST_BADARG


cdef int fn_map_size(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return give_cell(out, cell_int(sized(a.c) // 2)) if val_kind(a) == K_MAP else ST_BADARG


cdef int fn_tuple_size(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return give_cell(out, cell_int(sized(a.c))) if val_kind(a) == K_TUPLE else ST_BADARG


cdef int fn_max(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    out[0] = b[0] if term_compare(a.c, a.base, b.c, b.base) < 0 else a[0]
    return ST_OK


cdef int fn_min(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    out[0] = b[0] if term_compare(a.c, a.base, b.c, b.base) > 0 else a[0]
    return ST_OK


cdef int fn_self(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    out[0] = r.self_pid
    return ST_OK


cdef int fn_node(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    out[0] = r.node
    return ST_OK


cdef int fn_node_of(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    cdef int kind = val_kind(a)
    if kind != K_PID and kind != K_PORT and kind != K_REF:
        return ST_BADARG
    return give_cell(out, (<const cell_t*>cell_at(a.c, a.base))[1])


cdef int fn_round(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_whole(&r.heap, a, round, out)


cdef int fn_trunc(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_whole(&r.heap, a, trunc, out)


cdef int fn_ceil(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_whole(&r.heap, a, ceil, out)


cdef int fn_floor(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_whole(&r.heap, a, floor, out)


cdef int fn_float(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_float(&r.heap, a, out)


cdef bint bit_length(const val_t* v, size_t* bits) noexcept nogil:
    """Of a binary or bit string; False for anything else."""
    cdef char[8] scratch
    cdef size_t n
    if RANK_OF_KIND[val_kind(v)] != RANK_BITS:
        return False
    bits_read(v.c, v.base, scratch, &n, bits)
    return True


cdef int fn_bit_size(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    cdef size_t bits
    return give_cell(out, cell_int(bits)) if bit_length(a, &bits) else ST_BADARG


cdef int fn_byte_size(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    cdef size_t bits
    return give_cell(out, cell_int((bits + 7) // 8)) if bit_length(a, &bits) else ST_BADARG


cdef int fn_size(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    cdef size_t bits
    if val_kind(a) == K_TUPLE:
        return give_cell(out, cell_int(sized(a.c)))
    return give_cell(out, cell_int(bits // 8)) if bit_length(a, &bits) else ST_BADARG


cdef inline bint cuts_text(const char* p, size_t at, size_t n) noexcept nogil:
    """Would a cut in front of byte `at` go through a character?"""
    return at < n and p[at] & 0xC0 == 0x80


cdef int give_binary(heap_t* h, const char* p, size_t n, bint text, val_t* out) noexcept nogil:
    """A binary that stands in one of the operands, or in the scratch of an inline one. Long ones are not copied."""
    if n <= 7:
        return give_cell(out, cell_inline(p, n, text))
    out.c = cell_body(LOW_BINARY | (<int>TEXT_MARK if text else 0), n, 0)
    out.base = p
    return ST_OK


cdef int binary_part(run_t* r, const val_t* a, const val_t* start, const val_t* length, val_t* out) noexcept nogil:
    """A part of text is text, if both ends are between characters."""
    cdef char[8] scratch
    cdef const char* p
    cdef size_t n, bits
    cdef int64_t at, count
    cdef bint text = term_is_text(a.c)
    if RANK_OF_KIND[val_kind(a)] != RANK_BITS or not val_is_cell(start) or not val_is_cell(length):
        return ST_BADARG
    p = bits_read(a.c, a.base, scratch, &n, &bits)
    n = bits // 8
    at = term_int(start.c)
    count = term_int(length.c)
    if at < 0 or <size_t>at > n:
        return ST_BADARG
    if count < 0:                                              # backwards
        if count < -at:
            return ST_BADARG
        at += count
        count = -count
    if <size_t>count > n - <size_t>at:
        return ST_BADARG
    if text and (cuts_text(p, at, n) or cuts_text(p, at + count, n)):
        text = False
    return give_binary(&r.heap, p + at, count, text, out)


cdef int fn_binary_part(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return binary_part(r, a, b, c, out)


cdef int fn_binary_part_pair(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    cdef val_t start, length
    cdef const cell_t* cells
    if (b.c & 0xFF) != LOW_TUPLE or cell_length(b.c) != 2:
        return ST_BADARG
    term_cells(b.c, b.base, &cells, &start.base)
    length.base = start.base
    start.c = cells[0]
    length.c = cells[1]
    return binary_part(r, a, &start, &length, out)


cdef int fn_is_boolean(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return give_bool(out, a.c == cell_atom(ATOM_TRUE) or a.c == cell_atom(ATOM_FALSE))


cdef int fn_is_function(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    """is_function/2. An arity beyond all funs' is no mistake, a negative one is."""
    cdef const cell_t* cells
    cdef const char* base
    cdef size_t n
    if not val_is_integer(b) or (b.c & 0xFF) == LOW_NEGATIVE or (val_is_cell(b) and term_int(b.c) < 0):
        return ST_BADARG
    if val_kind(a) != K_FUN:
        return give_bool(out, False)
    n = term_cells(a.c, a.base, &cells, &base)
    return give_bool(out, cells[FUN_ARITY if n == FUN_CELLS else 3] == b.c)


cdef int fn_is_record(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    """The size must be a small integer, as in Erlang."""
    if (b.c & 0xFF) != LOW_ATOM or not val_is_cell(c):
        return ST_BADARG
    return give_bool(
        out, (a.c & 0xFF) == LOW_TUPLE and cell_int(cell_length(a.c)) == c.c
        and (<const cell_t*>cell_at(a.c, a.base))[1] == b.c)


cdef int fn_not(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    if a.c == cell_atom(ATOM_TRUE) or a.c == cell_atom(ATOM_FALSE):
        return give_bool(out, a.c == cell_atom(ATOM_FALSE))
    return ST_BADARG


cdef inline bint both_bool(const val_t* a, const val_t* b) noexcept nogil:
    """The atoms true and false are the first two, so their cells differ in one bit."""
    return not (((a.c ^ cell_atom(ATOM_TRUE)) | (b.c ^ cell_atom(ATOM_TRUE))) & ~(<cell_t>ATOM_FALSE << 32))


cdef int fn_xor(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return give_bool(out, a.c != b.c) if both_bool(a, b) else ST_BADARG


cdef int fn_plus(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    """+X"""
    if not val_is_number(a):
        return ST_BADARG
    out[0] = a[0]
    return ST_OK


cdef int fn_neg(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_neg(&r.heap, a, out)


cdef int fn_bnot(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_bnot(&r.heap, a, out)


cdef int fn_add(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_add(&r.heap, a, b, out)


cdef int fn_sub(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_sub(&r.heap, a, b, out)


cdef int fn_mul(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_mul(&r.heap, a, b, out)


cdef int fn_fdiv(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_fdiv(&r.heap, a, b, out)


cdef int fn_div(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_div(&r.heap, a, b, out)


cdef int fn_rem(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_rem(&r.heap, a, b, out)


cdef int fn_band(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_band(&r.heap, a, b, out)


cdef int fn_bor(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_bor(&r.heap, a, b, out)


cdef int fn_bxor(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_bxor(&r.heap, a, b, out)


cdef int fn_bsl(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_bsl(&r.heap, a, b, out)


cdef int fn_bsr(run_t* r, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil:
    return arith_bsr(&r.heap, a, b, out)


cdef bint function_add(
    const char* name, int arity, int form, guard_function_t run, uint64_t set_
) noexcept nogil:
    global FUNCTION_COUNT
    cdef size_t n = 0
    while name[n]:
        n += 1
    if FUNCTION_COUNT == FUNCTIONS_MAX:
        return False
    FUNCTIONS[FUNCTION_COUNT].name = atom_intern(name, n)
    FUNCTIONS[FUNCTION_COUNT].arity = arity
    FUNCTIONS[FUNCTION_COUNT].form = form
    FUNCTIONS[FUNCTION_COUNT].run = run
    FUNCTIONS[FUNCTION_COUNT].set = set_
    FUNCTION_COUNT += 1
    return FUNCTIONS[FUNCTION_COUNT - 1].name != 0


cdef bint functions_init() noexcept nogil:
    """The table: name, arity, form, function, set."""
    cdef uint64_t integers = 1 << K_INT | 1 << K_BIG, numbers = 1 << K_INT | 1 << K_BIG | 1 << K_FLOAT
    cdef uint64_t lists = 1 << K_LIST | 1 << K_IMPROPER | 1 << K_NIL
    return (
        function_add(b"is_atom", 1, F_KIND, NULL, 1 << K_ATOM)
        and function_add(b"is_float", 1, F_KIND, NULL, 1 << K_FLOAT)
        and function_add(b"is_integer", 1, F_KIND, NULL, integers)
        and function_add(b"is_number", 1, F_KIND, NULL, numbers)
        and function_add(b"is_list", 1, F_KIND, NULL, lists)
        and function_add(b"is_pid", 1, F_KIND, NULL, 1 << K_PID)
        and function_add(b"is_port", 1, F_KIND, NULL, 1 << K_PORT)
        and function_add(b"is_reference", 1, F_KIND, NULL, 1 << K_REF)
        and function_add(b"is_tuple", 1, F_KIND, NULL, 1 << K_TUPLE)
        and function_add(b"is_map", 1, F_KIND, NULL, 1 << K_MAP)
        and function_add(b"is_binary", 1, F_KIND, NULL, 1 << K_BINARY)
        and function_add(b"is_bitstring", 1, F_KIND, NULL, 1 << K_BINARY | 1 << K_BITS)
        and function_add(b"is_function", 1, F_KIND, NULL, 1 << K_FUN)
        and function_add(b"is_function", 2, F_CALL, fn_is_function, 0)
        and function_add(b"is_boolean", 1, F_CALL, fn_is_boolean, 0)
        and function_add(b"is_map_key", 2, F_CALL, fn_is_map_key, 0)
        and function_add(b"is_record", 3, F_CALL, fn_is_record, 0)
        and function_add(b">", 2, F_ORDER, NULL, ORDER_MORE)
        and function_add(b">=", 2, F_ORDER, NULL, ORDER_MORE | ORDER_EVEN)
        and function_add(b"<", 2, F_ORDER, NULL, ORDER_LESS)
        and function_add(b"=<", 2, F_ORDER, NULL, ORDER_LESS | ORDER_EVEN)
        and function_add(b"==", 2, F_ORDER, NULL, ORDER_EVEN)
        and function_add(b"/=", 2, F_ORDER, NULL, ORDER_LESS | ORDER_MORE)
        and function_add(b"=:=", 2, F_SAME, NULL, 0)
        and function_add(b"=/=", 2, F_DIFFER, NULL, 0)
        and function_add(b"and", -1, F_AND, NULL, 0)
        and function_add(b"or", -1, F_OR, NULL, 0)
        and function_add(b"andalso", -1, F_ANDALSO, NULL, 0)
        and function_add(b"orelse", -1, F_ORELSE, NULL, 0)
        and function_add(b"not", 1, F_CALL, fn_not, 0)
        and function_add(b"xor", 2, F_CALL, fn_xor, 0)
        and function_add(b"abs", 1, F_CALL, fn_abs, 0)
        and function_add(b"element", 2, F_CALL, fn_element, 0)
        and function_add(b"hd", 1, F_CALL, fn_hd, 0)
        and function_add(b"tl", 1, F_CALL, fn_tl, 0)
        and function_add(b"length", 1, F_CALL, fn_length, 0)
        and function_add(b"map_get", 2, F_CALL, fn_map_get, 0)
        and function_add(b"map_size", 1, F_CALL, fn_map_size, 0)
        and function_add(b"tuple_size", 1, F_CALL, fn_tuple_size, 0)
        and function_add(b"max", 2, F_CALL, fn_max, 0)
        and function_add(b"min", 2, F_CALL, fn_min, 0)
        and function_add(b"self", 0, F_CALL, fn_self, 0)
        and function_add(b"node", 0, F_CALL, fn_node, 0)
        and function_add(b"node", 1, F_CALL, fn_node_of, 0)
        and function_add(b"round", 1, F_CALL, fn_round, 0)
        and function_add(b"trunc", 1, F_CALL, fn_trunc, 0)
        and function_add(b"ceil", 1, F_CALL, fn_ceil, 0)
        and function_add(b"floor", 1, F_CALL, fn_floor, 0)
        and function_add(b"float", 1, F_CALL, fn_float, 0)
        and function_add(b"size", 1, F_CALL, fn_size, 0)
        and function_add(b"bit_size", 1, F_CALL, fn_bit_size, 0)
        and function_add(b"byte_size", 1, F_CALL, fn_byte_size, 0)
        and function_add(b"binary_part", 2, F_CALL, fn_binary_part_pair, 0)
        and function_add(b"binary_part", 3, F_CALL, fn_binary_part, 0)
        and function_add(b"+", 1, F_CALL, fn_plus, 0)
        and function_add(b"-", 1, F_CALL, fn_neg, 0)
        and function_add(b"+", 2, F_CALL, fn_add, 0)
        and function_add(b"-", 2, F_CALL, fn_sub, 0)
        and function_add(b"*", 2, F_CALL, fn_mul, 0)
        and function_add(b"/", 2, F_CALL, fn_fdiv, 0)
        and function_add(b"div", 2, F_CALL, fn_div, 0)
        and function_add(b"rem", 2, F_CALL, fn_rem, 0)
        and function_add(b"band", 2, F_CALL, fn_band, 0)
        and function_add(b"bor", 2, F_CALL, fn_bor, 0)
        and function_add(b"bxor", 2, F_CALL, fn_bxor, 0)
        and function_add(b"bnot", 1, F_CALL, fn_bnot, 0)
        and function_add(b"bsl", 2, F_CALL, fn_bsl, 0)
        and function_add(b"bsr", 2, F_CALL, fn_bsr, 0)
    )


cdef bint match_init() noexcept nogil:
    """Once, when the module starts."""
    global NOBODY
    cdef buf_t b
    cdef size_t row = 0, pid = 0
    NAMED[NAMED_ANY] = atom_intern(b"_", 1)
    NAMED[NAMED_ROW] = atom_intern(b"$_", 2)
    NAMED[NAMED_VARS] = atom_intern(b"$$", 2)
    NAMED[NAMED_CONST] = atom_intern(b"const", 5)
    NAMED[NAMED_AND] = atom_intern(b"and", 3)
    NAMED[NAMED_OR] = atom_intern(b"or", 2)
    NAMED[NAMED_ANDALSO] = atom_intern(b"andalso", 7)
    NAMED[NAMED_ORELSE] = atom_intern(b"orelse", 6)
    NAMED[NAMED_SELF] = atom_intern(b"self", 4)
    NAMED[NAMED_EXIT] = atom_intern(b"EXIT", 4)
    NAMED[NAMED_ELEMENT] = atom_intern(b"element", 7)
    NAMED[NAMED_NODE] = atom_intern(b"nonode@nohost", 13)
    buf_init(&b, NULL, 0)
    if open_body(&b, 1, &row) != ST_OK or open_body(&b, 4, &pid) != ST_OK:
        return False
    set_cell(&b, row, 0, cell_body(LOW_PID, 4, (pid - row) >> 3))
    set_cell(&b, pid, 0, NAMED[NAMED_NODE])                    # <0.0.0>: id, serial and creation are 0
    if close_body(&b, pid) != ST_OK or close_body(&b, row) != ST_OK:
        return False
    NOBODY = <uint64_t*>b.data                                 # for ever
    return functions_init()


# ---- the run

cdef inline int order_bit(const val_t* a, const val_t* c) noexcept nogil:
    return 1 << (term_compare(a.c, a.base, c.c, c.base) + 1)


cdef int run_boolean(int code, const val_t* a, const val_t* c, val_t* out) noexcept nogil:
    """'and', 'or'."""
    if not both_bool(a, c):
        return ST_BADARG
    if code == OP_AND:
        return give_cell(out, a.c if a.c == cell_atom(ATOM_FALSE) else c.c)
    return give_cell(out, a.c if a.c == cell_atom(ATOM_TRUE) else c.c)


cdef int run_value(run_t* r, const instr_t* op, val_t* out) noexcept nogil:
    """The value of an instruction that has one."""
    cdef const val_t* a = &r.regs[op.a]
    cdef const val_t* c
    cdef int code = op.code
    if code == OP_LOAD:
        out.base = a.base
        out.c = a.c if op.b == SELF else (<const cell_t*>a.base)[1 + op.b]
        return ST_OK
    if code == OP_KIND:
        return give_bool(out, op.imm >> val_kind(a) & 1)
    if code == OP_BUILD:
        return run_build(r, r.program.tokens + op.imm, op.c, out)
    if code == OP_MAP:
        return run_map(r, r.program.tokens + op.imm, op.c, out)
    c = &r.regs[op.c]
    if code == OP_CALL:
        return FUNCTIONS[op.imm].run(r, a, &r.regs[op.b], c, out)
    if code == OP_ORDER:
        return give_bool(out, order_bit(a, c) & op.imm)
    if code == OP_SAME:
        return give_bool(out, term_equal(a.c, a.base, c.c, c.base))
    if code == OP_DIFFER:
        return give_bool(out, not term_equal(a.c, a.base, c.c, c.base))
    return run_boolean(code, a, c, out)


cdef int run_stop_early(const instr_t* op, val_t* regs) noexcept nogil:
    """'andalso', 'orelse': ST_OK go on with the next argument; ST_STOP the value is decided; ST_BADARG."""
    cdef cell_t c = regs[op.a].c, decides = cell_atom(ATOM_FALSE if op.code == OP_ANDALSO else ATOM_TRUE)
    if c == decides:
        give_cell(&regs[op.dst], c)
        return ST_STOP
    return ST_OK if c == cell_atom(ATOM_TRUE) or c == cell_atom(ATOM_FALSE) else ST_BADARG


cdef inline cell_t place_cell(const instr_t* op, const val_t* regs) noexcept nogil:
    """The cell at the instruction's place; its base is the register's."""
    return regs[op.a].c if op.b == SELF else (<const cell_t*>regs[op.a].base)[1 + op.b]


cdef inline void enter(val_t* dst, cell_t c, const char* base) noexcept nogil:
    """A container as a register: its base is its body, so that elements are near."""
    dst.c = c & ~OFFSET_MASK
    dst.base = cell_at(c, base)


cdef int order_far(const instr_t* op, const val_t* regs) noexcept nogil:
    """The order of the place, which is no small integer, against imm, which is one. Out of the way of run_near."""
    return compare_as(place_cell(op, regs), regs[op.a].base, op.imm, NULL, False)


cdef bint holds_far(const instr_t* op, val_t* regs) noexcept nogil:
    """The tests of heads and guards that take longer."""
    cdef const char* base = regs[op.a].base
    cdef const val_t* other
    cdef cell_t c, d
    cdef int code = op.code
    if code == OP_EQUAL or code == OP_UNLIKE:
        other = &regs[op.c]
        return term_equal(place_cell(op, regs), base, other.c, other.base) == (code == OP_EQUAL)
    if code == OP_IF_ORDER:
        other = &regs[op.c]
        return 1 << (term_compare(place_cell(op, regs), base, other.c, other.base) + 1) & op.imm
    if code == OP_AGAIN:
        other = &regs[op.dst]
        d = other.c if op.c == SELF else (<const cell_t*>other.base)[1 + op.c]
        return term_equal(place_cell(op, regs), base, d, other.base)
    if code == OP_KEYED:
        return map_value(&regs[op.a], &regs[op.c], &regs[op.dst])
    c = place_cell(op, regs)
    if code == OP_MAPPED:
        if (c & 0xFF) != LOW_MAP or cell_length(c) < 2 * <size_t>op.c:
            return False
    elif ((c & 0xFF) != LOW_LIST or cell_length(c) < op.c) and ((c & 0xFF) != LOW_IMPROPER or cell_length(c) <= op.c):
        return False                                           # OP_LISTED
    enter(&regs[op.dst], c, base)
    return True


cdef const instr_t* run_failed(run_t* r, const instr_t* op) noexcept nogil:
    """The instruction has failed: on to the next clause, or its value is 'EXIT'."""
    if op.fail:
        return op + op.fail
    give_cell(&r.regs[op.dst], NAMED[NAMED_EXIT])
    return op + op.c if op.code == OP_ANDALSO or op.code == OP_ORELSE else op + 1


cdef const instr_t* run_far(run_t* r, const instr_t* op) noexcept nogil:
    """One instruction that is none of run_near's. The next one, or NULL without memory."""
    cdef val_t value
    cdef int status
    if op.code < OP_LOAD and op.code != OP_REST:
        return op + 1 if holds_far(op, r.regs) else op + op.fail
    if op.code == OP_ANDALSO or op.code == OP_ORELSE:
        status = run_stop_early(op, r.regs)
    elif op.code == OP_REST:
        status = list_rest(&r.heap, &r.regs[op.a], op.c, &r.regs[op.dst])
    else:
        status = run_value(r, op, &value)
        if status == ST_OK:
            r.regs[op.dst] = value
    if status == ST_OK:
        return op + 1
    if status == ST_NO_MEMORY:
        return NULL
    return op + op.c if status == ST_STOP else run_failed(r, op)


cdef int run_near(run_t* r, const instr_t* op, val_t* regs) noexcept nogil:
    """The loop, with the instructions that decide most rows; they call nothing."""
    cdef cell_t c
    cdef bint holds
    while True:
        if op.code == OP_BOX:
            c = place_cell(op, regs)
            holds = (c & ~OFFSET_MASK) == op.imm
            if holds:
                enter(&regs[op.dst], c, regs[op.a].base)
        elif op.code == OP_TUPLED:
            c = place_cell(op, regs)
            holds = (c & 0xFF) == LOW_TUPLE and cell_length(c) >= op.c
            if holds:
                enter(&regs[op.dst], c, regs[op.a].base)
        elif op.code == OP_IS:
            holds = place_cell(op, regs) == op.imm
        elif op.code == OP_IS_INLINE:
            holds = (place_cell(op, regs) & ~TEXT_MARK) == op.imm
        elif op.code == OP_IF_KIND:
            holds = op.imm >> KIND_OF_LOW[place_cell(op, regs) & 0xFF] & 1
        elif op.code == OP_IF_MORE:
            c = place_cell(op, regs)
            holds = <int64_t>c > <int64_t>op.imm if cell_is_int(c) else order_far(op, regs) > 0
        elif op.code == OP_IF_LESS:
            c = place_cell(op, regs)
            holds = <int64_t>c < <int64_t>op.imm if cell_is_int(c) else order_far(op, regs) < 0
        elif op.code == OP_IF_NOT_MORE:
            c = place_cell(op, regs)
            holds = <int64_t>c <= <int64_t>op.imm if cell_is_int(c) else order_far(op, regs) <= 0
        elif op.code == OP_IF_NOT_LESS:
            c = place_cell(op, regs)
            holds = <int64_t>c >= <int64_t>op.imm if cell_is_int(c) else order_far(op, regs) >= 0
        elif op.code == OP_IF_EVEN:
            c = place_cell(op, regs)
            holds = c == op.imm if cell_is_int(c) else order_far(op, regs) == 0
        elif op.code == OP_IF_ODD:
            c = place_cell(op, regs)
            holds = c != op.imm if cell_is_int(c) else order_far(op, regs) != 0
        elif op.code == OP_IF_TRUE:
            holds = regs[op.a].c == cell_atom(ATOM_TRUE)
        elif op.code == OP_FAIL:
            holds = False
        elif op.code == OP_RET_TRUE:
            return R_TRUE
        elif op.code == OP_RET_ROW:
            return R_ROW
        elif op.code == OP_NO:
            return R_NO
        elif op.code == OP_RET:
            r.cell = regs[op.a].c
            r.base = regs[op.a].base
            return R_TRUE if r.cell == cell_atom(ATOM_TRUE) else R_VALUE
        else:
            op = run_far(r, op)
            if op == NULL:
                return R_NO_MEMORY
            continue
        op += 1 if holds else op.fail


cdef int program_run(run_t* r, const program_t* p, cell_t term, const char* base) noexcept nogil:
    """One term through the program. R_VALUE: r.cell and r.base, which are good until the next run, and as long as the
    term is."""
    if ts_unlikely(r.program != p):
        if run_prepare(r, p) != ST_OK:
            return R_NO_MEMORY
    if ts_unlikely(r.heap.chunk != NULL):
        heap_reset(&r.heap)
    r.regs[REG_ROW].c = term
    r.regs[REG_ROW].base = base
    return run_near(r, p.ops, r.regs)
