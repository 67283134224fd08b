/* What the tests of the SQLite sink share: a sink with its context and one batch, filled by hand; a
 * connection of its own to read back what was written. One thread. */
#ifndef LEAT_TESTS_IO_SQLITE_RIG_H
#define LEAT_TESTS_IO_SQLITE_RIG_H

#include <string.h>

#include "core/sink.h"

extern const struct sink_ops sink_sqlite;

#define COLUMNS 8
#define ROWS    4096

struct rig {
    char path[256];
    struct option_value values[8];
    struct option_item items[8];
    struct string names[8];
    struct options options;
    struct shape_field fields[COLUMNS];
    struct shape shape;
    struct sink_context context;
    struct sink *sink;
    struct batch batch;
    struct column columns[COLUMNS];
    uint32_t rows[ROWS];
    struct error error;
    bool started;
    struct commit_record found; /* by rig_recover */
};

/* A sink of table t in a file of the test's folder. `columns`: names separated by spaces;
 * columns[0] holds the cells of the first … `key`: one column, or NULL. */
void rig_open(struct rig *rig, const char *file, const char *columns, const char *mode,
              const char *key);
void rig_close(struct rig *rig);
struct option_value *option_add(struct rig *rig, const char *name, const char *text);
/* Opens and starts the sink; the first batch does it by itself. */
bool rig_start(struct rig *rig);
/* An empty batch of `count` records whose cells the caller sets, then sends. */
void batch_begin(struct rig *rig, uint32_t count);
bool batch_send(struct rig *rig);
/* Rows of JSON texts, row after row; NULL is an absent field. */
bool rows_send(struct rig *rig, const char *const *texts, uint32_t count);
#define SEND(rig, ...)                                                                             \
    rows_send(rig, (const char *const[]){__VA_ARGS__},                                             \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *) /                        \
                  (rig)->shape.field_count)

struct value cell_of(const char *text);
/* Opens the sink and asks where the last run stands; *found as recover has it. */
bool rig_recover(struct rig *rig, bool *found);
bool rig_resume(struct rig *rig, uint64_t number, uint64_t epoch);
/* A checkpoint with a record of this text. */
bool rig_commit(struct rig *rig, uint64_t number, const char *text, bool final);
/* As a run that is killed ends: nothing is told to the sink. */
void rig_kill(struct rig *rig);
/* Commits and publishes. */
bool rig_end(struct rig *rig);

/* Runs SQL on a file of the test's folder; rows as "a|b;c|d;", an error as its message. */
const char *query(const char *file, const char *sql);
void expect_query(const char *file, const char *sql, const char *expected);
void expect_error(const struct rig *rig, const char *part);
/* Fatal for the test, with the rig's error, where it is not. */
void expect_good(const struct rig *rig, bool good);

#endif
