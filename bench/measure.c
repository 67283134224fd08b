/* Runs a command and says what it took: measure FILE COMMAND ARGUMENT…. Writes one line of JSON to
 * FILE: wall and CPU seconds, peak RSS in KiB, exit status (128 + N after signal N). A program of
 * its own, and a small one, since a child's peak RSS on Linux begins with that of whoever started
 * it. One thread; used by bench/run.py and tests/bounds/run.py. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static pid_t child;

/* Whoever stops us means the command. */
static void signal_pass_on(int number)
{
    kill(child, number);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: measure FILE COMMAND ARGUMENT...\n");
        return 2;
    }
    double start = now();
    int failed = posix_spawnp(&child, argv[2], NULL, NULL, argv + 2, environ);
    if (failed) {
        fprintf(stderr, "measure: %s: %s\n", argv[2], strerror(failed));
        return 2;
    }
    struct sigaction action = {.sa_handler = signal_pass_on};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    close(STDIN_FILENO);
    close(STDOUT_FILENO); /* the ends of pipes are the command's alone */
    int status;
    struct rusage usage;
    while (wait4(child, &status, 0, &usage) < 0) {
        if (errno != EINTR)
            return 2;
    }
    double wall = now() - start;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    FILE *out = fopen(argv[1], "w");
    if (!out) {
        fprintf(stderr, "measure: %s: %s\n", argv[1], strerror(errno));
        return 2;
    }
    fprintf(out, "{\"wall\":%.6f,\"cpu\":%.6f,\"rss_kib\":%ld,\"status\":%d}\n", wall,
            seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime), usage.ru_maxrss, code);
    return fclose(out) == 0 ? code : 2;
}
