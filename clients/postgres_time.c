/* Dates, times and intervals between text and PostgreSQL's binary form: see postgres_types.h. Pure
 * functions; any thread. */
#include <stdio.h>
#include <string.h>

#include "clients/postgres_types.h"
#include "core/calendar.h"

#define EPOCH_DAYS     10957 /* 2000-01-01 */
#define SECOND         1000000LL
#define DAY            (86400 * SECOND)
#define YEAR_LEAST     (-4712)
#define YEAR_MOST      294276
#define DATE_YEAR_MOST 5874897

struct cursor {
    const char *at;
    const char *end;
};

static bool take(struct cursor *cursor, char byte)
{
    bool there = cursor->at < cursor->end && *cursor->at == byte;
    cursor->at += there;
    return there;
}

/* Exactly `digits` of them. */
static bool take_number(struct cursor *cursor, unsigned digits, unsigned *number)
{
    *number = 0;
    if ((size_t)(cursor->end - cursor->at) < digits)
        return false;
    for (; digits > 0; digits--, cursor->at++) {
        unsigned digit = (unsigned)(unsigned char)*cursor->at - '0';
        if (digit > 9)
            return false;
        *number = *number * 10 + digit;
    }
    return true;
}

/* YYYY-MM-DD; years of more than four digits and a sign as calendar_write_timestamp has them. */
static bool take_date(struct cursor *cursor, int64_t year_most, int64_t *days)
{
    unsigned month, day;
    bool negative = take(cursor, '-');
    int64_t year = 0;
    unsigned digits = 0;
    for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9' && digits < 8;
         digits++)
        year = year * 10 + (*cursor->at++ - '0');
    if (digits < 4 || !take(cursor, '-') || !take_number(cursor, 2, &month) || !take(cursor, '-') ||
        !take_number(cursor, 2, &day))
        return false;
    year = negative ? -year : year;
    if (year < YEAR_LEAST || year > year_most || month < 1 || month > 12 || day < 1 ||
        day > calendar_month_length(year, month))
        return false;
    *days = calendar_days(year, month, day) - EPOCH_DAYS;
    return true;
}

/* ".25" in microseconds, rounded to the nearest. */
static int64_t take_fraction(struct cursor *cursor, bool *valid)
{
    int64_t fraction = 0, unit = 10 * SECOND;
    *valid = true;
    if (!take(cursor, '.') && !take(cursor, ','))
        return 0;
    const char *start = cursor->at;
    for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++) {
        unit /= 10; /* 10^6 for the first digit, … 1 for the seventh, then 0 */
        fraction += (*cursor->at - '0') * unit;
    }
    *valid = cursor->at > start;
    return (fraction + 5) / 10;
}

static bool take_time(struct cursor *cursor, int64_t *microseconds)
{
    unsigned hours, minutes, seconds = 0;
    bool valid = true;
    int64_t fraction = 0;
    if (!take_number(cursor, 2, &hours) || !take(cursor, ':') || !take_number(cursor, 2, &minutes))
        return false;
    if (take(cursor, ':')) {
        if (!take_number(cursor, 2, &seconds))
            return false;
        fraction = take_fraction(cursor, &valid);
    }
    *microseconds = (int64_t)(hours * 3600 + minutes * 60 + seconds) * SECOND + fraction;
    return valid && hours <= 24 && minutes < 60 && seconds <= 60 && *microseconds <= DAY;
}

static bool take_zone(struct cursor *cursor, int64_t *offset)
{
    unsigned hours, minutes = 0;
    *offset = 0;
    if (take(cursor, 'Z') || take(cursor, 'z'))
        return true;
    bool negative = take(cursor, '-');
    if ((!negative && !take(cursor, '+')) || !take_number(cursor, 2, &hours))
        return false;
    if (take(cursor, ':') && !take_number(cursor, 2, &minutes))
        return false;
    if (hours > 15 || minutes > 59)
        return false;
    *offset = (int64_t)(hours * 60 + minutes) * 60 * SECOND;
    *offset = negative ? -*offset : *offset;
    return true;
}

bool postgres_date_read(struct string text, int32_t *days)
{
    struct cursor cursor = {text.data, text.data + text.length};
    int64_t wide;
    bool minus = string_equal_text(text, "-infinity");
    if (minus || string_equal_text(text, "infinity")) {
        *days = minus ? INT32_MIN : INT32_MAX;
        return true;
    }
    if (!take_date(&cursor, DATE_YEAR_MOST, &wide) || cursor.at != cursor.end)
        return false;
    *days = (int32_t)wide;
    return true;
}

bool postgres_timestamp_read(struct string text, int64_t *microseconds, bool *zoned)
{
    struct cursor cursor = {text.data, text.data + text.length};
    int64_t days, time = 0, offset = 0;
    bool minus = string_equal_text(text, "-infinity");
    *zoned = minus || string_equal_text(text, "infinity");
    if (*zoned) {
        *microseconds = minus ? INT64_MIN : INT64_MAX;
        return true;
    }
    if (!take_date(&cursor, YEAR_MOST, &days))
        return false;
    if (take(&cursor, 'T') || take(&cursor, 't') || take(&cursor, ' ')) {
        if (!take_time(&cursor, &time))
            return false;
        *zoned = cursor.at < cursor.end;
        if (*zoned && !take_zone(&cursor, &offset))
            return false;
    }
    *microseconds = days * DAY + time - offset;
    return cursor.at == cursor.end;
}

bool postgres_time_read(struct string text, int64_t *microseconds)
{
    struct cursor cursor = {text.data, text.data + text.length};
    return take_time(&cursor, microseconds) && cursor.at == cursor.end;
}

/* ---- intervals ---- */

/* One number of an interval with its unit: [-]digits[.digits]UNIT. */
static bool take_amount(struct cursor *cursor, int64_t *whole, int64_t *fraction, char *unit)
{
    bool negative = take(cursor, '-');
    bool valid;
    unsigned digits = 0;
    *whole = 0;
    for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9' && digits < 15;
         digits++)
        *whole = *whole * 10 + (*cursor->at++ - '0');
    *fraction = take_fraction(cursor, &valid);
    if (digits == 0 || !valid || cursor->at == cursor->end)
        return false;
    *unit = *cursor->at++;
    if (negative) {
        *whole = -*whole;
        *fraction = -*fraction;
    }
    return *fraction == 0 || *unit == 'S' || *unit == 's';
}

static bool interval_add(struct postgres_interval *interval, int64_t whole, int64_t fraction,
                         int64_t microseconds_each)
{
    int64_t product;
    return !__builtin_mul_overflow(whole, microseconds_each, &product) &&
           !__builtin_add_overflow(product, fraction, &product) &&
           !__builtin_add_overflow(interval->microseconds, product, &interval->microseconds);
}

static bool date_part_add(struct postgres_interval *interval, int64_t whole, char unit)
{
    int32_t add;
    int32_t factor = unit == 'Y' ? 12 : unit == 'W' ? 7 : 1;
    if (unit != 'Y' && unit != 'M' && unit != 'W' && unit != 'D')
        return false;
    int32_t *sum = unit == 'Y' || unit == 'M' ? &interval->months : &interval->days;
    return !__builtin_mul_overflow(whole, factor, &add) && !__builtin_add_overflow(*sum, add, sum);
}

static bool iso_read(struct cursor *cursor, struct postgres_interval *interval)
{
    bool in_time = false, any = false;
    while (cursor->at < cursor->end) {
        int64_t whole, fraction;
        char unit;
        if (!in_time && take(cursor, 'T')) {
            in_time = true;
            any = false;
            continue;
        }
        if (!take_amount(cursor, &whole, &fraction, &unit))
            return false;
        bool fits = !in_time      ? date_part_add(interval, whole, unit)
                    : unit == 'H' ? interval_add(interval, whole, 0, 3600 * SECOND)
                    : unit == 'M' ? interval_add(interval, whole, 0, 60 * SECOND)
                    : unit == 'S' ? interval_add(interval, whole, fraction, SECOND)
                                  : false;
        if (!fits)
            return false;
        any = true;
    }
    return any;
}

bool postgres_interval_read(struct string text, struct postgres_interval *interval)
{
    struct cursor cursor = {text.data, text.data + text.length};
    int64_t whole, fraction;
    char unit;
    *interval = (struct postgres_interval){0};
    struct cursor iso = cursor;
    bool negative = take(&iso, '-');
    if (take(&iso, 'P')) {
        if (!iso_read(&iso, interval))
            return false;
        if (negative) {
            if (interval->microseconds == INT64_MIN || interval->days == INT32_MIN ||
                interval->months == INT32_MIN)
                return false;
            interval->microseconds = -interval->microseconds;
            interval->days = -interval->days;
            interval->months = -interval->months;
        }
        return true;
    }
    return take_amount(&cursor, &whole, &fraction, &unit) && unit == 's' &&
           cursor.at == cursor.end && interval_add(interval, whole, fraction, SECOND);
}

/* ---- writing ---- */

static size_t word_write(char *out, const char *word)
{
    size_t length = strlen(word);
    memcpy(out, word, length);
    return length;
}

size_t postgres_timestamp_write(char *out, int64_t microseconds, bool zoned)
{
    if (microseconds == INT64_MAX || microseconds == INT64_MIN)
        return word_write(out, microseconds == INT64_MAX ? "infinity" : "-infinity");
    int64_t seconds = microseconds / SECOND, rest = microseconds % SECOND;
    if (rest < 0) {
        rest += SECOND;
        seconds--;
    }
    size_t length =
        calendar_write_timestamp(out, seconds + EPOCH_DAYS * 86400LL, (uint32_t)rest * 1000);
    return zoned ? length : length - 1; /* without the Z */
}

size_t postgres_date_write(char *out, int32_t days)
{
    if (days == INT32_MAX || days == INT32_MIN)
        return word_write(out, days == INT32_MAX ? "infinity" : "-infinity");
    size_t length = calendar_write_timestamp(out, (days + (int64_t)EPOCH_DAYS) * 86400, 0);
    return length - (sizeof("T00:00:00Z") - 1);
}

size_t postgres_time_write(char *out, int64_t microseconds)
{
    if (microseconds >= DAY)
        return word_write(out, "24:00:00");
    char text[CALENDAR_TEXT_SIZE];
    if (microseconds < 0)
        microseconds = 0;
    size_t length = calendar_write_timestamp(text, microseconds / SECOND,
                                             (uint32_t)(microseconds % SECOND) * 1000);
    size_t skip = sizeof("1970-01-01T") - 1;
    memcpy(out, text + skip, length - skip - 1);
    return length - skip - 1;
}

size_t postgres_interval_write(char *out, const struct postgres_interval *interval)
{
    char *begin = out;
    char *end = out + POSTGRES_TIME_SIZE;
    *out++ = 'P';
    if (interval->months / 12)
        out += snprintf(out, (size_t)(end - out), "%dY", interval->months / 12);
    if (interval->months % 12)
        out += snprintf(out, (size_t)(end - out), "%dM", interval->months % 12);
    if (interval->days)
        out += snprintf(out, (size_t)(end - out), "%dD", interval->days);
    int64_t seconds = interval->microseconds / SECOND;
    int64_t rest = interval->microseconds % SECOND;
    if (seconds == 0 && rest == 0)
        return out - begin > 1 ? (size_t)(out - begin) : word_write(begin, "PT0S");
    *out++ = 'T';
    if (seconds / 3600)
        out += snprintf(out, (size_t)(end - out), "%lldH", (long long)(seconds / 3600));
    if (seconds / 60 % 60)
        out += snprintf(out, (size_t)(end - out), "%lldM", (long long)(seconds / 60 % 60));
    seconds %= 60;
    if (seconds == 0 && rest == 0)
        return (size_t)(out - begin);
    bool negative = seconds < 0 || rest < 0;
    int64_t whole = seconds < 0 ? -seconds : seconds, part = rest < 0 ? -rest : rest;
    out += snprintf(out, (size_t)(end - out), "%s%lld", negative ? "-" : "", (long long)whole);
    if (part) {
        out += snprintf(out, (size_t)(end - out), ".%06lld", (long long)part);
        while (out[-1] == '0')
            out--;
    }
    *out++ = 'S';
    return (size_t)(out - begin);
}
