/* The clock: see clock.h. */
#include "core/clock.h"

#include <time.h>

/* Set by the simulator before it steps anything, in a single-threaded process. */
static const int64_t *simulated;

static int64_t clock_read(clockid_t id)
{
    struct timespec now;
    CHECK(clock_gettime(id, &now) == 0);
    return (int64_t)now.tv_sec * NANOSECONDS + now.tv_nsec;
}

int64_t clock_monotonic(void)
{
    return simulated ? *simulated : clock_read(CLOCK_MONOTONIC);
}

int64_t clock_wall(void)
{
    return simulated ? *simulated : clock_read(CLOCK_REALTIME);
}

int64_t clock_thread_cpu(void)
{
    return simulated ? 0 : clock_read(CLOCK_THREAD_CPUTIME_ID);
}

void clock_simulate(const int64_t *nanoseconds)
{
    simulated = nanoseconds;
}
