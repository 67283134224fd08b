/* The clock: one seam for time, so that the simulator can replace it. Any thread. */
#ifndef LEAT_CORE_CLOCK_H
#define LEAT_CORE_CLOCK_H

#include "core/base.h"

#define NANOSECONDS 1000000000LL

int64_t clock_monotonic(void);  /* nanoseconds */
int64_t clock_wall(void);       /* nanoseconds since 1970 */
int64_t clock_thread_cpu(void); /* nanoseconds of CPU of the calling thread */
/* The simulator: from now on, clocks read *nanoseconds (NULL: the real clocks again). */
void clock_simulate(const int64_t *nanoseconds);

#endif
