# Locks and atomics: the C headers' names, and nothing else. What each is for stands in c/lock.h and c/atomics.h.

cdef extern from "atomics.h" nogil:
    uint64_t counter_load(const uint64_t* p) noexcept
    void counter_store(uint64_t* p, uint64_t v) noexcept
    uint64_t counter_add(uint64_t* p, uint64_t n) noexcept
    void counter_bump(uint64_t* p, uint64_t n) noexcept
    void refs_take(uint64_t* p) noexcept
    bint refs_drop(uint64_t* p) noexcept
    uint32_t flag_load(const uint32_t* p) noexcept
    void flag_store(uint32_t* p, uint32_t v) noexcept
    uint64_t hint_load(const void* p) noexcept
    uint32_t hint_load_u32(const uint32_t* p) noexcept
    void ts_prefetch(const void* p) noexcept
    bint ts_likely(bint x) noexcept
    bint ts_unlikely(bint x) noexcept

cdef extern from "lock.h" nogil:
    ctypedef struct ts_lock_t:
        uint32_t word
    void ts_lock_acquire(ts_lock_t* lock) noexcept
    void ts_lock_release(ts_lock_t* lock) noexcept
    void ts_lock_yield(ts_lock_t* lock) noexcept
    bint ts_lock_acquire_ungated(ts_lock_t* lock) noexcept
    void ts_gate_wait(ts_lock_t* lock) noexcept
    bint ts_gate_mine() noexcept
    void ts_gate_enter() noexcept
    bint ts_gate_close(ts_lock_t* lock) noexcept
    void ts_gate_open(ts_lock_t* lock) noexcept
    bint ts_gate_leave() noexcept
    void ts_gate_end() noexcept
    void* (*ts_gil_leave)() noexcept
    void (*ts_gil_return)(void* state) noexcept
