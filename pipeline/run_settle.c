/* Settling: every part is accounted for exactly once, in the order of seq; then its batch goes on
 * or back to the pool. Here the ledger is kept, the first reject stops a run that bears none, and
 * the phases at the end of a run change. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/planted.h"
#include "core/hash.h"
#include "core/raw.h"
#include "core/record.h"
#include "pipeline/run_internal.h"

void cause_count(struct run_cause *causes, uint32_t *count, const char *stage, enum error_code code,
                 const char *text, uint64_t times)
{
    struct run_cause *alike = NULL;
    for (uint32_t i = 0; i < *count; i++) {
        if (causes[i].code != code || strcmp(causes[i].stage, stage) != 0)
            continue;
        alike = &causes[i];
        /* why a peer did not answer says more than that it did not */
        if (code != ERROR_LOOKUP || strncmp(alike->text, text, sizeof(alike->text) - 1) == 0) {
            alike->count += times;
            return;
        }
    }
    if (*count >= RUN_MAX_CAUSES / 2 && alike) {
        alike->count += times; /* room is left for the other stages */
        return;
    }
    if (*count == RUN_MAX_CAUSES)
        return;
    struct run_cause *cause = &causes[(*count)++];
    *cause = (struct run_cause){.stage = stage, .code = code, .count = times};
    snprintf(cause->text, sizeof(cause->text), "%s", text);
}

void run_fail(struct run *run, const struct error *error)
{
    CHECK(pthread_mutex_lock(&run->error_lock) == 0);
    bool known = false;
    for (uint32_t i = 0; i < run->error_count; i++)
        known |=
            run->errors[i].code == error->code && strcmp(run->errors[i].text, error->text) == 0;
    if (!known && run->error_count < RUN_MAX_ERRORS)
        run->errors[run->error_count++] = *error;
    CHECK(pthread_mutex_unlock(&run->error_lock) == 0);
    atomic_store_explicit(&run->source_stop, true, memory_order_release);
    actor_wake(&run->source.actor);
}

bool run_failed(struct run *run)
{
    CHECK(pthread_mutex_lock(&run->error_lock) == 0);
    bool failed = run->error_count > 0;
    CHECK(pthread_mutex_unlock(&run->error_lock) == 0);
    return failed;
}

/* Nothing more is wanted of anybody. */
static void let_go(struct run *run)
{
    atomic_store_explicit(&run->discard, true, memory_order_release);
    actor_wake(&run->source.actor);
    workers_wake(run);
    serials_wake(run);
    sinks_wake(run);
}

/* The first reject in input order, where the run bears none. */
static void settle_fatal(struct run *run, const struct batch *batch, const struct reject *reject)
{
    char place[320];
    struct error error;
    run->fatal = true;
    if (reject->code == ERROR_UNANSWERED) {
        /* no fault of the record's: the signal came before its answer */
        atomic_store_explicit(&run->interrupted, true, memory_order_release);
        let_go(run);
        return;
    }
    reject_place(run, batch, reject, place, sizeof(place));
    error_set(&error, reject->code, "%s: %s: %.*s (%s)", place, reject_stage(run, reject),
              (int)reject->text_length, reject->text ? reject->text : error_meaning(reject->code),
              error_slug(reject->code));
    run_fail(run, &error);
    let_go(run);
}

static void settle_rejects(struct run *run, struct batch *batch)
{
    for (const struct reject *reject = batch->progress->taken_rejects; reject;
         reject = reject->next) {
        char text[240];
        snprintf(text, sizeof(text), "%.*s", (int)reject->text_length,
                 reject->text ? reject->text : "");
        /* one that nothing bears is told as the error that ends the run */
        if (run->plan->has_rejects)
            cause_count(run->causes, &run->cause_count, reject_stage(run, reject), reject->code,
                        text, 1);
        run->totals.rejected++;
    }
    if (batch->progress->taken_rejects && !run->plan->has_rejects && !run->fatal)
        settle_fatal(run, batch, batch->progress->taken_rejects);
}

/* The names of the first record, for "did you mean" about fields that no record had. */
static void sample_names(struct run *run, struct batch *batch)
{
    if (batch->created || batch->overlong || batch->record_count == 0 || batch->names)
        return;
    /* a record that was rejected as malformed may be anything */
    for (const struct reject *reject = batch->progress->taken_rejects; reject;
         reject = reject->next)
        if (reject->record == 0 && reject->stage == STAGE_SOURCE)
            return;
    static const struct shape clean = {0};
    struct value record =
        value_resolve(record_value(batch, 0, &clean, &batch->arena), &batch->arena);
    if (record.kind != VALUE_MAP)
        return;
    for (uint32_t i = 0; i < record.length && run->sampled_count < RUN_MAX_SAMPLED; i++) {
        struct value name = record.entries[i].key;
        snprintf(run->sampled[run->sampled_count++], sizeof(run->sampled[0]), "%.*s",
                 (int)size_min(name.length, sizeof(run->sampled[0]) - 1), name.text);
    }
}

/* Bytes by which an input is known again. */
#define MARK_SIZE 1024

static struct position_mark head_mark(const struct batch *batch)
{
    if (batch->recoded)
        return batch->head;
    uint32_t length = batch->overlong ? 0 : batch->progress->text_length;
    uint32_t marked = length < MARK_SIZE ? length : MARK_SIZE;
    return (struct position_mark){.offset = batch->origin.offset,
                                  .length = marked,
                                  .hash = hash_bytes(batch->text, marked, HASH_SEED)};
}

/* Where a later run would go on, and by what it would know the place again. */
void settle_position(struct run *run, const struct batch *batch)
{
    struct position *position = &run->position;
    if (batch->starts_input || run->position_source != batch->progress->source ||
        position->input != batch->origin.input)
        *position = (struct position){.head = head_mark(batch)};
    position->input = batch->origin.input;
    position->offset = batch->content_end;
    position->line = batch->line_end;
    position->frame = batch->frame;
    position->frame_offset = batch->frame_offset;
    position->state = batch->state_end;
    run->position_source = batch->progress->source;
    uint32_t length = batch->overlong ? 0 : batch->progress->text_length;
    uint32_t marked = length < MARK_SIZE ? length : MARK_SIZE;
    position->tail = (struct position_mark){
        .offset = batch->content_end - marked,
        .length = marked,
        .hash = hash_bytes(batch->text + length - marked, marked, HASH_SEED)};
    if (batch->recoded)
        position->tail = batch->tail;
    memcpy(run->position_key, batch->key, batch->key_length);
    position->key = (struct string){run->position_key, batch->key_length};
    struct source *source = run->plan->sources[run->position_source].source;
    if (batch->ends_input && batch->origin.input < source->input_count)
        source->inputs[batch->origin.input].at = *position;
}

static void settle_account(struct run *run, struct batch *batch)
{
    struct plan *plan = run->plan;
    struct run_totals *totals = &run->totals;
    uint64_t refused = batch->reject_count - batch->progress->delivered_rejects;
    bool first = batch->seq == 0 && batch->progress->reported == 0;
    uint32_t records = part_take_records(batch);
    batch->progress->taken_rejects = part_take_rejects(batch);
    if (run->fatal || atomic_load_explicit(&run->discard, memory_order_acquire))
        return; /* what is let go is not accounted for: the run has failed or was left */
    /* not where `head` left its first record out: then nobody says whether it is malformed */
    if (first && records > 0 && run->sampled_count == 0)
        sample_names(run, batch);
    if (batch->created) {
        struct stage_count *creator = &run->counts[batch->progress->creator];
        totals->created += records;
        creator->created += records;
        creator->written += records;
    } else {
        totals->read += records;
    }
    CHECK(refused <= batch->progress->sink_records);
    totals->written += batch->progress->sink_records - refused;
    for (uint32_t i = 0; i < plan->stage_count; i++) {
        const struct stage_count *count = &batch->counts[i];
        struct stage_count *sum = &run->counts[i];
        sum->read += count->read;
        sum->written += count->written;
        sum->filtered += count->filtered;
        sum->absorbed += count->absorbed;
        sum->rejected += count->rejected;
        sum->mismatched += count->mismatched;
        totals->filtered += count->filtered;
        totals->absorbed += count->absorbed;
    }
    for (int i = 0; i < 4; i++)
        run->seen[i] |= batch->seen[i];
    settle_rejects(run, batch);
    if (batch->last_part && !batch->created && !planted("watermark_maximum")) {
        settle_position(run, batch);
    }
}

void part_finished(struct run *run, struct batch *batch)
{
    uint32_t segment;
    if (batch->last_part || atomic_load_explicit(&run->discard, memory_order_acquire)) {
        pool_return(run, batch);
        return;
    }
    if (part_resumes_serial(run->plan, batch, &segment)) {
        CHECK(ring_push(&run->serials[segment].resume, batch));
        actor_wake(&run->serials[segment].actor);
        return;
    }
    CHECK(ring_push(&run->resume, batch));
    workers_wake(run);
}

void part_settle(struct run *run, struct batch *batch)
{
    CHECK(pthread_mutex_lock(&run->settle_lock) == 0);
    ordered_put(&run->settled, batch);
    while ((batch = ordered_take(&run->settled, run->next_settle)) != NULL) {
        run->next_settle += batch->last_part;
        settle_account(run, batch);
        if (batch->progress->taken_rejects && run->plan->has_rejects) {
            CHECK(ring_push(&run->rejects.ring, batch));
            actor_wake(&run->rejects.actor);
        } else {
            batch->progress->taken_rejects = NULL;
            part_finished(run, batch);
        }
    }
    CHECK(pthread_mutex_unlock(&run->settle_lock) == 0);
}

/* How the run has gone, once everything was settled. */
static bool over_the_limit(const struct run *run)
{
    const struct plan *plan = run->plan;
    if (plan->fail_is_share)
        return (double)run->totals.rejected > plan->fail_share * (double)run->totals.read;
    return run->totals.rejected > plan->fail_count;
}

static void check_balance(struct run *run)
{
    const struct run_totals *totals = &run->totals;
    struct error error;
    uint64_t in = totals->read + totals->created;
    uint64_t out = totals->written + totals->filtered + totals->absorbed + totals->rejected;
    if (in == out)
        return;
    error_set(&error, ERROR_LEDGER,
              "the ledger does not balance: %llu read + %llu created, but %llu written + %llu "
              "filtered + %llu absorbed + %llu rejected",
              (unsigned long long)totals->read, (unsigned long long)totals->created,
              (unsigned long long)totals->written, (unsigned long long)totals->filtered,
              (unsigned long long)totals->absorbed, (unsigned long long)totals->rejected);
    run_fail(run, &error);
}

static int exit_status(struct run *run)
{
    int signal_number = atomic_load_explicit(&run->stop_signal, memory_order_relaxed);
    if (!run->published && atomic_load_explicit(&run->interrupted, memory_order_acquire))
        return RUN_STOPPED + signal_number;
    if (run_failed(run))
        return run->errors[0].code == ERROR_LOCKED ? RUN_LOCKED : RUN_FAILED;
    if (atomic_load_explicit(&run->quiet_end, memory_order_acquire))
        return RUN_DONE;
    return over_the_limit(run) ? RUN_REJECTED : RUN_DONE;
}

/* All sinks have drained: publish or abort? */
static enum run_phase verdict(struct run *run)
{
    bool discard = atomic_load_explicit(&run->discard, memory_order_acquire);
    if (!discard && !run_failed(run)) {
        CHECK(pthread_mutex_lock(&run->settle_lock) == 0);
        check_balance(run);
        CHECK(pthread_mutex_unlock(&run->settle_lock) == 0);
    }
    if (discard || run_failed(run) || atomic_load_explicit(&run->interrupted, memory_order_acquire))
        return RUN_ABORTS;
    if (run->plan->has_fail_when && over_the_limit(run)) {
        run->keep_parts = true;
        return RUN_ABORTS;
    }
    return RUN_COMMITS;
}

void run_arrive(struct run *run)
{
    if (atomic_fetch_sub_explicit(&run->arrivals, 1, memory_order_acq_rel) != 1)
        return;
    enum run_phase phase = (enum run_phase)atomic_load_explicit(&run->phase, memory_order_seq_cst);
    enum run_phase next = RUN_OVER;
    if (phase == RUN_FLOWS)
        next = verdict(run);
    else if (phase == RUN_COMMITS)
        next = run_failed(run) || atomic_load_explicit(&run->interrupted, memory_order_acquire)
                   ? RUN_ABORTS
                   : RUN_PUBLISHES;
    run->published |= next == RUN_PUBLISHES;
    if (next == RUN_COMMITS) {
        CHECK(pthread_mutex_lock(&run->settle_lock) == 0);
        bool made = checkpoint_assemble(run, true);
        CHECK(pthread_mutex_unlock(&run->settle_lock) == 0);
        next = made ? RUN_COMMITS : RUN_ABORTS;
    }
    atomic_store_explicit(&run->arrivals, run->plan->sink_count + run->plan->has_rejects,
                          memory_order_release);
    if (next == RUN_OVER) {
        run->exit_status = exit_status(run);
        __atomic_store_n(&run->end, clock_monotonic(), __ATOMIC_RELEASE);
    }
    atomic_store_explicit(&run->phase, (int)next, memory_order_seq_cst);
    sinks_wake(run);
    workers_wake(run);
    serials_wake(run);
    if (next == RUN_OVER && !run->simulated)
        event_signal(&run->over);
}
