/* A rig for tests of the HTTP transport: starts servers, carries exchanges, waits for them. */
#ifndef LEAT_TESTS_CLIENTS_HTTP_RIG_H
#define LEAT_TESTS_CLIENTS_HTTP_RIG_H

#include <sys/types.h>

#include "clients/http_transport.h"
#include "core/clock.h"

/* A program that a test started, and the first line that it printed. */
struct rig_program {
    pid_t id;
    int output; /* its stdout */
    char line[256];
};
/* Starts argv (stdin and stderr are /dev/null) and reads lines until one holds `wanted` (NULL: the
 * first). False: it could not be started, or ended before. */
bool rig_program_start(struct rig_program *program, const char *const *argv, const char *wanted);
void rig_program_stop(struct rig_program *program); /* kills it; nothing where none runs */

/* tests/servers/http_server with these arguments (NULL-terminated), e.g. {"--port", "0", NULL}. */
bool rig_server_start(struct rig_program *server, const char *const *arguments);
/* The server that all tests of this process share, started when first asked for: its URL's
 * beginning, "http://127.0.0.1:PORT". */
const char *rig_url(void);
/* A number of /stats of that server, by its JSON name; asked for by a connection of its own. */
long rig_stat(const char *name);

/* An exchange with its request and texts. */
struct rig_exchange {
    struct exchange exchange;
    struct request request;
    char url[1024];
    bool over;
};
/* Sets up a GET for `base` followed by `path`, with a deadline of 20 s. */
void rig_prepare(struct rig_exchange *exchange, const char *base, const char *path);
void rig_start(struct transport *transport, struct rig_exchange *exchange);
/* Waits for the transport's descriptor or wake time, steps it once, and marks what is over.
 * Returns how many that were. */
unsigned rig_step(struct transport *transport);
void rig_wait(struct transport *transport, struct rig_exchange *exchange); /* until it is over */
void rig_release(struct transport *transport, struct rig_exchange *exchange);
/* A transport, or the test aborts. */
struct transport *rig_open(const struct http_settings *settings);
/* Prepares, starts and waits. */
void rig_get(struct transport *transport, struct rig_exchange *exchange, const char *path);
/* {"key":KEY,"value":…} as the server makes it. */
bool rig_answer_is(const struct rig_exchange *exchange, const char *key);
bool rig_detail_has(const struct rig_exchange *exchange, const char *text);

#endif
