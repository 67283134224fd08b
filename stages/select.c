/* select: Keeps just these fields, in this order. Const at run time; any worker. */
#include "stages/edit.h"

static const struct option_spec select_options[] = {
    {"fields", OPTION_SELECTIONS, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "the fields to keep, or new ones: NAME = EXPRESSION; an absent one is written as null"},
    {0},
};

static const struct noun select_noun = {
    .name = "select",
    .doc = "Keeps just these fields, in this order",
    .example = "select time_hour, carrier, late = dep_delay > 60",
    .options = select_options,
};

static bool select_open(struct stage_context *context, struct stage **stage)
{
    return edit_open(context, &stage_select, "fields", scope_select, stage);
}

const struct stage_ops stage_select = {
    .noun = &select_noun,
    .open = select_open,
    .close = stage_free,
    .batch = edit_batch,
};
