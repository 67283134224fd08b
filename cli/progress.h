/* The progress line of a run on a terminal: how far, how fast, how long still, and what holds it
 * up. Main thread only. */
#ifndef LEAT_CLI_PROGRESS_H
#define LEAT_CLI_PROGRESS_H

#include "pipeline/pipeline.h"

struct progress {
    int64_t started;     /* monotonic nanoseconds */
    int64_t last;        /* of the last drawing */
    uint64_t last_bytes; /* read until then */
    double rate;         /* bytes a second, smoothed; 0 until known */
};

void progress_open(struct progress *progress);
/* Draws the line anew, as wide as the terminal allows. Nothing in the first half second: a short
 * run should not flicker. */
void progress_draw(struct progress *progress, struct run *run);
/* The line for given figures, in at most `width` columns; for tests and progress_draw. Parts that
 * do not fit are left out, the least telling first. `bottleneck` may be empty. */
void progress_compose(char *out, size_t size, unsigned width, const struct run_totals *totals,
                      double rate, const char *bottleneck);

#endif
