/* The hash of the exact form: multiply and fold, seeded.

   fold(a, b) is the 128-bit product of a and b with its halves XORed: every bit of either operand reaches every bit of the
   result, at the price of one multiplication. Everything here is made of it:

   - hash_cell   one word: two folds. Both ends of the result are well mixed; the engine takes stripe and bucket from the top.
   - hash_bytes  a run of bytes that may stand anywhere: four lanes of 16 bytes a step.
   - hash_run    words that come in pieces, for containers: 16 bytes a step, and where one piece ends and the next
                 begins does not change the result.

   What it is not: a cryptographic hash. The seed comes from the operating system once per process, so that nobody outside can
   choose colliding keys without seeing hashes; whoever can read the hashes can. No hash is ever stored or sent. */
#ifndef TSUNAMI_HASH_H
#define TSUNAMI_HASH_H
#include <stdint.h>
#include <stddef.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "packed terms are little-endian"
#endif

/* The seed in effect: four words, all odd, derived from one. Written at module start and by a test knob only. */
static uint64_t hash_secret[4] = {0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu, 0x8ebc6af09c88c6e3u, 0x589965cc75374cc3u};

static inline uint64_t load64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void store64(void *p, uint64_t v) { memcpy(p, &v, 8); }

/* The first n < 8 bytes, as the low end of a word. */
static inline uint64_t load_short(const unsigned char *p, size_t n) {
    uint32_t a, b;
    if (n >= 4) {
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        return a | (uint64_t)b << (8 * (n - 4));
    }
    if (n == 0) return 0;
    return p[0] | (uint64_t)p[n >> 1] << (8 * (n >> 1)) | (uint64_t)p[n - 1] << (8 * (n - 1));
}

static inline uint64_t fold(uint64_t a, uint64_t b) {
    __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline void hash_seed(uint64_t seed) {
    for (int i = 0; i < 4; i++) {               /* splitmix64 */
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        hash_secret[i] = (z ^ (z >> 31)) | 1;
    }
}

static inline uint64_t hash_cell(uint64_t word) {
    __uint128_t m = (__uint128_t)(word ^ hash_secret[0]) * hash_secret[1];
    return fold((uint64_t)m ^ hash_secret[2], (uint64_t)(m >> 64) ^ hash_secret[3]);
}

/* Bytes p[0..n), told apart by `salt` from the same bytes in another role. Reads nothing outside. */
static inline uint64_t hash_bytes(const void *bytes, size_t n, uint64_t salt) {
    const unsigned char *p = (const unsigned char *)bytes;
    const uint64_t s0 = hash_secret[0], s1 = hash_secret[1], s2 = hash_secret[2], s3 = hash_secret[3];
    uint64_t h = fold(salt ^ s3, (uint64_t)n ^ s1), a, b;
    size_t left = n;
    if (left > 64) {
        uint64_t h1 = h ^ s1, h2 = h ^ s2, h3 = h ^ s3;
        do {
            h = fold(load64(p) ^ s0, load64(p + 8) ^ h);
            h1 = fold(load64(p + 16) ^ s1, load64(p + 24) ^ h1);
            h2 = fold(load64(p + 32) ^ s2, load64(p + 40) ^ h2);
            h3 = fold(load64(p + 48) ^ s3, load64(p + 56) ^ h3);
            p += 64;
            left -= 64;
        } while (left > 64);
        h = fold(h ^ h1, (h2 ^ s0) + h3);
    }
    while (left > 16) {
        h = fold(load64(p) ^ s1, load64(p + 8) ^ h);
        p += 16;
        left -= 16;
    }
    if (left >= 8) {                            /* 8..16 bytes are left: two words that may overlap */
        a = load64(p);
        b = load64(p + left - 8);
    } else {
        a = load_short(p, left);
        b = 0;
    }
    h = fold(a ^ s1, b ^ h);
    return fold(h ^ s2, (uint64_t)n ^ s0);
}

/* Words in pieces. Begin with run_begin, give words, end with run_end. */
typedef struct {
    uint64_t state;
    uint64_t held;                              /* the word that waits for its partner */
    uint64_t words;
} hash_run_t;

static inline void run_begin(hash_run_t *r, uint64_t salt) {
    r->state = fold(salt ^ hash_secret[2], hash_secret[3]);
    r->held = 0;
    r->words = 0;
}

static inline void run_word(hash_run_t *r, uint64_t word) {
    if (r->words++ & 1) r->state = fold(r->held ^ hash_secret[1], word ^ r->state);
    else r->held = word;
}

static inline void run_words(hash_run_t *r, const uint64_t *p, size_t n) {
    uint64_t h, s1 = hash_secret[1];
    if (n && (r->words & 1)) { run_word(r, *p++); n--; }
    r->words += n;
    h = r->state;
    for (; n >= 2; n -= 2, p += 2) h = fold(p[0] ^ s1, p[1] ^ h);
    r->state = h;
    if (n) r->held = p[0];
}

static inline uint64_t run_end(hash_run_t *r) {
    uint64_t h = r->state;
    if (r->words & 1) h = fold(r->held ^ hash_secret[0], h ^ hash_secret[3]);
    return fold(h ^ hash_secret[2], r->words ^ hash_secret[0]);
}
#endif
