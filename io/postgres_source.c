/* The source `from postgres`: the rows of a query or a table as NDJSON, one object a row, values as
 * docs/postgres.md has them. Rows come one by one in binary form and are written straight into the
 * batch; no more is read from the server than fits.
 *
 * With `key` the rows come in its order and the position is the last key read, so that a run can go
 * on behind it, after a crash, after a lost connection, or (incremental) another day. open, seek
 * run on the main thread; everything else on the source's. */
#include <stdlib.h>
#include <string.h>

#include "clients/postgres_row.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/raw.h"
#include "core/source.h"
#include "io/engine.h"

#define STATEMENT     "leat"
#define OFFERS        16
#define PARAMETERS    32
#define LATENCY       (NANOSECONDS / 10) /* a batch that is not full waits no longer for rows */
#define PATIENCE      (60 * NANOSECONDS)
#define PAUSE_FIRST   (NANOSECONDS / 10)
#define PAUSE_MOST    (2 * NANOSECONDS)
#define OVERLONG_KEEP 4096

static const struct option_spec option_specs[] = {
    {"dsn", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "where to connect: libpq's KEY=VALUE string or postgresql:// URI"},
    {"query", OPTION_STRING, 0, NULL, NULL,
     "the query whose rows are read; its parameters are $1 …"},
    {"params", OPTION_STRINGS, 0, NULL, NULL, "the values of $1, $2 …, as text"},
    {"table", OPTION_NAME, 0, NULL, NULL, "the table to read, instead of a query"},
    {"schema", OPTION_NAME, 0, NULL, NULL, "its schema; as search_path finds it if left out"},
    {"key", OPTION_NAME, 0, NULL, NULL,
     "a column without nulls and duplicates: rows come in its order, and a run can go on behind "
     "the last one"},
    {"incremental", OPTION_WORD, 0, "yes|no", NULL,
     "whether a rerun reads only rows behind the last key; needs key; as the sinks append if left "
     "out"},
    {"statement_timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "the longest that the query may take; the server's setting if left out"},
    {"connect_timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "how long to wait for a connection; 10s if left out"},
    {"timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "how long a lost server is waited for, and rows; 60s and for ever if left out"},
    {0},
};

static const struct noun noun = {
    .name = "postgres",
    .doc = "Reads the rows of a query or a table of a PostgreSQL database",
    .example = "from postgres \"host=/run/postgresql dbname=air\" { table delays  key id }",
    .options = option_specs,
};

enum source_phase {
    READ_CONNECTS,
    READ_PREPARES,
    READ_DESCRIBES,
    READ_KINDS, /* types that only the catalog knows */
    READ_RUNS,
    READ_PAUSES, /* the connection was lost */
    READ_ENDS,
};

struct postgres_source {
    struct source base;
    struct source_context *context;
    struct format *format;
    struct postgres_settings settings;
    struct postgres postgres;
    struct input input;
    char *input_name;
    char *query; /* without a semicolon at its end; or the table, quoted */
    struct string key;
    int key_column;
    struct postgres_columns columns;
    enum source_phase phase;
    struct io_request poll;
    bool stopping;
    struct batch *offered[OFFERS]; /* a ring */
    unsigned offered_first;
    unsigned offered_count;
    /* the batch being filled is the first one offered */
    struct buffer text; /* over its memory */
    bool filling;
    bool row_pending; /* postgres.result holds a row that was not written yet */
    int64_t filling_since;
    uint64_t rows; /* in it */
    uint64_t row_bytes;
    bool started;
    /* where reading stands: behind the last row written */
    uint64_t offset;
    uint64_t records;
    char last_key[BATCH_KEY_SIZE]; /* JSON text */
    uint32_t last_key_length;      /* 0: none */
    int64_t lost_since;
    int64_t pause;
    int64_t pause_until;
    int64_t moved;
};

/* ---- opening (main thread) ---- */

static bool query_take(struct postgres_source *source, const struct options *options,
                       struct error *error)
{
    struct string query = option_text(options, "query", "");
    struct string table = option_text(options, "table", "");
    struct string schema = option_text(options, "schema", "");
    struct sql_text sql = {0}, name = {0};
    if ((query.length > 0) == (table.length > 0))
        return error_set(error, ERROR_PROGRAM, "from postgres reads a `query` or a `table`");
    if (query.length > 0 && memchr(query.data, 0, query.length))
        return error_set(error, ERROR_PROGRAM, "a query cannot hold U+0000");
    while (query.length > 0 && strchr("; \t\r\n", query.data[query.length - 1]))
        query.length--;
    if (table.length > 0) {
        sql_append(&sql, schema.length > 0 ? "%I." : "", &schema);
        sql_append(&sql, "%I", &table);
        sql_append(&name, "postgres %s: %s", source->settings.shown, sql.text ? sql.text : "");
    } else {
        source->query = memory_copy_text(query.data, query.length);
        sql_append(&sql, "(%s\n) AS leat_query", source->query ? source->query : "");
        sql_append(&name, "postgres %s: query", source->settings.shown);
    }
    free(source->query);
    source->query = sql.text;
    source->input_name = name.text;
    source->input.name = name.text;
    return (sql.text && name.text) || error_set(error, ERROR_MEMORY, "no memory for a query");
}

static bool options_read(struct postgres_source *source, const struct options *options,
                         struct error *error)
{
    struct postgres_settings *settings = &source->settings;
    if (!postgres_settings_open(settings, option_text(options, "dsn", ""), error))
        return false;
    settings->statement_timeout = option_integer(options, "statement_timeout", 0);
    settings->connect_timeout =
        option_integer(options, "connect_timeout", settings->connect_timeout);
    source->key = option_text(options, "key", "");
    const struct option_value *params = option_find(options, "params");
    if (settings->connect_timeout <= 0)
        return error_set(error, ERROR_PROGRAM, "connect_timeout must be longer than nothing");
    if (params && !option_given(options, "query"))
        return error_set(error, ERROR_PROGRAM, "`params` are those of a `query`");
    if (params && params->item_count > PARAMETERS)
        return error_set(error, ERROR_PROGRAM, "a query has at most %d params", PARAMETERS);
    if (option_word_is(options, "incremental", "yes") && source->key.length == 0)
        return error_set(error, ERROR_PROGRAM,
                         "incremental needs `key`: the column by which new rows are known");
    if (option_find(options, "incremental"))
        source->base.incremental = option_word_is(options, "incremental", "yes") ? 1 : -1;
    else if (source->key.length == 0)
        source->base.incremental = -1;
    source->base.replayable = source->key.length > 0;
    return query_take(source, options, error);
}

static bool format_open(struct postgres_source *source, struct error *error)
{
    const struct format_ops *ops = format_find(source->context->formats, STRING("ndjson"));
    CHECK(ops);
    if (!ops->open(NULL, &source->format, error))
        return false;
    source->base.format = source->format;
    return true;
}

static void postgres_source_close(struct source *base)
{
    struct postgres_source *source = (struct postgres_source *)base;
    postgres_close(&source->postgres);
    postgres_columns_close(&source->columns);
    postgres_settings_close(&source->settings);
    if (source->format)
        source->format->ops->close(source->format);
    free(source->query);
    free(source->input_name);
    free(source);
}

static bool postgres_source_open(struct source_context *context, struct source **result,
                                 struct error *error)
{
    extern const struct source_ops source_postgres;
    struct postgres_source *source = memory_take_zeroed(1, sizeof(*source));
    if (!source)
        return error_set(error, ERROR_MEMORY, "no memory for a source");
    source->base.ops = &source_postgres;
    source->context = context;
    source->base.inputs = &source->input;
    source->base.input_count = 1;
    if (options_read(source, context->options, error) && format_open(source, error) &&
        postgres_columns_open(&source->columns, error) &&
        postgres_open(&source->postgres, &source->settings, error)) {
        source->phase = READ_PAUSES; /* until the first batch is asked for */
        source->moved = clock_monotonic();
        *result = &source->base;
        return true;
    }
    postgres_source_close(&source->base);
    return false;
}

static bool postgres_source_seek(struct source *base, const struct position *position,
                                 struct error *error)
{
    struct postgres_source *source = (struct postgres_source *)base;
    if (position->key.length > sizeof(source->last_key))
        return error_set(error, ERROR_STATE, "the recorded key is longer than a key can be");
    memcpy(source->last_key, position->key.data, position->key.length);
    source->last_key_length = (uint32_t)position->key.length;
    source->offset = position->offset;
    source->records = position->line;
    source->started = position->line > 0;
    return true;
}

/* ---- the query ---- */

/* The last key as an SQL literal: the content of a JSON string, or the text itself. */
static void key_append(struct sql_text *sql, const struct postgres_source *source)
{
    char memory[2 * BATCH_KEY_SIZE];
    struct arena arena = {.base = memory, .limit = sizeof(memory), .reserved = sizeof(memory)};
    struct value value =
        value_resolve(value_raw(source->last_key, source->last_key_length), &arena);
    struct string text = {source->last_key, source->last_key_length};
    if (value.kind == VALUE_STRING)
        text = (struct string){value.text, value.length};
    sql_append(sql, "%L", &text);
}

static bool prepare(struct postgres_source *source, struct error *error)
{
    struct sql_text sql = {0};
    sql_append(&sql, "SELECT * FROM %s", source->query);
    if (source->last_key_length > 0) {
        sql_append(&sql, " WHERE %I > ", &source->key);
        key_append(&sql, source);
    }
    if (source->key.length > 0)
        sql_append(&sql, " ORDER BY %I", &source->key);
    if (!sql.text)
        return error_set(error, ERROR_MEMORY, "no memory for a query");
    source->phase = READ_PREPARES;
    postgres_prepare(&source->postgres, STATEMENT, sql.text);
    free(sql.text);
    return true;
}

static bool run(struct postgres_source *source)
{
    const struct option_value *params = option_find(source->context->options, "params");
    const char *values[PARAMETERS];
    char *copies[PARAMETERS];
    int count = params ? (int)params->item_count : 0;
    bool good = true;
    for (int i = 0; i < count; i++) {
        struct string word = params->items[i].word;
        values[i] = copies[i] = memory_copy_text(word.data, word.length);
        good &= copies[i] != NULL;
    }
    source->phase = READ_RUNS;
    if (good)
        postgres_execute(&source->postgres, STATEMENT, count, values, NULL, NULL);
    postgres_by_rows(&source->postgres);
    for (int i = 0; i < count; i++)
        free(copies[i]);
    return good;
}

static bool key_find(struct postgres_source *source, const PGresult *result, struct error *error)
{
    source->key_column = -1;
    for (int i = 0; i < PQnfields(result) && source->key.length > 0; i++)
        if (string_equal_text(source->key, PQfname(result, i)))
            source->key_column = i;
    if (source->key.length > 0 && source->key_column < 0)
        return error_set(error, ERROR_DATABASE, "there is no column %.*s, the key, in %s",
                         (int)source->key.length, source->key.data, source->input_name);
    return true;
}

static bool described(struct postgres_source *source, struct error *error)
{
    const PGresult *result = source->postgres.result;
    const struct option_value *params = option_find(source->context->options, "params");
    int given = params ? (int)params->item_count : 0;
    if (PQnparams(result) != given)
        return error_set(error, ERROR_DATABASE,
                         "the query has %d parameters, and %d params are given", PQnparams(result),
                         given);
    if (!postgres_columns_take(&source->columns, result))
        return error_set(error, ERROR_MEMORY, "no memory for the columns of %s",
                         source->input_name);
    if (!key_find(source, result, error))
        return false;
    if (postgres_columns_unknown(&source->columns) < 0)
        return run(source) || error_set(error, ERROR_MEMORY, "no memory for params");
    struct sql_text sql = {0};
    sql_append(&sql, "SELECT t.oid, coalesce(e.oid, 0), coalesce(e.typtype, t.typtype), "
                     "coalesce(e.typname, t.typname) FROM pg_catalog.pg_type t LEFT JOIN "
                     "pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' WHERE "
                     "t.oid IN (0");
    for (int i = 0; i < source->columns.count; i++) {
        int64_t oid = source->columns.oids[i];
        if (source->columns.types[i].kind == POSTGRES_UNKNOWN)
            sql_append(&sql, ", %d", &oid);
    }
    sql_append(&sql, ")");
    if (!sql.text)
        return error_set(error, ERROR_MEMORY, "no memory for a query");
    source->phase = READ_KINDS;
    postgres_send(&source->postgres, sql.text);
    free(sql.text);
    return true;
}

static bool kinds_known(struct postgres_source *source, struct error *error)
{
    const PGresult *result = source->postgres.result;
    struct postgres_columns *columns = &source->columns;
    for (int row = 0; row < PQntuples(result); row++) {
        uint32_t oid = (uint32_t)strtoul(PQgetvalue(result, row, 0), NULL, 10);
        uint32_t element = (uint32_t)strtoul(PQgetvalue(result, row, 1), NULL, 10);
        for (int i = 0; i < columns->count; i++)
            if (columns->oids[i] == oid)
                columns->types[i] = (struct postgres_type){
                    .kind = postgres_kind_named(PQgetvalue(result, row, 2)[0],
                                                PQgetvalue(result, row, 3)),
                    .is_array = element != 0,
                    .element_oid = element};
    }
    int unknown = postgres_columns_unknown(columns);
    if (unknown >= 0) {
        uint32_t start = unknown ? columns->name_ends[unknown - 1] : 0;
        return error_set(error, ERROR_DATABASE,
                         "column %.*s of %s has a type that leat cannot read; cast it to text in "
                         "a query",
                         (int)(columns->name_ends[unknown] - start - 1),
                         columns->names.data + start, source->input_name);
    }
    return run(source) || error_set(error, ERROR_MEMORY, "no memory for params");
}

/* ---- batches ---- */

static struct batch *first_offered(const struct postgres_source *source)
{
    return source->offered_count ? source->offered[source->offered_first] : NULL;
}

static void filling_begin(struct postgres_source *source, struct batch *batch)
{
    source->text = (struct buffer){.data = batch->memory + BATCH_HEADROOM,
                                   .limit = batch->text_soft,
                                   .soft = batch->text_soft,
                                   .reserved = batch->text_reserved};
    batch->jumbo = false;
    batch->overlong = false;
    batch->overlong_length = 0;
    source->filling = true;
    source->filling_since = clock_monotonic();
    source->rows = 0;
    source->row_bytes = 0;
}

static struct batch *offered_take(struct postgres_source *source)
{
    struct batch *batch = first_offered(source);
    source->offered_first = (source->offered_first + 1) % OFFERS;
    source->offered_count--;
    source->filling = false;
    return batch;
}

static void batch_emit(struct postgres_source *source, struct batch **out, bool ends)
{
    struct batch *batch = offered_take(source);
    uint64_t first = source->records - source->rows;
    batch->text = source->text.data;
    batch->text_length = (uint32_t)source->text.length;
    batch->origin =
        (struct origin){.input = 0, .offset = source->offset, .line = first + 1, .record = first};
    source->offset += source->text.length;
    batch->content_end = source->offset;
    batch->line_end = source->records;
    batch->bytes_read = source->row_bytes;
    batch->format_state = 0;
    batch->names = NULL;
    batch->input_name = source->input_name;
    batch->frame = 0;
    memcpy(batch->key, source->last_key, source->last_key_length);
    batch->key_length = source->last_key_length;
    batch->starts_input = !source->started;
    batch->ends_input = ends;
    source->started = true;
    *out = batch;
}

/* ---- rows ---- */

static size_t row_size(const PGresult *result)
{
    size_t size = 0;
    for (int i = 0; i < PQnfields(result); i++)
        size += (size_t)PQgetlength(result, 0, i) + 4;
    return size;
}

/* Keeps the row's key as JSON text; it must be there, fit, and differ from the one before. */
static bool key_take(struct postgres_source *source, const PGresult *result, struct error *error)
{
    char memory[BATCH_KEY_SIZE + BUFFER_SLACK];
    struct buffer text = {.data = memory, .limit = BATCH_KEY_SIZE};
    int column = source->key_column;
    bool corrupt = false;
    if (column < 0)
        return true;
    if (PQgetisnull(result, 0, column))
        return error_set(error, ERROR_DATABASE, "the key %.*s is null in a row of %s",
                         (int)source->key.length, source->key.data, source->input_name);
    if (!postgres_decode(PQgetvalue(result, 0, column), (size_t)PQgetlength(result, 0, column),
                         &source->columns.types[column], &text, &corrupt))
        return error_set(
            error, ERROR_DATABASE, "the key %.*s is longer than %d bytes in a row of %s",
            (int)source->key.length, source->key.data, BATCH_KEY_SIZE, source->input_name);
    if (text.length == source->last_key_length &&
        memcmp(text.data, source->last_key, text.length) == 0)
        return error_set(error, ERROR_DATABASE,
                         "the key %.*s is not unique: %.*s stands in two rows of %s",
                         (int)source->key.length, source->key.data, (int)size_min(text.length, 60),
                         text.data, source->input_name);
    memcpy(source->last_key, text.data, text.length);
    source->last_key_length = (uint32_t)text.length;
    return true;
}

enum row_step { STEP_WRITTEN, STEP_FULL, STEP_BLOCKED, STEP_OVERLONG, STEP_FAILED };

/* Writes the pending row into the batch being filled. */
static enum row_step row_write(struct postgres_source *source, struct error *error)
{
    struct batch *batch = first_offered(source);
    const PGresult *result = source->postgres.result;
    struct buffer *text = &source->text;
    size_t start = text->length;
    enum postgres_row_result made;
    for (;;) {
        made = postgres_row_append(&source->columns, result, 0, text);
        if (made == POSTGRES_ROW_WHOLE && buffer_append_byte(text, '\n'))
            break;
        text->length = start;
        if (made == POSTGRES_ROW_CORRUPT) {
            error_set(error, ERROR_CORRUPT, "a row of %s is not of the types that were described",
                      source->input_name);
            return STEP_FAILED;
        }
        if (start > 0)
            return STEP_FULL; /* its own batch, the next one */
        if (batch->jumbo)
            return STEP_OVERLONG;
        if (!source->context->jumbo_take(source->context->jumbo_context))
            return STEP_BLOCKED;
        batch->jumbo = true;
        text->limit = size_min(batch->text_reserved, source->context->limits.record_limit + 1);
    }
    if (!key_take(source, result, error))
        return STEP_FAILED;
    source->row_bytes += row_size(result);
    source->rows++;
    source->records++;
    source->row_pending = false;
    __atomic_fetch_add(&source->base.bytes_done, row_size(result), __ATOMIC_RELAXED);
    return STEP_WRITTEN;
}

/* A row beyond the limit: its first bytes, for the runtime to reject. */
static bool overlong_emit(struct postgres_source *source, struct batch **out, struct error *error)
{
    struct batch *batch = first_offered(source);
    const PGresult *result = source->postgres.result;
    source->text.limit = batch->text_reserved;
    (void)postgres_row_append(&source->columns, result, 0, &source->text);
    size_t length = source->text.length;
    source->text.length = size_min(length, OVERLONG_KEEP);
    batch->overlong = true;
    batch->overlong_length = size_max(length, row_size(result));
    if (!key_take(source, result, error))
        return false;
    source->rows = 1;
    source->records++;
    source->row_pending = false;
    source->row_bytes = row_size(result);
    batch_emit(source, out, false);
    return true;
}

/* ---- driving ---- */

static bool source_lost(struct postgres_source *source, struct error *error)
{
    int64_t now = clock_monotonic();
    int64_t patience = source->context->limits.timeout;
    bool began = source->phase == READ_RUNS || source->started || source->rows > 0;
    bool can = source->key.length > 0 || (source->records == 0 && source->lost_since);
    if (!source->lost_since && source->phase == READ_CONNECTS && !began)
        can = false; /* a wrong address is said at once */
    if (!can ||
        (source->lost_since && now - source->lost_since > (patience > 0 ? patience : PATIENCE)))
        return postgres_fail(&source->postgres,
                             source->phase == READ_CONNECTS ? "connect" : "read the rows", error);
    if (!source->lost_since)
        source->lost_since = now;
    source->pause = source->pause ? 2 * source->pause : PAUSE_FIRST;
    if (source->pause > PAUSE_MOST)
        source->pause = PAUSE_MOST;
    source->pause_until = now + source->pause;
    source->phase = READ_PAUSES;
    source->row_pending = false;
    postgres_disconnect(&source->postgres);
    postgres_timer(&source->postgres, source->pause);
    return true;
}

static bool phase_done(struct postgres_source *source, struct error *error)
{
    switch (source->phase) {
    case READ_CONNECTS:
        return prepare(source, error);
    case READ_PREPARES:
        source->phase = READ_DESCRIBES;
        postgres_describe(&source->postgres, STATEMENT);
        return true;
    case READ_DESCRIBES:
        return described(source, error);
    case READ_KINDS:
        return kinds_known(source, error);
    case READ_RUNS:
        source->phase = READ_ENDS;
        postgres_disconnect(&source->postgres);
        return true;
    case READ_PAUSES:
    case READ_ENDS:
        break;
    }
    return true;
}

static enum source_result source_wait(struct postgres_source *source, struct error *error)
{
    struct io_engine *engine = source->context->engine;
    int64_t patience = source->context->limits.timeout;
    if (!source->poll.pending) {
        source->poll = (struct io_request){.kind = IO_POLL_IN, .fd = source->postgres.descriptor};
        (void)io_engine_submit(engine, &source->poll); /* it is the only one */
    }
    if (patience > 0 && clock_monotonic() - source->moved > patience) {
        error_set(error, ERROR_TIMEOUT, "no row came from %s within the timeout",
                  source->input_name);
        return SOURCE_FAIL;
    }
    return SOURCE_WAIT;
}

/* Steps the connection until a row is there, or the end. READY: go on. */
static enum source_result connection_step(struct postgres_source *source, struct error *error)
{
    if (source->phase == READ_PAUSES) {
        if (clock_monotonic() < source->pause_until)
            return source_wait(source, error);
        source->phase = READ_CONNECTS;
        postgres_connect(&source->postgres);
    }
    switch (postgres_step(&source->postgres)) {
    case POSTGRES_WAIT:
        return source_wait(source, error);
    case POSTGRES_ROW:
        source->row_pending = true;
        source->lost_since = source->pause = 0;
        source->moved = clock_monotonic();
        return SOURCE_READY;
    case POSTGRES_DONE:
        source->moved = clock_monotonic();
        return phase_done(source, error) ? SOURCE_READY : SOURCE_FAIL;
    case POSTGRES_COPIES:
        error_set(error, ERROR_DATABASE, "a COPY is no query: write the query that it copies");
        return SOURCE_FAIL;
    case POSTGRES_FAILED:
        break;
    }
    if (source->postgres.lost)
        return source_lost(source, error) ? SOURCE_READY : SOURCE_FAIL;
    postgres_fail(&source->postgres, "run the query", error);
    return SOURCE_FAIL;
}

/* What is left when no more rows come. */
static enum source_result source_end(struct postgres_source *source, struct batch **out)
{
    if (!source->filling || source->rows == 0)
        return SOURCE_END;
    batch_emit(source, out, true);
    return SOURCE_READY;
}

/* A batch that is not full, when rows come slowly. */
static bool batch_is_due(struct postgres_source *source)
{
    if (!source->filling || source->rows == 0)
        return false;
    source->base.wake = source->filling_since + LATENCY;
    return clock_monotonic() >= source->base.wake;
}

static enum source_result postgres_source_take(struct source *base, struct batch **out,
                                               struct error *error)
{
    struct postgres_source *source = (struct postgres_source *)base;
    source->base.wake = 0;
    while (io_engine_reap(source->context->engine))
        continue; /* the poll, done: stepping will show why */
    for (;;) {
        if (source->phase == READ_ENDS || source->stopping)
            return source_end(source, out);
        if (!source->filling && first_offered(source))
            filling_begin(source, first_offered(source));
        if (!source->filling)
            return SOURCE_WAIT; /* for a batch */
        if (!source->row_pending) {
            enum source_result result = connection_step(source, error);
            if (result == SOURCE_WAIT && batch_is_due(source)) {
                batch_emit(source, out, false);
                return SOURCE_READY;
            }
            if (result != SOURCE_READY)
                return result;
            continue;
        }
        switch (row_write(source, error)) {
        case STEP_WRITTEN:
            break;
        case STEP_FULL:
            batch_emit(source, out, false);
            return SOURCE_READY;
        case STEP_BLOCKED:
            return SOURCE_WAIT;
        case STEP_OVERLONG:
            return overlong_emit(source, out, error) ? SOURCE_READY : SOURCE_FAIL;
        case STEP_FAILED:
            return SOURCE_FAIL;
        }
    }
}

static bool postgres_source_offer(struct source *base, struct batch *batch)
{
    struct postgres_source *source = (struct postgres_source *)base;
    if (source->offered_count == OFFERS || source->phase == READ_ENDS || source->stopping)
        return false;
    source->offered[(source->offered_first + source->offered_count) % OFFERS] = batch;
    source->offered_count++;
    return true;
}

static void postgres_source_stop(struct source *base)
{
    struct postgres_source *source = (struct postgres_source *)base;
    if (source->stopping)
        return;
    source->stopping = true;
    if (source->postgres.state == POSTGRES_BUSY)
        postgres_cancel(&source->postgres); /* or the server would go on with a long query */
    postgres_disconnect(&source->postgres);
}

static struct batch *postgres_source_reclaim(struct source *base)
{
    struct postgres_source *source = (struct postgres_source *)base;
    if (!source->offered_count)
        return NULL;
    source->stopping = true; /* what is written of a batch goes with it */
    return offered_take(source);
}

const struct source_ops source_postgres = {
    .noun = &noun,
    .open = postgres_source_open,
    .seek = postgres_source_seek,
    .offer = postgres_source_offer,
    .take = postgres_source_take,
    .stop = postgres_source_stop,
    .reclaim = postgres_source_reclaim,
    .close = postgres_source_close,
};
