/* Timestamps, durations, zones and time.parse. The tables come from Python (data/README.md). */
#include "lang/time.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/calendar.h"
#include "core/thread.h"
#include "lang/zone.h"
#include "tests/lang/evaluate.h"
#include "tests/suite.h"

static struct string text_of(const char *text)
{
    return (struct string){text, strlen(text)};
}

static void zones_agree(void)
{
    FILE *file = fopen("tests/lang/data/zones.txt", "r");
    CU_ASSERT_FATAL(file != NULL);
    char name[64];
    int64_t seconds;
    int32_t expected, offset;
    unsigned count = 0;
    while (fscanf(file, "%63s %" SCNd64 " %" SCNd32, name, &seconds, &expected) == 3) {
        bool found = zone_offset(text_of(name), seconds, &offset);
        if (!found || offset != expected)
            printf("%s %" PRId64 ": %d, expected %d\n", name, seconds, offset, expected);
        CU_ASSERT(found && offset == expected);
        count++;
    }
    fclose(file);
    CU_ASSERT_EQUAL(count, 192);
}

static void hostile_zones(void)
{
    static const char *const bad[] = {"../../../etc/passwd",
                                      "/etc/localtime",
                                      "Europe/../UTC",
                                      "europe/paris",
                                      "Europe",
                                      "Europe/Paris ",
                                      "+1:00",
                                      "+24:00",
                                      "+01:60",
                                      "posixrules/",
                                      "leapseconds",
                                      "+0100",
                                      "Europe//Paris",
                                      ".",
                                      "tzdata.zi"};
    int32_t offset;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        bool found = zone_offset(text_of(bad[i]), 0, &offset);
        if (found)
            printf("%s is taken for a zone\n", bad[i]);
        CU_ASSERT_FALSE(found);
    }
    char name[100];
    for (unsigned i = 0; i < 500; i++) { /* more than the cache holds */
        snprintf(name, sizeof(name), "No/Such%u", i);
        CU_ASSERT_FALSE(zone_offset(text_of(name), 0, &offset));
    }
    CU_ASSERT(zone_offset(text_of("Europe/Paris"), 0, &offset) && offset == 3600);
    memset(name, 'a', sizeof(name));
    CU_ASSERT_FALSE(zone_offset((struct string){name, sizeof(name)}, 0, &offset));
}

static void ask_zones(void *argument)
{
    unsigned *right = argument;
    char name[32];
    int32_t offset;
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), i % 3 ? "Asia/Kathmandu" : "No/Such%u", i % 200);
        bool found = zone_offset(text_of(name), 1234567890, &offset);
        *right += found == (i % 3 != 0) && (!found || offset == 20700);
    }
}

/* Threads share the cache while it overflows. */
static void zones_on_threads(void)
{
    struct thread threads[4] = {0};
    unsigned right[4] = {0};
    struct error error;
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_FATAL(thread_start(&threads[i], "zones", ask_zones, &right[i], &error));
    for (unsigned i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        CU_ASSERT_EQUAL(right[i], 3000);
    }
}

static void parts_agree(void)
{
    FILE *file = fopen("tests/lang/data/dates.txt", "r");
    CU_ASSERT_FATAL(file != NULL);
    static const enum time_part parts[] = {TIME_YEAR,        TIME_MONTH,       TIME_DATE,
                                           TIME_DAY_OF_WEEK, TIME_DAY_OF_YEAR, TIME_HOURS,
                                           TIME_MINUTES,     TIME_SECONDS};
    int64_t seconds;
    unsigned count = 0;
    while (fscanf(file, "%" SCNd64, &seconds) == 1) {
        struct value timestamp = {.kind = VALUE_TIMESTAMP, .integer = seconds};
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
            int64_t expected;
            CU_ASSERT_EQUAL_FATAL(fscanf(file, "%" SCNd64, &expected), 1);
            CU_ASSERT_EQUAL(timestamp_part(timestamp, parts[i], text_of("")).integer, expected);
        }
        count++;
    }
    fclose(file);
    CU_ASSERT_EQUAL(count, 60);
}

static bool parses_to(const char *text, const char *expected)
{
    struct value value = timestamp_parse(text_of(text));
    char out[CALENDAR_TEXT_SIZE + 1];
    if (value.kind != VALUE_TIMESTAMP)
        return expected == NULL;
    out[calendar_write_timestamp(out, value.integer, value.length)] = 0;
    return expected && strcmp(out, expected) == 0;
}

static void timestamps(void)
{
    CU_ASSERT(parses_to("2013-01-01T05:00:00Z", "2013-01-01T05:00:00Z"));
    CU_ASSERT(parses_to("2013-01-01T05:00:00.25+01:30", "2013-01-01T03:30:00.25Z"));
    CU_ASSERT(parses_to("2013-01-01T05:00:00.1234567899Z", "2013-01-01T05:00:00.123456789Z"));
    CU_ASSERT(parses_to("2012-02-29T23:59:59-00:01", "2012-03-01T00:00:59Z"));
    static const char *const bad[] = {
        "",
        "2013",
        "2013-01-01",
        "2013-01-01T05:00:00",
        "2013-01-01 05:00:00Z",
        "2013-01-01t05:00:00Z",
        "2013-01-01T05:00:00z",
        "2013-02-29T05:00:00Z",
        "2013-13-01T05:00:00Z",
        "2013-00-01T05:00:00Z",
        "2013-01-00T05:00:00Z",
        "2013-01-01T24:00:00Z",
        "2013-01-01T05:60:00Z",
        "2013-01-01T05:00:60Z",
        "2013-01-01T05:00:00.Z",
        "2013-01-01T05:00:00.1",
        "2013-01-01T05:00:00+1:00",
        "2013-01-01T05:00:00+0100",
        "2013-01-01T05:00:00+24:00",
        "2013-01-01T05:00:00ZZ",
        "+013-01-01T05:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (!parses_to(bad[i], NULL))
            printf("%s is taken for a timestamp\n", bad[i]);
        CU_ASSERT(parses_to(bad[i], NULL));
    }
}

static void durations(void)
{
    static const struct {
        const char *text;
        int64_t nanoseconds;
    } good[] = {
        {"0", 0},
        {"1s", 1000000000},
        {"-1.5s", -1500000000},
        {"1h30m", 5400000000000},
        {".5m", 30000000000},
        {"1.s", 1000000000},
        {"+2ms", 2000000},
        {"3us4ns", 3004},
        {"1µs", 1000},
        {"0.000000001s", 1},
        {"1.9999999999999999999ns", 1},
        {"-9223372036854775808ns", INT64_MIN},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct value value = duration_parse(text_of(good[i].text));
        CU_ASSERT(value.kind == VALUE_DURATION && value.integer == good[i].nanoseconds);
    }
    static const char *const bad[] = {"",    "-",  "1",      "s",     "1d",   "1s ", " 1s",
                                      "1 s", ".s", "1.5.5s", "1h-5m", "--1s", "00",  "0x1s"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CU_ASSERT_EQUAL(duration_parse(text_of(bad[i])).code, ERROR_CONVERSION);
    CU_ASSERT_EQUAL(duration_parse(text_of("9223372036854775808ns")).code, ERROR_OVERFLOW);
    CU_ASSERT_EQUAL(duration_parse(text_of("99999999999999999999999999999999999999h")).code,
                    ERROR_OVERFLOW);
}

/* Expected: Python's datetime.strptime with the same format. */
static void formats(void)
{
    static const struct {
        const char *text, *format, *expected;
    } cases[] = {
        {"2013-01-31 17:05:09", "%Y-%m-%d %H:%M:%S", "2013-01-31T17:05:09Z"},
        {"10/Oct/2000:13:55:36 -0700", "%d/%b/%Y:%H:%M:%S %z", "2000-10-10T20:55:36Z"},
        {"Tue, 15 Nov 1994 08:12:31 GMT", "%a, %d %b %Y %T %Z", "1994-11-15T08:12:31Z"},
        {"Tuesday November  8 94", "%A %B %e %y", "1994-11-08T00:00:00Z"},
        {"12:30:15.250 AM 5/7/2020", "%I:%M:%S.%f %p %m/%d/%Y", "2020-05-07T00:30:15.25Z"},
        {"12 PM", "%I %p", "1970-01-01T12:00:00Z"},
        {"2020366", "%Y%j", "2020-12-31T00:00:00Z"},
        {"1700000000", "%s", "2023-11-14T22:13:20Z"},
        {"-1", "%s", "1969-12-31T23:59:59Z"},
        {"100%", "%j%%", "1970-04-10T00:00:00Z"},
        {"2013-02-30", "%F", NULL},
        {"2013-01-31x", "%F", NULL},
        {"2013-01", "%F", NULL},
        {"2019366", "%Y%j", NULL},
        {"25:00", "%R", NULL},
        {"", "%F", NULL},
        {"99999999999999999999", "%s", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct value value =
            timestamp_parse_format(text_of(cases[i].text), text_of(cases[i].format));
        char out[CALENDAR_TEXT_SIZE + 1] = "";
        if (value.kind == VALUE_TIMESTAMP)
            out[calendar_write_timestamp(out, value.integer, value.length)] = 0;
        bool good =
            cases[i].expected ? strcmp(out, cases[i].expected) == 0 : value.kind == VALUE_ERROR;
        if (!good)
            printf("%s by %s: %s\n", cases[i].text, cases[i].format, out);
        CU_ASSERT(good);
    }
    size_t bad;
    CU_ASSERT_FALSE(timestamp_format_valid(text_of("%Y-%Q"), &bad));
    CU_ASSERT_EQUAL(bad, 3);
    CU_ASSERT_FALSE(timestamp_format_valid(text_of("%"), &bad));
    CU_ASSERT_STRING_EQUAL(evaluate("time.parse(a, \"%F %R\")", "{\"a\": \"2013-01-31 05:17\"}"),
                           "timestamp(\"2013-01-31T05:17:00Z\")");
}

SUITE(time, {"zones agree with Python's", zones_agree}, {"hostile zones", hostile_zones},
      {"zones on threads", zones_on_threads}, {"parts agree with Python's", parts_agree},
      {"RFC 3339", timestamps}, {"durations", durations}, {"time.parse", formats})
