/* The ledger for people, at the end of a run: what became of every record, how long it took, where
 * the time went, and why records were rejected. Main thread only. */
#ifndef LEAT_CLI_LEDGER_H
#define LEAT_CLI_LEDGER_H

#include <stdio.h>

#include "pipeline/pipeline.h"

/* read + created = written + filtered + absorbed + rejected */
bool ledger_balances(const struct run_totals *totals);
/* `whole`: a column of figures and the table of stages, else one line (always one with --log json);
 * in both cases what was rejected and why, conditions that met other types, and fields that no
 * record had. After the run. */
void ledger_print(FILE *out, struct run *run, const struct run_totals *totals, bool whole);

#endif
