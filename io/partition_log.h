/* The log of a partitioned sink's commits: for each commit a frame with a checksum, of the files
 * that have changed since the one before. A frame that is cut or damaged at the end is of a commit
 * that did not come to stand. Rewritten as one frame when it has doubled. Layout, numbers
 * little-endian: "leatPLOG", version; frames of CRC-32, 0, length; number, epoch, phase, lengths,
 * record, entries. Blocking; the sink's thread (main before the run). */
#ifndef LEAT_IO_PARTITION_LOG_H
#define LEAT_IO_PARTITION_LOG_H

#include "core/error.h"
#include "io/state_file.h"

/* A file as a commit left it. */
struct log_entry {
    struct string path;
    uint64_t inode;
    uint64_t size;
    uint64_t turn;      /* of the last use where it was open, else 0 */
    uint64_t tail_from; /* the first bytes of its tail are those of the commit before */
    struct string tail; /* content of the open frame, from there on */
};

struct log_commit {
    uint64_t number;
    uint64_t epoch;
    enum state_phase phase;
    struct string record;
};

/* Frames being put together: bytes that grow. */
struct log_frame {
    char *bytes;
    size_t length;
    size_t room;
    size_t begin; /* of the frame */
    uint32_t entries;
    bool failed; /* no memory */
};
void log_frame_begin(struct log_frame *frame, const struct log_commit *commit);
void log_frame_add(struct log_frame *frame, const struct log_entry *entry);
void log_frame_end(struct log_frame *frame);
void log_frame_free(struct log_frame *frame);

/* A file over the commits that the log tells of. */
struct log_file {
    char *path;
    uint64_t changed; /* number of the last commit that changed it */
    struct log_version {
        bool exists;
        uint64_t inode;
        uint64_t size;
        uint64_t turn;
        char *tail; /* owned */
        size_t tail_length;
    } now, before; /* at the last commit, and at the one before */
};

struct log_state {
    struct log_commit latest;
    struct log_commit previous; /* number 0: none */
    struct log_file *files;     /* in order of appearance */
    size_t count;
    size_t room;
    uint32_t *table;
    size_t table_size;
    size_t length; /* of the frames that count */
    char *memory;  /* holds the records */
};
/* *found false: there is none. ERROR_STATE: it is none of ours, or says what cannot be. */
bool partition_log_read(const char *path, struct log_state *state, bool *found,
                        struct error *error);
bool partition_log_decode(const char *bytes, size_t length, const char *path,
                          struct log_state *state, struct error *error);
void log_state_close(struct log_state *state);

/* The file. All zero: none. */
struct partition_log {
    const char *path; /* the caller's */
    int fd;           /* opened by replace */
    uint64_t length;
    uint64_t base; /* length of its first frame: compacted when twice that is reached */
    char *next;    /* a compacted log that takes this one's place with the next commit, or NULL */
    uint64_t next_base;
};
/* Makes the frames the whole log, durably; opens it. */
bool partition_log_replace(struct partition_log *log, const struct log_frame *frames,
                           struct error *error);
/* Adds the frame, durably. */
bool partition_log_append(struct partition_log *log, const struct log_frame *frame,
                          struct error *error);
/* Whether it has doubled. */
bool partition_log_is_long(const struct partition_log *log);
/* Prepares a whole log to take this one's place with the next append: until then the commit before
 * the last may still be gone back to. */
bool partition_log_prepare(struct partition_log *log, const struct log_frame *frames,
                           struct error *error);
void partition_log_close(struct partition_log *log);

#endif
