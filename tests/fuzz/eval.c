/* Any text as an expression: compiling never crashes, and where it compiles the batch evaluator
 * agrees with the row evaluator on columns of all kinds. The first byte picks the mode. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/expression.h"
#include "lang/parse.h"
#include "lang/value_ops.h"

#define COLUMNS 4
#define ROWS    24

static const char *const cells[COLUMNS][6] = {
    {"1", "500", "-7", "9223372036854775807", "null", "2.5"},
    {"\"a\"", "\"/api/v1/items\"", "\"\\u00e9\"", "\"\"", "null", "3"},
    {"{\"b\": {\"c\": 1}}", "{\"b\": null}", "[1, 2, \"x\"]", "{}", "true", "\"s\""},
    {"1e400", "-0.0", "18446744073709551616", "1.5", "[[1], {\"k\": [2]}]", "false"},
};

static struct resolution resolve(void *context, const struct path *path)
{
    (void)context;
    struct string name = path->names[0];
    if (name.length == 1 && name.data[0] >= 'a' && name.data[0] < 'a' + COLUMNS)
        return (struct resolution){RESOLVED_COLUMN, (uint32_t)(name.data[0] - 'a'), 1};
    return (struct resolution){.kind = name.length == 1 ? RESOLVED_UNKNOWN : RESOLVED_ABSENT,
                               .consumed = 1};
}

static uint32_t record_column(void *context)
{
    (void)context;
    return 2;
}

/* A result resolved as far as a display of bounded depth needs it. */
static bool same(struct value a, struct value b, struct arena *arena, unsigned depth)
{
    if (a.kind != b.kind || depth > 100)
        return depth > 100;
    a = value_open(a, arena);
    b = value_open(b, arena);
    if (a.kind == VALUE_ERROR || a.kind != b.kind)
        return a.kind == b.kind && a.code == b.code;
    if (a.kind != VALUE_LIST && a.kind != VALUE_MAP && a.kind != VALUE_OPTIONAL) {
        if (a.kind == VALUE_DOUBLE)
            return memcmp(&a.real, &b.real, sizeof(a.real)) == 0 ||
                   (a.real != a.real && b.real != b.real);
        return value_equal(a, b, arena);
    }
    uint32_t count = a.kind == VALUE_MAP ? 2 * a.length : a.length;
    if (a.length != b.length)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!same(a.items[i], b.items[i], arena, depth + 1))
            return false;
    }
    return true;
}

static struct arena arena;
static struct evaluator *evaluator;

static void compare(const struct expression *expression)
{
    static struct value raw[COLUMNS][ROWS];
    struct value results[ROWS];
    uint32_t rows[ROWS];
    struct column first[COLUMNS], second[COLUMNS];
    for (unsigned i = 0; i < COLUMNS; i++) {
        for (unsigned row = 0; row < ROWS; row++) {
            const char *text = cells[i][(row / (i + 1) + i) % 6];
            raw[i][row] = value_raw(text, strlen(text));
            rows[row] = row;
        }
        first[i] = second[i] = (struct column){.cells = raw[i]};
    }
    struct evaluation batch = {first, ROWS, &arena, evaluator};
    struct evaluation row = {second, ROWS, &arena, evaluator};
    if (!expression_batch(expression, &batch, rows, ROWS, results))
        return;
    for (unsigned i = 0; i < ROWS; i++) {
        struct value expected = expression_row(expression, &row, i);
        if (expected.kind == VALUE_ERROR && expected.code == ERROR_ARENA_FULL)
            return;
        if (!same(expected, results[i], &arena, 0))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error;
    if (!evaluator) {
        evaluator = evaluator_open(&error);
        if (!evaluator || !arena_open(&arena, 64 << 20, 64 << 20, &error))
            abort();
    }
    if (size < 1 || size > 1000)
        return 0;
    arena_reset(&arena);
    struct resolver resolver = {
        .resolve = resolve, .record_column = record_column, .cel_strict = data[0] & 1};
    struct program_memory *memory = NULL;
    struct diagnostics diagnostics;
    static char text[1001]; /* as the command line gives it */
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    diagnostics_open(&diagnostics, "fuzz", (struct string){text, size - 1});
    const struct node *node = expression_parse(&diagnostics, resolver.cel_strict, &memory);
    struct expression *expression = NULL;
    if (node && diagnostics.errors == 0)
        expression = expression_compile(node, &resolver, &diagnostics);
    if (expression)
        compare(expression);
    else if (diagnostics.errors == 0)
        abort(); /* refused without a word */
    expression_free(expression);
    if (memory)
        program_memory_free(memory);
    diagnostics_close(&diagnostics);
    return 0;
}
