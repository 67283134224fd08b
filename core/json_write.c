/* Writing values as JSON text: see raw.h. */
#include <math.h>

#include "core/calendar.h"
#include "core/number.h"
#include "core/raw.h"
#include "core/raw_scan.h"

/* Made values nest as deep as expressions do; this bounds the stack whoever made them. */
#define DEPTH_MAX 250
/* Most bytes that one byte of a string becomes: \u0000 */
#define ESCAPE_SIZE 6

/* Marks the bytes that cannot stand in a JSON string as they are; the first mark is right. */
static inline uint64_t word_special(uint64_t word)
{
    return word_find(word, '"') | word_find(word, '\\') | word_find_below(word, ' ');
}

static char *escape_write(char *out, unsigned char byte)
{
    static const char shorts[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const char hex[] = "0123456789abcdef";
    *out++ = '\\';
    if (byte >= ' ') {
        *out++ = (char)byte;
    } else if (shorts[byte]) {
        *out++ = shorts[byte];
    } else {
        memcpy(out, "u00", 3);
        out[3] = hex[byte >> 4];
        out[4] = hex[byte & 15];
        out += 5;
    }
    return out;
}

typedef unsigned char vector __attribute__((vector_size(16)));
typedef uint64_t vector_words __attribute__((vector_size(16)));

/* Copies up to the first byte that must be escaped, in words; what lies in out[0..length) behind it
 * is overwritten. Returns how many bytes were copied. */
static inline size_t plain_copy(char *out, const char *text, size_t length)
{
    size_t i = 0;
    for (; i + 16 <= length; i += 16) {
        vector bytes;
        memcpy(&bytes, text + i, sizeof(bytes));
        memcpy(out + i, &bytes, sizeof(bytes));
        vector_words marks =
            (vector_words)((bytes == '"') | (bytes == '\\') | (bytes < (unsigned char)' '));
        if (marks[0] | marks[1])
            return i + (marks[0] ? word_first(marks[0]) : 8 + word_first(marks[1]));
    }
    for (; i + 8 <= length; i += 8) {
        uint64_t word = word_load(text + i);
        memcpy(out + i, &word, sizeof(word));
        uint64_t marks = word_special(word);
        if (marks)
            return i + word_first(marks);
    }
    for (; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < ' ' || byte == '"' || byte == '\\')
            break;
        out[i] = (char)byte;
    }
    return i;
}

bool string_write_json(struct string text, struct buffer *buffer)
{
    /* Room for all of it, as if nothing had to be escaped; each escape then asks for its own. */
    if (!buffer_room(buffer, text.length + 2))
        return false;
    char *out = buffer->data + buffer->length;
    char *limit = buffer->data + buffer->limit;
    const char *cursor = text.data;
    size_t left = text.length;
    *out++ = '"';
    for (;;) {
        size_t plain = plain_copy(out, cursor, left);
        out += plain;
        cursor += plain;
        left -= plain;
        if (left == 0)
            break;
        if ((size_t)(limit - out) < ESCAPE_SIZE + left) /* the others and the quote */
            return false;
        out = escape_write(out, (unsigned char)*cursor++);
        left--;
    }
    CHECK(out < limit);
    *out++ = '"';
    buffer->length = (size_t)(out - buffer->data);
    return true;
}

/* Whether there is a line end (or another control: tabs are as rare between tokens). */
static inline bool has_control(const char *text, size_t length)
{
    uint64_t found = 0;
    if (length < 8) {
        for (size_t i = 0; i < length; i++)
            found |= (unsigned char)text[i] < ' ';
        return found != 0;
    }
    for (size_t i = 0; i + 8 < length; i += 8)
        found |= word_find_below(word_load(text + i), ' ');
    return (found | word_find_below(word_load(text + length - 8), ' ')) != 0;
}

/* Raw text without its line ends: valid strings hold none, so all stand between tokens. */
static bool raw_write(struct value raw, struct buffer *buffer)
{
    if (LIKELY(!has_control(raw.text, raw.length)))
        return buffer_append(buffer, raw.text, raw.length);
    char *out = buffer_room(buffer, raw.length);
    if (!out)
        return false;
    char *written = out;
    for (uint32_t i = 0; i < raw.length; i++) {
        *written = raw.text[i];
        written += raw.text[i] != '\n' && raw.text[i] != '\r';
    }
    buffer->length += (size_t)(written - out);
    return true;
}

/* Base64 with padding (RFC 4648, section 4), in quotes. */
static bool bytes_write(struct string bytes, struct buffer *buffer)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = (bytes.length + 2) / 3 * 4 + 2;
    char *out = buffer_room(buffer, size);
    if (!out)
        return false;
    const unsigned char *input = (const unsigned char *)bytes.data;
    *out++ = '"';
    for (size_t i = 0; i < bytes.length; i += 3, out += 4) {
        size_t count = size_min(bytes.length - i, 3);
        uint32_t group = (uint32_t)input[i] << 16;
        group |= count > 1 ? (uint32_t)input[i + 1] << 8 : 0;
        group |= count > 2 ? input[i + 2] : 0;
        out[0] = digits[group >> 18];
        out[1] = digits[group >> 12 & 63];
        out[2] = count > 1 ? digits[group >> 6 & 63] : '=';
        out[3] = count > 2 ? digits[group & 63] : '=';
    }
    *out = '"';
    buffer->length += size;
    return true;
}

static enum json_result refuse(const char **reason, const char *text)
{
    *reason = text;
    return JSON_REFUSED;
}

static enum json_result done_if(bool written)
{
    return written ? JSON_DONE : JSON_FULL;
}

static size_t quote(char *out, size_t length)
{
    out[0] = '"';
    out[length + 1] = '"';
    return length + 2;
}

/* Numbers and times, written where they belong; what does not fit ends in the buffer's slack. */
static enum json_result scalar_write(struct value value, struct buffer *buffer, const char **reason)
{
    _Static_assert(NUMBER_TEXT_SIZE <= BUFFER_SLACK && CALENDAR_TEXT_SIZE + 2 <= BUFFER_SLACK,
                   "any scalar fits behind the limit");
    char *out = buffer->data + buffer->length;
    size_t size = 0;
    switch (value.kind) {
    case VALUE_INT:
        size = number_write_int(out, value.integer);
        break;
    case VALUE_UINT:
        size = number_write_uint(out, value.natural);
        break;
    case VALUE_DOUBLE:
        if (isnan(value.real))
            return refuse(reason, "JSON has no NaN");
        if (isinf(value.real))
            return refuse(reason, "JSON has no infinity");
        size = number_write_double(out, value.real);
        break;
    case VALUE_TIMESTAMP:
        size = quote(out, calendar_write_timestamp(out + 1, value.integer, value.length));
        break;
    default:
        CHECK(value.kind == VALUE_DURATION);
        size = quote(out, calendar_write_duration(out + 1, value.integer));
    }
    if (size > buffer->limit - buffer->length)
        return JSON_FULL;
    buffer->length += size;
    return JSON_DONE;
}

static enum json_result value_write(struct value value, struct buffer *buffer, const char **reason,
                                    unsigned depth);

static enum json_result list_write(struct value list, struct buffer *buffer, const char **reason,
                                   unsigned depth)
{
    if (!buffer_append_byte(buffer, '['))
        return JSON_FULL;
    for (uint32_t i = 0; i < list.length; i++) {
        if (i > 0 && !buffer_append_byte(buffer, ','))
            return JSON_FULL;
        enum json_result result = value_write(list.items[i], buffer, reason, depth);
        if (result != JSON_DONE)
            return result;
    }
    return done_if(buffer_append_byte(buffer, ']'));
}

static enum json_result map_write(struct value map, struct buffer *buffer, const char **reason,
                                  unsigned depth)
{
    if (!buffer_append_byte(buffer, '{'))
        return JSON_FULL;
    for (uint32_t i = 0; i < map.length; i++) {
        const struct map_entry *entry = &map.entries[i];
        if (value_raw_kind(entry->key) != VALUE_STRING)
            return refuse(reason, "a map with a key that is no string has no form in JSON");
        if (i > 0 && !buffer_append_byte(buffer, ','))
            return JSON_FULL;
        enum json_result result = value_write(entry->key, buffer, reason, depth);
        if (result == JSON_DONE)
            result = done_if(buffer_append_byte(buffer, ':'));
        if (result == JSON_DONE)
            result = value_write(entry->value, buffer, reason, depth);
        if (result != JSON_DONE)
            return result;
    }
    return done_if(buffer_append_byte(buffer, '}'));
}

/* Recursion is bounded by DEPTH_MAX; raw text is copied, however deep. */
static enum json_result value_write(struct value value, struct buffer *buffer, const char **reason,
                                    unsigned depth)
{
    switch ((enum value_kind)value.kind) {
    case VALUE_ABSENT:
    case VALUE_NULL:
        return done_if(buffer_append(buffer, "null", 4));
    case VALUE_BOOL:
        return done_if(value.boolean ? buffer_append(buffer, "true", 4)
                                     : buffer_append(buffer, "false", 5));
    case VALUE_INT:
    case VALUE_UINT:
    case VALUE_DOUBLE:
    case VALUE_TIMESTAMP:
    case VALUE_DURATION:
        return scalar_write(value, buffer, reason);
    case VALUE_STRING:
        return done_if(string_write_json((struct string){value.text, value.length}, buffer));
    case VALUE_BYTES:
        return done_if(bytes_write((struct string){value.text, value.length}, buffer));
    case VALUE_RAW:
        return done_if(raw_write(value, buffer));
    case VALUE_LIST:
    case VALUE_MAP:
        if (depth == DEPTH_MAX)
            return refuse(reason, "the value is nested too deep");
        return value.kind == VALUE_LIST ? list_write(value, buffer, reason, depth + 1)
                                        : map_write(value, buffer, reason, depth + 1);
    case VALUE_TYPE:
        return refuse(reason, "a type has no form in JSON");
    case VALUE_OPTIONAL:
        return refuse(reason, "an optional has no form in JSON");
    case VALUE_ERROR:
        return refuse(reason, "an error has no form in JSON");
    case VALUE_KIND_COUNT:
        break;
    }
    CHECK(!"a value has a kind");
    return JSON_REFUSED;
}

enum json_result value_write_json(struct value value, struct buffer *buffer, const char **reason)
{
    size_t before = buffer->length;
    enum json_result result = value_write(value, buffer, reason, 0);
    if (result != JSON_DONE)
        buffer->length = before;
    return result;
}
