/* Reading text that may be anything: see text.h. Owns nothing; any thread. */
#include "lang/text.h"

/* How many bytes the sequence that begins with `lead` has (0: none begins so), and the smallest
 * code point that needs so many (anything below it would be an overlong form). */
static unsigned sequence_size(unsigned char lead, uint32_t *smallest)
{
    if (lead < 0x80) {
        *smallest = 0;
        return 1;
    }
    if (lead >= 0xC2 && lead < 0xE0) {
        *smallest = 0x80;
        return 2;
    }
    if (lead >= 0xE0 && lead < 0xF0) {
        *smallest = 0x800;
        return 3;
    }
    if (lead >= 0xF0 && lead < 0xF5) {
        *smallest = 0x10000;
        return 4;
    }
    return 0;
}

uint32_t text_point(struct string text, size_t offset, unsigned *size)
{
    CHECK(offset < text.length);
    const unsigned char *bytes = (const unsigned char *)text.data + offset;
    uint32_t smallest = 0;
    unsigned count = sequence_size(bytes[0], &smallest);
    *size = 1;
    if (count == 1)
        return bytes[0];
    if (count == 0 || count > text.length - offset)
        return TEXT_DAMAGED;
    uint32_t point = bytes[0] & (0x7FU >> count);
    for (unsigned i = 1; i < count; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return TEXT_DAMAGED;
        point = point << 6 | (bytes[i] & 0x3F);
    }
    if (point < smallest || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
        return TEXT_DAMAGED;
    *size = count;
    return point;
}

bool text_point_printable(uint32_t point)
{
    if (point == TEXT_DAMAGED || point < 0x20 || (point >= 0x7F && point < 0xA0))
        return false;
    bool turns = point == 0x061C || point == 0x200E || point == 0x200F || point == 0x2028 ||
                 point == 0x2029 || (point >= 0x202A && point <= 0x202E) ||
                 (point >= 0x2066 && point <= 0x2069);
    return !turns;
}

size_t text_damage(struct string text)
{
    size_t offset = 0;
    while (offset < text.length) {
        unsigned size;
        if (text_point(text, offset, &size) == TEXT_DAMAGED)
            return offset;
        offset += size;
    }
    return offset;
}
