/* head: the first N records, then the run ends. Serial: one thread, in input order. */
#include "stages/stages.h"
#include "stages/state.h"

struct head_stage {
    struct stage stage;
    uint64_t left; /* records still wanted */
};

static const struct option_spec head_options[] = {
    {"count", OPTION_INTEGER, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "how many records"},
    {0},
};

static const struct noun head_noun = {
    .name = "head",
    .doc = "Keeps the first records and ends the run there: later ones are neither read nor "
           "rejected in the ledger",
    .example = "head 10",
    .options = head_options,
};

static bool head_open(struct stage_context *context, struct stage **stage)
{
    struct head_stage *head = stage_make(context, &stage_head, sizeof(*head));
    if (!head)
        return false;
    head->left = (uint64_t)option_integer(context->options, "count", 0);
    *stage = &head->stage;
    return true;
}

static enum stage_result head_batch(struct stage *stage, struct evaluator *evaluator,
                                    struct batch *batch, struct error *error)
{
    (void)evaluator;
    (void)error;
    struct head_stage *head = (struct head_stage *)stage;
    if (batch->row_count > head->left)
        batch->row_count = (uint32_t)head->left;
    head->left -= batch->row_count;
    return head->left ? STAGE_OK : STAGE_STOP;
}

static bool head_save(struct stage *stage, struct buffer *buffer)
{
    return state_write_number(buffer, ((struct head_stage *)stage)->left);
}

static bool head_restore(struct stage *stage, struct string state, struct error *error)
{
    return state_restore_number(state, &((struct head_stage *)stage)->left, error);
}

const struct stage_ops stage_head = {
    .noun = &head_noun,
    .traits = STAGE_SERIAL,
    .open = head_open,
    .close = stage_free,
    .batch = head_batch,
    .save = head_save,
    .restore = head_restore,
};
