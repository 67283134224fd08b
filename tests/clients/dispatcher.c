/* The dispatcher under a simulated clock, judged from the modelled peer's side: rate, concurrency,
 * order, retries, budget, timeouts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/clients/stand.h"
#include "tests/core/random.h"
#include "tests/suite.h"

static struct stand stand;

/* In any interval of t nanoseconds at most burst + rate * t arrivals, over all pairs. */
static bool rate_holds(const struct simulated_log *log, double rate, double burst)
{
    for (uint64_t i = 0; i < log->arrival_count; i++)
        for (uint64_t j = i; j < log->arrival_count; j++) {
            double seconds = (double)(log->arrivals[j].time - log->arrivals[i].time) / 1e9;
            if ((double)(j - i + 1) > burst + rate * seconds + 1e-6)
                return false;
        }
    return true;
}

static void test_rate(void)
{
    static const struct {
        double rate;
        int64_t burst;
    } cases[] = {{500, 50}, {500, 1}, {3, 1}, {100000, 20}, {77.7, 5}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        stand_defaults(&stand);
        stand.protections.bucket = bucket_open(cases[i].rate, cases[i].burst);
        stand.protections.retries = 3;
        stand.protections.retry_budget = 1;
        stand.protections.hedge_after = 15 * MILLISECOND;
        stand.protections.concurrency = 64;
        stand.peers.service_mean = 10 * MILLISECOND;
        stand.peers.refused = 0.2; /* retries and hedges need tokens too */
        stand_open(&stand, 800);
        stand_run(&stand, 100);
        CU_ASSERT(stand.log.arrival_count > 900);
        CU_ASSERT(rate_holds(&stand.log, cases[i].rate, (double)cases[i].burst));
        /* The check can fail: a little less than the rate does not hold. */
        if (cases[i].rate < 1000)
            CU_ASSERT_FALSE(rate_holds(&stand.log, cases[i].rate * 0.9, (double)cases[i].burst));
        CU_ASSERT(stand_counts(&stand).rate_waits > 0);
        bucket_close(stand.protections.bucket);
        stand_close(&stand);
    }
}

static void test_bucket_shared(void)
{
    int64_t now = SECOND, wake = 0;
    struct error error;
    struct shared_limits shared = {0};
    clock_simulate(&now);
    CU_ASSERT_PTR_NULL(bucket_shared(&shared, STRING("api"), 0, 1, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "must give its rate"));
    struct bucket *first = bucket_shared(&shared, STRING("api"), 10, 3, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    CU_ASSERT_PTR_EQUAL(bucket_shared(&shared, STRING("api"), 0, 1, &error), first);
    CU_ASSERT_PTR_EQUAL(bucket_shared(&shared, STRING("api"), 10, 3, &error), first);
    CU_ASSERT_PTR_NULL(bucket_shared(&shared, STRING("api"), 11, 3, &error));
    struct bucket *other = bucket_shared(&shared, STRING("other"), 10, 1, &error);
    CU_ASSERT(other && other != first);
    CU_ASSERT_EQUAL(bucket_take(first, 2, &wake), 2);
    CU_ASSERT_EQUAL(bucket_take(first, 9, &wake), 1);
    CU_ASSERT_EQUAL(bucket_take(first, 1, &wake), 0);
    CU_ASSERT_EQUAL(wake, now + SECOND / 10 + 1); /* never early: rounded up */
    now = wake - 1;
    CU_ASSERT_EQUAL(bucket_take(first, 1, &wake), 0);
    now = wake;
    CU_ASSERT_EQUAL(bucket_take(first, 1, &wake), 1);
    for (int i = 0; i < 3; i++)
        bucket_close(first);
    bucket_close(other);
    /* Its name is free again. */
    CU_ASSERT_PTR_NULL(bucket_shared(&shared, STRING("api"), 0, 1, &error));
    bucket_close(NULL);
    clock_simulate(NULL);
}

static void test_concurrency(void)
{
    static const uint32_t limits[] = {1, 2, 7, 100, 1000};
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        stand_defaults(&stand);
        stand.protections.concurrency = limits[i];
        stand.protections.retries = 5;
        stand.protections.retry_budget = 10;
        stand.protections.hedge_after = 15 * MILLISECOND;
        stand.protections.timeout = 60 * MILLISECOND;
        stand.peers.service_mean = 10 * MILLISECOND;
        stand.peers.refused = 0.1;
        stand.peers.hang = 0.05;
        stand_open(&stand, 5000);
        stand_run(&stand, 3000);
        struct dispatcher_counts counts = stand_counts(&stand);
        CU_ASSERT(stand.log.in_flight_most <= limits[i]);
        CU_ASSERT_EQUAL(stand.log.in_flight_most, limits[i]); /* and it is used */
        CU_ASSERT_EQUAL(counts.in_flight_most, limits[i]);
        CU_ASSERT_EQUAL(counts.in_flight, 0);
        CU_ASSERT_EQUAL(stand.log.in_flight, 0);
        CU_ASSERT_EQUAL(counts.exchanges, stand.log.arrival_count);
        CU_ASSERT_EQUAL(stand.reaped, 5000);
        stand_close(&stand);
    }
}

static void test_oldest_first(void)
{
    stand_defaults(&stand);
    stand.protections.concurrency = 4;
    stand_open(&stand, 400);
    stand_run(&stand, 400);
    for (uint64_t i = 0; i < stand.log.arrival_count; i++)
        CU_ASSERT_PTR_EQUAL(stand.log.arrivals[i].request, stand.calls[i].requests);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 400);
    /* 100 waves of 4, each 10 ms */
    CU_ASSERT_EQUAL(stand.now, STAND_START + 100 * 10 * MILLISECOND);
    stand_close(&stand);
}

/* The answer to a call is computed from its own request. */
static void echo(void *context, const struct request *request, int64_t now,
                 struct simulated_reply *reply)
{
    (void)context;
    (void)now;
    reply->body = request->body;
}

static void test_own_answers(void)
{
    static char texts[3000][16];
    stand_defaults(&stand);
    stand.protections.concurrency = 50;
    stand.protections.retries = 20;
    stand.protections.retry_budget = 10;
    stand.protections.backoff_most = SECOND;
    stand.peers.service_mean = 20 * MILLISECOND;
    stand.peers.refused = 0.1;
    stand.peers.broken = 0.1;
    stand.peers.answer = echo;
    stand_open(&stand, 3000);
    for (unsigned i = 0; i < 3000; i++) {
        int length = snprintf(texts[i], sizeof(texts[i]), "answer %u", i);
        stand.calls[i].requests[0].body = (struct string){texts[i], (size_t)length};
    }
    stand_run(&stand, 500);
    unsigned good = 0;
    for (unsigned i = 0; i < 3000; i++) {
        good += stand.calls[i].call.verdict == CALL_GOOD;
        CU_ASSERT_STRING_EQUAL(stand.calls[i].answer, texts[i]);
    }
    CU_ASSERT_EQUAL(good, 3000);
    CU_ASSERT(stand_counts(&stand).retries > 500);
    stand_close(&stand);
}

/* What one kind of answer comes to: attempts, and who is asked again. */
static void one_call(double refused, int status, double connect, bool repeatable, uint32_t attempts,
                     enum outcome outcome)
{
    stand_defaults(&stand);
    stand.protections.retries = 4;
    stand.peers.refused = refused;
    stand.peers.refused_status = status;
    stand.peers.connect = connect;
    stand_open(&stand, 1);
    stand.calls[0].requests[0].repeatable = repeatable;
    stand_run(&stand, 1);
    struct call *call = &stand.calls[0].call;
    CU_ASSERT_EQUAL(call->attempts, attempts);
    CU_ASSERT_EQUAL(call->outcome, outcome);
    CU_ASSERT_EQUAL(call->verdict, refused + connect > 0 ? CALL_BAD : CALL_GOOD);
    CU_ASSERT_EQUAL(call->status, connect > 0 ? 0 : refused > 0 ? status : 200);
    CU_ASSERT_EQUAL(stand.log.arrival_count, attempts);
    CU_ASSERT(call->verdict == CALL_GOOD ? !call->detail[0] : call->detail[0] != 0);
    stand_close(&stand);
}

static void test_causes(void)
{
    one_call(0, 0, 0, true, 1, OUTCOME_ANSWER);
    one_call(1, 503, 0, true, 5, OUTCOME_ANSWER);
    one_call(1, 429, 0, true, 5, OUTCOME_ANSWER);
    one_call(1, 404, 0, true, 1, OUTCOME_ANSWER);
    one_call(1, 301, 0, true, 1, OUTCOME_ANSWER);
    one_call(1, 503, 0, false, 1, OUTCOME_ANSWER); /* it may have done its work already … */
    one_call(0, 0, 1, false, 5, OUTCOME_CONNECT);  /* … but not without a connection */
}

/* Every pause between tries lies within the bounds, and the bound doubles. */
static void test_backoff_times(void)
{
    double sums[7] = {0};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        stand_defaults(&stand);
        stand.protections.retries = 6;
        stand.protections.backoff_most = 2 * SECOND;
        stand.peers.seed = seed;
        stand.peers.refused = 1;
        stand_open(&stand, 1);
        stand_run(&stand, 1);
        CU_ASSERT_EQUAL_FATAL(stand.log.arrival_count, 7);
        for (unsigned i = 1; i < 7; i++) {
            int64_t pause = stand.log.arrivals[i].time - stand.log.arrivals[i - 1].over;
            int64_t bound = (100 * MILLISECOND) << i;
            if (bound > 2 * SECOND)
                bound = 2 * SECOND;
            CU_ASSERT(pause >= 100 * MILLISECOND && pause <= bound);
            sums[i] += (double)pause / (double)(bound + 100 * MILLISECOND) * 2;
        }
        stand_close(&stand);
    }
    for (unsigned i = 1; i < 7; i++) /* uniform: the mean is the middle */
        CU_ASSERT(sums[i] / 300 > 0.9 && sums[i] / 300 < 1.1);
}

static void test_budget(void)
{
    static const double shares[] = {0, 0.2, 1};
    for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
        stand_defaults(&stand);
        stand.protections.retries = 4;
        stand.protections.retry_budget = shares[i];
        stand.protections.hedge_after = 15 * MILLISECOND;
        stand.peers.service_mean = 10 * MILLISECOND;
        stand.peers.refused = 0.7;
        stand_open(&stand, 2000);
        stand_run(&stand, 20);
        /* From the peer's side: at any moment, repeats of a request are within the budget. */
        uint64_t firsts = 0, repeats = 0;
        bool *seen = calloc(2000, sizeof(*seen));
        for (uint64_t j = 0; seen && j < stand.log.arrival_count; j++) {
            size_t call =
                (size_t)((const struct stand_call *)((const char *)stand.log.arrivals[j].request -
                                                     offsetof(struct stand_call, requests)) -
                         stand.calls);
            CU_ASSERT_FATAL(call < 2000);
            repeats += seen[call];
            firsts += !seen[call];
            seen[call] = true;
            CU_ASSERT((double)repeats <= shares[i] * (double)firsts + 10);
        }
        free(seen);
        struct dispatcher_counts counts = stand_counts(&stand);
        CU_ASSERT_EQUAL(firsts, 2000);
        CU_ASSERT_EQUAL(counts.retries + counts.hedges, repeats);
        CU_ASSERT((double)repeats > 0.98 * (shares[i] * 2000)); /* and it is used */
        CU_ASSERT(counts.budget_refusals > 0);
        stand_close(&stand);
    }
}

static void test_retry_after(void)
{
    stand_defaults(&stand);
    stand.protections.retries = 2;
    stand.peers.refused = 1;
    stand.peers.refused_status = 429;
    stand.peers.retry_after = 7 * SECOND;
    stand_open(&stand, 1);
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL_FATAL(stand.log.arrival_count, 3);
    for (unsigned i = 1; i < 3; i++) {
        int64_t pause = stand.log.arrivals[i].time - stand.log.arrivals[i - 1].over;
        CU_ASSERT(pause >= 7 * SECOND && pause <= 7 * SECOND + 100 * MILLISECOND);
    }
    stand_close(&stand);

    stand_defaults(&stand); /* no time for it: ends at once, with what came */
    stand.protections.retries = 2;
    stand.protections.total_timeout = 5 * SECOND;
    stand.peers.refused = 1;
    stand.peers.refused_status = 429;
    stand.peers.retry_after = 7 * SECOND;
    stand_open(&stand, 1);
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 1);
    CU_ASSERT_EQUAL(stand.now, STAND_START + 10 * MILLISECOND);
    CU_ASSERT_EQUAL(stand.calls[0].call.status, 429);
    stand_close(&stand);

    stand_defaults(&stand); /* nobody waits for a year */
    stand.protections.retries = 2;
    stand.peers.refused = 1;
    stand.peers.refused_status = 429;
    stand.peers.retry_after = INT64_MAX;
    stand_open(&stand, 1);
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(stand.calls[0].call.detail, "too long"));
    stand_close(&stand);
}

static void test_timeouts(void)
{
    stand_defaults(&stand);
    stand.protections.timeout = 300 * MILLISECOND;
    stand.peers.hang = 1;
    stand_open(&stand, 1);
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL(stand.now, STAND_START + 300 * MILLISECOND);
    CU_ASSERT_EQUAL(stand.calls[0].call.outcome, OUTCOME_TIMEOUT);
    stand_close(&stand);

    stand_defaults(&stand); /* the total time also ends calls that wait for a slot */
    stand.protections.concurrency = 1;
    stand.protections.timeout = SECOND;
    stand.protections.total_timeout = 2500 * MILLISECOND;
    stand.protections.retries = 9;
    stand.peers.hang = 1;
    stand_open(&stand, 5);
    stand_run(&stand, 5);
    CU_ASSERT_EQUAL(stand.now, STAND_START + 2500 * MILLISECOND);
    CU_ASSERT(stand.log.arrival_count >= 3 && stand.log.in_flight_most == 1);
    for (unsigned i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(stand.calls[i].call.outcome, OUTCOME_TIMEOUT);
        CU_ASSERT(stand.calls[i].call.latency <= 2500 * MILLISECOND);
    }
    CU_ASSERT_EQUAL(stand.calls[4].call.attempts, 0);
    stand_close(&stand);
}

static enum call_verdict judge(void *context, const struct call *call,
                               const struct exchange *exchange, char *detail, size_t size)
{
    (void)context;
    CU_ASSERT_EQUAL(exchange->status, 200);
    if (call->attempts < 3) {
        snprintf(detail, size, "not yet");
        return CALL_RETRY;
    }
    return call->tag ? CALL_BAD : CALL_GOOD;
}

static void test_judge(void)
{
    stand_defaults(&stand);
    stand.hooks.judge = judge;
    stand.protections.retries = 5;
    stand_open(&stand, 2);
    stand_run(&stand, 2);
    CU_ASSERT_EQUAL(stand.calls[0].call.attempts, 3);
    CU_ASSERT_EQUAL(stand.calls[0].call.verdict, CALL_GOOD);
    CU_ASSERT_EQUAL(stand.calls[1].call.attempts, 3);
    CU_ASSERT_EQUAL(stand.calls[1].call.verdict, CALL_BAD);
    CU_ASSERT_STRING_EQUAL(stand.calls[1].call.detail, "status 200");
    stand_close(&stand);
}

SUITE(dispatcher, {"never above the rate, in any interval", test_rate},
      {"buckets shared by name", test_bucket_shared},
      {"concurrency is reached and never passed", test_concurrency},
      {"oldest call first", test_oldest_first}, {"every call has its own answer", test_own_answers},
      {"what is tried again", test_causes}, {"backoff from the peer's side", test_backoff_times},
      {"the retry budget", test_budget}, {"Retry-After", test_retry_after},
      {"timeouts", test_timeouts}, {"the caller's judgement", test_judge})
