/* What one field of a CSV means: null, JSON number, true, false, string, or what its column's type
 * makes of it. Inline, for csv_locate.c; the text must be readable for 16 bytes behind the field.
 */
#ifndef LEAT_FORMATS_CSV_CELL_H
#define LEAT_FORMATS_CSV_CELL_H

#include <string.h>

#include "core/number.h"
#include "formats/csv.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Whether text[0..length) is one number of RFC 8259. Reads nothing behind it. */
static inline bool csv_number_slow(const char *text, size_t length)
{
    size_t at = length > 0 && text[0] == '-';
    size_t digits = at;
    while (at < length && text[at] >= '0' && text[at] <= '9')
        at++;
    if (at == digits || (text[digits] == '0' && at - digits > 1))
        return false;
    if (at < length && text[at] == '.') {
        digits = ++at;
        while (at < length && text[at] >= '0' && text[at] <= '9')
            at++;
        if (at == digits)
            return false;
    }
    if (at < length && (text[at] | 0x20) == 'e') {
        at++;
        at += at < length && (text[at] == '+' || text[at] == '-');
        digits = at;
        while (at < length && text[at] >= '0' && text[at] <= '9')
            at++;
        if (at == digits)
            return false;
    }
    return at == length;
}

#if defined(__SSE2__)
/* The same for at most 16 bytes, over a mask of the digits: runs are counted, not walked. */
static inline bool csv_number_short(const char *text, uint32_t length)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)text);
    __m128i low = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(low, _mm_set1_epi8(9)), low);
    uint32_t others = ~((uint32_t)_mm_movemask_epi8(is_digit) & ((1u << length) - 1));
    uint32_t sign = text[0] == '-';
    uint32_t run = (uint32_t)__builtin_ctz(others >> sign);
    uint32_t at = sign + run;
    if (run == 0 || (text[sign] == '0' && run > 1))
        return false;
    if (at == length)
        return true;
    if (text[at] == '.') {
        run = (uint32_t)__builtin_ctz(others >> (at + 1));
        at += 1 + run;
        if (run == 0 || at == length)
            return run != 0;
    }
    if ((text[at] | 0x20) != 'e')
        return false;
    at++;
    at += text[at] == '+' || text[at] == '-';
    run = (uint32_t)__builtin_ctz(others >> at);
    return run != 0 && at + run == length;
}
#endif

static inline bool csv_number_is(const char *text, uint32_t length)
{
#if defined(__SSE2__)
    if (LIKELY(length <= 16))
        return csv_number_short(text, length);
#endif
    return csv_number_slow(text, length);
}

static inline bool csv_word_is(const char *text, size_t length)
{
    return (length == 4 && memcmp(text, "true", 4) == 0) ||
           (length == 5 && memcmp(text, "false", 5) == 0);
}

/* The first quote in text[0..length), or `length`. */
static inline size_t csv_quote_find(const char *text, size_t length, uint8_t quote)
{
#if defined(__SSE2__)
    const __m128i needle = _mm_set1_epi8((char)quote);
    for (size_t at = 0; at < length; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(text + at));
        uint32_t found = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, needle));
        if (found)
            return size_min(at + (size_t)__builtin_ctz(found), length);
    }
    return length;
#else
    const char *found = length ? memchr(text, quote, length) : NULL;
    return found ? (size_t)(found - text) : length;
#endif
}

/* A field between quotes. False: the arena is full. */
static inline bool csv_cell_quoted(const struct csv *csv, const char *text, uint32_t length,
                                   struct arena *arena, struct value *value)
{
    text++;
    length -= 2;
    *value = value_string(text, length);
    value->code = CSV_CELL_QUOTED;
    if (csv_quote_find(text, length, csv->quote) == length)
        return true;
    char *copy = arena_take_aligned(arena, length, 1);
    if (!copy)
        return false;
    *value = value_string(copy, csv_unescape(csv, text, length, copy));
    return true;
}

static inline struct value csv_cell_mark(enum value_kind kind, const char *text, uint32_t length)
{
    return (struct value){
        .kind = (uint8_t)kind, .code = CSV_CELL_PLAIN, .length = length, .text = text};
}

/* An unquoted field that is null. */
static inline bool csv_cell_is_null(const struct csv *csv, const char *text, uint32_t length)
{
    if (length == 0)
        return csv->nulls;
    return UNLIKELY(csv->kinds[(uint8_t)*text] & CSV_KIND_NULL) && length == csv->null.length &&
           memcmp(text, csv->null.data, length) == 0;
}

/* A field of a column of type auto. False: the arena is full. */
static inline bool csv_cell_auto(const struct csv *csv, const char *text, uint32_t length,
                                 struct arena *arena, struct value *value)
{
    unsigned kind = csv->kinds[(uint8_t)*text];
    enum value_kind result = VALUE_STRING;
    if (UNLIKELY(length == 0))
        result = csv->nulls ? VALUE_NULL : VALUE_STRING;
    else if (kind & CSV_KIND_QUOTE)
        return csv_cell_quoted(csv, text, length, arena, value);
    else if ((kind & CSV_KIND_NULL) && csv_cell_is_null(csv, text, length))
        result = VALUE_NULL;
    else if (kind & CSV_KIND_NUMBER)
        result = csv_number_is(text, length) ? VALUE_RAW : VALUE_STRING;
    else if (kind & CSV_KIND_WORD)
        result = csv_word_is(text, length) ? VALUE_RAW : VALUE_STRING;
    *value = csv_cell_mark(result, text, length);
    return true;
}

/* A field of any other type. False: the arena is full. Text that does not convert becomes
 * VALUE_ERROR CONVERSION. */
bool csv_cell_typed(const struct csv *csv, enum csv_type type, const char *text, uint32_t length,
                    struct arena *arena, struct value *value);

#endif
