/* A lock of one word: spin a little, then sleep. For sections of some dozen nanoseconds, where the holder never waits for
   anything but memory, and in particular never for the GIL: so a thread may wait here while it holds the GIL.

       0 free      1 held      2 held, and somebody sleeps      4 gated      5 gated, and held by the gate's owner

   Linux sleeps in a futex; elsewhere the waiter yields its processor, which is correct and only less polite.

   The gate. One thread at a time may *gate* any number of locks: then these are its own for as long as it likes, while
   it runs Python, takes them one by one and lets them go. Everybody else waits until the gate opens; and because its
   owner may need the GIL for that, they wait without it (ts_gil_leave). Nobody waits for a gate while holding a lock:
   who needs several takes them by ts_lock_acquire_ungated, and begins anew. So the owner, who may gate further locks at
   any time, always gets them. */
#ifndef TSUNAMI_LOCK_H
#define TSUNAMI_LOCK_H
#include <stdint.h>
#include <sched.h>
#include <time.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef struct { uint32_t word; } ts_lock_t;

enum { TS_FREE = 0, TS_HELD = 1, TS_SLEPT = 2, TS_GATED = 4, TS_GATED_HELD = 5 };

typedef struct {
    ts_lock_t lock;        /* held by the owner from the first lock that it gates to the last that it opens */
    uintptr_t owner;       /* which thread that is; 0: the gate is open */
    uint32_t depth;
    uint32_t turn;         /* moves when the gate opens */
    uint32_t waiting;
} ts_gate_t;

static ts_gate_t ts_gate;
static __thread char ts_self_mark;

/* Let go of the GIL, if this thread has it, and take it back. Set by whoever knows of a GIL. */
static void *(*ts_gil_leave)(void);
static void (*ts_gil_return)(void *);

static inline uintptr_t ts_self(void) { return (uintptr_t)&ts_self_mark; }

static inline int ts_gate_mine(void) {
    return __atomic_load_n(&ts_gate.owner, __ATOMIC_RELAXED) == ts_self();
}

static inline void ts_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline void ts_sleep(uint32_t *word, uint32_t seen) {
#ifdef __linux__
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
#else
    (void)word, (void)seen;
    sched_yield();
#endif
}

static inline void ts_wake(uint32_t *word, int sleepers) {
#ifdef __linux__
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, sleepers, NULL, NULL, 0);
#else
    (void)word, (void)sleepers;
#endif
}

/* Sleep until the gate has been opened, unless this lock is free of it already. */
static __attribute__((noinline, unused)) void ts_gate_wait(ts_lock_t *lock) {
    void *gil = ts_gil_leave ? ts_gil_leave() : NULL;
    __atomic_fetch_add(&ts_gate.waiting, 1, __ATOMIC_SEQ_CST);
    uint32_t turn = __atomic_load_n(&ts_gate.turn, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&lock->word, __ATOMIC_SEQ_CST) & TS_GATED) ts_sleep(&ts_gate.turn, turn);
    __atomic_fetch_sub(&ts_gate.waiting, 1, __ATOMIC_SEQ_CST);
    if (gil) ts_gil_return(gil);
}

/* Take the lock. 0, and not taken: it is gated by another thread, and that was not to be waited for. Whoever has slept
   here is the only one who was woken, and answers for the others who still sleep: by saying SLEPT when it takes the lock,
   or, if it goes away, by waking them all, to go to the gate. */
static __attribute__((noinline, unused)) int ts_lock_wait(ts_lock_t *lock, int wait_for_gate) {
    int slept = 0;
    for (int i = 0; i < 100; i++) {
        uint32_t seen = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);
        if (seen & TS_GATED) break;
        if (seen == TS_FREE &&
            __atomic_compare_exchange_n(&lock->word, &seen, TS_HELD, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return 1;
        ts_relax();
    }
    for (;;) {
        uint32_t seen = __atomic_load_n(&lock->word, __ATOMIC_ACQUIRE);
        if (seen & TS_GATED) {
            if (ts_gate_mine()) {
                __atomic_store_n(&lock->word, TS_GATED_HELD, __ATOMIC_RELAXED);
                return 1;
            }
            if (!wait_for_gate) {
                if (slept) ts_wake(&lock->word, INT32_MAX);
                return 0;
            }
            ts_gate_wait(lock);
        } else if (seen == TS_FREE) {
            /* From here on we say SLEPT, also on success: there may be others asleep. */
            if (__atomic_compare_exchange_n(&lock->word, &seen, TS_SLEPT, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                return 1;
        } else if (seen == TS_SLEPT ||
                   __atomic_compare_exchange_n(&lock->word, &seen, TS_SLEPT, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            ts_sleep(&lock->word, TS_SLEPT);
            slept = 1;
        }
    }
}

static inline int ts_lock_try_free(ts_lock_t *lock) {
    uint32_t seen = TS_FREE;
    return __atomic_compare_exchange_n(&lock->word, &seen, TS_HELD, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void ts_lock_acquire(ts_lock_t *lock) {
    if (!ts_lock_try_free(lock)) ts_lock_wait(lock, 1);
}

/* For whoever holds other locks: 0, and not taken, if another thread has gated it. Then let go of all, and wait. */
static inline int ts_lock_acquire_ungated(ts_lock_t *lock) { return ts_lock_try_free(lock) || ts_lock_wait(lock, 0); }

/* What release and yield have in common: the lock is free, or gated as before. Did somebody sleep? */
static inline int ts_lock_leave(ts_lock_t *lock) {
    if (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) & TS_GATED) {
        __atomic_store_n(&lock->word, TS_GATED, __ATOMIC_RELEASE);
        return 0;
    }
    return __atomic_exchange_n(&lock->word, TS_FREE, __ATOMIC_RELEASE) == TS_SLEPT;
}

static inline void ts_lock_release(ts_lock_t *lock) {
    if (ts_lock_leave(lock)) ts_wake(&lock->word, 1);
}

/* Let the lock go in the middle of work in pieces, which will take it again at once. Somebody who sleeps at it needs some
   microseconds to wake up, and would find it taken again, every time; and one whom the scheduler lets wait for a
   processor loses it to a hundred pieces in a row. So if there is one, wait until it has the lock: first awake, then, for
   two milliseconds at most, asleep, which leaves a processor to others. */
static inline void ts_lock_yield(ts_lock_t *lock) {
    if (!ts_lock_leave(lock)) return;
    ts_wake(&lock->word, 1);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 50; k++) {
            if (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) != TS_FREE) return;
            ts_relax();
        }
        sched_yield();
    }
    struct timespec pause = {0, 50000};
    for (int i = 0; i < 20 && __atomic_load_n(&lock->word, __ATOMIC_RELAXED) == TS_FREE; i++) nanosleep(&pause, NULL);
}

/* ---- the gate's owner */

/* Become the owner, or go one level deeper. Waits, without the GIL, while it is another thread. */
static __attribute__((unused)) void ts_gate_enter(void) {
    if (!ts_gate_mine()) {
        if (!ts_lock_try_free(&ts_gate.lock)) {
            void *gil = ts_gil_leave ? ts_gil_leave() : NULL;
            ts_lock_wait(&ts_gate.lock, 1);
            if (gil) ts_gil_return(gil);
        }
        __atomic_store_n(&ts_gate.owner, ts_self(), __ATOMIC_RELAXED);
    }
    ts_gate.depth++;
}

/* Gate this lock. 0: it is already. Whoever holds it is waited for; all who sleep at it go to sleep at the gate. */
static __attribute__((unused)) int ts_gate_close(ts_lock_t *lock) {
    uint32_t word = TS_FREE;
    if (__atomic_compare_exchange_n(&lock->word, &word, TS_GATED, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return 1;
    if (word & TS_GATED) return 0;
    ts_lock_acquire(lock);
    if (__atomic_exchange_n(&lock->word, TS_GATED, __ATOMIC_ACQUIRE) == TS_SLEPT) ts_wake(&lock->word, INT32_MAX);
    return 1;
}

static __attribute__((unused)) void ts_gate_open(ts_lock_t *lock) {
    __atomic_store_n(&lock->word, TS_FREE, __ATOMIC_RELEASE);
}

/* One level up. 1: it was the last, and the caller opens what it has gated before it calls ts_gate_end. */
static __attribute__((unused)) int ts_gate_leave(void) { return --ts_gate.depth == 0; }

static __attribute__((unused)) void ts_gate_end(void) {
    __atomic_store_n(&ts_gate.owner, (uintptr_t)0, __ATOMIC_RELAXED);
    __atomic_fetch_add(&ts_gate.turn, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&ts_gate.waiting, __ATOMIC_SEQ_CST)) ts_wake(&ts_gate.turn, INT32_MAX);
    ts_lock_release(&ts_gate.lock);
}
#endif
