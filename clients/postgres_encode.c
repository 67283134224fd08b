/* Values as fields of PostgreSQL's binary format: see postgres_types.h. */
#include <math.h>
#include <string.h>

#include "clients/postgres_types.h"
#include "core/calendar.h"
#include "core/number.h"
#include "core/raw.h"

#define EPOCH_SECONDS 946684800LL /* 2000-01-01 since 1970 */
#define NESTING_MOST  6           /* dimensions of an array, as PostgreSQL's MAXDIM */

static enum postgres_encoding done_if(bool appended)
{
    return appended ? POSTGRES_ENCODED : POSTGRES_FULL;
}

static enum postgres_encoding refuse(const char **reason, const char *why)
{
    *reason = why;
    return POSTGRES_REFUSED;
}

static enum postgres_encoding field16(struct buffer *buffer, uint16_t number)
{
    char bytes[6];
    postgres_store32(bytes, 2);
    postgres_store16(bytes + 4, number);
    return done_if(buffer_append(buffer, bytes, sizeof(bytes)));
}

static enum postgres_encoding field32(struct buffer *buffer, uint32_t number)
{
    char bytes[8];
    postgres_store32(bytes, 4);
    postgres_store32(bytes + 4, number);
    return done_if(buffer_append(buffer, bytes, sizeof(bytes)));
}

static enum postgres_encoding field64(struct buffer *buffer, uint64_t number)
{
    char bytes[12];
    postgres_store32(bytes, 8);
    postgres_store64(bytes + 4, number);
    return done_if(buffer_append(buffer, bytes, sizeof(bytes)));
}

static enum postgres_encoding field_bytes(struct buffer *buffer, const char *bytes, size_t length)
{
    char *out = buffer_room(buffer, length + 4);
    if (!out)
        return POSTGRES_FULL;
    postgres_store32(out, (uint32_t)length);
    memcpy(out + 4, bytes, length);
    buffer->length += length + 4;
    return POSTGRES_ENCODED;
}

/* Fills in the length of what was appended behind a length word at `start`. */
static void length_set(struct buffer *buffer, size_t start)
{
    postgres_store32(buffer->data + start, (uint32_t)(buffer->length - start - 4));
}

/* ---- numbers ---- */

static enum postgres_encoding int_fits(int64_t integer, enum postgres_kind kind,
                                       struct buffer *buffer, const char **reason)
{
    switch (kind) {
    case POSTGRES_INT2:
        if (integer != (int16_t)integer)
            return refuse(reason, "out of the range of smallint");
        return field16(buffer, (uint16_t)integer);
    case POSTGRES_INT4:
        if (integer != (int32_t)integer)
            return refuse(reason, "out of the range of integer");
        return field32(buffer, (uint32_t)integer);
    case POSTGRES_OID:
        if (integer != (int64_t)(uint32_t)integer)
            return refuse(reason, "out of the range of oid");
        return field32(buffer, (uint32_t)integer);
    default:
        return field64(buffer, (uint64_t)integer);
    }
}

static enum postgres_encoding double_as_int(double real, enum postgres_kind kind,
                                            struct buffer *buffer, const char **reason)
{
    if (real != trunc(real) || fabs(real) >= 0x1p63)
        return refuse(reason, "it has a fraction, or is out of range");
    return int_fits((int64_t)real, kind, buffer, reason);
}

static enum postgres_encoding int_encode(struct value value, enum postgres_kind kind,
                                         struct buffer *buffer, const char **reason)
{
    int64_t integer;
    double real;
    switch ((enum value_kind)value.kind) {
    case VALUE_UINT:
        if (value.natural > INT64_MAX)
            return refuse(reason, "out of range");
        __attribute__((fallthrough));
    case VALUE_INT:
        return int_fits(value.integer, kind, buffer, reason);
    case VALUE_DOUBLE:
        return double_as_int(value.real, kind, buffer, reason);
    case VALUE_STRING:
        switch (number_parse(value.text, value.length, &integer, &real)) {
        case NUMBER_INT:
            return int_fits(integer, kind, buffer, reason);
        case NUMBER_DOUBLE:
            return double_as_int(real, kind, buffer, reason);
        case NUMBER_OUT_OF_RANGE:
        case NUMBER_INVALID:
            break;
        }
        return refuse(reason, "it is no number");
    default:
        return POSTGRES_REFUSED;
    }
}

static enum postgres_encoding float_append(double real, enum postgres_kind kind,
                                           struct buffer *buffer, const char **reason)
{
    uint64_t bits;
    uint32_t small;
    if (kind == POSTGRES_FLOAT8) {
        memcpy(&bits, &real, sizeof(bits));
        return field64(buffer, bits);
    }
    float narrow = (float)real;
    if (isinf(narrow) && !isinf(real))
        return refuse(reason, "out of the range of real");
    memcpy(&small, &narrow, sizeof(small));
    return field32(buffer, small);
}

static enum postgres_encoding float_encode(struct value value, enum postgres_kind kind,
                                           struct buffer *buffer, const char **reason)
{
    struct string text = {value.text, value.length};
    double real = 0;
    bool overflow = false;
    switch ((enum value_kind)value.kind) {
    case VALUE_INT:
        real = (double)value.integer;
        break;
    case VALUE_UINT:
        real = (double)value.natural;
        break;
    case VALUE_DOUBLE:
        real = value.real;
        break;
    case VALUE_STRING:
        if (string_equal_text(text, "NaN"))
            real = NAN;
        else if (string_equal_text(text, "Infinity") || string_equal_text(text, "-Infinity"))
            real = text.data[0] == '-' ? -INFINITY : INFINITY;
        else if (!number_parse_double(text.data, text.length, &real, &overflow) || overflow)
            return refuse(reason, overflow ? "out of range" : "it is no number");
        break;
    default:
        return POSTGRES_REFUSED;
    }
    return float_append(real, kind, buffer, reason);
}

static enum postgres_encoding numeric_encode(struct value value, struct buffer *buffer,
                                             const char **reason)
{
    char text[NUMBER_TEXT_SIZE];
    size_t length = 0;
    switch ((enum value_kind)value.kind) {
    case VALUE_INT:
        length = number_write_int(text, value.integer);
        break;
    case VALUE_UINT:
        length = number_write_uint(text, value.natural);
        break;
    case VALUE_DOUBLE:
        if (isnan(value.real))
            return postgres_numeric_encode("NaN", 3, buffer, reason);
        if (isinf(value.real))
            return value.real > 0 ? postgres_numeric_encode("Infinity", 8, buffer, reason)
                                  : postgres_numeric_encode("-Infinity", 9, buffer, reason);
        length = number_write_double(text, value.real);
        break;
    case VALUE_RAW: /* the digits as they were written */
    case VALUE_STRING: {
        *reason = "it is no number";
        return postgres_numeric_encode(value.text, value.length, buffer, reason);
    }
    default:
        return POSTGRES_REFUSED;
    }
    return postgres_numeric_encode(text, length, buffer, reason);
}

/* ---- text ---- */

static enum postgres_encoding json_encode(struct value value, bool binary, struct buffer *buffer,
                                          const char **reason)
{
    size_t start = buffer->length;
    if (!buffer_append(buffer, "\0\0\0\0\1", binary ? 5 : 4))
        return POSTGRES_FULL;
    enum json_result result = value_write_json(value, buffer, reason);
    if (result != JSON_DONE)
        return result == JSON_FULL ? POSTGRES_FULL : POSTGRES_REFUSED;
    length_set(buffer, start);
    return POSTGRES_ENCODED;
}

static enum postgres_encoding text_encode(struct value value, struct buffer *buffer,
                                          const char **reason)
{
    char text[CALENDAR_TEXT_SIZE];
    switch ((enum value_kind)value.kind) {
    case VALUE_STRING:
        if (value.length > 0 && memchr(value.text, 0, value.length))
            return refuse(reason, "PostgreSQL's text cannot hold U+0000");
        return field_bytes(buffer, value.text, value.length);
    case VALUE_TIMESTAMP:
        return field_bytes(buffer, text,
                           calendar_write_timestamp(text, value.integer, value.length));
    case VALUE_DURATION:
        return field_bytes(buffer, text, calendar_write_duration(text, value.integer));
    case VALUE_BYTES: { /* base64, as in JSON, without the quotes */
        size_t start = buffer->length;
        enum postgres_encoding result = json_encode(value, false, buffer, reason);
        if (result != POSTGRES_ENCODED)
            return result;
        buffer->length -= 2;
        memmove(buffer->data + start + 4, buffer->data + start + 5, buffer->length - start - 4);
        length_set(buffer, start);
        return result;
    }
    default:
        return json_encode(value, false, buffer, reason);
    }
}

static enum postgres_encoding bool_encode(struct value value, struct buffer *buffer,
                                          const char **reason)
{
    struct string text = {value.text, value.length};
    bool truth;
    if (value.kind == VALUE_STRING) {
        truth = string_equal_text(text, "true") || string_equal_text(text, "t");
        if (!truth && !string_equal_text(text, "false") && !string_equal_text(text, "f"))
            return refuse(reason, "neither true nor false");
    } else if (value.kind == VALUE_BOOL) {
        truth = value.boolean;
    } else {
        return POSTGRES_REFUSED;
    }
    return done_if(buffer_append(buffer, truth ? "\0\0\0\1\1" : "\0\0\0\1\0", 5));
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static int base64_digit(char byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    return byte == '+' || byte == '-' ? 62 : byte == '/' || byte == '_' ? 63 : -1;
}

/* base64, with or without its padding; writes into out and returns the length, or SIZE_MAX. */
static size_t base64_decode(const char *text, size_t length, char *out)
{
    char *begin = out;
    uint32_t bits = 0;
    unsigned held = 0;
    while (length > 0 && text[length - 1] == '=' && length % 4 != 1)
        length--;
    if (length % 4 == 1)
        return SIZE_MAX;
    for (size_t i = 0; i < length; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *out++ = (char)(bits >> held);
        }
    }
    return (size_t)(out - begin);
}

/* A string is base64, as leat writes bytes, or \x and hex digits, as PostgreSQL does. */
static enum postgres_encoding bytea_encode(struct value value, struct buffer *buffer,
                                           const char **reason)
{
    if (value.kind == VALUE_BYTES)
        return field_bytes(buffer, value.text, value.length);
    if (value.kind != VALUE_STRING)
        return POSTGRES_REFUSED;
    size_t start = buffer->length;
    char *out = buffer_room(buffer, value.length + 4);
    size_t length = 0;
    if (!out)
        return POSTGRES_FULL;
    if (value.length >= 2 && value.text[0] == '\\' && value.text[1] == 'x') {
        bool valid = value.length % 2 == 0;
        for (size_t i = 2; i + 1 < value.length && valid; i += 2) {
            int high = hex_digit(value.text[i]), low = hex_digit(value.text[i + 1]);
            valid = high >= 0 && low >= 0;
            out[4 + length++] = (char)(high * 16 + low);
        }
        if (!valid)
            return refuse(reason, "no hex digits behind \\x");
    } else {
        length = base64_decode(value.text, value.length, out + 4);
        if (length == SIZE_MAX)
            return refuse(reason, "neither base64 nor \\x with hex digits");
    }
    buffer->length += length + 4;
    length_set(buffer, start);
    return POSTGRES_ENCODED;
}

static enum postgres_encoding uuid_encode(struct value value, struct buffer *buffer,
                                          const char **reason)
{
    char bytes[16];
    unsigned digits = 0;
    if (value.kind == VALUE_BYTES && value.length == sizeof(bytes))
        return field_bytes(buffer, value.text, value.length);
    if (value.kind != VALUE_STRING)
        return POSTGRES_REFUSED;
    const char *text = value.text;
    size_t length = value.length;
    if (length >= 2 && text[0] == '{' && text[length - 1] == '}') {
        text++;
        length -= 2;
    }
    for (size_t i = 0; i < length; i++) {
        int digit = hex_digit(text[i]);
        if (text[i] == '-' && digits % 4 == 0 && digits > 0 && i > 0 && text[i - 1] != '-')
            continue;
        if (digit < 0 || digits == 32)
            return refuse(reason, "it is no UUID");
        char *byte = &bytes[digits / 2];
        *byte = (char)(digits % 2 ? *byte | digit : digit << 4);
        digits++;
    }
    if (digits != 32)
        return refuse(reason, "it is no UUID");
    return field_bytes(buffer, bytes, sizeof(bytes));
}

/* ---- time ---- */

static bool timestamp_micros(struct value value, int64_t *microseconds)
{
    return !__builtin_mul_overflow(value.integer - EPOCH_SECONDS, 1000000, microseconds) &&
           !__builtin_add_overflow(*microseconds, (value.length + 500) / 1000, microseconds);
}

static enum postgres_encoding timestamp_encode(struct value value, enum postgres_kind kind,
                                               struct buffer *buffer, const char **reason)
{
    int64_t microseconds;
    bool zoned = true;
    if (value.kind == VALUE_TIMESTAMP) {
        if (!timestamp_micros(value, &microseconds))
            return refuse(reason, "out of range");
    } else if (value.kind != VALUE_STRING) {
        return POSTGRES_REFUSED;
    } else if (!postgres_timestamp_read((struct string){value.text, value.length}, &microseconds,
                                        &zoned)) {
        return refuse(reason, "it is no RFC 3339 timestamp");
    }
    if (!zoned && kind == POSTGRES_TIMESTAMPTZ)
        return refuse(reason, "it has no time zone; add one, or use a column of type timestamp");
    return field64(buffer, (uint64_t)microseconds);
}

static enum postgres_encoding date_encode(struct value value, struct buffer *buffer,
                                          const char **reason)
{
    int64_t microseconds;
    int32_t days;
    const int64_t day = 86400LL * 1000000;
    if (value.kind == VALUE_TIMESTAMP) {
        if (!timestamp_micros(value, &microseconds) || microseconds % day != 0)
            return refuse(reason, "it is not midnight UTC");
        days = (int32_t)(microseconds / day);
    } else if (value.kind != VALUE_STRING) {
        return POSTGRES_REFUSED;
    } else if (!postgres_date_read((struct string){value.text, value.length}, &days)) {
        return refuse(reason, "it is no date as YYYY-MM-DD");
    }
    return field32(buffer, (uint32_t)days);
}

static enum postgres_encoding time_encode(struct value value, struct buffer *buffer,
                                          const char **reason)
{
    int64_t microseconds;
    if (value.kind != VALUE_STRING)
        return POSTGRES_REFUSED;
    if (!postgres_time_read((struct string){value.text, value.length}, &microseconds))
        return refuse(reason, "it is no time as HH:MM:SS");
    return field64(buffer, (uint64_t)microseconds);
}

static enum postgres_encoding interval_encode(struct value value, struct buffer *buffer,
                                              const char **reason)
{
    struct postgres_interval interval = {0};
    if (value.kind == VALUE_DURATION)
        interval.microseconds = value.integer / 1000;
    else if (value.kind != VALUE_STRING)
        return POSTGRES_REFUSED;
    else if (!postgres_interval_read((struct string){value.text, value.length}, &interval))
        return refuse(reason, "neither a duration (1.5s) nor an ISO 8601 interval (P1DT2H)");
    char bytes[20];
    postgres_store32(bytes, 16);
    postgres_store64(bytes + 4, (uint64_t)interval.microseconds);
    postgres_store32(bytes + 12, (uint32_t)interval.days);
    postgres_store32(bytes + 16, (uint32_t)interval.months);
    return done_if(buffer_append(buffer, bytes, sizeof(bytes)));
}

/* ---- all of them ---- */

static enum postgres_encoding scalar_encode(struct value value, enum postgres_kind kind,
                                            struct buffer *buffer, const char **reason)
{
    switch (kind) {
    case POSTGRES_BOOL:
        return bool_encode(value, buffer, reason);
    case POSTGRES_INT2:
    case POSTGRES_INT4:
    case POSTGRES_INT8:
    case POSTGRES_OID:
        return int_encode(value, kind, buffer, reason);
    case POSTGRES_FLOAT4:
    case POSTGRES_FLOAT8:
        return float_encode(value, kind, buffer, reason);
    case POSTGRES_NUMERIC:
        return numeric_encode(value, buffer, reason);
    case POSTGRES_TEXT:
        return text_encode(value, buffer, reason);
    case POSTGRES_JSON:
    case POSTGRES_JSONB:
        return json_encode(value, kind == POSTGRES_JSONB, buffer, reason);
    case POSTGRES_BYTEA:
        return bytea_encode(value, buffer, reason);
    case POSTGRES_UUID:
        return uuid_encode(value, buffer, reason);
    case POSTGRES_DATE:
        return date_encode(value, buffer, reason);
    case POSTGRES_TIME:
        return time_encode(value, buffer, reason);
    case POSTGRES_TIMESTAMP:
    case POSTGRES_TIMESTAMPTZ:
        return timestamp_encode(value, kind, buffer, reason);
    case POSTGRES_INTERVAL:
        return interval_encode(value, buffer, reason);
    case POSTGRES_UNKNOWN:
    case POSTGRES_KIND_COUNT:
        break;
    }
    CHECK(!"a column's type was looked at before its values");
    return POSTGRES_REFUSED;
}

struct array {
    const struct postgres_type *type;
    uint32_t sizes[NESTING_MOST];
    uint32_t dimensions;
    bool has_null;
};

/* Appends the elements of a list, which must be as long as its siblings. */
static enum postgres_encoding items_encode(struct value list, struct array *array, uint32_t depth,
                                           struct arena *arena, struct buffer *buffer,
                                           const char **reason)
{
    if (depth == NESTING_MOST)
        return refuse(reason, "it nests deeper than an array can");
    if (depth >= array->dimensions) {
        array->sizes[depth] = list.length;
        array->dimensions = depth + 1;
    } else if (array->sizes[depth] != list.length) {
        return refuse(reason, "the lists in it differ in length");
    }
    bool deeper = false;
    for (uint32_t i = 0; i < list.length; i++) {
        struct value item = list.items[i];
        bool nested = value_raw_kind(item) == VALUE_LIST && array->type->kind != POSTGRES_JSON &&
                      array->type->kind != POSTGRES_JSONB;
        if (i > 0 && nested != deeper)
            return refuse(reason, "it mixes lists and other values");
        deeper = nested;
        enum postgres_encoding result;
        if (nested) {
            item = value_resolve(item, arena);
            if (item.kind == VALUE_ERROR)
                return POSTGRES_SPLIT;
            result = items_encode(item, array, depth + 1, arena, buffer, reason);
        } else {
            struct postgres_type element = {.kind = array->type->kind};
            if (depth + 1 < array->dimensions)
                return refuse(reason, "it mixes lists and other values");
            array->has_null |= value_raw_kind(item) == VALUE_NULL;
            result = postgres_encode(item, &element, arena, buffer, reason);
        }
        if (result != POSTGRES_ENCODED)
            return result;
    }
    return POSTGRES_ENCODED;
}

/* length, dimensions, whether there are nulls, the element's type; size and lower bound of each
 * dimension; elements. */
static enum postgres_encoding array_encode(struct value value, const struct postgres_type *type,
                                           struct arena *arena, struct buffer *buffer,
                                           const char **reason)
{
    struct array array = {.type = type};
    char header[16 + 8 * NESTING_MOST];
    if (value.kind != VALUE_LIST)
        return POSTGRES_REFUSED;
    size_t start = buffer->length;
    uint32_t room = 0; /* dimensions are known behind the elements: make room as for one … */
    for (struct value at = value; at.kind == VALUE_LIST && room < NESTING_MOST; room++) {
        if (at.length == 0)
            break;
        at = value_resolve(at.items[0], arena);
        if (at.kind == VALUE_ERROR && at.code == ERROR_ARENA_FULL)
            return POSTGRES_SPLIT;
        if (type->kind == POSTGRES_JSON || type->kind == POSTGRES_JSONB) {
            room = 1;
            break;
        }
    }
    size_t size = 16 + 8 * (size_t)room;
    if (!buffer_append(buffer, header, size))
        return POSTGRES_FULL;
    if (room > 0) {
        enum postgres_encoding result = items_encode(value, &array, 0, arena, buffer, reason);
        if (result != POSTGRES_ENCODED)
            return result;
        if (array.dimensions != room)
            return refuse(reason, "it holds an empty list");
    }
    postgres_store32(header, (uint32_t)(buffer->length - start - 4));
    postgres_store32(header + 4, room);
    postgres_store32(header + 8, array.has_null);
    postgres_store32(header + 12, type->element_oid);
    for (uint32_t i = 0; i < room; i++) {
        postgres_store32(header + 16 + 8 * i, array.sizes[i]);
        postgres_store32(header + 20 + 8 * i, 1);
    }
    memcpy(buffer->data + start, header, size);
    return POSTGRES_ENCODED;
}

enum postgres_encoding postgres_encode(struct value value, const struct postgres_type *type,
                                       struct arena *arena, struct buffer *buffer,
                                       const char **reason)
{
    enum value_kind kind = value.kind == VALUE_RAW ? value_raw_kind(value) : value.kind;
    if (kind == VALUE_ABSENT || kind == VALUE_NULL)
        return done_if(buffer_append(buffer, "\xff\xff\xff\xff", 4));
    bool is_number = kind == VALUE_INT || kind == VALUE_DOUBLE;
    bool is_json = type->kind == POSTGRES_JSON || type->kind == POSTGRES_JSONB;
    bool is_tree = kind == VALUE_LIST || kind == VALUE_MAP;
    /* what keeps its own digits and spelling stays raw */
    bool keep = is_json || (type->kind == POSTGRES_NUMERIC && is_number) ||
                (type->kind == POSTGRES_TEXT && (is_number || is_tree));
    if (value.kind == VALUE_RAW && (type->is_array || !keep)) {
        value = value_resolve(value, arena);
        if (value.kind == VALUE_ERROR && value.code == ERROR_ARENA_FULL)
            return POSTGRES_SPLIT;
    }
    if (value.kind == VALUE_ERROR)
        return refuse(reason, error_meaning(value.code));
    if (value.kind >= VALUE_TYPE && value.kind != VALUE_RAW)
        return refuse(reason, "a value of this kind cannot be stored");
    if (type->is_array)
        return array_encode(value, type, arena, buffer, reason);
    return scalar_encode(value, type->kind, buffer, reason);
}

const char *postgres_value_name(struct value value)
{
    switch (value.kind == VALUE_RAW ? value_raw_kind(value) : (enum value_kind)value.kind) {
    case VALUE_ABSENT:
    case VALUE_NULL:
        return "null";
    case VALUE_BOOL:
        return "a bool";
    case VALUE_INT:
    case VALUE_UINT:
        return "an int";
    case VALUE_DOUBLE:
        return "a double";
    case VALUE_STRING:
        return "a string";
    case VALUE_BYTES:
        return "bytes";
    case VALUE_LIST:
        return "a list";
    case VALUE_MAP:
        return "a map";
    case VALUE_TIMESTAMP:
        return "a timestamp";
    case VALUE_DURATION:
        return "a duration";
    default:
        return "an error";
    }
}
