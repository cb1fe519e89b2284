/* Which of a bucket's eight slots have this tag in their low 16 bits: one bit each, slot i at bit bucket_bit(i).
   An empty slot has the tag 0. */
#ifndef TSUNAMI_MATCH_H
#define TSUNAMI_MATCH_H
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>

/* Compare 16 bits at a time, keep the lowest lane of each word: four words a vector of bytes, two vectors. */
static inline uint32_t bucket_match(const uint64_t *b, uint64_t tag) {
    const __m128i *v = (const __m128i *)b;
    __m128i t = _mm_set1_epi16((short)tag);
    __m128i low = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_load_si128(v), t), _mm_cmpeq_epi16(_mm_load_si128(v + 1), t));
    __m128i high = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_load_si128(v + 2), t), _mm_cmpeq_epi16(_mm_load_si128(v + 3), t));
    return ((uint32_t)_mm_movemask_epi8(low) & 0x1111) | ((uint32_t)_mm_movemask_epi8(high) & 0x1111) << 1;
}
static inline uint32_t bucket_slot(uint32_t matches) {
    uint32_t i = (uint32_t)__builtin_ctz(matches);
    return (i >> 2) + (i & 3) * 4;
}

/* Likewise the slots that stand d buckets behind their home; of an empty slot this says d is 0. */
static inline uint32_t bucket_behind(const uint64_t *b, uint64_t d) {
    const __m128i *v = (const __m128i *)b;
    __m128i t = _mm_set1_epi16((short)d), m = _mm_set1_epi16(15);
    __m128i low = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_and_si128(_mm_load_si128(v), m), t),
                                  _mm_cmpeq_epi16(_mm_and_si128(_mm_load_si128(v + 1), m), t));
    __m128i high = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_and_si128(_mm_load_si128(v + 2), m), t),
                                   _mm_cmpeq_epi16(_mm_and_si128(_mm_load_si128(v + 3), m), t));
    return ((uint32_t)_mm_movemask_epi8(low) & 0x1111) | ((uint32_t)_mm_movemask_epi8(high) & 0x1111) << 1;
}
#else
static inline uint32_t bucket_match(const uint64_t *b, uint64_t tag) {
    uint32_t m = 0;
    for (int i = 0; i < 8; i++) m |= (uint32_t)((b[i] & 0xFFFF) == tag) << i;
    return m;
}
static inline uint32_t bucket_behind(const uint64_t *b, uint64_t d) {
    uint32_t m = 0;
    for (int i = 0; i < 8; i++) m |= (uint32_t)((b[i] & 15) == d) << i;
    return m;
}
static inline uint32_t bucket_slot(uint32_t matches) { return (uint32_t)__builtin_ctz(matches); }
#endif

/* Start loading the rows of a bucket. (Not from address 0: that would send the processor through its page tables each
   time. And it must be inlined: gcc takes a function that only loads ahead for one without effect, and drops its calls.) */
static inline __attribute__((always_inline)) void bucket_ahead(const uint64_t *b) {
    for (int i = 0; i < 8 && b[i] != 0; i++) __builtin_prefetch((const void *)((b[i] >> 16) & ~(uint64_t)1), 0, 3);
}
#endif
