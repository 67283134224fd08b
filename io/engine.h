/* The I/O engine: reads and writes at explicit offsets, waiting for completions and for wakes.
 * Three implementations behind one interface: io_uring, posix (threads and poll), and the
 * simulator's. Each actor that does I/O has its own engine, used by its thread alone, but for
 * io_engine_wake. Faults are injected here, in front of every implementation (core/fault.h). */
#ifndef LEAT_IO_ENGINE_H
#define LEAT_IO_ENGINE_H

#include <sys/types.h>

#include "core/error.h"

struct io_engine;

enum io_kind { IO_READ, IO_WRITE, IO_SYNC /* fdatasync */, IO_POLL_IN, IO_POLL_OUT };

/* One operation; memory of the caller, untouched by it until complete. Polls have neither buffer
 * nor length, and are done when the descriptor is ready or broken (result >= 0), for the caller to
 * see by trying. */
struct io_request {
    enum io_kind kind;
    int fd;
    uint64_t offset; /* IO_NO_OFFSET: the file's own position (pipes); one such request for a
                        descriptor at a time */
    void *buffer;
    size_t length;
    int64_t result; /* set at completion: bytes, or -errno; may be short: the caller loops */
    bool pending;   /* the engine's */
    void *owner;    /* the caller's */
    struct io_request *next; /* the engine's */
};
#define IO_NO_OFFSET UINT64_MAX

enum io_engine_kind { IO_ENGINE_AUTO, IO_ENGINE_URING, IO_ENGINE_POSIX, IO_ENGINE_SIMULATED };

/* AUTO: io_uring where the system allows it, else posix. `depth`: requests in flight at most.
 * SIMULATED: needs an open simulation (io/engine_simulated.h). Any thread. */
struct io_engine *io_engine_open(enum io_engine_kind kind, unsigned depth, struct error *error);
/* Cancels what is in flight and waits for it. Any thread, once the engine's own has ended. */
void io_engine_close(struct io_engine *engine);
const char *io_engine_name(const struct io_engine *engine);
/* Registers memory for faster transfers as far as limits allow; quietly does less. The pages are
 * pinned: hand in only memory that is never given back to the system (madvise) before close. */
void io_engine_register(struct io_engine *engine, void *memory, size_t size);
/* Starts a request. False: `depth` is in flight already (wait first). */
bool io_engine_submit(struct io_engine *engine, struct io_request *request);
/* Asks for an early end of a pending request: it still has to be reaped, with -ECANCELED or with
 * what it did. */
void io_engine_cancel(struct io_engine *engine, struct io_request *request);
/* The next completed request, or NULL. Never blocks. */
struct io_request *io_engine_reap(struct io_engine *engine);
/* Waits until something completes, a wake, or the timeout (nanoseconds; negative: for ever is not
 * allowed, every wait has a timeout). True: something happened. */
bool io_engine_wait(struct io_engine *engine, int64_t timeout);
/* From any thread: ends the current or next wait. */
void io_engine_wake(struct io_engine *engine);

/* File operations through the same seam of faults; blocking; errors name the path. */
int file_open(const char *path, int flags, mode_t mode, struct error *error);
bool file_rename(const char *from, const char *to, struct error *error);
bool file_sync_folder(const char *path, struct error *error); /* of the folder that holds path */
bool file_close(int fd, const char *path, struct error *error);
bool file_unlink(const char *path, struct error *error);
bool file_truncate(int fd, uint64_t size, const char *path, struct error *error);
bool file_sync_data(int fd, const char *path,
                    struct error *error); /* fdatasync; never to be retried */
/* Reads until `length` bytes or the end of the file, from `offset` (IO_NO_OFFSET: its position).
 * Returns the bytes, or -errno. */
int64_t file_read(int fd, void *buffer, size_t length, uint64_t offset);
/* Writes all of it. Returns the bytes, or -errno. */
int64_t file_write(int fd, const void *buffer, size_t length, uint64_t offset);

#endif
