/* What the implementations of the I/O engine share with its front (engine.c). The front counts
 * requests, injects faults and keeps the queue of what is complete; an implementation starts
 * requests and says which have ended. All calls but wake come from the engine's own thread. */
#ifndef LEAT_IO_ENGINE_INTERNAL_H
#define LEAT_IO_ENGINE_INTERNAL_H

#include <stdatomic.h>

#include "io/engine.h"

struct io_engine_ops {
    const char *name;
    /* Cancels and drains; frees the engine. */
    void (*close)(struct io_engine *engine);
    void (*register_memory)(struct io_engine *engine, void *memory, size_t size); /* or NULL */
    /* Starts a request, or completes it at once (io_engine_complete). */
    void (*submit)(struct io_engine *engine, struct io_request *request);
    void (*cancel)(struct io_engine *engine, struct io_request *request);
    /* Completes (io_engine_complete) whatever has ended, up to `timeout` nanoseconds later (0: only
     * what has ended already); returns at once when anything was completed or a wake came. */
    void (*collect)(struct io_engine *engine, int64_t timeout);
    void (*wake)(struct io_engine *engine);
};

/* Begins each implementation's own struct. */
struct io_engine {
    const struct io_engine_ops *ops;
    unsigned depth;
    unsigned in_flight;                /* submitted and not yet reaped */
    struct io_request *complete_first; /* ended, in this order, not yet reaped */
    struct io_request *complete_last;
    atomic_bool woken; /* set by any thread, taken back by the engine's own (acq_rel) */
};

void io_engine_complete(struct io_engine *engine, struct io_request *request, int64_t result);
/* Does a request with ordinary system calls; blocks as they do. EINTR is retried. -errno on errors.
 */
int64_t io_request_perform(const struct io_request *request, size_t length);
/* Whether poll() finds the request's descriptor ready (or broken: trying tells). */
bool io_request_ready(const struct io_request *request);
short io_request_poll_events(const struct io_request *request);
static inline bool io_request_is_poll(const struct io_request *request)
{
    return request->kind == IO_POLL_IN || request->kind == IO_POLL_OUT;
}

/* NULL, with os_errno in the error, where the system does not allow it. */
struct io_engine *io_uring_engine_open(unsigned depth, struct error *error);
struct io_engine *io_posix_engine_open(unsigned depth, struct error *error);
struct io_engine *io_simulated_engine_open(unsigned depth, struct error *error);

#endif
