/* CEL's format(): "%s of %d".format([a, b]). See function.h. Pure; any thread. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/calendar.h"
#include "core/number.h"
#include "core/utf8.h"
#include "lang/builder.h"
#include "lang/function.h"
#include "lang/term.h"

#define PRECISION_LIMIT 100
/* The digits of the largest double and the precision. */
#define NUMBER_SIZE (310 + PRECISION_LIMIT + 10)

struct formatter {
    struct builder builder;
    struct call *call;
    struct value error; /* ABSENT: none yet */
};

static void format_value(struct formatter *formatter, struct value value, unsigned depth);

static void fail(struct formatter *formatter, struct value error)
{
    if (formatter->error.kind == VALUE_ABSENT)
        formatter->error = error;
}

/* Bytes as text, what is not UTF-8 as U+FFFD. */
static void add_bytes(struct builder *builder, struct value bytes)
{
    size_t at = 0;
    while (at < bytes.length) {
        size_t length = 1, left = bytes.length - at;
        unsigned char lead = (unsigned char)bytes.text[at];
        if (lead >= 0xC0)
            length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        if (length <= left && utf8_valid(bytes.text + at, length)) {
            builder_add(builder, bytes.text + at, length);
            at += length;
        } else {
            builder_add_text(builder, "\xEF\xBF\xBD");
            at++;
        }
    }
}

/* NaN and infinities; false: it is a number. */
static bool add_special(struct builder *builder, double real)
{
    if (isnan(real))
        builder_add_text(builder, "NaN");
    else if (isinf(real))
        builder_add_text(builder, real < 0 ? "-Infinity" : "Infinity");
    else
        return false;
    return true;
}

/* The shortest digits that read back equal, never with an exponent. */
static void add_double(struct builder *builder, double real)
{
    if (add_special(builder, real))
        return;
    if (signbit(real))
        builder_add(builder, "-", 1);
    if (real == 0) {
        builder_add(builder, "0", 1);
        return;
    }
    char digits[17], text[360];
    int point;
    int count = (int)number_shortest_digits(fabs(real), digits, &point);
    builder_add(builder, text, decimal_write(text, digits, count, point));
}

static void add_list(struct formatter *formatter, struct value list, unsigned depth)
{
    builder_add(&formatter->builder, "[", 1);
    for (uint32_t i = 0; i < list.length && formatter->error.kind == VALUE_ABSENT; i++) {
        if (i)
            builder_add(&formatter->builder, ", ", 2);
        format_value(formatter, list.items[i], depth + 1);
    }
    builder_add(&formatter->builder, "]", 1);
}

struct printed_entry {
    struct value key; /* as a string */
    struct value value;
};

static int entry_order(const void *a, const void *b)
{
    const struct printed_entry *left = a, *right = b;
    return text_order(left->key, right->key);
}

static void add_map(struct formatter *formatter, struct value map, unsigned depth)
{
    struct builder *builder = &formatter->builder;
    struct printed_entry *entries =
        arena_take(formatter->call->arena, map.length * sizeof(*entries));
    if (!entries) {
        fail(formatter, value_error(ERROR_ARENA_FULL));
        return;
    }
    for (uint32_t i = 0; i < map.length; i++) {
        struct value key = value_open(map.entries[i].key, formatter->call->arena);
        entries[i].key = function_string(formatter->call, &key, 1);
        entries[i].value = map.entries[i].value;
        if (entries[i].key.kind == VALUE_ERROR) {
            fail(formatter, entries[i].key);
            return;
        }
    }
    if (map.length > 1)
        qsort(entries, map.length, sizeof(*entries), entry_order);
    builder_add(builder, "{", 1);
    for (uint32_t i = 0; i < map.length && formatter->error.kind == VALUE_ABSENT; i++) {
        if (i)
            builder_add(builder, ", ", 2);
        builder_add(builder, entries[i].key.text, entries[i].key.length);
        builder_add(builder, ": ", 2);
        format_value(formatter, entries[i].value, depth + 1);
    }
    builder_add(builder, "}", 1);
}

/* %s */
static void format_value(struct formatter *formatter, struct value value, unsigned depth)
{
    struct builder *builder = &formatter->builder;
    value = value_open(value, formatter->call->arena);
    if (depth > VALUE_DEPTH_LIMIT) {
        fail(formatter, value_error(ERROR_LIMIT));
        return;
    }
    switch (value.kind) {
    case VALUE_NULL:
        builder_add_text(builder, "null");
        return;
    case VALUE_BYTES:
        add_bytes(builder, value);
        return;
    case VALUE_DOUBLE:
        add_double(builder, value.real);
        return;
    case VALUE_LIST:
        add_list(formatter, value, depth);
        return;
    case VALUE_MAP:
        add_map(formatter, value, depth);
        return;
    case VALUE_ERROR:
        fail(formatter, value);
        return;
    default: {
        struct value text = function_string(formatter->call, &value, 1);
        if (text.kind == VALUE_ERROR)
            fail(formatter, text);
        else
            builder_add(builder, text.text, text.length);
    }
    }
}

/* %d */
static void format_decimal(struct formatter *formatter, struct value value)
{
    if (!value_is_number(value))
        fail(formatter, error_overload_one(value));
    else
        format_value(formatter, value, 0);
}

/* %f and %e */
static void format_real(struct formatter *formatter, struct value value, char clause, int precision)
{
    double real = value.kind == VALUE_INT    ? (double)value.integer
                  : value.kind == VALUE_UINT ? (double)value.natural
                                             : value.real;
    if (!value_is_number(value)) {
        fail(formatter, error_overload_one(value));
        return;
    }
    if (add_special(&formatter->builder, real))
        return;
    char text[NUMBER_SIZE];
    int length = clause == 'f' ? snprintf(text, sizeof(text), "%.*f", precision, real)
                               : snprintf(text, sizeof(text), "%.*e", precision, real);
    CHECK(length > 0 && (size_t)length < sizeof(text));
    builder_add(&formatter->builder, text, (size_t)length);
}

static void add_hex_text(struct builder *builder, struct value value, const char *digits)
{
    for (uint32_t i = 0; i < value.length && !builder->full; i++) {
        unsigned char byte = (unsigned char)value.text[i];
        char text[2] = {digits[byte >> 4], digits[byte & 15]};
        builder_add(builder, text, 2);
    }
}

/* %x %X %o %b */
static void format_base(struct formatter *formatter, struct value value, char clause)
{
    const char *digits = clause == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    unsigned bits = clause == 'b' ? 1 : clause == 'o' ? 3 : 4;
    bool text_allowed = bits == 4 && (value.kind == VALUE_STRING || value.kind == VALUE_BYTES);
    bool bool_allowed = bits == 1 && value.kind == VALUE_BOOL;
    if (text_allowed) {
        add_hex_text(&formatter->builder, value, digits);
        return;
    }
    if (value.kind != VALUE_INT && value.kind != VALUE_UINT && !bool_allowed) {
        fail(formatter, error_overload_one(value));
        return;
    }
    bool negative = value.kind == VALUE_INT && value.integer < 0;
    uint64_t natural = value.kind == VALUE_BOOL ? value.boolean
                       : negative               ? 0 - value.natural
                                                : value.natural;
    char text[66];
    size_t at = sizeof(text);
    do {
        text[--at] = digits[natural & ((1u << bits) - 1)];
        natural >>= bits;
    } while (natural);
    if (negative)
        text[--at] = '-';
    builder_add(&formatter->builder, text + at, sizeof(text) - at);
}

static void format_clause(struct formatter *formatter, struct value value, char clause,
                          int precision)
{
    switch (clause) {
    case 's':
        format_value(formatter, value, 0);
        break;
    case 'd':
        format_decimal(formatter, value);
        break;
    case 'f':
    case 'e':
        format_real(formatter, value, clause, precision < 0 ? 6 : precision);
        break;
    case 'x':
    case 'X':
    case 'o':
    case 'b':
        format_base(formatter, value, clause);
        break;
    default:
        fail(formatter, value_error_text(ERROR_RANGE, "unknown clause of format",
                                         strlen("unknown clause of format")));
    }
}

/* ".N" at *at; -1: none, -2: not allowed. */
static int read_precision(struct string format, size_t *at)
{
    if (*at >= format.length || format.data[*at] != '.')
        return -1;
    int precision = 0;
    size_t from = ++*at;
    while (*at < format.length && format.data[*at] >= '0' && format.data[*at] <= '9') {
        precision = precision * 10 + (format.data[(*at)++] - '0');
        if (precision > PRECISION_LIMIT)
            return -2;
    }
    return *at == from ? -2 : precision;
}

static void format_all(struct formatter *formatter, struct string format, struct value list)
{
    uint32_t used = 0;
    size_t at = 0;
    while (at < format.length && formatter->error.kind == VALUE_ABSENT) {
        const char *percent = memchr(format.data + at, '%', format.length - at);
        size_t end = percent ? (size_t)(percent - format.data) : format.length;
        builder_add(&formatter->builder, format.data + at, end - at);
        at = end + 1;
        if (!percent)
            return;
        if (at < format.length && format.data[at] == '%') {
            builder_add(&formatter->builder, "%", 1);
            at++;
            continue;
        }
        int precision = read_precision(format, &at);
        if (precision == -2 || at >= format.length || used == list.length) {
            fail(formatter, value_error_text(ERROR_RANGE, "format: bad clause or no argument left",
                                             strlen("format: bad clause or no argument left")));
            return;
        }
        struct value value = value_open(list.items[used++], formatter->call->arena);
        if (value.kind == VALUE_ERROR)
            fail(formatter, value);
        else
            format_clause(formatter, value, format.data[at++], precision);
    }
}

struct value function_format(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)count;
    if (arguments[0].kind != VALUE_STRING || arguments[1].kind != VALUE_LIST)
        return error_overload(arguments[0], arguments[1]);
    struct formatter formatter = {.builder = {.arena = call->arena}, .call = call};
    format_all(&formatter, (struct string){arguments[0].text, arguments[0].length}, arguments[1]);
    if (formatter.error.kind == VALUE_ERROR)
        return formatter.error;
    return builder_string(&formatter.builder);
}
