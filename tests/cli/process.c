/* Runs programs for the end-to-end tests: see process.h. */
#include "tests/cli/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/suite.h"

#define DEADLINE_SECONDS 60
#define SANITIZED_FACTOR 5
#define NOBODY           65534
/* Programs that print more than this have run wild. */
#define OUTPUT_MAX (256u << 20)

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static const char *leat_path(void)
{
    static char *path;
    const char *given = getenv("LEAT");
    if (!path)
        path = realpath(given && *given ? given : "build/leat", NULL);
    if (!path) {
        fprintf(stderr, "there is no build/leat; build it, or name it by LEAT\n");
        exit(2);
    }
    return path;
}

static long long now_milliseconds(void)
{
    struct timespec now;
    MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* What the parent holds of a running program: pipes, -1 where there is none (any more). */
struct child {
    pid_t id;
    int input;
    int out;
    int err;
    int watch; /* tells that `opened_file` was opened */
    size_t fed;
    bool signalled;
    size_t out_capacity;
    size_t err_capacity;
};

static void child_exec(const struct process *process, int input, int out, int err)
{
    const char *arguments[PROCESS_ARGUMENTS + 2] = {process->program ? process->program
                                                                     : leat_path()};
    memcpy(arguments + 1, process->arguments, sizeof(process->arguments));
    dup2(input, STDIN_FILENO);
    if (process->output_closed)
        close(STDOUT_FILENO);
    else
        dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    for (size_t i = 0; i < 4 && process->environment[i]; i++)
        putenv((char *)process->environment[i]);
    if (process->unprivileged && geteuid() == 0 &&
        (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        _exit(126);
    if (process->folder && chdir(process->folder) != 0)
        _exit(126);
    execvp(arguments[0], (char *const *)arguments);
    _exit(127);
}

/* A terminal: what is written to ends[1] comes out of ends[0]. */
static void terminal_open(int ends[2], unsigned width)
{
    struct winsize size = {.ws_row = 25, .ws_col = (unsigned short)width};
    char name[64];
    MUST((ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) >= 0);
    MUST(grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0);
    MUST(ptsname_r(ends[0], name, sizeof(name)) == 0);
    MUST((ends[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) >= 0);
    MUST(ioctl(ends[1], TIOCSWINSZ, &size) == 0);
}

static void child_start(struct process *process, struct child *child)
{
    int input[2], out[2], err[2];
    leat_path();
    MUST(pipe2(input, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    if (process->terminal_width)
        terminal_open(err, process->terminal_width);
    else
        MUST(pipe2(err, O_CLOEXEC) == 0);
    int in_end = input[0], out_end = out[1];
    if (process->input_file)
        MUST((in_end = open(process->input_file, O_RDONLY | O_CLOEXEC)) >= 0);
    if (process->output_file)
        MUST((out_end = open(process->output_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0666)) >= 0);
    fflush(NULL);
    child->id = fork();
    MUST(child->id >= 0);
    if (child->id == 0)
        child_exec(process, in_end, out_end, err[1]);
    if (in_end != input[0])
        close(in_end);
    if (out_end != out[1])
        close(out_end);
    close(input[0]);
    close(out[1]);
    close(err[1]);
    child->input = input[1];
    child->out = out[0];
    child->err = err[0];
    MUST(fcntl(child->input, F_SETFL, O_NONBLOCK) == 0);
}

static void end_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void child_feed(const struct process *process, struct child *child)
{
    size_t left = process->input_length - child->fed;
    ssize_t count = left ? write(child->input, process->input + child->fed, left) : 0;
    if (count > 0)
        child->fed += (size_t)count;
    bool gone = count < 0 && errno != EAGAIN && errno != EINTR;
    bool done = child->fed == process->input_length && !process->input_stays_open;
    if (gone || done)
        end_close(&child->input);
}

/* Appends what is there; closes the pipe at its end. */
static void child_collect(int *fd, char **text, size_t *length, size_t *capacity)
{
    if (*capacity - *length < 65536) {
        *capacity = 2 * *capacity + 131072;
        MUST(*capacity < OUTPUT_MAX);
        MUST((*text = realloc(*text, *capacity + 1)));
    }
    ssize_t count = read(*fd, *text + *length, *capacity - *length);
    if (count > 0)
        *length += (size_t)count;
    else if (count == 0 || (errno != EINTR && errno != EAGAIN))
        end_close(fd);
    (*text)[*length] = 0;
}

static void watch_begin(const struct process *process, struct child *child)
{
    child->watch = -1;
    if (!process->opened_file)
        return;
    const char *path = path_join(process->folder, process->opened_file);
    MUST((child->watch = inotify_init1(IN_CLOEXEC)) >= 0);
    MUST(inotify_add_watch(child->watch, path, IN_OPEN | IN_ONESHOT) >= 0);
}

/* Somebody has opened the watched file. */
static void watch_answer(const struct process *process, struct child *child)
{
    end_close(&child->watch);
    if (!process->opened_answer)
        return;
    size_t length = strlen(process->opened_answer);
    int fd = open(path_join(process->folder, process->opened_file), O_WRONLY | O_CLOEXEC);
    MUST(fd >= 0 && write(fd, process->opened_answer, length) == (ssize_t)length);
    close(fd);
}

static void child_react(struct process *process, struct child *child)
{
    if (process->output_limit && process->out_length >= process->output_limit)
        end_close(&child->out);
    if (process->signal_number && !child->signalled && child->watch < 0 &&
        process->out_length >= process->signal_after) {
        kill(child->id, process->signal_number);
        child->signalled = true;
        if (process->input_stays_open && child->input >= 0)
            end_close(&child->input);
    }
    if (child->out < 0 && process->input_stays_open && child->input >= 0 && !process->output_limit)
        end_close(&child->input);
}

/* False: the deadline has passed. */
static bool child_talk(struct process *process, struct child *child, long long deadline)
{
    while (child->out >= 0 || child->err >= 0) {
        bool feeding = child->input >= 0 && child->fed < process->input_length;
        struct pollfd ends[4] = {{.fd = child->out, .events = POLLIN},
                                 {.fd = child->err, .events = POLLIN},
                                 {.fd = child->input, .events = feeding ? POLLOUT : 0},
                                 {.fd = child->watch, .events = POLLIN}};
        long long left = deadline - now_milliseconds();
        if (left <= 0)
            return false;
        if (poll(ends, 4, (int)left) < 0)
            MUST(errno == EINTR);
        if (child->input >= 0 && (ends[2].revents || !process->input_length))
            child_feed(process, child);
        if (ends[0].revents)
            child_collect(&child->out, &process->out, &process->out_length, &child->out_capacity);
        if (ends[1].revents)
            child_collect(&child->err, &process->err, &process->err_length, &child->err_capacity);
        if (ends[3].revents)
            watch_answer(process, child);
        child_react(process, child);
    }
    return true;
}

void process_run(struct process *process)
{
    struct child child = {0};
    if (process->input && !process->input_length)
        process->input_length = strlen(process->input);
    MUST((process->out = calloc(1, 1)) && (process->err = calloc(1, 1)));
    signal(SIGPIPE, SIG_IGN);
    watch_begin(process, &child);
    child_start(process, &child);
    if (!process->input_length && !process->input_stays_open)
        end_close(&child.input);
    int factor = getenv("LEAT_SANITIZED") ? SANITIZED_FACTOR : 1;
    bool in_time =
        child_talk(process, &child, now_milliseconds() + DEADLINE_SECONDS * 1000LL * factor);
    if (!in_time)
        kill(child.id, SIGKILL);
    end_close(&child.input);
    end_close(&child.out);
    end_close(&child.err);
    end_close(&child.watch);
    int status;
    while (waitpid(child.id, &status, 0) < 0)
        MUST(errno == EINTR);
    process->status = !in_time            ? -1
                      : WIFEXITED(status) ? WEXITSTATUS(status)
                                          : 1000 + WTERMSIG(status);
}

void process_free(struct process *process)
{
    free(process->out);
    free(process->err);
    process->out = process->err = NULL;
}

struct process leat_run(struct process process)
{
    process_run(&process);
    return process;
}

static void show(const struct process *process, const char *file, int line)
{
    printf("\n%s:%d: %s", file, line, process->program ? process->program : "leat");
    for (size_t i = 0; process->arguments[i]; i++)
        printf(" '%.200s'", process->arguments[i]);
    printf("\n  status %d\n  stdout: %.2000s\n  stderr: %.2000s\n", process->status, process->out,
           process->err);
}

void expect_status(const struct process *process, int expected, const char *file, int line)
{
    if (process->status != expected) {
        show(process, file, line);
        printf("  expected status %d\n", expected);
    }
    CU_assertImplementation(process->status == expected, (unsigned)line, "exit status", file, "",
                            CU_FALSE);
}

void expect_out(const struct process *process, const char *expected, const char *file, int line)
{
    bool equal = strcmp(process->out, expected) == 0;
    if (!equal) {
        show(process, file, line);
        printf("  expected stdout: %.2000s\n", expected);
    }
    CU_assertImplementation(equal, (unsigned)line, "stdout", file, "", CU_FALSE);
}

void expect_part(const struct process *process, bool err, const char *part, const char *file,
                 int line)
{
    bool found = strstr(err ? process->err : process->out, part) != NULL;
    if (!found) {
        show(process, file, line);
        printf("  expected in %s: %s\n", err ? "stderr" : "stdout", part);
    }
    CU_assertImplementation(found, (unsigned)line, part, file, "", CU_FALSE);
}

const char *path_join(const char *folder, const char *name)
{
    static char *kept[4096]; /* so that the leak checker knows who holds them */
    static size_t count;
    char *path;
    MUST(asprintf(&path, "%s/%s", folder, name) >= 0);
    MUST(count < sizeof(kept) / sizeof(kept[0]));
    return kept[count++] = path;
}

const char *folder_make(void)
{
    char *folder = (char *)path_join(suite_folder(), "case-XXXXXX");
    MUST(mkdtemp(folder));
    return folder;
}

void file_write(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");
    MUST(out && fputs(text, out) >= 0 && fclose(out) == 0);
}

char *file_read(const char *path)
{
    FILE *in = fopen(path, "re");
    if (!in)
        return NULL;
    char *text = NULL;
    size_t length = 0;
    if (getdelim(&text, &length, 0, in) < 0) {
        MUST(feof(in));
        free(text);
        MUST((text = calloc(1, 1)));
    }
    fclose(in);
    return text;
}

bool file_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

unsigned folder_count(const char *folder)
{
    DIR *directory = opendir(folder);
    MUST(directory);
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}
