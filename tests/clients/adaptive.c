/* Adaptive concurrency before a modelled server with a queue: its knee is its number of workers;
 * more requests at once only wait there. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/clients/rig.h"
#include "tests/suite.h"

static struct rig rig;

struct span_seen {
    double limit;      /* mean over the second half */
    double throughput; /* of the second half, a second */
    double latency;    /* mean, ms */
    uint32_t most;
};

/* Twice `workers_later` etc. come from the caller; runs `calls` and looks at the second half. */
static struct span_seen watch(uint32_t calls)
{
    struct span_seen seen = {0};
    uint64_t half_arrivals = 0;
    int64_t half = 0;
    double weight = 0;
    rig_open(&rig, calls);
    while (rig.reaped < calls) {
        while (rig.submitted < calls && dispatcher_pending(rig.dispatcher) < 2000)
            rig_submit(&rig);
        int64_t before = rig.now;
        uint32_t limit = rig_counts(&rig).concurrency_now;
        rig_advance(&rig, INT64_MAX);
        CU_ASSERT_FATAL(limit >= 1 && limit <= rig.protections.concurrency);
        if (rig.reaped < calls / 2 || rig.submitted == calls)
            continue;
        if (!half) {
            half = rig.now;
            half_arrivals = rig.reaped;
            before = rig.now;
        }
        seen.limit += (double)limit * (double)(rig.now - before);
        weight += (double)(rig.now - before);
        seen.throughput = (double)(rig.reaped - half_arrivals) * 1e9 / (double)(rig.now - half);
    }
    seen.limit /= weight;
    for (uint64_t i = calls / 2; i < calls && i < rig.log.arrivals_most; i++)
        seen.latency +=
            (double)(rig.log.arrivals[i].over - rig.log.arrivals[i].time) / 1e6 * 2 / calls;
    seen.most = rig.log.in_flight_most;
    rig_close(&rig);
    if (getenv("LEAT_TEST_SHOW"))
        printf("workers %u: limit %.1f, %.0f/s, %.1f ms, most %u\n", rig.peers.workers, seen.limit,
               seen.throughput, seen.latency, seen.most);
    return seen;
}

static void defaults(uint32_t workers, int64_t least, int64_t mean, uint64_t seed)
{
    rig_defaults(&rig);
    rig.protections.adaptive = true;
    rig.protections.concurrency = 500;
    rig.peers.workers = workers;
    rig.peers.service_least = least;
    rig.peers.service_mean = mean;
    rig.peers.seed = seed;
}

/* Every request takes 10 ms: the best is `workers` at once; the capacity 100 * workers a second. */
static void test_steady_server(void)
{
    static const uint32_t workers[] = {1, 3, 10, 50, 200};
    for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
        defaults(workers[i], 10 * MILLISECOND, 0, 1);
        struct span_seen seen = watch(40000);
        CU_ASSERT(seen.limit >= 0.85 * workers[i] && seen.limit <= 1.25 * workers[i] + 1);
        CU_ASSERT(seen.throughput >= 95.0 * workers[i]);
        CU_ASSERT(seen.latency <= 10 * 1.3 + (workers[i] == 1 ? 10 : 3));
    }
}

/* Service times by chance (exponential above a least): a queue forms at times, and the baseline is
 * known only roughly. */
static void test_random_server(void)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        defaults(40, 4 * MILLISECOND, 6 * MILLISECOND, seed);
        struct span_seen seen = watch(60000);
        CU_ASSERT(seen.limit >= 24 && seen.limit <= 64);
        CU_ASSERT(seen.throughput >= 0.6 * 4000);
        CU_ASSERT(seen.latency <= 18);
    }
}

/* Unbounded server: nothing is gained by holding back. */
static void test_wide_server(void)
{
    defaults(0, 10 * MILLISECOND, 0, 1);
    struct span_seen seen = watch(100000);
    CU_ASSERT(seen.limit > 480);
    CU_ASSERT_EQUAL(seen.most, 500);
}

static int64_t change_at;

/* Three times slower from some time on. */
static void slower(void *context, const struct request *request, int64_t now,
                   struct simulated_reply *reply)
{
    (void)context;
    (void)request;
    if (now >= change_at)
        reply->service *= 3;
}

/* The server changes for good: the old baseline is forgotten, the limit comes back to the knee. */
static void test_slower_server(void)
{
    defaults(50, 10 * MILLISECOND, 0, 1);
    change_at = RIG_START + 3 * SECOND;
    rig.peers.answer = slower;
    struct span_seen seen = watch(60000);
    CU_ASSERT(seen.limit >= 0.8 * 50 && seen.limit <= 1.35 * 50);
    CU_ASSERT(seen.throughput >= 0.9 * 50 * 100 / 3);
}

/* Refusals (503) hold it down; failures by chance (500) do not. */
static void test_refusals(void)
{
    defaults(0, 10 * MILLISECOND, 0, 1);
    rig.peers.refused = 0.5;
    CU_ASSERT(watch(30000).limit < 3);
    defaults(0, 10 * MILLISECOND, 0, 1);
    rig.peers.refused = 0.5;
    rig.peers.refused_status = 500;
    CU_ASSERT(watch(60000).limit > 400);
}

SUITE(adaptive, {"finds the knee of a steady server", test_steady_server},
      {"finds it among random times", test_random_server},
      {"opens fully for a wide server", test_wide_server},
      {"follows a server that slows down", test_slower_server}, {"refusals", test_refusals})
