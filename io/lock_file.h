/* The lock beside a target or a state folder, `.NAME.leat-lock`: one run at a time. It is the
 * kernel's (an open file description lock, which also holds over NFS), so it ends with its process;
 * the file holds the process's id, for the message of whoever comes second, and is removed with the
 * lock. Any thread. */
#ifndef LEAT_IO_LOCK_FILE_H
#define LEAT_IO_LOCK_FILE_H

#include "core/error.h"

/* Takes the lock; never waits. Returns its descriptor, or -1: ERROR_LOCKED, naming the holder and
 * `target`, where another run (or another sink of this one) has it. */
int lock_file_take(const char *path, const char *target, struct error *error);
/* Gives it back and removes the file. -1: nothing. */
void lock_file_release(int fd, const char *path);

#endif
