/* The source `from sqlite`: the rows of a query or a table as NDJSON, one object a row, values as
 * clients/sqlite_row.h has them, all of one snapshot (one read transaction). A call of take steps
 * the query for at most one batch of rows.
 *
 * With `key` the rows come in its order and the position is the last key read, so that a run can go
 * on behind it, after a crash or (incremental) another day. The database is opened and the query
 * looked at when the pipeline is checked. open and seek run on the main thread; everything else on
 * the source's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clients/sqlite_row.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/number.h"
#include "core/raw.h"
#include "core/source.h"
#include "core/utf8.h"
#include "io/sqlite_database.h"
#include "lang/json_check.h"

#define OFFERS        16
#define PATIENCE      (5 * NANOSECONDS)
#define OVERLONG_KEEP 4096

static const struct option_spec option_specs[] = {
    {"path", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the database file"},
    {"query", OPTION_STRING, 0, NULL, NULL,
     "the query whose rows are read; its parameters are ? or $1 …"},
    {"params", OPTION_STRINGS, 0, NULL, NULL,
     "the values of the parameters; what reads as a number is one"},
    {"table", OPTION_NAME, 0, NULL, NULL, "the table to read, instead of a query"},
    {"key", OPTION_NAME, 0, NULL, NULL,
     "a column without nulls and duplicates: rows come in its order, and a run can go on behind "
     "the last one"},
    {"incremental", OPTION_WORD, 0, "yes|no", NULL,
     "whether a rerun reads only rows behind the last key; needs key; as the sinks append if left "
     "out"},
    {0},
};

static const struct noun noun = {
    .name = "sqlite",
    .doc = "Reads the rows of a query or a table of an SQLite database",
    .example = NULL,
    .options = option_specs,
};

struct sqlite_source {
    struct source base;
    struct source_context *context;
    struct format *format;
    struct input input;
    char *path;
    char *input_name;
    char *query; /* to stand behind FROM: the table, or the query in parentheses */
    struct string key;
    int key_column; /* -1: none */
    struct database database;
    sqlite3_stmt *statement;
    struct sqlite_columns columns;
    bool stepped;
    bool row_pending; /* the statement stands on a row that was not written yet */
    bool ended;
    bool stopping;
    struct batch *offered[OFFERS]; /* a ring; the first one is being filled */
    unsigned offered_first;
    unsigned offered_count;
    struct buffer text; /* over its memory */
    bool filling;
    uint64_t rows; /* in it */
    bool started;
    /* where reading stands: behind the last row written */
    uint64_t offset;
    uint64_t records;
    char last_key[BATCH_KEY_SIZE];  /* JSON text */
    uint32_t last_key_length;       /* 0: none */
    char first_key[BATCH_KEY_SIZE]; /* as seek had it, for input.at */
};

/* ---- opening (main thread) ---- */

static bool query_take(struct sqlite_source *source, const struct options *options,
                       struct error *error)
{
    struct string query = option_text(options, "query", "");
    struct string table = option_text(options, "table", "");
    struct string path = option_text(options, "path", "");
    if ((query.length > 0) == (table.length > 0))
        return error_set(error, ERROR_PROGRAM, "from sqlite reads a `query` or a `table`");
    if (memchr(query.data, 0, query.length) || memchr(table.data, 0, table.length) ||
        memchr(path.data, 0, path.length))
        return error_set(error, ERROR_PROGRAM, "a query and a name cannot hold U+0000");
    while (query.length > 0 && strchr("; \t\r\n", query.data[query.length - 1]))
        query.length--;
    const char *what = query.length > 0 ? "query" : "table ";
    source->path = memory_copy_text(path.data, path.length);
    source->input_name = sqlite3_mprintf("sqlite %.*s: %s%.*s", (int)path.length, path.data, what,
                                         (int)table.length, table.data);
    source->query = query.length > 0 ? sqlite3_mprintf("(%.*s\n)", (int)query.length,
                                                       query.data) /* it may end in -- … */
                                     : sqlite3_mprintf("\"%.*w\"", (int)table.length, table.data);
    source->input.name = source->input_name;
    return (source->path && source->input_name && source->query) ||
           error_set(error, ERROR_MEMORY, "no memory for a query");
}

static bool options_read(struct sqlite_source *source, const struct options *options,
                         struct error *error)
{
    source->key = option_text(options, "key", "");
    bool keyed = source->key.length > 0;
    if (option_find(options, "params") && !option_given(options, "query"))
        return error_set(error, ERROR_PROGRAM, "`params` are those of a `query`");
    if (option_word_is(options, "incremental", "yes") && !keyed)
        return error_set(error, ERROR_PROGRAM,
                         "incremental needs `key`: the column by which new rows are known");
    if (option_find(options, "incremental"))
        source->base.incremental = option_word_is(options, "incremental", "yes") ? 1 : -1;
    else if (!keyed)
        source->base.incremental = -1;
    source->base.replayable = keyed;
    return query_take(source, options, error);
}

/* A parameter that reads as a number is one: `where id > ?` compares as it looks. */
static int text_bind(sqlite3_stmt *statement, int index, struct string text)
{
    int64_t integer;
    double real;
    switch (number_parse(text.data, text.length, &integer, &real)) {
    case NUMBER_INT:
        return sqlite3_bind_int64(statement, index, integer);
    case NUMBER_DOUBLE:
        return sqlite3_bind_double(statement, index, real);
    case NUMBER_INVALID:
    case NUMBER_OUT_OF_RANGE:
        break;
    }
    return sqlite3_bind_text64(statement, index, text.data, text.length, SQLITE_TRANSIENT,
                               SQLITE_UTF8);
}

/* The last key: the content of a JSON string, or a number. */
static int key_bind(const struct sqlite_source *source, int index)
{
    char memory[2 * BATCH_KEY_SIZE];
    struct arena arena = {.base = memory, .limit = sizeof(memory), .reserved = sizeof(memory)};
    struct value value =
        value_resolve(value_raw(source->last_key, source->last_key_length), &arena);
    if (value.kind != VALUE_STRING)
        return text_bind(source->statement, index,
                         (struct string){source->last_key, source->last_key_length});
    return sqlite3_bind_text64(source->statement, index, value.text, value.length, SQLITE_TRANSIENT,
                               SQLITE_UTF8);
}

static int params_given(const struct sqlite_source *source)
{
    const struct option_value *params = option_find(source->context->options, "params");
    return params ? (int)params->item_count : 0;
}

/* Binds the params to the statement, whose own parameters they are, but for the last key's. */
static bool params_bind(struct sqlite_source *source, bool keyed, struct error *error)
{
    const struct option_value *params = option_find(source->context->options, "params");
    sqlite3_stmt *statement = source->statement;
    int given = params_given(source);
    int count = sqlite3_bind_parameter_count(statement);
    int wanted = sqlite_parameters_wanted(statement);
    if (wanted < 0)
        return error_set(error, ERROR_PROGRAM, "a parameter is written ?, ?1 or $1, not by a name");
    if (wanted - keyed != given)
        return error_set(error, ERROR_PROGRAM,
                         "the query has %d parameters, and %d params are given", wanted - keyed,
                         given);
    int code = SQLITE_OK;
    for (int i = 1; i <= count && code == SQLITE_OK; i++) {
        int number = sqlite_parameter_number(statement, i);
        code = number > given ? key_bind(source, i)
                              : text_bind(statement, i, params->items[number - 1].word);
    }
    return code == SQLITE_OK || database_fail(&source->database, "bind params", error);
}

static bool key_find(struct sqlite_source *source, struct error *error)
{
    source->key_column = -1;
    if (source->key.length == 0)
        return true;
    for (int i = 0; i < sqlite3_column_count(source->statement); i++) {
        const char *name = sqlite3_column_name(source->statement, i);
        if (name && string_equal_text(source->key, name))
            source->key_column = i;
    }
    return source->key_column >= 0 ||
           error_set(error, ERROR_DATABASE, "there is no column %.*s, the key",
                     (int)source->key.length, source->key.data);
}

/* Prepares the query behind the last key. Keys compare as bytes, whatever the column's own order:
 * of keys that are equal in that order (A and a) a run that goes on would skip the second. */
static bool query_prepare(struct sqlite_source *source, struct error *error)
{
    struct string key = source->key;
    bool behind = source->last_key_length > 0;
    sqlite3_str *sql = sqlite3_str_new(source->database.connection);
    sqlite3_str_appendf(sql, "SELECT * FROM %s", source->query);
    if (behind)
        sqlite3_str_appendf(sql, " WHERE \"%.*w\" COLLATE BINARY > ?%d", (int)key.length, key.data,
                            params_given(source) + 1);
    if (key.length > 0)
        sqlite3_str_appendf(sql, " ORDER BY \"%.*w\" COLLATE BINARY", (int)key.length, key.data);
    char *text = sqlite3_str_finish(sql);
    if (!text)
        return error_set(error, ERROR_MEMORY, "no memory for a query");
    sqlite3_finalize(source->statement);
    source->statement = NULL;
    bool done =
        database_prepare(&source->database, "run the query", text, &source->statement, error) &&
        params_bind(source, behind, error) && key_find(source, error);
    sqlite3_free(text);
    return done && (sqlite_columns_take(&source->columns, source->statement) ||
                    error_set(error, ERROR_MEMORY, "no memory for the columns"));
}

/* The columns' names, so that `check` knows the fields; one block, the source's. */
static bool names_take(struct sqlite_source *source, struct error *error)
{
    uint32_t count = (uint32_t)source->columns.count;
    size_t size = sizeof(struct field_names) + 2 * count * sizeof(struct string);
    for (uint32_t i = 0; i < count; i++)
        size += strlen(sqlite3_column_name(source->statement, (int)i));
    struct field_names *names = memory_take(size);
    if (!names)
        return error_set(error, ERROR_MEMORY, "no memory for the columns");
    struct string *plain = (struct string *)(names + 1);
    char *text = (char *)(plain + 2 * count);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = sqlite3_column_name(source->statement, (int)i);
        plain[i] = (struct string){text, strlen(name)};
        memcpy(text, name, plain[i].length);
        text += plain[i].length;
        plain[count + i] = source->columns.names[i];
    }
    *names = (struct field_names){.count = count, .names = plain, .json_names = plain + count};
    source->input.names = names;
    return true;
}

static bool format_open(struct sqlite_source *source, struct error *error)
{
    const struct format_ops *ops = format_find(source->context->formats, STRING("ndjson"));
    CHECK(ops);
    if (!ops->open(NULL, &source->format, error))
        return false;
    source->base.format = source->format;
    return true;
}

static bool database_look(struct sqlite_source *source, struct error *error)
{
    const struct source_limits *limits = &source->context->limits;
    struct stat status;
    if (stat(source->path, &status) == 0) {
        source->input.device = status.st_dev;
        source->input.inode = status.st_ino;
    }
    bool done = database_open(&source->database, source->path, DATABASE_READ, PATIENCE,
                              limits->decoders * limits->decoder_memory, error) &&
                query_prepare(source, error);
    return done || error_add_context(error, "%s", source->input_name);
}

static void database_leave(struct sqlite_source *source)
{
    sqlite3_finalize(source->statement);
    source->statement = NULL;
    database_close(&source->database); /* and the snapshot */
}

static void sqlite_source_close(struct source *base)
{
    struct sqlite_source *source = (struct sqlite_source *)base;
    database_leave(source);
    sqlite_columns_close(&source->columns);
    if (source->format)
        source->format->ops->close(source->format);
    free(source->input.names);
    free(source->path);
    sqlite3_free(source->query);
    sqlite3_free(source->input_name);
    free(source);
}

static bool sqlite_source_open(struct source_context *context, struct source **result,
                               struct error *error)
{
    extern const struct source_ops source_sqlite;
    struct sqlite_source *source = memory_take_zeroed(1, sizeof(*source));
    if (!source)
        return error_set(error, ERROR_MEMORY, "no memory for a source");
    source->base.ops = &source_sqlite;
    source->context = context;
    source->base.inputs = &source->input;
    source->base.input_count = 1;
    if (options_read(source, context->options, error) && format_open(source, error) &&
        database_look(source, error) && names_take(source, error)) {
        *result = &source->base;
        return true;
    }
    sqlite_source_close(&source->base);
    return false;
}

/* A key as key_take makes it, or none; a record may come from anywhere. */
static bool key_recorded(struct string key)
{
    int64_t integer;
    double real;
    if (key.length == 0)
        return true;
    if (key.length > BATCH_KEY_SIZE || !json_check(key))
        return false;
    enum number_kind kind = number_parse(key.data, key.length, &integer, &real);
    return key.data[0] == '"' || kind == NUMBER_INT || kind == NUMBER_DOUBLE;
}

static bool sqlite_source_seek(struct source *base, const struct position *position,
                               struct error *error)
{
    struct sqlite_source *source = (struct sqlite_source *)base;
    const struct source_context *context = source->context;
    const struct input *recorded = context->input_count > 0 ? &context->inputs[0] : NULL;
    if (recorded && !context->incremental && recorded->inode &&
        (recorded->inode != source->input.inode || recorded->device != source->input.device))
        return error_set(error, ERROR_STATE,
                         "%s is another file than the one that was read; --fresh begins anew",
                         source->path);
    if (!key_recorded(position->key))
        return error_set(error, ERROR_STATE,
                         "the recorded key is no text and no number; --fresh begins anew");
    memcpy(source->last_key, position->key.data, position->key.length);
    memcpy(source->first_key, position->key.data, position->key.length);
    source->last_key_length = (uint32_t)position->key.length;
    source->offset = position->offset;
    source->records = position->line;
    source->started = position->line > 0;
    source->input.at = *position;
    source->input.at.key = (struct string){source->first_key, position->key.length};
    return query_prepare(source, error) || error_add_context(error, "%s", source->input_name);
}

/* ---- batches (the source's thread) ---- */

static void filling_begin(struct sqlite_source *source, struct batch *batch)
{
    source->text = (struct buffer){.data = batch->memory + BATCH_HEADROOM,
                                   .limit = batch->text_soft,
                                   .soft = batch->text_soft,
                                   .reserved = batch->text_reserved};
    batch->jumbo = false;
    batch->overlong = false;
    batch->overlong_length = 0;
    source->filling = true;
    source->rows = 0;
}

static struct batch *offered_take(struct sqlite_source *source)
{
    struct batch *batch = source->offered[source->offered_first];
    source->offered_first = (source->offered_first + 1) % OFFERS;
    source->offered_count--;
    source->filling = false;
    return batch;
}

static void batch_emit(struct sqlite_source *source, struct batch **out, bool ends)
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
    batch->bytes_read = source->text.length;
    batch->format_state = 0;
    batch->state_end = 0;
    batch->names = NULL;
    batch->input_name = source->input_name;
    batch->frame = batch->frame_offset = 0;
    memcpy(batch->key, source->last_key, source->last_key_length);
    batch->key_length = source->last_key_length;
    batch->starts_input = !source->started;
    batch->ends_input = ends;
    source->started = true;
    __atomic_fetch_add(&source->base.bytes_done, batch->bytes_read, __ATOMIC_RELAXED);
    *out = batch;
}

/* ---- rows ---- */

/* Keeps the row's key as JSON text; it must be there, fit, be no blob, and differ from the one
 * before. */
static bool key_take(struct sqlite_source *source, struct error *error)
{
    char memory[BATCH_KEY_SIZE + BUFFER_SLACK];
    struct buffer text = {.data = memory, .limit = BATCH_KEY_SIZE, .reserved = BATCH_KEY_SIZE};
    int column = source->key_column;
    int length = (int)source->key.length;
    const char *name = source->key.data;
    if (column < 0)
        return true;
    int type = sqlite3_column_type(source->statement, column);
    if (type == SQLITE_NULL || type == SQLITE_BLOB)
        return error_set(error, ERROR_DATABASE, "%s: the key %.*s is %s in a row",
                         source->input_name, length, name, type == SQLITE_NULL ? "null" : "a blob");
    if (!sqlite_value_append(source->statement, column, &text))
        return error_set(error, ERROR_DATABASE, "%s: the key %.*s is longer than %d bytes in a row",
                         source->input_name, length, name, BATCH_KEY_SIZE);
    if (!utf8_valid(text.data, text.length))
        return error_set(error, ERROR_DATABASE, "%s: the key %.*s is not UTF-8 in a row",
                         source->input_name, length, name);
    if (text.length == source->last_key_length &&
        memcmp(text.data, source->last_key, text.length) == 0)
        return error_set(
            error, ERROR_DATABASE, "%s: the key %.*s is not unique: %.*s stands in two rows",
            source->input_name, length, name, (int)size_min(text.length, 60), text.data);
    memcpy(source->last_key, text.data, text.length);
    source->last_key_length = (uint32_t)text.length;
    return true;
}

enum row_step { STEP_WRITTEN, STEP_FULL, STEP_BLOCKED, STEP_OVERLONG, STEP_FAILED };

static bool row_finish(struct sqlite_source *source, struct error *error)
{
    if (!key_take(source, error))
        return false;
    source->rows++;
    source->records++;
    source->row_pending = false;
    return true;
}

/* Writes the pending row into the batch being filled. */
static enum row_step row_write(struct sqlite_source *source, struct error *error)
{
    struct batch *batch = source->offered[source->offered_first];
    struct buffer *text = &source->text;
    size_t start = text->length;
    while (!sqlite_row_append(&source->columns, source->statement, text) ||
           !buffer_append_byte(text, '\n')) {
        text->length = start;
        if (sqlite3_errcode(source->database.connection) == SQLITE_NOMEM) {
            database_fail(&source->database, "read a row", error);
            return STEP_FAILED;
        }
        if (start > 0)
            return STEP_FULL; /* it goes into the next batch */
        if (batch->jumbo)
            return STEP_OVERLONG;
        if (!source->context->jumbo_take(source->context->jumbo_context))
            return STEP_BLOCKED;
        batch->jumbo = true;
        text->limit = size_min(batch->text_reserved, source->context->limits.record_limit + 1);
    }
    return row_finish(source, error) ? STEP_WRITTEN : STEP_FAILED;
}

/* A row beyond the limit: its first bytes, for the runtime to reject. */
static bool overlong_emit(struct sqlite_source *source, struct batch **out, struct error *error)
{
    struct batch *batch = source->offered[source->offered_first];
    size_t size = 2;
    for (int i = 0; i < source->columns.count; i++)
        size +=
            (size_t)sqlite3_column_bytes(source->statement, i) + source->columns.names[i].length;
    if (!sqlite_row_append(&source->columns, source->statement, &source->text))
        size = size_max(size, source->text.length); /* its beginning is there */
    source->text.length = size_min(source->text.length, OVERLONG_KEEP);
    batch->overlong = true;
    batch->overlong_length = size_max(size, source->context->limits.record_limit + 1);
    if (!row_finish(source, error))
        return false;
    batch_emit(source, out, false);
    return true;
}

/* The next row, unless one is pending; at the end the connection and its snapshot go. */
static bool row_reach(struct sqlite_source *source, struct error *error)
{
    if (source->row_pending)
        return true;
    int code = sqlite3_step(source->statement);
    if (code == SQLITE_ROW) {
        source->row_pending = true;
        if (source->stepped)
            return true;
        source->stepped = true;
        return (sqlite_columns_renew(&source->columns, source->statement) ||
                error_set(error, ERROR_MEMORY, "no memory for the columns")) &&
               key_find(source, error);
    }
    source->ended = true;
    if (code != SQLITE_DONE) {
        database_fail(&source->database, "read the rows", error);
        return error_add_context(error, "%s", source->input_name);
    }
    database_leave(source);
    return true;
}

static enum source_result source_end(struct sqlite_source *source, struct batch **out)
{
    if (!source->filling || source->rows == 0)
        return SOURCE_END;
    batch_emit(source, out, true);
    return SOURCE_READY;
}

static enum source_result sqlite_source_take(struct source *base, struct batch **out,
                                             struct error *error)
{
    struct sqlite_source *source = (struct sqlite_source *)base;
    for (;;) {
        if (source->ended || source->stopping)
            return source_end(source, out);
        if (!source->filling && source->offered_count > 0)
            filling_begin(source, source->offered[source->offered_first]);
        if (!source->filling)
            return SOURCE_WAIT;
        if (!row_reach(source, error))
            return SOURCE_FAIL;
        if (source->ended)
            continue;
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

static bool sqlite_source_offer(struct source *base, struct batch *batch)
{
    struct sqlite_source *source = (struct sqlite_source *)base;
    if (source->offered_count == OFFERS || source->ended || source->stopping)
        return false;
    source->offered[(source->offered_first + source->offered_count) % OFFERS] = batch;
    source->offered_count++;
    return true;
}

static void sqlite_source_stop(struct source *base)
{
    ((struct sqlite_source *)base)->stopping = true;
}

static struct batch *sqlite_source_reclaim(struct source *base)
{
    struct sqlite_source *source = (struct sqlite_source *)base;
    if (!source->offered_count)
        return NULL;
    source->stopping = true; /* what is written of a batch goes with it */
    return offered_take(source);
}

const struct source_ops source_sqlite = {
    .noun = &noun,
    .open = sqlite_source_open,
    .seek = sqlite_source_seek,
    .offer = sqlite_source_offer,
    .take = sqlite_source_take,
    .stop = sqlite_source_stop,
    .reclaim = sqlite_source_reclaim,
    .close = sqlite_source_close,
};
