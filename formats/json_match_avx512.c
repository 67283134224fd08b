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

static inline TARGET bool chunks_differ(const char *text, const uint32_t *positions,
                                        const struct shape_chunk *chunks, uint32_t count)
{
    __m128i wrong = _mm_setzero_si128();
    for (uint32_t i = 0; i < count; i++) {
        const char *place = text + positions[chunks[i].token] + chunks[i].offset;
        __m128i differ = _mm_ternarylogic_epi64(_mm_loadu_si128((const __m128i *)place),
                                                _mm_load_si128((const __m128i *)chunks[i].bytes),
                                                _mm_load_si128((const __m128i *)chunks[i].mask),
                                                0x28); /* (a ^ b) & c */
        wrong = _mm_or_si128(wrong, differ);
    }
    return !_mm_testz_si128(wrong, wrong);
}

#include "formats/json_match_x86.inc.h"

#include "formats/json_match.inc.h"
#endif
