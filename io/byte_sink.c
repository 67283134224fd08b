/* The part that sinks of encoded bytes share: see byte_sink.h. */
#include "io/byte_sink.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"

bool byte_sink_format_choose(struct byte_sink *sink, struct sink_context *context, const char *path,
                             struct error *error)
{
    struct string name = {0};
    if (context->options)
        name = option_text(context->options, "format", NULL);
    if (!name.data && context->format_name)
        name = (struct string){context->format_name, strlen(context->format_name)};
    const struct format_ops *ops = NULL;
    if (name.data) {
        ops = format_find(context->formats, name);
        const char *nearest = ops ? NULL : format_nearest(context->formats, name);
        if (!ops)
            return error_set(error, ERROR_PROGRAM, "there is no format %.*s%s%s%s",
                             (int)name.length, name.data, nearest ? ": did you mean " : "",
                             nearest ? nearest : "", nearest ? "?" : "");
    } else {
        ops = path ? format_for_path(context->formats, path) : NULL;
        if (!ops && context->source_format) {
            sink->base.format = context->source_format;
            return true;
        }
        if (!ops)
            ops = format_find(context->formats, STRING("ndjson"));
    }
    if (!ops)
        return error_set(error, ERROR_PROGRAM, "no format to write %s in: give it (--to ndjson)",
                         path ? path : "stdout");
    /* A format without options has one dialect: sharing the source's tells that it is the same. */
    bool has_options = ops->noun->options && ops->noun->options[0].name;
    if (context->source_format && context->source_format->ops == ops && !has_options) {
        sink->base.format = context->source_format;
        return true;
    }
    if (!ops->open(context->options, &sink->owned_format, error))
        return false;
    sink->base.format = sink->owned_format;
    return true;
}

bool byte_sink_prepare(struct byte_sink *sink, struct error *error)
{
    for (int i = 0; i < 2; i++) {
        sink->gather[i] = memory_take(SINK_GATHER);
        if (!sink->gather[i])
            return error_set(error, ERROR_MEMORY, "no memory for writing %s", sink->base.name);
    }
    sink->skip = sink->base.format->ops->first_skip;
    return buffer_open(&sink->edge, SINK_EDGE, SINK_EDGE, error);
}

bool byte_sink_encoder_start(struct byte_sink *sink, struct error *error)
{
    if (sink->compression == COMPRESSION_NONE)
        return true;
    const struct sink_context *context = sink->context;
    struct encoder_limits limits = {.threads = context->limits.encoders,
                                    .memory = context->limits.memory};
    if (context->options)
        limits.level = (int)size_min((size_t)option_integer(context->options, "level", 0), 22);
    if (sink->compression == COMPRESSION_GZIP && limits.level > 9)
        limits.level = 9;
    sink->encoder = encoder_open(sink->compression, &limits, context->engine, error);
    return sink->encoder || error_add_context(error, "cannot write %s", sink->base.name);
}

/* Hands what is gathered to the writer. False: no room there. */
static bool gather_flush(struct byte_sink *sink)
{
    if (sink->gather_length == 0)
        return true;
    unsigned current = sink->gather_current;
    if (!writer_has_room(&sink->writer) || sink->gather_busy[!current])
        return false;
    writer_push(&sink->writer, sink->gather[current], sink->gather_length, sink->gather[current]);
    sink->gather_busy[current] = true;
    sink->gather_current = !current;
    sink->gather_length = 0;
    return true;
}

/* Copies bytes behind what is gathered. False: no room; nothing was copied. */
static bool gather_add(struct byte_sink *sink, const char *data, size_t length)
{
    if (length > SINK_GATHER - sink->gather_length && !gather_flush(sink))
        return false;
    if (sink->gather_busy[sink->gather_current])
        return false;
    memcpy(sink->gather[sink->gather_current] + sink->gather_length, data, length);
    sink->gather_length += length;
    return true;
}

/* The bytes of a batch that are to be written. */
static struct string output_bytes(const struct byte_sink *sink, const struct batch *batch)
{
    const struct batch_output *output = &batch->outputs[sink->context->output];
    if (output->borrowed)
        return (struct string){batch->text + batch->part_start,
                               batch->part_end - batch->part_start};
    return (struct string){output->buffer.data, output->buffer.length};
}

/* Puts bytes on their way; *copied: they are no longer needed, else their owner comes back from the
 * writer. False: no room, nothing was taken. */
static bool bytes_add(struct byte_sink *sink, struct string bytes, void *owner, bool *copied)
{
    *copied = true;
    if (bytes.length == 0)
        return true;
    /* A stream's reader waits: nothing is held back for it, and one write gathers by itself. */
    if (!sink->writer.is_stream && bytes.length < SINK_GATHER_BELOW)
        return gather_add(sink, bytes.data, bytes.length);
    if (!gather_flush(sink) || !writer_has_room(&sink->writer))
        return false;
    writer_push(&sink->writer, bytes.data, bytes.length, owner);
    *copied = false;
    return true;
}

/* Writes the prologue (or, at the end, the epilogue) once. False: no room yet, or failed. */
static bool edge_add(struct byte_sink *sink, bool prologue)
{
    const struct format *format = sink->base.format;
    if (sink->writer.is_stream && !writer_is_empty(&sink->writer))
        return false; /* the other edge may be on its way from the same buffer */
    sink->edge.length = 0;
    bool written = true;
    if (prologue && format->ops->prologue && !sink->continues)
        written = format->ops->prologue(format, sink->context->shape, &sink->edge);
    else if (!prologue && format->ops->epilogue)
        written = format->ops->epilogue(format, &sink->edge);
    if (!written) {
        sink->failed = true;
        return error_set(&sink->error, ERROR_LIMIT, "the header of %s is longer than %d bytes",
                         sink->base.name, SINK_EDGE);
    }
    if (sink->edge.length == 0)
        return true;
    if (sink->encoder)
        return encoder_room(sink->encoder) >= sink->edge.length &&
               encoder_add(sink->encoder, sink->edge.data, sink->edge.length) == sink->edge.length;
    if (!sink->writer.is_stream)
        return gather_add(sink, sink->edge.data, sink->edge.length);
    if (!writer_has_room(&sink->writer))
        return false;
    writer_push(&sink->writer, sink->edge.data, sink->edge.length, NULL);
    return true;
}

bool byte_sink_offer(struct sink *base, struct batch *batch)
{
    struct byte_sink *sink = (struct byte_sink *)base;
    CHECK(!sink->ended);
    if (sink->failed || sink->order_count == SINK_OFFERS)
        return false;
    if (!sink->begun && !(sink->begun = edge_add(sink, true)))
        return false;
    struct string bytes = output_bytes(sink, batch);
    uint32_t skip = (uint32_t)size_min(sink->skip, bytes.length);
    bytes.data += skip;
    bytes.length -= skip;
    unsigned index = (sink->order_first + sink->order_count) % SINK_OFFERS;
    bool copied = false;
    sink->order[index].encoded = skip;
    if (!sink->encoder && !bytes_add(sink, bytes, &sink->order[index], &copied))
        return false;
    sink->skip -= skip;
    sink->order[index].batch = batch;
    sink->order[index].done = copied;
    sink->order_count++;
    sink->base.records_written += batch->outputs[sink->context->output].records;
    return true;
}

/* Moves content from the batches into the encoder and its blocks to the writer, as far as there is
 * room. */
static void encoder_pump(struct byte_sink *sink)
{
    for (unsigned i = 0; i < sink->order_count; i++) {
        unsigned index = (sink->order_first + i) % SINK_OFFERS;
        if (sink->order[index].done)
            continue;
        struct string bytes = output_bytes(sink, sink->order[index].batch);
        size_t *encoded = &sink->order[index].encoded;
        *encoded += encoder_add(sink->encoder, bytes.data + *encoded, bytes.length - *encoded);
        if (*encoded < bytes.length)
            break;
        sink->order[index].done = true;
    }
    const char *data;
    size_t length;
    void *handle;
    bool failed = false;
    while (writer_has_room(&sink->writer) &&
           encoder_next(sink->encoder, &data, &length, &handle, &failed, &sink->error))
        writer_push(&sink->writer, data, length, handle);
    sink->failed = sink->failed || failed;
}

/* Takes back what the writer is done with. */
static void written_collect(struct byte_sink *sink)
{
    void *owner;
    while (writer_pop(&sink->writer, &owner)) {
        if (sink->encoder && encoder_owns(sink->encoder, owner)) {
            encoder_release(sink->encoder, owner);
            continue;
        }
        for (int i = 0; i < 2; i++) {
            if (owner == sink->gather[i])
                sink->gather_busy[i] = false;
        }
        for (unsigned i = 0; i < SINK_OFFERS; i++) {
            if (owner == &sink->order[i])
                sink->order[i].done = true;
        }
    }
    __atomic_store_n(&sink->base.bytes_written, sink->writer.written, __ATOMIC_RELAXED);
}

static enum sink_result sink_step(struct byte_sink *sink, struct error *error)
{
    if (sink->encoder && !sink->failed)
        encoder_pump(sink);
    enum writer_result result = writer_step(&sink->writer);
    written_collect(sink);
    if (result == WRITER_FAIL && !sink->failed) {
        sink->failed = true;
        sink->error = sink->writer.error;
    }
    if (sink->failed) {
        *error = sink->error;
        return SINK_FAIL;
    }
    return result == WRITER_CLOSED ? SINK_CLOSED : SINK_OK;
}

static struct batch *order_pop(struct byte_sink *sink)
{
    struct batch *batch = sink->order[sink->order_first].batch;
    sink->order_first = (sink->order_first + 1) % SINK_OFFERS;
    sink->order_count--;
    return batch;
}

enum sink_result byte_sink_take(struct sink *base, struct batch **batch, struct error *error)
{
    struct byte_sink *sink = (struct byte_sink *)base;
    enum sink_result result = sink_step(sink, error);
    if (result != SINK_OK)
        return result;
    if (sink->order_count > 0 && !sink->order[sink->order_first].done && sink->encoder)
        encoder_pump(sink); /* what was just written may have made room */
    if (sink->order_count == 0 || !sink->order[sink->order_first].done)
        return SINK_WAIT;
    *batch = order_pop(sink);
    return SINK_OK;
}

enum sink_result byte_sink_finish(struct byte_sink *sink, bool final, struct error *error)
{
    if (!sink->failed && !sink->begun && final) /* before, the columns may not be known yet */
        sink->begun = edge_add(sink, true);
    if (!sink->failed && sink->begun && final && !sink->ended)
        sink->ended = edge_add(sink, false);
    bool flushed = !sink->failed && gather_flush(sink);
    if (sink->encoder && !sink->failed && sink->ended)
        flushed = encoder_end(sink->encoder) && flushed;
    enum sink_result result = sink_step(sink, error);
    if (result != SINK_OK)
        return result;
    bool done = flushed && (sink->ended || !final) && writer_is_empty(&sink->writer);
    if (sink->encoder)
        done = done && encoder_is_empty(sink->encoder);
    return done ? SINK_OK : SINK_WAIT;
}

void byte_sink_halt(struct byte_sink *sink)
{
    if (sink->writer_open)
        writer_close(&sink->writer);
    sink->writer_open = false;
    encoder_close(sink->encoder);
    sink->encoder = NULL;
}

struct batch *byte_sink_reclaim(struct sink *base)
{
    struct byte_sink *sink = (struct byte_sink *)base;
    byte_sink_halt(sink);
    return sink->order_count > 0 ? order_pop(sink) : NULL;
}

void byte_sink_free(struct byte_sink *sink)
{
    CHECK(sink->order_count == 0);
    byte_sink_halt(sink);
    if (sink->owned_format)
        sink->owned_format->ops->close(sink->owned_format);
    buffer_close(&sink->edge);
    free(sink->gather[0]);
    free(sink->gather[1]);
    free((char *)sink->base.name);
    free(sink);
}
