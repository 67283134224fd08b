/* `into http` and `from http` from outside, against a server that misbehaves on demand. Whether
 * every record has arrived, how often, and what the ledger says of it are counted at the server. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cli/http_server.h"
#include "tests/suite.h"

#define RECORDS 2000

static struct http_server server;
static const char *folder;
static unsigned times[RECORDS + 1];

/* A server and a folder with in.ndjson: {"id":0} … */
static void begin(void)
{
    static char text[RECORDS * 16];
    size_t used = 0;
    http_server_start(&server);
    folder = folder_make();
    for (unsigned i = 0; i < RECORDS; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "{\"id\":%u}\n", i);
    file_write(path_join(folder, "in.ndjson"), text);
}

static void end(void)
{
    http_server_stop(&server);
}

static struct process run(const char *program)
{
    return leat_run(
        (struct process){.folder = folder, .arguments = {program, "--report", "report.json"}});
}

/* in.ndjson into `path` with the sink's block; rejects into rejected.ndjson. */
static struct process send(const char *path, const char *block)
{
    char program[1024];
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | into http \"%s%s\" { backoff 1ms..5ms %s }"
             " | reject into file \"rejected.ndjson\"",
             server.url, path, block);
    return run(program);
}

static void expect_ledger_at(unsigned read, unsigned written, unsigned rejected, int line)
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
#define EXPECT_LEDGER(read, written, rejected) expect_ledger_at(read, written, rejected, __LINE__)

static bool listed(const unsigned *list, unsigned id)
{
    for (; *list != RECORDS; list++)
        if (*list == id)
            return true;
    return false;
}

/* Every record is stored once, but for those of the list, which ends with RECORDS. */
static void expect_stored_but_at(const unsigned *missing, int line)
{
    unsigned wrong = 0;
    http_server_stored(&server, RECORDS, times);
    for (unsigned i = 0; i < RECORDS; i++)
        wrong += times[i] != (listed(missing, i) ? 0 : 1);
    if (wrong || times[RECORDS])
        fprintf(stderr, "line %d: %u records are not stored as they should be\n", line, wrong);
    CU_ASSERT(wrong == 0 && times[RECORDS] == 0);
}
#define EXPECT_STORED_BUT(...)                                                                     \
    expect_stored_but_at((const unsigned[]){__VA_ARGS__, RECORDS}, __LINE__)
#define EXPECT_ALL_STORED() EXPECT_STORED_BUT(RECORDS)

static unsigned lines_of(const char *name)
{
    char *text = file_read(path_join(folder, name));
    unsigned count = 0;
    for (const char *at = text; at && (at = strchr(at, '\n')); at++)
        count++;
    free(text);
    return count;
}

/* ---- the sink ---- */

static void good_runs(void)
{
    static const char *const blocks[] = {
        "batch 100",
        "batch 1000 or 1s  concurrency 1",
        "batch 100  gzip",
        "batch 100  encode json",
        "batch 7  encode json  gzip  concurrency 3",
        "batch 100000  batch_bytes 100",
        "batch 1",
        "batch 50  adaptive  rate 1000000/s  burst 3",
        "batch 50  method PUT  header \"x-a\" = \"b\", \"x-b\" = null",
    };
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        begin();
        struct process process = send("/bulk", blocks[i]);
        EXPECT_STATUS(process, 0);
        EXPECT_LEDGER(RECORDS, RECORDS, 0);
        EXPECT_ALL_STORED();
        process_free(&process);
        end();
    }
}

/* So many requests and no more: 2,000 records by 300. */
static void requests_are_full(void)
{
    begin();
    struct process process = send("/bulk", "batch 300 or 1h");
    EXPECT_STATUS(process, 0);
    CU_ASSERT(http_server_stat(&server, "bulk") == 7);
    process_free(&process);
    end();
}

static void poison(void)
{
    static const struct {
        const char *path, *status;
    } cases[] = {{"/bulk?reject=0,7,77,777,1999", "\"status\":422"},
                 {"/bulk?bad=0,7,77,777,1999", "\"status\":400"}};
    for (size_t i = 0; i < 2; i++) {
        begin();
        struct process process = send(cases[i].path, "batch 500");
        EXPECT_STATUS(process, 3);
        EXPECT_LEDGER(RECORDS, RECORDS - 5, 5);
        EXPECT_STORED_BUT(0, 7, 77, 777, 1999);
        CU_ASSERT(lines_of("rejected.ndjson") == 5);
        char *rejected = file_read(path_join(folder, "rejected.ndjson"));
        CU_ASSERT(rejected && strstr(rejected, cases[i].status) != NULL);
        CU_ASSERT(rejected && strstr(rejected, "\"record\":\"{\\\"id\\\":777}\"") != NULL);
        CU_ASSERT(rejected && strstr(rejected, "\"attempts\":1") != NULL);
        free(rejected);
        process_free(&process);
        end();
    }
}

static void all_poison(void)
{
    char path[2000] = "/bulk?bad=0";
    begin();
    file_write(path_join(folder, "in.ndjson"), "{\"id\":0}\n{\"id\":0}\n{\"id\":0}\n");
    struct process process = send(path, "batch 500");
    EXPECT_STATUS(process, 3);
    EXPECT_LEDGER(3, 0, 3);
    CU_ASSERT(lines_of("rejected.ndjson") == 3);
    process_free(&process);
    end();
}

static void too_large(void)
{
    begin();
    struct process process = send("/bulk?most=30", "batch 1000");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(RECORDS, RECORDS, 0);
    EXPECT_ALL_STORED();
    process_free(&process);
    end();
}

/* Stored, and the answer lost: the request comes again with its key, and is known. */
static void lost_answers(void)
{
    begin();
    struct process process = send("/bulk?lost=4", "batch 100");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(RECORDS, RECORDS, 0);
    EXPECT_ALL_STORED();
    CU_ASSERT(http_server_stat(&server, "bulk") == 20 + 4);
    process_free(&process);
    end();
}

static void busy_server(void)
{
    begin();
    struct process process = send("/bulk?busy=12", "batch 100  retry 30");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(RECORDS, RECORDS, 0);
    EXPECT_ALL_STORED();
    process_free(&process);
    end();
}

/* The breaker opens, waits and closes; nothing is lost. */
static void breaker(void)
{
    begin();
    struct process process =
        send("/bulk?busy=6",
             "batch 100  retry 30  concurrency 2  breaker open after 2 failures for 10ms");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(RECORDS, RECORDS, 0);
    EXPECT_ALL_STORED();
    process_free(&process);
    end();
}

static void undeliverable(void)
{
    static const struct {
        const char *path, *block, *said;
    } cases[] = {
        {"/status/500/x", "retry 2", "status 500 (3 attempts)"},
        {"/status/401/x", "", "status 401 (1 attempt); it wants to know who asks"},
        {"/status/404/x", "", "status 404 (1 attempt)"},
        {"/reset/head", "retry 1", "(2 attempts)"},
        {"/garbage", "retry 1", "(2 attempts)"},
        {"/ring", "", "(1 attempt)"},
        {"/hang", "retry 1  timeout 50ms", "(2 attempts)"},
        {"/status/429/x?retry_after=9999", "", "asks to wait for"},
        {"/big/2000000000", "", "answer_limit"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        struct process process = send(cases[i].path, cases[i].block);
        EXPECT_STATUS(process, 1);
        EXPECT_ERR(process, cases[i].said);
        process_free(&process);
        end();
    }
}

static void retry_after(void)
{
    begin();
    file_write(path_join(folder, "in.ndjson"), "{\"id\":0}\n");
    struct process process = send("/first/1/429/x?retry_after=1", "");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(1, 1, 0);
    char *report = file_read(path_join(folder, "report.json"));
    const char *seconds = report ? strstr(report, "\"seconds\":") : NULL;
    CU_ASSERT(seconds && strtod(seconds + 10, NULL) >= 1.0);
    free(report);
    process_free(&process);
    end();
}

static void otherwise_reject(void)
{
    begin();
    struct process process = send("/status/500/x", "retry 1  otherwise reject  batch 100");
    EXPECT_STATUS(process, 3);
    EXPECT_LEDGER(RECORDS, 0, RECORDS);
    CU_ASSERT(lines_of("rejected.ndjson") == RECORDS);
    process_free(&process);
    end();
}

/* Without `reject into` the first bad record ends the run. */
static void fatal_reject(void)
{
    char program[300];
    begin();
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | into http \"%s/bulk?reject=1500\" { batch 100 }",
             server.url);
    struct process process = run(program);
    EXPECT_STATUS(process, 1);
    EXPECT_ERR(process, "status 422");
    EXPECT_ERR(process, "in.ndjson:1501");
    process_free(&process);
    end();
}

/* Aggregations and changed records go the same way; order none too. */
static void made_records(void)
{
    char program[500];
    begin();
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | count | select id = count | into http \"%s/bulk\"",
             server.url);
    struct process process = run(program);
    EXPECT_STATUS(process, 0);
    char *stored = http_server_get(&server, "/stored");
    CU_ASSERT(strstr(stored, "\"record\":{\"id\":2000}") != NULL);
    CU_ASSERT(strstr(stored, "/end.0-end.0/") != NULL);
    free(stored);
    process_free(&process);
    end();
    begin();
    snprintf(program, sizeof(program),
             "pipeline p { order none  workers 2 }\nfrom file \"in.ndjson\" | where id %% 2 == 0 | "
             "into http \"%s/bulk\" { batch 64 }",
             server.url);
    process = run(program);
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(RECORDS, RECORDS / 2, 0);
    CU_ASSERT(http_server_stored(&server, RECORDS, times) == RECORDS / 2);
    process_free(&process);
    end();
}

/* The same input has the same keys, another input others; a secret is nowhere to be seen. */
static void keys_and_secrets(void)
{
    char program[500];
    begin();
    for (int i = 0; i < 3; i++) {
        if (i == 2)
            file_write(path_join(folder, "in.ndjson"), "{\"id\":0 }\n{\"id\":1}\n");
        struct process process = send("/bulk", "batch 500");
        EXPECT_STATUS(process, 0);
        process_free(&process);
        CU_ASSERT(http_server_stored(&server, RECORDS, times) == (i < 2 ? RECORDS : RECORDS + 2));
    }
    file_write(path_join(folder, "token"), "sesame77");
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | into http \"%s/status/403/{secret('token')}\" "
             "{ header \"authorization\" = \"Bearer \" + secret(\"token\") }",
             server.url);
    struct process process = run(program);
    EXPECT_STATUS(process, 1);
    EXPECT_ERR(process, "status 403");
    CU_ASSERT(strstr(process.err, "sesame77") == NULL);
    char *report = file_read(path_join(folder, "report.json"));
    CU_ASSERT(report && strstr(report, "sesame77") == NULL);
    free(report);
    process_free(&process);
    end();
}

static void wrong_programs(void)
{
    static const struct {
        const char *program, *said;
    } cases[] = {
        {"into http \"ftp://x/\"", "http"},
        {"into http \"http://x/{id}\"", "not known here"},
        {"into http \"http://x/\" { batch 0 }", "1 to 1000000"},
        {"into http \"http://x/\" { concurrency 0 }", "`concurrency` is a number from 1"},
        {"into http \"http://x/\" { header \"a\" = id }", "not known here"},
        {"into http \"http://x/\" { header \"a\" = 5 }", "a header's value is a string"},
        {"into http \"http://x/\" { header \"a\" = \"b\\nc\" }", "line breaks"},
        {"into http \"http://x/\" { burst 5 }", "goes with a `rate`"},
        {"into http \"http://x/\" { timeout 0s }", "longer than nothing"},
        {"from http \"http://x/\" { next cursor }", "cursor answer.next"},
        {"from http \"http://x/\" { next link  cursor answer.next }", "goes with `next cursor`"},
        {"from http \"http://x/\" { items record_id }", "only answer, status and page"},
        {"from http \"http://x/?page=1\" { next page }", "has the parameter page already"},
        {"from http \"http://x/\" { next page  param \"a b\" }", "name of a parameter"},
        {"from http \"http://x/\" { every 0s }", "longer than nothing"},
        {"from http \"http://x/\" { first 3 }", "goes with `next page`"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct process process = LEAT(NULL, "check", cases[i].program);
        EXPECT_STATUS(process, 2);
        EXPECT_ERR(process, cases[i].said);
        process_free(&process);
    }
}

/* ---- the source ---- */

static struct process fetch(const char *path, const char *block)
{
    char program[1024];
    snprintf(program, sizeof(program), "from http \"%s%s\" { backoff 1ms..5ms %s } | into stdout",
             server.url, path, block);
    return run(program);
}

static void expect_numbers(struct process *process, unsigned count)
{
    char line[32];
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t length = (size_t)snprintf(line, sizeof(line), "{\"n\":%u}\n", i);
        if (strncmp(process->out + at, line, length) != 0) {
            fprintf(stderr, "record %u of %u is missing or another\n", i, count);
            CU_FAIL("records");
            return;
        }
        at += length;
    }
    CU_ASSERT(at == process->out_length);
}

static void pages(void)
{
    static const struct {
        const char *path, *block;
        unsigned count;
    } cases[] = {
        {"/pages/link?of=95&size=10", "next link", 95},
        {"/pages/link?of=100&size=10", "next link", 100},
        {"/pages/link?of=0&size=10", "next link", 0},
        {"/pages/link?of=95&size=10", "", 10},
        {"/pages/link?of=30000&size=7", "next link", 30000},
        {"/pages/cursor?of=95&size=10", "items answer.items  next cursor  cursor answer.next", 95},
        {"/pages/cursor?of=95&size=10", "items answer.items  cursor answer.next  until page >= 3",
         30},
        {"/pages/cursor?of=1&size=10", "items answer.items  cursor answer.next", 1},
        {"/pages/number?of=95&size=10", "next page", 95},
        {"/pages/number?of=100&size=10", "next page", 100},
        {"/pages/number?of=100&size=10", "next page  until size(answer) < 10 || status != 200",
         100},
        {"/pages/number?of=200000&size=200000", "", 200000},
    };
    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct process process = fetch(cases[i].path, cases[i].block);
        EXPECT_STATUS(process, 0);
        EXPECT_LEDGER(cases[i].count, cases[i].count, 0);
        expect_numbers(&process, cases[i].count);
        process_free(&process);
    }
    end();
}

static void single_answers(void)
{
    begin();
    struct process process = fetch("/gzip/abc", "");
    EXPECT_STATUS(process, 0);
    EXPECT_OUT_PART(process, "{\"key\":\"abc\",\"value\":");
    process_free(&process);
    process = fetch("/empty", "");
    EXPECT_STATUS(process, 0);
    EXPECT_OUT(process, "");
    process_free(&process);
    process = fetch("/first/3/503/a", "");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(1, 1, 0);
    process_free(&process);
    process = fetch("/echo/a", "items [answer.key, 5, {\"a\": answer.value > 0}, null]");
    EXPECT_STATUS(process, 0);
    EXPECT_OUT(process, "\"a\"\n5\n{\"a\":true}\nnull\n");
    process_free(&process);
    process = fetch("/echo/a", "items [{\"k\": answer.key}, {\"s\": status, \"p\": page}]");
    EXPECT_STATUS(process, 0);
    EXPECT_OUT(process, "{\"k\":\"a\"}\n{\"s\":200,\"p\":1}\n");
    process_free(&process);
    process = fetch("/echo/a", "items answer.nothing");
    EXPECT_STATUS(process, 0);
    EXPECT_OUT(process, "");
    process_free(&process);
    end();
}

static void bad_answers(void)
{
    static const struct {
        const char *path, *block, *said;
    } cases[] = {
        {"/text/hello", "", "page 1 is no JSON (status 200"},
        {"/garbage", "retry 1", "(2 attempts)"},
        {"/garbage/binary", "retry 1", "(2 attempts)"},
        {"/truncate/10", "retry 1", "(2 attempts)"},
        {"/gzip-cut", "retry 1", "(2 attempts)"},
        {"/bomb/1000000000", "", "answer_limit"},
        {"/big/1000000000", "", "answer_limit"},
        {"/big/chunked/1000000000", "", "answer_limit"},
        {"/headers/endless", "retry 0", "(1 attempt)"},
        {"/echo/a", "items answer.key", "items is no list"},
        {"/echo/a", "items answer.value.x", "items of page 1"},
        {"/echo/a", "until answer.key", "until is neither true nor false"},
        {"/echo/a", "cursor answer.key", "circle"},
        {"/echo/a", "cursor answer", "the cursor is neither a string nor a whole number"},
        {"/echo/a", "next page", "does not know the parameter"},
        {"/status/404/a", "", "status 404 (1 attempt)"},
        {"/status/503/a", "retry 2", "status 503 (3 attempts)"},
        {"/echo/a", "cursor \"http://127.0.0.2:9/x\"", "on another host"},
        {"/leave?to=http%3A%2F%2F127.0.0.2%3A9%2F", "", "another host"},
        {"/hang", "timeout 50ms  retry 1", "(2 attempts)"},
    };
    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct process process = fetch(cases[i].path, cases[i].block);
        EXPECT_STATUS(process, 1);
        EXPECT_ERR(process, cases[i].said);
        process_free(&process);
    }
    end();
}

/* Longer than a batch, longer than record_limit. */
static void long_records(void)
{
    char program[600];
    begin();
    snprintf(program, sizeof(program),
             "pipeline p { memory 64MiB  record_limit 4MiB }\n"
             "from http \"%s/big/3000000\" { answer_limit 8MiB  items [{\"a\": answer}, {\"a\": "
             "\"x\"}] }\nselect n = size(a)\n",
             server.url);
    struct process process = run(program);
    EXPECT_STATUS(process, 0);
    EXPECT_OUT_PART(process, "{\"n\":1}\n");
    EXPECT_LEDGER(2, 2, 0);
    process_free(&process);
    snprintf(program, sizeof(program),
             "pipeline p { memory 64MiB  record_limit 1MiB }\n"
             "from http \"%s/big/3000000\" { answer_limit 8MiB  items [{\"a\": answer}, {\"a\": "
             "\"x\"}] }\nselect n = size(a)\nreject into file \"r.ndjson\"",
             server.url);
    process = run(program);
    EXPECT_STATUS(process, 3);
    EXPECT_OUT(process, "{\"n\":1}\n");
    EXPECT_LEDGER(2, 1, 1);
    process_free(&process);
    end();
}

/* Asks again and again until it is told to stop: that is no failure. */
static void polling(void)
{
    char program[300];
    begin();
    snprintf(program, sizeof(program), "from http \"%s/echo/tick\" { every 5ms } | into stdout",
             server.url);
    struct process process = {.folder = folder,
                              .arguments = {program, "--report", "report.json"},
                              .signal_number = 15,
                              .signal_after = 200};
    process_run(&process);
    EXPECT_STATUS(process, 0);
    CU_ASSERT(process.out_length >= 200);
    CU_ASSERT(process.out && process.out[process.out_length - 1] == '\n');
    process_free(&process);
    end();
}

/* Starts leat, waits until the server has a request in flight, sends a signal: what the first one
 * waits for is delivered, the second one cancels. */
static const char *const stop_script =
    "import subprocess, sys, json, urllib.request, signal\n"
    "leat, url, path, count = sys.argv[1:5]\n"
    "program = 'from stdin { format ndjson } | into http \"%s%s\" { batch 10 or 1ms }' % (url, "
    "path)\n"
    "run = subprocess.Popen([leat, program, '--report', 'report.json'], stdin=subprocess.PIPE,\n"
    "                       stderr=subprocess.PIPE)\n"
    "run.stdin.write(b''.join(b'{\"id\":%d}\\n' % i for i in range(10)))\n"
    "run.stdin.flush()\n"
    "stat = lambda: json.load(urllib.request.urlopen(url + '/stats'))\n"
    "while stat()['in_flight'] < 2: pass\n" /* this request is one */
    "run.send_signal(signal.SIGTERM)\n"
    "while count == '2' and run.poll() is None: run.send_signal(signal.SIGTERM)\n"
    "run.wait()\n"
    "report = json.load(open('report.json'))\n"
    "print(run.returncode, report['read'], report['written'], report['rejected'])\n";

static char *leat_path(void)
{
    const char *given = getenv("LEAT");
    return realpath(given && *given ? given : "build/leat", NULL);
}

static void stopped(void)
{
    begin();
    char *leat = leat_path();
    struct process process = {.program = "python3",
                              .folder = folder,
                              .arguments = {"-c", stop_script, leat ? leat : "build/leat",
                                            server.url, "/bulk?delay=300", "1"}};
    process_run(&process);
    EXPECT_OUT(process, "0 10 10 0\n");
    CU_ASSERT(http_server_stored(&server, RECORDS, times) == 10);
    process_free(&process);
    struct process second = {.program = "python3",
                             .folder = folder,
                             .arguments = {"-c", stop_script, leat, server.url, "/hang", "2"}};
    process_run(&second);
    EXPECT_OUT(second, "143 0 0 0\n");
    process_free(&second);
    free(leat);
    end();
}

/* Kills the run when the server has had so many requests, again and again, and lets it end: every
 * record is stored once, for what is sent again has the key that it had. */
static const char *const kill_script =
    "import subprocess, sys, json, urllib.request, os, collections\n"
    "leat, url, records, batch, first, checkpoint = sys.argv[1:7]\n"
    "get = lambda path: urllib.request.urlopen(url + path).read()\n"
    "with open('in.ndjson', 'w') as out:\n"
    "    for i in range(int(records)): out.write('{\"id\":%d}\\n' % i)\n"
    "with open('p.conf', 'w') as out:\n"
    "    out.write('pipeline p { workers 2  memory 64MiB }\\nfrom file \"in.ndjson\"\\n'\n"
    "              'where id % 10 != 3\\ninto http \"' + url + '/bulk?delay=2\" '\n"
    "              '{ batch ' + batch + ' or 5ms  concurrency 4 }\\n')\n"
    "env = dict(os.environ, LEAT_CHECKPOINT=checkpoint, LEAT_BATCH_TEXT='16384')\n"
    "killed = 0\n"
    "for i in range(20):\n"
    "    run = subprocess.Popen([leat, 'run', 'p.conf', '--report', 'r.json'], env=env,\n"
    "                           stderr=subprocess.PIPE)\n"
    "    wanted = int(first) * (i + 1)\n"
    "    while i < 3 and run.poll() is None:\n"
    "        if json.loads(get('/stats'))['paths'].get('bulk', 0) >= wanted: run.kill()\n"
    "    error = run.communicate()[1].decode()\n"
    "    if run.returncode == 0: break\n"
    "    killed += 1\n"
    "    if run.returncode != -9: print(run.returncode, error)\n"
    "stored = collections.Counter(json.loads(line)['record']['id']\n"
    "                             for line in get('/stored').splitlines())\n"
    "wanted = [i for i in range(int(records)) if i % 10 != 3]\n"
    "if sorted(stored) == wanted and max(stored.values()) == 1: print('each once', killed > 0)\n"
    "else: print(len(stored), sum(stored.values()), len(wanted))\n";

static void killed(void)
{
    static const char *const cases[][3] = {{"100", "2", "1"}, {"37", "20", "2"},  {"333", "5", "1"},
                                           {"50", "40", "3"}, {"1000", "3", "2"}, {"9", "60", "1"}};
    char *leat = leat_path();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        struct process process = {.program = "python3",
                                  .folder = folder,
                                  .arguments = {"-c", kill_script, leat, server.url, "6000",
                                                cases[i][0], cases[i][1], cases[i][2]}};
        process_run(&process);
        EXPECT_OUT(process, "each once True\n");
        process_free(&process);
        end();
    }
    free(leat);
}

static void write_pipeline(const char *path, const char *block)
{
    char program[600];
    snprintf(program, sizeof(program),
             "pipeline p { workers 1 }\nfrom file \"in.ndjson\"\ninto http \"%s%s\" { batch 100 "
             "backoff 1ms..5ms %s }\n",
             server.url, path, block);
    file_write(path_join(folder, "p.conf"), program);
}

static struct process run_pipeline(const char *setting)
{
    struct process process = {.folder = folder, .arguments = {"run", "p.conf"}};
    if (setting) {
        process.environment[0] = setting;
        process.environment[1] = "LEAT_CHECKPOINT=1";
        process.environment[2] = "LEAT_BATCH_TEXT=4096";
    }
    return leat_run(process);
}

/* Any operation on files may fail: the next run goes on, and nothing is lost or doubled. */
static void failing_files(void)
{
    unsigned failures = 0;
    for (unsigned n = 1; n < 60; n += 3) {
        char setting[64];
        begin();
        write_pipeline("/bulk", "");
        snprintf(setting, sizeof(setting), "LEAT_FAULT=io:%u:EIO", n);
        struct process process = run_pipeline(setting);
        CU_ASSERT(process.status >= 0 && process.status <= 2); /* 2: the program was not read */
        failures += process.status == 1;
        process_free(&process);
        process = run_pipeline(NULL);
        EXPECT_STATUS(process, 0);
        EXPECT_ALL_STORED();
        process_free(&process);
        end();
    }
    CU_ASSERT(failures >= 10);
}

/* A finished pipeline sends only what came since; a failed one goes on. */
static void run_again(void)
{
    begin();
    write_pipeline("/bulk", "");
    for (int i = 0; i < 2; i++) {
        struct process process = run_pipeline(NULL);
        EXPECT_STATUS(process, 0);
        process_free(&process);
        CU_ASSERT(http_server_stat(&server, "bulk") == RECORDS / 100);
    }
    FILE *file = fopen(path_join(folder, "in.ndjson"), "a");
    CU_ASSERT_FATAL(file != NULL);
    fputs("{\"id\":5}\n", file);
    fclose(file);
    struct process process = run_pipeline(NULL);
    EXPECT_STATUS(process, 0);
    process_free(&process);
    CU_ASSERT(http_server_stored(&server, RECORDS, times) == RECORDS + 1 && times[5] == 2);
    end();
    begin();
    write_pipeline("/status/500/x", "retry 0");
    process = run_pipeline(NULL);
    EXPECT_STATUS(process, 1);
    process_free(&process);
    process = leat_run((struct process){.folder = folder, .arguments = {"state", "p.conf"}});
    EXPECT_STATUS(process, 0);
    process_free(&process);
    end();
}

/* Several sinks: each refuses records of its own, and one of them all the same. */
static void several_sinks(void)
{
    char program[800];
    begin();
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | into http \"%s/bulk?reject=5,6\" { batch 100 }"
             " | into http \"%s/bulk?reject=6,7\" { batch 30 } | into file \"out.ndjson\""
             " | reject into file \"rejected.ndjson\"",
             server.url, server.url);
    struct process process = run(program);
    EXPECT_STATUS(process, 3);
    EXPECT_LEDGER(RECORDS, RECORDS - 3, 3);
    CU_ASSERT(lines_of("rejected.ndjson") == 3);
    http_server_stored(&server, RECORDS, times);
    CU_ASSERT(times[4] == 2 && times[5] == 1 && times[6] == 0 && times[7] == 1 && times[8] == 2);
    process_free(&process);
    end();
}

/* As many at once as may be, no more; and a rate that two statements share. */
static void in_flight(void)
{
    begin();
    struct process process = send("/bulk?delay=20", "batch 100  concurrency 5");
    EXPECT_STATUS(process, 0);
    EXPECT_ALL_STORED();
    CU_ASSERT(http_server_stat(&server, "in_flight_most") == 5);
    char *report = file_read(path_join(folder, "report.json"));
    CU_ASSERT(report && strstr(report, "\"requests\": 20, \"retries\": 0, \"in_flight_most\": 5,"));
    CU_ASSERT(report && strstr(report, "\"resent_after_unknown\": 0}"));
    free(report);
    process_free(&process);
    char program[800];
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | head 100"
             " | into http \"%s/bulk?a\" { batch 10  limit api  rate 50/s }"
             " | into http \"%s/bulk?b\" { batch 10  limit api }",
             server.url, server.url);
    process = run(program);
    EXPECT_STATUS(process, 0);
    report = file_read(path_join(folder, "report.json"));
    const char *seconds = report ? strstr(report, "\"seconds\":") : NULL;
    /* 20 requests, the first at once */
    CU_ASSERT(seconds && strtod(seconds + 10, NULL) >= 19 / 50.0);
    free(report);
    process_free(&process);
    end();
}

/* Each round reads all pages again. */
static void polling_pages(void)
{
    char program[300];
    begin();
    snprintf(program, sizeof(program),
             "from http \"%s/pages/link?of=25&size=10\" { next link  every 5ms } | into stdout",
             server.url);
    struct process process = {
        .folder = folder, .arguments = {program}, .signal_number = 2, .signal_after = 25 * 9 * 3};
    process_run(&process);
    EXPECT_STATUS(process, 0);
    unsigned expected = 0, wrong = 0;
    for (const char *at = process.out; at && *at; at = strchr(at, '\n') + 1) {
        unsigned number = RECORDS;
        sscanf(at, "{\"n\":%u}", &number);
        wrong += number != expected;
        expected = (expected + 1) % 25;
    }
    CU_ASSERT(wrong == 0);
    process_free(&process);
    end();
}

SUITE(http, {"good runs", good_runs}, {"requests are full", requests_are_full}, {"poison", poison},
      {"all poison", all_poison}, {"too large", too_large}, {"lost answers", lost_answers},
      {"busy server", busy_server}, {"breaker", breaker}, {"undeliverable", undeliverable},
      {"Retry-After", retry_after}, {"otherwise reject", otherwise_reject},
      {"a reject that ends the run", fatal_reject}, {"made records", made_records},
      {"keys and secrets", keys_and_secrets}, {"wrong programs", wrong_programs}, {"pages", pages},
      {"single answers", single_answers}, {"bad answers", bad_answers},
      {"long records", long_records}, {"polling", polling}, {"stopped", stopped},
      {"killed", killed}, {"failing files", failing_files}, {"run again", run_again},
      {"several sinks", several_sinks}, {"in flight", in_flight}, {"polling pages", polling_pages})
