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

static inline TARGET bool chunks_differ(const char *text, const uint32_t *positions,
                                        const struct shape_chunk *chunks, uint32_t count)
{
    __m128i wrong = _mm_setzero_si128();
    for (uint32_t i = 0; i < count; i++) {
        const char *place = text + positions[chunks[i].token] + chunks[i].offset;
        __m128i differ = _mm_xor_si128(_mm_loadu_si128((const __m128i *)place),
                                       _mm_load_si128((const __m128i *)chunks[i].bytes));
        wrong = _mm_or_si128(
            wrong, _mm_and_si128(differ, _mm_load_si128((const __m128i *)chunks[i].mask)));
    }
    return !_mm_testz_si128(wrong, wrong);
}

#include "formats/json_match_x86.inc.h"

#include "formats/json_match.inc.h"
#endif
