/* The table that an SQLite sink fills: finding or making it, inserting rows, putting a replacement
 * in its place. One thread at a time (the sink's).
 *
 * A table that is missing is made without declared types, so that SQLite stores every value as it
 * comes (a declared type converts: "007" becomes 7). When all rows are there and their kinds are
 * known, the types are written into the schema (table_finish), by the procedure that SQLite's
 * documentation of ALTER TABLE gives for changes that leave the stored content as it is.
 *
 * A run that goes on where another was interrupted gets back what that one knew of the table
 * (struct table_past), so that the outcome is that of one undisturbed run.
 *
 * Replacing fills T__leat beside T, with T's own definition where T has all the columns, and
 * table_finish swaps it in. If triggers, views or foreign keys refer to T, it is emptied and
 * refilled in that transaction instead. */
#ifndef LEAT_IO_SQLITE_TABLE_H
#define LEAT_IO_SQLITE_TABLE_H

#include "core/shape.h"
#include "io/row_code.h"
#include "io/sqlite_commits.h"

enum table_mode { TABLE_APPEND, TABLE_REPLACE, TABLE_UPSERT };

/* As the options say; borrowed, lives as long as the table. */
struct table_plan {
    const char *name;
    enum table_mode mode;
    bool create;               /* may be made where it is missing */
    const struct string *keys; /* UPSERT */
    uint32_t key_count;
    /* The declared type asked for a column ("integer" …), or an empty string. */
    struct string (*declared)(const void *context, struct string column);
    const void *context;
};

struct table {
    struct database *database;
    const struct table_plan *plan;
    char *filled;       /* the name of the table that rows go into: T or T__leat (sqlite3_free) */
    char *created;      /* the SQL that made it, where this run did, without types (sqlite3_free) */
    bool prepared;      /* it is there and `insert` can be used */
    bool exists;        /* T was there before */
    bool filled_exists; /* T__leat is there, filled in part by the run that goes on */
    bool referred;      /* triggers, views or foreign keys refer to T */
    bool has_foreign_keys; /* … and are enforced while it is filled */
    uint32_t column_count;
    uint8_t *kinds; /* for each column the kinds seen, 1 << enum row_kind */
    bool *is_key;   /* UPSERT: for each column */
    const struct shape *shape;
    sqlite3_stmt *insert;
};

/* Looks whether T is there and is a table. `past`: of the run that goes on, else NULL. */
MUST_USE bool table_open(struct table *table, struct database *database,
                         const struct table_plan *plan, const struct table_past *past,
                         struct error *error);
/* After table_open or before: frees; nothing in the database changes. */
void table_close(struct table *table);
/* Makes the table to fill, in the open transaction; the columns are known now. What a dead run left
 * in its place is dropped. `past` as above. */
MUST_USE bool table_prepare(struct table *table, const struct shape *shape,
                            const struct table_past *past, struct error *error);

enum row_outcome { ROW_WRITTEN, ROW_REFUSED, ROW_FAILED };
/* Inserts the reader's next row (behind row_next). REFUSED: `reason` (of `size` bytes) says why,
 * and the others go on. FAILED: see the error. */
enum row_outcome table_insert(struct table *table, struct row_reader *reader, char *reason,
                              size_t size, struct error *error);
/* Whether some row of the open transaction refers to one that is not there: a foreign key that is
 * checked at the commit only. */
bool table_has_dangling(const struct table *table);
/* Declared types, the replacement in its place; within the open transaction. */
MUST_USE bool table_finish(struct table *table, struct error *error);
/* In the open transaction: drops what an unfinished run left beside T. */
MUST_USE bool table_drop_filled(struct database *database, const struct table_plan *plan,
                                struct error *error);

#endif
