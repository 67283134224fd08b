/* A test's own HTTP server: see http_server.h. */
#include "tests/cli/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/suite.h"

#define PATIENCE 30000 /* ms */

extern char **environ;

static void give_up(const char *why)
{
    fprintf(stderr, "the test's HTTP server: %s\n", why);
    abort();
}

void http_server_start(struct http_server *server)
{
    char path[1024], line[32] = "";
    int ends[2];
    pid_t id;
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 64);
    if (length <= 0 || pipe2(ends, O_CLOEXEC) != 0)
        give_up("no pipe");
    path[length] = 0;
    snprintf(strrchr(path, '/'), 32, "/../servers/http_server");
    char *const argv[] = {path, (char[]){"--port"}, (char[]){"0"}, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    if (posix_spawn(&id, path, &actions, NULL, argv, environ) != 0)
        give_up("does not start; make servers");
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    struct pollfd wait = {ends[0], POLLIN, 0};
    for (size_t used = 0; !strchr(line, '\n'); used++)
        if (used + 1 >= sizeof(line) || poll(&wait, 1, PATIENCE) != 1 ||
            read(ends[0], line + used, 1) != 1)
            give_up("says no port");
    *server =
        (struct http_server){.id = id, .output = ends[0], .port = (int)strtol(line, NULL, 10)};
    snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%d", server->port);
}

void http_server_stop(struct http_server *server)
{
    kill(server->id, SIGKILL);
    waitpid(server->id, NULL, 0);
    close(server->output);
}

char *http_server_get(const struct http_server *server, const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
    char request[512];
    size_t used = 0, capacity = 1 << 16;
    char *text = malloc(capacity);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!text || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        give_up("no connection");
    int length = snprintf(request, sizeof(request),
                          "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path);
    if (write(fd, request, (size_t)length) != length)
        give_up("takes no request");
    for (;;) {
        struct pollfd wait = {fd, POLLIN, 0};
        if (poll(&wait, 1, PATIENCE) != 1)
            give_up("does not answer");
        ssize_t got = read(fd, text + used, capacity - used - 1);
        if (got <= 0)
            break;
        used += (size_t)got;
        if (capacity - used < 2 && !(text = realloc(text, capacity *= 2)))
            give_up("memory");
    }
    close(fd);
    text[used] = 0;
    char *body = strstr(text, "\r\n\r\n");
    if (!body)
        give_up("sends no answer");
    memmove(text, body + 4, strlen(body + 4) + 1);
    return text;
}

long http_server_stat(const struct http_server *server, const char *name)
{
    char wanted[64], *text = http_server_get(server, "/stats");
    snprintf(wanted, sizeof(wanted), "\"%s\":", name);
    const char *found = strstr(text, wanted);
    long number = found ? strtol(found + strlen(wanted), NULL, 10) : -1;
    free(text);
    return number;
}

unsigned http_server_stored(const struct http_server *server, unsigned count, unsigned *times)
{
    char *text = http_server_get(server, "/stored");
    unsigned total = 0;
    memset(times, 0, (count + 1) * sizeof(*times));
    for (const char *at = text; (at = strstr(at, "\"record\":")); total++) {
        unsigned long id = count;
        at += 9;
        if (sscanf(at, "{\"id\":%lu", &id) != 1 || id > count)
            id = count;
        times[id]++;
    }
    free(text);
    return total;
}

/* ---- what the tests share ---- */

struct http_server server;
const char *folder;
unsigned stored_times[RECORDS + 1];

/* A server and a folder with in.ndjson: {"id":0} … */
void stand_begin(void)
{
    static char text[RECORDS * 16];
    size_t used = 0;
    http_server_start(&server);
    folder = folder_make();
    for (unsigned i = 0; i < RECORDS; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "{\"id\":%u}\n", i);
    file_write(path_join(folder, "in.ndjson"), text);
}

void stand_end(void)
{
    http_server_stop(&server);
}

struct process stand_run(const char *program)
{
    return leat_run(
        (struct process){.folder = folder, .arguments = {program, "--report", "report.json"}});
}

void expect_ledger_at(unsigned read, unsigned written, unsigned rejected, int line)
{
    char *report = file_read(path_join(folder, "report.json"));
    static const char *const names[] = {"\"read\":", "\"written\":", "\"rejected\":"};
    const unsigned wanted[] = {read, written, rejected};
    for (size_t i = 0; i < 3; i++) {
        const char *found = report ? strstr(report, names[i]) : NULL;
        unsigned long number = found ? strtoul(found + strlen(names[i]), NULL, 10) : 999999999;
        if (number != wanted[i])
            fprintf(stderr, "line %d: %s%lu, not %u\n", line, names[i], number, wanted[i]);
        CU_ASSERT(number == wanted[i]);
    }
    free(report);
}

static bool listed(const unsigned *list, unsigned id)
{
    for (; *list != RECORDS; list++)
        if (*list == id)
            return true;
    return false;
}

/* Every record is stored once, but for those of the list, which ends with RECORDS. */
void expect_stored_but_at(const unsigned *missing, int line)
{
    unsigned wrong = 0;
    http_server_stored(&server, RECORDS, stored_times);
    for (unsigned i = 0; i < RECORDS; i++)
        wrong += stored_times[i] != (listed(missing, i) ? 0 : 1);
    if (wrong || stored_times[RECORDS])
        fprintf(stderr, "line %d: %u records are not stored as they should be\n", line, wrong);
    CU_ASSERT(wrong == 0 && stored_times[RECORDS] == 0);
}

unsigned lines_of(const char *name)
{
    char *text = file_read(path_join(folder, name));
    unsigned count = 0;
    for (const char *at = text; at && (at = strchr(at, '\n')); at++)
        count++;
    free(text);
    return count;
}
