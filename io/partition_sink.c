/* The sink of partitions: see partition_sink.h. encode runs on any worker, open on the main thread,
 * the rest on the sink's own thread, where it may block. */
#include "io/partition_sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/hash.h"
#include "io/byte_sink.h"
#include "io/file_sink.h"
#include "io/lock_file.h"
#include "io/partition_files.h"

struct partition_sink {
    struct byte_sink bytes; /* format and name; it writes nothing itself */
    struct partition_files *files;
    struct partition_options options;
    char *prefix;
    uint64_t hash;       /* of the template: tells its state from others' */
    struct batch *batch; /* offered, to be written by take */
    bool ended;
    bool synced;
    bool published;
    /* commits; none where files are appended to */
    struct partition_commits *commits;
    char *lock_path;
    int lock_fd;
    bool recovered;
};

static const struct sink_ops partition_ops, partition_append_ops;

static void partition_sink_abort(struct sink *base, bool keep_part);

static void partition_sink_close(struct sink *base)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    partition_sink_abort(base, false);
    partition_files_close(sink->files);
    partition_commits_close(sink->commits);
    lock_file_release(sink->lock_fd, sink->lock_path);
    free(sink->lock_path);
    free(sink->prefix);
    byte_sink_free(&sink->bytes);
}

/* What stands before the first expression, up to the last slash, braces unescaped. */
static char *template_prefix(struct string path)
{
    size_t end = 0;
    for (size_t i = 0; i < path.length; i++) {
        if (path.data[i] == '/')
            end = i + 1;
        if (path.data[i] != '{')
            continue;
        if (i + 1 == path.length || path.data[i + 1] != '{')
            break;
        i++;
    }
    char *prefix = memory_take(end + 1);
    size_t length = 0;
    for (size_t i = 0; prefix && i < end; i++) {
        prefix[length++] = path.data[i];
        if ((path.data[i] == '{' || path.data[i] == '}') && path.data[i + 1] == path.data[i])
            i++;
    }
    if (prefix)
        prefix[length] = 0;
    return prefix;
}

static bool partition_sink_set(struct partition_sink *sink, struct sink_context *context,
                               struct string path, struct error *error)
{
    char *text = memory_copy_text(path.data, path.length);
    size_t size = path.length + sizeof("file ");
    char *name = memory_take(size);
    sink->bytes.base.name = name;
    sink->prefix = template_prefix(path);
    sink->hash = hash_bytes(path.data, path.length, HASH_SEED);
    sink->lock_fd = -1;
    bool done = text && name && sink->prefix;
    if (!done)
        error_set(error, ERROR_MEMORY, "no memory for a sink");
    if (done) {
        memcpy(name, "file ", 5);
        memcpy(name + 5, text, path.length + 1);
        enum compression compression = compression_option(context->options, COMPRESSION_AUTO);
        if (compression == COMPRESSION_AUTO)
            compression = compression_for_path(text);
        sink->options = (struct partition_options){
            .prefix = {sink->prefix, strlen(sink->prefix)},
            .compression = compression,
            .level = (int)option_integer(context->options, "level", 0),
            .append = option_word_is(context->options, "mode", "append"),
            .open_files = context->limits.open_files,
            .memory = context->limits.memory,
        };
        done = byte_sink_format_choose(&sink->bytes, context, text, error);
    }
    free(text);
    return done;
}

bool partition_sink_open(struct sink_context *context, struct string path, struct sink **result,
                         struct error *error)
{
    struct partition_sink *sink = memory_take_zeroed(1, sizeof(*sink));
    if (!sink)
        return error_set(error, ERROR_MEMORY, "no memory for a sink");
    sink->bytes.base.ops = &partition_ops;
    sink->bytes.context = context;
    sink->lock_fd = -1;
    if (!partition_sink_set(sink, context, path, error) ||
        !buffer_open(&sink->bytes.edge, SINK_EDGE, SINK_EDGE, error)) {
        partition_sink_close(&sink->bytes.base);
        return false;
    }
    if (sink->options.append)
        sink->bytes.base.ops = &partition_append_ops;
    *result = &sink->bytes.base;
    return true;
}

/* The folder for the log and the lock, made when needed: the state folder, else the files' own. */
static bool state_folder_make(struct partition_sink *sink, struct error *error)
{
    const char *folder = sink->bytes.context->state_folder;
    size_t size = (folder ? strlen(folder) : strlen(sink->prefix)) + 2;
    char *path = memory_take(size);
    if (!path)
        return error_set(error, ERROR_MEMORY, "no memory for a path");
    snprintf(path, size, "%s%s", folder ? folder : sink->prefix, folder ? "/" : "");
    bool done = partition_prefix_make(path, error);
    size_t room = size + 64;
    char *log = done ? memory_take(room) : NULL;
    sink->lock_path = done ? memory_take(room) : NULL;
    if (log && sink->lock_path) {
        unsigned long long hash = sink->hash;
        snprintf(log, room, "%s.partitions-%016llx.leat-state", path, hash);
        snprintf(sink->lock_path, room, "%s.partitions-%016llx.leat-lock", path, hash);
        sink->commits = partition_commits_open(log, error);
    } else if (done) {
        error_set(error, ERROR_MEMORY, "no memory for a path");
    }
    free(log);
    free(path);
    return sink->commits != NULL;
}

/* Opens the folder of the files and takes the lock. */
static bool files_open(struct partition_sink *sink, struct error *error)
{
    if (!sink->files)
        sink->files = partition_files_open(&sink->options, error);
    if (!sink->files)
        return false;
    if (!sink->bytes.context->checkpoints || sink->options.append)
        return true;
    if (!sink->commits && !state_folder_make(sink, error))
        return false;
    if (sink->lock_fd < 0)
        sink->lock_fd = lock_file_take(sink->lock_path, sink->bytes.base.name, error);
    return sink->lock_fd >= 0;
}

static bool partition_sink_recover(struct sink *base, struct commit_record *record, bool *found,
                                   struct error *error)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    *found = false;
    *record = (struct commit_record){0};
    if (!files_open(sink, error))
        return false;
    sink->recovered = true; /* a log that cannot be read stays for `forget` */
    return !sink->commits ||
           partition_commits_recover(sink->commits, sink->files, record, found, error);
}

static bool partition_sink_resume(struct sink *base, uint64_t number, uint64_t epoch,
                                  struct error *error)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    bool finished = false, named = false;
    (void)epoch; /* it comes with each record */
    if (!sink->commits)
        return number == 0 || error_set(error, ERROR_STATE, "%s keeps no commits", base->name);
    if (!partition_commits_resume(sink->commits, sink->files, number, &finished, &named, error))
        return false;
    sink->ended = sink->synced = finished;
    sink->published = named;
    return true;
}

static bool partition_sink_forget(struct sink *base, struct error *error)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    return !sink->commits || partition_commits_forget(sink->commits, sink->files, error);
}

static enum sink_result partition_sink_start(struct sink *base, struct error *error)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    bool done = files_open(sink, error);
    /* Commits of a run that died, which this one did not ask for, would miss their parts. */
    if (done && sink->commits && !sink->recovered)
        done = partition_commits_forget(sink->commits, sink->files, error);
    sink->recovered = done;
    return done ? SINK_OK : SINK_FAIL;
}

static enum encode_result partition_sink_encode(struct sink *base, struct evaluator *evaluator,
                                                struct batch *batch, uint32_t first, uint32_t *done)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    (void)evaluator;
    return partition_encode(sink->bytes.context, base->format, sink->options.prefix, batch, first,
                            done);
}

static bool partition_sink_offer(struct sink *base, struct batch *batch)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    if (sink->batch || sink->bytes.failed)
        return false;
    sink->batch = batch;
    return true;
}

/* The prologue (or the epilogue) of one file. */
static bool edge_write(struct partition_sink *sink, struct partition *partition, bool prologue,
                       struct error *error)
{
    const struct format *format = sink->bytes.base.format;
    struct buffer *edge = &sink->bytes.edge;
    bool written = true;
    edge->length = 0;
    if (prologue && format->ops->prologue)
        written = format->ops->prologue(format, sink->bytes.context->shape, edge);
    else if (!prologue && format->ops->epilogue)
        written = format->ops->epilogue(format, edge);
    if (!written)
        return error_set(error, ERROR_LIMIT, "the header of %s is longer than %d bytes",
                         sink->bytes.base.name, SINK_EDGE);
    return partition_write(sink->files, partition, edge->data, edge->length, error);
}

static bool run_write(struct partition_sink *sink, struct string path, const char *data,
                      uint64_t length, struct error *error)
{
    bool is_new;
    struct partition *partition = partition_files_find(sink->files, path, &is_new, error);
    if (!partition)
        return false;
    if (is_new) {
        if (!edge_write(sink, partition, true, error))
            return false;
        size_t skip = size_min(sink->bytes.base.format->ops->first_skip, length);
        data += skip;
        length -= skip;
    }
    return partition_write(sink->files, partition, data, length, error);
}

static bool batch_write(struct partition_sink *sink, struct batch *batch, struct error *error)
{
    const struct batch_output *output = &batch->outputs[sink->bytes.context->output];
    const char *at = output->buffer.data;
    const char *end = at + output->buffer.length;
    while (at < end) {
        struct partition_run run;
        memcpy(&run, at, sizeof(run));
        at += sizeof(run);
        CHECK(run.path_length + run.length <= (uint64_t)(end - at));
        if (!run_write(sink, (struct string){at, run.path_length}, at + run.path_length, run.length,
                       error))
            return false;
        at += run.path_length + run.length;
    }
    sink->bytes.base.records_written += output->records;
    __atomic_store_n(&sink->bytes.base.bytes_written, partition_files_written(sink->files),
                     __ATOMIC_RELAXED);
    return true;
}

static enum sink_result partition_sink_take(struct sink *base, struct batch **batch,
                                            struct error *error)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    if (sink->bytes.failed) {
        *error = sink->bytes.error;
        return SINK_FAIL;
    }
    if (!sink->batch)
        return SINK_WAIT;
    if (!batch_write(sink, sink->batch, error)) {
        sink->bytes.failed = true;
        sink->bytes.error = *error;
        return SINK_FAIL;
    }
    *batch = sink->batch;
    sink->batch = NULL;
    return SINK_OK;
}

static bool epilogue_visit(void *context, struct partition *partition, struct error *error)
{
    return edge_write(context, partition, false, error);
}

static enum sink_result partition_sink_commit(struct sink *base, const struct commit_record *record,
                                              struct error *error)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    if (sink->synced)
        return SINK_OK;
    bool done = true;
    if (record->final && !sink->ended && base->format->ops->epilogue)
        done = partition_files_each(sink->files, epilogue_visit, sink, error);
    sink->ended = sink->ended || record->final;
    if (sink->commits)
        done = done && partition_commits_add(sink->commits, sink->files, record, error);
    else
        done = done && partition_files_sync(sink->files, error);
    sink->synced = done && record->final;
    __atomic_store_n(&base->bytes_written, partition_files_written(sink->files), __ATOMIC_RELAXED);
    return done ? SINK_OK : SINK_FAIL;
}

static enum sink_result partition_sink_publish(struct sink *base,
                                               const struct commit_record *record,
                                               struct error *error)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    struct commit_record last = *record;
    last.final = true;
    if (sink->published)
        return SINK_OK;
    if (partition_sink_commit(base, &last, error) != SINK_OK)
        return SINK_FAIL;
    sink->published = partition_files_publish(sink->files, error) &&
                      (!sink->commits || partition_commits_done(sink->commits, error));
    return sink->published ? SINK_OK : SINK_FAIL;
}

static void partition_sink_abort(struct sink *base, bool keep_part)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    bool stands = sink->commits && partition_commits_stand(sink->commits);
    if (!sink->published && !keep_part && !stands && sink->files)
        partition_files_abort(sink->files);
    else if (sink->files)
        partition_files_drop(sink->files);
    sink->published = true; /* nothing is left to do */
}

static struct batch *partition_sink_reclaim(struct sink *base)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    struct batch *batch = sink->batch;
    sink->batch = NULL;
    return batch;
}

/* What is appended to keeps no commits: others write there too. */
static const struct sink_ops partition_append_ops = {
    .noun = &file_sink_noun,
    .traits = SINK_BLOCKING,
    .open = NULL,
    .encode = partition_sink_encode,
    .start = partition_sink_start,
    .offer = partition_sink_offer,
    .take = partition_sink_take,
    .commit = partition_sink_commit,
    .publish = partition_sink_publish,
    .abort = partition_sink_abort,
    .reclaim = partition_sink_reclaim,
    .close = partition_sink_close,
};

static const struct sink_ops partition_ops = {
    .noun = &file_sink_noun,
    .traits = SINK_BLOCKING | SINK_RECOVERABLE,
    .open = NULL,
    .recover = partition_sink_recover,
    .resume = partition_sink_resume,
    .forget = partition_sink_forget,
    .encode = partition_sink_encode,
    .start = partition_sink_start,
    .offer = partition_sink_offer,
    .take = partition_sink_take,
    .commit = partition_sink_commit,
    .publish = partition_sink_publish,
    .abort = partition_sink_abort,
    .reclaim = partition_sink_reclaim,
    .close = partition_sink_close,
};
