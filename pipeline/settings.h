/* The options of the pipeline block, and what the command line makes of them. Const data. */
#ifndef LEAT_PIPELINE_SETTINGS_H
#define LEAT_PIPELINE_SETTINGS_H

#include "pipeline/pipeline.h"

extern const struct noun settings_noun;

struct settings {
    unsigned workers;
    size_t memory;
    size_t record_limit; /* 0: a share of memory */
    bool ordered;
    bool order_given; /* somebody wrote it */
    int64_t timeout;  /* nanoseconds; 0: none */
    int64_t slow;     /* nanoseconds; 0: off */
    uint64_t seed;
    size_t batch_text; /* 0: the usual; LEAT_BATCH_TEXT, for tests */
};

/* The command line wins over the block. False (with a diagnostic): a value that cannot be. */
bool settings_read(struct settings *settings, const struct program *program,
                   const struct run_options *options, struct diagnostics *diagnostics);

#endif
