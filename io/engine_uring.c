/* The I/O engine on io_uring. No linked chains (a short transfer breaks them), no SQPOLL, nothing
 * that needs privileges. The ring is not bound to one submitter (SINGLE_ISSUER): engines are opened
 * by the main thread, used by an actor's, and closed by whoever ends the run. */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/engine_internal.h"

#define REGIONS_MAX 256
#define CLOSE_WAIT  (10 * NANOSECONDS)

struct region {
    char *start;
    size_t size;
};

struct uring_engine {
    struct io_engine base;
    struct io_uring ring;
    int wake_fd;
    uint64_t wake_value; /* the target of the standing read of wake_fd */
    bool wake_armed;
    unsigned held_count;
    struct io_request **held; /* requests that the kernel holds, in no order; room for depth */
    bool regions_tried;
    bool regions_allowed;
    unsigned region_count;
    struct region regions[REGIONS_MAX]; /* index: the registered buffer's */
};

/* user_data of what is no request of the caller. */
static char wake_tag;
static char cancel_tag;

#ifndef __has_feature
#define __has_feature(name) 0 /* gcc */
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#else
#define __tsan_acquire(address) ((void)(address))
#define __tsan_release(address) ((void)(address))
#endif

/* The thread sanitizer does not see the kernel: what was written before a request is handed over
 * happens before what is read after its completion. Only these two functions say so. */
static void request_released(struct io_request *request)
{
    __tsan_release(request);
}

static void request_acquired(struct io_request *request)
{
    __tsan_acquire(request);
}

/* The queue has room for `depth` requests with a cancellation each, and the standing read. */
static struct io_uring_sqe *entry_take(struct uring_engine *engine)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&engine->ring);
    if (!entry) {
        io_uring_submit(&engine->ring);
        entry = io_uring_get_sqe(&engine->ring);
    }
    CHECK(entry);
    return entry;
}

static void wake_arm(struct uring_engine *engine)
{
    if (engine->wake_armed)
        return;
    struct io_uring_sqe *entry = entry_take(engine);
    io_uring_prep_read(entry, engine->wake_fd, &engine->wake_value, sizeof(engine->wake_value), 0);
    io_uring_sqe_set_data(entry, &wake_tag);
    engine->wake_armed = true;
}

#define ASYNC_READ (128 * 1024) /* bytes */

static int region_find(const struct uring_engine *engine, const char *start, size_t size)
{
    for (unsigned i = 0; i < engine->region_count; i++) {
        const struct region *region = &engine->regions[i];
        if (start >= region->start && size <= region->size &&
            start + size <= region->start + region->size)
            return (int)i;
    }
    return -1;
}

static void uring_submit(struct io_engine *base, struct io_request *request)
{
    struct uring_engine *engine = (struct uring_engine *)base;
    struct io_uring_sqe *entry = entry_take(engine);
    /* One transfer is at most what the kernel moves in one; the caller loops anyway. */
    unsigned length = (unsigned)size_min(request->length, 1u << 30);
    int region = request->kind <= IO_WRITE ? region_find(engine, request->buffer, length) : -1;
    switch (request->kind) {
    case IO_READ:
        if (region >= 0)
            io_uring_prep_read_fixed(entry, request->fd, request->buffer, length, request->offset,
                                     region);
        else
            io_uring_prep_read(entry, request->fd, request->buffer, length, request->offset);
        /* A long read out of the page cache is a copy, which would be done while it is submitted:
         * by the one thread that everything waits for. */
        if (length >= ASYNC_READ && request->offset != IO_NO_OFFSET)
            io_uring_sqe_set_flags(entry, IOSQE_ASYNC);
        break;
    case IO_WRITE:
        if (region >= 0)
            io_uring_prep_write_fixed(entry, request->fd, request->buffer, length, request->offset,
                                      region);
        else
            io_uring_prep_write(entry, request->fd, request->buffer, length, request->offset);
        break;
    case IO_SYNC:
        io_uring_prep_fsync(entry, request->fd, IORING_FSYNC_DATASYNC);
        break;
    case IO_POLL_IN:
    case IO_POLL_OUT:
        io_uring_prep_poll_add(entry, request->fd, (unsigned)io_request_poll_events(request));
        break;
    }
    io_uring_sqe_set_data(entry, request);
    request_released(request);
    engine->held[engine->held_count++] = request;
    /* Now, not at the next wait: page-cached reads are done inline here, and a write should be on
     * its way while its actor goes on. What the kernel does not take stays queued for the next
     * enter. */
    io_uring_submit(&engine->ring);
}

static void uring_cancel(struct io_engine *base, struct io_request *request)
{
    struct uring_engine *engine = (struct uring_engine *)base;
    struct io_uring_sqe *entry = entry_take(engine);
    io_uring_prep_cancel(entry, request, 0);
    io_uring_sqe_set_data(entry, &cancel_tag);
    io_uring_submit(&engine->ring);
}

static void held_remove(struct uring_engine *engine, const struct io_request *request)
{
    unsigned i = 0;
    while (engine->held[i] != request)
        i++;
    engine->held[i] = engine->held[--engine->held_count];
}

/* Takes every completion that is there. True: there was one. */
static bool completions_take(struct uring_engine *engine)
{
    bool any = false;
    struct io_uring_cqe *completion;
    while (io_uring_peek_cqe(&engine->ring, &completion) == 0) {
        void *data = io_uring_cqe_get_data(completion);
        int64_t result = completion->res;
        io_uring_cqe_seen(&engine->ring, completion);
        if (data == &wake_tag) {
            engine->wake_armed = false;
            any = true;
        } else if (data != &cancel_tag) {
            struct io_request *request = data;
            request_acquired(request);
            held_remove(engine, request);
            any = true;
            io_engine_complete(&engine->base, request, result);
        }
    }
    return any;
}

static void uring_collect(struct io_engine *base, int64_t timeout)
{
    struct uring_engine *engine = (struct uring_engine *)base;
    if (completions_take(engine) || timeout == 0)
        return;
    wake_arm(engine);
    struct __kernel_timespec time = {.tv_sec = timeout / NANOSECONDS,
                                     .tv_nsec = timeout % NANOSECONDS};
    struct io_uring_cqe *completion;
    /* -ETIME, -EINTR and -EAGAIN alike: nothing happened that the caller has to hear of. */
    (void)io_uring_submit_and_wait_timeout(&engine->ring, &completion, 1, &time, NULL);
    completions_take(engine);
}

static void uring_wake(struct io_engine *base)
{
    struct uring_engine *engine = (struct uring_engine *)base;
    uint64_t one = 1;
    ssize_t written;
    do {
        written = write(engine->wake_fd, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
    CHECK(written == sizeof(one));
}

static void uring_register(struct io_engine *base, void *memory, size_t size)
{
    struct uring_engine *engine = (struct uring_engine *)base;
    if (!engine->regions_tried) {
        engine->regions_tried = true;
        engine->regions_allowed = io_uring_register_buffers_sparse(&engine->ring, REGIONS_MAX) == 0;
    }
    if (!engine->regions_allowed || engine->region_count == REGIONS_MAX)
        return;
    struct iovec span = {.iov_base = memory, .iov_len = size};
    __u64 tag = 0;
    if (io_uring_register_buffers_update_tag(&engine->ring, engine->region_count, &span, &tag, 1) !=
        1) {
        engine->regions_allowed = false; /* RLIMIT_MEMLOCK: what is registered stays so */
        return;
    }
    engine->regions[engine->region_count++] = (struct region){memory, size};
}

/* Nothing of ours may be the kernel's when memory is freed: cancels everything and waits for it. */
static void uring_drain(struct uring_engine *engine)
{
    int64_t end = clock_monotonic() + CLOSE_WAIT;
    for (unsigned i = 0; i < engine->held_count; i++)
        uring_cancel(&engine->base, engine->held[i]);
    while (engine->held_count > 0 && clock_monotonic() < end) {
        struct io_uring_cqe *completion;
        struct __kernel_timespec time = {.tv_nsec = NANOSECONDS / 10};
        (void)io_uring_submit_and_wait_timeout(&engine->ring, &completion, 1, &time, NULL);
        completions_take(engine);
    }
    CHECK(engine->held_count == 0); /* one that cannot be ended: its memory must not go */
}

static void uring_close(struct io_engine *base)
{
    struct uring_engine *engine = (struct uring_engine *)base;
    uring_drain(engine);
    io_uring_queue_exit(&engine->ring);
    close(engine->wake_fd);
    free(engine->held);
    free(engine);
}

static const struct io_engine_ops uring_ops = {
    .name = "io_uring",
    .close = uring_close,
    .register_memory = uring_register,
    .submit = uring_submit,
    .cancel = uring_cancel,
    .collect = uring_collect,
    .wake = uring_wake,
};

/* Newest first: what an older kernel does not know (EINVAL) is left out of the next try. */
static int ring_open(struct io_uring *ring, unsigned depth)
{
    static const unsigned flags[] = {IORING_SETUP_COOP_TASKRUN, 0};
    int result = -ENOSYS;
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        struct io_uring_params params = {.flags =
                                             flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
                                         .cq_entries = 4 * depth + 4};
        result = io_uring_queue_init_params(2 * depth + 2, ring, &params);
        if (result == 0 && !(params.features & IORING_FEAT_EXT_ARG)) {
            io_uring_queue_exit(
                ring); /* before 5.11: timed waits would need entries of their own */
            return -ENOSYS;
        }
        if (result != -EINVAL)
            break;
    }
    return result;
}

struct io_engine *io_uring_engine_open(unsigned depth, struct error *error)
{
    struct uring_engine *engine = memory_take_zeroed(1, sizeof(*engine));
    if (engine)
        engine->held = memory_take_zeroed(depth, sizeof(struct io_request *));
    if (!engine || !engine->held) {
        free(engine);
        error_set(error, ERROR_MEMORY, "no memory for an I/O engine");
        return NULL;
    }
    engine->base.ops = &uring_ops;
    int result = -fault_io();
    if (result == 0)
        result = ring_open(&engine->ring, depth);
    if (result == 0) {
        engine->wake_fd = eventfd(0, EFD_CLOEXEC);
        if (engine->wake_fd >= 0)
            return &engine->base;
        result = -errno;
        io_uring_queue_exit(&engine->ring);
    }
    error_set_errno(error, -result, "cannot use io_uring (--io posix does without it)");
    free(engine->held);
    free(engine);
    return NULL;
}
