/* What the thread of an SQLite transport does: a connection that only reads, one prepared
 * statement, questions answered one after another, blocking. One thread; but for `unwanted`, which
 * any thread may set to have the query interrupted. */
#ifndef LEAT_CLIENTS_SQLITE_SESSION_H
#define LEAT_CLIENTS_SQLITE_SESSION_H

#include <stdatomic.h>

#include "clients/exchange.h"
#include "clients/sqlite_row.h"

#define SQLITE_PARAMETERS_MOST 64

struct sqlite_question {
    struct value parameters[SQLITE_PARAMETERS_MOST]; /* null, bool, int, double, string or bytes */
    uint32_t parameter_count;
    atomic_bool unwanted; /* nobody waits for the answer any more */
    struct buffer answer; /* empty */
    enum outcome outcome; /* set by sqlite_session_run … */
    bool hopeless;        /* and so is every other question: the query is wrong */
    char detail[160];     /* … and this where it is not ANSWER */
};

struct sqlite_session {
    const char *path;
    const char *query;
    bool rows; /* the answer is an array of all rows */
    size_t answer_limit;
    int64_t patience; /* nanoseconds */
    sqlite3 *connection;
    sqlite3_stmt *statement;
    struct sqlite_columns columns;
    const atomic_bool *unwanted; /* of the question that is being answered */
};

/* Connects and prepares where that was not done, and answers; an unwanted question stays as it is.
 */
void sqlite_session_run(struct sqlite_session *session, struct sqlite_question *question);
void sqlite_session_leave(struct sqlite_session *session);

#endif
