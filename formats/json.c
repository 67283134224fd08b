/* JSON text of any layout: one value, values one behind the other, pretty-printed or not; a list at
 * top level is read as its elements, each a record. Written as one list with an element on each
 * line. With `values one` an input must hold exactly one value, which is the record, list or not.
 *
 * A record that is malformed ends where its brackets are closed again (of whatever kind they are);
 * if that is nowhere, at the end of the input. A dialect is const; any thread. */
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/format.h"
#include "formats/json_cut.h"
#include "formats/json_encode.h"
#include "formats/json_head.h"
#include "formats/json_locate.h"
#include "formats/lines.h"

extern const struct format_ops format_json;

struct format_json {
    struct format format;
    bool one;
};

static const struct option_spec json_options[] = {
    {"values", OPTION_WORD, 0, "any|one", "any",
     "any: values one behind the other, and a list at top level is read as its elements; one: "
     "exactly one value in each input"},
    {0},
};

static const struct noun json_noun = {
    .name = "json",
    .doc = "JSON text of any layout; a list at top level is read as its elements",
    .example = "from file \"export.json\" { format json }",
    .options = json_options,
};

static bool json_open(const struct options *options, struct format **format, struct error *error)
{
    struct format_json *json = memory_take(sizeof(*json));
    if (!json)
        return error_set(error, ERROR_MEMORY, "no memory for format json");
    json->format.ops = &format_json;
    json->one = options && option_word_is(options, "values", "one");
    *format = &json->format;
    return true;
}

/* An element of a list is no list to be read as elements itself, and a torn record takes nothing of
 * the next with it. */
static bool json_open_alone(struct format **format, struct error *error)
{
    if (!json_open(NULL, format, error))
        return false;
    ((struct format_json *)*format)->one = true;
    return true;
}

static void json_close(struct format *format)
{
    free(format);
}

static bool json_is_one(const struct format *format)
{
    return ((const struct format_json *)format)->one;
}

static size_t json_format_cut(const struct format *format, struct cut_state *state,
                              const char *text, size_t from, size_t length, bool at_end)
{
    (void)at_end;
    if (!json_is_one(format))
        return json_cut(state, text, from, length);
    state->lines_scanned += lines_count(text + from, length - from);
    return 0;
}

static size_t json_format_skip(const struct format *format, struct cut_state *state,
                               const char *text, size_t length)
{
    if (!json_is_one(format))
        return json_skip(state, text, length);
    state->lines_scanned += lines_count(text, length);
    return 0;
}

struct walk {
    struct json_locator locator;
    const struct json_match_functions *match;
    enum json_mode mode;
    uint32_t end; /* of what was consumed */
};

static inline uint8_t walk_class(struct walk *walk)
{
    json_locator_want(&walk->locator, 2);
    return walk->locator.scan.classes[walk->locator.next];
}

static inline uint32_t walk_place(const struct walk *walk)
{
    return walk->locator.scan.positions[walk->locator.next];
}

static inline void walk_consume(struct walk *walk)
{
    walk->end = walk_place(walk) + 1;
    walk->locator.next++;
}

/* Moves behind what belongs to a malformed record. `all`: to the end of the text. Its end. */
static uint32_t record_skip(struct walk *walk, uint32_t start, bool all)
{
    struct json_locator *locator = &walk->locator;
    uint64_t depth = locator->depth;
    for (;;) {
        uint8_t class = walk_class(walk);
        bool closes = class == JSON_CLOSE_MAP || class == JSON_CLOSE_LIST;
        if (class >= JSON_LINE_END)
            break;
        if (depth == 0 && !all && walk->mode != JSON_MODE_TOP && (closes || class == JSON_COMMA))
            break;
        if (depth == 0 && !all && walk->mode == JSON_MODE_TOP && walk_place(walk) > start)
            break;
        depth += class == JSON_OPEN_MAP || class == JSON_OPEN_LIST;
        depth -= closes && depth;
        locator->next++;
        if (depth == 0 && closes && !all && walk->mode == JSON_MODE_TOP)
            break;
    }
    uint32_t end = walk_class(walk) >= JSON_LINE_END ? locator->scan.length : walk_place(walk);
    while (end > start && json_is_white(locator->scan.text[end - 1]))
        end--;
    walk->end = end;
    return end;
}

static bool record_refuse(struct walk *walk, uint32_t start, enum json_fault fault, uint32_t place,
                          bool all)
{
    uint32_t end = record_skip(walk, start, all);
    if (walk->mode != JSON_MODE_TOP)
        walk->mode = JSON_MODE_AFTER;
    return json_record_reject(&walk->locator, start, end, fault, place);
}

/* An element that is not there. */
static bool element_missing(struct walk *walk)
{
    uint32_t place = walk_place(walk);
    return json_record_reject(&walk->locator, place, place, JSON_FAULT_VALUE, place);
}

/* A value begins at `next`. False: full. */
static bool record_walk(struct walk *walk)
{
    struct json_locator *locator = &walk->locator;
    uint32_t start = walk_place(walk);
    bool matched = walk->match->value(locator);
    if (!matched) {
        enum json_fault fault = json_value_parse(locator);
        if (locator->full)
            return false;
        if (fault != JSON_FAULT_NONE)
            return record_refuse(walk, start, fault, locator->fault_place, false);
        if (!json_record_accept(locator, start, locator->value_end))
            return false;
        json_shape_learn(locator);
    }
    walk->end = locator->value_end;
    uint8_t class = walk_class(walk);
    if (walk->mode == JSON_MODE_TOP)
        return true;
    if (class == JSON_END) {
        walk->mode = JSON_MODE_AFTER;
        return true;
    }
    if (class == JSON_COMMA || class == JSON_CLOSE_LIST) {
        walk->mode = class == JSON_COMMA ? JSON_MODE_NEXT : JSON_MODE_TOP;
        walk_consume(walk);
        return true;
    }
    json_record_undo(locator);
    locator->depth = 0;
    return record_refuse(walk, start, JSON_FAULT_COMMA_OR_BRACKET, walk_place(walk), false);
}

/* One step at top level. False: full. */
static bool top_step(struct walk *walk, uint8_t class)
{
    bool value = class < JSON_OPERATOR || class == JSON_OPEN_MAP || class == JSON_OPEN_LIST;
    walk->locator.depth = 0;
    if (walk->mode == JSON_MODE_TOP) {
        if (class == JSON_OPEN_LIST) {
            walk->mode = JSON_MODE_FIRST;
            walk_consume(walk);
            return true;
        }
        return value ? record_walk(walk)
                     : record_refuse(walk, walk_place(walk), JSON_FAULT_VALUE, walk_place(walk),
                                     false);
    }
    bool closes = class == JSON_CLOSE_LIST || class == JSON_CLOSE_MAP;
    if (!closes && class != JSON_COMMA)
        return value ? record_walk(walk)
                     : record_refuse(walk, walk_place(walk), JSON_FAULT_VALUE, walk_place(walk),
                                     false);
    if (walk->mode != JSON_MODE_AFTER &&
        !(walk->mode == JSON_MODE_FIRST && class == JSON_CLOSE_LIST) && !element_missing(walk))
        return false;
    walk->mode = closes ? JSON_MODE_TOP : JSON_MODE_NEXT;
    walk_consume(walk);
    return true;
}

/* batch.format_state holds the modes at two places of the text, so that a batch in parts finds the
 * one of its part, and of the same part again: where the part begins and where it ended. Each is a
 * mode in 2 bits and an offset in 30; the source's boundary_state is the mode at offset 0. */
static enum json_mode part_mode(struct batch *batch)
{
    uint32_t first = (uint32_t)batch->format_state;
    uint32_t second = (uint32_t)(batch->format_state >> 32);
    uint32_t found = second >> 2 == batch->part_start && batch->part_start ? second : first;
    CHECK(found >> 2 == batch->part_start);
    batch->format_state = found;
    return found & 3;
}

static void part_mode_keep(struct batch *batch, enum json_mode mode)
{
    if (!batch->last_part)
        batch->format_state |= (uint64_t)(batch->part_end << 2 | mode) << 32;
}

static enum locate_result walk_end(struct walk *walk)
{
    struct batch *batch = walk->locator.batch;
    walk->locator.clean = false;
    enum locate_result result = json_locator_close(&walk->locator, walk->end);
    if (result == LOCATE_OK)
        batch->line_count =
            lines_count(batch->text + batch->part_start, batch->part_end - batch->part_start);
    return result;
}

/* The one value of an input, or what is wrong with it. */
static enum locate_result locate_one(struct walk *walk)
{
    struct json_locator *locator = &walk->locator;
    uint32_t start;
    bool done;
    if (walk_class(walk) == JSON_END) {
        start = walk_place(walk);
        done = json_record_reject(locator, start, start, JSON_FAULT_NOTHING, start);
    } else {
        start = walk_place(walk);
        enum json_fault fault = json_value_parse(locator);
        if (fault == JSON_FAULT_NONE && walk_class(walk) != JSON_END) {
            fault = JSON_FAULT_SECOND;
            locator->fault_place = walk_place(walk);
        }
        done = fault == JSON_FAULT_NONE
                   ? json_record_accept(locator, start, locator->value_end)
                   : record_refuse(walk, start, fault, locator->fault_place, true);
    }
    walk->end = done ? locator->scan.length : locator->batch->part_start;
    return walk_end(walk);
}

static enum locate_result locate_any(struct walk *walk)
{
    struct json_locator *locator = &walk->locator;
    struct batch *batch = locator->batch;
    walk->mode = part_mode(batch);
    while (batch->record_count < locator->capacity) {
        uint32_t end = walk->end;
        enum json_mode mode = walk->mode;
        uint8_t class = walk_class(walk);
        bool more = class < JSON_LINE_END;
        bool open = !more && mode != JSON_MODE_TOP && batch->ends_input;
        uint32_t length = locator->scan.length;
        if (more ? !top_step(walk, class)
                 : open &&
                       !json_record_reject(locator, length, length, JSON_FAULT_LIST_END, length)) {
            walk->end = end;
            walk->mode = mode;
            break;
        }
        if (!more) {
            walk->end = length;
            break;
        }
    }
    return walk_end(walk);
}

static enum locate_result json_locate(const struct format *format,
                                      const struct projection *projection, struct batch *batch)
{
    struct walk walk = {.match = json_match_choose(isa_get()), .end = batch->part_start};
    if (!json_locator_open(&walk.locator, batch, projection, false, isa_get()))
        return LOCATE_FULL;
    if (json_is_one(format))
        return locate_one(&walk);
    enum locate_result result = locate_any(&walk);
    if (result == LOCATE_OK)
        part_mode_keep(batch, walk.mode);
    return result;
}

static bool json_prologue(const struct format *format, const struct shape *shape,
                          struct buffer *buffer)
{
    (void)format, (void)shape;
    return buffer_append(buffer, "[\n", 2);
}

static bool json_epilogue(const struct format *format, struct buffer *buffer)
{
    (void)format;
    return buffer_append(buffer, "\n]\n", 3);
}

static enum encode_result json_format_encode(const struct format *format, const struct shape *shape,
                                             struct batch *batch, bool same, uint32_t first,
                                             uint32_t *done, struct buffer *buffer)
{
    (void)format;
    return json_encode(shape, batch, same, STRING(",\n"), STRING(""), first, done, buffer);
}

const struct format_ops format_json = {
    .noun = &json_noun,
    .extensions = ".json",
    .open = json_open,
    .open_alone = json_open_alone,
    .close = json_close,
    .head = json_head,
    .cut = json_format_cut,
    .skip = json_format_skip,
    .locate = json_locate,
    .prologue = json_prologue,
    .epilogue = json_epilogue,
    .first_skip = 2,
    .encode = json_format_encode,
};
