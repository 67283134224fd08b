/* Threads and events: see thread.h. Events park on a futex. */
#include "core/thread.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"

bool event_wait(struct event *event, unsigned seen, int64_t timeout)
{
    struct timespec limit = {.tv_sec = timeout / NANOSECONDS, .tv_nsec = timeout % NANOSECONDS};
    atomic_fetch_add_explicit(&event->waiters, 1, memory_order_seq_cst);
    if (event_sequence(event) == seen) {
        long result =
            syscall(SYS_futex, &event->sequence, FUTEX_WAIT_PRIVATE, seen, &limit, NULL, 0);
        CHECK(result == 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT);
    }
    atomic_fetch_sub_explicit(&event->waiters, 1, memory_order_seq_cst);
    return event_sequence(event) != seen;
}

static void event_wake(struct event *event, int most)
{
    atomic_fetch_add_explicit(&event->sequence, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&event->waiters, memory_order_seq_cst) > 0) {
        int saved = errno;
        (void)syscall(SYS_futex, &event->sequence, FUTEX_WAKE_PRIVATE, most, NULL, NULL, 0);
        errno = saved;
    }
}

void event_signal(struct event *event)
{
    event_wake(event, INT_MAX);
}

void event_signal_one(struct event *event)
{
    event_wake(event, 1);
}

static void *thread_main(void *argument)
{
    struct thread *thread = argument;
    (void)pthread_setname_np(pthread_self(), thread->name); /* for people; a failure is no matter */
    thread->function(thread->argument);
    return NULL;
}

bool thread_start(struct thread *thread, const char *name, void (*function)(void *), void *argument,
                  struct error *error)
{
    *thread = (struct thread){.function = function, .argument = argument};
    snprintf(thread->name, sizeof(thread->name), "%s", name);
    pthread_attr_t attributes;
    int result = fault_alloc() ? ENOMEM : pthread_attr_init(&attributes);
    if (result == 0) {
        sigset_t all, before;
        sigfillset(&all);
        CHECK(pthread_attr_setstacksize(&attributes, THREAD_STACK) == 0);
        CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
        result = pthread_create(&thread->handle, &attributes, thread_main, thread);
        CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
        CHECK(pthread_attr_destroy(&attributes) == 0);
    }
    if (result != 0)
        return error_set_errno(error, result, "cannot start thread %s", name);
    thread->started = true;
    return true;
}

void thread_join(struct thread *thread)
{
    if (thread->started)
        CHECK(pthread_join(thread->handle, NULL) == 0);
    thread->started = false;
}
