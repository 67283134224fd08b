/* Lookups end to end: leat against the test server, which misbehaves as asked, and against child
 * processes. Every ledger is exact. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"
#include "core/fault.h"
#include "tests/cli/process.h"
#include "tests/suite.h"

extern char **environ;

/* ---- the server ---- */

static pid_t server;

static void server_stop(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

/* $(BUILD)/tests/cli runs; the server is $(BUILD)/servers/http_server. */
static void server_path(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 64);
    CHECK(length > 0);
    path[length] = 0;
    for (int i = 0; i < 2; i++)
        *strrchr(path, '/') = 0;
    size_t used = strlen(path);
    snprintf(path + used, size - used, "/servers/http_server");
}

/* "http://127.0.0.1:PORT", started when first asked for. */
static const char *url(void)
{
    static char text[64];
    char path[1024], port[16] = {0};
    int ends[2];
    if (server)
        return text;
    server_path(path, sizeof(path));
    posix_spawn_file_actions_t actions;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    char *const arguments[] = {path, (char *)"--port", (char *)"0", NULL};
    CHECK(posix_spawn(&server, path, &actions, NULL, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    atexit(server_stop);
    struct pollfd wait = {ends[0], POLLIN, 0};
    for (size_t i = 0; i + 1 < sizeof(port) && poll(&wait, 1, 10000) == 1 &&
                       read(ends[0], port + i, 1) == 1 && port[i] != '\n';)
        i++;
    CHECK(port[0]);
    port[strcspn(port, "\n")] = 0;
    snprintf(text, sizeof(text), "http://127.0.0.1:%s", port);
    return text;
}

/* Requests that the server has seen for paths that begin with /NAME/. */
static long requests_seen(const char *name)
{
    char program[300];
    snprintf(program, sizeof(program),
             "lookup http \"%s/stats\" as s { take answer.paths } | select n = s.%s", url(), name);
    struct process process = LEAT("{}\n", program);
    long seen = 0;
    EXPECT_STATUS(process, 0);
    if (sscanf(process.out, "{\"n\":%ld}", &seen) != 1)
        seen = 0; /* null: none */
    process_free(&process);
    return seen;
}

/* `lookup http "URL/PATH" as x { OPTIONS }MORE` on the text. */
static struct process look_up(const char *text, const char *path, const char *options,
                              const char *more)
{
    static char program[4096];
    snprintf(program, sizeof(program), "lookup http \"%s%s\" as x { %s }%s", url(), path, options,
             more);
    return LEAT(text, program);
}

/* FNV-1a, 64 bits, as the server's documentation has it: its low 53 bits. */
static unsigned long long value_of(const char *key)
{
    unsigned long long hash = 0xcbf29ce484222325u;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 0x100000001b3u;
    return hash & ((1ull << 53) - 1);
}

/* ---- answers ---- */

static void test_answers(void)
{
    char wanted[300];
    snprintf(wanted, sizeof(wanted),
             "{\"k\":\"a/b c\",\"x\":{\"key\":\"a/b c\",\"value\":%llu},\"n\":1.0}\n"
             "{\"k\":7,\"x\":{\"key\":\"7\",\"value\":%llu},\"n\":2}\n",
             value_of("a/b c"), value_of("7"));
    /* in place where the record has the field, with the answer's own bytes; no other byte changes
     */
    struct process process = look_up("{\"k\":\"a/b c\",\"x\":0,\"n\":1.0}\n"
                                     "{\"k\":7,\"x\":null,\"n\":2}\n",
                                     "/echo/{k}", "", "");
    EXPECT_STATUS(process, 0);
    EXPECT_OUT(process, wanted);
    process_free(&process);
    process = look_up("{\"k\":1}\n", "/text/hello", "response raw status s attempts a", "");
    EXPECT_OUT(process, "{\"k\":1,\"x\":\"hello\",\"s\":200,\"a\":1}\n");
    process_free(&process);
    process = look_up("{\"k\":1}\n", "/empty", "status s", "");
    EXPECT_OUT(process, "{\"k\":1,\"x\":null,\"s\":204}\n");
    process_free(&process);
    process = look_up("{\"k\":1}\n", "/gzip/{k}", "take [answer.key, status]", "");
    EXPECT_OUT(process, "{\"k\":1,\"x\":[\"1\",200]}\n");
    process_free(&process);
}

static void test_requests(void)
{
    static const struct {
        const char *options, *part;
    } cases[] = {
        {"body {'q': k}", "\"method\":\"POST\",\"target\":\"/reflect/r\""},
        {"body {'q': k}", "\"body\":\"{\\\"q\\\":\\\"ä&b\\\"}\""},
        {"body {'q': k}", "\"content-type\":\"application/json\""},
        {"method PUT body k encode raw", "\"method\":\"PUT\""},
        {"method PUT body k encode raw", "\"body\":\"ä&b\""},
        {"method PATCH body {'q': k, 'n': 1.5, 'z': null} encode form",
         "\"body\":\"q=%C3%A4%26b&n=1.5\""},
        {"query 'q' = k, 'none' = null, 'n' = 1", "\"target\":\"/reflect/r?q=%C3%A4%26b&n=1\""},
        {"header 'x-a' = 'v-' + string(n), 'x-c' = 'c', 'x-no' = null", "\"x-a\":\"v-1\""},
        {"header 'x-a' = 'v-' + string(n), 'x-c' = 'c', 'x-no' = null", "\"x-c\":\"c\""},
        {"", "\"accept\":\"application/json\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct process process =
            look_up("{\"k\":\"ä&b\",\"n\":1}\n", "/reflect/r", cases[i].options, " | select x");
        EXPECT_STATUS(process, 0);
        EXPECT_OUT_PART(process, cases[i].part);
        CU_ASSERT_PTR_NULL(strstr(process.out, "x-no"));
        process_free(&process);
    }
}

static void test_batches(void)
{
    char text[2000] = "", wanted[4000] = "";
    for (int i = 0; i < 25; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "{\"k\":\"%s\"}\n", key);
        snprintf(wanted + strlen(wanted), sizeof(wanted) - strlen(wanted),
                 "{\"k\":\"%s\",\"x\":%llu}\n", key, value_of(key));
    }
    static const char *const paths[][2] = {
        {"/batch", "batch 10 or 5ms key k take answer.value"},
        {"/batch/map", "batch 10 or 5ms key k take answer.value"},
        {"/batch/reverse", "batch 10 or 5ms key k by key take answer.value"},
    };
    long before = requests_seen("batch");
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct process process = look_up(text, paths[i][0], paths[i][1], "");
        EXPECT_STATUS(process, 0);
        EXPECT_OUT(process, wanted);
        process_free(&process);
    }
    CU_ASSERT_EQUAL(requests_seen("batch") - before, 9);
    struct process process =
        look_up(text, "/batch/short", "batch 10 key k by key", " | reject into file \"/dev/null\"");
    EXPECT_STATUS(process, 3);
    EXPECT_ERR(process, "25 read = 22 written + 3 rejected");
    EXPECT_ERR(process, "3 rejected by lookup http: the answer has nothing for this key");
    process_free(&process);
}

static void test_race_and_hedge(void)
{
    char options[300];
    snprintf(options, sizeof(options), "race \"%s/status/500/{k}\", \"%s/echo/{k}\" retry 0", url(),
             url());
    struct process process = look_up("{\"k\":1}\n{\"k\":2}\n", "/hang", options, " | select x.key");
    EXPECT_STATUS(process, 0);
    EXPECT_OUT(process, "{\"x\":{\"key\":\"1\"}}\n{\"x\":{\"key\":\"2\"}}\n");
    process_free(&process);
    /* the first request for each key hangs (a delay by how often it was asked cannot be had, so: a
     * slow answer, and the hedge is sent) */
    process =
        look_up("{\"k\":3}\n", "/delay/60/{k}", "hedge after 10ms attempts a take answer.key", "");
    EXPECT_OUT(process, "{\"k\":3,\"x\":\"3\",\"a\":2}\n");
    process_free(&process);
}

static void test_cache(void)
{
    char text[40000] = "";
    size_t length = 0;
    for (int i = 0; i < 1000; i++)
        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "{\"k\":\"c%d\"}\n", i % 8);
    long before = requests_seen("delay");
    struct process process = look_up(text, "/delay/2/{k}", "cache 100 for 1h", "");
    EXPECT_STATUS(process, 0);
    EXPECT_ERR(process, "1,000 read = 1,000 written");
    process_free(&process);
    CU_ASSERT_EQUAL(requests_seen("delay") - before, 8);
}

static void test_retries(void)
{
    struct process process = look_up("{\"k\":\"r1\"}\n{\"k\":\"r2\"}\n", "/first/2/503/{k}",
                                     "retry 3 backoff 1ms..3ms attempts a take answer.key", "");
    EXPECT_STATUS(process, 0);
    EXPECT_OUT(process,
               "{\"k\":\"r1\",\"x\":\"r1\",\"a\":3}\n{\"k\":\"r2\",\"x\":\"r2\",\"a\":3}\n");
    process_free(&process);
    /* what is not idempotent is not sent again, unless told */
    process =
        look_up("{\"k\":\"r3\"}\n", "/first/1/503/{k}",
                "method POST body k retry 3 backoff 1ms..3ms otherwise status attempts a", "");
    EXPECT_OUT(process, "{\"k\":\"r3\",\"x\":503,\"a\":1}\n");
    process_free(&process);
    process =
        look_up("{\"k\":\"r4\"}\n", "/first/1/503/{k}",
                "method POST body k repeat retry 3 backoff 1ms..3ms attempts a take status", "");
    EXPECT_OUT(process, "{\"k\":\"r4\",\"x\":200,\"a\":2}\n");
    process_free(&process);
}

static void test_breaker(void)
{
    char text[1000] = "";
    for (int i = 0; i < 50; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "{\"k\":%d}\n", i);
    long before = requests_seen("status");
    struct process process = look_up(
        text, "/status/503/{k}",
        "concurrency 1 retry 0 breaker open after 3 failures for 1h otherwise null", " | select x");
    EXPECT_STATUS(process, 0);
    EXPECT_ERR(process, "50 read = 50 written");
    EXPECT_ERR(process, "3 answered otherwise by lookup http: status 503");
    EXPECT_ERR(process, "47 answered otherwise by lookup http");
    process_free(&process);
    CU_ASSERT_EQUAL(requests_seen("status") - before, 3);
}

/* ---- misbehaviour ---- */

static void test_misbehaviour(void)
{
    static const struct {
        const char *path, *options;
    } cases[] = {
        {"/reset/10", ""},
        {"/reset/head", ""},
        {"/truncate/10", ""},
        {"/truncate/head", ""},
        {"/length/negative", ""},
        {"/length/word", ""},
        {"/length/two", ""},
        {"/length/huge", "timeout 200ms"},
        {"/garbage", ""},
        {"/garbage/binary", ""},
        {"/headers/endless", ""},
        {"/headers/line", ""},
        {"/hang", "timeout 100ms"},
        {"/hang", "first_byte_timeout 100ms"},
        {"/hang/body", "timeout 100ms"},
        {"/drip/50/1000", "timeout 150ms"},
        {"/drip/50/head", "timeout 150ms"},
        {"/big/3000000", "answer_limit 1MiB"},
        {"/big/chunked/3000000", "answer_limit 1MiB"},
        {"/bomb/1000000000", "answer_limit 1MiB"},
        {"/gzip-broken", ""},
        {"/gzip-cut", ""},
        {"/chunked-bad/size", ""},
        {"/chunked-bad/overflow", ""},
        {"/chunked-bad/ending", ""},
        {"/chunked-bad/cut", ""},
        {"/ring", "redirects 4"},
        {"/leave?to=http://127.0.0.2:1/", ""},
        {"/text/no-{k}", ""},
        {"/status/404/{k}", ""},
        {"/status/500/{k}", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char options[200];
        const char *rejects = path_join(folder_make(), "rejects"), *at;
        char more[300];
        snprintf(options, sizeof(options), "retry 1 backoff 1ms..2ms retry_budget 100%% %s",
                 cases[i].options);
        snprintf(more, sizeof(more), " | reject into file \"%s\"", rejects);
        struct process process =
            look_up("{\"k\":1}\n{\"k\":\"ok\"}\n{\"k\":3}\n", cases[i].path, options, more);
        EXPECT_STATUS(process, 3);
        EXPECT_ERR(process, "3 read = 0 written + 3 rejected");
        EXPECT_OUT(process, "");
        char *text = file_read(rejects);
        unsigned lines = 0;
        for (at = text; at && (at = strstr(at, "{\"error\":\"lookup: ")); at++)
            lines++;
        CU_ASSERT_EQUAL(lines, 3);
        CU_ASSERT_PTR_NOT_NULL(text ? strstr(text, "\"url\":\"http://127.0.0.1:") : NULL);
        if (lines != 3)
            printf("\n%s: %s\n%s\n", cases[i].path, text ? text : "", process.err);
        free(text);
        process_free(&process);
    }
}

static void test_otherwise(void)
{
    struct process process =
        look_up("{\"k\":1}\n{\"k\":2}\n{\"k\":3}\n", "/status/{k == 2 ? 200 : 404}/{k}",
                "otherwise {'lost': k} retry 0", " | put y = has(x.lost)");
    char wanted[300];
    snprintf(wanted, sizeof(wanted),
             "{\"k\":1,\"x\":{\"lost\":1},\"y\":true}\n"
             "{\"k\":2,\"x\":{\"key\":\"2\",\"value\":%llu},\"y\":false}\n"
             "{\"k\":3,\"x\":{\"lost\":3},\"y\":true}\n",
             value_of("2"));
    EXPECT_STATUS(process, 0);
    EXPECT_OUT(process, wanted);
    EXPECT_ERR(process, "2 answered otherwise by lookup http: status 404");
    process_free(&process);
    process = look_up("{\"k\":1}\n", "/status/404/{k}", "otherwise stop", "");
    EXPECT_STATUS(process, 1);
    EXPECT_ERR(process, "status 404, http://127.0.0.1:");
    process_free(&process);
    process = look_up("{\"k\":1}\n{\"k\":2}\n", "/status/404/{k}", "", "");
    EXPECT_STATUS(process, 1);
    EXPECT_ERR(process, "stdin:1: lookup http: status 404 (lookup)");
    process_free(&process);
}

static void test_places(void)
{
    struct process process =
        look_up("{\"k\":null}\n{\"k\":\"\"}\n{\"k\":\"..\"}\n{\"k\":[1]}\n{}\n{\"k\":\"x\"}\n",
                "/echo/{k}", "otherwise null take 1", " | reject into stdout");
    EXPECT_STATUS(process, 3);
    EXPECT_ERR(process, "6 read = 1 written + 5 rejected");
    EXPECT_OUT_PART(process, "{\"error\":\"place: ");
    process_free(&process);
    /* a host that comes from a record is not one of the machine's own */
    process = LEAT("{\"u\":\"http://169.254.169.254/latest\"}\n",
                   "lookup http \"{u}\" as x { retry 0 } | reject into stdout");
    EXPECT_STATUS(process, 3);
    EXPECT_OUT_PART(process, "\"error\":\"lookup: ");
    EXPECT_OUT_PART(process, "link-local");
    process_free(&process);
}

static void test_secrets(void)
{
    const char *folder = folder_make(), *secret = path_join(folder, "token");
    char program[2000];
    file_write(secret, "hush-hush-4711\n");
    snprintf(program, sizeof(program),
             "lookup http \"%s/status/403/{secret('%s')}/{k}\" as x { header 'authorization' = "
             "'Bearer ' + secret('%s') query 'key' = secret('%s') } | reject into stdout",
             url(), secret, secret, secret);
    struct process process = LEAT("{\"k\":1}\n", program);
    EXPECT_STATUS(process, 3);
    EXPECT_OUT_PART(process, "***");
    CU_ASSERT_PTR_NULL(strstr(process.out, "hush"));
    CU_ASSERT_PTR_NULL(strstr(process.err, "hush"));
    process_free(&process);
    snprintf(program, sizeof(program),
             "lookup http \"%s/reflect/r\" as x { header 'authorization' = 'Bearer ' + "
             "secret('%s') take answer.headers.authorization }",
             url(), secret);
    process = LEAT("{\"k\":1}\n", program);
    EXPECT_OUT(process, "{\"k\":1,\"x\":\"Bearer hush-hush-4711\"}\n"); /* it was sent */
    process_free(&process);
}

/* ---- many ---- */

/* Each record its own answer, in order: what `text` says is checked against the keys. */
static unsigned foreign_answers(const char *text, unsigned count)
{
    unsigned foreign = 0;
    for (unsigned i = 0; i < count; i++) {
        char key[16], wanted[120];
        snprintf(key, sizeof(key), "m%u", i);
        int length = snprintf(wanted, sizeof(wanted),
                              "{\"k\":\"%s\",\"x\":{\"key\":\"%s\",\"value\":%llu}}\n", key, key,
                              value_of(key));
        foreign += strncmp(text, wanted, (size_t)length) != 0;
        text = strchr(text, '\n');
        if (!text)
            return count;
        text++;
    }
    return foreign + (*text != 0);
}

static void test_flaky(void)
{
    enum { COUNT = 20000 };
    size_t length = 0, size = COUNT * 20;
    char *text = memory_take(size);
    CHECK(text);
    for (unsigned i = 0; i < COUNT; i++)
        length += (size_t)snprintf(text + length, size - length, "{\"k\":\"m%u\"}\n", i);
    struct process process =
        look_up(text, "/flaky/20/{k}?how=mixed",
                "concurrency 100 retry 30 backoff 1ms..20ms retry_budget 100%", "");
    EXPECT_STATUS(process, 0);
    EXPECT_ERR(process, "20,000 read = 20,000 written");
    CU_ASSERT_EQUAL(foreign_answers(process.out, COUNT), 0);
    process_free(&process);
    free(text);
}

/* Told to stop: what is in flight is answered, what was not asked is rejected; it all balances. */
static void test_stop(void)
{
    enum { COUNT = 2000 };
    static char program[300];
    size_t length = 0, size = COUNT * 20;
    char *text = memory_take(size), *ledger;
    CHECK(text);
    for (unsigned i = 0; i < COUNT; i++)
        length += (size_t)snprintf(text + length, size - length, "{\"k\":\"m%u\"}\n", i);
    snprintf(program, sizeof(program),
             "lookup http \"%s/delay/20/{k}\" as x { concurrency 4 } | reject into file "
             "\"/dev/null\"",
             url());
    struct process process = leat_run((struct process){
        .arguments = {program},
        .input = text,
        .input_stays_open = true,
        .signal_number = SIGINT,
        .signal_after = 200,
    });
    unsigned read = 0, thousands = 0, written = 0, rejected = 0, rejected_thousands = 0;
    ledger = strstr(process.err, "leat: 2,000 read = ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(ledger);
    CU_ASSERT_EQUAL(sscanf(ledger, "leat: %u,%u read = %u written + %u,%u rejected", &thousands,
                           &read, &written, &rejected_thousands, &rejected),
                    5);
    CU_ASSERT_EQUAL(written + rejected_thousands * 1000 + rejected, COUNT);
    CU_ASSERT(written >= 4);
    CU_ASSERT_EQUAL(foreign_answers(process.out, written), 0);
    EXPECT_ERR(process, "(unanswered)");
    process_free(&process);
    free(text);
}

/* Where nothing bears a reject, such a run was stopped by the signal, and did not fail. */
static void test_stop_alone(void)
{
    enum { COUNT = 2000 };
    static char program[300], text[COUNT * 16];
    size_t length = 0;
    for (unsigned i = 0; i < COUNT; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "{\"k\":\"m%u\"}\n", i);
    snprintf(program, sizeof(program), "lookup http \"%s/delay/20/{k}\" as x { concurrency 4 }",
             url());
    struct process process = leat_run((struct process){
        .arguments = {program},
        .input = text,
        .input_stays_open = true,
        .signal_number = SIGINT,
        .signal_after = 200,
    });
    EXPECT_STATUS(process, 128 + SIGINT);
    CU_ASSERT_PTR_NULL(strstr(process.err, "error"));
    process_free(&process);
}

/* ---- processes ---- */

#define CHILD                                                                                      \
    "import sys,json\n"                                                                            \
    "for line in sys.stdin:\n"                                                                     \
    "    k = json.loads(line)\n"                                                                   \
    "    if k == 13: sys.exit(3)\n"                                                                \
    "    print('no JSON' if k == 17 else json.dumps({'twice': k * 2}), flush=True)\n"

static void test_exec(void)
{
    const char *child = path_join(folder_make(), "child.py");
    char program[500], text[1000] = "";
    file_write(child, CHILD);
    for (int i = 0; i < 30; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "{\"k\":%d}\n", i);
    snprintf(program, sizeof(program),
             "lookup exec \"python3 '%s'\" as x { body k processes 2 retry 1 backoff 1ms..2ms "
             "take answer.twice == k * 2 } | reject into file \"/dev/null\"",
             child);
    struct process process = LEAT(text, program);
    EXPECT_STATUS(process, 3);
    EXPECT_ERR(process, "30 read = 28 written + 2 rejected");
    EXPECT_ERR(process, "the answer is no JSON");
    EXPECT_OUT_PART(process, "{\"k\":12,\"x\":true}\n{\"k\":14,\"x\":true}\n");
    CU_ASSERT_PTR_NULL(strstr(process.out, "false"));
    process_free(&process);
    process = LEAT("{\"k\":1}\n", "lookup exec \"leat-no-such-program\" as x");
    CU_ASSERT(process.status == 1 || process.status == 2);
    EXPECT_ERR(process, "leat-no-such-program");
    process_free(&process);
}

SUITE(lookup, {"answers become fields", test_answers}, {"what is sent", test_requests},
      {"many records in a request", test_batches}, {"race and hedge", test_race_and_hedge},
      {"cache: equal requests are made once", test_cache}, {"retries", test_retries},
      {"the breaker lets the peer be", test_breaker}, {"every misbehaviour", test_misbehaviour},
      {"otherwise", test_otherwise}, {"what cannot stand in a URL", test_places},
      {"secrets stay secret", test_secrets}, {"one in five fails", test_flaky},
      {"told to stop", test_stop}, {"told to stop with nowhere for rejects", test_stop_alone},
      {"child processes", test_exec})
