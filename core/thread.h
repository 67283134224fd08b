/* Threads with names, and the one way to wait: an event with a sequence number.
 *
 *     unsigned seen = event_sequence(&event);   // before looking
 *     if (!there_is_something_to_do())
 *         event_wait(&event, seen, timeout);    // returns at once if signalled since `seen`
 *
 * No wake-up is lost, and signalling costs one atomic addition while nobody waits. */
#ifndef LEAT_CORE_THREAD_H
#define LEAT_CORE_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/error.h"

struct event {
    atomic_uint sequence; /* any thread adds (seq_cst); waiters compare */
    atomic_uint waiters;  /* threads inside event_wait (seq_cst against sequence) */
};

static inline unsigned event_sequence(struct event *event)
{
    return atomic_load_explicit(&event->sequence, memory_order_seq_cst);
}
/* Waits until the sequence differs from `seen` or `timeout` nanoseconds have passed (>= 0). True:
 * signalled. Any number of threads may wait. */
bool event_wait(struct event *event, unsigned seen, int64_t timeout);
/* Wakes all waiters. Async-signal-safe. */
void event_signal(struct event *event);
/* Wakes one: enough where any of them will do and goes on until there is nothing left. */
void event_signal_one(struct event *event);

struct thread {
    pthread_t handle;
    bool started;
    char name[16];
    void (*function)(void *argument);
    void *argument;
};

/* Starts function(argument) on a thread named `name` (cut at 15 bytes) with a small stack
 * (THREAD_STACK) and all signals blocked. `thread` must stay where it is until joined. */
#define THREAD_STACK (1024 * 1024)
MUST_USE bool thread_start(struct thread *thread, const char *name, void (*function)(void *),
                           void *argument, struct error *error);
void thread_join(struct thread *thread); /* nothing happens where it was not started */

#endif
