/* One connection to PostgreSQL, driven without ever blocking: connecting, statements, COPY in both
 * directions. libpq's socket and a timer lie behind one epoll descriptor, which stays the same over
 * reconnections; whoever waits, waits for that to be readable and then steps.
 *
 *     postgres_connect(&postgres);
 *     while ((progress = postgres_step(&postgres)) == POSTGRES_WAIT)
 *         (wait until postgres.descriptor is readable)
 *
 * One operation at a time: begin it (connect, send), step until it is not WAIT any more, look at
 * what came of it. Belongs to one thread. Passwords never get into a message. (libpq resolves host
 * names while it connects, and that alone may block: `hostaddr` avoids it.) */
#ifndef LEAT_CLIENTS_POSTGRES_H
#define LEAT_CLIENTS_POSTGRES_H

#include <libpq-fe.h>

#include "core/error.h"

#define POSTGRES_MESSAGE_SIZE 400

/* Where to connect and how; shared by connections, const once open. */
struct postgres_settings {
    char *dsn;                 /* libpq's connection string or URI */
    char *shown;               /* "DATABASE at HOST", for messages */
    char *secrets[2];          /* of the DSN: never shown; or NULL */
    int64_t connect_timeout;   /* nanoseconds; > 0 */
    int64_t statement_timeout; /* nanoseconds, of one statement at the server; 0: the server's */
};

/* `dsn` is copied. Errors do not quote it. Closed also after a failure. */
MUST_USE bool postgres_settings_open(struct postgres_settings *settings, struct string dsn,
                                     struct error *error);
void postgres_settings_close(struct postgres_settings *settings);

enum postgres_progress {
    POSTGRES_WAIT,
    POSTGRES_DONE,   /* connected, or the statement succeeded */
    POSTGRES_COPIES, /* COPY has begun: put or get its data */
    POSTGRES_ROW,    /* by rows: `result` holds the next one, until the next step */
    POSTGRES_FAILED, /* sqlstate and message say why; `lost`: there is no connection any more */
};

enum postgres_state {
    POSTGRES_CLOSED,
    POSTGRES_CONNECTS,
    POSTGRES_SETS, /* connected: the session's settings are being made */
    POSTGRES_IDLE,
    POSTGRES_BUSY,
    POSTGRES_COPIES_IN,
    POSTGRES_COPIES_OUT,
};

struct postgres {
    const struct postgres_settings *settings;
    int descriptor; /* readable when a step is due */
    /* of the last operation */
    PGresult *result;   /* rows of its last statement that had any, or NULL */
    uint64_t affected;  /* rows, as its last statement's tag tells */
    char tag[24];       /* "COMMIT", "COPY 12" … of its last statement */
    char sqlstate[6];   /* of the first error; "" where the server said none */
    uint32_t position;  /* in the statement that the error is about, in characters from 1; or 0 */
    uint64_t copy_line; /* the row of COPY that the error's context names, from 1; or 0 */
    char message[POSTGRES_MESSAGE_SIZE];
    bool lost;        /* the connection broke; connect again */
    bool is_prepared; /* the caller's */
    enum postgres_state state;
    /* its own */
    PGconn *connection;
    int timer;
    int watched;     /* socket in the epoll set, or -1 */
    uint32_t events; /* it is watched for */
    bool describes;  /* the result of a statement without rows is kept */
    bool by_rows;
    bool failed; /* an error came in the operation so far … */
    bool ends;   /* … after which the server hangs up */
    int64_t deadline;
    char *copy_row; /* handed out by postgres_copy_get */
};

/* `settings` must outlive it. Makes descriptors, connects to nothing. */
MUST_USE bool postgres_open(struct postgres *postgres, const struct postgres_settings *settings,
                            struct error *error);
void postgres_close(struct postgres *postgres);

/* Begins to connect (anew). */
void postgres_connect(struct postgres *postgres);
/* Drops the connection, at once; what was under way is lost. */
void postgres_disconnect(struct postgres *postgres);
/* Begins statements of simple protocol, several separated by semicolons; only while idle. */
void postgres_send(struct postgres *postgres, const char *sql);
/* Begins one statement with parameters in text form (NULL: null); `types` of them or NULL;
 * `binary`: the answer's cells come in binary form. */
void postgres_send_parameters(struct postgres *postgres, const char *sql, int count,
                              const Oid *types, const char *const *texts, const int *lengths,
                              const int *formats, bool binary);
enum postgres_progress postgres_step(struct postgres *postgres);
/* Steps until the operation is over or the deadline (monotonic) has come (FAILED). For the few
 * places that may block: the main thread at the start of a run, tests. */
enum postgres_progress postgres_wait(struct postgres *postgres, int64_t deadline);
/* Wakes the descriptor after so many nanoseconds (> 0). */
void postgres_timer(struct postgres *postgres, int64_t nanoseconds);

/* COPY IN. How many of the bytes were taken (perhaps none: step and try again when the descriptor
 * is readable); libpq holds a bounded amount. */
size_t postgres_copy_put(struct postgres *postgres, const char *data, size_t length);
/* Ends it (reason: makes the server fail it); step for the outcome. */
void postgres_copy_end(struct postgres *postgres, const char *reason);
/* COPY OUT: the next row's bytes, until the next call; 0: none yet (step), or at the end, when the
 * next step no longer gives COPIES. */
size_t postgres_copy_get(struct postgres *postgres, const char **row);

/* Prepares one statement under a name; describes it (result: PQparamtype, PQftype); runs it with
 * parameters in binary or text form. `is_prepared` is the caller's, false after each connection. */
void postgres_prepare(struct postgres *postgres, const char *name, const char *sql);
void postgres_describe(struct postgres *postgres, const char *name);
void postgres_execute(struct postgres *postgres, const char *name, int count,
                      const char *const *values, const int *lengths, const int *formats);
/* Directly behind execute: rows come one by one, and no more is read than asked for. */
void postgres_by_rows(struct postgres *postgres);
/* Whether an idle connection still is one: takes in what the server has said meanwhile. */
bool postgres_is_well(struct postgres *postgres);
/* Asks the server to stop what runs (a new short connection; may block for its round trip). */
void postgres_cancel(struct postgres *postgres);

/* True: the same statement may well succeed later (deadlock, serialization). */
bool postgres_is_retryable(const struct postgres *postgres);
/* "cannot DOING: message (SQLSTATE 23505)"; returns false. */
bool postgres_fail(const struct postgres *postgres, const char *doing, struct error *error);

/* Text being put together, for SQL: grows; after a failure `text` is NULL. freed with free(). */
struct sql_text {
    char *text;
    size_t length;
    size_t capacity;
    bool failed;
};
/* Appends `format`, in which %I is a quoted identifier (struct string *), %L a quoted literal
 * (struct string *), %s plain text (const char *), %d an int64_t by pointer. */
void sql_append(struct sql_text *sql, const char *format, ...);

#endif
