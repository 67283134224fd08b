/* Compiling and the row evaluator: leat's deviations, limits, messages. The specification itself is
 * in cel.c. */
#include "tests/lang/evaluate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/thread.h"
#include "lang/value_ops.h"
#include "tests/suite.h"

#define IS(expression, expected)                                                                   \
    do {                                                                                           \
        const char *got = evaluate(expression, record);                                            \
        if (strcmp(got, expected) != 0)                                                            \
            printf("%s: expected %s, got %s\n", expression, expected, got);                        \
        CU_ASSERT_STRING_EQUAL(got, expected);                                                     \
    } while (0)

static void numbers_mix(void)
{
    const char *record = "{\"a\": 3, \"b\": 1.5, \"c\": \"x\"}";
    IS("a + b", "4.5");
    IS("b - a", "-1.5");
    IS("a / 2", "1");
    IS("a / 2.0", "1.5");
    IS("a * 1000", "3000");
    IS("a % 2", "1");
    IS("a % 2.0", "refused: `%` cannot take double");
    IS("a > b", "true");
    IS("a == 3.0", "true");
    IS("9223372036854775807 + a", "error: overflow");
    IS("a / 0", "error: divide_by_zero");
    IS("c + a", "error: no_such_overload: string, int");
    IS("a + 1u", "error: no_such_overload: int, uint");
}

static void absent_reads_null(void)
{
    const char *record = "{\"a\": {\"b\": {\"c\": 5}, \"n\": null, \"i\": 7}}";
    IS("a.b.c", "5");
    IS("a.x.y", "null");
    IS("a.n.y", "null");
    IS("a.i.y", "error: no_such_overload");
    IS("b", "null");
    IS("nothing.at.all == null", "true");
    IS("has(a.b.c)", "true");
    IS("has(a.n)", "true");
    IS("has(a.n.x)", "false");
    IS("has(a.x)", "false");
    IS("has(a)", "true");
    IS("has(b)", "false");
    IS("has(nothing)", "false");
    IS("a[\"x\"]", "error: no_such_key: x");
    IS("a.x + 1", "error: no_such_overload: null, int");
    IS("record.a.b.c", "5");
    IS("record[\"a\"].i", "7");
    IS("size(record)", "1");
    IS("coalesce(a.x, b, a.n, a.i)", "7");
    IS("coalesce(b)", "null");
    IS("coalesce(a.b, 1 / 0)", "{\"c\": 5}");
}

static void raw_values_move(void)
{
    const char *record =
        "{\"a\": 1E400, \"b\": [10, 2.50, \"\\u0041\"], \"c\": 12345678901234567890}";
    IS("a", "error: overflow");
    IS("has(a) ? 1 : 2", "1");
    IS("[a][0] == 1", "error: overflow");
    IS("b[2]", "\"A\"");
    IS("b.map(x, x)", "[10, 2.5, \"A\"]");
    IS("c > 1", "true");
    IS("b == [10, 2.5, \"A\"]", "true");
    IS("\"A\" in b", "true");
    IS("b.exists(x, x == 2.5)", "true");
}

static void duplicate_keys_read_the_last(void)
{
    const char *record = "{\"a\": {\"x\": 1, \"y\": 2, \"x\": 3}}";
    IS("a.x", "3");
    IS("size(a)", "2");
    IS("a == {\"y\": 2, \"x\": 3}", "true");
    IS("a.map(k, k)", "[\"y\", \"x\"]");
}

static void errors_pass_through_logic(void)
{
    const char *record = "{\"a\": \"x\", \"b\": null}";
    IS("a > 1 || true", "true");
    IS("true || a > 1", "true");
    IS("a > 1 && false", "false");
    IS("a > 1 || false", "error: no_such_overload: string, int");
    IS("a || b == null", "true");
    IS("a && b == null", "error: no_such_overload: string");
    IS("b > 5 ? 1 : 2", "error: no_such_overload: null, int");
    IS("1 / 0 > a || a > 1", "error: divide_by_zero");
}

static void mistakes_are_found(void)
{
    const char *record = "{}";
    IS("uppr(a)", "refused: unknown function \"uppr\"");
    IS("a.lowerAsci()", "refused: unknown method \"lowerAsci\"; did you mean \"lowerAscii\"?");
    IS("siz(a)", "refused: unknown function \"siz\"; did you mean \"size\"?");
    IS("startsWith(a, \"x\")",
       "refused: \"startsWith\" is a method: write x.startsWith(…), not startsWith(x, …)");
    IS("a.timestamp()", "refused: \"timestamp\" is a function: write timestamp(x), not "
                        "x.timestamp()");
    IS("size(a, b)", "refused: size takes 1 argument, not 2");
    IS("a.substring()", "refused: substring takes 1 to 2 arguments, not 0");
    IS("1 + \"a\"", "refused: `+` cannot take int and string");
    IS("\"a\" > 1", "refused: `>` cannot take string and int");
    IS("bytes > 1000",
       "refused: `>` cannot take type and int; a field of that name is written in backquotes");
    IS("`bytes` == null", "true");
    IS("!5", "refused: `!` takes bool, not int");
    IS("a && 5", "refused: `&&` takes bool, not int");
    IS("5 ? 1 : 2", "refused: the condition of `?:` takes bool, not int");
    IS("timestamp(\"yesterday\")", "refused: this always fails: timestamp cannot convert that "
                                   "constant (see the form it takes)");
    IS("a.matches(\"(?=x)\")",
       "refused: bad regular expression, at byte 1: this group is not of RE2's dialect: no "
       "look-around, no atomic groups, no conditions, no flags but imsU");
    IS("time.parse(a, \"%Q\")",
       "refused: time.parse does not know the format at byte 1; it knows %Y %m %d %H %M %S %f %z "
       "%b %B %a %A %y %e %j %p %I %s %T %F %D %R %Z %%");
    IS("env(\"LEAT_TEST_NOT_SET\")", "refused: the environment variable LEAT_TEST_NOT_SET is not "
                                     "set and env has no default");
    IS("env(a)", "refused: env takes constant strings: env(\"NAME\", \"default\")");
}

static void environment(void)
{
    const char *record = "{}";
    setenv("LEAT_TEST_SET", "one", 1);
    IS("env(\"LEAT_TEST_SET\")", "\"one\"");
    IS("env(\"LEAT_TEST_SET\", \"two\")", "\"one\"");
    IS("env(\"LEAT_TEST_NOT_SET\", \"two\")", "\"two\"");
    unsetenv("LEAT_TEST_SET");
}

static void constants_fold(void)
{
    struct compiled compiled;
    struct value value;
    const char *text = "1 + 2 * 3 > 6 ? \"a\" + \"b\" : a";
    CU_ASSERT_FATAL(compile_text(&compiled, text, strlen(text), false));
    CU_ASSERT_FATAL(expression_constant(compiled.expression, &value));
    CU_ASSERT(value.kind == VALUE_STRING && value.length == 2 && memcmp(value.text, "ab", 2) == 0);
    compiled_close(&compiled);
    uint32_t column = 99;
    CU_ASSERT_FATAL(compile_text(&compiled, "b", 1, false));
    CU_ASSERT(expression_is_column(compiled.expression, &column) && column == 1);
    CU_ASSERT_FALSE(expression_constant(compiled.expression, &value));
    compiled_close(&compiled);
    CU_ASSERT_FATAL(compile_text(&compiled, "b.c", 3, false));
    CU_ASSERT_FALSE(expression_is_column(compiled.expression, &column));
    compiled_close(&compiled);
}

static void sets(void)
{
    const char *record = "{\"a\": 500, \"b\": \"GET\", \"c\": 500.0, \"d\": [1]}";
    IS("a in [404, 500, 503]", "true");
    IS("a in [404, 501, 503]", "false");
    IS("c in [404, 500, 503]", "true");
    IS("a in [404.0, 500.0, 1.5]", "true");
    IS("b in [\"PUT\", \"GET\", \"POST\"]", "true");
    IS("d in [1, 2, 3]", "false");
    IS("e in [1, null, \"x\"]", "true");
    IS("a in d", "false");
    IS("a in b", "error: no_such_overload: int, string");
    IS("\"a\" in record", "true");
}

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

/* Nested comprehensions over a hundred thousand steps each would run for years. */
static void hostile_expressions(void)
{
    char record[40000];
    size_t at = append(record, "{\"a\": [0");
    for (unsigned i = 1; i < 3000; i++)
        at += append(record + at, ",%u", i);
    append(record + at, "]}");
    IS("a.all(x, a.all(y, a.all(z, true)))", "error: limit");
    IS("a.exists(x, a.exists(y, a.exists(z, false)))", "error: limit");
    IS("a.map(x, a.map(y, a))[0][0][0]", "error: limit");
    IS("a.all(x, a.all(y, a.all(z, true))) || true", "true");
    char deep[5000];
    at = 0;
    for (unsigned i = 0; i < 2000; i++)
        at += append(deep + at, "1+");
    append(deep + at, "1");
    CU_ASSERT(strncmp(evaluate(deep, "{}"), "refused: ", 9) == 0);
}

/* A full arena is never taken for an error that || may absorb. */
static void full_arena_is_hard(void)
{
    struct compiled compiled;
    struct error error;
    struct arena arena;
    const char *text = "(a + a + a + a).startsWith(\"never\") || true";
    CU_ASSERT_FATAL(compile_text(&compiled, text, strlen(text), false));
    CU_ASSERT_FATAL(arena_open(&arena, 4096, 4096, &error));
    char cell[2048];
    memset(cell, 'x', sizeof(cell));
    struct value value = value_string(cell, sizeof(cell));
    struct column columns[EVALUATE_COLUMNS] = {[0] = {.cells = &value}};
    struct evaluator *evaluator = evaluator_open(&error);
    struct evaluation evaluation = {columns, 1, &arena, evaluator};
    struct value result = expression_row(compiled.expression, &evaluation, 0);
    CU_ASSERT(result.kind == VALUE_ERROR && result.code == ERROR_ARENA_FULL);
    uint32_t row = 0;
    CU_ASSERT_FALSE(expression_batch(compiled.expression, &evaluation, &row, 1, &result));
    evaluator_close(evaluator);
    arena_close(&arena);
    compiled_close(&compiled);
}

static void nest(char *out, const char *open, const char *middle, const char *close, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        out += append(out, "%s", open);
    out += append(out, "%s", middle);
    for (unsigned i = 0; i < depth; i++)
        out += append(out, "%s", close);
}

/* The deepest of everything, on the small stack of the runtime's threads. */
static void deepest_on_a_thread(void *argument)
{
    static const char *const forms[][3] = {{"[", "1", "]"},
                                           {"(true ? ", "a", " : 0)"},
                                           {"[1].map(x, ", "a", ")"},
                                           {"size([", "[]", "])"},
                                           {"(1 + ", "a", ")"},
                                           {"coalesce(null, ", "a", ")"},
                                           {"{\"k\": ", "a", "}"},
                                           {"(a == ", "a", ")"},
                                           {"(false || ", "true", ")"},
                                           {"\"%s\".format([", "1", "])"}};
    unsigned *deepest = argument;
    static char text[20000], record[200100];
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        for (unsigned depth = 1; depth < 600; depth += 35) {
            nest(text, forms[i][0], forms[i][1], forms[i][2], depth);
            if (strncmp(evaluate(text, "{\"a\": 1}"), "refused", 7) == 0)
                break;
            *deepest = depth > *deepest ? depth : *deepest;
        }
    }
    for (unsigned depth = 10; depth <= 100000; depth *= 10) {
        char *at = record + append(record, "{\"a\": ");
        nest(at, "[", "", "]", depth);
        append(record + strlen(record), "}");
        const char *same = evaluate("a == record.a && a == record[\"a\"]", record);
        CU_ASSERT_STRING_EQUAL(same, depth > VALUE_DEPTH_LIMIT ? "error: limit" : "true");
        const char *shown = evaluate("size(\"%s\".format([a])) > 0", record);
        CU_ASSERT_STRING_EQUAL(shown, depth > VALUE_DEPTH_LIMIT ? "error: limit" : "true");
        struct error error;
        struct arena arena;
        CHECK(arena_open(&arena, 1 << 20, 1 << 20, &error));
        (void)value_hash(value_raw(record, strlen(record)), 0, &arena);
        arena_close(&arena);
    }
}

static void deep_values_fit_the_stack(void)
{
    struct thread thread = {0};
    struct error error;
    unsigned deepest = 0;
    CU_ASSERT_FATAL(thread_start(&thread, "deep", deepest_on_a_thread, &deepest, &error));
    thread_join(&thread);
    CU_ASSERT(deepest >= 30);
    printf("(%u deep) ", deepest);
}

static void values_compare(void)
{
    struct error error;
    struct arena arena;
    CU_ASSERT_FATAL(arena_open(&arena, 1 << 20, 1 << 20, &error));
    struct value one = value_int(1), same = value_double(1.0), natural = value_uint(1);
    CU_ASSERT(value_equal(one, same, &arena));
    CU_ASSERT(value_equal(natural, same, &arena));
    CU_ASSERT_EQUAL(value_hash(one, 3, &arena), value_hash(same, 3, &arena));
    CU_ASSERT_EQUAL(value_hash(one, 3, &arena), value_hash(natural, 3, &arena));
    CU_ASSERT_NOT_EQUAL(value_hash(one, 3, &arena), value_hash(value_int(2), 3, &arena));
    CU_ASSERT_FALSE(value_equal(one, value_string("1", 1), &arena));
    const char *left = "{\"a\": [1, {\"b\": null}], \"c\": 2}";
    const char *right = "{\"c\":2.0,\"a\":[1.0,{\"b\":null}]}";
    struct value a = value_raw(left, strlen(left)), b = value_raw(right, strlen(right));
    CU_ASSERT(value_equal(a, b, &arena));
    CU_ASSERT_EQUAL(value_hash(a, 0, &arena), value_hash(b, 0, &arena));
    CU_ASSERT_EQUAL(arena.used, 0);
    arena_close(&arena);
}

SUITE(expression, {"an int meets a double", numbers_mix},
      {"what is absent reads null", absent_reads_null}, {"raw values move", raw_values_move},
      {"of duplicate keys the last is read", duplicate_keys_read_the_last},
      {"errors pass through logic", errors_pass_through_logic},
      {"mistakes are found before the run", mistakes_are_found}, {"env", environment},
      {"constants fold", constants_fold}, {"in", sets},
      {"hostile expressions end", hostile_expressions},
      {"a full arena is a hard error", full_arena_is_hard},
      {"the deepest on a small stack", deep_values_fit_the_stack},
      {"equality and hashes", values_compare})
