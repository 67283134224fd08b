/* The ledger as JSON, for --report. Main thread only. */
#ifndef LEAT_CLI_REPORT_H
#define LEAT_CLI_REPORT_H

#include "pipeline/pipeline.h"

/* In place of an exit status: the run goes on; "exit" is null, "status" is "running". */
#define REPORT_STATUS_RUNNING (-1)

/* Writes the report beside `path` and renames it over it: a reader sees the old or the new one,
 * never half of one. `run` NULL: nothing was run; all figures are 0. `status`: the exit status.
 * Causes and errors are written once the run has ended. */
MUST_USE bool report_write(const char *path, struct run *run, int status, struct error *error);

#endif
