# The Python faces of terms that Python has no type for: Atom, Bits, ImproperList, Pid, Reference, Port, Fun. Part of
# codec.pxi's floor.
#
# What must stay true: they are immutable, hash by what they compare by, and their repr evaluates to an equal object.
# Whatever a constructor lets through can be packed, as far as its own form goes: limits are checked here, once.

cdef extern from *:
    """
    /* Several threads may make an atom's object at once where there is no GIL: the first one counts. */
    static inline PyObject *first_object(void **slot, PyObject *object) {
        void *seen = NULL;
        int first = __atomic_compare_exchange_n(slot, &seen, (void *)object, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
        return first ? object : (PyObject *)seen;
    }
    static Py_hash_t hash_guarded(PyObject *o) {
        Py_hash_t hash;
        if (Py_EnterRecursiveCall(" while hashing a term")) return -1;
        hash = PyObject_Hash(o);
        Py_LeaveRecursiveCall();
        return hash;
    }
    static inline PyObject *seen_object(void **slot) { return (PyObject *)__atomic_load_n(slot, __ATOMIC_ACQUIRE); }
    """
    PyObject* first_object(void** slot, PyObject* candidate) noexcept
    PyObject* seen_object(void** slot) noexcept
    Py_hash_t hash_guarded(object o) except -1


cdef object _checked_int(object value, str what, object low, object high):
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadType(f"{what} is an int, not {type(value).__name__}: {shown(value)}")
    if not low <= value <= high:
        raise BadArgument(f"{what} lies between {low} and {high}: {shown(value)}")
    return int(value)


cdef object _checked_atom(object value, str what):
    if type(value) is Atom or value is True or value is False or value is None:
        return value
    raise BadType(f"{what} is an Atom, not {type(value).__name__}: {shown(value)}")


cdef Py_hash_t hash_nested(type cls, tuple parts) except -1:
    """The hash of something that may nest: RecursionError where CPython's own tuples would overflow the C stack."""
    return hash_guarded((cls, parts))


# ---- atoms

@cython.final
cdef class Atom:
    """Name a constant: `Atom("ok")`. Atoms are interned, so `Atom("ok") is Atom("ok")`.

    `Atom("true")`, `Atom("false")` and `Atom("nil")` are `True`, `False` and `None`. A name has at most 255 characters;
    names are never given up, so do not make atoms of other people's data.

    >>> Atom("ok") is Atom("ok"), Atom("true")
    (True, True)
    """
    cdef cell_t cell
    cdef str text

    @property
    def name(self):
        """The text."""
        return self.text

    def __repr__(self):
        return f"Atom({self.text!r})"

    def __str__(self):
        return self.text

    def __reduce__(self):
        return Atom, (self.text,)


cdef object atom_object(cell_t c):
    """The Python object of an atom."""
    cdef atom_t* entry
    cdef PyObject* seen
    cdef Atom atom
    if c == cell_atom(ATOM_TRUE):
        return True
    if c == cell_atom(ATOM_FALSE):
        return False
    if c == cell_atom(ATOM_NIL):
        return None
    entry = atom_entry(c)
    seen = seen_object(&entry.object)
    if seen == NULL:
        atom = Atom.__new__(Atom)
        atom.cell = c
        atom.text = PyUnicode_DecodeUTF8(entry.text, entry.n, NULL)
        Py_INCREF(atom)                                        # the table's own reference, for ever
        seen = first_object(&entry.object, <PyObject*>atom)
        if seen != <PyObject*>atom:
            Py_DECREF(atom)
    return <object>seen


cdef cell_t atom_cell(str name) except 0:
    """The cell of the atom of that name."""
    cdef bytes text
    cdef cell_t c
    if len(name) > ATOM_CODE_POINTS:
        raise TermTooLarge(f"an atom has at most {ATOM_CODE_POINTS} characters, not {len(name)}: {shown(name)}")
    try:
        text = name.encode()
    except UnicodeEncodeError:
        raise BadArgument(f"an atom with a lone surrogate has no UTF-8 form: {shown(name)}") from None
    c = atom_intern(<const char*>text, len(text))
    if c == 0:
        raise MemoryError(f"there is no room for another atom (at most {ATOMS_MAX})")
    return c


cdef PyObject* atom_new(PyObject* cls, PyObject* args, PyObject* kwds) except NULL:
    """Atom's tp_new: Cython's own could only answer a fresh Atom."""
    cdef tuple given = <tuple><object>args
    cdef dict named = <dict><object>kwds if kwds != NULL else {}
    if len(given) + len(named) != 1 or (named and "name" not in named):
        raise TypeError("Atom takes one argument, its name")
    name = given[0] if given else named["name"]
    if not isinstance(name, str):
        raise BadType(f"an atom's name is a str, not {type(name).__name__}: {shown(name)}")
    atom = atom_object(atom_cell(str(name)))
    Py_INCREF(atom)
    return <PyObject*>atom


cdef extern from *:
    """
    static inline void set_new(PyObject *cls, PyObject *(*f)(PyObject *, PyObject *, PyObject *)) {
        ((PyTypeObject *)cls)->tp_new = (newfunc)f;
        ((PyTypeObject *)cls)->tp_vectorcall = NULL;           /* Cython's shortcut to its own tp_new */
        PyType_Modified((PyTypeObject *)cls);
    }
    """
    void set_new(PyObject* cls, PyObject* (*f)(PyObject*, PyObject*, PyObject*) except NULL)

set_new(<PyObject*>Atom, atom_new)


# ---- bit strings and improper lists

@cython.final
cdef class Bits:
    """A bit string whose length is not a multiple of 8; one that is, is `bytes`.

    `data` holds ceil(nbits / 8) bytes; the low bits of the last one that do not count are made 0.

    >>> Bits(b"\\xff", 3)
    Bits(b'\\xe0', 3)
    """
    cdef readonly bytes data
    cdef readonly size_t nbits

    def __cinit__(self, data, nbits):
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise BadType(f"the data of Bits is bytes, not {type(data).__name__}")
        self.nbits = _checked_int(nbits, "the length of Bits", 1, (<int64_t>LENGTH_MAX - 1) * 8 - 1)
        self.data = bytes(data)
        if self.nbits % 8 == 0:
            raise BadArgument(f"Bits of {nbits} bits are whole bytes: use bytes")
        if <size_t>len(self.data) != (self.nbits + 7) // 8:
            raise BadArgument(f"{nbits} bits take {(self.nbits + 7) // 8} bytes of data, not {len(self.data)}")
        whole = len(self.data) - 1
        last = self.data[whole] & (0xFF00 >> (self.nbits % 8)) & 0xFF
        self.data = self.data[:whole] + bytes((last,))

    def __eq__(self, other):
        if type(other) is not Bits:
            return NotImplemented
        return self.nbits == (<Bits>other).nbits and self.data == (<Bits>other).data

    def __hash__(self):
        return hash((Bits, self.data, self.nbits))

    def __repr__(self):
        return f"Bits({self.data!r}, {self.nbits})"

    def __reduce__(self):
        return Bits, (self.data, self.nbits)


@cython.final
@cython.trashcan(True)
cdef class ImproperList:
    """A list that ends in something else than the empty list: `[1, 2 | 3]` is `ImproperList((1, 2), 3)`.

    A tail that is an improper list itself continues this one: `ImproperList([1], ImproperList([2], 3))` is the same
    list.
    """
    cdef tuple cells           # the items, then the tail

    def __cinit__(self, items, tail):
        items = tuple(items)
        if not items:
            raise BadArgument("an improper list has at least one item; without items there is only its tail")
        if isinstance(tail, list):
            raise BadArgument("the tail is a list, so this is a proper one: use list")
        self.cells = items + ((<ImproperList>tail).cells if type(tail) is ImproperList else (tail,))

    @property
    def items(self):
        """What stands before the tail."""
        return self.cells[:len(self.cells) - 1]

    @property
    def tail(self):
        """What the list ends in."""
        return self.cells[len(self.cells) - 1]

    def __eq__(self, other):
        return self.cells == (<ImproperList>other).cells if type(other) is ImproperList else NotImplemented

    def __hash__(self):
        return hash_nested(ImproperList, self.cells)

    def __repr__(self):
        return f"ImproperList({list(self.items)!r}, {self.tail!r})"

    def __reduce__(self):
        return ImproperList, (self.items, self.tail)


# ---- Erlang's opaque terms

@cython.final
cdef class Pid:
    """An Erlang process, as a value: Tsunami only keeps, compares and orders it."""
    cdef readonly object node
    cdef readonly uint32_t id
    cdef readonly uint32_t serial
    cdef readonly uint32_t creation

    def __cinit__(self, node, id, serial, creation):
        self.node = _checked_atom(node, "a pid's node")
        self.id = _checked_int(id, "a pid's id", 0, 0xFFFFFFFF)
        self.serial = _checked_int(serial, "a pid's serial", 0, 0xFFFFFFFF)
        self.creation = _checked_int(creation, "a pid's creation", 0, 0xFFFFFFFF)

    cdef tuple fields(self):
        return self.node, self.id, self.serial, self.creation

    def __eq__(self, other):
        return self.fields() == (<Pid>other).fields() if type(other) is Pid else NotImplemented

    def __hash__(self):
        return hash((Pid, self.fields()))

    def __repr__(self):
        return f"Pid({self.node!r}, {self.id}, {self.serial}, {self.creation})"

    def __reduce__(self):
        return Pid, self.fields()


@cython.final
cdef class Reference:
    """An Erlang reference, as a value. The last of its words is the most significant."""
    cdef readonly object node
    cdef readonly uint32_t creation
    cdef readonly tuple words

    def __cinit__(self, node, creation, words):
        self.node = _checked_atom(node, "a reference's node")
        self.creation = _checked_int(creation, "a reference's creation", 0, 0xFFFFFFFF)
        self.words = tuple([_checked_int(word, "a reference's word", 0, 0xFFFFFFFF) for word in words])
        if not 1 <= len(self.words) <= 255:
            raise BadArgument(f"a reference has 1 to 255 words, not {len(self.words)}")

    def __eq__(self, other):
        if type(other) is not Reference:
            return NotImplemented
        return self.__reduce__() == other.__reduce__()

    def __hash__(self):
        return hash((Reference, self.node, self.creation, self.words))

    def __repr__(self):
        return f"Reference({self.node!r}, {self.creation}, {self.words!r})"

    def __reduce__(self):
        return Reference, (self.node, self.creation, self.words)


@cython.final
cdef class Port:
    """An Erlang port, as a value."""
    cdef readonly object node
    cdef readonly uint64_t id
    cdef readonly uint32_t creation

    def __cinit__(self, node, id, creation):
        self.node = _checked_atom(node, "a port's node")
        self.id = _checked_int(id, "a port's id", 0, 0xFFFFFFFFFFFFFFFF)
        self.creation = _checked_int(creation, "a port's creation", 0, 0xFFFFFFFF)

    def __eq__(self, other):
        if type(other) is not Port:
            return NotImplemented
        return self.__reduce__() == other.__reduce__()

    def __hash__(self):
        return hash((Port, self.node, self.id, self.creation))

    def __repr__(self):
        return f"Port({self.node!r}, {self.id}, {self.creation})"

    def __reduce__(self):
        return Port, (self.node, self.id, self.creation)


@cython.final
@cython.trashcan(True)
cdef class Fun:
    """An Erlang fun, as a value: it cannot be called.

    `Fun("export", module, name, arity)`, or `Fun("local", module, index, uniq, old_uniq, arity, pid, free)`, with
    `old_index` at the end where that is another number than the index. As in Erlang, local ones are equal if module,
    index, uniq and the captured values (`free`) are.
    """
    cdef readonly str kind
    cdef readonly tuple fields

    def __cinit__(self, kind, *fields):
        cdef size_t want = 3 if kind == "export" else 7
        if kind not in ("export", "local"):
            raise BadArgument(f'a fun is of kind "export" or "local": {shown(kind)}')
        if <size_t>len(fields) != want and (want == 3 or len(fields) != 8):
            raise TypeError(f"a fun of kind {shown(kind)} has {want} fields, not {len(fields)}")
        self.kind = str(kind)
        module = _checked_atom(fields[0], "a fun's module")
        if kind == "export":
            self.fields = (
                module, _checked_atom(fields[1], "a fun's name"), _checked_int(fields[2], "a fun's arity", 0, 255))
            return
        if not isinstance(fields[2], bytes):
            raise BadType(f"a fun's uniq is bytes, not {type(fields[2]).__name__}")
        if type(fields[5]) is not Pid:
            raise BadType(f"a fun's pid is a Pid, not {type(fields[5]).__name__}")
        self.fields = (
            module, _checked_int(fields[1], "a fun's index", 0, 0xFFFFFFFF), bytes(fields[2]),
            _checked_int(fields[3], "a fun's old uniq", -0x80000000, 0xFFFFFFFF),
            _checked_int(fields[4], "a fun's arity", 0, 255), fields[5], tuple(fields[6]))
        if len(fields) == 8 and fields[7] != fields[1]:
            self.fields += (_checked_int(fields[7], "a fun's old index", 0, 0xFFFFFFFF),)

    cdef int64_t old_index_ahead(self) except -1:
        """By how much the old index is ahead of the index, modulo 2**32: almost always 0."""
        return (self.fields[7] - self.fields[1]) % 2**32 if len(self.fields) == 8 else 0

    cdef tuple identity(self):
        """What counts for equality."""
        if self.kind == "export":
            return self.fields
        return self.fields[0], self.fields[1], self.fields[2], self.fields[6]

    def __eq__(self, other):
        return self.identity() == (<Fun>other).identity() if type(other) is Fun else NotImplemented

    def __hash__(self):
        return hash_nested(Fun, self.identity())

    def __repr__(self):
        return f"Fun({', '.join([repr(field) for field in (self.kind, *self.fields)])})"

    def __reduce__(self):
        return Fun, (self.kind, *self.fields)


# ---- a term as it is

@cython.final
cdef class Packed:
    """A term that stays packed: for what only passes through Python, and need not be something that Python has."""
    cdef bytes row              # a row of this one element

    def term(self):
        """The term as a Python object. BadArgument for a map with keys that a dict would not tell apart."""
        return decode_row(packed_row(self), NULL)[0]

    def __repr__(self):
        return f"<packed term of {len(self.row)} bytes>"


cdef inline const uint64_t* packed_row(Packed term) noexcept:
    return <const uint64_t*>PyBytes_AS_STRING(term.row)


cdef Packed packed_whole(bytes row):
    """Of a row of one element."""
    cdef Packed term = Packed.__new__(Packed)
    term.row = row
    return term


cdef Packed packed_of(cell_t c, const char* base):
    """A copy of any term."""
    cdef buf_t b
    cdef size_t at = 0
    cdef int status
    buf_init(&b, NULL, 0)
    try:
        status = row_begin(&b, 1, &at)
        if status == ST_OK:
            status = row_add_term(&b, at, 0, c, base)
        if status == ST_OK:
            status = row_end(&b, at)
        if status != ST_OK:
            pack_error(status)
        return packed_whole(PyBytes_FromStringAndSize(b.data + at, b.len - at))
    finally:
        buf_free(&b)


def pack(term, /):
    """A term as it is packed, on its own. BadType for what only a table can keep."""
    cdef packed_t packed
    buf_init(&packed.buffer, packed.home, sizeof(packed.home))
    try:
        pack_alone(term, &packed)
        return packed_whole(
            PyBytes_FromStringAndSize(packed.buffer.data + packed.at, packed.buffer.len - packed.at))
    finally:
        buf_free(&packed.buffer)


END_OF_TABLE = atom_object(cell_atom(ATOM_END_OF_TABLE))
