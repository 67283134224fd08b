/* The check of numbers for the kernels of x86: a vector holds the number, bit masks its digits and
 * its dot. */

static inline TARGET bool number_quick(const char *text, uint32_t length)
{
    uint32_t negative = text[0] == '-';
    text += negative;
    length -= negative;
    __m128i bytes = _mm_loadu_si128((const __m128i *)text);
    __m128i values = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values);
    if (UNLIKELY(length > 16 || length == 0))
        return false;
    uint32_t all = (2u << (length - 1)) - 1;
    uint32_t digits = (uint32_t)_mm_movemask_epi8(is_digit) & all;
    uint32_t dot = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('.'))) & all;
    /* at most one dot, nothing but digits else, a digit first and last, no needless 0 first;
     * without branches, as nobody can foresee what a number looks like */
    uint32_t wrong = (digits ^ all ^ dot) | (dot & (dot - 1)) | ((digits & 1) ^ 1) |
                     ((digits >> (length - 1)) ^ 1) | ((uint32_t)(text[0] == '0') & (digits >> 1));
    return wrong == 0;
}
