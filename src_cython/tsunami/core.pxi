# Table: the face between Python and the engine. Parts of its floor stand in files of their own, included here: what
# goes in and out (core_rows), edits (core_update), queries, sessions, ranges, the module's functions (core_module),
# use of memory (core_use).
#
# The shape of every method is the same: pack the arguments (Python code may run here, and no lock is held); run the
# engine (no Python code, no GIL needed); make Python objects of the copies it gave (no lock is held); turn the status
# into an exception, in fail(), the one place for that.
#
# Short operations keep the GIL: who holds a stripe never waits for it, so this cannot deadlock, and letting it go would
# cost more than the operation. Long ones (clear, long lists, scans in pieces) let it go.

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

include "core_rows.pxi"
include "core_update.pxi"


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
include "core_module.pxi"
include "core_use.pxi"
include "core_session.pxi"
include "core_order.pxi"
