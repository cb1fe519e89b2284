# Lua's C interface (c/luaapi.h), and values on their way between RESP and Lua.
#
# What it is: what a script needs natively, whoever runs it: bytes of a reply become a value on Lua's stack
# (lua_push_reply), and plain values become bytes of a reply (lua_out).
#
# What it is not: runs of scripts (script.pxi), or the one way to write a reply: tables are for sandbox.lua.
#
# What must stay true: errors of Lua's jump over the functions here that push. They hold nothing, and are called in
# protected mode only.

from libc.stdint cimport uintptr_t

cdef extern from "luaapi.h" nogil:
    ctypedef struct lua_State:
        pass
    ctypedef int (*lua_CFunction)(lua_State*) noexcept nogil
    int LUA_REGISTRYINDEX
    int LUA_GLOBALSINDEX
    int LUA_UPVALUE
    int LUA_MULTRET
    int LUA_TNIL
    int LUA_TBOOLEAN
    int LUA_TNUMBER
    int LUA_TSTRING
    int LUA_TTABLE
    bint ts_lua_bind(const char* path)
    int lua_gettop "ts_lua.lua_gettop"(lua_State* L)
    void lua_settop "ts_lua.lua_settop"(lua_State* L, int top)
    void lua_insert "ts_lua.lua_insert"(lua_State* L, int at)
    void lua_pushvalue "ts_lua.lua_pushvalue"(lua_State* L, int at)
    int lua_type "ts_lua.lua_type"(lua_State* L, int at)
    bint lua_toboolean "ts_lua.lua_toboolean"(lua_State* L, int at)
    double lua_tonumber "ts_lua.lua_tonumber"(lua_State* L, int at)
    const char* lua_tolstring "ts_lua.lua_tolstring"(lua_State* L, int at, size_t* n)
    void* lua_touserdata "ts_lua.lua_touserdata"(lua_State* L, int at)
    void lua_pushnil "ts_lua.lua_pushnil"(lua_State* L)
    void lua_pushboolean "ts_lua.lua_pushboolean"(lua_State* L, bint value)
    void lua_pushnumber "ts_lua.lua_pushnumber"(lua_State* L, double value)
    void lua_pushlightuserdata "ts_lua.lua_pushlightuserdata"(lua_State* L, void* p)
    void lua_rawgeti "ts_lua.lua_rawgeti"(lua_State* L, int at, int n)
    void lua_rawget "ts_lua.lua_rawget"(lua_State* L, int at)
    int lua_pcall "ts_lua.lua_pcall"(lua_State* L, int args, int results, int handler)
    void lua_pushlstring "ts_lua.lua_pushlstring"(lua_State* L, const char* p, size_t n)
    void lua_pushcclosure "ts_lua.lua_pushcclosure"(lua_State* L, lua_CFunction f, int n)
    void lua_createtable "ts_lua.lua_createtable"(lua_State* L, int items, int fields)
    void lua_rawset "ts_lua.lua_rawset"(lua_State* L, int at)
    void lua_setfield "ts_lua.lua_setfield"(lua_State* L, int at, const char* name)
    void lua_rawseti "ts_lua.lua_rawseti"(lua_State* L, int at, int n)
    bint lua_checkstack "ts_lua.lua_checkstack"(lua_State* L, int more)
    void lua_call "ts_lua.lua_call"(lua_State* L, int args, int results)
    int luaL_ref "ts_lua.luaL_ref"(lua_State* L, int at)

cdef enum:
    EXACT_BITS = 52             # numbers of Lua up to which an integer is exact
    REPLY_DEEP = 2000           # tables in tables

cdef inline bint lua_whole(double number, int64_t* value) noexcept nogil:
    """Is this an integer that a number of Lua's tells exactly?"""
    if not -(<double>(<int64_t>1 << EXACT_BITS)) <= number <= <double>(<int64_t>1 << EXACT_BITS):
        return False
    value[0] = <int64_t>number
    return <double>value[0] == number

cdef inline int64_t lua_truncated(double number) noexcept nogil:
    """As Redis's cast to long long has it on common machines."""
    if not -9223372036854775808.0 <= number < 9223372036854775808.0:
        return INT64_MIN
    return <int64_t>number

cdef inline int64_t line_number(const char* p) noexcept nogil:
    """The number at the beginning of a line that this server has written."""
    cdef bint negative = p[0] == c'-'
    cdef uint64_t value = 0
    p += negative
    while p[0] != c'\r':
        value = value * 10 + <uint64_t>(p[0] - c'0')
        p += 1
    return <int64_t>(0 - value if negative else value)

cdef inline void lua_push_field(lua_State* L, const char* name, size_t size, const char* p, size_t n) noexcept nogil:
    """name = p[:n], in the table on top."""
    lua_pushlstring(L, name, size)
    lua_pushlstring(L, p, n)
    lua_rawset(L, -3)

cdef bint lua_push_reply(lua_State* L, const char** at, int depth) noexcept nogil:
    """Push the reply that stands there, whole and well-formed, and go behind it. False: it is too deep, or odd."""
    cdef const char* p = at[0] + 1
    cdef const char* end = p
    cdef char kind = at[0][0]
    cdef int64_t n
    cdef double number
    while end[0] != c'\r':
        end += 1
    at[0] = end + 2
    if kind == c':':
        lua_pushnumber(L, <double>line_number(p))
    elif kind == c'$':
        n = line_number(p)
        if n < 0:
            lua_pushboolean(L, False)
            return True
        lua_pushlstring(L, at[0], <size_t>n)
        at[0] += n + 2
    elif kind == c'_':
        lua_pushnil(L)
    elif kind == c'#':
        lua_pushboolean(L, p[0] == c't')
    elif kind == c'*' or kind == c'>':
        n = line_number(p)
        if n < 0:
            lua_pushboolean(L, False)
            return True
        return lua_push_list(L, at, n, depth)
    elif kind == c'%' or kind == c'~':
        return lua_push_keys(L, at, line_number(p), kind == c'%', depth)
    else:
        lua_createtable(L, 0, 1)
        if kind == c'+':
            lua_push_field(L, b"ok", 2, p, <size_t>(end - p))
        elif kind == c'-':
            lua_push_field(L, b"err", 3, p, <size_t>(end - p))
        elif kind == c'(':
            lua_push_field(L, b"big_number", 10, p, <size_t>(end - p))
        elif kind == c',':
            number = strtod(p, NULL)
            lua_pushlstring(L, b"double", 6)
            lua_pushnumber(L, number)
            lua_rawset(L, -3)
        elif kind == c'=':
            n = line_number(p)
            p = at[0]
            at[0] += n + 2
            lua_pushlstring(L, b"verbatim_string", 15)
            lua_createtable(L, 0, 2)
            lua_push_field(L, b"format", 6, p, 3)
            lua_push_field(L, b"string", 6, p + 4, <size_t>n - 4)
            lua_rawset(L, -3)
        else:
            return False
    return True

cdef bint lua_push_list(lua_State* L, const char** at, int64_t n, int depth) noexcept nogil:
    """A table of the n replies that come."""
    cdef int i
    if depth >= REPLY_DEEP or not lua_checkstack(L, 8):
        return False
    lua_createtable(L, <int>n, 0)
    for i in range(1, <int>n + 1):
        if not lua_push_reply(L, at, depth + 1):
            return False
        lua_rawseti(L, -2, i)
    return True

cdef bint lua_push_keys(lua_State* L, const char** at, int64_t n, bint mapped, int depth) noexcept nogil:
    """{map = {...}} or {set = {...}} of the n replies, or pairs of them, that come. Null is no key in Lua."""
    cdef int64_t i
    if depth >= REPLY_DEEP or not lua_checkstack(L, 8):
        return False
    lua_createtable(L, 0, 1)
    lua_pushlstring(L, b"map" if mapped else b"set", 3)
    lua_createtable(L, 0, <int>n)
    for i in range(n):
        if not lua_push_reply(L, at, depth + 1):
            return False
        if not mapped:
            lua_pushboolean(L, True)
        elif not lua_push_reply(L, at, depth + 1):
            return False
        if lua_type(L, -2) == LUA_TNIL:
            lua_settop(L, -3)
        else:
            lua_rawset(L, -3)
    lua_rawset(L, -3)
    return True

cdef bint lua_is_status(lua_State* L) noexcept nogil:
    """Is the table on top {ok = "..."}, and no error? Then that text stands above it."""
    lua_pushlstring(L, b"err", 3)
    lua_rawget(L, -2)
    if lua_type(L, -1) != LUA_TNIL:
        return False
    lua_pushlstring(L, b"ok", 2)
    lua_rawget(L, -3)
    return lua_type(L, -1) == LUA_TSTRING

cdef bint lua_out(out_t* o, lua_State* L, int resp, int outside) noexcept nogil:
    """Write the value on top as a reply in the version `outside`, of a script that speaks `resp`. False: a table, or
    what else sandbox.lua knows better.
    """
    cdef int kind = lua_type(L, -1)
    cdef const char* p
    cdef size_t n = 0
    if kind == LUA_TNUMBER:
        out_head(o, c':', lua_truncated(lua_tonumber(L, -1)))
    elif kind == LUA_TSTRING:
        p = lua_tolstring(L, -1, &n)
        out_bulk(o, p, n)
    elif kind == LUA_TBOOLEAN:
        if resp >= 3:
            out_bool(o, lua_toboolean(L, -1), outside)
        elif lua_toboolean(L, -1):
            out_head(o, c':', 1)
        else:
            out_null(o, outside)
    elif kind != LUA_TTABLE:
        out_null(o, outside)
    elif lua_is_status(L):
        p = lua_tolstring(L, -1, &n)
        out_line(o, c'+', p, n)
    else:
        return False
    return True
