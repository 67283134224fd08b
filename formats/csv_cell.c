/* Fields of columns with a declared type: see csv_cell.h. Pure; any thread. */
#include "formats/csv_cell.h"

#include <strings.h>

#include "formats/csv_fields.h"
#include "formats/isa.h"

/* A whole number with an optional sign and leading zeros, within int64. */
static struct value int_convert(struct value field)
{
    const char *text = field.text;
    uint32_t at = field.length > 0 && (*text == '-' || *text == '+');
    bool negative = at && *text == '-';
    uint64_t limit = negative ? UINT64_C(1) << 63 : (UINT64_C(1) << 63) - 1, natural = 0;
    bool good = at < field.length;
    for (; at < field.length && good; at++) {
        uint64_t digit = (uint64_t)(uint8_t)text[at] - '0';
        good = digit <= 9 && natural <= (limit - digit) / 10;
        natural = natural * 10 + digit;
    }
    if (!good)
        return value_error(ERROR_CONVERSION);
    return value_int((int64_t)(negative ? 0 - natural : natural));
}

static struct value double_convert(struct value field)
{
    double real;
    bool overflow = false;
    if (!number_parse_double(field.text, field.length, &real, &overflow) || overflow)
        return value_error(ERROR_CONVERSION);
    return value_double(real);
}

static struct value bool_convert(struct value field)
{
    if (field.length == 4 && strncasecmp(field.text, "true", 4) == 0)
        return value_bool(true);
    if (field.length == 5 && strncasecmp(field.text, "false", 5) == 0)
        return value_bool(false);
    return value_error(ERROR_CONVERSION);
}

/* The converted value, or the text itself as JSON where that reads the same: its bytes survive. */
static struct value convert(enum csv_type type, struct value field)
{
    struct value value = type == CSV_INT      ? int_convert(field)
                         : type == CSV_DOUBLE ? double_convert(field)
                                              : bool_convert(field);
    if (value.kind == VALUE_ERROR)
        return value;
    bool raw = type == CSV_BOOL ? csv_word_is(field.text, field.length)
                                : csv_number_slow(field.text, field.length);
    if (type == CSV_DOUBLE) /* 5 would read as an int */
        raw =
            raw && (memchr(field.text, '.', field.length) ||
                    memchr(field.text, 'e', field.length) || memchr(field.text, 'E', field.length));
    if (raw) {
        field.kind = VALUE_RAW;
        return field;
    }
    return value;
}

bool csv_cell_typed(const struct csv *csv, enum csv_type type, const char *text, uint32_t length,
                    struct arena *arena, struct value *value)
{
    bool quoted = csv->quoting && length > 0 && (uint8_t)*text == csv->quote;
    if (quoted && !csv_cell_quoted(csv, text, length, arena, value))
        return false;
    if (!quoted)
        *value = csv_cell_mark(csv_cell_is_null(csv, text, length) ? VALUE_NULL : VALUE_STRING,
                               text, length);
    if (type != CSV_STRING && value->kind == VALUE_STRING)
        *value = convert(type, *value);
    return true;
}

csv_fields_function *csv_fields_get(void)
{
#if defined(__x86_64__)
    if (isa_get() == ISA_AVX512)
        return csv_fields_avx512;
#endif
    return NULL;
}
