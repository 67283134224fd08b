/* Memory runs short at each allocation in turn, libcurl's included: every exchange still ends, and
 * nothing crashes. Each in a process of its own, since a fault is the whole process's. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/exec_transport.h"
#include "core/fault.h"
#include "tests/clients/http_rig.h"
#include "tests/suite.h"

/* In the child: some exchanges. Exits 0: all ended. */
static void exchanges_run(const char *base, bool exec)
{
    static const char *const paths[] = {"/echo/a", "/gzip/b", "/redirect/1/c", "/reset/5",
                                        "/pages/link?of=9&size=3"};
    static const char *const cat[] = {"cat", NULL};
    static const struct request_header own = {STRING("X-A"), STRING("b")};
    struct http_settings settings = {.redirects = 2, .headers = &own, .header_count = 1};
    struct exec_settings pool = {.arguments = cat, .processes = 2};
    struct error error;
    struct rig_exchange exchanges[ARRAY_SIZE(paths)];
    struct transport *transport =
        exec ? exec_transport_open(&pool, &error) : http_transport_open(&settings, &error);
    if (!transport)
        _exit(error.text[0] ? 0 : 3);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        rig_prepare(&exchanges[i], base, paths[i]);
        exchanges[i].request.body = exec ? STRING("line") : STRING("");
        exchanges[i].request.headers = &own;
        exchanges[i].request.header_count = i % 2;
        exchanges[i].exchange.deadline = clock_monotonic() + NANOSECONDS / 4;
        rig_start(transport, &exchanges[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        rig_wait(transport, &exchanges[i]);
        if (exchanges[i].exchange.outcome != OUTCOME_ANSWER && !exchanges[i].exchange.detail[0])
            _exit(4);
        rig_release(transport, &exchanges[i]);
    }
    transport->ops->close(transport);
    _exit(0);
}

/* What the child came to, as waitpid says. */
static int child_run(const char *fault, bool exec)
{
    const char *base = rig_url();
    int status = -1;
    fflush(stdout);
    pid_t id = fork();
    if (id == 0) {
        signal(SIGPIPE, SIG_IGN);
        setenv("LEAT_FAULT", fault, 1);
        if (!fault_open())
            _exit(5);
        exchanges_run(base, exec);
    }
    waitpid(id, &status, 0);
    return status;
}

static void each_allocation(bool exec, int most)
{
    for (int n = 1; n <= most; n++) {
        char fault[32];
        snprintf(fault, sizeof(fault), "alloc:%d", n);
        int status = child_run(fault, exec);
        bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!ended)
            printf("alloc:%d: %s %d\n", n, WIFSIGNALED(status) ? "signal" : "status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        CU_ASSERT_TRUE(ended);
    }
    char fault[32];
    for (int n = 1; n < most; n = n * 3 / 2 + 1) { /* from there on, none at all */
        snprintf(fault, sizeof(fault), "alloc:%d+", n);
        int status = child_run(fault, exec);
        CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void http_allocations(void)
{
    each_allocation(false, 600);
}

static void exec_allocations(void)
{
    each_allocation(true, 20);
}

SUITE(http_alloc, {"HTTP with short memory", http_allocations},
      {"processes with short memory", exec_allocations})
