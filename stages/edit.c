/* Edits of the record at run time: see edit.h. Called by workers. */
#include "stages/edit.h"

bool edit_open(struct stage_context *context, const struct stage_ops *ops, const char *list,
               edit_function *change, struct stage **stage)
{
    const struct option_value *items = option_find(context->options, list);
    struct edit_stage *edit = stage_make(context, ops, sizeof(*edit));
    if (!items || !edit || !change(context->scope, items->items, items->item_count)) {
        stage_free(edit ? &edit->stage : NULL);
        return false;
    }
    edit->moves = scope_take_moves(context->scope);
    *stage = &edit->stage;
    return true;
}

enum stage_result edit_batch(struct stage *stage, struct evaluator *evaluator, struct batch *batch,
                             struct error *error)
{
    (void)error;
    const struct edit_stage *edit = (const struct edit_stage *)stage;
    return moves_apply(&edit->moves, evaluator, batch, stage->index) ? STAGE_OK : STAGE_SPLIT;
}
