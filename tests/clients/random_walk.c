/* Random protections, peers and callers, thousands of seeds: calls are submitted, cancelled, held
 * and drained at any moment. No call is lost or comes back twice, no slot is lost, the limits hold
 * at every step. LEAT_TEST_SEEDS sets how many seeds (10,000). */
#include <stdio.h>
#include <stdlib.h>

#include "tests/clients/stand.h"
#include "tests/core/random.h"
#include "tests/suite.h"

#define CALLS 40

enum mine { IDLE, PENDING, HELD, DONE, CANCELLED };

struct walk {
    int64_t now;
    uint64_t state;
    struct protections protections;
    struct simulated_log log;
    struct dispatcher *dispatcher;
    struct call calls[CALLS];
    struct request requests[CALLS][3];
    enum mine mine[CALLS];
    unsigned submitted, pending, reaped, cancelled;
    bool drained;
    int64_t drain_deadline;
    int64_t last_step, longest_gap; /* this caller is late at times */
    unsigned retries_after_drain;
};

static uint64_t chance(struct walk *walk, uint64_t below)
{
    return random_below(&walk->state, below);
}

static void settings_draw(struct walk *walk, struct simulated_settings *peers)
{
    struct protections *protections = &walk->protections;
    *protections = (struct protections){
        .concurrency = 1 + (uint32_t)chance(walk, 12),
        .adaptive = chance(walk, 3) == 0,
        .bucket = chance(walk, 3)
                      ? NULL
                      : bucket_open(20 + (double)chance(walk, 300), 1 + (int64_t)chance(walk, 10)),
        .timeout = (int64_t)(1 + chance(walk, 300)) * MILLISECOND,
        .total_timeout = chance(walk, 2) ? (int64_t)(1 + chance(walk, 2000)) * MILLISECOND : 0,
        .retries = (uint32_t)chance(walk, 4),
        .backoff_least = (int64_t)chance(walk, 50) * MILLISECOND,
        .backoff_most = (int64_t)chance(walk, 1000) * MILLISECOND,
        .causes = {.outcomes = (uint32_t)chance(walk, 256), .classes = (uint8_t)chance(walk, 256)},
        .repeat_all = chance(walk, 4) == 0,
        .retry_budget = (double)chance(walk, 3) / 2,
        .breaker_failures = (uint32_t)chance(walk, 6),
        .breaker_pause = (int64_t)chance(walk, 500) * MILLISECOND,
        .breaker_trials = (uint32_t)chance(walk, 4),
        .hedge_after = chance(walk, 2) ? (int64_t)(1 + chance(walk, 40)) * MILLISECOND : 0,
        .hedge_percentile = chance(walk, 4) == 0 ? 0.95 : 0,
    };
    *peers = (struct simulated_settings){
        .seed = random_next(&walk->state),
        .service_least = (int64_t)chance(walk, 20) * MILLISECOND,
        .service_mean = (int64_t)chance(walk, 60) * MILLISECOND,
        .service_slow = (int64_t)chance(walk, 400) * MILLISECOND,
        .slow = (double)chance(walk, 10) / 20,
        .workers = (uint32_t)chance(walk, 5),
        .connect = (double)chance(walk, 5) / 20,
        .hang = (double)chance(walk, 5) / 20,
        .broken = (double)chance(walk, 5) / 20,
        .refused = (double)chance(walk, 8) / 20,
        .refused_status = chance(walk, 2) ? 503 : 429,
        .retry_after = (int64_t)chance(walk, 2) * (int64_t)chance(walk, 2000) * MILLISECOND,
        .exchanges = walk->protections.concurrency + CALLS,
    };
}

static void walk_open(struct walk *walk, uint64_t seed)
{
    static const struct string peers[3] = {{"a", 1}, {"b", 1}, {"c", 1}};
    struct simulated_settings settings;
    struct error error;
    *walk = (struct walk){
        .now = STAND_START, .last_step = STAND_START, .state = seed * 0x9e3779b97f4a7c15u + 1};
    clock_simulate(&walk->now);
    settings_draw(walk, &settings);
    for (unsigned i = 0; i < CALLS; i++) {
        for (unsigned j = 0; j < 3; j++)
            walk->requests[i][j] =
                (struct request){.peer = peers[chance(walk, 3)], .repeatable = chance(walk, 4) > 0};
        walk->calls[i] =
            (struct call){.requests = walk->requests[i],
                          .request_count = chance(walk, 3) ? 1 : 1 + (uint32_t)chance(walk, 3)};
    }
    struct dispatcher_hooks hooks = {0};
    struct transport *transport = simulated_transport_open(&settings, &walk->log);
    CU_ASSERT_PTR_NOT_NULL_FATAL(transport);
    walk->dispatcher = dispatcher_open(&walk->protections, &hooks, transport, CALLS, seed, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(walk->dispatcher);
}

static void check_over(struct walk *walk, const struct call *call)
{
    CU_ASSERT(call->attempts > 0 || !call->exchange);
    CU_ASSERT(call->verdict == CALL_GOOD || call->verdict == CALL_BAD);
    if (call->verdict == CALL_GOOD) {
        CU_ASSERT(call->exchange && call->outcome == OUTCOME_ANSWER && call->status == 200);
    } else {
        CU_ASSERT(call->detail[0] != 0);
    }
    if (call->outcome == OUTCOME_CANCELLED)
        CU_ASSERT(walk->drained);
    if (walk->protections.total_timeout)
        CU_ASSERT(call->latency <= walk->protections.total_timeout + walk->longest_gap);
}

static void walk_reap(struct walk *walk)
{
    struct call *call;
    while ((call = dispatcher_reap(walk->dispatcher))) {
        size_t i = (size_t)(call - walk->calls);
        CU_ASSERT_FATAL(i < CALLS && walk->mine[i] == PENDING);
        check_over(walk, call);
        walk->pending--;
        walk->reaped++;
        walk->mine[i] = HELD;
        if (chance(walk, 3)) {
            dispatcher_release(walk->dispatcher, call);
            walk->mine[i] = DONE;
        }
        if (chance(walk, 8) == 0)
            break;
    }
}

static void walk_step(struct walk *walk)
{
    if (walk->now - walk->last_step > walk->longest_gap)
        walk->longest_gap = walk->now - walk->last_step;
    walk->last_step = walk->now;
    dispatcher_step(walk->dispatcher);
}

static void walk_check(struct walk *walk)
{
    struct dispatcher_counts counts;
    dispatcher_counts(walk->dispatcher, &counts);
    CU_ASSERT_EQUAL_FATAL(dispatcher_pending(walk->dispatcher), walk->pending);
    CU_ASSERT_EQUAL(counts.calls, walk->submitted);
    CU_ASSERT_EQUAL(counts.exchanges, walk->log.arrival_count);
    CU_ASSERT(walk->log.in_flight_most <= walk->protections.concurrency);
    CU_ASSERT(counts.in_flight <= walk->protections.concurrency);
    CU_ASSERT(counts.in_flight >= walk->log.in_flight);
    CU_ASSERT((double)(counts.retries + counts.hedges) <=
              walk->protections.retry_budget *
                      (double)(counts.exchanges - counts.retries - counts.hedges) +
                  10);
    if (walk->pending == 0)
        CU_ASSERT(counts.in_flight == 0 && walk->log.in_flight == 0);
    if (walk->drained)
        CU_ASSERT_EQUAL(counts.retries, walk->retries_after_drain);
}

static void walk_drain(struct walk *walk)
{
    struct dispatcher_counts counts;
    int64_t deadline = walk->now + (int64_t)chance(walk, 300) * MILLISECOND;
    if (!walk->drained || deadline < walk->drain_deadline)
        walk->drain_deadline = deadline;
    walk->drained = true;
    dispatcher_drain(walk->dispatcher, deadline);
    dispatcher_counts(walk->dispatcher, &counts);
    walk->retries_after_drain = (unsigned)counts.retries;
}

static void walk_act(struct walk *walk)
{
    unsigned i = (unsigned)chance(walk, CALLS);
    switch (chance(walk, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (walk->submitted < CALLS) {
            walk->mine[walk->submitted] = PENDING;
            walk->pending++;
            dispatcher_submit(walk->dispatcher, &walk->calls[walk->submitted++]);
        }
        break;
    case 4:
        if (walk->mine[i] == PENDING && chance(walk, 2)) {
            dispatcher_cancel(walk->dispatcher, &walk->calls[i]);
            walk->mine[i] = CANCELLED;
            walk->pending--;
            walk->cancelled++;
        }
        break;
    case 5:
        if (walk->mine[i] == HELD) {
            dispatcher_release(walk->dispatcher, &walk->calls[i]);
            walk->mine[i] = DONE;
        }
        break;
    case 6:
        walk->now += (int64_t)chance(walk, 30) * MILLISECOND;
        break;
    case 7:
        if (chance(walk, 60) == 0)
            walk_drain(walk);
        break;
    case 8:
        walk_reap(walk);
        break;
    default:
        walk_step(walk);
        walk_check(walk);
    }
}

static void walk_seed(struct walk *walk, uint64_t seed, uint64_t *totals)
{
    walk_open(walk, seed);
    unsigned acts = 20 + (unsigned)chance(walk, 400);
    for (unsigned i = 0; i < acts; i++)
        walk_act(walk);
    int64_t begun = walk->now;
    bool to_the_end = chance(walk, 4) > 0; /* else closed with calls under way */
    for (unsigned turn = 0; to_the_end && walk->pending; turn++) {
        CU_ASSERT_FATAL(turn < 20000); /* it comes to an end */
        walk_step(walk);
        walk_reap(walk);
        walk_check(walk);
        int64_t wake = dispatcher_wake(walk->dispatcher);
        if (wake == INT64_MAX) {
            while (walk->pending) {
                unsigned before = walk->pending;
                walk_reap(walk);
                CU_ASSERT_FATAL(walk->pending < before); /* else: nobody would ever wake it */
            }
            break;
        }
        if (wake > walk->now)
            walk->now = wake;
    }
    if (to_the_end) {
        CU_ASSERT_EQUAL(walk->reaped + walk->cancelled, walk->submitted);
        CU_ASSERT(!walk->drained || walk->now <= begun || walk->now <= walk->drain_deadline);
        walk_check(walk);
    }
    totals[0] += walk->reaped;
    totals[1] += walk->cancelled;
    totals[2] += walk->log.arrival_count;
    totals[3] += walk->drained;
    dispatcher_close(walk->dispatcher);
    bucket_close(walk->protections.bucket);
    clock_simulate(NULL);
}

static void test_walks(void)
{
    static struct walk walk;
    uint64_t totals[4] = {0};
    const char *wanted = getenv("LEAT_TEST_SEEDS");
    uint64_t seeds = wanted ? strtoull(wanted, NULL, 10) : 10000;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        unsigned before = CU_get_number_of_failures();
        walk_seed(&walk, seed, totals);
        if (CU_get_number_of_failures() != before) {
            printf("seed %llu ", (unsigned long long)seed);
            break;
        }
    }
    CU_ASSERT(totals[0] > seeds * 5 && totals[1] > seeds / 2 && totals[2] > seeds * 5);
    CU_ASSERT(totals[3] > seeds / 20);
    if (getenv("LEAT_TEST_SHOW"))
        printf("reaped %llu, cancelled %llu, sent %llu, drained %llu\n",
               (unsigned long long)totals[0], (unsigned long long)totals[1],
               (unsigned long long)totals[2], (unsigned long long)totals[3]);
}

SUITE(random_walk, {"no call is lost, none comes back twice", test_walks})
