/* where, head, skip and sample over hand-made batches: what is kept, what is counted, what is
 * rejected. Expected results follow from docs of the language, worked out by hand. */
#include <stdlib.h>
#include <string.h>

#include "tests/stages/rig.h"
#include "tests/suite.h"

#define MIXED                                                                                      \
    "{\"a\":1,\"n\":0}\n{\"a\":5,\"n\":1}\n{\"a\":\"x\",\"n\":2}\n{\"n\":3}\n{\"a\":null,\"n\":4}" \
    "\n"

static void test_where_keeps(void)
{
    CU_ASSERT_STRING_EQUAL(rig_once("where a > 3", MIXED), "{\"a\":5,\"n\":1}\n");
    CU_ASSERT_STRING_EQUAL(rig_once("where a == 1 || n == 4", MIXED),
                           "{\"a\":1,\"n\":0}\n{\"a\":null,\"n\":4}\n");
    CU_ASSERT_STRING_EQUAL(rig_once("where ok", "{\"ok\":true}\n{\"ok\":false}\n"),
                           "{\"ok\":true}\n");
    CU_ASSERT_STRING_EQUAL(rig_once("where false", MIXED), "");
    CU_ASSERT_STRING_EQUAL(rig_once("where true", ""), "");
}

static void test_where_counts_mismatches(void)
{
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "where a > 3", NULL, RIG_MEMORY));
    rig_run(&rig, MIXED);
    /* 1 is not above 3; a string, an absent field and null cannot be compared */
    CU_ASSERT_EQUAL(rig.counts[0].filtered, 4);
    CU_ASSERT_EQUAL(rig.counts[0].mismatched, 3);
    CU_ASSERT_EQUAL(rig.batch.reject_count, 0);
    rig_close(&rig);
}

static void test_where_strict(void)
{
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "where strict a > 3", NULL, RIG_MEMORY));
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, MIXED), "{\"a\":5,\"n\":1}\n");
    CU_ASSERT_EQUAL(rig.counts[0].filtered, 1);
    CU_ASSERT_EQUAL(rig.counts[0].mismatched, 0);
    CU_ASSERT_EQUAL(rig.batch.reject_count, 3);
    for (uint32_t record = 2; record < 5; record++)
        CU_ASSERT_EQUAL(rig_reject(&rig, record), ERROR_NO_OVERLOAD);
    rig_close(&rig);
}

/* CEL's && || ?: absorb an error where the other side decides. */
static void test_where_errors_pass(void)
{
    const char *text =
        "{\"a\":\"x\",\"b\":true}\n{\"a\":\"x\",\"b\":false}\n{\"a\":9,\"b\":false}\n";
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "where strict a > 3 || b", NULL, RIG_MEMORY));
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, text),
                           "{\"a\":\"x\",\"b\":true}\n{\"a\":9,\"b\":false}\n");
    CU_ASSERT_EQUAL(rig.batch.reject_count, 1);
    CU_ASSERT_EQUAL(rig_reject(&rig, 1), ERROR_NO_OVERLOAD);
    rig_close(&rig);
    CU_ASSERT_FATAL(rig_open(&rig, "where strict a > 3 && b", NULL, RIG_MEMORY));
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, text), "");
    CU_ASSERT_EQUAL(rig.batch.reject_count, 1);
    CU_ASSERT_EQUAL(rig_reject(&rig, 0), ERROR_NO_OVERLOAD);
    CU_ASSERT_EQUAL(rig.counts[0].filtered, 2);
    rig_close(&rig);
    CU_ASSERT_FATAL(rig_open(&rig, "where strict b ? true : a > 3", NULL, RIG_MEMORY));
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, text),
                           "{\"a\":\"x\",\"b\":true}\n{\"a\":9,\"b\":false}\n");
    rig_close(&rig);
}

/* Errors other than of type, and results that are no bool, reject in a plain where too. */
static void test_where_rejects(void)
{
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "where 10 / a == 2", NULL, RIG_MEMORY));
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, "{\"a\":5}\n{\"a\":0}\n{\"a\":\"x\"}\n"), "{\"a\":5}\n");
    CU_ASSERT_EQUAL(rig.batch.reject_count, 1);
    CU_ASSERT_EQUAL(rig_reject(&rig, 1), ERROR_DIVIDE_BY_ZERO);
    CU_ASSERT_EQUAL(rig.counts[0].mismatched, 1);
    rig_close(&rig);
    CU_ASSERT_FATAL(rig_open(&rig, "where a", NULL, RIG_MEMORY));
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, "{\"a\":5}\n{\"a\":true}\n{\"a\":null}\n{}\n"),
                           "{\"a\":true}\n");
    CU_ASSERT_EQUAL(rig_reject(&rig, 0), ERROR_NOT_BOOL);
    CU_ASSERT_EQUAL(rig_reject(&rig, 2), ERROR_NOT_BOOL);
    CU_ASSERT_EQUAL(rig_reject(&rig, 3), ERROR_NOT_BOOL);
    rig_close(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_once("where 1 + 1", ""), "must be a bool"));
}

/* With too little memory it asks for a split; the same batch in pieces then gives the same. */
static void test_where_split(void)
{
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "where a + \"!\" == \"x!\"", NULL, RIG_MEMORY));
    rig_fill(&rig, MIXED, 0, 0);
    rig.batch.arena.limit = rig.batch.arena.used + 16;
    CU_ASSERT_EQUAL(rig_stages(&rig, 0), STAGE_SPLIT);
    rig_close(&rig);
}

/* `count` records in batches of `each`: what is left of them all, and how many batches that took.
 */
static unsigned run_pieces(struct rig *rig, unsigned count, unsigned each, char *out, size_t size)
{
    char text[8192];
    unsigned batches = 0;
    uint64_t offset = 0;
    out[0] = 0;
    for (unsigned first = 0; first < count; first += each, batches++) {
        size_t length = 0, out_length = strlen(out);
        for (unsigned i = first; i < first + each && i < count; i++)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "{\"n\":%u}\n", i);
        rig_fill(rig, text, offset, first);
        offset += length;
        enum stage_result result = rig_stages(rig, 0);
        snprintf(out + out_length, size - out_length, "%s", rig_output(rig));
        if (result == STAGE_STOP)
            return batches + 1;
        CU_ASSERT_EQUAL(result, STAGE_OK);
    }
    return batches;
}

static void lines_from(char *out, size_t size, unsigned first, unsigned end)
{
    size_t length = 0;
    out[0] = 0;
    for (unsigned i = first; i < end; i++)
        length += (size_t)snprintf(out + length, size - length, "{\"n\":%u}\n", i);
}

static void test_head_and_skip(void)
{
    static char is[8192], wanted[8192];
    for (unsigned each = 1; each < 12; each++) {
        struct rig rig;
        CU_ASSERT_FATAL(rig_open(&rig, "head 7", NULL, RIG_MEMORY));
        unsigned batches = run_pieces(&rig, 30, each, is, sizeof(is));
        lines_from(wanted, sizeof(wanted), 0, 7);
        CU_ASSERT_STRING_EQUAL(is, wanted);
        CU_ASSERT_EQUAL(batches, (7 + each - 1) / each); /* it stops with the seventh */
        rig_close(&rig);
        CU_ASSERT_FATAL(rig_open(&rig, "skip 7", NULL, RIG_MEMORY));
        run_pieces(&rig, 30, each, is, sizeof(is));
        lines_from(wanted, sizeof(wanted), 7, 30);
        CU_ASSERT_STRING_EQUAL(is, wanted);
        rig_close(&rig);
        CU_ASSERT_FATAL(rig_open(&rig, "skip 3 | head 4", NULL, RIG_MEMORY));
        run_pieces(&rig, 30, each, is, sizeof(is));
        lines_from(wanted, sizeof(wanted), 3, 7);
        CU_ASSERT_STRING_EQUAL(is, wanted);
        rig_close(&rig);
    }
}

static void test_head_and_skip_edges(void)
{
    CU_ASSERT_STRING_EQUAL(rig_once("head 0", MIXED), "");
    CU_ASSERT_STRING_EQUAL(rig_once("skip 0", "{}\n"), "{}\n");
    CU_ASSERT_STRING_EQUAL(rig_once("skip 5", MIXED), "");
    CU_ASSERT_STRING_EQUAL(rig_once("skip 4 | select n", MIXED), "{\"n\":4}\n");
    CU_ASSERT_STRING_EQUAL(rig_once("skip 9223372036854775807", MIXED), "");
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "skip 3", NULL, RIG_MEMORY));
    rig_run(&rig, MIXED);
    CU_ASSERT_EQUAL(rig.counts[0].filtered, 3);
    rig_run(&rig, MIXED);
    CU_ASSERT_EQUAL(rig.counts[0].filtered, 0);
    rig_close(&rig);
}

static unsigned count_lines(const char *text)
{
    unsigned lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void test_sample_is_the_same(void)
{
    static char first[65536], is[65536];
    for (unsigned each = 1; each <= 400; each += each < 10 ? 1 : 97) {
        struct rig rig;
        CU_ASSERT_FATAL(rig_open(&rig, "sample 25%", NULL, RIG_MEMORY));
        run_pieces(&rig, 2000, each, each == 1 ? first : is, sizeof(is));
        if (each > 1)
            CU_ASSERT_STRING_EQUAL(is, first);
        rig_close(&rig);
    }
    /* 500 of 2000 are expected, 19 is a standard deviation: six of them either way */
    unsigned kept = count_lines(first);
    CU_ASSERT(kept > 500 - 6 * 19 && kept < 500 + 6 * 19);
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "sample 25% { seed 7 }", NULL, RIG_MEMORY));
    run_pieces(&rig, 2000, 100, is, sizeof(is));
    CU_ASSERT_STRING_NOT_EQUAL(is, first);
    rig_close(&rig);
}

static void test_sample_edges(void)
{
    CU_ASSERT_STRING_EQUAL(rig_once("sample 100%", MIXED), MIXED);
    CU_ASSERT_STRING_EQUAL(rig_once("sample 0%", MIXED), "");
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "sample 50%", NULL, RIG_MEMORY));
    unsigned kept = count_lines(rig_run(&rig, MIXED));
    CU_ASSERT_EQUAL(rig.counts[0].filtered + kept, 5);
    rig_close(&rig);
}

SUITE(filter, {"where keeps what is true", test_where_keeps},
      {"where counts what has another type", test_where_counts_mismatches},
      {"where strict rejects it", test_where_strict},
      {"errors pass through && || ?:", test_where_errors_pass},
      {"other errors and no bools reject", test_where_rejects},
      {"where asks for a split when memory is short", test_where_split},
      {"head and skip for any size of batch", test_head_and_skip},
      {"head and skip at their edges", test_head_and_skip_edges},
      {"sample is the same for any size of batch", test_sample_is_the_same},
      {"sample at its edges", test_sample_edges})
