/* Dates, and the text of timestamps and durations: see calendar.h. */
#include "core/calendar.h"

#define DAY_SECONDS 86400
#define NANOS       1000000000U
/* The Gregorian calendar repeats after 400 years, an era. Years here begin in March, so that the
 * leap day is the last day of its year. */
#define ERA_YEARS 400
#define ERA_DAYS  146097
/* From 0000-03-01, where eras begin, to 1970-01-01. */
#define EPOCH_DAYS 719468

static int64_t divide_down(int64_t value, int64_t divisor)
{
    return value / divisor - (value % divisor < 0);
}

int64_t calendar_days(int64_t year, unsigned month, unsigned day)
{
    CHECK(month >= 1 && month <= 12);
    year -= month <= 2;
    int64_t era = divide_down(year, ERA_YEARS);
    int64_t year_of_era = year - era * ERA_YEARS;
    unsigned month_from_march = month > 2 ? month - 3 : month + 9;
    /* 153 days in five months beginning with March: 31 + 30 + 31 + 30 + 31 */
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + (int64_t)day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - EPOCH_DAYS;
}

void calendar_date(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += EPOCH_DAYS;
    int64_t era = divide_down(days, ERA_DAYS);
    unsigned day_of_era = (unsigned)(days - era * ERA_DAYS);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    *month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    *year = (int64_t)year_of_era + era * ERA_YEARS + (*month <= 2);
}

bool calendar_is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

unsigned calendar_month_length(int64_t year, unsigned month)
{
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    CHECK(month >= 1 && month <= 12);
    return lengths[month - 1] + (month == 2 && calendar_is_leap(year));
}

/* `natural` in at least `width` digits. */
static char *digits_write(char *out, uint64_t natural, unsigned width)
{
    char reversed[20];
    unsigned count = 0;
    while (natural || count < width) {
        reversed[count++] = (char)('0' + natural % 10);
        natural /= 10;
    }
    while (count)
        *out++ = reversed[--count];
    return out;
}

/* ".25" without zeros at the end; nothing for 0. */
static char *fraction_write(char *out, uint32_t nanoseconds)
{
    unsigned width = 9;
    if (nanoseconds == 0)
        return out;
    for (; nanoseconds % 10 == 0; nanoseconds /= 10)
        width--;
    *out++ = '.';
    return digits_write(out, nanoseconds, width);
}

size_t calendar_write_timestamp(char *out, int64_t seconds, uint32_t nanoseconds)
{
    CHECK(nanoseconds < NANOS);
    int64_t days = divide_down(seconds, DAY_SECONDS);
    unsigned second_of_day = (unsigned)((seconds % DAY_SECONDS + DAY_SECONDS) % DAY_SECONDS);
    int64_t year;
    unsigned month;
    unsigned day;
    calendar_date(days, &year, &month, &day);
    char *cursor = out;
    if (year < 0)
        *cursor++ = '-';
    cursor = digits_write(cursor, (uint64_t)(year < 0 ? -year : year), 4);
    *cursor++ = '-';
    cursor = digits_write(cursor, month, 2);
    *cursor++ = '-';
    cursor = digits_write(cursor, day, 2);
    *cursor++ = 'T';
    cursor = digits_write(cursor, second_of_day / 3600, 2);
    *cursor++ = ':';
    cursor = digits_write(cursor, second_of_day / 60 % 60, 2);
    *cursor++ = ':';
    cursor = digits_write(cursor, second_of_day % 60, 2);
    cursor = fraction_write(cursor, nanoseconds);
    *cursor++ = 'Z';
    return (size_t)(cursor - out);
}

size_t calendar_write_duration(char *out, int64_t nanoseconds)
{
    char *cursor = out;
    uint64_t magnitude = (uint64_t)nanoseconds;
    if (nanoseconds < 0) {
        *cursor++ = '-';
        magnitude = 0 - magnitude;
    }
    cursor = digits_write(cursor, magnitude / NANOS, 1);
    cursor = fraction_write(cursor, (uint32_t)(magnitude % NANOS));
    *cursor++ = 's';
    return (size_t)(cursor - out);
}
