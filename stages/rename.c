/* rename: Renames fields in place. Const at run time; any worker. */
#include "stages/edit.h"

static const struct option_spec rename_options[] = {
    {"fields", OPTION_RENAMES, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "NEW = OLD for each field"},
    {0},
};

static const struct noun rename_noun = {
    .name = "rename",
    .doc = "Renames fields in place",
    .example = "rename airline = carrier",
    .options = rename_options,
};

static bool rename_open(struct stage_context *context, struct stage **stage)
{
    return edit_open(context, &stage_rename, "fields", scope_rename, stage);
}

const struct stage_ops stage_rename = {
    .noun = &rename_noun,
    .open = rename_open,
    .close = stage_free,
    .batch = edit_batch,
};
