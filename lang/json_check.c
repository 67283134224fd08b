/* Recursive descent over JSON text: see json_check.h. */
#include "lang/json_check.h"

#include <string.h>

#include "core/number.h"
#include "core/utf8.h"

#define DEPTH_LIMIT 500

static bool check_value(const char **at, const char *end, unsigned depth);

static void skip_space(const char **at, const char *end)
{
    while (*at < end && (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r'))
        ++*at;
}

static bool take(const char **at, const char *end, char wanted)
{
    if (*at == end || **at != wanted)
        return false;
    ++*at;
    return true;
}

static bool check_escape(const char **at, const char *end)
{
    if (*at == end)
        return false;
    char c = *(*at)++;
    if (c != 'u')
        return c != 0 && strchr("\"\\/bfnrt", c) != NULL;
    for (unsigned i = 0; i < 4; i++, ++*at) {
        if (*at == end || **at == 0 || !strchr("0123456789abcdefABCDEF", **at))
            return false;
    }
    return true;
}

static bool check_string(const char **at, const char *end)
{
    if (!take(at, end, '"'))
        return false;
    while (*at < end) {
        unsigned char byte = (unsigned char)*(*at)++;
        if (byte == '"')
            return true;
        if (byte < 0x20 || (byte == '\\' && !check_escape(at, end)))
            return false;
    }
    return false;
}

static bool check_number(const char **at, const char *end)
{
    const char *from = *at;
    while (*at < end && **at && strchr("0123456789+-.eE", **at))
        ++*at;
    int64_t integer;
    double real;
    return number_parse(from, (size_t)(*at - from), &integer, &real) != NUMBER_INVALID;
}

static bool check_word(const char **at, const char *end, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(end - *at) < length || memcmp(*at, word, length) != 0)
        return false;
    *at += length;
    return true;
}

/* Behind the opening bracket. */
static bool check_items(const char **at, const char *end, bool is_map, unsigned depth)
{
    char close = is_map ? '}' : ']';
    skip_space(at, end);
    if (take(at, end, close))
        return true;
    do {
        skip_space(at, end);
        if (is_map) {
            if (!check_string(at, end))
                return false;
            skip_space(at, end);
            if (!take(at, end, ':'))
                return false;
            skip_space(at, end);
        }
        if (!check_value(at, end, depth + 1))
            return false;
        skip_space(at, end);
    } while (take(at, end, ','));
    return take(at, end, close);
}

static bool check_value(const char **at, const char *end, unsigned depth)
{
    if (*at == end || depth > DEPTH_LIMIT)
        return false;
    switch (**at) {
    case '{':
    case '[': {
        bool is_map = *(*at)++ == '{';
        return check_items(at, end, is_map, depth);
    }
    case '"':
        return check_string(at, end);
    case 't':
        return check_word(at, end, "true");
    case 'f':
        return check_word(at, end, "false");
    case 'n':
        return check_word(at, end, "null");
    default:
        return check_number(at, end);
    }
}

bool json_check(struct string text)
{
    if (!utf8_valid(text.data, text.length))
        return false;
    const char *at = text.data, *end = text.data + text.length;
    return check_value(&at, end, 0) && at == end;
}
