/* Power cuts on a disk that forgets (disk.h): seeded runs in the simulator are recorded, states in
 * which a power cut may leave their files are made, also while a run recovers from one, and the
 * very pipeline runs over them to its end. Outputs, rejects and ledger must be those of a run that
 * nobody disturbed, and those must be the model's (trial.h).
 *
 * LEAT_CRASH_STATES=N makes N states (20,000 if unset; a tenth of it under a sanitizer);
 * LEAT_SEED=K makes those of just that seed. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lang/parse.h"
#include "pipeline/simulator.h"
#include "tests/pipeline/disk.h"
#include "tests/pipeline/trial.h"
#include "tests/suite.h"

#define STATES_EACH 12 /* of one recorded run */
#define RESULT_MOST (4 * TEXT_MOST)
#define DEPTH_MOST  3 /* power cuts one after another */

enum target { PLAIN, APPENDED, ZSTD, GZIP, DATABASE, DATABASE_APPENDED, TARGETS };

static struct trial trial;
static struct trial_text scratch;
static char folder[64], pool[80];
static char program_text[4096];
static enum target target;
static bool two; /* a plain file beside it */
static char checkpoint_every[8];

struct result {
    char *data;
    size_t length;
};
static struct result expected, found;
static unsigned states_made;

static const char *const target_names[] = {"out.ndjson",    "out.ndjson", "out.ndjson.zst",
                                           "out.ndjson.gz", "out.db",     "out.db"};

static bool is_database(void)
{
    return target == DATABASE || target == DATABASE_APPENDED;
}

static bool adds_to(void)
{
    return target == APPENDED || target == DATABASE_APPENDED;
}

/* ---- files ---- */

static const char *path_of(const char *name)
{
    static char paths[4][160];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
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

static void result_add(struct result *result, const char *data, size_t length)
{
    if (result->length + length >= RESULT_MOST)
        abort();
    memcpy(result->data + result->length, data, length);
    result->length += length;
    result->data[result->length] = 0;
}

/* The file behind its name; rejects without the time, which is another in each run. */
static void result_add_file(struct result *result, const char *name)
{
    char title[64];
    result_add(result, title, (size_t)snprintf(title, sizeof(title), "== %s\n", name));
    FILE *file = fopen(path_of(name), "r");
    if (!file) {
        result_add(result, "(none)\n", 7);
        return;
    }
    size_t begin = result->length;
    result->length += fread(result->data + begin, 1, RESULT_MOST - 1 - begin, file);
    result->data[result->length] = 0;
    fclose(file);
    char *from = result->data + begin;
    for (char *time; (time = strstr(from, ",\"time\":\"")) != NULL; from = time) {
        char *end = strchr(time + 9, '"');
        if (!end)
            break;
        memmove(time, end + 1, (size_t)(result->data + result->length - end));
        result->length -= (size_t)(end + 1 - time);
    }
}

static int row_add(void *context, int columns, char **values, char **names)
{
    struct result *result = context;
    (void)names;
    for (int i = 0; i < columns; i++) {
        result_add(result, values[i] ? values[i] : "NULL", strlen(values[i] ? values[i] : "NULL"));
        result_add(result, "|", 1);
    }
    result_add(result, "\n", 1);
    return 0;
}

static void result_add_table(struct result *result)
{
    sqlite3 *database = NULL;
    char *message = NULL;
    result_add(result, "== table\n", 9);
    if (sqlite3_open_v2(path_of("out.db"), &database, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_exec(database, "PRAGMA integrity_check; SELECT * FROM t", row_add, result,
                     &message) != SQLITE_OK)
        result_add(result, message ? message : "no database",
                   strlen(message ? message : "no database"));
    sqlite3_free(message);
    sqlite3_close(database);
}

static void result_read(struct result *result)
{
    result->length = 0;
    result->data[0] = 0;
    if (is_database())
        result_add_table(result);
    else
        result_add_file(result, target_names[target]);
    if (two)
        result_add_file(result, "beside.ndjson");
    if (trial.rejects)
        result_add_file(result, "rejects.ndjson");
}

/* ---- what came of it ---- */

static bool fail(const char *what)
{
    printf("\ncrash states: seed %llu: %s\n%s  replay: LEAT_SEED=%llu build/tests/pipeline "
           "crash_states\n",
           (unsigned long long)trial.seed, what, program_text, (unsigned long long)trial.seed);
    return false;
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
    if (adds_to() && is.read == 0 && is.written == 0)
        return true; /* all was done: nothing to add */
    snprintf(why, sizeof(why),
             "ledger: read %llu/%u written %llu/%u filtered %llu/%u absorbed %llu/%u created "
             "%llu/%u rejected %llu/%u (is/should be)",
             (unsigned long long)is.read, trial.read, (unsigned long long)is.written, trial.written,
             (unsigned long long)is.filtered, trial.filtered, (unsigned long long)is.absorbed,
             trial.absorbed, (unsigned long long)is.created, trial.created,
             (unsigned long long)is.rejected, trial.rejected);
    return fail(why);
}

static bool check_status(struct run *run)
{
    int status = run_exit_status(run);
    struct run_totals is;
    char why[700];
    run_snapshot(run, &is);
    if (status == (is.rejected ? RUN_REJECTED : RUN_DONE))
        return true;
    snprintf(why, sizeof(why), "exit status %d: %s", status,
             run_error_count(run) ? run_error(run, 0)->text : "(no error)");
    return fail(why);
}

static bool check_result(void)
{
    result_read(&found);
    if (found.length == expected.length && memcmp(found.data, expected.data, found.length) == 0)
        return true;
    size_t at = 0;
    while (at < found.length && at < expected.length && found.data[at] == expected.data[at])
        at++;
    printf("\n%zu bytes, should be %zu; from %zu on\n--- is\n%.300s\n--- should be\n%.300s\n",
           found.length, expected.length, at, found.data + at, expected.data + at);
    return fail("what a run left behind a power cut is not what it leaves undisturbed");
}

/* ---- running ---- */

static void program_write(void)
{
    struct trial_text text = {.data = program_text};
    text_append(&text, "pipeline simulated { record_limit 2KiB }\n");
    if (trial.glob)
        text_append(&text, "from file \"%s/in*.%s\"\n", folder, trial.csv_input ? "csv" : "ndjson");
    for (unsigned i = 0; !trial.glob && i < trial.files; i++)
        text_append(&text, "from file \"%s/in%u.%s\"\n", folder, i,
                    trial.csv_input ? "csv" : "ndjson");
    text_append(&text, "%s", trial.program);
    if (is_database())
        text_append(&text, "into sqlite \"%s\" { table t  mode %s }\n", path_of("out.db"),
                    target == DATABASE ? "replace" : "append");
    else
        text_append(&text, "into file \"%s\"%s\n", path_of(target_names[target]),
                    target == APPENDED ? " { mode append }" : "");
    if (two)
        text_append(&text, "into file \"%s\"\n", path_of("beside.ndjson"));
    if (trial.rejects)
        text_append(&text, "reject into file \"%s\"\n", path_of("rejects.ndjson"));
}

static bool inputs_write(void)
{
    char name[32];
    bool good = true;
    for (unsigned i = 0; i < FILES_MOST; i++) {
        for (unsigned csv = 0; csv < 2; csv++) {
            snprintf(name, sizeof(name), "in%u.%s", i, csv ? "csv" : "ndjson");
            (void)remove(path_of(name));
        }
        if (i >= trial.files)
            continue;
        trial_input(&trial, i, &scratch);
        snprintf(name, sizeof(name), "in%u.%s", i, trial.csv_input ? "csv" : "ndjson");
        good &= write_file(path_of(name), scratch.data, scratch.length);
    }
    return good;
}

/* One run to its end in a schedule of its own. */
static bool run_once(const struct program *program, struct diagnostics *diagnostics, uint64_t seed,
                     struct disk_trace *trace)
{
    struct error error;
    struct io_simulation *simulation = io_simulation_open(seed, &error);
    if (!simulation)
        return fail(error.text);
    struct run_options options = {.workers = 1 + (unsigned)(seed % 5),
                                  .io = IO_ENGINE_SIMULATED,
                                  .order = trial.any_order ? "none" : "input",
                                  .memory = 16u << 20};
    struct simulator_options schedule = {.step_limit = 4000000};
    if (trace)
        disk_trace_begin(trace);
    struct plan *plan = plan_open(program, &options, diagnostics, &error);
    bool good = false;
    if (!plan) {
        diagnostics_print(diagnostics, stdout);
        good = fail(error.text);
    } else {
        struct run *run = simulator_run(plan, simulation, &schedule, &error);
        good = run ? check_status(run) && check_ledger(run) : fail(error.text);
        run_close(run);
    }
    plan_close(plan);
    if (trace)
        disk_trace_end(trace);
    io_simulation_close(simulation);
    return good;
}

/* States of the recorded run, each run to its end; some of those are recorded again. */
static bool states_try(const struct program *program, struct diagnostics *diagnostics,
                       const struct disk_trace *trace, unsigned depth, unsigned count)
{
    struct disk_trace *deeper = depth < DEPTH_MOST ? disk_trace_open(folder, pool) : NULL;
    bool good = true;
    for (unsigned i = 0; i < count && good; i++) {
        unsigned at = trial_below(&trial, disk_trace_length(trace) + 1);
        uint64_t seed = trial.state;
        bool recorded = deeper && trial_below(&trial, 4) == 0;
        disk_trace_crash(trace, at, seed);
        states_made++;
        good = run_once(program, diagnostics, seed, recorded ? deeper : NULL) && check_result();
        if (!good)
            printf("  the cut: behind operation %u of %u, the %u. in a row\n", at,
                   disk_trace_length(trace), depth);
        else if (recorded)
            good = states_try(program, diagnostics, deeper, depth + 1, 3);
    }
    if (deeper)
        disk_trace_close(deeper);
    return good;
}

static bool trial_try(const struct program *program, struct diagnostics *diagnostics)
{
    struct disk_trace *trace = disk_trace_open(folder, pool);
    disk_clear(folder, pool);
    if (target == APPENDED && !write_file(path_of("out.ndjson"), "{\"old\":1}\n", 10))
        return fail("cannot write the target");
    bool good = run_once(program, diagnostics, trial.state, NULL);
    if (good) {
        result_read(&expected);
        disk_clear(folder, pool);
        if (target == APPENDED)
            (void)write_file(path_of("out.ndjson"), "{\"old\":1}\n", 10);
        good = run_once(program, diagnostics, trial.state + 1, trace) && check_result() &&
               states_try(program, diagnostics, trace, 1, STATES_EACH);
    }
    disk_trace_close(trace);
    return good;
}

/* False: the seed's trial is none for this. */
static bool trial_choose(uint64_t seed)
{
    trial_plan(&trial, seed);
    target = (enum target)trial_below(&trial, TARGETS);
    if (is_database() && !trial.csv_output)
        target = PLAIN; /* records of several shapes */
    if (adds_to() && strstr(trial.program, "head "))
        target = ZSTD; /* the next run takes the next records */
    two = trial_below(&trial, 3) == 0 && !adds_to();
    trial.any_order = false;
    snprintf(checkpoint_every, sizeof(checkpoint_every), "%u", 1 + trial_below(&trial, 4));
    program_write();
    return inputs_write();
}

static bool trial_seed(uint64_t seed)
{
    struct diagnostics diagnostics;
    char batch[24];
    if (!trial_choose(seed))
        return fail("cannot write the input");
    trial_model(&trial);
    if (trial.must_fail)
        return true;
    snprintf(batch, sizeof(batch), "%u", trial.batch_text);
    if (setenv("LEAT_BATCH_TEXT", batch, 1) != 0 ||
        setenv("LEAT_CHECKPOINT", checkpoint_every, 1) != 0)
        return fail("no environment");
    diagnostics_open(&diagnostics, "program", (struct string){program_text, strlen(program_text)});
    struct program *program = program_parse(registry_get(), &diagnostics);
    bool good = program && diagnostics.errors == 0;
    if (good) {
        good = trial_try(program, &diagnostics);
    } else {
        diagnostics_print(&diagnostics, stdout);
        fail("the program does not parse");
    }
    program_free(program);
    diagnostics_close(&diagnostics);
    return good;
}

/* ---- the test ---- */

static void folders_make(void)
{
    snprintf(folder, sizeof(folder), "/dev/shm/leat-crash-states-XXXXXX");
    if (!mkdtemp(folder))
        snprintf(folder, sizeof(folder), "%s", suite_folder());
    snprintf(pool, sizeof(pool), "%s/pool", folder);
    CU_ASSERT_FATAL(mkdir(pool, 0777) == 0);
    scratch.data = malloc(TEXT_MOST);
    trial.lines.data = malloc(TEXT_MOST);
    trial.csv.data = malloc(TEXT_MOST);
    expected.data = malloc(RESULT_MOST);
    found.data = malloc(RESULT_MOST);
    CU_ASSERT_FATAL(scratch.data && trial.lines.data && trial.csv.data && expected.data &&
                    found.data);
}

static void folders_remove(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    CU_ASSERT_EQUAL(system(command), 0);
    free(scratch.data);
    free(trial.lines.data);
    free(trial.csv.data);
    free(expected.data);
    free(found.data);
}

static void test_states(void)
{
    const char *one = getenv("LEAT_SEED"), *many = getenv("LEAT_CRASH_STATES");
    uint64_t seed = one ? strtoull(one, NULL, 10) : 1;
    unsigned count = many                       ? (unsigned)strtoul(many, NULL, 10)
                     : getenv("LEAT_SANITIZED") ? 2000
                                                : 20000;
    unsigned failed = 0;
    int own = dup(2), silent = open("/dev/null", O_WRONLY | O_CLOEXEC);
    folders_make();
    if (!one)
        dup2(silent, 2); /* every recovery says that it is one */
    do
        failed += !trial_seed(seed++);
    while (!one && states_made < count && failed < 5);
    dup2(own, 2);
    close(own);
    close(silent);
    unsetenv("LEAT_BATCH_TEXT");
    unsetenv("LEAT_CHECKPOINT");
    folders_remove();
    CU_ASSERT_EQUAL(failed, 0);
    printf("(%u states of %llu runs) ", states_made, (unsigned long long)seed - 1);
}

SUITE(crash_states, {"power cuts lose and double nothing", test_states})
