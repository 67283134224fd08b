/* Lines of held batches gathered into groups: see http_sink_internal.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/hash.h"
#include "io/http_sink_internal.h"

void http_hold(struct http_sink *sink, struct batch *batch)
{
    const struct batch_output *output = &batch->outputs[sink->context->output];
    struct http_held *held = http_held(sink, sink->held_end);
    CHECK(sink->held_end - sink->held_first < HTTP_HELD);
    CHECK(output->records > 0 && output->records <= batch->row_count);
    *held = (struct http_held){
        .batch = batch,
        .text = output->borrowed ? batch->text + batch->part_start : output->buffer.data,
        .length = output->borrowed ? batch->part_end - batch->part_start : output->buffer.length,
        .first_row = batch->row_count - (uint32_t)output->records,
        .lines = (uint32_t)output->records,
        .left = (uint32_t)output->records,
        .created = sink->created,
    };
    if (batch->created)
        sink->created += output->records;
    sink->held_end++;
}

struct http_group *http_group_take(struct http_sink *sink)
{
    struct http_group *group = sink->unused_groups;
    if (group)
        sink->unused_groups = group->next;
    else
        group = memory_take_zeroed(1, sizeof(*group));
    return group;
}

void http_group_free(struct http_sink *sink, struct http_group *group)
{
    group->next = sink->unused_groups;
    sink->unused_groups = group;
}

static void ready_add(struct http_sink *sink, struct http_group *group)
{
    group->next = NULL;
    if (sink->ready)
        sink->ready_last->next = group;
    else
        sink->ready = group;
    sink->ready_last = group;
    sink->ready_count++;
}

void http_group_return(struct http_sink *sink, struct http_group *group)
{
    group->next = sink->ready;
    if (!sink->ready)
        sink->ready_last = group;
    sink->ready = group;
    sink->ready_count++;
}

/* The line at a place, with its LF; the last one of a batch may have none. */
static struct string line_at(const struct http_held *held, size_t offset)
{
    const char *text = held->text + offset;
    const char *end = memchr(text, '\n', held->length - offset);
    return (struct string){text, end ? (size_t)(end + 1 - text) : held->length - offset};
}

/* To the next line, in the next batch if need be. */
static void place_advance(struct http_sink *sink, struct http_place *place, size_t length)
{
    place->line++;
    place->offset += length;
    if (place->line == http_held(sink, place->held)->lines)
        *place = (struct http_place){.held = place->held + 1};
}

bool http_group_walk(struct http_sink *sink, const struct http_group *group,
                     http_line_visitor *each, void *context)
{
    struct http_place place = group->from;
    for (uint32_t i = 0; i < group->count; i++) {
        struct http_held *held = http_held(sink, place.held);
        struct string line = line_at(held, place.offset);
        struct string text = line;
        if (text.length && text.data[text.length - 1] == '\n')
            text.length--;
        if (!each(context, held, place.line, text))
            return false;
        place_advance(sink, &place, line.length);
    }
    return true;
}

struct http_group *http_group_split(struct http_sink *sink, struct http_group *group,
                                    uint32_t count)
{
    struct http_group *rest = http_group_take(sink);
    if (!rest)
        return NULL;
    struct http_place place = group->from;
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct string line = line_at(http_held(sink, place.held), place.offset);
        bytes += line.length;
        place_advance(sink, &place, line.length);
    }
    *rest = (struct http_group){.from = place,
                                .count = group->count - count,
                                .bytes = group->bytes - bytes,
                                .since = group->since,
                                .noted = group->noted};
    group->count = count;
    group->bytes = bytes;
    group->tries = 0;
    return rest;
}

/* ---- gathering ---- */

/* The input and where in its content the record stands: the same in every run. */
static void place_write(char *text, const struct http_held *held, uint32_t line)
{
    const struct batch *batch = held->batch;
    if (batch->created)
        snprintf(text, HTTP_PLACE_SIZE, "end.%" PRIu64, held->created + line);
    else
        snprintf(text, HTTP_PLACE_SIZE, "%u.%" PRIu64, batch->origin.input,
                 batch->origin.offset + batch->records[batch->rows[held->first_row + line]].offset);
}

/* A group begins: the one that a run before a crash has begun here had so many lines. */
static uint32_t planned_at_cut(struct http_sink *sink, const struct http_held *held)
{
    struct http_intents *intents = &sink->state.intents;
    char place[HTTP_PLACE_SIZE];
    if (intents->found_count == 0)
        return 0;
    place_write(place, held, sink->cut.line);
    uint32_t planned = http_intents_take(intents, place);
    if (planned == 0)
        intents->found_count = 0; /* what comes is not what came then: there is no plan for it */
    return planned;
}

static bool open_close(struct http_sink *sink)
{
    if (sink->open.count == 0)
        return true;
    struct http_group *group = http_group_take(sink);
    if (!group)
        return false;
    *group = sink->open;
    sink->open.count = 0;
    ready_add(sink, group);
    return true;
}

/* Whether the batch may go into one group with the one before it: a range of records says what is
 * in the group, so it has no holes that another one fills. */
static bool follows(const struct batch *before, const struct batch *batch)
{
    return before->created == batch->created &&
           (batch->seq == before->seq || batch->seq == before->seq + 1);
}

/* Adds the next line; closes the group where it is full. */
static bool line_add(struct http_sink *sink, int64_t now)
{
    struct http_held *held = http_held(sink, sink->cut.held);
    struct string line = line_at(held, sink->cut.offset);
    struct http_group *open = &sink->open;
    bool broken = open->count > 0 && sink->cut.line == 0 &&
                  !follows(http_held(sink, sink->cut.held - 1)->batch, held->batch);
    bool full = open->count > 0 && !open->planned && line.length > sink->most_bytes - open->bytes;
    if ((broken || full) && !open_close(sink))
        return false;
    if (open->count == 0)
        *open = (struct http_group){
            .from = sink->cut, .since = now, .planned = planned_at_cut(sink, held)};
    open->count++;
    open->bytes += line.length;
    bool part_ends = sink->cut.line + 1 == held->lines && !held->batch->last_part;
    place_advance(sink, &sink->cut, line.length);
    /* what follows a part comes only when that was taken back */
    bool is_full = open->planned ? open->count == open->planned
                                 : open->count == sink->most || open->bytes >= sink->most_bytes;
    if (is_full || part_ends)
        return open_close(sink);
    return true;
}

bool http_groups_cut(struct http_sink *sink, int64_t now)
{
    while (sink->cut.held < sink->held_end && sink->ready_count <= sink->sending_count)
        if (!line_add(sink, now))
            return false;
    bool planned = sink->state.intents.found_count > 0 || (sink->open.count && sink->open.planned);
    __atomic_store_n(&sink->base.catches_up, planned, __ATOMIC_RELAXED);
    if (sink->open.count == 0 || sink->cut.held < sink->held_end)
        return true;
    bool starved = sink->held_end - sink->held_first == HTTP_HELD && sink->in_flight == 0 &&
                   sink->ready_count == 0;
    bool due = sink->base.hurry || starved || now >= http_groups_due(sink);
    return !due || open_close(sink);
}

int64_t http_groups_due(const struct http_sink *sink)
{
    int64_t due;
    if (sink->open.count == 0 || sink->open.planned ||
        __builtin_add_overflow(sink->open.since, sink->wait, &due))
        return INT64_MAX;
    return due;
}

/* ---- keys ---- */

struct key_walk {
    uint64_t hash;
    uint32_t line;
    uint32_t last;
    char from[HTTP_PLACE_SIZE];
    char to[HTTP_PLACE_SIZE];
};

/* Records are known by what was read, not by what is sent: that may differ from run to run. */
static bool key_visit(void *context, struct http_held *held, uint32_t line, struct string text)
{
    struct key_walk *walk = context;
    struct string read = text;
    if (!held->batch->created && held->batch->records)
        read = batch_record_text(held->batch, held->batch->rows[held->first_row + line]);
    walk->hash = hash_bytes(&read.length, sizeof(read.length), walk->hash);
    walk->hash = hash_bytes(read.data, read.length, walk->hash);
    if (walk->line == 0)
        place_write(walk->from, held, line);
    if (walk->line == walk->last)
        place_write(walk->to, held, line);
    walk->line++;
    return true;
}

void http_group_key(struct http_sink *sink, const struct http_group *group, char *key, size_t size)
{
    struct key_walk walk = {.hash = HASH_SEED, .last = group->count - 1};
    CHECK(http_group_walk(sink, group, key_visit, &walk));
    snprintf(key, size, "%s/%s-%s/%016" PRIx64, sink->key_prefix, walk.from, walk.to, walk.hash);
}

struct places_walk {
    uint32_t line;
    uint32_t last;
    char *from;
    char *to;
};

static bool places_visit(void *context, struct http_held *held, uint32_t line, struct string text)
{
    struct places_walk *walk = context;
    (void)text;
    if (walk->line == 0)
        place_write(walk->from, held, line);
    if (walk->line == walk->last)
        place_write(walk->to, held, line);
    walk->line++;
    return true;
}

void http_group_places(struct http_sink *sink, const struct http_group *group, char *from, char *to)
{
    struct places_walk walk = {.last = group->count - 1, .from = from, .to = to};
    CHECK(http_group_walk(sink, group, places_visit, &walk));
}
