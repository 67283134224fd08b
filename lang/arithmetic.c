/* CEL's arithmetic with every overflow checked: see function.h. Pure; any thread. */
#include <string.h>

#include "lang/function.h"
#include "lang/time.h"

/* Longer texts and lists are not made. */
#define LENGTH_LIMIT (1u << 30)

static struct value int_arithmetic(enum operator_kind operator, int64_t a, int64_t b)
{
    int64_t result = 0;
    bool overflow = false;
    switch (operator) {
    case OPERATOR_ADD:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case OPERATOR_SUBTRACT:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case OPERATOR_MULTIPLY:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    default:
        if (b == 0)
            return value_error(ERROR_DIVIDE_BY_ZERO);
        if (b == -1 && a == INT64_MIN) /* the processor would trap, for % too */
            return operator== OPERATOR_DIVIDE ? value_error(ERROR_OVERFLOW) : value_int(0);
        result = operator== OPERATOR_DIVIDE ? a / b : a % b;
    }
    return overflow ? value_error(ERROR_OVERFLOW) : value_int(result);
}

static struct value uint_arithmetic(enum operator_kind operator, uint64_t a, uint64_t b)
{
    uint64_t result = 0;
    bool overflow = false;
    switch (operator) {
    case OPERATOR_ADD:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case OPERATOR_SUBTRACT:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case OPERATOR_MULTIPLY:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    default:
        if (b == 0)
            return value_error(ERROR_DIVIDE_BY_ZERO);
        result = operator== OPERATOR_DIVIDE ? a / b : a % b;
    }
    return overflow ? value_error(ERROR_OVERFLOW) : value_uint(result);
}

static struct value double_arithmetic(enum operator_kind operator, struct value a, struct value b)
{
    switch (operator) {
    case OPERATOR_ADD:
        return value_double(a.real + b.real);
    case OPERATOR_SUBTRACT:
        return value_double(a.real - b.real);
    case OPERATOR_MULTIPLY:
        return value_double(a.real * b.real);
    case OPERATOR_DIVIDE:
        return value_double(a.real / b.real);
    default:
        return error_overload(a, b);
    }
}

static struct value text_join(struct value a, struct value b, struct arena *arena)
{
    if (b.length == 0)
        return a;
    if (a.length == 0)
        return b;
    size_t length = (size_t)a.length + b.length;
    if (length > LENGTH_LIMIT)
        return value_error(ERROR_LIMIT);
    char *text = arena_take_aligned(arena, length, 1);
    if (!text)
        return value_error(ERROR_ARENA_FULL);
    memcpy(text, a.text, a.length);
    memcpy(text + a.length, b.text, b.length);
    return (struct value){
        .kind = a.kind, .flags = a.flags & b.flags, .length = (uint32_t)length, .text = text};
}

static struct value list_join(struct value a, struct value b, struct arena *arena)
{
    if (b.length == 0)
        return a;
    if (a.length == 0)
        return b;
    size_t length = (size_t)a.length + b.length;
    if (length > LENGTH_LIMIT)
        return value_error(ERROR_LIMIT);
    struct value *items = arena_take(arena, length * sizeof(*items));
    if (!items)
        return value_error(ERROR_ARENA_FULL);
    memcpy(items, a.items, a.length * sizeof(*items));
    memcpy(items + a.length, b.items, b.length * sizeof(*items));
    return (struct value){.kind = VALUE_LIST, .length = (uint32_t)length, .items = items};
}

static struct value time_arithmetic(enum operator_kind operator, struct value a, struct value b)
{
    if (a.kind == VALUE_DURATION && b.kind == VALUE_DURATION) {
        struct value sum = int_arithmetic(operator, a.integer, b.integer);
        if (sum.kind == VALUE_INT)
            sum.kind = VALUE_DURATION;
        return sum;
    }
    if (operator== OPERATOR_ADD && a.kind == VALUE_DURATION)
        return timestamp_add(b, a.integer);
    if (operator== OPERATOR_ADD && b.kind == VALUE_DURATION)
        return timestamp_add(a, b.integer);
    if (operator== OPERATOR_SUBTRACT && b.kind == VALUE_TIMESTAMP && a.kind == VALUE_TIMESTAMP)
        return timestamp_difference(a, b);
    if (operator== OPERATOR_SUBTRACT && a.kind == VALUE_TIMESTAMP) {
        if (b.integer == INT64_MIN)
            return value_error(ERROR_OVERFLOW);
        return timestamp_add(a, -b.integer);
    }
    return error_overload(a, b);
}

static bool is_time(struct value value)
{
    return value.kind == VALUE_TIMESTAMP || value.kind == VALUE_DURATION;
}

struct value value_arithmetic(enum operator_kind operator, struct value a, struct value b,
                              bool mixed, struct arena *arena)
{
    if (a.kind == VALUE_ERROR)
        return a;
    if (b.kind == VALUE_ERROR)
        return b;
    if (mixed && a.kind == VALUE_INT && b.kind == VALUE_DOUBLE)
        a = value_double((double)a.integer);
    else if (mixed && a.kind == VALUE_DOUBLE && b.kind == VALUE_INT)
        b = value_double((double)b.integer);
    if (is_time(a) && is_time(b) && (operator== OPERATOR_ADD || operator== OPERATOR_SUBTRACT))
        return time_arithmetic(operator, a, b);
    if (a.kind != b.kind)
        return error_overload(a, b);
    switch (a.kind) {
    case VALUE_INT:
        return int_arithmetic(operator, a.integer, b.integer);
    case VALUE_UINT:
        return uint_arithmetic(operator, a.natural, b.natural);
    case VALUE_DOUBLE:
        return double_arithmetic(operator, a, b);
    case VALUE_STRING:
    case VALUE_BYTES:
        return operator== OPERATOR_ADD ? text_join(a, b, arena) : error_overload(a, b);
    case VALUE_LIST:
        return operator== OPERATOR_ADD ? list_join(a, b, arena) : error_overload(a, b);
    default:
        return error_overload(a, b);
    }
}

struct value value_negate(struct value value)
{
    switch (value.kind) {
    case VALUE_ERROR:
        return value;
    case VALUE_INT:
        return value.integer == INT64_MIN ? value_error(ERROR_OVERFLOW) : value_int(-value.integer);
    case VALUE_DOUBLE:
        return value_double(-value.real);
    default:
        return error_overload_one(value);
    }
}
