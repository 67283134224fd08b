/* The sink `into sqlite`: rows are encoded by the workers (io/row_code.h) and inserted by the
 * sink's own thread, which owns the connection from the run's start on.
 *
 * A transaction holds all rows since the last commit, and the row of the pipeline in leat_commit
 * changes in it (io/sqlite_commits.h). The runtime says when to commit; where it cannot (the source
 * is a pipe), everything is one transaction, unless `transaction` was given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/planted.h"
#include "core/hash.h"
#include "core/sink.h"
#include "io/lock_file.h"
#include "io/sqlite_batch.h"

#define OFFERED_MAX 16
#define PATIENCE    (5 * NANOSECONDS)

static const struct option_spec option_specs[] = {
    {"path", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the database file"},
    {"table", OPTION_NAME, OPTION_REQUIRED, NULL, NULL, "the table to write"},
    {"mode", OPTION_WORD, 0, "append|replace|upsert", "append",
     "whether rows are added, replace all that were there, or replace those of the same key"},
    {"key", OPTION_NAMES, 0, NULL, NULL, "the columns that make a row unique, for mode upsert"},
    {"columns", OPTION_TYPES, 0, "integer|real|text|blob|any", NULL,
     "declared types of a table that is made; otherwise found from the values"},
    {"create", OPTION_WORD, 0, "yes|no", "yes", "whether the table is made if it is missing"},
    {"transaction", OPTION_PHRASE, OPTION_TUNING, "rows N [or DURATION]", NULL,
     "when a transaction ends, at the latest; where the run has checkpoints it asks for one; "
     "one for each checkpoint if left out, one for all where there are none"},
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
    const char *pipeline;
    int64_t transaction_rows_most; /* INT64_MAX: any */
    int64_t transaction_time_most;
    /* the main thread up to the run, then the sink's */
    struct database database;
    struct commits commits;
    char *lock_paths[2]; /* the pipeline's, and (mode replace) T__leat's */
    int locks[2];        /* descriptors, or -1 */
    bool recorded;       /* the run stores its commits: recover was called */
    uint64_t epoch;      /* to be claimed, or that was claimed */
    bool anew;           /* begins anew rather than going on */
    bool claimed;
    bool resumed; /* goes on with rows of an interrupted run: commits.past is known */
    bool ended;   /* goes on behind a run whose result is in its place */
    /* the sink's thread */
    struct table table;
    bool published;
    struct batch *offered[OFFERED_MAX]; /* a ring */
    unsigned offered_first;
    unsigned offered_count;
    int64_t transaction_rows;
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
    sink->base.appends = !upsert && !replace;
    sink->base.needs_order = upsert;
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
    const struct option_value *transaction = option_find(options, "transaction");
    sink->transaction_rows_most = transaction ? transaction->numbers[0] : INT64_MAX;
    sink->transaction_time_most =
        transaction && transaction->numbers[1] >= 0 ? transaction->numbers[1] : INT64_MAX;
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
    commits_close(&sink->commits);
    database_close(&sink->database);
    for (unsigned i = 0; i < ARRAY_SIZE(sink->locks); i++) {
        lock_file_release(sink->locks[i], sink->lock_paths[i]);
        free(sink->lock_paths[i]);
    }
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
    made->locks[0] = made->locks[1] = -1;
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

/* ---- where the last run stands (main thread) ---- */

/* ".NAME.HASH.leat-lock" beside the database. */
static char *lock_path(const struct sqlite_sink *sink, const char *kind, const char *name)
{
    const char *slash = strrchr(sink->path, '/');
    size_t folder = slash ? (size_t)(slash + 1 - sink->path) : 0;
    uint64_t hash = hash_bytes(kind, strlen(kind) + 1, HASH_SEED);
    for (; *name; name++) {
        char byte = *name >= 'A' && *name <= 'Z' ? (char)(*name | 0x20) : *name;
        hash = hash_bytes(&byte, 1, hash);
    }
    size_t size = strlen(sink->path) + 40;
    char *path = memory_take(size);
    if (path)
        snprintf(path, size, "%.*s.%s.%016llx.leat-lock", (int)folder, sink->path,
                 sink->path + folder, (unsigned long long)hash);
    return path;
}

static bool lock_take(struct sqlite_sink *sink, unsigned index, const char *kind, const char *name,
                      struct error *error)
{
    if (sink->locks[index] >= 0)
        return true;
    if (!sink->lock_paths[index])
        sink->lock_paths[index] = lock_path(sink, kind, name);
    if (!sink->lock_paths[index])
        return error_set(error, ERROR_MEMORY, "no memory for a lock");
    sink->locks[index] = lock_file_take(sink->lock_paths[index], sink->name, error);
    if (sink->locks[index] >= 0)
        return true;
    char ours[40];
    snprintf(ours, sizeof(ours), "(process %ld)", (long)getpid());
    if (error->code == ERROR_LOCKED && strstr(error->text, ours))
        error_set(error, ERROR_PROGRAM,
                  "two sinks of a pipeline cannot write to the same database: each waits for the "
                  "other's transaction; make two pipelines of it");
    return false;
}

static int64_t patience_of(const struct sqlite_sink *sink)
{
    return sink->context->limits.timeout > 0 ? sink->context->limits.timeout : PATIENCE;
}

static bool open_for(struct sqlite_sink *sink, enum database_access access, struct error *error)
{
    sink->commits.database = &sink->database;
    return sink->database.connection ||
           database_open(&sink->database, sink->path, access, patience_of(sink),
                         sink->context->limits.memory, error);
}

static bool sqlite_recover(struct sink *base, struct commit_record *record, bool *found,
                           struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    struct commits *commits = &sink->commits;
    struct stat status;
    /* what names the row is asked for now: the runtime knows it only by now */
    sink->pipeline = sink->context->pipeline ? sink->context->pipeline : "program";
    commits->pipeline = sink->pipeline;
    *found = false;
    *record = (struct commit_record){0};
    sink->recorded = true;
    bool there = stat(sink->path, &status) == 0; /* other errors are told when it is opened */
    if (there && !S_ISREG(status.st_mode))
        return open_for(sink, DATABASE_READ, error); /* says what it is */
    if (!lock_take(sink, 0, "pipeline", sink->pipeline, error) ||
        (sink->plan.mode == TABLE_REPLACE && !lock_take(sink, 1, "table", sink->table_name, error)))
        return false;
    if (!there)
        return true;
    if (!open_for(sink, DATABASE_WRITE, error) || !commits_read(commits, error))
        return false;
    *record = (struct commit_record){.number = commits->number,
                                     .epoch = commits->epoch,
                                     .bytes = commits->record,
                                     .length = commits->length,
                                     .final = commits->done,
                                     .done = commits->done};
    *found = commits->found && commits->length > 0;
    return true;
}

/* The pipeline's row becomes ours, and what an unfinished run left beside T goes, unless it is gone
 * on with. */
static bool claim(struct sqlite_sink *sink, struct error *error)
{
    struct database *database = &sink->database;
    if (!sink->recorded || sink->claimed)
        return true;
    if (!database_begin(database, error) ||
        !commits_claim(&sink->commits, sink->epoch, sink->anew, error) ||
        (sink->anew && !table_drop_filled(database, &sink->plan, error)) ||
        !database_commit(database, error)) {
        database_rollback(database);
        return false;
    }
    sink->commits.epoch = sink->epoch;
    sink->commits.found = true;
    sink->claimed = true;
    return true;
}

static bool sqlite_resume(struct sink *base, uint64_t number, uint64_t epoch, struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    const struct commits *commits = &sink->commits;
    if (number != 0 && (!commits->found || number != commits->number))
        return error_set(error, ERROR_STATE,
                         "the last commit of pipeline %s in the database is number %llu, and not "
                         "%llu; --fresh begins anew",
                         sink->pipeline, (unsigned long long)commits->number,
                         (unsigned long long)number);
    sink->epoch = epoch;
    sink->anew = number == 0;
    sink->ended = !sink->anew && commits->done;
    sink->resumed = !sink->anew && !commits->done;
    /* a database that is not there is made when there is something to write */
    return !sink->database.connection ||
           (database_prepare_writing(&sink->database, error) && claim(sink, error));
}

static bool sqlite_forget(struct sink *base, struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    struct database *database = &sink->database;
    if (!database->connection || !sink->commits.found)
        return true;
    if (database_begin(database, error) && table_drop_filled(database, &sink->plan, error) &&
        commits_forget(&sink->commits, error) && database_commit(database, error))
        return true;
    database_rollback(database);
    return false;
}

/* ---- writing (the sink's thread) ---- */

static enum sink_result sqlite_start(struct sink *base, struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    if (!open_for(sink, DATABASE_CREATE, error) ||
        !database_prepare_writing(&sink->database, error) || !claim(sink, error))
        return SINK_FAIL;
    /* A replacement is filled apart, where foreign keys say nothing yet. */
    if (sink->plan.mode != TABLE_REPLACE &&
        !database_run(&sink->database, "enforce foreign keys", error, "PRAGMA foreign_keys = ON"))
        return SINK_FAIL;
    const struct table_past *past = sink->resumed ? &sink->commits.past : NULL;
    return table_open(&sink->table, &sink->database, &sink->plan, past, error) ? SINK_OK
                                                                               : SINK_FAIL;
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
    if (!database_begin(&sink->database, error))
        return false;
    if (sink->transaction_time_most < INT64_MAX)
        sink->base.wake = sink->transaction_start + sink->transaction_time_most;
    return true;
}

/* At the end of what `transaction` allows: a commit where the run has no checkpoints, else the wish
 * for one. */
static bool transaction_look(struct sqlite_sink *sink, struct error *error)
{
    if (!sink->database.in_transaction ||
        (sink->transaction_rows < sink->transaction_rows_most &&
         (sink->transaction_time_most == INT64_MAX ||
          clock_monotonic() - sink->transaction_start < sink->transaction_time_most)))
        return true;
    sink->base.wake = 0;
    if (!sink->context->checkpoints)
        return database_commit(&sink->database, error);
    __atomic_store_n(&sink->base.commit_wanted, true, __ATOMIC_RELAXED);
    return true;
}

static bool prepare(struct sqlite_sink *sink, struct error *error)
{
    const struct table_past *past = sink->resumed ? &sink->commits.past : NULL;
    return sink->table.prepared || table_prepare(&sink->table, sink->context->shape, past, error);
}

static enum sink_result sqlite_take(struct sink *base, struct batch **batch, struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    uint64_t written;
    if (sink->offered_count == 0)
        return transaction_look(sink, error) ? SINK_WAIT : SINK_FAIL;
    /* It stays ours, for reclaim, until all is done. */
    struct batch *first = sink->offered[sink->offered_first];
    const struct buffer *rows = &first->outputs[sink->context->output].buffer;
    if (!transaction_begin(sink, error) || !prepare(sink, error) ||
        !batch_insert(&sink->table, first, rows, &written, error))
        return SINK_FAIL;
    sink->transaction_rows += (int64_t)written;
    __atomic_fetch_add(&sink->base.records_written, written, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sink->base.bytes_written, rows->length, __ATOMIC_RELAXED);
    if (!transaction_look(sink, error))
        return SINK_FAIL;
    *batch = sqlite_reclaim(base);
    return SINK_OK;
}

/* The last rows are in: types, the replacement. A table is made even if no record came, if its
 * columns are known. */
static bool finish(struct sqlite_sink *sink, struct error *error)
{
    const struct shape *shape = sink->context->shape;
    if (sink->ended && !sink->table.prepared)
        return true; /* nothing came behind a result that is in its place */
    if (shape && shape->closed && shape->field_count > 0 && !prepare(sink, error))
        return false;
    if (sink->table.prepared)
        return table_finish(&sink->table, error);
    return !sink->table.filled_exists ||
           error_set(error, ERROR_STATE,
                     "the columns of table %s__leat, half filled by the run that goes on, are not "
                     "known any more; --fresh begins anew",
                     sink->table_name);
}

static enum sink_result sqlite_commit(struct sink *base, const struct commit_record *record,
                                      struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    const struct table *table = &sink->table;
    struct table_past past = sink->resumed ? sink->commits.past : (struct table_past){0};
    if (!transaction_begin(sink, error) || (record->final && !finish(sink, error)))
        return SINK_FAIL;
    if (table->prepared)
        past = (struct table_past){table->created, table->kinds, table->column_count};
    if (record->final)
        past = (struct table_past){0};
    if (planted("offset_elsewhere") && !record->final &&
        (!database_commit(&sink->database, error) || !transaction_begin(sink, error)))
        return SINK_FAIL;
    if (sink->recorded && !commits_store(&sink->commits, record, &past, error))
        return SINK_FAIL;
    if (!database_commit(&sink->database, error))
        return SINK_FAIL;
    commits_stored(&sink->commits, record);
    __atomic_store_n(&sink->base.commit_wanted, false, __ATOMIC_RELAXED);
    sink->base.wake = 0;
    sink->published = record->final;
    return SINK_OK;
}

/* The final commit has put everything in its place. What is in the log goes into the file, or as
 * much of it as readers allow. */
static enum sink_result sqlite_publish(struct sink *base, const struct commit_record *record,
                                       struct error *error)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    (void)record;
    return database_run(&sink->database, "checkpoint", error, "PRAGMA wal_checkpoint(TRUNCATE)")
               ? SINK_OK
               : SINK_FAIL;
}

/* What was committed with a record stays, for the next run to go on from. Without checkpoints there
 * is nothing to go on from: T__leat goes, unless it is to be looked at. */
static void sqlite_abort(struct sink *base, bool keep_part)
{
    struct sqlite_sink *sink = (struct sqlite_sink *)base;
    struct database *database = &sink->database;
    struct error ignored; /* the run ends as it ends; the next one drops what is left */
    if (!database->connection || sink->published)
        return;
    sqlite3_finalize(sink->table.insert);
    sink->table.insert = NULL;
    bool apart = sink->plan.mode == TABLE_REPLACE && !sink->context->checkpoints;
    if (keep_part && apart && database_commit(database, &ignored))
        return;
    database_rollback(database);
    if (apart && sink->table.prepared && database_begin(database, &ignored) &&
        table_drop_filled(database, &sink->plan, &ignored) && database_commit(database, &ignored))
        return;
    database_rollback(database);
}

const struct sink_ops sink_sqlite = {
    .noun = &noun,
    .traits = SINK_BLOCKING | SINK_TRANSACTIONAL | SINK_NEEDS_COLUMNS,
    .open = sqlite_open,
    .recover = sqlite_recover,
    .resume = sqlite_resume,
    .forget = sqlite_forget,
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
