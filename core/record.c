/* Records taken apart: see record.h. */
#include "core/record.h"

#include <string.h>

#include "core/raw.h"

uint32_t record_fields_limit(const struct batch *batch, uint32_t record, const struct shape *shape)
{
    uint32_t members =
        shape->closed ? 0 : batch->member_first[record + 1] - batch->member_first[record];
    return members + shape->field_count;
}

static uint32_t field_add(struct record_field *fields, uint32_t count,
                          const struct shape_field *field, struct value value)
{
    fields[count] = (struct record_field){
        .name = field->json_name.data + 1,
        .name_length = (uint32_t)field->json_name.length - 3, /* quotes and colon */
        .value = value,
    };
    return count + 1;
}

static const struct shape_field *field_anchored(const struct shape *shape, uint32_t column)
{
    for (uint32_t i = 0; column != COLUMN_NONE && i < shape->field_count; i++)
        if (shape->fields[i].anchor == column)
            return &shape->fields[i];
    return NULL;
}

static bool member_repeats(const struct batch *batch, uint32_t from, uint32_t end, uint32_t column)
{
    for (uint32_t i = from; i < end; i++)
        if (batch->members[i].column == column)
            return true;
    return false;
}

static struct value cell(const struct batch *batch, uint32_t column, uint32_t record)
{
    return batch->columns[column].cells[record];
}

uint32_t record_fields(const struct batch *batch, uint32_t record, const struct shape *shape,
                       struct record_field *fields)
{
    uint32_t count = 0;
    if (shape->closed) {
        for (uint32_t i = 0; i < shape->field_count; i++) {
            struct value value = cell(batch, shape->fields[i].column, record);
            if (value.kind == VALUE_ABSENT)
                value = value_null();
            count = field_add(fields, count, &shape->fields[i], value);
        }
        return count;
    }
    uint32_t first = batch->member_first[record], end = batch->member_first[record + 1];
    for (uint32_t i = first; i < end; i++) {
        const struct member *member = &batch->members[i];
        const struct shape_field *field = field_anchored(shape, member->column);
        if (!field) {
            fields[count++] =
                (struct record_field){member->name, member->name_length, member->value};
            continue;
        }
        if (field->column == COLUMN_NONE || member_repeats(batch, i + 1, end, member->column))
            continue;
        struct value value = cell(batch, field->column, record);
        if (value.kind != VALUE_ABSENT)
            count = field_add(fields, count, field, value);
    }
    for (uint32_t i = 0; i < shape->field_count; i++) {
        const struct shape_field *field = &shape->fields[i];
        if (field->column == COLUMN_NONE ||
            (field->anchor != COLUMN_NONE && member_repeats(batch, first, end, field->anchor)))
            continue;
        struct value value = cell(batch, field->column, record);
        if (value.kind != VALUE_ABSENT)
            count = field_add(fields, count, field, value);
    }
    return count;
}

static struct value raw_record(const struct batch *batch, uint32_t record)
{
    struct string text = batch_record_text(batch, record);
    while (text.length && strchr(" \t\r\n", text.data[0]) && text.data[0])
        text.data++, text.length--;
    while (text.length && strchr(" \t\r\n", text.data[text.length - 1]) &&
           text.data[text.length - 1])
        text.length--;
    return value_raw(text.data, text.length);
}

struct value record_value(const struct batch *batch, uint32_t record, const struct shape *shape,
                          struct arena *arena)
{
    if (shape_is_clean(shape) && !batch->names && batch->text_length)
        return raw_record(batch, record);
    uint32_t limit = record_fields_limit(batch, record, shape);
    struct record_field *fields = arena_take(arena, (limit + 1) * sizeof(*fields));
    struct map_entry *entries = arena_take(arena, (limit + 1) * sizeof(*entries));
    if (!fields || !entries)
        return value_error(ERROR_ARENA_FULL);
    uint32_t count = record_fields(batch, record, shape, fields);
    for (uint32_t i = 0; i < count; i++) {
        /* the quotes stand around the escaped name in every text that it can come from */
        struct value key =
            value_resolve(value_raw(fields[i].name - 1, fields[i].name_length + 2), arena);
        if (key.kind == VALUE_ERROR)
            return key;
        entries[i] = (struct map_entry){key, fields[i].value};
    }
    struct value map = {.kind = VALUE_MAP, .length = count};
    map.entries = entries;
    return map;
}
