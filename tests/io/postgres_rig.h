/* What the tests of the PostgreSQL sink share: the sink with its context and a few batches, filled
 * by hand; the server is that of tests/postgres.h. One thread. */
#ifndef LEAT_TESTS_IO_POSTGRES_RIG_H
#define LEAT_TESTS_IO_POSTGRES_RIG_H

#include <string.h>

#include "core/sink.h"
#include "io/engine.h"

extern const struct sink_ops sink_postgres;

#define PG_COLUMNS 12
#define PG_ROWS    4096
#define PG_BATCHES 4

struct pg_batch {
    struct batch batch;
    struct column columns[PG_COLUMNS];
    uint32_t rows[PG_ROWS];
};

struct pg_rig {
    struct option_value values[12];
    struct option_item items[8];
    struct string names[8];
    struct options options;
    struct shape_field fields[PG_COLUMNS];
    struct shape shape;
    struct sink_context context;
    struct sink *sink;
    struct pg_batch batches[PG_BATCHES];
    struct error error;
    struct commit_record record;
};

/* The server of tests/postgres.h, from any file of the folder. */
bool pg_server(void); /* false: there is none */
const char *pg_dsn(void);
void pg_command(const char *command);
const char *pg_query(const char *sql);
void pg_expect(const char *sql, const char *expected);
/* How often the server has logged a line with this text. */
unsigned pg_logged(const char *text);

/* `columns`: names separated by spaces; `more`: name, text pairs of options, ended by NULL; the key
 * is one column. */
void pg_open(struct pg_rig *rig, const char *table, const char *columns, const char *mode,
             const char *key, ...);
void pg_close(struct pg_rig *rig);
/* Fills batch `index` with rows of JSON texts; NULL is an absent field. */
void pg_fill(struct pg_rig *rig, unsigned index, const char *const *texts, uint32_t count);
#define PG_FILL(rig, index, ...)                                                                   \
    pg_fill(rig, index, (const char *const[]){__VA_ARGS__},                                        \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *) /                          \
                (rig)->shape.field_count)
/* An empty batch of `count` records whose cells the caller sets. */
void pg_begin(struct pg_rig *rig, unsigned index, uint32_t count);
/* Encodes, offers and takes back batches 0 to count - 1. */
bool pg_send(struct pg_rig *rig, unsigned count);
bool pg_send_one(struct pg_rig *rig); /* the first */
bool pg_commit(struct pg_rig *rig, bool final);
bool pg_end(struct pg_rig *rig); /* the final commit, and publishes */
/* "RECORD:text;" for each reject of a batch. */
const char *pg_rejects(const struct pg_rig *rig, unsigned index);
void pg_good(const struct pg_rig *rig, bool good);
void pg_error(const struct pg_rig *rig, const char *part);

#endif
