/* See text_search.h. Candidates are places where the first and the last byte of the wanted text
 * stand at the right distance, eight places at a time (Wojciech Muła's "SIMD-friendly algorithms
 * for substring searching", with words of eight bytes). */
#include "lang/text_search.h"

#include <string.h>

#include "core/raw_scan.h"

/* Longer texts go to memmem, which is linear whatever they hold. */
#define SHORT_TEXT 256

/* Of the eight places from `at` on. */
static bool found_near(const char *at, struct string wanted)
{
    uint64_t marks =
        word_find(word_load(at), (unsigned char)wanted.data[0]) &
        word_find(word_load(at + wanted.length - 1), (unsigned char)wanted.data[wanted.length - 1]);
    for (; marks; marks &= marks - 1) { /* a mark may be false, none is missing */
        if (memcmp(at + word_first(marks), wanted.data, wanted.length) == 0)
            return true;
    }
    return false;
}

bool text_contains(struct string text, struct string wanted)
{
    if (wanted.length == 0)
        return true;
    if (text.length < wanted.length)
        return false;
    if (text.length > SHORT_TEXT)
        return memmem(text.data, text.length, wanted.data, wanted.length) != NULL;
    size_t places = text.length - wanted.length + 1;
    if (places < 8) {
        for (size_t i = 0; i < places; i++) {
            if (text.data[i] == wanted.data[0] &&
                memcmp(text.data + i, wanted.data, wanted.length) == 0)
                return true;
        }
        return false;
    }
    for (size_t i = 0; i + 8 < places; i += 8) {
        if (found_near(text.data + i, wanted))
            return true;
    }
    return found_near(text.data + places - 8, wanted); /* overlaps what was seen */
}
