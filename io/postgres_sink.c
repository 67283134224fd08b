/* The sink `into postgres`: workers encode rows as tuples of binary COPY (io/postgres_rows.h), the
 * sink's thread sends them and commits when the runtime says so (io/postgres_session.h).
 *
 * A transaction holds all rows since the last commit. Every unit of it is loaded behind a
 * savepoint, so that rows which the server refuses are found and rejected one by one. The row of
 * the pipeline in leat_commit changes in the same transaction, by compare and set. Where the
 * runtime cannot say when (the source is a pipe), everything is one transaction, unless
 * `transaction` was given. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/postgres_session.h"

#define TYPES                                                                                      \
    "boolean|smallint|integer|bigint|real|double|numeric|text|json|jsonb|bytea|uuid|date|time|"    \
    "timestamp|timestamptz|interval|any"

static const struct option_spec option_specs[] = {
    {"dsn", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "where to connect: libpq's KEY=VALUE string or postgresql:// URI"},
    {"table", OPTION_NAME, OPTION_REQUIRED, NULL, NULL, "the table to write"},
    {"schema", OPTION_NAME, 0, NULL, NULL, "its schema; as search_path finds it if left out"},
    {"mode", OPTION_WORD, 0, "append|replace|upsert", "append",
     "whether rows are added, replace all that were there, or replace those of the same key"},
    {"key", OPTION_NAMES, 0, NULL, NULL, "the columns that make a row unique, for mode upsert"},
    {"columns", OPTION_TYPES, 0, TYPES, NULL,
     "types of a table that is made; otherwise found from the first records"},
    {"create", OPTION_WORD, 0, "yes|no", "yes", "whether the table is made if it is missing"},
    {"transaction", OPTION_PHRASE, OPTION_TUNING, "rows N [or DURATION]", NULL,
     "when a transaction ends, at the latest; where the run has checkpoints it asks for one; "
     "one for each checkpoint if left out, one for all where there are none"},
    {"statement_timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "the longest that one statement may take; the server's setting if left out"},
    {"connect_timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "how long to wait for a connection; 10s if left out"},
    {"timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "how long a lost server is waited for; 60s if left out"},
    {0},
};

static const struct noun noun = {
    .name = "postgres",
    .doc = "Writes a table of a PostgreSQL database; rows that it refuses are rejected",
    .example = "into postgres \"host=/run/postgresql dbname=air\" { table delays  mode replace }",
    .options = option_specs,
};

/* ---- opening (main thread) ---- */

static struct string column_declared(const void *context, struct string column)
{
    const struct postgres_sink *sink = context;
    const struct option_value *types = option_find(sink->context->options, "columns");
    for (uint32_t i = 0; types && i < types->item_count; i++) {
        const struct path *path = &types->items[i].path;
        if (path->count == 1 && string_equal(path->names[0], column))
            return types->items[i].word;
    }
    return types ? types->text : (struct string){NULL, 0}; /* one word for all columns, or none */
}

static bool keys_copy(struct postgres_sink *sink, const struct option_value *keys,
                      struct error *error)
{
    uint32_t count = keys ? keys->item_count : 0;
    sink->keys = memory_take_zeroed(count + 1, sizeof(*sink->keys));
    if (!sink->keys)
        return error_set(error, ERROR_MEMORY, "no memory for the keys of the sink postgres");
    for (uint32_t i = 0; i < count; i++) {
        const struct option_item *item = &keys->items[i];
        sink->keys[i] = item->path.count > 0 ? item->path.names[0] : item->word;
    }
    sink->table.keys = sink->keys;
    sink->table.key_count = count;
    return true;
}

static bool settings_read(struct postgres_sink *sink, const struct options *options,
                          struct error *error)
{
    struct postgres_settings *settings = &sink->settings;
    if (!postgres_settings_open(settings, option_text(options, "dsn", ""), error))
        return false;
    settings->statement_timeout = option_integer(options, "statement_timeout", 0);
    settings->connect_timeout =
        option_integer(options, "connect_timeout", settings->connect_timeout);
    if (settings->connect_timeout <= 0)
        return error_set(error, ERROR_PROGRAM, "connect_timeout must be longer than nothing");
    struct sql_text name = {0};
    sql_append(&name, "postgres %s", settings->shown);
    sink->name = name.text;
    sink->base.name = name.text;
    return name.text || error_set(error, ERROR_MEMORY, "no memory for the sink postgres");
}

static bool options_read(struct postgres_sink *sink, const struct options *options,
                         struct error *error)
{
    bool upsert = option_word_is(options, "mode", "upsert");
    bool replace = option_word_is(options, "mode", "replace");
    sink->base.appends = !upsert && !replace;
    const struct option_value *transaction = option_find(options, "transaction");
    sink->transaction_rows_most = transaction ? transaction->numbers[0] : INT64_MAX;
    sink->transaction_time_most =
        transaction && transaction->numbers[1] >= 0 ? transaction->numbers[1] : INT64_MAX;
    const struct option_value *keys = option_find(options, "key");
    sink->table = (struct postgres_table){
        .schema = option_text(options, "schema", ""),
        .name = option_text(options, "table", ""),
        .mode = upsert    ? POSTGRES_UPSERT
                : replace ? POSTGRES_REPLACE
                          : POSTGRES_APPEND,
        .create = !option_word_is(options, "create", "no"),
        .declared = column_declared,
        .context = sink,
    };
    const char *pipeline = sink->context->pipeline;
    sink->pipeline = pipeline ? (struct string){pipeline, strlen(pipeline)} : sink->table.name;
    if (upsert && !keys)
        return error_set(error, ERROR_PROGRAM,
                         "mode upsert needs `key`: the columns that make a row unique");
    if (!upsert && keys)
        return error_set(error, ERROR_PROGRAM, "`key` goes with mode upsert only");
    return settings_read(sink, options, error) && keys_copy(sink, keys, error) &&
           postgres_table_open(&sink->table, error) &&
           postgres_open(&sink->postgres, &sink->settings, error);
}

static void postgres_sink_close(struct sink *base)
{
    struct postgres_sink *sink = (struct postgres_sink *)base;
    unit_close(sink);
    postgres_close(&sink->postgres);
    postgres_table_close(&sink->table);
    postgres_settings_close(&sink->settings);
    if (sink->scratch_open)
        buffer_close(&sink->scratch);
    free(sink->sql);
    free(sink->found);
    free(sink->keys);
    free(sink->name);
    free(sink);
}

static bool postgres_sink_open(struct sink_context *context, struct sink **sink,
                               struct error *error)
{
    extern const struct sink_ops sink_postgres;
    struct postgres_sink *made = memory_take_zeroed(1, sizeof(*made));
    if (!made)
        return error_set(error, ERROR_MEMORY, "no memory for the sink postgres");
    made->base.ops = &sink_postgres;
    made->context = context;
    made->postgres.descriptor = -1;
    made->scratch_open = buffer_open(&made->scratch, SCRATCH_SIZE, SCRATCH_SIZE, error);
    *sink = &made->base;
    if (made->scratch_open && options_read(made, context->options, error))
        return true;
    postgres_sink_close(&made->base);
    *sink = NULL;
    return false;
}

/* Where the last commit stands. Locks out other runs of the pipeline; FOR UPDATE waits for a
 * backend that is still committing. */
static bool postgres_recover(struct sink *base, struct commit_record *record, bool *found,
                             struct error *error)
{
    struct postgres_sink *sink = (struct postgres_sink *)base;
    struct sql_text there = {0}, row = {0};
    struct string commits = {sink->table.commits, strlen(sink->table.commits)};
    *found = false;
    *record = (struct commit_record){0};
    sink->recorded = true;
    if (!session_reach(sink, GOAL_LOCK, error))
        return false;
    sql_append(&there, "SELECT pg_catalog.to_regclass(%L) IS NOT NULL", &commits);
    if (!session_ask(sink, "look for the table of commits", &there, error))
        return false;
    if (PQgetvalue(sink->postgres.result, 0, 0)[0] != 't')
        return true;
    sql_append(&row, "SELECT epoch, number, record, done FROM %s WHERE pipeline = %L FOR UPDATE",
               sink->table.commits, &sink->pipeline);
    sink->commits_there = true;
    if (!session_ask(sink, "read the last commit", &row, error))
        return false;
    PGresult *result = sink->postgres.result;
    if (PQntuples(result) == 0)
        return true;
    unsigned char *bytes =
        PQunescapeBytea((const unsigned char *)PQgetvalue(result, 0, 2), &record->length);
    free(sink->found);
    sink->found = bytes ? memory_copy_text((const char *)bytes, record->length) : NULL;
    PQfreemem(bytes);
    if (!sink->found)
        return error_set(error, ERROR_MEMORY, "no memory for a commit record");
    record->bytes = sink->found;
    record->epoch = (uint64_t)(sink->epoch = strtoll(PQgetvalue(result, 0, 0), NULL, 10));
    record->number = (uint64_t)(sink->number = strtoll(PQgetvalue(result, 0, 1), NULL, 10));
    record->done = PQgetvalue(result, 0, 3)[0] == 't';
    *found = record->length > 0;
    return true;
}

/* The claim: from here on an older run can commit no more. What an unfinished run left (T__leat) is
 * dropped when the first rows come. */
static bool postgres_resume(struct sink *base, uint64_t number, uint64_t epoch, struct error *error)
{
    struct postgres_sink *sink = (struct postgres_sink *)base;
    (void)epoch; /* the row's own, and one more: the same, unless another run has been there */
    if (number != 0 && (int64_t)number != sink->number)
        return error_set(error, ERROR_STATE,
                         "the last commit of pipeline %.*s in the database is number %lld, and not "
                         "%llu; --fresh begins anew",
                         (int)sink->pipeline.length, sink->pipeline.data, (long long)sink->number,
                         (unsigned long long)number);
    sink->resumed = number != 0;
    return session_reach(sink, GOAL_CLAIM, error);
}

static bool postgres_forget(struct sink *base, struct error *error)
{
    struct postgres_sink *sink = (struct postgres_sink *)base;
    struct sql_text sql = {0};
    if (!sink->commits_there)
        return true;
    if (sink->table.mode == POSTGRES_REPLACE)
        sql_append(&sql, "DROP TABLE IF EXISTS %s; ", sink->table.filled);
    sql_append(&sql, "DELETE FROM %s WHERE pipeline = %L", sink->table.commits, &sink->pipeline);
    sink->epoch = sink->number = 0;
    return session_ask(sink, "remove the commit record", &sql, error);
}

static enum encode_result postgres_sink_encode(struct sink *base, struct evaluator *evaluator,
                                               struct batch *batch, uint32_t first, uint32_t *done)
{
    struct postgres_sink *sink = (struct postgres_sink *)base;
    (void)evaluator;
    return postgres_rows_encode(atomic_load_explicit(&sink->layout, memory_order_acquire), batch,
                                first, done, &batch->outputs[sink->context->output].buffer);
}

/* ---- writing (the sink's thread) ---- */

static enum sink_result postgres_start(struct sink *base, struct error *error)
{
    (void)base;
    (void)error;
    return SINK_OK; /* the first unit connects */
}

static bool postgres_offer(struct sink *base, struct batch *batch)
{
    struct postgres_sink *sink = (struct postgres_sink *)base;
    if (sink->offered_count == OFFERED_MAX)
        return false;
    sink->offered[(sink->offered_first + sink->offered_count) % OFFERED_MAX] = batch;
    sink->offered_count++;
    return true;
}

static struct batch *postgres_reclaim(struct sink *base)
{
    struct postgres_sink *sink = (struct postgres_sink *)base;
    if (sink->offered_count == 0)
        return NULL;
    struct batch *batch = sink->offered[sink->offered_first];
    sink->offered_first = (sink->offered_first + 1) % OFFERED_MAX;
    sink->offered_count--;
    sink->finished -= sink->finished > 0;
    return batch;
}

/* Begins a unit of what was offered. False: a failure. */
static bool unit_begin(struct postgres_sink *sink, struct error *error)
{
    bool failed = false;
    if (sink->looked && !unit_open(sink, error, &failed))
        return !failed;
    sink->goal = GOAL_UNIT;
    sink->moved = clock_monotonic();
    sink->base.wake = 0;
    if (!sink->transaction_start)
        sink->transaction_start = sink->moved;
    return session_next(sink, error);
}

/* At the end of what `transaction` allows: begins a commit where the run has no checkpoints, else
 * wishes for one. */
static bool transaction_look(struct postgres_sink *sink, struct error *error)
{
    bool timed = sink->transaction_time_most < INT64_MAX && sink->transaction_start;
    int64_t end = timed ? sink->transaction_start + sink->transaction_time_most : INT64_MAX;
    bool wanted = __atomic_load_n(&sink->base.commit_wanted, __ATOMIC_RELAXED);
    sink->base.wake = timed && !wanted ? end : 0;
    if (wanted || !sink->transaction_start ||
        (sink->transaction_rows < sink->transaction_rows_most &&
         (!timed || clock_monotonic() < end)))
        return true;
    sink->base.wake = 0;
    if (sink->context->checkpoints) {
        __atomic_store_n(&sink->base.commit_wanted, true, __ATOMIC_RELAXED);
        return true;
    }
    sink->goal = GOAL_COMMIT;
    sink->moved = clock_monotonic();
    sink->record = (struct commit_record){0};
    sink->swap = sink->committing_wants_table = false;
    sink->plain = true;
    return session_next(sink, error);
}

static enum sink_result postgres_take(struct sink *base, struct batch **batch, struct error *error)
{
    struct postgres_sink *sink = (struct postgres_sink *)base;
    for (;;) {
        if (sink->finished > 0) {
            *batch = postgres_reclaim(base);
            return SINK_OK;
        }
        enum sink_result result = session_drive(sink, error);
        if (result != SINK_OK)
            return result;
        if (!transaction_look(sink, error))
            return SINK_FAIL;
        if (sink->finished > 0 || sink->plain)
            continue;
        if (sink->offered_count == 0)
            return SINK_WAIT;
        if (!unit_begin(sink, error))
            return SINK_FAIL;
    }
}

/* Drives a commit that was begun, or begins one. */
static enum sink_result commit_drive(struct postgres_sink *sink, const struct commit_record *record,
                                     bool swap, struct error *error)
{
    enum sink_result result = session_drive(sink, error);
    if (result != SINK_OK)
        return result;
    if (sink->commit_done) {
        sink->commit_done = false;
        return SINK_OK;
    }
    const struct shape *shape = sink->context->shape;
    sink->goal = GOAL_COMMIT;
    sink->moved = clock_monotonic();
    sink->record = *record;
    sink->swap = swap;
    /* no record came: the table is made all the same, if its columns are known */
    sink->committing_wants_table =
        record->final && shape && shape->closed && shape->field_count > 0;
    if (!session_next(sink, error))
        return SINK_FAIL;
    result = session_drive(sink, error);
    if (result == SINK_OK)
        sink->commit_done = false;
    return result;
}

static enum sink_result postgres_commit(struct sink *base, const struct commit_record *record,
                                        struct error *error)
{
    return commit_drive((struct postgres_sink *)base, record, false, error);
}

static enum sink_result postgres_publish(struct sink *base, const struct commit_record *record,
                                         struct error *error)
{
    struct postgres_sink *sink = (struct postgres_sink *)base;
    if (sink->table.mode != POSTGRES_REPLACE)
        return SINK_OK; /* the last commit has done it all */
    return commit_drive(sink, record, true, error);
}

/* What was committed stays, with its record: the next run goes on from there, or drops it. */
static void postgres_abort(struct sink *base, bool keep_part)
{
    struct postgres_sink *sink = (struct postgres_sink *)base;
    (void)keep_part;
    if (sink->postgres.state == POSTGRES_BUSY) /* it would go on with its statement */
        postgres_cancel(&sink->postgres);
    postgres_disconnect(&sink->postgres);
    unit_close(sink);
    sink->locked = false;
    sink->in_transaction = false;
    sink->savepoint = SAVEPOINT_NONE;
    sink->plain = false;
    sink->given = 0;
    sink->phase = PHASE_REST;
    sink->goal = GOAL_NONE;
    sink->finished = 0;
}

const struct sink_ops sink_postgres = {
    .noun = &noun,
    .traits = SINK_TRANSACTIONAL | SINK_NEEDS_COLUMNS,
    .open = postgres_sink_open,
    .recover = postgres_recover,
    .resume = postgres_resume,
    .forget = postgres_forget,
    .encode = postgres_sink_encode,
    .start = postgres_start,
    .offer = postgres_offer,
    .take = postgres_take,
    .commit = postgres_commit,
    .publish = postgres_publish,
    .abort = postgres_abort,
    .reclaim = postgres_reclaim,
    .close = postgres_sink_close,
};
