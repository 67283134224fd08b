/* Filling the outputs of a part: see part_encode.h. */
#include "pipeline/part_encode.h"

#include <string.h>

#define REJECT_RESERVE 512 /* bytes of the arena that one reject takes at most */

/* Takes rows that were rejected since `from` out of rows[0..count). Returns how many are left. */
static uint32_t rows_remove(uint32_t *rows, uint32_t count, const struct reject *from)
{
    for (; from; from = from->next) {
        uint32_t low = 0, high = count;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (rows[middle] < from->record)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < count && rows[low] == from->record) {
            memmove(rows + low, rows + low + 1, (count - low - 1) * sizeof(*rows));
            count--;
        }
    }
    return count;
}

/* Where no rejects are borne, nothing behind the first one is delivered. */
static void fatal_cut(const struct plan *plan, struct batch *batch)
{
    struct batch_progress *progress = batch->progress;
    if (plan->has_rejects || !batch->rejects)
        return;
    uint32_t first = UINT32_MAX;
    for (const struct reject *reject = batch->rejects; reject; reject = reject->next)
        first = reject->record < first ? reject->record : first;
    for (uint32_t i = 0; i < plan->segment_count; i++) {
        const struct slice *slice = &progress->slices[i];
        if ((slice->next < slice->count && slice->rows[slice->next] <= first) ||
            (progress->held[i].count && progress->held[i].rows[0] <= first))
            return; /* rows in front of it are still to come: a later part's affair */
    }
    while (progress->encode_count > progress->encode_next &&
           progress->encode_rows[progress->encode_count - 1] > first)
        progress->encode_count--;
    batch->fatal = true;
}

static bool can_borrow(const struct plan *plan, const struct plan_sink *sink,
                       const struct batch *batch, uint32_t first, uint32_t end)
{
    return sink->same && !sink->sink->ops->encode && !sink->path && shape_is_clean(plan->shape) &&
           batch->clean && !batch->created && first == 0 && end == batch->record_count &&
           batch->progress->reported == 0;
}

static enum encode_result sink_encode(const struct plan *plan, uint32_t index,
                                      struct evaluator *evaluator, struct batch *batch,
                                      uint32_t first, uint32_t *done)
{
    const struct plan_sink *sink = &plan->sinks[index];
    struct batch_output *output = &batch->outputs[index];
    const struct format *format = sink->sink->format;
    output->borrowed = can_borrow(plan, sink, batch, first, batch->row_count);
    *done = batch->row_count;
    if (output->borrowed)
        return ENCODE_OK;
    buffer_reset(&output->buffer);
    if (batch->jumbo)
        output->buffer.limit = size_max(output->buffer.soft, plan->limits.jumbo_output);
    if (sink->sink->ops->encode)
        return sink->sink->ops->encode(sink->sink, evaluator, batch, first, done);
    return format->ops->encode(format, plan->shape, batch, sink->same && !batch->created, first,
                               done, &output->buffer);
}

/* One try with rows [first, *end). True: all outputs hold exactly those. Otherwise *end or the rows
 * have changed and it has to be tried again. */
static bool encode_attempt(const struct plan *plan, struct evaluator *evaluator,
                           struct batch *batch, uint32_t first, uint32_t *end)
{
    struct batch_progress *progress = batch->progress;
    uint32_t least = *end;
    for (uint32_t i = 0; i < plan->sink_count; i++) {
        struct reject **before = batch->rejects_tail;
        uint32_t done;
        batch->row_count = *end;
        enum encode_result result = sink_encode(plan, i, evaluator, batch, first, &done);
        if (*before) {
            progress->encode_count =
                rows_remove(progress->encode_rows, progress->encode_count, *before);
            fatal_cut(plan, batch);
            *end = progress->encode_count;
            return false;
        }
        if (result == ENCODE_OK)
            done = *end;
        least = done < least ? done : least;
    }
    if (least == *end)
        return true;
    if (least == first) {
        /* one record that no output holds */
        batch->arena.limit += REJECT_RESERVE;
        CHECK(batch_reject(batch, progress->encode_rows[first], STAGE_SINK, ERROR_LIMIT, UINT32_MAX,
                           "the record needs more memory to write than --memory allows"));
        batch->arena.limit -= REJECT_RESERVE;
        progress->encode_count--;
        memmove(progress->encode_rows + first, progress->encode_rows + first + 1,
                (progress->encode_count - first) * sizeof(*progress->encode_rows));
        fatal_cut(plan, batch);
        /* nothing else in this part: its memory is free again for the next ones */
        for (uint32_t i = 0; i < plan->sink_count; i++) {
            buffer_reset(&batch->outputs[i].buffer);
            batch->outputs[i].borrowed = false;
        }
        *end = first;
        return true;
    }
    *end = least;
    return false;
}

void part_encode(const struct plan *plan, struct evaluator *evaluator, struct batch *batch)
{
    struct batch_progress *progress = batch->progress;
    part_rewind(batch, progress->encode_mark); /* what the part before made */
    fatal_cut(plan, batch);
    uint32_t first = progress->encode_next, end = progress->encode_count;
    batch->rows = progress->encode_rows;
    /* not more than there is: a full arena then leaves room for one reject all the same */
    size_t limit = batch->arena.limit;
    batch->arena.limit = size_max(limit - REJECT_RESERVE, batch->arena.used);
    while (!encode_attempt(plan, evaluator, batch, first, &end))
        ;
    batch->arena.limit = limit;
    batch->row_count = end;
    progress->encode_next = end;
    progress->sink_records = end - first;
    for (uint32_t i = 0; i < plan->sink_count; i++)
        batch->outputs[i].records = end - first;
    if (batch->fatal) {
        progress->encode_next = progress->encode_count;
        progress->text_left = false;
        for (uint32_t i = 0; i < plan->segment_count; i++) {
            progress->slices[i].next = progress->slices[i].count;
            progress->held[i] = (struct held){0};
        }
    }
}
