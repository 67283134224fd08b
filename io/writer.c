/* Writing in order: see writer.h. */
#include "io/writer.h"

#include <errno.h>
#include <fcntl.h>

#include "core/clock.h"

#define GATHER         16         /* pieces in one write to a stream */
#define WRITEBACK_STEP (2u << 20) /* bytes */

static struct writer_piece *piece_at(struct writer *writer, unsigned index)
{
    return &writer->pieces[(writer->first + index) % WRITER_PIECES];
}

void writer_open_file(struct writer *writer, struct io_engine *engine, int fd, uint64_t offset,
                      const char *name)
{
    *writer =
        (struct writer){.engine = engine, .fd = fd, .base = offset, .offset = offset, .name = name};
}

void writer_open_stream(struct writer *writer, struct io_engine *engine, int fd, int64_t timeout,
                        const char *name)
{
    *writer = (struct writer){.engine = engine,
                              .fd = fd,
                              .name = name,
                              .is_stream = true,
                              .timeout = timeout,
                              .progress = clock_monotonic()};
    stream_open(&writer->stream, fd, true);
}

void writer_push(struct writer *writer, const void *data, size_t length, void *owner)
{
    CHECK(writer_has_room(writer));
    if (writer->count == 0 && writer->timeout > 0)
        writer->progress = clock_monotonic();
    struct writer_piece *piece = piece_at(writer, writer->count++);
    *piece = (struct writer_piece){.data = data,
                                   .length = length,
                                   .offset = writer->offset,
                                   .owner = owner,
                                   .done = length == 0};
    writer->offset += length;
}

bool writer_pop(struct writer *writer, void **owner)
{
    struct writer_piece *piece = piece_at(writer, 0);
    if (writer->count == 0 || !piece->done)
        return false;
    *owner = piece->owner;
    writer->first = (writer->first + 1) % WRITER_PIECES;
    writer->count--;
    if (writer->started > 0)
        writer->started--;
    return true;
}

static enum writer_result writer_fail(struct writer *writer, uint64_t offset, int os_errno)
{
    if (!writer->failed)
        error_set_errno(&writer->error, os_errno, "cannot write %s at byte %llu", writer->name,
                        (unsigned long long)offset);
    writer->failed = true;
    return WRITER_FAIL;
}

static void piece_submit(struct writer *writer, struct writer_piece *piece)
{
    piece->request.kind = IO_WRITE;
    piece->request.fd = writer->fd;
    piece->request.offset = piece->offset + piece->written;
    piece->request.buffer = (char *)piece->data + piece->written;
    piece->request.length = piece->length - piece->written;
    piece->request.owner = piece;
    CHECK(io_engine_submit(writer->engine, &piece->request));
    writer->flights++;
}

static void piece_complete(struct writer *writer, struct writer_piece *piece)
{
    int64_t result = piece->request.result;
    writer->flights--;
    if (result == -EINTR || result == -EAGAIN) {
        piece_submit(writer, piece);
        return;
    }
    if (result <= 0) { /* nothing written and no reason given: no space is the likely one */
        writer_fail(writer, piece->offset + piece->written, result == 0 ? ENOSPC : (int)-result);
        return;
    }
    piece->written += (size_t)result;
    writer->written += (uint64_t)result;
    if (piece->written == piece->length)
        piece->done = true;
    else if (!writer->failed)
        piece_submit(writer, piece);
}

/* Takes completions; requests of the writer's owner (syncs, a state file) may be among them, and
 * are done by being reaped. */
static void completions_take(struct writer *writer)
{
    for (struct io_request *request; (request = io_engine_reap(writer->engine));) {
        struct writer_piece *piece = request->owner;
        if (piece >= writer->pieces && piece < writer->pieces + WRITER_PIECES)
            piece_complete(writer, piece);
    }
}

/* Has the system begin to write back what is old enough, so that the sync at the end finds little
 * left to do. Waits for nothing and promises nothing; where it cannot be done, the sync does it. */
static void writeback_begin(struct writer *writer)
{
    if (writer->written < writer->flushed + WRITEBACK_STEP)
        return;
    (void)sync_file_range(writer->fd, (off_t)(writer->flushed + writer->base), WRITEBACK_STEP,
                          SYNC_FILE_RANGE_WRITE);
    writer->flushed += WRITEBACK_STEP;
}

static enum writer_result file_step(struct writer *writer)
{
    completions_take(writer);
    if (writer->failed)
        return WRITER_FAIL;
    writeback_begin(writer);
    while (writer->started < writer->count && writer->flights < WRITER_FLIGHTS) {
        struct writer_piece *piece = piece_at(writer, writer->started++);
        piece->started = true;
        if (!piece->done)
            piece_submit(writer, piece);
    }
    /* What the page cache took at once is complete already. */
    completions_take(writer);
    return writer->failed ? WRITER_FAIL : WRITER_OK;
}

/* Gathers what is not written yet. Returns the number of spans. */
static int spans_gather(struct writer *writer, struct iovec spans[GATHER])
{
    int count = 0;
    for (unsigned i = 0; i < writer->count && count < GATHER; i++) {
        struct writer_piece *piece = piece_at(writer, i);
        if (!piece->done)
            spans[count++] = (struct iovec){.iov_base = (char *)piece->data + piece->written,
                                            .iov_len = piece->length - piece->written};
    }
    return count;
}

static void stream_advance(struct writer *writer, size_t written)
{
    writer->written += written;
    if (writer->timeout > 0)
        writer->progress = clock_monotonic();
    for (unsigned i = 0; written > 0; i++) {
        CHECK(i < writer->count);
        struct writer_piece *piece = piece_at(writer, i);
        size_t part = size_min(written, piece->length - piece->written);
        piece->written += part;
        piece->done = piece->written == piece->length;
        written -= part;
    }
}

static enum writer_result stream_blocked(struct writer *writer)
{
    if (writer->timeout > 0 && clock_monotonic() - writer->progress >= writer->timeout) {
        error_set(&writer->error, ERROR_TIMEOUT, "%s took nothing for %.3g s (timeout of the sink)",
                  writer->name, (double)writer->timeout / NANOSECONDS);
        writer->failed = true;
        return WRITER_FAIL;
    }
    if (!writer->poll.pending) {
        writer->poll.kind = IO_POLL_OUT;
        writer->poll.fd = writer->stream.fd;
        CHECK(io_engine_submit(writer->engine, &writer->poll));
    }
    return WRITER_OK;
}

static enum writer_result stream_step(struct writer *writer)
{
    while (io_engine_reap(writer->engine))
        continue; /* the poll: trying tells */
    for (;;) {
        struct iovec spans[GATHER];
        int count = spans_gather(writer, spans);
        if (count == 0)
            return WRITER_OK;
        int64_t put = writer->poll.pending ? -EAGAIN : stream_write(&writer->stream, spans, count);
        if (put == -EAGAIN || put == -EINTR)
            return stream_blocked(writer);
        if (put == -EPIPE || put == -ECONNRESET) {
            writer->closed = true;
            return WRITER_CLOSED;
        }
        if (put <= 0)
            return writer_fail(writer, writer->written, put == 0 ? ENOSPC : (int)-put);
        stream_advance(writer, (size_t)put);
    }
}

enum writer_result writer_step(struct writer *writer)
{
    if (writer->failed)
        return WRITER_FAIL;
    if (writer->closed)
        return WRITER_CLOSED;
    return writer->is_stream ? stream_step(writer) : file_step(writer);
}

void writer_close(struct writer *writer)
{
    writer->failed = true; /* completions start nothing new */
    if (writer->poll.pending)
        io_engine_cancel(writer->engine, &writer->poll);
    while (writer->flights > 0 || writer->poll.pending) {
        (void)io_engine_wait(writer->engine, NANOSECONDS);
        for (struct io_request *request; (request = io_engine_reap(writer->engine));) {
            if (request->kind == IO_WRITE)
                writer->flights--;
        }
    }
    if (writer->is_stream)
        stream_close(&writer->stream);
    writer->count = 0;
    writer->started = 0;
}
