/* What the files of part.h share: copies of selections, and the fates of records in plans with
 * `head`. */
#ifndef LEAT_PIPELINE_PART_INTERNAL_H
#define LEAT_PIPELINE_PART_INTERNAL_H

#include "pipeline/part.h"

/* What became of a record: the stage that took it out, or one of these. */
#define FATE_LIVE   UINT16_MAX       /* on its way, or delivered */
#define FATE_SOURCE (UINT16_MAX - 1) /* rejected before any stage saw it */

/* A copy of the selection, as it enters a stage. NULL: arena full. */
uint32_t *part_rows_copy(struct batch *batch);

/* Whether the stage stands before the last `head`. */
bool fates_wanted(const struct plan *plan, uint32_t stage);
void fates_set(struct batch *batch, const uint32_t *rows, uint32_t count, uint16_t fate);
/* Rows that entered the stage and are neither selected nor held back were taken out by it. */
void fates_note(struct batch *batch, uint32_t stage, const uint32_t *entered, uint32_t count);

#endif
