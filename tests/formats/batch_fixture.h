/* Batches for tests of formats: memory with headroom and padding, an arena, columns, an output
 * buffer, a projection from dotted paths. Each fixture is owned by its test; one thread. */
#ifndef LEAT_TESTS_FORMATS_BATCH_FIXTURE_H
#define LEAT_TESTS_FORMATS_BATCH_FIXTURE_H

#include "core/batch.h"
#include "core/format.h"

#define FIXTURE_COLUMNS 16
#define FIXTURE_ARENA   (4u << 20)

struct batch_fixture {
    struct batch batch;
    struct column columns[FIXTURE_COLUMNS];
    struct projection projection;
    struct projection_node nodes[64];
    struct buffer output;
    size_t arena_size;
};

/* Text of at most `text_capacity` bytes, an arena of `arena_size`. Aborts when memory is short. */
void batch_fixture_open(struct batch_fixture *fixture, size_t text_capacity, size_t arena_size);
void batch_fixture_close(struct batch_fixture *fixture);
/* The projection: "a b.c d": columns 0, 1, 2 in this order; "" projects nothing. */
void batch_fixture_project(struct batch_fixture *fixture, const char *paths, bool members);
/* Empties the batch and copies the text in, as one whole input (starts_input and ends_input). The
 * padding is filled with `"`, so that a reader that trusts it is found out. */
void batch_fixture_fill(struct batch_fixture *fixture, const char *text, size_t length);
/* Readies the batch for locating [part_start, text_length): empty arena, no records, no rejects. */
void batch_fixture_part(struct batch_fixture *fixture, uint32_t part_start);
/* A dialect with default options. */
struct format *batch_fixture_format(const struct format_ops *ops);
/* The reject of record `record`, or NULL. */
const struct reject *batch_fixture_reject(const struct batch_fixture *fixture, uint32_t record);

#endif
