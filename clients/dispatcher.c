/* The dispatcher: see dispatcher.h. Here is what its caller calls; dispatcher_start.c sends,
 * dispatcher_end.c receives. */
#include "clients/dispatcher_internal.h"

#include <stdlib.h>

#include "clients/random.h"
#include "core/clock.h"
#include "core/fault.h"

#define REQUESTS_MOST 32 /* of a race; bits of call_state.unsent */
#define STEP_ROUNDS   4  /* of sending and receiving in one step; the rest waits for the next */

static bool dispatcher_rooms(struct dispatcher *dispatcher, uint32_t calls_most)
{
    /* A sending is in flight, or held until its call is released. */
    uint64_t flying = (uint64_t)calls_most * (REQUESTS_MOST + 1);
    if (flying > dispatcher->protections.concurrency)
        flying = dispatcher->protections.concurrency;
    uint64_t sendings = flying + calls_most;
    dispatcher->states = memory_take_zeroed(calls_most, sizeof(*dispatcher->states));
    dispatcher->sendings = memory_take_zeroed(sendings, sizeof(*dispatcher->sendings));
    if (!heap_open(&dispatcher->timers, calls_most) || !heap_open(&dispatcher->ready, calls_most) ||
        !dispatcher->states || !dispatcher->sendings)
        return false;
    for (uint32_t i = calls_most; i-- > 0;) {
        dispatcher->states[i].next = dispatcher->unused_states;
        dispatcher->unused_states = &dispatcher->states[i];
    }
    for (uint64_t i = sendings; i-- > 0;)
        sending_free(dispatcher, &dispatcher->sendings[i]);
    return true;
}

struct dispatcher *dispatcher_open(const struct protections *protections,
                                   const struct dispatcher_hooks *hooks,
                                   struct transport *transport, uint32_t calls_most, uint64_t seed,
                                   struct error *error)
{
    CHECK(protections->concurrency > 0 && protections->timeout > 0 && calls_most > 0);
    CHECK(protections->causes.status_count <= ARRAY_SIZE(protections->causes.statuses));
    struct dispatcher *dispatcher = memory_take_zeroed(1, sizeof(*dispatcher));
    if (!dispatcher) {
        transport->ops->close(transport);
        error_set(error, ERROR_MEMORY, "no memory for %u requests at once", calls_most);
        return NULL;
    }
    dispatcher->protections = *protections;
    dispatcher->hooks = *hooks;
    dispatcher->transport = transport;
    dispatcher->random = seed;
    dispatcher->budget.share = protections->retry_budget;
    dispatcher->calls_most = calls_most;
    dispatcher->now = clock_monotonic();
    dispatcher->rate_wake = INT64_MAX;
    dispatcher->drain_deadline = INT64_MAX;
    dispatcher->dirty = true; /* the transport's wake time is known after a step */
    concurrency_open(&dispatcher->concurrency, protections->concurrency, dispatcher->now);
    bool done = dispatcher_rooms(dispatcher, calls_most);
    if (done && protections->breaker_failures > 0) {
        struct breaker_settings settings = {
            .failures = protections->breaker_failures,
            .pause = protections->breaker_pause,
            .trials = protections->breaker_trials ? protections->breaker_trials : 1,
            .context = hooks->context,
            .changed = hooks->breaker_changed,
        };
        dispatcher->breakers = breakers_open(&settings, random_bits(&dispatcher->random));
        done = dispatcher->breakers != NULL;
    }
    dispatcher->counts.concurrency_now = dispatcher_limit(dispatcher);
    if (done)
        return dispatcher;
    dispatcher_close(dispatcher);
    error_set(error, ERROR_MEMORY, "no memory for %u requests at once", calls_most);
    return NULL;
}

void dispatcher_close(struct dispatcher *dispatcher)
{
    if (!dispatcher)
        return;
    dispatcher->transport->ops->close(dispatcher->transport);
    breakers_close(dispatcher->breakers);
    heap_close(&dispatcher->timers);
    heap_close(&dispatcher->ready);
    free(dispatcher->states);
    free(dispatcher->sendings);
    free(dispatcher);
}

static void dispatcher_now(struct dispatcher *dispatcher)
{
    dispatcher->now = clock_monotonic();
}

void dispatcher_submit(struct dispatcher *dispatcher, struct call *call)
{
    struct call_state *state = dispatcher->unused_states;
    CHECK(state); /* no more than calls_most */
    CHECK(call->request_count > 0 && call->request_count <= REQUESTS_MOST);
    dispatcher->unused_states = state->next;
    dispatcher_now(dispatcher);
    uint32_t all = UINT32_MAX >> (32 - call->request_count);
    *state = (struct call_state){
        .call = call,
        .place = PLACE_NEW,
        .order = dispatcher->order++,
        .submitted = dispatcher->now,
        .deadline = INT64_MAX,
        .unsent = all,
        .alive = all,
    };
    int64_t total = dispatcher->protections.total_timeout;
    if (total > 0 && __builtin_add_overflow(dispatcher->now, total, &state->deadline))
        state->deadline = INT64_MAX;
    call->exchange = NULL;
    call->verdict = CALL_BAD;
    call->outcome = OUTCOME_ANSWER;
    call->status = 0;
    call->attempts = 0;
    call->latency = 0;
    call->detail[0] = 0;
    call->state = state;
    dispatcher->pending++;
    dispatcher->dirty = true;
    COUNT_ADD(dispatcher->counts.calls, 1);
    list_add(&dispatcher->queue, state);
    if (dispatcher->draining)
        state_fail(dispatcher, state, OUTCOME_CANCELLED, "stopped before it was sent");
}

static void drain_end(struct dispatcher *dispatcher)
{
    for (uint32_t i = 0; i < dispatcher->calls_most; i++) {
        struct call_state *state = &dispatcher->states[i];
        if (state->flying)
            state_fail(dispatcher, state, OUTCOME_CANCELLED, "stopped before the answer came");
    }
}

void dispatcher_step(struct dispatcher *dispatcher)
{
    struct transport *transport = dispatcher->transport;
    bool happened = true;
    for (int i = 0; i < STEP_ROUNDS && happened; i++) {
        transport->ops->step(transport);
        dispatcher_now(dispatcher);
        happened = dispatcher_collect(dispatcher);
        if (dispatcher->now >= dispatcher->drain_deadline && dispatcher->in_flight > 0)
            drain_end(dispatcher);
        happened |= dispatcher_time(dispatcher);
        happened |= dispatcher_start(dispatcher);
    }
    dispatcher->dirty = happened;
    COUNT_SET(dispatcher->counts.concurrency_now, dispatcher_limit(dispatcher));
}

/* The call is the caller's again. */
static void state_free(struct dispatcher *dispatcher, struct call_state *state)
{
    state->call->state = NULL;
    state->call = NULL;
    state->held = NULL;
    state->next = dispatcher->unused_states;
    dispatcher->unused_states = state;
    CHECK(dispatcher->pending > 0);
    if (--dispatcher->pending == 0 && dispatcher->percentiles_old)
        percentiles_renew(dispatcher);
}

struct call *dispatcher_reap(struct dispatcher *dispatcher)
{
    struct call_state *state = dispatcher->over.first;
    if (!state)
        return NULL;
    struct call *call = state->call;
    list_remove(&dispatcher->over, state);
    state_free(dispatcher, state);
    return call;
}

void dispatcher_release(struct dispatcher *dispatcher, struct call *call)
{
    if (!call->exchange)
        return;
    struct sending *sending = call->exchange->owner;
    call->exchange = NULL;
    dispatcher->transport->ops->release(dispatcher->transport, &sending->exchange);
    sending_free(dispatcher, sending);
}

void dispatcher_cancel(struct dispatcher *dispatcher, struct call *call)
{
    struct call_state *state = call->state;
    CHECK(state && state->call == call);
    dispatcher_now(dispatcher);
    if (state->place != PLACE_OVER)
        state_fail(dispatcher, state, OUTCOME_CANCELLED, "cancelled");
    list_remove(&dispatcher->over, state);
    dispatcher_release(dispatcher, call);
    state_free(dispatcher, state);
    dispatcher->dirty = true; /* its slot may be another's now */
}

/* What was never sent, or waits for another try, ends here; what is in flight goes on alone. */
static void state_drain(struct dispatcher *dispatcher, struct call_state *state)
{
    bool tried = state->call->attempts > 0;
    if (state->flying) {
        state_unsend(dispatcher, state, UINT32_MAX);
        state_leave(dispatcher, state);
        state->place = PLACE_FLIGHT;
    } else if (!tried) {
        state_fail(dispatcher, state, OUTCOME_CANCELLED, "stopped before it was sent");
    } else {
        state_over(dispatcher, state, state->held, CALL_BAD);
    }
}

void dispatcher_drain(struct dispatcher *dispatcher, int64_t deadline)
{
    dispatcher_now(dispatcher);
    if (deadline < dispatcher->drain_deadline)
        dispatcher->drain_deadline = deadline;
    dispatcher->dirty = true;
    if (dispatcher->draining)
        return;
    dispatcher->draining = true;
    for (uint32_t i = 0; i < dispatcher->calls_most; i++) {
        struct call_state *state = &dispatcher->states[i];
        if (state->call && state->place != PLACE_OVER)
            state_drain(dispatcher, state);
    }
}

uint32_t dispatcher_pending(const struct dispatcher *dispatcher)
{
    return dispatcher->pending;
}

int dispatcher_descriptor(const struct dispatcher *dispatcher)
{
    return dispatcher->transport->descriptor;
}

static int64_t time_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t dispatcher_wake(const struct dispatcher *dispatcher)
{
    if (dispatcher->dirty)
        return 0;
    int64_t wake = time_min(dispatcher->transport->wake, dispatcher->rate_wake);
    const struct heap_item *item = heap_first(&dispatcher->timers);
    if (item)
        wake = time_min(wake, item->key);
    if (dispatcher->queue.first)
        wake = time_min(wake, dispatcher->queue.first->deadline);
    if ((item = heap_first(&dispatcher->ready)))
        wake = time_min(wake, state_of_age(item)->deadline);
    if (dispatcher->in_flight > 0)
        wake = time_min(wake, dispatcher->drain_deadline);
    return wake;
}

void dispatcher_counts(const struct dispatcher *dispatcher, struct dispatcher_counts *counts)
{
    const struct dispatcher_counts *from = &dispatcher->counts;
#define COPY(field) counts->field = COUNT_GET(from->field)
    COPY(calls);
    COPY(exchanges);
    COPY(retries);
    COPY(hedges);
    COPY(hedges_won);
    COPY(rate_waits);
    COPY(breaker_refusals);
    COPY(budget_refusals);
    COPY(breaker_opened);
    COPY(breaker_closed);
    COPY(in_flight);
    COPY(in_flight_most);
    COPY(concurrency_now);
    for (size_t i = 0; i < OUTCOME_COUNT; i++)
        COPY(outcomes[i]);
    COPY(latency_p50);
    COPY(latency_p95);
    COPY(latency_p99);
#undef COPY
}
