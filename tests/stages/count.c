/* count over batches: groups in order of appearance, what counts as the same key, its memory. */
#include <stdlib.h>
#include <string.h>

#include "tests/stages/rig.h"
#include "tests/suite.h"

/* All texts go in, a batch each; what comes out at the end. */
static const char *counted(struct rig *rig, const char *program, const char *const *texts,
                           unsigned count)
{
    CU_ASSERT_FATAL(rig_open(rig, program, NULL, RIG_MEMORY));
    for (unsigned i = 0; i < count; i++) {
        rig_fill(rig, texts[i], 0, 0);
        CU_ASSERT_EQUAL(rig_stages(rig, 0), STAGE_OK);
        CU_ASSERT_EQUAL(rig->batch.row_count, 0);
    }
    return rig_finish(rig, 0);
}

static void test_all(void)
{
    const char *const texts[] = {"{}\n{\"a\":1}\n", "", "7\n"};
    struct rig rig;
    CU_ASSERT_STRING_EQUAL(counted(&rig, "count", texts, 3), "{\"count\":3}\n");
    CU_ASSERT_EQUAL(rig.result, STAGE_OK);
    CU_ASSERT_EQUAL(rig.counts[0].created, 1);
    rig_close(&rig);
    CU_ASSERT_STRING_EQUAL(counted(&rig, "count", texts, 0), "{\"count\":0}\n");
    rig_close(&rig);
    CU_ASSERT_STRING_EQUAL(counted(&rig, "count by a", texts, 0), "");
    rig_close(&rig);
}

static void test_groups(void)
{
    const char *const texts[] = {
        "{\"k\":\"b\",\"n\":1}\n{\"k\":\"a\",\"n\":9}\n{\"k\":\"b\",\"n\":8}\n",
        "{\"k\":\"c\",\"n\":1}\n{\"k\":\"a\",\"n\":2}\n{\"k\":\"b\",\"n\":3}\n"};
    struct rig rig;
    CU_ASSERT_STRING_EQUAL(counted(&rig, "count by k", texts, 2),
                           "{\"k\":\"b\",\"count\":3}\n{\"k\":\"a\",\"count\":2}\n"
                           "{\"k\":\"c\",\"count\":1}\n");
    rig_close(&rig);
    CU_ASSERT_STRING_EQUAL(counted(&rig, "count by large = n > 5, k", texts, 1),
                           "{\"large\":false,\"k\":\"b\",\"count\":1}\n"
                           "{\"large\":true,\"k\":\"a\",\"count\":1}\n"
                           "{\"large\":true,\"k\":\"b\",\"count\":1}\n");
    rig_close(&rig);
}

/* Keys are the same where == says so; shown as the first of them was written. */
static void test_equal_keys(void)
{
    const char *const numbers[] = {
        "{\"a\":1.0}\n{\"a\":1}\n{\"a\":1e0}\n{\"a\":\"1\"}\n{\"a\":2}\n",
        "{\"a\":true}\n{\"a\":1}\n"};
    const char *const nulls[] = {"{\"a\":null}\n{}\n{\"a\":\"\"}\n{\"a\":0}\n"};
    const char *const texts[] = {"{\"a\":\"\\u0041b\"}\n{\"a\":\"Ab\"}\n"};
    const char *const trees[] = {"{\"a\":[1,{\"x\":2,\"y\":3}]}\n{\"a\":[1.0, {\"y\":3,\"x\":2}]}\n"
                                 "{\"a\":[1]}\n{\"a\":{}}\n{\"a\":{ }}\n"};
    struct rig rig;
    CU_ASSERT_STRING_EQUAL(counted(&rig, "count by a", numbers, 2),
                           "{\"a\":1.0,\"count\":4}\n{\"a\":\"1\",\"count\":1}\n"
                           "{\"a\":2,\"count\":1}\n{\"a\":true,\"count\":1}\n");
    rig_close(&rig);
    CU_ASSERT_STRING_EQUAL(counted(&rig, "count by a", nulls, 1),
                           "{\"a\":null,\"count\":2}\n{\"a\":\"\",\"count\":1}\n"
                           "{\"a\":0,\"count\":1}\n");
    rig_close(&rig);
    CU_ASSERT_STRING_EQUAL(counted(&rig, "count by a", texts, 1), "{\"a\":\"Ab\",\"count\":2}\n");
    rig_close(&rig);
    CU_ASSERT_STRING_EQUAL(counted(&rig, "count by a", trees, 1),
                           "{\"a\":[1,{\"x\":2,\"y\":3}],\"count\":2}\n{\"a\":[1],\"count\":1}\n"
                           "{\"a\":{},\"count\":2}\n");
    rig_close(&rig);
}

static void test_many_groups(void)
{
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "count by n", NULL, 8u << 20));
    char *text = malloc(RIG_TEXT);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (unsigned first = 0; first < 20000; first += 4000) {
        size_t length = 0;
        for (unsigned i = first; i < first + 4000; i++)
            length += (size_t)snprintf(text + length, RIG_TEXT - length, "{\"n\":%u}\n", i % 15000);
        rig_fill(&rig, text, 0, 0);
        CU_ASSERT_EQUAL(rig_stages(&rig, 0), STAGE_OK);
        CU_ASSERT_EQUAL(rig.counts[0].absorbed, 4000);
    }
    free(text);
    unsigned groups = 0, twice = 0;
    do {
        for (const char *line = rig_finish(&rig, 0); *line; line = strchr(line, '\n') + 1) {
            unsigned n, count;
            CU_ASSERT_EQUAL_FATAL(sscanf(line, "{\"n\":%u,\"count\":%u}\n", &n, &count), 2);
            CU_ASSERT_EQUAL(n, groups++); /* in order of appearance */
            CU_ASSERT_EQUAL(count, n < 5000 ? 2 : 1);
            twice += count == 2;
        }
    } while (rig.result == STAGE_MORE);
    CU_ASSERT_EQUAL(groups, 15000);
    CU_ASSERT_EQUAL(twice, 5000);
    rig_close(&rig);
}

/* More groups than its memory holds end the run; groups that are known go on being counted. */
static void test_memory(void)
{
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "count by n", NULL, 64 * 1024));
    char text[64];
    unsigned i = 0;
    do {
        snprintf(text, sizeof(text), "{\"n\":\"key %u\"}\n", i++);
        rig_fill(&rig, text, 0, 0);
    } while (rig_stages(&rig, 0) == STAGE_OK && i < 100000);
    CU_ASSERT_EQUAL(rig.result, STAGE_FAIL);
    CU_ASSERT(i > 650 && i < 820); /* 80 bytes each: little is lost to tables outgrown */
    CU_ASSERT_EQUAL(rig.error.code, ERROR_MEMORY);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.error.text, "--memory"));
    rig_fill(&rig, "{\"n\":\"key 0\"}\n", 0, 0);
    CU_ASSERT_EQUAL(rig_stages(&rig, 0), STAGE_OK);
    rig_close(&rig);
}

/* A short arena of the batch leaves the others for later; each is counted once all the same. */
static void test_rest(void)
{
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "count by a", NULL, RIG_MEMORY));
    const char *text =
        "{\"a\":\"\\u0041\"}\n{\"a\":\"B\"}\n"
        "{\"a\":\"\\u0041\\u0041\\u0041\\u0041\\u0041\\u0041\\u0041\\u0041\\u0041"
        "\\u0041\\u0041\\u0041\\u0041\\u0041\\u0041\\u0041\\u0041\\u0041\\u0041\"}\n";
    rig_fill(&rig, text, 0, 0);
    rig.batch.arena.limit = rig.batch.arena.used + 24;
    CU_ASSERT_EQUAL(rig_stages(&rig, 0), STAGE_OK);
    CU_ASSERT_EQUAL_FATAL(rig.batch.rest_count, 1);
    CU_ASSERT_EQUAL(rig.batch.rest[0], 2);
    CU_ASSERT_EQUAL(rig.counts[0].absorbed, 2);
    rig.batch.rows = rig.batch.rest;
    rig.batch.row_count = 1;
    rig.batch.rest_count = 0;
    CU_ASSERT_EQUAL(rig_stages(&rig, 0), STAGE_SPLIT); /* not even one fits */
    rig.batch.arena.limit = RIG_ARENA;
    CU_ASSERT_EQUAL(rig_stages(&rig, 0), STAGE_OK);
    CU_ASSERT_STRING_EQUAL(rig_finish(&rig, 0),
                           "{\"a\":\"A\",\"count\":1}\n{\"a\":\"B\",\"count\":"
                           "1}\n{\"a\":\"AAAAAAAAAAAAAAAAAAA\",\"count\":1}\n");
    rig_close(&rig);
}

static void test_refused(void)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_once("count by count", ""), "cannot be called \"count\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_once("count by a, a", ""), "selected twice"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(rig_once("count by kind | where kidn == 1", ""), "did you mean \"kind\"?"));
}

SUITE(count, {"without keys", test_all}, {"by keys, in order of appearance", test_groups},
      {"the same key, written differently", test_equal_keys},
      {"more groups than one batch", test_many_groups}, {"its memory is bounded", test_memory},
      {"short of the batch's memory", test_rest}, {"what it refuses", test_refused})
