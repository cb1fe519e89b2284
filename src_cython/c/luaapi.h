/* Lua 5.1's C interface, found at run time in the shared library in which lupa brings Lua.
 *
 * What it is: the functions that scripts need, by their own names, as pointers that ts_lua_bind() fills. The library is
 * one into which libraries of Lua's can be loaded, so it lets its functions be seen.
 *
 * What it is not: a copy of lua.h. There is no Lua to build against where this is compiled; and this interface does not
 * change any more.
 *
 * What must stay true: a function that may raise (all that make strings, tables or room) is called in protected mode
 * only, from C that has nothing to undo: an error jumps over it. Those that never raise are marked. */

#ifndef TS_LUAAPI_H
#define TS_LUAAPI_H

#include <dlfcn.h>
#include <stddef.h>

typedef struct lua_State lua_State;
typedef int (*lua_CFunction)(lua_State *L);

enum {
    LUA_REGISTRYINDEX = -10000,
    LUA_GLOBALSINDEX = -10002,
    LUA_UPVALUE = -10003, /* the first of a C function */
    LUA_MULTRET = -1,
    LUA_TNIL = 0,
    LUA_TBOOLEAN = 1,
    LUA_TNUMBER = 3,
    LUA_TSTRING = 4,
    LUA_TTABLE = 5
};

#define TS_LUA_FUNCTIONS(X) \
    X(int, lua_gettop, (lua_State *L))                                          /* never raises */ \
    X(void, lua_settop, (lua_State *L, int top))                                /* never raises */ \
    X(void, lua_insert, (lua_State *L, int at))                                 /* never raises */ \
    X(void, lua_pushvalue, (lua_State *L, int at))                              /* never raises */ \
    X(int, lua_type, (lua_State *L, int at))                                    /* never raises */ \
    X(int, lua_toboolean, (lua_State *L, int at))                               /* never raises */ \
    X(double, lua_tonumber, (lua_State *L, int at))                             /* never raises */ \
    X(const char *, lua_tolstring, (lua_State *L, int at, size_t *n))           /* not for strings */ \
    X(void *, lua_touserdata, (lua_State *L, int at))                           /* never raises */ \
    X(void, lua_pushnil, (lua_State *L))                                        /* never raises */ \
    X(void, lua_pushboolean, (lua_State *L, int value))                         /* never raises */ \
    X(void, lua_pushnumber, (lua_State *L, double value))                       /* never raises */ \
    X(void, lua_pushlightuserdata, (lua_State *L, void *p))                     /* never raises */ \
    X(void, lua_rawgeti, (lua_State *L, int at, int n))                         /* never raises */ \
    X(void, lua_rawget, (lua_State *L, int at))                                 /* never raises */ \
    X(int, lua_pcall, (lua_State *L, int args, int results, int handler))       /* never raises */ \
    X(void, lua_pushlstring, (lua_State *L, const char *p, size_t n)) \
    X(void, lua_pushcclosure, (lua_State *L, lua_CFunction f, int n)) \
    X(void, lua_createtable, (lua_State *L, int list, int fields)) \
    X(void, lua_rawset, (lua_State *L, int at)) \
    X(void, lua_setfield, (lua_State *L, int at, const char *name)) \
    X(void, lua_rawseti, (lua_State *L, int at, int n)) \
    X(int, lua_checkstack, (lua_State *L, int more)) \
    X(void, lua_call, (lua_State *L, int args, int results)) \
    X(int, luaL_ref, (lua_State *L, int at))

#define TS_LUA_POINTER(type, name, args) type (*name) args;
static struct { TS_LUA_FUNCTIONS(TS_LUA_POINTER) } ts_lua;

/* Find all of them in this library, which has been loaded. 0: some are not there. */
static int ts_lua_bind(const char *path)
{
    void *library = dlopen(path, RTLD_LAZY), *found;
    if (library == NULL)
        return 0;
#define TS_LUA_FIND(type, name, args) \
    if ((found = dlsym(library, #name)) == NULL) \
        return 0; \
    *(void **)&ts_lua.name = found;
    TS_LUA_FUNCTIONS(TS_LUA_FIND)
    return 1;
}

#endif
