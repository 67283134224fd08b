/* PostgreSQL's types as leat knows them, and values in their binary format, both ways. docs/
 * postgres.md has the mapping. Binary formats are those of each type's send and receive functions
 * in PostgreSQL's sources, all in network byte order. Pure functions; any thread. */
#ifndef LEAT_CLIENTS_POSTGRES_TYPES_H
#define LEAT_CLIENTS_POSTGRES_TYPES_H

#include "core/buffer.h"
#include "core/value.h"

enum postgres_kind {
    POSTGRES_UNKNOWN, /* neither read nor written in binary form */
    POSTGRES_BOOL,
    POSTGRES_INT2,
    POSTGRES_INT4,
    POSTGRES_INT8,
    POSTGRES_OID,
    POSTGRES_FLOAT4,
    POSTGRES_FLOAT8,
    POSTGRES_NUMERIC,
    POSTGRES_TEXT, /* also varchar, char(n), name, xml, citext, enums: their binary form is text */
    POSTGRES_JSON,
    POSTGRES_JSONB,
    POSTGRES_BYTEA,
    POSTGRES_UUID,
    POSTGRES_DATE,
    POSTGRES_TIME,
    POSTGRES_TIMESTAMP,
    POSTGRES_TIMESTAMPTZ,
    POSTGRES_INTERVAL,
    POSTGRES_KIND_COUNT
};

struct postgres_type {
    enum postgres_kind kind; /* of the elements, where is_array */
    bool is_array;
    uint32_t element_oid; /* of an array */
};

#define POSTGRES_OID_INT8 20
#define POSTGRES_OID_TEXT 25

/* By OID (of a domain: its base type's); UNKNOWN where the catalog has to be asked. */
struct postgres_type postgres_type_of(uint32_t oid);
/* By what pg_type tells: typtype ('e': enum), typname. For what postgres_type_of does not know. */
enum postgres_kind postgres_kind_named(char typtype, const char *typname);
/* "bigint", "timestamp with time zone" … as SQL writes it. */
const char *postgres_kind_name(enum postgres_kind kind);

enum postgres_encoding {
    POSTGRES_ENCODED,
    POSTGRES_FULL,    /* the buffer's limit; the buffer may hold a part: the caller cuts it off */
    POSTGRES_SPLIT,   /* the arena is full */
    POSTGRES_REFUSED, /* the value cannot be converted; *reason is a static text, or NULL */
};

/* Appends the length word and bytes of one field: of a COPY tuple, a parameter, an array. Raw
 * values are decoded as needed, in `arena` (the caller rewinds it). */
enum postgres_encoding postgres_encode(struct value value, const struct postgres_type *type,
                                       struct arena *arena, struct buffer *buffer,
                                       const char **reason);
/* "a string", "a list" … for messages. */
const char *postgres_value_name(struct value value);

/* Appends one binary field as JSON text. False: the buffer's limit was reached, or (*corrupt) the
 * bytes are not of that type. UNKNOWN types: as base64. */
MUST_USE bool postgres_decode(const char *bytes, size_t length, const struct postgres_type *type,
                              struct buffer *buffer, bool *corrupt);

/* clients/postgres_numeric.c: decimal text ([+-] digits [. digits] [e[+-]digits], NaN, Infinity) as
 * binary numeric, exactly; false: not such a text, or beyond numeric's range (*reason). */
enum postgres_encoding postgres_numeric_encode(const char *text, size_t length,
                                               struct buffer *buffer, const char **reason);
bool postgres_numeric_decode(const char *bytes, size_t length, struct buffer *buffer,
                             bool *corrupt);

/* clients/postgres_time.c: text forms of dates and times. Microseconds and days count from
 * 2000-01-01, as PostgreSQL's do. */
struct postgres_interval {
    int64_t microseconds;
    int32_t days;
    int32_t months;
};
/* "2013-01-31", "infinity", "-infinity" */
bool postgres_date_read(struct string text, int32_t *days);
/* RFC 3339, or with a blank instead of the T, without a zone (*zoned is false), or a date alone;
 * fractions are rounded to microseconds. */
bool postgres_timestamp_read(struct string text, int64_t *microseconds, bool *zoned);
bool postgres_time_read(struct string text, int64_t *microseconds);
/* "1.5s" or ISO 8601: "P1Y2M3DT4H5M6.5S", "-PT1.5S". */
bool postgres_interval_read(struct string text, struct postgres_interval *interval);
/* Each writes at most POSTGRES_TIME_SIZE bytes and returns how many. */
#define POSTGRES_TIME_SIZE 80
size_t postgres_date_write(char *out, int32_t days);
size_t postgres_timestamp_write(char *out, int64_t microseconds, bool zoned);
size_t postgres_time_write(char *out, int64_t microseconds);
size_t postgres_interval_write(char *out, const struct postgres_interval *interval);

static inline void postgres_store16(char *out, uint16_t number)
{
    number = __builtin_bswap16(number);
    __builtin_memcpy(out, &number, sizeof(number));
}
static inline void postgres_store32(char *out, uint32_t number)
{
    number = __builtin_bswap32(number);
    __builtin_memcpy(out, &number, sizeof(number));
}
static inline void postgres_store64(char *out, uint64_t number)
{
    number = __builtin_bswap64(number);
    __builtin_memcpy(out, &number, sizeof(number));
}
static inline uint16_t postgres_load16(const char *bytes)
{
    uint16_t number;
    __builtin_memcpy(&number, bytes, sizeof(number));
    return __builtin_bswap16(number);
}
static inline uint32_t postgres_load32(const char *bytes)
{
    uint32_t number;
    __builtin_memcpy(&number, bytes, sizeof(number));
    return __builtin_bswap32(number);
}
static inline uint64_t postgres_load64(const char *bytes)
{
    uint64_t number;
    __builtin_memcpy(&number, bytes, sizeof(number));
    return __builtin_bswap64(number);
}

#endif
