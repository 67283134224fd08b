/* File operations through the seam of faults: see engine.h. Blocking; any thread. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "io/disk_watch.h"
#include "io/engine.h"

int file_open(const char *path, int flags, mode_t mode, struct error *error)
{
    int fault = fault_io();
    int fd;
    do {
        fd = fault ? -1 : open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && !fault && errno == EINTR);
    if (fd < 0) {
        bool writes = (flags & O_ACCMODE) != O_RDONLY;
        error_set_errno(error, fault ? fault : errno, "cannot open %s for %s", path,
                        writes ? "writing" : "reading");
    } else if ((flags & O_ACCMODE) != O_RDONLY) {
        disk_watch_opened(path, fd);
        if (flags & O_TRUNC)
            disk_watch_truncated(fd, 0);
    }
    return fd;
}

bool file_rename(const char *from, const char *to, struct error *error)
{
    int fault = fault_io();
    if (fault || rename(from, to) != 0)
        return error_set_errno(error, fault ? fault : errno, "cannot rename %s to %s", from, to);
    disk_watch_renamed(from, to);
    return true;
}

bool file_sync_folder(const char *path, struct error *error)
{
    char folder[PATH_MAX];
    if (strlen(path) >= sizeof(folder))
        return error_set_errno(error, ENAMETOOLONG, "cannot sync the folder of %s", path);
    memcpy(folder, path, strlen(path) + 1);
    const char *name = dirname(folder);
    int fd = file_open(name, O_RDONLY | O_DIRECTORY, 0, error);
    if (fd < 0)
        return error_add_context(error, "cannot sync the folder of %s", path);
    int fault = fault_io();
    int problem = fault ? fault : fsync(fd) != 0 ? errno : 0;
    if (!problem)
        disk_watch_synced(fd);
    close(fd);
    /* Some file systems have folders that cannot be synced, and need it not. */
    if (problem && problem != EINVAL && problem != ENOTSUP)
        return error_set_errno(error, problem, "cannot sync the folder of %s", path);
    return true;
}

bool file_close(int fd, const char *path, struct error *error)
{
    int fault = fault_io();
    int result = close(fd); /* EINTR too closes on Linux: never again */
    if (fault || (result != 0 && errno != EINTR))
        return error_set_errno(error, fault ? fault : errno, "cannot close %s", path);
    return true;
}

bool file_unlink(const char *path, struct error *error)
{
    int fault = fault_io();
    if (fault || unlink(path) != 0)
        return error_set_errno(error, fault ? fault : errno, "cannot remove %s", path);
    disk_watch_removed(path);
    return true;
}

bool file_truncate(int fd, uint64_t size, const char *path, struct error *error)
{
    int fault = fault_io();
    if (fault || ftruncate(fd, (off_t)size) != 0)
        return error_set_errno(error, fault ? fault : errno, "cannot cut %s to %llu bytes", path,
                               (unsigned long long)size);
    disk_watch_truncated(fd, size);
    return true;
}

bool file_sync_data(int fd, const char *path, struct error *error)
{
    int fault = fault_io();
    if (fault || fdatasync(fd) != 0)
        return error_set_errno(error, fault ? fault : errno, "cannot sync %s", path);
    disk_watch_synced(fd);
    return true;
}

int64_t file_read(int fd, void *buffer, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        int fault = fault_io();
        if (fault)
            return -fault;
        char *to = (char *)buffer + done;
        ssize_t got = offset == IO_NO_OFFSET ? read(fd, to, length - done)
                                             : pread(fd, to, length - done, (off_t)(offset + done));
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            break;
        done += got > 0 ? (size_t)got : 0;
    }
    return (int64_t)done;
}

int64_t file_write(int fd, const void *buffer, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        int fault = fault_io();
        if (fault)
            return -fault;
        const char *from = (const char *)buffer + done;
        ssize_t put = offset == IO_NO_OFFSET
                          ? write(fd, from, length - done)
                          : pwrite(fd, from, length - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR)
            return -errno;
        if (put == 0)
            return -EIO;
        if (put > 0 && offset != IO_NO_OFFSET)
            disk_watch_written(fd, from, (size_t)put, offset + done);
        done += put > 0 ? (size_t)put : 0;
    }
    return (int64_t)done;
}
