/* One-liners as a user types them: the verbs, where records come from and go to. What is expected
 * is worked out by hand from the language's description. */
#include "tests/cli/process.h"

#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"

static const char *const people = "{\"name\":\"ann\",\"age\":31,\"city\":\"Oslo\"}\n"
                                  "{\"name\":\"bob\",\"age\":17,\"city\":\"Rome\"}\n"
                                  "{\"name\":\"cid\",\"age\":45,\"city\":null}\n";

static void filter_and_project(void)
{
    struct process leat = LEAT(people, "where age >= 18 | put next = age + 1 | select name, next");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"name\":\"ann\",\"next\":32}\n{\"name\":\"cid\",\"next\":46}\n");
    process_free(&leat);
}

static void bytes_survive(void)
{
    static const char *const exact =
        "{\"id\":9007199254740993,\"pi\":3.14159265358979323846264338327,\"big\":1E400,"
        "\"s\":\"\\u00e9\\/\",\"id\":9223372036854775808}\n"
        "[1, 2,\t3]\n\"text\"\n-0.0\n";
    struct process leat = LEAT(exact, "pass");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, exact);
    process_free(&leat);
}

static void untouched_fields_keep_bytes_beside_edits(void)
{
    struct process leat = LEAT("{\"a\":1.50,\"b\":1,\"c\":\"\\u0041\"}\n", "put b = b + 1, d = a");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"a\":1.50,\"b\":2,\"c\":\"\\u0041\",\"d\":1.50}\n");
    process_free(&leat);
}

static void empty_input(void)
{
    struct process leat = LEAT("", "where a > 1");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "");
    process_free(&leat);
}

static void last_line_without_newline(void)
{
    struct process leat = LEAT("{\"a\":1}\n{\"a\":2}", "pass");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"a\":1}\n{\"a\":2}\n");
    process_free(&leat);
}

static void head_skip_drop_rename(void)
{
    struct process leat = LEAT(people, "skip 1 | head 1 | drop city | rename years = age");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"name\":\"bob\",\"years\":17}\n");
    process_free(&leat);
}

static void head_ends_an_endless_input(void)
{
    struct process leat = {.input = people, .input_stays_open = true, .arguments = {"head 2"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT_PART(leat, "bob");
    CU_ASSERT_PTR_NULL(strstr(leat.out, "cid"));
    process_free(&leat);
}

static void count_records(void)
{
    struct process leat = LEAT(people, "count");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"count\":3}\n");
    process_free(&leat);
}

static void several_files_in_order(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "b.ndjson"), "{\"n\":1}\n");
    file_write(path_join(folder, "a.ndjson"), "{\"n\":2}\n");
    struct process leat = {.folder = folder, .arguments = {"pass", "b.ndjson", "a.ndjson"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"n\":1}\n{\"n\":2}\n");
    process_free(&leat);
}

static void globs_sort_bytewise(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "a10.ndjson"), "{\"n\":10}\n");
    file_write(path_join(folder, "a9.ndjson"), "{\"n\":9}\n");
    file_write(path_join(folder, "B1.ndjson"), "{\"n\":1}\n");
    struct process leat = {.folder = folder, .arguments = {"from file \"*.ndjson\" | pass"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"n\":1}\n{\"n\":10}\n{\"n\":9}\n");
    process_free(&leat);
}

static void dash_is_stdin_and_stdout(void)
{
    struct process leat = LEAT("{\"a\":1}\n", "pass", "-", "-o", "-");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"a\":1}\n");
    process_free(&leat);
}

static void stdin_from_a_file(void)
{
    const char *folder = folder_make();
    const char *path = path_join(folder, "in");
    file_write(path, people);
    struct process leat = {.input_file = path, .arguments = {"count"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"count\":3}\n");
    process_free(&leat);
}

static void output_by_name(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "in.ndjson"), people);
    struct process leat = {.folder = folder,
                           .arguments = {"select name, age", "in.ndjson", "-o", "out.csv"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "");
    char *text = file_read(path_join(folder, "out.csv"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_STRING_EQUAL(text, "name,age\nann,31\nbob,17\ncid,45\n");
    CU_ASSERT_EQUAL(folder_count(folder), 2);
    free(text);
    process_free(&leat);
}

static void several_sinks(void)
{
    const char *folder = folder_make();
    struct process leat = {.folder = folder,
                           .input = people,
                           .arguments = {"select name | into stdout | into file \"x.ndjson\""}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"name\":\"ann\"}\n{\"name\":\"bob\"}\n{\"name\":\"cid\"}\n");
    char *text = file_read(path_join(folder, "x.ndjson"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_STRING_EQUAL(text, leat.out);
    free(text);
    process_free(&leat);
}

/* The same figures for any number of workers, order and engine. */
static void workers_and_engines_agree(void)
{
    char *input = malloc(20000 * 32);
    size_t length = 0;
    for (int i = 0; i < 20000; i++)
        length += (size_t)snprintf(input + length, 32, "{\"n\":%d,\"m\":%d}\n", i, i % 7);
    struct process first = LEAT(input, "where m == 3 | put n = n * 2", "-j1", "--io=posix");
    struct process second = LEAT(input, "where m == 3 | put n = n * 2", "--workers", "7");
    struct process third = LEAT(input, "where m == 3 | count", "--order", "none");
    EXPECT_STATUS(first, 0);
    EXPECT_STATUS(second, 0);
    CU_ASSERT_STRING_EQUAL(first.out, second.out);
    EXPECT_OUT(third, "{\"count\":2857}\n"); /* 3, 10, …, 19995 */
    process_free(&first);
    process_free(&second);
    process_free(&third);
    free(input);
}

SUITE(one_liners, {"filter and project", filter_and_project}, {"bytes survive", bytes_survive},
      {"untouched fields keep their bytes beside edits", untouched_fields_keep_bytes_beside_edits},
      {"empty input", empty_input}, {"last line without newline", last_line_without_newline},
      {"head, skip, drop, rename", head_skip_drop_rename},
      {"head ends an endless input", head_ends_an_endless_input}, {"count", count_records},
      {"several files in order", several_files_in_order},
      {"globs sort bytewise", globs_sort_bytewise},
      {"- is stdin and stdout", dash_is_stdin_and_stdout}, {"stdin from a file", stdin_from_a_file},
      {"output by name", output_by_name}, {"several sinks", several_sinks},
      {"workers and engines agree", workers_and_engines_agree})
