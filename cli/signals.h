/* SIGINT, SIGTERM and SIGHUP stop a run: the first drains it, the second aborts it. SIGPIPE is
 * ignored from the start of main, so that a reader who goes away is an error of write(). */
#ifndef LEAT_CLI_SIGNALS_H
#define LEAT_CLI_SIGNALS_H

#include "pipeline/pipeline.h"

/* SIGPIPE is ignored from here on. Main thread, first thing. */
void signals_ignore_pipe(void);
/* Installs the handlers, but for signals that our parent had us ignore (nohup, a shell's &).
 * Signals that come before signals_watch are kept for it. */
void signals_open(void);
/* The run to stop from now on; NULL: none, signals do nothing. Main thread. */
void signals_watch(struct run *run);

/* The first signal that came, or 0; for waits before there is a run. Any thread. */
int signals_first(void);

#endif
