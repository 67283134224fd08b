/* parse … with: groups become fields, what does not match is rejected or kept. */
#include <string.h>

#include "tests/stages/rig.h"
#include "tests/suite.h"

#define LINE "parse line with r'^(?P<verb>[A-Z]+) (?P<path>\\S+)( (?P<more>.+))?$'"

static void test_groups(void)
{
    CU_ASSERT_STRING_EQUAL(rig_once(LINE, "{\"line\":\"GET /a\"}\n{\"line\":\"PUT /b now\"}\n"),
                           "{\"line\":\"GET /a\",\"verb\":\"GET\",\"path\":\"/a\",\"more\":null}\n"
                           "{\"line\":\"PUT /b now\",\"verb\":\"PUT\",\"path\":\"/b\","
                           "\"more\":\"now\"}\n");
    /* the text is decoded first, the groups are encoded again */
    CU_ASSERT_STRING_EQUAL(rig_once(LINE " | select path", "{\"line\":\"GET \\u00e9\\n\"}\n"), "");
    CU_ASSERT_STRING_EQUAL(rig_once(LINE " | select path", "{\"line\":\"GET \\u00e9\\\"\"}\n"),
                           "{\"path\":\"é\\\"\"}\n");
    CU_ASSERT_STRING_EQUAL(rig_once("parse a.b with r'(?P<d>[0-9]+)' | select n = int(d) + 1",
                                    "{\"a\":{\"b\":\"x41\"}}\n"),
                           "{\"n\":42}\n");
    CU_ASSERT_STRING_EQUAL(rig_once("parse t with '(?P<t>b+)'", "{\"t\":\"abbc\",\"u\":1}\n"),
                           "{\"t\":\"bb\",\"u\":1}\n"); /* a group may replace the text itself */
}

static void test_no_match(void)
{
    const char *text = "{\"line\":\"GET /a\"}\n{\"line\":\"what\"}\n{\"line\":7}\n{}\n"
                       "{\"line\":null}\n";
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, LINE " | select verb", NULL, RIG_MEMORY));
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, text), "{\"verb\":\"GET\"}\n");
    CU_ASSERT_EQUAL(rig.batch.reject_count, 4);
    for (uint32_t record = 1; record < 5; record++)
        CU_ASSERT_EQUAL(rig_reject(&rig, record), ERROR_NO_MATCH);
    rig_close(&rig);
    CU_ASSERT_STRING_EQUAL(
        rig_once(LINE " { otherwise keep } | select verb", text),
        "{\"verb\":\"GET\"}\n{\"verb\":null}\n{\"verb\":null}\n{\"verb\":null}\n{\"verb\":null}\n");
}

static void test_kept_records_stay(void)
{
    CU_ASSERT_STRING_EQUAL(rig_once("parse a with '(?P<b>x+)' { otherwise keep }",
                                    "{\"a\":\"yy\",\"c\":1.0}\n{\"a\":\"xx\",\"c\":1.0}\n"),
                           "{\"a\":\"yy\",\"c\":1.0}\n{\"a\":\"xx\",\"c\":1.0,\"b\":\"xx\"}\n");
}

static void test_refused(void)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_once("parse a with '(x+)'", ""), "no named group"));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_once("parse a with '(?P<b>x'", ""), "error"));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_once("parse a with '(?P<b>x)(?=y)'", ""), "error"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(rig_once("select line | parse lne with '(?P<b>x)'", ""), "did you mean \"line\"?"));
}

SUITE(parse, {"groups become fields", test_groups}, {"no match rejects or keeps", test_no_match},
      {"kept records are as they were", test_kept_records_stay}, {"what it refuses", test_refused})
