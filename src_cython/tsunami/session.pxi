# Rights, and tables by their number: what the engine knows of sessions.
#
# What it is: the one comparison that decides whether a session may do something to a table, and the registry of tables
# by id.
#
# What it is not: sessions themselves. To the engine a session is a number, and 0 is nobody in particular. Who they are,
# what they own, who inherits and who has fixed what is kept in core_session.pxi, which alone writes `protection` and
# `owner`.
#
#                       public      protected     private
#     RIGHT_READ        anyone      anyone        the owner
#     RIGHT_WRITE       anyone      the owner     the owner
#     RIGHT_OWN         the owner   the owner     the owner
#
# The protections and the rights are numbered so that a protection below a right's number leaves that right to anyone:
# one comparison, and public tables need no other.
#
# What must stay true:
#
# 1. The check comes first: the table is there, the session may, and only then the other arguments.
# 2. Rights are those of the moment of the call: nothing else keeps one, no cursor and no reference.
# 3. A number is never given twice. table_id_known tells a table that has gone from one that never was.
# 4. In the registry stand tables that somebody holds a reference to: a table leaves it (table_retire) before its maker
#    lets it go. So what is found under the lock can be retained there.
#
# The registry has the lock of the names. Under it no other is taken.

cdef enum protection_t:
    PUBLIC = 0
    PROTECTED = 1
    PRIVATE = 2

cdef uint64_t session_ids = 0

cdef inline int table_may(const table_t* t, uint64_t session, int right) noexcept nogil:
    """May this session do it? ST_OK, ST_ACCESS, or ST_NOT_OWNER: it may write, but the table is not its own."""
    if ts_likely(<int>flag_load(&t.protection) < right):
        return ST_OK
    if session != 0 and counter_load(&t.owner) == session:
        return ST_OK
    return ST_NOT_OWNER if right == RIGHT_OWN and flag_load(&t.protection) == PUBLIC else ST_ACCESS

cdef int table_allows(const table_t* t, uint64_t session, int right) noexcept nogil:
    """table_may, and whether the table is there at all; for those who are not of this extension."""
    if ts_unlikely(not flag_load(&t.alive)):
        return ST_GONE
    return table_may(t, session, right)


# ---- tables by their number

cdef struct numbers_t:
    # Guarded by names.lock. Numbers come one after the other, so the bucket is the number's low bits.
    table_t** buckets
    size_t mask
    size_t n

cdef numbers_t numbers

cdef void ids_widen() noexcept nogil:
    """Twice as many buckets; without memory the chains become longer. The lock is held."""
    cdef size_t cap = (numbers.mask + 1) * 2 if numbers.buckets != NULL else 1024
    cdef table_t** room = <table_t**>calloc(cap, sizeof(void*))
    cdef table_t* t
    cdef table_t* after
    cdef size_t i
    if room == NULL:
        return
    if numbers.buckets != NULL:
        for i in range(numbers.mask + 1):
            t = numbers.buckets[i]
            while t != NULL:
                after = t.by_id
                t.by_id = room[t.id & (cap - 1)]
                room[t.id & (cap - 1)] = t
                t = after
        free(numbers.buckets)
    numbers.buckets = room
    numbers.mask = cap - 1

cdef int table_enlist(table_t* t) noexcept nogil:
    """From now on the table can be found by its number."""
    cdef int st = ST_NO_MEMORY
    ts_lock_acquire(&names.lock)
    if numbers.buckets == NULL or numbers.n > numbers.mask:
        ids_widen()
    if numbers.buckets != NULL:
        t.by_id = numbers.buckets[t.id & numbers.mask]
        numbers.buckets[t.id & numbers.mask] = t
        t.enlisted = True
        numbers.n += 1
        st = ST_OK
    ts_lock_release(&names.lock)
    return st

cdef void ids_unlink(table_t* t) noexcept nogil:
    """The lock is held."""
    cdef table_t** at
    if not t.enlisted:
        return
    at = &numbers.buckets[t.id & numbers.mask]
    while at[0] != t:
        at = &at[0].by_id
    at[0] = t.by_id
    t.by_id = NULL
    t.enlisted = False
    numbers.n -= 1

cdef table_t* table_by_id(uint64_t id) noexcept nogil:
    """The table with this number, retained; NULL if it has been deleted or never was."""
    cdef table_t* t = NULL
    ts_lock_acquire(&names.lock)
    if numbers.buckets != NULL:
        t = numbers.buckets[id & numbers.mask]
        while t != NULL and t.id != id:
            t = t.by_id
        if t != NULL:
            refs_take(&t.refs)
    ts_lock_release(&names.lock)
    return t

cdef bint table_id_known(uint64_t id) noexcept nogil:
    """Has there ever been a table with this number?"""
    return 0 < id <= counter_load(&table_ids)

cdef uint64_t table_id(const table_t* t) noexcept nogil:
    return t.id
