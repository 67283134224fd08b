/* A connection to an SQLite database, for the sink and the source: opening, errors in our form,
 * transactions, the memory that SQLite may use. One thread at a time. Errors do not name the file:
 * the name of the sink or source, which does, is put in front. */
#ifndef LEAT_IO_SQLITE_DATABASE_H
#define LEAT_IO_SQLITE_DATABASE_H

#include <sqlite3.h>

#include "core/error.h"

struct database {
    sqlite3 *connection;
    bool in_transaction;
    size_t memory; /* its part of SQLite's heap limit */
};

enum database_access {
    DATABASE_READ,   /* it must be there; nothing in it is changed */
    DATABASE_WRITE,  /* it must be there */
    DATABASE_CREATE, /* it is made where it is missing */
};
/* Opens the file; waits for locks of others at most `patience` nanoseconds each time; SQLite may
 * use `memory` bytes for it (0: any). After a failure, too, it must be closed. */
MUST_USE bool database_open(struct database *database, const char *path,
                            enum database_access access, int64_t patience, size_t memory,
                            struct error *error);
/* Before the first write: WAL mode, and every commit is on disk when it returns. */
MUST_USE bool database_prepare_writing(struct database *database, struct error *error);
/* Takes back what was not committed. */
void database_close(struct database *database);

/* Fills `error` with "cannot DOING: SQLite's message (SQLITE_NAME)" for SQLite's last error.
 * Returns false. */
bool database_fail(const struct database *database, const char *doing, struct error *error);
/* "SQLITE_CONSTRAINT_UNIQUE" … of an extended code. */
const char *database_code_name(int code);

/* Runs statements; `format` is sqlite3_mprintf's: "%w" within double quotes for names. `doing` is
 * for the message. */
MUST_USE bool database_run(struct database *database, const char *doing, struct error *error,
                           const char *format, ...);
/* Prepares one statement from text of the caller. */
MUST_USE bool database_prepare(struct database *database, const char *doing, const char *sql,
                               sqlite3_stmt **statement, struct error *error);
/* The first column of the first row: a number, 0 if there is none. */
MUST_USE bool database_integer(struct database *database, int64_t *integer, struct error *error,
                               const char *format, ...);
/* … as text, NULL if there is none; freed with sqlite3_free. */
MUST_USE bool database_text(struct database *database, char **text, struct error *error,
                            const char *format, ...);

/* Begin takes the write lock at once. Each does nothing where it is so already. */
MUST_USE bool database_begin(struct database *database, struct error *error);
MUST_USE bool database_commit(struct database *database, struct error *error);
void database_rollback(struct database *database);

#endif
