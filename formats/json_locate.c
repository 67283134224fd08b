/* The memory of a locator, and the records that it adds to the batch: see json_locate.h. The
 * careful way through a record is in json_parse.c. */
#include "formats/json_locate.h"

#include <string.h>

#include "core/format.h"
#include "formats/lines.h"

#define SLICE_USUAL (16 * 1024)
#define SLICE_SMALL 256

/* A locator's own memory, at the arena's far end. */
struct carving {
    char *at;
    size_t left;
};

static void *carve(struct carving *carving, size_t size)
{
    size = (size + 63) & ~(size_t)63;
    CHECK(size <= carving->left);
    void *taken = carving->at;
    carving->at += size;
    carving->left -= size;
    return taken;
}

static size_t scratch_size(const struct projection *projection, uint32_t slice, bool shapes)
{
    size_t tokens = slice + (shapes ? SHAPE_TOKENS : 4) + 2 * JSON_SCAN_SLACK;
    size_t size = tokens * 5 + sizeof(struct json_frame) * (JSON_DEPTH_MAX + 1) +
                  projection->base_columns * sizeof(struct value *) + 8 * 64;
    if (shapes)
        size += SHAPE_COUNT * (sizeof(struct json_shape) + 128 +
                               projection->base_columns * sizeof(struct shape_span));
    return size;
}

static void scratch_carve(struct json_locator *locator, char *memory, size_t size, bool shapes)
{
    uint32_t columns = locator->projection->base_columns;
    size_t tokens = locator->slice + (shapes ? SHAPE_TOKENS : 4) + 2 * JSON_SCAN_SLACK;
    size_t skip = -(uintptr_t)memory & 63;
    struct carving carving = {memory + skip, size - skip};
    locator->scan.positions = carve(&carving, tokens * sizeof(uint32_t));
    locator->scan.classes = carve(&carving, tokens);
    locator->frames = carve(&carving, sizeof(struct json_frame) * (JSON_DEPTH_MAX + 1));
    locator->cells = carve(&carving, columns * sizeof(struct value *));
    for (uint32_t i = 0; shapes && i < SHAPE_COUNT; i++) {
        locator->shapes[i] = carve(&carving, sizeof(struct json_shape));
        locator->shapes[i]->columns = carve(&carving, columns * sizeof(struct shape_span));
        locator->shapes[i]->token_count = 0;
        locator->shapes[i]->successor = NULL;
    }
    locator->sketch = locator->shapes[0];
}

/* A bound of the records that may come. The source has counted the line ends; where its count is
 * not to be had, or cannot be, they are counted again. */
static size_t records_possible(const struct json_locator *locator)
{
    const struct batch *batch = locator->batch;
    size_t left = batch->text_length - batch->part_start;
    if (!locator->scan.lines)
        return left + 1;
    if (batch->part_line && batch->line_end + 1 >= batch->part_line) {
        uint64_t lines = batch->line_end + 1 - batch->part_line;
        if (lines <= left && lines >= left / 65536)
            return lines + 1;
    }
    return lines_count(batch->text + batch->part_start, left) + 1;
}

/* Results go to the arena's near end, in at most half of what is free. */
static bool results_take(struct json_locator *locator, size_t budget)
{
    struct batch *batch = locator->batch;
    const struct projection *projection = locator->projection;
    bool members = projection->members;
    size_t each = sizeof(struct batch_record) + sizeof(uint32_t) +
                  projection->base_columns * sizeof(struct value) +
                  (members ? sizeof(uint32_t) : 0);
    size_t fixed = 1024 + 16 * (projection->base_columns + 4);
    if (budget < fixed)
        return false;
    size_t usable = (budget - fixed) / 8 * 7; /* the rest is for rejects */
    size_t capacity = size_min(usable / (each + (members ? 8 * sizeof(struct member) : 0)),
                               size_min(BATCH_MAX_RECORDS, records_possible(locator)));
    if (capacity == 0)
        return false;
    locator->capacity = (uint32_t)capacity;
    batch->records = arena_take(&batch->arena, capacity * sizeof(struct batch_record));
    batch->rows = arena_take(&batch->arena, capacity * sizeof(uint32_t));
    for (uint32_t i = 0; i < projection->base_columns; i++) {
        locator->cells[i] = arena_take(&batch->arena, capacity * sizeof(struct value));
        CHECK(locator->cells[i]);
        batch->columns[i] = (struct column){.cells = locator->cells[i]};
    }
    CHECK(batch->records && batch->rows);
    if (!members)
        return true;
    batch->member_first = arena_take(&batch->arena, (capacity + 1) * sizeof(uint32_t));
    size_t left = usable - capacity * each;
    locator->member_capacity = (uint32_t)size_min(left / sizeof(struct member), UINT32_MAX);
    batch->members = arena_take(&batch->arena, locator->member_capacity * sizeof(struct member));
    CHECK(batch->member_first && batch->members);
    batch->member_first[0] = 0;
    return true;
}

bool json_locator_open(struct json_locator *locator, struct batch *batch,
                       const struct projection *projection, bool lines, enum isa isa)
{
    CHECK(projection->base_columns <= batch->column_count);
    CHECK(batch->part_start <= batch->text_length);
    struct arena *arena = &batch->arena;
    *locator = (struct json_locator){
        .batch = batch,
        .projection = projection,
        .scan_run = json_scan_choose(isa),
        .slice = SLICE_USUAL,
        .clean = true,
        .arena_limit = arena->limit,
    };
    json_scan_open(&locator->scan, batch->text, batch->part_start, batch->text_length, lines);
    batch->record_count = batch->row_count = 0;
    batch->members = NULL;
    batch->member_first = NULL;
    size_t half = (arena->limit - arena->used) / 2;
    bool shapes = scratch_size(projection, locator->slice, true) <= half;
    if (!shapes)
        locator->slice = SLICE_SMALL;
    size_t scratch = scratch_size(projection, locator->slice, shapes);
    if (scratch > half)
        return false;
    scratch_carve(locator, arena->base + arena->limit - scratch, scratch, shapes);
    arena->limit = arena->used + half;
    if (results_take(locator, half))
        return true;
    arena->limit = locator->arena_limit;
    return false;
}

enum locate_result json_locator_close(struct json_locator *locator, uint32_t end)
{
    struct batch *batch = locator->batch;
    struct arena *arena = &batch->arena;
    arena->limit = locator->arena_limit;
    if (locator->full && batch->record_count == 0)
        return LOCATE_FULL;
    if (batch->members && !batch->rejects) /* the last thing taken: give back what is unused */
        arena->used = (size_t)((char *)(batch->members + locator->member_count) - arena->base);
    batch->part_end = end;
    batch->last_part = end == batch->text_length;
    batch->line_count = locator->lines;
    batch->clean = locator->clean && batch->row_count == batch->record_count;
    return LOCATE_OK;
}

void json_locator_refill(struct json_locator *locator)
{
    struct json_scan *scan = &locator->scan;
    uint32_t kept = scan->count - locator->next;
    CHECK(kept <= SHAPE_TOKENS);
    memmove(scan->positions, scan->positions + locator->next, kept * sizeof(uint32_t));
    memmove(scan->classes, scan->classes + locator->next, kept);
    scan->count = kept;
    locator->next = 0;
    if (scan->suspect_to <= (kept ? scan->positions[0] : scan->scanned)) {
        scan->suspect_from = UINT32_MAX;
        scan->suspect_to = 0;
    }
    locator->scan_run(scan,
                      (uint32_t)size_min((size_t)scan->scanned + locator->slice, scan->length));
}

void json_shape_learn(struct json_locator *locator)
{
    struct json_shape *sketch = locator->sketch;
    if (!locator->sketch_fits || sketch->classes[0] < JSON_OPERATOR)
        return;
    uint32_t there = 0;
    for (uint32_t i = 0; i < locator->projection->base_columns; i++) {
        struct shape_span span = sketch->columns[i];
        if (span.kind == SHAPE_TOKEN || span.kind == SHAPE_CONTAINER) {
            sketch->columns[i] = sketch->columns[there];
            sketch->columns[there++] = span;
        }
    }
    sketch->column_count = there;
    sketch->token_count = locator->token;
    sketch->classes[locator->token] = JSON_LINE_END;
    sketch->successor = NULL;
    if (locator->last)
        locator->last->successor = sketch;
    locator->last = sketch;
    locator->victim = (locator->victim + 1) % SHAPE_COUNT;
    locator->sketch = locator->shapes[locator->victim];
}

bool json_record_accept(struct json_locator *locator, uint32_t start, uint32_t end)
{
    struct batch *batch = locator->batch;
    if (locator->full)
        return false;
    batch->records[batch->record_count] = (struct batch_record){start, end - start};
    batch->rows[batch->row_count++] = batch->record_count++;
    if (batch->member_first)
        batch->member_first[batch->record_count] = locator->member_count;
    return true;
}

void json_record_undo(struct json_locator *locator)
{
    struct batch *batch = locator->batch;
    CHECK(batch->record_count > 0 && batch->row_count > 0);
    batch->record_count--;
    batch->row_count--;
    if (batch->member_first)
        locator->member_count = batch->member_first[batch->record_count];
}

bool json_record_reject(struct json_locator *locator, uint32_t start, uint32_t end,
                        enum json_fault fault, uint32_t place)
{
    struct batch *batch = locator->batch;
    char byte = place < batch->text_length ? batch->text[place] : ' ';
    if (fault == JSON_FAULT_ESCAPE)
        byte = batch->text[place + 1];
    bool printable = byte > ' ' && byte < 0x7f;
    if (batch->member_first)
        locator->member_count = batch->member_first[batch->record_count];
    if (locator->full || !batch_reject(batch, batch->record_count, STAGE_SOURCE,
                                       json_fault_codes[fault], (place < end ? place : end) - start,
                                       json_fault_texts[fault], printable ? byte : '?')) {
        locator->full = true;
        return false;
    }
    batch->records[batch->record_count] = (struct batch_record){start, end - start};
    for (uint32_t i = 0; i < locator->projection->base_columns; i++)
        locator->cells[i][batch->record_count] = (struct value){0};
    batch->record_count++;
    if (batch->member_first)
        batch->member_first[batch->record_count] = locator->member_count;
    return true;
}
