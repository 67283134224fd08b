/* Thousands of seeded runs in the simulator: any schedule, batch size, number of workers, short
 * read, failed operation and signal. The oracle is a model of each program in plain C below: the
 * output must be the model's and the ledger its counts, or the run has failed and left the old
 * target.
 *
 * LEAT_SEEDS=N runs N seeds (10,000 if unset); LEAT_SEED=K runs just that one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lang/parse.h"
#include "pipeline/simulator.h"
#include "tests/suite.h"

#define RECORDS_MOST 240
#define TEXT_MOST    (256 * 1024)

/* A case: the input's numbers and which lines are malformed, and what should come of it. */
struct trial {
    uint64_t seed;
    uint64_t state;
    char folder[128];
    unsigned records;
    bool bad[RECORDS_MOST];
    char program[400];
    char expected[TEXT_MOST];
    size_t expected_length;
    unsigned read, written, filtered, absorbed, created, rejected;
    bool any_order;
    bool may_fail;  /* faults or signals are injected */
    bool must_fail; /* a reject that is not borne */
    bool rejects;
};

static uint64_t next_random(struct trial *trial)
{
    uint64_t z = trial->state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

static unsigned below(struct trial *trial, unsigned limit)
{
    return (unsigned)(next_random(trial) % limit);
}

static void expect(struct trial *trial, const char *format, unsigned a, unsigned b)
{
    int written = snprintf(trial->expected + trial->expected_length,
                           TEXT_MOST - trial->expected_length, format, a, b);
    trial->expected_length += (size_t)written;
    trial->written++;
}

/* ---- the programs and their models; record i is {"n":i,"k":"k<i%4>","pad":"…"} ---- */

static void model_filter(struct trial *trial)
{
    unsigned m = 1 + below(trial, 5);
    snprintf(trial->program, sizeof(trial->program),
             "where n %% %u == 0 | put m = n * 2 | select n, m", m);
    for (unsigned i = 0; i < trial->records; i++) {
        trial->read++;
        if (trial->bad[i])
            trial->rejected++;
        else if (i % m == 0)
            expect(trial, "{\"n\":%u,\"m\":%u}\n", i, i * 2);
        else
            trial->filtered++;
    }
}

static void model_head(struct trial *trial)
{
    unsigned skip = below(trial, 30), head = below(trial, 60), m = 1 + below(trial, 3);
    snprintf(trial->program, sizeof(trial->program),
             "where n %% %u == 0 | skip %u | head %u | select n", m, skip, head);
    unsigned passed = 0, kept = 0;
    for (unsigned i = 0; i < trial->records && kept < head; i++) {
        trial->read++;
        if (trial->bad[i]) {
            trial->rejected++;
        } else if (i % m != 0 || passed++ < skip) {
            trial->filtered++;
        } else {
            expect(trial, "{\"n\":%u}\n", i, 0);
            kept++;
        }
    }
}

static void model_count(struct trial *trial)
{
    unsigned counts[4] = {0}, order[4], groups = 0, least = below(trial, 20);
    snprintf(trial->program, sizeof(trial->program), "count by k | where count > %u", least);
    for (unsigned i = 0; i < trial->records; i++) {
        trial->read++;
        if (trial->bad[i]) {
            trial->rejected++;
            continue;
        }
        trial->absorbed++;
        if (counts[i % 4]++ == 0)
            order[groups++] = i % 4;
    }
    trial->created = groups;
    for (unsigned i = 0; i < groups; i++) {
        if (counts[order[i]] > least)
            expect(trial, "{\"k\":\"k%u\",\"count\":%u}\n", order[i], counts[order[i]]);
        else
            trial->filtered++;
    }
}

static void model_limit(struct trial *trial)
{
    unsigned rate = 10 + below(trial, 10000), burst = 1 + below(trial, 40);
    snprintf(trial->program, sizeof(trial->program), "select n | limit %u/s { burst %u }", rate,
             burst);
    for (unsigned i = 0; i < trial->records; i++) {
        trial->read++;
        if (trial->bad[i])
            trial->rejected++;
        else
            expect(trial, "{\"n\":%u}\n", i, 0);
    }
}

static void model_two_serials(struct trial *trial)
{
    unsigned first = below(trial, 40);
    snprintf(trial->program, sizeof(trial->program),
             "skip %u | put a = n + 1 | count by k = a %% 3 | skip 1 | put c = count", first);
    unsigned counts[3] = {0}, order[3], groups = 0, passed = 0;
    for (unsigned i = 0; i < trial->records; i++) {
        trial->read++;
        if (trial->bad[i]) {
            trial->rejected++;
        } else if (passed++ < first) {
            trial->filtered++;
        } else {
            trial->absorbed++;
            if (counts[(i + 1) % 3]++ == 0)
                order[groups++] = (i + 1) % 3;
        }
    }
    trial->created = groups;
    trial->filtered += groups > 0;
    for (unsigned i = 1; i < groups; i++) {
        int written = snprintf(
            trial->expected + trial->expected_length, TEXT_MOST - trial->expected_length,
            "{\"k\":%u,\"count\":%u,\"c\":%u}\n", order[i], counts[order[i]], counts[order[i]]);
        trial->expected_length += (size_t)written;
        trial->written++;
    }
}

static void (*const models[])(struct trial *) = {model_filter, model_head, model_count, model_limit,
                                                 model_two_serials};

/* ---- files ---- */

static bool write_file(const char *path, const char *text, size_t length)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    bool good = fwrite(text, 1, length, file) == length;
    return fclose(file) == 0 && good;
}

static size_t read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return SIZE_MAX;
    size_t length = fread(text, 1, size, file);
    return fclose(file) == 0 ? length : SIZE_MAX;
}

static bool write_input(struct trial *trial, const char *path)
{
    static char text[TEXT_MOST];
    size_t length = 0;
    for (unsigned i = 0; i < trial->records; i++) {
        if (trial->bad[i])
            length += (size_t)snprintf(text + length, 64, "{\"n\":%u,oops}\n", i);
        else
            length += (size_t)snprintf(
                text + length, 200, "{\"n\":%u,\"k\":\"k%u\",\"pad\":\"%.*s\"}\n", i, i % 4,
                (int)below(trial, 40), "0123456789012345678901234567890123456789");
    }
    if (length && below(trial, 4) == 0)
        length--; /* no newline at the end */
    return write_file(path, text, length);
}

/* ---- one seed ---- */

static void trial_plan(struct trial *trial, uint64_t seed)
{
    memset(trial, 0, sizeof(*trial));
    trial->seed = seed;
    trial->state = seed * 0x2545F4914F6CDD1D + 1;
    trial->records = below(trial, 8) == 0 ? below(trial, 3) : below(trial, RECORDS_MOST);
    if (below(trial, 3) == 0)
        for (unsigned i = 0; i < trial->records; i++)
            trial->bad[i] = below(trial, 12) == 0;
    models[below(trial, sizeof(models) / sizeof(models[0]))](trial);
    trial->rejects = below(trial, 2) == 0;
    trial->must_fail = trial->rejected > 0 && !trial->rejects;
    trial->any_order = below(trial, 4) == 0;
}

static int line_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the lines of a text in place. */
static void sort_lines(char *text, size_t length)
{
    static char copy[TEXT_MOST];
    char *lines[RECORDS_MOST + 8];
    size_t count = 0;
    memcpy(copy, text, length);
    copy[length] = 0;
    for (char *line = copy; *line && count < RECORDS_MOST + 8;) {
        lines[count++] = line;
        char *end = strchr(line, '\n');
        if (!end)
            break;
        *end = 0;
        line = end + 1;
    }
    qsort(lines, count, sizeof(*lines), line_compare);
    size_t at = 0;
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, TEXT_MOST - at, "%s\n", lines[i]);
}

static bool fail(const struct trial *trial, const char *what)
{
    printf("\nsimulator: seed %llu: %s\n  program: %s\n  replay: LEAT_SEED=%llu "
           "build/tests/pipeline simulator\n",
           (unsigned long long)trial->seed, what, trial->program, (unsigned long long)trial->seed);
    return false;
}

/* The old target, or all of the new one where the failure came behind its renaming. */
static bool check_failure(struct trial *trial, const char *target)
{
    static char text[TEXT_MOST];
    size_t length = read_file(target, text, sizeof(text));
    if (length == trial->expected_length && trial->any_order) {
        sort_lines(text, length);
        sort_lines(trial->expected, trial->expected_length);
    }
    bool whole = !trial->must_fail && length == trial->expected_length &&
                 memcmp(text, trial->expected, length) == 0;
    if (!whole && (length != 3 || memcmp(text, "old", 3) != 0))
        return fail(trial, "a failed run did not leave the old target");
    return true;
}

static bool check_success(struct trial *trial, struct run *run, const char *target,
                          const char *rejects)
{
    static char text[TEXT_MOST];
    char why[300];
    struct run_totals totals;
    run_snapshot(run, &totals);
    size_t length = read_file(target, text, sizeof(text));
    if (length == SIZE_MAX)
        return fail(trial, "no target");
    if (trial->any_order) {
        sort_lines(text, length);
        sort_lines(trial->expected, trial->expected_length);
    }
    if (length != trial->expected_length || memcmp(text, trial->expected, length) != 0)
        return printf("\n--- is\n%.*s--- should be\n%.*s", (int)length, text,
                      (int)trial->expected_length, trial->expected),
               fail(trial, "the output is not the model's");
    if (totals.read != trial->read || totals.written != trial->written ||
        totals.filtered != trial->filtered || totals.absorbed != trial->absorbed ||
        totals.created != trial->created || totals.rejected != trial->rejected) {
        snprintf(why, sizeof(why),
                 "ledger: read %llu/%u written %llu/%u filtered %llu/%u absorbed %llu/%u created "
                 "%llu/%u rejected %llu/%u (is/should be)",
                 (unsigned long long)totals.read, trial->read, (unsigned long long)totals.written,
                 trial->written, (unsigned long long)totals.filtered, trial->filtered,
                 (unsigned long long)totals.absorbed, trial->absorbed,
                 (unsigned long long)totals.created, trial->created,
                 (unsigned long long)totals.rejected, trial->rejected);
        return fail(trial, why);
    }
    if (!trial->rejects)
        return true;
    length = read_file(rejects, text, sizeof(text));
    unsigned lines = 0;
    for (size_t i = 0; length != SIZE_MAX && i < length; i++)
        lines += text[i] == '\n';
    return lines == trial->rejected || fail(trial, "lines in the rejects file");
}

static bool trial_check(struct trial *trial, struct run *run, const char *target,
                        const char *rejects)
{
    int status = run_exit_status(run);
    int wanted = trial->rejected ? RUN_REJECTED : RUN_DONE;
    if (trial->must_fail && status == wanted)
        return fail(trial, "a reject was not borne, but the run did not fail");
    if (status == wanted)
        return check_success(trial, run, target, rejects);
    if (!trial->must_fail && !trial->may_fail) {
        char why[600];
        snprintf(why, sizeof(why), "exit status %d: %s", status,
                 run_error_count(run) ? run_error(run, 0)->text : "(no error)");
        return fail(trial, why);
    }
    if (run_error_count(run) == 0 && status < 128)
        return fail(trial, "a run failed without saying why");
    return check_failure(trial, target);
}

static bool trial_run(struct trial *trial, const struct program *program,
                      struct diagnostics *diagnostics, const char *target, const char *rejects)
{
    struct error error;
    struct io_simulation *simulation = io_simulation_open(trial->seed, &error);
    if (!simulation)
        return fail(trial, error.text);
    struct run_options options = {.workers = 1 + below(trial, 7),
                                  .io = IO_ENGINE_SIMULATED,
                                  .order = trial->any_order ? "none" : "input",
                                  .memory = 16u << 20};
    struct simulator_options schedule = {.step_limit = 4000000};
    if (below(trial, 5) == 0)
        io_simulation_fail(simulation, 1 + below(trial, 60), below(trial, 2) ? EIO : ENOSPC);
    else if (below(trial, 8) == 0)
        schedule.stop_after = 1 + below(trial, 600);
    if (schedule.stop_after && below(trial, 2))
        schedule.abort_after = schedule.stop_after + below(trial, 100) + 1;
    trial->may_fail = true;
    struct plan *plan = plan_open(program, &options, diagnostics, &error);
    bool good = false;
    if (!plan) {
        diagnostics_print(diagnostics, stdout);
        good = fail(trial, error.text);
    } else {
        struct run *run = simulator_run(plan, simulation, &schedule, &error);
        good = run ? trial_check(trial, run, target, rejects) : fail(trial, error.text);
        run_close(run);
    }
    plan_close(plan);
    io_simulation_close(simulation);
    return good;
}

static bool trial_seed(uint64_t seed, const char *folder)
{
    static struct trial trial;
    char input[200], target[200], rejects[200], text[1400], batch[24];
    trial_plan(&trial, seed);
    snprintf(input, sizeof(input), "%s/input.ndjson", folder);
    snprintf(target, sizeof(target), "%s/target.ndjson", folder);
    snprintf(rejects, sizeof(rejects), "%s/rejects.ndjson", folder);
    snprintf(batch, sizeof(batch), "%u",
             below(&trial, 3) == 0 ? 1 + below(&trial, 60) : 100 + below(&trial, 9000));
    if (!write_input(&trial, input) || !write_file(target, "old", 3) ||
        setenv("LEAT_BATCH_TEXT", batch, 1) != 0)
        return fail(&trial, "cannot write the input");
    snprintf(text, sizeof(text), "from file \"%s\"\n%s\ninto file \"%s\"\n", input, trial.program,
             target);
    if (trial.rejects) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof(text) - length, "reject into file \"%s\"\n", rejects);
    }
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "program", (struct string){text, strlen(text)});
    struct program *program = program_parse(registry_get(), &diagnostics);
    bool good = program && diagnostics.errors == 0;
    if (!good) {
        diagnostics_print(&diagnostics, stdout);
        fail(&trial, "the program does not parse");
    } else {
        good = trial_run(&trial, program, &diagnostics, target, rejects);
    }
    program_free(program);
    diagnostics_close(&diagnostics);
    return good;
}

/* Memory beats a disk that syncs. */
static const char *fast_folder(void)
{
    static char path[64] = "/dev/shm/leat-simulator-XXXXXX";
    return mkdtemp(path) ? path : suite_folder();
}

static void test_seeds(void)
{
    const char *one = getenv("LEAT_SEED"), *many = getenv("LEAT_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one ? 1 : many ? strtoull(many, NULL, 10) : 10000;
    const char *folder = fast_folder();
    unsigned failed = 0;
    for (uint64_t seed = first; seed < first + count && failed < 5; seed++)
        failed += !trial_seed(seed, folder);
    unsetenv("LEAT_BATCH_TEXT");
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    CU_ASSERT_EQUAL(system(command), 0);
    CU_ASSERT_EQUAL(failed, 0);
    printf("(%llu seeds) ", (unsigned long long)count);
}

SUITE(simulator, {"seeded runs come out as their models say", test_seeds})
