/* limit by a simulated clock: over any interval no more passes than the bucket allows, and with a
 * patient caller no less in the long run. */
#include <string.h>

#include "core/clock.h"
#include "tests/stages/rig.h"
#include "tests/suite.h"

#define EVENTS_MOST 4000

struct passing {
    int64_t now;
    int64_t times[EVENTS_MOST];
    unsigned count;
};

static uint64_t random_state;

static unsigned below(unsigned limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % limit;
}

/* `rows` records through the limit, called again whenever it asks to be. */
static void pass_rows(struct rig *rig, struct passing *passing, unsigned rows)
{
    char text[64 * 40] = "";
    for (unsigned i = 0; i < rows; i++)
        memcpy(text + 3 * i, "{}\n", 4);
    rig_fill(rig, text, 0, 0);
    struct batch *batch = &rig->batch;
    uint32_t order = 0;
    while (batch->row_count) {
        uint32_t wanted = batch->row_count;
        enum stage_result result = rig_stages(rig, 0);
        if (result == STAGE_WAIT) {
            CU_ASSERT_EQUAL(batch->row_count, wanted);
            CU_ASSERT_FATAL(rig->stages[0]->wake > passing->now);
            passing->now = rig->stages[0]->wake;
            continue;
        }
        CU_ASSERT_EQUAL(result, STAGE_OK);
        CU_ASSERT_EQUAL(batch->row_count + batch->rest_count, wanted);
        for (uint32_t i = 0; i < batch->row_count; i++) {
            CU_ASSERT_EQUAL(batch->rows[i], order++);
            if (passing->count < EVENTS_MOST)
                passing->times[passing->count++] = passing->now;
        }
        batch->rows = batch->rest;
        batch->row_count = batch->rest_count;
        batch->rest = NULL;
        batch->rest_count = 0;
    }
    CU_ASSERT_EQUAL(order, rows);
}

/* In any interval of t nanoseconds at most burst + rate * t may have passed. */
static bool holds(const struct passing *passing, double rate, unsigned burst)
{
    for (unsigned i = 0; i < passing->count; i++)
        for (unsigned j = i; j < passing->count; j++) {
            double seconds = (double)(passing->times[j] - passing->times[i]) / 1e9;
            if ((double)(j - i + 1) > burst + rate * seconds + 1e-6)
                return false;
        }
    return true;
}

static void trial(double rate, const char *unit, double unit_seconds, unsigned burst)
{
    static struct passing passing;
    char program[80];
    struct rig rig;
    passing = (struct passing){.now = 5000000000};
    clock_simulate(&passing.now);
    snprintf(program, sizeof(program), "limit %.0f/%s { burst %u }", rate, unit, burst);
    CU_ASSERT_FATAL(rig_open(&rig, program, NULL, RIG_MEMORY));
    int64_t idle = 0, begin = passing.now;
    while (passing.count < 600) {
        if (below(3) == 0) {
            int64_t pause = (int64_t)(below(3 * burst + 1) * 1e9 * unit_seconds / rate);
            passing.now += pause;
            idle += pause;
        }
        pass_rows(&rig, &passing, 1 + below(60));
    }
    CU_ASSERT(holds(&passing, rate / unit_seconds, burst));
    /* and nobody waited for nothing */
    double busy = (double)(passing.now - begin - idle) / 1e9;
    CU_ASSERT(busy <= passing.count * unit_seconds / rate + 1e-3);
    rig_close(&rig);
    clock_simulate(NULL);
}

static void test_bucket(void)
{
    random_state = 11;
    for (unsigned i = 0; i < 12; i++) {
        trial(500, "s", 1, 50);
        trial(3, "s", 1, 1);
        trial(7, "m", 60, 4);
        trial(1e6, "s", 1, 1 + below(200));
        trial(1 + below(100000), "s", 1, 1 + below(30));
    }
}

/* A named bucket is one for all that name it. */
static void test_shared(void)
{
    static struct passing passing;
    struct rig rig;
    passing = (struct passing){.now = 1000000000};
    clock_simulate(&passing.now);
    CU_ASSERT_FATAL(
        rig_open(&rig, "limit api { rate 10/s  burst 10 } | limit api", NULL, RIG_MEMORY));
    passing.now += 10000000000;
    rig_fill(&rig, "{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n", 0, 0); /* eight, each taken twice */
    CU_ASSERT_EQUAL(rig_stages(&rig, 0), STAGE_OK);
    CU_ASSERT_EQUAL(rig.batch.row_count,
                    2); /* ten tokens: eight for the first, two for the second */
    CU_ASSERT_EQUAL(rig.batch.rest_count, 6);
    rig_close(&rig);
    clock_simulate(NULL);
}

static void test_refused(void)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_once("limit api", ""), "must give its rate"));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_once("limit 0/s", ""), "error"));
    /* A refused limit leaves nothing behind for the next one of its name. */
    CU_ASSERT_PTR_NOT_NULL(
        strstr(rig_once("limit api | limit api { rate 5/s }", ""), "must give its rate"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(rig_once("limit api { rate 5/s } | limit api { rate 6/s }", ""), "two rates"));
}

SUITE(limit, {"never above the bucket, in any interval", test_bucket},
      {"a named bucket is shared", test_shared}, {"what it refuses", test_refused})
