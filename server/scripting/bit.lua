-- bit for scripts: LuaBitOp's functions on 32-bit integers. Lua 5.1 has no operators for bits: the work is done behind
-- one door; here arguments are checked and errors told.

local kit = ...
local error, format, select, tonumber, type = error, string.format, select, tonumber, type
local work = kit.door("bit")

local bit = {}

-- The first `least` arguments must be there; band, bor and bxor take any number more.
local function define(name, least)
    bit[name] = function(...)
        local count = select("#", ...)
        for i = 1, count > least and count or least do
            local value = select(i, ...)
            if type(value) ~= "number" and (type(value) ~= "string" or not tonumber(value)) then
                if i > least and (name ~= "band" and name ~= "bor" and name ~= "bxor") then
                    if name ~= "tohex" or value == nil then
                        break
                    end
                end
                local got = i > count and "no value" or type(value)
                error(format("bad argument #%d to '%s' (number expected, got %s)", i, name, got), 2)
            end
        end
        return (work(name, ...))
    end
end

for name, least in kit.pairs { tobit = 1, bnot = 1, bswap = 1, tohex = 1, band = 1, bor = 1, bxor = 1, lshift = 2, rshift = 2,
    arshift = 2, rol = 2, ror = 2 } do
    define(name, least)
end

return bit
