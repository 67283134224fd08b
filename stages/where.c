/* where: keeps the records for which a condition is true. Errors of null and of other types just do
 * not match (and are counted) unless it is strict; all others reject. Const at run time; any
 * worker. */
#include "core/raw.h"
#include "lang/scope.h"
#include "stages/stages.h"

struct where_stage {
    struct stage stage;
    const struct expression *condition;
    struct moves moves;
    bool strict;
};

static const struct option_spec where_options[] = {
    {"strict", OPTION_WORD, OPTION_POSITIONAL, "strict", NULL,
     "every error rejects the record, also null or a string compared with a number"},
    {"condition", OPTION_EXPRESSION, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "the records for which it is true are kept"},
    {0},
};

static const struct noun where_noun = {
    .name = "where",
    .doc = "Keeps the records for which a condition is true",
    .example = "where status >= 500 && path.startsWith(\"/api\")",
    .options = where_options,
};

static bool where_open(struct stage_context *context, struct stage **stage)
{
    const struct option_value *condition = option_find(context->options, "condition");
    struct where_stage *where = stage_make(context, &stage_where, sizeof(*where));
    if (!where || !condition)
        goto failed;
    where->strict = option_given(context->options, "strict");
    where->condition = scope_compile(context->scope, condition->node);
    if (!where->condition)
        goto failed;
    struct value constant;
    if (expression_constant(where->condition, &constant) && constant.kind != VALUE_BOOL) {
        diagnostics_error(context->diagnostics, condition->span,
                          "a condition must be a bool, this is always %s",
                          value_kind_name(constant.kind));
        goto failed;
    }
    where->moves = scope_take_moves(context->scope);
    *stage = &where->stage;
    return true;
failed:
    stage_free(where ? &where->stage : NULL);
    return false;
}

/* The rows that do not just match or fail to: false when the arena is full. */
static bool where_odd(const struct where_stage *where, struct batch *batch, uint32_t row,
                      struct value result)
{
    if (result.kind != VALUE_ERROR)
        return batch_reject(batch, row, where->stage.index, ERROR_NOT_BOOL, UINT32_MAX,
                            "the condition is %s, not a bool", value_kind_name(result.kind));
    if (result.code == ERROR_ARENA_FULL)
        return false;
    if (where->strict || (result.code != ERROR_NO_OVERLOAD && result.code != ERROR_NO_KEY))
        return row_reject(batch, row, where->stage.index, result);
    batch->counts[where->stage.index].filtered++;
    batch->counts[where->stage.index].mismatched++;
    return true;
}

static enum stage_result where_batch(struct stage *stage, struct evaluator *evaluator,
                                     struct batch *batch, struct error *error)
{
    (void)error;
    const struct where_stage *where = (const struct where_stage *)stage;
    struct evaluation evaluation = {batch->columns, batch->record_count, &batch->arena, evaluator};
    if (!moves_apply(&where->moves, evaluator, batch, stage->index))
        return STAGE_SPLIT;
    struct value *results = arena_take(&batch->arena, batch->record_count * sizeof(*results) + 1);
    if (!results ||
        !expression_batch(where->condition, &evaluation, batch->rows, batch->row_count, results))
        return STAGE_SPLIT;
    uint32_t kept = 0, filtered = 0;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        struct value result = results[row];
        if (UNLIKELY(result.kind == VALUE_RAW)) /* a column of bools as it stands */
            result = value_resolve(result, &batch->arena);
        if (LIKELY(result.kind == VALUE_BOOL)) {
            batch->rows[kept] = row;
            kept += result.boolean;
            filtered += !result.boolean;
        } else if (!where_odd(where, batch, row, result)) {
            return STAGE_SPLIT;
        }
    }
    batch->counts[stage->index].filtered += filtered;
    batch->row_count = kept;
    return STAGE_OK;
}

const struct stage_ops stage_where = {
    .noun = &where_noun,
    .open = where_open,
    .close = stage_free,
    .batch = where_batch,
};
