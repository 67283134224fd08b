/* The CSV kernel for AVX-512 with VBMI2: see csv_scan.h. Pure; any thread. */
#if defined(__x86_64__)
#include "formats/csv_scan.h"

#include <immintrin.h>

#define TARGET                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi,bmi2,"    \
                          "lzcnt,popcnt,pclmul")))

struct needle {
    __m512i bytes;
};
struct block {
    __m512i bytes;
};

TARGET static inline struct needle needle_make(uint8_t byte)
{
    return (struct needle){_mm512_set1_epi8((char)byte)};
}

TARGET static inline struct block block_load(const char *text)
{
    return (struct block){_mm512_loadu_si512(text)};
}

TARGET static inline uint64_t block_high(struct block block)
{
    return _mm512_movepi8_mask(block.bytes);
}

TARGET static inline uint64_t block_equal(struct block block, struct needle needle)
{
    return _mm512_cmpeq_epi8_mask(block.bytes, needle.bytes);
}

TARGET static inline uint64_t prefix_xor(uint64_t mask)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)mask), _mm_set1_epi8((char)0xff), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* The numbers 0..63 compressed by the mask, then widened sixteen at a time. */
TARGET static inline void positions_write(uint32_t *out, uint64_t mask, uint32_t base)
{
    const __m512i numbers = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41,
        40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18,
        17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i bases = _mm512_set1_epi32((int)base);
    __m512i bits = _mm512_maskz_compress_epi8(mask, numbers);
    int count = __builtin_popcountll(mask);
    __m128i quarter = _mm512_castsi512_si128(bits);
    _mm512_storeu_si512(out, _mm512_add_epi32(_mm512_cvtepu8_epi32(quarter), bases));
    if (count <= 16)
        return;
    quarter = _mm512_extracti32x4_epi32(bits, 1);
    _mm512_storeu_si512(out + 16, _mm512_add_epi32(_mm512_cvtepu8_epi32(quarter), bases));
    if (count <= 32)
        return;
    quarter = _mm512_extracti32x4_epi32(bits, 2);
    _mm512_storeu_si512(out + 32, _mm512_add_epi32(_mm512_cvtepu8_epi32(quarter), bases));
    quarter = _mm512_extracti32x4_epi32(bits, 3);
    _mm512_storeu_si512(out + 48, _mm512_add_epi32(_mm512_cvtepu8_epi32(quarter), bases));
}

#include "formats/csv_scan.inc.h"

const struct csv_kernel csv_kernel_avx512 = {scan_cut, scan_index};
#endif
