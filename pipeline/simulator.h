/* The simulator: a whole run on one thread, with a seeded choice of which actor steps next, the
 * simulated I/O engine and the simulated clock. Any schedule, short read, error or delay can be
 * replayed from its seed. For tests; the actors are the very ones that threads run. */
#ifndef LEAT_PIPELINE_SIMULATOR_H
#define LEAT_PIPELINE_SIMULATOR_H

#include "io/engine_simulated.h"
#include "pipeline/pipeline.h"

struct simulator_options {
    uint64_t step_limit;  /* more steps than that are a livelock */
    uint64_t stop_after;  /* run_stop(SIGTERM) before this step; 0: never */
    uint64_t abort_after; /* the second signal; 0: never */
};

/* Runs the plan to its end. The run (for its totals and status; close it with run_close), or NULL
 * with *error: a deadlock (nothing can move, and who waits for what), a livelock, or no memory. */
struct run *simulator_run(struct plan *plan, struct io_simulation *simulation,
                          const struct simulator_options *options, struct error *error);

#endif
