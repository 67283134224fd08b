/* Fields of PostgreSQL's binary format as JSON text: see postgres_types.h. Lengths and counts are
 * the peer's: each is looked at before it is used. */
#include <math.h>
#include <string.h>

#include "clients/postgres_types.h"
#include "core/number.h"
#include "core/raw.h"

#define DIMENSIONS_MOST 6

static bool text_append(struct buffer *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

static bool real_append(double real, struct buffer *buffer)
{
    char text[NUMBER_TEXT_SIZE];
    if (isnan(real))
        return text_append(buffer, "\"NaN\"");
    if (isinf(real))
        return text_append(buffer, real > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return buffer_append(buffer, text, number_write_double(text, real));
}

/* The shortest decimal that reads back as this float: that of the double would show digits which
 * the column never had. */
static bool real4_append(float narrow, struct buffer *buffer)
{
    if (isnan(narrow) || isinf(narrow) || narrow == 0)
        return real_append(narrow, buffer);
    char digits[17];
    int exponent;
    int count = (int)number_shortest_digits(fabs((double)narrow), digits, &exponent);
    for (int keep = 1; keep < count && keep <= 9; keep++) {
        /* rounded to `keep` digits: the first that is this float again */
        char text[2 * NUMBER_TEXT_SIZE];
        double candidate = 0;
        bool overflow = false;
        int64_t rounded = 0;
        for (int i = 0; i < keep; i++)
            rounded = rounded * 10 + (digits[i] - '0');
        rounded += digits[keep] >= '5';
        size_t length = number_write_int(text, rounded);
        text[length++] = 'e';
        length += number_write_int(text + length, exponent - keep);
        if (number_parse_double(text, length, &candidate, &overflow) && !overflow &&
            (float)candidate == fabsf(narrow))
            return real_append(narrow < 0 ? -candidate : candidate, buffer);
    }
    return real_append(narrow, buffer);
}

static bool int_append(int64_t integer, struct buffer *buffer)
{
    char text[NUMBER_TEXT_SIZE];
    return buffer_append(buffer, text, number_write_int(text, integer));
}

static bool quoted_append(const char *text, size_t length, struct buffer *buffer)
{
    return buffer_append_byte(buffer, '"') && buffer_append(buffer, text, length) &&
           buffer_append_byte(buffer, '"');
}

static bool bytes_append(const char *bytes, size_t length, struct buffer *buffer)
{
    const char *reason;
    return value_write_json(value_bytes(bytes, length), buffer, &reason) == JSON_DONE;
}

static bool uuid_append(const char *bytes, struct buffer *buffer)
{
    static const char hex[] = "0123456789abcdef";
    char text[36];
    char *out = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = hex[(unsigned char)bytes[i] >> 4];
        *out++ = hex[(unsigned char)bytes[i] & 15];
    }
    return quoted_append(text, sizeof(text), buffer);
}

/* JSON as it was stored, on one line. */
static bool json_append(const char *text, size_t length, struct buffer *buffer)
{
    const char *reason;
    while (length > 0 && (unsigned char)*text <= ' ') {
        text++;
        length--;
    }
    while (length > 0 && (unsigned char)text[length - 1] <= ' ')
        length--;
    return value_write_json(value_raw(text, length), buffer, &reason) == JSON_DONE;
}

static bool time_append(const char *bytes, enum postgres_kind kind, struct buffer *buffer)
{
    char text[POSTGRES_TIME_SIZE];
    size_t length;
    struct postgres_interval interval;
    switch (kind) {
    case POSTGRES_DATE:
        length = postgres_date_write(text, (int32_t)postgres_load32(bytes));
        break;
    case POSTGRES_TIME:
        length = postgres_time_write(text, (int64_t)postgres_load64(bytes));
        break;
    case POSTGRES_INTERVAL:
        interval = (struct postgres_interval){(int64_t)postgres_load64(bytes),
                                              (int32_t)postgres_load32(bytes + 8),
                                              (int32_t)postgres_load32(bytes + 12)};
        length = postgres_interval_write(text, &interval);
        break;
    default:
        length = postgres_timestamp_write(text, (int64_t)postgres_load64(bytes),
                                          kind == POSTGRES_TIMESTAMPTZ);
        break;
    }
    return quoted_append(text, length, buffer);
}

/* Bytes that a value of this kind has, or 0 where it varies. */
static size_t size_of(enum postgres_kind kind)
{
    static const unsigned char sizes[POSTGRES_KIND_COUNT] = {
        [POSTGRES_BOOL] = 1,      [POSTGRES_INT2] = 2,      [POSTGRES_INT4] = 4,
        [POSTGRES_INT8] = 8,      [POSTGRES_OID] = 4,       [POSTGRES_FLOAT4] = 4,
        [POSTGRES_FLOAT8] = 8,    [POSTGRES_UUID] = 16,     [POSTGRES_DATE] = 4,
        [POSTGRES_TIME] = 8,      [POSTGRES_TIMESTAMP] = 8, [POSTGRES_TIMESTAMPTZ] = 8,
        [POSTGRES_INTERVAL] = 16,
    };
    return sizes[kind];
}

static bool scalar_decode(const char *bytes, size_t length, enum postgres_kind kind,
                          struct buffer *buffer, bool *corrupt)
{
    float narrow;
    double real;
    uint32_t small;
    uint64_t wide;
    if (size_of(kind) != 0 && size_of(kind) != length) {
        *corrupt = true;
        return false;
    }
    switch (kind) {
    case POSTGRES_BOOL:
        return text_append(buffer, *bytes ? "true" : "false");
    case POSTGRES_INT2:
        return int_append((int16_t)postgres_load16(bytes), buffer);
    case POSTGRES_INT4:
        return int_append((int32_t)postgres_load32(bytes), buffer);
    case POSTGRES_OID:
        return int_append(postgres_load32(bytes), buffer);
    case POSTGRES_INT8:
        return int_append((int64_t)postgres_load64(bytes), buffer);
    case POSTGRES_FLOAT4:
        small = postgres_load32(bytes);
        memcpy(&narrow, &small, sizeof(narrow));
        return real4_append(narrow, buffer);
    case POSTGRES_FLOAT8:
        wide = postgres_load64(bytes);
        memcpy(&real, &wide, sizeof(real));
        return real_append(real, buffer);
    case POSTGRES_NUMERIC:
        return postgres_numeric_decode(bytes, length, buffer, corrupt);
    case POSTGRES_TEXT:
        return string_write_json((struct string){bytes, length}, buffer);
    case POSTGRES_JSONB:
        if (length < 2 || *bytes != 1) {
            *corrupt = true;
            return false;
        }
        return json_append(bytes + 1, length - 1, buffer);
    case POSTGRES_JSON:
        return json_append(bytes, length, buffer);
    case POSTGRES_UUID:
        return uuid_append(bytes, buffer);
    case POSTGRES_DATE:
    case POSTGRES_TIME:
    case POSTGRES_TIMESTAMP:
    case POSTGRES_TIMESTAMPTZ:
    case POSTGRES_INTERVAL:
        return time_append(bytes, kind, buffer);
    case POSTGRES_BYTEA:
    case POSTGRES_UNKNOWN:
    case POSTGRES_KIND_COUNT:
        break;
    }
    return bytes_append(bytes, length, buffer);
}

struct array_reader {
    const char *at;
    const char *end;
    uint32_t sizes[DIMENSIONS_MOST];
    uint32_t dimensions;
    const struct postgres_type *type;
};

static bool items_decode(struct array_reader *reader, uint32_t depth, struct buffer *buffer,
                         bool *corrupt)
{
    if (!buffer_append_byte(buffer, '['))
        return false;
    for (uint32_t i = 0; i < reader->sizes[depth]; i++) {
        if (i > 0 && !buffer_append_byte(buffer, ','))
            return false;
        if (depth + 1 < reader->dimensions) {
            if (!items_decode(reader, depth + 1, buffer, corrupt))
                return false;
            continue;
        }
        *corrupt = reader->end - reader->at < 4;
        if (*corrupt)
            return false;
        uint32_t length = postgres_load32(reader->at);
        reader->at += 4;
        if (length == UINT32_MAX) {
            if (!text_append(buffer, "null"))
                return false;
            continue;
        }
        *corrupt = (size_t)(reader->end - reader->at) < length;
        if (*corrupt || !scalar_decode(reader->at, length, reader->type->kind, buffer, corrupt))
            return false;
        reader->at += length;
    }
    return buffer_append_byte(buffer, ']');
}

static bool array_decode(const char *bytes, size_t length, const struct postgres_type *type,
                         struct buffer *buffer, bool *corrupt)
{
    struct array_reader reader = {.end = bytes + length, .type = type};
    *corrupt = length < 12;
    if (*corrupt)
        return false;
    reader.dimensions = postgres_load32(bytes);
    *corrupt = reader.dimensions > DIMENSIONS_MOST || length < 12 + 8 * (size_t)reader.dimensions;
    if (*corrupt)
        return false;
    if (reader.dimensions == 0)
        return text_append(buffer, "[]");
    uint64_t elements = 1;
    for (uint32_t i = 0; i < reader.dimensions; i++) {
        reader.sizes[i] = postgres_load32(bytes + 12 + 8 * i);
        /* each element has 4 bytes at least, so that sizes cannot make us work for nothing */
        *corrupt = reader.sizes[i] == 0 || reader.sizes[i] > length;
        elements *= reader.sizes[i];
        *corrupt = *corrupt || elements > length;
        if (*corrupt)
            return false;
    }
    reader.at = bytes + 12 + 8 * reader.dimensions;
    if (!items_decode(&reader, 0, buffer, corrupt))
        return false;
    *corrupt = reader.at != reader.end;
    return !*corrupt;
}

bool postgres_decode(const char *bytes, size_t length, const struct postgres_type *type,
                     struct buffer *buffer, bool *corrupt)
{
    *corrupt = false;
    return type->is_array ? array_decode(bytes, length, type, buffer, corrupt)
                          : scalar_decode(bytes, length, type->kind, buffer, corrupt);
}
