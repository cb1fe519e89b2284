"""Lua scripts: EVAL and its family.

What it is: the package behind commands/scripting.py. Lua itself is PUC Lua 5.1 as the package `lupa` brings it, which
is an extra (`pip install tsunami[lua]`): without it everything else works, and EVAL says what is missing. 5.1 rather
than LuaJIT, although both are at hand: it is what Redis has, its hook also comes where code is hot, and its memory can
be limited; the difference in speed is below half a microsecond a call.

    doors       what scripts need of Python besides commands: bits, floating point numbers, the spelling of numbers
    caller      redis.call of what is not native: an argv from Lua -> a command -> a reply for Lua
    engine      one Lua state: the sandbox loaded into it, scripts compiled
    scripts     the cache of scripts, time limit, SCRIPT KILL, memory: what the server knows of scripts
    *.lua       sandbox.lua, which builds the world that scripts see, and the libraries cjson, cmsgpack, struct and bit

How a value goes: natively (tsunami._wire, script.pxi). The words of EVALSHA become Lua's strings as they stand in the
connection's input; redis.call of a native command takes its words from Lua's stack and leaves the value of the reply
there; what the script returns becomes RESP, tables by Lua (`encode`), anything else without. Python is asked for what
is its own: commands that are not native, scripts with flags or on connections that something stands against, errors,
the clock. And lupa carries only bytes and numbers between Lua and Python; no table ever crosses.
"""
