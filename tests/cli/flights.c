/* The figures of the flights of 2013, as the shared data's README states them: 336,776 flights,
 * 328,521 with a dep_delay, 26,581 of them over 60; distances 350,217,607 and 25,212,207. */
#include "tests/cli/process.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"

static const char *flights(void)
{
    static char path[PATH_MAX];
    const char *shared = suite_shared_data("flights.csv.zst");
    if (!shared || !realpath(shared, path)) {
        suite_skip("../shared/data/flights.csv.zst is not here");
        return NULL;
    }
    return path;
}

static const char *const sum_script = "import sys, json\n"
                                      "rows = [json.loads(line) for line in sys.stdin]\n"
                                      "print(len(rows), sum(r['distance'] for r in rows))";

static void distances(void)
{
    const char *path = flights();
    if (!path)
        return;
    static const struct {
        const char *statements;
        const char *figures;
    } cases[] = {{"select distance", "336776 350217607\n"},
                 {"where dep_delay > 60 | select distance", "26581 25212207\n"}};
    for (size_t i = 0; i < 2; i++) {
        char program[PATH_MAX + 200];
        snprintf(program, sizeof(program),
                 "from file \"%s\" { null \"NA\" } | %s | into stdout "
                 "{ format ndjson }",
                 path, cases[i].statements);
        struct process leat = LEAT(NULL, program);
        EXPECT_STATUS(leat, 0);
        struct process python = PYTHON(leat.out, sum_script);
        EXPECT_OUT(python, cases[i].figures);
        process_free(&leat);
        process_free(&python);
    }
}

static void counts(void)
{
    const char *path = flights();
    if (!path)
        return;
    char program[PATH_MAX + 200];
    snprintf(program, sizeof(program),
             "from file \"%s\" { null \"NA\" } | where dep_delay != null | count | into stdout "
             "{ format ndjson }",
             path);
    const char *report = path_join(folder_make(), "report.json");
    struct process leat = LEAT(NULL, program, "--report", report);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"count\":328521}\n");
    struct process python =
        PYTHON(NULL,
               "import sys, json\n"
               "r = json.load(open(sys.argv[1]))\n"
               "print(r['read'], r['filtered'], r['absorbed'], r['created'], r['written'])",
               report);
    EXPECT_OUT(python, "336776 8255 328521 1 1\n");
    process_free(&leat);
    process_free(&python);
}

SUITE(flights, {"distances", distances}, {"counts", counts})
