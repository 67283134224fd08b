/* Files and stdout as sinks: the bytes are those of the source, the target appears whole or not at
 * all, and what goes wrong says so. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "io/engine_simulated.h"
#include "io/file_sink.h"
#include "tests/io/fixture.h"
#include "tests/suite.h"

static char *text_make(size_t size)
{
    char *text = malloc(size);
    unsigned seed = 1;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        text[i] = seed >> 26 == 0 ? '\n' : (char)('a' + (seed >> 20) % 20);
    }
    text[size - 1] = '\n';
    return text;
}

static void expect_file(const char *path, const char *text, size_t length)
{
    size_t got;
    char *content = test_read(path, &got);
    CU_ASSERT_PTR_NOT_NULL_FATAL(content);
    CU_ASSERT_EQUAL(got, length);
    CU_ASSERT(got == length && memcmp(content, text, length) == 0);
    free(content);
}

static void expect_no_part(void)
{
    char command[256];
    snprintf(command, sizeof(command), "test -z \"$(find '%s' -name '.*leat-part')\"",
             suite_folder());
    CU_ASSERT_EQUAL(system(command), 0);
}

static const char *input_make(const char *text, size_t length)
{
    const char *path = test_path("in.txt");
    test_write(path, text, length);
    return path;
}

static void copy(enum io_engine_kind kind, size_t batch_text, size_t size)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char *text = text_make(size);
    const char *in = input_make(text, size);
    const char *out = test_path("out.txt");
    unlink(out);
    fixture_open(fixture, kind, batch_text, 1 << 20);
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, &in, 1, NULL));
    CU_ASSERT_TRUE_FATAL(fixture_sink(fixture, out, NULL));
    CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
    CU_ASSERT_NOT_EQUAL(access(out, F_OK), 0); /* not before it is published */
    CU_ASSERT_TRUE(fixture_publish(fixture));
    CU_ASSERT_EQUAL(fixture->sink->bytes_written, size);
    fixture_close(fixture);
    expect_file(out, text, size);
    expect_no_part();
    free(text);
    free(fixture);
}

static void copies(void)
{
    static const enum io_engine_kind kinds[] = {IO_ENGINE_AUTO, IO_ENGINE_POSIX};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        copy(kinds[i], 4096, 300000);
        copy(kinds[i], 60 * 1024, 3 << 20);
        copy(kinds[i], 256 * 1024, 20 << 20);
        copy(kinds[i], 4096, 1);
    }
}

static void simulated_copies(void)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct error error;
        struct io_simulation *simulation = io_simulation_open(seed, &error);
        copy(IO_ENGINE_SIMULATED, seed % 2 ? 4096 : 100 * 1024, 1 << 20);
        io_simulation_close(simulation);
    }
}

/* A fixture with a source of `size` bytes and a sink at `out`. */
static struct fixture *rig_open(size_t size, const char *out, const struct options *options,
                                bool *opened)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char *text = text_make(size);
    const char *in = input_make(text, size);
    free(text);
    fixture_open(fixture, IO_ENGINE_AUTO, 64 * 1024, 1 << 20);
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, &in, 1, NULL));
    *opened = fixture_sink(fixture, out, options);
    return fixture;
}

static void rig_close(struct fixture *fixture)
{
    fixture_close(fixture);
    free(fixture);
}

static void abort_keeps_the_target(void)
{
    const char *out = test_path("kept.txt");
    test_write(out, "old", 3);
    bool opened;
    struct fixture *fixture = rig_open(1 << 20, out, NULL, &opened);
    CU_ASSERT_TRUE_FATAL(opened);
    CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
    rig_close(fixture); /* aborts */
    expect_file(out, "old", 3);
    expect_no_part();
}

static void stale_part_is_replaced(void)
{
    const char *part = test_path(".stale.txt.leat-part");
    test_write(part, "of a run that died", 18);
    bool opened;
    struct fixture *fixture = rig_open(1, test_path("stale.txt"), NULL, &opened);
    CU_ASSERT_TRUE(opened);
    struct error error;
    struct sink_context second = fixture->sink_context; /* while the first run lives */
    struct sink *sink = NULL;
    CU_ASSERT_TRUE_FATAL(sink_file.open(&second, &sink, &error));
    CU_ASSERT_EQUAL(sink->ops->start(sink, &error), SINK_FAIL);
    CU_ASSERT_EQUAL(error.code, ERROR_LOCKED);
    sink->ops->close(sink);
    CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
    CU_ASSERT_TRUE(fixture_publish(fixture));
    rig_close(fixture);
    expect_file(test_path("stale.txt"), "\n", 1);
    expect_no_part();
}

static void appends(void)
{
    const char *out = test_path("appended.txt");
    test_write(out, "old\n", 4);
    lines_prologue = "[";
    lines_epilogue = "]";
    for (int i = 0; i < 2; i++) {
        bool opened;
        struct fixture *fixture =
            rig_open(1, NULL, test_options("path", out, "mode", "append", NULL), &opened);
        CU_ASSERT_TRUE_FATAL(opened);
        CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
        if (i == 1)
            CU_ASSERT_TRUE(fixture_publish(fixture));
        rig_close(fixture);
        expect_file(out, i == 1 ? "old\n\n]" : "old\n", i == 1 ? 6 : 4);
    }
    bool opened;
    struct fixture *fixture = rig_open(1, test_path("edges.txt"), NULL, &opened);
    CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
    CU_ASSERT_TRUE(fixture_publish(fixture));
    rig_close(fixture);
    expect_file(test_path("edges.txt"), "[\n]", 3);
    lines_prologue = lines_epilogue = NULL;
}

static void expect_sink_error(const char *out, const char *part)
{
    bool opened;
    struct fixture *fixture = rig_open(1, out, NULL, &opened);
    CU_ASSERT_FALSE(opened);
    CU_ASSERT_PTR_NOT_NULL(strstr(fixture->error.text, part));
    rig_close(fixture);
}

static void open_errors(void)
{
    expect_sink_error(suite_folder(), "is a folder");
    expect_sink_error(test_path("no/such/out.txt"), "its folder");
    test_write(test_path("plain"), "", 0);
    expect_sink_error(test_path("plain/out.txt"), "Not a directory");
}

static void full_device(void)
{
    bool opened;
    struct fixture *fixture = rig_open(1 << 20, "/dev/full", NULL, &opened);
    CU_ASSERT_TRUE_FATAL(opened);
    bool failed = fixture_run(fixture) == SOURCE_FAIL || !fixture_publish(fixture);
    CU_ASSERT_TRUE(failed);
    CU_ASSERT_EQUAL(fixture->error.os_errno, ENOSPC);
    CU_ASSERT_PTR_NOT_NULL(strstr(fixture->error.text, "cannot write /dev/full at byte 0"));
    rig_close(fixture);
}

static void full_disk(void)
{
    const char *mount_point = test_path("small");
    mkdir(mount_point, 0700);
    if (mount("leat", mount_point, "tmpfs", 0, "size=1m") != 0) {
        suite_skip("a small tmpfs needs root");
        return;
    }
    char out[256];
    snprintf(out, sizeof(out), "%s/out.txt", mount_point);
    bool opened;
    struct fixture *fixture = rig_open(8 << 20, out, NULL, &opened);
    CU_ASSERT_TRUE(opened);
    bool failed = fixture_run(fixture) == SOURCE_FAIL || !fixture_publish(fixture);
    CU_ASSERT_TRUE(failed);
    CU_ASSERT_EQUAL(fixture->error.os_errno, ENOSPC);
    rig_close(fixture);
    CU_ASSERT_EQUAL(rmdir(out), -1);
    CU_ASSERT_EQUAL(errno, ENOENT);
    CU_ASSERT_EQUAL(umount(mount_point), 0);
}

/* Runs a copy to stdout, which is `fd` meanwhile. */
static enum source_result run_to(int fd, struct fixture *fixture, bool *published)
{
    fflush(stdout);
    int saved = dup(1);
    dup2(fd, 1);
    close(fd);
    enum source_result result = SOURCE_FAIL;
    *published = false;
    if (fixture_sink(fixture, NULL, NULL))
        result = fixture_run(fixture);
    if (result == SOURCE_END)
        *published = fixture_publish(fixture);
    fixture_close(fixture);
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    return result;
}

struct drain {
    int fd;
    char *data;
    size_t length;
};

static void *drain_run(void *argument)
{
    struct drain *drain = argument;
    ssize_t got;
    while ((got = read(drain->fd, drain->data + drain->length, 3000)) > 0)
        drain->length += (size_t)got;
    return NULL;
}

/* A slow reader of a pipe gets every byte. */
static void stdout_is_a_pipe(void)
{
    size_t size = 3 << 20;
    char *text = text_make(size);
    const char *in = input_make(text, size);
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    struct drain drain = {.fd = ends[0], .data = malloc(size + 3000)};
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, drain_run, &drain), 0);
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_AUTO, 64 * 1024, 1 << 20);
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, &in, 1, NULL));
    bool published;
    CU_ASSERT_EQUAL(run_to(ends[1], fixture, &published), SOURCE_END);
    CU_ASSERT_TRUE(published);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(drain.length, size);
    CU_ASSERT(drain.length == size && memcmp(drain.data, text, size) == 0);
    close(ends[0]);
    free(drain.data);
    free(text);
    free(fixture);
}

static void stdout_closes(void)
{
    bool published;
    char *text = text_make(1 << 20);
    const char *in = input_make(text, 1 << 20);
    free(text);
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    close(ends[0]);
    sigset_t pipes;
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipes, NULL);
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_AUTO, 64 * 1024, 1 << 20);
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, &in, 1, NULL));
    CU_ASSERT_EQUAL(run_to(ends[1], fixture, &published), SOURCE_FAIL);
    CU_ASSERT_EQUAL(fixture->error.code, ERROR_NONE); /* SINK_CLOSED: no error */
    free(fixture);
}

/* `leat … >> log`: behind what is there. */
static void stdout_is_a_file(void)
{
    bool published;
    const char *in = input_make("new\n", 4);
    test_write(test_path("log"), "old\n", 4);
    int fd = open(test_path("log"), O_WRONLY | O_APPEND);
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_AUTO, 4096, 1 << 20);
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, &in, 1, NULL));
    CU_ASSERT_EQUAL(run_to(fd, fixture, &published), SOURCE_END);
    CU_ASSERT_TRUE(published);
    expect_file(test_path("log"), "old\nnew\n", 8);
    free(fixture);
}

static void templates(void)
{
    CU_ASSERT_TRUE(file_sink_is_template(STRING("out/{a}.csv")));
    CU_ASSERT_FALSE(file_sink_is_template(STRING("out/{{a}}.csv")));
    CU_ASSERT_TRUE(file_sink_is_template(STRING("out/{{{a}}}.csv")));
    CU_ASSERT_FALSE(file_sink_is_template(STRING("out/a.csv")));
}

SUITE(sink, {"copies are equal", copies}, {"50 seeds of simulated writes", simulated_copies},
      {"an abort keeps the old target", abort_keeps_the_target},
      {"a stale part is replaced, a live one respected", stale_part_is_replaced},
      {"append adds, and an abort cuts back", appends},
      {"what cannot be opened says why", open_errors}, {"a full device", full_device},
      {"a full disk", full_disk}, {"stdout is a slow pipe", stdout_is_a_pipe},
      {"stdout closes", stdout_closes}, {"stdout is a file", stdout_is_a_file},
      {"which paths are templates", templates})
