/* Decompression for sources of text: a decoder reads one compressed input, on a thread of its own,
 * and fills the memory it is given, in the order given. Made, fed and closed by the source's
 * thread. With no threads allowed (the simulator) it decodes in decoder_fill itself. */
#ifndef LEAT_IO_DECODER_H
#define LEAT_IO_DECODER_H

#include <stdatomic.h>

#include "core/error.h"
#include "io/compression.h"
#include "io/engine.h"

struct decoder;

struct decoder_limits {
    unsigned threads; /* 0: decode within the calls */
    size_t memory;    /* bytes each thread may use (windows, frames) */
    size_t read_size; /* of one read of the input at most */
    int64_t timeout;  /* nanoseconds without data from a stream until TIMEOUT; 0: none */
    uint64_t end; /* what lies behind this offset of the file does not count; 0: all of it does */
};

/* One stretch of content asked for; memory of the caller, untouched by it until done. */
struct decoder_task {
    char *buffer;
    size_t length;
    size_t filled;      /* less than length only at the end, after an error, or on a stream */
    uint64_t raw_bytes; /* compressed bytes read for it */
    /* Where a frame begins in the file, at or before its first byte, and where the content of that
     * frame begins in the content. */
    uint64_t frame;
    uint64_t frame_offset;
    bool last;    /* the content ends with it */
    bool surplus; /* asked for behind the end: nothing is filled, and it does not count */
    bool failed;  /* `error` comes behind what was filled */
    struct error error;
    struct decoder_task *next; /* the decoder's */
    atomic_bool done;          /* set by the decoder (release) when all else is */
};

/* Reads `fd` from `start` (IO_NO_OFFSET: a stream, at its own position, behind the bytes of
 * `prefix`, which were read already and are copied) and wakes `engine` when a task is done.
 * `compression` is zstd or gzip. `name` is for messages and outlives the decoder. */
struct decoder *decoder_open(enum compression compression, int fd, uint64_t start,
                             struct string prefix, const char *name,
                             const struct decoder_limits *limits, struct io_engine *engine,
                             struct error *error);
/* Before the first task: the frame at `start` begins at `frame_offset` of the content, and tasks
 * get the content from `offset` on; what lies between is decoded and passed over. */
void decoder_seek(struct decoder *decoder, uint64_t frame_offset, uint64_t offset);
void decoder_submit(struct decoder *decoder, struct decoder_task *task);
/* Whether the task is done: then it is the caller's again. */
static inline bool decoder_task_done(struct decoder_task *task)
{
    return atomic_load_explicit(&task->done, memory_order_acquire);
}
/* Gives up what was not begun and waits for what was: all tasks are done. */
void decoder_close(struct decoder *decoder);

/* The first bytes of a compressed file's content, for its header: decodes at most `length` bytes.
 * Blocking. Returns how many, or -1. */
/* The same from `offset` of the content on, by way of the frame at `frame` of the file, whose
 * content begins at `frame_offset`. */
int64_t decoder_read(enum compression compression, int fd, uint64_t frame, uint64_t frame_offset,
                     uint64_t offset, const char *name, const struct decoder_limits *limits,
                     char *buffer, size_t length, struct error *error);
int64_t decoder_peek(enum compression compression, int fd, uint64_t start, const char *name,
                     const struct decoder_limits *limits, char *buffer, size_t length,
                     struct error *error);

#endif
