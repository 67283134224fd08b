/* A dispatcher over modelled peers under a simulated clock: calls are submitted, time goes from
 * wake to wake, and what is over is noted. One stand at a time; one thread. */
#ifndef LEAT_TESTS_CLIENTS_STAND_H
#define LEAT_TESTS_CLIENTS_STAND_H

#include "clients/bucket.h"
#include "clients/dispatcher.h"
#include "clients/simulated_transport.h"
#include "core/clock.h"

#define MILLISECOND INT64_C(1000000)
#define SECOND      INT64_C(1000000000)
#define STAND_START (1000 * SECOND)

struct stand_call {
    struct call call;
    struct request requests[4];
    unsigned reaped;
    int64_t submitted;
    int64_t reaped_at;
    char answer[32]; /* copied from the exchange, cut */
};

struct stand {
    int64_t now;
    struct protections protections;
    struct simulated_settings peers;
    struct dispatcher_hooks hooks;
    struct simulated_log log;
    struct dispatcher *dispatcher;
    struct stand_call *calls;
    uint32_t call_count, submitted, reaped;
    char changes[64][64]; /* of breakers: "peer state" */
    int64_t change_times[64];
    unsigned change_count;
    uint64_t steps;
};

/* Defaults: 8 at once, 10 s, no retries, every request answered after 10 ms. Change them, then
 * open: `calls` GET requests of the peer "peer". */
void stand_defaults(struct stand *stand);
void stand_open(struct stand *stand, uint32_t calls);
void stand_close(struct stand *stand);
/* The next call that was not submitted yet. */
struct stand_call *stand_submit(struct stand *stand);
/* Steps once and reaps what is over, at the present time. */
void stand_step(struct stand *stand);
/* Goes to the next wake time, but not beyond `until`, and steps. False: `until` is reached. */
bool stand_advance(struct stand *stand, int64_t until);
/* Until nothing is pending, `window` calls at once. */
void stand_run(struct stand *stand, uint32_t window);
struct dispatcher_counts stand_counts(const struct stand *stand);

#endif
