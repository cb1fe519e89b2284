# Channels of messages: a name, and who listens to it.
#
# What it is: a hash table from names (any bytes) to lists of listeners, so that PUBLISH finds them without Python.
#
# What it is not: the register of who has subscribed to what (tsunami_server.pubsub has that, with patterns and shard
# channels); here stands what of it a native PUBLISH needs. It does not know what a listener is: a pointer to it, which
# whoever entered it takes out again before it goes.
#
# What must stay true:
#
# 1. A channel stands here as long as it has a listener, `others` included.
# 2. `others` are listeners that cannot be reached from here: then PUBLISH is Python's.
# 3. There are at most as many channels as twice the buckets, a power of two.

from libc.stdlib cimport calloc

cdef struct channel_t:
    channel_t* next             # in its bucket
    uint64_t hash
    void** at                   # who listens
    size_t len
    size_t cap
    size_t others
    size_t size                 # of the name, which stands behind the struct

cdef struct channels_t:
    channel_t** buckets
    size_t cap
    size_t len

cdef inline char* channel_name(channel_t* ch) noexcept nogil:
    return <char*>(ch + 1)

cdef channel_t** channel_place(const channels_t* t, uint64_t hash, const char* name, size_t n) noexcept nogil:
    """Where the pointer to this channel stands, or would; the table has buckets."""
    cdef channel_t** at = &t.buckets[(hash >> 20) & (t.cap - 1)]
    while at[0] != NULL and not (
        at[0].hash == hash and at[0].size == n and memcmp(channel_name(at[0]), name, n) == 0
    ):
        at = &at[0].next
    return at

cdef channel_t* channel_find(const channels_t* t, uint64_t hash, const char* name, size_t n) noexcept nogil:
    """The channel, NULL if nobody listens to it."""
    return channel_place(t, hash, name, n)[0] if t.len else NULL

cdef bint channels_grow(channels_t* t) noexcept nogil:
    cdef size_t cap = t.cap * 2 if t.cap else 16, i, k
    cdef channel_t** buckets = <channel_t**>calloc(cap, sizeof(channel_t*))
    cdef channel_t* ch
    if buckets == NULL:
        return False
    for i in range(t.cap):
        while t.buckets[i] != NULL:
            ch = t.buckets[i]
            t.buckets[i] = ch.next
            k = (ch.hash >> 20) & (cap - 1)
            ch.next = buckets[k]
            buckets[k] = ch
    free(t.buckets)
    t.buckets = buckets
    t.cap = cap
    return True

cdef channel_t* channel_open(channels_t* t, uint64_t hash, const char* name, size_t n) noexcept nogil:
    """The channel, made if there was none; NULL without memory."""
    cdef channel_t** at
    cdef channel_t* ch
    if t.len >= t.cap * 2 and not channels_grow(t):
        return NULL
    at = channel_place(t, hash, name, n)
    if at[0] != NULL:
        return at[0]
    ch = <channel_t*>calloc(1, sizeof(channel_t) + n + SLACK)
    if ch == NULL:
        return NULL
    ch.hash = hash
    ch.size = n
    memcpy(channel_name(ch), name, n)
    at[0] = ch
    t.len += 1
    return ch

cdef bint channel_enter(channel_t* ch, void* listener) noexcept nogil:
    """One more who listens; NULL: somewhere else."""
    cdef void** room
    if listener == NULL:
        ch.others += 1
        return True
    if ch.len == ch.cap:
        room = <void**>realloc(ch.at, (ch.cap * 2 if ch.cap else 4) * sizeof(void*))
        if room == NULL:
            return False
        ch.at = room
        ch.cap = ch.cap * 2 if ch.cap else 4
    ch.at[ch.len] = listener
    ch.len += 1
    return True

cdef void channel_shut(channels_t* t, channel_t* ch) noexcept nogil:
    """Forget a channel to which nobody listens any more."""
    if ch.len == 0 and ch.others == 0:
        channel_place(t, ch.hash, channel_name(ch), ch.size)[0] = ch.next
        t.len -= 1
        free(ch.at)
        free(ch)

cdef void channel_leave(channels_t* t, channel_t* ch, void* listener) noexcept nogil:
    """One listener less. One who is not in the list was among the others."""
    cdef size_t i
    for i in range(ch.len):
        if ch.at[i] == listener:
            ch.len -= 1
            ch.at[i] = ch.at[ch.len]
            break
    else:
        ch.others -= 1
    channel_shut(t, ch)

cdef void channels_close(channels_t* t) noexcept nogil:
    cdef size_t i
    cdef channel_t* ch
    for i in range(t.cap):
        while t.buckets[i] != NULL:
            ch = t.buckets[i]
            t.buckets[i] = ch.next
            free(ch.at)
            free(ch)
    free(t.buckets)
