/* `leat try`: real input, sinks off. Takes the first batches through the stages one by one on the
 * calling thread and shows the first records before and after each, side by side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/raw.h"
#include "core/record.h"
#include "core/utf8.h"
#include "pipeline/run_internal.h"

#define SHOWN 64 /* columns of text on each side */

struct trial {
    struct run *run;
    struct evaluator *evaluator;
    struct batch *batch;
    FILE *out;
    uint32_t count;
    uint32_t width;
};

/* A record on one line in at most SHOWN characters. */
static void record_text(struct trial *trial, uint32_t row, const struct shape *shape, char *text,
                        size_t size)
{
    struct batch *batch = trial->batch;
    struct buffer buffer;
    struct error error;
    const char *reason;
    struct value value = record_value(batch, row, shape, &batch->arena);
    size_t room = 64 * 1024;
    if (value.kind == VALUE_ERROR || !buffer_open(&buffer, room, room, &error)) {
        snprintf(text, size, "(too large to show)");
        return;
    }
    enum json_result result = value_write_json(value, &buffer, &reason);
    if (result == JSON_REFUSED) {
        snprintf(text, size, "(%s)", reason);
    } else if (result == JSON_FULL) {
        snprintf(text, size, "(too large to show)");
    } else {
        size_t shown = size_min(utf8_count(buffer.data, buffer.length), trial->width);
        size_t length = utf8_offset(buffer.data, buffer.length, shown);
        bool cut = length < buffer.length;
        if (cut)
            length = utf8_offset(buffer.data, buffer.length, trial->width - 1);
        snprintf(text, size, "%.*s%s", (int)length, buffer.data, cut ? "…" : "");
    }
    buffer_close(&buffer);
}

static void pad(FILE *out, const char *text, size_t width)
{
    size_t length = utf8_count(text, strlen(text));
    fputs(text, out);
    for (size_t i = length; i < width; i++)
        fputc(' ', out);
}

static const struct reject *reject_of(const struct batch *batch, uint32_t row)
{
    for (const struct reject *reject = batch->rejects; reject; reject = reject->next)
        if (reject->record == row)
            return reject;
    return NULL;
}

static bool alive(const struct batch *batch, uint32_t row)
{
    for (uint32_t i = 0; i < batch->row_count; i++)
        if (batch->rows[i] == row)
            return true;
    return false;
}

/* One stage: what went in, what came out. */
static bool try_stage(struct trial *trial, uint32_t index, struct error *error)
{
    struct plan *plan = trial->run->plan;
    struct batch *batch = trial->batch;
    struct stage *stage = plan->stages[index].stage;
    static const struct shape clean = {0};
    const struct shape *before = index ? plan->stages[index - 1].shape : &clean;
    uint32_t entered = batch->row_count;
    uint32_t *rows = memory_take_zeroed(entered + 1, sizeof(*rows));
    char(*texts)[SHOWN * 4 + 8] = memory_take_zeroed(entered + 1, sizeof(*texts));
    if (!rows || !texts) {
        free(rows);
        free(texts);
        return error_set(error, ERROR_MEMORY, "no memory to show the records");
    }
    memcpy(rows, batch->rows, entered * sizeof(*rows));
    for (uint32_t i = 0; i < entered; i++)
        record_text(trial, rows[i], before, texts[i], sizeof(texts[i]));
    fprintf(trial->out, "\n%s\n", plan_node(plan, plan->source_count + index)->text);
    enum stage_result result = stage->ops->batch(stage, trial->evaluator, batch, error);
    bool good = result == STAGE_OK || result == STAGE_STOP || result == STAGE_WAIT;
    for (uint32_t i = 0; good && i < entered; i++) {
        const struct reject *reject = reject_of(batch, rows[i]);
        char after[SHOWN * 4 + 8];
        if (reject)
            snprintf(after, sizeof(after), "rejected: %s%s%.*s", error_slug(reject->code),
                     reject->text ? ": " : "", (int)reject->text_length,
                     reject->text ? reject->text : "");
        else if (!alive(batch, rows[i]))
            snprintf(after, sizeof(after), "%s",
                     batch->counts[index].absorbed ? "(absorbed)" : "(filtered)");
        else
            record_text(trial, rows[i], plan->stages[index].shape, after, sizeof(after));
        fputs("  ", trial->out);
        pad(trial->out, texts[i], trial->width);
        fprintf(trial->out, "  ->  %s\n", after);
    }
    free(rows);
    free(texts);
    if (result == STAGE_SPLIT)
        return error_set(error, ERROR_MEMORY, "%s: the records need too much memory", stage->label);
    return good;
}

static bool try_finish(struct trial *trial, uint32_t index, struct error *error)
{
    struct plan *plan = trial->run->plan;
    struct stage *stage = plan->stages[index].stage;
    if (!stage->ops->finish || trial->batch->row_count)
        return true;
    part_begin_created(plan, trial->batch);
    if (stage->ops->finish(stage, trial->batch, error) == STAGE_FAIL)
        return false;
    trial->batch->row_count = (uint32_t)size_min(trial->batch->row_count, trial->count);
    for (uint32_t i = 0; i < trial->batch->row_count; i++) {
        char text[SHOWN * 4 + 8];
        record_text(trial, trial->batch->rows[i], plan->stages[index].shape, text, sizeof(text));
        fputs("  ", trial->out);
        pad(trial->out, "(of these records)", trial->width);
        fprintf(trial->out, "  ->  %s\n", text);
    }
    return true;
}

/* The first batch of the input. */
static bool try_read(struct trial *trial, struct error *error)
{
    struct run *run = trial->run;
    struct source *source = run->plan->sources[0].source;
    for (;;) {
        struct batch *free_batch = pool_take(run);
        if (free_batch && !source->ops->offer(source, free_batch))
            pool_return(run, free_batch);
        switch (source->ops->take(source, &trial->batch, error)) {
        case SOURCE_READY:
            return true;
        case SOURCE_END:
            trial->batch = NULL;
            return true;
        case SOURCE_FAIL:
            return false;
        case SOURCE_WAIT:
            io_engine_wait(run->source.actor.engine, 1000000000);
        }
    }
}

static bool try_batch(struct trial *trial, struct error *error)
{
    struct plan *plan = trial->run->plan;
    struct batch *batch = trial->batch;
    const struct format *format = plan->sources[0].source->format;
    part_begin(plan, batch, 0);
    batch->rejects_tail = &batch->rejects;
    if (batch->overlong || format->ops->locate(format, plan->projection, batch) != LOCATE_OK)
        return error_set(error, ERROR_TOO_LONG, "the first record is too long to be shown");
    uint32_t seen = (uint32_t)size_min(batch->record_count, trial->count);
    for (const struct reject *reject = batch->rejects; reject; reject = reject->next)
        if (reject->record < seen) {
            struct string text = batch_record_text(batch, reject->record);
            fprintf(trial->out, "  %.*s  ->  rejected: %s: %.*s\n",
                    (int)size_min(text.length, trial->width), text.data, error_slug(reject->code),
                    (int)reject->text_length, reject->text ? reject->text : "");
        }
    batch->row_count = (uint32_t)size_min(batch->row_count, trial->count);
    static const struct shape clean = {0};
    for (uint32_t i = 0; plan->stage_count == 0 && i < batch->row_count; i++) {
        char text[SHOWN * 4 + 8];
        record_text(trial, batch->rows[i], &clean, text, sizeof(text));
        fprintf(trial->out, "  %s\n", text);
    }
    for (uint32_t i = 0; i < plan->stage_count; i++)
        if (!try_stage(trial, i, error) || !try_finish(trial, i, error))
            return false;
    return true;
}

bool plan_try(struct plan *plan, uint32_t count, FILE *out, struct error *error)
{
    scope_want_members(plan->scope);
    plan->projection = scope_projection(plan->scope);
    struct trial trial = {.out = out, .count = count, .width = SHOWN};
    trial.run = run_open(plan, false, error);
    if (!trial.run)
        return false;
    trial.evaluator = evaluator_open(error);
    bool good = trial.evaluator && try_read(&trial, error);
    if (good && !trial.batch)
        fprintf(out, "(the input has no records)\n");
    else if (good)
        good = try_batch(&trial, error);
    struct source *source = plan->sources[0].source;
    source->ops->stop(source);
    evaluator_close(trial.evaluator);
    run_close(trial.run);
    return good;
}
