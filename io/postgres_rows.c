/* Rows on their way to PostgreSQL: see postgres_rows.h. */
#include "io/postgres_rows.h"

#include <stdio.h>
#include <string.h>

#define REASON_SIZE 300

/* At the end of every output, behind the indexes of the records. */
struct trailer {
    uint32_t count;
    uint32_t encoded;
};

static struct value cell_at(const struct batch *batch, const struct shape_field *field,
                            uint32_t record)
{
    if (field->column != COLUMN_NONE && batch->columns[field->column].cells)
        return batch->columns[field->column].cells[record];
    return (struct value){.kind = VALUE_ABSENT};
}

static void reason_write(const struct postgres_layout *layout, uint32_t column, struct value value,
                         const char *reason, char *text, size_t size)
{
    struct string name = layout->shape->fields[column].name;
    const struct postgres_type *type = &layout->types[column];
    snprintf(text, size, "column %.*s of %s is %s%s and cannot take %s%s%s",
             (int)size_min(name.length, 63), name.data, layout->table,
             postgres_kind_name(type->kind), type->is_array ? "[]" : "", postgres_value_name(value),
             reason ? ": " : "", reason ? reason : "");
}

enum postgres_encoding postgres_tuple_append(const struct postgres_layout *layout,
                                             struct batch *batch, uint32_t record,
                                             struct buffer *buffer, char *text, size_t size)
{
    size_t start = buffer->length;
    enum postgres_encoding result = POSTGRES_ENCODED;
    char *count = buffer_room(buffer, 2);
    if (!count)
        return POSTGRES_FULL;
    postgres_store16(count, (uint16_t)layout->count);
    buffer->length += 2;
    for (uint32_t i = 0; i < layout->count && result == POSTGRES_ENCODED; i++) {
        const char *reason = NULL;
        struct value value = cell_at(batch, &layout->shape->fields[i], record);
        size_t mark = arena_mark(&batch->arena);
        size_t cell = buffer->length;
        result = postgres_encode(value, &layout->types[i], &batch->arena, buffer, &reason);
        arena_rewind(&batch->arena, mark);
        if (result == POSTGRES_ENCODED && layout->is_key[i] &&
            memcmp(buffer->data + cell, "\xff\xff\xff\xff", 4) == 0) {
            result = POSTGRES_REFUSED;
            reason = "it is a key";
        }
        if (result == POSTGRES_REFUSED)
            reason_write(layout, i, value, reason, text, size);
    }
    if (result != POSTGRES_ENCODED)
        buffer->length = start;
    return result;
}

size_t postgres_tuple_length(const char *tuple)
{
    unsigned count = postgres_load16(tuple);
    size_t length = 2;
    for (unsigned i = 0; i < count; i++) {
        uint32_t size = postgres_load32(tuple + length);
        length += 4 + (size == UINT32_MAX ? 0 : size);
    }
    return length;
}

/* Encodes (or notes) rows from `first` on. The indexes of the kept records grow down from the end
 * of the buffer, so that no other memory is needed, and are moved behind the tuples at last. */
enum encode_result postgres_rows_encode(const struct postgres_layout *layout, struct batch *batch,
                                        uint32_t first, uint32_t *done, struct buffer *buffer)
{
    const size_t limit = buffer->limit;
    char text[REASON_SIZE];
    struct trailer trailer = {.encoded = layout != NULL};
    enum encode_result stopped = ENCODE_OK;
    uint32_t i = first;
    for (; i < batch->row_count && stopped == ENCODE_OK; i++) {
        uint32_t record = batch->rows[i];
        enum postgres_encoding result = POSTGRES_FULL;
        size_t reserve = (trailer.count + 1) * sizeof(record) + sizeof(trailer);
        if (limit - buffer->length >= reserve) {
            buffer->limit = limit - reserve;
            result = layout
                         ? postgres_tuple_append(layout, batch, record, buffer, text, sizeof(text))
                         : POSTGRES_ENCODED;
            buffer->limit = limit;
        }
        if (result == POSTGRES_REFUSED &&
            !batch_reject(batch, record, STAGE_SINK, ERROR_NOT_WRITABLE, UINT32_MAX, "%s", text))
            result = POSTGRES_SPLIT;
        if (result == POSTGRES_ENCODED) {
            trailer.count++;
            memcpy(buffer->data + limit - trailer.count * sizeof(record), &record, sizeof(record));
        }
        if (result == POSTGRES_FULL || result == POSTGRES_SPLIT)
            stopped = result == POSTGRES_FULL ? ENCODE_FULL : ENCODE_SPLIT;
    }
    *done = stopped == ENCODE_OK ? i : i - 1;
    if (trailer.count == 0)
        return stopped;
    size_t records = trailer.count * sizeof(uint32_t);
    memmove(buffer->data + buffer->length, buffer->data + limit - records, records);
    buffer->length += records;
    CHECK(buffer_append(buffer, &trailer, sizeof(trailer)));
    return stopped;
}

struct postgres_rows postgres_rows_open(const struct buffer *buffer)
{
    struct trailer trailer;
    CHECK(buffer->length >= sizeof(trailer));
    memcpy(&trailer, buffer->data + buffer->length - sizeof(trailer), sizeof(trailer));
    size_t records = trailer.count * sizeof(uint32_t);
    size_t length = buffer->length - sizeof(trailer) - records;
    return (struct postgres_rows){
        .tuples = trailer.encoded ? buffer->data : NULL,
        .length = length,
        .records = buffer->data + length,
        .count = trailer.count,
    };
}
