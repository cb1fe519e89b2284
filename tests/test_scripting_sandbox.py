# ruff: noqa: E501
"""Nobody gets out of the Lua sandbox: a collection of known ways, each of which must fail, and a fuzzer.

A way out would be: an object of Python's, a function of io, os, debug or package, compiled code, a change to what other
scripts see, more memory than allowed, the end of the process. Each attempt runs in one server, and after it the server
must be as it was before: `whole` looks.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, our_server
from _support import effort
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with our_server(busy_reply_threshold=200) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        client.value("EVAL", "return 1", 0)
        yield client


WHOLE = """
local names = {}
for name, value in pairs(_G) do
    names[#names + 1] = name .. ':' .. type(value)
end
for _, library in ipairs({'string', 'table', 'math', 'coroutine', 'redis', 'cjson', 'cmsgpack', 'struct', 'bit', 'os'}) do
    for name, value in pairs(_G[library]) do
        names[#names + 1] = library .. '.' .. name .. ':' .. type(value)
    end
end
table.sort(names)
assert(string.format('%d', 5) == '5' and ('x'):rep(2) == 'xx' and cjson.encode({1}) == '[1]' and #_G == 0)
assert(redis.call('ping').ok == 'PONG' and tostring(nil) == 'nil' and next({}) == nil)
return table.concat(names, ' ')
"""


def whole(client: Client) -> str:
    """What scripts see, as one text; and that it works."""
    text: bytes = client.value("EVAL", WHOLE, 0)
    return text.decode()


@pytest.fixture(scope="module")
def before(client: Client) -> str:
    return whole(client)


# ---- what is not there

ABSENT = [
    "io", "debug", "package", "require", "module", "dofile", "loadfile", "print", "getfenv", "setfenv", "newproxy", "python",
    "lupa", "jit", "ffi", "os.execute", "os.exit", "os.getenv", "os.remove", "os.rename", "os.tmpname", "os.time",
    "string.__index", "coroutine.isyieldable", "_G.io", "_G.debug", "_G._G.package", "redis.python",
]  # fmt: skip


@pytest.mark.parametrize("name", ABSENT)
def test_what_leads_outside_is_not_there(client: Client, name: str) -> None:
    script = f"local ok, value = pcall(function() return {name} end) return ok and value ~= nil"
    assert client("EVAL", script, 0) == ("$", None), name


# ---- what must be refused: each of these scripts ends in an error

REFUSED = [
    # changes to what all scripts see
    "_G.x = 1",
    "x = 1",
    "function f() end",
    "_G._G = {}",
    "KEYS = {}",
    "string.rep = nil",
    "redis.call = function() end",
    "redis.evil = 1",
    "cjson.null = 1",
    "rawset(_G, 'x', 1)",
    "rawset(string, 'rep', 1)",
    "rawset(redis, 'call', 1)",
    "setmetatable(_G, {})",
    "setmetatable(string, {})",
    "setmetatable(redis, nil)",
    "table.insert(_G, 1)",
    "table.insert(redis, 1, 2)",
    "table.setn(redis, 5)",
    "getmetatable(_G).__index = nil",
    "getmetatable(_G).__newindex = nil",
    "rawset(getmetatable(_G), '__newindex', nil)",
    "setmetatable(getmetatable(_G), {})",
    "getmetatable('').__index = nil",
    "getmetatable('').__add = function() end",
    "rawset(getmetatable(''), '__index', nil)",
    "setmetatable(getmetatable(''), {})",
    "getmetatable(cjson.null).__index = 1",
    "for k, v in pairs(getmetatable('')) do v.rep = nil end",
    "for k, v in pairs(_G) do if k == '_G' then v.x = 1 end end",
    "local f, t = pairs(_G) t.x = 1",
    "local f, t = pairs(string) rawset(t, 'x', 1)",
    "select(2, pairs(redis)).call = 1",
    "local t = setmetatable({}, {__newindex = string}) t.x = 1",
    "local t = setmetatable({}, {__index = redis, __newindex = redis}) t.call = 1",
    "string.gsub('x', 'x', setmetatable({}, {__index = function() _G.x = 1 end}))",
    # compiled code
    "loadstring('\\27Lua')()",
    "loadstring(string.dump(function() return 1 end))()",
    "load(function() return nil end, string.dump(function() end))() ; local d = string.dump(function() end) "
    "local n = 0 load(function() n = n + 1 return n == 1 and d or nil end)()",
    "load((function() local d, n = string.dump(function() end), 0 "
    "return function() n = n + 1 if n <= #d then return d:sub(n, n) end end end)())()",
    # code in another environment
    "loadstring('y = 1')()",
    "loadstring('return debug.getregistry()')()",
    "load(function() return nil end)() loadstring('io.open(\"x\")')()",
    "coroutine.wrap(function() z = 1 end)()",
    "coroutine.wrap(loadstring('z = 1'))()",
    "xpcall(function() error('x') end, function() w = 1 end) error('not seen')",
    # more than there is
    "string.rep('x', 1e10)",
    "string.rep('x', 2^40)",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 1e6) .. i end",
    "local t = {'x'} for i = 1, 40 do t = {table.concat(t), table.concat(t)} end",
    "local s = string.rep('x', 1e8) return s:gsub('x', s)",
    "return unpack({}, 1, 1e8)",
    "local function f() return 1 + f() end f()",
    "local t = setmetatable({}, {}) getmetatable(t).__index = t; return t.x.y",
    "string.rep('(', 1e5):find(string.rep('(', 1e5))",
    "string.find(string.rep('a', 1e6), string.rep('a?', 1e6) .. 'b')",
    "string.gsub('x', string.rep('x-', 1e6), '')",
    "for w in string.gmatch('x', string.rep('x*', 1e6)) do end",
    "local function f() return string.gsub('x', 'x', f) end f()",
    "local co = {} local function f() return coroutine.wrap(f)() end f()",
    "table.sort({1, 2, 3}, function(a, b) table.sort({1, 2, 3}, error) end)",
    "cjson.decode(string.rep('[', 1e6))",
    "local t = {} for i = 1, 1e5 do t = {t} end cjson.encode(t)",
    "cmsgpack.unpack(string.rep('\\145', 1e6))",
    "cmsgpack.unpack('\\221\\255\\255\\255\\255')",
    "struct.pack('!' .. string.rep('9', 100) .. 'd', 1)",
    "struct.unpack('c999999999', 'x')",
    "string.format('%999999d', 1)",
    "string.format(string.rep('%s', 1e6))",
    # Python, by what is known of the binding
    "python.eval('1')",
    "redis.call.__globals__()",
    "(redis.call).__self__ = 1",
    "redis.call['__class__'].x()",
    "getmetatable(redis.call).__index()",
    "local e = select(2, pcall(redis.call, {})) return e.__class__.__mro__()",
    "local e = select(2, pcall(bit.band, {})) return e.__traceback__.tb_frame()",
    "redis.sha1hex.__call__('x')",
    "cjson.null.__class__()",
    "redis.log(redis.LOG_WARNING, redis.call) ; redis.log({}, 'x')",
    "tostring(redis.sha1hex):__class__()",
]


@pytest.mark.parametrize("script", REFUSED)
def test_a_known_way_out_is_closed(client: Client, before: str, script: str) -> None:
    mark, text = client("EVAL", script, 0)
    assert mark == "-", (script, text)
    assert "Python" not in text and "object at" not in text and "Traceback" not in text
    assert before == whole(client)


HARMLESS = [
    ("return type(redis.call)", b"function"),
    ("return type(select(2, pcall(redis.call, {})))", b"string"),
    ("return type(redis.pcall('nosuch'))", b"table"),
    ("return tostring(getmetatable(redis.call))", b"nil"),
    ("return tostring(getmetatable(redis))", b"nil"),
    ("collectgarbage('stop') return collectgarbage('setpause', 1000)", 0),
    ("return type(os.clock())", b"number"),
    ("local t = {} for k in pairs(os) do t[#t + 1] = k end return t", [b"clock"]),
]


@pytest.mark.parametrize(("script", "value"), HARMLESS)
def test_what_can_be_seen_is_no_object_of_pythons(client: Client, script: str, value: object) -> None:
    assert client.value("EVAL", script, 0) == value


def test_every_value_that_can_be_reached_is_lua_s_own(client: Client) -> None:
    script = """
    local seen, strange = {}, {}
    local function walk(value, path)
        local kind = type(value)
        if kind == 'userdata' and value ~= cjson.null or kind == 'thread' then
            strange[#strange + 1] = path
        end
        if kind ~= 'table' or seen[value] then return end
        seen[value] = true
        for k, v in pairs(value) do
            walk(k, path .. '.key')
            walk(v, path .. '.' .. tostring(k))
        end
        walk(getmetatable(value), path .. '.metatable')
    end
    walk(_G, '_G')
    walk(getmetatable(''), 'string metatable')
    walk(getmetatable(print and nil), 'nil')
    return strange
    """.replace("print and nil", "nil")
    assert client.value("EVAL", script, 0) == []


# ---- fuzzing

NAMES = [
    "_G", "string", "table", "redis", "cjson", "cmsgpack", "struct", "bit", "coroutine", "KEYS", "getmetatable", "setmetatable",
    "rawset", "rawget", "next", "pairs", "ipairs", "pcall", "xpcall", "error", "select", "unpack", "tostring", "type", "load",
    "loadstring", "string.rep", "string.gsub", "string.format", "string.dump", "redis.call", "redis.pcall", "redis.sha1hex",
    "redis.error_reply", "redis.setresp", "redis.acl_check_cmd", "cjson.encode", "cjson.decode", "cjson.new", "cjson.null",
    "cmsgpack.pack", "cmsgpack.unpack", "struct.pack", "struct.unpack", "bit.band", "bit.tohex", "coroutine.wrap",
    "coroutine.create", "coroutine.resume", "table.insert", "table.sort", "table.concat", "collectgarbage", "assert",
]  # fmt: skip
atoms = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from(
        ["nil", "true", "{}", "''", "'x'", "'set'", "'get'", "'__index'", "0", "-1", "1e300", "0/0", "2^53"]
    ),
    st.sampled_from(
        ["function(...) return ... end", "{1, 'a', {}}", "setmetatable({}, {__index = _G})", "{err = 'E x'}"]
    ),
)


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(inner, max_size=3).map(", ".join)
    return st.one_of(
        st.tuples(st.sampled_from(NAMES), arguments).map(lambda made: f"{made[0]}({made[1]})"),
        st.tuples(inner, st.sampled_from(["call", "__index", "x", "rep"])).map(lambda made: f"({made[0]}).{made[1]}"),
        st.tuples(inner, inner).map(lambda made: f"({made[0]})[{made[1]}]"),
        st.tuples(inner, arguments).map(
            lambda made: f"(select(2, pcall({made[0]}{', ' + made[1] if made[1] else ''})))"
        ),
    )


expressions = st.recursive(atoms, calls, max_leaves=8)
statements = st.one_of(
    expressions.map(lambda e: f"local v = {e} assert(type(v) ~= 'userdata' or v == cjson.null)"),
    st.tuples(expressions, expressions).map(lambda made: f"({made[0]}).x = {made[1]}"),
    expressions.map(lambda e: f"redis.call('echo', {e})"),
)


@settings(max_examples=effort(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(statements, min_size=1, max_size=4))
def test_nothing_that_is_written_at_random_gets_out(client: Client, before: str, parts: list[str]) -> None:
    script = "\n".join(f"pcall(function() {part} end);" for part in parts) + "\nreturn 'over'"
    reply = client("EVAL", script, 0)
    assert reply in (("$", b"over"),) or "not enough memory" in reply[1], (script, reply)
    assert before == whole(client)
