/* Checks a pattern against RE2's syntax in one pass over it and writes the equivalent for PCRE2:
 * what PCRE2 has beyond RE2 is refused, what both spell alike but mean differently (\s, \v,
 * scripts, an open bracket or brace as text) is rewritten. On the way the plain text at the
 * pattern's start is collected, for searches without the engine. */
#include "lang/regex_dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"

#define PATTERN_LIMIT 65536
#define REPEAT_LIMIT  1000
#define NEST_LIMIT    200
#define GROUP_LIMIT   100
/* More than the longest rewriting of one byte. */
#define GROWTH 20

struct reader {
    const char *start;
    const char *at;
    const char *end;
    char *out;
    char *literal;
    size_t literal_length;
    size_t last_literal; /* literal_length before the last character */
    bool collecting;     /* still in the plain text at the start */
    bool anchored;       /* begins with ^ */
    bool ends;           /* the plain text was followed by $ */
    bool more;           /* something else follows */
    bool unsure;         /* alternatives or flags: nothing is known about literals */
    unsigned depth;
    uint32_t groups;
    const char *problem;
};

static bool refuse(struct reader *reader, const char *problem)
{
    reader->problem = problem;
    return false;
}

static void put(struct reader *reader, const char *text)
{
    size_t length = strlen(text);
    memcpy(reader->out, text, length);
    reader->out += length;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool at_text(const struct reader *reader, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(reader->end - reader->at) >= length && !memcmp(reader->at, text, length);
}

/* Something that is no plain text. */
static void end_literal(struct reader *reader)
{
    reader->collecting = false;
    reader->more = true;
}

static size_t write_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* One character that stands for itself. */
static void literal_code(struct reader *reader, uint32_t code, bool in_class)
{
    reader->out += snprintf(reader->out, GROWTH, "\\x{%x}", code);
    if (in_class)
        return;
    if (reader->ends)
        end_literal(reader);
    if (!reader->collecting)
        return;
    reader->last_literal = reader->literal_length;
    reader->literal_length += write_utf8(reader->literal + reader->literal_length, code);
}

/* The code point at the reader; the pattern is valid UTF-8. */
static uint32_t next_code(struct reader *reader)
{
    unsigned char lead = (unsigned char)*reader->at++;
    if (lead < 0x80)
        return lead;
    unsigned more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    uint32_t code = lead & (0x3Fu >> more);
    for (; more && reader->at < reader->end; more--)
        code = code << 6 | ((unsigned char)*reader->at++ & 0x3Fu);
    return code;
}

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
            return refuse(reader, "\\x{…} is beyond U+10FFFF");
    }
    if (braces ? digits == 0 || reader->at == reader->end || *reader->at++ != '}' : digits != 2)
        return refuse(reader, "\\x takes two hexadecimal digits, or some in braces");
    if (*code >= 0xD800 && *code < 0xE000)
        return refuse(reader, "\\x{…} is a surrogate");
    return true;
}

/* \p and \P: a general category as it is, a script by PCRE2's long name for "script, not its
 * extensions". */
static bool read_property(struct reader *reader, char letter)
{
    char name[40];
    size_t length = 0;
    bool negative = letter == 'P';
    if (reader->at == reader->end)
        return refuse(reader, "\\p takes a class of characters");
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
            return refuse(reader, "bad class of characters in \\p{…}");
    }
    name[length] = 0;
    bool category = (length == 1 && strchr("CLMNPSZ", name[0])) ||
                    (length == 2 && strchr("CLMNPSZ", name[0]) && name[1] >= 'a');
    if (length == 0 || (length == 1 && !category))
        return refuse(reader, "unknown class of characters after \\p");
    bool any = strcmp(name, "Any") == 0;
    reader->out += sprintf(reader->out, "\\%c{%s%s}", negative ? 'P' : 'p',
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
static bool escape_code(struct reader *reader, char c, uint32_t *code)
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
        return refuse(reader, "back-references are not of RE2's dialect");
    if ((unsigned char)c < 0x80 && !is_letter(c)) {
        *code = (unsigned char)c;
        return true;
    }
    return false;
}

/* Perl's classes; false: it is none. */
static bool escape_class(struct reader *reader, char c, bool in_class)
{
    switch (c) {
    case 'd':
        put(reader, "\\d");
        return true;
    case 'D':
        put(reader, "\\D");
        return true;
    case 'w':
        put(reader, "\\w");
        return true;
    case 'W':
        put(reader, "\\W");
        return true;
    case 's': /* without \v, which PCRE2 counts in */
        put(reader, in_class ? "\\t\\n\\f\\r\\x20" : "[\\t\\n\\f\\r\\x20]");
        return true;
    case 'S':
        put(reader, in_class ? "\\S\\x{b}" : "[^\\t\\n\\f\\r\\x20]");
        return true;
    default:
        return false;
    }
}

/* Behind \Q: text up to \E, or the end. */
static void read_quoted(struct reader *reader)
{
    while (reader->at < reader->end && !at_text(reader, "\\E"))
        literal_code(reader, next_code(reader), false);
    if (reader->at < reader->end)
        reader->at += 2;
}

/* *repeatable: may a quantifier follow? */
static bool read_escape(struct reader *reader, bool *repeatable)
{
    *repeatable = true;
    if (reader->at == reader->end)
        return refuse(reader, "a backslash at the end");
    char c = *reader->at++;
    uint32_t code;
    if (escape_code(reader, c, &code)) {
        literal_code(reader, code, false);
        return true;
    }
    if (reader->problem)
        return false;
    if (c == 'Q') {
        const char *out = reader->out;
        read_quoted(reader);
        *repeatable = out != reader->out;
        return true;
    }
    end_literal(reader);
    if (escape_class(reader, c, false))
        return true;
    if (c == 'p' || c == 'P')
        return read_property(reader, c);
    if (c == 'A' || c == 'z' || c == 'b' || c == 'B') {
        *repeatable = false;
        char text[3] = {'\\', c, 0};
        put(reader, text);
        return true;
    }
    return refuse(reader, "this escape is not of RE2's dialect");
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
            reader->out += sprintf(reader->out, "[:%s%s:]", negative ? "^" : "", names[i]);
            reader->at = at + length + 2;
            return true;
        }
    }
    return refuse(reader, "unknown class of characters in [:…:]");
}

/* One end of a range, or a single character. False without a problem: a class was written. */
static bool class_code(struct reader *reader, uint32_t *code)
{
    if (*reader->at != '\\') {
        *code = next_code(reader);
        return true;
    }
    if (++reader->at == reader->end)
        return refuse(reader, "a backslash at the end");
    char c = *reader->at++;
    if (escape_code(reader, c, code))
        return true;
    if (reader->problem || escape_class(reader, c, true))
        return false;
    if (c == 'p' || c == 'P') {
        read_property(reader, c);
        return false;
    }
    return refuse(reader, "this escape has no meaning in […]");
}

static bool class_item(struct reader *reader)
{
    if (at_text(reader, "[:"))
        return read_posix_class(reader);
    uint32_t low, high;
    if (!class_code(reader, &low))
        return reader->problem == NULL;
    literal_code(reader, low, true);
    bool range = reader->end - reader->at >= 2 && reader->at[0] == '-' && reader->at[1] != ']';
    if (!range)
        return true;
    reader->at++;
    const char *out = reader->out;
    if (!class_code(reader, &high) || out != reader->out || high < low)
        return reader->problem ? false : refuse(reader, "a bad range in […]");
    put(reader, "-");
    literal_code(reader, high, true);
    return true;
}

/* Behind [ */
static bool read_class(struct reader *reader)
{
    end_literal(reader);
    put(reader, "[");
    if (reader->at < reader->end && *reader->at == '^') {
        put(reader, "^");
        reader->at++;
    }
    for (bool first = true;; first = false) {
        if (reader->at == reader->end)
            return refuse(reader, "a class of characters without ]");
        if (*reader->at == ']' && !first)
            break;
        if (!class_item(reader))
            return false;
    }
    reader->at++;
    put(reader, "]");
    return true;
}

/* Behind (?P< or (?<. */
static bool read_group_name(struct reader *reader)
{
    const char *name = reader->at;
    while (reader->at < reader->end &&
           (is_letter(*reader->at) || is_digit(*reader->at) || *reader->at == '_'))
        reader->at++;
    size_t length = (size_t)(reader->at - name);
    if (length == 0 || length > 32 || is_digit(*name) || reader->at == reader->end ||
        *reader->at++ != '>')
        return refuse(reader, "a group's name is 1 to 32 letters, digits and _, no digit first");
    reader->out += sprintf(reader->out, "(?P<%.*s>", (int)length, name);
    reader->groups++;
    return true;
}

/* Behind (?: flags up to ) or : */
static bool read_flags(struct reader *reader, bool *opens)
{
    const char *from = reader->at;
    bool minus = false;
    while (reader->at < reader->end && strchr("imsU-", *reader->at) && *reader->at) {
        if (*reader->at == '-' && minus)
            return refuse(reader, "bad flags in (?…)");
        minus = minus || *reader->at == '-';
        reader->at++;
    }
    size_t length = (size_t)(reader->at - from);
    if (reader->at == reader->end || (*reader->at != ')' && *reader->at != ':') ||
        (length == 0 && *reader->at == ')') || (length && from[length - 1] == '-'))
        return refuse(reader, "this group is not of RE2's dialect: no look-around, no atomic "
                              "groups, no conditions, no flags but imsU");
    *opens = *reader->at++ == ':';
    if (length)
        reader->unsure = true;
    reader->out += sprintf(reader->out, "(?%.*s%c", (int)length, from, *opens ? ':' : ')');
    return true;
}

/* Behind ( */
static bool read_group(struct reader *reader)
{
    bool opens = true;
    end_literal(reader);
    if (at_text(reader, "?P<") ||
        (at_text(reader, "?<") && !at_text(reader, "?<=") && !at_text(reader, "?<!"))) {
        reader->at += reader->at[1] == 'P' ? 3 : 2;
        if (!read_group_name(reader))
            return false;
    } else if (at_text(reader, "?")) {
        reader->at++;
        if (!read_flags(reader, &opens))
            return false;
    } else {
        put(reader, "(");
        reader->groups++;
    }
    if (reader->groups > GROUP_LIMIT)
        return refuse(reader, "more than 100 groups");
    if (opens && ++reader->depth > NEST_LIMIT)
        return refuse(reader, "groups nest more than 200 deep");
    return true;
}

/* {n}, {n,}, {n,m}: true with what it says; false: text. */
static bool read_braces(const char *at, const char *end, unsigned *low, unsigned *high,
                        const char **behind)
{
    unsigned long numbers[2] = {0, 0};
    at++;
    const char *from = at;
    while (at < end && is_digit(*at) && numbers[0] < 100000)
        numbers[0] = numbers[0] * 10 + (unsigned)(*at++ - '0');
    if (at == from || at == end)
        return false;
    numbers[1] = numbers[0];
    if (*at == ',') {
        from = ++at;
        numbers[1] = 0;
        while (at < end && is_digit(*at) && numbers[1] < 100000)
            numbers[1] = numbers[1] * 10 + (unsigned)(*at++ - '0');
        if (at == from)
            numbers[1] = numbers[0]; /* open at the top */
    }
    if (at == end || *at != '}')
        return false;
    *low = (unsigned)numbers[0];
    *high = (unsigned)numbers[1];
    *behind = at + 1;
    return true;
}

/* A quantifier, if there is one. */
static bool read_repeat(struct reader *reader, bool repeatable, bool *found)
{
    *found = false;
    if (reader->at == reader->end)
        return true;
    const char *behind = reader->at + 1;
    unsigned low = 0, high = 0;
    if (*reader->at == '{') {
        if (!read_braces(reader->at, reader->end, &low, &high, &behind))
            return true;
    } else if (!strchr("*+?", *reader->at) || !*reader->at) {
        return true;
    }
    if (!repeatable)
        return refuse(reader, "nothing to repeat before this");
    if (low > REPEAT_LIMIT || high > REPEAT_LIMIT || low > high)
        return refuse(reader, "a repeat count takes 0 to 1000, the smaller first");
    memcpy(reader->out, reader->at, (size_t)(behind - reader->at));
    reader->out += behind - reader->at;
    reader->at = behind;
    if (reader->at < reader->end && *reader->at == '?') {
        put(reader, "?");
        reader->at++;
    }
    if (reader->collecting)
        reader->literal_length = reader->last_literal; /* the last one may be missing */
    end_literal(reader);
    *found = true;
    return true;
}

/* One element that is no quantifier. */
static bool read_element(struct reader *reader, bool *repeatable)
{
    *repeatable = true;
    char c = *reader->at;
    switch (c) {
    case '\\':
        reader->at++;
        return read_escape(reader, repeatable);
    case '[':
        reader->at++;
        return read_class(reader);
    case '(':
        reader->at++;
        *repeatable = false; /* its end is */
        return read_group(reader);
    case ')':
        if (reader->depth == 0)
            return refuse(reader, "a ) without its (");
        reader->depth--;
        reader->at++;
        put(reader, ")");
        return true;
    case '|':
        reader->unsure = reader->unsure || reader->depth == 0;
        end_literal(reader);
        reader->at++;
        put(reader, "|");
        *repeatable = false;
        return true;
    case '^':
        if (reader->at == reader->start)
            reader->anchored = true;
        else
            end_literal(reader);
        reader->at++;
        put(reader, "^");
        *repeatable = false;
        return true;
    case '$':
        if (reader->collecting && !reader->ends)
            reader->ends = true;
        else
            end_literal(reader);
        reader->at++;
        put(reader, "$");
        *repeatable = false;
        return true;
    case '.':
        end_literal(reader);
        reader->at++;
        put(reader, ".");
        return true;
    default:
        literal_code(reader, next_code(reader), false);
        return true;
    }
}

static bool read_pattern(struct reader *reader)
{
    bool repeatable = false;
    while (reader->at < reader->end) {
        bool repeated;
        if (!read_repeat(reader, repeatable, &repeated))
            return false;
        if (repeated) {
            repeatable = false;
            const char *at = reader->at;
            if (!read_repeat(reader, false, &repeated)) {
                reader->at = at;
                return refuse(reader, "a quantifier after a quantifier");
            }
            continue;
        }
        const char *at = reader->at;
        if (!read_element(reader, &repeatable)) {
            reader->at = at;
            return false;
        }
    }
    return reader->depth == 0 || refuse(reader, "a ( without its )");
}

static enum literal_kind literal_kind_of(const struct reader *reader)
{
    if (reader->unsure || (reader->literal_length == 0 && !reader->anchored))
        return LITERAL_NONE;
    if (reader->more)
        return reader->anchored && reader->literal_length ? LITERAL_BEGINS : LITERAL_NONE;
    if (reader->anchored)
        return reader->ends ? LITERAL_WHOLE : LITERAL_PREFIX;
    return reader->ends ? LITERAL_SUFFIX : LITERAL_WITHIN;
}

bool dialect_translate(struct string pattern, struct dialect *dialect, uint32_t *offset,
                       struct error *error)
{
    *dialect = (struct dialect){0};
    *offset = 0;
    if (pattern.length > PATTERN_LIMIT)
        return error_set(error, ERROR_REGEX, "the pattern is longer than %d bytes", PATTERN_LIMIT);
    char *out = memory_take(pattern.length * GROWTH + GROWTH);
    char *literal = memory_take(pattern.length + 4);
    if (!out || !literal) {
        free(out);
        free(literal);
        return error_set(error, ERROR_MEMORY, "no memory is left for a regular expression");
    }
    struct reader reader = {.start = pattern.data,
                            .at = pattern.data,
                            .end = pattern.data + pattern.length,
                            .out = out,
                            .literal = literal,
                            .collecting = true};
    if (!read_pattern(&reader)) {
        *offset = (uint32_t)(reader.at - reader.start);
        free(out);
        free(literal);
        return error_set(error, ERROR_REGEX, "%s", reader.problem);
    }
    CHECK((size_t)(reader.out - out) <= pattern.length * GROWTH + GROWTH);
    *dialect = (struct dialect){.text = out,
                                .length = (size_t)(reader.out - out),
                                .literal = literal,
                                .literal_length = reader.literal_length,
                                .literal_kind = literal_kind_of(&reader),
                                .groups = reader.groups};
    return true;
}
