/* The dispatcher's sending side: whose turn it is, and whether breaker, concurrency and rate allow
 * it. See dispatcher_internal.h. */
#include "clients/bucket.h"
#include "clients/dispatcher_internal.h"

#include <stdio.h>

#define HEDGE_SAMPLES 100 /* before a percentile is trusted */

uint32_t dispatcher_limit(const struct dispatcher *dispatcher)
{
    return dispatcher->protections.adaptive ? dispatcher->concurrency.limit
                                            : dispatcher->protections.concurrency;
}

/* The oldest call that has something to send. Whoever was tried before is older than whoever was
 * not. */
static struct call_state *state_next(const struct dispatcher *dispatcher)
{
    const struct heap_item *item = heap_first(&dispatcher->ready);
    struct call_state *state = dispatcher->queue.first;
    if (!item)
        return state;
    struct call_state *ready = state_of_age(item);
    return state && state->order < ready->order ? state : ready;
}

static bool may_hedge(const struct dispatcher *dispatcher, const struct call_state *state)
{
    const struct call *call = state->call;
    return call->request_count == 1 && !state->hedged && !dispatcher->draining &&
           (call->requests[0].repeatable || dispatcher->protections.repeat_all);
}

/* All of this round is sent. */
static void state_sent(struct dispatcher *dispatcher, struct call_state *state)
{
    state_leave(dispatcher, state);
    state->place = PLACE_FLIGHT;
    int64_t after = dispatcher->protections.hedge_after;
    if (dispatcher->protections.hedge_percentile > 0 && dispatcher->recent.total >= HEDGE_SAMPLES)
        after = dispatcher->hedge_delay;
    int64_t due;
    if (after > 0 && may_hedge(dispatcher, state) &&
        !__builtin_add_overflow(dispatcher->now, after, &due))
        heap_add(&dispatcher->timers, &state->timer, due);
}

static void count_sent(struct dispatcher *dispatcher, struct call_state *state, bool hedge)
{
    COUNT_ADD(dispatcher->counts.exchanges, 1);
    if (hedge)
        COUNT_ADD(dispatcher->counts.hedges, 1);
    else if (state->round > 0)
        COUNT_ADD(dispatcher->counts.retries, 1);
    else
        dispatcher->budget.firsts++;
    dispatcher->in_flight++;
    COUNT_SET(dispatcher->counts.in_flight, dispatcher->in_flight);
    if (dispatcher->in_flight > dispatcher->counts.in_flight_most)
        COUNT_SET(dispatcher->counts.in_flight_most, dispatcher->in_flight);
    if (dispatcher->protections.adaptive)
        concurrency_started(&dispatcher->concurrency, dispatcher->in_flight);
    state->call->attempts++;
}

static void sending_start(struct dispatcher *dispatcher, struct call_state *state, uint32_t index)
{
    struct sending *sending = dispatcher->unused_sendings;
    CHECK(sending); /* calls that were reaped have to be released */
    dispatcher->unused_sendings = sending->next;
    const struct request *request = &state->call->requests[index];
    int64_t deadline;
    if (__builtin_add_overflow(dispatcher->now, dispatcher->protections.timeout, &deadline) ||
        deadline > state->deadline)
        deadline = state->deadline;
    sending->exchange = (struct exchange){.request = request, .deadline = deadline};
    sending->exchange.owner = sending;
    sending->state = state;
    sending->started = dispatcher->now;
    sending->index = index;
    sending->hedge = state->hedged;
    sending->permit = dispatcher->breakers
                          ? breakers_pass(dispatcher->breakers, request->peer, dispatcher->now)
                          : 0;
    sending->next = state->flying;
    state->flying = sending;
    state->unsent &= ~(1u << index);
    count_sent(dispatcher, state, sending->hedge);
    dispatcher->transport->ops->start(dispatcher->transport, &sending->exchange);
}

/* The breaker refuses a request: it is not sent in this round. */
static void request_refused(struct dispatcher *dispatcher, struct call_state *state, uint32_t index)
{
    struct call *call = state->call;
    state_unsend(dispatcher, state, 1u << index);
    if (!state->hedged) {
        char last[96] = "";
        if (call->detail[0] && call->outcome != OUTCOME_OPEN)
            snprintf(last, sizeof(last), " (before: %.80s)", call->detail);
        struct string peer = call->requests[index].peer;
        snprintf(call->detail, sizeof(call->detail), "the circuit breaker of %.*s is open%s",
                 (int)size_min(peer.length, 64), peer.data, last);
        call->outcome = OUTCOME_OPEN;
        COUNT_ADD(dispatcher->counts.breaker_refusals, 1);
        COUNT_ADD(dispatcher->counts.outcomes[OUTCOME_OPEN], 1);
    }
    if (state->unsent)
        return;
    if (state->flying)
        state_sent(dispatcher, state);
    else
        round_end(dispatcher, state);
}

/* The next request of the call. False: it has to wait, and everybody behind it too. */
static bool state_start(struct dispatcher *dispatcher, struct call_state *state)
{
    CHECK(state->unsent);
    uint32_t index = (uint32_t)__builtin_ctz(state->unsent);
    struct string peer = state->call->requests[index].peer;
    /* The breaker first: a refusal needs no slot and no token, and must not wait for them. */
    if (dispatcher->breakers && !breakers_allow(dispatcher->breakers, peer, dispatcher->now)) {
        request_refused(dispatcher, state, index);
        return true;
    }
    if (dispatcher->in_flight >= dispatcher_limit(dispatcher))
        return false;
    if (dispatcher->protections.bucket &&
        bucket_take(dispatcher->protections.bucket, 1, &dispatcher->rate_wake) == 0) {
        if (!state->rate_waited)
            COUNT_ADD(dispatcher->counts.rate_waits, 1);
        state->rate_waited = true;
        return false;
    }
    sending_start(dispatcher, state, index);
    if (!state->unsent)
        state_sent(dispatcher, state);
    return true;
}

bool dispatcher_start(struct dispatcher *dispatcher)
{
    bool happened = false;
    struct call_state *state;
    dispatcher->rate_wake = INT64_MAX;
    while ((state = state_next(dispatcher)) && state_start(dispatcher, state))
        happened = true;
    return happened;
}

static void timer_due(struct dispatcher *dispatcher, struct call_state *state)
{
    heap_remove(&dispatcher->timers, &state->timer);
    if (state->place == PLACE_REST) {
        state->place = PLACE_READY;
        heap_add(&dispatcher->ready, &state->age, state->order);
        return;
    }
    CHECK(state->place == PLACE_FLIGHT && state->flying);
    if (!may_hedge(dispatcher, state) || !retry_budget_spend(&dispatcher->budget, 1))
        return;
    state->hedged = true;
    state->unsent = 1;
    state->place = PLACE_READY;
    heap_add(&dispatcher->ready, &state->age, state->order);
}

/* The oldest has the earliest deadline, for all have the same time. */
static bool state_expire(struct dispatcher *dispatcher, struct call_state *state)
{
    if (!state || dispatcher->now < state->deadline)
        return false;
    if (state->flying) {
        state_unsend(dispatcher, state, UINT32_MAX);
        state_leave(dispatcher, state); /* what is in flight has the same deadline */
        state->place = PLACE_FLIGHT;
    } else {
        state_fail(dispatcher, state, OUTCOME_TIMEOUT, "the time for all tries is over");
    }
    return true;
}

bool dispatcher_time(struct dispatcher *dispatcher)
{
    bool happened = false;
    struct heap_item *item;
    while ((item = heap_first(&dispatcher->timers)) && item->key <= dispatcher->now) {
        timer_due(dispatcher, (struct call_state *)item);
        happened = true;
    }
    while (state_expire(dispatcher, dispatcher->queue.first))
        happened = true;
    while ((item = heap_first(&dispatcher->ready)) && state_expire(dispatcher, state_of_age(item)))
        happened = true;
    return happened;
}
