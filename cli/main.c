/* leat: dispatch. Owns the three standard descriptors: sees that they are open before anything else
 * is opened, and that what was printed has arrived before it exits. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/notice.h"
#include "cli/signals.h"
#include "core/fault.h"

/* A descriptor that our parent closed would be given to the next file opened, and records would end
 * up in it. It is taken by one that can neither be read nor written, nor be opened anew for it, so
 * that using it is an error. */
static bool descriptors_guard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH | O_DIRECTORY) != fd)
            return false;
    return true;
}

static int dispatch(const struct arguments *arguments)
{
    typedef int (*function)(const struct arguments *);
    static const function functions[COMMAND_COUNT] = {
        [COMMAND_PROGRAM] = command_program,
#define COMMAND(id, name, operands, doc) [COMMAND_##id] = command_##name,
#include "cli/commands.def"
#undef COMMAND
    };
    if (arguments->version)
        return command_version(arguments);
    if (arguments->help) {
        help_command(stdout, arguments->command);
        return 0;
    }
    if (arguments->command == COMMAND_PROGRAM && arguments->operand_count == 0) {
        help_usage(stderr);
        return 2;
    }
    return functions[arguments->command](arguments);
}

/* Output that did not arrive turns success into failure; a reader who left does not. */
static int stdout_finish(int status)
{
    errno = 0;
    bool failed = ferror(stdout) != 0;
    failed |= fflush(stdout) != 0;
    int reason = errno;
    /* a run that wrote nothing through stdio has nothing to lose here: close() tells of the rest */
    if (close(STDOUT_FILENO) != 0 && !failed && errno != EBADF) {
        failed = true;
        reason = errno;
    }
    if (!failed || reason == EPIPE)
        return status;
    struct error error;
    error_set_errno(&error, reason ? reason : EIO, "cannot write to stdout");
    notice_error(&error);
    return status == 0 ? 1 : status;
}

/* As many descriptors as the system lets us have: a thousand connections and the files beside them
 * are more than the usual soft limit, which is there for programs that use select(2). */
static void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* what then does not fit says so where it is opened */
}

int main(int count, char **words)
{
    if (!descriptors_guard())
        return 1;
    descriptors_raise();
    /* larger than all that goes through stdio at once, so that the end knows why it could not be
     * written */
    static char room[1 << 18];
    (void)setvbuf(stdout, room, _IOFBF, sizeof(room));
    signals_ignore_pipe();
    if (!fault_open())
        return 2;
    struct arguments arguments;
    struct error error;
    int status;
    bool parsed = arguments_parse(count, words, &arguments, &error);
    notice_open(arguments.log && strcmp(arguments.log, "json") == 0,
                arguments.quiet ? NOTICE_WARNING : NOTICE_LEVEL_COUNT);
    if (parsed) {
        status = dispatch(&arguments);
    } else {
        notice_error(&error);
        status = error.code == ERROR_USAGE ? 2 : 1;
    }
    arguments_close(&arguments);
    return stdout_finish(status);
}
