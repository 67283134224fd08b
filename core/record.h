/* A record taken apart into its fields as they stand after the edits of a shape: for stages that
 * need them all (the value `record`, fixing the columns of a CSV file, `leat try`). Encoders of hot
 * formats walk on their own. Pure functions; any thread. */
#ifndef LEAT_CORE_RECORD_H
#define LEAT_CORE_RECORD_H

#include "core/batch.h"

struct record_field {
    const char *name; /* JSON-escaped, without quotes */
    uint32_t name_length;
    struct value value; /* never ABSENT; perhaps raw */
};

/* How many fields record_fields may give for this record. */
uint32_t record_fields_limit(const struct batch *batch, uint32_t record, const struct shape *shape);
/* Fills `fields` in order and returns how many. Open shapes need batch.members. */
uint32_t record_fields(const struct batch *batch, uint32_t record, const struct shape *shape,
                       struct record_field *fields);
/* The record as one value: its raw text where the shape is clean and the text is JSON, else a map.
 * ERROR_ARENA_FULL where the arena is full. */
struct value record_value(const struct batch *batch, uint32_t record, const struct shape *shape,
                          struct arena *arena);

#endif
