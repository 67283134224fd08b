/* What the JSON scans of all instruction sets share: the classes of bytes, the choice of a kernel.
 * Owns nothing; any thread. */
#include "formats/json_scan.h"

#define CLASSES(line_end)                                                                          \
    {                                                                                              \
        ['{'] = JSON_OPEN_MAP, ['}'] = JSON_CLOSE_MAP, ['['] = JSON_OPEN_LIST,                     \
        [']'] = JSON_CLOSE_LIST, [':'] = JSON_COLON, [','] = JSON_COMMA, ['"'] = JSON_STRING,      \
        [' '] = JSON_WHITE, ['\t'] = JSON_WHITE, ['\r'] = JSON_WHITE, ['\n'] = (line_end)          \
    }

_Alignas(64) const uint8_t json_classes[2][256] = {CLASSES(JSON_WHITE), CLASSES(JSON_LINE_END)};

void json_scan_open(struct json_scan *scan, const char *text, uint32_t from, uint32_t length,
                    bool lines)
{
    CHECK(from <= length);
    *scan = (struct json_scan){
        .text = text,
        .length = length,
        .scanned = from,
        .pad = (uint32_t)((uintptr_t)(text + from) % JSON_SCAN_BLOCK),
        .lines = lines,
        .suspect_from = UINT32_MAX,
    };
}

json_scan_function *json_scan_choose(enum isa isa)
{
    switch (isa) {
#if defined(__x86_64__)
    case ISA_AVX512:
        return json_scan_avx512;
    case ISA_AVX2:
        return json_scan_avx2;
#elif defined(__aarch64__)
    case ISA_NEON:
        return json_scan_neon;
#endif
    default:
        return json_scan_portable;
    }
}
