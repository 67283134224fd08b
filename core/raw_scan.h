/* Walking through valid JSON text without decoding it. Inline parts shared by core/raw.c and
 * core/json_write.c. Pure functions; any thread; nothing recurses and nothing reads outside
 * [cursor, end), even if the text were not valid. */
#ifndef LEAT_CORE_RAW_SCAN_H
#define LEAT_CORE_RAW_SCAN_H

#include <string.h>

#include "core/base.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as little-endian text");

#define WORD_ONES  0x0101010101010101U
#define WORD_HIGHS 0x8080808080808080U

static inline uint64_t word_load(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    return word;
}
/* The high bit of each byte that is `byte`; bytes above the first found may be marked in error. */
static inline uint64_t word_find(uint64_t word, unsigned char byte)
{
    uint64_t difference = word ^ (WORD_ONES * byte);
    return (difference - WORD_ONES) & ~difference & WORD_HIGHS;
}
/* … of each byte below `limit` (at most 128); the same reservation. */
static inline uint64_t word_find_below(uint64_t word, unsigned char limit)
{
    return (word - WORD_ONES * limit) & ~word & WORD_HIGHS;
}
/* Index of the first byte marked. */
static inline unsigned word_first(uint64_t marks)
{
    return (unsigned)__builtin_ctzll(marks) / 8;
}

/* Behind the closing quote of the string whose first byte (behind the opening quote) is at
 * `cursor`; `end` if there is none. */
static inline const char *string_skip(const char *cursor, const char *end)
{
    for (;;) {
        while (end - cursor >= 8) {
            uint64_t word = word_load(cursor);
            uint64_t marks = word_find(word, '"') | word_find(word, '\\');
            if (marks) {
                cursor += word_first(marks);
                break;
            }
            cursor += 8;
        }
        while (cursor < end && *cursor != '"' && *cursor != '\\')
            cursor++;
        if (cursor == end)
            return end;
        if (*cursor == '"')
            return cursor + 1;
        if (end - cursor < 2)
            return end;
        cursor += 2;
    }
}

static inline const char *space_skip(const char *cursor, const char *end)
{
    while (cursor < end && (unsigned char)*cursor <= ' ')
        cursor++;
    return cursor;
}

/* Behind the value that begins at `cursor`. */
const char *raw_skip(const char *cursor, const char *end);

#endif
