/* Signals that stop a run: see signals.h. */
#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

/* Written by the main thread, read by the handler, which may run on any thread. */
static _Atomic(struct run *) watched;
/* A signal that came before there was a run; written by the handler, read by the main thread. */
static atomic_int early;

static void handle(int signal_number)
{
    int saved = errno;
    struct run *run = atomic_load(&watched);
    if (run)
        run_stop(run, signal_number);
    else
        atomic_store(&early, signal_number);
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
    int signal_number = atomic_exchange(&early, 0);
    if (run && signal_number)
        run_stop(run, signal_number);
}
