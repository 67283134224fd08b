/* Sends time-stamped lines through a command's stdin at a steady rate and measures when each comes
 * out of its stdout: latency LINES_A_SECOND SECONDS COMMAND ARGUMENT…. The command must pass JSON
 * lines on in order. Prints one line of JSON: how many came back, latency at the 50th and 99th
 * percentile and at most (milliseconds), the share of one core the command used, its peak RSS
 * (KiB). One thread: poll() over a timerfd, the pipe out and the pipe in. Used by bench/run.py. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char padding[] =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/124.0 Safari/537.36 /products/outdoor/tents-and-tarps?page=12";

struct meter {
    int to;   /* the command's stdin, -1 once closed */
    int from; /* its stdout */
    int timer;
    uint64_t wanted; /* lines to send */
    uint64_t sent;
    uint64_t received;
    int64_t *times;  /* latency of each line received, nanoseconds; room for `wanted` */
    char line[4096]; /* what was read of a line whose end is still to come */
    size_t line_length;
};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "latency: %s: %s\n", what, strerror(errno));
    exit(1);
}

static pid_t command_start(struct meter *meter, char **command)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        fail("pipe");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execvp(command[0], command);
        fail(command[0]);
    }
    close(in[0]);
    close(out[1]);
    meter->to = in[1];
    meter->from = out[0];
    return child;
}

static void timer_start(struct meter *meter, uint64_t rate)
{
    int64_t interval = INT64_C(1000000000) / (int64_t)rate;
    struct timespec each = {interval / 1000000000, interval % 1000000000};
    struct itimerspec setting = {each, each};
    meter->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (meter->timer < 0 || timerfd_settime(meter->timer, 0, &setting, NULL) != 0)
        fail("timerfd");
}

/* One line for each tick that has passed. */
static void lines_send(struct meter *meter)
{
    uint64_t ticks;
    if (read(meter->timer, &ticks, sizeof(ticks)) != sizeof(ticks))
        return;
    for (; ticks > 0 && meter->sent < meter->wanted; ticks--, meter->sent++) {
        char text[512];
        int length = snprintf(text, sizeof(text),
                              "{\"sent\":%" PRId64 ",\"n\":%" PRIu64 ",\"text\":\"%s\"}\n", now(),
                              meter->sent, padding);
        if (write(meter->to, text, (size_t)length) != length)
            fail("write");
    }
    if (meter->sent == meter->wanted) {
        close(meter->to);
        meter->to = -1;
    }
}

static void line_take(struct meter *meter, const char *line, int64_t at)
{
    const char *key = strstr(line, "\"sent\":");
    if (!key || meter->received == meter->wanted) {
        fprintf(stderr, "latency: unexpected line: %.80s\n", line);
        exit(1);
    }
    key += strlen("\"sent\":");
    meter->times[meter->received++] = at - strtoll(key, NULL, 10);
}

/* False: the command has closed its stdout. */
static bool lines_receive(struct meter *meter)
{
    ssize_t got = read(meter->from, meter->line + meter->line_length,
                       sizeof(meter->line) - 1 - meter->line_length);
    int64_t at = now();
    if (got < 0)
        fail("read");
    meter->line_length += (size_t)got;
    meter->line[meter->line_length] = 0;
    char *start = meter->line;
    for (char *end; (end = strchr(start, '\n')); start = end + 1) {
        *end = 0;
        line_take(meter, start, at);
    }
    meter->line_length -= (size_t)(start - meter->line);
    memmove(meter->line, start, meter->line_length);
    return got > 0;
}

static int time_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void meter_run(struct meter *meter)
{
    bool open = true;
    while (open) {
        struct pollfd waits[] = {{meter->from, POLLIN, 0}, {meter->timer, POLLIN, 0}};
        int ready = poll(waits, meter->to < 0 ? 1 : 2, 10000);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            fail(ready == 0 ? "nothing came for 10 s" : "poll");
        if (meter->to >= 0 && waits[1].revents)
            lines_send(meter);
        if (waits[0].revents)
            open = lines_receive(meter);
    }
}

int main(int argc, char **argv)
{
    struct meter meter = {.to = -1};
    uint64_t rate = argc > 3 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t duration = argc > 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (rate == 0 || duration == 0) {
        fprintf(stderr, "usage: latency LINES_A_SECOND SECONDS COMMAND ARGUMENT...\n");
        return 2;
    }
    meter.wanted = rate * duration;
    meter.times = calloc(meter.wanted, sizeof(*meter.times));
    if (!meter.times)
        fail("memory");
    pid_t child = command_start(&meter, argv + 3);
    int64_t start = now();
    timer_start(&meter, rate);
    meter_run(&meter);
    double wall = (double)(now() - start) / 1e9;
    int status;
    struct rusage usage;
    if (wait4(child, &status, 0, &usage) != child)
        fail("wait4");
    if (status != 0 || meter.received != meter.wanted) {
        fprintf(stderr, "latency: status %d, %" PRIu64 " of %" PRIu64 " lines came back\n", status,
                meter.received, meter.wanted);
        return 1;
    }
    qsort(meter.times, meter.received, sizeof(*meter.times), time_compare);
    double used = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    printf("{\"lines\":%" PRIu64 ",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,"
           "\"core_share\":%.4f,\"peak_rss_kib\":%ld}\n",
           meter.received, (double)meter.times[meter.received / 2] / 1e6,
           (double)meter.times[meter.received * 99 / 100] / 1e6,
           (double)meter.times[meter.received - 1] / 1e6, used / wall, usage.ru_maxrss);
    free(meter.times);
    return 0;
}
