/* Replacing a table: see sqlite_replace.h and sqlite_table.h. */
#include "io/sqlite_replace.h"

#include <ctype.h>
#include <string.h>

/* The first field that T has no column for, or NULL. */
static bool column_lacking(struct table *table, const struct shape_field **lacking,
                           struct error *error)
{
    *lacking = NULL;
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct shape_field *field = &table->shape->fields[i];
        int64_t found;
        if (!database_integer(table->database, &found, error,
                              "SELECT count(*) FROM pragma_table_info(%Q) "
                              "WHERE name = '%.*q' COLLATE NOCASE",
                              table->plan->name, (int)field->name.length, field->name.data))
            return false;
        if (!found) {
            *lacking = field;
            return true;
        }
    }
    return true;
}

static bool lacking_fail(struct table *table, const struct shape_field *lacking, const char *why,
                         struct error *error)
{
    char *columns;
    if (!database_text(table->database, &columns, error,
                       "SELECT group_concat(name, ', ') FROM pragma_table_info(%Q)",
                       table->plan->name))
        return false;
    error_set(error, ERROR_DATABASE, "table %s has no column %.*s%s; its columns: %s",
              table->plan->name, (int)size_min(lacking->name.length, 100), lacking->name.data, why,
              columns ? columns : "none that can be written");
    sqlite3_free(columns);
    return false;
}

bool replace_columns_check(struct table *table, struct error *error)
{
    const struct shape_field *lacking;
    if (!column_lacking(table, &lacking, error))
        return false;
    return !lacking || lacking_fail(table, lacking, "", error);
}

/* Triggers on T, views and triggers that speak of it, foreign keys that point to it. A name inside
 * a word counts too: then T is refilled where it could have been swapped, which is right as well.
 */
static bool referrers_count(struct table *table, int64_t *count, struct error *error)
{
    const char *name = table->plan->name;
    return database_integer(
        table->database, count, error,
        "SELECT (SELECT count(*) FROM sqlite_schema WHERE type IN ('view', 'trigger') AND "
        "(tbl_name = %Q COLLATE NOCASE OR instr(lower(sql), lower(%Q)))) + "
        "(SELECT count(*) FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f "
        "WHERE s.type = 'table' AND f.\"table\" = %Q COLLATE NOCASE)",
        name, name, name);
}

/* Behind the name at the start of `sql`, however it is quoted. */
static const char *name_skip(const char *sql)
{
    char quote = *sql;
    if (quote == '[') {
        const char *end = strchr(sql, ']');
        return end ? end + 1 : NULL;
    }
    if (quote == '"' || quote == '`' || quote == '\'') {
        for (sql++; *sql; sql++) {
            if (*sql == quote && *++sql != quote)
                return sql;
        }
        return NULL;
    }
    while (isalnum((unsigned char)*sql) || *sql == '_' || *sql == '$' || (*sql & 0x80))
        sql++;
    return sql;
}

/* T's definition as SQLite keeps it, "CREATE TABLE name…", with the other name. */
static bool definition_rename(struct table *table, char **definition, struct error *error)
{
    static const char prefix[] = "CREATE TABLE ";
    char *sql;
    if (!database_text(table->database, &sql, error,
                       "SELECT sql FROM sqlite_schema WHERE type = 'table' AND "
                       "name = %Q COLLATE NOCASE",
                       table->plan->name))
        return false;
    const char *rest = NULL;
    if (sql && strncmp(sql, prefix, sizeof(prefix) - 1) == 0)
        rest = name_skip(sql + sizeof(prefix) - 1);
    if (rest)
        *definition = sqlite3_mprintf("CREATE TABLE \"%w\"%s", table->filled, rest);
    sqlite3_free(sql);
    return *definition ||
           error_set(error, ERROR_DATABASE,
                     "the definition of table %s cannot be copied; drop the table first",
                     table->plan->name);
}

bool replace_look(struct table *table, struct error *error)
{
    int64_t referrers;
    if (!referrers_count(table, &referrers, error))
        return false;
    table->referred = table->exists && referrers > 0;
    return true;
}

bool replace_definition(struct table *table, char **definition, struct error *error)
{
    const struct shape_field *lacking;
    int64_t referrers;
    int64_t indexes;
    *definition = NULL;
    if (!referrers_count(table, &referrers, error) || !column_lacking(table, &lacking, error) ||
        !database_integer(table->database, &indexes, error,
                          "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND "
                          "tbl_name = %Q COLLATE NOCASE",
                          table->plan->name))
        return false;
    table->referred = referrers > 0;
    if (!lacking)
        return definition_rename(table, definition, error);
    if (referrers + indexes > 0)
        return lacking_fail(table, lacking,
                            ", and indexes, triggers, views or foreign keys depend on it", error);
    return true;
}

/* How many rows of other tables point to rows that T does not have. */
static bool dangling_count(struct table *table, int64_t *count, struct error *error)
{
    return database_integer(table->database, count, error,
                            "SELECT count(*) FROM pragma_foreign_key_check "
                            "WHERE parent = %Q COLLATE NOCASE",
                            table->plan->name);
}

static char *columns_list(struct table *table)
{
    sqlite3_str *columns = sqlite3_str_new(table->database->connection);
    for (uint32_t i = 0; i < table->column_count; i++) {
        struct string name = table->shape->fields[i].name;
        sqlite3_str_appendf(columns, "%s\"%.*w\"", i ? ", " : "", (int)name.length, name.data);
    }
    return sqlite3_str_finish(columns);
}

/* For a T that others refer to: they never see it gone. Foreign keys are not enforced on the way
 * (a cascade would delete rows of other tables) but looked at before and after. */
static bool table_refill(struct table *table, struct error *error)
{
    const char *name = table->plan->name;
    int64_t before;
    int64_t after;
    char *list = columns_list(table);
    if (!list)
        return error_set(error, ERROR_MEMORY, "no memory for SQL");
    bool done = dangling_count(table, &before, error) &&
                database_run(table->database, "refill the table", error,
                             "DELETE FROM \"%w\"; INSERT INTO \"%w\" (%s) SELECT %s FROM \"%w\";"
                             "DROP TABLE \"%w\"",
                             name, name, list, list, table->filled, table->filled) &&
                dangling_count(table, &after, error);
    sqlite3_free(list);
    if (done && after > before)
        return error_set(error, ERROR_DATABASE,
                         "%ld rows of other tables would refer to rows that the new %s lacks; "
                         "the old one was kept",
                         (long)(after - before), name);
    return done;
}

bool replace_swap(struct table *table, struct error *error)
{
    if (table->referred)
        return table_refill(table, error);
    const char *name = table->plan->name;
    char *indexes = NULL; /* T's own, to be made again; their names go with T */
    if (!table->created &&
        !database_text(table->database, &indexes, error,
                       "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE type = 'index' AND "
                       "tbl_name = %Q COLLATE NOCASE AND sql NOT NULL",
                       name))
        return false;
    bool done =
        database_run(table->database, "put the new table in the place of the old one", error,
                     "DROP TABLE IF EXISTS \"%w\"; ALTER TABLE \"%w\" RENAME TO \"%w\";%s", name,
                     table->filled, name, indexes ? indexes : "");
    sqlite3_free(indexes);
    return done;
}
