/* Writes pieces of memory to one descriptor in order: a file at explicit offsets with several
 * writes in flight, or a stream as it takes them, gathered. Used by the sink's thread alone. */
#ifndef LEAT_IO_WRITER_H
#define LEAT_IO_WRITER_H

#include "io/engine.h"
#include "io/stream.h"

#define WRITER_PIECES  32 /* waiting or in flight; a power of two */
#define WRITER_FLIGHTS 4

struct writer_piece {
    const char *data;
    size_t length;
    size_t written;
    uint64_t offset;
    void *owner; /* the caller's, given back when it is written */
    bool started;
    bool done;
    struct io_request request;
};

struct writer {
    struct io_engine *engine;
    const char *name; /* for messages; the caller's */
    int fd;
    bool is_stream;
    struct stream stream;
    uint64_t base;    /* where the first piece went */
    uint64_t offset;  /* where the next piece goes */
    uint64_t written; /* bytes that reached the system */
    uint64_t flushed; /* of them, those whose way to the disk was begun */
    unsigned first;   /* ring of pieces: first given back next, started counted from first */
    unsigned count;
    unsigned started;
    unsigned flights;
    struct writer_piece pieces[WRITER_PIECES];
    struct io_request poll;
    int64_t timeout; /* nanoseconds without progress; 0: none */
    int64_t progress;
    bool failed;
    bool closed; /* the reader went away */
    struct error error;
};

enum writer_result { WRITER_OK, WRITER_CLOSED, WRITER_FAIL };

/* To a regular file from `offset` on. */
void writer_open_file(struct writer *writer, struct io_engine *engine, int fd, uint64_t offset,
                      const char *name);
/* To a pipe, socket, terminal, or a file at its own position. */
void writer_open_stream(struct writer *writer, struct io_engine *engine, int fd, int64_t timeout,
                        const char *name);
/* Cancels what is in flight and waits for it; fd stays open. Pieces not given back are forgotten.
 */
void writer_close(struct writer *writer);
static inline bool writer_has_room(const struct writer *writer)
{
    return writer->count < WRITER_PIECES;
}
static inline bool writer_is_empty(const struct writer *writer)
{
    return writer->count == 0;
}
/* There must be room. data must stay as it is until its owner is given back. */
void writer_push(struct writer *writer, const void *data, size_t length, void *owner);
/* Starts and completes what it can; never blocks. FAIL: writer->error. */
enum writer_result writer_step(struct writer *writer);
/* True: the oldest piece is written, *owner is given back. */
bool writer_pop(struct writer *writer, void **owner);

#endif
