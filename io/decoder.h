/* Decompression for sources of text: a decoder reads one compressed input, on a thread of its own,
 * and fills the memory it is given, in the order given. Made, fed and closed by the source's
 * thread. With no threads allowed (the simulator) it decodes in decoder_fill itself. */
#ifndef LEAT_IO_DECODER_H
#define LEAT_IO_DECODER_H

#include "core/error.h"
#include "io/compression.h"
#include "io/engine.h"

struct decoder;

struct decoder_limits {
    unsigned threads; /* 0: decode within the calls */
    size_t memory;    /* bytes each thread may use (windows, frames) */
    size_t read_size; /* of one read of the input at most */
};

/* One stretch of content asked for; memory of the caller, untouched by it until done. */
struct decoder_task {
    char *buffer;
    size_t length;
    size_t filled;      /* less than length only at the end, after an error, or on a stream */
    uint64_t raw_bytes; /* compressed bytes read for it */
    uint64_t frame;     /* offset of the compressed frame that holds its first byte */
    bool last;          /* the content ends with it */
    bool failed;        /* `error` comes behind what was filled */
    struct error error;
    struct decoder_task *next; /* the decoder's */
};

/* Reads `fd` from `start` (IO_NO_OFFSET: a stream, at its own position) and wakes `engine` when a
 * task is done. AUTO: decided by the first bytes; what is not compressed passes as it is.
 * `name` is for messages and outlives the decoder. */
struct decoder *decoder_open(enum compression compression, int fd, uint64_t start, const char *name,
                             const struct decoder_limits *limits, struct io_engine *engine,
                             struct error *error);
void decoder_submit(struct decoder *decoder, struct decoder_task *task);
/* Whether the task is done: then it is the caller's again. */
bool decoder_done(struct decoder *decoder, struct decoder_task *task);
/* Gives up what was not begun and waits for what was: all tasks are the caller's again. */
void decoder_close(struct decoder *decoder);

/* The first bytes of a compressed file's content, for its header: decodes at most `length` bytes.
 * Blocking. Returns how many, or -1. */
int64_t decoder_peek(enum compression compression, int fd, uint64_t start, const char *name,
                     size_t memory, char *buffer, size_t length, struct error *error);

#endif
