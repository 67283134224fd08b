/* Filling the outputs of a part for every sink. Workers. */
#ifndef LEAT_PIPELINE_PART_ENCODE_H
#define LEAT_PIPELINE_PART_ENCODE_H

#include "pipeline/part.h"

/* Encodes rows [encode_next, …) of the batch's progress for all sinks, as many as fit every output,
 * and moves encode_next. Rows that one sink's format refuses are rejected and written by none. */
void part_encode(const struct plan *plan, struct evaluator *evaluator, struct batch *batch);

#endif
