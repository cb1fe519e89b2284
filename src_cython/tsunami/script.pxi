# Scripts: a run of one, from its words to its reply, and redis.call as far as it is native.
#
# What it is: the native side of tsunami_server.scripting. `script_run` brings KEYS and ARGV into Lua, runs a compiled
# script and writes its reply; `door_call` is what redis.call calls: it carries out a hot command, without Python, and
# leaves any other to it (`Calls.cold`). EVALSHA of a script that is known comes here straight from a connection's input
# (answer_script).
#
# What it is not: a sandbox (sandbox.lua), or the knowledge of scripts, their time limit and their rights: Python's.
#
#       answer_script, Calls.run       the words, as a request
#           script_run                 what is the run's: connection, gate, flags
#               script_main            in protected mode: KEYS, ARGV, the script itself, its reply
#                   door_call          redis.call, from within
#
# What must stay true:
#
# 1. Errors of Lua's jump over script_main and the doors: these hold neither memory, nor locks, nor Python objects.
# 2. A script's first call closes the gate before the database it has selected, `script_end` opens it: until then the
#    script has seen nothing of it. Before it reaches another database all of them are gated.
# 3. `wrote` is set before a command that may write begins.
# 4. Calls of scripts are timed and counted one by one: no batch under way knows of them.
# 5. A door of Python's never raises: Lua would see the exception as an object. And its answer is never larger than
#    `reply_most`: lupa would not survive it if there were no room in the Lua state.

cdef enum:
    CALL_MAY = 1                # scripts may call it, and need nothing of Python for it
    CALL_WRITES = 2

cdef extern from *:
    """
    static const char TS_TOO_LARGE[] = "-ERR the reply is too large for a script\\r\\n";
    #define TS_TOO_LARGE_SIZE (sizeof(TS_TOO_LARGE) - 1)
    """
    const char* TOO_LARGE "TS_TOO_LARGE"
    size_t TOO_LARGE_SIZE "TS_TOO_LARGE_SIZE"

cdef enum script_end_t:
    SCRIPT_REPLIED = 0          # `answer` is its reply
    SCRIPT_ANSWERED = 1         # the same, an error
    SCRIPT_FAILED = 2

cdef struct script_t:
    lua_State* L                # NULL: there is none
    int start                   # where things stand in Lua's registry; see sandbox.lua, "what is native"
    int globals
    int scripts
    int explain
    int encode
    int tell
    uint8_t facts[HOT_MAX]      # of hot commands: CALL_MAY, CALL_WRITES
    size_t reply_most
    # -- of the run under way
    conn_t* conn                # NULL: none is
    int db                      # of the connection, as it was before
    bint native                 # hot commands may run natively
    bint alone                  # the gate is closed behind us
    bint wrote
    bint read_only
    uint64_t started_ns
    const input_t* request
    uint32_t first              # of the request's words: the first key
    uint32_t keys
    int number
    int end                     # a script_end_t
    out_t answer
    # -- of the call under way
    input_t call
    out_t words
    out_t out


# ---- redis.call

cdef bint call_room(input_t* q, uint32_t n) noexcept nogil:
    """Room for n words."""
    cdef span_t* room
    if n <= q.args_cap:
        return True
    room = <span_t*>realloc(q.args, 2 * n * sizeof(span_t))
    if room == NULL:
        return False
    q.args = room
    q.args_cap = 2 * n
    return True

cdef bint call_word(script_t* s, lua_State* L, int at) noexcept nogil:
    """Add the argument at this place of the stack to the words. False: nothing that goes without Python."""
    cdef int kind = lua_type(L, at)
    cdef size_t n = 0, begin = s.words.len
    cdef int64_t value
    cdef const char* p
    if kind == LUA_TSTRING:
        p = lua_tolstring(L, at, &n)
        out_bytes(&s.words, p, n)
    elif kind == LUA_TNUMBER and lua_whole(lua_tonumber(L, at), &value) and out_room(&s.words, 24):
        n = spell_int64(value, s.words.data + begin)
        s.words.len += n
    else:
        return False
    s.call.args[at - 1].at = begin
    s.call.args[at - 1].len = n
    return out_room(&s.words, SLACK)

cdef bint call_native(script_t* s, lua_State* L, int n) noexcept nogil:
    """Carry out the call whose words stand on the stack; its reply is in `out`. False: it is for Python."""
    cdef run_t r
    cdef input_t* q = &s.call
    cdef uint64_t start
    cdef int index, i
    if s.conn == NULL or not s.native or n == 0 or not call_room(q, <uint32_t>n):
        return False
    s.words.len = s.out.len = 0
    s.words.failed = s.out.failed = False
    if not call_word(s, L, 1):
        return False
    index = hot_find(s.words.data, s.words.len)
    if index < 0 or not s.facts[index] & CALL_MAY or (s.read_only and s.facts[index] & CALL_WRITES):
        return False
    for i in range(2, n + 1):
        if not call_word(s, L, i):
            return False
    if s.facts[index] & CALL_WRITES:
        s.wrote = True
    if not s.alone and not script_alone(s, False):
        return False
    q.argc = <uint32_t>n
    q.data = s.words.data
    q.end = q.pos = s.words.len
    start = ts_now_ns()
    conn_runs(s.conn, &r, q, &s.out)
    r.multi = NULL
    index = conn_try(s.conn, &r)
    named_release(&r)
    call_rest(&s.conn.plane.call)
    if index < 0 or s.out.failed:
        return False
    start = ts_now_ns() - start
    plane_count(s.conn.plane, <uint32_t>index, start)
    if 0 <= s.conn.plane.slow_us <= <int64_t>(start // 1000):
        slow_note(s.conn, q, start // 1000)
    return True

cdef inline void out_trim(out_t* o) noexcept nogil:
    """One enormous text does not keep its room."""
    if ts_unlikely(o.cap > SCRATCH_BYTES):
        free(o.data)
        memset(o, 0, sizeof(out_t))

cdef int push_too_large(lua_State* L) noexcept nogil:
    lua_settop(L, 0)
    lua_pushnil(L)
    lua_pushlstring(L, TOO_LARGE, TOO_LARGE_SIZE)
    return 2

cdef int door_call(lua_State* L) noexcept nogil:
    """Lua: call(...) -> the value of the reply; or nil and true: it is for Python; or nil and an error."""
    cdef script_t* s = <script_t*>lua_touserdata(L, LUA_UPVALUE)
    cdef const char* at
    out_trim(&s.words)
    out_trim(&s.out)
    if not call_native(s, L, lua_gettop(L)):
        lua_pushnil(L)
        lua_pushboolean(L, True)
        return 2
    lua_settop(L, 0)
    at = s.out.data
    if s.out.len <= s.reply_most and lua_push_reply(L, &at, 0):
        return 1
    return push_too_large(L)

cdef int door_read(lua_State* L) noexcept nogil:
    """Lua: read(reply) -> its value; or nil and an error."""
    cdef size_t n = 0
    cdef const char* at = lua_tolstring(L, 1, &n)
    if n != 0 and lua_push_reply(L, &at, 0):
        return 1
    return push_too_large(L)

# ---- a run

cdef bint script_alone(script_t* s, bint wide) noexcept nogil:
    """From now on no other thread comes to the selected database, or (`wide`) to any. False: no memory."""
    if s.alone and not wide:
        return True
    if not plane_gate(s.conn.plane, s.conn.db, wide):
        return False
    if s.alone:
        gate_drop()             # one level is enough: what is gated stays so until the outermost ends
    s.alone = True
    return True

cdef void script_begin(script_t* s, conn_t* c, bint read_only) noexcept nogil:
    """A script's calls are this connection's, in RESP2 until it asks for something else."""
    s.conn = c
    s.db = c.db
    c.outside = c.resp
    c.resp = 2
    # Under a user with restricted rights, MONITOR and the like commands are looked at one by one, in Python.
    s.native = not (c.all_cold or c.plane.monitored)
    s.read_only = read_only
    s.wrote = False
    s.started_ns = ts_now_ns()
    s.answer.len = 0
    s.answer.failed = False

cdef void script_over(script_t* s) noexcept nogil:
    """It has ended: the connection is as it was."""
    s.conn.db = s.db
    s.conn.resp = s.conn.outside
    s.conn.outside = 0
    s.conn = NULL
    s.request = NULL
    if s.alone:
        s.alone = False
        gate_drop()

cdef void push_words(script_t* s, lua_State* L, const char* name, uint32_t first, uint32_t end) noexcept nogil:
    """name = {words[first], ..., words[end - 1]}, in the table on top."""
    cdef const input_t* q = s.request
    cdef uint32_t i
    lua_pushlstring(L, name, 4)
    lua_createtable(L, <int>(end - first), 0)
    for i in range(first, end):
        lua_pushlstring(L, input_arg(q, i), q.args[i].len)
        lua_rawseti(L, -2, <int>(i - first) + 1)
    lua_rawset(L, -3)

cdef int script_main(lua_State* L) noexcept nogil:
    """Run the script; what it results in is in `answer`, what more there is to say on the stack:

    SCRIPT_ANSWERED     whether the error has been counted
    SCRIPT_FAILED       the text of the error, where it came from and in which line, and the same
    """
    cdef script_t* s = <script_t*>lua_touserdata(L, LUA_UPVALUE)
    cdef size_t n = 0
    cdef const char* p
    lua_rawgeti(L, LUA_REGISTRYINDEX, s.globals)
    push_words(s, L, b"KEYS", s.first, s.first + s.keys)
    push_words(s, L, b"ARGV", s.first + s.keys, s.request.argc)
    lua_rawgeti(L, LUA_REGISTRYINDEX, s.tell)
    lua_rawgeti(L, LUA_REGISTRYINDEX, s.explain)
    lua_rawgeti(L, LUA_REGISTRYINDEX, s.scripts)
    lua_rawgeti(L, -1, s.number)                    # 1 globals, 2 tell, 3 explain, 4 scripts, 5 the script
    if lua_pcall(L, 0, 1, 3) != 0:
        s.end = SCRIPT_FAILED
        lua_pushvalue(L, 2)
        lua_insert(L, 5)
        lua_call(L, 1, 4)
        return 4
    if lua_out(&s.answer, L, s.conn.resp, s.conn.outside):
        s.end = SCRIPT_REPLIED
        return 0
    lua_settop(L, 5)
    lua_rawgeti(L, LUA_REGISTRYINDEX, s.encode)
    lua_insert(L, 5)
    lua_pushnumber(L, s.conn.resp)
    lua_pushnumber(L, s.conn.outside)
    lua_call(L, 3, 2)
    p = lua_tolstring(L, -2, &n)
    s.end = SCRIPT_ANSWERED if p[0] == c'-' else SCRIPT_REPLIED
    out_bytes(&s.answer, p, n)
    return 1

cdef bytes lua_text(lua_State* L, int at):
    cdef size_t n = 0
    cdef const char* p
    if lua_type(L, at) != LUA_TSTRING:
        return b""
    p = lua_tolstring(L, at, &n)
    return PyBytes_FromStringAndSize(p, <Py_ssize_t>n)

cdef tuple script_run(script_t* s):
    """Run the script that is described in s. None: its reply is in `answer`. Else its error; see Calls.ended."""
    cdef lua_State* L = s.L
    cdef int top = lua_gettop(L)
    cdef tuple problem = None
    cdef bytes text
    lua_rawgeti(L, LUA_REGISTRYINDEX, s.start)
    if lua_pcall(L, 0, LUA_MULTRET, 0) != 0:        # there was no memory, or the run was ended from outside
        problem = (b"ERR " + (lua_text(L, -1) or b"not enough memory"), b"", -1, False)
    elif s.answer.failed:
        problem = (b"ERR not enough memory", b"", -1, False)
    elif s.end == SCRIPT_FAILED:
        problem = (lua_text(L, -4), lua_text(L, -3), <int>lua_tonumber(L, -2), lua_toboolean(L, -1))
    elif s.end == SCRIPT_ANSWERED:
        text = PyBytes_FromStringAndSize(s.answer.data + 1, <Py_ssize_t>s.answer.len - 3)
        problem = (text, None, -1, lua_toboolean(L, -1))
    lua_settop(L, top)
    return problem


# ---- what Python knows of it

@cython.final
cdef class Script:
    """A script that is known: its SHA-1; the number of what it was compiled to; the bytes it takes; the flags of its
    first line, None if that says nothing; what follows from those.
    """

    cdef readonly str sha
    cdef readonly int number
    cdef readonly size_t size
    cdef readonly object flags
    cdef readonly bint read_only
    cdef readonly bint allow_oom

    def __init__(self, str sha not None, int number, size_t size, flags):
        self.sha = sha
        self.number = number
        self.size = size
        self.flags = flags
        self.read_only = flags is not None and "no-writes" in flags
        self.allow_oom = flags is not None and "allow-oom" in flags

cdef int door_keep(lua_State* L) noexcept nogil:
    """Lua: keep(globals, scripts, explain, encode, tell): what runs need of sandbox.lua."""
    cdef script_t* s = <script_t*>lua_touserdata(L, LUA_UPVALUE)
    s.tell = luaL_ref(L, LUA_REGISTRYINDEX)
    s.encode = luaL_ref(L, LUA_REGISTRYINDEX)
    s.explain = luaL_ref(L, LUA_REGISTRYINDEX)
    s.scripts = luaL_ref(L, LUA_REGISTRYINDEX)
    s.globals = luaL_ref(L, LUA_REGISTRYINDEX)
    lua_pushlightuserdata(L, s)
    lua_pushcclosure(L, script_main, 1)
    s.start = luaL_ref(L, LUA_REGISTRYINDEX)
    return 0

cdef int door_open(lua_State* L) noexcept nogil:
    """Lua: native() -> call, read, keep."""
    cdef script_t* s = <script_t*>lua_touserdata(L, LUA_UPVALUE)
    s.L = L
    lua_pushlightuserdata(L, s)
    lua_pushcclosure(L, door_call, 1)
    lua_pushcclosure(L, door_read, 0)
    lua_pushlightuserdata(L, s)
    lua_pushcclosure(L, door_keep, 1)
    return 3

cdef int words_request(input_t* q, list words) except -1:
    """A request, as if it had been read, of these words. Its `data` is to be freed."""
    cdef size_t n = <size_t>len(words), i, at = n * sizeof(span_t), total = at + SLACK
    cdef bytes word
    for word in words:
        total += <size_t>PyBytes_GET_SIZE(word)
    memset(q, 0, sizeof(input_t))
    q.data = <char*>malloc(total)
    if q.data == NULL:
        raise MemoryError
    q.args = <span_t*>q.data
    q.argc = <uint32_t>n
    for i in range(n):
        word = <bytes>words[i]
        q.args[i].at = at
        q.args[i].len = <size_t>PyBytes_GET_SIZE(word)
        memcpy(q.data + at, PyBytes_AS_STRING(word), q.args[i].len)
        at += q.args[i].len
    q.end = q.pos = at
    return 0

cdef class Calls:
    """Runs of scripts, one at a time, and redis.call: hot commands end here, any other is for the subclass."""

    cdef script_t s
    cdef readonly dict known            # SHA-1, in lower case -> Script
    cdef readonly object session        # whose script runs
    cdef readonly Script script         # that runs
    cdef public bint strange            # the run is to end with a call of `ended`, whatever becomes of it

    def __cinit__(self):
        memset(&self.s, 0, sizeof(script_t))
        self.known = {}

    def __init__(self, size_t reply_most):
        self.s.reply_most = reply_most

    def __dealloc__(self):
        free(self.s.answer.data)
        free(self.s.words.data)
        free(self.s.out.data)
        free(self.s.call.args)

    @property
    def read_only(self):
        return self.s.read_only

    @property
    def started_ns(self):
        return self.s.started_ns

    @property
    def wrote(self):
        return self.s.wrote

    @wrote.setter
    def wrote(self, bint value):
        self.s.wrote = value

    def admit(self, str name not None, bint writes, /):
        """Scripts may call this command, which is hot, without any question of Python's."""
        cdef bytes padded = name.encode() + bytes(SLACK)
        cdef int index = hot_find(PyBytes_AS_STRING(padded), <size_t>len(name))
        if index < 0:
            raise KeyError(name)
        self.s.facts[index] = CALL_MAY | (CALL_WRITES if writes else 0)

    def open(self, str library not None, bytes thread not None, /):
        """Give a new Lua state the global function `native`. Lua itself is in this library, which lupa has loaded.

        lupa does not hand out its lua_State. But a coroutine is one, of the same world, and what tostring() shows of it
        is where it is. False, and nothing has happened: the library does not let Lua's functions be seen.
        """
        cdef bytes path = library.encode()
        cdef lua_State* L
        cdef uintptr_t at
        if not thread.startswith(b"thread: 0x"):
            raise ValueError(f"{thread!r} is no coroutine")
        if not ts_lua_bind(path):
            return False
        at = int(thread[8:], 16)
        L = <lua_State*>at
        lua_pushlightuserdata(L, &self.s)       # in a state so new there is memory
        lua_pushcclosure(L, door_open, 1)
        lua_setfield(L, LUA_GLOBALSINDEX, b"native")
        return True

    def close(self):
        """There is no Lua state any more, and no script is known."""
        self.s.L = NULL
        self.known.clear()

    def be_alone(self, bint wide=False, /):
        """From now on no other thread comes to the selected database, or to any, until the script ends."""
        if self.s.conn != NULL and not script_alone(&self.s, wide):
            raise MemoryError

    def run(self, session, Conn conn not None, Script script not None, uint32_t keys, list args not None,
            bint read_only, /):
        """Run a script. What stands behind the second of these arguments are its keys, so many, and its arguments.

        Gives the reply, in the version of RESP that the client speaks. An error of the script is what `ended` says.
        """
        cdef input_t q
        cdef object error
        words_request(&q, args)
        try:
            error = self.go(session, conn, script, &q, 2, keys, read_only)
        finally:
            free(q.data)
        if error is not None:
            raise error
        return Raw(PyBytes_FromStringAndSize(self.s.answer.data, <Py_ssize_t>self.s.answer.len))

    cdef object go(self, session, Conn conn, Script script, const input_t* q, uint32_t first, uint32_t keys,
                   bint read_only):
        """The run itself; the error with which it ends, or None and the reply in `answer`."""
        cdef script_t* s = &self.s
        cdef tuple problem
        s.request = q
        s.first = first
        s.keys = keys
        s.number = script.number
        self.session = session
        self.script = script
        script_begin(s, &conn.c, read_only or script.read_only)
        try:
            problem = script_run(s)
        finally:
            script_over(s)
            self.session = self.script = None
        out_trim(&s.words)
        if problem is None and not self.strange:
            return None
        return self.ended(session, script, problem)

    def call(self, *words):
        """The door for what is not native: carry it out, and give the reply in RESP. It does not raise."""
        cdef bytes answer
        try:
            answer = self.cold(words)
        except Exception as error:
            answer = self.broken(error)
        return answer if <size_t>len(answer) <= self.s.reply_most else TOO_LARGE[:TOO_LARGE_SIZE]

    def cold(self, words, /):
        raise NotImplementedError

    def broken(self, error, /):
        raise NotImplementedError

    def ended(self, session, script, problem, /):
        """The exception for `problem`: its text, where it came from (None: it was returned), the line, and whether it
        has been counted. Without a problem the run was a `strange` one.
        """
        raise NotImplementedError


# ---- EVALSHA, without Python

cdef bint is_evalsha(const input_t* q) noexcept nogil:
    if q.argc < 3 or q.args[0].len != 7:
        return False
    return name_word(input_arg(q, 0), 7) == name_word(b"EVALSHA", 7)

cdef Script script_called(Calls calls, const input_t* q, uint32_t* keys):
    """The script that a call of EVALSHA means, and how many keys there are; None: this is for Python."""
    cdef int64_t n = 0
    cdef object found
    if calls is None or not read_int64(input_arg(q, 2), q.args[2].len, &n) or not 0 <= n <= <int64_t>q.argc - 3:
        return None
    found = calls.known.get(PyBytes_FromStringAndSize(input_arg(q, 1), <Py_ssize_t>q.args[1].len))
    if found is None or (<Script>found).flags is not None:
        return None
    keys[0] = <uint32_t>n
    return <Script>found

cdef list words_met(Conn conn):
    """The words of the command that stands first; only its name if the connection was cleared meanwhile."""
    return input_argv(&conn.c.input) if conn.c.cold else [conn.cold_word]

cdef bint answer_script(Conn conn, session) except -1:
    """The command that stands first, of a plain connection: answer it if it is EVALSHA of a script that is known and
    whose first line says nothing. False, and nothing has happened: it is for Python.
    """
    cdef const input_t* q = &conn.c.input
    cdef Plane plane = conn.plane
    cdef bytes name = PyBytes_FromStringAndSize(input_arg(q, 0), <Py_ssize_t>q.args[0].len)
    cdef object found = plane.direct.get(name)
    cdef Calls calls = plane.calls
    cdef uint32_t keys = 0
    cdef Script script = script_called(calls, q, &keys)
    cdef uint64_t start = ts_now_ns(), nanos = 0
    cdef object error
    if script is None or type(found) is not Direct:
        return False
    conn.met(name)
    session.command_name = (<Direct>found).name
    plane.messages.acting = session
    try:
        error = calls.go(session, conn, script, q, 3, keys, False)
    finally:
        plane.messages.acting = None
    if error is not None:
        error = session.failed((<Direct>found).command, words_met(conn), start, error)
    elif direct_count(plane, <Direct>found, start, &nanos):
        session.note_slow((<Direct>found).command, words_met(conn), nanos // 1000)
    if len(plane.ready):
        session.changed()
    if error is not None:
        conn.write(error)
    else:
        conn.spelled(&calls.s.answer)
    settled(conn, session)
    return True
