/* Quantities on the command line: see quantity.h. */
#include "cli/quantity.h"

#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", 1024},
    {"MiB", 1024 * 1024},
    {"GiB", 1024 * 1024 * 1024},
    {"TiB", 1024ull * 1024 * 1024 * 1024},
    {"KB", 1000},
    {"MB", 1000 * 1000},
    {"GB", 1000 * 1000 * 1000},
    {"TB", 1000ull * 1000 * 1000 * 1000},
};

static const struct unit duration_units[] = {
    {"us", 1000},
    {"ms", 1000 * 1000},
    {"s", 1000 * 1000 * 1000},
    {"m", 60 * 1000000000ull},
    {"h", 3600 * 1000000000ull},
    {"d", 86400 * 1000000000ull},
};

/* Reads digits; *end is left behind them. False without any, or when they do not fit. */
static bool digits_read(const char *text, uint64_t *number, const char **end)
{
    const char *at = text;
    *number = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(*at - '0'), number))
            return false;
    *end = at;
    return at > text;
}

static bool units_read(const char *text, const struct unit *units, size_t count, uint64_t *amount)
{
    const char *unit;
    if (!digits_read(text, amount, &unit) || *amount == 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(unit, units[i].name) == 0)
            return !__builtin_mul_overflow(*amount, units[i].factor, amount) &&
                   *amount <= INT64_MAX;
    return false;
}

bool quantity_whole(const char *text, uint64_t *number)
{
    const char *end;
    return digits_read(text, number, &end) && !*end;
}

bool quantity_size(const char *text, uint64_t *bytes)
{
    return units_read(text, size_units, ARRAY_SIZE(size_units), bytes);
}

bool quantity_duration(const char *text, int64_t *nanoseconds)
{
    uint64_t amount;
    if (!units_read(text, duration_units, ARRAY_SIZE(duration_units), &amount))
        return false;
    *nanoseconds = (int64_t)amount;
    return true;
}
