/* Escapes and classes of characters in patterns: see regex_reader.h. Pure; any thread. */
#include "lang/regex_reader.h"

#include <stdio.h>
#include <string.h>

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Behind \x: two digits, or {digits}. */
static bool read_hex(struct reader *reader, uint32_t *code)
{
    bool braces = reader->at < reader->end && *reader->at == '{';
    reader->at += braces;
    *code = 0;
    unsigned digits = 0;
    while (reader->at < reader->end && hex_digit(*reader->at) >= 0 && (braces || digits < 2)) {
        *code = *code * 16 + (unsigned)hex_digit(*reader->at++);
        digits++;
        if (*code > 0x10FFFF)
            return reader_refuse(reader, "\\x{…} is beyond U+10FFFF");
    }
    if (braces ? digits == 0 || reader->at == reader->end || *reader->at++ != '}' : digits != 2)
        return reader_refuse(reader, "\\x takes two hexadecimal digits, or some in braces");
    if (*code >= 0xD800 && *code < 0xE000)
        return reader_refuse(reader, "\\x{…} is a surrogate");
    return true;
}

/* \p and \P: a general category as it is, a script by PCRE2's long name for "script, not its
 * extensions". */
bool read_property(struct reader *reader, char letter)
{
    char name[40];
    size_t length = 0;
    bool negative = letter == 'P';
    if (reader->at == reader->end)
        return reader_refuse(reader, "\\p takes a class of characters");
    if (*reader->at != '{') {
        name[length++] = *reader->at++;
    } else {
        reader->at++;
        if (reader->at < reader->end && *reader->at == '^') {
            negative = !negative;
            reader->at++;
        }
        while (reader->at < reader->end && (is_letter(*reader->at) || *reader->at == '_') &&
               length < sizeof(name) - 1)
            name[length++] = *reader->at++;
        if (reader->at == reader->end || *reader->at++ != '}')
            return reader_refuse(reader, "bad class of characters in \\p{…}");
    }
    name[length] = 0;
    bool category = (length == 1 && strchr("CLMNPSZ", name[0])) ||
                    (length == 2 && strchr("CLMNPSZ", name[0]) && name[1] >= 'a');
    if (length == 0 || (length == 1 && !category))
        return reader_refuse(reader, "unknown class of characters after \\p");
    bool any = strcmp(name, "Any") == 0;
    reader_put_format(reader, "\\%c{%s%s}", negative ? 'P' : 'p',
                      category || any ? "" : "sc:", name);
    return true;
}

/* \123: octal. */
static void read_octal(struct reader *reader, uint32_t *code, unsigned most)
{
    *code = 0;
    for (unsigned i = 0;
         i < most && reader->at < reader->end && *reader->at >= '0' && *reader->at <= '7'; i++)
        *code = *code * 8 + (unsigned)(*reader->at++ - '0');
}

/* Escapes that give one character, in classes and outside. False: it is none of these (no problem
 * set), or a mistake. */
bool escape_code(struct reader *reader, char c, uint32_t *code)
{
    static const char from[] = "aftnrv";
    static const char to[] = "\a\f\t\n\r\v";
    const char *found = memchr(from, c, sizeof(from) - 1);
    if (found) {
        *code = (unsigned char)to[found - from];
        return true;
    }
    if (c == 'x')
        return read_hex(reader, code);
    if (c == '0') {
        reader->at--;
        read_octal(reader, code, 3);
        return true;
    }
    if (c >= '1' && c <= '7' && reader->at < reader->end && *reader->at >= '0' &&
        *reader->at <= '7') {
        reader->at--;
        read_octal(reader, code, 3);
        return true;
    }
    if (is_digit(c))
        return reader_refuse(reader, "back-references are not of RE2's dialect");
    if ((unsigned char)c < 0x80 && !is_letter(c)) {
        *code = (unsigned char)c;
        return true;
    }
    return false;
}

/* Perl's classes; false: it is none. */
bool escape_class(struct reader *reader, char c, bool in_class)
{
    switch (c) {
    case 'd':
        reader_put(reader, "\\d");
        return true;
    case 'D':
        reader_put(reader, "\\D");
        return true;
    case 'w':
        reader_put(reader, "\\w");
        return true;
    case 'W':
        reader_put(reader, "\\W");
        return true;
    case 's': /* without \v, which PCRE2 counts in */
        reader_put(reader, in_class ? "\\t\\n\\f\\r\\x20" : "[\\t\\n\\f\\r\\x20]");
        return true;
    case 'S':
        reader_put(reader, in_class ? "\\S\\x{b}" : "[^\\t\\n\\f\\r\\x20]");
        return true;
    default:
        return false;
    }
}

static bool read_posix_class(struct reader *reader)
{
    static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl",
                                        "digit", "graph", "lower", "print", "punct",
                                        "space", "upper", "word",  "xdigit"};
    const char *at = reader->at + 2;
    bool negative = at < reader->end && *at == '^';
    at += negative;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t length = strlen(names[i]);
        if ((size_t)(reader->end - at) >= length + 2 && memcmp(at, names[i], length) == 0 &&
            memcmp(at + length, ":]", 2) == 0) {
            reader_put_format(reader, "[:%s%s:]", negative ? "^" : "", names[i]);
            reader->at = at + length + 2;
            return true;
        }
    }
    return reader_refuse(reader, "unknown class of characters in [:…:]");
}

/* One end of a range, or a single character. False without a problem: a class was written. */
static bool class_code(struct reader *reader, uint32_t *code)
{
    if (*reader->at != '\\') {
        *code = reader_code(reader);
        return true;
    }
    if (++reader->at == reader->end)
        return reader_refuse(reader, "a backslash at the end");
    char c = *reader->at++;
    if (escape_code(reader, c, code))
        return true;
    if (reader->problem || escape_class(reader, c, true))
        return false;
    if (c == 'p' || c == 'P') {
        read_property(reader, c);
        return false;
    }
    return reader_refuse(reader, "this escape has no meaning in […]");
}

static bool class_item(struct reader *reader)
{
    if (reader_at(reader, "[:"))
        return read_posix_class(reader);
    uint32_t low, high;
    if (!class_code(reader, &low))
        return reader->problem == NULL;
    reader_literal(reader, low, true);
    bool range = reader->end - reader->at >= 2 && reader->at[0] == '-' && reader->at[1] != ']';
    if (!range)
        return true;
    reader->at++;
    const char *out = reader->out;
    if (!class_code(reader, &high) || out != reader->out || high < low)
        return reader->problem ? false : reader_refuse(reader, "a bad range in […]");
    reader_put(reader, "-");
    reader_literal(reader, high, true);
    return true;
}

/* Behind [ */
bool read_class(struct reader *reader)
{
    reader_end_literal(reader);
    reader_put(reader, "[");
    if (reader->at < reader->end && *reader->at == '^') {
        reader_put(reader, "^");
        reader->at++;
    }
    for (bool first = true;; first = false) {
        if (reader->at == reader->end)
            return reader_refuse(reader, "a class of characters without ]");
        if (*reader->at == ']' && !first)
            break;
        if (!class_item(reader))
            return false;
    }
    reader->at++;
    reader_put(reader, "]");
    return true;
}
