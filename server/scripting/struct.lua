-- struct for scripts: C structures as strings, as the struct library of Lua 5.1 reads and writes them.
--
--      > < =           big, little, native (little) order          ! [n]       alignment, at most n
--      b B h H l L T   1, 2 and 8 bytes, signed and not            i[n] I[n]   n bytes (4)
--      f d             floating point, through a door              x           a byte of padding
--      c[n]            n bytes of a string (1); c0: as many as the number before says, or all    s   up to a zero byte
--
-- What must stay true: positions are 1-based, unpack's last value is the position behind what it read, and the sizes are
-- those of a 64-bit machine.

local kit = ...
local byte, char, find, format, len, match, rep, reverse, sub = string.byte, string.char, string.find, string.format,
    string.len, string.match, string.rep, string.reverse, string.sub
local concat, error, floor, ceil, pcall, rawget, select, tonumber, tostring, type = table.concat, error, math.floor,
    math.ceil, kit.pcall, rawget, select, tonumber, tostring, type
local pack_number, unpack_number = kit.door("pack_number"), kit.door("unpack_number")

local SIZES = { b = 1, B = 1, h = 2, H = 2, l = 8, L = 8, T = 8, f = 4, d = 8, x = 1 }
local INTEGERS = { b = true, B = true, h = true, H = true, l = true, L = true, T = true, i = true, I = true }
local LARGEST = 32      -- bytes of an integer
local MOST = 2147483647

local function fail(text)
    error({ text }, 0)
end

local function bad(n, text)
    error({ text, n }, 0)
end

-- Go through a format from a place on: visit(option, size, padding, big, place) for each item gives the bytes it took.
local function each(layout, place, visit)
    local at, align, big = 1, 1, false
    while at <= len(layout) do
        local option = sub(layout, at, at)
        local digits, after = match(layout, "^(%d*)()", at + 1)
        local size = SIZES[option] or 0
        at = at + 1
        if option == "c" or option == "i" or option == "I" or option == "!" then
            local count = tonumber(digits)
            if count and count > MOST then
                fail("integral size overflow")
            end
            size = count or (option == "c" and 1 or option == "!" and 8 or 4)
            at = after
            if (option == "i" or option == "I") and size > LARGEST then
                fail(format("integral size %d is larger than limit of %d", size, LARGEST))
            end
        end
        if option == "!" then
            local power = 1
            while power < size do
                power = power * 2
            end
            if power ~= size then
                fail(format("alignment %d is not a power of 2", size))
            end
            align = size
        elseif option == ">" then
            big = true
        elseif option == "<" then
            big = false
        elseif option == "c" or option == "s" or SIZES[option] or INTEGERS[option] then
            local padding = 0
            if size > 0 and option ~= "c" then
                local unit = size < align and size or align
                padding = -place % unit
            end
            place = place + padding
            place = place + visit(option, size, padding, big, place)
        elseif option ~= " " then
            bad(1, format("invalid format option '%s'", option))
        end
    end
    return place
end

-- ---- pack

local function pack_integer(number, size, big)
    if size > 8 then
        local low = pack_integer(number, 8, false) .. rep("\0", size - 8)    -- 64 bits are all that a number becomes
        return big and reverse(low) or low
    end
    number = number < 0 and ceil(number) or floor(number)
    local text, rest = {}, number
    for i = 1, size do
        local digit = rest % 256
        text[i] = char(digit)
        rest = (rest - digit) / 256
    end
    text = concat(text)
    return big and reverse(text) or text
end

local function packed(layout, values)
    local parts, n, argument = {}, 0, 0
    local function put(text)
        n = n + 1
        parts[n] = text
    end
    local function next_value(want)
        argument = argument + 1
        local value = values[argument]
        local kind = type(value)
        local right = want == "number" and (kind == "number" or (kind == "string" and tonumber(value)))
            or want == "string" and (kind == "string" or kind == "number")
        if not right then
            bad(argument + 1, format("%s expected, got %s", want, kind))
        end
        return want == "number" and tonumber(value) or tostring(value)
    end
    each(layout, 0, function(option, size, padding, big)
        if padding > 0 then
            put(rep("\0", padding))
        end
        if INTEGERS[option] then
            put(pack_integer(next_value("number"), size, big))
        elseif option == "x" then
            put("\0")
        elseif option == "f" or option == "d" then
            put(pack_number(next_value("number"), size, big))
        else
            local text = next_value("string")
            if size == 0 then
                size = len(text)
            elseif len(text) < size then
                bad(argument + 2, "string too short")
            end
            put(sub(text, 1, size))
            if option == "s" then
                put("\0")
                size = size + 1
            end
        end
        return size
    end)
    return concat(parts)
end

-- ---- unpack

local function unpack_integer(text, at, size, big, signed)
    local n = 0
    if size > 8 then            -- 64 bits are all that a number becomes
        at, size = big and at + size - 8 or at, 8
    end
    local from, to, step = at + size - 1, at, -1
    if big then
        from, to, step = to, from, 1
    end
    if signed and size > 0 and byte(text, from) >= 128 then
        for i = from, to, step do                   -- the complement, which is small where the number is
            n = n * 256 + 255 - byte(text, i)
        end
        return -n - 1
    end
    for i = from, to, step do
        n = n * 256 + byte(text, i)
    end
    return n
end

local function unpacked(layout, text, from)
    local values, n, length = {}, 0, len(text)
    local place = each(layout, from - 1, function(option, size, _, big, at)
        if size > length or at > length - size then
            bad(2, "data string too short")
        end
        if INTEGERS[option] then
            n = n + 1
            values[n] = unpack_integer(text, at + 1, size, big, find(option, "%l") ~= nil)
        elseif option == "f" or option == "d" then
            n = n + 1
            values[n] = unpack_number(sub(text, at + 1, at + size), big)
        elseif option == "c" then
            if size == 0 then
                size = values[n]
                if n == 0 or not tonumber(size) then
                    fail("format 'c0' needs a previous size")
                end
                n = n - 1
                size = floor(tonumber(size))
                if size < 0 or size > length or at > length - size then
                    bad(2, "data string too short")
                end
            end
            n = n + 1
            values[n] = sub(text, at + 1, at + size)
        elseif option == "s" then
            local stop = find(text, "\0", at + 1, true)
            if not stop then
                fail("unfinished string in data")
            end
            n = n + 1
            values[n] = sub(text, at + 1, stop - 1)
            size = stop - at
        end
        return size
    end)
    values[n + 1] = place + 1
    return values, n + 1
end

local struct = {}

local function raise(name, problem)
    if type(problem) ~= "table" or rawget(problem, 1) == nil then
        error(problem, 0)
    end
    local text = problem[1]
    if problem[2] then
        text = format("bad argument #%d to '%s' (%s)", problem[2], name, text)
    end
    error(text, 3)
end

local function text_of(value, n, name)
    if type(value) ~= "string" and type(value) ~= "number" then
        local got = value == nil and "no value" or type(value)
        error(format("bad argument #%d to '%s' (string expected, got %s)", n, name, got), 3)
    end
    return tostring(value)
end

function struct.pack(layout, ...)
    layout = text_of(layout, 1, "pack")
    local ok, text = pcall(packed, layout, { ... })
    if not ok then
        raise("pack", text)
    end
    return text
end

function struct.unpack(layout, text, from)
    layout, text = text_of(layout, 1, "unpack"), text_of(text, 2, "unpack")
    from = floor(tonumber(from or 1) or 0)
    if from < 1 then
        error("bad argument #3 to 'unpack' (offset must be 1 or greater)", 2)
    end
    local ok, values, n = pcall(unpacked, layout, text, from)
    if not ok then
        raise("unpack", values)
    end
    return kit.unpack(values, 1, n)
end

function struct.size(layout)
    layout = text_of(layout, 1, "size")
    local ok, size = pcall(each, layout, 0, function(option, size)
        if option == "s" then
            bad(1, "option 's' has no fixed size")
        elseif option == "c" and size == 0 then
            bad(1, "option 'c0' has no fixed size")
        end
        return size
    end)
    if not ok then
        raise("size", size)
    end
    return size
end

return struct
