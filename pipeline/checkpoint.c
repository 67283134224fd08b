/* Checkpoints while a run lasts: see struct checkpoint in run_internal.h. The protocol is that of
 * aligned barriers (Carbone and others, "Lightweight Asynchronous Snapshots for Distributed
 * Dataflows", 2015), with one barrier at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/calendar.h"
#include "core/clock.h"
#include "core/fault.h"
#include "pipeline/commit_text.h"
#include "pipeline/run_internal.h"

#define PERIOD       (1 * NANOSECONDS)
#define PERIOD_BYTES (64u << 20)
#define REST         20 /* no sooner than this many times what the last one took */
#define TEXT_LIMIT   ((size_t)64 << 20)
#define STATE_SOFT   ((size_t)64 << 10)
#define INPUTS_MOST  1000000

static struct stage *stage_behind(const struct run *run, uint32_t segment)
{
    return run->plan->stages[run->plan->segments[segment].serial].stage;
}

static bool sink_stores(const struct sink *sink)
{
    return sink->ops->recover && sink->ops->resume && sink->ops->commit;
}

static bool all_can(const struct run *run)
{
    const struct plan *plan = run->plan;
    for (uint32_t i = 0; i < plan->source_count; i++)
        if (!plan->sources[i].source->replayable || !plan->sources[i].source->ops->seek)
            return false;
    for (uint32_t i = 0; i < plan->sink_count; i++)
        if (!sink_stores(plan->sinks[i].sink))
            return false;
    for (uint32_t i = 0; i + 1 < plan->segment_count; i++) {
        const struct stage_ops *ops = stage_behind(run, i)->ops;
        if (ops->finish && !ops->save)
            return false;
    }
    return !plan->has_rejects || sink_stores(plan->rejects.sink);
}

static void order_add(struct run *run, unsigned trait)
{
    struct checkpoint *checkpoint = &run->checkpoint;
    for (uint32_t i = 0; i < run->plan->sink_count; i++)
        if ((run->sinks[i].sink->sink->ops->traits & SINK_TRANSACTIONAL) == trait)
            checkpoint->order[checkpoint->order_count++] = &run->sinks[i];
}

bool checkpoint_open(struct run *run, struct error *error)
{
    struct checkpoint *checkpoint = &run->checkpoint;
    const struct plan *plan = run->plan;
    const char *every = getenv("LEAT_CHECKPOINT");
    checkpoint->enabled = all_can(run);
    checkpoint->forgets = plan->program->pipeline.length == 0;
    for (uint32_t i = 0; i < plan->sink_count; i++)
        checkpoint->forgets &= !plan->sinks[i].sink->appends;
    checkpoint->every = every ? strtoull(every, NULL, 10) : 0;
    checkpoint->ended = run->begin;
    atomic_store_explicit(&checkpoint->barrier, UINT64_MAX, memory_order_relaxed);
    if (plan->has_rejects)
        checkpoint->order[checkpoint->order_count++] = &run->rejects;
    order_add(run, 0);
    order_add(run, SINK_TRANSACTIONAL);
    for (uint32_t i = 0; i < plan->sink_count; i++)
        run->sinks[i].sink->context.checkpoints = checkpoint->enabled;
    if (plan->has_rejects)
        run->rejects.sink->context.checkpoints = checkpoint->enabled;
    checkpoint->states = memory_take_zeroed(plan->segment_count, sizeof(*checkpoint->states));
    if (!checkpoint->states)
        return error_set(error, ERROR_MEMORY, "no memory for checkpoints");
    for (uint32_t i = 0; i + 1 < plan->segment_count; i++)
        if (stage_behind(run, i)->ops->save &&
            !buffer_open(&checkpoint->states[i], STATE_SOFT,
                         size_max(STATE_SOFT, plan->limits.stage_memory), error))
            return false;
    return buffer_open(&checkpoint->text, TEXT_LIMIT, TEXT_LIMIT, error);
}

void checkpoint_close(struct run *run)
{
    struct checkpoint *checkpoint = &run->checkpoint;
    for (uint32_t i = 0; checkpoint->states && i < run->plan->segment_count; i++)
        buffer_close(&checkpoint->states[i]);
    free(checkpoint->states);
    buffer_close(&checkpoint->text);
}

/* ---- beginning ---- */

static uint64_t bytes_written(const struct run *run)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < run->plan->sink_count; i++)
        bytes += __atomic_load_n(&run->plan->sinks[i].sink->bytes_written, __ATOMIC_RELAXED);
    return bytes;
}

static bool is_wanted(const struct run *run)
{
    for (uint32_t i = 0; i < run->plan->sink_count; i++)
        if (__atomic_load_n(&run->plan->sinks[i].sink->commit_wanted, __ATOMIC_RELAXED))
            return true;
    return false;
}

static bool is_due(const struct run *run)
{
    const struct checkpoint *checkpoint = &run->checkpoint;
    uint64_t given = run->source.next_seq - checkpoint->last_barrier;
    if (given == 0)
        return false;
    if (checkpoint->every)
        return given >= checkpoint->every;
    if (is_wanted(run))
        return true;
    int64_t passed = clock_monotonic() - checkpoint->ended;
    return passed >= REST * checkpoint->took &&
           (passed >= PERIOD || bytes_written(run) - checkpoint->bytes >= PERIOD_BYTES);
}

/* By whoever sees that not everybody will come to the barrier: both may, and no other begins. */
static void checkpoint_abandon(struct run *run)
{
    struct checkpoint *checkpoint = &run->checkpoint;
    atomic_store_explicit(&checkpoint->barrier, UINT64_MAX, memory_order_release);
    atomic_store_explicit(&checkpoint->phase, CHECKPOINT_IDLE, memory_order_seq_cst);
    serials_wake(run);
    sinks_wake(run);
}

void checkpoint_stop(struct run *run, uint64_t end)
{
    struct checkpoint *checkpoint = &run->checkpoint;
    if (!checkpoint->enabled)
        return;
    atomic_store_explicit(&checkpoint->stopped, true, memory_order_seq_cst);
    /* It has not arrived, so the others have not begun to commit, and will not: stages before it
     * may never come to the barrier, as it has cut off the rest of the last batch. */
    if (atomic_load_explicit(&checkpoint->phase, memory_order_seq_cst) == CHECKPOINT_DRAINS &&
        atomic_load_explicit(&checkpoint->barrier, memory_order_acquire) >= end)
        checkpoint_abandon(run);
}

/* A barrier would cut the portions in which a sink sends something again. */
static bool catches_up(const struct run *run)
{
    bool any = false;
    for (uint32_t i = 0; i < run->plan->sink_count; i++)
        any |= __atomic_load_n(&run->plan->sinks[i].sink->catches_up, __ATOMIC_RELAXED);
    return any;
}

void checkpoint_look(struct run *run, bool at_end)
{
    struct checkpoint *checkpoint = &run->checkpoint;
    if (!checkpoint->enabled || atomic_load_explicit(&checkpoint->stopped, memory_order_relaxed) ||
        atomic_load_explicit(&checkpoint->phase, memory_order_acquire) != CHECKPOINT_IDLE ||
        atomic_load_explicit(&run->discard, memory_order_acquire) || catches_up(run) ||
        !(at_end || is_due(run)))
        return;
    unsigned arrivals = run->plan->sink_count;
    for (uint32_t i = 0; i + 1 < run->plan->segment_count; i++)
        arrivals += stage_behind(run, i)->ops->save != NULL;
    checkpoint->begun = clock_monotonic();
    checkpoint->last_barrier = run->source.next_seq;
    atomic_store_explicit(&checkpoint->arrivals, arrivals, memory_order_relaxed);
    atomic_store_explicit(&checkpoint->barrier, run->source.next_seq, memory_order_release);
    atomic_store_explicit(&checkpoint->phase, CHECKPOINT_DRAINS, memory_order_seq_cst);
    if (atomic_load_explicit(&checkpoint->stopped, memory_order_seq_cst)) {
        checkpoint_abandon(run); /* the stage did not see it yet */
        return;
    }
    serials_wake(run);
    sinks_wake(run);
}

bool checkpoint_holds(const struct run *run, uint64_t seq)
{
    return seq >= atomic_load_explicit(&run->checkpoint.barrier, memory_order_acquire);
}

bool checkpoint_pending(const struct run *run, uint64_t end)
{
    return atomic_load_explicit(&run->checkpoint.phase, memory_order_acquire) != CHECKPOINT_IDLE &&
           atomic_load_explicit(&run->checkpoint.barrier, memory_order_acquire) <= end;
}

/* ---- the record ---- */

static struct string text_of(const char *text)
{
    return (struct string){text, strlen(text)};
}

static bool add_inputs(const struct run *run, struct commit_text *commit)
{
    const struct plan *plan = run->plan;
    commit->source_count = plan->source_count;
    for (uint32_t i = 0; i < plan->source_count; i++) {
        const struct source *source = plan->sources[i].source;
        if (source->input_count > INPUTS_MOST)
            return false;
        struct commit_input *inputs = memory_take_zeroed(source->input_count + 1, sizeof(*inputs));
        commit->inputs[i] = inputs;
        if (!inputs)
            return false;
        commit->input_count[i] = source->input_count;
        for (uint32_t j = 0; j < source->input_count; j++) {
            const struct input *input = &source->inputs[j];
            inputs[j] = (struct commit_input){.name = text_of(input->name),
                                              .size = input->size,
                                              .device = input->device,
                                              .inode = input->inode,
                                              .modified = input->modified,
                                              .at = input->at};
            inputs[j].at.key = (struct string){"", 0};
        }
    }
    return true;
}

static void add_stages(const struct run *run, struct commit_text *commit)
{
    const struct plan *plan = run->plan;
    commit->stage_count = plan->stage_count;
    for (uint32_t i = 0; i < plan->stage_count; i++)
        commit->stages[i] =
            (struct commit_stage){.label = text_of(plan->stages[i].label), .count = run->counts[i]};
    for (uint32_t i = 0; i + 1 < plan->segment_count; i++) {
        const struct buffer *state = &run->checkpoint.states[i];
        commit->stages[plan->segments[i].serial].state =
            (struct string){state->data, state->length};
    }
}

static void add_causes(struct commit_text *commit, const struct run_cause *causes, uint32_t count,
                       bool mismatch)
{
    for (uint32_t i = 0; i < count; i++)
        commit->causes[commit->cause_count++] =
            (struct commit_cause){.stage = text_of(causes[i].stage),
                                  .code = text_of(error_slug(causes[i].code)),
                                  .text = text_of(causes[i].text),
                                  .count = causes[i].count,
                                  .mismatch = mismatch};
}

static bool record_write(struct run *run, bool final)
{
    struct checkpoint *checkpoint = &run->checkpoint;
    char when[48];
    int64_t now = clock_wall();
    size_t length =
        calendar_write_timestamp(when, now / NANOSECONDS, (uint32_t)(now % NANOSECONDS));
    struct commit_text commit = {
        .pipeline = text_of(run->plan->name),
        .fingerprint = text_of(run->plan->fingerprint),
        .time = {when, length},
        .number = checkpoint->number + 1,
        .epoch = checkpoint->epoch,
        .final = final,
        .source = run->position_source,
        .position = run->position,
        .totals = run->totals,
        .rejects_number = run_leaves_rejects(run)             ? checkpoint->rejects_number
                          : final || run->totals.rejected > 0 ? checkpoint->number + 1
                                                              : 0,
    };
    commit.stages = memory_take_zeroed(run->plan->stage_count + 1, sizeof(*commit.stages));
    commit.causes = memory_take_zeroed(2 * RUN_MAX_CAUSES, sizeof(*commit.causes));
    bool done = commit.stages && commit.causes && add_inputs(run, &commit);
    if (done) {
        add_stages(run, &commit);
        add_causes(&commit, run->causes, run->cause_count, false);
        add_causes(&commit, run->mismatches, run->mismatch_count, true);
        buffer_reset(&checkpoint->text);
        done = commit_text_write(&commit, &checkpoint->text);
    }
    for (uint32_t i = 0; i < run->plan->source_count; i++)
        free(commit.inputs[i]);
    free(commit.stages);
    free(commit.causes);
    return done;
}

bool checkpoint_assemble(struct run *run, bool final)
{
    struct checkpoint *checkpoint = &run->checkpoint;
    struct error error;
    if (!record_write(run, final)) {
        error_set(&error, ERROR_MEMORY, "no memory for the commit record");
        run_fail(run, &error);
        return false;
    }
    checkpoint->number += !run->complete; /* else it is the last commit's, which stands */
    checkpoint->has_rejects = run->totals.rejected > 0;
    run->record = (struct commit_record){.number = checkpoint->number,
                                         .epoch = checkpoint->epoch,
                                         .bytes = checkpoint->text.data,
                                         .length = checkpoint->text.length,
                                         .final = final};
    atomic_store_explicit(&checkpoint->turn, 0, memory_order_release);
    return true;
}

/* ---- arriving and committing ---- */

static void checkpoint_arrive(struct run *run)
{
    struct checkpoint *checkpoint = &run->checkpoint;
    if (atomic_fetch_sub_explicit(&checkpoint->arrivals, 1, memory_order_acq_rel) != 1)
        return;
    CHECK(pthread_mutex_lock(&run->settle_lock) == 0);
    const struct run_totals *totals = &run->totals;
    bool good = atomic_load_explicit(&run->discard, memory_order_acquire) ||
                totals->read + totals->created ==
                    totals->written + totals->filtered + totals->absorbed + totals->rejected;
    good = good && checkpoint_assemble(run, false);
    CHECK(pthread_mutex_unlock(&run->settle_lock) == 0);
    if (!good) {
        struct error error;
        error_set(&error, ERROR_LEDGER, "the ledger does not balance at a checkpoint");
        run_fail(run, &error);
        atomic_store_explicit(&run->discard, true, memory_order_release);
    }
    atomic_store_explicit(&checkpoint->phase, CHECKPOINT_COMMITS, memory_order_release);
    sinks_wake(run);
}

bool checkpoint_stage(struct serial_actor *serial)
{
    struct run *run = serial->actor.run;
    struct checkpoint *checkpoint = &run->checkpoint;
    struct stage *stage = stage_behind(run, serial->segment);
    uint64_t barrier = atomic_load_explicit(&checkpoint->barrier, memory_order_acquire);
    if (barrier != serial->next_seq || serial->saved == barrier + 1 || !stage->ops->save ||
        barrier == UINT64_MAX)
        return true;
    struct buffer *buffer = &checkpoint->states[serial->segment];
    buffer_reset(buffer);
    buffer->limit = buffer->reserved;
    if (!stage->ops->save(stage, buffer)) {
        struct error error;
        error_set(&error, ERROR_MEMORY, "%s: its state is too large for a checkpoint",
                  stage->label);
        run_fail(run, &error);
        atomic_store_explicit(&run->discard, true, memory_order_release);
        return false;
    }
    serial->saved = barrier + 1;
    checkpoint_arrive(run);
    return true;
}

/* The last sink has committed: everybody goes on. */
static void checkpoint_end(struct run *run)
{
    struct checkpoint *checkpoint = &run->checkpoint;
    checkpoint->ended = clock_monotonic();
    checkpoint->took = checkpoint->ended - checkpoint->begun;
    checkpoint->bytes = bytes_written(run);
    atomic_store_explicit(&checkpoint->barrier, UINT64_MAX, memory_order_release);
    atomic_store_explicit(&checkpoint->phase, CHECKPOINT_IDLE, memory_order_release);
    sinks_wake(run);
}

bool checkpoint_turn(const struct sink_actor *sink)
{
    const struct checkpoint *checkpoint = &sink->actor.run->checkpoint;
    unsigned turn = atomic_load_explicit(&checkpoint->turn, memory_order_acquire);
    return turn < checkpoint->order_count && checkpoint->order[turn] == sink;
}

bool checkpoint_pass(struct sink_actor *sink)
{
    struct run *run = sink->actor.run;
    unsigned turn = atomic_fetch_add_explicit(&run->checkpoint.turn, 1, memory_order_acq_rel) + 1;
    sinks_wake(run);
    return turn == run->checkpoint.order_count;
}

enum step_result checkpoint_sink(struct sink_actor *sink, bool at_barrier)
{
    struct run *run = sink->actor.run;
    struct checkpoint *checkpoint = &run->checkpoint;
    int phase = atomic_load_explicit(&checkpoint->phase, memory_order_acquire);
    uint64_t barrier = atomic_load_explicit(&checkpoint->barrier, memory_order_acquire);
    bool rejects = sink == &run->rejects;
    if (barrier == UINT64_MAX)
        return STEP_WAIT_INPUT;
    if (phase == CHECKPOINT_DRAINS && !rejects && at_barrier && sink->arrived != barrier + 1) {
        sink->arrived = barrier + 1;
        checkpoint_arrive(run);
        return STEP_MOVED;
    }
    if (phase != CHECKPOINT_COMMITS || !checkpoint_turn(sink))
        return STEP_WAIT_INPUT;
    bool nothing = rejects && !checkpoint->has_rejects;
    enum step_result result = nothing ? STEP_MOVED : sink_commit(sink);
    if (result != STEP_MOVED)
        return result;
    if (checkpoint_pass(sink))
        checkpoint_end(run);
    return STEP_MOVED;
}
