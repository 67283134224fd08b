/* Exchanges with an SQLite database: one prepared statement, run with each request's parameters;
 * the answer is JSON text (values as in sqlite_row.h). Implements the contract of transports, see
 * exchange.h.
 *
 * SQLite blocks, so a thread of the transport's own has the connection, which only reads. Requests
 * are queued to it and come back in order; an eventfd says that some are there. The thread works on
 * copies alone, so an exchange that is cancelled or late is over at once, whatever the thread is
 * doing; the query is then interrupted.
 *
 * Parameters: null, ints, doubles, strings, bytes and bools (0 and 1) as such; lists and maps as
 * JSON text, for json_each(); timestamps and durations as text. */
#ifndef LEAT_CLIENTS_SQLITE_TRANSPORT_H
#define LEAT_CLIENTS_SQLITE_TRANSPORT_H

#include "clients/exchange.h"

struct sqlite_transport_settings {
    struct string path;
    struct string query; /* parameters: ?, ?1 or $1 */
    bool rows;           /* the answer is an array of all rows, not the first one or null */
    size_t answer_limit; /* of one answer, bytes */
    int64_t patience;    /* nanoseconds to wait while another process locks the database; 0: 5 s */
};

/* Everything is copied; the database is opened at the first request. NULL: see the error. */
struct transport *sqlite_transport_open(const struct sqlite_transport_settings *settings,
                                        struct error *error);

#endif
