/* Recovery: where the last run stands, and going on from there. Each sink tells the record that it
 * stores; the run goes on behind the last checkpoint that all of them have or can go back to. Main
 * thread, before the run's own threads start. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "pipeline/commit_text.h"
#include "pipeline/log.h"
#include "pipeline/run_internal.h"

/* How long a lock is asked for: after SIGKILL, a process with requests pending in a ring was seen
 * to hold its own for up to 68 ms. */
#define LOCK_PATIENCE (5 * NANOSECONDS)
#define LOCK_PAUSE    (NANOSECONDS / 20)
#define ARENA_LIMIT   ((size_t)256 << 20)

static bool can_recover(const struct sink *sink)
{
    return sink->ops->recover && sink->ops->resume;
}

/* Asks until the lock is free, or for as long as it is worth. */
static bool ask(struct recovery *recovery, struct standing *standing, bool patient,
                struct error *error)
{
    struct run *run = recovery->run;
    struct sink *sink = standing->sink->sink->sink;
    int64_t begin = clock_monotonic();
    bool said = false;
    while (!sink->ops->recover(sink, &standing->record, &standing->found, error)) {
        struct error error_copy = *error;
        if (error->code != ERROR_LOCKED)
            return error_add_context(error, "%s", standing->sink->actor.name);
        if (!patient || (!run->plan->options.wait && clock_monotonic() - begin > LOCK_PATIENCE))
            return false;
        int stop = run->plan->options.stop_signal ? run->plan->options.stop_signal() : 0;
        if (stop)
            return error_set(error, ERROR_STOPPED, "stopped by signal %d while waiting: %s", stop,
                             error_copy.text);
        if (run->plan->options.wait && !said)
            log_line("waiting: %s", error->text);
        said = true;
        unsigned seen = event_sequence(&run->over);
        event_wait(&run->over, seen, LOCK_PAUSE);
    }
    return true;
}

bool recovery_ask(struct recovery *recovery, struct run *run, bool patient, struct error *error)
{
    *recovery = (struct recovery){.run = run};
    if (!arena_open(&recovery->arena, ARENA_LIMIT, ARENA_LIMIT, error))
        return false;
    const struct checkpoint *checkpoint = &run->checkpoint;
    for (uint32_t i = 0; i < checkpoint->order_count; i++) {
        struct sink_actor *sink = checkpoint->order[i];
        /* files have leftovers of other runs, and locks; databases just records */
        bool file = (sink->sink->sink->ops->traits & SINK_RECOVERABLE) != 0;
        if (!can_recover(sink->sink->sink) || !(checkpoint->enabled || file))
            continue;
        struct standing *standing = &recovery->standings[recovery->count++];
        *standing = (struct standing){.sink = sink, .rejects = sink == &run->rejects};
        if (!ask(recovery, standing, patient, error))
            return false;
        if (!standing->found || run->plan->options.fresh)
            continue;
        if (!commit_text_read(&standing->text,
                              (struct string){standing->record.bytes, standing->record.length},
                              &recovery->arena, error))
            return error_add_context(error, "%s", sink->actor.name);
    }
    return true;
}

static bool resume_all(struct recovery *recovery, uint64_t number, uint64_t rejects,
                       struct error *error)
{
    for (uint32_t i = 0; i < recovery->count; i++) {
        struct sink *sink = recovery->standings[i].sink->sink->sink;
        uint64_t to = recovery->standings[i].rejects ? rejects : number;
        if (!sink->ops->resume(sink, to, recovery->run->checkpoint.epoch, error))
            return error_add_context(error, "%s", recovery->standings[i].sink->actor.name);
    }
    return true;
}

/* ---- which checkpoint ---- */

enum where { BEGIN_ANEW, GO_ON, ADD_TO, CANNOT };

/* A finished run that this one adds to: sinks that append, a source that knows what is new. */
static bool adds(const struct recovery *recovery)
{
    const struct plan *plan = recovery->run->plan;
    bool appends = true;
    for (uint32_t i = 0; i < plan->sink_count; i++)
        appends &= plan->sinks[i].sink->appends;
    for (uint32_t i = 0; i < plan->source_count; i++) {
        const struct source *source = plan->sources[i].source;
        bool wanted = source->incremental > 0 || (source->incremental == 0 && appends);
        if (!wanted || !source->ops->seek || !source->replayable)
            return false;
    }
    return true;
}

/* How the sinks stand to each other, without the rejects'. */
struct survey {
    bool all_done, found_done; /* all have a finished run's record; all that have any */
    bool none;
    uint64_t top;              /* the largest number */
    struct standing *base;     /* one of the smallest */
    struct standing *finished; /* a finished run's, where others have a commit behind it */
    bool absent;               /* one has nothing, where others have */
    bool ahead_back;           /* those with the largest number can go back from it */
};

static bool can_go_back(const struct standing *standing)
{
    return (standing->sink->sink->sink->ops->traits & SINK_RECOVERABLE) != 0;
}

static struct survey survey_make(struct recovery *recovery)
{
    struct survey survey = {.all_done = true, .found_done = true, .none = true, .ahead_back = true};
    for (uint32_t i = 0; i < recovery->count; i++) {
        struct standing *standing = &recovery->standings[i];
        const struct commit_record *record = &standing->record;
        if (standing->rejects)
            continue;
        survey.absent |= !standing->found;
        survey.none &= !standing->found;
        survey.all_done &= standing->found && record->done;
        survey.found_done &= !standing->found || record->done;
        if (!standing->found)
            continue;
        if (!survey.base || record->number < survey.base->record.number)
            survey.base = standing;
        if (record->number > survey.top)
            survey.top = record->number;
    }
    for (uint32_t i = 0; i < recovery->count; i++) {
        struct standing *standing = &recovery->standings[i];
        if (standing->rejects || !standing->found)
            continue;
        if (standing->record.number == survey.top)
            survey.ahead_back &= can_go_back(standing);
        else if (standing->record.done)
            survey.finished = standing;
    }
    return survey;
}

/* Whether the rejects of the run that the sinks have finished have still to get their name. */
static bool rejects_wait(const struct recovery *recovery, uint64_t number)
{
    for (uint32_t i = 0; i < recovery->count; i++) {
        const struct standing *standing = &recovery->standings[i];
        if (standing->rejects && standing->found && standing->record.final &&
            !standing->record.done && standing->record.number == number &&
            string_equal_text(standing->text.fingerprint, recovery->run->plan->fingerprint))
            return true;
    }
    return false;
}

static enum where cannot(const struct recovery *recovery, uint64_t number, struct error *error)
{
    for (uint32_t i = 0; i < recovery->count; i++) {
        const struct standing *standing = &recovery->standings[i];
        if (!standing->rejects && (!standing->found || standing->record.number != number))
            error_set(error, ERROR_STATE,
                      "%s does not stand where the other sinks do (checkpoint %llu, they at %llu): "
                      "its state was removed or is another run's; --fresh begins anew",
                      standing->sink->actor.name, (unsigned long long)standing->record.number,
                      (unsigned long long)number);
    }
    return CANNOT;
}

/* The record of an interrupted run of another pipeline, or NULL. */
static const struct commit_text *changed_text(const struct recovery *recovery)
{
    for (uint32_t i = 0; i < recovery->count; i++) {
        const struct standing *standing = &recovery->standings[i];
        if (!standing->rejects && standing->found && !standing->record.done &&
            !string_equal_text(standing->text.fingerprint, recovery->run->plan->fingerprint))
            return &standing->text;
    }
    return NULL;
}

/* A changed pipeline over a half-finished run: files begin anew, databases keep what they have. */
static enum where judge_change(const struct recovery *recovery, const struct commit_text *text,
                               struct error *error)
{
    bool files = true;
    for (uint32_t i = 0; i < recovery->count; i++)
        files &= can_go_back(&recovery->standings[i]);
    if (files) {
        log_line("the pipeline has changed since the run that was interrupted: beginning anew");
        return BEGIN_ANEW;
    }
    error_set(error, ERROR_USAGE,
              "the pipeline has changed since the run that was interrupted, %llu records of which "
              "are in the database: run the old one to its end, or --fresh to begin anew",
              (unsigned long long)text->totals.written);
    return CANNOT;
}

/* The checkpoint that all sinks have or can go back to; *base is a standing that has it. */
static enum where decide(struct recovery *recovery, struct standing **base, struct error *error)
{
    struct survey survey = survey_make(recovery);
    *base = survey.base;
    if (survey.none || recovery->run->plan->options.fresh)
        return BEGIN_ANEW;
    const struct commit_text *changed = changed_text(recovery);
    if (changed)
        return judge_change(recovery, changed, error);
    if (survey.all_done && survey.base->record.number == survey.top) {
        if (rejects_wait(recovery, survey.top))
            return GO_ON;
        return adds(recovery) ? ADD_TO : BEGIN_ANEW;
    }
    if (survey.found_done && (!recovery->run->checkpoint.enabled || !adds(recovery)))
        return BEGIN_ANEW;
    if (!recovery->run->checkpoint.enabled)
        return GO_ON; /* which it cannot, and says so */
    if (survey.absent || survey.finished) {
        /* in the middle of the run's first commit: not all sinks have it */
        if (!survey.ahead_back)
            return cannot(recovery, survey.top, error);
        *base = survey.finished;
        return !survey.absent && adds(recovery) ? ADD_TO : BEGIN_ANEW;
    }
    uint64_t number = survey.base->record.number;
    if (number < survey.top && (number + 1 < survey.top || !survey.ahead_back))
        return cannot(recovery, number, error);
    return GO_ON;
}

/* ---- going on ---- */

static bool restore_stages(struct run *run, const struct commit_text *text, struct error *error)
{
    const struct plan *plan = run->plan;
    if (text->stage_count != plan->stage_count)
        return error_set(error, ERROR_STATE,
                         "the recorded state has other stages than the pipeline; --fresh begins "
                         "anew");
    for (uint32_t i = 0; i < plan->stage_count; i++)
        run->counts[i] = text->stages[i].count;
    for (uint32_t i = 0; i + 1 < plan->segment_count; i++) {
        uint32_t index = plan->segments[i].serial;
        struct stage *stage = plan->stages[index].stage;
        if (!run->complete && stage->ops->restore &&
            !stage->ops->restore(stage, text->stages[index].state, error))
            return error_add_context(error, "%s", stage->label);
    }
    return true;
}

static enum error_code code_of(struct string slug)
{
    for (int code = 0; code < ERROR_CODE_COUNT; code++)
        if (string_equal_text(slug, error_slug((enum error_code)code)))
            return (enum error_code)code;
    return ERROR_NONE;
}

static void restore_causes(struct run *run, const struct commit_text *text)
{
    for (uint32_t i = 0; i < text->cause_count; i++) {
        const struct commit_cause *cause = &text->causes[i];
        char detail[240];
        const char *label = string_equal_text(cause->stage, "sink") ? "sink" : "source";
        for (uint32_t j = 0; j < run->plan->stage_count; j++)
            if (string_equal_text(cause->stage, run->plan->stages[j].label))
                label = run->plan->stages[j].label;
        for (uint32_t j = 0; j < run->plan->sink_count; j++)
            if (string_equal_text(cause->stage, run->plan->sinks[j].label))
                label = run->plan->sinks[j].label;
        snprintf(detail, sizeof(detail), "%.*s", (int)cause->text.length, cause->text.data);
        cause_count(cause->mismatch ? run->mismatches : run->causes,
                    cause->mismatch ? &run->mismatch_count : &run->cause_count, label,
                    code_of(cause->code), detail, cause->count);
    }
}

/* The recorded inputs take the place of those found now. */
static bool restore_inputs(struct run *run, const struct commit_text *text, struct error *error)
{
    struct plan *plan = run->plan;
    if (text->source_count != plan->source_count || text->source >= plan->source_count)
        return error_set(error, ERROR_STATE,
                         "the recorded state has other sources than the pipeline; --fresh begins "
                         "anew");
    for (uint32_t i = 0; i < plan->source_count; i++) {
        struct input *inputs = memory_take_zeroed(text->input_count[i] + 1, sizeof(*inputs));
        plan->sources[i].recovered = inputs;
        plan->sources[i].recovered_count = text->input_count[i];
        if (!inputs)
            return error_set(error, ERROR_MEMORY, "no memory for the inputs");
        for (uint32_t j = 0; j < text->input_count[i]; j++) {
            const struct commit_input *from = &text->inputs[i][j];
            char *name = memory_copy_text(from->name.data, from->name.length);
            if (!name)
                return error_set(error, ERROR_MEMORY, "no memory for the inputs");
            inputs[j] = (struct input){.name = name,
                                       .size = from->size,
                                       .device = from->device,
                                       .inode = from->inode,
                                       .modified = from->modified,
                                       .at = from->at};
        }
        plan->sources[i].context.inputs = inputs;
        plan->sources[i].context.input_count = text->input_count[i];
    }
    return true;
}

static bool restore_position(struct run *run, const struct commit_text *text, struct error *error)
{
    struct source *source = run->plan->sources[text->source].source;
    run->position = text->position;
    run->position_source = text->source;
    size_t length = size_min(text->position.key.length, sizeof(run->position_key));
    memcpy(run->position_key, text->position.key.data, length);
    run->position.key = (struct string){run->position_key, length};
    run->source.current = text->source;
    if (!source->ops->seek)
        return error_set(error, ERROR_STATE,
                         "the source cannot go on where a run stood; --fresh "
                         "begins anew");
    return source->ops->seek(source, &run->position, error);
}

/* Whether the rejects have a commit of this number, and not yet their name. */
static bool rejects_stand(const struct recovery *recovery, uint64_t number)
{
    for (uint32_t i = 0; i < recovery->count; i++) {
        const struct standing *standing = &recovery->standings[i];
        if (standing->rejects && standing->found && !standing->record.done &&
            standing->record.number == number)
            return true;
    }
    return false;
}

/* The sources beside the one that the position lies in: their recorded inputs, from where each was
 * read to. */
static bool restore_others(struct run *run, uint32_t first, const struct commit_text *text,
                           struct error *error)
{
    for (uint32_t i = first; i < run->plan->source_count; i++) {
        struct source *source = run->plan->sources[i].source;
        bool file = strcmp(source->ops->noun->name, "file") == 0;
        if (i == text->source)
            continue;
        if (!file && run->adds)
            return error_set(error, ERROR_USAGE,
                             "only one of several sources may be a database where a run adds to a "
                             "finished one: make a pipeline of each, or --fresh to read all again");
        if (file && !source->ops->seek(source, NULL, error))
            return false;
    }
    return true;
}

/* What the last run read under these names was something else. */
static void say_replaced(const struct run *run)
{
    uint32_t count = 0;
    const char *name = NULL;
    for (uint32_t i = 0; i < run->plan->source_count; i++) {
        const struct source *source = run->plan->sources[i].source;
        for (uint32_t j = 0; j < source->input_count; j++) {
            if (!source->inputs[j].replaced)
                continue;
            name = name ? name : source->inputs[j].name;
            count++;
        }
    }
    if (count == 1)
        log_line("%s is another file than the one that was read under this name: it is read from "
                 "its start",
                 name);
    else if (count > 1)
        log_line(
            "%u files (%s, …) are others than those that were read under their names: they are "
            "read from their start",
            count, name);
}

static bool go_on(struct recovery *recovery, const struct standing *base, struct error *error)
{
    struct run *run = recovery->run;
    const struct commit_text *text = &base->text;
    run->checkpoint.number = base->record.number;
    run->totals.read = text->totals.read;
    run->totals.created = text->totals.created;
    run->totals.written = text->totals.written;
    run->totals.filtered = text->totals.filtered;
    run->totals.absorbed = text->totals.absorbed;
    run->totals.rejected = text->totals.rejected;
    restore_causes(run, text);
    if (text->final) { /* only to be published: nothing is read, and no stage adds anything */
        run->complete = true;
        run->keeps_rejects = !rejects_stand(recovery, text->rejects_number);
        atomic_store_explicit(&run->source_stop, true, memory_order_release);
    }
    if (!restore_stages(run, text, error) || !restore_inputs(run, text, error) ||
        !restore_position(run, text, error) ||
        !restore_others(run, text->source + 1, text, error) ||
        !resume_all(recovery, base->record.number, run->keeps_rejects ? 0 : text->rejects_number,
                    error))
        return false;
    say_replaced(run);
    log_line("going on where a run was interrupted: behind %llu records (checkpoint %llu)",
             (unsigned long long)text->totals.read, (unsigned long long)base->record.number);
    return true;
}

/* A new run, with a ledger of its own, over what came since the last. */
static bool add_to(struct recovery *recovery, const struct standing *base, struct error *error)
{
    struct run *run = recovery->run;
    for (uint32_t i = 0; i < run->plan->source_count; i++)
        run->plan->sources[i].context.incremental = true;
    run->adds = true;
    run->checkpoint.rejects_number = base->text.rejects_number;
    if (!restore_inputs(run, &base->text, error) || !restore_position(run, &base->text, error) ||
        !restore_others(run, 0, &base->text, error))
        return false;
    run->source.current = 0; /* what is new may be in any of them */
    say_replaced(run);
    return resume_all(recovery, base->record.number, 0, error);
}

static bool recover(struct recovery *recovery, struct error *error)
{
    struct run *run = recovery->run;
    struct standing *base;
    for (uint32_t i = 0; i < recovery->count; i++) {
        const struct commit_record *record = &recovery->standings[i].record;
        if (!recovery->standings[i].found)
            continue;
        if (record->epoch > run->checkpoint.epoch)
            run->checkpoint.epoch = record->epoch;
        if (record->number > run->checkpoint.number)
            run->checkpoint.number = record->number;
    }
    run->checkpoint.epoch++;
    enum where where = decide(recovery, &base, error);
    if (where == CANNOT)
        return false;
    if (where == GO_ON)
        return go_on(recovery, base, error);
    if (where == ADD_TO)
        return add_to(recovery, base, error);
    return resume_all(recovery, 0, 0, error);
}

void recovery_close(struct recovery *recovery)
{
    arena_close(&recovery->arena);
}

/* What nobody knows whether it has arrived. */
static void say_resent(const struct recovery *recovery)
{
    for (uint32_t i = 0; i < recovery->count; i++) {
        const struct sink_actor *actor = recovery->standings[i].sink;
        if (actor->sink->sink->resent > 0)
            log_line("%s: %llu records that may have arrived are sent again, in the same requests",
                     actor->actor.name, (unsigned long long)actor->sink->sink->resent);
    }
}

bool recover_run(struct run *run, struct error *error)
{
    struct recovery recovery;
    bool done = recovery_ask(&recovery, run, true, error) && recover(&recovery, error);
    if (done)
        say_resent(&recovery);
    recovery_close(&recovery);
    return done;
}
