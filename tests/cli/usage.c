/* The command line itself: what is refused and how, help, man page, completions, the commands that
 * read no records. */
#include "tests/cli/process.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/suite.h"

/* Each must exit with 2, print nothing on stdout, and say this. */
static const struct {
    const char *arguments[4];
    const char *message;
} refused[] = {
    {{"--repotr", "x"}, "unknown option \"--repotr\"; did you mean \"--report\"?"},
    {{"-x"}, "unknown option \"-x\""},
    {{"pass", "--from", "cvs"}, "unknown format \"cvs\"; did you mean \"csv\"?"},
    {{"pass", "-j", "0"}, "\"0\" is no whole number from 1"},
    {{"pass", "-j", "-3"}, "\"-3\" is no whole number"},
    {{"pass", "-j99999999999999999999"}, "is no whole number"},
    {{"pass", "--memory", "64Mb"}, "is no size; write 64KiB"},
    {{"pass", "--memory=99999999999999GiB"}, "is no size"},
    {{"pass", "--memory=0"}, "is no size"},
    {{"pass", "--slow=5"}, "is no duration"},
    {{"pass", "--order", "sorted"}, "\"sorted\" is none of input|none"},
    {{"pass", "--quiet=yes"}, "--quiet takes no value"},
    {{"pass", "-o"}, "--output needs a value: FILE"},
    {{"pass", "--output="}, "the FILE is empty"},
    {{"fmt", "--report", "x"}, "--report is an option of \"leat run\", not of leat fmt"},
    {{"pass", "--dot"}, "--dot is an option of \"leat graph\", not of a program"},
    {{"pass", "-", "b"}, "stdin (-) cannot be read between files"},
    {{""}, "the program is empty"},
    {{"  \n"}, "the program is empty"},
    {{"\xff\xfe"}, "is not UTF-8"},
    {{"replay"}, "replay needs the file of rejected records"},
    {{"replay", "x", "pass", "y"}, "replay takes one file of rejected records and one pipeline"},
    {{"state", "--wait"}, "--wait is an option of \"leat run\", not of leat state"},
    {{"help", "wehre"}, "did you mean \"where\"?"},
    {{"eval"}, "takes one expression"},
};

static void refusals(void)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct process leat = {0};
        memcpy(leat.arguments, refused[i].arguments, sizeof(refused[i].arguments));
        process_run(&leat);
        EXPECT_STATUS(leat, 2);
        EXPECT_OUT(leat, "");
        EXPECT_ERR(leat, refused[i].message);
        process_free(&leat);
    }
}

static void nothing_to_do(void)
{
    struct process leat = LEAT(NULL, NULL);
    EXPECT_STATUS(leat, 2);
    EXPECT_OUT(leat, "");
    EXPECT_ERR(leat, "usage: leat 'PROGRAM' [FILE...]");
    process_free(&leat);
}

static void command_misspelt(void)
{
    struct process leat = LEAT(NULL, "chekc");
    EXPECT_STATUS(leat, 2);
    EXPECT_ERR(leat, "did you mean the command \"leat check\"?");
    process_free(&leat);
}

static void file_without_run(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "p.conf"), "pass\n");
    struct process leat = {.folder = folder, .arguments = {"p.conf"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 2);
    EXPECT_ERR(leat, "did you mean \"leat run p.conf\"?");
    process_free(&leat);
}

static void pipeline_files_refused(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "empty.conf"), "");
    file_write(path_join(folder, "latin.conf"), "where a == \"\xe9\"\n");
    static const char *const cases[][2] = {{"empty.conf", "the pipeline \"empty.conf\" is empty"},
                                           {"latin.conf", "is not UTF-8"},
                                           {"missing.conf", "No such file or directory"},
                                           {".", "is a folder"},
                                           {"/dev/zero", "is longer than 16 MiB"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct process leat = {.folder = folder, .arguments = {"run", cases[i][0]}};
        process_run(&leat);
        EXPECT_STATUS(leat, 2);
        EXPECT_ERR(leat, cases[i][1]);
        process_free(&leat);
    }
    struct process leat = {.folder = folder, .arguments = {"run"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 2);
    EXPECT_ERR(leat, "there is no ./pipeline.conf here");
    process_free(&leat);
}

static void problems_as_json(void)
{
    struct process leat = LEAT(NULL, "wehre a > 1", "--log", "json");
    EXPECT_STATUS(leat, 2);
    struct process python =
        PYTHON(leat.err, "import sys, json\n"
                         "first = json.loads(sys.stdin.readlines()[0])\n"
                         "print(first['level'], first['file'], first['line'], first['column'])");
    EXPECT_OUT(python, "error program 1 1\n");
    process_free(&leat);
    process_free(&python);
}

static void help_lists(void)
{
    struct process leat = LEAT(NULL, "help");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT_PART(leat, "--report FILE");
    EXPECT_OUT_PART(leat, "where");
    EXPECT_OUT_PART(leat, "ndjson");
    process_free(&leat);
    leat = LEAT(NULL, "help", "where");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT_PART(leat, "strict");
    process_free(&leat);
    leat = LEAT(NULL, "help", "functions");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT_PART(leat, "x.substring(a[, b])");
    process_free(&leat);
    leat = LEAT(NULL, "fmt", "--help");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT_PART(leat, "--write");
    process_free(&leat);
}

static void version_is_printed(void)
{
    struct process leat = LEAT(NULL, "version");
    struct process option = LEAT(NULL, "--version");
    EXPECT_STATUS(leat, 0);
    CU_ASSERT_EQUAL(strncmp(leat.out, "leat ", 5), 0);
    EXPECT_OUT(option, leat.out);
    process_free(&leat);
    process_free(&option);
}

/* Every word in help's option list is in the man page and in each completion too. */
static void tables_reach_everywhere(void)
{
    static const char *const pages[][3] = {
        {"--man"}, {"--completion", "bash"}, {"--completion", "zsh"}, {"--completion", "fish"}};
    static const char *const words[] = {"report", "memory", "reject", "graph", "where", "ndjson"};
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        struct process leat = LEAT(NULL, "help", pages[i][0], pages[i][1]);
        EXPECT_STATUS(leat, 0);
        for (size_t j = 0; j < sizeof(words) / sizeof(words[0]); j++)
            EXPECT_OUT_PART(leat, words[j]);
        process_free(&leat);
    }
}

static void bash_completes(void)
{
    static const char *const script =
        "source /dev/stdin; compopt() { :; }\n"
        "try() { COMP_WORDS=(leat \"$@\"); COMP_CWORD=$#; COMPREPLY=(); _leat;"
        " echo \"${COMPREPLY[*]}\"; }\n"
        "try gra; try pass --rep; try pass --order ''; try graph --d; try help wher";
    struct process leat = LEAT(NULL, "help", "--completion", "bash");
    struct process bash = {.program = "bash", .input = leat.out, .arguments = {"-c", script}};
    process_run(&bash);
    EXPECT_STATUS(bash, 0);
    EXPECT_OUT(bash, "graph\n--report\ninput none\n--dot\nwhere\n");
    process_free(&leat);
    process_free(&bash);
}

/* Syntax only, where the shell is installed. */
static void other_shells_take_their_scripts(void)
{
    static const char *const shells[] = {"zsh", "fish"};
    for (size_t i = 0; i < 2; i++) {
        struct process leat = LEAT(NULL, "help", "--completion", shells[i]);
        struct process shell = {
            .program = shells[i], .input = leat.out, .arguments = {"-n", "/dev/stdin"}};
        process_run(&shell);
        if (shell.status == 127)
            suite_skip(shells[i]);
        else
            EXPECT_STATUS(shell, 0);
        process_free(&leat);
        process_free(&shell);
    }
}

static void reference_pages(void)
{
    const char *folder = folder_make();
    struct process leat = LEAT(NULL, "help", "--markdown", folder);
    EXPECT_STATUS(leat, 0);
    CU_ASSERT_TRUE(folder_count(folder) > 20);
    CU_ASSERT_TRUE(file_exists(path_join(folder, "README.md")));
    process_free(&leat);
}

SUITE(usage, {"refusals", refusals}, {"nothing to do", nothing_to_do},
      {"command misspelt", command_misspelt}, {"file without run", file_without_run},
      {"pipeline files refused", pipeline_files_refused}, {"problems as JSON", problems_as_json},
      {"help", help_lists}, {"version", version_is_printed},
      {"tables reach man page and completions", tables_reach_everywhere},
      {"bash completes", bash_completes},
      {"zsh and fish take their scripts", other_shells_take_their_scripts},
      {"reference pages", reference_pages})
