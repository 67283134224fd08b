/* pass: changes nothing. For conversions from one format to another. Any worker. */
#include "stages/stages.h"

static const struct option_spec pass_options[] = {{0}};

static const struct noun pass_noun = {
    .name = "pass",
    .doc = "Changes nothing: for conversions from one format to another",
    .example = "pass",
    .options = pass_options,
};

static bool pass_open(struct stage_context *context, struct stage **stage)
{
    *stage = stage_make(context, &stage_pass, sizeof(**stage));
    return *stage != NULL;
}

static enum stage_result pass_batch(struct stage *stage, struct evaluator *evaluator,
                                    struct batch *batch, struct error *error)
{
    (void)stage;
    (void)evaluator;
    (void)batch;
    (void)error;
    return STAGE_OK;
}

const struct stage_ops stage_pass = {
    .noun = &pass_noun,
    .open = pass_open,
    .close = stage_free,
    .batch = pass_batch,
};
