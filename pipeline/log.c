/* Lines that a run has to say: see log.h. */
#include "pipeline/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* held while a line is handed on */
static void (*current)(const char *line);                /* set before the run, then const */

void log_handler(void (*handler)(const char *line))
{
    current = handler;
}

void log_line(const char *format, ...)
{
    char line[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    CHECK(pthread_mutex_lock(&lock) == 0);
    if (current)
        current(line);
    else
        fprintf(stderr, "leat: %s\n", line);
    CHECK(pthread_mutex_unlock(&lock) == 0);
}

void log_slow(const struct plan *plan, const char *step, const struct batch *batch,
              int64_t nanoseconds)
{
    (void)plan;
    log_line("slow: %s took %.1f ms for %s:%llu (batch %llu, %u records)", step,
             (double)nanoseconds / 1e6, batch->input_name ? batch->input_name : "(made records)",
             (unsigned long long)batch->part_line, (unsigned long long)batch->seq,
             batch->record_count);
}
