/* A dispatcher over modelled peers: see rig.h. */
#include "tests/clients/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"

static void breaker_changed(void *context, struct string peer, const char *state,
                            const char *reason)
{
    struct rig *rig = context;
    CU_ASSERT(strlen(reason) > 0);
    if (rig->change_count == 64)
        return;
    snprintf(rig->changes[rig->change_count], 64, "%.*s %s", (int)peer.length, peer.data, state);
    rig->change_times[rig->change_count++] = rig->now;
}

void rig_defaults(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    rig->now = RIG_START;
    rig->protections = (struct protections){
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
    rig->peers = (struct simulated_settings){
        .seed = 1, .service_least = 10 * MILLISECOND, .refused_status = 503};
    rig->hooks = (struct dispatcher_hooks){.context = rig, .breaker_changed = breaker_changed};
    clock_simulate(&rig->now);
}

void rig_open(struct rig *rig, uint32_t calls)
{
    struct error error;
    rig->peers.exchanges = rig->protections.concurrency + calls;
    rig->log.arrivals_most = (uint64_t)calls * 8 + 64;
    rig->log.arrivals = calloc(rig->log.arrivals_most, sizeof(*rig->log.arrivals));
    rig->calls = calloc(calls, sizeof(*rig->calls));
    CU_ASSERT_FATAL(rig->calls && rig->log.arrivals);
    rig->call_count = calls;
    for (uint32_t i = 0; i < calls; i++) {
        struct rig_call *call = &rig->calls[i];
        for (unsigned j = 0; j < 4; j++)
            call->requests[j] = (struct request){
                .method = STRING("GET"), .peer = STRING("peer"), .repeatable = true};
        call->call = (struct call){.requests = call->requests, .request_count = 1, .tag = i};
    }
    struct transport *transport = simulated_transport_open(&rig->peers, &rig->log);
    CU_ASSERT_FATAL(transport != NULL);
    rig->dispatcher =
        dispatcher_open(&rig->protections, &rig->hooks, transport, calls, rig->peers.seed, &error);
    CU_ASSERT_FATAL(rig->dispatcher != NULL);
}

void rig_close(struct rig *rig)
{
    dispatcher_close(rig->dispatcher);
    free(rig->log.arrivals);
    free(rig->calls);
    clock_simulate(NULL);
}

struct rig_call *rig_submit(struct rig *rig)
{
    CU_ASSERT_FATAL(rig->submitted < rig->call_count);
    struct rig_call *call = &rig->calls[rig->submitted++];
    call->submitted = rig->now;
    dispatcher_submit(rig->dispatcher, &call->call);
    return call;
}

void rig_step(struct rig *rig)
{
    rig->steps++;
    dispatcher_step(rig->dispatcher);
    struct call *call;
    while ((call = dispatcher_reap(rig->dispatcher))) {
        struct rig_call *mine = (struct rig_call *)call;
        CU_ASSERT_EQUAL(mine->reaped, 0);
        mine->reaped++;
        mine->reaped_at = rig->now;
        rig->reaped++;
        CU_ASSERT_EQUAL(call->latency, rig->now - mine->submitted);
        if (call->exchange)
            snprintf(mine->answer, sizeof(mine->answer), "%.*s", (int)call->exchange->answer.length,
                     call->exchange->answer.data);
        dispatcher_release(rig->dispatcher, call);
    }
}

bool rig_advance(struct rig *rig, int64_t until)
{
    int64_t wake = dispatcher_wake(rig->dispatcher);
    if (wake > until)
        wake = until;
    if (wake > rig->now)
        rig->now = wake;
    rig_step(rig);
    return rig->now < until;
}

void rig_run(struct rig *rig, uint32_t window)
{
    for (;;) {
        while (rig->submitted < rig->call_count && dispatcher_pending(rig->dispatcher) < window)
            rig_submit(rig);
        if (dispatcher_pending(rig->dispatcher) == 0)
            return;
        /* Something must be there to wait for, or the dispatcher has lost a call. */
        CU_ASSERT_FATAL(dispatcher_wake(rig->dispatcher) < INT64_MAX);
        rig_advance(rig, INT64_MAX);
    }
}

struct dispatcher_counts rig_counts(const struct rig *rig)
{
    struct dispatcher_counts counts;
    dispatcher_counts(rig->dispatcher, &counts);
    return counts;
}
