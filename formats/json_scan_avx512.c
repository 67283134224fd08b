/* The JSON scan for AVX-512 with VBMI2: one vector is one block, classes come from one two-register
 * table lookup, tokens are compressed out of the vectors. See json_scan.h. */
#include "formats/json_scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx2,"        \
                          "pclmul,bmi,bmi2,popcnt,lzcnt")))
#define KERNEL(name) name##_avx512

struct block_avx512 {
    __m512i bytes;
    __m512i classes;
    uint64_t high; /* bytes beyond ASCII */
};

static inline TARGET struct block_avx512 block_load(const char *bytes, const uint8_t *classes)
{
    struct block_avx512 block;
    block.bytes = _mm512_loadu_si512(bytes);
    block.high = _mm512_movepi8_mask(block.bytes);
    block.classes = _mm512_permutex2var_epi8(_mm512_load_si512(classes), block.bytes,
                                             _mm512_load_si512(classes + 64));
    if (UNLIKELY(block.high)) /* the lookup goes by 7 bits */
        block.classes = _mm512_maskz_mov_epi8(~block.high, block.classes);
    return block;
}
static inline TARGET uint64_t block_equal(struct block_avx512 block, char byte)
{
    return _mm512_cmpeq_epi8_mask(block.bytes, _mm512_set1_epi8(byte));
}
static inline TARGET uint64_t block_quotes(struct block_avx512 block)
{
    return block_equal(block, '"');
}
static inline TARGET uint64_t block_backslashes(struct block_avx512 block)
{
    return block_equal(block, '\\');
}
static inline TARGET uint64_t block_operators(struct block_avx512 block)
{
    return _mm512_movepi8_mask(block.classes);
}
static inline TARGET uint64_t block_white(struct block_avx512 block)
{
    /* adding moves bit 6 to the top; unlike a compare this does not burden port 5 */
    return _mm512_movepi8_mask(_mm512_add_epi8(block.classes, block.classes));
}
static inline TARGET uint64_t block_controls(struct block_avx512 block)
{
    __m512i less = _mm512_sub_epi8(block.bytes, _mm512_set1_epi8(0x20));
    return _mm512_movepi8_mask(_mm512_andnot_si512(block.bytes, less));
}
static inline TARGET uint64_t block_high(struct block_avx512 block)
{
    return block.high;
}
static inline TARGET uint64_t block_hex(struct block_avx512 block)
{
    __m512i digit = _mm512_sub_epi8(block.bytes, _mm512_set1_epi8('0'));
    __m512i lower = _mm512_or_si512(block.bytes, _mm512_set1_epi8(0x20));
    __m512i letter = _mm512_sub_epi8(lower, _mm512_set1_epi8('a'));
    return _mm512_cmplt_epu8_mask(digit, _mm512_set1_epi8(10)) |
           _mm512_cmplt_epu8_mask(letter, _mm512_set1_epi8(6));
}
static inline TARGET uint64_t block_escapable(struct block_avx512 block)
{
    /* by the low four bits: the one byte with these that may follow a backslash, or two */
    const __m512i first = _mm512_broadcast_i32x4(
        _mm_setr_epi8(-1, -1, 'b', -1, 't', 'u', 'f', -1, -1, -1, -1, -1, '\\', -1, 'n', '/'));
    const __m512i second = _mm512_broadcast_i32x4(
        _mm_setr_epi8(-1, -1, 'r', -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    __m512i low = _mm512_and_si512(block.bytes, _mm512_set1_epi8(15));
    return _mm512_mask_cmpeq_epi8_mask(~block.high, block.bytes, _mm512_shuffle_epi8(first, low)) |
           _mm512_mask_cmpeq_epi8_mask(~block.high, block.bytes, _mm512_shuffle_epi8(second, low)) |
           block_equal(block, '"');
}
static inline TARGET uint64_t bits_prefix_xor(uint64_t bits)
{
    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)bits), _mm_set1_epi8(-1), 0));
}

#include "formats/json_utf8.inc.h"

static inline TARGET bool utf8_suspect(const char *bytes, uint64_t *open)
{
    __m512i input = _mm512_loadu_si512(bytes);
    __m512i before1 = _mm512_loadu_si512(bytes - 1);
    __m512i before2 = _mm512_loadu_si512(bytes - 2);
    __m512i before3 = _mm512_loadu_si512(bytes - 3);
    const __m512i low4 = _mm512_set1_epi8(15);
    const __m512i lead_high =
        _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)utf8_lead_high));
    const __m512i lead_low = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)utf8_lead_low));
    const __m512i next_high =
        _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)utf8_next_high));
    __m512i wrong =
        _mm512_shuffle_epi8(lead_high, _mm512_and_si512(_mm512_srli_epi16(before1, 4), low4));
    wrong = _mm512_and_si512(wrong, _mm512_shuffle_epi8(lead_low, _mm512_and_si512(before1, low4)));
    wrong = _mm512_and_si512(
        wrong, _mm512_shuffle_epi8(next_high, _mm512_and_si512(_mm512_srli_epi16(input, 4), low4)));
    /* bytes 3 and 4 of a sequence: then, and only then, is a second continuation right */
    __m512i third = _mm512_subs_epu8(before2, _mm512_set1_epi8((char)(0xe0 - 0x80)));
    __m512i fourth = _mm512_subs_epu8(before3, _mm512_set1_epi8((char)(0xf0 - 0x80)));
    __m512i must = _mm512_and_si512(_mm512_or_si512(third, fourth), _mm512_set1_epi8((char)0x80));
    *open = utf8_ends_open(bytes);
    return _mm512_test_epi8_mask(_mm512_xor_si512(wrong, must), _mm512_set1_epi8(-1)) != 0;
}

static inline TARGET __m512i places_widen(__m128i places, __m512i base)
{
    return _mm512_add_epi32(base, _mm512_cvtepu8_epi32(places));
}

static inline TARGET uint32_t block_emit(struct block_avx512 block, uint64_t tokens, uint32_t base,
                                         const char *bytes, uint32_t *positions, uint8_t *classes)
{
    (void)bytes;
    static const _Alignas(64) uint8_t identity[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    uint32_t count = (uint32_t)__builtin_popcountll(tokens);
    __m512i places = _mm512_maskz_compress_epi8(tokens, _mm512_load_si512(identity));
    __m512i bases = _mm512_set1_epi32((int)base);
    _mm512_storeu_si512(classes, _mm512_maskz_compress_epi8(tokens, block.classes));
    _mm512_storeu_si512(positions, places_widen(_mm512_castsi512_si128(places), bases));
    _mm512_storeu_si512(positions + 16, places_widen(_mm512_extracti32x4_epi32(places, 1), bases));
    if (UNLIKELY(count > 32)) {
        _mm512_storeu_si512(positions + 32,
                            places_widen(_mm512_extracti32x4_epi32(places, 2), bases));
        _mm512_storeu_si512(positions + 48,
                            places_widen(_mm512_extracti32x4_epi32(places, 3), bases));
    }
    return count;
}

#include "formats/json_scan.inc.h"
#endif
