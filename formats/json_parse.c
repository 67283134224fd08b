/* The careful way through JSON records: see json_locate.h. A state machine over the tokens of pass
 * 1 with an explicit stack; it fills the cells of the projected columns and sketches the shape of
 * the record as it goes. */
#include "formats/json_locate.h"

#include <string.h>

#include "core/raw.h"

/* Where no two records are alike, sketching each would be in vain: after so many misses in a row
 * only one record of every eight is sketched. */
#define MISSES_MANY 32

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

/* Whether there is a backslash; eight bytes at a time, so it reads up to seven behind the text. */
static inline bool name_is_escaped(struct string name)
{
    const uint64_t each = 0x0101010101010101;
    uint64_t found = 0, word;
    size_t at = 0;
    for (; at < name.length; at += sizeof(word)) {
        memcpy(&word, name.data + at, sizeof(word));
        word ^= each * '\\';
        found |= (word - each) & ~word & each << 7;
    }
    return found && memchr(name.data, '\\', name.length);
}

/* The child of `node` that is called so, or COLUMN_NONE. */
static uint32_t child_find(struct json_locator *locator, uint32_t node, struct string name)
{
    const struct projection_node *nodes = locator->projection->nodes;
    struct arena *arena = &locator->batch->arena;
    size_t mark = arena_mark(arena);
    if (UNLIKELY(name_is_escaped(name))) {
        struct value decoded = value_resolve(value_raw(name.data - 1, name.length + 2), arena);
        if (decoded.kind != VALUE_STRING) {
            locator->full = true;
            return COLUMN_NONE;
        }
        name = (struct string){decoded.text, decoded.length};
    }
    uint32_t child = nodes[node].first_child;
    for (; child; child = nodes[child].next_sibling) {
        struct string wanted = nodes[child].name;
        if (wanted.length == name.length &&
            (name.length == 0 ||
             (wanted.data[0] == name.data[0] && memcmp(wanted.data, name.data, name.length) == 0)))
            break;
    }
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

/* Whether text[0..length) is a whole number of at most 8 digits. Reads 8 bytes. */
static inline bool digits_plain(const char *text, uint32_t length)
{
    const uint64_t each = 0x0101010101010101;
    uint64_t word;
    memcpy(&word, text, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    if (length > 8 || (text[0] == '0' && length > 1))
        return false;
    /* a digit keeps 3 as its high half when 6 is added */
    uint64_t other = ((word ^ each * 0x30) | ((word + each * 6) ^ each * 0x30)) & each * 0xf0;
    return other << (64 - 8 * length) == 0;
}

/* The elements of a list that are simple, each with the comma behind it, up to the first that is
 * not. True: there was one, and so a value must come next. */
static bool elements_skip(struct json_locator *locator)
{
    const struct json_scan *scan = &locator->scan;
    const uint8_t *classes = scan->classes;
    uint32_t from = locator->next;
    for (; scan->count - locator->next >= 3; locator->next += 2, locator->token += 2) {
        uint32_t at = locator->next, start = scan->positions[at], end = scan->positions[at + 1];
        if (classes[at] > JSON_STRING || classes[at + 1] != JSON_COMMA)
            break;
        size_t place;
        if (classes[at] == JSON_STRING
                ? place_suspect(locator, start, end)
                : !digits_plain(scan->text + start, end - start) &&
                      json_scalar_check(scan->text + start, end - start, &place) != JSON_FAULT_NONE)
            break;
        if (!locator->sketch_fits)
            continue;
        struct json_shape *sketch = locator->sketch;
        locator->sketch_fits =
            locator->token + 4 < SHAPE_TOKENS && sketch->scalar_count < SHAPE_SCALARS;
        if (!locator->sketch_fits)
            continue;
        memcpy(&sketch->classes[locator->token], &classes[at], 2);
        if (classes[at] == JSON_SCALAR)
            sketch->scalars[sketch->scalar_count++] = (uint16_t)locator->token;
    }
    return locator->next > from;
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
    if (now <= EXPECT_VALUE_OR_CLOSE && class <= JSON_STRING && !map && locator->depth &&
        elements_skip(locator)) {
        *expect = EXPECT_VALUE;
        return JSON_FAULT_NONE;
    }
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
    locator->misses++;
    locator->sketch_fits =
        locator->sketch && (locator->misses < MISSES_MANY || locator->misses % 8 == 0);
    if (locator->sketch_fits) {
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
