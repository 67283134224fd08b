/* Rows on their way to PostgreSQL: tuples of its binary COPY format, made by the workers once the
 * types of the table's columns are known. Before that a worker only notes which records are to be
 * written, and the sink's thread encodes them later, from the cells of the batch. Either way the
 * indexes of the records lie behind the tuples. Pure functions but for the batch's arena and
 * rejects; any thread that owns the batch. */
#ifndef LEAT_IO_POSTGRES_ROWS_H
#define LEAT_IO_POSTGRES_ROWS_H

#include "clients/postgres_types.h"
#include "core/batch.h"
#include "core/format.h"

/* The columns written, in the order of the shape; const once the workers may see it. */
struct postgres_layout {
    const char *table; /* for messages */
    const struct shape *shape;
    struct postgres_type *types;
    bool *is_key; /* must not be null */
    uint32_t count;
};

/* What an output holds. */
struct postgres_rows {
    const char *tuples;  /* NULL: not encoded yet */
    size_t length;       /* of the tuples */
    const char *records; /* their indexes, last first: postgres_rows_record */
    uint32_t count;
};

/* The rules of format_ops.encode. `layout` NULL: only notes the records. */
enum encode_result postgres_rows_encode(const struct postgres_layout *layout, struct batch *batch,
                                        uint32_t first, uint32_t *done, struct buffer *buffer);
struct postgres_rows postgres_rows_open(const struct buffer *buffer);
static inline uint32_t postgres_rows_record(const struct postgres_rows *rows, uint32_t row)
{
    uint32_t record;
    __builtin_memcpy(&record, rows->records + (rows->count - 1 - row) * sizeof(record),
                     sizeof(record));
    return record;
}

/* Appends one record's tuple. REFUSED: `text` says why ("column a: …"), in at most `size` bytes;
 * the buffer is as before, unless ENCODED. */
enum postgres_encoding postgres_tuple_append(const struct postgres_layout *layout,
                                             struct batch *batch, uint32_t record,
                                             struct buffer *buffer, char *text, size_t size);
/* The length of the tuple at `tuple`, which was made here. */
size_t postgres_tuple_length(const char *tuple);

#endif
