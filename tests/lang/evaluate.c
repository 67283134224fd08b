/* See evaluate.h. */
#include "tests/lang/evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/raw.h"
#include "lang/value_ops.h"

static struct resolution resolve(void *context, const struct path *path)
{
    (void)context;
    struct string name = path->names[0];
    if (name.length == 1 && name.data[0] >= 'a' && name.data[0] <= 'f')
        return (struct resolution){RESOLVED_COLUMN, (uint32_t)(name.data[0] - 'a'), 1};
    return (struct resolution){.kind = RESOLVED_ABSENT, .consumed = 1};
}

static uint32_t record_column(void *context)
{
    (void)context;
    return EVALUATE_COLUMNS - 1;
}

bool compile_text(struct compiled *compiled, const char *text, size_t length, bool cel_strict)
{
    *compiled = (struct compiled){0};
    struct resolver resolver = {
        .resolve = resolve, .record_column = record_column, .cel_strict = cel_strict};
    diagnostics_open(&compiled->diagnostics, "test", (struct string){text, length});
    const struct node *node =
        expression_parse(&compiled->diagnostics, cel_strict, &compiled->memory);
    if (node && compiled->diagnostics.errors == 0)
        compiled->expression = expression_compile(node, &resolver, &compiled->diagnostics);
    return compiled->expression != NULL;
}

void compiled_close(struct compiled *compiled)
{
    expression_free(compiled->expression);
    if (compiled->memory)
        program_memory_free(compiled->memory);
    diagnostics_close(&compiled->diagnostics);
}

void record_cells(const char *record, struct arena *arena, struct value cells[EVALUATE_COLUMNS])
{
    struct value raw = value_raw(record, strlen(record));
    for (unsigned i = 0; i + 1 < EVALUATE_COLUMNS; i++) {
        char name = (char)('a' + i);
        cells[i] = value_member(raw, (struct string){&name, 1}, arena);
    }
    cells[EVALUATE_COLUMNS - 1] = raw;
}

static struct value open_all(struct value value, struct arena *arena)
{
    value = value_open(value, arena);
    if (value.kind != VALUE_LIST && value.kind != VALUE_MAP && value.kind != VALUE_OPTIONAL)
        return value;
    uint32_t count = value.kind == VALUE_MAP ? 2 * value.length : value.length;
    struct value *items = arena_take(arena, count * sizeof(*items));
    CHECK(items);
    for (uint32_t i = 0; i < count; i++)
        items[i] = open_all(value.items[i], arena);
    value.items = items;
    return value;
}

char *deep_display(struct value value, struct arena *arena)
{
    return value_display(open_all(value, arena));
}

const char *evaluate(const char *expression, const char *record)
{
    static char results[8][4096];
    static unsigned turn;
    char *result = results[turn++ % 8];
    struct compiled compiled;
    if (!compile_text(&compiled, expression, strlen(expression), false)) {
        snprintf(result, sizeof(results[0]), "refused: %s",
                 compiled.diagnostics.count ? compiled.diagnostics.items[0].text : "?");
        compiled_close(&compiled);
        return result;
    }
    struct error error;
    struct arena arena;
    struct evaluator *evaluator = evaluator_open(&error);
    CHECK(evaluator && arena_open(&arena, 128 << 20, 128 << 20, &error));
    struct value cells[EVALUATE_COLUMNS];
    record_cells(record, &arena, cells);
    struct column columns[EVALUATE_COLUMNS] = {0};
    for (unsigned i = 0; i < EVALUATE_COLUMNS; i++)
        columns[i].cells = &cells[i];
    struct evaluation evaluation = {columns, 1, &arena, evaluator};
    char *text = deep_display(expression_row(compiled.expression, &evaluation, 0), &arena);
    snprintf(result, sizeof(results[0]), "%s", text ? text : "(no memory)");
    free(text);
    compiled_close(&compiled);
    arena_close(&arena);
    evaluator_close(evaluator);
    return result;
}

const char *evaluate_plain(const char *expression)
{
    return evaluate(expression, "{}");
}
