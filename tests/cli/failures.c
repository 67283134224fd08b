/* What the system refuses: missing files, folders, permissions, full disks, readers who leave,
 * signals. Each is a clear error with the right status, and leaves no half result. */
#include "tests/cli/process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/suite.h"

static const char *const one = "{\"a\":1}\n";

static void missing_input(void)
{
    struct process leat = LEAT(NULL, "pass", "no-such-file.ndjson");
    CU_ASSERT_TRUE(leat.status == 1 || leat.status == 2);
    EXPECT_OUT(leat, "");
    EXPECT_ERR(leat, "no-such-file.ndjson");
    EXPECT_ERR(leat, "No such file or directory");
    process_free(&leat);
}

static void glob_without_match(void)
{
    const char *folder = folder_make();
    struct process leat = {.folder = folder, .arguments = {"from file \"*.ndjson\""}};
    process_run(&leat);
    CU_ASSERT_TRUE(leat.status == 1 || leat.status == 2);
    EXPECT_ERR(leat, "*.ndjson");
    process_free(&leat);
    leat =
        (struct process){.folder = folder, .arguments = {"from file \"*.ndjson\" { missing ok }"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "");
    process_free(&leat);
}

static void folder_for_a_file(void)
{
    const char *folder = folder_make();
    mkdir(path_join(folder, "in.ndjson"), 0777);
    mkdir(path_join(folder, "out.ndjson"), 0777);
    struct process leat = {.folder = folder, .arguments = {"pass", "in.ndjson"}};
    process_run(&leat);
    CU_ASSERT_TRUE(leat.status == 1 || leat.status == 2);
    EXPECT_ERR(leat, "in.ndjson");
    process_free(&leat);
    leat =
        (struct process){.folder = folder, .input = one, .arguments = {"pass", "-o", "out.ndjson"}};
    process_run(&leat);
    CU_ASSERT_TRUE(leat.status == 1 || leat.status == 2);
    EXPECT_ERR(leat, "out.ndjson");
    CU_ASSERT_EQUAL(folder_count(folder), 2);
    process_free(&leat);
}

static void permission_denied(void)
{
    const char *folder = folder_make();
    const char *secret = path_join(folder, "secret.ndjson");
    file_write(secret, one);
    chmod(suite_folder(), 0711);
    chmod(folder, 0555);
    chmod(secret, 0);
    struct process leat = {.unprivileged = true, .arguments = {"pass", secret}};
    process_run(&leat);
    if (leat.status == 126 || leat.status == 127) {
        suite_skip("nobody may not run this leat");
        process_free(&leat);
        return;
    }
    CU_ASSERT_TRUE(leat.status == 1 || leat.status == 2);
    EXPECT_ERR(leat, "secret.ndjson: Permission denied");
    process_free(&leat);
    leat = (struct process){.unprivileged = true,
                            .input = one,
                            .arguments = {"pass", "-o", path_join(folder, "out.ndjson")}};
    process_run(&leat);
    CU_ASSERT_TRUE(leat.status == 1 || leat.status == 2);
    EXPECT_ERR(leat, "Permission denied");
    process_free(&leat);
    chmod(folder, 0755);
}

static void missing_output_folder(void)
{
    const char *folder = folder_make();
    struct process leat = LEAT(one, "pass", "-o", path_join(folder, "no/out.ndjson"));
    CU_ASSERT_TRUE(leat.status == 1 || leat.status == 2);
    EXPECT_ERR(leat, "no/");
    process_free(&leat);
}

static void full_stdout(void)
{
    struct process leat = {.input = one, .output_file = "/dev/full", .arguments = {"pass"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "No space left on device");
    process_free(&leat);
    leat = (struct process){.output_file = "/dev/full", .arguments = {"help"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "cannot write to stdout: No space left on device");
    process_free(&leat);
}

static void stdout_not_open(void)
{
    const char *folder = folder_make();
    struct process leat = {.input = one, .output_closed = true, .arguments = {"pass"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "Bad file descriptor");
    process_free(&leat);
    /* nobody needs stdout here, and the file must not become descriptor 1 */
    const char *path = path_join(folder, "out.ndjson");
    leat = (struct process){.input = one, .output_closed = true, .arguments = {"pass", "-o", path}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    char *text = file_read(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_STRING_EQUAL(text, one);
    free(text);
    process_free(&leat);
}

static char *many_records(size_t count)
{
    char *text = malloc(count * 32 + 1);
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, 32, "{\"number\":%zu}\n", i);
    return text;
}

static void reader_leaves(void)
{
    char *input = many_records(200000);
    struct process leat = {.input = input, .output_limit = 1, .arguments = {"pass"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    CU_ASSERT_STRING_EQUAL(leat.err, "");
    CU_ASSERT_EQUAL(strncmp(leat.out, input, leat.out_length), 0);
    process_free(&leat);
    free(input);
}

static void failed_run_keeps_the_old_target(void)
{
    const char *folder = folder_make();
    const char *path = path_join(folder, "out.ndjson");
    file_write(path, "old\n");
    struct process leat = LEAT("{\"a\":1}\n{\"a\":\n", "pass", "-o", path);
    EXPECT_STATUS(leat, 1);
    char *text = file_read(path);
    CU_ASSERT_STRING_EQUAL(text, "old\n");
    CU_ASSERT_EQUAL(folder_count(folder), 1);
    free(text);
    process_free(&leat);
}

static void input_given_twice(void)
{
    struct process leat = LEAT(NULL, "from stdin | pass", "a.ndjson");
    EXPECT_STATUS(leat, 2);
    process_free(&leat);
    leat = LEAT(NULL, "pass | into stdout", "-o", "x.ndjson");
    EXPECT_STATUS(leat, 2);
    CU_ASSERT_FALSE(file_exists("x.ndjson"));
    process_free(&leat);
}

/* A finite input, larger than all that can be in flight while its reader takes a first chunk: the
 * signal always comes before its end. */
static void signal_stops_a_finite_run(void)
{
    const char *folder = folder_make();
    char *input = many_records(2000000);
    file_write(path_join(folder, "in.ndjson"), input);
    file_write(path_join(folder, "out.ndjson"), "old\n");
    struct process leat = {.folder = folder,
                           .signal_number = SIGTERM,
                           .signal_after = 1,
                           .arguments = {"pass | into stdout | into file \"out.ndjson\"",
                                         "in.ndjson", "--memory", "16MiB"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 128 + SIGTERM);
    CU_ASSERT_TRUE(leat.out_length < strlen(input));
    CU_ASSERT_EQUAL(strncmp(leat.out, input, leat.out_length), 0);
    char *text = file_read(path_join(folder, "out.ndjson"));
    CU_ASSERT_STRING_EQUAL(text, "old\n");
    CU_ASSERT_EQUAL(folder_count(folder), 2);
    free(text);
    free(input);
    process_free(&leat);
}

static void signal_drains_an_endless_run(void)
{
    struct process leat = {.input = "{\"a\":1}\n{\"a\":2}\n",
                           .input_stays_open = true,
                           .signal_number = SIGINT,
                           .signal_after = 16,
                           .arguments = {"pass"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"a\":1}\n{\"a\":2}\n");
    process_free(&leat);
}

static void injected_faults_are_clear(void)
{
    const char *folder = folder_make();
    const char *path = path_join(folder, "in.ndjson");
    file_write(path, one);
    for (int i = 1; i <= 12; i++) {
        char fault[32];
        snprintf(fault, sizeof(fault), "LEAT_FAULT=io:%d:EIO", i);
        struct process leat = {.folder = folder,
                               .environment = {fault},
                               .arguments = {"pass", "in.ndjson", "-o", "out.ndjson"}};
        process_run(&leat);
        bool said = strstr(leat.err, "Input/output error") != NULL;
        if (!(leat.status == 0 || (leat.status == 1 && said)))
            printf("\n  %s: status %d: %s\n", fault, leat.status, leat.err);
        CU_ASSERT_TRUE(leat.status == 0 || (leat.status == 1 && said));
        CU_ASSERT_EQUAL(file_exists(path_join(folder, "out.ndjson")), leat.status == 0);
        unlink(path_join(folder, "out.ndjson"));
        CU_ASSERT_EQUAL(folder_count(folder), 1);
        process_free(&leat);
    }
}

/* Each allocation of a command fails once: an error with status 1, never a crash, never silence. */
static void lack_of_memory_is_clear(void)
{
    static const char *const commands[][2] = {{"eval", "[1, 2].map(x, x + 1)"},
                                              {"check", "where a > 1 | put b = 2"},
                                              {"graph", "where a > 1"},
                                              {"help", "where"}};
    for (size_t i = 0; i < 4 * 40; i++) {
        char fault[32];
        const char *const *command = commands[i / 40];
        snprintf(fault, sizeof(fault), "LEAT_FAULT=alloc:%zu", i % 40 + 1);
        struct process leat = {.environment = {fault}, .arguments = {command[0], command[1]}};
        process_run(&leat);
        bool said = leat.status == 1 && strstr(leat.err, "leat: error: ") != NULL;
        if (!said && leat.status != 0)
            printf("\n  %s leat %s: status %d: %s\n", fault, command[0], leat.status, leat.err);
        CU_ASSERT_TRUE(said || leat.status == 0);
        CU_ASSERT_TRUE(said || i % 40 > 0); /* the first is the command line's own */
        process_free(&leat);
    }
}

SUITE(failures, {"missing input", missing_input}, {"glob without match", glob_without_match},
      {"folder for a file", folder_for_a_file}, {"permission denied", permission_denied},
      {"missing output folder", missing_output_folder}, {"full stdout", full_stdout},
      {"stdout not open", stdout_not_open}, {"reader leaves", reader_leaves},
      {"a failed run keeps the old target", failed_run_keeps_the_old_target},
      {"input or output given twice", input_given_twice},
      {"a signal stops a finite run", signal_stops_a_finite_run},
      {"a signal drains an endless run", signal_drains_an_endless_run},
      {"injected faults are clear", injected_faults_are_clear},
      {"lack of memory is clear", lack_of_memory_is_clear})
