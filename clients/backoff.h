/* How long to wait before another try, and how many tries there may be in all. Plain data of one
 * thread; time and randomness come from the caller. */
#ifndef LEAT_CLIENTS_BACKOFF_H
#define LEAT_CLIENTS_BACKOFF_H

#include "core/base.h"

/* Nanoseconds until retry number `retry` (1: the first). Exponential with full jitter ("Exponential
 * Backoff And Jitter", AWS Architecture Blog 2015), from `least` on: uniform in
 * [least, min(most, least * 2^retry)]. A peer that asked for `retry_after` (0: did not) waits at
 * least that long, and the jitter spreads behind it those who were all told the same. */
int64_t backoff_delay(int64_t least, int64_t most, uint32_t retry, int64_t retry_after,
                      uint64_t *random);

/* A peer may not send its clients away for longer than this (Retry-After): the call fails. */
#define RETRY_AFTER_MOST (3600 * 1000000000LL)

/* Retries and hedges (repeats) are at most share * first tries + RETRY_ALLOWANCE, at any moment:
 * when a peer fails altogether, it gets little more than the usual load. */
#define RETRY_ALLOWANCE 10
struct retry_budget {
    double share;
    uint64_t firsts;
    uint64_t repeats;
};
/* May `count` more be sent? They are spent if so. */
bool retry_budget_spend(struct retry_budget *budget, uint32_t count);

#endif
