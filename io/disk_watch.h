/* For tests: tells what is done to files, in order, so that every state in which a power cut could
 * leave them can be made (tests/pipeline/disk.c). Told by the simulated engine, the blocking file
 * operations and our SQLite VFS, after each operation has succeeded. Nobody watches outside of
 * tests: one load of a pointer. */
#ifndef LEAT_IO_DISK_WATCH_H
#define LEAT_IO_DISK_WATCH_H

#include "core/base.h"

struct disk_watch {
    /* A file was opened for writing: it may be new under this name. */
    void (*opened)(void *context, const char *path, uint64_t inode);
    void (*written)(void *context, uint64_t inode, const void *data, size_t length,
                    uint64_t offset);
    void (*truncated)(void *context, uint64_t inode, uint64_t size);
    /* Also a folder's: its names are on the disk then. */
    void (*synced)(void *context, uint64_t inode);
    void (*renamed)(void *context, const char *from, const char *to);
    void (*removed)(void *context, const char *path);
    void *context;
};

/* Of the thread that simulates; NULL: nobody watches. */
extern _Thread_local const struct disk_watch *disk_watch;

/* Tell who watches, if anybody does, of an operation that has succeeded. */
void disk_watch_opened(const char *path, int fd);
void disk_watch_written(int fd, const void *data, size_t length, uint64_t offset);
void disk_watch_truncated(int fd, uint64_t size);
void disk_watch_synced(int fd);
void disk_watch_renamed(const char *from, const char *to);
void disk_watch_removed(const char *path);

#endif
