/* The pool of child processes: answers in turn, processes that die, hang, say too much or too
 * little, cancelling, and how it ends. The processes are cat and small shell scripts. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/exec_transport.h"
#include "tests/clients/http_rig.h"
#include "tests/core/random.h"
#include "tests/suite.h"

#define MILLISECOND 1000000LL

static struct transport *pool_open(const char *const *arguments, uint32_t processes, uint32_t depth,
                                   size_t limit)
{
    struct error error;
    struct exec_settings settings = {.arguments = arguments,
                                     .processes = processes,
                                     .depth = depth,
                                     .answer_limit = limit,
                                     .close_grace = 50 * MILLISECOND};
    signal(SIGPIPE, SIG_IGN);
    struct transport *transport = exec_transport_open(&settings, &error);
    if (!transport) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    return transport;
}

static struct transport *script_open(const char *script, uint32_t processes, uint32_t depth)
{
    const char *const arguments[] = {"sh", "-c", script, NULL};
    return pool_open(arguments, processes, depth, 1000);
}

/* The question is the text in `url`, whose room we use. */
static void ask(struct transport *transport, struct rig_exchange *exchange, const char *line)
{
    rig_prepare(exchange, line, "");
    exchange->request.body = exchange->request.url;
    exchange->request.peer = STRING("command");
    rig_start(transport, exchange);
}

static bool answer_is(const struct rig_exchange *exchange, const char *line)
{
    return exchange->exchange.outcome == OUTCOME_ANSWER &&
           string_equal_text(exchange->exchange.answer, line);
}

static void answered(struct transport *transport, const char *line, const char *expected)
{
    struct rig_exchange exchange;
    ask(transport, &exchange, line);
    rig_wait(transport, &exchange);
    if (!answer_is(&exchange, expected))
        printf("\"%s\": %d \"%.*s\" %s\n", line, exchange.exchange.outcome,
               (int)exchange.exchange.answer.length, exchange.exchange.answer.data,
               exchange.exchange.detail);
    CU_ASSERT_TRUE(answer_is(&exchange, expected));
    rig_release(transport, &exchange);
}

static void failed(struct transport *transport, const char *line, enum outcome outcome,
                   const char *detail)
{
    struct rig_exchange exchange;
    ask(transport, &exchange, line);
    rig_wait(transport, &exchange);
    bool right = exchange.exchange.outcome == outcome && rig_detail_has(&exchange, detail) &&
                 rig_detail_has(&exchange, "command: ");
    if (!right)
        printf("\"%s\": %d %s\n", line, exchange.exchange.outcome, exchange.exchange.detail);
    CU_ASSERT_TRUE(right);
    CU_ASSERT_EQUAL(exchange.exchange.answer.length, 0);
    rig_release(transport, &exchange);
}

static void answers(void)
{
    static const char *const cat[] = {"cat", NULL};
    static struct rig_exchange exchanges[500];
    for (uint32_t depth = 1; depth <= 8; depth += 7) {
        struct transport *transport = pool_open(cat, 4, depth, 0);
        for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
            char line[32];
            snprintf(line, sizeof(line), "line %zu", i);
            ask(transport, &exchanges[i], line);
            CU_ASSERT_FALSE(exchanges[i].over);
        }
        for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
            rig_wait(transport, &exchanges[i]);
            CU_ASSERT_TRUE(answer_is(&exchanges[i], exchanges[i].url));
            CU_ASSERT_TRUE(exchanges[i].exchange.first_byte >= exchanges[i].exchange.started);
            rig_release(transport, &exchanges[i]);
        }
        answered(transport, "", "");
        transport->ops->close(transport);
    }
    struct transport *transport = script_open("sed -u 's/$/\\r/'", 1, 1);
    answered(transport, "crlf", "crlf");
    struct rig_exchange exchange;
    ask(transport, &exchange, "two\nlines");
    rig_wait(transport, &exchange);
    CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_INVALID);
    rig_release(transport, &exchange);
    transport->ops->close(transport);
}

/* Longer than any pipe holds, in both directions at once. */
static void long_lines(void)
{
    static const char *const cat[] = {"cat", NULL};
    struct transport *transport = pool_open(cat, 2, 2, 0);
    struct rig_exchange exchanges[4];
    size_t size = 3000000;
    char *line = malloc(size);
    memset(line, 'a', size);
    for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
        rig_prepare(&exchanges[i], "", "");
        exchanges[i].request.body = (struct string){line, size - i};
        rig_start(transport, &exchanges[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
        rig_wait(transport, &exchanges[i]);
        CU_ASSERT_EQUAL(exchanges[i].exchange.answer.length, size - i);
        CU_ASSERT_EQUAL(memcmp(exchanges[i].exchange.answer.data, line, size - i), 0);
        rig_release(transport, &exchanges[i]);
    }
    free(line);
    transport->ops->close(transport);
}

static const char moody[] = "while read -r l; do case $l in "
                            "exit) echo 'one more' >&2; echo 'last words' >&2; exit 3;; "
                            "kill) kill -9 $$;; "
                            "close) exec >&-; sleep 100;; "
                            "hang) echo 'thinking hard' >&2; sleep 100;; "
                            "big) head -c 5000 /dev/zero | tr '\\0' x; echo;; "
                            "endless) yes | tr -d '\\n';; "
                            "two) printf 'a\\nb\\n';; "
                            "half) printf half; exit 0;; "
                            "*) echo \"$l\";; esac; done";

static void processes_that_fail(void)
{
    struct transport *transport = script_open(moody, 1, 1);
    for (int round = 0; round < 2; round++) {
        answered(transport, "fine", "fine");
        failed(transport, "exit", OUTCOME_BROKEN, "exited with status 3: last words");
        answered(transport, "fine", "fine");
        failed(transport, "kill", OUTCOME_BROKEN, "killed by signal 9 (Killed)");
        answered(transport, "fine", "fine");
        failed(transport, "big", OUTCOME_LARGE, "longer than the limit of 1000 bytes");
        answered(transport, "fine", "fine");
        failed(transport, "endless", OUTCOME_LARGE, "longer than the limit of 1000 bytes");
        answered(transport, "fine", "fine");
        failed(transport, "half", OUTCOME_BROKEN, "exited with status 0");
        answered(transport, "fine", "fine");
        failed(transport, "close", OUTCOME_BROKEN, "closed its output");
        answered(transport, "fine", "fine");
    }
    transport->ops->close(transport);
}

/* The second line of an answer must not become the answer of the next question. */
static void unasked_lines(void)
{
    struct transport *transport = script_open(moody, 1, 1);
    for (int i = 0; i < 20; i++) {
        struct rig_exchange exchange;
        ask(transport, &exchange, "two");
        rig_wait(transport, &exchange);
        CU_ASSERT_TRUE(answer_is(&exchange, "a"));
        rig_release(transport, &exchange);
        ask(transport, &exchange, "next");
        rig_wait(transport, &exchange);
        CU_ASSERT_TRUE(answer_is(&exchange, "next") || exchange.exchange.outcome == OUTCOME_BROKEN);
        rig_release(transport, &exchange);
    }
    transport->ops->close(transport);
}

static void processes_that_hang(void)
{
    struct transport *transport = script_open(moody, 1, 3);
    struct rig_exchange exchanges[3];
    answered(transport, "fine", "fine");
    ask(transport, &exchanges[0], "hang");
    exchanges[0].exchange.deadline = clock_monotonic() + 20 * NANOSECONDS; /* set too late */
    rig_step(transport);
    transport->ops->cancel(transport, &exchanges[0].exchange);
    failed(transport, "hidden", OUTCOME_BROKEN, "no answer to a cancelled question"); /* 1 s */
    rig_prepare(&exchanges[0], "hang", "");
    exchanges[0].request.body = exchanges[0].request.url;
    exchanges[0].exchange.deadline = clock_monotonic() + 100 * MILLISECOND;
    rig_start(transport, &exchanges[0]);
    ask(transport, &exchanges[1], "behind it");
    rig_wait(transport, &exchanges[0]);
    CU_ASSERT_EQUAL(exchanges[0].exchange.outcome, OUTCOME_TIMEOUT);
    CU_ASSERT_TRUE(rig_detail_has(&exchanges[0], "whole timeout"));
    CU_ASSERT_TRUE(rig_detail_has(&exchanges[0], "thinking hard"));
    rig_wait(transport, &exchanges[1]);
    CU_ASSERT_EQUAL(exchanges[1].exchange.outcome, OUTCOME_BROKEN);
    CU_ASSERT_TRUE(rig_detail_has(&exchanges[1], "no answer in time"));
    rig_release(transport, &exchanges[0]);
    rig_release(transport, &exchanges[1]);
    answered(transport, "fine", "fine");
    transport->ops->close(transport);
}

/* A command that dies at once is not started over and over. */
static void no_spinning(void)
{
    char script[512], path[256];
    struct stat status;
    struct rig_exchange exchanges[10];
    snprintf(path, sizeof(path), "%s/starts", suite_folder());
    snprintf(script, sizeof(script), "printf x >> '%s'; echo gone >&2; exit 1", path);
    struct transport *transport = script_open(script, 1, 1);
    int64_t began = clock_monotonic();
    for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++)
        ask(transport, &exchanges[i], "x");
    for (size_t i = 0; i < 4; i++) {
        rig_wait(transport, &exchanges[i]);
        CU_ASSERT_EQUAL(exchanges[i].exchange.outcome, OUTCOME_BROKEN);
        CU_ASSERT_TRUE(rig_detail_has(&exchanges[i], "exited with status 1: gone"));
        rig_release(transport, &exchanges[i]);
    }
    CU_ASSERT_TRUE(clock_monotonic() - began >= 60 * MILLISECOND); /* 10 + 20 + 40 at least */
    CU_ASSERT_TRUE(stat(path, &status) == 0 && status.st_size <= 5);
    transport->ops->close(transport);
}

static void descriptors_kept_to_ourselves(void)
{
    char script[128];
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int leak = fcntl(null, F_DUPFD, 57); /* without CLOEXEC, as a library might */
    snprintf(script, sizeof(script),
             "while read -r l; do [ -e /proc/$$/fd/%d ] && echo leak || echo none; done", leak);
    struct transport *transport = script_open(script, 3, 1);
    CU_ASSERT_TRUE(leak >= 57);
    for (int i = 0; i < 6; i++)
        answered(transport, "which", "none");
    close(leak);
    close(null);
    transport->ops->close(transport);
}

/* Else there is nothing to wait for. */
static bool any_waits(const struct rig_exchange *exchanges, const bool *used, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (used[i] && !exchanges[i].over)
            return true;
    }
    return false;
}

static void cancelled_at_any_time(void)
{
    static const char *const cat[] = {"cat", NULL};
    static struct rig_exchange exchanges[32];
    static bool used[32];
    uint64_t seed = 7;
    struct transport *transport = pool_open(cat, 3, 2, 0);
    unsigned right = 0, cancelled = 0;
    for (int turn = 0; turn < 5000; turn++) {
        size_t i = random_next(&seed) % ARRAY_SIZE(exchanges);
        char line[64];
        snprintf(line, sizeof(line), "turn %d", turn);
        if (!used[i]) {
            ask(transport, &exchanges[i], line);
            used[i] = true;
        } else if (exchanges[i].over) {
            right += answer_is(&exchanges[i], exchanges[i].url);
            CU_ASSERT_TRUE(answer_is(&exchanges[i], exchanges[i].url));
            rig_release(transport, &exchanges[i]);
            used[i] = false;
        } else if (random_next(&seed) % 2 == 0) {
            transport->ops->cancel(transport, &exchanges[i].exchange);
            memset(&exchanges[i], 0xdd, sizeof(exchanges[i])); /* ours again */
            used[i] = false;
            cancelled++;
        }
        if (random_next(&seed) % 4 == 0 && any_waits(exchanges, used, ARRAY_SIZE(used)))
            rig_step(transport);
    }
    CU_ASSERT_TRUE(right > 0 && cancelled > 0);
    transport->ops->close(transport); /* with some still under way */
    /* A long line of which a part went out is cancelled: the rest goes out all the same. */
    transport = pool_open(cat, 1, 4, 0);
    char *line = malloc(1000000);
    memset(line, 'b', 1000000);
    rig_prepare(&exchanges[0], "", "");
    exchanges[0].request.body = (struct string){line, 1000000};
    rig_start(transport, &exchanges[0]);
    transport->ops->step(transport);
    transport->ops->cancel(transport, &exchanges[0].exchange);
    memset(line, 'c', 1000000);
    free(line);
    answered(transport, "after", "after");
    transport->ops->close(transport);
}

static void ends_in_time(void)
{
    struct transport *transport = script_open(
        "trap '' TERM; while read -r l; do echo $$; done; while :; do sleep 1; done", 2, 1);
    struct rig_exchange exchange;
    ask(transport, &exchange, "who");
    rig_wait(transport, &exchange);
    char text[32] = "";
    snprintf(text, sizeof(text), "%.*s", (int)exchange.exchange.answer.length,
             exchange.exchange.answer.data);
    pid_t id = (pid_t)strtol(text, NULL, 10);
    CU_ASSERT_TRUE(id > 1 && kill(id, 0) == 0);
    int64_t began = clock_monotonic();
    transport->ops->close(transport);
    CU_ASSERT_TRUE(clock_monotonic() - began < 2 * NANOSECONDS);
    CU_ASSERT_TRUE(kill(id, 0) != 0);
}

static void commands_that_are_not_there(void)
{
    static const char *const names[] = {"no-such-command-of-leat", "/no/such/path", ""};
    struct error error;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *const arguments[] = {names[i], NULL};
        struct exec_settings settings = {.arguments = arguments, .processes = 1};
        CU_ASSERT_PTR_NULL(exec_transport_open(&settings, &error));
        CU_ASSERT_PTR_NOT_NULL(strstr(error.text, names[i]));
    }
    /* It is there, but cannot be run. */
    char path[256];
    snprintf(path, sizeof(path), "%s/not-a-program", suite_folder());
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    CU_ASSERT_TRUE(file >= 0 &&
                   write(file,
                         "\x7f"
                         "ELF no",
                         7) == 7 &&
                   close(file) == 0);
    const char *const arguments[] = {path, NULL};
    struct transport *transport = pool_open(arguments, 1, 1, 0);
    failed(transport, "x", OUTCOME_CONNECT, "cannot be started");
    transport->ops->close(transport);
}

SUITE(exec, {"answers", answers}, {"long lines", long_lines},
      {"processes that fail", processes_that_fail}, {"lines that nobody asked for", unasked_lines},
      {"processes that hang", processes_that_hang}, {"no spinning", no_spinning},
      {"descriptors", descriptors_kept_to_ourselves}, {"cancelling", cancelled_at_any_time},
      {"the end", ends_in_time}, {"commands that are not there", commands_that_are_not_there})
