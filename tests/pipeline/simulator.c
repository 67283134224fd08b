/* Thousands of seeded runs in the simulator: any schedule, batch size, number of workers, short
 * read, failed operation and signal, over several files, formats and sinks, with little memory. The
 * oracle is the model in trial.c: the outputs and the rejects must be the model's and the ledger
 * its counts, or the run has failed and left the old targets.
 *
 * LEAT_SEEDS=N runs N seeds (10,000 if unset; a tenth of it under a sanitizer); LEAT_SEED=K runs
 * just that one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lang/parse.h"
#include "pipeline/simulator.h"
#include "tests/pipeline/trial.h"
#include "tests/suite.h"

#define LINES_MOST (RECORDS_MOST * 24)

static struct trial trial;
static struct trial_text scratch;
static char folder[64];
static char program_text[4096];

/* ---- files ---- */

static const char *path_of(const char *name, unsigned index)
{
    static char paths[4][160];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s%u.%s", folder, name, index,
             (strcmp(name, "in") == 0 ? trial.csv_input : index == 1) ? "csv" : "ndjson");
    return path;
}

static bool write_file(const char *path, const char *text, size_t length)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    bool good = fwrite(text, 1, length, file) == length;
    return fclose(file) == 0 && good;
}

/* Into `scratch`; false: there is none. */
static bool read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    scratch.length = fread(scratch.data, 1, TEXT_MOST - 1, file);
    scratch.data[scratch.length] = 0;
    return fclose(file) == 0;
}

static int line_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the lines of a text in place. */
static void sort_lines(struct trial_text *text)
{
    static char *copy, *lines[LINES_MOST];
    size_t count = 0;
    if (!copy && !(copy = malloc(TEXT_MOST)))
        abort();
    memcpy(copy, text->data, text->length);
    copy[text->length] = 0;
    for (char *line = copy, *end; *line && count < LINES_MOST; line = end + 1) {
        lines[count++] = line;
        end = strchr(line, '\n');
        if (!end)
            break;
        *end = 0;
    }
    qsort(lines, count, sizeof(*lines), line_compare);
    text->length = 0;
    for (size_t i = 0; i < count; i++)
        text_append(text, "%s\n", lines[i]);
}

/* ---- what came of it ---- */

static bool fail(const char *what)
{
    printf(
        "\nsimulator: seed %llu: %s\n%s  replay: LEAT_SEED=%llu build/tests/pipeline simulator\n",
        (unsigned long long)trial.seed, what, program_text, (unsigned long long)trial.seed);
    return false;
}

/* Whether `scratch` is what `expected` says, in any order where the run keeps none. */
static bool is_expected(struct trial_text *expected, bool header)
{
    if (header && trial.written == 0)
        return true; /* perhaps a header, perhaps nothing */
    if (trial.any_order) {
        sort_lines(&scratch);
        sort_lines(expected);
    }
    return scratch.length == expected->length &&
           memcmp(scratch.data, expected->data, expected->length) == 0;
}

/* The old target, or all of the new one where the failure came behind its renaming. */
static bool check_failure(const char *path, struct trial_text *expected, bool header)
{
    if (!read_file(path))
        return fail("a failed run removed the old target");
    if (scratch.length == 3 && memcmp(scratch.data, "old", 3) == 0)
        return true;
    return (!trial.must_fail && is_expected(expected, header)) ||
           fail("a failed run did not leave the old target");
}

static bool check_output(const char *path, struct trial_text *expected, bool header)
{
    if (!read_file(path))
        return fail("no target");
    if (is_expected(expected, header))
        return true;
    printf("\n--- is\n%.*s--- should be\n%.*s", (int)scratch.length, scratch.data,
           (int)expected->length, expected->data);
    return fail("the output is not the model's");
}

static bool check_rejects(const char *path)
{
    if (!read_file(path))
        return fail("no file of rejects");
    const char *line = scratch.data;
    for (unsigned i = 0; i < trial.rejected; i++) {
        const struct trial_reject *at = &trial.rejected_at[i];
        char wanted[300];
        const char *end = strchr(line, '\n'), *stage = strstr(line, ",\"stage\":");
        snprintf(wanted, sizeof(wanted),
                 ",\"stage\":\"%s\",\"source\":\"%s\",\"line\":%llu,\"offset\":%llu,", at->stage,
                 path_of("in", at->file), (unsigned long long)at->line,
                 (unsigned long long)at->offset);
        if (!end || !stage || strncmp(stage, wanted, strlen(wanted)) != 0)
            return printf("\n--- is\n%.300s\n--- should hold\n%s\n", line, wanted),
                   fail("a reject is not the model's");
        line = end + 1;
    }
    return *line == 0 || fail("more rejects than the model's");
}

static bool check_ledger(struct run *run)
{
    struct run_totals is;
    char why[300];
    run_snapshot(run, &is);
    if (is.read == trial.read && is.written == trial.written && is.filtered == trial.filtered &&
        is.absorbed == trial.absorbed && is.created == trial.created &&
        is.rejected == trial.rejected)
        return true;
    snprintf(why, sizeof(why),
             "ledger: read %llu/%u written %llu/%u filtered %llu/%u absorbed %llu/%u created "
             "%llu/%u rejected %llu/%u (is/should be)",
             (unsigned long long)is.read, trial.read, (unsigned long long)is.written, trial.written,
             (unsigned long long)is.filtered, trial.filtered, (unsigned long long)is.absorbed,
             trial.absorbed, (unsigned long long)is.created, trial.created,
             (unsigned long long)is.rejected, trial.rejected);
    return fail(why);
}

/* Without `reject into`, the first reject in input order is what ended the run. */
static bool check_fatal(struct run *run)
{
    char wanted[300];
    const struct trial_reject *at = &trial.rejected_at[0];
    int length = snprintf(wanted, sizeof(wanted), "%s:%llu", path_of("in", at->file),
                          (unsigned long long)at->line);
    const char *text = run_error_count(run) ? run_error(run, 0)->text : "";
    if (strncmp(text, wanted, (size_t)length) == 0 && text[length] == ':')
        return true;
    printf("\n--- is\n%s\n--- should begin with\n%s\n", text, wanted);
    return fail("the first reject is not what ended the run");
}

static bool trial_check(struct run *run, bool undisturbed)
{
    int status = run_exit_status(run);
    int wanted = trial.rejected ? RUN_REJECTED : RUN_DONE;
    if (trial.must_fail && status == wanted)
        return fail("a reject was not borne, but the run did not fail");
    if (status == wanted)
        return check_ledger(run) && check_output(path_of("out", 0), &trial.lines, false) &&
               (!trial.csv_output || check_output(path_of("out", 1), &trial.csv, true)) &&
               (!trial.rejects || check_rejects(path_of("rejects", 0)));
    if (!trial.must_fail && undisturbed) {
        char why[600];
        snprintf(why, sizeof(why), "exit status %d: %s", status,
                 run_error_count(run) ? run_error(run, 0)->text : "(no error)");
        return fail(why);
    }
    if (run_error_count(run) == 0 && status < 128)
        return fail("a run failed without saying why");
    if (undisturbed && !check_fatal(run))
        return false;
    return check_failure(path_of("out", 0), &trial.lines, false) &&
           (!trial.csv_output || check_failure(path_of("out", 1), &trial.csv, true));
}

/* ---- one seed ---- */

static bool trial_run(const struct program *program, struct diagnostics *diagnostics)
{
    struct error error;
    struct io_simulation *simulation = io_simulation_open(trial.seed, &error);
    if (!simulation)
        return fail(error.text);
    struct run_options options = {.workers = 1 + trial_below(&trial, 7),
                                  .io = IO_ENGINE_SIMULATED,
                                  .fresh = true, /* not the failed run of another seed */
                                  .order = trial.any_order ? "none" : "input",
                                  .memory = (trial_below(&trial, 2) ? 8u : 16u) << 20};
    struct simulator_options schedule = {.step_limit = 4000000};
    bool faults = trial_below(&trial, 5) == 0;
    if (faults)
        io_simulation_fail(simulation, 1 + trial_below(&trial, 60),
                           trial_below(&trial, 2) ? EIO : ENOSPC);
    else if (trial_below(&trial, 8) == 0)
        schedule.stop_after = 1 + trial_below(&trial, 600);
    if (schedule.stop_after && trial_below(&trial, 2))
        schedule.abort_after = schedule.stop_after + trial_below(&trial, 100) + 1;
    struct plan *plan = plan_open(program, &options, diagnostics, &error);
    bool good = false;
    if (!plan) {
        diagnostics_print(diagnostics, stdout);
        good = fail(error.text);
    } else {
        struct run *run = simulator_run(plan, simulation, &schedule, &error);
        good = run ? trial_check(run, !faults && !schedule.stop_after) : fail(error.text);
        run_close(run);
    }
    plan_close(plan);
    io_simulation_close(simulation);
    return good;
}

static bool trial_files(void)
{
    char batch[24];
    snprintf(batch, sizeof(batch), "%u", trial.batch_text);
    bool good = setenv("LEAT_BATCH_TEXT", batch, 1) == 0;
    for (unsigned i = 0; i < FILES_MOST; i++) {
        if (i >= trial.files) {
            (void)remove(path_of("in", i));
            continue;
        }
        trial_input(&trial, i, &scratch);
        good &= write_file(path_of("in", i), scratch.data, scratch.length);
    }
    for (unsigned i = 0; i < 2; i++)
        good &= write_file(path_of("out", i), "old", 3);
    return good;
}

static void program_write(void)
{
    struct trial_text text = {.data = program_text};
    text_append(&text, "pipeline simulated { record_limit 2KiB }\n");
    if (trial.glob)
        text_append(&text, "from file \"%s/in*.%s\"\n", folder, trial.csv_input ? "csv" : "ndjson");
    for (unsigned i = 0; !trial.glob && i < trial.files; i++)
        text_append(&text, "from file \"%s\"\n", path_of("in", i));
    text_append(&text, "%sinto file \"%s\"\n", trial.program, path_of("out", 0));
    if (trial.csv_output)
        text_append(&text, "into file \"%s\"\n", path_of("out", 1));
    if (trial.rejects)
        text_append(&text, "reject into file \"%s\"\n", path_of("rejects", 0));
}

static bool trial_seed(uint64_t seed)
{
    struct diagnostics diagnostics;
    trial_plan(&trial, seed);
    program_write();
    if (!trial_files())
        return fail("cannot write the input");
    trial_model(&trial);
    diagnostics_open(&diagnostics, "program", (struct string){program_text, strlen(program_text)});
    struct program *program = program_parse(registry_get(), &diagnostics);
    bool good = program && diagnostics.errors == 0;
    if (good) {
        good = trial_run(program, &diagnostics);
    } else {
        diagnostics_print(&diagnostics, stdout);
        fail("the program does not parse");
    }
    program_free(program);
    diagnostics_close(&diagnostics);
    return good;
}

/* Memory beats a disk that syncs. */
static void folder_make(void)
{
    snprintf(folder, sizeof(folder), "/dev/shm/leat-simulator-XXXXXX");
    if (!mkdtemp(folder))
        snprintf(folder, sizeof(folder), "%s", suite_folder());
    scratch.data = malloc(TEXT_MOST);
    trial.lines.data = malloc(TEXT_MOST);
    trial.csv.data = malloc(TEXT_MOST);
    CU_ASSERT_FATAL(scratch.data && trial.lines.data && trial.csv.data);
}

static void folder_remove(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    CU_ASSERT_EQUAL(system(command), 0);
    free(scratch.data);
    free(trial.lines.data);
    free(trial.csv.data);
}

static void test_seeds(void)
{
    const char *one = getenv("LEAT_SEED"), *many = getenv("LEAT_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one                        ? 1
                     : many                     ? strtoull(many, NULL, 10)
                     : getenv("LEAT_SANITIZED") ? 1000
                                                : 10000;
    unsigned failed = 0;
    folder_make();
    for (uint64_t seed = first; seed < first + count && failed < 5; seed++)
        failed += !trial_seed(seed);
    unsetenv("LEAT_BATCH_TEXT");
    folder_remove();
    CU_ASSERT_EQUAL(failed, 0);
    printf("(%llu seeds) ", (unsigned long long)count);
}

SUITE(simulator, {"seeded runs come out as their models say", test_seeds})
