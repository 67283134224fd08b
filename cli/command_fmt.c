/* `leat fmt`: a pipeline in its canonical layout, on stdout, back into its file (--write), or only
 * compared (--check). Main thread only. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/notice.h"
#include "cli/session.h"
#include "core/fault.h"
#include "io/engine.h"

static bool write_bytes(int fd, const char *text, size_t length, const char *path,
                        struct error *error)
{
    while (length) {
        int fault = fault_io();
        ssize_t count = fault ? -1 : write(fd, text, length);
        if (count < 0 && !fault && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(error, fault ? fault : errno, "cannot write %s", path);
        text += count;
        length -= (size_t)count;
    }
    return true;
}

/* Beside the file and renamed over it, with its mode: an editor or a crash never meets half of it.
 */
static bool file_replace(const char *path, const char *text, struct error *error)
{
    char target[PATH_MAX]; /* behind links, which stay */
    char part[PATH_MAX + 16];
    struct stat status;
    if (!realpath(path, target) || stat(target, &status) != 0)
        return error_set_errno(error, errno, "cannot write %s", path);
    snprintf(part, sizeof(part), "%s.leat-part", target);
    int fd = file_open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600, error);
    if (fd < 0)
        return false;
    bool done = write_bytes(fd, text, strlen(text), part, error);
    if (done && (fchmod(fd, status.st_mode & 07777) != 0 || fdatasync(fd) != 0))
        done = error_set_errno(error, errno, "cannot write %s", part);
    struct error ignored;
    done &= file_close(fd, part, done ? error : &ignored);
    if (done && file_rename(part, target, error))
        return true;
    unlink(part);
    return false;
}

static int deliver(const struct arguments *arguments, const struct session *session,
                   const char *formatted)
{
    struct error error;
    bool same = strcmp(formatted, session->text) == 0;
    if (arguments->check) {
        if (!same)
            notice(NOTICE_ERROR, "layout",
                   "%s is not in the canonical layout; \"leat fmt -w\" "
                   "writes it so",
                   session->name);
        return same ? 0 : 1;
    }
    if (!arguments->write) {
        fputs(formatted, stdout);
        return 0;
    }
    if (!session->is_file) {
        notice(NOTICE_ERROR, "usage", "--write: the program is no file");
        return 2;
    }
    if (same || file_replace(session->name, formatted, &error))
        return 0;
    notice_error(&error);
    return 1;
}

static int refuse(struct session *session)
{
    if (session->diagnostics.errors && !session->diagnostics.memory_short) {
        notice_diagnostics(&session->diagnostics);
        return 2;
    }
    notice(NOTICE_ERROR, "memory", "there is no memory left to lay out %s", session->name);
    return 1;
}

int command_fmt(const struct arguments *arguments)
{
    struct session session;
    struct error error;
    if (!session_load(&session, arguments, &error)) {
        notice_error(&error);
        session_close(&session);
        return session_status(&error);
    }
    int status = 2;
    char *formatted = program_format(registry_get(), &session.diagnostics);
    if (formatted)
        status = deliver(arguments, &session, formatted);
    else
        status = refuse(&session);
    free(formatted);
    session_close(&session);
    return status;
}
