# From a spec to its program. Part of match.pxi's floor, where programs are drawn.
#
# The compiler goes over the spec with stacks of its own (pats for heads, tasks for expressions), so nesting costs heap
# and nothing else. A *task* is something that is still to be done, the next one on top: evaluate an expression into a
# register, test a guard, append an instruction, set a label. What an expression needs is pushed behind it.
#
# Mistakes are collected in words, as Erlang's match_spec_test words them, one a line; compiling goes on behind them,
# and the program is thrown away.
#
# What must stay true:
# 1. An expression's value goes to a temporary (dst), and what it computes on the way uses only dst and registers from
#    `free` on. So arguments that have been computed are safe while their neighbours are.
# 2. Nothing is looked at twice without bound: whether a subterm is constant is found out within PLAIN_BUDGET pieces,
#    or it is taken apart instead, which comes to the same result.
# 3. Variables are loaded into registers only where a guard or body needs them as values.

from libc.stdio cimport snprintf
from libc.string cimport strcmp

cdef enum:
    PLAIN_BUDGET = 64
    MISTAKES_MAX = 32
    FAIL_NEXT = -1             # in instr_t.fail while compiling: to the next clause
    SHOWN_MAX = 160            # bytes of a term in a message
    SHOWN_DEPTH = 8

cdef enum task_kind_t:
    T_EVAL                     # dst <- expression
    T_TEST                     # a guard: go on if it is exactly true
    T_EMIT
    T_LABEL                    # op.c

cdef struct task_t:
    int kind
    uint32_t dst
    uint32_t free
    cell_t c
    const char* base
    instr_t op

cdef struct pat_t:
    cell_t c
    const char* base
    uint32_t a                 # the place
    uint32_t b

cdef struct var_t:
    cell_t name
    uint32_t a                 # the place where it was bound
    uint32_t b
    uint32_t reg               # where its value is, once it is needed
    bint needed

cdef struct writing_t:            # a container that is being written as tokens
    const cell_t* cells
    const char* base
    size_t n
    size_t next

cdef struct vector_t:
    char* data
    size_t n
    size_t cap

cdef struct compiler_t:
    int status                 # ST_OK, ST_NO_MEMORY, ST_DEEP
    size_t mistakes
    buf_t* why
    vector_t ops
    vector_t consts
    vector_t tokens
    vector_t tasks
    vector_t pats
    vector_t opens
    vector_t vars              # of the clause
    vector_t labels            # of the clause: where they are
    uint32_t* index            # of the variables by hash: number + 1, or 0
    size_t slots
    uint32_t next_reg
    uint32_t top_reg           # of all clauses: how many registers
    size_t nest
    int64_t root_size          # the row is known to be a tuple of so many elements, entered as REG_ROOT; -1: it is not
    int32_t fail               # of what is being compiled: FAIL_NEXT in guards, 0 in bodies
    instr_t waste                 # where instructions go when there is no memory


# ---- vectors

cdef char* vector_push(compiler_t* m, vector_t* v, size_t item) noexcept nogil:
    """Room for one more item, or NULL."""
    cdef char* data
    cdef size_t cap
    if v.n == v.cap:
        cap = v.cap * 2 if v.cap else 16
        data = <char*>realloc(v.data, cap * item)
        if data == NULL:
            m.status = ST_NO_MEMORY
            return NULL
        v.data = data
        v.cap = cap
    v.n += 1
    return v.data + (v.n - 1) * item


cdef instr_t* emit(compiler_t* m, int code) noexcept nogil:
    """A new instruction, all 0 but for its code and where it fails. Good until the next one."""
    cdef instr_t* op = <instr_t*>vector_push(m, &m.ops, sizeof(instr_t))
    if op == NULL:
        op = &m.waste
    memset(op, 0, sizeof(instr_t))
    op.code = code
    op.fail = m.fail
    return op


cdef instr_t* emit_at(compiler_t* m, int code, uint32_t a, uint32_t b) noexcept nogil:
    cdef instr_t* op = emit(m, code)
    op.a = a
    op.b = b
    return op


cdef uint32_t constant(compiler_t* m, cell_t c, const char* base) noexcept nogil:
    """The operand of a constant, which stands in the program's copy of the spec."""
    cdef val_t* v = <val_t*>vector_push(m, &m.consts, sizeof(val_t))
    if v == NULL:
        return CONSTANT
    v.c = c
    v.base = base
    if m.consts.n >= REGS_MAX:
        m.status = ST_DEEP
    return CONSTANT | <uint32_t>(m.consts.n - 1)


cdef uint32_t use_reg(compiler_t* m, uint32_t reg) noexcept nogil:
    if reg >= m.top_reg:
        m.top_reg = reg + 1
    if reg >= REGS_MAX:
        m.status = ST_DEEP
    return reg


cdef uint32_t new_reg(compiler_t* m) noexcept nogil:
    m.next_reg += 1
    return use_reg(m, m.next_reg - 1)


# ---- mistakes

cdef int say(buf_t* out, const char* text) noexcept nogil:
    cdef size_t n = 0
    while text[n]:
        n += 1
    return buf_append(out, text, n)


cdef int say_atom(buf_t* out, cell_t c) noexcept nogil:
    cdef size_t n, i
    cdef const char* p = atom_text(c, &n)
    cdef bint bare = n > 0 and c"a" <= p[0] <= c"z"
    for i in range(n):
        if not (c"a" <= p[i] <= c"z" or c"A" <= p[i] <= c"Z" or c"0" <= p[i] <= c"9" or p[i] == c"_"):
            bare = False
    if bare:
        return buf_append(out, p, n)
    buf_append(out, b"'", 1)
    for i in range(n):
        if p[i] == c"'" or p[i] == c"\\":
            buf_append(out, b"\\", 1)
        form_byte(out, c" " if p[i] == c"\n" else p[i])         # a message is one line
    return buf_append(out, b"'", 1)


cdef void say_leaf(buf_t* out, cell_t c, const char* base) noexcept nogil:
    cdef char[8] scratch
    cdef char[40] text
    cdef const char* p
    cdef size_t n, i
    cdef int kind = term_kind(c)
    if kind == K_ATOM:
        say_atom(out, c)
    elif kind == K_INT or (kind == K_BIG and cell_length(c) <= 32):
        term_big_decimal(c, base, out)
    elif kind == K_FLOAT:
        snprintf(text, sizeof(text), b"%.17g", term_float(c, base))
        say(out, text)
    elif kind == K_BINARY:
        p = term_bytes(c, base, scratch, &n)
        say(out, b"<<")
        for i in range(n if n < 8 else 8):
            snprintf(text, sizeof(text), b",%d", <int><unsigned char>p[i])
            say(out, &text[0 if i else 1])
        say(out, b",...")
        if n <= 8:
            out.len -= 4
        say(out, b">>")
    elif kind == K_NIL:
        say(out, b"[]")
    elif kind == K_TUPLE:
        say(out, b"{}")
    elif kind == K_MAP:
        say(out, b"#{}")
    else:
        say(out, b"...")


cdef void say_open(buf_t* out, int low) noexcept nogil:
    if low == LOW_MAP:
        say(out, b"#{")
    else:
        form_byte(out, c"{" if low == LOW_TUPLE else c"[")


cdef void say_term(buf_t* out, cell_t c, const char* base) noexcept nogil:
    """A term as Erlang writes it, but never long or deep."""
    cdef writing_t[SHOWN_DEPTH] levels
    cdef int[SHOWN_DEPTH] lows
    cdef size_t depth = 0, start = out.len
    cdef writing_t* top
    cdef int low
    while True:
        low = cell_low(c)
        if out.len - start > SHOWN_MAX:
            say(out, b"...")
            return
        if (low == LOW_TUPLE or low == LOW_LIST or low == LOW_IMPROPER or low == LOW_MAP) and depth < SHOWN_DEPTH:
            levels[depth].n = term_cells(c, base, &levels[depth].cells, &levels[depth].base)
            levels[depth].next = 0
            lows[depth] = low
            depth += 1
            say_open(out, low)
        else:
            say_leaf(out, c, base)
        while depth and levels[depth - 1].next == levels[depth - 1].n:
            depth -= 1
            form_byte(out, c"}" if lows[depth] == LOW_TUPLE or lows[depth] == LOW_MAP else c"]")
        if depth == 0:
            return
        top = &levels[depth - 1]
        low = lows[depth - 1]
        if top.next:
            if low == LOW_MAP and top.next % 2:
                say(out, b" => ")
            else:
                form_byte(out, c"|" if low == LOW_IMPROPER and top.next == top.n - 1 else c",")
        c = top.cells[top.next]
        base = top.base
        top.next += 1


cdef bint mistake(compiler_t* m) noexcept nogil:
    """Begin the words of one more mistake. False if there are enough."""
    m.mistakes += 1
    if m.why == NULL or m.mistakes > MISTAKES_MAX:
        return False
    if m.mistakes > 1:
        say(m.why, b"\n")
    return True


cdef void mistake_plain(compiler_t* m, const char* text) noexcept nogil:
    if mistake(m):
        say(m.why, text)


cdef void mistake_unbound(compiler_t* m, cell_t variable) noexcept nogil:
    cdef size_t n
    cdef const char* text
    if mistake(m):
        text = atom_text(variable, &n)
        say(m.why, b"Variable ")
        buf_append(m.why, text, n)
        say(m.why, b" is unbound.")


cdef void mistake_tuple(compiler_t* m, cell_t c, const char* base) noexcept nogil:
    if mistake(m):
        say_term(m.why, c, base)
        say(m.why, b" is neither a function call, nor a tuple (tuples are written {{ ... }}).")


cdef bint traces_only(cell_t name) noexcept nogil:
    """Erlang's functions for tracing."""
    cdef const char** names = [
        b"caller", b"caller_line", b"current_stacktrace", b"disable_trace", b"display", b"enable_trace",
        b"exception_trace", b"get_seq_token", b"is_seq_trace", b"message", b"process_dump", b"return_trace",
        b"set_seq_token", b"silent", b"trace",
    ]
    cdef size_t n, i
    cdef const char* text = atom_text(name, &n)
    for i in range(15):
        if strcmp(names[i], text) == 0:
            return True
    return False


cdef bint counts_traces(cell_t name, size_t arity) noexcept nogil:
    """Erlang's two functions for tracing that are no special forms."""
    cdef size_t n
    cdef const char* text = atom_text(name, &n)
    return strcmp(text, b"get_tcw") == 0 and arity == 0 or strcmp(text, b"set_tcw") == 0 and arity == 1


cdef void mistake_form(compiler_t* m, cell_t name, const char* what, cell_t c, const char* base) noexcept nogil:
    """Special form 'name' ..., and the call if there is one to show."""
    cdef size_t n
    if not mistake(m):
        return
    say(m.why, b"Special form '")
    say(m.why, atom_text(name, &n))
    say(m.why, what)
    if base != NULL:
        say_term(m.why, c, base)
        say(m.why, b".")


cdef void mistake_function(compiler_t* m, cell_t name, cell_t c, const char* base) noexcept nogil:
    """There is no such function, or none with so many arguments."""
    cdef size_t arity = cell_length(c) - 1
    cdef char[24] number
    if traces_only(name):
        mistake_form(m, name, b"' used in wrong dialect.", 0, NULL)
    elif name == NAMED[NAMED_SELF]:
        mistake_form(m, name, b"' called with arguments in ", c, base)
    elif mistake(m):
        snprintf(number, sizeof(number), b"/%zu", arity)
        say(m.why, b"Function ")
        say_atom(m.why, name)
        say(m.why, number)
        if counts_traces(name, arity):
            say(m.why, b" cannot be called in this context.")
        else:
            say(m.why, b" does_not_exist.")


# ---- the clause's variables

cdef size_t var_slot(compiler_t* m, cell_t name) noexcept nogil:
    """Where the index has the name, or would have it."""
    cdef var_t* vars = <var_t*>m.vars.data
    cdef size_t i = hash_cell(name) & (m.slots - 1)
    while m.index[i] and vars[m.index[i] - 1].name != name:
        i = (i + 1) & (m.slots - 1)
    return i


cdef var_t* var_find(compiler_t* m, cell_t name) noexcept nogil:
    cdef size_t i
    if m.vars.n == 0:
        return NULL
    i = var_slot(m, name)
    return &(<var_t*>m.vars.data)[m.index[i] - 1] if m.index[i] else NULL


cdef int var_widen(compiler_t* m) noexcept nogil:
    cdef size_t slots = m.slots * 2 if m.slots else 64, i
    cdef uint32_t* index = <uint32_t*>calloc(slots, sizeof(uint32_t))
    if index == NULL:
        m.status = ST_NO_MEMORY
        return ST_NO_MEMORY
    free(m.index)
    m.index = index
    m.slots = slots
    for i in range(m.vars.n):
        index[var_slot(m, (<var_t*>m.vars.data)[i].name)] = <uint32_t>(i + 1)
    return ST_OK


cdef void var_add(compiler_t* m, cell_t name, uint32_t a, uint32_t b) noexcept nogil:
    cdef var_t* v
    cdef size_t i
    if 2 * m.vars.n >= m.slots and var_widen(m) != ST_OK:
        return
    i = var_slot(m, name)
    v = <var_t*>vector_push(m, &m.vars, sizeof(var_t))
    if v == NULL:
        return
    v.name = name
    v.a = a
    v.b = b
    v.reg = a
    v.needed = False
    m.index[i] = <uint32_t>m.vars.n


cdef void vars_forget(compiler_t* m) noexcept nogil:
    if m.vars.n:
        memset(m.index, 0, m.slots * sizeof(uint32_t))
    m.vars.n = 0


cdef void vars_settle(compiler_t* m) noexcept nogil:
    """The head is done: each variable that is an element of something gets a register, for when it is needed."""
    cdef var_t* v
    cdef size_t i
    for i in range(m.vars.n):
        v = &(<var_t*>m.vars.data)[i]
        if v.b != SELF:
            v.reg = new_reg(m)


cdef uint32_t var_operand(compiler_t* m, cell_t name) noexcept nogil:
    cdef var_t* v = var_find(m, name)
    if v == NULL:
        mistake_unbound(m, name)
        return REG_ROW
    v.needed = True
    return v.reg


cdef int var_order(const void* a, const void* b) noexcept nogil:
    return variable_compare((<const cell_t*>a)[0], (<const cell_t*>b)[0])


cdef cell_t* vars_sorted(compiler_t* m) noexcept nogil:
    """The names by number; the caller frees them. NULL without memory."""
    cdef cell_t* names = <cell_t*>malloc((m.vars.n + 1) * sizeof(cell_t))
    cdef size_t i
    if names == NULL:
        m.status = ST_NO_MEMORY
        return NULL
    for i in range(m.vars.n):
        names[i] = (<var_t*>m.vars.data)[i].name
    qsort(names, m.vars.n, sizeof(cell_t), var_order)
    return names


# ---- what is constant

cdef inline bint cell_plain_in_head(cell_t c) noexcept nogil:
    return c != NAMED[NAMED_ANY] and (c & 0xFF) != LOW_NO_MAP and not is_variable(c)


cdef inline bint cell_plain_in_body(cell_t c) noexcept nogil:
    return (
        (c & 0xFF) != LOW_NO_TUPLE and c != NAMED[NAMED_ROW] and c != NAMED[NAMED_VARS] and not is_variable(c))


cdef bint piece_plain(const walk_t* w, bint head) noexcept nogil:
    """One container's cells. Opaque terms count as plain, extensions and funs are left to be looked at alone."""
    cdef const cell_t* cells = w.root + w.at + 1
    cdef size_t i
    if w.low == 0 or w.low == LOW_PID or w.low == LOW_REF or w.low == LOW_PORT:
        return True
    if w.low == LOW_EXT or w.low == LOW_FUN:
        return False
    if head and w.low == LOW_MAP or not head and w.low == LOW_TUPLE and w.at:
        return False
    for i in range(w.words - 1):
        if not (cell_plain_in_head(cells[i]) if head else cell_plain_in_body(cells[i])):
            return False
    return True


cdef bint term_plain(cell_t c, const char* base, bint head, size_t budget) noexcept nogil:
    """Does a tuple, list or map stand for itself? In heads: no variables, no '_', no maps. In guards and bodies: no
    variables, no tuples within. False if the budget of pieces is too small to tell."""
    cdef walk_t w
    cdef bint plain = True, more = True
    walk_begin(&w, <const uint64_t*>cell_at(c, base), cell_low(c))
    while more and plain:
        if budget == 0:
            plain = False
            break
        budget -= 1
        plain = piece_plain(&w, head)
        more = walk_next(&w) if plain else False
    walk_end(&w)
    return plain


cdef inline cell_t second_cell(cell_t c, const char* base, const char** inner) noexcept nogil:
    """Element 1 of a tuple of two."""
    inner[0] = cell_at(c, base)
    return (<const cell_t*>inner[0])[2]


cdef inline cell_t first_cell(cell_t c, const char* base, const char** inner) noexcept nogil:
    inner[0] = cell_at(c, base)
    return (<const cell_t*>inner[0])[1]


cdef bint is_const_form(cell_t c, const char* base) noexcept nogil:
    """{const, X}"""
    cdef const char* inner
    return (c & 0xFF) == LOW_TUPLE and cell_length(c) == 2 and first_cell(c, base, &inner) == NAMED[NAMED_CONST]


cdef bint is_tuple_form(cell_t c, const char* base) noexcept nogil:
    """{{...}}"""
    cdef const char* inner
    return (c & 0xFF) == LOW_TUPLE and cell_length(c) == 1 and term_kind(first_cell(c, base, &inner)) == K_TUPLE


cdef bint constant_value(cell_t c, const char* base, val_t* out) noexcept nogil:
    """Is the expression constant, as far as can be seen at once, and what is its value?"""
    cdef int low = cell_low(c)
    out.c = c
    out.base = base
    if low == LOW_TUPLE:
        if is_const_form(c, base):
            out.c = second_cell(c, base, &out.base)
            return True
        if not is_tuple_form(c, base):
            return False
        out.c = first_cell(c, base, &out.base)
        return not cell_is_box(out.c) or term_plain(out.c, out.base, False, PLAIN_BUDGET)
    if low == LOW_LIST or low == LOW_IMPROPER or low == LOW_MAP:
        return term_plain(c, base, False, PLAIN_BUDGET)
    return cell_plain_in_body(c)


# ---- heads

cdef void pat_push(compiler_t* m, cell_t c, const char* base, uint32_t a, uint32_t b) noexcept nogil:
    cdef pat_t* p = <pat_t*>vector_push(m, &m.pats, sizeof(pat_t))
    if p != NULL:
        p.c = c
        p.base = base
        p.a = a
        p.b = b


cdef void head_variable(compiler_t* m, cell_t name, uint32_t a, uint32_t b) noexcept nogil:
    cdef var_t* v = var_find(m, name)
    cdef instr_t* op
    if v == NULL:
        var_add(m, name, a, b)
        return
    op = emit_at(m, OP_AGAIN, a, b)
    op.dst = v.a
    op.c = v.b


cdef void head_leaf(compiler_t* m, cell_t c, const char* base, uint32_t a, uint32_t b) noexcept nogil:
    """A pattern that nothing has to be taken out of."""
    if c == NAMED[NAMED_ANY]:
        return
    if is_variable(c):
        head_variable(m, c, a, b)
    elif (c & 0xFF) == LOW_NO_MAP:
        emit_at(m, OP_IF_KIND, a, b).imm = 1 << K_MAP
    elif (c & 0xD) == 5:
        emit_at(m, OP_EQUAL, a, b).c = constant(m, c, base)
    else:
        emit_at(m, OP_IS_INLINE if (c & 0xF) == LOW_INLINE else OP_IS, a, b).imm = cell_plain(c)


cdef inline bint head_opens(cell_t c) noexcept nogil:
    cdef int low = cell_low(c)
    return low == LOW_TUPLE or low == LOW_LIST or low == LOW_IMPROPER or low == LOW_MAP


cdef void head_elements(compiler_t* m, const cell_t* cells, size_t n, const char* base, uint32_t reg) noexcept nogil:
    """What can be decided at once first; then what has to be entered, from left to right."""
    cdef size_t i
    for i in range(n):
        if not head_opens(cells[i]):
            head_leaf(m, cells[i], base, reg, <uint32_t>i)
    i = n
    while i:
        i -= 1
        if head_opens(cells[i]):
            pat_push(m, cells[i], base, reg, <uint32_t>i)


cdef void head_map(compiler_t* m, const pat_t* pat) noexcept nogil:
    cdef const cell_t* cells
    cdef const char* base
    cdef size_t n = term_cells(pat.c, pat.base, &cells, &base), i
    cdef uint32_t reg = new_reg(m), value
    cdef instr_t* op = emit_at(m, OP_MAPPED, pat.a, pat.b)
    op.dst = reg
    op.c = <uint32_t>(n // 2)
    for i in range(0, n, 2):
        if cells[i] == NAMED[NAMED_ANY]:
            mistake_plain(m, b"Underscore found in map key.")
        elif is_variable(cells[i]):
            mistake_plain(m, b"Variable found in map key.")
        value = new_reg(m)
        op = emit_at(m, OP_KEYED, reg, SELF)
        op.dst = value
        op.c = constant(m, cells[i], base)
        if head_opens(cells[i + 1]):
            pat_push(m, cells[i + 1], base, value, SELF)
        else:
            head_leaf(m, cells[i + 1], base, value, SELF)


cdef void head_improper(compiler_t* m, const pat_t* pat) noexcept nogil:
    """[a, b | Tail] with a variable or '_' for the tail: any list that is long enough."""
    cdef const cell_t* cells
    cdef const char* base
    cdef size_t n = term_cells(pat.c, pat.base, &cells, &base) - 1
    cdef uint32_t reg = new_reg(m), rest
    cdef instr_t* op = emit_at(m, OP_LISTED, pat.a, pat.b)
    op.dst = reg
    op.c = <uint32_t>n
    if is_variable(cells[n]):
        rest = new_reg(m)
        op = emit_at(m, OP_REST, reg, SELF)
        op.dst = rest
        op.c = <uint32_t>n
        head_variable(m, cells[n], rest, SELF)
    head_elements(m, cells, n, base, reg)


cdef void head_step(compiler_t* m, const pat_t* pat) noexcept nogil:
    """One container of the head."""
    cdef const cell_t* cells
    cdef const char* base
    cdef size_t n
    cdef uint32_t reg
    cdef instr_t* op
    if cell_low(pat.c) == LOW_MAP:
        head_map(m, pat)
        return
    if term_plain(pat.c, pat.base, True, PLAIN_BUDGET):
        emit_at(m, OP_EQUAL, pat.a, pat.b).c = constant(m, pat.c, pat.base)
        return
    n = term_cells(pat.c, pat.base, &cells, &base)
    if cell_low(pat.c) == LOW_IMPROPER and (is_variable(cells[n - 1]) or cells[n - 1] == NAMED[NAMED_ANY]):
        head_improper(m, pat)
        return
    reg = new_reg(m)
    op = emit_at(m, OP_BOX, pat.a, pat.b)
    op.dst = reg
    op.imm = pat.c & ~OFFSET_MASK
    if reg == REG_ROOT and cell_low(pat.c) == LOW_TUPLE:
        m.root_size = n
    head_elements(m, cells, n, base, reg)


cdef void head_compile(compiler_t* m, cell_t c, const char* base) noexcept nogil:
    cdef pat_t pat
    m.next_reg = REG_ROOT
    m.fail = FAIL_NEXT
    m.pats.n = 0
    m.root_size = -1
    if not head_opens(c):
        m.next_reg = use_reg(m, REG_ROOT) + 1
        m.root_size = 0
        head_leaf(m, c, base, REG_ROW, SELF)
    else:
        pat_push(m, c, base, REG_ROW, SELF)
    while m.pats.n and m.status == ST_OK:
        m.pats.n -= 1
        pat = (<pat_t*>m.pats.data)[m.pats.n]
        head_step(m, &pat)
    vars_settle(m)


# ---- expressions: operands

cdef bint operand(compiler_t* m, cell_t c, const char* base, uint32_t* out) noexcept nogil:
    """Is it there without computing: a constant, a variable, the row?"""
    cdef val_t value
    if c == NAMED[NAMED_ROW]:
        out[0] = REG_ROW
        return True
    if is_variable(c):
        out[0] = var_operand(m, c)
        return True
    if c == NAMED[NAMED_VARS] and m.vars.n == 0:
        out[0] = constant(m, LOW_NIL, NULL)
        return True
    if not constant_value(c, base, &value):
        return False
    out[0] = constant(m, value.c, value.base)
    return True


cdef bint place_of_element(compiler_t* m, cell_t c, const char* base, uint32_t* a, uint32_t* b) noexcept nogil:
    """{element, N, '$_'} in a guard that must hold: a place of the root, once that is known to be a tuple so large. If
    it is not, the element fails, and with it the guard."""
    cdef const cell_t* cells
    cdef instr_t* op
    cdef int64_t n
    if (c & 0xFF) != LOW_TUPLE or cell_length(c) != 3:
        return False
    term_cells(c, base, &cells, &base)
    if cells[0] != NAMED[NAMED_ELEMENT] or not cell_is_int(cells[1]) or cells[2] != NAMED[NAMED_ROW]:
        return False
    n = term_int(cells[1])
    if not 1 <= n <= OFFSET_MAX or m.root_size < 0:
        return False
    if n > m.root_size:
        op = emit_at(m, OP_TUPLED, REG_ROW, SELF)
        op.dst = REG_ROOT
        op.c = <uint32_t>n
        m.root_size = n
    a[0] = REG_ROOT
    b[0] = <uint32_t>(n - 1)
    return True


cdef bint place_of(compiler_t* m, cell_t c, const char* base, uint32_t* a, uint32_t* b) noexcept nogil:
    """Is it a variable, the row, or an element of the row? Where it stands; nothing needs to be loaded. For guards that
    must hold only."""
    cdef var_t* v
    if c == NAMED[NAMED_ROW]:
        a[0] = REG_ROW
        b[0] = SELF
        return True
    if place_of_element(m, c, base, a, b):
        return True
    v = var_find(m, c) if is_variable(c) else NULL
    if v == NULL:
        return False
    a[0] = v.a
    b[0] = v.b
    return True


# ---- expressions: tasks

cdef task_t* task_push(compiler_t* m, int kind) noexcept nogil:
    cdef task_t* t = <task_t*>vector_push(m, &m.tasks, sizeof(task_t))
    if t != NULL:
        memset(t, 0, sizeof(task_t))
        t.kind = kind
    return t


cdef void push_eval(compiler_t* m, cell_t c, const char* base, uint32_t dst, uint32_t free_) noexcept nogil:
    cdef task_t* t = task_push(m, T_EVAL)
    if t != NULL:
        t.c = c
        t.base = base
        t.dst = use_reg(m, dst)
        t.free = free_


cdef void push_test(compiler_t* m, cell_t c, const char* base, uint32_t free_) noexcept nogil:
    cdef task_t* t = task_push(m, T_TEST)
    if t != NULL:
        t.c = c
        t.base = base
        t.free = free_


cdef instr_t* push_emit(compiler_t* m, int code) noexcept nogil:
    cdef task_t* t = task_push(m, T_EMIT)
    if t == NULL:
        return &m.waste
    t.op.code = code
    t.op.fail = m.fail
    return &t.op


cdef void push_label(compiler_t* m, uint32_t label) noexcept nogil:
    cdef task_t* t = task_push(m, T_LABEL)
    if t != NULL:
        t.op.c = label


cdef void tasks_turn(compiler_t* m, size_t start) noexcept nogil:
    """What was pushed from `start` on in the order in which it is to be done: the first on top."""
    cdef task_t* tasks = <task_t*>m.tasks.data
    cdef task_t t
    cdef size_t i = start, j = m.tasks.n
    while i + 1 < j:
        j -= 1
        t = tasks[i]
        tasks[i] = tasks[j]
        tasks[j] = t
        i += 1


cdef void push_call(
    compiler_t* m, instr_t op, const cell_t* args, size_t n, const char* base, uint32_t dst, uint32_t free_
) noexcept nogil:
    """Evaluate up to three arguments, then the instruction with them as a, b, c; of OP_CALL. Others have two: a, c."""
    cdef uint32_t[3] operands
    cdef bint[3] computed
    cdef size_t start = m.tasks.n, i
    cdef bint dst_taken = False
    operands[0] = operands[1] = operands[2] = REG_ROW
    for i in range(n):
        computed[i] = not operand(m, args[i], base, &operands[i])
        if computed[i]:
            operands[i] = free_ if dst_taken else dst
            free_ += dst_taken
            dst_taken = True
    for i in range(n):
        if computed[i]:
            push_eval(m, args[i], base, operands[i], free_)
    op.a = operands[0]
    if op.code == OP_CALL:
        op.b = operands[1]
        op.c = operands[2]
    else:
        if op.code in (OP_EQUAL, OP_UNLIKE, OP_IF_KIND, OP_IF_ORDER):
            op.b = SELF
        op.c = operands[1]
    op.fail = m.fail
    push_emit(m, op.code)[0] = op
    tasks_turn(m, start)


# ---- tests: guards that have only to be true or not

cdef int less_code(uint64_t set_) noexcept nogil:
    """The instruction for a place against a small integer, by the set of orders that hold."""
    if set_ == ORDER_LESS:
        return OP_IF_LESS
    if set_ == ORDER_MORE:
        return OP_IF_MORE
    if set_ == (ORDER_LESS | ORDER_EVEN):
        return OP_IF_NOT_MORE
    if set_ == (ORDER_MORE | ORDER_EVEN):
        return OP_IF_NOT_LESS
    return OP_IF_EVEN if set_ == ORDER_EVEN else OP_IF_ODD


cdef inline uint64_t set_turned(uint64_t set_) noexcept nogil:
    """For the arguments the other way round."""
    return (set_ & ORDER_EVEN) | (ORDER_MORE if set_ & ORDER_LESS else 0) | (ORDER_LESS if set_ & ORDER_MORE else 0)


cdef bint test_same(compiler_t* m, uint32_t a, uint32_t b, const val_t* value, bint same) noexcept nogil:
    """A place against a constant, exactly."""
    if same and (value.c & 0xD) != 5:
        emit_at(m, OP_IS_INLINE if (value.c & 0xF) == LOW_INLINE else OP_IS, a, b).imm = cell_plain(value.c)
    else:
        emit_at(m, OP_EQUAL if same else OP_UNLIKE, a, b).c = constant(m, value.c, value.base)
    return True


cdef bint order_is_exact(const val_t* value) noexcept nogil:
    """Is == the same as =:= against this constant? Yes, unless there are numbers in it."""
    cdef int kind = val_kind(value)
    return kind == K_ATOM or kind == K_BINARY or kind == K_BITS or not cell_is_box(value.c) and kind >= K_TUPLE


cdef bint test_place(compiler_t* m, const function_t* f, const cell_t* args, const char* base) noexcept nogil:
    """A comparison of a place with a constant in one instruction. False if it is not one."""
    cdef uint32_t a, b
    cdef val_t value
    cdef uint64_t set_ = f.set
    cdef instr_t* op
    if place_of(m, args[0], base, &a, &b) and constant_value(args[1], base, &value):
        pass
    elif place_of(m, args[1], base, &a, &b) and constant_value(args[0], base, &value):
        set_ = set_turned(set_)
    else:
        return False
    if f.form == F_SAME or f.form == F_DIFFER:
        return test_same(m, a, b, &value, f.form == F_SAME)
    if val_is_cell(&value):
        emit_at(m, less_code(set_), a, b).imm = value.c
        return True
    if (set_ == ORDER_EVEN or set_ == (ORDER_LESS | ORDER_MORE)) and order_is_exact(&value):
        return test_same(m, a, b, &value, set_ == ORDER_EVEN)
    op = emit_at(m, OP_IF_ORDER, a, b)
    op.c = constant(m, value.c, value.base)
    op.imm = set_
    return True


cdef bint test_call(compiler_t* m, const function_t* f, const cell_t* args, size_t n, const char* base,
                    uint32_t free_) noexcept nogil:
    """A guard that need not be computed as a value. False if it must be."""
    cdef instr_t op
    cdef uint32_t a, b
    cdef size_t i
    memset(&op, 0, sizeof(op))
    if f.form == F_AND or f.form == F_ANDALSO:                 # true exactly if all are; all else fails
        i = n
        while i:
            i -= 1
            push_test(m, args[i], base, free_)
        return True
    if f.form == F_KIND:
        op.code = OP_IF_KIND
        op.imm = f.set
        if place_of(m, args[0], base, &a, &b):
            emit_at(m, OP_IF_KIND, a, b).imm = f.set
            return True
    elif f.form == F_ORDER or f.form == F_SAME or f.form == F_DIFFER:
        if test_place(m, f, args, base):
            return True
        op.code = OP_IF_ORDER if f.form == F_ORDER else OP_EQUAL if f.form == F_SAME else OP_UNLIKE
        op.imm = f.set
    else:
        return False
    push_call(m, op, args, n, base, use_reg(m, free_), free_ + 1)
    return True


cdef void compile_test(compiler_t* m, cell_t c, const char* base, uint32_t free_) noexcept nogil:
    cdef const function_t* f
    cdef const cell_t* cells
    cdef const char* inner
    cdef uint32_t reg
    cdef instr_t* op
    cdef size_t n
    cdef bint known
    if operand(m, c, base, &reg):
        if not reg & CONSTANT:
            emit_at(m, OP_IF_TRUE, reg, SELF)
        elif m.status == ST_OK and (<val_t*>m.consts.data)[reg & ~CONSTANT].c != cell_atom(ATOM_TRUE):
            emit(m, OP_FAIL)
        return
    if (c & 0xFF) == LOW_TUPLE and not is_tuple_form(c, base):
        n = term_cells(c, base, &cells, &inner)
        f = function_find(cells[0], n - 1, &known)
        if f != NULL and (n > 1 or f.arity == 0) and test_call(m, f, cells + 1, n - 1, inner, free_):
            return
    op = push_emit(m, OP_IF_TRUE)
    op.a = free_
    op.b = SELF
    push_eval(m, c, base, free_, free_ + 1)


# ---- values

cdef token_t* token(compiler_t* m, uint32_t low, uint32_t n, uint32_t tail) noexcept nogil:
    cdef token_t* t = <token_t*>vector_push(m, &m.tokens, sizeof(token_t))
    if t != NULL:
        t.low = low
        t.n = n
        t.tail = tail
    return t


cdef uint32_t needed(compiler_t* m, cell_t c, const char* base, uint32_t* free_) noexcept nogil:
    """An operand; what must be computed is, into the next free register."""
    cdef uint32_t reg
    if operand(m, c, base, &reg):
        return reg
    reg = free_[0]
    free_[0] += 1
    push_eval(m, c, base, reg, 0)
    return reg


cdef void tasks_free(compiler_t* m, size_t start, uint32_t free_) noexcept nogil:
    """Now it is known where the free registers of these tasks begin."""
    cdef size_t i
    for i in range(start, m.tasks.n):
        (<task_t*>m.tasks.data)[i].free = free_


cdef void tokens_of_variables(compiler_t* m) noexcept nogil:
    """'$$', of at least one variable."""
    cdef cell_t* names = vars_sorted(m)
    cdef size_t i
    if names == NULL:
        return
    token(m, LOW_LIST, <uint32_t>m.vars.n, SELF)
    for i in range(m.vars.n):
        token(m, 0, var_operand(m, names[i]), SELF)
    free(names)


cdef bint builds(cell_t c, const char* base) noexcept nogil:
    """Is it a tuple or list that tokens make?"""
    return (c & 0xFF) == LOW_LIST or (c & 0xFF) == LOW_IMPROPER or is_tuple_form(c, base)


cdef void build_enter(compiler_t* m, cell_t c, const char* base, uint32_t* free_) noexcept nogil:
    """The token of a container, and the container on the stack of those that are open."""
    cdef writing_t* top = <writing_t*>vector_push(m, &m.opens, sizeof(writing_t))
    cdef uint32_t tail = SELF, low = LOW_LIST
    if top == NULL:
        return
    if (c & 0xFF) == LOW_TUPLE:
        c = first_cell(c, base, &base)
        low = LOW_TUPLE
    top.n = term_cells(c, base, &top.cells, &top.base)
    top.next = 0
    if (c & 0xFF) == LOW_IMPROPER:
        top.n -= 1
        tail = needed(m, top.cells[top.n], top.base, free_)
    token(m, low, <uint32_t>top.n, tail)
    if m.opens.n + 1 > m.nest:
        m.nest = m.opens.n + 1                                 # '$$' in the innermost


cdef void build_tokens(compiler_t* m, cell_t c, const char* base, uint32_t* free_) noexcept nogil:
    """A tuple or list and all that it consists of, containers within included."""
    cdef writing_t* top
    cdef uint32_t reg
    m.opens.n = 0
    build_enter(m, c, base, free_)
    while m.opens.n and m.status == ST_OK:
        top = &(<writing_t*>m.opens.data)[m.opens.n - 1]
        if top.next == top.n:
            m.opens.n -= 1
            continue
        c = top.cells[top.next]
        base = top.base
        top.next += 1
        if operand(m, c, base, &reg):
            token(m, 0, reg, SELF)
        elif builds(c, base):
            build_enter(m, c, base, free_)
        elif c == NAMED[NAMED_VARS]:
            tokens_of_variables(m)
        else:
            reg = needed(m, c, base, free_)
            token(m, 0, reg, SELF)


cdef void compile_build(compiler_t* m, cell_t c, const char* base, uint32_t dst, uint32_t free_) noexcept nogil:
    """A tuple, list, map or '$$' that is not constant."""
    cdef size_t start = m.tasks.n, first = m.tokens.n, i
    cdef const cell_t* cells
    cdef const char* inner
    cdef instr_t* op
    cdef size_t n
    cdef bint is_map = (c & 0xFF) == LOW_MAP
    if m.nest == 0:
        m.nest = 1
    if is_map:
        n = term_cells(c, base, &cells, &inner)
        for i in range(n):
            token(m, 0, needed(m, cells[i], inner, &free_), SELF)
    elif c == NAMED[NAMED_VARS]:
        tokens_of_variables(m)
    else:
        build_tokens(m, c, base, &free_)
    tasks_free(m, start, free_)
    op = push_emit(m, OP_MAP if is_map else OP_BUILD)
    op.dst = dst
    op.imm = first
    op.c = <uint32_t>(m.tokens.n - first)
    tasks_turn(m, start)


cdef void compile_all(compiler_t* m, int code, const cell_t* args, size_t n, const char* base, uint32_t dst,
                      uint32_t free_) noexcept nogil:
    """'and', 'or': all arguments, two by two; one alone with itself."""
    cdef size_t start = m.tasks.n, i
    cdef uint32_t before = REG_ROW, reg
    cdef instr_t* op
    for i in range(n):
        if not operand(m, args[i], base, &reg):
            reg = free_ if i else dst
            push_eval(m, args[i], base, reg, free_ + 1)
        if i or n == 1:
            op = push_emit(m, code)
            op.dst = dst
            op.a = before if i else reg
            op.c = reg
            reg = dst
        before = reg
    tasks_turn(m, start)


cdef void compile_early(compiler_t* m, int code, const cell_t* args, size_t n, const char* base, uint32_t dst,
                        uint32_t free_) noexcept nogil:
    """'andalso', 'orelse': stop at the argument that decides."""
    cdef size_t start = m.tasks.n, i
    cdef uint32_t label = <uint32_t>m.labels.n, reg
    cdef instr_t* op
    if vector_push(m, &m.labels, sizeof(uint32_t)) == NULL:
        return
    for i in range(n):
        if not operand(m, args[i], base, &reg):
            reg = dst
            push_eval(m, args[i], base, dst, free_)
        if i + 1 < n:
            op = push_emit(m, code)
            op.dst = dst
            op.a = reg
            op.c = label
        elif reg != dst:
            op = push_emit(m, OP_LOAD)
            op.dst = dst
            op.a = reg
            op.b = SELF
    push_label(m, label)
    tasks_turn(m, start)


cdef void compile_call(compiler_t* m, const function_t* f, const cell_t* args, size_t n, const char* base,
                       uint32_t dst, uint32_t free_) noexcept nogil:
    cdef instr_t op
    if f.form == F_AND or f.form == F_OR:
        compile_all(m, OP_AND if f.form == F_AND else OP_OR, args, n, base, dst, free_)
        return
    if f.form == F_ANDALSO or f.form == F_ORELSE:
        compile_early(m, OP_ANDALSO if f.form == F_ANDALSO else OP_ORELSE, args, n, base, dst, free_)
        return
    memset(&op, 0, sizeof(op))
    op.dst = dst
    op.imm = f.set
    if f.form == F_KIND:
        op.code = OP_KIND
    elif f.form == F_ORDER:
        op.code = OP_ORDER
    elif f.form == F_SAME:
        op.code = OP_SAME
    elif f.form == F_DIFFER:
        op.code = OP_DIFFER
    else:
        op.code = OP_CALL
        op.imm = f - FUNCTIONS
    push_call(m, op, args, n, base, dst, free_)


cdef void compile_tuple(compiler_t* m, cell_t c, const char* base, uint32_t dst, uint32_t free_) noexcept nogil:
    """{F, E1, ..., En}, or a mistake."""
    cdef const function_t* f
    cdef const cell_t* cells
    cdef const char* inner
    cdef size_t n = term_cells(c, base, &cells, &inner)
    cdef bint known
    if n == 0 or (cells[0] & 0xFF) != LOW_ATOM or is_variable(cells[0]):
        mistake_tuple(m, c, base)
        return
    if cells[0] == NAMED[NAMED_CONST]:
        mistake_form(m, cells[0], b"' called with more than one argument in ", c, base)
        return
    f = function_find(cells[0], n - 1, &known)
    if f == NULL:
        mistake_function(m, cells[0], c, base)
    elif f.arity < 0 and n == 1:
        mistake_form(m, cells[0], b"' called without arguments in ", c, base)
    else:
        compile_call(m, f, cells + 1, n - 1, inner, dst, free_)


cdef void compile_eval(compiler_t* m, cell_t c, const char* base, uint32_t dst, uint32_t free_) noexcept nogil:
    cdef uint32_t reg
    cdef instr_t* op
    if operand(m, c, base, &reg):
        op = emit_at(m, OP_LOAD, reg, SELF)
        op.dst = dst
    elif builds(c, base) or (c & 0xFF) == LOW_MAP or c == NAMED[NAMED_VARS]:
        compile_build(m, c, base, dst, free_)
    else:
        compile_tuple(m, c, base, dst, free_)


cdef void compile_tasks(compiler_t* m) noexcept nogil:
    """Do all that is to be done."""
    cdef task_t t
    while m.tasks.n and m.status == ST_OK:
        m.tasks.n -= 1
        t = (<task_t*>m.tasks.data)[m.tasks.n]
        if t.kind == T_EVAL:
            compile_eval(m, t.c, t.base, t.dst, t.free)
        elif t.kind == T_TEST:
            compile_test(m, t.c, t.base, t.free)
        elif t.kind == T_EMIT:
            emit(m, t.op.code)[0] = t.op
        else:
            (<uint32_t*>m.labels.data)[t.op.c] = <uint32_t>m.ops.n


# ---- clauses

cdef void clause_loads(compiler_t* m, size_t at) noexcept nogil:
    """Load the variables that guards and body need, in front of them."""
    cdef var_t* v
    cdef instr_t* op
    cdef size_t count = 0, behind = m.ops.n, i
    for i in range(m.vars.n):
        v = &(<var_t*>m.vars.data)[i]
        if v.needed and v.b != SELF:
            op = emit_at(m, OP_LOAD, v.a, v.b)
            op.dst = v.reg
            count += 1
    if m.status == ST_OK and count:
        ops_rotate(m, at, behind, count)
        for i in range(m.labels.n):
            (<uint32_t*>m.labels.data)[i] += <uint32_t>count


cdef void ops_rotate(compiler_t* m, size_t at, size_t behind, size_t count) noexcept nogil:
    """The last `count` instructions come to stand at `at`, those from there on behind them."""
    cdef instr_t* ops = <instr_t*>m.ops.data
    cdef instr_t* copy = <instr_t*>malloc(count * sizeof(instr_t))
    if copy == NULL:
        m.status = ST_NO_MEMORY
        return
    memcpy(copy, ops + behind, count * sizeof(instr_t))
    memmove(ops + at + count, ops + at, (behind - at) * sizeof(instr_t))
    memcpy(ops + at, copy, count * sizeof(instr_t))
    free(copy)


cdef void clause_resolve(compiler_t* m, size_t start) noexcept nogil:
    """The clause is complete: where its jumps go."""
    cdef instr_t* op
    cdef size_t i
    for i in range(start, m.ops.n):
        op = &(<instr_t*>m.ops.data)[i]
        if op.fail == FAIL_NEXT:
            op.fail = <int32_t>(m.ops.n - i)
        if op.code == OP_ANDALSO or op.code == OP_ORELSE:
            op.c = <uint32_t>((<uint32_t*>m.labels.data)[op.c] - i)


cdef void clause_guards(compiler_t* m, const cell_t* cells, size_t n, const char* base) noexcept nogil:
    cdef size_t i
    m.fail = FAIL_NEXT
    for i in range(n):
        push_test(m, cells[i], base, m.next_reg)
        compile_tasks(m)


cdef void clause_result(compiler_t* m, cell_t c, const char* base) noexcept nogil:
    """The last expression of the body."""
    cdef uint32_t reg
    cdef val_t value
    m.fail = 0
    if c == cell_atom(ATOM_TRUE) or (constant_value(c, base, &value) and value.c == cell_atom(ATOM_TRUE)):
        emit(m, OP_RET_TRUE)
        return
    if not operand(m, c, base, &reg):
        reg = use_reg(m, m.next_reg)
        push_eval(m, c, base, reg, reg + 1)
        compile_tasks(m)
    if reg == REG_ROW:
        emit(m, OP_RET_ROW)
    else:
        emit_at(m, OP_RET, reg, SELF)


cdef void clause_unused(compiler_t* m, cell_t c, const char* base) noexcept nogil:
    """An expression whose value nobody sees: only its mistakes matter."""
    cdef size_t before = m.ops.n
    cdef uint32_t reg = use_reg(m, m.next_reg)
    m.fail = 0
    push_eval(m, c, base, reg, reg + 1)
    compile_tasks(m)
    m.ops.n = before


cdef void clause_compile(
    compiler_t* m, cell_t head, const char* base, const cell_t* guards, size_t nguards, const char* guards_base,
    const cell_t* body, size_t nbody, const char* body_base
) noexcept nogil:
    cdef size_t start = m.ops.n, at, i
    vars_forget(m)
    m.labels.n = 0
    head_compile(m, head, base)
    at = m.ops.n
    clause_guards(m, guards, nguards, guards_base)
    for i in range(nbody - 1):
        if m.status == ST_OK:
            clause_unused(m, body[i], body_base)
    if m.status == ST_OK:
        clause_result(m, body[nbody - 1], body_base)
    if m.status == ST_OK:
        clause_loads(m, at)
    if m.status == ST_OK:
        clause_resolve(m, start)


cdef void compile_clause_term(compiler_t* m, cell_t c, const char* base) noexcept nogil:
    """One {Head, Guards, Body}."""
    cdef const cell_t* clause
    cdef const cell_t* guards
    cdef const cell_t* body
    cdef const char* gbase
    cdef const char* bbase
    cdef size_t ng, nb
    if (c & 0xFF) != LOW_TUPLE or cell_length(c) != 3:
        mistake_plain(m, b"Match program part is not a tuple of arity 3.")
        return
    term_cells(c, base, &clause, &base)
    ng = term_cells(clause[1], base, &guards, &gbase)
    nb = term_cells(clause[2], base, &body, &bbase)
    if cell_low(clause[2]) != LOW_LIST and cell_low(clause[2]) != LOW_IMPROPER:
        mistake_plain(m, b"Body clause does not return anything.")
    elif cell_low(clause[1]) == LOW_IMPROPER or cell_low(clause[2]) == LOW_IMPROPER:
        mistake_plain(m, b"Match expression is not a proper list.")
    elif cell_low(clause[1]) != LOW_LIST and cell_low(clause[1]) != LOW_NIL:
        mistake_plain(m, b"Match expression is not a list.")
    else:
        clause_compile(m, clause[0], base, guards, ng, gbase, body, nb, bbase)


cdef void compile_spec(compiler_t* m, cell_t c, const char* base) noexcept nogil:
    cdef const cell_t* cells
    cdef const char* inner
    cdef size_t n, i
    if cell_low(c) != LOW_LIST:
        if cell_low(c) == LOW_IMPROPER:
            mistake_plain(m, b"Match programs are not in a proper list.")
        else:
            mistake_plain(m, b"Match programs are not in a list.")
        return
    n = term_cells(c, base, &cells, &inner)
    for i in range(n):
        if m.status == ST_OK:
            compile_clause_term(m, cells[i], inner)


cdef void compile_pattern(compiler_t* m, int kind, cell_t c, const char* base) noexcept nogil:
    cdef cell_t result = NAMED[NAMED_VARS if kind == PATTERN_BINDINGS else NAMED_ROW]
    clause_compile(m, c, base, NULL, 0, NULL, &result, 1, NULL)


# ---- programs

cdef inline bint c_is_operand(int code) noexcept nogil:
    return code in (
        OP_KEYED, OP_EQUAL, OP_UNLIKE, OP_IF_ORDER, OP_ORDER, OP_SAME, OP_DIFFER, OP_AND, OP_OR, OP_CALL)


cdef inline uint32_t settled(uint32_t reg, size_t nregs) noexcept nogil:
    """Constants have their registers behind all others."""
    return <uint32_t>(nregs + (reg & ~CONSTANT)) if reg & CONSTANT else reg


cdef void settle_constants(compiler_t* m) noexcept nogil:
    cdef instr_t* op
    cdef token_t* t
    cdef size_t i
    for i in range(m.ops.n):
        op = &(<instr_t*>m.ops.data)[i]
        op.a = settled(op.a, m.top_reg)
        if op.code == OP_CALL:
            op.b = settled(op.b, m.top_reg)
        if c_is_operand(op.code):
            op.c = settled(op.c, m.top_reg)
    for i in range(m.tokens.n):
        t = &(<token_t*>m.tokens.data)[i]
        if t.low == 0:
            t.n = settled(t.n, m.top_reg)
        elif t.tail != SELF:
            t.tail = settled(t.tail, m.top_reg)


cdef int spec_copy(program_t* p, cell_t c, const char* base) noexcept nogil:
    """The program's own copy, which its constants point into."""
    cdef buf_t b
    cdef size_t at = 0
    cdef int status
    buf_init(&b, NULL, 0)
    status = row_begin(&b, 1, &at)
    if status == ST_OK:
        status = row_add_term(&b, at, 0, c, base)
    if status == ST_OK:
        status = row_end(&b, at)
    if status != ST_OK:
        buf_free(&b)
        return status
    p.spec = <uint64_t*>b.data
    return ST_OK


cdef void compiler_open(compiler_t* m, buf_t* why) noexcept nogil:
    memset(m, 0, sizeof(compiler_t))
    m.status = ST_OK
    m.why = why
    m.top_reg = REG_ROOT + 1


cdef void compiler_close(compiler_t* m) noexcept nogil:
    free(m.ops.data)
    free(m.consts.data)
    free(m.tokens.data)
    free(m.tasks.data)
    free(m.pats.data)
    free(m.opens.data)
    free(m.vars.data)
    free(m.labels.data)
    free(m.index)


cdef int compiler_finish(compiler_t* m, program_t* p) noexcept nogil:
    """Hand everything over to the program."""
    m.fail = 0
    emit(m, OP_NO)
    if m.status != ST_OK:
        return m.status
    if m.mistakes:
        return ST_SPEC
    settle_constants(m)
    p.ops = <instr_t*>m.ops.data
    p.nops = m.ops.n
    p.consts = <val_t*>m.consts.data
    p.nconsts = m.consts.n
    p.tokens = <token_t*>m.tokens.data
    p.ntokens = m.tokens.n
    p.nregs = m.top_reg
    p.nest = m.nest
    m.ops.data = m.consts.data = m.tokens.data = NULL
    if program_verify(p):
        return ST_OK
    fprintf(stderr, b"tsunami: a match program did not verify\n")
    abort()


cdef int program_compile(cell_t spec, const char* base, int kind, program_t** out, buf_t* why) noexcept nogil:
    """Make the program of a spec or pattern. *out has one reference, for the caller.

    ST_SPEC: it is none (also the empty list, which callers that take it must look for themselves); `why`, if given,
    says it in words, one mistake a line. ST_DEEP: beyond the limits of programs. ST_NO_MEMORY, ST_TOO_LARGE."""
    cdef compiler_t m
    cdef program_t* p = <program_t*>calloc(1, sizeof(program_t))
    cdef int status
    out[0] = NULL
    if p == NULL:
        return ST_NO_MEMORY
    p.refs = 1
    p.kind = kind
    status = spec_copy(p, spec, base)
    if status == ST_OK:
        compiler_open(&m, why)
        program_spec(p, &spec, &base)
        if kind == SPEC:
            compile_spec(&m, spec, base)
        else:
            compile_pattern(&m, kind, spec, base)
        status = compiler_finish(&m, p)
        compiler_close(&m)
    if status != ST_OK:
        program_free(p)
        return status
    out[0] = p
    return ST_OK
