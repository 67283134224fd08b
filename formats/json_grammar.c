/* The grammar of single JSON tokens: see json_grammar.h. These are the careful checks, byte by
 * byte, for what the vector kernels could not wave through, and for saying what is wrong. */
#include "formats/json_grammar.h"

#include <string.h>

#include "core/utf8.h"

const char *const json_fault_texts[JSON_FAULT_COUNT] = {
#define FAULT(name, code, text) text,
#include "formats/json_faults.def"
#undef FAULT
};

const enum error_code json_fault_codes[JSON_FAULT_COUNT] = {
#define FAULT(name, code, text) ERROR_##code,
#include "formats/json_faults.def"
#undef FAULT
};

static inline bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Moves *at over digits. False: there is none. */
static bool skip_digits(const char *text, size_t length, size_t *at)
{
    size_t start = *at;
    while (*at < length && is_digit(text[*at]))
        ++*at;
    return *at > start;
}

static enum json_fault number_check(const char *text, size_t length, size_t *place)
{
    size_t at = text[0] == '-';
    size_t start = at;
    *place = at;
    if (!skip_digits(text, length, &at))
        return JSON_FAULT_DIGIT;
    if (text[start] == '0' && at > start + 1)
        return JSON_FAULT_LEADING_ZERO;
    if (at < length && text[at] == '.') {
        at++;
        if (!skip_digits(text, length, &at)) {
            *place = at;
            return JSON_FAULT_DIGIT;
        }
    }
    if (at < length && (text[at] | 0x20) == 'e') {
        at++;
        if (at < length && (text[at] == '+' || text[at] == '-'))
            at++;
        if (!skip_digits(text, length, &at)) {
            *place = at;
            return JSON_FAULT_DIGIT;
        }
    }
    *place = at;
    return at == length ? JSON_FAULT_NONE : JSON_FAULT_NUMBER;
}

enum json_fault json_scalar_check(const char *text, size_t length, size_t *place)
{
    *place = 0;
    if (length == 0)
        return JSON_FAULT_VALUE;
    if (text[0] == '-' || is_digit(text[0]))
        return number_check(text, length, place);
    if ((length == 4 && (memcmp(text, "true", 4) == 0 || memcmp(text, "null", 4) == 0)) ||
        (length == 5 && memcmp(text, "false", 5) == 0))
        return JSON_FAULT_NONE;
    return JSON_FAULT_LITERAL;
}

static bool is_hex(char byte)
{
    return is_digit(byte) || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

/* text[*at] is a backslash; moves *at behind the escape, or leaves it on the backslash. */
static enum json_fault escape_check(const char *text, size_t length, size_t *at)
{
    size_t left = length - *at;
    if (left < 2 || !text[*at + 1] || !strchr("\"\\/bfnrtu", text[*at + 1]))
        return left < 2 ? JSON_FAULT_TORN : JSON_FAULT_ESCAPE;
    if (text[*at + 1] == 'u') {
        for (size_t i = 2; i < 6; i++)
            if (i >= left || !is_hex(text[*at + i]))
                return JSON_FAULT_HEX;
        *at += 4;
    }
    *at += 2;
    return JSON_FAULT_NONE;
}

/* Bytes of the UTF-8 sequence at `text`, 0 where it is none. */
static size_t sequence_check(const char *text, size_t left)
{
    for (size_t length = 2; length <= 4 && length <= left; length++)
        if (utf8_valid(text, length))
            return length;
    return 0;
}

enum json_fault json_string_check(const char *text, size_t length, size_t *place)
{
    enum json_fault fault = JSON_FAULT_NONE;
    size_t at = 0;
    while (at < length) {
        unsigned char byte = (unsigned char)text[at];
        size_t step = 1;
        if (byte == '\\') {
            fault = escape_check(text, length, &at);
            step = 0;
        } else if (byte < 0x20) {
            fault = JSON_FAULT_CONTROL;
        } else if (byte >= 0x80) {
            step = sequence_check(text + at, length - at);
            if (step == 0)
                fault = JSON_FAULT_UTF8;
        }
        if (fault != JSON_FAULT_NONE)
            break;
        at += step;
    }
    *place = at;
    return fault;
}
