/* What the two halves of the pattern reader share: regex_dialect.c (groups, repeats, the walk) and
 * regex_class.c (escapes and classes of characters). One pattern, one thread. */
#ifndef LEAT_LANG_REGEX_READER_H
#define LEAT_LANG_REGEX_READER_H

#include "core/base.h"

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

/* Notes the problem; always false. */
bool reader_refuse(struct reader *reader, const char *problem);
void reader_put(struct reader *reader, const char *text);
void reader_put_format(struct reader *reader, const char *format, ...) PRINTF_LIKE(2, 3);
/* Something that is no plain text comes: the plain text at the start ends. */
void reader_end_literal(struct reader *reader);
/* Writes one character that stands for itself. */
void reader_literal(struct reader *reader, uint32_t code, bool in_class);
/* The code point at the reader; the pattern is valid UTF-8. */
uint32_t reader_code(struct reader *reader);
bool reader_at(const struct reader *reader, const char *text);

/* Behind a backslash: an escape that gives one character. False: it is none of these (no problem
 * set), or a mistake. */
bool escape_code(struct reader *reader, char c, uint32_t *code);
/* Perl's classes \d \w \s; false: it is none. */
bool escape_class(struct reader *reader, char c, bool in_class);
/* Behind \p or \P (`letter`). */
bool read_property(struct reader *reader, char letter);
/* Behind [ */
bool read_class(struct reader *reader);

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

#endif
