/* Evaluating a lookup's expressions for one row, and values as text and as copies. The row is shown
 * as the only one of an evaluation, so that nothing is made for the others and all that is made
 * lies in scratch memory. The actor's thread. */
#include <string.h>

#include "core/number.h"
#include "core/raw.h"
#include "core/calendar.h"
#include "stages/lookup.h"

struct evaluation lookup_view(struct lookup *lookup, const struct batch *batch, uint32_t row)
{
    struct column *view = lookup->view;
    arena_rewind(&lookup->scratch, lookup->scratch_floor);
    if (batch)
        for (uint32_t i = 0; i < lookup->view_count; i++) {
            struct value *cells = batch->columns[i].cells;
            view[i] = (struct column){.cells = cells ? cells + row : NULL};
        }
    else
        memset(view, 0, lookup->view_count * sizeof(*view));
    view[lookup->answer_name].cells = &lookup->answer_cell;
    view[lookup->status_name].cells = &lookup->status_cell;
    view[lookup->keys_name].cells = &lookup->keys_cell;
    return (struct evaluation){view, 1, &lookup->scratch, lookup->evaluator};
}

struct string lookup_trim(struct string text)
{
    while (text.length && strchr(" \t\r\n", text.data[0]) && text.data[0])
        text.data++, text.length--;
    while (text.length && strchr(" \t\r\n", text.data[text.length - 1]) &&
           text.data[text.length - 1])
        text.length--;
    return text;
}

bool lookup_scalar_text(struct value value, char *scratch, struct string *text)
{
    text->data = scratch;
    switch (value.kind) {
    case VALUE_STRING:
        *text = (struct string){value.text, value.length};
        return true;
    case VALUE_BOOL:
        *text = value.boolean ? STRING("true") : STRING("false");
        return true;
    case VALUE_INT:
        text->length = number_write_int(scratch, value.integer);
        return true;
    case VALUE_UINT:
        text->length = number_write_uint(scratch, value.natural);
        return true;
    case VALUE_DOUBLE:
        if (value.real != value.real || value.real - value.real != 0)
            return false;
        text->length = number_write_double(scratch, value.real);
        return true;
    case VALUE_TIMESTAMP:
        text->length = calendar_write_timestamp(scratch, value.integer, value.length);
        return true;
    default:
        return false;
    }
}

static bool text_copy(struct value *value, struct arena *arena)
{
    char *copy = arena_take_aligned(arena, value->length + 1, 1);
    if (!copy)
        return false;
    if (value->length)
        memcpy(copy, value->text, value->length);
    value->text = copy;
    return true;
}

/* Values made by expressions nest no deeper than those do. */
bool lookup_value_copy(struct value *value, struct arena *arena)
{
    switch (value->kind) {
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_RAW:
        return text_copy(value, arena);
    case VALUE_TYPE:
    case VALUE_ERROR:
        return value->text == NULL || text_copy(value, arena);
    case VALUE_LIST:
    case VALUE_OPTIONAL: {
        struct value *items = arena_take(arena, (value->length + 1) * sizeof(*items));
        if (!items)
            return false;
        for (uint32_t i = 0; i < value->length; i++) {
            items[i] = value->items[i];
            if (!lookup_value_copy(&items[i], arena))
                return false;
        }
        value->items = items;
        return true;
    }
    case VALUE_MAP: {
        struct map_entry *entries = arena_take(arena, (value->length + 1) * sizeof(*entries));
        if (!entries)
            return false;
        for (uint32_t i = 0; i < value->length; i++) {
            entries[i] = value->entries[i];
            if (!lookup_value_copy(&entries[i].key, arena) ||
                !lookup_value_copy(&entries[i].value, arena))
                return false;
        }
        value->entries = entries;
        return true;
    }
    default:
        return true;
    }
}

bool lookup_write_json(struct lookup *lookup, struct value value, struct string *text,
                       struct value *error)
{
    struct arena *arena = &lookup->scratch;
    struct buffer buffer = {.data = arena->base + arena->used, .limit = arena->limit - arena->used};
    const char *reason = "";
    *error = value_error(ERROR_ARENA_FULL);
    if (buffer.limit <= BUFFER_SLACK)
        return false;
    buffer.limit -= BUFFER_SLACK;
    switch (value_write_json(value, &buffer, &reason)) {
    case JSON_FULL:
        return false;
    case JSON_REFUSED:
        *error = value_error_text(ERROR_NOT_WRITABLE, reason, strlen(reason));
        return false;
    case JSON_DONE:
        break;
    }
    *text = (struct string){buffer.data, buffer.length};
    arena->used += buffer.length;
    return true;
}
