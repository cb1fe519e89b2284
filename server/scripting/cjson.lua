-- cjson for scripts: JSON text as lua-cjson 2.1 writes and reads it, as far as scripts can tell.
--
-- What it is: an encoder that gathers pieces and joins them once, and a decoder that goes from token to token by
-- patterns, both in Lua: values would cost more on their way to Python and back than they do here.
--
-- What must stay true:
--
-- 1. Numbers are written with 14 digits (encode_number_precision), "/" and DEL are escaped, an empty table is an object.
-- 2. A table whose keys are positive integers is an array, unless it is excessively sparse.
-- 3. Errors are lua-cjson's: what was expected, what was found, at which character.
-- 4. What `new()` gives has settings of its own; the shared library's settings are those of all scripts, as in Redis.

local kit = ...
local byte, char, find, format, gsub, len, match, sub = string.byte, string.char, string.find, string.format,
    string.gsub, string.len, string.match, string.sub
local concat, error, next, pairs, rawget, select, tonumber, tostring, type = table.concat, error, next, pairs, rawget,
    select, tonumber, tostring, type
local floor, huge = math.floor, math.huge
local null = kit.make_null()

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["/"] = "\\/", ["\b"] = "\\b", ["\t"] = "\\t", ["\n"] = "\\n",
    ["\f"] = "\\f", ["\r"] = "\\r", ["\127"] = "\\u007f" }
for code = 0, 31 do
    local letter = char(code)
    ESCAPES[letter] = ESCAPES[letter] or format("\\u%04x", code)
end
local TO_ESCAPE = '[%z\1-\31"\\/\127]'
local UNESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", t = "\t", n = "\n", f = "\f", r = "\r" }

local function make()
    local cjson = { null = null, _NAME = "cjson", _VERSION = "2.1.0" }
    local sparse_convert, sparse_ratio, sparse_safe = false, 2, 10
    local encode_depth, decode_depth, precision = 1000, 1000, 14
    local encode_invalid, decode_invalid, keep_buffer = false, true, true
    local number_format = "%.14g"

    -- ---- encode

    local parts, size

    local function put(text)
        size = size + 1
        parts[size] = text
    end

    local function cannot(value, reason)
        error({ "Cannot serialise " .. type(value) .. ": " .. reason }, 0)
    end

    local function put_string(text)
        if find(text, TO_ESCAPE) then
            text = gsub(text, TO_ESCAPE, ESCAPES)
        end
        put('"')
        put(text)
        put('"')
    end

    local function number_text(number)
        if number ~= number or number == huge or number == -huge then
            if encode_invalid == "null" then
                return "null"
            elseif not encode_invalid then
                cannot(number, "must not be NaN or Inf")
            end
            return number ~= number and "nan" or number > 0 and "inf" or "-inf"
        end
        return format(number_format, number)
    end

    -- The length of an array; -1 if it is an object.
    local function array_length(t)
        local greatest, items = 0, 0
        for key in next, t do
            if type(key) ~= "number" or floor(key) ~= key or key < 1 then
                return -1
            end
            if key > greatest then
                greatest = key
            end
            items = items + 1
        end
        if sparse_ratio > 0 and greatest > items * sparse_ratio and greatest > sparse_safe then
            if not sparse_convert then
                cannot(t, "excessively sparse array")
            end
            return -1
        end
        return greatest
    end

    local put_value

    local function put_array(t, length, depth)
        put("[")
        for i = 1, length do
            if i > 1 then
                put(",")
            end
            put_value(rawget(t, i), depth)
        end
        put("]")
    end

    local function put_object(t, depth)
        local first = true
        put("{")
        for key, value in next, t do
            if not first then
                put(",")
            end
            first = false
            if type(key) == "number" then
                put('"' .. number_text(key) .. '":')
            elseif type(key) == "string" then
                put_string(key)
                put(":")
            else
                cannot(key, "table key must be a number or string")
            end
            put_value(value, depth)
        end
        put("}")
    end

    function put_value(value, depth)
        local kind = type(value)
        if kind == "string" then
            put_string(value)
        elseif kind == "number" then
            put(number_text(value))
        elseif kind == "boolean" then
            put(value and "true" or "false")
        elseif kind == "table" then
            depth = depth + 1
            if depth > encode_depth then
                error({ format("Cannot serialise, excessive nesting (%d)", depth) }, 0)
            end
            value = kit.real(value)
            local length = array_length(value)
            if length > 0 then
                put_array(value, length, depth)
            else
                put_object(value, depth)
            end
        elseif value == nil or value == null then
            put("null")
        else
            cannot(value, "type not supported")
        end
    end

    -- Errors leave the depths as tables, and get the place of the call here.
    local function told(ok, problem)
        if ok then
            return problem
        end
        if type(problem) == "table" and rawget(problem, 1) then
            error(problem[1], 3)
        end
        error(problem, 0)
    end

    function cjson.encode(...)
        if select("#", ...) ~= 1 then
            error("bad argument #1 to 'encode' (expected 1 argument)", 2)
        end
        parts, size = {}, 0
        local ok, problem = kit.pcall(put_value, (...), 0)
        local text = ok and concat(parts)
        parts = nil
        local result = told(ok, ok and text or problem)
        return result
    end

    -- ---- decode

    local text, at, depth

    local TOKENS = { ["{"] = "T_OBJ_BEGIN", ["}"] = "T_OBJ_END", ["["] = "T_ARR_BEGIN", ["]"] = "T_ARR_END",
        [":"] = "T_COLON", [","] = "T_COMMA" }

    local function fail(place, what)
        error({ format("%s at character %d", what, place) }, 0)
    end

    local function expected(what, token, place, value)
        fail(place, format("Expected %s but found %s", what, token == "T_ERROR" and value or token))
    end

    local function unicode(code)
        if code < 0x80 then
            return char(code)
        elseif code < 0x800 then
            return char(0xC0 + floor(code / 0x40), 0x80 + code % 0x40)
        elseif code < 0x10000 then
            return char(0xE0 + floor(code / 0x1000), 0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
        end
        return char(0xF0 + floor(code / 0x40000), 0x80 + floor(code / 0x1000) % 0x40, 0x80 + floor(code / 0x40) % 0x40,
            0x80 + code % 0x40)
    end

    -- The characters of \uXXXX at `place`, and what stands behind; nil if there is something wrong.
    local function unicode_at(place)
        local digits = match(text, "^%x%x%x%x", place + 2)
        local code = digits and tonumber(digits, 16)
        if not code or (code >= 0xDC00 and code <= 0xDFFF) then
            return nil
        end
        if code < 0xD800 or code > 0xDFFF then
            return unicode(code), place + 6
        end
        local low = match(text, "^\\u(%x%x%x%x)", place + 6)
        low = low and tonumber(low, 16)
        if not low or low < 0xDC00 or low > 0xDFFF then
            return nil
        end
        return unicode(0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00), place + 12
    end

    -- A string whose opening quote stands at `start`: T_STRING and its value, or T_ERROR, what is wrong, and where.
    local function string_token(start)
        local from, pieces, n = start + 1, nil, 0
        while true do
            local stop = find(text, '["\\%z]', from)
            local letter = stop and sub(text, stop, stop)
            if letter == "\0" then
                if stop == len(text) + 1 then
                    letter = nil
                else
                    return "T_ERROR", "unexpected end of string", stop
                end
            end
            if not letter then
                return "T_ERROR", "unexpected end of string", len(text) + 1
            end
            if letter == '"' then
                at = stop + 1
                if not pieces then
                    return "T_STRING", sub(text, from, stop - 1)
                end
                pieces[n + 1] = sub(text, from, stop - 1)
                return "T_STRING", concat(pieces)
            end
            pieces = pieces or {}
            pieces[n + 1] = sub(text, from, stop - 1)
            local escape = sub(text, stop + 1, stop + 1)
            if escape == "u" then
                local letters, after = unicode_at(stop)
                if not letters then
                    return "T_ERROR", "invalid unicode escape code", stop
                end
                pieces[n + 2], from = letters, after
            elseif UNESCAPES[escape] then
                pieces[n + 2], from = UNESCAPES[escape], stop + 2
            else
                return "T_ERROR", "invalid escape code", stop
            end
            n = n + 2
        end
    end

    -- What C's strtod reads at `start`: number and what stands behind.
    local function number_at(start)
        local sign, rest = match(text, "^([-+]?)()", start)
        local lower = sub(text, rest, rest + 7):lower()
        local number, after
        if sub(lower, 1, 8) == "infinity" then
            number, after = huge, rest + 8
        elseif sub(lower, 1, 3) == "inf" then
            number, after = huge, rest + 3
        elseif sub(lower, 1, 3) == "nan" then
            number, after = -(0 / 0), rest + 3
        elseif find(lower, "^0x%x") then
            after = match(text, "^0[xX]%x+()", rest)
            number = 0
            for digit in sub(text, rest + 2, after - 1):gmatch(".") do
                number = number * 16 + tonumber(digit, 16)
            end
        else
            after = match(text, "^%d+%.?%d*()", rest) or match(text, "^%.%d+()", rest)
            if not after then
                return nil
            end
            after = match(text, "^[eE][-+]?%d+()", after) or after
            number = tonumber(sub(text, rest, after - 1))
        end
        return sign == "-" and -number or number, after
    end

    -- What decode_invalid_numbers is about: hexadecimal, leading zeros, infinity, not-a-number.
    local function is_invalid_number(start)
        local rest = match(text, "^[-+]?()", start)
        if sub(text, start, start) == "+" then
            return true
        end
        if sub(text, rest, rest) == "0" then
            return find(text, "^[xX%d]", rest + 1) ~= nil
        end
        local lower = sub(text, rest, rest + 2):lower()
        return lower == "inf" or lower == "nan"
    end

    local function number_token(start)
        local number, after = number_at(start)
        if not number then
            return "T_ERROR", "invalid number", start
        end
        at = after
        return "T_NUMBER", number, start
    end

    -- The next token: kind, value, place.
    local function token()
        local start = find(text, "[^ \t\n\r]", at)
        if not start then
            at = len(text) + 1
            return "T_END", nil, at
        end
        at = start
        local letter = sub(text, start, start)
        local kind = TOKENS[letter]
        if kind then
            at = start + 1
            return kind, nil, start
        elseif letter == '"' then
            local what, value, place = string_token(start)
            return what, value, place or start
        elseif find(letter, "[-%d]") then
            if not decode_invalid and is_invalid_number(start) then
                return "T_ERROR", "invalid number", start
            end
            return number_token(start)
        elseif find(text, "^true", start) then
            at = start + 4
            return "T_BOOLEAN", true, start
        elseif find(text, "^false", start) then
            at = start + 5
            return "T_BOOLEAN", false, start
        elseif find(text, "^null", start) then
            at = start + 4
            return "T_NULL", null, start
        elseif letter == "\0" and start == len(text) + 1 then
            return "T_END", nil, start
        elseif decode_invalid and find(letter, "[iInN+]") and is_invalid_number(start) then
            return number_token(start)
        end
        return "T_ERROR", "invalid token", start
    end

    local value_of

    local function descend()
        depth = depth + 1
        if depth > decode_depth then
            fail(at - 1, format("Found too many nested data structures (%d)", depth))
        end
    end

    local function object()
        descend()
        local t = {}
        local kind, key, place = token()
        while kind ~= "T_OBJ_END" or next(t) ~= nil do
            if kind ~= "T_STRING" then
                expected("object key string", kind, place, key)
            end
            local mark, problem, where = token()
            if mark ~= "T_COLON" then
                expected("colon", mark, where, problem)
            end
            t[key] = value_of(token())
            mark, problem, where = token()
            if mark == "T_OBJ_END" then
                break
            elseif mark ~= "T_COMMA" then
                expected("comma or object end", mark, where, problem)
            end
            kind, key, place = token()
        end
        depth = depth - 1
        return t
    end

    local function array()
        descend()
        local t, n = {}, 0
        local kind, value, place = token()
        while kind ~= "T_ARR_END" or n > 0 do
            n = n + 1
            t[n] = value_of(kind, value, place)
            local mark, problem, where = token()
            if mark == "T_ARR_END" then
                break
            elseif mark ~= "T_COMMA" then
                expected("comma or array end", mark, where, problem)
            end
            kind, value, place = token()
        end
        depth = depth - 1
        return t
    end

    function value_of(kind, value, place)
        if kind == "T_STRING" or kind == "T_NUMBER" or kind == "T_BOOLEAN" or kind == "T_NULL" then
            return value
        elseif kind == "T_OBJ_BEGIN" then
            return object()
        elseif kind == "T_ARR_BEGIN" then
            return array()
        end
        expected("value", kind, place, value)
    end

    local function document()
        local value = value_of(token())
        local kind, problem, place = token()
        if kind ~= "T_END" then
            expected("the end", kind, place, problem)
        end
        return value
    end

    function cjson.decode(...)
        if select("#", ...) ~= 1 then
            error("bad argument #1 to 'decode' (expected 1 argument)", 2)
        end
        local given = ...
        if type(given) ~= "string" and type(given) ~= "number" then
            error(format("bad argument #1 to 'decode' (string expected, got %s)", type(given)), 2)
        end
        text, at, depth = tostring(given), 1, 0
        if len(text) >= 2 and (byte(text, 1) == 0 or byte(text, 2) == 0) then
            error("JSON parser does not support UTF-16 or UTF-32", 2)
        end
        local ok, value = kit.pcall(document)
        text = nil
        if ok then
            return value
        end
        local result = told(ok, value)
        return result
    end

    -- ---- settings: each tells its value, and sets it if told to

    local function option_number(name, value, least, most)
        local number = tonumber(value)
        if type(value) == "boolean" or number == nil then
            error(format("bad argument #1 to '%s' (number expected, got %s)", name, type(value)), 3)
        end
        if number < least or number > most then
            error(format("bad argument #1 to '%s' (expected integer between %d and %d)", name, least, most), 3)
        end
        return floor(number)
    end

    local function option_choice(name, value, words)
        if type(value) == "boolean" then
            return value
        end
        for _, word in pairs(words) do
            if value == word then
                if word == "off" or word == "on" then
                    return word == "on"
                end
                return word
            end
        end
        error(format("bad argument #1 to '%s' (invalid option '%s')", name, tostring(value)), 3)
    end

    local function few(name, count, most)
        if count > most then
            error(format("bad argument #%d to '%s' (found too many arguments)", most + 1, name), 3)
        end
    end

    local MOST = 2147483647

    function cjson.encode_sparse_array(...)
        few("encode_sparse_array", select("#", ...), 3)
        local convert, ratio, safe = ...
        if convert ~= nil then
            sparse_convert = option_choice("encode_sparse_array", convert, { "off", "on" })
        end
        if ratio ~= nil then
            sparse_ratio = option_number("encode_sparse_array", ratio, 0, MOST)
        end
        if safe ~= nil then
            sparse_safe = option_number("encode_sparse_array", safe, 0, MOST)
        end
        return sparse_convert, sparse_ratio, sparse_safe
    end

    function cjson.encode_max_depth(...)
        few("encode_max_depth", select("#", ...), 1)
        if (...) ~= nil then
            encode_depth = option_number("encode_max_depth", (...), 1, MOST)
        end
        return encode_depth
    end

    function cjson.decode_max_depth(...)
        few("decode_max_depth", select("#", ...), 1)
        if (...) ~= nil then
            decode_depth = option_number("decode_max_depth", (...), 1, MOST)
        end
        return decode_depth
    end

    function cjson.encode_number_precision(...)
        few("encode_number_precision", select("#", ...), 1)
        if (...) ~= nil then
            precision = option_number("encode_number_precision", (...), 1, 14)
            number_format = "%." .. precision .. "g"
        end
        return precision
    end

    function cjson.encode_keep_buffer(...)
        few("encode_keep_buffer", select("#", ...), 1)
        if (...) ~= nil then
            keep_buffer = option_choice("encode_keep_buffer", (...), { "off", "on" })
        end
        return keep_buffer
    end

    function cjson.encode_invalid_numbers(...)
        few("encode_invalid_numbers", select("#", ...), 1)
        if (...) ~= nil then
            encode_invalid = option_choice("encode_invalid_numbers", (...), { "off", "on", "null" })
        end
        return encode_invalid
    end

    function cjson.decode_invalid_numbers(...)
        few("decode_invalid_numbers", select("#", ...), 1)
        if (...) ~= nil then
            decode_invalid = option_choice("decode_invalid_numbers", (...), { "off", "on" })
        end
        return decode_invalid
    end

    function cjson.new()
        return make()
    end

    return cjson
end

return make()
