/* time.parse: timestamps of other forms than RFC 3339, by a format like strptime's. English names,
 * no locale. Pure; any thread. */
#include <string.h>
#include <strings.h>

#include "core/calendar.h"
#include "lang/time_internal.h"

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};

struct reading {
    const char *at;
    const char *end;
    int64_t epoch; /* %s */
    bool has_epoch, has_afternoon, afternoon, has_day_of_year;
    unsigned year, month, day, hour, minute, second, day_of_year;
    uint32_t nanoseconds;
    int32_t offset;
};

static const char *expansion(char directive)
{
    switch (directive) {
    case 'T':
        return "%H:%M:%S";
    case 'F':
        return "%Y-%m-%d";
    case 'D':
        return "%m/%d/%y";
    case 'R':
        return "%H:%M";
    default:
        return NULL;
    }
}

bool timestamp_format_valid(struct string format, size_t *bad_offset)
{
    for (size_t i = 0; i < format.length; i++) {
        if (format.data[i] != '%')
            continue;
        *bad_offset = i++;
        if (i == format.length || format.data[i] == 0 ||
            !strchr("YmdHMSfzbBaAyejpIsTFDRZ%", format.data[i]))
            return false;
    }
    return true;
}

/* At least one digit, at most `most`. */
static bool read_number(struct reading *reading, unsigned most, unsigned *number)
{
    unsigned count = 0;
    *number = 0;
    while (count < most && reading->at < reading->end && *reading->at >= '0' &&
           *reading->at <= '9') {
        *number = *number * 10 + (unsigned)(*reading->at++ - '0');
        count++;
    }
    return count > 0;
}

static bool read_range(struct reading *reading, unsigned digits, unsigned low, unsigned high,
                       unsigned *number)
{
    return read_number(reading, digits, number) && *number >= low && *number <= high;
}

/* A whole name or its first three letters, in any case; *index. */
static bool read_name(struct reading *reading, const char *const *names, unsigned count,
                      unsigned *index)
{
    size_t left = (size_t)(reading->end - reading->at);
    for (unsigned i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (left < 3 || strncasecmp(reading->at, names[i], 3) != 0)
            continue;
        bool whole = left >= length && strncasecmp(reading->at, names[i], length) == 0;
        reading->at += whole ? length : 3;
        *index = i;
        return true;
    }
    return false;
}

static bool read_fraction(struct reading *reading)
{
    const char *from = reading->at;
    uint32_t unit = 100000000;
    reading->nanoseconds = 0;
    for (; reading->at < reading->end && *reading->at >= '0' && *reading->at <= '9'; unit /= 10)
        reading->nanoseconds += (uint32_t)(*reading->at++ - '0') * unit;
    return reading->at > from;
}

/* Z, +hh, +hhmm or +hh:mm */
static bool read_zone(struct reading *reading)
{
    if (reading->at < reading->end && *reading->at == 'Z') {
        reading->at++;
        return true;
    }
    if (reading->at == reading->end || (*reading->at != '+' && *reading->at != '-'))
        return false;
    int sign = *reading->at++ == '-' ? -1 : 1;
    unsigned hours, minutes = 0;
    const char *from = reading->at;
    if (!read_range(reading, 2, 0, 23, &hours) || reading->at - from != 2)
        return false;
    bool colon = reading->at < reading->end && *reading->at == ':';
    reading->at += colon;
    from = reading->at;
    if (read_number(reading, 2, &minutes) ? reading->at - from != 2 || minutes > 59 : colon)
        return false;
    reading->offset = sign * (int32_t)(hours * 3600 + minutes * 60);
    return true;
}

static bool read_zone_name(struct reading *reading)
{
    size_t left = (size_t)(reading->end - reading->at);
    if (left < 3 || (memcmp(reading->at, "UTC", 3) != 0 && memcmp(reading->at, "GMT", 3) != 0))
        return false;
    reading->at += 3;
    return true;
}

static bool read_epoch(struct reading *reading)
{
    bool negative = reading->at < reading->end && *reading->at == '-';
    reading->at += negative;
    const char *from = reading->at;
    while (reading->at < reading->end && *reading->at >= '0' && *reading->at <= '9' &&
           reading->at - from < 13)
        reading->epoch = reading->epoch * 10 + (*reading->at++ - '0');
    if (negative)
        reading->epoch = -reading->epoch;
    reading->has_epoch = true;
    return reading->at > from;
}

static bool read_half(struct reading *reading)
{
    if (reading->end - reading->at < 2 || strncasecmp(reading->at + 1, "m", 1) != 0 ||
        !strchr("aApP", *reading->at))
        return false;
    reading->afternoon = *reading->at == 'p' || *reading->at == 'P';
    reading->has_afternoon = true;
    reading->at += 2;
    return true;
}

static bool read_year_of_century(struct reading *reading)
{
    if (!read_range(reading, 2, 0, 99, &reading->year))
        return false;
    reading->year += reading->year < 69 ? 2000 : 1900; /* as POSIX has it */
    return true;
}

static bool read_directive(struct reading *reading, char directive)
{
    unsigned index;
    switch (directive) {
    case 'Y':
        return read_range(reading, 4, 1, 9999, &reading->year);
    case 'y':
        return read_year_of_century(reading);
    case 'm':
        return read_range(reading, 2, 1, 12, &reading->month);
    case 'e':
        reading->at += reading->at < reading->end && *reading->at == ' ';
        return read_range(reading, 2, 1, 31, &reading->day);
    case 'd':
        return read_range(reading, 2, 1, 31, &reading->day);
    case 'j':
        reading->has_day_of_year = true;
        return read_range(reading, 3, 1, 366, &reading->day_of_year);
    case 'H':
        return read_range(reading, 2, 0, 23, &reading->hour);
    case 'I':
        return read_range(reading, 2, 1, 12, &reading->hour);
    case 'M':
        return read_range(reading, 2, 0, 59, &reading->minute);
    case 'S':
        return read_range(reading, 2, 0, 59, &reading->second);
    case 'f':
        return read_fraction(reading);
    case 'p':
        return read_half(reading);
    case 's':
        return read_epoch(reading);
    case 'z':
        return read_zone(reading);
    case 'Z':
        return read_zone_name(reading);
    case 'b':
    case 'B':
        if (!read_name(reading, months, 12, &index))
            return false;
        reading->month = index + 1;
        return true;
    case 'a':
    case 'A':
        return read_name(reading, weekdays, 7, &index);
    default:
        return false;
    }
}

static bool read_all(struct reading *reading, const char *format, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = format[i];
        if (c == '%' && i + 1 < length && format[i + 1] != '%') {
            c = format[++i];
            const char *parts = expansion(c);
            if (parts ? !read_all(reading, parts, strlen(parts)) : !read_directive(reading, c))
                return false;
            continue;
        }
        i += c == '%';
        if (reading->at == reading->end || *reading->at++ != c)
            return false;
    }
    return true;
}

static struct value reading_value(struct reading *reading)
{
    if (reading->has_epoch)
        return timestamp_make(reading->epoch, reading->nanoseconds);
    if (reading->has_afternoon)
        reading->hour = reading->hour % 12 + (reading->afternoon ? 12 : 0);
    int64_t days;
    if (reading->has_day_of_year) {
        if (reading->day_of_year > 365u + calendar_is_leap(reading->year))
            return value_error(ERROR_CONVERSION);
        days = calendar_days(reading->year, 1, 1) + reading->day_of_year - 1;
    } else {
        if (reading->day > calendar_month_length(reading->year, reading->month))
            return value_error(ERROR_CONVERSION);
        days = calendar_days(reading->year, reading->month, reading->day);
    }
    int64_t seconds = days * 86400 + reading->hour * 3600 + reading->minute * 60 + reading->second;
    return timestamp_make(seconds - reading->offset, reading->nanoseconds);
}

struct value timestamp_parse_format(struct string text, struct string format)
{
    struct reading reading = {
        .at = text.data, .end = text.data + text.length, .year = 1970, .month = 1, .day = 1};
    if (!read_all(&reading, format.data, format.length) || reading.at != reading.end)
        return value_error_text(ERROR_CONVERSION, "the text does not have that format",
                                strlen("the text does not have that format"));
    return reading_value(&reading);
}
