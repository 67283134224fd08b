/* Any text as a pattern, any as a subject (split at the first zero byte): compiling never crashes,
 * and the ways around the engine for plain text agree with the engine, which (?:…) forces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "lang/regex.h"
#include "lang/text_search.h"

static struct regex_scratch *scratch;

static void check_search(struct string text, struct string wanted)
{
    bool found =
        wanted.length == 0 || memmem(text.data, text.length, wanted.data, wanted.length) != NULL;
    if (text_contains(text, wanted) != found)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!scratch)
        scratch = regex_scratch_open();
    const uint8_t *zero = memchr(data, 0, size);
    if (!zero || size > 600)
        return 0;
    struct string pattern = {(const char *)data, (size_t)(zero - data)};
    struct string text = {(const char *)zero + 1, size - pattern.length - 1};
    check_search(text, pattern);
    if (!utf8_valid(pattern.data, pattern.length) || !utf8_valid(text.data, text.length))
        return 0;
    struct error error;
    uint32_t offset = 0;
    struct regex *regex = regex_compile(pattern, &offset, &error);
    if (!regex && offset > pattern.length)
        abort();
    if (!regex)
        return 0;
    static char wrapped[700];
    int length = snprintf(wrapped, sizeof(wrapped), "(?:%.*s%s)", (int)pattern.length, pattern.data,
                          memmem(pattern.data, pattern.length, "\\Q", 2) ? "\\E" : "");
    struct regex *engine = regex_compile((struct string){wrapped, (size_t)length}, &offset, &error);
    if (engine) {
        enum regex_result first = regex_match(regex, scratch, text);
        enum regex_result second = regex_match(engine, scratch, text);
        if (first != second && first != REGEX_LIMIT && second != REGEX_LIMIT)
            abort();
        for (uint32_t i = 0; second == REGEX_MATCH && i < regex_group_count(engine); i++) {
            struct string group = regex_group(engine, scratch, text, i);
            if (group.data &&
                (group.data < text.data || group.data + group.length > text.data + text.length))
                abort();
        }
        regex_free(engine);
    }
    regex_free(regex);
    return 0;
}
