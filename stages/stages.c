/* The table of stages and what their opens share: see stages.h. */
#include "stages/stages.h"

#include <stdlib.h>

#include "core/fault.h"
#include "lang/diagnostic.h"

static const struct stage_ops *const all[] = {
#define STAGE(name) &stage_##name,
#include "stages/stages.def"
#undef STAGE
};

const struct stage_ops *const *stages_all(size_t *count)
{
    *count = ARRAY_SIZE(all);
    return all;
}

void *stage_make(struct stage_context *context, const struct stage_ops *ops, size_t size)
{
    struct stage *stage = memory_take_zeroed(1, size);
    if (!stage) {
        diagnostics_memory(context->diagnostics, context->options->span);
        return NULL;
    }
    stage->ops = ops;
    stage->index = context->index;
    return stage;
}

void stage_free(struct stage *stage)
{
    free(stage);
}
