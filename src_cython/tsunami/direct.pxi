# Cold commands, the short way: from the request to its handler in Python and back, without Python's dispatch between.
#
# What it is: the loop of a connection's cold commands (`answer_cold`); the calls of commands that nothing stands
# against (`Direct`); what is counted of commands that Python carries out (`Account`).
#
# What it is not: a second dispatcher. The one way that every command can go is the session's: `execute`. A command goes
# the short way only while none of what `execute` asks could say anything but "go on", which is one look at a few flags
# here (conn_is_plain): no transaction, no restricted rights, no subscription, no limit of memory, no pause, no script
# that has run for too long, nobody who reads along or wants to hear of what expires. The session says which commands
# may go this way, by name as it was written (Plane.direct), and whatever is not of the common kind is handed back to
# it: errors (`failed`), replies that have to be awaited (`later`), slow ones (`note_slow`), changes for which somebody
# waits (`changed`), messages behind the reply (`replied`). EVALSHA goes a way that is shorter still: script.pxi.
#
# What must stay true:
#
# 1. Both ways count, and tell, the same. `nanos` is measured with the session's clock, clock_ns().
# 2. While a handler runs, Messages.acting is the session, and afterwards it is nobody: this is the outermost command.
# 3. The caller is nobody's session in particular (tsunami.session), so that a handler need not be told so.

cdef extern from *:
    """
    static inline int ts_is_awaitable(PyObject *o) {
        PyTypeObject *t = Py_TYPE(o);
        return t->tp_as_async != NULL && t->tp_as_async->am_await != NULL;
    }
    """
    bint ts_is_awaitable(object o)


def clock_ns():
    """Give the time by the clock that the times of commands are measured with, in ns."""
    return ts_now_ns()


# ---- what is counted

@cython.final
cdef class Account:
    """What INFO's commandstats say of one command, as far as Python has carried it out."""

    cdef public uint64_t calls
    cdef public uint64_t nanos
    cdef public uint64_t rejected
    cdef public uint64_t failed
    cdef uint64_t* times

    def __dealloc__(self):
        free(self.times)

    cdef void note(self, uint64_t nanos, bint spreads) noexcept:
        self.calls += 1
        self.nanos += nanos
        if not spreads:
            return
        if self.times == NULL:
            self.times = <uint64_t*>calloc(SPREAD, sizeof(uint64_t))
            if self.times == NULL:
                return
        self.times[spread_at(nanos)] += 1

    def add(self, uint64_t nanos, bint spreads, /):
        """One call more, of so many ns; `spreads`: count also how many took how long."""
        self.note(nanos, spreads)

    @property
    def usec(self):
        return self.nanos // 1000

    @property
    def spread(self):
        """How often it took how long: {counter: calls}, as Plane.command_spreads."""
        if self.times == NULL:
            return {}
        return {at: self.times[at] for at in range(SPREAD) if self.times[at]}


# ---- the short way

@cython.final
cdef class Direct:
    """A command that may go the short way: its record, name and handler, arity as Redis tells it, words of its name."""

    cdef object command
    cdef object handler
    cdef str name
    cdef Py_ssize_t arity
    cdef Py_ssize_t words
    cdef Account account

    def __init__(self, command, handler, str name not None, Py_ssize_t arity, Account account not None):
        self.command = command
        self.handler = handler
        self.name = name
        self.arity = arity
        self.words = 2 if "|" in name else 1
        self.account = account

cdef inline bint conn_is_plain(Conn conn):
    """Can nothing stand against a command of this connection, but its own words?"""
    cdef const conn_t* c = &conn.c
    cdef const plane_t* p = c.plane
    return not (c.all_cold or not c.authenticated or c.multi.on or c.subscribed or c.tracked or c.session != 0
                or p.hold_all or p.hold_writes or p.monitored or p.max_memory != 0 or conn.plane.attentive)

cdef Direct direct_find(dict known, list argv):
    """The command that a call means, if it may go the short way."""
    cdef object found = known.get(argv[0])
    cdef Py_ssize_t n = len(argv)
    cdef Direct d
    if type(found) is dict:
        found = (<dict>found).get(argv[1]) if n > 1 else None
    if type(found) is not Direct:
        return None
    d = <Direct>found
    return d if (n == d.arity if d.arity >= 0 else n >= -d.arity) else None

cdef bint direct_count(Plane plane, Direct d, uint64_t start, uint64_t* nanos) except -1:
    """It has ended well, and took so long. True: the session wants to hear of that."""
    nanos[0] = ts_now_ns() - start
    d.account.note(nanos[0], plane.p.spreads)
    return plane.note_us >= 0 and <int64_t>(nanos[0] // 1000) >= plane.note_us

cdef object direct_call(Plane plane, Direct d, list argv, session):
    """Carry it out. The reply, or what has to be awaited for it."""
    cdef object reply
    cdef uint64_t start = ts_now_ns(), nanos = 0
    cdef bint changed = False
    session.command_name = d.name
    plane.messages.acting = session
    try:
        reply = d.handler(session, argv[d.words:])
    except Exception as error:
        plane.messages.acting = None
        reply = session.failed(d.command, argv, start, error)
        changed = True
    except BaseException:
        plane.messages.acting = None
        raise
    if not changed:
        plane.messages.acting = None
        if ts_is_awaitable(reply):
            return session.later(d.command, argv, start, reply)
        if direct_count(plane, d, start, &nanos):
            session.note_slow(d.command, argv, nanos // 1000)
    if len(plane.ready):
        session.changed()
    return reply

cdef int answered(Conn conn, reply, session) except -1:
    """The reply to what stands first is there: write it, and what is to come behind it."""
    try:
        conn.write(reply)
    except Exception as error:
        conn.write(session.unwritable(error))
    return settled(conn, session)

cdef int settled(Conn conn, session) except -1:
    """The reply to what stands first is written."""
    if conn.behind:
        conn.behind = False
        session.replied()
        conn.done()
        if session.closing:
            conn.close()
    else:
        conn.done()
    return 0

cdef object answer_cold(Conn conn, session, uint64_t budget_us):
    cdef uint64_t until = ts_now_ns() + budget_us * 1000
    cdef int state
    cdef list argv
    cdef Direct d
    cdef object reply
    cdef Plane plane = conn.plane
    cdef bint plain
    while True:
        plain = conn_is_plain(conn)
        if not (plain and is_evalsha(&conn.c.input) and answer_script(conn, session)):
            argv = conn.command()
            d = direct_find(plane.direct, argv) if plain else None
            reply = session.execute(argv) if d is None else direct_call(plane, d, argv, session)
            if ts_is_awaitable(reply):
                return reply
            answered(conn, reply, session)
        state = conn.go_on(until)
        if state != S_COLD or ts_now_ns() > until:
            return state
