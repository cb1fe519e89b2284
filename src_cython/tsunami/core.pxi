# Table, and the module's functions: the one face between Python and the engine.
#
# The shape of every method is the same: pack the arguments (Python code may run here, and no lock is held); run the
# engine (no Python code, no GIL needed); make Python objects of
# the copies it gave (no lock is held); turn the status into an exception, in fail(), the one place for that.
#
# Short operations keep the GIL: who holds a stripe never waits for it, so this cannot deadlock, and letting it go would
# cost more than the operation.
# Long ones (clear, long lists, scans in pieces) let it go.

import random as _random
import threading as _threading
import weakref as _weakref

from cpython.bytes cimport PyBytes_CheckExact
from cpython.list cimport PyList_Append, PyList_SET_ITEM
from cpython.long cimport PyLong_CheckExact
from cpython.tuple cimport PyTuple_Check, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_CheckExact

cdef object END_OF_TABLE_ = END_OF_TABLE
cdef object _files = None       # tsunami.persistence.tab2file, which lies above and says so here
cdef object _missing = object()

# Tables that live, for all() and for the trash; and the named ones, which live until they are deleted.
cdef dict _tables = {}          # id -> weak reference, which takes itself out
cdef dict _named = {}
cdef object _naming = _threading.Lock()        # _named and the engine's registry of names change together
cdef list _keyspaces = [None] * 16

cdef bint trash_waiting() noexcept nogil:
    return flag_load(&trash_waits) != 0

cdef int trash_collect() except -1:
    """Drop the objects that no row holds any more, of all tables: for the wire, which lets rows go without the GIL.
    Finalizers run here."""
    flag_store(&trash_waits, 0)
    for table in live_tables():
        (<Table>table).settle()
    return 0


cdef list live_tables():
    """The tables that there are. Others may come and go meanwhile: list() of a dict's values is one step."""
    return [table for reference in list(_tables.values()) if (table := reference()) is not None]


# ---- copies of rows on their way out

cdef struct rows_t:
    buf_t buf
    objects_t* objects
    size_t n
    bint failed             # no memory for a copy

cdef inline void rows_open(rows_t* r, table_t* t, uint64_t* home, size_t words) noexcept nogil:
    buf_init(&r.buf, <char*>home, words * 8)
    r.objects = &t.objects
    r.n = 0
    r.failed = False

cdef void rows_sink(void* ctx, const uint64_t* row) noexcept nogil:
    cdef rows_t* r = <rows_t*>ctx
    if buf_append(&r.buf, row, row_words(row) * 8) != ST_OK:
        r.failed = True
        return
    r.n += 1
    if row[0] & HAS_OBJECT:
        row_each_object(r.objects, row, object_retain)

cdef struct first_t:
    # The key of the first row that came: as a cell if that is all of it, else with its row.
    rows_t rows
    size_t keypos
    cell_t cell
    bint plain

cdef void first_sink(void* ctx, const uint64_t* row) noexcept nogil:
    cdef first_t* f = <first_t*>ctx
    cdef cell_t c = row[1 + f.keypos]
    if f.plain or f.rows.n != 0:
        return
    if cell_is_int(c) or (c & 0xF) == LOW_INLINE:
        f.cell = c
        f.plain = True
    else:
        rows_sink(&f.rows, row)

cdef object first_key(Table table, first_t* f):
    """Closes."""
    cdef const uint64_t* row
    if f.plain:
        return decode_cell(f.cell, NULL, NULL)
    try:
        if f.rows.failed:
            raise MemoryError
        row = <const uint64_t*>f.rows.buf.data
        return decode_cell(row[1 + f.keypos], <const char*>row, NULL)       # no key holds an object by reference
    finally:
        rows_close(&f.rows)
        table.settle()

cdef inline void rows_clear(rows_t* r) noexcept nogil:
    cdef size_t at = 0
    cdef const uint64_t* row
    cdef size_t i
    for i in range(r.n):
        row = <const uint64_t*>(r.buf.data + at)
        if row[0] & HAS_OBJECT:
            row_each_object(r.objects, row, object_release)
        at += row_words(row) * 8
    r.n = 0
    r.buf.len = 0

cdef inline void rows_close(rows_t* r) noexcept nogil:
    if r.n:
        rows_clear(r)
    buf_free(&r.buf)

cdef int rows_put_back(table_t* t, rows_t* r) noexcept nogil:
    """Insert the copies again, if their key is still absent."""
    cdef const uint64_t** rows = <const uint64_t**>malloc((r.n + 1) * sizeof(void*))
    cdef size_t i, at = 0
    cdef int st
    if rows == NULL:
        return ST_NO_MEMORY
    for i in range(r.n):
        rows[i] = <const uint64_t*>(r.buf.data + at)
        at += row_words(rows[i]) * 8
    st = table_put_many(t, rows, r.n, True)
    free(rows)
    return st

cdef list rows_list(Table table, rows_t* r):
    """The rows as tuples. Closes."""
    cdef list out
    try:
        out = rows_decode(table, r)
    finally:
        rows_close(r)
    table.settle()          # a row that was let go while it was read left its objects to us
    return out

cdef list rows_decode(Table table, rows_t* r):
    """The rows as tuples. Decoders of extension terms run here, and may raise."""
    cdef list out
    cdef object item
    if ts_unlikely(r.failed):
        raise MemoryError
    if r.n == 1:
        item = decode_row(<const uint64_t*>r.buf.data, <void*>table)
        out = PyList_New(1)
        Py_INCREF(item)
        PyList_SET_ITEM(out, 0, item)
        return out
    out = []                # never half built: the collector shows lists to whoever asks
    rows_append(table, r, out)
    return out

cdef int rows_append(Table table, rows_t* r, list out) except -1:
    """rows_decode to the end of a list."""
    cdef size_t at = 0, i
    cdef const uint64_t* row
    if ts_unlikely(r.failed):
        raise MemoryError
    for i in range(r.n):
        row = <const uint64_t*>(r.buf.data + at)
        PyList_Append(out, decode_row(row, <void*>table))
        at += row_words(row) * 8
    return 0


# ---- what Python gives, packed

cdef struct batch_t:
    # Rows one behind the other in a buffer, and where each starts.
    buf_t buf
    size_t* starts
    size_t n
    size_t cap
    objects_t* objects

cdef void batch_close(batch_t* b) noexcept:
    cdef size_t i
    cdef const uint64_t* row
    for i in range(b.n):
        row = <const uint64_t*>(b.buf.data + b.starts[i])
        if row[0] & HAS_OBJECT:
            row_each_object(b.objects, row, object_release)
    free(b.starts)
    b.starts = NULL
    b.n = 0
    buf_free(&b.buf)

cdef inline int row_pack(Table table, object row, buf_t* buf, size_t* at) except -1:
    """Pack a row behind what is in buf; it must be a tuple that reaches to the key, with a key that can be one."""
    cdef pack_ctx_t ctx
    if not PyTuple_Check(row):
        raise BadType(f"a row is a tuple, not {shown(row)}")
    if <size_t>PyTuple_GET_SIZE(row) <= table.t.keypos:
        raise BadArgument(f"the row {shown(row)} has no element {table.t.keypos}, where the key of this table stands")
    ctx.allow_objects = True
    ctx.keypos = <Py_ssize_t>table.t.keypos
    ctx.owner = <void*>table
    return encode_row(row, buf, at, &ctx)

cdef inline int pack_values(Table table, tuple values, buf_t* buf, size_t* at) except -1:
    """Pack a tuple of which no element is a key."""
    cdef pack_ctx_t ctx
    ctx.allow_objects = True
    ctx.keypos = -1
    ctx.owner = <void*>table
    return encode_row(values, buf, at, &ctx)

cdef struct packed_key_t:
    probe_t probe
    buf_t scratch
    uint64_t[8] home

cdef int key_open_packed(object key, packed_key_t* k) except -1:
    try:
        return encode_key(key, &k.probe, &k.scratch)
    except BaseException:
        buf_free(&k.scratch)
        raise

cdef inline int key_open(object key, packed_key_t* k) except -1:
    """A probe for a key. `key` has to outlive it. What fails leaves nothing to close."""
    buf_init(&k.scratch, <char*>k.home, sizeof(k.home))
    if PyLong_CheckExact(key) or PyUnicode_CheckExact(key) or PyBytes_CheckExact(key):
        return encode_key(key, &k.probe, &k.scratch)
    return key_open_packed(key, k)

cdef inline void key_close(packed_key_t* k) noexcept nogil:
    if ts_unlikely(k.scratch.data != <char*>k.home):
        buf_free(&k.scratch)

cdef int batch_add(Table table, batch_t* b, object row) except -1:
    cdef size_t at = 0
    cdef size_t* wider
    if b.n == b.cap:
        wider = <size_t*>realloc(b.starts, (b.cap * 2 + 8) * sizeof(size_t))
        if wider == NULL:
            raise MemoryError
        b.starts = wider
        b.cap = b.cap * 2 + 8
    row_pack(table, row, &b.buf, &at)
    b.starts[b.n] = at
    b.n += 1
    return 0

cdef tuple rows_given(object rows):
    """The rows of a list or another iterable, standing still."""
    if not isinstance(rows, (list, str, bytes, bytearray, memoryview, dict)):
        try:
            return tuple(rows)
        except TypeError:
            if hasattr(type(rows), "__iter__"):
                raise           # an error of its own
    if isinstance(rows, list):
        return tuple(rows)
    raise BadType(f"a row (tuple) or a list of rows, not {shown(rows)}")

cdef inline void batch_open(batch_t* b, Table table) noexcept:
    buf_init(&b.buf, NULL, 0)
    b.starts = NULL
    b.n = b.cap = 0
    b.objects = &table.t.objects

cdef enum:
    ST_BADTYPE = 100
    ST_BAD_DEFAULT = 101

cdef object fail(Table table, int st, object what):
    """The exception for a status: the one place where they are made."""
    if st == ST_NO_MEMORY:
        return MemoryError()
    if st == ST_GONE:
        return NoSuchTable(f"{table.label()} has been deleted", cause="id")
    if st == ST_ABSENT:
        return BadKey(f"{table.label()} has no row with the key {shown(what)}", cause="badkey")
    if st == ST_ACCESS:
        return AccessDenied(f"{table.label()} is {table.info('protection')}: not for this session", cause="access")
    if st == ST_NOT_OWNER:
        return AccessDenied(f"{table.label()} is not this session's", cause="not_owner")
    if st == ST_OWNER:
        return BadArgument(f"{shown(what)} owns {table.label()} already", cause="owner")
    if st == ST_EXISTS:
        return TableExists(f"there is a table {what!r} already", cause="already_exists")
    if st == ST_TOO_LARGE:
        return TermTooLarge(f"{shown(what)} is beyond the limits of the packed form")
    if st == ST_KEYPOS:
        return BadPosition(f"position {shown(what)} is the key's", cause="keypos")
    if st == ST_POSITION:
        return BadPosition(f"position {shown(what)} is outside the row", cause="position")
    if st == ST_TABLE_TYPE:
        return BadArgument(f"{what} is not for a table of type {table.type}", cause="table_type")
    if st == ST_NOT_INTEGER:
        return BadArgument(f"the element {shown(what)} is no integer")
    if st == ST_BADTYPE:
        return BadType(
            f"{shown(what)} is no step: an increment, (pos, increment), or (pos, increment, threshold, value)"
        )
    return BadArgument(f"{shown(what)} cannot stand here")

cdef inline int check(Table table, int st, object what) except -1:
    if ts_unlikely(st != ST_OK):
        raise fail(table, st, what)
    return 0


# ---- update_counter

cdef struct step_t:
    int status              # ST_OK, or ST_BADARG: not a step at all
    int64_t pos
    bint bounded
    size_t args             # where the row (increment, threshold, value) starts in the arguments
    cell_t value            # after this step
    buf_t body
    size_t at

cdef struct counter_t:
    table_t* table
    const probe_t* key
    step_t* steps
    size_t n
    const char* args
    bint has_default
    const uint64_t* initial     # the default row; NULL if there is none or it is too short for the key
    buf_t culprit               # the element that is no integer, as a row
    int error
    size_t bad              # the step that failed

cdef inline const char* step_base(const step_t* s) noexcept nogil:
    return s.body.data + s.at if s.body.data != NULL else NULL

cdef int counter_step(counter_t* c, size_t k, const uint64_t* row, int64_t earlier) noexcept nogil:
    """Reckon one step from the row as it was, or from the earlier step for this position."""
    cdef step_t* s = &c.steps[k]
    cdef const uint64_t* args = <const uint64_t*>(c.args + s.args)
    cdef cell_t element
    cdef const char* base = <const char*>row
    cdef int st
    if s.status != ST_OK:
        return s.status
    if s.pos == <int64_t>c.table.keypos:
        return ST_KEYPOS
    if s.pos < 0 or s.pos >= <int64_t>row_arity(row):
        return ST_POSITION
    element = row[1 + s.pos]
    if term_kind(element) != K_INT and term_kind(element) != K_BIG:
        return ST_NOT_INTEGER
    if earlier >= 0:
        element = c.steps[earlier].value
        base = step_base(&c.steps[earlier])
    st = int_add(element, base, args[1], <const char*>args, &s.body, &s.at, &s.value)
    if st != ST_OK or not s.bounded:
        return st
    # Zero counts as not negative.
    if int_compare(args[1], <const char*>args, 0, NULL) >= 0:
        if int_compare(s.value, step_base(s), args[2], <const char*>args) <= 0:
            return ST_OK
    elif int_compare(s.value, step_base(s), args[2], <const char*>args) >= 0:
        return ST_OK
    s.body.len = 0
    s.at = 0
    s.value = args[3]
    if args[3] & 1:
        st = buf_append(&s.body, cell_at(args[3], <const char*>args), (cell_length(args[3]) + 7) & ~<size_t>7)
        s.value = args[3] & ~OFFSET_MASK
    return st

cdef int row_with_key(const uint64_t* initial, const probe_t* key, size_t keypos, buf_t* out) noexcept nogil:
    """The default row with the key in its place, at the start of out."""
    cdef size_t at = 0, i
    cdef int st = row_begin(out, row_arity(initial), &at)
    for i in range(row_arity(initial)):
        if st != ST_OK:
            return st
        if i == keypos:
            st = row_add_term(out, at, i, key.cell, key.base)
        else:
            st = row_add_term(out, at, i, initial[1 + i], <const char*>initial)
    return row_end(out, at) if st == ST_OK else st

cdef int row_alone(cell_t c, const char* base, buf_t* out) noexcept nogil:
    """A row of this one element, at the start of out, for a message; without memory, or for a reference term, none."""
    cdef size_t at = 0
    if (c & 0xFF) == LOW_OBJECT or (cell_is_box(c) and (<const uint64_t*>cell_at(c, base))[0] & HAS_OBJECT):
        return ST_OK
    if row_begin(out, 1, &at) != ST_OK or row_add_term(out, at, 0, c, base) != ST_OK or row_end(out, at) != ST_OK:
        buf_free(out)
    return ST_OK

cdef int counter_edit(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef counter_t* c = <counter_t*>ctx
    cdef const uint64_t* row = old
    cdef int64_t* latest = NULL         # by position: the last step for it
    cdef buf_t fresh
    cdef size_t k, i, at = 0
    cdef bint immediate = True
    cdef int st = ST_OK
    cdef int64_t one
    buf_init(&fresh, NULL, 0)
    if old == NULL:
        if c.initial == NULL:
            c.error = ST_BAD_DEFAULT if c.has_default else ST_ABSENT
            return ST_STOP
        st = row_with_key(c.initial, c.key, c.table.keypos, &fresh)
        row = <const uint64_t*>fresh.data
    if st == ST_OK and c.n > 1:
        latest = <int64_t*>malloc(row_arity(row) * sizeof(int64_t))
        if latest == NULL:
            st = ST_NO_MEMORY
        else:
            for i in range(row_arity(row)):
                latest[i] = -1
    k = 0
    while st == ST_OK and k < c.n:
        one = -1
        if latest != NULL and c.steps[k].status == ST_OK and 0 <= c.steps[k].pos < <int64_t>row_arity(row):
            one = latest[c.steps[k].pos]
        st = counter_step(c, k, row, one)
        if st != ST_OK:
            c.error = st
            c.bad = k
            if st == ST_NOT_INTEGER:
                row_alone(row[1 + c.steps[k].pos], <const char*>row, &c.culprit)
            st = ST_STOP
            break
        if latest != NULL:
            latest[c.steps[k].pos] = <int64_t>k
        if (c.steps[k].value | row[1 + c.steps[k].pos]) & 1:
            immediate = False
        k += 1
    if st == ST_OK:
        if old != NULL and immediate:
            # Words for words: nobody can see a row while its stripe is held.
            for k in range(c.n):
                (<uint64_t*>old)[1 + c.steps[k].pos] = c.steps[k].value
        else:
            st = row_begin(out, row_arity(row), &at)
            for i in range(row_arity(row)):
                if st != ST_OK:
                    break
                if latest != NULL:
                    one = latest[i]
                else:
                    one = 0 if c.n == 1 and c.steps[0].pos == <int64_t>i else -1
                if one >= 0:
                    st = row_add_term(out, at, i, c.steps[one].value, step_base(&c.steps[one]))
                else:
                    st = row_add_term(out, at, i, row[1 + i], <const char*>row)
            if st == ST_OK:
                st = row_end(out, at)
    if st != ST_OK and st != ST_STOP:
        c.error = st
        st = ST_STOP
    free(latest)
    buf_free(&fresh)
    return st

cdef bint is_integer(object x):
    return isinstance(x, int) and not isinstance(x, bool)

cdef int step_read(Table table, object what, step_t* s, buf_t* args) except -1:
    """Read one step of Python's; what is no step gets a status, for the error comes only when its turn has come."""
    cdef Py_ssize_t n
    cdef object given
    s.status = ST_BADTYPE
    s.bounded = False
    buf_init(&s.body, NULL, 0)
    s.at = 0
    if not PyTuple_Check(what):
        return 0
    s.status = ST_BADARG
    n = len(what)
    if n != 2 and n != 4:
        return 0
    for given in what:
        if not is_integer(given):
            return 0
    try:
        s.pos = what[0]
    except OverflowError:
        s.pos = -1
    s.bounded = n == 4
    pack_values(table, (int(what[1]), int(what[2]), int(what[3])) if n == 4 else (int(what[1]),), args, &s.args)
    s.status = ST_OK
    return 0


# ---- update_element

cdef struct element_t:
    table_t* table
    const probe_t* key
    const uint64_t* values      # a row: the values in order, or NULL
    int64_t* positions          # by value; status below 0: no pair
    int* statuses
    size_t n
    bint has_default
    const uint64_t* initial
    int error
    size_t bad

cdef int element_edit(void* ctx, const uint64_t* old, buf_t* out, uint64_t* deadline) noexcept nogil:
    cdef element_t* e = <element_t*>ctx
    cdef const uint64_t* row = old
    cdef buf_t fresh
    cdef int64_t* latest = NULL
    cdef size_t k, i, at = 0
    cdef int st = ST_OK
    buf_init(&fresh, NULL, 0)
    if old == NULL:
        if e.initial == NULL:
            e.error = ST_BAD_DEFAULT if e.has_default else ST_ABSENT
            return ST_STOP
        st = row_with_key(e.initial, e.key, e.table.keypos, &fresh)
        row = <const uint64_t*>fresh.data
    if st == ST_OK:
        latest = <int64_t*>malloc(row_arity(row) * sizeof(int64_t))
        st = ST_OK if latest != NULL else ST_NO_MEMORY
    if st == ST_OK:
        for i in range(row_arity(row)):
            latest[i] = -1
        for k in range(e.n):
            st = e.statuses[k]
            if st == ST_OK and e.positions[k] == <int64_t>e.table.keypos:
                st = ST_KEYPOS
            if st == ST_OK and not 0 <= e.positions[k] < <int64_t>row_arity(row):
                st = ST_POSITION
            if st != ST_OK:
                e.bad = k
                break
            latest[e.positions[k]] = <int64_t>k
    if st == ST_OK:
        st = row_begin(out, row_arity(row), &at)
        for i in range(row_arity(row)):
            if st != ST_OK:
                break
            if latest[i] >= 0:
                st = row_add_term(out, at, i, e.values[1 + latest[i]], <const char*>e.values)
            else:
                st = row_add_term(out, at, i, row[1 + i], <const char*>row)
        if st == ST_OK:
            st = row_end(out, at)
    free(latest)
    buf_free(&fresh)
    if st != ST_OK:
        e.error = st
        return ST_STOP
    return ST_OK


# ---- the table

cdef const methods_t* methods_for(object type) except NULL:
    if isinstance(type, (str, Atom)):
        if str(type) == "set":
            return &set_methods
        if str(type) == "bag":
            return &bag_methods
        if str(type) == "duplicate_bag":
            return &duplicate_bag_methods
        if str(type) == "ordered_set":
            return &ordered_methods
        raise BadArgument(f"type={shown(type)}: types are 'set', 'ordered_set', 'bag', 'duplicate_bag'")
    raise BadType(f"type={shown(type)}: a str; types are 'set', 'ordered_set', 'bag', 'duplicate_bag'")

cdef uint32_t stripes_chosen() except 0:
    import os
    if knob_default_stripes:
        return knob_default_stripes
    return min(256, max(32, 4 * (os.cpu_count() or 1)))

cdef object name_of(object name):
    """The Atom for a table's name."""
    if isinstance(name, Atom):
        return name
    if isinstance(name, str):
        atom = Atom(name)
        return atom if isinstance(atom, Atom) else _odd_names[atom]
    raise BadType(f"a table's name is a str or an Atom, not {shown(name)}")


cdef Atom name_alone(str text):
    """An Atom for an atom that is no Atom in Python, to name a table by; equal to nothing but itself."""
    cdef Atom atom = Atom.__new__(Atom)
    atom.cell = atom_cell(text)
    atom.text = text
    return atom

cdef dict _odd_names = {True: name_alone("true"), False: name_alone("false"), None: name_alone("nil")}


cdef inline PyObject* list_share(object o) noexcept:
    """A reference for a list's or tuple's item."""
    Py_INCREF(o)
    return <PyObject*>o


cdef class Table:
    """A table of rows: tuples, found by the element at `keypos`.

    type: "set" (a key has one row), "ordered_set" (the same, in term order, and keys are equal by value: 1 and 1.0 are
    one), "bag" (a key has different rows), "duplicate_bag" (also equal ones).
    keypos: position of the key in a row, from 0. stripes: into how many the table is cut, each with a lock of its own
    (the next power of two is taken; by default the engine chooses by the number of processors). An ordered_set has one.

    Rows are copied in and copied out: changing a list after it was inserted changes nothing in the table. All methods
    may be called from any thread; each is atomic. Positions count from 0. ETS: new/2.

    >>> import tsunami
    >>> t = tsunami.Table()
    >>> t.insert((1, "alice", 30))
    True
    >>> t.lookup(1)
    [(1, 'alice', 30)]
    """
    cdef table_t* t
    cdef list _objects          # reference terms, by slot
    cdef dict _slots            # address of an object -> its slot
    cdef object _name           # Atom or None
    cdef bint named             # it can be found by its name
    cdef _Standing _standing    # owner, heir, fixations; None: it has none of them
    cdef tuple _options         # what info echoes; None: the defaults
    cdef bint ready             # __init__ has been called
    cdef object __weakref__

    def __cinit__(self, *args, **kwargs):
        # A subclass that forgets to call __init__ is an empty set.
        self.t = table_open(&set_methods, 0, bits_for(stripes_chosen()))
        if self.t == NULL:
            raise MemoryError
        self._objects = []
        self._slots = {}
        self._name = None

    def __init__(self, type="set", *, keypos=0, stripes=None):
        self.setup(type, keypos, stripes)
        self.enlist()

    cdef int setup(self, type, keypos, stripes) except -1:
        """What __init__ is asked for. Nobody sees the table yet."""
        cdef const methods_t* methods = methods_for(type)
        cdef size_t wanted
        cdef table_t* t
        if self.ready:
            raise BadType("a table is initialised once")
        if not is_integer(keypos):
            raise BadType(f"keypos={shown(keypos)}: a position is an integer from 0 on")
        if not 0 <= keypos < 1 << 24:
            raise BadArgument(f"keypos={shown(keypos)}: a position is an integer from 0 on, below {1 << 24}")
        if stripes is None:
            wanted = stripes_chosen() if not methods.ordered else 1
        elif not is_integer(stripes):
            raise BadType(f"stripes={shown(stripes)}: an integer from 1 on")
        elif not 1 <= stripes <= 1 << STRIPES_MAX_BITS:
            raise BadArgument(f"stripes={shown(stripes)}: an integer from 1 to {1 << STRIPES_MAX_BITS}")
        else:
            wanted = stripes if not methods.ordered else 1
        if methods != &set_methods or keypos != 0 or bits_for(wanted) != self.t.stripe_bits:
            t = table_open(methods, keypos, bits_for(wanted))
            if t == NULL:
                raise MemoryError
            table_release(self.t)
            self.t = t
        self.ready = True
        return 0

    cdef int enlist(self) except -1:
        """From now on all() and those who know its number see the table."""
        number = self.t.id
        check(self, table_enlist(self.t), None)
        _tables[number] = _weakref.ref(self, lambda reference: _tables.pop(number, None))
        return 0

    def __dealloc__(self):
        if self.t != NULL:
            with nogil:
                table_drop(self.t)
                table_release(self.t)

    cdef str label(self):
        cdef object name = self.name_now()
        return f"table {str(name)!r}" if name is not None else f"the unnamed table {self.t.id}"

    cdef object name_now(self):
        """Another thread may be renaming the table."""
        with cython.critical_section(self):
            return self._name

    # -- reference terms

    cdef int64_t object_put(self, object x) except -1:
        """A slot for this object, with one reference for the caller: the one it has already, if it stands in the
        table."""
        cdef uint32_t slot = 0
        cdef PyObject* known
        self.settle()
        with cython.critical_section(self):
            known = PyDict_GetItem(self._slots, <size_t><void*>x)
            if known != NULL:
                slot = <object>known
                if object_revive(&self.t.objects, slot):
                    return slot
            if object_take(&self.t.objects, &slot) != ST_OK:
                raise MemoryError
            while <uint32_t>len(self._objects) <= slot:
                self._objects.append(None)
            self._objects[slot] = x
            if type(x) is Collection:
                object_known(&self.t.objects, slot, collection_inside(x))
            self._slots[<size_t><void*>x] = slot
        return slot

    cdef int empty_trash(self) except -1:
        """Drop the objects that no row holds any more. Finalizers run here: no lock is held."""
        cdef uint32_t slot = 0
        cdef object last
        while flag_load(&self.t.objects.trash_len) != 0 and object_discard(&self.t.objects, &slot):
            with cython.critical_section(self):
                last = self._objects[slot]
                self._objects[slot] = None
                if self._slots.get(<size_t><void*>last) == slot:
                    del self._slots[<size_t><void*>last]
                object_vacate(&self.t.objects, slot)
            del last                # its finalizer runs outside
        return 0

    cdef inline int may(self, int right) except -1:
        """The table comes first: whether it is there, then whether the session may; then all else."""
        if ts_unlikely(not flag_load(&self.t.alive)):
            raise fail(self, ST_GONE, None)
        if ts_unlikely(<int>flag_load(&self.t.protection) >= right):
            check(self, table_may(self.t, session_number(), right), None)
        return 0

    cdef inline int live(self) except -1:
        """The table comes first: what is wrong with the other arguments does not matter if it has been deleted."""
        if ts_unlikely(not flag_load(&self.t.alive)):
            raise fail(self, ST_GONE, None)
        return 0

    cdef inline int settle(self) except -1:
        """What is to be done after rows have gone."""
        if ts_unlikely(flag_load(&self.t.objects.trash_len) != 0):
            self.empty_trash()
        return 0

    # -- writing

    def insert(self, rows, /):
        """Insert a row, or all rows of a list (or another iterable) in one step: nobody sees some without the others.

        In a set or ordered_set a row with the same key is replaced, key included (of several in one list the last
        stays); a bag takes no row that it has already; a duplicate_bag takes all. Returns True. O(1) a row, O(log n) in
        an ordered_set. Raises BadType or BadArgument for what is no row (a tuple that reaches to the key), and leaves
        the table as it was. ETS: insert/2.

        >>> t = Table()
        >>> t.insert([(1, "one"), (2, "two")])
        True
        """
        cdef uint64_t[64] home
        cdef buf_t buf
        cdef size_t at = 0
        cdef int st
        self.may(RIGHT_WRITE)
        if not PyTuple_Check(rows):
            check(self, self.put_list(rows, False), rows)
            return True
        buf_init(&buf, <char*>home, sizeof(home))
        try:
            row_pack(self, rows, &buf, &at)
            st = self.t.methods.put(self.t, <const uint64_t*>(buf.data + at), 0)
            if (<const uint64_t*>(buf.data + at))[0] & HAS_OBJECT:
                row_each_object(&self.t.objects, <const uint64_t*>(buf.data + at), object_release)
        finally:
            if buf.data != <char*>home:
                buf_free(&buf)
            self.settle()
        if ts_unlikely(st != ST_OK):
            raise fail(self, st, rows)
        return True

    cdef int put_list(self, object rows, bint only_new) except -1:
        """Insert the rows of a list, or one row, atomically. A status."""
        cdef batch_t b
        cdef const uint64_t** pointers = NULL
        cdef size_t i
        cdef int st
        cdef object row
        batch_open(&b, self)
        try:
            if PyTuple_Check(rows):
                batch_add(self, &b, rows)
            else:
                for row in rows_given(rows):
                    batch_add(self, &b, row)
            if not flag_load(&self.t.alive):
                return ST_GONE
            if b.n == 0:
                return ST_OK
            pointers = <const uint64_t**>malloc(b.n * sizeof(void*))
            if pointers == NULL:
                return ST_NO_MEMORY
            for i in range(b.n):
                pointers[i] = <const uint64_t*>(b.buf.data + b.starts[i])
            if b.n > 64:
                with nogil:
                    st = table_put_many(self.t, pointers, b.n, only_new)
            else:
                st = table_put_many(self.t, pointers, b.n, only_new)
        finally:
            free(pointers)
            batch_close(&b)
            self.settle()
        return st

    def insert_new(self, rows, /):
        """Insert a row, or all rows of a list in one step, if none of their keys is there. Returns whether it did. ETS:
        insert_new/2.

        >>> t = Table()
        >>> t.insert_new((1, "one")), t.insert_new([(1, "uno"), (2, "dos")]), len(t)
        (True, False, 1)
        """
        cdef int st
        self.may(RIGHT_WRITE)
        st = self.put_list(rows, True)
        if st == ST_EXISTS:
            return False
        check(self, st, rows)
        return True

    def insert_many(self, rows, /):
        """Insert the rows of an iterable, one after the other: faster than a loop, and not atomic as a whole. Returns
        their number.

        A row that is none raises BadArgument; the rows before it may have been inserted.

        >>> t = Table()
        >>> t.insert_many((n, n * n) for n in range(1000))
        1000
        """
        cdef uint64_t[512] home
        cdef size_t[64] starts
        cdef batch_t b
        cdef size_t total = 0, i
        cdef int st = ST_OK
        cdef object row
        self.may(RIGHT_WRITE)
        buf_init(&b.buf, <char*>home, sizeof(home))
        b.starts = starts
        b.n = 0
        b.cap = 64
        b.objects = &self.t.objects
        try:
            for row in rows:
                row_pack(self, row, &b.buf, &starts[b.n])
                b.n += 1
                if b.n == 64:
                    st = self.put_batch(&b)
                    if st != ST_OK:
                        break
                    total += 64
            if st == ST_OK:
                total += b.n
                st = self.put_batch(&b)
        finally:
            for i in range(b.n):
                row_each_object(b.objects, <const uint64_t*>(b.buf.data + starts[i]), object_release)
            buf_free(&b.buf)
            self.settle()
        check(self, st, "insert_many")
        return total

    cdef int put_batch(self, batch_t* b) except -1:
        """Put the rows of a batch one by one, with their buckets loaded ahead (in an ordered table in one step); then
        empty it."""
        cdef probe_t p
        cdef const uint64_t* rows[64]
        cdef size_t i
        cdef int st = ST_OK
        if self.t.methods.put_many != NULL:
            for i in range(b.n):
                rows[i] = <const uint64_t*>(b.buf.data + b.starts[i])
            if b.n > 0:
                st = self.t.methods.put_many(self.t, rows, b.n, False)
            return self.batch_done(b, st)
        for i in range(b.n):
            row_probe(<const uint64_t*>(b.buf.data + b.starts[i]), self.t.keypos, &p)
            table_prefetch(self.t, &p)
        for i in range(b.n):
            if st == ST_OK:
                st = self.t.methods.put(self.t, <const uint64_t*>(b.buf.data + b.starts[i]), 0)
        return self.batch_done(b, st)

    cdef int batch_done(self, batch_t* b, int st) noexcept:
        """Empty it."""
        cdef size_t i
        for i in range(b.n):
            row_each_object(b.objects, <const uint64_t*>(b.buf.data + b.starts[i]), object_release)
        b.n = 0
        b.buf.len = 0
        return st

    def delete(self, key=_missing, /):
        """Delete all rows with this key; without an argument, the table itself. Returns True, also if there was
        nothing. ETS: delete/2, delete/1.

        >>> t = Table()
        >>> t.insert((1, "one")), t.delete(1), t.delete(1), len(t)
        (True, True, True, 0)
        """
        cdef packed_key_t k
        cdef int st
        self.may(RIGHT_WRITE)
        if key is _missing:
            self.drop()
            return True
        key_open(key, &k)
        st = self.t.methods.take(self.t, &k.probe, NULL, NULL)
        key_close(&k)
        self.settle()
        if st != ST_ABSENT:
            check(self, st, key)
        return True

    cdef int drop(self) except -1:
        cdef int st = ST_GONE
        if self in _keyspaces:
            raise BadArgument(f"{self.label()} cannot be deleted; delete_all_objects() empties it")
        with _rights:
            with _naming:
                st = table_retire(self.t)
                if self.named and _named.get(self._name) is self:
                    del _named[self._name]
            table_disown(self)
        check(self, st, None)
        with nogil:
            stripes_empty(self.t, True)
        self.settle()
        return 0

    def delete_object(self, row, /):
        """Delete the rows that equal this one exactly (1 and 1.0 differ): of a duplicate_bag all copies. Returns True.
        ETS: delete_object/2.

        >>> t = Table("bag")
        >>> t.insert([("k", 1), ("k", 2)]), t.delete_object(("k", 1)), t.lookup("k")
        (True, True, [('k', 2)])
        """
        cdef batch_t b
        cdef int st
        self.may(RIGHT_WRITE)
        batch_open(&b, self)
        try:
            batch_add(self, &b, row)
            st = self.t.methods.erase(self.t, <const uint64_t*>(b.buf.data + b.starts[0]))
        finally:
            batch_close(&b)
            self.settle()
        if st != ST_ABSENT:
            check(self, st, row)
        return True

    def delete_all_objects(self):
        """Delete all rows in one step. Returns True. O(stripes) under the locks. ETS: delete_all_objects/1.

        >>> t = Table()
        >>> t.insert((1,)), t.delete_all_objects(), len(t)
        (True, True, 0)
        """
        cdef int st
        self.may(RIGHT_WRITE)
        with nogil:
            st = table_clear(self.t)
        self.settle()
        check(self, st, None)
        return True

    def take(self, key, /):
        """Look the key's rows up and delete them in one step. Returns the list of them. ETS: take/2.

        If a registered decoder raises, the rows go back, unless the key has come back meanwhile.

        >>> t = Table()
        >>> t.insert((1, "one")), t.take(1), t.take(1)
        (True, [(1, 'one')], [])
        """
        cdef packed_key_t k
        cdef uint64_t[64] home
        cdef rows_t rows
        cdef int st
        cdef list out
        self.may(RIGHT_WRITE)
        key_open(key, &k)
        rows_open(&rows, self.t, home, 64)
        st = self.t.methods.take(self.t, &k.probe, rows_sink, &rows)
        key_close(&k)
        if st != ST_OK and st != ST_ABSENT:
            raise fail(self, st, key)
        try:
            out = rows_decode(self, &rows)
        except BaseException:
            rows_put_back(self.t, &rows)
            raise
        finally:
            rows_close(&rows)
            self.settle()
        return out

    def update_counter(self, key, what, default=None, /):
        """Add to integers of a row in one step. Returns the new value, or a list of them.

        what: an increment for the element behind the key; or (pos, increment); or
        (pos, increment, threshold, value): if the sum goes beyond the threshold, the element becomes value; or a list
        of such tuples, which see each other's results: all of them or none.
        default: the row to start from if the key is absent; its key element is replaced. Not for bags.
        Raises BadKey (absent, no default), BadPosition, BadArgument (no integer). ETS: update_counter/3,4.

        >>> t = Table()
        >>> t.update_counter("hits", 1, ("hits", 0)), t.update_counter("hits", [(1, 5), (1, 10, 12, 0)])
        (1, [6, 0])
        """
        cdef packed_key_t k
        cdef step_t one
        cdef step_t* steps = &one
        cdef size_t n = 1, i = 0
        cdef buf_t args
        cdef buf_t initial
        cdef uint64_t[16] home
        cdef uint64_t[64] initial_home
        cdef size_t at = 0
        cdef counter_t c
        cdef int st
        cdef tuple given
        cdef bint single = True
        cdef bint has_default = default is not None
        cdef int64_t by, total
        self.may(RIGHT_WRITE)
        if (
            PyLong_CheckExact(what) and small_int(<PyObject*>what, &by) and fits_cell(by)
            and not has_default
        ):
            key_open(key, &k)
            st = self.t.methods.bump(self.t, &k.probe, <size_t>self.t.keypos + 1, by, &total)
            key_close(&k)
            if ts_likely(st == ST_OK):
                return total
        if has_default and not PyTuple_Check(default):
            raise BadType(f"the default row is a tuple, not {shown(default)}")
        if self.t.methods.bag:
            raise fail(self, ST_TABLE_TYPE, "update_counter")
        buf_init(&args, <char*>home, sizeof(home))
        buf_init(&c.culprit, NULL, 0)
        buf_init(&initial, <char*>initial_home, sizeof(initial_home))
        key_open(key, &k)
        try:
            if type(what) is int:
                what = (self.t.keypos + 1, what)
            elif isinstance(what, list):
                given = tuple(what)
                single = False
                n = len(given)
                if n != 1:
                    steps = <step_t*>calloc(n + 1, sizeof(step_t))
                    if steps == NULL:
                        n = 0
                        raise MemoryError
            if single:
                if is_integer(what):
                    what = (self.t.keypos + 1, int(what))
                given = (what,)
            while i < n:
                i += 1      # so that the clean-up knows how many have a buffer
                step_read(self, given[i - 1], &steps[i - 1], &args)
            c.table = self.t
            c.key = &k.probe
            c.steps = steps
            c.n = n
            c.args = args.data
            c.initial = NULL
            c.has_default = has_default
            c.error = ST_OK
            c.bad = 0
            if has_default and <size_t>PyTuple_GET_SIZE(default) > self.t.keypos:
                self.pack_default(default, &initial, &at)
                c.initial = <const uint64_t*>(initial.data + at)
            st = self.t.methods.update(self.t, &k.probe, counter_edit, &c)
            if c.initial != NULL:
                row_each_object(&self.t.objects, c.initial, object_release)
            if st == ST_STOP:
                if c.error == ST_ABSENT:
                    raise fail(self, ST_ABSENT, key)
                if c.error == ST_KEYPOS or c.error == ST_POSITION:
                    raise fail(self, c.error, given[c.bad][0])
                if c.error == ST_BAD_DEFAULT:
                    raise self.bad_default(default)
                if c.error == ST_NOT_INTEGER and c.culprit.len:
                    raise fail(self, c.error, decode_row(<const uint64_t*>c.culprit.data, NULL)[0])
                raise fail(self, c.error, given[c.bad])
            check(self, st, key)
            if single:
                return decode_cell(steps[0].value, step_base(&steps[0]), NULL)
            return [decode_cell(steps[i].value, step_base(&steps[i]), NULL) for i in range(n)]
        finally:
            for i in range(i if i < n else n):
                buf_free(&steps[i].body)
            if steps != &one:
                free(steps)
            buf_free(&args)
            buf_free(&initial)
            buf_free(&c.culprit)
            key_close(&k)
            self.settle()

    cdef object bad_default(self, object default):
        return BadArgument(
            f"the default row {shown(default)} has no element {self.t.keypos}, where the key of this table stands"
        )

    cdef int pack_default(self, object default, buf_t* buf, size_t* at) except -1:
        """Pack a default row, without its key: that is not used."""
        pack_values(self, tuple(default[:self.t.keypos]) + (None,) + tuple(default[self.t.keypos + 1:]), buf, at)
        return 0

    def update_element(self, key, what, default=None, /):
        """Replace elements of a row in one step. Returns whether the key was there (always True with a default row).

        what: (pos, value) or a list of such pairs, all of them or none. Not for bags.
        Raises BadPosition, BadArgument. ETS: update_element/3,4.

        >>> t = Table()
        >>> t.insert((1, "alice", 30)), t.update_element(1, [(1, "bob"), (2, 31)]), t.lookup(1)
        (True, True, [(1, 'bob', 31)])
        """
        cdef packed_key_t k
        cdef buf_t values
        cdef buf_t initial
        cdef uint64_t[64] home
        cdef uint64_t[64] initial_home
        cdef size_t at = 0, initial_at = 0, n
        cdef element_t e
        cdef tuple pairs
        cdef list packed = []
        cdef int st
        cdef object pair
        cdef bint has_default = default is not None
        self.may(RIGHT_WRITE)
        if has_default and not PyTuple_Check(default):
            raise BadType(f"the default row is a tuple, not {shown(default)}")
        if self.t.methods.bag:
            # no cause, unlike update_counter
            raise BadArgument(f"update_element is not for a table of type {self.type}")
        pairs = tuple(what) if isinstance(what, list) else (what,)
        n = len(pairs)
        e.positions = <int64_t*>malloc((n + 1) * sizeof(int64_t))
        e.statuses = <int*>malloc((n + 1) * sizeof(int))
        buf_init(&values, <char*>home, sizeof(home))
        buf_init(&initial, <char*>initial_home, sizeof(initial_home))
        e.values = NULL
        e.initial = NULL
        try:
            key_open(key, &k)
        except BaseException:
            free(e.positions)
            free(e.statuses)
            raise
        try:
            if e.positions == NULL or e.statuses == NULL:
                raise MemoryError
            n = 0
            for pair in pairs:
                e.statuses[n] = ST_BADARG
                e.positions[n] = 0
                if PyTuple_Check(pair) and len(pair) == 2 and is_integer(pair[0]):
                    e.statuses[n] = ST_OK
                    try:
                        e.positions[n] = pair[0]
                    except OverflowError:
                        e.positions[n] = -1
                    packed.append(pair[1])
                else:
                    packed.append(None)
                n += 1
            if n > 0:
                pack_values(self, tuple(packed), &values, &at)
                e.values = <const uint64_t*>(values.data + at)
            if has_default and <size_t>PyTuple_GET_SIZE(default) > self.t.keypos:
                self.pack_default(default, &initial, &initial_at)
                e.initial = <const uint64_t*>(initial.data + initial_at)
            e.table = self.t
            e.key = &k.probe
            e.n = n
            e.has_default = has_default
            e.error = ST_OK
            e.bad = 0
            st = self.t.methods.update(self.t, &k.probe, element_edit, &e)
        finally:
            if e.values != NULL:
                row_each_object(&self.t.objects, e.values, object_release)
            if e.initial != NULL:
                row_each_object(&self.t.objects, e.initial, object_release)
            free(e.positions)
            free(e.statuses)
            buf_free(&values)
            buf_free(&initial)
            key_close(&k)
            self.settle()
        if st == ST_STOP:
            if e.error == ST_ABSENT:
                return False
            if e.error == ST_BAD_DEFAULT:
                raise self.bad_default(default)
            if e.error == ST_KEYPOS or e.error == ST_POSITION:
                raise fail(self, e.error, pairs[e.bad][0])
            raise fail(self, e.error, pairs[e.bad] if e.error == ST_BADARG else key)
        check(self, st, key)
        return True

    def init_table(self, rows, /):
        """Replace the contents by the rows of an iterable. Returns True. Not atomic. ETS: init_table/2.

        >>> t = Table()
        >>> t.init_table([(1,), (2,)]), len(t)
        (True, 2)
        """
        self.delete_all_objects()
        self.insert_many(rows)
        return True

    # -- reading

    def lookup(self, key, /):
        """The rows with this key, as a list: empty if there are none; in a bag in the order of their insertion. O(1).
        ETS: lookup/2.

        >>> t = Table()
        >>> t.insert(("k", [1, 2])), t.lookup("k"), t.lookup("other")
        (True, [('k', [1, 2])], [])
        """
        cdef packed_key_t k
        cdef uint64_t[64] home
        cdef rows_t rows
        cdef int st
        cdef list found
        self.may(RIGHT_READ)
        key_open(key, &k)
        st = self.t.methods.copy(self.t, &k.probe, home, 64)
        if ts_likely(st == ST_OK):
            key_close(&k)
            found = PyList_New(1)
            c_list_set(<PyObject*>found, 0, list_share(decode_found(home, self.t.keypos, key, <void*>self)))
            return found
        if st == ST_CONFLICT:
            rows_open(&rows, self.t, home, 64)
            st = self.t.methods.get(self.t, &k.probe, rows_sink, &rows)
            key_close(&k)
            if st == ST_OK:
                return rows_list(self, &rows)
        else:
            key_close(&k)
        if ts_likely(st == ST_ABSENT):
            return []
        raise fail(self, st, key)

    def lookup_many(self, keys, /):
        """lookup of each key of an iterable, as a list of lists. Each key by itself is atomic. Loads memory ahead, so
        it is faster than a loop.

        >>> t = Table()
        >>> t.insert([(1, "one"), (2, "two")]), t.lookup_many([2, 3, 1])
        (True, [[(2, 'two')], [], [(1, 'one')]])
        """
        cdef list out = []
        cdef packed_key_t[16] packed
        cdef uint64_t[256] home
        cdef rows_t rows
        cdef size_t n = 0, i, before
        self.may(RIGHT_READ)
        if type(keys) is list or type(keys) is tuple:
            return self.lookup_block(tuple(keys))
        cdef size_t[16] counts
        cdef int st = ST_OK
        cdef object key
        cdef object iterator
        cdef list kept = []
        cdef bint more = True
        iterator = iter(keys)
        while more:
            n = 0
            kept.clear()            # the keys must outlive their probes
            try:
                while n < 16:
                    try:
                        key = next(iterator)
                    except StopIteration:
                        more = False
                        break
                    key_open(key, &packed[n])
                    n += 1
                    kept.append(key)
                    table_prefetch(self.t, &packed[n - 1].probe)
                rows_open(&rows, self.t, home, 256)
                for i in range(n):
                    before = rows.n
                    st = self.t.methods.get(self.t, &packed[i].probe, rows_sink, &rows)
                    if st != ST_OK and st != ST_ABSENT:
                        break
                    st = ST_OK
                    counts[i] = rows.n - before
            finally:
                for i in range(n):
                    key_close(&packed[i])
            if st != ST_OK:
                rows_close(&rows)
                raise fail(self, st, "lookup_many")
            rows_lists(self, &rows, counts, n, out)
        return out

    cdef list lookup_block(self, tuple keys):
        """lookup_many of keys that stand still: sixteen are packed and their buckets loaded, then their rows, then all
        are read. In an ordered table the searches of sixteen go side by side."""
        cdef packed_key_t[16] packed
        cdef uint64_t[64] home
        cdef size_t total = PyTuple_GET_SIZE(keys), base = 0, n, i
        cdef PyObject** items = tuple_items(<PyObject*>keys)
        cdef list out = PyList_New(total)
        cdef bint far = table_len(self.t) > 50000       # do not fit into the core's own caches
        cdef int st
        while self.t.methods.ordered and base < total:
            n = min(total - base, <size_t>SIDE_BY_SIDE)
            lookup_ordered(self, items + base, n, out, base)
            base += n
        while base < total:
            n = 0
            try:
                while n < 16 and base + n < total:
                    key_open(<object>items[base + n], &packed[n])
                    table_prefetch(self.t, &packed[n].probe)
                    n += 1
                if far:
                    for i in range(n):
                        table_prefetch_row(self.t, &packed[i].probe)
                for i in range(n):
                    st = self.t.methods.copy(self.t, &packed[i].probe, home, 64)
                    if ts_likely(st == ST_OK):
                        one = PyList_New(1)
                        row = decode_found(home, self.t.keypos, <object>items[base + i], <void*>self)
                        c_list_set(<PyObject*>one, 0, list_share(row))
                    elif st == ST_ABSENT:
                        one = []
                    else:
                        one = self.lookup(<object>items[base + i])
                    c_list_set(<PyObject*>out, base + i, list_share(one))
            finally:
                for i in range(n):
                    key_close(&packed[i])
            base += n
        return out

    def lookup_element(self, key, pos, default=_missing, /):
        """The element at this position of the key's row; of a bag the list of the elements of all its rows.

        Raises BadKey if the key is absent and there is no default, BadPosition if the row, or any row of a bag, is too
        short. ETS: lookup_element/3,4.

        >>> t = Table()
        >>> t.insert((1, "alice", 30)), t.lookup_element(1, 2), t.lookup_element(2, 2, "none")
        (True, 30, 'none')
        """
        cdef packed_key_t k
        cdef uint64_t[64] home
        cdef rows_t rows
        cdef size_t at = 0, i, position
        cdef const uint64_t* row
        cdef int st
        cdef list out
        self.may(RIGHT_READ)
        if not is_integer(pos):
            raise BadType(f"a position is an integer from 0 on, not {shown(pos)}")
        if pos < 0:
            raise BadPosition(f"position {shown(pos)}: positions count from 0")
        position = pos if pos < 1 << 24 else 1 << 24
        key_open(key, &k)
        rows_open(&rows, self.t, home, 64)
        st = self.t.methods.get(self.t, &k.probe, rows_sink, &rows)
        key_close(&k)
        if st == ST_ABSENT and default is not _missing:
            return default
        check(self, st, key)
        out = []
        try:
            if rows.failed:
                raise MemoryError
            for i in range(rows.n):
                row = <const uint64_t*>(rows.buf.data + at)
                if position >= row_arity(row):
                    raise BadPosition(f"position {pos}: the row {shown(decode_row(row, <void*>self))} is too short")
                at += row_words(row) * 8
            at = 0
            for i in range(rows.n):
                row = <const uint64_t*>(rows.buf.data + at)
                out.append(decode_cell(row[1 + position], <const char*>row, <void*>self))
                at += row_words(row) * 8
        finally:
            rows_close(&rows)
        return out if self.t.methods.bag else out[0]

    def member(self, key, /):
        """Is there a row with this key? O(1). ETS: member/2.

        >>> t = Table()
        >>> t.insert((1,)), t.member(1), t.member(1.0)
        (True, True, False)
        """
        cdef packed_key_t k
        cdef int st
        self.may(RIGHT_READ)
        key_open(key, &k)
        st = self.t.methods.member(self.t, &k.probe)
        key_close(&k)
        if st == ST_OK:
            return True
        if ts_likely(st == ST_ABSENT):
            return False
        raise fail(self, st, key)

    def member_many(self, keys, /):
        """member of each key of an iterable, as a list.

        >>> t = Table()
        >>> t.insert((1,)), t.member_many([1, 2])
        (True, [True, False])
        """
        self.may(RIGHT_READ)
        return [self.member(key) for key in keys]

    cdef object walk(self, object key, int dir, bint with_rows):
        """The key next to this one in a direction (without one the first or last), alone or with its rows; END_OF_TABLE
        at the end."""
        cdef packed_key_t k
        cdef uint64_t[64] home
        cdef first_t first
        cdef int st
        cdef bint bounded = key is not _missing
        cdef list found
        self.may(RIGHT_READ)
        if key is END_OF_TABLE_ and self.t.methods.ordered:
            raise BadKey(f"{self.label()} has no row with the key {shown(key)}, from which a walk could go on")
        if bounded:
            key_open(key, &k)
        rows_open(&first.rows, self.t, home, 64)
        first.keypos = self.t.keypos
        first.plain = False
        st = self.t.methods.seek(
            self.t, &k.probe if bounded else NULL, dir, rows_sink if with_rows else first_sink,
            <void*>&first.rows if with_rows else <void*>&first,
        )
        if bounded:
            key_close(&k)
        if st == ST_ABSENT:
            return END_OF_TABLE_
        if st == ST_BADARG:
            raise BadKey(f"{self.label()} has no row with the key {shown(key)}, from which a walk could go on")
        check(self, st, key)
        if not with_rows:
            return first_key(self, &first)
        found = rows_list(self, &first.rows)
        return found[0][self.t.keypos], found

    def first(self):
        """The first key of a walk, in an ordered_set the smallest; END_OF_TABLE if the table is empty. Hash tables walk
        in the order of their hashes. ETS: first/1.

        >>> t = Table()
        >>> t.first() is END_OF_TABLE, t.insert((1,)), t.first()
        (True, True, 1)
        """
        return self.walk(_missing, 1, False)

    def last(self):
        """The last key of an ordered_set; in hash tables the same as first. ETS: last/1.

        >>> Table().last()
        Atom('$end_of_table')
        """
        return self.walk(_missing, 0, False)

    def next(self, key, /):
        """The key after this one in a walk; END_OF_TABLE after the last. In an ordered_set this is the smallest key
        that is greater, whether the given one is there or not, O(log n). Else the key must be in the table, or have
        been deleted while the table is fixed (BadKey). ETS: next/2.

        >>> t = Table()
        >>> t.insert((1,)), t.next(1) is END_OF_TABLE
        (True, True)
        """
        return self.walk(key, 1, False)

    def prev(self, key, /):
        """The key before this one in an ordered_set, the greatest that is smaller; in hash tables the same as next.
        ETS: prev/2.

        >>> t = Table()
        >>> t.insert((1,)), t.prev(1) is END_OF_TABLE
        (True, True)
        """
        return self.walk(key, 0, False)

    def first_lookup(self):
        """The first key and its rows, or END_OF_TABLE. ETS: first_lookup/1.

        >>> t = Table()
        >>> t.insert((1, "one")), t.first_lookup()
        (True, (1, [(1, 'one')]))
        """
        return self.walk(_missing, 1, True)

    def last_lookup(self):
        """The last key and its rows, or END_OF_TABLE. ETS: last_lookup/1."""
        return self.walk(_missing, 0, True)

    def next_lookup(self, key, /):
        """The key after this one and its rows, or END_OF_TABLE. ETS: next_lookup/2."""
        return self.walk(key, 1, True)

    def prev_lookup(self, key, /):
        """The key before this one and its rows, or END_OF_TABLE. ETS: prev_lookup/2."""
        return self.walk(key, 0, True)

    def slot(self, index, /):
        """The rows of a slot: from 0 upwards every row comes exactly once, until END_OF_TABLE; beyond, BadArgument.
        Slot i of an ordered_set is the i-th row, O(log n). ETS: slot/2.

        >>> t = Table()
        >>> t.insert((1,)), t.slot(0), t.slot(1) is END_OF_TABLE
        (True, [(1,)], True)
        """
        cdef uint64_t[256] home
        cdef rows_t rows
        cdef int st
        cdef uint64_t at
        self.may(RIGHT_READ)
        if not is_integer(index):
            raise BadType(f"a slot is an integer from 0 on, not {shown(index)}")
        if not 0 <= index < 1 << 62:
            raise BadArgument(f"{shown(index)} is no slot of {self.label()}")
        at = index
        rows_open(&rows, self.t, home, 256)
        st = self.t.methods.slot(self.t, at, rows_sink, &rows)
        if st == ST_OK and rows.failed:
            st = ST_NO_MEMORY
        if st != ST_OK:
            rows_close(&rows)
            if not flag_load(&self.t.alive):
                raise fail(self, ST_GONE, None)
            if st == ST_ABSENT:
                return END_OF_TABLE_
            if st == ST_BADARG:
                raise BadArgument(f"{index} is no slot of {self.label()}")
            raise fail(self, st, None)
        return rows_list(self, &rows)

    cdef list scan(self, uint64_t* cursor, size_t budget):
        """About so many rows from the cursor on, which moves; 0 at the end."""
        cdef rows_t rows
        cdef uint64_t at = cursor[0]
        cdef int st
        self.may(RIGHT_READ)
        rows_open(&rows, self.t, NULL, 0)
        with nogil:
            st = self.t.methods.sweep(self.t, &at, 0, budget, rows_sink, &rows)
        if st != ST_OK:
            rows_close(&rows)
            raise fail(self, st, "a scan by a cursor")
        cursor[0] = at
        return rows_list(self, &rows)

    def tab2list(self):
        """All rows as a list, of an ordered_set in order; rows of one key in their order. Rows that stay are in it
        exactly once, whatever others do meanwhile. ETS: tab2list/1.

        >>> t = Table()
        >>> t.insert([(1,), (2,)]), sorted(t.tab2list())
        (True, [(1,), (2,)])
        """
        self.may(RIGHT_READ)
        return walk_list(self, None)

    def foldl(self, function, acc, /):
        """function(row, acc) for each row, from the first to the last; returns the last result. The table is fixed
        meanwhile. ETS: foldl/3.

        >>> t = Table()
        >>> t.insert([(1,), (2,)]), t.foldl(lambda row, acc: acc + row[0], 0)
        (True, 3)
        """
        with self.fixed():
            for row in self:
                acc = function(row, acc)
        return acc

    def foldr(self, function, acc, /):
        """function(row, acc) for each row, from the last key to the first, and of one key from its last row to its
        first. ETS: foldr/3.

        For hash tables the last key is the first one, as for last and prev.

        >>> t = Table("bag")
        >>> t.insert([("k", 1), ("k", 2)]), t.foldr(lambda row, acc: acc + [row[1]], [])
        (True, [2, 1])
        """
        with self.fixed():
            if self.t.methods.ordered:
                for row in reversed(self):
                    acc = function(row, acc)
                return acc
            found = self.last_lookup()
            while found is not END_OF_TABLE_:
                for row in reversed(found[1]):
                    acc = function(row, acc)
                found = self.prev_lookup(found[0])
        return acc

    # -- in order

    def irange(self, minimum=None, maximum=None, inclusive=(True, True), reverse=False):
        """Iterate over the rows of an ordered_set whose keys are between minimum and maximum, in order; None is no
        bound.

        inclusive: whether the row at the minimum, at the maximum, belongs to it. reverse: from the greatest key down.
        Rows come in batches: the iterator holds no lock, never fails because of what others do, and never misses a key
        that stays. O(log n) a batch. BadArgument for tables of other types.

        Where all keys are tuples of one size, a shorter tuple as a bound stands for how keys begin, as Python compares
        tuples; so it does in slices, rank, count_range and delete_range.

        >>> t = Table("ordered_set")
        >>> t.insert([(n,) for n in range(10)])
        True
        >>> list(t.irange(3, 6)), list(t.irange(3, 6, (False, True), reverse=True))
        ([(3,), (4,), (5,), (6,)], [(6,), (5,), (4,)])
        >>> board = Table("ordered_set")
        >>> board.insert([((50, "bob"),), ((70, "eve"),), ((90, "al"),)])
        True
        >>> list(board.irange((50,), (90,)))
        [((50, 'bob'),), ((70, 'eve'),)]
        """
        return table_irange(self, minimum, maximum, inclusive, reverse)

    def rank(self, key, /):
        """How many keys of an ordered_set are smaller than this one, which need not be there. O(log n).

        >>> t = Table("ordered_set")
        >>> t.insert([("a",), ("c",)]), t.rank("a"), t.rank("b"), t.rank("c")
        (True, 0, 1, 1)
        """
        return table_rank(self, key)

    def at(self, index, /):
        """The row of an ordered_set at this index of the order; from -1 down it counts from the end. O(log n).
        BadPosition if there are not so many.

        >>> t = Table("ordered_set")
        >>> t.insert([("a",), ("c",)]), t.at(0), t.at(-1)
        (True, ('a',), ('c',))
        """
        return table_at(self, index)

    def count_range(self, minimum=None, maximum=None, inclusive=(True, True)):
        """How many rows of an ordered_set are in a range of keys (see irange), at one moment. O(log n).

        >>> t = Table("ordered_set")
        >>> t.insert([(n,) for n in range(10)]), t.count_range(3, 6), t.count_range(None, 3, (True, False))
        (True, 4, 3)
        """
        return table_count_range(self, minimum, maximum, inclusive)

    def delete_range(self, minimum=None, maximum=None, inclusive=(True, True)):
        """Delete the rows of an ordered_set in a range of keys (see irange) in one step. Returns how many they were.

        O(log n) until nobody sees them, whatever their number; freeing them takes O(1) each, in pieces, without holding
        others up.

        >>> t = Table("ordered_set")
        >>> t.insert([(n,) for n in range(10)]), t.delete_range(3, None), len(t)
        (True, 7, 3)
        """
        return table_delete_range(self, minimum, maximum, inclusive)

    def tab2file(self, path, *, sync=False, progress=None):
        """Write the table to a file, as tsunami.tab2file(table, path). ETS: tab2file/2,3."""
        return _files(self, path, sync=sync, progress=progress)

    # -- queries (core_query.pxi)
    #
    # A spec is a list of clauses (head, guards, body), a MatchSpec, the text of a query, or a condition made with
    # tsunami.row; a pattern is a term, or the text of a head. Results come in key order from an ordered_set, and in the
    # table's one order from the others.

    def select(self, spec, limit=None, *, fields=None):
        """The results of a match spec for the rows it selects, as a list. Reads only the rows that the spec's keys
        allow; lets other threads in all the while. ETS: select/2,3.

        With a limit: (at most so many results, a cursor), or (results, END_OF_TABLE) where that was all, or
        END_OF_TABLE if there are none. Given a cursor it goes on from there (ETS: select/1).
        fields: what to select, for conditions made with tsunami.row.

        >>> t = Table()
        >>> t.insert([(1, "alice", 30), (2, "bob", 25), (3, "carol", 41)])
        True
        >>> sorted(t.select("{Id, Name, Age} when Age > 28 -> {Id, Name}"))
        [(1, 'alice'), (3, 'carol')]
        >>> t.select([((2, Atom("$1"), Atom("_")), [], [Atom("$1")])])
        ['bob']
        """
        if type(spec) is Cursor:
            return cursor_run(self, spec)
        if spec is END_OF_TABLE_:
            return spec
        self.may(RIGHT_READ)
        return query_run(self, spec_of(spec, WHOLE_ROW, fields), False, limit)

    def select_reverse(self, spec, limit=None, *, fields=None):
        """select backwards, for an ordered_set; for the other types the same as select. ETS: select_reverse/2,3,1.

        >>> t = Table()
        >>> t.insert((1, "alice")), t.select_reverse("{_, Name} -> Name")
        (True, ['alice'])
        """
        if type(spec) is Cursor:
            return cursor_run(self, spec)
        if spec is END_OF_TABLE_:
            return spec
        self.may(RIGHT_READ)
        return query_run(self, spec_of(spec, WHOLE_ROW, fields), True, limit)

    def iselect(self, spec, batch=1000, *, fields=None, reverse=False):
        """The results of select one after the other, fetched in batches as they are wanted.

        >>> t = Table()
        >>> t.insert([(n,) for n in range(5000)]), sum(t.iselect("{N} when N rem 2 == 0 -> N"))
        (True, 6247500)
        """
        self.may(RIGHT_READ)
        return _iterate(self, spec_of(spec, WHOLE_ROW, fields), reverse, limit_of(batch))

    def select_count(self, spec):
        """How many rows the result is exactly True for; in a query without `->` it is. ETS: select_count/2.

        >>> t = Table()
        >>> t.insert([(1, 10), (2, 20), (3, 30)]), t.select_count("{_, V} when V > 10")
        (True, 2)
        """
        self.may(RIGHT_READ)
        return query_count(self, spec_of(spec, True, None), ACT_COUNT, spec)

    def select_delete(self, spec):
        """Delete the rows for which the result is exactly True; in a query without `->` it is. Returns their number.
        ETS: select_delete/2.

        >>> t = Table()
        >>> t.insert([(1, 10), (2, 20), (3, 30)]), t.select_delete("{_, V} when V > 10"), t.tab2list()
        (True, 2, [(1, 10)])
        """
        self.may(RIGHT_WRITE)
        return query_count(self, spec_of(spec, True, None), ACT_DELETE, spec)

    def select_replace(self, spec, *, fields=None):
        """Put the results, which must be rows with the same keys, in the place of the rows. Returns their number. That
        keys stay must be evident from the spec (BadArgument); not for bags. ETS: select_replace/2.

        >>> t = Table()
        >>> t.insert([(1, 10), (2, 20)]), t.select_replace("{Id, V} -> {Id, V + 1}"), sorted(t.tab2list())
        (True, 2, [(1, 11), (2, 21)])
        """
        return query_replace(self, spec, fields)

    def match(self, pattern, limit=None):
        """For each row that matches the list of the pattern's variables, by their numbers. Limit and cursors as in
        select. ETS: match/2,3,1.

        >>> t = Table()
        >>> t.insert((1, "alice", 30)), t.match("{Id, _, Age}"), t.match((Atom("$2"), Atom("_"), Atom("$1")))
        (True, [[1, 30]], [[30, 1]])
        """
        if type(pattern) is Cursor:
            return cursor_run(self, pattern)
        if pattern is END_OF_TABLE_:
            return pattern
        self.may(RIGHT_READ)
        return query_run(self, pattern_of(pattern, PATTERN_BINDINGS), False, limit)

    def match_object(self, pattern, limit=None):
        """The rows that match a pattern. Limit and cursors as in select. ETS: match_object/2,3,1.

        >>> t = Table()
        >>> t.insert([(1, "alice"), (2, "bob")]), t.match_object((Atom("_"), "bob"))
        (True, [(2, 'bob')])
        """
        if type(pattern) is Cursor:
            return cursor_run(self, pattern)
        if pattern is END_OF_TABLE_:
            return pattern
        self.may(RIGHT_READ)
        return query_run(self, pattern_of(pattern, PATTERN_OBJECT), False, limit)

    def match_delete(self, pattern):
        """Delete the rows that match a pattern. Returns True. ETS: match_delete/2.

        >>> t = Table()
        >>> t.insert([(1, "alice"), (2, "bob")]), t.match_delete((Atom("_"), "bob")), t.tab2list()
        (True, True, [(1, 'alice')])
        """
        self.may(RIGHT_WRITE)
        query_count(self, pattern_of(pattern, PATTERN_OBJECT), ACT_DELETE_ALL, pattern)
        return True

    def explain(self, spec, *, fields=None):
        """How select would find the rows: a dict with "access" ("key", "keys", "range", "scan" or "nothing"), the keys
        or the first and last key of the range, "rows" (how many it would look at) and "text".

        >>> t = Table()
        >>> t.insert([(1, "alice"), (2, "bob")]), t.explain("{2, Name} -> Name")
        (True, {'access': 'key', 'key': 2, 'rows': 1, 'text': 'look up the key 2'})
        >>> t.explain("{_, Name}")["text"]
        'walk over all 2 rows'
        """
        return query_explain(self, spec, fields)

    def count(self, spec=None, *, fields=None, grouped=False):
        """How many rows a query selects, whatever its results are; without a query, how many rows there are. Grouped:
        a dict from each different result to how often it comes.

        >>> t = Table()
        >>> t.insert([(1, "nl"), (2, "be"), (3, "nl")]), t.count(), t.count("{Id, _} when Id > 1")
        (True, 3, 2)
        >>> t.count("{_, Country} -> Country", grouped=True) == {"nl": 2, "be": 1}
        True
        """
        if spec is None:
            self.may(RIGHT_READ)
            return table_len(self.t)
        return query_fold(self, spec, fields, FOLD_COUNT, grouped, False, 0)

    def sum(self, spec, *, fields=None, grouped=False):
        """The sum of a query's results: integers exactly, floats with compensation; 0 if there are none. Grouped: the
        results are (group, value), and the sum is a dict by group. BadArgument for what is no number.

        >>> t = Table()
        >>> t.insert([(1, "nl", 5), (2, "be", 7), (3, "nl", 2**80)]), t.sum("{_, _, V} -> V") == 12 + 2**80
        (True, True)
        >>> t.sum("{_, Country, V} when V < 100 -> {Country, V}", grouped=True) == {"nl": 5, "be": 7}
        True
        """
        return query_fold(self, spec, fields, FOLD_SUM, grouped, False, 0)

    def avg(self, spec, *, fields=None, grouped=False):
        """The mean of a query's results, None if there are none. Otherwise like sum.

        >>> t = Table()
        >>> t.insert([(1, 1), (2, 2)]), t.avg("{_, V} -> V")
        (True, 1.5)
        """
        return query_fold(self, spec, fields, FOLD_SUM, grouped, True, 0)

    def min(self, spec, *, fields=None, grouped=False):
        """The least of a query's results in term order, None if there are none. Grouped: the results are
        (group, value), and it is a dict by group.

        >>> t = Table()
        >>> t.insert([(1, 10), (2, 20)]), t.min("{_, V} -> V"), t.max("{_, V} -> V")
        (True, 10, 20)
        """
        return query_fold(self, spec, fields, FOLD_MIN, grouped, False, 0)

    def max(self, spec, *, fields=None, grouped=False):
        """The greatest of a query's results in term order, otherwise like min."""
        return query_fold(self, spec, fields, FOLD_MAX, grouped, False, 0)

    def top(self, k, spec, *, fields=None, reverse=False):
        """The rows for which a query's results are the k greatest in term order, the greatest first; reverse: the
        least, the least first. Of equal ones those that come first in the table. O(n log k).

        >>> t = Table()
        >>> t.insert([("a", 3), ("b", 9), ("c", 5)]), t.top(2, "{_, V} -> V"), t.top(1, "{_, V} -> V", reverse=True)
        (True, [('b', 9), ('c', 5)], [('a', 3)])
        """
        if not is_integer(k) or not 0 <= k < LIMIT_MAX:
            raise BadArgument(f"k={shown(k)}: an integer from 0 on")
        return query_fold(self, spec, fields, FOLD_BOTTOM if reverse else FOLD_TOP, False, False, k)

    # -- the table itself

    def safe_fixtable(self, fix, /):
        """Fix the table for this session, or take one of its fixations back: while it is fixed, a walk goes on from
        keys that have been deleted. The fixations of a session end with it; one that has none takes none back.
        Returns True. ETS: safe_fixtable/2.

        >>> t = Table()
        >>> t.insert((1,)), t.safe_fixtable(True), t.delete(1), t.next(1) is END_OF_TABLE, t.safe_fixtable(False)
        (True, True, True, True, True)
        """
        self.may(RIGHT_READ)
        if fix is not True and fix is not False:
            raise BadType(f"True or False, not {shown(fix)}")
        table_fixing(self, fix, session_now())
        return True

    def fixed(self):
        """A context in which the table is fixed.

        >>> t = Table()
        >>> with t.fixed():
        ...     key = t.first()
        """
        return _Fixed(self)

    def rename(self, name, /):
        """Give the table another name. Returns the table. TableExists if a table has that name (also this one).

        The name of a table that was created without one identifies nothing: it only shows. ETS: rename/2.

        >>> import tsunami
        >>> t = tsunami.new("doc_before")
        >>> t.rename("doc_after") is tsunami.whereis("doc_after"), t.delete()
        (True, True)
        """
        cdef object atom
        self.may(RIGHT_WRITE)
        atom = name_of(name)
        if self in _keyspaces:
            raise BadArgument(f"{self.label()} cannot be renamed")
        if self.named:
            self.take_name(atom)
        else:
            with cython.critical_section(self):
                self._name = atom       # a name that identifies nothing
        return self

    cdef int take_name(self, object atom) except -1:
        """From now on the table is found under this name, and no longer under the one it had, if it had one."""
        cdef bytes text = atom.name.encode()
        cdef char* p = text
        cdef int st
        with _naming:
            st = table_name(self.t, p, len(text))
            if st == ST_OK:
                if self.named:
                    _named.pop(self._name, None)
                self.named = True
                with cython.critical_section(self):
                    self._name = atom
                _named[atom] = self
        check(self, st, atom.name)
        return 0

    def give_away(self, session, data=None, /):
        """Make another session the owner. It is sent ("ETS-TRANSFER", table, from, data), with a copy of the data.
        Only the owner may do that; heir, protection and fixations stay as they are. Returns True. ETS: give_away/3.

        >>> import tsunami
        >>> with tsunami.session() as receiver, tsunami.session() as s:
        ...     t = s.new(protection="private")
        ...     t.give_away(receiver, "yours"), t.info("owner") is receiver
        (True, True)
        """
        table_give(self, session, data)
        return True

    def setopts(self, *, heir=_missing, protection=_missing):
        """Change what the owner may change: the heir, (session, data) or None, and the protection. All or nothing.
        Returns True. ETS: setopts/2.

        >>> import tsunami
        >>> with tsunami.session() as s:
        ...     t = s.new()
        ...     t.setopts(protection="public"), t.info("protection")
        (True, 'public')
        """
        table_setopts(self, heir, protection)
        return True

    def info(self, item=_missing, /):
        """What is known of the table: a dict, or one item. None for a deleted table. memory is in bytes, all included.

        Anyone may ask. owner and heir are sessions, or None. Items that stand in no dict: safe_fixed, which is False or
        ((megaseconds, seconds, microseconds), [(session, count), ...]) since the first fixation in force;
        safe_fixed_monotonic_time, the same by time.monotonic_ns(); stats; binary. ETS: info/1,2.

        >>> t = Table("bag", keypos=1)
        >>> t.info("type"), t.info("keypos"), t.info("size")
        ('bag', 1, 0)
        """
        cdef dict items
        if not flag_load(&self.t.alive):
            return None
        if item == "memory":
            return table_memory(self.t)
        if item == "size":
            return table_len(self.t)
        if item == "volatile":
            return table_volatile(self.t)
        items = {
            "id": self.t.id,
            "name": self.name,
            "named_table": self.named,
            "type": self.type,
            "keypos": self.t.keypos,
            "size": table_len(self.t),
            "memory": table_memory(self.t),
            "stripes": table_stripes(self.t),
            "volatile": table_volatile(self.t),
            "fixed": counter_load(&self.t.fixed) != 0,
        }
        if item is _missing:
            items.update([(name, info_of_sessions(self, name)) for name in INFO_SHARED])
            return items
        if not isinstance(item, (str, Atom)):
            raise BadType(f"an item of info is a str, not {shown(item)}")
        if str(item) in items:
            return items[str(item)]
        told = info_of_sessions(self, str(item))
        if told is _missing:
            known = ", ".join([*items, *INFO_SHARED, *INFO_ASKED])
            raise BadArgument(f"{shown(item)} is no item of info; items are {known}")
        return told

    def check(self):
        """Check every invariant of the table's structures; AssertionError says which one is broken. O(size), for tests.

        >>> Table().check()
        """
        cdef size_t i
        cdef str wrong
        for i in range(table_stripes(self.t)):
            ts_lock_acquire(&self.t.stripes[i].lock)
            try:
                wrong = self.t.methods.check(self.t, &self.t.stripes[i])
            finally:
                ts_lock_release(&self.t.stripes[i].lock)
            if wrong is not None:
                raise AssertionError(f"{self.label()}, stripe {i}: {wrong}")

    @property
    def name(self):
        """The table's name, or None."""
        cdef object name = self.name_now()
        return str(name) if name is not None else None

    @property
    def type(self):
        """"set", "ordered_set", "bag" or "duplicate_bag"."""
        return self.t.methods.name.decode()

    @property
    def keypos(self):
        """The position of the key in a row, from 0."""
        return self.t.keypos

    # -- the container protocol

    def __len__(self):
        self.live()
        return table_len(self.t)

    def __bool__(self):
        self.live()
        return table_len(self.t) != 0

    def __contains__(self, key):
        return self.member(key)

    def __iter__(self):
        return _Rows(self) if self.t.methods.bag else walk_of(self, None)

    def __reversed__(self):
        return table_irange(self, None, None, (True, True), True)

    def __getitem__(self, key):
        """The row with this key; of a bag the list of its rows. t[a:b] of an ordered_set is the list of the rows from
        key a to before key b, t[b:a:-1] that from b down to before a."""
        if type(key) is slice:
            return table_slice(self, key)
        cdef list rows = self.lookup(key)
        if not rows:
            raise fail(self, ST_ABSENT, key)
        return rows if self.t.methods.bag else rows[0]

    def __setitem__(self, key, row):
        self.may(RIGHT_WRITE)
        if type(key) is slice:
            raise BadType("t[a:b] can be read and deleted; insert() takes a list of rows")
        if not isinstance(row, tuple):
            raise BadType(f"t[{shown(key)}] = {shown(row)}: a row is a tuple, with the key at position {self.t.keypos}")
        if len(row) <= self.t.keypos or not keys_equal(self, row[self.t.keypos], key):
            raise BadArgument(
                f"t[{shown(key)}] = {shown(row)}: a row is a tuple with the key at position {self.t.keypos}"
            )
        self.insert(row)

    def __delitem__(self, key):
        if type(key) is slice:
            table_delete_slice(self, key)
        elif not self.take(key):
            raise fail(self, ST_ABSENT, key)

    def get(self, key, default=None, /):
        """The row with this key (of a bag the list of rows), or the default.

        >>> t = Table()
        >>> t.insert((1, "one")), t.get(1), t.get(2)
        (True, (1, 'one'), None)
        """
        cdef list rows = self.lookup(key)
        if not rows:
            return default
        return rows if self.t.methods.bag else rows[0]

    def pop(self, key, default=_missing, /):
        """Take the row with this key (of a bag the list of rows); the default, or BadKey, if there is none.

        >>> t = Table()
        >>> t.insert((1, "one")), t.pop(1), t.pop(1, None)
        (True, (1, 'one'), None)
        """
        cdef list rows = self.take(key)
        if not rows:
            if default is _missing:
                raise fail(self, ST_ABSENT, key)
            return default
        return rows if self.t.methods.bag else rows[0]

    def __repr__(self):
        if not flag_load(&self.t.alive):
            return f"<tsunami.Table {self.label()}, deleted>"
        name = f" {self.name!r}" if self.name is not None else ""
        size = table_len(self.t)
        return f"<tsunami.Table{name} {self.type}, {size} row{'' if size == 1 else 's'}>"

    def __reduce__(self):
        raise TypeError("a table cannot be pickled: it is live memory of this process")


cdef uint32_t object_put(void* owner, object o) except? 0xFFFFFFFF:
    return <uint32_t>(<Table>owner).object_put(o)

cdef void object_drop(void* owner, uint32_t slot) noexcept:
    object_release(&(<Table>owner).t.objects, slot)

cdef object object_get(void* owner, uint32_t slot):
    return (<Table>owner)._objects[slot]

cdef int key_row_pack(object key, buf_t* buf, size_t* at) except -1:
    """A key as a row of its own."""
    cdef pack_ctx_t ctx
    ctx.allow_objects = False
    ctx.keypos = 0
    ctx.owner = NULL
    return encode_row((key,), buf, at, &ctx)

cdef int rows_lists(Table table, rows_t* r, size_t* counts, size_t n, list out) except -1:
    """Split the rows into lists of these lengths. Closes."""
    cdef size_t at = 0, i, j
    cdef const uint64_t* row
    cdef list one
    cdef object item
    if r.failed:
        rows_close(r)
        raise MemoryError
    try:
        for i in range(n):
            one = PyList_New(<Py_ssize_t>counts[i])
            for j in range(counts[i]):
                row = <const uint64_t*>(r.buf.data + at)
                item = decode_row(row, <void*>table)
                Py_INCREF(item)
                PyList_SET_ITEM(one, <Py_ssize_t>j, item)
                at += row_words(row) * 8
            PyList_Append(out, one)
    finally:
        rows_close(r)
    return 0


@cython.final
cdef class _Fixed:
    """The context of Table.fixed."""
    cdef Table table
    cdef list sessions          # whose fixations they are: each with is undone for whom it was made

    def __init__(self, Table table):
        self.table = table
        self.sessions = []

    def __enter__(self):
        cdef Session session = session_now()
        self.table.may(RIGHT_READ)
        table_fixing(self.table, True, session)
        self.sessions.append(session)
        return self.table

    def __exit__(self, *error):
        table_fixing(self.table, False, self.sessions.pop())


@cython.final
cdef class _Rows:
    """An iterator over rows, in pieces: it never fails because of what others do, and meets each row that stays exactly
    once."""
    cdef Table table
    cdef uint64_t cursor
    cdef list piece
    cdef Py_ssize_t at
    cdef bint over

    def __init__(self, Table table):
        self.table = table
        self.cursor = 0
        self.piece = []
        self.at = 0
        self.over = False

    def __iter__(self):
        return self

    def __next__(self):
        cdef list piece
        cdef list before
        cdef uint64_t cursor, seen
        cdef object row
        while True:
            with cython.critical_section(self):
                if self.at < len(self.piece):
                    row = self.piece[self.at]
                    self.at += 1
                    return row
                if self.over:
                    raise StopIteration
                seen = cursor = self.cursor
            piece = self.table.scan(&cursor, knob_scan_rows)    # lets the GIL go
            before = None
            with cython.critical_section(self):
                # If another thread has got on meanwhile, its piece is the one to go on with.
                if not self.over and self.cursor == seen and self.at >= len(self.piece):
                    before = self.piece
                    self.piece = piece
                    self.at = 0
                    self.cursor = cursor
                    self.over = cursor == 0
            del before      # its rows may have finalizers, which may call us


include "core_query.pxi"


# ---- the module's functions

def new(
    name, type="set", *, keypos=0, stripes=None, named=True,
    read_concurrency=False, write_concurrency=False, decentralized_counters=None, compressed=False,
):
    """Create a table; with a name it can be found by tsunami.whereis and over the wire, and lives until it is deleted.

    name: a str or Atom, or None for an unnamed table, which lives as long as the object. With named=False the name only
    shows. For the rest see Table. The table is public and nobody owns it; Session.new makes one that is owned.
    read_concurrency, write_concurrency (True, False, "auto"), decentralized_counters and compressed are ETS's options:
    info tells them, and they change nothing. TableExists if the name is in use. ETS: new/2.

    >>> import tsunami
    >>> users = tsunami.new("doc_users", type="set")
    >>> tsunami.whereis("doc_users") is users, users.delete()
    (True, True)
    """
    return table_make(
        name, type, keypos, stripes, named, None, "public", None,
        concurrency_given(read_concurrency, write_concurrency, decentralized_counters, compressed),
    )


def table_with_id(number, /):
    """The table with this id; None if it has been deleted or never was."""
    reference = _tables.get(number)
    table = reference() if reference is not None else None
    return table if table is not None and flag_load(&(<Table>table).t.alive) else None


def id_known(uint64_t number, /):
    """Has there ever been a table with this id?"""
    return table_id_known(number)


def whereis(name, /):
    """The table of this name, the same object every time; None if there is none. ETS: whereis/1.

    >>> import tsunami
    >>> tsunami.whereis("doc_nobody") is None
    True
    """
    return _named.get(name_of(name))


def all():
    """All tables that live, named or not. ETS: all/0.

    >>> import tsunami
    >>> t = tsunami.Table()
    >>> t in tsunami.all()
    True
    """
    return [table for table in live_tables() if flag_load(&(<Table>table).t.alive) and table not in _keyspaces]


def keyspace(db=0, /):
    """The table behind the plain Redis commands of a database, 0 to 15: a set of rows (key, value).

    >>> import tsunami
    >>> tsunami.keyspace(0)
    <tsunami.Table 'keyspace 0' set, 0 rows>
    """
    cdef Table table
    if not is_integer(db):
        raise BadType(f"a database is an integer from 0 to 15, not {shown(db)}")
    if not 0 <= db < 16:
        raise BadArgument(f"{shown(db)} is no database: 0 to 15")
    with _naming:
        if _keyspaces[db] is None:
            table = Table("set")
            table.t.stamped = True
            table_alike(table.t)
            table._name = Atom(f"keyspace {db}")
            _keyspaces[db] = table
    return _keyspaces[db]


cdef table_t* table_of(object table) except NULL:
    return (<Table?>table).t


def entry(Table table not None, key, /):
    """The row with this key and its deadline (ms since 1970, or None); None if there is none."""
    cdef packed_key_t k
    cdef uint64_t[64] home
    cdef rows_t rows
    cdef int st
    cdef uint64_t deadline
    table.may(RIGHT_READ)
    if table.t.methods.bag:
        raise fail(table, ST_TABLE_TYPE, "entry")
    key_open(key, &k)
    rows_open(&rows, table.t, home, 64)
    st = table.t.methods.get(table.t, &k.probe, rows_sink, &rows)
    key_close(&k)
    if st == ST_ABSENT:
        return None
    check(table, st, key)
    deadline = row_deadline(<const uint64_t*>rows.buf.data) if not rows.failed else 0
    return rows_list(table, &rows)[0], (deadline if deadline else None)


cdef class _Ops:
    """Steps of a commit, packed."""
    cdef op_t* ops
    cdef size_t n
    cdef buf_t buf
    cdef list tables
    cdef list starts        # of the rows in buf, or None; the keys are one-element rows before them

    def __cinit__(self):
        self.ops = NULL
        buf_init(&self.buf, NULL, 0)
        self.tables = []
        self.starts = []

    def __dealloc__(self):
        free(self.ops)
        buf_free(&self.buf)

    cdef int add(self, Table table, object key, object row, object deadline) except -1:
        """key None: the row's own."""
        cdef size_t key_at = 0, row_at = 0
        if table is None:
            raise BadType("a table, not None")
        if key is _missing and row is None:
            raise BadArgument("a row is a tuple, not None")
        table.may(RIGHT_WRITE)
        if table.t.methods.bag:
            raise fail(table, ST_TABLE_TYPE, "commit")
        if key is not _missing:
            key_row_pack(key, &self.buf, &key_at)
        if row is not None:
            row_pack(table, row, &self.buf, &row_at)
        self.tables.append(table)
        self.starts.append(
            (key_at if key is not _missing else None, row_at if row is not None else None, deadline or 0)
        )
        return 0

    cdef int ready(self) except -1:
        """The buffer does not move any more: fill in the pointers."""
        cdef size_t i
        cdef Table table
        cdef op_t* op
        self.n = len(self.starts)
        self.ops = <op_t*>calloc(self.n + 1, sizeof(op_t))
        if self.ops == NULL:
            raise MemoryError
        for i in range(self.n):
            table = self.tables[i]
            key_at, row_at, deadline = self.starts[i]
            op = &self.ops[i]
            op.table = table.t
            op.row = <const uint64_t*>(self.buf.data + <size_t>row_at) if row_at is not None else NULL
            op.deadline = deadline
            if key_at is not None:
                row_probe(<const uint64_t*>(self.buf.data + <size_t>key_at), 0, &op.key)
            else:
                row_probe(op.row, table.t.keypos, &op.key)
        return 0

    cdef int release(self) except -1:
        """Give up the references that packing took."""
        for table, (_, row_at, _) in zip(self.tables, self.starts):
            if row_at is not None:
                row_each_object(
                    &(<Table>table).t.objects, <const uint64_t*>(self.buf.data + <size_t>row_at), object_release
                )
        for table in self.tables:
            (<Table>table).settle()
        return 0


def commit(checks, puts, erases, /):
    """All or nothing, isolated, over tables that are no bags: if every check holds, store and erase. Returns whether it
    did.

    checks: (table, key, row or None, deadline or None): the row that must be there.
    puts: (table, row, deadline or None). erases: (table, key).
    """
    cdef _Ops before = _Ops()
    cdef _Ops after = _Ops()
    cdef int st
    try:
        for table, key, row, deadline in checks:
            before.add(table, key, row, deadline)
        for table, row, deadline in puts:
            after.add(table, _missing, row, deadline)
        for table, key in erases:
            after.add(table, key, None, None)
        before.ready()
        after.ready()
        st = ops_commit(before.ops, before.n, after.ops, after.n, False)
    finally:
        before.release()
        after.release()
    if st == ST_CONFLICT:
        return False
    if st != ST_OK:
        raise fail((before.tables + after.tables)[0], st, "commit")
    return True


def walk_place(Table table not None, uint64_t hash, /):
    """Where a key with this exact_hash() stands in a walk of a hash table: for tests."""
    return hash_place(&table.t.place, hash)


def scan(Table table not None, cursor, count, /):
    """About `count` rows from `cursor` on (0: from the start), and the cursor to go on with (0: the end)."""
    cdef uint64_t at = cursor
    cdef list rows = table.scan(&at, count if count > 0 else 1)
    return at, rows


def swap(Table a not None, Table b not None, /):
    """Exchange the rows of two keyspaces in one step."""
    cdef list kept
    cdef dict slots
    cdef int st = table_swap(a.t, b.t)
    if st == ST_OK and a is not b:
        kept = a._objects
        a._objects = b._objects
        b._objects = kept
        slots = a._slots
        a._slots = b._slots
        b._slots = slots
    check(a, st, "swap")


def idle_seconds(Table table not None, key, /):
    """Seconds since the last access to a key of a keyspace, to the second; None if it is not there."""
    cdef packed_key_t k
    cdef uint64_t word = 0
    cdef int st
    table.live()
    key_open(key, &k)
    st = stamp_peek(table.t, &k.probe, &word)
    key_close(&k)
    if st == ST_ABSENT:
        return None
    check(table, st, key)
    return max(0, <int64_t>clock_stamp() - <int64_t><uint32_t>word)


cdef int stamp_peek(table_t* t, const probe_t* p, uint64_t* word) noexcept nogil:
    """The stamp word, without being an access."""
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef uint64_t* slot
    cdef uint64_t* row
    cdef int st = ST_ABSENT
    ts_lock_acquire(&s.lock)
    slot = find_live(t, s, p, map_local(&s.map, p.hash))
    if slot != NULL:
        row = slot_row(slot[0])
        word[0] = row_stamp_word(row)[0] if row[0] & ROW_STAMP else 0
        st = ST_OK
    ts_lock_release(&s.lock)
    return st


def memory_of(Table table not None, key, /):
    """Bytes that a key's rows take, its slot included; None if it is not there."""
    cdef packed_key_t k
    cdef size_t n = 0
    cdef int st
    table.live()
    key_open(key, &k)
    st = memory_peek(table.t, &k.probe, &n)
    key_close(&k)
    if st == ST_ABSENT:
        return None
    check(table, st, key)
    return n


cdef int memory_peek(table_t* t, const probe_t* p, size_t* n) noexcept nogil:
    cdef stripe_t* s = table_stripe(t, p.hash)
    cdef uint64_t* slot
    cdef group_t* g
    cdef uint32_t i
    cdef int st = ST_ABSENT
    ts_lock_acquire(&s.lock)
    slot = find_live(t, s, p, map_local(&s.map, p.hash))
    if slot != NULL:
        n[0] = sizeof(uint64_t)
        if slot_is_group(slot[0]):
            g = slot_group(slot[0])
            n[0] += block_bytes(sizeof(group_t)) + block_bytes(g.cap * sizeof(void*))
            if g.heads != NULL:
                n[0] += block_bytes(<size_t>4 << g.index_bits) + block_bytes(g.cap * sizeof(uint64_t))
            for i in range(g.used):
                if g.rows[i] != NULL:
                    n[0] += row_spent(g.rows[i])
        else:
            n[0] += row_spent(slot_pointer(slot[0]))
        st = ST_OK
    ts_lock_release(&s.lock)
    return st

cdef size_t row_spent(uint64_t* row) noexcept nogil:
    cdef size_t words = row_words(row)
    if words > CLASS_MAX or not knob_slab:
        return block_bytes(words * 8)
    return <size_t>class_words[class_of[words]] * 8


# ---- memory as a limit, and who is to go

cdef uint64_t memory_used() noexcept nogil:
    """Bytes that the rows of all tables need, and the tables themselves: what is held without what is idle in pages.

    Exact while the slabs are metered.
    """
    cdef uint64_t idle = counter_load(&idle_held)
    return counter_load(&held) - idle


def memory_meter(bint on, /):
    """Keep memory() cheap to ask, at the price of one atomic addition for each row stored or erased.

    Turning it off is for new tables only.
    """
    flag_store(&metering, 1 if on else 0)
    if on:
        for table in live_tables():
            table_meter((<Table>table).t)


def memory():
    """Bytes in use by all tables of the process, and bytes that they hold: the pages of rows have idle room besides.

    The first is what a limit of memory means: what tables would hold if their pages were full.
    """
    cdef uint64_t used = memory_used()
    cdef uint64_t idle = 0
    if not flag_load(&metering):
        for table in live_tables():
            idle += table_idle((<Table>table).t)
        used = counter_load(&held) - idle
    return used, counter_load(&held)


def use_counting(bint on, uint64_t factor=10, uint64_t decay_minutes=1, /):
    """Count how often rows of keyspaces are used; see table.pxi for the counter."""
    counter_store(&knob_use_factor, factor)
    counter_store(&knob_use_decay, decay_minutes)
    flag_store(&knob_use, 1 if on else 0)


def quiet(bint on, /):
    """Let accesses leave no traces, neither the time nor a count, until this is called with False."""
    flag_store(&knob_quiet, 1 if on else 0)


cdef struct sampled_t:
    buf_t buf
    size_t n
    size_t want
    size_t met
    size_t keypos
    bint timed              # only rows with a deadline
    bint failed

cdef void sample_sink(void* ctx, const uint64_t* row) noexcept nogil:
    """Copy the key, and behind it the stamp word and the deadline."""
    cdef sampled_t* s = <sampled_t*>ctx
    cdef uint64_t figures[2]
    cdef size_t at = 0
    cdef int st
    s.met += 1
    if s.n == s.want or s.failed or (s.timed and not row[0] & ROW_EXPIRES):
        return
    figures[0] = row_stamp_word(<uint64_t*>row)[0] if row[0] & ROW_STAMP else 0
    figures[1] = row_deadline(row)
    st = row_begin(&s.buf, 1, &at)
    if st == ST_OK:
        st = row_add_term(&s.buf, at, 0, row_cell(row, s.keypos), <const char*>row)
    if st == ST_OK:
        st = row_end(&s.buf, at)
    if st == ST_OK:
        st = buf_append(&s.buf, figures, sizeof(figures))
    s.failed = st != ST_OK
    s.n += not s.failed

cdef void sample_timed(table_t* t, size_t first, sampled_t* s) noexcept nogil:
    """Rows with a deadline where they are few: out of the wheels, from the stripe `first` on."""
    cdef size_t i, k, at
    cdef stripe_t* stripe
    cdef uint64_t* row
    for i in range(table_stripes(t)):
        if s.n == s.want:
            return
        stripe = &t.stripes[(first + i) & (table_stripes(t) - 1)]
        if counter_load(&stripe.timed) == 0:
            continue
        ts_lock_acquire(&stripe.lock)
        for k in range(WHEEL_LEVELS * 64):
            at = (k + first) % (WHEEL_LEVELS * 64)
            row = stripe.wheel.slots[at >> 6][at & 63] if stripe.wheel != NULL else NULL
            while row != NULL and s.n < s.want:
                if not row_expired(row):
                    sample_sink(s, row)
                row = timer_next(row)[0]
        ts_lock_release(&stripe.lock)


def sample(Table table not None, size_t count, bint timed, /):
    """About `count` rows from somewhere, without touching them: (key, idle seconds, use counter, deadline or 0).

    `timed`: only rows that have a deadline. Fewer, where there are fewer.
    """
    cdef sampled_t s
    cdef uint64_t at = _random.getrandbits(64)
    cdef uint64_t random = at
    cdef size_t i, tries
    cdef uint64_t* figures
    cdef const uint64_t* row
    cdef list out = []
    cdef int st = ST_OK
    table.live()
    if table.t.methods.ordered or table.t.methods.bag:
        raise fail(table, ST_TABLE_TYPE, "sample")
    buf_init(&s.buf, NULL, 0)
    s.n = s.met = 0
    s.want = count
    s.keypos = table.t.keypos
    s.timed = timed
    s.failed = False
    with nogil:
        tries = 0
        while s.n < s.want and tries < 16 and st == ST_OK and not s.failed:
            st = table.t.methods.sweep(table.t, &at, 0, count - s.n, sample_sink, &s)
            tries += 1
            if at == 0 and tries < 8:
                tries = 8           # round the end, once
            elif at == 0:
                break
        if s.n == 0 and timed and st == ST_OK:
            sample_timed(table.t, random & (table_stripes(table.t) - 1), &s)
    i = 0
    try:
        while i < s.buf.len and not s.failed:
            row = <const uint64_t*>(s.buf.data + i)
            i += row_bytes(row)
            figures = <uint64_t*>(s.buf.data + i)
            i += 16
            if len(out) < <Py_ssize_t>s.n and not row[0] & HAS_OBJECT:
                out.append((
                    decode_cell(row_cell(row, 0), <const char*>row, <void*>table),
                    max(0, <int64_t>clock_stamp() - <int64_t><uint32_t>figures[0]),
                    use_decayed(<uint32_t>(figures[0] >> 32)),
                    figures[1],
                ))
    finally:
        buf_free(&s.buf)
    if s.failed:
        raise MemoryError
    check(table, st, "sample")
    return out


def use_of(Table table not None, key, /):
    """How often a key of a keyspace was used of late, by Redis's logarithmic counter; None if it is not there."""
    cdef packed_key_t k
    cdef uint64_t word = 0
    cdef int st
    table.live()
    key_open(key, &k)
    st = stamp_peek(table.t, &k.probe, &word)
    key_close(&k)
    if st == ST_ABSENT:
        return None
    check(table, st, key)
    return use_decayed(<uint32_t>(word >> 32))


def use_set(Table table not None, key, idle_s, counter, /):
    """Say when a key of a keyspace was used last and how often (None: leave it); whether it is there. For RESTORE."""
    cdef packed_key_t k
    cdef stripe_t* s
    cdef uint64_t* slot
    cdef uint64_t* word
    cdef uint64_t idle = idle_s or 0
    cdef uint64_t uses = counter or 0
    cdef bint found = False
    table.live()
    key_open(key, &k)
    s = table_stripe(table.t, k.probe.hash)
    ts_lock_acquire(&s.lock)
    slot = find_live(table.t, s, &k.probe, map_local(&s.map, k.probe.hash))
    if slot != NULL and table.t.stamped:
        found = True
        word = row_stamp_word(slot_row(slot[0]))
        if idle_s is not None:
            (<uint32_t*>word)[0] = clock_stamp() - <uint32_t>idle
        if counter is not None:
            (<uint32_t*>word)[1] = use_minutes() << 16 | (<uint32_t>uses & 0xFF)
    ts_lock_release(&s.lock)
    key_close(&k)
    return found


def random_row(Table table not None, /):
    """Some row, or None if the table is empty."""
    cdef uint64_t at = _random.getrandbits(64)
    cdef list rows
    table.live()
    if len(table) == 0:
        return None
    rows = table.scan(&at, 1)
    while not rows and at != 0:
        rows = table.scan(&at, 1)
    if not rows:
        at = 0
        rows = table.scan(&at, 1)
        while not rows and at != 0:
            rows = table.scan(&at, 1)
    return _random.choice(rows) if rows else None


def expire(Table table not None, now_ms, budget=1 << 20, /):
    """Erase what is due at now_ms, at most `budget` rows. Returns how many, and by how many ms the latest of them was
    late."""
    cdef uint64_t late = 0
    cdef uint64_t now = now_ms
    cdef size_t most = budget
    cdef size_t n
    with nogil:
        n = table_expire(table.t, now, most, &late, NULL, NULL)
    table.settle()
    return n, late


def _knobs(**settings):
    """Set test knobs; returns their values before."""
    global knob_load_num, knob_move, knob_min_bits, knob_clock, knob_hash_bits, knob_scan_rows, knob_default_stripes
    global knob_select_rows, knob_spread
    cdef dict before = {
        "slab": knob_slab, "load": knob_load_num, "move": knob_move, "map_bits": knob_min_bits, "clock_ms": knob_clock,
        "hash_bits": knob_hash_bits, "scan_rows": knob_scan_rows, "stripes": knob_default_stripes,
        "select_rows": knob_select_rows, "spread": knob_spread,
    }
    for name in settings:
        if name not in before:
            raise BadArgument(f"{name!r} is no knob: " + " ".join(sorted(before)))
    knobs = dict(before, **settings)
    if (
        not 1 <= knobs["load"] <= 7
        or not 2 <= knobs["move"]
        or not 0 <= knobs["map_bits"] <= 20
        or not 1 <= knobs["scan_rows"]
        or not 2 <= knobs["select_rows"]
    ):
        raise BadArgument(f"{settings!r}: out of range")
    if knobs["slab"] != before["slab"]:
        raise BadArgument("the slab is chosen when the extension is built")
    knob_load_num = knobs["load"]
    knob_move = knobs["move"]
    knob_min_bits = knobs["map_bits"]
    knob_clock = knobs["clock_ms"]
    knob_hash_bits = knobs["hash_bits"]
    knob_scan_rows = knobs["scan_rows"]
    knob_select_rows = knobs["select_rows"]
    knob_default_stripes = knobs["stripes"]
    knob_spread = knobs["spread"]
    return before


include "core_session.pxi"
include "core_order.pxi"
