/* What a rejected record looks like: each field of its JSON line, for all that can be wrong. Whole
 * runs in the simulator, so that the clock stands where it begins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/parse.h"
#include "pipeline/simulator.h"
#include "tests/suite.h"

#define TEXT_MOST (256 * 1024)

static char rejected[TEXT_MOST];
static char input[300], target[300], rejects[300];

static bool run_program(const char *text)
{
    struct error error;
    struct diagnostics diagnostics;
    struct run_options options = {
        .workers = 2, .io = IO_ENGINE_SIMULATED, .order = "input", .memory = 16u << 20};
    struct simulator_options schedule = {.step_limit = 4000000};
    diagnostics_open(&diagnostics, "test", (struct string){text, strlen(text)});
    struct program *program = program_parse(registry_get(), &diagnostics);
    struct io_simulation *simulation = io_simulation_open(3, &error);
    CU_ASSERT_FATAL(program && simulation);
    struct plan *plan = plan_open(program, &options, &diagnostics, &error);
    struct run *run = plan ? simulator_run(plan, simulation, &schedule, &error) : NULL;
    bool good = run && run_exit_status(run) == RUN_REJECTED;
    diagnostics_print(&diagnostics, stdout);
    run_close(run);
    plan_close(plan);
    io_simulation_close(simulation);
    program_free(program);
    diagnostics_close(&diagnostics);
    return good;
}

/* The rejects of a run over this text, as they are in the file. */
static const char *rejects_of(const char *text, size_t length, const char *kind,
                              const char *program)
{
    char whole[1200];
    snprintf(input, sizeof(input), "%s/in.%s", suite_folder(), kind);
    snprintf(target, sizeof(target), "%s/out.ndjson", suite_folder());
    snprintf(rejects, sizeof(rejects), "%s/rejects.ndjson", suite_folder());
    FILE *file = fopen(input, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(text, 1, length, file), length);
    CU_ASSERT_EQUAL(fclose(file), 0);
    snprintf(whole, sizeof(whole),
             "pipeline x { record_limit 300KiB }\nfrom file \"%s\"\n%s\ninto file \"%s\"\n"
             "reject into file \"%s\"",
             input, program, target, rejects);
    CU_ASSERT(run_program(whole + (length < 300 * 1024 ? strcspn(whole, "\n") + 1 : 0)));
    file = fopen(rejects, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    rejected[fread(rejected, 1, sizeof(rejected) - 1, file)] = 0;
    CU_ASSERT_EQUAL(fclose(file), 0);
    return rejected;
}

/* The line as it should be, but for its time. */
static void check_line(const char **line, const char *error, const char *stage, unsigned place,
                       unsigned offset, const char *rest)
{
    char wanted[600], when[] = ",\"time\":\"1970-01-01T00:00:0";
    snprintf(wanted, sizeof(wanted),
             "{\"error\":\"%s\",\"stage\":\"%s\",\"source\":\"%s\",\"line\":%u,\"offset\":%u,"
             "\"attempts\":1%s",
             error, stage, input, place, offset, when);
    if (strncmp(*line, wanted, strlen(wanted)) != 0)
        printf("\n%.400s\n%s\n", *line, wanted);
    CU_ASSERT_EQUAL(strncmp(*line, wanted, strlen(wanted)), 0);
    const char *end = strchr(*line, '\n'), *after = strstr(*line, "Z\",");
    CU_ASSERT_FATAL(end && after && after < end);
    snprintf(wanted, sizeof(wanted), "Z\",%s}", rest);
    if (strncmp(after, wanted, strlen(wanted)) != 0)
        printf("\n%.400s\n%s\n", after, wanted);
    CU_ASSERT_EQUAL((size_t)(end - after), strlen(wanted));
    CU_ASSERT_EQUAL(strncmp(after, wanted, strlen(wanted)), 0);
    *line = end + 1;
}

static void test_json(void)
{
    static const char text[] =
        "{\"a\":1}\n{\"a\":0}\n\n{\"a\":oops}\r\n{\"a\":\"\xff\"}\n[\"é\"]\n";
    const char *line = rejects_of(text, sizeof(text) - 1, "ndjson", "put b = 10 / a");
    check_line(&line, "divide_by_zero: divide by zero", "put", 2, 8,
               "\"record\":\"{\\\"a\\\":0}\"");
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "{\"error\":\"malformed: "));
    line = strchr(line, '\n') + 1;
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "{\"error\":\"utf8"));
    /* {"a":"<ff>"} in base64, by another tool */
    CU_ASSERT_PTR_NOT_NULL(strstr(line, ",\"record_base64\":\"eyJhIjoi/yJ9\"}\n"));
    line = strchr(line, '\n') + 1;
    check_line(&line, "not_a_map: the record is no object, so it has no fields to change", "put", 6,
               39, "\"record\":\"[\\\"é\\\"]\"");
    CU_ASSERT_STRING_EQUAL(line, "");
}

static void test_csv(void)
{
    static const char text[] = "a,b\n1,\"x\ny\"\n2\n3,\"p\nq\"\n4,5,6\n";
    const char *line = rejects_of(text, sizeof(text) - 1, "csv", "put c = 1 / (a - 3)");
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"line\":4,\"offset\":12,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, ",\"record\":\"2\",\"header\":\"a,b\"}\n"));
    line = strchr(line, '\n') + 1;
    check_line(&line, "divide_by_zero: divide by zero", "put", 5, 14,
               "\"record\":\"3,\\\"p\\nq\\\"\",\"header\":\"a,b\"");
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"line\":7,\"offset\":22,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, ",\"record\":\"4,5,6\",\"header\":\"a,b\"}\n"));
}

/* An over-long record shows its first 4 KiB and its length; its neighbours are delivered. */
static void test_overlong(void)
{
    size_t length = 0, most = 800 * 1024;
    char *text = malloc(most);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    length += (size_t)snprintf(text, most, "{\"a\":1}\n{\"a\":\"");
    memset(text + length, 'x', 700 * 1024);
    length += 700 * 1024;
    length += (size_t)snprintf(text + length, most - length, "\"}\n{\"a\":2}\n");
    const char *line = rejects_of(text, length, "ndjson", "pass");
    free(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "{\"error\":\"too_long: the record has 7168"));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, ",\"stage\":\"source\","));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"line\":2,\"offset\":8,"));
    const char *shown = strstr(line, ",\"length\":7168");
    CU_ASSERT_PTR_NOT_NULL_FATAL(shown);
    shown = strstr(shown, ",\"record\":\"{\\\"a\\\":\\\"xxx");
    CU_ASSERT_PTR_NOT_NULL_FATAL(shown);
    CU_ASSERT_EQUAL(strspn(strchr(shown, 'x'), "x"), 4096 - 6);
    FILE *file = fopen(target, "r");
    char written[64] = "";
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    written[fread(written, 1, sizeof(written) - 1, file)] = 0;
    CU_ASSERT_EQUAL(fclose(file), 0);
    CU_ASSERT_STRING_EQUAL(written, "{\"a\":1}\n{\"a\":2}\n");
}

/* What the sink's format cannot write is rejected there, and written by none. */
static void test_by_sink(void)
{
    static const char text[] = "{\"a\":1}\n{\"a\":0}\n{\"a\":2}\n";
    char written[100] = "";
    const char *line = rejects_of(text, sizeof(text) - 1, "ndjson", "select b = 1.0 / a");
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "{\"error\":\"not_writable: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, ",\"stage\":\"sink\","));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"line\":2,\"offset\":8,"));
    FILE *file = fopen(target, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    written[fread(written, 1, sizeof(written) - 1, file)] = 0;
    CU_ASSERT_EQUAL(fclose(file), 0);
    CU_ASSERT_STRING_EQUAL(written, "{\"b\":1.0}\n{\"b\":0.5}\n");
}

/* More records than one part of a batch takes, with lines between them that are none. */
static void test_far_behind(void)
{
    unsigned offsets[60];
    size_t length = 0, most = 256 * 1024;
    char *text = malloc(most), wanted[80];
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (unsigned i = 0; i < 60000; i++) {
        if (i % 1000 == 999)
            offsets[i / 1000] = (unsigned)length;
        length += (size_t)snprintf(text + length, most - length, "%s\n\n",
                                   i % 1000 == 999 ? "oops" : "7");
    }
    const char *line = rejects_of(text, length, "ndjson", "pass");
    free(text);
    for (unsigned i = 0; i < 60; i++) {
        const char *place = strstr(line, ",\"line\":");
        CU_ASSERT_PTR_NOT_NULL_FATAL(place);
        snprintf(wanted, sizeof(wanted), ",\"line\":%u,\"offset\":%u,", 2 * (1000 * i + 999) + 1,
                 offsets[i]);
        CU_ASSERT_EQUAL(strncmp(place, wanted, strlen(wanted)), 0);
        line = strchr(place, '\n') + 1;
    }
    CU_ASSERT_STRING_EQUAL(line, "");
}

SUITE(rejects, {"JSON", test_json}, {"CSV with its header", test_csv},
      {"over-long records", test_overlong}, {"behind many others", test_far_behind},
      {"refused by the sink", test_by_sink})
