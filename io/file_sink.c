/* The sink `file`: writes into a part file beside the target and renames it over the target at the
 * end, so that no reader ever sees half a file and a failed run leaves the old one. What is no
 * regular file (a FIFO, /dev/null) is written straight. open runs on the main thread, the rest on
 * the sink's. */
#include "io/file_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/byte_sink.h"
#include "io/partition_sink.h"

static const struct option_spec option_specs[] = {
    {"path", OPTION_TEMPLATE, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "the file; with {expressions} in it, a file for each of their values"},
    {"format", OPTION_NAME, 0, NULL, NULL, "the format, if the name does not tell it"},
    {"compression", OPTION_WORD, 0, "auto|none|zstd|gzip", "auto",
     "how it is compressed; auto looks at the name"},
    {"level", OPTION_INTEGER, 0, NULL, NULL, "the level of compression"},
    {"mode", OPTION_WORD, 0, "replace|append", "replace",
     "whether a file that is there is replaced or added to"},
    {"timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "fail when a pipe takes nothing for so long"},
    {0},
};

const struct noun file_sink_noun = {
    .name = "file",
    .doc = "Writes a file, which appears under its name when it is whole",
    .example = "into file \"late.csv.zst\" { level 6 }",
    .options = option_specs,
    .takes_format = true,
};

enum file_phase { FILE_WRITING, FILE_SYNCING, FILE_SYNCED, FILE_PUBLISHED };

struct file_sink {
    struct byte_sink bytes;
    char *target; /* symbolic links resolved */
    char *part;   /* NULL: appended to, or written straight */
    bool append;
    bool direct; /* the target is no regular file */
    bool part_made;
    int fd;
    uint64_t start_size; /* append: what was there */
    enum file_phase phase;
    struct io_request sync;
};

bool file_sink_is_template(struct string path)
{
    for (size_t i = 0; i < path.length; i++) {
        if (path.data[i] != '{')
            continue;
        if (i + 1 == path.length || path.data[i + 1] != '{')
            return true;
        i++;
    }
    return false;
}

/* The path with {{ and }} as single braces; NULL when memory is short. */
static char *path_unescape(struct string path)
{
    char *copy = memory_copy_text(path.data, path.length);
    size_t length = 0;
    for (size_t i = 0; copy && i < path.length; i++) {
        copy[length++] = path.data[i];
        bool brace = path.data[i] == '{' || path.data[i] == '}';
        if (brace && i + 1 < path.length && path.data[i + 1] == path.data[i])
            i++;
    }
    if (copy)
        copy[length] = 0;
    return copy;
}

/* dir/NAME -> dir/.NAME.leat-part */
static char *part_name(const char *target)
{
    const char *slash = strrchr(target, '/');
    int folder = slash ? (int)(slash + 1 - target) : 0;
    size_t size = strlen(target) + sizeof("..leat-part");
    char *part = memory_take(size);
    if (part)
        snprintf(part, size, "%.*s.%s.leat-part", folder, target, target + folder);
    return part;
}

/* Checks the folder that the file will be in. */
static bool folder_check(const char *target, struct error *error)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(target, '/');
    size_t length = slash ? (size_t)(slash - target) : 0;
    if (length >= sizeof(folder))
        return error_set_errno(error, ENAMETOOLONG, "cannot write %s", target);
    memcpy(folder, target, length);
    folder[length] = 0;
    const char *name = !slash ? "." : length == 0 ? "/" : folder;
    struct stat status;
    if (stat(name, &status) != 0)
        return error_set_errno(error, errno, "cannot write %s: its folder %s", target, name);
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_IO, "cannot write %s: %s is no folder", target, name);
    if (faccessat(AT_FDCWD, name, W_OK | X_OK, AT_EACCESS) != 0)
        return error_set_errno(error, errno, "cannot write %s: its folder %s", target, name);
    return true;
}

/* What the target is now: nothing, a file to replace or append to, or something to write straight.
 */
static bool target_look(struct file_sink *sink, struct error *error)
{
    struct stat status;
    int fault = fault_io();
    if (!fault && stat(sink->target, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return error_set(error, ERROR_IO, "cannot write %s: it is a folder; name a file in it",
                             sink->target);
        sink->direct = !S_ISREG(status.st_mode);
        char *resolved = sink->direct ? NULL : realpath(sink->target, NULL);
        if (resolved) {
            free(sink->target);
            sink->target = resolved;
        }
    } else if (fault || errno != ENOENT) {
        return error_set_errno(error, fault ? fault : errno, "cannot write %s", sink->target);
    }
    if (sink->direct || sink->append)
        return true;
    sink->part = part_name(sink->target);
    if (!sink->part)
        return error_set(error, ERROR_MEMORY, "no memory for a path");
    return folder_check(sink->target, error);
}

static bool file_sink_name(struct file_sink *sink, struct sink_context *context,
                           struct error *error)
{
    struct string path = {0};
    if (context->options)
        path = option_text(context->options, "path", NULL);
    if (!path.data && context->file)
        path = (struct string){context->file, strlen(context->file)};
    CHECK(path.data);
    sink->target = context->options && option_given(context->options, "path")
                       ? path_unescape(path)
                       : memory_copy_text(path.data, path.length);
    size_t size = path.length + sizeof("file ");
    char *name = memory_take(size);
    sink->bytes.base.name = name;
    if (!sink->target || !name)
        return error_set(error, ERROR_MEMORY, "no memory for a path");
    if (!sink->target[0])
        return error_set(error, ERROR_PROGRAM, "the path of a file may not be empty");
    snprintf(name, size, "file %s", sink->target);
    return true;
}

static void file_sink_close(struct sink *base);

static bool file_sink_open(struct sink_context *context, struct sink **result, struct error *error)
{
    struct string path = {0};
    if (context->options)
        path = option_text(context->options, "path", NULL);
    if (path.data && file_sink_is_template(path))
        return partition_sink_open(context, path, result, error);
    struct file_sink *sink = memory_take_zeroed(1, sizeof(*sink));
    if (!sink)
        return error_set(error, ERROR_MEMORY, "no memory for a sink");
    sink->bytes.base.ops = &sink_file;
    sink->bytes.context = context;
    sink->fd = -1;
    sink->append = context->options && option_word_is(context->options, "mode", "append");
    bool done = file_sink_name(sink, context, error) && target_look(sink, error);
    if (done) {
        enum compression compression = compression_option(context->options, COMPRESSION_AUTO);
        if (compression == COMPRESSION_AUTO)
            compression = compression_for_path(sink->target);
        sink->bytes.compression = compression;
    }
    done = done && byte_sink_format_choose(&sink->bytes, context, sink->target, error) &&
           byte_sink_prepare(&sink->bytes, error);
    if (!done) {
        file_sink_close(&sink->bytes.base);
        return false;
    }
    *result = &sink->bytes.base;
    return true;
}

/* A POSIX lock beside the one of flock: only it can tell who has it. */
static void part_sign(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    (void)fcntl(fd, F_SETLK, &lock); /* without it the holder is just not named */
}

/* The process that has signed the part file; 0: unknown, or in another PID namespace. */
static pid_t part_holder(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0 ? lock.l_pid
                                                                                      : 0;
}

/* Removes the part file of a run that died. One that another run is writing is left alone. */
static bool stale_part_remove(const char *part, struct error *error)
{
    int fd = open(part, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return true;
    bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    bool done = !locked && file_unlink(part, error);
    pid_t holder = locked ? part_holder(fd) : 0;
    if (holder)
        error_set(error, ERROR_LOCKED, "another run (process %ld) is writing %s", (long)holder,
                  part);
    else if (locked)
        error_set(error, ERROR_LOCKED, "another run is writing %s", part);
    if (fd >= 0)
        close(fd);
    return done;
}

/* Makes the part file; it is locked as long as it is open. */
static bool part_make(struct file_sink *sink, struct error *error)
{
    sink->fd = file_open(sink->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666, error);
    if (sink->fd < 0 && error->os_errno == EEXIST) {
        if (!stale_part_remove(sink->part, error))
            return false;
        sink->fd = file_open(sink->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666, error);
    }
    if (sink->fd < 0)
        return error_add_context(error, "cannot write %s", sink->target);
    sink->part_made = true;
    (void)flock(sink->fd, LOCK_EX | LOCK_NB); /* only keeps an eager second run away */
    part_sign(sink->fd);
    struct stat status;
    if (stat(sink->target, &status) == 0)
        (void)fchmod(sink->fd,
                     status.st_mode & 07777); /* a replaced file keeps its mode if it may */
    return true;
}

static bool append_open(struct file_sink *sink, struct error *error)
{
    sink->fd = file_open(sink->target, O_WRONLY | O_CREAT, 0666, error);
    if (sink->fd < 0)
        return false;
    struct stat status;
    if (fstat(sink->fd, &status) != 0)
        return error_set_errno(error, errno, "cannot write %s", sink->target);
    sink->start_size = (uint64_t)status.st_size;
    sink->bytes.continues = status.st_size > 0;
    if (sink->bytes.continues)
        sink->bytes.skip = 0;
    return true;
}

static enum sink_result file_sink_start(struct sink *base, struct error *error)
{
    struct file_sink *sink = (struct file_sink *)base;
    struct sink_context *context = sink->bytes.context;
    int64_t timeout = context->limits.timeout;
    if (context->options)
        timeout = option_integer(context->options, "timeout", timeout);
    bool done;
    if (sink->direct) {
        sink->fd = file_open(sink->target, O_WRONLY, 0, error);
        done = sink->fd >= 0;
    } else {
        done = sink->append ? append_open(sink, error) : part_make(sink, error);
    }
    if (!done)
        return SINK_FAIL;
    if (sink->direct)
        writer_open_stream(&sink->bytes.writer, context->engine, sink->fd, timeout, sink->target);
    else
        writer_open_file(&sink->bytes.writer, context->engine, sink->fd, sink->start_size,
                         sink->target);
    sink->bytes.writer_open = true;
    return byte_sink_encoder_start(&sink->bytes, error) ? SINK_OK : SINK_FAIL;
}

/* One fdatasync through the engine; never retried. */
static enum sink_result sync_step(struct file_sink *sink, struct error *error)
{
    struct io_engine *engine = sink->bytes.context->engine;
    if (sink->phase == FILE_WRITING) {
        sink->sync = (struct io_request){.kind = IO_SYNC, .fd = sink->fd};
        CHECK(io_engine_submit(engine, &sink->sync));
        sink->phase = FILE_SYNCING;
    }
    while (io_engine_reap(engine))
        continue; /* nothing but the sync is in flight */
    if (sink->sync.pending)
        return SINK_WAIT;
    sink->phase = FILE_WRITING;
    if (sink->sync.result < 0) {
        error_set_errno(error, (int)-sink->sync.result, "cannot sync %s", sink->target);
        return SINK_FAIL;
    }
    return SINK_OK;
}

/* A run that is let go while it syncs: nobody may close the file or the engine under the sync. */
static void sync_wait(struct file_sink *sink)
{
    while (sink->sync.pending) {
        (void)io_engine_wait(sink->bytes.context->engine, NANOSECONDS);
        while (io_engine_reap(sink->bytes.context->engine))
            continue; /* nothing but the sync is in flight */
    }
}

static enum sink_result file_sink_commit(struct sink *base, const struct commit_record *record,
                                         struct error *error)
{
    struct file_sink *sink = (struct file_sink *)base;
    if (sink->phase == FILE_SYNCED)
        return SINK_OK;
    enum sink_result result = SINK_OK;
    if (sink->phase == FILE_WRITING)
        result = byte_sink_finish(&sink->bytes, record->final, error);
    if (result == SINK_OK && !sink->direct)
        result = sync_step(sink, error);
    if (result == SINK_OK && record->final)
        sink->phase = FILE_SYNCED;
    return result;
}

static enum sink_result file_sink_publish(struct sink *base, const struct commit_record *record,
                                          struct error *error)
{
    struct file_sink *sink = (struct file_sink *)base;
    struct commit_record last = {.final = true};
    (void)record;
    if (sink->phase == FILE_PUBLISHED)
        return SINK_OK;
    enum sink_result result = file_sink_commit(base, &last, error);
    if (result != SINK_OK)
        return result;
    int fd = sink->fd;
    sink->fd = -1;
    byte_sink_halt(&sink->bytes);
    if (!file_close(fd, sink->target, error))
        return SINK_FAIL;
    if (sink->part) {
        if (!file_rename(sink->part, sink->target, error))
            return SINK_FAIL;
        sink->part_made = false;
        if (!file_sync_folder(sink->target, error))
            return SINK_FAIL;
    }
    sink->phase = FILE_PUBLISHED;
    return SINK_OK;
}

static void file_sink_abort(struct sink *base, bool keep_part)
{
    struct file_sink *sink = (struct file_sink *)base;
    struct error ignored; /* the run has failed already, and says why */
    sync_wait(sink);
    byte_sink_halt(&sink->bytes);
    if (sink->append && sink->fd >= 0 && sink->phase != FILE_PUBLISHED && !keep_part)
        (void)file_truncate(sink->fd, sink->start_size, sink->target, &ignored);
    if (sink->fd >= 0)
        close(sink->fd);
    sink->fd = -1;
    if (sink->part_made && !keep_part)
        (void)unlink(sink->part);
    sink->part_made = false;
}

static void file_sink_close(struct sink *base)
{
    struct file_sink *sink = (struct file_sink *)base;
    file_sink_abort(base, false); /* nothing is left to abort after publish */
    free(sink->target);
    free(sink->part);
    byte_sink_free(&sink->bytes);
}

const struct sink_ops sink_file = {
    .noun = &file_sink_noun,
    .open = file_sink_open,
    .start = file_sink_start,
    .offer = byte_sink_offer,
    .take = byte_sink_take,
    .commit = file_sink_commit,
    .publish = file_sink_publish,
    .abort = file_sink_abort,
    .reclaim = byte_sink_reclaim,
    .close = file_sink_close,
};
