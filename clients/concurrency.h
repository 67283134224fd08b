/* Adaptive concurrency: finds by latency how many requests a peer serves best at once. Additive
 * increase, multiplicative decrease (Chiu and Jain 1989); the signal is the gradient of latency as
 * in TCP Vegas (Brakmo and Peterson 1995) and Netflix's concurrency-limits: a request that takes
 * longer than it would alone has waited in the peer's queue, so the share baseline/latency of the
 * limit is what the peer really works on.
 *
 * A round is a number of answers to requests that were all sent under the present limit. Its mean
 * latency above CONCURRENCY_TOLERANCE times the baseline, or too many refusals and timeouts,
 * shrink the limit to a little below that share; otherwise a round in which the limit was used
 * doubles it (until the first decrease) or adds 1. The round after a decrease runs without a queue
 * and measures the baseline anew (the lower of the last two counts), so a peer that becomes slower
 * or faster is followed. Plain data of one thread; nothing is allocated. */
#ifndef LEAT_CLIENTS_CONCURRENCY_H
#define LEAT_CLIENTS_CONCURRENCY_H

#include "core/base.h"

#define CONCURRENCY_TOLERANCE 1.25

struct concurrency {
    uint32_t most;    /* never above; > 0 */
    uint32_t limit;   /* what may be in flight now; 1 … most */
    bool climbing;    /* no decrease yet: doubling */
    bool measuring;   /* this round gives a baseline */
    bool used;        /* the limit was reached in this round */
    int64_t changed;  /* when this round began; monotonic */
    uint32_t samples; /* of this round: answers … */
    uint32_t refused; /* … and refusals (429, 503) and timeouts */
    double sum;       /* of latencies of this round */
    double baseline;  /* 0: none yet */
    double before;    /* the baseline before the last decrease, or 0 */
};

void concurrency_open(struct concurrency *concurrency, uint32_t most, int64_t now);
/* An exchange was started and so many are in flight now. */
static inline void concurrency_started(struct concurrency *concurrency, uint32_t in_flight)
{
    concurrency->used |= in_flight >= concurrency->limit;
}
/* An exchange that was sent at `started` was answered at `now` (`answered`), or the peer refused it
 * or did not answer in time. */
void concurrency_result(struct concurrency *concurrency, int64_t started, int64_t now,
                        bool answered);

#endif
