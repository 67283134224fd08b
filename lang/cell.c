/* Decoding of column cells, each at most once: see term.h. Called by both evaluators on the thread
 * that owns the batch. */
#include <string.h>

#include "core/raw.h"
#include "lang/term.h"

bool column_prepare(struct evaluation *evaluation, struct column *column)
{
    if (column->decoded)
        return true;
    size_t size = (size_t)evaluation->record_count * sizeof(struct value);
    struct value *decoded = arena_take(evaluation->arena, size);
    if (!decoded)
        return false;
    memset(decoded, 0, size); /* ABSENT: not decoded yet */
    column->decoded = decoded;
    return true;
}

/* Short ints and strings without escapes, which most cells are; anything else ABSENT. */
static struct value decode_quickly(struct value raw)
{
    const char *text = raw.text;
    uint32_t length = raw.length;
    if (text[0] == '"') {
        if (memchr(text + 1, '\\', length - 2))
            return (struct value){0};
        return value_string(text + 1, length - 2);
    }
    bool negative = text[0] == '-';
    text += negative;
    length -= negative;
    if (length > 18)
        return (struct value){0};
    int64_t integer = 0;
    for (uint32_t i = 0; i < length; i++) {
        unsigned digit = (unsigned char)text[i] - '0';
        if (digit > 9)
            return (struct value){0};
        integer = integer * 10 + digit;
    }
    return value_int(negative ? -integer : integer);
}

struct value cell_decode(struct evaluation *evaluation, struct column *column, uint32_t row)
{
    struct value cell = column->cells ? column->cells[row] : (struct value){0};
    if (cell.kind == VALUE_ABSENT)
        return value_null();
    if (cell.kind != VALUE_RAW)
        return cell;
    if (!column_prepare(evaluation, column))
        return value_error(ERROR_ARENA_FULL);
    struct value value = decode_quickly(cell);
    if (value.kind == VALUE_ABSENT)
        value = value_open(cell, evaluation->arena);
    if (!value_is_hard_error(value))
        column->decoded[row] = value;
    return value;
}
