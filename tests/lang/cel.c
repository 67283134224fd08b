/* The conformance cases of the CEL specification: a sample in the tree (origin: data/README.md),
 * all of them where the shared data is there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/number.h"
#include "core/raw.h"
#include "lang/cel_cases.h"
#include "lang/value_ops.h"
#include "tests/suite.h"

static struct arena arena;

static struct value member(struct value map, const char *key)
{
    return value_open(value_member(map, (struct string){key, strlen(key)}, &arena), &arena);
}

static bool text_is(struct value value, const char *text)
{
    return value.kind == VALUE_STRING &&
           string_equal_text((struct string){value.text, value.length}, text);
}

/* NaN is NaN here, 0 is -0. */
static bool same_double(struct value a, struct value b)
{
    if (a.kind == VALUE_STRING || b.kind == VALUE_STRING)
        return value_equal(a, b, &arena);
    double x = a.kind == VALUE_INT ? (double)a.integer : a.real;
    double y = b.kind == VALUE_INT ? (double)b.integer : b.real;
    return x == y;
}

/* Two values in the encoding of the cases. */
static bool same(struct value a, struct value b)
{
    a = value_open(a, &arena);
    b = value_open(b, &arena);
    if (a.kind != VALUE_MAP || b.kind != VALUE_MAP || a.length != 1 || b.length != 1)
        return false;
    struct value kind = value_open(a.entries[0].key, &arena);
    if (!value_equal(kind, b.entries[0].key, &arena))
        return false;
    struct value x = value_open(a.entries[0].value, &arena);
    struct value y = value_open(b.entries[0].value, &arena);
    bool is_map = text_is(kind, "map");
    if (text_is(kind, "double"))
        return same_double(x, y);
    if (!is_map && !text_is(kind, "list"))
        return value_equal(x, y, &arena);
    if (x.length != y.length)
        return false;
    uint32_t found = 0;
    for (uint32_t i = 0; i < x.length; i++) {
        for (uint32_t j = is_map ? 0 : i; j < (is_map ? y.length : i + 1); j++) {
            if (!is_map) {
                found += same(x.items[i], y.items[j]);
                continue;
            }
            struct value p = value_open(x.items[i], &arena), q = value_open(y.items[j], &arena);
            found += same(p.items[0], q.items[0]) && same(p.items[1], q.items[1]);
        }
    }
    return found == x.length;
}

static bool case_passes(struct string line)
{
    struct value expected = member(value_raw(line.data, line.length), "value");
    struct value value = cel_case_evaluate(line, &arena);
    if (expected.kind != VALUE_MAP)
        return value.kind == VALUE_ERROR;
    if (value.kind == VALUE_ERROR)
        return false;
    char *text = cel_value_encode(value);
    bool good = text && same(value_raw(text, strlen(text)), expected);
    free(text);
    return good;
}

/* Needs that the engine does not have yet. */
static bool is_wanted(struct value line)
{
    static const char *const later[] = {"network_ext", "block_ext", "deduced_type", "type_check",
                                        "declared_functions"};
    struct value needs = member(line, "needs");
    if (member(line, "check_only").kind == VALUE_BOOL && member(line, "check_only").boolean)
        return false;
    for (uint32_t i = 0; needs.kind == VALUE_LIST && i < needs.length; i++) {
        for (size_t j = 0; j < ARRAY_SIZE(later); j++) {
            if (text_is(value_open(needs.items[i], &arena), later[j]))
                return false;
        }
    }
    return true;
}

static void run_file(const char *path)
{
    struct error error;
    FILE *file = fopen(path, "r");
    CU_ASSERT_FATAL(file && arena_open(&arena, 64 << 20, 64 << 20, &error));
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    unsigned passed = 0, total = 0, skipped = 0;
    while ((length = getline(&line, &size, file)) > 0) {
        arena_reset(&arena);
        struct string text = {line, (size_t)length - (line[length - 1] == '\n')};
        if (!is_wanted(value_raw(text.data, text.length))) {
            skipped++;
            continue;
        }
        total++;
        if (case_passes(text))
            passed++;
        else
            printf("failed: %.*s\n", (int)text.length, text.data);
    }
    free(line);
    fclose(file);
    arena_close(&arena);
    printf("(%u of %u cases, %u need what is not there yet) ", passed, total, skipped);
    CU_ASSERT(total > 0);
    CU_ASSERT_EQUAL(passed, total);
}

static void sample_passes(void)
{
    run_file("tests/lang/data/cel.jsonl");
}

static void all_pass(void)
{
    const char *path = suite_shared_data("cel/dev.jsonl");
    if (path)
        run_file(path);
    else
        suite_skip("no ../shared/data/cel/dev.jsonl");
}

/* Lines that are no cases give an error each, and never more or less than a line. */
static void hostile_lines(void)
{
    static const char lines[] = "\n"
                                "nonsense\n"
                                "{\"expr\": 1}\n"
                                "{\"expr\": \"1\", \"bindings\": {\"x\": 5}}\n"
                                "{\"expr\": \"1 +\"}\n"
                                "{\"expr\": \"\\ud800\"}\n"
                                "[[[[\n"
                                "{\"expr\": \"x\", \"bindings\": {\"x\": {\"int\": \"99e\"}}}\n"
                                "  {\"expr\": \"1 + 1\"}  \n"
                                "{\"expr\": \"2\"";
    FILE *in = fmemopen((void *)lines, sizeof(lines) - 1, "r");
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct error error;
    CU_ASSERT_EQUAL(cel_cases_run(in, out, &error), 0);
    fclose(in);
    fclose(out);
    unsigned errors = 0, values = 0;
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        errors += strncmp(line, "{\"error\": \"", 11) == 0;
        values += strncmp(line, "{\"value\": {\"int\": \"2\"}}\n", 24) == 0;
    }
    CU_ASSERT_EQUAL(errors, 8);
    CU_ASSERT_EQUAL(values, 1);
    free(text);
}

SUITE(cel, {"a sample of the specification's cases passes", sample_passes},
      {"all of the specification's cases pass", all_pass},
      {"lines that are no cases", hostile_lines})
