/* One query after another: see sqlite_session.h. */
#include "clients/sqlite_session.h"

#include <stdio.h>

#include "clients/sqlite_row.h"

#define STEPS_UNWATCHED 1000 /* of SQLite's machine, until it asks whether to go on */

static void fail(struct sqlite_question *question, enum outcome outcome, const char *doing,
                 sqlite3 *connection)
{
    question->outcome = outcome;
    snprintf(question->detail, sizeof(question->detail), "cannot %s: %s", doing,
             connection ? sqlite3_errmsg(connection) : "no memory");
}

void sqlite_session_leave(struct sqlite_session *session)
{
    sqlite3_finalize(session->statement);
    sqlite3_close(session->connection);
    sqlite_columns_close(&session->columns);
    session->statement = NULL;
    session->connection = NULL;
}

/* SQLite asks from time to time; other than 0 interrupts the query. */
static int interrupt_asked(void *context)
{
    const struct sqlite_session *session = context;
    return atomic_load_explicit(session->unwanted, memory_order_relaxed);
}

static bool connection_reach(struct sqlite_session *session, struct sqlite_question *question)
{
    if (session->statement)
        return true;
    const char *rest = NULL;
    if (sqlite3_open_v2(session->path, &session->connection,
                        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        fail(question, OUTCOME_CONNECT, "open the database", session->connection);
        sqlite_session_leave(session);
        return false;
    }
    sqlite3_busy_timeout(session->connection, (int)(session->patience / 1000000));
    sqlite3_progress_handler(session->connection, STEPS_UNWATCHED, interrupt_asked, session);
    int code = sqlite3_prepare_v3(session->connection, session->query, -1,
                                  SQLITE_PREPARE_PERSISTENT, &session->statement, &rest);
    if (code != SQLITE_OK || !session->statement) {
        bool invalid = code == SQLITE_ERROR || code == SQLITE_OK;
        question->hopeless = invalid;
        int place = sqlite3_error_offset(session->connection);
        fail(question, invalid ? OUTCOME_INVALID : OUTCOME_CONNECT, "prepare the query",
             session->connection);
        size_t length = strlen(question->detail);
        if (invalid && place >= 0)
            snprintf(question->detail + length, sizeof(question->detail) - length, " at byte %d",
                     place + 1);
    } else if (rest[strspn(rest, "; \t\r\n")] != 0) {
        question->outcome = OUTCOME_INVALID;
        question->hopeless = true;
        snprintf(question->detail, sizeof(question->detail), "a lookup is one statement");
    } else if (!sqlite_columns_take(&session->columns, session->statement)) {
        fail(question, OUTCOME_BROKEN, "read the columns", NULL);
    } else {
        return true;
    }
    sqlite_session_leave(session);
    return false;
}

static int value_bind(sqlite3_stmt *statement, int index, struct value value)
{
    switch ((enum value_kind)value.kind) {
    case VALUE_BOOL:
        return sqlite3_bind_int(statement, index, value.boolean);
    case VALUE_INT:
        return sqlite3_bind_int64(statement, index, value.integer);
    case VALUE_DOUBLE:
        return sqlite3_bind_double(statement, index, value.real);
    case VALUE_STRING:
        return sqlite3_bind_text64(statement, index, value.text, value.length, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case VALUE_BYTES:
        return sqlite3_bind_blob64(statement, index, value.text, value.length, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(statement, index);
    }
}

static bool parameters_bind(struct sqlite_session *session, struct sqlite_question *question)
{
    sqlite3_stmt *statement = session->statement;
    int wanted = sqlite_parameters_wanted(statement);
    if (wanted != (int)question->parameter_count) {
        question->outcome = OUTCOME_INVALID;
        question->hopeless = true;
        snprintf(question->detail, sizeof(question->detail),
                 wanted < 0 ? "a parameter is written ?, ?1 or $1, not by a name"
                            : "the query has %d parameters, and %u are given",
                 wanted, question->parameter_count);
        return false;
    }
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
        int number = sqlite_parameter_number(statement, i);
        if (value_bind(statement, i, question->parameters[number - 1]) == SQLITE_OK)
            continue;
        fail(question, OUTCOME_INVALID, "bind a parameter", session->connection);
        return false;
    }
    return true;
}

/* Runs the bound statement and writes the answer. */
static void query_run(struct sqlite_session *session, struct sqlite_question *question)
{
    struct buffer *answer = &question->answer;
    bool fits = !session->rows || buffer_append_byte(answer, '[');
    uint64_t count = 0;
    int code;
    while (fits && (code = sqlite3_step(session->statement)) == SQLITE_ROW) {
        if (count == 0 && !sqlite_columns_renew(&session->columns, session->statement)) {
            fail(question, OUTCOME_BROKEN, "read the columns", NULL);
            return;
        }
        fits = (count++ == 0 || buffer_append_byte(answer, ',')) &&
               sqlite_row_append(&session->columns, session->statement, answer);
        if (!session->rows && fits) {
            code = SQLITE_DONE;
            break;
        }
    }
    if (!session->rows && count == 0)
        fits = fits && buffer_append(answer, "null", 4);
    if (session->rows)
        fits = fits && buffer_append_byte(answer, ']');
    if (fits && code == SQLITE_DONE) {
        question->outcome = OUTCOME_ANSWER;
    } else if (!fits) {
        question->outcome = OUTCOME_LARGE;
        snprintf(question->detail, sizeof(question->detail), "the rows are longer than %zu bytes",
                 session->answer_limit);
    } else {
        fail(question, OUTCOME_BROKEN, "run the query", session->connection);
    }
}

void sqlite_session_run(struct sqlite_session *session, struct sqlite_question *question)
{
    session->unwanted = &question->unwanted;
    if (atomic_load_explicit(&question->unwanted, memory_order_relaxed))
        return;
    if (!connection_reach(session, question))
        return;
    if (parameters_bind(session, question))
        query_run(session, question);
    sqlite3_reset(session->statement); /* its error was that of the step */
    sqlite3_clear_bindings(session->statement);
    bool unwanted = atomic_load_explicit(&question->unwanted, memory_order_relaxed);
    if (question->outcome == OUTCOME_BROKEN && !unwanted)
        sqlite_session_leave(session); /* the next one looks for the database anew */
}
