/* The memory plan: every holder of memory with a line and a reason, summed under the one limit
 * before the run starts. Pools are sized from it and nothing grows during the run. */
#ifndef LEAT_PIPELINE_LIMITS_H
#define LEAT_PIPELINE_LIMITS_H

#include <stdio.h>

#include "core/error.h"

#define MEMORY_DEFAULT  (256u << 20)
#define MEMORY_SMALLEST (8u << 20)

struct limits {
    size_t memory; /* the limit itself */
    unsigned workers;
    unsigned batches;  /* in the pool: the window */
    size_t batch_text; /* bytes of text in an ordinary batch */
    size_t batch_arena;
    size_t batch_output;  /* for each sink */
    unsigned outputs;     /* sinks without the rejects' */
    size_t reject_output; /* encoded rejects of one batch at a time */
    size_t longest;       /* the longest record; a longer one is rejected however reads fall */
    size_t record_limit;  /* of memory: the longest record that is put together, >= longest */
    size_t jumbo_arena;   /* limits of the one batch that holds the jumbo permit */
    size_t jumbo_output;
    size_t source_memory; /* decompression */
    size_t sink_memory;   /* for each sink: compression, its library's heap */
    size_t stage_memory;  /* for each stage that keeps state */
    unsigned stages;      /* … of them */
};

/* Works the sizes out. `batch_text` 0: the usual (tests give odd ones). False: the limit is too
 * small; the message says how much it needs. */
MUST_USE bool limits_plan(struct limits *limits, size_t memory, unsigned workers, unsigned sinks,
                          unsigned stages, size_t batch_text, size_t record_limit,
                          struct error *error);
/* A line for each holder and the sum. */
void limits_print(const struct limits *limits, FILE *out);
size_t limits_sum(const struct limits *limits);

#endif
