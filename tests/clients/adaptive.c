/* Adaptive concurrency before a modelled server with a queue: its knee is its number of workers;
 * more requests at once only wait there. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/clients/stand.h"
#include "tests/suite.h"

static struct stand stand;

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
    stand_open(&stand, calls);
    while (stand.reaped < calls) {
        while (stand.submitted < calls && dispatcher_pending(stand.dispatcher) < 2000)
            stand_submit(&stand);
        int64_t before = stand.now;
        uint32_t limit = stand_counts(&stand).concurrency_now;
        stand_advance(&stand, INT64_MAX);
        CU_ASSERT_FATAL(limit >= 1 && limit <= stand.protections.concurrency);
        if (stand.reaped < calls / 2 || stand.submitted == calls)
            continue;
        if (!half) {
            half = stand.now;
            half_arrivals = stand.reaped;
            before = stand.now;
        }
        seen.limit += (double)limit * (double)(stand.now - before);
        weight += (double)(stand.now - before);
        seen.throughput = (double)(stand.reaped - half_arrivals) * 1e9 / (double)(stand.now - half);
    }
    seen.limit /= weight;
    for (uint64_t i = calls / 2; i < calls && i < stand.log.arrivals_most; i++)
        seen.latency +=
            (double)(stand.log.arrivals[i].over - stand.log.arrivals[i].time) / 1e6 * 2 / calls;
    seen.most = stand.log.in_flight_most;
    stand_close(&stand);
    if (getenv("LEAT_TEST_SHOW"))
        printf("workers %u: limit %.1f, %.0f/s, %.1f ms, most %u\n", stand.peers.workers,
               seen.limit, seen.throughput, seen.latency, seen.most);
    return seen;
}

static void defaults(uint32_t workers, int64_t least, int64_t mean, uint64_t seed)
{
    stand_defaults(&stand);
    stand.protections.adaptive = true;
    stand.protections.concurrency = 500;
    stand.peers.workers = workers;
    stand.peers.service_least = least;
    stand.peers.service_mean = mean;
    stand.peers.seed = seed;
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
    change_at = STAND_START + 3 * SECOND;
    stand.peers.answer = slower;
    struct span_seen seen = watch(60000);
    CU_ASSERT(seen.limit >= 0.8 * 50 && seen.limit <= 1.35 * 50);
    CU_ASSERT(seen.throughput >= 0.9 * 50 * 100 / 3);
}

/* Refusals (503) hold it down; failures by chance (500) do not. */
static void test_refusals(void)
{
    defaults(0, 10 * MILLISECOND, 0, 1);
    stand.peers.refused = 0.5;
    CU_ASSERT(watch(30000).limit < 3);
    defaults(0, 10 * MILLISECOND, 0, 1);
    stand.peers.refused = 0.5;
    stand.peers.refused_status = 500;
    CU_ASSERT(watch(60000).limit > 400);
}

SUITE(adaptive, {"finds the knee of a steady server", test_steady_server},
      {"finds it among random times", test_random_server},
      {"opens fully for a wide server", test_wide_server},
      {"follows a server that slows down", test_slower_server}, {"refusals", test_refusals})
