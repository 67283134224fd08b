/* The state file beside a target, `.NAME.leat-state`: where the last commit stands, and the one
 * before it. Replaced whole (temporary, sync, rename, sync of the folder), so that it is always
 * that of a commit that happened. Layout, all numbers little-endian: "leatSTAT", version, number of
 * checkpoints, open, start, CRC-32 of these; for each checkpoint a CRC-32, its fields and its
 * record; then the latest one's tail. */
#ifndef LEAT_IO_STATE_FILE_H
#define LEAT_IO_STATE_FILE_H

#include "core/error.h"
#include "io/engine.h"

enum state_phase {
    STATE_RUNNING, /* more is to come */
    STATE_FINAL,   /* whole; it may have its name already */
    STATE_DONE,    /* whole, and known to have its name */
};

/* One commit. */
struct state_checkpoint {
    uint64_t number;
    uint64_t epoch;
    enum state_phase phase;
    uint64_t device; /* of the part file (append: of the target) */
    uint64_t inode;
    uint64_t length; /* of it, in bytes: all whole frames where it is compressed */
    bool begun;      /* the prologue is written */
    uint32_t skip;   /* bytes still to be left out of the first record */
    /* Compressed: content of the frame that is open at `length`. Frames are cut at fixed amounts of
     * content, so a commit cannot end one. */
    uint64_t tail_length;
    uint32_t tail_crc;
    struct string record; /* the runtime's */
};

struct state {
    struct state_checkpoint latest;
    struct state_checkpoint previous;
    bool has_previous;
    uint64_t start; /* append: bytes that the file had before the run */
    bool open;      /* append: a run has begun behind `latest`, and may have written */
    /* The latest's tail. That of the previous is its beginning where both have the same length,
     * else it is the beginning of the frame at previous.length in the part: that frame was ended
     * since, and the latest commit covers it. */
    struct string tail;
    char
        *memory; /* holds the records and the tail of a state that was read; state_close frees it */
};

/* dir/NAME -> dir/.NAME.leat-KIND; NULL when memory is short. The caller frees it. */
char *side_path(const char *target, const char *kind);

/* Blocking; any thread. *found false: there is none. ERROR_STATE, with the remedy, for what is no
 * state file, damaged, or of another version. */
bool state_file_read(const char *path, struct state *state, bool *found, struct error *error);
/* From bytes, which are kept nowhere but in state->memory (a copy). `path` is for messages. */
bool state_decode(const char *bytes, size_t length, const char *path, struct state *state,
                  struct error *error);
void state_close(struct state *state);
uint32_t state_crc(struct string bytes);
/* Removes what a run that died while it wrote the file left; for whoever has the lock. Blocking. */
void state_file_sweep(const char *path);
/* Removes the file if it is there, durably. Blocking. */
bool state_file_remove(const char *path, struct error *error);

enum state_step { STATE_STEP_DONE, STATE_STEP_WAIT, STATE_STEP_FAIL };

/* Writes a state file without blocking longer than a rename does. One thread, an engine of which
 * nothing else is in flight. All zero before use. */
struct state_writer {
    struct io_engine *engine; /* NULL: nothing is being written */
    const char *path;         /* the caller's, as `tail` */
    char *temporary;
    char *head; /* everything before the tail */
    size_t head_length;
    struct string tail;
    size_t written;
    int fd;
    int stage;
    bool replaced; /* the file is the new one, durably or not; stays until the next begin */
    struct io_request request;
};
/* `state` may go afterwards, but for its tail, which must stay until the end. */
bool state_writer_begin(struct state_writer *writer, struct io_engine *engine, const char *path,
                        const struct state *state, struct error *error);
/* Goes on; once it has returned DONE or FAIL the writer is ready for the next state. DONE: the
 * state is the file's, and stays it. FAIL: `replaced` tells. */
enum state_step state_writer_step(struct state_writer *writer, struct error *error);
static inline bool state_writer_busy(const struct state_writer *writer)
{
    return writer->engine != NULL;
}
/* Lets go of a write that was begun: waits for what is in flight and removes the temporary. */
void state_writer_drop(struct state_writer *writer);

#endif
