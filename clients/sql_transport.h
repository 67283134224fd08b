/* Exchanges with a PostgreSQL database: one prepared statement, run with each request's parameters
 * on a connection of a pool; the answer is JSON text. Implements the contract of transports, see
 * exchange.h. Values are converted as in docs/postgres.md. */
#ifndef LEAT_CLIENTS_SQL_TRANSPORT_H
#define LEAT_CLIENTS_SQL_TRANSPORT_H

#include "clients/exchange.h"
#include "clients/postgres_pool.h"

struct sql_transport_settings {
    struct string dsn;
    struct string query;       /* with $1 …; a list goes to `= any($1)` */
    bool rows;                 /* the answer is an array of all rows, not the first one or null */
    size_t answer_limit;       /* of one answer, bytes */
    int64_t statement_timeout; /* at the server, nanoseconds; 0: the server's own */
    int64_t connect_timeout;   /* 0: the DSN's, or 10 s */
    struct postgres_pool_settings pool; /* `connection` is set here */
};

/* Everything is copied. NULL: see the error; connects to nothing yet. */
struct transport *sql_transport_open(const struct sql_transport_settings *settings,
                                     struct error *error);
void sql_transport_pool_counts(const struct transport *transport,
                               struct postgres_pool_counts *counts);
/* Connections so far. Any thread, while the transport is open. */
struct sql_transport_totals {
    uint64_t opened, replaced_broken, replaced_old;
};
void sql_transport_totals(const struct transport *transport, struct sql_transport_totals *totals);

#endif
