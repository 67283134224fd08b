/* What a run tells of itself: totals, stages, bottleneck, causes. Main thread; while the run lasts
 * the figures are approximate. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "core/clock.h"
#include "pipeline/run_internal.h"

void run_snapshot(struct run *run, struct run_totals *totals)
{
    const struct plan *plan = run->plan;
    CHECK(pthread_mutex_lock(&run->settle_lock) == 0);
    *totals = run->totals;
    CHECK(pthread_mutex_unlock(&run->settle_lock) == 0);
    totals->bytes_read = totals->bytes_total = totals->bytes_written = 0;
    bool known = true;
    for (uint32_t i = 0; i < plan->source_count; i++) {
        totals->bytes_read +=
            __atomic_load_n(&plan->sources[i].source->bytes_done, __ATOMIC_RELAXED);
        totals->bytes_total += plan->sources[i].source->bytes_total;
        known &= plan->sources[i].source->bytes_total > 0;
    }
    if (!known)
        totals->bytes_total = 0;
    for (uint32_t i = 0; i < plan->sink_count; i++)
        totals->bytes_written +=
            __atomic_load_n(&plan->sinks[i].sink->bytes_written, __ATOMIC_RELAXED);
    int64_t end = __atomic_load_n(&run->end, __ATOMIC_ACQUIRE);
    totals->seconds = (double)((end ? end : clock_monotonic()) - run->begin) / NANOSECONDS;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        totals->peak_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

/* The source, each stage, encoding, each sink, the rejects. */
uint32_t run_stage_count(const struct run *run)
{
    return 1 + run->plan->stage_count + run->plan->sink_count + run->plan->has_rejects;
}

static double seconds(int64_t nanoseconds)
{
    return (double)nanoseconds / NANOSECONDS;
}

static void actor_times(struct actor *actor, struct run_stage *stage)
{
    stage->busy_seconds = seconds(atomic_load_explicit(&actor->busy, memory_order_relaxed));
    stage->wait_input_seconds =
        seconds(atomic_load_explicit(&actor->wait_input, memory_order_relaxed));
    stage->wait_output_seconds =
        seconds(atomic_load_explicit(&actor->wait_output, memory_order_relaxed));
}

/* A stage that workers run: its own busy time, and the workers' waiting, which is all stages'. */
static void stage_times(struct run *run, uint32_t index, struct run_stage *stage)
{
    for (uint32_t i = 0; i + 1 < run->plan->segment_count; i++)
        if (run->plan->segments[i].serial == index)
            actor_times(&run->serials[i].actor, stage);
    if (!(run->plan->stages[index].stage->ops->traits & (STAGE_SERIAL | STAGE_ASYNC))) {
        int64_t in = 0, out = 0;
        for (unsigned i = 0; i < run->plan->settings.workers; i++) {
            in += atomic_load_explicit(&run->workers[i].actor.wait_input, memory_order_relaxed);
            out += atomic_load_explicit(&run->workers[i].actor.wait_output, memory_order_relaxed);
        }
        stage->wait_input_seconds = seconds(in / run->plan->settings.workers);
        stage->wait_output_seconds = seconds(out / run->plan->settings.workers);
    }
    stage->busy_seconds = seconds(__atomic_load_n(&run->busy[index], __ATOMIC_RELAXED));
}

void run_stage(struct run *run, uint32_t index, struct run_stage *stage)
{
    struct plan *plan = run->plan;
    CHECK(index < run_stage_count(run));
    *stage = (struct run_stage){0};
    CHECK(pthread_mutex_lock(&run->settle_lock) == 0);
    struct run_totals totals = run->totals;
    uint64_t source_rejected = totals.rejected, made = totals.created, left = 0;
    for (uint32_t i = 0; i < plan->stage_count; i++)
        source_rejected -= size_min(source_rejected, run->counts[i].rejected);
    (void)made;
    (void)left;
    if (index >= 1 && index <= plan->stage_count)
        stage->count = run->counts[index - 1];
    CHECK(pthread_mutex_unlock(&run->settle_lock) == 0);
    if (index == 0) {
        stage->name = "source";
        stage->count.read = totals.read;
        stage->count.written = plan->stage_count ? run->counts[0].read : totals.written;
        stage->count.rejected =
            stage->count.read > stage->count.written ? stage->count.read - stage->count.written : 0;
        actor_times(&run->source.actor, stage);
    } else if (index <= plan->stage_count) {
        const struct stage *own = plan->stages[index - 1].stage;
        stage->name = plan->stages[index - 1].label;
        stage_times(run, index - 1, stage);
        if (own->ops->counters)
            stage->counter_count = own->ops->counters(own, stage->counters);
    } else if (index <= plan->stage_count + plan->sink_count) {
        uint32_t sink = index - plan->stage_count - 1;
        stage->name = plan->sinks[sink].label;
        stage->count.written = stage->count.read = totals.written;
        actor_times(&run->sinks[sink].actor, stage);
        const struct sink *own = plan->sinks[sink].sink;
        if (own->ops->counters)
            stage->counter_count = own->ops->counters(own, stage->counters);
    } else {
        stage->name = "rejects";
        stage->count.read = stage->count.written = totals.rejected;
        actor_times(&run->rejects.actor, stage);
    }
}

void run_bottleneck(struct run *run, char *text, size_t size)
{
    const char *name = "workers";
    int64_t busy = 0;
    double total = (double)(clock_monotonic() - run->begin);
    for (unsigned i = 0; i < run->plan->settings.workers; i++)
        busy += atomic_load_explicit(&run->workers[i].actor.busy, memory_order_relaxed);
    busy /= run->plan->settings.workers;
    struct actor *actors[RUN_MAX_ACTORS];
    uint32_t count = run_actors(run, actors);
    for (uint32_t i = 0; i < count; i++) {
        bool worker = actors[i]->step == worker_step;
        int64_t own = atomic_load_explicit(&actors[i]->busy, memory_order_relaxed);
        bool sink = actors[i]->step == sink_step;
        if (sink)
            own += atomic_load_explicit(&actors[i]->wait_output, memory_order_relaxed);
        if (!worker && own > busy) {
            busy = own;
            name = actors[i]->name;
        }
    }
    if (total <= 0 || size == 0)
        return;
    int share = (int)(100.0 * (double)busy / total);
    snprintf(text, size, "%d %% in %s", share > 100 ? 100 : share, name);
}

bool run_wants_again(const struct run *run, uint64_t *number)
{
    *number = run->checkpoint.number;
    return run->checkpoint.enabled && run->error_count == 1 &&
           run->errors[0].code == ERROR_REPLAY &&
           atomic_load_explicit(&((struct run *)run)->stop_count, memory_order_relaxed) == 0;
}

int run_exit_status(const struct run *run)
{
    return run->exit_status;
}

uint32_t run_error_count(const struct run *run)
{
    return run->error_count;
}

const struct error *run_error(const struct run *run, uint32_t index)
{
    CHECK(index < run->error_count);
    return &run->errors[index];
}

uint32_t run_reject_cause_count(const struct run *run)
{
    return run->cause_count;
}

const struct run_cause *run_reject_cause(const struct run *run, uint32_t index)
{
    CHECK(index < run->cause_count);
    return &run->causes[index];
}

uint32_t run_mismatch_cause_count(const struct run *run)
{
    struct run *writable = (struct run *)run; /* worked out when first asked for, after the run */
    if (writable->mismatch_count == 0)
        for (uint32_t i = 0; i < run->plan->stage_count; i++)
            if (run->counts[i].mismatched)
                cause_count(writable->mismatches, &writable->mismatch_count,
                            run->plan->stages[i].label, ERROR_NO_OVERLOAD,
                            "null or a value of another type where the condition wanted one",
                            run->counts[i].mismatched);
    return run->mismatch_count;
}

const struct run_cause *run_mismatch_cause(const struct run *run, uint32_t index)
{
    CHECK(index < run->mismatch_count);
    return &run->mismatches[index];
}

/* What a stage has counted by cause so far. */
static void causes_add(struct run_cause *list, uint32_t *list_count, const char *label,
                       const struct stage_causes *causes)
{
    uint32_t count = causes ? __atomic_load_n(&causes->count, __ATOMIC_ACQUIRE) : 0;
    for (uint32_t i = 0; i < count; i++)
        cause_count(list, list_count, label, ERROR_LOOKUP, causes->items[i].text,
                    __atomic_load_n(&causes->items[i].number, __ATOMIC_RELAXED));
    uint64_t others = causes ? __atomic_load_n(&causes->others, __ATOMIC_RELAXED) : 0;
    if (others)
        cause_count(list, list_count, label, ERROR_LOOKUP, "other causes", others);
}

uint32_t run_instead_cause_count(const struct run *run)
{
    struct run *writable = (struct run *)run; /* as above; counted anew, for it may still run */
    writable->instead_count = 0;
    for (uint32_t i = 0; i < run->plan->stage_count; i++)
        causes_add(writable->insteads, &writable->instead_count, run->plan->stages[i].label,
                   run->plan->stages[i].stage->causes);
    return run->instead_count;
}

uint32_t run_event_count(const struct run *run)
{
    struct run *writable = (struct run *)run;
    writable->event_count = 0;
    for (uint32_t i = 0; i < run->plan->stage_count; i++)
        causes_add(writable->events, &writable->event_count, run->plan->stages[i].label,
                   run->plan->stages[i].stage->events);
    return run->event_count;
}

const struct run_cause *run_event(const struct run *run, uint32_t index)
{
    CHECK(index < run->event_count);
    return &run->events[index];
}

const struct run_cause *run_instead_cause(const struct run *run, uint32_t index)
{
    CHECK(index < run->instead_count);
    return &run->insteads[index];
}

/* Base columns that no record had, with the nearest name that some record did have. */
static void find_never_seen(struct run *run)
{
    const struct projection *projection = run->plan->projection;
    const char *seen[256 + RUN_MAX_SAMPLED];
    uint32_t seen_count = 0, columns = projection->base_columns;
    if (run->totals.read == 0)
        return;
    for (uint32_t i = 0; i < columns && i < 256; i++)
        if ((run->seen[i / 64] >> (i % 64) & 1) && scope_column_name(run->plan->scope, i))
            seen[seen_count++] = scope_column_name(run->plan->scope, i);
    for (uint32_t i = 0; i < run->sampled_count; i++)
        seen[seen_count++] = run->sampled[i];
    for (uint32_t i = 0; i < columns && i < 256; i++) {
        if ((run->seen[i / 64] >> (i % 64) & 1) ||
            run->never_seen_count == ARRAY_SIZE(run->never_seen))
            continue;
        const char *name = scope_column_name(run->plan->scope, i);
        if (!name)
            continue;
        const char *hint = string_nearest((struct string){name, strlen(name)}, seen, seen_count);
        uint32_t at = run->never_seen_count++;
        snprintf(run->never_seen[at].name, sizeof(run->never_seen[at].name), "%s", name);
        snprintf(run->never_seen[at].hint, sizeof(run->never_seen[at].hint), "%s",
                 hint ? hint : "");
    }
}

uint32_t run_never_seen_count(const struct run *run)
{
    if (run->never_seen_count == 0)
        find_never_seen((struct run *)run); /* worked out when first asked for, after the run */
    return run->never_seen_count;
}

const char *run_never_seen(const struct run *run, uint32_t index)
{
    CHECK(index < run->never_seen_count);
    return run->never_seen[index].name;
}

const char *run_never_seen_hint(const struct run *run, uint32_t index)
{
    CHECK(index < run->never_seen_count);
    return run->never_seen[index].hint[0] ? run->never_seen[index].hint : NULL;
}
