/* The table of stages, from stages.def. Const. */
#ifndef LEAT_STAGES_STAGES_H
#define LEAT_STAGES_STAGES_H

#include "core/stage.h"

#define STAGE(name) extern const struct stage_ops stage_##name;
#include "stages/stages.def"
#undef STAGE

/* All of them, and how many. */
const struct stage_ops *const *stages_all(size_t *count);

/* What most opens need: zeroed memory for a stage with its ops and index set; NULL (with a
 * diagnostic) when short. Closed by stage_free unless the stage owns more. */
void *stage_make(struct stage_context *context, const struct stage_ops *ops, size_t size);
void stage_free(struct stage *stage);

#endif
