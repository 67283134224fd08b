/* Sinks: delivering parts, taking them back, and the phases at the end of a run: drain, commit,
 * publish or abort. Each sink's actor calls its sink; phases change when the last one has arrived.
 */
#include "core/clock.h"
#include "pipeline/run_internal.h"

static bool discarding(const struct run *run)
{
    return atomic_load_explicit(&run->discard, memory_order_acquire);
}

/* Sinks that may refuse rows write to the batch's rejects, so they have it one after another. */
static bool refuses(const struct sink_actor *sink)
{
    return (sink->sink->sink->ops->traits & SINK_TRANSACTIONAL) != 0;
}

static void inlet_put(struct sink_actor *sink, struct batch *batch)
{
    /* looked at before the push, which gives the batch away */
    bool here = batch->text_length <= INLINE_TEXT && !sink->actor.run->simulated;
    if (sink->actor.run->plan->settings.ordered)
        ordered_put(&sink->ordered, batch);
    else
        CHECK(ring_push(&sink->ring, batch));
    if (here)
        actor_borrow(&sink->actor);
    else
        actor_wake(&sink->actor);
}

static struct sink_actor *next_refusing(struct run *run, uint32_t from)
{
    for (uint32_t i = from; i < run->plan->sink_count; i++)
        if (refuses(&run->sinks[i]))
            return &run->sinks[i];
    return NULL;
}

void sinks_deliver(struct run *run, struct batch *batch)
{
    struct sink_actor *chain = next_refusing(run, 0);
    uint32_t holders = chain ? 1 : 0;
    for (uint32_t i = 0; i < run->plan->sink_count; i++)
        holders += !refuses(&run->sinks[i]);
    batch->progress->delivered_rejects = batch->reject_count;
    __atomic_store_n(&batch->sinks_left, holders, __ATOMIC_RELAXED); /* the queues release it */
    for (uint32_t i = 0; i < run->plan->sink_count; i++)
        if (!refuses(&run->sinks[i]))
            inlet_put(&run->sinks[i], batch);
    if (chain)
        inlet_put(chain, batch);
}

static void sink_moved(struct sink_actor *sink)
{
    __atomic_store_n(&sink->moved, clock_monotonic(), __ATOMIC_RELAXED);
    atomic_fetch_add_explicit(&sink->actor.run->moves, 1, memory_order_relaxed);
}

/* This sink needs the part no more. */
static void sink_release(struct sink_actor *sink, struct batch *batch)
{
    struct run *run = sink->actor.run;
    sink->seqs += batch->last_part;
    sink->fatal_seen |= batch->fatal;
    sink_moved(sink);
    struct sink_actor *next = refuses(sink) ? next_refusing(run, sink->index + 1) : NULL;
    if (next) {
        inlet_put(next, batch);
        return;
    }
    if (__atomic_sub_fetch(&batch->sinks_left, 1, __ATOMIC_ACQ_REL) == 0)
        part_settle(run, batch);
}

/* As completed: what stands behind a barrier is put aside until that is gone. */
static struct batch *ring_take(struct sink_actor *sink)
{
    const struct run *run = sink->actor.run;
    struct batch *batch;
    for (uint32_t left = sink->behind_count; left > 0; left--) {
        batch = ring_pop(&sink->behind);
        CHECK(batch);
        if (!checkpoint_holds(run, batch->seq)) {
            sink->behind_count--;
            return batch;
        }
        CHECK(ring_push(&sink->behind, batch));
    }
    while ((batch = ring_pop(&sink->ring)) != NULL) {
        if (!checkpoint_holds(run, batch->seq))
            return batch;
        CHECK(ring_push(&sink->behind, batch));
        sink->behind_count++;
    }
    return NULL;
}

static struct batch *inlet_take(struct sink_actor *sink)
{
    const struct run *run = sink->actor.run;
    if (!run->plan->settings.ordered)
        return ring_take(sink);
    if (checkpoint_holds(run, sink->next_seq))
        return NULL;
    struct batch *batch = ordered_take(&sink->ordered, sink->next_seq);
    if (batch) {
        sink->next_seq += batch->last_part;
        sink->fatal_seen |= batch->fatal; /* what comes behind it is not taken any more */
    }
    return batch;
}

static void sink_failed(struct sink_actor *sink, struct error *error)
{
    struct run *run = sink->actor.run;
    if (!discarding(run)) {
        error_add_context(error, "%s", sink->actor.name);
        run_fail(run, error);
    }
    sink->closed = true;
    atomic_store_explicit(&run->discard, true, memory_order_release);
    sinks_wake(run);
    workers_wake(run);
    serials_wake(run);
}

static bool sink_start(struct sink_actor *sink)
{
    struct error error;
    if (sink->started)
        return true;
    enum sink_result result = sink->sink->sink->ops->start(sink->sink->sink, &error);
    sink->started = true;
    if (result == SINK_FAIL)
        sink_failed(sink, &error);
    return result != SINK_FAIL;
}

/* The reader went away: with nobody else to write for, the run ends where it stands. */
static void sink_reader_gone(struct sink_actor *sink)
{
    struct run *run = sink->actor.run;
    sink->closed = true;
    if (run->plan->sink_count > 1)
        return;
    atomic_store_explicit(&run->quiet_end, true, memory_order_release);
    atomic_store_explicit(&run->source_stop, true, memory_order_release);
    atomic_store_explicit(&run->discard, true, memory_order_release);
    actor_wake(&run->source.actor);
    workers_wake(run);
    serials_wake(run);
}

/* Batches that the sink still holds come back: it was closed or the run is let go. */
static void sink_reclaim(struct sink_actor *sink)
{
    struct batch *batch;
    if (!sink->sink->sink->ops->reclaim)
        return;
    while ((batch = sink->sink->sink->ops->reclaim(sink->sink->sink)) != NULL) {
        CHECK(sink->offered > 0);
        sink->offered--;
        sink_release(sink, batch);
    }
}

/* Feeds the sink. True: something moved. */
static bool sink_feed(struct sink_actor *sink)
{
    struct sink *target = sink->sink->sink;
    bool progress = false;
    for (;;) {
        bool last = sink->fatal_seen;
        if (!sink->next && !last)
            sink->next = inlet_take(sink);
        if (!sink->next)
            return progress;
        struct batch *batch = sink->next;
        const struct batch_output *output = &batch->outputs[sink->index];
        bool empty = !output->borrowed && output->buffer.length == 0;
        if (sink->closed || empty || output->records == 0) {
            sink->next = NULL;
            sink_release(sink, batch);
            progress = true;
            continue;
        }
        if (!sink_start(sink) || !target->ops->offer(target, batch))
            return progress;
        sink->next = NULL;
        sink->offered++;
        sink_moved(sink);
        progress = true;
    }
}

/* Whether nothing more can be offered before all is taken back. */
static bool sink_hurries(const struct sink_actor *sink)
{
    const struct run *run = sink->actor.run;
    uint64_t end =
        atomic_load_explicit(&run->ends[run->plan->segment_count - 1], memory_order_acquire);
    uint64_t barrier = atomic_load_explicit(&run->checkpoint.barrier, memory_order_acquire);
    uint64_t next = run->plan->settings.ordered ? sink->next_seq : sink->seqs + sink->offered;
    return !sink->next && (next >= end || next >= barrier || sink->fatal_seen);
}

/* Tells the sink what it cannot know. */
static void sink_tell(struct sink_actor *sink)
{
    struct sink *target = sink->sink->sink;
    target->hurry = sink_hurries(sink);
    if (target->deadline == 0 &&
        atomic_load_explicit(&sink->actor.run->stop_count, memory_order_relaxed) > 0)
        target->deadline = clock_monotonic() + GRACE;
}

static bool sink_collect(struct sink_actor *sink)
{
    struct sink *target = sink->sink->sink;
    struct batch *batch = NULL;
    struct error error;
    if (!sink->started || sink->closed)
        return false; /* it is asked with nothing offered too: it may have copied what it got */
    sink_tell(sink);
    switch (target->ops->take(target, &batch, &error)) {
    case SINK_OK:
        CHECK(batch && sink->offered > 0);
        sink->offered--;
        sink_release(sink, batch);
        return true;
    case SINK_WAIT:
        if (!sink->actor.lends) /* else this may be another's thread */
            sink->actor.wake = target->wake;
        return false;
    case SINK_CLOSED:
        sink_reader_gone(sink);
        sink_reclaim(sink);
        return true;
    case SINK_FAIL:
        sink_failed(sink, &error);
        return true;
    }
    return false;
}

static bool sink_drained(struct sink_actor *sink)
{
    struct run *run = sink->actor.run;
    uint64_t end =
        atomic_load_explicit(&run->ends[run->plan->segment_count - 1], memory_order_acquire);
    if (sink->next || sink->offered || checkpoint_pending(run, end))
        return false;
    return (run->plan->settings.ordered ? sink->next_seq : sink->seqs) == end;
}

/* All before the barrier is written, and nothing behind it was taken. */
static bool sink_at_barrier(struct sink_actor *sink)
{
    struct run *run = sink->actor.run;
    uint64_t barrier = atomic_load_explicit(&run->checkpoint.barrier, memory_order_acquire);
    return !sink->next && !sink->offered &&
           (run->plan->settings.ordered ? sink->next_seq : sink->seqs) == barrier;
}

static enum run_phase run_phase_now(struct run *run)
{
    return (enum run_phase)atomic_load_explicit(&run->phase, memory_order_seq_cst);
}

static void sink_abort(struct sink_actor *sink)
{
    struct run *run = sink->actor.run;
    if (sink->started && sink->sink->sink->ops->abort)
        sink->sink->sink->ops->abort(sink->sink->sink, run->keep_parts);
    sink_reclaim(sink);
    sink->phase = SINK_ENDED;
    run_arrive(run);
}

enum step_result sink_commit(struct sink_actor *sink)
{
    struct sink *target = sink->sink->sink;
    const struct run *run = sink->actor.run;
    struct error error;
    if (sink->closed || !target->ops->commit || !sink_start(sink))
        return STEP_MOVED; /* what failed was said, and the run is let go */
    switch (target->ops->commit(target, &run->record, &error)) {
    case SINK_OK:
        break;
    case SINK_WAIT:
        return STEP_WAIT_OUTPUT;
    case SINK_CLOSED:
        sink->closed = true;
        break;
    case SINK_FAIL:
        sink_failed(sink, &error);
        break;
    }
    sink_moved(sink);
    return STEP_MOVED;
}

bool run_leaves_rejects(const struct run *run)
{
    return run->keeps_rejects || (run->adds && run->totals.read == 0);
}

static bool leaves_rejects(const struct sink_actor *sink)
{
    const struct run *run = sink->actor.run;
    return sink == &run->rejects && run_leaves_rejects(run);
}

/* The final commit, in turn. */
static enum step_result sink_commit_last(struct sink_actor *sink)
{
    struct run *run = sink->actor.run;
    if (!checkpoint_turn(sink) && !discarding(run))
        return STEP_WAIT_INPUT;
    /* before anything is published there is still a way back, also from a reader that never reads
     */
    bool nothing = run->complete || leaves_rejects(sink);
    enum step_result result = nothing ? STEP_MOVED : sink_commit(sink);
    if (result != STEP_MOVED && !discarding(run))
        return result;
    sink->phase = SINK_COMMITTED;
    (void)checkpoint_pass(sink);
    run_arrive(run);
    return STEP_MOVED;
}

static enum step_result sink_publish(struct sink_actor *sink)
{
    struct run *run = sink->actor.run;
    struct sink *target = sink->sink->sink;
    struct error error;
    enum sink_result result = SINK_OK;
    if (!sink->closed && target->ops->publish && !leaves_rejects(sink))
        result = target->ops->publish(target, &run->record, &error);
    if (result == SINK_WAIT)
        return STEP_WAIT_OUTPUT;
    /* nobody asks where a line of the shell stands, and its target stands alone */
    bool forgets = run->checkpoint.forgets && (target->ops->traits & SINK_RECOVERABLE) &&
                   target->ops->forget && !sink->closed;
    if (result == SINK_OK && forgets && !target->ops->forget(target, &error))
        result = SINK_FAIL;
    if (result == SINK_FAIL)
        sink_failed(sink, &error);
    sink->phase = SINK_ENDED;
    sink_moved(sink);
    run_arrive(run);
    return STEP_MOVED;
}

/* What all sinks do once their input has ended. */
static enum step_result sink_end_step(struct sink_actor *sink)
{
    switch (run_phase_now(sink->actor.run)) {
    case RUN_FLOWS:
        return STEP_WAIT_INPUT;
    case RUN_COMMITS:
        return sink->phase == SINK_DRAINED ? sink_commit_last(sink) : STEP_WAIT_INPUT;
    case RUN_PUBLISHES:
        return sink->phase == SINK_COMMITTED ? sink_publish(sink) : STEP_WAIT_INPUT;
    case RUN_ABORTS:
        if (sink->phase == SINK_ENDED)
            return STEP_WAIT_INPUT;
        sink_abort(sink);
        return STEP_MOVED;
    case RUN_OVER:
        return STEP_DONE;
    }
    return STEP_DONE;
}

enum step_result sink_step(struct actor *actor)
{
    struct sink_actor *sink = (struct sink_actor *)actor;
    struct run *run = actor->run;
    if (sink->phase != SINK_FLOWS)
        return sink_end_step(sink);
    if (discarding(run)) {
        sink->phase = SINK_DRAINED;
        run_arrive(run);
        return STEP_MOVED;
    }
    bool progress = sink_feed(sink);
    progress |= sink_collect(sink);
    if (progress)
        return STEP_MOVED;
    enum step_result result = checkpoint_sink(sink, sink_at_barrier(sink));
    if (result != STEP_WAIT_INPUT)
        return result;
    if (sink_drained(sink)) {
        sink->phase = SINK_DRAINED;
        run_arrive(run);
        return STEP_MOVED;
    }
    return sink->offered || sink->next ? STEP_WAIT_OUTPUT : STEP_WAIT_INPUT;
}

/* ---- rejects ---- */

/* Encodes and offers what is next of the batch in hand. */
static bool reject_feed(struct sink_actor *sink)
{
    struct run *run = sink->actor.run;
    struct sink *target = sink->sink->sink;
    if (sink->offered)
        return false;
    if (!sink->next && !(sink->next = ring_pop(&sink->ring)))
        return false;
    struct batch *batch = sink->next;
    struct batch_output *output = &batch->outputs[0];
    if (!batch->progress->taken_rejects) {
        sink->next = NULL;
        part_finished(run, batch);
        sink_moved(sink);
        return true;
    }
    buffer_reset(&output->buffer);
    if (batch->jumbo)
        output->buffer.limit = size_max(output->buffer.soft, run->plan->limits.jumbo_output);
    output->borrowed = false;
    rejects_encode(run, batch, &batch->progress->taken_rejects);
    if (sink->closed || output->buffer.length == 0)
        return true;
    if (!sink_start(sink))
        return true;
    CHECK(target->ops->offer(target, batch)); /* it holds nothing else */
    sink->offered = 1;
    sink_moved(sink);
    return true;
}

static bool reject_collect(struct sink_actor *sink)
{
    struct sink *target = sink->sink->sink;
    struct batch *batch = NULL;
    struct error error;
    if (!sink->offered)
        return false;
    switch (target->ops->take(target, &batch, &error)) {
    case SINK_OK:
        CHECK(batch == sink->next);
        sink->offered = 0; /* reject_feed goes on with the same batch */
        sink_moved(sink);
        return true;
    case SINK_WAIT:
        return false;
    case SINK_CLOSED:
        error_set(&error, ERROR_IO, "its reader went away while rejects were to be written");
        sink_failed(sink, &error);
        return true;
    case SINK_FAIL:
        sink_failed(sink, &error);
        return true;
    }
    return false;
}

enum step_result reject_step(struct actor *actor)
{
    struct sink_actor *sink = (struct sink_actor *)actor;
    struct run *run = actor->run;
    if (sink->phase != SINK_FLOWS)
        return sink_end_step(sink);
    /* asked before the look: what was settled before the commits began is here by then */
    bool commits = checkpoint_turn(sink);
    if (!sink->closed && (reject_collect(sink) || reject_feed(sink)))
        return STEP_MOVED;
    bool idle = sink->closed || (!sink->next && !sink->offered);
    if (commits && idle && run_phase_now(run) == RUN_FLOWS) {
        enum step_result result = checkpoint_sink(sink, false);
        if (result != STEP_WAIT_INPUT)
            return result;
    }
    /* the sinks have drained, so everything was settled and is here */
    if (run_phase_now(run) != RUN_FLOWS && (idle || run_phase_now(run) == RUN_ABORTS)) {
        sink->phase = SINK_DRAINED;
        return STEP_MOVED;
    }
    return sink->offered ? STEP_WAIT_OUTPUT : STEP_WAIT_INPUT;
}
