# Queries from Python: MatchSpec, Cursor, and what Table's methods for select and its relatives do. Part of core.pxi's
# floor: the methods themselves are thin and stand there.
#
# What it is: the way from what Python gives (clauses, text, a builder's object) to a program, and from packed results
# to Python objects, in rounds: the engine fills one round without the GIL, then its results are decoded with it. So
# other threads wait for a round at most, and the packed copies of a long result never stand in memory all at once.
#
# What it is not: the meaning of specs (match.pxi), the text form (tsunami.querytext, which registers itself here), or
# the run over a table (select.pxi).
#
# A spec that is given as text is compiled once and kept (_texts); a MatchSpec holds its program; a list is compiled
# each time, which costs some microseconds.

cdef object _read_spec = None
cdef object _write_spec = None
cdef object _read_pattern = None
cdef dict _texts = {}
cdef enum:
    TEXTS_KEPT = 512
    ROUND_RESULTS = 2048        # results decoded under one hold of the GIL
    ROUND_BYTES = 1 << 20       # likewise

cdef object LIMIT_MAX = 1 << 59         # ETS: a small integer
cdef object WHOLE_ROW = Atom("$_")
cdef str BAD_SPEC = (
    "a match spec is a list of clauses (head, guards, body), a MatchSpec, the text of a query, or a condition"
)


def _register_query(read_spec, write_spec, read_pattern, /):
    """Tell the engine's door how texts are read and written: read_spec(text, result) and read_pattern(text), which
    raise what they find wrong, and write_spec(clauses)."""
    global _read_spec, _write_spec, _read_pattern
    _read_spec = read_spec
    _write_spec = write_spec
    _read_pattern = read_pattern
    _texts.clear()


cdef class _Program:
    """A compiled spec or pattern. Never changes."""
    cdef const program_t* program

    def __dealloc__(self):
        program_release(self.program)


cdef int program_make(_Program p, object term, int kind) except -1:
    """Compile a term."""
    cdef uint64_t[64] home
    cdef buf_t packed
    cdef buf_t why
    cdef size_t at = 0
    cdef const uint64_t* row
    cdef program_t* program = NULL
    cdef int st
    buf_init(&packed, <char*>home, sizeof(home))
    buf_init(&why, NULL, 0)
    try:
        encode_row((term,), &packed, &at, NULL)
        row = <const uint64_t*>(packed.data + at)
        with nogil:
            st = program_compile(row[1], <const char*>row, kind, &program, &why)
        if st == ST_SPEC:
            raise BadArgument(f"{shown(term)}: " + why.data[:why.len].decode("utf-8", "replace").replace("\n", "; "))
        if st != ST_OK:
            spec_error(st)
        p.program = program
    finally:
        buf_free(&packed)
        buf_free(&why)
    return 0


@cython.final
cdef class MatchSpec(_Program):
    """A compiled match spec: a list of clauses (head, guards, body), checked as a whole. Never changes; threads may
    share it. Two are equal if their clauses are. ETS: match_spec_compile/1.

    clauses: the list; or the text of a query, a condition made with tsunami.row, or another MatchSpec.
    Raises BadArgument, which names every mistake.

    >>> from tsunami import Atom, MatchSpec, Table
    >>> old = MatchSpec([((Atom("$1"), Atom("_"), Atom("$2")), [(Atom(">"), Atom("$2"), 28)], [Atom("$1")])])
    >>> t = Table()
    >>> t.insert([(1, "alice", 30), (2, "bob", 25)]), t.select(old)
    (True, [1])
    """

    def __init__(self, clauses, /):
        cdef MatchSpec given
        if self.program != NULL:
            raise BadType("a match spec is initialised once")
        if type(clauses) is list:
            program_make(self, clauses, SPEC)
            return
        given = spec_of(clauses, WHOLE_ROW, None)
        program_retain(given.program)
        self.program = given.program

    @property
    def clauses(self):
        """The list of the clauses."""
        cdef cell_t spec
        cdef const char* base
        program_spec(compiled(self).program, &spec, &base)
        return decode_cell(spec, base, NULL)

    def __eq__(self, other):
        cdef cell_t a, b
        cdef const char* abase
        cdef const char* bbase
        if not isinstance(other, MatchSpec):
            return NotImplemented
        program_spec(compiled(self).program, &a, &abase)
        program_spec(compiled(<MatchSpec>other).program, &b, &bbase)
        return term_equal(a, abase, b, bbase)

    def __hash__(self):
        cdef cell_t spec
        cdef const char* base
        program_spec(compiled(self).program, &spec, &base)
        return <Py_hash_t>(term_hash(spec, base) >> 2)

    def __str__(self):
        return _write_spec(self.clauses) if _write_spec is not None else repr(self)

    def __repr__(self):
        return f"MatchSpec({self.clauses!r})"

    def __reduce__(self):
        return MatchSpec, (self.clauses,)


cdef inline MatchSpec compiled(MatchSpec spec):
    if spec.program == NULL:
        raise BadType("this match spec has not been initialised")
    return spec

cdef inline object text_keep(tuple key, object made):
    if len(_texts) >= TEXTS_KEPT:
        _texts.clear()
    _texts[key] = made
    return made

cdef MatchSpec spec_of_text(str text, object result):
    cdef tuple key = (text, result)
    known = _texts.get(key)
    if known is not None:
        return known
    if _read_spec is None:
        raise BadType(f"{shown(text)}: nobody has registered how queries are read")
    return text_keep(key, MatchSpec(list(_read_spec(text, result))))

cdef MatchSpec spec_of(object spec, object result, object fields):
    """The compiled form of a spec; None for the empty list, which selects nothing. `result` is the body of clauses that
    say none."""
    if fields is None:
        if type(spec) is MatchSpec:
            return compiled(spec)
        if isinstance(spec, str):
            return spec_of_text(str(spec), result)
        if isinstance(spec, list):
            return MatchSpec(list(spec)) if spec else None
    asked = getattr(type(spec), "__match_spec__", None)
    if asked is not None:
        return MatchSpec(list(asked(spec, result, fields)))
    if fields is not None:
        raise BadArgument(f"fields={shown(fields)} goes with conditions made of tsunami.row, not with {shown(spec)}")
    raise BadType(f"{shown(spec)}: {BAD_SPEC}")

cdef _Program pattern_of(object pattern, int kind):
    cdef _Program made = _Program()
    cdef tuple key = None
    if isinstance(pattern, str) and _read_pattern is not None:
        key = (str(pattern), kind)
        known = _texts.get(key)
        if known is not None:
            return known
        pattern = _read_pattern(str(pattern))
    program_make(made, pattern, kind)
    return text_keep(key, made) if key is not None else made

cdef size_t limit_of(object limit) except? 0:
    if not is_integer(limit):
        raise BadType(f"limit={shown(limit)}: an integer from 1 on")
    if not 1 <= limit < LIMIT_MAX:
        raise BadArgument(f"limit={shown(limit)}: an integer from 1 to {LIMIT_MAX - 1}")
    return limit


# ---- runs

cdef int run_check(Table table, int st, object what) except -1:
    if ts_likely(st == ST_OK):
        return 0
    if st == ST_SPEC:
        raise BadArgument(f"{shown(what)}: a result is not a row with the same key")
    raise fail(table, st, what)

cdef inline object result_decode(const uint64_t* row, void* owner):
    """The term of a one-element row; a tuple is decoded as rows are, which is faster."""
    if (row[1] & 0xFF) == LOW_TUPLE:
        return decode_row(<const uint64_t*>cell_at(row[1], <const char*>row), owner)
    return decode_cell(row[1], <const char*>row, owner)

cdef int results_take(Table table, results_t* r, list out) except -1:
    """Decode a round's results behind what is in `out`."""
    cdef size_t at = 0, i
    cdef const uint64_t* row
    for i in range(r.n):
        row = <const uint64_t*>(r.buf.data + at)
        PyList_Append(out, result_decode(row, <void*>table))
        at += row_words(row) * 8
    return 0

cdef list results_collect(Table table, _Program p, bint backwards, place_t* at, size_t limit):
    """The results behind a place, in rounds; `at` moves."""
    cdef select_t s
    cdef results_t r
    cdef list out = []
    cdef size_t left = limit
    cdef int st
    cdef bint brief
    results_open(&r, table.t)
    st = select_open(&s, table.t, p.program, ACT_COLLECT)
    s.backwards = backwards
    s.out = &r
    s.pause = ROUND_BYTES
    brief = s.access.kind == ACCESS_KEYS and not table.t.methods.bag and s.access.n < 16
    if not brief:
        c_untrack(<PyObject*>out)       # the collector would go through all that is in it, again and again
    try:
        while st == ST_OK and left > 0 and not at.over:
            if brief:
                st = select_step(&s, at, left)
            else:
                with nogil:
                    st = select_step(&s, at, left if left < ROUND_RESULTS else ROUND_RESULTS)
            if st == ST_OK:
                left -= r.n
                results_take(table, &r, out)
                results_clear(&r)
                table.settle()
    finally:
        results_close(&r)
        select_close(&s)
        if not brief:
            c_track(<PyObject*>out)
        table.settle()
    run_check(table, st, p)
    return out

cdef object query_run(Table table, _Program p, bint backwards, object limit):
    """select and match: a list, or with a limit (list, cursor) or END_OF_TABLE."""
    cdef place_t at
    cdef size_t most
    if limit is not None:
        most = limit_of(limit)
        if p is None:
            return END_OF_TABLE_
        return query_page(table, p, backwards, most, NULL)
    if p is None:
        return []
    place_open(&at)
    try:
        return results_collect(table, p, backwards, &at, <size_t>-1)
    finally:
        place_close(&at)

cdef object query_page(Table table, _Program p, bint backwards, size_t limit, const place_t* start):
    """The next `limit` results: (list, cursor), or END_OF_TABLE."""
    cdef Cursor cursor = Cursor.__new__(Cursor)
    cdef list out
    if start != NULL and place_copy(&cursor.at, start) != ST_OK:
        raise MemoryError
    out = results_collect(table, p, backwards, &cursor.at, limit)
    if not out:
        return END_OF_TABLE_
    if cursor.at.over:
        return out, END_OF_TABLE_
    cursor.table = table
    cursor.program = p
    cursor.backwards = backwards
    cursor.limit = limit
    return out, cursor

cdef object query_count(Table table, _Program p, int action, object what):
    """Run an action that comes to a number over the whole table."""
    cdef place_t at
    cdef uint64_t count = 0
    cdef int st
    if p is None:
        return 0
    place_open(&at)
    with nogil:
        st = select_run(table.t, p.program, action, <size_t>-1, &at, False, NULL, &count)
        place_close(&at)
    table.settle()
    run_check(table, st, what)
    return count

cdef object query_replace(Table table, object spec, object fields):
    cdef MatchSpec p
    table.may(RIGHT_WRITE)
    if table.t.methods == &bag_methods:
        raise fail(table, ST_TABLE_TYPE, "select_replace")
    p = spec_of(spec, WHOLE_ROW, fields)
    if p is not None and not program_keeps_key(p.program, table.t.keypos):
        raise BadArgument(f"{shown(spec)}: it is not evident from the spec that the results keep their rows' keys")
    return query_count(table, p, ACT_REPLACE, spec)


# ---- cursors

@cython.final
cdef class Cursor:
    """Where a select or match with a limit stands: give it to select, match or their relatives of its table, and they
    go on from there. ETS calls it a continuation.

    A cursor never changes: it can be kept, used any number of times and from any thread, and after rows have been
    inserted and deleted. It belongs to the table, whatever its name: NoSuchTable once that has been deleted.

    >>> t = Table()
    >>> t.insert([(n, n * n) for n in range(5)])
    True
    >>> found, cursor = t.select("{_, Square}", limit=3)
    >>> more, end = t.select(cursor)
    >>> len(found), len(more), sorted(found + more) == [(n, n * n) for n in range(5)]
    (3, 2, True)
    """
    cdef readonly Table table
    cdef _Program program
    cdef place_t at
    cdef readonly size_t limit
    cdef bint backwards

    def __cinit__(self):
        place_open(&self.at)

    def __dealloc__(self):
        place_close(&self.at)

    def __repr__(self):
        return f"<tsunami.Cursor of {self.table!r}, limit {self.limit}>"

    def __reduce__(self):
        raise TypeError("a cursor cannot be pickled: it stands in live memory of this process")


cdef object cursor_run(Table table, Cursor cursor):
    if cursor.table is not table:
        raise BadArgument(f"{cursor!r} does not belong to {table.label()}")
    table.may(RIGHT_READ)
    return query_page(table, cursor.program, cursor.backwards, cursor.limit, &cursor.at)


def repair_continuation(cursor, spec, /):
    """A cursor that goes on with another compiled spec, from the same place; the same cursor if its spec is equal to
    that one. END_OF_TABLE stays what it is. ETS: repair_continuation/2.

    >>> from tsunami import MatchSpec, Table, repair_continuation
    >>> t = Table()
    >>> spec = MatchSpec("{_}")
    >>> t.insert([(1,), (2,)]), repair_continuation(t.select(spec, limit=1)[1], spec).limit
    (True, 1)
    """
    cdef Cursor old
    cdef Cursor fresh
    if type(spec) is not MatchSpec:
        raise BadType(f"a MatchSpec, not {shown(spec)}")
    compiled(spec)
    if cursor is END_OF_TABLE_:
        return cursor
    if type(cursor) is not Cursor:
        raise BadType(f"a cursor, not {shown(cursor)}")
    old = cursor
    if old.program is spec or (type(old.program) is MatchSpec and <MatchSpec>old.program == spec):
        return old
    fresh = Cursor.__new__(Cursor)
    if place_copy(&fresh.at, &old.at) != ST_OK:
        raise MemoryError
    fresh.table = old.table
    fresh.program = spec
    fresh.limit = old.limit
    fresh.backwards = old.backwards
    return fresh


def cursor_state(Cursor cursor not None, /):
    """All of a cursor but its table and spec, as a term: (backwards, limit, place)."""
    cdef buf_t packed
    cdef size_t at = 0
    buf_init(&packed, NULL, 0)
    try:
        if place_write(&cursor.at, &packed, &at) != ST_OK:
            raise MemoryError
        return bool(cursor.backwards), cursor.limit, decode_row(<const uint64_t*>(packed.data + at), NULL)
    finally:
        buf_free(&packed)


def cursor_make(Table table not None, spec, state, /):
    """A cursor of this table from what cursor_state gave. BadArgument for anything else."""
    cdef Cursor cursor = Cursor.__new__(Cursor)
    cdef buf_t packed
    cdef size_t at = 0
    cdef int st
    if type(state) is not tuple or len(state) != 3 or type(state[2]) is not tuple or not is_integer(state[1]):
        raise BadArgument(f"{shown(state)} is no state of a cursor")
    cursor.program = spec if isinstance(spec, _Program) else spec_of(spec, WHOLE_ROW, None)
    if cursor.program is None:
        raise BadArgument("a cursor needs a match spec with a clause")
    cursor.table = table
    cursor.backwards = state[0] is True
    cursor.limit = limit_of(state[1])
    buf_init(&packed, NULL, 0)
    try:
        encode_row(state[2], &packed, &at, NULL)
        place_close(&cursor.at)
        st = place_read(&cursor.at, <const uint64_t*>(packed.data + at))
    finally:
        buf_free(&packed)
    if st == ST_BADARG:
        raise BadArgument(f"{shown(state)} is no state of a cursor")
    check(table, st, state)
    return cursor


def pattern_compile(pattern, bindings, /):
    """A pattern compiled, for cursor_make: of match (bindings) or match_object."""
    return pattern_of(pattern, PATTERN_BINDINGS if bindings else PATTERN_OBJECT)


def _iterate(Table table, MatchSpec spec, bint backwards, size_t batch):
    """Results one after the other, fetched in batches."""
    found = query_page(table, spec, backwards, batch, NULL) if spec is not None else END_OF_TABLE_
    while found is not END_OF_TABLE_:
        yield from found[0]
        if found[1] is END_OF_TABLE_:
            return
        found = cursor_run(table, found[1])


# ---- specs by themselves

def match_spec_compile(spec, /):
    """Compile a match spec: a MatchSpec. ETS: match_spec_compile/1.

    >>> match_spec_compile([(Atom("$1"), [], [Atom("$1")])])
    MatchSpec([(Atom('$1'), [], [Atom('$1')])])
    """
    if isinstance(spec, list):
        return MatchSpec(list(spec))
    return spec_of(spec, WHOLE_ROW, None)


def is_compiled_ms(term, /):
    """Is it a MatchSpec? ETS: is_compiled_ms/1.

    >>> is_compiled_ms([]), is_compiled_ms(match_spec_compile([(Atom("_"), [], [True])]))
    (False, True)
    """
    return type(term) is MatchSpec


def match_spec_run(terms, spec, /):
    """The results for the terms of a list, in order; terms that are not selected are left out. They need not be rows.
    ETS: match_spec_run/2.

    >>> spec = match_spec_compile([((Atom("$1"), Atom("_")), [], [Atom("$1")])])
    >>> match_spec_run([(1, 2), "no row", (3, 4)], spec)
    [1, 3]
    """
    cdef MatchSpec p
    cdef run_t run
    cdef buf_t packed
    cdef uint64_t[64] home
    cdef size_t at = 0
    cdef const uint64_t* row
    cdef int r
    cdef list out = []
    if type(spec) is not MatchSpec:
        raise BadType(f"a MatchSpec, not {shown(spec)}")
    if not isinstance(terms, list):
        raise BadType(f"a list of terms, not {shown(terms)}")
    p = compiled(spec)
    buf_init(&packed, <char*>home, sizeof(home))
    run_open(&run)
    try:
        for term in list(terms):
            packed.len = 0
            encode_row((term,), &packed, &at, NULL)
            row = <const uint64_t*>(packed.data + at)
            r = program_run(&run, p.program, row[1], <const char*>row)
            if r == R_NO_MEMORY:
                raise MemoryError
            if r == R_TRUE:
                out.append(True)
            elif r == R_ROW:
                out.append(decode_cell(row[1], <const char*>row, NULL))
            elif r == R_VALUE:
                out.append(decode_cell(run.cell, run.base, NULL))
    finally:
        run_close(&run)
        buf_free(&packed)
    return out


# ---- plans

cdef void count_sink(void* ctx, const uint64_t* row) noexcept nogil:
    (<size_t*>ctx)[0] += 1

cdef object query_explain(Table table, object spec, object fields):
    cdef MatchSpec p
    cdef access_t access
    cdef size_t i, rows = 0
    cdef list keys = []
    cdef dict plan
    cdef probe_t probe
    cdef int st
    table.may(RIGHT_READ)
    p = spec_of(spec, WHOLE_ROW, fields)
    if p is None:
        return {"access": "nothing", "rows": 0, "text": "the empty spec selects nothing"}
    st = program_access(p.program, table.t.keypos, table.t.methods.ordered, &access)
    try:
        check(table, st, spec)
        if access.kind == ACCESS_NOTHING:
            return {"access": "nothing", "rows": 0, "text": "no row can match: nothing is read"}
        if access.kind == ACCESS_KEYS:
            for i in range(access.n):
                keys.append(decode_cell(access.keys[i].c, access.keys[i].base, NULL))
                probe_term(&probe, access.keys[i].c, access.keys[i].base)
                st = table.t.methods.get(table.t, &probe, count_sink, &rows)
                if st != ST_ABSENT:
                    check(table, st, spec)
            if len(keys) == 1:
                return {"access": "key", "key": keys[0], "rows": rows, "text": f"look up the key {shown(keys[0])}"}
            return {"access": "keys", "keys": keys, "rows": rows, "text": f"look up {len(keys)} keys"}
        if access.kind == ACCESS_SPAN:
            plan = {"access": "range", "first": None, "last": None, "rows": 0, "text": "an empty range of keys"}
            explain_span(table, &access, plan)
            return plan
    finally:
        access_close(&access)
    rows = table_len(table.t)
    return {"access": "scan", "rows": rows, "text": f"walk over all {rows} rows"}

cdef int visit_key(void* ctx, const uint64_t* row, buf_t* out) noexcept nogil:
    """Look at one row: the walk's place then stands at its key."""
    return V_STOP

cdef object explain_end(Table table, const access_t* access, bint backwards):
    """The first key of a span in one direction, in a tuple; None if there is none."""
    cdef span_t span
    cdef place_t at
    cdef int st = ST_OK
    access_span(access, backwards, &span)
    place_open(&at)
    try:
        while st == ST_OK and not at.over and at.key.len == 0:
            st = table.t.methods.scan(table.t, &span, &at, 1, visit_key, NULL)
        check(table, st, None)
        return decode_row(<const uint64_t*>at.key.data, NULL) if at.key.len > 0 else None
    finally:
        place_close(&at)

cdef int explain_span(Table table, const access_t* access, dict plan) except -1:
    cdef span_t span
    cdef size_t before = 0, n = 0
    access_span(access, False, &span)
    check(table, ordered_count(table.t, &span, &before, &n), None)
    first = explain_end(table, access, False)
    last = explain_end(table, access, True)
    if n and first is not None and last is not None:
        plan["first"] = first[0]
        plan["last"] = last[0]
        plan["rows"] = n
        plan["text"] = f"walk over the {n} rows with keys from {shown(first[0])} to {shown(last[0])}"
    return 0


# ---- sums

cdef object tally_total(const tally_t* a):
    total = decode_cell(a.big, a.big_body.data + a.big_at if a.big_body.data != NULL else NULL, NULL) + a.small
    return total + (a.sum + a.lost) if a.floats else total

cdef object tally_result(Table table, int kind, const tally_t* a, bint mean):
    cdef const uint64_t* row
    if kind == FOLD_COUNT:
        return a.n
    if kind == FOLD_SUM:
        if mean:
            return tally_total(a) / a.n if a.n else None
        return tally_total(a)
    if a.best.len == 0:
        return None
    row = <const uint64_t*>a.best.data
    return decode_cell(row[1], <const char*>row, <void*>table)

cdef dict tally_groups(Table table, const fold_t* f, bint mean):
    cdef dict out = {}
    cdef const uint64_t* row
    cdef size_t i
    if f.groups == NULL:
        return out
    for i in range(f.mask + 1):
        if f.groups[i] != NULL:
            row = <const uint64_t*>f.groups[i].group.data
            group = decode_cell(row[1], <const char*>row, <void*>table)
            result = tally_result(table, f.kind, f.groups[i], mean)
            try:
                twin = group in out
            except TypeError:
                raise BadArgument(f"the group {shown(group)} cannot be a key of a dict") from None
            if twin:
                raise BadArgument(f"the group {shown(group)} is there twice for a dict: 1, 1.0, True are one key")
            out[group] = result
    return out

cdef object fold_failed(Table table, const fold_t* f, int st, object spec):
    cdef const uint64_t* row = <const uint64_t*>f.culprit.data
    if f.culprit.len == 0:
        return fail(table, st, spec)
    culprit = decode_cell(row[1], <const char*>row, <void*>table)
    if st == ST_BADARG:
        return BadArgument(f"{shown(culprit)}: a grouped query has results (group, value)")
    return BadArgument(f"{shown(culprit)} is no number and cannot be summed")

cdef list fold_rows(Table table, const fold_t* f):
    cdef list out = []
    cdef const uint64_t* row
    cdef size_t i
    for i in range(f.ntop):
        row = <const uint64_t*>f.top[i].kept.data
        out.append(decode_cell(row[2], <const char*>row, <void*>table))
    return out

cdef object query_fold(Table table, object spec, object fields, int kind, bint grouped, bint mean, size_t k):
    """count, sum, min, max, avg and top."""
    cdef MatchSpec p
    cdef select_t s
    cdef fold_t f
    cdef place_t at
    cdef int st
    table.may(RIGHT_READ)
    p = spec_of(spec, WHOLE_ROW, fields)
    fold_open(&f, table.t, kind, grouped, k)
    place_open(&at)
    run_open(&s.run)
    memset(&s.access, 0, sizeof(access_t))
    try:
        if p is not None and not (kind >= FOLD_TOP and k == 0):
            with nogil:
                st = select_open(&s, table.t, p.program, ACT_FOLD)
                s.fold = &f
                if st == ST_OK:
                    st = fold_run(&s, &at)
            if st != ST_OK:
                raise fold_failed(table, &f, st, spec)
        if kind >= FOLD_TOP:
            return fold_rows(table, &f)
        if grouped:
            return tally_groups(table, &f, mean)
        return tally_result(table, kind, &f.all, mean)
    finally:
        select_close(&s)
        place_close(&at)
        fold_close(&f)
        table.settle()
