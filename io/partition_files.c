/* The files of a partitioned sink: see partition_files.h. */
#include "io/partition_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/hash.h"
#include "io/encoder.h"
#include "io/engine.h"
#include "io/partition_files_internal.h"

#define BUFFER_LEAST  (8 * 1024)
#define BUFFER_PLAIN  (64 * 1024)
#define BUFFER_ENCODE (256 * 1024)
#define SYNC_EACH     64 /* with more files, one syncfs instead of an fdatasync for each */
bool partition_fail(const struct partition_files *files, const struct partition *partition,
                    const char *what, int os_errno, struct error *error)
{
    return error_set_errno(error, os_errno, "cannot %s %s%s", what, files->prefix, partition->path);
}

int partition_folder_open(struct partition_files *files, const struct partition *partition,
                          const char **name, struct error *error)
{
    char component[NAME_MAX + 1];
    int folder = fcntl(files->folder, F_DUPFD_CLOEXEC, 0);
    const char *at = partition->path;
    for (const char *slash; folder >= 0 && (slash = strchr(at, '/')); at = slash + 1) {
        CHECK((size_t)(slash - at) < sizeof(component)); /* partition_path_safe */
        memcpy(component, at, (size_t)(slash - at));
        component[slash - at] = 0;
        int fault = fault_io();
        int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        int next = fault ? -1 : openat(folder, component, flags);
        if (next < 0 && !fault && errno == ENOENT) {
            bool made = mkdirat(folder, component, 0777) == 0;
            files->folders_made |= made;
            if (made || errno == EEXIST)
                next = openat(folder, component, flags);
        }
        int reason = fault ? fault : errno;
        close(folder);
        folder = next;
        errno = reason;
    }
    if (folder < 0)
        partition_fail(files, partition, "make the folders of", errno, error);
    *name = at;
    return folder;
}

void partition_part_name(const char *name, char part[256])
{
    int length = snprintf(part, 256, ".%s.leat-part", name);
    CHECK(length > 0 && length <= NAME_MAX); /* partition_path_safe leaves room */
}

static int part_open(struct partition_files *files, struct partition *partition, int folder,
                     const char *name)
{
    char part[NAME_MAX + 1];
    partition_part_name(name, part);
    if (files->options.append)
        return openat(folder, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (partition->made)
        return openat(folder, part, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(folder, part, flags, 0666);
    if (fd < 0 && errno == EEXIST && unlinkat(folder, part, 0) == 0) /* of a run that died */
        fd = openat(folder, part, flags, 0666);
    return fd;
}

int partition_reopen(struct partition_files *files, struct partition *partition,
                     struct error *error)
{
    const char *name;
    int folder = partition_folder_open(files, partition, &name, error);
    if (folder < 0)
        return -1;
    int fault = fault_io();
    int fd = fault ? -1 : part_open(files, partition, folder, name);
    int reason = fault ? fault : errno;
    close(folder);
    struct stat status;
    if (fd < 0)
        partition_fail(files, partition, "write", reason, error);
    else if (!partition->made && fstat(fd, &status) == 0)
        partition->inode = status.st_ino;
    partition->made |= fd >= 0;
    return fd;
}

static bool slot_put(struct partition_files *files, struct partition_slot *slot, const char *data,
                     size_t length, struct error *error)
{
    struct partition *partition = slot->partition;
    int64_t put = file_write(slot->fd, data, length, partition->size);
    if (put < 0)
        return partition_fail(files, partition, "write", (int)-put, error);
    partition->size += length;
    partition->changed = partition->written = true;
    files->written += length;
    return true;
}

/* Writes the buffer, compressed as a frame of its own where that is wanted. */
bool partition_slot_flush(struct partition_files *files, struct partition_slot *slot,
                          struct error *error)
{
    size_t length = slot->length;
    slot->length = 0;
    if (length == 0)
        return true;
    if (files->options.compression == COMPRESSION_NONE)
        return slot_put(files, slot, slot->buffer, length, error);
    size_t made = encoder_compress(files->options.compression, files->options.level, slot->buffer,
                                   length, files->encoded, files->encoded_size);
    if (made == 0)
        return error_set(error, ERROR_MEMORY, "no memory to compress %s%s", files->prefix,
                         slot->partition->path);
    return slot_put(files, slot, files->encoded, made, error);
}

static bool slot_close(struct partition_files *files, struct partition_slot *slot,
                       struct error *error)
{
    if (!slot->partition)
        return true;
    bool done = partition_slot_flush(files, slot, error);
    if (close(slot->fd) != 0 && done && errno != EINTR)
        done = partition_fail(files, slot->partition, "close", errno, error);
    slot->partition->slot = PARTITION_NO_SLOT;
    slot->partition->changed = true;
    slot->partition = NULL;
    return done;
}

/* The slot of a partition: its own, or that of the one that was used longest ago. */
static struct partition_slot *slot_get(struct partition_files *files, struct partition *partition,
                                       struct error *error)
{
    struct partition_slot *slot = &files->slots[0];
    if (partition->slot != PARTITION_NO_SLOT) {
        slot = &files->slots[partition->slot];
        slot->used = ++files->turn;
        return slot;
    }
    for (unsigned i = 0; i < files->slot_count && slot->partition; i++) {
        if (!files->slots[i].partition || files->slots[i].used < slot->used)
            slot = &files->slots[i];
    }
    if (!slot_close(files, slot, error))
        return NULL;
    if (!slot->buffer)
        slot->buffer = memory_take(files->buffer_size);
    if (!slot->buffer) {
        error_set(error, ERROR_MEMORY, "no memory for the partitions of %s", files->prefix);
        return NULL;
    }
    bool first = !partition->made;
    slot->fd = partition_reopen(files, partition, error);
    if (slot->fd < 0)
        return NULL;
    struct stat status;
    if (first && files->options.append && fstat(slot->fd, &status) == 0)
        partition->start = partition->size = (uint64_t)status.st_size;
    slot->partition = partition;
    slot->used = ++files->turn;
    partition->slot = (uint32_t)(slot - files->slots);
    return slot;
}

bool partition_write(struct partition_files *files, struct partition *partition, const char *data,
                     size_t length, struct error *error)
{
    struct partition_slot *slot = slot_get(files, partition, error);
    if (!slot)
        return false;
    partition->changed = true;
    while (length > 0) {
        if (slot->length == files->buffer_size && !partition_slot_flush(files, slot, error))
            return false;
        bool direct = slot->length == 0 && length >= files->buffer_size &&
                      files->options.compression == COMPRESSION_NONE;
        if (direct)
            return slot_put(files, slot, data, length, error);
        size_t part = size_min(length, files->buffer_size - slot->length);
        memcpy(slot->buffer + slot->length, data, part);
        slot->length += part;
        data += part;
        length -= part;
    }
    return true;
}

static size_t table_slot(const struct partition_files *files, const char *path, size_t length)
{
    uint64_t hash = hash_bytes(path, length, HASH_SEED);
    size_t slot = (hash ^ (hash >> 32)) & (files->table_size - 1);
    while (files->table[slot]) {
        const char *other = files->items[files->table[slot] - 1]->path;
        if (strncmp(other, path, length) == 0 && !other[length])
            break;
        slot = (slot + 1) & (files->table_size - 1);
    }
    return slot;
}

/* Doubles what the list and the table hold. */
static bool table_grow(struct partition_files *files)
{
    size_t room = files->room ? files->room * 2 : 256;
    struct partition **items = memory_resize(files->items, room * sizeof(struct partition *));
    if (!items)
        return false;
    files->items = items;
    uint32_t *table = memory_take_zeroed(room * 2, sizeof(uint32_t));
    if (!table)
        return false;
    free(files->table);
    files->table = table;
    files->table_size = room * 2;
    files->room = room;
    for (size_t i = 0; i < files->count; i++) {
        const char *path = files->items[i]->path;
        files->table[table_slot(files, path, strlen(path))] = (uint32_t)(i + 1);
    }
    return true;
}

struct partition *partition_add(struct partition_files *files, struct string path)
{
    if (files->count == files->room && !table_grow(files))
        return NULL;
    struct partition *partition = memory_take_zeroed(1, sizeof(*partition));
    if (partition)
        partition->path = memory_copy_text(path.data, path.length);
    if (!partition || !partition->path) {
        free(partition);
        return NULL;
    }
    partition->slot = PARTITION_NO_SLOT;
    partition->is_new = partition->changed = true;
    size_t slot = table_slot(files, path.data, path.length);
    files->items[files->count++] = partition;
    files->table[slot] = (uint32_t)files->count;
    return partition;
}

struct partition *partition_files_find(struct partition_files *files, struct string path,
                                       bool *is_new, struct error *error)
{
    struct string rest = {path.data + files->options.prefix.length,
                          path.length - files->options.prefix.length};
    *is_new = false;
    size_t slot = files->table ? table_slot(files, rest.data, rest.length) : 0;
    if (files->table && files->table[slot])
        return files->items[files->table[slot] - 1];
    struct partition *partition = partition_add(files, rest);
    if (!partition) {
        error_set(error, ERROR_MEMORY, "no memory for the %zu partitions of %s", files->count + 1,
                  files->prefix);
        return NULL;
    }
    if (!slot_get(files, partition, error)) /* an appended file may have content already */
        return NULL;
    *is_new = partition->size == 0;
    return partition;
}

bool partition_files_each(struct partition_files *files,
                          bool (*visit)(void *context, struct partition *partition,
                                        struct error *error),
                          void *context, struct error *error)
{
    for (size_t i = 0; i < files->count; i++) {
        if (!visit(context, files->items[i], error))
            return false;
    }
    return true;
}

static bool partition_sync(struct partition_files *files, struct partition *partition,
                           struct error *error)
{
    int fd = partition_reopen(files, partition, error);
    if (fd < 0)
        return false;
    int fault = fault_io();
    bool done = !fault && fdatasync(fd) == 0;
    if (!done)
        partition_fail(files, partition, "sync", fault ? fault : errno, error);
    close(fd);
    return done;
}

bool partition_folders_sync(struct partition_files *files, struct error *error)
{
    int fault = fault_io();
    if (fault || syncfs(files->folder) != 0)
        return error_set_errno(error, fault ? fault : errno, "cannot sync %s", files->prefix);
    return true;
}

bool partition_slots_close(struct partition_files *files, struct error *error)
{
    for (unsigned i = 0; i < files->slot_count; i++) {
        if (!slot_close(files, &files->slots[i], error))
            return false;
    }
    return true;
}

bool partition_files_sync(struct partition_files *files, struct error *error)
{
    if (!partition_slots_close(files, error))
        return false;
    if (files->count > SYNC_EACH)
        return partition_folders_sync(files, error);
    for (size_t i = 0; i < files->count; i++) {
        if (!partition_sync(files, files->items[i], error))
            return false;
    }
    return true;
}

static bool partition_publish(struct partition_files *files, struct partition *partition,
                              struct error *error)
{
    char part[NAME_MAX + 1];
    const char *name;
    int folder = partition_folder_open(files, partition, &name, error);
    if (folder < 0)
        return false;
    partition_part_name(name, part);
    int fault = fault_io();
    bool done = !fault && renameat(folder, part, folder, name) == 0;
    if (!done)
        partition_fail(files, partition, "give its name to", fault ? fault : errno, error);
    partition->published = done;
    if (done && files->count <= SYNC_EACH && fsync(folder) != 0 && errno != EINVAL)
        done = partition_fail(files, partition, "sync the folder of", errno, error);
    close(folder);
    return done;
}

bool partition_files_publish(struct partition_files *files, struct error *error)
{
    for (size_t i = 0; i < files->count && !files->options.append; i++) {
        if (!files->items[i]->published && !partition_publish(files, files->items[i], error))
            return false;
    }
    return files->count <= SYNC_EACH || files->options.append ||
           partition_folders_sync(files, error);
}

/* What cannot be taken back stays: the run has failed already, and says why. */
static void partition_abort(struct partition_files *files, struct partition *partition)
{
    struct error ignored;
    const char *name;
    if (!partition->made || partition->published)
        return;
    int folder = partition_folder_open(files, partition, &name, &ignored);
    if (folder < 0)
        return;
    char part[NAME_MAX + 1];
    partition_part_name(name, part);
    if (!files->options.append) {
        (void)unlinkat(folder, part, 0);
    } else {
        int fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0) {
            (void)file_truncate(fd, partition->start, name, &ignored);
            close(fd);
        }
    }
    close(folder);
}

static void slots_drop(struct partition_files *files)
{
    for (unsigned i = 0; i < files->slot_count; i++) {
        struct partition_slot *slot = &files->slots[i];
        if (slot->partition) {
            close(slot->fd);
            slot->partition->slot = PARTITION_NO_SLOT;
            slot->partition = NULL;
        }
    }
}

void partition_files_drop(struct partition_files *files)
{
    slots_drop(files);
}

void partition_files_abort(struct partition_files *files)
{
    slots_drop(files);
    for (size_t i = 0; i < files->count; i++)
        partition_abort(files, files->items[i]);
}

uint64_t partition_files_written(const struct partition_files *files)
{
    return files->written;
}

/* Its author wrote them down, no record did. */
bool partition_prefix_make(char *prefix, struct error *error)
{
    for (char *at = prefix; *at; at++) {
        if (*at != '/' || at == prefix)
            continue;
        *at = 0;
        int fault = fault_io();
        bool made = !fault && (mkdir(prefix, 0777) == 0 || errno == EEXIST);
        if (!made)
            error_set_errno(error, fault ? fault : errno, "cannot make the folder %s", prefix);
        *at = '/';
        if (!made)
            return false;
    }
    return true;
}

struct partition_files *partition_files_open(const struct partition_options *options,
                                             struct error *error)
{
    struct partition_files *files = memory_take_zeroed(1, sizeof(*files));
    if (!files) {
        error_set(error, ERROR_MEMORY, "no memory for a sink");
        return NULL;
    }
    files->options = *options;
    files->slot_count = options->open_files > 0 ? options->open_files : 64;
    bool encodes = options->compression != COMPRESSION_NONE;
    size_t share = options->memory / 2 / files->slot_count;
    files->buffer_size =
        size_max(BUFFER_LEAST, size_min(share, encodes ? BUFFER_ENCODE : BUFFER_PLAIN));
    files->encoded_size = encoder_bound(options->compression, files->buffer_size);
    files->prefix = memory_copy_text(options->prefix.data, options->prefix.length);
    files->slots = memory_take_zeroed(files->slot_count, sizeof(struct partition_slot));
    files->encoded = encodes ? memory_take(files->encoded_size) : NULL;
    files->folder = -1;
    bool done = files->prefix && files->slots && (files->encoded || !encodes);
    if (!done)
        error_set(error, ERROR_MEMORY, "no memory for a sink");
    if (done && partition_prefix_make(files->prefix, error))
        files->folder =
            file_open(files->prefix[0] ? files->prefix : ".", O_RDONLY | O_DIRECTORY, 0, error);
    if (files->folder >= 0)
        return files;
    partition_files_close(files);
    return NULL;
}

void partition_files_close(struct partition_files *files)
{
    if (!files)
        return;
    slots_drop(files);
    for (unsigned i = 0; files->slots && i < files->slot_count; i++)
        free(files->slots[i].buffer);
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i]->path);
        free(files->items[i]);
    }
    if (files->folder >= 0)
        close(files->folder);
    free(files->items);
    free(files->table);
    free(files->slots);
    free(files->encoded);
    free(files->prefix);
    free(files);
}
