/* `from http` from outside: pages of each kind, answers that are none, polling. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cli/http_server.h"
#include "tests/suite.h"

static struct process fetch(const char *path, const char *block)
{
    char program[1024];
    snprintf(program, sizeof(program), "from http \"%s%s\" { backoff 1ms..5ms %s } | into stdout",
             server.url, path, block);
    return stand_run(program);
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
    stand_begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct process process = fetch(cases[i].path, cases[i].block);
        EXPECT_STATUS(process, 0);
        EXPECT_LEDGER(cases[i].count, cases[i].count, 0);
        expect_numbers(&process, cases[i].count);
        process_free(&process);
    }
    stand_end();
}

static void single_answers(void)
{
    stand_begin();
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
    stand_end();
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
    stand_begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct process process = fetch(cases[i].path, cases[i].block);
        EXPECT_STATUS(process, 1);
        EXPECT_ERR(process, cases[i].said);
        process_free(&process);
    }
    stand_end();
}

/* Longer than a batch, longer than record_limit. */
static void long_records(void)
{
    char program[600];
    stand_begin();
    snprintf(program, sizeof(program),
             "pipeline p { memory 64MiB  record_limit 4MiB }\n"
             "from http \"%s/big/3000000\" { answer_limit 8MiB  items [{\"a\": answer}, {\"a\": "
             "\"x\"}] }\nselect n = size(a)\n",
             server.url);
    struct process process = stand_run(program);
    EXPECT_STATUS(process, 0);
    EXPECT_OUT_PART(process, "{\"n\":1}\n");
    EXPECT_LEDGER(2, 2, 0);
    process_free(&process);
    snprintf(program, sizeof(program),
             "pipeline p { memory 64MiB  record_limit 1MiB }\n"
             "from http \"%s/big/3000000\" { answer_limit 8MiB  items [{\"a\": answer}, {\"a\": "
             "\"x\"}] }\nselect n = size(a)\nreject into file \"r.ndjson\"",
             server.url);
    process = stand_run(program);
    EXPECT_STATUS(process, 3);
    EXPECT_OUT(process, "{\"n\":1}\n");
    EXPECT_LEDGER(2, 1, 1);
    process_free(&process);
    stand_end();
}

/* Asks again and again until it is told to stop: that is no failure. */
static void polling(void)
{
    char program[300];
    stand_begin();
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
    stand_end();
}

/* Each round reads all pages again. */
static void polling_pages(void)
{
    char program[300];
    stand_begin();
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
    stand_end();
}

SUITE(http_source, {"pages", pages}, {"single answers", single_answers},
      {"bad answers", bad_answers}, {"long records", long_records}, {"polling", polling},
      {"polling pages", polling_pages})
