/* The sink `into sqlite`: rows are encoded by the workers (io/row_code.h) and inserted by the
 * sink's own thread, which owns the connection.
 *
 * A transaction ends after 50,000 rows, after a second, and when there is nothing more to insert
 * for now, so that the database is never locked while the pipeline waits. Rows that the database
 * refuses are rejected one by one; the transaction goes on. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/sink.h"
#include "io/sqlite_table.h"

#define OFFERED_MAX      16
#define TRANSACTION_ROWS 50000
#define TRANSACTION_TIME NANOSECONDS
#define PATIENCE         (5 * NANOSECONDS)
#define REASON_SIZE      400

static const struct option_spec option_specs[] = {
    {"path", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the database file"},
    {"table", OPTION_NAME, OPTION_REQUIRED, NULL, NULL, "the table to write"},
    {"mode", OPTION_WORD, 0, "append|replace|upsert", "append",
     "whether rows are added, replace all that were there, or replace those of the same key"},
    {"key", OPTION_NAMES, 0, NULL, NULL, "the columns that make a row unique, for mode upsert"},
    {"columns", OPTION_TYPES, 0, "integer|real|text|blob|any", NULL,
     "declared types of a table that is made; otherwise found from the values"},
    {"create", OPTION_WORD, 0, "yes|no", "yes", "whether the table is made if it is missing"},
    {"timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "how long to wait while another process writes to the database; 5s if left out"},
    {0},
};

static const struct noun noun = {
    .name = "sqlite",
    .doc = "Writes a table of an SQLite database; rows that it refuses are rejected",
    .example = "into sqlite \"delays.db\" { table delays  mode replace }",
    .options = option_specs,
};

struct sqlite_sink {
    struct sink base;
    struct sink_context *context;
    char *path;
    char *name;
    char *table_name;
    struct string *keys;
    struct table_plan plan;
    /* the sink's thread */
    struct database database;
    struct table table;
    bool published;
    struct batch *offered[OFFERED_MAX]; /* a ring */
    unsigned offered_first;
    unsigned offered_count;
    uint64_t transaction_rows;
    int64_t transaction_start;
};

/* ---- opening (main thread) ---- */

static struct string column_declared(const void *context, struct string column)
{
    const struct sqlite_sink *sink = context;
    const struct option_value *types = option_find(sink->context->options, "columns");
    for (uint32_t i = 0; types && i < types->item_count; i++) {
        const struct path *path = &types->items[i].path;
        if (path->count == 1 && string_equal(path->names[0], column))
            return types->items[i].word;
    }
    return types ? types->text : (struct string){NULL, 0}; /* one word for all columns, or none */
}

static bool keys_copy(struct sqlite_sink *sink, const struct option_value *keys,
                      struct error *error)
{
    uint32_t count = keys ? keys->item_count : 0;
    sink->keys = memory_take_zeroed(count, sizeof(*sink->keys));
    if (!sink->keys)
        return error_set(error, ERROR_MEMORY, "no memory for the keys of %s", sink->path);
    for (uint32_t i = 0; i < count; i++) {
        const struct option_item *item = &keys->items[i];
        sink->keys[i] = item->path.count > 0 ? item->path.names[0] : item->word;
    }
    sink->plan.keys = sink->keys;
    sink->plan.key_count = count;
    return true;
}

static bool options_read(struct sqlite_sink *sink, const struct options *options,
                         struct error *error)
{
    struct string path = option_text(options, "path", "");
    struct string table = option_text(options, "table", "");
    sink->path = memory_copy_text(path.data, path.length);
    sink->table_name = memory_copy_text(table.data, table.length);
    size_t size = path.length + sizeof("sqlite ");
    sink->name = memory_take(size);
    if (!sink->path || !sink->table_name || !sink->name)
        return error_set(error, ERROR_MEMORY, "no memory for the sink sqlite");
    memcpy(sink->name, "sqlite ", 7);
    memcpy(sink->name + 7, sink->path, path.length + 1);
    bool upsert = option_word_is(options, "mode", "upsert");
    bool replace = option_word_is(options, "mode", "replace");
    sink->base.name = sink->name;
    sink->plan = (struct table_plan){
        .name = sink->table_name,
        .mode = upsert    ? TABLE_UPSERT
                : replace ? TABLE_REPLACE
                          : TABLE_APPEND,
        .create = !option_word_is(options, "create", "no"),
        .declared = column_declared,
        .context = sink,
    };
    const struct option_value *keys = option_find(options, "key");
    if (path.length == 0 || string_equal_text(path, ":memory:"))
        return error_set(error, ERROR_PROGRAM, "into sqlite needs the name of a file");
    if (memchr(path.data, 0, path.length) || memchr(table.data, 0, table.length))
        return error_set(error, ERROR_PROGRAM, "a name cannot hold U+0000");
    if (upsert && !keys)
        return error_set(error, ERROR_PROGRAM,
                         "mode upsert needs `key`: the columns that make a row unique");
    if (!upsert && keys)
        return error_set(error, ERROR_PROGRAM, "`key` goes with mode upsert only");
    return keys_copy(sink, keys, error);
}

static void sqlite_close(struct sink *base)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    table_close(&sink->table);
    database_close(&sink->database);
    free(sink->keys);
    free(sink->table_name);
    free(sink->name);
    free(sink->path);
    free(sink);
}

static bool sqlite_open(struct sink_context *context, struct sink **sink, struct error *error)
{
    extern const struct sink_ops sink_sqlite;
    struct sqlite_sink *made = memory_take_zeroed(1, sizeof(*made));
    if (!made)
        return error_set(error, ERROR_MEMORY, "no memory for the sink sqlite");
    made->base.ops = &sink_sqlite;
    made->context = context;
    *sink = &made->base;
    if (options_read(made, context->options, error))
        return true;
    sqlite_close(&made->base);
    *sink = NULL;
    return false;
}

static enum encode_result sqlite_encode(struct sink *base, struct evaluator *evaluator,
                                        struct batch *batch, uint32_t first, uint32_t *done)
{
    const struct sqlite_sink *sink = (const struct sqlite_sink *)base;
    (void)evaluator;
    return row_encode(sink->context->shape, batch, first, done,
                      &batch->outputs[sink->context->output].buffer);
}

/* ---- writing (the sink's thread) ---- */

static enum sink_result sqlite_start(struct sink *base, struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    int64_t patience = PATIENCE;
    if (sink->context->limits.timeout > 0)
        patience = sink->context->limits.timeout;
    if (!database_open(&sink->database, sink->path, patience, sink->context->limits.memory, error))
        return SINK_FAIL;
    /* A replacement is filled apart, where foreign keys say nothing yet. */
    if (sink->plan.mode != TABLE_REPLACE &&
        !database_run(&sink->database, "enforce foreign keys", error, "PRAGMA foreign_keys = ON"))
        return SINK_FAIL;
    return table_open(&sink->table, &sink->database, &sink->plan, error) ? SINK_OK : SINK_FAIL;
}

static bool sqlite_offer(struct sink *base, struct batch *batch)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    if (sink->offered_count == OFFERED_MAX)
        return false;
    sink->offered[(sink->offered_first + sink->offered_count) % OFFERED_MAX] = batch;
    sink->offered_count++;
    return true;
}

static struct batch *sqlite_reclaim(struct sink *base)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    if (sink->offered_count == 0)
        return NULL;
    struct batch *batch = sink->offered[sink->offered_first];
    sink->offered_first = (sink->offered_first + 1) % OFFERED_MAX;
    sink->offered_count--;
    return batch;
}

static bool transaction_begin(struct sqlite_sink *sink, struct error *error)
{
    if (sink->database.in_transaction)
        return true;
    sink->transaction_rows = 0;
    sink->transaction_start = clock_monotonic();
    return database_begin(&sink->database, error);
}

/* Always when there is nothing more to insert for now: others may wait for the database. */
static bool transaction_is_due(const struct sqlite_sink *sink)
{
    return sink->offered_count == 1 || sink->transaction_rows >= TRANSACTION_ROWS ||
           clock_monotonic() - sink->transaction_start >= TRANSACTION_TIME;
}

/* A refusal must not get lost for want of arena: at the sink nothing else needs it any more. */
static bool row_reject(struct batch *batch, uint32_t record, const char *reason,
                       struct error *error)
{
    if (batch_reject(batch, record, STAGE_SINK, ERROR_REFUSED, UINT32_MAX, "%s", reason))
        return true;
    batch->arena.limit = batch->arena.reserved;
    return batch_reject(batch, record, STAGE_SINK, ERROR_REFUSED, UINT32_MAX, "%s", reason) ||
           error_set(error, ERROR_MEMORY, "no memory to reject so many rows; the last: %s", reason);
}

static bool batch_write(struct sqlite_sink *sink, struct batch *batch, struct error *error)
{
    const struct buffer *buffer = &batch->outputs[sink->context->output].buffer;
    if (!transaction_begin(sink, error))
        return false;
    if (!sink->table.prepared && !table_prepare(&sink->table, sink->context->shape, error))
        return false;
    struct row_reader reader = row_reader_open(buffer);
    uint64_t written = 0;
    uint32_t record;
    while (row_next(&reader, &record)) {
        char reason[REASON_SIZE];
        sink->transaction_rows++;
        switch (table_insert(&sink->table, &reader, reason, sizeof(reason), error)) {
        case ROW_WRITTEN:
            written++;
            break;
        case ROW_REFUSED:
            if (!row_reject(batch, record, reason, error))
                return false;
            break;
        case ROW_FAILED:
            return false;
        }
    }
    __atomic_fetch_add(&sink->base.records_written, written, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sink->base.bytes_written, buffer->length, __ATOMIC_RELAXED);
    return true;
}

static enum sink_result sqlite_take(struct sink *base, struct batch **batch, struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    if (sink->offered_count == 0)
        return SINK_WAIT;
    /* It stays ours, for reclaim, until all is done. */
    if (!batch_write(sink, sink->offered[sink->offered_first], error))
        return SINK_FAIL;
    if (transaction_is_due(sink) && !database_commit(&sink->database, error))
        return SINK_FAIL;
    *batch = sqlite_reclaim(base);
    return SINK_OK;
}

static enum sink_result sqlite_commit(struct sink *base, const struct commit_record *record,
                                      struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    (void)record;
    return database_commit(&sink->database, error) ? SINK_OK : SINK_FAIL;
}

/* No record came: the table is made all the same, if its columns are known. */
static bool table_prepare_empty(struct sqlite_sink *sink, struct error *error)
{
    const struct shape *shape = sink->context->shape;
    if (sink->table.prepared)
        return true;
    if (!shape || !shape->closed || shape->field_count == 0)
        return true;
    return table_prepare(&sink->table, shape, error);
}

static enum sink_result sqlite_publish(struct sink *base, const struct commit_record *record,
                                       struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    struct database *database = &sink->database;
    (void)record;
    if (sink->published)
        return SINK_OK;
    /* From here on a commit is on disk when it returns; the checkpoint brings all into the file,
     * or as much as readers allow. */
    bool done = database_commit(database, error) &&
                database_run(database, "use it", error, "PRAGMA synchronous = FULL") &&
                database_begin(database, error) && table_prepare_empty(sink, error) &&
                (!sink->table.prepared || table_finish(&sink->table, error)) &&
                database_commit(database, error);
    if (!done) {
        table_abandon(&sink->table); /* nobody aborts what could not be published */
        return SINK_FAIL;
    }
    sink->published = true;
    done = database_run(database, "checkpoint", error, "PRAGMA wal_checkpoint(TRUNCATE)");
    return done ? SINK_OK : SINK_FAIL;
}

static void sqlite_abort(struct sink *base, bool keep_part)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    if (!sink->table.database || sink->published)
        return;
    if (keep_part) {
        struct error ignored; /* the run ends as it ends; what can be kept is kept */
        if (!database_commit(&sink->database, &ignored))
            database_rollback(&sink->database);
        return;
    }
    table_abandon(&sink->table);
}

const struct sink_ops sink_sqlite = {
    .noun = &noun,
    .traits = SINK_BLOCKING | SINK_TRANSACTIONAL | SINK_NEEDS_COLUMNS,
    .open = sqlite_open,
    .encode = sqlite_encode,
    .start = sqlite_start,
    .offer = sqlite_offer,
    .take = sqlite_take,
    .commit = sqlite_commit,
    .publish = sqlite_publish,
    .abort = sqlite_abort,
    .reclaim = sqlite_reclaim,
    .close = sqlite_close,
};
