/* A lock of one word: spin a little, then sleep. For sections of some dozen nanoseconds, where the holder never waits for
   anything but memory, and in particular never for the GIL: so a thread may wait here while it holds the GIL.

       0 free      1 held      2 held, and somebody sleeps

   Linux sleeps in a futex; elsewhere the waiter yields its processor, which is correct and only less polite. */
#ifndef TSUNAMI_LOCK_H
#define TSUNAMI_LOCK_H
#include <stdint.h>
#include <sched.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef struct { uint32_t word; } ts_lock_t;

static inline void ts_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static __attribute__((noinline, unused)) void ts_lock_wait(ts_lock_t *lock) {
    for (int i = 0; i < 100; i++) {
        uint32_t seen = 0;
        if (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) == 0 &&
            __atomic_compare_exchange_n(&lock->word, &seen, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        ts_relax();
    }
    /* From here on we say 2, also on success: there may be others asleep. */
    while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE) != 0) {
#ifdef __linux__
        syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
#else
        sched_yield();
#endif
    }
}

static inline void ts_lock_acquire(ts_lock_t *lock) {
    uint32_t seen = 0;
    if (!__atomic_compare_exchange_n(&lock->word, &seen, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        ts_lock_wait(lock);
}

static inline void ts_lock_release(ts_lock_t *lock) {
    if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2) {
#ifdef __linux__
        syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
#endif
    }
}

/* Let the lock go in the middle of work in pieces, which will take it again at once. Somebody who sleeps at it needs some
   microseconds to wake up, and would find it taken again, every time: so if there is one, wait a little until it has it. */
static inline void ts_lock_yield(ts_lock_t *lock) {
    if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) != 2) return;
#ifdef __linux__
    syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
#endif
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 50; k++) {
            if (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) != 0) return;
            ts_relax();
        }
        sched_yield();
    }
}
#endif
