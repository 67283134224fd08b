/* CEL's optionals: see function.h. or() and orValue() are lazy and the evaluators' own. Pure; any
 * thread. */
#include "lang/function.h"
#include "lang/term.h"

struct value function_optional_of(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)count;
    return optional_of(call->arena, arguments[0]);
}

struct value function_optional_none(struct call *call, const struct value *arguments,
                                    uint32_t count)
{
    (void)call;
    (void)arguments;
    (void)count;
    return optional_none();
}

static bool is_zero(struct value value)
{
    switch (value.kind) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_UINT:
    case VALUE_DURATION:
        return value.natural == 0;
    case VALUE_DOUBLE:
        return value.real == 0;
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_OPTIONAL:
        return value.length == 0;
    default:
        return false;
    }
}

struct value function_optional_of_non_zero(struct call *call, const struct value *arguments,
                                           uint32_t count)
{
    (void)count;
    return is_zero(arguments[0]) ? optional_none() : optional_of(call->arena, arguments[0]);
}

struct value function_has_value(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    if (arguments[0].kind != VALUE_OPTIONAL)
        return error_overload_one(arguments[0]);
    return value_bool(arguments[0].length != 0);
}

struct value function_value(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    if (arguments[0].kind != VALUE_OPTIONAL)
        return error_overload_one(arguments[0]);
    return arguments[0].length ? arguments[0].items[0] : value_error(ERROR_RANGE);
}
