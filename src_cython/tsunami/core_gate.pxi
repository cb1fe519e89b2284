# The gate's Python face: for a while the calling thread alone has some keys, or whole tables.
#
# What it is: `hold`, a context manager over c/lock.h's gate. Its owner runs Python, and any number of ordinary
# operations, while every other thread that comes to a gated stripe waits, without the GIL. So steps of any length are
# atomic for all doors at once: commands over values of several parts, transactions, scripts.
#
# What it is not: a lock on rows. What is gated are stripes, so other keys may have to wait too; and it is for one
# thread at a time in the whole process, so it is kept for as short a time as its work takes, and never while waiting
# for anybody. Only keyspaces are gated, which nobody deletes, renames or owns: so whoever holds one of the locks of
# Python's side (core_session.pxi) never comes to a gate.
#
# What must stay true:
#
# 1. The array of gated locks is the owner's: nobody else touches it, whatever becomes of the GIL meanwhile.
# 2. Holds nest. What an inner one has gated stays gated until the outermost ends.
# 3. A table whose stripes are gated is not freed.

cdef struct gated_t:
    ts_lock_t* lock
    table_t* table              # retained for this lock, and those behind it without one; NULL

cdef gated_t* gated = NULL
cdef size_t gated_len = 0
cdef size_t gated_cap = 0

cdef void* gil_leave() noexcept nogil:
    return PyEval_SaveThread() if PyGILState_Check() else NULL

cdef void gil_return(void* state) noexcept nogil:
    PyEval_RestoreThread(<PyThreadState*>state)

cdef extern from "Python.h" nogil:
    ctypedef struct PyThreadState:
        pass
    int PyGILState_Check()
    PyThreadState* PyEval_SaveThread()
    void PyEval_RestoreThread(PyThreadState* state)

cdef int gate_reserve(size_t more) noexcept nogil:
    cdef size_t cap = gated_cap if gated_cap else 64
    cdef gated_t* room
    global gated, gated_cap
    if gated_cap - gated_len >= more:
        return ST_OK
    while cap - gated_len < more:
        cap *= 2
    room = <gated_t*>realloc(gated, cap * sizeof(gated_t))
    if room == NULL:
        return ST_NO_MEMORY
    gated = room
    gated_cap = cap
    return ST_OK

cdef void gate_stripe(table_t* t, stripe_t* s) noexcept nogil:
    """Gate one stripe, for which there is room."""
    global gated_len
    if ts_gate_close(&s.lock):
        table_retain(t)
        gated[gated_len].lock = &s.lock
        gated[gated_len].table = t
        gated_len += 1

cdef void gate_enter() noexcept nogil:
    """Begin to be alone; every call needs its gate_drop. Waits, without the GIL, for whoever is alone now."""
    ts_gate_enter()

cdef int gate_table(table_t* t) noexcept nogil:
    """Gate all of a table; it is retained once."""
    cdef size_t i, n = table_stripes(t), before = gated_len
    cdef int st = gate_reserve(n)
    global gated_len
    if st != ST_OK:
        return st
    for i in range(n):
        if ts_gate_close(&t.stripes[i].lock):
            gated[gated_len].lock = &t.stripes[i].lock
            gated[gated_len].table = NULL
            gated_len += 1
    if gated_len != before:
        table_retain(t)
        gated[before].table = t
    return ST_OK

cdef void gate_drop() noexcept nogil:
    """One level up; from the outermost: open all."""
    cdef size_t i, n
    global gated_len
    if not ts_gate_leave():
        return
    n = gated_len
    gated_len = 0
    for i in range(n):
        ts_gate_open(gated[i].lock)
    for i in range(n):
        if gated[i].table != NULL:
            table_release(gated[i].table)
    ts_gate_end()


@cython.final
cdef class hold:
    """For the length of a `with`, keep other threads from these keys of a table; without keys, from the whole table.

    Operations of other threads on them wait, and their GIL is free meanwhile; the holder's own go through. O(keys), or
    O(stripes) without keys. Only for a moment: there is one holder at a time, whatever it holds.

    >>> from tsunami import Table
    >>> t = Table()
    >>> with hold(t, "a", "b"):
    ...     t.insert([("a", 1), ("b", 2)])
    ...     t["a"], t["b"]
    True
    (('a', 1), ('b', 2))
    """

    cdef Table table
    cdef tuple keys

    def __init__(self, Table table not None, *keys):
        self.table = table
        self.keys = keys

    def __enter__(self):
        ts_gate_enter()
        try:
            self.close()
        except BaseException:
            gate_drop()
            raise
        return self

    def __exit__(self, *exc):
        if not ts_gate_mine():
            raise RuntimeError("hold: it ends in the thread in which it began")
        gate_drop()

    cdef int close(self) except -1:
        cdef table_t* t = self.table.t
        cdef packed_key_t k
        self.table.live()
        if not self.keys:
            if gate_table(t) != ST_OK:
                raise MemoryError
            return 0
        if gate_reserve(<size_t>len(self.keys)) != ST_OK:
            raise MemoryError
        for key in self.keys:
            key_open(key, &k)
            gate_stripe(t, table_stripe(t, k.probe.hash))
            key_close(&k)
        return 0


ts_gil_leave = gil_leave
ts_gil_return = gil_return
