/* The SQL of a PostgreSQL sink: its table, its commit record, its replacement. Every function makes
 * text or reads an answer; nothing here talks to the server. One thread (the sink's). All texts are
 * freed with free(); NULL: no memory. Names are quoted, never interpolated. */
#ifndef LEAT_IO_POSTGRES_TABLE_H
#define LEAT_IO_POSTGRES_TABLE_H

#include "clients/postgres.h"
#include "io/postgres_rows.h"

/* PostgreSQL cuts names beyond this many bytes (NAMEDATALEN - 1). */
#define NAMEDATALEN_MOST 63

enum postgres_mode { POSTGRES_APPEND, POSTGRES_REPLACE, POSTGRES_UPSERT };

struct postgres_table {
    /* as the options say; borrowed */
    struct string schema; /* or empty: as search_path finds it */
    struct string name;
    enum postgres_mode mode;
    bool create;
    const struct string *keys;
    uint32_t key_count;
    struct string (*declared)(const void *context, struct string column); /* type, or empty */
    const void *context;
    /* made by table_open */
    char *quoted;       /* "schema"."name" */
    char *filled;       /* where rows go: quoted, or "schema"."name__leat" */
    char *filled_plain; /* … its name without the schema, quoted */
    char *commits;      /* "schema"."leat_commit" */
    /* by table_look */
    bool exists;        /* T */
    bool filled_exists; /* what rows go into */
    bool depended;      /* REPLACE: T is refilled rather than swapped */
    /* by table_choose */
    struct postgres_layout layout;
    char *columns; /* "a", "b" */
};

/* Makes the quoted names; what the options said must be set already. Closed also after a failure.
 */
MUST_USE bool postgres_table_open(struct postgres_table *table, struct error *error);
void postgres_table_close(struct postgres_table *table);

/* A query about the table's columns and, for replacing, about what depends on it. `resumed`: what
 * rows go into may be there from an earlier commit. */
char *postgres_table_look_sql(const struct postgres_table *table, bool resumed);
/* Reads its answer; the shape's columns get their types where the table is there. */
MUST_USE bool postgres_table_look(struct postgres_table *table, const PGresult *result,
                                  const struct shape *shape, struct error *error);
/* Chooses the types of a table that is to be made: by the rows of this batch (NULL: none came), the
 * declared ones first. */
void postgres_table_choose(struct postgres_table *table, const struct batch *batch,
                           const struct postgres_rows *rows);
/* CREATE TABLE and a semicolon, for what rows go into; "" where it is there. */
char *postgres_table_create_sql(const struct postgres_table *table);

/* COPY … FROM STDIN; of upserts into the staging table. */
char *postgres_table_copy_sql(const struct postgres_table *table);
/* UPSERT: makes the staging table of a transaction; merges and empties it. */
char *postgres_table_stage_sql(const struct postgres_table *table);
char *postgres_table_merge_sql(const struct postgres_table *table);
/* REPLACE: puts the new table, or its rows, into the place of the old. */
char *postgres_table_swap_sql(const struct postgres_table *table);

#endif
