/* From arguments to a plan: see session.h. */
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/expressions_check.h"
#include "cli/notice.h"
#include "cli/signals.h"
#include "core/fault.h"
#include "core/utf8.h"

#define PIPELINE_FILE "pipeline.conf"

int session_status(const struct error *error)
{
    switch (error->code) {
    case ERROR_USAGE:
    case ERROR_PROGRAM:
        return 2;
    case ERROR_LOCKED:
        return RUN_LOCKED;
    default:
        return 1;
    }
}

/* Reads until the end or the limit; false with errno set. */
static bool read_whole(int fd, char *text, size_t limit, size_t *length)
{
    *length = 0;
    while (*length < limit) {
        int fault = fault_io();
        ssize_t count = fault ? -1 : read(fd, text + *length, limit - *length);
        if (fault)
            errno = fault;
        if (count == 0)
            return true;
        if (count < 0 && errno != EINTR)
            return false;
        *length += count > 0 ? (size_t)count : 0;
    }
    return true;
}

/* Opens without blocking on a FIFO that nobody writes, and looks at what it is. */
static int file_open_program(const char *path, size_t *limit, struct error *error)
{
    int fault = fault_io();
    int fd = fault ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat status;
    if (fd < 0) {
        error_set_errno(error, fault ? fault : errno, "cannot open the pipeline \"%s\"", path);
        error->code = ERROR_PROGRAM;
        return -1;
    }
    if (fstat(fd, &status) != 0) {
        error_set_errno(error, errno, "cannot look at the pipeline \"%s\"", path);
    } else if (S_ISDIR(status.st_mode)) {
        error_set(error, ERROR_PROGRAM, "the pipeline \"%s\" is a folder; name a file", path);
    } else {
        *limit = S_ISREG(status.st_mode) && status.st_size < PROGRAM_LIMIT
                     ? (size_t)status.st_size + 1
                     : PROGRAM_LIMIT + 1;
        return fd;
    }
    close(fd);
    return -1;
}

static bool text_check(struct session *session, struct error *error)
{
    const char *what = session->is_file ? "the pipeline " : "the ";
    if (session->length > PROGRAM_LIMIT)
        return error_set(error, ERROR_PROGRAM, "%s%s is longer than 16 MiB", what, session->name);
    if (strspn(session->text, " \t\r\n") == session->length)
        return session->is_file
                   ? error_set(error, ERROR_PROGRAM, "the pipeline \"%s\" is empty", session->name)
                   : error_set(error, ERROR_PROGRAM,
                               "the program is empty; \"pass\" is the one that changes nothing");
    if (!utf8_valid(session->text, session->length))
        return error_set(error, ERROR_PROGRAM, "%s%s is not UTF-8 text", what, session->name);
    return true;
}

static bool file_load(struct session *session, const char *path, struct error *error)
{
    session->name = path;
    session->is_file = true;
    size_t limit = 0;
    int fd = file_open_program(path, &limit, error);
    if (fd < 0)
        return false;
    bool done = false;
    session->text = memory_take(limit + 1);
    if (!session->text)
        error_set(error, ERROR_MEMORY, "no memory for the pipeline \"%s\"", path);
    else if (!read_whole(fd, session->text, limit, &session->length))
        error_set_errno(error, errno, "cannot read the pipeline \"%s\"", path);
    else
        done = true;
    close(fd);
    if (!done)
        return false;
    session->text[session->length] = 0;
    return text_check(session, error);
}

static bool text_load(struct session *session, const char *text, struct error *error)
{
    session->name = "program";
    session->length = strlen(text);
    session->text = memory_copy_text(text, session->length);
    if (!session->text)
        return error_set(error, ERROR_MEMORY, "no memory for the program");
    return text_check(session, error);
}

static bool is_verb(const char *text)
{
    const struct registry *registry = registry_get();
    for (size_t i = 0; i < registry->verb_count; i++)
        if (strcmp(registry->verbs[i]->name, text) == 0)
            return true;
    return false;
}

/* Inputs behind the program. "-" alone is stdin; among files it has no place in the order. */
static bool inputs_take(struct session *session, const char *const *files, size_t count,
                        struct error *error)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i], "-") == 0 && count > 1)
            return error_set(error, ERROR_USAGE,
                             "stdin (-) cannot be read between files; name a file or - alone");
    bool is_stdin = count == 1 && strcmp(files[0], "-") == 0;
    session->options.files = is_stdin ? NULL : files;
    session->options.file_count = is_stdin ? 0 : count;
    return true;
}

bool session_load(struct session *session, const struct arguments *arguments, struct error *error)
{
    *session = (struct session){.options = arguments->run};
    session->options.stop_signal = signals_first;
    const char *const *operands = (const char *const *)arguments->operands;
    size_t count = arguments->operand_count;
    const char *first = count ? operands[0] : PIPELINE_FILE;
    if (!inputs_take(session, operands + (count > 0), count - (count > 0), error))
        return false;
    bool is_text = arguments->command == COMMAND_PROGRAM ||
                   (count > 0 && access(first, F_OK) != 0 &&
                    (first[strcspn(first, " \t\n")] || is_verb(first)));
    bool done = is_text ? text_load(session, first, error) : file_load(session, first, error);
    diagnostics_open(&session->diagnostics, session->name,
                     (struct string){session->text, session->length});
    if (!done && count == 0 && access(PIPELINE_FILE, F_OK) != 0)
        error_set(error, ERROR_USAGE,
                  "there is no ./pipeline.conf here; name a file: leat %s FILE.conf",
                  command_specs[arguments->command].name);
    return done;
}

/* One word that is no program: perhaps a command misspelt, or a file that needs "run". */
static void hint_one_word(const struct session *session)
{
    if (session->is_file || session->text[strcspn(session->text, " \t\n")])
        return;
    if (access(session->text, R_OK) == 0) {
        notice(NOTICE_INFO, "hint", "\"%s\" is a file; did you mean \"leat run %s\"?",
               session->text, session->text);
        return;
    }
    const char *names[COMMAND_COUNT];
    size_t count = 0;
    for (size_t i = COMMAND_PROGRAM + 1; i < COMMAND_COUNT; i++)
        names[count++] = command_specs[i].name;
    const char *near =
        string_nearest((struct string){session->text, session->length}, names, count);
    if (near)
        notice(NOTICE_INFO, "hint", "did you mean the command \"leat %s\"?", near);
}

static bool session_refuse(struct session *session, int *status)
{
    size_t errors = session->diagnostics.errors;
    if (session->diagnostics.memory_short) {
        struct error error;
        error_set(&error, ERROR_MEMORY, "there is no memory left to compile %s", session->name);
        notice_error(&error);
        *status = 1;
        return false;
    }
    notice_diagnostics(&session->diagnostics);
    notice(NOTICE_ERROR, "program", "%zu error%s in %s; nothing was read", errors,
           errors == 1 ? "" : "s", session->name);
    hint_one_word(session);
    *status = 2;
    return false;
}

bool session_plan(struct session *session, int *status)
{
    struct diagnostics *diagnostics = &session->diagnostics;
    session->program = program_parse(registry_get(), diagnostics);
    struct error error = {.code = ERROR_NONE};
    if (!session->program) {
        error_set(&error, ERROR_MEMORY, "no memory for the program");
        notice_error(&error);
        *status = 1;
        return false;
    }
    if (diagnostics->errors) {
        /* no plan is made of what is left, but its expressions can be wrong on their own */
        expressions_check(session->program, diagnostics);
        return session_refuse(session, status);
    }
    session->plan = plan_open(session->program, &session->options, diagnostics, &error);
    if (diagnostics->errors)
        return session_refuse(session, status);
    if (!session->options.again)
        notice_diagnostics(diagnostics);
    if (session->plan)
        return true;
    CHECK(error.code != ERROR_NONE);
    notice_error(&error);
    *status = session_status(&error);
    return false;
}

bool session_open(struct session *session, const struct arguments *arguments, int *status)
{
    struct error error;
    *status = 0;
    if (session_load(session, arguments, &error))
        return session_plan(session, status);
    notice_error(&error);
    *status = session_status(&error);
    return false;
}

void session_close(struct session *session)
{
    if (session->plan)
        plan_close(session->plan);
    if (session->program)
        program_free(session->program);
    if (session->name)
        diagnostics_close(&session->diagnostics);
    free(session->text);
    *session = (struct session){0};
}
