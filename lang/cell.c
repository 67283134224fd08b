/* Decoding of column cells, each at most once: see term.h. Called by both evaluators on the thread
 * that owns the batch. */
#include <string.h>

#include "core/raw_scan.h"
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

static bool has_backslash(const char *text, uint32_t length)
{
    if (length < 8) {
        for (uint32_t i = 0; i < length; i++) {
            if (text[i] == '\\')
                return true;
        }
        return false;
    }
    for (uint32_t i = 0; i + 8 < length; i += 8) {
        if (word_find(word_load(text + i), '\\'))
            return true;
    }
    return word_find(word_load(text + length - 8), '\\') != 0; /* overlaps what was seen */
}

/* The rest of a number from its point on, `whole` being what stands before it. Up to 15 digits are
 * exact in a double and so are these powers of ten, so that one division rounds correctly (William
 * Clinger, "How to read floating point numbers accurately", 1990). ABSENT: not of that form. */
static struct value decode_fraction(const char *text, uint32_t length, uint32_t whole_digits,
                                    int64_t whole, bool negative)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    if (length == 0 || length + whole_digits > 15)
        return (struct value){0};
    for (uint32_t i = 0; i < length; i++) {
        unsigned digit = (unsigned char)text[i] - '0';
        if (digit > 9)
            return (struct value){0};
        whole = whole * 10 + digit;
    }
    double real = (double)whole / powers[length];
    return value_double(negative ? -real : real);
}

/* Short numbers and strings without escapes, which most cells are; anything else ABSENT. */
static inline struct value decode_quickly(struct value raw)
{
    const char *text = raw.text;
    uint32_t length = raw.length;
    if (text[0] == '"') {
        if (has_backslash(text + 1, length - 2))
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
            return text[i] == '.'
                       ? decode_fraction(text + i + 1, length - i - 1, i, integer, negative)
                       : (struct value){0};
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

bool cells_resolve(struct evaluation *evaluation, uint32_t index, const uint32_t *rows,
                   uint32_t count, struct value *out)
{
    struct column *column = &evaluation->columns[index];
    const struct value *cells = column->cells;
    struct value *decoded = column->decoded;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows[i];
        if (decoded && LIKELY(decoded[row].kind != VALUE_ABSENT)) {
            out[i] = decoded[row];
            continue;
        }
        struct value cell = cells ? cells[row] : (struct value){0};
        if (cell.kind != VALUE_RAW) {
            out[i] = cell.kind == VALUE_ABSENT ? value_null() : cell;
            continue;
        }
        if (UNLIKELY(!decoded)) {
            if (!column_prepare(evaluation, column))
                return false;
            decoded = column->decoded;
        }
        struct value value = decode_quickly(cell);
        if (UNLIKELY(value.kind == VALUE_ABSENT)) {
            value = cell_decode(evaluation, column, row);
            if (value_is_hard_error(value))
                return false;
        }
        decoded[row] = value;
        out[i] = value;
    }
    return true;
}
