/* The sink of partitions: see partition_sink.h. encode runs on any worker, open on the main thread,
 * the rest on the sink's own thread, where it may block. */
#include "io/partition_sink.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "io/byte_sink.h"
#include "io/file_sink.h"
#include "io/partition_files.h"

struct partition_sink {
    struct byte_sink bytes; /* format and name; it writes nothing itself */
    struct partition_files *files;
    struct partition_options options;
    char *prefix;
    struct batch *batch; /* offered, to be written by take */
    bool ended;
    bool synced;
    bool published;
};

static const struct sink_ops partition_ops;

static void partition_sink_close(struct sink *base)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    if (sink->files && !sink->published)
        partition_files_abort(sink->files);
    partition_files_close(sink->files);
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
    if (!partition_sink_set(sink, context, path, error) ||
        !buffer_open(&sink->bytes.edge, SINK_EDGE, SINK_EDGE, error)) {
        partition_sink_close(&sink->bytes.base);
        return false;
    }
    *result = &sink->bytes.base;
    return true;
}

static enum sink_result partition_sink_start(struct sink *base, struct error *error)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    sink->files = partition_files_open(&sink->options, error);
    return sink->files ? SINK_OK : SINK_FAIL;
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
    struct commit_record last = {.final = true};
    (void)record;
    if (sink->published)
        return SINK_OK;
    if (partition_sink_commit(base, &last, error) != SINK_OK)
        return SINK_FAIL;
    sink->published = partition_files_publish(sink->files, error);
    return sink->published ? SINK_OK : SINK_FAIL;
}

static void partition_sink_abort(struct sink *base, bool keep_part)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    if (!sink->published && !keep_part && sink->files)
        partition_files_abort(sink->files);
    sink->published = true; /* nothing is left to do */
}

static struct batch *partition_sink_reclaim(struct sink *base)
{
    struct partition_sink *sink = (struct partition_sink *)base;
    struct batch *batch = sink->batch;
    sink->batch = NULL;
    return batch;
}

static const struct sink_ops partition_ops = {
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
