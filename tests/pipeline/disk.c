/* See disk.h. */
#include "tests/pipeline/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/disk_watch.h"

#define SECTOR     512
#define NAMES_MOST 64
#define NAME_SIZE  64
#define FILES_MOST 4096
#define PATH_SIZE  256

enum kind { OPENED, WRITTEN, TRUNCATED, SYNCED, RENAMED, REMOVED };

struct operation {
    enum kind kind;
    uint64_t inode; /* the folder's: 0 */
    uint64_t offset;
    size_t length;
    char *data;
    char name[NAME_SIZE], to[NAME_SIZE];
};

struct content {
    char *data;
    size_t length, room;
};

struct traced_file {
    uint64_t inode;
    struct content base;
};

struct names {
    struct {
        char name[NAME_SIZE];
        uint64_t inode;
    } entries[NAMES_MOST];
    unsigned count;
};

struct disk_trace {
    char folder[PATH_SIZE / 2], pool[PATH_SIZE / 2];
    uint64_t folder_inode;
    struct names base;
    struct traced_file files[NAMES_MOST];
    unsigned file_count;
    struct operation *operations;
    unsigned count, room;
    struct disk_watch watch;
};

static void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

static uint64_t mix(uint64_t z)
{
    z += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

/* ---- recording ---- */

static void name_set(struct names *names, const char *name, uint64_t inode)
{
    unsigned i = 0;
    while (i < names->count && strcmp(names->entries[i].name, name) != 0)
        i++;
    if (inode == 0) { /* removed */
        if (i < names->count)
            names->entries[i] = names->entries[--names->count];
        return;
    }
    check(i < NAMES_MOST, "too many names");
    snprintf(names->entries[i].name, NAME_SIZE, "%s", name);
    names->entries[i].inode = inode;
    names->count += i == names->count;
}

static uint64_t name_find(const struct names *names, const char *name)
{
    for (unsigned i = 0; i < names->count; i++)
        if (strcmp(names->entries[i].name, name) == 0)
            return names->entries[i].inode;
    return 0;
}

static bool is_ours(const struct disk_trace *trace, const char *path, char name[NAME_SIZE])
{
    size_t length = strlen(trace->folder);
    if (strncmp(path, trace->folder, length) != 0 || path[length] != '/')
        return false;
    snprintf(name, NAME_SIZE, "%s", path + length + 1);
    return strncmp(name, "in", 2) != 0;
}

static struct operation *operation_add(struct disk_trace *trace, enum kind kind)
{
    if (trace->count == trace->room) {
        trace->room = trace->room ? 2 * trace->room : 256;
        trace->operations = realloc(trace->operations, trace->room * sizeof(struct operation));
        check(trace->operations != NULL, "no memory");
    }
    struct operation *operation = &trace->operations[trace->count++];
    *operation = (struct operation){.kind = kind};
    return operation;
}

static void pool_path(const struct disk_trace *trace, uint64_t inode, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/%llu", trace->pool, (unsigned long long)inode);
}

static void pool_keep(const struct disk_trace *trace, const char *path, uint64_t inode)
{
    char kept[PATH_SIZE];
    pool_path(trace, inode, kept);
    (void)link(path, kept); /* it may be there already */
}

static void watch_opened(void *context, const char *path, uint64_t inode)
{
    struct disk_trace *trace = context;
    char name[NAME_SIZE];
    if (!is_ours(trace, path, name))
        return;
    struct operation *operation = operation_add(trace, OPENED);
    operation->inode = inode;
    memcpy(operation->name, name, NAME_SIZE);
    pool_keep(trace, path, inode);
}

static void watch_written(void *context, uint64_t inode, const void *data, size_t length,
                          uint64_t offset)
{
    struct operation *operation = operation_add(context, WRITTEN);
    operation->inode = inode;
    operation->offset = offset;
    operation->length = length;
    operation->data = malloc(length + 1);
    check(operation->data != NULL, "no memory");
    memcpy(operation->data, data, length);
}

static void watch_truncated(void *context, uint64_t inode, uint64_t size)
{
    struct operation *operation = operation_add(context, TRUNCATED);
    operation->inode = inode;
    operation->offset = size;
}

static void watch_synced(void *context, uint64_t inode)
{
    struct disk_trace *trace = context;
    operation_add(trace, SYNCED)->inode = inode == trace->folder_inode ? 0 : inode;
}

static void watch_renamed(void *context, const char *from, const char *to)
{
    struct disk_trace *trace = context;
    char name[NAME_SIZE], other[NAME_SIZE];
    if (!is_ours(trace, from, name) || !is_ours(trace, to, other))
        return;
    struct operation *operation = operation_add(trace, RENAMED);
    memcpy(operation->name, name, NAME_SIZE);
    memcpy(operation->to, other, NAME_SIZE);
}

static void watch_removed(void *context, const char *path)
{
    struct disk_trace *trace = context;
    char name[NAME_SIZE];
    if (is_ours(trace, path, name))
        memcpy(operation_add(trace, REMOVED)->name, name, NAME_SIZE);
}

struct disk_trace *disk_trace_open(const char *folder, const char *pool)
{
    struct disk_trace *trace = calloc(1, sizeof(*trace));
    struct stat status;
    check(trace && stat(folder, &status) == 0, "no trace");
    snprintf(trace->folder, sizeof(trace->folder), "%s", folder);
    snprintf(trace->pool, sizeof(trace->pool), "%s", pool);
    trace->folder_inode = status.st_ino;
    return trace;
}

static void trace_clear(struct disk_trace *trace)
{
    for (unsigned i = 0; i < trace->count; i++)
        free(trace->operations[i].data);
    for (unsigned i = 0; i < trace->file_count; i++)
        free(trace->files[i].base.data);
    trace->count = trace->file_count = trace->base.count = 0;
}

void disk_trace_close(struct disk_trace *trace)
{
    trace_clear(trace);
    free(trace->operations);
    free(trace);
}

static void base_add(struct disk_trace *trace, const char *name)
{
    char path[PATH_SIZE];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s", trace->folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd >= 0 && fstat(fd, &status) == 0 && trace->file_count < NAMES_MOST, path);
    struct traced_file *file = &trace->files[trace->file_count++];
    file->inode = status.st_ino;
    file->base =
        (struct content){.length = (size_t)status.st_size, .room = (size_t)status.st_size + 1};
    file->base.data = malloc(file->base.room);
    check(file->base.data && read(fd, file->base.data, file->base.length) == status.st_size, path);
    close(fd);
    pool_keep(trace, path, status.st_ino);
    name_set(&trace->base, name, status.st_ino);
}

void disk_trace_begin(struct disk_trace *trace)
{
    trace_clear(trace);
    DIR *entries = opendir(trace->folder);
    check(entries != NULL, trace->folder);
    for (const struct dirent *entry; (entry = readdir(entries));)
        if (entry->d_type == DT_REG && strncmp(entry->d_name, "in", 2) != 0)
            base_add(trace, entry->d_name);
    closedir(entries);
    trace->watch = (struct disk_watch){.opened = watch_opened,
                                       .written = watch_written,
                                       .truncated = watch_truncated,
                                       .synced = watch_synced,
                                       .renamed = watch_renamed,
                                       .removed = watch_removed,
                                       .context = trace};
    disk_watch = &trace->watch;
}

void disk_trace_end(struct disk_trace *trace)
{
    if (disk_watch == &trace->watch)
        disk_watch = NULL;
}

unsigned disk_trace_length(const struct disk_trace *trace)
{
    return trace->count;
}

/* ---- contents ---- */

static void content_resize(struct content *content, size_t length)
{
    if (length > content->room) {
        content->room = length + length / 2 + 4096;
        content->data = realloc(content->data, content->room);
        check(content->data != NULL, "no memory");
    }
    if (length > content->length)
        memset(content->data + content->length, 0, length - content->length);
    content->length = length;
}

/* A write or a truncation, wholly. */
static void content_apply(struct content *content, const struct operation *operation)
{
    if (operation->kind == TRUNCATED) {
        content_resize(content, operation->offset);
        return;
    }
    if (operation->offset + operation->length > content->length)
        content_resize(content, operation->offset + operation->length);
    memcpy(content->data + operation->offset, operation->data, operation->length);
}

/* What of it lies in the sector. The content is long enough for every version. */
static void sector_apply(struct content *content, const struct operation *operation, size_t sector)
{
    size_t begin = sector * SECTOR, end = begin + SECTOR;
    if (operation->kind == TRUNCATED) {
        size_t from = operation->offset > begin ? operation->offset : begin;
        if (from < end && from < content->length)
            memset(content->data + from, 0, (end < content->length ? end : content->length) - from);
        return;
    }
    size_t from = operation->offset > begin ? operation->offset : begin;
    size_t to = operation->offset + operation->length;
    to = to < end ? to : end;
    if (from < to)
        memcpy(content->data + from, operation->data + (from - operation->offset), to - from);
}

static size_t size_behind(size_t size, const struct operation *operation)
{
    if (operation->kind == TRUNCATED)
        return operation->offset;
    size_t end = operation->offset + operation->length;
    return end > size ? end : size;
}

/* What was pending is there in some way. */
static void pending_apply(struct content *content, struct operation *const *pending, unsigned count,
                          uint64_t seed)
{
    unsigned mode = seed % 4;
    if (mode == 0 || count == 0)
        return;      /* all of it is lost */
    if (mode == 1) { /* up to some instant, or all */
        unsigned end = (unsigned)(mix(seed) % (count + 1));
        for (unsigned i = 0; i < (seed & 4 ? count : end); i++)
            content_apply(content, pending[i]);
        return;
    }
    size_t size = content->length, largest = content->length, is = content->length;
    unsigned size_at = mode == 2 ? count : (unsigned)(mix(seed ^ 77) % (count + 1));
    for (unsigned i = 0; i < count; i++) {
        is = size_behind(is, pending[i]);
        largest = is > largest ? is : largest;
        size = i < size_at ? is : size;
    }
    content_resize(content, largest);
    for (size_t sector = 0; sector * SECTOR < largest; sector++) {
        unsigned at = (unsigned)(mix(seed ^ (sector * 0x51ED27)) % (count + 1));
        for (unsigned i = 0; i < at; i++)
            sector_apply(content, pending[i], sector);
    }
    content_resize(content, size);
}

static void content_make(const struct disk_trace *trace, unsigned at, uint64_t inode, uint64_t seed,
                         struct content *content)
{
    static struct operation *pending[65536];
    unsigned count = 0;
    content->length = 0;
    for (unsigned i = 0; i < trace->file_count; i++)
        if (trace->files[i].inode == inode) {
            content_resize(content, trace->files[i].base.length);
            memcpy(content->data, trace->files[i].base.data, content->length);
        }
    for (unsigned i = 0; i < at; i++) {
        struct operation *operation = &trace->operations[i];
        if (operation->inode != inode)
            continue;
        if (operation->kind == WRITTEN || operation->kind == TRUNCATED) {
            check(count < 65536, "too many writes");
            pending[count++] = operation;
        } else if (operation->kind == SYNCED) {
            for (unsigned j = 0; j < count; j++)
                content_apply(content, pending[j]);
            count = 0;
        }
    }
    pending_apply(content, pending, count, mix(seed ^ inode));
}

/* ---- names ---- */

static void names_apply(struct names *names, const struct names *now,
                        const struct operation *operation)
{
    if (operation->kind == OPENED)
        name_set(names, operation->name, operation->inode);
    else if (operation->kind == REMOVED)
        name_set(names, operation->name, 0);
    else { /* `now`: what the name led to, whether that got to the disk or not */
        uint64_t inode = name_find(now, operation->name);
        if (name_find(names, operation->name) == inode)
            name_set(names, operation->name, 0);
        if (inode)
            name_set(names, operation->to, inode);
    }
}

static void names_make(const struct disk_trace *trace, unsigned at, uint64_t seed,
                       struct names *names)
{
    struct names now = trace->base;
    unsigned synced = 0;
    for (unsigned i = 0; i < at; i++)
        if (trace->operations[i].kind == SYNCED && trace->operations[i].inode == 0)
            synced = i;
    uint64_t random = mix(seed ^ 0xF01DE5);
    unsigned cut = synced + (unsigned)(random / 4 % (at - synced + 1));
    *names = trace->base;
    for (unsigned i = 0; i < at; i++) {
        const struct operation *operation = &trace->operations[i];
        if (operation->kind != OPENED && operation->kind != RENAMED && operation->kind != REMOVED)
            continue;
        if (operation->kind == OPENED && name_find(&now, operation->name) == operation->inode)
            continue; /* it was there */
        bool kept = i < synced || (random % 4 == 0) ? true
                    : random % 4 == 1               ? i < cut
                    : random % 4 == 2               ? false
                                                    : mix(random ^ i) % 2 == 0;
        if (kept)
            names_apply(names, &now, operation);
        names_apply(&now, &now, operation);
        if (i < synced)
            *names = now;
    }
}

/* ---- making a state ---- */

static void folder_empty(const char *folder, bool inputs_too)
{
    char path[PATH_SIZE + 256];
    DIR *entries = opendir(folder);
    check(entries != NULL, folder);
    for (const struct dirent *entry; (entry = readdir(entries));) {
        if (entry->d_type != DT_REG || (!inputs_too && strncmp(entry->d_name, "in", 2) == 0))
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        check(unlink(path) == 0, path);
    }
    closedir(entries);
}

void disk_clear(const char *folder, const char *pool)
{
    folder_empty(folder, false);
    folder_empty(pool, true);
}

void disk_trace_crash(const struct disk_trace *trace, unsigned at, uint64_t seed)
{
    static struct content content;
    struct names names;
    char path[PATH_SIZE], kept[PATH_SIZE];
    names_make(trace, at, seed, &names);
    folder_empty(trace->folder, false);
    for (unsigned i = 0; i < names.count; i++) {
        uint64_t inode = names.entries[i].inode;
        pool_path(trace, inode, kept);
        snprintf(path, sizeof(path), "%s/%s", trace->folder, names.entries[i].name);
        content_make(trace, at, inode, seed, &content);
        int fd = open(kept, O_WRONLY | O_TRUNC | O_CLOEXEC);
        check(fd >= 0 && write(fd, content.data, content.length) == (ssize_t)content.length, kept);
        close(fd);
        check(link(kept, path) == 0, path);
    }
}
