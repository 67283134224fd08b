/* Lines that a run has to say while it lasts: slow steps, stalls, fallbacks. One line each; they go
 * to the handler that the command line sets, or to stderr. Any thread. */
#ifndef LEAT_PIPELINE_LOG_H
#define LEAT_PIPELINE_LOG_H

#include "core/batch.h"

struct plan;

/* Set before the run starts; called by one thread at a time (under the log's lock). NULL: stderr.
 */
void log_handler(void (*handler)(const char *line));
void log_line(const char *format, ...) PRINTF_LIKE(1, 2);
/* "slow: where took 120 ms for app.ndjson:1201 (812 records)" */
void log_slow(const struct plan *plan, const char *step, const struct batch *batch,
              int64_t nanoseconds);

#endif
