/* The quick way through JSON records for AVX-512: see json_match.inc.h. */
#include "formats/json_locate.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,popcnt,lzcnt")))
#define KERNEL(name) name##_avx512

static inline TARGET bool classes_differ(const uint8_t *a, const uint8_t *b, uint32_t count)
{
    for (; count > 64; count -= 64, a += 64, b += 64)
        if (_mm512_cmpneq_epi8_mask(_mm512_loadu_si512(a), _mm512_loadu_si512(b)))
            return true;
    return _bzhi_u64(_mm512_cmpneq_epi8_mask(_mm512_loadu_si512(a), _mm512_loadu_si512(b)),
                     count) != 0;
}

static inline TARGET uint32_t chunk_differs(const char *text, const struct shape_chunk *chunk)
{
    return _mm_mask_cmpneq_epi8_mask(chunk->mask, _mm_loadu_si128((const __m128i *)text),
                                     _mm_load_si128((const __m128i *)chunk->bytes));
}

#include "formats/json_match_x86.inc.h"

#include "formats/json_match.inc.h"
#endif
