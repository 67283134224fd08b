/* Parts at stages with an actor of their own, serial or asynchronous: before and after the call,
 * rows held back, the end of the run at a `head`. See part.h. */
#include <string.h>

#include "pipeline/part_internal.h"

uint32_t *part_rows_copy(struct batch *batch)
{
    uint32_t *rows = arena_take(&batch->arena, (batch->row_count + 1) * sizeof(*rows));
    if (rows && batch->row_count)
        memcpy(rows, batch->rows, batch->row_count * sizeof(*rows));
    return rows;
}

bool fates_wanted(const struct plan *plan, uint32_t stage)
{
    return plan->last_head != UINT32_MAX && stage <= plan->last_head;
}

void fates_set(struct batch *batch, const uint32_t *rows, uint32_t count, uint16_t fate)
{
    for (uint32_t i = 0; batch->progress->fates && i < count; i++)
        batch->progress->fates[rows[i]] = fate;
}

void fates_note(struct batch *batch, uint32_t stage, const uint32_t *entered, uint32_t count)
{
    fates_set(batch, entered, count, (uint16_t)stage);
    fates_set(batch, batch->rows, batch->row_count, FATE_LIVE);
    fates_set(batch, batch->rest, batch->rest_count, FATE_LIVE);
}

void part_serial_enter(const struct plan *plan, struct batch *batch)
{
    uint32_t index = plan->segments[batch->segment].serial;
    CHECK(index != UINT32_MAX);
    struct batch_progress *progress = batch->progress;
    batch->rest = NULL;
    batch->rest_count = 0;
    progress->entered_mark = arena_mark(&batch->arena);
    progress->entered = part_rows_copy(batch);
    progress->entered_count = batch->row_count;
    progress->entered_rejects = batch->reject_count;
    progress->entered_tail = batch->rejects_tail;
    CHECK(progress->entered); /* segment_try kept room for it */
    batch->counts[index].read += batch->row_count;
}

void part_serial_undo(struct batch *batch)
{
    struct batch_progress *progress = batch->progress;
    size_t copy =
        progress->entered_mark + (progress->entered_count + 1) * sizeof(*progress->entered) + 16;
    part_rewind(batch, size_min(copy, arena_mark(&batch->arena)));
    memcpy(batch->rows, progress->entered, progress->entered_count * sizeof(*batch->rows));
    batch->rejects_tail = progress->entered_tail;
    *batch->rejects_tail = NULL;
    batch->reject_count = progress->entered_rejects;
}

/* `head` ended the run inside this part: nothing behind the last record wanted was ever read. */
static void progress_cut(const struct plan *plan, struct batch *batch, uint32_t end)
{
    struct batch_progress *progress = batch->progress;
    struct reject **link = &batch->rejects;
    batch->reject_count = 0;
    while (*link) {
        if ((*link)->record >= end) {
            *link = (*link)->next;
            continue;
        }
        batch->reject_count++;
        link = &(*link)->next;
    }
    batch->rejects_tail = link;
    progress->cut = true;
    progress->cut_end = end;
    progress->text_left = false;
    for (uint32_t i = 0; i < plan->segment_count; i++) {
        progress->slices[i].next = progress->slices[i].count;
        progress->held[i] = (struct held){0};
    }
}

void part_serial_leave(const struct plan *plan, struct batch *batch, bool stop)
{
    struct batch_progress *progress = batch->progress;
    uint32_t index = plan->segments[batch->segment].serial;
    struct stage_count *count = &batch->counts[index];
    if (fates_wanted(plan, index))
        fates_note(batch, index, progress->entered, progress->entered_count);
    if (batch->rest_count) {
        /* they come again as if the stage had not been called: what it made for the others, and the
         * copy, are not kept for them */
        progress->held[batch->segment] =
            (struct held){batch->rest, batch->rest_count, progress->entered_mark};
        count->read -= batch->rest_count;
        batch->rest = NULL;
        batch->rest_count = 0;
    }
    count->written += batch->row_count;
    count->rejected += batch->reject_count - progress->entered_rejects;
    if (stop)
        progress_cut(plan, batch, batch->row_count ? batch->rows[batch->row_count - 1] + 1 : 0);
    for (uint32_t i = batch->segment + 1; i < plan->segment_count; i++)
        progress->slices[i] = (struct slice){0};
    batch->segment++;
    if (!batch->rows) /* none were located: an empty selection is one all the same */
        batch->rows = (uint32_t *)batch->arena.base;
}

void part_async_enter(const struct plan *plan, struct batch *batch)
{
    struct arena *arena = &batch->arena;
    part_serial_enter(plan, batch);
    size_t left = arena->limit - arena->used;
    batch->progress->arena_limit = arena->limit;
    /* one row alone may have most of it: it can be split no further */
    uint32_t behind = plan->segment_count - 1 - batch->segment;
    size_t share = batch->row_count > 1 ? left / (behind + 1) : left / 4 * 3;
    arena->limit = arena->used + share;
}

void part_async_leave(const struct plan *plan, struct batch *batch)
{
    batch->arena.limit = batch->progress->arena_limit;
    part_serial_leave(plan, batch, false);
}
