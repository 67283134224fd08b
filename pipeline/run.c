/* A run from its start to its end: actors, threads, signals, watching over time limits and stalls.
 * Main thread, but for run_stop. What a run tells of itself is in run_report.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "pipeline/log.h"
#include "pipeline/run_internal.h"

#define ENGINE_DEPTH 32
#define ASYNC_DEPTH  4
#define STALL        (10 * NANOSECONDS)

static enum io_engine_kind engine_kind(const struct run *run)
{
    return run->simulated ? IO_ENGINE_SIMULATED : run->plan->options.io;
}

static void actor_name(struct actor *actor, struct run *run,
                       enum step_result (*step)(struct actor *), const char *name)
{
    actor->run = run;
    actor->step = step;
    CHECK(pthread_mutex_init(&actor->lock, NULL) == 0);
    snprintf(actor->name_store, sizeof(actor->name_store), "%s", name);
    actor->name = actor->name_store;
}

static bool open_source(struct run *run, struct error *error)
{
    struct plan *plan = run->plan;
    struct actor *actor = &run->source.actor;
    actor_name(actor, run, source_step, "source");
    actor->engine = io_engine_open(engine_kind(run), ENGINE_DEPTH, error);
    if (!actor->engine)
        return false;
    if (plan->options.verbose && !run->simulated)
        log_line("I/O engine: %s", io_engine_name(actor->engine));
    struct worker_actor *helper = &run->source.helper;
    actor_name(&helper->actor, run, worker_step, "source");
    helper->clock = (struct part_clock){.busy = run->busy, .slow = plan->settings.slow};
    helper->evaluator = evaluator_open(error);
    if (!helper->evaluator)
        return false;
    for (uint32_t i = 0; i < plan->source_count; i++) {
        plan->sources[i].context.engine = actor->engine;
        plan->sources[i].context.jumbo_take = pool_jumbo_take;
        plan->sources[i].context.jumbo_context = run;
    }
    return true;
}

static bool open_workers(struct run *run, struct error *error)
{
    const struct plan *plan = run->plan;
    run->workers = memory_take_zeroed(plan->settings.workers, sizeof(*run->workers));
    if (!run->workers)
        return error_set(error, ERROR_MEMORY, "no memory for the workers");
    for (unsigned i = 0; i < plan->settings.workers; i++) {
        struct worker_actor *worker = &run->workers[i];
        char name[32];
        snprintf(name, sizeof(name), "worker %u", i + 1);
        actor_name(&worker->actor, run, worker_step, name);
        worker->actor.event = &run->worker_event;
        worker->clock = (struct part_clock){.busy = run->busy, .slow = plan->settings.slow};
        worker->evaluator = evaluator_open(error);
        if (!worker->evaluator)
            return false;
    }
    return true;
}

static bool open_serials(struct run *run, struct error *error)
{
    const struct plan *plan = run->plan;
    run->serials = memory_take_zeroed(plan->segment_count, sizeof(*run->serials));
    if (!run->serials)
        return error_set(error, ERROR_MEMORY, "no memory for the stages");
    for (uint32_t i = 0; i + 1 < plan->segment_count; i++) {
        struct serial_actor *serial = &run->serials[i];
        const struct plan_stage *stage = &plan->stages[plan->segments[i].serial];
        serial->segment = i;
        serial->asynchronous = (stage->stage->ops->traits & STAGE_ASYNC) != 0;
        actor_name(&serial->actor, run, serial->asynchronous ? async_step : serial_step,
                   stage->label);
        serial->evaluator = evaluator_open(error);
        if (!serial->evaluator || !ring_open(&serial->resume, run->batch_count, error))
            return false;
        if (!serial->asynchronous) {
            serial->actor.event = &run->serial_events[i];
            if (!ordered_open(&serial->inlet, run->batch_count, error))
                return false;
            continue;
        }
        serial->actor.engine = io_engine_open(engine_kind(run), ASYNC_DEPTH, error);
        if (!serial->actor.engine || !ring_open(&serial->queue, run->batch_count, error))
            return false;
    }
    return true;
}

static bool open_sink(struct run *run, struct sink_actor *sink, struct plan_sink *entry,
                      uint32_t index, enum step_result (*step)(struct actor *), struct error *error)
{
    actor_name(&sink->actor, run, step, entry->label);
    sink->index = index;
    sink->sink = entry;
    sink->actor.engine = io_engine_open(engine_kind(run), ENGINE_DEPTH, error);
    if (!sink->actor.engine)
        return false;
    entry->context.engine = sink->actor.engine;
    sink->actor.lends = step == sink_step && !(entry->sink->ops->traits & SINK_BLOCKING);
    if (sink->actor.lends)
        sink->actor.event = &sink->actor.own_event;
    sink->moved = clock_monotonic();
    return ordered_open(&sink->ordered, run->batch_count, error) &&
           ring_open(&sink->ring, run->batch_count, error) &&
           ring_open(&sink->behind, run->batch_count, error);
}

static bool open_sinks(struct run *run, struct error *error)
{
    struct plan *plan = run->plan;
    run->sinks = memory_take_zeroed(plan->sink_count, sizeof(*run->sinks));
    if (!run->sinks)
        return error_set(error, ERROR_MEMORY, "no memory for the sinks");
    for (uint32_t i = 0; i < plan->sink_count; i++)
        if (!open_sink(run, &run->sinks[i], &plan->sinks[i], i, sink_step, error))
            return false;
    return !plan->has_rejects ||
           open_sink(run, &run->rejects, &plan->rejects, 0, reject_step, error);
}

static bool open_queues(struct run *run, struct error *error)
{
    for (uint32_t i = 0; i < run->plan->segment_count; i++)
        if (!ring_open(&run->inlets[i], run->batch_count, error))
            return false;
    for (uint32_t i = 0; i <= PLAN_MAX_SEGMENTS; i++)
        atomic_store_explicit(&run->ends[i], UINT64_MAX, memory_order_relaxed);
    return ring_open(&run->resume, run->batch_count, error) &&
           ordered_open(&run->settled, run->batch_count, error);
}

struct run *run_make(struct plan *plan, bool simulated, struct error *error)
{
    struct run *run = memory_take_zeroed(1, sizeof(*run));
    if (!run) {
        error_set(error, ERROR_MEMORY, "no memory for the run");
        return NULL;
    }
    run->plan = plan;
    run->simulated = simulated;
    CHECK(pthread_mutex_init(&run->pool_lock, NULL) == 0);
    CHECK(pthread_mutex_init(&run->settle_lock, NULL) == 0);
    CHECK(pthread_mutex_init(&run->error_lock, NULL) == 0);
    run->counts = memory_take_zeroed(plan->stage_count + 1, sizeof(*run->counts));
    run->busy = memory_take_zeroed(plan->stage_count + 2, sizeof(*run->busy));
    run->seen = memory_take_zeroed(4, sizeof(*run->seen));
    run->begin = run->stall_since = clock_monotonic();
    atomic_store(&run->arrivals, plan->sink_count);
    if (!run->counts || !run->busy || !run->seen)
        error_set(error, ERROR_MEMORY, "no memory for the run");
    else if (pool_open(run, error) && open_queues(run, error) && open_source(run, error) &&
             open_workers(run, error) && open_serials(run, error) && open_sinks(run, error) &&
             checkpoint_open(run, error))
        return run;
    run_close(run);
    return NULL;
}

struct run *run_open(struct plan *plan, bool simulated, struct error *error)
{
    struct run *run = run_make(plan, simulated, error);
    if (!run || recover_run(run, error))
        return run;
    run_close(run);
    return NULL;
}

uint32_t run_actors(struct run *run, struct actor **actors)
{
    uint32_t count = 0;
    actors[count++] = &run->source.actor;
    for (unsigned i = 0; run->workers && i < run->plan->settings.workers; i++)
        actors[count++] = &run->workers[i].actor;
    for (uint32_t i = 0; run->serials && i + 1 < run->plan->segment_count; i++)
        actors[count++] = &run->serials[i].actor;
    for (uint32_t i = 0; run->sinks && i < run->plan->sink_count; i++)
        actors[count++] = &run->sinks[i].actor;
    if (run->plan->has_rejects)
        actors[count++] = &run->rejects.actor;
    CHECK(count <= RUN_MAX_ACTORS);
    return count;
}

static void run_let_go(struct run *run)
{
    atomic_store_explicit(&run->source_stop, true, memory_order_release);
    atomic_store_explicit(&run->discard, true, memory_order_release);
    actor_wake(&run->source.actor);
    workers_wake(run);
    serials_wake(run);
    sinks_wake(run);
}

struct run *run_start(struct plan *plan, struct error *error)
{
    struct actor *actors[RUN_MAX_ACTORS];
    struct run *run = run_open(plan, false, error);
    if (!run)
        return NULL;
    uint32_t count = run_actors(run, actors);
    for (uint32_t i = 0; i < count; i++) {
        if (thread_start(&actors[i]->thread, actors[i]->name, actor_thread, actors[i], error))
            continue;
        /* the others end by themselves once the run is over, which nobody else can bring about */
        run_let_go(run);
        atomic_store_explicit(&run->phase, RUN_OVER, memory_order_seq_cst);
        workers_wake(run);
        serials_wake(run);
        sinks_wake(run);
        run_close(run);
        return NULL;
    }
    return run;
}

void run_stop(struct run *run, int signal_number)
{
    int before = atomic_fetch_add(&run->stop_count, 1);
    int none = 0;
    atomic_compare_exchange_strong(&run->stop_signal, &none, signal_number);
    atomic_store_explicit(&run->source_stop, true, memory_order_release);
    if (before > 0) {
        atomic_store_explicit(&run->interrupted, true, memory_order_release);
        run_let_go(run);
    }
    actor_wake(&run->source.actor);
    serials_wake(run);
}

/* Who waits for whom, once. */
static void stall_explain(struct run *run)
{
    struct actor *actors[RUN_MAX_ACTORS];
    uint32_t count = run_actors(run, actors);
    char text[600];
    size_t length = 0;
    for (uint32_t i = 0; i < count && length < sizeof(text); i++) {
        int waiting = atomic_load_explicit(&actors[i]->waiting, memory_order_relaxed);
        const char *what = waiting == STEP_WAIT_INPUT    ? "waits for input"
                           : waiting == STEP_WAIT_OUTPUT ? "waits for room or for the other side"
                           : waiting == STEP_DONE        ? "is done"
                                                         : "is busy";
        int written = snprintf(text + length, sizeof(text) - length, "%s%s %s", i ? "; " : "",
                               actors[i]->name, what);
        length += written > 0 ? (size_t)written : 0;
    }
    log_line("stalled: nothing has moved for %lld s: %s", (long long)(STALL / NANOSECONDS), text);
}

static void watch_stall(struct run *run, int64_t now)
{
    uint64_t moves = atomic_load_explicit(&run->moves, memory_order_relaxed);
    if (moves != run->stall_moves) {
        run->stall_moves = moves;
        run->stall_since = now;
        run->stall_said = false;
    } else if (!run->stall_said && now - run->stall_since >= STALL) {
        run->stall_said = true;
        stall_explain(run);
    }
}

/* What happened in stages (a breaker opened) is logged when it does so first; how often is told at
 * the end. */
static void watch_events(struct run *run)
{
    for (uint32_t i = 0; i < run->plan->stage_count; i++) {
        const struct stage_causes *events = run->plan->stages[i].stage->events;
        uint32_t count = events ? __atomic_load_n(&events->count, __ATOMIC_ACQUIRE) : 0;
        for (; run->events_told[i] < count; run->events_told[i]++)
            log_line("%s: %s", run->plan->stages[i].label, events->items[run->events_told[i]].text);
    }
}

static void watch_limits(struct run *run, int64_t now)
{
    const struct plan *plan = run->plan;
    struct error error;
    if (atomic_load_explicit(&run->discard, memory_order_acquire))
        return;
    if (plan->settings.timeout && now - run->begin > plan->settings.timeout) {
        error_set(&error, ERROR_TIMEOUT, "the run's timeout of %.3f s has passed",
                  (double)plan->settings.timeout / NANOSECONDS);
        run_fail(run, &error);
        run_let_go(run);
    }
    for (uint32_t i = 0; i < plan->sink_count; i++) {
        struct sink_actor *sink = &run->sinks[i];
        int64_t limit = sink->sink->context.limits.timeout;
        int64_t moved = __atomic_load_n(&sink->moved, __ATOMIC_RELAXED);
        int waiting = atomic_load_explicit(&sink->actor.waiting, memory_order_relaxed);
        /* a sink that waits for its descriptor tells so itself; this is for all others */
        if (!limit || waiting != STEP_WAIT_OUTPUT || now - moved <= limit + NANOSECONDS)
            continue;
        error_set(&error, ERROR_TIMEOUT, "%s took nothing for %.3f s (its timeout)",
                  sink->actor.name, (double)limit / NANOSECONDS);
        run_fail(run, &error);
        run_let_go(run);
    }
}

bool run_wait(struct run *run, int64_t timeout)
{
    int64_t end = clock_monotonic() + timeout;
    for (;;) {
        unsigned seen = event_sequence(&run->over);
        if (atomic_load_explicit(&run->phase, memory_order_seq_cst) == RUN_OVER)
            return true;
        int64_t now = clock_monotonic();
        watch_stall(run, now);
        watch_events(run);
        watch_limits(run, now);
        if (now >= end)
            return false;
        int64_t tick = end - now < NANOSECONDS / 10 ? end - now : NANOSECONDS / 10;
        event_wait(&run->over, seen, tick);
    }
}

static void close_actors(struct run *run)
{
    struct actor *actors[RUN_MAX_ACTORS];
    uint32_t count = run_actors(run, actors);
    for (uint32_t i = 0; i < count; i++) {
        thread_join(&actors[i]->thread);
        CHECK(pthread_mutex_destroy(&actors[i]->lock) == 0);
    }
    /* what a source or sink still holds refers to its engine */
    for (uint32_t i = 0; i < run->plan->source_count; i++) {
        struct source *source = run->plan->sources[i].source;
        if (run->source.actor.engine)
            while (source->ops->reclaim(source))
                ;
    }
    evaluator_close(run->source.helper.evaluator);
    for (unsigned i = 0; run->workers && i < run->plan->settings.workers; i++)
        evaluator_close(run->workers[i].evaluator);
    for (uint32_t i = 0; run->serials && i + 1 < run->plan->segment_count; i++) {
        evaluator_close(run->serials[i].evaluator);
        ordered_close(&run->serials[i].inlet);
        ring_close(&run->serials[i].queue);
        ring_close(&run->serials[i].resume);
        io_engine_close(run->serials[i].actor.engine);
    }
    for (uint32_t i = 0; run->sinks && i < run->plan->sink_count; i++) {
        ordered_close(&run->sinks[i].ordered);
        ring_close(&run->sinks[i].ring);
        ring_close(&run->sinks[i].behind);
        io_engine_close(run->sinks[i].actor.engine);
    }
    ordered_close(&run->rejects.ordered);
    ring_close(&run->rejects.ring);
    ring_close(&run->rejects.behind);
    io_engine_close(run->rejects.actor.engine);
    io_engine_close(run->source.actor.engine);
}

void run_close(struct run *run)
{
    if (!run)
        return;
    close_actors(run);
    for (uint32_t i = 0; i < run->plan->segment_count; i++)
        ring_close(&run->inlets[i]);
    ring_close(&run->resume);
    ordered_close(&run->settled);
    pool_close(run);
    checkpoint_close(run);
    CHECK(pthread_mutex_destroy(&run->pool_lock) == 0);
    CHECK(pthread_mutex_destroy(&run->settle_lock) == 0);
    CHECK(pthread_mutex_destroy(&run->error_lock) == 0);
    free(run->workers);
    free(run->serials);
    free(run->sinks);
    free(run->counts);
    free(run->busy);
    free(run->seen);
    free(run);
}
