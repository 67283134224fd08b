/* Rows of a query as JSON objects: what its columns are, and a row of binary cells as text. One
 * thread at a time. */
#ifndef LEAT_CLIENTS_POSTGRES_ROW_H
#define LEAT_CLIENTS_POSTGRES_ROW_H

#include "clients/postgres.h"
#include "clients/postgres_types.h"

struct postgres_columns {
    int count;
    struct postgres_type *types;
    uint32_t *name_ends; /* in names */
    struct buffer names; /* "name": of each column, one after another */
    uint32_t *oids;
};

/* Both may be called again and again. */
MUST_USE bool postgres_columns_open(struct postgres_columns *columns, struct error *error);
void postgres_columns_close(struct postgres_columns *columns);
/* From the description of a statement. False: no memory, or too many names. */
MUST_USE bool postgres_columns_take(struct postgres_columns *columns, const PGresult *result);
/* The first column whose type is not known, or -1. */
int postgres_columns_unknown(const struct postgres_columns *columns);

enum postgres_row_result {
    POSTGRES_ROW_WHOLE,
    POSTGRES_ROW_LARGE /* the buffer's limit */,
    POSTGRES_ROW_CORRUPT
};
/* Appends a row; where it does not fit, the buffer may hold a part of it. */
enum postgres_row_result postgres_row_append(const struct postgres_columns *columns,
                                             const PGresult *result, int row,
                                             struct buffer *buffer);

#endif
