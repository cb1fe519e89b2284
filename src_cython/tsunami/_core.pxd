# cython: language_level=3
"""What the engine shows to the wire: the structs, and the functions that run without the GIL.

`_core.pyx` defines everything that is declared here. Only `_wire` cimports this file; Python code sees
`tsunami/_core.pyi` instead. Nothing here knows of Python objects.

The grammar of cells and bodies is drawn at the head of `term.pxi`.
"""
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

ctypedef uint64_t cell_t

# ---- status values: what a function of the engine can come to. They become exceptions in one place (core.pxi).
cdef enum status_t:
    ST_OK = 0
    ST_ABSENT = 1          # no row with that key
    ST_EXISTS = 2          # insert_new: a row with that key is there
    ST_GONE = 3            # the table has been deleted
    ST_NO_MEMORY = 4
    ST_TOO_LARGE = 5       # a term beyond the limits of the grammar
    ST_KEYPOS = 6          # a position that is the key's
    ST_POSITION = 7        # a position outside the row
    ST_NOT_INTEGER = 8     # update_counter: the element is no integer
    ST_TABLE_TYPE = 9      # the operation is not for tables of this type
    ST_NOT_STORABLE = 10   # a reference term or NaN where only a key can stand
    ST_CONFLICT = 11       # commit: something is not as it was expected to be
    ST_BADARG = 12
    ST_STOP = 13           # an edit or visit function's own "no": nothing was changed
    ST_ACCESS = 16         # the session lacks the right
    ST_NOT_OWNER = 17
    ST_OWNER = 18          # the session owns the table already
    ST_SPEC = 19           # a match spec that is none
    ST_DEEP = 20           # nested too deep: ETS's system_limit
    ST_NO_FORM = 21        # a term for which Erlang's external format has no word
    ST_COMPRESSED = 22     # bytes in Erlang's external format that zlib has to unpack first

# ---- a growable byte buffer with room for a small inline start (which belongs to the caller)
cdef struct buf_t:
    char* data
    size_t len
    size_t cap
    char* home             # the caller's storage, or NULL; data is freed only where it is not home

cdef void buf_init(buf_t* b, char* home, size_t cap) noexcept nogil
cdef void buf_free(buf_t* b) noexcept nogil
cdef int buf_reserve(buf_t* b, size_t more) noexcept nogil                       # ST_OK or ST_NO_MEMORY
cdef int buf_append(buf_t* b, const void* p, size_t n) noexcept nogil

# ---- a key on its way to a table
cdef struct probe_t:
    cell_t cell            # its offset counts from base
    const char* base       # where the body stands (unaligned for binaries); NULL for an immediate
    uint64_t hash          # of the exact form; filled by the probe_* functions

# scratch: 16 bytes that outlive the probe
cdef void probe_int(probe_t* p, int64_t value, char* scratch) noexcept nogil
# ST_OK or ST_TOO_LARGE; data must outlive it
cdef int probe_binary(probe_t* p, const char* data, size_t n) noexcept nogil
cdef void probe_term(probe_t* p, cell_t cell, const char* base) noexcept nogil   # any term

# ---- reading a term
cdef enum kind_t:
    K_INT = 0              # fits 63 bits
    K_BIG = 1
    K_FLOAT = 2
    K_ATOM = 3
    K_BINARY = 4           # also text: see term_is_text
    K_BITS = 5
    K_TUPLE = 6
    K_LIST = 7             # proper, not empty
    K_IMPROPER = 8         # the last cell is the tail
    K_NIL = 9
    K_MAP = 10             # cells are key, value, key, value, in the exact order of the keys
    K_EXT = 11             # name (atom), payload
    K_PID = 12
    K_REF = 13
    K_PORT = 14
    K_FUN = 15
    K_OBJECT = 16          # reference term

cdef kind_t term_kind(cell_t c) noexcept nogil
cdef int64_t term_int(cell_t c) noexcept nogil                                   # of a K_INT
cdef double term_float(cell_t c, const char* base) noexcept nogil
cdef bint term_is_text(cell_t c) noexcept nogil
# Bytes of a K_BINARY. An inline binary is spelled into scratch (8 bytes), any other is pointed to.
cdef const char* term_bytes(cell_t c, const char* base, char* scratch, size_t* n) noexcept nogil
cdef size_t term_length(cell_t c) noexcept nogil                                 # and how many they are
# Elements of a tuple, list (tail last if improper) or map (2n cells): their number, their cells, and their base.
cdef size_t term_cells(cell_t c, const char* base, const cell_t** cells, const char** cells_base) noexcept nogil
cdef const char* atom_text(cell_t c, size_t* n) noexcept nogil                   # UTF-8 of a K_ATOM; lives for ever
cdef cell_t atom_intern(const char* text, size_t n) noexcept nogil               # 0 if out of memory or too long
cdef int term_big_decimal(cell_t c, const char* base, buf_t* out) noexcept nogil  # any integer as decimal text
cdef bint term_equal(cell_t a, const char* abase, cell_t b, const char* bbase) noexcept nogil   # =:=
cdef uint64_t term_hash(cell_t c, const char* base) noexcept nogil

# ---- rows. A row is the body of a tuple: one header word, then arity cells, then the bodies of those that have one.
cdef size_t row_arity(const uint64_t* row) noexcept nogil
cdef size_t row_bytes(const uint64_t* row) noexcept nogil                        # of the term alone, without trailers
# i < arity; its base is (const char*)row
cdef cell_t row_cell(const uint64_t* row, size_t i) noexcept nogil
# ms since 1970; 0: none (stored rows only)
cdef uint64_t row_deadline(const uint64_t* row) noexcept nogil
# s since 1970 of the last access (stored rows of stamped tables)
cdef uint32_t row_stamp(const uint64_t* row) noexcept nogil

# Building a row in a buffer: begin, then each element once and in order, then end. The row starts at data + at.
# Every step returns a status; after a failure the buffer holds garbage behind `at`.
cdef int row_begin(buf_t* b, size_t arity, size_t* at) noexcept nogil
cdef int row_add_int(buf_t* b, size_t at, size_t i, int64_t value) noexcept nogil
cdef int row_add_binary(buf_t* b, size_t at, size_t i, const char* p, size_t n, bint text) noexcept nogil
cdef int row_add_term(buf_t* b, size_t at, size_t i, cell_t c, const char* base) noexcept nogil
cdef int add_float(buf_t* b, size_t at, size_t i, double value) noexcept nogil
cdef int row_end(buf_t* b, size_t at) noexcept nogil

# ---- containers with some of their cells exchanged for others (term_splice.pxi)
cdef struct piece_t:
    cell_t cell
    const char* base

cdef int body_splice(
    buf_t* b, const uint64_t* body, size_t i, size_t removed, const piece_t* added, size_t n_added, size_t* at
) noexcept nogil
cdef size_t body_count(const uint64_t* body) noexcept nogil                      # its cells; they begin at body[1]
cdef const uint64_t* body_empty() noexcept nogil                                 # of a container without cells
# A tuple, list, map or extension with this body, which has cells and must not move any more.
cdef void piece_of_body(piece_t* p, kind_t kind, const uint64_t* body) noexcept nogil
cdef int term_compare_exact(cell_t a, const char* abase, cell_t b, const char* bbase) noexcept nogil

# ---- tables
cdef struct table_t

# Large values of keyspaces: their tables. The order is that of Collection's kinds.
cdef enum c_kind_t:
    C_HASH = 0
    C_SET = 1
    C_ZSET = 2
    C_LIST = 3
    C_STREAM = 4

cdef struct collection_t:
    int kind
    table_t* rows
    table_t* order

cdef collection_t* table_collection(table_t* t, cell_t c) noexcept nogil

# Called under the stripe's lock for each row of a key: copy out what you need, call nothing that can wait.
ctypedef void (*row_sink_t)(void* ctx, const uint64_t* row) noexcept nogil

# The same, with an answer.
ctypedef bint (*row_test_t)(void* ctx, const uint64_t* row) noexcept nogil

# Read-modify-write under the stripe's lock (tables of type set). `old` is the stored row or NULL. Answers:
#   ST_OK      and a row in `out` (built with row_begin..row_end at offset 0): store it, with *deadline (ms, 0: none;
#              comes in as the old row's)
#   ST_OK      and nothing in `out` (len 0): keep the old row; *deadline may have changed
#   ST_ABSENT  erase the key
#   other      change nothing, and table_edit returns that value
ctypedef int (*row_edit_t)(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil

# What a session (its number, 0: nobody in particular) may do: the check that comes before all others.
# ST_OK ST_GONE ST_ACCESS, for RIGHT_OWN ST_NOT_OWNER too.
cdef enum right_t:
    RIGHT_OWN = 0
    RIGHT_WRITE = 1
    RIGHT_READ = 2

cdef int table_allows(const table_t* t, uint64_t session, int right) noexcept nogil

# ST_OK ST_ABSENT ST_GONE
cdef int table_get(table_t* t, const probe_t* key, row_sink_t sink, void* ctx) noexcept nogil
cdef int table_peek(table_t* t, const probe_t* key, row_sink_t sink, void* ctx) noexcept nogil   # leaves no stamp
cdef int table_member(table_t* t, const probe_t* key) noexcept nogil
cdef int table_put(table_t* t, const uint64_t* row, uint64_t deadline) noexcept nogil             # insert/2 of one row
cdef int table_put_many(table_t* t, const uint64_t** rows, size_t n, bint only_new) noexcept nogil  # atomic; ST_EXISTS
# sink may be NULL; take
cdef int table_erase(table_t* t, const probe_t* key, row_sink_t sink, void* ctx) noexcept nogil
cdef int table_edit(table_t* t, const probe_t* key, row_edit_t edit, void* ctx) noexcept nogil
cdef int table_clear(table_t* t) noexcept nogil
# Ordered tables. dir: 1 up, 0 down. Positions count from 0; nth's also from the end.
cdef int table_seek(table_t* t, const probe_t* start, int dir, row_sink_t sink, void* ctx) noexcept nogil
cdef int ordered_nth(table_t* t, int64_t k, row_sink_t sink, void* ctx) noexcept nogil
cdef int ordered_slice(table_t* t, int64_t k, size_t n, int dir, row_sink_t sink, void* ctx) noexcept nogil
# Both ends without a search; side 0: the first row, 1: the last one. extend takes no deadline.
cdef int ordered_pull(table_t* t, int side, row_test_t test, void* ctx) noexcept nogil
cdef int ordered_extend(table_t* t, int side, row_edit_t edit, void* ctx) noexcept nogil
cdef int ordered_rank(table_t* t, const probe_t* p, size_t* rank) noexcept nogil
# The row under the first key goes, this row comes.
cdef int ordered_move(table_t* t, const probe_t* from_key, const uint64_t* row) noexcept nogil
# Start loading what a search for each of these keys will read: up to 16 of them.
cdef void ordered_ahead(table_t* t, const probe_t* keys, size_t n) noexcept nogil
cdef size_t table_len(table_t* t) noexcept nogil
cdef size_t table_keypos(table_t* t) noexcept nogil                              # 0-based
cdef bint table_is_bag(table_t* t) noexcept nogil                                # bag or duplicate_bag
cdef size_t table_memory(table_t* t) noexcept nogil
cdef uint64_t memory_used() noexcept nogil              # of all tables; exact while memory_meter is on
cdef void table_prefetch(table_t* t, const probe_t* key) noexcept nogil          # start loading the key's bucket
# start loading its row; the bucket should be there by then
cdef void table_prefetch_row(table_t* t, const probe_t* key) noexcept nogil
cdef uint64_t table_volatile(table_t* t) noexcept nogil                          # rows with a deadline
# Erase what is due at `now` (ms), at most `budget` rows. *lateness: by how many ms the latest of them was late.
cdef size_t table_expire(
    table_t* t, uint64_t now, size_t budget, uint64_t* lateness, row_sink_t sink, void* ctx
) noexcept nogil

# The gate: between enter and drop other threads wait at the stripes of these tables. Pairs nest. table: ST_NO_MEMORY.
cdef void gate_enter() noexcept nogil
cdef int gate_table(table_t* t) noexcept nogil
cdef void gate_drop() noexcept nogil

# Named tables. find returns a retained table or NULL; every find needs its release.
cdef table_t* table_find(const char* name, size_t n) noexcept nogil
# The same by number. Numbers are never used again: known is also that of a table that has been deleted.
cdef table_t* table_by_id(uint64_t id) noexcept nogil
cdef bint table_id_known(uint64_t id) noexcept nogil
cdef uint64_t table_id(const table_t* t) noexcept nogil
cdef void table_retain(table_t* t) noexcept nogil
cdef void table_release(table_t* t) noexcept nogil

# From a Python object: the table behind a tsunami.Table (borrowed), for setting up the wire with the GIL held.
cdef table_t* table_of(object table) except NULL

# Reference terms of rows that were let go without the GIL wait to be dropped: whoever has the GIL next sees to it.
cdef bint trash_waiting() noexcept nogil
cdef int trash_collect() except -1                                               # finalizers run here

cdef uint64_t clock_ms() noexcept nogil                                          # ms since 1970, coarse clock

# ---- ETS.CALL: bytes in, bytes out
cdef struct call_t:
    uint64_t session       # as whom
    const uint64_t* self_row   # who that is to Erlang: a one-element row; NULL: nobody in particular
    bint patient           # may it take its time?
    const char* error      # after CALL_DONE: the error line, or NULL
    buf_t out              # the result, in the external term format
    # -- its own
    buf_t args
    buf_t rows
    const cell_t* cells
    const char* base
    size_t n
    size_t found
    bint failed
    table_t* table
    cell_t named

cdef void call_open(call_t* c) noexcept nogil
cdef void call_close(call_t* c) noexcept nogil
# 0: done. Else nothing has happened, and Python is to answer.
cdef int call_run(call_t* c, const char* name, size_t name_len, const char* args, size_t args_len) noexcept nogil
# Before anything that may rename or delete tables, and when a batch is over.
cdef void call_rest(call_t* c) noexcept nogil
# Of a Packed: the row of this one element, as long as the object lives.
cdef const uint64_t* row_of_packed(object term) except NULL
