/* What became of every record: rejects, exit statuses, the ledger and its report. */
#include "tests/cli/process.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/suite.h"

/* Record 2 is malformed; record 4 fails to evaluate in `put b = 10 / a`. */
static const char *const mixed = "{\"a\":1}\n{\"a\":oops}\n{\"a\":5}\n{\"a\":0}\n{\"a\":2}\n";

static void first_reject_stops(void)
{
    struct process leat = LEAT(mixed, "put b = 10 / a");
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "stdin:2:6");
    process_free(&leat);
}

static void evaluation_error_stops(void)
{
    struct process leat = LEAT("{\"a\":1}\n{\"a\":0}\n", "put b = 10 / a");
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "stdin:2");
    EXPECT_ERR(leat, "divide by zero");
    process_free(&leat);
}

static void rejects_go_to_their_file(void)
{
    const char *folder = folder_make();
    struct process leat = {.folder = folder,
                           .input = mixed,
                           .arguments = {"put b = 10 / a", "--reject", "bad.ndjson"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 3); /* fail when: more than 0, if left out */
    EXPECT_OUT(leat, "{\"a\":1,\"b\":10}\n{\"a\":5,\"b\":2}\n{\"a\":2,\"b\":5}\n");
    char *text = file_read(path_join(folder, "bad.ndjson"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    struct process python =
        PYTHON(text, "import sys, json\n"
                     "for line in sys.stdin:\n"
                     "    r = json.loads(line)\n"
                     "    print(sorted(r), r['line'], r['offset'], r['source'], r['record'],\n"
                     "          r['error'].split(':')[0])");
    EXPECT_OUT(python, "['attempts', 'error', 'line', 'offset', 'record', 'source', 'stage', "
                       "'time'] 2 8 stdin {\"a\":oops} malformed\n"
                       "['attempts', 'error', 'line', 'offset', 'record', 'source', 'stage', "
                       "'time'] 4 27 stdin {\"a\":0} divide_by_zero\n");
    EXPECT_ERR(leat, "1 rejected");
    EXPECT_ERR(leat, "malformed");
    EXPECT_ERR(leat, "divide_by_zero");
    EXPECT_ERR(leat, "5 read = 3 written + 2 rejected");
    free(text);
    process_free(&leat);
    process_free(&python);
}

static void fail_when(void)
{
    static const struct {
        const char *limit;
        int status;
    } cases[] = {{"> 1", 3}, {"> 2", 0}, {"> 39%", 3}, {"> 40%", 0}, {"> 0", 3}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *folder = folder_make();
        char program[256];
        snprintf(program, sizeof(program),
                 "put b = 10 / a | into file \"good\" | reject into file \"bad\" | "
                 "fail when rejected %s",
                 cases[i].limit);
        file_write(path_join(folder, "good"), "old\n");
        struct process leat = {.folder = folder, .input = mixed, .arguments = {program}};
        process_run(&leat);
        EXPECT_STATUS(leat, cases[i].status);
        char *text = file_read(path_join(folder, "good"));
        CU_ASSERT_EQUAL(strcmp(text, "old\n") == 0, cases[i].status == 3);
        free(text);
        process_free(&leat);
    }
}

static void mismatches_are_counted(void)
{
    struct process leat =
        LEAT("{\"a\":1}\n{\"a\":null}\n{\"a\":\"x\"}\n{\"a\":9}\n", "where a > 5");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"a\":9}\n");
    EXPECT_ERR(leat, "no_such_overload");
    process_free(&leat);
    leat = LEAT("{\"a\":1}\n{\"a\":null}\n", "where strict a > 5");
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "stdin:2");
    process_free(&leat);
}

static void never_seen_is_told(void)
{
    struct process leat = LEAT("{\"status\":1}\n", "where has(statsu)");
    EXPECT_STATUS(leat, 0);
    EXPECT_ERR(leat, "no record had a field \"statsu\"; did you mean \"status\"?");
    process_free(&leat);
}

static void quiet_is_quiet(void)
{
    struct process leat = LEAT("{\"status\":1}\n", "where has(statsu)", "--quiet");
    EXPECT_STATUS(leat, 0);
    CU_ASSERT_STRING_EQUAL(leat.err, "");
    process_free(&leat);
}

static const char *const report_script =
    "import sys, json\n"
    "r = json.load(open(sys.argv[1]))\n"
    "print(' '.join(r))\n"
    "print(' '.join(r['stages'][0]))\n"
    "print(r['status'], r['exit'], r['read'], r['written'], r['filtered'], r['rejected'],\n"
    "      r['bytes_read'], r['bytes_written'], r['fields_never_seen'])\n"
    "assert r['read'] + r['created'] == r['written'] + r['filtered'] + r['absorbed'] + "
    "r['rejected']\n"
    "assert r['seconds'] >= 0 and r['peak_rss_bytes'] > 1000000\n"
    "assert any(s['read'] == r['read'] and s['filtered'] == r['filtered'] for s in r['stages'])\n";

#define REPORT_KEYS                                                                                \
    "status exit read created written filtered absorbed rejected bytes_read bytes_written "        \
    "seconds peak_rss_bytes stages fields_never_seen causes errors\n"                              \
    "name read written filtered rejected busy_seconds wait_input_seconds wait_output_seconds\n"

static void report_has_its_keys(void)
{
    const char *folder = folder_make();
    const char *path = path_join(folder, "report.json");
    struct process leat =
        LEAT("{\"a\":1}\n{\"a\":7}\n{\"a\":9}\n", "where a > 5 && !has(zz)", "--report", path);
    EXPECT_STATUS(leat, 0);
    struct process python = PYTHON(NULL, report_script, path);
    EXPECT_STATUS(python, 0);
    EXPECT_OUT(python, REPORT_KEYS "done 0 3 2 1 0 24 16 ['zz']\n");
    CU_ASSERT_EQUAL(folder_count(folder), 1);
    process_free(&leat);
    process_free(&python);
}

static void report_of_a_failure(void)
{
    static const char *const script = "import sys, json\n"
                                      "r = json.load(open(sys.argv[1]))\n"
                                      "print(r['status'], r['exit'], len(r['errors']))\n";
    const char *folder = folder_make();
    const char *path = path_join(folder, "report.json");
    struct process leat = LEAT("{\"a\":oops}\n", "pass", "--report", path);
    EXPECT_STATUS(leat, 1);
    struct process python = PYTHON(NULL, script, path);
    EXPECT_OUT(python, "failed 1 1\n");
    process_free(&leat);
    process_free(&python);
    leat = LEAT(NULL, "wehre a", "--report", path);
    EXPECT_STATUS(leat, 2);
    python = PYTHON(NULL, script, path);
    EXPECT_OUT(python, "wrong 2 0\n");
    process_free(&leat);
    process_free(&python);
}

static void report_that_cannot_be_written(void)
{
    const char *folder = folder_make();
    struct process leat =
        LEAT("{\"a\":1}\n", "pass", "--report", path_join(folder, "missing/report.json"));
    EXPECT_STATUS(leat, 1);
    EXPECT_OUT(leat, "{\"a\":1}\n");
    EXPECT_ERR(leat, "missing/");
    process_free(&leat);
}

static void run_prints_the_ledger(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "pipeline.conf"), "from stdin\nwhere a > 5\ninto stdout\n");
    struct process leat = {
        .folder = folder, .input = "{\"a\":1}\n{\"a\":7}\n", .arguments = {"run"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"a\":7}\n");
    EXPECT_ERR(leat, "ledger\n");
    EXPECT_ERR(leat, "balanced");
    EXPECT_ERR(leat, "wait out");
    process_free(&leat);
}

/* Four records at two a second: longer than the half second for which nothing is drawn. */
static const char *const four = "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n{\"a\":4}\n";
static const char *const slowly = "limit 2/s { burst 1 }";

static void progress_always(void)
{
    struct process leat = LEAT(four, slowly, "--progress", "always");
    EXPECT_STATUS(leat, 0);
    EXPECT_ERR(leat, "\rleat: ");
    EXPECT_ERR(leat, " records");
    EXPECT_ERR(leat, "\r\033[K");
    process_free(&leat);
}

static void no_progress_in_a_pipe(void)
{
    struct process leat = LEAT(four, slowly);
    EXPECT_STATUS(leat, 0);
    CU_ASSERT_PTR_NULL(strchr(leat.err, '\r'));
    process_free(&leat);
}

/* Each drawing, from "\r" to the sequence that clears the rest, is narrower than the terminal. */
static void progress_fits_the_terminal(void)
{
    struct process leat = {.input = four, .terminal_width = 40, .arguments = {slowly}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    unsigned drawn = 0;
    for (const char *at = leat.err; (at = strstr(at, "\rleat: ")); at++) {
        const char *end = strstr(at, "\033[K");
        CU_ASSERT_PTR_NOT_NULL_FATAL(end);
        CU_ASSERT_TRUE(end - at - 1 < 40);
        drawn++;
    }
    CU_ASSERT_TRUE(drawn > 0);
    process_free(&leat);
}

SUITE(outcomes, {"the first reject stops", first_reject_stops},
      {"an evaluation error stops", evaluation_error_stops},
      {"rejects go to their file", rejects_go_to_their_file}, {"fail when", fail_when},
      {"mismatches are counted", mismatches_are_counted},
      {"a field never seen is told", never_seen_is_told}, {"quiet", quiet_is_quiet},
      {"report keys", report_has_its_keys}, {"report of a failure", report_of_a_failure},
      {"a report that cannot be written", report_that_cannot_be_written},
      {"run prints the ledger", run_prints_the_ledger}, {"progress always", progress_always},
      {"no progress in a pipe", no_progress_in_a_pipe},
      {"progress fits the terminal", progress_fits_the_terminal})
