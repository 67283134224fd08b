/* Values: 16 bytes each, passed by copy. What they point to (text, items, entries) lives in the
 * batch's text or arena, or in constants of the program, and as long as that does. Immutable once
 * made, so any number of values may share storage.
 *
 * RAW is a value that nobody has looked into yet: the text of one valid JSON value, without white
 * space around it (there may be some inside). It is how a value that no stage changed is written
 * with the bytes it came with: moving, listing, coalescing raw values never decodes them.
 * value_resolve (core/raw.h) decodes one level; children of a resolved list or map are raw again.
 */
#ifndef LEAT_CORE_VALUE_H
#define LEAT_CORE_VALUE_H

#include "core/arena.h"

enum value_kind {
    VALUE_ABSENT = 0, /* the record has no such field; expressions read it as null */
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_UINT,
    VALUE_DOUBLE,
    VALUE_STRING, /* valid UTF-8; may hold U+0000 */
    VALUE_BYTES,
    VALUE_LIST,
    VALUE_MAP,       /* in order; keys bool, int, uint or string; no duplicates unless resolved from
                        raw text, where the last of equal keys wins */
    VALUE_TIMESTAMP, /* seconds since 1970 in `integer`, nanoseconds 0..999999999 in `length` */
    VALUE_DURATION,  /* nanoseconds in `integer` */
    VALUE_TYPE,      /* a type: its name in text/length */
    VALUE_OPTIONAL,  /* length 0: none; 1: items[0] is the content */
    VALUE_ERROR, /* `code` is an enum error_code; text/length an optional detail (may be NULL) */
    VALUE_RAW,   /* text/length: JSON text */
    VALUE_KIND_COUNT
};

struct map_entry;
struct value {
    uint8_t kind;    /* enum value_kind */
    uint8_t flags;   /* VALUE_ASCII */
    uint16_t code;   /* of an error; else 0, but for fields as they stand in a CSV (formats/csv.h):
                        whoever makes a value of another text leaves 0 */
    uint32_t length; /* bytes of text, items of a list, entries of a map, nanoseconds */
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double real;
        const char *text;
        const struct value *items;
        const struct map_entry *entries;
    };
};
struct map_entry {
    struct value key;
    struct value value;
};
_Static_assert(sizeof(struct value) == 16, "values are 16 bytes");

#define VALUE_ASCII 1 /* flag of a string: known to be ASCII, so positions are byte offsets */

static inline struct value value_null(void)
{
    return (struct value){.kind = VALUE_NULL};
}
static inline struct value value_bool(bool boolean)
{
    struct value value = {.kind = VALUE_BOOL};
    value.natural = boolean;
    return value;
}
static inline struct value value_int(int64_t integer)
{
    return (struct value){.kind = VALUE_INT, .integer = integer};
}
static inline struct value value_uint(uint64_t natural)
{
    return (struct value){.kind = VALUE_UINT, .natural = natural};
}
static inline struct value value_double(double real)
{
    return (struct value){.kind = VALUE_DOUBLE, .real = real};
}
static inline struct value value_string(const char *text, size_t length)
{
    return (struct value){.kind = VALUE_STRING, .length = (uint32_t)length, .text = text};
}
static inline struct value value_bytes(const char *text, size_t length)
{
    return (struct value){.kind = VALUE_BYTES, .length = (uint32_t)length, .text = text};
}
static inline struct value value_raw(const char *text, size_t length)
{
    return (struct value){.kind = VALUE_RAW, .length = (uint32_t)length, .text = text};
}
static inline struct value value_error(enum error_code code)
{
    return (struct value){.kind = VALUE_ERROR, .code = (uint16_t)code};
}
/* `text` must outlive the value (a literal, or arena text). */
static inline struct value value_error_text(enum error_code code, const char *text, size_t length)
{
    return (struct value){
        .kind = VALUE_ERROR, .code = (uint16_t)code, .length = (uint32_t)length, .text = text};
}

#endif
