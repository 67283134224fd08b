/* The simulated I/O engine: see engine_simulated.h. One thread. */
#include "io/engine_simulated.h"

#include <errno.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/disk_watch.h"
#include "io/engine_internal.h"

/* Delays are drawn evenly from [0, 2^k) with k from here, so that both near and far are common. */
#define DELAY_BITS_MAX 24 /* 16 ms */

struct simulated_engine {
    struct io_engine base;
    struct io_simulation *simulation;
    struct simulated_engine *next; /* of the simulation's engines */
    struct simulated_entry {
        struct io_request *request;
        int64_t due;
    } * entries; /* in flight, in no order; room for depth */
    unsigned count;
};

struct io_simulation {
    uint64_t random;
    int64_t now;
    uint32_t fail_one_in;
    int fail_errno;
    struct simulated_engine *engines;
};

static _Thread_local struct io_simulation *current;

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
uint64_t io_simulation_random(struct io_simulation *simulation)
{
    uint64_t z = simulation->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct io_simulation *io_simulation_open(uint64_t seed, struct error *error)
{
    CHECK(!current);
    struct io_simulation *simulation = memory_take_zeroed(1, sizeof(*simulation));
    if (!simulation) {
        error_set(error, ERROR_MEMORY, "no memory for a simulation");
        return NULL;
    }
    simulation->random = seed;
    simulation->now = NANOSECONDS; /* no time is 0, which often means "never" */
    clock_simulate(&simulation->now);
    current = simulation;
    return simulation;
}

void io_simulation_close(struct io_simulation *simulation)
{
    CHECK(current == simulation && !simulation->engines);
    clock_simulate(NULL);
    current = NULL;
    free(simulation);
}

int64_t io_simulation_now(const struct io_simulation *simulation)
{
    return simulation->now;
}

void io_simulation_advance(struct io_simulation *simulation, int64_t to)
{
    if (to > simulation->now)
        simulation->now = to;
}

void io_simulation_fail(struct io_simulation *simulation, uint32_t one_in, int os_errno)
{
    simulation->fail_one_in = one_in;
    simulation->fail_errno = os_errno;
}

/* Whether the request could be done, were it due. */
static bool entry_possible(const struct simulated_entry *entry)
{
    const struct io_request *request = entry->request;
    bool waits = io_request_is_poll(request) ||
                 (request->kind != IO_SYNC && request->offset == IO_NO_OFFSET);
    return !waits || io_request_ready(request);
}

static int64_t engine_next(const struct simulated_engine *engine, int64_t after)
{
    int64_t next = INT64_MAX;
    for (unsigned i = 0; i < engine->count; i++) {
        int64_t due = engine->entries[i].due;
        if (due > after && due < next && entry_possible(&engine->entries[i]))
            next = engine->entries[i].due;
    }
    return next;
}

int64_t io_simulation_next(const struct io_simulation *simulation, int64_t after)
{
    int64_t next = INT64_MAX;
    for (struct simulated_engine *engine = simulation->engines; engine; engine = engine->next) {
        int64_t due = engine_next(engine, after);
        next = due < next ? due : next;
    }
    return next;
}

static void simulated_submit(struct io_engine *base, struct io_request *request)
{
    struct simulated_engine *engine = (struct simulated_engine *)base;
    struct io_simulation *simulation = engine->simulation;
    uint64_t random = io_simulation_random(simulation);
    int64_t span = 1LL << (random % (DELAY_BITS_MAX + 1));
    engine->entries[engine->count++] = (struct simulated_entry){
        .request = request,
        .due = simulation->now + (int64_t)((random >> 32) & (uint64_t)(span - 1)),
    };
}

static void simulated_cancel(struct io_engine *base, struct io_request *request)
{
    struct simulated_engine *engine = (struct simulated_engine *)base;
    for (unsigned i = 0; i < engine->count; i++) {
        if (engine->entries[i].request == request) {
            engine->entries[i] = engine->entries[--engine->count];
            io_engine_complete(base, request, -ECANCELED);
            return;
        }
    }
}

/* A transfer of half the requests is cut short somewhere, as the system may do at any time. */
static int64_t request_simulate(struct io_simulation *simulation, struct io_request *request)
{
    uint64_t random = io_simulation_random(simulation);
    if (simulation->fail_one_in && random % simulation->fail_one_in == 0)
        return -simulation->fail_errno;
    if (io_request_is_poll(request))
        return io_request_poll_events(request);
    size_t length = request->length;
    if (length > 1 && (random >> 32) % 2 == 0)
        length = 1 + (io_simulation_random(simulation) % (length - 1));
    int64_t result = io_request_perform(request, length);
    if (request->kind == IO_WRITE && result > 0 && request->offset != IO_NO_OFFSET)
        disk_watch_written(request->fd, request->buffer, (size_t)result, request->offset);
    else if (request->kind == IO_SYNC && result == 0)
        disk_watch_synced(request->fd);
    return result;
}

static void due_complete(struct simulated_engine *engine)
{
    for (;;) {
        unsigned best = engine->count;
        for (unsigned i = 0; i < engine->count; i++) {
            const struct simulated_entry *entry = &engine->entries[i];
            if (entry->due <= engine->simulation->now && entry_possible(entry) &&
                (best == engine->count || entry->due < engine->entries[best].due))
                best = i;
        }
        if (best == engine->count)
            return;
        struct io_request *request = engine->entries[best].request;
        engine->entries[best] = engine->entries[--engine->count];
        io_engine_complete(&engine->base, request, request_simulate(engine->simulation, request));
    }
}

static void simulated_collect(struct io_engine *base, int64_t timeout)
{
    struct simulated_engine *engine = (struct simulated_engine *)base;
    due_complete(engine);
    if (base->complete_first || timeout == 0)
        return;
    int64_t next = engine_next(engine, -1);
    int64_t end = engine->simulation->now + timeout;
    io_simulation_advance(engine->simulation, next < end ? next : end);
    due_complete(engine);
}

static void simulated_wake(struct io_engine *base)
{
    (void)base; /* nobody sleeps; the front has noted it */
}

static void simulated_close(struct io_engine *base)
{
    struct simulated_engine *engine = (struct simulated_engine *)base;
    struct simulated_engine **link = &engine->simulation->engines;
    while (*link != engine)
        link = &(*link)->next;
    *link = engine->next;
    free(engine->entries);
    free(engine);
}

static const struct io_engine_ops simulated_ops = {
    .name = "simulated",
    .close = simulated_close,
    .submit = simulated_submit,
    .cancel = simulated_cancel,
    .collect = simulated_collect,
    .wake = simulated_wake,
};

struct io_engine *io_simulated_engine_open(unsigned depth, struct error *error)
{
    CHECK(current);
    struct simulated_engine *engine = memory_take_zeroed(1, sizeof(*engine));
    if (engine)
        engine->entries = memory_take_zeroed(depth, sizeof(*engine->entries));
    if (!engine || !engine->entries) {
        error_set(error, ERROR_MEMORY, "no memory for a simulated I/O engine");
        free(engine);
        return NULL;
    }
    engine->base.ops = &simulated_ops;
    engine->simulation = current;
    engine->next = current->engines;
    current->engines = engine;
    return &engine->base;
}
