# Deadlines of one stripe's rows: a hierarchical timer wheel (Varghese and Lauck, 1987, scheme 6).
#
# A row with a deadline has three words behind its term: | deadline, ms | next | pprev |, so it hangs in the wheel by
# itself: setting,
# moving and forgetting a deadline are O(1) and take no memory, and a row without one pays nothing at all.
#
#     level 0   64 slots of 1 tick (1 ms)
#     level 1   64 slots of 64 ticks           4 seconds
#     ...                                      each time a level has gone round, one slot of the next is dealt out below
#     level 6   64 slots of 2^36 ticks         139 years; what is later waits in its last slot and is dealt out again
#
# What must stay true:
# 1. A row hangs in exactly one list, and *pprev is the word that points to it.
# 2. Whatever hangs at level 0 slot s is due at the next tick whose number is s modulo 64.
# 3. count is the number of rows that hang in the wheel, `due` included.
#
# A row fires when the wheel is turned to its deadline or beyond: it is late by as much as the wheel is turned late, and
# never early.

cdef enum:
    WHEEL_LEVELS = 7
    TRAILER_WORDS = 3

cdef struct wheel_t:
    uint64_t now            # the last tick that was dealt with
    size_t count
    uint64_t* due           # rows whose tick has come, to be erased by whoever turns the wheel
    uint64_t* slots[WHEEL_LEVELS][64]

cdef inline uint64_t** timer_next(uint64_t* row) noexcept nogil:
    return <uint64_t**>(row + (row[0] & EXTENT_MASK) - 2)

cdef inline uint64_t*** timer_pprev(uint64_t* row) noexcept nogil:
    return <uint64_t***>(row + (row[0] & EXTENT_MASK) - 1)

cdef inline uint64_t timer_deadline(const uint64_t* row) noexcept nogil:
    return row[(row[0] & EXTENT_MASK) - 3]

cdef inline void timer_hang(uint64_t** head, uint64_t* row) noexcept nogil:
    timer_next(row)[0] = head[0]
    timer_pprev(row)[0] = head
    if head[0] != NULL:
        timer_pprev(head[0])[0] = timer_next(row)
    head[0] = row

cdef inline void timer_unhang(uint64_t* row) noexcept nogil:
    cdef uint64_t* following = timer_next(row)[0]
    timer_pprev(row)[0][0] = following
    if following != NULL:
        timer_pprev(following)[0] = timer_pprev(row)[0]

cdef void wheel_place(wheel_t* w, uint64_t* row) noexcept nogil:
    """Into the slot that its deadline and the present tick call for."""
    cdef uint64_t tick = timer_deadline(row)
    cdef uint64_t ahead
    cdef int level = 0
    if tick <= w.now:
        tick = w.now + 1
    # Level n takes the next 64^(n+1) ticks, counted from 1: exactly one round, so that no slot stands for two times.
    ahead = tick - w.now - 1
    while level < WHEEL_LEVELS - 1 and ahead >= <uint64_t>1 << (6 * (level + 1)):
        level += 1
    if ahead >= <uint64_t>1 << (6 * WHEEL_LEVELS):
        tick = w.now + (<uint64_t>1 << (6 * WHEEL_LEVELS))
    timer_hang(&w.slots[level][(tick >> (6 * level)) & 63], row)

cdef void wheel_add(wheel_t* w, uint64_t* row, uint64_t now_ms) noexcept nogil:
    if w.count == 0 and now_ms > w.now:
        w.now = now_ms          # nothing hangs: no tick has to be dealt with
    wheel_place(w, row)
    w.count += 1

cdef void wheel_remove(wheel_t* w, uint64_t* row) noexcept nogil:
    timer_unhang(row)
    w.count -= 1

cdef void wheel_deal(wheel_t* w, uint64_t** head) noexcept nogil:
    """Place anew all that hangs here."""
    cdef uint64_t* row = head[0]
    cdef uint64_t* following
    head[0] = NULL
    while row != NULL:
        following = timer_next(row)[0]
        wheel_place(w, row)
        row = following

cdef void wheel_skip(wheel_t* w, uint64_t target) noexcept nogil:
    """Pass over ticks at which nothing can happen: to just before the next one at which the lowest level that holds a
    row is looked at."""
    cdef int level, i
    cdef uint64_t next_tick
    for level in range(WHEEL_LEVELS):
        for i in range(64):
            if w.slots[level][i] != NULL:
                next_tick = ((w.now >> (6 * level)) + 1) << (6 * level)
                w.now = (next_tick if next_tick <= target else target + 1) - 1
                return
    w.now = target

cdef void wheel_turn(wheel_t* w, uint64_t target) noexcept nogil:
    """Bring to `due` what the ticks up to `target` (ms) bring; stop as soon as there is something."""
    cdef uint64_t* last
    cdef int level
    if w.count == 0:
        if target > w.now:
            w.now = target
        return
    while w.due == NULL and w.now < target:
        if target - w.now > 64:
            wheel_skip(w, target)
            if w.now == target:
                return
        # The row that fires at tick t hangs where t was reckoned from the present tick: deal out the upper levels
        # first.
        w.now += 1
        level = 1
        while level < WHEEL_LEVELS and w.now & ((<uint64_t>1 << (6 * level)) - 1) == 0:
            level += 1
        while level > 1:
            level -= 1
            w.now -= 1          # as seen from just before this tick, so that what is due now lands in its slot
            wheel_deal(w, &w.slots[level][((w.now + 1) >> (6 * level)) & 63])
            w.now += 1
        last = w.slots[0][w.now & 63]
        if last != NULL:
            w.due = last
            w.slots[0][w.now & 63] = NULL
            timer_pprev(last)[0] = &w.due

cdef str wheel_check(wheel_t* w):
    cdef size_t n = 0
    cdef uint64_t** head
    cdef uint64_t* row
    cdef int level, i
    for level in range(WHEEL_LEVELS + 1):
        for i in range(64):
            if level == WHEEL_LEVELS:
                if i > 0:
                    break
                head = &w.due
            else:
                head = &w.slots[level][i]
            while head[0] != NULL:
                row = head[0]
                n += 1
                if not row[0] & ROW_EXPIRES:
                    return "a row without a deadline hangs in the wheel"
                if timer_pprev(row)[0] != head:
                    return f"level {level}, slot {i}: a row's pprev is not the word that points to it"
                if level == 0 and timer_deadline(row) > w.now + 64:
                    return f"level 0, slot {i}: a row that is due later hangs here"
                head = timer_next(row)
    if n != w.count:
        return f"{n} rows hang in the wheel, {w.count} counted"
    return None
