/* Fields eight at a time, for AVX-512: see csv_fields.h. Called by workers.
 *
 * The first eight bytes of eight fields are gathered into one register and looked up in a table of
 * classes; tests of the classes tell the common cases apart: nothing, a whole number, text that
 * cannot be a number or word. The rest (quotes, words, fractions, exponents, what may be null) goes
 * to csv_cell_auto one by one, behind the loop, so that its constants stay in registers. */
#if defined(__x86_64__)
#include "formats/csv_fields.h"

#include <immintrin.h>

#define TARGET                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi,bmi2,"    \
                          "lzcnt,popcnt,pclmul")))

/* Groups of eight fields between two looks at what the loop left over. */
#define GROUPS 64

#define EVERY(class) ((long long)(UINT64_C(0x0101010101010101) * (class)))
#define FIRST(class) ((long long)(class))
#define LATER(class) (EVERY(class) & ~(long long)0xff)

struct lanes {
    __mmask8 numbers; /* whole numbers */
    __mmask8 slow;    /* to be looked at one by one */
};

TARGET static inline __mmask8 lanes_with(__m512i classes, long long pattern)
{
    return _mm512_test_epi64_mask(classes, _mm512_set1_epi64(pattern));
}

/* `bytes`: the first eight of each field; `lengths` in 64-bit lanes. */
TARGET static inline struct lanes lanes_sort(const struct csv *csv, __m512i bytes, __m512i lengths)
{
    const __m512i places = _mm512_set1_epi64(0x0706050403020100);
    const __m512i spread = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0808080808080808, 0));
    const __m512i most = _mm512_set1_epi64(8);
    /* at most eight, in all bytes of the lane */
    __m512i capped = _mm512_shuffle_epi8(_mm512_min_epu64(lengths, most), spread);
    __mmask64 valid = _mm512_cmplt_epu8_mask(places, capped);
    /* bytes of 128 and more are text, as 127 is */
    __m512i index = _mm512_min_epu8(bytes, _mm512_set1_epi8(127));
    __m512i classes = _mm512_maskz_permutex2var_epi8(valid, _mm512_loadu_si512(csv->classes), index,
                                                     _mm512_loadu_si512(csv->classes + 64));
    __mmask8 begin = lanes_with(classes, FIRST(CSV_CLASS_DIGIT | CSV_CLASS_MINUS));
    __mmask8 others = lanes_with(
        classes, LATER(CSV_CLASS_MINUS) | EVERY(CSV_CLASS_POWER | CSV_CLASS_PART | CSV_CLASS_TEXT));
    __mmask8 text =
        lanes_with(classes, EVERY(CSV_CLASS_TEXT)) | (lanes_with(classes, LATER(CSV_CLASS_MINUS)) &
                                                      ~lanes_with(classes, EVERY(CSV_CLASS_POWER)));
    __mmask8 whole = begin & ~others & _mm512_cmple_epu64_mask(lengths, most);
    /* no zero before other digits, no sign before a zero or nothing */
    __mmask8 several = _mm512_cmpgt_epu64_mask(lengths, _mm512_set1_epi64(1));
    __mmask8 minus = lanes_with(classes, FIRST(CSV_CLASS_MINUS));
    whole &= ~(several & lanes_with(classes, FIRST(CSV_CLASS_ZERO)));
    whole &= ~(minus & (~several | lanes_with(classes, FIRST(CSV_CLASS_ZERO << 8))));
    /* true, false, null */
    __m512i beyond = _mm512_sub_epi64(lengths, _mm512_set1_epi64(4));
    __mmask8 sized =
        _mm512_cmple_epu64_mask(beyond, _mm512_set1_epi64(1)) |
        _mm512_cmpeq_epi64_mask(lengths, _mm512_set1_epi64((long long)csv->null.length));
    __mmask8 slow = lanes_with(classes, FIRST(CSV_CLASS_QUOTE)) |
                    (lanes_with(classes, FIRST(CSV_CLASS_SPECIAL)) & sized);
    return (struct lanes){.numbers = whole & ~slow, .slow = slow | (begin & ~text & ~whole)};
}

/* Eight members from their heads and the two halves of their values. */
TARGET static inline void members_write(struct member *members, const struct csv_head *heads,
                                        __m512i low, __m512i high)
{
    const __m512i zip_low = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
    const __m512i zip_high = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    const __m512i pair_low = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i pair_high = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    __m512i values[2] = {_mm512_permutex2var_epi64(low, zip_low, high),
                         _mm512_permutex2var_epi64(low, zip_high, high)};
    for (unsigned i = 0; i < 2; i++) {
        __m512i names = _mm512_loadu_si512(heads + 4 * i);
        _mm512_storeu_si512(members + 4 * i, _mm512_permutex2var_epi64(names, pair_low, values[i]));
        _mm512_storeu_si512(members + 4 * i + 2,
                            _mm512_permutex2var_epi64(names, pair_high, values[i]));
    }
}

/* At most GROUPS * 8 fields, without those that `slow` marks (a byte for each group). */
TARGET static void groups_write(const struct csv *csv, const char *text, uint32_t start,
                                const uint32_t *ends, uint32_t count, const struct csv_heads *heads,
                                uint32_t first_head, struct member *members, uint8_t *slow)
{
    const __m512i mark = _mm512_set1_epi64((CSV_CELL_PLAIN << 16) | VALUE_STRING);
    const __m512i number = _mm512_set1_epi64((CSV_CELL_PLAIN << 16) | VALUE_RAW);
    const __m512i empty =
        _mm512_set1_epi64((CSV_CELL_PLAIN << 16) | (csv->nulls ? VALUE_NULL : VALUE_STRING));
    const __m512i base = _mm512_set1_epi64((long long)(uintptr_t)text);
    uint32_t head = first_head;
    for (uint32_t at = 0; at < count; at += 8) {
        __mmask8 live = count - at >= 8 ? 0xff : (__mmask8)((1u << (count - at)) - 1);
        __m256i stops = _mm256_maskz_loadu_epi32(live, ends + at);
        __m256i starts =
            _mm256_add_epi32(_mm256_maskz_loadu_epi32(live, ends + at - 1), _mm256_set1_epi32(1));
        if (at == 0)
            starts = _mm256_mask_set1_epi32(starts, 1, (int)start);
        __m512i offsets = _mm512_cvtepu32_epi64(starts);
        __m512i lengths = _mm512_cvtepu32_epi64(_mm256_maskz_sub_epi32(live, stops, starts));
        __m512i bytes = _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), live, offsets, text, 1);
        struct lanes lanes = lanes_sort(csv, bytes, lengths);
        __m512i kinds = _mm512_mask_mov_epi64(mark, lanes.numbers, number);
        kinds = _mm512_mask_mov_epi64(kinds, _mm512_testn_epi64_mask(lengths, lengths), empty);
        __m512i low = _mm512_or_si512(kinds, _mm512_slli_epi64(lengths, 32));
        members_write(members + at, heads->items + head, low, _mm512_add_epi64(offsets, base));
        slow[at / 8] = lanes.slow & live;
        head += 8;
        while (head >= heads->count)
            head -= heads->count;
    }
}

TARGET uint32_t csv_fields_avx512(const struct csv *csv, const char *text, uint32_t start,
                                  const uint32_t *ends, uint32_t count,
                                  const struct csv_heads *heads, struct arena *arena,
                                  struct member *members)
{
    uint8_t slow[GROUPS];
    for (uint32_t done = 0; done < count; done += GROUPS * 8) {
        uint32_t some = (uint32_t)size_min(count - done, GROUPS * 8);
        groups_write(csv, text, done ? ends[done - 1] + 1 : start, ends + done, some, heads,
                     done % heads->count, members + done, slow);
        for (uint32_t group = 0; group < (some + 7) / 8; group++) {
            for (uint32_t left = slow[group]; left; left &= left - 1) {
                uint32_t field = done + group * 8 + (uint32_t)__builtin_ctz(left);
                struct value *value = &members[field].value;
                if (UNLIKELY(!csv_cell_auto(csv, value->text, value->length, arena, value)))
                    return field;
            }
        }
    }
    return count;
}
#endif
