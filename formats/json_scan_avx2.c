/* The JSON scan for AVX2: two vectors are one block. See json_scan.h. */
#include "formats/json_scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET       __attribute__((target("avx2,pclmul,bmi,bmi2,popcnt,lzcnt")))
#define KERNEL(name) name##_avx2

struct block_avx2 {
    __m256i low, high;
    __m256i low_kinds, high_kinds; /* see kinds_of */
    const uint8_t *classes;
};

/* Two lookups, by the halves of a byte, and-ed: 1: { }  2: [ ]  4: :  8: ,  16: space  32: tab LF
 * CR; a byte beyond ASCII gives 0. LF is no white space where lines are records. */
static inline TARGET __m256i kinds_of(__m256i bytes)
{
    const __m256i by_low = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(16, 0, 0, 0, 0, 0, 0, 0, 0, 32, 4 | 32, 3, 8, 3 | 32, 0, 0));
    const __m256i by_high = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(32, 0, 16 | 8, 4, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0));
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
    return _mm256_and_si256(_mm256_shuffle_epi8(by_low, bytes), _mm256_shuffle_epi8(by_high, high));
}
static inline TARGET uint64_t mask_of(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}
static inline TARGET struct block_avx2 block_load(const char *bytes, const uint8_t *classes)
{
    struct block_avx2 block;
    block.low = _mm256_loadu_si256((const __m256i *)bytes);
    block.high = _mm256_loadu_si256((const __m256i *)(bytes + 32));
    block.low_kinds = kinds_of(block.low);
    block.high_kinds = kinds_of(block.high);
    block.classes = classes;
    return block;
}
static inline TARGET uint64_t block_equal(struct block_avx2 block, char byte)
{
    __m256i all = _mm256_set1_epi8(byte);
    return mask_of(_mm256_cmpeq_epi8(block.low, all), _mm256_cmpeq_epi8(block.high, all));
}
static inline TARGET uint64_t block_quotes(struct block_avx2 block)
{
    return block_equal(block, '"');
}
static inline TARGET uint64_t block_backslashes(struct block_avx2 block)
{
    return block_equal(block, '\\');
}
static inline TARGET uint64_t block_operators(struct block_avx2 block)
{
    const __m256i operators = _mm256_set1_epi8(0x0f), zero = _mm256_setzero_si256();
    uint64_t found =
        ~mask_of(_mm256_cmpeq_epi8(_mm256_and_si256(block.low_kinds, operators), zero),
                 _mm256_cmpeq_epi8(_mm256_and_si256(block.high_kinds, operators), zero));
    return block.classes == json_classes[1] ? found | block_equal(block, '\n') : found;
}
/* Or operators, which need not be told apart here. */
static inline TARGET uint64_t block_white(struct block_avx2 block)
{
    const __m256i zero = _mm256_setzero_si256();
    return ~mask_of(_mm256_cmpeq_epi8(block.low_kinds, zero),
                    _mm256_cmpeq_epi8(block.high_kinds, zero));
}
static inline TARGET uint64_t block_controls(struct block_avx2 block)
{
    const __m256i last = _mm256_set1_epi8(0x1f);
    return mask_of(_mm256_cmpeq_epi8(_mm256_min_epu8(block.low, last), block.low),
                   _mm256_cmpeq_epi8(_mm256_min_epu8(block.high, last), block.high));
}
static inline TARGET uint64_t block_high(struct block_avx2 block)
{
    return mask_of(block.low, block.high);
}
static inline TARGET __m256i hex_of(__m256i bytes)
{
    __m256i digit = _mm256_sub_epi8(bytes, _mm256_set1_epi8('0'));
    __m256i lower = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
    __m256i letter = _mm256_sub_epi8(lower, _mm256_set1_epi8('a'));
    return _mm256_or_si256(_mm256_cmpeq_epi8(_mm256_min_epu8(digit, _mm256_set1_epi8(9)), digit),
                           _mm256_cmpeq_epi8(_mm256_min_epu8(letter, _mm256_set1_epi8(5)), letter));
}
static inline TARGET uint64_t block_hex(struct block_avx2 block)
{
    return mask_of(hex_of(block.low), hex_of(block.high));
}
/* By the low four bits: the one byte with these that may follow a backslash, or two. A lookup by a
 * byte beyond ASCII gives 0, which is no such byte. */
static inline TARGET __m256i escapable_of(__m256i bytes)
{
    const __m256i first = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(-1, -1, 'b', -1, 't', 'u', 'f', -1, -1, -1, -1, -1, '\\', -1, 'n', '/'));
    const __m256i second = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(-1, -1, 'r', -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    return _mm256_or_si256(
        _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_shuffle_epi8(first, bytes)),
                        _mm256_cmpeq_epi8(bytes, _mm256_shuffle_epi8(second, bytes))),
        _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"')));
}
static inline TARGET uint64_t block_escapable(struct block_avx2 block)
{
    return mask_of(escapable_of(block.low), escapable_of(block.high));
}
static inline TARGET uint64_t bits_prefix_xor(uint64_t bits)
{
    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)bits), _mm_set1_epi8(-1), 0));
}

#include "formats/json_utf8.inc.h"

static inline TARGET __m256i utf8_wrong(const char *bytes)
{
    __m256i input = _mm256_loadu_si256((const __m256i *)bytes);
    __m256i before1 = _mm256_loadu_si256((const __m256i *)(bytes - 1));
    __m256i before2 = _mm256_loadu_si256((const __m256i *)(bytes - 2));
    __m256i before3 = _mm256_loadu_si256((const __m256i *)(bytes - 3));
    const __m256i low4 = _mm256_set1_epi8(15);
    __m256i wrong = _mm256_and_si256(
        _mm256_shuffle_epi8(
            _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)utf8_lead_high)),
            _mm256_and_si256(_mm256_srli_epi16(before1, 4), low4)),
        _mm256_shuffle_epi8(
            _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)utf8_lead_low)),
            _mm256_and_si256(before1, low4)));
    wrong = _mm256_and_si256(
        wrong, _mm256_shuffle_epi8(
                   _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)utf8_next_high)),
                   _mm256_and_si256(_mm256_srli_epi16(input, 4), low4)));
    /* bytes 3 and 4 of a sequence: then, and only then, is a second continuation right */
    __m256i third = _mm256_subs_epu8(before2, _mm256_set1_epi8((char)(0xe0 - 0x80)));
    __m256i fourth = _mm256_subs_epu8(before3, _mm256_set1_epi8((char)(0xf0 - 0x80)));
    __m256i must = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(wrong, must);
}
static inline TARGET bool utf8_suspect(const char *bytes, uint64_t *open)
{
    __m256i wrong = _mm256_or_si256(utf8_wrong(bytes), utf8_wrong(bytes + 32));
    *open = utf8_ends_open(bytes);
    return !_mm256_testz_si256(wrong, wrong);
}

static inline TARGET uint32_t block_emit(struct block_avx2 block, uint64_t tokens, uint32_t base,
                                         const char *bytes, uint32_t *positions, uint8_t *classes)
{
    uint32_t count = (uint32_t)__builtin_popcountll(tokens);
    while (tokens) { /* in fours; what is beyond the last is overwritten by the next block */
        for (int i = 0; i < 4; i++) {
            uint32_t place = (uint32_t)_tzcnt_u64(tokens);
            positions[i] = base + place;
            classes[i] = block.classes[(uint8_t)bytes[place]];
            tokens = _blsr_u64(tokens);
        }
        positions += 4;
        classes += 4;
    }
    return count;
}

#include "formats/json_scan.inc.h"
#endif
