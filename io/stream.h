/* A pipe, socket or terminal, read and written without ever blocking and without changing the mode
 * of a descriptor that other processes share. One thread at a time. */
#ifndef LEAT_IO_STREAM_H
#define LEAT_IO_STREAM_H

#include <sys/uio.h>

#include "core/error.h"

enum stream_mode {
    STREAM_FILE,        /* a regular file at its own position: transfers do not block */
    STREAM_SOCKET,      /* MSG_DONTWAIT */
    STREAM_NONBLOCKING, /* O_NONBLOCK: it was so, or on an open file description of our own */
    STREAM_CAREFUL,     /* polled before each transfer, and written at most PIPE_BUF bytes */
};

struct stream {
    int fd;
    bool owned;   /* fd was opened by stream_open */
    bool unheard; /* a FIFO that had no writer yet, for all we know: reading would tell the end */
    enum stream_mode mode;
};

/* Looks at the descriptor, and opens its pipe a second time where that gives a description of our
 * own to make non-blocking. `fd` must stay open until stream_close. A FIFO that was opened
 * non-blocking to be read is not at its end before its first writer has come and gone. */
void stream_open(struct stream *stream, int fd, bool writes);
void stream_close(struct stream *stream);
/* Bytes read, 0 at the end, -EAGAIN when it would block, or another -errno. */
int64_t stream_read(struct stream *stream, void *buffer, size_t length);
/* Bytes written (may be fewer), -EAGAIN when it would block, or another -errno. SIGPIPE must be
 * blocked or ignored in the calling thread (all threads of core/thread.h block it). */
int64_t stream_write(struct stream *stream, const struct iovec *spans, int count);

#endif
