/* Quantities: see quantity.h. All but rates and percentages are exact: integer arithmetic
 * throughout. Any thread. */
#include "lang/quantity.h"

#include "core/number.h"

/* A decimal number with the unit behind it: mantissa / 10^scale. */
struct decimal {
    uint64_t mantissa;
    unsigned scale;
    struct string digits; /* as written */
    struct string unit;
};

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", UINT64_C(60) * 1000000000},
    {"h", UINT64_C(3600) * 1000000000},
    {"d", UINT64_C(86400) * 1000000000},
    {NULL, 0},
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000},
    {NULL, 0},
};

static const char too_large[] = "this is too large";

/* Reads the number in front of a unit. */
static const char *read_decimal(struct string text, struct decimal *decimal)
{
    size_t at = 0;
    bool point = false, any = false;
    *decimal = (struct decimal){0};
    for (; at < text.length; at++) {
        char byte = text.data[at];
        if (byte == '.' && !point) {
            point = true;
            continue;
        }
        if (byte < '0' || byte > '9')
            break;
        any = true;
        decimal->scale += point;
        if (decimal->scale > 9)
            return "more than nine digits behind the point";
        if (__builtin_mul_overflow(decimal->mantissa, 10, &decimal->mantissa) ||
            __builtin_add_overflow(decimal->mantissa, (uint64_t)(byte - '0'), &decimal->mantissa))
            return too_large;
    }
    if (!any || (point && decimal->scale == 0))
        return "a digit is missing";
    decimal->digits = (struct string){text.data, at};
    decimal->unit = (struct string){text.data + at, text.length - at};
    return NULL;
}

/* decimal * its unit's factor, rounded down. */
static const char *scale_by_unit(const struct decimal *decimal, const struct unit *units,
                                 const char *unknown, int64_t *result)
{
    const struct unit *unit = units;
    while (unit->name && !string_equal_text(decimal->unit, unit->name))
        unit++;
    if (!unit->name)
        return unknown;
    unsigned __int128 product = (unsigned __int128)decimal->mantissa * unit->factor;
    for (unsigned i = 0; i < decimal->scale; i++)
        product /= 10;
    if (product > INT64_MAX)
        return too_large;
    *result = (int64_t)product;
    return NULL;
}

static const char *read_whole(const struct decimal *decimal, struct option_value *value)
{
    if (decimal->unit.length > 0 || decimal->digits.length == 0)
        return "a whole number has no unit";
    for (size_t i = 0; i < decimal->digits.length; i++)
        if (decimal->digits.data[i] == '.')
            return "only a whole number may stand here";
    if (decimal->mantissa > INT64_MAX)
        return too_large;
    value->integer = (int64_t)decimal->mantissa;
    value->real = (double)decimal->mantissa;
    return NULL;
}

static const char *read_real(const struct decimal *decimal, double *real)
{
    bool overflow = false;
    if (!number_parse_double(decimal->digits.data, decimal->digits.length, real, &overflow) ||
        overflow)
        return too_large;
    return NULL;
}

static const char *read_rate(const struct decimal *decimal, double *rate)
{
    double seconds;
    if (string_equal_text(decimal->unit, "/s"))
        seconds = 1;
    else if (string_equal_text(decimal->unit, "/m"))
        seconds = 60;
    else if (string_equal_text(decimal->unit, "/h"))
        seconds = 3600;
    else
        return "a rate ends in /s, /m or /h";
    const char *problem = read_real(decimal, rate);
    if (problem)
        return problem;
    if (*rate <= 0)
        return "a rate must be more than nothing";
    *rate /= seconds;
    return NULL;
}

static const char *read_percent(const struct decimal *decimal, double *fraction)
{
    if (!string_equal_text(decimal->unit, "%"))
        return "a percentage ends in %";
    const char *problem = read_real(decimal, fraction);
    if (problem)
        return problem;
    *fraction /= 100;
    return *fraction > 1 ? "a percentage ends at 100%" : NULL;
}

const char *quantity_read(enum option_kind kind, struct string text, struct option_value *value)
{
    struct decimal decimal;
    const char *problem = read_decimal(text, &decimal);
    if (problem)
        return problem;
    switch (kind) {
    case OPTION_INTEGER:
        return read_whole(&decimal, value);
    case OPTION_DURATION:
        return scale_by_unit(&decimal, duration_units,
                             "a duration has the unit ns, us, ms, s, m, h or d", &value->integer);
    case OPTION_SIZE:
        return scale_by_unit(&decimal, size_units,
                             "a size has the unit B, KiB, MiB, GiB, KB, MB or GB", &value->integer);
    case OPTION_RATE:
        return read_rate(&decimal, &value->real);
    case OPTION_PERCENT:
        return read_percent(&decimal, &value->real);
    case OPTION_AMOUNT:
        value->is_percent = decimal.unit.length > 0;
        return value->is_percent ? read_percent(&decimal, &value->real)
                                 : read_whole(&decimal, value);
    default:
        CHECK(!"a kind that is no quantity");
        return NULL;
    }
}

/* p95, p99.9 */
static const char *read_percentile(struct string text, int64_t *number)
{
    struct decimal decimal;
    if (text.length < 2 || text.data[0] != 'p')
        return "a percentile is written like p95";
    const char *problem = read_decimal((struct string){text.data + 1, text.length - 1}, &decimal);
    if (problem)
        return problem;
    if (decimal.unit.length > 0)
        return "a percentile has no unit";
    if (decimal.scale > 2)
        return "a percentile has up to two digits behind the point";
    uint64_t value = decimal.mantissa;
    for (unsigned i = decimal.scale; i < 2 && value < 10000; i++)
        value *= 10;
    if (value == 0 || value >= 10000)
        return "a percentile lies between p0 and p100";
    *number = (int64_t)value;
    return NULL;
}

const char *quantity_number(enum quantity_unit unit, struct string text, int64_t *number)
{
    static const enum option_kind kinds[] = {
        [QUANTITY_WHOLE] = OPTION_INTEGER,
        [QUANTITY_DURATION] = OPTION_DURATION,
        [QUANTITY_SIZE] = OPTION_SIZE,
        [QUANTITY_RATE] = OPTION_RATE,
    };
    struct option_value value = {.integer = 0};
    if (unit == QUANTITY_PERCENTILE)
        return read_percentile(text, number);
    const char *problem = quantity_read(kinds[unit], text, &value);
    if (problem)
        return problem;
    if (unit == QUANTITY_RATE && (value.real > 1e12 || value.real < 1e-6))
        return "this rate is too high or too low";
    *number = unit == QUANTITY_RATE ? (int64_t)(value.real * 1e6 + 0.5) : value.integer;
    return NULL;
}
