/* Files and stdin as sources: every byte in order, whatever the sizes of reads, batches and
 * records; and what goes wrong says so. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "io/engine_simulated.h"
#include "tests/io/fixture.h"
#include "tests/suite.h"

/* Lines of lengths that follow from a seed: most short, some long. */
static char *lines_make(size_t size, size_t longest, unsigned seed, size_t *length)
{
    char *text = malloc(size + longest + 2);
    size_t at = 0;
    while (at < size) {
        seed = seed * 1664525u + 1013904223u;
        size_t line = seed >> 28 == 0 ? (seed >> 8) % longest : (seed >> 8) % 100;
        memset(text + at, (int)('a' + (seed >> 5) % 26), line);
        at += line;
        text[at++] = '\n';
    }
    *length = at;
    return text;
}

/* Reads `path` (or stdin) and compares all that came with what was expected. */
static void expect_content(enum io_engine_kind kind, const char *path, size_t batch_text,
                           const char *text, size_t length)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, kind, batch_text, 4 << 20);
    fixture->keep_content = true;
    const char *files[] = {path};
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, path ? files : NULL, path ? 1 : 0, NULL));
    CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
    CU_ASSERT_EQUAL(fixture->content_length, length);
    CU_ASSERT(fixture->content_length == length &&
              (length == 0 || memcmp(fixture->content, text, length) == 0));
    CU_ASSERT_EQUAL(fixture->overlong, 0);
    fixture_close(fixture);
    free(fixture);
}

static void every_byte(void)
{
    static const size_t batches[] = {4096, 5000, 65536, 256 * 1024};
    static const size_t longest[] = {100, 5000, 70 * 1024, 200 * 1024, 1500 * 1024};
    for (size_t b = 0; b < ARRAY_SIZE(batches); b++) {
        for (size_t l = 0; l < ARRAY_SIZE(longest); l++) {
            size_t length;
            char *text = lines_make(2 << 20, longest[l], (unsigned)(b * 7 + l), &length);
            length -= l % 2; /* with and without a newline at the end */
            test_write(test_path("in.txt"), text, length);
            expect_content(IO_ENGINE_AUTO, test_path("in.txt"), batches[b], text, length);
            expect_content(IO_ENGINE_POSIX, test_path("in.txt"), batches[b], text, length);
            free(text);
        }
    }
}

static void tiny_reads(void)
{
    size_t length;
    char *text = lines_make(20000, 3000, 3, &length);
    test_write(test_path("tiny.txt"), text, length);
    for (int size = 1; size <= 7; size++) {
        char number[8];
        snprintf(number, sizeof(number), "%d", size);
        setenv("LEAT_READ_SIZE", number, 1);
        expect_content(IO_ENGINE_AUTO, test_path("tiny.txt"), 4096, text, length);
    }
    unsetenv("LEAT_READ_SIZE");
    free(text);
}

static void simulated_reads(void)
{
    size_t length;
    char *text = lines_make(600000, 150000, 9, &length);
    test_write(test_path("sim.txt"), text, length);
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct error error;
        struct io_simulation *simulation = io_simulation_open(seed, &error);
        expect_content(IO_ENGINE_SIMULATED, test_path("sim.txt"), 16384, text, length);
        io_simulation_close(simulation);
    }
    free(text);
}

static void empty_inputs(void)
{
    test_write(test_path("empty.txt"), "", 0);
    expect_content(IO_ENGINE_AUTO, test_path("empty.txt"), 4096, "", 0);
    test_write(test_path("newline.txt"), "\n", 1);
    expect_content(IO_ENGINE_AUTO, test_path("newline.txt"), 4096, "\n", 1);
    test_write(test_path("open.txt"), "x", 1);
    expect_content(IO_ENGINE_AUTO, test_path("open.txt"), 4096, "x", 1);
}

/* Several files: each begins and ends, in order, also the empty ones. */
static void several_files(void)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_AUTO, 4096, 1 << 20);
    test_write(test_path("m-a.txt"), "one\n", 4);
    test_write(test_path("m-b.txt"), "", 0);
    test_write(test_path("m-c.txt"), "three", 5);
    const struct options *options = test_options("files", test_path("m-*.txt"), NULL);
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, NULL, 0, options));
    CU_ASSERT_EQUAL(fixture->source->input_count, 3);
    CU_ASSERT_EQUAL(fixture->source->bytes_total, 9);
    static const char *const texts[] = {"one\n", "", "three"};
    for (uint32_t i = 0; i < 3; i++) {
        struct batch *batch = NULL;
        CU_ASSERT_EQUAL_FATAL(fixture_take(fixture, &batch), SOURCE_READY);
        CU_ASSERT_EQUAL(batch->origin.input, i);
        CU_ASSERT_TRUE(batch->starts_input && batch->ends_input);
        CU_ASSERT_EQUAL(batch->text_length, strlen(texts[i]));
        CU_ASSERT_EQUAL(memcmp(batch->text, texts[i], strlen(texts[i])), 0);
        fixture_give_back(fixture, batch);
    }
    struct batch *batch;
    CU_ASSERT_EQUAL(fixture_take(fixture, &batch), SOURCE_END);
    fixture_close(fixture);
    free(fixture);
}

static void expect_open_error(const char *const *files, const struct options *options,
                              const char *part)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_AUTO, 4096, 1 << 20);
    CU_ASSERT_FALSE(fixture_source(fixture, files, files ? 1 : 0, options));
    CU_ASSERT_PTR_NOT_NULL(strstr(fixture->error.text, part));
    fixture_close(fixture);
    free(fixture);
}

static void open_errors(void)
{
    expect_open_error((const char *[]){test_path("absent.txt")}, NULL, "No such file");
    expect_open_error((const char *[]){suite_folder()}, NULL, "is a folder");
    expect_open_error(NULL, test_options("files", test_path("zz*.txt"), NULL), "no file matches");
    expect_open_error(NULL, test_options("files", test_path("absent"), "format", "lnes", NULL),
                      "No such file");
    test_write(test_path("f.txt"), "x\n", 2);
    expect_open_error(NULL, test_options("files", test_path("f.txt"), "format", "lnes", NULL),
                      "did you mean lines?");
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_AUTO, 4096, 1 << 20);
    const struct options *options =
        test_options("files", test_path("zz*.txt"), "missing", "ok", NULL);
    CU_ASSERT_TRUE(fixture_source(fixture, NULL, 0, options));
    CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
    fixture_close(fixture);
    free(fixture);
}

static void overlong(void)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    size_t size = 9 << 20;
    char *text = malloc(size);
    memset(text, 'x', size);
    memcpy(text, "first\n", 6);
    memcpy(text + size - 6, "\nlast\n", 6);
    test_write(test_path("long.txt"), text, size);
    const char *files[] = {test_path("long.txt")};
    static const size_t limits[] = {1 << 20, 4096}; /* by way of a jumbo, and below one batch */
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        fixture_open(fixture, IO_ENGINE_AUTO, 65536, limits[i]);
        fixture->keep_content = true;
        CU_ASSERT_TRUE_FATAL(fixture_source(fixture, files, 1, NULL));
        CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
        CU_ASSERT_EQUAL(fixture->overlong, 1);
        CU_ASSERT_EQUAL(fixture->overlong_length, size - 6 - 6);
        CU_ASSERT_EQUAL(fixture->content_length, 11);
        CU_ASSERT_EQUAL(memcmp(fixture->content, "first\nlast\n", 11), 0);
        CU_ASSERT_FALSE(fixture->jumbo_held);
        fixture_close(fixture);
    }
    free(text);
    free(fixture);
}

/* The whole of what was there is delivered, then the error tells where it ended. */
static void shrinking_file(void)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_POSIX, 4096, 1 << 20);
    size_t length;
    char *text = lines_make(1 << 20, 80, 5, &length);
    const char *path = test_path("shrinks.txt");
    test_write(path, text, length);
    fixture->keep_content = true;
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, &path, 1, NULL));
    struct batch *batch;
    CU_ASSERT_EQUAL_FATAL(fixture_take(fixture, &batch), SOURCE_READY);
    fixture_give_back(fixture, batch);
    CU_ASSERT_EQUAL(truncate(path, 500000), 0);
    enum source_result result;
    while ((result = fixture_take(fixture, &batch)) == SOURCE_READY)
        fixture_give_back(fixture, batch);
    CU_ASSERT_EQUAL(result, SOURCE_FAIL);
    CU_ASSERT_EQUAL(fixture->error.code, ERROR_TRUNCATED);
    CU_ASSERT_PTR_NOT_NULL(strstr(fixture->error.text, "ends at byte 500000"));
    free(text);
    fixture_close(fixture);
    free(fixture);
}

/* Runs `work` with stdin replaced by `fd`. */
static int stdin_replace(int fd)
{
    int saved = dup(0);
    dup2(fd, 0);
    close(fd);
    return saved;
}

static void stdin_restore(int saved)
{
    dup2(saved, 0);
    close(saved);
}

static void stdin_is_a_file(void)
{
    test_write(test_path("stdin.txt"), "skipped\nrest\n", 13);
    int fd = open(test_path("stdin.txt"), O_RDONLY);
    lseek(fd, 8, SEEK_SET);
    int saved = stdin_replace(fd);
    expect_content(IO_ENGINE_AUTO, NULL, 4096, "rest\n", 5);
    stdin_restore(saved);
}

/* What comes is passed on at once, a torn tail waits, the end of the pipe ends it. */
static void stdin_is_a_pipe(enum io_engine_kind kind)
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    int saved = stdin_replace(ends[0]);
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, kind, 4096, 1 << 20);
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, NULL, 0, NULL));
    struct batch *batch = NULL;
    for (int i = 0; i < 50; i++) {
        CU_ASSERT_EQUAL(write(ends[1], "hello\nwor", 9), 9);
        CU_ASSERT_EQUAL_FATAL(fixture_take(fixture, &batch), SOURCE_READY);
        CU_ASSERT_EQUAL(batch->text_length, 6);
        CU_ASSERT_EQUAL(memcmp(batch->text, "hello\n", 6), 0);
        fixture_give_back(fixture, batch);
        CU_ASSERT_EQUAL(write(ends[1], "ld\n", 3), 3);
        CU_ASSERT_EQUAL_FATAL(fixture_take(fixture, &batch), SOURCE_READY);
        CU_ASSERT_EQUAL(memcmp(batch->text, "world\n", 6), 0);
        fixture_give_back(fixture, batch);
    }
    CU_ASSERT_EQUAL(write(ends[1], "tail", 4), 4);
    close(ends[1]);
    CU_ASSERT_EQUAL_FATAL(fixture_take(fixture, &batch), SOURCE_READY);
    CU_ASSERT_EQUAL(batch->text_length, 4);
    CU_ASSERT_TRUE(batch->ends_input);
    fixture_give_back(fixture, batch);
    CU_ASSERT_EQUAL(fixture_take(fixture, &batch), SOURCE_END);
    fixture_close(fixture);
    free(fixture);
    stdin_restore(saved);
}

static void stdin_pipe_uring(void)
{
    stdin_is_a_pipe(IO_ENGINE_AUTO);
}

static void stdin_pipe_posix(void)
{
    stdin_is_a_pipe(IO_ENGINE_POSIX);
}

static void stdin_stops(void)
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    int saved = stdin_replace(ends[0]);
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_AUTO, 4096, 1 << 20);
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, NULL, 0, NULL));
    CU_ASSERT_TRUE(fixture->source->endless);
    CU_ASSERT_EQUAL(write(ends[1], "whole\ntorn", 10), 10);
    struct batch *batch = NULL;
    CU_ASSERT_EQUAL_FATAL(fixture_take(fixture, &batch), SOURCE_READY);
    fixture_give_back(fixture, batch);
    struct error error;
    struct batch *none;
    struct batch *offered = fixture->free;
    fixture->free = offered->next;
    CU_ASSERT_TRUE(fixture->source->ops->offer(fixture->source, offered));
    CU_ASSERT_EQUAL(fixture->source->ops->take(fixture->source, &none, &error), SOURCE_WAIT);
    fixture->source->ops->stop(fixture->source);
    CU_ASSERT_EQUAL(fixture_take(fixture, &none), SOURCE_END);
    fixture_close(fixture);
    free(fixture);
    stdin_restore(saved);
    close(ends[1]);
}

static void stdin_times_out(void)
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    int saved = stdin_replace(ends[0]);
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_AUTO, 4096, 1 << 20);
    fixture->source_limits.timeout = NANOSECONDS / 10;
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, NULL, 0, NULL));
    struct batch *batch;
    CU_ASSERT_EQUAL(fixture_take(fixture, &batch), SOURCE_FAIL);
    CU_ASSERT_EQUAL(fixture->error.code, ERROR_TIMEOUT);
    fixture_close(fixture);
    free(fixture);
    stdin_restore(saved);
    close(ends[1]);
}

/* Takes what is there now: WAIT is not waited out. */
static enum source_result take_now(struct fixture *fixture)
{
    struct batch *none;
    struct batch *offered = fixture->free;
    fixture->free = offered->next;
    CU_ASSERT_TRUE_FATAL(fixture->source->ops->offer(fixture->source, offered));
    return fixture->source->ops->take(fixture->source, &none, &fixture->error);
}

/* A FIFO without a writer is opened at once, and is not at its end; one whose writer has come and
 * gone is, also if it wrote nothing. */
static void fifo_writer_comes_late(enum io_engine_kind kind, const char *text)
{
    const char *path = test_path("late.txt");
    unlink(path);
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    int held = -1;
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, kind, 4096, 1 << 20);
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, &path, 1, NULL));
    CU_ASSERT_EQUAL(take_now(fixture), SOURCE_WAIT);
    CU_ASSERT_EQUAL(take_now(fixture), SOURCE_WAIT);
    held = open(path, O_WRONLY | O_NONBLOCK); /* ENXIO: nobody reads it */
    CU_ASSERT_TRUE_FATAL(held >= 0);
    CU_ASSERT_EQUAL(take_now(fixture), SOURCE_WAIT);
    CU_ASSERT_EQUAL(write(held, text, strlen(text)), (ssize_t)strlen(text));
    close(held);
    struct batch *batch;
    size_t length = 0;
    enum source_result result;
    while ((result = fixture_take(fixture, &batch)) == SOURCE_READY) {
        length += batch->text_length;
        fixture_give_back(fixture, batch);
    }
    CU_ASSERT_EQUAL(result, SOURCE_END);
    CU_ASSERT_EQUAL(length, strlen(text));
    fixture_close(fixture);
    free(fixture);
}

static void fifo_late(void)
{
    static const enum io_engine_kind kinds[] = {IO_ENGINE_AUTO, IO_ENGINE_POSIX};
    /* A reader that blocks in open(2) is ended: no writer comes before it returns. */
    (void)alarm(60);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        fifo_writer_comes_late(kinds[i], "one\ntwo\n");
        fifo_writer_comes_late(kinds[i], "");
    }
    (void)alarm(0);
}

SUITE(source, {"every byte comes in order", every_byte}, {"reads of 1 to 7 bytes", tiny_reads},
      {"100 seeds of simulated reads", simulated_reads}, {"empty and tiny inputs", empty_inputs},
      {"several files", several_files}, {"what cannot be opened says why", open_errors},
      {"an over-long record streams past", overlong}, {"a file that shrinks", shrinking_file},
      {"stdin is a file from its position", stdin_is_a_file},
      {"stdin is a pipe (io_uring)", stdin_pipe_uring},
      {"stdin is a pipe (posix)", stdin_pipe_posix}, {"stdin that is told to stop", stdin_stops},
      {"stdin that times out", stdin_times_out}, {"a FIFO whose writer comes late", fifo_late})
