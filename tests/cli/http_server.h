/* A server of tests/servers/http_server.c of a test's own, for tests from outside. For one thread.
 */
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

#endif
