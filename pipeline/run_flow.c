/* The flow from the source through workers and serial stages to the sinks: steps of their actors.
 */
#include <string.h>

#include "core/clock.h"
#include "core/planted.h"
#include "pipeline/run_internal.h"

static bool discarding(const struct run *run)
{
    return atomic_load_explicit(&run->discard, memory_order_acquire);
}

static void moved(struct run *run)
{
    atomic_fetch_add_explicit(&run->moves, 1, memory_order_relaxed);
}

void workers_wake(struct run *run)
{
    if (!run->simulated)
        event_signal(&run->worker_event);
}

/* One batch for whichever worker comes first. */
static void worker_wake(struct run *run)
{
    if (!run->simulated)
        event_signal_one(&run->worker_event);
}

void serials_wake(struct run *run)
{
    for (uint32_t i = 0; i + 1 < run->plan->segment_count; i++)
        actor_wake(&run->serials[i].actor);
}

void sinks_wake(struct run *run)
{
    for (uint32_t i = 0; i < run->plan->sink_count; i++)
        actor_wake(&run->sinks[i].actor);
    if (run->plan->has_rejects)
        actor_wake(&run->rejects.actor);
}

/* ---- source ---- */

static void source_end(struct source_actor *source)
{
    struct run *run = source->actor.run;
    source->ended = true;
    /* not where the run failed: what has to be mended may be the input */
    if (!run_failed(run) && atomic_load_explicit(&run->interrupted, memory_order_acquire))
        checkpoint_look(run, true);
    atomic_store_explicit(&run->ends[0], source->next_seq, memory_order_release);
    serials_wake(run);
    sinks_wake(run);
    workers_wake(run);
}

/* Batches that the current source did not fill go back. */
static void source_reclaim(struct source_actor *source, struct source *current)
{
    struct batch *batch;
    while ((batch = current->ops->reclaim(current)) != NULL)
        pool_return(source->actor.run, batch);
}

static enum step_result source_next(struct source_actor *source, struct source *current)
{
    struct run *run = source->actor.run;
    bool stopping = atomic_load_explicit(&run->source_stop, memory_order_acquire);
    bool signalled = atomic_load_explicit(&run->stop_signal, memory_order_relaxed) != 0;
    bool cut = source->told && !current->endless;
    source_reclaim(source, current);
    source->current++;
    source->told = false;
    if (source->current < run->plan->source_count && !stopping)
        return STEP_MOVED;
    if (signalled && (cut || source->current < run->plan->source_count))
        atomic_store_explicit(&run->interrupted, true, memory_order_release);
    if (source->spare)
        pool_return(run, source->spare);
    source->spare = NULL;
    source_end(source);
    return STEP_DONE;
}

static bool source_offer_all(struct source_actor *source, struct source *current)
{
    struct run *run = source->actor.run;
    bool progress = false;
    if (atomic_load_explicit(&run->source_stop, memory_order_acquire))
        return false;
    for (;;) {
        if (!source->spare) {
            /* said before the look: a batch returned after it wakes this thread */
            atomic_store_explicit(&run->source_hungry, true, memory_order_seq_cst);
            source->spare = pool_take(run);
            if (source->spare)
                atomic_store_explicit(&run->source_hungry, false, memory_order_seq_cst);
        }
        if (!source->spare || !current->ops->offer(current, source->spare))
            return progress;
        source->spare = NULL;
        progress = true;
    }
}

static void source_give(struct source_actor *source, struct batch *batch)
{
    struct run *run = source->actor.run;
    batch->seq = source->next_seq++;
    part_begin(run->plan, batch, source->current);
    if (planted("watermark_maximum")) {
        CHECK(pthread_mutex_lock(&run->settle_lock) == 0);
        settle_position(run, batch);
        CHECK(pthread_mutex_unlock(&run->settle_lock) == 0);
    }
    /* little text is what an idle input brings: no other thread is woken for it */
    bool here = batch->text_length <= INLINE_TEXT && !run->simulated;
    CHECK(ring_push(&run->inlets[0], batch)); /* as large as the pool */
    moved(run);
    if (here)
        (void)worker_step(&source->helper.actor); /* takes this batch or one that is as good */
    else
        worker_wake(run);
}

enum step_result source_step(struct actor *actor)
{
    struct source_actor *source = (struct source_actor *)actor;
    struct run *run = actor->run;
    if (source->ended)
        return STEP_DONE;
    struct source *current = run->plan->sources[source->current].source;
    bool stop = atomic_load_explicit(&run->source_stop, memory_order_acquire);
    if (stop && !source->told) {
        source->told = true;
        current->ops->stop(current);
    }
    checkpoint_look(run, false);
    bool progress = source_offer_all(source, current);
    struct batch *batch = NULL;
    struct error error;
    switch (current->ops->take(current, &batch, &error)) {
    case SOURCE_READY:
        source_give(source, batch);
        return STEP_MOVED;
    case SOURCE_END:
        return source_next(source, current);
    case SOURCE_FAIL:
        /* what came before it is delivered and accounted for; the run fails all the same */
        run_fail(run, &error);
        atomic_store_explicit(&run->source_stop, true, memory_order_release);
        return source_next(source, current);
    case SOURCE_WAIT:
        actor->wake = current->wake;
        break;
    }
    if (progress)
        return STEP_MOVED;
    return source->spare ? STEP_WAIT_INPUT : STEP_WAIT_OUTPUT;
}

/* ---- workers ---- */

static struct batch *worker_take(struct run *run)
{
    struct batch *batch = ring_pop(&run->resume);
    /* later segments first: what is nearly done makes room */
    for (uint32_t i = run->plan->segment_count; !batch && i-- > 0;)
        batch = ring_pop(&run->inlets[i]);
    return batch;
}

bool run_is_over(struct run *run)
{
    return atomic_load_explicit(&run->phase, memory_order_seq_cst) == RUN_OVER;
}

enum step_result worker_step(struct actor *actor)
{
    struct worker_actor *worker = (struct worker_actor *)actor;
    struct run *run = actor->run;
    struct batch *batch = worker_take(run);
    if (!batch)
        return run_is_over(run) ? STEP_DONE : STEP_WAIT_INPUT;
    moved(run);
    if (discarding(run)) {
        pool_return(run, batch);
        return STEP_MOVED;
    }
    enum part_result result = part_run(run->plan, worker->evaluator, batch, &worker->clock);
    if (result == PART_SERIAL) {
        struct serial_actor *serial = &run->serials[batch->segment];
        if (serial->asynchronous)
            CHECK(ring_push(&serial->queue, batch));
        else
            ordered_put(&serial->inlet, batch);
        actor_wake(&serial->actor);
    } else {
        sinks_deliver(run, batch);
    }
    return STEP_MOVED;
}

/* ---- serial stages ---- */

void serial_forward(struct serial_actor *serial, struct batch *batch)
{
    struct run *run = serial->actor.run;
    CHECK(ring_push(&run->inlets[serial->segment + 1], batch));
    worker_wake(run);
    moved(run);
}

void serial_end(struct serial_actor *serial, uint64_t end)
{
    struct run *run = serial->actor.run;
    serial->finished = true;
    atomic_store_explicit(&run->ends[serial->segment + 1], end, memory_order_release);
    serials_wake(run);
    sinks_wake(run);
}

/* All of the input has come: what an aggregation hands on. */
static enum step_result serial_finish(struct serial_actor *serial)
{
    struct run *run = serial->actor.run;
    struct stage *stage = run->plan->stages[run->plan->segments[serial->segment].serial].stage;
    /* what an input that broke off adds up to is no result */
    bool broken = run_failed(run) || atomic_load_explicit(&run->interrupted, memory_order_acquire);
    if (!stage->ops->finish || broken || run->complete || discarding(run)) {
        serial_end(serial, serial->next_seq);
        return STEP_MOVED;
    }
    struct batch *batch = pool_take(run);
    if (!batch)
        return STEP_WAIT_OUTPUT;
    struct error error;
    part_begin_created(run->plan, batch);
    batch->progress->creator = stage->index;
    batch->seq = serial->next_seq + serial->created++;
    batch->segment = serial->segment + 1;
    enum stage_result result = stage->ops->finish(stage, batch, &error);
    if (result == STAGE_FAIL) {
        run_fail(run, &error);
        pool_return(run, batch);
        serial->created--;
        serial_end(serial, serial->next_seq + serial->created);
        return STEP_MOVED;
    }
    CHECK(result == STAGE_OK || result == STAGE_MORE);
    serial_forward(serial, batch);
    if (result == STAGE_OK)
        serial_end(serial, serial->next_seq + serial->created);
    return STEP_MOVED;
}

/* The stage over the part, with fewer rows where the arena is full: the others come again. */
static enum stage_result serial_call(struct serial_actor *serial, struct stage *stage,
                                     struct batch *batch, struct error *error)
{
    uint32_t entered = batch->row_count, wanted = entered;
    for (;;) {
        enum stage_result result = stage->ops->batch(stage, serial->evaluator, batch, error);
        if (result != STAGE_SPLIT && wanted == entered)
            return result;
        if (result != STAGE_SPLIT) {
            /* behind those that the stage itself holds back */
            uint32_t *rest = batch->rest_count ? batch->rest : batch->rows + batch->row_count;
            memmove(rest + batch->rest_count, batch->progress->entered + wanted,
                    (entered - wanted) * sizeof(*rest));
            batch->rest = rest;
            batch->rest_count += entered - wanted;
            return result;
        }
        part_serial_undo(batch);
        if (wanted <= 1) {
            error_set(error, ERROR_MEMORY, "%s: one record needs more memory than --memory allows",
                      stage->label);
            return STAGE_FAIL;
        }
        batch->row_count = wanted = wanted / 2;
    }
}

static enum step_result serial_part(struct serial_actor *serial, struct batch *batch, bool entered)
{
    struct run *run = serial->actor.run;
    struct plan *plan = run->plan;
    uint32_t index = plan->segments[serial->segment].serial;
    struct stage *stage = plan->stages[index].stage;
    struct error error;
    if (!entered)
        part_serial_enter(plan, batch);
    int64_t begin = clock_monotonic();
    enum stage_result result = serial_call(serial, stage, batch, &error);
    int64_t taken = clock_monotonic() - begin;
    __atomic_fetch_add(&run->busy[index], taken, __ATOMIC_RELAXED);
    if (result == STAGE_WAIT) {
        serial->waiting = batch;
        serial->actor.wake = stage->wake;
        return STEP_WAIT_OUTPUT;
    }
    serial->waiting = NULL;
    if (result == STAGE_FAIL) {
        run_fail(run, &error);
        atomic_store_explicit(&run->discard, true, memory_order_release);
        pool_return(run, batch);
        return STEP_MOVED;
    }
    CHECK(result == STAGE_OK || result == STAGE_STOP);
    part_serial_leave(plan, batch, result == STAGE_STOP);
    bool last = part_upstream_done(batch, serial->segment);
    serial->next_seq += last;
    if (result == STAGE_STOP) {
        CHECK(last);
        serial->stopped = true;
        checkpoint_stop(run, serial->next_seq);
        atomic_store_explicit(&run->source_stop, true, memory_order_release);
        if (atomic_load_explicit(&run->enough, memory_order_relaxed) < serial->segment)
            atomic_store_explicit(&run->enough, serial->segment, memory_order_release);
        actor_wake(&run->source.actor);
        serials_wake(run);
    }
    serial_forward(serial, batch);
    if (serial->stopped && !stage->ops->finish)
        serial_end(serial, serial->next_seq);
    return STEP_MOVED;
}

enum step_result serial_step(struct actor *actor)
{
    struct serial_actor *serial = (struct serial_actor *)actor;
    struct run *run = actor->run;
    if (serial->waiting && discarding(run)) {
        pool_return(run, serial->waiting);
        serial->waiting = NULL;
        return STEP_MOVED;
    }
    if (serial->waiting)
        return serial_part(serial, serial->waiting, true);
    uint64_t saved = serial->saved;
    if (!checkpoint_stage(serial) || serial->saved != saved)
        return STEP_MOVED;
    struct batch *batch = ring_pop(&serial->resume);
    bool out_of_turn = batch != NULL;
    if (!batch)
        batch = ordered_take(&serial->inlet, serial->next_seq);
    if (!batch && (serial->stopped || discarding(run)))
        /* whatever else comes is let go, in any order */
        for (size_t i = 0; i <= serial->inlet.mask && !batch; i++)
            if ((batch = atomic_exchange_explicit(&serial->inlet.slots[i], NULL,
                                                  memory_order_acq_rel)) != NULL)
                out_of_turn = false;
    if (batch && (discarding(run) || (serial->stopped && !out_of_turn))) {
        pool_return(run, batch);
        return STEP_MOVED;
    }
    if (batch)
        return serial_part(serial, batch, false);
    if (run_is_over(run))
        return STEP_DONE;
    uint64_t end = atomic_load_explicit(&run->ends[serial->segment], memory_order_acquire);
    if (!serial->finished && (serial->next_seq == end || discarding(run)))
        return serial_finish(serial);
    return STEP_WAIT_INPUT;
}
