/* The hot part of a tree's node, and runs of bytes in memcmp's order, eight at a time. */
#ifndef TSUNAMI_WAVL_H
#define TSUNAMI_WAVL_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* word: | 7 bytes of the key | parity of the rank, 1 bit | from which byte of the key on, 7 bits | */
typedef struct {
    uint64_t word;
    uint32_t link[2];
} hot_t;

#define PIECE_OFF ((uint64_t)0x7F)
#define PARITY ((uint64_t)0x80)

_Static_assert(sizeof(hot_t) == 16, "four nodes share a cache line");

/* Eight bytes as a number that orders as they do. They may stand anywhere. */
static inline uint64_t piece_load(const char *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

/* How many whole bytes two such numbers share at the front, by their difference x = a ^ b, which is not 0. */
static inline uint32_t piece_common(uint64_t x) { return (uint32_t)__builtin_clzll(x) >> 3; }

/* How many bytes two runs share at the front, of n at most. Reads nothing behind n. */
static inline size_t bytes_common(const char *a, const char *b, size_t n) {
    size_t i = 0;
    while (i + 8 <= n) {
        uint64_t x = piece_load(a + i) ^ piece_load(b + i);
        if (x) return i + piece_common(x);
        i += 8;
    }
    while (i < n && a[i] == b[i]) i++;
    return i;
}
#endif
