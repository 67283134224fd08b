/* The reading side of the sources of text: see text_source.h. Opens one input after another and
 * fills slots in order, a few at a time. The source's thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

/* Opens the input to be read next. False: source->error. */
static bool input_open(struct text_source *source)
{
    struct text_input *text_input = &source->text_inputs[source->reading];
    struct input *input = reading_input(source);
    source->fd = text_input->fd;
    if (source->fd < 0)
        source->fd = file_open(input->name, O_RDONLY, 0, &source->error);
    if (source->fd < 0)
        return false;
    text_input->fd = -1;
    struct stat status;
    if (fstat(source->fd, &status) != 0)
        return error_set_errno(&source->error, errno, "cannot look at %s", input->name);
    /* What grows later is not read: the input is what it was when it was opened. */
    input->size = text_input->stream ? 0 : (uint64_t)status.st_size;
    source->read_offset = text_input->start;
    source->read_end = input->size > text_input->start ? input->size : text_input->start;
    if (text_input->stream)
        stream_open(&source->stream, source->fd, false);
    source->stream_dry = false;
    source->progress = clock_monotonic();
    source->reading_open = true;
    return true;
}

/* Everything of the input being read is in slots, `slot` being the last: reading goes on with the
 * next input while this one's reads are still in flight. */
static void input_leave(struct text_source *source, struct slot *slot)
{
    struct text_input *text_input = &source->text_inputs[source->reading];
    if (text_input->stream)
        stream_close(&source->stream);
    slot->closes = !text_input->keep_open;
    source->fd = -1;
    source->reading_open = false;
    source->reading++;
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

/* Reads what is there until it would block or the batch is full, and passes on what it has. */
static void stream_fill(struct text_source *source, struct slot *slot)
{
    while (!slot->done && !slot->request.pending) {
        if (source->stream_dry) {
            source->stream_dry = false;
            if (slot->filled > 0)
                slot->done = true;
            else if (!stream_timed_out(source, slot))
                stream_poll(source, slot);
            return;
        }
        size_t length = slot->want - slot->filled;
        int64_t got = stream_read(&source->stream, slot_text(slot) + slot->filled, length);
        if (got < 0 && got != -EAGAIN) {
            slot_fail_read(source, slot, (int)-got);
        } else if (got == 0) {
            slot->last = true;
            slot->done = true;
        } else if (got > 0) {
            bytes_count(source, slot, (uint64_t)got);
            slot->filled += (size_t)got;
            slot->done = slot->filled == slot->want;
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
    bool streams = slot->input == source->reading && source->text_inputs[slot->input].stream;
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
    while (slot_wanted(source)) {
        if (!source->reading_open && !input_open(source)) {
            source->read_failed = true;
            return false;
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
    struct slot *slot = &source->slots[source->slot_first];
    return source->slot_count > 0 && slot->done && !slot->request.pending ? slot : NULL;
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
    for (unsigned i = 0; i < source->slot_count; i++) {
        struct slot *slot = &source->slots[(source->slot_first + i) % TEXT_SLOTS];
        while (slot->request.pending) {
            io_engine_cancel(engine, &slot->request);
            (void)io_engine_wait(engine, NANOSECONDS);
            while (io_engine_reap(engine))
                continue;
        }
        slot->done = true;
    }
}

void text_reader_close(struct text_source *source)
{
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
    }
}
