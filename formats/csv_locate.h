/* What the files csv_locate*.c share: one call of csv_locate. Owned by that call. */
#ifndef LEAT_FORMATS_CSV_LOCATE_H
#define LEAT_FORMATS_CSV_LOCATE_H

#include "formats/csv_fields.h"

#define SLICE (16 * 1024)
#define CHUNK 64
/* Fields of a record up to which the index lies on the stack. */
#define STACK_FIELDS       2048
#define INDEX_SIZE(fields) (SLICE + CSV_INDEX_SLACK + (fields) + 2)

/* A field that somebody wants. */
struct wanted {
    uint32_t field; /* its place in the record */
    uint32_t node;  /* of the projection, 0: only members */
    enum csv_type type;
    struct member member; /* with its name and column */
};

enum chunk_status { RECORD_GOOD, RECORD_MALFORMED, RECORD_COLUMNS, RECORD_UTF8, RECORD_CONVERSION };

/* Records base .. base + count - 1 of the batch. */
struct chunk {
    uint32_t base;
    uint32_t count;
    uint32_t first[CHUNK];  /* positions of the first delimiter or end */
    uint32_t fields[CHUNK]; /* how many there are */
    uint32_t behind[CHUNK]; /* offset behind the line end */
    uint8_t status[CHUNK];  /* enum chunk_status */
    uint32_t fault[CHUNK];  /* CONVERSION: the field */
    uint32_t good[CHUNK];   /* the good ones */
    uint32_t good_count;
    bool dense;                 /* all are good, and a line feed alone stands between any two */
    struct value values[CHUNK]; /* of the field being located, by place in good */
};

struct locator {
    const struct csv *csv;
    const struct projection *projection;
    struct batch *batch;
    struct csv_scan scan;
    struct csv_index index;
    uint32_t fields;   /* of a good record */
    uint32_t capacity; /* records that there is room for */
    const uint8_t *types;
    bool checked; /* some column has a type that refuses text */
    struct wanted *wanted;
    uint32_t wanted_count;
    csv_fields_function *fields_locate; /* all members of a record at once, or NULL … */
    struct csv_heads heads;             /* … with these */
    uint32_t record_start;
    uint32_t ordinal; /* the position that ends the first field of the record at record_start */
    uint32_t dropped; /* positions of that record that were not kept */
    uint64_t feeds;   /* line feeds outside quotes before record_start */
    bool malformed;   /* a record that ends in this slice may be malformed … */
    bool high;        /* … or hold bytes >= 0x80 */
    bool full;        /* the part ends here */
    struct chunk chunk;
};

/* Types that refuse text which does not convert. */
static inline bool csv_type_is_strict(uint8_t type)
{
    return type == CSV_INT || type == CSV_DOUBLE || type == CSV_BOOL;
}

/* Offset and length of field `field` of the record at `place` in the chunk. */
static inline const char *csv_field_text(const struct locator *locator, uint32_t place,
                                         uint32_t field, uint32_t *length)
{
    const struct batch *batch = locator->batch;
    const uint32_t *end = locator->index.positions + locator->chunk.first[place] + field;
    uint32_t start = field ? end[-1] + 1 : batch->records[locator->chunk.base + place].offset;
    *length = *end - start;
    return batch->text + start;
}

/* From the projection and the header: types, wanted, fields_locate, heads, and arrays for as many
 * records as there can be and half of the arena holds. False: the arena is full. */
bool csv_locator_prepare(struct locator *locator);
/* All wanted fields of the chunk; returns how many of its records are whole (all, but for a full
 * arena). */
uint32_t csv_chunk_locate(struct locator *locator);

#endif
