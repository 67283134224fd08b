/* The table leat_commit of an SQLite database: for each pipeline a row that says up to where the
 * rows in the database come from. It changes in the transaction of the rows themselves, by compare
 * and set on (epoch, number): a process that lost the pipeline to another commits nothing more.
 *
 *   pipeline  its name                         epoch    of the process that owns it
 *   number    of the last checkpoint           record   the runtime's record of it, or empty
 *   done      1: the run came to its end       updated  when, in UTC
 *   made      SQL of a table that the unfinished run made, or NULL
 *   kinds     a byte for each of its columns: kinds of values seen so far (io/row_code.h)
 *
 * One thread at a time: the main thread up to the run, then the sink's. */
#ifndef LEAT_IO_SQLITE_COMMITS_H
#define LEAT_IO_SQLITE_COMMITS_H

#include "core/sink.h"
#include "io/sqlite_database.h"

/* What has to be known again of a table that an unfinished run was filling. */
struct table_past {
    char *made; /* NULL: the table was there before */
    uint8_t *kinds;
    uint32_t kind_count;
};

struct commits {
    struct database *database;
    const char *pipeline;
    bool found; /* the pipeline has a row */
    uint64_t epoch, number;
    bool done;
    char *record; /* of length 0: none */
    size_t length;
    struct table_past past;
};

/* Reads the row, if there is one; fields are kept until the next read, claim or close. */
MUST_USE bool commits_read(struct commits *commits, struct error *error);
/* Takes the row over for `epoch`, in the open transaction; ERROR_STATE where it is not any more as
 * it was read. `anew`: the record that is there is cleared, so that whoever comes
 * next begins anew too. */
MUST_USE bool commits_claim(struct commits *commits, uint64_t epoch, bool anew,
                            struct error *error);
/* In the open transaction: the record of a checkpoint. ERROR_STATE where another process has taken
 * over. commits->number changes when the caller has committed: commits_stored. */
MUST_USE bool commits_store(struct commits *commits, const struct commit_record *record,
                            const struct table_past *past, struct error *error);
void commits_stored(struct commits *commits, const struct commit_record *record);
/* In the open transaction: removes the row. */
MUST_USE bool commits_forget(struct commits *commits, struct error *error);
void commits_close(struct commits *commits);

#endif
