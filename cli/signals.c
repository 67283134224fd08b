/* Signals that stop a run: see signals.h. */
#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

/* Written by the main thread, read by the handler, which may run on any thread. */
static _Atomic(struct run *) watched;
/* Signals that no run was told of yet: the first one's number, and how many. Written by the handler
 * and the main thread. */
static atomic_int first;
static atomic_int waiting;

/* Each signal is told to the run once, whoever comes to it. */
static void tell(struct run *run)
{
    int count = atomic_exchange(&waiting, 0);
    for (int i = 0; i < count; i++)
        run_stop(run, atomic_load(&first));
}

static void handle(int signal_number)
{
    int saved = errno, none = 0;
    atomic_compare_exchange_strong(&first, &none, signal_number);
    atomic_fetch_add(&waiting, 1);
    struct run *run = atomic_load(&watched);
    if (run)
        tell(run);
    errno = saved;
}

void signals_ignore_pipe(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
}

void signals_open(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        struct sigaction before;
        CHECK(sigaction(signals[i], NULL, &before) == 0);
        if (before.sa_handler == SIG_IGN)
            continue;
        struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
        CHECK(sigemptyset(&action.sa_mask) == 0);
        CHECK(sigaction(signals[i], &action, NULL) == 0);
    }
}

void signals_watch(struct run *run)
{
    atomic_store(&watched, run);
    if (run)
        tell(run);
}

int signals_first(void)
{
    return atomic_load(&first);
}
