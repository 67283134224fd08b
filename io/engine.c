/* The front of the I/O engine: chooses the implementation, counts what is in flight, injects
 * faults, keeps the queue of complete requests. Used by the engine's own thread, but for
 * io_engine_wake. */
#include "io/engine_internal.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "core/fault.h"

struct io_engine *io_engine_open(enum io_engine_kind kind, unsigned depth, struct error *error)
{
    CHECK(depth > 0);
    struct io_engine *engine = NULL;
    if (kind == IO_ENGINE_SIMULATED)
        engine = io_simulated_engine_open(depth, error);
    else if (kind != IO_ENGINE_POSIX)
        engine = io_uring_engine_open(depth, error);
    /* Whatever keeps io_uring from working (EPERM, ENOSYS, ENOMEM for its rings), AUTO does
     * without. */
    if (kind == IO_ENGINE_POSIX || (!engine && kind == IO_ENGINE_AUTO))
        engine = io_posix_engine_open(depth, error);
    if (engine)
        engine->depth = depth;
    return engine;
}

void io_engine_close(struct io_engine *engine)
{
    if (engine)
        engine->ops->close(engine);
}

const char *io_engine_name(const struct io_engine *engine)
{
    return engine->ops->name;
}

void io_engine_register(struct io_engine *engine, void *memory, size_t size)
{
    if (engine->ops->register_memory)
        engine->ops->register_memory(engine, memory, size);
}

void io_engine_complete(struct io_engine *engine, struct io_request *request, int64_t result)
{
    CHECK(request->pending);
    request->result = result;
    request->next = NULL;
    if (engine->complete_last)
        engine->complete_last->next = request;
    else
        engine->complete_first = request;
    engine->complete_last = request;
}

bool io_engine_submit(struct io_engine *engine, struct io_request *request)
{
    CHECK(!request->pending);
    if (engine->in_flight == engine->depth)
        return false;
    engine->in_flight++;
    request->pending = true;
    int fault = fault_io();
    if (UNLIKELY(fault))
        io_engine_complete(engine, request, -fault);
    else
        engine->ops->submit(engine, request);
    return true;
}

void io_engine_cancel(struct io_engine *engine, struct io_request *request)
{
    if (!request->pending)
        return;
    for (struct io_request *done = engine->complete_first; done; done = done->next) {
        if (done == request)
            return;
    }
    engine->ops->cancel(engine, request);
}

struct io_request *io_engine_reap(struct io_engine *engine)
{
    if (!engine->complete_first && engine->in_flight > 0)
        engine->ops->collect(engine, 0);
    struct io_request *request = engine->complete_first;
    if (!request)
        return NULL;
    engine->complete_first = request->next;
    if (!engine->complete_first)
        engine->complete_last = NULL;
    CHECK(engine->in_flight > 0);
    engine->in_flight--;
    request->pending = false;
    request->next = NULL;
    return request;
}

bool io_engine_wait(struct io_engine *engine, int64_t timeout)
{
    CHECK(timeout >= 0);
    bool woken = atomic_exchange_explicit(&engine->woken, false, memory_order_acq_rel);
    if (!woken && !engine->complete_first) {
        engine->ops->collect(engine, timeout);
        woken = atomic_exchange_explicit(&engine->woken, false, memory_order_acq_rel);
    }
    return woken || engine->complete_first;
}

void io_engine_wake(struct io_engine *engine)
{
    /* Wakes that nobody took yet are one wake, and cost one system call. */
    if (!atomic_exchange_explicit(&engine->woken, true, memory_order_acq_rel))
        engine->ops->wake(engine);
}

int64_t io_request_perform(const struct io_request *request, size_t length)
{
    int64_t result;
    do {
        off_t offset = (off_t)request->offset;
        bool placed = request->offset != IO_NO_OFFSET;
        if (request->kind == IO_READ)
            result = placed ? pread(request->fd, request->buffer, length, offset)
                            : read(request->fd, request->buffer, length);
        else if (request->kind == IO_WRITE)
            result = placed ? pwrite(request->fd, request->buffer, length, offset)
                            : write(request->fd, request->buffer, length);
        else
            result = fdatasync(request->fd);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

short io_request_poll_events(const struct io_request *request)
{
    return request->kind == IO_READ || request->kind == IO_POLL_IN ? POLLIN : POLLOUT;
}

bool io_request_ready(const struct io_request *request)
{
    struct pollfd entry = {.fd = request->fd, .events = io_request_poll_events(request)};
    return poll(&entry, 1, 0) == 1;
}
