/* Telling what is done to files: see disk_watch.h. On the thread that does it. */
#include "io/disk_watch.h"

#include <sys/stat.h>

_Thread_local const struct disk_watch *disk_watch;

static uint64_t inode_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

void disk_watch_opened(const char *path, int fd)
{
    if (UNLIKELY(disk_watch != NULL))
        disk_watch->opened(disk_watch->context, path, inode_of(fd));
}

void disk_watch_written(int fd, const void *data, size_t length, uint64_t offset)
{
    if (UNLIKELY(disk_watch != NULL))
        disk_watch->written(disk_watch->context, inode_of(fd), data, length, offset);
}

void disk_watch_truncated(int fd, uint64_t size)
{
    if (UNLIKELY(disk_watch != NULL))
        disk_watch->truncated(disk_watch->context, inode_of(fd), size);
}

void disk_watch_synced(int fd)
{
    if (UNLIKELY(disk_watch != NULL))
        disk_watch->synced(disk_watch->context, inode_of(fd));
}

void disk_watch_renamed(const char *from, const char *to)
{
    if (UNLIKELY(disk_watch != NULL))
        disk_watch->renamed(disk_watch->context, from, to);
}

void disk_watch_removed(const char *path)
{
    if (UNLIKELY(disk_watch != NULL))
        disk_watch->removed(disk_watch->context, path);
}
