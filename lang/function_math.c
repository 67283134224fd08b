/* CEL's math extension: see function.h. Pure; any thread. */
#include <math.h>

#include "lang/function.h"
#include "lang/term.h"

static struct value range_error(void)
{
    return value_error(ERROR_RANGE);
}

/* The greatest (sign 1) or least (sign -1) of the arguments, or of one list; of equals the first.
 */
static struct value extreme(struct call *call, const struct value *arguments, uint32_t count,
                            enum order wanted)
{
    const struct value *items = arguments;
    if (count == 1 && arguments[0].kind == VALUE_LIST) {
        items = arguments[0].items;
        count = arguments[0].length;
    }
    struct value best = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct value item = value_open(items[i], call->arena);
        if (!value_is_number(item))
            return item.kind == VALUE_ERROR ? item : error_overload_one(item);
        if (best.kind == VALUE_ABSENT || values_order(item, best) == wanted)
            best = item;
    }
    return best.kind == VALUE_ABSENT ? range_error() : best;
}

struct value function_greatest(struct call *call, const struct value *arguments, uint32_t count)
{
    return extreme(call, arguments, count, ORDER_GREATER);
}

struct value function_least(struct call *call, const struct value *arguments, uint32_t count)
{
    return extreme(call, arguments, count, ORDER_LESS);
}

/* Functions of one double. */
#define REAL_FUNCTION(name, result)                                                                \
    struct value function_##name(struct call *call, const struct value *arguments, uint32_t count) \
    {                                                                                              \
        (void)call;                                                                                \
        (void)count;                                                                               \
        if (arguments[0].kind != VALUE_DOUBLE)                                                     \
            return error_overload_one(arguments[0]);                                               \
        double real = arguments[0].real;                                                           \
        return result;                                                                             \
    }
REAL_FUNCTION(ceil, value_double(ceil(real)))
REAL_FUNCTION(floor, value_double(floor(real)))
REAL_FUNCTION(round, value_double(round(real)))
REAL_FUNCTION(trunc, value_double(trunc(real)))
REAL_FUNCTION(is_nan, value_bool(isnan(real)))
REAL_FUNCTION(is_inf, value_bool(isinf(real)))
REAL_FUNCTION(is_finite, value_bool(isfinite(real)))

struct value function_abs(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    switch (arguments[0].kind) {
    case VALUE_INT:
        return arguments[0].integer < 0 ? value_negate(arguments[0]) : arguments[0];
    case VALUE_UINT:
        return arguments[0];
    case VALUE_DOUBLE:
        return value_double(fabs(arguments[0].real));
    default:
        return error_overload_one(arguments[0]);
    }
}

struct value function_sign(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    struct value value = arguments[0];
    switch (value.kind) {
    case VALUE_INT:
        return value_int((value.integer > 0) - (value.integer < 0));
    case VALUE_UINT:
        return value_uint(value.natural > 0);
    case VALUE_DOUBLE: /* a NaN stays one */
        return isnan(value.real) ? value : value_double((value.real > 0) - (value.real < 0));
    default:
        return error_overload_one(value);
    }
}

struct value function_sqrt(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    struct value value = arguments[0];
    if (!value_is_number(value))
        return error_overload_one(value);
    return value_double(sqrt(value.kind == VALUE_INT    ? (double)value.integer
                             : value.kind == VALUE_UINT ? (double)value.natural
                                                        : value.real));
}

static bool are_bits(const struct value *arguments)
{
    return arguments[0].kind == arguments[1].kind &&
           (arguments[0].kind == VALUE_INT || arguments[0].kind == VALUE_UINT);
}

#define BIT_FUNCTION(name, sign)                                                                   \
    struct value function_##name(struct call *call, const struct value *arguments, uint32_t count) \
    {                                                                                              \
        (void)call;                                                                                \
        (void)count;                                                                               \
        if (!are_bits(arguments))                                                                  \
            return error_overload(arguments[0], arguments[1]);                                     \
        struct value value = arguments[0];                                                         \
        value.natural = value.natural sign arguments[1].natural;                                   \
        return value;                                                                              \
    }
BIT_FUNCTION(bit_and, &)
BIT_FUNCTION(bit_or, |)
BIT_FUNCTION(bit_xor, ^)

struct value function_bit_not(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    struct value value = arguments[0];
    if (value.kind != VALUE_INT && value.kind != VALUE_UINT)
        return error_overload_one(value);
    value.natural = ~value.natural;
    return value;
}

/* Logical for ints too; 64 places and more leave nothing. */
static struct value shift(const struct value *arguments, bool left)
{
    struct value value = arguments[0];
    if ((value.kind != VALUE_INT && value.kind != VALUE_UINT) || arguments[1].kind != VALUE_INT)
        return error_overload(value, arguments[1]);
    int64_t places = arguments[1].integer;
    if (places < 0)
        return range_error();
    if (places >= 64)
        value.natural = 0;
    else
        value.natural = left ? value.natural << places : value.natural >> places;
    return value;
}

struct value function_bit_shift_left(struct call *call, const struct value *arguments,
                                     uint32_t count)
{
    (void)call;
    (void)count;
    return shift(arguments, true);
}

struct value function_bit_shift_right(struct call *call, const struct value *arguments,
                                      uint32_t count)
{
    (void)call;
    (void)count;
    return shift(arguments, false);
}
