/* The fingerprint of a pipeline: what decides its result, and nothing else. Options that only tune
 * (workers, memory, timeouts) are not in it, nor are layout and comments. Main thread. */
#ifndef LEAT_PIPELINE_FINGERPRINT_H
#define LEAT_PIPELINE_FINGERPRINT_H

#include "pipeline/pipeline.h"

#define FINGERPRINT_SIZE 17

/* Hexadecimal, NUL-terminated. */
void fingerprint_make(const struct program *program, const struct run_options *options,
                      char text[FINGERPRINT_SIZE]);

#endif
