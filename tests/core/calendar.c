/* Dates: against the C library's gmtime_r, and durations written by hand. */
#include "core/calendar.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/core/random.h"
#include "tests/suite.h"

#define FIRST_SECOND (-62167219200LL) /* 0000-01-01T00:00:00Z */
#define LAST_SECOND  253402300799LL   /* 9999-12-31T23:59:59Z */

static void expect_as_gmtime(int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm tm;
    CU_ASSERT_FATAL(gmtime_r(&time, &tm) != NULL);
    char expected[64];
    snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    char text[CALENDAR_TEXT_SIZE + 1];
    text[calendar_write_timestamp(text, seconds, 0)] = 0;
    CU_ASSERT_FATAL(strcmp(text, expected) == 0);
    int64_t days = calendar_days(tm.tm_year + 1900, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday);
    int64_t second = tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
    CU_ASSERT_FATAL(days * 86400 + second == seconds);
}

static void test_every_day(void)
{
    for (int64_t seconds = FIRST_SECOND; seconds <= LAST_SECOND; seconds += 86400 * 3)
        expect_as_gmtime(seconds);
    uint64_t state = 31;
    for (unsigned i = 0; i < 200000; i++)
        expect_as_gmtime(FIRST_SECOND +
                         (int64_t)random_below(&state, (uint64_t)(LAST_SECOND - FIRST_SECOND)));
    static const int64_t edges[] = {0, -1, 951782399, 951782400, FIRST_SECOND, LAST_SECOND};
    for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
        expect_as_gmtime(edges[i]);
}

static void test_dates(void)
{
    int64_t year;
    unsigned month;
    unsigned day;
    for (int64_t days = -800000; days < 800000; days++) {
        calendar_date(days, &year, &month, &day);
        CU_ASSERT_FATAL(calendar_days(year, month, day) == days);
        CU_ASSERT_FATAL(day >= 1 && day <= calendar_month_length(year, month));
    }
    CU_ASSERT(calendar_is_leap(2000) && calendar_is_leap(2024) && !calendar_is_leap(1900));
    CU_ASSERT_EQUAL(calendar_month_length(2023, 2), 28);
    CU_ASSERT_EQUAL(calendar_month_length(2024, 2), 29);
    CU_ASSERT_EQUAL(calendar_month_length(2024, 12), 31);
}

static void expect_timestamp(int64_t seconds, uint32_t nanoseconds, const char *expected)
{
    char text[CALENDAR_TEXT_SIZE + 1];
    text[calendar_write_timestamp(text, seconds, nanoseconds)] = 0;
    CU_ASSERT_STRING_EQUAL(text, expected);
}

static void expect_duration(int64_t nanoseconds, const char *expected)
{
    char text[CALENDAR_TEXT_SIZE + 1];
    text[calendar_write_duration(text, nanoseconds)] = 0;
    CU_ASSERT_STRING_EQUAL(text, expected);
}

static void test_fractions(void)
{
    expect_timestamp(0, 0, "1970-01-01T00:00:00Z");
    expect_timestamp(1357016400, 250000000, "2013-01-01T05:00:00.25Z");
    expect_timestamp(-1, 999999999, "1969-12-31T23:59:59.999999999Z");
    expect_timestamp(0, 1, "1970-01-01T00:00:00.000000001Z");
    expect_timestamp(0, 100, "1970-01-01T00:00:00.0000001Z");
    expect_duration(1500000000, "1.5s");
    expect_duration(-500000000, "-0.5s");
    expect_duration(5400000000000, "5400s");
    expect_duration(0, "0s");
    expect_duration(1, "0.000000001s");
    expect_duration(INT64_MAX, "9223372036.854775807s");
    expect_duration(INT64_MIN, "-9223372036.854775808s");
}

static void test_longest(void)
{
    char text[CALENDAR_TEXT_SIZE];
    CU_ASSERT(calendar_write_timestamp(text, INT64_MIN, 999999999) <= CALENDAR_TEXT_SIZE);
    CU_ASSERT(calendar_write_timestamp(text, INT64_MAX, 999999999) <= CALENDAR_TEXT_SIZE);
}

SUITE(calendar, {"timestamps as by gmtime_r", test_every_day}, {"days and dates", test_dates},
      {"fractions and durations", test_fractions}, {"the longest text fits", test_longest})
