/* Runs the built leat (the environment's LEAT, or build/leat) as a user would: arguments in, what
 * it printed and how it ended out. Everything waits in poll() with one deadline; a program that
 * does not end in time is killed, and that is a failure. */
#ifndef LEAT_TESTS_CLI_PROCESS_H
#define LEAT_TESTS_CLI_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#define PROCESS_ARGUMENTS 24

struct process {
    /* to be set */
    const char *program;                          /* NULL: leat */
    const char *arguments[PROCESS_ARGUMENTS + 1]; /* behind the program; ends with NULL */
    const char *folder;                           /* to run in; NULL: the current one */
    const char *environment[4];                   /* "NAME=value", … */
    const char *input;                            /* to stdin by a pipe; NULL: nothing */
    size_t input_length;                          /* 0: of a text */
    bool input_stays_open;   /* the pipe is closed only when a signal is sent or stdout ends */
    bool unprivileged;       /* run as nobody where the tests run as root */
    const char *input_file;  /* stdin is this file */
    const char *output_file; /* stdout is this file */
    bool output_closed;      /* stdout is no open descriptor */
    unsigned terminal_width; /* stderr is a terminal of so many columns; 0: a pipe */
    size_t output_limit;     /* stop reading stdout after so many bytes, and close it; 0: never */
    int signal_number;       /* sent when `signal_after` bytes came from stdout; 0: none */
    size_t signal_after;
    const char *opened_file; /* a file in `folder`: the signal waits until somebody opens it, … */
    const char *opened_answer; /* … and this is then written to it; NULL: nothing */
    /* the result */
    int status; /* the exit status; 1000 + N: killed by signal N; -1: did not end in time */
    char *out;  /* NUL-terminated; owned */
    size_t out_length;
    char *err;
    size_t err_length;
};

void process_run(struct process *process);
void process_free(struct process *process);
/* leat with these arguments and this stdin (NULL: empty). */
#define LEAT(text, ...) leat_run((struct process){.input = (text), .arguments = {__VA_ARGS__}})
struct process leat_run(struct process process);
/* python3 -c SCRIPT with arguments and stdin: the independent source of what is expected. */
#define PYTHON(text, ...)                                                                          \
    leat_run(                                                                                      \
        (struct process){.program = "python3", .input = (text), .arguments = {"-c", __VA_ARGS__}})

/* Asserts that say what the program printed when they fail. */
#define EXPECT_STATUS(process, expected) expect_status(&(process), expected, __FILE__, __LINE__)
#define EXPECT_OUT(process, expected)    expect_out(&(process), expected, __FILE__, __LINE__)
/* stderr (or stdout) contains the text. */
#define EXPECT_ERR(process, part)      expect_part(&(process), true, part, __FILE__, __LINE__)
#define EXPECT_OUT_PART(process, part) expect_part(&(process), false, part, __FILE__, __LINE__)
void expect_status(const struct process *process, int expected, const char *file, int line);
void expect_out(const struct process *process, const char *expected, const char *file, int line);
void expect_part(const struct process *process, bool err, const char *part, const char *file,
                 int line);

/* A fresh folder for a test, under the suite's. The text lives to the end of the process. */
const char *folder_make(void);
/* "FOLDER/NAME"; lives to the end of the process. */
const char *path_join(const char *folder, const char *name);
void file_write(const char *path, const char *text);
/* The whole file, NUL-terminated, or NULL where there is none; the caller frees. */
char *file_read(const char *path);
bool file_exists(const char *path);
/* How many entries the folder has, hidden ones too. */
unsigned folder_count(const char *folder);

#endif
