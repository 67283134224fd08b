/* SQLite over our seam of faults: see sqlite_vfs.h. A file of ours is a header and, behind it, the
 * file of the system's VFS, to which every call is handed on. */
#include "io/sqlite_vfs.h"

#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/fault.h"
#include "io/disk_watch.h"

struct seam_file {
    sqlite3_file base;
    sqlite3_io_methods methods; /* its version is that of the file below */
    /* for who watches the disk */
    uint64_t inode;
    uint64_t folder; /* to be synced with the file's first sync, as the system's VFS does; or 0 */
};

static sqlite3_vfs *system_vfs; /* set once under `once`, then read only */

static sqlite3_file *below(sqlite3_file *file)
{
    return (sqlite3_file *)((struct seam_file *)file + 1);
}

/* SQLITE_OK, or what the operation has to fail with: `otherwise`, unless it needs space. */
static int fault_code(int otherwise)
{
    int fault = fault_io();
    if (fault == 0)
        return SQLITE_OK;
    bool space = otherwise == SQLITE_IOERR_WRITE || otherwise == SQLITE_IOERR_SHMMAP;
    return space && (fault == ENOSPC || fault == EDQUOT) ? SQLITE_FULL : otherwise;
}

static int seam_close(sqlite3_file *file)
{
    return below(file)->pMethods->xClose(below(file));
}

static int seam_read(sqlite3_file *file, void *buffer, int size, sqlite3_int64 offset)
{
    int code = fault_code(SQLITE_IOERR_READ);
    return code ? code : below(file)->pMethods->xRead(below(file), buffer, size, offset);
}

static int seam_write(sqlite3_file *file, const void *buffer, int size, sqlite3_int64 offset)
{
    int code = fault_code(SQLITE_IOERR_WRITE);
    if (code == SQLITE_OK)
        code = below(file)->pMethods->xWrite(below(file), buffer, size, offset);
    if (UNLIKELY(disk_watch != NULL) && code == SQLITE_OK)
        disk_watch->written(disk_watch->context, ((struct seam_file *)file)->inode, buffer,
                            (size_t)size, (uint64_t)offset);
    return code;
}

static int seam_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int code = fault_code(SQLITE_IOERR_TRUNCATE);
    if (code == SQLITE_OK)
        code = below(file)->pMethods->xTruncate(below(file), size);
    if (UNLIKELY(disk_watch != NULL) && code == SQLITE_OK)
        disk_watch->truncated(disk_watch->context, ((struct seam_file *)file)->inode,
                              (uint64_t)size);
    return code;
}

static int seam_sync(sqlite3_file *file, int flags)
{
    int code = fault_code(SQLITE_IOERR_FSYNC);
    if (code == SQLITE_OK)
        code = below(file)->pMethods->xSync(below(file), flags);
    struct seam_file *ours = (struct seam_file *)file;
    if (UNLIKELY(disk_watch != NULL) && code == SQLITE_OK) {
        disk_watch->synced(disk_watch->context, ours->inode);
        if (ours->folder)
            disk_watch->synced(disk_watch->context, ours->folder);
        ours->folder = 0;
    }
    return code;
}

static int seam_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return below(file)->pMethods->xFileSize(below(file), size);
}

static int seam_lock(sqlite3_file *file, int level)
{
    return below(file)->pMethods->xLock(below(file), level);
}

static int seam_unlock(sqlite3_file *file, int level)
{
    return below(file)->pMethods->xUnlock(below(file), level);
}

static int seam_check_reserved_lock(sqlite3_file *file, int *locked)
{
    return below(file)->pMethods->xCheckReservedLock(below(file), locked);
}

static int seam_file_control(sqlite3_file *file, int operation, void *argument)
{
    return below(file)->pMethods->xFileControl(below(file), operation, argument);
}

static int seam_sector_size(sqlite3_file *file)
{
    return below(file)->pMethods->xSectorSize(below(file));
}

static int seam_device_characteristics(sqlite3_file *file)
{
    return below(file)->pMethods->xDeviceCharacteristics(below(file));
}

static int seam_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
    int code = fault_code(SQLITE_IOERR_SHMMAP);
    return code ? code : below(file)->pMethods->xShmMap(below(file), page, size, extend, memory);
}

static int seam_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return below(file)->pMethods->xShmLock(below(file), offset, count, flags);
}

static void seam_shm_barrier(sqlite3_file *file)
{
    below(file)->pMethods->xShmBarrier(below(file));
}

static int seam_shm_unmap(sqlite3_file *file, int delete)
{
    return below(file)->pMethods->xShmUnmap(below(file), delete);
}

static int seam_fetch(sqlite3_file *file, sqlite3_int64 offset, int size, void **memory)
{
    return below(file)->pMethods->xFetch(below(file), offset, size, memory);
}

static int seam_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *memory)
{
    return below(file)->pMethods->xUnfetch(below(file), offset, memory);
}

/* The folder that holds the path; 0: it is unknown. */
static uint64_t folder_inode(const char *path)
{
    char folder[4096];
    struct stat status;
    snprintf(folder, sizeof(folder), "%s", path);
    return stat(dirname(folder), &status) == 0 ? status.st_ino : 0;
}

static void opened_tell(struct seam_file *file, const char *path, int flags)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return;
    file->inode = status.st_ino;
    bool journal = (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
    if (journal && (flags & SQLITE_OPEN_CREATE))
        file->folder = folder_inode(path);
    disk_watch->opened(disk_watch->context, path, status.st_ino);
}

static int seam_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *flags_out)
{
    (void)vfs;
    file->pMethods = NULL; /* nothing to close after a failure */
    int code = fault_code(SQLITE_CANTOPEN);
    if (code == SQLITE_OK)
        code = system_vfs->xOpen(system_vfs, name, below(file), flags, flags_out);
    if (code != SQLITE_OK)
        return code;
    struct seam_file *ours = (struct seam_file *)file;
    ours->methods = (sqlite3_io_methods){
        .iVersion = below(file)->pMethods->iVersion < 3 ? below(file)->pMethods->iVersion : 3,
        .xClose = seam_close,
        .xRead = seam_read,
        .xWrite = seam_write,
        .xTruncate = seam_truncate,
        .xSync = seam_sync,
        .xFileSize = seam_file_size,
        .xLock = seam_lock,
        .xUnlock = seam_unlock,
        .xCheckReservedLock = seam_check_reserved_lock,
        .xFileControl = seam_file_control,
        .xSectorSize = seam_sector_size,
        .xDeviceCharacteristics = seam_device_characteristics,
        .xShmMap = seam_shm_map,
        .xShmLock = seam_shm_lock,
        .xShmBarrier = seam_shm_barrier,
        .xShmUnmap = seam_shm_unmap,
        .xFetch = seam_fetch,
        .xUnfetch = seam_unfetch,
    };
    file->pMethods = &ours->methods;
    ours->inode = ours->folder = 0;
    if (UNLIKELY(disk_watch != NULL) && name && (flags & SQLITE_OPEN_READWRITE))
        opened_tell(ours, name, flags);
    return SQLITE_OK;
}

static int seam_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    (void)vfs;
    int code = fault_code(SQLITE_IOERR_DELETE);
    if (code == SQLITE_OK)
        code = system_vfs->xDelete(system_vfs, name, sync_folder);
    if (UNLIKELY(disk_watch != NULL) && code == SQLITE_OK) {
        disk_watch->removed(disk_watch->context, name);
        if (sync_folder)
            disk_watch->synced(disk_watch->context, folder_inode(name));
    }
    return code;
}

/* Everything that is no file operation is the system VFS's own function, called with our struct
 * sqlite3_vfs: the unix VFS keeps nothing but pAppData in there, which is copied. */
static sqlite3_vfs seam_vfs;
static int register_code = SQLITE_ERROR;

static void seam_register(void)
{
    system_vfs = sqlite3_vfs_find(NULL);
    if (!system_vfs)
        return;
    seam_vfs = *system_vfs;
    seam_vfs.pNext = NULL;
    seam_vfs.zName = SQLITE_VFS_NAME;
    seam_vfs.szOsFile = (int)sizeof(struct seam_file) + system_vfs->szOsFile;
    seam_vfs.xOpen = seam_open;
    seam_vfs.xDelete = seam_delete;
    register_code = sqlite3_vfs_register(&seam_vfs, 0);
}

bool sqlite_vfs_register(struct error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, seam_register) == 0);
    if (register_code == SQLITE_OK)
        return true;
    return error_set(error, ERROR_DATABASE, "SQLite has no way to the file system here: %s",
                     sqlite3_errstr(register_code));
}
