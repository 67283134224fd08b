/* The circuit breaker: alone against a plain model, and in the dispatcher from the peer's side. */
#include "clients/breaker.h"

#include <stdio.h>
#include <string.h>

#include "tests/clients/stand.h"
#include "tests/core/random.h"
#include "tests/suite.h"

static const struct string peer = {"api.example:443", 15};

static char last_state[16];
static char last_reason[200];

static void changed(void *context, struct string name, const char *state, const char *reason)
{
    ++*(unsigned *)context;
    CU_ASSERT(string_equal(name, peer));
    snprintf(last_state, sizeof(last_state), "%s", state);
    snprintf(last_reason, sizeof(last_reason), "%s", reason);
}

static bool send(struct breakers *breakers, int64_t now, uint64_t *permit)
{
    if (!breakers_allow(breakers, peer, now))
        return false;
    *permit = breakers_pass(breakers, peer, now);
    return true;
}

static void test_states(void)
{
    unsigned changes = 0;
    uint64_t permit = 0, trials[3] = {0}, old = 0;
    struct breaker_settings settings = {3, 30 * SECOND, 3, &changes, changed};
    struct breakers *breakers = breakers_open(&settings, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(breakers);
    CU_ASSERT(send(breakers, 0, &old)); /* comes back when all is over */
    for (int i = 0; i < 2; i++) {
        CU_ASSERT(send(breakers, 0, &permit));
        breakers_result(breakers, peer, permit, false, "timeout", 0);
    }
    CU_ASSERT(send(breakers, 0, &permit)); /* a good one between: counting begins anew */
    breakers_result(breakers, peer, permit, true, "", 0);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(changes, 0);
        CU_ASSERT(send(breakers, 7, &permit));
        breakers_result(breakers, peer, permit, false, "timeout", 7);
    }
    CU_ASSERT_EQUAL(changes, 1);
    CU_ASSERT_STRING_EQUAL(last_state, "open");
    CU_ASSERT_PTR_NOT_NULL(strstr(last_reason, "3 failures in a row"));
    CU_ASSERT_PTR_NOT_NULL(strstr(last_reason, "timeout"));
    CU_ASSERT_FALSE(breakers_allow(breakers, peer, 7));
    CU_ASSERT_FALSE(breakers_allow(breakers, peer, 7 + 30 * SECOND - 1));
    CU_ASSERT(breakers_allow(breakers, peer, 7 + 30 * SECOND));
    CU_ASSERT_EQUAL(changes, 1); /* asking changes nothing */
    for (int i = 0; i < 3; i++)
        CU_ASSERT(send(breakers, 40 * SECOND, &trials[i]));
    CU_ASSERT_STRING_EQUAL(last_state, "half-open");
    CU_ASSERT_FALSE(send(breakers, 40 * SECOND, &permit));
    breakers_result(breakers, peer, old, false, "late", 40 * SECOND); /* does not count */
    breakers_result(breakers, peer, trials[0], true, "", 40 * SECOND);
    CU_ASSERT_FALSE(send(breakers, 40 * SECOND, &permit)); /* three are three */
    breakers_return(breakers, peer, trials[1]);
    CU_ASSERT(send(breakers, 41 * SECOND, &trials[1])); /* that one was not made */
    CU_ASSERT_FALSE(send(breakers, 41 * SECOND, &permit));
    breakers_result(breakers, peer, trials[1], false, "status 500", 50 * SECOND);
    CU_ASSERT_STRING_EQUAL(last_state, "open");
    breakers_result(breakers, peer, trials[2], true, "", 50 * SECOND); /* too late */
    CU_ASSERT_FALSE(breakers_allow(breakers, peer, 80 * SECOND - 1));
    for (int i = 0; i < 3; i++)
        CU_ASSERT(send(breakers, 80 * SECOND, &trials[i]));
    for (int i = 0; i < 3; i++)
        breakers_result(breakers, peer, trials[i], true, "", 81 * SECOND);
    CU_ASSERT_STRING_EQUAL(last_state, "closed");
    CU_ASSERT_EQUAL(changes, 5);
    CU_ASSERT_EQUAL(breakers_opened(breakers), 2);
    CU_ASSERT_EQUAL(breakers_closed(breakers), 1);
    CU_ASSERT(send(breakers, 81 * SECOND, &permit));
    breakers_close(breakers);
}

/* Peers do not mix, and more of them than there is room for do no harm. */
static void test_many_peers(void)
{
    char names[2000][24];
    struct breaker_settings settings = {2, 30 * SECOND, 1, NULL, NULL};
    struct breakers *breakers = breakers_open(&settings, 5);
    CU_ASSERT_PTR_NOT_NULL_FATAL(breakers);
    unsigned refused = 0;
    for (unsigned turn = 0; turn < 3; turn++)
        for (unsigned i = 0; i < 2000; i++) {
            int length = snprintf(names[i], sizeof(names[i]), "host-%u:80", i);
            struct string name = {names[i], (size_t)length};
            if (!breakers_allow(breakers, name, 0)) {
                CU_ASSERT(i % 10 == 0 && turn == 2);
                refused++;
                continue;
            }
            uint64_t permit = breakers_pass(breakers, name, 0);
            breakers_result(breakers, name, permit, i % 10 != 0, "timeout", 0);
        }
    CU_ASSERT_EQUAL(refused, 200);        /* each tenth failed twice in a row */
    for (unsigned i = 0; i < 2000; i++) { /* all fail: 256 can be watched, the others pass */
        struct string name = {names[i], strlen(names[i])};
        for (unsigned j = 0; j < 2; j++)
            if (breakers_allow(breakers, name, 0))
                breakers_result(breakers, name, breakers_pass(breakers, name, 0), false, "x", 0);
    }
    refused = 0;
    for (unsigned i = 0; i < 2000; i++)
        refused += !breakers_allow(breakers, (struct string){names[i], strlen(names[i])}, 0);
    CU_ASSERT_EQUAL(refused, BREAKER_PEERS);
    breakers_close(breakers);
}

static struct stand stand;

/* Fails until the time comes. */
static void failing_until(void *context, const struct request *request, int64_t now,
                          struct simulated_reply *reply)
{
    (void)request;
    reply->status = now < *(int64_t *)context ? 500 : 200;
}

static unsigned arrivals_between(int64_t from, int64_t to)
{
    unsigned count = 0;
    for (uint64_t i = 0; i < stand.log.arrival_count; i++)
        count += stand.log.arrivals[i].time >= from && stand.log.arrivals[i].time < to;
    return count;
}

/* One call every 100 ms for 100 s; the peer is well again after 45 s. Failures 1 to 5 end at 0.41
 * s: open until 30.41 s; three trials fail at once: open until about 60.5 s; then all is well. */
static void test_from_outside(void)
{
    int64_t well = STAND_START + 45 * SECOND;
    stand_defaults(&stand);
    stand.protections.breaker_failures = 5;
    stand.protections.breaker_pause = 30 * SECOND;
    stand.protections.breaker_trials = 3;
    stand.peers.service_least = 150 * MILLISECOND;
    stand.peers.answer = failing_until;
    stand.peers.context = &well;
    stand_open(&stand, 1000);
    for (int64_t i = 0; i < 1000; i++) {
        stand_submit(&stand);
        while (stand_advance(&stand, STAND_START + (i + 1) * 100 * MILLISECOND))
            ;
    }
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL_FATAL(stand.change_count, 5);
    static const char *const states[] = {"peer open", "peer half-open", "peer open",
                                         "peer half-open", "peer closed"};
    for (unsigned i = 0; i < 5; i++)
        CU_ASSERT_STRING_EQUAL(stand.changes[i], states[i]);
    /* sent at 0, 100, … ms: the fifth failure ends at 400 + 150 */
    int64_t opened = STAND_START + 550 * MILLISECOND;
    CU_ASSERT_EQUAL(stand.change_times[0], opened);
    CU_ASSERT_EQUAL(arrivals_between(STAND_START, opened), 6);
    CU_ASSERT_EQUAL(arrivals_between(opened, opened + 30 * SECOND), 0);
    CU_ASSERT_EQUAL(stand.change_times[1], STAND_START + 30600 * MILLISECOND);
    /* trials at 30.6 and 30.7; the first fails at 30.75: open before the third is sent */
    CU_ASSERT_EQUAL(stand.change_times[2], STAND_START + 30750 * MILLISECOND);
    CU_ASSERT_EQUAL(arrivals_between(opened, STAND_START + 60750 * MILLISECOND), 2);
    CU_ASSERT_EQUAL(stand.change_times[3], STAND_START + 60800 * MILLISECOND);
    /* three trials, at 60.8, 60.9, 61.0, and no fourth until the third is back at 61.15 */
    CU_ASSERT_EQUAL(stand.change_times[4], STAND_START + 61150 * MILLISECOND);
    CU_ASSERT_EQUAL(arrivals_between(STAND_START + 60800 * MILLISECOND, stand.change_times[4]), 3);
    struct dispatcher_counts counts = stand_counts(&stand);
    CU_ASSERT_EQUAL(counts.breaker_opened, 2);
    CU_ASSERT_EQUAL(counts.breaker_closed, 1);
    CU_ASSERT_EQUAL(counts.breaker_refusals, 1000 - stand.log.arrival_count);
    for (unsigned i = 0; i < 1000; i++) {
        const struct call *call = &stand.calls[i].call;
        if (call->outcome != OUTCOME_OPEN)
            continue;
        CU_ASSERT_EQUAL(call->verdict, CALL_BAD);
        CU_ASSERT_EQUAL(call->latency, 0); /* refused at once */
        CU_ASSERT_EQUAL(call->attempts, 0);
    }
    stand_close(&stand);
}

/* Half-open with a crowd waiting: exactly `trials` requests reach the peer, whatever `trials` is,
 * also when trials are cancelled in between. */
static void test_trials(void)
{
    for (uint32_t trials = 1; trials <= 20; trials++) {
        int64_t well = INT64_MAX;
        stand_defaults(&stand);
        stand.protections.concurrency = 64;
        stand.protections.breaker_failures = 5;
        stand.protections.breaker_pause = 30 * SECOND;
        stand.protections.breaker_trials = trials;
        stand.peers.answer = failing_until;
        stand.peers.context = &well;
        stand_open(&stand, 300);
        for (unsigned i = 0; i < 100; i++)
            stand_submit(&stand);
        while (stand_advance(&stand, STAND_START + 31 * SECOND))
            ;
        CU_ASSERT_EQUAL(stand.change_count, 1);
        CU_ASSERT_EQUAL(dispatcher_pending(stand.dispatcher), 0);
        uint64_t before = stand.log.arrival_count;
        CU_ASSERT_EQUAL(before, 64);
        for (unsigned i = 0; i < 100; i++)
            stand_submit(&stand);
        stand_step(&stand);
        CU_ASSERT_EQUAL(stand.log.arrival_count - before, trials);
        CU_ASSERT_EQUAL(dispatcher_pending(stand.dispatcher), trials);
        dispatcher_cancel(stand.dispatcher, &stand.calls[100].call); /* the first trial */
        stand_submit(&stand);
        stand_step(&stand);
        CU_ASSERT_EQUAL(stand.log.arrival_count - before, trials + 1);
        CU_ASSERT_EQUAL(stand.log.in_flight, trials);
        well = stand.now; /* their answers were decided on arrival: they fail */
        stand_advance(&stand, INT64_MAX);
        CU_ASSERT_STRING_EQUAL(stand.changes[2], "peer open");
        CU_ASSERT_EQUAL(dispatcher_pending(stand.dispatcher), 0);
        stand_close(&stand);
    }
}

/* 4xx is the peer's word, not its failure. */
static void test_well_peer(void)
{
    stand_defaults(&stand);
    stand.protections.breaker_failures = 2;
    stand.protections.breaker_pause = SECOND;
    stand.peers.refused = 1;
    stand.peers.refused_status = 404;
    stand_open(&stand, 50);
    stand_run(&stand, 5);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 50);
    CU_ASSERT_EQUAL(stand.change_count, 0);
    stand_close(&stand);
}

SUITE(breaker, {"its states and times", test_states}, {"many peers", test_many_peers},
      {"from the peer's side", test_from_outside}, {"exactly the trial requests", test_trials},
      {"a 404 opens nothing", test_well_peer})
