/* Streams: see stream.h. */
#include "io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"

/* What a pipe should hold: fewer switches between its two ends. Only a wish: limits may forbid it.
 */
#define PIPE_WISH (1024 * 1024)

void stream_open(struct stream *stream, int fd, bool writes)
{
    *stream = (struct stream){.fd = fd, .mode = STREAM_CAREFUL};
    struct stat status;
    if (fstat(fd, &status) != 0)
        return; /* the first transfer tells what is wrong */
    int flags = fcntl(fd, F_GETFL);
    if (S_ISREG(status.st_mode)) {
        stream->mode = STREAM_FILE;
    } else if (S_ISSOCK(status.st_mode)) {
        stream->mode = STREAM_SOCKET;
    } else if (flags >= 0 && (flags & O_NONBLOCK)) {
        stream->mode = STREAM_NONBLOCKING;
        stream->unheard = S_ISFIFO(status.st_mode) && !writes;
    } else if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
        char path[32];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        int own = open(path, (writes ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (own >= 0)
            *stream = (struct stream){.fd = own, .owned = true, .mode = STREAM_NONBLOCKING};
    }
    if (S_ISFIFO(status.st_mode) && fcntl(stream->fd, F_GETPIPE_SZ) < PIPE_WISH)
        (void)fcntl(stream->fd, F_SETPIPE_SZ, PIPE_WISH);
}

void stream_close(struct stream *stream)
{
    if (stream->owned)
        close(stream->fd);
    stream->owned = false;
}

static bool stream_ready(const struct stream *stream, short events)
{
    struct pollfd entry = {.fd = stream->fd, .events = events};
    return poll(&entry, 1, 0) == 1;
}

int64_t stream_read(struct stream *stream, void *buffer, size_t length)
{
    int fault = fault_io();
    if (fault)
        return -fault;
    /* poll() tells a FIFO without a writer from one whose writer has gone; read() does not. */
    bool looks = stream->mode == STREAM_CAREFUL || stream->unheard;
    if (looks && !stream_ready(stream, POLLIN))
        return -EAGAIN;
    stream->unheard = false;
    ssize_t got;
    do {
        got = stream->mode == STREAM_SOCKET ? recv(stream->fd, buffer, length, MSG_DONTWAIT)
                                            : read(stream->fd, buffer, length);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

int64_t stream_write(struct stream *stream, const struct iovec *spans, int count)
{
    int fault = fault_io();
    if (fault)
        return -fault;
    struct iovec piece;
    if (stream->mode == STREAM_CAREFUL) {
        if (!stream_ready(stream, POLLOUT))
            return -EAGAIN;
        piece = spans[0];
        piece.iov_len = size_min(piece.iov_len, PIPE_BUF);
        spans = &piece;
        count = 1;
    }
    struct msghdr message = {.msg_iov = (struct iovec *)spans, .msg_iovlen = (size_t)count};
    ssize_t put;
    do {
        put = stream->mode == STREAM_SOCKET
                  ? sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
                  : writev(stream->fd, spans, count);
    } while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}
