/* Cancelling, draining and waking: what ends when, and that slots come back at once; short memory;
 * threads at one bucket. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/cache.h"
#include "core/fault.h"

#include "tests/clients/stand.h"
#include "tests/suite.h"

static struct stand stand;

static void test_cancel(void)
{
    stand_defaults(&stand);
    stand.protections.concurrency = 1;
    stand.peers.hang = 1;
    stand_open(&stand, 3);
    for (unsigned i = 0; i < 3; i++)
        stand_submit(&stand);
    stand_step(&stand);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 1);
    dispatcher_cancel(stand.dispatcher, &stand.calls[1].call); /* one that waits */
    dispatcher_cancel(stand.dispatcher, &stand.calls[0].call); /* the one in flight */
    CU_ASSERT(stand.log.arrivals[0].cancelled);
    CU_ASSERT(dispatcher_wake(stand.dispatcher) <= stand.now); /* its slot is free now, not later */
    stand_step(&stand);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 2);
    CU_ASSERT_PTR_EQUAL(stand.log.arrivals[1].request, stand.calls[2].requests);
    CU_ASSERT_EQUAL(dispatcher_pending(stand.dispatcher), 1);
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL(stand.reaped, 1); /* cancelled calls are not reaped */
    CU_ASSERT_EQUAL(stand.calls[2].reaped, 1);
    stand_close(&stand);

    stand_defaults(&stand); /* one that is over already, with its answer */
    stand_open(&stand, 1);
    stand_submit(&stand);
    dispatcher_step(stand.dispatcher);
    stand.now += SECOND;
    dispatcher_step(stand.dispatcher);
    dispatcher_cancel(stand.dispatcher, &stand.calls[0].call);
    CU_ASSERT_PTR_NULL(stand.calls[0].call.exchange);
    CU_ASSERT_PTR_NULL(dispatcher_reap(stand.dispatcher));
    CU_ASSERT_EQUAL(dispatcher_pending(stand.dispatcher), 0);
    stand_close(&stand);
}

/* A retry that was granted and never sent costs the budget nothing. */
static void test_budget_given_back(void)
{
    stand_defaults(&stand);
    stand.protections.retries = 1;
    stand.protections.retry_budget = 0; /* ten in all */
    stand.peers.refused = 1;
    stand_open(&stand, 40);
    for (unsigned i = 0; i < 40; i++) {
        struct stand_call *call = stand_submit(&stand);
        stand_step(&stand);
        stand.now += 10 * MILLISECOND; /* answered 503: it rests now */
        stand_step(&stand);
        dispatcher_cancel(stand.dispatcher, &call->call);
    }
    CU_ASSERT_EQUAL(stand_counts(&stand).budget_refusals, 0);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 40);
    stand_close(&stand);
}

/* Answers 200 after 50 ms, 503 at once or never, as the body says. */
static void by_body(void *context, const struct request *request, int64_t now,
                    struct simulated_reply *reply)
{
    (void)context;
    (void)now;
    reply->service = 50 * MILLISECOND;
    if (string_equal_text(request->body, "busy")) {
        reply->service = MILLISECOND;
        reply->status = 503;
    } else if (string_equal_text(request->body, "never")) {
        reply->outcome = OUTCOME_TIMEOUT;
    }
}

/* In flight 0 (will be answered), 1 (rests before a retry), 2 (never answered); 3 and 4 wait. */
static void drain_open(void)
{
    static const struct string bodies[5] = {
        {"good", 4}, {"busy", 4}, {"never", 5}, {"good", 4}, {"good", 4}};
    stand_defaults(&stand);
    stand.protections.concurrency = 3;
    stand.protections.retries = 3;
    stand.protections.backoff_least = SECOND;
    stand.peers.answer = by_body;
    stand_open(&stand, 6);
    for (unsigned i = 0; i < 5; i++)
        stand.calls[i].requests[0].body = bodies[i];
    for (unsigned i = 0; i < 3; i++)
        stand_submit(&stand);
    stand_advance(&stand, STAND_START + 5 * MILLISECOND);
    stand_advance(&stand, STAND_START + 5 * MILLISECOND);
    CU_ASSERT_EQUAL(stand.log.in_flight, 2); /* the busy one rests */
    stand_submit(&stand);
    stand_step(&stand);
    stand_submit(&stand);
    stand_step(&stand);
    CU_ASSERT_EQUAL(stand.log.in_flight, 3);
}

static void test_drain(void)
{
    drain_open();
    dispatcher_drain(stand.dispatcher, stand.now + 200 * MILLISECOND);
    int64_t drained = stand.now;
    stand_step(&stand);
    CU_ASSERT_EQUAL(stand.reaped, 2); /* the resting one and the waiting one */
    CU_ASSERT_EQUAL(stand.calls[1].call.status, 503);
    CU_ASSERT_EQUAL(stand.calls[1].call.outcome, OUTCOME_ANSWER);
    CU_ASSERT_EQUAL(stand.calls[4].call.outcome, OUTCOME_CANCELLED);
    CU_ASSERT_EQUAL(stand.calls[4].call.attempts, 0);
    stand_submit(&stand); /* too late */
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL(stand.calls[5].call.outcome, OUTCOME_CANCELLED);
    CU_ASSERT_EQUAL(stand.calls[5].reaped_at, drained);
    CU_ASSERT_EQUAL(stand.calls[0].call.verdict, CALL_GOOD); /* in flight: it may finish */
    CU_ASSERT_EQUAL(stand.calls[0].reaped_at, STAND_START + 50 * MILLISECOND);
    CU_ASSERT_EQUAL(stand.calls[3].call.verdict, CALL_GOOD);
    CU_ASSERT_EQUAL(stand.calls[2].call.outcome, OUTCOME_CANCELLED);
    CU_ASSERT_EQUAL(stand.calls[2].reaped_at, drained + 200 * MILLISECOND);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 4);
    CU_ASSERT_EQUAL(stand.log.in_flight, 0);
    stand_close(&stand);

    drain_open(); /* the second signal: at once */
    dispatcher_drain(stand.dispatcher, stand.now + 200 * MILLISECOND);
    dispatcher_drain(stand.dispatcher, stand.now);
    stand_step(&stand);
    CU_ASSERT_EQUAL(stand.reaped, 5);
    CU_ASSERT_EQUAL(stand.log.in_flight, 0);
    stand_close(&stand);
}

/* A call that waits for the rate ends when its time is over, not when the token comes. */
static void test_waiting_for_rate(void)
{
    stand_defaults(&stand);
    stand.protections.bucket = bucket_open(1.0 / 3600, 1);
    stand.protections.total_timeout = SECOND;
    stand_open(&stand, 2);
    stand_run(&stand, 2);
    CU_ASSERT_EQUAL(stand.calls[0].call.verdict, CALL_GOOD);
    CU_ASSERT_EQUAL(stand.calls[1].call.outcome, OUTCOME_TIMEOUT);
    CU_ASSERT_EQUAL(stand.calls[1].reaped_at, STAND_START + SECOND);
    CU_ASSERT_EQUAL(stand_counts(&stand).rate_waits, 1);
    stand_close(&stand);
    bucket_close(stand.protections.bucket);
}

/* Nothing to do: nobody is woken. And a run takes a few steps for each exchange, no more. */
static void test_wakes(void)
{
    stand_defaults(&stand);
    stand_open(&stand, 1000);
    stand_step(&stand);
    CU_ASSERT_EQUAL(dispatcher_wake(stand.dispatcher), INT64_MAX);
    stand_run(&stand, 8);
    CU_ASSERT(stand.steps < 3 * 1000 / 8);
    stand_step(&stand);
    CU_ASSERT_EQUAL(dispatcher_wake(stand.dispatcher), INT64_MAX);
    CU_ASSERT_EQUAL(dispatcher_descriptor(stand.dispatcher), -1);
    stand_close(&stand);
}

/* Opens everything and uses the cache with the n-th allocation failing; leaks show in the builds
 * with sanitizers. The child says 0, or what went wrong. */
static int open_all_short(unsigned number)
{
    char setting[32];
    struct error error = {0};
    snprintf(setting, sizeof(setting), "alloc:%u", number);
    setenv("LEAT_FAULT", setting, 1);
    if (!fault_open())
        return 2;
    static struct simulated_log log;
    struct simulated_settings peers = {.exchanges = 10};
    struct protections protections = {
        .concurrency = 3, .timeout = SECOND, .breaker_failures = 3, .breaker_pause = SECOND};
    struct dispatcher_hooks hooks = {0};
    struct transport *transport = simulated_transport_open(&peers, &log);
    struct dispatcher *dispatcher =
        transport ? dispatcher_open(&protections, &hooks, transport, 7, 1, &error) : NULL;
    if (transport && !dispatcher && error.code != ERROR_MEMORY)
        return 3;
    dispatcher_close(dispatcher);
    struct cache_settings settings = {10, 10000, SECOND, 0};
    struct cache *cache = cache_open(&settings, 1, &error);
    if (!cache)
        return error.code == ERROR_MEMORY ? 0 : 4;
    struct cache_waiter waiter;
    struct cached found;
    struct cache_flight *flight;
    for (unsigned i = 0; i < 3; i++)
        if (cache_find(cache, STRING("key"), 0, &waiter, &found, &flight) == CACHE_MISS) {
            struct cached answer = {.value = STRING("value")};
            cache_fill(cache, flight, &answer, 0, false);
            cache_waiter_next(cache, flight);
        }
    bool kept = cache_find(cache, STRING("key"), 0, &waiter, &found, &flight) == CACHE_HIT &&
                string_equal(found.value, STRING("value"));
    cache_close(cache);
    return kept ? 0 : 5; /* one failure is overcome by the next try */
}

static void test_short_memory(void)
{
    for (unsigned number = 1; number <= 16; number++) {
        fflush(stdout);
        pid_t child = fork();
        CU_ASSERT_FATAL(child >= 0);
        if (child == 0)
            exit(open_all_short(number));
        int status;
        CU_ASSERT_FATAL(waitpid(child, &status, 0) == child);
        CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static struct bucket *between;
static atomic_uint taken;

static void *take_all(void *until)
{
    int64_t wake;
    while (clock_monotonic() < *(int64_t *)until)
        taken += bucket_take(between, 3, &wake);
    return NULL;
}

/* The real clock, for once: four threads at one bucket get together what one would. */
static void test_threads(void)
{
    pthread_t threads[4];
    taken = 0;
    int64_t begin = clock_monotonic(), until = begin + 30 * MILLISECOND;
    between = bucket_open(100000, 10);
    CU_ASSERT_FATAL(between != NULL);
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, take_all, &until) == 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    double seconds = (double)(clock_monotonic() - begin) / 1e9;
    CU_ASSERT(taken > 0 && (double)taken <= 10 + 100000 * seconds);
    bucket_close(between);
}

SUITE(stop, {"cancelled calls", test_cancel}, {"budget given back", test_budget_given_back},
      {"drained: what ends when", test_drain},
      {"time over while waiting for the rate", test_waiting_for_rate},
      {"woken only when there is something", test_wakes}, {"short of memory", test_short_memory},
      {"one bucket, four threads", test_threads})
