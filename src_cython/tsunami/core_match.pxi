# Match specs from Python: trying one on a term, and what tests want to know of a program. Packs the arguments, runs the
# program without the GIL, unpacks the result; what specs mean is match.pxi's, MatchSpec and queries over tables are
# select's.

cdef object _ms_ok = None, _ms_error = None                          # the atoms, made when first needed


cdef class _Programmed:
    """A term and a spec in one packed row, and the spec's program. Lives as long as one call."""

    cdef packed_t packed
    cdef program_t* program
    cdef buf_t why
    cdef int status

    def __cinit__(self):
        buf_init(&self.packed.buffer, self.packed.home, sizeof(self.packed.home))
        buf_init(&self.why, NULL, 0)
        self.program = NULL
        self.status = ST_OK

    def __dealloc__(self):
        program_release(self.program)
        buf_free(&self.packed.buffer)
        buf_free(&self.why)

    cdef int compile(self, object term, object spec, int kind) except -1:
        """ST_OK, or ST_SPEC with self.why."""
        cdef const uint64_t* row
        cdef int status
        encode_row((term, spec), &self.packed.buffer, &self.packed.at, NULL)
        row = <const uint64_t*>(self.packed.buffer.data + self.packed.at)
        with nogil:
            status = program_compile(row[2], <const char*>row, kind, &self.program, &self.why)
        if status != ST_OK and status != ST_SPEC:
            spec_error(status)
        return status

    cdef list mistakes(self):
        return [(_ms_error, text) for text in self.why.data[:self.why.len].decode("utf-8", "replace").split("\n")]

    cdef object run(self):
        """The result, or None where the term is not selected."""
        cdef const uint64_t* row = <const uint64_t*>(self.packed.buffer.data + self.packed.at)
        cdef run_t run
        cdef int result
        run_open(&run)
        try:
            with nogil:
                result = program_run(&run, self.program, row[1], <const char*>row)
            if result == R_NO_MEMORY:
                raise MemoryError("no memory for the result of a match spec")
            if result == R_NO:
                return None
            if result == R_TRUE:
                return (True,)
            if result == R_ROW:
                return (decode_cell(row[1], <const char*>row, NULL),)
            return (decode_cell(run.cell, run.base, NULL),)
        finally:
            run_close(&run)


cdef int spec_error(int status) except -1:
    """The exception for a spec that did not compile, other than for its mistakes."""
    if status == ST_DEEP:
        raise TermTooLarge("a match spec nested so deep, or so large, has no program: take it apart")
    return pack_error(status)


cdef object tried(object term, object spec, bint details):
    global _ms_ok, _ms_error
    cdef _Programmed p = _Programmed()
    if _ms_ok is None:
        _ms_ok, _ms_error = Atom("ok"), Atom("error")
    if p.compile(term, spec, SPEC) != ST_OK:
        return (_ms_error, p.mistakes())
    result = p.run()
    value = False if result is None else result[0]
    return (_ms_ok, value, [], []) if details else (_ms_ok, value)


def match_spec_test(term, spec, /):
    """Try a match spec on a term, which need not be a row.

    Returns (Atom("ok"), result, [], []), the result being False where no clause matches; or (Atom("error"), mistakes),
    each mistake a pair of the atom error and a text. Like Erlang's match_spec_test/3 for tables.

    >>> match_spec_test((1, 2), [((Atom("_"), Atom("$1")), [], [(Atom("+"), Atom("$1"), 1)])])
    (Atom('ok'), 3, [], [])
    """
    return tried(term, spec, True)


def test_ms(term, spec, /):
    """Try a match spec on a row. Like ets:test_ms/2.

    >>> test_ms((1, 2), [((Atom("$1"), 2), [], [Atom("$1")])])
    (Atom('ok'), 1)
    >>> test_ms((1, 2), [(Atom("_"), [], [Atom("$1")])])
    (Atom('error'), [(Atom('error'), 'Variable $1 is unbound.')])
    """
    return tried(term, spec, False)


# ---- for tests

def _spec_run(term, spec, /):
    """A spec on a term: None, or (result,). BadArgument with the first mistake."""
    cdef _Programmed p = _Programmed()
    if p.compile(term, spec, SPEC) != ST_OK:
        raise BadArgument(p.mistakes()[0][1])
    return p.run()


def _pattern_run(term, pattern, bint bindings, /):
    """A pattern on a term: None, or (bindings or the term,)."""
    cdef _Programmed p = _Programmed()
    if p.compile(term, pattern, PATTERN_BINDINGS if bindings else PATTERN_OBJECT) != ST_OK:
        return p.mistakes()
    return p.run()


def _spec_access(spec, size_t keypos, bint ordered, /):
    """What program_access says: "nothing", "all", [keys], or (low, low_open, high, high_open) with forms or None."""
    cdef _Programmed p = _Programmed()
    cdef access_t a
    if p.compile(None, spec, SPEC) != ST_OK:
        return p.mistakes()
    try:
        if program_access(p.program, keypos, ordered, &a) != ST_OK:
            raise MemoryError("no memory for the access path of a match spec")
        if a.kind == ACCESS_KEYS:
            return [decode_cell(a.keys[i].c, a.keys[i].base, NULL) for i in range(a.n)]
        if a.kind == ACCESS_SPAN:
            return (
                a.low.data[:a.low.len] if a.has_low else None, bool(a.low_open),
                a.high.data[:a.high.len] if a.has_high else None, bool(a.high_open))
        return "all" if a.kind == ACCESS_ALL else "nothing"
    finally:
        access_close(&a)


def _spec_keeps_key(spec, size_t keypos, /):
    """What program_keeps_key says."""
    cdef _Programmed p = _Programmed()
    if p.compile(None, spec, SPEC) != ST_OK:
        return p.mistakes()
    return bool(program_keeps_key(p.program, keypos))


def _spec_codes(spec, /):
    """The opcodes of its program."""
    cdef _Programmed p = _Programmed()
    if p.compile(None, spec, SPEC) != ST_OK:
        return p.mistakes()
    return [p.program.ops[i].code for i in range(p.program.nops)]


def compare(a, b, bint exact=False, /):
    """-1, 0 or 1: the order of two terms, without forms; or their order as keys of a map."""
    cdef packed_t packed
    cdef const uint64_t* row
    buf_init(&packed.buffer, packed.home, sizeof(packed.home))
    try:
        encode_row((a, b), &packed.buffer, &packed.at, NULL)
        row = <const uint64_t*>(packed.buffer.data + packed.at)
        return compare_as(row[1], <const char*>row, row[2], <const char*>row, exact)
    finally:
        buf_free(&packed.buffer)


def _spec_time(term, spec, size_t rounds, /):
    """ns for one run of a spec on a term, cached."""
    cdef _Programmed p = _Programmed()
    cdef const uint64_t* row
    cdef run_t run
    cdef timespec t0, t1
    cdef size_t i
    cdef int sum = 0
    if p.compile(term, spec, SPEC) != ST_OK:
        return p.mistakes()
    row = <const uint64_t*>(p.packed.buffer.data + p.packed.at)
    run_open(&run)
    clock_gettime(CLOCK_REALTIME, &t0)
    for i in range(rounds):
        sum += program_run(&run, p.program, row[1], <const char*>row)
    clock_gettime(CLOCK_REALTIME, &t1)
    run_close(&run)
    return ((t1.tv_sec - t0.tv_sec) * 1e9 + (t1.tv_nsec - t0.tv_nsec)) / rounds, sum // rounds
