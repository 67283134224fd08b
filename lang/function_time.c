/* Functions of timestamps and durations: see function.h and time.h. Pure; any thread. */
#include "lang/function.h"
#include "lang/term.h"
#include "lang/time.h"

struct value function_timestamp(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    struct value value = arguments[0];
    switch (value.kind) {
    case VALUE_TIMESTAMP:
        return value;
    case VALUE_STRING:
        return timestamp_parse((struct string){value.text, value.length});
    case VALUE_INT: /* adding nothing checks the range */
        return timestamp_add((struct value){.kind = VALUE_TIMESTAMP, .integer = value.integer}, 0);
    default:
        return error_overload_one(value);
    }
}

struct value function_duration(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    struct value value = arguments[0];
    if (value.kind == VALUE_DURATION)
        return value;
    if (value.kind != VALUE_STRING)
        return error_overload_one(value);
    return duration_parse((struct string){value.text, value.length});
}

struct value function_time_parse(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    (void)count;
    if (arguments[0].kind != VALUE_STRING || arguments[1].kind != VALUE_STRING)
        return error_overload(arguments[0], arguments[1]);
    struct string format = {arguments[1].text, arguments[1].length};
    size_t bad;
    if (!timestamp_format_valid(format, &bad))
        return value_error(ERROR_RANGE);
    return timestamp_parse_format((struct string){arguments[0].text, arguments[0].length}, format);
}

static struct value part(const struct value *arguments, uint32_t count, enum time_part part)
{
    if (arguments[0].kind != VALUE_TIMESTAMP)
        return error_overload_one(arguments[0]);
    if (count == 1)
        return timestamp_part(arguments[0], part, (struct string){0});
    if (arguments[1].kind != VALUE_STRING)
        return error_overload(arguments[0], arguments[1]);
    return timestamp_part(arguments[0], part,
                          (struct string){arguments[1].text, arguments[1].length});
}

/* Of a duration: the whole of it in a unit. */
static struct value part_or_span(const struct value *arguments, uint32_t count,
                                 enum time_part which, int64_t unit)
{
    if (arguments[0].kind != VALUE_DURATION)
        return part(arguments, count, which);
    if (count != 1)
        return error_overload(arguments[0], arguments[1]);
    return value_int(arguments[0].integer / unit);
}

#define GETTER(name, which)                                                                        \
    struct value function_##name(struct call *call, const struct value *arguments, uint32_t count) \
    {                                                                                              \
        (void)call;                                                                                \
        return part(arguments, count, which);                                                      \
    }
GETTER(get_full_year, TIME_YEAR)
GETTER(get_month, TIME_MONTH)
GETTER(get_date, TIME_DATE)
GETTER(get_day_of_month, TIME_DAY_OF_MONTH)
GETTER(get_day_of_week, TIME_DAY_OF_WEEK)
GETTER(get_day_of_year, TIME_DAY_OF_YEAR)

struct value function_get_hours(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    return part_or_span(arguments, count, TIME_HOURS, INT64_C(3600000000000));
}

struct value function_get_minutes(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    return part_or_span(arguments, count, TIME_MINUTES, INT64_C(60000000000));
}

struct value function_get_seconds(struct call *call, const struct value *arguments, uint32_t count)
{
    (void)call;
    return part_or_span(arguments, count, TIME_SECONDS, INT64_C(1000000000));
}

struct value function_get_milliseconds(struct call *call, const struct value *arguments,
                                       uint32_t count)
{
    (void)call;
    if (arguments[0].kind == VALUE_DURATION && count == 1) /* the specification: that part alone */
        return value_int(arguments[0].integer / 1000000 % 1000);
    return part_or_span(arguments, count, TIME_MILLISECONDS, 1);
}
