/* The quick way through JSON records for AVX2: see json_match.inc.h. */
#include "formats/json_locate.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET       __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt")))
#define KERNEL(name) name##_avx2

static inline TARGET uint32_t half_differs(const uint8_t *a, const uint8_t *b)
{
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(
        _mm256_loadu_si256((const __m256i *)a), _mm256_loadu_si256((const __m256i *)b)));
}

static inline TARGET bool classes_differ(const uint8_t *a, const uint8_t *b, uint32_t count)
{
    for (; count > 32; count -= 32, a += 32, b += 32)
        if (half_differs(a, b))
            return true;
    return _bzhi_u32(half_differs(a, b), count) != 0;
}

static inline TARGET uint32_t chunk_differs(const char *text, const struct shape_chunk *chunk)
{
    __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)text),
                                  _mm_load_si128((const __m128i *)chunk->bytes));
    return ~(uint32_t)_mm_movemask_epi8(same) & chunk->mask;
}

#include "formats/json_match_x86.inc.h"

#include "formats/json_match.inc.h"
#endif
