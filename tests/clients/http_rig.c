/* The rig of HTTP tests: see http_rig.h. */
#include "tests/clients/http_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static struct rig_program shared;
static char shared_url[300];

/* Reads lines of the program's output until one holds `wanted`. */
static bool line_await(struct rig_program *program, const char *wanted)
{
    size_t length = 0;
    struct pollfd wait = {program->output, POLLIN, 0};
    while (poll(&wait, 1, 10000) == 1 && length + 1 < sizeof(program->line) &&
           read(program->output, program->line + length, 1) == 1) {
        if (program->line[length] != '\n') {
            length++;
            continue;
        }
        program->line[length] = 0;
        if (!wanted || strstr(program->line, wanted))
            return true;
        length = 0;
    }
    return false;
}

bool rig_program_start(struct rig_program *program, const char *const *argv, const char *wanted)
{
    int ends[2];
    posix_spawn_file_actions_t actions;
    *program = (struct rig_program){.output = -1};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int failed = posix_spawnp(&program->id, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    program->output = ends[0];
    if (failed) {
        program->id = 0;
        close(ends[0]);
        return false;
    }
    if (line_await(program, wanted))
        return true;
    rig_program_stop(program);
    return false;
}

void rig_program_stop(struct rig_program *program)
{
    if (program->id <= 0)
        return;
    kill(program->id, SIGKILL);
    waitpid(program->id, NULL, 0);
    close(program->output);
    program->id = 0;
}

/* $(BUILD)/tests/clients runs; the server is $(BUILD)/servers/http_server. */
bool rig_server_start(struct rig_program *server, const char *const *arguments)
{
    char path[1024];
    const char *argv[16] = {path};
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 64);
    if (length <= 0)
        return false;
    path[length] = 0;
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(path, '/');
        if (slash)
            *slash = 0;
    }
    size_t used = strlen(path);
    snprintf(path + used, sizeof(path) - used, "/servers/http_server");
    for (size_t i = 0; arguments[i] && i + 2 < ARRAY_SIZE(argv); i++)
        argv[i + 1] = arguments[i];
    return rig_program_start(server, argv, NULL);
}

static void shared_stop(void)
{
    rig_program_stop(&shared);
}

const char *rig_url(void)
{
    static const char *const arguments[] = {"--port", "0", NULL};
    if (!shared.id) {
        if (!rig_server_start(&shared, arguments)) {
            fprintf(stderr, "http_server does not start; make servers\n");
            abort();
        }
        atexit(shared_stop);
        snprintf(shared_url, sizeof(shared_url), "http://127.0.0.1:%s", shared.line);
    }
    return shared_url;
}

void rig_prepare(struct rig_exchange *exchange, const char *base, const char *path)
{
    memset(exchange, 0, sizeof(*exchange));
    int length = snprintf(exchange->url, sizeof(exchange->url), "%s%s", base, path);
    exchange->request = (struct request){
        .method = STRING("GET"),
        .url = {exchange->url, (size_t)length},
        .peer = STRING("peer.example:80"),
        .repeatable = true,
    };
    exchange->exchange = (struct exchange){
        .request = &exchange->request,
        .deadline = clock_monotonic() + 20 * NANOSECONDS,
        .owner = exchange,
    };
}

void rig_start(struct transport *transport, struct rig_exchange *exchange)
{
    exchange->over = false;
    transport->ops->start(transport, &exchange->exchange);
}

unsigned rig_step(struct transport *transport)
{
    struct exchange *over;
    unsigned count = 0;
    int64_t now = clock_monotonic();
    int64_t left = transport->wake > now ? transport->wake - now : 0;
    struct pollfd wait = {transport->descriptor, POLLIN, 0};
    if (left > 0) /* at most 30 s: a test that hangs fails instead */
        poll(&wait, 1, left > 30 * NANOSECONDS ? 30000 : (int)((left + 999999) / 1000000));
    transport->ops->step(transport);
    while ((over = transport->ops->reap(transport))) {
        ((struct rig_exchange *)over->owner)->over = true;
        count++;
    }
    return count;
}

void rig_wait(struct transport *transport, struct rig_exchange *exchange)
{
    int64_t limit = clock_monotonic() + 30 * NANOSECONDS;
    while (!exchange->over) {
        rig_step(transport);
        if (clock_monotonic() > limit) {
            fprintf(stderr, "not over after 30 s: %s\n", exchange->url);
            abort();
        }
    }
}

void rig_release(struct transport *transport, struct rig_exchange *exchange)
{
    transport->ops->release(transport, &exchange->exchange);
}

struct transport *rig_open(const struct http_settings *settings)
{
    struct error error;
    struct transport *transport = http_transport_open(settings, &error);
    if (!transport) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    return transport;
}

void rig_get(struct transport *transport, struct rig_exchange *exchange, const char *path)
{
    rig_prepare(exchange, rig_url(), path);
    rig_start(transport, exchange);
    rig_wait(transport, exchange);
}

long rig_stat(const char *name)
{
    char quoted[64], text[4096];
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    rig_get(transport, &exchange, "/stats");
    snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    snprintf(text, sizeof(text), "%.*s", (int)exchange.exchange.answer.length,
             exchange.exchange.answer.data);
    const char *found = strstr(text, quoted);
    long number = found ? strtol(found + strlen(quoted), NULL, 10) : 0;
    transport->ops->close(transport);
    return number;
}

/* FNV-1a, written down here too, since what we expect does not come from what we test. */
bool rig_answer_is(const struct rig_exchange *exchange, const char *key)
{
    char expected[1200];
    uint64_t hash = 14695981039346656037u;
    for (const char *c = key; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    int length = snprintf(expected, sizeof(expected), "{\"key\":\"%s\",\"value\":%llu}", key,
                          (unsigned long long)(hash % (1ull << 53)));
    struct string answer = exchange->exchange.answer;
    return exchange->exchange.outcome == OUTCOME_ANSWER && answer.length == (size_t)length &&
           memcmp(answer.data, expected, answer.length) == 0;
}

bool rig_detail_has(const struct rig_exchange *exchange, const char *text)
{
    return strstr(exchange->exchange.detail, text) != NULL;
}
