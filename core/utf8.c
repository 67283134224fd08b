/* UTF-8 helpers and the portable validation: see utf8.h. The vector kernels are in
 * utf8_kernels.c. */
#include "core/utf8.h"

#include <string.h>

#include "core/utf8_kernels.h"

#define CONTINUATION_LIMIT ((signed char)-64) /* bytes 0x80..0xBF are below it when signed */

size_t utf8_count(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += (signed char)text[i] >= CONTINUATION_LIMIT;
    return count;
}

size_t utf8_offset(const char *text, size_t length, size_t index)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        if ((signed char)text[i] < CONTINUATION_LIMIT)
            continue;
        if (count++ == index)
            return i;
    }
    return count == index ? length : SIZE_MAX;
}

size_t utf8_write(char out[4], uint32_t point)
{
    CHECK(point <= 0x10FFFF);
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

uint32_t utf8_next(const char **cursor)
{
    const unsigned char *text = (const unsigned char *)*cursor;
    if (text[0] < 0x80) {
        *cursor += 1;
        return text[0];
    }
    if (text[0] < 0xE0) {
        *cursor += 2;
        return (text[0] & 0x1FU) << 6 | (text[1] & 0x3FU);
    }
    if (text[0] < 0xF0) {
        *cursor += 3;
        return (text[0] & 0x0FU) << 12 | (text[1] & 0x3FU) << 6 | (text[2] & 0x3FU);
    }
    *cursor += 4;
    return (text[0] & 0x07U) << 18 | (text[1] & 0x3FU) << 12 | (text[2] & 0x3FU) << 6 |
           (text[3] & 0x3FU);
}

/* Length of the well-formed sequence at text[0] (not ASCII), or 0 (RFC 3629, section 4). */
static size_t sequence_length(const unsigned char *text, size_t room)
{
    unsigned char lead = text[0];
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (lead < 0xC2 || lead > 0xF4 || room < length)
        return 0;
    /* The second byte of some leads has narrower bounds: no overlong forms, no surrogates, nothing
     * above U+10FFFF. */
    unsigned char lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (text[1] < lowest || text[1] > highest)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

bool utf8_valid_portable(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t i = 0;
    while (i < length) {
        uint64_t word;
        if (length - i >= sizeof(word)) {
            memcpy(&word, text + i, sizeof(word));
            if ((word & 0x8080808080808080) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        if (bytes[i] < 0x80) {
            i++;
            continue;
        }
        size_t sequence = sequence_length(bytes + i, length - i);
        if (sequence == 0)
            return false;
        i += sequence;
    }
    return true;
}
