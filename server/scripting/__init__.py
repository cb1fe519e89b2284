"""Lua scripts: EVAL and its family.

What it is: the package behind commands/scripting.py. Lua itself is PUC Lua 5.1 as the package `lupa` brings it, which
is an extra (`pip install tsunami[lua]`): without it everything else works, and EVAL says what is missing. 5.1 rather
than LuaJIT, although both are at hand: it is what Redis has, its hook also comes where code is hot, and its memory can
be limited; the difference in speed is below half a microsecond a call.

    doors       what scripts need of Python besides commands: bits, floating point numbers, the spelling of numbers
    caller      redis.call: an argv from Lua -> a command -> a reply for Lua
    engine      one Lua state: the sandbox loaded into it, scripts compiled, runs
    scripts     the cache of scripts, time limit, SCRIPT KILL, memory: what the server knows of scripts
    *.lua       sandbox.lua, which builds the world that scripts see, and the libraries cjson, cmsgpack, struct and bit

How a value goes: EVALSHA's words are pushed as Lua strings, in one call; strings and numbers come back as they are, and
any other result as RESP that Lua has written. redis.call hands over its words, a native command answers RESP, and only
what is not a plain string or number is taken apart in Lua. So a small script crosses between the languages once for
itself and once for each command, and no table ever crosses.
"""
