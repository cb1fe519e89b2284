# Match specs: the program that a spec or a pattern becomes, and what others may call. match_compile.pxi makes programs,
# match_run.pxi runs them on packed terms, match_access.pxi reads from the spec which rows it can want, term_arith.pxi
# counts. No tables here, no locks, no Python objects.
#
#     program_compile -> program_t, immutable, counted, usable by several threads at once
#     program_run     one term through it: R_NO, R_TRUE, R_ROW, R_VALUE
#     program_access  which keys or which span of keys can match at all
#     program_keeps_key  is it evident that results keep the key
#
# ## A program
#
# A flat array of instructions of 32 bytes, over registers (val_t: cell and base) which belong to the runner:
#
#     r0            the row, or whatever term is run                        '$_'
#     r1 ...        containers that the head has entered: base is their body; the root's is r1
#     ...           variables that are needed as values, then temporaries
#     nregs ...     the constants; they point into the program's own copy of the spec
#
# A *place* is an element b of the container in register a, or, with b = SELF, register a itself. Guards test places
# where they can, so that `{_, '$2'}` with `{'>', '$2', 10}` is three instructions, and copies nothing:
#
#     BOX      r1 <- r0 is a tuple of 2         else next clause
#     IF_MORE  r1[1] > 10                       else next clause
#     RET_TRUE
#
# Clauses stand one behind the other, each: head, variables, guards, body. An instruction that does not hold goes `fail`
# steps forward, to the next clause. Where `fail` is 0 (in bodies) the instruction's value is the atom 'EXIT' instead
# and the run goes on. The last instruction is NO.
#
# Evaluating has no side effects. So of a body's expressions only the last is kept, and a test may be left out or done
# in another order as long as the outcome is the same.
#
# ## What must stay true
#
# 1. Jumps go forward only, so each run ends after at most as many steps as there are instructions. program_verify looks
#    at every program before it is given out.
# 2. Nothing recurses, neither here nor over terms; compiler and runner keep stacks on the heap.
# 3. A run allocates nothing unless it builds a value. What it builds is in the runner's heap until the next run, and
#    is at most HEAP_MAX bytes: an expression that would need more fails, like one whose integers grow beyond limits.
# 4. Results are packed terms like all others: canonical, flags and all.

include "term_arith.pxi"

cdef extern from *:
    """
    #define SELF      0xFFFFFFFFu      /* in b: the register itself, not an element */
    #define CONSTANT  0x80000000u      /* in operands while compiling: the constant of that number */
    """
    const uint32_t SELF, CONSTANT

cdef enum program_kind_t:
    SPEC = 0                   # a list of {Head, Guards, Body}
    PATTERN_BINDINGS = 1       # match/2: the list of the variables' values
    PATTERN_OBJECT = 2         # match_object/2: the row

cdef enum run_result_t:
    R_NO = 0                   # not selected
    R_TRUE = 1                 # selected, and the result is exactly the atom true
    R_ROW = 2                  # the result is the row itself
    R_VALUE = 3                # the result is run.cell with run.base
    R_NO_MEMORY = 4

cdef enum opcode_t:
    # heads and guards: go on, or fail
    OP_NO                      # nothing matches: the end of the program
    OP_FAIL                    # never holds
    OP_BOX                     # place is a container of exactly this kind and size (imm): dst <- its body
    OP_TUPLED                  # place is a tuple of at least c elements: dst <- its body
    OP_LISTED                  # place is a list of at least c elements, proper or not: dst <- its body
    OP_MAPPED                  # place is a map of at least c keys, one at least: dst <- its body
    OP_KEYED                   # the map in register a has the key in register c: dst <- the value
    OP_REST                    # dst <- what follows the first c elements of the list in register a
    OP_IS                      # place is the immediate imm
    OP_IS_INLINE               # place is the short binary imm, marked as text or not
    OP_EQUAL                   # place =:= register c
    OP_UNLIKE                  # place =/= register c
    OP_AGAIN                   # place =:= the place (dst, c)
    OP_IF_KIND                 # place is of a kind in the set imm
    OP_IF_LESS                 # place <  the small integer imm; the next five likewise
    OP_IF_MORE
    OP_IF_NOT_MORE
    OP_IF_NOT_LESS
    OP_IF_EVEN                 # ==
    OP_IF_ODD                  # /=
    OP_IF_ORDER                # place against register c: the order is in the set imm (ORDER_*)
    OP_IF_TRUE                 # register a is the atom true
    # values: dst <- ..., or fail
    OP_LOAD                    # the place
    OP_ORDER                   # is a against c in the set imm
    OP_SAME                    # a =:= c
    OP_DIFFER                  # a =/= c
    OP_KIND                    # is a of a kind in the set imm
    OP_AND
    OP_OR
    OP_ANDALSO                 # a is false: dst <- false, and c steps forward; true: go on
    OP_ORELSE                  # a is true: dst <- true, and c steps forward; false: go on
    OP_CALL                    # the function imm of the registers a, b, c
    OP_BUILD                   # the c tokens from `imm` on: a tuple or list
    OP_MAP                     # the c tokens from `imm` on, keys and values
    # the end of a clause
    OP_RET                     # register a
    OP_RET_TRUE
    OP_RET_ROW
    OP_COUNT

cdef enum:
    ORDER_LESS = 1
    ORDER_EVEN = 2
    ORDER_MORE = 4

    REG_ROW = 0
    REG_ROOT = 1
    REGS_MAX = 1 << 22         # beyond it a spec is nested too deep, or too large

cdef struct instr_t:
    uint16_t code
    uint16_t spare
    uint32_t dst
    uint32_t a
    uint32_t b
    uint32_t c
    int32_t fail               # steps forward; 0: the value is 'EXIT'
    uint64_t imm

# What OP_BUILD and OP_MAP build from, in the order in which it is written.
cdef struct token_t:
    uint32_t low               # of a container that begins here: LOW_TUPLE or LOW_LIST; 0: a value
    uint32_t n                 # of a container: how many elements; of a value: its register
    uint32_t tail              # of a list: the register of its tail; SELF: it has none

cdef struct program_t:
    uint64_t refs
    int kind
    instr_t* ops
    size_t nops
    val_t* consts
    size_t nconsts
    token_t* tokens
    size_t ntokens
    size_t nregs               # without the constants
    size_t nest                # how deep OP_BUILD nests at most
    uint64_t* spec             # a row of one element: the spec or pattern as it came

cdef struct run_t

# A function of guards and bodies. ST_OK and a value, ST_BADARG (it fails) or ST_NO_MEMORY.
ctypedef int (*guard_function_t)(run_t* run, const val_t* a, const val_t* b, const val_t* c, val_t* out) noexcept nogil

cdef struct build_level_t:
    uint64_t* body
    size_t next                # the next cell to be made
    size_t count               # of those that tokens make
    uint32_t tail

cdef struct run_t:
    const program_t* program   # whose constants the registers hold; retained
    val_t* regs
    size_t cap
    build_level_t* levels
    size_t levels_cap
    heap_t heap
    val_t self_pid             # {self} and {node}: the caller may set them
    val_t node
    cell_t cell                # the result, where it is R_VALUE
    const char* base

cdef enum access_kind_t:
    ACCESS_NOTHING = 0         # no row can match
    ACCESS_KEYS = 1            # the rows of these keys
    ACCESS_SPAN = 2            # ordered tables: the rows with keys in this span
    ACCESS_ALL = 3

# Atoms that mean something in match specs.
cdef enum:
    NAMED_ANY                  # '_'
    NAMED_ROW                  # '$_'
    NAMED_VARS                 # '$$'
    NAMED_CONST
    NAMED_AND
    NAMED_OR
    NAMED_ANDALSO
    NAMED_ORELSE
    NAMED_SELF
    NAMED_EXIT                 # 'EXIT'
    NAMED_ELEMENT
    NAMED_NODE                 # 'nonode@nohost'
    NAMED_COUNT

cdef cell_t NAMED[NAMED_COUNT]

cdef enum function_form_t:
    F_CALL                     # run
    F_KIND                     # is of a kind in the set
    F_ORDER                    # an order in the set
    F_SAME
    F_DIFFER
    F_AND
    F_OR
    F_ANDALSO
    F_ORELSE

cdef struct function_t:
    cell_t name
    int arity                  # -1: one or more
    int form
    guard_function_t run
    uint64_t set               # of F_KIND, F_ORDER

cdef enum:
    FUNCTIONS_MAX = 96

cdef function_t FUNCTIONS[FUNCTIONS_MAX]
cdef size_t FUNCTION_COUNT = 0


cdef inline bint is_variable(cell_t c) noexcept nogil:
    """'$N', N without leading zeros."""
    cdef const char* p
    cdef size_t n = 0, i
    if (c & 0xFF) != LOW_ATOM:
        return False
    p = atom_text(c, &n)
    if n < 2 or p[0] != c"$" or (p[1] == c"0" and n > 2):
        return False
    for i in range(1, n):
        if not c"0" <= p[i] <= c"9":
            return False
    return True


cdef int variable_compare(cell_t a, cell_t b) noexcept nogil:
    """By number: the longer is the greater."""
    cdef size_t an = 0, bn = 0
    cdef const char* x = atom_text(a, &an)
    cdef const char* y = atom_text(b, &bn)
    if an != bn:
        return -1 if an < bn else 1
    return memcmp(x, y, an)


cdef const function_t* function_find(cell_t name, size_t arity, bint* known) noexcept nogil:
    """The row of the function table; NULL if there is none. known: there is one of that name."""
    cdef size_t i
    known[0] = False
    for i in range(FUNCTION_COUNT):
        if FUNCTIONS[i].name == name:
            known[0] = True
            if FUNCTIONS[i].arity < 0 or <size_t>FUNCTIONS[i].arity == arity:
                return &FUNCTIONS[i]
    return NULL


# ---- programs

cdef void program_free(program_t* p) noexcept nogil:
    free(p.ops)
    free(p.consts)
    free(p.tokens)
    free(p.spec)
    free(p)


cdef void program_retain(const program_t* p) noexcept nogil:
    refs_take(&(<program_t*>p).refs)


cdef void program_release(const program_t* p) noexcept nogil:
    if p != NULL and refs_drop(&(<program_t*>p).refs):
        program_free(<program_t*>p)


cdef inline void program_spec(const program_t* p, cell_t* spec, const char** base) noexcept nogil:
    """The spec or pattern that it was compiled from. It lives as long as the program."""
    spec[0] = p.spec[1]
    base[0] = <const char*>p.spec


# ---- the verifier

cdef bint reg_good(const program_t* p, uint32_t reg) noexcept nogil:
    return reg < p.nregs + p.nconsts


cdef bint tokens_good(const program_t* p, const instr_t* op) noexcept nogil:
    cdef size_t i
    if op.imm > p.ntokens or op.c > p.ntokens - op.imm or op.c == 0:
        return False
    if op.code == OP_MAP and op.c % 2:
        return False
    for i in range(op.imm, op.imm + op.c):
        if p.tokens[i].low == 0:
            if not reg_good(p, p.tokens[i].n):
                return False
        elif op.code == OP_MAP or (p.tokens[i].tail != SELF and not reg_good(p, p.tokens[i].tail)):
            return False
    return True


cdef bint op_good(const program_t* p, size_t at) noexcept nogil:
    cdef const instr_t* op = &p.ops[at]
    cdef size_t left = p.nops - at
    cdef int code = op.code
    if code >= OP_COUNT or op.fail < 0 or <size_t>op.fail >= left:
        return False
    if code == OP_NO or code == OP_RET_TRUE or code == OP_RET_ROW:
        return True
    if code == OP_FAIL:
        return op.fail > 0
    if not reg_good(p, op.a):
        return False
    if code <= OP_IF_TRUE:
        if op.fail == 0:
            return False
    if code in (OP_BOX, OP_TUPLED, OP_LISTED, OP_MAPPED, OP_KEYED, OP_REST) or OP_LOAD <= code <= OP_MAP:
        if op.dst >= p.nregs:                                  # constants are never written
            return False
    if code == OP_BUILD or code == OP_MAP:
        return tokens_good(p, op)
    if code == OP_ANDALSO or code == OP_ORELSE:
        return 0 < op.c < left
    if code == OP_AGAIN:
        return op.dst < p.nregs
    if code == OP_CALL:
        return op.imm < FUNCTION_COUNT and reg_good(p, op.b) and reg_good(p, op.c)
    if code in (OP_KEYED, OP_EQUAL, OP_UNLIKE, OP_IF_ORDER, OP_ORDER, OP_SAME, OP_DIFFER, OP_AND, OP_OR):
        return reg_good(p, op.c)
    return True


cdef bint program_verify(const program_t* p) noexcept nogil:
    """Registers are in range, constants are only read, jumps go forward and stay inside. Linear; each compilation ends
    with it."""
    cdef size_t i
    if p.nops == 0 or p.ops[p.nops - 1].code != OP_NO:
        return False
    for i in range(p.nops):
        if not op_good(p, i):
            return False
    return True


include "match_run.pxi"
include "match_compile.pxi"
include "match_access.pxi"
