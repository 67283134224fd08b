/* What the two halves of the file sink share: file_sink.c opens, writes and publishes,
 * file_checkpoint.c remembers commits and goes back to them. Nobody else includes it. */
#ifndef LEAT_IO_FILE_SINK_INTERNAL_H
#define LEAT_IO_FILE_SINK_INTERNAL_H

#include "io/byte_sink.h"
#include "io/state_file.h"

enum file_phase {
    FILE_WRITING,
    FILE_SYNCING, /* a commit: its bytes */
    FILE_STATING, /* a commit: its state file */
    FILE_SYNCED,  /* the last commit stands */
    FILE_NAMED,   /* the target has its name; the state file does not say so yet */
    FILE_PUBLISHED,
};

struct file_sink {
    struct byte_sink bytes;
    char *target; /* symbolic links resolved */
    char *part;   /* NULL: appended to, or written straight */
    bool append;
    bool direct; /* the target is no regular file */
    bool part_made;
    bool named_part; /* its name is on the disk */
    int fd;
    uint64_t start_size; /* append: what was there before the run */
    enum file_phase phase;
    struct io_request sync;
    /* commits */
    char *lock_path;
    int lock_fd; /* -1: not locked */
    char *state_path;
    bool recovered;     /* recover looked for a state */
    bool named;         /* … which is final, and the target has its name */
    bool resumed;       /* goes on behind a commit */
    struct state state; /* the last commits: as read by recover, then as written */
    char *records[2];   /* the memory of the records of state.latest and .previous, when written */
    struct state next;  /* being written */
    char *next_record;  /* … and the memory of its record */
    struct state_writer state_writer;
};

/* file_sink.c: nobody else writes to the target from here on. */
bool file_sink_lock(struct file_sink *sink, struct error *error);
/* Waits until nothing of the sink's is in flight but its writes. */
void file_sink_settle(struct file_sink *sink);

/* file_checkpoint.c; the operations of sink_ops. */
bool file_sink_recover(struct sink *base, struct commit_record *record, bool *found,
                       struct error *error);
bool file_sink_resume(struct sink *base, uint64_t number, uint64_t epoch, struct error *error);
bool file_sink_forget(struct sink *base, struct error *error);
/* Begins to write the state of a commit of everything that was written (or, with `done`, that the
 * last commit's result has its name); then to be stepped until it is no WAIT. */
bool file_state_begin(struct file_sink *sink, const struct commit_record *record, bool done,
                      struct error *error);
enum sink_result file_state_step(struct file_sink *sink, struct error *error);
/* Whether a commit of this run or of the one that it goes on with stands. */
static inline bool file_has_commit(const struct file_sink *sink)
{
    return sink->state.latest.number > 0 && (sink->resumed || sink->records[0]);
}
/* A start behind a resume: the prologue as it was. */
void file_checkpoint_continue(struct file_sink *sink);
/* Says in the state file that a run is about to write behind what the target has: a crash before
 * its first commit would else leave rows that nobody knows of. Blocking. */
bool file_append_begin(struct file_sink *sink, struct error *error);
void file_checkpoint_free(struct file_sink *sink);

#endif
