# Python object <-> packed term. Needs the GIL; knows nothing of tables.
#
# Packing goes once over the object and writes once, into a growable buffer: what has no elements by pack_scalar,
# without a Python call; containers level by level, on a stack of frames of our own. Unpacking likewise. Neither
# recurses.
#
# What must stay true:
# 1. Python code may run while a term is being packed or unpacked: encoders and decoders of extension types, and what
#    the collector calls. So lists and dicts are packed from a snapshot, every object that a frame reads from is kept
#    alive by it, and half-built objects are not shown to the collector.
# 2. A failure leaves nothing behind: references are given back, slots of reference terms too; the buffer holds garbage
#    behind the place where the row would have begun, which is its owner's to cut off.
# 3. An object that contains itself, or an encoder that never comes to an end, is a clear error before memory ends.
# 4. Nothing recurses here, and nothing is packed that CPython would recurse over when it is unpacked: keys of dicts,
#    which are hashed, are of bounded depth.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem, PyDict_Items, PyDict_SetItem
from cpython.float cimport PyFloat_FromDouble
from cpython.list cimport PyList_AsTuple, PyList_New
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_GetSlice, PyTuple_New
from cpython.unicode cimport PyUnicode_DecodeUTF8, PyUnicode_FromObject
from libc.stdlib cimport qsort

include "codec_types.pxi"
include "codec_extensions.pxi"

cdef object ATOM_OBJECT_EXPORT = atom_object(cell_atom(ATOM_EXPORT))
cdef object ATOM_OBJECT_LOCAL = atom_object(cell_atom(ATOM_LOCAL))

cdef extern from *:
    """
    /* An int that CPython keeps in one or two digits: its value without a call. `o` is exactly an int. */
    static inline int small_int(PyObject *o, int64_t *value) {
    #if PY_VERSION_HEX >= 0x030C0000
        if (!PyUnstable_Long_IsCompact((PyLongObject *)o)) return 0;
        *value = PyUnstable_Long_CompactValue((PyLongObject *)o);
        return 1;
    #else
        const digit *d = ((PyLongObject *)o)->ob_digit;
        switch (Py_SIZE(o)) {
            case 0: *value = 0; return 1;
            case 1: *value = (int64_t)d[0]; return 1;
            case -1: *value = -(int64_t)d[0]; return 1;
            case 2: *value = (int64_t)d[0] | (int64_t)d[1] << PyLong_SHIFT; return 1;
            case -2: *value = -((int64_t)d[0] | (int64_t)d[1] << PyLong_SHIFT); return 1;
        }
        return 0;
    #endif
    }

    /* The bytes of a str whose characters are all ASCII, or NULL. */
    static inline const char *ascii_text(PyObject *o, size_t *n) {
        if (!PyUnicode_IS_COMPACT_ASCII(o)) return NULL;
        *n = (size_t)PyUnicode_GET_LENGTH(o);
        return (const char *)PyUnicode_DATA(o);
    }

    /* How many bytes of UTF-8 a str takes, or -1 if it has lone surrogates. */
    static Py_ssize_t utf8_size(PyObject *o) {
        Py_ssize_t n = PyUnicode_GET_LENGTH(o), size = 0;
        int kind = PyUnicode_KIND(o);
        const void *data = PyUnicode_DATA(o);
        for (Py_ssize_t i = 0; i < n; i++) {
            Py_UCS4 c = PyUnicode_READ(kind, data, i);
            if (c >= 0xD800 && c < 0xE000) return -1;
            size += 1 + (c >= 0x80) + (c >= 0x800) + (c >= 0x10000);
        }
        return size;
    }

    /* Write it. Our own, because CPython's would leave a second copy of the text in the caller's object. */
    static void utf8_write(PyObject *o, char *p) {
        Py_ssize_t n = PyUnicode_GET_LENGTH(o);
        int kind = PyUnicode_KIND(o);
        const void *data = PyUnicode_DATA(o);
        for (Py_ssize_t i = 0; i < n; i++) {
            Py_UCS4 c = PyUnicode_READ(kind, data, i);
            if (c < 0x80) *p++ = (char)c;
            else if (c < 0x800) { *p++ = (char)(0xC0 | c >> 6); *p++ = (char)(0x80 | (c & 0x3F)); }
            else if (c < 0x10000) {
                *p++ = (char)(0xE0 | c >> 12); *p++ = (char)(0x80 | (c >> 6 & 0x3F)); *p++ = (char)(0x80 | (c & 0x3F));
            } else {
                *p++ = (char)(0xF0 | c >> 18); *p++ = (char)(0x80 | (c >> 12 & 0x3F));
                *p++ = (char)(0x80 | (c >> 6 & 0x3F)); *p++ = (char)(0x80 | (c & 0x3F));
            }
        }
    }

    /* A str of n ASCII bytes; n > 1, so that it is not one of CPython's shared ones. */
    static inline PyObject *ascii_str(const char *p, size_t n) {
        PyObject *o = PyUnicode_New((Py_ssize_t)n, 127);
        if (o) memcpy(PyUnicode_1BYTE_DATA(o), p, n);
        return o;
    }

    static inline int is_ascii(const char *p, size_t n) {
        uint64_t all = 0;
        for (; n >= 8; n -= 8, p += 8) all |= load64(p);
        all |= load_short((const unsigned char *)p, n);
        return !(all & 0x8080808080808080u);
    }
    static inline PyObject **tuple_items(PyObject *t) { return ((PyTupleObject *)t)->ob_item; }
    """
    bint small_int(PyObject* o, int64_t* value) noexcept
    const char* ascii_text(PyObject* o, size_t* n) noexcept
    Py_ssize_t utf8_size(PyObject* o) noexcept
    void utf8_write(PyObject* o, char* p) noexcept
    PyObject* ascii_str(const char* p, size_t n) noexcept
    bint is_ascii(const char* p, size_t n) noexcept
    PyObject** tuple_items(PyObject* t) noexcept

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(PyObject* o)
    PyTypeObject* Py_TYPE(PyObject* o) noexcept
    PyTypeObject PyLong_Type, PyUnicode_Type, PyFloat_Type, PyBytes_Type, PyTuple_Type, PyList_Type, PyDict_Type
    PyObject* Py_True
    PyObject* Py_False
    PyObject* Py_None
    double PyFloat_AS_DOUBLE(PyObject* o) noexcept
    Py_ssize_t c_tuple_size "PyTuple_GET_SIZE"(PyObject* o) noexcept
    void c_tuple_set "PyTuple_SET_ITEM"(PyObject* o, Py_ssize_t i, PyObject* value) noexcept
    void c_list_set "PyList_SET_ITEM"(PyObject* o, Py_ssize_t i, PyObject* value) noexcept
    PyObject* c_tuple_new "PyTuple_New"(Py_ssize_t n) except NULL
    PyObject* c_list_new "PyList_New"(Py_ssize_t n) except NULL
    PyObject* c_long "PyLong_FromLongLong"(int64_t v) except NULL
    PyObject* c_float "PyFloat_FromDouble"(double v) except NULL
    PyObject* c_bytes "PyBytes_FromStringAndSize"(const char* p, Py_ssize_t n) except NULL
    PyObject* c_decode "PyUnicode_DecodeUTF8"(const char* p, Py_ssize_t n, const char* errors) except NULL
    char* c_bytes_data "PyBytes_AS_STRING"(PyObject* o) noexcept
    Py_ssize_t c_bytes_size "PyBytes_GET_SIZE"(PyObject* o) noexcept
    void c_incref "Py_INCREF"(PyObject* o) noexcept
    void c_track "PyObject_GC_Track"(PyObject* o) noexcept
    void c_untrack "PyObject_GC_UnTrack"(PyObject* o) noexcept
    void c_decref "Py_DECREF"(PyObject* o) noexcept
    void c_xdecref "Py_XDECREF"(PyObject* o) noexcept


# ---- packing

# Where the packed term is to stand. core.pxi implements the three functions that are called with `owner`:
#     object_put(owner, object) -> slot   keep the object for a reference term; one object, one slot
#     object_drop(owner, slot)            take one object_put back
#     object_get(owner, slot)             the object
cdef struct pack_ctx_t:
    bint allow_objects         # may any other Python object stand in it, as a reference term
    Py_ssize_t keypos          # of a row: where its key is, with neither NaN nor a reference term in it; -1: no key
    void* owner

cdef enum:
    PACK_OTHER = 1000          # pack_scalar: not one of those
    FRAMES_HOME = 8
    KEY_DEPTH = 4096           # a key of a map nested so deep is always good, one nested twice as deep never
    DEPTH_MAX = KEY_DEPTH * 256
    LOOP_CHECK = 64            # at this depth, and at every doubling of it, look whether an object contains itself

# A container that is being packed.
cdef struct frame_t:
    PyObject* hold             # the tuple that keeps the items alive; ours
    PyObject** items           # what to pack: elements; of maps k1 v1 k2 v2 ...
    PyObject* origin           # the container itself; kept alive by the frame below
    size_t count               # cells
    size_t next                # steps taken
    size_t at                  # where the body is in the buffer, in bytes
    int low
    map_key_t* keys            # of maps, after their keys have been packed: in order
    char* key_bodies

cdef struct map_key_t:
    const char* form           # its exact order-preserving form
    size_t form_len
    size_t form_at
    size_t item                # which of the dict's items
    cell_t cell

cdef struct packer_t:
    buf_t* out
    pack_ctx_t* ctx
    frame_t* frames            # home, or on the heap
    size_t depth
    size_t cap
    size_t root                # where the outermost body begins
    uint32_t* slots            # of reference terms that have been put
    size_t slot_count
    size_t slot_cap
    frame_t[FRAMES_HOME] home


cdef int pack_error(int status) except -1:
    """The exception for what building a term can come to."""
    if status == ST_NO_MEMORY:
        raise MemoryError("no memory for the packed term")
    if status == ST_TOO_LARGE:
        raise TermTooLarge(
            "a term has at most 2**26 cells and bodies within 512 MiB, and a binary or integer less than 1 GiB: "
            "store it in parts")
    if status == ST_NOT_STORABLE:
        raise BadArgument("NaN has no place in the order of terms: it cannot be a key, or a part of one")
    raise SystemError(f"packing came to status {status}")


cdef int pack_text(buf_t* out, size_t at, size_t i, PyObject* o) noexcept:
    """A str that is not ASCII alone. PACK_OTHER for lone surrogates: the message is made elsewhere."""
    cdef Py_ssize_t n = utf8_size(o)
    cdef char[8] spelled
    cdef char* body
    cdef int status
    if n < 0:
        return PACK_OTHER
    set_flags(out, at, HAS_MARKS)
    if n <= 7:
        utf8_write(o, spelled)
        set_cell(out, at, i, cell_inline(spelled, n, True))
        return ST_OK
    status = leaf_status(out, at, n)
    if status == ST_OK:
        body = grow_leaf(out, at, i, LOW_BINARY | <int>TEXT_MARK, n)
        if body == NULL:
            return ST_NO_MEMORY
        utf8_write(o, body)
    return status


cdef inline int pack_scalar(buf_t* out, size_t at, size_t i, PyObject* o) noexcept:
    """Make cell i of the open container of `o`, if that is one of the plain types without elements; else PACK_OTHER."""
    cdef PyTypeObject* type_ = Py_TYPE(o)
    cdef int64_t value
    cdef const char* p
    cdef size_t n = 0
    if type_ == &PyLong_Type:
        if small_int(o, &value) and fits_cell(value):
            set_cell(out, at, i, cell_int(value))
            return ST_OK
        return PACK_OTHER
    if type_ == &PyUnicode_Type:
        p = ascii_text(o, &n)
        if p == NULL:
            return pack_text(out, at, i, o)
        return row_add_binary(out, at, i, p, n, True)
    if type_ == &PyFloat_Type:
        return add_float(out, at, i, PyFloat_AS_DOUBLE(o))
    if type_ == &PyBytes_Type:
        return row_add_binary(out, at, i, c_bytes_data(o), c_bytes_size(o), False)
    if type_ == <PyTypeObject*>Atom:
        set_cell(out, at, i, (<Atom>o).cell)
        return ST_OK
    if o == Py_None:
        set_cell(out, at, i, cell_atom(ATOM_NIL))
        return ST_OK
    if o == Py_True:
        set_cell(out, at, i, cell_atom(ATOM_TRUE))
        return ST_OK
    if o == Py_False:
        set_cell(out, at, i, cell_atom(ATOM_FALSE))
        return ST_OK
    return PACK_OTHER


# ---- containers on their way in

cdef int frame_push(packer_t* p, int low, object hold, PyObject* origin, size_t count, size_t cell_at_i) except -1:
    """Open a container whose items are those of the tuple `hold`, as cell i of the one on top (or as the root)."""
    cdef frame_t* frame
    cdef size_t at = 0, words
    cdef int status
    if p.depth == p.cap:
        frames_grow(p)
    if p.depth >= LOOP_CHECK and (p.depth & (p.depth - 1)) == 0:
        refuse_loop(p, origin)
    if p.depth % KEY_DEPTH == 0 and p.depth:
        refuse_deep(p)
    status = open_body(p.out, count, &at)
    if status == ST_OK and p.depth and (p.out.len - p.root) >> 3 > OFFSET_MAX:
        status = ST_TOO_LARGE
    if status != ST_OK:
        pack_error(status)
    if p.depth:
        words = (at - p.frames[p.depth - 1].at) >> 3
        set_cell(p.out, p.frames[p.depth - 1].at, cell_at_i, cell_body(low, count, words))
    else:
        p.root = at
    frame = &p.frames[p.depth]
    Py_INCREF(hold)
    frame.hold = <PyObject*>hold
    frame.items = tuple_items(frame.hold)
    frame.origin = origin
    frame.count = count
    frame.next = 0
    frame.at = at
    frame.low = low
    frame.keys = NULL
    frame.key_bodies = NULL
    p.depth += 1
    return 0


cdef int frames_grow(packer_t* p) except -1:
    cdef size_t bytes = p.cap * sizeof(frame_t)
    cdef frame_t* more = <frame_t*>malloc(bytes * 2)
    if more == NULL:
        raise MemoryError("no memory for the packed term")
    memcpy(more, p.frames, bytes)
    if p.frames != p.home:
        free(p.frames)
    p.frames = more
    p.cap *= 2
    return 0


cdef int refuse_loop(packer_t* p, PyObject* origin) except -1:
    """Raise if one of the containers that are being packed stands inside itself. Called so seldom that it is free."""
    cdef size_t i, j
    cdef PyObject* top = p.frames[p.depth - 1].origin
    for i in range(p.depth - 1):
        if p.frames[i].origin == top or p.frames[i].origin == origin:
            raise BadArgument(
                f"a {type(<object>p.frames[i].origin).__name__} contains itself: such a thing has no packed form")
    return 0


cdef int refuse_deep(packer_t* p) except -1:
    """Raise if the term is nested too deep, or a key of a map is. Called each KEY_DEPTH levels."""
    cdef size_t i
    if p.depth >= DEPTH_MAX:
        raise TermTooLarge(f"a term is nested at most {DEPTH_MAX} deep: store it in parts")
    for i in range(p.depth - KEY_DEPTH + 1):
        if p.frames[i].low == LOW_MAP and p.frames[i].next <= p.frames[i].count // 2:
            raise TermTooLarge(f"a key of a map is nested at most {KEY_DEPTH} deep")
    return 0


cdef void frame_drop(packer_t* p) noexcept:
    cdef frame_t* frame = &p.frames[p.depth - 1]
    p.depth -= 1
    free(frame.keys)
    free(frame.key_bodies)
    c_decref(frame.hold)


# ---- maps: keys first, put in order, then keys and values together

cdef int compare_keys(const void* a, const void* b) noexcept nogil:
    cdef const map_key_t* x = <const map_key_t*>a
    cdef const map_key_t* y = <const map_key_t*>b
    cdef size_t n = x.form_len if x.form_len < y.form_len else y.form_len
    cdef int order = memcmp(x.form, y.form, n)
    if order:
        return order
    return (x.form_len > y.form_len) - (x.form_len < y.form_len)


cdef int sort_keys(map_key_t* keys, size_t n, const cell_t* cells, buf_t* forms) noexcept nogil:
    """Fill `keys` from the cells 0, 2, 4, ... of an open body, and put them in exact order."""
    cdef const char* base = <const char*>(cells - 1)
    cdef size_t i
    cdef int status
    for i in range(n):
        keys[i].item = i
        keys[i].cell = cells[2 * i]
        keys[i].form_at = forms.len
        status = term_order_key(cells[2 * i], base, forms, True)
        if status != ST_OK:
            return status
        keys[i].form_len = forms.len - keys[i].form_at
    for i in range(n):
        keys[i].form = forms.data + keys[i].form_at
    qsort(keys, n, sizeof(map_key_t), compare_keys)
    return ST_OK


cdef int map_order(packer_t* p, frame_t* frame) except -1:
    """All keys have been packed, in the dict's order. Sort them, and set the map back to its beginning: key_bodies has
    their bodies from now on."""
    cdef size_t n = frame.count // 2, i
    cdef size_t head = (1 + frame.count) * 8
    cdef size_t bodies = p.out.len - frame.at - head
    cdef char[1024] home
    cdef buf_t forms
    cdef int status
    frame.keys = <map_key_t*>malloc(n * sizeof(map_key_t))
    frame.key_bodies = <char*>malloc(head + bodies)
    if frame.keys == NULL or frame.key_bodies == NULL:
        raise MemoryError("no memory for the packed term")
    buf_init(&forms, home, sizeof(home))
    try:
        status = sort_keys(frame.keys, n, <const cell_t*>(p.out.data + frame.at + 8), &forms)
        if status != ST_OK:
            pack_error(status)
        for i in range(1, n):
            if compare_keys(&frame.keys[i - 1], &frame.keys[i]) == 0:
                raise BadArgument(
                    f"two keys of the map are one term: {shown(<object>frame.items[2 * frame.keys[i - 1].item])} "
                    f"and {shown(<object>frame.items[2 * frame.keys[i].item])}")
    finally:
        buf_free(&forms)
    memcpy(frame.key_bodies + head, p.out.data + frame.at + head, bodies)
    p.out.len = frame.at + head
    return 0


cdef int map_step(packer_t* p, frame_t* frame) except -1:
    """The next key or value. The first half of the steps packs the keys."""
    cdef size_t n = frame.count // 2, step = frame.next
    cdef map_key_t* key
    cdef int status
    frame.next += 1
    if step < n:
        return pack_value(p, frame.at, 2 * step, frame.items[2 * step])
    if n == 1:
        return pack_value(p, frame.at, 1, frame.items[1])
    if step == n:
        map_order(p, frame)
    key = &frame.keys[step - n]
    status = row_add_term(p.out, frame.at, 2 * (step - n), key.cell, frame.key_bodies)
    if status != ST_OK:
        pack_error(status)
    return pack_value(p, frame.at, 2 * (step - n) + 1, frame.items[2 * key.item + 1])


cdef bint inside_key(packer_t* p) noexcept:
    """Is what is being packed part of a key, of the row or of a map?"""
    cdef size_t i
    if p.ctx.keypos >= 0 and p.depth and <Py_ssize_t>p.frames[0].next - 1 == p.ctx.keypos:
        return True
    for i in range(p.depth):
        if p.frames[i].low == LOW_MAP and p.frames[i].next <= p.frames[i].count // 2:
            return True
    return False


# ---- one value

cdef int pack_value(packer_t* p, size_t at, size_t i, PyObject* o) except -1:
    cdef int status = pack_scalar(p.out, at, i, o)
    if status == ST_OK:
        if Py_TYPE(o) == &PyFloat_Type and isnan(PyFloat_AS_DOUBLE(o)) and inside_key(p):
            pack_error(ST_NOT_STORABLE)
        return 0
    if status != PACK_OTHER:
        pack_error(status)
    return pack_other(p, at, i, <object>o)


cdef int pack_other(packer_t* p, size_t at, size_t i, object o) except -1:
    """Everything that pack_scalar leaves: by exact type, registered types, enums, then subclasses as their bases."""
    cdef PyTypeObject* type_ = Py_TYPE(<PyObject*>o)
    cdef int done
    if type_ == &PyTuple_Type:
        return pack_sequence(p, at, i, <tuple>o, LOW_TUPLE, LOW_NO_TUPLE, o)
    if type_ == &PyList_Type:
        return pack_sequence(p, at, i, PyList_AsTuple(o), LOW_LIST, LOW_NIL, o)
    if type_ == &PyDict_Type:
        return pack_dict(p, at, i, o)
    if type_ == &PyLong_Type:
        return pack_long(p, at, i, o)
    if type_ == &PyUnicode_Type:
        raise BadArgument(f"text with a lone surrogate has no UTF-8 form: {shown(o)}. Store it as bytes")
    done = pack_own(p, at, i, o)
    if done != PACK_OTHER:
        return done
    extension = extension_of(o)
    if extension is not None:
        return pack_extension(p, at, i, o, <_Extension>extension)
    return pack_subclass(p, at, i, o)


cdef int pack_sequence(packer_t* p, size_t at, size_t i, tuple items, int low, int low_empty, object origin) except -1:
    cdef size_t n = len(items)
    if n == 0:
        set_cell(p.out, at, i, low_empty)
        return 0
    return frame_push(p, low, items, <PyObject*>origin, n, i)


cdef int pack_dict(packer_t* p, size_t at, size_t i, object o) except -1:
    cdef list items = PyDict_Items(o)
    cdef tuple flat
    cdef size_t n = len(items), j
    if n == 0:
        set_cell(p.out, at, i, LOW_NO_MAP)
        return 0
    flat = PyTuple_New(2 * n)
    for j in range(n):
        pair = <tuple>items[j]
        for k in range(2):
            value = pair[k]
            Py_INCREF(value)
            c_tuple_set(<PyObject*>flat, 2 * j + k, <PyObject*>value)
    return frame_push(p, LOW_MAP, flat, <PyObject*>o, 2 * n, i)


cdef int pack_long(packer_t* p, size_t at, size_t i, object o) except -1:
    """An int of any size, or of a subclass of int."""
    cdef size_t bits = int.bit_length(o)
    cdef bytes magnitude
    cdef bint negative = o < 0
    if bits <= 62:
        set_cell(p.out, at, i, cell_int(<int64_t>int.__index__(o)))
        return 0
    if bits > 8 * LENGTH_MAX:
        pack_error(ST_TOO_LARGE)
    if negative and bits == 63 and o == INT63_MIN:
        set_cell(p.out, at, i, cell_int(INT63_MIN))
        return 0
    magnitude = int.to_bytes(int.__abs__(o), (bits + 7) // 8, "little")
    cdef int low = LOW_NEGATIVE if negative else LOW_POSITIVE
    cdef int status = add_leaf(p.out, at, i, low, PyBytes_AS_STRING(magnitude), PyBytes_GET_SIZE(magnitude))
    return pack_error(status) if status != ST_OK else 0


cdef int pack_bytes(packer_t* p, size_t at, size_t i, bytes data) except -1:
    cdef int status = row_add_binary(p.out, at, i, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), False)
    return pack_error(status) if status != ST_OK else 0


cdef int pack_bits(packer_t* p, size_t at, size_t i, Bits o) except -1:
    cdef size_t n = PyBytes_GET_SIZE(o.data)
    cdef int status = leaf_status(p.out, at, n + 1)
    cdef char* body
    if status == ST_OK:
        body = grow_leaf(p.out, at, i, LOW_BITS, n + 1)
        if body != NULL:
            body[0] = <char>(o.nbits % 8)
            memcpy(body + 1, PyBytes_AS_STRING(o.data), n)
            return 0
        status = ST_NO_MEMORY
    return pack_error(status)


cdef int pack_own(packer_t* p, size_t at, size_t i, object o) except -1:
    """The types without elements that are neither plain nor registered, and codec_types.pxi's; else PACK_OTHER."""
    cdef object type_ = type(o)
    if type_ is bytearray or type_ is memoryview:
        return pack_bytes(p, at, i, bytes(o))
    if type_ is Bits:
        return pack_bits(p, at, i, <Bits>o)
    if type_ is ImproperList:
        return frame_push(p, LOW_IMPROPER, (<ImproperList>o).cells, <PyObject*>o, len((<ImproperList>o).cells), i)
    if type_ is Pid:
        return frame_push(p, LOW_PID, (<Pid>o).fields(), <PyObject*>o, 4, i)
    if type_ is Reference:
        items = ((<Reference>o).node, (<Reference>o).creation, *(<Reference>o).words)
        return frame_push(p, LOW_REF, items, <PyObject*>o, len(items), i)
    if type_ is Port:
        return frame_push(p, LOW_PORT, ((<Port>o).node, (<Port>o).id, (<Port>o).creation), <PyObject*>o, 3, i)
    if type_ is Packed:
        return pack_packed(p, at, i, <Packed>o)
    if type_ is not Fun:
        return PACK_OTHER
    if (<Fun>o).kind == "export":
        return frame_push(p, LOW_FUN, (ATOM_OBJECT_EXPORT, *(<Fun>o).fields), <PyObject*>o, 4, i)
    items = (
        ATOM_OBJECT_LOCAL, *(<Fun>o).fields[:4], (<Fun>o).fields[4] | (<Fun>o).old_index_ahead() << 8,
        (<Fun>o).fields[5], list((<Fun>o).fields[6]))
    frame_push(p, LOW_FUN, items, <PyObject*>o, FUN_CELLS, i)
    set_flags(p.out, p.frames[p.depth - 1].at, HAS_MARKS)
    return 0


cdef int pack_packed(packer_t* p, size_t at, size_t i, Packed o) except -1:
    cdef const uint64_t* row = packed_row(o)
    cdef int status = row_add_term(p.out, at, i, row_cell(row, 0), <const char*>row)
    return pack_error(status) if status != ST_OK else 0


cdef int pack_extension(packer_t* p, size_t at, size_t i, object o, _Extension extension) except -1:
    return frame_push(p, LOW_EXT, (extension.atom, extension.encode(o)), <PyObject*>o, 2, i)


cdef int pack_subclass(packer_t* p, size_t at, size_t i, object o) except -1:
    """An object of a subclass of a plain type counts as one of that type; any other object becomes a reference term."""
    cdef object plain
    if isinstance(o, tuple):
        return pack_sequence(p, at, i, PyTuple_GetSlice(o, 0, c_tuple_size(<PyObject*>o)), LOW_TUPLE, LOW_NO_TUPLE, o)
    if isinstance(o, list):
        return pack_sequence(p, at, i, PyList_AsTuple(o), LOW_LIST, LOW_NIL, o)
    if isinstance(o, dict):
        return pack_dict(p, at, i, o)
    if isinstance(o, int):
        return pack_long(p, at, i, o)
    if isinstance(o, float):
        plain = PyFloat_FromDouble(PyFloat_AS_DOUBLE(<PyObject*>o))
        return pack_value(p, at, i, <PyObject*>plain)
    if isinstance(o, str):
        plain = PyUnicode_FromObject(o)
        return pack_value(p, at, i, <PyObject*>plain)
    if isinstance(o, bytes):
        return pack_bytes(p, at, i, PyBytes_FromStringAndSize(PyBytes_AS_STRING(o), PyBytes_GET_SIZE(o)))
    if isinstance(o, bytearray):
        return pack_bytes(p, at, i, bytes(o))
    return pack_object(p, at, i, o)


cdef int pack_object(packer_t* p, size_t at, size_t i, object o) except -1:
    """A reference term."""
    cdef uint32_t* more
    if p.ctx == NULL or not p.ctx.allow_objects:
        raise BadType(
            f"a {type(o).__name__} has no packed form, and an object kept by reference cannot stand here: {shown(o)}. "
            "See register_term")
    if inside_key(p):
        raise BadType(f"a {type(o).__name__} has no packed form, so it cannot be a key or a part of one: {shown(o)}")
    if p.slot_count == p.slot_cap:
        more = <uint32_t*>realloc(p.slots, (p.slot_cap * 2 + 8) * sizeof(uint32_t))
        if more == NULL:
            raise MemoryError("no memory for the packed term")
        p.slots = more
        p.slot_cap = p.slot_cap * 2 + 8
    p.slots[p.slot_count] = object_put(p.ctx.owner, o)
    set_flags(p.out, at, HAS_OBJECT)
    set_cell(p.out, at, i, <cell_t>p.slots[p.slot_count] << 32 | LOW_OBJECT)
    p.slot_count += 1
    return 0


# ---- whole terms

cdef int pack_run(packer_t* p) except -1:
    """Go on until the outermost container is closed."""
    cdef frame_t* frame
    cdef uint64_t flags
    cdef size_t i
    cdef int status
    while p.depth:
        frame = &p.frames[p.depth - 1]
        if frame.low == LOW_MAP and frame.next < frame.count:
            map_step(p, frame)
        elif frame.next < frame.count:
            i = frame.next
            frame.next += 1
            pack_value(p, frame.at, i, frame.items[i])
        else:
            status = close_body(p.out, frame.at)
            if status != ST_OK:
                pack_error(status)
            flags = (<uint64_t*>(p.out.data + frame.at))[0] & FLAGS_BELOW
            frame_drop(p)
            if p.depth:
                set_flags(p.out, p.frames[p.depth - 1].at, flags)
    return 0


cdef void pack_end(packer_t* p, bint failed) noexcept:
    """Give everything back; after a failure the slots of reference terms too."""
    while p.depth:
        frame_drop(p)
    if failed:
        while p.slot_count:
            p.slot_count -= 1
            object_drop(p.ctx.owner, p.slots[p.slot_count])
    free(p.slots)
    if p.frames != p.home:
        free(p.frames)


cdef int pack_rest(object items, buf_t* out, size_t* at, pack_ctx_t* ctx, size_t first) except -1:
    """Pack the tuple as a row whose first cells have been written already."""
    cdef packer_t p
    cdef bint failed = True
    cdef pack_ctx_t none
    if ctx == NULL:
        none.allow_objects = False
        none.keypos = -1
        none.owner = NULL
        ctx = &none
    p.out = out
    p.ctx = ctx
    p.frames = p.home
    p.cap = FRAMES_HOME
    p.depth = 1
    p.root = at[0]
    p.slots = NULL
    p.slot_count = p.slot_cap = 0
    Py_INCREF(items)
    p.frames[0].hold = <PyObject*>items
    p.frames[0].items = tuple_items(<PyObject*>items)
    p.frames[0].origin = <PyObject*>items
    p.frames[0].count = c_tuple_size(<PyObject*>items)
    p.frames[0].next = first
    p.frames[0].at = at[0]
    p.frames[0].low = LOW_TUPLE
    p.frames[0].keys = NULL
    p.frames[0].key_bodies = NULL
    try:
        pack_run(&p)
        failed = False
    finally:
        pack_end(&p, failed)
    return 0


cdef int encode_row(object row, buf_t* out, size_t* at, pack_ctx_t* ctx) except -1:
    """Append a tuple as a row, at out.data + *at. The buffer's home must be aligned to 8 bytes. BadArgument, BadType,
    TermTooLarge, MemoryError, or what an encoder raises; the buffer holds garbage behind its old len then."""
    cdef size_t n = c_tuple_size(<PyObject*>row), i
    cdef PyObject** items = tuple_items(<PyObject*>row)
    cdef int status = open_body(out, n, at)
    if status != ST_OK:
        return pack_error(status)
    for i in range(n):
        status = pack_scalar(out, at[0], i, items[i])
        if status != ST_OK:
            if status != PACK_OTHER:
                return pack_error(status)
            refuse_nan(out, at[0], ctx, i)
            return pack_rest(row, out, at, ctx, i)
    refuse_nan(out, at[0], ctx, n)
    status = close_body(out, at[0])
    return pack_error(status) if status != ST_OK else 0


cdef inline int refuse_nan(buf_t* out, size_t at, pack_ctx_t* ctx, size_t n) except -1:
    """Raise if the key is NaN, and among the first n elements, all of which are scalars."""
    cdef uint64_t* row = <uint64_t*>(out.data + at)
    if not row[0] & HAS_NAN or ctx == NULL or ctx.keypos < 0 or <size_t>ctx.keypos >= n:
        return 0
    cdef cell_t key = row_cell(row, ctx.keypos)
    if cell_low(key) == LOW_FLOAT and isnan(term_float(key, <const char*>row)):
        return pack_error(ST_NOT_STORABLE)
    return 0


cdef int encode_key(object key, probe_t* p, buf_t* scratch) except -1:
    """A key as a probe. It may point into `key` and into `scratch`, which both have to outlive it. Integers that fit a
    cell, ASCII text and bytes are not copied. BadArgument for NaN, BadType for what could only be a reference term,
    anywhere in the key."""
    cdef PyObject* o = <PyObject*>key
    cdef PyTypeObject* type_ = Py_TYPE(o)
    cdef int64_t value
    cdef const char* data = NULL
    cdef size_t n = 0
    if type_ == &PyLong_Type:
        if small_int(o, &value) and fits_cell(value):
            p.cell = cell_int(value)
            p.base = NULL
            p.hash = hash_cell(p.cell)
            return 0
    elif type_ == &PyUnicode_Type:
        data = ascii_text(o, &n)
        if data == NULL:
            return encode_packed(key, p, scratch)
        return probe_bytes(p, data, n, TEXT_MARK)
    elif type_ == &PyBytes_Type:
        return probe_bytes(p, c_bytes_data(o), c_bytes_size(o), 0)
    return encode_packed(key, p, scratch)


cdef inline int probe_bytes(probe_t* p, const char* data, size_t n, cell_t mark) except -1:
    """probe_binary, but the cell keeps the text mark, so that a row that is made of the probe has it too."""
    cdef int status = probe_binary(p, data, n)
    p.cell |= mark
    return pack_error(status) if status != ST_OK else 0


cdef int encode_packed(object key, probe_t* p, buf_t* scratch) except -1:
    """Any key, packed as the only element of a row in `scratch`."""
    cdef pack_ctx_t ctx
    cdef size_t at = 0
    cdef tuple row = (key,)
    ctx.allow_objects = False
    ctx.keypos = 0
    ctx.owner = NULL
    encode_row(row, scratch, &at, &ctx)
    probe_term(p, row_cell(<uint64_t*>(scratch.data + at), 0), scratch.data + at)
    return 0


# ---- unpacking

cdef struct open_t:
    PyObject* object           # the tuple or list that takes the elements; ours
    const uint64_t* body
    size_t next
    size_t count
    int low

cdef struct unpacker_t:
    void* owner                # for object_get
    open_t* levels
    size_t depth
    size_t cap
    open_t[FRAMES_HOME] home


cdef PyObject* decode_binary(cell_t c, const char* p, size_t n) except NULL:
    """bytes, or text if it is marked so. Marked bytes that are no UTF-8 come back as bytes: the mark is a wish."""
    cdef PyObject* text
    if not term_is_text(c):
        return c_bytes(p, n)
    if n > 1 and is_ascii(p, n):
        text = ascii_str(p, n)
        if text == NULL:
            raise MemoryError()
        return text
    try:
        return c_decode(p, n, NULL)
    except UnicodeDecodeError:
        return c_bytes(p, n)


cdef PyObject* decode_big(const char* p, size_t n, bint negative) except NULL:
    value = int.from_bytes(PyBytes_FromStringAndSize(p, n), "little")
    if negative:
        value = -value
    Py_INCREF(value)
    return <PyObject*>value


cdef PyObject* decode_rare(cell_t c, const char* base, void* owner) except NULL:
    """The terms without elements that decode_leaf leaves."""
    cdef int low = cell_low(c)
    cdef object value
    if low == LOW_NIL:
        value = []
    elif low == LOW_NO_TUPLE:
        value = ()
    elif low == LOW_NO_MAP:
        value = {}
    elif low == LOW_BITS:
        value = decode_bits(cell_at(c, base), cell_length(c))
    elif low == LOW_POSITIVE or low == LOW_NEGATIVE:
        return decode_big(cell_at(c, base), cell_length(c), low == LOW_NEGATIVE)
    elif low == LOW_OBJECT:
        if owner == NULL:
            raise BadType("an object kept by reference cannot leave the table here")
        value = object_get(owner, <uint32_t>(c >> 32))
    else:
        raise SystemError(f"no term has the cell {c:#x}")
    Py_INCREF(value)
    return <PyObject*>value


cdef object decode_bits(const char* p, size_t n):
    return Bits(PyBytes_FromStringAndSize(p + 1, n - 1), (n - 2) * 8 + p[0])


cdef inline PyObject* decode_leaf(cell_t c, const char* base, void* owner) except NULL:
    """Any term that has no elements, as a new reference."""
    cdef char[8] spelled
    cdef PyObject* o
    cdef int low
    if cell_is_int(c):
        return c_long(term_int(c))
    low = cell_low(c)
    if (low & 0xF) == LOW_INLINE:
        store64(spelled, c >> 8)
        return decode_binary(c, spelled, (c >> 4) & 7)
    if (low & 0x7F) == LOW_BINARY:
        return decode_binary(c, cell_at(c, base), cell_length(c))
    if low == LOW_ATOM:
        return decode_atom(c)
    if low == LOW_FLOAT:
        return c_float(term_float(c, base))
    return decode_rare(c, base, owner)


cdef inline PyObject* decode_atom(cell_t c) except NULL:
    value = atom_object(c)
    Py_INCREF(value)
    return <PyObject*>value


cdef int open_box(unpacker_t* u, cell_t c, const uint64_t* body) except -1:
    cdef open_t* level
    cdef open_t* more
    if u.depth == u.cap:
        more = <open_t*>malloc(u.cap * 2 * sizeof(open_t))
        if more == NULL:
            raise MemoryError("no memory to unpack the term")
        memcpy(more, u.levels, u.cap * sizeof(open_t))
        if u.levels != u.home:
            free(u.levels)
        u.levels = more
        u.cap *= 2
    level = &u.levels[u.depth]
    level.body = body
    level.next = 0
    level.count = header_count(body[0])
    level.low = cell_low(c)
    level.object = c_list_new(level.count) if level.low == LOW_LIST else c_tuple_new(level.count)
    c_untrack(level.object)                                    # until it is whole
    u.depth += 1
    return 0


cdef PyObject* close_box(open_t* level) except NULL:
    """All elements are there: the object, as a new reference. The level's own reference is given up in any case."""
    cdef object parts = <object>level.object
    cdef object value
    c_track(level.object)
    c_decref(level.object)
    level.object = NULL
    if level.low == LOW_TUPLE or level.low == LOW_LIST:
        value = parts
    elif level.low == LOW_MAP:
        value = make_dict(<tuple>parts)
    elif level.low == LOW_EXT:
        value = make_extension(parts[0], parts[1])
    elif level.low == LOW_IMPROPER:
        value = ImproperList.__new__(ImproperList, parts[:len(parts) - 1], parts[len(parts) - 1])
    elif level.low == LOW_PID:
        value = Pid.__new__(Pid, *parts)
    elif level.low == LOW_REF:
        value = Reference.__new__(Reference, parts[0], parts[1], parts[2:])
    elif level.low == LOW_PORT:
        value = Port.__new__(Port, *parts)
    elif parts[0] is ATOM_OBJECT_EXPORT:
        value = Fun.__new__(Fun, "export", *parts[1:])
    else:
        old_index = (parts[2] + (parts[5] >> 8)) % 2**32
        value = Fun.__new__(Fun, "local", *parts[1:5], parts[5] & 0xFF, *parts[6:], old_index)
    Py_INCREF(value)
    return <PyObject*>value


cdef dict make_dict(tuple parts):
    cdef dict value = {}
    cdef size_t i, n = len(parts) // 2
    for i in range(n):
        try:
            PyDict_SetItem(value, parts[2 * i], parts[2 * i + 1])
        except TypeError:
            raise BadType(f"a map has a key that cannot be the key of a dict: {shown(parts[2 * i])}") from None
    if <size_t>len(value) != n:
        raise BadArgument(f"a map has keys that are one key to a dict, such as 1 and 1.0: {shown(parts[::2])}")
    return value


cdef PyObject* unpack_run(unpacker_t* u) except NULL:
    cdef open_t* top
    cdef PyObject* value
    cdef cell_t c
    while True:
        top = &u.levels[u.depth - 1]
        if top.next < top.count:
            c = top.body[1 + top.next]
            if cell_is_box(c):
                open_box(u, c, <const uint64_t*>cell_at(c, <const char*>top.body))
                continue
            value = decode_leaf(c, <const char*>top.body, u.owner)
        else:
            value = close_box(top)
            u.depth -= 1
            if u.depth == 0:
                return value
            top = &u.levels[u.depth - 1]
        if top.low == LOW_LIST:
            c_list_set(top.object, top.next, value)
        else:
            c_tuple_set(top.object, top.next, value)
        top.next += 1


cdef object decode_box(cell_t c, const uint64_t* body, void* owner):
    """A container with a body."""
    cdef unpacker_t u
    cdef PyObject* value
    u.owner = owner
    u.levels = u.home
    u.depth = 0
    u.cap = FRAMES_HOME
    try:
        open_box(&u, c, body)
        value = unpack_run(&u)
        result = <object>value
        c_decref(value)
        return result
    finally:
        while u.depth:
            u.depth -= 1
            c_xdecref(u.levels[u.depth].object)
        if u.levels != u.home:
            free(u.levels)


cdef object decode_cell(cell_t c, const char* base, void* owner):
    """Any term. `owner` is for object_get; NULL where no reference term can stand."""
    cdef PyObject* value
    if cell_is_box(c):
        return decode_box(c, <const uint64_t*>cell_at(c, base), owner)
    value = decode_leaf(c, base, owner)
    result = <object>value
    c_decref(value)
    return result


cdef inline bint cell_is_plain(cell_t c) noexcept nogil:
    """Does it become an object that the collector never looks at: an int, float, str or bytes?"""
    return not (c & 1) or (c & 0xF) == LOW_INLINE or ((c & 0xF) == 5 and (c & 0xFF) != LOW_BITS)


cdef object decode_row(const uint64_t* row, void* owner):
    """A row as a tuple. One of plain elements is taken off the collector's list, which would otherwise do so when it
    comes past; with a million rows that is a third of the time."""
    cdef size_t n = header_count(row[0]), i
    cdef tuple result
    cdef bint plain = True
    for i in range(n):
        if cell_is_box(row[1 + i]):
            return decode_box(cell_body(LOW_TUPLE, n, 0), row, owner)
        plain = plain and cell_is_plain(row[1 + i])
    result = PyTuple_New(n)
    for i in range(n):
        c_tuple_set(<PyObject*>result, i, decode_leaf(row[1 + i], <const char*>row, owner))
    if plain:
        PyObject_GC_UnTrack(<PyObject*>result)
    return result


cdef inline bint key_serves(PyObject* key, cell_t c) noexcept:
    """A row was found by `key`: can the key itself be given back for its cell? Where nobody can tell it from a copy."""
    cdef PyTypeObject* type_ = Py_TYPE(key)
    if type_ == &PyLong_Type:
        return cell_is_int(c) or term_kind(c) == K_BIG          # an ordered table finds 1.0 by 1
    if type_ == &PyUnicode_Type:
        return term_is_text(c)
    return type_ == &PyBytes_Type and not term_is_text(c)


cdef object decode_found(const uint64_t* row, size_t keypos, object key, void* owner):
    """A row as a tuple that shares the key it was found by, unless it has containers."""
    cdef size_t n = header_count(row[0]), i
    cdef cell_t c
    cdef tuple result
    for i in range(n):
        if cell_is_box(row[1 + i]):
            return decode_row(row, owner)
    result = PyTuple_New(n)
    for i in range(n):
        c = row[1 + i]
        if i == keypos and key_serves(<PyObject*>key, c):
            c_incref(<PyObject*>key)
            c_tuple_set(<PyObject*>result, i, <PyObject*>key)
        elif cell_is_int(c):
            c_tuple_set(<PyObject*>result, i, c_long(term_int(c)))
        else:
            c_tuple_set(<PyObject*>result, i, decode_leaf(c, <const char*>row, owner))
    return result


# ---- functions for tests

cdef struct packed_t:
    buf_t buffer
    size_t at
    char[512] home


cdef int pack_alone(object term, packed_t* packed) except -1:
    """A term as the only cell of a row. The caller frees the buffer, also after an exception."""
    cdef tuple row = (term,)
    return encode_row(row, &packed.buffer, &packed.at, NULL)


def order_key(term, /):
    """Answer the order-preserving form of a term: comparing two as bytes is Erlang's term order."""
    cdef packed_t packed
    cdef buf_t out
    cdef const uint64_t* row
    cdef int status
    buf_init(&packed.buffer, packed.home, sizeof(packed.home))
    buf_init(&out, NULL, 0)
    try:
        pack_alone(term, &packed)
        row = <const uint64_t*>(packed.buffer.data + packed.at)
        status = term_order_key(row_cell(row, 0), <const char*>row, &out, False)
        if status != ST_OK:
            pack_error(status)
        return PyBytes_FromStringAndSize(out.data, out.len)
    finally:
        buf_free(&out)
        buf_free(&packed.buffer)


def exact_hash(term, /):
    """Answer the hash of the exact form, 64 bits, the same within one process."""
    cdef packed_t packed
    cdef const uint64_t* row
    buf_init(&packed.buffer, packed.home, sizeof(packed.home))
    try:
        pack_alone(term, &packed)
        row = <const uint64_t*>(packed.buffer.data + packed.at)
        return term_hash(row_cell(row, 0), <const char*>row)
    finally:
        buf_free(&packed.buffer)


def term_roundtrip(term, /):
    """Pack a term and answer what comes back."""
    cdef packed_t packed
    cdef const uint64_t* row
    buf_init(&packed.buffer, packed.home, sizeof(packed.home))
    try:
        pack_alone(term, &packed)
        row = <const uint64_t*>(packed.buffer.data + packed.at)
        return decode_cell(row_cell(row, 0), <const char*>row, NULL)
    finally:
        buf_free(&packed.buffer)


def exact_equal(a, b, /):
    """Answer whether two terms are =:=."""
    cdef packed_t x, y
    cdef const uint64_t* p
    cdef const uint64_t* q
    buf_init(&x.buffer, x.home, sizeof(x.home))
    buf_init(&y.buffer, y.home, sizeof(y.home))
    try:
        pack_alone(a, &x)
        pack_alone(b, &y)
        p = <const uint64_t*>(x.buffer.data + x.at)
        q = <const uint64_t*>(y.buffer.data + y.at)
        return bool(term_equal(row_cell(p, 0), <const char*>p, row_cell(q, 0), <const char*>q))
    finally:
        buf_free(&x.buffer)
        buf_free(&y.buffer)


def _integers(a, b, /):
    """Answer a + b, how a compares with b (-1, 0, 1), and a as text, all computed on packed integers."""
    cdef packed_t x, y
    cdef buf_t out
    cdef size_t at = 0
    cdef cell_t total = 0
    cdef const uint64_t* p
    cdef const uint64_t* q
    cdef int status
    buf_init(&x.buffer, x.home, sizeof(x.home))
    buf_init(&y.buffer, y.home, sizeof(y.home))
    buf_init(&out, NULL, 0)
    try:
        pack_alone(a, &x)
        pack_alone(b, &y)
        p = <const uint64_t*>(x.buffer.data + x.at)
        q = <const uint64_t*>(y.buffer.data + y.at)
        status = int_add(row_cell(p, 0), <const char*>p, row_cell(q, 0), <const char*>q, &out, &at, &total)
        if status != ST_OK:
            pack_error(status)
        value = decode_cell(total, out.data + at, NULL)
        order = int_compare(row_cell(p, 0), <const char*>p, row_cell(q, 0), <const char*>q)
        out.len = 0
        status = term_big_decimal(row_cell(p, 0), <const char*>p, &out)
        if status != ST_OK:
            pack_error(status)
        return value, order, out.data[:out.len].decode()
    finally:
        buf_free(&x.buffer)
        buf_free(&y.buffer)
        buf_free(&out)
