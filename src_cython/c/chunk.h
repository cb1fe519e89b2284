/* Chunks of address space for the slab: CHUNK_BYTES each, aligned to their size, straight from the kernel. */
#ifndef TSUNAMI_CHUNK_H
#define TSUNAMI_CHUNK_H
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_BYTES ((size_t)1 << 21) /* one huge page on x86-64 and arm64 */

static void *chunk_map(void) {
    char *p = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if ((uintptr_t)p & (CHUNK_BYTES - 1)) { /* not aligned: take twice as much and cut */
        munmap(p, CHUNK_BYTES);
        p = mmap(NULL, 2 * CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) return NULL;
        char *start = (char *)(((uintptr_t)p + CHUNK_BYTES - 1) & ~(uintptr_t)(CHUNK_BYTES - 1));
        if (start > p) munmap(p, (size_t)(start - p));
        char *end = p + 2 * CHUNK_BYTES;
        if (end > start + CHUNK_BYTES) munmap(start + CHUNK_BYTES, (size_t)(end - start - CHUNK_BYTES));
        p = start;
    }
    return p;
}

/* A chunk that is in use throughout may become one huge page, in the kernel's own time. Not from the start: the first touch would then
   clear 2 MiB, for milliseconds, while somebody waits for a row. */
static void chunk_settled(void *p) {
#ifdef MADV_HUGEPAGE
    madvise(p, CHUNK_BYTES, MADV_HUGEPAGE);
#else
    (void)p;
#endif
}

static void chunk_unmap(void *p) { munmap(p, CHUNK_BYTES); }

/* Zeroed memory for slots. Large ones are the kernel's own pages, one mapping each: they come untouched, so nobody waits for
   them to be cleared, and go without a detour over malloc's lists, whose trimming can take milliseconds. */
#define SLOTS_MAPPED ((size_t)1 << 16)

static void *slots_take(size_t n) {
    if (n < SLOTS_MAPPED) {
        void *p = NULL;
        if (posix_memalign(&p, 64, n) != 0) return NULL;
        memset(p, 0, n);
        return p;
    }
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void slots_give(void *p, size_t n) {
    if (p == NULL) return;
    if (n < SLOTS_MAPPED) free(p);
    else munmap(p, n);
}

/* What malloc spends on a block of n bytes, its own header and rounding included: a function of n alone, so that what was added
   for a block is what is taken off for it. (glibc's rule; close to it elsewhere.) */
static inline size_t block_bytes(size_t n) {
    size_t whole = (n + sizeof(size_t) + 15) & ~(size_t)15;
    return whole < 32 ? 32 : whole;
}

/* Under a sanitizer every row is a malloc block of its own, so that it sees each stray access. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLAB_DEFAULT 0
#else
#define SLAB_DEFAULT 1
#endif
#endif
