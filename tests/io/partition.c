/* Partitions: a file for each path, whatever the number of open ones; no way out of the folder. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/partition_files.h"
#include "io/partition_sink.h"
#include "tests/io/fixture.h"
#include "tests/suite.h"

static void safe_paths(void)
{
    static const char *const good[] = {"a", "a/b.csv", ".hidden", "a b/c", "...", "x..y/z"};
    static const char *const bad[] = {
        "",      "/a",   "a/",   "a//b",          ".", "..", "a/..", "../a", "./a",
        "a/./b", "a/..", "..//", "b/.a.leat-part"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        CU_ASSERT_TRUE(partition_path_safe((struct string){good[i], strlen(good[i])}));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CU_ASSERT_FALSE(partition_path_safe((struct string){bad[i], strlen(bad[i])}));
    CU_ASSERT_FALSE(partition_path_safe((struct string){"a\0b", 3}));
    char name[300];
    memset(name, 'x', sizeof(name));
    CU_ASSERT_FALSE(partition_path_safe((struct string){name, 260}));
    CU_ASSERT_TRUE(partition_path_safe((struct string){name, 200}));
}

static struct partition_files *files_open(const char *prefix, enum compression compression,
                                          unsigned open_files)
{
    struct error error;
    struct partition_options options = {.prefix = {prefix, strlen(prefix)},
                                        .compression = compression,
                                        .open_files = open_files,
                                        .memory = 1 << 20};
    return partition_files_open(&options, &error);
}

static bool line_write(struct partition_files *files, const char *prefix, unsigned number,
                       unsigned partitions, struct error *error)
{
    char path[256];
    char line[32];
    int length = snprintf(path, sizeof(path), "%sd%u/p%u.txt", prefix, number % partitions % 7,
                          number % partitions);
    bool is_new;
    struct partition *partition =
        partition_files_find(files, (struct string){path, (size_t)length}, &is_new, error);
    int size = snprintf(line, sizeof(line), "%u\n", number);
    return partition && is_new == (number < partitions) &&
           partition_write(files, partition, line, (size_t)size, error);
}

/* Many more files than may be open: each has its lines, in order, and no part is left. */
static void more_than_open(void)
{
    char prefix[256];
    snprintf(prefix, sizeof(prefix), "%s/", test_path("many"));
    CU_ASSERT_EQUAL(mkdir(prefix, 0700), 0);
    struct partition_files *files = files_open(prefix, COMPRESSION_NONE, 4);
    CU_ASSERT_PTR_NOT_NULL_FATAL(files);
    struct error error;
    for (unsigned i = 0; i < 5000; i++)
        CU_ASSERT_TRUE_FATAL(line_write(files, prefix, i, 100, &error));
    CU_ASSERT_TRUE(partition_files_sync(files, &error));
    size_t length;
    char path[300];
    snprintf(path, sizeof(path), "%sd1/p1.txt", prefix);
    CU_ASSERT_PTR_NULL(test_read(path, &length)); /* not before it is published */
    CU_ASSERT_TRUE(partition_files_publish(files, &error));
    partition_files_close(files);
    for (unsigned p = 0; p < 100; p++) {
        char expected[1024];
        size_t at = 0;
        for (unsigned i = p; i < 5000; i += 100)
            at += (size_t)snprintf(expected + at, sizeof(expected) - at, "%u\n", i);
        snprintf(path, sizeof(path), "%sd%u/p%u.txt", prefix, p % 7, p);
        char *text = test_read(path, &length);
        CU_ASSERT_PTR_NOT_NULL_FATAL(text);
        CU_ASSERT_STRING_EQUAL(text, expected);
        free(text);
        snprintf(path, sizeof(path), "%sd%u/.p%u.txt.leat-part", prefix, p % 7, p);
        CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
    }
}

static void aborted(void)
{
    char prefix[256];
    char path[300];
    snprintf(prefix, sizeof(prefix), "%s/", test_path("aborted"));
    CU_ASSERT_EQUAL(mkdir(prefix, 0700), 0);
    snprintf(path, sizeof(path), "%sd0", prefix);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%sd0/p0.txt", prefix);
    test_write(path, "old", 3);
    struct partition_files *files = files_open(prefix, COMPRESSION_ZSTD, 4);
    struct error error;
    for (unsigned i = 0; i < 50; i++)
        CU_ASSERT_TRUE_FATAL(line_write(files, prefix, i, 20, &error));
    partition_files_abort(files);
    partition_files_close(files);
    size_t length;
    char *text = test_read(path, &length);
    CU_ASSERT_STRING_EQUAL(text, "old");
    free(text);
    char command[400];
    snprintf(command, sizeof(command), "test -z \"$(find '%s' -name '*leat-part')\"", prefix);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* A symbolic link in the folder leads nowhere. */
static void links(void)
{
    char prefix[256];
    char path[300];
    snprintf(prefix, sizeof(prefix), "%s/", test_path("links"));
    CU_ASSERT_EQUAL(mkdir(prefix, 0700), 0);
    CU_ASSERT_EQUAL(mkdir(test_path("outside"), 0700), 0);
    snprintf(path, sizeof(path), "%sd0", prefix);
    CU_ASSERT_EQUAL(symlink(test_path("outside"), path), 0);
    struct partition_files *files = files_open(prefix, COMPRESSION_NONE, 4);
    struct error error;
    CU_ASSERT_FALSE(line_write(files, prefix, 0, 20, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "cannot make the folders of"));
    CU_ASSERT_NOT_EQUAL(access(test_path("outside/.p0.txt.leat-part"), F_OK), 0);
    partition_files_abort(files);
    partition_files_close(files);
}

SUITE(partition, {"which paths are safe", safe_paths}, {"more files than are open", more_than_open},
      {"an abort leaves no part and the old files", aborted},
      {"a symbolic link is not followed", links})
