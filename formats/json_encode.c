/* Writing records as JSON objects: see json_encode.h. What was read from JSON and not changed is
 * copied: whole runs of records, single ones, or ranges of members between the edits. */
#include "formats/json_encode.h"

#include <string.h>

#include "core/raw.h"

struct writer {
    const struct shape *shape;
    struct batch *batch;
    struct buffer *buffer;
    struct string before;
    struct string after;
    const char *reason; /* why a value was refused */
    /* shapes with edits */
    uint32_t *field_of;    /* of a base column: index of the field that it anchors, + 1; or 0 */
    uint32_t *member_of;   /* of a field: the last member that it replaces, + 1; or 0 */
    uint32_t column_count; /* entries of field_of */
};

/* Copies short text with wide stores: BUFFER_SLACK bytes behind the limit may be written, and what
 * is behind the text of a batch may be read (BATCH_PADDING). */
static inline bool text_append(struct writer *writer, const char *text, size_t length)
{
    struct buffer *buffer = writer->buffer;
    char *room = buffer_room(buffer, length);
    if (UNLIKELY(!room))
        return false;
    uintptr_t offset = (uintptr_t)text - (uintptr_t)writer->batch->text;
    if (LIKELY(length <= 32 && offset < writer->batch->text_length))
        memcpy(room, text, 32);
    else
        memcpy(room, text, length);
    buffer->length += length;
    return true;
}

static inline bool plain_append(struct buffer *buffer, struct string text)
{
    return buffer_append(buffer, text.data, text.length);
}

/* Strings and scalars of raw text hold no line end; maps and lists may. */
static inline enum json_result value_append(struct writer *writer, struct value value)
{
    if (LIKELY(value.kind == VALUE_RAW && value.text[0] != '{' && value.text[0] != '['))
        return text_append(writer, value.text, value.length) ? JSON_DONE : JSON_FULL;
    return value_write_json(value, writer->buffer, &writer->reason);
}

static enum json_result field_append(struct writer *writer, const struct shape_field *field,
                                     struct value value, bool first)
{
    if (!first && !buffer_append_byte(writer->buffer, ','))
        return JSON_FULL;
    if (!plain_append(writer->buffer, field->json_name))
        return JSON_FULL;
    return value_append(writer, value);
}

static enum json_result closed_write(struct writer *writer, uint32_t record)
{
    const struct shape *shape = writer->shape;
    if (!buffer_append_byte(writer->buffer, '{'))
        return JSON_FULL;
    for (uint32_t i = 0; i < shape->field_count; i++) {
        const struct shape_field *field = &shape->fields[i];
        struct value value = writer->batch->columns[field->column].cells[record];
        enum json_result result = field_append(writer, field, value, i == 0);
        if (result != JSON_DONE)
            return result;
    }
    return buffer_append_byte(writer->buffer, '}') ? JSON_DONE : JSON_FULL;
}

static inline uint32_t field_of_member(const struct writer *writer, const struct member *member)
{
    return member->column < writer->column_count ? writer->field_of[member->column] : 0;
}

/* Name and value of an untouched member of a record that is not JSON, or not ours to copy. */
static enum json_result member_write(struct writer *writer, const struct member *member, bool first)
{
    struct buffer *buffer = writer->buffer;
    if ((!first && !buffer_append_byte(buffer, ',')) || !buffer_append_byte(buffer, '"') ||
        !buffer_append(buffer, member->name, member->name_length) ||
        !buffer_append(buffer, "\":", 2))
        return JSON_FULL;
    return value_append(writer, member->value);
}

/* Untouched members [from, to) in one piece, with the text between them. */
static enum json_result members_copy(struct writer *writer, const struct member *from,
                                     const struct member *to, bool first)
{
    const char *start = from->name - 1;
    const struct value *last = &to[-1].value;
    if (!first && !buffer_append_byte(writer->buffer, ','))
        return JSON_FULL;
    return buffer_append(writer->buffer, start, (size_t)(last->text + last->length - start))
               ? JSON_DONE
               : JSON_FULL;
}

/* The members of the record with the edits of its fields. */
static enum json_result members_write(struct writer *writer, const struct member *members,
                                      uint32_t count, uint32_t record, bool copy, bool *first)
{
    const struct shape *shape = writer->shape;
    enum json_result result = JSON_DONE;
    for (uint32_t i = 0; i < count && result == JSON_DONE; i++) {
        uint32_t field = field_of_member(writer, &members[i]);
        if (!field && copy) {
            uint32_t from = i;
            while (i + 1 < count && !field_of_member(writer, &members[i + 1]))
                i++;
            result = members_copy(writer, members + from, members + i + 1, *first);
        } else if (!field) {
            result = member_write(writer, &members[i], *first);
        } else {
            const struct shape_field *edit = &shape->fields[field - 1];
            if (writer->member_of[field - 1] != i + 1 || edit->column == COLUMN_NONE)
                continue;
            struct value value = writer->batch->columns[edit->column].cells[record];
            if (value.kind == VALUE_ABSENT)
                continue;
            result = field_append(writer, edit, value, *first);
        }
        *first = false;
    }
    return result;
}

static enum json_result open_write(struct writer *writer, uint32_t record, bool copy)
{
    struct batch *batch = writer->batch;
    const struct shape *shape = writer->shape;
    CHECK(batch->members);
    const struct member *members = batch->members + batch->member_first[record];
    uint32_t count = batch->member_first[record + 1] - batch->member_first[record];
    bool first = true;
    for (uint32_t i = 0; i < shape->field_count; i++)
        writer->member_of[i] = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t field = field_of_member(writer, &members[i]);
        if (field)
            writer->member_of[field - 1] = i + 1;
    }
    if (!buffer_append_byte(writer->buffer, '{'))
        return JSON_FULL;
    enum json_result result = members_write(writer, members, count, record, copy, &first);
    for (uint32_t i = 0; i < shape->field_count && result == JSON_DONE; i++) {
        const struct shape_field *field = &shape->fields[i];
        if (writer->member_of[i] || field->column == COLUMN_NONE)
            continue;
        struct value value = batch->columns[field->column].cells[record];
        if (value.kind == VALUE_ABSENT)
            continue;
        result = field_append(writer, field, value, first);
        first = false;
    }
    if (result != JSON_DONE)
        return result;
    return buffer_append_byte(writer->buffer, '}') ? JSON_DONE : JSON_FULL;
}

/* A record as it was read, by this dialect or another one. */
static enum json_result clean_write(struct writer *writer, uint32_t record, bool same)
{
    struct batch *batch = writer->batch;
    struct string text = batch_record_text(batch, record);
    if (same)
        return plain_append(writer->buffer, text) ? JSON_DONE : JSON_FULL;
    /* only JSON text has records without members: {} or what is no map */
    if (batch->members && batch->member_first[record] != batch->member_first[record + 1])
        return open_write(writer, record, false);
    return value_write_json(value_raw(text.data, text.length), writer->buffer, &writer->reason);
}

static bool writer_open(struct writer *writer)
{
    const struct shape *shape = writer->shape;
    struct arena *arena = &writer->batch->arena;
    if (shape->closed)
        return true;
    for (uint32_t i = 0; i < shape->field_count; i++)
        if (shape->fields[i].anchor != COLUMN_NONE)
            writer->column_count =
                (uint32_t)size_max(writer->column_count, shape->fields[i].anchor + 1);
    writer->field_of = arena_take(arena, (writer->column_count + 1) * sizeof(uint32_t));
    writer->member_of = arena_take(arena, (shape->field_count + 1) * sizeof(uint32_t));
    if (!writer->field_of || !writer->member_of)
        return false;
    memset(writer->field_of, 0, (writer->column_count + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < shape->field_count; i++)
        if (shape->fields[i].anchor != COLUMN_NONE)
            writer->field_of[shape->fields[i].anchor] = i + 1;
    return true;
}

/* How many rows from `row` on stand one behind the other in the text with just an LF between. */
static uint32_t run_length(const struct batch *batch, uint32_t row)
{
    const struct batch_record *records = batch->records;
    uint32_t count = 1;
    while (row + count < batch->row_count) {
        uint32_t last = batch->rows[row + count - 1], next = batch->rows[row + count];
        uint32_t end = records[last].offset + records[last].length;
        if (records[next].offset != end + 1 || batch->text[end] != '\n')
            break;
        count++;
    }
    return count;
}

/* Untouched lines, as long runs of them as there are. */
static enum encode_result lines_copy(struct batch *batch, uint32_t *row, struct buffer *buffer)
{
    while (*row < batch->row_count) {
        uint32_t count = run_length(batch, *row);
        const struct batch_record *first = &batch->records[batch->rows[*row]], *last;
        size_t length;
        for (;;) { /* what fits */
            last = &batch->records[batch->rows[*row + count - 1]];
            length = last->offset + last->length - first->offset;
            if (length < buffer->limit - buffer->length)
                break;
            if (count == 1)
                return ENCODE_FULL;
            count = (count + 1) / 2;
        }
        if (!buffer_append(buffer, batch->text + first->offset, length) ||
            !buffer_append_byte(buffer, '\n'))
            return ENCODE_FULL;
        *row += count;
    }
    return ENCODE_OK;
}

static enum json_result record_write(struct writer *writer, uint32_t record, bool same)
{
    if (!plain_append(writer->buffer, writer->before))
        return JSON_FULL;
    enum json_result result = shape_is_clean(writer->shape) ? clean_write(writer, record, same)
                              : writer->shape->closed       ? closed_write(writer, record)
                                                            : open_write(writer, record, same);
    if (result == JSON_DONE && !plain_append(writer->buffer, writer->after))
        return JSON_FULL;
    return result;
}

enum encode_result json_encode(const struct shape *shape, struct batch *batch, bool same,
                               struct string before, struct string after, uint32_t first,
                               uint32_t *done, struct buffer *buffer)
{
    struct writer writer = {
        .shape = shape, .batch = batch, .buffer = buffer, .before = before, .after = after};
    *done = first;
    if (same && shape_is_clean(shape) && before.length == 0)
        return lines_copy(batch, done, buffer);
    size_t mark = arena_mark(&batch->arena);
    if (!writer_open(&writer))
        return ENCODE_SPLIT;
    bool rejected = false;
    for (; *done < batch->row_count; ++*done) {
        size_t length = buffer->length;
        enum json_result result = record_write(&writer, batch->rows[*done], same);
        if (LIKELY(result == JSON_DONE))
            continue;
        buffer->length = length;
        if (result == JSON_FULL)
            return ENCODE_FULL;
        if (!batch_reject(batch, batch->rows[*done], STAGE_SINK, ERROR_NOT_WRITABLE, UINT32_MAX,
                          "%s", writer.reason))
            return ENCODE_SPLIT;
        rejected = true;
    }
    if (!rejected)
        arena_rewind(&batch->arena, mark);
    return ENCODE_OK;
}
