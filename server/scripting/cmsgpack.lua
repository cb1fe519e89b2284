-- cmsgpack for scripts: MessagePack as lua-cmsgpack 0.4 writes and reads it.
--
-- What it is: integers, strings, arrays and maps are taken apart and put together here; floating point numbers go
-- through a door, since Lua 5.1 cannot look at their bits.
--
-- What must stay true:
--
-- 1. A number without a fraction is written as the shortest integer that holds it; another as float if that loses
--    nothing, else as double.
-- 2. A table whose keys are 1..n is an array (an empty one, too); any other is a map.
-- 3. Tables deeper than MOST_NESTED are written as nil, so that a table which contains itself has an end.

local kit = ...
local byte, char, len, sub = string.byte, string.char, string.len, string.sub
local concat, error, floor, format, next, rawget, select, tonumber, tostring, type = table.concat, error, math.floor,
    string.format, next, rawget, select, tonumber, tostring, type
local pack_float, unpack_float = kit.door("pack_float"), kit.door("unpack_float")

local MOST_NESTED = 16
local TWO8, TWO16, TWO24, TWO32 = 256, 65536, 16777216, 4294967296

local function bytes2(n)
    return char(floor(n / TWO8) % TWO8, n % TWO8)
end

local function bytes4(n)
    return char(floor(n / TWO24) % TWO8, floor(n / TWO16) % TWO8, floor(n / TWO8) % TWO8, n % TWO8)
end

local function bytes8(n)
    local high = floor(n / TWO32)
    return bytes4(high % TWO32) .. bytes4(n - high * TWO32)
end

-- ---- pack

local parts, size

local function put(text)
    size = size + 1
    parts[size] = text
end

local function put_integer(n)
    if n >= 0 then
        if n <= 127 then
            put(char(n))
        elseif n <= 0xFF then
            put(char(0xCC, n))
        elseif n <= 0xFFFF then
            put(char(0xCD) .. bytes2(n))
        elseif n <= 0xFFFFFFFF then
            put(char(0xCE) .. bytes4(n))
        else
            put(char(0xCF) .. bytes8(n))
        end
    elseif n >= -32 then
        put(char(256 + n))
    elseif n >= -128 then
        put(char(0xD0, 256 + n))
    elseif n >= -32768 then
        put(char(0xD1) .. bytes2(65536 + n))
    elseif n >= -2147483648 then
        put(char(0xD2) .. bytes4(TWO32 + n))
    else
        put(char(0xD3) .. bytes8(n))
    end
end

local function put_number(n)
    if floor(n) == n and n >= -9223372036854775808 and n < 9223372036854775808 then
        put_integer(n)
    else
        put(pack_float(n))
    end
end

local function put_string(text)
    local length = len(text)
    if length < 32 then
        put(char(0xA0 + length))
    elseif length <= 0xFF then
        put(char(0xD9, length))
    elseif length <= 0xFFFF then
        put(char(0xDA) .. bytes2(length))
    else
        put(char(0xDB) .. bytes4(length))
    end
    put(text)
end

local function put_head(count, small, wide)
    if count <= 15 then
        put(char(small + count))
    elseif count <= 0xFFFF then
        put(char(wide) .. bytes2(count))
    else
        put(char(wide + 1) .. bytes4(count))
    end
end

-- The number of entries, and whether the keys are 1..n.
local function shape(t)
    local greatest, count, list = 0, 0, true
    for key in next, t do
        count = count + 1
        if type(key) ~= "number" or key <= 0 or floor(key) ~= key then
            list = false
        elseif key > greatest then
            greatest = key
        end
    end
    return count, list and greatest == count
end

local put_value

local function put_table(t, level)
    local count, list = shape(t)
    if list then
        put_head(count, 0x90, 0xDC)
        for i = 1, count do
            put_value(rawget(t, i), level)
        end
    else
        put_head(count, 0x80, 0xDE)
        for key, value in next, t do
            put_value(key, level)
            put_value(value, level)
        end
    end
end

function put_value(value, level)
    local kind = type(value)
    if kind == "string" then
        put_string(value)
    elseif kind == "number" then
        put_number(value)
    elseif kind == "boolean" then
        put(char(value and 0xC3 or 0xC2))
    elseif kind == "table" and level < MOST_NESTED then
        put_table(kit.real(value), level + 1)
    else
        put(char(0xC0))
    end
end

local cmsgpack = { _NAME = "cmsgpack", _VERSION = "lua-cmsgpack 0.4.0",
    _COPYRIGHT = "Tsunami's own, after lua-cmsgpack's interface", _DESCRIPTION = "MessagePack for Lua" }

function cmsgpack.pack(...)
    local count = select("#", ...)
    if count == 0 then
        error("bad argument #0 to 'pack' (MessagePack pack needs input.)", 2)
    end
    parts, size = {}, 0
    for i = 1, count do
        put_value((select(i, ...)), 0)
    end
    local text = concat(parts)
    parts = nil
    return text
end

-- ---- unpack

local text, at, stop        -- what is read, where, and its length

local function missing()
    error({ "Missing bytes in input." }, 0)
end

local function number_of(width)
    if at + width - 1 > stop then
        missing()
    end
    local n = 0
    for i = at, at + width - 1 do
        n = n * TWO8 + byte(text, i)
    end
    at = at + width
    return n
end

local function signed(width)
    if width == 8 then
        local high, low = number_of(4), nil
        low = number_of(4)
        if high >= 2147483648 then
            high = high - TWO32
        end
        return high * TWO32 + low
    end
    local n, most = number_of(width), TWO8 ^ width
    return n >= most / 2 and n - most or n
end

local function string_of(length)
    if at + length - 1 > stop then
        missing()
    end
    at = at + length
    return sub(text, at - length, at - 1)
end

local value_of

local function list_of(count)
    local t = {}
    for i = 1, count do
        t[i] = value_of()
    end
    return t
end

local function map_of(count)
    local t = {}
    for _ = 1, count do
        local key = value_of()
        local value = value_of()
        if key ~= nil and key == key then
            t[key] = value
        end
    end
    return t
end

local READ = {
    [0xC0] = function() return nil end,
    [0xC2] = function() return false end,
    [0xC3] = function() return true end,
    [0xCA] = function() return unpack_float(string_of(4)) end,
    [0xCB] = function() return unpack_float(string_of(8)) end,
    [0xCC] = function() return number_of(1) end,
    [0xCD] = function() return number_of(2) end,
    [0xCE] = function() return number_of(4) end,
    [0xCF] = function() return signed(8) end,      -- lua-cmsgpack brings it through a signed integer, too
    [0xD0] = function() return signed(1) end,
    [0xD1] = function() return signed(2) end,
    [0xD2] = function() return signed(4) end,
    [0xD3] = function() return signed(8) end,
    [0xD9] = function() return string_of(number_of(1)) end,
    [0xDA] = function() return string_of(number_of(2)) end,
    [0xDB] = function() return string_of(number_of(4)) end,
    [0xDC] = function() return list_of(number_of(2)) end,
    [0xDD] = function() return list_of(number_of(4)) end,
    [0xDE] = function() return map_of(number_of(2)) end,
    [0xDF] = function() return map_of(number_of(4)) end,
}

function value_of()
    if at > stop then
        missing()
    end
    local head = byte(text, at)
    at = at + 1
    if head <= 0x7F then
        return head
    elseif head >= 0xE0 then
        return head - 256
    elseif head <= 0x8F then
        return map_of(head - 0x80)
    elseif head <= 0x9F then
        return list_of(head - 0x90)
    elseif head <= 0xBF then
        return string_of(head - 0xA0)
    end
    local read = READ[head]
    if not read then
        error({ "Bad data format in input." }, 0)
    end
    return read()
end

local function several(limit)
    local values, count = {}, 0
    while at <= stop and (limit == 0 or count < limit) do
        count = count + 1
        values[count] = value_of()
    end
    return values, count
end

-- `limit` values (0: all) from an offset on; the offset behind them comes first if there is a limit.
local function unpack_some(name, given, limit, offset)
    if type(given) ~= "string" and type(given) ~= "number" then
        error(format("bad argument #1 to '%s' (string expected, got %s)", name, given == nil and "no value" or type(given)), 3)
    end
    given = tostring(given)
    if offset < 0 or limit < 0 then
        error(format("Invalid request to unpack with offset of %d and limit of %d.", offset, len(given)), 3)
    elseif offset > len(given) then
        error(format("Start offset %d greater than input length %d.", offset, len(given)), 3)
    end
    text, at, stop = given, offset + 1, len(given)
    local ok, values, count = kit.pcall(several, limit)
    text = nil
    if not ok then
        error(type(values) == "table" and rawget(values, 1) or values, type(values) == "table" and 3 or 0)
    end
    if limit == 0 and offset == 0 then
        return kit.unpack(values, 1, count)
    end
    return at > stop and -1 or at - 1, kit.unpack(values, 1, count)
end

local function integer(value, default, n, name)
    if value == nil and default then
        return default
    end
    local number = tonumber(value)
    if not number then
        error(format("bad argument #%d to '%s' (number expected, got %s)", n, name, value == nil and "no value" or type(value)), 3)
    end
    return number < 0 and -floor(-number) or floor(number)
end

-- The results are gathered first: a tail call would lose the place that errors name.
local function here(...)
    return ...
end

function cmsgpack.unpack(given)
    return here(unpack_some("unpack", given, 0, 0))
end

function cmsgpack.unpack_one(given, offset)
    return here(unpack_some("unpack_one", given, 1, integer(offset, 0, 2, "unpack_one")))
end

function cmsgpack.unpack_limit(given, limit, offset)
    limit = integer(limit, nil, 2, "unpack_limit")
    return here(unpack_some("unpack_limit", given, limit, integer(offset, 0, 3, "unpack_limit")))
end

return cmsgpack
