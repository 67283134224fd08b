/* CEL's strings extension but for format: see function.h. Positions count code points. Pure; any
 * thread. */
#include "core/raw.h"
#include "core/utf8.h"
#include "lang/builder.h"
#include "lang/function.h"
#include "lang/term.h"

static struct string text_of(struct value value)
{
    return (struct string){value.length ? value.text : "", value.length};
}

static struct value part_of(struct string text, size_t from, size_t to)
{
    return value_string(text.data + from, to - from);
}

static bool is_string(struct value value)
{
    return value.kind == VALUE_STRING;
}

/* Checks kinds by a pattern: 's' string, 'i' int, for as many arguments as there are. */
static bool kinds_are(const struct value *arguments, uint32_t count, const char *pattern,
                      struct value *error)
{
    for (uint32_t i = 0; i < count; i++) {
        enum value_kind wanted = pattern[i] == 's'   ? VALUE_STRING
                                 : pattern[i] == 'i' ? VALUE_INT
                                                     : VALUE_LIST;
        if (arguments[i].kind != wanted) {
            *error =
                i ? error_overload(arguments[0], arguments[i]) : error_overload_one(arguments[0]);
            return false;
        }
    }
    return true;
}

/* The byte offset of a position, or SIZE_MAX where there is none. */
static size_t offset_of(struct string text, int64_t position)
{
    if (position < 0 || (uint64_t)position > text.length)
        return SIZE_MAX;
    return utf8_offset(text.data, text.length, (size_t)position);
}

static struct value range_error(void)
{
    return value_error(ERROR_RANGE);
}

static size_t character_length(char lead)
{
    unsigned char byte = (unsigned char)lead;
    return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

struct value function_char_at(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    struct value error;
    if (!kinds_are(arguments, count, "si", &error))
        return error;
    struct string text = text_of(arguments[0]);
    size_t offset = offset_of(text, arguments[1].integer);
    if (offset == SIZE_MAX)
        return range_error();
    if (offset == text.length)
        return value_string("", 0);
    return part_of(text, offset, offset + character_length(text.data[offset]));
}

struct value function_index_of(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    struct value error;
    if (!kinds_are(arguments, count, "ssi", &error))
        return error;
    struct string text = text_of(arguments[0]), wanted = text_of(arguments[1]);
    size_t from = count == 3 ? offset_of(text, arguments[2].integer) : 0;
    if (from == SIZE_MAX)
        return range_error();
    const char *found = memmem(text.data + from, text.length - from, wanted.data, wanted.length);
    if (!found)
        return value_int(-1);
    return value_int((int64_t)utf8_count(text.data, (size_t)(found - text.data)));
}

struct value function_last_index_of(struct call *call, const struct value *arguments,
                                    uint32_t count)
{
    (void)call;
    struct value error;
    if (!kinds_are(arguments, count, "ssi", &error))
        return error;
    struct string text = text_of(arguments[0]), wanted = text_of(arguments[1]);
    size_t upto = count == 3 ? offset_of(text, arguments[2].integer) : text.length;
    if (upto == SIZE_MAX)
        return range_error();
    if (wanted.length > text.length)
        return value_int(-1);
    for (size_t at = size_min(upto, text.length - wanted.length) + 1; at-- > 0;) {
        if (memcmp(text.data + at, wanted.data, wanted.length) == 0)
            return value_int((int64_t)utf8_count(text.data, at));
    }
    return value_int(-1);
}

struct value function_substring(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    struct value error;
    if (!kinds_are(arguments, count, "sii", &error))
        return error;
    struct string text = text_of(arguments[0]);
    size_t from = offset_of(text, arguments[1].integer);
    size_t to = count == 3 ? offset_of(text, arguments[2].integer) : text.length;
    if (from == SIZE_MAX || to == SIZE_MAX || from > to)
        return range_error();
    return part_of(text, from, to);
}

/* An empty `old` stands before every character and at the end. */
static void replace_between(struct builder *builder, struct string text, struct string new,
                            int64_t most)
{
    size_t at = 0;
    while (most-- > 0 && at <= text.length && !builder->full) {
        builder_add(builder, new.data, new.length);
        size_t step = at < text.length ? character_length(text.data[at]) : 1;
        builder_add(builder, text.data + at, at < text.length ? step : 0);
        at += step;
    }
    if (at < text.length)
        builder_add(builder, text.data + at, text.length - at);
}

struct value function_replace(struct call *call, const struct value *arguments, uint32_t count)
{
    struct value error;
    if (!kinds_are(arguments, count, "sssi", &error))
        return error;
    struct string text = text_of(arguments[0]), old = text_of(arguments[1]);
    struct string new = text_of(arguments[2]);
    int64_t most = count == 4 && arguments[3].integer >= 0 ? arguments[3].integer : INT64_MAX;
    struct builder builder = {.arena = call->arena};
    if (old.length == 0) {
        replace_between(&builder, text, new, most);
        return builder_string(&builder);
    }
    size_t at = 0;
    while (most-- > 0 && !builder.full) {
        const char *found = memmem(text.data + at, text.length - at, old.data, old.length);
        if (!found)
            break;
        size_t place = (size_t)(found - text.data);
        builder_add(&builder, text.data + at, place - at);
        builder_add(&builder, new.data, new.length);
        at = place + old.length;
    }
    if (at == 0)
        return arguments[0];
    builder_add(&builder, text.data + at, text.length - at);
    return builder_string(&builder);
}

/* Where the next part of a split ends; *next: where the one after it begins, or SIZE_MAX. */
static size_t split_end(struct string text, struct string separator, size_t at, size_t *next)
{
    *next = SIZE_MAX;
    if (separator.length == 0) {
        if (at == text.length)
            return at;
        size_t end = at + character_length(text.data[at]);
        if (end < text.length)
            *next = end;
        return end;
    }
    const char *found = memmem(text.data + at, text.length - at, separator.data, separator.length);
    if (!found)
        return text.length;
    *next = (size_t)(found - text.data) + separator.length;
    return (size_t)(found - text.data);
}

static size_t split_count(struct string text, struct string separator, int64_t most)
{
    size_t count = 0;
    for (size_t at = 0; at != SIZE_MAX && (int64_t)count < most; count++)
        split_end(text, separator, at, &at);
    return count;
}

struct value function_split(struct call *call, const struct value *arguments, uint32_t count)
{
    struct value error;
    if (!kinds_are(arguments, count, "ssi", &error))
        return error;
    struct string text = text_of(arguments[0]), separator = text_of(arguments[1]);
    int64_t most = count == 3 && arguments[2].integer >= 0 ? arguments[2].integer : INT64_MAX;
    if (text.length == 0 && separator.length == 0)
        most = 0;
    size_t parts = split_count(text, separator, most);
    struct value *items = arena_take(call->arena, parts * sizeof(*items));
    if (!items)
        return value_error(ERROR_ARENA_FULL);
    size_t at = 0;
    for (size_t i = 0; i < parts; i++) {
        size_t next, end = split_end(text, separator, at, &next);
        items[i] = part_of(text, at, i + 1 == parts ? text.length : end);
        at = next;
    }
    return (struct value){.kind = VALUE_LIST, .length = (uint32_t)parts, .items = items};
}

struct value function_join(struct call *call, const struct value *arguments, uint32_t count)
{
    struct value error;
    if (!kinds_are(arguments, count, "ls", &error))
        return error;
    struct builder builder = {.arena = call->arena};
    for (uint32_t i = 0; i < arguments[0].length; i++) {
        struct value item = value_open(arguments[0].items[i], call->arena);
        if (!is_string(item))
            return item.kind == VALUE_ERROR ? item : error_overload(arguments[0], item);
        if (i && count == 2)
            builder_add(&builder, arguments[1].text, arguments[1].length);
        builder_add(&builder, item.text, item.length);
    }
    return builder_string(&builder);
}

/* Moves ASCII letters of one case to the other. */
static struct value change_case(struct call *call, struct value value, char first)
{
    if (!is_string(value))
        return error_overload_one(value);
    char *text = call_text(call, value.length);
    if (!text)
        return value_error(ERROR_ARENA_FULL);
    for (uint32_t i = 0; i < value.length; i++) {
        unsigned char byte = (unsigned char)value.text[i];
        text[i] = (char)((unsigned)(byte - (unsigned char)first) < 26 ? byte ^ 0x20 : byte);
    }
    value.text = text;
    return value;
}

struct value function_lower_ascii(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)count;
    return change_case(call, arguments[0], 'A');
}

struct value function_upper_ascii(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)count;
    return change_case(call, arguments[0], 'a');
}

/* Unicode's White_Space. */
static bool is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

struct value function_trim(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    if (!is_string(arguments[0]))
        return error_overload_one(arguments[0]);
    struct string text = text_of(arguments[0]);
    const char *end = text.data + text.length;
    const char *from = text.data, *to = text.data;
    bool begun = false;
    for (const char *at = text.data; at < end;) {
        const char *start = at;
        if (is_space(utf8_next(&at)))
            continue;
        if (!begun)
            from = start;
        begun = true;
        to = at;
    }
    return begun ? value_string(from, (size_t)(to - from)) : value_string("", 0);
}

struct value function_reverse(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)count;
    if (!is_string(arguments[0]))
        return error_overload_one(arguments[0]);
    struct string text = text_of(arguments[0]);
    char *out = call_text(call, text.length);
    if (!out)
        return value_error(ERROR_ARENA_FULL);
    char *place = out + text.length;
    for (size_t at = 0; at < text.length;) {
        size_t length = character_length(text.data[at]);
        place -= length;
        memcpy(place, text.data + at, length);
        at += length;
    }
    return value_string(out, text.length);
}

struct value function_quote(struct call *call, const struct value *arguments, uint32_t count)
{
    static const char from[] = "\a\b\f\n\r\t\v\\\"";
    static const char to[] = "abfnrtv\\\"";
    (void)count;
    if (!is_string(arguments[0]))
        return error_overload_one(arguments[0]);
    struct string text = text_of(arguments[0]);
    struct builder builder = {.arena = call->arena};
    builder_add(&builder, "\"", 1);
    size_t copied = 0;
    for (size_t i = 0; i < text.length; i++) {
        const char *found = memchr(from, text.data[i], sizeof(from) - 1);
        if (!found)
            continue;
        builder_add(&builder, text.data + copied, i - copied);
        builder_add(&builder, "\\", 1);
        builder_add(&builder, &to[found - from], 1);
        copied = i + 1;
    }
    builder_add(&builder, text.data + copied, text.length - copied);
    builder_add(&builder, "\"", 1);
    return builder_string(&builder);
}
