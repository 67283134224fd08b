/* drop: Removes fields. Const at run time; any worker. */
#include "stages/edit.h"

static const struct option_spec drop_options[] = {
    {"fields", OPTION_PATHS, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "the fields to remove"},
    {0},
};

static const struct noun drop_noun = {
    .name = "drop",
    .doc = "Removes fields",
    .example = "drop password, user.email",
    .options = drop_options,
};

static bool drop_open(struct stage_context *context, struct stage **stage)
{
    return edit_open(context, &stage_drop, "fields", scope_drop, stage);
}

const struct stage_ops stage_drop = {
    .noun = &drop_noun,
    .open = drop_open,
    .close = stage_free,
    .batch = edit_batch,
};
