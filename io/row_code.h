/* Rows for databases: the values of a batch's rows in a compact binary form, made by the workers
 * (row_encode) and read by the thread of the sink (row_next, row_cell). A row is the index of its
 * record and one cell for each field of a closed shape; a cell is a kind byte and its content. Only
 * for the way from one thread to another of the same run: host byte order, no version.
 * Pure functions but for the batch's arena and rejects; any thread. */
#ifndef LEAT_IO_ROW_CODE_H
#define LEAT_IO_ROW_CODE_H

#include "core/batch.h"
#include "core/format.h"

enum row_kind {
    ROW_NULL,
    ROW_BOOL,
    ROW_INT,
    ROW_DOUBLE, /* no NaN: the row is rejected */
    ROW_TEXT,   /* UTF-8; also timestamps (RFC 3339), durations ("1.5s"), lists and maps (JSON), and
                   unsigned ints beyond int64 */
    ROW_BYTES,
    ROW_KIND_COUNT
};

struct row_cell {
    enum row_kind kind;
    int64_t integer; /* INT; BOOL: 0 or 1 */
    double real;
    struct string text; /* TEXT, BYTES: lives as long as the buffer */
};

struct row_reader {
    const char *cursor;
    const char *end;
};

/* Appends rows [first, row_count) of batch.rows; the rules of format_ops.encode. */
enum encode_result row_encode(const struct shape *shape, struct batch *batch, uint32_t first,
                              uint32_t *done, struct buffer *buffer);

struct row_reader row_reader_open(const struct buffer *buffer);
/* False: no more rows. Else all cells of the row must be read before the next. */
bool row_next(struct row_reader *reader, uint32_t *record);
struct row_cell row_cell(struct row_reader *reader);

#endif
