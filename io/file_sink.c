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
#include "core/planted.h"
#include "io/file_sink_internal.h"
#include "io/lock_file.h"
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
    if (sink->direct)
        return true;
    sink->part = sink->append ? NULL : side_path(sink->target, "part");
    sink->lock_path = side_path(sink->target, "lock");
    sink->state_path = side_path(sink->target, "state");
    if ((!sink->part && !sink->append) || !sink->lock_path || !sink->state_path)
        return error_set(error, ERROR_MEMORY, "no memory for a path");
    return (sink->append && !sink->bytes.context->checkpoints) || folder_check(sink->target, error);
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
static const struct sink_ops direct_ops;

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
    sink->lock_fd = -1;
    sink->append = context->options && option_word_is(context->options, "mode", "append");
    sink->append |= context->adds && !(context->options && option_given(context->options, "mode"));
    sink->bytes.base.appends = sink->append;
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
    if (sink->direct)
        sink->bytes.base.ops = &direct_ops;
    *result = &sink->bytes.base;
    return true;
}

bool file_sink_lock(struct file_sink *sink, struct error *error)
{
    if (sink->lock_fd < 0)
        sink->lock_fd = lock_file_take(sink->lock_path, sink->target, error);
    return sink->lock_fd >= 0;
}

/* Makes the part file. One that is there is of a run that died: that no other run lives, the lock
 * tells. */
static bool part_make(struct file_sink *sink, struct error *error)
{
    if (!file_sink_lock(sink, error))
        return false;
    /* A commit of the run that died, which this one did not ask for, would miss its part. */
    if (!sink->recovered && !state_file_remove(sink->state_path, error))
        return false;
    if (!file_unlink(sink->part, error) && error->os_errno != ENOENT)
        return false;
    sink->fd = file_open(sink->part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0666, error);
    if (sink->fd < 0)
        return error_add_context(error, "cannot write %s", sink->target);
    sink->part_made = true;
    struct stat status;
    if (stat(sink->target, &status) == 0)
        (void)fchmod(sink->fd,
                     status.st_mode & 07777); /* a replaced file keeps its mode if it may */
    return true;
}

static bool append_open(struct file_sink *sink, struct error *error)
{
    /* Without commits nothing is written beside the target, whose folder may not allow it. */
    if (sink->bytes.context->checkpoints && !file_sink_lock(sink, error))
        return false;
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

/* Opens what is written to, or goes on with what resume has opened. */
static bool target_open(struct file_sink *sink, struct error *error)
{
    bool done = true;
    if (sink->resumed)
        file_checkpoint_continue(sink);
    else if (sink->direct)
        done = (sink->fd = file_open(sink->target, O_WRONLY, 0, error)) >= 0;
    else
        done = sink->append ? append_open(sink, error) : part_make(sink, error);
    bool begins = !sink->resumed || sink->state.latest.phase == STATE_DONE;
    if (done && begins && sink->append && !sink->direct && sink->bytes.context->checkpoints)
        done = file_append_begin(sink, error);
    return done;
}

static enum sink_result file_sink_start(struct sink *base, struct error *error)
{
    struct file_sink *sink = (struct file_sink *)base;
    struct sink_context *context = sink->bytes.context;
    int64_t timeout = context->limits.timeout;
    if (context->options)
        timeout = option_integer(context->options, "timeout", timeout);
    if (sink->phase != FILE_WRITING) { /* resumed behind the last commit: nothing comes any more */
        sink->bytes.begun = sink->bytes.ended = true;
        return SINK_OK;
    }
    if (!target_open(sink, error))
        return SINK_FAIL;
    uint64_t length = sink->resumed ? sink->state.latest.length : sink->start_size;
    if (sink->direct)
        writer_open_stream(&sink->bytes.writer, context->engine, sink->fd, timeout, sink->target);
    else
        writer_open_file(&sink->bytes.writer, context->engine, sink->fd, length, sink->target);
    sink->bytes.writer_open = true;
    if (!byte_sink_encoder_start(&sink->bytes, error))
        return SINK_FAIL;
    struct string tail = sink->resumed ? sink->state.tail : (struct string){0};
    if (sink->bytes.encoder && (length > 0 || tail.length > 0))
        encoder_continue(sink->bytes.encoder, tail);
    return SINK_OK;
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
void file_sink_settle(struct file_sink *sink)
{
    while (sink->sync.pending) {
        (void)io_engine_wait(sink->bytes.context->engine, NANOSECONDS);
        while (io_engine_reap(sink->bytes.context->engine))
            continue; /* nothing but the sync is in flight */
    }
    state_writer_drop(&sink->state_writer);
}

/* A sync that a planted bug leaves out before the record. */
static bool sync_planted(const struct file_sink *sink)
{
    return planted("record_before_data") || planted("sync_left_out") ||
           (planted("rejects_unsynced") && strstr(sink->target, "rejects"));
}

/* Everything that was offered is written and synced; then the state file says so. */
static enum sink_result file_sink_commit(struct sink *base, const struct commit_record *record,
                                         struct error *error)
{
    struct file_sink *sink = (struct file_sink *)base;
    bool keeps_state = sink->bytes.context->checkpoints && !sink->direct;
    if (sink->phase >= FILE_SYNCED)
        return SINK_OK;
    enum sink_result result = SINK_OK;
    if (sink->phase == FILE_WRITING)
        result = byte_sink_finish(&sink->bytes, record->final, error);
    if (result == SINK_OK && !sink->direct && sink->phase != FILE_STATING && !sync_planted(sink))
        result = sync_step(sink, error);
    if (result != SINK_OK)
        return result;
    if (keeps_state && sink->phase != FILE_STATING) {
        if (planted("acknowledge_before_commit") && record->final && sink->part)
            (void)file_rename(sink->part, sink->target, error);
        if (!file_state_begin(sink, record, false, error))
            return SINK_FAIL;
        sink->phase = FILE_STATING;
    }
    if (keeps_state)
        result = file_state_step(sink, error);
    if (result == SINK_OK)
        sink->phase = record->final ? FILE_SYNCED : FILE_WRITING;
    if (result == SINK_OK && planted("record_before_data"))
        (void)file_sync_data(sink->fd, sink->target, error);
    return result;
}

/* Gives the part its name, which is on the disk afterwards. */
static bool part_name(struct file_sink *sink, struct error *error)
{
    int fd = sink->fd;
    sink->fd = -1;
    byte_sink_halt(&sink->bytes);
    if (!file_close(fd, sink->target, error))
        return false;
    if (!sink->part)
        return true;
    if (!planted("acknowledge_before_commit") && !file_rename(sink->part, sink->target, error))
        return false;
    sink->part_made = false;
    return true;
}

static enum sink_result file_sink_publish(struct sink *base, const struct commit_record *record,
                                          struct error *error)
{
    struct file_sink *sink = (struct file_sink *)base;
    /* Where nothing came behind the finished run that this one would add to, no commit did. */
    if (sink->phase < FILE_SYNCED && sink->resumed && record->number == sink->state.latest.number)
        sink->phase = FILE_SYNCED;
    if (sink->phase < FILE_SYNCED) {
        struct commit_record last = *record;
        last.final = true;
        enum sink_result result = file_sink_commit(base, &last, error);
        if (result != SINK_OK)
            return result;
    }
    if (sink->phase == FILE_SYNCED) {
        if (!part_name(sink, error))
            return SINK_FAIL;
        sink->phase = FILE_NAMED;
    }
    if (sink->phase == FILE_NAMED && !state_writer_busy(&sink->state_writer)) {
        if (sink->part && !file_sync_folder(sink->target, error))
            return SINK_FAIL;
        bool keeps_state = sink->bytes.context->checkpoints && !sink->direct;
        if (!keeps_state)
            sink->phase = FILE_PUBLISHED;
        else if (!file_state_begin(sink, record, true, error))
            return SINK_FAIL;
    }
    if (sink->phase == FILE_PUBLISHED)
        return SINK_OK;
    enum sink_result result = file_state_step(sink, error);
    if (result == SINK_OK)
        sink->phase = FILE_PUBLISHED;
    return result;
}

static void file_sink_abort(struct sink *base, bool keep_part)
{
    struct file_sink *sink = (struct file_sink *)base;
    struct error ignored; /* the run has failed already, and says why */
    file_sink_settle(sink);
    byte_sink_halt(&sink->bytes);
    bool committed = file_has_commit(sink);
    /* A commit that was broken off, or failed, when its state had already taken its place. */
    bool unknown = sink->phase == FILE_STATING && sink->state_writer.replaced;
    bool open = sink->append && sink->fd >= 0 && sink->phase < FILE_NAMED && !unknown;
    if (open && (committed || !keep_part)) /* others read it: not what no commit covers */
        (void)file_truncate(sink->fd, committed ? sink->state.latest.length : sink->start_size,
                            sink->target, &ignored);
    if (sink->fd >= 0)
        close(sink->fd);
    sink->fd = -1;
    if (sink->part_made && !keep_part && !committed && !unknown)
        (void)unlink(sink->part);
    sink->part_made = false;
}

static void file_sink_close(struct sink *base)
{
    struct file_sink *sink = (struct file_sink *)base;
    file_sink_abort(base, false); /* nothing is left to abort after publish */
    lock_file_release(sink->lock_fd, sink->lock_path);
    file_checkpoint_free(sink);
    free(sink->target);
    free(sink->part);
    byte_sink_free(&sink->bytes);
}

/* What is no regular file: what it has taken cannot be taken back. */
static const struct sink_ops direct_ops = {
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

const struct sink_ops sink_file = {
    .noun = &file_sink_noun,
    .traits = SINK_RECOVERABLE,
    .open = file_sink_open,
    .recover = file_sink_recover,
    .resume = file_sink_resume,
    .forget = file_sink_forget,
    .start = file_sink_start,
    .offer = byte_sink_offer,
    .take = byte_sink_take,
    .commit = file_sink_commit,
    .publish = file_sink_publish,
    .abort = file_sink_abort,
    .reclaim = byte_sink_reclaim,
    .close = file_sink_close,
};
