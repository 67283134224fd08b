/* The careful way through JSON records, and the memory of a locator: see json_locate.h. */
#include "formats/json_locate.h"

#include <string.h>

#include "core/format.h"
#include "core/raw.h"
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

static inline uint32_t token_place(const struct json_locator *locator)
{
    return locator->scan.positions[locator->next];
}

/* The end of a string or scalar: the next token, less the white space before it. */
static inline uint32_t token_end(const struct json_locator *locator)
{
    uint32_t end = locator->scan.positions[locator->next + 1];
    while (json_is_white(locator->scan.text[end - 1]))
        end--;
    return end;
}

static inline void token_consume(struct json_locator *locator)
{
    if (LIKELY(locator->sketch_fits)) {
        locator->sketch->classes[locator->token] = locator->scan.classes[locator->next];
        locator->sketch_fits = locator->token + 2 < SHAPE_TOKENS;
    }
    locator->token++;
    locator->next++;
}

static enum json_fault fault_at(struct json_locator *locator, enum json_fault fault, size_t place)
{
    locator->fault_place = (uint32_t)place;
    return fault;
}

static void cell_set(struct json_locator *locator, uint32_t column, struct value value,
                     struct shape_span span)
{
    locator->cells[column][locator->batch->record_count] = value;
    if (locator->sketch_fits) {
        span.column = column;
        locator->sketch->columns[column] = span;
    }
    if (value.kind == VALUE_RAW && column < 256)
        locator->batch->seen[column / 64] |= (uint64_t)1 << column % 64;
}

/* All columns below `node`, which is no map. */
static void cells_below(struct json_locator *locator, uint32_t node, struct value value,
                        struct shape_span span)
{
    const struct projection_node *nodes = locator->projection->nodes;
    for (uint32_t child = nodes[node].first_child; child; child = nodes[child].next_sibling) {
        if (nodes[child].column != COLUMN_NONE)
            cell_set(locator, nodes[child].column, value, span);
        cells_below(locator, child, value, span);
    }
}

static void columns_clear(struct json_locator *locator)
{
    for (uint32_t i = 0; i < locator->projection->base_columns; i++)
        cell_set(locator, i, (struct value){0}, (struct shape_span){.kind = SHAPE_ABSENT});
}

/* The child of `node` that is called so, or COLUMN_NONE. */
static uint32_t child_find(struct json_locator *locator, uint32_t node, struct string name)
{
    const struct projection_node *nodes = locator->projection->nodes;
    struct arena *arena = &locator->batch->arena;
    size_t mark = arena_mark(arena);
    if (UNLIKELY(memchr(name.data, '\\', name.length))) {
        struct value decoded = value_resolve(value_raw(name.data - 1, name.length + 2), arena);
        if (decoded.kind != VALUE_STRING) {
            locator->full = true;
            return COLUMN_NONE;
        }
        name = (struct string){decoded.text, decoded.length};
    }
    uint32_t child = nodes[node].first_child;
    while (child && !(nodes[child].name.length == name.length &&
                      memcmp(nodes[child].name.data, name.data, name.length) == 0))
        child = nodes[child].next_sibling;
    arena_rewind(arena, mark);
    return child ? child : COLUMN_NONE;
}

static void sketch_name(struct json_locator *locator, const char *quoted, uint32_t length)
{
    struct json_shape *sketch = locator->sketch;
    for (uint32_t at = 0; at < length && locator->sketch_fits; at += 16) {
        if (sketch->chunk_count == SHAPE_CHUNKS || at > UINT16_MAX - 16) {
            locator->sketch_fits = false;
            return;
        }
        struct shape_chunk *chunk = &sketch->chunks[sketch->chunk_count++];
        uint32_t bytes = length - at < 16 ? length - at : 16;
        chunk->token = (uint16_t)locator->token;
        chunk->offset = (uint16_t)at;
        chunk->length = bytes;
        memset(chunk->bytes, 0, sizeof(chunk->bytes));
        memset(chunk->mask, 0, sizeof(chunk->mask));
        memset(chunk->mask, 0xff, bytes);
        memcpy(chunk->bytes, quoted + at, bytes);
    }
}

static bool member_begin(struct json_locator *locator, const char *name, uint32_t length)
{
    if (locator->member_count == locator->member_capacity) {
        locator->full = true;
        return false;
    }
    struct member *member = &locator->batch->members[locator->member_count];
    uint32_t child = locator->child;
    member->name = name;
    member->name_length = length;
    member->column = child == COLUMN_NONE ? COLUMN_NONE : locator->projection->nodes[child].column;
    if (!locator->sketch_fits)
        return true;
    struct json_shape *sketch = locator->sketch;
    locator->sketch_fits = sketch->member_count < SHAPE_MEMBERS;
    if (locator->sketch_fits)
        sketch->members[sketch->member_count] = (struct shape_member){
            .value.column = member->column,
            .name = (uint16_t)locator->token,
            .name_length = length,
        };
    return true;
}

static void member_end(struct json_locator *locator, struct value value, struct shape_span span)
{
    locator->batch->members[locator->member_count++].value = value;
    if (!locator->sketch_fits)
        return;
    struct shape_member *member = &locator->sketch->members[locator->sketch->member_count++];
    span.column = member->value.column;
    member->value = span;
}

static bool place_suspect(const struct json_locator *locator, uint32_t start, uint32_t end)
{
    return UNLIKELY(locator->scan.suspect_from <= end && locator->scan.suspect_to > start);
}

/* The string at `next`, a value or a name; *end is behind its closing quote. */
static enum json_fault string_parse(struct json_locator *locator, uint32_t *end)
{
    uint32_t start = token_place(locator);
    uint32_t next = locator->scan.positions[locator->next + 1];
    bool torn = locator->scan.classes[locator->next + 1] == JSON_TORN;
    *end = torn ? next + 1 : token_end(locator);
    if (place_suspect(locator, start, next)) {
        size_t place;
        const char *text = locator->scan.text + start + 1;
        uint32_t length = *end - start - 2;
        length -= torn && length && text[length - 1] == '\r';
        enum json_fault fault = json_string_check(text, length, &place);
        if (fault != JSON_FAULT_NONE && fault != JSON_FAULT_TORN)
            return fault_at(locator, fault, start + 1 + place);
    }
    return torn ? fault_at(locator, JSON_FAULT_TORN, start) : JSON_FAULT_NONE;
}

static enum json_fault name_parse(struct json_locator *locator)
{
    uint32_t start = token_place(locator), end;
    enum json_fault fault = string_parse(locator, &end);
    if (fault != JSON_FAULT_NONE)
        return fault;
    uint32_t node = locator->frames[locator->depth].node;
    const char *text = locator->scan.text + start;
    bool listed = locator->depth == 1 && locator->projection->members;
    locator->child = COLUMN_NONE;
    if (node != COLUMN_NONE || listed) {
        if (node != COLUMN_NONE)
            locator->child = child_find(locator, node, (struct string){text + 1, end - start - 2});
        sketch_name(locator, text, end - start);
        if (listed && !member_begin(locator, text + 1, end - start - 2))
            return fault_at(locator, JSON_FAULT_VALUE, start);
    }
    token_consume(locator);
    json_locator_want(locator, 2);
    if (locator->scan.classes[locator->next] != JSON_COLON)
        return fault_at(locator, JSON_FAULT_COLON, token_place(locator));
    token_consume(locator);
    return JSON_FAULT_NONE;
}

/* A value is there as a whole; `child` is its node. */
static void value_found(struct json_locator *locator, uint32_t child, struct value value,
                        struct shape_span span)
{
    if (child != COLUMN_NONE && locator->projection->nodes[child].column != COLUMN_NONE)
        cell_set(locator, locator->projection->nodes[child].column, value, span);
    if (locator->depth == 1 && locator->frames[1].map && locator->projection->members)
        member_end(locator, value, span);
}

/* A string, number, true, false or null at `next`. */
static enum json_fault simple_parse(struct json_locator *locator)
{
    uint32_t start = token_place(locator), end;
    const char *text = locator->scan.text + start;
    bool scalar = locator->scan.classes[locator->next] == JSON_SCALAR;
    if (scalar) {
        end = token_end(locator);
        size_t place;
        enum json_fault fault = json_scalar_check(text, end - start, &place);
        if (fault != JSON_FAULT_NONE)
            return fault_at(locator, fault, start + place);
        if (locator->sketch_fits) {
            locator->sketch_fits = locator->sketch->scalar_count < SHAPE_SCALARS;
            if (locator->sketch_fits)
                locator->sketch->scalars[locator->sketch->scalar_count++] =
                    (uint16_t)locator->token;
        }
    } else {
        enum json_fault fault = string_parse(locator, &end);
        if (fault != JSON_FAULT_NONE)
            return fault;
    }
    uint16_t token = (uint16_t)locator->token;
    uint32_t child = locator->depth ? locator->child : COLUMN_NONE;
    if (child != COLUMN_NONE) {
        bool null = scalar && text[0] == 'n';
        cells_below(
            locator, child, null ? (struct value){0} : value_error(ERROR_NO_OVERLOAD),
            (struct shape_span){.start = token, .kind = scalar ? SHAPE_BEHIND : SHAPE_ERROR});
    }
    value_found(locator, locator->depth ? child : 0, value_raw(text, end - start),
                (struct shape_span){token, (uint16_t)(token + 1), SHAPE_TOKEN, 0});
    locator->value_end = end;
    locator->child = COLUMN_NONE;
    token_consume(locator);
    return JSON_FAULT_NONE;
}

static enum json_fault container_open(struct json_locator *locator, bool map)
{
    if (locator->depth == JSON_DEPTH_MAX)
        return fault_at(locator, JSON_FAULT_DEEP, token_place(locator));
    uint32_t child = locator->depth ? locator->child : 0;
    struct json_frame *frame = &locator->frames[locator->depth + 1];
    *frame = (struct json_frame){
        .node = COLUMN_NONE,
        .child = child,
        .start = token_place(locator),
        .start_token = (uint16_t)locator->token,
        .map = map,
    };
    if (child != COLUMN_NONE && locator->projection->nodes[child].first_child) {
        bool error = !map && locator->depth;
        cells_below(locator, child, error ? value_error(ERROR_NO_OVERLOAD) : (struct value){0},
                    (struct shape_span){.kind = error ? SHAPE_ERROR : SHAPE_ABSENT});
        if (map)
            frame->node = child;
    }
    locator->depth++;
    locator->child = COLUMN_NONE;
    token_consume(locator);
    return JSON_FAULT_NONE;
}

static void container_close(struct json_locator *locator)
{
    const struct json_frame *frame = &locator->frames[locator->depth];
    uint32_t end = token_place(locator) + 1;
    locator->depth--;
    value_found(
        locator, frame->child, value_raw(locator->scan.text + frame->start, end - frame->start),
        (struct shape_span){frame->start_token, (uint16_t)locator->token, SHAPE_CONTAINER, 0});
    locator->value_end = end;
    token_consume(locator);
}

enum expectation {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_CLOSE,
    EXPECT_NAME,
    EXPECT_NAME_OR_CLOSE,
    EXPECT_COMMA_OR_CLOSE
};

/* One step of the state machine. */
static enum json_fault token_parse(struct json_locator *locator, enum expectation *expect)
{
    uint8_t class = locator->scan.classes[locator->next];
    bool map = locator->frames[locator->depth].map;
    enum expectation now = *expect;
    *expect = EXPECT_COMMA_OR_CLOSE;
    if (now >= EXPECT_VALUE_OR_CLOSE && now != EXPECT_NAME &&
        class == (map ? JSON_CLOSE_MAP : JSON_CLOSE_LIST)) {
        container_close(locator);
        return JSON_FAULT_NONE;
    }
    if (now <= EXPECT_VALUE_OR_CLOSE) {
        if (class == JSON_SCALAR || class == JSON_STRING)
            return simple_parse(locator);
        if (class == JSON_OPEN_MAP || class == JSON_OPEN_LIST) {
            *expect = class == JSON_OPEN_MAP ? EXPECT_NAME_OR_CLOSE : EXPECT_VALUE_OR_CLOSE;
            return container_open(locator, class == JSON_OPEN_MAP);
        }
    } else if (now != EXPECT_COMMA_OR_CLOSE) {
        *expect = EXPECT_VALUE;
        if (class == JSON_STRING)
            return name_parse(locator);
    } else if (class == JSON_COMMA) {
        *expect = map ? EXPECT_NAME : EXPECT_VALUE;
        token_consume(locator);
        return JSON_FAULT_NONE;
    }
    static const enum json_fault faults[] = {JSON_FAULT_VALUE, JSON_FAULT_VALUE, JSON_FAULT_NAME,
                                             JSON_FAULT_NAME_OR_CLOSE, JSON_FAULT_COMMA_OR_BRACKET};
    if (class >= JSON_LINE_END)
        return fault_at(locator, JSON_FAULT_UNFINISHED, token_place(locator));
    return fault_at(locator,
                    now == EXPECT_COMMA_OR_CLOSE && map ? JSON_FAULT_COMMA_OR_BRACE : faults[now],
                    token_place(locator));
}

enum json_fault json_value_parse(struct json_locator *locator)
{
    locator->token = 0;
    locator->depth = 0;
    locator->child = COLUMN_NONE;
    locator->frames[0].map = false;
    locator->sketch_fits = locator->sketch != NULL;
    if (locator->sketch) {
        struct json_shape *sketch = locator->sketch;
        sketch->token_count = sketch->chunk_count = sketch->scalar_count = 0;
        sketch->member_count = 0;
    }
    columns_clear(locator);
    locator->value_start = token_place(locator);
    enum expectation expect = EXPECT_VALUE;
    enum json_fault fault;
    do {
        json_locator_want(locator, 2);
        fault = token_parse(locator, &expect);
    } while (fault == JSON_FAULT_NONE && locator->depth && !locator->full);
    return fault;
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
