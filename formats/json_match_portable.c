/* The quick way through JSON records for any processor: see json_match.inc.h. */
#include "formats/json_locate.h"

#include <string.h>

#define TARGET
#define KERNEL(name) name##_portable

static inline bool classes_differ(const uint8_t *a, const uint8_t *b, uint32_t count)
{
    return memcmp(a, b, count) != 0;
}

static inline bool chunks_differ(const char *text, const uint32_t *positions,
                                 const struct shape_chunk *chunks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (memcmp(text + positions[chunks[i].token] + chunks[i].offset, chunks[i].bytes,
                   chunks[i].length) != 0)
            return true;
    return false;
}

/* Digits, and no more of them than a leading zero allows. */
static inline bool number_quick(const char *text, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return text[0] != '0' || length == 1;
}

#include "formats/json_match.inc.h"

const struct json_match_functions *json_match_choose(enum isa isa)
{
    switch (isa) {
#if defined(__x86_64__)
    case ISA_AVX512:
        return &json_match_avx512;
    case ISA_AVX2:
        return &json_match_avx2;
#endif
    default:
        return &json_match_portable;
    }
}
