/* Taking a batch through the plan, part by part: locating, segments, what is left. Encoding is in
 * part_encode.c. See part.h. */
#include "pipeline/part.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "pipeline/log.h"
#include "pipeline/part_encode.h"
#include "pipeline/part_internal.h"

bool part_open(const struct plan *plan, struct batch *batch, struct error *error)
{
    batch->column_count = plan->column_count;
    batch->columns = memory_take_zeroed(plan->column_count + 1, sizeof(*batch->columns));
    batch->counts = memory_take_zeroed(plan->stage_count + 1, sizeof(*batch->counts));
    batch->progress = memory_take_zeroed(1, sizeof(*batch->progress));
    struct batch_progress *progress = batch->progress;
    if (progress) {
        progress->saved = memory_take_zeroed(plan->stage_count + 1, sizeof(*progress->saved));
        if (plan->last_head != UINT32_MAX)
            progress->fates = memory_take_zeroed(BATCH_MAX_RECORDS, sizeof(*progress->fates));
    }
    if (!batch->columns || !batch->counts || !progress || !progress->saved ||
        (plan->last_head != UINT32_MAX && !progress->fates))
        return error_set(error, ERROR_MEMORY, "no memory for the batches");
    return true;
}

void part_close(struct batch *batch)
{
    free(batch->columns);
    free(batch->counts);
    if (batch->progress) {
        free(batch->progress->saved);
        free(batch->progress->fates);
    }
    free(batch->progress);
}

static void rejects_clear(struct batch *batch)
{
    batch->rejects = NULL;
    batch->rejects_tail = &batch->rejects;
    batch->reject_count = 0;
}

static void progress_clear(const struct plan *plan, struct batch *batch)
{
    struct batch_progress *progress = batch->progress;
    for (uint32_t i = 0; i < plan->segment_count; i++) {
        progress->slices[i] = (struct slice){0};
        progress->held[i] = (struct held){0};
    }
    progress->encode_rows = NULL;
    progress->encode_count = progress->encode_next = 0;
    progress->reported = progress->boundary = progress->rejects_boundary = 0;
    progress->cut = false;
    progress->creator = UINT32_MAX;
    progress->sink_records = 0;
    memset(batch->counts, 0, plan->stage_count * sizeof(*batch->counts));
    memset(batch->columns, 0, batch->column_count * sizeof(*batch->columns));
    memset(batch->seen, 0, sizeof(batch->seen));
    batch->rest = NULL;
    batch->rest_count = 0;
    batch->rows = NULL;
    batch->row_count = batch->record_count = 0;
    batch->line_count = 0;
    batch->fatal = false;
    rejects_clear(batch);
}

void part_begin(const struct plan *plan, struct batch *batch, uint32_t source)
{
    progress_clear(plan, batch);
    batch->created = false;
    batch->segment = 0;
    batch->part = 0;
    batch->last_part = false;
    batch->part_start = batch->part_end = 0;
    batch->part_line = batch->origin.line;
    batch->part_record = batch->origin.record;
    batch->progress->source = source;
    batch->progress->text_length = batch->text_length;
    batch->progress->text_left = true;
}

void part_begin_created(const struct plan *plan, struct batch *batch)
{
    progress_clear(plan, batch);
    arena_reset(&batch->arena);
    batch->created = true;
    batch->part = 0;
    batch->last_part = false;
    batch->text = batch->memory;
    batch->text_length = batch->part_start = batch->part_end = 0;
    batch->names = NULL;
    batch->overlong = batch->jumbo = batch->clean = batch->recoded = false;
    batch->refusal = NULL;
    batch->progress->text_left = false;
    batch->progress->text_length = 0;
    batch->progress->fates_fresh = true;
    batch->origin = (struct origin){0};
}

/* A record too long for memory: its first bytes are what is left of it. */
static void overlong_locate(struct batch *batch)
{
    batch->records = arena_take(&batch->arena, sizeof(*batch->records));
    batch->member_first = arena_take(&batch->arena, 2 * sizeof(uint32_t));
    CHECK(batch->records && batch->member_first);
    batch->records[0] = (struct batch_record){0, batch->text_length};
    batch->member_first[0] = batch->member_first[1] = 0;
    batch->record_count = 1;
    batch->row_count = 0;
    batch->part_end = batch->text_length;
    batch->clean = false;
    if (batch->refusal)
        CHECK(batch_reject(batch, 0, STAGE_SOURCE, ERROR_MALFORMED, UINT32_MAX, "%s",
                           batch->refusal));
    else
        CHECK(batch_reject(batch, 0, STAGE_SOURCE, ERROR_TOO_LONG, UINT32_MAX,
                           "the record has %llu bytes, more than record_limit allows",
                           (unsigned long long)batch->overlong_length));
}

/* Memory that does not hold one record's fields: the record is rejected, not the run. */
static void full_locate(const struct plan *plan, struct batch *batch)
{
    const struct format *format = plan_format(plan, batch->progress->source);
    static const struct projection nothing = {.node_count = 0};
    arena_reset(&batch->arena);
    rejects_clear(batch);
    enum locate_result result = format->ops->locate(format, &nothing, batch);
    CHECK(result == LOCATE_OK && batch->record_count > 0);
    uint32_t count = batch->row_count;
    batch->row_count = 0;
    for (uint32_t i = 0; i < count; i++)
        CHECK(batch_reject(batch, batch->rows[i], STAGE_SOURCE, ERROR_LIMIT, UINT32_MAX,
                           "the record needs more memory than --memory allows"));
}

/* Records that fit a batch and are longer than the limit all the same: what is too long must not
 * depend on how reads fell. */
static void long_reject(const struct plan *plan, struct batch *batch)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        if (LIKELY(batch->records[row].length <= plan->limits.longest)) {
            batch->rows[kept++] = row;
            continue;
        }
        /* locate leaves half of the arena free */
        CHECK(batch_reject(batch, row, STAGE_SOURCE, ERROR_TOO_LONG, UINT32_MAX,
                           "the record has %u bytes, more than record_limit allows",
                           batch->records[row].length));
    }
    batch->row_count = kept;
}

/* Locates the next piece of the text. */
static void text_locate(const struct plan *plan, struct batch *batch)
{
    struct batch_progress *progress = batch->progress;
    const struct format *format = plan_format(plan, progress->source);
    if (batch->part_end > 0) {
        batch->part_line += batch->line_count;
        batch->part_record += batch->record_count;
    }
    uint32_t from = batch->part_end;
    uint32_t part = batch->part;
    arena_reset(&batch->arena);
    if (batch->jumbo)
        batch->arena.limit = size_max(batch->arena.soft, plan->limits.jumbo_arena);
    progress_clear(plan, batch);
    batch->part = part;
    batch->part_start = from;
    batch->text_length = progress->text_length;
    if (batch->overlong)
        overlong_locate(batch);
    else if (format->ops->locate(format, plan->projection, batch) == LOCATE_FULL)
        full_locate(plan, batch);
    if (UNLIKELY(progress->text_length > plan->limits.longest))
        long_reject(plan, batch);
    CHECK(batch->part_end > from || progress->text_length == 0 || batch->overlong);
    progress->text_left = batch->part_end < progress->text_length;
    batch->segment = 0;
}

void part_rewind(struct batch *batch, size_t mark)
{
    if (arena_mark(&batch->arena) == mark)
        return;
    for (uint32_t i = 0; i < batch->column_count; i++)
        batch->columns[i].decoded = NULL;
    arena_rewind(&batch->arena, mark);
}

static void slice_open(struct batch *batch)
{
    struct batch_progress *progress = batch->progress;
    bool first = batch->segment == 0 || (batch->created && progress->fates_fresh);
    if (progress->fates && first) {
        for (uint32_t i = 0; i < batch->record_count; i++)
            progress->fates[i] = FATE_SOURCE;
        for (uint32_t i = 0; i < batch->row_count; i++)
            progress->fates[batch->rows[i]] = FATE_LIVE;
    }
    progress->fates_fresh = false;
    progress->slices[batch->segment] = (struct slice){
        .rows = batch->rows,
        .count = batch->row_count,
        .mark = arena_mark(&batch->arena),
    };
}

/* One stage over the selection. False: arena full. */
static bool stage_run(const struct plan *plan, struct evaluator *evaluator, struct batch *batch,
                      uint32_t index, struct part_clock *clock)
{
    struct stage *stage = plan->stages[index].stage;
    struct stage_count *count = &batch->counts[index];
    uint32_t entered = batch->row_count, rejects = batch->reject_count;
    struct error error;
    uint32_t *rows = fates_wanted(plan, index) ? part_rows_copy(batch) : NULL;
    if (!rows && fates_wanted(plan, index))
        return false;
    int64_t begin = clock_monotonic();
    enum stage_result result = stage->ops->batch(stage, evaluator, batch, &error);
    int64_t taken = clock_monotonic() - begin;
    __atomic_fetch_add(&clock->busy[index], taken, __ATOMIC_RELAXED);
    if (clock->slow && taken > clock->slow)
        log_slow(plan, stage->label, batch, taken);
    if (result == STAGE_SPLIT)
        return false;
    CHECK(result == STAGE_OK);
    if (rows)
        fates_note(batch, index, rows, entered);
    count->read += entered;
    count->written += batch->row_count;
    count->rejected += batch->reject_count - rejects;
    return true;
}

struct attempt {
    struct reject **tail;
    uint32_t reject_count;
};

static void attempt_begin(const struct plan *plan, struct batch *batch, struct attempt *attempt)
{
    memcpy(batch->progress->saved, batch->counts, plan->stage_count * sizeof(*batch->counts));
    *attempt = (struct attempt){batch->rejects_tail, batch->reject_count};
}

static void attempt_undo(const struct plan *plan, struct batch *batch,
                         const struct attempt *attempt)
{
    memcpy(batch->counts, batch->progress->saved, plan->stage_count * sizeof(*batch->counts));
    batch->rejects_tail = attempt->tail;
    *batch->rejects_tail = NULL;
    batch->reject_count = attempt->reject_count;
}

/* The stages of the segment, and the paths of partitioned sinks behind the last one. */
static bool segment_attempt(const struct plan *plan, struct evaluator *evaluator,
                            struct batch *batch, struct part_clock *clock)
{
    const struct segment *segment = &plan->segments[batch->segment];
    for (uint32_t i = segment->first; i < segment->first + segment->count; i++)
        if (!stage_run(plan, evaluator, batch, i, clock))
            return false;
    if (segment->serial != UINT32_MAX)
        return true;
    for (uint32_t i = 0; i < plan->sink_count; i++) {
        const struct plan_sink *sink = &plan->sinks[i];
        if (!moves_apply(&sink->moves, evaluator, batch, STAGE_SINK))
            return false;
        if (sink->path &&
            !template_apply(sink->path, evaluator, batch, sink->context.path_column, STAGE_SINK))
            return false;
    }
    return true;
}

/* The segment with `wanted` rows of the slice. False: the arena does not hold what that needs. */
static bool segment_try(const struct plan *plan, struct evaluator *evaluator, struct batch *batch,
                        const struct slice *slice, uint32_t wanted, struct part_clock *clock)
{
    struct arena *arena = &batch->arena;
    size_t limit = arena->limit;
    part_rewind(batch, slice->mark);
    batch->rows = arena_take(arena, (wanted + 1) * sizeof(*batch->rows));
    /* kept free for the copy that the serial stage behind the segment begins with */
    size_t reserve = (wanted + 16) * sizeof(*batch->rows);
    if (!batch->rows || limit - arena->used <= reserve)
        return false;
    /* what this segment makes stays: the ones behind it need their share, or they could not take
     * even one of its rows on */
    size_t share = limit - arena->used - reserve;
    if (wanted > 1)
        share /= plan->segment_count - batch->segment;
    if (plan->segments[batch->segment].serial == UINT32_MAX)
        share -= share / 4; /* encoding decodes what was only moved so far, and may reject */
    if (wanted)
        memcpy(batch->rows, slice->rows + slice->next, wanted * sizeof(*batch->rows));
    batch->row_count = wanted;
    arena->limit = arena->used + share;
    fates_set(batch, batch->rows, wanted, FATE_LIVE);
    bool done = segment_attempt(plan, evaluator, batch, clock);
    arena->limit = limit;
    return done;
}

/* Takes as many of the slice's rows through the segment as the arena lets. */
static void segment_run(const struct plan *plan, struct evaluator *evaluator, struct batch *batch,
                        struct part_clock *clock)
{
    struct slice *slice = &batch->progress->slices[batch->segment];
    uint32_t wanted = slice->count - slice->next;
    struct attempt attempt;
    attempt_begin(plan, batch, &attempt);
    while (!segment_try(plan, evaluator, batch, slice, wanted, clock)) {
        attempt_undo(plan, batch, &attempt);
        if (wanted <= 1) {
            /* not even one record: it is the record's fault */
            uint32_t row = slice->rows[slice->next];
            part_rewind(batch, slice->mark);
            batch->rows = slice->rows;
            batch->row_count = 0;
            uint32_t stage = plan->segments[batch->segment].first;
            bool is_stage = stage < plan->stage_count;
            CHECK(wanted == 0 ||
                  batch_reject(batch, row, is_stage ? (uint16_t)stage : STAGE_SINK, ERROR_LIMIT,
                               UINT32_MAX, "the record needs more memory than --memory allows"));
            if (is_stage)
                fates_set(batch, &row, wanted, (uint16_t)stage);
            break;
        }
        wanted = (wanted + 1) / 2;
    }
    slice->next += wanted;
    if (plan->segments[batch->segment].serial != UINT32_MAX)
        return;
    batch->progress->encode_rows = batch->rows;
    batch->progress->encode_count = batch->row_count;
    batch->progress->encode_next = 0;
    batch->progress->encode_mark = arena_mark(&batch->arena);
}

/* The first record that is still on its way in this batch behind what the part holds. */
static uint32_t next_pending(const struct plan *plan, const struct batch *batch)
{
    const struct batch_progress *progress = batch->progress;
    uint32_t first = progress->cut ? progress->cut_end : batch->record_count;
    if (progress->encode_next < progress->encode_count)
        first = (uint32_t)size_min(first, progress->encode_rows[progress->encode_next]);
    for (uint32_t i = plan->segment_count; i-- > 0;) {
        const struct slice *slice = &progress->slices[i];
        if (progress->held[i].count)
            first = (uint32_t)size_min(first, progress->held[i].rows[0]);
        if (slice->next < slice->count)
            first = (uint32_t)size_min(first, slice->rows[slice->next]);
    }
    return first;
}

static bool rows_pending(const struct batch *batch, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        if (batch->progress->held[i].count ||
            batch->progress->slices[i].next < batch->progress->slices[i].count)
            return true;
    return false;
}

bool part_upstream_done(const struct batch *batch, uint32_t segment)
{
    return !batch->progress->text_left && !rows_pending(batch, 0, segment + 1) &&
           batch->progress->held[segment].count == 0;
}

static uint32_t rejects_below(const struct batch *batch, uint32_t stage, uint32_t boundary)
{
    uint32_t count = 0;
    for (const struct reject *reject = batch->rejects; reject; reject = reject->next)
        count += reject->stage == stage && reject->record < boundary;
    return count;
}

/* Stages up to the last `head` have seen records that a later part may find to be none of the
 * run's: their counts are made anew, of just the records that this part accounts for. */
static void counts_bound(const struct plan *plan, struct batch *batch)
{
    struct batch_progress *progress = batch->progress;
    if (!progress->fates)
        return;
    uint32_t first = batch->created ? progress->creator + 1 : 0;
    uint64_t live = 0;
    for (uint32_t i = first; i <= plan->last_head; i++)
        batch->counts[i] = (struct stage_count){.mismatched = batch->counts[i].mismatched};
    for (uint32_t record = progress->reported; record < progress->boundary; record++) {
        uint16_t fate = progress->fates[record];
        live += fate != FATE_SOURCE;
        if (fate <= plan->last_head)
            batch->counts[fate].filtered++;
    }
    for (uint32_t i = first; i <= plan->last_head; i++) {
        struct stage_count *count = &batch->counts[i];
        count->read = live;
        live -= count->filtered;
        count->written = live;
        count->rejected = rejects_below(batch, i, progress->boundary);
        count->filtered -= count->rejected;
        if (plan->stages[i].stage->ops->finish) {
            count->absorbed = count->filtered;
            count->filtered = 0;
        }
        if (progress->cut && count->mismatched > count->filtered)
            count->mismatched = count->filtered;
    }
}

/* What a delivered part accounts for, and whether anything is left after it. */
static void part_bound(const struct plan *plan, struct batch *batch)
{
    struct batch_progress *progress = batch->progress;
    progress->boundary = next_pending(plan, batch);
    /* as completed, what a part has made does not outlive it */
    bool all = plan->as_completed && plan->last_head == UINT32_MAX;
    progress->rejects_boundary = all ? UINT32_MAX : progress->boundary;
    counts_bound(plan, batch);
    batch->last_part = !progress->text_left && !rows_pending(batch, 0, plan->segment_count) &&
                       progress->encode_next == progress->encode_count;
}

bool part_resumes_serial(const struct plan *plan, struct batch *batch, uint32_t *serial)
{
    struct batch_progress *progress = batch->progress;
    memset(batch->counts, 0, plan->stage_count * sizeof(*batch->counts));
    batch->part++;
    progress->sink_records = 0;
    if (progress->encode_next < progress->encode_count)
        return false;
    for (uint32_t i = plan->segment_count; i-- > 0;) {
        if (progress->held[i].count) {
            batch->rows = progress->held[i].rows;
            batch->row_count = progress->held[i].count;
            part_rewind(batch, progress->held[i].mark);
            progress->held[i] = (struct held){0};
            batch->segment = i;
            *serial = i;
            return true;
        }
        if (progress->slices[i].next < progress->slices[i].count)
            return false;
    }
    return false;
}

enum part_result part_run(const struct plan *plan, struct evaluator *evaluator, struct batch *batch,
                          struct part_clock *clock)
{
    struct batch_progress *progress = batch->progress;
    bool encoding = progress->encode_next < progress->encode_count;
    if (!encoding) {
        /* after a serial stage: its rows enter the next segment; else whatever slice is left */
        bool fresh =
            batch->rows && progress->slices[batch->segment].rows == NULL && batch->segment > 0;
        uint32_t i = plan->segment_count;
        while (!fresh && i-- > 0)
            if (progress->slices[i].next < progress->slices[i].count)
                break;
        if (fresh) {
            slice_open(batch);
        } else if (i < plan->segment_count) {
            batch->segment = i;
            for (uint32_t deeper = i + 1; deeper < plan->segment_count; deeper++)
                progress->slices[deeper] = (struct slice){0};
        } else {
            CHECK(progress->text_left);
            int64_t begin = clock_monotonic();
            text_locate(plan, batch);
            int64_t taken = clock_monotonic() - begin;
            __atomic_fetch_add(&clock->busy[plan->stage_count], taken, __ATOMIC_RELAXED);
            if (clock->slow && taken > clock->slow)
                log_slow(plan, "source", batch, taken);
            slice_open(batch);
        }
        segment_run(plan, evaluator, batch, clock);
        if (plan->segments[batch->segment].serial != UINT32_MAX)
            return PART_SERIAL;
    }
    batch->segment = plan->segment_count - 1;
    int64_t begin = clock_monotonic();
    part_encode(plan, evaluator, batch);
    int64_t taken = clock_monotonic() - begin;
    __atomic_fetch_add(&clock->busy[plan->stage_count + 1], taken, __ATOMIC_RELAXED);
    if (clock->slow && taken > clock->slow)
        log_slow(plan, "encode", batch, taken);
    part_bound(plan, batch);
    return PART_DELIVER;
}

/* Sorted by record, kept in order otherwise: merge sort of a list. */
static struct reject *rejects_sort(struct reject *list)
{
    if (!list || !list->next)
        return list;
    struct reject *slow = list;
    for (struct reject *fast = list->next; fast && fast->next; fast = fast->next->next)
        slow = slow->next;
    struct reject *second = slow->next;
    slow->next = NULL;
    struct reject *first = rejects_sort(list), *merged = NULL, **tail = &merged;
    second = rejects_sort(second);
    while (first && second) {
        struct reject **smaller = second->record < first->record ? &second : &first;
        *tail = *smaller;
        tail = &(*smaller)->next;
        *smaller = *tail;
    }
    *tail = first ? first : second;
    return merged;
}

struct reject *part_take_rejects(struct batch *batch)
{
    struct reject *sorted = rejects_sort(batch->rejects);
    struct reject **link = &sorted;
    uint32_t taken = 0;
    while (*link && (*link)->record < batch->progress->rejects_boundary) {
        link = &(*link)->next;
        taken++;
    }
    batch->rejects = *link;
    *link = NULL;
    batch->reject_count -= taken;
    batch->rejects_tail = &batch->rejects;
    while (*batch->rejects_tail)
        batch->rejects_tail = &(*batch->rejects_tail)->next;
    return sorted;
}

uint32_t part_take_records(struct batch *batch)
{
    struct batch_progress *progress = batch->progress;
    uint32_t records = progress->boundary - progress->reported;
    progress->reported = progress->boundary;
    return records;
}
