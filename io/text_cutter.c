/* The cutting side of the sources of text: see text_source.h. Takes filled slots in order, finds
 * record boundaries, makes batches. The source's thread. */
#include <stdlib.h>
#include <string.h>

#include "io/text_source.h"

/* What a step of the slow path came to. */
enum cut_step {
    CUT_EMITTED,
    CUT_MORE,    /* needs text behind what is in carry */
    CUT_BLOCKED, /* needs a batch or the jumbo permit */
    CUT_AGAIN,   /* another mode */
    CUT_FAILED,
};

static bool at_end(const struct text_source *source)
{
    return source->carry_last;
}

static struct batch *idle_take(struct text_source *source)
{
    struct batch *batch = source->idle;
    CHECK(batch);
    source->idle = batch->next;
    batch->next = NULL;
    return batch;
}

/* A slot's content comes next: where decompression could begin for it. */
static void frame_meet(struct text_source *source, const struct slot *slot)
{
    unsigned count = source->frame_count;
    struct frame_place place = {slot->frame, slot->frame_offset};
    bool compressed = slot->task.buffer != NULL;
    if (!compressed || (count > 0 && source->frames[count - 1].frame == place.frame))
        return;
    if (count == TEXT_FRAMES) {
        count--;
        memmove(source->frames, source->frames + 1, count * sizeof(place));
    }
    source->frames[count] = place;
    source->frame_count = count + 1;
}

/* Where decompression can begin for whoever goes on behind the batch, and wants to see the last
 * bytes of its text again. */
static void frame_note(struct text_source *source, struct batch *batch)
{
    uint64_t end = batch->content_end;
    uint64_t seen = end > 1024 ? end - 1024 : 0;
    batch->frame = batch->frame_offset = 0;
    for (unsigned i = 0; i < source->frame_count && source->frames[i].offset <= seen; i++) {
        batch->frame = source->frames[i].frame;
        batch->frame_offset = source->frames[i].offset;
    }
    /* Behind the last frame of a file others may be appended. */
    const struct input *input = &source->base.inputs[source->cutting];
    if (batch->ends_input && source->frame_count > 0 && input->size > 0) {
        batch->frame = input->size;
        batch->frame_offset = end;
    }
}

/* Fills in what the source knows of a batch whose text is `text[0..length)`, and moves behind it.
 */
static void batch_emit(struct text_source *source, struct batch *batch, char *text, size_t length,
                       bool ends_input)
{
    const struct input *input = &source->base.inputs[source->cutting];
    batch->text = text;
    batch->text_length = (uint32_t)length;
    batch->origin = (struct origin){
        .input = source->cutting, .offset = source->offset, .line = source->lines + 1};
    source->offset += length;
    source->lines = source->cut.lines;
    batch->content_end = source->offset;
    batch->line_end = source->lines;
    batch->bytes_read = source->bytes_unreported;
    source->bytes_unreported = 0;
    batch->format_state = source->state;
    source->state = source->cut.boundary_state;
    batch->state_end = source->state;
    batch->names = input->names;
    batch->input_name = input->name;
    batch->starts_input = !source->started;
    batch->ends_input = ends_input;
    frame_note(source, batch);
    source->started = true;
    source->offered--;
}

void text_cutter_begin(struct text_source *source)
{
    while (source->cutting < source->base.input_count && source->text_inputs[source->cutting].skip)
        source->cutting++;
    bool any = source->cutting < source->base.input_count;
    struct position at = any ? source->base.inputs[source->cutting].at : (struct position){0};
    source->head_done = at.offset > 0;
    source->started = false;
    source->offset = at.offset;
    source->lines = at.line;
    source->state = at.state;
    source->cut = (struct cut_state){
        .state = at.state, .boundary_state = at.state, .lines = at.line, .lines_scanned = at.line};
    source->frame_count = 0;
    source->carry_length = 0;
    source->carry_scanned = 0;
    source->carry_last = false;
    source->mode = CUTTER_NORMAL;
}

/* The input is cut to its end. */
static void input_finish(struct text_source *source)
{
    source->cutting++;
    text_cutter_begin(source);
}

/* Lets the format look at the first bytes. *consumed: what is no record. */
static enum head_result head_read(struct text_source *source, const char *text, size_t length,
                                  bool last, size_t *consumed)
{
    struct input *input = &source->base.inputs[source->cutting];
    struct field_names *names = NULL;
    *consumed = 0;
    enum head_result result = source->format->ops->head(
        source->format, text, length, last, &source->cut, consumed, &names, &source->error);
    if (result == HEAD_FAIL)
        error_add_context(&source->error, "%s", input->name);
    if (result != HEAD_DONE)
        return result;
    if (input->names)
        free(names); /* known since open */
    else
        input->names = names;
    source->head_done = true;
    source->offset += *consumed;
    source->lines = source->cut.lines;
    source->state = source->cut.boundary_state;
    return result;
}

static void carry_append(struct text_source *source, const char *text, size_t length)
{
    CHECK(length <= source->carry_capacity - source->carry_length);
    memcpy(source->carry + source->carry_length, text, length);
    source->carry_length += length;
}

/* Removes the first bytes of carry; what follows keeps its order. */
static void carry_consume(struct text_source *source, size_t length)
{
    source->carry_length -= length;
    source->carry_scanned -= size_min(length, source->carry_scanned);
    memmove(source->carry, source->carry + length, source->carry_length);
}

/* A slot failed: what it brought is cut like the rest, then the source fails. */
static void slot_failure_take(struct text_source *source, const struct slot *slot)
{
    if (!slot->failed)
        return;
    source->failed = true;
    source->error = slot->error;
}

/* The common case: the slot's text with a short carry in front of it, cut where it lies. */
static enum cut_step fast_step(struct text_source *source, struct slot *slot, struct batch **out)
{
    struct batch *batch = slot->batch;
    size_t tail = source->carry_length;
    char *text = slot_text(slot) - tail;
    size_t length = tail + slot->filled;
    size_t scanned = source->carry_scanned;
    bool last = slot->last;
    memcpy(text, source->carry, tail);
    source->bytes_unreported += slot->raw_bytes;
    slot_failure_take(source, slot);
    frame_meet(source, slot);
    size_t consumed = 0;
    enum head_result head = HEAD_DONE;
    if (!source->head_done)
        head = head_read(source, text, length, last, &consumed);
    if (head == HEAD_FAIL)
        return CUT_FAILED;
    text += consumed;
    length -= consumed;
    scanned -= size_min(scanned, consumed);
    size_t boundary = 0;
    if (head == HEAD_DONE) {
        boundary =
            source->format->ops->cut(source->format, &source->cut, text, scanned, length, last);
        CHECK(boundary <= length);
        scanned = length;
    }
    if (last)
        boundary = length;
    /* The slot's batch goes out, or gives what it has to carry and is filled again. */
    source->carry_length = 0;
    carry_append(source, text + boundary, length - boundary);
    source->carry_scanned = scanned - size_min(scanned, boundary);
    bool emits = boundary > 0 || last;
    text_reader_release(source, slot, !emits);
    if (!emits)
        return CUT_AGAIN;
    batch->jumbo = false;
    batch->overlong = false;
    batch_emit(source, batch, text, boundary, last);
    if (last)
        input_finish(source);
    *out = batch;
    return CUT_EMITTED;
}

/* Records longer than the headroom, but not than a batch: cut in carry, copied into an idle batch.
 */
static enum cut_step normal_step(struct text_source *source, struct batch **out)
{
    size_t length = size_min(source->carry_length, text_span(source));
    bool last = at_end(source) && length == source->carry_length;
    if (!source->head_done) {
        size_t consumed;
        enum head_result head = head_read(source, source->carry, length, last, &consumed);
        if (head == HEAD_FAIL)
            return CUT_FAILED;
        if (head == HEAD_MORE) {
            if (length < text_span(source))
                return CUT_MORE;
            error_set(&source->error, ERROR_TOO_LONG, "%s: no end of its header in %zu bytes",
                      source->base.inputs[source->cutting].name, length);
            return CUT_FAILED;
        }
        carry_consume(source, consumed);
        return CUT_AGAIN;
    }
    if (!source->idle)
        return at_end(source) ? CUT_BLOCKED : CUT_MORE;
    size_t boundary = 0;
    if (source->carry_scanned < length || last) {
        boundary = source->format->ops->cut(source->format, &source->cut, source->carry,
                                            source->carry_scanned, length, last);
        source->carry_scanned = length;
    }
    if (last)
        boundary = length;
    if (boundary == 0 && !last) {
        if (length < text_span(source))
            return CUT_MORE;
        source->mode = CUTTER_JUMBO;
        return CUT_AGAIN;
    }
    struct batch *batch = idle_take(source);
    memcpy(batch->memory, source->carry, boundary);
    batch->jumbo = false;
    batch->overlong = false;
    carry_consume(source, boundary);
    batch_emit(source, batch, batch->memory, boundary, last);
    if (last)
        input_finish(source);
    *out = batch;
    return CUT_EMITTED;
}

static char *held_text(const struct text_source *source)
{
    return source->held->memory + BATCH_HEADROOM;
}

/* A record longer than a batch begins in carry: a batch to put it together in. */
static enum cut_step jumbo_begin(struct text_source *source)
{
    size_t span = text_span(source);
    bool possible = source->limits.record_limit > span;
    if (!source->idle)
        return at_end(source) ? CUT_BLOCKED : CUT_MORE;
    if (possible && !source->context->jumbo_take(source->context->jumbo_context))
        return CUT_BLOCKED;
    struct batch *batch = idle_take(source);
    batch->jumbo = possible;
    if (possible)
        batch->text_capacity = size_min(batch->text_reserved, source->limits.record_limit);
    source->held = batch;
    source->held_length = 0;
    source->held_scanned = source->carry_scanned;
    if (!possible) {
        source->mode = CUTTER_SKIP;
        source->skipped = 0;
    }
    return CUT_AGAIN;
}

/* The boundary of the held text is found: it goes out; what lies behind goes back to carry. */
static enum cut_step jumbo_emit(struct text_source *source, size_t boundary, bool last,
                                struct batch **out)
{
    struct batch *batch = source->held;
    size_t rest = source->held_length - boundary;
    CHECK(rest <= source->carry_capacity - source->carry_length);
    memmove(source->carry + rest, source->carry, source->carry_length);
    memcpy(source->carry, held_text(source) + boundary, rest);
    source->carry_length += rest;
    source->carry_scanned = rest;
    batch->overlong = false;
    batch_emit(source, batch, held_text(source), boundary, last);
    source->held = NULL;
    source->mode = CUTTER_NORMAL;
    if (last)
        input_finish(source);
    *out = batch;
    return CUT_EMITTED;
}

static enum cut_step jumbo_step(struct text_source *source, struct batch **out)
{
    if (!source->held)
        return jumbo_begin(source);
    size_t capacity = source->held->text_capacity;
    /* In steps no longer than a read, so that what lies behind the boundary fits into carry. */
    size_t step = size_min(source->carry_length, source->limits.batch_text);
    size_t length = size_min(step, capacity - source->held_length);
    memcpy(held_text(source) + source->held_length, source->carry, length);
    source->held_length += length;
    carry_consume(source, length);
    bool last = at_end(source) && source->carry_length == 0;
    size_t boundary = 0;
    if (source->held_length > source->held_scanned || last) {
        size_t from = size_min(source->held_scanned, source->held_length);
        boundary = source->format->ops->cut(source->format, &source->cut, held_text(source), from,
                                            source->held_length, last);
        source->held_scanned = source->held_length;
    }
    if (last)
        boundary = source->held_length;
    if (boundary > 0)
        return jumbo_emit(source, boundary, last, out);
    if (source->held_length == capacity) {
        source->mode = CUTTER_SKIP;
        source->skipped = source->held_length;
        return CUT_AGAIN;
    }
    return source->carry_length > 0 ? CUT_AGAIN : CUT_MORE;
}

/* Streams past what is left of an over-long record; its first bytes stay in the held batch. */
static enum cut_step skip_step(struct text_source *source, struct batch **out)
{
    if (source->skipped == 0) { /* nothing was held: the record is still in carry, scanned */
        source->held_length = size_min(source->carry_scanned, TEXT_OVERLONG_KEEP);
        memcpy(held_text(source), source->carry, source->held_length);
        source->skipped = source->carry_scanned;
        carry_consume(source, source->carry_scanned);
    }
    size_t end = source->carry_length == 0
                     ? 0
                     : source->format->ops->skip(source->format, &source->cut, source->carry,
                                                 source->carry_length);
    size_t passed = end > 0 ? end : source->carry_length;
    bool ends_line = end > 0 && source->carry[end - 1] == '\n';
    source->skipped += passed;
    carry_consume(source, passed);
    bool last = at_end(source) && source->carry_length == 0;
    if (end == 0 && !last)
        return CUT_MORE;
    struct batch *batch = source->held;
    batch->overlong = true;
    batch->overlong_length = source->skipped - ends_line;
    size_t kept = size_min(source->held_length, TEXT_OVERLONG_KEEP);
    batch_emit(source, batch, held_text(source), kept, last);
    source->offset += source->skipped - kept;
    batch->content_end = source->offset;
    frame_note(source, batch);
    source->held = NULL;
    source->mode = CUTTER_NORMAL;
    source->carry_scanned = 0;
    if (last)
        input_finish(source);
    *out = batch;
    return CUT_EMITTED;
}

static enum cut_step slow_step(struct text_source *source, struct batch **out)
{
    switch (source->mode) {
    case CUTTER_JUMBO:
        return jumbo_step(source, out);
    case CUTTER_SKIP:
        return skip_step(source, out);
    default:
        return normal_step(source, out);
    }
}

static bool is_slow(const struct text_source *source)
{
    return source->mode != CUTTER_NORMAL || source->carry_length > BATCH_HEADROOM ||
           source->carry_last;
}

/* A batch of what is left when reading ended early (stopped, failed): nothing, the torn tail is no
 * whole record. */
static enum source_result cutter_ended(struct text_source *source)
{
    if (source->failed || source->read_failed)
        return SOURCE_FAIL;
    if (source->stopping || source->cutting == source->base.input_count)
        return SOURCE_END;
    return SOURCE_WAIT;
}

enum source_result text_cutter_take(struct text_source *source, struct batch **batch)
{
    for (;;) {
        struct slot *slot = source->failed ? NULL : text_reader_ready(source);
        enum cut_step step = CUT_MORE;
        if (is_slow(source))
            step = slow_step(source, batch);
        else if (slot) {
            step = fast_step(source, slot, batch);
            slot = NULL;
        }
        switch (step) {
        case CUT_EMITTED:
            return SOURCE_READY;
        case CUT_FAILED:
            source->failed = true;
            return SOURCE_FAIL;
        case CUT_BLOCKED:
            return SOURCE_WAIT;
        case CUT_AGAIN:
            continue;
        case CUT_MORE:
            break;
        }
        if (!slot)
            return source->slot_count == 0 || source->failed ? cutter_ended(source) : SOURCE_WAIT;
        CHECK(!source->carry_last);
        source->carry_last = slot->last;
        source->bytes_unreported += slot->raw_bytes;
        slot_failure_take(source, slot);
        frame_meet(source, slot);
        carry_append(source, slot_text(slot), slot->filled);
        text_reader_release(source, slot, true);
    }
}
