/* The simulator: see simulator.h. */
#include "pipeline/simulator.h"

#include <signal.h>
#include <stdio.h>

#include "pipeline/run_internal.h"

#define LOOKS_MOST 64

struct simulator {
    struct run *run;
    struct io_simulation *simulation;
    struct actor *actors[RUN_MAX_ACTORS];
    uint32_t count;
    bool idle[RUN_MAX_ACTORS]; /* since something moved last */
    uint32_t idle_count;
    uint32_t done_count;
    unsigned looks; /* how often all were asked again at this time */
};

static bool step_one(struct simulator *simulator)
{
    uint32_t index = (uint32_t)(io_simulation_random(simulator->simulation) % simulator->count);
    struct actor *actor = simulator->actors[index];
    if (actor->done)
        return false;
    actor->wake = 0;
    enum step_result result = actor->step(actor);
    atomic_store_explicit(&actor->waiting, (int)result, memory_order_relaxed);
    if (result == STEP_DONE) {
        actor->done = true;
        simulator->done_count++;
    }
    if (result == STEP_MOVED || result == STEP_DONE) {
        for (uint32_t i = 0; i < simulator->count; i++)
            simulator->idle[i] = false;
        simulator->idle_count = 0;
        simulator->looks = 0;
        return true;
    }
    simulator->idle_count += !simulator->idle[index];
    simulator->idle[index] = true;
    return false;
}

/* Everybody waits: time goes to when the next thing is due. False: nothing ever will be. */
static bool advance(struct simulator *simulator)
{
    int64_t now = io_simulation_now(simulator->simulation);
    /* what is due has its actor asked again at the same time (a short read was gone on with, say);
     * what is due all the same after some looks, nobody wants yet */
    bool again = simulator->looks < LOOKS_MOST;
    int64_t next = io_simulation_next(simulator->simulation, again ? -1 : now);
    simulator->looks = next <= now ? simulator->looks + 1 : 0;
    if (next < now)
        next = now;
    for (uint32_t i = 0; i < simulator->count; i++) {
        const struct actor *actor = simulator->actors[i];
        if (!actor->done && actor->wake && actor->wake < next)
            next = actor->wake > now ? actor->wake : now + 1;
    }
    if (next == INT64_MAX)
        return false;
    io_simulation_advance(simulator->simulation, next);
    for (uint32_t i = 0; i < simulator->count; i++)
        simulator->idle[i] = false;
    simulator->idle_count = 0;
    return true;
}

static bool explain_deadlock(const struct simulator *simulator, struct error *error)
{
    char text[400];
    size_t length = 0;
    for (uint32_t i = 0; i < simulator->count && length < sizeof(text); i++) {
        const struct actor *actor = simulator->actors[i];
        int written = snprintf(text + length, sizeof(text) - length, "%s%s:%d", i ? " " : "",
                               actor->name, actor->done ? -1 : atomic_load(&actor->waiting));
        length += written > 0 ? (size_t)written : 0;
    }
    return error_set(error, ERROR_TIMEOUT, "deadlock: %s", text);
}

static bool simulate(struct simulator *simulator, const struct simulator_options *options,
                     struct error *error)
{
    struct run *run = simulator->run;
    for (uint64_t step = 1; simulator->done_count < simulator->count; step++) {
        if (step == options->step_limit)
            return error_set(error, ERROR_TIMEOUT, "livelock: %llu steps",
                             (unsigned long long)step);
        if (step == options->stop_after || step == options->abort_after)
            run_stop(run, SIGTERM);
        if (step_one(simulator))
            continue;
        if (simulator->idle_count + simulator->done_count < simulator->count)
            continue;
        if (!advance(simulator))
            return explain_deadlock(simulator, error);
    }
    return true;
}

struct run *simulator_run(struct plan *plan, struct io_simulation *simulation,
                          const struct simulator_options *options, struct error *error)
{
    struct simulator simulator = {.simulation = simulation};
    simulator.run = run_open(plan, true, error);
    if (!simulator.run)
        return NULL;
    simulator.count = run_actors(simulator.run, simulator.actors);
    if (simulate(&simulator, options, error))
        return simulator.run;
    run_close(simulator.run);
    return NULL;
}
