/* CEL's encoders extension: base64 (RFC 4648). See function.h. Pure; any thread. */
#include "lang/base64.h"
#include "lang/builder.h"
#include "lang/function.h"
#include "lang/term.h"

struct value function_base64_encode(struct call *call, const struct value *arguments,
                                    uint32_t count)
{
    (void)count;
    if (arguments[0].kind != VALUE_BYTES)
        return error_overload_one(arguments[0]);
    size_t length = base64_length(arguments[0].length);
    if (length > UINT32_MAX)
        return value_error(ERROR_LIMIT);
    char *text = call_text(call, length);
    if (!text)
        return value_error(ERROR_ARENA_FULL);
    base64_encode(text, arguments[0].text, arguments[0].length);
    return value_string(text, length);
}

struct value function_base64_decode(struct call *call, const struct value *arguments,
                                    uint32_t count)
{
    (void)count;
    if (arguments[0].kind != VALUE_STRING)
        return error_overload_one(arguments[0]);
    char *bytes = call_text(call, arguments[0].length);
    if (!bytes)
        return value_error(ERROR_ARENA_FULL);
    size_t length;
    if (!base64_decode(bytes, &length, arguments[0].text, arguments[0].length))
        return value_error_text(ERROR_CONVERSION, "not base64", strlen("not base64"));
    return value_bytes(bytes, length);
}
