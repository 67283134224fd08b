/* What the source and the sink `http` share: one server, reached over the dispatcher with all its
 * protections; its URL and headers, which no record has a part in. Opened on the main thread;
 * everything from connect on belongs to the thread of the source or sink. */
#ifndef LEAT_IO_HTTP_CLIENT_H
#define LEAT_IO_HTTP_CLIENT_H

#include "clients/http_words.h"
#include "clients/protections.h"
#include "io/engine.h"
#include "lang/template_cells.h"

#define HTTP_CLIENT_HEADERS 64

struct http_client {
    struct http_words words;
    struct http_settings settings;
    struct protections protections;
    struct bucket *bucket;
    char *url;          /* whole; may hold a secret */
    char *shown;        /* the same without secrets, user and password */
    struct string peer; /* host:port, in url */
    struct request_header headers[HTTP_CLIENT_HEADERS];
    struct expression *values[HTTP_CLIENT_HEADERS]; /* hold the headers' texts */
    uint32_t header_count;
    uint32_t value_count;
    /* from connect on */
    struct dispatcher *dispatcher;
    struct io_request poll;
};

/* The words that both have, in front of the words of their own. */
#define HTTP_CLIENT_HEADER_WORD                                                                    \
    {                                                                                              \
        "header", OPTION_HEADERS, OPTION_REPEATED, NULL, NULL,                                     \
            "\"name\" = expression, …, the same for every request; left out where it is null"    \
    }

/* Reads `url`, `header`, protections and settings. False: said in the diagnostics (*error is left
 * alone), or *error. Closed in any case. */
bool http_client_open(struct http_client *client, const struct options *options,
                      const struct program *program, struct diagnostics *diagnostics,
                      struct shared_limits *shared, struct error *error);
void http_client_close(struct http_client *client);
bool http_client_has_header(const struct http_client *client, const char *name);

/* Ready to send; nothing is connected yet. `calls`: at once; `limit`: bytes of an answer. */
bool http_client_connect(struct http_client *client, uint32_t calls, size_t limit, uint64_t seed,
                         struct error *error);
/* Cancels everything; calls are the caller's again. */
void http_client_disconnect(struct http_client *client);
/* Has the engine end its wait when the dispatcher has something to do. Returns until when it may
 * wait at the latest: monotonic, never 0; INT64_MAX: no such time. */
int64_t http_client_watch(struct http_client *client, struct io_engine *engine);

/* Whether two URLs have the same scheme, host and port. */
bool http_same_origin(struct string a, struct string b);
/* Why the call was not answered as it was to be, in `error`: "status 503 (4 attempts)". */
bool http_client_refuse(const struct call *call, uint32_t attempts, struct error *error);

#endif
