/* The batch evaluator against the row evaluator: random expressions over random columns, every
 * result the same value, errors with the same code; selections with gaps; LEAT_EVAL=row. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/term.h"
#include "lang/value_ops.h"
#include "tests/lang/evaluate.h"
#include "tests/suite.h"

#define ROWS 700 /* more than a chunk */

static uint64_t state = 0x9E3779B97F4A7C15;

static unsigned random_below(unsigned limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % limit;
}

/* Raw cells of all kinds, most of them what a column really holds. */
static const char *const cell_texts[] = {"0",
                                         "1",
                                         "-1",
                                         "500",
                                         "200",
                                         "404",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "9223372036854775808",
                                         "1.5",
                                         "-0.0",
                                         "2.0",
                                         "1e3",
                                         "1e400",
                                         "null",
                                         "true",
                                         "false",
                                         "\"\"",
                                         "\"a\"",
                                         "\"/api/v1\"",
                                         "\"/static/x\"",
                                         "\"/api\\u002fv1\"",
                                         "\"500\"",
                                         "\"a long text of more than eight bytes\"",
                                         "[]",
                                         "[1, 2, 3]",
                                         "[1.0, \"a\"]",
                                         "{}",
                                         "{\"a\": 1}",
                                         "{\"b\": {\"c\": \"x\"}, \"b\": 5}",
                                         "\"\xC3\xA9t\xC3\xA9\""};

static const char *const leaves[] = {"a",
                                     "b",
                                     "c",
                                     "a",
                                     "b",
                                     "nothing",
                                     "d.a",
                                     "d.b.c",
                                     "record",
                                     "1",
                                     "500",
                                     "-1",
                                     "0",
                                     "2.0",
                                     "1.5",
                                     "5u",
                                     "true",
                                     "false",
                                     "null",
                                     "\"a\"",
                                     "\"/api\"",
                                     "\"500\"",
                                     "\"\"",
                                     "b\"a\"",
                                     "[1, 2, 500]",
                                     "[a, b]",
                                     "{\"a\": a}",
                                     "1 / 0",
                                     "timestamp(0)",
                                     "duration(\"1h\")",
                                     "int",
                                     "9223372036854775807",
                                     "[1, 2, 3].map(x, x + a)",
                                     "f.all(x, x == a)"};

/* Writes behind what is there and returns how much. */
static size_t append(char *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(out, 200, format, arguments);
    va_end(arguments);
    CHECK(length >= 0 && length < 200);
    return (size_t)length;
}

static size_t random_expression(char *out, unsigned depth)
{
    static const char *const operators[] = {"+",  "-",  "*", "/", "%",  "==", "!=", "<",  "<=", ">",
                                            ">=", "==", "<", ">", "in", "&&", "||", "&&", "||"};
    static const char *const calls[] = {"size(", "string(", "int(", "double(", "type(",
                                        "!(",    "-(",      "dyn(", "bool("};
    static const char *const methods[] = {".startsWith(", ".contains(", ".endsWith(", ".matches(",
                                          ".indexOf(",    "[",          ".split("};
    if (depth == 0 || random_below(5) == 0)
        return append(out, "%s", leaves[random_below(ARRAY_SIZE(leaves))]);
    size_t at = 0;
    unsigned form = random_below(12);
    if (form < 7) {
        at += append(out, "(");
        at += random_expression(out + at, depth - 1);
        at += append(out + at, " %s ", operators[random_below(ARRAY_SIZE(operators))]);
        at += random_expression(out + at, depth - 1);
        return at + append(out + at, ")");
    }
    if (form == 7) {
        at += append(out, "(");
        at += random_expression(out + at, depth - 1);
        at += append(out + at, " ? ");
        at += random_expression(out + at, depth - 1);
        at += append(out + at, " : ");
        at += random_expression(out + at, depth - 1);
        return at + append(out + at, ")");
    }
    if (form == 8) {
        at += append(out, "coalesce(");
        at += random_expression(out + at, depth - 1);
        at += append(out + at, ", ");
        at += random_expression(out + at, depth - 1);
        return at + append(out + at, ")");
    }
    if (form == 9) {
        at += append(out, "%s", calls[random_below(ARRAY_SIZE(calls))]);
        at += random_expression(out + at, depth - 1);
        return at + append(out + at, ")");
    }
    const char *method = methods[random_below(ARRAY_SIZE(methods))];
    at += append(out, "(");
    at += random_expression(out + at, depth - 1);
    at += append(out + at, ")%s", method);
    at += random_expression(out + at, depth - 1);
    return at + append(out + at, method[0] == '[' ? "]" : ")");
}

/* A column is mostly of one kind, as real ones are, or of all. */
static void random_column(struct value *cells)
{
    unsigned count = ARRAY_SIZE(cell_texts);
    unsigned base = random_below(count), spread = random_below(3) ? 3 : count;
    for (unsigned i = 0; i < ROWS; i++) {
        const char *text = cell_texts[(base + random_below(spread)) % count];
        cells[i] = random_below(20) ? value_raw(text, strlen(text)) : (struct value){0};
        if (random_below(50) == 0) /* as computed columns and CSV give */
            cells[i] = random_below(2) ? value_double(2.5) : value_string("text", 4);
    }
}

static bool same_result(struct value a, struct value b, struct arena *arena)
{
    if (a.kind != b.kind)
        return false;
    if (a.kind == VALUE_ERROR)
        return a.code == b.code;
    char *x = deep_display(a, arena), *y = deep_display(b, arena);
    bool same = x && y && strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

struct bench {
    struct arena arena[2];
    struct evaluator *evaluator[2];
    struct value cells[EVALUATE_COLUMNS][ROWS];
    struct value results[ROWS];
    uint32_t rows[ROWS];
};

static void bench_open(struct bench *bench)
{
    struct error error;
    for (unsigned i = 0; i < 2; i++) {
        CHECK(arena_open(&bench->arena[i], 256 << 20, 256 << 20, &error));
        bench->evaluator[i] = evaluator_open(&error);
        CHECK(bench->evaluator[i]);
    }
}

static void bench_close(struct bench *bench)
{
    for (unsigned i = 0; i < 2; i++) {
        arena_close(&bench->arena[i]);
        evaluator_close(bench->evaluator[i]);
    }
}

static struct evaluation bench_side(struct bench *bench, unsigned side,
                                    struct column columns[EVALUATE_COLUMNS])
{
    for (unsigned i = 0; i < EVALUATE_COLUMNS; i++)
        columns[i] = (struct column){.cells = bench->cells[i]};
    arena_reset(&bench->arena[side]);
    return (struct evaluation){columns, ROWS, &bench->arena[side], bench->evaluator[side]};
}

static void compare(struct bench *bench, const struct expression *expression, const char *text)
{
    struct column first[EVALUATE_COLUMNS], second[EVALUATE_COLUMNS];
    struct evaluation batch = bench_side(bench, 0, first), row = bench_side(bench, 1, second);
    uint32_t count = 0;
    unsigned gap = random_below(3);
    for (uint32_t i = random_below(5); i < ROWS; i += 1 + (gap ? random_below(gap * 2) : 0))
        bench->rows[count++] = i;
    bool done = expression_batch(expression, &batch, bench->rows, count, bench->results);
    CU_ASSERT_FATAL(done);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = bench->rows[i];
        struct value expected = expression_row(expression, &row, at);
        if (same_result(expected, bench->results[at], &bench->arena[1]))
            continue;
        char *a = deep_display(expected, &bench->arena[1]);
        char *b = deep_display(bench->results[at], &bench->arena[1]);
        printf("%s\nrow %u: %s, batch %s\n", text, at, a, b);
        free(a);
        free(b);
        CU_FAIL("row and batch disagree");
        return;
    }
}

static void random_expressions_agree(void)
{
    static struct bench bench;
    bench_open(&bench);
    unsigned compiled_count = 0;
    for (unsigned turn = 0; turn < 3000; turn++) {
        static char text[65536];
        size_t length = random_expression(text, 1 + random_below(5));
        struct compiled compiled;
        if (compile_text(&compiled, text, length, random_below(4) == 0)) {
            compiled_count++;
            for (unsigned i = 0; turn % 8 == 0 && i < EVALUATE_COLUMNS; i++)
                random_column(bench.cells[i]);
            compare(&bench, compiled.expression, text);
        }
        compiled_close(&compiled);
    }
    printf("(%u expressions) ", compiled_count);
    CU_ASSERT(compiled_count > 1000);
    bench_close(&bench);
}

/* Deeper than there are buffers: the row evaluator takes over. */
static void deep_expressions_agree(void)
{
    static struct bench bench;
    bench_open(&bench);
    for (unsigned i = 0; i < EVALUATE_COLUMNS; i++)
        random_column(bench.cells[i]);
    char text[4096];
    size_t at = 0;
    for (unsigned i = 0; i < 60; i++)
        at += append(text + at, i % 3 ? "(a + (" : "(b == 1 || (");
    at += append(text + at, "c");
    for (unsigned i = 0; i < 60; i++)
        at += append(text + at, "))");
    struct compiled compiled;
    CU_ASSERT_FATAL(compile_text(&compiled, text, at, true));
    compare(&bench, compiled.expression, text);
    compiled_close(&compiled);
    bench_close(&bench);
}

/* Only what is asked for is decoded. */
static void cells_are_decoded_on_demand(void)
{
    static struct bench bench;
    bench_open(&bench);
    for (uint32_t i = 0; i < ROWS; i++) {
        bench.cells[0][i] = value_raw(i % 2 ? "500" : "200", 3);
        bench.cells[1][i] = value_raw("\"x\"", 3);
        bench.rows[i] = i;
    }
    struct compiled compiled;
    const char *text = "a == 500 && b == \"x\"";
    CU_ASSERT_FATAL(compile_text(&compiled, text, strlen(text), false));
    struct column columns[EVALUATE_COLUMNS];
    struct evaluation evaluation = bench_side(&bench, 0, columns);
    CU_ASSERT(expression_batch(compiled.expression, &evaluation, bench.rows, ROWS, bench.results));
    for (uint32_t i = 0; i < ROWS; i++) {
        CU_ASSERT_EQUAL(bench.results[i].boolean, i % 2);
        CU_ASSERT_EQUAL(columns[0].decoded[i].kind, VALUE_INT);
        CU_ASSERT_EQUAL(columns[1].decoded[i].kind, i % 2 ? VALUE_STRING : VALUE_ABSENT);
    }
    CU_ASSERT_PTR_NULL(columns[2].decoded);
    compiled_close(&compiled);
    bench_close(&bench);
}

/* The quick ways of decoding a cell give what strtod and core's own reader give. */
static void quick_numbers_are_exact(void)
{
    struct error error;
    struct arena arena;
    CU_ASSERT_FATAL(arena_open(&arena, 1 << 20, 1 << 20, &error));
    struct evaluator *evaluator = evaluator_open(&error);
    for (unsigned turn = 0; turn < 200000; turn++) {
        char text[40];
        uint64_t digits = state;
        size_t length = append(text, "%s%llu", random_below(2) ? "-" : "",
                               (unsigned long long)(digits >> random_below(64)));
        if (random_below(4))
            length += append(text + length, ".%0*llu", (int)random_below(12) + 1,
                             (unsigned long long)(state >> (20 + random_below(44))));
        if (random_below(20) == 0)
            length += append(text + length, "e%d", (int)random_below(40) - 20);
        struct value cell = value_raw(text, length), got;
        struct column column = {.cells = &cell};
        struct evaluation evaluation = {&column, 1, &arena, evaluator};
        uint32_t row = 0;
        arena_reset(&arena);
        CU_ASSERT_FATAL(cells_resolve(&evaluation, 0, &row, 1, &got));
        char *end;
        bool is_double = strpbrk(text, ".e") != NULL;
        double real = strtod(text, &end);
        if (is_double || got.kind == VALUE_DOUBLE)
            CU_ASSERT_FATAL(got.kind == VALUE_DOUBLE && memcmp(&got.real, &real, 8) == 0);
        if (!is_double && got.kind == VALUE_INT)
            CU_ASSERT_EQUAL_FATAL(got.integer, strtoll(text, &end, 10));
    }
    evaluator_close(evaluator);
    arena_close(&arena);
}

/* However small the arena: all results, or the request to split. */
static void full_arena_is_reported(void)
{
    static struct bench bench;
    bench_open(&bench);
    for (unsigned i = 0; i < EVALUATE_COLUMNS; i++)
        random_column(bench.cells[i]);
    for (uint32_t i = 0; i < ROWS; i++) {
        bench.rows[i] = i;
        bench.cells[0][i] = value_raw("\"/api\\u002fv1\"", 13);
    }
    struct compiled compiled;
    const char *text = "(a + \"x\").startsWith(\"/api\") || b == [c] || f == d";
    CU_ASSERT_FATAL(compile_text(&compiled, text, strlen(text), false));
    bool seen[2] = {false};
    for (size_t limit = 0; limit < 200000; limit += 1777) {
        struct column columns[EVALUATE_COLUMNS];
        struct evaluation evaluation = bench_side(&bench, 0, columns);
        bench.arena[0].limit = limit;
        bool done =
            expression_batch(compiled.expression, &evaluation, bench.rows, ROWS, bench.results);
        seen[done] = true;
        for (uint32_t i = 0; done && i < ROWS; i++)
            CU_ASSERT(bench.results[i].kind == VALUE_BOOL && bench.results[i].boolean);
        bench.arena[0].limit = bench.arena[0].soft;
    }
    CU_ASSERT(seen[0] && seen[1]);
    compiled_close(&compiled);
    bench_close(&bench);
}

/* LEAT_EVAL=row gives the same by the other way. */
static void row_mode_agrees(void)
{
    static struct bench bench;
    setenv("LEAT_EVAL", "row", 1);
    bench_open(&bench);
    unsetenv("LEAT_EVAL");
    for (unsigned i = 0; i < EVALUATE_COLUMNS; i++)
        random_column(bench.cells[i]);
    struct compiled compiled;
    const char *text = "a == 500 || b.startsWith(\"/\") && c < d ? [a, b] : record";
    CU_ASSERT_FATAL(compile_text(&compiled, text, strlen(text), false));
    compare(&bench, compiled.expression, text);
    compiled_close(&compiled);
    bench_close(&bench);
}

SUITE(batch_eval, {"random expressions: batch and row agree", random_expressions_agree},
      {"expressions deeper than the buffers", deep_expressions_agree},
      {"cells are decoded for live rows only", cells_are_decoded_on_demand},
      {"LEAT_EVAL=row", row_mode_agrees}, {"quick numbers are exact", quick_numbers_are_exact},
      {"a full arena asks for a split", full_arena_is_reported})
