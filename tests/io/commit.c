/* Commits of file sinks: whatever instant a run dies at, the next one goes on behind the last
 * commit (or the one before), and the result is that of one undisturbed run. Runs that die are
 * child processes that leave without a word. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/engine_simulated.h"
#include "io/partition_sink.h"
#include "io/state_file.h"
#include "tests/io/fixture.h"
#include "tests/suite.h"

/* LEAT_ROUNDS=N in the environment: so many times as many seeds. */
static unsigned seeds_of(unsigned seeds)
{
    const char *times = getenv("LEAT_ROUNDS");
    return times ? seeds * (unsigned)strtoul(times, NULL, 10) : seeds;
}

#define PIECES 40 /* batches of a run */

/* A run: content goes into a sink in pieces, commits fall between them. */
struct rig {
    enum io_engine_kind kind;
    const struct options *options;
    const char *path;
    const char *content;
    size_t length;
    unsigned seed;
    int dies_at;      /* step that it dies before, or -1 */
    unsigned commits; /* one in so many pieces is followed by a commit */
    bool fails;       /* instead of dying it fails: abort, close */
    struct fixture *fixture;
    struct sink *sink;
    struct commit_record record;
    char text[32];
    int step;
    struct error error;
    unsigned stops;      /* dies behind this many commits; 0: not */
    unsigned fault;      /* the operation that fails, and all behind it; 0: none */
    bool refused;        /* the commit before is not there to go back to */
    unsigned partitions; /* the sink's path is a template; 0: it is a file */
    char *runs[FIXTURE_BATCHES];
};

#define CHUNK 700 /* bytes of content that go to one partition */

enum rig_end { RIG_DONE = 0, RIG_DIED = 10, RIG_FAILED, RIG_REFUSED };

static unsigned rig_random(struct rig *rig)
{
    rig->seed = rig->seed * 1664525u + 1013904223u;
    return rig->seed >> 8;
}

static size_t piece_size(const struct rig *rig)
{
    return rig->length / PIECES + 1;
}

/* Dies if it is time to. */
static void rig_step(struct rig *rig)
{
    if (rig->step++ == rig->dies_at && !rig->fails)
        _exit(RIG_DIED);
}

static bool rig_fails_now(const struct rig *rig)
{
    return rig->fails && rig->dies_at >= 0 && rig->step > rig->dies_at;
}

static enum sink_result rig_wait(struct rig *rig, enum sink_result (*call)(struct rig *rig))
{
    enum sink_result result;
    int64_t end = clock_monotonic() + 20 * NANOSECONDS;
    while ((result = call(rig)) == SINK_WAIT && clock_monotonic() < end) {
        rig_step(rig);
        if (rig_fails_now(rig))
            return SINK_FAIL;
        (void)io_engine_wait(rig->fixture->sink_engine, NANOSECONDS / 50);
    }
    return result;
}

static enum sink_result take_call(struct rig *rig)
{
    struct batch *batch;
    enum sink_result result = rig->sink->ops->take(rig->sink, &batch, &rig->error);
    if (result == SINK_OK) {
        fixture_give_back(rig->fixture, batch);
        rig->fixture->sunk--;
    }
    return result;
}

static enum sink_result commit_call(struct rig *rig)
{
    return rig->sink->ops->commit(rig->sink, &rig->record, &rig->error);
}

static enum sink_result publish_call(struct rig *rig)
{
    return rig->sink->ops->publish(rig->sink, &rig->record, &rig->error);
}

/* What each commit covers, for going back to one whose record is not told any more. */
static void offset_keep(uint64_t number, uint64_t offset)
{
    int fd = open(test_path("offsets"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CU_ASSERT_EQUAL(pwrite(fd, &offset, 8, (off_t)(8 * number)), 8);
    close(fd);
}

static uint64_t offset_kept(uint64_t number)
{
    uint64_t offset = 0;
    int fd = open(test_path("offsets"), O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(pread(fd, &offset, 8, (off_t)(8 * number)), 8);
    close(fd);
    return offset;
}

static bool rig_commit(struct rig *rig, size_t offset, bool final)
{
    while (rig->fixture->sunk > 0)
        if (rig_wait(rig, take_call) != SINK_OK)
            return false;
    rig->record.number++;
    rig->record.final = final;
    rig->record.bytes = rig->text;
    rig->record.length = (size_t)snprintf(rig->text, sizeof(rig->text), "%zu", offset);
    offset_keep(rig->record.number, offset);
    bool done = rig_wait(rig, commit_call) == SINK_OK;
    if (rig->stops > 0 && rig->record.number >= rig->stops)
        _exit(RIG_DIED);
    return done;
}

/* What partition_encode makes: a run for each stretch that goes to one partition. */
static void runs_make(struct rig *rig, struct batch *batch, size_t from, size_t to)
{
    char **runs = &rig->runs[batch - rig->fixture->batches];
    free(*runs);
    *runs = malloc(2 * (to - from) + ((to - from) / CHUNK + 2) * 300);
    char *at = *runs;
    while (from < to) {
        size_t chunk = from / CHUNK;
        size_t end = (chunk + 1) * CHUNK < to ? (chunk + 1) * CHUNK : to;
        /* new ones appear as time goes by */
        unsigned most = 1 + (unsigned)(chunk * rig->partitions / (rig->length / CHUNK + 1));
        unsigned partition = (unsigned)(chunk * 7919u) % most;
        char path[300];
        struct partition_run run = {.length = end - from};
        run.path_length = (uint32_t)snprintf(path, sizeof(path), "%s/d%u/p%u.txt", rig->path,
                                             partition % 5, partition);
        memcpy(at, &run, sizeof(run));
        memcpy(at + sizeof(run), path, run.path_length);
        memcpy(at + sizeof(run) + run.path_length, rig->content + from, end - from);
        at += sizeof(run) + run.path_length + (end - from);
        from = end;
    }
    batch->outputs[0].borrowed = false;
    batch->outputs[0].buffer.data = *runs;
    batch->outputs[0].buffer.length = (size_t)(at - *runs);
}

static bool piece_offer(struct rig *rig, size_t from, size_t to)
{
    while (!rig->fixture->free) {
        if (rig_wait(rig, take_call) != SINK_OK)
            return false;
    }
    struct batch *batch = rig->fixture->free;
    rig->fixture->free = batch->next;
    memcpy(batch->memory + BATCH_HEADROOM, rig->content + from, to - from);
    batch->text = batch->memory + BATCH_HEADROOM;
    batch->part_start = 0;
    batch->part_end = batch->text_length = (uint32_t)(to - from);
    batch->outputs[0].borrowed = true;
    if (rig->partitions > 0)
        runs_make(rig, batch, from, to);
    rig->fixture->sunk++;
    while (!rig->sink->ops->offer(rig->sink, batch)) {
        /* it may have made room without a batch to give back */
        enum sink_result result = take_call(rig);
        if (result == SINK_WAIT)
            (void)io_engine_wait(rig->fixture->sink_engine, NANOSECONDS / 50);
        if (result > SINK_WAIT) {
            rig->fixture->sunk--;
            fixture_give_back(rig->fixture, batch);
            return false;
        }
    }
    return true;
}

/* Opens, recovers, and resumes at the last commit or, now and then, at the one before. *offset:
 * where the content goes on. */
static bool rig_resume(struct rig *rig, size_t *offset, bool *final)
{
    const struct sink_ops *ops = rig->sink->ops;
    bool found;
    *offset = 0;
    *final = false;
    if (!ops->recover(rig->sink, &rig->record, &found, &rig->error))
        return false;
    uint64_t number = found ? rig->record.number : 0;
    uint64_t epoch = rig->record.epoch + 1;
    if (found) {
        snprintf(rig->text, sizeof(rig->text), "%.*s", (int)rig->record.length, rig->record.bytes);
        *offset = strtoull(rig->text, NULL, 10);
        *final = rig->record.final;
    }
    if (found && rig->record.done)
        number = 0;
    if (number > 1 && rig_random(rig) % 3 == 0) { /* as where another sink has no more */
        number--;
        rig->record.number = number;
        *offset = offset_kept(number);
        *final = false;
        if (ops->resume(rig->sink, number, epoch, &rig->error)) {
            rig->record.epoch = epoch;
            return true;
        }
        /* it went back to it already, or the last one has its name */
        rig->refused = rig->error.code == ERROR_STATE;
        return false;
    }
    rig_step(rig);
    if (!ops->resume(rig->sink, number, epoch, &rig->error))
        return false;
    if (number == 0)
        *offset = 0;
    *final = *final && number > 0;
    rig->record.epoch = epoch;
    return true;
}

static bool rig_write(struct rig *rig)
{
    size_t offset;
    bool final;
    if (!rig_resume(rig, &offset, &final))
        return false;
    rig_step(rig);
    if (rig->sink->ops->start(rig->sink, &rig->error) != SINK_OK)
        return false;
    while (offset < rig->length && !final) {
        size_t end = offset + 1 + rig_random(rig) % (2 * piece_size(rig));
        end = end < rig->length ? end : rig->length;
        rig_step(rig);
        if (rig_fails_now(rig) || !piece_offer(rig, offset, end))
            return false;
        offset = end;
        rig_step(rig);
        if (rig_random(rig) % rig->commits == 0 && !rig_commit(rig, offset, false))
            return false;
    }
    if (!final && !rig_commit(rig, offset, true))
        return false;
    rig_step(rig);
    return !rig_fails_now(rig) && rig_wait(rig, publish_call) == SINK_OK;
}

static bool rig_open(struct rig *rig)
{
    struct fixture *fixture = rig->fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, rig->kind, 2 * piece_size(rig) + 1, 4 * piece_size(rig));
    if (rig->partitions > 0)
        fixture->sink_limits.memory = 1 << 20;
    fixture->sink_context = (struct sink_context){.options = rig->options,
                                                  .formats = &formats_of_tests,
                                                  .file = rig->partitions ? NULL : rig->path,
                                                  .limits = fixture->sink_limits,
                                                  .format_name = "lines",
                                                  .path_column = COLUMN_NONE,
                                                  .engine = fixture->sink_engine,
                                                  .checkpoints = true};
    bool opened = sink_file.open(&fixture->sink_context, &rig->sink, &rig->error);
    fixture->sink = rig->sink;
    return opened;
}

static enum rig_end rig_run(struct rig *rig)
{
    struct io_simulation *simulation = NULL;
    struct error error;
    if (rig->kind == IO_ENGINE_SIMULATED)
        simulation = io_simulation_open(rig->seed, &error);
    rig->step = 0;
    rig->record = (struct commit_record){0};
    bool done = rig_open(rig) && rig_write(rig);
    fixture_close(rig->fixture);
    free(rig->fixture);
    for (unsigned i = 0; i < FIXTURE_BATCHES; i++)
        free(rig->runs[i]);
    memset(rig->runs, 0, sizeof(rig->runs));
    if (simulation)
        io_simulation_close(simulation);
    return done ? RIG_DONE : rig->refused ? RIG_REFUSED : RIG_FAILED;
}

/* A run in a process of its own. Returns how it ended; the number of its steps is its own secret.
 */
static enum rig_end rig_child(struct rig *rig)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        char fault[32];
        snprintf(fault, sizeof(fault), "io:%u%s:EIO", rig->fault / 2 + 1,
                 rig->fault % 2 ? "+" : "");
        if (rig->fault > 0)
            setenv("LEAT_FAULT", fault, 1);
        CU_ASSERT_TRUE(fault_open());
        enum rig_end end = rig_run(rig);
        if (end == RIG_FAILED && !rig->fault && (!rig->fails || rig->dies_at < 0))
            fprintf(stderr, "step %d: %s\n", rig->step, rig->error.text);
        _exit((int)end);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CU_ASSERT_TRUE(WIFEXITED(status));
    return WIFEXITED(status) ? (enum rig_end)WEXITSTATUS(status) : RIG_FAILED;
}

static char *content_make(size_t size)
{
    char *text = malloc(size + 1);
    unsigned seed = 7;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        text[i] = seed >> 27 == 0 ? '\n' : (char)('a' + (seed >> 20) % 16);
    }
    text[size - 1] = '\n';
    return text;
}

static void expect_only(const char *folder, const char *names)
{
    char command[1000];
    snprintf(command, sizeof(command), "test \"$(cd '%s' && ls -A | tr '\\n' ' ')\" = '%s'", folder,
             names);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* Kills runs at random steps until one comes through, and compares. */
static void rounds(enum io_engine_kind kind, const char *name, size_t size, const char *compression,
                   unsigned seeds, bool fails)
{
    char folder[200], whole[256], path[256];
    snprintf(folder, sizeof(folder), "%s", test_path("rounds"));
    snprintf(whole, sizeof(whole), "%s", test_path("whole"));
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    char *content = content_make(size);
    struct rig rig = {.kind = IO_ENGINE_POSIX, .content = content, .length = size, .dies_at = -1};
    rig.commits = 1000000; /* one undisturbed run, all in one */
    rig.options = test_options("path", whole, "compression", compression, "level", "1", NULL);
    CU_ASSERT_EQUAL_FATAL(rig_run(&rig), RIG_DONE);
    size_t expected_length;
    char *expected = test_read(whole, &expected_length);
    for (unsigned seed = 1; seed <= seeds_of(seeds); seed++) {
        char side[600];
        snprintf(side, sizeof(side), "rm -rf '%s' && mkdir '%s'", folder, folder);
        CU_ASSERT_EQUAL_FATAL(system(side), 0);
        rig.options = test_options("path", path, "compression", compression, "level", "1", NULL);
        rig.kind = kind;
        rig.commits = 1 + seed % 7;
        rig.fails = fails;
        enum rig_end end = RIG_DIED;
        for (unsigned round = 0; end != RIG_DONE && round < 100; round++) {
            rig.seed = seed * 1000003u + round * 7919u;
            rig.dies_at = round < 8 ? (int)(rig_random(&rig) % 120) : -1;
            end = rig_child(&rig);
            CU_ASSERT_TRUE(end == RIG_DONE || end == RIG_REFUSED || round < 8);
        }
        size_t length;
        char *result = test_read(path, &length);
        CU_ASSERT_PTR_NOT_NULL_FATAL(result);
        CU_ASSERT(length == expected_length && memcmp(result, expected, length) == 0);
        free(result);
        snprintf(side, sizeof(side), ".%s.leat-state %s ", name, name);
        expect_only(folder, side);
    }
    free(expected);
    free(content);
}

static void plain(void)
{
    rounds(IO_ENGINE_AUTO, "p.txt", 3 << 20, "none", 8, false);
    rounds(IO_ENGINE_POSIX, "p.txt", 1 << 20, "none", 8, false);
}

static void plain_simulated(void)
{
    rounds(IO_ENGINE_SIMULATED, "s.txt", 300 * 1024, "none", 25, false);
}

static void plain_aborted(void)
{
    rounds(IO_ENGINE_AUTO, "a.txt", 300 * 1024, "none", 8, true);
}

static void zstd(void)
{
    rounds(IO_ENGINE_AUTO, "z.txt.zst", 18 << 20, "zstd", 6, false);
}

static void gzip(void)
{
    rounds(IO_ENGINE_AUTO, "g.txt.gz", 9 << 20, "gzip", 3, false);
}

/* The same for many files, few of them open; compared as folders. */
static void partition_rounds(size_t size, unsigned partitions, const char *compression,
                             unsigned seeds, bool fails)
{
    char command[1000], whole[256], path[256], pattern[300];
    snprintf(whole, sizeof(whole), "%s", test_path("parts-whole"));
    snprintf(path, sizeof(path), "%s", test_path("parts"));
    snprintf(command, sizeof(command), "rm -rf '%s'", whole);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    char *content = content_make(size);
    struct rig rig = {.kind = IO_ENGINE_POSIX, .content = content, .length = size, .dies_at = -1};
    rig.partitions = partitions;
    rig.commits = 1000000;
    rig.path = whole;
    snprintf(pattern, sizeof(pattern), "%s/{x}.txt", whole);
    rig.options = test_options("path", pattern, "compression", compression, "level", "1", NULL);
    CU_ASSERT_EQUAL_FATAL(rig_run(&rig), RIG_DONE);
    for (unsigned seed = 1; seed <= seeds_of(seeds); seed++) {
        snprintf(command, sizeof(command), "rm -rf '%s'", path);
        CU_ASSERT_EQUAL_FATAL(system(command), 0);
        rig.path = path;
        snprintf(pattern, sizeof(pattern), "%s/{x}.txt", path);
        rig.options = test_options("path", pattern, "compression", compression, "level", "1", NULL);
        rig.commits = 1 + seed % 7;
        rig.fails = fails;
        enum rig_end end = RIG_DIED;
        for (unsigned round = 0; end != RIG_DONE && round < 100; round++) {
            rig.seed = seed * 1000003u + round * 7919u;
            rig.dies_at = round < 8 ? (int)(rig_random(&rig) % 90) : -1;
            end = rig_child(&rig);
            CU_ASSERT_TRUE(end == RIG_DONE || end == RIG_REFUSED || round < 8);
        }
        snprintf(command, sizeof(command), "diff -r -x '.part*leat-state' '%s' '%s'", whole, path);
        CU_ASSERT_EQUAL(system(command), 0);
    }
    free(content);
}

static void edges(void)
{
    lines_prologue = "[";
    lines_epilogue = "]";
    rounds(IO_ENGINE_AUTO, "e.txt", 10000, "none", 8, false);
    rounds(IO_ENGINE_AUTO, "e.txt.zst", 10000, "zstd", 4, false);
    partition_rounds(30000, 12, "none", 5, false);
    lines_prologue = lines_epilogue = NULL;
}

static void partitions(void)
{
    partition_rounds(600000, 30, "none", 6, false);
    partition_rounds(600000, 100, "none", 2, false); /* more than are synced each */
    partition_rounds(300000, 30, "none", 4, true);
}

static void partitions_compressed(void)
{
    partition_rounds(3 << 20, 12, "zstd", 6, false);
    partition_rounds(1 << 20, 30, "gzip", 3, false);
}

/* Each operation fails, alone or with all behind it; the run after it makes it whole. */
static void faults(const char *name, unsigned partitions, const char *compression)
{
    char command[1000], whole[256], path[256], pattern[300];
    snprintf(whole, sizeof(whole), "%s/%s", test_path("sound-c"), name);
    snprintf(path, sizeof(path), "%s/%s", test_path("faulty-c"), name);
    size_t size = partitions ? 30000 : 100000;
    char *content = content_make(size);
    struct rig rig = {.kind = IO_ENGINE_POSIX, .content = content, .length = size, .dies_at = -1};
    rig.partitions = partitions;
    unsigned failed = 1;
    for (unsigned fault = 0; failed > 0 && fault < 4000; fault += partitions ? 11 : 7) {
        snprintf(command, sizeof(command),
                 "cd '%s' && rm -rf faulty-c && mkdir -p sound-c faulty-c", suite_folder());
        CU_ASSERT_EQUAL_FATAL(system(command), 0);
        rig.path = fault ? path : whole;
        snprintf(pattern, sizeof(pattern), partitions ? "%s/{x}.txt" : "%s", rig.path);
        rig.options = test_options("path", pattern, "compression", compression, "level", "1", NULL);
        rig.commits = fault ? 4 : 1000000;
        rig.seed = 5;
        rig.fault = fault;
        enum rig_end end = rig_child(&rig);
        failed = end != RIG_DONE || fault == 0; /* until nothing is left to fail */
        rig.fault = 0;
        for (unsigned round = 0; end != RIG_DONE && round < 20; round++) {
            rig.seed = 77 + round;
            end = rig_child(&rig);
        }
        CU_ASSERT_EQUAL(end, RIG_DONE);
        snprintf(
            command, sizeof(command),
            "cd '%s' && if [ -d sound-c ] && [ %u != 0 ]; then diff -r -x '.*leat-state' sound-c "
            "faulty-c; fi",
            suite_folder(), fault);
        CU_ASSERT_EQUAL(system(command), 0);
    }
    CU_ASSERT_EQUAL(failed, 0);
    snprintf(command, sizeof(command), "cd '%s' && rm -rf sound-c faulty-c", suite_folder());
    CU_ASSERT_EQUAL(system(command), 0);
    free(content);
}

static void faults_file(void)
{
    faults("f.txt", 0, "none");
    faults("f.txt.zst", 0, "zstd");
}

static void faults_partitions(void)
{
    faults("f", 12, "none");
    faults("f", 12, "zstd");
}

/* Appended to a file that has content, killed; others never see a row twice. */
static void appended(void)
{
    char path[256], side[300];
    snprintf(path, sizeof(path), "%s", test_path("appended/a.txt"));
    size_t size = 100000;
    char *content = content_make(size);
    struct rig rig = {.content = content, .length = size, .path = path};
    for (unsigned seed = 1; seed <= seeds_of(12); seed++) {
        snprintf(side, sizeof(side), "rm -rf '%s' && mkdir '%s'", test_path("appended"),
                 test_path("appended"));
        CU_ASSERT_EQUAL_FATAL(system(side), 0);
        test_write(path, "old\n", 4);
        rig.options = test_options("path", path, "mode", "append", NULL);
        rig.kind = seed % 2 ? IO_ENGINE_AUTO : IO_ENGINE_POSIX;
        rig.commits = 1 + seed % 5;
        enum rig_end end = RIG_DIED;
        for (unsigned round = 0; end != RIG_DONE && round < 100; round++) {
            rig.seed = seed * 1000003u + round * 7919u;
            rig.dies_at = round < 6 ? (int)(rig_random(&rig) % 120) : -1;
            end = rig_child(&rig);
        }
        CU_ASSERT_EQUAL(end, RIG_DONE);
        size_t length;
        char *result = test_read(path, &length);
        CU_ASSERT_PTR_NOT_NULL_FATAL(result);
        CU_ASSERT_EQUAL(length, size + 4);
        CU_ASSERT(length == size + 4 && memcmp(result, "old\n", 4) == 0 &&
                  memcmp(result + 4, content, size) == 0);
        free(result);
    }
    free(content);
}

/* What stops a recovery, and what it says. `change` is done in the folder with the state. */
static void stopped_by(const char *change, const char *says, bool after_final)
{
    char folder[200], path[256], command[700];
    snprintf(folder, sizeof(folder), "%s", test_path("stopped"));
    snprintf(path, sizeof(path), "%s/s.txt", folder);
    snprintf(command, sizeof(command), "rm -rf '%s' && mkdir '%s'", folder, folder);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    char *content = content_make(20000);
    struct rig rig = {.kind = IO_ENGINE_POSIX, .content = content, .length = 20000};
    rig.options = test_options("path", path, "compression", "none", NULL);
    rig.commits = after_final ? 1000000 : 3;
    rig.seed = 3;
    rig.dies_at = -1;
    rig.stops = after_final ? 1 : 3; /* commits */
    CU_ASSERT_EQUAL(rig_child(&rig), RIG_DIED);
    snprintf(command, sizeof(command), "cd '%s' && %s", folder, change);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    rig.stops = 0;
    bool opened = rig_open(&rig);
    struct commit_record record;
    bool found = false;
    CU_ASSERT_TRUE_FATAL(opened);
    bool done = rig.sink->ops->recover(rig.sink, &record, &found, &rig.error);
    CU_ASSERT_EQUAL(done, says == NULL);
    if (says && !done) {
        CU_ASSERT_EQUAL(rig.error.code, ERROR_STATE);
        CU_ASSERT_PTR_NOT_NULL(strstr(rig.error.text, says));
        CU_ASSERT_PTR_NOT_NULL(strstr(rig.error.text, "--fresh"));
        CU_ASSERT_TRUE(rig.sink->ops->forget(rig.sink, &rig.error)); /* the remedy works */
        CU_ASSERT_TRUE(rig.sink->ops->resume(rig.sink, 0, 1, &rig.error));
    } else {
        CU_ASSERT_EQUAL(record.done, after_final);
    }
    fixture_close(rig.fixture);
    free(rig.fixture);
    free(content);
}

static void stopped(void)
{
    static const char *const part = ".s.txt.leat-part";
    char change[300];
    snprintf(change, sizeof(change), "truncate -s 10 %s", part);
    stopped_by(change, "is shorter than the last commit left it", false);
    snprintf(change, sizeof(change), "cp %s x && mv x %s", part, part);
    stopped_by(change, "is not the file that the last commit left", false);
    snprintf(change, sizeof(change), "rm %s", part);
    stopped_by(change, "is gone", false);
    stopped_by("mv .s.txt.leat-part other && touch s.txt", "is gone", true);
    stopped_by("mv .s.txt.leat-part s.txt", NULL, true); /* the rename happened */
    stopped_by("rm .s.txt.leat-part", NULL, true);       /* and a consumer took it */
    stopped_by("printf garbage > .s.txt.leat-state", "is no state file of leat", false);
    stopped_by(": > .s.txt.leat-state", "is no state file of leat", false);
    stopped_by("truncate -s 60 .s.txt.leat-state", "is damaged", false);
    stopped_by("printf '\\377' | dd of=.s.txt.leat-state bs=1 seek=8 conv=notrunc 2>&1",
               "was written by another version", false);
    stopped_by("printf '\\377' | dd of=.s.txt.leat-state bs=1 seek=70 conv=notrunc 2>&1",
               "is damaged", false);
}

static void locked(void)
{
    char path[256];
    snprintf(path, sizeof(path), "%s", test_path("locked.txt"));
    struct rig one = {.kind = IO_ENGINE_POSIX, .length = 1000, .path = path};
    struct rig other = one;
    struct commit_record record;
    bool found;
    CU_ASSERT_TRUE_FATAL(rig_open(&one) && rig_open(&other));
    CU_ASSERT_TRUE(one.sink->ops->recover(one.sink, &record, &found, &one.error));
    CU_ASSERT_FALSE(other.sink->ops->recover(other.sink, &record, &found, &other.error));
    CU_ASSERT_EQUAL(other.error.code, ERROR_LOCKED);
    char holder[40];
    snprintf(holder, sizeof(holder), "(process %ld)", (long)getpid());
    CU_ASSERT_PTR_NOT_NULL(strstr(other.error.text, holder));
    fixture_close(one.fixture);
    free(one.fixture);
    CU_ASSERT_TRUE(other.sink->ops->recover(other.sink, &record, &found, &other.error));
    fixture_close(other.fixture);
    free(other.fixture);
    CU_ASSERT_NOT_EQUAL(access(test_path(".locked.txt.leat-lock"), F_OK), 0);
}

SUITE(commit, {"plain files, killed", plain}, {"plain files, simulated", plain_simulated},
      {"plain files, aborted", plain_aborted}, {"zstd, killed", zstd}, {"gzip, killed", gzip},
      {"prologues and epilogues, killed", edges}, {"partitions, killed", partitions},
      {"partitions, compressed, killed", partitions_compressed}, {"appended to, killed", appended},
      {"failing operations", faults_file}, {"failing operations, partitions", faults_partitions},
      {"what stops a recovery", stopped}, {"one at a time", locked})
