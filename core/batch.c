/* Rejects and computed columns of a batch: see batch.h. */
#include "core/batch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool batch_reject(struct batch *batch, uint32_t record, uint16_t stage, enum error_code code,
                  uint32_t column, const char *format, ...)
{
    char text[401];
    int length = 0;
    if (format) {
        va_list arguments;
        va_start(arguments, format);
        length = vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        CHECK(length >= 0);
        length = (int)size_min((size_t)length, sizeof(text) - 1);
    }
    struct reject *reject = arena_take(&batch->arena, sizeof(*reject));
    char *copy =
        reject ? arena_copy_text(&batch->arena, (struct string){text, (size_t)length}) : NULL;
    if (!copy)
        return false;
    *reject = (struct reject){
        .record = record,
        .column = column,
        .code = (uint16_t)code,
        .stage = stage,
        .text = format ? copy : NULL,
        .text_length = (uint32_t)length,
    };
    *batch->rejects_tail = reject;
    batch->rejects_tail = &reject->next;
    batch->reject_count++;
    return true;
}

struct value *batch_column_make(struct batch *batch, uint32_t column)
{
    CHECK(column < batch->column_count);
    size_t size = sizeof(struct value) * batch->record_count;
    struct value *cells = arena_take(&batch->arena, size ? size : 1);
    if (cells) {
        memset(cells, 0, size);
        batch->columns[column].cells = cells;
        batch->columns[column].decoded = NULL;
    }
    return cells;
}
