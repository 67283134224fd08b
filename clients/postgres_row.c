/* Rows of a query as JSON objects: see postgres_row.h. */
#include "clients/postgres_row.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/raw.h"

#define NAMES_SIZE ((size_t)1 << 20)

bool postgres_columns_open(struct postgres_columns *columns, struct error *error)
{
    *columns = (struct postgres_columns){0};
    return buffer_open(&columns->names, NAMES_SIZE, NAMES_SIZE, error);
}

void postgres_columns_close(struct postgres_columns *columns)
{
    free(columns->types);
    free(columns->name_ends);
    free(columns->oids);
    if (columns->names.data)
        buffer_close(&columns->names);
    *columns = (struct postgres_columns){0};
}

bool postgres_columns_take(struct postgres_columns *columns, const PGresult *result)
{
    size_t count = (size_t)PQnfields(result);
    free(columns->types);
    free(columns->name_ends);
    free(columns->oids);
    columns->count = 0;
    columns->types = memory_take_zeroed(count + 1, sizeof(*columns->types));
    columns->name_ends = memory_take_zeroed(count + 1, sizeof(*columns->name_ends));
    columns->oids = memory_take_zeroed(count + 1, sizeof(*columns->oids));
    buffer_reset(&columns->names);
    if (!columns->types || !columns->name_ends || !columns->oids)
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *name = PQfname(result, (int)i);
        columns->oids[i] = PQftype(result, (int)i);
        columns->types[i] = postgres_type_of(columns->oids[i]);
        if (!string_write_json((struct string){name, strlen(name)}, &columns->names) ||
            !buffer_append_byte(&columns->names, ':'))
            return false;
        columns->name_ends[i] = (uint32_t)columns->names.length;
    }
    columns->count = (int)count;
    return true;
}

int postgres_columns_unknown(const struct postgres_columns *columns)
{
    for (int i = 0; i < columns->count; i++)
        if (columns->types[i].kind == POSTGRES_UNKNOWN)
            return i;
    return -1;
}

enum postgres_row_result postgres_row_append(const struct postgres_columns *columns,
                                             const PGresult *result, int row, struct buffer *buffer)
{
    if (PQnfields(result) != columns->count)
        return POSTGRES_ROW_CORRUPT;
    bool fits = buffer_append_byte(buffer, '{');
    for (int i = 0; i < columns->count && fits; i++) {
        uint32_t start = i ? columns->name_ends[i - 1] : 0;
        bool corrupt = false;
        fits = (i == 0 || buffer_append_byte(buffer, ',')) &&
               buffer_append(buffer, columns->names.data + start, columns->name_ends[i] - start);
        if (!fits)
            break;
        if (PQgetisnull(result, row, i))
            fits = buffer_append(buffer, "null", 4);
        else
            fits = postgres_decode(PQgetvalue(result, row, i), (size_t)PQgetlength(result, row, i),
                                   &columns->types[i], buffer, &corrupt);
        if (corrupt)
            return POSTGRES_ROW_CORRUPT;
    }
    return fits && buffer_append_byte(buffer, '}') ? POSTGRES_ROW_WHOLE : POSTGRES_ROW_LARGE;
}
