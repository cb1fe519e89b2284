# Looking ahead: the rows of pipelined requests are on their way into the caches before the requests run.
#
# In a keyspace that does not fit the caches a GET waits for memory twice, for the bucket and for the row, and that is
# most of its time. The requests of a pipeline all lie in the buffer, so the waits can be one: a quick eye runs over the
# next AHEAD requests, takes the first argument of each for a key, and starts loading the buckets of all,
# then the rows of all.
#
# So it is with the parts of a large value: the first of several requests for the same key, once it has found that value
# and holds its lock, looks for the parts that the others name (ahead_parts).
#
# What it is not: a parser. It changes nothing, and nothing depends on it; what is odd, incomplete or not a request it
# leaves, and a key that is none costs a wasted load. So it may be as careless as it likes, but for
# the end of the buffer.

cdef enum:
    AHEAD = 16                  # requests
    AHEAD_ROWS = 50_000         # smaller keyspaces stand in the caches anyway
    AHEAD_ARGS = 32             # requests longer than this are their own batch
    AHEAD_KEY = 512             # bytes of a key: what would be hashed twice
    AHEAD_WORDS = 4             # of a request that are looked at
    AHEAD_PARTS = 4096          # smaller values, likewise

cdef struct ahead_t:
    # A request: where its first words stand.
    size_t count
    const char* p[AHEAD_WORDS]
    size_t n[AHEAD_WORDS]

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

cdef const char* ahead_request(const char* p, const char* end, ahead_t* words) noexcept nogil:
    """Behind the request at p, with its first words; NULL if it is not whole."""
    cdef size_t count = 0, size = 0, i
    p = ahead_count(p, end, c'*', &count)
    if p == NULL or count > AHEAD_ARGS:
        return NULL
    words.count = count if count < AHEAD_WORDS else <size_t>AHEAD_WORDS
    for i in range(count):
        p = ahead_count(p, end, c'$', &size)
        if p == NULL or <size_t>(end - p) < size + 2:
            return NULL
        if i < AHEAD_WORDS:
            words.p[i] = p
            words.n[i] = size
        p += size + 2
    return p

cdef size_t ahead_load(const input_t* q, table_t* t) noexcept nogil:
    """Start loading what the next requests will read, if there are several. After how many to look again, 1 or more."""
    cdef probe_t[AHEAD] probes
    cdef ahead_t words
    cdef const char* p = q.data + q.start
    cdef const char* end = q.data + q.end
    cdef size_t seen = 0, n = 0, i
    while seen < AHEAD:
        p = ahead_request(p, end, &words)
        if p == NULL:
            break
        seen += 1
        if words.count > 1 and 0 < words.n[1] <= AHEAD_KEY:
            if probe_binary(&probes[n], words.p[1], words.n[1]) == ST_OK:
                n += 1
    if seen < 2:
        return 1
    for i in range(n):
        table_prefetch(t, &probes[i])
    for i in range(n):
        table_prefetch_row(t, &probes[i])
    return seen


# ---- parts of large values

cdef inline bint ahead_word(run_t* r, const ahead_t* words, size_t i) noexcept nogil:
    """Is it the word of the request at hand?"""
    return words.n[i] == arg_len(r, i) and memcmp(words.p[i], arg(r, i), arg_len(r, i)) == 0

cdef size_t ahead_alike(run_t* r, ahead_t* found, size_t least) noexcept nogil:
    """The request at hand and those of the next that have the same command and key, and at least so many words; 0 if
    they have been looked at before, or it stands alone."""
    cdef const char* p = r.input.data + r.input.start
    cdef const char* end = r.input.data + r.input.end
    cdef size_t seen = 0, n = 0
    if p < r.ahead or p + r.input.pos >= end:
        return 0
    while seen < AHEAD:
        p = ahead_request(p, end, &found[n])
        if p == NULL:
            break
        seen += 1
        r.ahead = p
        if found[n].count >= least and ahead_word(r, &found[n], 0) and ahead_word(r, &found[n], 1):
            n += 1
    return n if n > 1 else 0

cdef size_t ahead_parts(run_t* r, table_t* t, size_t at, ahead_t* found, probe_t* probes) noexcept nogil:
    """Start loading the rows of the parts, each the word `at` of its request, that the request at hand and the next
    ones of its kind name, in the table of a large value: how many they are."""
    cdef size_t n, m = 0, i
    if table_len(t) < AHEAD_PARTS:
        return 0
    n = ahead_alike(r, found, at + 1)
    for i in range(n):
        if found[i].n[at] <= AHEAD_KEY and probe_binary(&probes[m], found[i].p[at], found[i].n[at]) == ST_OK:
            found[m] = found[i]
            m += 1
    for i in range(m):
        table_prefetch(t, &probes[i])
    for i in range(m):
        table_prefetch_row(t, &probes[i])
    return m
