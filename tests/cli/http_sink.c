/* `into http` from outside, against a server that misbehaves on demand. Whether every record has
 * arrived, how often, and what the ledger says of it are counted at the server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cli/http_server.h"
#include "tests/suite.h"

/* in.ndjson into `path` with the sink's block; rejects into rejected.ndjson. */
static struct process send(const char *path, const char *block)
{
    char program[1024];
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | into http \"%s%s\" { backoff 1ms..5ms %s }"
             " | reject into file \"rejected.ndjson\"",
             server.url, path, block);
    return stand_run(program);
}

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
        stand_begin();
        struct process process = send("/bulk", blocks[i]);
        EXPECT_STATUS(process, 0);
        EXPECT_LEDGER(RECORDS, RECORDS, 0);
        EXPECT_ALL_STORED();
        process_free(&process);
        stand_end();
    }
}

/* So many requests and no more: 2,000 records by 300. */
static void requests_are_full(void)
{
    stand_begin();
    struct process process = send("/bulk", "batch 300 or 1h");
    EXPECT_STATUS(process, 0);
    CU_ASSERT(http_server_stat(&server, "bulk") == 7);
    process_free(&process);
    stand_end();
}

static void poison(void)
{
    static const struct {
        const char *path, *status;
    } cases[] = {{"/bulk?reject=0,7,77,777,1999", "\"status\":422"},
                 {"/bulk?bad=0,7,77,777,1999", "\"status\":400"}};
    for (size_t i = 0; i < 2; i++) {
        stand_begin();
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
        stand_end();
    }
}

static void all_poison(void)
{
    char path[2000] = "/bulk?bad=0";
    stand_begin();
    file_write(path_join(folder, "in.ndjson"), "{\"id\":0}\n{\"id\":0}\n{\"id\":0}\n");
    struct process process = send(path, "batch 500");
    EXPECT_STATUS(process, 3);
    EXPECT_LEDGER(3, 0, 3);
    CU_ASSERT(lines_of("rejected.ndjson") == 3);
    process_free(&process);
    stand_end();
}

static void too_large(void)
{
    stand_begin();
    struct process process = send("/bulk?most=30", "batch 1000");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(RECORDS, RECORDS, 0);
    EXPECT_ALL_STORED();
    process_free(&process);
    stand_end();
}

/* Stored, and the answer lost: the request comes again with its key, and is known. */
static void lost_answers(void)
{
    stand_begin();
    struct process process = send("/bulk?lost=4", "batch 100");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(RECORDS, RECORDS, 0);
    EXPECT_ALL_STORED();
    CU_ASSERT(http_server_stat(&server, "bulk") == 20 + 4);
    process_free(&process);
    stand_end();
}

static void busy_server(void)
{
    stand_begin();
    struct process process = send("/bulk?busy=12", "batch 100  retry 30");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(RECORDS, RECORDS, 0);
    EXPECT_ALL_STORED();
    process_free(&process);
    stand_end();
}

/* The breaker opens, waits and closes; nothing is lost. */
static void breaker(void)
{
    stand_begin();
    struct process process =
        send("/bulk?busy=6",
             "batch 100  retry 30  concurrency 2  breaker open after 2 failures for 10ms");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(RECORDS, RECORDS, 0);
    EXPECT_ALL_STORED();
    process_free(&process);
    stand_end();
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
        stand_begin();
        struct process process = send(cases[i].path, cases[i].block);
        EXPECT_STATUS(process, 1);
        EXPECT_ERR(process, cases[i].said);
        process_free(&process);
        stand_end();
    }
}

static void retry_after(void)
{
    stand_begin();
    file_write(path_join(folder, "in.ndjson"), "{\"id\":0}\n");
    struct process process = send("/first/1/429/x?retry_after=1", "");
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(1, 1, 0);
    char *report = file_read(path_join(folder, "report.json"));
    const char *seconds = report ? strstr(report, "\"seconds\":") : NULL;
    CU_ASSERT(seconds && strtod(seconds + 10, NULL) >= 1.0);
    free(report);
    process_free(&process);
    stand_end();
}

static void otherwise_reject(void)
{
    stand_begin();
    struct process process = send("/status/500/x", "retry 1  otherwise reject  batch 100");
    EXPECT_STATUS(process, 3);
    EXPECT_LEDGER(RECORDS, 0, RECORDS);
    CU_ASSERT(lines_of("rejected.ndjson") == RECORDS);
    process_free(&process);
    stand_end();
}

/* Without `reject into` the first bad record ends the run. */
static void fatal_reject(void)
{
    char program[300];
    stand_begin();
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | into http \"%s/bulk?reject=1500\" { batch 100 }",
             server.url);
    struct process process = stand_run(program);
    EXPECT_STATUS(process, 1);
    EXPECT_ERR(process, "status 422");
    EXPECT_ERR(process, "in.ndjson:1501");
    process_free(&process);
    stand_end();
}

/* Aggregations and changed records go the same way; order none too. */
static void made_records(void)
{
    char program[500];
    stand_begin();
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | count | select id = count | into http \"%s/bulk\"",
             server.url);
    struct process process = stand_run(program);
    EXPECT_STATUS(process, 0);
    char *stored = http_server_get(&server, "/stored");
    CU_ASSERT(strstr(stored, "\"record\":{\"id\":2000}") != NULL);
    CU_ASSERT(strstr(stored, "/end.0-end.0/") != NULL);
    free(stored);
    process_free(&process);
    stand_end();
    stand_begin();
    snprintf(program, sizeof(program),
             "pipeline p { order none  workers 2 }\nfrom file \"in.ndjson\" | where id %% 2 == 0 | "
             "into http \"%s/bulk\" { batch 64 }",
             server.url);
    process = stand_run(program);
    EXPECT_STATUS(process, 0);
    EXPECT_LEDGER(RECORDS, RECORDS / 2, 0);
    CU_ASSERT(http_server_stored(&server, RECORDS, stored_times) == RECORDS / 2);
    process_free(&process);
    stand_end();
}

/* The same input has the same keys, another input others; a secret is nowhere to be seen. */
static void keys_and_secrets(void)
{
    char program[500];
    stand_begin();
    for (int i = 0; i < 3; i++) {
        if (i == 2)
            file_write(path_join(folder, "in.ndjson"), "{\"id\":0 }\n{\"id\":1}\n");
        struct process process = send("/bulk", "batch 500");
        EXPECT_STATUS(process, 0);
        process_free(&process);
        CU_ASSERT(http_server_stored(&server, RECORDS, stored_times) ==
                  (i < 2 ? RECORDS : RECORDS + 2));
    }
    file_write(path_join(folder, "token"), "sesame77");
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | into http \"%s/status/403/{secret('token')}\" "
             "{ header \"authorization\" = \"Bearer \" + secret(\"token\") }",
             server.url);
    struct process process = stand_run(program);
    EXPECT_STATUS(process, 1);
    EXPECT_ERR(process, "status 403");
    CU_ASSERT(strstr(process.err, "sesame77") == NULL);
    char *report = file_read(path_join(folder, "report.json"));
    CU_ASSERT(report && strstr(report, "sesame77") == NULL);
    free(report);
    process_free(&process);
    stand_end();
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

/* Several sinks: each refuses records of its own, and one of them all the same. */
static void several_sinks(void)
{
    char program[800];
    stand_begin();
    snprintf(program, sizeof(program),
             "from file \"in.ndjson\" | into http \"%s/bulk?reject=5,6\" { batch 100 }"
             " | into http \"%s/bulk?reject=6,7\" { batch 30 } | into file \"out.ndjson\""
             " | reject into file \"rejected.ndjson\"",
             server.url, server.url);
    struct process process = stand_run(program);
    EXPECT_STATUS(process, 3);
    EXPECT_LEDGER(RECORDS, RECORDS - 3, 3);
    CU_ASSERT(lines_of("rejected.ndjson") == 3);
    http_server_stored(&server, RECORDS, stored_times);
    CU_ASSERT(stored_times[4] == 2 && stored_times[5] == 1 && stored_times[6] == 0 &&
              stored_times[7] == 1 && stored_times[8] == 2);
    process_free(&process);
    stand_end();
}

/* As many at once as may be, no more; and a rate that two statements share. */
static void in_flight(void)
{
    stand_begin();
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
    process = stand_run(program);
    EXPECT_STATUS(process, 0);
    report = file_read(path_join(folder, "report.json"));
    const char *seconds = report ? strstr(report, "\"seconds\":") : NULL;
    /* 20 requests, the first at once */
    CU_ASSERT(seconds && strtod(seconds + 10, NULL) >= 19 / 50.0);
    free(report);
    process_free(&process);
    stand_end();
}

SUITE(http_sink, {"good runs", good_runs}, {"requests are full", requests_are_full},
      {"poison", poison}, {"all poison", all_poison}, {"too large", too_large},
      {"lost answers", lost_answers}, {"busy server", busy_server}, {"breaker", breaker},
      {"undeliverable", undeliverable}, {"Retry-After", retry_after},
      {"otherwise reject", otherwise_reject}, {"a reject that ends the run", fatal_reject},
      {"made records", made_records}, {"keys and secrets", keys_and_secrets},
      {"wrong programs", wrong_programs}, {"several sinks", several_sinks},
      {"in flight", in_flight})
