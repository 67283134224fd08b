/* The memory plan: never above the limit, whatever is asked of it; what does not fit is refused
 * with what to do about it. */
#include "pipeline/limits.h"

#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "tests/suite.h"

#define MIB ((size_t)1 << 20)

static void check_plan(const struct limits *limits, size_t memory, unsigned workers)
{
    CU_ASSERT(limits_sum(limits) <= memory);
    CU_ASSERT(limits->batches >= workers + 4);
    CU_ASSERT(limits->record_limit >= limits->batch_text);
    CU_ASSERT(limits->jumbo_arena >= limits->batch_arena);
    CU_ASSERT(limits->jumbo_output >= limits->batch_output);
    CU_ASSERT(limits->source_memory > 0 && limits->sink_memory > 0);
    CU_ASSERT(limits->stages == 0 || limits->stage_memory > 0);
}

static void test_sum(void)
{
    struct limits limits;
    struct error error;
    unsigned planned = 0, refused = 0;
    for (size_t memory = 8 * MIB; memory <= (size_t)64 << 30; memory += memory / 7)
        for (unsigned workers = 1; workers <= 256; workers += workers / 3 + 1)
            for (unsigned sinks = 1; sinks <= BATCH_MAX_SINKS; sinks++)
                for (unsigned stages = 0; stages <= 6; stages += 3) {
                    if (!limits_plan(&limits, memory, workers, sinks, stages, 0, 0, &error)) {
                        refused++;
                        CU_ASSERT_EQUAL(error.code, ERROR_USAGE);
                        continue;
                    }
                    check_plan(&limits, memory, workers);
                    planned++;
                }
    CU_ASSERT(planned > 10000 && refused > 100);
}

static void test_usual(void)
{
    struct limits limits;
    struct error error;
    CU_ASSERT_FATAL(limits_plan(&limits, 256 * MIB, 2, 1, 0, 0, 0, &error));
    CU_ASSERT_EQUAL(limits.batch_text, 512 * 1024); /* what the design says */
    CU_ASSERT_EQUAL(limits.record_limit, 16 * MIB);
    CU_ASSERT_FATAL(limits_plan(&limits, 8 * MIB, 1, 1, 1, 0, 0, &error));
    check_plan(&limits, 8 * MIB, 1);
}

/* A batch of any size that a test asks for, down to one byte. */
static void test_odd_batches(void)
{
    struct limits limits;
    struct error error;
    for (size_t text = 1; text < 10000; text = text * 3 + 1) {
        CU_ASSERT_FATAL(limits_plan(&limits, 64 * MIB, 7, 2, 1, text, 0, &error));
        CU_ASSERT_EQUAL(limits.batch_text, text);
        check_plan(&limits, 64 * MIB, 7);
    }
}

static void test_too_small(void)
{
    struct limits limits;
    struct error error;
    CU_ASSERT_FALSE(limits_plan(&limits, 8 * MIB - 1, 1, 1, 0, 0, 0, &error));
    CU_ASSERT_EQUAL(error.code, ERROR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "at least 8 MiB"));
    CU_ASSERT_FALSE(limits_plan(&limits, 8 * MIB, 256, 7, 0, 0, 0, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "-j"));
}

/* The lines add up to the sum that is printed under them. */
static void test_printed(void)
{
    struct limits limits;
    struct error error;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    CU_ASSERT_FATAL(out && limits_plan(&limits, 256 * MIB, 4, 3, 2, 0, 0, &error));
    limits_print(&limits, out);
    fclose(out);
    double sum = 0, printed = -1, each;
    for (char *line = text; line && *line; line = strchr(line, '\n') + 1) {
        char holder[8];
        CU_ASSERT_EQUAL_FATAL(sscanf(line, "%lf MiB %7s", &each, holder), 2);
        if (strcmp(holder, "sum") == 0)
            printed = each;
        else if (printed < 0)
            sum += each;
    }
    CU_ASSERT(printed > sum - 0.5 && printed < sum + 0.5);
    free(text);
}

SUITE(limits, {"the sum is never above the limit", test_sum}, {"the usual sizes", test_usual},
      {"odd batches", test_odd_batches}, {"too small", test_too_small},
      {"what is printed adds up", test_printed})
