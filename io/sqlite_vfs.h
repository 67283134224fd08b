/* SQLite's way to the system through our seam of faults: a VFS over SQLite's own that asks
 * fault_io() before each read, write, sync, truncation, opening and deletion of a file, so that the
 * torture tests reach the database too. Registered once; any thread. */
#ifndef LEAT_IO_SQLITE_VFS_H
#define LEAT_IO_SQLITE_VFS_H

#include "core/error.h"

#define SQLITE_VFS_NAME "leat"

MUST_USE bool sqlite_vfs_register(struct error *error);

#endif
