/* Expressions checked on their own: see expressions_check.h. */
#include "cli/expressions_check.h"

#include "lang/expression.h"

/* Any path is a field of unknown type. */
static struct resolution resolve_any(void *context, const struct path *path)
{
    (void)context;
    return (struct resolution){.kind = RESOLVED_COLUMN, .column = 0, .consumed = path->count};
}

static uint32_t record_any(void *context)
{
    (void)context;
    return 0;
}

static void check_node(const struct node *node, struct diagnostics *diagnostics)
{
    /* whether secrets may stand in it is for its owner to say */
    static const struct resolver resolver = {
        .resolve = resolve_any, .record_column = record_any, .allows_secrets = true};
    struct expression *expression = node ? expression_compile(node, &resolver, diagnostics) : NULL;
    if (expression)
        expression_free(expression);
}

void expressions_check(const struct program *program, struct diagnostics *diagnostics)
{
    for (uint32_t i = 0; i < program->statement_count; i++) {
        const struct options *options = &program->statements[i].options;
        for (uint32_t j = 0; j < options->count; j++) {
            const struct option_value *value = &options->values[j];
            check_node(value->node, diagnostics);
            for (uint32_t k = 0; k < value->item_count; k++)
                check_node(value->items[k].node, diagnostics);
        }
    }
}
