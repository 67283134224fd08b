/* What the files that make a plan share. Main thread. */
#ifndef LEAT_PIPELINE_PLAN_OPEN_H
#define LEAT_PIPELINE_PLAN_OPEN_H

#include "pipeline/plan.h"

/* The index-th statement of a kind, or NULL. */
const struct statement *plan_statement(const struct program *program, enum statement_kind kind,
                                       uint32_t index);
/* How many statements of a kind there are. */
uint32_t statements_of(const struct program *program, enum statement_kind kind);
/* Open the sinks, and the one for rejects; behind the stages. False: see the diagnostics, or
 * *error.
 */
bool plan_sinks(struct plan *plan, struct error *error);
bool plan_rejects(struct plan *plan, struct error *error);
/* Makes the nodes that graph, check and reports show. */
bool plan_describe(struct plan *plan, struct error *error);

#endif
