# Transactions: commands between MULTI and EXEC are kept as they came, and EXEC runs them one after the other under the
# gate.
#
# What it is: the queue, and the run. A hot command with the right number of words is queued here, without Python; what
# is not hot, or not right, comes to Python, which looks at it as always (tsunami_server.session) and queues it by
# Conn.queue(), or spoils the transaction.
#
# What it is not: WATCH (tsunami_server.signals). EXEC runs here as long as nothing is watched, spoiled or held back and
# all commands are hot; else it is Python's, which decides, and then calls Conn.exec(): the same run.
#
#       requests    | argc, bytes | span_t ... | the request's bytes, SLACK, up to 8 | argc, bytes | ...
#
# What must stay true:
#
# 1. From the first queued command to the last nobody else sees or changes the databases that the transaction knows of.
# 2. A command that turns out cold in the middle of a run is carried out at its place, by Conn.inner, with the GIL. So
#    there is one run, and whether a command has a native implementation makes no difference to its reply.
# 3. A message that is pushed during the run comes behind the reply (`late`), never into it.
# 4. CLIENT REPLY decides command by command, as in Redis, which writes the head of the array first.

cdef struct queued_t:
    uint64_t argc
    size_t bytes                # of the request, with what fills it up

cdef bint multi_keep(multi_t* m, const input_t* q) noexcept nogil:
    """Queue the request that stands first. False: no memory."""
    cdef size_t spans = q.argc * sizeof(span_t)
    cdef size_t size = (q.pos + SLACK + 7) & ~<size_t>7
    cdef queued_t* head
    if not out_room(&m.requests, sizeof(queued_t) + spans + size):
        return False
    head = <queued_t*>(m.requests.data + m.requests.len)
    head.argc = q.argc
    head.bytes = size
    memcpy(head + 1, q.args, spans)
    memcpy(<char*>(head + 1) + spans, q.data + q.start, q.pos)
    m.requests.len += sizeof(queued_t) + spans + size
    m.count += 1
    return True

cdef size_t multi_read(const multi_t* m, size_t at, input_t* q) noexcept nogil:
    """The queued request at `at`, in place; where the next one begins."""
    cdef queued_t* head = <queued_t*>(m.requests.data + at)
    memset(q, 0, sizeof(input_t))
    q.args = <span_t*>(head + 1)
    q.argc = <uint32_t>head.argc
    q.data = <char*>(q.args + head.argc)
    q.pos = q.end = head.bytes - SLACK
    return <size_t>(q.data + head.bytes - m.requests.data)

cdef void multi_forget(multi_t* m) noexcept nogil:
    """There is no transaction any more."""
    free(m.requests.data)
    free(m.late.data)
    memset(m, 0, sizeof(multi_t))

cdef bint conn_queued(conn_t* c, run_t* r) noexcept nogil:
    """The request that stands first, of a connection in MULTI: queue it, or carry out EXEC. False: it is for Python."""
    cdef plane_t* p = c.plane
    cdef const input_t* q = r.input
    cdef multi_t* m = &c.multi
    cdef hot_t* h
    cdef int index = hot_find(input_arg(q, 0), q.args[0].len)
    if index < 0 or p.off[index] or (p.max_memory != 0 and memory_used() > p.max_memory):
        return False
    h = &hot_commands[index]
    if q.argc < h.least or q.argc > h.most or (h.writes and p.hold_writes):
        return False
    if h.run == hot_exec:
        if m.spoiled or m.cold or c.watching or conn_is_heard(c) or not conn_exec(c, r.out, False, r):
            return False
        c.last_hot = index
        p.calls[index] += 1
        return True
    if h.run == hot_multi:
        return False
    if not m.spoiled:
        if not multi_keep(m, q):
            return False
        m.writes = m.writes or h.writes
        m.roams = m.roams or h.run == hot_select
        # Tables made with ETS.NEW and messages have rules of their own, which the session knows.
        m.cold = m.cold or h.dotted or h.writes == W_OTHERS
    out_bytes(r.out, b"+QUEUED\r\n", 9)
    c.last_hot = index
    return True

cdef bint conn_is_heard(conn_t* c) noexcept nogil:
    """Must a queued command wait, or does somebody want to hear of it? Then EXEC is Python's from the beginning.

    So what Python does in the middle of a run inside select() is to answer with an error, or to go an odd option's way:
    nothing that would reach another connection.
    """
    cdef const plane_t* p = c.plane
    cdef size_t at = 0
    cdef input_t q
    cdef int index
    if c.tracked or p.reads_cold:
        return True
    if not c.multi.writes:
        return False
    if p.hold_writes or p.writes_cold:
        return True
    while p.interest.len != 0 and at < c.multi.requests.len:
        at = multi_read(&c.multi, at, &q)
        index = hot_find(input_arg(&q, 0), q.args[0].len)
        if hot_is_heard(p, &hot_commands[index], &q):
            return True
    return False

cdef bint plane_gate(plane_t* p, int db, bint wide) noexcept nogil:
    """Be alone with a database, or (`wide`) with all of them, until gate_drop. False, and not alone: no memory."""
    cdef int i
    cdef int st = ST_OK
    gate_enter()
    for i in range(DATABASES):
        if st == ST_OK and (wide or i == db):
            st = gate_table(p.dbs[i])
    if st != ST_OK:
        gate_drop()
    return st == ST_OK

cdef bint conn_exec(conn_t* c, out_t* o, bint only_cold, run_t* outer) noexcept nogil:
    """Run what is queued, and write the array of the replies. `outer` (or NULL) is the batch in which EXEC stands.

    False, and nothing has happened: no memory.
    """
    cdef multi_t* m = &c.multi
    cdef input_t q
    cdef run_t r
    cdef size_t at = 0, before
    cdef uint64_t hot = 0, cold = 0
    cdef bint skipped = c.replies == 2
    if outer != NULL:
        named_release(outer)
        c.db = outer.db_index
    if not plane_gate(c.plane, c.db, m.roams):
        return False
    m.on = False
    m.running = True
    if skipped:
        c.replies = 1
    elif c.replies:
        out_head(o, c'*', m.count)
    conn_runs(c, &r, &q, o)
    while at < m.requests.len:
        at = multi_read(m, at, &q)
        before = o.len
        if not only_cold and conn_hot(c, &r):
            hot += 1
        else:
            cold += 1
            c.db = r.db_index
            named_release(&r)
            call_rest(&c.plane.call)
            conn_inner(c, &q, o)
            conn_runs(c, &r, &q, o)
            only_cold = conn_only_cold(c)       # AUTH, ACL SETUSER: what follows may be another user's, or less allowed
        if skipped or c.replies == 0:
            o.len = before
    named_release(&r)
    c.db = r.db_index
    if cold and outer != NULL:
        conn_after(c)
    gate_drop()
    if m.late.len:
        out_bytes(o, m.late.data, m.late.len)
    multi_forget(m)
    c.plane.cold += cold
    if outer == NULL:
        c.plane.commands += cold
    else:
        conn_runs(c, outer, &c.input, o)
        outer.inside = hot + cold
    return True

cdef void conn_inner(conn_t* c, const input_t* q, out_t* o) noexcept with gil:
    """One command of a transaction, by Python. An exception is reported as unraisable."""
    cdef Conn conn = <Conn>c.owner
    cdef bint told = False
    try:
        out_reply(o, conn.inner(input_argv(q)), c.resp)
        told = True
    finally:
        if not told:
            out_line(o, c'-', b"ERR internal error", 18)

cdef void conn_after(conn_t* c) noexcept with gil:
    """A transaction in which Python took part has ended; what this pushes comes behind its reply."""
    (<Conn>c.owner).after()
