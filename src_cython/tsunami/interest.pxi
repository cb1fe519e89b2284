# Interesting keys: a set of the hashes of keys whose every change somebody wants to hear of.
#
# What it is: what a hot write looks into before it runs. Keys that are watched, waited for, or kept by a client that
# tracks them stand here; a command that writes one of them is Python's, which signals it (tsunami_server.signals).
#
# What it is not: exact. Only hashes are kept, and of no particular database: another key with the same hash, or the
# same key elsewhere, makes a command cold for nothing, which is slower and not wrong.
#
#       hashes   | h | . | h'| h"| . | ...      0: free. Linear probing from the hash's low bits, at most half full.
#       counts   | 2 |   | 1 | 1 |              how many want to hear of it
#
# What must stay true:
#
# 1. A key that was added n times is there until it has been dropped n times.
# 2. Between a hash and the place where its probing begins there is no free place.
# 3. The loop's thread alone comes here.

cdef enum:
    INTEREST_LEAST = 64

cdef struct interest_t:
    uint64_t* hashes
    uint32_t* counts
    size_t cap                  # a power of two, or 0
    size_t len                  # different hashes

cdef inline size_t interest_at(const interest_t* s, uint64_t hash) noexcept nogil:
    """Where the hash stands, or the free place where it would. The set is not empty."""
    cdef size_t at = hash & (s.cap - 1)
    while s.hashes[at] != hash and s.hashes[at] != 0:
        at = (at + 1) & (s.cap - 1)
    return at

cdef inline uint64_t interest_hash(uint64_t hash) noexcept nogil:
    return hash if hash else 1

cdef inline bint interest_has(const interest_t* s, uint64_t hash) noexcept nogil:
    return s.len != 0 and s.hashes[interest_at(s, interest_hash(hash))] != 0

cdef bint interest_grow(interest_t* s) noexcept nogil:
    cdef interest_t wide
    cdef size_t i, at
    wide.cap = s.cap * 2 if s.cap else INTEREST_LEAST
    wide.len = s.len
    wide.hashes = <uint64_t*>calloc(wide.cap, sizeof(uint64_t))
    wide.counts = <uint32_t*>calloc(wide.cap, sizeof(uint32_t))
    if wide.hashes == NULL or wide.counts == NULL:
        free(wide.hashes)
        free(wide.counts)
        return False
    for i in range(s.cap):
        if s.hashes[i] != 0:
            at = interest_at(&wide, s.hashes[i])
            wide.hashes[at] = s.hashes[i]
            wide.counts[at] = s.counts[i]
    free(s.hashes)
    free(s.counts)
    s[0] = wide
    return True

cdef bint interest_add(interest_t* s, uint64_t hash) noexcept nogil:
    """False: no memory."""
    cdef size_t at
    if (s.len + 1) * 2 > s.cap and not interest_grow(s):
        return False
    at = interest_at(s, interest_hash(hash))
    if s.hashes[at] == 0:
        s.hashes[at] = interest_hash(hash)
        s.len += 1
    s.counts[at] += 1
    return True

cdef bint interest_drop(interest_t* s, uint64_t hash) noexcept nogil:
    """False: it is not there."""
    cdef size_t mask = s.cap - 1, at, hole, home
    if not interest_has(s, hash):
        return False
    at = interest_at(s, interest_hash(hash))
    s.counts[at] -= 1
    if s.counts[at] != 0:
        return True
    hole = at
    while True:                 # close the hole: what stands behind it and began its probing before it moves there
        at = (at + 1) & mask
        if s.hashes[at] == 0:
            break
        home = s.hashes[at] & mask
        if ((at - home) & mask) >= ((at - hole) & mask):
            s.hashes[hole] = s.hashes[at]
            s.counts[hole] = s.counts[at]
            hole = at
    s.hashes[hole] = 0
    s.counts[hole] = 0
    s.len -= 1
    return True

cdef void interest_close(interest_t* s) noexcept nogil:
    free(s.hashes)
    free(s.counts)
