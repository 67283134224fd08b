/* The table of an SQLite sink: see sqlite_table.h. SQL is put together here; what SQLite is asked
 * about a schema, and the swap, are in sqlite_replace.c. */
#include "io/sqlite_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "io/sqlite_replace.h"

static bool no_memory(const struct table *table, struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for the SQL of table %s", table->plan->name);
}

static char *filled_name(const struct table_plan *plan)
{
    return sqlite3_mprintf("%s%s", plan->name, plan->mode == TABLE_REPLACE ? "__leat" : "");
}

bool table_drop_filled(struct database *database, const struct table_plan *plan,
                       struct error *error)
{
    if (plan->mode != TABLE_REPLACE)
        return true;
    char *filled = filled_name(plan);
    if (!filled)
        return error_set(error, ERROR_MEMORY, "no memory for the SQL of table %s", plan->name);
    bool done = database_run(database, "drop what an earlier run left behind", error,
                             "DROP TABLE IF EXISTS \"%w\"", filled);
    sqlite3_free(filled);
    return done;
}

bool table_open(struct table *table, struct database *database, const struct table_plan *plan,
                const struct table_past *past, struct error *error)
{
    *table = (struct table){.database = database, .plan = plan};
    table->filled = filled_name(plan);
    if (!table->filled)
        return no_memory(table, error);
    int64_t filled = 0;
    if (past && plan->mode == TABLE_REPLACE &&
        !database_integer(database, &filled, error,
                          "SELECT count(*) FROM sqlite_schema WHERE name = %Q COLLATE NOCASE",
                          table->filled))
        return false;
    table->filled_exists = filled > 0;
    char *type;
    if (!database_text(database, &type, error,
                       "SELECT type FROM sqlite_schema WHERE name = %Q COLLATE NOCASE "
                       "AND type IN ('table', 'view') AND sql NOT LIKE 'CREATE VIRTUAL%%'",
                       plan->name))
        return false;
    bool is_view = type && strcmp(type, "view") == 0;
    table->exists = type && !is_view;
    sqlite3_free(type);
    if (is_view)
        return error_set(error, ERROR_DATABASE, "%s is a view: rows go into a table", plan->name);
    if (!table->exists && !plan->create)
        return error_set(error, ERROR_DATABASE,
                         "there is no table %s; create it, or leave out `create no`", plan->name);
    return true;
}

void table_close(struct table *table)
{
    sqlite3_finalize(table->insert);
    sqlite3_free(table->filled);
    sqlite3_free(table->created);
    free(table->kinds);
    free(table->is_key);
    *table = (struct table){0};
}

/* What all values of a column have in common, as a declared type; "" where that is nothing. */
static const char *type_of_kinds(unsigned kinds)
{
    switch (kinds & ~(1U << ROW_NULL)) {
    case 1 << ROW_INT:
    case 1 << ROW_BOOL:
    case 1 << ROW_INT | 1 << ROW_BOOL:
        return "INTEGER";
    case 1 << ROW_DOUBLE:
        return "REAL";
    case 1 << ROW_TEXT:
        return "TEXT";
    case 1 << ROW_BYTES:
        return "BLOB";
    default:
        return "";
    }
}

static void names_append(sqlite3_str *sql, const struct string *names, uint32_t count,
                         const char *form)
{
    for (uint32_t i = 0; i < count; i++) {
        sqlite3_str_appendall(sql, i ? ", " : "");
        sqlite3_str_appendf(sql, form, (int)names[i].length, names[i].data);
    }
}

/* CREATE TABLE with the types known so far; NULL: no memory (sqlite3_free). The types that the user
 * asked for stand from the beginning. */
static char *create_sql(const struct table *table)
{
    sqlite3_str *sql = sqlite3_str_new(table->database->connection);
    sqlite3_str_appendf(sql, "CREATE TABLE \"%w\" (", table->filled);
    for (uint32_t i = 0; i < table->column_count; i++) {
        struct string name = table->shape->fields[i].name;
        struct string type = table->plan->declared(table->plan->context, name);
        const char *found = type_of_kinds(table->kinds[i]);
        if (type.length == 0)
            type = (struct string){found, strlen(found)};
        sqlite3_str_appendf(sql, "%s\"%.*w\"", i ? ", " : "", (int)name.length, name.data);
        if (type.length > 0 && !string_equal_text(type, "any"))
            sqlite3_str_appendf(sql, " %.*s", (int)type.length, type.data);
    }
    if (table->plan->mode == TABLE_UPSERT) {
        sqlite3_str_appendall(sql, ", UNIQUE (");
        names_append(sql, table->plan->keys, table->plan->key_count, "\"%.*w\"");
        sqlite3_str_appendall(sql, ")");
    }
    sqlite3_str_appendall(sql, ")");
    return sqlite3_str_finish(sql);
}

static char *insert_sql(const struct table *table)
{
    sqlite3_str *sql = sqlite3_str_new(table->database->connection);
    sqlite3_str_appendf(sql, "INSERT INTO \"%w\" (", table->filled);
    for (uint32_t i = 0; i < table->column_count; i++) {
        struct string name = table->shape->fields[i].name;
        sqlite3_str_appendf(sql, "%s\"%.*w\"", i ? ", " : "", (int)name.length, name.data);
    }
    sqlite3_str_appendall(sql, ") VALUES (");
    for (uint32_t i = 0; i < table->column_count; i++)
        sqlite3_str_appendall(sql, i ? ", ?" : "?");
    sqlite3_str_appendall(sql, ")");
    if (table->plan->mode != TABLE_UPSERT)
        return sqlite3_str_finish(sql);
    sqlite3_str_appendall(sql, " ON CONFLICT (");
    names_append(sql, table->plan->keys, table->plan->key_count, "\"%.*w\"");
    const char *separator = ") DO UPDATE SET ";
    for (uint32_t i = 0; i < table->column_count; i++) {
        struct string name = table->shape->fields[i].name;
        if (table->is_key[i])
            continue;
        sqlite3_str_appendf(sql, "%s\"%.*w\" = excluded.\"%.*w\"", separator, (int)name.length,
                            name.data, (int)name.length, name.data);
        separator = ", ";
    }
    if (separator[0] == ')') /* nothing but keys */
        sqlite3_str_appendall(sql, ") DO NOTHING");
    return sqlite3_str_finish(sql);
}

static bool names_check(struct table *table, struct error *error)
{
    for (uint32_t i = 0; i < table->column_count; i++) {
        struct string name = table->shape->fields[i].name;
        if (name.length == 0 || memchr(name.data, 0, name.length))
            return error_set(error, ERROR_DATABASE,
                             "table %s: a field whose name is empty or holds U+0000 cannot be "
                             "a column; rename it",
                             table->plan->name);
    }
    return true;
}

static bool keys_find(struct table *table, struct error *error)
{
    for (uint32_t k = 0; k < table->plan->key_count; k++) {
        struct string key = table->plan->keys[k];
        bool found = false;
        for (uint32_t i = 0; i < table->column_count; i++) {
            bool same = string_equal(table->shape->fields[i].name, key);
            table->is_key[i] |= same;
            found |= same;
        }
        if (!found)
            return error_set(error, ERROR_DATABASE,
                             "the key %.*s is none of the fields written to table %s",
                             (int)key.length, key.data, table->plan->name);
    }
    return true;
}

static bool sql_run(struct table *table, char *sql, const char *doing, struct error *error)
{
    if (!sql)
        return no_memory(table, error);
    bool done = database_run(table->database, doing, error, "%s", sql);
    sqlite3_free(sql);
    return done;
}

/* What the run that goes on knew of the table. */
static bool past_take(struct table *table, const struct table_past *past, struct error *error)
{
    for (uint32_t i = 0; i < past->kind_count && i < table->column_count; i++)
        table->kinds[i] = past->kinds[i];
    if (!past->made)
        return true;
    table->created = sqlite3_mprintf("%s", past->made);
    return table->created || no_memory(table, error);
}

/* Makes the table that rows go into, unless that is a T that is there. */
static bool filled_make(struct table *table, const struct table_past *past, struct error *error)
{
    const bool replaces = table->plan->mode == TABLE_REPLACE;
    if (table->filled_exists)
        return past_take(table, past, error) && replace_look(table, error);
    if (!table_drop_filled(table->database, table->plan, error))
        return false;
    if (table->exists && !replaces)
        return replace_columns_check(table, error) && (!past || past_take(table, past, error));
    char *definition = NULL;
    if (table->exists && !replace_definition(table, &definition, error))
        return false;
    if (definition)
        return sql_run(table, definition, "make a table like the one to be replaced", error);
    table->created = create_sql(table);
    return table->created
               ? database_run(table->database, "create the table", error, "%s", table->created)
               : no_memory(table, error);
}

/* Prepares INSERT … ON CONFLICT, which needs a unique index on exactly the keys. */
static bool insert_prepare(struct table *table, const char *sql, struct error *error)
{
    if (database_prepare(table->database, "insert rows", sql, &table->insert, error))
        return true;
    if (table->plan->mode != TABLE_UPSERT || !strstr(error->text, "ON CONFLICT"))
        return false;
    if (!table->plan->create)
        return error_set(error, ERROR_DATABASE,
                         "table %s has no primary key or unique index on exactly the columns of "
                         "`key`; create one, or leave out `create no`",
                         table->plan->name);
    sqlite3_str *index = sqlite3_str_new(table->database->connection);
    sqlite3_str_appendf(index, "CREATE UNIQUE INDEX \"%w__leat_key\" ON \"%w\" (",
                        table->plan->name, table->plan->name);
    names_append(index, table->plan->keys, table->plan->key_count, "\"%.*w\"");
    sqlite3_str_appendall(index, ")");
    return sql_run(table, sqlite3_str_finish(index), "make a unique index on the key", error) &&
           database_prepare(table->database, "insert rows", sql, &table->insert, error);
}

static bool foreign_keys_look(struct table *table, struct error *error)
{
    int64_t count;
    if (!database_integer(table->database, &count, error,
                          "SELECT count(*) FROM pragma_foreign_keys, pragma_foreign_key_list(%Q) "
                          "WHERE foreign_keys",
                          table->filled))
        return false;
    table->has_foreign_keys = count > 0;
    return true;
}

bool table_prepare(struct table *table, const struct shape *shape, const struct table_past *past,
                   struct error *error)
{
    CHECK(!table->prepared && shape->closed);
    table->shape = shape;
    table->column_count = shape->field_count;
    table->kinds = memory_take_zeroed(shape->field_count, sizeof(*table->kinds));
    table->is_key = memory_take_zeroed(shape->field_count, sizeof(*table->is_key));
    if (!table->kinds || !table->is_key)
        return no_memory(table, error);
    if (!names_check(table, error) || !keys_find(table, error) || !filled_make(table, past, error))
        return false;
    char *sql = insert_sql(table);
    if (!sql)
        return no_memory(table, error);
    table->prepared = insert_prepare(table, sql, error) && foreign_keys_look(table, error);
    sqlite3_free(sql);
    return table->prepared;
}

bool table_has_dangling(const struct table *table)
{
    int count = 0, high = 0;
    return table->has_foreign_keys &&
           sqlite3_db_status(table->database->connection, SQLITE_DBSTATUS_DEFERRED_FKS, &count,
                             &high, 0) == SQLITE_OK &&
           count != 0;
}

static int cell_bind(sqlite3_stmt *statement, int index, const struct row_cell *cell)
{
    switch (cell->kind) {
    case ROW_NULL:
        return sqlite3_bind_null(statement, index);
    case ROW_BOOL:
    case ROW_INT:
        return sqlite3_bind_int64(statement, index, cell->integer);
    case ROW_DOUBLE:
        return sqlite3_bind_double(statement, index, cell->real);
    case ROW_TEXT:
        return sqlite3_bind_text64(statement, index, cell->text.data, cell->text.length,
                                   SQLITE_STATIC, SQLITE_UTF8);
    case ROW_BYTES:
        return sqlite3_bind_blob64(statement, index, cell->text.data, cell->text.length,
                                   SQLITE_STATIC);
    case ROW_KIND_COUNT:
        break;
    }
    CHECK(!"a cell has a kind");
    return SQLITE_MISUSE;
}

/* Refusals of one row, as opposed to failures of the database. */
static bool is_refusal(int code)
{
    int primary = code & 0xFF;
    return primary == SQLITE_CONSTRAINT || primary == SQLITE_MISMATCH || primary == SQLITE_TOOBIG;
}

static enum row_outcome row_outcome_of(struct table *table, int code, char *reason, size_t size,
                                       struct error *error)
{
    sqlite3 *connection = table->database->connection;
    /* A trigger may roll back the whole transaction: then more than this row is lost. */
    if (!is_refusal(code) || sqlite3_get_autocommit(connection)) {
        database_fail(table->database, "insert a row", error);
        return ROW_FAILED;
    }
    snprintf(reason, size, "%s (%s)", sqlite3_errmsg(connection), database_code_name(code));
    return ROW_REFUSED;
}

enum row_outcome table_insert(struct table *table, struct row_reader *reader, char *reason,
                              size_t size, struct error *error)
{
    CHECK(table->prepared);
    int code = SQLITE_OK;
    const struct shape_field *null_key = NULL;
    for (uint32_t i = 0; i < table->column_count; i++) {
        struct row_cell cell = row_cell(reader);
        table->kinds[i] |= (uint8_t)(1 << cell.kind);
        if (cell.kind == ROW_NULL && table->is_key[i])
            null_key = &table->shape->fields[i];
        if (code == SQLITE_OK)
            code = cell_bind(table->insert, (int)i + 1, &cell);
    }
    if (null_key) {
        snprintf(reason, size, "the key %.*s is null", (int)size_min(null_key->name.length, 100),
                 null_key->name.data);
        return ROW_REFUSED;
    }
    if (code != SQLITE_OK)
        return row_outcome_of(table, code, reason, size, error);
    code = sqlite3_step(table->insert);
    enum row_outcome outcome =
        code == SQLITE_DONE ? ROW_WRITTEN : row_outcome_of(table, code, reason, size, error);
    sqlite3_reset(table->insert);
    return outcome;
}

/* Writes the types that the values turned out to have into the schema, unless somebody has changed
 * the definition meanwhile. */
static bool types_declare(struct table *table, struct error *error)
{
    static const char doing[] = "declare the types of the columns";
    struct database *database = table->database;
    int64_t version;
    char *sql = create_sql(table);
    if (!sql)
        return no_memory(table, error);
    bool done = database_integer(database, &version, error, "PRAGMA schema_version") &&
                database_run(database, doing, error,
                             "PRAGMA writable_schema = ON;"
                             "UPDATE sqlite_schema SET sql = %Q WHERE type = 'table' AND sql = %Q;"
                             "PRAGMA schema_version = %lld; PRAGMA writable_schema = RESET",
                             sql, table->created, (long long)version + 1);
    sqlite3_free(sql);
    return done;
}

bool table_finish(struct table *table, struct error *error)
{
    sqlite3_finalize(table->insert);
    table->insert = NULL;
    if (table->created && !types_declare(table, error))
        return false;
    return table->plan->mode != TABLE_REPLACE || replace_swap(table, error);
}
