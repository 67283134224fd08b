/* check, fmt, graph, try, eval: what they print and how they end. */
#include "tests/cli/process.h"

#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"

static void check_names_every_error(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "p.conf"), "from stdin\n"
                                            "where uppr(a) == \"X\"\n"
                                            "slect b\n"
                                            "put c = 1 +\n"
                                            "head many\n");
    struct process leat = {.folder = folder, .arguments = {"check", "p.conf"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 2);
    EXPECT_OUT(leat, "");
    EXPECT_ERR(leat, "p.conf:2:7: error: ");
    EXPECT_ERR(leat, "p.conf:3:1: error: ");
    EXPECT_ERR(leat, "did you mean `select`?");
    EXPECT_ERR(leat, "    slect b\n    ^~~~~");
    EXPECT_ERR(leat, "p.conf:5:6: error: ");
    EXPECT_ERR(leat, "nothing was read");
    process_free(&leat);
}

static void check_finds_what_the_types_say(void)
{
    struct process leat = LEAT(NULL, "check", "where uppr(a) == \"X\"\n| put b = 1 + \"x\"");
    EXPECT_STATUS(leat, 2);
    EXPECT_ERR(leat, "program:1:7: error: ");
    EXPECT_ERR(leat, "uppr");
    EXPECT_ERR(leat, "program:2:");
    process_free(&leat);
}

static void check_describes(void)
{
    struct process leat = LEAT(NULL, "check", "where a > 1 | select a");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT_PART(leat, "program is right");
    EXPECT_OUT_PART(leat, "where a > 1");
    EXPECT_OUT_PART(leat, "memory");
    process_free(&leat);
    leat = LEAT(NULL, "check", "pass", "-q");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "");
    process_free(&leat);
}

static void check_writes_nothing(void)
{
    const char *folder = folder_make();
    struct process leat = {.folder = folder,
                           .arguments = {"check", "from stdin | into file \"out.ndjson\""}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    CU_ASSERT_EQUAL(folder_count(folder), 0);
    process_free(&leat);
}

static void fmt_is_stable(void)
{
    const char *folder = folder_make();
    const char *path = path_join(folder, "p.conf");
    file_write(path, "where   a>1|select  a,b # kept\n");
    struct process first = LEAT(NULL, "fmt", path);
    EXPECT_STATUS(first, 0);
    EXPECT_OUT_PART(first, "a > 1\nselect a, b");
    EXPECT_OUT_PART(first, "# kept");
    struct process check = LEAT(NULL, "fmt", "--check", path);
    EXPECT_STATUS(check, 1);
    struct process write = LEAT(NULL, "fmt", "-w", path);
    EXPECT_STATUS(write, 0);
    EXPECT_OUT(write, "");
    char *text = file_read(path);
    CU_ASSERT_STRING_EQUAL(text, first.out);
    struct process again = LEAT(NULL, "fmt", "--check", path);
    EXPECT_STATUS(again, 0);
    CU_ASSERT_EQUAL(folder_count(folder), 1);
    free(text);
    process_free(&first);
    process_free(&check);
    process_free(&write);
    process_free(&again);
}

static void fmt_refuses_what_does_not_parse(void)
{
    const char *folder = folder_make();
    const char *path = path_join(folder, "p.conf");
    file_write(path, "where (a > 1\n");
    struct process leat = LEAT(NULL, "fmt", "-w", path);
    EXPECT_STATUS(leat, 2);
    EXPECT_ERR(leat, "error: ");
    char *text = file_read(path);
    CU_ASSERT_STRING_EQUAL(text, "where (a > 1\n");
    free(text);
    process_free(&leat);
}

static void graph_draws(void)
{
    static const char *const program = "where a > 1 | put b = 2 | into file \"x \\\"y\\\".csv\"";
    struct process text = LEAT(NULL, "graph", program);
    EXPECT_STATUS(text, 0);
    EXPECT_OUT_PART(text, "│ where a > 1");
    EXPECT_OUT_PART(text, "↓");
    struct process dot = LEAT(NULL, "graph", "--dot", program);
    EXPECT_STATUS(dot, 0);
    EXPECT_OUT_PART(dot, "digraph \"program\" {");
    EXPECT_OUT_PART(dot, "n0 -> n1;");
    EXPECT_OUT_PART(dot, "\\\"x ");
    process_free(&text);
    process_free(&dot);
}

static void try_shows_before_and_after(void)
{
    const char *folder = folder_make();
    struct process leat = {
        .folder = folder,
        .input = "{\"a\":1}\n{\"a\":5}\n{\"a\":7}\n",
        .arguments = {"try", "where a > 1 | put b = a * 3 | into file \"out\"", "-n", "2"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT_PART(leat, "where a > 1");
    EXPECT_OUT_PART(leat, "{\"a\":1}");
    EXPECT_OUT_PART(leat, "{\"a\":5,\"b\":15}");
    CU_ASSERT_PTR_NULL(strstr(leat.out, "21"));
    CU_ASSERT_EQUAL(folder_count(folder), 0);
    process_free(&leat);
}

static const struct {
    const char *expression;
    const char *value;
} evaluated[] = {
    {"1 + 2 * 3", "7\n"},
    {"1 / 2.0", "0.5\n"},
    {"\"a\" + 'b'", "\"ab\"\n"},
    {"[1, 2, 3].filter(x, x > 1).map(x, x * 2)", "[4, 6]\n"},
    {"size(\"h\\u00e9llo\")", "5\n"},
    {"1 == 1.0 && \"x\" in {\"x\": 1}", "true\n"},
    {"duration(\"90s\") > duration(\"1m\")", "true\n"},
};

static void eval_prints_values(void)
{
    for (size_t i = 0; i < sizeof(evaluated) / sizeof(evaluated[0]); i++) {
        struct process leat = LEAT(NULL, "eval", evaluated[i].expression);
        EXPECT_STATUS(leat, 0);
        EXPECT_OUT(leat, evaluated[i].value);
        process_free(&leat);
    }
}

static void eval_refuses(void)
{
    struct process leat = LEAT(NULL, "eval", "1 +");
    EXPECT_STATUS(leat, 2);
    EXPECT_ERR(leat, "expression:1:");
    process_free(&leat);
    leat = LEAT(NULL, "eval", "status + 1");
    EXPECT_STATUS(leat, 2);
    EXPECT_ERR(leat, "there is no record here, so \"status\" has no value");
    process_free(&leat);
    leat = LEAT(NULL, "eval", "[1][int(\"5\")]");
    EXPECT_STATUS(leat, 1);
    EXPECT_OUT(leat, "");
    process_free(&leat);
}

static void eval_cases(void)
{
    const char *folder = folder_make();
    const char *path = path_join(folder, "cases.jsonl");
    file_write(path, "{\"expr\":\"1 + 1\"}\n{\"expr\":\"1 / 0\"}\n");
    struct process leat = LEAT(NULL, "eval", "--cases", path);
    EXPECT_STATUS(leat, 0);
    struct process python =
        PYTHON(leat.out, "import sys, json\n"
                         "for line in sys.stdin: print(sorted(json.loads(line)))");
    EXPECT_OUT(python, "['value']\n['error']\n");
    process_free(&leat);
    process_free(&python);
    leat = LEAT(NULL, "eval", "--cases", "missing");
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "cannot open the cases missing: No such file");
    process_free(&leat);
}

SUITE(commands, {"check names every error", check_names_every_error},
      {"check finds what the types say", check_finds_what_the_types_say},
      {"check describes", check_describes}, {"check writes nothing", check_writes_nothing},
      {"fmt is stable", fmt_is_stable},
      {"fmt refuses what does not parse", fmt_refuses_what_does_not_parse}, {"graph", graph_draws},
      {"try", try_shows_before_and_after}, {"eval prints values", eval_prints_values},
      {"eval refuses", eval_refuses}, {"eval --cases", eval_cases})
