/* A look at the text of an SQL statement: which parameters it has, whether it only reads. Pure; any
 * thread. */
#include <string.h>
#include <strings.h>

#include "stages/lookup_sql.h"

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
           (unsigned char)byte >= 0x80;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static char at(struct string text, size_t place)
{
    return place < text.length ? text.data[place] : 0;
}

/* Behind the quote that closes the one at `place`; a doubled one is a character. */
static size_t quoted_skip(struct string text, size_t place, bool escapes)
{
    char quote = text.data[place++];
    while (place < text.length) {
        if (escapes && text.data[place] == '\\')
            place++;
        else if (text.data[place] == quote && at(text, ++place) != quote)
            return place;
        place++;
    }
    return text.length;
}

/* Comments of C's kind nest. */
static size_t comment_skip(struct string text, size_t place)
{
    unsigned depth = 0;
    while (place < text.length) {
        if (at(text, place) == '/' && at(text, place + 1) == '*') {
            depth++;
            place += 2;
        } else if (at(text, place) == '*' && at(text, place + 1) == '/') {
            place += 2;
            if (--depth == 0)
                return place;
        } else {
            place++;
        }
    }
    return text.length;
}

/* Behind $tag$ … $tag$, or 0 where none begins at `place`. */
static size_t dollar_skip(struct string text, size_t place)
{
    size_t end = place + 1;
    if (is_digit(at(text, end)))
        return 0;
    while (is_letter(at(text, end)) || is_digit(at(text, end)))
        end++;
    if (at(text, end) != '$')
        return 0;
    size_t tag = end + 1 - place;
    const char *close = memmem(text.data + end + 1, text.length - end - 1, text.data + place, tag);
    return close ? (size_t)(close - text.data) + tag : text.length;
}

static bool word_is(struct string word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(words[i]) == word.length && strncasecmp(words[i], word.data, word.length) == 0)
            return true;
    return false;
}

static void word_take(struct sql_outline *outline, struct string word, bool is_first)
{
    static const char *const reads[] = {"select", "values", "table", "with"};
    static const char *const writes[] = {"insert", "update", "delete", "merge", "into", "replace"};
    if (is_first)
        outline->only_reads = word_is(word, reads, ARRAY_SIZE(reads));
    /* `for update` only locks, and is as good a second time; to take it for a write is safe */
    else if (word_is(word, writes, ARRAY_SIZE(writes)))
        outline->only_reads = false;
}

static size_t parameter_take(struct sql_outline *outline, struct string text, size_t place)
{
    uint32_t number = 0;
    while (is_digit(at(text, place)) && number < 1000000)
        number = number * 10 + (uint32_t)(text.data[place++] - '0');
    if (number > outline->parameters)
        outline->parameters = number;
    return place;
}

struct sql_outline sql_outline_read(struct string text)
{
    struct sql_outline outline = {0};
    bool any_word = false;
    size_t place = 0;
    while (place < text.length) {
        char byte = text.data[place], next = at(text, place + 1);
        size_t start = place;
        if (byte == '\'' || byte == '"' || byte == '`') {
            place = quoted_skip(text, place, false);
        } else if ((byte == 'e' || byte == 'E') && next == '\'') {
            place = quoted_skip(text, place + 1, true);
        } else if (byte == '-' && next == '-') {
            const char *line = memchr(text.data + place, '\n', text.length - place);
            place = line ? (size_t)(line - text.data) : text.length;
        } else if (byte == '/' && next == '*') {
            place = comment_skip(text, place);
        } else if (is_letter(byte)) {
            while (is_letter(at(text, place)) || is_digit(at(text, place)) ||
                   at(text, place) == '$')
                place++;
            word_take(&outline, (struct string){text.data + start, place - start}, !any_word);
            any_word = true;
        } else if (byte == '$' && is_digit(next)) {
            place = parameter_take(&outline, text, place + 1);
        } else if (byte == '$' && (place = dollar_skip(text, start)) != 0) {
            continue;
        } else {
            outline.names_parameters |=
                byte == '?' || byte == '@' || (byte == '$') ||
                (byte == ':' && is_letter(next) && start > 0 && text.data[start - 1] != ':');
            place = start + 1;
        }
    }
    return outline;
}
