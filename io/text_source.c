/* The operations that the sources of text share: see text_source.h. open runs on the main thread,
 * everything else on the source's. */
#include "io/text_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/fault.h"

#define DEFAULT_FORMAT "ndjson"
#define TURNS_MAX      16 /* slots taken in one step that make no batch */

/* The format that the inputs' names tell; they must agree. */
static const struct format_ops *format_infer(const struct text_source *source,
                                             const struct source_context *context,
                                             struct error *error)
{
    const struct format_ops *found = NULL;
    const char *found_name = NULL;
    for (uint32_t i = 0; i < source->base.input_count; i++) {
        const char *name = source->base.inputs[i].name;
        const struct format_ops *ops = format_for_path(context->formats, name);
        if (!ops && (source->text_inputs[i].stream || source->text_inputs[i].keep_open))
            ops = format_find(context->formats, STRING(DEFAULT_FORMAT));
        if (!ops) {
            error_set(error, ERROR_PROGRAM,
                      "cannot tell the format of %s from its name: give it (--from csv, or "
                      "{ format csv })",
                      name);
            return NULL;
        }
        if (found && found != ops) {
            error_set(error, ERROR_PROGRAM,
                      "%s is %s, but %s is %s: give the format of both, or read them with a `from` "
                      "each",
                      found_name, found->noun->name, name, ops->noun->name);
            return NULL;
        }
        found = ops;
        found_name = name;
    }
    return found ? found : format_find(context->formats, STRING(DEFAULT_FORMAT));
}

static bool format_choose(struct text_source *source, const struct source_context *context,
                          struct error *error)
{
    struct string name = {0};
    if (context->options)
        name = option_text(context->options, "format", NULL);
    if (!name.data && context->format_name)
        name = (struct string){context->format_name, strlen(context->format_name)};
    const struct format_ops *ops;
    if (name.data) {
        ops = format_find(context->formats, name);
        const char *nearest = ops ? NULL : format_nearest(context->formats, name);
        if (!ops)
            error_set(error, ERROR_PROGRAM, "there is no format %.*s%s%s%s", (int)name.length,
                      name.data, nearest ? ": did you mean " : "", nearest ? nearest : "",
                      nearest ? "?" : "");
    } else {
        ops = format_infer(source, context, error);
    }
    if (!ops || !ops->open(context->options, &source->format, error))
        return false;
    source->base.format = source->format;
    return true;
}

/* The test's knob: how long a read may be. */
static size_t read_size_limit(void)
{
    const char *text = getenv("LEAT_READ_SIZE");
    if (!text)
        return SIZE_MAX;
    char *end;
    unsigned long long size = strtoull(text, &end, 10);
    return *end || size == 0 ? SIZE_MAX : (size_t)size;
}

static bool limits_set(struct text_source *source, struct source_context *context,
                       struct error *error)
{
    source->limits = context->limits;
    CHECK(source->limits.batch_text > 0 && source->limits.record_limit > 0);
    if (context->options)
        source->limits.timeout =
            option_integer(context->options, "timeout", context->limits.timeout);
    source->read_limit = read_size_limit();
    source->slot_limit = source->limits.head ? 1 : TEXT_SLOTS;
    source->carry_capacity = text_span(source) + (TEXT_SLOTS + 1) * source->limits.batch_text;
    source->carry = memory_take(source->carry_capacity + BATCH_PADDING);
    return source->carry || error_set(error, ERROR_MEMORY, "no memory for reading");
}

/* The first bytes of an input's content, into carry. Returns how many, or -1. */
static int64_t first_bytes_read(struct text_source *source, uint32_t index, size_t length,
                                struct error *error)
{
    const struct text_input *text_input = &source->text_inputs[index];
    const struct input *input = &source->base.inputs[index];
    enum compression compression = text_input->compression;
    if (compression == COMPRESSION_AUTO &&
        !text_compression_detect(text_input->fd, text_input->start, &compression, input->name,
                                 error))
        return -1;
    if (compression != COMPRESSION_NONE) {
        struct decoder_limits limits = text_decoder_limits(source);
        return decoder_peek(compression, text_input->fd, text_input->start, input->name, &limits,
                            source->carry, length, error);
    }
    int64_t got = file_read(text_input->fd, source->carry, length, text_input->start);
    if (got >= 0)
        return got;
    error_set_errno(error, (int)-got, "cannot read %s", input->name);
    return -1;
}

bool text_header_read(struct text_source *source, uint32_t index, struct error *error)
{
    struct text_input *text_input = &source->text_inputs[index];
    struct input *input = &source->base.inputs[index];
    if (text_input->stream)
        return true; /* would have to wait for it */
    if (text_input->fd < 0)
        text_input->fd = text_input_open(source, index, error);
    if (text_input->fd < 0)
        return false;
    size_t span = text_span(source);
    for (size_t length = size_min(span, 64 * 1024);; length = size_min(span, length * 4)) {
        int64_t got = first_bytes_read(source, index, length, error);
        if (got < 0)
            return false;
        struct cut_state state = {0};
        size_t consumed = 0;
        enum head_result result = source->format->ops->head(
            source->format, source->carry, (size_t)got, (size_t)got < length, &state, &consumed,
            &input->names, error);
        if (result == HEAD_DONE)
            return true;
        if (result == HEAD_FAIL)
            return error_add_context(error, "%s", input->name);
        if (length == span)
            return error_set(error, ERROR_TOO_LONG, "%s: no end of its header in %zu bytes",
                             input->name, length);
    }
}

bool text_input_add(struct text_source *source, struct input input, struct text_input text_input,
                    struct error *error)
{
    uint32_t count = source->base.input_count;
    if ((count & (count + 1)) == 0) { /* room for 1, 3, 7, … : doubled when full */
        size_t room = 2 * (size_t)count + 1;
        void *inputs = memory_resize(source->base.inputs, room * sizeof(struct input));
        if (inputs)
            source->base.inputs = inputs;
        void *text_inputs = memory_resize(source->text_inputs, room * sizeof(struct text_input));
        if (text_inputs)
            source->text_inputs = text_inputs;
        if (!inputs || !text_inputs)
            return error_set(error, ERROR_MEMORY, "no memory for a list of %zu files", room);
    }
    char *name = memory_copy_text(input.name, strlen(input.name));
    if (!name)
        return error_set(error, ERROR_MEMORY, "no memory for the name %s", input.name);
    input.name = name;
    source->base.inputs[count] = input;
    source->text_inputs[count] = text_input;
    source->base.input_count++;
    return true;
}

bool text_source_open(struct text_source *source, struct source_context *context,
                      struct error *error)
{
    source->context = context;
    source->fd = -1;
    bool known = true;
    for (uint32_t i = 0; i < source->base.input_count; i++) {
        source->base.bytes_total += source->base.inputs[i].size - source->text_inputs[i].start;
        known = known && !source->text_inputs[i].stream;
        source->base.endless = source->base.endless || source->text_inputs[i].stream;
    }
    if (!known)
        source->base.bytes_total = 0;
    source->base.replayable = known;
    return limits_set(source, context, error) && format_choose(source, context, error) &&
           (source->base.input_count == 0 || text_header_read(source, 0, error));
}

bool text_source_offer(struct source *base, struct batch *batch)
{
    struct text_source *source = (struct text_source *)base;
    if (source->offered == TEXT_OFFERS || source->failed)
        return false;
    CHECK(batch->text_capacity >= source->limits.batch_text);
    batch->next = source->idle;
    source->idle = batch;
    source->offered++;
    return true;
}

enum source_result text_source_take(struct source *base, struct batch **batch, struct error *error)
{
    struct text_source *source = (struct text_source *)base;
    enum source_result result = SOURCE_FAIL;
    if (!source->failed) {
        text_reader_collect(source);
        (void)text_reader_start(source); /* a failure comes out behind what was read */
        result = text_cutter_take(source, batch);
        /* What the cutter took makes room to read on; without progress it waits for the runtime. */
        for (unsigned turn = 0;
             result == SOURCE_WAIT && text_reader_start(source) && text_reader_ready(source);
             turn++) {
            if (turn == TURNS_MAX) { /* a record without end: a stop is to be heard */
                io_engine_wake(source->context->engine);
                break;
            }
            uint32_t first = source->slot_first;
            result = text_cutter_take(source, batch);
            if (source->slot_first == first && source->slot_count > 0)
                break;
        }
    }
    if (result == SOURCE_FAIL) {
        source->failed = true;
        *error = source->error;
    }
    return result;
}

void text_source_stop(struct source *base)
{
    struct text_source *source = (struct text_source *)base;
    source->stopping = true;
    text_reader_stop(source);
}

struct batch *text_source_reclaim(struct source *base)
{
    struct text_source *source = (struct text_source *)base;
    source->failed = source->failed || !source->stopping;
    if (source->held) {
        source->held->next = source->idle;
        source->idle = source->held;
        source->held = NULL;
    }
    if (!source->idle && source->slot_count > 0) {
        text_reader_drain(source);
        text_reader_release(source, &source->slots[source->slot_first], true);
    }
    struct batch *batch = source->idle;
    if (batch) {
        source->idle = batch->next;
        batch->next = NULL;
        source->offered--;
    } else if (source->context->engine) {
        text_reader_drain(source); /* a decoder that reads ahead must not outlive the engine */
    }
    return batch;
}

void text_source_close(struct source *base)
{
    struct text_source *source = (struct text_source *)base;
    CHECK(source->slot_count == 0); /* reclaimed, or never offered */
    text_reader_close(source);
    if (source->format)
        source->format->ops->close(source->format);
    for (uint32_t i = 0; i < base->input_count; i++) {
        free(base->inputs[i].names);
        free((char *)base->inputs[i].name);
    }
    for (uint32_t i = 0; i < source->retired_count; i++) {
        free(source->retired[i].names);
        free((char *)source->retired[i].name);
    }
    free(source->retired);
    free(base->inputs);
    free(source->text_inputs);
    free(source->carry);
    free(source);
}
