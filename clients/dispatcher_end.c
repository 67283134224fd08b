/* The dispatcher's receiving side: what came of an exchange, whether it is worth another try, and
 * the end of calls. See dispatcher_internal.h. */
#include "clients/dispatcher_internal.h"

#include <stdio.h>

#define RECENT_SAMPLES 8192 /* then half of them are forgotten */
#define FRESH_SAMPLES  64   /* between two looks at the percentiles */

void sending_free(struct dispatcher *dispatcher, struct sending *sending)
{
    sending->state = NULL;
    sending->next = dispatcher->unused_sendings;
    dispatcher->unused_sendings = sending;
}

static void sending_release(struct dispatcher *dispatcher, struct sending *sending)
{
    if (!sending)
        return;
    dispatcher->transport->ops->release(dispatcher->transport, &sending->exchange);
    sending_free(dispatcher, sending);
}

/* It is in flight no more. */
static void sending_land(struct dispatcher *dispatcher, struct sending *sending)
{
    struct sending **place = &sending->state->flying;
    while (*place != sending)
        place = &(*place)->next;
    *place = sending->next;
    CHECK(dispatcher->in_flight > 0);
    dispatcher->in_flight--;
    COUNT_SET(dispatcher->counts.in_flight, dispatcher->in_flight);
}

void percentiles_renew(struct dispatcher *dispatcher)
{
    struct dispatcher_counts *counts = &dispatcher->counts;
    COUNT_SET(counts->latency_p50, latency_at(&dispatcher->all, 0.50));
    COUNT_SET(counts->latency_p95, latency_at(&dispatcher->all, 0.95));
    COUNT_SET(counts->latency_p99, latency_at(&dispatcher->all, 0.99));
    dispatcher->percentiles_old = false;
}

/* What hedging goes by. */
static void recent_add(struct dispatcher *dispatcher, int64_t latency)
{
    struct latency *recent = &dispatcher->recent;
    if (dispatcher->protections.hedge_percentile <= 0)
        return;
    latency_add(recent, latency);
    if (recent->total >= RECENT_SAMPLES)
        latency_halve(recent);
    if (recent->total % FRESH_SAMPLES == 0 || recent->total <= FRESH_SAMPLES * 2)
        dispatcher->hedge_delay = latency_at(recent, dispatcher->protections.hedge_percentile);
}

static void latency_note(struct dispatcher *dispatcher, int64_t latency)
{
    latency_add(&dispatcher->all, latency);
    recent_add(dispatcher, latency);
    dispatcher->percentiles_old = true;
    if (dispatcher->all.total % (FRESH_SAMPLES * 16) == 0)
        percentiles_renew(dispatcher);
}

void state_unsend(struct dispatcher *dispatcher, struct call_state *state, uint32_t requests)
{
    requests &= state->unsent;
    state->unsent &= ~requests;
    if (state->hedged || state->round > 0)
        dispatcher->budget.repeats -= (uint32_t)__builtin_popcount(requests);
}

void state_leave(struct dispatcher *dispatcher, struct call_state *state)
{
    if (state->place == PLACE_NEW)
        list_remove(&dispatcher->queue, state);
    else if (state->place == PLACE_OVER)
        list_remove(&dispatcher->over, state);
    heap_remove(&dispatcher->ready, &state->age);
    heap_remove(&dispatcher->timers, &state->timer);
}

void state_cancel(struct dispatcher *dispatcher, struct call_state *state)
{
    while (state->flying) {
        struct sending *sending = state->flying;
        sending_land(dispatcher, sending);
        dispatcher->transport->ops->cancel(dispatcher->transport, &sending->exchange);
        if (dispatcher->breakers)
            breakers_return(dispatcher->breakers, sending->exchange.request->peer, sending->permit);
        COUNT_ADD(dispatcher->counts.outcomes[OUTCOME_CANCELLED], 1);
        sending_free(dispatcher, sending);
    }
}

void state_over(struct dispatcher *dispatcher, struct call_state *state, struct sending *sending,
                enum call_verdict verdict)
{
    struct call *call = state->call;
    state_leave(dispatcher, state);
    state_unsend(dispatcher, state, UINT32_MAX);
    CHECK(!state->flying);
    if (state->held != sending)
        sending_release(dispatcher, state->held);
    state->held = sending;
    if (sending) {
        sending->state = NULL;
        call->outcome = sending->exchange.outcome;
        call->status = sending->exchange.status;
    }
    call->exchange = sending ? &sending->exchange : NULL;
    call->verdict = verdict;
    call->latency = dispatcher->now - state->submitted;
    if (verdict == CALL_GOOD)
        call->detail[0] = 0;
    state->place = PLACE_OVER;
    list_add(&dispatcher->over, state);
}

void state_fail(struct dispatcher *dispatcher, struct call_state *state, enum outcome outcome,
                const char *reason)
{
    struct call *call = state->call;
    state_cancel(dispatcher, state);
    char last[96] = "";
    if (call->detail[0])
        snprintf(last, sizeof(last), " (before: %.80s)", call->detail);
    snprintf(call->detail, sizeof(call->detail), "%s%s", reason, last);
    call->outcome = outcome;
    state_over(dispatcher, state, NULL, CALL_BAD);
}

/* Nanoseconds until the next try. False: there is none, and the call's detail says why if the
 * reason is not in what came of the last one. */
static bool retry_delay(struct dispatcher *dispatcher, struct call_state *state, int64_t *delay)
{
    const struct protections *protections = &dispatcher->protections;
    struct call *call = state->call;
    if (!state->retry_wanted || !state->alive || dispatcher->draining ||
        state->round >= protections->retries)
        return false;
    char last[96];
    snprintf(last, sizeof(last), "%.95s", call->detail);
    if (state->retry_after > RETRY_AFTER_MOST) {
        snprintf(call->detail, sizeof(call->detail), "%s; asks to wait for %lld s, too long", last,
                 (long long)(state->retry_after / 1000000000));
        return false;
    }
    *delay = backoff_delay(protections->backoff_least, protections->backoff_most, state->round + 1,
                           state->retry_after, &dispatcher->random);
    if (*delay >= state->deadline - dispatcher->now) {
        snprintf(call->detail, sizeof(call->detail), "%s; no time is left for another try", last);
        return false;
    }
    if (!retry_budget_spend(&dispatcher->budget, (uint32_t)__builtin_popcount(state->alive))) {
        COUNT_ADD(dispatcher->counts.budget_refusals, 1);
        snprintf(call->detail, sizeof(call->detail), "%s; the retry budget is spent", last);
        return false;
    }
    return true;
}

void round_end(struct dispatcher *dispatcher, struct call_state *state)
{
    int64_t delay;
    if (!retry_delay(dispatcher, state, &delay)) {
        state_over(dispatcher, state, state->held, CALL_BAD);
        return;
    }
    state_leave(dispatcher, state);
    sending_release(dispatcher, state->held);
    state->held = NULL;
    state->round++;
    state->unsent = state->alive;
    state->retry_wanted = false;
    state->retry_after = 0;
    state->hedged = false;
    state->place = PLACE_REST;
    heap_add(&dispatcher->timers, &state->timer, dispatcher->now + delay);
}

static bool retry_cause(const struct retry_causes *causes, enum outcome outcome, int status)
{
    if (outcome != OUTCOME_ANSWER)
        return outcome != OUTCOME_INVALID && (causes->outcomes >> outcome & 1);
    if (status >= 0 && status < 800 && (causes->classes >> (status / 100) & 1))
        return true;
    for (uint32_t i = 0; i < causes->status_count; i++)
        if (causes->statuses[i] == status)
            return true;
    return false;
}

static enum call_verdict exchange_judge(struct dispatcher *dispatcher, struct call *call,
                                        const struct exchange *exchange)
{
    const struct retry_causes *causes = &dispatcher->protections.causes;
    const struct dispatcher_hooks *hooks = &dispatcher->hooks;
    call->detail[0] = 0;
    if (exchange->outcome == OUTCOME_ANSWER && hooks->judge) {
        enum call_verdict verdict =
            hooks->judge(hooks->context, call, exchange, call->detail, sizeof(call->detail));
        if (verdict != CALL_GOOD && !call->detail[0])
            snprintf(call->detail, sizeof(call->detail), "status %d", exchange->status);
        return verdict;
    }
    bool good = exchange->status == 0 || exchange->status / 100 == 2;
    if (exchange->outcome == OUTCOME_ANSWER && good)
        return CALL_GOOD;
    if (exchange->detail[0])
        snprintf(call->detail, sizeof(call->detail), "%s", exchange->detail);
    else if (exchange->outcome == OUTCOME_ANSWER)
        snprintf(call->detail, sizeof(call->detail), "status %d", exchange->status);
    else
        snprintf(call->detail, sizeof(call->detail), "%s", outcome_name(exchange->outcome));
    return retry_cause(causes, exchange->outcome, exchange->status) ? CALL_RETRY : CALL_BAD;
}

/* Tells breaker and adaptive concurrency. For the breaker a peer is failing when it cannot be
 * reached, does not answer in time, breaks off or answers 5xx; one that answers 4xx is well, 429
 * included: it says by itself when to come back. */
static void peer_note(struct dispatcher *dispatcher, const struct sending *sending)
{
    const struct exchange *exchange = &sending->exchange;
    enum outcome outcome = exchange->outcome;
    int status = exchange->status;
    if (dispatcher->protections.adaptive) {
        bool refused = outcome == OUTCOME_TIMEOUT ||
                       (outcome == OUTCOME_ANSWER && (status == 429 || status == 503));
        if (refused || outcome == OUTCOME_ANSWER)
            concurrency_result(&dispatcher->concurrency, sending->started, dispatcher->now,
                               !refused);
        COUNT_SET(dispatcher->counts.concurrency_now, dispatcher->concurrency.limit);
    }
    if (!dispatcher->breakers)
        return;
    struct string peer = exchange->request->peer;
    if (outcome == OUTCOME_INVALID || outcome == OUTCOME_CANCELLED) {
        breakers_return(dispatcher->breakers, peer, sending->permit);
        return;
    }
    bool bad = outcome == OUTCOME_CONNECT || outcome == OUTCOME_TIMEOUT ||
               outcome == OUTCOME_BROKEN || (outcome == OUTCOME_ANSWER && status / 100 == 5);
    char reason[24];
    snprintf(reason, sizeof(reason), "status %d", status);
    breakers_result(dispatcher->breakers, peer, sending->permit, !bad,
                    outcome == OUTCOME_ANSWER ? reason : outcome_name(outcome), dispatcher->now);
    COUNT_SET(dispatcher->counts.breaker_opened, breakers_opened(dispatcher->breakers));
    COUNT_SET(dispatcher->counts.breaker_closed, breakers_closed(dispatcher->breakers));
}

static void sending_good(struct dispatcher *dispatcher, struct call_state *state,
                         struct sending *sending)
{
    latency_note(dispatcher, sending->exchange.finished - sending->started);
    if (sending->hedge)
        COUNT_ADD(dispatcher->counts.hedges_won, 1);
    /* The slow one counts with the time it has had, at least; else hedging would hide all slow
     * answers from the percentile that it goes by, which would then fall without end. */
    for (const struct sending *loser = state->flying; state->hedged && loser; loser = loser->next)
        if (!loser->hedge)
            recent_add(dispatcher, dispatcher->now - loser->started);
    state_cancel(dispatcher, state);
    state_over(dispatcher, state, sending, CALL_GOOD);
}

static void sending_bad(struct dispatcher *dispatcher, struct call_state *state,
                        struct sending *sending, enum call_verdict verdict)
{
    const struct exchange *exchange = &sending->exchange;
    /* Where no connection was made, nothing was sent: that may be tried again in any case. */
    bool repeatable = exchange->request->repeatable || dispatcher->protections.repeat_all ||
                      exchange->outcome == OUTCOME_CONNECT;
    if (verdict == CALL_RETRY && repeatable) {
        state->retry_wanted = true;
        if (exchange->retry_after > state->retry_after)
            state->retry_after = exchange->retry_after;
    } else {
        state->alive &= ~(1u << sending->index);
    }
    sending_release(dispatcher, state->held);
    state->held = sending;
    state->call->outcome = exchange->outcome;
    state->call->status = exchange->status;
    if (state->flying)
        return; /* the others of the race, or the hedge, may still be good */
    if (state->hedged)
        state_unsend(dispatcher, state,
                     UINT32_MAX); /* a hedge that was not sent yet: no point in it any more */
    if (!state->unsent)
        round_end(dispatcher, state);
}

bool dispatcher_collect(struct dispatcher *dispatcher)
{
    struct exchange *exchange;
    bool happened = false;
    while ((exchange = dispatcher->transport->ops->reap(dispatcher->transport))) {
        struct sending *sending = exchange->owner;
        struct call_state *state = sending->state;
        CHECK(state && &sending->exchange == exchange && exchange->outcome < OUTCOME_COUNT);
        sending_land(dispatcher, sending);
        COUNT_ADD(dispatcher->counts.outcomes[exchange->outcome], 1);
        peer_note(dispatcher, sending);
        enum call_verdict verdict = exchange_judge(dispatcher, state->call, exchange);
        if (verdict == CALL_GOOD)
            sending_good(dispatcher, state, sending);
        else
            sending_bad(dispatcher, state, sending, verdict);
        happened = true;
    }
    return happened;
}
