/* What put, select, drop and rename share at run time: a list of moves made by the scope. */
#ifndef LEAT_STAGES_EDIT_H
#define LEAT_STAGES_EDIT_H

#include "lang/scope.h"
#include "stages/stages.h"

struct edit_stage {
    struct stage stage;
    struct moves moves;
};

typedef bool edit_function(struct scope *scope, const struct option_item *items, uint32_t count);
/* Applies `change` with the items of option `list` to the scope and keeps the moves. */
bool edit_open(struct stage_context *context, const struct stage_ops *ops, const char *list,
               edit_function *change, struct stage **stage);
enum stage_result edit_batch(struct stage *stage, struct evaluator *evaluator, struct batch *batch,
                             struct error *error);

#endif
