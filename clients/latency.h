/* Percentiles of latencies in bounded memory: a log-linear histogram as HdrHistogram's (Gil Tene),
 * 64 steps for each doubling, so that an answer is at most 1/64 above the exact one, from 1 ns to
 * centuries. Plain data of one thread. */
#ifndef LEAT_CLIENTS_LATENCY_H
#define LEAT_CLIENTS_LATENCY_H

#include "core/base.h"

#define LATENCY_BITS  6
#define LATENCY_STEPS (1u << LATENCY_BITS)
#define LATENCY_CELLS ((64 - LATENCY_BITS) * LATENCY_STEPS)

struct latency {
    uint64_t total;
    uint32_t most; /* no cell at or above this one holds anything */
    uint64_t cells[LATENCY_CELLS];
};

/* Zeroed memory is an empty histogram. Nanoseconds; below 0 counts as 0. */
void latency_add(struct latency *latency, int64_t nanoseconds);
/* The least value, rounded up to its step, that `share` (0..1) of the samples do not exceed; 0
 * without samples. */
int64_t latency_at(const struct latency *latency, double share);
/* Forgets half of what it has, so that newer samples weigh more. */
void latency_halve(struct latency *latency);

#endif
