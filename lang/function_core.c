/* The functions of CEL's standard library but for time: see function.h. Pure; any thread. */
#include <math.h>
#include <strings.h>

#include "core/calendar.h"
#include "core/number.h"
#include "core/utf8.h"
#include "lang/builder.h"
#include "lang/function.h"
#include "lang/term.h"
#include "lang/text_search.h"
#include "lang/time.h"

static struct value conversion_error(const char *text)
{
    return value_error_text(ERROR_CONVERSION, text, strlen(text));
}

struct value function_size(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    struct value value = arguments[0];
    switch (value.kind) {
    case VALUE_STRING:
        return value_int((int64_t)(value.flags & VALUE_ASCII || value.length == 0
                                       ? value.length
                                       : utf8_count(value.text, value.length)));
    case VALUE_BYTES:
    case VALUE_LIST:
    case VALUE_MAP:
        return value_int(value.length);
    default:
        return error_overload_one(value);
    }
}

static bool are_strings(const struct value *arguments)
{
    return arguments[0].kind == VALUE_STRING && arguments[1].kind == VALUE_STRING;
}

struct value function_contains(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    if (!are_strings(arguments))
        return error_overload(arguments[0], arguments[1]);
    return value_bool(text_contains((struct string){arguments[0].text, arguments[0].length},
                                    (struct string){arguments[1].text, arguments[1].length}));
}

struct value function_starts_with(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    if (!are_strings(arguments))
        return error_overload(arguments[0], arguments[1]);
    uint32_t length = arguments[1].length;
    return value_bool(arguments[0].length >= length &&
                      (length == 0 || memcmp(arguments[0].text, arguments[1].text, length) == 0));
}

struct value function_ends_with(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    if (!are_strings(arguments))
        return error_overload(arguments[0], arguments[1]);
    uint32_t length = arguments[1].length;
    if (arguments[0].length < length)
        return value_bool(false);
    const char *tail = arguments[0].text + arguments[0].length - length;
    return value_bool(length == 0 || memcmp(tail, arguments[1].text, length) == 0);
}

struct value function_matches(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)count;
    return dynamic_matches(call, arguments[0], arguments[1]);
}

struct value function_type(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    return value_type(arguments[0]);
}

struct value function_dyn(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    return arguments[0];
}

struct value function_bool(struct call *call, const struct value *arguments, uint32_t count)
{
    static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False",
                                        "1", "t", "T", "true",  "TRUE",  "True"};
    (void)call;
    (void)count;
    struct value value = arguments[0];
    if (value.kind == VALUE_BOOL)
        return value;
    if (value.kind != VALUE_STRING)
        return error_overload_one(value);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (string_equal_text((struct string){value.text, value.length}, words[i]))
            return value_bool(i >= ARRAY_SIZE(words) / 2);
    }
    return conversion_error("not a bool");
}

/* Decimal digits, all of text. False: no digits or something else; *overflow: beyond 64 bits. */
static bool read_natural(const char *text, uint32_t length, uint64_t *natural, bool *overflow)
{
    *natural = 0;
    *overflow = false;
    for (uint32_t i = 0; i < length; i++) {
        unsigned digit = (unsigned char)text[i] - '0';
        if (digit > 9)
            return false;
        *overflow |= __builtin_mul_overflow(*natural, 10u, natural) ||
                     __builtin_add_overflow(*natural, digit, natural);
    }
    return length > 0;
}

static struct value int_of_text(struct value value)
{
    const char *text = value.text;
    uint32_t length = value.length;
    bool negative = length && text[0] == '-';
    if (length && (text[0] == '-' || text[0] == '+')) {
        text++;
        length--;
    }
    uint64_t natural;
    bool overflow;
    if (!read_natural(text, length, &natural, &overflow))
        return conversion_error("not an int");
    if (overflow || natural > (uint64_t)INT64_MAX + negative)
        return value_error(ERROR_OVERFLOW);
    return value_int(negative ? (int64_t)(0 - natural) : (int64_t)natural);
}

struct value function_int(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    struct value value = arguments[0];
    switch (value.kind) {
    case VALUE_INT:
        return value;
    case VALUE_UINT:
        return value.natural > INT64_MAX ? value_error(ERROR_OVERFLOW)
                                         : value_int((int64_t)value.natural);
    case VALUE_DOUBLE:
        if (!(value.real > -0x1p63 && value.real < 0x1p63))
            return value_error(ERROR_OVERFLOW);
        return value_int((int64_t)value.real);
    case VALUE_STRING:
        return int_of_text(value);
    case VALUE_TIMESTAMP:
    case VALUE_DURATION:
        return value_int(value.integer);
    default:
        return error_overload_one(value);
    }
}

struct value function_uint(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    struct value value = arguments[0];
    uint64_t natural;
    bool overflow;
    switch (value.kind) {
    case VALUE_UINT:
        return value;
    case VALUE_INT:
        return value.integer < 0 ? value_error(ERROR_OVERFLOW)
                                 : value_uint((uint64_t)value.integer);
    case VALUE_DOUBLE:
        if (!(value.real >= 0 && value.real < 0x1p64))
            return value_error(ERROR_OVERFLOW);
        return value_uint((uint64_t)value.real);
    case VALUE_STRING:
        if (!read_natural(value.text, value.length, &natural, &overflow))
            return conversion_error("not a uint");
        return overflow ? value_error(ERROR_OVERFLOW) : value_uint(natural);
    default:
        return error_overload_one(value);
    }
}

static struct value double_of_text(struct value value)
{
    static const char *const infinities[] = {"inf", "infinity"};
    double real;
    bool overflow = false;
    if (value.length && number_parse_double(value.text, value.length, &real, &overflow))
        return overflow ? value_error(ERROR_OVERFLOW) : value_double(real);
    const char *text = value.text;
    uint32_t length = value.length;
    bool negative = length && text[0] == '-';
    if (length && (text[0] == '-' || text[0] == '+')) {
        text++;
        length--;
    }
    if (length == 3 && strncasecmp(text, "nan", 3) == 0)
        return value_double(NAN);
    for (size_t i = 0; i < ARRAY_SIZE(infinities); i++) {
        if (length == strlen(infinities[i]) && strncasecmp(text, infinities[i], length) == 0)
            return value_double(negative ? -INFINITY : INFINITY);
    }
    return conversion_error("not a double");
}

struct value function_double(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    struct value value = arguments[0];
    switch (value.kind) {
    case VALUE_DOUBLE:
        return value;
    case VALUE_INT:
        return value_double((double)value.integer);
    case VALUE_UINT:
        return value_double((double)value.natural);
    case VALUE_STRING:
        return double_of_text(value);
    default:
        return error_overload_one(value);
    }
}

struct value function_bytes(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    struct value value = arguments[0];
    if (value.kind != VALUE_BYTES && value.kind != VALUE_STRING)
        return error_overload_one(value);
    return value_bytes(value.text, value.length);
}

/* string() */

size_t decimal_write(char *out, const char *digits, int count, int point)
{
    char *start = out;
    if (point <= 0) {
        *out++ = '0';
        *out++ = '.';
        memset(out, '0', (size_t)-point);
        out += -point;
        memcpy(out, digits, (size_t)count);
        return (size_t)(out + count - start);
    }
    for (int i = 0; i < count || i < point; i++) {
        if (i == point)
            *out++ = '.';
        *out++ = i < count ? digits[i] : '0';
    }
    return (size_t)(out - start);
}

/* As Go's %g with the shortest digits: an exponent below 1e-4 and from 1e6 on. */
static size_t write_general(char *out, double real)
{
    char *start = out;
    if (isnan(real)) {
        memcpy(out, "NaN", 3);
        return 3;
    }
    if (isinf(real)) {
        memcpy(out, real < 0 ? "-Inf" : "+Inf", 4);
        return 4;
    }
    if (signbit(real)) {
        *out++ = '-';
        real = -real;
    }
    if (real == 0) {
        *out++ = '0';
        return (size_t)(out - start);
    }
    char digits[17];
    int point;
    int count = (int)number_shortest_digits(real, digits, &point);
    if (point - 1 < -4 || point - 1 >= 6) {
        *out++ = digits[0];
        if (count > 1)
            *out++ = '.';
        memcpy(out, digits + 1, (size_t)count - 1);
        out += count - 1;
        int exponent = point - 1;
        *out++ = 'e';
        *out++ = exponent < 0 ? '-' : '+';
        exponent = exponent < 0 ? -exponent : exponent;
        if (exponent >= 100)
            *out++ = (char)('0' + exponent / 100);
        *out++ = (char)('0' + exponent / 10 % 10);
        *out++ = (char)('0' + exponent % 10);
        return (size_t)(out - start);
    }
    return (size_t)(out - start) + decimal_write(out, digits, count, point);
}

struct value function_string(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)count;
    struct value value = arguments[0];
    char text[CALENDAR_TEXT_SIZE + NUMBER_TEXT_SIZE];
    size_t length;
    switch (value.kind) {
    case VALUE_STRING:
        return value;
    case VALUE_TYPE:
        return value_string(value.text, value.length);
    case VALUE_BOOL:
        return value.boolean ? value_string("true", 4) : value_string("false", 5);
    case VALUE_BYTES:
        if (value.length && !utf8_valid(value.text, value.length))
            return conversion_error("bytes that are not UTF-8");
        return value_string(value.text, value.length);
    case VALUE_INT:
        length = number_write_int(text, value.integer);
        break;
    case VALUE_UINT:
        length = number_write_uint(text, value.natural);
        break;
    case VALUE_DOUBLE:
        length = write_general(text, value.real);
        break;
    case VALUE_TIMESTAMP:
        length = calendar_write_timestamp(text, value.integer, value.length);
        break;
    case VALUE_DURATION:
        length = calendar_write_duration(text, value.integer);
        break;
    default:
        return error_overload_one(value);
    }
    char *copy = call_text(call, length);
    if (!copy)
        return value_error(ERROR_ARENA_FULL);
    memcpy(copy, text, length);
    return value_string(copy, length);
}
