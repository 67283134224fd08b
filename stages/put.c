/* put: Sets fields: a new one is appended, an old one changes in place. Const at run time; any
 * worker. */
#include "stages/edit.h"

static const struct option_spec put_options[] = {
    {"fields", OPTION_ASSIGNMENTS, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "the fields to set; each sees those before it"},
    {0},
};

static const struct noun put_noun = {
    .name = "put",
    .doc = "Sets fields: a new one is appended, an old one changes in place",
    .example = "put late_hours = dep_delay / 60.0, route = origin + \"-\" + dest",
    .options = put_options,
};

static bool put_open(struct stage_context *context, struct stage **stage)
{
    return edit_open(context, &stage_put, "fields", scope_put, stage);
}

const struct stage_ops stage_put = {
    .noun = &put_noun,
    .open = put_open,
    .close = stage_free,
    .batch = edit_batch,
};
