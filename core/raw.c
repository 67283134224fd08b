/* Decoding raw values: see raw.h. Whoever located the text has validated it, so brackets and quotes
 * are all that must be matched here; text that breaks this promise is a bug (CHECK), never a read
 * outside it. */
#include "core/raw.h"

#include "core/number.h"
#include "core/raw_scan.h"
#include "core/utf8.h"

#define REPLACEMENT 0xFFFD /* stands for a surrogate without its other half */

/* Behind the bracket that closes the list or map whose first byte (behind its bracket) is at
 * `cursor`. Depth is a number here, not a stack: the text is valid, so kinds match. */
static const char *container_skip(const char *cursor, const char *end)
{
    size_t depth = 1;
    while (cursor < end) {
        unsigned char byte = (unsigned char)*cursor++;
        if (byte == '"') {
            cursor = string_skip(cursor, end);
        } else if ((byte | 0x20) == '{') { /* [ { */
            depth++;
        } else if ((byte | 0x20) == '}') { /* ] } */
            if (--depth == 0)
                return cursor;
        }
    }
    return end;
}

const char *raw_skip(const char *cursor, const char *end)
{
    if (cursor == end)
        return end;
    if (*cursor == '"')
        return string_skip(cursor + 1, end);
    if (*cursor == '{' || *cursor == '[')
        return container_skip(cursor + 1, end);
    while (cursor < end && (unsigned char)*cursor > ' ' && *cursor != ',' && *cursor != ']' &&
           *cursor != '}')
        cursor++;
    return cursor;
}

static unsigned hex_digit(char byte)
{
    unsigned digit = (unsigned char)byte - '0';
    return digit < 10 ? digit : ((unsigned char)byte | 0x20U) - 'a' + 10;
}

static uint32_t hex_read(const char *text)
{
    return hex_digit(text[0]) << 12 | hex_digit(text[1]) << 8 | hex_digit(text[2]) << 4 |
           hex_digit(text[3]);
}

/* Reads what follows a backslash at *cursor, writes it as UTF-8, returns how many bytes. */
static size_t escape_decode(const char **cursor, const char *end, char out[4])
{
    const char *text = *cursor;
    CHECK(text < end);
    *cursor = text + 1;
    switch (*text) {
    case 'b':
        return *out = '\b', 1;
    case 'f':
        return *out = '\f', 1;
    case 'n':
        return *out = '\n', 1;
    case 'r':
        return *out = '\r', 1;
    case 't':
        return *out = '\t', 1;
    case 'u':
        break;
    default: /* quote, backslash, slash */
        return *out = *text, 1;
    }
    CHECK(end - text >= 5);
    uint32_t point = hex_read(text + 1);
    *cursor = text + 5;
    if (point >= 0xD800 && point <= 0xDFFF) {
        bool paired = point <= 0xDBFF && end - text >= 11 && text[5] == '\\' && text[6] == 'u';
        uint32_t second = paired ? hex_read(text + 7) : 0;
        if (second >= 0xDC00 && second <= 0xDFFF) {
            point = 0x10000 + ((point - 0xD800) << 10) + (second - 0xDC00);
            *cursor = text + 11;
        } else {
            point = REPLACEMENT;
        }
    }
    return utf8_write(out, point);
}

/* Whether the text has a backslash; *high: a byte beyond ASCII. One pass. */
static inline bool text_has_escape(const char *text, size_t length, bool *high)
{
    uint64_t backslashes = 0;
    uint64_t bytes = 0;
    if (length >= 8) {
        for (size_t i = 0; i + 8 < length; i += 8) {
            uint64_t word = word_load(text + i);
            backslashes |= word_find(word, '\\');
            bytes |= word;
        }
        uint64_t last = word_load(text + length - 8);
        backslashes |= word_find(last, '\\');
        bytes |= last;
    } else {
        for (size_t i = 0; i < length; i++) {
            backslashes |= text[i] == '\\';
            bytes |= (unsigned char)text[i];
        }
    }
    *high = (bytes & WORD_HIGHS) != 0;
    return backslashes != 0;
}

/* Decodes the inside of a string that has escapes. */
static struct value string_decode(const char *text, size_t length, struct arena *arena)
{
    size_t mark = arena_mark(arena);
    char *out = arena_take_aligned(arena, length, 1); /* it never gets longer */
    if (!out)
        return value_error(ERROR_ARENA_FULL);
    const char *end = text + length;
    char *written = out;
    while (text < end) {
        const char *escape = memchr(text, '\\', (size_t)(end - text));
        size_t plain = (size_t)((escape ? escape : end) - text);
        memcpy(written, text, plain);
        written += plain;
        if (!escape)
            break;
        text = escape + 1;
        char bytes[4];
        size_t count = escape_decode(&text, end, bytes);
        memcpy(written, bytes, count);
        written += count;
    }
    arena_rewind(arena, mark);
    CHECK(arena_take_aligned(arena, (size_t)(written - out), 1) == out);
    return value_string(out, (size_t)(written - out));
}

/* `text` with its quotes. */
static struct value string_resolve(const char *text, size_t length, struct arena *arena)
{
    CHECK(length >= 2);
    bool high;
    if (UNLIKELY(text_has_escape(text + 1, length - 2, &high)))
        return string_decode(text + 1, length - 2, arena);
    struct value value = value_string(text + 1, length - 2);
    value.flags = high ? 0 : VALUE_ASCII;
    return value;
}

static struct value number_resolve(const char *text, size_t length)
{
    int64_t integer;
    double real;
    switch (number_parse(text, length, &integer, &real)) {
    case NUMBER_INT:
        return value_int(integer);
    case NUMBER_DOUBLE:
        return value_double(real);
    case NUMBER_OUT_OF_RANGE:
        return value_error(ERROR_OVERFLOW);
    case NUMBER_INVALID:
        break;
    }
    CHECK(!"raw text is valid JSON");
    return value_null();
}

/* Where the next item of a list or member of a map begins, or NULL behind the last. *cursor stands
 * behind the opening bracket or behind an item. */
static const char *item_next(const char **cursor, const char *end)
{
    const char *at = space_skip(*cursor, end);
    if (at < end && *at == ',')
        at = space_skip(at + 1, end);
    CHECK(at < end);
    return *at == ']' || *at == '}' ? NULL : at;
}

static struct value list_resolve(const char *text, size_t length, struct arena *arena)
{
    const char *end = text + length;
    const char *cursor = text + 1;
    size_t mark = arena_mark(arena);
    struct value list = {.kind = VALUE_LIST};
    for (const char *start; (start = item_next(&cursor, end)); list.length++) {
        cursor = raw_skip(start, end);
        /* one after another: nothing else is taken in between */
        struct value *item = arena_take(arena, sizeof(*item));
        if (!item) {
            arena_rewind(arena, mark);
            return value_error(ERROR_ARENA_FULL);
        }
        if (list.length == 0)
            list.items = item;
        *item = value_raw(start, (size_t)(cursor - start));
    }
    return list;
}

/* A member "key" : value at *cursor; moves the cursor behind it. The key comes with its quotes. */
static void member_scan(const char *start, const char **cursor, const char *end, struct string *key,
                        struct value *value)
{
    CHECK(*start == '"');
    const char *at = string_skip(start + 1, end);
    *key = (struct string){start, (size_t)(at - start)};
    at = space_skip(at, end);
    CHECK(at < end && *at == ':');
    at = space_skip(at + 1, end);
    *cursor = raw_skip(at, end);
    *value = value_raw(at, (size_t)(*cursor - at));
}

static struct value map_resolve(const char *text, size_t length, struct arena *arena)
{
    const char *end = text + length;
    const char *cursor = text + 1;
    size_t mark = arena_mark(arena);
    struct map_entry *entries = NULL;
    uint32_t count = 0;
    for (const char *start; (start = item_next(&cursor, end)); count++) {
        struct map_entry *entry = arena_take(arena, sizeof(*entry));
        if (!entry) {
            arena_rewind(arena, mark);
            return value_error(ERROR_ARENA_FULL);
        }
        if (count == 0)
            entries = entry;
        struct string key;
        member_scan(start, &cursor, end, &key, &entry->value);
        entry->key = value_raw(key.data, key.length);
    }
    /* Keys only now: decoding one may take from the arena, and entries must lie side by side. */
    for (uint32_t i = 0; i < count; i++) {
        entries[i].key = string_resolve(entries[i].key.text, entries[i].key.length, arena);
        if (entries[i].key.kind == VALUE_ERROR) {
            arena_rewind(arena, mark);
            return value_error(ERROR_ARENA_FULL);
        }
    }
    return (struct value){.kind = VALUE_MAP, .length = count, .entries = entries};
}

struct value value_resolve(struct value value, struct arena *arena)
{
    if (value.kind != VALUE_RAW)
        return value;
    CHECK(value.length > 0);
    switch (*value.text) {
    case '"':
        return string_resolve(value.text, value.length, arena);
    case '{':
        return map_resolve(value.text, value.length, arena);
    case '[':
        return list_resolve(value.text, value.length, arena);
    case 't':
        return value_bool(true);
    case 'f':
        return value_bool(false);
    case 'n':
        return value_null();
    default:
        return number_resolve(value.text, value.length);
    }
}

enum value_kind value_raw_kind(struct value raw)
{
    if (raw.kind != VALUE_RAW)
        return raw.kind;
    CHECK(raw.length > 0);
    switch (*raw.text) {
    case '"':
        return VALUE_STRING;
    case '{':
        return VALUE_MAP;
    case '[':
        return VALUE_LIST;
    case 't':
    case 'f':
        return VALUE_BOOL;
    case 'n':
        return VALUE_NULL;
    }
    for (uint32_t i = 0; i < raw.length; i++) {
        if (raw.text[i] == '.' || (raw.text[i] | 0x20) == 'e')
            return VALUE_DOUBLE;
    }
    if (raw.length <= 18)
        return VALUE_INT;
    return number_resolve(raw.text, raw.length).kind == VALUE_INT ? VALUE_INT : VALUE_DOUBLE;
}

/* Whether the raw key (with quotes) reads as `key`; decodes as it goes, needs no memory. */
static bool key_equal(struct string raw, struct string key)
{
    const char *text = raw.data + 1;
    const char *end = raw.data + raw.length - 1;
    if (LIKELY((size_t)(end - text) == key.length))
        if (key.length == 0 || memcmp(text, key.data, key.length) == 0)
            return !memchr(text, '\\', key.length);
    if ((size_t)(end - text) <= key.length) /* an escape is longer than what it stands for */
        return false;
    size_t matched = 0;
    while (text < end) {
        char bytes[4];
        size_t count = 1;
        bytes[0] = *text++;
        if (bytes[0] == '\\')
            count = escape_decode(&text, end, bytes);
        if (count > key.length - matched || memcmp(bytes, key.data + matched, count) != 0)
            return false;
        matched += count;
    }
    return matched == key.length;
}

static struct value raw_member(struct value map, struct string key)
{
    const char *end = map.text + map.length;
    const char *cursor = map.text + 1;
    struct value found = {.kind = VALUE_ABSENT};
    for (const char *start; (start = item_next(&cursor, end));) {
        struct string name;
        struct value value;
        member_scan(start, &cursor, end, &name, &value);
        if (key_equal(name, key))
            found = value;
    }
    return found;
}

struct value value_member(struct value map, struct string key, struct arena *arena)
{
    (void)arena;
    switch (value_raw_kind(map)) {
    case VALUE_ABSENT:
    case VALUE_NULL:
        return (struct value){.kind = VALUE_ABSENT};
    case VALUE_ERROR:
        return map;
    case VALUE_MAP:
        break;
    default:
        return value_error(ERROR_NO_OVERLOAD);
    }
    if (map.kind == VALUE_RAW)
        return raw_member(map, key);
    for (uint32_t i = map.length; i-- > 0;) {
        struct value name = map.entries[i].key;
        if (name.kind == VALUE_STRING && string_equal((struct string){name.text, name.length}, key))
            return map.entries[i].value;
    }
    return (struct value){.kind = VALUE_ABSENT};
}
