/* The SQL of a PostgreSQL sink: see postgres_table.h. */
#include "io/postgres_table.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/raw.h"

#define STAGE  "leat_stage"
#define ORDER  "leat_stage_order"
#define SUFFIX "__leat"

/* ---- names ---- */

static char *name_quote(struct string schema, struct string name, const char *suffix)
{
    char joined[256];
    struct sql_text sql = {0};
    if (name.length + strlen(suffix) > sizeof(joined))
        return NULL;
    memcpy(joined, name.data, name.length);
    memcpy(joined + name.length, suffix, strlen(suffix));
    struct string whole = {joined, name.length + strlen(suffix)};
    if (schema.length > 0)
        sql_append(&sql, "%I.", &schema);
    sql_append(&sql, "%I", &whole);
    return sql.text;
}

bool postgres_table_open(struct postgres_table *table, struct error *error)
{
    const struct string none = {"", 0};
    bool replace = table->mode == POSTGRES_REPLACE;
    /* PostgreSQL cuts longer names silently, and two would become one */
    if (table->name.length == 0 ||
        table->name.length + (replace ? sizeof(SUFFIX) - 1 : 0) > NAMEDATALEN_MOST ||
        table->schema.length > NAMEDATALEN_MOST || memchr(table->name.data, 0, table->name.length))
        return error_set(error, ERROR_PROGRAM, "the name of a table or schema has 1 to %d bytes%s",
                         NAMEDATALEN_MOST, replace ? " (to replace it, 6 fewer)" : "");
    table->quoted = name_quote(table->schema, table->name, "");
    table->filled = name_quote(table->schema, table->name, replace ? SUFFIX : "");
    table->filled_plain = name_quote(none, table->name, replace ? SUFFIX : "");
    table->commits = name_quote(table->schema, STRING("leat_commit"), "");
    if (table->quoted && table->filled && table->filled_plain && table->commits)
        return true;
    return error_set(error, ERROR_MEMORY, "no memory for the sink postgres");
}

void postgres_table_close(struct postgres_table *table)
{
    free(table->quoted);
    free(table->filled);
    free(table->filled_plain);
    free(table->commits);
    free(table->columns);
    free(table->layout.types);
    free(table->layout.is_key);
    *table = (struct postgres_table){0};
}

/* ---- the table that is there ---- */

enum look_column {
    LOOK_NAME,
    LOOK_OID,
    LOOK_TYPTYPE,
    LOOK_TYPNAME,
    LOOK_ELEMENT,
    LOOK_ELEMENT_TYPTYPE,
    LOOK_ELEMENT_TYPNAME,
    LOOK_GENERATED,
    LOOK_SHOWN,
    LOOK_RELKIND,
    LOOK_FILLED, /* the columns are those of T__leat, which an earlier commit has left */
    LOOK_EXISTS, /* T */
    LOOK_DEPENDED,
};

/* What a swap would lose or break: then T is refilled. */
static const char depended_sql[] =
    "old.relkind <> 'r' OR old.relacl IS NOT NULL OR old.relrowsecurity OR "
    "EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = old.oid) OR "
    "EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f' AND "
    "old.oid IN (conrelid, confrelid)) OR "
    "EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = old.oid) OR "
    /* views and functions that speak of it; sequences that it owns */
    "EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid = 1259 AND "
    "refobjid = old.oid AND classid IN (2618, 1255)) OR "
    "EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s "
    "ON s.oid = d.objid WHERE d.classid = 1259 AND d.refclassid = 1259 AND "
    "d.refobjid = old.oid AND s.relkind = 'S' AND d.deptype = 'a') OR "
    "EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE old.oid IN (inhrelid, inhparent)) OR "
    "EXISTS (SELECT FROM pg_catalog.pg_publication_rel WHERE prrelid = old.oid)";

char *postgres_table_look_sql(const struct postgres_table *table, bool resumed)
{
    struct sql_text sql = {0};
    bool replace = table->mode == POSTGRES_REPLACE;
    struct string quoted = {table->quoted, strlen(table->quoted)};
    struct string filled = {table->filled, strlen(table->filled)};
    sql_append(&sql,
               "WITH RECURSIVE old AS (SELECT * FROM pg_catalog.pg_class WHERE oid = "
               "pg_catalog.to_regclass(%L)), target AS (SELECT oid, relkind FROM "
               "pg_catalog.pg_class WHERE oid = coalesce(",
               &quoted);
    if (replace && resumed)
        sql_append(&sql, "pg_catalog.to_regclass(%L), ", &filled);
    sql_append(&sql,
               "pg_catalog.to_regclass(%L))), base(column_number, type) AS "
               "(SELECT a.attnum, a.atttypid FROM pg_catalog.pg_attribute a, target "
               "WHERE a.attrelid = target.oid AND a.attnum > 0 AND NOT a.attisdropped "
               "UNION ALL SELECT base.column_number, t.typbasetype FROM base JOIN "
               "pg_catalog.pg_type t ON t.oid = base.type WHERE t.typtype = 'd') "
               "SELECT a.attname, t.oid, t.typtype, t.typname, coalesce(e.oid, 0), "
               "coalesce(e.typtype, 'b'), coalesce(e.typname, ''), a.attgenerated <> '', "
               "pg_catalog.format_type(a.atttypid, a.atttypmod), target.relkind, "
               "target.oid IS DISTINCT FROM (SELECT oid FROM old), EXISTS (SELECT FROM old), ",
               &quoted);
    if (replace)
        sql_append(&sql, "coalesce((SELECT %s FROM old), false)", depended_sql);
    else
        sql_append(&sql, "false");
    sql_append(&sql, " FROM target JOIN pg_catalog.pg_attribute a ON a.attrelid = target.oid "
                     "JOIN base ON base.column_number = a.attnum "
                     "JOIN pg_catalog.pg_type t ON t.oid = base.type AND t.typtype <> 'd' "
                     "LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND "
                     "t.typcategory = 'A' ORDER BY a.attnum");
    return sql.text;
}

static uint32_t oid_of(const PGresult *result, int row, int column)
{
    uint32_t oid = 0;
    for (const char *at = PQgetvalue(result, row, column); *at >= '0' && *at <= '9'; at++)
        oid = oid * 10 + (uint32_t)(*at - '0');
    return oid;
}

static struct postgres_type type_of(const PGresult *result, int row)
{
    struct postgres_type type = postgres_type_of(oid_of(result, row, LOOK_OID));
    if (type.kind != POSTGRES_UNKNOWN)
        return type;
    type.element_oid = oid_of(result, row, LOOK_ELEMENT);
    type.is_array = type.element_oid != 0;
    int typtype = type.is_array ? LOOK_ELEMENT_TYPTYPE : LOOK_TYPTYPE;
    int typname = type.is_array ? LOOK_ELEMENT_TYPNAME : LOOK_TYPNAME;
    type.kind =
        postgres_kind_named(PQgetvalue(result, row, typtype)[0], PQgetvalue(result, row, typname));
    return type;
}

static int row_of(const PGresult *result, struct string name)
{
    for (int row = 0; row < PQntuples(result); row++)
        if (string_equal_text(name, PQgetvalue(result, row, LOOK_NAME)))
            return row;
    return -1;
}

static bool column_lacks(const struct postgres_table *table, const PGresult *result,
                         struct string name, struct error *error)
{
    char text[300] = "";
    size_t length = 0;
    for (int row = 0; row < PQntuples(result); row++) {
        const char *column = PQgetvalue(result, row, LOOK_NAME);
        if (length + strlen(column) + 6 > sizeof(text)) {
            memcpy(text + length, ", …", sizeof(", …"));
            break;
        }
        memcpy(text + length, ", ", 2);
        memcpy(text + length + 2, column, strlen(column) + 1);
        length += 2 + strlen(column);
    }
    return error_set(error, ERROR_DATABASE, "table %.*s has no column %.*s; its columns: %s",
                     (int)table->name.length, table->name.data, (int)size_min(name.length, 63),
                     name.data, text[0] ? text + 2 : "none");
}

static bool column_look(struct postgres_table *table, const PGresult *result, uint32_t index,
                        struct error *error)
{
    struct string name = table->layout.shape->fields[index].name;
    int row = row_of(result, name);
    if (row < 0)
        return column_lacks(table, result, name, error);
    if (PQgetvalue(result, row, LOOK_GENERATED)[0] == 't')
        return error_set(error, ERROR_DATABASE,
                         "column %s of table %.*s is generated and cannot be written; drop the "
                         "field",
                         PQgetvalue(result, row, LOOK_NAME), (int)table->name.length,
                         table->name.data);
    table->layout.types[index] = type_of(result, row);
    if (table->layout.types[index].kind == POSTGRES_UNKNOWN)
        return error_set(error, ERROR_DATABASE,
                         "column %s of table %.*s has type %s, which leat cannot write; use a "
                         "column of type text, or drop the field",
                         PQgetvalue(result, row, LOOK_NAME), (int)table->name.length,
                         table->name.data, PQgetvalue(result, row, LOOK_SHOWN));
    return true;
}

static bool layout_open(struct postgres_table *table, const struct shape *shape,
                        struct error *error)
{
    struct postgres_layout *layout = &table->layout;
    struct sql_text columns = {0};
    CHECK(shape->closed);
    free(layout->types);
    free(layout->is_key);
    free(table->columns);
    *layout = (struct postgres_layout){
        .table = table->quoted,
        .shape = shape,
        .types = memory_take_zeroed(shape->field_count + 1, sizeof(*layout->types)),
        .is_key = memory_take_zeroed(shape->field_count + 1, 1),
        .count = shape->field_count};
    for (uint32_t i = 0; i < shape->field_count; i++) {
        struct string name = shape->fields[i].name;
        if (name.length == 0 || name.length > NAMEDATALEN_MOST || memchr(name.data, 0, name.length))
            return error_set(error, ERROR_DATABASE,
                             "the field %.*s cannot be a column: names have 1 to %d bytes without "
                             "U+0000; rename it",
                             (int)size_min(name.length, 100), name.data, NAMEDATALEN_MOST);
        sql_append(&columns, i ? ", %I" : "%I", &name);
    }
    if (shape->field_count == 0)
        sql_append(&columns, "");
    table->columns = columns.text;
    if (!layout->types || !layout->is_key || (shape->field_count > 0 && !table->columns))
        return error_set(error, ERROR_MEMORY, "no memory for the columns of a table");
    return true;
}

static bool keys_find(struct postgres_table *table, struct error *error)
{
    for (uint32_t k = 0; k < table->key_count; k++) {
        bool found = false;
        for (uint32_t i = 0; i < table->layout.count; i++) {
            bool same = string_equal(table->layout.shape->fields[i].name, table->keys[k]);
            table->layout.is_key[i] |= same;
            found |= same;
        }
        if (!found)
            return error_set(error, ERROR_DATABASE,
                             "the key %.*s is none of the fields written to table %.*s",
                             (int)table->keys[k].length, table->keys[k].data,
                             (int)table->name.length, table->name.data);
    }
    return true;
}

bool postgres_table_look(struct postgres_table *table, const PGresult *result,
                         const struct shape *shape, struct error *error)
{
    if (!layout_open(table, shape, error) || !keys_find(table, error))
        return false;
    bool there = PQntuples(result) > 0;
    table->exists = there && PQgetvalue(result, 0, LOOK_EXISTS)[0] == 't';
    table->filled_exists =
        there && (table->mode != POSTGRES_REPLACE || PQgetvalue(result, 0, LOOK_FILLED)[0] == 't');
    table->depended = false;
    if (!there && !table->create)
        return error_set(error, ERROR_DATABASE,
                         "there is no table %.*s; create it, or leave out `create no`",
                         (int)table->name.length, table->name.data);
    if (!there)
        return true;
    char relkind = PQgetvalue(result, 0, LOOK_RELKIND)[0];
    if (relkind != 'r' && relkind != 'p' && relkind != 'f')
        return error_set(error, ERROR_DATABASE, "%.*s is no table: rows go into a table",
                         (int)table->name.length, table->name.data);
    table->depended = PQgetvalue(result, 0, LOOK_DEPENDED)[0] == 't';
    for (uint32_t i = 0; i < table->layout.count; i++)
        if (!column_look(table, result, i, error))
            return false;
    return true;
}

/* ---- a table that is made ---- */

enum seen_kind {
    SEEN_BOOL = 1,
    SEEN_INT = 2,
    SEEN_DOUBLE = 4,
    SEEN_LONG = 8, /* a number with more digits than a double tells apart */
    SEEN_TEXT = 16,
    SEEN_TREE = 32, /* a list or map */
    SEEN_BYTES = 64,
    SEEN_TIMESTAMP = 128,
    SEEN_DURATION = 256,
};

/* Digits of a number's text up to its exponent, without leading zeros. */
static unsigned digits_count(struct value raw)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < raw.length && (raw.text[i] | 0x20) != 'e'; i++)
        count += raw.text[i] >= (count ? '0' : '1') && raw.text[i] <= '9';
    return count;
}

static unsigned kind_seen(struct value value)
{
    enum value_kind kind = value.kind;
    if (value.kind == VALUE_RAW)
        kind = value_raw_kind(value);
    switch (kind) {
    case VALUE_BOOL:
        return SEEN_BOOL;
    case VALUE_INT:
    case VALUE_DOUBLE:
        if (value.kind == VALUE_RAW && value.length > 17 && digits_count(value) > 17 &&
            (kind == VALUE_DOUBLE || digits_count(value) > 18))
            return SEEN_LONG;
        return kind == VALUE_INT ? SEEN_INT : SEEN_DOUBLE;
    case VALUE_UINT:
        return value.natural > INT64_MAX ? SEEN_LONG : SEEN_INT;
    case VALUE_STRING:
        return SEEN_TEXT;
    case VALUE_BYTES:
        return SEEN_BYTES;
    case VALUE_LIST:
    case VALUE_MAP:
        return SEEN_TREE;
    case VALUE_TIMESTAMP:
        return SEEN_TIMESTAMP;
    case VALUE_DURATION:
        return SEEN_DURATION;
    default:
        return 0;
    }
}

/* The narrowest type that takes all kinds seen. */
static enum postgres_kind kind_choose(unsigned seen)
{
    switch (seen) {
    case SEEN_BOOL:
        return POSTGRES_BOOL;
    case SEEN_INT:
        return POSTGRES_INT8;
    case SEEN_DOUBLE:
    case SEEN_INT | SEEN_DOUBLE:
        return POSTGRES_FLOAT8;
    case SEEN_BYTES:
        return POSTGRES_BYTEA;
    case SEEN_TIMESTAMP:
        return POSTGRES_TIMESTAMPTZ;
    case SEEN_DURATION:
        return POSTGRES_INTERVAL;
    default:
        break;
    }
    if ((seen & SEEN_LONG) && !(seen & ~(unsigned)(SEEN_LONG | SEEN_INT | SEEN_DOUBLE)))
        return POSTGRES_NUMERIC;
    return seen & SEEN_TREE ? POSTGRES_JSONB : POSTGRES_TEXT;
}

static enum postgres_kind kind_declared(struct string word)
{
    static const struct {
        const char *word;
        enum postgres_kind kind;
    } words[] = {
        {"boolean", POSTGRES_BOOL},        {"smallint", POSTGRES_INT2},
        {"integer", POSTGRES_INT4},        {"bigint", POSTGRES_INT8},
        {"real", POSTGRES_FLOAT4},         {"double", POSTGRES_FLOAT8},
        {"numeric", POSTGRES_NUMERIC},     {"text", POSTGRES_TEXT},
        {"json", POSTGRES_JSON},           {"jsonb", POSTGRES_JSONB},
        {"bytea", POSTGRES_BYTEA},         {"uuid", POSTGRES_UUID},
        {"date", POSTGRES_DATE},           {"time", POSTGRES_TIME},
        {"timestamp", POSTGRES_TIMESTAMP}, {"timestamptz", POSTGRES_TIMESTAMPTZ},
        {"interval", POSTGRES_INTERVAL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (string_equal_text(word, words[i].word))
            return words[i].kind;
    return POSTGRES_UNKNOWN;
}

void postgres_table_choose(struct postgres_table *table, const struct batch *batch,
                           const struct postgres_rows *rows)
{
    for (uint32_t i = 0; i < table->layout.count; i++) {
        const struct shape_field *field = &table->layout.shape->fields[i];
        enum postgres_kind kind = kind_declared(table->declared(table->context, field->name));
        unsigned seen = 0;
        bool cells = batch && field->column != COLUMN_NONE && batch->columns[field->column].cells;
        for (uint32_t row = 0; cells && row < rows->count; row++)
            seen |= kind_seen(batch->columns[field->column].cells[postgres_rows_record(rows, row)]);
        if (kind == POSTGRES_UNKNOWN)
            kind = kind_choose(seen);
        table->layout.types[i] = (struct postgres_type){.kind = kind};
    }
}

static void keys_append(struct sql_text *sql, const struct postgres_table *table)
{
    for (uint32_t k = 0; k < table->key_count; k++)
        sql_append(sql, k ? ", %I" : "%I", &table->keys[k]);
}

char *postgres_table_create_sql(const struct postgres_table *table)
{
    struct sql_text sql = {0};
    sql_append(&sql, "");
    if (table->filled_exists)
        return sql.text;
    if (table->mode == POSTGRES_REPLACE)
        sql_append(&sql, "DROP TABLE IF EXISTS %s; ", table->filled);
    if (table->mode == POSTGRES_REPLACE && table->exists) {
        sql_append(&sql, "CREATE TABLE %s (LIKE %s", table->filled, table->quoted);
        sql_append(&sql, table->depended ? " INCLUDING DEFAULTS); " : " INCLUDING ALL); ");
        return sql.text;
    }
    sql_append(&sql, "CREATE TABLE %s (", table->filled);
    for (uint32_t i = 0; i < table->layout.count; i++) {
        sql_append(&sql, i ? ", %I %s" : "%I %s", &table->layout.shape->fields[i].name,
                   postgres_kind_name(table->layout.types[i].kind));
    }
    if (table->mode == POSTGRES_UPSERT) {
        sql_append(&sql, ", PRIMARY KEY (");
        keys_append(&sql, table);
        sql_append(&sql, ")");
    }
    sql_append(&sql, "); ");
    return sql.text;
}

/* ---- rows ---- */

char *postgres_table_copy_sql(const struct postgres_table *table)
{
    struct sql_text sql = {0};
    sql_append(&sql, "COPY %s (%s) FROM STDIN (FORMAT binary)",
               table->mode == POSTGRES_UPSERT ? "pg_temp." STAGE : table->filled, table->columns);
    return sql.text;
}

char *postgres_table_stage_sql(const struct postgres_table *table)
{
    struct sql_text sql = {0};
    sql_append(&sql,
               "CREATE TEMPORARY TABLE " STAGE " ON COMMIT DROP AS SELECT %s FROM %s LIMIT 0; "
               "ALTER TABLE " STAGE " ADD COLUMN " ORDER " bigint GENERATED ALWAYS AS IDENTITY; ",
               table->columns, table->filled);
    return sql.text;
}

char *postgres_table_merge_sql(const struct postgres_table *table)
{
    struct sql_text sql = {0};
    sql_append(&sql, "INSERT INTO %s (%s) SELECT DISTINCT ON (", table->filled, table->columns);
    keys_append(&sql, table);
    sql_append(&sql, ") %s FROM pg_temp." STAGE " ORDER BY ", table->columns);
    keys_append(&sql, table);
    sql_append(&sql, ", " ORDER " DESC ON CONFLICT (");
    keys_append(&sql, table);
    const char *separator = ") DO UPDATE SET %I = excluded.%I";
    for (uint32_t i = 0; i < table->layout.count; i++) {
        const struct string *name = &table->layout.shape->fields[i].name;
        if (table->layout.is_key[i])
            continue;
        sql_append(&sql, separator, name, name);
        separator = ", %I = excluded.%I";
    }
    if (separator[0] == ')') /* nothing but keys */
        sql_append(&sql, ") DO NOTHING");
    sql_append(&sql, "; TRUNCATE pg_temp." STAGE);
    return sql.text;
}

char *postgres_table_swap_sql(const struct postgres_table *table)
{
    struct sql_text sql = {0};
    struct string name = table->name;
    if (table->depended) {
        sql_append(&sql,
                   "SET CONSTRAINTS ALL DEFERRED; DELETE FROM %s; INSERT INTO %s (%s) SELECT %s "
                   "FROM %s; ",
                   table->quoted, table->quoted, table->columns, table->columns, table->filled);
        sql_append(&sql, "DROP TABLE %s", table->filled);
        return sql.text;
    }
    sql_append(&sql, "DROP TABLE IF EXISTS %s; ALTER TABLE %s RENAME TO %I", table->quoted,
               table->filled, &name);
    return sql.text;
}
