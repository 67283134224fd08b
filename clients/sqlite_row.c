/* Rows of an SQLite query as JSON: see sqlite_row.h. */
#include "clients/sqlite_row.h"

#include <math.h>
#include <stdlib.h>

#include "core/fault.h"
#include "core/raw.h"

#define PARAMETERS_MOST 32766 /* as SQLite */

static const char *name_of(sqlite3_stmt *statement, int column)
{
    const char *name = sqlite3_column_name(statement, column);
    return name ? name : ""; /* no memory: said by the next call that needs some */
}

bool sqlite_columns_take(struct sqlite_columns *columns, sqlite3_stmt *statement)
{
    sqlite_columns_close(columns);
    int count = sqlite3_column_count(statement);
    size_t table = (size_t)count * sizeof(*columns->names);
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += 6 * strlen(name_of(statement, i)) + 3; /* \u00XX at worst */
    columns->names = memory_take(table + size + BUFFER_SLACK);
    if (!columns->names)
        return false;
    struct buffer text = {.data = (char *)columns->names + table, .limit = size, .reserved = size};
    for (int i = 0; i < count; i++) {
        const char *name = name_of(statement, i);
        size_t start = text.length;
        if (!string_write_json((struct string){name, strlen(name)}, &text) ||
            !buffer_append_byte(&text, ':')) {
            sqlite_columns_close(columns);
            return false;
        }
        columns->names[i] = (struct string){text.data + start, text.length - start};
    }
    columns->count = count;
    columns->prepared = sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_REPREPARE, 0);
    return true;
}

bool sqlite_columns_renew(struct sqlite_columns *columns, sqlite3_stmt *statement)
{
    return sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_REPREPARE, 0) == columns->prepared ||
           sqlite_columns_take(columns, statement);
}

void sqlite_columns_close(struct sqlite_columns *columns)
{
    free(columns->names);
    *columns = (struct sqlite_columns){0};
}

static bool value_append(struct value value, struct buffer *buffer)
{
    const char *reason;
    return value_write_json(value, buffer, &reason) == JSON_DONE;
}

bool sqlite_value_append(sqlite3_stmt *statement, int column, struct buffer *buffer)
{
    const char *bytes;
    double real;
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return value_append(value_int(sqlite3_column_int64(statement, column)), buffer);
    case SQLITE_FLOAT:
        real = sqlite3_column_double(statement, column);
        return value_append(isfinite(real) ? value_double(real) : value_null(), buffer);
    case SQLITE_TEXT:
        bytes = (const char *)sqlite3_column_text(statement, column);
        if (!bytes)
            return false;
        return string_write_json(
            (struct string){bytes, (size_t)sqlite3_column_bytes(statement, column)}, buffer);
    case SQLITE_BLOB:
        bytes = sqlite3_column_blob(statement, column); /* NULL where it is empty */
        return value_append(
            value_bytes(bytes ? bytes : "", (size_t)sqlite3_column_bytes(statement, column)),
            buffer);
    default:
        return buffer_append(buffer, "null", 4);
    }
}

bool sqlite_row_append(const struct sqlite_columns *columns, sqlite3_stmt *statement,
                       struct buffer *buffer)
{
    for (int i = 0; i < columns->count; i++)
        if (!buffer_append_byte(buffer, i ? ',' : '{') ||
            !buffer_append(buffer, columns->names[i].data, columns->names[i].length) ||
            !sqlite_value_append(statement, i, buffer))
            return false;
    return buffer_append_byte(buffer, '}');
}

int sqlite_parameter_number(sqlite3_stmt *statement, int index)
{
    const char *name = sqlite3_bind_parameter_name(statement, index);
    if (!name)
        return index;
    char *end;
    long number = name[0] == '$' || name[0] == '?' ? strtol(name + 1, &end, 10) : 0;
    return number > 0 && number <= PARAMETERS_MOST && *end == 0 ? (int)number : 0;
}

int sqlite_parameters_wanted(sqlite3_stmt *statement)
{
    int wanted = 0;
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
        int number = sqlite_parameter_number(statement, i);
        if (number == 0)
            return -1;
        wanted = number > wanted ? number : wanted;
    }
    return wanted;
}
