# Cold commands, the short way: from the request to its handler in Python and back, without Python's dispatch between.
#
# What it is: the loop of a connection's cold commands (`answer_cold`); the calls of commands that nothing stands
# against (`Direct`); what is counted of commands that Python carries out (`Account`); the calls of scripts (`Calls`).
#
# What it is not: a second dispatcher. The one way that every command can go is the session's: `execute`. A command goes
# the short way only while none of what `execute` asks could say anything but "go on", which is one look at a few flags
# here (conn_is_plain): no transaction, no restricted rights, no subscription, no limit of memory, no pause, no script
# that has run for too long, nobody who reads along or wants to hear of what expires. The session says which commands
# may go this way, by name as it was written (Plane.direct), and whatever is not of the common kind is handed back to
# it: errors (`failed`), replies that have to be awaited (`later`), slow ones (`note_slow`), changes for which somebody
# waits (`changed`), messages behind the reply (`replied`).
#
# What must stay true:
#
# 1. Both ways count, and tell, the same. `nanos` is measured with the session's clock, clock_ns().
# 2. While a handler runs, Messages.acting is the session, and afterwards it is nobody: this is the outermost command.
# 3. The caller is nobody's session in particular (tsunami.session), so that a handler need not be told so.
# 4. A script's first call closes the gate before the database it has selected, `leave` opens it: until then the script
#    has seen nothing of it. A door of a script never raises.

cdef extern from *:
    """
    static inline int ts_is_awaitable(PyObject *o) {
        PyTypeObject *t = Py_TYPE(o);
        return t->tp_as_async != NULL && t->tp_as_async->am_await != NULL;
    }
    """
    bint ts_is_awaitable(object o)

cdef extern from "Python.h":
    bint PyBytes_CheckExact(object o)
    bint PyLong_CheckExact(object o)
    object PyLong_FromLongLong(long long v)

cdef enum:
    CALL_HOT = 1                # a native implementation may run it
    CALL_WRITES = 2
    CALL_ROOM = 1024            # bytes of a script's call that need no memory of their own
    CALL_WORDS = 32
    EXACT_BITS = 52             # numbers of Lua up to which an integer is exact


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

cdef object direct_call(Plane plane, Direct d, list argv, session):
    """Carry it out. The reply, or what has to be awaited for it."""
    cdef object reply
    cdef uint64_t start = ts_now_ns(), nanos
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
        nanos = ts_now_ns() - start
        d.account.note(nanos, plane.p.spreads)
        if plane.note_us >= 0 and <int64_t>(nanos // 1000) >= plane.note_us:
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
    while True:
        argv = conn.command()
        d = direct_find(plane.direct, argv) if conn_is_plain(conn) else None
        reply = session.execute(argv) if d is None else direct_call(plane, d, argv, session)
        if ts_is_awaitable(reply):
            return reply
        answered(conn, reply, session)
        state = conn.go_on(until)
        if state != S_COLD or ts_now_ns() > until:
            return state


# ---- calls of scripts

cdef bint is_exact(object number, int64_t* value) except -1:
    """Is this an integer that a number of Lua's tells exactly?"""
    cdef int overflow = 0
    value[0] = PyLong_AsLongLongAndOverflow(number, &overflow)
    return overflow == 0 and -(<int64_t>1 << EXACT_BITS) <= value[0] <= (<int64_t>1 << EXACT_BITS)

cdef class Calls:
    """The calls of the script that runs: those of hot commands end here, any other is for the subclass (`cold`)."""

    cdef Conn conn
    cdef int db                 # of the connection, as they were before the script
    cdef int resp
    cdef readonly uint64_t started_ns
    cdef bint native            # hot commands may run natively
    cdef bint alone             # the gate is closed behind us
    cdef public bint wrote
    cdef readonly bint read_only
    cdef readonly size_t reply_most
    cdef readonly dict facts    # by a command's name as it was written: CALL_HOT, CALL_WRITES
    cdef out_t out
    cdef char room[CALL_ROOM + SLACK]

    def __cinit__(self):
        self.facts = {}
        memset(&self.out, 0, sizeof(out_t))

    def __init__(self, size_t reply_most):
        self.reply_most = reply_most

    def __dealloc__(self):
        free(self.out.data)

    def enter(self, Conn conn not None, bint read_only, /):
        """A script begins: its calls are this connection's, in RESP2 until it asks for something else.

        Gives the version of RESP that the client speaks.
        """
        cdef conn_t* c = &conn.c
        self.conn = conn
        self.db = c.db
        self.resp = c.resp
        c.resp = 2
        self.started_ns = ts_now_ns()
        # Under a user with restricted rights, MONITOR and the like commands are looked at one by one, in Python.
        self.native = not (c.all_cold or c.plane.monitored)
        self.read_only = read_only
        self.wrote = False
        return self.resp

    def leave(self):
        """It has ended: the connection is as it was."""
        if self.conn is not None:
            self.conn.c.db = self.db
            self.conn.c.resp = self.resp
            self.conn = None
        if self.alone:
            self.alone = False
            gate_drop()

    def be_alone(self):
        """From now on no other thread comes to the selected database, until the script ends."""
        if self.alone or self.conn is None:
            return
        gate_enter()
        if gate_table(self.conn.c.plane.dbs[self.conn.c.db]) != ST_OK:
            gate_drop()
            raise MemoryError
        self.alone = True

    def call(self, *words):
        """Carry out one command. The reply as Lua has it; see the subclass."""
        cdef object fact
        cdef Py_ssize_t n = len(words)
        cdef object answer
        try:
            if self.native and 0 < n <= CALL_WORDS and PyBytes_CheckExact(words[0]):
                fact = self.facts.get(words[0])
                if fact is not None and fact & CALL_HOT and not (self.read_only and fact & CALL_WRITES):
                    if fact & CALL_WRITES:
                        self.wrote = True
                    answer = self.run(words)
                    if answer is not self:
                        return answer
            return self.cold(words)
        except Exception as error:
            return self.broken(error)

    def cold(self, words, /):
        raise NotImplementedError

    def broken(self, error, /):
        raise NotImplementedError

    cdef object run(self, tuple words):
        """Run it natively; self if that cannot be."""
        cdef span_t spans[CALL_WORDS]
        cdef input_t q
        cdef run_t r
        cdef conn_t* c = &self.conn.c
        cdef size_t at = 0, n
        cdef uint64_t start
        cdef object word
        cdef int64_t value
        cdef bint hot
        if not self.alone:
            self.be_alone()
        memset(&q, 0, sizeof(input_t))
        q.args = spans
        q.data = self.room
        for word in words:
            if at + 32 > CALL_ROOM:
                return self
            spans[q.argc].at = at
            if PyBytes_CheckExact(word):
                n = <size_t>PyBytes_GET_SIZE(word)
                if n > CALL_ROOM - at:
                    return self
                memcpy(q.data + at, PyBytes_AS_STRING(word), n)
            elif PyLong_CheckExact(word) and is_exact(word, &value):
                n = spell_int64(value, q.data + at)
            else:
                return self
            spans[q.argc].len = n
            q.argc += 1
            at += n
        q.end = q.pos = at
        start = ts_now_ns()
        self.out.len = 0
        self.out.failed = False
        conn_runs(c, &r, &q, &self.out)
        r.multi = NULL
        hot = conn_hot(c, &r)
        named_release(&r)
        call_rest(&c.plane.call)
        c.db = r.db_index
        if hot:
            plane_account(c.plane, ts_now_ns() - start, 1)
        if not hot or self.out.failed:
            return self
        if self.out.data[0] == c':' and read_int64(self.out.data + 1, self.out.len - 3, &value):
            return PyLong_FromLongLong(value)
        return self.taken(PyBytes_FromStringAndSize(self.out.data, <Py_ssize_t>self.out.len))

    cdef object taken(self, bytes data):
        """A reply in RESP, as Lua has it."""
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef const char* line
        cdef size_t n = <size_t>PyBytes_GET_SIZE(data), head
        if self.out.cap > SCRATCH_BYTES:
            free(self.out.data)
            memset(&self.out, 0, sizeof(out_t))
        if n > self.reply_most:
            return None, b"-ERR the reply is too large for a script\r\n"
        if p[0] == c'$':
            if p[1] == c'-':
                return False
            line = <const char*>memchr(p, c'\n', n)
            head = <size_t>(line - p) + 1
            return PyBytes_FromStringAndSize(p + head, <Py_ssize_t>(n - head - 2))
        if p[0] == c'_':
            return None
        return None, data
