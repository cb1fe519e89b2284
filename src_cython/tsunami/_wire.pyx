# cython: language_level=3
"""RESP on the hot path: parser, reply writer, hot commands, connections, and the selector that runs them.

What it is: everything between bytes from a client and packed rows in a table that can do without Python objects.

What it is not: the meaning of commands (that is Python's, in tsunami_server.commands; the hot ones here repeat the
common paths of some) or the engine (tsunami._core, of which only _core.pxd is known here).

The floors, from the ground up; each knows those above it in this list only.
"""
cimport cython  # no-cython-lint

include "resp.pxi"         # requests out of bytes, replies into bytes
include "channels.pxi"     # who listens to which channel
include "interest.pxi"     # keys whose changes somebody wants to hear of
include "hot.pxi"          # what hot commands are run with, how they are found, rows as replies
include "ahead.pxi"        # loading what pipelined requests will read
include "hot_keys.pxi"     # strings, counters, deadlines
include "hot_values.pxi"   # hashes, sets, sorted sets, lists
include "hot_tables.pxi"   # ETS.*
include "hot_call.pxi"     # ETS.CALL
include "lua.pxi"          # Lua's C interface, values between RESP and Lua
include "conn.pxi"         # one connection: bytes in, bytes out; what all share
include "hot_messages.pxi"  # PUBLISH
include "dataplane.pxi"    # sockets -> connections, inside asyncio's select()

hot_register_connection()
hot_register_keys()
hot_register_values()
hot_register_tables()
hot_register_call()
hot_register_messages()
hot_register_multi()
