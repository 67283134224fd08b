/* Reading response headers: see http_head.h. Owns nothing. */
#include "clients/http_head.h"

#include <string.h>
#include <strings.h>

#include "core/calendar.h"
#include "core/clock.h"

#define DAY ((int64_t)24 * 60 * 60)

bool http_text_is(struct string text, const char *expected)
{
    return text.length == strlen(expected) && strncasecmp(text.data, expected, text.length) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct string text_trim(struct string text)
{
    while (text.length && is_space(text.data[0])) {
        text.data++;
        text.length--;
    }
    while (text.length && is_space(text.data[text.length - 1]))
        text.length--;
    return text;
}

/* What stands before the first `mark`, trimmed; *text becomes what is behind it. */
static struct string text_cut(struct string *text, char mark)
{
    struct string part = *text;
    const char *found = text->length ? memchr(text->data, mark, text->length) : NULL;
    if (found) {
        part.length = (size_t)(found - text->data);
        text->data += part.length + 1;
        text->length -= part.length + 1;
    } else {
        text->data += text->length;
        text->length = 0;
    }
    return text_trim(part);
}

/* All digits, at least one, below 10^18. */
static bool text_number(struct string text, int64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!is_digit(text.data[i]) || *number >= 100000000000000000)
            return false;
        *number = *number * 10 + (text.data[i] - '0');
    }
    return text.length > 0;
}

/* Dates. */
static bool month_parse(struct string text, int64_t *month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (*month = 1; *month <= 12 && text.length == 3; ++*month) {
        if (memcmp(text.data, names + (*month - 1) * 3, 3) == 0)
            return true;
    }
    return false;
}

/* HH:MM:SS as seconds of the day; a leap second counts. */
static bool clock_parse(struct string text, int64_t *seconds)
{
    int64_t hour, minute, second;
    if (text.length != 8 || text.data[2] != ':' || text.data[5] != ':' ||
        !text_number((struct string){text.data, 2}, &hour) ||
        !text_number((struct string){text.data + 3, 2}, &minute) ||
        !text_number((struct string){text.data + 6, 2}, &second))
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    return hour < 24 && minute < 60 && second <= 60;
}

/* The next word; any number of spaces and dashes between them. */
static struct string date_word(struct string *text)
{
    while (text->length && (text->data[0] == ' ' || text->data[0] == '-')) {
        text->data++;
        text->length--;
    }
    struct string word = {text->data, 0};
    while (word.length < text->length && word.data[word.length] != ' ' &&
           word.data[word.length] != '-')
        word.length++;
    text->data += word.length;
    text->length -= word.length;
    return word;
}

/* Two-digit years are of the century that puts them at most 50 years ahead (RFC 9110, 5.6.7). */
static int64_t year_whole(int64_t year, int64_t wall)
{
    int64_t this_year;
    unsigned month, day;
    int64_t days = wall / NANOSECONDS / DAY;
    calendar_date(days, &this_year, &month, &day);
    year += this_year - this_year % 100;
    return year > this_year + 50 ? year - 100 : year;
}

bool http_date_parse(struct string text, int64_t wall, int64_t *seconds)
{
    int64_t year, month, day, of_day;
    struct string words[6];
    text = text_trim(text);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        words[i] = date_word(&text);
    bool has_comma = words[0].length && words[0].data[words[0].length - 1] == ',';
    if (has_comma) { /* Sun, 06 Nov 1994 08:49:37 GMT; Sunday, 06-Nov-94 08:49:37 GMT */
        if (!text_number(words[1], &day) || !month_parse(words[2], &month) ||
            !text_number(words[3], &year) || !clock_parse(words[4], &of_day) ||
            !(http_text_is(words[5], "GMT") || http_text_is(words[5], "UTC")))
            return false;
        if (words[3].length == 2)
            year = year_whole(year, wall);
    } else { /* Sun Nov  6 08:49:37 1994 */
        if (!month_parse(words[1], &month) || !text_number(words[2], &day) ||
            !clock_parse(words[3], &of_day) || !text_number(words[4], &year) || words[5].length)
            return false;
    }
    if (year > 9999 || day < 1 || day > calendar_month_length(year, (unsigned)month))
        return false;
    *seconds = calendar_days(year, (unsigned)month, (unsigned)day) * DAY + of_day;
    return true;
}

bool http_retry_after(struct string value, int64_t wall, int64_t *nanoseconds)
{
    int64_t seconds;
    value = text_trim(value);
    if (!value.length)
        return false;
    size_t digits = 0;
    while (digits < value.length && is_digit(value.data[digits]))
        digits++;
    if (digits == value.length) {
        if (!text_number(value, &seconds) || seconds > DAY)
            seconds = DAY;
        *nanoseconds = seconds * NANOSECONDS;
        return true;
    }
    if (!http_date_parse(value, wall, &seconds))
        return false;
    int64_t left = seconds - wall / NANOSECONDS;
    left = left < 0 ? 0 : left < DAY ? left : DAY;
    *nanoseconds = left * NANOSECONDS;
    return true;
}

/* Links. */

/* A parameter's value, quoted or not; *text behind it. Escapes stay: no relation has any. */
static struct string parameter_value(struct string *text)
{
    *text = text_trim(*text);
    struct string value = {text->data, 0};
    if (text->length && text->data[0] == '"') {
        value.data++;
        size_t i = 1;
        while (i < text->length && text->data[i] != '"')
            i += text->data[i] == '\\' ? 2 : 1;
        i = size_min(i, text->length);
        value.length = i - 1;
        i = size_min(i + 1, text->length);
        text->data += i;
        text->length -= i;
        return value;
    }
    while (value.length < text->length && !is_space(value.data[value.length]) &&
           value.data[value.length] != ';' && value.data[value.length] != ',')
        value.length++;
    text->data += value.length;
    text->length -= value.length;
    return value;
}

static bool relation_holds(struct string relations, const char *wanted)
{
    while (relations.length) {
        struct string word = text_cut(&relations, ' ');
        if (http_text_is(word, wanted))
            return true;
    }
    return false;
}

/* The parameters of one link, up to its comma. Only the first "rel" counts. */
static bool link_is_next(struct string *text)
{
    bool is_next = false, seen = false;
    while (text->length) {
        *text = text_trim(*text);
        if (!text->length)
            break;
        char mark = text->data[0];
        text->data++;
        text->length--;
        if (mark == ',')
            break;
        if (mark != ';')
            continue;
        *text = text_trim(*text);
        struct string name = {text->data, 0};
        while (name.length < text->length && !is_space(name.data[name.length]) &&
               !memchr("=;,", name.data[name.length], 3))
            name.length++;
        text->data += name.length;
        text->length -= name.length;
        *text = text_trim(*text);
        if (!text->length || text->data[0] != '=')
            continue;
        text->data++;
        text->length--;
        struct string value = parameter_value(text);
        if (http_text_is(name, "rel") && !seen) {
            seen = true;
            is_next = relation_holds(value, "next");
        }
    }
    return is_next;
}

bool http_link_next(struct string value, struct string *target)
{
    value = text_trim(value);
    while (value.length) {
        if (value.data[0] != '<') { /* no link: to the next comma */
            text_cut(&value, ',');
            value = text_trim(value);
            continue;
        }
        const char *end = memchr(value.data, '>', value.length);
        if (!end)
            return false;
        struct string found = {value.data + 1, (size_t)(end - value.data) - 1};
        value.length -= (size_t)(end + 1 - value.data);
        value.data = end + 1;
        if (link_is_next(&value)) {
            *target = text_trim(found);
            return target->length > 0;
        }
        value = text_trim(value);
    }
    return false;
}

/* The head. */
static bool type_is_json(struct string value)
{
    struct string type = text_cut(&value, ';');
    if (http_text_is(type, "application/json") || http_text_is(type, "text/json"))
        return true;
    return type.length > 5 && type.length > strlen("application/") &&
           strncasecmp(type.data, "application/", strlen("application/")) == 0 &&
           strncasecmp(type.data + type.length - 5, "+json", 5) == 0;
}

static enum http_encoding encoding_of(struct string value)
{
    if (!value.length || http_text_is(value, "identity"))
        return HTTP_ENCODING_NONE;
    if (http_text_is(value, "gzip") || http_text_is(value, "x-gzip"))
        return HTTP_ENCODING_GZIP;
    if (http_text_is(value, "deflate"))
        return HTTP_ENCODING_DEFLATE;
    return http_text_is(value, "zstd") ? HTTP_ENCODING_ZSTD : HTTP_ENCODING_UNKNOWN;
}

static void length_read(struct http_head *head, struct string value)
{
    int64_t length;
    if (!text_number(value, &length))
        head->wrong = "its Content-Length is no number";
    else if (head->content_length >= 0 && head->content_length != length)
        head->wrong = "it has two Content-Lengths that differ";
    else
        head->content_length = length;
}

/* HTTP/1.1 200 OK, HTTP/2 200 */
static void status_read(struct http_head *head, struct string line)
{
    size_t size = head->size;
    int64_t status = 0;
    *head = (struct http_head){.content_length = -1, .size = size};
    text_cut(&line, ' ');
    line = text_trim(line);
    struct string number = {line.data, size_min(line.length, 3)};
    if (!text_number(number, &status) || status < 100)
        head->wrong = "its status is no number of three digits";
    head->status = (int)status;
}

void http_head_line(struct http_head *head, struct string line, int64_t wall,
                    struct string *location, struct string *next_link)
{
    head->size += line.length;
    if (line.length > 5 && memcmp(line.data, "HTTP/", 5) == 0) {
        status_read(head, line);
        return;
    }
    struct string value = text_trim(line);
    if (!value.length) {
        head->complete = true;
        return;
    }
    if (head->complete)
        return; /* trailers: nothing in them is for us */
    struct string name = text_cut(&value, ':');
    value = text_trim(value);
    switch (name.length) { /* few headers have these lengths, so most cost no comparison */
    case 4:
        if (http_text_is(name, "Link"))
            http_link_next(value, next_link);
        break;
    case 8:
        if (http_text_is(name, "Location"))
            *location = value;
        break;
    case 11:
        if (http_text_is(name, "Retry-After"))
            http_retry_after(value, wall, &head->retry_after);
        break;
    case 12:
        if (http_text_is(name, "Content-Type"))
            head->is_json = type_is_json(value);
        break;
    case 14:
        if (http_text_is(name, "Content-Length"))
            length_read(head, value);
        break;
    case 16:
        if (http_text_is(name, "Content-Encoding"))
            head->encoding =
                head->encoding ? HTTP_ENCODING_UNKNOWN : encoding_of(value); /* only one layer */
        break;
    default:
        break;
    }
}
