/* Lock files: see lock_file.h. */
#include "io/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/engine.h"

#define TRIES 100 /* each fails only where another run has just ended */

/* The process that the holder has written down; 0: it has not yet, or in another way. */
static long holder_read(int fd)
{
    char text[24];
    int64_t got = file_read(fd, text, sizeof(text) - 1, 0);
    text[got > 0 ? got : 0] = 0;
    long holder = strtol(text, NULL, 10);
    return holder > 0 ? holder : 0;
}

/* 0, or the errno. */
static int holder_write(int fd)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0)
        return errno;
    int64_t written = file_write(fd, text, (size_t)length, 0);
    return written == length ? 0 : written < 0 ? (int)-written : ENOSPC;
}

/* Whether the name still leads to the file that was locked: its last holder may have removed it
 * between our opening and our locking. */
static bool lock_current(int fd, const char *path)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

/* Returns 0, or EAGAIN where another has it, or another errno. */
static int lock_try(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EACCES ? EAGAIN : errno;
}

int lock_file_take(const char *path, const char *target, struct error *error)
{
    for (int try = 0; try < TRIES; try++) {
        int fd = file_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0666, error);
        if (fd < 0)
            return -1;
        int problem = lock_try(fd);
        long holder = problem == EAGAIN ? holder_read(fd) : 0;
        bool ours = problem == 0 && lock_current(fd, path);
        int unwritten = ours ? holder_write(fd) : 0;
        if (ours && unwritten == 0)
            return fd;
        if (ours)
            (void)unlink(path);
        close(fd);
        if (ours)
            error_set_errno(error, unwritten, "cannot write %s", path);
        else if (holder)
            error_set(error, ERROR_LOCKED, "another run (process %ld) is writing %s", holder,
                      target);
        else if (problem == EAGAIN)
            error_set(error, ERROR_LOCKED, "another run is writing %s", target);
        else if (problem)
            error_set_errno(error, problem, "cannot lock %s", path);
        if (ours || problem)
            return -1;
    }
    error_set(error, ERROR_LOCKED, "other runs come and go that write %s", target);
    return -1;
}

void lock_file_release(int fd, const char *path)
{
    if (fd < 0)
        return;
    (void)unlink(path); /* while it is ours: whoever waits for it looks again */
    close(fd);
}
