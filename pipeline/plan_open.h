/* What the files that make a plan share. Main thread. */
#ifndef LEAT_PIPELINE_PLAN_OPEN_H
#define LEAT_PIPELINE_PLAN_OPEN_H

#include "pipeline/plan.h"

/* The index-th statement of a kind, or NULL. */
const struct statement *plan_statement(const struct program *program, enum statement_kind kind,
                                       uint32_t index);
/* Makes the nodes that graph, check and reports show. */
bool plan_describe(struct plan *plan, struct error *error);

#endif
