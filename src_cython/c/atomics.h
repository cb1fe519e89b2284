/* Atomics that Cython lacks, each named for what it is used for, with the reason for its memory order. */
#ifndef TSUNAMI_ATOMICS_H
#define TSUNAMI_ATOMICS_H
#include <stdint.h>
#include <stddef.h>

/* Counters that are only ever read as figures: no other memory hangs on them. */
static inline uint64_t counter_load(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void counter_store(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline uint64_t counter_add(uint64_t *p, uint64_t n) { return __atomic_fetch_add(p, n, __ATOMIC_RELAXED); }

/* A counter with one writer at a time (the holder of the stripe) and readers that take no lock. */
static inline void counter_bump(uint64_t *p, uint64_t n) {
    __atomic_store_n(p, __atomic_load_n(p, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* Reference counts. Taking one needs no order: whoever takes it already has one. Giving the last one up
   must see all that the others did (acquire), and they must have done it (release). */
static inline void refs_take(uint64_t *p) { __atomic_fetch_add(p, 1, __ATOMIC_RELAXED); }
static inline int refs_drop(uint64_t *p) { return __atomic_fetch_sub(p, 1, __ATOMIC_ACQ_REL) == 1; }

/* Flags that publish what was written before them. */
static inline uint32_t flag_load(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void flag_store(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

/* A hint: read without the lock what somebody may be changing. Whatever comes of it may only be loaded ahead, never followed. The thread
   sanitizer is told to look away, here only. */
#if defined(__SANITIZE_THREAD__)
#define TS_HINT __attribute__((noinline, no_sanitize_thread))
#else
#define TS_HINT inline
#endif
static TS_HINT uint64_t hint_load(const void *p) { return *(const volatile uint64_t *)p; }
static TS_HINT uint32_t hint_load_u32(const uint32_t *p) { return *(const volatile uint32_t *)p; }

#define ts_prefetch(p) __builtin_prefetch((const void *)(p), 0, 3)
#define ts_likely(x) __builtin_expect(!!(x), 1)
#define ts_unlikely(x) __builtin_expect(!!(x), 0)
#endif
