/* Rows for databases: see row_code.h. */
#include "io/row_code.h"

#include <math.h>

#include "core/calendar.h"
#include "core/number.h"
#include "core/raw.h"

enum cell_result { CELL_DONE, CELL_FULL, CELL_SPLIT, CELL_REJECTED };

static bool kind_append(struct buffer *buffer, enum row_kind kind, const void *content, size_t size)
{
    return buffer_append_byte(buffer, (char)kind) && buffer_append(buffer, content, size);
}

static bool text_append(struct buffer *buffer, enum row_kind kind, const char *text, size_t length)
{
    uint32_t size = (uint32_t)length;
    return kind_append(buffer, kind, &size, sizeof(size)) && buffer_append(buffer, text, length);
}

static enum cell_result done_if(bool appended)
{
    return appended ? CELL_DONE : CELL_FULL;
}

static enum cell_result cell_reject(struct batch *batch, uint32_t record, enum error_code code,
                                    struct string field, const char *reason)
{
    bool rejected = batch_reject(batch, record, STAGE_SINK, code, UINT32_MAX, "%.*s: %s",
                                 (int)size_min(field.length, 100), field.data, reason);
    return rejected ? CELL_REJECTED : CELL_SPLIT;
}

/* JSON text behind a length that is known only afterwards. */
static enum cell_result json_append(struct value value, struct buffer *buffer, const char **reason)
{
    uint32_t size = 0;
    if (!kind_append(buffer, ROW_TEXT, &size, sizeof(size)))
        return CELL_FULL;
    size_t start = buffer->length;
    enum json_result result = value_write_json(value, buffer, reason);
    if (result != JSON_DONE)
        return result == JSON_FULL ? CELL_FULL : CELL_REJECTED;
    size = (uint32_t)(buffer->length - start);
    memcpy(buffer->data + start - sizeof(size), &size, sizeof(size));
    return CELL_DONE;
}

/* A resolved value. REJECTED: *reason says why; nothing was recorded. */
static enum cell_result value_append(struct value value, struct buffer *buffer, const char **reason)
{
    char text[NUMBER_TEXT_SIZE];
    _Static_assert(NUMBER_TEXT_SIZE >= CALENDAR_TEXT_SIZE, "text holds either");
    size_t length = 0;
    switch ((enum value_kind)value.kind) {
    case VALUE_ABSENT:
    case VALUE_NULL:
        return done_if(buffer_append_byte(buffer, ROW_NULL));
    case VALUE_BOOL:
        text[0] = value.boolean;
        return done_if(kind_append(buffer, ROW_BOOL, text, 1));
    case VALUE_UINT:
        if (value.natural > INT64_MAX) {
            length = number_write_uint(text, value.natural);
            break;
        }
        __attribute__((fallthrough));
    case VALUE_INT:
        return done_if(kind_append(buffer, ROW_INT, &value.integer, sizeof(value.integer)));
    case VALUE_DOUBLE:
        *reason = "a database has no NaN";
        if (isnan(value.real))
            return CELL_REJECTED;
        return done_if(kind_append(buffer, ROW_DOUBLE, &value.real, sizeof(value.real)));
    case VALUE_STRING:
        return done_if(text_append(buffer, ROW_TEXT, value.text, value.length));
    case VALUE_BYTES:
        return done_if(text_append(buffer, ROW_BYTES, value.text, value.length));
    case VALUE_TIMESTAMP:
        length = calendar_write_timestamp(text, value.integer, value.length);
        break;
    case VALUE_DURATION:
        length = calendar_write_duration(text, value.integer);
        break;
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_RAW:
        return json_append(value, buffer, reason);
    case VALUE_TYPE:
    case VALUE_OPTIONAL:
    case VALUE_ERROR:
    case VALUE_KIND_COUNT:
        *reason = "a value of this kind cannot be stored";
        return CELL_REJECTED;
    }
    return done_if(text_append(buffer, ROW_TEXT, text, length));
}

/* Lists and maps nobody looked into are JSON text already; everything else is decoded. */
static struct value cell_decode(struct value cell, struct arena *arena)
{
    enum value_kind kind = value_raw_kind(cell);
    return kind == VALUE_LIST || kind == VALUE_MAP ? cell : value_resolve(cell, arena);
}

static enum cell_result cell_append(const struct shape_field *field, struct batch *batch,
                                    uint32_t record, struct buffer *buffer)
{
    struct value cell = {.kind = VALUE_ABSENT};
    if (field->column != COLUMN_NONE && batch->columns[field->column].cells)
        cell = batch->columns[field->column].cells[record];
    size_t mark = arena_mark(&batch->arena);
    struct value value = cell_decode(cell, &batch->arena);
    if (value.kind == VALUE_ERROR) {
        if (value.code == ERROR_ARENA_FULL)
            return CELL_SPLIT;
        return cell_reject(batch, record, value.code, field->name, error_meaning(value.code));
    }
    const char *reason = NULL;
    enum cell_result result = value_append(value, buffer, &reason);
    arena_rewind(&batch->arena, mark);
    if (result == CELL_REJECTED)
        return cell_reject(batch, record, ERROR_NOT_WRITABLE, field->name, reason);
    return result;
}

static enum cell_result record_append(const struct shape *shape, struct batch *batch,
                                      uint32_t record, struct buffer *buffer)
{
    enum cell_result result = done_if(buffer_append(buffer, &record, sizeof(record)));
    for (uint32_t i = 0; i < shape->field_count && result == CELL_DONE; i++)
        result = cell_append(&shape->fields[i], batch, record, buffer);
    return result;
}

enum encode_result row_encode(const struct shape *shape, struct batch *batch, uint32_t first,
                              uint32_t *done, struct buffer *buffer)
{
    CHECK(shape->closed);
    for (uint32_t i = first; i < batch->row_count; i++) {
        size_t start = buffer->length;
        enum cell_result result = record_append(shape, batch, batch->rows[i], buffer);
        if (result == CELL_DONE)
            continue;
        buffer->length = start;
        if (result == CELL_REJECTED)
            continue;
        *done = i;
        return result == CELL_FULL ? ENCODE_FULL : ENCODE_SPLIT;
    }
    *done = batch->row_count;
    return ENCODE_OK;
}

struct row_reader row_reader_open(const struct buffer *buffer)
{
    return (struct row_reader){buffer->data, buffer->data + buffer->length};
}

static const char *bytes_take(struct row_reader *reader, size_t size)
{
    CHECK((size_t)(reader->end - reader->cursor) >= size);
    const char *bytes = reader->cursor;
    reader->cursor += size;
    return bytes;
}

bool row_next(struct row_reader *reader, uint32_t *record)
{
    if (reader->cursor == reader->end)
        return false;
    memcpy(record, bytes_take(reader, sizeof(*record)), sizeof(*record));
    return true;
}

struct row_cell row_cell(struct row_reader *reader)
{
    struct row_cell cell = {.kind = (enum row_kind) * bytes_take(reader, 1)};
    uint32_t size;
    switch (cell.kind) {
    case ROW_NULL:
        break;
    case ROW_BOOL:
        cell.integer = *bytes_take(reader, 1);
        break;
    case ROW_INT:
        memcpy(&cell.integer, bytes_take(reader, sizeof(cell.integer)), sizeof(cell.integer));
        break;
    case ROW_DOUBLE:
        memcpy(&cell.real, bytes_take(reader, sizeof(cell.real)), sizeof(cell.real));
        break;
    case ROW_TEXT:
    case ROW_BYTES:
        memcpy(&size, bytes_take(reader, sizeof(size)), sizeof(size));
        cell.text = (struct string){bytes_take(reader, size), size};
        break;
    case ROW_KIND_COUNT:
        CHECK(!"a row was encoded by row_encode");
    }
    return cell;
}
