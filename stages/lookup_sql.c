/* lookup sql: rows of a PostgreSQL or SQLite database. Connections are the transports'
 * (clients/sql_transport.h, clients/sqlite_transport.h); the core is in lookup.c. Main thread, but
 * for sql_make and sql_connect. */
#include <stdlib.h>
#include <string.h>

#include "clients/sql_transport.h"
#include "clients/sqlite_transport.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/raw.h"
#include "stages/lookup_sql.h"

#define PARAMETERS_MOST 32
#define POOL_LEAST      0
#define POOL_MOST       10
#define SQLITE_QUERIES  16 /* that wait for the thread: it never does */
#define IDLE_CHECK      (15 * NANOSECONDS)

struct sql_lookup {
    struct lookup lookup; /* first */
    bool is_sqlite;
    bool rows; /* `rows all`: the answer is a list */
    bool repeatable;
    struct string dsn;  /* the program's; of SQLite the path */
    char *shown;        /* for messages: the database, without secrets */
    struct string peer; /* the same */
    struct string query;
    struct node *nodes; /* of paths in `with` */
    struct sql_transport_settings settings;
    struct transport *transport; /* to PostgreSQL, once it is open; atomic, for the counters */
    const struct expression *parameters[PARAMETERS_MOST];
    uint32_t parameter_count;
    struct value values[PARAMETERS_MOST]; /* of the row at hand */
};

#define LOOKUP_OF_ROWS
static const struct option_spec sql_options[] = {
    {"dsn", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "where the database is: libpq's KEY=VALUE string or postgresql:// URI; sqlite:PATH, or a path "
     "that ends in .db, .sqlite or .sqlite3"},
    {"query", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "the query, one statement; its parameters are $1 …"},
    {"with", OPTION_KEYWORD, OPTION_POSITIONAL | OPTION_WITH_NEXT, NULL, NULL, ""},
    {"parameters", OPTION_SELECTIONS, OPTION_POSITIONAL, NULL, NULL,
     "the values of $1, $2 …: fields, or NAME = EXPRESSION"},
#include "stages/lookup_words.def"
    {"rows", OPTION_WORD, 0, "one|all", "one",
     "one: the first row, as a map; all: a list of the rows"},
    {"batch", OPTION_PHRASE, 0, "N [or DURATION]", NULL,
     "one query for so many records, sent after this time at the latest; $1 is the list of their "
     "keys: = any($1), in SQLite in (select value from json_each($1))"},
    {"by", OPTION_PATH, 0, NULL, NULL, "with batch: the column that holds the key"},
    {"otherwise", OPTION_CHOICE, 0, "reject|stop", NULL,
     "what becomes of the field where the lookup fails or finds no row: an expression, reject or "
     "stop; left out, failures reject, and no row is null"},
    {"retry_budget", OPTION_PERCENT, OPTION_TUNING, NULL, NULL,
     "tries again and hedges are at most this share of first tries; no such bound if left out"},
    {"concurrency", OPTION_INTEGER, OPTION_TUNING, NULL, NULL,
     "queries in flight at most; if left out, as many as the pool has connections, for SQLite 16"},
    {"pool", OPTION_PHRASE, OPTION_TUNING, "[min N] max N", NULL,
     "connections: kept open once there is something to ask, and at most; min 0 max 10 if left "
     "out"},
    {"lifetime", OPTION_DURATION, OPTION_TUNING, NULL, "30m",
     "a connection is replaced when it is so old; 0s: never"},
    {"idle", OPTION_DURATION, OPTION_TUNING, NULL, "5m",
     "a connection above min is closed when it had nothing to do for so long; 0s: never"},
    {"acquire", OPTION_DURATION, OPTION_TUNING, NULL, "10s", "how long to wait for a connection"},
    {"statement_timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "the longest that the server works on a query; as timeout if left out"},
    {"connect_timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "how long to wait until a connection stands; 10s if left out"},
    {0},
};

static const struct noun sql_noun = {
    .name = "sql",
    .doc = "Enriches each record by a query in a PostgreSQL or SQLite database; its row becomes a "
           "field",
    .example = "lookup sql \"host=/run/postgresql dbname=shop\" \"select name, tier from users "
               "where id = $1\"\n"
               "    with user_id as user {\n"
               "    pool min 2 max 10\n"
               "    cache 100000 for 10m\n"
               "    retry 4  backoff 200ms..10s\n"
               "    otherwise null\n"
               "}",
    .options = sql_options,
};

/* ---- the kind ---- */

/* A parameter as the transports take it. Numbers beyond int keep their digits for PostgreSQL; lists
 * and maps are JSON text. False: *error. */
static bool parameter_make(struct sql_lookup *sql, struct value given, struct arena *arena,
                           struct value *parameter, struct value *error)
{
    struct value value = value_resolve(given, arena);
    struct string json;
    *parameter = *error = value;
    switch ((enum value_kind)value.kind) {
    case VALUE_ERROR:
        return false;
    case VALUE_ABSENT:
        *parameter = value_null();
        return true;
    case VALUE_DOUBLE:
        if (given.kind == VALUE_RAW && !sql->is_sqlite)
            *parameter = given;
        return true;
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_OPTIONAL:
        if (!lookup_write_json(&sql->lookup, value, &json, error))
            return false;
        *parameter = value_raw(json.data, json.length);
        return true;
    default:
        return true;
    }
}

static bool sql_make(struct lookup *lookup, struct evaluation *evaluation, struct lookup_made *made,
                     struct value *error)
{
    struct sql_lookup *sql = (struct sql_lookup *)lookup;
    uint32_t count = sql->parameter_count;
    for (uint32_t i = 0; i < count && !lookup->gather.most; i++)
        if (!parameter_make(sql, expression_row(sql->parameters[i], evaluation, 0),
                            evaluation->arena, &sql->values[i], error))
            return false;
    if (lookup->gather.most)
        sql->values[0] = lookup->keys_cell;
    made->count = 1;
    made->requests[0] = (struct request){
        .parameters = sql->values,
        .parameter_count = count,
        .peer = sql->peer,
        .shown_url = sql->peer,
        .repeatable = sql->repeatable,
    };
    return true;
}

static struct transport *sql_connect(struct lookup *lookup, struct error *error)
{
    struct sql_lookup *sql = (struct sql_lookup *)lookup;
    bool rows = sql->rows || lookup->gather.most;
    if (sql->is_sqlite) {
        struct sqlite_transport_settings settings = {
            .path = sql->dsn,
            .query = sql->query,
            .rows = rows,
            .answer_limit = lookup->answer_limit,
        };
        return sqlite_transport_open(&settings, error);
    }
    sql->settings.dsn = sql->dsn;
    sql->settings.query = sql->query;
    sql->settings.rows = rows;
    sql->settings.answer_limit = lookup->answer_limit;
    struct transport *transport = sql_transport_open(&sql->settings, error);
    __atomic_store_n(&sql->transport, transport, __ATOMIC_RELEASE);
    return transport;
}

static uint32_t sql_counters(const struct stage *stage, struct stage_counter *counters)
{
    const struct sql_lookup *sql = (const struct sql_lookup *)stage;
    const struct transport *transport = __atomic_load_n(&sql->transport, __ATOMIC_ACQUIRE);
    struct sql_transport_totals totals = {0};
    uint32_t count = lookup_counters(stage, counters);
    if (sql->is_sqlite)
        return count;
    if (transport)
        sql_transport_totals(transport, &totals);
    CHECK(count + 3 <= STAGE_COUNTERS);
    counters[count++] = (struct stage_counter){"connections_opened", totals.opened};
    counters[count++] = (struct stage_counter){"connections_broken", totals.replaced_broken};
    counters[count++] = (struct stage_counter){"connections_aged", totals.replaced_old};
    return count;
}

static void sql_close(struct lookup *lookup)
{
    struct sql_lookup *sql = (struct sql_lookup *)lookup;
    free(sql->nodes);
    free(sql->shown);
}

static const struct lookup_kind sql_kind = {
    .ops = &stage_lookup_sql,
    .make = sql_make,
    .connect = sql_connect,
    .close = sql_close,
    .makes_key = true,
};

/* ---- opening: the database ---- */

static bool ends_with(struct string text, const char *end)
{
    size_t length = strlen(end);
    return text.length > length && memcmp(text.data + text.length - length, end, length) == 0;
}

/* Whether the DSN names an SQLite database: its path. */
static bool dsn_path(struct string dsn, struct string *path)
{
    static const char prefix[] = "sqlite:";
    size_t length = sizeof(prefix) - 1;
    *path = dsn;
    if (dsn.length >= length && memcmp(dsn.data, prefix, length) == 0) {
        *path = (struct string){dsn.data + length, dsn.length - length};
        return true;
    }
    return !memchr(dsn.data, '=', dsn.length) && !memmem(dsn.data, dsn.length, "://", 3) &&
           (ends_with(dsn, ".db") || ends_with(dsn, ".sqlite") || ends_with(dsn, ".sqlite3"));
}

static bool refuse(struct stage_context *context, const struct option_value *value, const char *why)
{
    return diagnostics_error(context->diagnostics, value ? value->span : context->options->span,
                             "%s", why);
}

static bool sqlite_open_words(struct stage_context *context, struct sql_lookup *sql)
{
    static const char *const words[] = {"pool",    "lifetime",          "idle",
                                        "acquire", "statement_timeout", "connect_timeout"};
    const struct option_value *dsn = option_find(context->options, "dsn");
    if (sql->dsn.length == 0 || memchr(sql->dsn.data, 0, sql->dsn.length))
        return refuse(context, dsn, "sqlite: wants the path of a database behind it");
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (option_given(context->options, words[i]))
            return diagnostics_error(context->diagnostics,
                                     option_find(context->options, words[i])->span,
                                     "%s is for connections to PostgreSQL: an SQLite database is "
                                     "a file, which one thread reads",
                                     words[i]);
    if (!option_given(context->options, "concurrency"))
        sql->lookup.protections.concurrency = SQLITE_QUERIES;
    struct sql_text shown = {0};
    const char *path = dsn->is_secret ? "database" : NULL;
    char *copy = path ? NULL : memory_copy_text(sql->dsn.data, sql->dsn.length);
    if (path || copy)
        sql_append(&shown, "sqlite %s", path ? path : copy);
    free(copy);
    sql->shown = shown.text;
    return sql->shown || diagnostics_memory(context->diagnostics, dsn->span);
}

static bool pool_read(struct stage_context *context, struct sql_lookup *sql)
{
    const struct options *options = context->options;
    const struct option_value *pool = option_find(options, "pool");
    int64_t least = pool && pool->numbers[0] >= 0 ? pool->numbers[0] : POOL_LEAST;
    int64_t most = pool ? pool->numbers[1] : POOL_MOST;
    int64_t acquire = option_integer(options, "acquire", 0);
    if (most < 1 || most > POSTGRES_POOL_MOST || least > most)
        return diagnostics_error(context->diagnostics, pool->span,
                                 "a pool has at most 1 to %d connections, and min is not above max",
                                 POSTGRES_POOL_MOST);
    if (acquire <= 0)
        return refuse(context, option_find(options, "acquire"),
                      "acquire is longer than nothing: how long to wait for a connection");
    sql->settings.pool = (struct postgres_pool_settings){
        .least = (uint32_t)least,
        .most = (uint32_t)most,
        .wait = acquire,
        .check = IDLE_CHECK,
        .idle = option_integer(options, "idle", 0),
        .lifetime = option_integer(options, "lifetime", 0),
    };
    /* nobody waits for a query any more behind the timeout: the server is to know */
    sql->settings.statement_timeout =
        option_integer(options, "statement_timeout", sql->lookup.protections.timeout);
    sql->settings.connect_timeout = option_integer(options, "connect_timeout", 0);
    if (!option_given(options, "concurrency"))
        sql->lookup.protections.concurrency = (uint32_t)most;
    return true;
}

static bool postgres_open_words(struct stage_context *context, struct sql_lookup *sql)
{
    const struct option_value *dsn = option_find(context->options, "dsn");
    struct postgres_settings settings;
    struct sql_text shown = {0};
    struct error error;
    bool good = postgres_settings_open(&settings, sql->dsn, &error);
    if (good)
        sql_append(&shown, "postgres %s", settings.shown);
    postgres_settings_close(&settings);
    sql->shown = shown.text;
    if (!good && error.code != ERROR_MEMORY)
        return refuse(context, dsn, error.text);
    if (!sql->shown)
        return diagnostics_memory(context->diagnostics, dsn->span);
    return pool_read(context, sql);
}

static bool database_open(struct stage_context *context, struct sql_lookup *sql)
{
    const struct option_value *dsn = option_find(context->options, "dsn");
    if (!dsn)
        return false;
    sql->is_sqlite = dsn_path(dsn->text, &sql->dsn);
    if (!(sql->is_sqlite ? sqlite_open_words(context, sql) : postgres_open_words(context, sql)))
        return false;
    sql->peer = (struct string){sql->shown, strlen(sql->shown)};
    return true;
}

/* ---- opening: the query and its parameters ---- */

static bool query_open(struct stage_context *context, struct sql_lookup *sql)
{
    const struct option_value *query = option_find(context->options, "query");
    if (!query)
        return false;
    sql->query = query->text;
    while (sql->query.length && strchr("; \t\r\n", sql->query.data[sql->query.length - 1]) &&
           sql->query.data[sql->query.length - 1])
        sql->query.length--;
    if (sql->query.length == 0)
        return refuse(context, query, "the query is empty");
    if (memchr(sql->query.data, 0, sql->query.length))
        return refuse(context, query, "a query cannot hold U+0000");
    struct sql_outline outline = sql_outline_read(sql->query);
    sql->repeatable = outline.only_reads;
    if (!outline.names_parameters && outline.parameters != sql->parameter_count)
        return diagnostics_error(context->diagnostics, query->span,
                                 "the query has %u parameter%s ($1 …), and `with` gives %u",
                                 outline.parameters, outline.parameters == 1 ? "" : "s",
                                 sql->parameter_count);
    return true;
}

/* a.b.c as an expression, its nodes behind *free. */
static const struct node *path_node(const struct path *path, struct node **free)
{
    const struct node *left = NULL;
    for (uint32_t i = 0; i < path->count; i++) {
        struct node *node = (*free)++;
        *node = (struct node){
            .kind = left ? NODE_SELECT : NODE_NAME,
            .span = path->span,
            .name_span = path->span,
            .name = path->names[i],
            .quoted = true,
            .left = left,
            .height = (uint16_t)(i + 1),
        };
        left = node;
    }
    return left;
}

static bool parameters_open(struct stage_context *context, struct sql_lookup *sql)
{
    const struct option_value *with = option_find(context->options, "parameters");
    uint32_t links = 0;
    if (!with)
        return true;
    if (with->item_count > PARAMETERS_MOST)
        return diagnostics_error(context->diagnostics, with->span,
                                 "a query has at most %d parameters", PARAMETERS_MOST);
    for (uint32_t i = 0; i < with->item_count; i++)
        links += with->items[i].node ? 0 : with->items[i].path.count;
    struct node *free = sql->nodes = memory_take_zeroed(links + 1, sizeof(*sql->nodes));
    if (!free)
        return diagnostics_memory(context->diagnostics, with->span);
    bool good = true;
    for (uint32_t i = 0; i < with->item_count; i++) {
        const struct option_item *item = &with->items[i];
        const struct node *node = item->node ? item->node : path_node(&item->path, &free);
        sql->parameters[i] = scope_compile(context->scope, node);
        good &= sql->parameters[i] != NULL;
    }
    sql->parameter_count = with->item_count;
    return good;
}

/* How rows become answers. */
static bool answers_open(struct stage_context *context, struct sql_lookup *sql)
{
    struct lookup *lookup = &sql->lookup;
    const struct option_value *batch = option_find(context->options, "batch");
    sql->rows = option_word_is(context->options, "rows", "all");
    lookup->null_fails = !sql->rows && option_given(context->options, "otherwise");
    if (!option_given(context->options, "retry_budget"))
        lookup->protections.retry_budget = LOOKUP_NO_BUDGET;
    if (!batch)
        return true;
    if (sql->parameter_count != 1)
        return refuse(context, batch,
                      "batch asks by one key: write with FIELD, and = any($1) in the query");
    if (lookup->gather.by.count == 0)
        return refuse(context, batch,
                      "batch needs the column that holds the key in the rows: by id");
    lookup->gather.key = sql->parameters[0];
    lookup->gather.groups = sql->rows;
    lookup->gather.missing = sql->rows            ? STRING("[]")
                             : lookup->null_fails ? (struct string){NULL, 0}
                                                  : STRING("null");
    return true;
}

static bool sql_open(struct stage_context *context, struct stage **stage)
{
    struct sql_lookup *sql = (struct sql_lookup *)lookup_open(context, &sql_kind, sizeof(*sql));
    if (!sql)
        return false;
    bool good = database_open(context, sql);
    good &= parameters_open(context, sql);
    good &= query_open(context, sql);
    good &= answers_open(context, sql);
    good &= lookup_finish(context, &sql->lookup);
    if (!good) {
        lookup_close(&sql->lookup.stage);
        return false;
    }
    *stage = &sql->lookup.stage;
    return true;
}

const struct stage_ops stage_lookup_sql = {
    .noun = &sql_noun,
    .traits = STAGE_ASYNC | STAGE_LOOKUP,
    .open = sql_open,
    .close = lookup_close,
    .async = &lookup_async,
    .counters = sql_counters,
};
