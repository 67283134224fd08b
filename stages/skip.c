/* skip: all but the first N records. Serial: one thread, in input order. */
#include "stages/stages.h"
#include "stages/state.h"

#include <string.h>

struct skip_stage {
    struct stage stage;
    uint64_t left; /* records still to skip */
};

static const struct option_spec skip_options[] = {
    {"count", OPTION_INTEGER, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "how many records to leave out"},
    {0},
};

static const struct noun skip_noun = {
    .name = "skip",
    .doc = "Leaves out the first records",
    .example = "skip 100",
    .options = skip_options,
};

static bool skip_open(struct stage_context *context, struct stage **stage)
{
    struct skip_stage *skip = stage_make(context, &stage_skip, sizeof(*skip));
    if (!skip)
        return false;
    skip->left = (uint64_t)option_integer(context->options, "count", 0);
    *stage = &skip->stage;
    return true;
}

static enum stage_result skip_batch(struct stage *stage, struct evaluator *evaluator,
                                    struct batch *batch, struct error *error)
{
    (void)evaluator;
    (void)error;
    struct skip_stage *skip = (struct skip_stage *)stage;
    uint32_t out = batch->row_count < skip->left ? batch->row_count : (uint32_t)skip->left;
    skip->left -= out;
    batch->row_count -= out;
    memmove(batch->rows, batch->rows + out, batch->row_count * sizeof(*batch->rows));
    batch->counts[stage->index].filtered += out;
    return STAGE_OK;
}

static bool skip_save(struct stage *stage, struct buffer *buffer)
{
    return state_write_number(buffer, ((struct skip_stage *)stage)->left);
}

static bool skip_restore(struct stage *stage, struct string state, struct error *error)
{
    return state_restore_number(state, &((struct skip_stage *)stage)->left, error);
}

const struct stage_ops stage_skip = {
    .noun = &skip_noun,
    .traits = STAGE_SERIAL,
    .open = skip_open,
    .close = stage_free,
    .batch = skip_batch,
    .save = skip_save,
    .restore = skip_restore,
};
