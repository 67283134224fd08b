/* Rows of an SQLite query as JSON objects, and its parameters, for the source and the transport.
 *
 *   NULL                null
 *   INTEGER             a number without fraction or exponent
 *   REAL                the shortest number that reads back equal, with a fraction or an exponent;
 *                       infinities are null (JSON has none; NaN is NULL to SQLite itself)
 *   TEXT                a string; bytes that are no UTF-8 are kept: the record is malformed then,
 *                       as it would be in a file
 *   BLOB                base64
 *
 * One thread at a time. */
#ifndef LEAT_CLIENTS_SQLITE_ROW_H
#define LEAT_CLIENTS_SQLITE_ROW_H

#include <sqlite3.h>

#include "core/buffer.h"

struct sqlite_columns {
    int count;
    struct string *names; /* '"name":' of each column; one block */
    int prepared;         /* how often SQLite had prepared the statement again by then */
};

/* From a prepared statement. May be called again and again. False: no memory. */
MUST_USE bool sqlite_columns_take(struct sqlite_columns *columns, sqlite3_stmt *statement);
/* On a query's first row: SQLite prepares a statement again by itself when somebody has changed the
 * schema, and the columns may be others then. False: no memory. */
MUST_USE bool sqlite_columns_renew(struct sqlite_columns *columns, sqlite3_stmt *statement);
void sqlite_columns_close(struct sqlite_columns *columns);
/* Appends the row that the statement stands on. False: it does not fit (then the buffer may hold a
 * part of it), or SQLite had no memory for it (sqlite3_errcode says SQLITE_NOMEM). */
MUST_USE bool sqlite_row_append(const struct sqlite_columns *columns, sqlite3_stmt *statement,
                                struct buffer *buffer);
/* One value of it, in the same way. */
MUST_USE bool sqlite_value_append(sqlite3_stmt *statement, int column, struct buffer *buffer);

/* Which of the given parameters, from 1, the index-th of the statement is: `?` its place, `?3` and
 * `$3` the third. 0: it has a name that says nothing (:name). */
int sqlite_parameter_number(sqlite3_stmt *statement, int index);
/* How many parameters have to be given; -1: some have names. */
int sqlite_parameters_wanted(sqlite3_stmt *statement);

#endif
