/* A dispatcher over modelled peers: see stand.h. */
#include "tests/clients/stand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"

static void breaker_changed(void *context, struct string peer, const char *state,
                            const char *reason)
{
    struct stand *stand = context;
    CU_ASSERT(strlen(reason) > 0);
    if (stand->change_count == 64)
        return;
    snprintf(stand->changes[stand->change_count], 64, "%.*s %s", (int)peer.length, peer.data,
             state);
    stand->change_times[stand->change_count++] = stand->now;
}

void stand_defaults(struct stand *stand)
{
    memset(stand, 0, sizeof(*stand));
    stand->now = STAND_START;
    stand->protections = (struct protections){
        .concurrency = 8,
        .timeout = 10 * SECOND,
        .backoff_least = 100 * MILLISECOND,
        .backoff_most = 10 * SECOND,
        .causes = {.outcomes = 1 << OUTCOME_CONNECT | 1 << OUTCOME_TIMEOUT | 1 << OUTCOME_BROKEN,
                   .classes = 1 << 5,
                   .statuses = {429},
                   .status_count = 1},
        .retry_budget = 0.2,
    };
    stand->peers = (struct simulated_settings){
        .seed = 1, .service_least = 10 * MILLISECOND, .refused_status = 503};
    stand->hooks = (struct dispatcher_hooks){.context = stand, .breaker_changed = breaker_changed};
    clock_simulate(&stand->now);
}

void stand_open(struct stand *stand, uint32_t calls)
{
    struct error error;
    stand->peers.exchanges = stand->protections.concurrency + calls;
    stand->log.arrivals_most = (uint64_t)calls * 8 + 64;
    stand->log.arrivals = calloc(stand->log.arrivals_most, sizeof(*stand->log.arrivals));
    stand->calls = calloc(calls, sizeof(*stand->calls));
    CU_ASSERT_FATAL(stand->calls && stand->log.arrivals);
    stand->call_count = calls;
    for (uint32_t i = 0; i < calls; i++) {
        struct stand_call *call = &stand->calls[i];
        for (unsigned j = 0; j < 4; j++)
            call->requests[j] = (struct request){
                .method = STRING("GET"), .peer = STRING("peer"), .repeatable = true};
        call->call = (struct call){.requests = call->requests, .request_count = 1, .tag = i};
    }
    struct transport *transport = simulated_transport_open(&stand->peers, &stand->log);
    CU_ASSERT_FATAL(transport != NULL);
    stand->dispatcher = dispatcher_open(&stand->protections, &stand->hooks, transport, calls,
                                        stand->peers.seed, &error);
    CU_ASSERT_FATAL(stand->dispatcher != NULL);
}

void stand_close(struct stand *stand)
{
    dispatcher_close(stand->dispatcher);
    free(stand->log.arrivals);
    free(stand->calls);
    clock_simulate(NULL);
}

struct stand_call *stand_submit(struct stand *stand)
{
    CU_ASSERT_FATAL(stand->submitted < stand->call_count);
    struct stand_call *call = &stand->calls[stand->submitted++];
    call->submitted = stand->now;
    dispatcher_submit(stand->dispatcher, &call->call);
    return call;
}

void stand_step(struct stand *stand)
{
    stand->steps++;
    dispatcher_step(stand->dispatcher);
    struct call *call;
    while ((call = dispatcher_reap(stand->dispatcher))) {
        struct stand_call *mine = (struct stand_call *)call;
        CU_ASSERT_EQUAL(mine->reaped, 0);
        mine->reaped++;
        mine->reaped_at = stand->now;
        stand->reaped++;
        CU_ASSERT_EQUAL(call->latency, stand->now - mine->submitted);
        if (call->exchange)
            snprintf(mine->answer, sizeof(mine->answer), "%.*s", (int)call->exchange->answer.length,
                     call->exchange->answer.data);
        dispatcher_release(stand->dispatcher, call);
    }
}

bool stand_advance(struct stand *stand, int64_t until)
{
    int64_t wake = dispatcher_wake(stand->dispatcher);
    if (wake > until)
        wake = until;
    if (wake > stand->now)
        stand->now = wake;
    stand_step(stand);
    return stand->now < until;
}

void stand_run(struct stand *stand, uint32_t window)
{
    for (;;) {
        while (stand->submitted < stand->call_count &&
               dispatcher_pending(stand->dispatcher) < window)
            stand_submit(stand);
        if (dispatcher_pending(stand->dispatcher) == 0)
            return;
        /* Something must be there to wait for, or the dispatcher has lost a call. */
        CU_ASSERT_FATAL(dispatcher_wake(stand->dispatcher) < INT64_MAX);
        stand_advance(stand, INT64_MAX);
    }
}

struct dispatcher_counts stand_counts(const struct stand *stand)
{
    struct dispatcher_counts counts;
    dispatcher_counts(stand->dispatcher, &counts);
    return counts;
}
