"""The engine: tables over packed terms. The floors, from the ground up; each knows those above it in this list only."""
cimport cython
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memcmp, memcpy, memset

include "lock.pxi"
include "memory_buf.pxi"
include "memory.pxi"
include "term.pxi"

# The seed of all hashes of this process: nobody outside can choose keys that collide.
if not term_init(int.from_bytes(__import__("os").urandom(8), "little")):
    raise SystemError("the first atoms are not where the grammar says")

include "hashmap.pxi"
include "wavl.pxi"
include "wheel.pxi"
include "table.pxi"
include "table_rows.pxi"
include "table_whole.pxi"
include "table_hash.pxi"
include "table_tree.pxi"
include "match.pxi"

if not match_init():
    raise MemoryError("no memory for the names of match specs")

include "select.pxi"
include "errors.pxi"
include "codec.pxi"
include "etf.pxi"
include "core_match.pxi"
include "core.pxi"
include "core_gate.pxi"   # a thread alone with some keys for a while
include "core_collection.pxi"
include "core_wavl.pxi"
include "call.pxi"
include "tabfile.pxi"
