/* Line ends in text: see lines.h. Pure functions. */
#include "formats/lines.h"

#include <string.h>

#include "formats/isa.h"

static size_t count_portable(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += text[i] == '\n';
    return count;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f,avx512bw,popcnt"))) static size_t count_avx512(const char *text,
                                                                              size_t length)
{
    const __m512i end = _mm512_set1_epi8('\n');
    size_t counts[4] = {0}, at = 0;
    for (; at + 256 <= length; at += 256)
        for (size_t i = 0; i < 4; i++)
            counts[i] += (size_t)__builtin_popcountll(
                _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(text + at + 64 * i), end));
    for (; at < length; at += 64) {
        size_t left = length - at;
        __mmask64 mask = left >= 64 ? ~0ull : ((uint64_t)1 << left) - 1;
        counts[0] += (size_t)__builtin_popcountll(
            _mm512_mask_cmpeq_epi8_mask(mask, _mm512_maskz_loadu_epi8(mask, text + at), end));
    }
    return counts[0] + counts[1] + counts[2] + counts[3];
}

__attribute__((target("avx2"))) static size_t count_avx2(const char *text, size_t length)
{
    const __m256i end = _mm256_set1_epi8('\n');
    __m256i sums = _mm256_setzero_si256();
    size_t at = 0;
    while (at + 128 <= length) {
        __m256i bytes = _mm256_setzero_si256(); /* at most 2 * 127 in each */
        for (int i = 0; i < 63 && at + 128 <= length; i++, at += 128)
            for (size_t j = 0; j < 4; j++)
                bytes = _mm256_sub_epi8(
                    bytes, _mm256_cmpeq_epi8(
                               _mm256_loadu_si256((const __m256i *)(text + at + 32 * j)), end));
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
    }
    uint64_t parts[4];
    _mm256_storeu_si256((__m256i *)parts, sums);
    return parts[0] + parts[1] + parts[2] + parts[3] + count_portable(text + at, length - at);
}
#endif

size_t lines_count(const char *text, size_t length)
{
    switch (isa_get()) {
#if defined(__x86_64__)
    case ISA_AVX512:
        return count_avx512(text, length);
    case ISA_AVX2:
        return count_avx2(text, length);
#endif
    default:
        return count_portable(text, length);
    }
}

size_t lines_last(const char *text, size_t length)
{
    const char *last = memrchr(text, '\n', length);
    return last ? (size_t)(last - text) + 1 : 0;
}
