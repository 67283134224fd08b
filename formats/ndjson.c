/* NDJSON: each line is one JSON value. A raw LF is never valid inside a JSON string, so a line end
 * always ends a record, and what is wrong with one line stays on it. Lines of white space alone are
 * no records; CRLF is accepted. A dialect is const; any thread. */
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/format.h"
#include "formats/json_encode.h"
#include "formats/json_head.h"
#include "formats/json_locate.h"
#include "formats/lines.h"

extern const struct format_ops format_ndjson;

static const struct option_spec ndjson_options[] = {{0}};

static const struct noun ndjson_noun = {
    .name = "ndjson",
    .doc = "One JSON value on each line; also called JSON Lines",
    .example = "from file \"app.log\" { format ndjson }",
    .options = ndjson_options,
};

static bool ndjson_open(const struct options *options, struct format **format, struct error *error)
{
    (void)options;
    *format = memory_take(sizeof(**format));
    if (!*format)
        return error_set(error, ERROR_MEMORY, "no memory for format ndjson");
    (*format)->ops = &format_ndjson;
    return true;
}

static void ndjson_close(struct format *format)
{
    free(format);
}

static size_t ndjson_cut(const struct format *format, struct cut_state *state, const char *text,
                         size_t from, size_t length, bool at_end)
{
    (void)format;
    (void)at_end;
    size_t last = lines_last(text + from, length - from);
    state->lines_scanned += lines_count(text + from, length - from);
    if (last == 0)
        return 0;
    state->lines = state->lines_scanned;
    return from + last;
}

static size_t ndjson_skip(const struct format *format, struct cut_state *state, const char *text,
                          size_t length)
{
    (void)format;
    const char *end = memchr(text, '\n', length);
    if (!end)
        return 0;
    state->lines = ++state->lines_scanned;
    return (size_t)(end - text) + 1;
}

/* Moves `next` to the token that ends the line. */
static void line_skip(struct json_locator *locator)
{
    const struct json_scan *scan = &locator->scan;
    for (;;) {
        for (uint32_t i = locator->next; i < scan->count; i++)
            if (scan->classes[i] == JSON_LINE_END || scan->classes[i] == JSON_TORN) {
                locator->next = i;
                return;
            }
        locator->next = scan->count;
        CHECK(!scan->ended);
        json_locator_refill(locator);
    }
}

static uint32_t line_trim(const char *text, uint32_t start, uint32_t end)
{
    return end > start && text[end - 1] == '\r' ? end - 1 : end;
}

/* The careful way through the line that begins at *line; moves *line behind it. False: full. */
static bool line_parse(struct json_locator *locator, uint32_t *line)
{
    const struct json_scan *scan = &locator->scan;
    bool blank = scan->classes[locator->next] == JSON_LINE_END;
    if (!blank) {
        enum json_fault fault = json_value_parse(locator);
        json_locator_want(locator, 1);
        if (fault == JSON_FAULT_NONE && scan->classes[locator->next] != JSON_LINE_END) {
            fault = JSON_FAULT_TRAILING;
            locator->fault_place = scan->positions[locator->next];
        }
        uint32_t start = locator->value_start, end = locator->value_end;
        if (fault == JSON_FAULT_NONE) {
            if (!json_record_accept(locator, start, end))
                return false;
            json_shape_learn(locator);
            locator->clean &= start == *line && end == scan->positions[locator->next];
        } else {
            line_skip(locator);
            end = line_trim(scan->text, *line, scan->positions[locator->next]);
            if (!json_record_reject(locator, *line, end, fault, locator->fault_place))
                return false;
        }
    }
    locator->clean &= !blank;
    *line = scan->positions[locator->next++] + 1;
    locator->lines++;
    return true;
}

static enum locate_result ndjson_locate(const struct format *format,
                                        const struct projection *projection, struct batch *batch)
{
    (void)format;
    struct json_locator locator;
    enum isa isa = isa_get();
    if (!json_locator_open(&locator, batch, projection, true, isa))
        return LOCATE_FULL;
    const struct json_match_functions *match = json_match_choose(isa);
    uint32_t line = batch->part_start, length = batch->text_length;
    while (line < length) {
        match->lines(&locator, &line);
        json_locator_want(&locator, 2);
        if (line >= length || batch->record_count == locator.capacity ||
            !line_parse(&locator, &line))
            break;
    }
    if (line > length) { /* the last line ended with the text */
        line = length;
        locator.lines--;
        locator.clean = false;
    }
    return json_locator_close(&locator, line);
}

static enum encode_result ndjson_encode(const struct format *format, const struct shape *shape,
                                        struct batch *batch, bool same, uint32_t first,
                                        uint32_t *done, struct buffer *buffer)
{
    (void)format;
    return json_encode(shape, batch, same, STRING(""), STRING("\n"), first, done, buffer);
}

const struct format_ops format_ndjson = {
    .noun = &ndjson_noun,
    .extensions = ".ndjson .jsonl",
    .open = ndjson_open,
    .close = ndjson_close,
    .head = json_head,
    .cut = ndjson_cut,
    .skip = ndjson_skip,
    .locate = ndjson_locate,
    .encode = ndjson_encode,
};
