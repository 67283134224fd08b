/* Hedging and racing, from the peers' side: when the second request is sent, who wins, and that
 * losers are cancelled. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/clients/stand.h"
#include "tests/suite.h"

static struct stand stand;
static const struct request *before; /* the request that was sent last */

/* Each request gets the service time that its body says, in ms; the second sending of the same
 * request the time behind the comma. */
static void timed(void *context, const struct request *request, int64_t now,
                  struct simulated_reply *reply)
{
    (void)now;
    (void)context;
    char *end;
    char text[32];
    snprintf(text, sizeof(text), "%.*s", (int)request->body.length, request->body.data);
    long first = strtol(text, &end, 10);
    long second = *end == ',' ? strtol(end + 1, &end, 10) : first;
    reply->service = (request == before ? second : first) * MILLISECOND;
    if (*end == '!')
        reply->status = 500;
    if (*end == '?')
        reply->status = 404;
    reply->body = request->body;
    before = request;
}

static void hedge_open(int64_t after, const char *body)
{
    stand_defaults(&stand);
    before = NULL;
    stand.protections.hedge_after = after;
    stand.peers.answer = timed;
    stand_open(&stand, 1);
    stand.calls[0].requests[0].body = (struct string){body, strlen(body)};
}

static void test_hedge(void)
{
    hedge_open(50 * MILLISECOND, "1000,20"); /* the hedge wins */
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL_FATAL(stand.log.arrival_count, 2);
    CU_ASSERT_EQUAL(stand.log.arrivals[1].time, STAND_START + 50 * MILLISECOND);
    CU_ASSERT(stand.log.arrivals[0].cancelled);
    CU_ASSERT_EQUAL(stand.log.arrivals[0].over, STAND_START + 70 * MILLISECOND);
    CU_ASSERT_FALSE(stand.log.arrivals[1].cancelled);
    CU_ASSERT_EQUAL(stand.calls[0].call.verdict, CALL_GOOD);
    CU_ASSERT_EQUAL(stand.calls[0].call.attempts, 2);
    CU_ASSERT_EQUAL(stand_counts(&stand).hedges, 1);
    CU_ASSERT_EQUAL(stand_counts(&stand).hedges_won, 1);
    stand_close(&stand);

    hedge_open(50 * MILLISECOND, "60,1000"); /* the first wins */
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL_FATAL(stand.log.arrival_count, 2);
    CU_ASSERT(stand.log.arrivals[1].cancelled);
    CU_ASSERT_EQUAL(stand.now, STAND_START + 60 * MILLISECOND);
    CU_ASSERT_EQUAL(stand_counts(&stand).hedges_won, 0);
    stand_close(&stand);

    hedge_open(50 * MILLISECOND, "49"); /* no need */
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 1);
    stand_close(&stand);

    hedge_open(50 * MILLISECOND, "1000"); /* not for what must not be sent twice */
    stand.calls[0].requests[0].repeatable = false;
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 1);
    stand_close(&stand);

    hedge_open(50 * MILLISECOND, "100,100!"); /* a bad one ends nothing while one is under way */
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL(stand.log.arrival_count, 2);
    CU_ASSERT_EQUAL(stand.now, STAND_START + 150 * MILLISECOND);
    CU_ASSERT_EQUAL(stand.calls[0].call.verdict, CALL_BAD);
    stand_close(&stand);
}

/* No hedge before 100 answers, then only for what is slower than p95, and no flood of them. */
static void test_percentile(void)
{
    static char bodies[4000][8];
    stand_defaults(&stand);
    before = NULL;
    stand.protections.hedge_percentile = 0.95;
    stand.protections.concurrency = 2;
    stand.peers.answer = timed;
    stand_open(&stand, 4000);
    for (unsigned i = 0; i < 4000; i++) { /* 1 … 100 ms, each as often, in a scattered order */
        int length = snprintf(bodies[i], sizeof(bodies[i]), "%u,1", i * 37 % 100 + 1);
        stand.calls[i].requests[0].body = (struct string){bodies[i], (size_t)length};
    }
    unsigned first_hedged = 0, hedged = 0;
    stand_run(&stand, 1);
    for (unsigned i = 0; i < 4000; i++) {
        const struct stand_call *call = &stand.calls[i];
        CU_ASSERT_EQUAL(call->call.verdict, CALL_GOOD);
        long own = strtol(bodies[i], NULL, 10);
        if (call->call.attempts == 2) {
            hedged++;
            if (!first_hedged)
                first_hedged = i;
            CU_ASSERT(own >= 90); /* about p95; the histogram is a little coarse */
            CU_ASSERT(call->call.latency <= own * MILLISECOND);
        } else {
            CU_ASSERT(own <= 98 || i < 200);
        }
    }
    CU_ASSERT(first_hedged >= 100);
    CU_ASSERT(hedged > 3900 / 50 && hedged < 3900 / 12); /* 5 %, give or take */
    uint64_t cancelled = 0;
    for (uint64_t i = 0; i < stand.log.arrival_count; i++)
        cancelled += stand.log.arrivals[i].cancelled;
    CU_ASSERT_EQUAL(cancelled, hedged); /* of each pair one */
    CU_ASSERT_EQUAL(stand.log.in_flight, 0);
    stand_close(&stand);
}

static void race_open(uint32_t concurrency, const char *one, const char *two, const char *three)
{
    static const struct string peers[3] = {{"one", 3}, {"two", 3}, {"three", 5}};
    const char *bodies[3] = {one, two, three};
    stand_defaults(&stand);
    before = NULL;
    stand.protections.concurrency = concurrency;
    stand.protections.retries = 1;
    stand.peers.answer = timed;
    stand_open(&stand, 2);
    for (unsigned i = 0; i < 3; i++) {
        stand.calls[0].requests[i].body = (struct string){bodies[i], strlen(bodies[i])};
        stand.calls[0].requests[i].peer = peers[i];
    }
    stand.calls[0].call.request_count = 3;
    stand.calls[1].requests[0].body = STRING("5");
}

static void test_race(void)
{
    race_open(8, "70", "30", "50");
    stand_submit(&stand);
    stand_run(&stand, 1);
    CU_ASSERT_STRING_EQUAL(stand.calls[0].answer, "30");
    CU_ASSERT_EQUAL(stand.calls[0].call.latency, 30 * MILLISECOND);
    for (unsigned i = 0; i < 3; i++) { /* all at once; the losers are cancelled at once */
        CU_ASSERT_EQUAL(stand.log.arrivals[i].time, STAND_START);
        CU_ASSERT_EQUAL(stand.log.arrivals[i].over, STAND_START + 30 * MILLISECOND);
        CU_ASSERT_EQUAL(stand.log.arrivals[i].cancelled, i != 1);
    }
    stand_close(&stand);

    race_open(8, "10!", "30?", "50"); /* the first good one, not the first */
    stand_submit(&stand);
    stand_run(&stand, 1);
    CU_ASSERT_STRING_EQUAL(stand.calls[0].answer, "50");
    CU_ASSERT_EQUAL(stand.calls[0].call.attempts, 3);
    stand_close(&stand);

    race_open(8, "10!", "30?", "20!"); /* none: those worth it are tried again, the 404 is not */
    stand_submit(&stand);
    stand_run(&stand, 1);
    CU_ASSERT_EQUAL(stand.calls[0].call.verdict, CALL_BAD);
    CU_ASSERT_EQUAL(stand.calls[0].call.attempts, 5);
    CU_ASSERT_EQUAL(stand.log.peers[0].arrivals, 2);
    CU_ASSERT_EQUAL(stand.log.peers[1].arrivals, 1);
    CU_ASSERT_EQUAL(stand.log.peers[2].arrivals, 2);
    stand_close(&stand);

    race_open(1, "70", "30", "50"); /* one slot: one after another, before any newer call */
    stand_submit(&stand);
    stand_submit(&stand);
    stand_run(&stand, 2);
    CU_ASSERT_STRING_EQUAL(stand.calls[0].answer, "70");
    CU_ASSERT_EQUAL(stand.log.arrival_count, 2);
    CU_ASSERT_STRING_EQUAL(stand.calls[1].answer, "5");
    CU_ASSERT_EQUAL(stand.log.in_flight_most, 1);
    stand_close(&stand);

    race_open(1, "70!", "30!", "50"); /* … as long as none is good */
    stand_submit(&stand);
    stand_submit(&stand);
    stand_run(&stand, 2);
    CU_ASSERT_STRING_EQUAL(stand.calls[0].answer, "50");
    CU_ASSERT_EQUAL(stand.calls[0].call.latency, 150 * MILLISECOND);
    CU_ASSERT_EQUAL(stand.calls[1].call.latency, 155 * MILLISECOND);
    stand_close(&stand);
}

SUITE(hedge, {"hedging after a time", test_hedge}, {"hedging after p95", test_percentile},
      {"the first good of several", test_race})
