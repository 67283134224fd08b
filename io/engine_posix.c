/* The I/O engine on threads and poll(), for where io_uring is forbidden. Transfers at offsets are
 * tried at once where the page cache can serve them (RWF_NOWAIT), otherwise done by a few helper
 * threads; readiness and transfers at a file's own position are the owner's, in poll().
 * Locks: `mutex` guards the two lists that owner and helpers share. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/thread.h"
#include "io/engine_internal.h"

#define HELPERS 2
/* Helpers look up this often (nanoseconds): every wait has a timeout. */
#define HELPER_WAIT (10 * NANOSECONDS)

struct request_list {
    struct io_request *first;
    struct io_request *last;
};

struct posix_engine {
    struct io_engine base;
    int wake_fd;
    atomic_bool signalled; /* wake_fd was written and not read yet */
    /* the owner's */
    struct request_list polled; /* wait for readiness */
    struct pollfd *entries;     /* room for depth + 1 */
    /* shared, under mutex */
    pthread_mutex_t mutex;
    struct request_list queued;
    struct request_list done;
    bool closing;
    struct event work; /* something was queued, or closing */
    struct thread helpers[HELPERS];
    unsigned helper_count;
};

static void list_append(struct request_list *list, struct io_request *request)
{
    request->next = NULL;
    if (list->last)
        list->last->next = request;
    else
        list->first = request;
    list->last = request;
}

static struct io_request *list_take(struct request_list *list)
{
    struct io_request *request = list->first;
    if (request) {
        list->first = request->next;
        if (!list->first)
            list->last = NULL;
    }
    return request;
}

static bool list_remove(struct request_list *list, const struct io_request *request)
{
    struct io_request *before = NULL;
    for (struct io_request *at = list->first; at; before = at, at = at->next) {
        if (at != request)
            continue;
        if (before)
            before->next = at->next;
        else
            list->first = at->next;
        if (list->last == at)
            list->last = before;
        return true;
    }
    return false;
}

/* From any thread. */
static void owner_signal(struct posix_engine *engine)
{
    if (atomic_exchange_explicit(&engine->signalled, true, memory_order_acq_rel))
        return;
    uint64_t one = 1;
    ssize_t written;
    do {
        written = write(engine->wake_fd, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
    CHECK(written == sizeof(one));
}

static void helper_run(void *argument)
{
    struct posix_engine *engine = argument;
    for (;;) {
        unsigned seen = event_sequence(&engine->work);
        pthread_mutex_lock(&engine->mutex);
        struct io_request *request = list_take(&engine->queued);
        bool closing = engine->closing;
        pthread_mutex_unlock(&engine->mutex);
        if (request) {
            request->result = io_request_perform(request, request->length);
            pthread_mutex_lock(&engine->mutex);
            list_append(&engine->done, request);
            pthread_mutex_unlock(&engine->mutex);
            owner_signal(engine);
        } else if (closing) {
            return;
        } else {
            event_wait(&engine->work, seen, HELPER_WAIT);
        }
    }
}

/* Tries what can be done without waiting for a disk. */
static bool transfer_at_once(struct posix_engine *engine, struct io_request *request)
{
    struct iovec span = {.iov_base = request->buffer, .iov_len = request->length};
    ssize_t result = preadv2(request->fd, &span, 1, (off_t)request->offset, RWF_NOWAIT);
    if (result < 0)
        return false; /* EAGAIN, EOPNOTSUPP; real errors come again, and are told then */
    io_engine_complete(&engine->base, request, result);
    return true;
}

static void posix_submit(struct io_engine *base, struct io_request *request)
{
    struct posix_engine *engine = (struct posix_engine *)base;
    if (io_request_is_poll(request) ||
        (request->kind != IO_SYNC && request->offset == IO_NO_OFFSET)) {
        list_append(&engine->polled, request);
        return;
    }
    if (request->kind == IO_READ && transfer_at_once(engine, request))
        return;
    struct error error;
    if (engine->helper_count < HELPERS) {
        struct thread *helper = &engine->helpers[engine->helper_count];
        if (thread_start(helper, "io", helper_run, engine, &error))
            engine->helper_count++;
    }
    if (engine->helper_count == 0) { /* no thread to be had: slower, but right */
        io_engine_complete(base, request, io_request_perform(request, request->length));
        return;
    }
    pthread_mutex_lock(&engine->mutex);
    list_append(&engine->queued, request);
    pthread_mutex_unlock(&engine->mutex);
    event_signal(&engine->work);
}

static void posix_cancel(struct io_engine *base, struct io_request *request)
{
    struct posix_engine *engine = (struct posix_engine *)base;
    bool removed = list_remove(&engine->polled, request);
    if (!removed) {
        pthread_mutex_lock(&engine->mutex);
        removed = list_remove(&engine->queued, request);
        pthread_mutex_unlock(&engine->mutex);
    }
    if (removed)
        io_engine_complete(base, request, -ECANCELED);
}

/* A ready pipe takes PIPE_BUF bytes without blocking, no more for sure. */
static size_t length_without_blocking(const struct io_request *request)
{
    if (request->kind == IO_READ || (fcntl(request->fd, F_GETFL) & O_NONBLOCK))
        return request->length;
    struct stat status;
    if (fstat(request->fd, &status) == 0 && S_ISREG(status.st_mode))
        return request->length;
    return size_min(request->length, PIPE_BUF);
}

/* Completes a request whose descriptor is ready, or puts it back. */
static void ready_perform(struct posix_engine *engine, struct io_request *request, int events)
{
    int64_t result = events;
    if (!io_request_is_poll(request)) {
        result = io_request_perform(request, length_without_blocking(request));
        if (result == -EAGAIN) {
            list_append(&engine->polled, request);
            return;
        }
    }
    io_engine_complete(&engine->base, request, result);
}

static void done_collect(struct posix_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    struct request_list done = engine->done;
    engine->done = (struct request_list){0};
    pthread_mutex_unlock(&engine->mutex);
    for (struct io_request *request; (request = list_take(&done));)
        io_engine_complete(&engine->base, request, request->result);
}

static void posix_collect(struct io_engine *base, int64_t timeout)
{
    struct posix_engine *engine = (struct posix_engine *)base;
    nfds_t count = 1;
    engine->entries[0] = (struct pollfd){.fd = engine->wake_fd, .events = POLLIN};
    for (struct io_request *at = engine->polled.first; at; at = at->next)
        engine->entries[count++] =
            (struct pollfd){.fd = at->fd, .events = io_request_poll_events(at)};
    struct timespec time = {.tv_sec = timeout / NANOSECONDS, .tv_nsec = timeout % NANOSECONDS};
    int ready = ppoll(engine->entries, count, &time, NULL);
    if (ready <= 0)
        return; /* the timeout, or EINTR: nothing that the caller has to hear of */
    if (engine->entries[0].revents) {
        uint64_t value;
        ssize_t got = read(engine->wake_fd, &value, sizeof(value));
        CHECK(got == sizeof(value) || errno == EINTR || errno == EAGAIN);
        atomic_store_explicit(&engine->signalled, false, memory_order_release);
    }
    done_collect(engine);
    struct request_list polled = engine->polled;
    engine->polled = (struct request_list){0};
    for (nfds_t i = 1; i < count; i++) {
        struct io_request *request = list_take(&polled);
        if (engine->entries[i].revents)
            ready_perform(engine, request, engine->entries[i].revents);
        else
            list_append(&engine->polled, request);
    }
}

static void posix_wake(struct io_engine *base)
{
    owner_signal((struct posix_engine *)base);
}

static void posix_close(struct io_engine *base)
{
    struct posix_engine *engine = (struct posix_engine *)base;
    pthread_mutex_lock(&engine->mutex);
    engine->queued = (struct request_list){0}; /* not begun: dropped */
    engine->closing = true;
    pthread_mutex_unlock(&engine->mutex);
    event_signal(&engine->work);
    for (unsigned i = 0; i < engine->helper_count; i++)
        thread_join(&engine->helpers[i]);
    pthread_mutex_destroy(&engine->mutex);
    close(engine->wake_fd);
    free(engine->entries);
    free(engine);
}

static const struct io_engine_ops posix_ops = {
    .name = "posix",
    .close = posix_close,
    .submit = posix_submit,
    .cancel = posix_cancel,
    .collect = posix_collect,
    .wake = posix_wake,
};

struct io_engine *io_posix_engine_open(unsigned depth, struct error *error)
{
    struct posix_engine *engine = memory_take_zeroed(1, sizeof(*engine));
    if (engine)
        engine->entries = memory_take_zeroed(depth + 1, sizeof(struct pollfd));
    if (!engine || !engine->entries) {
        error_set(error, ERROR_MEMORY, "no memory for an I/O engine");
        free(engine);
        return NULL;
    }
    engine->base.ops = &posix_ops;
    engine->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->wake_fd < 0) {
        error_set_errno(error, errno, "cannot make an event for an I/O engine");
        free(engine->entries);
        free(engine);
        return NULL;
    }
    CHECK(pthread_mutex_init(&engine->mutex, NULL) == 0);
    return &engine->base;
}
