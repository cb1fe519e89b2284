# Looking ahead: the rows of pipelined requests are on their way into the caches before the requests run.
#
# In a keyspace that does not fit the caches a GET waits for memory twice, for the bucket and for the row, and that is
# most of its time. The requests of a pipeline all lie in the buffer, so the waits can be one: a quick eye runs over the
# next AHEAD requests, takes the first argument of each for a key, and starts loading the buckets of all,
# then the rows of all.
#
# What it is not: a parser. It changes nothing, and nothing depends on it; what is odd, incomplete or not a request it
# leaves, and a key that is none costs a wasted load. So it may be as careless as it likes, but for
# the end of the buffer.

cdef enum:
    AHEAD = 16                  # requests
    AHEAD_ROWS = 50_000         # smaller keyspaces stand in the caches anyway
    AHEAD_ARGS = 32             # requests longer than this are their own batch
    AHEAD_KEY = 512             # bytes of a key: what would be hashed twice

cdef inline const char* ahead_count(const char* p, const char* end, char kind, size_t* value) noexcept nogil:
    """Behind a line of the form `$123`; NULL where there is none, or not all of it."""
    cdef size_t v = 0
    if p >= end or p[0] != kind:
        return NULL
    p += 1
    while p < end and c'0' <= p[0] <= c'9' and v < 1 << 30:
        v = v * 10 + <size_t>(p[0] - c'0')
        p += 1
    if end - p < 2 or p[0] != c'\r':
        return NULL
    value[0] = v
    return p + 2

cdef inline const char* ahead_request(const char* p, const char* end, const char** key, size_t* n) noexcept nogil:
    """Behind the request at p, with its first argument (n 0: none); NULL if it is not whole."""
    cdef size_t count = 0, size = 0, i
    n[0] = 0
    p = ahead_count(p, end, c'*', &count)
    if p == NULL or count > AHEAD_ARGS:
        return NULL
    for i in range(count):
        p = ahead_count(p, end, c'$', &size)
        if p == NULL or <size_t>(end - p) < size + 2:
            return NULL
        if i == 1:
            key[0] = p
            n[0] = size
        p += size + 2
    return p

cdef size_t ahead_load(const input_t* q, table_t* t) noexcept nogil:
    """Start loading what the next requests will read, if there are several. After how many to look again, 1 or more."""
    cdef probe_t[AHEAD] probes
    cdef const char* p = q.data + q.start
    cdef const char* end = q.data + q.end
    cdef const char* key = NULL
    cdef size_t seen = 0, n = 0, size = 0, i
    while seen < AHEAD:
        p = ahead_request(p, end, &key, &size)
        if p == NULL:
            break
        seen += 1
        if 0 < size <= AHEAD_KEY and probe_binary(&probes[n], key, size) == ST_OK:
            n += 1
    if seen < 2:
        return 1
    for i in range(n):
        table_prefetch(t, &probes[i])
    for i in range(n):
        table_prefetch_row(t, &probes[i])
    return seen
