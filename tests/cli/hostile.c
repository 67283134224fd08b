/* Hostile surroundings: an input without end, pipes as files, damaged compression, disks that fill
 * up, silence on either side, signals in the middle. */
#include "tests/cli/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/suite.h"

/* In a folder with "in.ndjson", 2,000,000 records of 36 MB, and "old.ndjson". */
static const char *folder_with_input(void)
{
    const char *folder = folder_make();
    FILE *out = fopen(path_join(folder, "in.ndjson"), "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    for (unsigned i = 0; i < 2000000; i++)
        fprintf(out, "{\"number\":%u}\n", i);
    fclose(out);
    file_write(path_join(folder, "old.ndjson"), "old\n");
    return folder;
}

static void expect_old(const char *folder)
{
    char *text = file_read(path_join(folder, "old.ndjson"));
    CU_ASSERT_STRING_EQUAL(text, "old\n");
    free(text);
}

/* One record that never ends: memory stays bounded, and a signal is heard. */
static void endless_record(void)
{
    const char *folder = folder_make();
    struct process leat = {
        .program = "timeout", .folder = folder, .arguments = {"-k", "10", "-s", "TERM", "1", NULL}};
    leat.arguments[5] = getenv("LEAT") ? realpath(getenv("LEAT"), NULL) : NULL;
    if (!leat.arguments[5])
        leat.arguments[5] = realpath("build/leat", NULL);
    leat.arguments[6] = "--memory";
    leat.arguments[7] = "16MiB";
    leat.arguments[8] = "count";
    leat.arguments[9] = "/dev/zero";
    process_run(&leat);
    EXPECT_STATUS(leat, 124); /* of timeout: it ended after the first signal, within 10 s */
    EXPECT_ERR(leat, "0 read");
    free((char *)leat.arguments[5]);
    process_free(&leat);
}

static void full_disk(void)
{
    static const char *const programs[] = {
        "into file \"full/old.ndjson\"", "into file \"full/x.ndjson.gz\"",
        "into file \"full/{string(number % 5)}.ndjson\"", "into sqlite \"full/x.db\" { table t }"};
    const char *folder = folder_with_input();
    const char *full = path_join(folder, "full");
    mkdir(full, 0777);
    if (mount("tmpfs", full, "tmpfs", 0, "size=1m") != 0) {
        suite_skip("a small tmpfs may not be mounted here");
        return;
    }
    file_write(path_join(full, "old.ndjson"), "old\n");
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        struct process leat = {.folder = folder, .arguments = {programs[i], "in.ndjson"}};
        process_run(&leat);
        EXPECT_STATUS(leat, 1);
        EXPECT_ERR(leat, "full");
        CU_ASSERT_TRUE(strstr(leat.err, "No space left on device") ||
                       strstr(leat.err, "disk is full"));
        expect_old(full);
        if (i < 3)
            CU_ASSERT_EQUAL(folder_count(full), 1);
        process_free(&leat);
    }
    CU_ASSERT_EQUAL(umount2(full, MNT_DETACH), 0);
}

/* A signal after the first byte, again and again: an earlier version hung here now and then. */
static void stops_every_time(void)
{
    const char *folder = folder_with_input();
    for (int i = 0; i < 20; i++) {
        struct process leat = {.folder = folder,
                               .signal_number = SIGTERM,
                               .signal_after = 1,
                               .arguments = {"pass | into stdout | into file \"old.ndjson\"",
                                             "in.ndjson", "--memory", "16MiB"}};
        process_run(&leat);
        EXPECT_STATUS(leat, 128 + SIGTERM);
        expect_old(folder);
        CU_ASSERT_EQUAL(folder_count(folder), 2);
        process_free(&leat);
    }
}

static void damaged_compression(void)
{
    static const char *const make[] = {"zstd -q -c in.ndjson | head -c 100000 > cut.ndjson.zst",
                                       "gzip -c in.ndjson | head -c 100000 > cut.ndjson.gz"};
    static const char *const names[] = {"cut.ndjson.zst", "cut.ndjson.gz"};
    const char *folder = folder_with_input();
    for (size_t i = 0; i < 2; i++) {
        struct process shell = {.program = "sh", .folder = folder, .arguments = {"-c", make[i]}};
        process_run(&shell);
        process_free(&shell);
        struct process leat = {.folder = folder,
                               .arguments = {"pass", names[i], "-o", "old.ndjson"}};
        process_run(&leat);
        EXPECT_STATUS(leat, 1);
        EXPECT_ERR(leat, "ends at byte 100000 in the middle of");
        expect_old(folder);
        process_free(&leat);
    }
}

static void silent_input(void)
{
    struct process leat = {.input_stays_open = true,
                           .arguments = {"from stdin { timeout 200ms } | pass"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "no data from stdin");
    EXPECT_ERR(leat, "timeout of the source");
    process_free(&leat);
}

static void closed_input(void)
{
    struct process leat = {.program = "sh", .arguments = {"-c", "exec \"$LEAT\" pass <&-"}};
    if (!getenv("LEAT")) {
        suite_skip("LEAT is not set");
        return;
    }
    process_run(&leat);
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "cannot read stdin: it is closed");
    process_free(&leat);
}

static const char *folder_with_fifo(void)
{
    const char *folder = folder_make();
    CU_ASSERT_EQUAL_FATAL(mkfifo(path_join(folder, "fifo"), 0600), 0);
    return folder;
}

/* A FIFO that nobody writes: every way of ending a run is heard, with both engines. Stopping what
 * has no end is no failure. */
static void fifo_without_writer(void)
{
    static const struct {
        const char *program;
        int status;
        int signal_number;
        const char *said;
    } cases[] = {
        {"from file \"fifo\" { timeout 200ms } | pass", 1, 0, "no data from fifo for 0.2 s"},
        {"from file \"fifo\" { timeout 200ms\ncompression zstd } | pass", 1, 0,
         "no data from fifo for 0.2 s"},
        {"pipeline silent { timeout 200ms }\nfrom file \"fifo\" | pass", 1, 0,
         "the run's timeout of 0.200 s has passed"},
        {"from file \"fifo\" | pass", 0, SIGTERM, "0 read"},
        {"from file \"fifo\" { compression gzip } | pass", 0, SIGTERM, "0 read"},
    };
    static const char *const engines[] = {"uring", "posix"};
    const char *folder = folder_with_fifo();
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        struct process leat = {.folder = folder,
                               .signal_number = cases[i / 2].signal_number,
                               .opened_file = "fifo",
                               .arguments = {"--io", engines[i % 2], cases[i / 2].program}};
        process_run(&leat);
        EXPECT_STATUS(leat, cases[i / 2].status);
        EXPECT_ERR(leat, cases[i / 2].said);
        process_free(&leat);
    }
}

/* The writer comes when leat has opened the FIFO already. */
static void fifo_with_late_writer(void)
{
    static const char *const engines[] = {"uring", "posix"};
    const char *folder = folder_with_fifo();
    for (size_t i = 0; i < 2; i++) {
        struct process leat = {.folder = folder,
                               .opened_file = "fifo",
                               .opened_answer = "{\"a\":1}\n{\"a\":2}\n",
                               .arguments = {"--io", engines[i], "where a > 1", "fifo"}};
        process_run(&leat);
        EXPECT_STATUS(leat, 0);
        EXPECT_OUT(leat, "{\"a\":2}\n");
        process_free(&leat);
    }
}

SUITE(hostile, {"a record without end", endless_record}, {"full disk", full_disk},
      {"20 signals stop 20 runs", stops_every_time}, {"damaged compression", damaged_compression},
      {"silent input", silent_input}, {"closed input", closed_input},
      {"a FIFO without a writer", fifo_without_writer},
      {"a FIFO with a late writer", fifo_with_late_writer})
