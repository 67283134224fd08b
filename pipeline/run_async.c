/* Asynchronous stages: the steps of their actors. Such a stage owns as many batches as come,
 * answers them in whatever order answers fall, and hands on a part as soon as some of its rows may
 * go: the others come again when that part was delivered. Order is restored by whoever stands
 * behind and wants it: every queue there takes in turn. */
#include "core/clock.h"
#include "io/engine.h"
#include "pipeline/run_internal.h"

static bool discarding(const struct run *run)
{
    return atomic_load_explicit(&run->discard, memory_order_acquire);
}

static struct stage *stage_of(const struct serial_actor *actor)
{
    const struct plan *plan = actor->actor.run->plan;
    return plan->stages[plan->segments[actor->segment].serial].stage;
}

/* Nobody wants what comes from here any more: the run is let go, or a stage behind has had enough.
 */
static bool unwanted(const struct serial_actor *actor)
{
    const struct run *run = actor->actor.run;
    return discarding(run) ||
           atomic_load_explicit(&run->enough, memory_order_acquire) > actor->segment;
}

static void async_failed(struct serial_actor *actor, struct error *error)
{
    struct run *run = actor->actor.run;
    error_add_context(error, "%s", actor->actor.name);
    run_fail(run, error);
    atomic_store_explicit(&run->discard, true, memory_order_release);
    sinks_wake(run);
    serials_wake(run);
    workers_wake(run);
}

/* All that the stage and its queues hold goes back to the pool. True: there was something. */
static bool async_let_go(struct serial_actor *actor)
{
    struct run *run = actor->actor.run;
    struct stage *stage = stage_of(actor);
    struct batch *batch = actor->entered ? stage->ops->async->reclaim(stage) : NULL;
    if (batch) {
        CHECK(actor->kept > 0);
        actor->kept--;
        batch->arena.limit = batch->progress->arena_limit;
    }
    if (!batch && !(batch = ring_pop(&actor->resume)))
        batch = ring_pop(&actor->queue);
    if (batch)
        pool_return(run, batch);
    return batch != NULL;
}

static bool async_enter(struct serial_actor *actor)
{
    struct run *run = actor->actor.run;
    const struct plan *plan = run->plan;
    struct stage *stage = stage_of(actor);
    struct error error;
    bool ordered = plan->settings.ordered;
    for (uint32_t i = actor->segment + 1; i + 1 < plan->segment_count; i++)
        ordered |= !(plan->stages[plan->segments[i].serial].stage->ops->traits & STAGE_ASYNC);
    if (!stage->ops->async->enter(stage, ordered, &error)) {
        async_failed(actor, &error);
        return false;
    }
    actor->entered = true;
    return true;
}

/* Takes in what has come. True: something moved. */
static bool async_feed(struct serial_actor *actor)
{
    struct run *run = actor->actor.run;
    struct stage *stage = stage_of(actor);
    struct batch *batch = ring_pop(&actor->resume);
    if (!batch)
        batch = ring_pop(&actor->queue);
    if (!batch)
        return false;
    if (!actor->entered && !async_enter(actor)) {
        pool_return(run, batch);
        return true;
    }
    part_async_enter(run->plan, batch);
    actor->kept++;
    stage->ops->async->start(stage, actor->evaluator, batch);
    return true;
}

static bool async_collect(struct serial_actor *actor)
{
    struct run *run = actor->actor.run;
    struct stage *stage = stage_of(actor);
    struct batch *batch = NULL;
    struct error error;
    if (!actor->entered)
        return false;
    switch (stage->ops->async->take(stage, actor->evaluator, &batch, &error)) {
    case STAGE_OK:
        CHECK(batch && actor->kept > 0);
        actor->kept--;
        part_async_leave(run->plan, batch);
        serial_forward(actor, batch);
        return true;
    case STAGE_WAIT:
        actor->actor.wake = stage->wake;
        return false;
    default:
        async_failed(actor, &error);
        return true;
    }
}

/* Told to stop: what is in flight may end, for a while. */
static void async_hear(struct serial_actor *actor)
{
    struct run *run = actor->actor.run;
    struct stage *stage = stage_of(actor);
    if (actor->stopped || !actor->entered ||
        atomic_load_explicit(&run->stop_count, memory_order_relaxed) == 0)
        return;
    actor->stopped = true;
    stage->ops->async->stop(stage, clock_monotonic() + GRACE);
}

/* Has the engine watch the stage's descriptor, unless it does already. */
static void async_watch(struct serial_actor *actor)
{
    struct stage *stage = stage_of(actor);
    while (io_engine_reap(actor->actor.engine))
        ;
    if (!actor->entered || actor->poll.pending || stage->descriptor < 0)
        return;
    actor->poll = (struct io_request){.kind = IO_POLL_IN, .fd = stage->descriptor};
    CHECK(io_engine_submit(actor->actor.engine, &actor->poll));
}

/* Makes no records of its own: what is behind it ends where what is before it does. */
static void async_end(struct serial_actor *actor)
{
    struct run *run = actor->actor.run;
    uint64_t end = atomic_load_explicit(&run->ends[actor->segment], memory_order_acquire);
    if (!actor->finished && (end != UINT64_MAX || discarding(run)))
        serial_end(actor, end);
}

enum step_result async_step(struct actor *base)
{
    struct serial_actor *actor = (struct serial_actor *)base;
    struct run *run = base->run;
    async_end(actor);
    if (unwanted(actor)) {
        if (async_let_go(actor))
            return STEP_MOVED;
    } else {
        int64_t begin = clock_monotonic();
        async_hear(actor);
        bool progress = async_feed(actor);
        progress |= async_collect(actor);
        uint32_t index = run->plan->segments[actor->segment].serial;
        __atomic_fetch_add(&run->busy[index], clock_monotonic() - begin, __ATOMIC_RELAXED);
        if (progress)
            return STEP_MOVED;
    }
    if (run_is_over(run))
        return STEP_DONE;
    async_watch(actor);
    return actor->kept ? STEP_WAIT_OUTPUT : STEP_WAIT_INPUT;
}
