/* Timestamps and durations: parsing, parts, arithmetic. See time.h. */
#include "lang/time.h"

#include <string.h>

#include "core/calendar.h"
#include "lang/time_internal.h"
#include "lang/zone.h"

#define DAY 86400

struct value timestamp_make(int64_t seconds, uint32_t nanoseconds)
{
    if (seconds < TIMESTAMP_FIRST || seconds > TIMESTAMP_LAST)
        return value_error(ERROR_OVERFLOW);
    return (struct value){.kind = VALUE_TIMESTAMP, .length = nanoseconds, .integer = seconds};
}

/* Exactly `count` digits at text. */
static bool read_digits(const char *text, unsigned count, unsigned *number)
{
    *number = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned digit = (unsigned char)text[i] - '0';
        if (digit > 9)
            return false;
        *number = *number * 10 + digit;
    }
    return true;
}

/* Z or [+-]hh:mm, all of text. */
static bool read_zone(const char *text, size_t length, int32_t *offset)
{
    *offset = 0;
    if (length == 1 && text[0] == 'Z')
        return true;
    unsigned hours, minutes;
    if (length != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':' ||
        !read_digits(text + 1, 2, &hours) || !read_digits(text + 4, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *offset = (int32_t)(hours * 3600 + minutes * 60);
    if (text[0] == '-')
        *offset = -*offset;
    return true;
}

struct value timestamp_parse(struct string text)
{
    const char *at = text.data;
    unsigned year, month, day, hour, minute, second;
    if (text.length < 20 || at[4] != '-' || at[7] != '-' || at[10] != 'T' || at[13] != ':' ||
        at[16] != ':' || !read_digits(at, 4, &year) || !read_digits(at + 5, 2, &month) ||
        !read_digits(at + 8, 2, &day) || !read_digits(at + 11, 2, &hour) ||
        !read_digits(at + 14, 2, &minute) || !read_digits(at + 17, 2, &second))
        goto wrong;
    if (month < 1 || month > 12 || day < 1 || day > calendar_month_length(year, month) ||
        hour > 23 || minute > 59 || second > 59)
        goto wrong;
    at += 19;
    const char *end = text.data + text.length;
    uint32_t nanoseconds = 0;
    if (*at == '.') {
        const char *from = ++at;
        uint32_t unit = 100000000;
        for (; at < end && *at >= '0' && *at <= '9'; at++, unit /= 10)
            nanoseconds += (uint32_t)(*at - '0') * unit;
        if (at == from)
            goto wrong;
    }
    int32_t offset;
    if (!read_zone(at, (size_t)(end - at), &offset))
        goto wrong;
    int64_t seconds = calendar_days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    return timestamp_make(seconds - offset, nanoseconds);
wrong:
    return value_error_text(ERROR_CONVERSION, "not an RFC 3339 timestamp",
                            strlen("not an RFC 3339 timestamp"));
}

/* The unit at *at in nanoseconds, or 0. */
static int64_t read_unit(const char **at, const char *end)
{
    static const struct {
        const char *name;
        int64_t nanoseconds;
    } units[] = {
        {"ms", 1000000}, {"us", 1000},         {"µs", 1000},       {"μs", 1000},
        {"ns", 1},       {"h", 3600000000000}, {"m", 60000000000}, {"s", 1000000000},
    };
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        size_t length = strlen(units[i].name);
        if ((size_t)(end - *at) >= length && memcmp(*at, units[i].name, length) == 0) {
            *at += length;
            return units[i].nanoseconds;
        }
    }
    return 0;
}

/* One "1.5h" added to *sum. False: not of that form. *sum stops growing at 2^64. */
static bool read_span(const char **at, const char *end, __int128 *sum)
{
    __int128 whole = 0, fraction = 0, scale = 1;
    const char *from = *at;
    unsigned digits = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at, digits++)
        whole = whole < ((__int128)1 << 64) ? whole * 10 + (**at - '0') : whole;
    if (*at < end && **at == '.') {
        ++*at;
        for (; *at < end && **at >= '0' && **at <= '9'; ++*at, digits++) {
            if (scale < 1000000000000000000) {
                fraction = fraction * 10 + (**at - '0');
                scale *= 10;
            }
        }
    }
    if (digits == 0 || *at == from)
        return false;
    int64_t unit = read_unit(at, end);
    if (unit == 0)
        return false;
    *sum += whole * unit + fraction * unit / scale;
    if (*sum > ((__int128)1 << 64))
        *sum = (__int128)1 << 64;
    return true;
}

struct value duration_parse(struct string text)
{
    const char *at = text.data, *end = text.data + text.length;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    __int128 sum = 0;
    if (end - at == 1 && *at == '0')
        at = end;
    else if (at == end)
        goto wrong;
    while (at < end) {
        if (!read_span(&at, end, &sum))
            goto wrong;
    }
    if (sum > (__int128)INT64_MAX + negative)
        return value_error(ERROR_OVERFLOW);
    return (struct value){.kind = VALUE_DURATION, .integer = (int64_t)(negative ? -sum : sum)};
wrong:
    return value_error_text(ERROR_CONVERSION, "not a duration", strlen("not a duration"));
}

struct value timestamp_part(struct value timestamp, enum time_part part, struct string zone)
{
    int32_t offset;
    if (!zone_offset(zone, timestamp.integer, &offset))
        return value_error_text(ERROR_RANGE, "unknown time zone", strlen("unknown time zone"));
    int64_t seconds = timestamp.integer + offset;
    int64_t days = seconds / DAY - (seconds % DAY < 0);
    int64_t rest = seconds - days * DAY;
    int64_t year;
    unsigned month, day;
    calendar_date(days, &year, &month, &day);
    switch (part) {
    case TIME_YEAR:
        return value_int(year);
    case TIME_MONTH:
        return value_int(month - 1);
    case TIME_DATE:
        return value_int(day);
    case TIME_DAY_OF_MONTH:
        return value_int(day - 1);
    case TIME_DAY_OF_WEEK: /* 1970-01-01 was a Thursday */
        return value_int(((days + 4) % 7 + 7) % 7);
    case TIME_DAY_OF_YEAR:
        return value_int(days - calendar_days(year, 1, 1));
    case TIME_HOURS:
        return value_int(rest / 3600);
    case TIME_MINUTES:
        return value_int(rest / 60 % 60);
    case TIME_SECONDS:
        return value_int(rest % 60);
    case TIME_MILLISECONDS:
        return value_int(timestamp.length / 1000000);
    }
    CHECK(!"a part of a timestamp");
    return value_null();
}

struct value timestamp_add(struct value timestamp, int64_t nanoseconds)
{
    __int128 all = (__int128)timestamp.integer * 1000000000 + timestamp.length + nanoseconds;
    __int128 seconds = all / 1000000000;
    int64_t rest = (int64_t)(all % 1000000000);
    if (rest < 0) {
        rest += 1000000000;
        seconds--;
    }
    return timestamp_make((int64_t)seconds, (uint32_t)rest);
}

struct value timestamp_difference(struct value a, struct value b)
{
    __int128 all = ((__int128)a.integer - b.integer) * 1000000000 + (int64_t)a.length - b.length;
    if (all < INT64_MIN || all > INT64_MAX)
        return value_error(ERROR_OVERFLOW);
    return (struct value){.kind = VALUE_DURATION, .integer = (int64_t)all};
}
