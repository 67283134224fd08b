/* A server of tests/servers/http_server.c of a test's own, for tests from outside, and what those
 * tests share: a folder with records, runs, what the server and the ledger say. For one thread. */
#ifndef LEAT_TESTS_CLI_HTTP_SERVER_H
#define LEAT_TESTS_CLI_HTTP_SERVER_H

#include "tests/cli/process.h"

struct http_server {
    int id;
    int output;
    char url[64]; /* "http://127.0.0.1:PORT" */
    int port;
};

void http_server_start(struct http_server *server);
void http_server_stop(struct http_server *server);
/* The body of the answer to a GET; the caller frees. */
char *http_server_get(const struct http_server *server, const char *path);
/* The number of this name in /stats, or -1. */
long http_server_stat(const struct http_server *server, const char *name);
/* How often the record {"id":N} was stored, for N < count, into times; what it had no room for is
 * counted in times[count]. Returns how many records were stored in all. */
unsigned http_server_stored(const struct http_server *server, unsigned count, unsigned *times);

#define RECORDS 2000

/* Those of the test at hand. */
extern struct http_server server;
extern const char *folder;
extern unsigned stored_times[RECORDS + 1];

/* A server and a folder with in.ndjson: {"id":0} … */
void stand_begin(void);
void stand_end(void);
/* With a report in report.json. */
struct process stand_run(const char *program);
void expect_ledger_at(unsigned read, unsigned written, unsigned rejected, int line);
#define EXPECT_LEDGER(read, written, rejected) expect_ledger_at(read, written, rejected, __LINE__)
/* Every record is stored once, but for those of the list, which ends with RECORDS. */
void expect_stored_but_at(const unsigned *missing, int line);
#define EXPECT_STORED_BUT(...)                                                                     \
    expect_stored_but_at((const unsigned[]){__VA_ARGS__, RECORDS}, __LINE__)
#define EXPECT_ALL_STORED() EXPECT_STORED_BUT(RECORDS)
unsigned lines_of(const char *name);

#endif
