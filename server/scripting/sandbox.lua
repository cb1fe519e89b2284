-- The world in which scripts run: what Redis's scripts see, and nothing else.
--
-- What it is: the first chunk that runs in a new Lua state. It takes the standard library apart, hides what is dangerous,
-- protects what is shared, builds `redis`, and gives back the functions by which Python compiles and runs scripts.
--
-- What it is not: it does not run commands (tsunami._wire does, natively, or else the door `call`), and it holds no state
-- of the server's.
--
-- What must stay true:
--
-- 1. No value that a script can reach is an object of Python's. Doors, which are, live in upvalues; what calls them is
--    taken out of their metatable below, so that even a script that had one could do nothing with it.
-- 2. A shared table (`_G`, the libraries, their metatables) is never seen: scripts see a *proxy*, an empty table whose
--    metatable reads through to the real one. Whatever could write to a table without asking its metatable (rawset,
--    table.insert, ...) looks for proxies first; whatever reads so (next, rawget, ...) reads the real one.
-- 3. Doors are entered only while `memory_full` says that there is room: Python would not survive a failed allocation
--    in the middle of a conversion. That is what the margin below the hard limit is for. What is native needs none.
-- 4. Every coroutine has the hook from its birth: there is no place from which a script cannot be killed.
-- 5. Functions that stand before those of C's look at arguments first, so that complaints name the script's lines.

local doors, SOFT_KB, EVERY, WIDE, DEEP = ...

local assert, error, getmetatable, ipairs, loadstring, next, pairs, pcall, rawget, rawset, select, setfenv =
    assert, error, getmetatable, ipairs, loadstring, next, pairs, pcall, rawget, rawset, select, setfenv
local setmetatable, tonumber, tostring, type, unpack, xpcall, gcinfo, collectgarbage, newproxy =
    setmetatable, tonumber, tostring, type, unpack, xpcall, gcinfo, collectgarbage, newproxy
local byte, find, format, gsub, len, rep, sub = string.byte, string.find, string.format, string.gsub, string.len,
    string.rep, string.sub
local concat, floor, ceil = table.concat, math.floor, math.ceil
local getinfo, sethook, dump = debug.getinfo, debug.sethook, string.dump
local create, resume, string_metatable = coroutine.create, coroutine.resume, getmetatable("")

local READONLY = "Attempt to modify a readonly table"
local OURS = { ["=sandbox"] = true, ["=cjson"] = true, ["=cmsgpack"] = true, ["=struct"] = true, ["=bit"] = true }

-- ---- doors: functions of Python

local door_metatable = getmetatable(doors.call)
local invoke = door_metatable.__call
for _, name in ipairs { "__call", "__index", "__newindex", "__tostring" } do
    door_metatable[name] = nil
end
door_metatable.__metatable = false
local call_door, pack_door, tick_door, log_door, sha1_door = doors.call, doors.packed, doors.tick, doors.log, doors.sha1
local acl_door, spell_door, resp_door, untail_door = doors.acl, doors.spell, doors.resp, doors.untail

-- ---- what is native (tsunami._wire): redis.call of hot commands, reading replies, running scripts

local call_native, read, keep = native()

local function memory_full()
    if gcinfo() > SOFT_KB then
        collectgarbage()
        return gcinfo() > SOFT_KB
    end
end

local function make_room()
    if memory_full() then
        error("not enough memory", 0)
    end
end

-- A door as the libraries use it: values in, values out.
local function door(name)
    local object = doors[name]
    return function(...)
        if gcinfo() > SOFT_KB then
            make_room()
        end
        return invoke(object, ...)
    end
end

-- ---- protection

local real_of = setmetatable({}, { __mode = "k" })   -- proxy -> real table

local function refuse()
    error(READONLY, 2)
end

local function protect(real, metatable)
    local proxy = {}
    real_of[proxy] = real
    metatable = metatable or {}
    metatable.__index = metatable.__index or real
    metatable.__newindex = refuse
    setmetatable(proxy, metatable)
    return proxy
end

local function bad_argument(n, name, what, value, absent)
    local got = absent and "no value" or type(value)
    error(format("bad argument #%d to '%s' (%s expected, got %s)", n, name, what, got), 3)
end

local function want_table(value, n, name, count)
    if type(value) ~= "table" then
        local got = count < n and "no value" or type(value)
        error(format("bad argument #%d to '%s' (table expected, got %s)", n, name, got), 3)
    end
end

-- ---- the hook: time limit and SCRIPT KILL

local hook
local ended = false     -- the run is being ended

function hook()
    local verdict = invoke(tick_door)
    if verdict then
        ended = true
        sethook(hook, "l", 1)       -- again at every step, so that no pcall outlives it
        error({ err = verdict }, 0)
    end
end

local function watch()
    sethook(hook, "", EVERY)
end

-- The hook is a Lua function, and where C calls are nested as deep as Lua allows it cannot be called: that is an error of
-- its own, and a script that catches errors there would never be looked at. So whoever catches one looks at the clock.
local failures = 0

local function failed()
    failures = failures + 1
    if failures % 16 == 0 or ended then
        local verdict = invoke(tick_door)
        if verdict then
            ended = true
            sethook(hook, "l", 1)
            error({ err = verdict }, 0)
        end
    end
end

-- ---- the standard library, as scripts may use it

local base, lib = {}, {}

for _, name in ipairs { "assert", "error", "gcinfo", "ipairs", "rawequal", "select", "tonumber", "tostring", "type", "unpack",
    "_VERSION" } do
    base[name] = _G[name]
end

function base.pairs(...)
    local t = ...
    want_table(t, 1, "pairs", select("#", ...))
    local real = real_of[t]
    if not real then
        return next, t, nil
    end
    return function(_, key)
        return next(real, key)
    end, t, nil
end

function base.next(...)
    local t, key = ...
    want_table(t, 1, "next", select("#", ...))
    return next(real_of[t] or t, key)
end

function base.rawget(t, ...)
    want_table(t, 1, "rawget", 1)
    return rawget(real_of[t] or t, (...))
end

function base.rawset(t, ...)
    want_table(t, 1, "rawset", 1)
    if real_of[t] then
        error(READONLY, 0)
    end
    return rawset(t, ...)
end

function base.setmetatable(...)
    local t, metatable = ...
    want_table(t, 1, "setmetatable", select("#", ...))
    if real_of[t] then
        error(READONLY, 0)
    end
    if select("#", ...) < 2 or (metatable ~= nil and type(metatable) ~= "table") then
        error("bad argument #2 to 'setmetatable' (nil or table expected)", 2)
    end
    local old = getmetatable(t)
    if old ~= nil and (type(old) ~= "table" or rawget(old, "__metatable") ~= nil) then
        error("cannot change a protected metatable", 2)
    end
    return setmetatable(t, metatable)
end

function base.getmetatable(...)
    if select("#", ...) == 0 then
        error("bad argument #1 to 'getmetatable' (value expected)", 2)
    end
    local found = getmetatable((...))
    if real_of[(...)] and found ~= nil and not real_of[found] then
        return nil          -- a library: it has no metatable that anybody should know of
    end
    return found
end

-- An error that is a table of Redis's is, for those who catch it, its text.
local function caught(ok, problem, ...)
    if ok then
        return ok, problem, ...
    end
    failed()
    if type(problem) == "table" then
        local text = rawget(problem, "err")
        if type(text) == "string" or type(text) == "number" then
            return false, text
        end
    end
    return false, problem, ...
end

function base.pcall(...)
    if select("#", ...) == 0 then
        error("bad argument #1 to 'pcall' (value expected)", 2)
    end
    return caught(pcall(...))
end

local function looked(ok, ...)
    if not ok then
        failed()
    end
    return ok, ...
end

-- What handles an error of the hook's runs without a hook: it must not be the script's.
function base.xpcall(...)
    local body, handler = ...
    if select("#", ...) < 2 then
        error("bad argument #2 to 'xpcall' (value expected)", 2)
    end
    return looked(xpcall(body, function(problem)
        if ended then
            return problem
        end
        return handler(problem)
    end))
end

function base.collectgarbage(what, ...)
    if what == "stop" or what == "restart" or what == "setpause" or what == "setstepmul" then
        return 0        -- the collector belongs to all scripts
    end
    if what ~= nil and what ~= "collect" and what ~= "count" and what ~= "step" then
        if type(what) ~= "string" then
            bad_argument(1, "collectgarbage", "string", what)
        end
        error(format("bad argument #1 to 'collectgarbage' (invalid option '%s')", what), 2)
    end
    return collectgarbage(what or "collect")
end

local env       -- what scripts see as _G

-- The same function; but a call at its end leaves a trace of its line (doors.untail).
local function keep_lines(chunk)
    make_room()
    return assert(loadstring(invoke(untail_door, dump(chunk))))
end

local function load_text(text, name)
    if byte(text) == 27 then
        return nil, "attempt to load chunk with wrong mode"     -- compiled code can do anything
    end
    local chunk, problem = loadstring(text, name)
    return chunk and setfenv(keep_lines(chunk), env), problem
end

function base.loadstring(text, name)
    if type(text) ~= "string" and type(text) ~= "number" then
        bad_argument(1, "loadstring", "string", text)
    end
    text = tostring(text)
    return load_text(text, name == nil and text or tostring(name))
end

function base.load(reader, name)
    if type(reader) ~= "function" then
        bad_argument(1, "load", "function", reader)
    end
    local pieces, n = {}, 0
    while true do
        local ok, piece = pcall(reader)
        if not ok then
            return nil, piece
        end
        if piece == nil or piece == "" then
            break
        end
        if type(piece) ~= "string" and type(piece) ~= "number" then
            return nil, "reader function must return a string"
        end
        n = n + 1
        pieces[n] = piece
    end
    return load_text(concat(pieces), name == nil and "=(load)" or tostring(name))
end

for _, name in ipairs { "string", "table", "math" } do
    lib[name] = {}
    for key, value in pairs(_G[name]) do
        lib[name][key] = value
    end
end

local function text_of(value, n, name, absent)
    local kind = type(value)
    if kind ~= "string" and kind ~= "number" then
        error(format("bad argument #%d to '%s' (string expected, got %s)", n, name, absent and "no value" or kind), 3)
    end
    return tostring(value)
end

-- string.rep works in C, where no hook can stop it.
function lib.string.rep(...)
    local text, count = ...
    text = text_of(text, 1, "rep", select("#", ...) < 1)
    local times = tonumber(count)
    if times == nil or type(count) == "boolean" then
        bad_argument(2, "rep", "number", count, select("#", ...) < 2)
    end
    if text == "" or times < 1 then
        return ""
    end
    if len(text) * times > WIDE then
        error("not enough memory", 0)
    end
    return rep(text, times)
end

-- Matching calls itself for each item of a pattern, on the C stack: a pattern must not be longer than that is deep.
for _, name in ipairs { "find", "match", "gmatch", "gfind", "gsub" } do
    local function simple(original)
        return function(...)
            local text, pattern, third, plain = ...
            local kind = type(pattern)
            if kind ~= "string" and kind ~= "number" then
                text_of(text, 1, name, select("#", ...) < 1)
                bad_argument(2, name, "string", pattern, select("#", ...) < 2)
            end
            if kind == "string" and len(pattern) > DEEP and not (name == "find" and plain) then
                error("pattern too complex", 2)
            end
            if type(text) ~= "string" then
                text_of(text, 1, name, select("#", ...) < 1)
            end
            if name == "gsub" then
                kind = type(third)
                if kind ~= "string" and kind ~= "number" and kind ~= "table" and kind ~= "function" then
                    error("bad argument #3 to 'gsub' (string/function/table expected)", 2)
                end
                if kind == "table" and real_of[third] then
                    return original(text, pattern, real_of[third], plain)
                end
            end
            return original(...)
        end
    end
    lib.string[name] = simple(lib.string[name])
end

for _, name in ipairs { "insert", "remove", "sort", "setn" } do
    local original = lib.table[name]
    lib.table[name] = function(...)
        local t = ...
        want_table(t, 1, name, select("#", ...))
        if real_of[t] and (name == "insert" or name == "setn") then
            error(READONLY, 0)
        end
        if name == "insert" then
            local count = select("#", ...)
            if count ~= 2 and count ~= 3 then
                error("wrong number of arguments to 'insert'", 2)
            end
            local at = select(2, ...)
            if count == 3 and not tonumber(at) then
                bad_argument(2, name, "number", at)
            end
        end
        return original(...)
    end
end

function lib.table.foreach(...)
    local t, visit = ...
    want_table(t, 1, "foreach", select("#", ...))
    for key, value in next, real_of[t] or t do
        local answer = visit(key, value)
        if answer ~= nil then
            return answer
        end
    end
end

-- Coroutines are born without a hook.
lib.coroutine = { running = coroutine.running, status = coroutine.status, yield = coroutine.yield }

local function born(body)
    local thread = create(body)
    sethook(thread, hook, "", EVERY)
    return thread
end

function lib.coroutine.resume(...)
    if type((...)) ~= "thread" then
        error("bad argument #1 to 'resume' (coroutine expected)", 2)
    end
    return looked(resume(...))
end

function lib.coroutine.create(body)
    if type(body) ~= "function" then
        error("bad argument #1 to 'create' (Lua function expected)", 2)
    end
    return born(body)
end

local function here(...)
    return ...
end

local function resumed(ok, problem, ...)
    if not ok then
        error(problem, type(problem) == "string" and 3 or 0)
    end
    return problem, ...
end

function lib.coroutine.wrap(body)
    if type(body) ~= "function" then
        error("bad argument #1 to 'wrap' (Lua function expected)", 2)
    end
    local thread = born(body)
    return function(...)
        return here(resumed(resume(thread, ...)))
    end
end

lib.os = { clock = os.clock }

-- ---- values as Redis has them <-> Lua's

local LEAST = "-9223372036854775808"

-- A number as C's cast to long long makes it.
local function whole(number)
    if number ~= number or number >= 9223372036854775808 or number <= -9223372036854775808 then
        return LEAST
    end
    number = number < 0 and ceil(number) or floor(number)
    return number == 0 and "0" or format("%.0f", number)
end

local resp, caller              -- of the reply that is being written: what the script speaks, and what its client does
local parts, size

local function one_line(text)
    return (gsub(text, "[\r\n]", " "))
end

local function put(text)
    size = size + 1
    parts[size] = text
end

local NEST = 2664       -- tables in tables: about what Redis's stack takes
local emit

local function emit_double(number)
    local text = invoke(spell_door, number)
    put(caller == 3 and "," .. text .. "\r\n" or "$" .. len(text) .. "\r\n" .. text .. "\r\n")
end

local function emit_bulk(text)
    put("$" .. len(text) .. "\r\n")
    put(text)
    put("\r\n")
end

local function emit_map(map, depth)
    local at, count = size + 1, 0
    put("")
    for key, value in next, real_of[map] or map do
        emit(key, depth)
        emit(value, depth)
        count = count + 1
    end
    parts[at] = caller == 3 and "%" .. count .. "\r\n" or "*" .. count * 2 .. "\r\n"
end

local function emit_set(set, depth)
    local at, count = size + 1, 0
    put("")
    for key in next, real_of[set] or set do
        emit(key, depth)
        count = count + 1
    end
    parts[at] = (caller == 3 and "~" or "*") .. count .. "\r\n"
end

local function emit_array(list, depth)
    local at, count = size + 1, 0
    put("")
    while true do
        local value = rawget(list, count + 1)
        if value == nil then
            break
        end
        emit(value, depth)
        count = count + 1
    end
    parts[at] = "*" .. count .. "\r\n"
end

local function emit_table(t, depth)
    t = real_of[t] or t
    local field = rawget(t, "err")
    if type(field) == "string" then
        return put("-" .. one_line(field) .. "\r\n")
    end
    field = rawget(t, "ok")
    if type(field) == "string" then
        return put("+" .. one_line(field) .. "\r\n")
    end
    field = rawget(t, "double")
    if type(field) == "number" then
        return emit_double(field)
    end
    field = rawget(t, "map")
    if type(field) == "table" then
        return emit_map(field, depth)
    end
    field = rawget(t, "set")
    if type(field) == "table" then
        return emit_set(field, depth)
    end
    field = rawget(t, "big_number")
    if type(field) == "string" then
        field = one_line(field)
        if caller == 3 then
            return put("(" .. field .. "\r\n")
        end
        return emit_bulk(field)
    end
    field = rawget(t, "verbatim_string")
    if type(field) == "table" then
        local text, form = rawget(field, "string"), rawget(field, "format")
        if type(text) == "string" and type(form) == "string" then
            if caller == 3 then
                form = sub(form .. "   ", 1, 3)
                return put("=" .. len(text) + 4 .. "\r\n" .. form .. ":" .. text .. "\r\n")
            end
            return emit_bulk(text)
        end
    end
    emit_array(t, depth)
end

function emit(value, depth)
    local kind = type(value)
    if kind == "string" then
        emit_bulk(value)
    elseif kind == "number" then
        put(":" .. whole(value) .. "\r\n")
    elseif kind == "boolean" then
        if resp == 3 then
            put(caller == 3 and (value and "#t\r\n" or "#f\r\n") or (value and ":1\r\n" or ":0\r\n"))
        elseif value then
            put(":1\r\n")
        else
            put(caller == 3 and "_\r\n" or "$-1\r\n")
        end
    elseif kind == "table" then
        if depth >= NEST then
            put("-ERR reached lua stack limit\r\n")
        else
            emit_table(value, depth + 1)
        end
    else
        put(caller == 3 and "_\r\n" or "$-1\r\n")
    end
end

-- Has the error been counted already, by the command that answered it?
local function is_counted(problem)
    return rawget(real_of[problem] or problem, "ignore_error_stats_update") and true or false
end

-- The reply that a table is, and whether it is an error that has been counted.
local function encode(value, speaks, client)
    resp, caller, parts, size = speaks, client, {}, 0
    emit(value, 0)
    local text = concat(parts)
    parts = nil
    return text, is_counted(value)
end

-- ---- redis

-- The value of what a command has answered, which has not been native.
local function settle(raise, answer)
    local kind, value = byte(answer), nil
    if kind == 45 then                                          -- - an error of the command
        value = { err = sub(answer, 2, -3), ignore_error_stats_update = true }
    elseif kind == 33 then                                      -- ! an error of the call
        value = { err = sub(answer, 2) }
    else
        local problem
        value, problem = read(answer)
        if not problem then
            return value
        end
        value = { err = sub(problem, 2, -3) }
    end
    if raise then
        error(value, 0)
    end
    return value
end

-- Many arguments go as one string: a binding that appends them one by one takes quadratic time.
local function packed(...)
    local list, count, n = { ... }, select("#", ...), 0
    local pieces = {}
    for i = 1, count do
        local value, kind = list[i], type(list[i])
        if kind == "number" then
            value = invoke(spell_door, value, true)
        elseif kind ~= "string" then
            return "!ERR Lua redis lib command arguments must be strings or integers"
        end
        pieces[n + 1], pieces[n + 2], pieces[n + 3] = len(value), ":", value
        n = n + 3
    end
    local text = concat(pieces)
    make_room()
    return invoke(pack_door, text)
end

local function caller_of(raise)
    return function(...)
        local value, other = call_native(...)
        if not other then
            return value
        end
        if other ~= true then
            return settle(raise, other)
        end
        if gcinfo() > SOFT_KB then
            make_room()
        end
        return settle(raise, select("#", ...) > 200 and packed(...) or invoke(call_door, ...))
    end
end

local redis = { call = caller_of(true), pcall = caller_of(false) }
lib.redis = redis

local function complain(text)
    error({ err = "ERR " .. text }, 0)
end

-- A text as an error reply: what begins with a hyphen names its code.
local function error_table(text)
    text = gsub(gsub(text, "^%-", ""), "[\r\n]+$", "")
    if not find(text, " ", 1, true) then
        text = "ERR " .. text
    end
    return { err = text }
end

function redis.error_reply(...)
    local text = ...
    if select("#", ...) ~= 1 or type(text) ~= "string" then
        return { err = "ERR wrong number or type of arguments" }
    end
    return error_table(text)
end

function redis.status_reply(...)
    local text = ...
    if select("#", ...) ~= 1 or type(text) ~= "string" then
        return { err = "ERR wrong number or type of arguments" }
    end
    return { ok = text }
end

function redis.sha1hex(...)
    if select("#", ...) ~= 1 then
        complain("wrong number of arguments")
    end
    local text = ...
    if type(text) == "number" then
        text = tostring(text)
    end
    make_room()
    return invoke(sha1_door, type(text) == "string" and text or "")
end

function redis.log(...)
    local count = select("#", ...)
    if count < 2 then
        complain("redis.log() requires two arguments or more.")
    end
    local level = ...
    if type(level) ~= "number" and not (type(level) == "string" and tonumber(level)) then
        complain("First argument must be a number (log level).")
    end
    level = tonumber(level)
    if level < 0 or level > 3 then
        complain("Invalid debug level.")
    end
    local words, n = {}, 0
    for i = 2, count do
        local word = select(i, ...)
        if type(word) == "string" or type(word) == "number" then
            n = n + 1
            words[n] = tostring(word)
        end
    end
    local text = concat(words, " ")
    make_room()
    invoke(log_door, level, text)
end

function redis.setresp(...)
    if select("#", ...) ~= 1 then
        complain("redis.setresp() requires one argument.")
    end
    local version = tonumber((...))
    if version ~= 2 and version ~= 3 then
        complain("RESP version must be 2 or 3.")
    end
    invoke(resp_door, version)
end

-- There are no replicas and no log to choose between; the calls are as harmless as Redis's are without them.
function redis.set_repl(...)
    if select("#", ...) ~= 1 then
        complain("redis.set_repl() requires two arguments.")
    end
    local flags = tonumber((...)) or 0
    if flags < 0 or flags > 3 then
        complain("Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
    end
end

function redis.replicate_commands()
    return true
end

function redis.breakpoint()
    return false
end

function redis.debug() end

function redis.acl_check_cmd(...)
    make_room()
    local answer, problem = invoke(acl_door, ...)
    if problem then
        complain(problem)
    end
    return answer
end

redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING = 0, 1, 2, 3
redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL = 0, 1, 2, 2, 3

-- ---- what all scripts see

-- Whatever was raised becomes a table with its text, and with where it came from.
local function explain(problem)
    if type(problem) ~= "table" or real_of[problem] then
        problem = { err = "ERR " .. tostring(problem) }
    end
    local level, info = 2, nil
    repeat
        info = getinfo(level, "Sl")
        level = level + 1
    until not info or (info.what ~= "C" and info.what ~= "tail" and not OURS[info.source])
    if info then
        rawset(problem, "source", info.source)
        rawset(problem, "line", info.currentline)
    end
    return problem
end

base.__redis__err__handler = explain

local function seal()
    for name, library in pairs(lib) do
        base[name] = protect(library)
    end
    local metatable = { __index = base }
    env = protect(base, metatable)
    base._G = env
    setmetatable(base, { __index = function(_, name)
        local shown = type(name) == "string" and name or tostring(name)
        error(format("Script attempted to access nonexistent global variable '%s'", shown), 2)
    end })
    metatable.__metatable = protect({ __index = metatable.__index and function() end })
    string_metatable.__index = lib.string
    string_metatable.__metatable = protect({ __index = base.string })
    local globals = _G
    for name in pairs(globals) do
        globals[name] = nil     -- nothing runs in this environment but what stands in this file
    end
    watch()
end

-- ---- what Python calls

local scripts, count = {}, 0

-- Compile a script. Its number and nil, or nil and what is wrong.
local function compile(text)
    if memory_full() then
        return nil, "not enough memory"
    end
    if byte(text) == 27 then
        return nil, "user_script: bad binary format (truncated precompiled chunk)"
    end
    local chunk, problem = loadstring(text, "@user_script")
    if not chunk then
        return nil, problem
    end
    chunk = setfenv(keep_lines(chunk), env)
    count = count + 1
    scripts[count] = chunk
    return count
end

-- What there is to say of an error that has ended a script: its text, where it came from, in which line; and whether it has
-- been counted.
local function tell(problem)
    if type(problem) ~= "table" then
        return "ERR " .. tostring(problem), "", -1, false      -- there was no memory, not even to explain it
    end
    local text = rawget(problem, "err")
    if type(text) ~= "string" and type(text) ~= "number" then
        text = "ERR unknown error"
    end
    return tostring(text), rawget(problem, "source") or "", rawget(problem, "line") or -1, is_counted(problem)
end

keep(base, scripts, explain, encode, tell)

-- After a run that was killed: the hook is to come now and then only, and what was under way is forgotten.
local function calm()
    parts, ended = nil, false
    watch()
end

return {
    base = base, lib = lib, redis = redis, door = door, pcall = pcall, unpack = unpack, pairs = pairs, seal = seal,
    real = function(t)
        return real_of[t] or t
    end,
    compile = compile, calm = calm, collect = collectgarbage, make_null = function()
        local null = newproxy(true)
        local metatable = getmetatable(null)
        metatable.__tostring = function()
            return "userdata: (nil)"
        end
        metatable.__metatable = false
        return null
    end,
}
