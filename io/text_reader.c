/* The reading side of the sources of text: see text_source.h. Opens one input after another and
 * fills slots in order, a few at a time. The source's thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "io/text_source.h"

static struct input *reading_input(struct text_source *source)
{
    return &source->base.inputs[source->reading];
}

static void bytes_count(struct text_source *source, struct slot *slot, uint64_t bytes)
{
    slot->raw_bytes += bytes;
    uint64_t done = source->base.bytes_done + bytes;
    __atomic_store_n(&source->base.bytes_done, done, __ATOMIC_RELAXED);
    source->progress = clock_monotonic();
}

static void slot_fail_read(struct text_source *source, struct slot *slot, int os_errno)
{
    error_set_errno(&slot->error, os_errno, "cannot read %s",
                    source->base.inputs[slot->input].name);
    slot->failed = true;
    slot->done = true;
}

bool text_compression_detect(int fd, uint64_t start, enum compression *compression,
                             const char *name, struct error *error)
{
    char magic[COMPRESSION_MAGIC];
    int64_t got = file_read(fd, magic, sizeof(magic), start);
    if (got < 0)
        return error_set_errno(error, (int)-got, "cannot read %s", name);
    *compression = compression_detect(magic, (size_t)got);
    return true;
}

struct decoder_limits text_decoder_limits(const struct text_source *source)
{
    return (struct decoder_limits){.threads = source->limits.decoders,
                                   .memory = source->limits.decoder_memory,
                                   .read_size = source->read_limit,
                                   .timeout = source->limits.timeout};
}

/* The input being read is compressed: from here on a decoder reads it, behind `prefix`. */
static bool decoder_start(struct text_source *source, struct string prefix)
{
    const struct text_input *text_input = &source->text_inputs[source->reading];
    const struct input *input = reading_input(source);
    struct decoder_limits limits = text_decoder_limits(source);
    uint64_t start = text_input->stream ? IO_NO_OFFSET
                     : input->at.frame  ? input->at.frame
                                        : text_input->start;
    limits.end = text_input->stream ? 0 : input->size;
    source->decoder = decoder_open(source->detect, source->fd, start, prefix, input->name, &limits,
                                   source->context->engine, &source->error);
    if (source->decoder && input->at.offset > 0)
        decoder_seek(source->decoder, input->at.frame_offset, input->at.offset);
    return source->decoder != NULL;
}

/* A file is what it was when the run began: what grew since is not read. */
static bool size_check(struct text_source *source, const struct input *input)
{
    struct stat status;
    if (fstat(source->fd, &status) != 0)
        return error_set_errno(&source->error, errno, "cannot look at %s", input->name);
    if ((uint64_t)status.st_size >= input->size)
        return true;
    return error_set(&source->error, ERROR_TRUNCATED,
                     "%s is %llu bytes long, was %llu when the run began: something cut it",
                     input->name, (unsigned long long)status.st_size,
                     (unsigned long long)input->size);
}

/* Opens the input to be read next. False: source->error. */
static bool input_open(struct text_source *source)
{
    struct text_input *text_input = &source->text_inputs[source->reading];
    struct input *input = reading_input(source);
    source->fd = text_input->fd;
    if (source->fd < 0 && text_input->stream) /* opening a FIFO would wait for its writer, and hear
                                                 neither a timeout nor a signal */
        source->fd = file_open(input->name, O_RDONLY | O_NONBLOCK, 0, &source->error);
    else if (source->fd < 0)
        source->fd = text_input_open(source, source->reading, &source->error);
    if (source->fd < 0)
        return false;
    text_input->fd = -1;
    source->reading_open = true;
    if (!text_input->stream && !size_check(source, input))
        return false;
    source->read_offset = text_input->start + input->at.offset;
    source->read_end = input->size > source->read_offset ? input->size : source->read_offset;
    source->stream_dry = false;
    source->progress = clock_monotonic();
    source->detect = text_input->compression;
    if (text_input->stream) {
        stream_open(&source->stream, source->fd, false);
        return source->detect == COMPRESSION_NONE || source->detect == COMPRESSION_AUTO ||
               decoder_start(source, (struct string){0});
    }
    if (source->detect == COMPRESSION_AUTO &&
        !text_compression_detect(source->fd, text_input->start, &source->detect, input->name,
                                 &source->error))
        return false;
    return source->detect == COMPRESSION_NONE || decoder_start(source, (struct string){0});
}

/* Everything of the input being read is in slots, `slot` being the last: reading goes on with the
 * next input while this one's reads are still in flight. */
static void input_leave(struct text_source *source, struct slot *slot)
{
    struct text_input *text_input = &source->text_inputs[source->reading];
    if (text_input->stream)
        stream_close(&source->stream);
    decoder_close(source->decoder);
    source->decoder = NULL;
    slot->closes = !text_input->keep_open;
    source->fd = -1;
    source->reading_open = false;
    do
        source->reading++;
    while (source->reading < source->base.input_count && source->text_inputs[source->reading].skip);
}

static struct slot *slot_add(struct text_source *source)
{
    struct slot *slot = &source->slots[(source->slot_first + source->slot_count) % TEXT_SLOTS];
    source->slot_count++;
    *slot = (struct slot){.batch = source->idle, .input = source->reading, .fd = source->fd};
    source->idle = source->idle->next;
    slot->batch->next = NULL;
    slot->want = size_min(source->limits.batch_text, source->read_limit);
    return slot;
}

static void file_read_submit(struct text_source *source, struct slot *slot, uint64_t offset)
{
    slot->request.kind = IO_READ;
    slot->request.fd = slot->fd;
    slot->request.offset = offset;
    slot->request.buffer = slot_text(slot) + slot->filled;
    slot->request.length = slot->want - slot->filled;
    slot->request.owner = slot;
    /* An engine belongs to one actor and is deeper than our slots. */
    CHECK(io_engine_submit(source->context->engine, &slot->request));
}

static void file_slot_start(struct text_source *source)
{
    struct slot *slot = slot_add(source);
    uint64_t left = source->read_end - source->read_offset;
    if (slot->want >= left) {
        slot->want = (size_t)left;
        slot->last = true;
    }
    uint64_t offset = source->read_offset;
    source->read_offset += slot->want;
    if (slot->want == 0)
        slot->done = true;
    else
        file_read_submit(source, slot, offset);
    if (slot->last)
        input_leave(source, slot);
}

static void decoder_slot_start(struct text_source *source, struct slot *slot)
{
    slot->task = (struct decoder_task){.buffer = slot_text(slot) + slot->filled,
                                       .length = slot->want - slot->filled};
    slot->decoding = true;
    decoder_submit(source->decoder, &slot->task);
}

/* A task that is done becomes the slot's content. */
static void decoder_slot_complete(struct text_source *source, struct slot *slot)
{
    slot->decoding = false;
    slot->done = true;
    slot->filled += slot->task.filled;
    slot->frame = slot->task.frame;
    slot->frame_offset = slot->task.frame_offset;
    slot->last = slot->task.last;
    slot->surplus = slot->task.surplus;
    slot->failed = slot->task.failed;
    slot->error = slot->task.error;
    bytes_count(source, slot, slot->task.raw_bytes);
}

/* Takes what the decoder has done, in order; behind the end of the content comes the next input. */
static void decoder_collect(struct text_source *source)
{
    for (unsigned i = 0; i < source->slot_count; i++) {
        struct slot *slot = &source->slots[(source->slot_first + i) % TEXT_SLOTS];
        if (!slot->decoding)
            continue;
        if (!decoder_task_done(&slot->task))
            return;
        decoder_slot_complete(source, slot);
        if (slot->last)
            input_leave(source, slot); /* ends all tasks: those that follow are surplus */
    }
}

/* A completion of a read at an offset: all, some, nothing (the file became shorter), an error. */
static void file_read_complete(struct text_source *source, struct slot *slot)
{
    int64_t result = slot->request.result;
    if (result == -EINTR || result == -EAGAIN)
        result = 0;
    else if (result < 0) {
        slot_fail_read(source, slot, (int)-result);
        return;
    } else if (result == 0) {
        const struct input *input = &source->base.inputs[slot->input];
        error_set(
            &slot->error, ERROR_TRUNCATED,
            "%s ends at byte %llu, was %llu bytes long when opened: something cut it while it "
            "was read",
            input->name, (unsigned long long)slot->request.offset, (unsigned long long)input->size);
        slot->failed = true;
        slot->done = true;
        return;
    }
    bytes_count(source, slot, (uint64_t)result);
    slot->filled += (size_t)result;
    if (slot->filled == slot->want)
        slot->done = true;
    else
        file_read_submit(source, slot, slot->request.offset + (uint64_t)result);
}

static void stream_poll(struct text_source *source, struct slot *slot)
{
    slot->request.kind = IO_POLL_IN;
    slot->request.fd = source->stream.fd;
    slot->request.owner = slot;
    CHECK(io_engine_submit(source->context->engine, &slot->request));
}

static bool stream_timed_out(struct text_source *source, struct slot *slot)
{
    int64_t timeout = source->limits.timeout;
    if (timeout == 0 || clock_monotonic() - source->progress < timeout)
        return false;
    error_set(&slot->error, ERROR_TIMEOUT, "no data from %s for %.3g s (timeout of the source)",
              source->base.inputs[slot->input].name, (double)timeout / NANOSECONDS);
    slot->failed = true;
    slot->done = true;
    return true;
}

/* Once the first bytes of a stream are there: how it is compressed. True: a decoder has taken over.
 */
static bool stream_detect(struct text_source *source, struct slot *slot)
{
    if (slot->filled == 0 ||
        (slot->filled < COMPRESSION_MAGIC && compression_possible((unsigned char)*slot_text(slot))))
        return false;
    source->detect = compression_detect(slot_text(slot), slot->filled);
    if (source->detect == COMPRESSION_NONE) {
        slot->done = slot->filled >= slot->want;
        return false;
    }
    struct string prefix = {slot_text(slot), slot->filled};
    if (decoder_start(source, prefix)) {
        slot->filled = 0;
        decoder_slot_start(source, slot);
    } else {
        slot->failed = true;
        slot->done = true;
        slot->error = source->error;
    }
    return true;
}

/* Reads what is there until it would block or the batch is full, and passes on what it has. */
static void stream_fill(struct text_source *source, struct slot *slot)
{
    while (!slot->done && !slot->request.pending) {
        if (source->detect == COMPRESSION_AUTO && stream_detect(source, slot))
            return;
        if (source->stream_dry) {
            source->stream_dry = false;
            if (slot->filled > 0 && source->detect == COMPRESSION_NONE)
                slot->done = true;
            else if (!stream_timed_out(source, slot))
                stream_poll(source, slot);
            return;
        }
        bool detecting = source->detect == COMPRESSION_AUTO;
        if (!detecting && slot->filled >= slot->want) { /* what was looked at filled the batch */
            slot->done = true;
            return;
        }
        size_t want = detecting ? size_max(slot->want, COMPRESSION_MAGIC) : slot->want;
        size_t length = size_min(want - slot->filled, source->read_limit);
        int64_t got = stream_read(&source->stream, slot_text(slot) + slot->filled, length);
        if (got < 0 && got != -EAGAIN) {
            slot_fail_read(source, slot, (int)-got);
        } else if (got == 0) {
            slot->last = true;
            slot->done = true;
        } else if (got > 0) {
            bytes_count(source, slot, (uint64_t)got);
            slot->filled += (size_t)got;
            slot->done = slot->filled >= slot->want && !detecting;
        }
        source->stream_dry = got < (int64_t)length; /* a short read took all there was */
    }
}

/* The oldest slot when it belongs to the stream being read. */
static struct slot *stream_slot(struct text_source *source)
{
    if (source->slot_count == 0 || !source->reading_open)
        return NULL;
    struct slot *slot = &source->slots[(source->slot_first + source->slot_count - 1) % TEXT_SLOTS];
    bool streams = slot->input == source->reading && source->text_inputs[slot->input].stream &&
                   !source->decoder;
    return streams && !slot->done ? slot : NULL;
}

/* Whether another slot should be begun now. */
static bool slot_wanted(struct text_source *source)
{
    if (source->stopping || source->failed || source->read_failed || !source->idle ||
        source->slot_count == source->slot_limit || source->reading == source->base.input_count)
        return false;
    if (source->slot_count > 0 && !source->idle->next)
        return false; /* one is kept for text that comes out of carry */
    /* Long records go through carry; what is read meanwhile would only pile up. */
    bool slow = source->mode != CUTTER_NORMAL || source->carry_length > BATCH_HEADROOM;
    if (slow && source->carry_length >= text_span(source))
        return false;
    return source->slot_count == 0 || (!slow && !stream_slot(source));
}

bool text_reader_start(struct text_source *source)
{
    while (source->reading < source->base.input_count && source->text_inputs[source->reading].skip)
        source->reading++;
    while (slot_wanted(source)) {
        if (!source->reading_open && !input_open(source)) {
            source->read_failed = true;
            return false;
        }
        if (source->decoder) {
            struct slot *slot = slot_add(source);
            decoder_slot_start(source, slot);
            if (source->limits.decoders == 0)
                decoder_collect(source);
            continue;
        }
        if (source->text_inputs[source->reading].stream) {
            struct slot *slot = slot_add(source);
            stream_fill(source, slot);
            if (slot->last)
                input_leave(source, slot);
            return true;
        }
        file_slot_start(source);
    }
    return true;
}

static void slot_complete(struct text_source *source, struct slot *slot)
{
    if (slot->request.kind == IO_READ) {
        file_read_complete(source, slot);
    } else if (source->stopping) {
        slot->done = true;
    }
}

void text_reader_collect(struct text_source *source)
{
    struct io_engine *engine = source->context->engine;
    for (struct io_request *request; (request = io_engine_reap(engine));)
        slot_complete(source, request->owner);
    decoder_collect(source);
    struct slot *slot = stream_slot(source);
    if (slot) {
        if (!slot->request.pending)
            stream_fill(source, slot);
        else if (stream_timed_out(source, slot))
            io_engine_cancel(source->context->engine, &slot->request);
        if (slot->last)
            input_leave(source, slot);
    }
}

struct slot *text_reader_ready(struct text_source *source)
{
    for (;;) {
        struct slot *slot = &source->slots[source->slot_first];
        if (source->slot_count == 0 || !slot->done || slot->request.pending)
            return NULL;
        if (!slot->surplus)
            return slot;
        text_reader_release(source, slot, true);
    }
}

void text_reader_release(struct text_source *source, struct slot *slot, bool idle)
{
    CHECK(slot == &source->slots[source->slot_first] && source->slot_count > 0);
    if (idle) {
        slot->batch->next = source->idle;
        source->idle = slot->batch;
    }
    if (slot->closes)
        close(slot->fd); /* only read: nothing can be lost */
    slot->batch = NULL;
    source->slot_first = (source->slot_first + 1) % TEXT_SLOTS;
    source->slot_count--;
}

void text_reader_drain(struct text_source *source)
{
    struct io_engine *engine = source->context->engine;
    decoder_close(source->decoder);
    source->decoder = NULL;
    for (unsigned i = 0; i < source->slot_count; i++) {
        struct slot *slot = &source->slots[(source->slot_first + i) % TEXT_SLOTS];
        while (slot->request.pending) {
            io_engine_cancel(engine, &slot->request);
            (void)io_engine_wait(engine, NANOSECONDS);
            while (io_engine_reap(engine))
                continue;
        }
        slot->decoding = false;
        slot->done = true;
    }
}

void text_reader_stop(struct text_source *source)
{
    /* A stream may never bring what a decoder or a poll waits for. */
    if (source->decoder && source->text_inputs[source->reading].stream) {
        decoder_close(source->decoder);
        source->decoder = NULL;
        decoder_collect(source);
    }
    for (unsigned i = 0; i < source->slot_count; i++) {
        struct slot *slot = &source->slots[(source->slot_first + i) % TEXT_SLOTS];
        if (slot->request.kind == IO_POLL_IN)
            io_engine_cancel(source->context->engine, &slot->request);
    }
}

void text_reader_close(struct text_source *source)
{
    decoder_close(source->decoder);
    source->decoder = NULL;
    if (source->reading_open) {
        struct text_input *text_input = &source->text_inputs[source->reading];
        if (text_input->stream)
            stream_close(&source->stream);
        if (!text_input->keep_open)
            close(source->fd);
        source->reading_open = false;
    }
    for (uint32_t i = 0; i < source->base.input_count; i++) {
        struct text_input *text_input = &source->text_inputs[i];
        if (text_input->fd >= 0 && !text_input->keep_open)
            close(text_input->fd);
        text_input->fd = -1;
        free(text_input->path);
    }
}
