/* The files of a partitioned sink: any number of them, few open at once, each with a buffer while
 * it is open. All below one folder, which no path and no symbolic link leads out of. Blocking; the
 * sink's thread. */
#ifndef LEAT_IO_PARTITION_FILES_H
#define LEAT_IO_PARTITION_FILES_H

#include "core/sink.h"
#include "io/compression.h"

struct partition_files;

struct partition_options {
    struct string prefix; /* the folder with its slash, or nothing: the working folder */
    enum compression compression;
    int level;
    bool append;
    unsigned open_files;
    size_t memory; /* for buffers */
};

struct partition_files *partition_files_open(const struct partition_options *options,
                                             struct error *error);
/* Closes what is open; writes and removes nothing. */
void partition_files_close(struct partition_files *files);

/* Makes the folders of a path up to its last slash. */
bool partition_prefix_make(char *path, struct error *error);

struct partition;
/* The partition of a path (prefix included, known to be safe); *is_new: it has no content yet, and
 * a prologue is due. NULL: an error. */
struct partition *partition_files_find(struct partition_files *files, struct string path,
                                       bool *is_new, struct error *error);
bool partition_write(struct partition_files *files, struct partition *partition, const char *data,
                     size_t length, struct error *error);
/* Calls `visit` for every partition; stops where it returns false. */
bool partition_files_each(struct partition_files *files,
                          bool (*visit)(void *context, struct partition *partition,
                                        struct error *error),
                          void *context, struct error *error);
/* Writes what is buffered and makes all of it durable. */
bool partition_files_sync(struct partition_files *files, struct error *error);
/* Gives every part its name. */
bool partition_files_publish(struct partition_files *files, struct error *error);
/* Removes the parts, or cuts back what was appended. */
void partition_files_abort(struct partition_files *files);
/* Forgets what was not written, and leaves the files as they are. */
void partition_files_drop(struct partition_files *files);

/* partition_commit.c: commits, for files that are not appended to. */
struct partition_commits;
struct commit_record;
/* The log at `path` (copied). */
struct partition_commits *partition_commits_open(const char *path, struct error *error);
void partition_commits_close(struct partition_commits *commits);
/* As in sink_ops. */
bool partition_commits_recover(struct partition_commits *commits, struct partition_files *files,
                               struct commit_record *record, bool *found, struct error *error);
/* *finished: nothing is to be written any more, only published (or nothing at all: *named). */
bool partition_commits_resume(struct partition_commits *commits, struct partition_files *files,
                              uint64_t number, bool *finished, bool *named, struct error *error);
bool partition_commits_forget(struct partition_commits *commits, struct partition_files *files,
                              struct error *error);
/* Makes everything durable and adds the commit to the log. */
bool partition_commits_add(struct partition_commits *commits, struct partition_files *files,
                           const struct commit_record *record, struct error *error);
/* The result has its names. */
bool partition_commits_done(struct partition_commits *commits, struct error *error);
/* Whether a commit of this run, or of the one that it goes on with, may stand. */
bool partition_commits_stand(const struct partition_commits *commits);

/* Bytes that reached the system. */
uint64_t partition_files_written(const struct partition_files *files);

#endif
