/* The dispatcher: calls in, answers out, with every protection in between: concurrency (fixed or
 * adaptive), rate (token bucket), retries (backoff with full jitter, Retry-After, a budget), a
 * circuit breaker for each peer, the first good answer of several requests (race), hedging. It
 * knows no protocol: a transport (exchange.h) carries the exchanges.
 *
 * Belongs to one thread; never blocks. Time comes from core/clock.h alone and randomness from the
 * seed, so a simulated clock and transport make every run repeatable. */
#ifndef LEAT_CLIENTS_DISPATCHER_H
#define LEAT_CLIENTS_DISPATCHER_H

#include "clients/exchange.h"

struct bucket; /* clients/bucket.h: may be shared between threads */

/* Which answers and failures are worth another try: sets of outcomes and of statuses. */
struct retry_causes {
    uint32_t outcomes;     /* bit 1 << enum outcome */
    uint8_t classes;       /* bit n: status n00 to n99 (5xx: bit 5) */
    uint16_t statuses[16]; /* single ones, e.g. 429 */
    uint32_t status_count;
};

struct protections {
    uint32_t concurrency;  /* exchanges in flight at most; > 0 */
    bool adaptive;         /* finds the best concurrency up to that (AIMD by latency) */
    struct bucket *bucket; /* or NULL; a token for each exchange, retries and hedges too */
    int64_t timeout;       /* of one exchange, nanoseconds; > 0 */
    int64_t total_timeout; /* of a call with all its retries; 0: none */
    uint32_t retries;      /* more tries than the first */
    int64_t backoff_least; /* full jitter: uniform between least and the doubled bound … */
    int64_t backoff_most;  /* … which grows up to this */
    struct retry_causes causes;
    bool repeat_all;           /* also requests that are not repeatable */
    double retry_budget;       /* retries and hedges as a share of first tries (0.2), plus a small
                                  allowance (10) so that short runs may retry at all */
    uint32_t breaker_failures; /* in a row, until it opens; 0: no breaker. A peer fails that cannot
                                  be reached, does not answer in time, breaks off or answers 5xx */
    int64_t breaker_pause;     /* how long it stays open */
    uint32_t breaker_trials;   /* sent at once when half open; all good: closed (default 1) */
    int64_t hedge_after;       /* sends a second exchange after this; 0: none; … */
    double hedge_percentile; /* … or after this percentile (0.95) of latencies so far; 0: none */
};

enum call_verdict {
    CALL_GOOD,  /* the answer is wanted */
    CALL_RETRY, /* failed, and worth another try */
    CALL_BAD,   /* failed for good */
};

/* One call: what the caller wants answered. Memory of the caller until it is reaped. */
struct call {
    const struct request *requests; /* one, or several that race: the first good answer wins */
    uint32_t request_count;         /* 1 to 32 */
    void *owner;                    /* the caller's */
    uint64_t tag;
    /* set when it is over; `exchange` is the decisive one, until dispatcher_release */
    struct exchange *exchange; /* NULL where nothing was sent (breaker open, cancelled) */
    enum call_verdict verdict; /* GOOD or BAD */
    enum outcome outcome;
    int status;
    uint32_t attempts; /* exchanges that were sent for it */
    int64_t latency;   /* from submit to the end, nanoseconds */
    char detail[160];  /* of the last failure */
    /* the dispatcher's */
    struct call *next;
    void *state;
};

struct dispatcher_counts {
    uint64_t calls, exchanges, retries, hedges, hedges_won, rate_waits, breaker_refusals;
    uint64_t budget_refusals; /* retries that the budget did not allow */
    uint64_t breaker_opened, breaker_closed;
    uint32_t in_flight, in_flight_most, concurrency_now;
    uint64_t outcomes[OUTCOME_COUNT];
    int64_t latency_p50, latency_p95, latency_p99; /* of good exchanges, nanoseconds */
};

struct dispatcher_hooks {
    void *context;
    /* The caller's say about an answer (its status is not in question any more if it is NULL: then
     * 2xx is good, what `causes` holds is retried, the rest is bad). */
    enum call_verdict (*judge)(void *context, const struct call *call,
                               const struct exchange *exchange, char *detail, size_t size);
    /* A breaker changed: "open", "half-open", "closed"; for the log. May be NULL. */
    void (*breaker_changed)(void *context, struct string peer, const char *state,
                            const char *reason);
};

struct dispatcher;
/* The dispatcher owns the transport from here on, also where it fails. `calls_most`: submitted and
 * not released (or, where they have no exchange, not reaped) at once. Settings and hooks are
 * copied. All memory is taken here. NULL: see the error. */
struct dispatcher *dispatcher_open(const struct protections *protections,
                                   const struct dispatcher_hooks *hooks,
                                   struct transport *transport, uint32_t calls_most, uint64_t seed,
                                   struct error *error);
/* Cancels everything; calls that were submitted are the caller's again, unanswered. */
void dispatcher_close(struct dispatcher *dispatcher);
/* Queued in turn (first in, first out; retries that are due go before new ones). Always works: the
 * caller bounds its calls. */
void dispatcher_submit(struct dispatcher *dispatcher, struct call *call);
/* Starts, steps the transport, decides. Bounded; never blocks. A Retry-After is waited for if the
 * call's time allows it and it is no longer than RETRY_AFTER_MOST (backoff.h); else the call ends
 * at once with what came. */
void dispatcher_step(struct dispatcher *dispatcher);
/* The next call that is over, or NULL. */
struct call *dispatcher_reap(struct dispatcher *dispatcher);
/* The caller needs the call's answer no more. */
void dispatcher_release(struct dispatcher *dispatcher, struct call *call);
/* Ends a call that was submitted and not reaped; it will not be reaped. */
void dispatcher_cancel(struct dispatcher *dispatcher, struct call *call);
/* A stop was asked for: nothing is retried any more, what is in flight must end by `deadline`
 * (monotonic); calls that were not sent yet end with OUTCOME_CANCELLED. */
void dispatcher_drain(struct dispatcher *dispatcher, int64_t deadline);
/* Submitted and not reaped. */
uint32_t dispatcher_pending(const struct dispatcher *dispatcher);
/* To wait on: readable when a step is due (-1: none), and the time of the next step, monotonic (0:
 * at once; INT64_MAX: no such time). Calls that are over and not reaped wake nobody. */
int dispatcher_descriptor(const struct dispatcher *dispatcher);
int64_t dispatcher_wake(const struct dispatcher *dispatcher);
/* Any thread may ask while it runs: plain relaxed reads of counters. */
void dispatcher_counts(const struct dispatcher *dispatcher, struct dispatcher_counts *counts);

#endif
