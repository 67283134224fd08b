/* Encoding for partitions: the rows of a batch are grouped by their path, and each group is encoded
 * as one run. Any worker; pure but for the batch's arena, rejects and output buffer. */
#include <limits.h>
#include <string.h>

#include "io/partition_sink.h"

#define PART_SUFFIX ".leat-part"

/* Rows of one path, linked through `next` by position in the selection. */
struct group {
    struct string path;
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

struct grouping {
    struct group *groups;
    uint32_t count;
    uint32_t *table; /* hash -> group + 1 */
    uint32_t mask;
    uint32_t *next; /* position -> next position of its group, UINT32_MAX at the end */
    uint32_t *rows; /* of the group being encoded */
};

static bool component_safe(const char *text, size_t length)
{
    size_t suffix = sizeof(PART_SUFFIX) - 1;
    if (length == 0 || length > NAME_MAX - suffix - 1 || memchr(text, 0, length))
        return false;
    if (text[0] == '.' && (length == 1 || (length == 2 && text[1] == '.')))
        return false;
    return length < suffix || memcmp(text + length - suffix, PART_SUFFIX, suffix) != 0;
}

bool partition_path_safe(struct string rest)
{
    const char *at = rest.data;
    const char *end = rest.data + rest.length;
    if (rest.length >= PATH_MAX / 2)
        return false;
    for (;;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        if (!component_safe(at, (size_t)((slash ? slash : end) - at)))
            return false;
        if (!slash)
            return true;
        at = slash + 1;
    }
}

/* FNV-1a (Fowler, Noll, Vo), 64 bits. */
static uint64_t path_hash(struct string path)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < path.length; i++)
        hash = (hash ^ (unsigned char)path.data[i]) * 0x100000001b3u;
    return hash ^ (hash >> 32);
}

static bool grouping_open(struct grouping *grouping, struct batch *batch, uint32_t count)
{
    uint32_t size = 16;
    while (size < 2 * count)
        size *= 2;
    grouping->count = 0;
    grouping->mask = size - 1;
    grouping->groups = arena_take(&batch->arena, count * sizeof(struct group));
    grouping->table = arena_take(&batch->arena, size * sizeof(uint32_t));
    grouping->next = arena_take(&batch->arena, count * sizeof(uint32_t));
    grouping->rows = arena_take(&batch->arena, count * sizeof(uint32_t));
    if (!grouping->groups || !grouping->table || !grouping->next || !grouping->rows)
        return false;
    memset(grouping->table, 0, size * sizeof(uint32_t));
    return true;
}

static void grouping_add(struct grouping *grouping, struct string path, uint32_t position)
{
    uint32_t slot = (uint32_t)path_hash(path) & grouping->mask;
    while (grouping->table[slot] &&
           !string_equal(grouping->groups[grouping->table[slot] - 1].path, path))
        slot = (slot + 1) & grouping->mask;
    grouping->next[position] = UINT32_MAX;
    if (!grouping->table[slot]) {
        grouping->groups[grouping->count++] =
            (struct group){.path = path, .first = position, .last = position, .count = 1};
        grouping->table[slot] = grouping->count;
        return;
    }
    struct group *group = &grouping->groups[grouping->table[slot] - 1];
    grouping->next[group->last] = position;
    group->last = position;
    group->count++;
}

/* One run: header, path, records. False: the buffer or the arena was full. */
static bool group_encode(const struct sink_context *context, const struct format *format,
                         struct grouping *grouping, const struct group *group, uint32_t first,
                         struct batch *batch)
{
    struct buffer *buffer = &batch->outputs[context->output].buffer;
    struct partition_run run = {.path_length = (uint32_t)group->path.length};
    size_t start = buffer->length;
    if (!buffer_append(buffer, &run, sizeof(run)) ||
        !buffer_append(buffer, group->path.data, group->path.length))
        return false;
    uint32_t *rows = batch->rows;
    uint32_t row_count = batch->row_count;
    uint32_t count = 0;
    for (uint32_t at = group->first; at != UINT32_MAX; at = grouping->next[at])
        grouping->rows[count++] = rows[first + at];
    size_t content = buffer->length;
    batch->rows = grouping->rows;
    batch->row_count = count;
    uint32_t done = 0;
    bool same = format == context->source_format;
    enum encode_result result =
        format->ops->encode(format, context->shape, batch, same, 0, &done, buffer);
    batch->rows = rows;
    batch->row_count = row_count;
    run.length = buffer->length - content;
    memcpy(buffer->data + start, &run, sizeof(run));
    if (run.length == 0)
        buffer->length = start; /* all were rejected */
    return result == ENCODE_OK;
}

/* Encodes rows [first, first + count). False: they do not fit. */
static bool rows_encode(const struct sink_context *context, const struct format *format,
                        struct string prefix, struct batch *batch, uint32_t first, uint32_t count)
{
    struct grouping grouping;
    if (!grouping_open(&grouping, batch, count))
        return false;
    const struct value *cells = batch->columns[context->path_column].cells;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = batch->rows[first + i];
        struct value cell = cells[row];
        bool text = cell.kind == VALUE_STRING;
        struct string path = {text ? cell.text : "", text ? cell.length : 0};
        struct string rest = {path.data + prefix.length, path.length - prefix.length};
        bool safe = path.length > prefix.length &&
                    memcmp(path.data, prefix.data, prefix.length) == 0 && partition_path_safe(rest);
        if (safe)
            grouping_add(&grouping, path, i);
        else if (!batch_reject(batch, row, STAGE_SINK, ERROR_PLACE, UINT32_MAX,
                               "no file may be called %.*s", (int)size_min(path.length, 200),
                               path.data))
            return false;
    }
    for (uint32_t i = 0; i < grouping.count; i++) {
        if (!group_encode(context, format, &grouping, &grouping.groups[i], first, batch))
            return false;
    }
    return true;
}

enum encode_result partition_encode(const struct sink_context *context, const struct format *format,
                                    struct string prefix, struct batch *batch, uint32_t first,
                                    uint32_t *done)
{
    struct buffer *buffer = &batch->outputs[context->output].buffer;
    *done = first;
    uint32_t count = batch->row_count - first;
    while (*done < batch->row_count) {
        /* Groups reorder rows, so what does not fit is taken back whole and tried with fewer. */
        size_t arena = arena_mark(&batch->arena);
        size_t length = buffer->length;
        struct reject **tail = batch->rejects_tail;
        uint32_t rejects = batch->reject_count;
        count = (uint32_t)size_min(count, batch->row_count - *done);
        if (rows_encode(context, format, prefix, batch, *done, count)) {
            *done += count;
            continue;
        }
        arena_rewind(&batch->arena, arena);
        buffer->length = length;
        batch->rejects_tail = tail;
        *tail = NULL;
        batch->reject_count = rejects;
        if (count == 1)
            return ENCODE_FULL;
        count /= 2;
    }
    return ENCODE_OK;
}
