/* Checks a pattern against RE2's syntax in one pass over it and writes the equivalent for PCRE2:
 * what PCRE2 has beyond RE2 is refused, what both spell alike but mean differently (\s, \v,
 * scripts, an open bracket or brace as text) is rewritten. On the way the plain text at the
 * pattern's start is collected, for searches without the engine. */
#include "lang/regex_dialect.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/utf8.h"
#include "lang/regex_reader.h"

#define PATTERN_LIMIT 65536
#define REPEAT_LIMIT  1000
#define NEST_LIMIT    200
#define GROUP_LIMIT   100
void reader_put_format(struct reader *reader, const char *format, ...)
{
    char text[80]; /* the longest: a group's name of 32 letters */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    CHECK(length > 0 && (size_t)length < sizeof(text));
    reader_put(reader, text);
}

bool reader_refuse(struct reader *reader, const char *problem)
{
    reader->problem = problem;
    return false;
}

void reader_put(struct reader *reader, const char *text)
{
    size_t length = strlen(text);
    memcpy(reader->out, text, length);
    reader->out += length;
}

bool reader_at(const struct reader *reader, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(reader->end - reader->at) >= length && !memcmp(reader->at, text, length);
}

/* Something that is no plain text. */
void reader_end_literal(struct reader *reader)
{
    reader->collecting = false;
    reader->more = true;
}

/* One character that stands for itself. */
void reader_literal(struct reader *reader, uint32_t code, bool in_class)
{
    reader->out += snprintf(reader->out, GROWTH, "\\x{%x}", code);
    if (in_class)
        return;
    if (reader->ends)
        reader_end_literal(reader);
    if (!reader->collecting)
        return;
    reader->last_literal = reader->literal_length;
    reader->literal_length += utf8_write(reader->literal + reader->literal_length, code);
}

/* The code point at the reader; the pattern is valid UTF-8. */
uint32_t reader_code(struct reader *reader)
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

/* Behind \Q: text up to \E, or the end. */
static void read_quoted(struct reader *reader)
{
    while (reader->at < reader->end && !reader_at(reader, "\\E"))
        reader_literal(reader, reader_code(reader), false);
    if (reader->at < reader->end)
        reader->at += 2;
}

/* *repeatable: may a quantifier follow? */
static bool read_escape(struct reader *reader, bool *repeatable)
{
    *repeatable = true;
    if (reader->at == reader->end)
        return reader_refuse(reader, "a backslash at the end");
    char c = *reader->at++;
    uint32_t code;
    if (escape_code(reader, c, &code)) {
        reader_literal(reader, code, false);
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
    reader_end_literal(reader);
    if (escape_class(reader, c, false))
        return true;
    if (c == 'p' || c == 'P')
        return read_property(reader, c);
    if (c == 'A' || c == 'z' || c == 'b' || c == 'B') {
        *repeatable = false;
        char text[3] = {'\\', c, 0};
        reader_put(reader, text);
        return true;
    }
    return reader_refuse(reader, "this escape is not of RE2's dialect");
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
        return reader_refuse(reader,
                             "a group's name is 1 to 32 letters, digits and _, no digit first");
    reader_put_format(reader, "(?P<%.*s>", (int)length, name);
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
            return reader_refuse(reader, "bad flags in (?…)");
        minus = minus || *reader->at == '-';
        reader->at++;
    }
    size_t length = (size_t)(reader->at - from);
    if (reader->at == reader->end || (*reader->at != ')' && *reader->at != ':') ||
        (length == 0 && *reader->at == ')') || length > 16 || (length && from[length - 1] == '-'))
        return reader_refuse(reader,
                             "this group is not of RE2's dialect: no look-around, no atomic "
                             "groups, no conditions, no flags but imsU");
    *opens = *reader->at++ == ':';
    if (length)
        reader->unsure = true;
    reader_put_format(reader, "(?%.*s%c", (int)length, from, *opens ? ':' : ')');
    return true;
}

/* Behind ( */
static bool read_group(struct reader *reader)
{
    bool opens = true;
    reader_end_literal(reader);
    if (reader_at(reader, "?P<") ||
        (reader_at(reader, "?<") && !reader_at(reader, "?<=") && !reader_at(reader, "?<!"))) {
        reader->at += reader->at[1] == 'P' ? 3 : 2;
        if (!read_group_name(reader))
            return false;
    } else if (reader_at(reader, "?")) {
        reader->at++;
        if (!read_flags(reader, &opens))
            return false;
    } else {
        reader_put(reader, "(");
        reader->groups++;
    }
    if (reader->groups > GROUP_LIMIT)
        return reader_refuse(reader, "more than 100 groups");
    if (opens && ++reader->depth > NEST_LIMIT)
        return reader_refuse(reader, "groups nest more than 200 deep");
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
        return reader_refuse(reader, "nothing to repeat before this");
    if (low > REPEAT_LIMIT || high > REPEAT_LIMIT || low > high)
        return reader_refuse(reader, "a repeat count takes 0 to 1000, the smaller first");
    memcpy(reader->out, reader->at, (size_t)(behind - reader->at));
    reader->out += behind - reader->at;
    reader->at = behind;
    if (reader->at < reader->end && *reader->at == '?') {
        reader_put(reader, "?");
        reader->at++;
    }
    if (reader->collecting)
        reader->literal_length = reader->last_literal; /* the last one may be missing */
    reader_end_literal(reader);
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
            return reader_refuse(reader, "a ) without its (");
        reader->depth--;
        reader->at++;
        reader_put(reader, ")");
        return true;
    case '|':
        reader->unsure = reader->unsure || reader->depth == 0;
        reader_end_literal(reader);
        reader->at++;
        reader_put(reader, "|");
        *repeatable = false;
        return true;
    case '^':
        if (reader->at == reader->start)
            reader->anchored = true;
        else
            reader_end_literal(reader);
        reader->at++;
        reader_put(reader, "^");
        *repeatable = false;
        return true;
    case '$':
        if (reader->collecting && !reader->ends)
            reader->ends = true;
        else
            reader_end_literal(reader);
        reader->at++;
        reader_put(reader, "$");
        *repeatable = false;
        return true;
    case '.':
        reader_end_literal(reader);
        reader->at++;
        reader_put(reader, ".");
        return true;
    default:
        reader_literal(reader, reader_code(reader), false);
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
                return reader_refuse(reader, "a quantifier after a quantifier");
            }
            continue;
        }
        const char *at = reader->at;
        if (!read_element(reader, &repeatable)) {
            reader->at = at;
            return false;
        }
    }
    return reader->depth == 0 || reader_refuse(reader, "a ( without its )");
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
